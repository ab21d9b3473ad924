/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_tcglog - boot logs made here: both forms, every truncation, heads and
 * events to refuse, views. */
#include "codec/tcglog.h"
#include "harness.h"

static uint8_t room[1024];
static const uint8_t sha1_zero[20], sha256_zero[32];
static const uint8_t sha1_some[20] = {1}, sha256_some[32] = {2};
static const uint8_t zeros4[4];

/* Head with SHA-1 and SHA-256, StartupLocality, a separator in PCR 7. Offsets: head 0, events at 69
 * and 158. */
enum { HEAD = 69, AT_ALGS = 32 + 28, EV = 89, DATA_AT = EV + 12 + 22 + 34 + 4 };

static bp_span make_log(void)
{
    static const struct bp_tcg_bank banks[] = {{0x0004, 20}, {0x000b, 32}};
    static const uint8_t locality[] = "StartupLocality\0\3";
    const struct bp_tcg_digest none[] = {{0x0004, BP_SPAN_OF(sha1_zero)},
                                         {0x000b, BP_SPAN_OF(sha256_zero)}};
    const struct bp_tcg_digest some[] = {{0x0004, BP_SPAN_OF(sha1_some)},
                                         {0x000b, BP_SPAN_OF(sha256_some)}};
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tcglog_write_head(&wr, banks, 2);
    bp_tcglog_write_event(&wr, 0, BP_EV_NO_ACTION, none, 2, bp_span_of(locality, 17));
    bp_tcglog_write_event(&wr, 7, BP_EV_SEPARATOR, some, 2, BP_SPAN_OF(zeros4));
    return bp_wr_span(&wr);
}

/* Reads all of it; the result of the read that ended it. */
static bp_result read_all(bp_span in, uint32_t *ret_count)
{
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    *ret_count = 0;
    bp_result r = bp_tcglog_open(in, &log);
    while (!bp_failed(r)) {
        r = bp_tcglog_next(&log, &ev);
        *ret_count += !bp_failed(r);
    }
    return r;
}

BP_CASE(reads_what_it_wrote)
{
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    uint8_t locality = 0;
    const bp_span in = make_log();
    BP_NEED(!bp_failed(bp_tcglog_open(in, &log)));
    BP_CHECK(log.agile && log.banks == 2 && log.bank[1].alg == 0x000b && log.at == HEAD);
    BP_NEED(!bp_failed(bp_tcglog_next(&log, &ev)));
    BP_CHECK(ev.index == 0 && ev.type == BP_EV_NO_ACTION && ev.at == HEAD);
    BP_CHECK(!bp_failed(bp_tcg_startup_locality(&ev, &locality)) && locality == 3);
    BP_NEED(!bp_failed(bp_tcglog_next(&log, &ev)));
    BP_CHECK(ev.index == 1 && ev.pcr == 7 && ev.type == BP_EV_SEPARATOR && ev.data.n == 4);
    BP_CHECK(bp_span_equal(bp_tcg_digest_of(&ev, 0x000b), BP_SPAN_OF(sha256_some)));
    BP_CHECK(bp_tcg_digest_of(&ev, 0x000c).n == 0);
    BP_CHECK(ev.at + ev.size == in.n &&
             bp_is(bp_tcg_startup_locality(&ev, &locality), BP_E_NOT_FOUND));
    const size_t at = log.at;
    BP_CHECK(bp_is(bp_tcglog_next(&log, &ev), BP_E_NOT_FOUND) && log.at == at);
}

BP_CASE(every_truncation_is_refused)
{
    const bp_span in = make_log();
    uint32_t count = 0;
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    BP_NEED(!bp_failed(bp_tcglog_open(in, &log)) && !bp_failed(bp_tcglog_next(&log, &ev)));
    for (size_t n = 0; n < in.n; n++) {
        const bool whole = n == HEAD || n == log.at;
        const bp_result r = read_all(bp_span_of(in.p, n), &count);
        BP_CHECK(bp_is(r, whole ? BP_E_NOT_FOUND : BP_E_TRUNCATED));
    }
}

BP_CASE(unused_room_ends_a_log)
{
    uint32_t count = 0;
    const size_t n = make_log().n;
    memset(room + n, 0xff, 12);
    BP_CHECK(bp_is(read_all(bp_span_of(room, n + 12), &count), BP_E_NOT_FOUND) && count == 2);
    BP_CHECK(bp_is(read_all(bp_span_of(room, n + 11), &count), BP_E_TRUNCATED));
    memset(room + n, 0, 12);
    BP_CHECK(bp_is(read_all(bp_span_of(room, n + 12), &count), BP_E_NOT_FOUND) && count == 2);
    room[n + 11] = 1;
    BP_CHECK(bp_is(read_all(bp_span_of(room, n + 12), &count), BP_E_MALFORMED));
}

