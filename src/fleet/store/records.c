/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/records - rows of verdicts, blobs, releases, policy, the log, people and settings. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

/* -- verdicts and blobs ------------------------------------------------------------------------ */
bp_result bp_store_verdict_add(bp_store *s, const struct bp_verdict_row *v)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_VERDICT_ADD);
    bp_q_int(&q, (int64_t)v->event);
    bp_q_int(&q, v->device);
    bp_q_int(&q, (int64_t)v->seq);
    bp_q_int(&q, v->as_of_ms);
    bp_q_int(&q, v->at_ms);
    bp_q_int(&q, v->tier);
    bp_q_place(&q, &v->place);
    bp_q_text(&q, v->reason);
    bp_q_blob(&q, BP_SPAN_OF(v->evidence));
    bp_q_blob(&q, BP_SPAN_OF(v->policy));
    bp_q_blob(&q, BP_SPAN_OF(v->references));
    bp_q_blob(&q, BP_SPAN_OF(v->state));
    bp_q_blob(&q, BP_SPAN_OF(v->nonce));
    bp_q_blob(&q, BP_SPAN_OF(v->binding));
    bp_q_blob(&q, v->ear);
    bp_q_blob(&q, v->appraisal);
    return bp_q_run(&q, false);
}

bp_result bp_store_verdict(bp_store *s, uint64_t event, struct bp_verdict_row *ret)
{
    struct bp_verdict_row v = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_VERDICT);
    bp_q_int(&q, (int64_t)event);
    BP_TRY(bp_q_row(&q));
    v.event = (uint64_t)bp_c_int(&q);
    v.device = bp_c_int(&q);
    v.seq = (uint64_t)bp_c_int(&q);
    v.as_of_ms = bp_c_int(&q);
    v.at_ms = bp_c_int(&q);
    v.tier = (uint8_t)bp_c_int(&q);
    bp_c_place(&q, &v.place);
    bp_c_text(&q, v.reason, sizeof v.reason);
    bp_c_fixed(&q, v.evidence, sizeof v.evidence);
    bp_c_fixed(&q, v.policy, sizeof v.policy);
    bp_c_fixed(&q, v.references, sizeof v.references);
    bp_c_fixed(&q, v.state, sizeof v.state);
    bp_c_fixed(&q, v.nonce, sizeof v.nonce);
    bp_c_fixed(&q, v.binding, sizeof v.binding);
    v.ear = bp_c_blob(&q);
    v.appraisal = bp_c_blob(&q);
    BP_TRY(q.r);
    *ret = v;
    return BP_OK;
}

bp_result bp_store_blob_put(bp_store *s, enum bp_blob_kind kind, bp_span digest, bp_span bytes,
                            int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BLOB_PUT);
    bp_q_blob(&q, digest);
    bp_q_int(&q, kind);
    bp_q_int(&q, at_ms);
    bp_q_blob(&q, bytes);
    return bp_q_run(&q, false);
}

static bp_result one_blob(struct bp_q *q, bp_span *ret)
{
    BP_TRY(bp_q_row(q));
    *ret = bp_c_blob(q);
    return BP_OK;
}

bp_result bp_store_blob(bp_store *s, bp_span digest, bp_span *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BLOB);
    bp_q_blob(&q, digest);
    return one_blob(&q, ret);
}

bp_result bp_store_blob_expire(bp_store *s, enum bp_blob_kind kind, int64_t before_ms, uint32_t cap,
                               uint32_t *ret_count)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BLOB_EXPIRE);
    bp_q_int(&q, kind);
    bp_q_int(&q, before_ms);
    bp_q_int(&q, cap);
    BP_TRY(bp_q_run(&q, false));
    *ret_count = (uint32_t)sqlite3_changes(s->db);
    return BP_OK;
}

