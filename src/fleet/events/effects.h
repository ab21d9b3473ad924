/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/events/effects - what has to happen after the commit of the acts that asked for it.
 *
 * Acts (registry, releases, policy, operators) run inside a group and must not talk to other
 * processes; they note here what follows, and the keeper does it once the group is durable. An act
 * that fails takes its notes back with bp_effects_reset. The caller owns the memory; nothing
 * allocates. */
#ifndef BP_FLEET_EVENTS_EFFECTS_H
#define BP_FLEET_EVENTS_EFFECTS_H

#include "base/result.h"
#include "base/span.h"

#define BP_EFFECTS_DENY_MAX 512u

struct bp_effects {
    uint8_t deny[BP_EFFECTS_DENY_MAX][32]; /* keys that every front cuts and refuses from now on */
    size_t deny_count;
    bool deny_all;   /* more than fit: the keeper sends the whole set again */
    bool crl;        /* sign and publish a CRL */
    bool references; /* the accepted releases changed: send them to the appraisers */
    bool policy;     /* another policy is in force */
    bool settings;
};

/* Notes one more key; turns into deny_all when full. */
static inline void bp_effects_deny(struct bp_effects *e, const uint8_t spki[32])
{
    if (e->deny_count == BP_EFFECTS_DENY_MAX) {
        e->deny_all = true;
        return;
    }
    memcpy(e->deny[e->deny_count++], spki, 32);
}

/* What stood before an act, to come back to. */
struct bp_effects_mark {
    size_t deny_count;
    bool deny_all, crl, references, policy, settings;
};

static inline struct bp_effects_mark bp_effects_mark(const struct bp_effects *e)
{
    return (struct bp_effects_mark){e->deny_count, e->deny_all, e->crl,
                                    e->references, e->policy,   e->settings};
}

static inline void bp_effects_reset(struct bp_effects *e, struct bp_effects_mark m)
{
    e->deny_count = m.deny_count;
    e->deny_all = m.deny_all;
    e->crl = m.crl;
    e->references = m.references;
    e->policy = m.policy;
    e->settings = m.settings;
}

#endif
