/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles as readers write them, of verdicts that a real keeper and real signers made, checked as `bedplate verify`
 * checks them. */
#include "harness.h"

#include "cli/verify.h"
#include "codec/cose.h"
#include "codec/release.h"
#include "core/devid.h"
#include "fleet/api/api.h"
#include "fleet/releases/releases.h"
#include "platform/alloc.h"
#include "platform/openssl/key.h"
#include "unit/fleet/keeper/world.h"

#include <jansson.h>
#include <stdlib.h>

static struct world *w;
static struct gateway *g;
static struct bp_key *key;
static struct bp_api_reader reader;
static char cookie[BP_OPERATOR_TOKEN_HEX + 1];
static bp_span chain[5];
static struct bp_verification v;
static const char *const programs[] = {"/usr/bin/agent", "1", "/usr/bin/sensor", "1", NULL};

/* A release of the rig's reference values, as a maker signs it. */
struct order {
    uint8_t bytes[RIG_CORIM_MAX + 1024];
    size_t n;
    uint8_t id[32];
    enum bp_acceptance to;
    enum bp_problem problem;
};

static bool sign_release(struct order *o, const char *version, bp_span corim)
{
    static uint8_t payload[RIG_CORIM_MAX + 512], scratch[RIG_CORIM_MAX + 1024];
    uint8_t kid[32];
    size_t n = 0;
    struct bp_corim c;
    struct bp_corim_iter it;
    struct bp_corim_ref ref;
    if (bp_failed(bp_corim_read(corim, &c)) || bp_failed(bp_corim_open(c.comid[0], &it)) || bp_failed(bp_corim_next(&it, &ref))) {
        return false;
    }
    const struct bp_release r = {.product = BP_SPAN_STR("gateway"), .model = ref.model, .version = bp_span_cstr(version),
                                 .counter = 1, .key_epoch = 1, .created_ms = 1700000000000, .corim = corim};
    const struct bp_signer signer = bp_key_signer(key);
    const struct bp_cose_header h = {.content_type = BP_SPAN_STR(BP_RELEASE_CONTENT), .kid = BP_SPAN_OF(kid)};
    return !bp_failed(bp_release_write(&r, payload, sizeof payload, &n)) &&
           !bp_failed(bp_hash(w->plant.crypto, BP_HASH_SHA256, bp_key_spki(key), kid)) &&
           !bp_failed(bp_cose_sign1_write(&signer, &h, bp_span_of(payload, n), BP_SPAN_EMPTY, scratch, sizeof scratch,
                                          o->bytes, sizeof o->bytes, &o->n));
}

static struct bp_releases releases(struct bp_turn *t)
{
    return (struct bp_releases){.store = t->store, .log = t->log, .crypto = t->crypto, .effects = t->effects, .now_ms = t->now_ms};
}

static bp_result import(void *self, struct bp_turn *t)
{
    struct order *o = self;
    struct bp_releases r = releases(t);
    const bp_result got = bp_releases_import(&r, bp_span_of(o->bytes, o->n), bp_key_spki(key), BP_SPAN_STR("anna"), o->id, &o->problem);
    if (bp_failed(got)) {
        printf("# import: %s %s\n", bp_problem_row(o->problem).code, r.detail);
    }
    return got;
}

static bp_result move(void *self, struct bp_turn *t)
{
    struct order *o = self;
    struct bp_releases r = releases(t);
    return bp_releases_move(&r, BP_SPAN_OF(o->id), BP_SPAN_STR("north"), o->to, BP_SPAN_STR("a test"), BP_SPAN_STR("anna"), &o->problem);
}

static bool accept(struct order *o, const char *version, bp_span corim)
{
    o->to = BP_ACC_ACCEPTED;
    return sign_release(o, version, corim) && world_act(w, import, o) && world_act(w, move, o);
}

static bp_result sign_in(void *self, struct bp_turn *t)
{
    struct bp_operators o = {t->store, t->log, t->crypto, t->entropy, t->now_ms};
    const struct bp_code code = {.role = "viewer", .zone = "*", .by = "test"};
    struct bp_operator who;
    int64_t expires = 0;
    (void)self;
    BP_TRY(bp_operators_of_code(&o, &code, BP_SPAN_EMPTY, &who, &t->problem));
    return bp_operators_session(&o, &who, cookie, &expires);
}

static bool open_reader(void)
{
    static const enum bp_site_cert order[] = {BP_SITE_CERT_LOG, BP_SITE_CERT_RESULT, BP_SITE_CERT_BIND, BP_SITE_CERT_INFRA, BP_SITE_CERT_ROOT};
    for (size_t i = 0; i < 5; i++) {
        chain[i] = w->plant.site->cert[order[i]];
    }
    reader = (struct bp_api_reader){.crypto = w->plant.crypto, .name = "plant", .version = "1", .organisation = "", .chain = chain,
                                    .chain_count = 5, .room = bp_alloc(BP_API_ROOM), .room_cap = BP_API_ROOM};
    return reader.room != NULL && !bp_failed(bp_store_open(w->store_path, BP_STORE_READ, "1", NULL, &reader.store));
}

static struct bp_ex_answer ask(const char *tail)
{
    char target[200];
    char header[128];
    char hex[BP_DEVID_HEX];
    struct bp_ex_answer a;
    bp_devid_hex(g->rig.device_id, hex);
    (void)snprintf(target, sizeof target, "/api/v1/devices/%s%s", hex, tail);
    (void)snprintf(header, sizeof header, BP_OPERATOR_COOKIE "=%s", cookie);
    const struct bp_ex_request q = {.listener = BP_SPAN_STR("operate"), .method = BP_SPAN_STR("GET"), .target = bp_span_cstr(target), .cookie = bp_span_cstr(header)};
    /* The session is of now: the sign-in is renewed by each case that waits. */
    reader.now_ms = w->plant.sim.wall_ms;
    bp_api_read(&reader, &q, &a);
    return a;
}

