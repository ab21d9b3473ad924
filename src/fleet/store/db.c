/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/db - opening, migrating, groups, and the one way in which statements are bound and
 * read. */
#include "fleet/store/db.h"

#include <stdlib.h>

#include <unistd.h>

#include "base/buf.h"
#include "fleet/store/crash.h"

#define BP_MODULE      STORE

#define APPLICATION_ID 0x42504c31 /* "BPL1" in the file's header */
/* 8 MiB of pages: eight times as much saves an attestation less than half a read of what the kernel caches too
 * (docs/bench.md), and a keeper would fill it with logs that it wrote once and never reads. */
#define CACHE_PRAGMA   "PRAGMA cache_size=-8192;"
#define BUSY_MS        2000       /* another process checkpoints; readers never block the writer */

static const char *const sql_text[BP_SQL_COUNT] = {
#define BP_X(name, text) [BP_SQL_##name] = (text),
    BP_SQL_LIST(BP_X)
#undef BP_X
};

static bp_result failure(bp_store *s, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return BP_OK;
    case SQLITE_FULL:
        s->full = true;
        return BP_FAIL(FULL);
    case SQLITE_IOERR:
        /* The write-ahead log reports a full disk as a short or failed write. */
        if (rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_SHMSIZE) {
            s->full = true;
            return BP_FAIL(FULL);
        }
        return BP_FAIL(IO);
    case SQLITE_NOMEM:
        return BP_FAIL(NO_MEMORY);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BP_FAIL(BUSY);
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return BP_FAIL(DENIED);
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY
                   ? BP_FAIL(EXISTS)
                   : BP_FAIL(INTERNAL);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return BP_FAIL(MALFORMED);
    default:
        return BP_FAIL(IO);
    }
}

/* -- statements -------------------------------------------------------------------------------- */
static void give_back(bp_store *s)
{
    if (s->running != NULL) {
        (void)sqlite3_reset(s->running); /* its failure was reported when it was stepped */
        (void)sqlite3_clear_bindings(s->running);
        s->running = NULL;
    }
}

struct bp_q bp_q_begin(bp_store *s, enum bp_sql which)
{
    struct bp_q q = {s, NULL, 1, BP_OK};
    give_back(s);
    if (s->stmt[which] == NULL) {
        q.r = failure(s, sqlite3_prepare_v3(s->db, sql_text[which], -1, SQLITE_PREPARE_PERSISTENT,
                                            &s->stmt[which], NULL));
    }
    q.st = s->stmt[which];
    s->running = q.st;
    /* Outside of a group, or after a full disk ended it, SQLite would make each write durable by itself. */
    if (!bp_failed(q.r) && which >= BP_SQL_DEVICE_ADD && s->mode == BP_STORE_WRITE &&
        sqlite3_get_autocommit(s->db) != 0 && sqlite3_stmt_readonly(q.st) == 0) {
        q.r = s->open ? (s->full ? BP_FAIL(FULL) : BP_FAIL(CLOSED)) : BP_FAIL(INTERNAL);
    }
    return q;
}

static void bound(struct bp_q *q, int rc)
{
    q->at++;
    if (!bp_failed(q->r)) {
        q->r = failure(q->s, rc);
    }
}

void bp_q_int(struct bp_q *q, int64_t v)
{
    bound(q, sqlite3_bind_int64(q->st, q->at, v));
}

void bp_q_text(struct bp_q *q, const char *v)
{
    bound(q, sqlite3_bind_text(q->st, q->at, v, -1, SQLITE_TRANSIENT));
}

void bp_q_span_text(struct bp_q *q, bp_span v)
{
    bound(q, sqlite3_bind_text(q->st, q->at, v.n == 0 ? "" : (const char *)v.p, (int)v.n,
                               SQLITE_TRANSIENT));
}

/* Callers' bytes live until the step, which follows in the same call: no copy is made. */
void bp_q_blob(struct bp_q *q, bp_span v)
{
    bound(q, v.n == 0 ? sqlite3_bind_zeroblob(q->st, q->at, 0)
                      : sqlite3_bind_blob64(q->st, q->at, v.p, v.n, SQLITE_STATIC));
}

void bp_q_null(struct bp_q *q)
{
    bound(q, sqlite3_bind_null(q->st, q->at));
}

void bp_q_place(struct bp_q *q, const struct bp_place *p)
{
    bp_q_text(q, p == NULL ? "" : p->zone);
    bp_q_text(q, p == NULL ? "" : p->site);
    bp_q_text(q, p == NULL ? "" : p->model);
}

void bp_q_end(struct bp_q *q)
{
    if (q->s->running == q->st) {
        give_back(q->s);
    }
}

