/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/expected - what makers announced: their keys, their batches, the units that are to come. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

bp_result bp_store_announcer_add(bp_store *s, const struct bp_announcer *m)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ANNOUNCER_ADD);
    bp_q_blob(&q, BP_SPAN_OF(m->kid));
    bp_q_text(&q, m->name);
    bp_q_text(&q, m->by);
    bp_q_int(&q, m->at_ms);
    return bp_q_run(&q, false);
}

static bp_result fetch_announcer(struct bp_q *q, struct bp_announcer *ret)
{
    struct bp_announcer m = {0};
    BP_TRY(bp_q_row(q));
    bp_c_fixed(q, m.kid, sizeof m.kid);
    bp_c_text(q, m.name, sizeof m.name);
    bp_c_text(q, m.by, sizeof m.by);
    m.at_ms = bp_c_int(q);
    bp_q_end(q);
    BP_TRY(q->r);
    *ret = m;
    return BP_OK;
}

bp_result bp_store_announcer(bp_store *s, bp_span kid, struct bp_announcer *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ANNOUNCER);
    bp_q_blob(&q, kid);
    return fetch_announcer(&q, ret);
}

bp_result bp_store_announcer_named(bp_store *s, const char *name, struct bp_announcer *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ANNOUNCER_NAMED);
    bp_q_text(&q, name);
    return fetch_announcer(&q, ret);
}

bp_result bp_store_manifest_add(bp_store *s, struct bp_manifest_row *m)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_MANIFEST_ADD);
    bp_q_blob(&q, BP_SPAN_OF(m->maker));
    bp_q_text(&q, m->order);
    bp_q_int(&q, (int64_t)m->batch);
    bp_q_blob(&q, BP_SPAN_OF(m->digest));
    bp_q_place(&q, &m->place);
    bp_q_int(&q, m->units);
    bp_q_text(&q, m->by);
    bp_q_int(&q, m->at_ms);
    BP_TRY(bp_q_run(&q, false));
    m->n = sqlite3_last_insert_rowid(s->db);
    return BP_OK;
}

bp_result bp_store_manifest_last(bp_store *s, bp_span maker, const char *order, uint64_t *ret_batch)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_MANIFEST_LAST);
    bp_q_blob(&q, maker);
    bp_q_text(&q, order);
    BP_TRY(bp_q_row(&q));
    *ret_batch = (uint64_t)bp_c_int(&q);
    bp_q_end(&q);
    return q.r;
}

bp_result bp_store_expected_add(bp_store *s, struct bp_expected *e)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_EXPECTED_ADD);
    bp_q_int(&q, e->manifest);
    bp_q_blob(&q, BP_SPAN_OF(e->id));
    bp_q_text(&q, e->serial);
    bp_q_text(&q, e->place.model);
    bp_q_text(&q, e->kind);
    bp_q_int(&q, e->keys);
    bp_q_blob(&q, e->has_idevid ? BP_SPAN_OF(e->idevid) : BP_SPAN_EMPTY);
    BP_TRY(bp_q_run(&q, false));
    e->n = sqlite3_last_insert_rowid(s->db);
    return BP_OK;
}

bp_result bp_store_expected_key_add(bp_store *s, int64_t expected, bp_span spki, uint32_t kind)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_EXPECTED_KEY_ADD);
    bp_q_blob(&q, spki);
    bp_q_int(&q, expected);
    bp_q_int(&q, kind);
    return bp_q_run(&q, false);
}

bp_result bp_store_expected_by_key(bp_store *s, bp_span spki, struct bp_expected *ret)
{
    struct bp_expected e = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_EXPECTED_BY_KEY);
    bp_q_blob(&q, spki);
    BP_TRY(bp_q_row(&q));
    e.n = bp_c_int(&q);
    e.manifest = bp_c_int(&q);
    bp_c_fixed(&q, e.id, sizeof e.id);
    bp_c_text(&q, e.serial, sizeof e.serial);
    bp_c_text(&q, e.kind, sizeof e.kind);
    e.keys = (uint32_t)bp_c_int(&q);
    e.device = bp_c_int(&q);
    bp_c_place(&q, &e.place);
    bp_c_text(&q, e.order, sizeof e.order);
    e.batch = (uint64_t)bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = e;
    return BP_OK;
}

bp_result bp_store_expected_come(bp_store *s, int64_t n, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_EXPECTED_COME);
    bp_q_int(&q, device);
    bp_q_int(&q, n);
    return bp_q_run(&q, true);
}
