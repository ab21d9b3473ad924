/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_cbor - deterministic CBOR: what RFC 8949 appendix A has that is deterministic is accepted
 * and written back, everything else is refused by its own reason. */
#include "codec/cbor.h"
#include "harness.h"

/* One encoded item as text "\x..": the rows keep embedded zeros by their stated length. */
struct row {
    const char *name;
    bp_span in;
    enum bp_error error;
};
#define IN(text) {(const uint8_t *)(text), sizeof(text) - 1}
#define ROW(name, text, error) {name, IN(text), BP_E_##error}

/* RFC 8949 appendix A, the rows that are deterministic and hold no float and no other simple value. */
static const struct row accepted[] = {
    ROW("a_0", "\x00", OK),
    ROW("a_1", "\x01", OK),
    ROW("a_10", "\x0a", OK),
    ROW("a_23", "\x17", OK),
    ROW("a_24", "\x18\x18", OK),
    ROW("a_25", "\x18\x19", OK),
    ROW("a_100", "\x18\x64", OK),
    ROW("a_1000", "\x19\x03\xe8", OK),
    ROW("a_1000000", "\x1a\x00\x0f\x42\x40", OK),
    ROW("a_1000000000000", "\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", OK),
    ROW("a_18446744073709551615", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", OK),
    ROW("a_bignum", "\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", OK),
    ROW("a_minus_18446744073709551616", "\x3b\xff\xff\xff\xff\xff\xff\xff\xff", OK),
    ROW("a_negative_bignum", "\xc3\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", OK),
    ROW("a_minus_1", "\x20", OK),
    ROW("a_minus_10", "\x29", OK),
    ROW("a_minus_100", "\x38\x63", OK),
    ROW("a_minus_1000", "\x39\x03\xe7", OK),
    ROW("a_false", "\xf4", OK),
    ROW("a_true", "\xf5", OK),
    ROW("a_null", "\xf6", OK),
    ROW("a_tag_0_text", "\xc0\x74\x32\x30\x31\x33\x2d\x30\x33\x2d\x32\x31\x54\x32\x30\x3a\x30\x34\x3a\x30\x30\x5a", OK),
    ROW("a_tag_1_time", "\xc1\x1a\x51\x4b\x67\xb0", OK),
    ROW("a_tag_23_bytes", "\xd7\x44\x01\x02\x03\x04", OK),
    ROW("a_tag_24_encoded", "\xd8\x18\x45\x64\x49\x45\x54\x46", OK),
    ROW("a_tag_32_uri",
        "\xd8\x20\x76\x68\x74\x74\x70\x3a\x2f\x2f\x77\x77\x77\x2e\x65\x78\x61\x6d\x70\x6c\x65\x2e\x63\x6f\x6d", OK),
    ROW("a_empty_bytes", "\x40", OK),
    ROW("a_bytes_01020304", "\x44\x01\x02\x03\x04", OK),
    ROW("a_empty_text", "\x60", OK),
    ROW("a_text_a", "\x61\x61", OK),
    ROW("a_text_IETF", "\x64\x49\x45\x54\x46", OK),
    ROW("a_text_quote_backslash", "\x62\x22\x5c", OK),
    ROW("a_text_u_umlaut", "\x62\xc3\xbc", OK),
    ROW("a_text_water", "\x63\xe6\xb0\xb4", OK),
    ROW("a_text_u10151", "\x64\xf0\x90\x85\x91", OK),
    ROW("a_empty_array", "\x80", OK),
    ROW("a_array_123", "\x83\x01\x02\x03", OK),
    ROW("a_array_nested", "\x83\x01\x82\x02\x03\x82\x04\x05", OK),
    ROW("a_array_of_25",
        "\x98\x19\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18"
        "\x18\x18\x19",
        OK),
    ROW("a_empty_map", "\xa0", OK),
    ROW("a_map_numbers", "\xa2\x01\x02\x03\x04", OK),
    ROW("a_map_text_and_array", "\xa2\x61\x61\x01\x61\x62\x82\x02\x03", OK),
    ROW("a_array_of_map", "\x82\x61\x61\xa1\x61\x62\x61\x63", OK),
    ROW("a_map_of_five",
        "\xa5\x61\x61\x61\x41\x61\x62\x61\x42\x61\x63\x61\x43\x61\x64\x61\x44\x61\x65\x61\x45", OK),
    /* Not of the appendix: the edges of our own limits. */
    ROW("depth_16", "\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00", OK),
    ROW("depth_16_tags", "\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\x00", OK),
    ROW("key_order_shorter_argument_first", "\xa2\x0a\x00\x18\x64\x00", OK),
    ROW("key_order_major_type", "\xa3\x01\x00\x20\x00\x61\x61\x00", OK),
    ROW("key_prefix_of_next", "\xa2\x41\x61\x00\x42\x61\x61\x00", OK),
    ROW("map_as_key", "\xa2\xa1\x01\x02\x00\xa1\x01\x03\x00", OK),
    ROW("utf8_last", "\x64\xf4\x8f\xbf\xbf", OK),
    ROW("utf8_before_surrogates", "\x63\xed\x9f\xbf", OK),
};

static const struct row refused[] = {
    ROW("empty_input", "", TRUNCATED),
    ROW("uint_without_its_byte", "\x18", TRUNCATED),
    ROW("uint16_half", "\x19\x01", TRUNCATED),
    ROW("uint32_short", "\x1a\x01\x02\x03", TRUNCATED),
    ROW("uint64_short", "\x1b\x01\x02\x03\x04\x05\x06\x07", TRUNCATED),
    ROW("bytes_short", "\x44\x01\x02\x03", TRUNCATED),
    ROW("text_short", "\x62\x61", TRUNCATED),
    ROW("bytes_length_missing", "\x58", TRUNCATED),
    ROW("bytes_length_of_2_to_64", "\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x00", TRUNCATED),
    ROW("text_length_of_2_to_32", "\x7a\xff\xff\xff\xff\x00", TRUNCATED),
    ROW("array_item_missing", "\x82\x01", TRUNCATED),
    ROW("array_of_2_to_64", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00", TRUNCATED),
    ROW("map_of_2_to_63", "\xbb\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00", TRUNCATED),
    ROW("map_value_missing", "\xa1\x01", TRUNCATED),
    ROW("map_second_pair_missing", "\xa2\x01\x02\x03", TRUNCATED),
    ROW("tag_of_nothing", "\xc0", TRUNCATED),
    ROW("tag_argument_missing", "\xd8", TRUNCATED),
    ROW("half_float_short", "\xf9\x00", TRUNCATED),
    ROW("float_short", "\xfa\x00\x00\x00", TRUNCATED),
    ROW("double_short", "\xfb\x00\x00\x00\x00\x00\x00\x00", TRUNCATED),
    ROW("simple_without_its_byte", "\xf8", TRUNCATED),
    ROW("bytes_left_over", "\x00\x00", MALFORMED),
    ROW("array_item_too_many", "\x81\x01\x02", MALFORMED),
    ROW("reserved_info_28", "\x1c", MALFORMED),
    ROW("reserved_info_29", "\x3d", MALFORMED),
    ROW("reserved_info_30_bytes", "\x5e", MALFORMED),
    ROW("reserved_info_28_array", "\x9c", MALFORMED),
    ROW("reserved_info_29_map", "\xbd", MALFORMED),
    ROW("reserved_info_30_tag", "\xde\x00", MALFORMED),
    ROW("reserved_info_28_simple", "\xfc", MALFORMED),
    ROW("indefinite_uint", "\x1f", MALFORMED),
    ROW("indefinite_negative", "\x3f", MALFORMED),
    ROW("indefinite_tag", "\xdf\x00", MALFORMED),
    ROW("break_alone", "\xff", MALFORMED),
    ROW("break_in_array", "\x81\xff", MALFORMED),
    ROW("simple_two_byte_form_of_false", "\xf8\x14", MALFORMED),
    ROW("simple_two_byte_form_of_24", "\xf8\x18", MALFORMED),
    ROW("utf8_lone_continuation", "\x61\x80", MALFORMED),
    ROW("utf8_overlong_2", "\x62\xc0\xaf", MALFORMED),
    ROW("utf8_overlong_3", "\x63\xe0\x80\xaf", MALFORMED),
    ROW("utf8_overlong_4", "\x64\xf0\x80\x80\xaf", MALFORMED),
    ROW("utf8_surrogate", "\x63\xed\xa0\x80", MALFORMED),
    ROW("utf8_above_10ffff", "\x64\xf4\x90\x80\x80", MALFORMED),
    ROW("utf8_byte_ff", "\x61\xff", MALFORMED),
    ROW("utf8_cut_2", "\x61\xc3", MALFORMED),
    ROW("utf8_cut_4", "\x63\xf0\x90\x85", MALFORMED),
    ROW("utf8_bad_third_byte", "\x63\xe6\xb0\x34", MALFORMED),
    ROW("indefinite_bytes", "\x5f\x42\x01\x02\x43\x03\x04\x05\xff", NOT_CANONICAL),
    ROW("indefinite_text", "\x7f\x65\x73\x74\x72\x65\x61\x64\x6d\x69\x6e\x67\xff", NOT_CANONICAL),
    ROW("indefinite_array", "\x9f\xff", NOT_CANONICAL),
    ROW("indefinite_map", "\xbf\x61\x61\x01\xff", NOT_CANONICAL),
    ROW("indefinite_inside", "\x82\x01\x9f\xff", NOT_CANONICAL),
    ROW("uint_0_in_two_bytes", "\x18\x00", NOT_CANONICAL),
    ROW("uint_23_in_two_bytes", "\x18\x17", NOT_CANONICAL),
    ROW("uint_255_in_three_bytes", "\x19\x00\xff", NOT_CANONICAL),
    ROW("uint_65535_in_five_bytes", "\x1a\x00\x00\xff\xff", NOT_CANONICAL),
    ROW("uint_4294967295_in_nine_bytes", "\x1b\x00\x00\x00\x00\xff\xff\xff\xff", NOT_CANONICAL),
    ROW("negative_in_two_bytes", "\x38\x17", NOT_CANONICAL),
    ROW("bytes_length_long", "\x58\x01\x00", NOT_CANONICAL),
    ROW("text_length_long", "\x79\x00\x01\x61", NOT_CANONICAL),
    ROW("array_count_long", "\x98\x01\x00", NOT_CANONICAL),
    ROW("map_count_long", "\xb8\x01\x00\x00", NOT_CANONICAL),
    ROW("tag_number_long", "\xd8\x12\x00", NOT_CANONICAL),
    ROW("keys_descending", "\xa2\x03\x00\x01\x00", NOT_CANONICAL),
    ROW("keys_twice", "\xa2\x01\x00\x01\x00", NOT_CANONICAL),
    ROW("keys_text_descending", "\xa2\x61\x62\x01\x61\x61\x02", NOT_CANONICAL),
    ROW("keys_text_before_negative", "\xa2\x61\x61\x00\x20\x00", NOT_CANONICAL),
    ROW("keys_third_twice", "\xa3\x01\x00\x02\x00\x02\x00", NOT_CANONICAL),
    ROW("keys_twice_inside", "\x81\xa1\x00\xa2\x01\x00\x01\x00", NOT_CANONICAL),
    ROW("keys_maps_descending", "\xa2\xa1\x01\x03\x00\xa1\x01\x02\x00", NOT_CANONICAL),
    ROW("half_float", "\xf9\x3c\x00", UNSUPPORTED),
    ROW("float", "\xfa\x47\xc3\x50\x00", UNSUPPORTED),
    ROW("double", "\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", UNSUPPORTED),
    ROW("not_a_number", "\xf9\x7e\x00", UNSUPPORTED),
    ROW("undefined", "\xf7", UNSUPPORTED),
    ROW("simple_16", "\xf0", UNSUPPORTED),
    ROW("simple_255", "\xf8\xff", UNSUPPORTED),
    ROW("depth_17_arrays", "\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00", LIMIT),
    ROW("depth_17_tags", "\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\xc6\x00", LIMIT),
    ROW("depth_17_in_a_key",
        "\xa1\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00\x00", LIMIT),
};

static void accepts(void)
{
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        bp_case_begin();
        BP_CHECK(!bp_failed(bp_cbor_check(accepted[i].in)));
        /* Copied by the writer it must come out as it was. */
        uint8_t out[64];
        bp_cw w = bp_cw_over(out, sizeof out);
        bp_cw_item(&w, accepted[i].in);
        BP_CHECK(!bp_failed(bp_cw_finish(&w)) && bp_span_equal(bp_cw_span(&w), accepted[i].in));
        bp_case_end(accepted[i].name);
    }
}

static void refuses(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        bp_case_begin();
        BP_CHECK(bp_is(bp_cbor_check(refused[i].in), refused[i].error));
        uint8_t out[4] = {0xee, 0xee, 0xee, 0xee};
        bp_cw w = bp_cw_over(out, sizeof out);
        bp_cw_item(&w, refused[i].in);
        BP_CHECK(bp_failed(bp_cw_finish(&w)) && out[0] == 0xee);
        bp_case_end(refused[i].name);
    }
}

