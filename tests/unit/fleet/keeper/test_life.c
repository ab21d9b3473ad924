/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_life - the life of devices through the keeper's port: real formats, real signers, real
 * appraisal, no process. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "codec/note.h"
#include "codec/x509.h"
#include "core/merkle.h"
#include "pki/x509.h"

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- enrolment --- */

BP_CASE(invited)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_gateway(0));
    BP_CHECK(world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200);
    BP_CHECK(g[0].has_proof && is(g[0].state, "unknown"));
    BP_CHECK(gateway_first(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_AFFIRMING && is(g[0].state, "claimed"));
    BP_CHECK(gateway_enrol(&g[0])->http.status == 200 && g[0].has_cert);
    BP_CHECK(stage_is(0, BP_ST_ENROLLED));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && is(g[0].state, "active"));
    const struct bp_trust t = stage_trust(0);
    BP_CHECK(t.seq == 2 && t.tier == BP_TIER_AFFIRMING && memcmp(t.ldevid, g[0].spki, 32) == 0);
    BP_CHECK(g[0].due_ms > 0 && g[0].due_ms <= 66000 && world_log_holds(w));
}

BP_CASE(approved)
{
    BP_NEED(stage() && stage_gateway(0));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    BP_CHECK(is(g[0].state, "waiting") && g[0].tier == BP_TIER_NONE);
    const struct world_reply *r = gateway_enrol(&g[0]);
    BP_CHECK(r->http.status == 202 && r->http.header_count == 1);
    BP_CHECK(bp_span_equal(r->http.header[0].name, BP_SPAN_STR("Retry-After")));
    BP_CHECK(bp_span_equal(r->http.header[0].value, BP_SPAN_STR("10")));
    BP_CHECK(world_approve(w, g[0].rig.device_id, "north"));
    /* What vouched for the key so far was judged by no zone's rules. */
    BP_CHECK(is(world_code(gateway_enrol(&g[0])), "not-preapproved"));
    BP_CHECK(gateway_join(&g[0], NULL));
}

BP_CASE(waiting_expires_after_a_day)
{
    BP_NEED(stage() && stage_gateway(0));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    world_wait(w, BP_WAITING_MS - 60000, 3600000);
    BP_CHECK(stage_is(0, BP_ST_WAITING));
    world_wait(w, 120000, 60000);
    struct bp_device d;
    struct bp_trust t;
    BP_CHECK(!world_device(w, g[0].rig.device_id, &d, &t));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
}

BP_CASE(renewed)
{
    BP_NEED(stage() && stage_join(0));
    uint8_t first[32];
    memcpy(first, g[0].spki, 32);
    BP_CHECK(!g[0].renew);
    BP_CHECK(gateway_renew(&g[0]) && memcmp(first, g[0].spki, 32) != 0);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
    BP_CHECK(memcmp(stage_trust(0).ldevid, g[0].spki, 32) == 0);
    BP_CHECK(g[0].cert.not_after_s - g[0].cert.not_before_s <= 8 * 86400);
}

BP_CASE(renewal_is_asked_for_in_time)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 3 * 86400000LL, 43200000);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200 && !g[0].renew);
    world_wait(w, 2 * 86400000LL, 43200000);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200 && g[0].renew);
}

BP_CASE(enrolled_twice_with_the_same_key)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(gateway_hello(&g[0], NULL)->http.status == 200 && is(g[0].state, "active"));
    BP_CHECK(gateway_first(&g[0])->http.status == 200 && is(g[0].state, "active"));
    BP_CHECK(gateway_enrol(&g[0])->http.status == 200);
}

BP_CASE(invitation_is_no_offence_for_who_spent_it)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_gateway(0) && stage_gateway(1) && world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    BP_CHECK(gateway_join(&g[0], code));
    BP_CHECK(gateway_hello(&g[1], code)->http.status == 200);
    BP_CHECK(is(world_code(gateway_first(&g[1])), "bad-invitation"));
}

BP_CASE(device_listener_binds_to_the_connection)
{
    BP_NEED(stage_new(true, true));
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage_gateway(0) && world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    BP_CHECK(gateway_enrol(&g[0])->http.status == 200);
    memcpy(g[0].rig.binding, g[0].exporter, 32);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
    /* The same words over another connection. */
    BP_CHECK(gateway_answer(&g[0], NULL));
    g[0].exporter[0] ^= 1;
    const struct world_reply *r = gateway_again(&g[0]);
    char detail[256];
    BP_CHECK(is(world_code(r), "evidence-refused") && world_member(r, "detail", detail, sizeof detail));
    BP_CHECK(strncmp(detail, "extra-data", 10) == 0);
    stage_end();
}

