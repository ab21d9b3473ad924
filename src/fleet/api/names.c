/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/names - what a policy may speak of. */
#include "appraise/claim.h"
#include "fleet/api/api.h"

#define KIND_INTEGER BP_POLICY_INT
#define KIND_TEXT    BP_POLICY_TEXT
#define KIND_BLOB    BP_POLICY_BLOB

static const struct bp_policy_name names[] = {
#define BP_X(id, name, type, source, meaning) {name, KIND_##type},
    BP_CLAIM_LIST(BP_X)
#undef BP_X
        {"model", BP_POLICY_TEXT},
    {"site", BP_POLICY_TEXT},
    {"state", BP_POLICY_TEXT},
};
_Static_assert(sizeof names / sizeof *names <= BP_POLICY_CLAIMS_MAX, "the engine has room for every name");

const struct bp_policy_name *bp_api_policy_names(size_t *ret_count)
{
    *ret_count = sizeof names / sizeof *names;
    return names;
}
