/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/yaml - what people write becomes the object that is kept.
 *
 * libyaml gives events; they are read straight down by the schema, one function a level, so that there
 * is no tree and nothing that grows. Anchors, aliases, tags and second documents are refused, keys that
 * stand twice too, and every refusal names line and column. */
#include <stdio.h>
#include <yaml.h>

#include "fleet/policy/document.h"
#include "fleet/policy/expr.h"
#include "platform/alloc.h"

#define BP_MODULE POLICY

#define EVENTS_MAX 20000u

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool held; /* event holds one */
    unsigned events;
    char *why;
    bp_result r;
    uint8_t *arena; /* texts: libyaml's go with their event */
    size_t arena_n, arena_cap;
    struct bp_policy_doc *doc;
    struct bp_expr *expr;
};

static void fail_at(struct reader *y, bp_result r, size_t line, size_t column, const char *text)
{
    if (!bp_failed(y->r)) {
        y->r = r;
        (void)snprintf(y->why, BP_POLICY_REASON_MAX + 1, "line %zu, column %zu: %s", line + 1, column + 1, text);
    }
}

static void fail(struct reader *y, bp_result r, const char *text)
{
    fail_at(y, r, y->event.start_mark.line, y->event.start_mark.column, text);
}

static bool has_mark(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT) {
        return e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL;
    }
    if (e->type == YAML_SEQUENCE_START_EVENT) {
        return e->data.sequence_start.anchor != NULL || e->data.sequence_start.tag != NULL;
    }
    return e->type == YAML_MAPPING_START_EVENT &&
           (e->data.mapping_start.anchor != NULL || e->data.mapping_start.tag != NULL);
}

/* The next event; after a failure an end of everything. */
static yaml_event_type_t next(struct reader *y)
{
    if (bp_failed(y->r)) {
        return YAML_NO_EVENT;
    }
    if (y->held) {
        yaml_event_delete(&y->event);
        y->held = false;
    }
    if (yaml_parser_parse(&y->parser, &y->event) == 0) {
        const char *text = y->parser.problem == NULL ? "not YAML" : y->parser.problem;
        fail_at(y, BP_FAIL(MALFORMED), y->parser.problem_mark.line, y->parser.problem_mark.column, text);
        return YAML_NO_EVENT;
    }
    y->held = true;
    if (++y->events > EVENTS_MAX) {
        fail(y, BP_FAIL(LIMIT), "too many items");
    } else if (y->event.type == YAML_ALIAS_EVENT) {
        fail(y, BP_FAIL(UNSUPPORTED), "aliases are not allowed");
    } else if (has_mark(&y->event)) {
        fail(y, BP_FAIL(UNSUPPORTED), "anchors and tags are not allowed");
    }
    return bp_failed(y->r) ? YAML_NO_EVENT : y->event.type;
}

static bp_span value(const struct reader *y)
{
    return y->event.type == YAML_SCALAR_EVENT ? bp_span_of(y->event.data.scalar.value, y->event.data.scalar.length)
                                              : BP_SPAN_EMPTY;
}

static bp_span keep(struct reader *y, bp_span s)
{
    if (s.n > y->arena_cap - y->arena_n) {
        fail(y, BP_FAIL(LIMIT), "the document is too long");
        return BP_SPAN_EMPTY;
    }
    uint8_t *p = y->arena + y->arena_n;
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    y->arena_n += s.n;
    return bp_span_of(p, s.n);
}

/* A text of one line, trimmed of the line breaks that a folded block leaves at its end. */
static bp_span text(struct reader *y, size_t max, const char *what)
{
    if (next(y) != YAML_SCALAR_EVENT) {
        fail(y, BP_FAIL(MALFORMED), what);
        return BP_SPAN_EMPTY;
    }
    bp_span s = value(y);
    while (s.n > 0 && s.p[s.n - 1] == '\n') {
        s.n--;
    }
    if (s.n == 0 || s.n > max) {
        fail(y, BP_FAIL(LIMIT), s.n == 0 ? what : "the text is too long");
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
            fail(y, BP_FAIL(MALFORMED), "a control character or line break in a text");
        }
    }
    return keep(y, s);
}

