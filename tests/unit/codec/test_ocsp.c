/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_ocsp - questions about status made by libcrypto and by hand, read by us; answers written by us, read
 * and verified by libcrypto. */
#include "codec/ocsp.h"
#include "harness.h"
#include "unit/signer.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#define BP_MODULE TEST

static struct bp_crypto *crypto;
static struct test_key ca, responder;
static X509 *ca_cert, *responder_cert, *leaf;

static X509 *make_cert(const struct test_key *key, const struct test_key *by, X509 *issuer, const char *cn, long serial)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    BP_CHECK(X509_set_version(x, 2) == 1 && X509_set_pubkey(x, key->pkey) == 1);
    BP_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), serial) == 1);
    BP_CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -60) != NULL && X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
    BP_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) == 1);
    BP_CHECK(X509_set_issuer_name(x, issuer == NULL ? name : X509_get_subject_name(issuer)) == 1);
    const bool signs = issuer != NULL && serial == 2;
    X509_EXTENSION *e = signs ? X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "OCSPSigning")
                              : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    BP_CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    BP_CHECK(X509_sign(x, by->pkey, EVP_sha256()) > 0);
    return x;
}

BP_CASE(ready)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
    BP_NEED(test_key_make(&ca, BP_SIG_ES256) && test_key_make(&responder, BP_SIG_ES256));
    ca_cert = make_cert(&ca, &ca, NULL, "authority", 1);
    responder_cert = make_cert(&responder, &ca, ca_cert, "responder", 2);
    leaf = make_cert(&responder, &ca, ca_cert, "device", 0x00c0ffee);
}

static uint8_t der[BP_OCSP_REQUEST_MAX + 64];

static size_t ask(const EVP_MD *md, int count, bool with_nonce)
{
    OCSP_REQUEST *q = OCSP_REQUEST_new();
    unsigned char *at = der;
    for (int i = 0; i < count; i++) {
        BP_CHECK(OCSP_request_add0_id(q, OCSP_cert_to_id(md, leaf, ca_cert)) != NULL);
    }
    if (with_nonce) {
        BP_CHECK(OCSP_request_add1_nonce(q, NULL, 16) == 1);
    }
    const int n = i2d_OCSP_REQUEST(q, &at);
    OCSP_REQUEST_free(q);
    return n > 0 ? (size_t)n : 0;
}

static bp_span whole_name(X509 *x, uint8_t *room)
{
    unsigned char *at = room;
    const int n = i2d_X509_NAME(X509_get_subject_name(x), &at);
    return bp_span_of(room, n > 0 ? (size_t)n : 0);
}

