/* SPDX-License-Identifier: Apache-2.0 */
/* codec/event - reader and writer of the event object, and its table of types.
 *
 *   {1: "event", 2: 1, 3: 0, 4: number, 5: time_ms, 6: type, 7: source, 8: source number,
 *    ? 9: device, 10: actor, 11: {name: int | text | bytes | bool}} */
#include "codec/event.h"

#include "codec/cbor.h"

#define BP_MODULE EVENT

/* A table, since code for each row would cost a stack that grows with them. */
static const struct bp_event_row rows[] = {
#define BP_X(n, name, text, severity, line, attack) {(n), (text), BP_SEV_##severity, (line), (attack)},
    BP_EVENT_LIST(BP_X)
#undef BP_X
};

struct bp_event_row bp_event_row(uint64_t id)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].id == id) {
            return rows[i];
        }
    }
    return (struct bp_event_row){0};
}

static bool is_text(bp_span s, const char *text)
{
    size_t i = 0;
    while (i < s.n && text[i] != '\0' && s.p[i] == (uint8_t)text[i]) {
        i++;
    }
    return i == s.n && text[i] == '\0';
}

uint32_t bp_event_of_name(bp_span name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (is_text(name, rows[i].name)) {
            return rows[i].id;
        }
    }
    return 0;
}

/* Order of the encoded keys (RFC 8949 section 4.2.1): names are at most 23 bytes, so the head is
 * one byte that grows with the length. */
static int key_order(bp_span a, bp_span b)
{
    if (a.n != b.n) {
        return a.n < b.n ? -1 : 1;
    }
    return a.n == 0 ? 0 : memcmp(a.p, b.p, a.n);
}

static void order_details(const struct bp_event *e, uint8_t at[BP_EVENT_DETAILS_MAX])
{
    for (size_t i = 0; i < e->detail_count; i++) {
        size_t k = i;
        while (k > 0 && key_order(e->detail[i].key, e->detail[at[k - 1]].key) < 0) {
            at[k] = at[k - 1];
            k--;
        }
        at[k] = (uint8_t)i;
    }
}

static void write_detail(bp_cw *w, const struct bp_event_detail *d)
{
    bp_cw_tstr(w, d->key);
    switch (d->kind) {
    case BP_VAL_INT:
        bp_cw_int(w, d->number);
        break;
    case BP_VAL_TEXT:
        bp_cw_tstr(w, d->bytes);
        break;
    case BP_VAL_BYTES:
        bp_cw_bstr(w, d->bytes);
        break;
    case BP_VAL_BOOL:
        bp_cw_bool(w, d->number != 0);
        break;
    }
}

static bool fits(const struct bp_event *e)
{
    if (e->detail_count > BP_EVENT_DETAILS_MAX || e->source.n > BP_EVENT_TEXT_MAX ||
        e->device.n > BP_EVENT_TEXT_MAX || e->actor.n > BP_EVENT_TEXT_MAX || e->time_ms < 0) {
        return false;
    }
    for (size_t i = 0; i < e->detail_count; i++) {
        const struct bp_event_detail *d = &e->detail[i];
        if (d->key.n == 0 || d->key.n > BP_EVENT_KEY_MAX || d->bytes.n > BP_EVENT_TEXT_MAX) {
            return false;
        }
    }
    return true;
}

bp_result bp_event_write(const struct bp_event *e, uint8_t *p, size_t cap, size_t *ret_len)
{
    uint8_t at[BP_EVENT_DETAILS_MAX] = {0};
    if (!fits(e)) {
        return BP_FAIL(LIMIT);
    }
    order_details(e, at);
    bp_cw w = bp_cw_over(p, cap);
    bp_cw_map(&w, e->device.n == 0 ? 10 : 11);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, BP_EVENT_TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, BP_EVENT_MAJOR);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, BP_EVENT_MINOR);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, e->number);
    bp_cw_uint(&w, 5);
    bp_cw_uint(&w, (uint64_t)e->time_ms);
    bp_cw_uint(&w, 6);
    bp_cw_uint(&w, e->type);
    bp_cw_uint(&w, 7);
    bp_cw_tstr(&w, e->source);
    bp_cw_uint(&w, 8);
    bp_cw_uint(&w, e->source_number);
    if (e->device.n != 0) {
        bp_cw_uint(&w, 9);
        bp_cw_tstr(&w, e->device);
    }
    bp_cw_uint(&w, 10);
    bp_cw_tstr(&w, e->actor);
    bp_cw_uint(&w, 11);
    bp_cw_map(&w, (uint32_t)e->detail_count);
    for (size_t i = 0; i < e->detail_count; i++) {
        write_detail(&w, &e->detail[at[i]]);
    }
    const bp_result r = bp_cw_finish(&w);
    if (w.wr.n > BP_EVENT_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (!bp_failed(r) || bp_is(r, BP_E_NO_SPACE)) {
        *ret_len = w.wr.n;
    }
    return r;
}

