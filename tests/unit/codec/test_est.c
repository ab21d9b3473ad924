/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_est - requests of ours read by libcrypto, answers of libcrypto read by us. */
#include "codec/est.h"
#include "codec/x509.h"
#include "harness.h"
#include "unit/signer.h"

#include <openssl/pkcs7.h>
#include <openssl/x509.h>

static struct bp_crypto *crypto;
static uint8_t room[4096];

static size_t write_request(struct test_key *k, uint8_t *ret, size_t cap)
{
    uint8_t info[512];
    uint8_t raw[64];
    size_t info_n = 0;
    size_t n = 0;
    const bp_span spki = bp_span_of(k->spki, k->spki_n);
    BP_CHECK(!bp_failed(bp_est_info_write(BP_SPAN_STR("ABCDE-FGHIJ"), spki, info, sizeof info, &info_n)));
    BP_CHECK(!bp_failed(k->signer.sign(k->signer.self, bp_span_of(info, info_n), raw, sizeof raw, &n)) && n == 64);
    BP_CHECK(!bp_failed(bp_est_request_write(bp_span_of(info, info_n), BP_SPAN_OF(raw), ret, cap, &n)));
    return n;
}

BP_CASE(a_request_is_read_by_both)
{
    struct test_key k;
    struct bp_csr csr;
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    const size_t n = write_request(&k, room, sizeof room);
    const unsigned char *p = room;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)n);
    BP_CHECK(req != NULL && p == room + n && X509_REQ_verify(req, k.pkey) == 1);
    if (req != NULL) {
        char cn[64] = "";
        BP_CHECK(X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(req), NID_commonName, cn, sizeof cn) == 11);
        BP_CHECK(strcmp(cn, "ABCDE-FGHIJ") == 0);
    }
    X509_REQ_free(req);
    BP_CHECK(!bp_failed(bp_csr_read(bp_span_of(room, n), &csr)));
    BP_CHECK(!bp_failed(bp_x509_verify(crypto, &csr.key, csr.alg, csr.tbs, csr.signature)));
    BP_CHECK(csr.attributes.n == 0 && bp_span_equal(csr.spki, bp_span_of(k.spki, k.spki_n)));
    test_key_done(&k);
}

BP_CASE(a_request_says_what_room_it_needs)
{
    uint8_t out[64];
    size_t n = 0;
    const bp_span spki = BP_SPAN_STR("spki");
    BP_CHECK(bp_is(bp_est_info_write(BP_SPAN_STR("n"), spki, out, 3, &n), BP_E_NO_SPACE) && n > 3 && n <= sizeof out);
    BP_CHECK(!bp_failed(bp_est_info_write(BP_SPAN_STR("n"), spki, out, n, &n)));
    BP_CHECK(bp_is(bp_est_info_write(BP_SPAN_EMPTY, spki, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_est_request_write(spki, spki, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
}

/* A certs-only answer by libcrypto with `count` certificates. */
static size_t make_answer(struct test_key *k, unsigned count, uint8_t *ret, size_t cap)
{
    PKCS7 *p7 = PKCS7_new();
    BP_CHECK(p7 != NULL && PKCS7_set_type(p7, NID_pkcs7_signed) == 1 && PKCS7_content_new(p7, NID_pkcs7_data) == 1);
    BP_CHECK(PKCS7_set_detached(p7, 1) == 1);
    for (unsigned i = 0; i < count; i++) {
        X509 *x = X509_new();
        BP_CHECK(x != NULL && X509_set_version(x, 2) == 1 && X509_set_pubkey(x, k->pkey) == 1);
        BP_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), (long)i + 1) == 1);
        BP_CHECK(ASN1_TIME_set_string(X509_getm_notBefore(x), "20260101000000Z") == 1);
        BP_CHECK(ASN1_TIME_set_string(X509_getm_notAfter(x), "20270101000000Z") == 1);
        BP_CHECK(X509_sign(x, k->pkey, EVP_sha256()) > 0 && PKCS7_add_certificate(p7, x) == 1);
        X509_free(x);
    }
    unsigned char *at = ret;
    const int n = i2d_PKCS7(p7, NULL);
    BP_CHECK(n > 0 && (size_t)n <= cap && i2d_PKCS7(p7, &at) == n);
    PKCS7_free(p7);
    return n > 0 ? (size_t)n : 0;
}

BP_CASE(an_answer_gives_its_certificates)
{
    struct test_key k;
    bp_span cert[BP_EST_CERTS_MAX];
    size_t count = 0;
    struct bp_x509 x;
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    const size_t n = make_answer(&k, 2, room, sizeof room);
    BP_NEED(!bp_failed(bp_est_certs_read(bp_span_of(room, n), cert, &count)));
    BP_CHECK(count == 2 && !bp_failed(bp_x509_read(cert[0], &x)) && !bp_failed(bp_x509_read(cert[1], &x)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_est_certs_read(bp_span_of(room, cut), cert, &count)));
    }
    BP_CHECK(bp_is(bp_est_certs_read(bp_span_of(room, n + 1), cert, &count), BP_E_MALFORMED));
    test_key_done(&k);
}

