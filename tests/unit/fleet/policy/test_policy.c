/* SPDX-License-Identifier: Apache-2.0 */
/* The policy: what a rule may say, when it fires, what people write, and the property that taking a
 * claim away never helps. */
#include "harness.h"

#include "codec/cbor.h"
#include "fleet/policy/document.h"
#include "fleet/policy/expr.h"
#include "fleet/policy/policy.h"
#include "platform/alloc.h"

static const struct bp_policy_name names[] = {
    {"tier", BP_POLICY_INT},         {"secure_boot", BP_POLICY_INT},     {"ima_unknown", BP_POLICY_INT},
    {"ima_violations", BP_POLICY_INT}, {"evidence_age_ms", BP_POLICY_INT}, {"as_of_ms", BP_POLICY_INT},
    {"root_class", BP_POLICY_TEXT},  {"agent_version", BP_POLICY_TEXT},  {"release_state", BP_POLICY_TEXT},
    {"release_id", BP_POLICY_BLOB}};
#define NAMES (sizeof names / sizeof *names)

static char why[BP_POLICY_REASON_MAX + 1];
static uint8_t room[BP_POLICY_DOCUMENT_MAX];

/* -- what a rule may say ----------------------------------------------------------------------- */
static const struct {
    const char *name, *text;
    enum bp_error error; /* OK: taken */
    size_t column;       /* 0: not looked at */
} words[] = {
    {"compares", "tier = 2", BP_E_OK, 0},
    {"compares_twice_equal", "tier == 2 AND tier != 3", BP_E_OK, 0},
    {"orders", "tier < 3 OR tier <= 3 OR tier > 1 OR tier >= 1 OR tier <> 5", BP_E_OK, 0},
    {"lower_case_words", "tier = 2 and not (tier = 3 or tier between 5 and 6)", BP_E_OK, 0},
    {"in_list", "root_class IN ('discrete', 'firmware') AND tier NOT IN (1, -2)", BP_E_OK, 0},
    {"not_between", "tier NOT BETWEEN 1 AND 3", BP_E_OK, 0},
    {"bytes", "release_id = x'00ff'", BP_E_OK, 0},
    {"quote_doubled", "root_class = 'it''s'", BP_E_OK, 0},
    {"number_alone", "secure_boot", BP_E_OK, 0},
    {"versions", "ver(agent_version) >= ver('1.2.0')", BP_E_OK, 0},
    {"age_of_time", "age(as_of_ms) < 60000", BP_E_OK, 0},
    {"claim_with_claim", "ima_unknown = ima_violations", BP_E_OK, 0},
    {"empty", "", BP_E_MALFORMED, 1},
    {"unknown_name", "tier = 2 AND nonsense = 1", BP_E_UNSUPPORTED, 14},
    {"null", "tier = NULL", BP_E_MALFORMED, 8},
    {"is_null", "tier IS NULL", BP_E_MALFORMED, 6},
    {"isnull", "tier ISNULL", BP_E_MALFORMED, 6},
    {"like", "root_class LIKE 'd%'", BP_E_MALFORMED, 12},
    {"glob", "root_class GLOB 'd*'", BP_E_MALFORMED, 12},
    {"regexp", "root_class REGEXP 'd'", BP_E_MALFORMED, 12},
    {"match", "root_class MATCH 'd'", BP_E_MALFORMED, 12},
    {"case", "CASE WHEN tier=2 THEN 1 END", BP_E_MALFORMED, 1},
    {"coalesce", "COALESCE(tier, 2) = 2", BP_E_MALFORMED, 1},
    {"ifnull", "IFNULL(tier, 2) = 2", BP_E_MALFORMED, 1},
    {"select", "(SELECT 1)", BP_E_MALFORMED, 2},
    {"exists", "EXISTS (SELECT 1)", BP_E_MALFORMED, 1},
    {"cast", "CAST(tier AS TEXT) = '2'", BP_E_MALFORMED, 1},
    {"collate", "root_class = 'D' COLLATE NOCASE", BP_E_MALFORMED, 18},
    {"true", "TRUE", BP_E_MALFORMED, 1},
    {"double_quotes", "root_class = \"discrete\"", BP_E_MALFORMED, 14},
    {"backtick", "`tier` = 2", BP_E_MALFORMED, 1},
    {"brackets", "[tier] = 2", BP_E_MALFORMED, 1},
    {"dotted", "claim.tier = 2", BP_E_UNSUPPORTED, 1},
    {"other_function", "length(root_class) = 3", BP_E_MALFORMED, 1},
    {"load_extension", "load_extension('x')", BP_E_MALFORMED, 1},
    {"parameter", "tier = ?1", BP_E_MALFORMED, 8},
    {"named_parameter", "tier = :x", BP_E_MALFORMED, 8},
    {"semicolon", "tier = 2; tier = 3", BP_E_MALFORMED, 9},
    {"comment", "tier = 2 -- no", BP_E_MALFORMED, 10},
    {"block_comment", "tier = 2 /* no */", BP_E_MALFORMED, 10},
    {"plus", "tier + 1 = 3", BP_E_MALFORMED, 6},
    {"concat", "root_class || 'x' = 'dx'", BP_E_MALFORMED, 12},
    {"bit_and", "tier & 2", BP_E_MALFORMED, 6},
    {"tilde", "~tier", BP_E_MALFORMED, 1},
    {"percent", "tier % 2 = 0", BP_E_MALFORMED, 6},
    {"float", "tier = 2.0", BP_E_MALFORMED, 8},
    {"exponent", "tier = 2e1", BP_E_MALFORMED, 8},
    {"hex_number", "tier = 0x10", BP_E_MALFORMED, 8},
    {"long_number", "tier = 1234567890123456789", BP_E_MALFORMED, 8},
    {"minus_alone", "tier = -", BP_E_MALFORMED, 8},
    {"open_quote", "root_class = 'discrete", BP_E_MALFORMED, 14},
    {"odd_hex", "release_id = x'0'", BP_E_MALFORMED, 14},
    {"empty_in", "tier IN ()", BP_E_MALFORMED, 10},
    {"in_claims", "tier IN (secure_boot)", BP_E_MALFORMED, 10},
    {"in_select", "tier IN (SELECT 1)", BP_E_MALFORMED, 10},
    {"in_kinds", "tier IN (1, 'two')", BP_E_UNSUPPORTED, 0},
    {"number_and_text", "tier = '2'", BP_E_UNSUPPORTED, 0},
    {"text_and_number", "root_class > 5", BP_E_UNSUPPORTED, 0},
    {"text_and_bytes", "root_class = x'00'", BP_E_UNSUPPORTED, 0},
    {"text_alone", "root_class", BP_E_UNSUPPORTED, 0},
    {"text_alone_in_and", "tier = 2 AND root_class", BP_E_UNSUPPORTED, 0},
    {"compare_of_bool", "(tier = 2) = 1", BP_E_MALFORMED, 12},
    {"chain", "1 < tier < 3", BP_E_MALFORMED, 10},
    {"two_claims", "tier secure_boot", BP_E_MALFORMED, 6},
    {"dangling_and", "tier = 2 AND", BP_E_MALFORMED, 13},
    {"dangling_or", "OR tier = 2", BP_E_MALFORMED, 1},
    {"not_alone", "NOT", BP_E_MALFORMED, 4},
    {"close_missing", "(tier = 2", BP_E_MALFORMED, 10},
    {"close_too_many", "tier = 2)", BP_E_MALFORMED, 9},
    {"between_half", "tier BETWEEN 1", BP_E_MALFORMED, 15},
    {"ver_of_number", "ver(tier) = 1", BP_E_UNSUPPORTED, 0},
    {"ver_bad_literal", "ver(agent_version) > ver('one')", BP_E_MALFORMED, 0},
    {"ver_nothing", "ver() = 1", BP_E_MALFORMED, 5},
    {"age_of_text", "age(root_class) < 5", BP_E_UNSUPPORTED, 0},
    {"age_of_literal", "age(5) < 5", BP_E_MALFORMED, 5},
    {"control", "tier =\x01 2", BP_E_MALFORMED, 7},
    {"zero_in_text", "root_class = 'a\x01'", BP_E_MALFORMED, 0},
    {"not_ascii", "t\xc3\xa9 = 2", BP_E_UNSUPPORTED, 0},
    {"deep", "((((((((((((((((((tier = 2))))))))))))))))))", BP_E_LIMIT, 0},
    {"deep_nots", "NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT tier = 2", BP_E_LIMIT, 0},
};

