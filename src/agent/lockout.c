/* SPDX-License-Identifier: Apache-2.0 */
/* agent/lockout - the order in which the lockout value is made, given away and set. */
#include "agent/lockout.h"

#include "base/secret.h"

#define BP_MODULE AGENT

static bp_result load(const struct bp_lockout_port *p, struct bp_agent_lockout *ret)
{
    const bp_result r = p->load(p->self, ret);
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    if (bp_failed(r) || memcmp(ret->anchor, p->anchor, sizeof ret->anchor) != 0) {
        bp_wipe(ret, sizeof *ret);
        ret->stage = BP_LOCKOUT_NONE;
        memcpy(ret->anchor, p->anchor, sizeof ret->anchor);
    }
    return BP_OK;
}

/* A new value and its envelope, kept before anybody is told of them. */
static bp_result make(const struct bp_lockout_port *p, struct bp_agent_lockout *v)
{
    BP_TRY(bp_random(p->entropy, v->value, sizeof v->value));
    v->value[sizeof v->value - 1] |= 1u; /* a TPM drops zeros at the end: everybody counts the same bytes */
    BP_TRY(p->seal(p->self, v->value, v->envelope, &v->envelope_n));
    v->stage = BP_LOCKOUT_SEALED;
    return p->save(p->self, v);
}

static bp_result settle(const struct bp_lockout_port *p, struct bp_agent_lockout *v, enum bp_lockout_stage stage)
{
    bp_wipe(v->value, sizeof v->value);
    if (stage == BP_LOCKOUT_FOREIGN) {
        v->envelope_n = 0;
    }
    v->stage = stage;
    return p->save(p->self, v);
}

/* The server's word comes before the root's change, always. */
static bp_result escrow_and_set(const struct bp_lockout_port *p, struct bp_agent_lockout *v)
{
    struct bp_rot_hardening h = {false, false, false};
    BP_TRY(p->tell(p->self, BP_ESCROW_SEALED, bp_span_of(v->envelope, v->envelope_n)));
    v->stage = BP_LOCKOUT_SETTING;
    BP_TRY(p->save(p->self, v));
    BP_TRY(p->harden(p->self, BP_SPAN_OF(v->value), &h));
    if (!h.auth_set_now && !h.auth_was_set) {
        return BP_FAIL(ROOT);
    }
    return settle(p, v, h.auth_set_now ? BP_LOCKOUT_SET : BP_LOCKOUT_FOREIGN);
}

/* A value is set, and it was begun here: ours, if it opens. */
static bp_result prove(const struct bp_lockout_port *p, struct bp_agent_lockout *v)
{
    struct bp_rot_hardening h = {false, false, false};
    const bp_result r = p->look(p->self, BP_SPAN_OF(v->value), &h);
    if (bp_failed(r) && !bp_is(r, BP_E_DENIED)) {
        return r;
    }
    return settle(p, v, bp_failed(r) ? BP_LOCKOUT_FOREIGN : BP_LOCKOUT_SET);
}

static bool is_pending(const struct bp_agent_lockout *v)
{
    return v->stage == BP_LOCKOUT_SEALED || v->stage == BP_LOCKOUT_SETTING;
}

bp_result bp_lockout_secure(const struct bp_lockout_port *p, struct bp_agent_lockout *ret)
{
    struct bp_rot_hardening h = {false, false, false};
    BP_TRY(load(p, ret));
    BP_TRY(p->look(p->self, BP_SPAN_EMPTY, &h));
    if (!h.auth_was_set) { /* never set, or the chip was cleared by whoever holds the platform */
        if (!is_pending(ret)) {
            BP_TRY(make(p, ret));
        }
        BP_TRY(escrow_and_set(p, ret));
    } else if (ret->stage == BP_LOCKOUT_SETTING) {
        BP_TRY(prove(p, ret));
    } else if (ret->stage == BP_LOCKOUT_NONE || ret->stage == BP_LOCKOUT_SEALED) {
        BP_TRY(settle(p, ret, BP_LOCKOUT_FOREIGN));
    }
    return p->tell(p->self, ret->stage == BP_LOCKOUT_SET ? BP_ESCROW_SET : BP_ESCROW_FOREIGN,
                   bp_span_of(ret->envelope, ret->envelope_n));
}