BP_CASE(every_prefix_of_an_item_is_truncated)
{
    const bp_span in = BP_SPAN_STR("\xa2\x61\x61\x01\x61\x62\x82\x19\x01\x00\xc1\x43\x00\x00\x00");
    BP_NEED(!bp_failed(bp_cbor_check(in)));
    for (size_t n = 0; n < in.n; n++) {
        BP_CHECK(bp_is(bp_cbor_check(bp_span_sub(in, 0, n)), BP_E_TRUNCATED));
    }
}

BP_CASE(getters_read_what_the_writer_wrote)
{
    uint8_t out[96];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_tag(&w, 4242);
    bp_cw_map(&w, 4);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, 5);
    bp_cw_int(&w, INT64_MIN);
    bp_cw_int(&w, INT64_MAX);
    bp_cw_int(&w, -1);
    bp_cw_uint(&w, UINT64_MAX);
    bp_cw_bool(&w, true);
    bp_cw_uint(&w, 2);
    bp_cw_bstr(&w, BP_SPAN_STR("\x01\x02\x03"));
    bp_cw_int(&w, -3);
    bp_cw_null(&w);
    bp_cw_cstr(&w, "name");
    bp_cw_tstr(&w, BP_SPAN_STR("\xc3\xbc"));
    BP_NEED(!bp_failed(bp_cw_finish(&w)));
    BP_CHECK(!bp_failed(bp_cbor_check(bp_cw_span(&w))));

    bp_rd rd = bp_rd_over(bp_cw_span(&w));
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_TAG && bp_cbor_get_tag(&rd) == 4242);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_MAP && bp_cbor_get_map(&rd) == 4);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_UINT && bp_cbor_get_uint(&rd) == 1);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_ARRAY && bp_cbor_get_array(&rd) == 5);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_NINT && bp_cbor_get_int(&rd) == INT64_MIN);
    BP_CHECK(bp_cbor_get_int(&rd) == INT64_MAX);
    BP_CHECK(bp_cbor_get_int(&rd) == -1);
    BP_CHECK(bp_cbor_get_uint(&rd) == UINT64_MAX);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_SIMPLE && bp_cbor_get_bool(&rd));
    BP_CHECK(bp_cbor_get_int(&rd) == 2);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_BSTR && bp_cbor_get_bstr_n(&rd, 3).n == 3);
    BP_CHECK(bp_cbor_get_int(&rd) == -3);
    bp_cbor_get_null(&rd);
    BP_CHECK(bp_span_equal(bp_cbor_get_item(&rd), BP_SPAN_STR("\x64name")));
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_TSTR && bp_cbor_get_tstr(&rd).n == 2);
    BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_END);
    BP_CHECK(!bp_failed(bp_rd_finish(&rd)));
}

