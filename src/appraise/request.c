/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/request - body of the op `appraise` (docs/protocol/processes.md), both directions. */
#include "appraise/judge.h"

#define BP_MODULE APPRAISE

#define MEMBERS   13u

static int64_t get_ms(bp_rd *rd)
{
    const int64_t v = bp_cbor_get_int(rd);
    if (v < 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n > BP_EVIDENCE_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static void get_qualified(bp_rd *rd, struct bp_appraise_request *req)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_AKBINDING_EKS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        req->qualified[i] = bp_cbor_get_bstr_n(rd, BP_AKBINDING_NAME_SIZE);
    }
    req->parents = (uint32_t)n;
}

bool bp_j_are_names(const struct bp_appraise_request *req)
{
    bool ok = req->parents >= 1 && req->parents <= BP_AKBINDING_EKS_MAX;
    for (uint32_t i = 0; ok && i < req->parents; i++) {
        ok = req->qualified[i].n == BP_AKBINDING_NAME_SIZE;
    }
    return ok;
}

/* The spans of the byte strings, in the order of their keys 1 to 7. */
static void bytes_of(struct bp_appraise_request *req, bp_span *ret[7])
{
    bp_span *const all[7] = {&req->evidence, &req->nonce, &req->device_id, &req->ldevid,
                             &req->binding,  &req->ak,    &req->state};
    memcpy(ret, all, sizeof all);
}

bp_result bp_appraise_request_read(bp_span body, struct bp_appraise_request *ret)
{
    BP_TRY(bp_cbor_check(body));
    bp_rd rd = bp_rd_over(body);
    struct bp_appraise_request req = {0};
    bp_span *bytes[7];
    bytes_of(&req, bytes);
    if (bp_cbor_get_map(&rd) != MEMBERS) {
        return BP_FAIL(MALFORMED);
    }
    for (uint64_t key = 1; key <= MEMBERS && !bp_failed(bp_rd_state(&rd)); key++) {
        if (bp_cbor_get_uint(&rd) != key) { /* all are there, ascending */
            return BP_FAIL(MALFORMED);
        }
        if (key <= 7) {
            *bytes[key - 1] = bp_cbor_get_bstr(&rd);
        } else if (key == 8) {
            req.as_of_ms = get_ms(&rd);
        } else if (key == 9) {
            req.now_ms = get_ms(&rd);
        } else if (key == 10) {
            req.zone = get_text(&rd);
        } else if (key == 11) {
            req.activation = bp_cbor_get_bool(&rd);
        } else if (key == 12) {
            req.root_class = get_text(&rd);
        } else {
            get_qualified(&rd, &req);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = req;
    return BP_OK;
}

bp_result bp_appraise_request_write(const struct bp_appraise_request *req, uint8_t *ret, size_t cap, size_t *ret_len)
{
    struct bp_appraise_request copy = *req;
    bp_span *bytes[7];
    bytes_of(&copy, bytes);
    if (req->as_of_ms < 0 || req->now_ms < 0 || req->zone.n > BP_EVIDENCE_TEXT_MAX ||
        req->root_class.n > BP_EVIDENCE_TEXT_MAX || !bp_j_are_names(req)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, MEMBERS);
    for (uint64_t key = 1; key <= 7; key++) {
        bp_cw_uint(&w, key);
        bp_cw_bstr(&w, *bytes[key - 1]);
    }
    bp_cw_uint(&w, 8);
    bp_cw_int(&w, req->as_of_ms);
    bp_cw_uint(&w, 9);
    bp_cw_int(&w, req->now_ms);
    bp_cw_uint(&w, 10);
    bp_cw_tstr(&w, req->zone);
    bp_cw_uint(&w, 11);
    bp_cw_bool(&w, req->activation);
    bp_cw_uint(&w, 12);
    bp_cw_tstr(&w, req->root_class);
    bp_cw_uint(&w, 13);
    bp_cw_array(&w, req->parents);
    for (uint32_t i = 0; i < req->parents; i++) {
        bp_cw_bstr(&w, req->qualified[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