static void read_detail(bp_rd *rd, struct bp_event_detail *d)
{
    d->key = bp_cbor_get_tstr(rd);
    switch (bp_cbor_peek(rd)) {
    case BP_CBOR_UINT:
    case BP_CBOR_NINT:
        d->kind = BP_VAL_INT;
        d->number = bp_cbor_get_int(rd);
        break;
    case BP_CBOR_TSTR:
        d->kind = BP_VAL_TEXT;
        d->bytes = bp_cbor_get_tstr(rd);
        break;
    case BP_CBOR_BSTR:
        d->kind = BP_VAL_BYTES;
        d->bytes = bp_cbor_get_bstr(rd);
        break;
    case BP_CBOR_SIMPLE:
        d->kind = BP_VAL_BOOL;
        d->number = bp_cbor_get_bool(rd) ? 1 : 0;
        break;
    case BP_CBOR_ARRAY:
    case BP_CBOR_MAP:
    case BP_CBOR_TAG:
    case BP_CBOR_END:
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        break;
    }
}

/* Details go into `into` unless that is NULL, when they are only looked at. */
static size_t read_details(bp_rd *rd, struct bp_event_detail *into)
{
    const size_t n = bp_cbor_get_map(rd);
    if (n > BP_EVENT_DETAILS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct bp_event_detail d = {0};
        read_detail(rd, &d);
        if (d.key.n == 0 || d.key.n > BP_EVENT_KEY_MAX || d.bytes.n > BP_EVENT_TEXT_MAX) {
            bp_rd_fail(rd, BP_FAIL(LIMIT));
        }
        if (into != NULL) {
            into[i] = d;
        }
    }
    return n;
}

static uint64_t need_uint(bp_rd *rd, uint64_t key)
{
    bp_cbor_need_key(rd, key);
    return bp_cbor_get_uint(rd);
}

static bp_span need_text(bp_rd *rd, uint64_t key)
{
    bp_cbor_need_key(rd, key);
    const bp_span t = bp_cbor_get_tstr(rd);
    if (t.n > BP_EVENT_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return t;
}

/* Everything but the details. */
struct head {
    uint64_t minor, number, time_ms, type, source_number;
    bp_span source, device, actor;
    size_t pairs, used;
};

static void read_head(bp_rd *rd, struct head *h)
{
    h->pairs = bp_cbor_get_map(rd);
    if (!bp_span_equal(need_text(rd, 1), BP_SPAN_STR(BP_EVENT_TYPE)) ||
        need_uint(rd, 2) != BP_EVENT_MAJOR) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    h->minor = need_uint(rd, 3);
    h->number = need_uint(rd, 4);
    h->time_ms = need_uint(rd, 5);
    if (h->time_ms > INT64_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    h->type = need_uint(rd, 6);
    h->source = need_text(rd, 7);
    h->source_number = need_uint(rd, 8);
    h->used = 10;
    uint64_t key = bp_cbor_get_uint(rd);
    if (key == 9) {
        h->device = bp_cbor_get_tstr(rd);
        if (h->device.n == 0 || h->device.n > BP_EVENT_TEXT_MAX) { /* absent has one encoding */
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        h->used++;
        key = bp_cbor_get_uint(rd);
    }
    if (key != 10) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    h->actor = bp_cbor_get_tstr(rd);
    if (h->actor.n > BP_EVENT_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    bp_cbor_need_key(rd, 11);
}

/* Members of a newer minor are skipped; in our own minor there are none. */
static void read_tail(bp_rd *rd, const struct head *h)
{
    if (h->pairs != h->used && h->minor <= BP_EVENT_MINOR) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    for (size_t i = h->used; i < h->pairs && bp_rd_left(rd) > 0; i++) {
        (void)bp_cbor_get_uint(rd);
        (void)bp_cbor_get_item(rd);
    }
}

bp_result bp_event_read(bp_span bytes, struct bp_event *ret)
{
    if (bytes.n > BP_EVENT_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(bytes));
    bp_rd rd = bp_rd_over(bytes);
    struct head h = {0};
    read_head(&rd, &h);
    bp_rd details = rd;
    const size_t n = read_details(&rd, NULL);
    read_tail(&rd, &h);
    BP_TRY(bp_rd_finish(&rd));
    /* All of it can be read: only now is ret touched. */
    (void)read_details(&details, ret->detail);
    ret->detail_count = n;
    ret->number = h.number;
    ret->time_ms = (int64_t)h.time_ms;
    ret->type = h.type;
    ret->source = h.source;
    ret->source_number = h.source_number;
    ret->device = h.device;
    ret->actor = h.actor;
    return BP_OK;
}

const struct bp_event_detail *bp_event_detail_of(const struct bp_event *e, bp_span key)
{
    for (size_t i = 0; i < e->detail_count && i < BP_EVENT_DETAILS_MAX; i++) {
        if (bp_span_equal(e->detail[i].key, key)) {
            return &e->detail[i];
        }
    }
    return NULL;
}
