/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/registry - acts on devices and keys, each with its event, inside the keeper's
 * group. */
#include "fleet/registry/expected.h"

#include "base/secret.h"
#include "fleet/registry/internal.h"
#include "fleet/store/crash.h"

#define BP_MODULE    REGISTRY

/* Refuses with a problem. */
#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))

/* -- names ------------------------------------------------------------------------------------- */
static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* `chars` characters of base32 (RFC 4648) over bytes that hold at least chars * 5 bits. */
static void to_base32(const uint8_t *p, size_t chars, char *ret)
{
    for (size_t i = 0; i < chars; i++) {
        const size_t bit = i * 5;
        unsigned v = (unsigned)p[bit / 8] << 8;
        if (bit % 8 > 3) {
            v |= p[bit / 8 + 1];
        }
        ret[i] = base32[(v >> (11 - bit % 8)) & 31];
    }
    ret[chars] = 0;
}

bp_result bp_registry_pseudonym(struct bp_registry *r, bp_span id, char ret[BP_PSEUDONYM_SIZE + 1])
{
    uint8_t mac[32];
    BP_TRY(bp_hmac_sha256(r->crypto, BP_SPAN_OF(r->owner_secret), &id, 1, mac));
    to_base32(mac, BP_PSEUDONYM_SIZE, ret);
    return BP_OK;
}

bool bp_registry_text(bp_span from, char *ret, size_t cap)
{
    if (from.n >= cap) {
        return false;
    }
    for (size_t i = 0; i < from.n; i++) {
        if (from.p[i] < 0x20 || from.p[i] == 0x7f) {
            return false;
        }
    }
    if (from.n > 0) {
        memcpy(ret, from.p, from.n);
    }
    ret[from.n] = 0;
    return true;
}

/* -- events ------------------------------------------------------------------------------------ */
static struct bp_event_detail text_of(bp_span key, const char *value)
{
    return (struct bp_event_detail){key, BP_VAL_TEXT, 0, bp_span_cstr(value)};
}

static bp_result note(struct bp_registry *r, enum bp_event_type type, const struct bp_device *d,
                      bp_span actor, const struct bp_event_detail *detail, size_t count)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = r->now_ms,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = actor,
                         .detail_count = count};
    if (d != NULL) {
        e.device = bp_span_cstr(d->pseudonym);
    }
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = detail[i];
    }
    return bp_log_append(r->log, &e, d == NULL ? 0 : d->n, d == NULL ? NULL : &d->place, &number);
}

static const bp_span by_rule = {(const uint8_t *)"keeper", 6};

/* -- the one way in which a state changes ------------------------------------------------------ */
/* Into quarantine and out of it: the certificates of applications are suspended meanwhile, so that nobody else takes the
 * device for sound either. */
static bp_result suspend(struct bp_registry *r, const struct bp_device *d, enum bp_lifecycle next)
{
    if ((d->state == BP_ST_QUARANTINED) == (next == BP_ST_QUARANTINED)) {
        return BP_OK;
    }
    const bp_result done = next == BP_ST_QUARANTINED ? bp_store_cert_hold(r->store, d->n, r->now_ms)
                                                     : bp_store_cert_unhold(r->store, d->n);
    r->effects->crl |= !bp_failed(done);
    return bp_is(done, BP_E_NOT_FOUND) ? BP_OK : done;
}

static bp_result change(struct bp_registry *r, struct bp_device *d, enum bp_operation op,
                        bp_span reason, enum bp_problem *ret_problem)
{
    enum bp_lifecycle next = bp_registry_next(d->state, op);
    if (next == BP_ST_NONE) {
        *ret_problem = bp_registry_may(d->state, op);
        return BP_FAIL(DENIED);
    }
    if (op == BP_OP_RELEASE && d->before_quarantine != BP_ST_NONE) {
        next = d->before_quarantine;
    }
    if (!bp_registry_text(reason, d->state_reason, sizeof d->state_reason)) {
        return REFUSE(VALUE);
    }
    if (next == BP_ST_QUARANTINED && d->state != BP_ST_QUARANTINED) {
        d->before_quarantine = d->state;
    }
    BP_TRY(suspend(r, d, next));
    if (next != d->state) {
        d->state_ms = r->now_ms;
    }
    d->state = next;
    return bp_store_device_set(r->store, d);
}

static bp_result load(struct bp_registry *r, int64_t device, struct bp_device *ret,
                      enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_device_by_n(r->store, device, ret);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return REFUSE(NOT_FOUND);
    }
    return got;
}

/* -- keys -------------------------------------------------------------------------------------- */
/* Enters a key for a device. A key that is the same device's already, for the same use, is fine;
 * anybody else's, one of another use, or a tombstone, is not. */
