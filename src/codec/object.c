/* SPDX-License-Identifier: Apache-2.0 */
/* codec/object - the head that objects share, and their members one by one. */
#include "codec/object.h"

#define BP_MODULE CODEC

#define MAJOR 1u

static void need(bp_rd *rd, bool good, bp_result otherwise)
{
    if (!good) {
        bp_rd_fail(rd, otherwise);
    }
}

uint32_t bp_object_get_head(bp_rd *rd, bp_span type, uint32_t last, uint64_t *ret_minor)
{
    const size_t pairs = bp_cbor_get_map(rd);
    bp_cbor_need_key(rd, 1);
    need(rd, bp_span_equal(bp_cbor_get_tstr(rd), type), BP_FAIL(UNSUPPORTED));
    bp_cbor_need_key(rd, 2);
    need(rd, bp_cbor_get_uint(rd) == MAJOR, BP_FAIL(UNSUPPORTED));
    bp_cbor_need_key(rd, 3);
    *ret_minor = bp_cbor_get_uint(rd);
    need(rd, pairs >= last, BP_FAIL(MALFORMED));
    return pairs < last ? 0 : (uint32_t)(pairs - last);
}

void bp_object_skip(bp_rd *rd, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        (void)bp_cbor_get_item(rd);
        (void)bp_cbor_get_item(rd);
    }
}

void bp_object_put_head(bp_cw *w, uint32_t members, bp_span type)
{
    bp_cw_map(w, members);
    bp_object_put_text(w, 1, type);
    bp_object_put_uint(w, 2, MAJOR);
    bp_object_put_uint(w, 3, 0);
}

void bp_object_put_uint(bp_cw *w, uint64_t key, uint64_t v)
{
    bp_cw_uint(w, key);
    bp_cw_uint(w, v);
}

void bp_object_put_bytes(bp_cw *w, uint64_t key, bp_span v)
{
    bp_cw_uint(w, key);
    bp_cw_bstr(w, v);
}

void bp_object_put_text(bp_cw *w, uint64_t key, bp_span v)
{
    bp_cw_uint(w, key);
    bp_cw_tstr(w, v);
}

bp_result bp_object_finish(const bp_cw *w, size_t *ret_len)
{
    *ret_len = w->wr.n;
    return bp_cw_finish(w);
}

bool bp_object_is_text(bp_span s, size_t least, size_t most)
{
    bool ok = s.n >= least && s.n <= most && bp_is_utf8(s);
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = s.p[i] >= 0x20 && s.p[i] != 0x7f;
    }
    return ok;
}
