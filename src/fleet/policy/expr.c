/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/expr - tokens, then a parser of one function a level. Everything that is not named in
 * the header is refused here, at publication, so that the engine never sees it. */
#include "fleet/policy/expr.h"

#include <stdarg.h>
#include <stdio.h>

#define BP_MODULE POLICY

enum token { T_END, T_NAME, T_NUMBER, T_TEXT, T_HEX, T_COMPARE, T_OPEN, T_CLOSE, T_COMMA, T_AND, T_OR, T_NOT,
             T_BETWEEN, T_IN };

#define KIND_ANY 255u /* a name while only the form is checked */

struct parser {
    bp_span in;
    size_t at;    /* behind the token */
    size_t start; /* of the token */
    enum token token;
    bp_span text; /* of the token, quotes left off */
    unsigned depth;
    unsigned terms;
    const struct bp_policy_name *names;
    size_t count;
    struct bp_expr *out;
    struct bp_expr_fault *fault;
    bp_result r;
};

/* -- saying what is wrong ---------------------------------------------------------------------- */
static void __attribute__((format(printf, 3, 4))) fail(struct parser *p, bp_result r, const char *format, ...)
{
    if (bp_failed(p->r)) {
        return;
    }
    p->r = r;
    p->token = T_END;
    p->fault->column = 1;
    for (size_t i = 0; i < p->start && i < p->in.n; i++) {
        p->fault->column += (p->in.p[i] & 0xc0) != 0x80;
    }
    va_list list;
    va_start(list, format);
    (void)vsnprintf(p->fault->text, sizeof p->fault->text, format, list);
    va_end(list);
}

/* -- writing SQL ------------------------------------------------------------------------------- */
static void emit(struct parser *p, bp_span s)
{
    if (s.n > sizeof p->out->sql - 1 - p->out->sql_n) {
        fail(p, BP_FAIL(LIMIT), "the expression is too long");
        return;
    }
    if (s.n > 0) {
        memcpy(p->out->sql + p->out->sql_n, s.p, s.n);
    }
    p->out->sql_n += s.n;
    p->out->sql[p->out->sql_n] = 0;
}

static void emit_str(struct parser *p, const char *s)
{
    emit(p, bp_span_cstr(s));
}

/* -- tokens ------------------------------------------------------------------------------------ */
static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool same_word(bp_span a, const char *upper)
{
    if (a.n != strlen(upper)) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        const uint8_t c = a.p[i] >= 'a' && a.p[i] <= 'z' ? (uint8_t)(a.p[i] - 32) : a.p[i];
        if (c != (uint8_t)upper[i]) {
            return false;
        }
    }
    return true;
}

/* The text between quotes; a doubled quote stands for one and stays doubled, as SQL wants it. */
static void quoted(struct parser *p)
{
    const size_t from = ++p->at;
    for (;; p->at++) {
        if (p->at == p->in.n) {
            fail(p, BP_FAIL(MALFORMED), "the text has no closing quote");
            return;
        }
        const uint8_t c = p->in.p[p->at];
        if (c == '\'') {
            if (p->at + 1 < p->in.n && p->in.p[p->at + 1] == '\'') {
                p->at++;
                continue;
            }
            break;
        }
        if (c < 0x20 || c == 0x7f) {
            fail(p, BP_FAIL(MALFORMED), "a control character in a text");
            return;
        }
    }
    p->text = bp_span_sub(p->in, from, p->at - from);
    p->at++;
}

static void word(struct parser *p)
{
    static const struct {
        const char *word;
        enum token token;
    } known[] = {{"AND", T_AND}, {"OR", T_OR}, {"NOT", T_NOT}, {"BETWEEN", T_BETWEEN}, {"IN", T_IN}};
    /* Words of SQL that people try; each is refused by being no claim as well, this only says it better. */
    static const char *const never[] = {"NULL", "IS", "ISNULL", "NOTNULL", "LIKE", "GLOB", "REGEXP", "MATCH", "CASE",
                                        "SELECT", "EXISTS", "CAST", "COLLATE", "COALESCE", "IFNULL", "TRUE", "FALSE"};
    while (p->at < p->in.n && is_word(p->in.p[p->at])) {
        p->at++;
    }
    p->text = bp_span_sub(p->in, p->start, p->at - p->start);
    p->token = T_NAME;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (same_word(p->text, known[i].word)) {
            p->token = known[i].token;
        }
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (same_word(p->text, never[i])) {
            fail(p, BP_FAIL(MALFORMED), "%s is not one of the words that a rule may use", never[i]);
        }
    }
}

