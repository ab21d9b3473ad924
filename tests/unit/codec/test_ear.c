/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_ear - the attestation result, ours in both directions and anybody's to look at. */
#include "codec/ear.h"
#include "harness.h"
#include "unit/codec/remap.h"

static const uint8_t hash[33] = {1, 9};
static uint8_t good[1024];
static size_t good_n;
static uint8_t room[2048];
static uint8_t outer[2048];

static struct bp_ear sample(void)
{
    struct bp_ear e = {.iat_s = 1790000000,
                       .nonce = bp_span_of(hash, 32),
                       .developer = BP_SPAN_STR("https://bedplate.example"),
                       .build = BP_SPAN_STR("0.1.0"),
                       .status = BP_TIER_WARNING,
                       .has_vector = 1u << BP_AR_INSTANCE_IDENTITY | 1u << BP_AR_HARDWARE,
                       .policy_id = BP_SPAN_STR("sha256:00"),
                       .pseudonym = BP_SPAN_STR("ABCDE"),
                       .device_id = BP_SPAN_OF(hash),
                       .evidence_digest = bp_span_of(hash, 32),
                       .references_digest = bp_span_of(hash, 32),
                       .policy_digest = bp_span_of(hash, 32),
                       .as_of_ms = 1789999999000,
                       .keys = 1,
                       .reason = BP_SPAN_STR("Release 1 is deprecated"),
                       .findings = 1};
    e.vector[BP_AR_INSTANCE_IDENTITY] = 2;
    e.vector[BP_AR_HARDWARE] = -1;
    e.key[0] = bp_span_of(hash, 32);
    e.finding[0] = (struct bp_ear_finding){BP_SPAN_STR("release-deprecated"), BP_TIER_WARNING, BP_SPAN_STR("text")};
    return e;
}

BP_CASE(comes_back_as_it_was)
{
    const struct bp_ear e = sample();
    struct bp_ear b;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_ear_write(&e, good, sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_ear_read(bp_span_of(good, good_n), &b)));
    BP_CHECK(b.iat_s == e.iat_s && b.status == e.status && b.has_vector == e.has_vector && b.as_of_ms == e.as_of_ms);
    BP_CHECK(memcmp(b.vector, e.vector, sizeof b.vector) == 0 && bp_span_equal(b.reason, e.reason));
    BP_CHECK(bp_span_equal(b.nonce, e.nonce) && bp_span_equal(b.device_id, e.device_id) &&
             bp_span_equal(b.pseudonym, e.pseudonym) && bp_span_equal(b.policy_id, e.policy_id));
    BP_CHECK(b.keys == 1 && b.findings == 1 && bp_span_equal(b.finding[0].code, e.finding[0].code));
    BP_CHECK(bp_span_equal(b.profile, BP_SPAN_STR(BP_EAR_PROFILE)) && !bp_failed(bp_ear_check(bp_span_of(good, good_n))));
    BP_CHECK(!bp_failed(bp_ear_write(&b, room, sizeof room, &n)) && n == good_n && memcmp(room, good, n) == 0);
    for (size_t cap = 0; cap < good_n; cap++) {
        BP_CHECK(bp_is(bp_ear_write(&e, room, cap, &n), BP_E_NO_SPACE) && n == good_n);
    }
}

BP_CASE(the_least_of_it)
{
    const struct bp_ear e = {.developer = BP_SPAN_STR("d"), .build = BP_SPAN_STR("b")};
    struct bp_ear b;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_ear_write(&e, room, sizeof room, &n)));
    BP_CHECK(!bp_failed(bp_ear_read(bp_span_of(room, n), &b)) && b.status == BP_TIER_NONE && b.keys == 0);
    BP_CHECK(b.has_vector == 0 && b.nonce.n == 0 && b.findings == 0 && b.reason.n == 0);
}

BP_CASE(truncations_are_refused)
{
    static struct bp_ear b, before;
    memset(&before, 0, sizeof before);
    for (size_t n = 0; n < good_n; n++) {
        b = before;
        BP_CHECK(bp_failed(bp_ear_read(bp_span_of(good, n), &b)) && memcmp(&b, &before, sizeof b) == 0);
        BP_CHECK(bp_failed(bp_ear_check(bp_span_of(good, n))));
    }
}

/* Keys of the top map and of the appraisal, as encoded. */
#define K(s) {(const uint8_t *)(s), sizeof(s) - 1}
#define NONE {NULL, 0}
#define TOP_SUBMODS "\x19\x01\x0a"

struct row {
    const char *name;
    bool is_inner; /* of the appraisal of our submodule */
    bp_span key, value;
    enum bp_error want;
    bool is_foreign; /* bp_ear_check takes it: others may */
};

