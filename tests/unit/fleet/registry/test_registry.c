/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/test_registry - the life cycle's whole table, who may come in, what one key may be, and what
 * revoking leaves behind. */
#include "fixture.h"

#include "harness.h"

static struct fx f;

static const struct bp_place hall = {.zone = "hall", .site = "plant", .model = "gw", .name = "press"};

static enum bp_problem contact(struct fx_contact *k, struct bp_device *ret)
{
    enum bp_problem problem = BP_P_NONE;
    const bp_result r = bp_registry_contact(&f.r, &k->c, ret, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static bool invite(char code[BP_CODE_TEXT + 1])
{
    enum bp_problem problem = BP_P_NONE;
    return !bp_failed(bp_registry_invite(&f.r, &hall, BP_INVITATION_MS, BP_SPAN_STR("ann"), code, &problem));
}

/* A device in state `active`, with a certificate over key number `key`. */
static bool enrolled(unsigned number, struct bp_device *d)
{
    struct fx_contact k;
    char code[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    struct bp_certificate c = {.serial_n = 16, .profile = "management", .not_after_ms = f.r.now_ms + 1000,
                               .state = BP_CERT_GOOD};
    if (!invite(code)) {
        return false;
    }
    fx_contact(&k, number, number, "10.0.0.1", bp_span_cstr(code));
    if (contact(&k, d) != BP_P_NONE) {
        return false;
    }
    c.device = d->n;
    (void)snprintf((char *)c.serial, sizeof c.serial, "serial %u", number);
    (void)snprintf((char *)c.spki, sizeof c.spki, "ldevid %u", number);
    return !bp_failed(bp_registry_certified(&f.r, d, &c, BP_SPAN_STR("der"), &problem)) &&
           !bp_failed(bp_registry_used(&f.r, d)) && d->state == BP_ST_ACTIVE;
}

static uint32_t last_event(struct bp_event *e)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    return f.log.size > 0 && !bp_failed(bp_store_event(f.store, f.log.size - 1, &body, digest)) &&
                   !bp_failed(bp_event_read(body, e))
               ? (uint32_t)e->type
               : 0;
}

static bool retire(const struct bp_device *d)
{
    enum bp_problem problem = BP_P_NONE;
    return !bp_failed(bp_registry_retire(&f.r, d->n, BP_SPAN_STR("worn out"), BP_SPAN_STR("ann"), &problem));
}

/* Every pair of state and operation: what docs/protocol/lifecycle.md names, and nothing else. */
static const struct {
    const char *name;
    enum bp_lifecycle from;
    enum bp_operation op;
    enum bp_lifecycle to;
} allowed[] = {
#define A(from, op, to) {#from "_" #op, BP_ST_##from, BP_OP_##op, BP_ST_##to}
    A(WAITING, ATTEST, WAITING),       A(WAITING, REBIND, WAITING),        A(WAITING, RECLAIM, CLAIMED),
    A(WAITING, APPROVE, CLAIMED),      A(WAITING, REVOKE, REVOKED),        A(WAITING, EXPIRE, RETIRED),
    A(CLAIMED, ATTEST, CLAIMED),       A(CLAIMED, ENROL, CLAIMED),         A(CLAIMED, CERTIFY, ENROLLED),
    A(CLAIMED, REBIND, CLAIMED),       A(CLAIMED, RECLAIM, CLAIMED),       A(CLAIMED, REVOKE, REVOKED),
    A(CLAIMED, RETIRE, RETIRED),       A(ENROLLED, ATTEST, ENROLLED),      A(ENROLLED, ENROL, ENROLLED),
    A(ENROLLED, RENEW, ENROLLED),      A(ENROLLED, CERTIFY, ENROLLED),     A(ENROLLED, USE, ACTIVE),
    A(ENROLLED, REBIND, QUARANTINED),  A(ENROLLED, RECLAIM, CLAIMED),      A(ENROLLED, QUARANTINE, QUARANTINED),
    A(ENROLLED, REVOKE, REVOKED),      A(ENROLLED, RETIRE, RETIRED),       A(ACTIVE, ATTEST, ACTIVE),
    A(ACTIVE, ENROL, ACTIVE),          A(ACTIVE, RENEW, ACTIVE),           A(ACTIVE, CERTIFY, ACTIVE),
    A(ACTIVE, USE, ACTIVE),            A(ACTIVE, REBIND, QUARANTINED),     A(ACTIVE, RECLAIM, CLAIMED),
    A(ACTIVE, QUARANTINE, QUARANTINED), A(ACTIVE, REVOKE, REVOKED),        A(ACTIVE, RETIRE, RETIRED),
    A(QUARANTINED, ATTEST, QUARANTINED), A(QUARANTINED, ENROL, QUARANTINED), A(QUARANTINED, RENEW, QUARANTINED),
    A(QUARANTINED, CERTIFY, QUARANTINED), A(QUARANTINED, USE, QUARANTINED), A(QUARANTINED, REBIND, QUARANTINED),
    A(ENROLLED, APPLY, ENROLLED),      A(ACTIVE, APPLY, ACTIVE),
    A(QUARANTINED, RELEASE, ACTIVE),   A(QUARANTINED, REVOKE, REVOKED),    A(QUARANTINED, RETIRE, RETIRED),
    A(RETIRED, RETURN, CLAIMED),
#undef A
};

static void allowed_moves(void)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        bp_case_begin();
        BP_CHECK(bp_registry_next(allowed[i].from, allowed[i].op) == allowed[i].to);
        bp_case_end(allowed[i].name);
    }
}

