/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_refusals - what strangers and devices may send and the keeper does not take: each gets its
 * own stable code, the log gets an entry of bounded number, and nothing else changes. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "codec/base64.h"
#include "codec/est.h"

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* What may not change when something is refused. */
struct standing {
    struct bp_device d;
    struct bp_trust t;
};

static struct standing standing(size_t i)
{
    struct standing s;
    memset(&s, 0, sizeof s);
    if (!world_device(w, g[i].rig.device_id, &s.d, &s.t)) {
        s.t.tier = 255;
    }
    return s;
}

static bool unchanged(size_t i, const struct standing *before)
{
    const struct standing now = standing(i);
    return before->d.state == now.d.state && before->t.seq == now.t.seq && before->t.tier == now.t.tier &&
           before->t.verdict == now.t.verdict && before->t.heard_ms == now.t.heard_ms;
}

static bool detail_begins(const struct world_reply *r, const char *with)
{
    char detail[512];
    return world_member(r, "detail", detail, sizeof detail) && strncmp(detail, with, strlen(with)) == 0;
}

/* A refusal of evidence over the device listener carries a nonce that the device can use at once. */
static bool carries_nonce(size_t i, const struct world_reply *r)
{
    char nonce[80], seq[24], issued[24];
    if (!world_member(r, "nonce", nonce, sizeof nonce) || !world_member(r, "seq", seq, sizeof seq) ||
        !world_member(r, "issued_ms", issued, sizeof issued) || strlen(nonce) != 64) {
        return false;
    }
    for (size_t k = 0; k < 32; k++) {
        const char two[3] = {nonce[2 * k], nonce[2 * k + 1], 0};
        g[i].rig.nonce[k] = (uint8_t)strtoul(two, NULL, 16);
    }
    g[i].rig.seq = strtoull(seq, NULL, 10);
    g[i].rig.as_of_ms = strtoll(issued, NULL, 10);
    return gateway_attest(&g[i])->http.status == 200;
}

/* --- numbers and nonces --- */

BP_CASE(same_evidence_gets_the_stored_answer)
{
    BP_NEED(stage() && stage_join(0));
    struct bp_answer a;
    uint8_t ear[4096];
    const struct world_reply *r = gateway_attest(&g[0]);
    BP_NEED(r->http.status == 200 && !bp_failed(bp_answer_read(r->http.body, &a)) && a.ear.n <= sizeof ear);
    const size_t ear_n = a.ear.n;
    memcpy(ear, a.ear.p, ear_n);
    const struct standing s = standing(0);
    const uint64_t from = world_log_size(w);
    world_wait(w, 300000, 100000);
    r = gateway_again(&g[0]);
    BP_NEED(r->http.status == 200 && !bp_failed(bp_answer_read(r->http.body, &a)));
    BP_CHECK(bp_span_equal(a.ear, bp_span_of(ear, ear_n)) && a.seq == s.t.seq + 1);
    BP_CHECK(world_events(w, BP_EV_VERDICT, from) == 0 && world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 0);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200); /* the nonce in it is good */
}

BP_CASE(same_evidence_after_ten_minutes_is_a_replay)
{
    BP_NEED(stage() && stage_join(0));
    const struct standing s = standing(0);
    world_wait(w, 601000, 100000);
    const struct world_reply *r = gateway_again(&g[0]);
    BP_CHECK(is(world_code(r), "replayed") && r->http.status == 409);
    BP_CHECK(standing(0).t.seq == s.t.seq && carries_nonce(0, r));
}

BP_CASE(earlier_evidence_is_a_replay)
{
    BP_NEED(stage() && stage_join(0));
    uint8_t old[RIG_EVIDENCE_MAX];
    const size_t n = g[0].rig.evidence_n;
    memcpy(old, g[0].rig.evidence, n);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    const struct standing s = standing(0);
    const uint64_t from = world_log_size(w);
    const struct world_reply *r = gateway_post(&g[0], bp_span_of(old, n));
    BP_CHECK(is(world_code(r), "replayed") && unchanged(0, &s));
    BP_CHECK(world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 1);
    BP_CHECK(carries_nonce(0, r));
}

BP_CASE(two_answers_to_one_nonce)
{
    BP_NEED(stage() && stage_join(0));
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "device"};
    BP_CHECK(gateway_answer(&g[0], NULL));
    const uint64_t one = world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                                    bp_span_of(g[0].rig.evidence, g[0].rig.evidence_n), &peer);
    g[0].rig.clock_ms++;
    BP_CHECK(gateway_answer(&g[0], NULL));
    const uint64_t two = world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                                    bp_span_of(g[0].rig.evidence, g[0].rig.evidence_n), &peer);
    const uint64_t from = world_log_size(w);
    world_settle(w);
    BP_CHECK(world_reply(w, one)->http.status == 200);
    BP_CHECK(is(world_code(world_reply(w, two)), "replayed"));
    BP_CHECK(world_events(w, BP_EV_VERDICT, from) == 1);
}

