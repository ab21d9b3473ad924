/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/child - see child.h. */
#include "fleet/proc/child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fleet/authority/site.h"
#include "fleet/ipc/message.h"
#include "fleet/proc/probe.h"
#include "fleet/proc/sandbox.h"
#include "platform/linux/clock.h"

#define BP_MODULE PROC

#define LONELY_MS 15000u

struct running {
    struct bp_child c;
    const struct bp_child_ops *ops;
    void *self;
    bool is_ending;
};

static struct running me;

/* ---- for the kinds ---- */

void bp_child_say(const struct bp_child *c, const char *text)
{
    fprintf(stderr, "bedplated %s: %s\n", c->name, text);
}

void bp_child_say_result(const struct bp_child *c, const char *text, bp_result r)
{
    fprintf(stderr, "bedplated %s: %s: %s (%s:%u)\n", c->name, text, bp_error_name(bp_error_of(r)),
            bp_module_name((enum bp_module)((r.word >> 8) & 0xffu)), (unsigned)(r.word >> 16));
}

bp_result bp_child_path(const struct bp_child *c, const char *rest, char ret[BP_PROC_PATH_MAX])
{
    const bool is_root = strcmp(c->dir, "/") == 0;
    char path[BP_PROC_PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", is_root ? "" : c->dir, rest);
    if (n < 0 || (size_t)n >= sizeof path) {
        return BP_FAIL(NO_SPACE);
    }
    memcpy(ret, path, (size_t)n + 1);
    return BP_OK;
}

void bp_child_ready(struct bp_child *c)
{
    if (!c->is_ready) {
        c->is_ready = true;
        BP_PROBE_READY(c);
        (void)shutdown(BP_PROC_FD_PARENT, SHUT_WR);
    }
}

static void on_lonely(void *arg)
{
    struct bp_child *c = arg;
    bp_child_say(c, "a channel is gone and no other came");
    bp_child_stop(c, BP_EXIT_INTERNAL);
}

void bp_child_lost(struct bp_child *c)
{
    if (bp_failed(bp_timer_start(c->lonely, LONELY_MS))) {
        bp_child_stop(c, BP_EXIT_INTERNAL);
    }
}

void bp_child_found(struct bp_child *c)
{
    bp_timer_stop(c->lonely);
}

void bp_child_stop(struct bp_child *c, int code)
{
    c->exit_code = code;
    bp_loop_stop(c->loop);
}

/* ---- the parent's notices ---- */

static void end(void *arg)
{
    struct running *r = arg;
    if (!r->is_ending) {
        r->is_ending = true;
        r->ops->end(r->self);
    }
}

/* A channel or a listener: a name, and a descriptor that came with it. */
static bp_result take_fd(struct running *r, struct bp_peer *p, bp_span name,
                         void (*take)(void *self, bp_span name, int fd))
{
    int fd = -1;
    if (take == NULL) {
        return BP_FAIL(UNSUPPORTED);
    }
    BP_TRY(bp_peer_take_fd(p, &fd));
    take(r->self, name, fd);
    return BP_OK;
}

static bp_result follow(struct running *r, struct bp_peer *p, bp_span op, bp_span body)
{
    bp_span name = BP_SPAN_EMPTY;
    if (bp_span_equal(op, BP_SPAN_STR("end"))) {
        end(r);
        return BP_OK;
    }
    BP_TRY(bp_msg_name_read(body, &name));
    if (bp_span_equal(op, BP_SPAN_STR("channel"))) {
        return take_fd(r, p, name, r->ops->channel);
    }
    if (bp_span_equal(op, BP_SPAN_STR("listener"))) {
        return take_fd(r, p, name, r->ops->listener);
    }
    const bool is_running = bp_span_equal(op, BP_SPAN_STR("running"));
    if (r->ops->running == NULL || !(is_running || bp_span_equal(op, BP_SPAN_STR("gone")))) {
        return BP_FAIL(UNSUPPORTED);
    }
    r->ops->running(r->self, name, is_running);
    return BP_OK;
}

static void on_notice(void *self, struct bp_peer *p, bp_span op, bp_span body)
{
    struct running *r = self;
    const bp_result result = follow(r, p, op, body);
    if (bp_failed(result)) {
        bp_child_say_result(&r->c, "the parent's notice cannot be followed", result);
        bp_child_stop(&r->c, BP_EXIT_INTERNAL);
    }
}

static void on_parent_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct running *r = self;
    (void)p;
    (void)why;
    bp_child_stop(&r->c, BP_EXIT_OK); /* nothing of ours outlives the parent */
}

/* ---- starting ---- */

static const struct bp_child_ops *ops_of(enum bp_kind kind, void **ret_self)
{
    switch (kind) {
    case BP_KIND_FRONT_DEVICE:
    case BP_KIND_FRONT_OPERATE:
        return bp_front_ops(ret_self);
    case BP_KIND_APPRAISER:
        return bp_appraiser_ops(ret_self);
    case BP_KIND_KEEPER:
        return bp_keeper_ops(ret_self);
    case BP_KIND_READER:
        return bp_reader_ops(ret_self);
    case BP_KIND_SIGNER_TLS:
    case BP_KIND_SIGNER_LOG:
    case BP_KIND_SIGNER_CA:
        return bp_signer_ops(ret_self);
    case BP_KIND_COUNT:
        break;
    }
    return NULL;
}

