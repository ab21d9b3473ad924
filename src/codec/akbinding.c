/* SPDX-License-Identifier: Apache-2.0 */
/* codec/akbinding - reader and writer of the statement about an attestation key. */
#include "codec/akbinding.h"

#define BP_MODULE CODEC

#define TYPE "ak-binding"
#define LAST 10u /* the highest key of 1.0 */

static bool is_class(bp_span s)
{
    return bp_span_equal(s, BP_SPAN_STR("discrete")) || bp_span_equal(s, BP_SPAN_STR("firmware")) ||
           bp_span_equal(s, BP_SPAN_STR("virtual")) || bp_span_equal(s, BP_SPAN_STR("unknown")) ||
           bp_span_equal(s, BP_SPAN_STR("software"));
}

static void get_head(bp_rd *rd)
{
    if (bp_cbor_get_uint(rd) != 1 || bp_cbor_peek(rd) != BP_CBOR_TSTR) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    if (!bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(TYPE))) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    if (bp_cbor_get_uint(rd) != 2) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    if (bp_cbor_get_uint(rd) != 1) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    if (bp_cbor_get_uint(rd) != 3) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    (void)bp_cbor_get_uint(rd);
}

static void need_key(bp_rd *rd, uint64_t key)
{
    if (bp_cbor_get_uint(rd) != key) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_eks(bp_rd *rd, struct bp_akbinding *b)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_AKBINDING_EKS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        b->ek[i] = bp_cbor_get_bstr_n(rd, 32);
    }
    b->eks = (uint32_t)n;
}

static void get_qualified(bp_rd *rd, struct bp_akbinding *b)
{
    if (bp_cbor_get_array(rd) != b->eks) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    for (uint32_t i = 0; i < b->eks; i++) {
        b->qualified[i] = bp_cbor_get_bstr_n(rd, BP_AKBINDING_NAME_SIZE);
    }
}

static void get_members(bp_rd *rd, struct bp_akbinding *b)
{
    need_key(rd, 4);
    b->device_id = bp_cbor_get_bstr_n(rd, 33);
    need_key(rd, 5);
    b->ak_name = bp_cbor_get_bstr_n(rd, BP_AKBINDING_NAME_SIZE);
    need_key(rd, 6);
    b->issuer_class = bp_cbor_get_tstr(rd);
    if (!is_class(b->issuer_class)) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    need_key(rd, 7);
    b->time_ms = bp_cbor_get_int(rd);
    need_key(rd, 8);
    get_eks(rd, b);
    need_key(rd, 9);
    b->ak = bp_cbor_get_bstr(rd);
    if (b->ak.n == 0 || b->ak.n > BP_AKBINDING_AK_MAX || b->time_ms < 0) {
        bp_rd_fail(rd, b->ak.n > BP_AKBINDING_AK_MAX ? BP_FAIL(LIMIT) : BP_FAIL(MALFORMED));
    }
    need_key(rd, LAST);
    get_qualified(rd, b);
}

bp_result bp_akbinding_read(bp_span payload, struct bp_akbinding *ret)
{
    BP_TRY(bp_cbor_check(payload));
    struct bp_akbinding b = {0};
    bp_rd rd = bp_rd_over(payload);
    const size_t pairs = bp_cbor_get_map(&rd);
    if (pairs < LAST) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    get_head(&rd);
    get_members(&rd, &b);
    for (size_t i = LAST; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        (void)bp_cbor_get_item(&rd); /* of a newer minor */
        (void)bp_cbor_get_item(&rd);
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = b;
    return BP_OK;
}

bool bp_akbinding_is_signer(const struct bp_akbinding *b, bp_span qualified_signer)
{
    for (uint32_t i = 0; i < b->eks; i++) {
        if (bp_span_equal(b->qualified[i], qualified_signer)) {
            return true;
        }
    }
    return false;
}

static bool is_writable(const struct bp_akbinding *b)
{
    bool ok = b->device_id.n == 33 && b->ak_name.n == BP_AKBINDING_NAME_SIZE && is_class(b->issuer_class) &&
              b->time_ms >= 0 && b->eks >= 1 && b->eks <= BP_AKBINDING_EKS_MAX && b->ak.n >= 1 &&
              b->ak.n <= BP_AKBINDING_AK_MAX;
    for (uint32_t i = 0; ok && i < b->eks; i++) {
        ok = b->ek[i].n == 32 && b->qualified[i].n == BP_AKBINDING_NAME_SIZE;
    }
    return ok;
}

bp_result bp_akbinding_write(const struct bp_akbinding *b, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(b)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, LAST);
    bp_cw_uint(&w, 1);
    bp_cw_tstr(&w, BP_SPAN_STR(TYPE));
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_bstr(&w, b->device_id);
    bp_cw_uint(&w, 5);
    bp_cw_bstr(&w, b->ak_name);
    bp_cw_uint(&w, 6);
    bp_cw_tstr(&w, b->issuer_class);
    bp_cw_uint(&w, 7);
    bp_cw_int(&w, b->time_ms);
    bp_cw_uint(&w, 8);
    bp_cw_array(&w, b->eks);
    for (uint32_t i = 0; i < b->eks; i++) {
        bp_cw_bstr(&w, b->ek[i]);
    }
    bp_cw_uint(&w, 9);
    bp_cw_bstr(&w, b->ak);
    bp_cw_uint(&w, LAST);
    bp_cw_array(&w, b->eks);
    for (uint32_t i = 0; i < b->eks; i++) {
        bp_cw_bstr(&w, b->qualified[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
