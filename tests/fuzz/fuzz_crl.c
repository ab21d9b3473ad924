/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_crl - revocation lists: spans lie inside the input; entries and frame are put together again from what was
 * read to the same bytes; as many entries come as were counted; what is refused changes nothing. */
#include "codec/crl.h"
#include "fuzz/fuzz.h"

#define ROOM 65536u

static uint8_t out[ROOM];

/* What stands between two parts that were read. */
static bp_span between(bp_span before, bp_span after)
{
    return bp_span_of(before.p + before.n, (size_t)(after.p - before.p) - before.n);
}

/* A reason that stands first among an entry's extensions is one octet, and the one that was given. */
static void check_reason(bp_span entry, uint8_t reason)
{
    bp_rd rd = bp_rd_over(entry);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get_uint(&in);
    (void)bp_der_get_time(&in);
    if (bp_rd_left(&in) > 0) {
        bp_rd exts = bp_der_enter(&in, BP_DER_SEQ);
        bp_rd ext = bp_der_enter(&exts, BP_DER_SEQ);
        if (bp_span_equal(bp_der_get(&ext, BP_DER_OID), BP_SPAN_STR("\x55\x1d\x15")) && bp_der_peek(&ext) == BP_DER_OCTETS) {
            const bp_span v = bp_der_get(&ext, BP_DER_OCTETS);
            FUZZ_HOLDS(v.n == 3 && v.p[2] == reason && reason != 0);
        }
    }
}

static void check_entries(const struct bp_crl *c)
{
    struct bp_crl_item item = {.reason = 0};
    bp_rd rd = bp_rd_over(c->entries);
    size_t count = 0;
    size_t at = 0;
    while (bp_crl_next(&rd, &item)) {
        check_reason(bp_span_sub(c->entries, at, rd.at - at), item.reason);
        at = rd.at;
        FUZZ_HOLDS(fuzz_is_inside(item.serial, c->entries) && item.serial.n >= 1 && item.serial.n <= 20);
        FUZZ_HOLDS(item.serial.p[0] != 0 && item.reason <= 10 && item.reason != 7 && item.reason != 8);
        count++;
    }
    FUZZ_HOLDS(!bp_failed(bp_rd_finish(&rd)) && count == c->count && (count > 0) == (c->entries.n > 0));
}

/* The signed part from its pieces: version, algorithm, issuer, times, entries, extensions. */
static void check_tbs(const struct bp_crl *c)
{
    bp_rd whole = bp_rd_over(c->tbs);
    bp_rd in = bp_der_enter(&whole, BP_DER_SEQ);
    FUZZ_HOLDS(bp_der_get_small(&in) == 1);
    const bp_span alg = bp_der_get_whole(&in, BP_DER_SEQ);
    FUZZ_HOLDS(bp_der_get_whole(&in, BP_DER_SEQ).p == c->issuer.p);
    FUZZ_HOLDS(bp_der_get_time(&in) == c->this_s && bp_der_get_time(&in) == c->next_s && c->next_s > c->this_s);
    if (c->entries.n > 0) {
        FUZZ_HOLDS(bp_der_get(&in, BP_DER_SEQ).p == c->entries.p);
    }
    const bp_span exts = bp_der_get_whole(&in, BP_DER_CTX(0));
    FUZZ_HOLDS(!bp_failed(bp_rd_finish(&in)));
    const bp_span first = c->entries.n > 0 ? bp_span_of(c->entries.p - (bp_der_size(c->entries.n) - c->entries.n), 0)
                                           : bp_span_of(exts.p, 0);
    const bp_span times = between(c->issuer, first);
    const size_t list = c->entries.n > 0 ? bp_der_size(c->entries.n) : 0;
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_der_put_head(&wr, BP_DER_SEQ, 3 + alg.n + c->issuer.n + times.n + list + exts.n);
    bp_wr_bytes(&wr, BP_SPAN_STR("\x02\x01\x01"));
    bp_wr_bytes(&wr, alg);
    bp_wr_bytes(&wr, c->issuer);
    bp_wr_bytes(&wr, times);
    if (list > 0) {
        bp_der_put(&wr, BP_DER_SEQ, c->entries);
    }
    bp_wr_bytes(&wr, exts);
    FUZZ_HOLDS(c->tbs.n > ROOM || bp_span_equal(bp_wr_span(&wr), c->tbs));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_crl c;
    FUZZ_FILL(c);
    if (bp_failed(bp_crl_read(in, &c))) {
        FUZZ_HOLDS(fuzz_untouched(&c, sizeof c));
        return 0;
    }
    FUZZ_HOLDS(fuzz_is_inside(c.tbs, in) && fuzz_is_inside(c.issuer, c.tbs) && fuzz_is_inside(c.entries, c.tbs));
    FUZZ_HOLDS(fuzz_is_inside(c.signature, in) && c.number <= INT64_MAX);
    check_entries(&c);
    check_tbs(&c);
    return 0;
}