BP_CASE(what_the_table_does_not_name_is_refused)
{
    for (int s = 0; s <= BP_ST_COUNT; s++) {
        for (int op = 0; op <= BP_OP_COUNT; op++) {
            bool named = false;
            for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
                named = named || (allowed[i].from == (enum bp_lifecycle)s && allowed[i].op == (enum bp_operation)op);
            }
            BP_CHECK(named || bp_registry_next((enum bp_lifecycle)s, (enum bp_operation)op) == BP_ST_NONE);
        }
    }
    BP_CHECK(bp_registry_may(BP_ST_WAITING, BP_OP_ENROL) == BP_P_WAITING);
    BP_CHECK(bp_registry_may(BP_ST_REVOKED, BP_OP_ATTEST) == BP_P_REVOKED);
    BP_CHECK(bp_registry_may(BP_ST_CLAIMED, BP_OP_RENEW) == BP_P_WRONG_STATE);
    BP_CHECK(bp_registry_may(BP_ST_CLAIMED, BP_OP_APPLY) == BP_P_WRONG_STATE);
    BP_CHECK(bp_registry_may(BP_ST_QUARANTINED, BP_OP_APPLY) == BP_P_QUARANTINED);
}

BP_CASE(unknown_device_waits_and_is_approved)
{
    struct fx_contact k;
    struct bp_device d = {0};
    struct bp_event e;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_WAITING && last_event(&e) == BP_EV_DEVICE_WAITING);
    const struct bp_place nowhere = {.zone = ""};
    BP_CHECK(bp_failed(bp_registry_approve(&f.r, d.n, &nowhere, BP_SPAN_STR("ann"), &problem)) && problem == BP_P_VALUE);
    BP_CHECK(!bp_failed(bp_registry_approve(&f.r, d.n, &hall, BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(last_event(&e) == BP_EV_DEVICE_CLAIMED && bp_span_equal(e.actor, BP_SPAN_STR("ann")));
    BP_CHECK(bp_failed(bp_registry_approve(&f.r, d.n, &hall, BP_SPAN_STR("ann"), &problem)) &&
             problem == BP_P_WRONG_STATE);
    fx_end(&f);
}

BP_CASE(waiting_room_has_a_limit_per_source_and_in_all)
{
    struct fx_contact k;
    struct bp_device d = {0};
    char source[20];
    BP_NEED(fx_new(&f));
    for (unsigned i = 0; i < BP_WAITING_PER_SOURCE_MAX; i++) {
        fx_contact(&k, i, i, "10.0.0.1", BP_SPAN_EMPTY);
        BP_CHECK(contact(&k, &d) == BP_P_NONE);
    }
    fx_contact(&k, 5000, 5000, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_WAITING_FULL);
    for (unsigned i = BP_WAITING_PER_SOURCE_MAX; i < BP_WAITING_MAX; i++) {
        (void)snprintf(source, sizeof source, "10.0.1.%u", i);
        fx_contact(&k, i, i, source, BP_SPAN_EMPTY);
        BP_CHECK(contact(&k, &d) == BP_P_NONE);
    }
    fx_contact(&k, 5001, 5001, "10.0.2.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_WAITING_FULL);
    fx_end(&f);
}

BP_CASE(waiting_room_forgets_after_a_day_and_the_device_may_come_again)
{
    struct fx_contact k;
    struct bp_device d = {0};
    struct bp_event e;
    bool more = false;
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE);
    f.r.now_ms += BP_WAITING_MS;
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, 0, &more)) && !more);
    f.r.now_ms += 1;
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, 0, &more)) && more && last_event(&e) == BP_EV_WAITING_EXPIRED);
    BP_CHECK(bp_is(bp_store_device_by_n(f.store, d.n, &d), BP_E_NOT_FOUND));
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    fx_end(&f);
}

