/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ear - reader and writer of the attestation result. */
#include "codec/ear.h"

#define BP_MODULE CODEC

#define K_IAT       6u
#define K_NONCE     10u
#define K_PROFILE   265u
#define K_SUBMODS   266u
#define K_STATUS    1000u
#define K_VECTOR    1001u
#define K_POLICY    1003u
#define K_VERIFIER  1004u
#define K_OURS      (-75000) /* private keys: K_OURS - n */

enum ours {
    O_PSEUDONYM = 1,
    O_DEVICE_ID,
    O_EVIDENCE,
    O_REFERENCES,
    O_POLICY,
    O_AS_OF,
    O_KEYS,
    O_REASON,
    O_FINDINGS
};

const char *bp_tier_name(uint64_t tier)
{
    switch (tier) {
    case BP_TIER_NONE:
        return "none";
    case BP_TIER_AFFIRMING:
        return "affirming";
    case BP_TIER_WARNING:
        return "warning";
    case BP_TIER_CONTRAINDICATED:
        return "contraindicated";
    default:
        return "?";
    }
}

const char *bp_ar4si_name(enum bp_ar4si claim)
{
    static const char *const name[BP_AR_COUNT] = {"instance-identity", "configuration",  "executables",
                                                  "file-system",       "hardware",       "runtime-opaque",
                                                  "storage-opaque",    "sourced-data"};
    return claim < BP_AR_COUNT ? name[claim] : "?";
}

static bool is_tier(uint64_t v)
{
    return v == BP_TIER_NONE || v == BP_TIER_AFFIRMING || v == BP_TIER_WARNING || v == BP_TIER_CONTRAINDICATED;
}

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n > BP_EAR_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    } else if (s.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED)); /* what is empty is left out */
    }
    return s;
}

static uint64_t get_tier(bp_rd *rd)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (!is_tier(v)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static void get_vector(bp_rd *rd, uint8_t *ret_has, int8_t ret[BP_AR_COUNT])
{
    const size_t n = bp_cbor_get_map(rd);
    if (n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        const uint64_t claim = bp_cbor_get_uint(rd);
        const int64_t v = bp_cbor_get_int(rd);
        if (claim >= BP_AR_COUNT || v < INT8_MIN || v > INT8_MAX) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
            return;
        }
        *ret_has |= (uint8_t)(1u << claim);
        ret[claim] = (int8_t)v;
    }
}

static void get_verifier(bp_rd *rd, bp_span *ret_developer, bp_span *ret_build)
{
    if (bp_cbor_get_map(rd) != 2 || bp_cbor_get_uint(rd) != 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    *ret_developer = get_text(rd);
    if (bp_cbor_get_uint(rd) != 1) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    *ret_build = get_text(rd);
}

static void get_keys(bp_rd *rd, struct bp_ear *ear)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_EAR_KEYS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ear->key[i] = bp_cbor_get_bstr_n(rd, 32);
    }
    ear->keys = (uint32_t)n;
}

static void get_findings(bp_rd *rd, struct bp_ear *ear)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_EAR_FINDINGS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(rd) != 3) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        ear->finding[i].code = get_text(rd);
        ear->finding[i].tier = get_tier(rd);
        ear->finding[i].text = get_text(rd);
    }
    ear->findings = (uint32_t)n;
}

static void get_ours(bp_rd *rd, int64_t key, struct bp_ear *ear)
{
    switch (K_OURS - key) {
    case O_PSEUDONYM:
        ear->pseudonym = get_text(rd);
        break;
    case O_DEVICE_ID:
        ear->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case O_EVIDENCE:
        ear->evidence_digest = bp_cbor_get_bstr_n(rd, 32);
        break;
    case O_REFERENCES:
        ear->references_digest = bp_cbor_get_bstr_n(rd, 32);
        break;
    case O_POLICY:
        ear->policy_digest = bp_cbor_get_bstr_n(rd, 32);
        break;
    case O_AS_OF:
        ear->as_of_ms = bp_cbor_get_int(rd);
        break;
    case O_KEYS:
        get_keys(rd, ear);
        break;
    case O_REASON:
        ear->reason = get_text(rd);
        break;
    case O_FINDINGS:
        get_findings(rd, ear);
        break;
    default:
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        break;
    }
}

