/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/check - the dry run of a policy document: judged against the newest evidence of the fleet, as the keeper
 * would judge it, and compared with what the policy in force says. It reads; nothing is written. */
#include <stdio.h>

#include "fleet/api/internal.h"
#include "fleet/api/judge.h"
#include "platform/alloc.h"

#define BP_MODULE API

struct check {
    struct bp_api_reader *r;
    struct bp_policy *now;  /* NULL: none is in force */
    struct bp_policy *then; /* the document's */
    uint64_t in_force;      /* version; 0: none */
    struct bp_device_item *item; /* of this page */
    size_t items;
    struct bp_list_at at;
    uint64_t judged, unjudged;
    json_t *changes;
};

/* Waiting devices are nobody's yet, and for those that are off no policy matters. */
static bool counts(enum bp_lifecycle state)
{
    return state == BP_ST_CLAIMED || state == BP_ST_ENROLLED || state == BP_ST_ACTIVE || state == BP_ST_QUARANTINED;
}

static bp_result keep(void *self, const struct bp_device_item *d)
{
    struct check *k = self;
    if (counts(d->device.state)) {
        k->item[k->items++] = *d; /* at most one a row, and there is room for every row */
    }
    return BP_OK;
}

static bp_result read_page(struct check *k, uint64_t after, size_t limit)
{
    const struct bp_device_filter all = {.trust = BP_TRUST_ANY};
    k->item = bp_alloc_array(limit, sizeof *k->item);
    if (k->item == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    k->at.n = (int64_t)after;
    return bp_list_devices(k->r->store, &all, &k->at, limit, keep, k);
}

/* A policy in force that this version cannot read judges nothing: the keeper does the same. */
static bp_result load_in_force(struct check *k)
{
    struct bp_policy_version v = {0};
    size_t count = 0;
    const struct bp_policy_name *names = bp_api_policy_names(&count);
    const bp_result got = bp_store_policy_newest(k->r->store, &v);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    k->in_force = v.version;
    BP_TRY(bp_policy_new(names, count, &k->now));
    const bp_result r = bp_policy_load(k->now, v.document, NULL);
    if (bp_failed(r)) {
        bp_policy_free(k->now);
        k->now = NULL;
    }
    return bp_is(r, BP_E_NO_MEMORY) ? r : BP_OK;
}

static json_t *judgement_json(const struct bp_judgement *j)
{
    return json_pack("{s:s, s:b, s:o, s:o}", "tier", bp_tier_name(j->tier), "permitted", (int)j->permitted, "actions",
                     bp_api_actions(j->answer.actions), "reason", bp_api_text(j->reason));
}

static bp_result compare(struct check *k, const struct bp_device_item *d, const struct bp_appraisal *a)
{
    const struct bp_judge_facts facts = {.as_of_ms = d->trust.as_of_ms,
                                         .age_ms = d->trust.heard_ms - d->trust.as_of_ms,
                                         .zone = d->device.place.zone,
                                         .model = d->device.place.model,
                                         .site = d->device.place.site,
                                         .root_class = d->device.issuer_class,
                                         .state = d->device.state};
    struct bp_judgement now, then;
    bp_judge(k->now, a, &facts, &now);
    bp_judge(k->then, a, &facts, &then);
    if (now.tier == then.tier && now.permitted == then.permitted && now.answer.actions == then.answer.actions) {
        return BP_OK;
    }
    json_t *j = bp_api_summary(d);
    if (j == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    json_t *change = json_pack("{s:O, s:O, s:O, s:O, s:o, s:o}", "id", json_object_get(j, "id"), "short",
                               json_object_get(j, "short"), "name", json_object_get(j, "name"), "zone",
                               json_object_get(j, "zone"), "now", judgement_json(&now), "then", judgement_json(&then));
    json_decref(j);
    return json_array_append_new(k->changes, change) == 0 ? BP_OK : BP_FAIL(NO_MEMORY);
}

static bp_result judge_one(struct check *k, const struct bp_device_item *d, struct bp_appraisal *a)
{
    uint8_t *copy = NULL;
    bool has = false;
    bp_result r = bp_api_newest_appraisal(k->r->store, d, &copy, a, &has);
    if (!bp_failed(r) && has) {
        k->judged++;
        r = compare(k, d, a);
    } else if (!bp_failed(r)) {
        k->unjudged++;
    }
    bp_free(copy);
    return r;
}

static bp_result judge_page(struct check *k)
{
    struct bp_appraisal *a = bp_alloc(sizeof *a);
    bp_result r = a == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    for (size_t i = 0; i < k->items && !bp_failed(r); i++) {
        r = judge_one(k, &k->item[i], a);
    }
    bp_free(a);
    return r;
}

static bp_result put_answer(struct check *k, const struct bp_judge_head *head, bp_span document, json_t **ret)
{
    uint8_t digest[BP_DIGEST_SIZE];
    char next[24];
    BP_TRY(bp_hash(k->r->crypto, BP_HASH_SHA256, document, digest));
    (void)snprintf(next, sizeof next, "%lld", (long long)k->at.n);
    *ret = json_pack("{s:I, s:o, s:I, s:I, s:I, s:b, s:I, s:I, s:O, s:o}", "version", (json_int_t)head->version, "digest",
                     bp_api_hex(BP_SPAN_OF(digest)), "rules", (json_int_t)head->rules, "tests", (json_int_t)head->tests,
                     "in_force", (json_int_t)k->in_force, "publishable", (int)(head->version > k->in_force), "judged",
                     (json_int_t)k->judged, "unjudged", (json_int_t)k->unjudged, "changes", k->changes, "next",
                     k->at.more ? json_string(next) : json_null());
    return *ret == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
}

bp_result bp_api_check(struct bp_api_reader *r, bp_span text, uint64_t after, size_t limit, json_t **ret,
                       char ret_why[BP_POLICY_REASON_MAX + 1])
{
    struct check k = {.r = r, .changes = json_array()};
    struct bp_judge_head head = {0};
    size_t n = 0;
    uint8_t *document = bp_alloc(BP_POLICY_DOCUMENT_MAX);
    bp_result got = document == NULL || k.changes == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    if (!bp_failed(got)) {
        got = bp_judge_compile(text, document, &n, &head, &k.then, ret_why);
    }
    if (!bp_failed(got)) {
        got = load_in_force(&k);
    }
    if (!bp_failed(got)) {
        got = read_page(&k, after, limit);
    }
    if (!bp_failed(got)) {
        got = judge_page(&k);
    }
    if (!bp_failed(got)) {
        got = put_answer(&k, &head, bp_span_of(document, n), ret);
    }
    json_decref(k.changes);
    bp_free(k.item);
    bp_policy_free(k.now);
    bp_policy_free(k.then);
    bp_free(document);
    return got;
}
