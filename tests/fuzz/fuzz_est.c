/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_est - EST bodies. What a server is sent: base64 with any line breaks, in it a request; decoded it
 * encodes to the input without its blanks, its spans lie inside, and a client's writers make a request for its key, the same
 * one where it is of their form; evidence among its attributes is the only one. What a client is sent: certs-only answers, whose certificates lie inside the input, one
 * after another, and are the same in the least answer that holds them. What is refused changes nothing. */
#include "codec/base64.h"
#include "codec/est.h"
#include "codec/x509.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

#define NAME_AT 256u /* bytes of a request of ours beside its key and its name, and room to spare */

/* The common name of a subject that has nothing else, in UTF-8; empty for any other subject. */
static bp_span common_name(bp_span subject)
{
    static const uint8_t oid_cn[] = {0x55, 0x04, 0x03};
    bp_rd rd = bp_rd_over(subject);
    bp_rd names = bp_der_enter(&rd, BP_DER_SEQ);
    bp_rd set = bp_der_enter(&names, BP_DER_SET);
    bp_rd pair = bp_der_enter(&set, BP_DER_SEQ);
    const bool is_cn = bp_span_equal(bp_der_get(&pair, BP_DER_OID), BP_SPAN_OF(oid_cn));
    const bp_span name = bp_der_get(&pair, BP_DER_UTF8);
    const bool is_all = !bp_failed(bp_rd_finish(&pair)) && !bp_failed(bp_rd_finish(&set)) &&
                        !bp_failed(bp_rd_finish(&names)) && !bp_failed(bp_rd_finish(&rd));
    return is_cn && is_all ? name : BP_SPAN_EMPTY;
}