BP_CASE(nine_certificates_are_too_many)
{
    struct test_key k;
    bp_span cert[BP_EST_CERTS_MAX];
    size_t count = 77;
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    const size_t n = make_answer(&k, 9, room, sizeof room);
    BP_CHECK(bp_is(bp_est_certs_read(bp_span_of(room, n), cert, &count), BP_E_LIMIT) && count == 77);
    test_key_done(&k);
}

/* What our agent sends: read by libcrypto, and the evidence by us. */
BP_CASE(evidence_in_a_request)
{
    static uint8_t evidence[70000], info[80000], der[80000];
    struct test_key k;
    struct bp_csr csr;
    uint8_t raw[64];
    bp_span got;
    size_t info_n = 0, n = 0;
    BP_NEED(test_key_make(&k, BP_SIG_ES256));
    memset(evidence, 0xa5, sizeof evidence);
    const bp_span spki = bp_span_of(k.spki, k.spki_n);
    const size_t sizes[] = {1, 127, 128, 255, 256, 65535, sizeof evidence};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const bp_span in = bp_span_of(evidence, sizes[i]);
        BP_CHECK(!bp_failed(bp_est_info_evidence_write(BP_SPAN_STR("A"), spki, in, info, sizeof info, &info_n)));
        BP_CHECK(!bp_failed(k.signer.sign(k.signer.self, bp_span_of(info, info_n), raw, sizeof raw, &n)));
        BP_CHECK(!bp_failed(bp_est_request_write(bp_span_of(info, info_n), BP_SPAN_OF(raw), der, sizeof der, &n)));
        const unsigned char *p = der;
        X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)n);
        BP_CHECK(req != NULL && X509_REQ_verify(req, k.pkey) == 1 && X509_REQ_get_attr_count(req) == 1);
        ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113549.1.9.16.2.59", 1);
        BP_CHECK(req != NULL && oid != NULL && X509_REQ_get_attr_by_OBJ(req, oid, -1) == 0);
        ASN1_OBJECT_free(oid);
        X509_REQ_free(req);
        BP_CHECK(!bp_failed(bp_csr_read(bp_span_of(der, n), &csr)));
        BP_CHECK(!bp_failed(bp_est_evidence_read(csr.attributes, &got)) && bp_span_equal(got, in));
        for (size_t cut = 0; i == 0 && cut < csr.attributes.n; cut++) {
            BP_CHECK(bp_failed(bp_est_evidence_read(bp_span_of(csr.attributes.p, cut), &got)));
        }
    }
    const bp_span most = bp_span_of(evidence, BP_EST_EVIDENCE_MAX + 1);
    BP_CHECK(bp_is(bp_est_info_evidence_write(BP_SPAN_STR("A"), spki, most, NULL, 0, &n), BP_E_BAD_ARGUMENT));
    test_key_done(&k);
}

#define IN(text)   {(const uint8_t *)(text), sizeof(text) - 1}
#define OID        "\x06\x0b" BP_EST_EVIDENCE_OID
#define TYPE       "\x06\x0b" BP_EST_EVIDENCE_TYPE
static const struct {
    const char *name;
    bp_span in;
    enum bp_error want;
} evidence_row[] = {
    {"evidence", IN("\x30\x25" OID "\x31\x16\x30\x14\x30\x12\x30\x10" TYPE "\x04\x01\x61"), BP_E_OK},
    {"evidence_beside_another_attribute",
     IN("\x30\x06\x06\x02\x2a\x03\x31\x00" "\x30\x25" OID "\x31\x16\x30\x14\x30\x12\x30\x10" TYPE "\x04\x01\x61"), BP_E_OK},
    {"evidence_no_attributes", IN(""), BP_E_NOT_FOUND},
    {"evidence_only_others", IN("\x30\x06\x06\x02\x2a\x03\x31\x00"), BP_E_NOT_FOUND},
    {"evidence_no_attribute", IN("\x02\x01\x01"), BP_E_MALFORMED},
    {"evidence_other_attribute_malformed", IN("\x30\x04\x06\x02\x2a\x03"), BP_E_TRUNCATED},
    {"evidence_no_value", IN("\x30\x0f" OID "\x31\x00"), BP_E_TRUNCATED},
    {"evidence_two_attributes", IN("\x30\x11" OID "\x31\x02\x30\x00" "\x30\x11" OID "\x31\x02\x30\x00"), BP_E_EXISTS},
    {"evidence_two_values", IN("\x30\x13" OID "\x31\x04\x30\x00\x30\x00"), BP_E_EXISTS},
    {"evidence_value_is_no_sequence", IN("\x30\x11" OID "\x31\x02\x04\x00"), BP_E_MALFORMED},
    {"evidence_empty_bundle", IN("\x30\x11" OID "\x31\x02\x30\x00"), BP_E_TRUNCATED},
    {"evidence_no_statement", IN("\x30\x13" OID "\x31\x04\x30\x02\x30\x00"), BP_E_TRUNCATED},
    {"evidence_other_type", IN("\x30\x1b" OID "\x31\x0c\x30\x0a\x30\x08\x30\x06\x06\x02\x2a\x03\x04\x00"), BP_E_UNSUPPORTED},
    {"evidence_two_statements",
     IN("\x30\x37" OID "\x31\x28\x30\x26\x30\x24\x30\x10" TYPE "\x04\x01\x61\x30\x10" TYPE "\x04\x01\x61"), BP_E_UNSUPPORTED},
    {"evidence_not_octets", IN("\x30\x25" OID "\x31\x16\x30\x14\x30\x12\x30\x10" TYPE "\x0c\x01\x61"), BP_E_MALFORMED},
    {"evidence_nothing_in_it", IN("\x30\x24" OID "\x31\x15\x30\x13\x30\x11\x30\x0f" TYPE "\x04\x00"), BP_E_MALFORMED},
    {"evidence_hint", IN("\x30\x28" OID "\x31\x19\x30\x17\x30\x15\x30\x13" TYPE "\x04\x01\x61\x16\x01\x68"), BP_E_UNSUPPORTED},
    {"evidence_certificates", IN("\x30\x29" OID "\x31\x1a\x30\x18\x30\x12\x30\x10" TYPE "\x04\x01\x61\x30\x02\x30\x00"),
     BP_E_UNSUPPORTED},
    {"evidence_long_length", IN("\x30\x26" OID "\x31\x17\x30\x15\x30\x13\x30\x11" TYPE "\x04\x81\x01\x61"), BP_E_NOT_CANONICAL},
};
#undef IN