BP_CASE(invitation_serves_once_in_time_and_as_people_type)
{
    struct fx_contact k;
    struct bp_device d = {0};
    char code[BP_CODE_TEXT + 1], typed[64] = "";
    size_t n = 0;
    BP_NEED(fx_new(&f) && invite(code));
    for (size_t i = 0; i < BP_CODE_TEXT; i++) {
        typed[n++] = (char)(code[i] >= 'A' && code[i] <= 'Z' ? code[i] + 32 : code[i]);
        if (i % 5 == 4) {
            typed[n++] = i % 2 == 0 ? '-' : ' ';
        }
    }
    fx_contact(&k, 1, 1, "10.0.0.1", bp_span_of(typed, n));
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED && strcmp(d.place.zone, "hall") == 0);
    fx_contact(&k, 2, 2, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &d) == BP_P_BAD_INVITATION);
    BP_NEED(invite(code));
    f.r.now_ms += BP_INVITATION_MS;
    fx_contact(&k, 3, 3, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &d) == BP_P_BAD_INVITATION);
    code[3] = code[3] == 'A' ? 'B' : 'A';
    fx_contact(&k, 3, 3, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &d) == BP_P_BAD_INVITATION);
    fx_end(&f);
}

/* One chip has one id: an EK or AK that another device showed is refused, also as an alias. */
BP_CASE(key_of_another_device_is_refused)
{
    struct fx_contact k, other;
    struct bp_device d = {0};
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE);
    fx_contact(&other, 2, 2, "10.0.0.2", BP_SPAN_EMPTY);
    memcpy(other.ek[0], k.ak, 32); /* an attestation key is no endorsement key */
    BP_CHECK(contact(&other, &d) == BP_P_KEY_IN_USE);
    fx_contact(&other, 3, 1, "10.0.0.2", BP_SPAN_EMPTY);
    BP_CHECK(contact(&other, &d) == BP_P_KEY_IN_USE);
    fx_end(&f);
}

/* Shows one of its two keys: 0 the identity key, 1 the other one. */
static void show_one(struct fx_contact *k, size_t at)
{
    memcpy(k->ek[0], k->ek[at], 32);
    k->c.ek_count = 1;
}

static size_t endorsement_keys(int64_t device, bool *ret_buried)
{
    struct bp_key keys[16];
    size_t n = 0, eks = 0;
    *ret_buried = true;
    BP_CHECK(!bp_failed(bp_store_key_of(f.store, device, keys, 16, &n)));
    for (size_t i = 0; i < n; i++) {
        eks += keys[i].role == BP_ROLE_EK ? 1u : 0u;
        *ret_buried = *ret_buried && (keys[i].role != BP_ROLE_EK || keys[i].tombstone);
    }
    return eks;
}

BP_CASE(every_proven_key_of_a_chip_is_its_alias)
{
    struct fx_contact k;
    struct bp_device d = {0}, again = {0};
    struct bp_event e;
    enum bp_problem problem = BP_P_NONE;
    bool buried = false;
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    k.c.ek_count = 1; /* an old agent */
    BP_CHECK(contact(&k, &d) == BP_P_NONE && endorsement_keys(d.n, &buried) == 1 && !buried);
    BP_CHECK(bp_is(bp_registry_chip(&f.r, (const uint8_t(*)[32])k.ek + 1, 1, &again, &problem), BP_E_NOT_FOUND));
    k.c.ek_count = 2;
    BP_CHECK(contact(&k, &d) == BP_P_NONE && endorsement_keys(d.n, &buried) == 2);
    BP_CHECK(last_event(&e) == BP_EV_ALIAS_PROVEN &&
             bp_span_equal(bp_event_detail_of(&e, BP_SPAN_STR("key"))->bytes, BP_SPAN_OF(k.ek[1])));
    const uint64_t size = f.log.size;
    BP_CHECK(contact(&k, &d) == BP_P_NONE && f.log.size == size); /* once */
    for (size_t i = 0; i < 2; i++) {
        BP_CHECK(!bp_failed(bp_registry_chip(&f.r, (const uint8_t(*)[32])k.ek + i, 1, &again, &problem)) && again.n == d.n);
        BP_CHECK(bp_registry_shows_identity(&d, (const uint8_t(*)[32])k.ek + i, 1) == (i == 0));
    }
    fx_end(&f);
}

