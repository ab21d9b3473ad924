/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_faults - a full disk, processes that fail or are gone, an end between any two messages, a
 * store that was put back: nothing acknowledged is missing, nothing is half done, and it goes on afterwards. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define BP_MODULE TEST

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- a full disk --- */

/* No file of this process may grow past this: the store's next write fails as on a full disk. */
static bool limit_files(rlim_t bytes)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_FSIZE, &l) != 0) {
        return false;
    }
    l.rlim_cur = bytes == 0 ? l.rlim_max : bytes;
    return setrlimit(RLIMIT_FSIZE, &l) == 0;
}

static uint64_t send_evidence(size_t i)
{
    g[i].has_proof = false;
    BP_CHECK(gateway_answer(&g[i], NULL));
    const struct world_peer peer = {.spki = BP_SPAN_OF(g[i].spki), .issuer = "device", .source = g[i].source};
    return world_send(w, "device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW,
                      bp_span_of(g[i].rig.evidence, g[i].rig.evidence_n), &peer);
}

BP_CASE(full_disk_refuses_the_whole_group_and_says_so_once)
{
    uint64_t id[3];
    struct bp_trust before[3];
    BP_NEED(stage() && stage_join(0) && stage_join(1) && stage_join(2));
    for (size_t i = 0; i < 3; i++) {
        before[i] = stage_trust(i);
    }
    const uint64_t from = world_log_size(w);
    (void)signal(SIGXFSZ, SIG_IGN);
    BP_NEED(limit_files(8192));
    for (size_t i = 0; i < 3; i++) {
        id[i] = send_evidence(i);
    }
    world_settle(w);
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(is(world_code(world_reply(w, id[i])), "storage-full"));
        BP_CHECK(world_reply(w, id[i])->http.status == 507);
        BP_CHECK(stage_trust(i).seq == before[i].seq && stage_trust(i).verdict == before[i].verdict);
    }
    world_wait(w, 5000, 1000);
    BP_CHECK(is(world_code(gateway_again(&g[0])), "storage-full"));
    BP_CHECK(world_log_size(w) == from && bp_keeper_count(w->keeper).open == 0);
    BP_NEED(limit_files(0));
    /* The numbers were not spent: the same evidence is taken. */
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(gateway_again(&g[i])->http.status == 200 && stage_trust(i).seq == before[i].seq + 1);
    }
    BP_CHECK(world_events(w, BP_EV_STORE_RECOVERED, from) == 1 && bp_keeper_count(w->keeper).store_full > 0);
    world_wait(w, 2000, 500);
    BP_CHECK(world_events(w, BP_EV_STORE_RECOVERED, from) == 1 && world_log_holds(w));
    BP_CHECK(world_restart(w, true) && world_log_holds(w));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
}

BP_CASE(full_disk_grants_nothing)
{
    BP_NEED(stage() && stage_join(0));
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    uint8_t key[32];
    memcpy(key, g[0].spki, 32);
    BP_NEED(limit_files(8192));
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "storage-full") && memcmp(key, g[0].spki, 32) == 0);
    BP_CHECK(!world_revoke(w, g[0].rig.device_id));
    BP_NEED(limit_files(0));
    BP_CHECK(gateway_reenrol(&g[0])->http.status == 200 && memcmp(key, g[0].spki, 32) != 0);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && world_log_holds(w));
}

/* --- other processes --- */

static const struct {
    const char *name;
    enum bp_keeper_to to;
    enum bp_error error; /* OK: the call itself fails, for there is no channel */
    const char *code;
} failures[] = {
    {"appraiser_gone", BP_TO_APPRAISER, BP_E_OK, "unavailable"},
    {"appraiser_ends_under_the_request", BP_TO_APPRAISER, BP_E_CLOSED, "unavailable"},
    {"appraiser_too_slow", BP_TO_APPRAISER, BP_E_EXPIRED, "busy"},
    {"log_signer_gone", BP_TO_SIGNER_LOG, BP_E_OK, "unavailable"},
    {"log_signer_ends_under_the_request", BP_TO_SIGNER_LOG, BP_E_CLOSED, "unavailable"},
    {"log_signer_too_slow", BP_TO_SIGNER_LOG, BP_E_EXPIRED, "busy"},
    {"ca_signer_gone", BP_TO_SIGNER_CA, BP_E_OK, "unavailable"},
    {"ca_signer_ends_under_the_request", BP_TO_SIGNER_CA, BP_E_CLOSED, "unavailable"},
    {"ca_signer_too_slow", BP_TO_SIGNER_CA, BP_E_EXPIRED, "busy"},
};

static void break_process(size_t i, bool broken)
{
    const enum bp_keeper_to to = failures[i].to;
    w->is_gone[to] = broken && failures[i].error == BP_E_OK;
    w->fault[to] = broken && failures[i].error != BP_E_OK ? bp_fail_at(failures[i].error, BP_M_TEST, 1) : BP_OK;
}

