/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_ledger - the book of a factory: the first byte tells what the rest is taken for (0 an entry, 1 a book, 2 a
 * mark over an empty book). Entries are written back byte for byte; a book's entries are as many as it says, and what is
 * behind them is shorter than a frame. */
#include "cli/ledger.h"
#include "fuzz/fuzz.h"

#include "platform/openssl/crypto.h"

#include <stdlib.h>

static struct bp_crypto *crypto;

static void entry(bp_span in)
{
    static uint8_t again[BP_ENTRY_MAX];
    struct bp_entry e;
    size_t n = 0;
    FUZZ_FILL(e);
    if (bp_failed(bp_entry_read(in, &e))) {
        FUZZ_HOLDS(e.kind == 0 && e.order.n == 0 && e.unit.n == 0 && e.certificate.n == 0 && e.digest.n == 0);
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(e.order, in) && fuzz_is_inside(e.unit, in) && fuzz_is_inside(e.certificate, in));
    if (in.n <= sizeof again) {
        FUZZ_HOLDS(!bp_failed(bp_entry_write(&e, again, sizeof again, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));
    }
}

static void book(bp_span in)
{
    static uint8_t frame[BP_FRAME_MAX];
    struct bp_book b;
    struct bp_entry e;
    size_t at = 0, n = 0;
    uint64_t count = 0;
    if (bp_failed(bp_book_read(crypto, in, &b))) {
        return;
    }
    FUZZ_HOLDS(b.end <= in.n && in.n - b.end <= BP_FRAME_MAX);
    while (!bp_failed(bp_book_next(&b, &at, &e))) {
        FUZZ_HOLDS(fuzz_is_inside(e.order, in) && at <= b.end);
        count++;
    }
    FUZZ_HOLDS(count == b.entries && at == b.end);
    /* It goes on. */
    const struct bp_entry next = {.kind = BP_ENTRY_ORDER, .order = BP_SPAN_STR("PO"), .number = 1};
    FUZZ_HOLDS(!bp_failed(bp_book_frame(crypto, &b, &next, frame, sizeof frame, &n)));
    uint8_t *longer = malloc(b.end + n);
    if (longer != NULL) {
        struct bp_book after;
        if (b.end > 0) {
            memcpy(longer, in.p, b.end);
        }
        memcpy(longer + b.end, frame, n);
        FUZZ_HOLDS(!bp_failed(bp_book_read(crypto, bp_span_of(longer, b.end + n), &after)));
        FUZZ_HOLDS(after.entries == b.entries + 1 && after.end == b.end + n);
    }
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (crypto == NULL && bp_failed(bp_crypto_openssl_new(4, &crypto))) {
        abort();
    }
    const bp_span rest = size > 1 ? bp_span_of(data + 1, size - 1) : BP_SPAN_EMPTY;
    if (size > 0 && data[0] == 0) {
        entry(rest);
    } else if (size > 0 && data[0] == 1) {
        book(rest);
    } else if (size > 0 && data[0] == 2) {
        struct bp_book empty;
        FUZZ_HOLDS(!bp_failed(bp_book_read(crypto, BP_SPAN_EMPTY, &empty)));
        const bp_result r = bp_mark_check(crypto, rest, &empty);
        uint8_t mark[BP_MARK_MAX];
        size_t n = 0;
        FUZZ_HOLDS(!bp_failed(bp_mark_write(&empty, mark, &n)));
        FUZZ_HOLDS(bp_failed(r) != bp_span_equal(rest, bp_span_of(mark, n)));
    }
    return 0;
}
