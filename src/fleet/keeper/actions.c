/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/actions - what rules ask for, and what people set: policy in force, settings, the
 * keeper's own events. */
#include "fleet/keeper/internal.h"

#include "core/renewal.h"

#define BP_MODULE PROC

bp_result bp_k_event(struct bp_keeper *k, enum bp_event_type type, const struct bp_device *d,
                     const struct bp_event_detail *detail, size_t count)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = bp_k_now(k),
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = BP_SPAN_STR("keeper"),
                         .detail_count = count};
    if (count > BP_EVENT_DETAILS_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (d != NULL) {
        e.device = bp_span_cstr(d->pseudonym);
    }
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = detail[i];
    }
    return bp_log_append(&k->log, &e, d == NULL ? 0 : d->n, d == NULL ? NULL : &d->place, &number);
}

/* A rule's quarantine is bound by the zone's cap (registry). A state that does not know it (waiting,
 * claimed, quarantined already) needs none: such a device has nothing that could be taken. */
bp_result bp_k_actions(struct bp_keeper *k, struct bp_device *d, uint32_t actions, const char *reason)
{
    bool capped = false;
    enum bp_problem problem = BP_P_NONE;
    if ((actions & BP_POLICY_QUARANTINE) == 0 || d->state == BP_ST_QUARANTINED ||
        bp_registry_next(d->state, BP_OP_QUARANTINE) == BP_ST_NONE) {
        return BP_OK;
    }
    BP_TRY(bp_registry_quarantine(&k->registry, d->n, true, bp_span_cstr(reason),
                                  BP_SPAN_STR("policy"), &capped, &problem));
    return bp_store_device_by_n(k->store, d->n, d);
}

bp_result bp_k_policy_load(struct bp_keeper *k)
{
    struct bp_policy_version p = {0};
    k->has_policy = false;
    memset(k->policy_digest, 0, sizeof k->policy_digest);
    if (k->cfg.policy == NULL) {
        return BP_OK;
    }
    bp_result r = bp_store_policy_newest(k->store, &p);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    if (!bp_failed(r)) {
        char why[BP_POLICY_REASON_MAX + 1];
        r = bp_policy_load(k->cfg.policy, p.document, why);
    }
    if (bp_failed(r)) {
        /* It was checked when it was published, so this program knows less than that one: nothing is
         * trusted until a policy that it knows is published. */
        return bp_is(r, BP_E_UNSUPPORTED) || bp_is(r, BP_E_MALFORMED) ? BP_OK : r;
    }
    memcpy(k->policy_digest, p.digest, sizeof k->policy_digest);
    k->has_policy = true;
    return BP_OK;
}

static int64_t within(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : (v > high ? high : v);
}

int64_t bp_k_application_ms(const struct bp_keeper *k)
{
    return k->outage_ms + k->outage_ms / 2;
}

bp_result bp_k_settings_load(struct bp_keeper *k)
{
    int64_t interval = 0;
    int64_t grace = 0;
    int64_t brownfield = 0;
    int64_t outage = 0;
    int64_t from = 0;
    int64_t until = 0;
    BP_TRY(bp_store_setting(k->store, "attest-interval-ms", BP_K_INTERVAL_MS, &interval));
    BP_TRY(bp_store_setting(k->store, "silent-grace-ms", -1, &grace));
    BP_TRY(bp_store_setting(k->store, "brownfield", 0, &brownfield));
    BP_TRY(bp_store_setting(k->store, "outage-tolerance-ms", BP_OUTAGE_MS, &outage));
    BP_TRY(bp_store_setting(k->store, "renew-from-permille", BP_RENEW_FROM, &from));
    BP_TRY(bp_store_setting(k->store, "renew-until-permille", BP_RENEW_UNTIL, &until));
    k->renew_from = (uint32_t)within(from, 0, 1000);
    k->renew_until = (uint32_t)within(until, k->renew_from, 1000);
    outage = within(outage, BP_OUTAGE_MIN_MS, BP_OUTAGE_MAX_MS);
    k->crl_wanted |= k->outage_ms != 0 && outage > k->outage_ms; /* a list that counts for longer, before the next hour */
    k->outage_ms = outage;
    k->interval_ms = within(interval, BP_K_INTERVAL_MIN, BP_K_INTERVAL_MAX);
    k->grace_ms = grace >= 0
                      ? within(grace, 0, BP_K_INTERVAL_MAX)
                      : (k->interval_ms > BP_K_GRACE_MIN ? k->interval_ms : BP_K_GRACE_MIN);
    k->brownfield = brownfield == 1;
    return BP_OK;
}