/* -- releases and policy ----------------------------------------------------------------------- */
bp_result bp_store_release_add(bp_store *s, const struct bp_release_row *r)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_RELEASE_ADD);
    bp_q_blob(&q, BP_SPAN_OF(r->id));
    bp_q_text(&q, r->product);
    bp_q_text(&q, r->version);
    bp_q_place(&q, &r->place);
    bp_q_int(&q, (int64_t)r->counter);
    bp_q_int(&q, r->imported_ms);
    bp_q_text(&q, r->by);
    bp_q_blob(&q, r->manifest);
    bp_q_blob(&q, r->corim);
    return bp_q_run(&q, false);
}

static void release_columns(struct bp_q *q, struct bp_release_row *ret)
{
    bp_c_fixed(q, ret->id, sizeof ret->id);
    bp_c_text(q, ret->product, sizeof ret->product);
    bp_c_text(q, ret->version, sizeof ret->version);
    bp_c_place(q, &ret->place);
    ret->counter = (uint64_t)bp_c_int(q);
    ret->imported_ms = bp_c_int(q);
    bp_c_text(q, ret->by, sizeof ret->by);
    ret->manifest = bp_c_blob(q);
    ret->corim = bp_c_blob(q);
}

bp_result bp_store_release(bp_store *s, bp_span id, struct bp_release_row *ret)
{
    struct bp_release_row v = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_RELEASE);
    bp_q_blob(&q, id);
    BP_TRY(bp_q_row(&q));
    release_columns(&q, &v);
    BP_TRY(q.r);
    *ret = v;
    return BP_OK;
}

bp_result bp_store_maker_add(bp_store *s, const char *product, bp_span spki, const char *by,
                             int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_MAKER_ADD);
    bp_q_text(&q, product);
    bp_q_blob(&q, spki);
    bp_q_text(&q, by);
    bp_q_int(&q, at_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_maker(bp_store *s, const char *product, bp_span *ret_spki)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_MAKER);
    bp_q_text(&q, product);
    BP_TRY(bp_q_row(&q));
    *ret_spki = bp_c_blob(&q);
    return BP_OK;
}

bp_result bp_store_acceptance_set(bp_store *s, bp_span id, const char *zone,
                                  enum bp_acceptance state, const char *by, const char *reason,
                                  int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ACCEPTANCE_SET);
    bp_q_blob(&q, id);
    bp_q_text(&q, zone);
    bp_q_int(&q, state);
    bp_q_text(&q, by);
    bp_q_text(&q, reason);
    bp_q_int(&q, at_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_acceptance(bp_store *s, bp_span id, bp_span zone, enum bp_acceptance *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ACCEPTANCE);
    bp_q_blob(&q, id);
    bp_q_span_text(&q, zone);
    BP_TRY(bp_q_row(&q));
    *ret = (enum bp_acceptance)bp_c_int(&q);
    bp_q_end(&q);
    return BP_OK;
}

bp_result bp_store_acceptances(bp_store *s,
                               bp_result (*each)(void *self, const struct bp_release_row *r,
                                                 const char *zone, enum bp_acceptance state),
                               void *self)
{
    uint8_t id[BP_DIGEST_SIZE] = {0};
    char zone[BP_NAME_MAX + 1] = "";
    size_t id_n = 0;
    for (;;) { /* ends: each turn moves on in (id, zone) */
        struct bp_release_row v = {0};
        struct bp_q q = bp_q_begin(s, BP_SQL_ACCEPTANCE_NEXT);
        bp_q_blob(&q, bp_span_of(id, id_n));
        bp_q_text(&q, zone);
        const bp_result r = bp_q_row(&q);
        if (bp_is(r, BP_E_NOT_FOUND)) {
            return BP_OK;
        }
        BP_TRY(r);
        release_columns(&q, &v);
        bp_c_text(&q, zone, sizeof zone);
        const enum bp_acceptance state = (enum bp_acceptance)bp_c_int(&q);
        BP_TRY(q.r);
        memcpy(id, v.id, sizeof id);
        id_n = sizeof id;
        BP_TRY(each(self, &v, zone, state));
    }
}

