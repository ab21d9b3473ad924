/* SPDX-License-Identifier: Apache-2.0 */
/* tests/interop/make_certs - writes one certificate a profile, a CRL and a certs-only answer into a folder.
 * Usage: make-certs DIR NOW-MS | make-certs --rate SECONDS (prints certificates issued per second of processor time) */
#include "pki/x509.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct bp_crypto *crypto;
static struct bp_entropy entropy;
static const bp_span names[] = {{(const uint8_t *)"localhost", 9}, {(const uint8_t *)"plant.example", 13}};

static const bp_span devices[] = {{(const uint8_t *)"d-7q2x", 6}, {(const uint8_t *)"press.plant", 11}};

struct made {
    struct bp_key *key;
    uint8_t der[BP_CERT_MAX];
    size_t n;
};

#define DAY_MS 86400000LL
#define URL(path) (bare ? BP_SPAN_EMPTY : BP_SPAN_STR("http://localhost:8080" path))

static bp_result make(enum bp_cert_profile profile, enum bp_key_type type, const char *cn, const struct made *by,
                      int64_t now, int64_t end, struct made *ret)
{
    BP_TRY(bp_key_make(type, &ret->key));
    const struct bp_signer signer = bp_key_signer(by == NULL ? ret->key : by->key);
    struct bp_issuer issuer = {signer, BP_SPAN_EMPTY, {0}};
    if (by != NULL) {
        BP_TRY(bp_issuer_of(bp_span_of(by->der, by->n), &signer, &issuer));
    }
    const bool is_makers = profile == BP_CERT_IDEVID_CA || profile == BP_CERT_IDEVID || profile == BP_CERT_MAKER;
    /* Nothing is to be asked of: itself, one that says so, a maker who is not on the net. */
    const bool bare = by == NULL || profile == BP_CERT_OCSP || is_makers;
    const bool is_server = bp_cert_has_dns(profile) && bp_cert_is_application(profile);
    const bool dns = profile == BP_CERT_ISSUING || profile == BP_CERT_INFRA || profile == BP_CERT_SERVER;
    const struct bp_cert_request q = {.profile = profile,
                                      .spki = bp_key_spki(ret->key),
                                      .common_name = bp_span_cstr(cn),
                                      .organisation = BP_SPAN_STR("Werk Süd"),
                                      .service = bp_cert_is_application(profile) ? BP_SPAN_STR("historian") : BP_SPAN_EMPTY,
                                      .dns = is_server && strcmp(cn, "a-false") != 0 ? devices : names,
                                      .dns_count = is_server || dns ? 2 : 0,
                                      .serial_number = profile == BP_CERT_IDEVID ? BP_SPAN_STR("SN-0042") : BP_SPAN_EMPTY,
                                      .crl_url = URL("/crl/issuing-0.crl"),
                                      .not_before_ms = now,
                                      .not_after_ms = end,
                                      .ocsp_url = URL("/ocsp"),
                                      .issuer_url = URL("/ca/issuing.cer")};
    return bp_cert_issue(crypto, &entropy, &issuer, &q, ret->der, sizeof ret->der, &ret->n);
}

static bp_result save(const char *dir, const char *name, bp_span s)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return bp_file_write(path, BP_FILE_PUBLIC, s);
}

struct plan {
    enum bp_cert_profile profile;
    enum bp_key_type type;
    const char *name;
    int by; /* index in the plan; -1: itself */
    int64_t days;
};
#define IDEVID_BY 17 /* place of idevid-ca */
static const struct plan plans[] = {
    {BP_CERT_ROOT, BP_KEY_P384, "root", -1, 7300},
    {BP_CERT_ISSUING, BP_KEY_P256, "issuing", 0, 1825},
    {BP_CERT_INFRA, BP_KEY_P256, "infra", 0, 1825},
    {BP_CERT_OPERATOR_CA, BP_KEY_P256, "operators", 0, 1825},
    {BP_CERT_BROWNFIELD_CA, BP_KEY_P384, "brownfield", -1, 3650},
    {BP_CERT_SERVER, BP_KEY_P256, "server", 2, 90},
    {BP_CERT_DEVICE, BP_KEY_P256, "d-7Q2X", 1, 7},
    {BP_CERT_OPERATOR, BP_KEY_P256, "operator", 3, 365},
    {BP_CERT_BROWNFIELD, BP_KEY_P256, "b-1", 4, 30},
    {BP_CERT_LOG, BP_KEY_P256, "log", 0, 1825},
    {BP_CERT_RESULT, BP_KEY_P256, "result", 0, 1825},
    {BP_CERT_BIND, BP_KEY_P256, "bind", 0, 1825},
    {BP_CERT_RECOVERY, BP_KEY_P256, "recovery", 0, 1825},
    {BP_CERT_OCSP, BP_KEY_P256, "ocsp", 1, 7},
    {BP_CERT_APP_CLIENT, BP_KEY_P256, "a-client", 1, 45},
    {BP_CERT_APP_SERVER, BP_KEY_P256, "a-server", 1, 45},
    {BP_CERT_OPCUA, BP_KEY_P256, "a-opcua", 1, 45},
    {BP_CERT_IDEVID_CA, BP_KEY_P256, "idevid-ca", 0, 7300},
    {BP_CERT_IDEVID, BP_KEY_P256, "idevid", IDEVID_BY, 0},
    {BP_CERT_MAKER, BP_KEY_P256, "maker", 0, 7300},
    {BP_CERT_ISSUING_OLD, BP_KEY_P256, "issuing-old", 0, 1825},
    {BP_CERT_APP_SERVER, BP_KEY_P256, "a-false", 1, 45}, /* named like the server itself: verifiers refuse it */
};
#define PLANS (sizeof plans / sizeof plans[0])