static void questions_of_libcrypto(void)
{
    static const struct {
        const char *name;
        enum bp_hash_alg hash;
        bool nonce;
    } rows[] = {{"sha1", BP_HASH_SHA1, false}, {"sha256_nonce", BP_HASH_SHA256, true}, {"sha384", BP_HASH_SHA384, false},
                {"sha512_nonce", BP_HASH_SHA512, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const EVP_MD *md[] = {NULL, EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
        struct bp_ocsp_request q;
        struct bp_ocsp_id again;
        uint8_t room[256];
        bool is_ours = false;
        bp_case_begin();
        const size_t n = ask(md[rows[i].hash], 2, rows[i].nonce);
        if (BP_CHECK(!bp_failed(bp_ocsp_request_read(bp_span_of(der, n), &q)))) {
            BP_CHECK(q.count == 2 && q.id[1].hash == rows[i].hash && q.nonce.n == (rows[i].nonce ? 16u : 0u));
            BP_CHECK(bp_span_equal(q.id[0].serial, BP_SPAN_STR("\xc0\xff\xee")));
            BP_CHECK(!bp_failed(bp_ocsp_id_read(q.id[0].whole, &again)) && again.serial.p == q.id[0].serial.p);
            BP_CHECK(!bp_failed(bp_ocsp_is_issuer(crypto, &q.id[0], whole_name(ca_cert, room), bp_span_of(ca.spki, ca.spki_n),
                                                  &is_ours)) && is_ours);
            BP_CHECK(!bp_failed(bp_ocsp_is_issuer(crypto, &q.id[0], whole_name(leaf, room), bp_span_of(ca.spki, ca.spki_n),
                                                  &is_ours)) && !is_ours);
            BP_CHECK(!bp_failed(bp_ocsp_is_issuer(crypto, &q.id[0], whole_name(ca_cert, room),
                                                  bp_span_of(responder.spki, responder.spki_n), &is_ours)) && !is_ours);
        }
        bp_case_end(rows[i].name);
    }
}

BP_CASE(cut_anywhere_it_is_refused)
{
    struct bp_ocsp_request q;
    const size_t n = ask(EVP_sha256(), 1, true);
    BP_NEED(!bp_failed(bp_ocsp_request_read(bp_span_of(der, n), &q)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_ocsp_request_read(bp_span_of(der, cut), &q)));
    }
    der[n] = 0;
    BP_CHECK(bp_failed(bp_ocsp_request_read(bp_span_of(der, n + 1), &q)));
}

BP_CASE(as_many_as_the_limit)
{
    struct bp_ocsp_request q;
    size_t n = ask(EVP_sha1(), (int)BP_OCSP_IDS_MAX, false);
    BP_CHECK(!bp_failed(bp_ocsp_request_read(bp_span_of(der, n), &q)) && q.count == BP_OCSP_IDS_MAX);
    n = ask(EVP_sha1(), (int)BP_OCSP_IDS_MAX + 1, false);
    BP_CHECK(bp_is(bp_ocsp_request_read(bp_span_of(der, n), &q), BP_E_LIMIT));
}

/* --- by hand --- */

#define SHA1_ALG "\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00"
#define TWENTY   "\x04\x14hhhhhhhhhhhhhhhhhhhh"
#define ID       "\x30\x3a" SHA1_ALG TWENTY TWENTY "\x02\x01\x05"
#define ONE      "\x30\x3c" ID
#define NONCE_ID "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02"
#define OTHER_ID "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x04"

static const struct {
    const char *name;
    bp_span in;
    enum bp_error want;
} rows[] = {
#define ROW(name, text, want) {name, {(const uint8_t *)("" text), sizeof("" text) - 1}, BP_E_##want}
    ROW("plain", "\x30\x42\x30\x40\x30\x3e" ONE, OK),
    ROW("who_asks", "\x30\x4a\x30\x48\xa1\x06\x86\x04urn:\x30\x3e" ONE, OK),
    ROW("signed", "\x30\x46\x30\x40\x30\x3e" ONE "\xa0\x02\x30\x00", OK),
    ROW("signed_by_bytes", "\x30\x46\x30\x40\x30\x3e" ONE "\xa0\x02\x04\x00", MALFORMED),
    ROW("empty", "", TRUNCATED),
    ROW("no_request", "\x30\x04\x30\x02\x30\x00", TRUNCATED),
    ROW("version_written", "\x30\x47\x30\x45\xa0\x03\x02\x01\x00\x30\x3e" ONE, UNSUPPORTED),
    ROW("version_2", "\x30\x47\x30\x45\xa0\x03\x02\x01\x01\x30\x3e" ONE, UNSUPPORTED),
    ROW("tail", "\x30\x42\x30\x40\x30\x3e" ONE "\x05\x00", MALFORMED),
    ROW("indefinite", "\x30\x80\x30\x40\x30\x3e" ONE "\x00\x00", NOT_CANONICAL),
    ROW("long_length", "\x30\x81\x42\x30\x40\x30\x3e" ONE, NOT_CANONICAL),
    ROW("hash_short", "\x30\x41\x30\x3f\x30\x3d\x30\x3b\x30\x39" SHA1_ALG "\x04\x13hhhhhhhhhhhhhhhhhhh" TWENTY "\x02\x01\x05", MALFORMED),
    ROW("hash_parameters", "\x30\x43\x30\x41\x30\x3f\x30\x3d\x30\x3b\x30\x0a\x06\x05\x2b\x0e\x03\x02\x1a\x04\x01x" TWENTY TWENTY
        "\x02\x01\x05", MALFORMED),
    ROW("hash_unknown", "\x30\x40\x30\x3e\x30\x3c\x30\x3a\x30\x38\x30\x07\x06\x03\x2a\x03\x04\x05\x00" TWENTY TWENTY "\x02\x01\x05", OK),
    ROW("serial_negative", "\x30\x42\x30\x40\x30\x3e\x30\x3c\x30\x3a" SHA1_ALG TWENTY TWENTY "\x02\x01\x85", MALFORMED),
    ROW("serial_padded", "\x30\x43\x30\x41\x30\x3f\x30\x3d\x30\x3b" SHA1_ALG TWENTY TWENTY "\x02\x02\x00\x05", NOT_CANONICAL),
    ROW("nonce", "\x30\x58\x30\x56\x30\x3e" ONE "\xa2\x14\x30\x12\x30\x10" NONCE_ID "\x04\x03\x04\x01n", OK),
    ROW("nonce_raw", "\x30\x56\x30\x54\x30\x3e" ONE "\xa2\x12\x30\x10\x30\x0e" NONCE_ID "\x04\x01n", TRUNCATED),
    ROW("nonce_empty", "\x30\x57\x30\x55\x30\x3e" ONE "\xa2\x13\x30\x11\x30\x0f" NONCE_ID "\x04\x02\x04\x00", MALFORMED),
    ROW("nonce_twice", "\x30\x6a\x30\x68\x30\x3e" ONE "\xa2\x26\x30\x24\x30\x10" NONCE_ID "\x04\x03\x04\x01n\x30\x10" NONCE_ID
        "\x04\x03\x04\x01n", MALFORMED),
    ROW("nonce_critical", "\x30\x5b\x30\x59\x30\x3e" ONE "\xa2\x17\x30\x15\x30\x13" NONCE_ID "\x01\x01\xff\x04\x03\x04\x01n", OK),
    ROW("nonce_not_critical", "\x30\x5b\x30\x59\x30\x3e" ONE "\xa2\x17\x30\x15\x30\x13" NONCE_ID "\x01\x01\x00\x04\x03\x04\x01n", NOT_CANONICAL),
    ROW("other", "\x30\x57\x30\x55\x30\x3e" ONE "\xa2\x13\x30\x11\x30\x0f" OTHER_ID "\x04\x02\x30\x00", OK),
    ROW("other_critical", "\x30\x5a\x30\x58\x30\x3e" ONE "\xa2\x16\x30\x14\x30\x12" OTHER_ID "\x01\x01\xff\x04\x02\x30\x00", UNSUPPORTED),
    ROW("extensions_empty", "\x30\x46\x30\x44\x30\x3e" ONE "\xa2\x02\x30\x00", TRUNCATED),
    ROW("single_critical", "\x30\x5a\x30\x58\x30\x56\x30\x54" ID "\xa0\x16\x30\x14\x30\x12" OTHER_ID "\x01\x01\xff\x04\x02\x30\x00", UNSUPPORTED),
    ROW("single_nonce", "\x30\x58\x30\x56\x30\x54\x30\x52" ID "\xa0\x14\x30\x12\x30\x10" NONCE_ID "\x04\x03\x04\x01n", MALFORMED),
#undef ROW
};

static void by_hand(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_ocsp_request q;
        memset(&q, 0xa5, sizeof q);
        const struct bp_ocsp_request before = q;
        bp_case_begin();
        const bp_result r = bp_ocsp_request_read(rows[i].in, &q);
        BP_CHECK(bp_error_of(r) == rows[i].want);
        BP_CHECK(!bp_failed(r) || memcmp(&q, &before, sizeof q) == 0);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(a_question_that_is_too_large)
{
    static const uint8_t many[BP_OCSP_REQUEST_MAX + 1];
    struct bp_ocsp_request q;
    BP_CHECK(bp_is(bp_ocsp_request_read(BP_SPAN_OF(many), &q), BP_E_LIMIT));
}

/* --- answers --- */

static uint8_t out[8192];

static size_t respond(const struct bp_ocsp_request *q, enum bp_ocsp_status status, uint8_t reason)
{
    static uint8_t data[4096], cert[2048];
    uint8_t name[256], raw[64], sig[80];
    size_t n = 0, raw_n = 0, sig_n = 0, out_n = 0;
    unsigned char *at = cert;
    const int cert_n = i2d_X509(responder_cert, &at);
    const int64_t now = (int64_t)time(NULL);
    const bool is_revoked = status == BP_OCSP_REVOKED;
    const struct bp_ocsp_single single[] = {{q->id[0].whole, status, is_revoked ? now - 500 : 0, reason},
                                            {q->id[0].whole, BP_OCSP_GOOD, 0, 0}};
    const struct bp_ocsp_data d = {whole_name(responder_cert, name), now, now + 3600, single, 2, q->nonce};
    BP_CHECK(bp_is(bp_ocsp_data_write(&d, NULL, 0, &n), BP_E_NO_SPACE));
    const size_t wanted = n;
    BP_CHECK(!bp_failed(bp_ocsp_data_write(&d, data, sizeof data, &n)) && n == wanted);
    BP_CHECK(!bp_failed(responder.signer.sign(responder.signer.self, bp_span_of(data, n), raw, sizeof raw, &raw_n)));
    BP_CHECK(!bp_failed(bp_der_ecdsa_write(bp_span_of(raw, raw_n), sig, sizeof sig, &sig_n)));
    BP_CHECK(!bp_failed(bp_ocsp_response_write(bp_span_of(data, n), bp_span_of(sig, sig_n),
                                               bp_span_of(cert, cert_n > 0 ? (size_t)cert_n : 0), out, sizeof out, &out_n)));
    return out_n;
}

static void check_answer(size_t n, const struct bp_ocsp_request *q, int want, int want_reason, size_t question_n)
{
    const unsigned char *p = out;
    const unsigned char *ask_p = der;
    int status = -1, reason = -1;
    ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)n);
    OCSP_REQUEST *asked = d2i_OCSP_REQUEST(NULL, &ask_p, (long)question_n);
    BP_NEED(r != NULL && p == out + n && asked != NULL && OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(r);
    X509_STORE *store = X509_STORE_new();
    BP_NEED(basic != NULL && store != NULL && X509_STORE_add_cert(store, ca_cert) == 1);
    BP_CHECK(OCSP_basic_verify(basic, NULL, store, 0) == 1);
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha256(), leaf, ca_cert);
    BP_CHECK(OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &until) == 1);
    BP_CHECK(status == want && reason == want_reason && OCSP_check_validity(from, until, 5, -1) == 1);
    BP_CHECK((revoked != NULL) == (want == V_OCSP_CERTSTATUS_REVOKED));
    BP_CHECK(OCSP_check_nonce(asked, basic) == (q->nonce.n > 0 ? 1 : 2)); /* 2: neither has one */
    BP_CHECK(OCSP_resp_count(basic) == 2);
    OCSP_CERTID_free(id);
    X509_STORE_free(store);
    OCSP_BASICRESP_free(basic);
    OCSP_REQUEST_free(asked);
    OCSP_RESPONSE_free(r);
}

