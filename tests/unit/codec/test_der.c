/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_der - strict DER: lengths, integers, times, ECDSA signatures, public keys. */
#include "codec/base64.h"
#include "codec/x509.h"
#include "harness.h"

#define IN(text) {(const uint8_t *)(text), sizeof(text) - 1}

static const struct {
    const char *name;
    bp_span in;
    enum bp_error error;
} sequence_row[] = {
    {"empty_sequence", IN("\x30\x00"), BP_E_OK},
    {"length_127", IN("\x30\x7f"
                      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
                      "789012345678901234567890123456"),
     BP_E_OK},
    {"nothing", IN(""), BP_E_TRUNCATED},
    {"tag_alone", IN("\x30"), BP_E_TRUNCATED},
    {"content_short", IN("\x30\x02\x00"), BP_E_TRUNCATED},
    {"length_byte_missing", IN("\x30\x82\x01"), BP_E_TRUNCATED},
    {"length_of_4_gib", IN("\x30\x84\xff\xff\xff\xff\x00"), BP_E_TRUNCATED},
    {"left_over", IN("\x30\x00\x00"), BP_E_MALFORMED},
    {"another_tag", IN("\x31\x00"), BP_E_MALFORMED},
    {"primitive_sequence", IN("\x10\x00"), BP_E_MALFORMED},
    {"indefinite", IN("\x30\x80\x00\x00"), BP_E_NOT_CANONICAL},
    {"long_form_of_2", IN("\x30\x81\x02\x00\x00"), BP_E_NOT_CANONICAL},
    {"long_form_of_127", IN("\x30\x81\x7f\x00"), BP_E_NOT_CANONICAL},
    {"length_with_leading_zero", IN("\x30\x82\x00\x80\x00"), BP_E_NOT_CANONICAL},
    {"length_of_5_bytes", IN("\x30\x85\x01\x00\x00\x00\x00"), BP_E_LIMIT},
    {"length_byte_ff", IN("\x30\xff"), BP_E_LIMIT},
    {"tag_of_two_bytes", IN("\x3f\x81\x01\x00"), BP_E_UNSUPPORTED},
};

static void sequences(void)
{
    for (size_t i = 0; i < sizeof sequence_row / sizeof sequence_row[0]; i++) {
        bp_case_begin();
        bp_rd rd = bp_rd_over(sequence_row[i].in);
        const bp_span content = bp_der_get(&rd, BP_DER_SEQ);
        const bp_result r = bp_rd_finish(&rd);
        BP_CHECK(bp_error_of(r) == sequence_row[i].error);
        BP_CHECK(!bp_failed(rd.state) || content.n == 0);
        bp_case_end(sequence_row[i].name);
    }
}

static const struct {
    const char *name;
    bp_span in;
    enum bp_error error;
    uint32_t v;
} small_row[] = {
    {"int_0", IN("\x02\x01\x00"), BP_E_OK, 0},
    {"int_127", IN("\x02\x01\x7f"), BP_E_OK, 127},
    {"int_128", IN("\x02\x02\x00\x80"), BP_E_OK, 128},
    {"int_max", IN("\x02\x04\x7f\xff\xff\xff"), BP_E_OK, 0x7fffffff},
    {"int_too_large", IN("\x02\x05\x00\x80\x00\x00\x00"), BP_E_LIMIT, 0},
    {"int_negative", IN("\x02\x01\xff"), BP_E_MALFORMED, 0},
    {"int_empty", IN("\x02\x00"), BP_E_MALFORMED, 0},
    {"int_padded", IN("\x02\x02\x00\x7f"), BP_E_NOT_CANONICAL, 0},
    {"int_zero_padded", IN("\x02\x02\x00\x00"), BP_E_NOT_CANONICAL, 0},
};