static void get_appraisal(bp_rd *rd, struct bp_ear *ear)
{
    bool has_status = false;
    bool has_as_of = false;
    const size_t n = bp_cbor_get_map(rd);
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        const int64_t key = bp_cbor_get_int(rd);
        if (key == K_STATUS) {
            ear->status = get_tier(rd);
            has_status = true;
        } else if (key == K_VECTOR) {
            get_vector(rd, &ear->has_vector, ear->vector);
        } else if (key == K_POLICY) {
            if (bp_cbor_get_array(rd) != 1) {
                bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
            }
            ear->policy_id = get_text(rd);
        } else if (key < 0) {
            has_as_of = has_as_of || key == K_OURS - O_AS_OF;
            get_ours(rd, key, ear);
        } else {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
    }
    if (!has_status || !has_as_of) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static bp_span get_profile(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (!bp_span_equal(s, BP_SPAN_STR(BP_EAR_PROFILE))) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    return s;
}

static void get_submods(bp_rd *rd, struct bp_ear *ear)
{
    if (bp_cbor_get_map(rd) != 1 || !bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(BP_EAR_SUBMOD))) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        return;
    }
    get_appraisal(rd, ear);
}

static void get_top(bp_rd *rd, uint64_t key, struct bp_ear *ear)
{
    switch (key) {
    case K_IAT:
        ear->iat_s = bp_cbor_get_int(rd);
        break;
    case K_NONCE:
        ear->nonce = bp_cbor_get_bstr(rd);
        if (ear->nonce.n < 8 || ear->nonce.n > 64) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        break;
    case K_PROFILE:
        ear->profile = get_profile(rd);
        break;
    case K_SUBMODS:
        get_submods(rd, ear);
        break;
    case K_VERIFIER:
        get_verifier(rd, &ear->developer, &ear->build);
        break;
    default:
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        break;
    }
}

bp_result bp_ear_read(bp_span payload, struct bp_ear *ret)
{
    BP_TRY(bp_cbor_check(payload));
    bp_rd rd = bp_rd_over(payload);
    memset(ret, 0, sizeof *ret);
    const size_t n = bp_cbor_get_map(&rd);
    bool has_iat = false;
    bool has_submods = false;
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        has_iat = has_iat || key == K_IAT;
        has_submods = has_submods || key == K_SUBMODS;
        get_top(&rd, key, ret);
    }
    bp_result r = bp_rd_finish(&rd);
    if (!bp_failed(r) && (!has_iat || !has_submods || ret->profile.n == 0 || ret->developer.n == 0)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

/* --- writing --- */

static bool is_sized(bp_span s, size_t n)
{
    return s.n == 0 || s.n == n;
}

static bool is_short(bp_span s)
{
    return s.n <= BP_EAR_TEXT_MAX;
}

static bool is_writable(const struct bp_ear *e)
{
    bool ok = (e->nonce.n == 0 || (e->nonce.n >= 8 && e->nonce.n <= 64)) && e->developer.n != 0 && e->build.n != 0 &&
              is_short(e->developer) && is_short(e->build) && is_tier(e->status) && is_short(e->policy_id) &&
              is_short(e->pseudonym) && is_sized(e->device_id, 33) && is_sized(e->evidence_digest, 32) &&
              is_sized(e->references_digest, 32) && is_sized(e->policy_digest, 32) && e->keys <= BP_EAR_KEYS_MAX &&
              is_short(e->reason) && e->findings <= BP_EAR_FINDINGS_MAX;
    for (uint32_t i = 0; ok && i < e->keys; i++) {
        ok = e->key[i].n == 32;
    }
    for (uint32_t i = 0; ok && i < e->findings; i++) {
        const struct bp_ear_finding *f = &e->finding[i];
        ok = f->code.n != 0 && f->text.n != 0 && is_short(f->code) && is_short(f->text) && is_tier(f->tier);
    }
    return ok;
}

static void put_ours(bp_cw *w, enum ours n)
{
    bp_cw_int(w, K_OURS - (int64_t)n);
}

static void put_bytes(bp_cw *w, enum ours n, bp_span v)
{
    if (v.n != 0) {
        put_ours(w, n);
        bp_cw_bstr(w, v);
    }
}

static void put_text(bp_cw *w, enum ours n, bp_span v)
{
    if (v.n != 0) {
        put_ours(w, n);
        bp_cw_tstr(w, v);
    }
}

static void put_vector(bp_cw *w, const struct bp_ear *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < BP_AR_COUNT; i++) {
        n += e->has_vector >> i & 1u;
    }
    if (n == 0) {
        return;
    }
    bp_cw_uint(w, K_VECTOR);
    bp_cw_map(w, n);
    for (uint32_t i = 0; i < BP_AR_COUNT; i++) {
        if ((e->has_vector >> i & 1u) != 0) {
            bp_cw_uint(w, i);
            bp_cw_int(w, e->vector[i]);
        }
    }
}

static void put_lists(bp_cw *w, const struct bp_ear *e)
{
    if (e->keys != 0) {
        put_ours(w, O_KEYS);
        bp_cw_array(w, e->keys);
        for (uint32_t i = 0; i < e->keys; i++) {
            bp_cw_bstr(w, e->key[i]);
        }
    }
    put_text(w, O_REASON, e->reason);
    if (e->findings != 0) {
        put_ours(w, O_FINDINGS);
        bp_cw_array(w, e->findings);
        for (uint32_t i = 0; i < e->findings; i++) {
            bp_cw_array(w, 3);
            bp_cw_tstr(w, e->finding[i].code);
            bp_cw_uint(w, e->finding[i].tier);
            bp_cw_tstr(w, e->finding[i].text);
        }
    }
}