BP_CASE(the_other_key_alone_is_the_same_device)
{
    struct fx_contact k;
    struct bp_device d = {0}, again = {0};
    struct bp_event e;
    char code[BP_CODE_TEXT + 1];
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    show_one(&k, 1);
    BP_CHECK(contact(&k, &again) == BP_P_NONE && again.n == d.n && again.state == BP_ST_ACTIVE); /* its attestation key is the same */
    fx_contact(&k, 1, 77, "10.0.0.1", BP_SPAN_EMPTY);
    show_one(&k, 1);
    BP_CHECK(contact(&k, &again) == BP_P_NONE && again.n == d.n && again.state == BP_ST_QUARANTINED); /* as with the first key */
    BP_NEED(enrolled(2, &d) && invite(code));
    fx_contact(&k, 2, 78, "10.0.0.1", bp_span_cstr(code));
    show_one(&k, 1);
    const uint64_t size = f.log.size;
    BP_CHECK(contact(&k, &again) == BP_P_NONE && again.n == d.n && again.state == BP_ST_CLAIMED);
    BP_CHECK(f.log.size == size + 2 && last_event(&e) == BP_EV_DEVICE_REBOUND); /* after known-by-alias */
    fx_contact(&k, 2, 79, "10.0.0.1", BP_SPAN_EMPTY);
    show_one(&k, 1);
    memcpy(k.id + 1, k.ek[0], 32); /* it said hello before the other key was known to be its own */
    BP_CHECK(contact(&k, &again) == BP_P_BUSY);
    fx_end(&f);
}

BP_CASE(keys_of_two_devices_are_refused_and_named)
{
    struct fx_contact k, other;
    struct bp_device d = {0};
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    fx_contact(&other, 2, 2, "10.0.0.2", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE && contact(&other, &d) == BP_P_NONE);
    memcpy(k.ek[1], other.ek[1], 32);
    BP_CHECK(contact(&k, &d) == BP_P_TWO_DEVICES);
    fx_end(&f);
}

BP_CASE(a_tombstone_covers_every_key_of_the_chip)
{
    for (size_t at = 0; at < 2; at++) {
        for (int revoked = 0; revoked < 2; revoked++) {
            struct fx_contact k;
            struct bp_device d = {0}, again = {0};
            enum bp_problem problem = BP_P_NONE;
            bool buried = false;
            BP_NEED(fx_new(&f) && enrolled(1, &d));
            BP_NEED(!bp_failed(revoked != 0 ? bp_registry_revoke(&f.r, d.n, BP_SPAN_STR("stolen"), BP_SPAN_STR("ann"), &problem)
                                            : bp_registry_retire(&f.r, d.n, BP_SPAN_STR("old"), BP_SPAN_STR("ann"), &problem)));
            BP_CHECK(endorsement_keys(d.n, &buried) == 2 && buried);
            fx_contact(&k, 1, 80, "10.0.0.1", BP_SPAN_EMPTY);
            show_one(&k, at);
            BP_CHECK(contact(&k, &again) == BP_P_REVOKED);
            BP_CHECK(bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("repaired"), BP_SPAN_STR("ann"), &problem)) ==
                     (revoked != 0));
            BP_CHECK(contact(&k, &again) == (revoked != 0 ? BP_P_REVOKED : BP_P_NONE)); /* a permit serves either key */
            BP_CHECK(revoked != 0 || (again.n == d.n && again.state == BP_ST_CLAIMED));
            fx_end(&f);
        }
    }
}

BP_CASE(the_class_of_the_binding_is_the_devices)
{
    struct fx_contact k;
    struct bp_device d = {0}, stored = {0};
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    k.c.issuer_class = BP_SPAN_STR("discrete");
    k.c.ek_count = 1;
    BP_CHECK(contact(&k, &d) == BP_P_NONE && strcmp(d.issuer_class, "discrete") == 0);
    k.c.issuer_class = BP_SPAN_STR("virtual");
    k.c.ek_count = 2;
    BP_CHECK(contact(&k, &d) == BP_P_NONE && !bp_failed(bp_store_device_by_n(f.store, d.n, &stored)) &&
             strcmp(stored.issuer_class, "virtual") == 0);
    fx_end(&f);
}

