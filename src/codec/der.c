/* SPDX-License-Identifier: Apache-2.0 */
/* codec/der - strict DER, both directions. */
#include "codec/der.h"

#define BP_MODULE DER

#define LONG_TAG 0x1fu

static size_t read_length(bp_rd *rd)
{
    const uint8_t first = bp_rd_u8(rd);
    if (first < 0x80) {
        return first;
    }
    const size_t n = first & 0x7fu;
    if (n == 0) {
        bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL)); /* indefinite */
        return 0;
    }
    if (n > 4) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t b = bp_rd_u8(rd);
        if (i == 0 && b == 0) {
            bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL));
        }
        v = (v << 8) | b;
    }
    if (v < 0x80) {
        bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL));
    }
    return bp_failed(rd->state) ? 0 : v;
}

/* Consumes one element; *ret_whole receives it with tag and length. */
static bp_span element(bp_rd *rd, uint8_t *ret_tag, bp_span *ret_whole)
{
    const size_t begin = rd->at;
    *ret_tag = bp_rd_u8(rd);
    *ret_whole = BP_SPAN_EMPTY;
    if ((*ret_tag & LONG_TAG) == LONG_TAG) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    const bp_span content = bp_rd_bytes(rd, read_length(rd));
    if (bp_failed(rd->state)) {
        return BP_SPAN_EMPTY;
    }
    *ret_whole = bp_span_sub(rd->in, begin, rd->at - begin);
    return content;
}

uint8_t bp_der_peek(const bp_rd *rd)
{
    return bp_rd_left(rd) == 0 ? 0 : rd->in.p[rd->at];
}

static bp_span get(bp_rd *rd, uint8_t tag, bp_span *ret_whole)
{
    uint8_t found;
    const bp_span content = element(rd, &found, ret_whole);
    if (found != tag) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    if (bp_failed(rd->state)) {
        *ret_whole = BP_SPAN_EMPTY;
        return BP_SPAN_EMPTY;
    }
    return content;
}

bp_span bp_der_get(bp_rd *rd, uint8_t tag)
{
    bp_span whole;
    return get(rd, tag, &whole);
}

bp_span bp_der_get_whole(bp_rd *rd, uint8_t tag)
{
    bp_span whole;
    (void)get(rd, tag, &whole);
    return whole;
}

bp_span bp_der_get_any(bp_rd *rd)
{
    uint8_t tag;
    bp_span whole = BP_SPAN_EMPTY;
    if (bp_rd_left(rd) > 0) {
        (void)element(rd, &tag, &whole);
    }
    return whole;
}

bp_rd bp_der_enter(bp_rd *rd, uint8_t tag)
{
    bp_rd in = bp_rd_over(bp_der_get(rd, tag));
    in.state = rd->state;
    return in;
}

bp_span bp_der_get_uint(bp_rd *rd)
{
    const bp_span v = bp_der_get(rd, BP_DER_INT);
    if (bp_failed(rd->state)) {
        return BP_SPAN_EMPTY;
    }
    if (v.n == 0 || (v.p[0] & 0x80u) != 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return BP_SPAN_EMPTY;
    }
    if (v.n > 1 && v.p[0] == 0) {
        if ((v.p[1] & 0x80u) == 0) {
            bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL));
            return BP_SPAN_EMPTY;
        }
        return bp_span_sub(v, 1, v.n - 1);
    }
    return v;
}

uint32_t bp_der_get_small(bp_rd *rd)
{
    const bp_span s = bp_der_get_uint(rd);
    uint32_t v = 0;
    if (s.n > 4 || (s.n == 4 && (s.p[0] & 0x80u) != 0)) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    for (size_t i = 0; i < s.n; i++) {
        v = (v << 8) | s.p[i];
    }
    return v;
}

bool bp_der_get_bool(bp_rd *rd)
{
    const bp_span v = bp_der_get(rd, BP_DER_BOOL);
    if (v.n != 1 || (v.p[0] != 0 && v.p[0] != 0xff)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return false;
    }
    return v.p[0] == 0xff;
}

bp_span bp_der_get_bits(bp_rd *rd)
{
    const bp_span v = bp_der_get(rd, BP_DER_BITS);
    if (bp_failed(rd->state)) {
        return BP_SPAN_EMPTY;
    }
    if (v.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return BP_SPAN_EMPTY;
    }
    if (v.p[0] != 0) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        return BP_SPAN_EMPTY;
    }
    return bp_span_sub(v, 1, v.n - 1);
}

/* Two decimal digits at `at`; 100 when they are not there or not digits, which no field allows. */
static unsigned two_digits(bp_span s, size_t at)
{
    if (s.n < at + 2) {
        return 100;
    }
    const unsigned a = (unsigned)s.p[at] - '0';
    const unsigned b = (unsigned)s.p[at + 1] - '0';
    return a > 9 || b > 9 ? 100 : a * 10 + b;
}

/* Days from 1970-01-01 to the first of a month, Gregorian; year >= 1. Counts years from March, so that the day
 * that comes and goes is the last one. */
