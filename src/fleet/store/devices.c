/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/devices - rows of devices, keys, invitations, vouched keys, certificates. */
#include "fleet/store/db.h"

#define BP_MODULE STORE

const char *bp_device_state_name(enum bp_lifecycle state)
{
    switch (state) {
#define BP_X(number, name, text)                                                                   \
    case BP_ST_##name:                                                                             \
        return text;
        BP_STATE_LIST(BP_X)
#undef BP_X
    case BP_ST_NONE:
    case BP_ST_COUNT:
        break;
    }
    return "";
}

bp_result bp_store_device_add(bp_store *s, struct bp_device *d, bp_span info)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_ADD);
    bp_q_blob(&q, BP_SPAN_OF(d->id));
    bp_q_text(&q, d->pseudonym);
    bp_q_int(&q, d->state);
    bp_q_int(&q, d->before_quarantine);
    bp_q_int(&q, d->automatic);
    bp_q_place(&q, &d->place);
    bp_q_text(&q, d->place.name);
    bp_q_text(&q, d->kind);
    bp_q_text(&q, d->issuer_class);
    bp_q_text(&q, d->source);
    bp_q_int(&q, d->created_ms);
    bp_q_int(&q, d->state_ms);
    bp_q_text(&q, d->state_reason);
    bp_q_blob(&q, info);
    BP_TRY(bp_q_run(&q, false));
    const int64_t n = sqlite3_last_insert_rowid(s->db);
    q = bp_q_begin(s, BP_SQL_TRUST_ADD);
    bp_q_int(&q, n);
    BP_TRY(bp_q_run(&q, false));
    d->n = n;
    return BP_OK;
}

static bp_result fetch_device(struct bp_q *q, struct bp_device *ret)
{
    struct bp_device d = {0};
    BP_TRY(bp_q_row(q));
    d.n = bp_c_int(q);
    bp_c_fixed(q, d.id, sizeof d.id);
    bp_c_text(q, d.pseudonym, sizeof d.pseudonym);
    d.state = (enum bp_lifecycle)bp_c_int(q);
    d.before_quarantine = (enum bp_lifecycle)bp_c_int(q);
    d.automatic = bp_c_int(q) != 0;
    bp_c_place(q, &d.place);
    bp_c_text(q, d.place.name, sizeof d.place.name);
    bp_c_text(q, d.kind, sizeof d.kind);
    bp_c_text(q, d.issuer_class, sizeof d.issuer_class);
    bp_c_text(q, d.source, sizeof d.source);
    d.created_ms = bp_c_int(q);
    d.state_ms = bp_c_int(q);
    bp_c_text(q, d.state_reason, sizeof d.state_reason);
    bp_q_end(q);
    BP_TRY(q->r);
    *ret = d;
    return BP_OK;
}

bp_result bp_store_device_by_id(bp_store *s, bp_span id, struct bp_device *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_BY_ID);
    bp_q_blob(&q, id);
    return fetch_device(&q, ret);
}

bp_result bp_store_device_by_n(bp_store *s, int64_t n, struct bp_device *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_BY_N);
    bp_q_int(&q, n);
    return fetch_device(&q, ret);
}

bp_result bp_store_device_by_pseudonym(bp_store *s, bp_span pseudonym, struct bp_device *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_BY_PSEUDONYM);
    bp_q_span_text(&q, pseudonym);
    return fetch_device(&q, ret);
}

bp_result bp_store_device_set(bp_store *s, const struct bp_device *d)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_SET);
    bp_q_int(&q, d->state);
    bp_q_int(&q, d->before_quarantine);
    bp_q_int(&q, d->automatic);
    bp_q_place(&q, &d->place);
    bp_q_text(&q, d->place.name);
    bp_q_text(&q, d->issuer_class);
    bp_q_int(&q, d->state_ms);
    bp_q_text(&q, d->state_reason);
    bp_q_int(&q, d->n);
    return bp_q_run(&q, true);
}

bp_result bp_store_device_remove(bp_store *s, int64_t n)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_REMOVE);
    bp_q_int(&q, n);
    return bp_q_run(&q, true);
}

bp_result bp_store_device_info(bp_store *s, int64_t n, bp_span *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_DEVICE_INFO);
    bp_q_int(&q, n);
    BP_TRY(bp_q_row(&q));
    *ret = bp_c_blob(&q);
    return BP_OK;
}

