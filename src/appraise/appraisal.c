/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/appraisal - the object form of an appraisal, both directions. */
#include "appraise/appraisal.h"

#define BP_MODULE APPRAISE

#define OBJECT_TYPE "appraisal"
#define MEMBERS     19u

/* --- reading --- */

static void get_key(bp_rd *rd, uint64_t key)
{
    if (bp_cbor_get_uint(rd) != key) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_items(bp_rd *rd, size_t n)
{
    if (bp_cbor_get_array(rd) != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/* Number of items of a list; 0 when it is too long. */
static uint32_t get_list(bp_rd *rd, uint32_t max)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > max) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    return (uint32_t)n;
}

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n > BP_APPRAISAL_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static void get_hash(bp_rd *rd, uint8_t ret[BP_SHA256_SIZE])
{
    const bp_span s = bp_cbor_get_bstr_n(rd, BP_SHA256_SIZE);
    if (s.n == BP_SHA256_SIZE) {
        memcpy(ret, s.p, s.n);
    }
}

static uint64_t get_tier(bp_rd *rd)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v != BP_TIER_NONE && v != BP_TIER_AFFIRMING && v != BP_TIER_WARNING && v != BP_TIER_CONTRAINDICATED) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static void get_vector(bp_rd *rd, int8_t ret[BP_AR_COUNT])
{
    get_items(rd, BP_AR_COUNT);
    for (size_t i = 0; i < BP_AR_COUNT; i++) {
        const int64_t v = bp_cbor_get_int(rd);
        if (v < INT8_MIN || v > INT8_MAX) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        } else {
            ret[i] = (int8_t)v;
        }
    }
}

static void get_findings(bp_rd *rd, struct bp_appraisal *a)
{
    a->findings = get_list(rd, BP_APPRAISAL_FINDINGS_MAX);
    for (uint32_t i = 0; i < a->findings && !bp_failed(bp_rd_state(rd)); i++) {
        struct bp_finding *f = &a->finding[i];
        get_items(rd, 5);
        f->id = bp_finding_of_code(bp_cbor_get_tstr(rd));
        const struct bp_finding_row row = bp_finding_row(f->id);
        const uint64_t effect = bp_cbor_get_uint(rd);
        const uint64_t claim = bp_cbor_get_uint(rd);
        f->text = get_text(rd);
        f->at = bp_cbor_get_uint(rd);
        if (f->id == BP_F_COUNT || effect != (uint64_t)row.effect || claim != (uint64_t)row.claim) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
    }
}

static void get_claims(bp_rd *rd, struct bp_appraisal *a)
{
    const uint32_t n = get_list(rd, BP_C_COUNT);
    uint32_t next = 0; /* names are ascending, as ids are */
    for (uint32_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        get_items(rd, 2);
        const enum bp_claim_id id = bp_claim_of_name(bp_cbor_get_tstr(rd));
        if (id == BP_C_COUNT || (uint32_t)id < next) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
            return;
        }
        next = (uint32_t)id + 1;
        struct bp_claim *c = &a->claim[id];
        c->is_set = true;
        switch (bp_claim_row(id).type) {
        case BP_CLAIM_INTEGER:
            c->number = bp_cbor_get_int(rd);
            break;
        case BP_CLAIM_TEXT:
            c->bytes = get_text(rd);
            break;
        case BP_CLAIM_BLOB:
            c->bytes = bp_cbor_get_bstr(rd);
            break;
        }
    }
}