static bool is_plain(const struct reader *y)
{
    return y->event.type == YAML_SCALAR_EVENT && y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* A whole decimal number without leading zeros. */
static bool to_number(bp_span s, int64_t *ret)
{
    const size_t sign = s.n > 0 && s.p[0] == '-';
    int64_t v = 0;
    if (s.n == sign || s.n - sign > 18 || (s.p[sign] == '0' && s.n > sign + 1)) {
        return false;
    }
    for (size_t i = sign; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (s.p[i] - '0');
    }
    *ret = sign == 1 ? -v : v;
    return true;
}

/* -- keys -------------------------------------------------------------------------------------- */
/* Reads the next key of a mapping: its index in `known`, -1 at the end or after a failure. */
static int key(struct reader *y, const char *const *known, unsigned *seen)
{
    const yaml_event_type_t t = next(y);
    if (t == YAML_MAPPING_END_EVENT || t == YAML_NO_EVENT) {
        return -1;
    }
    for (int i = 0; known[i] != NULL && t == YAML_SCALAR_EVENT; i++) {
        if (!bp_span_equal(value(y), bp_span_cstr(known[i]))) {
            continue;
        }
        if ((*seen & 1u << i) != 0) {
            fail(y, BP_FAIL(MALFORMED), "the key stands twice");
            return -1;
        }
        *seen |= 1u << i;
        return i;
    }
    fail(y, BP_FAIL(UNSUPPORTED), "there is no such key here");
    return -1;
}

static bool open_list(struct reader *y, const char *what)
{
    if (next(y) != YAML_SEQUENCE_START_EVENT) {
        fail(y, BP_FAIL(MALFORMED), what);
    }
    return !bp_failed(y->r);
}

/* -- rules ------------------------------------------------------------------------------------- */
static void read_when(struct reader *y, struct bp_policy_rule *r)
{
    struct bp_expr_fault fault = {0};
    if (next(y) != YAML_SCALAR_EVENT) {
        fail(y, BP_FAIL(MALFORMED), "an expression is wanted");
        return;
    }
    const bp_span s = value(y);
    const bp_result got = bp_expr_read(s, NULL, 0, y->expr, &fault);
    if (bp_failed(got)) {
        /* A quoted or plain text of one line begins where its event does. */
        const yaml_scalar_style_t style = y->event.data.scalar.style;
        const size_t quote = style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        const bool one_line = y->event.start_mark.line == y->event.end_mark.line;
        fail_at(y, got, y->event.start_mark.line,
                y->event.start_mark.column + (one_line ? quote + fault.column - 1 : 0), fault.text);
        return;
    }
    r->when = keep(y, s);
}

static void read_actions(struct reader *y, struct bp_policy_rule *r)
{
    if (!open_list(y, "a list of actions is wanted")) {
        return;
    }
    for (;;) {
        const yaml_event_type_t t = next(y);
        if (t == YAML_SEQUENCE_END_EVENT || t == YAML_NO_EVENT) {
            return;
        }
        const uint32_t action = bp_policy_action_of(value(y));
        if (action == 0) {
            fail(y, BP_FAIL(UNSUPPORTED), "actions are alert, quarantine and hold");
        }
        if ((r->actions & action) != 0) {
            fail(y, BP_FAIL(MALFORMED), "the action stands twice");
        }
        r->actions |= action;
    }
}

static void read_verdict(struct reader *y, struct bp_policy_rule *r)
{
    (void)next(y);
    if (bp_span_equal(value(y), BP_SPAN_STR("permit"))) {
        r->says = BP_POLICY_PERMIT;
    } else if (bp_span_equal(value(y), BP_SPAN_STR("forbid"))) {
        r->says = BP_POLICY_FORBID;
    } else {
        fail(y, BP_FAIL(UNSUPPORTED), "the verdict of a rule is permit or forbid");
    }
}

static void read_rule(struct reader *y)
{
    static const char *const keys[] = {"name", "when", "verdict", "actions", "reason", NULL};
    struct bp_policy_doc *d = y->doc;
    unsigned seen = 0;
    if (d->rules == BP_POLICY_RULES_MAX) {
        fail(y, BP_FAIL(LIMIT), "too many rules");
        return;
    }
    struct bp_policy_rule *r = &d->rule[d->rules];
    const size_t line = y->event.start_mark.line;
    const size_t column = y->event.start_mark.column;
    for (int k = key(y, keys, &seen); k >= 0; k = key(y, keys, &seen)) {
        switch (k) {
        case 0:
            r->name = text(y, BP_POLICY_NAME_MAX, "a name is wanted");
            break;
        case 1:
            read_when(y, r);
            break;
        case 2:
            read_verdict(y, r);
            break;
        case 3:
            read_actions(y, r);
            break;
        default:
            r->reason = text(y, BP_POLICY_REASON_MAX / 2, "a reason is wanted");
        }
    }
    if ((seen & 0x17) != 0x17) {
        fail_at(y, BP_FAIL(MALFORMED), line, column, "a rule has name, when, verdict and reason");
    }
    for (size_t i = 0; i < d->rules && !bp_failed(y->r); i++) {
        if (bp_span_equal(d->rule[i].name, r->name)) {
            fail_at(y, BP_FAIL(MALFORMED), line, column, "another rule has this name");
        }
    }
    if (!bp_failed(y->r) && memchr(r->name.p, ',', r->name.n) != NULL) {
        fail_at(y, BP_FAIL(MALFORMED), line, column, "no commas in a name");
    }
    d->rules++;
}

/* -- tests ------------------------------------------------------------------------------------- */
static unsigned nibble(uint8_t c)
{
    return c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 32u) - 'a' + 10;
}

