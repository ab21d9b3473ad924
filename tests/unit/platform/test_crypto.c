/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/platform/test_crypto - published vectors, refusals and the key cache of platform/openssl/crypto. */
#include "harness.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

static size_t unhex(const char *hex, uint8_t *ret, size_t cap)
{
    size_t n = 0;
    for (; hex[0] != 0 && n < cap; hex += 2) {
        unsigned v = 0;
        if (sscanf(hex, "%2x", &v) != 1) {
            return 0;
        }
        ret[n++] = (uint8_t)v;
    }
    return n;
}

static bool equals_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[128];
    return unhex(hex, want, sizeof want) == n && memcmp(p, want, n) == 0;
}

BP_CASE(hash_known_values)
{
    struct bp_crypto *c = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &c)));
    uint8_t d[BP_HASH_MAX];
    for (int twice = 0; twice < 2; twice++) {
        BP_CHECK(!bp_failed(bp_hash(c, BP_HASH_SHA1, BP_SPAN_STR("abc"), d)));
        BP_CHECK(equals_hex(d, 20, "a9993e364706816aba3e25717850c26c9cd0d89d"));
        const bp_span parts[] = {BP_SPAN_STR("a"), BP_SPAN_EMPTY, BP_SPAN_STR("bc")};
        BP_CHECK(!bp_failed(bp_hash_parts(c, BP_HASH_SHA256, parts, 3, d)));
        BP_CHECK(equals_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    }
    BP_CHECK(bp_is(bp_hash(c, BP_HASH_NONE, BP_SPAN_EMPTY, d), BP_E_UNSUPPORTED));
    BP_CHECK(bp_is(bp_hash(NULL, BP_HASH_SHA1, BP_SPAN_EMPTY, d), BP_E_BAD_ARGUMENT));
    bp_crypto_openssl_free(c);
}

/* RFC 4231 case 2, RFC 5869 cases 1 and 3. */
BP_CASE(codes_known_values)
{
    struct bp_crypto *c = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &c)));
    uint8_t d[42];
    const bp_span data = BP_SPAN_STR("what do ya want for nothing?");
    BP_CHECK(!bp_failed(bp_hmac_sha256(c, BP_SPAN_STR("Jefe"), &data, 1, d)));
    BP_CHECK(equals_hex(d, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    BP_CHECK(!bp_failed(bp_hmac_sha256(c, BP_SPAN_EMPTY, NULL, 0, d)));
    BP_CHECK(equals_hex(d, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
    uint8_t ikm[22];
    uint8_t salt[13];
    uint8_t info[10];
    memset(ikm, 0x0b, sizeof ikm);
    BP_CHECK(unhex("000102030405060708090a0b0c", salt, sizeof salt) == 13);
    BP_CHECK(unhex("f0f1f2f3f4f5f6f7f8f9", info, sizeof info) == 10);
    BP_CHECK(!bp_failed(bp_hkdf_sha256(c, BP_SPAN_OF(ikm), BP_SPAN_OF(salt), BP_SPAN_OF(info), d, 42)));
    BP_CHECK(equals_hex(d, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
    BP_CHECK(!bp_failed(bp_hkdf_sha256(c, BP_SPAN_OF(ikm), BP_SPAN_EMPTY, BP_SPAN_EMPTY, d, 42)));
    BP_CHECK(equals_hex(d, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
    BP_CHECK(bp_is(bp_hkdf_sha256(c, BP_SPAN_OF(ikm), BP_SPAN_EMPTY, BP_SPAN_EMPTY, d, 8161), BP_E_BAD_ARGUMENT));
    bp_crypto_openssl_free(c);
}

/* RFC 6979 A.2.5 (P-256, SHA-256, "sample") and A.2.6 (P-384, SHA-384, "sample"); RFC 8032 7.1 test 2. */
struct vector {
    const char *name;
    enum bp_key_type type;
    enum bp_sig_alg alg;
    const char *a, *b, *message, *sig;
};
static const struct vector vectors[] = {
    {"es256", BP_KEY_P256, BP_SIG_ES256, "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
     "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299", "73616d706c65",
     "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
     "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
    {"es384", BP_KEY_P384, BP_SIG_ES384,
     "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
     "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
     "73616d706c65",
     "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
     "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"},
    {"eddsa", BP_KEY_ED25519, BP_SIG_EDDSA, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "",
     "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
};

static void verify_row(struct bp_crypto *c, const struct vector *v)
{
    uint8_t a[64];
    uint8_t b[64];
    uint8_t m[16];
    uint8_t s[BP_SIG_MAX];
    const size_t an = unhex(v->a, a, sizeof a);
    const struct bp_pubkey key = {v->type, bp_span_of(a, an), bp_span_of(b, unhex(v->b, b, sizeof b))};
    const bp_span message = bp_span_of(m, unhex(v->message, m, sizeof m));
    const size_t sn = unhex(v->sig, s, sizeof s);
    const uint64_t before = bp_crypto_openssl_decodes(c);
    BP_CHECK(!bp_failed(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn))));
    BP_CHECK(!bp_failed(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn))));
    BP_CHECK(bp_crypto_openssl_decodes(c) == before + 1);
    BP_CHECK(bp_is(bp_verify(c, &key, v->alg, BP_SPAN_STR("x"), bp_span_of(s, sn)), BP_E_BAD_SIGNATURE));
    BP_CHECK(bp_is(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn - 1)), BP_E_BAD_SIGNATURE));
    BP_CHECK(bp_is(bp_verify(c, &key, BP_SIG_RS256, message, bp_span_of(s, sn)), BP_E_UNSUPPORTED));
    for (size_t i = 0; i < sn; i += 7) {
        s[i] ^= 0x40;
        BP_CHECK(bp_is(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn)), BP_E_BAD_SIGNATURE));
        s[i] ^= 0x40;
    }
    memset(s, 0, sn);
    BP_CHECK(bp_is(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn)), BP_E_BAD_SIGNATURE));
    memset(s, 0xff, sn);
    BP_CHECK(bp_is(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn)), BP_E_BAD_SIGNATURE));
    if (v->type != BP_KEY_ED25519) {
        a[0] ^= 1;
        BP_CHECK(bp_is(bp_verify(c, &key, v->alg, message, bp_span_of(s, sn)), BP_E_MALFORMED));
    }
}

