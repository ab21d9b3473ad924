/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_policy - expressions, policies that people write, policy objects. The first byte chooses. What is
 * taken as an expression, the engine prepares; what YAML gives, the object's reader reads and writes back to the same
 * bytes; a refused document leaves the engine's answers as they were. */
#include "codec/cbor.h"
#include "fleet/policy/document.h"
#include "fleet/policy/expr.h"
#include "fuzz/fuzz.h"
#include "platform/alloc.h"

static const struct bp_policy_name names[] = {{"tier", BP_POLICY_INT},
                                              {"secure_boot", BP_POLICY_INT},
                                              {"as_of_ms", BP_POLICY_INT},
                                              {"evidence_age_ms", BP_POLICY_INT},
                                              {"root_class", BP_POLICY_TEXT},
                                              {"release_id", BP_POLICY_BLOB}};
#define NAMES (sizeof names / sizeof *names)

static struct bp_policy *engine;
static uint8_t room[BP_POLICY_DOCUMENT_MAX];
static uint8_t again[BP_POLICY_DOCUMENT_MAX];

/* What the engine in force says: of nothing claimed, and of claims of every kind. */
struct says {
    struct bp_policy_answer of_nothing, of_claims;
};

static bool same_answer(const struct bp_policy_answer *a, const struct bp_policy_answer *b)
{
    return a->verdict == b->verdict && a->actions == b->actions && strcmp(a->rules, b->rules) == 0 &&
           strcmp(a->reason, b->reason) == 0;
}

static void ask(struct says *ret)
{
    const struct bp_policy_claim claims[] = {
        {.name = BP_SPAN_STR("tier"), .kind = BP_POLICY_INT, .number = 2},
        {.name = BP_SPAN_STR("secure_boot"), .kind = BP_POLICY_INT, .number = 1},
        {.name = BP_SPAN_STR("evidence_age_ms"), .kind = BP_POLICY_INT, .number = 10},
        {.name = BP_SPAN_STR("root_class"), .kind = BP_POLICY_TEXT, .bytes = BP_SPAN_STR("discrete")},
        {.name = BP_SPAN_STR("release_id"), .kind = BP_POLICY_BLOB, .bytes = BP_SPAN_STR("\1\2")}};
    FUZZ_HOLDS(!bp_failed(bp_policy_eval(engine, NULL, 0, &ret->of_nothing)));
    FUZZ_HOLDS(!bp_failed(bp_policy_eval(engine, claims, sizeof claims / sizeof *claims, &ret->of_claims)));
    FUZZ_HOLDS(ret->of_nothing.verdict == BP_ALLOW || ret->of_nothing.verdict == BP_DENY);
    FUZZ_HOLDS(ret->of_claims.verdict == BP_ALLOW || ret->of_claims.verdict == BP_DENY);
}

/* Actions have names by which they are found again. */
static void check_actions(uint32_t actions)
{
    for (uint32_t bit = 1; bit <= BP_POLICY_HOLD; bit <<= 1) {
        if ((actions & bit) != 0) {
            FUZZ_HOLDS(bp_policy_action_of(bp_span_cstr(bp_policy_action_name(bit))) == bit);
        }
    }
    FUZZ_HOLDS(bp_policy_action_name(actions << 3)[0] == 0);
}

static void try_object(bp_span in, struct bp_policy_doc *d)
{
    struct says before;
    struct says after;
    size_t n = 0;
    ask(&before);
    const bool read = !bp_failed(bp_policy_doc_read(in, d));
    if (read) {
        for (size_t i = 0; i < d->rules; i++) {
            check_actions(d->rule[i].actions);
        }
        FUZZ_HOLDS(bp_is(bp_policy_doc_write(d, again, in.n - 1, &n), BP_E_NO_SPACE) && n == in.n);
        FUZZ_HOLDS(!bp_failed(bp_policy_doc_write(d, again, sizeof again, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));
    }
    const bool taken = !bp_failed(bp_policy_load(engine, in, NULL));
    FUZZ_HOLDS(read || !taken);
    ask(&after);
    FUZZ_HOLDS(taken || (same_answer(&before.of_nothing, &after.of_nothing) &&
                         same_answer(&before.of_claims, &after.of_claims)));
}

static void try_yaml(bp_span in, struct bp_policy_doc *d)
{
    char why[BP_POLICY_REASON_MAX + 1];
    size_t n = SIZE_MAX;
    FUZZ_FILL(room);
    if (bp_failed(bp_policy_from_yaml(in, room, sizeof room, &n, why))) {
        FUZZ_HOLDS(why[0] != 0 && n == SIZE_MAX && fuzz_untouched(room, sizeof room));
        return;
    }
    FUZZ_HOLDS(!bp_failed(bp_cbor_check(bp_span_of(room, n))));
    try_object(bp_span_of(room, n), d);
}

static void try_expression(bp_span in, struct bp_policy_doc *d)
{
    static struct bp_expr e;
    struct bp_expr_fault f = {0};
    size_t n = 0;
    if (bp_failed(bp_expr_read(in, names, NAMES, &e, &f))) {
        FUZZ_HOLDS(f.text[0] != 0 && f.column >= 1 && f.column <= in.n + 1);
        return;
    }
    memcpy(again, e.sql, e.sql_n);
    const size_t sql_n = e.sql_n;
    FUZZ_HOLDS(!bp_failed(bp_expr_read(in, NULL, 0, &e, &f)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(e.sql, e.sql_n), bp_span_of(again, sql_n)));
    memset(d, 0, sizeof *d);
    d->version = 1;
    d->zone = BP_SPAN_STR("*");
    d->rules = 1;
    d->rule[0] = (struct bp_policy_rule){BP_SPAN_STR("r"), in, BP_POLICY_FORBID, 0, BP_SPAN_STR("because")};
    /* UTF-8 is the object's own rule. */
    if (!bp_failed(bp_policy_doc_write(d, again, sizeof again, &n))) {
        memcpy(room, again, n);
        struct says a;
        FUZZ_HOLDS(!bp_failed(bp_policy_load(engine, bp_span_of(room, n), NULL)));
        ask(&a);
        FUZZ_HOLDS(a.of_nothing.verdict == BP_DENY && a.of_claims.verdict == BP_DENY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bp_policy_doc *d;
    if (engine == NULL) {
        d = bp_alloc(sizeof *d);
        FUZZ_HOLDS(d != NULL && !bp_failed(bp_policy_new(names, NAMES, &engine)));
    }
    if (size == 0) {
        return 0;
    }
    const bp_span in = bp_span_of(data + 1, size - 1);
    if (data[0] == 'e') {
        try_expression(in, d);
    } else if (data[0] == 'y') {
        try_yaml(in, d);
    } else {
        try_object(in, d);
    }
    return 0;
}
