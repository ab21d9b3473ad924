/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_replay - PCRs, the IMA list and the boot log, replayed from lists made here.
 */
#include "core/bootlog.h"
#include "core/replay.h"
#include "core/tpmalg.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

static struct bp_crypto *crypto;
static uint8_t room[8192];

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
}

BP_CASE(pcrs_start_and_extend)
{
    struct bp_pcrs pcrs;
    BP_NEED(!bp_failed(bp_pcrs_init(BP_HASH_SHA256, 3, &pcrs)));
    BP_CHECK(bp_pcrs_value(&pcrs, 0).p[31] == 3 && bp_pcrs_value(&pcrs, 0).p[0] == 0);
    BP_CHECK(bp_pcrs_value(&pcrs, 17).p[0] == 0xff && bp_pcrs_value(&pcrs, 23).p[0] == 0);
    BP_CHECK(bp_pcrs_value(&pcrs, 24).n == 0 &&
             bp_is(bp_pcrs_init(BP_HASH_NONE, 0, &pcrs), BP_E_UNSUPPORTED));
    static const uint8_t digest[32] = {1};
    uint8_t both[64] = {0}, want[BP_HASH_MAX];
    both[32] = 1;
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_OF(both), want)));
    BP_CHECK(!bp_failed(bp_pcrs_extend(crypto, &pcrs, 5, BP_SPAN_OF(digest))));
    BP_CHECK(memcmp(bp_pcrs_value(&pcrs, 5).p, want, 32) == 0 && pcrs.extended == 1u << 5);
    BP_CHECK(bp_is(bp_pcrs_extend(crypto, &pcrs, 24, BP_SPAN_OF(digest)), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_pcrs_extend(crypto, &pcrs, 5, bp_span_of(digest, 20)), BP_E_BAD_ARGUMENT));
}

/* --- IMA --- */

static void put_entry(bp_wr *wr, const char *path, bool violation)
{
    static const uint8_t zeros[20];
    uint8_t data[128], file[32] = {(uint8_t)path[1]}, digest[BP_HASH_MAX];
    if (violation) {
        memset(file, 0, sizeof file);
    }
    bp_wr d = bp_wr_over(data, sizeof data);
    bp_ima_write_data(&d, BP_IMA_NG, BP_TPM_ALG_SHA256, BP_SPAN_OF(file), bp_span_cstr(path),
                      BP_SPAN_EMPTY);
    BP_CHECK(!bp_failed(bp_hash(crypto, BP_HASH_SHA1, bp_wr_span(&d), digest)));
    bp_ima_write_entry(wr, BP_IMA_NG, violation ? BP_SPAN_OF(zeros) : bp_span_of(digest, 20),
                       bp_wr_span(&d));
}

static bp_span make_list(void)
{
    bp_wr wr = bp_wr_over(room, sizeof room);
    put_entry(&wr, "/a", false);
    put_entry(&wr, "/b", true);
    put_entry(&wr, "/c", false);
    return bp_wr_span(&wr);
}

/* Points after 0..3 entries, by single steps. */
static void walk(bp_span list, struct bp_ima_point points[4], size_t ends[4])
{
    struct bp_ima ima = bp_ima_open(list, 0);
    struct bp_ima_entry e;
    points[0] = bp_ima_point_zero();
    ends[0] = 0;
    for (size_t i = 1; i < 4; i++) {
        points[i] = points[i - 1];
        BP_NEED(!bp_failed(bp_ima_next(&ima, &e)));
        BP_NEED(!bp_failed(bp_ima_extend(crypto, BP_HASH_SHA256, &points[i], &e)));
        ends[i] = ima.at;
    }
}

BP_CASE(every_prefix_is_found_from_every_point)
{
    struct bp_ima_point points[4];
    size_t ends[4];
    const bp_span list = make_list();
    walk(list, points, ends);
    for (size_t from = 0; from < 4; from++) {
        for (size_t to = 0; to < 4; to++) {
            struct bp_ima_match m = {.bad_index = 99};
            const bp_span delta = bp_span_of(list.p + ends[from], list.n - ends[from]);
            const bp_result r = bp_ima_replay(crypto, BP_HASH_SHA256, &points[from], delta,
                                              bp_span_of(points[to].pcr, 32), &m);
            if (to < from) {
                BP_CHECK(bp_is(r, BP_E_NOT_FOUND) && m.bad_index == 3);
            } else {
                BP_CHECK(!bp_failed(r) && m.entries == to - from &&
                         m.bytes == ends[to] - ends[from]);
                BP_CHECK(m.point.count == to);
            }
        }
    }
}

BP_CASE(violation_extends_ones)
{
    struct bp_ima_point points[4];
    size_t ends[4];
    uint8_t both[64], want[BP_HASH_MAX];
    walk(make_list(), points, ends);
    memcpy(both, points[1].pcr, 32);
    memset(both + 32, 0xff, 32);
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_OF(both), want)));
    BP_CHECK(memcmp(points[2].pcr, want, 32) == 0);
}