/* A getter that meets another type fails, and what comes after it reads as nothing. */
BP_CASE(getters_refuse_another_type)
{
    static const struct {
        bp_span in;
        int getter;
    } row[] = {{IN("\x20"), 0}, {IN("\x41\x00"), 1}, {IN("\x61\x61"), 2}, {IN("\x41\x61"), 3}, {IN("\xf6"), 4},
               {IN("\xf4"), 5}, {IN("\x81\x00"), 6}, {IN("\xa1\x00\x00"), 7}, {IN("\x80"), 8}, {IN("\x42\x00\x00"), 9}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_rd rd = bp_rd_over(row[i].in);
        switch (row[i].getter) {
        case 0: BP_CHECK(bp_cbor_get_uint(&rd) == 0); break;
        case 1: BP_CHECK(bp_cbor_get_int(&rd) == 0); break;
        case 2: BP_CHECK(bp_cbor_get_bstr(&rd).n == 0); break;
        case 3: BP_CHECK(bp_cbor_get_tstr(&rd).n == 0); break;
        case 4: BP_CHECK(!bp_cbor_get_bool(&rd)); break;
        case 5: bp_cbor_get_null(&rd); break;
        case 6: BP_CHECK(bp_cbor_get_map(&rd) == 0); break;
        case 7: BP_CHECK(bp_cbor_get_array(&rd) == 0); break;
        case 8: BP_CHECK(bp_cbor_get_tag(&rd) == 0); break;
        default: BP_CHECK(bp_cbor_get_bstr_n(&rd, 3).n == 0); break;
        }
        BP_CHECK(bp_is(bp_rd_state(&rd), BP_E_MALFORMED));
        BP_CHECK(bp_cbor_peek(&rd) == BP_CBOR_END);
    }
}