static const struct row bad[] = {
    {"no_iat", false, K("\x06"), NONE, BP_E_MALFORMED, false},
    {"iat_is_text", false, K("\x06"), K("\x60"), BP_E_MALFORMED, false},
    {"nonce_short", false, K("\x0a"), K("\x47" "1234567"), BP_E_MALFORMED, true},
    {"no_profile", false, K("\x19\x01\x09"), NONE, BP_E_MALFORMED, false},
    {"profile_of_2023", false, K("\x19\x01\x09"), K("\x63old"), BP_E_UNSUPPORTED, false},
    {"no_submodules", false, K(TOP_SUBMODS), NONE, BP_E_MALFORMED, false},
    {"no_submodule", false, K(TOP_SUBMODS), K("\xa0"), BP_E_UNSUPPORTED, false},
    {"other_submodule", false, K(TOP_SUBMODS), K("\xa1\x61x\xa1\x19\x03\xe8\x00"), BP_E_UNSUPPORTED, true},
    {"no_verifier", false, K("\x19\x03\xec"), NONE, BP_E_MALFORMED, false},
    {"verifier_without_build", false, K("\x19\x03\xec"), K("\xa1\x00\x61x"), BP_E_MALFORMED, false},
    {"verifier_text_empty", false, K("\x19\x03\xec"), K("\xa2\x00\x60\x01\x61x"), BP_E_MALFORMED, false},
    {"member_unknown", false, K("\x19\x03\xf0"), K("\x00"), BP_E_UNSUPPORTED, true},
    {"no_status", true, K("\x19\x03\xe8"), NONE, BP_E_MALFORMED, false},
    {"status_of_no_tier", true, K("\x19\x03\xe8"), K("\x03"), BP_E_MALFORMED, false},
    {"vector_empty", true, K("\x19\x03\xe9"), K("\xa0"), BP_E_MALFORMED, false},
    {"vector_claim_8", true, K("\x19\x03\xe9"), K("\xa1\x08\x02"), BP_E_MALFORMED, false},
    {"vector_128", true, K("\x19\x03\xe9"), K("\xa1\x00\x18\x80"), BP_E_MALFORMED, false},
    {"two_policies", true, K("\x19\x03\xeb"), K("\x82\x61" "a\x61" "b"), BP_E_UNSUPPORTED, true},
    {"appraisal_member_unknown", true, K("\x19\x03\xf0"), K("\x00"), BP_E_NOT_CANONICAL, false},
};

BP_CASE(malformed)
{
    static struct bp_ear b, before;
    memset(&before, 0, sizeof before);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_case_begin();
        bp_span in = bp_span_of(good, good_n);
        bp_span key = bad[i].key;
        bp_span value = bad[i].value;
        if (bad[i].is_inner) {
            struct bp_ear e;
            BP_CHECK(!bp_failed(bp_ear_read(in, &e)));
            /* the appraisal stands after the submodule's name, up to the verifier's member */
            bp_rd rd = bp_rd_over(in);
            (void)bp_cbor_get_map(&rd);
            while (!bp_span_equal(bp_cbor_get_item(&rd), BP_SPAN_STR(TOP_SUBMODS))) {
                (void)bp_cbor_get_item(&rd);
            }
            const bp_span submods = bp_cbor_get_item(&rd);
            const bp_span head = bp_span_sub(submods, 0, 1 + 1 + sizeof BP_EAR_SUBMOD - 1);
            const bp_span inner = remap(bp_span_sub(submods, head.n, submods.n - head.n), key, value, room, sizeof room);
            BP_CHECK(inner.n != 0);
            static uint8_t joined[2048];
            bp_wr wr = bp_wr_over(joined, sizeof joined);
            bp_wr_bytes(&wr, head);
            bp_wr_bytes(&wr, inner);
            key = BP_SPAN_STR(TOP_SUBMODS);
            value = bp_wr_span(&wr);
        }
        in = remap(in, key, value, outer, sizeof outer);
        BP_CHECK(in.n != 0);
        b = before;
        const bp_result r = bp_ear_read(in, &b);
        if (!BP_CHECK(bp_is(r, bad[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        BP_CHECK(memcmp(&b, &before, sizeof b) == 0 && bp_failed(bp_ear_check(in)) == !bad[i].is_foreign);
        bp_case_end(bad[i].name);
    }
}

BP_CASE(what_would_be_refused_is_not_written)
{
    size_t n = 0;
    struct bp_ear e = sample();
    e.status = 3;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    e = sample();
    e.nonce.n = 7;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    e = sample();
    e.developer = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    e = sample();
    e.keys = BP_EAR_KEYS_MAX + 1;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    e = sample();
    e.finding[0].code = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    e = sample();
    e.device_id.n--;
    BP_CHECK(bp_is(bp_ear_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_CASE(names)
{
    BP_CHECK(bp_tier_name(BP_TIER_CONTRAINDICATED)[0] == 'c' && bp_tier_name(1)[0] == '?');
    BP_CHECK(bp_ar4si_name(BP_AR_SOURCED_DATA)[0] == 's' && bp_ar4si_name(BP_AR_COUNT)[0] == '?');
}

BP_SUITE(ear, BP_RUN(comes_back_as_it_was) BP_RUN(the_least_of_it) BP_RUN(truncations_are_refused) BP_TABLE(malformed)
                  BP_RUN(what_would_be_refused_is_not_written) BP_RUN(names))
