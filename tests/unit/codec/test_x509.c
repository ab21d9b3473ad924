/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_x509 - certificates and requests made by libcrypto, read by us; every flipped bit is refused. */
#include "codec/x509.h"
#include "harness.h"
#include "unit/signer.h"

#include <openssl/x509v3.h>

static struct bp_crypto *crypto;
static const struct {
    const char *name;
    enum bp_sig_alg alg;
} kind[] = {{"p256", BP_SIG_ES256}, {"p384", BP_SIG_ES384}, {"ed25519", BP_SIG_EDDSA}};

static const EVP_MD *digest_of(enum bp_sig_alg alg)
{
    return alg == BP_SIG_EDDSA ? NULL : alg == BP_SIG_ES256 ? EVP_sha256() : EVP_sha384();
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    BP_CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static size_t make_certificate(struct test_key *k, uint8_t *ret, size_t cap, const char *twice)
{
    X509 *x = X509_new();
    BP_CHECK(x != NULL && X509_set_version(x, 2) == 1 && X509_set_pubkey(x, k->pkey) == 1);
    BP_CHECK(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), 0xfedcba9876543210u) == 1);
    BP_CHECK(ASN1_TIME_set_string(X509_getm_notBefore(x), "20260101000000Z") == 1);
    BP_CHECK(ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z") == 1);
    X509_NAME *name = X509_get_subject_name(x);
    BP_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"device", -1, -1, 0) == 1);
    BP_CHECK(X509_set_issuer_name(x, name) == 1);
    add_extension(x, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(x, NID_key_usage, "critical,digitalSignature");
    add_extension(x, NID_ext_key_usage, "clientAuth");
    if (twice != NULL) {
        add_extension(x, NID_ext_key_usage, twice);
    }
    BP_CHECK(X509_sign(x, k->pkey, digest_of(k->signer.alg)) > 0);
    unsigned char *at = ret;
    const int n = i2d_X509(x, NULL);
    BP_CHECK(n > 0 && (size_t)n <= cap && i2d_X509(x, &at) == n);
    X509_free(x);
    return n > 0 ? (size_t)n : 0;
}

static bool is_good(bp_span der, const struct test_key *k)
{
    struct bp_x509 c;
    return !bp_failed(bp_x509_read(der, &c)) &&
           !bp_failed(bp_x509_verify(crypto, &k->key, c.alg, c.tbs, c.signature));
}

static void check_fields(bp_span der, const struct test_key *k)
{
    struct bp_x509 c;
    struct bp_x509_ext e;
    BP_NEED(!bp_failed(bp_x509_read(der, &c)));
    BP_CHECK(bp_span_equal(c.serial, BP_SPAN_STR("\xfe\xdc\xba\x98\x76\x54\x32\x10")));
    BP_CHECK(c.not_before_s == 1767225600 && c.not_after_s == INT64_MAX);
    BP_CHECK(bp_span_equal(c.issuer, c.subject) && bp_span_equal(c.spki, bp_span_of(k->spki, k->spki_n)));
    BP_CHECK(c.alg == k->signer.alg && c.key.type == k->key.type && bp_span_equal(c.key.a, k->key.a));
    BP_CHECK(!bp_failed(bp_x509_find_ext(&c, BP_SPAN_STR("\x55\x1d\x0f"), &e)) && e.is_critical);
    BP_CHECK(!bp_failed(bp_x509_find_ext(&c, BP_SPAN_STR("\x55\x1d\x25"), &e)) && !e.is_critical);
    BP_CHECK(bp_is(bp_x509_find_ext(&c, BP_SPAN_STR("\x55\x1d\x0e"), &e), BP_E_NOT_FOUND));
}

