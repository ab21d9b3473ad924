/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_manifest - the batch manifest, both directions. */
#include "codec/manifest.h"
#include "harness.h"
#include "unit/codec/remap.h"

static uint8_t id_a[33], id_b[33], id_c[33], other[32], cert[32];
static const uint8_t spki[] = {0x30, 0x03, 0x02, 0x01, 0x07};
static uint8_t good[2048];
static size_t good_n;
static uint8_t room[4096];

static void fill(uint8_t *id, uint8_t v)
{
    memset(id, v, 33);
    id[0] = 1;
}

static struct bp_manifest_unit tpm(const uint8_t *id, const char *serial)
{
    return (struct bp_manifest_unit){.id = bp_span_of(id, 33),
                                     .serial = bp_span_cstr(serial),
                                     .model = BP_SPAN_STR("gw-1"),
                                     .kind = BP_SPAN_STR("tpm2"),
                                     .keys = 1,
                                     .key = {{2, bp_span_of(id + 1, 32)}}};
}

/* One with a second endorsement key and an IDevID, one with an IDevID alone, one with the least. */
static void units(struct bp_manifest_unit u[3])
{
    fill(id_a, 0x11);
    fill(id_b, 0x22);
    fill(id_c, 0x33);
    memset(other, 0x44, sizeof other);
    memset(cert, 0x55, sizeof cert);
    u[0] = tpm(id_a, "SN-1");
    u[0].keys = 3;
    u[0].key[1] = (struct bp_manifest_key){1, BP_SPAN_OF(other)};
    u[0].key[2] = (struct bp_manifest_key){BP_MANIFEST_KEY_IDEVID, BP_SPAN_OF(cert)};
    u[0].idevid = BP_SPAN_OF(other);
    u[1] = tpm(id_b, "SN-2");
    u[1].kind = BP_SPAN_STR("idevid");
    u[1].key[0].kind = BP_MANIFEST_KEY_IDEVID;
    u[1].idevid = BP_SPAN_OF(cert);
    u[2] = tpm(id_c, "SN-3");
}

static struct bp_manifest sample(void)
{
    return (struct bp_manifest){.maker = BP_SPAN_STR("Acme"),
                                .key = BP_SPAN_OF(spki),
                                .order = BP_SPAN_STR("PO-4711"),
                                .batch = 2,
                                .created_ms = 1790000000000,
                                .quota = 10,
                                .before = 7,
                                .units = 3};
}

