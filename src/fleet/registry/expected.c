/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/expected - manifests taken in, and chips found in them. */
#include "fleet/registry/expected.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/cose.h"
#include "codec/manifest.h"
#include "codec/x509.h"
#include "platform/alloc.h"

#define BP_MODULE REGISTRY

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))

static void copy(bp_span from, char *ret, size_t cap)
{
    const size_t n = from.n < cap ? from.n : cap - 1;
    if (n > 0) {
        memcpy(ret, from.p, n);
    }
    ret[n] = '\0';
}

static void say(struct bp_import *i, const char *text)
{
    (void)snprintf(i->detail, sizeof i->detail, "%s", text);
}

/* --- the signature and its key --- */

static bp_result read_manifest(bp_span in, struct bp_cose_sign1 *msg, struct bp_manifest *m, struct bp_import *ret,
                               enum bp_problem *ret_problem)
{
    if (in.n > BP_MANIFEST_MAX) {
        return REFUSE(TOO_LARGE);
    }
    bp_result r = bp_cose_sign1_read(in, msg);
    if (!bp_failed(r) && !bp_span_equal(msg->content_type, BP_SPAN_STR(BP_MANIFEST_CONTENT))) {
        r = BP_FAIL(UNSUPPORTED);
    }
    if (!bp_failed(r)) {
        r = bp_manifest_read(msg->payload, m);
    }
    if (bp_is(r, BP_E_UNSUPPORTED)) {
        say(ret, "not a signed manifest of a version that is known here");
        return REFUSE(UNSUPPORTED);
    }
    return bp_failed(r) ? REFUSE(MALFORMED) : BP_OK;
}

