/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/test_positions - what binds to a position goes to whoever fills it, and nothing of the old
 * device is left when a spare took over. */
#include "fixture.h"

#include "codec/ear.h"
#include "harness.h"

static struct fx f;

static const struct bp_place hall = {.zone = "hall", .site = "plant", .model = "gw", .name = "press"};
static const struct bp_place shelf = {.zone = "shelf"};
#define TAG BP_SPAN_STR("=A1-K3")
#define ANN BP_SPAN_STR("ann")

static bool come(unsigned number, const char *code, struct bp_device *d, enum bp_problem *ret_problem)
{
    struct fx_contact k;
    fx_contact(&k, number, number, "10.0.0.1", bp_span_cstr(code));
    return !bp_failed(bp_registry_contact(&f.r, &k.c, d, ret_problem));
}

static bool certify(unsigned number, struct bp_device *d)
{
    enum bp_problem problem = BP_P_NONE;
    struct bp_certificate c = {.serial_n = 16, .profile = "management", .not_after_ms = f.r.now_ms + 1000,
                               .state = BP_CERT_GOOD, .device = d->n};
    (void)snprintf((char *)c.serial, sizeof c.serial, "serial %u", number);
    (void)snprintf((char *)c.spki, sizeof c.spki, "ldevid %u", number);
    return !bp_failed(bp_registry_certified(&f.r, d, &c, BP_SPAN_STR("der"), &problem)) &&
           !bp_failed(bp_registry_used(&f.r, d)) && d->state == BP_ST_ACTIVE;
}

static bool judge(const struct bp_device *d, uint8_t tier, bool silent)
{
    const struct bp_trust t = {.seq = 1, .heard_ms = f.r.now_ms, .due_ms = f.r.now_ms + 1000, .tier = tier, .silent = silent};
    return !bp_failed(bp_store_trust_set(f.store, d->n, &t));
}