BP_CASE(same_evidence_twice_at_once)
{
    BP_NEED(stage() && stage_join(0));
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "device"};
    BP_CHECK(gateway_answer(&g[0], NULL));
    uint64_t id[2];
    struct bp_answer a[2];
    for (size_t i = 0; i < 2; i++) {
        id[i] = world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                           bp_span_of(g[0].rig.evidence, g[0].rig.evidence_n), &peer);
    }
    const uint64_t from = world_log_size(w);
    world_settle(w);
    for (size_t i = 0; i < 2; i++) {
        BP_NEED(world_reply(w, id[i])->http.status == 200 &&
                !bp_failed(bp_answer_read(world_reply(w, id[i])->http.body, &a[i])));
    }
    BP_CHECK(bp_span_equal(a[0].ear, a[1].ear) && world_events(w, BP_EV_VERDICT, from) == 1);
}

BP_CASE(nonce_that_was_never_issued)
{
    BP_NEED(stage() && stage_join(0));
    const struct standing s = standing(0);
    g[0].rig.seq += 1;
    const struct world_reply *r = gateway_attest(&g[0]);
    BP_CHECK(is(world_code(r), "bad-nonce") && unchanged(0, &s) && carries_nonce(0, r));
    g[0].rig.as_of_ms += 60000; /* the future */
    r = gateway_attest(&g[0]);
    BP_CHECK(is(world_code(r), "bad-nonce") && carries_nonce(0, r));
}

BP_CASE(nonce_of_another_time)
{
    BP_NEED(stage() && stage_join(0));
    g[0].rig.as_of_ms -= 1; /* a time at which none was issued: its HMAC is another */
    const struct world_reply *r = gateway_attest(&g[0]);
    BP_CHECK(is(world_code(r), "evidence-refused") && detail_begins(r, "extra-data") && carries_nonce(0, r));
}

BP_CASE(nonce_older_than_a_day)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 25 * 3600000LL, 3600000);
    const struct world_reply *r = gateway_attest(&g[0]);
    BP_CHECK(is(world_code(r), "nonce-expired") && carries_nonce(0, r));
}

BP_CASE(nonce_of_an_hour_ago_answers)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 3600000, 600000);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
    BP_CHECK(w->plant.sim.wall_ms - stage_trust(0).as_of_ms >= 3600000); /* a verdict is as old as its nonce */
}

BP_CASE(grant_needs_a_nonce_of_this_minute)
{
    BP_NEED(stage() && stage_join(0));
    const struct standing s = standing(0);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200);
    world_wait(w, 61000, 61000);
    const struct world_reply *r = gateway_vouch(&g[0]);
    BP_CHECK(is(world_code(r), "nonce-expired") && standing(0).t.seq == s.t.seq);
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "not-preapproved"));
    BP_CHECK(gateway_renew(&g[0]));
}

BP_CASE(nonce_outlives_a_restart)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(world_restart(w, true));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
}

/* --- evidence --- */

BP_CASE(evidence_of_another_device)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    const struct standing a = standing(0);
    const struct standing b = standing(1);
    BP_CHECK(gateway_answer(&g[0], NULL));
    const struct world_reply *r =
        gateway_post(&g[1], bp_span_of(g[0].rig.evidence, g[0].rig.evidence_n));
    BP_CHECK(is(world_code(r), "wrong-device") && unchanged(0, &a) && unchanged(1, &b) && carries_nonce(1, r));
}

static void other_key(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote)
{
    static uint8_t other[32] = {7};
    (void)r;
    (void)quote;
    ev->about.ldevid = BP_SPAN_OF(other);
}

static void early(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote)
{
    (void)r;
    (void)ev;
    quote->clock_ms -= 3000000;
}

static void relabel(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote)
{
    (void)r;
    (void)ev;
    quote->pcrs.bank[0].mask &= ~1u;
}

static void flip_signature(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    r->sig[r->sig_n - 1] ^= 1;
}

/* The key hangs elsewhere than under the endorsement key that was activated. */
static void move_key(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    static const uint8_t primary[34] = {0, 0x0b, 1};
    (void)r;
    (void)ev;
    q->qualified_signer = BP_SPAN_OF(primary);
}

