/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/judge - claims of an appraisal, a policy's answer, and what becomes of the tier. */
#include "fleet/api/judge.h"

#include <stdio.h>

#include "fleet/policy/document.h"
#include "platform/alloc.h"

#define BP_MODULE API

#define CLAIMS_MORE 3u /* what the server knows: model, site, state */

/* -- claims ---------------------------------------------------------------------------------------- */
static void add_text(struct bp_policy_claim *claim, size_t *n, bp_span name, const char *value)
{
    if (value[0] != 0) {
        claim[(*n)++] = (struct bp_policy_claim){name, BP_POLICY_TEXT, 0, bp_span_cstr(value)};
    }
}

static enum bp_policy_kind kind_of(enum bp_claim_type type)
{
    return type == BP_CLAIM_INTEGER ? BP_POLICY_INT
                                    : (type == BP_CLAIM_TEXT ? BP_POLICY_TEXT : BP_POLICY_BLOB);
}

static size_t claims_of(const struct bp_appraisal *a, const struct bp_judge_facts *f,
                        struct bp_policy_claim ret[BP_C_COUNT + CLAIMS_MORE])
{
    struct bp_claim claim[BP_C_COUNT];
    size_t n = 0;
    memcpy(claim, a->claim, sizeof claim);
    claim[BP_C_AS_OF_MS] = (struct bp_claim){true, f->as_of_ms, BP_SPAN_EMPTY};
    claim[BP_C_EVIDENCE_AGE_MS] = (struct bp_claim){true, f->age_ms, BP_SPAN_EMPTY};
    claim[BP_C_ZONE] = (struct bp_claim){true, 0, bp_span_cstr(f->zone)};
    claim[BP_C_TIER] = (struct bp_claim){true, (int64_t)a->tier, BP_SPAN_EMPTY};
    claim[BP_C_ROOT_CLASS] = (struct bp_claim){true, 0, bp_span_cstr(f->root_class)};
    for (size_t i = 0; i < BP_C_COUNT; i++) {
        const struct bp_claim_row row = bp_claim_row((enum bp_claim_id)i);
        if (claim[i].is_set) {
            ret[n++] = (struct bp_policy_claim){bp_span_cstr(row.name), kind_of(row.type), claim[i].number, claim[i].bytes};
        }
    }
    add_text(ret, &n, BP_SPAN_STR("model"), f->model);
    add_text(ret, &n, BP_SPAN_STR("site"), f->site);
    add_text(ret, &n, BP_SPAN_STR("state"), bp_device_state_name(f->state));
    return n;
}

/* -- the verdict ----------------------------------------------------------------------------------- */
static bool is_trusted(uint64_t tier)
{
    return tier == BP_TIER_AFFIRMING || tier == BP_TIER_WARNING;
}

/* A rule that forbids makes it contraindicated; where no rule speaks, it is not appraised. */
static void refuse(const struct bp_appraisal *a, struct bp_judgement *j)
{
    if (!is_trusted(a->tier)) {
        return; /* the appraisal's own reason says more */
    }
    if (j->answer.rules[0] != 0) {
        j->tier = BP_TIER_CONTRAINDICATED;
        j->reason = j->answer.reason[0] != 0 ? bp_span_cstr(j->answer.reason) : BP_SPAN_STR("A rule of the policy forbids it");
    } else if (a->tier == BP_TIER_AFFIRMING) {
        j->tier = BP_TIER_NONE;
        j->reason = BP_SPAN_STR("Not appraised: no rule of the policy permits it");
    }
}

void bp_judge(struct bp_policy *policy, const struct bp_appraisal *a, const struct bp_judge_facts *f,
              struct bp_judgement *ret)
{
    struct bp_policy_claim claim[BP_C_COUNT + CLAIMS_MORE];
    *ret = (struct bp_judgement){.tier = (uint8_t)a->tier, .answer = {.verdict = BP_DENY}, .reason = a->reason};
    if (policy == NULL) {
        if (is_trusted(a->tier)) {
            ret->tier = BP_TIER_NONE;
            ret->reason = BP_SPAN_STR("Not appraised: no policy is in force");
        }
        return;
    }
    if (bp_failed(bp_policy_eval(policy, claim, claims_of(a, f, claim), &ret->answer))) {
        ret->answer = (struct bp_policy_answer){.verdict = BP_DENY};
    }
    ret->permitted = ret->answer.verdict == BP_ALLOW;
    if (ret->permitted) {
        ret->grants = is_trusted(a->tier) && (ret->answer.actions & BP_POLICY_HOLD) == 0;
    } else {
        refuse(a, ret);
    }
}

/* -- a document that is not in force ---------------------------------------------------------------- */
static bool is_refusal(bp_result r)
{
    return bp_is(r, BP_E_MALFORMED) || bp_is(r, BP_E_UNSUPPORTED) || bp_is(r, BP_E_LIMIT) || bp_is(r, BP_E_DENIED) ||
           bp_is(r, BP_E_NO_SPACE);
}

static bp_result load_aside(bp_span document, struct bp_judge_head *ret_head, struct bp_policy *p, char *why)
{
    BP_TRY(bp_policy_load(p, document, why));
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    if (d == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_policy_doc_read(document, d);
    if (!bp_failed(r) && !bp_span_equal(d->zone, BP_SPAN_STR("*"))) {
        (void)snprintf(why, BP_POLICY_REASON_MAX + 1, "a policy is for every zone: zone \"*\"");
        r = BP_FAIL(DENIED);
    }
    *ret_head = (struct bp_judge_head){.version = d->version, .rules = d->rules, .tests = d->tests};
    bp_free(d);
    return r;
}

bp_result bp_judge_compile(bp_span text, uint8_t *ret_document, size_t *ret_n, struct bp_judge_head *ret_head,
                           struct bp_policy **ret, char ret_why[BP_POLICY_REASON_MAX + 1])
{
    size_t count = 0;
    const struct bp_policy_name *names = bp_api_policy_names(&count);
    struct bp_policy *p = NULL;
    *ret = NULL;
    ret_why[0] = 0;
    bp_result r = bp_policy_from_yaml(text, ret_document, BP_POLICY_DOCUMENT_MAX, ret_n, ret_why);
    if (!bp_failed(r)) {
        r = bp_policy_new(names, count, &p);
    }
    if (!bp_failed(r)) {
        r = load_aside(bp_span_of(ret_document, *ret_n), ret_head, p, ret_why);
    }
    if (bp_failed(r)) {
        bp_policy_free(p);
        return is_refusal(r) ? BP_FAIL(DENIED) : r;
    }
    *ret = p;
    return BP_OK;
}
