/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/keeper_main - joins the keeper (fleet/keeper, which has no descriptor) to its channels and to time.
 *
 * Requests of fronts get numbers of their own here, so that an answer finds its front, or nobody when that front is
 * gone. Ceilings: the keeper's own, and the table of requests below. */
#include "fleet/proc/child.h"

#include <fcntl.h>
#include <stdio.h>

#include <unistd.h>

#include "base/secret.h"
#include "codec/exchange.h"
#include "codec/problem.h"
#include "fleet/api/api.h"
#include "fleet/authority/site.h"
#include "fleet/ipc/message.h"
#include "fleet/keeper/keeper.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define PEERS_MAX   48u
#define ASKED_MAX   4096u /* >= BP_KEEPER_OPEN_MAX: the keeper says busy first */
#define KEYS_CACHED 64u /* a device's key is looked at when it asks for a certificate: too seldom to keep 4 KiB for it */
#define END_POLL_MS 20u

struct keeper_main;

enum role { ROLE_NONE, ROLE_FRONT_DEVICE, ROLE_FRONT_OPERATE, ROLE_APPRAISER, ROLE_SIGNER_LOG, ROLE_SIGNER_CA };

/* One other process; name and place stay, the channel comes and goes. */
struct other {
    struct keeper_main *m;
    char name[BP_PROC_NAME_MAX + 1];
    enum role role;
    struct bp_peer *peer;
    bool is_cut; /* to be closed from the loop: never under the keeper, whose calls would end inside its own */
};

/* One open request of a front. */
struct asked {
    struct other *from; /* NULL: its front is gone */
    uint64_t front_id;
    uint32_t generation;
    uint16_t next_free;
    bool is_open;
};

struct keeper_main {
    struct bp_child *c;
    struct bp_site *site;
    struct bp_crypto *crypto;
    struct bp_entropy entropy;
    struct bp_policy *policy;
    struct bp_api_writer writer;
    struct bp_keeper_route route;
    char enrol_url[BP_SITE_TEXT_MAX + 32];
    char store_path[BP_PROC_PATH_MAX];
    uint8_t nonce_secret[32], owner_secret[32];
    int log_dir;
    struct bp_keeper *keeper;
    struct bp_timer *timer;
    int64_t due_ms; /* when the timer fires; INT64_MAX: it does not run */
    bool is_ending;
    struct other other[PEERS_MAX];
    size_t next_appraiser;
    struct asked asked[ASKED_MAX];
    uint16_t first_free;
};

static struct keeper_main me;

/* ---- requests of fronts ---- */

static void asked_init(struct keeper_main *m)
{
    for (uint16_t i = 0; i < ASKED_MAX; i++) {
        m->asked[i].next_free = (uint16_t)(i + 1);
    }
    m->first_free = 0;
}

static bool asked_take(struct keeper_main *m, struct other *from, uint64_t front_id, uint64_t *ret_id)
{
    const uint16_t at = m->first_free;
    if (at >= ASKED_MAX) {
        return false;
    }
    struct asked *a = &m->asked[at];
    m->first_free = a->next_free;
    a->from = from;
    a->front_id = front_id;
    a->generation++;
    a->is_open = true;
    *ret_id = (uint64_t)a->generation << 16 | at;
    return true;
}

/* A front speaks for its own listeners only: one that is captured must not turn a device's request into an operator's,
 * or the other way. */
static bool is_its_own(const struct other *from, bp_span body)
{
    struct bp_ex_request q;
    return !bp_failed(bp_ex_request_read(body, &q)) &&
           bp_span_equal(q.listener, BP_SPAN_STR("operate")) == (from->role == ROLE_FRONT_OPERATE);
}

static void on_http(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body)
{
    struct other *o = self;
    struct keeper_main *m = o->m;
    uint64_t own_id = 0;
    if (!bp_span_equal(op, BP_SPAN_STR("http"))) {
        BP_IGNORE(bp_peer_answer(p, id, BP_P_UNSUPPORTED, BP_SPAN_STR("\xa0")), "its front is gone then");
    } else if (!is_its_own(o, body)) {
        BP_IGNORE(bp_peer_answer(p, id, BP_P_FORBIDDEN, BP_SPAN_STR("\xa0")), "its front is gone then");
    } else if (!asked_take(m, o, id, &own_id)) {
        BP_IGNORE(bp_peer_answer(p, id, BP_P_BUSY, BP_SPAN_STR("\xa0")), "its front is gone then");
    } else {
        bp_keeper_http(m->keeper, own_id, body);
    }
}

