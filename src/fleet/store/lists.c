/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/lists - pages for readers: one cursor a page, filtered here where no index serves. */
#include "fleet/store/lists.h"

#include "fleet/store/db.h"

#define BP_MODULE STORE

/* -- devices ----------------------------------------------------------------------------------- */
static void item_columns(struct bp_q *q, struct bp_device_item *ret)
{
    struct bp_device *d = &ret->device;
    struct bp_trust *t = &ret->trust;
    d->n = bp_c_int(q);
    bp_c_fixed(q, d->id, sizeof d->id);
    bp_c_text(q, d->pseudonym, sizeof d->pseudonym);
    d->state = (enum bp_lifecycle)bp_c_int(q);
    d->before_quarantine = (enum bp_lifecycle)bp_c_int(q);
    d->automatic = bp_c_int(q) != 0;
    bp_c_place(q, &d->place);
    bp_c_text(q, d->place.name, sizeof d->place.name);
    bp_c_text(q, d->kind, sizeof d->kind);
    bp_c_text(q, d->issuer_class, sizeof d->issuer_class);
    bp_c_text(q, d->source, sizeof d->source);
    d->created_ms = bp_c_int(q);
    d->state_ms = bp_c_int(q);
    bp_c_text(q, d->state_reason, sizeof d->state_reason);
    t->seq = (uint64_t)bp_c_int(q);
    t->as_of_ms = bp_c_int(q);
    t->heard_ms = bp_c_int(q);
    t->due_ms = bp_c_int(q);
    t->silent = bp_c_int(q) != 0;
    t->tier = (uint8_t)bp_c_int(q);
    bp_c_text(q, t->reason, sizeof t->reason);
    t->verdict = (uint64_t)bp_c_int(q);
    t->ima_count = (uint64_t)bp_c_int(q);
    bp_c_text(q, ret->position, sizeof ret->position);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool has_part(const char *text, bp_span part)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i + part.n <= n; i++) {
        size_t k = 0;
        while (k < part.n && lower((uint8_t)text[i + k]) == lower(part.p[k])) {
            k++;
        }
        if (k == part.n) {
            return true;
        }
    }
    return false;
}

static bool fits(const struct bp_device_filter *f, const struct bp_device_item *i)
{
    const struct bp_device *d = &i->device;
    if ((f->state != BP_ST_NONE && d->state != f->state) ||
        (f->zone.n > 0 && !bp_span_equal(f->zone, bp_span_cstr(d->place.zone))) ||
        (f->model.n > 0 && !bp_span_equal(f->model, bp_span_cstr(d->place.model))) ||
        (f->text.n > 0 && !has_part(d->place.name, f->text) && !has_part(i->position, f->text))) {
        return false;
    }
    if (f->trust == BP_TRUST_ANY) {
        return true;
    }
    /* A device that is off is neither green nor silent, whatever its last evidence said. */
    if (d->state == BP_ST_REVOKED || d->state == BP_ST_RETIRED) {
        return false;
    }
    return f->trust == BP_TRUST_SILENT ? i->trust.silent : !i->trust.silent && i->trust.tier == f->trust;
}

/* The statement whose index narrows most. */
static struct bp_q open_devices(bp_store *s, const struct bp_device_filter *f, const struct bp_list_at *at)
{
    struct bp_q q;
    if (f->is_id) {
        q = bp_q_begin(s, BP_SQL_LIST_ID);
        bp_q_blob(&q, at->n == 0 ? bp_span_of(f->id_from, 32) : BP_SPAN_OF(at->id));
        bp_q_blob(&q, BP_SPAN_OF(f->id_to));
        return q;
    }
    if (f->trust == BP_TRUST_SILENT) {
        q = bp_q_begin(s, BP_SQL_LIST_SILENT);
    } else if (f->trust != BP_TRUST_ANY && f->trust != 2) { /* most are affirming */
        q = bp_q_begin(s, BP_SQL_LIST_TIER);
        bp_q_int(&q, f->trust);
    } else if (f->state != BP_ST_NONE && f->state != BP_ST_ACTIVE) {
        q = bp_q_begin(s, BP_SQL_LIST_STATE);
        bp_q_int(&q, f->state);
    } else if (f->zone.n > 0) {
        q = bp_q_begin(s, BP_SQL_LIST_ZONE);
        bp_q_span_text(&q, f->zone);
    } else {
        q = bp_q_begin(s, BP_SQL_LIST_ALL);
    }
    bp_q_int(&q, at->n);
    return q;
}

