/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_crl - revocation lists made by libcrypto, read by us; and by hand, what is none. */
#include "codec/crl.h"
#include "harness.h"
#include "unit/signer.h"

#include <openssl/x509v3.h>

#define BP_MODULE TEST

static struct bp_crypto *crypto;
static struct test_key ca;
static uint8_t der[8192];

struct plan {
    long number; /* -1: none */
    bool aki, idp, critical_reason;
    int count;
    int reason; /* of the first; -1: none */
};

static void add(X509_CRL *crl, int nid, void *value, int critical)
{
    BP_CHECK(X509_CRL_add1_ext_i2d(crl, nid, value, critical, 0) == 1);
}

static void add_entries(X509_CRL *crl, const struct plan *p)
{
    for (int i = 0; i < p->count; i++) {
        X509_REVOKED *r = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        ASN1_TIME *at = ASN1_TIME_set(NULL, 1700000000 + i);
        BP_CHECK(ASN1_INTEGER_set(serial, 0xc0ffee + i) == 1 && X509_REVOKED_set_serialNumber(r, serial) == 1);
        BP_CHECK(X509_REVOKED_set_revocationDate(r, at) == 1);
        if (i == 0 && p->reason >= 0) {
            ASN1_ENUMERATED *e = ASN1_ENUMERATED_new();
            BP_CHECK(ASN1_ENUMERATED_set(e, p->reason) == 1 &&
                     X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, e, p->critical_reason, 0) == 1);
            ASN1_ENUMERATED_free(e);
        }
        BP_CHECK(X509_CRL_add0_revoked(crl, r) == 1);
        ASN1_INTEGER_free(serial);
        ASN1_TIME_free(at);
    }
}

static size_t make(const struct plan *p)
{
    X509_CRL *crl = X509_CRL_new();
    X509_NAME *name = X509_NAME_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, 1700001000), *until = ASN1_TIME_set(NULL, 1702679400);
    BP_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"authority", -1, -1, 0) == 1);
    BP_CHECK(X509_CRL_set_version(crl, 1) == 1 && X509_CRL_set_issuer_name(crl, name) == 1);
    BP_CHECK(X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, until) == 1);
    add_entries(crl, p);
    if (p->aki) {
        AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
        aki->keyid = ASN1_OCTET_STRING_new();
        BP_CHECK(ASN1_OCTET_STRING_set(aki->keyid, (const unsigned char *)"12345678901234567890", 20) == 1);
        add(crl, NID_authority_key_identifier, aki, 0);
        AUTHORITY_KEYID_free(aki);
    }
    if (p->number >= 0) {
        ASN1_INTEGER *n = ASN1_INTEGER_new();
        BP_CHECK(ASN1_INTEGER_set(n, p->number) == 1);
        add(crl, NID_crl_number, n, 0);
        ASN1_INTEGER_free(n);
    }
    if (p->idp) {
        ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();
        idp->onlyuser = 0xff;
        add(crl, NID_issuing_distribution_point, idp, 1);
        ISSUING_DIST_POINT_free(idp);
    }
    BP_CHECK(X509_CRL_sign(crl, ca.pkey, EVP_sha256()) > 0);
    unsigned char *at = der;
    const int n = i2d_X509_CRL(crl, &at);
    X509_CRL_free(crl);
    X509_NAME_free(name);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return n > 0 ? (size_t)n : 0;
}

BP_CASE(ready)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)) && test_key_make(&ca, BP_SIG_ES256));
}