BP_CASE(another_attestation_key_uninvited_holds_the_device)
{
    struct fx_contact k;
    struct bp_device d = {0};
    struct bp_event e;
    char code[BP_CODE_TEXT + 1];
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_ACTIVE); /* the same key again: nothing changes */
    fx_contact(&k, 1, 77, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_QUARANTINED && last_event(&e) == BP_EV_DEVICE_QUARANTINED);
    BP_CHECK(strstr(d.state_reason, "TPM was cleared") != NULL);
    BP_NEED(enrolled(2, &d) && invite(code));
    fx_contact(&k, 2, 78, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED); /* asked for: it enrols again */
    fx_end(&f);
}

BP_CASE(revoked_is_off_for_every_key_and_for_good)
{
    struct fx_contact k;
    struct bp_device d = {0}, again = {0};
    struct bp_key keys[8];
    struct bp_certificate c = {0};
    bp_span der = BP_SPAN_EMPTY;
    char code[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    size_t n = 0;
    uint8_t ldevid[32] = "ldevid 1";
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    BP_CHECK(!bp_failed(bp_registry_device_of_key(&f.r, BP_SPAN_OF(ldevid), &again, &problem)));
    BP_CHECK(!bp_failed(bp_registry_revoke(&f.r, d.n, BP_SPAN_STR("stolen"), BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(!bp_failed(bp_store_key_of(f.store, d.n, keys, 8, &n)) && n == 4);
    for (size_t i = 0; i < n; i++) {
        BP_CHECK(keys[i].tombstone);
    }
    BP_CHECK(f.effects.deny_count == 4 && f.effects.crl);
    BP_CHECK(!bp_failed(bp_store_cert_of(f.store, d.n, &c, &der)) && c.state == BP_CERT_REVOKED);
    BP_CHECK(bp_failed(bp_registry_device_of_key(&f.r, BP_SPAN_OF(ldevid), &again, &problem)) && problem == BP_P_REVOKED);
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED);
    BP_NEED(invite(code));
    fx_contact(&k, 1, 79, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED); /* an invitation does not bring it back either */
    BP_CHECK(bp_failed(bp_registry_release(&f.r, d.n, BP_SPAN_STR("x"), BP_SPAN_STR("ann"), &problem)) &&
             problem == BP_P_REVOKED);
    BP_CHECK(!bp_failed(bp_store_commit(f.store)));
    /* Still off after the server started again on the same store. */
    bp_store_free(f.store);
    bp_crypto_openssl_free(f.crypto);
    BP_NEED(fx_open(&f) && !bp_failed(bp_store_begin(f.store)));
    BP_CHECK(bp_failed(bp_registry_device_of_key(&f.r, BP_SPAN_OF(ldevid), &again, &problem)) && problem == BP_P_REVOKED);
    fx_end(&f);
}

/* The chip shows its keys one by one, with an id of the other one too: none of them opens the door. */
BP_CASE(a_retired_chip_is_refused_with_either_key)
{
    struct fx_contact k, turned;
    struct bp_device d = {0}, again = {0};
    char code[BP_CODE_TEXT + 1];
    BP_NEED(fx_new(&f) && enrolled(1, &d) && retire(&d));
    fx_contact(&k, 1, 80, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED);
    fx_contact(&turned, 9, 81, "10.0.0.1", BP_SPAN_EMPTY); /* another id, and of this chip only its second key */
    memcpy(turned.ek[0], k.ek[1], 32);
    turned.c.ek_count = 1;
    BP_CHECK(contact(&turned, &again) == BP_P_REVOKED);
    memcpy(turned.id, k.id, sizeof turned.id); /* under its own id */
    BP_CHECK(contact(&turned, &again) == BP_P_REVOKED);
    memcpy(turned.ek[0], k.ek[0], 32);
    BP_CHECK(contact(&turned, &again) == BP_P_REVOKED);
    BP_NEED(invite(code));
    fx_contact(&k, 1, 82, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED);
    fx_end(&f);
}

BP_CASE(a_permit_brings_a_retired_device_back_once)
{
    struct fx_contact k;
    struct bp_device d = {0}, again = {0};
    struct bp_event e;
    struct bp_key key = {0};
    enum bp_problem problem = BP_P_NONE;
    uint8_t ldevid[32] = "ldevid 1";
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    BP_CHECK(bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("x"), BP_SPAN_STR("ann"), &problem)) &&
             problem == BP_P_WRONG_STATE);
    BP_NEED(retire(&d));
    BP_CHECK(bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_EMPTY, BP_SPAN_STR("ann"), &problem)) && problem == BP_P_VALUE);
    BP_CHECK(!bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("repaired"), BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(last_event(&e) == BP_EV_RETURN_PERMITTED);
    fx_contact(&k, 1, 1, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_KEY_IN_USE); /* not with the attestation key of before */
    bp_store_abort(f.store);
    fx_end(&f);
    BP_NEED(fx_new(&f) && enrolled(1, &d) && retire(&d));
    BP_CHECK(!bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("repaired"), BP_SPAN_STR("ann"), &problem)));
    fx_contact(&k, 1, 80, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_NONE && again.state == BP_ST_CLAIMED && again.n == d.n);
    BP_CHECK(last_event(&e) == BP_EV_DEVICE_RETURNED && bp_span_equal(e.actor, BP_SPAN_STR("ann")));
    BP_CHECK(!bp_failed(bp_store_key(f.store, BP_SPAN_OF(ldevid), &key)) && key.tombstone); /* its old key stays buried */
    BP_NEED(retire(&again));
    fx_contact(&k, 1, 81, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED); /* the permit is spent */
    fx_end(&f);
}

