/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/positions - rows of positions. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

bp_result bp_store_position_add(bp_store *s, struct bp_position *p)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POSITION_ADD);
    bp_q_text(&q, p->tag);
    bp_q_place(&q, &p->place);
    bp_q_text(&q, p->place.name);
    bp_q_text(&q, p->by);
    bp_q_int(&q, p->created_ms);
    BP_TRY(bp_q_run(&q, false));
    p->n = sqlite3_last_insert_rowid(s->db);
    return BP_OK;
}

static void columns(struct bp_q *q, struct bp_position *ret)
{
    ret->n = bp_c_int(q);
    bp_c_text(q, ret->tag, sizeof ret->tag);
    bp_c_place(q, &ret->place);
    bp_c_text(q, ret->place.name, sizeof ret->place.name);
    bp_c_text(q, ret->by, sizeof ret->by);
    ret->created_ms = bp_c_int(q);
    ret->device = bp_c_int(q);
    ret->since_ms = bp_c_int(q);
}

static bp_result fetch(struct bp_q *q, struct bp_position *ret)
{
    struct bp_position p = {0};
    BP_TRY(bp_q_row(q));
    columns(q, &p);
    bp_q_end(q);
    BP_TRY(q->r);
    *ret = p;
    return BP_OK;
}

bp_result bp_store_position(bp_store *s, int64_t n, struct bp_position *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POSITION);
    bp_q_int(&q, n);
    return fetch(&q, ret);
}

bp_result bp_store_position_by_tag(bp_store *s, bp_span tag, struct bp_position *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POSITION_BY_TAG);
    bp_q_span_text(&q, tag);
    return fetch(&q, ret);
}

bp_result bp_store_position_of(bp_store *s, int64_t device, struct bp_position *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POSITION_OF);
    bp_q_int(&q, device);
    return fetch(&q, ret);
}

bp_result bp_store_position_fill(bp_store *s, int64_t n, int64_t device, int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POSITION_FILL);
    bp_q_int(&q, device);
    bp_q_int(&q, at_ms);
    bp_q_int(&q, n);
    return bp_q_run(&q, true);
}

bp_result bp_store_positions(bp_store *s, int64_t after, struct bp_position *ret, size_t cap, size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_POSITIONS);
    bp_q_int(&q, after);
    bp_q_int(&q, (int64_t)cap);
    BP_TRY(bp_q_next(&q, &more));
    for (; more && n < cap; n++) {
        ret[n] = (struct bp_position){0};
        columns(&q, &ret[n]);
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    *ret_count = n;
    return q.r;
}