BP_CASE(a_list_of_libcrypto)
{
    const struct plan p = {.number = 300, .aki = true, .count = 3, .reason = 1};
    struct bp_crl crl;
    struct bp_crl_item item;
    const size_t n = make(&p);
    BP_NEED(!bp_failed(bp_crl_read(bp_span_of(der, n), &crl)));
    BP_CHECK(crl.number == 300 && crl.count == 3 && crl.this_s == 1700001000 && crl.next_s == 1702679400);
    BP_CHECK(!bp_failed(bp_x509_verify(crypto, &ca.key, crl.alg, crl.tbs, crl.signature)));
    bp_rd rd = bp_rd_over(crl.entries);
    BP_CHECK(bp_crl_next(&rd, &item) && bp_span_equal(item.serial, BP_SPAN_STR("\xc0\xff\xee")) && item.reason == 1 &&
             item.revoked_s == 1700000000);
    BP_CHECK(bp_crl_next(&rd, &item) && bp_span_equal(item.serial, BP_SPAN_STR("\xc0\xff\xef")) && item.reason == 0);
    BP_CHECK(bp_crl_next(&rd, &item) && item.revoked_s == 1700000002);
    BP_CHECK(!bp_crl_next(&rd, &item));
    der[n - 1] ^= 1;
    BP_CHECK(bp_failed(bp_crl_read(bp_span_of(der, n), &crl)) ||
             bp_failed(bp_x509_verify(crypto, &ca.key, crl.alg, crl.tbs, crl.signature)));
}

BP_CASE(a_list_of_nobody)
{
    const struct plan p = {.number = 0, .aki = true, .reason = -1};
    struct bp_crl crl;
    const size_t n = make(&p);
    BP_CHECK(!bp_failed(bp_crl_read(bp_span_of(der, n), &crl)) && crl.count == 0 && crl.number == 0 && crl.entries.n == 0);
}

BP_CASE(cut_anywhere_it_is_refused)
{
    const struct plan p = {.number = 7, .aki = true, .count = 2, .reason = 6};
    struct bp_crl crl;
    const size_t n = make(&p);
    BP_NEED(!bp_failed(bp_crl_read(bp_span_of(der, n), &crl)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_crl_read(bp_span_of(der, cut), &crl)));
    }
    der[n] = 0;
    BP_CHECK(bp_failed(bp_crl_read(bp_span_of(der, n + 1), &crl)));
}

/* Every bit of a list with two entries turned: it is refused, or its signature does not hold, or what changed is nothing
 * that the signature covers and reads the same. */