bp_result bp_q_run(struct bp_q *q, bool need_change)
{
    if (!bp_failed(q->r)) {
        const int rc = sqlite3_step(q->st);
        q->r = failure(q->s, rc == SQLITE_ERROR ? sqlite3_extended_errcode(q->s->db) : rc);
    }
    bp_q_end(q);
    if (!bp_failed(q->r) && need_change && sqlite3_changes(q->s->db) == 0) {
        q->r = BP_FAIL(NOT_FOUND);
    }
    return q->r;
}

bp_result bp_q_next(struct bp_q *q, bool *ret_more)
{
    q->at = 0;
    *ret_more = false;
    if (!bp_failed(q->r)) {
        const int rc = sqlite3_step(q->st);
        *ret_more = rc == SQLITE_ROW;
        q->r = failure(q->s, rc);
    }
    if (!*ret_more) {
        bp_q_end(q);
    }
    return q->r;
}

bp_result bp_q_row(struct bp_q *q)
{
    bool more = false;
    const bp_result r = bp_q_next(q, &more);
    if (!bp_failed(r) && !more) {
        return BP_FAIL(NOT_FOUND);
    }
    return r;
}

int64_t bp_c_int(struct bp_q *q)
{
    return sqlite3_column_int64(q->st, q->at++);
}

bp_span bp_c_blob(struct bp_q *q)
{
    const void *p = sqlite3_column_blob(q->st, q->at);
    const int n = sqlite3_column_bytes(q->st, q->at++);
    return p == NULL ? BP_SPAN_EMPTY : bp_span_of(p, (size_t)n);
}

void bp_c_text(struct bp_q *q, char *ret, size_t cap)
{
    const bp_span v = bp_c_blob(q);
    const size_t n = v.n < cap ? v.n : cap - 1;
    if (n > 0) {
        memcpy(ret, v.p, n);
    }
    ret[n] = 0;
}

void bp_c_fixed(struct bp_q *q, uint8_t *ret, size_t n)
{
    const bp_span v = bp_c_blob(q);
    if (v.n != n) {
        if (!bp_failed(q->r)) {
            q->r = BP_FAIL(INTERNAL);
        }
        return;
    }
    memcpy(ret, v.p, n);
}

void bp_c_place(struct bp_q *q, struct bp_place *ret)
{
    bp_c_text(q, ret->zone, sizeof ret->zone);
    bp_c_text(q, ret->site, sizeof ret->site);
    bp_c_text(q, ret->model, sizeof ret->model);
}

/* -- groups ------------------------------------------------------------------------------------ */
static bp_result simple(bp_store *s, enum bp_sql which)
{
    struct bp_q q = bp_q_begin(s, which);
    return bp_q_run(&q, false);
}

bp_result bp_store_begin(bp_store *s)
{
    if (s->mode != BP_STORE_WRITE) {
        return BP_FAIL(DENIED);
    }
    if (s->open) {
        return BP_FAIL(INTERNAL);
    }
    s->full = false;
    BP_CRASH("store.before-begin");
    BP_TRY(simple(s, BP_SQL_BEGIN));
    s->open = true;
    BP_CRASH("store.after-begin");
    return BP_OK;
}

bp_result bp_store_snapshot(bp_store *s)
{
    if (s->open) {
        return BP_FAIL(INTERNAL);
    }
    BP_TRY(simple(s, BP_SQL_SNAPSHOT));
    s->open = true;
    return BP_OK;
}

void bp_store_abort(bp_store *s)
{
    give_back(s);
    if (sqlite3_get_autocommit(s->db) == 0) {
        BP_IGNORE(simple(s, BP_SQL_ROLLBACK), "a group that cannot be rolled back was rolled back");
    }
    s->open = false;
    s->act = false;
}

bp_result bp_store_commit(bp_store *s)
{
    if (!s->open || s->mode != BP_STORE_WRITE || s->act) {
        return BP_FAIL(INTERNAL);
    }
    if (sqlite3_get_autocommit(s->db) != 0) { /* SQLite took the group back itself */
        bp_store_abort(s);
        return s->full ? BP_FAIL(FULL) : BP_FAIL(IO);
    }
    BP_CRASH("store.before-commit");
    const bp_result r = simple(s, BP_SQL_COMMIT);
    if (bp_failed(r)) {
        bp_store_abort(s);
        return r;
    }
    BP_CRASH("store.after-commit");
    s->open = false;
    return BP_OK;
}

bool bp_store_is_open(const bp_store *s)
{
    return s->open;
}