/* The manifest names the key that signs it, so that one file is enough; whether that key counts is the pin's to say. */
static bp_result verify(struct bp_registry *r, const struct bp_cose_sign1 *msg, const struct bp_manifest *m,
                        uint8_t ret_kid[BP_DIGEST_SIZE], enum bp_problem *ret_problem)
{
    struct bp_pubkey key;
    if (bp_failed(bp_spki_read(m->key, &key)) || (key.type != BP_KEY_P256 && key.type != BP_KEY_P384)) {
        return REFUSE(SIGNATURE);
    }
    BP_TRY(bp_hash(r->crypto, BP_HASH_SHA256, m->key, ret_kid));
    if (!bp_span_equal(msg->kid, bp_span_of(ret_kid, BP_DIGEST_SIZE))) {
        return REFUSE(SIGNATURE);
    }
    const size_t cap = BP_COSE_SCRATCH(msg->protected_header.n, msg->payload.n, 0);
    uint8_t *scratch = bp_alloc(cap);
    if (scratch == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result got = bp_cose_sign1_verify(r->crypto, msg, &key, BP_SPAN_EMPTY, scratch, cap);
    bp_free(scratch);
    if (bp_is(got, BP_E_BAD_SIGNATURE) || bp_is(got, BP_E_UNSUPPORTED) || bp_is(got, BP_E_MALFORMED)) {
        return REFUSE(SIGNATURE);
    }
    return got;
}

/* One name, one key: a person says once which. */
static bp_result check_maker(struct bp_registry *r, const uint8_t kid[BP_DIGEST_SIZE], bp_span maker, struct bp_import *ret,
                             enum bp_problem *ret_problem)
{
    struct bp_announcer pinned;
    const bp_span own = bp_span_of(kid, BP_DIGEST_SIZE);
    if (maker.n > 0 && !bp_span_equal(maker, own)) {
        say(ret, "it is signed by another key than the one that was named");
        return REFUSE(MAKER);
    }
    bp_result got = bp_store_announcer_named(r->store, ret->maker, &pinned);
    if (!bp_failed(got)) {
        if (memcmp(pinned.kid, kid, sizeof pinned.kid) != 0) {
            say(ret, "another key is pinned for this maker's name");
            return REFUSE(MAKER);
        }
        return BP_OK;
    }
    if (!bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    got = bp_store_announcer(r->store, own, &pinned);
    if (!bp_failed(got)) {
        say(ret, "its key is pinned for a maker of another name");
        return REFUSE(MAKER);
    }
    if (!bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    if (maker.n == 0) {
        say(ret, "the maker is new here: name its key");
        return REFUSE(MAKER);
    }
    ret->is_pinned_now = true;
    return BP_OK;
}

/* --- batch and units --- */

static bp_result check_batch(struct bp_registry *r, const uint8_t kid[BP_DIGEST_SIZE], struct bp_import *ret,
                             enum bp_problem *ret_problem)
{
    uint64_t last = 0;
    const bp_result got = bp_store_manifest_last(r->store, bp_span_of(kid, BP_DIGEST_SIZE), ret->order, &last);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    if (ret->batch <= last) {
        (void)snprintf(ret->detail, sizeof ret->detail, "batch %llu of order %s was imported; this is batch %llu",
                       (unsigned long long)last, ret->order, (unsigned long long)ret->batch);
        return REFUSE(BATCH);
    }
    return BP_OK;
}

/* A refusal may be kept as an event, so nothing may be written before all units were looked at. */
static bp_result check_units(struct bp_registry *r, const struct bp_manifest *m, struct bp_import *ret,
                             enum bp_problem *ret_problem)
{
    bp_rd rd = bp_rd_over(m->list);
    while (bp_rd_left(&rd) > 0) {
        struct bp_manifest_unit u;
        struct bp_expected e;
        BP_TRY(bp_manifest_next(&rd, &u));
        for (uint32_t i = 0; i < u.keys; i++) {
            const bp_result got = bp_store_expected_by_key(r->store, u.key[i].hash, &e);
            if (!bp_failed(got)) {
                char serial[BP_NAME_MAX + 1];
                copy(u.serial, serial, sizeof serial);
                (void)snprintf(ret->detail, sizeof ret->detail, "unit %s has a key of unit %s, batch %llu of order %s", serial,
                               e.serial, (unsigned long long)e.batch, e.order);
                return REFUSE(UNIT);
            }
            if (!bp_is(got, BP_E_NOT_FOUND)) {
                return got;
            }
        }
    }
    return BP_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, BP_DIGEST_SIZE);
}

/* The reader of manifests looks for a key twice in one unit only. */
static bp_result check_shared(const struct bp_manifest *m, struct bp_import *ret, enum bp_problem *ret_problem)
{
    uint8_t(*seen)[BP_DIGEST_SIZE] = bp_alloc((size_t)m->units * BP_MANIFEST_KEYS_MAX * BP_DIGEST_SIZE);
    size_t n = 0;
    bp_rd rd = bp_rd_over(m->list);
    bp_result got = seen != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    while (!bp_failed(got) && bp_rd_left(&rd) > 0) {
        struct bp_manifest_unit u;
        got = bp_manifest_next(&rd, &u);
        for (uint32_t i = 0; !bp_failed(got) && i < u.keys; i++) {
            memcpy(seen[n++], u.key[i].hash.p, BP_DIGEST_SIZE);
        }
    }
    if (!bp_failed(got)) {
        qsort(seen, n, sizeof seen[0], by_bytes);
    }
    for (size_t i = 1; !bp_failed(got) && i < n; i++) {
        if (memcmp(seen[i - 1], seen[i], BP_DIGEST_SIZE) == 0) {
            say(ret, "two of its units share a key");
            got = REFUSE(UNIT);
        }
    }
    bp_free(seen);
    return got;
}

static uint32_t endorsement_keys(const struct bp_manifest_unit *u)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->keys; i++) {
        n += u->key[i].kind != BP_MANIFEST_KEY_IDEVID;
    }
    return n;
}

static bp_result add_unit(struct bp_registry *r, const struct bp_manifest_row *row, const struct bp_manifest_unit *u)
{
    struct bp_expected e = {.manifest = row->n, .keys = endorsement_keys(u), .has_idevid = u->idevid.n != 0};
    memcpy(e.id, u->id.p, sizeof e.id);
    copy(u->serial, e.serial, sizeof e.serial);
    copy(u->model, e.place.model, sizeof e.place.model);
    copy(u->kind, e.kind, sizeof e.kind);
    if (e.has_idevid) {
        memcpy(e.idevid, u->idevid.p, sizeof e.idevid);
    }
    BP_TRY(bp_store_expected_add(r->store, &e));
    for (uint32_t i = 0; i < u->keys; i++) {
        BP_TRY(bp_store_expected_key_add(r->store, e.n, u->key[i].hash, u->key[i].kind));
    }
    return BP_OK;
}

static bp_result write_all(struct bp_registry *r, const struct bp_manifest *m, struct bp_manifest_row *row,
                           const struct bp_import *i)
{
    bp_rd rd = bp_rd_over(m->list);
    if (i->is_pinned_now) {
        struct bp_announcer a = {.at_ms = r->now_ms};
        memcpy(a.kid, row->maker, sizeof a.kid);
        memcpy(a.name, i->maker, sizeof a.name);
        memcpy(a.by, row->by, sizeof a.by);
        BP_TRY(bp_store_announcer_add(r->store, &a));
    }
    BP_TRY(bp_store_manifest_add(r->store, row));
    while (bp_rd_left(&rd) > 0) {
        struct bp_manifest_unit u;
        BP_TRY(bp_manifest_next(&rd, &u));
        BP_TRY(add_unit(r, row, &u));
    }
    return BP_OK;
}

