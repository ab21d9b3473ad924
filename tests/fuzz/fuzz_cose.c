/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_cose - COSE_Sign1 and COSE_Key: the writer makes what is accepted again to the byte, what is refused
 * changes nothing, whatever our strict reader takes the foreign reader takes with the same meaning; a key of ours verifies
 * what it signed and nothing that came. */
#include "codec/cose.h"
#include "fuzz/fuzz.h"
#include "fuzz/signing.h"

#include <stdlib.h>

#define BP_MODULE TEST

static size_t signature_size(enum bp_sig_alg alg)
{
    return alg == BP_SIG_ES384 ? 96 : 64;
}

/* A signer that has one answer: the signature that came with the message. */
static bp_result give_signature(void *self, bp_span message, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const struct bp_cose_sign1 *m = self;
    if (message.n == 0 || m->signature.n > cap) {
        return BP_FAIL(CRYPTO);
    }
    if (m->signature.n != 0) {
        memcpy(ret, m->signature.p, m->signature.n);
    }
    *ret_len = m->signature.n;
    return BP_OK;
}

/* The writer makes the input again, when its signer signs as the input's did. */
static void rewrite(bp_span in, struct bp_cose_sign1 *m, uint8_t *scratch, size_t scratch_cap, uint8_t *out)
{
    const struct bp_signer signer = {m, m->alg, give_signature};
    const struct bp_cose_header header = {m->content_type, m->kid, m->cwt_claims};
    size_t n = 0;
    const bp_result r = bp_cose_sign1_write(&signer, &header, m->payload, BP_SPAN_EMPTY, scratch, scratch_cap, out, in.n, &n);
    if (bp_is(r, BP_E_LIMIT)) {
        FUZZ_HOLDS(m->protected_header.n > BP_COSE_MAX_PROTECTED);
    } else if (bp_failed(r)) {
        FUZZ_HOLDS(bp_is(r, BP_E_CRYPTO) && m->signature.n != signature_size(m->alg));
    } else if (n == in.n) {
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), in));
    } else { /* an empty member of the header is read as an absent one, and left out */
        FUZZ_HOLDS(n < in.n && (m->content_type.n == 0 || m->kid.n == 0));
    }
}

/* What our key signs, our key verifies, and not with other external data; the message as it came it does not. */
static void check_signed(const struct bp_cose_sign1 *m, uint8_t *scratch, size_t scratch_cap, uint8_t *out, size_t cap)
{
    const struct test_key *key = fuzz_key();
    const struct bp_cose_header header = {m->content_type, m->kid, m->cwt_claims};
    const bp_span aad = bp_span_sub(m->payload, 0, 8);
    struct bp_cose_sign1 ours;
    size_t n = 0;
    FUZZ_HOLDS(bp_failed(bp_cose_sign1_verify(fuzz_crypto(), m, &key->key, BP_SPAN_EMPTY, scratch, scratch_cap)));
    if (bp_failed(bp_cose_sign1_write(&key->signer, &header, m->payload, aad, scratch, scratch_cap, out, cap, &n))) {
        FUZZ_HOLDS(m->protected_header.n > BP_COSE_MAX_PROTECTED);
        return;
    }
    FUZZ_HOLDS(!bp_failed(bp_cose_sign1_read(bp_span_of(out, n), &ours)) && bp_span_equal(ours.payload, m->payload));
    FUZZ_HOLDS(!bp_failed(bp_cose_sign1_verify(fuzz_crypto(), &ours, &key->key, aad, scratch, scratch_cap)));
    FUZZ_HOLDS(bp_is(bp_cose_sign1_verify(fuzz_crypto(), &ours, &key->key, BP_SPAN_STR("something else"), scratch, scratch_cap),
                     BP_E_BAD_SIGNATURE));
}

static void check_message(bp_span in, struct bp_cose_sign1 *m, bool is_ours)
{
    const size_t scratch_cap = BP_COSE_SCRATCH(m->protected_header.n + 2 * BP_COSE_MAX_PROTECTED, m->payload.n, 16);
    const size_t cap = in.n + BP_COSE_MAX_PROTECTED + 128;
    uint8_t *scratch = malloc(scratch_cap);
    uint8_t *out = malloc(cap);
    FUZZ_HOLDS(fuzz_is_inside(m->payload, in) && fuzz_is_inside(m->signature, in) && fuzz_is_inside(m->cwt_claims, in));
    FUZZ_HOLDS(fuzz_is_inside(m->protected_header, in) && fuzz_is_inside(m->kid, in) && fuzz_is_inside(m->content_type, in));
    if (scratch != NULL && out != NULL) {
        if (is_ours) {
            rewrite(in, m, scratch, scratch_cap, out);
            check_signed(m, scratch, scratch_cap, out, cap);
        } else {
            FUZZ_HOLDS(bp_failed(bp_cose_sign1_verify(fuzz_crypto(), m, &fuzz_key()->key, BP_SPAN_EMPTY, scratch, scratch_cap)));
        }
    }
    free(scratch);
    free(out);
}

static void try_key(bp_span in)
{
    struct bp_pubkey key;
    FUZZ_FILL(key);
    if (bp_failed(bp_cose_key_read(in, &key))) {
        FUZZ_HOLDS(fuzz_untouched(&key, sizeof key));
        return;
    }
    uint8_t out[128];
    struct bp_pubkey again;
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cose_key_write(&w, &key);
    FUZZ_HOLDS(!bp_failed(bp_cw_finish(&w)));
    FUZZ_HOLDS(!bp_failed(bp_cose_key_read(bp_cw_span(&w), &again)));
    FUZZ_HOLDS(again.type == key.type && bp_span_equal(again.a, key.a) && bp_span_equal(again.b, key.b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_cose_sign1 ours;
    struct bp_cose_sign1 foreign;
    FUZZ_FILL(ours);
    FUZZ_FILL(foreign);
    const bool is_ours = !bp_failed(bp_cose_sign1_read(in, &ours));
    const bool is_foreign = !bp_failed(bp_cose_sign1_read_foreign(in, &foreign));
    if (is_ours) {
        FUZZ_HOLDS(is_foreign && foreign.alg == ours.alg && bp_span_equal(foreign.kid, ours.kid));
        check_message(in, &ours, true);
    } else {
        FUZZ_HOLDS(fuzz_untouched(&ours, sizeof ours));
    }
    if (!is_foreign) {
        FUZZ_HOLDS(fuzz_untouched(&foreign, sizeof foreign));
    } else if (!is_ours) {
        check_message(in, &foreign, false);
    }
    try_key(in);
    return 0;
}
