/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz - what the fuzz targets share: a property that must hold, and outputs that must stay untouched. */
#ifndef BP_TESTS_FUZZ_H
#define BP_TESTS_FUZZ_H

#include "base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process when the property does not hold, in every build. */
#define FUZZ_HOLDS(cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)

#define FUZZ_FILL(object) memset(&(object), 0xa5, sizeof(object))

/* Every byte of a filled object is as FUZZ_FILL left it. */
static inline bool fuzz_untouched(const void *object, size_t n)
{
    const uint8_t *p = object;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0xa5) {
            return false;
        }
    }
    return true;
}

/* A span that lies inside another, or is empty. */
static inline bool fuzz_is_inside(bp_span part, bp_span whole)
{
    return part.n == 0 || (part.p >= whole.p && part.n <= whole.n && part.p - whole.p <= (ptrdiff_t)(whole.n - part.n));
}

#endif
