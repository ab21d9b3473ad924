/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/ipc/test_message - message bodies: every kind comes back as it was written, and nothing else is read. */
#include "codec/cbor.h"
#include "fleet/ipc/message.h"
#include "harness.h"
#include "unit/fleet/ipc/bodies.h"

#include <stdio.h>

static uint8_t body[4096];
static uint8_t back[4096];

static void check_kind(const struct body_kind *kind)
{
    bool touched = false;
    size_t n = 0;
    const size_t len = kind->sample(body, sizeof body);
    BP_NEED(len > 0);
    BP_CHECK(!bp_failed(kind->again(bp_span_of(body, len), back, sizeof back, &n, &touched)));
    BP_CHECK(n == len && memcmp(body, back, len) == 0);
    /* Measuring tells the room, and one byte less is too little. */
    BP_CHECK(kind->sample(back, len - 1) == 0);
    /* Cut short anywhere, or with a byte left over, it is refused and nothing is given out. */
    for (size_t cut = 0; cut < len; cut++) {
        BP_CHECK(bp_failed(kind->again(bp_span_of(body, cut), back, sizeof back, &n, &touched)) && !touched);
    }
    body[len] = 0;
    BP_CHECK(bp_failed(kind->again(bp_span_of(body, len + 1), back, sizeof back, &n, &touched)) && !touched);
}

static void round_trips(void)
{
    char name[64];
    for (size_t i = 0; i < body_kind_count; i++) {
        snprintf(name, sizeof name, "round_trip.%s", body_kinds[i].name);
        bp_case_begin();
        check_kind(&body_kinds[i]);
        bp_case_end(name);
    }
}

/* A member more than the table has, at the end of the map. */
static void extra_members(void)
{
    char name[64];
    for (size_t i = 0; i < body_kind_count; i++) {
        size_t n = 0;
        bool touched = false;
        const size_t len = body_kinds[i].sample(body, sizeof body - 3);
        snprintf(name, sizeof name, "extra_member.%s", body_kinds[i].name);
        bp_case_begin();
        BP_CHECK(len > 0 && body[0] >= 0xa0 && body[0] < 0xb7);
        body[0]++;
        body[len] = 0x17; /* key 23, value 0 */
        body[len + 1] = 0;
        BP_CHECK(!bp_failed(bp_cbor_check(bp_span_of(body, len + 2))));
        BP_CHECK(bp_failed(body_kinds[i].again(bp_span_of(body, len + 2), back, sizeof back, &n, &touched)));
        BP_CHECK(!touched);
        bp_case_end(name);
    }
}

struct refused {
    const char *name;
    const char *bytes;
    size_t n;
    enum bp_error want;
    const char *kind;
};
#define ROW(name, kind, text, want) {name, "" text, sizeof(text) - 1, BP_E_##want, kind}
static const struct refused rows[] = {
    ROW("state_not_bool", "state", "\xa1\x01\x01", MALFORMED),
    ROW("state_other_key", "state", "\xa1\x02\xf5", MALFORMED),
    ROW("state_long_form", "state", "\xb8\x01\x01\xf5", NOT_CANONICAL),
    ROW("state_an_array", "state", "\x82\x01\xf5", MALFORMED),
    ROW("empty_not_empty", "empty", "\xa1\x01\x01", MALFORMED),
    ROW("bytes_of_none", "bytes", "\xa1\x01\x40", MALFORMED),
    ROW("bytes_as_text", "bytes", "\xa1\x01\x61\x61", MALFORMED),
    ROW("name_upper_case", "name", "\xa1\x01\x61\x41", MALFORMED),
    ROW("name_with_slash", "name", "\xa1\x01\x63\x61\x2f\x62", MALFORMED),
    ROW("append_half_a_hash", "append", "\xa2\x01\x00\x02\x41\x00", MALFORMED),
    ROW("append_negative", "append", "\xa2\x01\x20\x02\x40", MALFORMED),
    ROW("append_key_twice", "append", "\xa2\x01\x00\x01\x40", NOT_CANONICAL),
    ROW("deny_short_hash", "deny", "\xa1\x01\x81\x41\x00", MALFORMED),
    ROW("deny_claims_more", "deny", "\xa1\x01\x9b\xff\xff\xff\xff\xff\xff\xff\xff", TRUNCATED),
    ROW("crl_reason_11", "crl", "\xa2\x01\x81\x83\x41\x01\x00\x0b\x02\x00", MALFORMED),
    ROW("crl_no_serial", "crl", "\xa2\x01\x81\x83\x40\x00\x00\x02\x00", MALFORMED),
    ROW("crl_two_items", "crl", "\xa2\x01\x81\x82\x41\x01\x00\x02\x00", MALFORMED),
    ROW("results_none", "results", "\xa1\x01\x80", MALFORMED),
    ROW("results_empty_item", "results", "\xa1\x01\x81\x40", MALFORMED),
    ROW("credential_no_ek", "credential", "\xa2\x01\x80\x02\x41\x00", MALFORMED),
    ROW("credential_five_eks", "credential",
        "\xa2\x01\x85\x83\x01\x41\x00\x40\x83\x01\x41\x00\x40\x83\x01\x41\x00\x40\x83\x01\x41\x00\x40\x83\x01\x41\x00\x40"
        "\x02\x41\x00", LIMIT),
    ROW("references_state_4", "references",
        "\xa2\x01\x00\x02\x81\x84\x58\x20" "00000000000000000000000000000000" "\x04\x61*\x41\x00", MALFORMED),
    ROW("references_bad_utf8", "references",
        "\xa2\x01\x00\x02\x81\x84\x58\x20" "00000000000000000000000000000000" "\x01\x61\xff\x41\x00", MALFORMED),
};

