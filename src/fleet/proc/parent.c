/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/parent - opens the listeners, starts, joins, watches and replaces all other processes, and ends them in
 * order. It parses nothing: not from the net, and not from its children, whose only word to it is the closing of their
 * half of the socket ("in service"). Bounded by the table of slots; nothing grows while it runs. */
#include "fleet/proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fleet/ipc/message.h"
#include "fleet/proc/probe.h"
#include "fleet/proc/sandbox.h"
#include "net/frame.h"
#include "net/loop.h"
#include "net/server.h"
#include "net/steer.h"
#include "platform/linux/clock.h"

#define BP_MODULE PROC

#define SLOTS_MAX      48u
#define LISTENERS_MAX  4u
#define DEVICE         0u /* places of those listeners */
#define ENROL          1u
#define WORKERS_MAX    16u
#define BACKOFF_MIN_MS 20u
#define BACKOFF_MAX_MS 10000u
#define STEADY_MS      30000 /* who lived that long starts again at once */
#define START_TRIES    3u    /* before the server was ever in service */
#define END_MS         2500u

/* The order of the end: who hears from outside, who writes, who is asked by the writer. */
enum phase { PHASE_RUN, PHASE_FRONTS, PHASE_KEEPER, PHASE_REST, PHASE_OVER };

struct slot {
    enum bp_kind kind;
    unsigned index;
    char name[BP_PROC_NAME_MAX + 1];
    pid_t pid; /* 0: not running */
    int fd;
    struct bp_watch *watch; /* until it is in service */
    struct bp_timer *again;
    bool is_ready;
    int64_t started_ms;
    uint32_t backoff_ms;
    uint32_t early_ends;
};

static struct parent {
    const struct bp_run *run;
    struct bp_clock clock;
    struct bp_loop *loop;
    struct bp_timer *ending;
    struct slot slot[SLOTS_MAX];
    size_t slots;
    struct {
        const char *name;
        enum bp_kind kind;
        uint16_t port;
        int fd[WORKERS_MAX];
    } listener[LISTENERS_MAX];
    enum phase phase;
    bool is_renewing, is_asked_again;
    size_t renew_at; /* how many of those to be replaced were */
    struct bp_timer *renewing;
    bool was_ready;
    int exit_code;
} me;

static void say(const char *who, const char *text)
{
    fprintf(stderr, "bedplated: %s %s\n", who, text);
}

/* ---- who talks to whom ---- */

static bool is_front(enum bp_kind k)
{
    return k == BP_KIND_FRONT_DEVICE || k == BP_KIND_FRONT_OPERATE;
}

static bool is_linked(enum bp_kind a, enum bp_kind b)
{
    if (is_front(a)) {
        return b == BP_KIND_KEEPER || b == BP_KIND_SIGNER_TLS || (a == BP_KIND_FRONT_OPERATE && b == BP_KIND_READER);
    }
    return a == BP_KIND_KEEPER && (b == BP_KIND_APPRAISER || b == BP_KIND_SIGNER_LOG || b == BP_KIND_SIGNER_CA);
}

static enum phase phase_of(enum bp_kind k)
{
    return is_front(k) ? PHASE_FRONTS : k == BP_KIND_KEEPER || k == BP_KIND_READER ? PHASE_KEEPER : PHASE_REST;
}

/* ---- notices ---- */

/* A child whose socket is full does not listen: it is replaced. */
static void give_up_on(struct slot *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
    }
}

/* One frame in one message, with a descriptor when fd >= 0. */
static bool send_frame(int to, bp_span frame, int fd)
{
    struct iovec v = {.iov_len = frame.n};
    v.iov_base = (void *)(uintptr_t)frame.p; /* only read */
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)frame.n;
}

/* name NULL: the notice without a body. */
static void notify(struct slot *s, const char *op, const char *name, int fd)
{
    uint8_t body[96], frame[192];
    size_t body_n = 0, frame_n = 0;
    const bp_result r = name != NULL ? bp_msg_name_write(bp_span_cstr(name), body, sizeof body, &body_n)
                                     : bp_msg_empty_write(body, sizeof body, &body_n);
    const struct bp_frame f = {.kind = BP_FRAME_NOTICE, .op = bp_span_cstr(op), .body = bp_span_of(body, body_n)};
    if (s->fd < 0) {
        return;
    }
    if (bp_failed(r) || bp_failed(bp_frame_write(&f, frame, sizeof frame, &frame_n)) ||
        !send_frame(s->fd, bp_span_of(frame, frame_n), fd)) {
        give_up_on(s);
    }
}