static bp_result own_key_for(struct bp_registry *r, int64_t device, const uint8_t spki[32],
                             enum bp_key_role role, const char *service, enum bp_problem *ret_problem)
{
    struct bp_key k = {0};
    const bp_result got = bp_store_key(r->store, bp_span_of(spki, 32), &k);
    if (!bp_failed(got)) {
        const bool same = k.device == device && k.role == role && strcmp(k.service, service) == 0;
        return same && !k.tombstone ? BP_OK : REFUSE(KEY_IN_USE);
    }
    if (!bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    k = (struct bp_key){.device = device, .role = role, .since_ms = r->now_ms};
    memcpy(k.spki, spki, 32);
    if (!bp_registry_text(bp_span_cstr(service), k.service, sizeof k.service)) {
        return REFUSE(VALUE);
    }
    return bp_store_key_add(r->store, &k);
}

static bp_result own_key(struct bp_registry *r, int64_t device, const uint8_t spki[32],
                         enum bp_key_role role, enum bp_problem *ret_problem)
{
    return own_key_for(r, device, spki, role, "", ret_problem);
}

bool bp_registry_shows_identity(const struct bp_device *d, const uint8_t (*ek)[32], size_t count)
{
    bool shown = false;
    for (size_t i = 0; i < count; i++) {
        shown = shown || memcmp(ek[i], d->id + 1, BP_DIGEST_SIZE) == 0;
    }
    return shown;
}

/* An endorsement key that was proven now; one that is not the identity key is told of when it is new. */
static bp_result own_ek(struct bp_registry *r, const struct bp_device *d, const uint8_t ek[32], enum bp_problem *ret_problem)
{
    struct bp_key k = {0};
    const bool is_new = bp_is(bp_store_key(r->store, bp_span_of(ek, BP_DIGEST_SIZE), &k), BP_E_NOT_FOUND);
    BP_TRY(own_key(r, d->n, ek, BP_ROLE_EK, ret_problem));
    if (!is_new || memcmp(ek, d->id + 1, BP_DIGEST_SIZE) == 0) {
        return BP_OK;
    }
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("key"), BP_VAL_BYTES, 0, bp_span_of(ek, BP_DIGEST_SIZE)}};
    return note(r, BP_EV_ALIAS_PROVEN, d, by_rule, detail, 1);
}

static bp_result own_keys(struct bp_registry *r, const struct bp_device *d, const struct bp_contact *c,
                          enum bp_problem *ret_problem)
{
    for (size_t i = 0; i < c->ek_count; i++) {
        BP_TRY(own_ek(r, d, c->ek[i], ret_problem));
    }
    BP_TRY(own_key(r, d->n, c->ak_name, BP_ROLE_AK, ret_problem));
    return bp_store_ak_set(r->store, d->n, c->ak_public, c->binding, r->now_ms);
}

bp_result bp_registry_chip(struct bp_registry *r, const uint8_t (*ek)[32], size_t count, struct bp_device *ret,
                           enum bp_problem *ret_problem)
{
    int64_t device = 0;
    *ret_problem = BP_P_NONE;
    for (size_t i = 0; i < count; i++) {
        struct bp_key k = {0};
        const bp_result got = bp_store_key(r->store, bp_span_of(ek[i], BP_DIGEST_SIZE), &k);
        if (bp_is(got, BP_E_NOT_FOUND)) {
            continue;
        }
        BP_TRY(got);
        if (k.role != BP_ROLE_EK) {
            return REFUSE(KEY_IN_USE);
        }
        if (device != 0 && k.device != device) {
            return REFUSE(TWO_DEVICES);
        }
        device = k.device;
    }
    return device == 0 ? BP_FAIL(NOT_FOUND) : bp_store_device_by_n(r->store, device, ret);
}

/* -- invitations ------------------------------------------------------------------------------- */
/* Codes are typed by people: case, blanks and hyphens do not count. */
static bp_result code_hash(struct bp_registry *r, bp_span code, uint8_t ret[32])
{
    uint8_t flat[BP_CODE_TEXT];
    size_t n = 0;
    const uint8_t *p = code.p;
    for (size_t i = 0; i < code.n; i++) {
        if (p[i] == ' ' || p[i] == '-') {
            continue;
        }
        if (n == sizeof flat) {
            return BP_FAIL(NOT_FOUND);
        }
        flat[n++] = p[i] >= 'a' && p[i] <= 'z' ? (uint8_t)(p[i] - 32) : p[i];
    }
    const bp_span parts[] = {BP_SPAN_STR("bedplate-invitation-v1"), {flat, n}};
    const bp_result h = bp_hash_parts(r->crypto, BP_HASH_SHA256, parts, 2, ret);
    bp_wipe(flat, sizeof flat);
    return h;
}

/* ret_own: this device spent it itself, so it is no invitation any more, and no offence. */
static bp_result invitation_of(struct bp_registry *r, bp_span code, int64_t device,
                               struct bp_invitation *ret, bool *ret_own, enum bp_problem *ret_problem)
{
    uint8_t hash[32];
    bp_result got = code_hash(r, code, hash);
    if (!bp_failed(got)) {
        got = bp_store_invitation(r->store, BP_SPAN_OF(hash), ret);
    }
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return REFUSE(BAD_INVITATION);
    }
    BP_TRY(got);
    *ret_own = device != 0 && ret->used_by == device;
    if (*ret_own) {
        return BP_OK;
    }
    return ret->used_by != 0 || ret->expires_ms <= r->now_ms ? REFUSE(BAD_INVITATION) : BP_OK;
}

bp_result bp_registry_invited(struct bp_registry *r, bp_span code, int64_t device,
                              struct bp_place *ret, enum bp_problem *ret_problem)
{
    struct bp_invitation i = {0};
    bool own = false;
    *ret_problem = BP_P_NONE;
    BP_TRY(invitation_of(r, code, device, &i, &own, ret_problem));
    if (!own) {
        struct bp_position held = {0};
        const bp_result got = bp_store_position_of(r->store, device, &held);
        if (bp_failed(got) && !bp_is(got, BP_E_NOT_FOUND)) {
            return got;
        }
        *ret = bp_failed(got) ? i.place : held.place; /* what fills a position stays there */
    }
    return BP_OK;
}