BP_CASE(a_list_past_the_quote_is_not_looked_at)
{
    struct bp_ima_point points[4];
    size_t ends[4];
    struct bp_ima_match m;
    const bp_span list = make_list();
    walk(list, points, ends);
    memset(room + ends[2], 0xff, list.n - ends[2]);
    BP_CHECK(!bp_failed(bp_ima_replay(crypto, BP_HASH_SHA256, &points[0], list,
                                      bp_span_of(points[2].pcr, 32), &m)));
    BP_CHECK(bp_failed(bp_ima_replay(crypto, BP_HASH_SHA256, &points[0], list,
                                     bp_span_of(points[3].pcr, 32), &m)));
    BP_CHECK(m.bad_index == 2);
}

BP_CASE(ima_faults_are_named)
{
    struct bp_ima_point points[4];
    size_t ends[4];
    struct bp_ima_match m;
    const bp_span list = make_list();
    walk(list, points, ends);
    room[ends[3] - 2] ^= 1; /* the path of the third */
    BP_CHECK(bp_is(
        bp_ima_replay(crypto, BP_HASH_SHA256, &points[0], list, bp_span_of(points[3].pcr, 32), &m),
        BP_E_MISMATCH));
    BP_CHECK(m.bad_index == 2);
    BP_CHECK(bp_is(
        bp_ima_replay(crypto, BP_HASH_SHA256, &points[0], list, bp_span_of(points[3].pcr, 20), &m),
        BP_E_BAD_ARGUMENT));
    /* An entry taken as a violation replays to another value. */
    (void)make_list();
    memset(room + 4, 0, 20);
    BP_CHECK(bp_failed(bp_ima_replay(crypto, BP_HASH_SHA256, &points[0], list,
                                     bp_span_of(points[3].pcr, 32), &m)));
    struct bp_ima ima = bp_ima_open(make_list(), 1);
    struct bp_ima_entry e;
    BP_NEED(!bp_failed(bp_ima_next(&ima, &e)));
    BP_CHECK(bp_is(bp_ima_extend(crypto, BP_HASH_SHA256, &points[0], &e), BP_E_BAD_ARGUMENT));
}

/* --- boot log --- */

static void put_event(bp_wr *wr, uint32_t pcr, uint32_t type, bp_span data, bp_span hashed)
{
    static const uint8_t zeros[32];
    uint8_t digest[BP_HASH_MAX];
    BP_CHECK(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, hashed, digest)));
    const struct bp_tcg_digest d = {
        BP_TPM_ALG_SHA256, type == BP_EV_NO_ACTION ? BP_SPAN_OF(zeros) : bp_span_of(digest, 32)};
    bp_tcglog_write_event(wr, pcr, type, &d, 1, data);
}

static bp_wr begin_log(void)
{
    static const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA256, 32};
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tcglog_write_head(&wr, &bank, 1);
    return wr;
}

static bp_result walk_log(bp_span log, struct bp_bootlog *bl, struct bp_boot_event *last)
{
    struct bp_boot_event ev;
    bp_result r = bp_bootlog_open(log, BP_HASH_SHA256, bl);
    while (!bp_failed(r)) {
        r = bp_bootlog_next(crypto, bl, &ev);
        if (!bp_failed(r)) {
            *last = ev;
        }
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

#define ZEROS4   BP_SPAN_STR("\0\0\0\0")
/* GUID of 16, name of 2 characters, value of 1: "PK" = 1. */
#define VARIABLE BP_SPAN_STR("GGGGGGGGGGGGGGGG\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0P\0K\0\1")

/* Each type that a single data may be given: the claim does not move with it, or the log is
 * refused. */
BP_CASE(type_never_makes_a_claim)
{
    static const uint32_t types[] = {BP_EV_EFI_VARIABLE_DRIVER_CONFIG,
                                     BP_EV_EFI_VARIABLE_AUTHORITY,
                                     BP_EV_EFI_ACTION,
                                     BP_EV_SEPARATOR,
                                     BP_EV_IPL,
                                     BP_EV_EFI_BOOT_SERVICES_APPLICATION,
                                     BP_EV_S_CRTM_VERSION,
                                     BP_EV_EVENT_TAG,
                                     BP_EV_EFI_GPT_EVENT};
    uint8_t claims[BP_SHA256_SIZE];
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct bp_bootlog bl;
        struct bp_boot_event ev;
        bp_wr wr = begin_log();
        put_event(&wr, 7, types[i], VARIABLE, VARIABLE);
        BP_NEED(!bp_failed(walk_log(bp_wr_span(&wr), &bl, &ev)));
        BP_CHECK(ev.cover == BP_BOOT_COVERED && ev.claim.view == BP_BOOT_VIEW_VARIABLE &&
                 ev.claim.value.p[0] == 1);
        BP_CHECK(bp_tcg_name_is(ev.claim.name, BP_SPAN_STR("PK")));
        if (i == 0) {
            memcpy(claims, bl.claims, sizeof claims);
        }
        BP_CHECK(memcmp(claims, bl.claims, sizeof claims) == 0);
    }
}

BP_CASE(data_that_does_not_match_is_named)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    bp_wr wr = begin_log();
    put_event(&wr, 0, BP_EV_SEPARATOR, ZEROS4, ZEROS4);
    put_event(&wr, 7, BP_EV_EFI_VARIABLE_DRIVER_CONFIG, VARIABLE, ZEROS4);
    put_event(&wr, 9, BP_EV_IPL, BP_SPAN_STR("/vmlinuz"), ZEROS4);
    BP_NEED(!bp_failed(walk_log(bp_wr_span(&wr), &bl, &ev)));
    BP_CHECK(bl.lies == 1 && bl.first_lie == 1 && bl.separators == 1);
    BP_CHECK(ev.cover == BP_BOOT_NOT_COVERED && ev.claim.view == BP_BOOT_VIEW_NONE &&
             ev.claim.value.n == 0);
}

