/* SPDX-License-Identifier: Apache-2.0 */
/* codec/decommission - reader and writer of the certificate of decommissioning and of its file. */
#include "codec/decommission.h"

#include "codec/object.h"

#define BP_MODULE CODEC

#define TYPE_STATEMENT "decommission"
#define TYPE_FILE      "decommissioned"
#define TEXT_MAX       64u
#define REASON_MAX     512u
#define CERT_MAX       2048u

static bool is_statement(const struct bp_decommission *v)
{
    bool ok = v->device_id.n == 33 && bp_object_is_text(v->pseudonym, 1, TEXT_MAX) && v->keys >= 1 &&
              v->keys <= BP_DECOMMISSION_KEYS_MAX && v->retired_ms >= 0 && bp_object_is_text(v->reason, 0, REASON_MAX) &&
              bp_object_is_text(v->actor, 1, TEXT_MAX) && v->digest.n == 32;
    for (uint32_t i = 0; ok && i < v->keys; i++) {
        ok = v->key[i].n == 32;
    }
    return ok;
}

static bool is_file(const struct bp_decommission_file *v)
{
    return v->statement.n >= 1 && v->statement.n <= BP_DECOMMISSION_MAX + 512u && v->root.n >= 1 && v->root.n <= CERT_MAX &&
           v->signer.n >= 1 && v->signer.n <= CERT_MAX;
}

static void get_keys(bp_rd *rd, struct bp_decommission *v)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_DECOMMISSION_KEYS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        v->key[i] = bp_cbor_get_bstr_n(rd, 32);
    }
    v->keys = (uint32_t)n;
}

static void get_members(bp_rd *rd, struct bp_decommission *v)
{
    bp_cbor_need_key(rd, 4);
    v->device_id = bp_cbor_get_bstr_n(rd, 33);
    bp_cbor_need_key(rd, 5);
    v->pseudonym = bp_cbor_get_tstr(rd);
    bp_cbor_need_key(rd, 6);
    get_keys(rd, v);
    bp_cbor_need_key(rd, 7);
    v->retired_ms = bp_cbor_get_int(rd);
    bp_cbor_need_key(rd, 8);
    v->reason = bp_cbor_get_tstr(rd);
    bp_cbor_need_key(rd, 9);
    v->actor = bp_cbor_get_tstr(rd);
    bp_cbor_need_key(rd, 10);
    v->event = bp_cbor_get_uint(rd);
    bp_cbor_need_key(rd, 11);
    v->digest = bp_cbor_get_bstr_n(rd, 32);
}

bp_result bp_decommission_read(bp_span payload, struct bp_decommission *ret)
{
    bp_rd rd = bp_rd_over(payload);
    memset(ret, 0, sizeof *ret);
    if (payload.n > BP_DECOMMISSION_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(payload));
    ret->unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_STATEMENT), 11, &ret->minor);
    get_members(&rd, ret);
    bp_object_skip(&rd, ret->unknown);
    bp_result r = bp_rd_finish(&rd);
    r = !bp_failed(r) && !is_statement(ret) ? BP_FAIL(MALFORMED) : r;
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

bp_result bp_decommission_file_read(bp_span in, struct bp_decommission_file *ret)
{
    struct bp_decommission_file v = {0};
    bp_rd rd = bp_rd_over(in);
    memset(ret, 0, sizeof *ret);
    if (in.n > BP_DECOMMISSION_FILE_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    v.unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_FILE), 6, &v.minor);
    bp_cbor_need_key(&rd, 4);
    v.statement = bp_cbor_get_bstr(&rd);
    bp_cbor_need_key(&rd, 5);
    v.root = bp_cbor_get_bstr(&rd);
    bp_cbor_need_key(&rd, 6);
    v.signer = bp_cbor_get_bstr(&rd);
    bp_object_skip(&rd, v.unknown);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_file(&v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

bp_result bp_decommission_write(const struct bp_decommission *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_statement(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 11, BP_SPAN_STR(TYPE_STATEMENT));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_text(&w, 5, v->pseudonym);
    bp_cw_uint(&w, 6);
    bp_cw_array(&w, v->keys);
    for (uint32_t i = 0; i < v->keys; i++) {
        bp_cw_bstr(&w, v->key[i]);
    }
    bp_cw_uint(&w, 7);
    bp_cw_int(&w, v->retired_ms);
    bp_object_put_text(&w, 8, v->reason);
    bp_object_put_text(&w, 9, v->actor);
    bp_object_put_uint(&w, 10, v->event);
    bp_object_put_bytes(&w, 11, v->digest);
    return bp_object_finish(&w, ret_len);
}

bp_result bp_decommission_file_write(const struct bp_decommission_file *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_file(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 6, BP_SPAN_STR(TYPE_FILE));
    bp_object_put_bytes(&w, 4, v->statement);
    bp_object_put_bytes(&w, 5, v->root);
    bp_object_put_bytes(&w, 6, v->signer);
    return bp_object_finish(&w, ret_len);
}
