/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_decommission - the certificate of decommissioning and its file: written, read, refused. */
#include "codec/decommission.h"
#include "harness.h"
#include "remap.h"

static uint8_t room[BP_DECOMMISSION_FILE_MAX];
static uint8_t back[BP_DECOMMISSION_FILE_MAX];
static struct bp_decommission in, out;
static const uint8_t some[2100] = {1, 2, 3};

static void sample(uint32_t keys)
{
    in = (struct bp_decommission){.device_id = bp_span_of(some, 33), .pseudonym = BP_SPAN_STR("PSEUDONYM"), .keys = keys,
                                  .retired_ms = 1790000000000, .reason = BP_SPAN_STR("worn out"), .actor = BP_SPAN_STR("ann"),
                                  .event = 4711, .digest = bp_span_of(some, 32)};
    for (uint32_t i = 0; i < keys; i++) {
        in.key[i] = bp_span_of(some + i, 32);
    }
}

BP_CASE(round_trip)
{
    size_t n = 0, m = 0;
    sample(3);
    BP_NEED(!bp_failed(bp_decommission_write(&in, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_decommission_read(bp_span_of(room, n), &out)));
    BP_CHECK(out.keys == 3 && out.event == 4711 && out.retired_ms == in.retired_ms && bp_span_equal(out.key[2], in.key[2]) &&
             bp_span_equal(out.reason, in.reason) && bp_span_equal(out.actor, in.actor));
    BP_CHECK(!bp_failed(bp_decommission_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_decommission_read(bp_span_of(room, cut), &out)) && out.keys == 0);
    }
}

BP_CASE(the_largest_fits)
{
    size_t n = 0;
    sample(BP_DECOMMISSION_KEYS_MAX);
    BP_CHECK(!bp_failed(bp_decommission_write(&in, room, sizeof room, &n)) && n <= BP_DECOMMISSION_MAX);
    in.keys++;
    BP_CHECK(bp_is(bp_decommission_write(&in, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_CASE(file_round_trip)
{
    const struct bp_decommission_file f = {.statement = bp_span_of(some, 300), .root = bp_span_of(some, 500),
                                           .signer = bp_span_of(some, 501)};
    struct bp_decommission_file got;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_decommission_file_write(&f, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_decommission_file_read(bp_span_of(room, n), &got)));
    BP_CHECK(bp_span_equal(got.root, f.root) && bp_span_equal(got.signer, f.signer) && bp_span_equal(got.statement, f.statement));
    BP_CHECK(!bp_failed(bp_decommission_file_write(&got, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_decommission_file_read(bp_span_of(room, cut), &got)) && got.root.n == 0);
    }
}

#define V(literal) BP_SPAN_STR(literal)

static void bad_ones(void)
{
    static const struct {
        const char *name;
        const char *key;
        const char *value;
        size_t n;
        enum bp_error error;
    } rows[] = {{"type", "\x01", "\x61x", 2, BP_E_UNSUPPORTED},        {"major_2", "\x02", "\x02", 1, BP_E_UNSUPPORTED},
                {"device_short", "\x04", "\x41x", 2, BP_E_MALFORMED},  {"no_pseudonym", "\x05", "\x60", 1, BP_E_MALFORMED},
                {"no_keys", "\x06", "\x80", 1, BP_E_MALFORMED},        {"key_short", "\x06", "\x81\x41x", 3, BP_E_MALFORMED},
                {"keys_257", "\x06", "\x99\x01\x01", 3, BP_E_TRUNCATED}, {"before_1970", "\x07", "\x20", 1, BP_E_MALFORMED},
                {"reason_control", "\x08", "\x61\n", 2, BP_E_MALFORMED}, {"no_actor", "\x09", "\x60", 1, BP_E_MALFORMED},
                {"event_text", "\x0a", "\x61x", 2, BP_E_MALFORMED},    {"digest_short", "\x0b", "\x41x", 2, BP_E_MALFORMED}};
    size_t n = 0;
    sample(2);
    if (bp_failed(bp_decommission_write(&in, room, sizeof room, &n))) {
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        const bp_span bad = remap(bp_span_of(room, n), bp_span_cstr(rows[i].key), bp_span_of(rows[i].value, rows[i].n), back, sizeof back);
        const bp_result r = bp_decommission_read(bad, &out);
        BP_CHECK(bad.n != 0 && bp_failed(r) && (bp_is(r, rows[i].error) || rows[i].error == BP_E_TRUNCATED));
        bp_case_end(rows[i].name);
    }
}

/* clang-format off */
BP_SUITE(decommission,
    BP_RUN(round_trip)
    BP_RUN(the_largest_fits)
    BP_RUN(file_round_trip)
    BP_TABLE(bad_ones))