BP_CASE(a_permit_runs_out_and_never_serves_the_revoked)
{
    struct fx_contact k;
    struct bp_device d = {0}, again = {0};
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f) && enrolled(1, &d) && retire(&d));
    BP_CHECK(!bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("repaired"), BP_SPAN_STR("ann"), &problem)));
    f.r.now_ms += BP_PERMIT_MS;
    fx_contact(&k, 1, 80, "10.0.0.1", BP_SPAN_EMPTY);
    BP_CHECK(contact(&k, &again) == BP_P_REVOKED);
    BP_NEED(enrolled(2, &d));
    BP_CHECK(!bp_failed(bp_registry_revoke(&f.r, d.n, BP_SPAN_STR("stolen"), BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(bp_failed(bp_registry_permit(&f.r, d.n, BP_SPAN_STR("x"), BP_SPAN_STR("ann"), &problem)) && problem == BP_P_REVOKED);
    fx_end(&f);
}

BP_CASE(quarantine_and_release_lead_back)
{
    struct bp_device d = {0};
    bool capped = true;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, d.n, false, BP_SPAN_STR("odd"), BP_SPAN_STR("ann"), &capped,
                                               &problem)) && !capped);
    BP_CHECK(!bp_failed(bp_store_device_by_n(f.store, d.n, &d)) && d.state == BP_ST_QUARANTINED && !d.automatic);
    BP_CHECK(bp_registry_may(d.state, BP_OP_ATTEST) == BP_P_NONE && bp_registry_may(d.state, BP_OP_RENEW) == BP_P_NONE);
    BP_CHECK(bp_failed(bp_registry_quarantine(&f.r, d.n, false, BP_SPAN_STR("odd"), BP_SPAN_STR("ann"), &capped,
                                              &problem)) && problem == BP_P_WRONG_STATE);
    BP_CHECK(!bp_failed(bp_registry_release(&f.r, d.n, BP_SPAN_STR("seen"), BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(!bp_failed(bp_store_device_by_n(f.store, d.n, &d)) && d.state == BP_ST_ACTIVE);
    fx_end(&f);
}

/* A rule that goes mad stops one device of a small zone, not the plant. */
BP_CASE(automatic_quarantine_is_capped_and_a_person_is_not)
{
    struct bp_device d[4];
    struct bp_event e;
    bool capped = false;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f));
    for (unsigned i = 0; i < 4; i++) {
        BP_NEED(enrolled(i + 1, &d[i]));
    }
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, d[0].n, true, BP_SPAN_STR("rule"), BP_SPAN_STR("keeper"), &capped,
                                               &problem)) && !capped);
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, d[1].n, true, BP_SPAN_STR("rule"), BP_SPAN_STR("keeper"), &capped,
                                               &problem)) && capped && last_event(&e) == BP_EV_QUARANTINE_CAPPED);
    BP_CHECK(!bp_failed(bp_store_device_by_n(f.store, d[1].n, &d[1])) && d[1].state == BP_ST_ACTIVE);
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, d[1].n, false, BP_SPAN_STR("I say"), BP_SPAN_STR("ann"), &capped,
                                               &problem)) && !capped);
    fx_end(&f);
}

