/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/releases/releases - import and the table of moves. */
#include "fleet/releases/releases.h"

#include <stdio.h>

#include "codec/corim.h"
#include "codec/cose.h"
#include "codec/release.h"
#include "codec/x509.h"
#include "platform/alloc.h"

#define BP_MODULE RELEASES

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))
#define REQUIRED_MAX 64u /* components that one release may require: the appraisal's own ceiling */

const char *bp_acceptance_name(enum bp_acceptance a)
{
    static const char *const names[] = {"imported", "accepted", "deprecated", "withdrawn"};
    return a <= BP_ACC_WITHDRAWN ? names[a] : "";
}

static void copy(bp_span from, char *ret, size_t cap)
{
    const size_t n = from.n < cap ? from.n : cap - 1;
    if (n > 0) {
        memcpy(ret, from.p, n);
    }
    ret[n] = 0;
}

static bool has_control(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static void say(struct bp_releases *r, const char *text)
{
    (void)snprintf(r->detail, sizeof r->detail, "%s", text);
}

static bp_result note(struct bp_releases *r, enum bp_event_type type, bp_span id, bp_span zone, bp_span reason,
                      bp_span actor, const char *name)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = r->now_ms, .type = type, .source = BP_SPAN_STR("keeper"), .actor = actor};
    e.detail[e.detail_count++] = (struct bp_event_detail){BP_SPAN_STR("release"), BP_VAL_TEXT, 0, bp_span_cstr(name)};
    e.detail[e.detail_count++] = (struct bp_event_detail){BP_SPAN_STR("id"), BP_VAL_BYTES, 0, id};
    if (zone.n > 0) {
        e.detail[e.detail_count++] = (struct bp_event_detail){BP_SPAN_STR("zone"), BP_VAL_TEXT, 0, zone};
    }
    if (reason.n > 0) {
        e.detail[e.detail_count++] = (struct bp_event_detail){BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason};
    }
    return bp_log_append(r->log, &e, 0, NULL, &number);
}

/* -- import ------------------------------------------------------------------------------------ */
/* The set of references of a whole site is compiled from these bytes: what it could not take is refused
 * here, where a person sees it. */
