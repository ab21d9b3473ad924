/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/judge - an appraisal put before a policy: what the keeper does for every verdict, and what a dry run does
 * with the newest evidence of the whole fleet (docs/protocol/policy.md).
 *
 * Pure: no store, no clock. A policy only takes away: it makes no more of an appraisal than it is. */
#ifndef BP_FLEET_API_JUDGE_H
#define BP_FLEET_API_JUDGE_H

#include "appraise/appraisal.h"
#include "fleet/api/api.h"

/* What the server knows itself; stands in for whatever the appraisal says of it. Empty texts are missing claims. */
struct bp_judge_facts {
    int64_t as_of_ms; /* issue time of the nonce */
    int64_t age_ms;   /* of the evidence, when it is judged */
    const char *zone, *model, *site;
    const char *root_class;
    enum bp_lifecycle state; /* before this verdict */
};

struct bp_judgement {
    uint8_t tier;
    bool permitted; /* by the policy */
    bool grants;    /* trusted, permitted and not held: keys may be vouched for */
    struct bp_policy_answer answer;
    bp_span reason; /* into the appraisal, into `answer` of the same judgement, or as long as the program */
};

/* policy: NULL when none is in force. */
void bp_judge(struct bp_policy *policy, const struct bp_appraisal *a, const struct bp_judge_facts *f,
              struct bp_judgement *ret);

struct bp_judge_head {
    uint64_t version;
    size_t rules, tests;
};

/* What people wrote, compiled aside with its own tests run: the document that would be kept, what it says of itself, and
 * an engine that judges by it (the caller's; bp_policy_free). ret_document has BP_POLICY_DOCUMENT_MAX bytes.
 *   DENIED  it is not accepted; ret_why says why */
BP_MUST_CHECK bp_result bp_judge_compile(bp_span text, uint8_t *ret_document, size_t *ret_n, struct bp_judge_head *ret_head,
                                         struct bp_policy **ret, char ret_why[BP_POLICY_REASON_MAX + 1]);

#endif