/* A digest column that may be NULL. */
static bool optional_digest(struct bp_q *q, uint8_t ret[BP_DIGEST_SIZE])
{
    const bp_span v = bp_c_blob(q);
    if (v.n != BP_DIGEST_SIZE) {
        return false;
    }
    memcpy(ret, v.p, BP_DIGEST_SIZE);
    return true;
}

bp_result bp_store_trust(bp_store *s, int64_t n, struct bp_trust *ret)
{
    struct bp_trust t = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_TRUST);
    bp_q_int(&q, n);
    BP_TRY(bp_q_row(&q));
    t.seq = (uint64_t)bp_c_int(&q);
    t.as_of_ms = bp_c_int(&q);
    t.heard_ms = bp_c_int(&q);
    t.due_ms = bp_c_int(&q);
    t.silent = bp_c_int(&q) != 0;
    t.tier = (uint8_t)bp_c_int(&q);
    bp_c_text(&q, t.reason, sizeof t.reason);
    t.verdict = (uint64_t)bp_c_int(&q);
    (void)optional_digest(&q, t.ldevid); /* empty until the first evidence */
    t.has_state = optional_digest(&q, t.state_digest);
    t.has_boot_log = optional_digest(&q, t.boot_log);
    t.ima_count = (uint64_t)bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = t;
    return BP_OK;
}

static void digest_or_null(struct bp_q *q, bool has, const uint8_t digest[BP_DIGEST_SIZE])
{
    if (has) {
        bp_q_blob(q, bp_span_of(digest, BP_DIGEST_SIZE));
    } else {
        bp_q_null(q);
    }
}

bp_result bp_store_trust_set(bp_store *s, int64_t n, const struct bp_trust *t)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_TRUST_SET);
    bp_q_int(&q, (int64_t)t->seq);
    bp_q_int(&q, t->as_of_ms);
    bp_q_int(&q, t->heard_ms);
    bp_q_int(&q, t->due_ms);
    bp_q_int(&q, t->silent);
    bp_q_int(&q, t->tier);
    bp_q_text(&q, t->reason);
    bp_q_int(&q, (int64_t)t->verdict);
    bp_q_blob(&q, BP_SPAN_OF(t->ldevid));
    digest_or_null(&q, t->has_state, t->state_digest);
    digest_or_null(&q, t->has_boot_log, t->boot_log);
    bp_q_int(&q, (int64_t)t->ima_count);
    bp_q_int(&q, n);
    return bp_q_run(&q, true);
}

static bp_result one_int(struct bp_q *q, int64_t *ret)
{
    BP_TRY(bp_q_row(q));
    *ret = bp_c_int(q);
    bp_q_end(q);
    return BP_OK;
}

bp_result bp_store_overdue(bp_store *s, int64_t now_ms, int64_t *ret_n)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OVERDUE);
    bp_q_int(&q, now_ms);
    return one_int(&q, ret_n);
}

bp_result bp_store_waiting_before(bp_store *s, int64_t before_ms, int64_t *ret_n)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_WAITING_BEFORE);
    bp_q_int(&q, before_ms);
    return one_int(&q, ret_n);
}

bp_result bp_store_waiting_count(bp_store *s, bp_span source, uint32_t cap, uint32_t *ret_all,
                                 uint32_t *ret_source)
{
    int64_t all = 0;
    int64_t mine = 0;
    struct bp_q q = bp_q_begin(s, BP_SQL_WAITING_COUNT);
    bp_q_int(&q, cap);
    BP_TRY(one_int(&q, &all));
    q = bp_q_begin(s, BP_SQL_WAITING_SOURCE);
    bp_q_span_text(&q, source);
    bp_q_int(&q, cap);
    BP_TRY(one_int(&q, &mine));
    *ret_all = (uint32_t)all;
    *ret_source = (uint32_t)mine;
    return BP_OK;
}

bp_result bp_store_zone_count(bp_store *s, const char *zone, uint64_t *ret)
{
    int64_t n = 0;
    struct bp_q q = bp_q_begin(s, BP_SQL_ZONE_COUNT);
    bp_q_text(&q, zone);
    const bp_result r = one_int(&q, &n);
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    *ret = (uint64_t)n;
    return BP_OK;
}

