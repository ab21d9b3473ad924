/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/ownership - chains of ownership: taken in, shown, ended. */
#include "fleet/registry/ownership.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/devid.h"
#include "core/erasure.h"
#include "core/ownership.h"
#include "platform/alloc.h"

#define BP_MODULE REGISTRY

struct taking {
    struct bp_registry *r;
    struct bp_ownership_chain chain;
    struct bp_own_state state;
    struct bp_owned kept; /* phase 0: none */
    struct bp_ownership_chain before;
    uint8_t *kept_bytes; /* the next call on the store takes its spans away */
    char pseudonym[BP_PSEUDONYM_SIZE + 1];
    bp_span actor;
    char *detail;
};

static bp_result note(const struct taking *t, enum bp_event_type type, const struct bp_device *d, bp_span key, bp_span text)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = t->r->now_ms, .type = type, .source = BP_SPAN_STR("keeper"), .actor = t->actor};
    e.device = bp_span_cstr(t->pseudonym);
    if (key.n != 0) {
        e.detail[e.detail_count++] = (struct bp_event_detail){key, BP_VAL_TEXT, 0, text};
    }
    if (t->state.epoch != 0) {
        e.detail[e.detail_count++] = (struct bp_event_detail){BP_SPAN_STR("epoch"), BP_VAL_INT, t->state.epoch, BP_SPAN_EMPTY};
        e.detail[e.detail_count++] =
            (struct bp_event_detail){BP_SPAN_STR("head"), BP_VAL_BYTES, 0, BP_SPAN_OF(t->state.head)};
    }
    return bp_log_append(t->r->log, &e, d != NULL ? d->n : 0, d != NULL ? &d->place : &t->kept.place, &number);
}