bp_result bp_list_devices(bp_store *s, const struct bp_device_filter *f, struct bp_list_at *at, size_t limit,
                          bp_result (*each)(void *self, const struct bp_device_item *d), void *self)
{
    size_t found = 0;
    uint32_t looked = 0;
    bool more = false;
    struct bp_q q = open_devices(s, f, at);
    BP_TRY(bp_q_next(&q, &more));
    while (more && found < limit && looked < BP_LIST_EXAMINED_MAX) {
        struct bp_device_item item = {0};
        item_columns(&q, &item);
        if (bp_failed(q.r)) {
            break;
        }
        looked++;
        at->n = item.device.n;
        memcpy(at->id, item.device.id, sizeof at->id);
        if (fits(f, &item)) {
            found++;
            const bp_result r = each(self, &item);
            if (bp_failed(r)) {
                bp_q_end(&q);
                return r;
            }
        }
        BP_TRY(bp_q_next(&q, &more));
    }
    bp_q_end(&q);
    at->more = more;
    return q.r;
}

bp_result bp_list_device(bp_store *s, bp_span id, struct bp_device_item *ret)
{
    struct bp_device_item item = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_ONE);
    bp_q_blob(&q, id);
    BP_TRY(bp_q_row(&q));
    item_columns(&q, &item);
    bp_q_end(&q);
    BP_TRY(q.r);
    *ret = item;
    return BP_OK;
}

bp_result bp_list_counts(bp_store *s, bp_result (*each)(void *self, const struct bp_fleet_count *c), void *self)
{
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_COUNTS);
    BP_TRY(bp_q_next(&q, &more));
    while (more) {
        struct bp_fleet_count c = {0};
        bp_c_text(&q, c.zone, sizeof c.zone);
        c.state = (enum bp_lifecycle)bp_c_int(&q);
        c.tier = (uint8_t)bp_c_int(&q);
        c.silent = bp_c_int(&q) != 0;
        c.members = (uint64_t)bp_c_int(&q);
        const bp_result r = each(self, &c);
        if (bp_failed(r)) {
            bp_q_end(&q);
            return r;
        }
        BP_TRY(bp_q_next(&q, &more));
    }
    return BP_OK;
}

/* -- verdicts ---------------------------------------------------------------------------------- */
bp_result bp_list_verdicts(bp_store *s, int64_t device, uint64_t before, size_t limit,
                           bp_result (*each)(void *self, const struct bp_verdict_row *v), void *self)
{
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_VERDICTS);
    bp_q_int(&q, device);
    bp_q_int(&q, before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
    bp_q_int(&q, (int64_t)limit);
    BP_TRY(bp_q_next(&q, &more));
    while (more) {
        struct bp_verdict_row v = {.device = device};
        v.event = (uint64_t)bp_c_int(&q);
        v.seq = (uint64_t)bp_c_int(&q);
        v.as_of_ms = bp_c_int(&q);
        v.at_ms = bp_c_int(&q);
        v.tier = (uint8_t)bp_c_int(&q);
        bp_c_place(&q, &v.place);
        bp_c_text(&q, v.reason, sizeof v.reason);
        bp_c_fixed(&q, v.evidence, sizeof v.evidence);
        bp_c_fixed(&q, v.policy, sizeof v.policy);
        bp_c_fixed(&q, v.references, sizeof v.references);
        const bp_result r = bp_failed(q.r) ? q.r : each(self, &v);
        if (bp_failed(r)) {
            bp_q_end(&q);
            return r;
        }
        BP_TRY(bp_q_next(&q, &more));
    }
    return BP_OK;
}

/* -- events ------------------------------------------------------------------------------------ */
static void event_columns(struct bp_q *q, struct bp_event_item *e)
{
    e->number = (uint64_t)bp_c_int(q);
    e->at_ms = bp_c_int(q);
    e->type = (uint32_t)bp_c_int(q);
    e->severity = (uint8_t)bp_c_int(q);
    bp_c_text(q, e->zone, sizeof e->zone);
    e->digest = bp_c_blob(q);
    e->body = bp_c_blob(q);
    e->device_id = bp_c_blob(q);
    e->device_name = bp_c_blob(q);
}