bp_result bp_store_quarantine_count(bp_store *s, const char *zone, int64_t since_ms, uint32_t cap,
                                    uint32_t *ret_standing, uint32_t *ret_since)
{
    int64_t count[2] = {0, 0};
    const int64_t from[2] = {0, since_ms};
    for (size_t i = 0; i < 2; i++) {
        struct bp_q q = bp_q_begin(s, BP_SQL_HELD_COUNT);
        bp_q_text(&q, zone);
        bp_q_int(&q, from[i]);
        bp_q_int(&q, cap);
        BP_TRY(one_int(&q, &count[i]));
    }
    *ret_standing = (uint32_t)count[0];
    *ret_since = (uint32_t)count[1];
    return BP_OK;
}

/* -- escrow ------------------------------------------------------------------------------------ */
bp_result bp_store_escrow_add(bp_store *s, int64_t device, const struct bp_escrow_row *e)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ESCROW_ADD);
    bp_q_int(&q, device);
    bp_q_int(&q, e->state);
    bp_q_int(&q, e->at_ms);
    bp_q_int(&q, e->state_ms);
    bp_q_blob(&q, BP_SPAN_OF(e->digest));
    bp_q_blob(&q, e->envelope);
    return bp_q_run(&q, false);
}

bp_result bp_store_escrow_set(bp_store *s, const struct bp_escrow_row *e)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ESCROW_SET);
    bp_q_int(&q, e->state);
    bp_q_int(&q, e->state_ms);
    bp_q_int(&q, e->n);
    return bp_q_run(&q, true);
}

/* The statement goes on: the envelope lies in it. */
static bp_result fetch_escrow(struct bp_q *q, struct bp_escrow_row *ret)
{
    struct bp_escrow_row e = {0};
    BP_TRY(bp_q_row(q));
    e.n = bp_c_int(q);
    e.state = (uint8_t)bp_c_int(q);
    e.at_ms = bp_c_int(q);
    e.state_ms = bp_c_int(q);
    bp_c_fixed(q, e.digest, sizeof e.digest);
    e.envelope = bp_c_blob(q);
    BP_TRY(q->r);
    *ret = e;
    return BP_OK;
}

bp_result bp_store_escrow_of(bp_store *s, int64_t device, bp_span digest, struct bp_escrow_row *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ESCROW_OF);
    bp_q_int(&q, device);
    bp_q_blob(&q, digest);
    return fetch_escrow(&q, ret);
}

bp_result bp_store_escrow_newest(bp_store *s, int64_t device, uint32_t skip, struct bp_escrow_row *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_ESCROW_NEWEST);
    bp_q_int(&q, device);
    bp_q_int(&q, skip);
    return fetch_escrow(&q, ret);
}

bp_result bp_store_escrow_count(bp_store *s, int64_t device, uint32_t cap, uint32_t *ret)
{
    int64_t n = 0;
    struct bp_q q = bp_q_begin(s, BP_SQL_ESCROW_COUNT);
    bp_q_int(&q, device);
    bp_q_int(&q, cap);
    BP_TRY(one_int(&q, &n));
    *ret = (uint32_t)n;
    return BP_OK;
}

/* -- keys -------------------------------------------------------------------------------------- */
bp_result bp_store_key_add(bp_store *s, const struct bp_key *k)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_ADD);
    bp_q_blob(&q, BP_SPAN_OF(k->spki));
    bp_q_int(&q, k->device);
    bp_q_int(&q, k->role);
    bp_q_int(&q, k->tombstone);
    bp_q_int(&q, k->since_ms);
    bp_q_text(&q, k->service);
    return bp_q_run(&q, false);
}

static void key_columns(struct bp_q *q, struct bp_key *ret)
{
    bp_c_fixed(q, ret->spki, sizeof ret->spki);
    ret->device = bp_c_int(q);
    ret->role = (enum bp_key_role)bp_c_int(q);
    ret->tombstone = bp_c_int(q) != 0;
    ret->since_ms = bp_c_int(q);
    bp_c_text(q, ret->service, sizeof ret->service);
}

bp_result bp_store_key(bp_store *s, bp_span spki, struct bp_key *ret)
{
    struct bp_key k = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY);
    bp_q_blob(&q, spki);
    BP_TRY(bp_q_row(&q));
    key_columns(&q, &k);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = k;
    return BP_OK;
}

bp_result bp_store_key_bury(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_BURY);
    bp_q_int(&q, device);
    return bp_q_run(&q, false);
}

bp_result bp_store_key_unbury(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_UNBURY);
    bp_q_int(&q, device);
    return bp_q_run(&q, true);
}

