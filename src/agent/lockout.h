/* SPDX-License-Identifier: Apache-2.0 */
/* agent/lockout - the lockout value of the root: made, sealed to the owner's recovery key, given to the server, and only
 * then set; clearing is disabled with it (docs/protocol/device.md).
 *
 * The order is the promise: cut off at any moment, either no value is set, or the server has it for good. What is needed to
 * go on lies in the state folder before it is needed. A value that somebody else set is reported and never tried. This file
 * does no I/O: what it works on stands behind the port (agent/escrow joins it to the server, the root and the folder). */
#ifndef BP_AGENT_LOCKOUT_H
#define BP_AGENT_LOCKOUT_H

#include "agent/state.h"
#include "port/entropy.h"

struct bp_lockout_port {
    void *self;
    const struct bp_entropy *entropy;
    uint8_t anchor[32]; /* SHA-256 of the root certificate: what was begun for another owner does not count */
    /* NOT_FOUND: nothing was begun */
    bp_result (*load)(void *self, struct bp_agent_lockout *ret);
    bp_result (*save)(void *self, const struct bp_agent_lockout *v);
    /* As rot's calls of that name. */
    bp_result (*look)(void *self, bp_span value, struct bp_rot_hardening *ret);
    bp_result (*harden)(void *self, bp_span value, struct bp_rot_hardening *ret);
    /* Seals the value to the recovery key, whose certificate it judged.   NOT_FOUND  the server names none */
    bp_result (*seal)(void *self, const uint8_t value[BP_ROT_AUTH_SIZE], uint8_t ret[BP_ENVELOPE_MAX], size_t *ret_n);
    /* BP_OK only after the server said that it keeps it.   NOT_FOUND  the server knows no escrow */
    bp_result (*tell)(void *self, enum bp_escrow_state state, bp_span envelope);
};

/* Brings the root to where it should be, from wherever it was left; done already, it tells the server once more. *ret (the
 * caller wipes it) is how far it came, on failure too. Failures are those of the port. */
BP_MUST_CHECK bp_result bp_lockout_secure(const struct bp_lockout_port *p, struct bp_agent_lockout *ret);

#endif
