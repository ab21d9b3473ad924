/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ownership - readers and writers of ownership. What a writer is given is judged by the same rules as what a reader
 * was sent, so that nothing is signed that nobody takes. */
#include "codec/ownership.h"

#include "codec/object.h"

#define BP_MODULE CODEC

#define TYPE_STATEMENT "ownership"
#define TYPE_CARD      "owner-card"
#define TYPE_ANCHOR    "maker-anchor"
#define TYPE_CHAIN     "ownership-chain"
#define TYPE_ERASURE   "owner-erasure"
#define ATTEST_MAX     1024u
#define SIG_MAX        640u

/* Lengths are known here: strlen is not among what a microcontroller must bring. */
#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
static const bp_span kind_names[] = {TEXT(""), TEXT("assign"), TEXT("transfer"), TEXT("retire"), TEXT("override")};

const char *bp_ownership_kind_name(enum bp_ownership_kind kind)
{
    return (unsigned)kind < sizeof kind_names / sizeof kind_names[0] ? (const char *)kind_names[kind].p : "";
}

/* --- what is allowed --- */

static bool is_name(bp_span s)
{
    return bp_object_is_text(s, 1, BP_OWNERSHIP_NAME_MAX);
}

static bool is_key(bp_span s)
{
    return s.n >= 1 && s.n <= BP_OWNERSHIP_SPKI_MAX;
}

static bool is_zero(bp_span s)
{
    uint8_t any = 0;
    for (size_t i = 0; i < s.n; i++) {
        any |= s.p[i];
    }
    return any == 0;
}

/* Members that only go together in one way. */
static bool goes_together(const struct bp_ownership *v)
{
    const bool is_retired = v->kind == BP_OWNERSHIP_RETIRE;
    const bool is_first = v->kind == BP_OWNERSHIP_ASSIGN;
    const bool wait_ok = v->kind == BP_OWNERSHIP_OVERRIDE
                             ? v->waits_ms >= BP_OWNERSHIP_WAIT_LEAST_MS && v->waits_ms <= BP_OWNERSHIP_WAIT_MOST_MS
                             : v->waits_ms == 0;
    const bool owner_ok = is_retired ? v->to_key.n == 0 && v->owner.n == 0 : is_key(v->to_key) && is_name(v->owner);
    return owner_ok && wait_ok && is_first == (v->epoch == 1) && is_first == is_zero(v->prev);
}

static bool is_statement(const struct bp_ownership *v)
{
    return v->device_id.n == 33 && v->kind >= BP_OWNERSHIP_ASSIGN && v->kind <= BP_OWNERSHIP_OVERRIDE && v->epoch >= 1 &&
           v->prev.n == 32 && v->from_key.n == 32 && v->created_ms >= 0 &&
           (v->expires_ms == 0 || v->expires_ms > v->created_ms) && goes_together(v);
}

static bool is_card(const struct bp_owner_card *v)
{
    return is_key(v->key) && is_name(v->name) && v->root.n == 32 && v->created_ms >= 0;
}

static bool is_anchor(const struct bp_maker_anchor *v)
{
    bool ok = is_name(v->name) && v->keys >= 1 && v->keys <= BP_OWNERSHIP_MAKERS_MAX;
    for (uint32_t i = 0; ok && i < v->keys; i++) {
        ok = is_key(v->key[i]);
        for (uint32_t k = 0; ok && k < i; k++) { /* one key twice would be two signers in name only */
            ok = !bp_span_equal(v->key[k], v->key[i]);
        }
    }
    return ok;
}

static bool is_chain(const struct bp_ownership_chain *v)
{
    bool ok = v->device_id.n == 33 && v->maker.n >= 1 && v->maker.n <= BP_OWNERSHIP_ANCHOR_MAX && v->statements >= 1 &&
              v->statements <= BP_OWNERSHIP_CHAIN_MAX && v->card.n <= BP_OWNERSHIP_SIGNED_MAX;
    for (uint32_t i = 0; ok && i < v->statements; i++) {
        ok = v->statement[i].n >= 1 && v->statement[i].n <= BP_OWNERSHIP_SIGNED_MAX;
    }
    return ok;
}

static bool is_erasure(const struct bp_owner_erasure *v)
{
    return v->device_id.n == 33 && v->epoch >= 1 && v->head.n == 32 && v->time_ms >= 0 && v->attest.n >= 1 &&
           v->attest.n <= ATTEST_MAX && v->sig.n >= 1 && v->sig.n <= SIG_MAX;
}

/* --- reading --- */

