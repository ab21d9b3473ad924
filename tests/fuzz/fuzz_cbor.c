/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_cbor - what is accepted re-encodes to itself, item by item; what is refused writes nothing,
 * and reads as nothing. */
#include "codec/cbor.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

/* true, false, null; other simple values and floats only as a whole item. */
static void copy_simple(bp_rd *rd, bp_cw *w)
{
    bp_rd ahead = *rd;
    const bool v = bp_cbor_get_bool(&ahead);
    if (!bp_failed(bp_rd_state(&ahead))) {
        bp_cw_bool(w, v);
        *rd = ahead;
        return;
    }
    ahead = *rd;
    bp_cbor_get_null(&ahead);
    if (!bp_failed(bp_rd_state(&ahead))) {
        bp_cw_null(w);
        *rd = ahead;
    } else {
        bp_cw_item(w, bp_cbor_get_item(rd));
    }
}

/* A byte string is taken with its length known as well; a getter of another type refuses. */
static bp_span get_bytes(bp_rd *rd)
{
    bp_rd ahead = *rd;
    bp_rd wrong = *rd;
    const bp_span s = bp_cbor_get_bstr(rd);
    FUZZ_HOLDS(bp_span_equal(bp_cbor_get_bstr_n(&ahead, s.n), s) && bp_rd_left(&ahead) == bp_rd_left(rd));
    FUZZ_HOLDS(bp_cbor_get_uint(&wrong) == 0 && bp_is(bp_rd_state(&wrong), BP_E_MALFORMED));
    return s;
}

/* A byte string goes out in one, or as its head and its content where that may be: not inside a key. */
static void copy_bytes(bp_cw *w, bp_span s)
{
    if (s.n % 2 != 0) {
        bp_cw_bstr(w, s);
        return;
    }
    bp_cw parts = *w;
    bp_cw_bstr_head(&parts, s.n);
    if (bp_failed(parts.wr.state)) {
        FUZZ_HOLDS(bp_is(parts.wr.state, BP_E_BAD_ARGUMENT) && parts.wr.n == w->wr.n);
        bp_cw_bstr(w, s);
        return;
    }
    bp_wr_bytes(&parts.wr, s);
    *w = parts;
}

/* Odd ones as signed numbers, where they are some. */
static void copy_uint(bp_rd *rd, bp_cw *w)
{
    bp_rd ahead = *rd;
    const int64_t number = bp_cbor_get_int(&ahead);
    const uint64_t v = bp_cbor_get_uint(rd);
    FUZZ_HOLDS(bp_failed(bp_rd_state(&ahead)) ? v > INT64_MAX && number == 0 : v == (uint64_t)number);
    if (v % 2 != 0 && v <= INT64_MAX) {
        bp_cw_int(w, number);
    } else {
        bp_cw_uint(w, v);
    }
}

static void copy_one(bp_rd *rd, bp_cw *w)
{
    switch (bp_cbor_peek(rd)) {
    case BP_CBOR_UINT:
        copy_uint(rd, w);
        break;
    case BP_CBOR_NINT: {
        /* Below int64 only a whole item can carry it. */
        bp_rd ahead = *rd;
        const int64_t v = bp_cbor_get_int(&ahead);
        if (bp_failed(bp_rd_state(&ahead))) {
            bp_cw_item(w, bp_cbor_get_item(rd));
        } else {
            bp_cw_int(w, v);
            *rd = ahead;
        }
        break;
    }
    case BP_CBOR_BSTR:
        copy_bytes(w, get_bytes(rd));
        break;
    case BP_CBOR_TSTR:
        bp_cw_tstr(w, bp_cbor_get_tstr(rd));
        break;
    case BP_CBOR_ARRAY:
        bp_cw_array(w, (uint32_t)bp_cbor_get_array(rd));
        break;
    case BP_CBOR_MAP:
        bp_cw_map(w, (uint32_t)bp_cbor_get_map(rd));
        break;
    case BP_CBOR_TAG:
        bp_cw_tag(w, bp_cbor_get_tag(rd));
        break;
    case BP_CBOR_SIMPLE:
        copy_simple(rd, w);
        break;
    case BP_CBOR_END:
    default:
        bp_cw_item(w, bp_cbor_get_item(rd));
        break;
    }
}

static void is_refused_or_inside(const bp_rd *rd, bp_span s, bp_span in)
{
    FUZZ_HOLDS(bp_failed(bp_rd_state(rd)) ? s.n == 0 : fuzz_is_inside(s, in));
}

/* The getters on bytes that nothing has checked: what they refuse reads as nothing, and the refusal stays. */
static void get_unchecked(bp_span in)
{
    bp_rd rd = bp_rd_over(in);
    is_refused_or_inside(&rd, bp_cbor_get_bstr(&rd), in);
    rd = bp_rd_over(in);
    is_refused_or_inside(&rd, bp_cbor_get_bstr_n(&rd, 4), in);
    rd = bp_rd_over(in);
    is_refused_or_inside(&rd, bp_cbor_get_tstr(&rd), in);
    rd = bp_rd_over(in);
    is_refused_or_inside(&rd, bp_cbor_get_item(&rd), in);
    rd = bp_rd_over(in);
    const uint64_t v = bp_cbor_get_uint(&rd);
    FUZZ_HOLDS(!bp_failed(bp_rd_state(&rd)) || v == 0);
    rd = bp_rd_over(in);
    const int64_t number = bp_cbor_get_int(&rd);
    if (bp_failed(bp_rd_state(&rd))) {
        const bp_result first = bp_rd_state(&rd);
        FUZZ_HOLDS(number == 0 && bp_cbor_get_tag(&rd) == 0 && bp_cbor_get_item(&rd).n == 0);
        FUZZ_HOLDS(bp_cbor_peek(&rd) == BP_CBOR_END || bp_failed(bp_rd_state(&rd)));
        FUZZ_HOLDS(bp_rd_state(&rd).word == first.word);
    }
    rd = bp_rd_over(in);
    const size_t items = bp_cbor_get_array(&rd);
    FUZZ_HOLDS(items <= in.n);
    rd = bp_rd_over(in);
    const size_t pairs = bp_cbor_get_map(&rd);
    FUZZ_HOLDS(pairs <= in.n / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    const bool accepted = !bp_failed(bp_cbor_check(in));
    get_unchecked(in);
    uint8_t *out = malloc(size + 1);
    if (out == NULL) {
        return 0;
    }
    memset(out, 0xa5, size + 1);
    bp_cw w = bp_cw_over(out, size);
    bp_cw_item(&w, in);
    FUZZ_HOLDS(accepted == !bp_failed(bp_cw_finish(&w)));
    if (!accepted) {
        for (size_t i = 0; i <= size; i++) {
            FUZZ_HOLDS(out[i] == 0xa5);
        }
    } else {
        bp_rd rd = bp_rd_over(in);
        w = bp_cw_over(out, size);
        while (bp_rd_left(&rd) > 0) {
            copy_one(&rd, &w);
        }
        FUZZ_HOLDS(!bp_failed(bp_rd_finish(&rd)) && !bp_failed(bp_cw_finish(&w)));
        FUZZ_HOLDS(bp_span_equal(bp_cw_span(&w), in));
    }
    free(out);
    return 0;
}
