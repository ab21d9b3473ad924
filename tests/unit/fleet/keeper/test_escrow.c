/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_escrow - lockout values in escrow: kept before they are acknowledged, once, for the device that
 * sent them, and never given up for another. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

static uint8_t body[BP_ESCROW_MAX], sealed[32];

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static const struct world_reply *post(size_t i, bp_span bytes)
{
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[i].spki), .issuer = "device", .source = g[i].source};
    return world_ask(w, "device", "POST", "/bedplate/v1/escrow", BP_MEDIA_CBOR, bytes, &peer);
}

/* Gateway i speaks; the escrow is of gateway `of`. */
static const struct world_reply *give(size_t i, size_t of, enum bp_escrow_state state, uint8_t number)
{
    size_t n = 0;
    memset(sealed, number, sizeof sealed);
    const struct bp_escrow e = {.device_id = BP_SPAN_OF(g[of].rig.device_id),
                                .state = state,
                                .envelope = state == BP_ESCROW_FOREIGN ? BP_SPAN_EMPTY : BP_SPAN_OF(sealed)};
    BP_CHECK(!bp_failed(bp_escrow_write(&e, body, sizeof body, &n)));
    return post(i, bp_span_of(body, n));
}

/* Whether the answer is about this very escrow. */
static bool is_kept(const struct world_reply *r, size_t of, enum bp_escrow_state state)
{
    struct bp_escrowed v;
    uint8_t digest[32];
    const bp_span envelope = state == BP_ESCROW_FOREIGN ? BP_SPAN_EMPTY : BP_SPAN_OF(sealed);
    return r->status == 0 && r->http.status == 200 && !bp_failed(bp_escrowed_read(r->http.body, &v)) &&
           bp_span_equal(v.device_id, BP_SPAN_OF(g[of].rig.device_id)) && v.state == state &&
           !bp_failed(bp_hash(w->plant.crypto, BP_HASH_SHA256, envelope, digest)) &&
           (state == BP_ESCROW_FOREIGN ? v.digest.n == 0 : bp_span_equal(v.digest, BP_SPAN_OF(digest)));
}

static uint32_t rows(size_t i)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    uint32_t n = 0;
    return world_device(w, g[i].rig.device_id, &d, &t) &&
                   !bp_failed(bp_store_escrow_count(bp_keeper_store(w->keeper), d.n, 100, &n))
               ? n
               : 999;
}

static struct bp_escrow_row newest(size_t i, uint32_t skip)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    struct bp_escrow_row e = {0};
    BP_CHECK(world_device(w, g[i].rig.device_id, &d, &t));
    BP_IGNORE(bp_store_escrow_newest(bp_keeper_store(w->keeper), d.n, skip, &e), "none: zeros");
    return e;
}

BP_CASE(the_recovery_certificate_is_the_sites)
{
    BP_NEED(stage() && stage_join(0));
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "device"};
    const struct world_reply *r = world_ask(w, "device", "GET", "/bedplate/v1/recovery", NULL, BP_SPAN_EMPTY, &peer);
    BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.body, w->plant.site->cert[BP_SITE_CERT_RECOVERY]));
    BP_CHECK(r->http.body.n > 0);
}

BP_CASE(what_is_acknowledged_outlives_a_kill)
{
    BP_NEED(stage() && stage_join(0));
    const uint64_t from = world_log_size(w);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SEALED, 1), 0, BP_ESCROW_SEALED));
    BP_CHECK(world_events(w, BP_EV_LOCKOUT_ESCROWED, from) == 1);
    BP_NEED(world_restart(w, false));
    BP_CHECK(rows(0) == 1);
    const struct bp_escrow_row e = newest(0, 0);
    BP_CHECK(e.state == BP_ESCROW_SEALED && bp_span_equal(e.envelope, BP_SPAN_OF(sealed)));
    BP_CHECK(world_log_holds(w));
}

BP_CASE(the_same_again_changes_nothing)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SEALED, 2), 0, BP_ESCROW_SEALED));
    const uint64_t from = world_log_size(w);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SEALED, 2), 0, BP_ESCROW_SEALED));
    BP_CHECK(rows(0) == 1 && world_log_size(w) == from);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 2), 0, BP_ESCROW_SET));
    BP_CHECK(rows(0) == 1 && newest(0, 0).state == BP_ESCROW_SET && world_events(w, BP_EV_LOCKOUT_SET, from) == 1);
    /* Late words do not take back what was said since. */
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SEALED, 2), 0, BP_ESCROW_SEALED));
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 2), 0, BP_ESCROW_SET));
    BP_CHECK(newest(0, 0).state == BP_ESCROW_SET && world_log_size(w) == from + 1);
}

