/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/world - keeper, signers and appraisal joined by a queue. */
#include "unit/fleet/keeper/world.h"

#include "codec/note.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE TEST

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

/* --- names of claims --- */

static const struct bp_policy_name names[] = {
#define KIND_INTEGER BP_POLICY_INT
#define KIND_TEXT    BP_POLICY_TEXT
#define KIND_BLOB    BP_POLICY_BLOB
#define BP_X(id, name, type, source, meaning) {name, KIND_##type},
    BP_CLAIM_LIST(BP_X)
#undef BP_X
    {"model", BP_POLICY_TEXT},
    {"site", BP_POLICY_TEXT},
    {"state", BP_POLICY_TEXT},
};

/* --- the processes behind the port --- */

static void answer_appraise(struct world *w, const struct world_call *c)
{
    static uint8_t arena[BP_APPRAISE_ARENA];
    static uint8_t out[BP_APPRAISAL_MAX];
    struct bp_appraise_request q;
    struct bp_appraisal a;
    size_t n = 0;
    const bp_span body = bp_span_of(c->body, c->body_n);
    if (!ok(bp_appraise_request_read(body, &q)) ||
        !ok(bp_appraise(w->plant.crypto, &w->refs, &q, arena, sizeof arena, &a)) ||
        !ok(bp_appraisal_write(&a, out, sizeof out, &n))) {
        c->fn(c->arg, BP_OK, BP_P_INTERNAL, BP_SPAN_STR("\xa0"));
        return;
    }
    c->fn(c->arg, BP_OK, 0, bp_span_of(out, n));
}

static void answer_one(struct world *w, const struct world_call *c)
{
    struct bp_signer_answer a = {BP_P_NONE, BP_SPAN_EMPTY};
    const bp_span op = bp_span_cstr(c->op);
    const bp_span body = bp_span_of(c->body, c->body_n);
    if (bp_failed(w->fault[c->to])) {
        c->fn(c->arg, w->fault[c->to], 0, BP_SPAN_EMPTY);
        return;
    }
    if (c->to == BP_TO_APPRAISER) {
        answer_appraise(w, c);
        return;
    }
    if (c->to == BP_TO_SIGNER_CA) {
        bp_ca_signer_answer(w->ca, op, body, &a);
    } else {
        bp_log_signer_answer(w->log, op, body, &a);
    }
    c->fn(c->arg, BP_OK, (uint64_t)a.status, a.body);
}