bp_result bp_list_events(bp_store *s, const struct bp_event_filter *f, size_t limit, uint64_t *ret_last, bool *ret_more,
                         bp_result (*each)(void *self, const struct bp_event_item *e), void *self)
{
    size_t found = 0;
    uint32_t looked = 0;
    struct bp_q q = bp_q_begin(s, f->device != 0 ? (f->ascending ? BP_SQL_LIST_EVENTS_OF_UP : BP_SQL_LIST_EVENTS_OF)
                                                 : (f->ascending ? BP_SQL_LIST_EVENTS_UP : BP_SQL_LIST_EVENTS));
    *ret_more = false;
    if (f->device != 0) {
        bp_q_int(&q, f->device);
    }
    bp_q_int(&q, f->from > INT64_MAX ? INT64_MAX : (int64_t)f->from);
    BP_TRY(bp_q_next(&q, ret_more));
    while (*ret_more && found < limit && looked < BP_LIST_EXAMINED_MAX) {
        struct bp_event_item e = {0};
        event_columns(&q, &e);
        looked++;
        *ret_last = e.number;
        if (f->type == 0 || f->type == e.type) {
            found++;
            const bp_result r = each(self, &e);
            if (bp_failed(r)) {
                bp_q_end(&q);
                return r;
            }
        }
        BP_TRY(bp_q_next(&q, ret_more));
    }
    bp_q_end(&q);
    return BP_OK;
}

bp_result bp_list_event(bp_store *s, uint64_t number, struct bp_event_item *ret)
{
    struct bp_event_item e = {0};
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_EVENT);
    bp_q_int(&q, number > INT64_MAX ? -1 : (int64_t)number);
    BP_TRY(bp_q_row(&q));
    event_columns(&q, &e);
    *ret = e; /* its spans live until the next call */
    return q.r;
}

/* -- releases ---------------------------------------------------------------------------------- */
bp_result bp_list_releases(bp_store *s, int64_t before, size_t limit,
                           bp_result (*each)(void *self, int64_t row, const struct bp_release_row *r), void *self)
{
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_RELEASES);
    bp_q_int(&q, before <= 0 ? INT64_MAX : before);
    bp_q_int(&q, (int64_t)limit);
    BP_TRY(bp_q_next(&q, &more));
    while (more) {
        struct bp_release_row v = {0};
        const int64_t row = bp_c_int(&q);
        bp_c_fixed(&q, v.id, sizeof v.id);
        bp_c_text(&q, v.product, sizeof v.product);
        bp_c_text(&q, v.version, sizeof v.version);
        bp_c_place(&q, &v.place);
        v.counter = (uint64_t)bp_c_int(&q);
        v.imported_ms = bp_c_int(&q);
        bp_c_text(&q, v.by, sizeof v.by);
        v.manifest = bp_c_blob(&q);
        const bp_result r = bp_failed(q.r) ? q.r : each(self, row, &v);
        if (bp_failed(r)) {
            bp_q_end(&q);
            return r;
        }
        BP_TRY(bp_q_next(&q, &more));
    }
    return BP_OK;
}

bp_result bp_list_acceptances_of(bp_store *s, bp_span release,
                                 bp_result (*each)(void *self, const struct bp_acceptance_row *a), void *self)
{
    bool more = false;
    struct bp_q q = bp_q_begin(s, BP_SQL_LIST_ACCEPTANCES);
    bp_q_blob(&q, release);
    BP_TRY(bp_q_next(&q, &more));
    while (more) {
        struct bp_acceptance_row a = {0};
        bp_c_text(&q, a.zone, sizeof a.zone);
        a.state = (enum bp_acceptance)bp_c_int(&q);
        bp_c_text(&q, a.by, sizeof a.by);
        bp_c_text(&q, a.reason, sizeof a.reason);
        a.at_ms = bp_c_int(&q);
        const bp_result r = each(self, &a);
        if (bp_failed(r)) {
            bp_q_end(&q);
            return r;
        }
        BP_TRY(bp_q_next(&q, &more));
    }
    return BP_OK;
}