/* A refusal that may be repeated says when. */
static bool says_when(const struct world_reply *r)
{
    return r->http.header_count == 1 && bp_span_equal(r->http.header[0].name, BP_SPAN_STR("Retry-After"));
}

static void with_failure(size_t i)
{
    char code[BP_CODE_TEXT + 1];
    struct bp_device d;
    struct bp_trust t;
    const bool is_ca = failures[i].to == BP_TO_SIGNER_CA;
    if (!BP_CHECK(stage() && stage_join(0) && stage_gateway(1) && world_invite(w, "north", code))) {
        return;
    }
    const struct bp_trust before = stage_trust(0);
    BP_CHECK(gateway_hello(&g[1], code)->http.status == 200);
    break_process(i, true);
    const struct world_reply *r = NULL;
    if (!is_ca) {
        r = gateway_attest(&g[0]);
        BP_CHECK(is(world_code(r), failures[i].code) && says_when(r));
        BP_CHECK(stage_trust(0).seq == before.seq && stage_trust(0).verdict == before.verdict);
    }
    r = gateway_first(&g[1]);
    BP_CHECK(is(world_code(r), failures[i].code) && says_when(r));
    BP_CHECK(!world_device(w, g[1].rig.device_id, &d, &t)); /* a row is written with its verdict or not at all */
    if (is_ca) {
        BP_CHECK(is(world_code(gateway_hello(&g[1], code)), failures[i].code));
        BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
        BP_CHECK(is(world_code(gateway_reenrol(&g[0])), failures[i].code));
    }
    BP_CHECK(bp_keeper_count(w->keeper).open == 0);
    break_process(i, false);
    BP_CHECK((is_ca ? gateway_reenrol(&g[0]) : gateway_again(&g[0]))->http.status == 200);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(gateway_join(&g[1], code)); /* its invitation was not spent */
    world_wait(w, 3000, 500);
    BP_CHECK(world_log_holds(w));
}

static void failing_processes(void)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        bp_case_begin();
        with_failure(i);
        bp_case_end(failures[i].name);
    }
}

/* --- the end between any two messages --- */

struct acknowledged {
    uint64_t seq;      /* of the last verdict that was answered */
    bool has_cert;
    uint8_t key[32];
};

/* The life of a gateway up to a renewal; stops where it is not answered. */
static bool live(struct gateway *one, const char *code, struct acknowledged *a)
{
    if (gateway_hello(one, code)->http.status != 200) {
        return false;
    }
    const uint64_t first = one->rig.seq;
    if (gateway_first(one)->http.status != 200) {
        return false;
    }
    a->seq = first;
    if (gateway_enrol(one)->http.status != 200) {
        return false;
    }
    a->has_cert = true;
    memcpy(a->key, one->spki, 32);
    if (gateway_attest(one)->http.status != 200) {
        return false;
    }
    a->seq++;
    if (gateway_nonce(one)->http.status != 200 || gateway_vouch(one)->http.status != 200) {
        return false;
    }
    a->seq++;
    if (gateway_reenrol(one)->http.status != 200) {
        return false;
    }
    memcpy(a->key, one->spki, 32);
    return true;
}

static bool nothing_missing(const struct gateway *one, const struct acknowledged *a)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    struct bp_key key = {0};
    struct bp_verdict_row v = {0};
    bp_store *s = bp_keeper_store(w->keeper);
    if (a->seq == 0) {
        return true;
    }
    if (!world_device(w, one->rig.device_id, &d, &t) || t.seq < a->seq ||
        bp_failed(bp_store_verdict(s, t.verdict, &v)) || v.seq != t.seq) {
        return false;
    }
    return !a->has_cert || (!bp_failed(bp_store_key(s, BP_SPAN_OF(a->key), &key)) && key.device == d.n);
}

BP_CASE(an_end_between_any_two_messages)
{
    uint64_t points = 0;
    BP_NEED(stage());
    for (uint64_t n = 1; n < 200; n++) {
        char code[BP_CODE_TEXT + 1];
        struct acknowledged a = {0};
        BP_NEED(stage() && stage_gateway(0) && world_invite(w, "north", code));
        world_wait(w, 1000, 250);
        w->stop_at = w->calls + n;
        const bool whole = live(&g[0], code, &a);
        const bool stopped = w->calls >= w->stop_at;
        BP_NEED(world_restart(w, true));
        BP_CHECK(nothing_missing(&g[0], &a) && world_log_holds(w));
        /* It goes on: with what it has, or from the beginning. */
        if (a.has_cert) {
            BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
        } else {
            BP_CHECK(gateway_join(&g[0], code));
        }
        points++;
        if (whole && !stopped) {
            break;
        }
    }
    BP_CHECK(points > 8 && points < 199);
    printf("# stopped at %lu points\n", (unsigned long)points - 1);
}

