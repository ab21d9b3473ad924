/* SPDX-License-Identifier: Apache-2.0 */
/* The policy over the API: what a document's tests come back as, and what a dry run says and leaves alone. */
#include "harness.h"

#include "desk.h"
#include "fleet/api/judge.h"
#include "platform/alloc.h"

static struct desk d;
static char cookie[65], csrf[65];
static struct asker admin;

static bool begin(void)
{
    if (!desk_open(&d) || !desk_sign_in(&d, BP_OPR_ADMIN, cookie, csrf)) {
        return false;
    }
    admin = (struct asker){.cookie = cookie, .csrf = csrf};
    return true;
}

static void end(void)
{
    desk_close(&d);
}

static struct reply yaml(const char *method, const char *target, const char *text)
{
    return desk_ask(&d, &admin, method, target, "application/yaml", text, strlen(text));
}

static bool publishes(const char *text)
{
    struct reply r = yaml("PUT", "/api/v1/policy", text);
    const bool ok = r.status == 200;
    if (!ok) {
        printf("# %u %s\n", r.status, r.body == NULL ? "" : r.body);
    }
    desk_done(&r);
    return ok;
}

static json_int_t number(const struct reply *r, const char *name)
{
    return json_integer_value(json_object_get(r->json, name));
}

static const char *text_at(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s == NULL ? "" : s;
}

/* -- devices with evidence ----------------------------------------------------------------------- */
/* A device of zone a whose newest appraisal has this tier and, when not negative, this claim secure_boot. */
struct evidence {
    uint8_t tag;
    enum bp_tier tier;
    int secure_boot;
    struct bp_device device;
};

static bp_result store_evidence(struct desk *x, void *arg)
{
    static uint8_t object[BP_APPRAISAL_MAX];
    static struct bp_appraisal a;
    struct evidence *e = arg;
    size_t n = 0;
    a = (struct bp_appraisal){.accepted = true, .tier = e->tier, .reason = BP_SPAN_STR("as appraised")};
    a.claim[BP_C_SECURE_BOOT] = (struct bp_claim){e->secure_boot >= 0, e->secure_boot, BP_SPAN_EMPTY};
    BP_TRY(bp_appraisal_write(&a, object, sizeof object, &n));
    struct bp_verdict_row v = {.event = 1000u + e->tag, .device = e->device.n, .seq = 1, .as_of_ms = x->now_ms - 500,
                               .at_ms = x->now_ms, .tier = (uint8_t)e->tier, .reason = "as appraised",
                               .ear = BP_SPAN_STR("ear"), .appraisal = bp_span_of(object, n)};
    BP_TRY(bp_store_verdict_add(x->store, &v));
    struct bp_trust t = {.seq = 1, .as_of_ms = x->now_ms - 500, .heard_ms = x->now_ms, .due_ms = x->now_ms + 60000,
                         .tier = (uint8_t)e->tier, .reason = "as appraised", .verdict = v.event};
    return bp_store_trust_set(x->store, e->device.n, &t);
}

static bool claims(const struct bp_device *dev, uint8_t tag)
{
    char target[160] = "/api/v1/devices/";
    char body[64];
    for (size_t i = 0; i < BP_ID_SIZE; i++) {
        (void)snprintf(target + strlen(target), 3, "%02x", dev->id[i]);
    }
    (void)snprintf(target + strlen(target), 16, "/approve");
    (void)snprintf(body, sizeof body, "{\"zone\":\"a\",\"name\":\"press-%u\"}", tag);
    struct reply r = desk_json(&d, &admin, "POST", target, body);
    const bool ok = r.status == 200;
    desk_done(&r);
    return ok;
}

static bool attested(uint8_t tag, enum bp_tier tier, int secure_boot)
{
    struct evidence e = {.tag = tag, .tier = tier, .secure_boot = secure_boot};
    return desk_device(&d, tag, &e.device) && claims(&e.device, tag) && desk_act(&d, store_evidence, &e);
}

