/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/test_succession - the same box with a new root: two people, a digest of what they decide on, and
 * nothing of the old root left. */
#include "fixture.h"

#include "codec/ear.h"
#include "harness.h"

static struct fx f;

static const struct bp_place hall = {.zone = "hall", .site = "plant", .model = "gw", .name = "press"};
static const struct bp_operator ann = {.n = 1, .name = "ann"}, ben = {.n = 2, .name = "ben"};
#define TAG BP_SPAN_STR("A1")
#define WHY BP_SPAN_STR("firmware update reset its TPM")

/* An active device of the hall whose last evidence was good; keys of class `class_`. */
static bool good(unsigned number, const char *class_, struct bp_device *d)
{
    struct fx_contact k;
    char code[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    struct bp_certificate c = {.serial_n = 16, .profile = "management", .not_after_ms = f.r.now_ms + 1000, .state = BP_CERT_GOOD};
    const struct bp_trust t = {.seq = 1, .heard_ms = f.r.now_ms, .due_ms = f.r.now_ms + 1000, .tier = BP_TIER_AFFIRMING};
    if (bp_failed(bp_registry_invite(&f.r, &hall, BP_INVITATION_MS, BP_SPAN_STR("ann"), code, &problem))) {
        return false;
    }
    fx_contact(&k, number, number, "10.0.0.1", bp_span_cstr(code));
    k.c.issuer_class = bp_span_cstr(class_);
    if (bp_failed(bp_registry_contact(&f.r, &k.c, d, &problem))) {
        return false;
    }
    c.device = d->n;
    (void)snprintf((char *)c.serial, sizeof c.serial, "serial %u", number);
    (void)snprintf((char *)c.spki, sizeof c.spki, "ldevid %u", number);
    return !bp_failed(bp_registry_certified(&f.r, d, &c, BP_SPAN_STR("der"), &problem)) &&
           !bp_failed(bp_registry_used(&f.r, d)) && !bp_failed(bp_store_trust_set(f.store, d->n, &t));
}

/* The old device in position A1, and its successor. */
static bool begin(struct bp_device *old, struct bp_device *d)
{
    enum bp_problem problem = BP_P_NONE;
    return fx_new(&f) && !bp_failed(bp_registry_position_make(&f.r, TAG, &hall, BP_SPAN_STR("ann"), &problem)) &&
           good(1, "firmware", old) && good(2, "firmware", d) &&
           !bp_failed(bp_registry_assign(&f.r, TAG, old->n, BP_SPAN_STR("ann"), &problem));
}

static enum bp_problem propose(const struct bp_device *old, const struct bp_device *d, struct bp_action *a)
{
    enum bp_problem problem = BP_P_NONE;
    const char *why = "";
    const bp_result r = bp_registry_propose(&f.r, old->n, d->n, WHY, &ann, a, &why, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static enum bp_problem approve(const struct bp_action *a, const struct bp_operator *who)
{
    enum bp_problem problem = BP_P_NONE;
    const char *why = "";
    const bp_result r =
        bp_registry_action_approve(&f.r, BP_SPAN_OF(a->id), BP_SPAN_OF(a->digest), who, &why, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static bool is_in(struct bp_device *d, enum bp_lifecycle state)
{
    return !bp_failed(bp_store_device_by_n(f.store, d->n, d)) && d->state == state;
}

static uint32_t event(uint64_t back, struct bp_event *e)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    return f.log.size > back && !bp_failed(bp_store_event(f.store, f.log.size - 1 - back, &body, digest)) &&
                   !bp_failed(bp_event_read(body, e))
               ? (uint32_t)e->type
               : 0;
}

BP_CASE(another_person_approves_and_nothing_of_the_old_root_is_left)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0};
    struct bp_position p = {0};
    struct bp_key keys[8];
    struct bp_certificate c = {0};
    struct bp_event e;
    bp_span der = BP_SPAN_EMPTY;
    size_t n = 0;
    BP_NEED(begin(&old, &d));
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE && event(0, &e) == BP_EV_SUCCESSION_PROPOSED);
    BP_CHECK(is_in(&old, BP_ST_ACTIVE)); /* proposing does nothing */
    f.effects = (struct bp_effects){0};
    const uint64_t before = f.log.size;
    BP_CHECK(approve(&a, &ben) == BP_P_NONE && f.log.size == before + 2);
    BP_CHECK(event(1, &e) == BP_EV_DEVICE_SUCCEEDED && bp_span_equal(e.device, bp_span_cstr(old.pseudonym)) &&
             bp_span_equal(e.actor, BP_SPAN_STR("ben")));
    BP_CHECK(event(0, &e) == BP_EV_DEVICE_SUCCESSOR && bp_span_equal(e.device, bp_span_cstr(d.pseudonym)));
    BP_CHECK(is_in(&old, BP_ST_RETIRED) && is_in(&d, BP_ST_ACTIVE) && memcmp(&d.place, &hall, sizeof hall) == 0);
    BP_CHECK(!bp_failed(bp_store_position_by_tag(f.store, TAG, &p)) && p.device == d.n);
    BP_CHECK(!bp_failed(bp_store_key_of(f.store, old.n, keys, 8, &n)) && n == 4);
    for (size_t i = 0; i < n; i++) {
        BP_CHECK(keys[i].tombstone);
    }
    BP_CHECK(f.effects.deny_count == 4 && f.effects.crl);
    BP_CHECK(!bp_failed(bp_store_cert_of(f.store, old.n, &c, &der)) && c.state == BP_CERT_REVOKED && c.revoked_reason == 4);
    BP_CHECK(approve(&a, &ben) == BP_P_ACTION_OVER); /* an approval serves once */
    fx_end(&f);
}

BP_CASE(the_author_does_not_approve_and_may_reject)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0}, got = {0};
    struct bp_event e;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(begin(&old, &d) && propose(&old, &d, &a) == BP_P_NONE);
    BP_CHECK(approve(&a, &ann) == BP_P_SAME_PERSON && is_in(&old, BP_ST_ACTIVE));
    BP_CHECK(!bp_failed(bp_registry_action_reject(&f.r, BP_SPAN_OF(a.id), BP_SPAN_STR("wrong box"), &ann, &problem)));
    BP_CHECK(event(0, &e) == BP_EV_SUCCESSION_REJECTED);
    BP_CHECK(approve(&a, &ben) == BP_P_ACTION_OVER && is_in(&old, BP_ST_ACTIVE));
    BP_CHECK(bp_failed(bp_registry_action_reject(&f.r, BP_SPAN_OF(a.id), BP_SPAN_STR("again"), &ben, &problem)) &&
             problem == BP_P_ACTION_OVER);
    BP_CHECK(!bp_failed(bp_store_action(f.store, BP_SPAN_OF(a.id), &got)) && got.state == BP_ACTION_REJECTED &&
             strcmp(got.decided_by, "ann") == 0);
    fx_end(&f);
}