/* An active device in the zone of the shelf whose last evidence was good. */
static bool spare(unsigned number, struct bp_device *d)
{
    char code[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    return !bp_failed(bp_registry_invite(&f.r, &shelf, BP_INVITATION_MS, ANN, code, &problem)) &&
           come(number, code, d, &problem) && certify(number, d) && judge(d, BP_TIER_AFFIRMING, false);
}

/* The position with tag TAG, filled by device number 1. */
static bool filled(struct bp_device *d)
{
    enum bp_problem problem = BP_P_NONE;
    return fx_new(&f) && !bp_failed(bp_registry_position_make(&f.r, TAG, &hall, ANN, &problem)) && spare(1, d) &&
           !bp_failed(bp_registry_assign(&f.r, TAG, d->n, ANN, &problem)) &&
           !bp_failed(bp_store_device_by_n(f.store, d->n, d));
}

static enum bp_problem replace(const struct bp_device *d, const char **why)
{
    enum bp_problem problem = BP_P_NONE;
    const bp_result r = bp_registry_replace(&f.r, TAG, d->n, BP_SPAN_STR("dead"), ANN, why, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static bool reload(struct bp_device *d)
{
    return !bp_failed(bp_store_device_by_n(f.store, d->n, d));
}

static int64_t holder(void)
{
    struct bp_position p = {0};
    return bp_failed(bp_store_position_by_tag(f.store, TAG, &p)) ? -1 : p.device;
}

/* Type and device of the event that is `back` before the newest. */
static uint32_t event(uint64_t back, struct bp_event *e)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    return f.log.size > back && !bp_failed(bp_store_event(f.store, f.log.size - 1 - back, &body, digest)) &&
                   !bp_failed(bp_event_read(body, e))
               ? (uint32_t)e->type
               : 0;
}

static const struct {
    const char *name, *tag;
    bool good;
} tags[] = {
    {"tag.letters_and_digits", "press1", true},   {"tag.of_iec_81346", "=A1+B2-K3.1:2", true},
    {"tag.one", "x", true},                        {"tag.empty", "", false},
    {"tag.blank", "a b", false},                   {"tag.slash", "a/b", false},
    {"tag.percent", "a%41", false},                {"tag.question", "a?b", false},
    {"tag.control", "a\nb", false},                {"tag.not_ascii", "\xc3\xa4", false},
    {"tag.option", "-a", false},                   {"tag.dots", "..", false},
    {"tag.sixty_five", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

static void every_tag(void)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        enum bp_problem problem = BP_P_NONE;
        bp_case_begin();
        if (BP_CHECK(fx_new(&f))) {
            const bp_result r = bp_registry_position_make(&f.r, bp_span_cstr(tags[i].tag), &hall, ANN, &problem);
            BP_CHECK(tags[i].good ? !bp_failed(r) : bp_failed(r) && problem == BP_P_VALUE);
            fx_end(&f);
        }
        bp_case_end(tags[i].name);
    }
}

BP_CASE(a_position_is_made_once_and_named_by_its_tag)
{
    struct bp_position p = {0};
    struct bp_event e;
    enum bp_problem problem = BP_P_NONE;
    const struct bp_place nowhere = {.name = "x"};
    BP_NEED(fx_new(&f));
    BP_CHECK(bp_failed(bp_registry_position_make(&f.r, TAG, &nowhere, ANN, &problem)) && problem == BP_P_VALUE);
    BP_CHECK(!bp_failed(bp_registry_position_make(&f.r, TAG, &shelf, ANN, &problem)));
    BP_CHECK(event(0, &e) == BP_EV_POSITION_MADE && bp_span_equal(e.actor, ANN));
    BP_CHECK(bp_failed(bp_registry_position_make(&f.r, TAG, &hall, ANN, &problem)) && problem == BP_P_CONFLICT);
    BP_CHECK(!bp_failed(bp_store_position_by_tag(f.store, TAG, &p)) && strcmp(p.place.name, "=A1-K3") == 0);
    BP_CHECK(strcmp(p.place.zone, "shelf") == 0 && p.device == 0 && strcmp(p.by, "ann") == 0);
    fx_end(&f);
}

BP_CASE(who_fills_a_position_gets_its_place)
{
    struct bp_device d = {0}, other = {0};
    struct bp_event e;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(filled(&d));
    BP_CHECK(event(0, &e) == BP_EV_POSITION_FILLED && bp_span_equal(e.device, bp_span_cstr(d.pseudonym)));
    BP_CHECK(memcmp(&d.place, &hall, sizeof hall) == 0 && holder() == d.n);
    BP_NEED(spare(2, &other));
    BP_CHECK(bp_failed(bp_registry_assign(&f.r, TAG, other.n, ANN, &problem)) && problem == BP_P_POSITION_FILLED);
    BP_CHECK(!bp_failed(bp_registry_position_make(&f.r, BP_SPAN_STR("B"), &shelf, ANN, &problem)));
    BP_CHECK(bp_failed(bp_registry_assign(&f.r, BP_SPAN_STR("B"), d.n, ANN, &problem)) && problem == BP_P_POSITION_FILLED);
    BP_CHECK(bp_failed(bp_registry_assign(&f.r, BP_SPAN_STR("C"), other.n, ANN, &problem)) && problem == BP_P_NOT_FOUND);
    BP_CHECK(!bp_failed(bp_registry_retire(&f.r, other.n, BP_SPAN_STR("old"), ANN, &problem)));
    BP_CHECK(bp_failed(bp_registry_assign(&f.r, BP_SPAN_STR("B"), other.n, ANN, &problem)) && problem == BP_P_WRONG_STATE);
    fx_end(&f);
}

BP_CASE(an_invitation_and_an_approval_may_name_a_position)
{
    struct bp_device d = {0}, late = {0};
    struct bp_place place = {0};
    char code[BP_CODE_TEXT + 1], second[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f) && !bp_failed(bp_registry_position_make(&f.r, TAG, &hall, ANN, &problem)));
    BP_CHECK(!bp_failed(bp_registry_invite_to(&f.r, TAG, BP_INVITATION_MS, ANN, code, &place, &problem)) &&
             memcmp(&place, &hall, sizeof hall) == 0);
    BP_CHECK(!bp_failed(bp_registry_invite_to(&f.r, TAG, BP_INVITATION_MS, ANN, second, &place, &problem)));
    BP_CHECK(come(1, code, &d, &problem) && holder() == d.n && memcmp(&d.place, &hall, sizeof hall) == 0);
    BP_CHECK(!come(2, second, &late, &problem) && problem == BP_P_POSITION_FILLED && holder() == d.n);
    BP_CHECK(bp_failed(bp_registry_invite_to(&f.r, TAG, BP_INVITATION_MS, ANN, code, &place, &problem)) &&
             problem == BP_P_POSITION_FILLED);
    BP_CHECK(!bp_failed(bp_registry_position_make(&f.r, BP_SPAN_STR("B"), &shelf, ANN, &problem)));
    BP_CHECK(come(3, "", &late, &problem) && late.state == BP_ST_WAITING);
    BP_CHECK(bp_failed(bp_registry_approve_at(&f.r, late.n, TAG, ANN, &problem)) && problem == BP_P_POSITION_FILLED);
    BP_CHECK(!bp_failed(bp_registry_approve_at(&f.r, late.n, BP_SPAN_STR("B"), ANN, &problem)) && reload(&late));
    BP_CHECK(late.state == BP_ST_CLAIMED && strcmp(late.place.zone, "shelf") == 0 && strcmp(late.place.name, "B") == 0);
    fx_end(&f);
}

/* A cleared TPM that is invited again is still the device of its position, wherever the invitation leads. */
BP_CASE(coming_again_leaves_a_device_in_its_position)
{
    struct bp_device d = {0};
    struct bp_place place = {.zone = "unchanged"};
    struct fx_contact k;
    char code[BP_CODE_TEXT + 1];
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(filled(&d) && !bp_failed(bp_registry_invite(&f.r, &shelf, BP_INVITATION_MS, ANN, code, &problem)));
    BP_CHECK(!bp_failed(bp_registry_invited(&f.r, bp_span_cstr(code), d.n, &place, &problem)));
    BP_CHECK(memcmp(&place, &hall, sizeof hall) == 0);
    fx_contact(&k, 1, 77, "10.0.0.1", bp_span_cstr(code));
    BP_CHECK(!bp_failed(bp_registry_contact(&f.r, &k.c, &d, &problem)) && d.state == BP_ST_CLAIMED);
    BP_CHECK(reload(&d) && memcmp(&d.place, &hall, sizeof hall) == 0 && holder() == d.n);
    fx_end(&f);
}

BP_CASE(a_spare_takes_over_and_nothing_of_the_old_device_is_left)
{
    struct bp_device old = {0}, d = {0};
    struct bp_key keys[8];
    struct bp_certificate c = {0};
    struct bp_event e;
    bp_span der = BP_SPAN_EMPTY;
    const char *why = NULL;
    size_t n = 0;
    BP_NEED(filled(&old) && spare(2, &d));
    f.effects = (struct bp_effects){0};
    const uint64_t before = f.log.size;
    BP_CHECK(replace(&d, &why) == BP_P_NONE);
    BP_CHECK(reload(&d) && d.state == BP_ST_ACTIVE && memcmp(&d.place, &hall, sizeof hall) == 0 && holder() == d.n);
    BP_CHECK(reload(&old) && old.state == BP_ST_RETIRED && old.place.name[0] == 0 && strcmp(old.place.zone, "hall") == 0);
    BP_CHECK(!bp_failed(bp_store_key_of(f.store, old.n, keys, 8, &n)) && n == 4);
    for (size_t i = 0; i < n; i++) {
        BP_CHECK(keys[i].tombstone);
    }
    BP_CHECK(f.effects.deny_count == 4 && f.effects.crl);
    BP_CHECK(!bp_failed(bp_store_cert_of(f.store, old.n, &c, &der)) && c.state == BP_CERT_REVOKED && c.revoked_reason == 5);
    /* One event on each, and the spare's own keys are what they were. */
    BP_CHECK(f.log.size == before + 2);
    BP_CHECK(event(1, &e) == BP_EV_DEVICE_REPLACED && bp_span_equal(e.device, bp_span_cstr(old.pseudonym)));
    BP_CHECK(event(0, &e) == BP_EV_POSITION_FILLED && bp_span_equal(e.device, bp_span_cstr(d.pseudonym)));
    BP_CHECK(!bp_failed(bp_store_key_of(f.store, d.n, keys, 8, &n)) && n == 4 && !keys[0].tombstone);
    BP_CHECK(!bp_failed(bp_store_cert_of(f.store, d.n, &c, &der)) && c.state == BP_CERT_GOOD);
    fx_end(&f);
}

BP_CASE(what_vouched_for_keys_in_another_zone_does_not_count)
{
    struct bp_device old = {0}, d = {0};
    struct bp_vouched v = {.spki = "ldevid 2", .until_ms = INT64_MAX};
    const char *why = NULL;
    BP_NEED(filled(&old) && spare(2, &d));
    v.device = d.n;
    BP_NEED(!bp_failed(bp_store_vouch(f.store, &v)));
    BP_CHECK(replace(&d, &why) == BP_P_NONE);
    BP_CHECK(bp_is(bp_store_vouched(f.store, BP_SPAN_OF(v.spki), &v), BP_E_NOT_FOUND));
    fx_end(&f);
}

BP_CASE(a_revoked_silent_or_held_device_is_replaced_as_well)
{
    struct bp_device old = {0}, d = {0};
    bool capped = false;
    const char *why = NULL;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(filled(&old) && spare(2, &d));
    BP_CHECK(!bp_failed(bp_registry_revoke(&f.r, old.n, BP_SPAN_STR("stolen"), ANN, &problem)));
    BP_CHECK(holder() == old.n); /* until somebody takes over */
    BP_CHECK(replace(&d, &why) == BP_P_NONE && holder() == d.n);
    BP_CHECK(reload(&old) && old.state == BP_ST_REVOKED);
    BP_NEED(spare(3, &old) && judge(&d, BP_TIER_AFFIRMING, true));
    BP_CHECK(replace(&old, &why) == BP_P_NONE && holder() == old.n);
    BP_CHECK(reload(&d) && d.state == BP_ST_RETIRED);
    BP_NEED(spare(4, &d));
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, old.n, false, BP_SPAN_STR("odd"), ANN, &capped, &problem)));
    BP_CHECK(replace(&d, &why) == BP_P_NONE && holder() == d.n);
    BP_CHECK(reload(&old) && old.state == BP_ST_RETIRED);
    fx_end(&f);
}