static void join(struct slot *a, struct slot *b)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        say(a->name, "gets no channel: the system has none left");
        give_up_on(a);
        return;
    }
    notify(a, "channel", b->name, pair[0]);
    notify(b, "channel", a->name, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

static void hand_out(struct slot *s)
{
    for (size_t i = 0; s->kind == BP_KIND_READER && i < me.slots; i++) {
        notify(s, me.slot[i].is_ready ? "running" : "gone", me.slot[i].name, -1);
    }
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (me.listener[i].name != NULL && me.listener[i].kind == s->kind) {
            notify(s, "listener", me.listener[i].name, me.listener[i].fd[s->index]);
        }
    }
    for (size_t i = 0; i < me.slots; i++) {
        struct slot *other = &me.slot[i];
        if (other != s && other->pid > 0 && (is_linked(s->kind, other->kind) || is_linked(other->kind, s->kind))) {
            join(s, other);
        }
    }
}

/* ---- SIGHUP: those that read certificates are replaced, one after the other, so that the rest serves on ---- */

/* Who accepts a new issuer goes before who serves its list, and who issues by it comes last. */
static const enum bp_kind renewed[] = {BP_KIND_FRONT_DEVICE, BP_KIND_KEEPER, BP_KIND_SIGNER_CA};

static struct slot *renewed_slot(size_t at)
{
    for (size_t k = 0; k < sizeof renewed / sizeof renewed[0]; k++) {
        for (size_t i = 0; i < me.slots; i++) {
            if (me.slot[i].kind == renewed[k] && at-- == 0) {
                return &me.slot[i];
            }
        }
    }
    return NULL;
}

static bool is_in_turn(const struct slot *s)
{
    return me.is_renewing && renewed_slot(me.renew_at) == s;
}

static void renew(void)
{
    struct slot *s = renewed_slot(me.renew_at);
    if (s == NULL) {
        bp_timer_stop(me.renewing);
        me.is_renewing = false;
        say("the parent", "has replaced every process that reads certificates");
        if (me.is_asked_again) {
            me.is_asked_again = false;
            me.is_renewing = true;
            me.renew_at = 0;
            renew();
        }
        return;
    }
    notify(s, "end", NULL, -1); /* one that is not running reads what is new when it starts */
    if (bp_failed(bp_timer_start(me.renewing, END_MS))) {
        give_up_on(s);
    }
}

static void on_renewing_late(void *arg)
{
    (void)arg;
    struct slot *s = me.is_renewing ? renewed_slot(me.renew_at) : NULL;
    if (s != NULL && s->is_ready) {
        say(s->name, "does not end and is killed");
        give_up_on(s);
    }
}

static void on_hangup(void *arg)
{
    (void)arg;
    if (me.phase != PHASE_RUN || !me.was_ready) {
        return;
    }
    if (me.is_renewing) {
        me.is_asked_again = true;
        return;
    }
    const bp_result r = bp_sandbox_own(me.run->dir); /* what was added belongs to its process */
    if (bp_failed(r)) {
        say("the parent", "cannot give what is new to its process; nothing is replaced");
        return;
    }
    me.is_renewing = true;
    me.renew_at = 0;
    renew();
}

/* ---- in service ---- */

/* What runs is shown on the page. */
static void tell_readers(const struct slot *s, const char *op)
{
    for (size_t i = 0; i < me.slots; i++) {
        if (me.slot[i].kind == BP_KIND_READER && me.slot[i].pid > 0) {
            notify(&me.slot[i], op, s->name, -1);
        }
    }
}

static void announce(void)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (me.listener[i].name != NULL) {
            printf("listening %s %s:%u\n", me.listener[i].name, me.run->listen, (unsigned)me.listener[i].port);
        }
    }
    printf("ready\n");
    fflush(stdout);
}

static void look_whether_all_are_ready(void)
{
    for (size_t i = 0; i < me.slots; i++) {
        if (!me.slot[i].is_ready) {
            return;
        }
    }
    if (!me.was_ready) {
        me.was_ready = true;
        announce();
    }
}