static void number(struct parser *p)
{
    size_t digits = 0;
    if (p->in.p[p->at] == '-') {
        p->at++;
    }
    while (p->at < p->in.n && is_digit(p->in.p[p->at])) {
        p->at++;
        digits++;
    }
    const uint8_t next = p->at < p->in.n ? p->in.p[p->at] : ' ';
    if (digits == 0 || digits > 18 || is_word(next) || next == '.') {
        fail(p, BP_FAIL(MALFORMED), "numbers are whole, decimal and of at most 18 digits");
        return;
    }
    p->token = T_NUMBER;
    p->text = bp_span_sub(p->in, p->start, p->at - p->start);
}

static void hex(struct parser *p)
{
    p->at++;
    quoted(p);
    bool ok = p->text.n % 2 == 0;
    for (size_t i = 0; i < p->text.n; i++) {
        ok = ok && is_hex(p->text.p[i]);
    }
    if (!ok) {
        fail(p, BP_FAIL(MALFORMED), "bytes are written x'0aff', two digits each");
        return;
    }
    p->token = T_HEX;
}

static void compare(struct parser *p)
{
    static const char *const ops[] = {"==", "<>", "!=", "<=", ">=", "=", "<", ">"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const size_t n = strlen(ops[i]);
        if (bp_span_equal(bp_span_sub(p->in, p->at, n), bp_span_cstr(ops[i]))) {
            p->text = bp_span_sub(p->in, p->at, n);
            p->at += n;
            p->token = T_COMPARE;
            return;
        }
    }
    fail(p, BP_FAIL(MALFORMED), "the character %s is not one that a rule may use",
         p->in.p[p->at] == '"' ? "\" (texts stand in single quotes)" : "here");
}

static void next(struct parser *p)
{
    if (bp_failed(p->r)) {
        return;
    }
    while (p->at < p->in.n && (p->in.p[p->at] == ' ' || p->in.p[p->at] == '\n' || p->in.p[p->at] == '\t')) {
        p->at++;
    }
    p->start = p->at;
    p->text = BP_SPAN_EMPTY;
    if (p->at == p->in.n) {
        p->token = T_END;
        return;
    }
    const uint8_t c = p->in.p[p->at];
    const bool quote_follows = p->at + 1 < p->in.n && p->in.p[p->at + 1] == '\'';
    if ((c == 'x' || c == 'X') && quote_follows) {
        hex(p);
    } else if (is_digit(c) || c == '-') {
        number(p);
    } else if (is_word(c)) {
        word(p);
    } else if (c == '\'') {
        p->token = T_TEXT;
        quoted(p);
    } else if (c == '(' || c == ')' || c == ',') {
        p->token = c == '(' ? T_OPEN : c == ')' ? T_CLOSE : T_COMMA;
        p->at++;
    } else {
        compare(p);
    }
}

static bool want(struct parser *p, enum token token, const char *what)
{
    if (p->token != token) {
        fail(p, BP_FAIL(MALFORMED), "%s is missing here", what);
    }
    return !bp_failed(p->r);
}

/* -- atoms ------------------------------------------------------------------------------------- */
static const char *kind_name(unsigned kind)
{
    return kind == BP_POLICY_INT ? "a number" : kind == BP_POLICY_TEXT ? "a text" : "bytes";
}

static bool same_kind(unsigned a, unsigned b)
{
    return a == b || a == KIND_ANY || b == KIND_ANY;
}

static void count_term(struct parser *p)
{
    if (++p->terms > BP_EXPR_TERMS) {
        fail(p, BP_FAIL(LIMIT), "more than %u claims and literals", BP_EXPR_TERMS);
    }
}

static bool use_name(struct parser *p, bp_span name, unsigned *ret_kind)
{
    if (p->names == NULL) {
        *ret_kind = KIND_ANY;
        return true;
    }
    for (size_t i = 0; i < p->count; i++) {
        if (bp_span_equal(name, bp_span_cstr(p->names[i].name))) {
            *ret_kind = p->names[i].kind;
            p->out->uses |= UINT64_C(1) << i;
            return true;
        }
    }
    fail(p, BP_FAIL(UNSUPPORTED), "there is no claim %.*s", (int)(name.n < 60 ? name.n : 60), (const char *)name.p);
    return false;
}