/* position: row of the one that it leads to, 0: none. */
static bp_result invite(struct bp_registry *r, const struct bp_place *place, int64_t position,
                        int64_t expires_in_ms, bp_span actor, char *ret_code,
                        enum bp_problem *ret_problem)
{
    uint8_t chance[17];
    struct bp_invitation i = {.place = *place, .created_ms = r->now_ms, .position = position};
    *ret_problem = BP_P_NONE;
    if (place->zone[0] == 0 || expires_in_ms < 1000 || expires_in_ms > BP_INVITATION_MAX_MS ||
        !bp_registry_text(actor, i.by, sizeof i.by)) {
        return REFUSE(VALUE);
    }
    i.expires_ms = r->now_ms + expires_in_ms;
    BP_TRY(bp_random(r->entropy, chance, sizeof chance));
    char code[BP_CODE_TEXT + 1];
    to_base32(chance, BP_CODE_TEXT, code);
    bp_wipe(chance, sizeof chance);
    BP_TRY(code_hash(r, bp_span_cstr(code), i.code));
    BP_TRY(bp_store_invitation_add(r->store, &i));
    const struct bp_event_detail detail[] = {
        text_of(BP_SPAN_STR("zone"), place->zone),
        text_of(BP_SPAN_STR("name"), place->name),
        {BP_SPAN_STR("expires_ms"), BP_VAL_INT, i.expires_ms, BP_SPAN_EMPTY}};
    BP_TRY(note(r, BP_EV_INVITATION_MADE, NULL, actor, detail, 3));
    memcpy(ret_code, code, sizeof code);
    bp_wipe(code, sizeof code);
    return BP_OK;
}

bp_result bp_registry_invite(struct bp_registry *r, const struct bp_place *place,
                             int64_t expires_in_ms, bp_span actor, char *ret_code,
                             enum bp_problem *ret_problem)
{
    return invite(r, place, 0, expires_in_ms, actor, ret_code, ret_problem);
}

bp_result bp_registry_invite_to(struct bp_registry *r, bp_span tag, int64_t expires_in_ms,
                                bp_span actor, char *ret_code, struct bp_place *ret_place,
                                enum bp_problem *ret_problem)
{
    struct bp_position p = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(bp_registry_vacant(r, tag, &p, ret_problem));
    *ret_place = p.place;
    return invite(r, &p.place, p.n, expires_in_ms, actor, ret_code, ret_problem);
}

/* -- first contact ----------------------------------------------------------------------------- */
static bp_result make_room(struct bp_registry *r, bp_span source, enum bp_problem *ret_problem)
{
    uint32_t all = 0;
    uint32_t mine = 0;
    BP_TRY(bp_store_waiting_count(r->store, source, BP_WAITING_MAX, &all, &mine));
    return all >= BP_WAITING_MAX || mine >= BP_WAITING_PER_SOURCE_MAX ? REFUSE(WAITING_FULL)
                                                                      : BP_OK;
}

/* Where a unit is claimed: its batch's zone, named by its serial number. */
static struct bp_place place_of_unit(const struct bp_expected *e)
{
    struct bp_place p = e->place;
    memcpy(p.name, e->serial, sizeof p.name);
    return p;
}

/* The device is a unit that its maker announced: its manifest stands for the person who would have compared the label. */
static bp_result claim_unit(struct bp_registry *r, const struct bp_device *d, const struct bp_expected *e)
{
    BP_TRY(bp_store_expected_come(r->store, e->n, d->n));
    const struct bp_event_detail detail[] = {
        text_of(BP_SPAN_STR("serial"), e->serial), text_of(BP_SPAN_STR("order"), e->order),
        {BP_SPAN_STR("batch"), BP_VAL_INT, (int64_t)e->batch, BP_SPAN_EMPTY}, text_of(BP_SPAN_STR("zone"), d->place.zone)};
    return note(r, BP_EV_UNIT_CLAIMED, d, by_rule, detail, 4);
}

/* by_chain: it is claimed by a chain of ownership, and there is no code to spend. unit: as which its maker announced it. */
static bp_result contact_new(struct bp_registry *r, const struct bp_contact *c,
                             const struct bp_invitation *invitation, bool by_chain, const struct bp_expected *unit,
                             struct bp_device *d, enum bp_problem *ret_problem)
{
    *d = (struct bp_device){.state = BP_ST_WAITING, .created_ms = r->now_ms, .state_ms = r->now_ms};
    if (!bp_registry_text(c->kind, d->kind, sizeof d->kind) ||
        !bp_registry_text(c->issuer_class, d->issuer_class, sizeof d->issuer_class) ||
        !bp_registry_text(c->source, d->source, sizeof d->source)) {
        return REFUSE(VALUE);
    }
    if (invitation == NULL && unit == NULL) {
        BP_TRY(make_room(r, c->source, ret_problem));
    } else {
        d->state = BP_ST_CLAIMED;
        d->place = invitation != NULL ? invitation->place : place_of_unit(unit);
    }
    memcpy(d->id, c->id.p, sizeof d->id);
    BP_TRY(bp_registry_pseudonym(r, c->id, d->pseudonym));
    BP_TRY(bp_store_device_add(r->store, d, c->info));
    BP_CRASH("registry.device-without-keys");
    BP_TRY(own_keys(r, d, c, ret_problem));
    const struct bp_event_detail detail[] = {text_of(BP_SPAN_STR("root"), d->issuer_class),
                                             text_of(BP_SPAN_STR("source"), d->source),
                                             text_of(BP_SPAN_STR("zone"), d->place.zone)};
    if (unit != NULL) {
        BP_TRY(claim_unit(r, d, unit));
    }
    if (invitation == NULL) {
        return unit != NULL ? BP_OK : note(r, BP_EV_DEVICE_WAITING, d, by_rule, detail, 2);
    }
    if (by_chain) {
        return note(r, BP_EV_DEVICE_CLAIMED, d, bp_span_cstr(invitation->by), detail, 3);
    }
    BP_TRY(bp_store_invitation_use(r->store, BP_SPAN_OF(invitation->code), d->n));
    BP_TRY(note(r, BP_EV_DEVICE_CLAIMED, d, bp_span_cstr(invitation->by), detail, 3));
    return bp_registry_invited_to(r, invitation, d, ret_problem);
}

