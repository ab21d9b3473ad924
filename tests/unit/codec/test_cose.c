/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_cose - COSE_Sign1 and COSE_Key: signed with libcrypto's keys, verified through the port. */
#include "codec/cose.h"
#include "harness.h"
#include "unit/signer.h"

static struct bp_crypto *crypto;
static const char content_type[] = "application/x-test";

static bp_span write_sample(struct test_key *k, bp_span payload, bp_span aad, uint8_t *ret, size_t cap)
{
    uint8_t scratch[1024];
    size_t n = 0;
    const struct bp_cose_header h = {bp_span_cstr(content_type), BP_SPAN_STR("0123456789abcdef0123456789abcdef"),
                                     BP_SPAN_STR("\xa1\x01\x61x")};
    const bp_result r =
        bp_cose_sign1_write(&k->signer, &h, payload, aad, scratch, sizeof scratch, ret, cap, &n);
    return bp_failed(r) ? BP_SPAN_EMPTY : bp_span_of(ret, n);
}

static bool is_good(bp_span in, const struct test_key *k, bp_span aad)
{
    uint8_t scratch[1024];
    struct bp_cose_sign1 m;
    return !bp_failed(bp_cose_sign1_read(in, &m)) &&
           !bp_failed(bp_cose_sign1_verify(crypto, &m, &k->key, aad, scratch, sizeof scratch));
}

static void round_trip(enum bp_sig_alg alg)
{
    struct test_key k;
    uint8_t out[512];
    const bp_span payload = BP_SPAN_STR("what is said");
    BP_NEED(test_key_make(&k, alg));
    const bp_span msg = write_sample(&k, payload, BP_SPAN_EMPTY, out, sizeof out);
    struct bp_cose_sign1 m;
    if (BP_CHECK(msg.n > 0) && BP_CHECK(!bp_failed(bp_cose_sign1_read(msg, &m)))) {
        BP_CHECK(m.alg == alg && bp_span_equal(m.payload, payload) && m.kid.n == 32);
        BP_CHECK(bp_span_equal(m.content_type, bp_span_cstr(content_type)) && m.cwt_claims.n == 4);
        BP_CHECK(is_good(msg, &k, BP_SPAN_EMPTY));
        BP_CHECK(!is_good(msg, &k, BP_SPAN_STR("x")));
        uint8_t scratch[32];
        BP_CHECK(bp_is(bp_cose_sign1_verify(crypto, &m, &k.key, BP_SPAN_EMPTY, scratch, sizeof scratch), BP_E_NO_SPACE));
    }
    test_key_done(&k);
}

BP_CASE(es256_round_trip)
{
    round_trip(BP_SIG_ES256);
}

BP_CASE(es384_round_trip)
{
    round_trip(BP_SIG_ES384);
}

BP_CASE(eddsa_round_trip)
{
    round_trip(BP_SIG_EDDSA);
}

/* No bit of an object of ours is outside the signature. */
BP_CASE(every_flipped_bit_is_refused)
{
    struct test_key k;
    uint8_t out[512];
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    const bp_span msg = write_sample(&k, BP_SPAN_STR("payload"), BP_SPAN_STR("aad"), out, sizeof out);
    BP_CHECK(is_good(msg, &k, BP_SPAN_STR("aad")));
    for (size_t bit = 0; bit < msg.n * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        BP_CHECK(!is_good(msg, &k, BP_SPAN_STR("aad")));
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n < msg.n; n++) {
        BP_CHECK(!is_good(bp_span_sub(msg, 0, n), &k, BP_SPAN_STR("aad")));
    }
    test_key_done(&k);
}

BP_CASE(another_key_is_refused)
{
    struct test_key k;
    struct test_key other;
    uint8_t out[512];
    BP_NEED(test_key_make(&k, BP_SIG_ES256) && test_key_make(&other, BP_SIG_ES256));
    const bp_span msg = write_sample(&k, BP_SPAN_STR("p"), BP_SPAN_EMPTY, out, sizeof out);
    BP_CHECK(is_good(msg, &k, BP_SPAN_EMPTY) && !is_good(msg, &other, BP_SPAN_EMPTY));
    test_key_done(&k);
    test_key_done(&other);
}

