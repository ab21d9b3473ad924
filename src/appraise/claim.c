/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/claim - the table of claims as rows. */
#include "appraise/claim.h"

static const struct bp_claim_row rows[BP_C_COUNT] = {
#define BP_X(id, name, type, source, meaning) [BP_C_##id] = {name, BP_CLAIM_##type, source, meaning},
    BP_CLAIM_LIST(BP_X)
#undef BP_X
};

struct bp_claim_row bp_claim_row(enum bp_claim_id id)
{
    return (unsigned)id < BP_C_COUNT ? rows[id] : (struct bp_claim_row){0};
}

enum bp_claim_id bp_claim_of_name(bp_span name)
{
    unsigned i = 0;
    while (i < BP_C_COUNT && !bp_span_equal(name, bp_span_cstr(rows[i].name))) {
        i++;
    }
    return (enum bp_claim_id)i;
}