BP_CASE(silence_is_found_once_and_not_right_after_a_start)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    struct bp_event e;
    bool more = false;
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    t.due_ms = f.r.now_ms + 1000;
    t.heard_ms = f.r.now_ms;
    BP_CHECK(!bp_failed(bp_store_trust_set(f.store, d.n, &t)));
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, 0, &more)) && !more);
    f.r.now_ms += 5000;
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, f.r.now_ms + 1, &more)) && !more); /* they need time to come back */
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, f.r.now_ms, &more)) && more && last_event(&e) == BP_EV_DEVICE_SILENT);
    BP_CHECK(!bp_failed(bp_store_trust(f.store, d.n, &t)) && t.silent);
    BP_CHECK(!bp_failed(bp_registry_tick(&f.r, f.r.now_ms, &more)) && !more);
    fx_end(&f);
}

BP_CASE(texts_of_people_are_bounded_and_plain)
{
    struct bp_device d = {0};
    char text[BP_REASON_MAX + 2];
    bool capped = false;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f) && enrolled(1, &d));
    memset(text, 'x', sizeof text);
    BP_CHECK(bp_failed(bp_registry_quarantine(&f.r, d.n, false, bp_span_of(text, BP_REASON_MAX + 1), BP_SPAN_STR("ann"),
                                              &capped, &problem)) && problem == BP_P_VALUE);
    BP_CHECK(bp_failed(bp_registry_quarantine(&f.r, d.n, false, BP_SPAN_STR("a\nb"), BP_SPAN_STR("ann"), &capped,
                                              &problem)) && problem == BP_P_VALUE);
    BP_CHECK(bp_failed(bp_registry_revoke(&f.r, 4711, BP_SPAN_STR("x"), BP_SPAN_STR("ann"), &problem)) &&
             problem == BP_P_NOT_FOUND);
    fx_end(&f);
}

BP_CASE(pseudonym_needs_the_owners_secret)
{
    struct fx_contact k;
    char a[BP_PSEUDONYM_SIZE + 1], b[BP_PSEUDONYM_SIZE + 1];
    BP_NEED(fx_new(&f));
    fx_contact(&k, 1, 1, "x", BP_SPAN_EMPTY);
    BP_CHECK(!bp_failed(bp_registry_pseudonym(&f.r, k.c.id, a)) && strlen(a) == BP_PSEUDONYM_SIZE);
    f.r.owner_secret[0] ^= 1;
    BP_CHECK(!bp_failed(bp_registry_pseudonym(&f.r, k.c.id, b)) && strcmp(a, b) != 0);
    fx_end(&f);
}

BP_SUITE(registry, BP_TABLE(allowed_moves) BP_RUN(what_the_table_does_not_name_is_refused)
    BP_RUN(unknown_device_waits_and_is_approved) BP_RUN(waiting_room_has_a_limit_per_source_and_in_all)
    BP_RUN(waiting_room_forgets_after_a_day_and_the_device_may_come_again)
    BP_RUN(invitation_serves_once_in_time_and_as_people_type) BP_RUN(key_of_another_device_is_refused)
    BP_RUN(every_proven_key_of_a_chip_is_its_alias) BP_RUN(the_other_key_alone_is_the_same_device)
    BP_RUN(keys_of_two_devices_are_refused_and_named) BP_RUN(a_tombstone_covers_every_key_of_the_chip)
    BP_RUN(the_class_of_the_binding_is_the_devices)
    BP_RUN(another_attestation_key_uninvited_holds_the_device) BP_RUN(revoked_is_off_for_every_key_and_for_good)
    BP_RUN(a_retired_chip_is_refused_with_either_key) BP_RUN(a_permit_brings_a_retired_device_back_once)
    BP_RUN(a_permit_runs_out_and_never_serves_the_revoked)
    BP_RUN(quarantine_and_release_lead_back) BP_RUN(automatic_quarantine_is_capped_and_a_person_is_not)
    BP_RUN(silence_is_found_once_and_not_right_after_a_start) BP_RUN(texts_of_people_are_bounded_and_plain)
    BP_RUN(pseudonym_needs_the_owners_secret))