/* -- reading ------------------------------------------------------------------------------------- */
#define OPEN "version: 2\nzone: '*'\nrules:\n  - {name: good, when: tier = 2, verdict: permit, reason: fine}\n"
#define STRICT                                                                                                        \
    "version: 3\nzone: '*'\nrules:\n  - {name: good, when: tier = 2, verdict: permit, reason: fine}\n"                 \
    "  - {name: boot, when: secure_boot <> 1, verdict: forbid, actions: [alert, quarantine], reason: Secure Boot is off}\n" \
    "tests:\n  - {name: off, claims: {tier: 2, secure_boot: 0}, expect: refuse}\n"

BP_CASE(tests_come_back_with_their_kinds)
{
    static const char text[] = OPEN "tests:\n"
                                    "  - {name: whole, claims: {tier: 2, model: m1}, expect: permit}\n"
                                    "  - {name: bytes, claims: {tier: 0, boot_log: x'0aff'}, expect: refuse}\n";
    BP_NEED(begin());
    struct reply r = desk_json(&d, &admin, "GET", "/api/v1/policy", NULL);
    BP_CHECK(r.status == 200 && json_array_size(json_object_get(r.json, "tests")) == 0 && number(&r, "version") == 0);
    desk_done(&r);
    BP_NEED(publishes(text));
    r = desk_json(&d, &admin, "GET", "/api/v1/policy", NULL);
    const json_t *tests = json_object_get(r.json, "tests");
    BP_CHECK(json_array_size(tests) == 2);
    const json_t *one = json_array_get(tests, 0);
    BP_CHECK(strcmp(text_at(one, "name"), "whole") == 0 && strcmp(text_at(one, "expect"), "permit") == 0);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(one, "claims"), "tier")) == 2);
    BP_CHECK(strcmp(text_at(json_object_get(one, "claims"), "model"), "m1") == 0);
    const json_t *two = json_array_get(tests, 1);
    BP_CHECK(strcmp(text_at(two, "expect"), "refuse") == 0);
    BP_CHECK(strcmp(text_at(json_object_get(json_object_get(two, "claims"), "boot_log"), "hex"), "0aff") == 0);
    desk_done(&r);
    end();
}

BP_CASE(a_dry_run_says_who_changes_and_how)
{
    BP_NEED(begin());
    BP_NEED(publishes(OPEN));
    BP_NEED(attested(1, BP_TIER_AFFIRMING, 1) && attested(2, BP_TIER_AFFIRMING, 0) && attested(3, BP_TIER_AFFIRMING, -1) &&
            attested(4, BP_TIER_CONTRAINDICATED, 1));
    struct reply r = yaml("POST", "/api/v1/policy/check", STRICT);
    BP_CHECK(r.status == 200 && number(&r, "version") == 3 && number(&r, "in_force") == 2);
    BP_CHECK(json_is_true(json_object_get(r.json, "publishable")) && strlen(desk_text(&r, "digest")) == 64);
    BP_CHECK(number(&r, "rules") == 2 && number(&r, "tests") == 1 && number(&r, "judged") == 4);
    const json_t *changes = json_object_get(r.json, "changes");
    BP_CHECK(json_array_size(changes) == 2); /* Secure Boot off, and not told */
    const json_t *first = json_array_get(changes, 0);
    const json_t *now = json_object_get(first, "now");
    const json_t *then = json_object_get(first, "then");
    BP_CHECK(strcmp(text_at(first, "name"), "press-2") == 0 && strcmp(text_at(first, "zone"), "a") == 0);
    BP_CHECK(strcmp(text_at(now, "tier"), "affirming") == 0 && json_is_true(json_object_get(now, "permitted")));
    BP_CHECK(json_array_size(json_object_get(now, "actions")) == 0);
    BP_CHECK(strcmp(text_at(then, "tier"), "contraindicated") == 0 && json_is_false(json_object_get(then, "permitted")));
    BP_CHECK(json_array_size(json_object_get(then, "actions")) == 2);
    BP_CHECK(strstr(text_at(then, "reason"), "Secure Boot is off") != NULL);
    BP_CHECK(strcmp(text_at(json_array_get(changes, 1), "name"), "press-3") == 0);
    desk_done(&r);
    end();
}

