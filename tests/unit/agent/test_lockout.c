/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_lockout - the order in which a lockout value is made, given away and set: the power is cut before
 * and after each step, and whatever the moment, no value is set that the server does not keep; then it goes on to its end. */
#include "agent/lockout.h"

#include <stdio.h>

#include "harness.h"
#include "platform/sim/sim.h"

#define KEPT_MAX 16u

/* The world that outlives the agent's process. */
static struct {
    /* the folder */
    bool has_file;
    struct bp_agent_lockout file;
    /* the root */
    bool is_set, clear_disabled;
    uint8_t value[32];
    unsigned tries; /* of a value that is not the root's */
    /* the server */
    bool knows_escrow;
    struct {
        uint8_t envelope[BP_ENVELOPE_MAX];
        size_t n;
        enum bp_escrow_state state;
    } kept[KEPT_MAX];
    size_t kept_n;
    bool foreign_told;
    unsigned seals;
} w;

/* The power goes at step `cut`, before or after its effect; 0: never. */
static unsigned step, cut;
static bool after, is_dark;

static struct bp_entropy_sim sim = {.state = 7};
static struct bp_entropy entropy;
static struct bp_agent_lockout out;
static unsigned breaches; /* moments at which a value was set that the server did not keep */

static bool goes_now(bool is_after)
{
    if (!is_after) {
        step++;
    }
    if (cut != 0 && step == cut && after == is_after) {
        is_dark = true;
    }
    return is_dark;
}
#define CUT(is_after)                                                                                                  \
    do {                                                                                                               \
        if (goes_now(is_after)) {                                                                                      \
            return bp_fail_at(BP_E_CLOSED, 0, __LINE__);                                                               \
        }                                                                                                              \
    } while (0)

/* The seal of these tests turns each byte over: what is in an envelope can be read back. */
static bool is_kept(const uint8_t value[32])
{
    for (size_t i = 0; i < w.kept_n; i++) {
        bool same = w.kept[i].n == 32;
        for (size_t k = 0; k < 32 && same; k++) {
            same = (w.kept[i].envelope[k] ^ value[k]) == 0xff;
        }
        if (same) {
            return true;
        }
    }
    return false;
}

static bp_result load(void *self, struct bp_agent_lockout *ret)
{
    (void)self;
    CUT(false);
    if (!w.has_file) {
        CUT(true);
        return bp_fail_at(BP_E_NOT_FOUND, 0, __LINE__);
    }
    *ret = w.file;
    CUT(true);
    return BP_OK;
}

static bp_result save(void *self, const struct bp_agent_lockout *v)
{
    (void)self;
    CUT(false);
    w.file = *v;
    w.has_file = true;
    CUT(true);
    return BP_OK;
}

static bp_result look(void *self, bp_span value, struct bp_rot_hardening *ret)
{
    (void)self;
    CUT(false);
    if (value.n != 0 && w.is_set && memcmp(value.p, w.value, 32) != 0) {
        w.tries++;
        return bp_fail_at(BP_E_DENIED, 0, __LINE__);
    }
    *ret = (struct bp_rot_hardening){.auth_was_set = w.is_set, .clear_disabled = w.clear_disabled};
    CUT(true);
    return BP_OK;
}

static bp_result harden(void *self, bp_span value, struct bp_rot_hardening *ret)
{
    (void)self;
    CUT(false);
    *ret = (struct bp_rot_hardening){.auth_was_set = w.is_set, .auth_set_now = !w.is_set, .clear_disabled = true};
    if (!w.is_set) {
        w.is_set = true;
        w.clear_disabled = true;
        memcpy(w.value, value.p, 32);
        breaches += is_kept(w.value) ? 0 : 1;
    }
    CUT(true);
    return BP_OK;
}

static bp_result seal(void *self, const uint8_t value[32], uint8_t ret[BP_ENVELOPE_MAX], size_t *ret_n)
{
    (void)self;
    CUT(false);
    if (!w.knows_escrow) {
        return bp_fail_at(BP_E_NOT_FOUND, 0, __LINE__);
    }
    for (size_t i = 0; i < 32; i++) {
        ret[i] = value[i] ^ 0xffu;
    }
    *ret_n = 32;
    w.seals++;
    CUT(true);
    return BP_OK;
}

static bp_result tell(void *self, enum bp_escrow_state state, bp_span envelope)
{
    (void)self;
    CUT(false);
    if (!w.knows_escrow) {
        return bp_fail_at(BP_E_NOT_FOUND, 0, __LINE__);
    }
    if (state == BP_ESCROW_FOREIGN) {
        w.foreign_told = true;
        CUT(true);
        return BP_OK;
    }
    size_t i = 0;
    while (i < w.kept_n && !bp_span_equal(bp_span_of(w.kept[i].envelope, w.kept[i].n), envelope)) {
        i++;
    }
    if (i == w.kept_n && i < KEPT_MAX) {
        memcpy(w.kept[i].envelope, envelope.p, envelope.n);
        w.kept[i].n = envelope.n;
        w.kept_n++;
    }
    w.kept[i].state = state > w.kept[i].state ? state : w.kept[i].state;
    CUT(true);
    return BP_OK;
}

