/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_bundle - the bundle: round trip, every limit, and one row for each way to
 * be malformed. */
#include "codec/bundle.h"
#include "harness.h"

#include <stdlib.h>

#define ROOM 8192u

static const uint8_t hash[32] = {7, 1, 2};
static const uint8_t other[32] = {9};

static struct bp_bundle full(void)
{
    struct bp_bundle b;
    memset(&b, 0, sizeof b);
    b.head = BP_SPAN_STR("log.example\n3\n");
    b.index = 1;
    b.size = 3;
    b.hashes = 2;
    b.hash[0] = BP_SPAN_OF(hash);
    b.hash[1] = BP_SPAN_OF(other);
    b.event = BP_SPAN_STR("event");
    b.ear = BP_SPAN_STR("ear");
    b.evidence = BP_SPAN_STR("evidence");
    b.nonce = BP_SPAN_OF(hash);
    b.seq = 12;
    b.issued_ms = 1700000000000u;
    b.ak_binding = BP_SPAN_STR("ak-binding");
    b.binding = BP_SPAN_OF(other);
    b.certs = 4;
    for (uint32_t i = 0; i < 4; i++) {
        b.cert[i] = BP_SPAN_STR("certificate");
    }
    b.references = 1;
    b.reference[0] = (struct bp_bundle_reference){BP_SPAN_OF(hash), 1, BP_SPAN_STR("*"),
                                                  BP_SPAN_STR("manifest")};
    b.policy = BP_SPAN_STR("policy");
    b.state = BP_SPAN_STR("state");
    b.logs = 1;
    b.log[0] = BP_SPAN_STR("boot log");
    return b;
}

static uint8_t room[ROOM];

static bp_span written(const struct bp_bundle *b)
{
    size_t n = 0;
    return bp_failed(bp_bundle_write(b, room, sizeof room, &n)) ? BP_SPAN_EMPTY
                                                                : bp_span_of(room, n);
}

static bool is_same(const struct bp_bundle *a, const struct bp_bundle *b)
{
    bool same = bp_span_equal(a->head, b->head) && a->index == b->index && a->size == b->size &&
                a->hashes == b->hashes && bp_span_equal(a->event, b->event) &&
                bp_span_equal(a->ear, b->ear) && bp_span_equal(a->evidence, b->evidence) &&
                bp_span_equal(a->nonce, b->nonce) && a->seq == b->seq &&
                a->issued_ms == b->issued_ms && bp_span_equal(a->ak_binding, b->ak_binding) &&
                bp_span_equal(a->binding, b->binding) && a->certs == b->certs &&
                a->references == b->references && bp_span_equal(a->policy, b->policy) &&
                bp_span_equal(a->state, b->state) && a->logs == b->logs;
    for (uint32_t i = 0; same && i < a->hashes; i++) {
        same = bp_span_equal(a->hash[i], b->hash[i]);
    }
    for (uint32_t i = 0; same && i < a->certs; i++) {
        same = bp_span_equal(a->cert[i], b->cert[i]);
    }
    for (uint32_t i = 0; same && i < a->references; i++) {
        const struct bp_bundle_reference *x = &a->reference[i], *y = &b->reference[i];
        same = bp_span_equal(x->id, y->id) && x->state == y->state &&
               bp_span_equal(x->zone, y->zone) && bp_span_equal(x->manifest, y->manifest);
    }
    for (uint32_t i = 0; same && i < a->logs; i++) {
        same = bp_span_equal(a->log[i], b->log[i]);
    }
    return same;
}

BP_CASE(round_trip)
{
    const struct bp_bundle b = full();
    const bp_span bytes = written(&b);
    struct bp_bundle got;
    BP_NEED(bytes.n != 0);
    BP_NEED(!bp_failed(bp_bundle_read(bytes, &got)));
    BP_CHECK(is_same(&b, &got));
}

BP_CASE(smallest)
{
    struct bp_bundle b = full();
    b.hashes = 0;
    b.size = 2;
    b.references = 0;
    b.policy = BP_SPAN_EMPTY;
    b.state = BP_SPAN_EMPTY;
    b.logs = 0;
    struct bp_bundle got;
    BP_NEED(!bp_failed(bp_bundle_read(written(&b), &got)));
    BP_CHECK(is_same(&b, &got));
}

BP_CASE(measures_and_writes_alike)
{
    const struct bp_bundle b = full();
    size_t measured = 0, n = 0;
    BP_CHECK(bp_is(bp_bundle_write(&b, NULL, 0, &measured), BP_E_NO_SPACE));
    BP_CHECK(bp_is(bp_bundle_write(&b, room, measured - 1, &n), BP_E_NO_SPACE) && n == measured);
    BP_CHECK(!bp_failed(bp_bundle_write(&b, room, measured, &n)) && n == measured);
}

