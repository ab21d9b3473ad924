/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_corim - reference values: our profile in both directions, and what others write. */
#include "codec/corim.h"
#include "harness.h"

static const uint8_t hash[64] = {1, 2};
static uint8_t good[1024];
static size_t good_n;
static uint8_t room[1024];
static struct bp_corim corim;

static size_t sample(struct bp_corim_ref refs[4])
{
    memset(refs, 0, 4 * sizeof refs[0]);
    refs[0].mkey = BP_SPAN_STR("boot/4/required");
    refs[0].name = BP_SPAN_STR("boot application");
    refs[0].digests = 2;
    refs[0].digest[0] = (struct bp_corim_digest){BP_CORIM_ALG_SHA256, bp_span_of(hash, 32)};
    refs[0].digest[1] = (struct bp_corim_digest){BP_CORIM_ALG_SHA512, BP_SPAN_OF(hash)};
    refs[1].mkey = BP_SPAN_STR("rule/secure-boot");
    refs[1].has_secure = true;
    refs[1].secure = true;
    refs[2].mkey = BP_SPAN_STR("ima");
    refs[2].name = BP_SPAN_STR("/bin/agent");
    refs[2].digests = 1;
    refs[2].digest[0] = refs[0].digest[0];
    refs[2].has_svn = true;
    refs[2].svn = 3;
    return 3;
}