/* A request of our writers for the key that came. Where the one that came is of their form, they make it again. */
static void rewrite_request(bp_span der, const struct bp_csr *csr)
{
    static uint8_t info[NAME_AT + BP_EST_NAME_MAX + 4096];
    static uint8_t out[sizeof info + 128];
    uint8_t raw[64];
    size_t info_n = 0;
    size_t n = 0;
    const bp_span cn = common_name(csr->subject);
    const bool has_sig = !bp_failed(bp_der_ecdsa_read(csr->signature, 32, raw));
    const bool is_ours = has_sig && cn.n != 0 && cn.n <= BP_EST_NAME_MAX && csr->alg == BP_SIG_ES256 && csr->attributes.n == 0;
    if (!has_sig) {
        memset(raw, 7, sizeof raw);
    }
    const bp_span name = is_ours ? cn : bp_span_sub(der, 0, der.n % (BP_EST_NAME_MAX + 2));
    const bp_result r = bp_est_info_write(name, csr->spki, info, sizeof info, &info_n);
    if (bp_failed(r)) {
        FUZZ_HOLDS(bp_is(r, BP_E_NO_SPACE) ? info_n > sizeof info : name.n == 0 || name.n > BP_EST_NAME_MAX);
        return;
    }
    struct bp_csr again;
    const bp_span written = bp_span_of(info, info_n);
    FUZZ_HOLDS(bp_is(bp_est_request_write(written, bp_span_of(raw, 63), out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    FUZZ_HOLDS(!bp_failed(bp_est_request_write(written, BP_SPAN_OF(raw), out, sizeof out, &n)));
    FUZZ_HOLDS(!bp_failed(bp_csr_read(bp_span_of(out, n), &again)));
    FUZZ_HOLDS(bp_span_equal(again.tbs, written) && bp_span_equal(again.spki, csr->spki) && again.alg == BP_SIG_ES256);
    FUZZ_HOLDS(bp_span_equal(common_name(again.subject), name) && again.attributes.n == 0);
    FUZZ_HOLDS(!is_ours || bp_span_equal(bp_span_of(out, n), der));
}

/* Attributes of the kind, and values in them, counted apart from the reader. */
static unsigned count_evidence(bp_span attributes)
{
    unsigned count = 0;
    bp_rd rd = bp_rd_over(attributes);
    while (bp_rd_left(&rd) > 0 && !bp_failed(bp_rd_state(&rd))) {
        bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
        const bool is_it = bp_span_equal(bp_der_get(&in, BP_DER_OID), BP_SPAN_STR(BP_EST_EVIDENCE_OID));
        bp_rd values = bp_der_enter(&in, BP_DER_SET);
        while (is_it && bp_rd_left(&values) > 0 && !bp_failed(bp_rd_state(&values))) {
            (void)bp_der_get_any(&values);
            count++;
        }
    }
    return count;
}

/* Evidence that is taken lies in the one attribute of its kind, and reads to the same in the one that our writer makes. */
static void try_evidence(bp_span attributes)
{
    bp_span got;
    bp_span again;
    size_t n = 0;
    FUZZ_FILL(got);
    if (bp_failed(bp_est_evidence_read(attributes, &got))) {
        FUZZ_HOLDS(fuzz_untouched(&got, sizeof got));
        return;
    }
    FUZZ_HOLDS(got.n >= 1 && got.n <= BP_EST_EVIDENCE_MAX && fuzz_is_inside(got, attributes) && count_evidence(attributes) == 1);
    uint8_t *room = malloc(got.n + 256);
    if (room == NULL) {
        return;
    }
    FUZZ_HOLDS(!bp_failed(bp_est_info_evidence_write(BP_SPAN_STR("n"), BP_SPAN_STR("\x30\x00"), got, room, got.n + 256, &n)));
    bp_rd rd = bp_rd_over(bp_span_of(room, n));
    bp_rd info = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&info, BP_DER_INT);
    (void)bp_der_get(&info, BP_DER_SEQ);
    (void)bp_der_get(&info, BP_DER_SEQ);
    const bp_span written = bp_der_get(&info, BP_DER_CTX(0));
    FUZZ_HOLDS(!bp_failed(bp_rd_finish(&info)) && !bp_failed(bp_rd_finish(&rd)));
    FUZZ_HOLDS(!bp_failed(bp_est_evidence_read(written, &again)) && bp_span_equal(again, got));
    free(room);
}

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
    try_evidence(csr.attributes);
    if (csr.key.type != BP_KEY_NONE) { /* none: a kind of key that nothing here uses, refused by who reads the request */
        FUZZ_HOLDS(!bp_failed(bp_spki_write(&csr.key, out, sizeof out, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), csr.spki));
    }
    rewrite_request(der, &csr);
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

/* The least certs-only answer around the same certificates, which lie one after another, reads to the same. */
static void rewrite_answer(const bp_span *cert, size_t count)
{
    static const uint8_t signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
    static const uint8_t data[] = {0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
    const size_t all_n = (size_t)(cert[count - 1].p - cert[0].p) + cert[count - 1].n;
    const size_t sd_n = 3 + 2 + sizeof data + bp_der_size(all_n) + 2;
    const size_t cap = all_n + 128;
    uint8_t *room = malloc(cap);
    if (room == NULL) {
        return;
    }
    bp_wr wr = bp_wr_over(room, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, sizeof signed_data + bp_der_size(bp_der_size(sd_n)));
    bp_wr_bytes(&wr, BP_SPAN_OF(signed_data));
    bp_der_put_head(&wr, BP_DER_CTX(0), bp_der_size(sd_n));
    bp_der_put_head(&wr, BP_DER_SEQ, sd_n);
    bp_der_put_uint(&wr, BP_SPAN_STR("\x01"));
    bp_der_put(&wr, BP_DER_SET, BP_SPAN_EMPTY);
    bp_wr_bytes(&wr, BP_SPAN_OF(data));
    bp_der_put(&wr, BP_DER_CTX(0), bp_span_of(cert[0].p, all_n));
    bp_der_put(&wr, BP_DER_SET, BP_SPAN_EMPTY);
    bp_span again[BP_EST_CERTS_MAX];
    size_t n = 0;
    FUZZ_HOLDS(!bp_failed(bp_est_certs_read(bp_wr_span(&wr), again, &n)) && n == count);
    for (size_t i = 0; i < count; i++) {
        FUZZ_HOLDS(bp_span_equal(again[i], cert[i]));
    }
    free(room);
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
    rewrite_answer(cert, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    try_body(in);
    try_request(in);
    try_evidence(in);
    try_answer(in);
    return 0;
}
