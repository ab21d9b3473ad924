/* SPDX-License-Identifier: Apache-2.0 */
/* codec/cbor - deterministic CBOR, both directions. */
#include "codec/cbor.h"

#define BP_MODULE CBOR

/* RFC 8949 section 3: the initial byte is major type (3 bits) and additional information (5 bits). */
enum {
    MAJOR_UINT = 0,
    MAJOR_NINT = 1,
    MAJOR_BSTR = 2,
    MAJOR_TSTR = 3,
    MAJOR_ARRAY = 4,
    MAJOR_MAP = 5,
    MAJOR_TAG = 6,
    MAJOR_SIMPLE = 7,
    INFO_U8 = 24,
    INFO_U64 = 27,
    INFO_INDEFINITE = 31,
    SIMPLE_FALSE = 20,
    SIMPLE_TRUE = 21,
    SIMPLE_NULL = 22,
    SIMPLE_FIRST_OF_TWO_BYTES = 32
};

struct head {
    uint8_t major;
    uint64_t arg;
};

static uint64_t read_arg(bp_rd *rd, uint8_t info)
{
    switch (info) {
    case INFO_U8:
        return bp_rd_u8(rd);
    case INFO_U8 + 1:
        return bp_rd_be16(rd);
    case INFO_U8 + 2:
        return bp_rd_be32(rd);
    case INFO_U64:
        return bp_rd_be64(rd);
    default:
        return info;
    }
}

/* The smallest value that may use the form `info`; below it a shorter form exists. */
static uint64_t least_for(uint8_t info)
{
    switch (info) {
    case INFO_U8:
        return 24;
    case INFO_U8 + 1:
        return UINT64_C(1) << 8;
    case INFO_U8 + 2:
        return UINT64_C(1) << 16;
    case INFO_U64:
        return UINT64_C(1) << 32;
    default:
        return 0;
    }
}

static bp_result judge_simple(uint8_t info, uint64_t arg)
{
    if (info == INFO_U8) {
        /* Section 3.3: two-byte forms of 0..31 are not well-formed. */
        return arg < SIMPLE_FIRST_OF_TWO_BYTES ? BP_FAIL(MALFORMED) : BP_FAIL(UNSUPPORTED);
    }
    if (info > INFO_U8) {
        return BP_FAIL(UNSUPPORTED); /* floats */
    }
    return arg >= SIMPLE_FALSE && arg <= SIMPLE_NULL ? BP_OK : BP_FAIL(UNSUPPORTED);
}

static bp_result judge_head(uint8_t major, uint8_t info, uint64_t arg)
{
    if (info == INFO_INDEFINITE) {
        return major >= MAJOR_BSTR && major <= MAJOR_MAP ? BP_FAIL(NOT_CANONICAL) : BP_FAIL(MALFORMED);
    }
    if (info > INFO_U64) {
        return BP_FAIL(MALFORMED);
    }
    if (major == MAJOR_SIMPLE) {
        return judge_simple(info, arg);
    }
    return arg < least_for(info) ? BP_FAIL(NOT_CANONICAL) : BP_OK;
}

/* Reads initial byte and argument; for strings and containers the argument is bounded by what is left, so that
 * callers may count and cast without a further look. */
static struct head read_head(bp_rd *rd)
{
    const uint8_t first = bp_rd_u8(rd);
    struct head h = {.major = (uint8_t)(first >> 5), .arg = 0};
    const uint8_t info = first & 0x1fu;
    h.arg = read_arg(rd, info);
    if (!bp_failed(rd->state)) {
        bp_rd_fail(rd, judge_head(h.major, info, h.arg));
    }
    uint64_t room = UINT64_MAX;
    if (h.major == MAJOR_BSTR || h.major == MAJOR_TSTR || h.major == MAJOR_ARRAY) {
        room = bp_rd_left(rd);
    } else if (h.major == MAJOR_MAP) {
        room = bp_rd_left(rd) / 2;
    }
    if (h.arg > room) {
        bp_rd_fail(rd, BP_FAIL(TRUNCATED));
    }
    if (bp_failed(rd->state)) {
        h.arg = 0;
    }
    return h;
}

/* RFC 3629 section 4: length of the sequence that begins s, 0 when there is none. */
static size_t utf8_step(bp_span s)
{
    static const struct {
        uint8_t first, last, low, high, n; /* first byte, second byte, length */
    } form[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        if (s.p[0] < form[i].first || s.p[0] > form[i].last) {
            continue;
        }
        if (form[i].n > s.n) {
            return 0;
        }
        if (form[i].n > 1 && (s.p[1] < form[i].low || s.p[1] > form[i].high)) {
            return 0;
        }
        for (size_t k = 2; k < form[i].n; k++) {
            if ((s.p[k] & 0xc0u) != 0x80u) {
                return 0;
            }
        }
        return form[i].n;
    }
    return 0;
}

