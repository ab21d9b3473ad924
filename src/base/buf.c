/* SPDX-License-Identifier: Apache-2.0 */
/* base/buf - bounded reader and writer. */
#include "base/buf.h"

#define BP_MODULE BASE

bp_rd bp_rd_over(bp_span in)
{
    return (bp_rd){.in = in, .at = 0, .state = BP_OK};
}

bp_span bp_rd_bytes(bp_rd *rd, size_t n)
{
    if (bp_failed(rd->state)) {
        return BP_SPAN_EMPTY;
    }
    /* at <= in.n always holds, so the subtraction cannot wrap. */
    if (n > rd->in.n - rd->at) {
        rd->state = BP_FAIL(TRUNCATED);
        return BP_SPAN_EMPTY;
    }
    const bp_span s = {rd->in.p + rd->at, n};
    rd->at += n;
    return s;
}

void bp_rd_skip(bp_rd *rd, size_t n)
{
    (void)bp_rd_bytes(rd, n);
}

static uint64_t read_be(bp_rd *rd, size_t n)
{
    const bp_span s = bp_rd_bytes(rd, n);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        v = (v << 8) | s.p[i];
    }
    return v;
}

static uint64_t read_le(bp_rd *rd, size_t n)
{
    const bp_span s = bp_rd_bytes(rd, n);
    uint64_t v = 0;
    for (size_t i = s.n; i > 0; i--) {
        v = (v << 8) | s.p[i - 1];
    }
    return v;
}

uint8_t bp_rd_u8(bp_rd *rd)
{
    return (uint8_t)read_be(rd, 1);
}

uint16_t bp_rd_be16(bp_rd *rd)
{
    return (uint16_t)read_be(rd, 2);
}

uint32_t bp_rd_be32(bp_rd *rd)
{
    return (uint32_t)read_be(rd, 4);
}

uint64_t bp_rd_be64(bp_rd *rd)
{
    return read_be(rd, 8);
}

uint16_t bp_rd_le16(bp_rd *rd)
{
    return (uint16_t)read_le(rd, 2);
}

uint32_t bp_rd_le32(bp_rd *rd)
{
    return (uint32_t)read_le(rd, 4);
}

uint64_t bp_rd_le64(bp_rd *rd)
{
    return read_le(rd, 8);
}

bp_span bp_rd_rest(bp_rd *rd)
{
    return bp_rd_bytes(rd, bp_rd_left(rd));
}

size_t bp_rd_left(const bp_rd *rd)
{
    return bp_failed(rd->state) ? 0 : rd->in.n - rd->at;
}

void bp_rd_fail(bp_rd *rd, bp_result r)
{
    if (!bp_failed(rd->state)) {
        rd->state = r;
    }
}

bp_result bp_rd_state(const bp_rd *rd)
{
    return rd->state;
}

bp_result bp_rd_finish(const bp_rd *rd)
{
    if (bp_failed(rd->state)) {
        return rd->state;
    }
    return rd->at == rd->in.n ? BP_OK : BP_FAIL(MALFORMED);
}

bp_wr bp_wr_over(void *p, size_t cap)
{
    return (bp_wr){.p = (uint8_t *)p, .cap = p == NULL ? 0 : cap, .n = 0, .state = BP_OK};
}

void bp_wr_bytes(bp_wr *wr, bp_span s)
{
    if (bp_failed(wr->state) || s.n == 0) {
        return;
    }
    if (s.n > SIZE_MAX - wr->n) {
        wr->state = BP_FAIL(LIMIT);
        return;
    }
    /* Writes only what fits whole; n counts on, so a measuring pass and a writing pass agree. */
    if (wr->n <= wr->cap && s.n <= wr->cap - wr->n) {
        memcpy(wr->p + wr->n, s.p, s.n);
    }
    wr->n += s.n;
}

static void write_be(bp_wr *wr, uint64_t v, size_t n)
{
    uint8_t b[8];
    for (size_t i = 0; i < n; i++) {
        b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
    bp_wr_bytes(wr, bp_span_of(b, n));
}

void bp_wr_u8(bp_wr *wr, uint8_t v)
{
    write_be(wr, v, 1);
}

void bp_wr_be16(bp_wr *wr, uint16_t v)
{
    write_be(wr, v, 2);
}

void bp_wr_be32(bp_wr *wr, uint32_t v)
{
    write_be(wr, v, 4);
}

void bp_wr_be64(bp_wr *wr, uint64_t v)
{
    write_be(wr, v, 8);
}

void bp_wr_le16(bp_wr *wr, uint16_t v)
{
    const uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    bp_wr_bytes(wr, BP_SPAN_OF(b));
}

void bp_wr_le32(bp_wr *wr, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    bp_wr_bytes(wr, BP_SPAN_OF(b));
}

void bp_wr_fail(bp_wr *wr, bp_result r)
{
    if (!bp_failed(wr->state)) {
        wr->state = r;
    }
}

bp_span bp_wr_span(const bp_wr *wr)
{
    if (bp_failed(wr->state) || wr->n > wr->cap) {
        return BP_SPAN_EMPTY;
    }
    return bp_span_of(wr->p, wr->n);
}

bp_result bp_wr_finish(const bp_wr *wr)
{
    if (bp_failed(wr->state)) {
        return wr->state;
    }
    return wr->n <= wr->cap ? BP_OK : BP_FAIL(NO_SPACE);
}