/* --- trust --- */

BP_CASE(foreign_program_turns_red_and_is_quarantined)
{
    BP_NEED(stage() && stage_join(0));
    const uint64_t from = world_log_size(w);
    rig_run(&g[0].rig, "/tmp/foreign", "1");
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_CONTRAINDICATED && is(g[0].state, "quarantined"));
    BP_CHECK(world_events(w, BP_EV_TRUST_LOST, from) == 1 && world_events(w, BP_EV_DEVICE_QUARANTINED, from) == 1);
    BP_CHECK(strstr(stage_trust(0).reason, "/tmp/foreign") != NULL);
    /* It may still attest; the same reason is no new alarm. */
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(world_events(w, BP_EV_TRUST_LOST, from) == 1);
    /* A person releases it; it stays released while there is no other reason. */
    BP_CHECK(world_free(w, g[0].rig.device_id));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && is(g[0].state, "active"));
    /* Started again without the program it is trusted again. */
    gateway_boot(&g[0], &rig_os_1, false);
    world_wait(w, 30000, 1000);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_AFFIRMING);
    BP_CHECK(world_events(w, BP_EV_TRUST_GAINED, from) == 1);
}

BP_CASE(withdrawn_release_turns_red)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    BP_CHECK(world_release(w, &model->rig, stage_release, BP_ACC_DEPRECATED, "north"));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_WARNING);
    BP_CHECK(world_release(w, &model->rig, stage_release, BP_ACC_WITHDRAWN, "north"));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_CONTRAINDICATED);
    BP_CHECK(!gateway_renew(&g[0]));
    stage_end();
}

BP_CASE(without_policy_nothing_is_trusted)
{
    BP_NEED(stage_new(false, false));
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage_gateway(0) && world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_NONE && strncmp(stage_trust(0).reason, "Not appraised", 13) == 0);
    BP_CHECK(is(world_code(gateway_enrol(&g[0])), "not-preapproved"));
    stage_end();
}

static const char no_rule[] = "version: 9\nzone: \"*\"\nrules:\n  - name: nobody\n    when: tier = 3\n    verdict: permit\n"
                              "    reason: nothing\n";
static const char held[] = "version: 9\nzone: \"*\"\nrules:\n  - name: hold\n    when: tier = 2\n    verdict: permit\n"
                           "    actions: [hold]\n    reason: no renewal now\n";

BP_CASE(policy_that_permits_nothing)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    BP_CHECK(world_policy(w, 9, no_rule));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].tier == BP_TIER_NONE);
    BP_CHECK(!gateway_renew(&g[0]));
    stage_end();
}

BP_CASE(policy_that_holds_renewal)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    BP_CHECK(world_policy(w, 9, held));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_AFFIRMING);
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "not-preapproved"));
    stage_end();
}

BP_CASE(quarantine_by_a_person)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(world_quarantine(w, g[0].rig.device_id));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && is(g[0].state, "quarantined"));
    BP_CHECK(gateway_renew(&g[0])); /* it stays reachable */
    BP_CHECK(world_free(w, g[0].rig.device_id));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && is(g[0].state, "active"));
}

BP_CASE(revoked_is_off)
{
    BP_NEED(stage() && stage_join(0));
    const uint64_t denied = w->denied;
    uint64_t number = 0;
    int64_t at = 0;
    bp_span der = BP_SPAN_EMPTY;
    BP_CHECK(!bp_failed(bp_store_crl(bp_keeper_store(w->keeper), "issuing", &number, &at, &der)));
    const uint64_t before = number;
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    BP_CHECK(w->denied >= denied + 3); /* endorsement, attestation and session keys */
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "revoked"));
    BP_CHECK(is(world_code(gateway_nonce(&g[0])), "revoked"));
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "revoked"));
    BP_CHECK(is(world_code(gateway_hello(&g[0], NULL)), "revoked"));
    world_wait(w, 2000, 1000);
    const struct world_reply *r = world_ask(w, "status", "GET", "/crl/issuing-0.crl", NULL, BP_SPAN_EMPTY, NULL);
    bool listed = false;
    for (size_t i = 0; i + g[0].cert.serial.n <= r->http.body.n && r->http.status == 200; i++) {
        listed |= memcmp(r->http.body.p + i, g[0].cert.serial.p, g[0].cert.serial.n) == 0;
    }
    BP_CHECK(listed);
    BP_CHECK(!bp_failed(bp_store_crl(bp_keeper_store(w->keeper), "issuing", &number, &at, &der)) && number > before);
    BP_CHECK(world_restart(w, false) && w->denied >= denied + 6); /* told again to whoever joins */
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "revoked"));
}