static void verify_vectors(void)
{
    struct bp_crypto *c = NULL;
    if (bp_failed(bp_crypto_openssl_new(2, &c))) {
        return;
    }
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        bp_case_begin();
        verify_row(c, &vectors[i]);
        bp_case_end(vectors[i].name);
    }
    bp_crypto_openssl_free(c);
}

/* Two places and three keys in turn: the longest unused leaves, answers stay right. */
BP_CASE(cache_is_bounded)
{
    struct bp_crypto *c = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(2, &c)));
    uint8_t a[3][64];
    uint8_t b[3][64];
    uint8_t m[3][16];
    uint8_t s[3][96];
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < 3; i++) {
            const struct vector *v = &vectors[i];
            const struct bp_pubkey key = {v->type, bp_span_of(a[i], unhex(v->a, a[i], 64)),
                                          bp_span_of(b[i], unhex(v->b, b[i], 64))};
            BP_CHECK(!bp_failed(bp_verify(c, &key, v->alg, bp_span_of(m[i], unhex(v->message, m[i], 16)),
                                          bp_span_of(s[i], unhex(v->sig, s[i], 96)))));
        }
    }
    BP_CHECK(bp_crypto_openssl_decodes(c) == 12);
    bp_crypto_openssl_free(c);
}

BP_CASE(rsa_outside_the_profile)
{
    struct bp_crypto *c = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(2, &c)));
    uint8_t n[512];
    memset(n, 0xff, sizeof n);
    const uint8_t e[] = {1, 0, 1};
    const uint8_t one[] = {1};
    struct bp_pubkey key = {BP_KEY_RSA, bp_span_of(n, 255), BP_SPAN_OF(e)};
    BP_CHECK(bp_is(bp_verify(c, &key, BP_SIG_RS256, BP_SPAN_EMPTY, bp_span_of(n, 255)), BP_E_MALFORMED));
    key.a = bp_span_of(n, 256);
    BP_CHECK(bp_is(bp_verify(c, &key, BP_SIG_PS256, BP_SPAN_EMPTY, bp_span_of(n, 256)), BP_E_BAD_SIGNATURE));
    BP_CHECK(bp_is(bp_verify(c, &key, BP_SIG_RS256, BP_SPAN_EMPTY, bp_span_of(n, 256)), BP_E_BAD_SIGNATURE));
    key.b = BP_SPAN_OF(one);
    BP_CHECK(bp_is(bp_verify(c, &key, BP_SIG_RS256, BP_SPAN_EMPTY, bp_span_of(n, 256)), BP_E_MALFORMED));
    bp_crypto_openssl_free(c);
}

BP_CASE(each_allocation_fails_once)
{
    const size_t live = bp_alloc_live();
    for (size_t nth = 1;; nth++) {
        struct bp_crypto *c = NULL;
        bp_alloc_fail_once(nth);
        const bp_result r = bp_crypto_openssl_new(8, &c);
        if (!bp_alloc_has_failed()) {
            BP_CHECK(nth == 4);
            BP_CHECK(!bp_failed(r));
            bp_crypto_openssl_free(c);
            break;
        }
        BP_CHECK(bp_is(r, BP_E_NO_MEMORY) && c == NULL);
    }
    bp_alloc_fail_once(0);
    BP_CHECK(bp_alloc_live() == live);
}

BP_SUITE(crypto, BP_RUN(hash_known_values) BP_RUN(codes_known_values) BP_TABLE(verify_vectors)
                     BP_RUN(cache_is_bounded) BP_RUN(rsa_outside_the_profile) BP_RUN(each_allocation_fails_once))
