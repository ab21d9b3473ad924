/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ledger - frames, entries and the mark of a factory's book. */
#include "cli/ledger.h"

#define BP_MODULE CLI

#define ENTRY_TYPE "factory-entry"
#define MARK_TYPE  "factory-mark"
#define HEAD       4u

/* --- entries --- */

static bool is_shape(const struct bp_entry *e)
{
    const bool is_unit = e->kind == BP_ENTRY_UNIT;
    const bool is_batch = e->kind == BP_ENTRY_BATCH;
    return e->kind >= BP_ENTRY_ORDER && e->kind <= BP_ENTRY_BATCH && e->order.n != 0 && e->order.n <= BP_MANIFEST_TEXT_MAX &&
           is_unit == (e->unit.n != 0) && (is_unit || e->certificate.n == 0) &&
           e->digest.n == (is_batch ? BP_SHA256_SIZE : 0u) && is_unit == (e->number == 0) && e->number <= INT64_MAX;
}

/* Type and version; then the members with the keys from 4 on, each once, in their order. */
static void get_header(bp_rd *rd, const char *type, size_t members)
{
    const bool ok = bp_cbor_get_map(rd) == members && bp_cbor_get_uint(rd) == 1 &&
                    bp_span_equal(bp_cbor_get_tstr(rd), bp_span_cstr(type)) && bp_cbor_get_uint(rd) == 2 &&
                    bp_cbor_get_uint(rd) == 1 && bp_cbor_get_uint(rd) == 3 && bp_cbor_get_uint(rd) == 0;
    if (!ok) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
}