/* End of file is the child's word that it is in service (or that it is gone, of which SIGCHLD tells). */
static void on_child_readable(void *arg)
{
    struct slot *s = arg;
    uint8_t byte;
    const ssize_t n = recv(s->fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    bp_watch_free(s->watch);
    s->watch = NULL;
    if (n != 0) {
        give_up_on(s); /* no child of ours sends bytes */
        return;
    }
    s->is_ready = true;
    tell_readers(s, "running");
    look_whether_all_are_ready();
    if (is_in_turn(s)) {
        me.renew_at++;
        renew();
    }
}

/* ---- starting ---- */

/* In the new process. Only what is safe between fork and exec. */
static void become(const struct slot *s, int fd, pid_t parent)
{
    char index[16], ppid[16], per_source[16], device[16], enrol[16], interval[16],
        exe[] = "/proc/self/exe", program[] = "bedplated", child[] = "--child";
    char kind[BP_PROC_NAME_MAX + 1], dir[BP_PROC_PATH_MAX];
    (void)snprintf(index, sizeof index, "%u", s->index);
    (void)snprintf(ppid, sizeof ppid, "%ld", (long)parent);
    (void)snprintf(per_source, sizeof per_source, "%u", me.run->per_source);
    (void)snprintf(device, sizeof device, "%u", (unsigned)me.listener[DEVICE].port);
    (void)snprintf(enrol, sizeof enrol, "%u", (unsigned)me.listener[ENROL].port);
    (void)snprintf(interval, sizeof interval, "%u", me.run->attest_interval_ms);
    (void)snprintf(kind, sizeof kind, "%s", bp_kind_name(s->kind));
    (void)snprintf(dir, sizeof dir, "%s", me.run->dir);
    char *const argv[] = {program, child, kind, index, ppid, per_source, device, enrol, interval, dir, NULL};
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    if (null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1) {
        _exit(BP_EXIT_INTERNAL);
    }
    /* dup2 onto itself would leave the descriptor close-on-exec. */
    if (fd == BP_PROC_FD_PARENT ? fcntl(fd, F_SETFD, 0) != 0 : dup2(fd, BP_PROC_FD_PARENT) != BP_PROC_FD_PARENT) {
        _exit(BP_EXIT_INTERNAL);
    }
    (void)close_range(BP_PROC_FD_PARENT + 1, ~0u, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) {
        _exit(BP_EXIT_INTERNAL);
    }
    execv(exe, argv);
    _exit(BP_EXIT_INTERNAL);
}

static void on_again(void *arg);

static void plan_again(struct slot *s)
{
    if (me.phase == PHASE_RUN && bp_failed(bp_timer_start(s->again, s->backoff_ms))) {
        say(s->name, "cannot be started again");
    }
    s->backoff_ms = s->backoff_ms >= BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

static bp_result start(struct slot *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return BP_FAIL(IO);
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        become(s, pair[1], parent);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return BP_FAIL(IO);
    }
    s->pid = pid;
    s->fd = pair[0];
    s->is_ready = false;
    s->started_ms = bp_mono_ms(&me.clock);
    const bp_result r = bp_watch_new(me.loop, s->fd, on_child_readable, s, &s->watch);
    if (bp_failed(r)) {
        give_up_on(s);
    }
    hand_out(s);
    return BP_OK;
}

static void on_again(void *arg)
{
    struct slot *s = arg;
    if (me.phase == PHASE_RUN && s->pid == 0 && bp_failed(start(s))) {
        plan_again(s);
    }
}

/* ---- ending ---- */

static void next_phase(void);

static bool is_any_left(enum phase phase)
{
    for (size_t i = 0; i < me.slots; i++) {
        if (me.slot[i].pid > 0 && (phase == PHASE_OVER || phase_of(me.slot[i].kind) == phase)) {
            return true;
        }
    }
    return false;
}

static void on_ending_late(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < me.slots; i++) {
        if (me.slot[i].pid > 0 && phase_of(me.slot[i].kind) <= me.phase) {
            say(me.slot[i].name, "does not end and is killed");
            give_up_on(&me.slot[i]);
        }
    }
}