static const struct {
    const char *name;
    const char *finding;
    struct rig_forge forge;
    int64_t wait_ms;
} forgeries[] = {
    {"another_session_key", "ldevid", {.before = other_key}, 0},
    {"quote_prepared_early", "quote-early", {.before = early}, 3600000},
    {"fewer_pcrs", "pcr-selection", {.before = relabel}, 0},
    {"attestation_key_elsewhere", "ak-parent", {.before = move_key}, 0},
    {"changed_signature", "signature", {.after = flip_signature}, 0},
};

/* At first contact too: the credential opens for it, and it is neither bound nor vouched for. */
BP_CASE(attestation_key_that_is_no_child)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_gateway(0) && world_invite(w, "north", code));
    BP_NEED(gateway_hello(&g[0], code)->http.status == 200 && g[0].has_proof);
    const struct bp_tpm_name right = g[0].rig.qualified;
    const uint64_t from = world_log_size(w);
    g[0].rig.qualified.v[33] ^= 1u;
    const struct world_reply *r = gateway_first(&g[0]);
    BP_CHECK(is(world_code(r), "evidence-refused") && detail_begins(r, "ak-parent"));
    BP_CHECK(standing(0).t.tier == 255 && world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 1);
    BP_CHECK(is(world_code(gateway_enrol(&g[0])), "not-preapproved"));
    g[0].rig.qualified = right;
    BP_CHECK(gateway_join(&g[0], code)); /* nor is the invitation spent */
}

static void forged_evidence(void)
{
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        bp_case_begin();
        if (BP_CHECK(stage() && stage_join(0))) {
            if (forgeries[i].wait_ms > 0) {
                world_wait(w, forgeries[i].wait_ms, 600000);
            }
            const struct standing s = standing(0);
            const uint64_t from = world_log_size(w);
            g[0].has_proof = false;
            BP_CHECK(gateway_answer(&g[0], &forgeries[i].forge));
            const struct world_reply *r = gateway_again(&g[0]);
            BP_CHECK(is(world_code(r), "evidence-refused") && detail_begins(r, forgeries[i].finding));
            BP_CHECK(unchanged(0, &s) && world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 1);
            BP_CHECK(carries_nonce(0, r));
        }
        bp_case_end(forgeries[i].name);
    }
}

/* --- bad input, one case a kind: a precise error, one entry in the log, and nothing else changes --- */

static uint8_t bad_room[RIG_EVIDENCE_MAX];

static bp_span malformed(bp_span whole)
{
    (void)whole;
    return BP_SPAN_STR("\xff\xfe no collection");
}

static bp_span truncated(bp_span whole)
{
    return bp_span_sub(whole, 0, whole.n / 2);
}

/* One label more than a collection may have. */
static bp_span oversized(bp_span whole)
{
    char label[3] = {'l', 'a', 'a'};
    bp_cw cw = bp_cw_over(bad_room, sizeof bad_room);
    (void)whole;
    bp_cw_map(&cw, BP_EVIDENCE_LABELS_MAX + 1);
    for (unsigned i = 0; i <= BP_EVIDENCE_LABELS_MAX; i++) {
        label[1] = (char)('a' + i / 26);
        label[2] = (char)('a' + i % 26);
        bp_cw_tstr(&cw, bp_span_of(label, sizeof label));
        bp_cw_array(&cw, 2);
        bp_cw_cstr(&cw, "t");
        bp_cw_bstr(&cw, BP_SPAN_EMPTY);
    }
    return bp_span_of(bad_room, cw.wr.n);
}

/* The members of a collection in another order, or the first one twice in place of the second. */
static bp_span shuffled(bp_span whole, bool twice)
{
    bp_rd rd = bp_rd_over(whole);
    const size_t pairs = bp_cbor_get_map(&rd);
    const size_t at = rd.at;
    (void)bp_cbor_get_item(&rd);
    (void)bp_cbor_get_item(&rd);
    const bp_span first = bp_span_sub(whole, at, rd.at - at);
    (void)bp_cbor_get_item(&rd);
    (void)bp_cbor_get_item(&rd);
    const bp_span second = bp_span_sub(whole, at + first.n, rd.at - at - first.n);
    bp_wr wr = bp_wr_over(bad_room, sizeof bad_room);
    bp_wr_u8(&wr, (uint8_t)(0xa0 + pairs));
    bp_wr_bytes(&wr, twice ? first : second);
    bp_wr_bytes(&wr, first);
    bp_wr_bytes(&wr, bp_span_sub(whole, rd.at, whole.n - rd.at));
    return bp_wr_span(&wr);
}