static uint32_t one(bool is)
{
    return is ? 1u : 0u;
}

static void put_appraisal(bp_cw *w, const struct bp_ear *e)
{
    bp_cw_map(w, 2u + one(e->has_vector != 0) + one(e->policy_id.n != 0) + one(e->pseudonym.n != 0) +
                     one(e->device_id.n != 0) + one(e->evidence_digest.n != 0) + one(e->references_digest.n != 0) +
                     one(e->policy_digest.n != 0) + one(e->keys != 0) + one(e->reason.n != 0) + one(e->findings != 0));
    bp_cw_uint(w, K_STATUS);
    bp_cw_uint(w, e->status);
    put_vector(w, e);
    if (e->policy_id.n != 0) {
        bp_cw_uint(w, K_POLICY);
        bp_cw_array(w, 1);
        bp_cw_tstr(w, e->policy_id);
    }
    put_text(w, O_PSEUDONYM, e->pseudonym);
    put_bytes(w, O_DEVICE_ID, e->device_id);
    put_bytes(w, O_EVIDENCE, e->evidence_digest);
    put_bytes(w, O_REFERENCES, e->references_digest);
    put_bytes(w, O_POLICY, e->policy_digest);
    put_ours(w, O_AS_OF);
    bp_cw_int(w, e->as_of_ms);
    put_lists(w, e);
}

bp_result bp_ear_write(const struct bp_ear *e, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(e)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 4u + one(e->nonce.n != 0));
    bp_cw_uint(&w, K_IAT);
    bp_cw_int(&w, e->iat_s);
    if (e->nonce.n != 0) {
        bp_cw_uint(&w, K_NONCE);
        bp_cw_bstr(&w, e->nonce);
    }
    bp_cw_uint(&w, K_PROFILE);
    bp_cw_cstr(&w, BP_EAR_PROFILE);
    bp_cw_uint(&w, K_SUBMODS);
    bp_cw_map(&w, 1);
    bp_cw_cstr(&w, BP_EAR_SUBMOD);
    put_appraisal(&w, e);
    bp_cw_uint(&w, K_VERIFIER);
    bp_cw_map(&w, 2);
    bp_cw_uint(&w, 0);
    bp_cw_tstr(&w, e->developer);
    bp_cw_uint(&w, 1);
    bp_cw_tstr(&w, e->build);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

/* --- any EAR --- */

static void check_appraisal(bp_rd *rd)
{
    bool has_status = false;
    uint8_t has_vector = 0;
    int8_t vector[BP_AR_COUNT];
    const size_t n = bp_cbor_get_map(rd);
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        if (bp_cbor_peek(rd) != BP_CBOR_UINT) { /* an extension's name or private number */
            (void)bp_cbor_get_item(rd);
            (void)bp_cbor_get_item(rd);
            continue;
        }
        const uint64_t key = bp_cbor_get_uint(rd);
        if (key == K_STATUS) {
            (void)get_tier(rd);
            has_status = true;
        } else if (key == K_VECTOR) {
            get_vector(rd, &has_vector, vector);
        } else {
            (void)bp_cbor_get_item(rd);
        }
    }
    if (!has_status) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void check_submods(bp_rd *rd)
{
    const size_t n = bp_cbor_get_map(rd);
    if (n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        (void)bp_cbor_get_tstr(rd);
        check_appraisal(rd);
    }
}

static uint32_t check_top(bp_rd *rd)
{
    bp_span text[2];
    switch (bp_cbor_get_uint(rd)) {
    case K_IAT:
        (void)bp_cbor_get_int(rd);
        return 1;
    case K_PROFILE:
        (void)get_profile(rd);
        return 2;
    case K_VERIFIER:
        get_verifier(rd, &text[0], &text[1]);
        return 4;
    case K_SUBMODS:
        check_submods(rd);
        return 8;
    default:
        (void)bp_cbor_get_item(rd);
        return 0;
    }
}

bp_result bp_ear_check(bp_span payload)
{
    BP_TRY(bp_cbor_check(payload));
    bp_rd rd = bp_rd_over(payload);
    uint32_t seen = 0;
    const size_t n = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(&rd)); i++) {
        if (bp_cbor_peek(&rd) == BP_CBOR_UINT) {
            seen |= check_top(&rd);
        } else {
            (void)bp_cbor_get_item(&rd);
            (void)bp_cbor_get_item(&rd);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    return seen == 15u ? BP_OK : BP_FAIL(MALFORMED);
}