BP_CASE(an_approval_is_for_one_digest_and_for_a_day)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0}, other = {0};
    BP_NEED(begin(&old, &d) && propose(&old, &d, &a) == BP_P_NONE);
    other = a;
    other.digest[31] ^= 1;
    BP_CHECK(approve(&other, &ben) == BP_P_PRECONDITION);
    other = a;
    other.id[0] ^= 1;
    BP_CHECK(approve(&other, &ben) == BP_P_NOT_FOUND);
    f.r.now_ms += BP_ACTION_MS;
    BP_CHECK(approve(&a, &ben) == BP_P_ACTION_OVER && is_in(&old, BP_ST_ACTIVE));
    fx_end(&f);
}

/* What was proposed over one state of things is not done over another. */
BP_CASE(what_changed_since_is_proposed_again)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0};
    bool capped = false;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(begin(&old, &d) && propose(&old, &d, &a) == BP_P_NONE);
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, old.n, false, BP_SPAN_STR("odd"), BP_SPAN_STR("ann"), &capped, &problem)));
    BP_CHECK(approve(&a, &ben) == BP_P_PRECONDITION && is_in(&old, BP_ST_QUARANTINED));
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE);
    struct bp_key k = {.spki = "another key of the root", .device = d.n, .role = BP_ROLE_AK};
    BP_CHECK(!bp_failed(bp_store_key_add(f.store, &k)) && approve(&a, &ben) == BP_P_PRECONDITION);
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE);
    k = (struct bp_key){.spki = "a renewed session key", .device = d.n, .role = BP_ROLE_LDEVID};
    BP_CHECK(!bp_failed(bp_store_key_add(f.store, &k)) && approve(&a, &ben) == BP_P_NONE); /* that is no change */
    fx_end(&f);
}