/* Code that forgot bp_cbor_check still gets no long form and no length past the end. */
BP_CASE(getters_check_forms_and_bounds_themselves)
{
    bp_rd rd = bp_rd_over(BP_SPAN_STR("\x18\x00"));
    BP_CHECK(bp_cbor_get_uint(&rd) == 0 && bp_is(bp_rd_state(&rd), BP_E_NOT_CANONICAL));
    rd = bp_rd_over(BP_SPAN_STR("\x42\x00"));
    BP_CHECK(bp_cbor_get_bstr(&rd).n == 0 && bp_is(bp_rd_state(&rd), BP_E_TRUNCATED));
    rd = bp_rd_over(BP_SPAN_STR("\x9a\xff\xff\xff\xff\x00"));
    BP_CHECK(bp_cbor_get_array(&rd) == 0 && bp_is(bp_rd_state(&rd), BP_E_TRUNCATED));
    rd = bp_rd_over(BP_SPAN_STR("\xbf\xff"));
    BP_CHECK(bp_cbor_get_map(&rd) == 0 && bp_is(bp_rd_state(&rd), BP_E_NOT_CANONICAL));
    rd = bp_rd_over(BP_SPAN_STR("\x1b\x80\x00\x00\x00\x00\x00\x00\x00"));
    BP_CHECK(bp_cbor_get_int(&rd) == 0 && bp_is(bp_rd_state(&rd), BP_E_LIMIT));
    rd = bp_rd_over(BP_SPAN_STR("\x3b\x80\x00\x00\x00\x00\x00\x00\x00"));
    BP_CHECK(bp_cbor_get_int(&rd) == 0 && bp_is(bp_rd_state(&rd), BP_E_LIMIT));
    rd = bp_rd_over(BP_SPAN_STR("\xa2\x01\x00\x01\x00"));
    BP_CHECK(bp_cbor_get_item(&rd).n == 0 && bp_is(bp_rd_state(&rd), BP_E_NOT_CANONICAL));
}