static void get_key(bp_rd *rd, uint64_t key)
{
    if (bp_cbor_get_uint(rd) != key) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

bp_result bp_entry_read(bp_span in, struct bp_entry *ret)
{
    memset(ret, 0, sizeof *ret);
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    struct bp_entry e = {0};
    get_header(&rd, ENTRY_TYPE, 10);
    get_key(&rd, 4);
    const uint64_t kind = bp_cbor_get_uint(&rd);
    get_key(&rd, 5);
    e.time_ms = bp_cbor_get_int(&rd);
    get_key(&rd, 6);
    e.order = bp_cbor_get_tstr(&rd);
    get_key(&rd, 7);
    e.number = bp_cbor_get_uint(&rd);
    get_key(&rd, 8);
    e.unit = bp_cbor_get_bstr(&rd);
    get_key(&rd, 9);
    e.certificate = bp_cbor_get_bstr(&rd);
    get_key(&rd, 10);
    e.digest = bp_cbor_get_bstr(&rd);
    BP_TRY(bp_rd_finish(&rd));
    e.kind = kind <= BP_ENTRY_BATCH ? (enum bp_entry_kind)kind : (enum bp_entry_kind)0;
    if (!is_shape(&e)) {
        return BP_FAIL(MALFORMED);
    }
    if (e.kind == BP_ENTRY_UNIT) {
        struct bp_manifest_unit u;
        bp_rd unit = bp_rd_over(e.unit);
        BP_TRY(bp_manifest_next(&unit, &u));
        BP_TRY(bp_rd_finish(&unit));
    }
    *ret = e;
    return BP_OK;
}

static void put_header(bp_cw *w, const char *type, uint32_t members)
{
    bp_cw_map(w, members);
    bp_cw_uint(w, 1);
    bp_cw_cstr(w, type);
    bp_cw_uint(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, 0);
}

bp_result bp_entry_write(const struct bp_entry *e, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_shape(e)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    put_header(&w, ENTRY_TYPE, 10);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, (uint64_t)e->kind);
    bp_cw_uint(&w, 5);
    bp_cw_int(&w, e->time_ms);
    bp_cw_uint(&w, 6);
    bp_cw_tstr(&w, e->order);
    bp_cw_uint(&w, 7);
    bp_cw_uint(&w, e->number);
    const bp_span bytes[] = {e->unit, e->certificate, e->digest};
    for (uint32_t i = 0; i < 3; i++) {
        bp_cw_uint(&w, 8 + i);
        bp_cw_bstr(&w, bytes[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

/* --- frames --- */

static bp_result chain_on(struct bp_crypto *c, const uint8_t before[BP_SHA256_SIZE], bp_span entry,
                          uint8_t ret[BP_SHA256_SIZE])
{
    const bp_span parts[] = {bp_span_of(before, BP_SHA256_SIZE), entry};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 2, ret);
}

/* The entry of the frame at `at`, or an empty span when no whole frame is there; *ret_next where it ends. */
static bp_span frame_at(bp_span bytes, size_t at, size_t *ret_next, bp_span *ret_chain)
{
    bp_rd rd = bp_rd_over(bp_span_sub(bytes, at, bytes.n - at));
    const uint32_t n = bp_rd_be32(&rd);
    const bp_span entry = n != 0 && n <= BP_ENTRY_MAX ? bp_rd_bytes(&rd, n) : BP_SPAN_EMPTY;
    *ret_chain = bp_rd_bytes(&rd, BP_SHA256_SIZE);
    if (entry.n == 0 || bp_failed(bp_rd_state(&rd))) {
        return BP_SPAN_EMPTY;
    }
    *ret_next = at + HEAD + n + BP_SHA256_SIZE;
    return entry;
}

bp_result bp_book_read(struct bp_crypto *c, bp_span bytes, struct bp_book *ret)
{
    struct bp_book b = {.bytes = bytes};
    struct bp_entry e;
    for (;;) {
        size_t next = 0;
        bp_span told;
        uint8_t chain[BP_SHA256_SIZE];
        const bp_span entry = frame_at(bytes, b.end, &next, &told);
        if (entry.n == 0) {
            break;
        }
        BP_TRY(chain_on(c, b.chain, entry, chain));
        if (!bp_span_equal(told, BP_SPAN_OF(chain))) {
            break;
        }
        if (bp_failed(bp_entry_read(entry, &e))) {
            return BP_FAIL(MALFORMED); /* it was written whole: no power cut did that */
        }
        memcpy(b.chain, chain, sizeof chain);
        b.end = next;
        b.entries++;
    }
    if (bytes.n - b.end > BP_FRAME_MAX) {
        return BP_FAIL(MALFORMED);
    }
    *ret = b;
    return BP_OK;
}

bp_result bp_book_next(const struct bp_book *book, size_t *at, struct bp_entry *ret)
{
    size_t next = 0;
    bp_span chain;
    if (*at >= book->end) {
        return BP_FAIL(NOT_FOUND);
    }
    const bp_span entry = frame_at(book->bytes, *at, &next, &chain);
    if (entry.n == 0) {
        return BP_FAIL(INTERNAL);
    }
    *at = next;
    return bp_entry_read(entry, ret);
}

bp_result bp_book_frame(struct bp_crypto *c, const struct bp_book *book, const struct bp_entry *e, uint8_t *ret, size_t cap,
                        size_t *ret_len)
{
    uint8_t entry[BP_ENTRY_MAX];
    uint8_t chain[BP_SHA256_SIZE];
    size_t n = 0;
    BP_TRY(bp_entry_write(e, entry, sizeof entry, &n));
    BP_TRY(chain_on(c, book->chain, bp_span_of(entry, n), chain));
    bp_wr wr = bp_wr_over(ret, cap);
    bp_wr_be32(&wr, (uint32_t)n);
    bp_wr_bytes(&wr, bp_span_of(entry, n));
    bp_wr_bytes(&wr, BP_SPAN_OF(chain));
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

/* --- the mark --- */

bp_result bp_mark_write(const struct bp_book *book, uint8_t ret[BP_MARK_MAX], size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, BP_MARK_MAX);
    put_header(&w, MARK_TYPE, 5);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, book->end);
    bp_cw_uint(&w, 5);
    bp_cw_bstr(&w, BP_SPAN_OF(book->chain));
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_mark_check(struct bp_crypto *c, bp_span mark, const struct bp_book *book)
{
    bp_rd rd = bp_rd_over(mark);
    struct bp_book then;
    BP_TRY(bp_cbor_check(mark));
    get_header(&rd, MARK_TYPE, 5);
    get_key(&rd, 4);
    const uint64_t end = bp_cbor_get_uint(&rd);
    get_key(&rd, 5);
    const bp_span chain = bp_cbor_get_bstr_n(&rd, BP_SHA256_SIZE);
    BP_TRY(bp_rd_finish(&rd));
    if (end > book->end) {
        return BP_FAIL(REPLAYED);
    }
    BP_TRY(bp_book_read(c, bp_span_sub(book->bytes, 0, (size_t)end), &then));
    return then.end == end && bp_span_equal(BP_SPAN_OF(then.chain), chain) ? BP_OK : BP_FAIL(REPLAYED);
}