BP_CASE(a_revoked_device_has_no_successor_and_another_class_is_none)
{
    struct bp_device old = {0}, d = {0}, lesser = {0};
    struct bp_action a = {0};
    const char *why = "";
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(begin(&old, &d) && good(3, "virtual", &lesser));
    BP_CHECK(propose(&old, &lesser, &a) == BP_P_NOT_A_SPARE);
    BP_CHECK(propose(&old, &old, &a) == BP_P_VALUE && propose(&d, &old, &a) == BP_P_NOT_A_SPARE);
    BP_CHECK(bp_failed(bp_registry_propose(&f.r, old.n, d.n, BP_SPAN_EMPTY, &ann, &a, &why, &problem)) && problem == BP_P_VALUE);
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE);
    BP_CHECK(!bp_failed(bp_registry_revoke(&f.r, old.n, BP_SPAN_STR("stolen"), BP_SPAN_STR("ann"), &problem)));
    BP_CHECK(approve(&a, &ben) == BP_P_WRONG_STATE && propose(&old, &d, &a) == BP_P_WRONG_STATE);
    fx_end(&f);
}

BP_CASE(a_device_without_a_position_hands_its_place_on)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0};
    BP_NEED(fx_new(&f) && good(1, "firmware", &old) && good(2, "firmware", &d));
    memset(d.place.name, 0, sizeof d.place.name);
    BP_NEED(!bp_failed(bp_store_device_set(f.store, &d)));
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE && approve(&a, &ben) == BP_P_NONE);
    BP_CHECK(is_in(&d, BP_ST_ACTIVE) && memcmp(&d.place, &hall, sizeof hall) == 0);
    BP_CHECK(is_in(&old, BP_ST_RETIRED) && old.place.name[0] == 0);
    fx_end(&f);
}

BP_CASE(only_so_many_acts_wait)
{
    struct bp_device old = {0}, d = {0};
    struct bp_action a = {0};
    BP_NEED(begin(&old, &d));
    for (unsigned i = 0; i < BP_ACTIONS_OPEN_MAX; i++) {
        BP_CHECK(propose(&old, &d, &a) == BP_P_NONE);
    }
    BP_CHECK(propose(&old, &d, &a) == BP_P_CONFLICT);
    f.r.now_ms += BP_ACTION_MS; /* nobody approved them in time */
    BP_CHECK(propose(&old, &d, &a) == BP_P_NONE);
    fx_end(&f);
}

BP_SUITE(succession, BP_RUN(another_person_approves_and_nothing_of_the_old_root_is_left)
    BP_RUN(the_author_does_not_approve_and_may_reject) BP_RUN(an_approval_is_for_one_digest_and_for_a_day)
    BP_RUN(what_changed_since_is_proposed_again) BP_RUN(a_revoked_device_has_no_successor_and_another_class_is_none)
    BP_RUN(a_device_without_a_position_hands_its_place_on) BP_RUN(only_so_many_acts_wait))
