/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_unit - certificate requests become identity keys, and get an IDevID; unit files that are none. The
 * files of real chips are in tests/e2e/test_factory.py. */
#include "cli/unit.h"

#include "codec/est.h"
#include "codec/x509.h"
#include "harness.h"
#include "pki/x509.h"
#include "platform/linux/entropy.h"
#include "unit/signer.h"

static struct bp_crypto *crypto;
static struct test_key ca, own;
static uint8_t csr[1024];
static size_t csr_n;
static uint8_t ca_cert[BP_CERT_MAX];
static size_t ca_n;
static struct bp_entropy chance;

static bool make_csr(const struct test_key *k)
{
    uint8_t info[512], raw[64];
    size_t info_n = 0, raw_n = 0;
    return !bp_failed(bp_est_info_write(BP_SPAN_STR("unit"), bp_span_of(k->spki, k->spki_n), info, sizeof info, &info_n)) &&
           !bp_failed(k->signer.sign(k->signer.self, bp_span_of(info, info_n), raw, sizeof raw, &raw_n)) &&
           !bp_failed(bp_est_request_write(bp_span_of(info, info_n), BP_SPAN_OF(raw), csr, sizeof csr, &csr_n));
}

BP_CASE(a_request_names_the_unit)
{
    struct bp_unit u = {0};
    bp_span spki;
    const char *why;
    uint8_t hash[32];
    chance = bp_entropy_linux();
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)) && test_key_make(&ca, BP_SIG_ES256) &&
            test_key_make(&own, BP_SIG_ES256) && make_csr(&own));
    BP_NEED(!bp_failed(bp_unit_add_csr(crypto, bp_span_of(csr, csr_n), &u, &spki, &why)));
    BP_CHECK(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, spki, hash)) && u.id[0] == 1 && memcmp(u.id + 1, hash, 32) == 0);
    BP_CHECK(u.entry.keys == 1 && u.entry.key[0].kind == BP_MANIFEST_KEY_IDEVID &&
             bp_span_equal(u.entry.kind, BP_SPAN_STR("idevid")));
    BP_CHECK(bp_is(bp_unit_add_csr(crypto, bp_span_of(csr, csr_n), &u, &spki, &why), BP_E_EXISTS));
}

BP_CASE(a_request_that_its_key_did_not_sign_is_refused)
{
    struct bp_unit u = {0};
    bp_span spki;
    const char *why = "";
    csr[csr_n - 1] ^= 1;
    BP_CHECK(bp_is(bp_unit_add_csr(crypto, bp_span_of(csr, csr_n), &u, &spki, &why), BP_E_BAD_SIGNATURE) &&
             u.entry.keys == 0 && strstr(why, "not signed") != NULL);
    csr[csr_n - 1] ^= 1;
    for (size_t n = 0; n < csr_n; n++) {
        BP_CHECK(bp_failed(bp_unit_add_csr(crypto, bp_span_of(csr, n), &u, &spki, &why)) && u.entry.keys == 0);
    }
}

static bp_result issue(enum bp_cert_profile profile, const char *serial, uint8_t *ret, size_t *ret_n)
{
    struct bp_issuer issuer = {ca.signer, BP_SPAN_EMPTY, {0}};
    if (profile != BP_CERT_ROOT) {
        BP_TRY(bp_issuer_of(bp_span_of(ca_cert, ca_n), &ca.signer, &issuer));
    }
    const struct bp_cert_request q = {.profile = profile,
                                      .spki = profile == BP_CERT_ROOT ? bp_span_of(ca.spki, ca.spki_n)
                                                                      : bp_span_of(own.spki, own.spki_n),
                                      .common_name = profile == BP_CERT_ROOT ? BP_SPAN_STR("root") : BP_SPAN_STR("gw-1"),
                                      .organisation = BP_SPAN_STR("Acme"),
                                      .serial_number = bp_span_cstr(serial),
                                      .not_before_ms = 1790000000000,
                                      .not_after_ms = INT64_MAX};
    return bp_cert_issue(crypto, &chance, &issuer, &q, ret, BP_CERT_MAX, ret_n);
}

BP_CASE(an_idevid_is_of_its_profile_and_of_no_other)
{
    uint8_t cert[BP_CERT_MAX];
    size_t n = 0;
    struct bp_x509 x;
    BP_NEED(!bp_failed(issue(BP_CERT_ROOT, "", ca_cert, &ca_n)) && !bp_failed(issue(BP_CERT_IDEVID, "SN-7.a", cert, &n)));
    for (int p = 0; p < BP_CERT_PROFILES; p++) {
        const bp_result r = bp_x509_profile_check(bp_span_of(cert, n), (enum bp_cert_profile)p, 1790000000000);
        BP_CHECK(p == BP_CERT_IDEVID ? !bp_failed(r) : bp_is(r, BP_E_DENIED));
    }
    BP_CHECK(!bp_failed(bp_x509_read(bp_span_of(cert, n), &x)) && x.not_after_s == INT64_MAX);
    /* The serial number stands in the subject and in the hardware's name; another one in either is another certificate. */
    size_t found = 0;
    for (size_t i = 0; i + 6 <= n; i++) {
        if (memcmp(cert + i, "SN-7.a", 6) == 0) {
            found++;
            cert[i] = 'T';
            BP_CHECK(bp_is(bp_x509_profile_check(bp_span_of(cert, n), BP_CERT_IDEVID, 1790000000000), BP_E_DENIED));
            cert[i] = 'S';
        }
    }
    BP_CHECK(found == 2);
}

BP_CASE(serial_numbers_that_fit_no_certificate_are_refused)
{
    uint8_t cert[BP_CERT_MAX];
    size_t n = 0;
    static const char *const serial[] = {"", "a b", "a/b", "-a", "\xc3\xa4",
                                         "01234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < sizeof serial / sizeof serial[0]; i++) {
        BP_CHECK(bp_is(issue(BP_CERT_IDEVID, serial[i], cert, &n), BP_E_BAD_ARGUMENT));
    }
    BP_CHECK(bp_is(issue(BP_CERT_MAKER, "SN-1", cert, &n), BP_E_BAD_ARGUMENT)); /* no other profile has one */
    BP_CHECK(!bp_failed(issue(BP_CERT_MAKER, "", cert, &n)));
}

BP_CASE(files_that_are_no_units_are_refused)
{
    struct bp_unit u;
    const char *why = "";
    BP_CHECK(bp_failed(bp_unit_from_hello(crypto, BP_SPAN_STR("x"), &u, &why)) && u.entry.keys == 0 && why[0] != 0);
    BP_CHECK(bp_failed(bp_unit_from_hello(crypto, BP_SPAN_EMPTY, &u, &why)) && u.entry.keys == 0);
    test_key_done(&ca);
    test_key_done(&own);
    bp_crypto_openssl_free(crypto);
}

BP_SUITE(unit, BP_RUN(a_request_names_the_unit) BP_RUN(a_request_that_its_key_did_not_sign_is_refused)
                   BP_RUN(an_idevid_is_of_its_profile_and_of_no_other)
                       BP_RUN(serial_numbers_that_fit_no_certificate_are_refused) BP_RUN(files_that_are_no_units_are_refused))
