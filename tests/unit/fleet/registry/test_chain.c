/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/test_chain - chains of ownership at a server: which claims, which hands over, which is refused and
 * told, and what a device that leaves must show. */
#include "fixture.h"

#include "codec/cose.h"
#include "fleet/registry/ownership.h"
#include "harness.h"
#include "unit/signer.h"

enum { MAKER, OURS, OTHER, KEYS };

static struct fx f;
static struct test_key key[KEYS];
static struct bp_owned o;
static char detail[BP_REASON_MAX + 1];
static const struct bp_place hall = {.zone = "hall", .name = "press"};
static const struct bp_place nowhere;
static uint8_t card[BP_OWNERSHIP_SIGNED_MAX];
static size_t card_n;

/* A chain that is made statement by statement, and written. */
static struct {
    uint8_t maker[BP_OWNERSHIP_ANCHOR_MAX];
    uint8_t statement[4][BP_OWNERSHIP_SIGNED_MAX];
    struct bp_ownership_chain c;
    uint8_t bytes[BP_OWNERSHIP_FILE_MAX];
    size_t n;
    uint8_t id[BP_ID_SIZE];
} made;

static bp_span spki(int k)
{
    return bp_span_of(key[k].spki, key[k].spki_n);
}

static size_t sign(int k, bp_span content, bp_span payload, uint8_t *ret)
{
    static uint8_t scratch[2 * BP_OWNERSHIP_SIGNED_MAX];
    uint8_t kid[32];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_hash(f.crypto, BP_HASH_SHA256, spki(k), kid)));
    const struct bp_cose_header header = {content, BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    BP_CHECK(!bp_failed(bp_cose_sign1_write(&key[k].signer, &header, payload, BP_SPAN_EMPTY, scratch, sizeof scratch, ret,
                                            BP_OWNERSHIP_SIGNED_MAX, &n)));
    return n;
}

static void begin(unsigned device)
{
    struct fx_contact k;
    const struct bp_maker_anchor maker = {.name = BP_SPAN_STR("Maker"), .keys = 1, .key = {spki(MAKER)}};
    size_t n = 0;
    memset(&made.c, 0, sizeof made.c);
    fx_contact(&k, device, device, "10.0.0.1", BP_SPAN_EMPTY);
    memcpy(made.id, k.id, sizeof made.id);
    BP_CHECK(!bp_failed(bp_maker_anchor_write(&maker, made.maker, sizeof made.maker, &n)));
    made.c.maker = bp_span_of(made.maker, n);
    made.c.device_id = BP_SPAN_OF(made.id);
}

static void add(enum bp_ownership_kind kind, int by, int to, int64_t at)
{
    uint8_t prev[32] = {0};
    uint8_t from[32];
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t n = 0;
    const uint32_t i = made.c.statements;
    struct bp_ownership v = {.device_id = made.c.device_id, .kind = kind, .epoch = i + 1, .prev = BP_SPAN_OF(prev),
                             .from_key = BP_SPAN_OF(from), .created_ms = at};
    if (kind != BP_OWNERSHIP_RETIRE) {
        v.to_key = spki(to);
        v.owner = BP_SPAN_STR("somebody");
    }
    BP_CHECK(i == 0 || !bp_failed(bp_hash(f.crypto, BP_HASH_SHA256, made.c.statement[i - 1], prev)));
    BP_CHECK(!bp_failed(bp_hash(f.crypto, BP_HASH_SHA256, spki(by), from)));
    BP_CHECK(!bp_failed(bp_ownership_write(&v, payload, sizeof payload, &n)));
    n = sign(by, BP_SPAN_STR(BP_OWNERSHIP_CONTENT), bp_span_of(payload, n), made.statement[i]);
    made.c.statement[i] = bp_span_of(made.statement[i], n);
    made.c.statements++;
}