bp_result bp_registry_owned(struct bp_registry *r, bp_span id, struct bp_place *ret,
                            char ret_by[BP_NAME_MAX + 1])
{
    struct bp_owned o = {0};
    BP_TRY(bp_store_owned(r->store, id, &o));
    if (o.phase != BP_OWNED_OURS) {
        return BP_FAIL(NOT_FOUND);
    }
    *ret = o.place;
    memcpy(ret_by, o.by, sizeof o.by);
    return BP_OK;
}

bool bp_registry_may_return(struct bp_registry *r, const struct bp_device *d)
{
    struct bp_permit p = {0};
    return bp_registry_next(d->state, BP_OP_RETURN) != BP_ST_NONE && !bp_failed(bp_store_permit(r->store, d->n, &p)) &&
           p.expires_ms > r->now_ms;
}

/* It came without its identity key. */
static bp_result tell_alias(struct bp_registry *r, const struct bp_contact *c, const struct bp_device *d)
{
    if (bp_registry_shows_identity(d, c->ek, c->ek_count)) {
        return BP_OK;
    }
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("key"), BP_VAL_BYTES, 0, bp_span_of(c->ek[0], BP_DIGEST_SIZE)}};
    return note(r, BP_EV_KNOWN_BY_ALIAS, d, by_rule, detail, 1);
}

/* A retired chip with a permit: its endorsement keys are dug up, and nothing else is. It brings a new attestation key, or is
 * refused as any other that shows a buried one. */
static bp_result contact_returns(struct bp_registry *r, const struct bp_contact *c, struct bp_device *d,
                                 enum bp_problem *ret_problem)
{
    struct bp_permit p = {0};
    if (!bp_registry_may_return(r, d)) {
        return REFUSE(REVOKED);
    }
    BP_TRY(bp_store_permit(r->store, d->n, &p));
    BP_TRY(bp_store_permit_spend(r->store, d->n));
    BP_TRY(bp_store_key_unbury(r->store, d->n));
    BP_TRY(change(r, d, BP_OP_RETURN, BP_SPAN_STR("returned by a permit"), ret_problem));
    BP_TRY(own_keys(r, d, c, ret_problem));
    BP_TRY(tell_alias(r, c, d));
    return note(r, BP_EV_DEVICE_RETURNED, d, bp_span_cstr(p.by), NULL, 0);
}

/* The same identity key with another attestation key: a cleared TPM, or state that was lost or
 * moved. Nobody asked for it unless it brings an invitation, so a device that had a certificate is
 * held until a person looked. */
static bp_result contact_again(struct bp_registry *r, const struct bp_contact *c,
                               const struct bp_invitation *invitation, struct bp_device *d,
                               enum bp_problem *ret_problem)
{
    const enum bp_operation op = invitation != NULL ? BP_OP_RECLAIM : BP_OP_REBIND;
    const bool held = d->state == BP_ST_QUARANTINED;
    const bp_span reason = invitation != NULL
                               ? BP_SPAN_STR("invited again")
                               : BP_SPAN_STR("came back with a new attestation key: the TPM was "
                                             "cleared or the device's state was lost");
    BP_TRY(change(r, d, op, reason, ret_problem));
    if (invitation != NULL) {
        BP_TRY(bp_registry_place_invited(r, invitation, d));
        d->automatic = false;
        BP_TRY(bp_store_device_set(r->store, d));
        BP_TRY(bp_store_invitation_use(r->store, BP_SPAN_OF(invitation->code), d->n));
    }
    BP_TRY(own_keys(r, d, c, ret_problem));
    BP_TRY(tell_alias(r, c, d));
    BP_TRY(bp_store_vouched_drop(r->store, d->n));
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(d->state_reason)}};
    BP_TRY(note(r, BP_EV_DEVICE_REBOUND, d, by_rule, detail, 1));
    if (invitation != NULL) {
        return bp_registry_invited_to(r, invitation, d, ret_problem);
    }
    if (d->state == BP_ST_QUARANTINED && !held) {
        return note(r, BP_EV_DEVICE_QUARANTINED, d, by_rule, detail, 1);
    }
    return BP_OK;
}

/* It waited before its manifest came. */
static bp_result leave_waiting(struct bp_registry *r, const struct bp_expected *unit, struct bp_device *d,
                               enum bp_problem *ret_problem)
{
    BP_TRY(change(r, d, BP_OP_APPROVE, BP_SPAN_EMPTY, ret_problem));
    d->place = place_of_unit(unit);
    BP_TRY(bp_store_device_set(r->store, d));
    BP_TRY(bp_store_vouched_drop(r->store, d->n));
    return claim_unit(r, d, unit);
}