BP_CASE(writer_says_what_room_it_needs)
{
    struct test_key k;
    uint8_t out[512];
    uint8_t scratch[512];
    size_t n = 0;
    const struct bp_cose_header h = {.kid = BP_SPAN_STR("k")};
    BP_NEED(test_key_make(&k, BP_SIG_EDDSA));
    BP_CHECK(bp_is(bp_cose_sign1_write(&k.signer, &h, BP_SPAN_STR("p"), BP_SPAN_EMPTY, scratch, sizeof scratch, out, 10, &n),
                   BP_E_NO_SPACE));
    BP_CHECK(n > 10 && !bp_failed(bp_cose_sign1_write(&k.signer, &h, BP_SPAN_STR("p"), BP_SPAN_EMPTY, scratch,
                                                      sizeof scratch, out, n, &n)));
    BP_CHECK(bp_is(bp_cose_sign1_write(&k.signer, &h, BP_SPAN_STR("p"), BP_SPAN_EMPTY, scratch, 64, out, sizeof out, &n),
                   BP_E_NO_SPACE));
    k.signer.alg = BP_SIG_PS256;
    BP_CHECK(bp_is(bp_cose_sign1_write(&k.signer, &h, BP_SPAN_STR("p"), BP_SPAN_EMPTY, scratch, sizeof scratch, out,
                                       sizeof out, &n),
                   BP_E_UNSUPPORTED));
    test_key_done(&k);
}