static unsigned claim(struct parser *p)
{
    unsigned kind = KIND_ANY;
    count_term(p);
    if (use_name(p, p->text, &kind)) {
        emit_str(p, "\"");
        emit(p, p->text);
        emit_str(p, "\"");
        next(p);
    }
    return kind;
}

static unsigned literal(struct parser *p)
{
    const enum token t = p->token;
    count_term(p);
    if (t == T_NUMBER) {
        emit(p, p->text);
    } else {
        emit_str(p, t == T_HEX ? "x'" : "'");
        emit(p, p->text);
        emit_str(p, "'");
    }
    next(p);
    return t == T_NUMBER ? BP_POLICY_INT : t == T_TEXT ? BP_POLICY_TEXT : BP_POLICY_BLOB;
}

static bool is_literal(enum token t)
{
    return t == T_NUMBER || t == T_TEXT || t == T_HEX;
}

static unsigned version(struct parser *p)
{
    emit_str(p, "bp_ver(");
    next(p);
    if (want(p, T_OPEN, "(")) {
        next(p);
        if (p->token == T_TEXT) {
            int64_t n = 0;
            if (bp_failed(bp_expr_version(p->text, &n))) {
                fail(p, BP_FAIL(MALFORMED), "a version is one to four numbers with dots between");
            }
            (void)literal(p);
        } else if (want(p, T_NAME, "a text claim or literal") && !same_kind(claim(p), BP_POLICY_TEXT)) {
            fail(p, BP_FAIL(UNSUPPORTED), "ver() is for texts");
        }
    }
    if (want(p, T_CLOSE, ")")) {
        emit_str(p, ")");
        next(p);
    }
    return BP_POLICY_INT;
}

/* How long ago a time was when the evidence was appraised: the appraisal's own time is the nonce's
 * plus the evidence's age, so the same claims give the same answer years later. */
static unsigned age(struct parser *p)
{
    unsigned kind = 0;
    next(p);
    if (want(p, T_OPEN, "(")) {
        next(p);
        if (use_name(p, BP_SPAN_STR("as_of_ms"), &kind) && use_name(p, BP_SPAN_STR("evidence_age_ms"), &kind)) {
            emit_str(p, "(\"as_of_ms\"+\"evidence_age_ms\"-");
        }
        if (want(p, T_NAME, "a claim that is a time") && !same_kind(claim(p), BP_POLICY_INT)) {
            fail(p, BP_FAIL(UNSUPPORTED), "age() is for times");
        }
        emit_str(p, ")");
    }
    if (want(p, T_CLOSE, ")")) {
        next(p);
    }
    return BP_POLICY_INT;
}

static unsigned atom(struct parser *p)
{
    if (is_literal(p->token)) {
        return literal(p);
    }
    if (!want(p, T_NAME, "a claim or a literal")) {
        return KIND_ANY;
    }
    const uint8_t follows = p->at < p->in.n ? p->in.p[p->at] : ' ';
    if (bp_span_equal(p->text, BP_SPAN_STR("ver"))) {
        return version(p);
    }
    if (bp_span_equal(p->text, BP_SPAN_STR("age"))) {
        return age(p);
    }
    if (follows == '(') {
        fail(p, BP_FAIL(MALFORMED), "the only functions are ver(text) and age(time)");
        return KIND_ANY;
    }
    return claim(p);
}

/* -- tests and what joins them ----------------------------------------------------------------- */
static void check_kinds(struct parser *p, unsigned left, unsigned right)
{
    if (!bp_failed(p->r) && !same_kind(left, right)) {
        fail(p, BP_FAIL(UNSUPPORTED), "%s is compared with %s", kind_name(left), kind_name(right));
    }
}

static void between(struct parser *p, unsigned kind)
{
    emit_str(p, " BETWEEN ");
    next(p);
    check_kinds(p, kind, atom(p));
    if (want(p, T_AND, "AND")) {
        emit_str(p, " AND ");
        next(p);
        check_kinds(p, kind, atom(p));
    }
}