static void get_held(bp_rd *rd, struct bp_appraisal *a)
{
    get_items(rd, 2);
    const bp_span log = bp_cbor_get_bstr(rd);
    a->has_log = log.n != 0;
    if (log.n == BP_SHA256_SIZE) {
        memcpy(a->held_log, log.p, log.n);
    } else if (log.n != 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    a->held_ima = bp_cbor_get_uint(rd);
}

static void get_keys(bp_rd *rd, struct bp_appraisal *a)
{
    a->keys = get_list(rd, BP_EVIDENCE_KEYS_MAX);
    for (uint32_t i = 0; i < a->keys; i++) {
        get_hash(rd, a->key[i]);
    }
}

static void get_activation(bp_rd *rd, struct bp_appraisal *a)
{
    a->activation = bp_cbor_get_bstr(rd);
    if (a->activation.n != 0 && a->activation.n != BP_SHA256_SIZE) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_releases(bp_rd *rd, struct bp_appraisal *a)
{
    a->releases = get_list(rd, BP_APPRAISAL_RELEASES_MAX);
    for (uint32_t i = 0; i < a->releases; i++) {
        a->release[i] = bp_cbor_get_bstr_n(rd, BP_SHA256_SIZE);
    }
}

static void get_chain(bp_rd *rd, struct bp_appraisal *a)
{
    const uint32_t n = get_list(rd, BP_TILE_COUNT);
    for (uint32_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        get_items(rd, 4);
        if (bp_cbor_get_uint(rd) != i) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        a->tile[i].tier = get_tier(rd);
        a->tile[i].text = get_text(rd);
        a->tile[i].does_not_prove = get_text(rd);
    }
    if (n != BP_TILE_COUNT && n != 0) { /* none: refused */
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_head(bp_rd *rd)
{
    get_key(rd, 1);
    if (!bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(OBJECT_TYPE))) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    get_key(rd, 2);
    if (bp_cbor_get_uint(rd) != 1) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    get_key(rd, 3);
    (void)bp_cbor_get_uint(rd);
}

static void get_body(bp_rd *rd, struct bp_appraisal *a)
{
    get_key(rd, 4);
    a->accepted = bp_cbor_get_bool(rd);
    get_key(rd, 5);
    a->tier = get_tier(rd);
    get_key(rd, 6);
    get_vector(rd, a->vector);
    get_key(rd, 7);
    a->reason = get_text(rd);
    get_key(rd, 8);
    get_findings(rd, a);
    get_key(rd, 9);
    get_claims(rd, a);
    get_key(rd, 10);
    a->state = bp_cbor_get_bstr(rd);
    get_key(rd, 11);
    get_hash(rd, a->evidence_digest);
    get_key(rd, 12);
    get_hash(rd, a->references_digest);
    get_key(rd, 13);
    get_held(rd, a);
    get_key(rd, 14);
    get_keys(rd, a);
    get_key(rd, 15);
    get_activation(rd, a);
    get_key(rd, 16);
    get_releases(rd, a);
    get_key(rd, 17);
    a->seq = bp_cbor_get_uint(rd);
    get_key(rd, 18);
    a->issued_ms = bp_cbor_get_uint(rd);
    get_key(rd, 19);
    get_chain(rd, a);
}

bp_result bp_appraisal_read(bp_span in, struct bp_appraisal *ret)
{
    if (in.n > BP_APPRAISAL_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    if (bp_cbor_get_map(&rd) != MEMBERS) {
        return BP_FAIL(MALFORMED);
    }
    struct bp_appraisal a;
    memset(&a, 0, sizeof a);
    get_head(&rd);
    get_body(&rd, &a);
    BP_TRY(bp_rd_finish(&rd));
    *ret = a;
    return BP_OK;
}

/* --- writing --- */

static void put_hash(bp_cw *w, const uint8_t hash[BP_SHA256_SIZE])
{
    bp_cw_bstr(w, bp_span_of(hash, BP_SHA256_SIZE));
}

static void put_findings(bp_cw *w, const struct bp_appraisal *a)
{
    bp_cw_uint(w, 8);
    bp_cw_array(w, a->findings);
    for (uint32_t i = 0; i < a->findings; i++) {
        const struct bp_finding_row row = bp_finding_row(a->finding[i].id);
        bp_cw_array(w, 5);
        bp_cw_cstr(w, row.code);
        bp_cw_uint(w, (uint64_t)row.effect);
        bp_cw_uint(w, (uint64_t)row.claim);
        bp_cw_tstr(w, a->finding[i].text);
        bp_cw_uint(w, a->finding[i].at);
    }
}

static void put_claims(bp_cw *w, const struct bp_appraisal *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < BP_C_COUNT; i++) {
        n += a->claim[i].is_set ? 1u : 0u;
    }
    bp_cw_uint(w, 9);
    bp_cw_array(w, n);
    for (uint32_t i = 0; i < BP_C_COUNT; i++) {
        const struct bp_claim *c = &a->claim[i];
        if (!c->is_set) {
            continue;
        }
        const struct bp_claim_row row = bp_claim_row((enum bp_claim_id)i);
        bp_cw_array(w, 2);
        bp_cw_cstr(w, row.name);
        switch (row.type) {
        case BP_CLAIM_INTEGER:
            bp_cw_int(w, c->number);
            break;
        case BP_CLAIM_TEXT:
            bp_cw_tstr(w, c->bytes);
            break;
        case BP_CLAIM_BLOB:
            bp_cw_bstr(w, c->bytes);
            break;
        }
    }
}

static void put_lists(bp_cw *w, const struct bp_appraisal *a)
{
    bp_cw_uint(w, 13);
    bp_cw_array(w, 2);
    bp_cw_bstr(w, bp_span_of(a->held_log, a->has_log ? sizeof a->held_log : 0));
    bp_cw_uint(w, a->held_ima);
    bp_cw_uint(w, 14);
    bp_cw_array(w, a->keys);
    for (uint32_t i = 0; i < a->keys; i++) {
        put_hash(w, a->key[i]);
    }
    bp_cw_uint(w, 15);
    bp_cw_bstr(w, a->activation);
    bp_cw_uint(w, 16);
    bp_cw_array(w, a->releases);
    for (uint32_t i = 0; i < a->releases; i++) {
        bp_cw_bstr(w, a->release[i]);
    }
}

static void put_chain(bp_cw *w, const struct bp_appraisal *a)
{
    const uint32_t n = a->accepted ? BP_TILE_COUNT : 0u;
    bp_cw_uint(w, 19);
    bp_cw_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        bp_cw_array(w, 4);
        bp_cw_uint(w, i);
        bp_cw_uint(w, a->tile[i].tier);
        bp_cw_tstr(w, a->tile[i].text);
        bp_cw_tstr(w, a->tile[i].does_not_prove);
    }
}

static void put_head(bp_cw *w, const struct bp_appraisal *a)
{
    bp_cw_map(w, MEMBERS);
    bp_cw_uint(w, 1);
    bp_cw_cstr(w, OBJECT_TYPE);
    bp_cw_uint(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, 0);
    bp_cw_uint(w, 4);
    bp_cw_bool(w, a->accepted);
    bp_cw_uint(w, 5);
    bp_cw_uint(w, a->tier);
    bp_cw_uint(w, 6);
    bp_cw_array(w, BP_AR_COUNT);
    for (size_t i = 0; i < BP_AR_COUNT; i++) {
        bp_cw_int(w, a->vector[i]);
    }
    bp_cw_uint(w, 7);
    bp_cw_tstr(w, a->reason);
}

bp_result bp_appraisal_write(const struct bp_appraisal *a, uint8_t *ret, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, cap);
    put_head(&w, a);
    put_findings(&w, a);
    put_claims(&w, a);
    bp_cw_uint(&w, 10);
    bp_cw_bstr(&w, a->accepted ? a->state : BP_SPAN_EMPTY);
    bp_cw_uint(&w, 11);
    put_hash(&w, a->evidence_digest);
    bp_cw_uint(&w, 12);
    put_hash(&w, a->references_digest);
    put_lists(&w, a);
    bp_cw_uint(&w, 17);
    bp_cw_uint(&w, a->seq);
    bp_cw_uint(&w, 18);
    bp_cw_uint(&w, a->issued_ms);
    put_chain(&w, a);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
