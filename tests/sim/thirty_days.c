/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sim/thirty_days - keeper, signers, appraisal, two fronts and twenty gateways through thirty days in a minute.
 *
 * Real code and real formats; only time is simulated. What happens to them is written in the plan below, day by day; what
 * must come of it is counted from the event log at the end: every planned silence is found, nothing else is an alarm, no
 * certificate runs out, nothing is issued twice, and the log holds. */
#include "harness.h"
#include "unit/fleet/keeper/world.h"

#include <stdlib.h>

#define AGENTS     20u
#define DAY_MS     86400000LL
#define HOUR_MS    3600000LL
#define DAYS       30
#define STEP_MS    60000LL /* between two turns of the keeper while nothing happens */
#define BACKOFF_MS 60000LL

struct agent {
    struct gateway g;
    unsigned front;
    int64_t next_ms;    /* simulated wall time of its next act */
    int64_t backoff_ms;
    bool is_dead;       /* out of power for good */
    bool is_joined;
    bool wants_nonce;   /* what it holds was refused, or is too old to be worth trying */
    uint64_t renewals;
    uint64_t refused;   /* answers that were neither good nor "later" */
    uint64_t retries;
    int64_t latest_end_s; /* of its certificate */
};

/* What happens. */
enum happening {
    FRONT_DOWN,    /* of front `who`: its gateways reach nobody */
    FRONT_UP,
    SERVER_KILLED, /* keeper and signers */
    SERVER_STARTED,
    POWER_CUT,     /* of gateway `who` */
    REBOOT,
    DEAD,          /* gateway `who`, for good */
    CLOCK_SET      /* the server's clock jumps by `who` seconds */
};
static const struct {
    int64_t at_ms; /* since the start */
    enum happening what;
    unsigned who;
} plan[] = {
    {2 * DAY_MS + 5 * HOUR_MS, POWER_CUT, 3},
    {3 * DAY_MS, REBOOT, 4},
    {4 * DAY_MS, SERVER_KILLED, 0},
    {4 * DAY_MS + 20000, SERVER_STARTED, 0},
    {6 * DAY_MS, FRONT_DOWN, 1},
    {6 * DAY_MS + 9 * HOUR_MS, FRONT_UP, 1},
    {9 * DAY_MS, CLOCK_SET, 90},
    {10 * DAY_MS, SERVER_KILLED, 0},
    {10 * DAY_MS + 9 * HOUR_MS, SERVER_STARTED, 0},
    {12 * DAY_MS, POWER_CUT, 7},
    {12 * DAY_MS + 3000, POWER_CUT, 7},
    {15 * DAY_MS, REBOOT, 12},
    {17 * DAY_MS, FRONT_DOWN, 0},
    {17 * DAY_MS + 600000, FRONT_UP, 0}, /* shorter than the grace: nobody is silent */
    {20 * DAY_MS, DEAD, 19},
    {21 * DAY_MS, SERVER_KILLED, 0},
    {21 * DAY_MS + 60000, SERVER_STARTED, 0},
    {25 * DAY_MS, POWER_CUT, 11},
};

static struct world *w;
static struct agent *agents;
static struct agent *maker; /* whose release is accepted */
static bool front_down[2];
static bool server_down;
static const char *const programs[] = {"/usr/bin/agent", "1", NULL, NULL};

static int64_t now(void)
{
    return w->plant.sim.wall_ms;
}

/* --- an agent ------------------------------------------------------------------------------------ */

static void later(struct agent *a)
{
    a->retries++;
    a->backoff_ms = a->backoff_ms == 0 ? BACKOFF_MS : a->backoff_ms * 2;
    if (a->backoff_ms > HOUR_MS / 2) {
        a->backoff_ms = HOUR_MS / 2;
    }
    a->next_ms = now() + a->backoff_ms + (int64_t)(a->g.exporter[0] * 37);
}

static bool can_reach(const struct agent *a)
{
    return !server_down && !front_down[a->front];
}