static void reply(void *self, uint64_t id, uint64_t status, bp_span body)
{
    struct keeper_main *m = self;
    const size_t at = id & 0xffffu;
    if (at >= ASKED_MAX || !m->asked[at].is_open || m->asked[at].generation != id >> 16) {
        return;
    }
    struct asked *a = &m->asked[at];
    struct bp_peer *to = a->from != NULL ? a->from->peer : NULL;
    a->is_open = false;
    a->from = NULL;
    a->next_free = m->first_free;
    m->first_free = (uint16_t)at;
    if (to != NULL) {
        const bp_span map = body.n > 0 ? body : BP_SPAN_STR("\xa0");
        BP_IGNORE(bp_peer_answer(to, a->front_id, status, map), "a front that does not read is closed");
    }
}

static void forget_asked(struct keeper_main *m, const struct other *from)
{
    for (size_t i = 0; i < ASKED_MAX; i++) {
        if (m->asked[i].from == from) {
            m->asked[i].from = NULL;
        }
    }
}

/* ---- the keeper's port ---- */

static struct other *appraiser(struct keeper_main *m)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        m->next_appraiser = (m->next_appraiser + 1) % PEERS_MAX;
        struct other *o = &m->other[m->next_appraiser];
        if (o->role == ROLE_APPRAISER && o->peer != NULL) {
            return o;
        }
    }
    return NULL;
}

static struct other *signer(struct keeper_main *m, enum role role)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (m->other[i].role == role && m->other[i].peer != NULL) {
            return &m->other[i];
        }
    }
    return NULL;
}

static bp_result call(void *self, enum bp_keeper_to to, const char *op, bp_span body, uint32_t timeout_ms,
                      bp_keeper_fn *fn, void *arg)
{
    struct keeper_main *m = self;
    const struct other *o = to == BP_TO_APPRAISER    ? appraiser(m)
                            : to == BP_TO_SIGNER_LOG ? signer(m, ROLE_SIGNER_LOG)
                            : to == BP_TO_SIGNER_CA  ? signer(m, ROLE_SIGNER_CA)
                                                     : NULL;
    return o == NULL ? BP_FAIL(CLOSED) : bp_peer_call(o->peer, op, body, timeout_ms, fn, arg);
}

static bool is_meant(enum bp_keeper_to to, enum role role)
{
    return ((to == BP_TO_APPRAISER || to == BP_TO_APPRAISERS) && role == ROLE_APPRAISER) ||
           (to == BP_TO_FRONTS && (role == ROLE_FRONT_DEVICE || role == ROLE_FRONT_OPERATE)) ||
           (to == BP_TO_OPERATE && role == ROLE_FRONT_OPERATE);
}

static void wake(void *self, uint32_t after_ms);

/* A process that missed a notice would go on with what it held before, so it loses its channel; it ends for want of one,
 * and the parent starts another. */
static void notify(void *self, enum bp_keeper_to to, const char *op, bp_span body)
{
    struct keeper_main *m = self;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct other *o = &m->other[i];
        if (o->peer != NULL && is_meant(to, o->role) && bp_failed(bp_peer_notify(o->peer, op, body))) {
            o->is_cut = true;
            wake(m, 0);
        }
    }
}

static void cut_off(struct keeper_main *m)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct other *o = &m->other[i];
        if (o->is_cut && o->peer != NULL) {
            struct bp_peer *p = o->peer;
            bp_child_say(m->c, "a process does not take its notices and is cut off");
            o->peer = NULL;
            forget_asked(m, o);
            bp_peer_free(p);
        }
        o->is_cut = false;
    }
}

static void wake(void *self, uint32_t after_ms)
{
    struct keeper_main *m = self;
    const int64_t due = bp_mono_ms(&m->c->clock) + after_ms;
    if (due < m->due_ms && !bp_failed(bp_timer_start(m->timer, after_ms))) {
        m->due_ms = due;
    }
}

static void on_timer(void *arg)
{
    struct keeper_main *m = arg;
    m->due_ms = INT64_MAX;
    cut_off(m);
    bp_keeper_turn(m->keeper);
    if (m->is_ending) {
        if (bp_keeper_finish(m->keeper)) {
            bp_child_stop(m->c, BP_EXIT_OK);
        }
        wake(m, END_POLL_MS);
    }
}

/* ---- channels ---- */