BP_CASE(the_same_rules_change_nothing)
{
    BP_NEED(begin());
    BP_NEED(publishes(OPEN));
    BP_NEED(attested(1, BP_TIER_AFFIRMING, 0) && attested(2, BP_TIER_WARNING, 0));
    struct reply r = yaml("POST", "/api/v1/policy/check", OPEN);
    BP_CHECK(r.status == 200 && number(&r, "judged") == 2 && json_array_size(json_object_get(r.json, "changes")) == 0);
    BP_CHECK(json_is_false(json_object_get(r.json, "publishable"))); /* its version is the one in force */
    desk_done(&r);
    end();
}

BP_CASE(without_a_policy_in_force_the_first_one_changes)
{
    BP_NEED(begin());
    BP_NEED(attested(1, BP_TIER_AFFIRMING, 1));
    struct reply r = yaml("POST", "/api/v1/policy/check", OPEN);
    const json_t *change = json_array_get(json_object_get(r.json, "changes"), 0);
    BP_CHECK(r.status == 200 && number(&r, "in_force") == 0 && json_is_true(json_object_get(r.json, "publishable")));
    BP_CHECK(strcmp(text_at(json_object_get(change, "now"), "tier"), "none") == 0);
    BP_CHECK(strcmp(text_at(json_object_get(change, "then"), "tier"), "affirming") == 0);
    desk_done(&r);
    end();
}

BP_CASE(a_dry_run_changes_nothing)
{
    struct bp_policy_version before = {0};
    struct bp_policy_version after = {0};
    BP_NEED(begin());
    BP_NEED(publishes(OPEN) && attested(2, BP_TIER_AFFIRMING, 0));
    const uint64_t size = d.log.size;
    d.effects = (struct bp_effects){0};
    BP_NEED(!bp_failed(bp_store_policy_newest(d.store, &before)));
    const uint64_t version = before.version;
    struct reply r = yaml("POST", "/api/v1/policy/check", STRICT);
    BP_CHECK(r.status == 200);
    desk_done(&r);
    r = yaml("POST", "/api/v1/policy/check", "rules: ["); /* a refused one is no event either: nobody asked to publish */
    BP_CHECK(r.status == 422);
    desk_done(&r);
    BP_CHECK(!bp_failed(bp_store_policy_newest(d.store, &after)) && after.version == version);
    BP_CHECK(d.log.size == size && !d.effects.policy);
    end();
}

BP_CASE(devices_without_a_verdict_are_counted_and_strangers_are_not)
{
    struct bp_device dev;
    BP_NEED(begin());
    BP_NEED(desk_device(&d, 7, &dev) && claims(&dev, 7)); /* claimed, nothing came yet */
    BP_NEED(desk_device(&d, 8, &dev));                    /* waits */
    BP_NEED(attested(9, BP_TIER_AFFIRMING, 1));
    struct reply r = yaml("POST", "/api/v1/policy/check", OPEN);
    BP_CHECK(r.status == 200 && number(&r, "judged") == 1 && number(&r, "unjudged") == 1);
    desk_done(&r);
    end();
}

BP_CASE(pages_lead_through_the_fleet)
{
    char target[96] = "/api/v1/policy/check?limit=2";
    json_int_t judged = 0;
    size_t changed = 0;
    size_t pages = 0;
    BP_NEED(begin());
    BP_NEED(publishes(OPEN));
    for (uint8_t i = 1; i <= 5; i++) {
        BP_NEED(attested(i, BP_TIER_AFFIRMING, i % 2));
    }
    for (;;) {
        struct reply r = yaml("POST", target, STRICT);
        BP_NEED(r.status == 200 && pages < 5);
        judged += number(&r, "judged");
        changed += json_array_size(json_object_get(r.json, "changes"));
        pages++;
        (void)snprintf(target, sizeof target, "/api/v1/policy/check?limit=2&after=%s", desk_text(&r, "next"));
        const bool more = desk_text(&r, "next")[0] != 0;
        desk_done(&r);
        if (!more) {
            break;
        }
    }
    BP_CHECK(judged == 5 && changed == 2 && pages == 3);
    end();
}

