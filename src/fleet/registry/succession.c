/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/succession - the same box with a new root: one person proposes, another one approves.
 *
 * What is approved is named by a digest over everything that it does and over what stood before, so that nothing else
 * happens in its name, and nothing happens after things changed. */
#include "codec/cbor.h"
#include "fleet/registry/internal.h"

#define BP_MODULE REGISTRY

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))
#define VERB "succeed"
#define BEFORE_MAX 1024u
#define OBJECT_MAX 1024u

static bp_result load(struct bp_registry *r, int64_t device, struct bp_device *ret, enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_device_by_n(r->store, device, ret);
    return bp_is(got, BP_E_NOT_FOUND) ? REFUSE(NOT_FOUND) : got;
}

/* -- what stands before ------------------------------------------------------------------------ */
/* Keys of the root. Session keys are left out: a renewal changes nothing of what was proposed. */
static bp_result root_keys(struct bp_registry *r, int64_t device, uint8_t ret[32])
{
    struct bp_key key[BP_KEYS_PER_DEVICE_MAX];
    bp_span part[BP_KEYS_PER_DEVICE_MAX];
    size_t n = 0;
    size_t parts = 0;
    BP_TRY(bp_store_key_of(r->store, device, key, BP_KEYS_PER_DEVICE_MAX, &n));
    for (size_t i = 0; i < n; i++) {
        if (key[i].role != BP_ROLE_LDEVID && !key[i].tombstone) {
            part[parts++] = BP_SPAN_OF(key[i].spki);
        }
    }
    return bp_hash_parts(r->crypto, BP_HASH_SHA256, part, parts, ret);
}

/* State, place and keys of a device. What each heartbeat changes is no part of it. */
static bp_result put_device(struct bp_registry *r, bp_cw *w, const struct bp_device *d, const struct bp_position *p)
{
    uint8_t keys[32] = {0};
    BP_TRY(root_keys(r, d->n, keys));
    bp_cw_array(w, 8);
    bp_cw_bstr(w, BP_SPAN_OF(d->id));
    bp_cw_uint(w, d->state);
    bp_cw_cstr(w, d->place.zone);
    bp_cw_cstr(w, d->place.site);
    bp_cw_cstr(w, d->place.model);
    bp_cw_cstr(w, d->place.name);
    bp_cw_cstr(w, p->tag);
    bp_cw_bstr(w, BP_SPAN_OF(keys));
    return BP_OK;
}

static bp_result before_digest(struct bp_registry *r, const struct bp_device *old, const struct bp_device *d,
                               const struct bp_position *p, uint8_t ret[32])
{
    static const struct bp_position none;
    uint8_t room[BEFORE_MAX];
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_array(&w, 2);
    BP_TRY(put_device(r, &w, old, p));
    BP_TRY(put_device(r, &w, d, &none));
    BP_TRY(bp_cw_finish(&w));
    return bp_hash(r->crypto, BP_HASH_SHA256, bp_cw_span(&w), ret);
}

/* Name of the act: everything that it is about. */
static bp_result action_digest(struct bp_registry *r, const struct bp_action *a, const struct bp_device *old,
                               const struct bp_device *d, uint8_t ret[32])
{
    uint8_t room[OBJECT_MAX];
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_array(&w, 8);
    bp_cw_cstr(&w, "bedplate-action-v1");
    bp_cw_bstr(&w, BP_SPAN_OF(a->id));
    bp_cw_cstr(&w, a->verb);
    bp_cw_array(&w, 2);
    bp_cw_bstr(&w, BP_SPAN_OF(old->id));
    bp_cw_bstr(&w, BP_SPAN_OF(d->id));
    bp_cw_bstr(&w, BP_SPAN_OF(a->before));
    bp_cw_cstr(&w, a->reason);
    bp_cw_cstr(&w, a->author_name);
    bp_cw_int(&w, a->expires_ms);
    BP_TRY(bp_cw_finish(&w));
    return bp_hash(r->crypto, BP_HASH_SHA256, bp_cw_span(&w), ret);
}

/* -- whether it may be ------------------------------------------------------------------------- */
struct pair {
    struct bp_device old, d;
    struct bp_position p; /* of the old one; n 0: none */
};

