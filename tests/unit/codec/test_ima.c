/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_ima - entries of each template, every truncation, entries to refuse. */
#include "codec/ima.h"
#include "harness.h"

static uint8_t room[512], data_room[256];
static const uint8_t digest[20] = {9}, zero20[20], file[32] = {7};

static bp_span make_entry(enum bp_ima_template template, bp_span signature)
{
    bp_wr data = bp_wr_over(data_room, sizeof data_room);
    bp_ima_write_data(&data, template, 0x000b, BP_SPAN_OF(file), BP_SPAN_STR("/bin/sh"), signature);
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_ima_write_entry(&wr, template, BP_SPAN_OF(digest), bp_wr_span(&data));
    return bp_wr_span(&wr);
}

static bp_result read_one(bp_span in, struct bp_ima_entry *e)
{
    struct bp_ima ima = bp_ima_open(in, 5);
    const bp_result r = bp_ima_next(&ima, e);
    return bp_failed(r) && ima.at != 0 ? (bp_result){0xffffffffu} : r;
}

BP_CASE(ng_reads_what_it_wrote)
{
    struct bp_ima_entry e;
    const bp_span in = make_entry(BP_IMA_NG, BP_SPAN_EMPTY);
    BP_NEED(!bp_failed(read_one(in, &e)));
    BP_CHECK(e.index == 5 && e.template == BP_IMA_NG && !e.violation && e.file_alg == 0x000b &&
             e.size == in.n);
    BP_CHECK(bp_span_equal(e.file_digest, BP_SPAN_OF(file)) &&
             bp_span_equal(e.path, BP_SPAN_STR("/bin/sh")));
    bp_span parts[BP_IMA_PARTS_MAX];
    BP_CHECK(bp_ima_hash_parts(&e, parts) == 1 && bp_span_equal(parts[0], e.data));
}

BP_CASE(sig_reads_what_it_wrote)
{
    struct bp_ima_entry e;
    BP_NEED(!bp_failed(read_one(make_entry(BP_IMA_SIG, BP_SPAN_STR("\3\2sig")), &e)));
    BP_CHECK(e.template == BP_IMA_SIG && e.signature.n == 5);
    BP_NEED(!bp_failed(read_one(make_entry(BP_IMA_SIG, BP_SPAN_EMPTY), &e)));
    BP_CHECK(e.signature.n == 0);
}

BP_CASE(buf_has_a_buffer)
{
    struct bp_ima_entry e;
    const bp_span in = make_entry(BP_IMA_SIG, BP_SPAN_STR("buffer"));
    memcpy(room + 28, "ima-buf", 7);
    BP_NEED(!bp_failed(read_one(in, &e)));
    BP_CHECK(e.template == BP_IMA_BUF && bp_span_equal(e.buffer, BP_SPAN_STR("buffer")) &&
             e.signature.n == 0);
}

static bp_span make_legacy(uint32_t path_size, bp_span path)
{
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_wr_le32(&wr, BP_IMA_PCR);
    bp_wr_bytes(&wr, BP_SPAN_OF(digest));
    bp_wr_le32(&wr, 3);
    bp_wr_bytes(&wr, BP_SPAN_STR("ima"));
    bp_wr_bytes(&wr, bp_span_of(file, 20));
    bp_wr_le32(&wr, path_size);
    bp_wr_bytes(&wr, path);
    return bp_wr_span(&wr);
}

BP_CASE(legacy_pads_its_path)
{
    struct bp_ima_entry e;
    bp_span parts[BP_IMA_PARTS_MAX];
    BP_NEED(!bp_failed(read_one(make_legacy(4, BP_SPAN_STR("/etc")), &e)));
    BP_CHECK(e.template == BP_IMA_LEGACY && e.file_digest.n == 20 &&
             bp_span_equal(e.path, BP_SPAN_STR("/etc")));
    BP_CHECK(bp_ima_hash_parts(&e, parts) == 3 && parts[0].n == 20 &&
             parts[1].n + parts[2].n == 256);
    BP_CHECK(bp_is(read_one(make_legacy(256, BP_SPAN_STR("/etc")), &e), BP_E_LIMIT));
    BP_CHECK(bp_is(read_one(make_legacy(0xffffffffu, BP_SPAN_STR("/etc")), &e), BP_E_LIMIT));
    BP_CHECK(bp_is(read_one(make_legacy(4, BP_SPAN_STR("/e\0c")), &e), BP_E_MALFORMED));
    const bp_span in = make_legacy(4, BP_SPAN_STR("/etc"));
    for (size_t n = 1; n < in.n; n++) {
        BP_CHECK(bp_is(read_one(bp_span_of(in.p, n), &e), BP_E_TRUNCATED));
    }
}

