/* SPDX-License-Identifier: Apache-2.0 */
/* codec/base64 - standard base64, both directions. */
#include "codec/base64.h"

#define BP_MODULE CODEC

static uint8_t digit_of(uint32_t v)
{
    static const uint8_t digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return digit[v & 63u];
}

void bp_base64_write(bp_wr *wr, bp_span in)
{
    for (size_t at = 0; at < in.n; at += 3) {
        const size_t n = in.n - at < 3 ? in.n - at : 3;
        uint32_t v = (uint32_t)in.p[at] << 16;
        v |= n > 1 ? (uint32_t)in.p[at + 1] << 8 : 0;
        v |= n > 2 ? in.p[at + 2] : 0;
        const uint8_t out[4] = {digit_of(v >> 18), digit_of(v >> 12), n > 1 ? digit_of(v >> 6) : '=',
                                n > 2 ? digit_of(v) : '='};
        bp_wr_bytes(wr, BP_SPAN_OF(out));
    }
}

/* 64 when c is no digit. */
static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - (uint32_t)'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - (uint32_t)'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - (uint32_t)'0' + 52;
    }
    if (c == '+') {
        return 62;
    }
    return c == '/' ? 63 : 64;
}

void bp_base64_read(bp_wr *wr, bp_span text)
{
    if (text.n % 4 != 0) {
        bp_wr_fail(wr, BP_FAIL(MALFORMED));
        return;
    }
    for (size_t at = 0; at < text.n; at += 4) {
        const bool is_last = at + 4 == text.n;
        size_t pad = 0;
        if (is_last && text.p[at + 3] == '=') {
            pad = text.p[at + 2] == '=' ? 2 : 1;
        }
        uint32_t v = 0;
        for (size_t i = 0; i < 4; i++) {
            const uint32_t d = i >= 4 - pad ? 0 : value_of(text.p[at + i]);
            if (d > 63) {
                bp_wr_fail(wr, BP_FAIL(MALFORMED));
                return;
            }
            v = v << 6 | d;
        }
        const uint8_t out[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        if ((pad > 0 && out[2] != 0) || (pad > 1 && out[1] != 0)) {
            bp_wr_fail(wr, BP_FAIL(MALFORMED));
            return;
        }
        bp_wr_bytes(wr, bp_span_of(out, 3 - pad));
    }
}

void bp_base64_read_wrapped(bp_wr *wr, bp_span text)
{
    uint8_t group[4];
    size_t n = 0;
    bool is_over = false; /* padding came, which ends the text */
    for (size_t i = 0; i < text.n; i++) {
        const uint8_t c = text.p[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
            continue;
        }
        group[n++] = c;
        if (n == sizeof group) {
            bp_base64_read(wr, BP_SPAN_OF(group));
            if (is_over) {
                bp_wr_fail(wr, BP_FAIL(MALFORMED));
            }
            is_over = c == '=';
            n = 0;
        }
    }
    if (n != 0) {
        bp_wr_fail(wr, BP_FAIL(MALFORMED));
    }
}
