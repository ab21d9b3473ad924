/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/plant - a server's directory of a test's own in a temporary folder, with time that the test
 * moves. One a program. */
#ifndef BP_TESTS_UNIT_FLEET_SIGNER_PLANT_H
#define BP_TESTS_UNIT_FLEET_SIGNER_PLANT_H

#include "fleet/authority/site.h"
#include "platform/sim/sim.h"

#define PLANT_NOW 1790000000000LL

struct plant {
    char top[64];
    char dir[80];
    struct bp_crypto *crypto;
    struct bp_clock_sim sim;
    struct bp_clock clock;
    struct bp_site *site;
    char passphrase[BP_SITE_CODE + 1]; /* of the root's key, which lies in the directory */
};

/* Makes the directory, the log signer's first state, and loads the site; false when any of it fails. */
bool plant_make(struct plant *p);
/* Rolls over to another issuing CA (type BP_KEY_NONE: takes the old one out of force) and loads the site anew. What holds the
 * old one's spans must let go of them first, but for *ret_old, which the caller frees. */
bool plant_roll(struct plant *p, enum bp_key_type type, struct bp_site **ret_old);
/* Takes it away. */
void plant_done(struct plant *p);
/* DIR/relative; lives until the next call. */
const char *plant_at(const struct plant *p, const char *relative);

#endif
