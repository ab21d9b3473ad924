/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sim/outage - a hundred and fifty gateways, each with a certificate of its own and two of applications, and a server that
 * is away: first for as long as the site is to go on without it, then for three days, which catch every gateway's own
 * certificate due and not yet run out.
 *
 * Real code and real formats; only time is simulated, and the gateways follow the agent's own rules (agent/schedule,
 * core/renewal). What must come of it: nobody's application certificate runs out, and what fell due meanwhile is not asked
 * for at once. Certificates are counted by simulated time, from the event log.
 *
 * The bounds. Who gets no answer waits 150 to 300 s (BP_BACKOFF_LAST_MS), so a fleet that comes back takes 300 s, and the
 * even share of ten seconds is 10/225 of it: an eighth is the bound. What is held back is spread over BP_RENEW_RESUME_S, and
 * the even share of an hour is a sixth: a third is the bound. Lots are chance, as serial numbers are; both bounds lie more
 * than five deviations above the even share. */
#include "harness.h"
#include "unit/fleet/keeper/world.h"

#include "agent/schedule.h"
#include "core/renewal.h"
#include "fleet/registry/turn.h"

#include <stdlib.h>

#define AGENTS  150u
#define APPS    2u
#define MIN_MS  60000LL
#define HOUR_MS 3600000LL
#define DAY_MS  86400000LL
#define T_MS    BP_OUTAGE_MS
#define JOIN_MS (13 * DAY_MS) /* over which they come; longer than the oldest application waits for its renewal */
#define STEP_MS (10 * MIN_MS)

struct app {
    struct test_key key;
    struct bp_x509 cert; /* into der */
    uint8_t der[2048];
    size_t n;
};

struct agent {
    struct gateway g;
    struct app app[APPS];
    int64_t next_ms; /* simulated wall time of its next round */
    uint32_t failures;
    bool is_joined, wants_nonce;
    uint64_t refused; /* answers that were neither good nor "later" */
    uint64_t expired; /* rounds in which an application had no certificate that counts */
};

static const char *const services[APPS] = {"historian", "recorder"};
static const char *const programs[] = {"/usr/bin/agent", "1", NULL, NULL};
static struct world *w;
static struct agent *agents;
static struct bp_entropy_sim chance_state = {.state = 20261128};
static struct bp_entropy chance;
static bool server_down;

static int64_t now(void)
{
    return w->plant.sim.wall_ms;
}

/* --- an agent ------------------------------------------------------------------------------------ */

static void back_off(struct agent *a)
{
    a->failures++;
    a->wants_nonce = true;
    a->next_ms += bp_schedule_backoff(&chance, a->failures);
}

static bool apply(struct agent *a, size_t i)
{
    struct app *x = &a->app[i];
    return gateway_apply(&a->g, &x->key, services[i], x->der, sizeof x->der, &x->n) &&
           !bp_failed(bp_x509_read(bp_span_of(x->der, x->n), &x->cert));
}

static bool is_due(const struct agent *a, const struct app *x)
{
    uint16_t lot = 0;
    const struct bp_renewal usual = bp_renewal_window(x->cert.not_before_s, x->cert.not_after_s, BP_RENEW_APPLICATION_FROM,
                                                      BP_RENEW_APPLICATION_UNTIL);
    if (bp_failed(bp_renewal_lot(w->plant.crypto, BP_SPAN_OF(a->g.rig.device_id), x->cert.serial, &lot))) {
        return true;
    }
    const struct bp_renewal r = bp_renewal_resumed(&usual, lot, x->cert.not_after_s, a->g.since_s);
    return now() / 1000 >= bp_renewal_at_s(&r, lot);
}

static bool join(struct agent *a)
{
    char code[BP_CODE_TEXT + 1];
    if (a->is_joined) { /* its own certificate ran out */
        return gateway_join(&a->g, NULL);
    }
    a->is_joined = world_invite(w, "north", code) && gateway_join(&a->g, code);
    bool good = a->is_joined;
    for (size_t i = 0; i < APPS && good; i++) {
        good = apply(a, i);
    }
    return good;
}

static bool attest(struct agent *a)
{
    if (a->wants_nonce && gateway_nonce(&a->g)->http.status != 200) {
        return false;
    }
    a->wants_nonce = false;
    return gateway_attest(&a->g)->http.status == 200;
}

static void renew(struct agent *a)
{
    if (a->g.renew && !gateway_renew(&a->g)) {
        a->refused++;
    }
    for (size_t i = 0; i < APPS; i++) {
        a->expired += a->app[i].cert.not_after_s <= now() / 1000 ? 1 : 0;
        if (is_due(a, &a->app[i]) && !apply(a, i)) {
            a->refused++;
        }
    }
}

