/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_http - HTTP/1.1 messages. The first byte chooses request or response and the ceiling of the body, the
 * second how the bytes are cut. The outcome is the same however they are cut; what is accepted is written again to a
 * message that parses to the same fields and body; a query's members come out within their room. */
#include "fuzz/fuzz.h"
#include "net/http.h"

#include <stdlib.h>

#define HEAD_ROOM (2 * BP_HTTP_HEAD_MAX)
#define BODY_ROOM ((1u << 16) + 32) /* of the higher ceiling, with the lines of chunks */

enum { AS_RESPONSE = 1, TO_HEAD = 2, SMALL_BODY = 4, LATE_CEILING = 8, OF_STATUS = 16 };

struct outcome {
    struct bp_http h;
    enum bp_http_step step;
    size_t used;
    bool had_head;
};

/* Feeds in pieces whose lengths a small generator gives; piece 0: everything at once. */
static void feed(struct outcome *o, uint8_t flags, uint8_t piece, bp_span in)
{
    const size_t ceiling = (flags & SMALL_BODY) != 0 ? 4 : 1u << 16;
    uint32_t state = piece;
    *o = (struct outcome){.step = BP_HTTP_MORE};
    bp_http_init(&o->h, (flags & AS_RESPONSE) != 0 ? BP_HTTP_RESPONSE : BP_HTTP_REQUEST,
                 (flags & LATE_CEILING) != 0 ? 0 : ceiling);
    FUZZ_HOLDS(bp_http_is_fresh(&o->h));
    o->h.to_head = (flags & TO_HEAD) != 0;
    o->h.of_status = (flags & OF_STATUS) != 0;
    while (o->step == BP_HTTP_MORE || o->step == BP_HTTP_HEAD_END) {
        const size_t left = in.n - o->used;
        state = state * 1103515245u + 12345u;
        const size_t some = piece == 0 ? left : 1 + (state >> 16) % piece;
        const bp_span part = bp_span_sub(in, o->used, some < left ? some : left);
        const bool is_last_call = o->step == BP_HTTP_MORE && part.n == 0;
        size_t used = 0;
        o->step = bp_http_feed(&o->h, part, &used);
        FUZZ_HOLDS(used <= part.n && (o->step != BP_HTTP_MORE || used == part.n));
        o->used += used;
        if (o->step == BP_HTTP_HEAD_END) {
            FUZZ_HOLDS(!o->had_head);
            o->had_head = true;
            o->h.body_max = ceiling;
        }
        if (is_last_call) {
            break;
        }
    }
    FUZZ_HOLDS(o->h.body_max >= bp_http_body(&o->h).n);
    FUZZ_HOLDS((o->step == BP_HTTP_REFUSED) == (o->h.why != BP_HTTP_WHY_NONE));
}

static void same_heads(const struct bp_http *a, const struct bp_http *b)
{
    FUZZ_HOLDS(a->method == b->method && a->status == b->status && a->close == b->close && a->chunked == b->chunked);
    FUZZ_HOLDS(a->is_10 == b->is_10 && (!a->is_10 || (a->of_status && a->close)));
    FUZZ_HOLDS(a->has_body == b->has_body && a->content_length == b->content_length &&
               a->expects_continue == b->expects_continue);
    FUZZ_HOLDS(bp_span_equal(bp_http_target(a), bp_http_target(b)) && bp_span_equal(bp_http_path(a), bp_http_path(b)) &&
               bp_span_equal(bp_http_query(a), bp_http_query(b)));
}

static void same(const struct outcome *a, const struct outcome *b)
{
    FUZZ_HOLDS(a->step == b->step && a->used == b->used && a->h.why == b->h.why && a->had_head == b->had_head);
    same_heads(&a->h, &b->h);
    FUZZ_HOLDS(bp_span_equal(bp_http_body(&a->h), bp_http_body(&b->h)));
    FUZZ_HOLDS(bp_http_fields(&a->h) == bp_http_fields(&b->h));
    for (size_t i = 0; i < bp_http_fields(&a->h); i++) {
        FUZZ_HOLDS(bp_span_equal(bp_http_name(&a->h, i), bp_http_name(&b->h, i)));
        FUZZ_HOLDS(bp_span_equal(bp_http_value(&a->h, i), bp_http_value(&b->h, i)));
    }
    FUZZ_HOLDS(bp_http_name(&a->h, bp_http_fields(&a->h)).n == 0 && bp_http_value(&a->h, SIZE_MAX).n == 0);
}

/* Fields that the writers make themselves. */
static bool is_written(const struct bp_http *h, bp_span name)
{
    return (h->role == BP_HTTP_REQUEST && bp_span_equal(name, BP_SPAN_STR("host"))) ||
           bp_span_equal(name, BP_SPAN_STR("content-length")) || bp_span_equal(name, BP_SPAN_STR("transfer-encoding"));
}

/* Names with a zero at their end, as the writers take them. False: a value holds a tab, which is read and not written. */
static bool gather(const struct bp_http *h, char *names, struct bp_http_header *headers, size_t *ret_count)
{
    bool plain = true;
    for (size_t i = 0; i < bp_http_fields(h); i++) {
        const bp_span name = bp_http_name(h, i);
        const bp_span value = bp_http_value(h, i);
        if (!is_written(h, name)) {
            memcpy(names, name.p, name.n);
            names[name.n] = 0;
            headers[(*ret_count)++] = (struct bp_http_header){names, value};
            names += name.n + 1;
            plain = plain && (value.n == 0 || memchr(value.p, '\t', value.n) == NULL);
        }
    }
    return plain;
}

