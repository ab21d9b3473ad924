/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_release - the release manifest, both directions. */
#include "codec/release.h"
#include "harness.h"
#include "unit/codec/remap.h"

static const uint8_t hash[32] = {1, 2, 3};
static uint8_t good[512];
static size_t good_n;
static uint8_t room[1024];

static struct bp_release sample(void)
{
    struct bp_release r = {.product = BP_SPAN_STR("gateway"),
                           .model = BP_SPAN_STR("gw-1"),
                           .version = BP_SPAN_STR("1.2.3"),
                           .counter = 7,
                           .key_epoch = 2,
                           .created_ms = 1790000000000,
                           .support_end_ms = 1890000000000,
                           .images = 2,
                           .corim = BP_SPAN_STR("reference values")};
    r.image[0] = (struct bp_release_image){BP_SPAN_STR("a.efi"), BP_SPAN_OF(hash), 12345};
    r.image[1] = (struct bp_release_image){BP_SPAN_STR("b.raucb"), BP_SPAN_OF(hash), 0};
    return r;
}

BP_CASE(comes_back_as_it_was)
{
    const struct bp_release r = sample();
    struct bp_release back;
    BP_NEED(!bp_failed(bp_release_write(&r, good, sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_release_read(bp_span_of(good, good_n), &back)));
    BP_CHECK(bp_span_equal(back.product, r.product) && bp_span_equal(back.model, r.model) &&
             bp_span_equal(back.version, r.version) && bp_span_equal(back.corim, r.corim));
    BP_CHECK(back.counter == 7 && back.key_epoch == 2 && back.created_ms == r.created_ms &&
             back.support_end_ms == r.support_end_ms && back.images == 2);
    BP_CHECK(bp_span_equal(back.image[0].name, r.image[0].name) && back.image[0].size == 12345 &&
             bp_span_equal(back.image[1].digest, BP_SPAN_OF(hash)));
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_release_write(&back, room, sizeof room, &n)) && n == good_n && memcmp(room, good, n) == 0);
    for (size_t cap = 0; cap < good_n; cap++) {
        BP_CHECK(bp_is(bp_release_write(&r, room, cap, &n), BP_E_NO_SPACE) && n == good_n);
    }
}

BP_CASE(truncations_are_refused)
{
    struct bp_release back, before;
    memset(&before, 0, sizeof before);
    for (size_t n = 0; n < good_n; n++) {
        back = before;
        BP_CHECK(bp_failed(bp_release_read(bp_span_of(good, n), &back)) && memcmp(&back, &before, sizeof back) == 0);
    }
    memcpy(room, good, good_n);
    room[good_n] = 0;
    BP_CHECK(bp_failed(bp_release_read(bp_span_of(room, good_n + 1), &back)));
}

#define LONG_TEXT "\x78\x41" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define IMAGE     "\x83\x61x\x58\x20" "01234567890123456789012345678901" "\x00"