static void evidence_rows(void)
{
    for (size_t i = 0; i < sizeof evidence_row / sizeof evidence_row[0]; i++) {
        bp_span got = BP_SPAN_STR("before");
        bp_case_begin();
        const bp_result r = bp_est_evidence_read(evidence_row[i].in, &got);
        const bool is_ok = evidence_row[i].want == BP_E_OK;
        if (!BP_CHECK(bp_is(r, evidence_row[i].want) && bp_span_equal(got, is_ok ? BP_SPAN_STR("a") : BP_SPAN_STR("before")))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        bp_case_end(evidence_row[i].name);
    }
}

#define OID_SIGNED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
#define OID_DATA   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define IN(text)   {(const uint8_t *)(text), sizeof(text) - 1}
static const struct {
    const char *name;
    bp_span in;
    enum bp_error want;
} row[] = {
    {"one_certificate", IN("\x30\x27" OID_SIGNED "\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                           "\xa0\x02\x30\x00\x31\x00"), BP_E_OK},
    {"with_crls", IN("\x30\x29" OID_SIGNED "\xa0\x1c\x30\x1a\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                     "\xa0\x02\x30\x00\xa1\x00\x31\x00"), BP_E_OK},
    {"no_certificate", IN("\x30\x25" OID_SIGNED "\xa0\x18\x30\x16\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                          "\xa0\x00\x31\x00"), BP_E_NOT_FOUND},
    {"nothing", IN(""), BP_E_TRUNCATED},
    {"other_type", IN("\x30\x27" OID_DATA "\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                      "\xa0\x02\x30\x00\x31\x00"), BP_E_MALFORMED},
    {"content_of_other_type", IN("\x30\x27" OID_SIGNED "\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\x30\x0b" OID_SIGNED
                                 "\xa0\x02\x30\x00\x31\x00"), BP_E_MALFORMED},
    {"content_is_there", IN("\x30\x2b" OID_SIGNED "\xa0\x1e\x30\x1c\x02\x01\x01\x31\x00\x30\x0f" OID_DATA
                            "\xa0\x02\x04\x00\xa0\x02\x30\x00\x31\x00"), BP_E_MALFORMED},
    {"a_signer", IN("\x30\x29" OID_SIGNED "\xa0\x1c\x30\x1a\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                    "\xa0\x02\x30\x00\x31\x02\x30\x00"), BP_E_MALFORMED},
    {"certificate_is_no_sequence", IN("\x30\x27" OID_SIGNED "\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\x30\x0b" OID_DATA
                                      "\xa0\x02\x31\x00\x31\x00"), BP_E_MALFORMED},
};

static void rows(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_span cert[BP_EST_CERTS_MAX];
        size_t count = 0;
        bp_case_begin();
        const bp_result r = bp_est_certs_read(row[i].in, cert, &count);
        if (!BP_CHECK(bp_is(r, row[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        bp_case_end(row[i].name);
    }
}

/* clang-format off */
BP_SUITE(est,
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
    BP_TABLE(rows)
    BP_TABLE(evidence_rows)
    BP_RUN(evidence_in_a_request)
    BP_RUN(a_request_is_read_by_both)
    BP_RUN(a_request_says_what_room_it_needs)
    BP_RUN(an_answer_gives_its_certificates)
    BP_RUN(nine_certificates_are_too_many)
    bp_crypto_openssl_free(crypto);)
