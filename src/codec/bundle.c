/* SPDX-License-Identifier: Apache-2.0 */
/* codec/bundle - reader and writer of the bundle. */
#include "codec/bundle.h"

#include "codec/object.h"

#define BP_MODULE CODEC

#define TYPE      "bundle"
#define MEMBERS   15u
#define HASH      32u

static void fail_unless(bp_rd *rd, bool good)
{
    if (!good) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_array_of(bp_rd *rd, size_t n)
{
    fail_unless(rd, bp_cbor_get_array(rd) == n);
}

/* Number of items of an array with a ceiling; 0 after a failure. */
static uint32_t get_array_max(bp_rd *rd, size_t max)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > max) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    return (uint32_t)n;
}

static bp_span get_filled(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_bstr(rd);
    fail_unless(rd, s.n != 0);
    return s;
}

static void get_header(bp_rd *rd)
{
    bp_cbor_need_key(rd, 1);
    const bool is_type = bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(TYPE));
    bp_cbor_need_key(rd, 2);
    const bool is_major = bp_cbor_get_uint(rd) == 1;
    bp_cbor_need_key(rd, 3);
    const bool is_minor = bp_cbor_get_uint(rd) == 0;
    if (!is_type || !is_major || !is_minor) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
}

static void get_proof(bp_rd *rd, struct bp_bundle *b)
{
    get_array_of(rd, 3);
    b->index = bp_cbor_get_uint(rd);
    b->size = bp_cbor_get_uint(rd);
    b->hashes = get_array_max(rd, BP_BUNDLE_PROOF_MAX);
    for (uint32_t i = 0; i < b->hashes; i++) {
        b->hash[i] = bp_cbor_get_bstr_n(rd, HASH);
    }
    fail_unless(rd, b->index < b->size);
}

static void get_nonce(bp_rd *rd, struct bp_bundle *b)
{
    get_array_of(rd, 3);
    b->nonce = bp_cbor_get_bstr_n(rd, 32);
    b->seq = bp_cbor_get_uint(rd);
    b->issued_ms = bp_cbor_get_uint(rd);
    fail_unless(rd, b->issued_ms <= INT64_MAX);
}

static void get_chain(bp_rd *rd, struct bp_bundle *b)
{
    b->certs = get_array_max(rd, BP_BUNDLE_CHAIN_MAX);
    fail_unless(rd, b->certs >= BP_BUNDLE_CHAIN_MIN);
    for (uint32_t i = 0; i < b->certs; i++) {
        b->cert[i] = get_filled(rd);
    }
}

static void get_references(bp_rd *rd, struct bp_bundle *b)
{
    b->references = get_array_max(rd, BP_BUNDLE_REFERENCES_MAX);
    for (uint32_t i = 0; i < b->references; i++) {
        struct bp_bundle_reference *ref = &b->reference[i];
        get_array_of(rd, 4);
        ref->id = bp_cbor_get_bstr_n(rd, HASH);
        ref->state = bp_cbor_get_uint(rd);
        ref->zone = bp_cbor_get_tstr(rd);
        ref->manifest = get_filled(rd);
        fail_unless(rd, ref->state >= 1 && ref->state <= 3 && ref->zone.n != 0);
        if (ref->zone.n > BP_BUNDLE_ZONE_MAX) {
            bp_rd_fail(rd, BP_FAIL(LIMIT));
        }
    }
}

static void get_logs(bp_rd *rd, struct bp_bundle *b)
{
    b->logs = get_array_max(rd, BP_BUNDLE_LOGS_MAX);
    for (uint32_t i = 0; i < b->logs; i++) {
        b->log[i] = get_filled(rd);
    }
}

static void get_members(bp_rd *rd, struct bp_bundle *b)
{
    bp_cbor_need_key(rd, 4);
    b->head = bp_cbor_get_tstr(rd);
    bp_cbor_need_key(rd, 5);
    get_proof(rd, b);
    bp_cbor_need_key(rd, 6);
    b->event = get_filled(rd);
    bp_cbor_need_key(rd, 7);
    b->ear = get_filled(rd);
    bp_cbor_need_key(rd, 8);
    b->evidence = get_filled(rd);
    bp_cbor_need_key(rd, 9);
    get_nonce(rd, b);
    bp_cbor_need_key(rd, 10);
    get_array_of(rd, 2);
    b->ak_binding = get_filled(rd);
    b->binding = bp_cbor_get_bstr_n(rd, 32);
    bp_cbor_need_key(rd, 11);
    get_chain(rd, b);
    bp_cbor_need_key(rd, 12);
    get_references(rd, b);
    bp_cbor_need_key(rd, 13);
    b->policy = bp_cbor_get_bstr(rd);
    bp_cbor_need_key(rd, 14);
    b->state = bp_cbor_get_bstr(rd);
    bp_cbor_need_key(rd, 15);
    get_logs(rd, b);
}