static void may_say(void)
{
    static struct bp_expr e;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct bp_expr_fault f = {0};
        char name[64];
        (void)snprintf(name, sizeof name, "word.%s", words[i].name);
        bp_case_begin();
        const bp_result r = bp_expr_read(bp_span_cstr(words[i].text), names, NAMES, &e, &f);
        BP_CHECK(bp_error_of(r) == words[i].error);
        BP_CHECK(words[i].column == 0 || f.column == words[i].column);
        BP_CHECK(words[i].error == BP_E_OK || f.text[0] != 0);
        bp_case_end(name);
    }
}

BP_CASE(long_expression)
{
    static struct bp_expr e;
    struct bp_expr_fault f = {0};
    static char text[BP_EXPR_MAX + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "tier", 4);
    BP_CHECK(!bp_failed(bp_expr_read(bp_span_of(text, BP_EXPR_MAX), names, NAMES, &e, &f)));
    BP_CHECK(bp_is(bp_expr_read(bp_span_of(text, BP_EXPR_MAX + 1), names, NAMES, &e, &f), BP_E_LIMIT));
}

BP_CASE(many_terms)
{
    static struct bp_expr e;
    struct bp_expr_fault f = {0};
    static char text[BP_EXPR_MAX];
    size_t n = 0;
    for (unsigned i = 0; i <= BP_EXPR_TERMS / 2; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%stier=1", i > 0 ? " OR " : "");
    }
    BP_CHECK(bp_is(bp_expr_read(bp_span_of(text, n), names, NAMES, &e, &f), BP_E_LIMIT));
    /* The longest chain that is allowed is also one that the engine prepares. */
    n -= strlen(" OR tier=1");
    BP_CHECK(!bp_failed(bp_expr_read(bp_span_of(text, n), names, NAMES, &e, &f)));
}