bp_result bp_store_key_forget(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_FORGET);
    bp_q_int(&q, device);
    return bp_q_run(&q, false);
}

bp_result bp_store_key_buried(bp_store *s, bp_span after, uint8_t (*ret)[BP_DIGEST_SIZE],
                              size_t cap, size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_BURIED);
    bp_q_blob(&q, after);
    bp_q_int(&q, (int64_t)cap);
    BP_TRY(bp_q_next(&q, &more));
    for (; more && n < cap; n++) {
        bp_c_fixed(&q, ret[n], BP_DIGEST_SIZE);
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    *ret_count = n;
    return BP_OK;
}

bp_result bp_store_key_of(bp_store *s, int64_t device, struct bp_key *ret, size_t cap,
                          size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_KEY_OF);
    bp_q_int(&q, device);
    bp_q_int(&q, (int64_t)cap);
    BP_TRY(bp_q_next(&q, &more));
    for (; more && n < cap; n++) {
        key_columns(&q, &ret[n]);
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    *ret_count = n;
    return BP_OK;
}

bp_result bp_store_ak_set(bp_store *s, int64_t device, bp_span public_, bp_span binding,
                          int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_AK_SET);
    bp_q_int(&q, device);
    bp_q_blob(&q, public_);
    bp_q_blob(&q, binding);
    bp_q_int(&q, at_ms);
    return bp_q_run(&q, true);
}

bp_result bp_store_ak(bp_store *s, int64_t device, bp_span *ret_public, bp_span *ret_binding)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_AK);
    bp_q_int(&q, device);
    BP_TRY(bp_q_row(&q));
    *ret_public = bp_c_blob(&q);
    *ret_binding = bp_c_blob(&q);
    return BP_OK;
}

/* -- ownership --------------------------------------------------------------------------------- */
bp_result bp_store_owned_set(bp_store *s, const struct bp_owned *o)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_OWNED_SET);
    bp_q_blob(&q, BP_SPAN_OF(o->id));
    bp_q_int(&q, o->phase);
    bp_q_int(&q, o->epoch);
    bp_q_blob(&q, BP_SPAN_OF(o->head));
    bp_q_place(&q, &o->place);
    bp_q_text(&q, o->place.name);
    bp_q_text(&q, o->by);
    bp_q_int(&q, o->at_ms);
    bp_q_blob(&q, o->chain);
    bp_q_blob(&q, o->erasure);
    return bp_q_run(&q, false);
}

/* The statement goes on: chain and erasure lie in it. */
bp_result bp_store_owned(bp_store *s, bp_span id, struct bp_owned *ret)
{
    struct bp_owned o = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_OWNED);
    bp_q_blob(&q, id);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, o.id, sizeof o.id);
    o.phase = (enum bp_owned_phase)bp_c_int(&q);
    o.epoch = (uint32_t)bp_c_int(&q);
    bp_c_fixed(&q, o.head, sizeof o.head);
    bp_c_place(&q, &o.place);
    bp_c_text(&q, o.place.name, sizeof o.place.name);
    bp_c_text(&q, o.by, sizeof o.by);
    o.at_ms = bp_c_int(&q);
    o.chain = bp_c_blob(&q);
    o.erasure = bp_c_blob(&q);
    BP_TRY(q.r);
    *ret = o;
    return BP_OK;
}

bp_result bp_store_permit_set(bp_store *s, const struct bp_permit *p)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_PERMIT_SET);
    bp_q_int(&q, p->device);
    bp_q_text(&q, p->by);
    bp_q_int(&q, p->expires_ms);
    return bp_q_run(&q, false);
}

bp_result bp_store_permit(bp_store *s, int64_t device, struct bp_permit *ret)
{
    struct bp_permit p = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_PERMIT);
    bp_q_int(&q, device);
    BP_TRY(bp_q_row(&q));
    p.device = bp_c_int(&q);
    bp_c_text(&q, p.by, sizeof p.by);
    p.expires_ms = bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = p;
    return BP_OK;
}

bp_result bp_store_permit_spend(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_PERMIT_SPEND);
    bp_q_int(&q, device);
    return bp_q_run(&q, true);
}

/* -- invitations ------------------------------------------------------------------------------- */
bp_result bp_store_invitation_add(bp_store *s, const struct bp_invitation *i)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_INVITATION_ADD);
    bp_q_blob(&q, BP_SPAN_OF(i->code));
    bp_q_place(&q, &i->place);
    bp_q_text(&q, i->place.name);
    bp_q_text(&q, i->by);
    bp_q_int(&q, i->created_ms);
    bp_q_int(&q, i->expires_ms);
    bp_q_int(&q, i->position);
    return bp_q_run(&q, false);
}