static void integers(void)
{
    for (size_t i = 0; i < sizeof small_row / sizeof small_row[0]; i++) {
        bp_case_begin();
        bp_rd rd = bp_rd_over(small_row[i].in);
        BP_CHECK(bp_der_get_small(&rd) == small_row[i].v);
        BP_CHECK(bp_error_of(bp_rd_finish(&rd)) == small_row[i].error);
        bp_case_end(small_row[i].name);
    }
}

static const struct {
    const char *name;
    bp_span in;
    bool ok;
    int64_t t;
} time_row[] = {
    {"time_epoch", IN("\x17\x0d" "700101000000Z"), true, 0},
    {"time_2026", IN("\x17\x0d" "261124085246Z"), true, 1795510366},
    {"time_1950", IN("\x17\x0d" "500101000000Z"), true, -631152000},
    {"time_2049", IN("\x17\x0d" "491231235959Z"), true, 2524607999},
    {"time_leap_day", IN("\x18\x0f" "20000229000000Z"), true, 951782400},
    {"time_end", IN("\x18\x0f" "99991231235959Z"), true, 253402300799},
    {"time_not_leap", IN("\x18\x0f" "21000229000000Z"), false, 0},
    {"time_april_31", IN("\x17\x0d" "260431000000Z"), false, 0},
    {"time_month_0", IN("\x17\x0d" "260001000000Z"), false, 0},
    {"time_month_13", IN("\x17\x0d" "261301000000Z"), false, 0},
    {"time_day_0", IN("\x17\x0d" "260100000000Z"), false, 0},
    {"time_hour_24", IN("\x17\x0d" "260101240000Z"), false, 0},
    {"time_second_60", IN("\x17\x0d" "260101000060Z"), false, 0},
    {"time_no_seconds", IN("\x17\x0b" "2601010000Z"), false, 0},
    {"time_offset", IN("\x17\x11" "260101000000+0100"), false, 0},
    {"time_not_utc_mark", IN("\x17\x0d" "260101000000z"), false, 0},
    {"time_letters", IN("\x17\x0d" "2x0101000000Z"), false, 0},
    {"time_fraction", IN("\x18\x11" "20260101000000.5Z"), false, 0},
    {"time_year_0", IN("\x18\x0f" "00000101000000Z"), false, 0},
    {"time_other_tag", IN("\x13\x0d" "260101000000Z"), false, 0},
};

static void times(void)
{
    for (size_t i = 0; i < sizeof time_row / sizeof time_row[0]; i++) {
        bp_case_begin();
        bp_rd rd = bp_rd_over(time_row[i].in);
        const int64_t t = bp_der_get_time(&rd);
        BP_CHECK(!bp_failed(bp_rd_finish(&rd)) == time_row[i].ok);
        BP_CHECK(t == time_row[i].t);
        bp_case_end(time_row[i].name);
    }
}

BP_CASE(booleans_have_two_values)
{
    bp_rd rd = bp_rd_over(BP_SPAN_STR("\x01\x01\xff\x01\x01\x00"));
    BP_CHECK(bp_der_get_bool(&rd) && !bp_der_get_bool(&rd) && !bp_failed(bp_rd_finish(&rd)));
    rd = bp_rd_over(BP_SPAN_STR("\x01\x01\x01"));
    BP_CHECK(!bp_der_get_bool(&rd) && bp_is(bp_rd_state(&rd), BP_E_MALFORMED));
}

BP_CASE(bit_strings_are_whole_bytes)
{
    bp_rd rd = bp_rd_over(BP_SPAN_STR("\x03\x03\x00\x11\x22"));
    BP_CHECK(bp_der_get_bits(&rd).n == 2);
    rd = bp_rd_over(BP_SPAN_STR("\x03\x02\x01\x10"));
    BP_CHECK(bp_der_get_bits(&rd).n == 0 && bp_is(bp_rd_state(&rd), BP_E_UNSUPPORTED));
    rd = bp_rd_over(BP_SPAN_STR("\x03\x00"));
    BP_CHECK(bp_der_get_bits(&rd).n == 0 && bp_is(bp_rd_state(&rd), BP_E_MALFORMED));
}