static void certificates(void)
{
    for (size_t i = 0; i < 3; i++) {
        struct test_key k;
        uint8_t der[1024];
        bp_case_begin();
        BP_CHECK(test_key_make(&k, kind[i].alg));
        const size_t n = make_certificate(&k, der, sizeof der, NULL);
        check_fields(bp_span_of(der, n), &k);
        BP_CHECK(is_good(bp_span_of(der, n), &k));
        for (size_t cut = 0; cut < n; cut++) {
            BP_CHECK(!is_good(bp_span_of(der, cut), &k));
        }
        for (size_t bit = 0; bit < n * 8; bit++) {
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
            BP_CHECK(!is_good(bp_span_of(der, n), &k));
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        test_key_done(&k);
        bp_case_end(kind[i].name);
    }
}

BP_CASE(an_extension_twice_is_refused)
{
    struct test_key k;
    struct bp_x509 c;
    uint8_t der[1024];
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    const size_t n = make_certificate(&k, der, sizeof der, "serverAuth");
    BP_CHECK(bp_is(bp_x509_read(bp_span_of(der, n), &c), BP_E_MALFORMED));
    test_key_done(&k);
}

BP_CASE(request_proves_possession)
{
    struct test_key k;
    struct bp_csr c;
    uint8_t der[1024];
    unsigned char *at = der;
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    X509_REQ *r = X509_REQ_new();
    BP_CHECK(X509_REQ_set_pubkey(r, k.pkey) == 1);
    BP_CHECK(X509_REQ_add1_attr_by_NID(r, NID_pkcs9_challengePassword, MBSTRING_ASC, (const unsigned char *)"x", -1) == 1);
    BP_CHECK(X509_REQ_sign(r, k.pkey, EVP_sha256()) > 0);
    const int n = i2d_X509_REQ(r, &at);
    X509_REQ_free(r);
    BP_NEED(n > 0 && !bp_failed(bp_csr_read(bp_span_of(der, (size_t)n), &c)));
    BP_CHECK(bp_span_equal(c.spki, bp_span_of(k.spki, k.spki_n)) && c.attributes.n > 0);
    BP_CHECK(!bp_failed(bp_x509_verify(crypto, &c.key, c.alg, c.tbs, c.signature)));
    for (size_t bit = 0; bit < (size_t)n * 8; bit++) {
        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const bool ok = !bp_failed(bp_csr_read(bp_span_of(der, (size_t)n), &c)) &&
                        !bp_failed(bp_x509_verify(crypto, &k.key, c.alg, c.tbs, c.signature));
        BP_CHECK(!ok);
        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    test_key_done(&k);
}

/* SubjectPublicKeyInfo around an identifier and n bytes of key. */
static bp_span put_spki(uint8_t *room, size_t cap, bp_span id, uint8_t unused, size_t n)
{
    static const uint8_t key[2600];
    bp_wr wr = bp_wr_over(room, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(id.n) + bp_der_size(1 + n));
    bp_der_put(&wr, BP_DER_SEQ, id);
    bp_der_put_head(&wr, BP_DER_BITS, 1 + n);
    bp_wr_u8(&wr, unused);
    bp_wr_bytes(&wr, bp_span_of(key, n));
    return bp_wr_span(&wr);
}

static void ml_dsa_keys(void)
{
    static const struct {
        const char *name;
        uint8_t last, unused;
        const char *more; /* after the identifier */
        size_t n;
        bool is_one;
    } rows[] = {
        {"44", 0x11, 0, "", 1312, true},
        {"65", 0x12, 0, "", 1952, true},
        {"87", 0x13, 0, "", 2592, true},
        {"of_no_bytes", 0x11, 0, "", 0, false},
        {"a_byte_short", 0x12, 0, "", 1951, false},
        {"a_byte_long", 0x12, 0, "", 1953, false},
        {"of_the_next_size", 0x11, 0, "", 1952, false},
        {"with_parameters", 0x11, 0, "\x05\x00", 1312, false},
        {"bits_left_over", 0x11, 1, "", 1312, false},
        {"below_the_three", 0x10, 0, "", 1312, false},
        {"above_the_three", 0x14, 0, "", 2592, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t id[16] = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03";
        static uint8_t room[2700];
        char name[48];
        struct bp_pubkey key;
        const size_t more = strlen(rows[i].more) == 0 ? 0 : 2;
        bp_case_begin();
        id[10] = rows[i].last;
        memcpy(id + 11, rows[i].more, more);
        const bp_span spki = put_spki(room, sizeof room, bp_span_of(id, 11 + more), rows[i].unused, rows[i].n);
        BP_CHECK(bp_spki_is_ml_dsa(spki) == rows[i].is_one);
        BP_CHECK(bp_failed(bp_spki_read(spki, &key))); /* it is none of port/crypto */
        for (size_t cut = 0; cut < spki.n; cut++) {
            BP_CHECK(!bp_spki_is_ml_dsa(bp_span_sub(spki, 0, cut)));
        }
        BP_CHECK(!bp_spki_is_ml_dsa(bp_span_of(room, spki.n + 1)));
        snprintf(name, sizeof name, "ml_dsa_%s", rows[i].name);
        bp_case_end(name);
    }
}

static void start(void)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(8, &crypto)));
}

/* clang-format off */
BP_SUITE(x509,
    BP_RUN(start)
    BP_TABLE(certificates)
    BP_RUN(an_extension_twice_is_refused)
    BP_RUN(request_proves_possession)
    BP_TABLE(ml_dsa_keys)
    bp_crypto_openssl_free(crypto);)