BP_CASE(every_bit_turned)
{
    const struct plan p = {.number = 7, .aki = true, .count = 2, .reason = 6};
    struct bp_crl crl;
    const size_t n = make(&p);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const bool passes = !bp_failed(bp_crl_read(bp_span_of(der, n), &crl)) &&
                            !bp_failed(bp_x509_verify(crypto, &ca.key, crl.alg, crl.tbs, crl.signature));
        BP_CHECK(!passes);
        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void what_is_no_list_of_ours(void)
{
    static const struct {
        const char *name;
        struct plan p;
        enum bp_error want;
    } rows[] = {{"no_number", {.number = -1, .aki = true, .reason = -1}, BP_E_MALFORMED},
                {"no_key_identifier", {.number = 1, .reason = -1}, BP_E_MALFORMED},
                {"partial", {.number = 1, .aki = true, .idp = true, .reason = -1}, BP_E_UNSUPPORTED},
                {"reason_0", {.number = 1, .aki = true, .count = 1, .reason = 0}, BP_E_MALFORMED},
                {"reason_7", {.number = 1, .aki = true, .count = 1, .reason = 7}, BP_E_MALFORMED},
                {"reason_8", {.number = 1, .aki = true, .count = 1, .reason = 8}, BP_E_MALFORMED},
                {"reason_11", {.number = 1, .aki = true, .count = 1, .reason = 11}, BP_E_MALFORMED},
                {"reason_10", {.number = 1, .aki = true, .count = 1, .reason = 10}, BP_E_OK}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_crl crl;
        memset(&crl, 0xa5, sizeof crl);
        const struct bp_crl before = crl;
        bp_case_begin();
        const size_t n = make(&rows[i].p);
        const bp_result r = bp_crl_read(bp_span_of(der, n), &crl);
        BP_CHECK(bp_error_of(r) == rows[i].want);
        BP_CHECK(!bp_failed(r) || memcmp(&crl, &before, sizeof crl) == 0);
        bp_case_end(rows[i].name);
    }
}

/* --- by hand --- */

#define ALG      "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define FROM     "\x17\x0d" "230101000000Z"
#define UNTIL    "\x17\x0d" "230201000000Z"
#define AKI      "\x30\x0a\x06\x03\x55\x1d\x23\x04\x03\x30\x01\x80"
#define NUMBER   "\x30\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x05"
#define EXTS     "\xa0\x1a\x30\x18" AKI NUMBER
#define SIGNED   ALG "\x03\x02\x00s"

static const struct {
    const char *name;
    bp_span in;
    enum bp_error want;
} hand[] = {
#define ROW(name, text, want) {name, {(const uint8_t *)("" text), sizeof("" text) - 1}, BP_E_##want}
    ROW("empty", "", TRUNCATED),
    ROW("plain", "\x30\x5d\x30\x4b\x02\x01\x01" ALG "\x30\x00" FROM UNTIL EXTS SIGNED, OK),
    ROW("version_1", "\x30\x5a\x30\x48" ALG "\x30\x00" FROM UNTIL EXTS SIGNED, UNSUPPORTED),
    ROW("version_3", "\x30\x5d\x30\x4b\x02\x01\x02" ALG "\x30\x00" FROM UNTIL EXTS SIGNED, UNSUPPORTED),
    ROW("no_next", "\x30\x4e\x30\x3c\x02\x01\x01" ALG "\x30\x00" FROM EXTS SIGNED, MALFORMED),
    ROW("ends_first", "\x30\x5d\x30\x4b\x02\x01\x01" ALG "\x30\x00" UNTIL FROM EXTS SIGNED, MALFORMED),
    ROW("entries_empty", "\x30\x5f\x30\x4d\x02\x01\x01" ALG "\x30\x00" FROM UNTIL "\x30\x00" EXTS SIGNED, MALFORMED),
    ROW("extensions_empty", "\x30\x45\x30\x33\x02\x01\x01" ALG "\x30\x00" FROM UNTIL "\xa0\x02\x30\x00" SIGNED, MALFORMED),
    ROW("no_extensions", "\x30\x41\x30\x2f\x02\x01\x01" ALG "\x30\x00" FROM UNTIL SIGNED, TRUNCATED),
    ROW("number_twice", "\x30\x69\x30\x57\x02\x01\x01" ALG "\x30\x00" FROM UNTIL "\xa0\x26\x30\x24" AKI NUMBER NUMBER SIGNED,
        MALFORMED),
    ROW("other_algorithm", "\x30\x5d\x30\x4b\x02\x01\x01\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03\x30\x00" FROM UNTIL EXTS
        SIGNED, MALFORMED),
    ROW("number_negative", "\x30\x5d\x30\x4b\x02\x01\x01" ALG "\x30\x00" FROM UNTIL
        "\xa0\x1a\x30\x18" AKI "\x30\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x85" SIGNED, MALFORMED),
    ROW("tail", "\x30\x5d\x30\x4b\x02\x01\x01" ALG "\x30\x00" FROM UNTIL EXTS SIGNED "\x05\x00", MALFORMED),
#undef ROW
};

static void by_hand(void)
{
    for (size_t i = 0; i < sizeof hand / sizeof hand[0]; i++) {
        struct bp_crl crl;
        bp_case_begin();
        BP_CHECK(bp_error_of(bp_crl_read(hand[i].in, &crl)) == hand[i].want);
        bp_case_end(hand[i].name);
    }
}

static void done(void)
{
    test_key_done(&ca);
    bp_crypto_openssl_free(crypto);
}

/* clang-format off */
BP_SUITE(crl,
    BP_RUN(ready)
    BP_RUN(a_list_of_libcrypto)
    BP_RUN(a_list_of_nobody)
    BP_RUN(cut_anywhere_it_is_refused)
    BP_RUN(every_bit_turned)
    BP_TABLE(what_is_no_list_of_ours)
    BP_TABLE(by_hand)
    done();)
/* clang-format on */