/* --- a store that was put back --- */

static bool copy_file(const char *from, const char *to)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (bp_failed(bp_file_read(from, BP_FILE_PUBLIC, 64u << 20, &bytes, &n))) {
        return false;
    }
    const bool done = !bp_failed(bp_file_write(to, BP_FILE_PUBLIC, bp_span_of(bytes, n)));
    bp_free(bytes);
    return done;
}

static int64_t recovery_of(struct world *of)
{
    int64_t v = -1;
    BP_CHECK(!bp_failed(bp_store_setting(bp_keeper_store(of->keeper), BP_SETTING_RECOVERY, BP_RECOVERY_NONE, &v)));
    return v;
}

/* With the keeper at rest: what the offline commands write. */
static bool set_recovery(struct world *of, int64_t v)
{
    bp_store *s = NULL;
    world_stop(of);
    const bool done = !bp_failed(bp_store_open(of->store_path, BP_STORE_WRITE, "1.0", NULL, &s)) &&
                      !bp_failed(bp_store_begin(s)) && !bp_failed(bp_store_setting_set(s, BP_SETTING_RECOVERY, v)) &&
                      !bp_failed(bp_store_commit(s));
    bp_store_free(s);
    return done;
}

BP_CASE(store_put_back_grants_nothing)
{
    char kept[192];
    BP_NEED(stage_new(true, false) && stage_join(0));
    (void)snprintf(kept, sizeof kept, "%s.kept", w->store_path);
    world_stop(w);
    BP_NEED(copy_file(w->store_path, kept) && world_restart(w, false));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    world_wait(w, 2000, 500);
    world_stop(w);
    BP_NEED(copy_file(kept, w->store_path) && unlink(kept) == 0 && world_restart(w, true));
    world_wait(w, 1000, 500);
    BP_CHECK(world_events(w, BP_EV_LOG_MISMATCH, 0) == 1);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200);
    struct world_reply *told = gateway_vouch(&g[0]);
    BP_CHECK(is(world_code(told), "recovering") && told->http.header_count == 1 &&
             bp_span_equal(told->http.header[0].value, BP_SPAN_STR("60")));
    BP_CHECK(is(world_code(gateway_reenrol(&g[0])), "recovering"));
    BP_CHECK(is(world_code(gateway_hello(&g[0], NULL)), "recovering"));
    /* A list of this store lacks what was revoked since. */
    BP_CHECK(is(world_code(world_ask(w, "status", "GET", "/crl/issuing-0.crl", NULL, BP_SPAN_EMPTY, NULL)), "recovering"));
    BP_CHECK(recovery_of(w) == BP_RECOVERY_OLDER);
    world_wait(w, 2000, 500);
    BP_CHECK(world_events(w, BP_EV_LOG_MISMATCH, 0) == 1);
    stage_end();
}

BP_CASE(put_back_on_purpose_grants_nothing_although_the_signer_knows_no_more)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    BP_NEED(set_recovery(w, BP_RECOVERY_PUT_BACK) && world_restart(w, true));
    world_wait(w, 1000, 500);
    BP_CHECK(world_events(w, BP_EV_LOG_MISMATCH, 0) == 0);
    BP_CHECK(is(world_code(gateway_attest(&g[0])), "recovering"));
    world_wait(w, 2000, 500);
    BP_CHECK(recovery_of(w) == BP_RECOVERY_PUT_BACK);
    /* Accepted. */
    BP_NEED(set_recovery(w, BP_RECOVERY_NONE) && world_restart(w, true));
    world_wait(w, 1000, 500);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    stage_end();
}

BP_CASE(finish_answers_what_is_open)
{
    BP_NEED(stage_new(true, false) && stage_join(0));
    const uint64_t id = send_evidence(0);
    BP_CHECK(!bp_keeper_finish(w->keeper) && !w->accepting);
    const uint64_t late = world_send(w, "status", "GET", "/ca/root.cer", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(world_reply(w, late)->status == BP_P_BUSY);
    world_settle(w);
    BP_CHECK(world_reply(w, id)->http.status == 200);
    BP_CHECK(bp_keeper_finish(w->keeper));
    stage_end();
}

BP_SUITE(keeper_faults, BP_RUN(full_disk_refuses_the_whole_group_and_says_so_once) BP_RUN(full_disk_grants_nothing)
                            BP_TABLE(failing_processes) BP_RUN(an_end_between_any_two_messages)
                                BP_RUN(store_put_back_grants_nothing)
                                    BP_RUN(put_back_on_purpose_grants_nothing_although_the_signer_knows_no_more) BP_RUN(finish_answers_what_is_open) stage_end();)