/* A revoked or retired device has no successor: its name does not come back by another way. The new root is of the old
 * one's class: a discrete chip does not become a virtual one by a reset. */
static bp_result check_pair(struct bp_registry *r, struct pair *x, const char **ret_why, enum bp_problem *ret_problem)
{
    if (bp_registry_next(x->old.state, BP_OP_RETIRE) == BP_ST_NONE) {
        *ret_why = bp_device_state_name(x->old.state);
        return REFUSE(WRONG_STATE);
    }
    const bp_result got = bp_store_position_of(r->store, x->old.n, &x->p);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        x->p = (struct bp_position){.place = x->old.place};
    } else {
        BP_TRY(got);
    }
    BP_TRY(bp_registry_check_spare(r, &x->p, &x->d, ret_why));
    if (*ret_why == NULL && (strcmp(x->old.kind, x->d.kind) != 0 || strcmp(x->old.issuer_class, x->d.issuer_class) != 0)) {
        *ret_why = "its root is of another class: it is not the same box";
    }
    if (*ret_why != NULL) {
        return REFUSE(NOT_A_SPARE);
    }
    *ret_why = "";
    return BP_OK;
}

static bp_result load_pair(struct bp_registry *r, int64_t old, int64_t d, struct pair *ret, const char **ret_why,
                           enum bp_problem *ret_problem)
{
    *ret = (struct pair){0};
    BP_TRY(load(r, old, &ret->old, ret_problem));
    BP_TRY(load(r, d, &ret->d, ret_problem));
    return check_pair(r, ret, ret_why, ret_problem);
}

/* -- acts -------------------------------------------------------------------------------------- */
bp_result bp_registry_propose(struct bp_registry *r, int64_t old, int64_t successor, bp_span reason,
                              const struct bp_operator *who, struct bp_action *ret, const char **ret_why,
                              enum bp_problem *ret_problem)
{
    struct pair x;
    uint32_t open = 0;
    struct bp_action a = {.verb = VERB, .device = old, .successor = successor, .author = who->n,
                          .created_ms = r->now_ms, .expires_ms = r->now_ms + BP_ACTION_MS};
    *ret_problem = BP_P_NONE;
    *ret_why = "";
    if (old == successor || reason.n == 0 || !bp_registry_text(reason, a.reason, sizeof a.reason) ||
        !bp_registry_text(bp_span_cstr(who->name), a.author_name, sizeof a.author_name)) {
        return REFUSE(VALUE);
    }
    BP_TRY(bp_store_action_open(r->store, r->now_ms, BP_ACTIONS_OPEN_MAX, &open));
    if (open >= BP_ACTIONS_OPEN_MAX) {
        *ret_why = "too many acts wait for an approval";
        return REFUSE(CONFLICT);
    }
    BP_TRY(load_pair(r, old, successor, &x, ret_why, ret_problem));
    BP_TRY(bp_random(r->entropy, a.id, sizeof a.id));
    BP_TRY(before_digest(r, &x.old, &x.d, &x.p, a.before));
    BP_TRY(action_digest(r, &a, &x.old, &x.d, a.digest));
    BP_TRY(bp_store_action_add(r->store, &a));
    *ret = a;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("action"), BP_VAL_BYTES, 0, BP_SPAN_OF(a.id)},
        {BP_SPAN_STR("digest"), BP_VAL_BYTES, 0, BP_SPAN_OF(a.digest)},
        {BP_SPAN_STR("successor"), BP_VAL_TEXT, 0, bp_span_cstr(x.d.pseudonym)},
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    return bp_registry_tell(r, BP_EV_SUCCESSION_PROPOSED, &x.old, &x.old.place, bp_span_cstr(who->name), detail, 4);
}

/* An act that waits, for whoever decides. */
static bp_result waiting(struct bp_registry *r, bp_span id, struct bp_action *ret, enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_action(r->store, id, ret);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return REFUSE(NOT_FOUND);
    }
    BP_TRY(got);
    return ret->state != BP_ACTION_OPEN || ret->expires_ms <= r->now_ms ? REFUSE(ACTION_OVER) : BP_OK;
}