static const struct bp_lockout_port port = {.entropy = &entropy, .anchor = {9}, .load = load, .save = save, .look = look,
                                            .harden = harden, .seal = seal, .tell = tell};

static void fresh(void)
{
    memset(&w, 0, sizeof w);
    w.knows_escrow = true;
    breaches = 0;
    cut = 0;
}

static bp_result secure(unsigned at, bool is_after)
{
    step = 0;
    cut = at;
    after = is_after;
    is_dark = false;
    return bp_lockout_secure(&port, &out);
}

static bool is_done(void)
{
    static const uint8_t zero[32];
    return w.is_set && w.clear_disabled && w.kept_n >= 1 && is_kept(w.value) && w.file.stage == BP_LOCKOUT_SET &&
           memcmp(w.file.value, zero, 32) == 0 && out.stage == BP_LOCKOUT_SET;
}

BP_CASE(nothing_stands_in_the_way)
{
    entropy = bp_entropy_sim(&sim);
    fresh();
    BP_CHECK(!bp_failed(secure(0, false)) && is_done() && breaches == 0);
    BP_CHECK(w.kept_n == 1 && w.kept[0].state == BP_ESCROW_SET && w.value[31] % 2 == 1);
    uint8_t first[32];
    memcpy(first, w.value, sizeof first);
    BP_CHECK(!bp_failed(secure(0, false)) && is_done() && w.kept_n == 1 && w.seals == 1 && w.tries == 0);
    BP_CHECK(memcmp(first, w.value, sizeof first) == 0);
}

/* How many steps an undisturbed run has, by counting. */
static unsigned steps(void)
{
    fresh();
    (void)bp_failed(secure(0, false));
    return step;
}

static void the_power_is_cut(void)
{
    const unsigned n = steps();
    for (unsigned at = 1; at <= n; at++) {
        for (unsigned k = 0; k < 2; k++) {
            char name[48];
            (void)snprintf(name, sizeof name, "power_cut_%s_step_%u", k == 0 ? "before" : "after", at);
            bp_case_begin();
            fresh();
            BP_CHECK(bp_failed(secure(at, k == 1)));
            BP_CHECK(!w.is_set || is_kept(w.value));
            BP_CHECK(!w.is_set || w.file.stage >= BP_LOCKOUT_SETTING);
            BP_CHECK(!bp_failed(secure(0, false)) && is_done() && breaches == 0 && w.tries == 0);
            BP_CHECK(w.kept[w.kept_n - 1].state == BP_ESCROW_SET && w.kept_n == 1);
            bp_case_end(name);
        }
    }
    bp_case_begin();
    BP_CHECK(n >= 9);
    bp_case_end("every_step_was_cut");
}

/* Cut twice, at each pair of moments. */
BP_CASE(cut_again_and_again)
{
    const unsigned n = steps();
    for (unsigned a = 1; a <= n; a++) {
        for (unsigned b = 1; b <= n; b++) {
            fresh();
            BP_IGNORE(secure(a, (b & 1u) != 0), "cut");
            BP_IGNORE(secure(b, (a & 1u) != 0), "cut, or not when it was done before");
            BP_CHECK(!w.is_set || is_kept(w.value));
            BP_CHECK(!bp_failed(secure(0, false)) && is_done() && breaches == 0 && w.tries == 0);
        }
    }
}

BP_CASE(a_server_without_escrow_sets_nothing)
{
    fresh();
    w.knows_escrow = false;
    BP_CHECK(bp_is(secure(0, false), BP_E_NOT_FOUND) && !w.is_set && !w.clear_disabled && !w.has_file);
    w.knows_escrow = true; /* it was brought up to date */
    BP_CHECK(!bp_failed(secure(0, false)) && is_done());
}

BP_CASE(a_value_of_somebody_else_is_told_and_never_tried)
{
    fresh();
    w.is_set = true;
    memset(w.value, 0x5a, sizeof w.value);
    BP_CHECK(!bp_failed(secure(0, false)) && out.stage == BP_LOCKOUT_FOREIGN);
    BP_CHECK(w.foreign_told && w.tries == 0 && w.kept_n == 0 && w.seals == 0 && w.file.stage == BP_LOCKOUT_FOREIGN);
    BP_CHECK(!bp_failed(secure(0, false)) && w.tries == 0 && w.value[0] == 0x5a);
}

/* Made here, but somebody else was faster before ours was given to the root. */
BP_CASE(somebody_else_sets_one_in_between)
{
    fresh();
    BP_CHECK(bp_failed(secure(5, false)) && w.file.stage == BP_LOCKOUT_SEALED && !w.is_set);
    w.is_set = true;
    memset(w.value, 0x5a, sizeof w.value);
    BP_CHECK(!bp_failed(secure(0, false)) && out.stage == BP_LOCKOUT_FOREIGN && w.tries == 0 && w.foreign_told);
    BP_CHECK(w.file.envelope_n == 0);
}