BP_CASE(versions_order)
{
    static const char *const in_order[] = {"0", "0.0.0.1", "0.1", "1", "1.2", "1.2.9", "1.2.10", "1.10", "2", "32767.65535.65535.65535"};
    static const char *const bad[] = {"", ".", "1.", ".1", "1..2", "a", "1.2.3.4.5", "1.65536", "32768", "1 ", "-1", "1.0000001"};
    int64_t last = -1;
    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++) {
        int64_t v = -1;
        BP_CHECK(!bp_failed(bp_expr_version(bp_span_cstr(in_order[i]), &v)));
        BP_CHECK(v > last);
        last = v;
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t v = 0;
        BP_CHECK(bp_is(bp_expr_version(bp_span_cstr(bad[i]), &v), BP_E_MALFORMED));
    }
}

/* -- when it fires ----------------------------------------------------------------------------- */
static struct bp_policy_claim number(const char *name, int64_t n)
{
    return (struct bp_policy_claim){bp_span_cstr(name), BP_POLICY_INT, n, BP_SPAN_EMPTY};
}

static struct bp_policy_claim words_of(const char *name, const char *v)
{
    return (struct bp_policy_claim){bp_span_cstr(name), BP_POLICY_TEXT, 0, bp_span_cstr(v)};
}

/* A document of a permit for everything and one rule; NULL: refused. */
static struct bp_policy *policy_of(const char *when, enum bp_policy_says says)
{
    struct bp_policy *p = NULL;
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    size_t n = 0;
    if (d == NULL || bp_failed(bp_policy_new(names, NAMES, &p))) {
        bp_free(d);
        return NULL;
    }
    d->version = 1;
    d->zone = BP_SPAN_STR("*");
    d->rule[d->rules++] = (struct bp_policy_rule){BP_SPAN_STR("rule"), bp_span_cstr(when), says, BP_POLICY_ALERT, BP_SPAN_STR("because")};
    if (says == BP_POLICY_FORBID) {
        d->rule[d->rules++] = (struct bp_policy_rule){BP_SPAN_STR("all"), BP_SPAN_STR("1 = 1"), BP_POLICY_PERMIT, 0, BP_SPAN_STR("fine")};
    }
    if (bp_failed(bp_policy_doc_write(d, room, sizeof room, &n)) || bp_failed(bp_policy_load(p, bp_span_of(room, n), why))) {
        printf("# %s\n", why);
        bp_policy_free(p);
        p = NULL;
    }
    bp_free(d);
    return p;
}

static const struct {
    const char *name, *when;
    bool permit_fires, forbid_fires;
} firing[] = {
    {"true", "tier = 2", true, true},
    {"false", "tier = 3", false, false},
    {"missing", "secure_boot = 1", false, true},
    {"missing_negated", "NOT secure_boot = 1", false, true},
    {"missing_or_true", "secure_boot = 1 OR tier = 2", true, true},
    {"missing_or_false", "secure_boot = 1 OR tier = 3", false, true},
    {"missing_and_true", "secure_boot = 1 AND tier = 2", false, true},
    {"missing_and_false", "secure_boot = 1 AND tier = 3", false, false},
    {"missing_in_list", "secure_boot IN (0, 1)", false, true},
    {"missing_between", "secure_boot BETWEEN 0 AND 1", false, true},
    {"not_one_but_true", "tier", false, true},
    {"zero_alone", "ima_unknown", false, false},
    {"text_equal", "root_class = 'virtual'", true, true},
    {"text_case_differs", "root_class = 'Virtual'", false, false},
    {"version_older", "ver(agent_version) < ver('1.10')", true, true},
    {"version_unreadable", "ver(root_class) < ver('1.10')", false, true},
    {"version_missing", "ver(release_state) < ver('1.10')", false, true},
    {"age_known", "age(as_of_ms) = 500", true, true},
    {"two_claims", "ima_unknown < tier", true, true},
    {"precedence", "tier = 3 AND tier = 3 OR tier = 2", true, true},
    {"not_binds_test_only", "NOT tier = 3 AND tier = 2", true, true},
    {"bytes_missing", "release_id = x'00'", false, true},
};