BP_CASE(comes_back_as_it_was)
{
    struct bp_corim_ref refs[4], r;
    struct bp_corim_iter it;
    size_t n = 0;
    const size_t count = sample(refs);
    BP_NEED(!bp_failed(bp_corim_write(BP_SPAN_STR("gateway 1"), BP_SPAN_STR("Bedplate"), BP_SPAN_STR("gw"), refs, count, good,
                                      sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_corim_read(bp_span_of(good, good_n), &corim)));
    BP_CHECK(bp_span_equal(corim.id, BP_SPAN_STR("gateway 1")) && corim.tags == 1 && corim.comids == 1);
    BP_CHECK(bp_span_equal(corim.profile, BP_SPAN_STR(BP_CORIM_PROFILE)));
    BP_NEED(!bp_failed(bp_corim_open(corim.comid[0], &it)));
    for (size_t i = 0; i < count; i++) {
        BP_NEED(!bp_failed(bp_corim_next(&it, &r)));
        BP_CHECK(bp_span_equal(r.mkey, refs[i].mkey) && bp_span_equal(r.name, refs[i].name) &&
                 r.digests == refs[i].digests && r.has_secure == refs[i].has_secure && r.secure == refs[i].secure &&
                 r.has_svn == refs[i].has_svn && r.svn == refs[i].svn && r.others == 0);
        BP_CHECK(bp_span_equal(r.vendor, BP_SPAN_STR("Bedplate")) && bp_span_equal(r.model, BP_SPAN_STR("gw")));
    }
    BP_CHECK(bp_is(bp_corim_next(&it, &r), BP_E_NOT_FOUND));
    for (size_t cap = 0; cap < good_n; cap++) {
        BP_CHECK(bp_is(bp_corim_write(BP_SPAN_STR("gateway 1"), BP_SPAN_STR("Bedplate"), BP_SPAN_STR("gw"), refs, count, room,
                                      cap, &n), BP_E_NO_SPACE) && n == good_n);
    }
}

/* Walks everything: BP_OK, or the first failure. */
static bp_result walk(bp_span in, uint32_t *ret_refs)
{
    struct bp_corim_iter it;
    struct bp_corim_ref r;
    BP_TRY(bp_corim_read(in, &corim));
    for (uint32_t i = 0; i < corim.comids; i++) {
        BP_TRY(bp_corim_open(corim.comid[i], &it));
        bp_result res = bp_corim_next(&it, &r);
        for (; !bp_failed(res); res = bp_corim_next(&it, &r)) {
            (*ret_refs)++;
        }
        if (!bp_is(res, BP_E_NOT_FOUND)) {
            return res;
        }
    }
    return BP_OK;
}

BP_CASE(truncations_are_refused)
{
    uint32_t n = 0;
    memset(&corim, 0, sizeof corim);
    for (size_t i = 0; i < good_n; i++) {
        BP_CHECK(bp_failed(walk(bp_span_of(good, i), &n)) && n == 0 && corim.tags == 0);
    }
    BP_CHECK(!bp_failed(walk(bp_span_of(good, good_n), &n)) && n == 3);
}

#define K(s) {(const uint8_t *)(s), sizeof(s) - 1}
/* A CoRIM with one tag; a CoMID around triples; a measurement around values. The lengths are the row's. */
#define CORIM(tag)     "\xd9\x01\xf5\xa2\x00\x61x\x01\x81" tag
#define TAG(head, s)   "\xd9\x01\xfa" head s
#define COMID(triples) "\xa2\x01\xa1\x00\x61i\x04" triples

static const struct {
    const char *name;
    bp_span in;
    enum bp_error want;
    uint32_t refs;
} rows[] = {
    {"empty", K(""), BP_E_TRUNCATED, 0},
    {"not_a_map", K("\x80"), BP_E_MALFORMED, 0},
    {"tag_other", K("\xd9\x01\xf6\xa0"), BP_E_UNSUPPORTED, 0},
    {"no_id", K("\xa1\x01\x81\xd9\x01\xf9\x40"), BP_E_MALFORMED, 0},
    {"no_tags", K("\xa1\x00\x61x"), BP_E_MALFORMED, 0},
    {"tags_empty", K("\xa2\x00\x61x\x01\x80"), BP_E_MALFORMED, 0},
    {"id_is_number", K("\xa2\x00\x05\x01\x81\xd9\x01\xf9\x40"), BP_E_MALFORMED, 0},
    {"id_uuid_short", K("\xa2\x00\xd8\x25\x41x\x01\x81\xd9\x01\xf9\x40"), BP_E_MALFORMED, 0},
    {"id_tag_other", K("\xa2\x00\xd8\x26\x41x\x01\x81\xd9\x01\xf9\x40"), BP_E_UNSUPPORTED, 0},
    {"tag_without_number", K("\xa2\x00\x61x\x01\x81\x40"), BP_E_MALFORMED, 0},
    {"only_other_tags", K("\xa2\x00\x61x\x01\x81\xd9\x01\xf9\x40"), BP_E_OK, 0},
    {"map_keys_twice", K("\xa2\x00\x61x\x00\x61x"), BP_E_NOT_CANONICAL, 0},
    {"length_not_known", K("\xbf\x00\x61x\xff"), BP_E_NOT_CANONICAL, 0},
    {"comid_not_bytes", K(CORIM("\xd9\x01\xfa\x00")), BP_E_MALFORMED, 0},
    {"comid_not_cbor", K(CORIM("\xd9\x01\xfa\x41\xff")), BP_E_MALFORMED, 0},
    {"comid_a_list", K(CORIM(TAG("\x41", "\x80"))), BP_E_MALFORMED, 0},
    {"comid_without_identity", K(CORIM(TAG("\x43", "\xa1\x04\xa0"))), BP_E_MALFORMED, 0},
    {"comid_without_triples", K(CORIM(TAG("\x46", "\xa1\x01\xa1\x00\x61i"))), BP_E_MALFORMED, 0},
    {"no_reference_triples", K(CORIM(TAG("\x4a", COMID("\xa1\x01\x01")))), BP_E_OK, 0},
    {"triples_are_a_map", K(CORIM(TAG("\x4a", COMID("\xa1\x00\xa0")))), BP_E_MALFORMED, 0},
    {"triple_of_one", K(CORIM(TAG("\x4c", COMID("\xa1\x00\x81\x81\xa0")))), BP_E_MALFORMED, 0},
    {"triple_without_measurements", K(CORIM(TAG("\x4d", COMID("\xa1\x00\x81\x82\xa0\x80")))), BP_E_MALFORMED, 0},
    {"measurement_without_values", K(CORIM(TAG("\x4e", COMID("\xa1\x00\x81\x82\xa0\x81\xa0")))), BP_E_MALFORMED, 0},
    {"measurement_with_nothing_known", K(CORIM(TAG("\x50", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa0")))), BP_E_OK, 1},
    {"digests_empty", K(CORIM(TAG("\x52", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x02\x80")))), BP_E_MALFORMED, 0},
    {"digest_of_one", K(CORIM(TAG("\x54", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x02\x81\x81\x01")))),
     BP_E_MALFORMED, 0},
    {"digest_named", K(CORIM(TAG("\x56", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x02\x81\x82\x61z\x40")))), BP_E_OK, 1},
    {"digests_five",
     K(CORIM(TAG("\x58\x21", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x02\x85\x82\x01\x40\x82\x01\x40\x82\x01\x40"
                                  "\x82\x01\x40\x82\x01\x40")))),
     BP_E_LIMIT, 0},
    {"secure_is_number", K(CORIM(TAG("\x54", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x03\xa1\x01\x01")))),
     BP_E_MALFORMED, 0},
    {"svn_is_text", K(CORIM(TAG("\x53", COMID("\xa1\x00\x81\x82\xa0\x81\xa1\x01\xa1\x01\x61x")))), BP_E_MALFORMED, 0},
};

BP_CASE(foreign)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        uint32_t n = 0;
        memset(&corim, 0, sizeof corim);
        const bp_result r = walk(rows[i].in, &n);
        if (!BP_CHECK(bp_is(r, rows[i].want) && n == rows[i].refs)) {
            printf("# %s, %u\n", bp_error_name(bp_error_of(r)), (unsigned)n);
        }
        bp_case_end(rows[i].name);
    }
}

BP_CASE(keys_of_the_profile)
{
    static const struct {
        const char *text;
        bool is_good;
        enum bp_ref_kind kind;
        uint32_t pcr;
        bool required;
    } keys[] = {{"boot/0/required", true, BP_REF_BOOT, 0, true},
                {"boot/23/recorded", true, BP_REF_BOOT, 23, false},
                {"boot/24/required", false, BP_REF_BOOT, 0, false},
                {"boot/04/required", false, BP_REF_BOOT, 0, false},
                {"boot/4", false, BP_REF_BOOT, 0, false},
                {"boot//required", false, BP_REF_BOOT, 0, false},
                {"boot/4/required/", false, BP_REF_BOOT, 0, false},
                {"variable/dbx", true, BP_REF_VARIABLE, 7, false},
                {"variable/", false, BP_REF_BOOT, 0, false},
                {"variable/12345678901234567", false, BP_REF_BOOT, 0, false},
                {"rule/secure-boot", true, BP_REF_SECURE_BOOT, 7, false},
                {"rule/other", false, BP_REF_BOOT, 0, false},
                {"ima", true, BP_REF_IMA, 10, false},
                {"ima/", false, BP_REF_BOOT, 0, false},
                {"", false, BP_REF_BOOT, 0, false}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct bp_ref_key key;
        uint8_t text[BP_CORIM_MKEY_MAX];
        memset(&key, 0xa5, sizeof key);
        const bp_result r = bp_ref_key_read(bp_span_cstr(keys[i].text), &key);
        if (!keys[i].is_good) {
            BP_CHECK(bp_is(r, BP_E_UNSUPPORTED));
            continue;
        }
        BP_CHECK(!bp_failed(r) && key.kind == keys[i].kind && key.pcr == keys[i].pcr && key.required == keys[i].required);
        BP_CHECK(bp_span_equal(bp_ref_key_write(&key, text), bp_span_cstr(keys[i].text)));
    }
    struct bp_ref_key key = {.kind = BP_REF_BOOT, .pcr = 24};
    uint8_t text[BP_CORIM_MKEY_MAX];
    BP_CHECK(bp_ref_key_write(&key, text).n == 0);
}

BP_CASE(what_says_nothing_is_not_written)
{
    struct bp_corim_ref refs[4];
    size_t n = 0;
    (void)sample(refs);
    BP_CHECK(bp_is(bp_corim_write(BP_SPAN_STR("i"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), refs, 0, room, sizeof room, &n),
                   BP_E_BAD_ARGUMENT));
    refs[0].digests = 0;
    BP_CHECK(bp_is(bp_corim_write(BP_SPAN_STR("i"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), refs, 1, room, sizeof room, &n),
                   BP_E_BAD_ARGUMENT));
    refs[0].digests = BP_CORIM_DIGESTS_MAX + 1;
    BP_CHECK(bp_is(bp_corim_write(BP_SPAN_STR("i"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), refs, 1, room, sizeof room, &n),
                   BP_E_BAD_ARGUMENT));
}

BP_SUITE(corim, BP_RUN(comes_back_as_it_was) BP_RUN(truncations_are_refused) BP_TABLE(foreign) BP_RUN(keys_of_the_profile)
                    BP_RUN(what_says_nothing_is_not_written))
