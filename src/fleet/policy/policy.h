/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/policy - a policy document compiled, and a device's claims judged by it.
 *
 * Rules are boolean expressions over claims, evaluated by SQLite in memory (docs/protocol/policy.md).
 * A permit fires only when its expression is 1; a forbid fires unless its expression is 0, so that a
 * missing claim, an error or a value that is no whole number refuses. Forbid beats permit; nothing
 * fired means no. The engine owns its memory, bounded by the limits below; it keeps nothing of a
 * caller's. It decides no tier and does nothing: the keeper acts on what it answers. */
#ifndef BP_FLEET_POLICY_POLICY_H
#define BP_FLEET_POLICY_POLICY_H

#include "base/result.h"
#include "base/span.h"

#define BP_POLICY_DOCUMENT_MAX (64u << 10) /* bytes of a document */
#define BP_POLICY_RULES_MAX    64u
#define BP_POLICY_CLAIMS_MAX   64u
#define BP_POLICY_REASON_MAX   512u

/* One claim about a device. */
enum bp_policy_kind { BP_POLICY_INT, BP_POLICY_TEXT, BP_POLICY_BLOB };
struct bp_policy_claim {
    bp_span name;
    enum bp_policy_kind kind;
    int64_t number;
    bp_span bytes;
};

/* The names that a document may use, with their kinds; the caller's, and must outlive the engine. */
struct bp_policy_name {
    const char *name;
    enum bp_policy_kind kind;
};

/* Actions that rules ask for. */
#define BP_POLICY_ALERT      1u
#define BP_POLICY_QUARANTINE 2u
#define BP_POLICY_HOLD       4u /* no renewal */

struct bp_policy_answer {
    bp_verdict verdict; /* BP_ALLOW only when a permit fired and no forbid */
    uint32_t actions;   /* of the rules that fired */
    char rules[256];    /* names, comma separated */
    char reason[BP_POLICY_REASON_MAX + 1];
};

struct bp_policy;

/* An engine without a document: it answers DENY to everything. */
BP_MUST_CHECK bp_result bp_policy_new(const struct bp_policy_name *names, size_t count, struct bp_policy **ret);
void bp_policy_free(struct bp_policy *p);

/* Compiles the signed form of a document (deterministic CBOR) in place of the one in force; on
 * failure the old one stands. ret_why (may be NULL) gets one line for people with line and column
 * where they are known.   MALFORMED, UNSUPPORTED, LIMIT, DENIED (one of the document's own tests fails) */
BP_MUST_CHECK bp_result bp_policy_load(struct bp_policy *p, bp_span document, char ret_why[BP_POLICY_REASON_MAX + 1]);

/* Judges. Any failure counts as DENY. A claim that is not given is missing. */
BP_MUST_CHECK bp_result bp_policy_eval(struct bp_policy *p, const struct bp_policy_claim *claims, size_t count,
                                       struct bp_policy_answer *ret);

/* What people write (YAML; JSON is its subset) becomes the form that is kept and signed. ret_why as above. */
BP_MUST_CHECK bp_result bp_policy_from_yaml(bp_span text, uint8_t *ret, size_t cap, size_t *ret_n,
                                            char ret_why[BP_POLICY_REASON_MAX + 1]);

/* The policy that a new server begins with, as people write it (packaging/default-policy.yaml). */
bp_span bp_policy_default(void);

#endif