BP_CASE(comes_back_as_it_was)
{
    struct bp_manifest_unit u[3], v;
    const struct bp_manifest m = sample();
    struct bp_manifest back;
    units(u);
    BP_NEED(!bp_failed(bp_manifest_write(&m, u, good, sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_manifest_read(bp_span_of(good, good_n), &back)));
    BP_CHECK(bp_span_equal(back.maker, m.maker) && bp_span_equal(back.key, m.key) && bp_span_equal(back.order, m.order));
    BP_CHECK(back.batch == 2 && back.created_ms == m.created_ms && back.quota == 10 && back.before == 7 && back.units == 3);
    bp_rd rd = bp_rd_over(back.list);
    for (size_t i = 0; i < 3; i++) {
        BP_NEED(!bp_failed(bp_manifest_next(&rd, &v)));
        BP_CHECK(bp_span_equal(v.id, u[i].id) && bp_span_equal(v.serial, u[i].serial) &&
                 bp_span_equal(v.kind, u[i].kind) && bp_span_equal(v.idevid, u[i].idevid) && v.keys == u[i].keys);
        for (uint32_t k = 0; k < v.keys; k++) {
            BP_CHECK(v.key[k].kind == u[i].key[k].kind && bp_span_equal(v.key[k].hash, u[i].key[k].hash));
        }
    }
    BP_CHECK(bp_rd_left(&rd) == 0);
    size_t n = 0;
    for (size_t cap = 0; cap < good_n; cap++) {
        BP_CHECK(bp_is(bp_manifest_write(&m, u, room, cap, &n), BP_E_NO_SPACE) && n == good_n);
    }
}

BP_CASE(a_unit_alone_is_as_it_stands_in_the_list)
{
    struct bp_manifest_unit u[3];
    struct bp_manifest back;
    size_t at = 0, n = 0;
    units(u);
    BP_NEED(!bp_failed(bp_manifest_read(bp_span_of(good, good_n), &back)));
    for (size_t i = 0; i < 3; i++) {
        BP_NEED(!bp_failed(bp_manifest_unit_write(&u[i], room, sizeof room, &n)));
        BP_CHECK(bp_span_equal(bp_span_of(room, n), bp_span_sub(back.list, at, n)));
        at += n;
    }
    BP_CHECK(at == back.list.n);
}

BP_CASE(truncations_are_refused)
{
    struct bp_manifest back, before;
    memset(&before, 0, sizeof before);
    for (size_t n = 0; n < good_n; n++) {
        back = before;
        BP_CHECK(bp_failed(bp_manifest_read(bp_span_of(good, n), &back)) && memcmp(&back, &before, sizeof back) == 0);
    }
    memcpy(room, good, good_n);
    room[good_n] = 0;
    BP_CHECK(bp_failed(bp_manifest_read(bp_span_of(room, good_n + 1), &back)));
}

#define B(text) {(const uint8_t *)(text), sizeof(text) - 1}
#define LONG_TEXT "\x78\x41" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define H  "01234567890123456789012345678901"
#define G  "x1234567890123456789012345678901"
#define ID "\x58\x21\x01" H
#define KEYS(kind) "\x81\x82" kind "\x58\x20" H
#define UNIT(id, serial, model, root, keys, idevid) "\x86" id serial model root keys idevid
#define PLAIN(id, keys) UNIT(id, "\x61s", "\x61m", "\x64tpm2", keys, "\x40")

static const struct {
    const char *name;
    bp_span key, value;
    enum bp_error want;
} bad[] = {
    {"other_type", B("\x01"), B("\x65image"), BP_E_UNSUPPORTED},
    {"other_major", B("\x02"), B("\x02"), BP_E_UNSUPPORTED},
    {"no_type", B("\x01"), {NULL, 0}, BP_E_MALFORMED},
    {"no_maker", B("\x04"), {NULL, 0}, BP_E_MALFORMED},
    {"no_key", B("\x05"), {NULL, 0}, BP_E_MALFORMED},
    {"empty_key", B("\x05"), B("\x40"), BP_E_MALFORMED},
    {"no_units", B("\x0b"), {NULL, 0}, BP_E_MALFORMED},
    {"empty_batch", B("\x0b"), B("\x80"), BP_E_MALFORMED},
    {"empty_order", B("\x06"), B("\x60"), BP_E_MALFORMED},
    {"order_with_a_line_break", B("\x06"), B("\x62" "a\n"), BP_E_MALFORMED},
    {"long_maker", B("\x04"), B(LONG_TEXT), BP_E_LIMIT},
    {"batch_zero", B("\x07"), B("\x00"), BP_E_MALFORMED},
    {"batch_is_negative", B("\x07"), B("\x20"), BP_E_MALFORMED},
    {"batch_in_no_store", B("\x07"), B("\x1b\x80\0\0\0\0\0\0\0"), BP_E_MALFORMED},
    {"created_in_no_calendar", B("\x08"), B("\x1b\x80\0\0\0\0\0\0\0"), BP_E_MALFORMED},
    {"more_than_the_quota", B("\x09"), B("\x09"), BP_E_MALFORMED},
    {"more_than_is_left_of_the_quota", B("\x0a"), B("\x08"), BP_E_MALFORMED},
    {"before_is_past_every_number", B("\x0a"), B("\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), BP_E_MALFORMED},
    {"quota_long_form", B("\x09"), B("\x18\x0a"), BP_E_NOT_CANONICAL},
    {"quota_is_a_float", B("\x09"), B("\xf9\0\0"), BP_E_UNSUPPORTED},
    {"units_are_no_list", B("\x0b"), B("\xa0"), BP_E_MALFORMED},
    {"unit_of_five", B("\x0b"), B("\x81\x85" ID "\x61s\x61m\x64tpm2" KEYS("\x02")), BP_E_MALFORMED},
    {"id_too_short", B("\x0b"), B("\x81" UNIT("\x41\x01", "\x61s", "\x61m", "\x64tpm2", KEYS("\x02"), "\x40")),
     BP_E_MALFORMED},
    {"id_of_another_type", B("\x0b"), B("\x81" PLAIN("\x58\x21\x02" H, KEYS("\x02"))), BP_E_MALFORMED},
    {"id_of_another_key", B("\x0b"), B("\x81" PLAIN("\x58\x21\x01" G, KEYS("\x02"))), BP_E_MALFORMED},
    {"identity_key_not_first", B("\x0b"), B("\x81" PLAIN(ID, "\x82\x82\x01\x58\x20" G "\x82\x02\x58\x20" H)),
     BP_E_MALFORMED},
    {"serial_is_empty", B("\x0b"), B("\x81" UNIT(ID, "\x60", "\x61m", "\x64tpm2", KEYS("\x02"), "\x40")), BP_E_MALFORMED},
    {"model_too_long", B("\x0b"), B("\x81" UNIT(ID, "\x61s", LONG_TEXT, "\x64tpm2", KEYS("\x02"), "\x40")), BP_E_LIMIT},
    {"unknown_root", B("\x0b"), B("\x81" UNIT(ID, "\x61s", "\x61m", "\x64" "dice", KEYS("\x02"), "\x40")),
     BP_E_UNSUPPORTED},
    {"no_keys", B("\x0b"), B("\x81" PLAIN(ID, "\x80")), BP_E_MALFORMED},
    {"unknown_kind_of_key", B("\x0b"), B("\x81" PLAIN(ID, KEYS("\x04"))), BP_E_UNSUPPORTED},
    {"kind_of_key_cut_to_32_bits", B("\x0b"), B("\x81" PLAIN(ID, KEYS("\x1b\0\0\0\1\0\0\0\2"))), BP_E_UNSUPPORTED},
    {"key_of_three", B("\x0b"), B("\x81" PLAIN(ID, "\x81\x83\x02\x58\x20" H "\x00")), BP_E_MALFORMED},
    {"hash_too_short", B("\x0b"), B("\x81" PLAIN(ID, "\x81\x82\x02\x41x")), BP_E_MALFORMED},
    {"key_twice", B("\x0b"), B("\x81" PLAIN(ID, "\x82\x82\x02\x58\x20" H "\x82\x01\x58\x20" H)), BP_E_MALFORMED},
    {"tpm_named_by_its_idevid", B("\x0b"),
     B("\x81" UNIT(ID, "\x61s", "\x61m", "\x64tpm2", KEYS("\x10"), "\x58\x20" G)), BP_E_MALFORMED},
    {"idevid_named_by_an_endorsement_key", B("\x0b"),
     B("\x81" UNIT(ID, "\x61s", "\x61m", "\x66idevid", KEYS("\x02"), "\x40")), BP_E_MALFORMED},
    {"idevid_without_certificate", B("\x0b"), B("\x81" UNIT(ID, "\x61s", "\x61m", "\x66idevid", KEYS("\x10"), "\x40")),
     BP_E_MALFORMED},
    {"certificate_without_idevid", B("\x0b"),
     B("\x81" UNIT(ID, "\x61s", "\x61m", "\x64tpm2", KEYS("\x02"), "\x58\x20" G)), BP_E_MALFORMED},
    {"certificate_hash_too_short", B("\x0b"), B("\x81" UNIT(ID, "\x61s", "\x61m", "\x64tpm2", KEYS("\x02"), "\x41x")),
     BP_E_MALFORMED},
    {"unit_twice", B("\x0b"), B("\x82" PLAIN(ID, KEYS("\x02")) PLAIN(ID, KEYS("\x02"))), BP_E_MALFORMED},
    {"units_not_in_order", B("\x0b"),
     B("\x82" PLAIN("\x58\x21\x01" G, "\x81\x82\x02\x58\x20" G) PLAIN(ID, KEYS("\x02"))), BP_E_MALFORMED},
};

BP_CASE(malformed)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_case_begin();
        struct bp_manifest back, before;
        memset(&before, 0, sizeof before);
        back = before;
        const bp_span in = remap(bp_span_of(good, good_n), bad[i].key, bad[i].value, room, sizeof room);
        BP_CHECK(in.n != 0);
        const bp_result r = bp_manifest_read(in, &back);
        if (!BP_CHECK(bp_is(r, bad[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        BP_CHECK(memcmp(&back, &before, sizeof back) == 0);
        bp_case_end(bad[i].name);
    }
}

BP_CASE(one_unit_more_than_a_batch_may_have_is_too_many)
{
    struct bp_manifest back;
    const bp_span in = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x0b"), BP_SPAN_STR("\x99\x03\xe9"), room, sizeof room);
    /* The list itself is not there: its number alone must be refused, before its items are looked for. */
    BP_CHECK(in.n == 0 || bp_failed(bp_manifest_read(in, &back)));
    static uint8_t many[4096];
    bp_wr wr = bp_wr_over(many, sizeof many);
    bp_wr_bytes(&wr, BP_SPAN_STR("\x99\x03\xe9"));
    for (unsigned i = 0; i <= BP_MANIFEST_UNITS_MAX; i++) {
        bp_wr_u8(&wr, 0x80);
    }
    const bp_span list = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x0b"), bp_wr_span(&wr), room, sizeof room);
    BP_CHECK(list.n != 0 && bp_is(bp_manifest_read(list, &back), BP_E_LIMIT));
}

BP_CASE(members_of_a_newer_minor_are_passed_over)
{
    struct bp_manifest back;
    static uint8_t newer[4096];
    bp_span in = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x0c"), BP_SPAN_STR("\x63new"), room, sizeof room);
    in = remap(in, BP_SPAN_STR("\x03"), BP_SPAN_STR("\x01"), newer, sizeof newer);
    BP_CHECK(in.n != 0 && !bp_failed(bp_manifest_read(in, &back)) && back.units == 3);
}

BP_CASE(what_would_be_refused_is_not_written)
{
    size_t n = 0;
    struct bp_manifest_unit u[3];
    units(u);
    for (int i = 0; i < 12; i++) {
        struct bp_manifest m = sample();
        struct bp_manifest_unit v[3] = {u[0], u[1], u[2]};
        switch (i) {
        case 0:
            m.maker = BP_SPAN_EMPTY;
            break;
        case 1:
            m.order = BP_SPAN_STR("a\tb");
            break;
        case 2:
            m.batch = 0;
            break;
        case 3:
            m.before = 8;
            break;
        case 4:
            m.key = BP_SPAN_EMPTY;
            break;
        case 5:
            m.units = BP_MANIFEST_UNITS_MAX + 1;
            break;
        case 6:
            v[0] = u[1];
            v[1] = u[0];
            break;
        case 7:
            v[1] = u[0];
            break;
        case 8:
            v[0].keys = BP_MANIFEST_KEYS_MAX + 1;
            break;
        case 9:
            v[2].kind = BP_SPAN_STR("puf");
            break;
        case 10:
            v[2].key[0].kind = 9;
            break;
        default:
            v[0].idevid = BP_SPAN_EMPTY;
            break;
        }
        BP_CHECK(bp_is(bp_manifest_write(&m, v, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    }
    u[0].id.n--;
    BP_CHECK(bp_is(bp_manifest_unit_write(&u[0], room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_SUITE(manifest, BP_RUN(comes_back_as_it_was) BP_RUN(a_unit_alone_is_as_it_stands_in_the_list)
                       BP_RUN(truncations_are_refused) BP_TABLE(malformed)
                           BP_RUN(one_unit_more_than_a_batch_may_have_is_too_many)
                               BP_RUN(members_of_a_newer_minor_are_passed_over)
                                   BP_RUN(what_would_be_refused_is_not_written))
