/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/denyset - the SPKI hashes of keys that are off, as one front holds them in memory.
 *
 * Hashes only come, never go: revoked is for good. A set that cannot grow any more, by its ceiling or for want of memory,
 * says "denied" to every key: unknown is no. The caller owns the set. */
#ifndef BP_FLEET_PROC_DENYSET_H
#define BP_FLEET_PROC_DENYSET_H

#include "base/span.h"

#define BP_DENYSET_MAX (1u << 20) /* keys; 64 MiB of table at the most */

struct bp_denyset {
    uint8_t (*slot)[32];
    size_t cap; /* power of two, or 0 */
    size_t count;
    bool has_zero; /* the hash that marks a free slot, should anybody find its key */
    bool is_full;
};

void bp_denyset_add(struct bp_denyset *s, const uint8_t spki_sha256[32]);
bool bp_denyset_has(const struct bp_denyset *s, const uint8_t spki_sha256[32]);
void bp_denyset_done(struct bp_denyset *s);

#endif