BP_CASE(boot_variable_of_which_the_value_is_hashed)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    bp_wr wr = begin_log();
    put_event(&wr, 1, BP_EV_EFI_VARIABLE_BOOT, VARIABLE, BP_SPAN_STR("\1"));
    BP_NEED(!bp_failed(walk_log(bp_wr_span(&wr), &bl, &ev)));
    BP_CHECK(ev.cover == BP_BOOT_COVERED && ev.claim.view == BP_BOOT_VIEW_NONE &&
             ev.claim.name.n == 0);
}

BP_CASE(unknown_type_fails_closed)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    bp_wr wr = begin_log();
    put_event(&wr, 0, BP_EV_SEPARATOR, ZEROS4, ZEROS4);
    put_event(&wr, 0, 0x14, ZEROS4, ZEROS4);
    BP_CHECK(bp_is(walk_log(bp_wr_span(&wr), &bl, &ev), BP_E_UNSUPPORTED));
    BP_CHECK(bp_bootlog_at(&bl) == 1);
}

BP_CASE(locality_counts_only_first)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    bp_wr wr = begin_log();
    put_event(&wr, 0, BP_EV_NO_ACTION, BP_SPAN_STR("StartupLocality\0\3"), ZEROS4);
    BP_NEED(!bp_failed(walk_log(bp_wr_span(&wr), &bl, &ev)));
    BP_CHECK(bp_pcrs_value(&bl.pcrs, 0).p[31] == 3 && !ev.extended);
    put_event(&wr, 0, BP_EV_NO_ACTION, BP_SPAN_STR("StartupLocality\0\4"), ZEROS4);
    BP_CHECK(bp_is(walk_log(bp_wr_span(&wr), &bl, &ev), BP_E_MALFORMED));
    wr = begin_log();
    put_event(&wr, 0, BP_EV_SEPARATOR, ZEROS4, ZEROS4);
    put_event(&wr, 0, BP_EV_NO_ACTION, BP_SPAN_STR("StartupLocality\0\3"), ZEROS4);
    BP_CHECK(bp_is(walk_log(bp_wr_span(&wr), &bl, &ev), BP_E_MALFORMED));
}

BP_CASE(compare_tells_which)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    uint8_t values[3 * 32] = {0};
    uint32_t bad = 0;
    bp_wr wr = begin_log();
    put_event(&wr, 4, BP_EV_SEPARATOR, ZEROS4, ZEROS4);
    BP_NEED(!bp_failed(walk_log(bp_wr_span(&wr), &bl, &ev)));
    memcpy(values + 32, bp_pcrs_value(&bl.pcrs, 4).p, 32);
    BP_CHECK(!bp_failed(bp_bootlog_compare(&bl, 0x98, BP_SPAN_OF(values), &bad)) && bad == 0);
    values[32] ^= 1;
    values[95] ^= 1;
    BP_CHECK(bp_is(bp_bootlog_compare(&bl, 0x98, BP_SPAN_OF(values), &bad), BP_E_MISMATCH) &&
             bad == 0x90);
    BP_CHECK(bp_is(bp_bootlog_compare(&bl, 0x98, bp_span_of(values, 95), &bad), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_bootlog_compare(&bl, 0x1000000, BP_SPAN_EMPTY, &bad), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_bootlog_open(bp_wr_span(&wr), BP_HASH_SHA384, &bl), BP_E_NOT_FOUND));
}

BP_CASE(teardown)
{
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

BP_SUITE(core_replay,
         BP_RUN(setup) BP_RUN(pcrs_start_and_extend) BP_RUN(every_prefix_is_found_from_every_point)
             BP_RUN(violation_extends_ones) BP_RUN(a_list_past_the_quote_is_not_looked_at)
                 BP_RUN(ima_faults_are_named) BP_RUN(type_never_makes_a_claim)
                     BP_RUN(data_that_does_not_match_is_named)
                         BP_RUN(boot_variable_of_which_the_value_is_hashed)
                             BP_RUN(unknown_type_fails_closed) BP_RUN(locality_counts_only_first)
                                 BP_RUN(compare_tells_which) BP_RUN(teardown))