static enum role role_of(bp_span name)
{
    static const struct {
        const char *prefix;
        enum role role;
    } roles[] = {{"front-device-", ROLE_FRONT_DEVICE}, {"front-operate-", ROLE_FRONT_OPERATE},
                 {"appraiser-", ROLE_APPRAISER},       {"signer-log", ROLE_SIGNER_LOG},
                 {"signer-ca", ROLE_SIGNER_CA}};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        const size_t n = strlen(roles[i].prefix);
        if (name.n >= n && memcmp(name.p, roles[i].prefix, n) == 0) {
            return roles[i].role;
        }
    }
    return ROLE_NONE;
}

static struct other *place_of(struct keeper_main *m, bp_span name)
{
    struct other *free_place = NULL;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct other *o = &m->other[i];
        if (o->role != ROLE_NONE && bp_span_equal(name, bp_span_cstr(o->name))) {
            return o;
        }
        free_place = o->role == ROLE_NONE && free_place == NULL ? o : free_place;
    }
    const enum role role = role_of(name);
    if (free_place == NULL || role == ROLE_NONE || name.n > BP_PROC_NAME_MAX) {
        return NULL;
    }
    *free_place = (struct other){.m = m, .role = role};
    memcpy(free_place->name, name.p, name.n);
    return free_place;
}

static void on_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct other *o = self;
    (void)why;
    if (o->peer == p) {
        o->peer = NULL;
        forget_asked(o->m, o);
    }
    bp_peer_free(p);
}

static void tell_joined(struct keeper_main *m, enum role role)
{
    switch (role) {
    case ROLE_FRONT_OPERATE:
        bp_keeper_joined(m->keeper, BP_TO_OPERATE);
        bp_keeper_joined(m->keeper, BP_TO_FRONTS);
        break;
    case ROLE_FRONT_DEVICE:
        bp_keeper_joined(m->keeper, BP_TO_FRONTS);
        break;
    case ROLE_APPRAISER:
        bp_keeper_joined(m->keeper, BP_TO_APPRAISER);
        break;
    case ROLE_SIGNER_LOG:
        bp_keeper_joined(m->keeper, BP_TO_SIGNER_LOG);
        break;
    case ROLE_SIGNER_CA:
        bp_keeper_joined(m->keeper, BP_TO_SIGNER_CA);
        break;
    case ROLE_NONE:
        break;
    }
}

static void on_channel(void *self, bp_span name, int fd)
{
    struct keeper_main *m = self;
    const struct bp_peer_ops front = {.on_request = on_http, .on_closed = on_closed};
    const struct bp_peer_ops asked_by_us = {.on_closed = on_closed};
    struct other *o = place_of(m, name);
    if (o == NULL) {
        close(fd);
        return;
    }
    const bool is_front = o->role == ROLE_FRONT_DEVICE || o->role == ROLE_FRONT_OPERATE;
    struct bp_peer *old = o->peer;
    o->peer = NULL;
    o->is_cut = false;
    forget_asked(m, o);
    bp_peer_free(old);
    const bp_result r = bp_peer_new(m->c->loop, fd, is_front ? &front : &asked_by_us, o, &o->peer);
    if (bp_failed(r)) {
        bp_child_say_result(m->c, "a channel cannot be used", r);
        bp_child_stop(m->c, BP_EXIT_INTERNAL);
        return;
    }
    tell_joined(m, o->role);
}

/* ---- the process ---- */

static bp_result load_site(struct keeper_main *m)
{
    char path[BP_PROC_PATH_MAX];
    BP_TRY(bp_site_load(m->c->dir, m->crypto, &m->site));
    BP_TRY(bp_site_secret(m->site, "nonce", m->nonce_secret));
    BP_TRY(bp_site_secret(m->site, "owner", m->owner_secret));
    BP_TRY(bp_child_path(m->c, "store/bedplate.db", m->store_path));
    BP_TRY(bp_child_path(m->c, "log", path));
    m->log_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return m->log_dir >= 0 ? BP_OK : BP_FAIL(NOT_FOUND);
}