BP_CASE(item_takes_one_of_several)
{
    bp_rd rd = bp_rd_over(BP_SPAN_STR("\x82\x01\x81\x02\x03"));
    BP_CHECK(bp_cbor_get_item(&rd).n == 4);
    BP_CHECK(bp_cbor_get_uint(&rd) == 3);
    BP_CHECK(!bp_failed(bp_rd_finish(&rd)));
}

BP_CASE(writer_uses_shortest_heads)
{
    static const struct {
        uint64_t v;
        size_t n;
    } row[] = {{23, 1},     {24, 2},         {255, 2},        {256, 3},
               {65535, 3},  {65536, 5},      {UINT32_MAX, 5}, {(uint64_t)UINT32_MAX + 1, 9}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        uint8_t out[9];
        bp_cw w = bp_cw_over(out, sizeof out);
        bp_cw_uint(&w, row[i].v);
        BP_CHECK(!bp_failed(bp_cw_finish(&w)) && bp_cw_span(&w).n == row[i].n);
        BP_CHECK(!bp_failed(bp_cbor_check(bp_cw_span(&w))));
    }
}

BP_CASE(writer_refuses_keys_out_of_order)
{
    uint8_t out[16];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_map(&w, 2);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_NOT_CANONICAL));
    BP_CHECK(bp_cw_span(&w).n == 0);
}

BP_CASE(writer_refuses_a_key_twice)
{
    uint8_t out[16];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_map(&w, 2);
    bp_cw_cstr(&w, "a");
    bp_cw_map(&w, 0);
    bp_cw_cstr(&w, "a");
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_NOT_CANONICAL));
}

BP_CASE(writer_compares_keys_that_are_containers)
{
    uint8_t out[16];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_map(&w, 2);
    bp_cw_array(&w, 1);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 0);
    bp_cw_array(&w, 1);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_NOT_CANONICAL));
}