static bp_span duplicated(bp_span whole)
{
    return shuffled(whole, true);
}

static bp_span reordered(bp_span whole)
{
    return shuffled(whole, false);
}

/* What the gateway sent before its last evidence. */
static bp_span replayed(bp_span whole)
{
    bp_wr wr = bp_wr_over(bad_room, sizeof bad_room);
    bp_wr_bytes(&wr, whole);
    BP_CHECK(gateway_post(&g[0], whole)->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    return bp_wr_span(&wr);
}

/* What another gateway made, over this one's connection. */
static bp_span relayed(bp_span whole)
{
    (void)whole;
    BP_CHECK(gateway_answer(&g[1], NULL));
    return bp_span_of(g[1].rig.evidence, g[1].rig.evidence_n);
}

static void bad_input(void)
{
    static const struct {
        const char *name;
        bp_span (*make)(bp_span whole);
        const char *code;
        unsigned status;
    } row[] = {
        {"bad_input_malformed", malformed, "malformed", 400},   {"bad_input_truncated", truncated, "malformed", 400},
        {"bad_input_oversized", oversized, "too-large", 413},   {"bad_input_duplicated", duplicated, "malformed", 400},
        {"bad_input_reordered", reordered, "malformed", 400},   {"bad_input_replayed", replayed, "replayed", 409},
        {"bad_input_relayed", relayed, "wrong-device", 403},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        if (BP_CHECK(stage() && stage_join(0) && stage_join(1) && gateway_answer(&g[0], NULL))) {
            world_wait(w, 61000, 61000); /* a new window of refusals that are written whole */
            /* The other one too, or it may be found silent in between. */
            BP_CHECK(gateway_attest(&g[1])->http.status == 200);
            BP_CHECK(gateway_attest(&g[0])->http.status == 200 && gateway_answer(&g[0], NULL));
            const bp_span bad = row[i].make(bp_span_of(g[0].rig.evidence, g[0].rig.evidence_n));
            const struct standing before = standing(0);
            const struct standing other = standing(1);
            const uint64_t from = world_log_size(w);
            const struct world_reply *r = gateway_post(&g[0], bad);
            if (!BP_CHECK(is(world_code(r), row[i].code) && r->http.status == row[i].status)) {
                printf("# %s %u\n", world_code(r), (unsigned)r->http.status);
            }
            BP_CHECK(world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 1 && world_log_size(w) == from + 1);
            BP_CHECK(unchanged(0, &before) && unchanged(1, &other));
            BP_CHECK(carries_nonce(0, r));
        }
        bp_case_end(row[i].name);
    }
}

static const struct {
    const char *name;
    const char *listener, *method, *target, *type;
    const char *body;
    const char *code;
} requests[] = {
    {"no_such_address", "enrol", "GET", "/bedplate/v1/nothing", NULL, "", "not-found"},
    {"address_of_another_listener", "status", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR, "", "not-found"},
    {"method_of_another_address", "enrol", "GET", "/bedplate/v1/hello", NULL, "", "method-not-allowed"},
    {"wrong_media_type", "enrol", "POST", "/bedplate/v1/hello", "text/plain", "x", "media-type"},
    {"no_media_type", "enrol", "POST", "/bedplate/v1/hello", NULL, "x", "media-type"},
    {"hello_of_nothing", "enrol", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR, "", "malformed"},
    {"hello_of_noise", "enrol", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR, "\xff\xff", "malformed"},
    {"hello_of_another_type", "enrol", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR,
     "\xa3\x01\x65other\x02\x01\x03\x01", "unsupported"},
    {"evidence_of_noise", "enrol", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW, "\xa0\xa0", "malformed"},
    {"request_of_noise", "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10", "AAAA", "bad-csr"},
    {"request_that_is_no_base64", "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10", "=*=",
     "bad-csr"},
    {"request_of_nothing", "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10", "", "bad-csr"},
    {"device_listener_without_certificate", "device", "GET", "/bedplate/v1/nonce", NULL, "", "wrong-issuer"},
    {"renewal_without_certificate", "device", "POST", "/.well-known/est/simplereenroll", "application/pkcs10", "AAAA",
     "wrong-issuer"},
    {"log_without_query", "device", "GET", "/bedplate/v1/log/consistency", NULL, "", "wrong-issuer"},
};

static void refused_requests(void)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        bp_case_begin();
        if (BP_CHECK(stage())) {
            const struct world_reply *r = world_ask(w, requests[i].listener, requests[i].method, requests[i].target,
                                                    requests[i].type, bp_span_cstr(requests[i].body), NULL);
            BP_CHECK(is(world_code(r), requests[i].code));
        }
        bp_case_end(requests[i].name);
    }
}