BP_CASE(any_takes_elements_one_by_one)
{
    bp_rd rd = bp_rd_over(BP_SPAN_STR("\x05\x00\x04\x01\x61"));
    BP_CHECK(bp_der_get_any(&rd).n == 2 && bp_der_peek(&rd) == BP_DER_OCTETS && bp_der_get_any(&rd).n == 3);
    BP_CHECK(bp_der_get_any(&rd).n == 0 && !bp_failed(bp_rd_finish(&rd)));
}

BP_CASE(heads_are_shortest)
{
    static const struct {
        size_t content, head;
    } row[] = {{0, 2}, {127, 2}, {128, 3}, {255, 3}, {256, 4}, {65535, 4}, {65536, 5}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        uint8_t out[8];
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_der_put_head(&wr, BP_DER_SEQ, row[i].content);
        BP_CHECK(wr.n == row[i].head && bp_der_size(row[i].content) == row[i].head + row[i].content);
    }
}

/* Seconds of which the calendar is known, and every 31st day and one second over nearly all years that can be written. */
BP_CASE(times_both_ways)
{
    static const struct {
        int64_t s;
        const char *text;
    } known[] = {{0, "19700101000000Z"}, {951782399, "20000228235959Z"}, {951782400, "20000229000000Z"},
                 {4107542400, "21000301000000Z"}, {253402300799, "99991231235959Z"}};
    uint8_t out[17];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_der_put_time(&wr, known[i].s);
        BP_CHECK(!bp_failed(bp_wr_finish(&wr)) && bp_span_equal(bp_span_of(out + 2, 15), bp_span_cstr(known[i].text)));
    }
    for (int64_t s = 0; s <= 253402300799; s += 31 * 86401) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_der_put_time(&wr, s);
        bp_rd rd = bp_rd_over(bp_wr_span(&wr));
        BP_CHECK(bp_der_get_time(&rd) == s && !bp_failed(bp_rd_finish(&rd)));
    }
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_der_put_time(&wr, 253402300800);
    BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_BAD_ARGUMENT));
    wr = bp_wr_over(out, sizeof out);
    bp_der_put_time(&wr, -1);
    BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_BAD_ARGUMENT));
}

BP_CASE(ecdsa_both_ways)
{
    uint8_t raw[64] = {0};
    uint8_t der[72];
    uint8_t back[64];
    size_t n = 0;
    raw[0] = 0x80;  /* r needs a leading zero */
    raw[63] = 0x01; /* s is short */
    BP_NEED(!bp_failed(bp_der_ecdsa_write(BP_SPAN_OF(raw), der, sizeof der, &n)));
    BP_CHECK(n == 2 + 2 + 33 + 2 + 1);
    BP_CHECK(!bp_failed(bp_der_ecdsa_read(bp_span_of(der, n), 32, back)) && memcmp(raw, back, 64) == 0);
    BP_CHECK(bp_is(bp_der_ecdsa_read(bp_span_of(der, n), 31, back), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_der_ecdsa_read(bp_span_of(der, n - 1), 32, back), BP_E_TRUNCATED));
    BP_CHECK(bp_is(bp_der_ecdsa_write(BP_SPAN_OF(raw), der, n - 1, &n), BP_E_NO_SPACE) && n == 40);
    BP_CHECK(bp_is(bp_der_ecdsa_write(bp_span_of(raw, 63), der, sizeof der, &n), BP_E_BAD_ARGUMENT));
}