static void write_head(const struct bp_http *h, const struct bp_http_header *headers, size_t count, bp_wr *wr)
{
    size_t lengths = 0;
    size_t codings = 0;
    const bp_span length = bp_http_header(h, "content-length", &lengths);
    (void)bp_http_header(h, "transfer-encoding", &codings);
    char digits[17] = {0};
    memcpy(digits, length.p != NULL ? (const char *)length.p : "", length.n < 16 ? length.n : 16);
    const enum bp_http_framing framing = codings != 0 ? BP_HTTP_CHUNKS : lengths != 0 ? BP_HTTP_LENGTH : BP_HTTP_NO_BODY;
    const size_t n = (size_t)strtoull(digits, NULL, 10);
    if (h->role == BP_HTTP_REQUEST) {
        bp_http_write_request(wr, h->method, bp_http_target(h), bp_http_header(h, "host", NULL), headers, count, framing, n);
    } else {
        bp_http_write_response(wr, h->status, headers, count, framing, n, false);
    }
}

/* The body as it came, or as one chunk. */
static void write_body(const struct bp_http *h, bp_wr *wr)
{
    static const char digit[] = "0123456789abcdef";
    const bp_span body = bp_http_body(h);
    if (h->chunked && body.n != 0) {
        for (int shift = 28; shift >= 0; shift -= 4) {
            bp_wr_u8(wr, (uint8_t)digit[body.n >> shift & 15u]);
        }
        bp_wr_bytes(wr, BP_SPAN_STR("\r\n"));
        bp_wr_bytes(wr, body);
        bp_wr_bytes(wr, BP_SPAN_STR("\r\n"));
    } else {
        bp_wr_bytes(wr, body);
    }
    if (h->chunked && h->has_body) {
        bp_wr_bytes(wr, BP_SPAN_STR("0\r\n\r\n"));
    }
}

static void rewritten(const struct outcome *o, uint8_t flags)
{
    static char names[BP_HTTP_HEAD_MAX + BP_HTTP_HEADERS_MAX];
    static uint8_t room[HEAD_ROOM + BODY_ROOM];
    struct bp_http_header headers[BP_HTTP_HEADERS_MAX];
    size_t count = 0;
    if (o->h.is_10) {
        return; /* nothing of ours writes it */
    }
    const bool plain = gather(&o->h, names, headers, &count);
    bp_wr wr = bp_wr_over(room, sizeof room);
    write_head(&o->h, headers, count, &wr);
    FUZZ_HOLDS(bp_failed(bp_wr_finish(&wr)) == !plain);
    if (!plain || wr.n > BP_HTTP_HEAD_MAX) {
        return;
    }
    write_body(&o->h, &wr);
    struct outcome again;
    feed(&again, flags, 0, bp_wr_span(&wr));
    FUZZ_HOLDS(again.had_head && again.step == BP_HTTP_DONE && again.used == wr.n);
    same_heads(&o->h, &again.h);
    FUZZ_HOLDS(bp_span_equal(bp_http_body(&o->h), bp_http_body(&again.h)));
    size_t at = 0;
    for (size_t i = 0; i < bp_http_fields(&again.h); i++) {
        const bp_span name = bp_http_name(&again.h, i);
        if (!is_written(&again.h, name)) {
            FUZZ_HOLDS(at < count && bp_span_equal(name, bp_span_cstr(headers[at].name)) &&
                       bp_span_equal(bp_http_value(&again.h, i), headers[at].value));
            at++;
        }
    }
    FUZZ_HOLDS(at == count);
    bp_http_done(&again.h);
}

static void members(bp_span query)
{
    char value[8];
    size_t n = 99;
    FUZZ_FILL(value);
    const bp_result r = bp_http_query_get(query, "a", value, sizeof value - 1, &n);
    FUZZ_HOLDS((uint8_t)value[sizeof value - 1] == 0xa5);
    FUZZ_HOLDS(bp_failed(r) ? n == 99 : n < sizeof value);
    if (bp_is(r, BP_E_NOT_FOUND) || bp_is(r, BP_E_EXISTS)) {
        FUZZ_HOLDS(fuzz_untouched(value, sizeof value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const uint8_t flags = data[0];
    const bp_span in = bp_span_of(data + 2, size - 2);
    struct outcome whole;
    struct outcome bytes;
    struct outcome pieces;
    feed(&whole, flags, 0, in);
    feed(&bytes, flags, 1, in);
    feed(&pieces, flags, data[1], in);
    same(&whole, &bytes);
    same(&whole, &pieces);
    if (whole.step == BP_HTTP_DONE) {
        rewritten(&whole, flags);
        members(bp_http_query(&whole.h));
    } else if (whole.step == BP_HTTP_REFUSED) {
        size_t used = 1;
        FUZZ_HOLDS(bp_http_why_status(whole.h.why) >= 400 && bp_http_why_status(whole.h.why) < 600);
        FUZZ_HOLDS(bp_http_why_name(whole.h.why)[0] != '?' && bp_http_why_text(whole.h.why)[0] != '?');
        FUZZ_HOLDS(bp_http_feed(&whole.h, in, &used) == BP_HTTP_REFUSED && used == 0);
    }
    bp_http_reset(&bytes.h, 0);
    FUZZ_HOLDS(bp_http_is_fresh(&bytes.h) && bp_http_fields(&bytes.h) == 0);
    bp_http_done(&whole.h);
    bp_http_done(&bytes.h);
    bp_http_done(&pieces.h);
    return 0;
}