bp_result bp_store_policy_add(bp_store *s, const struct bp_policy_version *p)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POLICY_ADD);
    bp_q_int(&q, (int64_t)p->version);
    bp_q_blob(&q, BP_SPAN_OF(p->digest));
    bp_q_text(&q, p->zone);
    bp_q_text(&q, p->by);
    bp_q_int(&q, p->at_ms);
    bp_q_blob(&q, p->document);
    return bp_q_run(&q, false);
}

static bp_result fetch_policy(struct bp_q *q, struct bp_policy_version *ret)
{
    struct bp_policy_version p = {0};
    BP_TRY(bp_q_row(q));
    p.version = (uint64_t)bp_c_int(q);
    bp_c_fixed(q, p.digest, sizeof p.digest);
    bp_c_text(q, p.zone, sizeof p.zone);
    bp_c_text(q, p.by, sizeof p.by);
    p.at_ms = bp_c_int(q);
    p.document = bp_c_blob(q);
    BP_TRY(q->r);
    *ret = p;
    return BP_OK;
}

bp_result bp_store_policy_newest(bp_store *s, struct bp_policy_version *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POLICY_NEWEST);
    return fetch_policy(&q, ret);
}

bp_result bp_store_policy_by_digest(bp_store *s, bp_span digest, struct bp_policy_version *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_POLICY_BY_DIGEST);
    bp_q_blob(&q, digest);
    return fetch_policy(&q, ret);
}

bp_result bp_store_baseline_see(bp_store *s, const char *model, bp_span digest, int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BASELINE_SEE);
    bp_q_text(&q, model);
    bp_q_blob(&q, digest);
    bp_q_int(&q, at_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_baseline_accept(bp_store *s, const char *model, bp_span digest, const char *by,
                                   int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BASELINE_ACCEPT);
    bp_q_text(&q, by);
    bp_q_int(&q, at_ms);
    bp_q_text(&q, model);
    bp_q_blob(&q, digest);
    return bp_q_run(&q, true);
}

bp_result bp_store_baseline(bp_store *s, const char *model, bp_span digest, bool *ret_accepted)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_BASELINE);
    bp_q_text(&q, model);
    bp_q_blob(&q, digest);
    BP_TRY(bp_q_row(&q));
    *ret_accepted = bp_c_int(&q) != 0;
    bp_q_end(&q);
    return BP_OK;
}

/* -- the log ----------------------------------------------------------------------------------- */
bp_result bp_store_event_add(bp_store *s, const struct bp_event_row_in *e)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_EVENT_ADD);
    bp_q_int(&q, (int64_t)e->number);
    bp_q_int(&q, e->at_ms);
    bp_q_int(&q, e->type);
    bp_q_int(&q, e->severity);
    if (e->device == 0) {
        bp_q_null(&q);
    } else {
        bp_q_int(&q, e->device);
    }
    bp_q_place(&q, &e->place);
    bp_q_blob(&q, BP_SPAN_OF(e->digest));
    bp_q_blob(&q, e->body);
    return bp_q_run(&q, false);
}

bp_result bp_store_event(bp_store *s, uint64_t number, bp_span *ret_body, uint8_t ret_digest[32])
{
    uint8_t digest[BP_DIGEST_SIZE];
    struct bp_q q = bp_q_begin(s, BP_SQL_EVENT);
    bp_q_int(&q, (int64_t)number);
    BP_TRY(bp_q_row(&q));
    const bp_span body = bp_c_blob(&q);
    bp_c_fixed(&q, digest, sizeof digest);
    BP_TRY(q.r);
    *ret_body = body;
    memcpy(ret_digest, digest, sizeof digest);
    return BP_OK;
}

bp_result bp_store_event_erase(bp_store *s, uint64_t number)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_EVENT_ERASE);
    bp_q_int(&q, (int64_t)number);
    return bp_q_run(&q, true);
}

bp_result bp_store_source_next(bp_store *s, bp_span source, uint64_t *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SOURCE_NEXT);
    bp_q_span_text(&q, source);
    BP_TRY(bp_q_row(&q));
    *ret = (uint64_t)bp_c_int(&q);
    bp_q_end(&q);
    return BP_OK;
}