static enum bp_ownership_kind get_kind(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    for (unsigned i = BP_OWNERSHIP_ASSIGN; i <= BP_OWNERSHIP_OVERRIDE; i++) {
        if (bp_span_equal(s, kind_names[i])) {
            return (enum bp_ownership_kind)i;
        }
    }
    bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    return BP_OWNERSHIP_ASSIGN;
}

static bp_span get_bstr_max(bp_rd *rd, size_t most)
{
    const bp_span s = bp_cbor_get_bstr(rd);
    if (s.n > most) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static uint32_t get_u32(bp_rd *rd)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v > UINT32_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return (uint32_t)v;
}

bp_result bp_ownership_read(bp_span payload, struct bp_ownership *ret)
{
    struct bp_ownership v = {0};
    bp_rd rd = bp_rd_over(payload);
    memset(ret, 0, sizeof *ret);
    BP_TRY(bp_cbor_check(payload));
    v.unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_STATEMENT), 13, &v.minor);
    bp_cbor_need_key(&rd, 4);
    v.device_id = bp_cbor_get_bstr_n(&rd, 33);
    bp_cbor_need_key(&rd, 5);
    v.kind = get_kind(&rd);
    bp_cbor_need_key(&rd, 6);
    v.epoch = get_u32(&rd);
    bp_cbor_need_key(&rd, 7);
    v.prev = bp_cbor_get_bstr_n(&rd, 32);
    bp_cbor_need_key(&rd, 8);
    v.from_key = bp_cbor_get_bstr_n(&rd, 32);
    bp_cbor_need_key(&rd, 9);
    v.to_key = get_bstr_max(&rd, BP_OWNERSHIP_SPKI_MAX);
    bp_cbor_need_key(&rd, 10);
    v.owner = bp_cbor_get_tstr(&rd);
    bp_cbor_need_key(&rd, 11);
    v.created_ms = bp_cbor_get_int(&rd);
    bp_cbor_need_key(&rd, 12);
    v.expires_ms = bp_cbor_get_int(&rd);
    bp_cbor_need_key(&rd, 13);
    v.waits_ms = bp_cbor_get_uint(&rd);
    bp_object_skip(&rd, v.unknown);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_statement(&v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

bp_result bp_owner_card_read(bp_span payload, struct bp_owner_card *ret)
{
    struct bp_owner_card v = {0};
    bp_rd rd = bp_rd_over(payload);
    memset(ret, 0, sizeof *ret);
    BP_TRY(bp_cbor_check(payload));
    v.unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_CARD), 7, &v.minor);
    bp_cbor_need_key(&rd, 4);
    v.key = get_bstr_max(&rd, BP_OWNERSHIP_SPKI_MAX);
    bp_cbor_need_key(&rd, 5);
    v.name = bp_cbor_get_tstr(&rd);
    bp_cbor_need_key(&rd, 6);
    v.root = bp_cbor_get_bstr_n(&rd, 32);
    bp_cbor_need_key(&rd, 7);
    v.created_ms = bp_cbor_get_int(&rd);
    bp_object_skip(&rd, v.unknown);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_card(&v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

/* Byte strings of an array, each of at most `most` bytes. */
static uint32_t get_list(bp_rd *rd, bp_span *ret, size_t count, size_t most)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > count) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        ret[i] = get_bstr_max(rd, most);
    }
    return (uint32_t)n;
}

bp_result bp_maker_anchor_read(bp_span in, struct bp_maker_anchor *ret)
{
    bp_rd rd = bp_rd_over(in);
    memset(ret, 0, sizeof *ret);
    if (in.n > BP_OWNERSHIP_ANCHOR_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    ret->unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_ANCHOR), 5, &ret->minor);
    bp_cbor_need_key(&rd, 4);
    ret->name = bp_cbor_get_tstr(&rd);
    bp_cbor_need_key(&rd, 5);
    ret->keys = get_list(&rd, ret->key, BP_OWNERSHIP_MAKERS_MAX, BP_OWNERSHIP_SPKI_MAX);
    bp_object_skip(&rd, ret->unknown);
    bp_result r = bp_rd_finish(&rd);
    r = !bp_failed(r) && !is_anchor(ret) ? BP_FAIL(MALFORMED) : r;
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

