/* SPDX-License-Identifier: Apache-2.0 */
/* pki/derback - DER written from the end to the front: a length is known when its header is due.
 *
 * Over the caller's room; past its start it keeps counting, so it measures too. For this folder only. */
#ifndef BP_PKI_DERBACK_H
#define BP_PKI_DERBACK_H

#include "base/span.h"

struct derback {
    uint8_t *p;
    size_t cap;
    size_t n; /* bytes written or wanted, at the end of p */
};

static inline void derback_bytes(struct derback *w, bp_span s)
{
    w->n += s.n;
    if (w->n <= w->cap && s.n > 0) {
        memcpy(w->p + (w->cap - w->n), s.p, s.n);
    }
}

static inline void derback_u8(struct derback *w, uint8_t v)
{
    derback_bytes(w, bp_span_of(&v, 1));
}

/* Puts the header before everything that was written since mark (a former w->n). */
static inline void derback_wrap(struct derback *w, uint8_t tag, size_t mark)
{
    size_t n = w->n - mark;
    if (n < 0x80) {
        derback_u8(w, (uint8_t)n);
    } else {
        uint8_t bytes = 0;
        for (; n > 0; n >>= 8) {
            derback_u8(w, (uint8_t)n);
            bytes++;
        }
        derback_u8(w, (uint8_t)(0x80u | bytes));
    }
    derback_u8(w, tag);
}

static inline void derback_put(struct derback *w, uint8_t tag, bp_span content)
{
    const size_t mark = w->n;
    derback_bytes(w, content);
    derback_wrap(w, tag, mark);
}

/* What was written; only when it fitted. */
static inline bp_span derback_span(const struct derback *w)
{
    return w->n > w->cap ? BP_SPAN_EMPTY : bp_span_of(w->p + (w->cap - w->n), w->n);
}

#endif
