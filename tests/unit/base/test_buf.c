/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/base/test_buf - reader, writer, secret helpers. */
#include "base/buf.h"
#include "base/secret.h"
#include "harness.h"

BP_CASE(reads_every_width)
{
    const uint8_t in[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    bp_rd rd = bp_rd_over(BP_SPAN_OF(in));
    BP_CHECK(bp_rd_u8(&rd) == 1);
    BP_CHECK(bp_rd_be16(&rd) == 0x0203);
    BP_CHECK(bp_rd_be32(&rd) == 0x04050607);
    BP_CHECK(bp_rd_le64(&rd) == 0x0f0e0d0c0b0a0908u);
    BP_CHECK(!bp_failed(bp_rd_finish(&rd)));
}

BP_CASE(first_failure_sticks)
{
    const uint8_t in[] = {1, 2};
    bp_rd rd = bp_rd_over(BP_SPAN_OF(in));
    BP_CHECK(bp_rd_be32(&rd) == 0);
    BP_CHECK(bp_rd_u8(&rd) == 0);
    BP_CHECK(bp_rd_left(&rd) == 0);
    BP_CHECK(bp_is(bp_rd_finish(&rd), BP_E_TRUNCATED));
}

BP_CASE(leftover_is_refused)
{
    const uint8_t in[] = {1, 2};
    bp_rd rd = bp_rd_over(BP_SPAN_OF(in));
    BP_CHECK(bp_rd_u8(&rd) == 1);
    BP_CHECK(bp_is(bp_rd_finish(&rd), BP_E_MALFORMED));
}

BP_CASE(huge_length_does_not_wrap)
{
    const uint8_t in[] = {1, 2};
    bp_rd rd = bp_rd_over(BP_SPAN_OF(in));
    bp_rd_skip(&rd, 1);
    bp_rd_skip(&rd, SIZE_MAX);
    BP_CHECK(bp_is(bp_rd_state(&rd), BP_E_TRUNCATED));
}

BP_CASE(writer_measures_as_it_writes)
{
    uint8_t out[4];
    bp_wr measure = bp_wr_over(NULL, 0);
    bp_wr real = bp_wr_over(out, sizeof out);
    bp_wr *both[] = {&measure, &real};
    for (size_t i = 0; i < 2; i++) {
        bp_wr_u8(both[i], 7);
        bp_wr_be32(both[i], 0x01020304);
    }
    BP_CHECK(measure.n == 5 && real.n == 5);
    BP_CHECK(bp_is(bp_wr_finish(&real), BP_E_NO_SPACE));
    BP_CHECK(bp_wr_span(&real).n == 0);
}

BP_CASE(wipe_and_compare)
{
    uint8_t a[4] = {1, 2, 3, 4};
    const uint8_t b[4] = {1, 2, 3, 5};
    BP_CHECK(bp_ct_equal(BP_SPAN_OF(a), BP_SPAN_OF(a)));
    BP_CHECK(!bp_ct_equal(BP_SPAN_OF(a), BP_SPAN_OF(b)));
    BP_CHECK(!bp_ct_equal(BP_SPAN_OF(a), bp_span_of(a, 3)));
    bp_wipe(a, sizeof a);
    BP_CHECK(a[0] == 0 && a[3] == 0);
}

BP_SUITE(base_buf, BP_RUN(reads_every_width) BP_RUN(first_failure_sticks) BP_RUN(leftover_is_refused)
                       BP_RUN(huge_length_does_not_wrap) BP_RUN(writer_measures_as_it_writes)
                           BP_RUN(wipe_and_compare))