BP_CASE(cleared_tpm_is_held_until_a_person_looks)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage() && stage_join(0) && stage_gateway(1));
    /* The same chip with another attestation key. */
    const struct bp_sim_chip other = g[1].chip;
    g[1].chip = g[0].chip;
    g[0].chip = other;
    BP_CHECK(rig_hang(&g[1].rig, bp_span_of(g[1].chip.public_area, g[1].chip.public_n)));
    const uint64_t from = world_log_size(w);
    BP_CHECK(gateway_hello(&g[1], NULL)->http.status == 200);
    BP_CHECK(memcmp(g[1].rig.device_id, g[0].rig.device_id, 33) == 0);
    BP_CHECK(gateway_first(&g[1])->http.status == 200 && is(g[1].state, "quarantined"));
    BP_CHECK(world_events(w, BP_EV_DEVICE_REBOUND, from) == 1);
    /* Invited again it is claimed anew. */
    BP_CHECK(world_invite(w, "north", code) && gateway_hello(&g[1], code)->http.status == 200);
    BP_CHECK(gateway_first(&g[1])->http.status == 200);
    BP_CHECK(is(g[1].state, "quarantined") || is(g[1].state, "claimed"));
}

/* --- silence --- */

BP_CASE(silence_is_noticed_once_and_ends)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    const uint64_t from = world_log_size(w);
    world_wait(w, 100000, 1000);
    BP_CHECK(world_events(w, BP_EV_DEVICE_SILENT, from) == 0);
    world_wait(w, 60000, 1000);
    BP_CHECK(world_events(w, BP_EV_DEVICE_SILENT, from) == 1 && stage_trust(0).silent);
    world_wait(w, 60000, 1000);
    BP_CHECK(world_events(w, BP_EV_DEVICE_SILENT, from) == 1);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && !stage_trust(0).silent);
    BP_CHECK(world_events(w, BP_EV_DEVICE_HEARD, from) == 1);
}

BP_CASE(silence_is_noticed_after_a_restart)
{
    BP_NEED(stage() && stage_join(0));
    const uint64_t from = world_log_size(w);
    BP_CHECK(world_restart(w, true));
    world_wait(w, 110000, 1000);
    BP_CHECK(world_events(w, BP_EV_DEVICE_SILENT, from) == 0); /* time to come back after our own absence */
    world_wait(w, 60000, 1000);
    BP_CHECK(stage_trust(0).silent);
}

BP_CASE(clock_that_jumps_silences_nobody)
{
    BP_NEED(stage() && stage_join(0));
    const uint64_t from = world_log_size(w);
    w->plant.sim.wall_ms += 3600000;
    world_wait(w, 60000, 1000);
    BP_CHECK(world_events(w, BP_EV_CLOCK_JUMPED, from) == 1 && !stage_trust(0).silent);
    /* The device's own clock went on as ever; it asks again with the nonce of the refusal and is well. */
    g[0].rig.now_ms = w->plant.sim.wall_ms;
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "nonce-expired"));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_AFFIRMING);
    w->plant.sim.wall_ms -= 1800000;
    world_wait(w, 5000, 1000);
    BP_CHECK(world_events(w, BP_EV_CLOCK_JUMPED, from) == 2 && !stage_trust(0).silent);
    g[0].rig.now_ms = w->plant.sim.wall_ms;
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "nonce-expired"));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_AFFIRMING && world_events(w, BP_EV_EVIDENCE_REFUSED, from) == 0);
    stage_end();
}

/* --- log --- */