bp_result bp_store_hash_add(bp_store *s, uint64_t index, const uint8_t hash[32])
{
    struct bp_q q = bp_q_begin(s, BP_SQL_HASH_ADD);
    bp_q_int(&q, (int64_t)index);
    bp_q_blob(&q, bp_span_of(hash, 32));
    return bp_q_run(&q, false);
}

bp_result bp_store_hash(bp_store *s, uint64_t index, uint8_t ret[32])
{
    struct bp_q q = bp_q_begin(s, BP_SQL_HASH);
    bp_q_int(&q, (int64_t)index);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, ret, 32);
    bp_q_end(&q);
    return q.r;
}

bp_result bp_store_tree(bp_store *s, struct bp_tree_row *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_TREE);
    BP_TRY(bp_q_row(&q));
    ret->size = (uint64_t)bp_c_int(&q);
    ret->signed_size = (uint64_t)bp_c_int(&q);
    ret->tiled_size = (uint64_t)bp_c_int(&q);
    ret->checkpoint = bp_c_blob(&q);
    return BP_OK;
}

bp_result bp_store_tree_grow(bp_store *s, uint64_t size)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_TREE_GROW);
    bp_q_int(&q, (int64_t)size);
    return bp_q_run(&q, true);
}

bp_result bp_store_tree_signed(bp_store *s, uint64_t size, bp_span checkpoint)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_TREE_SIGNED);
    bp_q_int(&q, (int64_t)size);
    bp_q_span_text(&q, checkpoint);
    return bp_q_run(&q, true);
}

bp_result bp_store_tree_tiled(bp_store *s, uint64_t size)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_TREE_TILED);
    bp_q_int(&q, (int64_t)size);
    return bp_q_run(&q, true);
}

/* -- people ------------------------------------------------------------------------------------ */
static void key_or_null(struct bp_q *q, const struct bp_operator *o)
{
    if (o->has_spki) {
        bp_q_blob(q, BP_SPAN_OF(o->spki));
    } else {
        bp_q_null(q);
    }
}

bp_result bp_store_operator_add(bp_store *s, struct bp_operator *o)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OPERATOR_ADD);
    bp_q_text(&q, o->name);
    bp_q_text(&q, o->role);
    bp_q_text(&q, o->zone);
    key_or_null(&q, o);
    bp_q_int(&q, o->disabled);
    bp_q_int(&q, o->created_ms);
    BP_TRY(bp_q_run(&q, false));
    o->n = sqlite3_last_insert_rowid(s->db);
    return BP_OK;
}

static bp_result fetch_operator(struct bp_q *q, struct bp_operator *ret)
{
    struct bp_operator o = {0};
    BP_TRY(bp_q_row(q));
    o.n = bp_c_int(q);
    bp_c_text(q, o.name, sizeof o.name);
    bp_c_text(q, o.role, sizeof o.role);
    bp_c_text(q, o.zone, sizeof o.zone);
    const bp_span spki = bp_c_blob(q);
    o.has_spki = spki.n == sizeof o.spki;
    if (o.has_spki) {
        memcpy(o.spki, spki.p, sizeof o.spki);
    }
    o.disabled = bp_c_int(q) != 0;
    o.created_ms = bp_c_int(q);
    bp_q_end(q);
    *ret = o;
    return BP_OK;
}

bp_result bp_store_operator(bp_store *s, int64_t n, struct bp_operator *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OPERATOR);
    bp_q_int(&q, n);
    return fetch_operator(&q, ret);
}

bp_result bp_store_operator_by_name(bp_store *s, bp_span name, struct bp_operator *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OPERATOR_BY_NAME);
    bp_q_span_text(&q, name);
    return fetch_operator(&q, ret);
}

bp_result bp_store_operator_by_spki(bp_store *s, bp_span spki, struct bp_operator *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OPERATOR_BY_SPKI);
    bp_q_blob(&q, spki);
    return fetch_operator(&q, ret);
}

bp_result bp_store_operator_set(bp_store *s, const struct bp_operator *o)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OPERATOR_SET);
    bp_q_text(&q, o->role);
    bp_q_text(&q, o->zone);
    key_or_null(&q, o);
    bp_q_int(&q, o->disabled);
    bp_q_int(&q, o->n);
    return bp_q_run(&q, true);
}

