/* SPDX-License-Identifier: Apache-2.0 */
/* port/entropy - the seam to chance. Tests replace it with a seeded stream; nothing else asks for randomness. */
#ifndef BP_PORT_ENTROPY_H
#define BP_PORT_ENTROPY_H

#include "base/result.h"
#include "base/span.h"

struct bp_entropy {
    void *self;
    /* Fills ret with n unpredictable bytes, or fails; never fills in part. */
    bp_result (*fill)(void *self, uint8_t *ret, size_t n);
};

BP_MUST_CHECK static inline bp_result bp_random(const struct bp_entropy *e, uint8_t *ret, size_t n)
{
    return e->fill(e->self, ret, n);
}

#endif