static bp_result decide(struct bp_registry *r, struct bp_action *a, enum bp_action_state state, const struct bp_operator *who)
{
    a->state = state;
    a->decided_ms = r->now_ms;
    memcpy(a->decided_by, who->name, sizeof a->decided_by);
    return bp_store_action_decide(r->store, a);
}

static bp_result tell_both(struct bp_registry *r, const struct bp_action *a, const struct pair *x, const struct bp_operator *who)
{
    const struct bp_event_detail gone[] = {
        {BP_SPAN_STR("action"), BP_VAL_BYTES, 0, BP_SPAN_OF(a->id)},
        {BP_SPAN_STR("author"), BP_VAL_TEXT, 0, bp_span_cstr(a->author_name)},
        {BP_SPAN_STR("by"), BP_VAL_TEXT, 0, bp_span_cstr(x->d.pseudonym)},
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(a->reason)}};
    const struct bp_event_detail came[] = {
        {BP_SPAN_STR("action"), BP_VAL_BYTES, 0, BP_SPAN_OF(a->id)},
        {BP_SPAN_STR("author"), BP_VAL_TEXT, 0, bp_span_cstr(a->author_name)},
        {BP_SPAN_STR("position"), BP_VAL_TEXT, 0, bp_span_cstr(x->p.tag)},
        {BP_SPAN_STR("succeeds"), BP_VAL_TEXT, 0, bp_span_cstr(x->old.pseudonym)}};
    const bp_span by = bp_span_cstr(who->name);
    BP_TRY(bp_registry_tell(r, BP_EV_DEVICE_SUCCEEDED, &x->old, &x->old.place, by, gone, 4));
    return bp_registry_tell(r, BP_EV_DEVICE_SUCCESSOR, &x->d, &x->d.place, by, came, 4);
}

bp_result bp_registry_action_approve(struct bp_registry *r, bp_span id, bp_span digest, const struct bp_operator *who,
                                     const char **ret_why, enum bp_problem *ret_problem)
{
    struct bp_action a = {0};
    struct pair x;
    uint8_t before[32];
    *ret_problem = BP_P_NONE;
    *ret_why = "";
    BP_TRY(waiting(r, id, &a, ret_problem));
    if (a.author == who->n) {
        return REFUSE(SAME_PERSON);
    }
    if (!bp_span_equal(digest, BP_SPAN_OF(a.digest))) {
        *ret_why = "digest";
        return REFUSE(PRECONDITION);
    }
    BP_TRY(load_pair(r, a.device, a.successor, &x, ret_why, ret_problem));
    BP_TRY(before_digest(r, &x.old, &x.d, &x.p, before));
    if (memcmp(before, a.before, sizeof before) != 0) {
        *ret_why = "a device or its position changed since it was proposed";
        return REFUSE(PRECONDITION);
    }
    BP_TRY(bp_registry_put_off(r, &x.old, 4, bp_span_cstr(a.reason), ret_problem)); /* superseded */
    BP_TRY(bp_registry_put(r, &x.p, &x.d));
    BP_TRY(decide(r, &a, BP_ACTION_DONE, who));
    return tell_both(r, &a, &x, who);
}

bp_result bp_registry_action_reject(struct bp_registry *r, bp_span id, bp_span reason, const struct bp_operator *who,
                                    enum bp_problem *ret_problem)
{
    struct bp_action a = {0};
    struct bp_device old = {0};
    char text[BP_REASON_MAX + 1];
    *ret_problem = BP_P_NONE;
    if (!bp_registry_text(reason, text, sizeof text)) {
        return REFUSE(VALUE);
    }
    BP_TRY(waiting(r, id, &a, ret_problem));
    BP_TRY(load(r, a.device, &old, ret_problem));
    BP_TRY(decide(r, &a, BP_ACTION_REJECTED, who));
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("action"), BP_VAL_BYTES, 0, BP_SPAN_OF(a.id)},
                                             {BP_SPAN_STR("author"), BP_VAL_TEXT, 0, bp_span_cstr(a.author_name)},
                                             {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    return bp_registry_tell(r, BP_EV_SUCCESSION_REJECTED, &old, &old.place, bp_span_cstr(who->name), detail, 3);
}