static bp_result load(void *self, struct bp_child *c)
{
    struct keeper_main *m = self;
    size_t names = 0;
    m->c = c;
    m->due_ms = INT64_MAX;
    m->entropy = bp_entropy_linux();
    asked_init(m);
    BP_TRY(bp_crypto_openssl_new(KEYS_CACHED, &m->crypto));
    BP_TRY(load_site(m));
    const struct bp_policy_name *name = bp_api_policy_names(&names);
    BP_TRY(bp_policy_new(name, names, &m->policy));
    (void)snprintf(m->enrol_url, sizeof m->enrol_url, "https://%s:%u", m->site->name, (unsigned)c->enrol_port);
    m->writer = (struct bp_api_writer){.name = m->site->name,
                                       .enrol_url = m->enrol_url,
                                       .operators_der = m->site->cert[BP_SITE_CERT_OPERATORS],
                                       .root_der = m->site->cert[BP_SITE_CERT_ROOT],
                                       .bind_der = m->site->cert[BP_SITE_CERT_BIND],
                                       .owner_card = m->site->owner_card};
    m->route = (struct bp_keeper_route){
        .listener = "operate", .prefix = BP_API_PREFIX, .handle = bp_api_write, .self = &m->writer};
    return bp_timer_new(c->loop, on_timer, m, &m->timer);
}

/* What the command line said; the keeper reads it when it begins. */
static bp_result set_interval(const struct keeper_main *m)
{
    bp_store *store = NULL;
    if (m->c->attest_interval_ms == 0) {
        return BP_OK;
    }
    BP_TRY(bp_store_open(m->store_path, BP_STORE_WRITE, BP_PRODUCT_VERSION, NULL, &store));
    bp_result r = bp_store_begin(store);
    if (!bp_failed(r)) {
        r = bp_store_setting_set(store, "attest-interval-ms", (int64_t)m->c->attest_interval_ms);
    }
    if (!bp_failed(r)) {
        r = bp_store_commit(store);
    }
    bp_store_free(store);
    return r;
}

static bp_result start(void *self)
{
    struct keeper_main *m = self;
    const struct bp_keeper_port port = {.self = m, .call = call, .notify = notify, .reply = reply, .wake = wake};
    struct bp_keeper_config cfg = {.store_path = m->store_path,
                                   .log_dir = m->log_dir,
                                   .version = BP_PRODUCT_VERSION,
                                   .root_der = m->site->cert[BP_SITE_CERT_ROOT],
                                   .issuing_der = m->site->cert[BP_SITE_CERT_ISSUING],
                                   .issuing_old_der = m->site->issuing_old,
                                   .issuing_number = m->site->issuing_number,
                                   .root_crl = m->site->root_crl,
                                   .infra_der = m->site->cert[BP_SITE_CERT_INFRA],
                                   .log_der = m->site->cert[BP_SITE_CERT_LOG],
                                   .recovery_der = m->site->cert[BP_SITE_CERT_RECOVERY],
                                   .owner_card = m->site->owner_card,
                                   .device_port = m->c->device_port,
                                   .brownfield_der = m->site->cert[BP_SITE_CERT_BROWNFIELD],
                                   .policy = m->policy,
                                   .stream_text = bp_api_stream_text,
                                   .routes = &m->route,
                                   .route_count = 1,
                                   .enrol_binding_zero = true};
    BP_TRY(set_interval(m));
    memcpy(cfg.nonce_secret, m->nonce_secret, sizeof cfg.nonce_secret);
    memcpy(cfg.owner_secret, m->owner_secret, sizeof cfg.owner_secret);
    const bp_result r = bp_keeper_new(&cfg, &port, &m->c->clock, &m->entropy, m->crypto, &m->keeper);
    bp_wipe(&cfg, sizeof cfg);
    bp_wipe(m->nonce_secret, sizeof m->nonce_secret);
    bp_wipe(m->owner_secret, sizeof m->owner_secret);
    if (!bp_failed(r)) {
        bp_child_ready(m->c);
    }
    return r;
}

static void end(void *self)
{
    struct keeper_main *m = self;
    m->is_ending = true;
    wake(m, 0);
}

static void done(void *self)
{
    struct keeper_main *m = self;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct bp_peer *p = m->other[i].peer;
        m->other[i].peer = NULL;
        bp_peer_free(p);
    }
    bp_keeper_free(m->keeper);
    bp_timer_free(m->timer);
    bp_policy_free(m->policy);
    bp_site_free(m->site);
    bp_crypto_openssl_free(m->crypto);
    if (m->log_dir > 0) {
        close(m->log_dir);
    }
}

const struct bp_child_ops *bp_keeper_ops(void **ret_self)
{
    static const struct bp_child_ops ops = {
        .load = load, .start = start, .channel = on_channel, .end = end, .done = done};
    *ret_self = &me;
    return &ops;
}