BP_CASE(only_a_known_trusted_free_device_takes_over)
{
    struct bp_device old = {0}, d = {0}, waits = {0};
    const struct bp_device stranger = {.n = 4711};
    const char *why = NULL;
    bool capped = false;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(filled(&old) && spare(2, &d) && come(3, "", &waits, &problem));
    const uint64_t before = f.log.size;
    BP_CHECK(replace(&stranger, &why) == BP_P_NOT_FOUND);
    BP_CHECK(replace(&waits, &why) == BP_P_NOT_A_SPARE && strstr(why, "enrolled") != NULL);
    BP_CHECK(replace(&old, &why) == BP_P_NOT_A_SPARE && strstr(why, "position") != NULL);
    BP_CHECK(judge(&d, BP_TIER_CONTRAINDICATED, false) && replace(&d, &why) == BP_P_NOT_A_SPARE && strstr(why, "evidence"));
    BP_CHECK(judge(&d, BP_TIER_NONE, false) && replace(&d, &why) == BP_P_NOT_A_SPARE && strstr(why, "evidence"));
    BP_CHECK(judge(&d, BP_TIER_AFFIRMING, true) && replace(&d, &why) == BP_P_NOT_A_SPARE && strstr(why, "silent"));
    BP_CHECK(judge(&d, BP_TIER_AFFIRMING, false) && f.log.size == before && holder() == old.n);
    (void)snprintf(d.place.model, sizeof d.place.model, "other");
    BP_CHECK(!bp_failed(bp_store_device_set(f.store, &d)) && replace(&d, &why) == BP_P_NOT_A_SPARE && strstr(why, "model"));
    (void)snprintf(d.place.model, sizeof d.place.model, "gw");
    BP_CHECK(!bp_failed(bp_store_device_set(f.store, &d)));
    BP_CHECK(!bp_failed(bp_registry_quarantine(&f.r, d.n, false, BP_SPAN_STR("odd"), ANN, &capped, &problem)));
    BP_CHECK(replace(&d, &why) == BP_P_NOT_A_SPARE && reload(&old) && old.state == BP_ST_ACTIVE);
    BP_CHECK(!bp_failed(bp_registry_release(&f.r, d.n, BP_SPAN_STR("seen"), ANN, &problem)));
    BP_CHECK(judge(&d, BP_TIER_WARNING, false) && replace(&d, &why) == BP_P_NONE && holder() == d.n);
    fx_end(&f);
}

