/* SPDX-License-Identifier: Apache-2.0 */
/* codec/decommission - reader and writer of the certificate of decommissioning and of its file. */
#include "codec/decommission.h"

#define BP_MODULE CODEC

#define TYPE_STATEMENT "decommission"
#define TYPE_FILE      "decommissioned"
#define TEXT_MAX       64u
#define REASON_MAX     512u
#define CERT_MAX       2048u

static bool is_text(bp_span s, size_t least, size_t most)
{
    bool ok = s.n >= least && s.n <= most && bp_is_utf8(s);
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = s.p[i] >= 0x20 && s.p[i] != 0x7f;
    }
    return ok;
}

static bool is_statement(const struct bp_decommission *v)
{
    bool ok = v->device_id.n == 33 && is_text(v->pseudonym, 1, TEXT_MAX) && v->keys >= 1 && v->keys <= BP_DECOMMISSION_KEYS_MAX &&
              v->retired_ms >= 0 && is_text(v->reason, 0, REASON_MAX) && is_text(v->actor, 1, TEXT_MAX) && v->digest.n == 32;
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

static void need_key(bp_rd *rd, uint64_t key)
{
    if (bp_cbor_get_uint(rd) != key) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/* Map, type, major and minor; members 1 to last must be there. Gives how many pairs follow those. */
static uint32_t get_head(bp_rd *rd, bp_span type, uint32_t last, uint64_t *ret_minor)
{
    const size_t pairs = bp_cbor_get_map(rd);
    need_key(rd, 1);
    if (!bp_span_equal(bp_cbor_get_tstr(rd), type)) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    need_key(rd, 2);
    if (bp_cbor_get_uint(rd) != 1) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    need_key(rd, 3);
    *ret_minor = bp_cbor_get_uint(rd);
    if (pairs < last) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return (uint32_t)(pairs - last);
}

static void skip_unknown(bp_rd *rd, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        (void)bp_cbor_get_item(rd);
        (void)bp_cbor_get_item(rd);
    }
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
    need_key(rd, 4);
    v->device_id = bp_cbor_get_bstr_n(rd, 33);
    need_key(rd, 5);
    v->pseudonym = bp_cbor_get_tstr(rd);
    need_key(rd, 6);
    get_keys(rd, v);
    need_key(rd, 7);
    v->retired_ms = bp_cbor_get_int(rd);
    need_key(rd, 8);
    v->reason = bp_cbor_get_tstr(rd);
    need_key(rd, 9);
    v->actor = bp_cbor_get_tstr(rd);
    need_key(rd, 10);
    v->event = bp_cbor_get_uint(rd);
    need_key(rd, 11);
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
    ret->unknown = get_head(&rd, BP_SPAN_STR(TYPE_STATEMENT), 11, &ret->minor);
    get_members(&rd, ret);
    skip_unknown(&rd, ret->unknown);
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
    v.unknown = get_head(&rd, BP_SPAN_STR(TYPE_FILE), 6, &v.minor);
    need_key(&rd, 4);
    v.statement = bp_cbor_get_bstr(&rd);
    need_key(&rd, 5);
    v.root = bp_cbor_get_bstr(&rd);
    need_key(&rd, 6);
    v.signer = bp_cbor_get_bstr(&rd);
    skip_unknown(&rd, v.unknown);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_file(&v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

static void put_head(bp_cw *w, uint32_t members, bp_span type)
{
    bp_cw_map(w, members);
    bp_cw_uint(w, 1);
    bp_cw_tstr(w, type);
    bp_cw_uint(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, 0);
}

static void put_bytes(bp_cw *w, uint64_t key, bp_span value)
{
    bp_cw_uint(w, key);
    bp_cw_bstr(w, value);
}

static void put_text(bp_cw *w, uint64_t key, bp_span value)
{
    bp_cw_uint(w, key);
    bp_cw_tstr(w, value);
}

bp_result bp_decommission_write(const struct bp_decommission *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_statement(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 11, BP_SPAN_STR(TYPE_STATEMENT));
    put_bytes(&w, 4, v->device_id);
    put_text(&w, 5, v->pseudonym);
    bp_cw_uint(&w, 6);
    bp_cw_array(&w, v->keys);
    for (uint32_t i = 0; i < v->keys; i++) {
        bp_cw_bstr(&w, v->key[i]);
    }
    bp_cw_uint(&w, 7);
    bp_cw_int(&w, v->retired_ms);
    put_text(&w, 8, v->reason);
    put_text(&w, 9, v->actor);
    bp_cw_uint(&w, 10);
    bp_cw_uint(&w, v->event);
    put_bytes(&w, 11, v->digest);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_decommission_file_write(const struct bp_decommission_file *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_file(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 6, BP_SPAN_STR(TYPE_FILE));
    put_bytes(&w, 4, v->statement);
    put_bytes(&w, 5, v->root);
    put_bytes(&w, 6, v->signer);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
