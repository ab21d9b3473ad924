/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/clock - what the TPM's counters and clock say against what was kept: power cuts, sleep and new starts are
 * explained states; going back and having been prepared early refuse. */
#include "appraise/judge.h"

#define BP_MODULE APPRAISE

/* The last state, and the next one as far as the quote alone tells it. */
bp_result bp_j_state(struct bp_judge *j)
{
    const struct bp_tpm_attest *q = &j->quote;
    if (j->req->state.n != 0) {
        j->has_old = !bp_failed(bp_device_state_read(j->req->state, &j->old));
        if (!j->has_old) {
            bp_j_find(j, BP_F_STATE_FORM, 0, BP_SPAN_EMPTY);
        }
    }
    j->is_same_boot = j->has_old && j->old.reset_count == q->reset_count;
    if (j->is_same_boot) {
        j->now = j->old; /* what was judged of this boot stands until something says otherwise */
    }
    j->now.reset_count = q->reset_count;
    j->now.restart_count = q->restart_count;
    j->now.clock_ms = q->clock_ms;
    j->now.safe = q->safe;
    j->now.server_ms = j->req->now_ms;
    j->now.as_of_ms = j->req->as_of_ms;
    return BP_OK;
}

/* Emulators write their clock down with other state only (measured: swtpm 0.7.1), so after a power cut it may stand
 * minutes back and call itself safe a few seconds later. Refusing would be a false alarm after every power cut, and
 * guard against nobody: who can set the emulator's state back can do so with its clock as well. */
static bool may_lose_clock(const struct bp_judge *j)
{
    return bp_span_equal(j->req->root_class, BP_SPAN_STR("virtual")) &&
           j->quote.reset_count > j->old.reset_count;
}

/* resetCount counts power cycles, so a higher one is a new boot and its restartCount begins anew. Clock never goes
 * back while the TPM runs; over a power cut it may (safe = 0), and safe = 1 promises again that no higher value was
 * ever shown (TPM 2.0 Part 1, section 36). A cleared TPM has lost its AK and does not get here. */
bp_result bp_j_counters(struct bp_judge *j)
{
    const struct bp_tpm_attest *q = &j->quote;
    const struct bp_device_state *old = &j->old;
    if (!q->safe) {
        bp_j_find(j, BP_F_POWER_CUT, 0, BP_SPAN_EMPTY);
    }
    if (!j->has_old) {
        return BP_OK;
    }
    const bool is_awake = j->is_same_boot && q->restart_count == old->restart_count;
    if (q->reset_count < old->reset_count) {
        bp_j_find(j, BP_F_COUNTERS_BACK, 0, BP_SPAN_STR("count of starts"));
    } else if (j->is_same_boot && q->restart_count < old->restart_count) {
        bp_j_find(j, BP_F_COUNTERS_BACK, 0, BP_SPAN_STR("count of wake-ups"));
    } else if (q->clock_ms < old->clock_ms && q->safe && old->safe && may_lose_clock(j)) {
        bp_j_find(j, BP_F_CLOCK_LOST, 0, BP_SPAN_EMPTY);
    } else if (q->clock_ms < old->clock_ms && (is_awake || (q->safe && old->safe))) {
        bp_j_find(j, BP_F_COUNTERS_BACK, 0, BP_SPAN_STR("clock"));
    } else if (!j->is_same_boot) {
        bp_j_find(j, BP_F_REBOOT, 0, BP_SPAN_EMPTY);
    } else if (!is_awake) {
        bp_j_find(j, BP_F_SUSPEND, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* A quote made while the device was healthy and sent later shows a clock that lags behind the time since the last
 * evidence arrived. It cannot be older than its nonce, so one over a nonce of a few seconds ago is never early: a
 * device that was refused because the server's own clock jumped is well again with the fresh nonce of the refusal. A
 * clock that leads is counted from the issue of the last nonce, since the last quote may have been long on its way.
 * Sleep and power cycles stop the TPM's clock and explain any lag. */
bp_result bp_j_pace(struct bp_judge *j)
{
    const struct bp_device_state *old = &j->old;
    const int64_t now = j->req->now_ms;
    if (!j->is_same_boot || j->quote.restart_count != old->restart_count || now < old->server_ms) {
        return BP_OK;
    }
    const uint64_t ran = j->quote.clock_ms - old->clock_ms; /* bp_j_counters saw that it did not go back */
    const int64_t tpm = ran < INT64_MAX / 2 ? (int64_t)ran : INT64_MAX / 2;
    const int64_t lag = now - old->server_ms - tpm;
    const int64_t age = now - j->req->as_of_ms;
    const int64_t early = lag < age ? lag : age;
    const int64_t lead = tpm - (now - old->as_of_ms);
    if (early > BP_APPRAISE_LAG_MS + (now - old->server_ms) / BP_APPRAISE_LAG_SHARE) {
        bp_j_find_number(j, BP_F_QUOTE_EARLY, 0, (uint64_t)early / 1000u);
    } else if (lead > BP_APPRAISE_LAG_MS + (now - old->as_of_ms) / BP_APPRAISE_LAG_SHARE) {
        bp_j_find_number(j, BP_F_CLOCK_AHEAD, 0, (uint64_t)lead / 1000u);
    }
    return BP_OK;
}