static enum bp_problem bring(const struct bp_place *place)
{
    enum bp_problem problem = BP_P_NONE;
    BP_CHECK(!bp_failed(bp_ownership_chain_write(&made.c, made.bytes, sizeof made.bytes, &made.n)));
    const bp_result r = bp_registry_own(&f.r, bp_span_of(made.bytes, made.n), bp_span_of(card, card_n), place, BP_SPAN_STR("ann"), &o,
                                        detail, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

static uint32_t last_event(void)
{
    static struct bp_event e;
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    return f.log.size > 0 && !bp_failed(bp_store_event(f.store, f.log.size - 1, &body, digest)) && !bp_failed(bp_event_read(body, &e))
               ? (uint32_t)e.type
               : 0;
}

/* A store, fresh keys, our card. */
static bool start(void)
{
    const uint8_t root[32] = {1};
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t n = 0;
    if (!fx_new(&f)) {
        return false;
    }
    for (int i = 0; i < KEYS; i++) {
        if (!test_key_make(&key[i], BP_SIG_ES256)) {
            return false;
        }
    }
    const struct bp_owner_card v = {.key = spki(OURS), .name = BP_SPAN_STR("us"), .root = BP_SPAN_OF(root)};
    if (bp_failed(bp_owner_card_write(&v, payload, sizeof payload, &n))) {
        return false;
    }
    card_n = sign(OURS, BP_SPAN_STR(BP_OWNER_CARD_CONTENT), bp_span_of(payload, n), card);
    return true;
}

static void finish(void)
{
    for (int i = 0; i < KEYS; i++) {
        test_key_done(&key[i]);
    }
    fx_end(&f);
}

static enum bp_problem arrive(unsigned device, unsigned ak, struct bp_device *ret)
{
    struct fx_contact k;
    enum bp_problem problem = BP_P_NONE;
    fx_contact(&k, device, ak, "10.0.0.1", BP_SPAN_EMPTY);
    const bp_result r = bp_registry_contact(&f.r, &k.c, ret, &problem);
    return bp_failed(r) && problem == BP_P_NONE ? BP_P_INTERNAL : problem;
}

BP_CASE(our_chain_lets_the_device_in)
{
    struct bp_device d = {0};
    BP_NEED(start());
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OURS, 5);
    BP_CHECK(bring(&nowhere) == BP_P_VALUE); /* where does it belong? */
    BP_CHECK(bring(&hall) == BP_P_NONE && o.phase == BP_OWNED_OURS && o.epoch == 1 && last_event() == BP_EV_OWNERSHIP_IMPORTED);
    BP_CHECK(bring(&nowhere) == BP_P_NONE && o.phase == BP_OWNED_OURS); /* the same again */
    BP_CHECK(arrive(1, 1, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED && strcmp(d.place.zone, "hall") == 0);
    BP_CHECK(arrive(2, 2, &d) == BP_P_NONE && d.state == BP_ST_WAITING); /* another one waits as ever */
    finish();
}

BP_CASE(a_device_that_waits_is_taken_in_by_its_chain)
{
    struct bp_device d = {0};
    BP_NEED(start());
    BP_CHECK(arrive(1, 1, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OURS, 5);
    BP_CHECK(bring(&hall) == BP_P_NONE && !bp_failed(bp_store_device_by_n(f.store, d.n, &d)) && d.state == BP_ST_CLAIMED);
    finish();
}

BP_CASE(another_owners_chain_claims_nothing)
{
    struct bp_device d = {0};
    BP_NEED(start());
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OTHER, 5);
    BP_CHECK(bring(&hall) == BP_P_OWNERSHIP && strstr(detail, "ownership-owner") != NULL && last_event() == BP_EV_OWNERSHIP_REFUSED);
    BP_CHECK(arrive(1, 1, &d) == BP_P_NONE && d.state == BP_ST_WAITING);
    finish();
}

BP_CASE(a_fork_is_refused_and_told)
{
    BP_NEED(start());
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OURS, 5);
    BP_NEED(bring(&hall) == BP_P_NONE);
    begin(1); /* the maker assigns it again, to somebody else */
    add(BP_OWNERSHIP_ASSIGN, MAKER, OTHER, 6);
    BP_CHECK(bring(&hall) == BP_P_OWNERSHIP_FORK && last_event() == BP_EV_OWNERSHIP_FORK);
    add(BP_OWNERSHIP_TRANSFER, OTHER, OURS, 7); /* and it goes on to us: still a second chain */
    BP_CHECK(bring(&hall) == BP_P_OWNERSHIP_FORK && last_event() == BP_EV_OWNERSHIP_FORK);
    finish();
}

BP_CASE(an_older_copy_is_old_and_a_shorter_fork_a_fork)
{
    BP_NEED(start());
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OTHER, 5);
    add(BP_OWNERSHIP_TRANSFER, OTHER, OURS, 6);
    BP_NEED(bring(&hall) == BP_P_NONE && o.epoch == 2);
    made.c.statements = 1;
    BP_CHECK(bring(&hall) == BP_P_OWNERSHIP && strstr(detail, "ownership-older") != NULL);
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OTHER, 7);
    BP_CHECK(bring(&hall) == BP_P_OWNERSHIP_FORK);
    finish();
}