BP_CASE(an_empty_position_is_filled_by_replacing_too)
{
    struct bp_device d = {0};
    struct bp_event e;
    const char *why = NULL;
    enum bp_problem problem = BP_P_NONE;
    BP_NEED(fx_new(&f) && !bp_failed(bp_registry_position_make(&f.r, TAG, &hall, ANN, &problem)) && spare(1, &d));
    const uint64_t before = f.log.size;
    BP_CHECK(replace(&d, &why) == BP_P_NONE && holder() == d.n);
    BP_CHECK(f.log.size == before + 1 && event(0, &e) == BP_EV_POSITION_FILLED);
    fx_end(&f);
}

BP_SUITE(positions, BP_TABLE(every_tag) BP_RUN(a_position_is_made_once_and_named_by_its_tag)
    BP_RUN(who_fills_a_position_gets_its_place) BP_RUN(an_invitation_and_an_approval_may_name_a_position)
    BP_RUN(coming_again_leaves_a_device_in_its_position) BP_RUN(a_spare_takes_over_and_nothing_of_the_old_device_is_left)
    BP_RUN(what_vouched_for_keys_in_another_zone_does_not_count) BP_RUN(a_revoked_silent_or_held_device_is_replaced_as_well)
    BP_RUN(only_a_known_trusted_free_device_takes_over) BP_RUN(an_empty_position_is_filled_by_replacing_too))