bool bp_is_utf8(bp_span s)
{
    while (s.n > 0) {
        const size_t n = utf8_step(s);
        if (n == 0) {
            return false;
        }
        s = bp_span_sub(s, n, s.n - n);
    }
    return true;
}

/* The order of section 4.2.1: bytewise lexicographic over the encoded keys. */
static bool is_before(bp_span a, bp_span b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c < 0 : a.n < b.n;
}

/* The walker: an explicit stack of the containers that are open. */
struct walk {
    size_t depth;
    struct {
        size_t left;          /* items still to come, keys and values counted one by one */
        size_t at;            /* where the item in progress begins */
        size_t key_at, key_n; /* the last key; key_n is 0 before the first */
        bool is_map;
    } level[BP_CBOR_DEPTH];
};

static void walk_push(bp_rd *rd, struct walk *w, size_t max_depth, bool is_map, size_t items)
{
    if (w->depth == max_depth) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    w->level[w->depth].left = items;
    w->level[w->depth].is_map = is_map;
    w->level[w->depth].key_n = 0;
    w->depth++;
}

/* An item has ended at rd->at: closes every container that it completes. */
static void walk_done(bp_rd *rd, struct walk *w)
{
    while (w->depth > 0) {
        const size_t i = w->depth - 1;
        if (w->level[i].is_map && w->level[i].left % 2 == 0) {
            const bp_span before = bp_span_sub(rd->in, w->level[i].key_at, w->level[i].key_n);
            const bp_span key = bp_span_sub(rd->in, w->level[i].at, rd->at - w->level[i].at);
            if (!is_before(before, key)) {
                bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL));
                return;
            }
            w->level[i].key_at = w->level[i].at;
            w->level[i].key_n = key.n;
        }
        w->level[i].left--;
        if (w->level[i].left > 0) {
            return;
        }
        w->depth--;
    }
}

/* Consumes one head and, of a leaf, its content. True when the item opened a level. */
static bool walk_step(bp_rd *rd, struct walk *w, size_t max_depth)
{
    const struct head h = read_head(rd);
    if (bp_failed(rd->state)) {
        return false;
    }
    switch (h.major) {
    case MAJOR_BSTR:
        bp_rd_skip(rd, (size_t)h.arg);
        return false;
    case MAJOR_TSTR:
        if (!bp_is_utf8(bp_rd_bytes(rd, (size_t)h.arg))) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        return false;
    case MAJOR_ARRAY:
    case MAJOR_MAP:
        if (h.arg == 0) {
            return false;
        }
        walk_push(rd, w, max_depth, h.major == MAJOR_MAP,
                  h.major == MAJOR_MAP ? (size_t)h.arg * 2 : (size_t)h.arg);
        return true;
    case MAJOR_TAG:
        walk_push(rd, w, max_depth, false, 1);
        return true;
    default:
        return false;
    }
}

static bp_span walk_item(bp_rd *rd, size_t max_depth)
{
    struct walk w;
    w.depth = 0;
    const size_t begin = rd->at;
    /* Every turn consumes at least one byte, so the input's length bounds the loop. */
    do {
        if (w.depth > 0) {
            w.level[w.depth - 1].at = rd->at;
        }
        if (!walk_step(rd, &w, max_depth)) {
            if (bp_failed(rd->state)) {
                return BP_SPAN_EMPTY;
            }
            walk_done(rd, &w);
        }
    } while (w.depth > 0 && !bp_failed(rd->state));
    return bp_failed(rd->state) ? BP_SPAN_EMPTY : bp_span_sub(rd->in, begin, rd->at - begin);
}

bp_result bp_cbor_check(bp_span item)
{
    bp_rd rd = bp_rd_over(item);
    (void)walk_item(&rd, BP_CBOR_DEPTH);
    return bp_rd_finish(&rd);
}

enum bp_cbor_type bp_cbor_peek(const bp_rd *rd)
{
    static const enum bp_cbor_type type[8] = {BP_CBOR_UINT,  BP_CBOR_NINT, BP_CBOR_BSTR, BP_CBOR_TSTR,
                                              BP_CBOR_ARRAY, BP_CBOR_MAP,  BP_CBOR_TAG,  BP_CBOR_SIMPLE};
    return bp_rd_left(rd) == 0 ? BP_CBOR_END : type[rd->in.p[rd->at] >> 5];
}

/* The argument of the next item, which must be of that major type. */
static uint64_t get_arg(bp_rd *rd, uint8_t major)
{
    const struct head h = read_head(rd);
    if (bp_failed(rd->state)) {
        return 0;
    }
    if (h.major != major) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return h.arg;
}