bp_result bp_store_invitation(bp_store *s, bp_span code, struct bp_invitation *ret)
{
    struct bp_invitation i = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_INVITATION);
    bp_q_blob(&q, code);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, i.code, sizeof i.code);
    bp_c_place(&q, &i.place);
    bp_c_text(&q, i.place.name, sizeof i.place.name);
    bp_c_text(&q, i.by, sizeof i.by);
    i.created_ms = bp_c_int(&q);
    i.expires_ms = bp_c_int(&q);
    i.used_by = bp_c_int(&q);
    i.position = bp_c_int(&q);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = i;
    return BP_OK;
}

bp_result bp_store_invitation_use(bp_store *s, bp_span code, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_INVITATION_USE);
    bp_q_int(&q, device);
    bp_q_blob(&q, code);
    return bp_q_run(&q, true);
}

/* -- vouched keys ------------------------------------------------------------------------------ */
bp_result bp_store_vouch(bp_store *s, const struct bp_vouched *v)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_VOUCH);
    bp_q_blob(&q, BP_SPAN_OF(v->spki));
    bp_q_int(&q, v->device);
    bp_q_int(&q, (int64_t)v->verdict);
    bp_q_int(&q, v->until_ms);
    bp_q_int(&q, v->first);
    return bp_q_run(&q, true);
}

bp_result bp_store_vouched(bp_store *s, bp_span spki, struct bp_vouched *ret)
{
    struct bp_vouched v = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_VOUCHED);
    bp_q_blob(&q, spki);
    BP_TRY(bp_q_row(&q));
    bp_c_fixed(&q, v.spki, sizeof v.spki);
    v.device = bp_c_int(&q);
    v.verdict = (uint64_t)bp_c_int(&q);
    v.until_ms = bp_c_int(&q);
    v.first = bp_c_int(&q) != 0;
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = v;
    return BP_OK;
}

bp_result bp_store_vouched_drop(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_VOUCHED_DROP);
    bp_q_int(&q, device);
    return bp_q_run(&q, false);
}

bp_result bp_store_vouched_expire(bp_store *s, int64_t now_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_VOUCHED_EXPIRE);
    bp_q_int(&q, now_ms);
    return bp_q_run(&q, false);
}

/* -- certificates ------------------------------------------------------------------------------ */
bp_result bp_store_cert_add(bp_store *s, const struct bp_certificate *c, bp_span der)
{
    if (c->serial_n > BP_SERIAL_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_ADD);
    bp_q_blob(&q, bp_span_of(c->serial, c->serial_n));
    bp_q_int(&q, c->device);
    bp_q_blob(&q, BP_SPAN_OF(c->spki));
    bp_q_text(&q, c->profile);
    bp_q_place(&q, &c->place);
    bp_q_int(&q, c->not_before_ms);
    bp_q_int(&q, c->not_after_ms);
    bp_q_int(&q, c->state);
    bp_q_int(&q, c->revoked_ms);
    bp_q_int(&q, c->revoked_reason);
    bp_q_int(&q, (int64_t)c->verdict);
    bp_q_text(&q, c->service);
    bp_q_blob(&q, der);
    return bp_q_run(&q, false);
}

static bp_span cert_columns(struct bp_q *q, struct bp_certificate *ret)
{
    const bp_span serial = bp_c_blob(q);
    ret->serial_n = serial.n < BP_SERIAL_MAX ? serial.n : BP_SERIAL_MAX;
    memcpy(ret->serial, serial.p, ret->serial_n);
    ret->device = bp_c_int(q);
    bp_c_fixed(q, ret->spki, sizeof ret->spki);
    bp_c_text(q, ret->profile, sizeof ret->profile);
    bp_c_place(q, &ret->place);
    ret->not_before_ms = bp_c_int(q);
    ret->not_after_ms = bp_c_int(q);
    ret->state = (enum bp_cert_state)bp_c_int(q);
    ret->revoked_ms = bp_c_int(q);
    ret->revoked_reason = (uint32_t)bp_c_int(q);
    ret->verdict = (uint64_t)bp_c_int(q);
    bp_c_text(q, ret->service, sizeof ret->service);
    return bp_c_blob(q);
}

