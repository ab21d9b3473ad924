/* SPDX-License-Identifier: Apache-2.0 */
/* codec/cbor - deterministic CBOR (RFC 8949 section 4.2.1), both directions, and nothing else.
 *
 * Read: bp_cbor_check walks a whole item once (well-formed, shortest forms, definite lengths, map keys strictly
 * ascending bytewise, UTF-8 text, nesting <= BP_CBOR_DEPTH, no floats, no simple values but false/true/null). A level
 * of nesting is an array or a map that holds something, or a tag. After that the getters below walk the same bytes. The getters check shortest form and bounds again, so that code which
 * forgot the check is safe, only less strict. Failures stick in the reader (base/buf).
 * Write: struct bp_cw counts items and compares map keys as they are written; what would not be deterministic fails.
 * A writer that only measures (base/buf) cannot see key order; the writing pass does.
 * No recursion, no allocation; nothing is copied on reading. */
#ifndef BP_CODEC_CBOR_H
#define BP_CODEC_CBOR_H

#include "base/buf.h"

#define BP_CBOR_DEPTH 16u

enum bp_cbor_type {
    BP_CBOR_UINT,
    BP_CBOR_NINT,
    BP_CBOR_BSTR,
    BP_CBOR_TSTR,
    BP_CBOR_ARRAY,
    BP_CBOR_MAP,
    BP_CBOR_TAG,
    BP_CBOR_SIMPLE,
    BP_CBOR_END /* nothing left, or the reader has failed */
};

/* The whole span is exactly one deterministic item.
 *   TRUNCATED      it ends early              MALFORMED    reserved bits, bad UTF-8, bytes left over
 *   NOT_CANONICAL  longer form than needed, indefinite length, key order, duplicate key
 *   UNSUPPORTED    float or other simple value  LIMIT      nested deeper than BP_CBOR_DEPTH */
BP_MUST_CHECK bp_result bp_cbor_check(bp_span item);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
bool bp_is_utf8(bp_span s);

/* Type of the next item, without consuming it. */
enum bp_cbor_type bp_cbor_peek(const bp_rd *rd);

/* Getters: the next item must be of that type, else the reader fails MALFORMED and zero / empty comes back. */
uint64_t bp_cbor_get_uint(bp_rd *rd);
int64_t bp_cbor_get_int(bp_rd *rd); /* LIMIT outside int64_t */
bp_span bp_cbor_get_bstr(bp_rd *rd);
bp_span bp_cbor_get_tstr(bp_rd *rd);
bool bp_cbor_get_bool(bp_rd *rd);
void bp_cbor_get_null(bp_rd *rd);
uint64_t bp_cbor_get_tag(bp_rd *rd);
size_t bp_cbor_get_array(bp_rd *rd); /* number of items that follow */
size_t bp_cbor_get_map(bp_rd *rd);   /* number of pairs that follow */
/* A byte string of exactly n bytes, else MALFORMED. */
bp_span bp_cbor_get_bstr_n(bp_rd *rd, size_t n);
/* The next item must be this unsigned integer, the key of the member that has to come, else MALFORMED. */
void bp_cbor_need_key(bp_rd *rd, uint64_t key);
/* The next item whole, as it stands (any type, checked as bp_cbor_check does). */
bp_span bp_cbor_get_item(bp_rd *rd);

/* Writer. */
typedef struct {
    bp_wr wr;
    size_t due; /* where wr.n stands when the last item is complete */
    uint8_t depth;
    struct {
        uint32_t left; /* items still to come, keys and values counted one by one */
        bool is_map;
        size_t key_at, key_n; /* the last key written */
        size_t at;            /* where the item in progress begins */
    } level[BP_CBOR_DEPTH];
} bp_cw;

bp_cw bp_cw_over(void *p, size_t cap);
void bp_cw_uint(bp_cw *w, uint64_t v);
void bp_cw_int(bp_cw *w, int64_t v);
void bp_cw_bstr(bp_cw *w, bp_span v);
void bp_cw_tstr(bp_cw *w, bp_span v); /* MALFORMED when not UTF-8 */
/* Inline, so that the freestanding archive does not need strlen. */
static inline void bp_cw_cstr(bp_cw *w, const char *v)
{
    bp_cw_tstr(w, bp_span_cstr(v));
}
void bp_cw_bool(bp_cw *w, bool v);
void bp_cw_null(bp_cw *w);
void bp_cw_tag(bp_cw *w, uint64_t v); /* the tagged item follows */
void bp_cw_array(bp_cw *w, uint32_t items);
void bp_cw_map(bp_cw *w, uint32_t pairs);
/* One item that is already encoded; checked. */
void bp_cw_item(bp_cw *w, bp_span item);
/* Begins a byte string whose n content bytes the caller writes by bp_wr_bytes on &w->wr right after.
 * BAD_ARGUMENT inside a map key: the key could not be compared. */
void bp_cw_bstr_head(bp_cw *w, size_t n);
/* The output; empty when it did not fit or failed. */
bp_span bp_cw_span(const bp_cw *w);
/*   NO_SPACE       w->wr.n tells the room needed
 *   NOT_CANONICAL  keys out of order or twice      MALFORMED  items missing or too many */
BP_MUST_CHECK bp_result bp_cw_finish(const bp_cw *w);

#endif