BP_CASE(writer_refuses_missing_and_surplus_items)
{
    uint8_t out[16];
    bp_cw w = bp_cw_over(out, sizeof out);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED)); /* nothing at all */
    bp_cw_array(&w, 2);
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));
    BP_CHECK(bp_cw_span(&w).n == 0);
    bp_cw_uint(&w, 0);
    BP_CHECK(!bp_failed(bp_cw_finish(&w)));
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));

    w = bp_cw_over(out, sizeof out);
    bp_cw_tag(&w, 1);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));
}

BP_CASE(writer_refuses_bad_text_and_depth)
{
    uint8_t out[32];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_tstr(&w, BP_SPAN_STR("\xff"));
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));

    w = bp_cw_over(out, sizeof out);
    for (unsigned i = 0; i < BP_CBOR_DEPTH; i++) {
        bp_cw_array(&w, 1);
    }
    bp_cw_item(&w, BP_SPAN_STR("\x80")); /* an empty container is no level */
    BP_CHECK(!bp_failed(bp_cw_finish(&w)) && !bp_failed(bp_cbor_check(bp_cw_span(&w))));

    w = bp_cw_over(out, sizeof out);
    for (unsigned i = 0; i < BP_CBOR_DEPTH; i++) {
        bp_cw_array(&w, 1);
    }
    bp_cw_item(&w, BP_SPAN_STR("\x81\x00"));
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_LIMIT));

    w = bp_cw_over(out, sizeof out);
    for (unsigned i = 0; i <= BP_CBOR_DEPTH; i++) {
        bp_cw_array(&w, 1);
    }
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_LIMIT));
    w = bp_cw_over(out, sizeof out);
    bp_cw_map(&w, UINT32_MAX);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_LIMIT));
}

static void write_sample(bp_cw *w)
{
    bp_cw_map(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_bstr(w, BP_SPAN_STR("0123456789"));
    bp_cw_uint(w, 2);
    bp_cw_bstr_head(w, 3);
    bp_wr_bytes(&w->wr, BP_SPAN_STR("abc"));
}

BP_CASE(measure_and_write_agree)
{
    bp_cw w = bp_cw_over(NULL, 0);
    write_sample(&w);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_NO_SPACE));
    const size_t n = w.wr.n;
    uint8_t out[32];
    BP_NEED(n == 18 && n < sizeof out);
    for (size_t cap = 0; cap < n; cap++) {
        w = bp_cw_over(out, cap);
        write_sample(&w);
        BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_NO_SPACE) && w.wr.n == n);
    }
    w = bp_cw_over(out, n);
    write_sample(&w);
    BP_CHECK(!bp_failed(bp_cw_finish(&w)) && bp_cw_span(&w).n == n);
    BP_CHECK(!bp_failed(bp_cbor_check(bp_cw_span(&w))));
}

BP_CASE(bstr_head_wants_exactly_its_bytes)
{
    uint8_t out[16];
    bp_cw w = bp_cw_over(out, sizeof out);
    bp_cw_array(&w, 2);
    bp_cw_bstr_head(&w, 3);
    bp_wr_bytes(&w.wr, BP_SPAN_STR("ab"));
    bp_cw_uint(&w, 0);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));

    w = bp_cw_over(out, sizeof out);
    bp_cw_bstr_head(&w, 3);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));
    bp_wr_bytes(&w.wr, BP_SPAN_STR("abcd"));
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_MALFORMED));

    w = bp_cw_over(out, sizeof out);
    bp_cw_map(&w, 1);
    bp_cw_bstr_head(&w, 1);
    BP_CHECK(bp_is(bp_cw_finish(&w), BP_E_BAD_ARGUMENT));
}

/* clang-format off */
BP_SUITE(cbor,
    BP_TABLE(accepts)
    BP_TABLE(refuses)
    BP_RUN(every_prefix_of_an_item_is_truncated)
    BP_RUN(getters_read_what_the_writer_wrote)
    BP_RUN(getters_refuse_another_type)
    BP_RUN(getters_check_forms_and_bounds_themselves)
    BP_RUN(item_takes_one_of_several)
    BP_RUN(writer_uses_shortest_heads)
    BP_RUN(writer_refuses_keys_out_of_order)
    BP_RUN(writer_refuses_a_key_twice)
    BP_RUN(writer_compares_keys_that_are_containers)
    BP_RUN(writer_refuses_missing_and_surplus_items)
    BP_RUN(writer_refuses_bad_text_and_depth)
    BP_RUN(measure_and_write_agree)
    BP_RUN(bstr_head_wants_exactly_its_bytes))