/* A change of uid clears the death signal, so it is asked for again after it; a parent that is gone by then would never
 * send it. */
static bool die_with_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

/* The settings are the administrator's own file; of all kinds only one has a stranger's module in it. */
static bp_result read_reach(enum bp_kind kind, const char *dir, bool *ret_keeps_root, char *ret, size_t cap)
{
    struct bp_site_settings s;
    *ret_keeps_root = false;
    ret[0] = 0;
    if (kind != BP_KIND_SIGNER_CA) {
        return BP_OK;
    }
    BP_TRY(bp_site_settings_load(dir, &s));
    for (size_t i = 0; i < BP_SITE_KEYS; i++) {
        *ret_keeps_root = *ret_keeps_root || s.key_uri[i][0] != 0;
    }
    if (*ret_keeps_root) {
        (void)snprintf(ret, cap, "%s", s.key_reach);
    }
    return BP_OK;
}

static bp_result raise_and_load(struct running *r, const char *dir, pid_t parent)
{
    char reach[BP_SITE_TEXT_MAX + 1];
    bool keeps_root = false;
    /* What OpenSSL reads once, it reads while it can still open files. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CONFIG |
                                OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                            NULL) != 1) {
        return BP_FAIL(CRYPTO);
    }
    BP_TRY(read_reach(r->c.kind, dir, &keeps_root, reach, sizeof reach));
    BP_TRY(bp_sandbox_enter(r->c.kind, dir, keeps_root, r->c.dir, &r->c.fences));
    if (!die_with_parent(parent)) {
        return BP_FAIL(CLOSED);
    }
    BP_TRY(bp_loop_new(&r->c.loop));
    BP_TRY(r->ops->load(r->self, &r->c));
    return bp_sandbox_close(r->c.kind, r->c.dir, reach, &r->c.fences);
}

static bp_result serve(struct running *r)
{
    const struct bp_peer_ops parent_ops = {.on_notice = on_notice, .on_closed = on_parent_closed, .takes_fds = true};
    struct bp_signal *term = NULL;
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that left is an error of the write, not the end of the process */
    (void)signal(SIGINT, SIG_IGN); /* a terminal's ^C goes to the whole group; the parent decides what it means */
    BP_TRY(bp_signal_new(r->c.loop, SIGTERM, end, r, &term));
    bp_result result = bp_timer_new(r->c.loop, on_lonely, &r->c, &r->c.lonely);
    if (!bp_failed(result)) {
        result = r->ops->start(r->self);
    }
    if (!bp_failed(result)) {
        result = bp_peer_new(r->c.loop, BP_PROC_FD_PARENT, &parent_ops, r, &r->c.parent);
    }
    if (!bp_failed(result)) {
        result = bp_loop_run(r->c.loop);
    }
    r->ops->done(r->self);
    bp_peer_free(r->c.parent);
    bp_timer_free(r->c.lonely);
    bp_signal_free(term);
    return result;
}

struct start {
    enum bp_kind kind;
    unsigned long index, parent, per_source, device_port, enrol_port, interval_ms;
    const char *dir;
};

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
    char *rest = NULL;
    errno = 0;
    const unsigned long v = strtoul(text, &rest, 10);
    if (text[0] < '0' || text[0] > '9' || *rest != '\0' || errno != 0 || v > max) {
        return false;
    }
    *ret = v;
    return true;
}

/* --child KIND INDEX PARENT PER_SOURCE DEVICE_PORT ENROL_PORT INTERVAL_MS DIR, written by our own parent */
static bool read_start(int argc, char **argv, struct start *ret)
{
    struct start s = {.kind = BP_KIND_COUNT};
    if (argc != 10 || !number(argv[3], 999, &s.index) || !number(argv[4], 1ul << 30, &s.parent) ||
        !number(argv[5], 1ul << 20, &s.per_source) || !number(argv[6], UINT16_MAX, &s.device_port) ||
        !number(argv[7], UINT16_MAX, &s.enrol_port) || !number(argv[8], UINT32_MAX, &s.interval_ms)) {
        return false;
    }
    s.kind = bp_kind_of_name(argv[2]);
    s.dir = argv[9];
    *ret = s;
    return s.kind != BP_KIND_COUNT;
}

int bp_child_main(int argc, char **argv)
{
    struct start start;
    if (!read_start(argc, argv, &start)) {
        fputs("bedplated: --child is for the server itself\n", stderr);
        return BP_EXIT_USAGE;
    }
    me.c.kind = start.kind;
    me.c.index = (unsigned)start.index;
    me.c.per_source = (unsigned)start.per_source;
    me.c.device_port = (uint16_t)start.device_port;
    me.c.enrol_port = (uint16_t)start.enrol_port;
    me.c.attest_interval_ms = (unsigned)start.interval_ms;
    me.c.clock = bp_clock_linux();
    bp_kind_process(start.kind, me.c.index, me.c.name);
    me.ops = ops_of(start.kind, &me.self);
    bp_result r = raise_and_load(&me, start.dir, (pid_t)start.parent);
    if (bp_failed(r)) {
        bp_child_say_result(&me.c, "cannot start", r);
        return BP_EXIT_INTERNAL;
    }
    r = serve(&me);
    if (bp_failed(r)) {
        bp_child_say_result(&me.c, "ended", r);
        me.c.exit_code = BP_EXIT_INTERNAL;
    }
    bp_loop_free(me.c.loop);
    return me.c.exit_code;
}
