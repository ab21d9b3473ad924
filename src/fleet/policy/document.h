/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/document - object `policy` 1.0, the form that is kept and signed, both directions
 * (docs/protocol/policy.md).
 *
 * Spans point into the input. It checks form and ceilings; whether the expressions are expressions
 * is said by expr and the engine. */
#ifndef BP_FLEET_POLICY_DOCUMENT_H
#define BP_FLEET_POLICY_DOCUMENT_H

#include "fleet/policy/policy.h"

#define BP_POLICY_TESTS_MAX 64u
#define BP_POLICY_NAME_MAX  64u

enum bp_policy_says { BP_POLICY_PERMIT = 1, BP_POLICY_FORBID = 2 };

struct bp_policy_rule {
    bp_span name;
    bp_span when;
    enum bp_policy_says says;
    uint32_t actions;
    bp_span reason;
};

struct bp_policy_test {
    bp_span name;
    bool permitted; /* what must come out */
    size_t count;
    struct bp_policy_claim claim[BP_POLICY_CLAIMS_MAX];
};

/* About 300 KiB: on the heap. */
struct bp_policy_doc {
    uint64_t minor; /* 0 in what this version writes itself */
    uint64_t version;
    bp_span zone; /* "*": every zone */
    size_t rules;
    struct bp_policy_rule rule[BP_POLICY_RULES_MAX];
    size_t tests;
    struct bp_policy_test test[BP_POLICY_TESTS_MAX];
};

/*   UNSUPPORTED  another type or major      LIMIT  more or longer than the ceilings
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object; a name twice; text with control characters */
BP_MUST_CHECK bp_result bp_policy_doc_read(bp_span in, struct bp_policy_doc *ret);
/* Claims of a test are put in canonical order.   NO_SPACE  *ret_n tells the room needed
 *   what reading would say */
BP_MUST_CHECK bp_result bp_policy_doc_write(struct bp_policy_doc *d, uint8_t *ret, size_t cap, size_t *ret_n);

/* Name of a single action bit; "" for none. */
const char *bp_policy_action_name(uint32_t action);
/* 0: there is no such action. */
uint32_t bp_policy_action_of(bp_span name);

#endif