bp_result bp_store_act(bp_store *s)
{
    if (!s->open || s->act) {
        return BP_FAIL(INTERNAL);
    }
    if (sqlite3_get_autocommit(s->db) != 0) {
        return BP_FAIL(CLOSED);
    }
    BP_TRY(simple(s, BP_SQL_ACT));
    s->act = true;
    return BP_OK;
}

bp_result bp_store_act_end(bp_store *s, bool keep)
{
    give_back(s);
    if (!s->act) {
        return BP_FAIL(INTERNAL);
    }
    s->act = false;
    if (sqlite3_get_autocommit(s->db) != 0) {
        return BP_FAIL(CLOSED);
    }
    if (!keep) {
        BP_TRY(simple(s, BP_SQL_ACT_BACK));
    }
    return simple(s, BP_SQL_ACT_KEEP);
}

bp_result bp_store_alone(bp_store *s, bp_result (*act)(bp_store *s, void *self), void *self)
{
    BP_TRY(bp_store_begin(s));
    bp_result r = bp_store_act(s);
    if (!bp_failed(r)) {
        r = act(s, self);
        const bp_result end = bp_store_act_end(s, !bp_failed(r));
        r = bp_failed(r) ? r : end;
    }
    if (bp_failed(r)) {
        bp_store_abort(s);
        return r;
    }
    return bp_store_commit(s);
}

void bp_store_checkpoint(bp_store *s)
{
    BP_CRASH("store.before-checkpoint");
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    BP_CRASH("store.after-checkpoint");
}

/* -- opening ----------------------------------------------------------------------------------- */
static bp_result run(bp_store *s, const char *sql)
{
    return failure(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static bp_result pragma(bp_store *s, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) {
            *ret = sqlite3_column_int64(st, 0);
        }
    }
    (void)sqlite3_finalize(st);
    return failure(s, rc);
}

static bp_result configure(bp_store *s)
{
    (void)sqlite3_extended_result_codes(s->db, 1);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    BP_TRY(run(s, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
                  CACHE_PRAGMA));
    if (s->mode == BP_STORE_READ) {
        return run(s, "PRAGMA query_only=ON;");
    }
    return run(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST;"
                  "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;");
}

/* Room for migration `step` names the program that wrote it, for an older one to tell. */
static void read_needs(bp_store *s, char *ret_needs)
{
    sqlite3_stmt *st = NULL;
    if (ret_needs == NULL) {
        return;
    }
    ret_needs[0] = 0;
    if (sqlite3_prepare_v2(s->db, "SELECT program FROM migration ORDER BY step DESC LIMIT 1", -1,
                           &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        struct bp_q q = {s, st, 0, BP_OK};
        bp_c_text(&q, ret_needs, 64);
    }
    (void)sqlite3_finalize(st);
}

static bp_result write_step(bp_store *s, int64_t step, const char *version)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "INSERT INTO migration VALUES(?,?)", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_int64(st, 1, step);
        (void)sqlite3_bind_text(st, 2, version, -1, SQLITE_STATIC);
        rc = sqlite3_step(st);
    }
    (void)sqlite3_finalize(st);
    return failure(s, rc);
}

/* The header's number is changed by a statement with a literal: PRAGMA takes no parameters. */
static bp_result write_number(bp_store *s, int64_t step)
{
    char sql[64];
    (void)sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA user_version=%lld;", (long long)step);
    return run(s, sql);
}

static bp_result migrate_one(bp_store *s, int64_t step, const char *version)
{
    BP_CRASH("store.before-migration");
    BP_TRY(run(s, "BEGIN IMMEDIATE"));
    bp_result r = BP_OK;
    for (const char *const *part = bp_migration[step - 1]; *part != NULL && !bp_failed(r); part++) {
        r = run(s, *part);
    }
    if (!bp_failed(r)) {
        r = write_step(s, step, version);
    }
    if (!bp_failed(r)) {
        r = write_number(s, step);
    }
    if (!bp_failed(r)) {
        BP_CRASH("store.in-migration");
        r = run(s, "COMMIT");
    }
    if (bp_failed(r) && sqlite3_get_autocommit(s->db) == 0) {
        BP_IGNORE(run(s, "ROLLBACK"), "closing the file takes back what is left");
    }
    BP_CRASH("store.after-migration");
    return r;
}

