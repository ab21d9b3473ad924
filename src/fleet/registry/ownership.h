/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/ownership - the chains of ownership that a server keeps: taken in from people, continued, given to devices,
 * and ended by what a device states when it leaves (docs/protocol/ownership.md).
 *
 * A chain is kept as it came, without its card. A second chain for an epoch is refused and told, whoever brings it. The
 * device verifies for itself; what is kept here is what it is shown. Runs inside the keeper's group, as fleet/registry. */
#ifndef BP_FLEET_REGISTRY_OWNERSHIP_H
#define BP_FLEET_REGISTRY_OWNERSHIP_H

#include "codec/ownership.h"
#include "fleet/registry/registry.h"

/* Takes a chain in: a new one, or one that continues what is kept. owner_card: this server's own, which tells whose is ours.
 * place: where the device belongs when it comes (zone may be empty when it is known already, or leaves).
 * DENIED with a problem: refused, and ret_detail (BP_REASON_MAX + 1) says why; the event is written all the same, so the caller
 * keeps the act.
 *   OWNERSHIP  the chain is not good, or neither ours nor continued from ours      OWNERSHIP_FORK
 *   VALUE      the zone is missing      MALFORMED  it cannot be read */
BP_MUST_CHECK bp_result bp_registry_own(struct bp_registry *r, bp_span chain, bp_span owner_card, const struct bp_place *place,
                                        bp_span actor, struct bp_owned *ret, char *ret_detail, enum bp_problem *ret_problem);

/* Takes what a device states when it leaves (object owner-erasure). It is retired here then: every key becomes a tombstone.
 * The same statement again changes nothing. Refusals as above.   NO_OWNERSHIP, ERASURE, MALFORMED */
BP_MUST_CHECK bp_result bp_registry_left(struct bp_registry *r, bp_span erasure, char *ret_detail,
                                         enum bp_problem *ret_problem);

/* Writes the chain of a device with a card, as a device is shown it.   NOT_FOUND    NO_SPACE */
BP_MUST_CHECK bp_result bp_registry_chain(struct bp_registry *r, bp_span id, bp_span owner_card, uint8_t *ret, size_t cap,
                                          size_t *ret_len);

#endif
