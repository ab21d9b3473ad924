/* SPDX-License-Identifier: Apache-2.0 */
/* agent/renew - a new credential beside the old one: the old one stays until the new one has made a call. */
#include "agent/agent.h"

#include "base/secret.h"

#define BP_MODULE AGENT

static enum bp_outcome say_state(struct bp_agent *a, bp_result r)
{
    return bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s. Check its room and rights.",
                        bp_error_text(bp_error_of(r)));
}

enum bp_outcome bp_agent_promote(struct bp_agent *a, enum bp_slot_name at)
{
    struct bp_agent_slot slot;
    struct bp_agent_signer signer = {a->rot, &slot};
    struct bp_remote *server = NULL;
    bp_result r = bp_state_slot_load(a->state, at, &slot);
    if (bp_failed(r)) {
        return say_state(a, r);
    }
    enum bp_outcome o = bp_agent_connect(a, &signer, &server);
    if (o == BP_DONE) {
        o = bp_agent_nonce(a, server);
    }
    bp_remote_free(server);
    if (o == BP_DONE) {
        slot.is_promoted = true;
        r = bp_state_slot_save(a->state, at, &slot);
        o = bp_failed(r) ? say_state(a, r) : bp_agent_use_slot(a, at);
    }
    bp_wipe(&slot, sizeof slot);
    return o;
}

static enum bp_outcome certify(struct bp_agent *a, enum bp_slot_name at, struct bp_agent_slot *slot)
{
    const enum bp_outcome o = bp_agent_certify(a, "/.well-known/est/simplereenroll", slot);
    if (o != BP_DONE) {
        return o;
    }
    const bp_result r = bp_state_slot_save(a->state, at, slot);
    return bp_failed(r) ? say_state(a, r) : BP_DONE;
}

enum bp_outcome bp_agent_renew(struct bp_agent *a)
{
    struct bp_agent_slot slot;
    const enum bp_slot_name at = bp_slot_other(a->at);
    enum bp_outcome o = bp_agent_make_key(a, a->slot.generation + 1, &slot);
    if (o == BP_DONE) {
        const bp_result r = bp_state_slot_save(a->state, at, &slot);
        o = bp_failed(r) ? say_state(a, r) : certify(a, at, &slot);
    }
    bp_wipe(&slot, sizeof slot);
    return o == BP_DONE ? bp_agent_promote(a, at) : o;
}
