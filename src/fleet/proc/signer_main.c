/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/signer_main - the three processes that hold keys: frames in, the pure handlers of fleet/signer, frames out.
 *
 * Keys are opened before the last fences are raised; after them none can be opened. A request is answered before the next
 * is read, but for certificates, whose answers wait for the record of them; a channel that asks more than it reads is closed by net/frame. */
#include "fleet/proc/child.h"

#include <fcntl.h>
#include <stdio.h>

#include <sys/stat.h>
#include <unistd.h>

#include "fleet/authority/site.h"
#include "fleet/signer/signer.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define PEERS_MAX 32u
#define LOOK_MS   1000u
#define HELD_MAX  256u /* certificates that one sync of the record serves at most */

/* An answer that waits for the record to be on disk. */
struct held {
    struct bp_peer *peer; /* NULL: gone meanwhile */
    uint64_t id;
    uint8_t *body;
    size_t n;
};

struct signer {
    struct bp_child *c;
    struct bp_site *site;
    struct bp_crypto *crypto;
    struct bp_entropy entropy;
    struct bp_tls_signer *tls; /* one of the three */
    struct bp_log_signer *log;
    struct bp_ca_signer *ca;
    struct bp_peer *peer[PEERS_MAX];
    int anchors; /* the folder, as it was read */
    struct timespec anchors_time;
    struct bp_timer *look;
    struct bp_timer *turn; /* when what came together has been answered */
    struct held held[HELD_MAX];
    size_t held_n;
    char waits[24]; /* the op whose key's token did not answer last; empty: all do */
};

static struct signer me;

/* Said once when it stops and once when it works again: requests come by the thousand. */
static void note_key_store(struct signer *s, bp_span op)
{
    const enum bp_ca_rule rule = bp_ca_signer_rule(s->ca);
    if (rule == BP_CA_KEY_STORE && s->waits[0] == 0 && op.n < sizeof s->waits) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "the token of a key does not answer (the module's code is 0x%lx); every request tries it again",
                       bp_pkcs11_trace());
        bp_child_say(s->c, text);
        memcpy(s->waits, op.p, op.n);
        s->waits[op.n] = 0;
    } else if (rule == BP_CA_NONE && s->waits[0] != 0 && bp_span_equal(op, bp_span_cstr(s->waits))) {
        bp_child_say(s->c, "the token answers again");
        s->waits[0] = 0;
    }
}

/* ---- certificates leave when the record of them is on disk; those that are asked for together share one sync ---- */

static void let_go(struct signer *s, enum bp_problem status)
{
    for (size_t i = 0; i < s->held_n; i++) {
        struct held *h = &s->held[i];
        if (h->peer != NULL) {
            const bp_span body = status == BP_P_NONE ? bp_span_of(h->body, h->n) : BP_SPAN_STR("\xa0");
            BP_IGNORE(bp_peer_answer(h->peer, h->id, status, body), "who asked is gone, and asks again over its next channel");
        }
        bp_free(h->body);
    }
    s->held_n = 0;
}

static void on_turn(void *arg)
{
    struct signer *s = arg;
    if (s->held_n == 0) {
        return;
    }
    const bp_result r = bp_ca_signer_sync(s->ca);
    if (bp_failed(r)) {
        bp_child_say_result(s->c, "the record of certificates cannot be put on disk; none is given out", r);
        let_go(s, BP_P_STORAGE_FULL);
        bp_child_stop(s->c, BP_EXIT_INTERNAL);
        return;
    }
    let_go(s, BP_P_NONE);
}

static void hold(struct signer *s, struct bp_peer *p, uint64_t id, bp_span body)
{
    struct held h = {p, id, bp_alloc(body.n), body.n};
    if (h.body == NULL) {
        BP_IGNORE(bp_peer_answer(p, id, BP_P_BUSY, BP_SPAN_STR("\xa0")), "as above");
        return;
    }
    memcpy(h.body, body.p, body.n);
    s->held[s->held_n++] = h;
    if (s->held_n == HELD_MAX || bp_failed(bp_timer_start(s->turn, 0))) {
        on_turn(s);
    }
}

static void on_request(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body)
{
    struct signer *s = self;
    struct bp_signer_answer a = {.status = BP_P_UNSUPPORTED};
    if (s->tls != NULL) {
        bp_tls_signer_answer(s->tls, op, body, &a);
    } else if (s->log != NULL) {
        bp_log_signer_answer(s->log, op, body, &a);
    } else {
        bp_ca_signer_answer(s->ca, op, body, &a);
        note_key_store(s, op);
        if (a.status == BP_P_NONE && bp_ca_signer_is_owed(s->ca)) {
            hold(s, p, id, a.body);
            return;
        }
    }
    const bp_span map = a.body.n > 0 ? a.body : BP_SPAN_STR("\xa0");
    BP_IGNORE(bp_peer_answer(p, id, a.status, map), "who asked is gone, and asks again over its next channel");
}

