/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/front - the front process: see front.h. */
#include "fleet/proc/front.h"

#include <stdio.h>

#include <unistd.h>

#include "fleet/authority/site.h"
#include "fleet/ipc/message.h"
#include "net/tls.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define SIGN_MS      2000u
#define END_MS       1500u
#define SESSIONS_MAX 16384u /* to be resumed: as many as connections, so that a fleet that comes back finds its own */
#define CONNS_DEVICE 4096u /* one address may stand for a plant behind one router; they hold certificates of ours */

static struct bp_front me;

static const char *const names[BP_L_COUNT] = {
    [BP_L_DEVICE] = "device", [BP_L_ENROL] = "enrol", [BP_L_OPERATE] = "operate", [BP_L_STATUS] = "status"};

const char *bp_listener_name(enum bp_listener id)
{
    return id < BP_L_COUNT ? names[id] : "?";
}

/* ---- the server's key, in another process ---- */

/* A channel that failed is out of step and closed; the parent sends another when the signer is replaced. */
static bp_result sign(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    struct bp_front *f = self;
    uint8_t ask[64], answer[128];
    size_t ask_n = 0, answer_n = 0;
    uint64_t status = 0;
    bp_span raw = BP_SPAN_EMPTY;
    if (f->tls_fd < 0) {
        return BP_FAIL(CLOSED);
    }
    BP_TRY(bp_msg_bytes_write(bp_span_of(digest, 32), ask, sizeof ask, &ask_n));
    const bp_result r = bp_frame_call(f->tls_fd, &f->c->clock, SIGN_MS, "sign", bp_span_of(ask, ask_n), &status, answer,
                                      sizeof answer, &answer_n);
    if (bp_failed(r)) {
        close(f->tls_fd);
        f->tls_fd = -1;
        bp_child_lost(f->c);
        return r;
    }
    if (status != 0) {
        return BP_FAIL(DENIED);
    }
    BP_TRY(bp_msg_bytes_read(bp_span_of(answer, answer_n), &raw));
    if (raw.n != 64) {
        return BP_FAIL(MALFORMED);
    }
    memcpy(ret, raw.p, 64);
    return BP_OK;
}

static bp_verdict admit(void *self, const struct bp_tls_peer *peer, bp_span leaf_der)
{
    const struct bp_front *f = self;
    (void)leaf_der;
    return bp_front_is_denied(f, peer) ? BP_DENY : BP_ALLOW;
}

/* ---- certificates ---- */

/* The anchors' order is the meaning of bp_tls_peer.ca in relay.c. */
static bp_result make_device_contexts(struct bp_front *f, const struct bp_tls_server_spec *base,
                                      const struct bp_site *site)
{
    /* After a roll-over both issuers count, until the old one is taken out of force. */
    const unsigned issuers = site->issuing_old.n > 0 ? 2 : 1;
    const bp_span cas[] = {site->cert[BP_SITE_CERT_ISSUING],
                           issuers == 2 ? site->issuing_old : site->cert[BP_SITE_CERT_BROWNFIELD],
                           site->cert[BP_SITE_CERT_BROWNFIELD]};
    struct bp_tls_server_spec spec = *base;
    spec.ask = BP_TLS_ASK_REQUIRED;
    spec.cas = cas;
    spec.ca_count = issuers;
    f->listener[BP_L_DEVICE].device_cas = issuers;
    f->listener[BP_L_ENROL].device_cas = issuers;
    spec.sessions_max = SESSIONS_MAX;
    BP_TRY(bp_tls_server_new(&spec, &f->listener[BP_L_DEVICE].tls));
    spec.sessions_max = 0;
    spec.ask = BP_TLS_ASK_OPTIONAL;
    spec.also_tls12 = true;
    spec.ca_count = issuers + 1;
    return bp_tls_server_new(&spec, &f->listener[BP_L_ENROL].tls);
}

static bp_result make_operate_contexts(struct bp_front *f, const struct bp_tls_server_spec *base,
                                       const struct bp_site *site)
{
    const bp_span cas[] = {site->cert[BP_SITE_CERT_OPERATORS]};
    char name[300];
    struct bp_tls_server_spec spec = *base;
    const int n = snprintf(name, sizeof name, "operator.%s", site->name);
    if (n < 0 || (size_t)n >= sizeof name) {
        return BP_FAIL(LIMIT);
    }
    spec.ask = BP_TLS_ASK_NEVER;
    BP_TRY(bp_tls_server_new(&spec, &f->listener[BP_L_OPERATE].tls));
    spec.ask = BP_TLS_ASK_OPTIONAL;
    spec.cas = cas;
    spec.ca_count = 1;
    BP_TRY(bp_tls_server_new(&spec, &f->operator_tls));
    return bp_tls_server_add_name(f->listener[BP_L_OPERATE].tls, name, f->operator_tls);
}

