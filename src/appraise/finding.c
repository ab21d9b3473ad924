/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/finding - the table of findings as rows. */
#include "appraise/finding.h"

static const struct bp_finding_row rows[BP_F_COUNT] = {
#define BP_X(id, code, effect, claim, text) [BP_F_##id] = {code, BP_FX_##effect, BP_AR_##claim, text},
    BP_FINDING_LIST(BP_X)
#undef BP_X
};

struct bp_finding_row bp_finding_row(enum bp_finding_id id)
{
    return (unsigned)id < BP_F_COUNT ? rows[id] : (struct bp_finding_row){0};
}

enum bp_finding_id bp_finding_of_code(bp_span code)
{
    unsigned i = 0;
    while (i < BP_F_COUNT && !bp_span_equal(code, bp_span_cstr(rows[i].code))) {
        i++;
    }
    return (enum bp_finding_id)i;
}

enum bp_tier bp_effect_tier(enum bp_effect effect)
{
    switch (effect) {
    case BP_FX_NOTE:
        return BP_TIER_AFFIRMING;
    case BP_FX_WARN:
        return BP_TIER_WARNING;
    case BP_FX_CONTRA:
    case BP_FX_REFUSE:
        return BP_TIER_CONTRAINDICATED;
    case BP_FX_NONE:
        break;
    }
    return BP_TIER_NONE;
}
