/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_x509 - DER, certificates, requests, keys: spans lie inside the input; a certificate, a request, a key, a
 * signature and a time that were read are written again byte for byte from what was read of them; a signature verifies over
 * the bytes that it was made for and over no others; what is refused changes nothing. */
#include "codec/x509.h"
#include "fuzz/fuzz.h"
#include "fuzz/signing.h"

#define ROOM 16384u /* inputs that are written again */

static uint8_t exts[ROOM];
static uint8_t content[ROOM];
static uint8_t whole[ROOM];

static void try_spki(bp_span in)
{
    struct bp_pubkey key;
    FUZZ_FILL(key);
    if (bp_failed(bp_spki_read(in, &key))) {
        FUZZ_HOLDS(fuzz_untouched(&key, sizeof key));
        return;
    }
    uint8_t out[BP_SPKI_MAX];
    size_t n = 0;
    FUZZ_HOLDS(!bp_failed(bp_spki_write(&key, out, sizeof out, &n)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), in));
}

static void try_ecdsa(bp_span in, size_t half)
{
    uint8_t raw[96];
    FUZZ_FILL(raw);
    if (bp_failed(bp_der_ecdsa_read(in, half, raw))) {
        FUZZ_HOLDS(fuzz_untouched(raw, sizeof raw));
        return;
    }
    uint8_t out[104];
    size_t n = 0;
    FUZZ_HOLDS(!bp_failed(bp_der_ecdsa_write(bp_span_of(raw, 2 * half), out, sizeof out, &n)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), in));
}

/* Days from the first of January of year 1. */
static int64_t days_before_year(int64_t year)
{
    return (year - 1) * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
}

static void put_digits(bp_wr *wr, int64_t v, unsigned digits)
{
    int64_t unit = 1;
    for (unsigned i = 1; i < digits; i++) {
        unit *= 10;
    }
    for (; unit > 0; unit /= 10) {
        bp_wr_u8(wr, (uint8_t)('0' + v / unit % 10));
    }
}

/* A time of years 1 to 9999 as DER, in the form of that tag. */
static void put_time(bp_wr *wr, uint8_t tag, int64_t t)
{
    const int64_t from_year_1 = t + days_before_year(1970) * 86400;
    const int64_t seconds = from_year_1 % 86400;
    int64_t days = from_year_1 / 86400;
    int64_t year = days / 366 + 1; /* or some later one */
    while (days_before_year(year + 1) <= days) {
        year++;
    }
    days -= days_before_year(year);
    const bool is_leap = days_before_year(year + 1) - days_before_year(year) == 366;
    const uint8_t length[12] = {31, is_leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned month = 0;
    while (days >= length[month]) {
        days -= length[month++];
    }
    bp_der_put_head(wr, tag, tag == BP_DER_UTCTIME ? 13 : 15);
    put_digits(wr, year, tag == BP_DER_UTCTIME ? 2 : 4);
    put_digits(wr, month + 1, 2);
    put_digits(wr, days + 1, 2);
    put_digits(wr, seconds / 3600, 2);
    put_digits(wr, seconds / 60 % 60, 2);
    put_digits(wr, seconds % 60, 2);
    bp_wr_u8(wr, 'Z');
}

static void try_time(bp_span in)
{
    uint8_t out[17];
    bp_rd rd = bp_rd_over(in);
    const uint8_t tag = bp_der_peek(&rd);
    const int64_t t = bp_der_get_time(&rd);
    if (bp_failed(bp_rd_state(&rd))) {
        FUZZ_HOLDS(t == 0);
        return;
    }
    bp_wr wr = bp_wr_over(out, sizeof out);
    put_time(&wr, tag, t);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bp_span_sub(in, 0, in.n - bp_rd_left(&rd))));
    if (t >= 0) { /* the writer of ours has one form, and the same calendar */
        uint8_t ours[17];
        bp_wr general = bp_wr_over(out, sizeof out);
        bp_wr own = bp_wr_over(ours, sizeof ours);
        put_time(&general, BP_DER_GENTIME, t);
        bp_der_put_time(&own, t);
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&own), bp_wr_span(&general)));
    }
}