static void join(struct agent *a)
{
    char code[BP_CODE_TEXT + 1];
    if (world_invite(w, "north", code) && gateway_join(&a->g, code)) {
        a->is_joined = true;
        a->next_ms = now() + a->g.due_ms;
        a->latest_end_s = a->g.cert.not_after_s;
    } else {
        a->refused++;
        later(a);
    }
}

static void renew(struct agent *a)
{
    if (gateway_renew(&a->g)) {
        a->renewals++;
        a->latest_end_s = a->g.cert.not_after_s;
    } else {
        a->refused++;
    }
}

static void attest(struct agent *a)
{
    if (a->wants_nonce && gateway_nonce(&a->g)->http.status != 200) {
        later(a);
        return;
    }
    const struct world_reply *r = gateway_attest(&a->g);
    if (r->http.status != 200) {
        a->refused += strcmp(world_code(r), "nonce-expired") == 0 ? 0 : 1;
        a->wants_nonce = true;
        later(a);
        return;
    }
    a->wants_nonce = false;
    a->backoff_ms = 0;
    if (a->g.renew) {
        renew(a);
    }
    a->next_ms = now() + a->g.due_ms;
}

static void act(struct agent *a)
{
    if (!can_reach(a)) {
        later(a);
    } else if (!a->is_joined) {
        join(a);
    } else {
        attest(a);
    }
}

/* --- what happens -------------------------------------------------------------------------------- */

static void happen(enum happening what, unsigned who)
{
    switch (what) {
    case FRONT_DOWN:
    case FRONT_UP:
        front_down[who] = what == FRONT_DOWN;
        break;
    case SERVER_KILLED:
        world_stop(w);
        server_down = true;
        break;
    case SERVER_STARTED:
        server_down = !world_restart(w, true);
        break;
    case POWER_CUT:
    case REBOOT:
        gateway_boot(&agents[who].g, &rig_os_1, what == POWER_CUT);
        break;
    case DEAD:
        agents[who].is_dead = true;
        break;
    case CLOCK_SET:
        w->plant.sim.wall_ms += (int64_t)who * 1000;
        break;
    }
}

static void pass(int64_t until)
{
    if (server_down) {
        bp_clock_sim_step(&w->plant.sim, until > now() ? until - now() : 0);
        return;
    }
    world_wait(w, until > now() ? until - now() : 0, STEP_MS);
}

static void live(int64_t start)
{
    size_t next = 0;
    const int64_t end = start + DAYS * DAY_MS;
    while (now() < end) {
        struct agent *first = NULL;
        for (size_t i = 0; i < AGENTS; i++) {
            if (!agents[i].is_dead && (first == NULL || agents[i].next_ms < first->next_ms)) {
                first = &agents[i];
            }
        }
        const bool planned = next < sizeof plan / sizeof plan[0] && start + plan[next].at_ms <= first->next_ms;
        pass(planned ? start + plan[next].at_ms : first->next_ms);
        if (planned) {
            happen(plan[next].what, plan[next].who);
            next++;
        } else {
            act(first);
        }
    }
}

/* --- the run ------------------------------------------------------------------------------------- */

static bool make(void)
{
    w = calloc(1, sizeof *w);
    agents = calloc(AGENTS + 1, sizeof *agents);
    if (w == NULL || agents == NULL) {
        return false;
    }
    maker = &agents[AGENTS];
    w->with_policy = true;
    if (!world_make(w) || !gateway_make(&maker->g, w, 200) || !world_setting(w, "attest-interval-ms", 2 * HOUR_MS)) {
        return false;
    }
    const uint32_t at = rig_release(&maker->g.rig, "release 1", "north", &rig_os_1, programs);
    for (unsigned i = 0; i < AGENTS; i++) {
        if (!gateway_make(&agents[i].g, w, i)) {
            return false;
        }
        agents[i].front = i / (AGENTS / 2);
        agents[i].next_ms = now() + (int64_t)i * 7000;
    }
    return world_release(w, &maker->g.rig, at, BP_ACC_ACCEPTED, "north");
}