static const struct {
    const char *name;
    bp_span key, value;
    enum bp_error want;
} bad[] = {
    {"other_type", {(const uint8_t *)"\x01", 1}, {(const uint8_t *)"\x65image", 6}, BP_E_UNSUPPORTED},
    {"other_major", {(const uint8_t *)"\x02", 1}, {(const uint8_t *)"\x02", 1}, BP_E_UNSUPPORTED},
    {"no_type", {(const uint8_t *)"\x01", 1}, {NULL, 0}, BP_E_MALFORMED},
    {"no_model", {(const uint8_t *)"\x05", 1}, {NULL, 0}, BP_E_MALFORMED},
    {"no_corim", {(const uint8_t *)"\x0c", 1}, {NULL, 0}, BP_E_MALFORMED},
    {"empty_version", {(const uint8_t *)"\x06", 1}, {(const uint8_t *)"\x60", 1}, BP_E_MALFORMED},
    {"long_product", {(const uint8_t *)"\x04", 1}, {(const uint8_t *)LONG_TEXT, sizeof LONG_TEXT - 1}, BP_E_LIMIT},
    {"counter_is_text", {(const uint8_t *)"\x07", 1}, {(const uint8_t *)"\x61" "7", 2}, BP_E_MALFORMED},
    {"counter_is_negative", {(const uint8_t *)"\x07", 1}, {(const uint8_t *)"\x20", 1}, BP_E_MALFORMED},
    {"created_in_no_calendar", {(const uint8_t *)"\x09", 1},
     {(const uint8_t *)"\x1b\x80\0\0\0\0\0\0\0", 9}, BP_E_MALFORMED},
    {"image_of_two", {(const uint8_t *)"\x0b", 1}, {(const uint8_t *)"\x81\x82\x61x\x40", 5}, BP_E_MALFORMED},
    {"image_digest_short", {(const uint8_t *)"\x0b", 1}, {(const uint8_t *)"\x81\x83\x61x\x40\x00", 6}, BP_E_MALFORMED},
    {"images_are_no_list", {(const uint8_t *)"\x0b", 1}, {(const uint8_t *)"\xa0", 1}, BP_E_MALFORMED},
    {"counter_long_form", {(const uint8_t *)"\x07", 1}, {(const uint8_t *)"\x18\x07", 2}, BP_E_NOT_CANONICAL},
    {"float", {(const uint8_t *)"\x07", 1}, {(const uint8_t *)"\xf9\0\0", 3}, BP_E_UNSUPPORTED},
};

BP_CASE(malformed)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_case_begin();
        struct bp_release back, before;
        memset(&before, 0, sizeof before);
        back = before;
        const bp_span in = remap(bp_span_of(good, good_n), bad[i].key, bad[i].value, room, sizeof room);
        BP_CHECK(in.n != 0);
        const bp_result r = bp_release_read(in, &back);
        if (!BP_CHECK(bp_is(r, bad[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        BP_CHECK(memcmp(&back, &before, sizeof back) == 0);
        bp_case_end(bad[i].name);
    }
}

BP_CASE(seventeen_images_are_too_many)
{
    static uint8_t list[1024];
    struct bp_release back;
    bp_wr wr = bp_wr_over(list, sizeof list);
    bp_wr_u8(&wr, 0x91);
    for (int i = 0; i < 17; i++) {
        bp_wr_bytes(&wr, BP_SPAN_STR(IMAGE));
    }
    static uint8_t big[2048];
    const bp_span in = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x0b"), bp_wr_span(&wr), big, sizeof big);
    BP_CHECK(in.n != 0 && bp_is(bp_release_read(in, &back), BP_E_LIMIT));
}

BP_CASE(members_of_a_newer_minor_are_passed_over)
{
    struct bp_release back;
    static uint8_t newer[1024];
    bp_span in = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x0d"), BP_SPAN_STR("\x63new"), room, sizeof room);
    in = remap(in, BP_SPAN_STR("\x03"), BP_SPAN_STR("\x01"), newer, sizeof newer);
    BP_CHECK(in.n != 0 && !bp_failed(bp_release_read(in, &back)) && back.counter == 7);
}

BP_CASE(what_would_be_refused_is_not_written)
{
    size_t n = 0;
    struct bp_release r = sample();
    r.version = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(bp_release_write(&r, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    r = sample();
    r.product = bp_span_of(good, BP_RELEASE_TEXT_MAX + 1);
    BP_CHECK(bp_is(bp_release_write(&r, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    r = sample();
    r.images = BP_RELEASE_IMAGES_MAX + 1;
    BP_CHECK(bp_is(bp_release_write(&r, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    r = sample();
    r.image[1].digest.n--;
    BP_CHECK(bp_is(bp_release_write(&r, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    r = sample();
    r.created_ms = UINT64_MAX;
    BP_CHECK(bp_is(bp_release_write(&r, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_SUITE(release, BP_RUN(comes_back_as_it_was) BP_RUN(truncations_are_refused) BP_TABLE(malformed)
                      BP_RUN(seventeen_images_are_too_many) BP_RUN(members_of_a_newer_minor_are_passed_over)
                          BP_RUN(what_would_be_refused_is_not_written))