BP_CASE(sha1_form)
{
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_wr_le32(&wr, 4);
    bp_wr_le32(&wr, BP_EV_EFI_ACTION);
    bp_wr_bytes(&wr, BP_SPAN_OF(sha1_some));
    bp_wr_le32(&wr, 2);
    bp_wr_bytes(&wr, BP_SPAN_STR("ok"));
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    BP_NEED(!bp_failed(bp_tcglog_open(bp_wr_span(&wr), &log)) && !log.agile);
    BP_NEED(!bp_failed(bp_tcglog_next(&log, &ev)));
    BP_CHECK(ev.pcr == 4 && ev.data.n == 2 && bp_tcg_digest_of(&ev, 0x0004).n == 20);
    uint32_t count = 0;
    for (size_t n = 1; n < wr.n; n++) {
        BP_CHECK(bp_is(read_all(bp_span_of(room, n), &count), BP_E_TRUNCATED));
    }
}

static void refusals(void)
{
    static const struct {
        const char *name;
        size_t at;
        uint8_t v[4];
        size_t n;
        enum bp_error want;
    } rows[] = {
        {"head_pcr_not_zero", 0, {1}, 1, BP_E_MALFORMED},
        {"head_digest_not_zero", 8, {1}, 1, BP_E_MALFORMED},
        {"head_size_wraps", 28, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_TRUNCATED},
        {"head_size_short", 28, {36}, 1, BP_E_TRUNCATED},
        {"head_minor_is_free", 32 + 20, {9}, 1, BP_E_NOT_FOUND},
        {"head_major_unknown", 32 + 21, {3}, 1, BP_E_UNSUPPORTED},
        {"head_uintn_zero", 32 + 23, {0}, 1, BP_E_MALFORMED},
        {"head_no_bank", 32 + 24, {0}, 1, BP_E_MALFORMED},
        {"head_banks_over_limit", 32 + 24, {9}, 1, BP_E_LIMIT},
        {"head_banks_wrap", 32 + 24, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_LIMIT},
        {"head_bank_of_wrong_size", AT_ALGS + 2, {21}, 1, BP_E_MALFORMED},
        {"head_bank_unknown_too_long", AT_ALGS, {0x99, 0, 65}, 3, BP_E_MALFORMED},
        {"head_same_bank_twice", AT_ALGS, {0x0b, 0, 32}, 3, BP_E_MALFORMED},
        {"head_vendor_longer_than_event", HEAD - 1, {1}, 1, BP_E_TRUNCATED},
        {"event_pcr_24", HEAD + EV, {24}, 1, BP_E_MALFORMED},
        {"event_pcr_none_is_for_no_action", HEAD + EV, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_MALFORMED},
        {"event_no_bank", HEAD + EV + 8, {0}, 1, BP_E_MALFORMED},
        {"event_one_bank_left_out", HEAD + EV + 8, {1}, 1, BP_E_MALFORMED},
        {"event_bank_count_wraps", HEAD + EV + 8, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_MALFORMED},
        {"event_bank_not_of_head", HEAD + EV + 12, {0x0c}, 1, BP_E_MALFORMED},
        {"event_same_bank_twice", HEAD + EV + 12 + 22, {0x04}, 1, BP_E_MALFORMED},
        {"event_size_past_end", HEAD + DATA_AT - 4, {5}, 1, BP_E_TRUNCATED},
        {"event_size_leaves_bytes", HEAD + DATA_AT - 4, {3}, 1, BP_E_TRUNCATED},
        {"event_size_wraps", HEAD + DATA_AT - 4, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_TRUNCATED},
        {"event_becomes_no_action_with_digest", HEAD + EV + 4, {3}, 1, BP_E_MALFORMED},
        {"no_action_digest_not_zero", HEAD + 14, {1}, 1, BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t count = 0;
        bp_case_begin();
        const bp_span in = make_log();
        memcpy(room + rows[i].at, rows[i].v, rows[i].n);
        BP_CHECK(bp_is(read_all(in, &count), rows[i].want));
        bp_case_end(rows[i].name);
    }
}

BP_CASE(localities)
{
    struct bp_tcg_event ev = {.type = BP_EV_NO_ACTION};
    uint8_t data[18] = "StartupLocality";
    uint8_t out = 99;
    for (unsigned v = 0; v < 256; v++) {
        data[16] = (uint8_t)v;
        ev.data = bp_span_of(data, 17);
        BP_CHECK(bp_failed(bp_tcg_startup_locality(&ev, &out)) == (v != 0 && v != 3 && v != 4));
    }
    data[16] = 0;
    ev.data = bp_span_of(data, 18);
    BP_CHECK(bp_is(bp_tcg_startup_locality(&ev, &out), BP_E_MALFORMED));
    ev.data = bp_span_of(data, 16);
    BP_CHECK(bp_is(bp_tcg_startup_locality(&ev, &out), BP_E_TRUNCATED));
    ev.pcr = 1;
    ev.data = bp_span_of(data, 17);
    BP_CHECK(bp_is(bp_tcg_startup_locality(&ev, &out), BP_E_MALFORMED));
}

static bp_span make_variable(uint64_t chars, uint64_t value, bp_span tail)
{
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_wr_bytes(&wr, BP_SPAN_OF(bp_tcg_guid_global));
    bp_wr_le32(&wr, (uint32_t)chars);
    bp_wr_le32(&wr, (uint32_t)(chars >> 32));
    bp_wr_le32(&wr, (uint32_t)value);
    bp_wr_le32(&wr, (uint32_t)(value >> 32));
    bp_wr_bytes(&wr, tail);
    return bp_wr_span(&wr);
}

BP_CASE(variables)
{
    struct bp_tcg_variable v;
    const bp_span tail = BP_SPAN_STR("P\0K\0\1x");
    BP_NEED(!bp_failed(bp_tcg_variable_read(make_variable(2, 1, tail), &v)));
    BP_CHECK(bp_tcg_name_is(v.name, BP_SPAN_STR("PK")) && v.value.n == 1 && v.extra.n == 1);
    BP_CHECK(!bp_tcg_name_is(v.name, BP_SPAN_STR("PX")) &&
             !bp_tcg_name_is(v.name, BP_SPAN_STR("P")));
    BP_CHECK(bp_span_equal(v.guid, BP_SPAN_OF(bp_tcg_guid_global)));
    BP_CHECK(bp_is(bp_tcg_variable_read(make_variable(0, 1, tail), &v), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_tcg_variable_read(make_variable(2, 3, tail), &v), BP_E_TRUNCATED));
    BP_CHECK(bp_is(bp_tcg_variable_read(make_variable(0x8000000000000002u, 1, tail), &v),
                   BP_E_TRUNCATED));
    BP_CHECK(bp_is(bp_tcg_variable_read(make_variable(2, UINT64_MAX, tail), &v), BP_E_TRUNCATED));
    for (size_t n = 0; n < 32; n++) {
        BP_CHECK(bp_is(bp_tcg_variable_read(bp_span_of(room, n), &v), BP_E_TRUNCATED));
    }
}

BP_CASE(views_of_other_events)
{
    uint8_t b[160] = {0};
    struct bp_tcg_image image;
    struct bp_tcg_gpt gpt;
    struct bp_tcg_blob blob;
    struct bp_tcg_handoff handoff;
    struct bp_tcg_tag tag;
    enum bp_tcg_separator separator;
    bp_span text;
    b[24] = 4;
    BP_CHECK(!bp_failed(bp_tcg_image_read(bp_span_of(b, 36), &image)) && image.device_path.n == 4);
    BP_CHECK(bp_is(bp_tcg_image_read(bp_span_of(b, 35), &image), BP_E_TRUNCATED));
    BP_CHECK(bp_is(bp_tcg_image_read(bp_span_of(b, 37), &image), BP_E_MALFORMED));
    b[24] = 0;
    BP_CHECK(
        !bp_failed(bp_tcg_blob_read(BP_EV_EFI_PLATFORM_FIRMWARE_BLOB, bp_span_of(b, 16), &blob)));
    BP_CHECK(bp_is(bp_tcg_blob_read(BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2, bp_span_of(b, 16), &blob),
                   BP_E_TRUNCATED));
    BP_CHECK(
        !bp_failed(bp_tcg_blob_read(BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2, bp_span_of(b, 17), &blob)));
    b[0] = 1;
    BP_CHECK(
        !bp_failed(bp_tcg_handoff_read(BP_EV_EFI_HANDOFF_TABLES, bp_span_of(b, 32), &handoff)));
    BP_CHECK(handoff.count == 1 && handoff.entries.n == 24);
    BP_CHECK(bp_is(bp_tcg_handoff_read(BP_EV_EFI_HANDOFF_TABLES, bp_span_of(b, 31), &handoff),
                   BP_E_MALFORMED));
    memset(b, 0xff, 8); /* 2^64-1 tables of 24 bytes wrap to almost nothing */
    BP_CHECK(bp_is(bp_tcg_handoff_read(BP_EV_EFI_HANDOFF_TABLES, bp_span_of(b, 32), &handoff),
                   BP_E_MALFORMED));
    BP_CHECK(!bp_failed(bp_tcg_separator_read(bp_span_of(b, 4), &separator)) &&
             separator == BP_TCG_SEPARATOR_NORMAL);
    b[0] = 1;
    BP_CHECK(!bp_failed(bp_tcg_separator_read(bp_span_of(b, 4), &separator)) &&
             separator == BP_TCG_SEPARATOR_ERROR);
    BP_CHECK(bp_is(bp_tcg_separator_read(bp_span_of(b, 5), &separator), BP_E_MALFORMED));
    memset(b, 0, sizeof b);
    b[4] = 2;
    BP_CHECK(!bp_failed(bp_tcg_tag_read(bp_span_of(b, 10), &tag)) && tag.data.n == 2);
    BP_CHECK(bp_is(bp_tcg_tag_read(bp_span_of(b, 9), &tag), BP_E_TRUNCATED));
    BP_CHECK(!bp_failed(bp_tcg_action_read(BP_SPAN_STR("Exit Boot Services Invocation"), &text)));
    BP_CHECK(bp_failed(bp_tcg_action_read(BP_SPAN_STR("a\0"), &text)) &&
             bp_failed(bp_tcg_action_read(BP_SPAN_EMPTY, &text)));
    memcpy(b, "EFI PART", 8);
    b[84] = 128;
    BP_CHECK(!bp_failed(bp_tcg_gpt_read(bp_span_of(b, 100), &gpt)) && gpt.entries == 0);
    b[92] = 1;
    BP_CHECK(bp_is(bp_tcg_gpt_read(bp_span_of(b, 100), &gpt), BP_E_MALFORMED));
    memset(b + 92, 0xff, 8);
    BP_CHECK(bp_is(bp_tcg_gpt_read(bp_span_of(b, 100), &gpt), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_tcg_gpt_read(bp_span_of(b, 99), &gpt), BP_E_TRUNCATED));
}

BP_CASE(types_and_covers)
{
    struct bp_tcg_cover covers[BP_TCG_COVER_MAX];
    BP_CHECK(bp_tcg_class_of(BP_EV_SEPARATOR) == BP_TCG_EXACT &&
             bp_tcg_class_of(BP_EV_IPL) == BP_TCG_ANNOTATION);
    BP_CHECK(bp_tcg_class_of(BP_EV_NO_ACTION) == BP_TCG_NOT_EXTENDED &&
             bp_tcg_class_of(0x14) == BP_TCG_UNKNOWN);
    BP_CHECK(bp_tcg_type_name(0x80000000u) == NULL && bp_tcg_type_name(BP_EV_IPL)[3] == 'I');
    struct bp_tcg_event ev = {.type = BP_EV_NO_ACTION, .data = BP_SPAN_STR("x")};
    BP_CHECK(bp_tcg_covers(&ev, covers) == 0);
    ev.type = BP_EV_EFI_VARIABLE_BOOT;
    ev.data = make_variable(2, 1, BP_SPAN_STR("P\0K\0\1"));
    BP_CHECK(bp_tcg_covers(&ev, covers) == 2 && covers[0].part.n == 1 && !covers[0].whole &&
             covers[1].whole);
    ev.type = BP_EV_IPL;
    ev.data = BP_SPAN_STR("grub_cmd: x\0");
    const size_t n = bp_tcg_covers(&ev, covers);
    bool seen = false;
    for (size_t i = 0; i < n; i++) {
        seen = seen || bp_span_equal(covers[i].part, BP_SPAN_STR("x"));
    }
    BP_CHECK(n <= BP_TCG_COVER_MAX && seen);
    for (size_t k = 0; k <= ev.data.n; k++) {
        ev.data = bp_span_of("grub_cmd: x", k);
        BP_CHECK(bp_tcg_covers(&ev, covers) <= BP_TCG_COVER_MAX);
    }
}

BP_SUITE(codec_tcglog,
         BP_RUN(reads_what_it_wrote) BP_RUN(every_truncation_is_refused)
             BP_RUN(unused_room_ends_a_log) BP_RUN(sha1_form) BP_TABLE(refusals) BP_RUN(localities)
                 BP_RUN(variables) BP_RUN(views_of_other_events) BP_RUN(types_and_covers))