static void fires_when(void)
{
    const struct bp_policy_claim claims[] = {number("tier", 2),          number("ima_unknown", 0),     number("as_of_ms", 1000),
                                             number("evidence_age_ms", 500), words_of("root_class", "virtual"), words_of("agent_version", "1.9.3")};
    for (size_t i = 0; i < sizeof firing / sizeof *firing; i++) {
        struct bp_policy_answer a = {0};
        char name[64];
        (void)snprintf(name, sizeof name, "fires.%s", firing[i].name);
        bp_case_begin();
        struct bp_policy *p = policy_of(firing[i].when, BP_POLICY_PERMIT);
        if (BP_CHECK(p != NULL) && BP_CHECK(!bp_failed(bp_policy_eval(p, claims, 6, &a)))) {
            BP_CHECK((a.verdict == BP_ALLOW) == firing[i].permit_fires);
            BP_CHECK(a.verdict == BP_ALLOW || a.verdict == BP_DENY);
            BP_CHECK(a.actions == (firing[i].permit_fires ? BP_POLICY_ALERT : 0u));
        }
        bp_policy_free(p);
        p = policy_of(firing[i].when, BP_POLICY_FORBID);
        if (BP_CHECK(p != NULL) && BP_CHECK(!bp_failed(bp_policy_eval(p, claims, 6, &a)))) {
            BP_CHECK((a.verdict == BP_DENY) == firing[i].forbid_fires);
            BP_CHECK((strstr(a.rules, "rule") != NULL) == firing[i].forbid_fires);
        }
        bp_policy_free(p);
        bp_case_end(name);
    }
}

BP_CASE(reason_names_missing_claim)
{
    struct bp_policy_answer a = {0};
    const struct bp_policy_claim claims[] = {number("tier", 2)};
    struct bp_policy *p = policy_of("secure_boot <> 1", BP_POLICY_FORBID);
    BP_NEED(p != NULL);
    BP_CHECK(!bp_failed(bp_policy_eval(p, claims, 1, &a)));
    BP_CHECK(a.verdict == BP_DENY && strcmp(a.reason, "because (the claim secure_boot is missing)") == 0);
    bp_policy_free(p);
    p = policy_of("secure_boot = 1", BP_POLICY_PERMIT);
    BP_NEED(p != NULL);
    BP_CHECK(!bp_failed(bp_policy_eval(p, claims, 1, &a)));
    BP_CHECK(a.verdict == BP_DENY && strstr(a.reason, "secure_boot") != NULL);
    bp_policy_free(p);
}

BP_CASE(no_document_denies)
{
    struct bp_policy *p = NULL;
    struct bp_policy_answer a = {.verdict = BP_ALLOW};
    BP_NEED(!bp_failed(bp_policy_new(names, NAMES, &p)));
    BP_CHECK(!bp_failed(bp_policy_eval(p, NULL, 0, &a)));
    BP_CHECK(a.verdict == BP_DENY && a.reason[0] != 0);
    bp_policy_free(p);
}

BP_CASE(claims_of_another_kind_are_refused)
{
    struct bp_policy_answer a = {.verdict = BP_ALLOW};
    const struct bp_policy_claim wrong[] = {words_of("tier", "2")};
    const struct bp_policy_claim twice[] = {number("tier", 3), number("tier", 2)};
    struct bp_policy *p = policy_of("tier = 2", BP_POLICY_PERMIT);
    BP_NEED(p != NULL);
    BP_CHECK(bp_failed(bp_policy_eval(p, wrong, 1, &a)) && a.verdict == BP_DENY);
    a.verdict = BP_ALLOW;
    BP_CHECK(bp_failed(bp_policy_eval(p, twice, 2, &a)) && a.verdict == BP_DENY);
    bp_policy_free(p);
}

