/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_object - the head that objects share: what is refused, and what a newer minor version may add. */
#include "codec/object.h"

#include "harness.h"

/* {1: "a", 2: 1, 3: minor 7, 4: h'05', 5: 1} of which 4 is known. */
static const uint8_t newer[] = {0xa5, 0x01, 0x61, 'a', 0x02, 0x01, 0x03, 0x07, 0x04, 0x41, 0x05, 0x05, 0x01};

static bp_result read_object(bp_span in, uint64_t *ret_minor, uint32_t *ret_unknown)
{
    bp_rd rd = bp_rd_over(in);
    *ret_unknown = bp_object_get_head(&rd, BP_SPAN_STR("a"), 4, ret_minor);
    bp_cbor_need_key(&rd, 4);
    (void)bp_cbor_get_bstr_n(&rd, 1);
    bp_object_skip(&rd, *ret_unknown);
    return bp_rd_finish(&rd);
}

BP_CASE(members_of_a_newer_minor_are_skipped)
{
    uint64_t minor = 0;
    uint32_t unknown = 0;
    BP_CHECK(!bp_failed(read_object(BP_SPAN_OF(newer), &minor, &unknown)) && minor == 7 && unknown == 1);
    for (size_t cut = 0; cut < sizeof newer; cut++) {
        BP_CHECK(bp_failed(read_object(bp_span_of(newer, cut), &minor, &unknown)));
    }
}

static const struct {
    const char *name;
    size_t n;
    uint8_t in[16];
    enum bp_error error;
} refused[] = {
    {"refused_other_type", 11, {0xa4, 0x01, 0x61, 'b', 0x02, 0x01, 0x03, 0x00, 0x04, 0x41, 0x05}, BP_E_UNSUPPORTED},
    {"refused_type_no_text", 11, {0xa4, 0x01, 0x41, 'a', 0x02, 0x01, 0x03, 0x00, 0x04, 0x41, 0x05}, BP_E_MALFORMED},
    {"refused_other_major", 11, {0xa4, 0x01, 0x61, 'a', 0x02, 0x02, 0x03, 0x00, 0x04, 0x41, 0x05}, BP_E_UNSUPPORTED},
    {"refused_member_missing", 8, {0xa3, 0x01, 0x61, 'a', 0x02, 0x01, 0x03, 0x00}, BP_E_MALFORMED},
    {"refused_other_first_key", 11, {0xa4, 0x00, 0x61, 'a', 0x02, 0x01, 0x03, 0x00, 0x04, 0x41, 0x05}, BP_E_MALFORMED},
    {"refused_other_member", 11, {0xa4, 0x01, 0x61, 'a', 0x02, 0x01, 0x03, 0x00, 0x05, 0x41, 0x05}, BP_E_MALFORMED},
    {"refused_no_map", 1, {0x80}, BP_E_MALFORMED},
};

static void refusals(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        uint64_t minor = 0;
        uint32_t unknown = 0;
        bp_case_begin();
        BP_CHECK(bp_is(read_object(bp_span_of(refused[i].in, refused[i].n), &minor, &unknown), refused[i].error));
        bp_case_end(refused[i].name);
    }
}

BP_CASE(written_as_it_is_read)
{
    static const uint8_t want[] = {0xa5, 0x01, 0x61, 'a', 0x02, 0x01, 0x03, 0x00, 0x04, 0x41, 0x05, 0x05, 0x61, 'x'};
    uint8_t out[32];
    size_t n = 0;
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_object_put_head(&w, 5, BP_SPAN_STR("a"));
    bp_object_put_bytes(&w, 4, BP_SPAN_STR("\x05"));
    bp_object_put_text(&w, 5, BP_SPAN_STR("x"));
    BP_CHECK(!bp_failed(bp_object_finish(&w, &n)) && bp_span_equal(bp_span_of(out, n), BP_SPAN_OF(want)));
    w = bp_cw_over(out, sizeof out);
    bp_object_put_head(&w, 4, BP_SPAN_STR("a"));
    bp_object_put_uint(&w, 3, 1);
    BP_CHECK(bp_is(bp_object_finish(&w, &n), BP_E_NOT_CANONICAL));
    w = bp_cw_over(out, 3);
    bp_object_put_head(&w, 3, BP_SPAN_STR("a"));
    BP_CHECK(bp_is(bp_object_finish(&w, &n), BP_E_NO_SPACE) && n == 8);
}

BP_CASE(text_for_people)
{
    BP_CHECK(bp_object_is_text(BP_SPAN_STR("Werk 3, T\xc3\xbcr 7"), 1, 64));
    BP_CHECK(bp_object_is_text(BP_SPAN_EMPTY, 0, 64) && !bp_object_is_text(BP_SPAN_EMPTY, 1, 64));
    BP_CHECK(bp_object_is_text(BP_SPAN_STR("1234"), 1, 4) && !bp_object_is_text(BP_SPAN_STR("12345"), 1, 4));
    BP_CHECK(!bp_object_is_text(BP_SPAN_STR("a\nb"), 1, 64) && !bp_object_is_text(BP_SPAN_STR("a\x7f"), 1, 64));
    BP_CHECK(!bp_object_is_text(BP_SPAN_STR("\xc3"), 1, 64));
}

BP_SUITE(object, BP_RUN(members_of_a_newer_minor_are_skipped) BP_TABLE(refusals) BP_RUN(written_as_it_is_read)
                     BP_RUN(text_for_people))