static void on_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct signer *s = self;
    (void)why;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (s->peer[i] == p) {
            s->peer[i] = NULL;
        }
    }
    for (size_t i = 0; i < s->held_n; i++) {
        s->held[i].peer = s->held[i].peer == p ? NULL : s->held[i].peer;
    }
    bp_peer_free(p);
}

/* Who may ask is decided by who is given a channel: the parent's table. */
static void on_channel(void *self, bp_span name, int fd)
{
    struct signer *s = self;
    const struct bp_peer_ops ops = {.on_request = on_request, .on_closed = on_closed};
    (void)name;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (s->peer[i] == NULL) {
            const bp_result r = bp_peer_new(s->c->loop, fd, &ops, s, &s->peer[i]);
            if (bp_failed(r)) {
                bp_child_say_result(s->c, "a channel cannot be used", r);
                bp_child_stop(s->c, BP_EXIT_INTERNAL);
            }
            return;
        }
    }
    close(fd);
}

/* ---- accepted issuers of endorsement certificates ---- */

static bp_result note_anchors(struct signer *s)
{
    char path[BP_PROC_PATH_MAX];
    struct stat st;
    BP_TRY(bp_child_path(s->c, "anchors", path));
    s->anchors = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->anchors < 0 || fstat(s->anchors, &st) != 0) {
        return BP_FAIL(NOT_FOUND);
    }
    s->anchors_time = st.st_mtim;
    return BP_OK;
}

/* A file that came or went: this process cannot open it, so it ends, and the one that takes its place reads the folder. */
static void look_at_anchors(void *arg)
{
    struct signer *s = arg;
    struct stat st;
    if (fstat(s->anchors, &st) == 0 &&
        (st.st_mtim.tv_sec != s->anchors_time.tv_sec || st.st_mtim.tv_nsec != s->anchors_time.tv_nsec)) {
        bp_child_say(s->c, "the accepted issuers changed; starting again with them");
        on_turn(s); /* what was signed is given out */
        bp_child_stop(s->c, BP_EXIT_OK);
        return;
    }
    BP_IGNORE(bp_timer_start(s->look, LOOK_MS), "without it a change is seen at the next start");
}

/* ---- the process ---- */

static bp_result load(void *self, struct bp_child *c)
{
    struct signer *s = self;
    s->c = c;
    s->entropy = bp_entropy_linux();
    BP_TRY(bp_crypto_openssl_new(4096, &s->crypto));
    BP_TRY(bp_site_load(c->dir, s->crypto, &s->site));
    if (c->kind == BP_KIND_SIGNER_TLS) {
        return bp_tls_signer_new(s->site, &s->tls);
    }
    if (c->kind == BP_KIND_SIGNER_LOG) {
        return bp_log_signer_new(s->site, s->crypto, &s->log);
    }
    for (enum bp_site_key i = BP_SITE_KEY_SERVER; i < BP_SITE_KEYS; i = (enum bp_site_key)(i + 1)) {
        if (bp_site_key_is_in_token(s->site, i)) {
            bp_child_say(c, "keys of the authorities lie in a token: its module works in this process");
            break;
        }
    }
    BP_TRY(note_anchors(s)); /* before they are read: a change meanwhile is a change */
    return bp_ca_signer_new(s->site, s->crypto, &s->entropy, &c->clock, &s->ca);
}

static bp_result start(void *self)
{
    struct signer *s = self;
    if (s->ca != NULL) {
        BP_TRY(bp_timer_new(s->c->loop, on_turn, s, &s->turn));
        BP_TRY(bp_timer_new(s->c->loop, look_at_anchors, s, &s->look));
        BP_TRY(bp_timer_start(s->look, LOOK_MS));
    }
    bp_child_ready(s->c);
    return BP_OK;
}

static void end(void *self)
{
    struct signer *s = self;
    on_turn(s);
    bp_child_stop(s->c, BP_EXIT_OK); /* every request is answered now: none is open */
}

static void done(void *self)
{
    struct signer *s = self;
    let_go(s, BP_P_BUSY); /* not "unavailable": that says that a key's token is gone */
    for (size_t i = 0; i < PEERS_MAX; i++) {
        bp_peer_free(s->peer[i]);
    }
    bp_timer_free(s->turn);
    bp_timer_free(s->look);
    bp_tls_signer_free(s->tls);
    bp_log_signer_free(s->log);
    bp_ca_signer_free(s->ca);
    bp_site_free(s->site);
    bp_crypto_openssl_free(s->crypto);
}

const struct bp_child_ops *bp_signer_ops(void **ret_self)
{
    static const struct bp_child_ops ops = {
        .load = load, .start = start, .channel = on_channel, .end = end, .done = done};
    *ret_self = &me;
    return &ops;
}