static void next_phase(void)
{
    while (me.phase < PHASE_OVER && !is_any_left(me.phase)) {
        me.phase++;
        for (size_t i = 0; i < me.slots; i++) {
            if (me.slot[i].pid > 0 && phase_of(me.slot[i].kind) == me.phase) {
                notify(&me.slot[i], "end", NULL, -1);
            }
        }
        if (bp_failed(bp_timer_start(me.ending, END_MS))) {
            on_ending_late(NULL);
        }
    }
    if (me.phase == PHASE_OVER && !is_any_left(PHASE_OVER)) {
        bp_loop_stop(me.loop);
    }
}

static void on_end_signal(void *arg)
{
    (void)arg;
    if (me.phase != PHASE_RUN) {
        for (size_t i = 0; i < me.slots; i++) { /* asked twice: at once */
            give_up_on(&me.slot[i]);
        }
        return;
    }
    for (size_t i = 0; i < me.slots; i++) {
        bp_timer_stop(me.slot[i].again);
    }
    next_phase();
}

static void begin_end(int code)
{
    if (me.phase == PHASE_RUN) {
        me.exit_code = code;
        on_end_signal(NULL);
    }
}

static void ended(struct slot *s, int status)
{
    const bool was_ready = s->is_ready;
    bp_watch_free(s->watch);
    close(s->fd);
    s->watch = NULL;
    s->fd = -1;
    s->pid = 0;
    s->is_ready = false;
    if (me.phase != PHASE_RUN) {
        next_phase();
        return;
    }
    tell_readers(s, "gone");
    if (is_in_turn(s) && was_ready && WIFEXITED(status) && WEXITSTATUS(status) == BP_EXIT_OK) {
        if (bp_failed(start(s))) {
            plan_again(s);
        }
        return;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "bedplated: %s ended by signal %d\n", s->name, WTERMSIG(status));
    } else {
        fprintf(stderr, "bedplated: %s ended with code %d\n", s->name, WEXITSTATUS(status));
    }
    if (!me.was_ready && ++s->early_ends >= START_TRIES) {
        say(s->name, "cannot be started; the server ends");
        begin_end(BP_EXIT_INTERNAL);
        return;
    }
    if (was_ready && bp_mono_ms(&me.clock) - s->started_ms >= STEADY_MS) {
        s->backoff_ms = BACKOFF_MIN_MS;
    }
    plan_again(s);
}

static void on_child_signal(void *arg)
{
    int status = 0;
    pid_t pid;
    (void)arg;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < me.slots; i++) {
            if (me.slot[i].pid == pid) {
                ended(&me.slot[i], status);
                break;
            }
        }
    }
}

/* ---- setting up ---- */

static bp_result add_slots(enum bp_kind kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (me.slots == SLOTS_MAX) {
            return BP_FAIL(LIMIT);
        }
        struct slot *s = &me.slot[me.slots++];
        *s = (struct slot){.kind = kind, .index = i, .fd = -1, .backoff_ms = BACKOFF_MIN_MS};
        bp_kind_process(kind, i, s->name);
        BP_TRY(bp_timer_new(me.loop, on_again, s, &s->again));
    }
    return BP_OK;
}

/* Shared ports are shared with anyone of our user: a second server on the port must be told, not joined. */
static bool is_taken(const char *addr, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const bool is_v4 = inet_pton(AF_INET, addr, &in.sin_addr) == 1;
    const int on = 1;
    if (port == 0 || (!is_v4 && inet_pton(AF_INET6, addr, &in6.sin6_addr) != 1)) {
        return false;
    }
    const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *sa = is_v4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6;
    const bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                       bind(fd, sa, is_v4 ? sizeof in : sizeof in6) != 0 && errno == EADDRINUSE;
    if (fd >= 0) {
        close(fd);
    }
    return taken;
}

/* One socket a worker on one port: the kernel spreads connections, and a worker that was replaced finds what waited. */
static bp_result add_listener(size_t at, const char *name, enum bp_kind kind, uint16_t port, unsigned workers)
{
    me.listener[at].name = name;
    me.listener[at].kind = kind;
    for (unsigned i = 0; i < workers; i++) {
        const bp_result r = i == 0 && is_taken(me.run->listen, port)
                                ? BP_FAIL(EXISTS)
                                : bp_listen(me.run->listen, port, &me.listener[at].fd[i], &port);
        if (bp_failed(r)) {
            fprintf(stderr, "bedplated: the %s listener cannot be opened on %s port %u: %s\n", name, me.run->listen,
                    (unsigned)port, bp_error_text(bp_error_of(r)));
            return r;
        }
    }
    me.listener[at].port = port;
    return BP_OK;
}