static bp_result fetch_cert(struct bp_q *q, struct bp_certificate *ret, bp_span *ret_der)
{
    struct bp_certificate c = {0};
    BP_TRY(bp_q_row(q));
    const bp_span der = cert_columns(q, &c);
    BP_TRY(q->r);
    *ret = c;
    *ret_der = der;
    return BP_OK;
}

/* Every row that is left; the bytes of the certificates are not asked for here. */
static bp_result take_certs(struct bp_q *q, struct bp_certificate *ret, size_t cap, size_t *ret_count)
{
    size_t n = 0;
    bool more = false;
    BP_TRY(bp_q_next(q, &more));
    for (; more && n < cap; n++) {
        (void)cert_columns(q, &ret[n]);
        BP_TRY(bp_q_next(q, &more));
    }
    bp_q_end(q);
    *ret_count = n;
    return BP_OK;
}

bp_result bp_store_cert(bp_store *s, bp_span serial, struct bp_certificate *ret, bp_span *ret_der)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT);
    bp_q_blob(&q, serial);
    return fetch_cert(&q, ret, ret_der);
}

bp_result bp_store_cert_count(bp_store *s, int64_t since_ms, uint64_t *ret)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_COUNT);
    bp_q_int(&q, since_ms);
    BP_TRY(bp_q_row(&q));
    *ret = (uint64_t)bp_c_int(&q);
    return BP_OK;
}

bp_result bp_store_cert_of(bp_store *s, int64_t device, struct bp_certificate *ret,
                           bp_span *ret_der)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_OF);
    bp_q_int(&q, device);
    return fetch_cert(&q, ret, ret_der);
}

bp_result bp_store_certs_of(bp_store *s, int64_t device, struct bp_certificate *ret, size_t cap, size_t *ret_count)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERTS_OF);
    bp_q_int(&q, device);
    bp_q_int(&q, (int64_t)cap);
    return take_certs(&q, ret, cap, ret_count);
}

bp_result bp_store_certs_ending(bp_store *s, int64_t after_ms, int64_t until_ms, uint32_t cap, uint32_t *ret)
{
    int64_t n = 0;
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_ENDING);
    bp_q_int(&q, after_ms);
    bp_q_int(&q, until_ms);
    bp_q_int(&q, cap);
    BP_TRY(one_int(&q, &n));
    *ret = (uint32_t)n;
    return BP_OK;
}

bp_result bp_store_cert_hold(bp_store *s, int64_t device, int64_t at_ms)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_HOLD);
    bp_q_int(&q, at_ms);
    bp_q_int(&q, device);
    return bp_q_run(&q, true);
}

bp_result bp_store_cert_unhold(bp_store *s, int64_t device)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_UNHOLD);
    bp_q_int(&q, device);
    return bp_q_run(&q, true);
}

bp_result bp_store_cert_revoke_all(bp_store *s, int64_t device, int64_t at_ms, uint32_t reason)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_REVOKE_ALL);
    bp_q_int(&q, at_ms);
    bp_q_int(&q, reason);
    bp_q_int(&q, device);
    return bp_q_run(&q, false);
}

bp_result bp_store_cert_revoked(bp_store *s, bp_span after, int64_t now_ms,
                                struct bp_certificate *ret, size_t cap, size_t *ret_count)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CERT_REVOKED);
    bp_q_blob(&q, after);
    bp_q_int(&q, now_ms);
    bp_q_int(&q, (int64_t)cap);
    return take_certs(&q, ret, cap, ret_count);
}

bp_result bp_store_crl_set(bp_store *s, const char *issuer, uint64_t number, int64_t at_ms,
                           bp_span der)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CRL_SET);
    bp_q_text(&q, issuer);
    bp_q_int(&q, (int64_t)number);
    bp_q_int(&q, at_ms);
    bp_q_blob(&q, der);
    return bp_q_run(&q, false);
}

bp_result bp_store_crl(bp_store *s, const char *issuer, uint64_t *ret_number, int64_t *ret_at_ms,
                       bp_span *ret_der)
{
    struct bp_q q = bp_q_begin(s, BP_SQL_CRL);
    bp_q_text(&q, issuer);
    BP_TRY(bp_q_row(&q));
    *ret_number = (uint64_t)bp_c_int(&q);
    *ret_at_ms = bp_c_int(&q);
    *ret_der = bp_c_blob(&q);
    return BP_OK;
}
