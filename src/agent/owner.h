/* SPDX-License-Identifier: Apache-2.0 */
/* agent/owner - whose this device is, as the device finds out for itself (docs/protocol/ownership.md). */
#ifndef BP_AGENT_OWNER_H
#define BP_AGENT_OWNER_H

#include "agent/agent.h"
#include "core/ownership.h"

/* What is remembered; without a file: nothing (has_maker false). REFUSED  the file cannot be read. */
enum bp_outcome bp_agent_owner_load(struct bp_agent *a, struct bp_agent_owner *ret);

/* Whether the chip counts what the folder remembers; REFUSED: the folder is an older copy, or the chip another. */
enum bp_outcome bp_agent_owner_check(struct bp_agent *a);

/* Before a server is trusted: where the device has its maker's anchor (given now, or before), the server of dev.host must show
 * the chain of this device, and the chain must end at that server's owner. Its root is taken as dev.anchor then.
 * maker: "sha256:HASH" or a file; NULL: none given now. *ret_proven: there is an anchor, so this decided. */
enum bp_outcome bp_agent_prove_owner(struct bp_agent *a, const char *maker, bool is_present, bool *ret_proven);

/* The server says that the device was handed over: when the chain says so too, the owner's keys are erased, and the server
 * is told in a statement signed by the attestation key. Goes on where it was cut off. DONE: the device is nobody's here. */
enum bp_outcome bp_agent_hand_over(struct bp_agent *a);
bool bp_agent_is_leaving(struct bp_agent *a);

/* 64 lower-case hex digits. */
bool bp_agent_hash_of_text(const char *text, uint8_t ret[BP_SHA256_SIZE]);

#endif