/* What is refused for publishing is refused here, in the same words. */
static const struct {
    const char *name, *text, *word;
} refused[] = {
    {"not_yaml", "rules: [", "line"},
    {"nothing", "", ""},
    {"json_without_members", "{}", "version"},
    {"of_a_zone", "version: 5\nzone: line1\nrules: []\n", "every zone"},
    {"unknown_claim", "version: 5\nzone: '*'\nrules:\n  - {name: a, when: nonsense = 1, verdict: permit, reason: r}\n", "nonsense"},
    {"failing_test", "version: 5\nzone: '*'\nrules: []\ntests:\n  - {name: t, claims: {tier: 2}, expect: permit}\n", "test t"},
    {"test_of_no_claim", "version: 5\nzone: '*'\nrules: []\ntests:\n  - {name: t, claims: {tear: 2}, expect: refuse}\n", "tear"},
};

static void refused_documents(void)
{
    if (!begin()) {
        bp_case_begin();
        BP_CHECK(false);
        bp_case_end("refused.begin");
        return;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "refused.%s", refused[i].name);
        bp_case_begin();
        struct reply check = yaml("POST", "/api/v1/policy/check", refused[i].text);
        struct reply put = yaml("PUT", "/api/v1/policy", refused[i].text);
        BP_CHECK(check.status == 422 && put.status == 422 && strcmp(desk_problem(&check), "value") == 0);
        BP_CHECK(strcmp(desk_text(&check, "detail"), desk_text(&put, "detail")) == 0);
        if (!BP_CHECK(strstr(desk_text(&check, "detail"), refused[i].word) != NULL)) {
            printf("# %s\n", desk_text(&check, "detail"));
        }
        desk_done(&check);
        desk_done(&put);
        bp_case_end(name);
    }
    end();
}

BP_CASE(queries_that_are_refused)
{
    static const char *const target[] = {"/api/v1/policy/check?limit=0", "/api/v1/policy/check?limit=101",
                                         "/api/v1/policy/check?after=-1", "/api/v1/policy/check?after=x"};
    BP_NEED(begin());
    for (size_t i = 0; i < sizeof target / sizeof *target; i++) {
        struct reply r = yaml("POST", target[i], OPEN);
        BP_CHECK(r.status == 422 && strcmp(desk_problem(&r), "value") == 0);
        desk_done(&r);
    }
    end();
}