BP_CASE(too_large)
{
    static uint8_t big[BP_KEEPER_EVIDENCE_MAX + 1];
    BP_NEED(stage() && stage_join(0));
    const struct standing s = standing(0);
    BP_CHECK(is(world_code(gateway_post(&g[0], BP_SPAN_OF(big))), "too-large") && unchanged(0, &s));
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR,
                                     bp_span_of(big, BP_KEEPER_HELLO_MAX + 1), NULL)),
                "too-large"));
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10",
                                     bp_span_of(big, BP_KEEPER_REQUEST_MAX + 1), NULL)),
                "too-large"));
}

BP_CASE(every_truncation_of_evidence)
{
    BP_NEED(stage() && stage_join(0));
    static uint8_t whole[RIG_EVIDENCE_MAX];
    g[0].has_proof = false;
    BP_CHECK(gateway_answer(&g[0], NULL));
    const size_t n = g[0].rig.evidence_n;
    memcpy(whole, g[0].rig.evidence, n);
    const struct standing s = standing(0);
    for (size_t cut = 0; cut < n; cut += 1 + n / 60) {
        BP_CHECK(world_code(gateway_post(&g[0], bp_span_of(whole, cut)))[0] != 0);
    }
    BP_CHECK(unchanged(0, &s));
    BP_CHECK(gateway_post(&g[0], bp_span_of(whole, n))->http.status == 200);
}

BP_CASE(key_that_nobody_knows)
{
    BP_NEED(stage() && stage_join(0));
    g[0].spki[0] ^= 1;
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "unknown-device"));
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "unknown-device"));
}

BP_CASE(message_that_is_no_request)
{
    BP_NEED(stage());
    const uint64_t id = w->next_id++;
    world_reply(w, id)->is_there = false;
    bp_keeper_http(w->keeper, id, BP_SPAN_STR("\xa1\x01\x01"));
    BP_CHECK(world_reply(w, id)->is_there && world_reply(w, id)->status == BP_P_MALFORMED);
}

/* --- first contact --- */

BP_CASE(maker_that_nobody_accepted)
{
    struct bp_sim_maker stranger;
    BP_NEED(stage() && stage_gateway(0) && !bp_failed(bp_sim_maker_make(&stranger, WORLD_MAKER_FROM)));
    bp_sim_chip_done(&g[0].chip);
    BP_CHECK(!bp_failed(bp_sim_chip_make(&g[0].chip, &stranger)));
    const uint64_t from = world_log_size(w);
    BP_CHECK(is(world_code(gateway_hello(&g[0], NULL)), "not-genuine"));
    BP_CHECK(world_events(w, BP_EV_CONTACT_REFUSED, from) == 1);
    bp_sim_maker_done(&stranger);
}

BP_CASE(activation_that_was_guessed)
{
    BP_NEED(stage() && stage_gateway(0));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200);
    g[0].proof[0] ^= 1;
    BP_CHECK(is(world_code(gateway_first(&g[0])), "activation-failed"));
    struct bp_device d;
    struct bp_trust t;
    BP_CHECK(!world_device(w, g[0].rig.device_id, &d, &t));
}

BP_CASE(evidence_without_hello)
{
    BP_NEED(stage() && stage_gateway(0));
    memset(g[0].rig.device_id, 1, 33);
    g[0].rig.seq = 1;
    g[0].rig.as_of_ms = w->plant.sim.wall_ms;
    g[0].has_proof = true;
    BP_CHECK(is(world_code(gateway_first(&g[0])), "activation-failed"));
}