static bp_result migrate(bp_store *s, const char *version, char *ret_needs)
{
    int64_t at = 0;
    int64_t app = 0;
    BP_TRY(pragma(s, "PRAGMA user_version", &at));
    BP_TRY(pragma(s, "PRAGMA application_id", &app));
    if (app != APPLICATION_ID && !(app == 0 && at == 0 && s->mode == BP_STORE_WRITE)) {
        return BP_FAIL(MALFORMED);
    }
    if (at > BP_STORE_SCHEMA || at < 0) {
        read_needs(s, ret_needs);
        return BP_FAIL(UNSUPPORTED);
    }
    if (s->mode == BP_STORE_READ) {
        return at == BP_STORE_SCHEMA ? BP_OK : BP_FAIL(UNSUPPORTED);
    }
    if (app == 0) {
        BP_TRY(run(s, "PRAGMA application_id=1112558641;"));
    }
    for (int64_t step = at + 1; step <= BP_STORE_SCHEMA; step++) {
        BP_TRY(migrate_one(s, step, version));
    }
    return BP_OK;
}

_Static_assert(APPLICATION_ID == 1112558641, "the pragma above holds the same number");

bp_result bp_store_open(const char *path, enum bp_store_mode mode, const char *version,
                        char *ret_needs, bp_store **ret)
{
    bp_store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->mode = mode;
    const int flags =
        mode == BP_STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    bp_result r = failure(
        s, sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL));
    if (!bp_failed(r)) {
        r = configure(s);
    }
    if (!bp_failed(r)) {
        r = migrate(s, version, ret_needs);
    }
    if (bp_failed(r)) {
        bp_store_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_store_free(bp_store *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < BP_SQL_COUNT; i++) {
        (void)sqlite3_finalize(s->stmt[i]);
    }
    (void)sqlite3_close(s->db); /* takes back an open group */
    free(s);
}

/* -- copies ------------------------------------------------------------------------------------- */
/* All pages in one step: one moment of the store, which a writer beside us goes on from. */
static bp_result copy_pages(bp_store *s, sqlite3 *to)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", s->db, "main");
    if (b == NULL) {
        return failure(s, sqlite3_errcode(to));
    }
    int rc = sqlite3_backup_step(b, -1);
    const int end = sqlite3_backup_finish(b);
    rc = rc == SQLITE_DONE ? end : rc;
    /* One file that stands by itself. */
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(to, "PRAGMA journal_mode=DELETE;", NULL, NULL, NULL);
    }
    return failure(s, rc);
}

bp_result bp_store_copy(bp_store *s, const char *path)
{
    sqlite3 *to = NULL;
    if (s->open) {
        return BP_FAIL(INTERNAL);
    }
    if (access(path, F_OK) == 0) {
        return BP_FAIL(EXISTS);
    }
    bp_result r = failure(s, sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                                            SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL));
    if (!bp_failed(r)) {
        r = copy_pages(s, to);
    }
    (void)sqlite3_close(to);
    return r;
}

bp_result bp_store_sound(bp_store *s)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA integrity_check(1)", -1, &st, NULL);
    bool is_sound = false;
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        is_sound = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    }
    (void)sqlite3_finalize(st);
    BP_TRY(failure(s, rc));
    return is_sound ? BP_OK : BP_FAIL(MALFORMED);
}

bp_result bp_store_spend_all(bp_store *s, int64_t now_ms)
{
    char sql[256];
    if (!s->open || s->mode != BP_STORE_WRITE) {
        return BP_FAIL(INTERNAL);
    }
    (void)sqlite3_snprintf((int)sizeof sql, sql,
                           "DELETE FROM session; DELETE FROM code; DELETE FROM permit; DELETE FROM vouched;"
                           "UPDATE invitation SET expires_ms=0 WHERE used_by=0; UPDATE action SET expires_ms=%lld WHERE state=1;",
                           (long long)now_ms);
    return run(s, sql);
}

/* -- plans ------------------------------------------------------------------------------------- */
static bp_result plan_of(bp_store *s, const char *sql,
                         void (*each)(void *self, const char *sql, const char *plan), void *self)
{
    char text[4096];
    sqlite3_stmt *st = NULL;
    (void)sqlite3_snprintf((int)sizeof text, text, "EXPLAIN QUERY PLAN %s", sql);
    const int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);
    if (rc != SQLITE_OK) {
        (void)sqlite3_finalize(st);
        return failure(s, rc);
    }
    while (sqlite3_step(st) == SQLITE_ROW) {
        each(self, sql, (const char *)sqlite3_column_text(st, 3));
    }
    (void)sqlite3_finalize(st);
    return BP_OK;
}

bp_result bp_store_plans(bp_store *s, void (*each)(void *self, const char *sql, const char *plan),
                         void *self)
{
    for (size_t i = BP_SQL_DEVICE_ADD; i < BP_SQL_COUNT; i++) {
        BP_TRY(plan_of(s, sql_text[i], each, self));
    }
    return BP_OK;
}