BP_CASE(claims_of_one_device_do_not_stay)
{
    struct bp_policy_answer a = {0};
    const struct bp_policy_claim good[] = {number("tier", 2)};
    struct bp_policy *p = policy_of("tier = 2", BP_POLICY_PERMIT);
    BP_NEED(p != NULL);
    BP_CHECK(!bp_failed(bp_policy_eval(p, good, 1, &a)) && a.verdict == BP_ALLOW);
    BP_CHECK(!bp_failed(bp_policy_eval(p, NULL, 0, &a)) && a.verdict == BP_DENY);
    bp_policy_free(p);
}

BP_CASE(a_refused_document_leaves_the_old_one)
{
    struct bp_policy_answer a = {0};
    const struct bp_policy_claim good[] = {number("tier", 2)};
    struct bp_policy *p = policy_of("tier = 2", BP_POLICY_PERMIT);
    BP_NEED(p != NULL);
    const uint8_t junk[] = {0xa0};
    BP_CHECK(bp_failed(bp_policy_load(p, BP_SPAN_OF(junk), why)) && why[0] != 0);
    BP_CHECK(!bp_failed(bp_policy_eval(p, good, 1, &a)) && a.verdict == BP_ALLOW);
    bp_policy_free(p);
}

/* -- the property ------------------------------------------------------------------------------ */
static uint64_t seed;