bp_result bp_store_session_add(bp_store *s, const struct bp_session *x)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SESSION_ADD);
    bp_q_blob(&q, BP_SPAN_OF(x->token));
    bp_q_int(&q, x->operator_n);
    bp_q_int(&q, x->created_ms);
    bp_q_int(&q, x->used_ms);
    bp_q_int(&q, x->expires_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_session(bp_store *s, bp_span token, struct bp_session *ret)
{
    struct bp_session x = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_SESSION);
    bp_q_blob(&q, token);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, x.token, sizeof x.token);
    x.operator_n = bp_c_int(&q);
    x.created_ms = bp_c_int(&q);
    x.used_ms = bp_c_int(&q);
    x.expires_ms = bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = x;
    return BP_OK;
}

bp_result bp_store_session_used(bp_store *s, bp_span token, int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SESSION_USED);
    bp_q_int(&q, at_ms);
    bp_q_blob(&q, token);
    return bp_q_run(&q, true);
}

bp_result bp_store_session_end(bp_store *s, bp_span token)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SESSION_END);
    bp_q_blob(&q, token);
    return bp_q_run(&q, true);
}

bp_result bp_store_session_expire(bp_store *s, int64_t now_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SESSION_EXPIRE);
    bp_q_int(&q, now_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_code_add(bp_store *s, const struct bp_code *c)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CODE_ADD);
    bp_q_blob(&q, BP_SPAN_OF(c->code));
    bp_q_text(&q, c->role);
    bp_q_text(&q, c->name);
    bp_q_text(&q, c->zone);
    bp_q_text(&q, c->by);
    bp_q_int(&q, c->expires_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_code_take(bp_store *s, bp_span code, int64_t now_ms, struct bp_code *ret)
{
    struct bp_code c = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_CODE_TAKE);
    bp_q_blob(&q, code);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, c.code, sizeof c.code);
    bp_c_text(&q, c.role, sizeof c.role);
    bp_c_text(&q, c.name, sizeof c.name);
    bp_c_text(&q, c.zone, sizeof c.zone);
    bp_c_text(&q, c.by, sizeof c.by);
    c.expires_ms = bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    if (c.expires_ms <= now_ms) {
        return BP_FAIL(NOT_FOUND);
    }
    *ret = c;
    return BP_OK;
}

/* -- histories that were given up --------------------------------------------------------------- */
bp_result bp_store_gap_add(bp_store *s, const struct bp_log_gap *g)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_GAP_ADD);
    bp_q_int(&q, (int64_t)g->event);
    bp_q_int(&q, (int64_t)g->kept);
    bp_q_int(&q, (int64_t)g->lost);
    return bp_q_run(&q, false);
}

bp_result bp_store_gap(bp_store *s, uint64_t size, struct bp_log_gap *ret)
{
    struct bp_log_gap g = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_GAP);
    bp_q_int(&q, (int64_t)size);
    bp_q_int(&q, (int64_t)size);
    BP_TRY(bp_q_row(&q));
    g.event = (uint64_t)bp_c_int(&q);
    g.kept = (uint64_t)bp_c_int(&q);
    g.lost = (uint64_t)bp_c_int(&q);
    BP_TRY(q.r);
    *ret = g;
    return BP_OK;
}

/* -- settings ---------------------------------------------------------------------------------- */
bp_result bp_store_setting(bp_store *s, const char *name, int64_t fallback, int64_t *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SETTING);
    bp_q_text(&q, name);
    const bp_result r = bp_q_row(&q);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        *ret = fallback;
        return BP_OK;
    }
    BP_TRY(r);
    *ret = bp_c_int(&q);
    bp_q_end(&q);
    return BP_OK;
}

bp_result bp_store_setting_set(bp_store *s, const char *name, int64_t value)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_SETTING_SET);
    bp_q_text(&q, name);
    bp_q_int(&q, value);
    return bp_q_run(&q, false);
}
