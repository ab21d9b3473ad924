/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/test_expected - manifests imported, forged, replayed and foreign; units that come, whole or not. */
#include "fixture.h"

#include "fleet/registry/expected.h"

#include "codec/cose.h"
#include "codec/manifest.h"
#include "harness.h"
#include "unit/signer.h"

static struct fx f;
static struct test_key maker, other;
static uint8_t payload[16384], scratch[20000], signed_room[16384];
static size_t signed_n;
static char detail[BP_EXPECTED_DETAIL];

/* A unit of the chip that fixture's contact `number` is. */
static void unit_of(unsigned number, struct fx_contact *k, struct bp_manifest_unit *u, char serial[16])
{
    fx_contact(k, number, number, "10.0.0.9", BP_SPAN_EMPTY);
    memcpy(k->id + 1, k->ek[0], 32);
    (void)snprintf(serial, 16, "SN-%u", number);
    *u = (struct bp_manifest_unit){.id = BP_SPAN_OF(k->id),
                                   .serial = bp_span_cstr(serial),
                                   .model = BP_SPAN_STR("gw-1"),
                                   .kind = BP_SPAN_STR("tpm2"),
                                   .keys = 2,
                                   .key = {{2, BP_SPAN_OF(k->ek[0])}, {1, BP_SPAN_OF(k->ek[1])}}};
}

struct batch {
    const char *maker, *order;
    uint64_t number;
    unsigned first, count;
    const struct test_key *by;   /* signs */
    const struct test_key *says; /* NULL: by; whose key the payload names */
};

static bool make(const struct batch *b)
{
    static struct fx_contact k[8];
    static char serial[8][16];
    struct bp_manifest_unit u[8];
    const struct test_key *says = b->says != NULL ? b->says : b->by;
    struct bp_manifest m = {.maker = bp_span_cstr(b->maker), .key = bp_span_of(says->spki, says->spki_n),
                            .order = bp_span_cstr(b->order), .batch = b->number, .quota = 100, .units = b->count};
    uint8_t kid[32];
    size_t n = 0;
    for (unsigned i = 0; i < b->count; i++) {
        unit_of(b->first + i, &k[i], &u[i], serial[i]);
    }
    if (bp_failed(bp_manifest_write(&m, u, payload, sizeof payload, &n)) ||
        bp_failed(bp_hash(f.crypto, BP_HASH_SHA256, m.key, kid))) {
        return false;
    }
    const struct bp_cose_header head = {.content_type = BP_SPAN_STR(BP_MANIFEST_CONTENT), .kid = BP_SPAN_OF(kid)};
    return !bp_failed(bp_cose_sign1_write(&b->by->signer, &head, bp_span_of(payload, n), BP_SPAN_EMPTY, scratch,
                                          sizeof scratch, signed_room, sizeof signed_room, &signed_n));
}

static bp_span kid_of(const struct test_key *k)
{
    static uint8_t kid[32];
    return bp_failed(bp_hash(f.crypto, BP_HASH_SHA256, bp_span_of(k->spki, k->spki_n), kid)) ? BP_SPAN_EMPTY : BP_SPAN_OF(kid);
}

static enum bp_problem import_bytes(bp_span in, const struct test_key *named)
{
    struct bp_import i;
    enum bp_problem p = BP_P_NONE;
    const bp_result r = bp_registry_import(&f.r, in, named != NULL ? kid_of(named) : BP_SPAN_EMPTY, BP_SPAN_STR("hall"),
                                           BP_SPAN_STR("ann"), &i, &p);
    memcpy(detail, i.detail, sizeof detail);
    return bp_failed(r) && p == BP_P_NONE ? BP_P_INTERNAL : p;
}

static enum bp_problem import(const struct batch *b, const struct test_key *named)
{
    return make(b) ? import_bytes(bp_span_of(signed_room, signed_n), named) : BP_P_INTERNAL;
}