static unsigned chance(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static size_t put(char *ret, size_t at, const char *s)
{
    const size_t n = strlen(s);
    memcpy(ret + at, s, n + 1);
    return at + n;
}

static const char *const int_names[] = {"tier", "secure_boot", "ima_unknown", "ima_violations", "evidence_age_ms", "as_of_ms"};
static const char *const text_names[] = {"root_class", "agent_version", "release_state"};
static const char *const texts[] = {"'a'", "'b'", "'1.2'", "'1.10'"};

static size_t random_test(char *ret, size_t at)
{
    static const char *const ops[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};
    char number_text[8];
    switch (chance(7)) {
    case 0:
        at = put(ret, at, text_names[chance(3)]);
        at = put(ret, at, ops[chance(6)]);
        return put(ret, at, texts[chance(4)]);
    case 1:
        at = put(ret, at, text_names[chance(3)]);
        at = put(ret, at, chance(2) ? " IN (" : " NOT IN (");
        at = put(ret, at, texts[chance(4)]);
        at = put(ret, at, ", ");
        at = put(ret, at, texts[chance(4)]);
        return put(ret, at, ")");
    case 2:
        at = put(ret, at, int_names[chance(6)]);
        return put(ret, at, chance(2) ? " BETWEEN 1 AND 2" : " NOT BETWEEN 0 AND 1");
    case 3:
        at = put(ret, at, "ver(");
        at = put(ret, at, text_names[chance(3)]);
        at = put(ret, at, ")");
        at = put(ret, at, ops[chance(6)]);
        return put(ret, at, "ver('1.5')");
    case 4:
        at = put(ret, at, "age(");
        at = put(ret, at, int_names[chance(6)]);
        return put(ret, at, ") < 2");
    case 5:
        at = put(ret, at, int_names[chance(6)]);
        at = put(ret, at, ops[chance(6)]);
        return put(ret, at, int_names[chance(6)]);
    default:
        at = put(ret, at, int_names[chance(6)]);
        if (chance(4) == 0) {
            return at;
        }
        at = put(ret, at, ops[chance(6)]);
        (void)snprintf(number_text, sizeof number_text, "%u", chance(4));
        return put(ret, at, number_text);
    }
}

static size_t random_expr(char *ret, size_t at, unsigned depth)
{
    const unsigned what = depth == 0 ? 3 : chance(5);
    if (what == 0) {
        at = put(ret, at, "NOT (");
        at = random_expr(ret, at, depth - 1);
        return put(ret, at, ")");
    }
    if (what <= 2) {
        at = put(ret, at, "(");
        at = random_expr(ret, at, depth - 1);
        at = put(ret, at, what == 1 ? ") AND (" : ") OR (");
        at = random_expr(ret, at, depth - 1);
        return put(ret, at, ")");
    }
    return random_test(ret, at);
}

static size_t random_document(char (*when)[BP_EXPR_MAX], struct bp_policy_doc *d)
{
    static const char *const rule_names[] = {"a", "b", "c", "d", "e"};
    size_t n = 0;
    d->version = 1;
    d->zone = BP_SPAN_STR("*");
    d->tests = 0;
    d->rules = 1 + chance(5);
    for (size_t i = 0; i < d->rules; i++) {
        const size_t len = random_expr(when[i], 0, 3);
        d->rule[i] = (struct bp_policy_rule){bp_span_cstr(rule_names[i]), bp_span_of(when[i], len),
                                             chance(3) > 0 ? BP_POLICY_PERMIT : BP_POLICY_FORBID, 0, BP_SPAN_STR("r")};
    }
    return bp_failed(bp_policy_doc_write(d, room, sizeof room, &n)) ? 0 : n;
}

static size_t random_claims(struct bp_policy_claim *c)
{
    static const char *const values[] = {"a", "b", "1.2", "1.10"};
    size_t n = 0;
    for (size_t i = 0; i < 6; i++) {
        if (chance(5) > 0) {
            c[n++] = number(int_names[i], chance(4));
        }
    }
    for (size_t i = 0; i < 3; i++) {
        if (chance(5) > 0) {
            c[n++] = words_of(text_names[i], values[chance(4)]);
        }
    }
    return n;
}

BP_CASE(deleting_a_claim_never_permits)
{
    static char when[5][BP_EXPR_MAX];
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    struct bp_policy *p = NULL;
    unsigned sets = 0;
    unsigned refused = 0;
    unsigned permitted = 0;
    bool holds = true;
    seed = 20261127;
    BP_NEED(d != NULL && !bp_failed(bp_policy_new(names, NAMES, &p)));
    for (; sets < 12000 && holds; sets++) {
        struct bp_policy_claim all[9];
        struct bp_policy_answer a = {0};
        const size_t n = random_document(when, d);
        if (n == 0 || bp_failed(bp_policy_load(p, bp_span_of(room, n), why))) {
            printf("# set %u: %s\n", sets, why);
            holds = false;
            break;
        }
        for (unsigned round = 0; round < 3 && holds; round++) {
            const size_t count = random_claims(all);
            holds = !bp_failed(bp_policy_eval(p, all, count, &a));
            if (a.verdict == BP_ALLOW) {
                permitted++;
                continue;
            }
            refused++;
            for (size_t gone = 0; gone < count && holds; gone++) {
                struct bp_policy_claim less[9];
                size_t m = 0;
                for (size_t i = 0; i < count; i++) {
                    if (i != gone) {
                        less[m++] = all[i];
                    }
                }
                holds = !bp_failed(bp_policy_eval(p, less, m, &a)) && a.verdict == BP_DENY;
            }
        }
    }
    printf("# %u rule sets, %u devices refused, %u permitted\n", sets, refused, permitted);
    BP_CHECK(holds);
    BP_CHECK(sets >= 10000 && refused > 1000 && permitted > 1000);
    bp_policy_free(p);
    bp_free(d);
}

/* -- what people write ------------------------------------------------------------------------- */
#define HEAD "version: 1\nzone: '*'\nrules:\n"
#define RULE "  - {name: a, when: tier = 2, verdict: permit, reason: fine}\n"

static const struct {
    const char *name, *text;
    enum bp_error error;
    const char *why; /* must begin with */
} yaml[] = {
    {"least", HEAD RULE, BP_E_OK, ""},
    {"json", "{\"version\": 2, \"zone\": \"*\", \"rules\": [{\"name\": \"a\", \"when\": \"tier = 2\", \"verdict\": \"permit\", \"actions\": [\"alert\"], \"reason\": \"fine\"}], \"tests\": []}", BP_E_OK, ""},
    {"no_rules", "version: 1\nzone: '*'\nrules: []\n", BP_E_OK, ""},
    {"block_text", HEAD "  - name: a\n    when: |\n      tier = 2 AND\n      secure_boot = 1\n    verdict: permit\n    reason: >-\n      long\n      words\n", BP_E_OK, ""},
    {"empty", "", BP_E_MALFORMED, "line 1, column 1"},
    {"list", "- a\n", BP_E_MALFORMED, "line 1, column 1"},
    {"no_version", "zone: '*'\nrules: []\n", BP_E_MALFORMED, "line 1"},
    {"version_text", "version: '1'\nzone: '*'\nrules: []\n", BP_E_MALFORMED, "line 1, column 10"},
    {"version_zero", "version: 0\nzone: '*'\nrules: []\n", BP_E_MALFORMED, "line 1, column 10"},
    {"version_leading_zero", "version: 010\nzone: '*'\nrules: []\n", BP_E_MALFORMED, "line 1, column 10"},
    {"unknown_key", "version: 1\nzone: '*'\nrule: []\n", BP_E_UNSUPPORTED, "line 3, column 1"},
    {"key_twice", "version: 1\nversion: 2\nzone: '*'\nrules: []\n", BP_E_MALFORMED, "line 2, column 1"},
    {"rule_key_twice", HEAD "  - name: a\n    name: b\n", BP_E_MALFORMED, "line 5, column 5"},
    {"claim_twice", HEAD RULE "tests:\n  - name: t\n    claims: {tier: 2, tier: 3}\n    expect: permit\n", BP_E_MALFORMED, "line 7, column 23"},
    {"anchor", "version: &a 1\nzone: '*'\nrules: []\n", BP_E_UNSUPPORTED, "line 1, column 10"},
    {"alias", "version: 1\nzone: *a\nrules: []\n", BP_E_UNSUPPORTED, "line 2, column 7"},
    {"tag", "version: !!int 1\nzone: '*'\nrules: []\n", BP_E_UNSUPPORTED, "line 1, column 10"},
    {"mapping_tag", "!x {version: 1}\n", BP_E_UNSUPPORTED, "line 1, column 1"},
    {"directive", "%YAML 1.1\n---\nversion: 1\nzone: '*'\nrules: []\n", BP_E_UNSUPPORTED, "line"},
    {"two_documents", HEAD RULE "---\nversion: 2\n", BP_E_MALFORMED, "line"},
    {"bad_indent", "version: 1\n zone: '*'\n", BP_E_MALFORMED, "line "},
    {"open_quote", "version: 1\nzone: '*\n", BP_E_MALFORMED, "line"},
    {"control", "version: 1\nzone: \"\\x01\"\nrules: []\n", BP_E_MALFORMED, "line 2"},
    {"not_utf8", "version: 1\nzone: '\xff'\nrules: []\n", BP_E_MALFORMED, "line"},
    {"rule_no_reason", HEAD "  - {name: a, when: tier = 2, verdict: permit}\n", BP_E_MALFORMED, "line 4, column 5"},
    {"rule_verdict", HEAD "  - {name: a, when: tier = 2, verdict: allow, reason: x}\n", BP_E_UNSUPPORTED, "line 4"},
    {"rule_action", HEAD "  - {name: a, when: tier = 2, verdict: permit, actions: [reboot], reason: x}\n", BP_E_UNSUPPORTED, "line 4"},
    {"rule_action_twice", HEAD "  - {name: a, when: tier = 2, verdict: permit, actions: [hold, hold], reason: x}\n", BP_E_MALFORMED, "line 4"},
    {"rule_name_twice", HEAD RULE RULE, BP_E_MALFORMED, "line 5, column 5"},
    {"rule_comma", HEAD "  - {name: 'a,b', when: tier = 2, verdict: permit, reason: x}\n", BP_E_MALFORMED, "line 4"},
    {"rule_expression", HEAD "  - {name: a, when: tier = NULL, verdict: permit, reason: x}\n", BP_E_MALFORMED, "line 4, column 28"},
    {"rule_expression_quoted", HEAD "  - {name: a, when: 'tier = NULL', verdict: permit, reason: x}\n", BP_E_MALFORMED, "line 4, column 29"},
    {"rule_when_list", HEAD "  - {name: a, when: [tier], verdict: permit, reason: x}\n", BP_E_MALFORMED, "line 4"},
    {"rules_mapping", "version: 1\nzone: '*'\nrules: {}\n", BP_E_MALFORMED, "line 3"},
    {"rule_scalar", HEAD "  - a\n", BP_E_MALFORMED, "line 4"},
    {"test_expect", HEAD RULE "tests:\n  - {name: t, claims: {tier: 2}, expect: deny}\n", BP_E_UNSUPPORTED, "line 6"},
    {"test_claim_list", HEAD RULE "tests:\n  - {name: t, claims: {tier: [2]}, expect: permit}\n", BP_E_MALFORMED, "line 6"},
    {"test_no_claims", HEAD RULE "tests:\n  - {name: t, expect: permit}\n", BP_E_MALFORMED, "line 6"},
};

static void people_write(void)
{
    static uint8_t again[BP_POLICY_DOCUMENT_MAX];
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    for (size_t i = 0; d != NULL && i < sizeof yaml / sizeof *yaml; i++) {
        char name[64];
        size_t n = 0;
        size_t m = 0;
        (void)snprintf(name, sizeof name, "yaml.%s", yaml[i].name);
        bp_case_begin();
        const bp_result r = bp_policy_from_yaml(bp_span_cstr(yaml[i].text), room, sizeof room, &n, why);
        if (!BP_CHECK(bp_error_of(r) == yaml[i].error) || !BP_CHECK(strncmp(why, yaml[i].why, strlen(yaml[i].why)) == 0)) {
            printf("# %s: %s\n", bp_error_name(bp_error_of(r)), why);
        }
        if (!bp_failed(r)) {
            BP_CHECK(!bp_failed(bp_cbor_check(bp_span_of(room, n))));
            BP_CHECK(!bp_failed(bp_policy_doc_read(bp_span_of(room, n), d)));
            BP_CHECK(!bp_failed(bp_policy_doc_write(d, again, sizeof again, &m)) && m == n && memcmp(room, again, n) == 0);
        } else {
            BP_CHECK(why[0] != 0);
        }
        bp_case_end(name);
    }
    bp_free(d);
}

BP_CASE(json_and_yaml_are_the_same_bytes)
{
    static uint8_t other[4096];
    size_t n = 0;
    size_t m = 0;
    BP_CHECK(!bp_failed(bp_policy_from_yaml(bp_span_cstr(HEAD RULE), room, sizeof room, &n, why)));
    BP_CHECK(!bp_failed(bp_policy_from_yaml(
        bp_span_cstr("{\"rules\":[{\"reason\":\"fine\",\"verdict\":\"permit\",\"when\":\"tier = 2\",\"name\":\"a\"}],\"zone\":\"*\",\"version\":1}"),
        other, sizeof other, &m, why)));
    BP_CHECK(n == m && n > 0 && memcmp(room, other, n) == 0);
}

BP_CASE(document_tests_block)
{
    static const char text[] = HEAD RULE "tests:\n  - {name: bad, claims: {tier: 3}, expect: permit}\n";
    struct bp_policy *p = NULL;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_policy_new(names, NAMES, &p)));
    BP_CHECK(!bp_failed(bp_policy_from_yaml(bp_span_cstr(text), room, sizeof room, &n, why)));
    BP_CHECK(bp_is(bp_policy_load(p, bp_span_of(room, n), why), BP_E_DENIED));
    BP_CHECK(strncmp(why, "test bad: expected permit", 25) == 0);
    bp_policy_free(p);
}