BP_CASE(heads_are_signed_and_proven)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 1000, 250);
    struct bp_tree_row t = {0};
    BP_CHECK(!bp_failed(bp_store_tree(bp_keeper_store(w->keeper), &t)));
    BP_CHECK(t.signed_size == t.size && t.tiled_size == t.size); /* at most a second later */
    const uint64_t first = t.size;
    uint8_t first_root[32], second_root[32];
    BP_CHECK(!bp_failed(bp_log_root(bp_keeper_store(w->keeper), w->plant.crypto, first, first_root)));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].head_size == first);
    world_wait(w, 1000, 250);
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "device"};
    const struct world_reply *r =
        world_ask(w, "device", "GET", "/bedplate/v1/log/checkpoint", NULL, BP_SPAN_EMPTY, &peer);
    BP_CHECK(r->http.status == 200 && r->http.body.n > 0);
    struct bp_note note;
    struct bp_checkpoint cp;
    BP_CHECK(!bp_failed(bp_note_read(r->http.body, &note)) && !bp_failed(bp_checkpoint_read(&note, &cp)));
    const struct world_reply *key =
        world_ask(w, "device", "GET", "/bedplate/v1/log/certificate", NULL, BP_SPAN_EMPTY, &peer);
    struct bp_x509 cert;
    BP_CHECK(key->http.status == 200 && !bp_failed(bp_x509_profile_check(key->http.body, BP_CERT_LOG, w->plant.sim.wall_ms)));
    BP_CHECK(!bp_failed(bp_x509_read(key->http.body, &cert)) &&
             !bp_failed(bp_note_verify(w->plant.crypto, &note, cp.origin, cert.spki)));
    char target[96];
    const uint64_t second = world_log_size(w);
    (void)snprintf(target, sizeof target, "/bedplate/v1/log/consistency?from=%lu&to=%lu", (unsigned long)first,
                   (unsigned long)second);
    r = world_ask(w, "device", "GET", target, NULL, BP_SPAN_EMPTY, &peer);
    struct bp_consistency c;
    uint8_t proof[BP_MERKLE_MAX_PROOF * 32];
    BP_NEED(r->http.status == 200 && !bp_failed(bp_consistency_read(r->http.body, &c)));
    for (uint32_t i = 0; i < c.hashes; i++) {
        memcpy(proof + (size_t)i * 32, c.hash[i].p, 32);
    }
    BP_CHECK(!bp_failed(bp_log_root(bp_keeper_store(w->keeper), w->plant.crypto, second, second_root)));
    BP_CHECK(!bp_failed(bp_merkle_verify_consistency(w->plant.crypto, first, second, first_root, second_root,
                                                     bp_span_of(proof, (size_t)c.hashes * 32))));
    (void)snprintf(target, sizeof target, "/bedplate/v1/log/consistency?from=%lu&to=%lu", (unsigned long)second,
                   (unsigned long)second + 1);
    BP_CHECK(is(world_code(world_ask(w, "device", "GET", target, NULL, BP_SPAN_EMPTY, &peer)), "not-found"));
}

BP_CASE(one_commit_for_many)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1) && stage_join(2));
    const uint64_t commits = bp_keeper_count(w->keeper).commits;
    uint64_t id[3];
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(gateway_answer(&g[i], NULL));
        const struct world_peer peer = {.spki = BP_SPAN_OF(g[i].spki), .issuer = "device", .source = g[i].source};
        id[i] = world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                           bp_span_of(g[i].rig.evidence, g[i].rig.evidence_n), &peer);
    }
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(!world_reply(w, id[i])->is_there);
    }
    world_settle(w);
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(world_reply(w, id[i])->is_there && world_reply(w, id[i])->http.status == 200);
    }
    /* One for the verdicts, and one or two for the head over them. */
    BP_CHECK(bp_keeper_count(w->keeper).commits <= commits + 4);
}

BP_CASE(certificates_are_served)
{
    BP_NEED(stage());
    const struct world_reply *r = world_ask(w, "status", "GET", "/ca/root.cer", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.body, w->plant.site->cert[BP_SITE_CERT_ROOT]));
    r = world_ask(w, "status", "GET", "/ca/issuing.cer", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.body, w->plant.site->cert[BP_SITE_CERT_ISSUING]));
    r = world_ask(w, "enrol", "GET", "/bedplate/v1/anchor", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.body, w->plant.site->cert[BP_SITE_CERT_ROOT]));
}

BP_SUITE(keeper_life,
         BP_RUN(invited) BP_RUN(approved) BP_RUN(waiting_expires_after_a_day) BP_RUN(renewed)
             BP_RUN(renewal_is_asked_for_in_time) BP_RUN(enrolled_twice_with_the_same_key)
                 BP_RUN(invitation_is_no_offence_for_who_spent_it) BP_RUN(device_listener_binds_to_the_connection)
                     BP_RUN(foreign_program_turns_red_and_is_quarantined) BP_RUN(withdrawn_release_turns_red)
                         BP_RUN(without_policy_nothing_is_trusted) BP_RUN(policy_that_permits_nothing)
                             BP_RUN(policy_that_holds_renewal) BP_RUN(quarantine_by_a_person) BP_RUN(revoked_is_off)
                                 BP_RUN(cleared_tpm_is_held_until_a_person_looks)
                                     BP_RUN(silence_is_noticed_once_and_ends) BP_RUN(silence_is_noticed_after_a_restart)
                                         BP_RUN(clock_that_jumps_silences_nobody) BP_RUN(heads_are_signed_and_proven)
                                             BP_RUN(one_commit_for_many) BP_RUN(certificates_are_served) stage_end();)