uint64_t bp_cbor_get_uint(bp_rd *rd)
{
    return get_arg(rd, MAJOR_UINT);
}

int64_t bp_cbor_get_int(bp_rd *rd)
{
    const bool is_negative = bp_cbor_peek(rd) == BP_CBOR_NINT;
    const uint64_t v = get_arg(rd, is_negative ? MAJOR_NINT : MAJOR_UINT);
    if (v > INT64_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    if (bp_failed(rd->state)) {
        return 0;
    }
    return is_negative ? -1 - (int64_t)v : (int64_t)v;
}

bp_span bp_cbor_get_bstr(bp_rd *rd)
{
    return bp_rd_bytes(rd, (size_t)get_arg(rd, MAJOR_BSTR));
}

bp_span bp_cbor_get_bstr_n(bp_rd *rd, size_t n)
{
    const bp_span s = bp_cbor_get_bstr(rd);
    if (s.n != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return BP_SPAN_EMPTY;
    }
    return s;
}

bp_span bp_cbor_get_tstr(bp_rd *rd)
{
    const bp_span s = bp_rd_bytes(rd, (size_t)get_arg(rd, MAJOR_TSTR));
    if (!bp_is_utf8(s)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return BP_SPAN_EMPTY;
    }
    return s;
}

bool bp_cbor_get_bool(bp_rd *rd)
{
    const uint64_t v = get_arg(rd, MAJOR_SIMPLE);
    if (v != SIMPLE_FALSE && v != SIMPLE_TRUE) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v == SIMPLE_TRUE;
}

void bp_cbor_get_null(bp_rd *rd)
{
    if (get_arg(rd, MAJOR_SIMPLE) != SIMPLE_NULL) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

uint64_t bp_cbor_get_tag(bp_rd *rd)
{
    return get_arg(rd, MAJOR_TAG);
}

size_t bp_cbor_get_array(bp_rd *rd)
{
    return (size_t)get_arg(rd, MAJOR_ARRAY);
}

size_t bp_cbor_get_map(bp_rd *rd)
{
    return (size_t)get_arg(rd, MAJOR_MAP);
}

void bp_cbor_need_key(bp_rd *rd, uint64_t key)
{
    if (bp_cbor_get_uint(rd) != key) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

bp_span bp_cbor_get_item(bp_rd *rd)
{
    return walk_item(rd, BP_CBOR_DEPTH);
}

bp_cw bp_cw_over(void *p, size_t cap)
{
    return (bp_cw){.wr = bp_wr_over(p, cap)};
}

/* An item begins here. */
static void begin(bp_cw *w)
{
    /* Bytes that no item announced, or a second item at the top. */
    if (w->wr.n != w->due || (w->depth == 0 && w->due > 0)) {
        bp_wr_fail(&w->wr, BP_FAIL(MALFORMED));
    }
    if (w->depth > 0) {
        w->level[w->depth - 1].at = w->wr.n;
    }
}

/* An item ends at w->due: closes every container that it completes. */
static void done(bp_cw *w)
{
    while (w->depth > 0 && !bp_failed(w->wr.state)) {
        const size_t i = w->depth - 1u;
        if (w->level[i].is_map && w->level[i].left % 2 == 0) {
            const size_t at = w->level[i].at;
            /* What did not fit cannot be compared; bp_cw_finish then says NO_SPACE. */
            const bp_span out = bp_wr_span(&w->wr);
            if (out.n > 0 && !is_before(bp_span_sub(out, w->level[i].key_at, w->level[i].key_n),
                                        bp_span_sub(out, at, w->due - at))) {
                bp_wr_fail(&w->wr, BP_FAIL(NOT_CANONICAL));
            }
            w->level[i].key_at = at;
            w->level[i].key_n = w->due - at;
        }
        w->level[i].left--;
        if (w->level[i].left > 0) {
            return;
        }
        w->depth--;
    }
}

static void put_head(bp_cw *w, uint8_t major, uint64_t arg)
{
    const uint8_t top = (uint8_t)(major << 5);
    if (arg < INFO_U8) {
        bp_wr_u8(&w->wr, (uint8_t)(top | arg));
    } else if (arg <= UINT8_MAX) {
        bp_wr_u8(&w->wr, top | INFO_U8);
        bp_wr_u8(&w->wr, (uint8_t)arg);
    } else if (arg <= UINT16_MAX) {
        bp_wr_u8(&w->wr, top | (INFO_U8 + 1));
        bp_wr_be16(&w->wr, (uint16_t)arg);
    } else if (arg <= UINT32_MAX) {
        bp_wr_u8(&w->wr, top | (INFO_U8 + 2));
        bp_wr_be32(&w->wr, (uint32_t)arg);
    } else {
        bp_wr_u8(&w->wr, top | INFO_U64);
        bp_wr_be64(&w->wr, arg);
    }
    w->due = w->wr.n;
}

static void put_leaf(bp_cw *w, uint8_t major, uint64_t arg, bp_span content)
{
    begin(w);
    put_head(w, major, arg);
    bp_wr_bytes(&w->wr, content);
    w->due = w->wr.n;
    done(w);
}

static void put_level(bp_cw *w, uint8_t major, uint64_t arg, uint32_t items)
{
    begin(w);
    put_head(w, major, arg);
    if (w->depth == BP_CBOR_DEPTH) {
        bp_wr_fail(&w->wr, BP_FAIL(LIMIT));
        return;
    }
    w->level[w->depth].left = items;
    w->level[w->depth].is_map = major == MAJOR_MAP;
    w->level[w->depth].key_n = 0;
    w->depth++;
}

void bp_cw_uint(bp_cw *w, uint64_t v)
{
    put_leaf(w, MAJOR_UINT, v, BP_SPAN_EMPTY);
}

void bp_cw_int(bp_cw *w, int64_t v)
{
    if (v < 0) {
        put_leaf(w, MAJOR_NINT, (uint64_t)(-1 - v), BP_SPAN_EMPTY);
    } else {
        put_leaf(w, MAJOR_UINT, (uint64_t)v, BP_SPAN_EMPTY);
    }
}

void bp_cw_bstr(bp_cw *w, bp_span v)
{
    put_leaf(w, MAJOR_BSTR, v.n, v);
}

void bp_cw_tstr(bp_cw *w, bp_span v)
{
    if (!bp_is_utf8(v)) {
        bp_wr_fail(&w->wr, BP_FAIL(MALFORMED));
    }
    put_leaf(w, MAJOR_TSTR, v.n, v);
}

void bp_cw_bool(bp_cw *w, bool v)
{
    put_leaf(w, MAJOR_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE, BP_SPAN_EMPTY);
}

void bp_cw_null(bp_cw *w)
{
    put_leaf(w, MAJOR_SIMPLE, SIMPLE_NULL, BP_SPAN_EMPTY);
}

void bp_cw_tag(bp_cw *w, uint64_t v)
{
    put_level(w, MAJOR_TAG, v, 1);
}

void bp_cw_array(bp_cw *w, uint32_t items)
{
    if (items == 0) {
        put_leaf(w, MAJOR_ARRAY, 0, BP_SPAN_EMPTY);
    } else {
        put_level(w, MAJOR_ARRAY, items, items);
    }
}

void bp_cw_map(bp_cw *w, uint32_t pairs)
{
    if (pairs > UINT32_MAX / 2) {
        bp_wr_fail(&w->wr, BP_FAIL(LIMIT));
    } else if (pairs == 0) {
        put_leaf(w, MAJOR_MAP, 0, BP_SPAN_EMPTY);
    } else {
        put_level(w, MAJOR_MAP, pairs, pairs * 2);
    }
}

void bp_cw_item(bp_cw *w, bp_span item)
{
    bp_rd rd = bp_rd_over(item);
    (void)walk_item(&rd, BP_CBOR_DEPTH - (size_t)w->depth);
    const bp_result r = bp_rd_finish(&rd);
    if (bp_failed(r)) {
        bp_wr_fail(&w->wr, r);
        return;
    }
    begin(w);
    bp_wr_bytes(&w->wr, item);
    w->due = w->wr.n;
    done(w);
}

void bp_cw_bstr_head(bp_cw *w, size_t n)
{
    for (size_t i = 0; i < w->depth; i++) {
        if (w->level[i].is_map && w->level[i].left % 2 == 0) {
            bp_wr_fail(&w->wr, BP_FAIL(BAD_ARGUMENT));
            return;
        }
    }
    begin(w);
    put_head(w, MAJOR_BSTR, n);
    if (n > SIZE_MAX - w->due) {
        bp_wr_fail(&w->wr, BP_FAIL(LIMIT));
        return;
    }
    w->due += n;
    done(w);
}

bp_span bp_cw_span(const bp_cw *w)
{
    return w->depth == 0 && w->wr.n == w->due ? bp_wr_span(&w->wr) : BP_SPAN_EMPTY;
}

bp_result bp_cw_finish(const bp_cw *w)
{
    if (bp_failed(w->wr.state)) {
        return w->wr.state;
    }
    if (w->depth != 0 || w->wr.n == 0 || w->wr.n != w->due) {
        return BP_FAIL(MALFORMED);
    }
    return bp_wr_finish(&w->wr);
}