/* What each reader says to messages whose signature does not matter. */
static const struct {
    const char *name;
    bp_span in;
    enum bp_error ours, foreign;
} read_row[] = {
#define IN(text) {(const uint8_t *)(text), sizeof(text) - 1}
    {"tagged_protected", IN("\xd2\x84\x43\xa1\x01\x26\xa0\x41p\x41s"), BP_E_OK, BP_E_OK},
    {"untagged", IN("\x84\x43\xa1\x01\x26\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_OK},
    {"tag_17", IN("\xd1\x84\x43\xa1\x01\x26\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"tag_twice", IN("\xd2\xd2\x84\x43\xa1\x01\x26\xa0\x41p\x41s"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"kid_unprotected", IN("\xd2\x84\x43\xa1\x01\x26\xa1\x04\x41k\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_OK},
    {"alg_unprotected", IN("\xd2\x84\x40\xa1\x01\x26\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_OK},
    {"alg_in_both", IN("\xd2\x84\x43\xa1\x01\x26\xa1\x01\x26\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_MALFORMED},
    {"no_alg", IN("\xd2\x84\x40\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"alg_es512", IN("\xd2\x84\x44\xa1\x01\x38\x23\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"alg_text", IN("\xd2\x84\x44\xa1\x01\x61x\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"crit", IN("\xd2\x84\x47\xa2\x01\x26\x02\x81\x18\x63\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"unknown_label", IN("\xd2\x84\x45\xa2\x01\x26\x05\x40\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_OK},
    {"text_label", IN("\xd2\x84\x46\xa2\x01\x26\x61x\x00\xa0\x41p\x41s"), BP_E_UNSUPPORTED, BP_E_OK},
    {"content_format", IN("\xd2\x84\x45\xa2\x01\x26\x03\x00\xa0\x41p\x41s"), BP_E_MALFORMED, BP_E_OK},
    {"detached", IN("\xd2\x84\x43\xa1\x01\x26\xa0\xf6\x41s"), BP_E_UNSUPPORTED, BP_E_UNSUPPORTED},
    {"three_items", IN("\xd2\x83\x43\xa1\x01\x26\xa0\x41p"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"five_items", IN("\xd2\x85\x43\xa1\x01\x26\xa0\x41p\x41s\x00"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"left_over", IN("\xd2\x84\x43\xa1\x01\x26\xa0\x41p\x41s\x00"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"protected_not_a_map", IN("\xd2\x84\x41\x80\xa0\x41p\x41s"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"protected_left_over", IN("\xd2\x84\x44\xa1\x01\x26\x00\xa0\x41p\x41s"), BP_E_MALFORMED, BP_E_MALFORMED},
    {"protected_long_form", IN("\xd2\x84\x44\xa1\x01\x38\x06\xa0\x41p\x41s"), BP_E_NOT_CANONICAL, BP_E_NOT_CANONICAL},
    {"protected_key_twice", IN("\xd2\x84\x45\xa2\x01\x26\x01\x26\xa0\x41p\x41s"), BP_E_NOT_CANONICAL, BP_E_NOT_CANONICAL},
    {"kid_text", IN("\xd2\x84\x46\xa2\x01\x26\x04\x61k\xa0\x41p\x41s"), BP_E_MALFORMED, BP_E_MALFORMED},
};

static void readers(void)
{
    for (size_t i = 0; i < sizeof read_row / sizeof read_row[0]; i++) {
        bp_case_begin();
        struct bp_cose_sign1 m = {.alg = BP_SIG_RS256};
        const bp_result ours = bp_cose_sign1_read(read_row[i].in, &m);
        BP_CHECK(bp_error_of(ours) == read_row[i].ours);
        BP_CHECK(!bp_failed(ours) || m.alg == BP_SIG_RS256);
        BP_CHECK(bp_error_of(bp_cose_sign1_read_foreign(read_row[i].in, &m)) == read_row[i].foreign);
        bp_case_end(read_row[i].name);
    }
}

BP_CASE(keys_both_ways)
{
    static const enum bp_sig_alg algs[] = {BP_SIG_ES256, BP_SIG_ES384, BP_SIG_EDDSA};
    for (size_t i = 0; i < 3; i++) {
        struct test_key k;
        struct bp_pubkey back;
        uint8_t out[128];
        BP_NEED(test_key_make(&k, algs[i]));
        bp_cw w = bp_cw_over(out, sizeof out);
        bp_cose_key_write(&w, &k.key);
        BP_CHECK(!bp_failed(bp_cw_finish(&w)) && !bp_failed(bp_cose_key_read(bp_cw_span(&w), &back)));
        BP_CHECK(back.type == k.key.type && bp_span_equal(back.a, k.key.a) && bp_span_equal(back.b, k.key.b));
        test_key_done(&k);
    }
    bp_cw w = bp_cw_over(NULL, 0);
    bp_cose_key_write(&w, &(struct bp_pubkey){.type = BP_KEY_RSA});
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_BAD_ARGUMENT));
}

BP_CASE(keys_refused)
{
    struct bp_pubkey key;
    BP_CHECK(bp_is(bp_cose_key_read(BP_SPAN_STR("\xa3\x01\x01\x20\x06\x21\x41x"), &key), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_cose_key_read(BP_SPAN_STR("\xa2\x01\x01\x23\x41x"), &key), BP_E_UNSUPPORTED)); /* private */
    BP_CHECK(bp_is(bp_cose_key_read(BP_SPAN_STR("\xa2\x01\x04\x20\x01"), &key), BP_E_UNSUPPORTED));
    BP_CHECK(bp_is(bp_cose_key_read(BP_SPAN_STR("\xa4\x01\x02\x20\x01\x21\x41x\x22\xf5"), &key), BP_E_UNSUPPORTED));
    BP_CHECK(bp_is(bp_cose_key_read(BP_SPAN_STR("\x80"), &key), BP_E_MALFORMED));
}

static void start(void)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(8, &crypto)));
}

/* clang-format off */
BP_SUITE(cose,
    BP_RUN(start)
    BP_RUN(es256_round_trip)
    BP_RUN(es384_round_trip)
    BP_RUN(eddsa_round_trip)
    BP_RUN(every_flipped_bit_is_refused)
    BP_RUN(another_key_is_refused)
    BP_RUN(writer_says_what_room_it_needs)
    BP_TABLE(readers)
    BP_RUN(keys_both_ways)
    BP_RUN(keys_refused)
    bp_crypto_openssl_free(crypto);)