static bp_result note_import(struct bp_registry *r, const struct bp_manifest_row *row, const struct bp_import *i, bp_span actor)
{
    uint64_t number = 0;
    const struct bp_event e = {
        .time_ms = r->now_ms,
        .type = BP_EV_MANIFEST_IMPORTED,
        .source = BP_SPAN_STR("keeper"),
        .actor = actor,
        .detail_count = 7,
        .detail = {{BP_SPAN_STR("maker"), BP_VAL_TEXT, 0, bp_span_cstr(i->maker)},
                   {BP_SPAN_STR("key"), BP_VAL_BYTES, 0, BP_SPAN_OF(row->maker)},
                   {BP_SPAN_STR("order"), BP_VAL_TEXT, 0, bp_span_cstr(i->order)},
                   {BP_SPAN_STR("batch"), BP_VAL_INT, (int64_t)i->batch, BP_SPAN_EMPTY},
                   {BP_SPAN_STR("units"), BP_VAL_INT, i->units, BP_SPAN_EMPTY},
                   {BP_SPAN_STR("zone"), BP_VAL_TEXT, 0, bp_span_cstr(row->place.zone)},
                   {BP_SPAN_STR("manifest"), BP_VAL_BYTES, 0, BP_SPAN_OF(row->digest)}}};
    return bp_log_append(r->log, &e, 0, &row->place, &number);
}

bp_result bp_registry_import(struct bp_registry *r, bp_span signed_manifest, bp_span maker, bp_span zone, bp_span actor,
                             struct bp_import *ret, enum bp_problem *ret_problem)
{
    struct bp_cose_sign1 msg;
    struct bp_manifest m;
    struct bp_manifest_row row = {.at_ms = r->now_ms};
    memset(ret, 0, sizeof *ret);
    *ret_problem = BP_P_NONE;
    if (zone.n == 0 || zone.n > BP_NAME_MAX || memchr(zone.p, '\0', zone.n) != NULL) {
        say(ret, "zone");
        return REFUSE(VALUE);
    }
    BP_TRY(read_manifest(signed_manifest, &msg, &m, ret, ret_problem));
    copy(m.maker, ret->maker, sizeof ret->maker);
    copy(m.order, ret->order, sizeof ret->order);
    ret->batch = m.batch;
    ret->units = m.units;
    BP_TRY(verify(r, &msg, &m, row.maker, ret_problem));
    BP_TRY(check_maker(r, row.maker, maker, ret, ret_problem));
    BP_TRY(check_batch(r, row.maker, ret, ret_problem));
    BP_TRY(check_shared(&m, ret, ret_problem));
    BP_TRY(check_units(r, &m, ret, ret_problem));
    memcpy(row.order, ret->order, sizeof row.order);
    row.batch = m.batch;
    row.units = m.units;
    copy(zone, row.place.zone, sizeof row.place.zone);
    copy(actor, row.by, sizeof row.by);
    BP_TRY(bp_hash(r->crypto, BP_HASH_SHA256, msg.payload, row.digest));
    BP_TRY(write_all(r, &m, &row, ret));
    return note_import(r, &row, ret, actor);
}

/* --- a chip found --- */

bp_result bp_registry_expected(struct bp_registry *r, const uint8_t (*ek)[32], size_t count, struct bp_expected *ret,
                               enum bp_problem *ret_problem)
{
    struct bp_expected first = {0};
    uint32_t known = 0;
    *ret_problem = BP_P_NONE;
    for (size_t i = 0; i < count; i++) {
        struct bp_expected e;
        const bp_result got = bp_store_expected_by_key(r->store, bp_span_of(ek[i], BP_DIGEST_SIZE), &e);
        if (bp_is(got, BP_E_NOT_FOUND)) {
            continue;
        }
        BP_TRY(got);
        if (known > 0 && e.n != first.n) {
            return REFUSE(UNIT_MISMATCH);
        }
        first = e;
        known++;
    }
    if (known == 0) {
        return BP_FAIL(NOT_FOUND);
    }
    if (known != count || known != first.keys) {
        return REFUSE(UNIT_MISMATCH);
    }
    *ret = first;
    return BP_OK;
}
