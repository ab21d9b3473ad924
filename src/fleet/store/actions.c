/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/actions - rows of acts that one person proposes and another one approves. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

bp_result bp_store_action_add(bp_store *s, struct bp_action *a)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ACTION_ADD);
    bp_q_blob(&q, BP_SPAN_OF(a->id));
    bp_q_text(&q, a->verb);
    bp_q_int(&q, a->device);
    bp_q_int(&q, a->successor);
    bp_q_blob(&q, BP_SPAN_OF(a->before));
    bp_q_blob(&q, BP_SPAN_OF(a->digest));
    bp_q_text(&q, a->reason);
    bp_q_int(&q, a->author);
    bp_q_text(&q, a->author_name);
    bp_q_int(&q, a->created_ms);
    bp_q_int(&q, a->expires_ms);
    BP_TRY(bp_q_run(&q, false));
    a->n = sqlite3_last_insert_rowid(s->db);
    a->state = BP_ACTION_OPEN;
    return BP_OK;
}

static void columns(struct bp_q *q, struct bp_action *ret)
{
    ret->n = bp_c_int(q);
    bp_c_fixed(q, ret->id, sizeof ret->id);
    bp_c_text(q, ret->verb, sizeof ret->verb);
    ret->device = bp_c_int(q);
    ret->successor = bp_c_int(q);
    bp_c_fixed(q, ret->before, sizeof ret->before);
    bp_c_fixed(q, ret->digest, sizeof ret->digest);
    bp_c_text(q, ret->reason, sizeof ret->reason);
    ret->author = bp_c_int(q);
    bp_c_text(q, ret->author_name, sizeof ret->author_name);
    ret->created_ms = bp_c_int(q);
    ret->expires_ms = bp_c_int(q);
    ret->state = (enum bp_action_state)bp_c_int(q);
    bp_c_text(q, ret->decided_by, sizeof ret->decided_by);
    ret->decided_ms = bp_c_int(q);
}

bp_result bp_store_action(bp_store *s, bp_span id, struct bp_action *ret)
{
    struct bp_action a = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_ACTION);
    bp_q_blob(&q, id);
    BP_TRY(bp_q_row(&q));
    columns(&q, &a);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = a;
    return BP_OK;
}

bp_result bp_store_action_decide(bp_store *s, const struct bp_action *a)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ACTION_DECIDE);
    bp_q_int(&q, a->state);
    bp_q_text(&q, a->decided_by);
    bp_q_int(&q, a->decided_ms);
    bp_q_int(&q, a->n);
    return bp_q_run(&q, true);
}

bp_result bp_store_action_open(bp_store *s, int64_t now_ms, uint32_t cap, uint32_t *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ACTION_OPEN);
    bp_q_int(&q, now_ms);
    bp_q_int(&q, cap);
    BP_TRY(bp_q_row(&q));
    *ret = (uint32_t)bp_c_int(&q);
    bp_q_end(&q);
    return q.r;
}

bp_result bp_store_actions(bp_store *s, int64_t before, struct bp_action *ret, size_t cap, size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_ACTIONS);
    bp_q_int(&q, before <= 0 ? INT64_MAX : before);
    bp_q_int(&q, (int64_t)cap);
    BP_TRY(bp_q_next(&q, &more));
    for (; more && n < cap; n++) {
        ret[n] = (struct bp_action){0};
        columns(&q, &ret[n]);
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    *ret_count = n;
    return q.r;
}