bp_result bp_bundle_read(bp_span in, struct bp_bundle *ret)
{
    memset(ret, 0, sizeof *ret);
    if (in.n > BP_BUNDLE_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    fail_unless(&rd, bp_cbor_get_map(&rd) == MEMBERS);
    get_header(&rd);
    get_members(&rd, ret);
    const bp_result r = bp_rd_finish(&rd);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

static bool is_reference(const struct bp_bundle_reference *ref)
{
    return ref->id.n == HASH && ref->state >= 1 && ref->state <= 3 && ref->zone.n != 0 &&
           ref->zone.n <= BP_BUNDLE_ZONE_MAX && ref->manifest.n != 0;
}

static bool are_filled(const bp_span *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (s[i].n == 0) {
            return false;
        }
    }
    return true;
}

static bool is_writable(const struct bp_bundle *b)
{
    bool ok = b->index < b->size && b->hashes <= BP_BUNDLE_PROOF_MAX && b->nonce.n == 32 &&
              b->issued_ms <= INT64_MAX && b->binding.n == 32 && b->certs >= BP_BUNDLE_CHAIN_MIN &&
              b->certs <= BP_BUNDLE_CHAIN_MAX && b->references <= BP_BUNDLE_REFERENCES_MAX &&
              b->logs <= BP_BUNDLE_LOGS_MAX;
    const bp_span filled[] = {b->event, b->ear, b->evidence, b->ak_binding};
    ok =
        ok && are_filled(filled, 4) && are_filled(b->cert, b->certs) && are_filled(b->log, b->logs);
    for (uint32_t i = 0; ok && i < b->hashes; i++) {
        ok = b->hash[i].n == HASH;
    }
    for (uint32_t i = 0; ok && i < b->references; i++) {
        ok = is_reference(&b->reference[i]);
    }
    return ok;
}

static void put_array(bp_cw *w, uint64_t key, const bp_span *item, uint32_t n)
{
    bp_cw_uint(w, key);
    bp_cw_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        bp_cw_bstr(w, item[i]);
    }
}

static void put_proof(bp_cw *w, const struct bp_bundle *b)
{
    bp_cw_uint(w, 5);
    bp_cw_array(w, 3);
    bp_cw_uint(w, b->index);
    bp_cw_uint(w, b->size);
    bp_cw_array(w, b->hashes);
    for (uint32_t i = 0; i < b->hashes; i++) {
        bp_cw_bstr(w, b->hash[i]);
    }
}

static void put_freshness(bp_cw *w, const struct bp_bundle *b)
{
    bp_cw_uint(w, 9);
    bp_cw_array(w, 3);
    bp_cw_bstr(w, b->nonce);
    bp_cw_uint(w, b->seq);
    bp_cw_uint(w, b->issued_ms);
    bp_cw_uint(w, 10);
    bp_cw_array(w, 2);
    bp_cw_bstr(w, b->ak_binding);
    bp_cw_bstr(w, b->binding);
}

static void put_references(bp_cw *w, const struct bp_bundle *b)
{
    bp_cw_uint(w, 12);
    bp_cw_array(w, b->references);
    for (uint32_t i = 0; i < b->references; i++) {
        bp_cw_array(w, 4);
        bp_cw_bstr(w, b->reference[i].id);
        bp_cw_uint(w, b->reference[i].state);
        bp_cw_tstr(w, b->reference[i].zone);
        bp_cw_bstr(w, b->reference[i].manifest);
    }
}

bp_result bp_bundle_write(const struct bp_bundle *b, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(b)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_object_put_head(&w, MEMBERS, BP_SPAN_STR(TYPE));
    bp_cw_uint(&w, 4);
    bp_cw_tstr(&w, b->head);
    put_proof(&w, b);
    bp_object_put_bytes(&w, 6, b->event);
    bp_object_put_bytes(&w, 7, b->ear);
    bp_object_put_bytes(&w, 8, b->evidence);
    put_freshness(&w, b);
    put_array(&w, 11, b->cert, b->certs);
    put_references(&w, b);
    bp_object_put_bytes(&w, 13, b->policy);
    bp_object_put_bytes(&w, 14, b->state);
    put_array(&w, 15, b->log, b->logs);
    *ret_len = w.wr.n;
    if (w.wr.n > BP_BUNDLE_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    return bp_cw_finish(&w);
}

bp_span bp_bundle_proof(const struct bp_bundle *b, uint8_t room[BP_BUNDLE_PROOF_MAX * 32])
{
    for (uint32_t i = 0; i < b->hashes; i++) {
        memcpy(room + (size_t)i * HASH, b->hash[i].p, HASH);
    }
    return bp_span_of(room, (size_t)b->hashes * HASH);
}
