/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_est - EST bodies. What a server is sent: base64 with any line breaks, in it a request; decoded it
 * encodes to the input without its blanks, and its spans lie inside. What a client is sent: certs-only answers, whose
 * certificates lie inside the input, one after another. What is refused changes nothing. */
#include "codec/base64.h"
#include "codec/est.h"
#include "codec/x509.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

static void try_request(bp_span der)
{
    struct bp_csr csr;
    uint8_t out[BP_SPKI_MAX];
    size_t n = 0;
    FUZZ_FILL(csr);
    if (bp_failed(bp_csr_read(der, &csr))) {
        FUZZ_HOLDS(fuzz_untouched(&csr, sizeof csr));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(csr.tbs, der) && fuzz_is_inside(csr.signature, der));
    FUZZ_HOLDS(fuzz_is_inside(csr.attributes, csr.tbs) && fuzz_is_inside(csr.spki, csr.tbs));
    if (csr.key.type != BP_KEY_NONE) { /* none: a kind of key that nothing here uses, refused by who reads the request */
        FUZZ_HOLDS(!bp_failed(bp_spki_write(&csr.key, out, sizeof out, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), csr.spki));
    }
}

static bool is_blank(uint8_t c)
{
    return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

/* The text that base64 writes is what was read, blanks aside. */
static void check_text(bp_span in, bp_span text)
{
    size_t at = 0;
    for (size_t i = 0; i < in.n; i++) {
        if (!is_blank(in.p[i])) {
            FUZZ_HOLDS(at < text.n && text.p[at] == in.p[i]);
            at++;
        }
    }
    FUZZ_HOLDS(at == text.n);
}

static void try_body(bp_span in)
{
    uint8_t *room = malloc(in.n + 1);
    uint8_t *text = malloc(BP_BASE64_SIZE(in.n) + 1);
    if (room != NULL && text != NULL) {
        bp_wr wr = bp_wr_over(room, in.n + 1);
        bp_base64_read_wrapped(&wr, in);
        if (!bp_failed(bp_wr_finish(&wr))) {
            bp_wr back = bp_wr_over(text, BP_BASE64_SIZE(in.n) + 1);
            bp_base64_write(&back, bp_wr_span(&wr));
            check_text(in, bp_wr_span(&back));
            try_request(bp_wr_span(&wr));
        }
    }
    free(room);
    free(text);
}

static void try_answer(bp_span in)
{
    bp_span cert[BP_EST_CERTS_MAX];
    size_t count = 0x5a5a;
    FUZZ_FILL(cert);
    if (bp_failed(bp_est_certs_read(in, cert, &count))) {
        FUZZ_HOLDS(count == 0x5a5a && fuzz_untouched(cert, sizeof cert));
        return;
    }
    FUZZ_HOLDS(count >= 1 && count <= BP_EST_CERTS_MAX);
    for (size_t i = 0; i < count; i++) {
        FUZZ_HOLDS(cert[i].n >= 2 && cert[i].p[0] == 0x30 && fuzz_is_inside(cert[i], in));
        FUZZ_HOLDS(i == 0 || cert[i].p == cert[i - 1].p + cert[i - 1].n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    try_body(in);
    try_request(in);
    try_answer(in);
    return 0;
}
