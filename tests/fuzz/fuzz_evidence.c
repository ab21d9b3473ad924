/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_evidence - the collection that a device posts: what is refused leaves nothing behind, what is accepted
 * lies inside its input, what holds nothing unknown is written back as the same bytes, and the bytes that extraData
 * covers are the collection without the quote. */
#include "codec/evidence.h"
#include "fuzz/fuzz.h"

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

static void check_spans(const struct bp_evidence *ev, bp_span in)
{
    FUZZ_HOLDS(fuzz_is_inside(ev->attest, in) && fuzz_is_inside(ev->signature, in) && fuzz_is_inside(ev->boot, in));
    FUZZ_HOLDS(fuzz_is_inside(ev->ima, in) && fuzz_is_inside(ev->about.agent, in));
    FUZZ_HOLDS(ev->about.device_id.n == 33 && ev->about.ldevid.n == 32 && ev->pcrs <= BP_EVIDENCE_PCRS_MAX);
    FUZZ_HOLDS(ev->keys <= BP_EVIDENCE_KEYS_MAX && ev->about.features <= BP_EVIDENCE_FEATURES_MAX);
    for (uint32_t i = 0; i < ev->pcrs; i++) {
        FUZZ_HOLDS(fuzz_is_inside(ev->pcr[i], in));
    }
    for (uint32_t i = 0; i < ev->keys; i++) {
        FUZZ_HOLDS(fuzz_is_inside(ev->key[i].public_area, in) && fuzz_is_inside(ev->key[i].attest, in));
    }
}

/* The covered parts make one deterministic map; with nothing unknown in it, the one that the writer makes. */
static void check_covered(const struct bp_evidence *ev, bool is_plain, uint8_t *room, size_t cap)
{
    uint8_t head[9];
    bp_span part[BP_EVIDENCE_COVERED];
    bp_evidence_covered(ev, head, part);
    uint8_t *joined = malloc(cap + sizeof head);
    if (joined == NULL) {
        return;
    }
    bp_wr wr = bp_wr_over(joined, cap + sizeof head);
    for (size_t i = 0; i < BP_EVIDENCE_COVERED; i++) {
        bp_wr_bytes(&wr, part[i]);
    }
    FUZZ_HOLDS(!bp_failed(bp_wr_finish(&wr)) && !bp_failed(bp_cbor_check(bp_wr_span(&wr))));
    size_t n = 0;
    if (is_plain) {
        FUZZ_HOLDS(!bp_failed(bp_evidence_write(ev, false, room, cap, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(room, n), bp_wr_span(&wr)));
    }
    free(joined);
}

/* What was written once is read, and written as the same bytes ever after. */
static void check_written(bp_span first)
{
    struct bp_evidence again;
    uint8_t *second = malloc(first.n);
    size_t n = 0;
    FUZZ_HOLDS(!bp_failed(bp_evidence_read(first, &again)));
    if (second != NULL) {
        FUZZ_HOLDS(!bp_failed(bp_evidence_write(&again, true, second, first.n, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(second, n), first));
    }
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_evidence ev;
    memset(&ev, 0, sizeof ev);
    if (bp_failed(bp_evidence_read(in, &ev))) {
        FUZZ_HOLDS(is_zero(&ev, sizeof ev));
        return 0;
    }
    check_spans(&ev, in);
    uint8_t *room = malloc(size);
    if (room == NULL) {
        return 0;
    }
    /* What a newer minor or an unknown label brought does not come back; everything else does, to the byte. */
    size_t n = 0;
    const bool is_written = !bp_failed(bp_evidence_write(&ev, true, room, size, &n));
    const bool is_plain = is_written && n == size && memcmp(room, data, size) == 0;
    check_covered(&ev, is_plain, room, size);
    if (is_written && !bp_failed(bp_evidence_write(&ev, true, room, size, &n))) {
        check_written(bp_span_of(room, n));
    }
    free(room);
    return 0;
}