static enum bp_problem come(struct fx_contact *k, struct bp_device *ret)
{
    enum bp_problem problem = BP_P_NONE;
    const bp_result r = bp_registry_contact(&f.r, &k->c, ret, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static void contact_of(unsigned number, struct fx_contact *k)
{
    struct bp_manifest_unit u;
    char serial[16];
    unit_of(number, k, &u, serial);
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

static bool begin(void)
{
    return fx_new(&f) && test_key_make(&maker, BP_SIG_ES256) && test_key_make(&other, BP_SIG_ES384);
}

static void end(void)
{
    test_key_done(&maker);
    test_key_done(&other);
    fx_end(&f);
}

BP_CASE(announced_unit_is_claimed_when_it_comes)
{
    struct fx_contact k;
    struct bp_device d = {0};
    struct bp_event e;
    const struct batch b = {"Acme", "PO-1", 1, 1, 3, &maker, NULL};
    BP_NEED(begin());
    BP_CHECK(import(&b, &maker) == BP_P_NONE);
    BP_CHECK(last_event(&e) == BP_EV_MANIFEST_IMPORTED && bp_span_equal(e.actor, BP_SPAN_STR("ann")) &&
             bp_event_detail_of(&e, BP_SPAN_STR("units"))->number == 3);
    contact_of(2, &k);
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED);
    BP_CHECK(strcmp(d.place.zone, "hall") == 0 && strcmp(d.place.model, "gw-1") == 0 && strcmp(d.place.name, "SN-2") == 0);
    BP_CHECK(last_event(&e) == BP_EV_UNIT_CLAIMED && bp_event_detail_of(&e, BP_SPAN_STR("batch"))->number == 1);
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED);
    contact_of(9, &k); /* of no manifest */
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    end();
}

BP_CASE(waiting_device_leaves_the_room_when_its_manifest_comes)
{
    struct fx_contact k;
    struct bp_device d = {0};
    const struct batch b = {"Acme", "PO-1", 1, 1, 3, &maker, NULL};
    BP_NEED(begin());
    contact_of(1, &k);
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    BP_CHECK(import(&b, &maker) == BP_P_NONE);
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED && strcmp(d.place.zone, "hall") == 0);
    end();
}

BP_CASE(a_chip_that_is_not_the_whole_unit_is_refused)
{
    struct fx_contact k, mixed;
    struct bp_device d = {0};
    const struct batch b = {"Acme", "PO-1", 1, 1, 3, &maker, NULL};
    BP_NEED(begin() && import(&b, &maker) == BP_P_NONE);
    contact_of(1, &k);
    k.c.ek_count = 1; /* one of its two keys */
    BP_CHECK(come(&k, &d) == BP_P_UNIT_MISMATCH);
    contact_of(1, &k);
    memcpy(k.ek[1], "a key of nobody", 16); /* one key more that the maker did not name */
    BP_CHECK(come(&k, &d) == BP_P_UNIT_MISMATCH);
    contact_of(1, &mixed);
    contact_of(2, &k);
    memcpy(mixed.ek[1], k.ek[1], 32); /* keys of two units */
    BP_CHECK(come(&mixed, &d) == BP_P_UNIT_MISMATCH);
    contact_of(1, &k);
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED);
    /* The same chip by its other key alone is not a second device, and once it is ours that key will do. */
    struct bp_device again = {0};
    memcpy(k.ek[0], k.ek[1], 32);
    k.c.ek_count = 1;
    BP_CHECK(come(&k, &again) == BP_P_NONE && again.n == d.n && again.state == BP_ST_CLAIMED);
    memcpy(k.id + 1, k.ek[0], 32);
    BP_CHECK(come(&k, &again) == BP_P_BUSY);
    end();
}

BP_CASE(key_of_a_maker_is_pinned_by_a_person)
{
    const struct batch first = {"Acme", "PO-1", 1, 1, 2, &maker, NULL}, second = {"Acme", "PO-1", 2, 3, 2, &maker, NULL},
                       foreign = {"Acme", "PO-9", 1, 5, 2, &other, NULL}, renamed = {"Emca", "PO-9", 1, 5, 2, &maker, NULL},
                       third = {"Emca", "PO-9", 1, 5, 2, &other, NULL};
    BP_NEED(begin());
    BP_CHECK(import(&first, NULL) == BP_P_MAKER && strstr(detail, "new") != NULL);
    BP_CHECK(import(&first, &other) == BP_P_MAKER); /* another key was named */
    BP_CHECK(import(&first, &maker) == BP_P_NONE);
    BP_CHECK(import(&second, NULL) == BP_P_NONE);
    BP_CHECK(import(&foreign, NULL) == BP_P_MAKER);
    BP_CHECK(import(&foreign, &other) == BP_P_MAKER && strstr(detail, "another key") != NULL); /* the name has its key */
    BP_CHECK(import(&renamed, &maker) == BP_P_MAKER); /* and the key its name */
    BP_CHECK(import(&third, &other) == BP_P_NONE);
    end();
}

