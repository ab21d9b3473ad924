/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_ledger - entries, frames and the mark of a factory's book. */
#include "cli/ledger.h"

#include "harness.h"
#include "platform/openssl/crypto.h"
#include "unit/codec/remap.h"

static struct bp_crypto *crypto;
static uint8_t good[1024], room[2048], book_bytes[8192];
static size_t good_n;
static const uint8_t digest[32] = {7};

static struct bp_entry batch_entry(void)
{
    return (struct bp_entry){.kind = BP_ENTRY_BATCH,
                             .time_ms = 1790000000000,
                             .order = BP_SPAN_STR("PO-1"),
                             .number = 3,
                             .digest = BP_SPAN_OF(digest)};
}

BP_CASE(an_entry_comes_back_as_it_was)
{
    const struct bp_entry e = batch_entry();
    struct bp_entry back;
    BP_NEED(!bp_failed(bp_entry_write(&e, good, sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_entry_read(bp_span_of(good, good_n), &back)));
    BP_CHECK(back.kind == e.kind && back.time_ms == e.time_ms && back.number == 3 && bp_span_equal(back.order, e.order) &&
             bp_span_equal(back.digest, e.digest) && back.unit.n == 0 && back.certificate.n == 0);
    for (size_t n = 0; n < good_n; n++) {
        BP_CHECK(bp_failed(bp_entry_read(bp_span_of(good, n), &back)) && back.kind == 0);
    }
}

#define B(text) {(const uint8_t *)(text), sizeof(text) - 1}
static const struct {
    const char *name;
    bp_span key, value;
    enum bp_error want;
} bad[] = {
    {"other_type", B("\x01"), B("\x65image"), BP_E_UNSUPPORTED},
    {"other_major", B("\x02"), B("\x02"), BP_E_UNSUPPORTED},
    {"newer_minor", B("\x03"), B("\x01"), BP_E_UNSUPPORTED},
    {"no_kind", B("\x04"), {NULL, 0}, BP_E_UNSUPPORTED},
    {"kind_zero", B("\x04"), B("\x00"), BP_E_MALFORMED},
    {"kind_four", B("\x04"), B("\x04"), BP_E_MALFORMED},
    {"kind_of_an_order", B("\x04"), B("\x01"), BP_E_MALFORMED},
    {"kind_of_a_unit", B("\x04"), B("\x02"), BP_E_MALFORMED},
    {"time_is_text", B("\x05"), B("\x61x"), BP_E_MALFORMED},
    {"order_empty", B("\x06"), B("\x60"), BP_E_MALFORMED},
    {"number_zero", B("\x07"), B("\x00"), BP_E_MALFORMED},
    {"number_huge", B("\x07"), B("\x1b\x80\0\0\0\0\0\0\0"), BP_E_MALFORMED},
    {"a_unit_in_a_batch", B("\x08"), B("\x41x"), BP_E_MALFORMED},
    {"a_certificate_in_a_batch", B("\x09"), B("\x41x"), BP_E_MALFORMED},
    {"digest_short", B("\x0a"), B("\x41x"), BP_E_MALFORMED},
    {"another_member", B("\x0b"), B("\x00"), BP_E_UNSUPPORTED},
};

BP_CASE(malformed)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_case_begin();
        struct bp_entry back;
        const bp_span in = remap(bp_span_of(good, good_n), bad[i].key, bad[i].value, room, sizeof room);
        const bp_result r = bp_entry_read(in, &back);
        BP_CHECK(in.n != 0 && back.kind == 0);
        if (!BP_CHECK(bp_is(r, bad[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        bp_case_end(bad[i].name);
    }
}

BP_CASE(a_unit_that_is_none_is_refused)
{
    struct bp_entry e = {.kind = BP_ENTRY_UNIT, .order = BP_SPAN_STR("PO-1"), .unit = BP_SPAN_STR("\x80")}, back;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_entry_write(&e, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_entry_read(bp_span_of(room, n), &back), BP_E_MALFORMED));
    e.number = 1;
    BP_CHECK(bp_is(bp_entry_write(&e, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

/* A book of so many batches; where each frame ends. */
static size_t make_book(struct bp_book *book, size_t frames, size_t *ends)
{
    size_t n = 0, at = 0;
    if (bp_failed(bp_book_read(crypto, BP_SPAN_EMPTY, book))) {
        return 0;
    }
    for (size_t i = 0; i < frames; i++) {
        struct bp_entry e = batch_entry();
        e.number = i + 1;
        if (bp_failed(bp_book_frame(crypto, book, &e, book_bytes + at, sizeof book_bytes - at, &n))) {
            return 0;
        }
        at += n;
        ends[i] = at;
        if (bp_failed(bp_book_read(crypto, bp_span_of(book_bytes, at), book))) {
            return 0;
        }
    }
    return at;
}

BP_CASE(a_book_is_walked)
{
    struct bp_book book;
    struct bp_entry e;
    size_t ends[4], at = 0;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
    const size_t n = make_book(&book, 4, ends);
    BP_NEED(n != 0);
    BP_CHECK(book.entries == 4 && book.end == n);
    for (uint64_t i = 1; i <= 4; i++) {
        BP_CHECK(!bp_failed(bp_book_next(&book, &at, &e)) && e.number == i && at == ends[i - 1]);
    }
    BP_CHECK(bp_is(bp_book_next(&book, &at, &e), BP_E_NOT_FOUND));
}

BP_CASE(a_cut_end_is_no_entry)
{
    struct bp_book book;
    size_t ends[4];
    const size_t n = make_book(&book, 4, ends);
    BP_NEED(n != 0);
    for (size_t cut = 0; cut < n; cut++) {
        size_t whole = 0;
        while (whole < 4 && ends[whole] <= cut) {
            whole++;
        }
        BP_CHECK(!bp_failed(bp_book_read(crypto, bp_span_of(book_bytes, cut), &book)) && book.entries == whole &&
                 book.end == (whole == 0 ? 0 : ends[whole - 1]));
    }
}

BP_CASE(a_book_goes_on_from_its_mark_or_is_another)
{
    struct bp_book book, older;
    uint8_t mark[BP_MARK_MAX], longest[BP_MARK_MAX];
    size_t ends[4], mark_n = 0, longest_n = 0;
    const size_t n = make_book(&book, 4, ends);
    BP_NEED(n != 0 && !bp_failed(bp_mark_write(&book, longest, &longest_n)));
    for (size_t i = 0; i < 4; i++) {
        BP_NEED(!bp_failed(bp_book_read(crypto, bp_span_of(book_bytes, ends[i]), &older)));
        BP_NEED(!bp_failed(bp_mark_write(&older, mark, &mark_n)));
        BP_CHECK(!bp_failed(bp_mark_check(crypto, bp_span_of(mark, mark_n), &book)));
        BP_CHECK(i == 3 || bp_is(bp_mark_check(crypto, bp_span_of(longest, longest_n), &older), BP_E_REPLAYED));
        for (size_t cut = 0; cut < mark_n; cut++) {
            BP_CHECK(bp_failed(bp_mark_check(crypto, bp_span_of(mark, cut), &book)));
        }
        mark[mark_n - 1] ^= 1; /* of the chain */
        BP_CHECK(bp_is(bp_mark_check(crypto, bp_span_of(mark, mark_n), &book), BP_E_REPLAYED));
    }
    bp_crypto_openssl_free(crypto);
}

BP_SUITE(ledger, BP_RUN(an_entry_comes_back_as_it_was) BP_TABLE(malformed) BP_RUN(a_unit_that_is_none_is_refused)
                     BP_RUN(a_book_is_walked) BP_RUN(a_cut_end_is_no_entry)
                         BP_RUN(a_book_goes_on_from_its_mark_or_is_another))