BP_CASE(a_new_value_stands_before_the_old_one)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 3), 0, BP_ESCROW_SET));
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SEALED, 4), 0, BP_ESCROW_SEALED));
    BP_CHECK(rows(0) == 2 && newest(0, 0).envelope.p[0] == 4 && newest(0, 1).envelope.p[0] == 3);
    BP_CHECK(newest(0, 1).state == BP_ESCROW_SET && newest(0, 2).n == 0);
    /* A foreign one came, went, and came again: what was told last is in force. */
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_FOREIGN, 0), 0, BP_ESCROW_FOREIGN) && newest(0, 0).state == BP_ESCROW_FOREIGN);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 4), 0, BP_ESCROW_SET) && newest(0, 0).state == BP_ESCROW_SET);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_FOREIGN, 0), 0, BP_ESCROW_FOREIGN) && newest(0, 0).state == BP_ESCROW_FOREIGN);
    BP_CHECK(rows(0) == 3);
}

BP_CASE(an_escrow_of_another_device_is_refused)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    const uint64_t from = world_log_size(w);
    const struct world_reply *r = give(0, 1, BP_ESCROW_SEALED, 5);
    BP_CHECK(r->http.status == 403 && is(world_code(r), "wrong-device"));
    BP_CHECK(rows(0) == 0 && rows(1) == 0 && world_events(w, BP_EV_ESCROW_REFUSED, from) == 1);
}

BP_CASE(who_has_no_device_certificate_gives_nothing)
{
    BP_NEED(stage() && stage_join(0));
    const struct world_peer old = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "brownfield"};
    const struct world_peer nobody = {.issuer = ""};
    BP_CHECK(is(world_code(world_ask(w, "device", "POST", "/bedplate/v1/escrow", BP_MEDIA_CBOR, BP_SPAN_STR("x"), &old)),
                "wrong-issuer"));
    BP_CHECK(is(world_code(world_ask(w, "device", "GET", "/bedplate/v1/recovery", NULL, BP_SPAN_EMPTY, &nobody)),
                "wrong-issuer"));
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/bedplate/v1/escrow", BP_MEDIA_CBOR, BP_SPAN_STR("x"), &nobody)),
                "not-found"));
    BP_CHECK(rows(0) == 0);
}

BP_CASE(what_cannot_be_read_is_refused)
{
    BP_NEED(stage() && stage_join(0));
    size_t n = 0;
    const struct bp_escrow e = {
        .device_id = BP_SPAN_OF(g[0].rig.device_id), .state = BP_ESCROW_SEALED, .envelope = BP_SPAN_STR("x")};
    BP_NEED(!bp_failed(bp_escrow_write(&e, body, sizeof body, &n)));
    BP_CHECK(is(world_code(post(0, bp_span_of(body, n - 1))), "malformed"));
    BP_CHECK(is(world_code(post(0, BP_SPAN_EMPTY)), "malformed"));
    body[n - 1] ^= 1u; /* an envelope of other bytes is as good */
    BP_CHECK(post(0, bp_span_of(body, n))->http.status == 200 && rows(0) == 1);
    static uint8_t large[BP_ESCROW_MAX + 1];
    BP_CHECK(is(world_code(post(0, BP_SPAN_OF(large))), "too-large"));
}

BP_CASE(no_value_is_given_up_for_another)
{
    BP_NEED(stage() && stage_join(0));
    for (uint8_t i = 0; i < BP_ESCROWS_MAX; i++) {
        BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, (uint8_t)(100 + i)), 0, BP_ESCROW_SET));
    }
    const uint64_t from = world_log_size(w);
    const struct world_reply *r = give(0, 0, BP_ESCROW_SEALED, 200);
    BP_CHECK(r->http.status == 429 && is(world_code(r), "too-many") && rows(0) == BP_ESCROWS_MAX);
    BP_CHECK(world_events(w, BP_EV_ESCROW_REFUSED, from) == 1 && world_events(w, BP_EV_LOCKOUT_ESCROWED, from) == 0);
    BP_CHECK(newest(0, BP_ESCROWS_MAX - 1).envelope.p[0] == 100);
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 100), 0, BP_ESCROW_SET)); /* it is there: it may be told of */
}

BP_CASE(a_revoked_device_gives_nothing_and_keeps_what_it_gave)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(is_kept(give(0, 0, BP_ESCROW_SET, 7), 0, BP_ESCROW_SET) && world_revoke(w, g[0].rig.device_id));
    BP_CHECK(is(world_code(give(0, 0, BP_ESCROW_SEALED, 8)), "revoked") && rows(0) == 1);
    stage_end();
}

/* clang-format off */
BP_SUITE(escrow,
    BP_RUN(the_recovery_certificate_is_the_sites)
    BP_RUN(what_is_acknowledged_outlives_a_kill)
    BP_RUN(the_same_again_changes_nothing)
    BP_RUN(a_new_value_stands_before_the_old_one)
    BP_RUN(an_escrow_of_another_device_is_refused)
    BP_RUN(who_has_no_device_certificate_gives_nothing)
    BP_RUN(what_cannot_be_read_is_refused)
    BP_RUN(no_value_is_given_up_for_another)
    BP_RUN(a_revoked_device_gives_nothing_and_keeps_what_it_gave)
)