/* NULL: nobody announced it, or it has come as a unit before. */
static bp_result announced(struct bp_registry *r, const struct bp_contact *c, struct bp_expected *room,
                           const struct bp_expected **ret, enum bp_problem *ret_problem)
{
    const bp_result got = bp_registry_expected(r, c->ek, c->ek_count, room, ret_problem);
    *ret = !bp_failed(got) && room->device == 0 ? room : NULL;
    return bp_is(got, BP_E_NOT_FOUND) ? BP_OK : got;
}

/* A chip that is a device here already. */
static bp_result contact_known(struct bp_registry *r, const struct bp_contact *c, const struct bp_invitation *invited,
                               const struct bp_expected *unit, struct bp_device *d, enum bp_problem *ret_problem)
{
    struct bp_key ak = {0};
    bp_span public_ = BP_SPAN_EMPTY;
    bp_span binding = BP_SPAN_EMPTY;
    if (bp_registry_next(d->state, BP_OP_ATTEST) == BP_ST_NONE) {
        return contact_returns(r, c, d, ret_problem);
    }
    const bp_result known = bp_store_key(r->store, bp_span_of(c->ak_name, 32), &ak);
    if (!bp_failed(known)) {
        BP_TRY(bp_store_ak(r->store, d->n, &public_, &binding));
    } else if (!bp_is(known, BP_E_NOT_FOUND)) {
        return known;
    }
    const bool same = !bp_failed(known) && ak.device == d->n && !ak.tombstone &&
                      bp_span_equal(public_, c->ak_public);
    if (!same || (invited != NULL && d->state == BP_ST_WAITING)) {
        BP_TRY(contact_again(r, c, invited, d, ret_problem));
    } else {
        BP_TRY(own_keys(r, d, c, ret_problem));
    }
    return unit != NULL && d->state == BP_ST_WAITING ? leave_waiting(r, unit, d, ret_problem) : BP_OK;
}

/* Another key may be certified by an issuer of another class; the binding in force and the row say the same. */
static bp_result take_class(struct bp_registry *r, const struct bp_contact *c, struct bp_device *d,
                            enum bp_problem *ret_problem)
{
    if (bp_span_equal(c->issuer_class, bp_span_cstr(d->issuer_class))) {
        return BP_OK;
    }
    if (!bp_registry_text(c->issuer_class, d->issuer_class, sizeof d->issuer_class)) {
        return REFUSE(VALUE);
    }
    return bp_store_device_set(r->store, d);
}

/* It answered in another name than the device's: since it said hello, its chip became known by another key. */
static bp_result contact_misnamed(struct bp_registry *r, const struct bp_device *d, enum bp_problem *ret_problem)
{
    const bool is_off = bp_registry_next(d->state, BP_OP_ATTEST) == BP_ST_NONE && !bp_registry_may_return(r, d);
    return is_off ? REFUSE(REVOKED) : REFUSE(BUSY);
}