BP_CASE(default_policy_loads)
{
    struct bp_policy *p = NULL;
    struct bp_policy_answer a = {0};
    size_t n = 0;
    BP_NEED(!bp_failed(bp_policy_new(names, NAMES, &p)));
    BP_CHECK(!bp_failed(bp_policy_from_yaml(bp_policy_default(), room, sizeof room, &n, why)));
    BP_CHECK(!bp_failed(bp_policy_load(p, bp_span_of(room, n), why)));
    const struct bp_policy_claim bad[] = {number("tier", 96),          number("secure_boot", 1),     number("ima_unknown", 0),
                                          number("ima_violations", 0), number("evidence_age_ms", 1), words_of("root_class", "virtual"),
                                          words_of("release_state", "accepted")};
    BP_CHECK(!bp_failed(bp_policy_eval(p, bad, 7, &a)));
    BP_CHECK(a.verdict == BP_DENY && (a.actions & BP_POLICY_QUARANTINE) != 0);
    bp_policy_free(p);
}

BP_CASE(cut_documents_are_refused)
{
    struct bp_policy *p = NULL;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_policy_new(names, NAMES, &p)));
    BP_NEED(!bp_failed(bp_policy_from_yaml(bp_span_cstr(HEAD RULE), room, sizeof room, &n, why)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_policy_load(p, bp_span_of(room, cut), why)));
    }
    BP_CHECK(!bp_failed(bp_policy_load(p, bp_span_of(room, n), why)));
    bp_policy_free(p);
}

