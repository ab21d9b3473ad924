/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/db - inside of the store: the handle, its statements, binding and fetching. Not for
 * other folders. */
#ifndef BP_FLEET_STORE_DB_H
#define BP_FLEET_STORE_DB_H

#include <sqlite3.h>

#include "fleet/store/sql.h"
#include "fleet/store/store.h"

enum bp_sql {
#define BP_X(name, text) BP_SQL_##name,
    BP_SQL_LIST(BP_X)
#undef BP_X
        BP_SQL_COUNT
};

struct bp_store {
    sqlite3 *db;
    enum bp_store_mode mode;
    bool open;             /* a group or a snapshot */
    bool act;              /* inside an act */
    bool full;             /* the open group met a full disk */
    sqlite3_stmt *running; /* its columns are the spans that were given out */
    sqlite3_stmt *stmt[BP_SQL_COUNT];
};

extern const char *const *const bp_migration[BP_STORE_SCHEMA];

/* One call of one statement: begin, bind in order, step, fetch in order. First failure sticks. */
struct bp_q {
    bp_store *s;
    sqlite3_stmt *st;
    int at; /* next parameter or column */
    bp_result r;
};

struct bp_q bp_q_begin(bp_store *s, enum bp_sql which);
void bp_q_int(struct bp_q *q, int64_t v);
void bp_q_text(struct bp_q *q, const char *v);
void bp_q_span_text(struct bp_q *q, bp_span v);
void bp_q_blob(struct bp_q *q, bp_span v);
void bp_q_null(struct bp_q *q);
void bp_q_place(struct bp_q *q, const struct bp_place *p); /* zone, site, model; NULL: empty */
/* For a statement that returns nothing.   EXISTS  a unique key is taken    NOT_FOUND  (need_change)
 * no row changed */
bp_result bp_q_run(struct bp_q *q, bool need_change);
/* For one row, which stays until the next call on the store.   NOT_FOUND  there is none */
bp_result bp_q_row(struct bp_q *q);
/* The next row; *ret_more is false at the end. */
bp_result bp_q_next(struct bp_q *q, bool *ret_more);
void bp_q_end(struct bp_q *q);

int64_t bp_c_int(struct bp_q *q);
bp_span bp_c_blob(struct bp_q *q);
/* Zero-terminated and cut to cap - 1 bytes; what was stored fits. */
void bp_c_text(struct bp_q *q, char *ret, size_t cap);
/* Exactly n bytes, else INTERNAL. */
void bp_c_fixed(struct bp_q *q, uint8_t *ret, size_t n);
void bp_c_place(struct bp_q *q, struct bp_place *ret);

#endif