/* Elements one after another are the input, without a gap. */
static void try_elements(bp_span in)
{
    size_t at = 0;
    bp_rd rd = bp_rd_over(in);
    while (bp_rd_left(&rd) > 0 && !bp_failed(bp_rd_state(&rd))) {
        const bp_span one = bp_der_get_any(&rd);
        if (!bp_failed(bp_rd_state(&rd))) {
            FUZZ_HOLDS(one.p == in.p + at && one.n >= 2);
            at += one.n;
        }
    }
    FUZZ_HOLDS(bp_failed(bp_rd_state(&rd)) || at == in.n);
}

/* What stands between two parts that were read. */
static bp_span between(bp_span before, bp_span after)
{
    return bp_span_of(before.p + before.n, (size_t)(after.p - before.p) - before.n);
}

/* The algorithm identifier: all that stands between what is signed and the signature's BIT STRING. */
static bp_span algorithm_of(bp_span in, bp_span tbs, bp_span signature)
{
    return between(tbs, bp_span_sub(in, in.n - bp_der_size(1 + signature.n), 0));
}

static void check_frame(bp_span in, bp_span tbs, bp_span signature)
{
    const bp_span alg = algorithm_of(in, tbs, signature);
    bp_wr wr = bp_wr_over(whole, sizeof whole);
    bp_der_put_head(&wr, BP_DER_SEQ, tbs.n + alg.n + bp_der_size(1 + signature.n));
    bp_wr_bytes(&wr, tbs);
    bp_wr_bytes(&wr, alg);
    bp_der_put_head(&wr, BP_DER_BITS, 1 + signature.n);
    bp_wr_u8(&wr, 0);
    bp_wr_bytes(&wr, signature);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), in));
}

static void put_validity(bp_wr *wr, const struct bp_x509 *c)
{
    static const int64_t no_end = 253402300799;
    bp_rd rd = bp_rd_over(between(c->issuer, c->subject));
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    const uint8_t first = bp_der_peek(&in);
    (void)bp_der_get(&in, first);
    const uint8_t second = bp_der_peek(&in);
    bp_der_put_head(wr, BP_DER_SEQ, (first == BP_DER_UTCTIME ? 15u : 17u) + (second == BP_DER_UTCTIME ? 15u : 17u));
    put_time(wr, first, c->not_before_s);
    put_time(wr, second, c->not_after_s == INT64_MAX ? no_end : c->not_after_s);
}

/* Every extension is found by its name, and together they are what stands there. */
static bp_span check_extensions(const struct bp_x509 *c)
{
    bp_wr wr = bp_wr_over(exts, sizeof exts);
    bp_rd rd = bp_rd_over(c->extensions);
    while (bp_rd_left(&rd) > 0) {
        struct bp_x509_ext e;
        struct bp_x509_ext found;
        FUZZ_HOLDS(!bp_failed(bp_x509_next_ext(&rd, &e)));
        FUZZ_HOLDS(!bp_failed(bp_x509_find_ext(c, e.oid, &found)) && found.value.p == e.value.p);
        bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(e.oid.n) + (e.is_critical ? 3u : 0u) + bp_der_size(e.value.n));
        bp_der_put(&wr, BP_DER_OID, e.oid);
        if (e.is_critical) {
            bp_der_put(&wr, BP_DER_BOOL, BP_SPAN_STR("\xff"));
        }
        bp_der_put(&wr, BP_DER_OCTETS, e.value);
    }
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), c->extensions));
    return bp_wr_span(&wr);
}

static void check_certificate(bp_span in, const struct bp_x509 *c)
{
    const bp_span extensions = check_extensions(c);
    bp_wr wr = bp_wr_over(content, sizeof content);
    bp_der_put(&wr, BP_DER_CTX(0), BP_SPAN_STR("\x02\x01\x02")); /* version 3 */
    bp_der_put_uint(&wr, c->serial);
    bp_wr_bytes(&wr, algorithm_of(in, c->tbs, c->signature));
    bp_wr_bytes(&wr, c->issuer);
    put_validity(&wr, c);
    bp_wr_bytes(&wr, c->subject);
    bp_wr_bytes(&wr, c->spki);
    if (extensions.n != 0) {
        bp_der_put_head(&wr, BP_DER_CTX(3), bp_der_size(extensions.n));
        bp_der_put(&wr, BP_DER_SEQ, extensions);
    }
    bp_wr tbs = bp_wr_over(whole, sizeof whole);
    bp_der_put(&tbs, BP_DER_SEQ, bp_wr_span(&wr));
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&tbs), c->tbs));
    check_frame(in, c->tbs, c->signature);
}

