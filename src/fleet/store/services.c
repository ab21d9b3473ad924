/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/services - rows of services. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

static void columns(struct bp_q *q, struct bp_service *ret)
{
    bp_c_text(q, ret->name, sizeof ret->name);
    bp_c_text(q, ret->profile, sizeof ret->profile);
    bp_c_text(q, ret->zone, sizeof ret->zone);
    bp_c_text(q, ret->by, sizeof ret->by);
    ret->at_ms = bp_c_int(q);
}

bp_result bp_store_service_add(bp_store *s, const struct bp_service *v)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SERVICE_ADD);
    bp_q_text(&q, v->name);
    bp_q_text(&q, v->profile);
    bp_q_text(&q, v->zone);
    bp_q_text(&q, v->by);
    bp_q_int(&q, v->at_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_service(bp_store *s, bp_span name, struct bp_service *ret)
{
    struct bp_service v = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_SERVICE);
    bp_q_span_text(&q, name);
    BP_TRY(bp_q_row(&q));
    columns(&q, &v);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = v;
    return BP_OK;
}

bp_result bp_store_service_remove(bp_store *s, bp_span name)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SERVICE_REMOVE);
    bp_q_span_text(&q, name);
    return bp_q_run(&q, true);
}

bp_result bp_store_services(bp_store *s, bp_span after, struct bp_service *ret, size_t cap, size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_SERVICES);
    bp_q_span_text(&q, after);
    bp_q_int(&q, (int64_t)cap);
    BP_TRY(bp_q_next(&q, &more));
    for (; more && n < cap; n++) {
        ret[n] = (struct bp_service){0};
        columns(&q, &ret[n]);
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    *ret_count = n;
    return BP_OK;
}