BP_CASE(hello_in_anothers_name_disturbs_nobody)
{
    BP_NEED(stage() && stage_gateway(0) && stage_gateway(1));
    char code[BP_CODE_TEXT + 1];
    BP_CHECK(world_invite(w, "north", code) && gateway_hello(&g[0], code)->http.status == 200);
    /* The other one shows the first one's public key and certificate, and a key of its own to attest with. */
    const struct bp_sim_chip own = g[1].chip;
    g[1].chip = g[0].chip;
    g[1].chip.key = own.key;
    BP_CHECK(gateway_hello(&g[1], NULL)->http.status == 200 && !g[1].has_proof);
    g[1].chip = own;
    BP_CHECK(gateway_first(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
}

struct alias {
    const uint8_t *id;
    uint8_t ek[32];
};

static bp_result add_alias(void *self, struct bp_turn *t)
{
    const struct alias *x = self;
    struct bp_device d = {0};
    BP_TRY(bp_store_device_by_id(t->store, bp_span_of(x->id, 33), &d));
    struct bp_key k = {.device = d.n, .role = BP_ROLE_EK, .since_ms = t->now_ms};
    memcpy(k.spki, x->ek, sizeof k.spki);
    return bp_store_key_add(t->store, &k);
}

/* A chip whose key the registry has as an alias of a device is asked, and refused, in that device's name. Here only the store
 * says so: the CA signer never saw both keys proven by one chip, and does not bind what the keeper calls the same. */
BP_CASE(alias_that_no_activation_proved)
{
    struct alias x;
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_gateway(0) && stage_gateway(1) && world_invite(w, "north", code) && gateway_join(&g[0], code));
    BP_CHECK(gateway_hello(&g[1], NULL)->http.status == 200);
    x.id = g[0].rig.device_id;
    memcpy(x.ek, g[1].rig.device_id + 1, sizeof x.ek);
    BP_CHECK(world_act(w, add_alias, &x));
    const struct standing before = standing(0);
    BP_CHECK(gateway_hello(&g[1], NULL)->http.status == 200 && is(g[1].state, "active") &&
             memcmp(g[1].rig.device_id, g[0].rig.device_id, 33) == 0);
    uint64_t from = world_log_size(w);
    BP_CHECK(is(world_code(gateway_first(&g[1])), "wrong-device") && world_events(w, BP_EV_CONTACT_REFUSED, from) == 1);
    BP_CHECK(unchanged(0, &before));
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    from = world_log_size(w);
    const struct world_reply *r = gateway_hello(&g[1], NULL);
    BP_CHECK(is(world_code(r), "revoked") && detail_begins(r, "the device is revoked; it showed another endorsement key"));
    r = gateway_hello(&g[0], NULL);
    BP_CHECK(is(world_code(r), "revoked") && detail_begins(r, "the device is revoked"));
    BP_CHECK(world_events(w, BP_EV_CONTACT_REFUSED, from) == 2);
}

BP_CASE(contact_older_than_ten_minutes)
{
    BP_NEED(stage() && stage_gateway(0));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200);
    world_wait(w, BP_KEEPER_CONTACT_MS + 2000, 60000);
    BP_CHECK(is(world_code(gateway_first(&g[0])), "activation-failed"));
}

BP_CASE(invitation_wrong_spent_expired)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_gateway(0) && world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ")->http.status == 200);
    BP_CHECK(is(world_code(gateway_first(&g[0])), "bad-invitation"));
    world_wait(w, BP_INVITATION_MS + 1000, 3600000);
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200);
    BP_CHECK(is(world_code(gateway_first(&g[0])), "bad-invitation"));
}

BP_CASE(waiting_room_of_one_source_is_full)
{
    BP_NEED(stage());
    struct gateway *one = calloc(1, sizeof *one);
    BP_NEED(one != NULL);
    for (unsigned i = 0; i <= BP_WAITING_PER_SOURCE_MAX; i++) {
        BP_CHECK(gateway_make(one, w, 1000 + i));
        (void)snprintf(one->source, sizeof one->source, "203.0.113.9");
        BP_CHECK(gateway_hello(one, NULL)->http.status == 200);
        const struct world_reply *r = gateway_first(one);
        BP_CHECK(i < BP_WAITING_PER_SOURCE_MAX ? r->http.status == 200 : is(world_code(r), "waiting-full"));
        gateway_done(one);
    }
    free(one);
}

/* --- certificates --- */

static struct world_reply *enrol_with(const struct test_key *key, const char *source, bool lines)
{
    char csr[4096];
    const size_t n = world_csr(key, lines, csr, sizeof csr);
    const struct world_peer peer = {.source = source};
    return world_ask(w, "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10", bp_span_of(csr, n),
                     &peer);
}

BP_CASE(key_that_no_evidence_vouched_for)
{
    struct test_key other;
    BP_NEED(stage() && stage_join(0) && test_key_make(&other, BP_SIG_ES256));
    const uint64_t from = world_log_size(w);
    BP_CHECK(is(world_code(enrol_with(&other, "192.0.2.7", false)), "not-preapproved"));
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "not-preapproved"));
    BP_CHECK(world_events(w, BP_EV_CERTIFICATE_REFUSED, from) == 2);
    test_key_done(&other);
}

BP_CASE(vouching_ends_after_ten_minutes)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    world_wait(w, BP_KEEPER_VOUCH_MS + 1000, 60000);
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "not-preapproved"));
}

