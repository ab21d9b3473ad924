/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_cbor - what is accepted re-encodes to itself, item by item; what is refused writes nothing. */
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

static void copy_one(bp_rd *rd, bp_cw *w)
{
    switch (bp_cbor_peek(rd)) {
    case BP_CBOR_UINT:
        bp_cw_uint(w, bp_cbor_get_uint(rd));
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
        bp_cw_bstr(w, get_bytes(rd));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    const bool accepted = !bp_failed(bp_cbor_check(in));
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