BP_CASE(every_truncation_is_refused)
{
    struct bp_ima_entry e;
    const bp_span in = make_entry(BP_IMA_SIG, BP_SPAN_STR("sig"));
    BP_CHECK(bp_is(read_one(BP_SPAN_EMPTY, &e), BP_E_NOT_FOUND));
    for (size_t n = 1; n < in.n; n++) {
        BP_CHECK(bp_is(read_one(bp_span_of(in.p, n), &e), BP_E_TRUNCATED));
    }
}

static void refusals(void)
{
    /* pcr 0 | digest 4 | name size 24 | "ima-sig" 28 | data size 35 | digest size 39, "sha256:" 43,
     * zero 50, digest 51 | path size 83, path 87, zero 94 | signature size 95, signature 99 */
    static const struct {
        const char *name;
        size_t at;
        uint8_t v[4];
        size_t n;
        enum bp_error want;
    } rows[] = {
        {"pcr_11", 0, {11}, 1, BP_E_MALFORMED},
        {"pcr_wraps", 3, {0xff}, 1, BP_E_MALFORMED},
        {"name_size_wraps", 24, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_TRUNCATED},
        {"name_cut", 24, {3}, 1, BP_E_MALFORMED},
        {"template_unknown", 34, {'x'}, 1, BP_E_UNSUPPORTED},
        {"data_size_wraps", 35, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_LIMIT},
        {"data_size_one_less", 35, {62}, 1, BP_E_MALFORMED},
        {"data_empty", 35, {0}, 1, BP_E_MALFORMED},
        {"digest_size_wraps", 39, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_MALFORMED},
        {"digest_one_short", 39, {39}, 1, BP_E_MALFORMED},
        {"hash_unknown", 43, {'m'}, 1, BP_E_UNSUPPORTED},
        {"no_colon", 49, {';'}, 1, BP_E_UNSUPPORTED},
        {"no_zero_after_colon", 50, {1}, 1, BP_E_UNSUPPORTED},
        {"path_size_wraps", 83, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_MALFORMED},
        {"path_size_zero", 83, {0}, 1, BP_E_MALFORMED},
        {"path_without_zero", 94, {'x'}, 1, BP_E_MALFORMED},
        {"path_with_a_zero_inside", 90, {0}, 1, BP_E_MALFORMED},
        {"signature_size_wraps", 95, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_MALFORMED},
        {"signature_leaves_bytes", 95, {2}, 1, BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_ima_entry e = {.index = 77};
        bp_case_begin();
        const bp_span in = make_entry(BP_IMA_SIG, BP_SPAN_STR("sig"));
        memcpy(room + rows[i].at, rows[i].v, rows[i].n);
        BP_CHECK(bp_is(read_one(in, &e), rows[i].want));
        BP_CHECK(e.index == 77);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(violations_say_nothing_of_a_file)
{
    struct bp_ima_entry e;
    bp_span in = make_entry(BP_IMA_NG, BP_SPAN_EMPTY);
    memcpy(room + 4, zero20, 20);
    BP_CHECK(bp_is(read_one(in, &e), BP_E_MALFORMED));
    memset(room + 50, 0, 32); /* ima-ng: the name is one byte shorter than in the table above */
    BP_NEED(!bp_failed(read_one(in, &e)));
    BP_CHECK(e.violation);
}

BP_SUITE(codec_ima,
         BP_RUN(ng_reads_what_it_wrote) BP_RUN(sig_reads_what_it_wrote) BP_RUN(buf_has_a_buffer)
             BP_RUN(legacy_pads_its_path) BP_RUN(every_truncation_is_refused) BP_TABLE(refusals)
                 BP_RUN(violations_say_nothing_of_a_file))
