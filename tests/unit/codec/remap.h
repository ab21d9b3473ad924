/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/remap - one member of an encoded map changed: for tables of malformed objects. */
#ifndef BP_TESTS_REMAP_H
#define BP_TESTS_REMAP_H

#include "codec/cbor.h"

/* The map `in` with the value of `key` (both as encoded bytes) in place of the one it has; without that member when
 * value is empty; with it at the end when there was none. What comes out need not be deterministic: that is the point.
 * Empty when it does not fit or `in` is no map of at most 23 pairs. */
static inline bp_span remap(bp_span in, bp_span key, bp_span value, uint8_t *room, size_t cap)
{
    bp_rd rd = bp_rd_over(in);
    bp_wr wr = bp_wr_over(room, cap);
    const size_t pairs = bp_cbor_get_map(&rd);
    size_t n = 0;
    bool is_done = false;
    bp_wr_u8(&wr, 0xa0);
    for (size_t i = 0; i < pairs; i++) {
        const bp_span k = bp_cbor_get_item(&rd);
        bp_span v = bp_cbor_get_item(&rd);
        if (bp_span_equal(k, key)) {
            is_done = true;
            if (value.n == 0) {
                continue;
            }
            v = value;
        }
        bp_wr_bytes(&wr, k);
        bp_wr_bytes(&wr, v);
        n++;
    }
    if (!is_done && value.n != 0) {
        bp_wr_bytes(&wr, key);
        bp_wr_bytes(&wr, value);
        n++;
    }
    if (n > 23 || bp_failed(bp_rd_finish(&rd)) || bp_failed(bp_wr_finish(&wr))) {
        return BP_SPAN_EMPTY;
    }
    room[0] = (uint8_t)(0xa0u | n);
    return bp_wr_span(&wr);
}

#endif
