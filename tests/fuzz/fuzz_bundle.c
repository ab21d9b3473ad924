/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_bundle - the bundle: what is accepted lies inside its input and is written back byte for byte, what is
 * refused leaves zeros. */
#include "codec/bundle.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

static bool is_zero(const void *object, size_t n)
{
    const uint8_t *p = object;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static void check_spans(const struct bp_bundle *b, bp_span in)
{
    const bp_span whole[] = {b->head, b->event, b->ear, b->evidence, b->nonce, b->ak_binding, b->binding, b->policy, b->state};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        FUZZ_HOLDS(fuzz_is_inside(whole[i], in));
    }
    FUZZ_HOLDS(b->index < b->size && b->certs >= BP_BUNDLE_CHAIN_MIN && b->certs <= BP_BUNDLE_CHAIN_MAX);
    for (uint32_t i = 0; i < b->certs; i++) {
        FUZZ_HOLDS(b->cert[i].n != 0 && fuzz_is_inside(b->cert[i], in));
    }
    for (uint32_t i = 0; i < b->references; i++) {
        FUZZ_HOLDS(b->reference[i].id.n == 32 && fuzz_is_inside(b->reference[i].manifest, in));
    }
    for (uint32_t i = 0; i < b->logs; i++) {
        FUZZ_HOLDS(fuzz_is_inside(b->log[i], in));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bp_bundle b;
    const bp_span in = bp_span_of(data, size);
    FUZZ_FILL(b);
    if (bp_failed(bp_bundle_read(in, &b))) {
        FUZZ_HOLDS(is_zero(&b, sizeof b));
        return 0;
    }
    check_spans(&b, in);
    uint8_t proof[BP_BUNDLE_PROOF_MAX * 32];
    FUZZ_HOLDS(bp_bundle_proof(&b, proof).n == (size_t)b.hashes * 32);
    uint8_t *again = malloc(size);
    size_t n = 0;
    if (again != NULL) {
        FUZZ_HOLDS(bp_is(bp_bundle_write(&b, again, size - 1, &n), BP_E_NO_SPACE) && n == size);
        FUZZ_HOLDS(!bp_failed(bp_bundle_write(&b, again, size, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));
    }
    free(again);
    return 0;
}
