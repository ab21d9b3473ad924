/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pem - reader and writer of PEM blocks. */
#include "cli/pem.h"

#include "codec/base64.h"

#define BP_MODULE CLI

#define LINE   64u
#define DASHES "-----"

void bp_pem_write(bp_wr *wr, const char *label, bp_span der)
{
    bp_wr_bytes(wr, BP_SPAN_STR(DASHES "BEGIN "));
    bp_wr_bytes(wr, bp_span_cstr(label));
    bp_wr_bytes(wr, BP_SPAN_STR(DASHES "\n"));
    for (size_t at = 0; at < der.n; at += LINE / 4 * 3) {
        const size_t left = der.n - at;
        bp_base64_write(wr, bp_span_sub(der, at, left < LINE / 4 * 3 ? left : LINE / 4 * 3));
        bp_wr_u8(wr, '\n');
    }
    bp_wr_bytes(wr, BP_SPAN_STR(DASHES "END "));
    bp_wr_bytes(wr, bp_span_cstr(label));
    bp_wr_bytes(wr, BP_SPAN_STR(DASHES "\n"));
}

/* Place of `what` followed by the label and dashes; in.n when it is not there. */
static size_t find(bp_span in, size_t from, const char *what, const char *label)
{
    char mark[96];
    bp_wr wr = bp_wr_over(mark, sizeof mark);
    bp_wr_bytes(&wr, bp_span_cstr(what));
    bp_wr_bytes(&wr, bp_span_cstr(label));
    const bp_span text = bp_wr_span(&wr);
    for (size_t i = from; text.n != 0 && i < in.n && text.n <= in.n - i; i++) {
        if (memcmp(in.p + i, text.p, text.n) == 0) {
            return i;
        }
    }
    return in.n;
}

static bp_result decode(bp_span body, uint8_t *room, size_t cap, bp_span *ret)
{
    bp_wr wr = bp_wr_over(room, cap);
    bp_base64_read_wrapped(&wr, body);
    BP_TRY(bp_wr_finish(&wr));
    *ret = bp_wr_span(&wr);
    return BP_OK;
}

bp_result bp_pem_next(bp_span in, size_t *at, const char *label, uint8_t *room, size_t cap, bp_span *ret)
{
    if (*at == 0 && find(in, 0, DASHES "BEGIN ", "") == in.n && in.n != 0) {
        *at = in.n;
        if (in.n > cap) {
            return BP_FAIL(NO_SPACE);
        }
        memcpy(room, in.p, in.n);
        *ret = bp_span_of(room, in.n);
        return BP_OK;
    }
    const size_t begin = find(in, *at, DASHES "BEGIN ", label);
    if (begin == in.n) {
        return BP_FAIL(NOT_FOUND);
    }
    const size_t body = begin + strlen(DASHES "BEGIN ") + strlen(label) + strlen(DASHES);
    const size_t end = find(in, begin, DASHES "END ", label);
    if (end == in.n || body > end) {
        return BP_FAIL(MALFORMED);
    }
    *at = end + 1;
    return decode(bp_span_sub(in, body, end - body), room, cap, ret);
}