BP_CASE(cut_while_setting_one_try_tells_whose_it_is)
{
    fresh();
    unsigned at = 1;
    for (;; at++) { /* the first cut that leaves SETTING in the folder and nothing in the root */
        fresh();
        BP_NEED(bp_failed(secure(at, true)));
        if (w.file.stage == BP_LOCKOUT_SETTING && !w.is_set) {
            break;
        }
    }
    w.is_set = true;
    memset(w.value, 0x5a, sizeof w.value);
    BP_CHECK(!bp_failed(secure(0, false)) && out.stage == BP_LOCKOUT_FOREIGN && w.tries == 1);
    BP_CHECK(!bp_failed(secure(0, false)) && w.tries == 1);
}

BP_CASE(a_cleared_chip_gets_a_new_value)
{
    fresh();
    uint8_t first[32];
    BP_CHECK(!bp_failed(secure(0, false)));
    memcpy(first, w.value, sizeof first);
    w.is_set = w.clear_disabled = false;
    BP_CHECK(!bp_failed(secure(0, false)) && is_done() && w.kept_n == 2 && memcmp(first, w.value, sizeof first) != 0);
}

BP_CASE(what_was_begun_for_another_owner_does_not_count)
{
    fresh();
    BP_CHECK(bp_failed(secure(5, false)) && w.file.stage == BP_LOCKOUT_SEALED && w.seals == 1);
    w.file.anchor[0] ^= 1u;
    BP_CHECK(!bp_failed(secure(0, false)) && is_done() && w.seals == 2 && breaches == 0);
    w.file.anchor[0] ^= 1u; /* set for an owner before this one: this server has nothing of it */
    BP_CHECK(!bp_failed(secure(0, false)) && out.stage == BP_LOCKOUT_FOREIGN && w.tries == 0 && w.foreign_told);
}

static struct bp_agent_lockout stored, again;
static uint8_t room[BP_ENVELOPE_MAX + 256];

static void fill(enum bp_lockout_stage stage, uint8_t value, size_t envelope_n)
{
    memset(&stored, 0, sizeof stored);
    stored.stage = stage;
    memset(stored.anchor, 4, sizeof stored.anchor);
    memset(stored.value, value, sizeof stored.value);
    stored.envelope_n = envelope_n;
    memset(stored.envelope, 6, envelope_n);
}

BP_CASE(what_is_stored_is_read_back)
{
    const enum bp_lockout_stage stage[] = {BP_LOCKOUT_SEALED, BP_LOCKOUT_SETTING, BP_LOCKOUT_SET, BP_LOCKOUT_FOREIGN};
    for (size_t i = 0; i < 4; i++) {
        size_t n = 0;
        fill(stage[i], i < 2 ? 5 : 0, i < 3 ? BP_ENVELOPE_MAX : 0);
        BP_CHECK(!bp_failed(bp_agent_lockout_write(&stored, room, sizeof room, &n)));
        BP_CHECK(!bp_failed(bp_agent_lockout_read(bp_span_of(room, n), &again)));
        BP_CHECK(memcmp(&stored, &again, sizeof stored) == 0);
        for (size_t cut_at = 0; cut_at < n; cut_at++) {
            BP_CHECK(bp_failed(bp_agent_lockout_read(bp_span_of(room, cut_at), &again)) && again.envelope_n == 0);
        }
    }
}

static void bad_files(void)
{
    const struct {
        const char *name;
        enum bp_lockout_stage stage;
        uint8_t value;
        size_t envelope_n;
    } row[] = {{"file_of_no_stage", BP_LOCKOUT_NONE, 0, 0},
               {"file_sealed_without_value", BP_LOCKOUT_SEALED, 0, 40},
               {"file_sealed_without_envelope", BP_LOCKOUT_SEALED, 5, 0},
               {"file_set_without_envelope", BP_LOCKOUT_SET, 0, 0},
               {"file_foreign_with_envelope", BP_LOCKOUT_FOREIGN, 0, 40},
               {"file_of_a_stage_above_the_last", (enum bp_lockout_stage)5, 0, 40}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        size_t n = 0;
        bp_case_begin();
        fill(row[i].stage, row[i].value, row[i].envelope_n);
        BP_CHECK(!bp_failed(bp_agent_lockout_write(&stored, room, sizeof room, &n)));
        BP_CHECK(bp_is(bp_agent_lockout_read(bp_span_of(room, n), &again), BP_E_MALFORMED));
        bp_case_end(row[i].name);
    }
}

/* clang-format off */
BP_SUITE(lockout,
    BP_RUN(nothing_stands_in_the_way)
    BP_TABLE(the_power_is_cut)
    BP_RUN(cut_again_and_again)
    BP_RUN(a_server_without_escrow_sets_nothing)
    BP_RUN(a_value_of_somebody_else_is_told_and_never_tried)
    BP_RUN(somebody_else_sets_one_in_between)
    BP_RUN(cut_while_setting_one_try_tells_whose_it_is)
    BP_RUN(a_cleared_chip_gets_a_new_value)
    BP_RUN(what_was_begun_for_another_owner_does_not_count)
    BP_RUN(what_is_stored_is_read_back)
    BP_TABLE(bad_files)
)
