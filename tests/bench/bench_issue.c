/* SPDX-License-Identifier: Apache-2.0 */
/* tests/bench/bench_issue - what one certificate and one revocation list cost the core that makes them.
 *
 *   bench_issue RUNS DIR [MODULE PIN-FILE TOKEN]
 *
 * A certificate: base64 of a request is read, the request and its proof of possession checked, the certificate made,
 * held against its profile, recorded in DIR (not synced: one sync serves many), signed, put into certs-only CMS and base64.
 * Requests are of 10,000 keys in turn, so that no key is found decoded. The issuing key lies in this process, or in the
 * token. Prints lines "file RATE", "token RATE" and "crl MS", one a run. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/base64.h"
#include "codec/x509.h"
#include "fleet/signer/record.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"
#include "platform/pkcs11/token.h"
#include "unit/fleet/signer/chip.h"

#define KEYS    10000u
#define CSR_MAX 512u
#define RUN_MS  1000
#define ENTRIES 10000u
#define NOW     INT64_C(1790000000000)
#define DAY     INT64_C(86400000)

struct request {
    uint8_t text[BP_BASE64_SIZE(CSR_MAX)];
    size_t n;
};

static struct bp_crypto *crypto;
static struct bp_entropy entropy;
static struct request *requests;
static struct bp_record *record;

static int64_t spent_us(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool make_requests(void)
{
    requests = bp_alloc_array(KEYS, sizeof *requests);
    for (size_t i = 0; requests != NULL && i < KEYS; i++) {
        uint8_t der[CSR_MAX];
        EVP_PKEY *key = EVP_EC_gen("P-256");
        const size_t n = key == NULL ? 0 : chip_csr(key, der, sizeof der);
        EVP_PKEY_free(key);
        bp_wr wr = bp_wr_over(requests[i].text, sizeof requests[i].text);
        bp_base64_write(&wr, bp_span_of(der, n));
        requests[i].n = wr.n;
        if (n == 0 || bp_failed(bp_wr_finish(&wr))) {
            return false;
        }
    }
    return requests != NULL;
}

static bp_result keep(void *self, bp_span serial, bp_span tbs, const struct bp_issuer *issuer, enum bp_cert_profile profile)
{
    struct bp_issued e = {.profile = profile, .alg = issuer->signer.alg, .time_ms = NOW};
    (void)self;
    memcpy(e.serial, serial.p, sizeof e.serial);
    memcpy(e.issuer, issuer->key_id, sizeof e.issuer);
    BP_TRY(bp_hash(crypto, BP_HASH_SHA256, tbs, e.tbs));
    return bp_record_add(record, &e);
}

static bp_result issue(const struct bp_issuer *issuer, const struct request *in)
{
    uint8_t der[CSR_MAX], cert[BP_CERT_MAX], cms[BP_CERT_MAX + 128], text[BP_BASE64_SIZE(BP_CERT_MAX + 128)];
    size_t n = 0, cms_n = 0;
    struct bp_csr csr;
    bp_wr wr = bp_wr_over(der, sizeof der);
    bp_base64_read_wrapped(&wr, bp_span_of(in->text, in->n));
    BP_TRY(bp_csr_read(bp_wr_span(&wr), &csr));
    BP_TRY(bp_x509_verify(crypto, &csr.key, csr.alg, csr.tbs, csr.signature));
    const struct bp_cert_record recorded = {NULL, keep};
    const struct bp_cert_request q = {.profile = BP_CERT_DEVICE,
                                      .spki = csr.spki,
                                      .common_name = BP_SPAN_STR("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
                                      .organisation = BP_SPAN_STR("Bedplate"),
                                      .crl_url = BP_SPAN_STR("http://localhost:8446/crl/issuing-0.crl"),
                                      .not_before_ms = NOW,
                                      .not_after_ms = NOW + 7 * DAY};
    BP_TRY(bp_cert_issue_recorded(crypto, &entropy, issuer, &q, &recorded, cert, sizeof cert, &n));
    const bp_span certs[] = {bp_span_of(cert, n)};
    BP_TRY(bp_certs_only(certs, 1, cms, sizeof cms, &cms_n));
    wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, bp_span_of(cms, cms_n));
    return bp_wr_finish(&wr);
}

static bool rate(const char *name, const struct bp_issuer *issuer)
{
    const int64_t begin = spent_us();
    int64_t spent = 0;
    uint64_t count = 0;
    do {
        for (unsigned i = 0; i < 64; i++, count++) {
            if (bp_failed(issue(issuer, &requests[count % KEYS]))) {
                return false;
            }
        }
        spent = spent_us() - begin;
    } while (spent < RUN_MS * 1000);
    printf("%s %.1f\n", name, (double)count * 1e6 / (double)spent);
    return true;
}

static bool list(const struct bp_issuer *issuer)
{
    static uint8_t serial[ENTRIES][BP_SERIAL_SIZE], der[1 << 20];
    static struct bp_crl_entry entries[ENTRIES];
    size_t n = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (bp_failed(bp_random(&entropy, serial[i], sizeof serial[i]))) {
            return false;
        }
        serial[i][0] = (uint8_t)((serial[i][0] & 0x7fu) | 0x40u);
        entries[i] = (struct bp_crl_entry){BP_SPAN_OF(serial[i]), NOW, 1};
    }
    const int64_t begin = spent_us();
    const bp_result r = bp_crl_issue(issuer, entries, ENTRIES, 7, NOW, NOW + 31 * DAY, der, sizeof der, &n);
    printf("crl %.3f\n", (double)(spent_us() - begin) / 1000.0);
    return !bp_failed(r) && n > ENTRIES * 30;
}

/* Certificates by this key, which signs for a name that a root of its own would have given it. */
static bool measure(const char *name, struct bp_key *key, long runs, bool lists)
{
    static const uint8_t issuer_name[] = {0x30, 0x12, 0x31, 0x10, 0x30, 0x0e, 6, 3, 0x55, 4, 3,
                                          0x0c, 7,    'i',  's',  's',  'u',  'i', 'n', 'g'};
    struct bp_issuer issuer = {bp_key_signer(key), BP_SPAN_OF(issuer_name), {0}};
    bool ok = !bp_failed(bp_key_id(crypto, bp_key_spki(key), issuer.key_id));
    for (long i = 0; i < runs && ok; i++) {
        ok = rate(name, &issuer) && (!lists || list(&issuer));
    }
    return ok;
}