static bp_result load_kept(struct taking *t, bp_span id)
{
    const bp_result got = bp_store_owned(t->r->store, id, &t->kept);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    const size_t n = t->kept.chain.n;
    t->kept_bytes = bp_alloc(n + t->kept.erasure.n);
    if (t->kept_bytes == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    memcpy(t->kept_bytes, t->kept.chain.p, n);
    if (t->kept.erasure.n != 0) {
        memcpy(t->kept_bytes + n, t->kept.erasure.p, t->kept.erasure.n);
    }
    t->kept.chain = bp_span_of(t->kept_bytes, n);
    t->kept.erasure = bp_span_of(t->kept_bytes + n, t->kept.erasure.n);
    return bp_ownership_chain_read(t->kept.chain, &t->before);
}

/* --- a chain comes --- */

/* A shorter chain that says something else of an epoch is a fork as well, not only an old copy. */
static bool differs(const struct taking *t)
{
    for (uint32_t i = 0; i < t->chain.statements && i < t->before.statements; i++) {
        if (!bp_span_equal(t->chain.statement[i], t->before.statement[i])) {
            return true;
        }
    }
    return false;
}

static bp_result refuse_chain(struct taking *t, enum bp_own_fault f, enum bp_problem *ret_problem)
{
    const bool is_fork = f == BP_OWN_FORK || (f == BP_OWN_OLDER && differs(t));
    f = is_fork ? BP_OWN_FORK : f;
    (void)snprintf(t->detail, BP_REASON_MAX, "statement %" PRIu32 ": %s [%s]", t->state.statements + 1, bp_own_fault_text(f),
                   bp_own_fault_code(f));
    t->state.epoch = 0; /* what was walked so far is not what is kept */
    *ret_problem = is_fork ? BP_P_OWNERSHIP_FORK : BP_P_OWNERSHIP;
    BP_TRY(note(t, is_fork ? BP_EV_OWNERSHIP_FORK : BP_EV_OWNERSHIP_REFUSED, NULL, BP_SPAN_STR("reason"), bp_span_cstr(t->detail)));
    return BP_FAIL(DENIED);
}

static enum bp_own_fault judge(struct taking *t)
{
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    uint8_t anchor[BP_SHA256_SIZE];
    const bool is_known = t->kept.phase != 0;
    if (is_known && bp_failed(bp_hash(t->r->crypto, BP_HASH_SHA256, t->before.maker, anchor))) {
        return BP_OWN_SIGNATURE;
    }
    const struct bp_own_ask ask = {.device_id = t->chain.device_id,
                                   .anchor = is_known ? anchor : NULL,
                                   .epoch = is_known ? t->kept.epoch : 0,
                                   .head = t->kept.head,
                                   .now_ms = t->r->now_ms,
                                   .is_present = true, /* that somebody is there is the device's to know */
                                   .scratch = scratch};
    return bp_ownership_walk(t->r->crypto, &ask, &t->chain, &t->state);
}

/* Whose it is by the chain now. */
static bool is_ours(const struct taking *t, bp_span owner_card)
{
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    struct bp_owner_card card;
    return bp_owner_card_check(t->r->crypto, owner_card, scratch, &card) == BP_OWN_NONE &&
           bp_span_equal(card.key, t->state.last.to_key);
}

static bool has_keys_of_ours(const struct bp_device *d)
{
    return d->state == BP_ST_ENROLLED || d->state == BP_ST_ACTIVE || d->state == BP_ST_QUARANTINED;
}

static bp_result save(struct taking *t, struct bp_owned *o)
{
    uint8_t *bytes = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    size_t n = 0;
    if (bytes == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    struct bp_ownership_chain bare = t->chain;
    bare.card = BP_SPAN_EMPTY;
    bp_result r = bp_ownership_chain_write(&bare, bytes, BP_OWNERSHIP_FILE_MAX, &n);
    if (!bp_failed(r)) {
        o->chain = bp_span_of(bytes, n);
        r = bp_store_owned_set(t->r->store, o);
        o->chain = BP_SPAN_EMPTY;
    }
    bp_free(bytes);
    return r;
}

/* The device becomes ours: where it goes when it comes, or at once when it waits already. */
static bp_result becomes_ours(struct taking *t, struct bp_owned *o, const struct bp_device *d, enum bp_problem *ret_problem)
{
    const bool waits = d->state == BP_ST_WAITING;
    if (d->n != 0 && !waits) {
        o->place = d->place;
    }
    if (o->place.zone[0] == 0) {
        (void)snprintf(t->detail, BP_REASON_MAX, "the zone is missing");
        *ret_problem = BP_P_VALUE;
        return BP_FAIL(DENIED);
    }
    BP_TRY(save(t, o));
    BP_TRY(note(t, BP_EV_OWNERSHIP_IMPORTED, d->n != 0 ? d : NULL, BP_SPAN_STR("owner"), t->state.last.owner));
    return waits ? bp_registry_approve(t->r, d->n, &o->place, t->actor, ret_problem) : BP_OK;
}

/* It goes to another owner, or nobody owns it any more. */
static bp_result goes_away(struct taking *t, struct bp_owned *o, const struct bp_device *d, enum bp_problem *ret_problem)
{
    if (t->kept.phase == 0) {
        (void)snprintf(t->detail, BP_REASON_MAX, "%s [%s]", bp_own_fault_text(BP_OWN_OWNER), bp_own_fault_code(BP_OWN_OWNER));
        *ret_problem = BP_P_OWNERSHIP;
        t->state.epoch = 0;
        BP_TRY(note(t, BP_EV_OWNERSHIP_REFUSED, NULL, BP_SPAN_STR("reason"), bp_span_cstr(t->detail)));
        return BP_FAIL(DENIED);
    }
    o->place = t->kept.place;
    o->phase = has_keys_of_ours(d) ? BP_OWNED_HANDED : BP_OWNED_GONE;
    BP_TRY(save(t, o));
    const bool is_end = t->state.last.kind == BP_OWNERSHIP_RETIRE;
    BP_TRY(note(t, BP_EV_DEVICE_HANDED_OVER, d->n != 0 ? d : NULL, BP_SPAN_STR("owner"),
                is_end ? BP_SPAN_STR("nobody") : t->state.last.owner));
    const bool is_claimed = d->state == BP_ST_CLAIMED;
    return is_claimed ? bp_registry_retire(t->r, d->n, BP_SPAN_STR("handed over before it came"), t->actor, ret_problem) : BP_OK;
}

static bp_result take(struct taking *t, bp_span owner_card, const struct bp_place *place, struct bp_owned *ret,
                      enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    const enum bp_own_fault f = judge(t);
    if (f != BP_OWN_NONE) {
        return refuse_chain(t, f, ret_problem);
    }
    const bp_result got = bp_store_device_by_id(t->r->store, t->chain.device_id, &d);
    if (bp_failed(got) && !bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    struct bp_owned o = {.phase = BP_OWNED_OURS, .epoch = t->state.epoch, .place = *place, .at_ms = t->r->now_ms};
    memcpy(o.id, t->chain.device_id.p, sizeof o.id);
    memcpy(o.head, t->state.head, sizeof o.head);
    (void)snprintf(o.by, sizeof o.by, "%.*s", (int)t->actor.n, (const char *)t->actor.p);
    *ret = o;
    if (t->kept.phase != 0 && t->kept.epoch == o.epoch) { /* the same again */
        *ret = t->kept;
        ret->chain = ret->erasure = BP_SPAN_EMPTY;
        return BP_OK;
    }
    const bool ours = t->state.last.kind != BP_OWNERSHIP_RETIRE && is_ours(t, owner_card);
    const bp_result r = ours ? becomes_ours(t, &o, &d, ret_problem) : goes_away(t, &o, &d, ret_problem);
    *ret = o;
    return r;
}

bp_result bp_registry_own(struct bp_registry *r, bp_span chain, bp_span owner_card, const struct bp_place *place, bp_span actor,
                          struct bp_owned *ret, char *ret_detail, enum bp_problem *ret_problem)
{
    *ret_problem = BP_P_NONE;
    ret_detail[0] = 0;
    struct taking *t = bp_alloc(sizeof *t);
    if (t == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    t->r = r;
    t->actor = actor;
    t->detail = ret_detail;
    bp_result x = bp_ownership_chain_read(chain, &t->chain);
    if (bp_failed(x)) {
        (void)snprintf(ret_detail, BP_REASON_MAX, "no chain of ownership: %s", bp_error_text(bp_error_of(x)));
        *ret_problem = BP_P_MALFORMED;
        x = BP_FAIL(DENIED);
    } else {
        x = bp_registry_pseudonym(r, t->chain.device_id, t->pseudonym);
        if (!bp_failed(x)) {
            x = load_kept(t, t->chain.device_id);
        }
        if (!bp_failed(x)) {
            x = take(t, owner_card, place, ret, ret_problem);
        }
    }
    bp_free(t->kept_bytes);
    bp_free(t);
    return x;
}

/* --- a device leaves --- */

static bp_result deny(struct taking *t, enum bp_problem problem, const char *why, enum bp_problem *ret_problem)
{
    (void)snprintf(t->detail, BP_REASON_MAX, "%s", why);
    *ret_problem = problem;
    return BP_FAIL(DENIED);
}

static bp_result leave(struct taking *t, bp_span bytes, enum bp_problem *ret_problem)
{
    struct bp_owner_erasure e;
    struct bp_device d = {0};
    bp_span ak = BP_SPAN_EMPTY;
    bp_span binding = BP_SPAN_EMPTY;
    if (bp_failed(bp_owner_erasure_read(bytes, &e))) {
        return deny(t, BP_P_MALFORMED, "no statement of a device that leaves", ret_problem);
    }
    BP_TRY(load_kept(t, e.device_id));
    if (t->kept.phase == 0 || bp_failed(bp_store_device_by_id(t->r->store, e.device_id, &d))) {
        return deny(t, BP_P_NO_OWNERSHIP, "no chain of ownership is known for it", ret_problem);
    }
    if (t->kept.phase == BP_OWNED_GONE && bp_span_equal(t->kept.erasure, bytes)) {
        return BP_OK;
    }
    if (t->kept.phase != BP_OWNED_HANDED || e.epoch != t->kept.epoch || !bp_span_equal(e.head, BP_SPAN_OF(t->kept.head))) {
        return deny(t, BP_P_ERASURE, "the device was not handed over by the statement that it names", ret_problem);
    }
    BP_TRY(bp_store_ak(t->r->store, d.n, &ak, &binding));
    if (!bp_owner_erasure_is_by(t->r->crypto, &e, ak)) {
        return deny(t, BP_P_ERASURE, "it is not signed by the attestation key of the device", ret_problem);
    }
    struct bp_owned o = t->kept;
    o.phase = BP_OWNED_GONE;
    o.erasure = bytes;
    memcpy(t->pseudonym, d.pseudonym, sizeof t->pseudonym);
    t->state.epoch = t->kept.epoch;
    memcpy(t->state.head, t->kept.head, sizeof t->state.head);
    BP_TRY(bp_store_owned_set(t->r->store, &o));
    BP_TRY(note(t, BP_EV_DEVICE_LEFT, &d, BP_SPAN_EMPTY, BP_SPAN_EMPTY));
    return bp_registry_retire(t->r, d.n, BP_SPAN_STR("handed over to another owner"), t->actor, ret_problem);
}

bp_result bp_registry_left(struct bp_registry *r, bp_span erasure, char *ret_detail, enum bp_problem *ret_problem)
{
    *ret_problem = BP_P_NONE;
    ret_detail[0] = 0;
    struct taking *t = bp_alloc(sizeof *t);
    if (t == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    t->r = r;
    t->actor = BP_SPAN_STR("keeper");
    t->detail = ret_detail;
    const bp_result x = leave(t, erasure, ret_problem);
    bp_free(t->kept_bytes);
    bp_free(t);
    return x;
}

/* --- a device asks --- */

bp_result bp_registry_chain(struct bp_registry *r, bp_span id, bp_span owner_card, uint8_t *ret, size_t cap, size_t *ret_len)
{
    struct bp_owned o = {0};
    BP_TRY(bp_store_owned(r->store, id, &o));
    struct bp_ownership_chain *chain = bp_alloc(sizeof *chain);
    if (chain == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result x = bp_ownership_chain_read(o.chain, chain);
    if (!bp_failed(x)) {
        chain->card = owner_card;
        x = bp_ownership_chain_write(chain, ret, cap, ret_len);
    }
    bp_free(chain);
    return x;
}