static bp_result make_contexts(struct bp_front *f, const struct bp_site *site)
{
    const struct bp_tls_key key = {.self = f, .sign = sign};
    /* The root goes with it: who knows only the root's hash finds it in the chain. */
    const bp_span chain[] = {site->cert[BP_SITE_CERT_SERVER], site->cert[BP_SITE_CERT_INFRA],
                             site->cert[BP_SITE_CERT_ROOT]};
    const struct bp_tls_server_spec base = {
        .own = {.chain = chain, .count = 3, .key = &key}, .clock = &f->c->clock, .self = f, .admit = admit};
    return f->c->kind == BP_KIND_FRONT_DEVICE ? make_device_contexts(f, &base, site)
                                              : make_operate_contexts(f, &base, site);
}

static bp_result load(void *self, struct bp_child *c)
{
    struct bp_front *f = self;
    struct bp_crypto *crypto = NULL;
    struct bp_site *site = NULL;
    f->c = c;
    BP_TRY(bp_crypto_openssl_new(1, &crypto));
    bp_result r = bp_site_load(c->dir, crypto, &site);
    if (!bp_failed(r)) {
        r = make_contexts(f, site);
    }
    bp_site_free(site);
    bp_crypto_openssl_free(crypto);
    return r;
}

/* ---- service ---- */

static bool is_mine(const struct bp_front *f, enum bp_listener id)
{
    return (f->c->kind == BP_KIND_FRONT_OPERATE) == (id == BP_L_OPERATE);
}

static bp_result serve(struct bp_front_listener *l)
{
    const struct bp_front *f = l->f;
    struct bp_server_spec spec = {
        .tls = l->tls, .of_status = l->id == BP_L_STATUS, .self = l, .body_max = bp_front_body_max, .handle = bp_front_handle};
    spec.limits.conns_per_source = f->c->per_source != 0 ? f->c->per_source : l->id == BP_L_DEVICE ? CONNS_DEVICE : 0;
    const int fd = l->fd;
    l->fd = -1;
    return bp_server_new(f->c->loop, fd, &spec, &l->server);
}

/* Nobody is let in before the keeper has told which keys are off, and before there is a key to greet with. */
static void look_whether_to_serve(struct bp_front *f)
{
    if (!f->has_state || f->tls_fd < 0) {
        return;
    }
    bool all = true;
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        struct bp_front_listener *l = &f->listener[i];
        if (l->fd >= 0 && l->server == NULL) {
            const bp_result r = serve(l);
            if (bp_failed(r)) {
                bp_child_say_result(f->c, "a listener cannot be served", r);
                bp_child_stop(f->c, BP_EXIT_INTERNAL);
                return;
            }
        }
        all = all && (!is_mine(f, l->id) || l->server != NULL);
    }
    if (all) {
        bp_child_ready(f->c);
    }
}

static void on_listener(void *self, bp_span name, int fd)
{
    struct bp_front *f = self;
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        struct bp_front_listener *l = &f->listener[i];
        if (bp_span_equal(name, bp_span_cstr(names[i])) && is_mine(f, l->id) && l->fd < 0 && l->server == NULL) {
            l->fd = fd;
            look_whether_to_serve(f);
            return;
        }
    }
    close(fd);
}

/* ---- the keeper's notices ---- */

static bp_result on_deny(struct bp_front *f, bp_span body)
{
    struct bp_msg_deny m;
    bp_span hash;
    size_t n = 0;
    BP_TRY(bp_msg_deny_read(body, &m));
    uint8_t(*list)[32] = bp_alloc_array(m.count > 0 ? m.count : 1, sizeof *list);
    while (bp_msg_deny_next(&m, &hash)) {
        bp_denyset_add(&f->deny, hash.p);
        if (list != NULL) {
            memcpy(list[n++], hash.p, 32);
        }
    }
    if (list == NULL) {
        return BP_FAIL(NO_MEMORY); /* sessions that should be cut cannot be: this process ends, and they with it */
    }
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        if (f->listener[i].server != NULL) {
            (void)bp_server_cut(f->listener[i].server, bp_span_of(list, n * 32));
        }
    }
    bp_free(list);
    return BP_OK;
}

static void on_notice(void *self, struct bp_peer *p, bp_span op, bp_span body)
{
    struct bp_front *f = self;
    bp_result r = BP_OK;
    (void)p;
    if (bp_span_equal(op, BP_SPAN_STR("deny"))) {
        r = on_deny(f, body);
    } else if (bp_span_equal(op, BP_SPAN_STR("state"))) {
        r = bp_msg_state_read(body, &f->is_accepting);
        f->has_state = f->has_state || !bp_failed(r);
        look_whether_to_serve(f);
    } else if (bp_span_equal(op, BP_SPAN_STR("crl"))) {
        r = bp_front_hold_told(f, body);
    } else if (bp_span_equal(op, BP_SPAN_STR("stream"))) {
        bp_front_stream_publish(f, body);
    } else {
        r = BP_FAIL(UNSUPPORTED);
    }
    if (bp_failed(r)) {
        bp_child_say_result(f->c, "the keeper's notice cannot be followed", r);
        bp_child_stop(f->c, BP_EXIT_INTERNAL);
    }
}

/* ---- channels ---- */

