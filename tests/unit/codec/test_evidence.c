/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_evidence - the collection that a device posts, both directions. */
#include "codec/evidence.h"
#include "harness.h"
#include "unit/codec/remap.h"

static const uint8_t hash[33] = {1, 5};
static uint8_t good[1024];
static size_t good_n;
static uint8_t room[1400];
static struct bp_evidence ev;

static void fill(void)
{
    memset(&ev, 0, sizeof ev);
    ev.about = (struct bp_about){.device_id = BP_SPAN_OF(hash),
                                 .seq = 7,
                                 .issued_ms = 1790000000000,
                                 .ldevid = bp_span_of(hash, 32),
                                 .features = 1,
                                 .agent = BP_SPAN_STR("1.0"),
                                 .activation = bp_span_of(hash, 32),
                                 .has_held = true,
                                 .held_log = bp_span_of(hash, 32),
                                 .held_ima = 3};
    ev.about.feature[0] = BP_SPAN_STR("a");
    ev.attest = BP_SPAN_STR("attest");
    ev.signature = BP_SPAN_STR("signature");
    ev.has_boot = true;
    ev.boot = BP_SPAN_STR("log");
    ev.has_ima = true;
    ev.ima_from = 3;
    ev.ima = BP_SPAN_STR("entries");
    ev.has_pcrs = true;
    ev.pcrs = 2;
    ev.pcr[0] = bp_span_of(hash, 32);
    ev.pcr[1] = bp_span_of(hash, 32);
    ev.keys = 1;
    ev.key[0] = (struct bp_certified){BP_SPAN_STR("p"), BP_SPAN_STR("a"), BP_SPAN_STR("s")};
}

BP_CASE(comes_back_as_it_was)
{
    size_t n = 0;
    fill();
    BP_NEED(!bp_failed(bp_evidence_write(&ev, true, good, sizeof good, &good_n)));
    BP_NEED(!bp_failed(bp_evidence_read(bp_span_of(good, good_n), &ev)));
    BP_CHECK(ev.about.seq == 7 && ev.about.has_held && ev.about.held_ima == 3 && ev.about.activation.n == 32);
    BP_CHECK(ev.about.features == 1 && bp_span_equal(ev.about.agent, BP_SPAN_STR("1.0")));
    BP_CHECK(bp_span_equal(ev.attest, BP_SPAN_STR("attest")) && bp_span_equal(ev.boot, BP_SPAN_STR("log")));
    BP_CHECK(ev.ima_from == 3 && bp_span_equal(ev.ima, BP_SPAN_STR("entries")) && ev.pcrs == 2 && ev.keys == 1);
    BP_CHECK(ev.unknown == 0 && ev.labels == 6);
    BP_CHECK(!bp_failed(bp_evidence_write(&ev, true, room, sizeof room, &n)) && n == good_n && memcmp(room, good, n) == 0);
    for (size_t cap = 0; cap < good_n; cap++) {
        BP_CHECK(bp_is(bp_evidence_write(&ev, true, room, cap, &n), BP_E_NO_SPACE) && n == good_n);
    }
}

/* What extraData covers is what is written before there is a quote. */
BP_CASE(covered_is_everything_but_the_quote)
{
    uint8_t head[9];
    bp_span part[BP_EVIDENCE_COVERED];
    static uint8_t joined[1024];
    size_t n = 0;
    BP_NEED(!bp_failed(bp_evidence_read(bp_span_of(good, good_n), &ev)));
    bp_evidence_covered(&ev, head, part);
    bp_wr wr = bp_wr_over(joined, sizeof joined);
    for (size_t i = 0; i < BP_EVIDENCE_COVERED; i++) {
        bp_wr_bytes(&wr, part[i]);
    }
    BP_CHECK(!bp_failed(bp_evidence_write(&ev, false, room, sizeof room, &n)));
    BP_CHECK(bp_span_equal(bp_wr_span(&wr), bp_span_of(room, n)));
}