BP_CASE(proof_is_joined)
{
    const struct bp_bundle b = full();
    uint8_t joined[BP_BUNDLE_PROOF_MAX * 32];
    const bp_span p = bp_bundle_proof(&b, joined);
    BP_CHECK(p.n == 64 && memcmp(p.p, hash, 32) == 0 && memcmp(p.p + 32, other, 32) == 0);
}

BP_CASE(every_truncation_is_refused)
{
    const struct bp_bundle b = full();
    const bp_span bytes = written(&b);
    struct bp_bundle got;
    BP_NEED(bytes.n != 0);
    for (size_t n = 0; n < bytes.n; n++) {
        if (!BP_CHECK(bp_failed(bp_bundle_read(bp_span_of(bytes.p, n), &got)) && got.certs == 0)) {
            return;
        }
    }
}

/* What a flipped bit leaves readable reads as something else: no bit is passed over. */
BP_CASE(every_bit_counts)
{
    const struct bp_bundle b = full();
    const bp_span bytes = written(&b);
    static uint8_t copy[ROOM];
    BP_NEED(bytes.n != 0);
    memcpy(copy, bytes.p, bytes.n);
    struct bp_bundle got;
    uint32_t readable = 0;
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!bp_failed(bp_bundle_read(bp_span_of(copy, bytes.n), &got))) {
            readable++;
            if (!BP_CHECK(!is_same(&b, &got))) {
                return;
            }
        }
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    BP_CHECK(readable != 0);
}

/* --- what the writer refuses --- */

static void no_event(struct bp_bundle *b)
{
    b->event = BP_SPAN_EMPTY;
}
static void no_ear(struct bp_bundle *b)
{
    b->ear = BP_SPAN_EMPTY;
}
static void no_evidence(struct bp_bundle *b)
{
    b->evidence = BP_SPAN_EMPTY;
}
static void no_ak_binding(struct bp_bundle *b)
{
    b->ak_binding = BP_SPAN_EMPTY;
}
static void short_nonce(struct bp_bundle *b)
{
    b->nonce.n = 31;
}
static void short_binding(struct bp_bundle *b)
{
    b->binding.n = 31;
}
static void short_hash(struct bp_bundle *b)
{
    b->hash[1].n = 31;
}
static void late_issue(struct bp_bundle *b)
{
    b->issued_ms = (uint64_t)INT64_MAX + 1;
}
static void index_at_size(struct bp_bundle *b)
{
    b->index = b->size;
}
static void three_certs(struct bp_bundle *b)
{
    b->certs = 3;
}
static void nine_certs(struct bp_bundle *b)
{
    b->certs = 9;
}
static void empty_cert(struct bp_bundle *b)
{
    b->cert[2] = BP_SPAN_EMPTY;
}
static void many_hashes(struct bp_bundle *b)
{
    b->hashes = BP_BUNDLE_PROOF_MAX + 1;
}
static void many_references(struct bp_bundle *b)
{
    b->references = BP_BUNDLE_REFERENCES_MAX + 1;
}
static void many_logs(struct bp_bundle *b)
{
    b->logs = BP_BUNDLE_LOGS_MAX + 1;
}
static void empty_log(struct bp_bundle *b)
{
    b->log[0] = BP_SPAN_EMPTY;
}
static void short_id(struct bp_bundle *b)
{
    b->reference[0].id.n = 31;
}
static void state_zero(struct bp_bundle *b)
{
    b->reference[0].state = 0;
}
static void state_four(struct bp_bundle *b)
{
    b->reference[0].state = 4;
}
static void no_zone(struct bp_bundle *b)
{
    b->reference[0].zone = BP_SPAN_EMPTY;
}
static void long_zone(struct bp_bundle *b)
{
    b->reference[0].zone =
        BP_SPAN_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}
static void no_manifest(struct bp_bundle *b)
{
    b->reference[0].manifest = BP_SPAN_EMPTY;
}