bp_result bp_registry_contact(struct bp_registry *r, const struct bp_contact *c,
                              struct bp_device *ret, enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    struct bp_expected room = {0};
    const struct bp_expected *unit = NULL;
    struct bp_invitation invitation = {0};
    const struct bp_invitation *invited = NULL;
    *ret_problem = BP_P_NONE;
    if (c->id.n != BP_ID_SIZE || c->ek_count == 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_result got = bp_registry_chip(r, c->ek, c->ek_count, &d, ret_problem);
    const bool is_known = !bp_failed(got);
    if (!is_known && !bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    if (is_known && memcmp(d.id, c->id.p, sizeof d.id) != 0) {
        return contact_misnamed(r, &d, ret_problem);
    }
    if (!is_known || d.state == BP_ST_WAITING) { /* what is ours already needs nobody to speak for it */
        BP_TRY(announced(r, c, &room, &unit, ret_problem));
    }
    if (c->code.n > 0) {
        bool own = false;
        BP_TRY(invitation_of(r, c->code, d.n, &invitation, &own, ret_problem));
        invited = own ? NULL : &invitation;
    }
    if (is_known) {
        BP_TRY(contact_known(r, c, invited, unit, &d, ret_problem));
        BP_TRY(take_class(r, c, &d, ret_problem));
    } else {
        const bool by_chain =
            invited == NULL && !bp_failed(bp_registry_owned(r, c->id, &invitation.place, invitation.by));
        BP_TRY(contact_new(r, c, by_chain ? &invitation : invited, by_chain, unit, &d, ret_problem));
    }
    *ret = d;
    return BP_OK;
}

/* -- acts of people and rules ------------------------------------------------------------------ */
bp_result bp_registry_approve(struct bp_registry *r, int64_t device, const struct bp_place *place,
                              bp_span actor, enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(load(r, device, &d, ret_problem));
    if (place->zone[0] == 0) {
        return REFUSE(VALUE);
    }
    BP_TRY(change(r, &d, BP_OP_APPROVE, BP_SPAN_EMPTY, ret_problem));
    d.place = *place;
    BP_TRY(bp_store_device_set(r->store, &d));
    /* What vouched for keys so far was judged by no zone's rules. */
    BP_TRY(bp_store_vouched_drop(r->store, device));
    const struct bp_event_detail detail[] = {text_of(BP_SPAN_STR("zone"), d.place.zone),
                                             text_of(BP_SPAN_STR("name"), d.place.name)};
    return note(r, BP_EV_DEVICE_CLAIMED, &d, actor, detail, 2);
}

/* Whether a rule may hold one more device of this zone now. */
static bp_result within_cap(struct bp_registry *r, const char *zone, bool *ret)
{
    uint64_t members = 0;
    uint32_t standing = 0;
    uint32_t hour = 0;
    BP_TRY(bp_store_zone_count(r->store, zone, &members));
    const uint64_t share = members * BP_QUARANTINE_PERCENT / 100;
    const uint32_t limit = share < 1 ? 1 : (share > 100000 ? 100000 : (uint32_t)share);
    BP_TRY(bp_store_quarantine_count(r->store, zone, r->now_ms - 3600 * 1000LL, limit + 1,
                                     &standing, &hour));
    *ret = standing < limit && (hour < BP_QUARANTINE_HOUR_MAX || standing == 0);
    return BP_OK;
}

bp_result bp_registry_quarantine(struct bp_registry *r, int64_t device, bool automatic,
                                 bp_span reason, bp_span actor, bool *ret_capped,
                                 enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    *ret_capped = false;
    BP_TRY(load(r, device, &d, ret_problem));
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    if (automatic) {
        bool within = false;
        if (bp_registry_next(d.state, BP_OP_QUARANTINE) == BP_ST_NONE) {
            return REFUSE(WRONG_STATE);
        }
        BP_TRY(within_cap(r, d.place.zone, &within));
        if (!within) {
            *ret_capped = true;
            return note(r, BP_EV_QUARANTINE_CAPPED, &d, actor, detail, 1);
        }
    }
    d.automatic = automatic;
    BP_TRY(change(r, &d, BP_OP_QUARANTINE, reason, ret_problem));
    BP_CRASH("registry.quarantine-without-event");
    return note(r, BP_EV_DEVICE_QUARANTINED, &d, actor, detail, 1);
}

bp_result bp_registry_release(struct bp_registry *r, int64_t device, bp_span reason, bp_span actor,
                              enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(load(r, device, &d, ret_problem));
    d.automatic = false;
    BP_TRY(change(r, &d, BP_OP_RELEASE, reason, ret_problem));
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    return note(r, BP_EV_DEVICE_RELEASED, &d, actor, detail, 1);
}

/* Buries every key, revokes every certificate, and has every front told. */
static bp_result switch_off(struct bp_registry *r, const struct bp_device *d, uint32_t crl_reason)
{
    struct bp_key key[BP_KEYS_PER_DEVICE_MAX];
    size_t n = 0;
    BP_TRY(bp_store_key_of(r->store, d->n, key, BP_KEYS_PER_DEVICE_MAX, &n));
    for (size_t i = 0; i < n; i++) {
        bp_effects_deny(r->effects, key[i].spki);
    }
    r->effects->deny_all |= n == BP_KEYS_PER_DEVICE_MAX;
    BP_TRY(bp_store_key_bury(r->store, d->n));
    BP_CRASH("registry.buried-not-revoked");
    BP_TRY(bp_store_vouched_drop(r->store, d->n));
    BP_TRY(bp_store_cert_revoke_all(r->store, d->n, r->now_ms, crl_reason));
    r->effects->crl = true;
    /* Nothing is expected from it any more. */
    struct bp_trust t = {0};
    BP_TRY(bp_store_trust(r->store, d->n, &t));
    t.due_ms = 0;
    return bp_store_trust_set(r->store, d->n, &t);
}

bp_result bp_registry_end(struct bp_registry *r, struct bp_device *d, enum bp_operation op,
                          uint32_t crl_reason, bp_span reason, enum bp_problem *ret_problem)
{
    BP_TRY(change(r, d, op, reason, ret_problem));
    return switch_off(r, d, crl_reason);
}

bp_result bp_registry_revoke(struct bp_registry *r, int64_t device, bp_span reason, bp_span actor,
                             enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(load(r, device, &d, ret_problem));
    BP_TRY(change(r, &d, BP_OP_REVOKE, reason, ret_problem));
    BP_TRY(switch_off(r, &d, 1)); /* keyCompromise: whoever holds the key may not be the device */
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    return note(r, BP_EV_DEVICE_REVOKED, &d, actor, detail, 1);
}

bp_result bp_registry_retire(struct bp_registry *r, int64_t device, bp_span reason, bp_span actor,
                             enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(load(r, device, &d, ret_problem));
    BP_TRY(change(r, &d, BP_OP_RETIRE, reason, ret_problem));
    BP_TRY(switch_off(r, &d, 5)); /* cessationOfOperation */
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    return note(r, BP_EV_DEVICE_RETIRED, &d, actor, detail, 1);
}

bp_result bp_registry_permit(struct bp_registry *r, int64_t device, bp_span reason, bp_span actor,
                             enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    struct bp_permit p = {.device = device, .expires_ms = r->now_ms + BP_PERMIT_MS};
    *ret_problem = BP_P_NONE;
    BP_TRY(load(r, device, &d, ret_problem));
    *ret_problem = bp_registry_may(d.state, BP_OP_RETURN);
    if (*ret_problem != BP_P_NONE) {
        return BP_FAIL(DENIED);
    }
    if (reason.n == 0 || !bp_registry_text(actor, p.by, sizeof p.by)) {
        return REFUSE(VALUE);
    }
    BP_TRY(bp_store_permit_set(r->store, &p));
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason},
                                             {BP_SPAN_STR("expires_ms"), BP_VAL_INT, p.expires_ms, BP_SPAN_EMPTY}};
    return note(r, BP_EV_RETURN_PERMITTED, &d, actor, detail, 2);
}