static void refusals(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        size_t seen = 0;
        for (size_t k = 0; k < body_kind_count; k++) {
            if (strcmp(body_kinds[k].name, rows[i].kind) == 0) {
                size_t n = 0;
                bool touched = false;
                const bp_result r =
                    body_kinds[k].again(bp_span_of(rows[i].bytes, rows[i].n), back, sizeof back, &n, &touched);
                BP_CHECK(bp_is(r, rows[i].want) && !touched);
                seen++;
            }
        }
        BP_CHECK(seen == 1);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(writers_hold_the_same_bounds)
{
    size_t n = 0;
    const struct bp_msg_append half = {0, bp_span_of(body, 31)};
    const struct bp_msg_bind bind = {bp_span_of(body, 32), bp_span_of(body, 34), bp_span_of(body, 32), BP_SPAN_EMPTY};
    const struct bp_msg_bind long_before = {bp_span_of(body, 33), bp_span_of(body, 34), bp_span_of(body, 32),
                                            bp_span_of(body, 2049)};
    const struct bp_msg_operator long_days = {bp_span_of(body, 9), BP_SPAN_STR("x"), 826};
    const struct bp_msg_deny deny = {.count = 2, .hashes = bp_span_of(body, 63)};
    const struct bp_msg_revoked row = {bp_span_of(body, 21), 0, 0};
    const struct bp_msg_crl crl = {.count = 1, .entry = &row};
    static struct bp_msg_results results;
    BP_CHECK(bp_is(bp_msg_append_write(&half, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_bind_write(&bind, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_bind_write(&long_before, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_operator_write(&long_days, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_deny_write(&deny, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_crl_write(&crl, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_results_write(&results, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_name_write(BP_SPAN_STR("Upper"), back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_msg_bytes_write(BP_SPAN_EMPTY, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
}

/* A credential for a key that has none, and a hash without its credential, are contradictions. */
BP_CASE(challenge_pairs_and_hashes_agree)
{
    struct bp_msg_challenge m = {.device_id = bp_span_of(body, 33), .eks = 1, .issuer_class = BP_SPAN_STR("virtual")};
    size_t n = 0;
    m.hashes = 1;
    m.hash[0] = bp_span_of(body, 32);
    m.qualified[0] = bp_span_of(body, 34);
    BP_CHECK(bp_is(bp_msg_challenge_write(&m, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    m.id_object[0] = bp_span_of(body, 40);
    BP_CHECK(bp_is(bp_msg_challenge_write(&m, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    m.secret[0] = bp_span_of(body, 40);
    BP_CHECK(!bp_failed(bp_msg_challenge_write(&m, back, sizeof back, &n)));
    m.secret[0] = bp_span_of(body, 641);
    BP_CHECK(bp_is(bp_msg_challenge_write(&m, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
    m.secret[0].n = 40;
    m.qualified[0].n = 33;
    BP_CHECK(bp_is(bp_msg_challenge_write(&m, back, sizeof back, &n), BP_E_BAD_ARGUMENT));
}

/* clang-format off */
BP_SUITE(message,
    BP_TABLE(round_trips)
    BP_TABLE(extra_members)
    BP_TABLE(refusals)
    BP_RUN(writers_hold_the_same_bounds)
    BP_RUN(challenge_pairs_and_hashes_agree))
