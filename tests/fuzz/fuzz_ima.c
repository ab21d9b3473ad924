/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_ima - IMA lists: entries tile the list, re-encode to themselves, and are the
 * same when the list is read entry by entry as deltas; what is refused moves nothing. */
#include "codec/ima.h"
#include "fuzz/fuzz.h"

static uint8_t out[BP_IMA_DATA_MAX + 64], data_out[BP_IMA_DATA_MAX];

static void put_sized(bp_wr *wr, bp_span s)
{
    bp_wr_le32(wr, (uint32_t)s.n);
    bp_wr_bytes(wr, s);
}

/* The first form of all, which nobody writes any more: put together here. */
static void rewrite_legacy(const struct bp_ima_entry *e, bp_span bytes)
{
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_wr_le32(&wr, BP_IMA_PCR);
    bp_wr_bytes(&wr, e->template_digest);
    put_sized(&wr, BP_SPAN_STR("ima"));
    bp_wr_bytes(&wr, e->file_digest);
    put_sized(&wr, e->path);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bytes) && e->data.n == 0);
}

/* The data ends with the digest and all that follows it, violations and buffers included. */
static void rewrite_end(const struct bp_ima_entry *e)
{
    bp_wr wr = bp_wr_over(data_out, sizeof data_out);
    bp_wr_bytes(&wr, e->file_digest);
    bp_wr_le32(&wr, (uint32_t)e->path.n + 1);
    bp_wr_bytes(&wr, e->path);
    bp_wr_u8(&wr, 0);
    if (e->template != BP_IMA_NG) {
        put_sized(&wr, e->template == BP_IMA_SIG ? e->signature : e->buffer);
    }
    FUZZ_HOLDS(wr.n < e->data.n);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bp_span_sub(e->data, e->data.n - wr.n, wr.n)));
}

static void rewrite(const struct bp_ima_entry *e, bp_span bytes)
{
    if (e->template == BP_IMA_LEGACY) {
        rewrite_legacy(e, bytes);
        return;
    }
    rewrite_end(e);
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_ima_write_entry(&wr, e->template, e->template_digest, e->data);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bytes));
    if (e->template != BP_IMA_BUF && !e->violation) {
        wr = bp_wr_over(data_out, sizeof data_out);
        bp_ima_write_data(&wr, e->template, e->file_alg, e->file_digest, e->path, e->signature);
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), e->data));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_ima ima = bp_ima_open(in, 3);
    struct bp_ima_entry e;
    for (;;) {
        const struct bp_ima before = ima;
        FUZZ_FILL(e);
        const bp_result r = bp_ima_next(&ima, &e);
        if (bp_failed(r)) {
            FUZZ_HOLDS(fuzz_untouched(&e, sizeof e) && ima.at == before.at &&
                       ima.next_index == before.next_index);
            FUZZ_HOLDS(bp_is(r, BP_E_NOT_FOUND) == (ima.at == size));
            return 0;
        }
        FUZZ_HOLDS(e.at + e.size == ima.at && e.index == before.next_index);
        FUZZ_HOLDS(fuzz_is_inside(e.path, in) && fuzz_is_inside(e.file_digest, in) &&
                   fuzz_is_inside(e.signature, in));
        bp_span parts[BP_IMA_PARTS_MAX];
        FUZZ_HOLDS(bp_ima_hash_parts(&e, parts) <= BP_IMA_PARTS_MAX);
        rewrite(&e, bp_span_sub(in, e.at, e.size));
        struct bp_ima delta = bp_ima_open(bp_span_sub(in, e.at, e.size), e.index);
        struct bp_ima_entry same;
        FUZZ_HOLDS(!bp_failed(bp_ima_next(&delta, &same)) && same.path.p == e.path.p &&
                   same.path.n == e.path.n);
        FUZZ_HOLDS(bp_is(bp_ima_next(&delta, &same), BP_E_NOT_FOUND));
    }
}