static bp_result check_references(struct bp_releases *r, const struct bp_release *m, enum bp_problem *ret_problem)
{
    struct bp_corim *c = bp_alloc(sizeof *c);
    struct bp_corim_iter it;
    struct bp_corim_ref ref;
    struct bp_ref_key key;
    size_t refs = 0;
    size_t required = 0;
    const char *why = NULL;
    if (c == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (bp_failed(bp_corim_read(m->corim, c)) || !bp_span_equal(c->profile, BP_SPAN_STR(BP_CORIM_PROFILE))) {
        why = "the reference values are not of the profile";
    }
    for (uint32_t i = 0; why == NULL && i < c->comids; i++) {
        bp_result got = bp_corim_open(c->comid[i], &it);
        while (!bp_failed(got) && !bp_failed(got = bp_corim_next(&it, &ref))) {
            if (bp_failed(bp_ref_key_read(ref.mkey, &key))) {
                got = BP_FAIL(UNSUPPORTED);
            } else if (!bp_span_equal(ref.model, m->model)) {
                why = "the reference values are of another model than the release";
            }
            refs++;
            required += key.kind == BP_REF_BOOT && key.required;
        }
        why = why == NULL && !bp_is(got, BP_E_NOT_FOUND) ? "a reference value is not of the profile" : why;
    }
    if (why == NULL && (refs == 0 || required > REQUIRED_MAX)) {
        why = refs == 0 ? "there are no reference values" : "too many components are required";
    }
    bp_free(c);
    if (why != NULL) {
        say(r, why);
        return REFUSE(VALUE);
    }
    return BP_OK;
}

static bp_result verify(struct bp_releases *r, const struct bp_cose_sign1 *msg, bp_span key,
                        enum bp_problem *ret_problem)
{
    struct bp_pubkey pub;
    uint8_t kid[32];
    if (bp_failed(bp_spki_read(key, &pub)) || (pub.type != BP_KEY_P256 && pub.type != BP_KEY_P384)) {
        say(r, "the maker's key is not one of P-256 or P-384");
        return REFUSE(VALUE);
    }
    BP_TRY(bp_hash(r->crypto, BP_HASH_SHA256, key, kid));
    if (!bp_span_equal(msg->kid, BP_SPAN_OF(kid))) {
        say(r, "it is signed by another key than the product's");
        return REFUSE(SIGNATURE);
    }
    const size_t cap = BP_COSE_SCRATCH(msg->protected_header.n, msg->payload.n, 0);
    uint8_t *scratch = bp_alloc(cap);
    if (scratch == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result got = bp_cose_sign1_verify(r->crypto, msg, &pub, BP_SPAN_EMPTY, scratch, cap);
    bp_free(scratch);
    if (bp_is(got, BP_E_BAD_SIGNATURE) || bp_is(got, BP_E_UNSUPPORTED) || bp_is(got, BP_E_MALFORMED)) {
        return REFUSE(SIGNATURE);
    }
    return got;
}

/* Checks the signature by the product's key; *ret_pin when it has none yet and `key` is to become it. */
static bp_result check_maker(struct bp_releases *r, const struct bp_cose_sign1 *msg, const struct bp_release_row *row,
                             bp_span key, bool *ret_pin, enum bp_problem *ret_problem)
{
    uint8_t pinned[BP_SPKI_MAX];
    bp_span have = BP_SPAN_EMPTY;
    const bp_result got = bp_store_maker(r->store, row->product, &have);
    if (!bp_failed(got)) {
        if (have.n > sizeof pinned) {
            return BP_FAIL(INTERNAL);
        }
        memcpy(pinned, have.p, have.n);
        have.p = pinned;
        if (key.n > 0 && !bp_span_equal(key, have)) {
            say(r, "another key is pinned for this product");
            return REFUSE(CONFLICT);
        }
        return verify(r, msg, have, ret_problem);
    }
    if (!bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    if (key.n == 0) {
        say(r, "the product is new: name its maker's key");
        return REFUSE(PRECONDITION);
    }
    *ret_pin = true;
    return verify(r, msg, key, ret_problem);
}

static bp_result read_release(struct bp_releases *r, bp_span in, struct bp_cose_sign1 *msg, struct bp_release *m,
                              enum bp_problem *ret_problem)
{
    if (in.n > BP_RELEASES_SIGNED_MAX) {
        return REFUSE(TOO_LARGE);
    }
    bp_result got = bp_cose_sign1_read(in, msg);
    if (!bp_failed(got) && !bp_span_equal(msg->content_type, BP_SPAN_STR(BP_RELEASE_CONTENT))) {
        got = BP_FAIL(UNSUPPORTED);
    }
    if (!bp_failed(got)) {
        got = bp_release_read(msg->payload, m);
    }
    if (bp_is(got, BP_E_UNSUPPORTED)) {
        say(r, "not a signed release of a version that is known here");
        return REFUSE(UNSUPPORTED);
    }
    if (bp_failed(got)) {
        return REFUSE(MALFORMED);
    }
    if (m->product.n == 0 || m->product.n > BP_NAME_MAX || m->version.n == 0 || m->version.n > BP_NAME_MAX ||
        m->model.n == 0 || m->model.n > BP_NAME_MAX || has_control(m->product) || has_control(m->version) ||
        has_control(m->model) || m->counter > INT64_MAX) {
        say(r, "product, model or version");
        return REFUSE(VALUE);
    }
    return BP_OK;
}

static void name_of(const struct bp_release_row *row, char ret[2 * BP_NAME_MAX + 2])
{
    (void)snprintf(ret, 2 * BP_NAME_MAX + 2, "%s %s", row->product, row->version);
}

bp_result bp_releases_import(struct bp_releases *r, bp_span signed_release, bp_span key, bp_span actor,
                             uint8_t ret_id[BP_DIGEST_SIZE], enum bp_problem *ret_problem)
{
    struct bp_cose_sign1 msg;
    struct bp_release m;
    struct bp_release_row row = {.imported_ms = r->now_ms};
    char name[2 * BP_NAME_MAX + 2];
    bool pin = false;
    *ret_problem = BP_P_NONE;
    BP_TRY(read_release(r, signed_release, &msg, &m, ret_problem));
    copy(m.product, row.product, sizeof row.product);
    copy(m.version, row.version, sizeof row.version);
    copy(m.model, row.place.model, sizeof row.place.model);
    copy(BP_SPAN_STR("*"), row.place.zone, sizeof row.place.zone);
    copy(actor, row.by, sizeof row.by);
    row.counter = m.counter;
    row.manifest = signed_release;
    row.corim = m.corim;
    BP_TRY(bp_hash(r->crypto, BP_HASH_SHA256, msg.payload, row.id));
    /* Nothing is written before everything was checked: a refusal may be kept as an event. */
    BP_TRY(check_maker(r, &msg, &row, key, &pin, ret_problem));
    BP_TRY(check_references(r, &m, ret_problem));
    const bp_result added = bp_store_release_add(r->store, &row);
    if (bp_is(added, BP_E_EXISTS)) {
        return REFUSE(CONFLICT);
    }
    BP_TRY(added);
    if (pin) {
        BP_TRY(bp_store_maker_add(r->store, row.product, key, row.by, r->now_ms));
    }
    name_of(&row, name);
    BP_TRY(note(r, BP_EV_RELEASE_IMPORTED, BP_SPAN_OF(row.id), BP_SPAN_EMPTY, BP_SPAN_EMPTY, actor, name));
    memcpy(ret_id, row.id, sizeof row.id);
    return BP_OK;
}

/* -- the set in force --------------------------------------------------------------------------- */
/* Results name the set of references by the chain over its rows (appraise/refset); the rows of every set
 * that was in force are kept under that name, so that a verdict can be exported after the set moved on. */
struct set {
    struct bp_crypto *crypto;
    uint8_t digest[32];
    bp_cw w;
};

static bp_result add_row(void *self, const struct bp_release_row *row, const char *zone, enum bp_acceptance state)
{
    struct set *s = self;
    const uint8_t byte = (uint8_t)state;
    uint8_t next[32];
    const bp_span parts[] = {BP_SPAN_OF(s->digest), BP_SPAN_OF(row->id), bp_span_of(&byte, 1), bp_span_cstr(zone)};
    BP_TRY(bp_hash_parts(s->crypto, BP_HASH_SHA256, parts, 4, next));
    memcpy(s->digest, next, sizeof next);
    bp_cw_array(&s->w, 3);
    bp_cw_bstr(&s->w, BP_SPAN_OF(row->id));
    bp_cw_uint(&s->w, byte);
    bp_cw_cstr(&s->w, zone);
    return BP_OK;
}

static bp_result count_row(void *self, const struct bp_release_row *row, const char *zone, enum bp_acceptance state)
{
    uint32_t *n = self;
    (void)row;
    (void)zone;
    (void)state;
    ++*n;
    return BP_OK;
}

static bp_result keep_set(struct bp_releases *r)
{
    struct set s = {.crypto = r->crypto};
    uint32_t rows = 0;
    BP_TRY(bp_store_acceptances(r->store, count_row, &rows));
    const size_t cap = 16 + (size_t)rows * (BP_DIGEST_SIZE + BP_NAME_MAX + 8);
    uint8_t *room = bp_alloc(cap);
    if (room == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s.w = bp_cw_over(room, cap);
    bp_cw_array(&s.w, rows);
    bp_result got = bp_store_acceptances(r->store, add_row, &s);
    if (!bp_failed(got)) {
        got = bp_cw_finish(&s.w);
    }
    if (!bp_failed(got)) {
        got = bp_store_blob_put(r->store, BP_BLOB_REFERENCES, BP_SPAN_OF(s.digest), bp_cw_span(&s.w), r->now_ms);
    }
    bp_free(room);
    return got;
}

/* -- moves ------------------------------------------------------------------------------------- */
/* From (row) to (column): what is not named is refused. A withdrawn release does not come back: its maker
 * signs another. */
static const bool moves[4][4] = {
    [BP_ACC_IMPORTED] = {[BP_ACC_ACCEPTED] = true, [BP_ACC_WITHDRAWN] = true},
    [BP_ACC_ACCEPTED] = {[BP_ACC_DEPRECATED] = true, [BP_ACC_WITHDRAWN] = true},
    [BP_ACC_DEPRECATED] = {[BP_ACC_ACCEPTED] = true, [BP_ACC_WITHDRAWN] = true},
};

bp_result bp_releases_move(struct bp_releases *r, bp_span id, bp_span zone, enum bp_acceptance to, bp_span reason,
                           bp_span actor, enum bp_problem *ret_problem)
{
    static const enum bp_event_type events[] = {0, BP_EV_RELEASE_ACCEPTED, BP_EV_RELEASE_DEPRECATED,
                                                BP_EV_RELEASE_WITHDRAWN};
    struct bp_release_row row;
    enum bp_acceptance from = BP_ACC_IMPORTED;
    char zone_text[BP_NAME_MAX + 1];
    char by[BP_NAME_MAX + 1];
    char why[BP_REASON_MAX + 1];
    char name[2 * BP_NAME_MAX + 2];
    *ret_problem = BP_P_NONE;
    if (zone.n == 0 || zone.n > BP_NAME_MAX || has_control(zone) || reason.n >= sizeof why || has_control(reason) ||
        to < BP_ACC_ACCEPTED || to > BP_ACC_WITHDRAWN) {
        say(r, "zone or reason");
        return REFUSE(VALUE);
    }
    const bp_result got = bp_store_release(r->store, id, &row);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return REFUSE(NOT_FOUND);
    }
    BP_TRY(got);
    name_of(&row, name);
    const bp_result state = bp_store_acceptance(r->store, id, zone, &from);
    if (bp_failed(state) && !bp_is(state, BP_E_NOT_FOUND)) {
        return state;
    }
    if (!moves[from][to]) {
        (void)snprintf(r->detail, sizeof r->detail, "it is %s there", bp_acceptance_name(from));
        return REFUSE(WRONG_STATE);
    }
    copy(zone, zone_text, sizeof zone_text);
    copy(actor, by, sizeof by);
    copy(reason, why, sizeof why);
    BP_TRY(bp_store_acceptance_set(r->store, id, zone_text, to, by, why, r->now_ms));
    BP_TRY(keep_set(r));
    BP_TRY(note(r, events[to], id, zone, reason, actor, name));
    r->effects->references = true;
    return BP_OK;
}
