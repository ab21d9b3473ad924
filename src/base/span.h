/* SPDX-License-Identifier: Apache-2.0 */
/* base/span - a read-only view of bytes that somebody else owns.
 *
 * A span never owns; it lives as long as what it points into. `p` may be NULL only when `n` is 0. */
#ifndef BP_BASE_SPAN_H
#define BP_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *p;
    size_t n;
} bp_span;

#define BP_SPAN_EMPTY ((bp_span){NULL, 0})

/* A span over an array object (not a pointer). */
#define BP_SPAN_OF(array) bp_span_of((array), sizeof(array))

/* A span over a string literal, without its closing zero. */
#define BP_SPAN_STR(literal) bp_span_of("" literal, sizeof(literal) - 1)

static inline bp_span bp_span_of(const void *p, size_t n)
{
    return (bp_span){(const uint8_t *)p, n};
}

/* A span over a zero-terminated string, without its closing zero. */
static inline bp_span bp_span_cstr(const char *s)
{
    return bp_span_of(s, strlen(s));
}

/* Not for secrets: stops at the first difference. Secrets: base/ct.h. */
static inline bool bp_span_equal(bp_span a, bp_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The part [from, from+n); empty where that does not lie inside. */
static inline bp_span bp_span_sub(bp_span s, size_t from, size_t n)
{
    if (from > s.n || n > s.n - from) {
        return BP_SPAN_EMPTY;
    }
    return (bp_span){from == 0 ? s.p : s.p + from, n}; /* NULL + 0 is undefined in C */
}

#endif
