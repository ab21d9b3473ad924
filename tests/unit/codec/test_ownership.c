/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_ownership - statements of ownership, cards, anchors and chains: written, read, and refused. */
#include "codec/ownership.h"
#include "harness.h"
#include "remap.h"

static uint8_t room[4096];
static uint8_t back[4096];
static const uint8_t some[1100] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint8_t zero[32];

static struct bp_ownership sample(void)
{
    return (struct bp_ownership){.device_id = bp_span_of(some, 33), .kind = BP_OWNERSHIP_TRANSFER, .epoch = 2,
                                 .prev = bp_span_of(some, 32), .from_key = bp_span_of(some + 1, 32),
                                 .to_key = bp_span_of(some, 91), .owner = BP_SPAN_STR("Example AG"),
                                 .created_ms = 1790000000000, .expires_ms = 1800000000000};
}

static struct bp_owner_card card(void)
{
    return (struct bp_owner_card){.key = bp_span_of(some, 91), .name = BP_SPAN_STR("Example"), .root = bp_span_of(some, 32),
                                  .created_ms = 1790000000000};
}

static struct bp_maker_anchor anchor(void)
{
    return (struct bp_maker_anchor){.name = BP_SPAN_STR("Maker"), .keys = 2, .key = {bp_span_of(some, 91), bp_span_of(some, 90)}};
}

static struct bp_ownership_chain chain(void)
{
    return (struct bp_ownership_chain){.device_id = bp_span_of(some, 33), .maker = bp_span_of(some, 120), .statements = 2,
                                       .statement = {bp_span_of(some, 300), bp_span_of(some, 301)},
                                       .card = bp_span_of(some, 250)};
}

static struct bp_owner_erasure erasure(void)
{
    return (struct bp_owner_erasure){.device_id = bp_span_of(some, 33), .epoch = 2, .head = bp_span_of(some, 32),
                                     .time_ms = 1790000000000, .attest = bp_span_of(some, 140), .sig = bp_span_of(some, 72)};
}

BP_CASE(erasure_round_trip)
{
    const struct bp_owner_erasure in = erasure();
    struct bp_owner_erasure out;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_owner_erasure_write(&in, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_owner_erasure_read(bp_span_of(room, n), &out)));
    BP_CHECK(out.epoch == 2 && out.time_ms == in.time_ms && bp_span_equal(out.attest, in.attest) && bp_span_equal(out.sig, in.sig));
    BP_CHECK(!bp_failed(bp_owner_erasure_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_owner_erasure_read(bp_span_of(room, cut), &out)) && out.epoch == 0);
    }
}

BP_CASE(statement_round_trip)
{
    static const enum bp_ownership_kind kinds[] = {BP_OWNERSHIP_ASSIGN, BP_OWNERSHIP_TRANSFER, BP_OWNERSHIP_RETIRE,
                                                   BP_OWNERSHIP_OVERRIDE};
    for (size_t i = 0; i < 4; i++) {
        struct bp_ownership in = sample();
        struct bp_ownership out;
        size_t n = 0, m = 0;
        in.kind = kinds[i];
        if (in.kind == BP_OWNERSHIP_ASSIGN) {
            in.epoch = 1;
            in.prev = BP_SPAN_OF(zero);
        } else if (in.kind == BP_OWNERSHIP_RETIRE) {
            in.to_key = in.owner = BP_SPAN_EMPTY;
        } else if (in.kind == BP_OWNERSHIP_OVERRIDE) {
            in.waits_ms = BP_OWNERSHIP_WAIT_LEAST_MS;
        }
        BP_NEED(!bp_failed(bp_ownership_write(&in, room, sizeof room, &n)) && n <= BP_OWNERSHIP_MAX);
        BP_NEED(!bp_failed(bp_ownership_read(bp_span_of(room, n), &out)));
        BP_CHECK(out.kind == in.kind && out.epoch == in.epoch && out.created_ms == in.created_ms &&
                 out.expires_ms == in.expires_ms && out.waits_ms == in.waits_ms && out.unknown == 0);
        BP_CHECK(bp_span_equal(out.owner, in.owner) && bp_span_equal(out.to_key, in.to_key) &&
                 bp_span_equal(out.from_key, in.from_key) && bp_span_equal(out.prev, in.prev));
        BP_CHECK(!bp_failed(bp_ownership_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
        BP_CHECK(bp_is(bp_ownership_write(&in, back, n - 1, &m), BP_E_NO_SPACE) && m == n);
        for (size_t cut = 0; cut < n; cut++) {
            BP_CHECK(bp_failed(bp_ownership_read(bp_span_of(room, cut), &out)) && out.epoch == 0);
        }
    }
}

BP_CASE(the_largest_statement_fits)
{
    static uint8_t name[BP_OWNERSHIP_NAME_MAX];
    struct bp_ownership v = sample();
    size_t n = 0;
    memset(name, 'x', sizeof name);
    v.kind = BP_OWNERSHIP_OVERRIDE;
    v.epoch = UINT32_MAX;
    v.to_key = bp_span_of(some, BP_OWNERSHIP_SPKI_MAX);
    v.owner = bp_span_of(name, sizeof name);
    v.created_ms = INT64_MAX - 1;
    v.expires_ms = INT64_MAX;
    v.waits_ms = BP_OWNERSHIP_WAIT_MOST_MS;
    BP_CHECK(!bp_failed(bp_ownership_write(&v, room, sizeof room, &n)) && n <= BP_OWNERSHIP_MAX);
}

BP_CASE(card_round_trip)
{
    const struct bp_owner_card in = card();
    struct bp_owner_card out;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_owner_card_write(&in, room, sizeof room, &n)) && n <= BP_OWNERSHIP_MAX);
    BP_NEED(!bp_failed(bp_owner_card_read(bp_span_of(room, n), &out)));
    BP_CHECK(bp_span_equal(out.key, in.key) && bp_span_equal(out.name, in.name) && bp_span_equal(out.root, in.root));
    BP_CHECK(!bp_failed(bp_owner_card_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_owner_card_read(bp_span_of(room, cut), &out)) && out.key.n == 0);
    }
}

