/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_cose - COSE_Sign1 and COSE_Key: what is accepted re-encodes to itself, what is refused changes
 * nothing, and whatever our strict reader takes the foreign reader takes with the same meaning. */
#include "codec/cose.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

static void rebuild(bp_span in, const struct bp_cose_sign1 *m)
{
    uint8_t *out = malloc(in.n);
    if (out == NULL) {
        return;
    }
    bp_cw w = bp_cw_over(out, in.n);
    bp_cw_tag(&w, 18);
    bp_cw_array(&w, 4);
    bp_cw_bstr(&w, m->protected_header);
    bp_cw_map(&w, 0);
    bp_cw_bstr(&w, m->payload);
    bp_cw_bstr(&w, m->signature);
    FUZZ_HOLDS(!bp_failed(bp_cw_finish(&w)) && bp_span_equal(bp_cw_span(&w), in));
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
        FUZZ_HOLDS(fuzz_is_inside(ours.payload, in) && fuzz_is_inside(ours.cwt_claims, in));
        rebuild(in, &ours);
    } else {
        FUZZ_HOLDS(fuzz_untouched(&ours, sizeof ours));
    }
    if (!is_foreign) {
        FUZZ_HOLDS(fuzz_untouched(&foreign, sizeof foreign));
    }
    try_key(in);
    return 0;
}