static void on_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct bp_front *f = self;
    (void)why;
    if (f->keeper == p) {
        f->keeper = NULL;
        bp_child_lost(f->c);
    }
    for (size_t i = 0; i < BP_FRONT_READERS_MAX; i++) {
        if (f->reader[i] == p) {
            f->reader[i] = NULL;
        }
    }
    bp_peer_free(p);
}

static struct bp_peer **place_of(struct bp_front *f, bp_span name)
{
    static const char reader[] = "reader-";
    if (bp_span_equal(name, BP_SPAN_STR("keeper"))) {
        return &f->keeper;
    }
    if (name.n >= sizeof f->reader_name[0] || name.n < sizeof reader || memcmp(name.p, reader, sizeof reader - 1) != 0) {
        return NULL;
    }
    size_t at = BP_FRONT_READERS_MAX;
    for (size_t i = 0; i < BP_FRONT_READERS_MAX; i++) {
        if (bp_span_equal(name, bp_span_cstr(f->reader_name[i]))) {
            return &f->reader[i];
        }
        at = f->reader_name[i][0] == '\0' && at == BP_FRONT_READERS_MAX ? i : at;
    }
    if (at == BP_FRONT_READERS_MAX) {
        return NULL;
    }
    memcpy(f->reader_name[at], name.p, name.n);
    return &f->reader[at];
}

static void look_whether_complete(struct bp_front *f)
{
    if (f->keeper != NULL && f->tls_fd >= 0) {
        bp_child_found(f->c);
    }
}

static void on_channel(void *self, bp_span name, int fd)
{
    struct bp_front *f = self;
    const struct bp_peer_ops keeper_ops = {.on_notice = on_notice, .on_closed = on_closed};
    const struct bp_peer_ops reader_ops = {.on_closed = on_closed};
    if (bp_span_equal(name, BP_SPAN_STR("signer-tls"))) {
        if (f->tls_fd >= 0) {
            close(f->tls_fd);
        }
        f->tls_fd = fd;
        look_whether_complete(f);
        look_whether_to_serve(f);
        return;
    }
    struct bp_peer **place = place_of(f, name);
    if (place == NULL) {
        close(fd);
        return;
    }
    bp_peer_free(*place);
    *place = NULL;
    const bp_result r = bp_peer_new(f->c->loop, fd, place == &f->keeper ? &keeper_ops : &reader_ops, f, place);
    if (bp_failed(r)) {
        bp_child_say_result(f->c, "a channel cannot be used", r);
        bp_child_stop(f->c, BP_EXIT_INTERNAL);
        return;
    }
    look_whether_complete(f);
}

/* ---- beginning and end ---- */

static void on_ending_late(void *arg)
{
    struct bp_front *f = arg;
    bp_child_stop(f->c, BP_EXIT_OK);
}

static bp_result start(void *self)
{
    struct bp_front *f = self;
    BP_TRY(bp_timer_new(f->c->loop, on_ending_late, f, &f->ending));
    return f->c->kind == BP_KIND_FRONT_OPERATE ? bp_front_stream_start(f) : bp_front_hold_start(f);
}

void bp_front_settled(struct bp_front *f)
{
    if (f->is_ending && f->open == 0) {
        /* A little later, so that the last answer leaves the buffers. */
        BP_IGNORE(bp_timer_start(f->ending, 50), "the long timer runs already");
    }
}

static void end(void *self)
{
    struct bp_front *f = self;
    f->is_ending = true;
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        if (f->listener[i].server != NULL) {
            bp_server_stop_accepting(f->listener[i].server);
        }
    }
    bp_front_stream_end(f);
    bp_front_hold_end(f);
    if (bp_failed(bp_timer_start(f->ending, END_MS))) {
        bp_child_stop(f->c, BP_EXIT_OK);
    }
    bp_front_settled(f);
}

static void done(void *self)
{
    struct bp_front *f = self;
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        bp_server_free(f->listener[i].server);
        f->listener[i].server = NULL;
        if (f->listener[i].fd >= 0) {
            close(f->listener[i].fd);
        }
    }
    bp_peer_free(f->keeper);
    for (size_t i = 0; i < BP_FRONT_READERS_MAX; i++) {
        bp_peer_free(f->reader[i]);
    }
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        bp_tls_free(f->listener[i].tls);
    }
    bp_tls_free(f->operator_tls);
    bp_timer_free(f->ending);
    bp_timer_free(f->beat);
    bp_timer_free(f->wait_beat);
    bp_denyset_done(&f->deny);
    if (f->tls_fd >= 0) {
        close(f->tls_fd);
    }
}

const struct bp_child_ops *bp_front_ops(void **ret_self)
{
    static const struct bp_child_ops ops = {
        .load = load, .start = start, .channel = on_channel, .listener = on_listener, .end = end, .done = done};
    me.tls_fd = -1;
    for (size_t i = 0; i < BP_L_COUNT; i++) {
        me.listener[i] = (struct bp_front_listener){.f = &me, .id = (enum bp_listener)i, .fd = -1};
    }
    *ret_self = &me;
    return &ops;
}