BP_CASE(anchor_round_trip)
{
    const struct bp_maker_anchor in = anchor();
    struct bp_maker_anchor out;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_maker_anchor_write(&in, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_maker_anchor_read(bp_span_of(room, n), &out)));
    BP_CHECK(out.keys == 2 && bp_span_equal(out.key[1], in.key[1]) && bp_span_equal(out.name, in.name));
    BP_CHECK(!bp_failed(bp_maker_anchor_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_maker_anchor_read(bp_span_of(room, cut), &out)) && out.keys == 0);
    }
}

BP_CASE(chain_round_trip)
{
    struct bp_ownership_chain in = chain();
    struct bp_ownership_chain out;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_ownership_chain_write(&in, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_ownership_chain_read(bp_span_of(room, n), &out)));
    BP_CHECK(out.statements == 2 && bp_span_equal(out.statement[1], in.statement[1]) && bp_span_equal(out.card, in.card));
    BP_CHECK(!bp_failed(bp_ownership_chain_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_ownership_chain_read(bp_span_of(room, cut), &out)) && out.statements == 0);
    }
    in.card = BP_SPAN_EMPTY;
    BP_NEED(!bp_failed(bp_ownership_chain_write(&in, room, sizeof room, &n)));
    BP_CHECK(!bp_failed(bp_ownership_chain_read(bp_span_of(room, n), &out)) && out.card.n == 0);
}

/* Members that we do not know are counted; the rest reads as before. */
BP_CASE(newer_minor_is_passed_over)
{
    const struct bp_ownership in = sample();
    struct bp_ownership out;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_ownership_write(&in, room, sizeof room, &n)));
    const bp_span more = remap(bp_span_of(room, n), BP_SPAN_STR("\x0e"), BP_SPAN_STR("\x61x"), back, sizeof back);
    BP_NEED(more.n > n && !bp_failed(bp_ownership_read(more, &out)));
    BP_CHECK(out.unknown == 1 && out.epoch == 2);
}

/* One member changed: what must become of it. */
struct change {
    const char *name;
    const char *key;
    bp_span value;
    enum bp_error error;
};
#define V(literal) BP_SPAN_STR(literal)

static void try_changes(const char *what, const struct change *rows, size_t count, bp_span good, bp_result (*read)(bp_span))
{
    for (size_t i = 0; i < count; i++) {
        char name[64];
        bp_case_begin();
        const bp_span bad = remap(good, bp_span_cstr(rows[i].key), rows[i].value, back, sizeof back);
        BP_CHECK(bad.n != 0 && !bp_failed(read(good)));
        BP_CHECK(bp_is(read(bad), rows[i].error));
        (void)snprintf(name, sizeof name, "%s_%s", what, rows[i].name);
        bp_case_end(name);
    }
}

static bp_result read_statement(bp_span in)
{
    struct bp_ownership v;
    return bp_ownership_read(in, &v);
}

static bp_result read_card(bp_span in)
{
    struct bp_owner_card v;
    return bp_owner_card_read(in, &v);
}

static bp_result read_anchor(bp_span in)
{
    struct bp_maker_anchor v;
    return bp_maker_anchor_read(in, &v);
}

static bp_result read_chain(bp_span in)
{
    static struct bp_ownership_chain v;
    return bp_ownership_chain_read(in, &v);
}