BP_CASE(spki_of_p256_both_ways)
{
    uint8_t x[32];
    uint8_t y[32];
    uint8_t out[96];
    size_t n = 0;
    memset(x, 0x11, sizeof x);
    memset(y, 0x22, sizeof y);
    struct bp_pubkey key = {BP_KEY_P256, BP_SPAN_OF(x), BP_SPAN_OF(y)};
    struct bp_pubkey back;
    BP_NEED(!bp_failed(bp_spki_write(&key, out, sizeof out, &n)) && n == 91);
    BP_CHECK(!bp_failed(bp_spki_read(bp_span_of(out, n), &back)) && bp_span_equal(back.a, key.a));
    out[26] = 2; /* a compressed point's mark */
    BP_CHECK(bp_is(bp_spki_read(bp_span_of(out, n), &back), BP_E_UNSUPPORTED));
    out[26] = 5;
    BP_CHECK(bp_is(bp_spki_read(bp_span_of(out, n), &back), BP_E_MALFORMED));
    key.a.n = 31;
    BP_CHECK(bp_is(bp_spki_write(&key, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
}

static const struct {
    const char *name;
    const char *in;
    int n; /* bytes, -1: refused */
} base64_row[] = {
    {"base64_empty", "", 0},          {"base64_f", "Zg==", 1},       {"base64_fo", "Zm8=", 2},
    {"base64_foo", "Zm9v", 3},        {"base64_foobar", "Zm9vYmFy", 6}, {"base64_all", "+/09", 3},
    {"base64_no_padding", "Zg", -1},  {"base64_bits_left", "Zh==", -1}, {"base64_bits_left_2", "Zm9=", -1},
    {"base64_blank", "Zm 9v", -1},    {"base64_newline", "Zm9v\n", -1}, {"base64_url", "-_09", -1},
    {"base64_pad_inside", "Zg==Zg==", -1}, {"base64_three_pads", "Z===", -1}, {"base64_only_pads", "====", -1},
};

static void base64_rows(void)
{
    for (size_t i = 0; i < sizeof base64_row / sizeof base64_row[0]; i++) {
        bp_case_begin();
        uint8_t out[16];
        uint8_t text[16];
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_base64_read(&wr, bp_span_cstr(base64_row[i].in));
        if (base64_row[i].n < 0) {
            BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_MALFORMED));
        } else {
            BP_CHECK(!bp_failed(bp_wr_finish(&wr)) && wr.n == (size_t)base64_row[i].n);
            bp_wr back = bp_wr_over(text, sizeof text);
            bp_base64_write(&back, bp_wr_span(&wr));
            BP_CHECK(bp_span_equal(bp_wr_span(&back), bp_span_cstr(base64_row[i].in)));
        }
        bp_case_end(base64_row[i].name);
    }
}

/* Blanks are of no meaning wherever they stand; padding still ends the text. */
BP_CASE(base64_is_wrapped)
{
    static const char *const same[] = {"Zm9vYmE=", "Zm9v\r\nYmE=\r\n", " Z m\t9vYmE\n=", "\n\nZm9vYm\n\nE="};
    static const char *const bad[] = {"Zm9vYmE", "Zm9vYmE=Zg==", "Zg==\nZg==", "Zm9v YmE", "Zm9v*", "Z\v2==", "="};
    uint8_t out[16];
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_base64_read_wrapped(&wr, bp_span_cstr(same[i]));
        BP_CHECK(bp_span_equal(bp_wr_span(&wr), BP_SPAN_STR("fooba")));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_base64_read_wrapped(&wr, bp_span_cstr(bad[i]));
        BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_MALFORMED));
    }
    bp_wr small = bp_wr_over(out, 4);
    bp_base64_read_wrapped(&small, BP_SPAN_STR("Zm9v YmE="));
    BP_CHECK(bp_is(bp_wr_finish(&small), BP_E_NO_SPACE));
}

/* clang-format off */
BP_SUITE(der,
    BP_TABLE(sequences)
    BP_TABLE(integers)
    BP_TABLE(times)
    BP_TABLE(base64_rows)
    BP_RUN(base64_is_wrapped)
    BP_RUN(booleans_have_two_values)
    BP_RUN(bit_strings_are_whole_bytes)
    BP_RUN(any_takes_elements_one_by_one)
    BP_RUN(heads_are_shortest)
    BP_RUN(times_both_ways)
    BP_RUN(ecdsa_both_ways)
    BP_RUN(spki_of_p256_both_ways))
