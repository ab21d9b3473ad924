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

/* With nothing claimed nothing may be permitted, unless the rules say yes to nothing at all. */
static bool permits_nothing(void)
{
    struct bp_policy_answer a;
    FUZZ_HOLDS(!bp_failed(bp_policy_eval(engine, NULL, 0, &a)));
    FUZZ_HOLDS(a.verdict == BP_ALLOW || a.verdict == BP_DENY);
    return a.verdict == BP_DENY;
}

static void try_object(bp_span in, struct bp_policy_doc *d)
{
    size_t n = 0;
    const bool before = permits_nothing();
    const bool read = !bp_failed(bp_policy_doc_read(in, d));
    if (read) {
        FUZZ_HOLDS(!bp_failed(bp_policy_doc_write(d, again, sizeof again, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));
    }
    if (bp_failed(bp_policy_load(engine, in, NULL))) {
        FUZZ_HOLDS(permits_nothing() == before);
    } else {
        FUZZ_HOLDS(read);
        (void)permits_nothing();
    }
}

static void try_yaml(bp_span in, struct bp_policy_doc *d)
{
    char why[BP_POLICY_REASON_MAX + 1];
    size_t n = 0;
    if (bp_failed(bp_policy_from_yaml(in, room, sizeof room, &n, why))) {
        FUZZ_HOLDS(why[0] != 0);
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
    FUZZ_HOLDS(!bp_failed(bp_expr_read(in, NULL, 0, &e, &f)));
    memset(d, 0, sizeof *d);
    d->version = 1;
    d->zone = BP_SPAN_STR("*");
    d->rules = 1;
    d->rule[0] = (struct bp_policy_rule){BP_SPAN_STR("r"), in, BP_POLICY_FORBID, 0, BP_SPAN_STR("because")};
    /* UTF-8 is the object's own rule. */
    if (!bp_failed(bp_policy_doc_write(d, again, sizeof again, &n))) {
        memcpy(room, again, n);
        FUZZ_HOLDS(!bp_failed(bp_policy_load(engine, bp_span_of(room, n), NULL)));
        FUZZ_HOLDS(permits_nothing());
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