/* x'0aff', written plain, stands for bytes. */
static bool to_bytes(struct reader *y, bp_span s, bp_span *ret)
{
    uint8_t out[256];
    if (s.n < 3 || s.p[0] != 'x' || s.p[1] != '\'' || s.p[s.n - 1] != '\'' || (s.n - 3) % 2 != 0 ||
        (s.n - 3) / 2 > sizeof out) {
        return false;
    }
    for (size_t i = 2; i < s.n - 1; i++) {
        if (strchr("0123456789abcdefABCDEF", s.p[i]) == NULL || s.p[i] == 0) {
            return false;
        }
    }
    const size_t n = (s.n - 3) / 2;
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(nibble(s.p[2 + 2 * i]) << 4 | nibble(s.p[3 + 2 * i]));
    }
    *ret = keep(y, bp_span_of(out, n));
    return true;
}

static void read_claim(struct reader *y, struct bp_policy_test *t)
{
    if (t->count == BP_POLICY_CLAIMS_MAX) {
        fail(y, BP_FAIL(LIMIT), "too many claims");
        return;
    }
    struct bp_policy_claim *c = &t->claim[t->count];
    c->name = keep(y, value(y));
    if (c->name.n == 0 || c->name.n > BP_POLICY_NAME_MAX) {
        fail(y, BP_FAIL(MALFORMED), "a claim's name is wanted");
    }
    for (size_t i = 0; i < t->count; i++) {
        if (bp_span_equal(t->claim[i].name, c->name)) {
            fail(y, BP_FAIL(MALFORMED), "the key stands twice");
        }
    }
    if (next(y) != YAML_SCALAR_EVENT) {
        fail(y, BP_FAIL(MALFORMED), "a claim is a number, a text or x'bytes'");
        return;
    }
    if (is_plain(y) && to_number(value(y), &c->number)) {
        c->kind = BP_POLICY_INT;
    } else if (is_plain(y) && to_bytes(y, value(y), &c->bytes)) {
        c->kind = BP_POLICY_BLOB;
    } else {
        c->kind = BP_POLICY_TEXT;
        c->bytes = keep(y, value(y));
    }
    t->count++;
}

static void read_claims(struct reader *y, struct bp_policy_test *t)
{
    if (next(y) != YAML_MAPPING_START_EVENT) {
        fail(y, BP_FAIL(MALFORMED), "claims by name are wanted");
        return;
    }
    for (;;) {
        const yaml_event_type_t e = next(y);
        if (e == YAML_MAPPING_END_EVENT || e == YAML_NO_EVENT) {
            return;
        }
        read_claim(y, t);
    }
}

static void read_expect(struct reader *y, struct bp_policy_test *t)
{
    (void)next(y);
    t->permitted = bp_span_equal(value(y), BP_SPAN_STR("permit"));
    if (!t->permitted && !bp_span_equal(value(y), BP_SPAN_STR("refuse"))) {
        fail(y, BP_FAIL(UNSUPPORTED), "a test expects permit or refuse");
    }
}

static void read_test(struct reader *y)
{
    static const char *const keys[] = {"name", "claims", "expect", NULL};
    unsigned seen = 0;
    if (y->doc->tests == BP_POLICY_TESTS_MAX) {
        fail(y, BP_FAIL(LIMIT), "too many tests");
        return;
    }
    struct bp_policy_test *t = &y->doc->test[y->doc->tests++];
    const size_t line = y->event.start_mark.line;
    const size_t column = y->event.start_mark.column;
    for (int k = key(y, keys, &seen); k >= 0; k = key(y, keys, &seen)) {
        if (k == 0) {
            t->name = text(y, BP_POLICY_NAME_MAX, "a name is wanted");
        } else if (k == 1) {
            read_claims(y, t);
        } else {
            read_expect(y, t);
        }
    }
    if (seen != 7) {
        fail_at(y, BP_FAIL(MALFORMED), line, column, "a test has name, claims and expect");
    }
}