static bool in_token(char **argv, long runs)
{
    struct bp_pkcs11_uri uri = {.object = "bench"};
    struct bp_key *key = NULL;
    (void)snprintf(uri.module, sizeof uri.module, "%s", argv[3]);
    (void)snprintf(uri.token, sizeof uri.token, "%s", argv[5]);
    const bool ok = !bp_failed(bp_pkcs11_key_make(&uri, argv[4], BP_KEY_P256, &key)) && measure("token", key, runs, false);
    bp_key_free(key);
    return ok;
}

int main(int argc, char **argv)
{
    char path[256];
    struct bp_key *key = NULL;
    const long runs = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    entropy = bp_entropy_linux();
    if (runs <= 0) {
        fprintf(stderr, "usage: bench_issue RUNS DIR [MODULE PIN-FILE TOKEN]\n");
        return 2;
    }
    (void)snprintf(path, sizeof path, "%s/issued", argv[2]);
    bool ok = !bp_failed(bp_crypto_openssl_new(4096, &crypto)) && !bp_failed(bp_key_make(BP_KEY_P256, &key)) &&
              !bp_failed(bp_record_open(path, crypto, NOW, &record)) && make_requests();
    ok = ok && measure("file", key, runs, true);
    ok = ok && (argc < 6 || in_token(argv, runs));
    if (!ok) {
        fprintf(stderr, "bench_issue: a certificate or a list could not be made\n");
    }
    bp_key_free(key);
    bp_record_free(record);
    bp_free(requests);
    bp_crypto_openssl_free(crypto);
    return ok ? 0 : 1;
}