static void act(struct agent *a)
{
    if (server_down) {
        back_off(a);
        return;
    }
    const bool has_certificate = a->is_joined && a->g.cert.not_after_s > now() / 1000;
    if (has_certificate ? !attest(a) : !join(a)) {
        a->refused++;
        back_off(a);
        return;
    }
    a->failures = 0;
    renew(a);
    a->next_ms = now() + bp_schedule_due(&chance, a->g.due_ms);
}

/* --- time ---------------------------------------------------------------------------------------- */

static void pass(int64_t until)
{
    const int64_t ms = until > now() ? until - now() : 0;
    if (server_down) {
        bp_clock_sim_step(&w->plant.sim, ms);
    } else {
        world_wait(w, ms, STEP_MS);
    }
}

static void live(int64_t until)
{
    for (;;) {
        struct agent *first = &agents[0];
        for (size_t i = 1; i < AGENTS; i++) {
            first = agents[i].next_ms < first->next_ms ? &agents[i] : first;
        }
        if (first->next_ms >= until) {
            break;
        }
        if (!server_down) { /* else nothing happens but the agent's own clock going on */
            pass(first->next_ms);
        }
        act(first);
    }
    pass(until);
}

/* --- what the log says ----------------------------------------------------------------------------- */

struct counted {
    uint64_t all, peak;
};

#define BUCKETS_MAX 512u

/* Certificates of a type issued from `from` on, in buckets of that width. */
static struct counted count(uint32_t type, int64_t from, int64_t width, size_t buckets)
{
    bp_store *s = bp_keeper_store(w->keeper);
    struct counted c = {0, 0};
    static uint64_t bucket[BUCKETS_MAX];
    memset(bucket, 0, sizeof bucket);
    const uint64_t size = world_log_size(w);
    for (uint64_t i = 0; i < size; i++) {
        bp_span body = BP_SPAN_EMPTY;
        uint8_t digest[32];
        struct bp_event e;
        if (bp_failed(bp_store_event(s, i, &body, digest)) || bp_failed(bp_event_read(body, &e)) || e.type != type ||
            e.time_ms < from || e.time_ms >= from + width * (int64_t)buckets) {
            continue;
        }
        const uint64_t n = ++bucket[(e.time_ms - from) / width];
        c.peak = n > c.peak ? n : c.peak;
        c.all++;
    }
    return c;
}

static bool all_joined(void)
{
    bool good = true;
    for (size_t i = 0; i < AGENTS; i++) {
        good = good && agents[i].is_joined && agents[i].refused == 0 && agents[i].expired == 0;
    }
    return good;
}

/* Applications whose certificate was made after a moment and counts now. */
static size_t fresh_applications(int64_t since_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < AGENTS * APPS; i++) {
        const struct bp_x509 *c = &agents[i / APPS].app[i % APPS].cert;
        n += c->not_before_s * 1000 >= since_ms - 10 * MIN_MS && c->not_after_s * 1000 > now() ? 1 : 0;
    }
    return n;
}

static int64_t first_end_ms(void)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < AGENTS * APPS; i++) {
        const int64_t end = agents[i / APPS].app[i % APPS].cert.not_after_s * 1000;
        least = end < least ? end : least;
    }
    return least;
}

/* --- the run --------------------------------------------------------------------------------------- */

static bp_result add_service(void *self, struct bp_turn *t)
{
    struct bp_service s = {.profile = "app-client", .zone = "*", .by = "ann", .at_ms = 1};
    (void)snprintf(s.name, sizeof s.name, "%s", (const char *)self);
    return bp_store_service_add(t->store, &s);
}

static bool make(void)
{
    struct gateway *maker = NULL;
    w = calloc(1, sizeof *w);
    agents = calloc(AGENTS + 1, sizeof *agents);
    if (w == NULL || agents == NULL) {
        return false;
    }
    chance = bp_entropy_sim(&chance_state);
    w->with_policy = true;
    maker = &agents[AGENTS].g; /* whose release is accepted */
    if (!world_make(w) || !gateway_make(maker, w, 255) || !world_setting(w, "attest-interval-ms", 12 * HOUR_MS)) {
        return false;
    }
    const uint32_t at = rig_release(&maker->rig, "release 1", "north", &rig_os_1, programs);
    for (unsigned i = 0; i < AGENTS; i++) {
        agents[i].next_ms = now() + (int64_t)i * (JOIN_MS / AGENTS);
        if (!gateway_make(&agents[i].g, w, i)) {
            return false;
        }
        for (size_t k = 0; k < APPS; k++) {
            if (!test_key_make(&agents[i].app[k].key, BP_SIG_ES256)) {
                return false;
            }
        }
    }
    for (size_t k = 0; k < APPS; k++) {
        if (!world_act(w, add_service, (void *)(uintptr_t)services[k])) {
            return false;
        }
    }
    return world_release(w, &maker->rig, at, BP_ACC_ACCEPTED, "north");
}