bp_result bp_ownership_chain_read(bp_span in, struct bp_ownership_chain *ret)
{
    bp_rd rd = bp_rd_over(in);
    memset(ret, 0, sizeof *ret);
    if (in.n > BP_OWNERSHIP_FILE_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    ret->unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_CHAIN), 7, &ret->minor);
    bp_cbor_need_key(&rd, 4);
    ret->device_id = bp_cbor_get_bstr_n(&rd, 33);
    bp_cbor_need_key(&rd, 5);
    ret->maker = get_bstr_max(&rd, BP_OWNERSHIP_ANCHOR_MAX);
    bp_cbor_need_key(&rd, 6);
    ret->statements = get_list(&rd, ret->statement, BP_OWNERSHIP_CHAIN_MAX, BP_OWNERSHIP_SIGNED_MAX);
    bp_cbor_need_key(&rd, 7);
    ret->card = get_bstr_max(&rd, BP_OWNERSHIP_SIGNED_MAX);
    bp_object_skip(&rd, ret->unknown);
    bp_result r = bp_rd_finish(&rd);
    r = !bp_failed(r) && !is_chain(ret) ? BP_FAIL(MALFORMED) : r;
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

bp_result bp_owner_erasure_read(bp_span in, struct bp_owner_erasure *ret)
{
    struct bp_owner_erasure v = {0};
    bp_rd rd = bp_rd_over(in);
    memset(ret, 0, sizeof *ret);
    if (in.n > BP_OWNER_ERASURE_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    v.unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE_ERASURE), 9, &v.minor);
    bp_cbor_need_key(&rd, 4);
    v.device_id = bp_cbor_get_bstr_n(&rd, 33);
    bp_cbor_need_key(&rd, 5);
    v.epoch = get_u32(&rd);
    bp_cbor_need_key(&rd, 6);
    v.head = bp_cbor_get_bstr_n(&rd, 32);
    bp_cbor_need_key(&rd, 7);
    v.time_ms = bp_cbor_get_int(&rd);
    bp_cbor_need_key(&rd, 8);
    v.attest = get_bstr_max(&rd, ATTEST_MAX);
    bp_cbor_need_key(&rd, 9);
    v.sig = get_bstr_max(&rd, SIG_MAX);
    bp_object_skip(&rd, v.unknown);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_erasure(&v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

/* --- writing --- */

static void put_list(bp_cw *w, uint64_t key, const bp_span *list, uint32_t count)
{
    bp_cw_uint(w, key);
    bp_cw_array(w, count);
    for (uint32_t i = 0; i < count; i++) {
        bp_cw_bstr(w, list[i]);
    }
}

bp_result bp_ownership_write(const struct bp_ownership *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_statement(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 13, BP_SPAN_STR(TYPE_STATEMENT));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_text(&w, 5, kind_names[v->kind]);
    bp_object_put_uint(&w, 6, v->epoch);
    bp_object_put_bytes(&w, 7, v->prev);
    bp_object_put_bytes(&w, 8, v->from_key);
    bp_object_put_bytes(&w, 9, v->to_key);
    bp_object_put_text(&w, 10, v->owner);
    bp_object_put_uint(&w, 11, (uint64_t)v->created_ms);
    bp_object_put_uint(&w, 12, (uint64_t)v->expires_ms);
    bp_object_put_uint(&w, 13, v->waits_ms);
    return bp_object_finish(&w, ret_len);
}

bp_result bp_owner_card_write(const struct bp_owner_card *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_card(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 7, BP_SPAN_STR(TYPE_CARD));
    bp_object_put_bytes(&w, 4, v->key);
    bp_object_put_text(&w, 5, v->name);
    bp_object_put_bytes(&w, 6, v->root);
    bp_object_put_uint(&w, 7, (uint64_t)v->created_ms);
    return bp_object_finish(&w, ret_len);
}

bp_result bp_maker_anchor_write(const struct bp_maker_anchor *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_anchor(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 5, BP_SPAN_STR(TYPE_ANCHOR));
    bp_object_put_text(&w, 4, v->name);
    put_list(&w, 5, v->key, v->keys);
    return bp_object_finish(&w, ret_len);
}

bp_result bp_ownership_chain_write(const struct bp_ownership_chain *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_chain(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 7, BP_SPAN_STR(TYPE_CHAIN));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_bytes(&w, 5, v->maker);
    put_list(&w, 6, v->statement, v->statements);
    bp_object_put_bytes(&w, 7, v->card);
    return bp_object_finish(&w, ret_len);
}

bp_result bp_owner_erasure_write(const struct bp_owner_erasure *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_erasure(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 9, BP_SPAN_STR(TYPE_ERASURE));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_uint(&w, 5, v->epoch);
    bp_object_put_bytes(&w, 6, v->head);
    bp_object_put_uint(&w, 7, (uint64_t)v->time_ms);
    bp_object_put_bytes(&w, 8, v->attest);
    bp_object_put_bytes(&w, 9, v->sig);
    return bp_object_finish(&w, ret_len);
}