/* Whether the bundle of a verdict verifies under the site's root. */
static bool is_good(const char *tail)
{
    const struct bp_ex_answer a = ask(tail);
    if (a.status != 200) {
        printf("# %u %.*s\n", a.status, (int)a.body.n, (const char *)a.body.p);
        return false;
    }
    if (bp_failed(bp_verify_bundle(w->plant.crypto, a.body, w->plant.site->root_hash, &v))) {
        return false;
    }
    if (!v.good) {
        printf("# %s\n", v.reason);
    }
    return v.good;
}

static struct order one, two;

BP_CASE(setup)
{
    w = calloc(1, sizeof *w);
    g = calloc(1, sizeof *g);
    BP_NEED(w != NULL && g != NULL);
    w->with_policy = true;
    BP_NEED(world_make(w) && gateway_make(g, w, 1) && !bp_failed(bp_key_make(BP_KEY_P256, &key)));
    const uint32_t at = rig_release(&g->rig, "release 1", "north", &rig_os_1, programs);
    BP_NEED(accept(&one, "1.0", g->rig.source[at].corim));
    char code[BP_CODE_TEXT + 1];
    BP_NEED(world_invite(w, "north", code) && gateway_hello(g, code)->http.status == 200);
    BP_NEED(gateway_first(g)->http.status == 200 && g->tier == BP_TIER_AFFIRMING);
    BP_NEED(gateway_enrol(g)->http.status == 200);
    world_wait(w, 2000, 500);
    BP_NEED(world_act(w, sign_in, NULL) && open_reader());
}

BP_CASE(first_verdict)
{
    BP_CHECK(is_good("/bundle"));
    BP_CHECK(v.bundle.references == 1 && v.bundle.policy.n > 0);
}

BP_CASE(later_verdict_rests_on_earlier_logs)
{
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            rig_run(&g->rig, "/usr/bin/sensor", "1");
        }
        world_wait(w, 5000, 1000);
        BP_CHECK(gateway_attest(g)->http.status == 200 && g->tier == BP_TIER_AFFIRMING);
    }
    world_wait(w, 2000, 500);
    BP_CHECK(is_good("/bundle"));
    BP_CHECK(v.bundle.state.n > 0 && v.bundle.logs == 2);
}

BP_CASE(a_verdict_stays_provable_when_releases_moved_on)
{
    const struct bp_ex_answer a = ask("/verdicts?limit=1");
    json_t *list = json_loadb((const char *)a.body.p, a.body.n, 0, NULL);
    const json_int_t number = json_integer_value(json_object_get(json_array_get(json_object_get(list, "verdicts"), 0), "number"));
    json_decref(list);
    char tail[48];
    (void)snprintf(tail, sizeof tail, "/bundle?verdict=%lld", (long long)number);
    const uint32_t at = rig_release(&g->rig, "release 2", "north", &rig_os_1, programs);
    BP_NEED(number > 0 && accept(&two, "2.0", g->rig.source[at].corim));
    one.to = BP_ACC_WITHDRAWN;
    BP_CHECK(world_act(w, move, &one));
    world_wait(w, 2000, 500);
    BP_CHECK(is_good(tail) && v.bundle.references == 1);
    BP_CHECK(gateway_attest(g)->http.status == 200);
    world_wait(w, 2000, 500);
    BP_CHECK(is_good("/bundle") && v.bundle.references == 2);
}

BP_CASE(device_page_after_verdicts)
{
    const struct bp_ex_answer a = ask("");
    json_t *j = json_loadb((const char *)a.body.p, a.body.n, 0, NULL);
    BP_NEED(a.status == 200 && j != NULL);
    BP_CHECK(json_array_size(json_object_get(j, "chain")) == 8);
    const json_t *root = json_array_get(json_object_get(j, "chain"), 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(root, "tile")), "root") == 0);
    BP_CHECK(strlen(json_string_value(json_object_get(root, "text"))) > 0 && json_is_integer(json_object_get(root, "age_ms")));
    BP_CHECK(json_integer_value(json_object_get(json_object_get(j, "claims"), "secure_boot")) == 1);
    BP_CHECK(json_is_object(json_object_get(j, "certificate")));
    json_decref(j);
}

BP_CASE(a_verdict_of_another_device_is_not_found)
{
    BP_CHECK(ask("/bundle?verdict=0").status == 404);
    BP_CHECK(ask("/bundle?verdict=999999").status == 404);
    BP_CHECK(ask("/bundle?verdict=x").status == 422);
}

BP_CASE(gives_everything_back)
{
    bp_store_free(reader.store);
    bp_free(reader.room);
    bp_key_free(key);
    gateway_done(g);
    world_done(w);
    free(g);
    free(w);
    BP_CHECK(w != NULL);
}

BP_SUITE(api_bundle, BP_RUN(setup) BP_RUN(first_verdict) BP_RUN(later_verdict_rests_on_earlier_logs)
                         BP_RUN(a_verdict_stays_provable_when_releases_moved_on) BP_RUN(device_page_after_verdicts)
                             BP_RUN(a_verdict_of_another_device_is_not_found) BP_RUN(gives_everything_back))