/* -- one judgement -------------------------------------------------------------------------------- */
static const struct {
    const char *name;
    const char *rules; /* NULL: no policy is in force */
    enum bp_tier appraised, tier;
    bool permitted, grants;
    const char *word;
} judged[] = {
    {"no_policy", NULL, BP_TIER_AFFIRMING, BP_TIER_NONE, false, false, "no policy"},
    {"no_policy_and_bad", NULL, BP_TIER_CONTRAINDICATED, BP_TIER_CONTRAINDICATED, false, false, "as appraised"},
    {"permitted", "  - {name: a, when: tier = 2, verdict: permit, reason: r}\n", BP_TIER_AFFIRMING, BP_TIER_AFFIRMING, true, true, "as appraised"},
    {"permitted_and_held", "  - {name: a, when: tier = 2, verdict: permit, actions: [hold], reason: r}\n", BP_TIER_AFFIRMING, BP_TIER_AFFIRMING, true, false, "as appraised"},
    {"permitted_and_bad", "  - {name: a, when: tier = 96, verdict: permit, reason: r}\n", BP_TIER_CONTRAINDICATED, BP_TIER_CONTRAINDICATED, true, false, "as appraised"},
    {"forbidden", "  - {name: a, when: tier = 2, verdict: forbid, reason: because}\n", BP_TIER_AFFIRMING, BP_TIER_CONTRAINDICATED, false, false, "because"},
    {"forbidden_and_bad", "  - {name: a, when: tier = 96, verdict: forbid, reason: because}\n", BP_TIER_CONTRAINDICATED, BP_TIER_CONTRAINDICATED, false, false, "as appraised"},
    {"nobody_speaks", "  - {name: a, when: tier = 32, verdict: permit, reason: r}\n", BP_TIER_AFFIRMING, BP_TIER_NONE, false, false, "no rule"},
    {"nobody_speaks_of_a_warning", "  - {name: a, when: tier = 2, verdict: permit, reason: r}\n", BP_TIER_WARNING, BP_TIER_WARNING, false, false, "as appraised"},
    {"own_facts_are_claims", "  - {name: a, when: zone = 'hall' AND root_class = 'virtual' AND state = 'active' AND evidence_age_ms = 70 AND as_of_ms = 5, verdict: permit, reason: r}\n",
     BP_TIER_AFFIRMING, BP_TIER_AFFIRMING, true, true, "as appraised"},
    {"empty_facts_are_missing", "  - {name: a, when: model = '', verdict: permit, reason: r}\n", BP_TIER_AFFIRMING, BP_TIER_NONE, false, false, "no rule"},
};

static bool compile(const char *rules, struct bp_policy **ret)
{
    static uint8_t document[BP_POLICY_DOCUMENT_MAX];
    char text[1024];
    char why[BP_POLICY_REASON_MAX + 1];
    struct bp_judge_head head;
    size_t n = 0;
    *ret = NULL;
    if (rules == NULL) {
        return true;
    }
    (void)snprintf(text, sizeof text, "version: 1\nzone: '*'\nrules:\n%s", rules);
    return !bp_failed(bp_judge_compile(bp_span_cstr(text), document, &n, &head, ret, why)) && head.rules == 1 && head.version == 1;
}

static void judgements(void)
{
    static struct bp_appraisal a;
    const struct bp_judge_facts facts = {.as_of_ms = 5, .age_ms = 70, .zone = "hall", .model = "", .site = "",
                                         .root_class = "virtual", .state = BP_ST_ACTIVE};
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        char name[64];
        char reason[BP_POLICY_REASON_MAX + 1];
        struct bp_policy *p = NULL;
        struct bp_judgement j;
        (void)snprintf(name, sizeof name, "judge.%s", judged[i].name);
        bp_case_begin();
        a = (struct bp_appraisal){.accepted = true, .tier = judged[i].appraised, .reason = BP_SPAN_STR("as appraised")};
        if (BP_CHECK(compile(judged[i].rules, &p))) {
            bp_judge(p, &a, &facts, &j);
            (void)snprintf(reason, sizeof reason, "%.*s", (int)j.reason.n, (const char *)j.reason.p);
            BP_CHECK(j.tier == judged[i].tier && j.permitted == judged[i].permitted && j.grants == judged[i].grants);
            if (!BP_CHECK(strstr(reason, judged[i].word) != NULL)) {
                printf("# %s\n", reason);
            }
        }
        bp_policy_free(p);
        bp_case_end(name);
    }
}

BP_SUITE(api_policy, BP_TABLE(refused_documents) BP_TABLE(judgements) BP_RUN(tests_come_back_with_their_kinds)
                         BP_RUN(a_dry_run_says_who_changes_and_how) BP_RUN(the_same_rules_change_nothing)
                             BP_RUN(without_a_policy_in_force_the_first_one_changes) BP_RUN(a_dry_run_changes_nothing)
                                 BP_RUN(devices_without_a_verdict_are_counted_and_strangers_are_not)
                                     BP_RUN(pages_lead_through_the_fleet) BP_RUN(queries_that_are_refused))