static bp_result read_erasure(bp_span in)
{
    struct bp_owner_erasure v;
    return bp_owner_erasure_read(in, &v);
}

static void bad_erasures(void)
{
    static uint8_t long_sig[3 + 641] = {0x59, 0x02, 0x81};
    const struct change rows[] = {{"type", "\x01", V("\x61x"), BP_E_UNSUPPORTED},
                                  {"device_short", "\x04", V("\x41x"), BP_E_MALFORMED},
                                  {"epoch_0", "\x05", bp_span_of("\0", 1), BP_E_MALFORMED},
                                  {"head_short", "\x06", V("\x41x"), BP_E_MALFORMED},
                                  {"before_1970", "\x07", V("\x20"), BP_E_MALFORMED},
                                  {"no_attest", "\x08", V("\x40"), BP_E_MALFORMED},
                                  {"sig_long", "\x09", BP_SPAN_OF(long_sig), BP_E_LIMIT},
                                  {"no_sig", "\x09", BP_SPAN_EMPTY, BP_E_MALFORMED}};
    const struct bp_owner_erasure v = erasure();
    size_t n = 0;
    if (!bp_failed(bp_owner_erasure_write(&v, room, sizeof room, &n))) {
        try_changes("erasure", rows, sizeof rows / sizeof rows[0], bp_span_of(room, n), read_erasure);
    }
}

static void bad_statements(void)
{
    static uint8_t long_key[3 + BP_OWNERSHIP_SPKI_MAX + 1] = {0x58, BP_OWNERSHIP_SPKI_MAX + 1};
    static uint8_t long_name[2 + BP_OWNERSHIP_NAME_MAX + 1] = {0x78, BP_OWNERSHIP_NAME_MAX + 1};
    static const uint8_t zero_hash[34] = {0x58, 32};
    memset(long_name + 2, 'x', BP_OWNERSHIP_NAME_MAX + 1);
    const struct change rows[] = {
        {"type", "\x01", V("\x67other-x"), BP_E_UNSUPPORTED},
        {"major_2", "\x02", V("\x02"), BP_E_UNSUPPORTED},
        {"no_minor", "\x03", BP_SPAN_EMPTY, BP_E_MALFORMED},
        {"device_short", "\x04", V("\x41x"), BP_E_MALFORMED},
        {"kind_unknown", "\x05", V("\x64lend"), BP_E_UNSUPPORTED},
        {"kind_number", "\x05", V("\x02"), BP_E_MALFORMED},
        {"kind_assign_late", "\x05", V("\x66" "assign"), BP_E_MALFORMED},
        {"retire_to_somebody", "\x05", V("\x66retire"), BP_E_MALFORMED},
        {"override_at_once", "\x05", V("\x68override"), BP_E_MALFORMED},
        {"epoch_0", "\x06", bp_span_of("\0", 1), BP_E_MALFORMED},
        {"epoch_1_of_a_transfer", "\x06", V("\x01"), BP_E_MALFORMED},
        {"epoch_huge", "\x06", bp_span_of("\x1b\0\0\0\1\0\0\0\0", 9), BP_E_LIMIT},
        {"prev_short", "\x07", V("\x41x"), BP_E_MALFORMED},
        {"prev_zero", "\x07", BP_SPAN_OF(zero_hash), BP_E_MALFORMED},
        {"from_short", "\x08", V("\x40"), BP_E_MALFORMED},
        {"no_to_key", "\x09", V("\x40"), BP_E_MALFORMED},
        {"to_key_long", "\x09", bp_span_of(long_key, 2 + BP_OWNERSHIP_SPKI_MAX + 1), BP_E_LIMIT},
        {"owner_empty", "\x0a", V("\x60"), BP_E_MALFORMED},
        {"owner_control", "\x0a", V("\x62" "a\n"), BP_E_MALFORMED},
        {"owner_not_utf8", "\x0a", V("\x61\xff"), BP_E_MALFORMED},
        {"owner_long", "\x0a", BP_SPAN_OF(long_name), BP_E_MALFORMED},
        {"created_before_1970", "\x0b", V("\x20"), BP_E_MALFORMED},
        {"expires_before_created", "\x0c", V("\x01"), BP_E_MALFORMED},
        {"a_transfer_waits", "\x0d", V("\x1a\x24\x0c\x84\x00"), BP_E_MALFORMED},
        {"no_waits", "\x0d", BP_SPAN_EMPTY, BP_E_MALFORMED}};
    const struct bp_ownership v = sample();
    size_t n = 0;
    if (!bp_failed(bp_ownership_write(&v, room, sizeof room, &n))) {
        try_changes("statement", rows, sizeof rows / sizeof rows[0], bp_span_of(room, n), read_statement);
    }
}