BP_CASE(a_claimed_device_that_is_handed_over_is_retired)
{
    struct bp_device d = {0};
    uint8_t room[BP_OWNERSHIP_FILE_MAX];
    size_t n = 0;
    BP_NEED(start());
    begin(1);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OURS, 5);
    BP_NEED(bring(&hall) == BP_P_NONE && arrive(1, 1, &d) == BP_P_NONE && d.state == BP_ST_CLAIMED);
    add(BP_OWNERSHIP_TRANSFER, OURS, OTHER, 6);
    BP_CHECK(bring(&nowhere) == BP_P_NONE && o.phase == BP_OWNED_GONE);
    BP_CHECK(!bp_failed(bp_store_device_by_n(f.store, d.n, &d)) && d.state == BP_ST_RETIRED);
    BP_CHECK(arrive(1, 9, &d) == BP_P_REVOKED);
    BP_CHECK(!bp_failed(bp_registry_chain(&f.r, BP_SPAN_OF(made.id), bp_span_of(card, card_n), room, sizeof room, &n)) && n > 0);
    BP_CHECK(bp_is(bp_registry_chain(&f.r, BP_SPAN_STR("nobody"), BP_SPAN_EMPTY, room, sizeof room, &n), BP_E_NOT_FOUND));
    finish();
}

/* A statement that nobody's key signed, or for nothing that was handed over, retires no device. */
BP_CASE(what_says_it_left_is_checked)
{
    struct bp_device d = {0};
    uint8_t bytes[BP_OWNER_ERASURE_MAX];
    const uint8_t head[32] = {7};
    enum bp_problem problem = BP_P_NONE;
    size_t n = 0;
    BP_NEED(start());
    begin(1);
    struct bp_owner_erasure e = {.device_id = BP_SPAN_OF(made.id), .epoch = 1, .head = BP_SPAN_OF(head), .time_ms = 1,
                                 .attest = BP_SPAN_STR("attest"), .sig = BP_SPAN_STR("sig")};
    BP_NEED(!bp_failed(bp_owner_erasure_write(&e, bytes, sizeof bytes, &n)));
    BP_CHECK(bp_failed(bp_registry_left(&f.r, bp_span_of(bytes, n), detail, &problem)) && problem == BP_P_NO_OWNERSHIP);
    add(BP_OWNERSHIP_ASSIGN, MAKER, OURS, 5);
    BP_NEED(bring(&hall) == BP_P_NONE && arrive(1, 1, &d) == BP_P_NONE);
    BP_CHECK(bp_failed(bp_registry_left(&f.r, bp_span_of(bytes, n), detail, &problem)) && problem == BP_P_ERASURE);
    BP_CHECK(bp_failed(bp_registry_left(&f.r, BP_SPAN_STR("x"), detail, &problem)) && problem == BP_P_MALFORMED);
    o.phase = BP_OWNED_HANDED; /* as a device with a certificate stands when it was given away */
    o.chain = bp_span_of(made.bytes, made.n);
    BP_NEED(!bp_failed(bp_store_owned_set(f.store, &o)));
    e.head = BP_SPAN_OF(o.head);
    BP_NEED(!bp_failed(bp_owner_erasure_write(&e, bytes, sizeof bytes, &n)));
    BP_CHECK(bp_failed(bp_registry_left(&f.r, bp_span_of(bytes, n), detail, &problem)) && problem == BP_P_ERASURE &&
             strstr(detail, "attestation key") != NULL);
    BP_CHECK(!bp_failed(bp_store_device_by_n(f.store, d.n, &d)) && d.state == BP_ST_CLAIMED);
    finish();
}

BP_SUITE(registry_chain, BP_RUN(our_chain_lets_the_device_in) BP_RUN(a_device_that_waits_is_taken_in_by_its_chain)
    BP_RUN(another_owners_chain_claims_nothing) BP_RUN(a_fork_is_refused_and_told)
    BP_RUN(an_older_copy_is_old_and_a_shorter_fork_a_fork) BP_RUN(a_claimed_device_that_is_handed_over_is_retired)
    BP_RUN(what_says_it_left_is_checked))