BP_CASE(forged_manifest_is_refused)
{
    const struct batch good = {"Acme", "PO-1", 1, 1, 2, &maker, NULL}, lent = {"Acme", "PO-1", 1, 1, 2, &other, &maker};
    BP_NEED(begin());
    BP_CHECK(import(&lent, &maker) == BP_P_SIGNATURE);
    BP_NEED(make(&good));
    for (size_t i = 0; i < signed_n; i++) {
        signed_room[i] ^= 1;
        BP_CHECK(import_bytes(bp_span_of(signed_room, signed_n), &maker) != BP_P_NONE);
        signed_room[i] ^= 1;
    }
    for (size_t n = 0; n < signed_n; n++) {
        BP_CHECK(import_bytes(bp_span_of(signed_room, n), &maker) == BP_P_MALFORMED);
    }
    BP_CHECK(import_bytes(BP_SPAN_STR("\xd2\x84\x40\xa0\x40\x40"), &maker) != BP_P_NONE);
    BP_CHECK(import_bytes(bp_span_of(signed_room, signed_n), &maker) == BP_P_NONE);
    end();
}

BP_CASE(batch_is_taken_once_and_in_order)
{
    struct batch b = {"Acme", "PO-1", 2, 1, 2, &maker, NULL};
    BP_NEED(begin() && import(&b, &maker) == BP_P_NONE);
    BP_CHECK(import(&b, NULL) == BP_P_BATCH);
    b.first = 10;
    BP_CHECK(import(&b, NULL) == BP_P_BATCH); /* another batch under its number */
    b.number = 1;
    BP_CHECK(import(&b, NULL) == BP_P_BATCH && strstr(detail, "batch 2 of order PO-1") != NULL);
    b.number = 3;
    BP_CHECK(import(&b, NULL) == BP_P_NONE);
    b.order = "PO-2"; /* orders are counted apart */
    b.number = 1;
    b.first = 20;
    BP_CHECK(import(&b, NULL) == BP_P_NONE);
    end();
}

BP_CASE(unit_is_in_one_batch_only)
{
    struct batch b = {"Acme", "PO-1", 1, 1, 3, &maker, NULL};
    struct fx_contact k;
    struct bp_device d = {0};
    BP_NEED(begin() && import(&b, &maker) == BP_P_NONE);
    b.number = 2;
    b.first = 3;
    BP_CHECK(import(&b, NULL) == BP_P_UNIT && strstr(detail, "SN-3") != NULL);
    contact_of(4, &k); /* nothing of the refused batch was taken */
    BP_CHECK(come(&k, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    b.maker = "Emca";
    b.by = &other;
    BP_CHECK(import(&b, &other) == BP_P_UNIT); /* whoever announces it */
    b.first = 4;
    BP_CHECK(import(&b, &other) == BP_P_NONE);
    end();
}

BP_CASE(revoked_unit_stays_off)
{
    struct batch b = {"Acme", "PO-1", 1, 1, 3, &maker, NULL};
    struct fx_contact k;
    struct bp_device d = {0};
    enum bp_problem p = BP_P_NONE;
    BP_NEED(begin());
    contact_of(1, &k);
    BP_CHECK(come(&k, &d) == BP_P_NONE);
    BP_CHECK(!bp_failed(bp_registry_revoke(&f.r, d.n, BP_SPAN_STR("stolen"), BP_SPAN_STR("ann"), &p)));
    BP_CHECK(import(&b, &maker) == BP_P_NONE);
    BP_CHECK(come(&k, &d) == BP_P_REVOKED);
    end();
}

BP_SUITE(expected, BP_RUN(announced_unit_is_claimed_when_it_comes)
    BP_RUN(waiting_device_leaves_the_room_when_its_manifest_comes) BP_RUN(a_chip_that_is_not_the_whole_unit_is_refused)
    BP_RUN(key_of_a_maker_is_pinned_by_a_person) BP_RUN(forged_manifest_is_refused) BP_RUN(batch_is_taken_once_and_in_order)
    BP_RUN(unit_is_in_one_batch_only) BP_RUN(revoked_unit_stays_off))