static void bad_cards(void)
{
    const struct change rows[] = {{"type", "\x01", V("\x61x"), BP_E_UNSUPPORTED},
                                  {"major_2", "\x02", V("\x02"), BP_E_UNSUPPORTED},
                                  {"no_key", "\x04", V("\x40"), BP_E_MALFORMED},
                                  {"no_name", "\x05", V("\x60"), BP_E_MALFORMED},
                                  {"root_short", "\x06", V("\x41x"), BP_E_MALFORMED},
                                  {"no_time", "\x07", BP_SPAN_EMPTY, BP_E_MALFORMED}};
    const struct bp_owner_card v = card();
    size_t n = 0;
    if (!bp_failed(bp_owner_card_write(&v, room, sizeof room, &n))) {
        try_changes("card", rows, sizeof rows / sizeof rows[0], bp_span_of(room, n), read_card);
    }
}

static void bad_anchors(void)
{
    const struct change rows[] = {{"type", "\x01", V("\x61x"), BP_E_UNSUPPORTED},
                                  {"no_name", "\x04", V("\x60"), BP_E_MALFORMED},
                                  {"no_keys", "\x05", V("\x80"), BP_E_MALFORMED},
                                  {"key_empty", "\x05", V("\x81\x40"), BP_E_MALFORMED},
                                  {"key_twice", "\x05", V("\x82\x41x\x41x"), BP_E_MALFORMED},
                                  {"five_keys", "\x05", V("\x85\x41" "a\x41" "b\x41" "c\x41" "d\x41" "e"), BP_E_LIMIT}};
    const struct bp_maker_anchor v = anchor();
    size_t n = 0;
    if (!bp_failed(bp_maker_anchor_write(&v, room, sizeof room, &n))) {
        try_changes("anchor", rows, sizeof rows / sizeof rows[0], bp_span_of(room, n), read_anchor);
    }
}

static void bad_chains(void)
{
    static uint8_t many[2 + BP_OWNERSHIP_CHAIN_MAX + 1] = {0x98, BP_OWNERSHIP_CHAIN_MAX + 1};
    memset(many + 2, 0x40, BP_OWNERSHIP_CHAIN_MAX + 1);
    const struct change rows[] = {{"type", "\x01", V("\x61x"), BP_E_UNSUPPORTED},
                                  {"device_short", "\x04", V("\x41x"), BP_E_MALFORMED},
                                  {"no_maker", "\x05", V("\x40"), BP_E_MALFORMED},
                                  {"no_statement", "\x06", V("\x80"), BP_E_MALFORMED},
                                  {"statement_empty", "\x06", V("\x81\x40"), BP_E_MALFORMED},
                                  {"statement_text", "\x06", V("\x81\x61x"), BP_E_MALFORMED},
                                  {"too_many", "\x06", BP_SPAN_OF(many), BP_E_LIMIT},
                                  {"no_card", "\x07", BP_SPAN_EMPTY, BP_E_MALFORMED}};
    const struct bp_ownership_chain v = chain();
    size_t n = 0;
    if (!bp_failed(bp_ownership_chain_write(&v, room, sizeof room, &n))) {
        try_changes("chain", rows, sizeof rows / sizeof rows[0], bp_span_of(room, n), read_chain);
    }
}

/* What no reader takes is not written either. */
BP_CASE(not_written)
{
    struct bp_ownership v = sample();
    struct bp_maker_anchor a = anchor();
    struct bp_ownership_chain c = chain();
    size_t n = 0;
    v.prev = BP_SPAN_OF(zero);
    BP_CHECK(bp_is(bp_ownership_write(&v, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    a.key[1] = a.key[0];
    BP_CHECK(bp_is(bp_maker_anchor_write(&a, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    c.statement[1].n = BP_OWNERSHIP_SIGNED_MAX + 1;
    BP_CHECK(bp_is(bp_ownership_chain_write(&c, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    BP_CHECK(strcmp(bp_ownership_kind_name(BP_OWNERSHIP_OVERRIDE), "override") == 0 &&
             bp_ownership_kind_name((enum bp_ownership_kind)9)[0] == '\0');
}

/* clang-format off */
BP_SUITE(ownership_codec,
    BP_RUN(statement_round_trip)
    BP_RUN(the_largest_statement_fits)
    BP_RUN(card_round_trip)
    BP_RUN(anchor_round_trip)
    BP_RUN(chain_round_trip)
    BP_RUN(erasure_round_trip)
    BP_RUN(newer_minor_is_passed_over)
    BP_TABLE(bad_statements)
    BP_TABLE(bad_cards)
    BP_TABLE(bad_anchors)
    BP_TABLE(bad_chains)
    BP_TABLE(bad_erasures)
    BP_RUN(not_written))