static int64_t days_before_month(unsigned year, unsigned month)
{
    const unsigned y = month <= 2 ? year - 1 : year;
    const unsigned m = month <= 2 ? month + 9 : month - 3;
    const int64_t days = (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5;
    return days - 719468;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

/* The fields after the year: MMDDHHMMSSZ. */
static bp_result time_of(unsigned year, bp_span s, int64_t *ret)
{
    const unsigned month = two_digits(s, 0);
    const unsigned day = two_digits(s, 2);
    const unsigned hour = two_digits(s, 4);
    const unsigned minute = two_digits(s, 6);
    const unsigned second = two_digits(s, 8);
    if (s.n != 11 || year == 0 || s.p[10] != 'Z' || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) {
        return BP_FAIL(MALFORMED);
    }
    if (day < 1 || day > days_in_month(year, month)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = ((days_before_month(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    return BP_OK;
}

int64_t bp_der_get_time(bp_rd *rd)
{
    const bool is_utc = bp_der_peek(rd) == BP_DER_UTCTIME;
    const bp_span s = bp_der_get(rd, is_utc ? BP_DER_UTCTIME : BP_DER_GENTIME);
    const size_t year_n = is_utc ? 2 : 4;
    if (bp_failed(rd->state)) {
        return 0;
    }
    if (s.n != year_n + 11) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    unsigned year = two_digits(s, 0);
    if (is_utc) {
        year += year >= 50 ? 1900 : 2000; /* RFC 5280 section 4.1.2.5.1 */
    } else {
        year = year * 100 + two_digits(s, 2);
    }
    int64_t t = 0;
    if (two_digits(s, 0) > 99 || two_digits(s, year_n - 2) > 99) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    bp_rd_fail(rd, time_of(year, bp_span_sub(s, year_n, 11), &t));
    return t;
}

static size_t length_bytes(size_t n)
{
    size_t bytes = 0;
    if (n >= 0x80) {
        for (size_t v = n; v > 0; v >>= 8) {
            bytes++;
        }
    }
    return bytes;
}

size_t bp_der_size(size_t content_n)
{
    return 2 + length_bytes(content_n) + content_n;
}

void bp_der_put_head(bp_wr *wr, uint8_t tag, size_t content_n)
{
    const size_t bytes = length_bytes(content_n);
    bp_wr_u8(wr, tag);
    bp_wr_u8(wr, (uint8_t)(bytes == 0 ? content_n : 0x80u | bytes));
    for (size_t i = bytes; i > 0; i--) {
        bp_wr_u8(wr, (uint8_t)(content_n >> (8 * (i - 1))));
    }
}

void bp_der_put(bp_wr *wr, uint8_t tag, bp_span content)
{
    bp_der_put_head(wr, tag, content.n);
    bp_wr_bytes(wr, content);
}

static void put_two(bp_wr *wr, int64_t v)
{
    bp_wr_u8(wr, (uint8_t)('0' + v / 10 % 10));
    bp_wr_u8(wr, (uint8_t)('0' + v % 10));
}

void bp_der_put_time(bp_wr *wr, int64_t s)
{
    if (s < 0 || s >= 253402300800) { /* 10000-01-01 */
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    const int64_t days = s / 86400;
    /* A year too early at most: a year has no more than 366 days. */
    unsigned year = (unsigned)(1970 + days / 366);
    while (year < 9999 && days_before_month(year + 1, 1) <= days) {
        year++;
    }
    unsigned month = 12;
    while (days_before_month(year, month) > days) {
        month--;
    }
    bp_der_put_head(wr, BP_DER_GENTIME, 15);
    put_two(wr, year / 100);
    put_two(wr, year % 100);
    put_two(wr, month);
    put_two(wr, days - days_before_month(year, month) + 1);
    put_two(wr, s / 3600 % 24);
    put_two(wr, s / 60 % 60);
    put_two(wr, s % 60);
    bp_wr_u8(wr, 'Z');
}

/* Without leading zero bytes; 0 becomes empty. */
static bp_span shortened(bp_span v)
{
    while (v.n > 0 && v.p[0] == 0) {
        v = bp_span_sub(v, 1, v.n - 1);
    }
    return v;
}

static bool needs_zero(bp_span v)
{
    return v.n == 0 || (v.p[0] & 0x80u) != 0;
}

size_t bp_der_uint_size(bp_span v)
{
    const bp_span s = shortened(v);
    return bp_der_size(s.n + (needs_zero(s) ? 1 : 0));
}

void bp_der_put_uint(bp_wr *wr, bp_span v)
{
    const bp_span s = shortened(v);
    bp_der_put_head(wr, BP_DER_INT, s.n + (needs_zero(s) ? 1 : 0));
    if (needs_zero(s)) {
        bp_wr_u8(wr, 0);
    }
    bp_wr_bytes(wr, s);
}

bp_result bp_der_ecdsa_read(bp_span der, size_t half, uint8_t *ret)
{
    bp_rd rd = bp_rd_over(der);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    const bp_span r = bp_der_get_uint(&in);
    const bp_span s = bp_der_get_uint(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    if (r.n > half || s.n > half) {
        return BP_FAIL(MALFORMED);
    }
    memset(ret, 0, 2 * half);
    memcpy(ret + half - r.n, r.p, r.n);
    memcpy(ret + 2 * half - s.n, s.p, s.n);
    return BP_OK;
}

bp_result bp_der_ecdsa_write(bp_span raw, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (raw.n == 0 || raw.n % 2 != 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span r = bp_span_sub(raw, 0, raw.n / 2);
    const bp_span s = bp_span_sub(raw, raw.n / 2, raw.n / 2);
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_uint_size(r) + bp_der_uint_size(s));
    bp_der_put_uint(&wr, r);
    bp_der_put_uint(&wr, s);
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}