static void unmake(void)
{
    for (size_t i = 0; i <= AGENTS; i++) {
        gateway_done(&agents[i].g);
    }
    world_done(w);
    free(agents);
    free(w);
}

/* Events of the log by type, read once. */
static uint64_t count[128];

static bool read_events(void)
{
    bp_store *s = bp_keeper_store(w->keeper);
    const uint64_t size = world_log_size(w);
    for (uint64_t i = 0; i < size; i++) {
        bp_span body = BP_SPAN_EMPTY;
        uint8_t digest[32];
        struct bp_event e;
        if (bp_failed(bp_store_event(s, i, &body, digest)) || bp_failed(bp_event_read(body, &e))) {
            return false;
        }
        count[e.type < 128 ? e.type : 0]++;
    }
    return size > 0;
}

static void check_devices(void)
{
    uint64_t renewals = 0, refused = 0, retries = 0;
    for (size_t i = 0; i < AGENTS; i++) {
        const struct agent *a = &agents[i];
        struct bp_device d = {0};
        struct bp_trust t = {0};
        renewals += a->renewals;
        refused += a->refused;
        retries += a->retries;
        bp_case_begin();
        BP_CHECK(world_device(w, a->g.rig.device_id, &d, &t) && d.state == BP_ST_ACTIVE);
        BP_CHECK(t.tier == BP_TIER_AFFIRMING && t.silent == a->is_dead);
        BP_CHECK(a->is_dead || a->latest_end_s * 1000 > now());
        BP_CHECK(a->is_dead || a->renewals >= 5);
        char name[32];
        (void)snprintf(name, sizeof name, "gateway_%zu", i);
        bp_case_end(name);
    }
    bp_case_begin();
    BP_CHECK(refused == 0);
    BP_CHECK(count[BP_EV_CERTIFICATE_ISSUED] == renewals + AGENTS);
    printf("# %lu verdicts, %lu renewals, %lu retries, %lu commits\n", (unsigned long)count[BP_EV_VERDICT],
           (unsigned long)renewals, (unsigned long)retries, (unsigned long)bp_keeper_count(w->keeper).commits);
    bp_case_end("renewals");
}

static void thirty_days(void)
{
    bp_case_begin();
    const bool made = BP_CHECK(make());
    if (made) {
        const int64_t start = now();
        live(start);
        BP_CHECK(!server_down && now() >= start + DAYS * DAY_MS);
        world_wait(w, 2000, 500);
        BP_CHECK(read_events() && count[BP_EV_VERDICT] > AGENTS * 300);
    }
    bp_case_end("days_pass");
    if (!made) {
        return;
    }
    check_devices();

    bp_case_begin();
    /* Ten gateways of the front that was away for nine hours, and the dead one. */
    BP_CHECK(count[BP_EV_DEVICE_SILENT] == AGENTS / 2 + 1);
    BP_CHECK(count[BP_EV_DEVICE_HEARD] == AGENTS / 2);
    bp_case_end("silence_as_planned");

    bp_case_begin();
    BP_CHECK(count[BP_EV_TRUST_LOST] == 0 && count[BP_EV_TRUST_GAINED] == AGENTS);
    BP_CHECK(count[BP_EV_DEVICE_QUARANTINED] == 0 && count[BP_EV_DEVICE_REBOUND] == 0);
    BP_CHECK(count[BP_EV_EVIDENCE_REFUSED] == 0 && count[BP_EV_CONTACT_REFUSED] == 0);
    BP_CHECK(count[BP_EV_CERTIFICATE_REFUSED] == 0 && count[BP_EV_LOG_MISMATCH] == 0);
    BP_CHECK(count[BP_EV_CLOCK_JUMPED] == 1);
    bp_case_end("no_false_alarm");

    bp_case_begin();
    BP_CHECK(count[BP_EV_CRL_PUBLISHED] > 600); /* hourly, but while the server was away */
    BP_CHECK(world_log_holds(w));
    bp_case_end("lists_and_log");
    unmake();
}

BP_SUITE(thirty_days, BP_TABLE(thirty_days))