static void in_list(struct parser *p, unsigned kind)
{
    unsigned items = 0;
    emit_str(p, " IN (");
    next(p);
    if (!want(p, T_OPEN, "(")) {
        return;
    }
    /* An empty list would be 0 even for a claim that is missing. */
    do {
        next(p);
        if (!is_literal(p->token)) {
            fail(p, BP_FAIL(MALFORMED), "IN takes a list of literals");
            return;
        }
        if (++items > BP_EXPR_LIST) {
            fail(p, BP_FAIL(LIMIT), "more than %u literals in one list", BP_EXPR_LIST);
            return;
        }
        emit_str(p, items > 1 ? "," : "");
        check_kinds(p, kind, literal(p));
    } while (p->token == T_COMMA);
    if (want(p, T_CLOSE, ")")) {
        emit_str(p, ")");
        next(p);
    }
}

static void test(struct parser *p)
{
    const unsigned kind = atom(p);
    if (p->token == T_COMPARE) {
        emit(p, p->text);
        next(p);
        check_kinds(p, kind, atom(p));
        return;
    }
    const bool negated = p->token == T_NOT;
    if (negated) {
        emit_str(p, " NOT");
        next(p);
    }
    if (p->token == T_BETWEEN) {
        between(p, kind);
    } else if (p->token == T_IN) {
        in_list(p, kind);
    } else if (negated) {
        fail(p, BP_FAIL(MALFORMED), "BETWEEN or IN is missing here");
    } else if (!same_kind(kind, BP_POLICY_INT)) {
        fail(p, BP_FAIL(UNSUPPORTED), "%s cannot stand alone", kind_name(kind));
    }
}

static void expression(struct parser *p);

static void negation(struct parser *p)
{
    if (p->depth++ == BP_EXPR_DEPTH) {
        fail(p, BP_FAIL(LIMIT), "nested deeper than %u", BP_EXPR_DEPTH);
        return;
    }
    if (p->token == T_NOT) {
        emit_str(p, "NOT (");
        next(p);
        negation(p);
        emit_str(p, ")");
    } else if (p->token == T_OPEN) {
        emit_str(p, "(");
        next(p);
        expression(p);
        if (want(p, T_CLOSE, ")")) {
            emit_str(p, ")");
            next(p);
        }
    } else {
        emit_str(p, "(");
        test(p);
        emit_str(p, ")");
    }
    p->depth--;
}

static void conjunction(struct parser *p)
{
    negation(p);
    while (p->token == T_AND) {
        emit_str(p, " AND ");
        next(p);
        negation(p);
    }
}

static void expression(struct parser *p)
{
    conjunction(p);
    while (p->token == T_OR) {
        emit_str(p, " OR ");
        next(p);
        conjunction(p);
    }
}

bp_result bp_expr_read(bp_span text, const struct bp_policy_name *names, size_t count, struct bp_expr *ret,
                       struct bp_expr_fault *ret_fault)
{
    struct parser p = {.in = text, .names = names, .count = count, .out = ret, .fault = ret_fault, .r = BP_OK};
    ret->sql_n = 0;
    ret->uses = 0;
    ret->sql[0] = 0;
    if (count > BP_POLICY_CLAIMS_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (text.n > BP_EXPR_MAX) {
        fail(&p, BP_FAIL(LIMIT), "longer than %u bytes", BP_EXPR_MAX);
        return p.r;
    }
    next(&p);
    expression(&p);
    if (p.token != T_END) {
        fail(&p, BP_FAIL(MALFORMED), "AND, OR or the end is missing here");
    }
    return p.r;
}

bp_result bp_expr_version(bp_span text, int64_t *ret)
{
    uint64_t v = 0;
    unsigned parts = 0;
    size_t at = 0;
    while (parts < 4) {
        uint32_t part = 0;
        size_t digits = 0;
        for (; at < text.n && is_digit(text.p[at]) && digits < 6; at++, digits++) {
            part = part * 10 + (uint32_t)(text.p[at] - '0');
        }
        /* The first part has 15 bits, so that the number stays positive. */
        if (digits == 0 || part > (parts == 0 ? 32767u : 65535u)) {
            return BP_FAIL(MALFORMED);
        }
        v = v << 16 | part;
        parts++;
        if (at == text.n) {
            break;
        }
        if (text.p[at++] != '.') {
            return BP_FAIL(MALFORMED);
        }
    }
    if (at != text.n || (at > 0 && text.p[at - 1] == '.')) {
        return BP_FAIL(MALFORMED);
    }
    *ret = (int64_t)(v << (16 * (4 - parts)));
    return BP_OK;
}