/* -- certificates and use ---------------------------------------------------------------------- */
bp_result bp_registry_certified(struct bp_registry *r, struct bp_device *d,
                                const struct bp_certificate *c, bp_span der,
                                enum bp_problem *ret_problem)
{
    *ret_problem = BP_P_NONE;
    const enum bp_lifecycle before = d->state;
    char kept[BP_REASON_MAX + 1];
    memcpy(kept, d->state_reason, sizeof kept);
    BP_TRY(own_key(r, d->n, c->spki, BP_ROLE_LDEVID, ret_problem));
    BP_TRY(bp_store_cert_add(r->store, c, der));
    BP_CRASH("registry.certificate-without-state");
    BP_TRY(change(r, d, BP_OP_CERTIFY, bp_span_cstr(kept), ret_problem));
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("serial"), BP_VAL_BYTES, 0, {c->serial, c->serial_n}},
        {BP_SPAN_STR("key"), BP_VAL_BYTES, 0, {c->spki, sizeof c->spki}},
        {BP_SPAN_STR("until"), BP_VAL_INT, c->not_after_ms, BP_SPAN_EMPTY},
        {BP_SPAN_STR("verdict"), BP_VAL_INT, (int64_t)c->verdict, BP_SPAN_EMPTY},
        {BP_SPAN_STR("quarantined"), BP_VAL_BOOL, before == BP_ST_QUARANTINED, BP_SPAN_EMPTY}};
    BP_TRY(note(r, BP_EV_CERTIFICATE_ISSUED, d, by_rule, detail, 5));
    if (before == BP_ST_CLAIMED) {
        return note(r, BP_EV_DEVICE_ENROLLED, d, by_rule, NULL, 0);
    }
    return BP_OK;
}

bp_result bp_registry_applied(struct bp_registry *r, const struct bp_device *d,
                              const struct bp_certificate *c, bp_span der, enum bp_problem *ret_problem)
{
    *ret_problem = bp_registry_may(d->state, BP_OP_APPLY);
    if (*ret_problem != BP_P_NONE) {
        return BP_FAIL(DENIED);
    }
    BP_TRY(own_key_for(r, d->n, c->spki, BP_ROLE_APPLICATION, c->service, ret_problem));
    BP_TRY(bp_store_cert_add(r->store, c, der));
    const struct bp_event_detail detail[] = {
        text_of(BP_SPAN_STR("service"), c->service),
        text_of(BP_SPAN_STR("profile"), c->profile),
        {BP_SPAN_STR("serial"), BP_VAL_BYTES, 0, {c->serial, c->serial_n}},
        {BP_SPAN_STR("key"), BP_VAL_BYTES, 0, {c->spki, sizeof c->spki}},
        {BP_SPAN_STR("until"), BP_VAL_INT, c->not_after_ms, BP_SPAN_EMPTY},
        {BP_SPAN_STR("verdict"), BP_VAL_INT, (int64_t)c->verdict, BP_SPAN_EMPTY}};
    return note(r, BP_EV_APPLICATION_ISSUED, d, by_rule, detail, 6);
}

bp_result bp_registry_used(struct bp_registry *r, struct bp_device *d)
{
    enum bp_problem problem = BP_P_NONE;
    char kept[BP_REASON_MAX + 1];
    if (d->state != BP_ST_ENROLLED) {
        return BP_OK;
    }
    memcpy(kept, d->state_reason, sizeof kept);
    BP_TRY(change(r, d, BP_OP_USE, bp_span_cstr(kept), &problem));
    return note(r, BP_EV_DEVICE_ACTIVE, d, by_rule, NULL, 0);
}

/* -- what cannot attest ------------------------------------------------------------------------ */
static bp_result brownfield_row(struct bp_registry *r, bp_span source, const uint8_t spki[32],
                                struct bp_device *d, enum bp_problem *ret_problem)
{
    *d = (struct bp_device){.state = BP_ST_CLAIMED, .created_ms = r->now_ms, .state_ms = r->now_ms};
    if (!bp_registry_text(BP_SPAN_STR("brownfield"), d->kind, sizeof d->kind) ||
        !bp_registry_text(BP_SPAN_STR("none"), d->issuer_class, sizeof d->issuer_class) ||
        !bp_registry_text(source, d->source, sizeof d->source)) {
        return REFUSE(VALUE);
    }
    d->id[0] = 1;
    memcpy(d->id + 1, spki, 32);
    BP_TRY(bp_registry_pseudonym(r, BP_SPAN_OF(d->id), d->pseudonym));
    return bp_store_device_add(r->store, d, BP_SPAN_STR("\xa0")); /* nothing was said of it */
}