static bp_result port_call(void *self, enum bp_keeper_to to, const char *op, bp_span body, uint32_t timeout_ms,
                           bp_keeper_fn *fn, void *arg)
{
    struct world *w = self;
    (void)timeout_ms;
    if (w->is_gone[to]) {
        return BP_FAIL(CLOSED);
    }
    if (w->call_to - w->call_from == WORLD_CALLS_MAX) {
        return BP_FAIL(BUSY);
    }
    struct world_call *c = &w->call[w->call_to++ % WORLD_CALLS_MAX];
    *c = (struct world_call){.to = to, .body_n = body.n, .fn = fn, .arg = arg};
    (void)snprintf(c->op, sizeof c->op, "%s", op);
    c->body = malloc(body.n + 1);
    if (c->body == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    memcpy(c->body, body.p, body.n);
    w->calls++;
    w->asked_early += strcmp(op, "issue") == 0 && bp_store_is_open(bp_keeper_store(w->keeper)) ? 1 : 0;
    return BP_OK;
}

static void take_references(struct world *w, bp_span body)
{
    struct bp_msg_references m;
    struct bp_msg_reference row;
    size_t n = 0;
    free(w->reference_bytes);
    w->reference_bytes = malloc(body.n);
    memcpy(w->reference_bytes, body.p, body.n);
    if (!ok(bp_msg_references_read(bp_span_of(w->reference_bytes, body.n), &m))) {
        return;
    }
    while (n < WORLD_RELEASES && bp_msg_references_next(&m, &row)) {
        w->source[n++] = (struct bp_ref_source){row.id, (enum bp_release_state)row.state, row.zone, row.corim};
    }
    BP_IGNORE(bp_refset_build(w->plant.crypto, w->source, n, w->release, w->entry, RIG_ENTRIES_MAX, NULL, &w->refs),
              "devices are not trusted then, and the test sees it");
    w->references++;
}

static void port_notify(void *self, enum bp_keeper_to to, const char *op, bp_span body)
{
    struct world *w = self;
    struct bp_msg_deny deny;
    bp_span hash;
    if (strcmp(op, "references") == 0 && to == BP_TO_APPRAISERS) {
        take_references(w, body);
    } else if (strcmp(op, "deny") == 0 && to == BP_TO_FRONTS && ok(bp_msg_deny_read(body, &deny))) {
        while (bp_msg_deny_next(&deny, &hash)) {
            w->denied++;
            memcpy(w->last_denied, hash.p, 32);
        }
    } else if (strcmp(op, "crl") == 0) {
        BP_IGNORE(bp_msg_number_read(body, &w->crl_told), "the test looks at what it says");
    } else if (strcmp(op, "stream") == 0) {
        w->streamed++;
    } else if (strcmp(op, "state") == 0) {
        BP_IGNORE(bp_msg_state_read(body, &w->accepting), "the test looks at what it says");
    }
}

static void port_reply(void *self, uint64_t id, uint64_t status, bp_span body)
{
    struct world *w = self;
    struct world_reply *r = &w->reply[id % WORLD_REPLIES_MAX];
    if (r->is_there) {
        printf("# request %lu was answered twice\n", (unsigned long)id);
        abort();
    }
    r->is_there = true;
    r->status = status;
    free(r->body);
    r->body = malloc(body.n + 1);
    memcpy(r->body, body.p, body.n);
    r->body_n = body.n;
    memset(&r->http, 0, sizeof r->http);
    if (status == 0 && !ok(bp_ex_answer_read(bp_span_of(r->body, body.n), &r->http))) {
        printf("# request %lu was answered by something else\n", (unsigned long)id);
        abort();
    }
}

static void port_wake(void *self, uint32_t after_ms)
{
    struct world *w = self;
    const int64_t at = w->plant.sim.mono_ms + after_ms;
    w->wake_at = at < w->wake_at ? at : w->wake_at;
}

/* --- people --- */

static world_fn *act_fn;
static void *act_self;

static bp_result person(void *self, struct bp_turn *t, const struct bp_ex_request *q, struct bp_ex_answer *ret)
{
    (void)self;
    (void)q;
    ret->status = 204;
    return act_fn(act_self, t);
}

static const struct bp_keeper_route route = {"operate", "/test", person, NULL};

bool world_act(struct world *w, world_fn *fn, void *self)
{
    act_fn = fn;
    act_self = self;
    const struct world_reply *r = world_ask(w, "operate", "POST", "/test", NULL, BP_SPAN_EMPTY, NULL);
    return r->status == 0 && r->http.status == 204;
}

/* --- life --- */

static bool start_keeper(struct world *w)
{
    const struct bp_keeper_port port = {w, port_call, port_notify, port_reply, port_wake};
    struct bp_keeper_config cfg = {.store_path = w->store_path,
                                   .log_dir = w->log_dir,
                                   .version = "1.0",
                                   .root_der = w->plant.site->cert[BP_SITE_CERT_ROOT],
                                   .issuing_der = w->plant.site->cert[BP_SITE_CERT_ISSUING],
                                   .issuing_old_der = w->plant.site->issuing_old,
                                   .issuing_number = w->plant.site->issuing_number,
                                   .root_crl = w->plant.site->root_crl,
                                   .infra_der = w->plant.site->cert[BP_SITE_CERT_INFRA],
                                   .log_der = w->plant.site->cert[BP_SITE_CERT_LOG],
                                   .recovery_der = w->plant.site->cert[BP_SITE_CERT_RECOVERY],
                                   .owner_card = w->plant.site->owner_card,
                                   .brownfield_der = w->plant.site->cert[BP_SITE_CERT_BROWNFIELD],
                                   .policy = w->with_policy ? w->policy : NULL,
                                   .routes = &route,
                                   .route_count = 1,
                                   .enrol_binding_zero = true,
                                   .device_binding_zero = !w->binds};
    if (!ok(bp_site_secret(w->plant.site, "nonce", cfg.nonce_secret)) ||
        !ok(bp_site_secret(w->plant.site, "owner", cfg.owner_secret))) {
        return false;
    }
    w->wake_at = INT64_MAX;
    if (!ok(bp_keeper_new(&cfg, &port, &w->plant.clock, &w->entropy, w->plant.crypto, &w->keeper))) {
        return false;
    }
    bp_keeper_joined(w->keeper, BP_TO_FRONTS);
    bp_keeper_joined(w->keeper, BP_TO_APPRAISERS);
    bp_keeper_joined(w->keeper, BP_TO_SIGNER_LOG);
    bp_keeper_joined(w->keeper, BP_TO_SIGNER_CA);
    world_settle(w);
    return true;
}

static bool start_signers(struct world *w)
{
    return ok(bp_log_signer_new(w->plant.site, w->plant.crypto, &w->log)) &&
           ok(bp_ca_signer_new(w->plant.site, w->plant.crypto, &w->entropy, &w->plant.clock, &w->ca));
}

static void stop_signers(struct world *w)
{
    bp_log_signer_free(w->log);
    bp_ca_signer_free(w->ca);
    w->log = NULL;
    w->ca = NULL;
}

bool world_make(struct world *w)
{
    w->entropy = bp_entropy_linux();
    w->log_dir = -1;
    if (!plant_make(&w->plant) || bp_failed(bp_sim_maker_make(&w->maker, WORLD_MAKER_FROM)) ||
        bp_failed(bp_sim_maker_save(&w->maker, plant_at(&w->plant, "anchors/virtual-test.pem"))) || !start_signers(w)) {
        return false;
    }
    (void)snprintf(w->store_path, sizeof w->store_path, "%s", plant_at(&w->plant, "store/bedplate.db"));
    w->log_dir = open(plant_at(&w->plant, "log"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w->log_dir >= 0 && ok(bp_policy_new(names, sizeof names / sizeof names[0], &w->policy)) && start_keeper(w);
}

static void drop_calls(struct world *w)
{
    for (; w->call_from != w->call_to; w->call_from++) {
        free(w->call[w->call_from % WORLD_CALLS_MAX].body);
    }
}

void world_done(struct world *w)
{
    bp_keeper_free(w->keeper);
    w->keeper = NULL;
    drop_calls(w);
    stop_signers(w);
    bp_policy_free(w->policy);
    for (size_t i = 0; i < WORLD_REPLIES_MAX; i++) {
        free(w->reply[i].body);
        w->reply[i] = (struct world_reply){0};
    }
    free(w->reference_bytes);
    w->reference_bytes = NULL;
    if (w->log_dir >= 0) {
        close(w->log_dir);
    }
    bp_sim_maker_done(&w->maker);
    plant_done(&w->plant);
}

void world_stop(struct world *w)
{
    bp_keeper_free(w->keeper);
    w->keeper = NULL;
    drop_calls(w);
}

bool world_restart(struct world *w, bool signers)
{
    world_stop(w);
    w->stop_at = 0;
    if (signers) {
        stop_signers(w);
        if (!start_signers(w)) {
            return false;
        }
    }
    return start_keeper(w);
}

/* --- the loop --- */

static bool answer_next(struct world *w)
{
    if (w->call_from == w->call_to || (w->stop_at != 0 && w->calls >= w->stop_at)) {
        return false;
    }
    const struct world_call c = w->call[w->call_from++ % WORLD_CALLS_MAX];
    answer_one(w, &c);
    free(c.body);
    return true;
}

static void turn(struct world *w)
{
    w->wake_at = INT64_MAX;
    bp_keeper_turn(w->keeper);
}

void world_settle(struct world *w)
{
    const int64_t until = w->plant.sim.mono_ms + 300;
    for (;;) {
        while (answer_next(w)) {
        }
        if (w->stop_at != 0 && w->calls >= w->stop_at) {
            return;
        }
        if (w->wake_at > until) {
            return;
        }
        if (w->wake_at > w->plant.sim.mono_ms) {
            bp_clock_sim_step(&w->plant.sim, w->wake_at - w->plant.sim.mono_ms);
        }
        turn(w);
    }
}

void world_wait(struct world *w, int64_t ms, int64_t step)
{
    while (ms > 0) {
        const int64_t by = ms < step ? ms : step;
        bp_clock_sim_step(&w->plant.sim, by);
        ms -= by;
        turn(w);
        world_settle(w);
    }
}

/* --- requests --- */

uint64_t world_send(struct world *w, const char *listener, const char *method, const char *target, const char *type,
                    bp_span body, const struct world_peer *peer)
{
    static uint8_t room[BP_KEEPER_EVIDENCE_MAX + 65536];
    size_t n = 0;
    struct bp_ex_request q = {.listener = bp_span_cstr(listener),
                              .method = bp_span_cstr(method),
                              .target = bp_span_cstr(target),
                              .body = body,
                              .source = BP_SPAN_STR("192.0.2.1")};
    if (type != NULL) {
        q.content_type = bp_span_cstr(type);
    }
    if (peer != NULL) {
        q.peer_spki = peer->spki;
        q.peer_issuer = peer->issuer == NULL ? BP_SPAN_EMPTY : bp_span_cstr(peer->issuer);
        q.source = peer->source == NULL ? q.source : bp_span_cstr(peer->source);
        q.exporter = peer->exporter;
        q.agent = peer->agent == NULL ? BP_SPAN_EMPTY : bp_span_cstr(peer->agent);
    }
    const uint64_t id = w->next_id++;
    w->reply[id % WORLD_REPLIES_MAX].is_there = false;
    if (!ok(bp_ex_request_write(&q, room, sizeof room, &n))) {
        printf("# the request cannot be written\n");
        abort();
    }
    bp_keeper_http(w->keeper, id, bp_span_of(room, n));
    return id;
}

struct world_reply *world_reply(struct world *w, uint64_t id)
{
    return &w->reply[id % WORLD_REPLIES_MAX];
}

struct world_reply *world_ask(struct world *w, const char *listener, const char *method, const char *target,
                              const char *type, bp_span body, const struct world_peer *peer)
{
    const uint64_t id = world_send(w, listener, method, target, type, body, peer);
    world_settle(w);
    return world_reply(w, id);
}

bool world_member(const struct world_reply *r, const char *name, char *ret, size_t cap)
{
    char key[64];
    const int key_n = snprintf(key, sizeof key, "\"%s\":", name);
    const bp_span b = r->http.body;
    for (size_t i = 0; key_n > 0 && i + (size_t)key_n <= b.n; i++) {
        if (memcmp(b.p + i, key, (size_t)key_n) != 0) {
            continue;
        }
        size_t at = i + (size_t)key_n;
        const bool quoted = at < b.n && b.p[at] == '"';
        at += quoted ? 1 : 0;
        size_t n = 0;
        while (at < b.n && n + 1 < cap && b.p[at] != (quoted ? '"' : ',') && b.p[at] != '}') {
            ret[n++] = (char)b.p[at++];
        }
        ret[n] = 0;
        return true;
    }
    return false;
}

const char *world_code(const struct world_reply *r)
{
    static char code[64];
    if (!r->is_there) {
        return "no answer";
    }
    if (r->status != 0) {
        return bp_problem_row((enum bp_problem)r->status).code;
    }
    return bp_span_equal(r->http.content_type, BP_SPAN_STR("application/problem+json")) &&
                   world_member(r, "code", code, sizeof code)
               ? code
               : "";
}

/* --- acts of people --- */

struct set {
    const char *name;
    int64_t value;
};

static bp_result set_one(void *self, struct bp_turn *t)
{
    const struct set *s = self;
    t->effects->settings = true;
    return bp_store_setting_set(t->store, s->name, s->value);
}

bool world_setting(struct world *w, const char *name, int64_t value)
{
    struct set s = {name, value};
    return world_act(w, set_one, &s);
}

struct publish {
    uint64_t version;
    bp_span document;
};

static bp_result publish(void *self, struct bp_turn *t)
{
    const struct publish *x = self;
    struct bp_policy_version p = {.version = x->version, .zone = "*", .by = "test", .at_ms = t->now_ms, .document = x->document};
    BP_TRY(bp_hash(t->crypto, BP_HASH_SHA256, x->document, p.digest));
    t->effects->policy = true;
    return bp_store_policy_add(t->store, &p);
}

bool world_policy(struct world *w, uint64_t version, const char *yaml)
{
    static uint8_t room[BP_POLICY_DOCUMENT_MAX];
    char why[BP_POLICY_REASON_MAX + 1] = "";
    size_t n = 0;
    if (!ok(bp_policy_from_yaml(bp_span_cstr(yaml), room, sizeof room, &n, why))) {
        printf("# %s\n", why);
        return false;
    }
    struct publish x = {version, bp_span_of(room, n)};
    return world_act(w, publish, &x);
}

struct release {
    const struct rig *rig;
    uint32_t at;
    enum bp_acceptance state;
    const char *zone;
};

static bp_result accept_release(void *self, struct bp_turn *t)
{
    const struct release *x = self;
    struct bp_release_row r = {.product = "gateway",
                               .version = "1",
                               .counter = 1,
                               .imported_ms = t->now_ms,
                               .by = "test",
                               .manifest = BP_SPAN_STR("manifest"),
                               .corim = x->rig->source[x->at].corim};
    memcpy(r.id, x->rig->release_id[x->at], sizeof r.id);
    const bp_result added = bp_store_release_add(t->store, &r);
    if (bp_failed(added) && !bp_is(added, BP_E_EXISTS)) {
        return added;
    }
    t->effects->references = true;
    return bp_store_acceptance_set(t->store, BP_SPAN_OF(r.id), x->zone, x->state, "test", "", t->now_ms);
}

bool world_release(struct world *w, const struct rig *r, uint32_t at, enum bp_acceptance state, const char *zone)
{
    struct release x = {r, at, state, zone};
    return world_act(w, accept_release, &x);
}

struct act {
    const uint8_t *id;
    const char *zone;
    char verb;
};

static bp_result on_device(void *self, struct bp_turn *t)
{
    const struct act *a = self;
    struct bp_device d = {0};
    struct bp_place place = {0};
    bool capped = false;
    const bp_span actor = BP_SPAN_STR("anna");
    const bp_span reason = BP_SPAN_STR("a test");
    BP_TRY(bp_store_device_by_id(t->store, bp_span_of(a->id, 33), &d));
    switch (a->verb) {
    case 'a':
        (void)snprintf(place.zone, sizeof place.zone, "%s", a->zone);
        return bp_registry_approve(t->registry, d.n, &place, actor, &t->problem);
    case 'q':
        return bp_registry_quarantine(t->registry, d.n, false, reason, actor, &capped, &t->problem);
    case 'f':
        return bp_registry_release(t->registry, d.n, reason, actor, &t->problem);
    default:
        return bp_registry_revoke(t->registry, d.n, reason, actor, &t->problem);
    }
}

static bool act_on(struct world *w, const uint8_t id[33], char verb, const char *zone)
{
    struct act a = {id, zone, verb};
    return world_act(w, on_device, &a);
}

bool world_approve(struct world *w, const uint8_t id[33], const char *zone)
{
    return act_on(w, id, 'a', zone);
}

bool world_quarantine(struct world *w, const uint8_t id[33])
{
    return act_on(w, id, 'q', "");
}

bool world_free(struct world *w, const uint8_t id[33])
{
    return act_on(w, id, 'f', "");
}

bool world_revoke(struct world *w, const uint8_t id[33])
{
    return act_on(w, id, 'r', "");
}

struct invite {
    const char *zone;
    char code[BP_CODE_TEXT + 1];
};

static bp_result invite(void *self, struct bp_turn *t)
{
    struct invite *x = self;
    struct bp_place place = {0};
    (void)snprintf(place.zone, sizeof place.zone, "%s", x->zone);
    return bp_registry_invite(t->registry, &place, BP_INVITATION_MS, BP_SPAN_STR("anna"), x->code, &t->problem);
}

bool world_invite(struct world *w, const char *zone, char ret[BP_CODE_TEXT + 1])
{
    struct invite x = {.zone = zone};
    const bool done = world_act(w, invite, &x);
    memcpy(ret, x.code, sizeof x.code);
    return done;
}

/* --- looking --- */

bool world_device(struct world *w, const uint8_t id[33], struct bp_device *ret_d, struct bp_trust *ret_t)
{
    bp_store *s = bp_keeper_store(w->keeper);
    return ok(bp_store_device_by_id(s, bp_span_of(id, 33), ret_d)) && ok(bp_store_trust(s, ret_d->n, ret_t));
}

uint64_t world_log_size(struct world *w)
{
    struct bp_tree_row t = {0};
    return ok(bp_store_tree(bp_keeper_store(w->keeper), &t)) ? t.size : 0;
}

uint64_t world_events(struct world *w, uint32_t type, uint64_t from)
{
    const uint64_t size = world_log_size(w);
    uint64_t count = 0;
    for (uint64_t i = from; i < size; i++) {
        bp_span body = BP_SPAN_EMPTY;
        uint8_t digest[32];
        struct bp_event e;
        if (ok(bp_store_event(bp_keeper_store(w->keeper), i, &body, digest)) && ok(bp_event_read(body, &e)) &&
            e.type == type) {
            count++;
        }
    }
    return count;
}

bool world_log_holds(struct world *w)
{
    bp_store *s = bp_keeper_store(w->keeper);
    struct bp_tree_row t = {0};
    struct bp_note note;
    struct bp_checkpoint c;
    uint8_t root[32];
    if (!ok(bp_store_tree(s, &t)) || t.signed_size > t.size) {
        return false;
    }
    if (t.signed_size == 0) {
        return true;
    }
    if (!ok(bp_note_read(t.checkpoint, &note)) || !ok(bp_checkpoint_read(&note, &c)) || c.size != t.signed_size) {
        return false;
    }
    const uint64_t size = t.size;
    if (!ok(bp_log_root(s, w->plant.crypto, c.size, root)) || memcmp(root, c.root, 32) != 0) {
        return false;
    }
    for (uint64_t i = 0; i < size; i++) {
        bp_span body = BP_SPAN_EMPTY;
        uint8_t digest[32], leaf[32], want[32];
        if (!ok(bp_store_event(s, i, &body, digest)) || !ok(bp_log_leaf(w->plant.crypto, body, want)) ||
            !ok(bp_log_leaf_at(s, i, leaf)) || memcmp(leaf, want, 32) != 0) {
            return false;
        }
    }
    return true;
}
