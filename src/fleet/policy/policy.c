/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/policy - the engine: a database in memory with one table of one row, one prepared
 * statement a rule. What it prepares was written by expr, and the database is fenced all the same:
 * nothing but reading that table and one function is authorised, its limits are those of a rule, and
 * a rule that runs on is stopped. */
#include "fleet/policy/policy.h"

#include <sqlite3.h>
#include <stdio.h>

#include "fleet/policy/document.h"
#include "fleet/policy/expr.h"
#include "platform/alloc.h"

#define BP_MODULE POLICY

#define STEP_OPS   1000 /* opcodes between two looks */
#define STEPS_MAX  20   /* looks until a rule is stopped */
#define VALUE_MAX  4096 /* bytes of a claim */

struct rule {
    sqlite3_stmt *stmt;
    enum bp_policy_says says;
    uint32_t actions;
    uint64_t uses;
    char name[BP_POLICY_NAME_MAX + 1];
    char reason[BP_POLICY_REASON_MAX / 2 + 1];
};

struct set {
    size_t count;
    struct rule rule[BP_POLICY_RULES_MAX];
};

struct bp_policy {
    sqlite3 *db;
    sqlite3_stmt *put;
    const struct bp_policy_name *names;
    size_t count;
    bool fenced;
    int looks;
    struct set *set; /* in force; NULL: none */
};

/* -- the fence --------------------------------------------------------------------------------- */
static int authorize(void *self, int action, const char *a, const char *b, const char *db, const char *trigger)
{
    const struct bp_policy *p = self;
    (void)db;
    (void)trigger;
    if (!p->fenced || action == SQLITE_SELECT) {
        return SQLITE_OK;
    }
    if (action == SQLITE_READ) {
        return a != NULL && strcmp(a, "claim") == 0 ? SQLITE_OK : SQLITE_DENY;
    }
    if (action == SQLITE_FUNCTION) {
        return b != NULL && strcmp(b, "bp_ver") == 0 ? SQLITE_OK : SQLITE_DENY;
    }
    return SQLITE_DENY;
}

static int look(void *self)
{
    struct bp_policy *p = self;
    return ++p->looks > STEPS_MAX;
}

/* A text that is no version has no number: NULL, so that a forbid fires. */
static void ver(sqlite3_context *ctx, int count, sqlite3_value **value)
{
    int64_t v = 0;
    (void)count;
    if (sqlite3_value_type(value[0]) == SQLITE_TEXT) {
        const void *text = sqlite3_value_text(value[0]);
        const bp_span s = bp_span_of(text, (size_t)sqlite3_value_bytes(value[0]));
        if (text != NULL && !bp_failed(bp_expr_version(s, &v))) {
            sqlite3_result_int64(ctx, v);
            return;
        }
    }
    sqlite3_result_null(ctx);
}

/* -- opening ----------------------------------------------------------------------------------- */
static bp_result sql_result(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return BP_OK;
    case SQLITE_NOMEM:
        return BP_FAIL(NO_MEMORY);
    default:
        return BP_FAIL(INTERNAL);
    }
}

static bool name_ok(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (!((name[i] >= 'a' && name[i] <= 'z') || name[i] == '_' || (i > 0 && name[i] >= '0' && name[i] <= '9'))) {
            return false;
        }
    }
    return n > 0 && n <= BP_POLICY_NAME_MAX;
}

static const char *kind_of(enum bp_policy_kind kind)
{
    return kind == BP_POLICY_INT ? "INTEGER" : kind == BP_POLICY_TEXT ? "TEXT" : "BLOB";
}

static bp_result make_table(struct bp_policy *p)
{
    sqlite3_str *table = sqlite3_str_new(NULL);
    sqlite3_str *put = sqlite3_str_new(NULL);
    bp_result r = BP_OK;
    sqlite3_str_appendall(table, "CREATE TABLE claim(one INTEGER PRIMARY KEY");
    sqlite3_str_appendall(put, "INSERT OR REPLACE INTO claim VALUES(1");
    for (size_t i = 0; i < p->count; i++) {
        if (!name_ok(p->names[i].name)) {
            r = BP_FAIL(BAD_ARGUMENT);
        }
        sqlite3_str_appendf(table, ",\"%w\" %s", p->names[i].name, kind_of(p->names[i].kind));
        sqlite3_str_appendall(put, ",?");
    }
    sqlite3_str_appendall(table, ") STRICT");
    sqlite3_str_appendall(put, ")");
    char *table_sql = sqlite3_str_finish(table);
    char *put_sql = sqlite3_str_finish(put);
    if (!bp_failed(r)) {
        r = table_sql == NULL || put_sql == NULL ? BP_FAIL(NO_MEMORY)
                                                 : sql_result(sqlite3_exec(p->db, table_sql, NULL, NULL, NULL));
    }
    if (!bp_failed(r)) {
        r = sql_result(sqlite3_prepare_v3(p->db, put_sql, -1, SQLITE_PREPARE_PERSISTENT, &p->put, NULL));
    }
    sqlite3_free(table_sql);
    sqlite3_free(put_sql);
    return r;
}