BP_CASE(every_allocation_may_fail)
{
    const size_t before = bp_alloc_live();
    bool done = false;
    for (size_t nth = 1; nth < 50 && !done; nth++) {
        struct bp_policy *p = NULL;
        size_t n = 0;
        bp_alloc_fail_from(nth);
        bool failed = bp_failed(bp_policy_new(names, NAMES, &p));
        failed = failed || bp_failed(bp_policy_from_yaml(bp_policy_default(), room, sizeof room, &n, why));
        failed = failed || bp_failed(bp_policy_load(p, bp_span_of(room, n), why));
        done = !bp_alloc_has_failed();
        bp_alloc_fail_from(0);
        BP_CHECK(failed == !done);
        bp_policy_free(p);
        BP_CHECK(bp_alloc_live() == before);
    }
    BP_CHECK(done);
}

BP_SUITE(policy, BP_TABLE(may_say) BP_RUN(long_expression) BP_RUN(many_terms) BP_RUN(versions_order) BP_TABLE(fires_when)
                     BP_RUN(reason_names_missing_claim) BP_RUN(no_document_denies)
                         BP_RUN(claims_of_another_kind_are_refused) BP_RUN(claims_of_one_device_do_not_stay)
                             BP_RUN(a_refused_document_leaves_the_old_one) BP_RUN(deleting_a_claim_never_permits)
                                 BP_TABLE(people_write) BP_RUN(json_and_yaml_are_the_same_bytes)
                                     BP_RUN(document_tests_block) BP_RUN(default_policy_loads)
                                         BP_RUN(cut_documents_are_refused) BP_RUN(every_allocation_may_fail))
