/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_x509 - DER, certificates, requests, keys: spans lie inside the input, a key that is read is written
 * back byte for byte, what is refused changes nothing. */
#include "codec/x509.h"
#include "fuzz/fuzz.h"

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

static void try_ecdsa(bp_span in)
{
    uint8_t raw[64];
    FUZZ_FILL(raw);
    if (bp_failed(bp_der_ecdsa_read(in, 32, raw))) {
        FUZZ_HOLDS(fuzz_untouched(raw, sizeof raw));
        return;
    }
    uint8_t out[72];
    size_t n = 0;
    FUZZ_HOLDS(!bp_failed(bp_der_ecdsa_write(BP_SPAN_OF(raw), out, sizeof out, &n)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), in));
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
    bp_rd rd = bp_rd_over(cert.extensions);
    while (bp_rd_left(&rd) > 0) {
        struct bp_x509_ext e;
        struct bp_x509_ext found;
        FUZZ_HOLDS(!bp_failed(bp_x509_next_ext(&rd, &e)));
        FUZZ_HOLDS(!bp_failed(bp_x509_find_ext(&cert, e.oid, &found)) && found.value.p == e.value.p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_csr csr;
    FUZZ_FILL(csr);
    if (bp_failed(bp_csr_read(in, &csr))) {
        FUZZ_HOLDS(fuzz_untouched(&csr, sizeof csr));
    } else {
        FUZZ_HOLDS(fuzz_is_inside(csr.attributes, csr.tbs) && fuzz_is_inside(csr.spki, csr.tbs));
    }
    try_certificate(in);
    try_spki(in);
    try_ecdsa(in);
    bp_rd rd = bp_rd_over(in);
    (void)bp_der_get_time(&rd);
    return 0;
}