static bp_result set_up(void)
{
    const unsigned workers = me.run->workers;
    if (workers == 0 || workers > WORKERS_MAX || me.run->readers == 0 || me.run->readers > WORKERS_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(add_listener(DEVICE, "device", BP_KIND_FRONT_DEVICE, me.run->device_port, workers));
    /* A device that comes again meets the front that knows its TLS session. */
    if (workers > 1 && bp_failed(bp_steer_by_source(me.listener[DEVICE].fd[0], workers))) {
        say("the parent", "cannot keep a device at one front: the kernel does not; fewer TLS sessions are resumed");
    }
    BP_TRY(add_listener(ENROL, "enrol", BP_KIND_FRONT_DEVICE, me.run->enrol_port, workers));
    BP_TRY(add_listener(2, "operate", BP_KIND_FRONT_OPERATE, me.run->operate_port, 1));
    BP_TRY(add_listener(3, "status", BP_KIND_FRONT_DEVICE, me.run->status_port, workers));
    /* Who is asked before who asks. */
    BP_TRY(add_slots(BP_KIND_SIGNER_TLS, 1));
    BP_TRY(add_slots(BP_KIND_SIGNER_LOG, 1));
    BP_TRY(add_slots(BP_KIND_SIGNER_CA, 1));
    BP_TRY(add_slots(BP_KIND_APPRAISER, workers));
    BP_TRY(add_slots(BP_KIND_KEEPER, 1));
    BP_TRY(add_slots(BP_KIND_READER, me.run->readers));
    BP_TRY(add_slots(BP_KIND_FRONT_DEVICE, workers));
    return add_slots(BP_KIND_FRONT_OPERATE, 1);
}

static bp_result serve(void)
{
    struct bp_signal *term = NULL, *interrupt = NULL, *child = NULL, *hangup = NULL;
    BP_TRY(bp_loop_new(&me.loop));
    bp_result r = bp_timer_new(me.loop, on_ending_late, NULL, &me.ending);
    if (!bp_failed(r)) {
        r = bp_timer_new(me.loop, on_renewing_late, NULL, &me.renewing);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(me.loop, SIGHUP, on_hangup, NULL, &hangup);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(me.loop, SIGTERM, on_end_signal, NULL, &term);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(me.loop, SIGINT, on_end_signal, NULL, &interrupt);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(me.loop, SIGCHLD, on_child_signal, NULL, &child);
    }
    if (!bp_failed(r)) {
        r = set_up();
    }
    for (size_t i = 0; i < me.slots && !bp_failed(r); i++) {
        r = start(&me.slot[i]);
    }
    if (!bp_failed(r)) {
        r = bp_loop_run(me.loop);
    }
    for (size_t i = 0; i < me.slots; i++) {
        give_up_on(&me.slot[i]);
        bp_watch_free(me.slot[i].watch);
        bp_timer_free(me.slot[i].again);
    }
    bp_signal_free(hangup);
    bp_signal_free(child);
    bp_signal_free(interrupt);
    bp_signal_free(term);
    bp_timer_free(me.renewing);
    bp_timer_free(me.ending);
    bp_loop_free(me.loop);
    return r;
}

int bp_parent_run(const struct bp_run *run)
{
    me.run = run;
    me.clock = bp_clock_linux();
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        (BP_FENCE_WANTED(BP_FENCE_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)) {
        say("the parent", "cannot be closed to other processes");
        return BP_EXIT_INTERNAL;
    }
    bp_result r = bp_sandbox_own(run->dir);
    if (bp_failed(r)) {
        fprintf(stderr, "bedplated: the parts of %s cannot be given to their processes: %s\n", run->dir,
                bp_error_text(bp_error_of(r)));
        return BP_EXIT_INTERNAL;
    }
    r = serve();
    return bp_failed(r) ? BP_EXIT_INTERNAL : me.exit_code;
}
