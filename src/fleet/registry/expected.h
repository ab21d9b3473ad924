/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/expected - units that makers announced by signed manifests, before anything of them was heard.
 *
 * A maker's key is pinned by a person at the first import of its name. A manifest is taken whole or not at all; a batch
 * is taken once, never after a newer one of its order, and no unit is in two. All calls run inside the keeper's open group.
 * A unit that has come is a device like any other: nothing here speaks for it any more. */
#ifndef BP_FLEET_REGISTRY_EXPECTED_H
#define BP_FLEET_REGISTRY_EXPECTED_H

#include "fleet/registry/registry.h"

#define BP_EXPECTED_DETAIL 256u

struct bp_import {
    char maker[BP_NAME_MAX + 1];
    char order[BP_NAME_MAX + 1];
    uint64_t batch;
    uint32_t units;
    bool is_pinned_now; /* by this act */
    char detail[BP_EXPECTED_DETAIL]; /* why it was refused, for people */
};

/* Takes a signed manifest in. `maker`: SHA-256 of the maker's key where none of this name is pinned yet, which pins it;
 * else empty, or the pinned one's. `zone`: where its units are claimed. Nothing was written when it is refused.
 *   MALFORMED, UNSUPPORTED, TOO_LARGE  not a manifest of ours      SIGNATURE  not signed by the key that it names
 *   MAKER  the maker's key is not pinned, another is, or another was named      VALUE  the zone
 *   BATCH  the batch, or a newer one of its order, was imported      UNIT  a unit or a key of it was announced before */
BP_MUST_CHECK bp_result bp_registry_import(struct bp_registry *r, bp_span signed_manifest, bp_span maker, bp_span zone,
                                           bp_span actor, struct bp_import *ret, enum bp_problem *ret_problem);

/* The unit that a chip with these proven endorsement keys is. NOT_FOUND: none of them was announced.
 *   problem UNIT_MISMATCH (DENIED)  some were, but not all, or of several units, or the unit has more */
BP_MUST_CHECK bp_result bp_registry_expected(struct bp_registry *r, const uint8_t (*ek)[32], size_t count,
                                             struct bp_expected *ret, enum bp_problem *ret_problem);

#endif