/* -- the document ------------------------------------------------------------------------------ */
static void read_list(struct reader *y, void (*each)(struct reader *y))
{
    if (!open_list(y, "a list is wanted")) {
        return;
    }
    for (;;) {
        const yaml_event_type_t t = next(y);
        if (t == YAML_SEQUENCE_END_EVENT || t == YAML_NO_EVENT) {
            return;
        }
        if (t != YAML_MAPPING_START_EVENT) {
            fail(y, BP_FAIL(MALFORMED), "an item with keys is wanted");
            return;
        }
        each(y);
    }
}

static void read_version(struct reader *y)
{
    int64_t n = 0;
    (void)next(y);
    if (!is_plain(y) || !to_number(value(y), &n) || n < 1) {
        fail(y, BP_FAIL(MALFORMED), "the version is a whole number from 1");
    }
    y->doc->version = (uint64_t)n;
}

static void read_members(struct reader *y)
{
    static const char *const keys[] = {"version", "zone", "rules", "tests", NULL};
    unsigned seen = 0;
    for (int k = key(y, keys, &seen); k >= 0; k = key(y, keys, &seen)) {
        if (k == 0) {
            read_version(y);
        } else if (k == 1) {
            y->doc->zone = text(y, BP_POLICY_NAME_MAX, "a zone is wanted, \"*\" for all");
        } else {
            read_list(y, k == 2 ? read_rule : read_test);
        }
    }
    if ((seen & 7) != 7) {
        fail_at(y, BP_FAIL(MALFORMED), 0, 0, "a policy has version, zone and rules");
    }
}

static void read_document(struct reader *y)
{
    if (next(y) != YAML_STREAM_START_EVENT || next(y) != YAML_DOCUMENT_START_EVENT) {
        fail_at(y, BP_FAIL(MALFORMED), 0, 0, "there is no document");
        return;
    }
    if (y->event.data.document_start.version_directive != NULL ||
        y->event.data.document_start.tag_directives.start != y->event.data.document_start.tag_directives.end) {
        fail(y, BP_FAIL(UNSUPPORTED), "directives are not allowed");
    }
    if (next(y) != YAML_MAPPING_START_EVENT) {
        fail(y, BP_FAIL(MALFORMED), "a policy begins with its keys");
        return;
    }
    read_members(y);
    if (next(y) != YAML_DOCUMENT_END_EVENT || next(y) != YAML_STREAM_END_EVENT) {
        fail(y, BP_FAIL(MALFORMED), "one document only");
    }
}

static bp_result convert(struct reader *y, bp_span in, uint8_t *ret, size_t cap, size_t *ret_n)
{
    if (yaml_parser_initialize(&y->parser) == 0) {
        return BP_FAIL(NO_MEMORY);
    }
    yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y->parser, in.n == 0 ? (const uint8_t *)"" : in.p, in.n);
    read_document(y);
    if (y->held) {
        yaml_event_delete(&y->event);
    }
    yaml_parser_delete(&y->parser);
    if (!bp_failed(y->r)) {
        y->r = bp_policy_doc_write(y->doc, ret, cap, ret_n);
        if (bp_failed(y->r)) {
            (void)snprintf(y->why, BP_POLICY_REASON_MAX + 1, "the document is larger than a policy may be");
        }
    }
    return y->r;
}

bp_result bp_policy_from_yaml(bp_span in, uint8_t *ret, size_t cap, size_t *ret_n,
                              char ret_why[BP_POLICY_REASON_MAX + 1])
{
    char why[BP_POLICY_REASON_MAX + 1] = "";
    struct reader y = {.why = why, .r = BP_OK, .arena_cap = in.n};
    bp_result r = BP_FAIL(NO_MEMORY);
    if (in.n > BP_POLICY_DOCUMENT_MAX) {
        r = BP_FAIL(LIMIT);
        (void)snprintf(why, sizeof why, "longer than %u bytes", BP_POLICY_DOCUMENT_MAX);
        goto out;
    }
    y.arena = bp_alloc(in.n);
    y.doc = bp_alloc(sizeof *y.doc);
    y.expr = bp_alloc(sizeof *y.expr);
    if (y.arena != NULL && y.doc != NULL && y.expr != NULL) {
        r = convert(&y, in, ret, cap, ret_n);
    }
out:
    if (ret_why != NULL) {
        memcpy(ret_why, why, sizeof why);
    }
    bp_free(y.arena);
    bp_free(y.doc);
    bp_free(y.expr);
    return r;
}