static void unmake(void)
{
    for (size_t i = 0; i < AGENTS; i++) {
        for (size_t k = 0; k < APPS; k++) {
            test_key_done(&agents[i].app[k].key);
        }
    }
    for (size_t i = 0; i <= AGENTS; i++) {
        gateway_done(&agents[i].g);
    }
    world_done(w);
    free(agents);
    free(w);
}

/* The server is away for so long; when it is back, evidence is due every half hour. */
static int64_t away_for(int64_t ms)
{
    world_stop(w);
    server_down = true;
    live(now() + ms);
    server_down = !world_restart(w, true);
    BP_CHECK(!server_down && world_setting(w, "attest-interval-ms", 30 * MIN_MS));
    return now();
}

static void settle_down(int64_t ms)
{
    live(now() + 7 * HOUR_MS);
    BP_CHECK(world_setting(w, "attest-interval-ms", 12 * HOUR_MS));
    live(now() + ms);
}

static void through_outages(void)
{
    bp_case_begin();
    const bool made = BP_CHECK(make());
    if (made) {
        live(now() + JOIN_MS + DAY_MS);
        BP_CHECK(all_joined());
    }
    bp_case_end("everybody_joins");
    if (!made) {
        return;
    }

    bp_case_begin();
    int64_t back = away_for(T_MS);
    BP_CHECK(first_end_ms() > back);
    bp_case_end("no_application_runs_out_in_an_outage_of_T");
    settle_down(2 * DAY_MS);

    bp_case_begin();
    BP_CHECK(all_joined() && fresh_applications(back) == AGENTS * APPS);
    BP_CHECK(world_events(w, BP_EV_SERVER_RETURNED, 0) == 1);
    bp_case_end("afterwards_every_application_renews_in_time");

    bp_case_begin();
    const struct counted own = count(BP_EV_CERTIFICATE_ISSUED, back, 10000, 31);
    BP_CHECK(own.all == AGENTS && own.peak <= AGENTS / 8);
    printf("# %lu gateways came back after T, at most %lu in ten seconds\n", (unsigned long)own.all, (unsigned long)own.peak);
    bp_case_end("gateways_come_back_without_a_herd");

    bp_case_begin();
    const struct counted app = count(BP_EV_APPLICATION_ISSUED, back, HOUR_MS, 7);
    BP_CHECK(app.all >= AGENTS * APPS * 9 / 10 && app.peak <= AGENTS * APPS / 3);
    const struct counted rush = count(BP_EV_APPLICATION_ISSUED, back, 10000, 31);
    BP_CHECK(rush.peak <= AGENTS * APPS / 20);
    printf("# %lu of %u applications renewed within seven hours, at most %lu in one, %lu in ten seconds of the return\n",
           (unsigned long)app.all, AGENTS * APPS, (unsigned long)app.peak, (unsigned long)rush.peak);
    bp_case_end("applications_renew_without_a_herd");

    bp_case_begin();
    back = away_for(3 * DAY_MS);
    size_t waiting = 0;
    for (size_t i = 0; i < AGENTS; i++) {
        waiting += agents[i].g.cert.not_after_s * 1000 > now() ? 1 : 0;
    }
    BP_CHECK(waiting == AGENTS); /* due, and not run out */
    settle_down(HOUR_MS);
    const struct counted late = count(BP_EV_CERTIFICATE_ISSUED, back, HOUR_MS, 8);
    BP_CHECK(all_joined() && late.all == AGENTS && late.peak <= AGENTS / 3);
    printf("# after three days %lu gateways renewed, at most %lu in an hour\n", (unsigned long)late.all, (unsigned long)late.peak);
    bp_case_end("own_certificates_renew_without_a_herd");

    bp_case_begin();
    BP_CHECK(world_events(w, BP_EV_EVIDENCE_REFUSED, 0) == 0 && world_events(w, BP_EV_CERTIFICATE_REFUSED, 0) == 0);
    BP_CHECK(world_events(w, BP_EV_TRUST_LOST, 0) == 0 && world_log_holds(w));
    bp_case_end("no_false_alarm");
    unmake();
}

BP_SUITE(outage, BP_TABLE(through_outages))