static void check_request(bp_span in, const struct bp_csr *c)
{
    bp_wr wr = bp_wr_over(content, sizeof content);
    bp_der_put_uint(&wr, BP_SPAN_EMPTY); /* version 0 */
    bp_wr_bytes(&wr, c->subject);
    bp_wr_bytes(&wr, c->spki);
    bp_der_put(&wr, BP_DER_CTX(0), c->attributes);
    bp_wr tbs = bp_wr_over(whole, sizeof whole);
    bp_der_put(&tbs, BP_DER_SEQ, bp_wr_span(&wr));
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&tbs), c->tbs));
    check_frame(in, c->tbs, c->signature);
}

/* A signature that verifies does not over other bytes. */
static void check_verified(const struct bp_pubkey *key, enum bp_sig_alg alg, bp_span tbs, bp_span signature, size_t at)
{
    if (tbs.n <= sizeof content && !bp_failed(bp_x509_verify(fuzz_crypto(), key, alg, tbs, signature))) {
        memcpy(content, tbs.p, tbs.n);
        content[at % tbs.n] ^= 1;
        FUZZ_HOLDS(bp_failed(bp_x509_verify(fuzz_crypto(), key, alg, bp_span_of(content, tbs.n), signature)));
    }
}

/* Signed anew by our key: it verifies with ours, and not with the key inside. */
static void check_signed(const struct bp_pubkey *inside, bp_span tbs)
{
    const struct test_key *key = fuzz_key();
    uint8_t raw[64];
    uint8_t der[72];
    size_t raw_n = 0;
    size_t der_n = 0;
    FUZZ_HOLDS(!bp_failed(key->signer.sign(key->signer.self, tbs, raw, sizeof raw, &raw_n)));
    FUZZ_HOLDS(!bp_failed(bp_der_ecdsa_write(BP_SPAN_OF(raw), der, sizeof der, &der_n)));
    const bp_span signature = bp_span_of(der, der_n);
    FUZZ_HOLDS(!bp_failed(bp_x509_verify(fuzz_crypto(), &key->key, BP_SIG_ES256, tbs, signature)));
    FUZZ_HOLDS(bp_failed(bp_x509_verify(fuzz_crypto(), inside, BP_SIG_ES256, tbs, signature)));
    check_verified(&key->key, BP_SIG_ES256, tbs, signature, der[der_n - 1]);
}

static void try_certificate(bp_span in)
{
    struct bp_x509 cert;
    FUZZ_FILL(cert);
    if (bp_failed(bp_x509_read(in, &cert))) {
        FUZZ_HOLDS(fuzz_untouched(&cert, sizeof cert));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(cert.tbs, in) && fuzz_is_inside(cert.spki, cert.tbs));
    FUZZ_HOLDS(fuzz_is_inside(cert.signature, in) && cert.serial.n <= 20);
    try_spki(cert.spki);
    if (in.n <= ROOM) {
        check_certificate(in, &cert);
    }
    check_verified(&cert.key, cert.alg, cert.tbs, cert.signature, cert.serial.p[0]);
    check_signed(&cert.key, cert.tbs);
}

static void try_csr(bp_span in)
{
    struct bp_csr csr;
    FUZZ_FILL(csr);
    if (bp_failed(bp_csr_read(in, &csr))) {
        FUZZ_HOLDS(fuzz_untouched(&csr, sizeof csr));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(csr.attributes, csr.tbs) && fuzz_is_inside(csr.spki, csr.tbs));
    if (in.n <= ROOM) {
        check_request(in, &csr);
    }
    check_verified(&csr.key, csr.alg, csr.tbs, csr.signature, in.n);
    check_signed(&csr.key, csr.tbs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    try_csr(in);
    try_certificate(in);
    try_spki(in);
    try_ecdsa(in, 32);
    try_ecdsa(in, 48);
    try_time(in);
    try_elements(in);
    return 0;
}