bp_result bp_registry_brownfield(struct bp_registry *r, int64_t present, bp_span source,
                                 const struct bp_certificate *c, bp_span der,
                                 enum bp_problem *ret_problem)
{
    struct bp_device d = {0};
    struct bp_certificate entry = *c;
    *ret_problem = BP_P_NONE;
    if (present != 0) {
        BP_TRY(load(r, present, &d, ret_problem));
    } else {
        struct bp_key k = {0};
        const bp_result seen = bp_store_key(r->store, BP_SPAN_OF(c->spki), &k);
        if (!bp_failed(seen)) {
            return REFUSE(KEY_IN_USE);
        }
        if (!bp_is(seen, BP_E_NOT_FOUND)) {
            return seen;
        }
        BP_TRY(brownfield_row(r, source, c->spki, &d, ret_problem));
    }
    BP_TRY(own_key(r, d.n, c->spki, BP_ROLE_BROWNFIELD, ret_problem));
    entry.device = d.n;
    entry.place = d.place;
    BP_TRY(bp_store_cert_add(r->store, &entry, der));
    BP_TRY(change(r, &d, BP_OP_CERTIFY, BP_SPAN_STR("not appraised: it cannot attest"), ret_problem));
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("serial"), BP_VAL_BYTES, 0, {c->serial, c->serial_n}},
        {BP_SPAN_STR("key"), BP_VAL_BYTES, 0, {c->spki, sizeof c->spki}},
        {BP_SPAN_STR("until"), BP_VAL_INT, c->not_after_ms, BP_SPAN_EMPTY}};
    return note(r, BP_EV_BROWNFIELD_ISSUED, &d, by_rule, detail, 3);
}

bp_result bp_registry_brownfield_of_key(struct bp_registry *r, bp_span spki, struct bp_device *ret,
                                        enum bp_problem *ret_problem)
{
    struct bp_key k = {0};
    *ret_problem = BP_P_NONE;
    const bp_result got = bp_store_key(r->store, spki, &k);
    if (bp_is(got, BP_E_NOT_FOUND) || (!bp_failed(got) && k.role != BP_ROLE_BROWNFIELD)) {
        return REFUSE(UNKNOWN_DEVICE);
    }
    BP_TRY(got);
    if (k.tombstone) {
        return REFUSE(REVOKED);
    }
    struct bp_device d = {0};
    BP_TRY(load(r, k.device, &d, ret_problem));
    if (bp_registry_next(d.state, BP_OP_RENEW) == BP_ST_NONE) {
        *ret_problem = bp_registry_may(d.state, BP_OP_RENEW);
        return BP_FAIL(DENIED);
    }
    *ret = d;
    return BP_OK;
}

/* -- time -------------------------------------------------------------------------------------- */
static bp_result expire_waiting(struct bp_registry *r, bool *ret_done)
{
    struct bp_device d = {0};
    int64_t n = 0;
    const bp_result got = bp_store_waiting_before(r->store, r->now_ms - BP_WAITING_MS, &n);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    BP_TRY(bp_store_device_by_n(r->store, n, &d));
    BP_TRY(note(r, BP_EV_WAITING_EXPIRED, &d, by_rule, NULL, 0));
    BP_TRY(bp_store_vouched_drop(r->store, n));
    BP_TRY(bp_store_key_forget(r->store, n));
    BP_TRY(bp_store_device_remove(r->store, n));
    *ret_done = true;
    return BP_OK;
}

static bp_result call_silent(struct bp_registry *r, bool *ret_done)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    int64_t n = 0;
    const bp_result got = bp_store_overdue(r->store, r->now_ms, &n);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    BP_TRY(bp_store_device_by_n(r->store, n, &d));
    BP_TRY(bp_store_trust(r->store, n, &t));
    t.silent = true;
    BP_TRY(bp_store_trust_set(r->store, n, &t));
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("since"), BP_VAL_INT, t.heard_ms, BP_SPAN_EMPTY}};
    *ret_done = true;
    return note(r, BP_EV_DEVICE_SILENT, &d, by_rule, detail, 1);
}

bp_result bp_registry_tick(struct bp_registry *r, int64_t watch_from_ms, bool *ret_more)
{
    bool done = false;
    BP_TRY(expire_waiting(r, &done));
    if (!done && r->now_ms >= watch_from_ms) {
        BP_TRY(call_silent(r, &done));
    }
    *ret_more = done;
    return BP_OK;
}

/* service: NULL where only an LDevID key will do. */
static bp_result device_of(struct bp_registry *r, bp_span spki, const char *service, struct bp_device *ret,
                           enum bp_problem *ret_problem)
{
    struct bp_key k = {0};
    *ret_problem = BP_P_NONE;
    const bp_result got = bp_store_key(r->store, spki, &k);
    const bool fits = k.role == BP_ROLE_LDEVID ||
                      (service != NULL && k.role == BP_ROLE_APPLICATION && strcmp(k.service, service) == 0);
    if (bp_is(got, BP_E_NOT_FOUND) || (!bp_failed(got) && !fits)) {
        return REFUSE(UNKNOWN_DEVICE);
    }
    BP_TRY(got);
    if (k.tombstone) {
        return REFUSE(REVOKED);
    }
    struct bp_device d = {0};
    BP_TRY(load(r, k.device, &d, ret_problem));
    if (bp_registry_next(d.state, BP_OP_ATTEST) == BP_ST_NONE) {
        return REFUSE(REVOKED);
    }
    *ret = d;
    return BP_OK;
}

bp_result bp_registry_device_of_key(struct bp_registry *r, bp_span spki, struct bp_device *ret,
                                    enum bp_problem *ret_problem)
{
    return device_of(r, spki, NULL, ret, ret_problem);
}

bp_result bp_registry_device_of_application_key(struct bp_registry *r, bp_span spki, const char *service,
                                                struct bp_device *ret, enum bp_problem *ret_problem)
{
    return device_of(r, spki, service, ret, ret_problem);
}