static void unwritable(void)
{
    static const struct {
        const char *name;
        void (*change)(struct bp_bundle *b);
    } row[] = {
#define ROW(f) {"write." #f, f}
        ROW(no_event),      ROW(no_ear),          ROW(no_evidence), ROW(no_ak_binding),
        ROW(short_nonce),   ROW(short_binding),   ROW(short_hash),  ROW(late_issue),
        ROW(index_at_size), ROW(three_certs),     ROW(nine_certs),  ROW(empty_cert),
        ROW(many_hashes),   ROW(many_references), ROW(many_logs),   ROW(empty_log),
        ROW(short_id),      ROW(state_zero),      ROW(state_four),  ROW(no_zone),
        ROW(long_zone),     ROW(no_manifest),
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        struct bp_bundle b = full();
        size_t n = 0;
        row[i].change(&b);
        BP_CHECK(bp_is(bp_bundle_write(&b, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
        bp_case_end(row[i].name);
    }
}

/* --- what the reader refuses: bytes built beside the writer --- */

enum fault {
    F_NONE,
    F_TYPE,
    F_MAJOR,
    F_MINOR,
    F_EXTRA_MEMBER,
    F_PROOF_PAIR,
    F_INDEX,
    F_HASH_SIZE,
    F_HASHES,
    F_EVENT_EMPTY,
    F_EVENT_TEXT,
    F_NONCE_SIZE,
    F_NONCE_LATE,
    F_BINDING_SIZE,
    F_CERTS_FEW,
    F_CERTS_MANY,
    F_CERT_EMPTY,
    F_REF_SHORT,
    F_REF_STATE,
    F_REF_ZONE_EMPTY,
    F_REF_ZONE_LONG,
    F_REF_MANIFEST,
    F_REFS_MANY,
    F_LOGS_MANY,
    F_LOG_EMPTY,
};

static void put_head(bp_cw *w, enum fault f)
{
    bp_cw_map(w, f == F_EXTRA_MEMBER ? 16 : 15);
    bp_cw_uint(w, 1);
    bp_cw_cstr(w, f == F_TYPE ? "bundel" : "bundle");
    bp_cw_uint(w, 2);
    bp_cw_uint(w, f == F_MAJOR ? 2 : 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, f == F_MINOR ? 1 : 0);
    bp_cw_uint(w, 4);
    bp_cw_cstr(w, "head");
    bp_cw_uint(w, 5);
    bp_cw_array(w, f == F_PROOF_PAIR ? 2 : 3);
    bp_cw_uint(w, f == F_INDEX ? 3 : 1);
    bp_cw_uint(w, 3);
    if (f != F_PROOF_PAIR) {
        const uint32_t n = f == F_HASHES ? 65 : 2;
        bp_cw_array(w, n);
        for (uint32_t i = 0; i < n; i++) {
            bp_cw_bstr(w, bp_span_of(hash, f == F_HASH_SIZE ? 31 : 32));
        }
    }
    bp_cw_uint(w, 6);
    if (f == F_EVENT_TEXT) {
        bp_cw_cstr(w, "event");
    } else {
        bp_cw_bstr(w, f == F_EVENT_EMPTY ? BP_SPAN_EMPTY : BP_SPAN_STR("event"));
    }
}

static void put_references(bp_cw *w, enum fault f)
{
    const uint32_t n = f == F_REFS_MANY ? 65 : 1;
    const size_t zone_n = f == F_REF_ZONE_EMPTY ? 0 : f == F_REF_ZONE_LONG ? 65 : 1;
    bp_cw_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        bp_cw_array(w, f == F_REF_SHORT ? 3 : 4);
        bp_cw_bstr(w, BP_SPAN_OF(hash));
        bp_cw_uint(w, f == F_REF_STATE ? 0 : 1);
        bp_cw_tstr(
            w, bp_span_sub(
                   BP_SPAN_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                   0, zone_n));
        if (f != F_REF_SHORT) {
            bp_cw_bstr(w, f == F_REF_MANIFEST ? BP_SPAN_EMPTY : BP_SPAN_STR("manifest"));
        }
    }
}

static bp_span build(enum fault f)
{
    bp_cw w = bp_cw_over(room, sizeof room);
    put_head(&w, f);
    bp_cw_uint(&w, 7);
    bp_cw_bstr(&w, BP_SPAN_STR("ear"));
    bp_cw_uint(&w, 8);
    bp_cw_bstr(&w, BP_SPAN_STR("evidence"));
    bp_cw_uint(&w, 9);
    bp_cw_array(&w, 3);
    bp_cw_bstr(&w, bp_span_of(hash, f == F_NONCE_SIZE ? 31 : 32));
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, f == F_NONCE_LATE ? (uint64_t)INT64_MAX + 1 : 1);
    bp_cw_uint(&w, 10);
    bp_cw_array(&w, 2);
    bp_cw_bstr(&w, BP_SPAN_STR("ak-binding"));
    bp_cw_bstr(&w, bp_span_of(other, f == F_BINDING_SIZE ? 31 : 32));
    bp_cw_uint(&w, 11);
    const uint32_t certs = f == F_CERTS_FEW ? 3 : f == F_CERTS_MANY ? 9 : 4;
    bp_cw_array(&w, certs);
    for (uint32_t i = 0; i < certs; i++) {
        bp_cw_bstr(&w, f == F_CERT_EMPTY ? BP_SPAN_EMPTY : BP_SPAN_STR("certificate"));
    }
    bp_cw_uint(&w, 12);
    put_references(&w, f);
    bp_cw_uint(&w, 13);
    bp_cw_bstr(&w, BP_SPAN_EMPTY);
    bp_cw_uint(&w, 14);
    bp_cw_bstr(&w, BP_SPAN_EMPTY);
    bp_cw_uint(&w, 15);
    const uint32_t logs = f == F_LOGS_MANY ? 3 : 1;
    bp_cw_array(&w, logs);
    for (uint32_t i = 0; i < logs; i++) {
        bp_cw_bstr(&w, f == F_LOG_EMPTY ? BP_SPAN_EMPTY : BP_SPAN_STR("log"));
    }
    if (f == F_EXTRA_MEMBER) {
        bp_cw_uint(&w, 16);
        bp_cw_bool(&w, true);
    }
    return bp_cw_span(&w);
}

static void malformed(void)
{
    static const struct {
        const char *name;
        enum fault fault;
        enum bp_error error;
    } row[] = {
        {"read.sound", F_NONE, BP_E_OK},
        {"read.other_type", F_TYPE, BP_E_UNSUPPORTED},
        {"read.other_major", F_MAJOR, BP_E_UNSUPPORTED},
        {"read.newer_minor", F_MINOR, BP_E_UNSUPPORTED},
        {"read.member_more", F_EXTRA_MEMBER, BP_E_MALFORMED},
        {"read.proof_of_two", F_PROOF_PAIR, BP_E_MALFORMED},
        {"read.index_past_tree", F_INDEX, BP_E_MALFORMED},
        {"read.short_hash", F_HASH_SIZE, BP_E_MALFORMED},
        {"read.many_hashes", F_HASHES, BP_E_LIMIT},
        {"read.empty_event", F_EVENT_EMPTY, BP_E_MALFORMED},
        {"read.event_as_text", F_EVENT_TEXT, BP_E_MALFORMED},
        {"read.short_nonce", F_NONCE_SIZE, BP_E_MALFORMED},
        {"read.nonce_after_all_time", F_NONCE_LATE, BP_E_MALFORMED},
        {"read.short_binding", F_BINDING_SIZE, BP_E_MALFORMED},
        {"read.few_certificates", F_CERTS_FEW, BP_E_MALFORMED},
        {"read.many_certificates", F_CERTS_MANY, BP_E_LIMIT},
        {"read.empty_certificate", F_CERT_EMPTY, BP_E_MALFORMED},
        {"read.reference_of_three", F_REF_SHORT, BP_E_MALFORMED},
        {"read.reference_state", F_REF_STATE, BP_E_MALFORMED},
        {"read.reference_without_zone", F_REF_ZONE_EMPTY, BP_E_MALFORMED},
        {"read.reference_zone_long", F_REF_ZONE_LONG, BP_E_LIMIT},
        {"read.reference_without_manifest", F_REF_MANIFEST, BP_E_MALFORMED},
        {"read.many_references", F_REFS_MANY, BP_E_LIMIT},
        {"read.many_logs", F_LOGS_MANY, BP_E_LIMIT},
        {"read.empty_log", F_LOG_EMPTY, BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        struct bp_bundle got;
        const bp_span in = build(row[i].fault);
        BP_CHECK(in.n != 0);
        BP_CHECK(bp_error_of(bp_bundle_read(in, &got)) == row[i].error);
        BP_CHECK(row[i].error == BP_E_OK || (got.certs == 0 && got.head.n == 0));
        bp_case_end(row[i].name);
    }
}

BP_CASE(too_large)
{
    uint8_t *big = calloc(1, (size_t)BP_BUNDLE_MAX + 1);
    struct bp_bundle got;
    BP_NEED(big != NULL);
    BP_CHECK(bp_is(bp_bundle_read(bp_span_of(big, (size_t)BP_BUNDLE_MAX + 1), &got), BP_E_LIMIT));
    free(big);
}

BP_SUITE(bundle,
         BP_RUN(round_trip) BP_RUN(smallest) BP_RUN(measures_and_writes_alike)
             BP_RUN(proof_is_joined) BP_RUN(every_truncation_is_refused) BP_RUN(every_bit_counts)
                 BP_TABLE(unwritable) BP_TABLE(malformed) BP_RUN(too_large))