static bool is_blank(void)
{
    const uint8_t *p = (const uint8_t *)&ev;
    for (size_t i = 0; i < sizeof ev; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

BP_CASE(truncations_are_refused_and_leave_nothing)
{
    for (size_t n = 0; n < good_n; n++) {
        memset(&ev, 0, sizeof ev);
        BP_CHECK(bp_failed(bp_evidence_read(bp_span_of(good, n), &ev)) && is_blank());
    }
}

#define K(s) {(const uint8_t *)(s), sizeof(s) - 1}
#define NONE {NULL, 0}
#define M    "application/vnd.bedplate."

static const struct {
    const char *name;
    bp_span key, value;
    enum bp_error want;
} bad[] = {
    {"no_about", K("\x65" "about"), NONE, BP_E_MALFORMED},
    {"no_quote", K("\x65" "quote"), NONE, BP_E_MALFORMED},
    {"record_of_one", K("\x65" "quote"), K("\x81\x61x"), BP_E_MALFORMED},
    {"record_of_three", K("\x65" "quote"), K("\x83\x61x\x40\x00"), BP_E_MALFORMED},
    {"media_is_number", K("\x65" "quote"), K("\x82\x01\x40"), BP_E_MALFORMED},
    {"media_of_somebody", K("\x65" "quote"), K("\x82\x61x\x40"), BP_E_UNSUPPORTED},
    {"value_is_text", K("\x64" "boot"), K("\x82\x78\x20" M "tcg-log" "\x61x"), BP_E_MALFORMED},
    {"ima_not_cbor", K("\x63" "ima"), K("\x82\x78\x21" M "ima+cbor" "\x41\xff"), BP_E_MALFORMED},
    {"ima_from_is_negative", K("\x63" "ima"), K("\x82\x78\x21" M "ima+cbor" "\x43\x82\x20\x40"), BP_E_MALFORMED},
    {"ima_of_one", K("\x63" "ima"), K("\x82\x78\x21" M "ima+cbor" "\x42\x81\x00"), BP_E_MALFORMED},
    {"ima_from_too_far", K("\x63" "ima"),
     K("\x82\x78\x21" M "ima+cbor" "\x4b\x82\x1b\0\0\0\1\0\0\0\0\x40"), BP_E_LIMIT},
    {"pcrs_are_no_list", K("\x64" "pcrs"), K("\x82\x78\x22" M "pcrs+cbor" "\x41\x00"), BP_E_MALFORMED},
    {"pcr_is_text", K("\x64" "pcrs"), K("\x82\x78\x22" M "pcrs+cbor" "\x43\x81\x61x"), BP_E_MALFORMED},
    {"key_of_two", K("\x64" "keys"), K("\x82\x78\x22" M "keys+cbor" "\x44\x81\x82\x40\x40"), BP_E_MALFORMED},
    {"quote_of_one", K("\x65" "quote"), K("\x82\x78\x23" M "quote+cbor" "\x42\x81\x40"), BP_E_MALFORMED},
    {"quote_trailing_byte", K("\x65" "quote"), K("\x82\x78\x23" M "quote+cbor" "\x44\x82\x40\x40\x00"), BP_E_MALFORMED},
    {"about_is_a_list", K("\x65" "about"), K("\x82\x78\x23" M "about+cbor" "\x41\x80"), BP_E_MALFORMED},
    {"about_of_another_type", K("\x65" "about"), K("\x82\x78\x23" M "about+cbor" "\x44\xa1\x01\x61x"), BP_E_UNSUPPORTED},
    {"about_of_another_major", K("\x65" "about"),
     K("\x82\x78\x23" M "about+cbor" "\x4a\xa2\x01\x65" "about\x02\x02"), BP_E_UNSUPPORTED},
    {"about_without_members", K("\x65" "about"),
     K("\x82\x78\x23" M "about+cbor" "\x4a\xa2\x01\x65" "about\x02\x01"), BP_E_MALFORMED},
    {"labels_out_of_order", K("\x61" "a"), K("\x82\x60\x40"), BP_E_NOT_CANONICAL},
};

BP_CASE(malformed)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_case_begin();
        const bp_span in = remap(bp_span_of(good, good_n), bad[i].key, bad[i].value, room, sizeof room);
        BP_CHECK(in.n != 0);
        memset(&ev, 0, sizeof ev);
        const bp_result r = bp_evidence_read(in, &ev);
        if (!BP_CHECK(bp_is(r, bad[i].want))) {
            printf("# %s\n", bp_error_name(bp_error_of(r)));
        }
        BP_CHECK(is_blank());
        bp_case_end(bad[i].name);
    }
}

BP_CASE(an_unknown_label_is_kept_and_covered)
{
    uint8_t head[9];
    bp_span part[BP_EVIDENCE_COVERED];
    const bp_span in = remap(bp_span_of(good, good_n), BP_SPAN_STR("\x66" "future"), BP_SPAN_STR("\x82\x61t\x42hi"), room,
                             sizeof room);
    BP_NEED(in.n != 0 && !bp_failed(bp_evidence_read(in, &ev)));
    BP_CHECK(ev.unknown == 1 && ev.labels == 7);
    bp_evidence_covered(&ev, head, part);
    BP_CHECK(head[0] == 0xa6 && part[2].n >= 13 && memcmp(part[2].p + part[2].n - 13, "\x66" "future", 7) == 0);
}

BP_CASE(what_would_be_refused_is_not_written)
{
    size_t n = 0;
    fill();
    ev.about.device_id.n--;
    BP_CHECK(bp_is(bp_evidence_write(&ev, true, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill();
    ev.keys = BP_EVIDENCE_KEYS_MAX + 1;
    BP_CHECK(bp_is(bp_evidence_write(&ev, true, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill();
    ev.pcrs = BP_EVIDENCE_PCRS_MAX + 1;
    BP_CHECK(bp_is(bp_evidence_write(&ev, true, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill();
    ev.about.activation.n = 31;
    BP_CHECK(bp_is(bp_evidence_write(&ev, true, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_SUITE(evidence, BP_RUN(comes_back_as_it_was) BP_RUN(covered_is_everything_but_the_quote)
                       BP_RUN(truncations_are_refused_and_leave_nothing) BP_TABLE(malformed)
                           BP_RUN(an_unknown_label_is_kept_and_covered) BP_RUN(what_would_be_refused_is_not_written))