BP_CASE(key_vouched_for_another_device)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    char csr[4096];
    const size_t n = world_csr(&g[0].next, false, csr, sizeof csr);
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[1].spki), .issuer = "device"};
    BP_CHECK(is(world_code(world_ask(w, "device", "POST", "/.well-known/est/simplereenroll", "application/pkcs10",
                                     bp_span_of(csr, n), &peer)),
                "not-preapproved"));
}

BP_CASE(request_that_its_key_did_not_sign)
{
    char csr[4096];
    uint8_t der[2048];
    BP_NEED(stage() && stage_join(0));
    size_t n = world_csr(&g[0].rig.ldevid, false, csr, sizeof csr);
    bp_wr wr = bp_wr_over(der, sizeof der);
    bp_base64_read(&wr, bp_span_of(csr, n));
    der[wr.n - 1] ^= 1;
    bp_wr out = bp_wr_over(csr, sizeof csr);
    bp_base64_write(&out, bp_span_of(der, wr.n));
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10",
                                     bp_wr_span(&out), NULL)),
                "bad-csr"));
}

static size_t lines_of(const struct world_reply *r, size_t *ret_longest)
{
    size_t lines = 0, run = 0;
    *ret_longest = 0;
    for (size_t i = 0; i < r->http.body.n; i++) {
        run++;
        if (r->http.body.p[i] == '\n') {
            lines++;
            *ret_longest = run > *ret_longest ? run : *ret_longest;
            run = 0;
        }
    }
    return run == 0 ? lines : 0; /* the last one is ended too */
}

BP_CASE(base64_on_one_line_or_as_the_client_wrote)
{
    size_t longest = 0;
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(lines_of(world_ask(w, "enrol", "GET", "/.well-known/est/cacerts", NULL, BP_SPAN_EMPTY, NULL), &longest) ==
             1);
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    /* One line, however long: the client that has no room for one of 1,024 characters writes lines itself. */
    BP_CHECK(lines_of(enrol_with(&g[0].rig.ldevid, "192.0.2.8", false), &longest) == 1 && longest > 512);
    const struct world_reply *r = enrol_with(&g[0].rig.ldevid, "192.0.2.8", true);
    BP_CHECK(r->http.status == 200 && lines_of(r, &longest) > 5 && longest == 65);
}

/* --- what cannot attest --- */

BP_CASE(brownfield_off_and_on)
{
    struct test_key old;
    BP_NEED(stage() && test_key_make(&old, BP_SIG_ES256));
    BP_CHECK(is(world_code(enrol_with(&old, "192.0.2.20", false)), "not-preapproved"));
    BP_CHECK(world_setting(w, "brownfield", 1));
    const uint64_t from = world_log_size(w);
    BP_CHECK(enrol_with(&old, "192.0.2.20", false)->http.status == 200);
    BP_CHECK(world_events(w, BP_EV_BROWNFIELD_ISSUED, from) == 1);
    uint8_t id[33] = {1};
    struct bp_device d;
    struct bp_trust t;
    BP_CHECK(!bp_failed(bp_hash(w->plant.crypto, BP_HASH_SHA256, bp_span_of(old.spki, old.spki_n), id + 1)));
    BP_CHECK(world_device(w, id, &d, &t) && is(d.kind, "brownfield") && t.tier == BP_TIER_NONE && t.verdict == 0);
    /* Twice with the same key is a key in use; its certificate renews within its class only. */
    BP_CHECK(is(world_code(enrol_with(&old, "192.0.2.20", false)), "key-in-use"));
    char csr[4096];
    const size_t n = world_csr(&old, true, csr, sizeof csr);
    struct world_peer peer = {.spki = bp_span_of(id + 1, 32), .issuer = "brownfield"};
    BP_CHECK(world_ask(w, "enrol", "POST", "/.well-known/est/simplereenroll", "application/pkcs10", bp_span_of(csr, n),
                       &peer)
                 ->http.status == 200);
    peer.issuer = "device";
    BP_CHECK(is(world_code(world_ask(w, "device", "GET", "/bedplate/v1/nonce", NULL, BP_SPAN_EMPTY, &peer)),
                "unknown-device"));
    BP_CHECK(world_setting(w, "brownfield", 0));
    peer.issuer = "brownfield";
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/.well-known/est/simplereenroll", "application/pkcs10",
                                     bp_span_of(csr, n), &peer)),
                "brownfield-off"));
    BP_CHECK(world_revoke(w, id));
    BP_CHECK(world_setting(w, "brownfield", 1));
    BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/.well-known/est/simplereenroll", "application/pkcs10",
                                     bp_span_of(csr, n), &peer)),
                "revoked"));
    BP_CHECK(world_setting(w, "brownfield", 0));
    test_key_done(&old);
}

