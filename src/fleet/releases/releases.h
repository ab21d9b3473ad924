/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/releases/releases - what makers sign, taken in and put in force by people.
 *
 * A release is imported once, verified against the key that a person pinned for its product, and
 * then accepted, deprecated or withdrawn for a zone. All calls run inside the keeper's open group,
 * append their event and note in `effects` that references changed. The table of moves is in
 * releases.c: what it does not name is refused. */
#ifndef BP_FLEET_RELEASES_RELEASES_H
#define BP_FLEET_RELEASES_RELEASES_H

#include "codec/problem.h"
#include "fleet/events/effects.h"
#include "fleet/events/log.h"
#include "fleet/store/store.h"
#include "port/crypto.h"

#define BP_RELEASES_SIGNED_MAX (1u << 20)

struct bp_releases {
    bp_store *store;
    struct bp_log *log;
    struct bp_crypto *crypto;
    struct bp_effects *effects;
    int64_t now_ms;
    char detail[160]; /* why it was refused, for people */
};

/* Takes a signed release in. `key` is the maker's (DER SubjectPublicKeyInfo) where the product has none
 * pinned yet: it is pinned by this act; else empty, or the pinned one.
 *   MALFORMED, UNSUPPORTED  not a release of ours     SIGNATURE  not signed by the product's key
 *   PRECONDITION  the product has no key yet and none was named      CONFLICT  another key is pinned, or
 *   the release is known      TOO_LARGE      VALUE  the reference values are not for this release's model */
BP_MUST_CHECK bp_result bp_releases_import(struct bp_releases *r, bp_span signed_release, bp_span key, bp_span actor,
                                           uint8_t ret_id[BP_DIGEST_SIZE], enum bp_problem *ret_problem);

/* Moves a release in a zone ("*": every zone). NOT_FOUND, WRONG_STATE, VALUE */
BP_MUST_CHECK bp_result bp_releases_move(struct bp_releases *r, bp_span id, bp_span zone, enum bp_acceptance to,
                                         bp_span reason, bp_span actor, enum bp_problem *ret_problem);

const char *bp_acceptance_name(enum bp_acceptance a); /* "imported", "accepted", ... */

#endif