static bp_result fence(struct bp_policy *p)
{
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, 1 << 16},    {SQLITE_LIMIT_SQL_LENGTH, BP_EXPR_SQL_MAX + 64},
        {SQLITE_LIMIT_EXPR_DEPTH, 600},    {SQLITE_LIMIT_COMPOUND_SELECT, 1},
        {SQLITE_LIMIT_VDBE_OP, 20000},     {SQLITE_LIMIT_FUNCTION_ARG, 2},
        {SQLITE_LIMIT_ATTACHED, 0},        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 0},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 0},   {SQLITE_LIMIT_WORKER_THREADS, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        (void)sqlite3_limit(p->db, limits[i][0], limits[i][1]);
    }
    sqlite3_progress_handler(p->db, STEP_OPS, look, p);
    p->fenced = true;
    return BP_OK;
}

static bp_result open_engine(struct bp_policy *p)
{
    BP_TRY(sql_result(sqlite3_open_v2(":memory:", &p->db,
                                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)));
    (void)sqlite3_db_config(p->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(p->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_db_config(p->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(p->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    BP_TRY(sql_result(sqlite3_set_authorizer(p->db, authorize, p)));
    BP_TRY(sql_result(sqlite3_create_function_v2(p->db, "bp_ver", 1,
                                                 SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL, ver,
                                                 NULL, NULL, NULL)));
    BP_TRY(sql_result(sqlite3_exec(p->db, "PRAGMA journal_mode=OFF", NULL, NULL, NULL)));
    BP_TRY(make_table(p));
    return fence(p);
}

bp_result bp_policy_new(const struct bp_policy_name *names, size_t count, struct bp_policy **ret)
{
    if (count == 0 || count > BP_POLICY_CLAIMS_MAX) {
        return BP_FAIL(LIMIT);
    }
    struct bp_policy *p = bp_alloc(sizeof *p);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    p->names = names;
    p->count = count;
    const bp_result r = open_engine(p);
    if (bp_failed(r)) {
        bp_policy_free(p);
        return r;
    }
    *ret = p;
    return BP_OK;
}

static void set_free(struct set *s)
{
    for (size_t i = 0; s != NULL && i < s->count; i++) {
        (void)sqlite3_finalize(s->rule[i].stmt);
    }
    bp_free(s);
}

void bp_policy_free(struct bp_policy *p)
{
    if (p == NULL) {
        return;
    }
    set_free(p->set);
    (void)sqlite3_finalize(p->put);
    (void)sqlite3_close(p->db);
    bp_free(p);
}

/* -- judging ----------------------------------------------------------------------------------- */
static int bind_one(struct bp_policy *p, int at, const struct bp_policy_claim *c)
{
    if (c->kind == BP_POLICY_INT) {
        return sqlite3_bind_int64(p->put, at, c->number);
    }
    if (c->bytes.n > VALUE_MAX) {
        return SQLITE_TOOBIG;
    }
    if (c->kind == BP_POLICY_TEXT) {
        return sqlite3_bind_text(p->put, at, c->bytes.n == 0 ? "" : (const char *)c->bytes.p, (int)c->bytes.n,
                                 SQLITE_STATIC);
    }
    return c->bytes.n == 0 ? sqlite3_bind_zeroblob(p->put, at, 0)
                           : sqlite3_bind_blob(p->put, at, c->bytes.p, (int)c->bytes.n, SQLITE_STATIC);
}

/* Puts the claims into the row. A claim whose name nobody may use is left out; one of another kind than
 * its name's is refused by the table. */
static bp_result put_claims(struct bp_policy *p, const struct bp_policy_claim *claims, size_t count,
                            uint64_t *ret_given)
{
    int rc = SQLITE_OK;
    (void)sqlite3_reset(p->put);
    (void)sqlite3_clear_bindings(p->put);
    *ret_given = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < p->count; k++) {
            if (!bp_span_equal(claims[i].name, bp_span_cstr(p->names[k].name))) {
                continue;
            }
            if (claims[i].kind != p->names[k].kind || (*ret_given & UINT64_C(1) << k) != 0) {
                return BP_FAIL(BAD_ARGUMENT);
            }
            rc = bind_one(p, (int)k + 1, &claims[i]);
            if (rc != SQLITE_OK) {
                return sql_result(rc);
            }
            *ret_given |= UINT64_C(1) << k;
        }
    }
    p->looks = 0;
    rc = sqlite3_step(p->put);
    (void)sqlite3_reset(p->put);
    return rc == SQLITE_DONE ? BP_OK : BP_FAIL(INTERNAL);
}

/* A permit fires only if it is 1, a forbid unless it is 0. */
static bool fires(struct bp_policy *p, const struct rule *r)
{
    p->looks = 0;
    const bool got = sqlite3_step(r->stmt) == SQLITE_ROW && sqlite3_column_type(r->stmt, 0) == SQLITE_INTEGER;
    const int64_t v = got ? sqlite3_column_int64(r->stmt, 0) : -1;
    (void)sqlite3_reset(r->stmt);
    return r->says == BP_POLICY_PERMIT ? got && v == 1 : !(got && v == 0);
}

static void add_name(struct bp_policy_answer *a, const char *name)
{
    const size_t at = strlen(a->rules);
    if (at + strlen(name) + 2 <= sizeof a->rules) {
        (void)snprintf(a->rules + at, sizeof a->rules - at, "%s%s", at > 0 ? "," : "", name);
    }
}

/* The first claim that the rule uses and that was not given; NULL: none. */
static const char *missing(const struct bp_policy *p, const struct rule *r, uint64_t given)
{
    for (size_t i = 0; i < p->count; i++) {
        if ((r->uses & ~given & UINT64_C(1) << i) != 0) {
            return p->names[i].name;
        }
    }
    return NULL;
}

static void say(struct bp_policy_answer *a, const struct bp_policy *p, const struct rule *r, uint64_t given)
{
    const char *name = missing(p, r, given);
    if (name == NULL) {
        (void)snprintf(a->reason, sizeof a->reason, "%s", r->reason);
    } else {
        (void)snprintf(a->reason, sizeof a->reason, "%s (the claim %s is missing)", r->reason, name);
    }
}

static void say_nothing_fired(struct bp_policy_answer *a, const struct bp_policy *p, const struct set *s,
                              uint64_t given)
{
    (void)snprintf(a->reason, sizeof a->reason, "No rule permits it");
    for (size_t i = 0; i < s->count; i++) {
        const char *name = s->rule[i].says == BP_POLICY_PERMIT ? missing(p, &s->rule[i], given) : NULL;
        if (name != NULL) {
            (void)snprintf(a->reason, sizeof a->reason, "No rule permits it (rule %s needs the claim %s, which is missing)",
                           s->rule[i].name, name);
            return;
        }
    }
}

static void judge(struct bp_policy *p, const struct set *s, uint64_t given, struct bp_policy_answer *a)
{
    const struct rule *permit = NULL;
    const struct rule *forbid = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct rule *r = &s->rule[i];
        if (!fires(p, r)) {
            continue;
        }
        a->actions |= r->actions;
        add_name(a, r->name);
        if (r->says == BP_POLICY_PERMIT) {
            permit = permit == NULL ? r : permit;
        } else {
            forbid = forbid == NULL ? r : forbid;
        }
    }
    if (forbid != NULL) {
        say(a, p, forbid, given);
    } else if (permit != NULL) {
        (void)snprintf(a->reason, sizeof a->reason, "%s", permit->reason);
        a->verdict = BP_ALLOW;
    } else {
        say_nothing_fired(a, p, s, given);
    }
}

static bp_result eval(struct bp_policy *p, const struct set *s, const struct bp_policy_claim *claims, size_t count,
                      struct bp_policy_answer *ret)
{
    uint64_t given = 0;
    memset(ret, 0, sizeof *ret);
    ret->verdict = BP_DENY;
    if (s == NULL) {
        (void)snprintf(ret->reason, sizeof ret->reason, "No policy is in force");
        return BP_OK;
    }
    const bp_result r = put_claims(p, claims, count, &given);
    if (bp_failed(r)) {
        (void)snprintf(ret->reason, sizeof ret->reason, "The claims could not be judged");
        return r;
    }
    judge(p, s, given, ret);
    return BP_OK;
}

bp_result bp_policy_eval(struct bp_policy *p, const struct bp_policy_claim *claims, size_t count,
                         struct bp_policy_answer *ret)
{
    return eval(p, p->set, claims, count, ret);
}

/* -- loading ----------------------------------------------------------------------------------- */
static void copy(bp_span from, char *ret, size_t cap)
{
    const size_t n = from.n < cap ? from.n : cap - 1;
    if (n > 0) {
        memcpy(ret, from.p, n);
    }
    ret[n] = 0;
}

static bp_result compile(struct bp_policy *p, const struct bp_policy_rule *in, struct bp_expr *e, struct rule *ret,
                         char *why)
{
    struct bp_expr_fault fault = {0};
    char sql[BP_EXPR_SQL_MAX + 64];
    copy(in->name, ret->name, sizeof ret->name);
    copy(in->reason, ret->reason, sizeof ret->reason);
    ret->says = in->says;
    ret->actions = in->actions;
    const bp_result r = bp_expr_read(in->when, p->names, p->count, e, &fault);
    if (bp_failed(r)) {
        (void)snprintf(why, BP_POLICY_REASON_MAX + 1, "rule %s, column %zu of its expression: %s", ret->name,
                       fault.column, fault.text);
        return r;
    }
    ret->uses = e->uses;
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM claim WHERE one=1", e->sql);
    if (sqlite3_prepare_v3(p->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &ret->stmt, NULL) != SQLITE_OK) {
        (void)snprintf(why, BP_POLICY_REASON_MAX + 1, "rule %s is too large", ret->name);
        return BP_FAIL(LIMIT);
    }
    return BP_OK;
}

static bool is_known(const struct bp_policy *p, const struct bp_policy_claim *c)
{
    for (size_t i = 0; i < p->count; i++) {
        if (bp_span_equal(c->name, bp_span_cstr(p->names[i].name))) {
            return p->names[i].kind == c->kind;
        }
    }
    return false;
}

static bp_result run_test(struct bp_policy *p, const struct set *s, const struct bp_policy_test *t, char *why)
{
    struct bp_policy_answer a;
    char name[BP_POLICY_NAME_MAX + 1];
    copy(t->name, name, sizeof name);
    for (size_t i = 0; i < t->count; i++) {
        if (!is_known(p, &t->claim[i])) {
            (void)snprintf(why, BP_POLICY_REASON_MAX + 1, "test %s: there is no claim %.*s of that kind", name,
                           (int)t->claim[i].name.n, (const char *)t->claim[i].name.p);
            return BP_FAIL(UNSUPPORTED);
        }
    }
    BP_TRY(eval(p, s, t->claim, t->count, &a));
    if ((a.verdict == BP_ALLOW) != t->permitted) {
        (void)snprintf(why, BP_POLICY_REASON_MAX + 1, "test %s: expected %s, but: %.300s", name,
                       t->permitted ? "permit" : "refuse", a.reason);
        return BP_FAIL(DENIED);
    }
    return BP_OK;
}

static bp_result load_into(struct bp_policy *p, const struct bp_policy_doc *d, struct set *s, struct bp_expr *e,
                           char *why)
{
    for (size_t i = 0; i < d->rules; i++) {
        BP_TRY(compile(p, &d->rule[i], e, &s->rule[i], why));
        s->count = i + 1;
    }
    for (size_t i = 0; i < d->tests; i++) {
        BP_TRY(run_test(p, s, &d->test[i], why));
    }
    return BP_OK;
}

bp_result bp_policy_load(struct bp_policy *p, bp_span document, char ret_why[BP_POLICY_REASON_MAX + 1])
{
    char why[BP_POLICY_REASON_MAX + 1] = "the bytes are not a policy that this version knows";
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    struct bp_expr *e = bp_alloc(sizeof *e);
    struct set *s = bp_alloc(sizeof *s);
    bp_result r = BP_FAIL(NO_MEMORY);
    if (d != NULL && e != NULL && s != NULL) {
        r = bp_policy_doc_read(document, d);
        if (!bp_failed(r)) {
            r = load_into(p, d, s, e, why);
        }
    }
    if (!bp_failed(r)) {
        set_free(p->set);
        p->set = s;
        s = NULL;
        why[0] = 0;
    }
    if (ret_why != NULL) {
        (void)snprintf(ret_why, BP_POLICY_REASON_MAX + 1, "%s", why);
    }
    set_free(s);
    bp_free(e);
    bp_free(d);
    return r;
}