BP_CASE(key_of_a_device_gets_no_brownfield_certificate)
{
    BP_NEED(stage() && stage_join(0) && world_setting(w, "brownfield", 1));
    world_wait(w, BP_KEEPER_VOUCH_MS + 1000, 60000);
    BP_CHECK(is(world_code(enrol_with(&g[0].rig.ldevid, "192.0.2.21", false)), "key-in-use"));
    BP_CHECK(world_setting(w, "brownfield", 0));
}

/* --- ceilings --- */

BP_CASE(refusals_do_not_fill_the_log)
{
    BP_NEED(stage());
    world_wait(w, 61000, 61000);
    const uint64_t from = world_log_size(w);
    const struct world_peer peer = {.source = "203.0.113.77"};
    for (size_t i = 0; i < 50; i++) {
        BP_CHECK(is(world_code(world_ask(w, "enrol", "POST", "/.well-known/est/simpleenroll", "application/pkcs10",
                                         BP_SPAN_STR("AAAA"), &peer)),
                    "bad-csr"));
    }
    BP_CHECK(world_events(w, BP_EV_CERTIFICATE_REFUSED, from) == 5);
    world_wait(w, 61000, 61000);
    BP_CHECK(world_events(w, BP_EV_REFUSALS_SUPPRESSED, from) == 1);
}

BP_CASE(too_much_open)
{
    BP_NEED(stage() && stage_gateway(0) && stage_join(1));
    w->stop_at = w->calls; /* nobody answers */
    BP_CHECK(gateway_answer(&g[1], NULL));
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[1].spki), .issuer = "device"};
    const struct world_reply *last = NULL;
    for (size_t i = 0; i <= BP_KEEPER_OPEN_MAX; i++) {
        last = world_reply(w, world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                                         bp_span_of(g[1].rig.evidence, g[1].rig.evidence_n), &peer));
    }
    BP_CHECK(last->is_there && last->status == BP_P_BUSY);
    BP_CHECK(bp_keeper_count(w->keeper).open == BP_KEEPER_OPEN_MAX && bp_keeper_count(w->keeper).busy == 1);
    w->stop_at = 0;
    world_settle(w);
    BP_CHECK(bp_keeper_count(w->keeper).open == 0);
}

BP_SUITE(keeper_refusals,
         BP_RUN(same_evidence_gets_the_stored_answer) BP_RUN(same_evidence_after_ten_minutes_is_a_replay)
             BP_RUN(earlier_evidence_is_a_replay) BP_RUN(two_answers_to_one_nonce) BP_RUN(same_evidence_twice_at_once)
                 BP_RUN(nonce_that_was_never_issued) BP_RUN(nonce_of_another_time) BP_RUN(nonce_older_than_a_day)
                     BP_RUN(nonce_of_an_hour_ago_answers) BP_RUN(grant_needs_a_nonce_of_this_minute)
                         BP_RUN(nonce_outlives_a_restart) BP_RUN(evidence_of_another_device) BP_TABLE(forged_evidence)
                             BP_TABLE(bad_input)
                             BP_RUN(attestation_key_that_is_no_child)
                             BP_TABLE(refused_requests) BP_RUN(too_large) BP_RUN(every_truncation_of_evidence)
                                 BP_RUN(key_that_nobody_knows) BP_RUN(message_that_is_no_request)
                                     BP_RUN(maker_that_nobody_accepted) BP_RUN(activation_that_was_guessed)
                                         BP_RUN(evidence_without_hello) BP_RUN(alias_that_no_activation_proved) BP_RUN(hello_in_anothers_name_disturbs_nobody)
                                             BP_RUN(contact_older_than_ten_minutes)
                                                 BP_RUN(invitation_wrong_spent_expired)
                                                     BP_RUN(waiting_room_of_one_source_is_full)
                                                         BP_RUN(key_that_no_evidence_vouched_for)
                                                             BP_RUN(vouching_ends_after_ten_minutes)
                                                                 BP_RUN(key_vouched_for_another_device)
                                                                     BP_RUN(request_that_its_key_did_not_sign)
                                                                         BP_RUN(base64_on_one_line_or_as_the_client_wrote)
                                                                             BP_RUN(brownfield_off_and_on)
                                                                                 BP_RUN(key_of_a_device_gets_no_brownfield_certificate)
                                                                                     BP_RUN(refusals_do_not_fill_the_log)
                                                                                         BP_RUN(too_much_open) stage_end();)