static bp_result make_lists(const char *dir, const struct made *by, bp_span leaf, int64_t now)
{
    struct bp_issuer issuer;
    const struct bp_signer signer = bp_key_signer(by->key);
    uint8_t out[8192];
    size_t n = 0;
    const uint8_t one[] = {0x8f, 1};
    const uint8_t two[] = {0x71, 2, 3};
    const struct bp_crl_entry entries[] = {{BP_SPAN_OF(one), now, 1}, {BP_SPAN_OF(two), now, 0}};
    BP_TRY(bp_issuer_of(bp_span_of(by->der, by->n), &signer, &issuer));
    BP_TRY(bp_crl_issue(&issuer, entries, 2, 300, now, now + 7 * DAY_MS, out, sizeof out, &n));
    BP_TRY(save(dir, "two.crl", bp_span_of(out, n)));
    BP_TRY(bp_crl_issue(&issuer, NULL, 0, 0, now, now + 7 * DAY_MS, out, sizeof out, &n));
    BP_TRY(save(dir, "none.crl", bp_span_of(out, n)));
    const bp_span certs[] = {leaf, bp_span_of(by->der, by->n)};
    BP_TRY(bp_certs_only(certs, 2, out, sizeof out, &n));
    return save(dir, "certs.p7", bp_span_of(out, n));
}

static bp_result make_all(const char *dir, int64_t now)
{
    static struct made m[PLANS];
    bp_result r = BP_OK;
    for (size_t i = 0; i < PLANS && !bp_failed(r); i++) {
        const struct plan *p = &plans[i];
        const bool is_endless = p->profile == BP_CERT_BROWNFIELD_CA || p->profile == BP_CERT_IDEVID;
        const int64_t end = is_endless ? INT64_MAX : now + p->days * DAY_MS;
        r = make(p->profile, p->type, p->name, p->by < 0 ? NULL : &m[p->by], now - 60000, end, &m[i]);
        if (!bp_failed(r)) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s.der", p->name);
            r = save(dir, name, bp_span_of(m[i].der, m[i].n));
        }
        if (!bp_failed(r)) {
            r = bp_x509_profile_check(bp_span_of(m[i].der, m[i].n), p->profile, now);
        }
    }
    if (!bp_failed(r)) {
        r = make_lists(dir, &m[1], bp_span_of(m[6].der, m[6].n), now);
    }
    for (size_t i = 0; i < PLANS; i++) {
        bp_key_free(m[i].key);
    }
    return r;
}

static bp_result rate(double seconds)
{
    static struct made root;
    static struct made ca;
    static struct made leaf;
    const int64_t now = 1700000000000;
    BP_TRY(make(BP_CERT_ROOT, BP_KEY_P384, "root", NULL, now, now + DAY_MS, &root));
    BP_TRY(make(BP_CERT_ISSUING, BP_KEY_P256, "issuing", &root, now, now + DAY_MS, &ca));
    BP_TRY(bp_key_make(BP_KEY_P256, &leaf.key));
    const struct bp_signer signer = bp_key_signer(ca.key);
    struct bp_issuer issuer;
    BP_TRY(bp_issuer_of(bp_span_of(ca.der, ca.n), &signer, &issuer));
    const struct bp_cert_request q = {.profile = BP_CERT_DEVICE,
                                      .spki = bp_key_spki(leaf.key),
                                      .common_name = BP_SPAN_STR("d-7Q2X"),
                                      .organisation = BP_SPAN_STR("Plant"),
                                      .crl_url = BP_SPAN_STR("http://localhost:8080/crl/issuing-0.crl"),
                                      .not_before_ms = now,
                                      .not_after_ms = now + 7 * DAY_MS,
                                      .ocsp_url = BP_SPAN_STR("http://localhost:8080/ocsp"),
                                      .issuer_url = BP_SPAN_STR("http://localhost:8080/ca/issuing.cer")};
    const clock_t start = clock();
    double spent = 0;
    unsigned long count = 0;
    while (spent < seconds) {
        for (int i = 0; i < 100; i++) {
            BP_TRY(bp_cert_issue(crypto, &entropy, &issuer, &q, leaf.der, sizeof leaf.der, &leaf.n));
        }
        count += 100;
        spent = (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    printf("%.0f\n", (double)count / spent);
    bp_key_free(root.key);
    bp_key_free(ca.key);
    bp_key_free(leaf.key);
    return BP_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    entropy = bp_entropy_linux();
    bp_result r = bp_crypto_openssl_new(16, &crypto);
    if (!bp_failed(r)) {
        r = strcmp(argv[1], "--rate") == 0 ? rate(strtod(argv[2], NULL)) : make_all(argv[1], strtoll(argv[2], NULL, 10));
    }
    bp_crypto_openssl_free(crypto);
    if (bp_failed(r)) {
        fprintf(stderr, "%s in %s at line %u\n", bp_error_name(bp_error_of(r)),
                bp_module_name((enum bp_module)(r.word >> 8 & 0xff)), (unsigned)(r.word >> 16));
        return 1;
    }
    return 0;
}