static void answers_for_libcrypto(void)
{
    static const struct {
        const char *name;
        enum bp_ocsp_status status;
        uint8_t reason;
        bool nonce;
        int want, want_reason;
    } cases[] = {{"answer.good", BP_OCSP_GOOD, 0, true, V_OCSP_CERTSTATUS_GOOD, -1},
                 {"answer.revoked", BP_OCSP_REVOKED, 1, false, V_OCSP_CERTSTATUS_REVOKED, 1},
                 {"answer.revoked_no_reason", BP_OCSP_REVOKED, 0, true, V_OCSP_CERTSTATUS_REVOKED, -1},
                 {"answer.unknown", BP_OCSP_UNKNOWN, 0, false, V_OCSP_CERTSTATUS_UNKNOWN, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bp_ocsp_request q;
        bp_case_begin();
        const size_t n = ask(EVP_sha256(), 1, cases[i].nonce);
        if (BP_CHECK(!bp_failed(bp_ocsp_request_read(bp_span_of(der, n), &q)))) {
            check_answer(respond(&q, cases[i].status, cases[i].reason), &q, cases[i].want, cases[i].want_reason, n);
        }
        bp_case_end(cases[i].name);
    }
}

BP_CASE(what_is_no_answer_is_not_written)
{
    const bp_span id = BP_SPAN_STR(ID);
    const struct bp_ocsp_single good = {id, BP_OCSP_GOOD, 0, 0};
    const struct bp_ocsp_single bad[] = {{id, BP_OCSP_STATUSES, 0, 0}, {id, BP_OCSP_REVOKED, 5, 7}, {id, BP_OCSP_REVOKED, -1, 1},
                                         {id, BP_OCSP_GOOD, 0, 1},     {BP_SPAN_EMPTY, BP_OCSP_GOOD, 0, 0}};
    struct bp_ocsp_data d = {BP_SPAN_STR("\x30\x00"), 10, 20, &good, 1, BP_SPAN_EMPTY};
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_ocsp_data_write(&d, out, sizeof out, &n)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        d.single = &bad[i];
        BP_CHECK(bp_is(bp_ocsp_data_write(&d, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    }
    d.single = &good;
    d.next_s = 10;
    BP_CHECK(bp_is(bp_ocsp_data_write(&d, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    d.next_s = 20;
    d.count = 0;
    BP_CHECK(bp_is(bp_ocsp_data_write(&d, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
}

BP_CASE(errors_are_read_by_libcrypto)
{
    static const enum bp_ocsp_error errors[] = {BP_OCSP_MALFORMED, BP_OCSP_INTERNAL, BP_OCSP_TRY_LATER, BP_OCSP_UNAUTHORIZED};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        uint8_t e[BP_OCSP_ERROR_SIZE];
        bp_ocsp_error_write(errors[i], e);
        const unsigned char *p = e;
        OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, sizeof e);
        BP_CHECK(r != NULL && OCSP_response_status(r) == (int)errors[i]);
        OCSP_RESPONSE_free(r);
    }
}

static void done(void)
{
    X509_free(ca_cert);
    X509_free(responder_cert);
    X509_free(leaf);
    test_key_done(&ca);
    test_key_done(&responder);
    bp_crypto_openssl_free(crypto);
}

/* clang-format off */
BP_SUITE(ocsp,
    BP_RUN(ready)
    BP_TABLE(questions_of_libcrypto)
    BP_RUN(cut_anywhere_it_is_refused)
    BP_RUN(as_many_as_the_limit)
    BP_TABLE(by_hand)
    BP_RUN(a_question_that_is_too_large)
    BP_TABLE(answers_for_libcrypto)
    BP_RUN(what_is_no_answer_is_not_written)
    BP_RUN(errors_are_read_by_libcrypto)
    done();)
/* clang-format on */
