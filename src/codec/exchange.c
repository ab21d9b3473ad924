/* SPDX-License-Identifier: Apache-2.0 */
/* codec/exchange - reader and writer of the `http` message's two bodies.
 *
 *   request {1: listener, 2: method, 3: target, ? 4: content type, ? 5: body, ? 6: SPKI hash, ? 7:
 * serial, ? 8: issuer, ? 9: source, ? 10: exporter, ? 11: cookie, ? 12: csrf, ? 13: language, ? 14: agent}
 *   answer  {1: status, 2: content type, 3: body, 4: [[name, value], ...]} */
#include "codec/exchange.h"

#include "codec/cbor.h"

#define BP_MODULE CODEC

#define MEMBERS   14u

/* Where each member stands, and whether it is text; index is key - 1. */
static bp_span *member(struct bp_ex_request *q, size_t key, bool *ret_text)
{
    bp_span *const at[MEMBERS] = {&q->listener, &q->method,    &q->target,      &q->content_type,
                                  &q->body,     &q->peer_spki, &q->peer_serial, &q->peer_issuer,
                                  &q->source,   &q->exporter,  &q->cookie,      &q->csrf,
                                  &q->language, &q->agent};
    *ret_text = key != 5 && key != 6 && key != 7 && key != 10;
    return at[key - 1];
}

static bool lengths_hold(const struct bp_ex_request *q)
{
    return q->listener.n > 0 && q->method.n > 0 && q->target.n > 0 &&
           q->target.n <= BP_EX_TARGET_MAX && (q->peer_spki.n == 0 || q->peer_spki.n == 32) &&
           (q->exporter.n == 0 || q->exporter.n == 32) && q->peer_serial.n <= 20 && q->agent.n <= BP_EX_AGENT_MAX;
}

bp_result bp_ex_request_write(const struct bp_ex_request *q, uint8_t *p, size_t cap,
                              size_t *ret_len)
{
    struct bp_ex_request copy = *q;
    bool text = false;
    uint32_t pairs = 0;
    if (!lengths_hold(q)) {
        return BP_FAIL(MALFORMED);
    }
    for (size_t key = 1; key <= MEMBERS; key++) {
        pairs += member(&copy, key, &text)->n > 0 ? 1 : 0;
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_cw_map(&w, pairs);
    for (size_t key = 1; key <= MEMBERS; key++) {
        const bp_span v = *member(&copy, key, &text);
        if (v.n == 0) {
            continue;
        }
        bp_cw_uint(&w, key);
        if (text) {
            bp_cw_tstr(&w, v);
        } else {
            bp_cw_bstr(&w, v);
        }
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_ex_request_read(bp_span body, struct bp_ex_request *ret)
{
    BP_TRY(bp_cbor_check(body));
    struct bp_ex_request q = {0};
    bp_rd rd = bp_rd_over(body);
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && i < MEMBERS; i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        if (key == 0 || key > MEMBERS) {
            return BP_FAIL(MALFORMED);
        }
        bool text = false;
        bp_span *const at = member(&q, (size_t)key, &text);
        *at = text ? bp_cbor_get_tstr(&rd) : bp_cbor_get_bstr(&rd);
        if (at->n == 0) { /* absent has one encoding */
            bp_rd_fail(&rd, BP_FAIL(MALFORMED));
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    if (!lengths_hold(&q)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = q;
    return BP_OK;
}

bp_result bp_ex_answer_write(const struct bp_ex_answer *a, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (a->header_count > BP_EX_HEADERS_MAX) {
        return BP_FAIL(LIMIT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_cw_map(&w, 4);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, a->status);
    bp_cw_uint(&w, 2);
    bp_cw_tstr(&w, a->content_type);
    bp_cw_uint(&w, 3);
    bp_cw_bstr(&w, a->body);
    bp_cw_uint(&w, 4);
    bp_cw_array(&w, (uint32_t)a->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        bp_cw_array(&w, 2);
        bp_cw_tstr(&w, a->header[i].name);
        bp_cw_tstr(&w, a->header[i].value);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_ex_answer_read(bp_span body, struct bp_ex_answer *ret)
{
    BP_TRY(bp_cbor_check(body));
    struct bp_ex_answer a = {0};
    bp_rd rd = bp_rd_over(body);
    if (bp_cbor_get_map(&rd) != 4) {
        return BP_FAIL(MALFORMED);
    }
    bp_cbor_need_key(&rd, 1);
    const uint64_t status = bp_cbor_get_uint(&rd);
    bp_cbor_need_key(&rd, 2);
    a.content_type = bp_cbor_get_tstr(&rd);
    bp_cbor_need_key(&rd, 3);
    a.body = bp_cbor_get_bstr(&rd);
    bp_cbor_need_key(&rd, 4);
    const size_t n = bp_cbor_get_array(&rd);
    if (status < 100 || status > 599 || n > BP_EX_HEADERS_MAX) {
        return BP_FAIL(MALFORMED);
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(&rd) != 2) {
            bp_rd_fail(&rd, BP_FAIL(MALFORMED));
        }
        a.header[i].name = bp_cbor_get_tstr(&rd);
        a.header[i].value = bp_cbor_get_tstr(&rd);
    }
    BP_TRY(bp_rd_finish(&rd));
    a.status = (uint16_t)status;
    a.header_count = n;
    *ret = a;
    return BP_OK;
}
