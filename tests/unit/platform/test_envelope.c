/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/platform/test_envelope - what is sealed opens with the one key and with OpenSSL's own program; no changed byte
 * opens to something else; nothing of what is sealed stands in the envelope. */
#include "platform/openssl/envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pki/x509.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define NOW  INT64_C(1790000000000)
#define YEAR (INT64_C(365) * 86400000)

static struct bp_key *owner, *stranger;
static uint8_t cert[BP_CERT_MAX], sealed[2048], plain[256];
static size_t cert_n, sealed_n;
static const char secret[] = "lockout value of a device, which nobody may read";

static bool certify(void)
{
    struct bp_crypto *c = NULL;
    const struct bp_entropy entropy = bp_entropy_linux();
    if (bp_failed(bp_crypto_openssl_new(4, &c))) {
        return false;
    }
    const struct bp_issuer self = {bp_key_signer(stranger), BP_SPAN_EMPTY, {0}};
    const struct bp_cert_request root = {.profile = BP_CERT_ROOT, .spki = bp_key_spki(stranger),
                                         .common_name = BP_SPAN_STR("root"), .not_before_ms = NOW,
                                         .not_after_ms = NOW + YEAR};
    struct bp_cert_request leaf = root;
    struct bp_issuer issuer;
    uint8_t der[BP_CERT_MAX];
    size_t n = 0;
    leaf.profile = BP_CERT_RECOVERY;
    leaf.spki = bp_key_spki(owner);
    leaf.common_name = BP_SPAN_STR("recovery");
    bool ok = !bp_failed(bp_cert_issue(c, &entropy, &self, &root, der, sizeof der, &n));
    ok = ok && !bp_failed(bp_issuer_of(bp_span_of(der, n), &self.signer, &issuer));
    ok = ok && !bp_failed(bp_cert_issue(c, &entropy, &issuer, &leaf, cert, sizeof cert, &cert_n));
    bp_crypto_openssl_free(c);
    return ok;
}

static bool holds(const uint8_t *p, size_t n, const char *what)
{
    return memmem(p, n, what, strlen(what)) != NULL;
}

BP_CASE(sealed_and_opened)
{
    size_t n = 0;
    BP_NEED(!bp_failed(bp_key_make(BP_KEY_P256, &owner)) && !bp_failed(bp_key_make(BP_KEY_P256, &stranger)) && certify());
    BP_NEED(!bp_failed(bp_envelope_seal(bp_span_of(cert, cert_n), bp_span_cstr(secret), sealed, sizeof sealed, &sealed_n)));
    BP_CHECK(!holds(sealed, sealed_n, "lockout") && sealed_n < 1024);
    BP_CHECK(!bp_failed(bp_envelope_open(owner, bp_span_of(sealed, sealed_n), plain, sizeof plain, &n)));
    BP_CHECK(bp_span_equal(bp_span_of(plain, n), bp_span_cstr(secret)));
}

BP_CASE(twice_sealed_is_never_the_same)
{
    uint8_t again[2048];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_envelope_seal(bp_span_of(cert, cert_n), bp_span_cstr(secret), again, sizeof again, &n)));
    BP_CHECK(!bp_span_equal(bp_span_of(again, n), bp_span_of(sealed, sealed_n)));
}

BP_CASE(another_key_opens_nothing)
{
    size_t n = 77;
    memset(plain, 0, sizeof plain);
    BP_CHECK(bp_is(bp_envelope_open(stranger, bp_span_of(sealed, sealed_n), plain, sizeof plain, &n), BP_E_DENIED));
    BP_CHECK(n == 77 && plain[0] == 0);
}

BP_CASE(a_changed_byte_opens_to_nothing_else)
{
    size_t refused = 0;
    for (size_t i = 0; i < sealed_n; i++) {
        size_t n = 0;
        sealed[i] ^= 0x10u;
        const bp_result r = bp_envelope_open(owner, bp_span_of(sealed, sealed_n), plain, sizeof plain, &n);
        BP_CHECK(bp_failed(r) || bp_span_equal(bp_span_of(plain, n), bp_span_cstr(secret)));
        refused += bp_failed(r) ? 1 : 0;
        sealed[i] ^= 0x10u;
        BP_CHECK(bp_failed(bp_envelope_open(owner, bp_span_of(sealed, i), plain, sizeof plain, &n)));
    }
    BP_CHECK(refused > sealed_n / 2); /* the rest names the recipient and does not enter into what is opened */
}

BP_CASE(what_cannot_be_done_is_said)
{
    static uint8_t large[BP_ENVELOPE_PLAIN_MAX + 1];
    size_t n = 0;
    const bp_span to = bp_span_of(cert, cert_n);
    BP_CHECK(bp_is(bp_envelope_seal(to, BP_SPAN_EMPTY, sealed, sizeof sealed, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_envelope_seal(to, BP_SPAN_OF(large), sealed, sizeof sealed, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_envelope_seal(to, bp_span_cstr(secret), plain, 64, &n), BP_E_NO_SPACE) && n > 64);
    BP_CHECK(bp_is(bp_envelope_seal(bp_span_of(cert, cert_n - 1), bp_span_cstr(secret), plain, sizeof plain, &n),
                   BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_envelope_seal(BP_SPAN_EMPTY, bp_span_cstr(secret), plain, sizeof plain, &n), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_envelope_open(owner, BP_SPAN_EMPTY, plain, sizeof plain, &n), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_envelope_open(owner, bp_span_of(cert, cert_n), plain, sizeof plain, &n), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_envelope_open(owner, bp_span_of(sealed, sealed_n), plain, 4, &n), BP_E_NO_SPACE));
}

BP_CASE(openssl_opens_it_too)
{
    char dir[] = "/tmp/bp-envelope-XXXXXX";
    char path[3][64], line[320];
    uint8_t *got = NULL;
    size_t n = 0;
    BP_NEED(mkdtemp(dir) != NULL);
    static const char *const names[] = {"key.pem", "sealed", "opened"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/%s", dir, names[i]);
    }
    BP_CHECK(!bp_failed(bp_key_save(owner, path[0], BP_SPAN_EMPTY)));
    BP_CHECK(!bp_failed(bp_file_write(path[1], BP_FILE_PUBLIC, bp_span_of(sealed, sealed_n))));
    (void)snprintf(line, sizeof line, "openssl cms -decrypt -binary -inform DER -in %s -inkey %s -out %s", path[1], path[0],
                   path[2]);
    BP_CHECK(system(line) == 0);
    BP_CHECK(!bp_failed(bp_file_read(path[2], BP_FILE_PUBLIC, 1024, &got, &n)) &&
             bp_span_equal(bp_span_of(got, n), bp_span_cstr(secret)));
    bp_free(got);
    for (size_t i = 0; i < 3; i++) {
        (void)unlink(path[i]);
    }
    (void)rmdir(dir);
    bp_key_free(owner);
    bp_key_free(stranger);
}

/* clang-format off */
BP_SUITE(envelope,
    BP_RUN(sealed_and_opened)
    BP_RUN(twice_sealed_is_never_the_same)
    BP_RUN(another_key_opens_nothing)
    BP_RUN(a_changed_byte_opens_to_nothing_else)
    BP_RUN(what_cannot_be_done_is_said)
    BP_RUN(openssl_opens_it_too)
)
