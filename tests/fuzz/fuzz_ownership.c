/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_ownership - statements, cards, anchors, chains and erasures of ownership, and the walk along a chain. What is read
 * is written again to the same bytes when it was of our minor; what is refused leaves zero; no chain that a fuzzer can make is
 * good, since it cannot sign, and the walk changes nothing but its result. */
#include "codec/decommission.h"
#include "core/erasure.h"
#include "core/ownership.h"
#include "fuzz/fuzz.h"
#include "fuzz/signing.h"

#include <stdlib.h>

static bool is_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        if (b[i] != 0) {
            return false;
        }
    }
    return true;
}

/* n is looked at after the writer, an argument here, has set it. */
static void same(bp_span in, uint64_t minor, uint32_t unknown, bp_result r, const uint8_t *out, const size_t *n)
{
    FUZZ_HOLDS(!bp_failed(r));
    if (minor == 0 && unknown == 0) {
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, *n), in));
    }
}

static void try_statement(bp_span in)
{
    struct bp_ownership v;
    uint8_t out[BP_OWNERSHIP_MAX];
    size_t n = 0;
    FUZZ_FILL(v);
    if (bp_failed(bp_ownership_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(v.to_key, in) && fuzz_is_inside(v.owner, in) && v.epoch != 0);
    same(in, v.minor, v.unknown, bp_ownership_write(&v, out, sizeof out, &n), out, &n);
}

static void try_card(bp_span in)
{
    struct bp_owner_card v;
    uint8_t out[BP_OWNERSHIP_MAX];
    size_t n = 0;
    FUZZ_FILL(v);
    if (bp_failed(bp_owner_card_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
        return;
    }
    same(in, v.minor, v.unknown, bp_owner_card_write(&v, out, sizeof out, &n), out, &n);
}

static void try_anchor(bp_span in)
{
    struct bp_maker_anchor v;
    uint8_t out[BP_OWNERSHIP_ANCHOR_MAX];
    size_t n = 0;
    FUZZ_FILL(v);
    if (bp_failed(bp_maker_anchor_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
        return;
    }
    FUZZ_HOLDS(v.keys >= 1 && v.keys <= BP_OWNERSHIP_MAKERS_MAX);
    same(in, v.minor, v.unknown, bp_maker_anchor_write(&v, out, sizeof out, &n), out, &n);
}

static void try_chain(bp_span in)
{
    static struct bp_ownership_chain v;
    static uint8_t out[BP_OWNERSHIP_FILE_MAX];
    static uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    static const uint8_t root[32];
    struct bp_own_state state;
    struct bp_owner_card card;
    size_t n = 0;
    FUZZ_FILL(v);
    if (bp_failed(bp_ownership_chain_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
        return;
    }
    FUZZ_HOLDS(v.statements >= 1 && v.statements <= BP_OWNERSHIP_CHAIN_MAX);
    same(in, v.minor, v.unknown, bp_ownership_chain_write(&v, out, sizeof out, &n), out, &n);
    const struct bp_own_ask ask = {.device_id = v.device_id, .scratch = scratch};
    FUZZ_HOLDS(bp_ownership_walk(fuzz_crypto(), &ask, &v, &state) != BP_OWN_NONE && state.statements == 0);
    FUZZ_HOLDS(bp_owner_card_check(fuzz_crypto(), v.card, scratch, &card) != BP_OWN_NONE);
    FUZZ_HOLDS(bp_ownership_vouches(fuzz_crypto(), &state, v.card, root, scratch) != BP_OWN_NONE);
}

static void try_erasure(bp_span in)
{
    struct bp_owner_erasure v;
    uint8_t out[BP_OWNER_ERASURE_MAX];
    size_t n = 0;
    FUZZ_FILL(v);
    if (bp_failed(bp_owner_erasure_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
        return;
    }
    same(in, v.minor, v.unknown, bp_owner_erasure_write(&v, out, sizeof out, &n), out, &n);
    FUZZ_HOLDS(!bp_owner_erasure_is_by(fuzz_crypto(), &v, v.attest));
}

static void try_decommission(bp_span in)
{
    static struct bp_decommission v;
    static uint8_t out[BP_DECOMMISSION_FILE_MAX];
    struct bp_decommission_file f;
    size_t n = 0;
    FUZZ_FILL(v);
    FUZZ_FILL(f);
    if (bp_failed(bp_decommission_read(in, &v))) {
        FUZZ_HOLDS(is_zero(&v, sizeof v));
    } else {
        same(in, v.minor, v.unknown, bp_decommission_write(&v, out, sizeof out, &n), out, &n);
    }
    if (bp_failed(bp_decommission_file_read(in, &f))) {
        FUZZ_HOLDS(is_zero(&f, sizeof f));
    } else {
        same(in, f.minor, f.unknown, bp_decommission_file_write(&f, out, sizeof out, &n), out, &n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    try_statement(in);
    try_card(in);
    try_anchor(in);
    try_chain(in);
    try_erasure(in);
    try_decommission(in);
    return 0;
}
