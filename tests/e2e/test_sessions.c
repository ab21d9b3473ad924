/* SPDX-License-Identifier: Apache-2.0 */
/* Many held sessions: one server process, one client process, TLS 1.3 with a device certificate (leaf only). Each
 * session passes one object that must come back unchanged, stays open, and then all of them hold a request at once.
 * The server's private memory per session is printed. 1,000 sessions, or 10,000 when BP_FULL is "yes". */
#include "unit/net/fixture.h"

#include <stdlib.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "harness.h"

#define SESSIONS_MAX 10000u
#define AT_ONCE      32u
#define TARGET_KIB   25.0

static void no_cancel(void *arg)
{
    (void)arg;
}

static void handle(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    (void)self;
    if (rq->peer == NULL) {
        BP_IGNORE(bp_respond(rs, 403, NULL, 0, BP_SPAN_EMPTY), "the connection is gone or told");
    } else if (rq->http->method == BP_HTTP_GET) {
        bp_hold(rs, no_cancel, NULL);
    } else {
        BP_IGNORE(bp_respond(rs, 200, NULL, 0, bp_http_body(rq->http)), "the client notices");
    }
}

static void raise_limit(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
}

/* Private memory of a process in KiB; 0 when it cannot be told. */
static long private_kib(int pid)
{
    char path[64], line[256];
    long sum = 0, kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "Private_Clean: %ld", &kib) == 1 || sscanf(line, "Private_Dirty: %ld", &kib) == 1) {
            sum += kib;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return sum;
}

static void serve(int lfd)
{
    struct bp_loop *loop = NULL;
    struct bp_server *s = NULL;
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_REQUIRED, false, NULL, NULL);
    const struct bp_server_spec spec = {
        .tls = tls, .handle = handle,
        .limits = {.conns_per_source = 20000, .idle_ms = 600000, .hold_ms = 600000, .handshake_ms = 60000}};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!bp_failed(bp_loop_new(&loop)) && !bp_failed(bp_server_new(loop, lfd, &spec, &s))) {
        BP_IGNORE(bp_loop_run(loop), "ended by a signal");
    }
    _exit(1);
}

static struct session {
    struct bp_client *client;
    char object[64];
    bool echoed;
} sessions[SESSIONS_MAX];
static unsigned wanted, begun, answered, good;
static struct bp_tls *client_tls;
static uint16_t port;

static void begin_next(void);

static void on_answer(void *arg, bp_result r, const struct bp_http *http)
{
    struct session *s = arg;
    answered++;
    s->echoed = !bp_failed(r) && http->status == 200 && bp_span_equal(bp_http_body(http), bp_span_cstr(s->object));
    good += s->echoed;
    if (!s->echoed && answered - good < 3) {
        printf("# session: %s, %s\n", bp_error_name(bp_error_of(r)), bp_client_trace(s->client));
    }
    begin_next();
}

static void on_never(void *arg, bp_result r, const struct bp_http *http)
{
    (void)arg;
    (void)r;
    (void)http;
    good = 0; /* a held request must not end by itself */
}

static void begin_next(void)
{
    if (begun == wanted) {
        return;
    }
    const unsigned i = begun++;
    struct session *s = &sessions[i];
    const struct bp_client_spec spec = {.tls = client_tls, .host = "localhost", .connect_host = "127.0.0.1",
                                        .port = port, .connect_ms = 60000, .total_ms = 600000};
    snprintf(s->object, sizeof s->object, "object of session %u", i);
    const struct bp_client_request rq = {
        .method = BP_HTTP_POST, .target = "/echo", .body = bp_span_cstr(s->object)};
    if (bp_failed(bp_client_new(fx_loop(), &spec, &s->client)) ||
        bp_failed(bp_client_send(s->client, &rq, on_answer, s))) {
        answered++;
    }
}

static bool all_answered(void *arg)
{
    (void)arg;
    return answered == wanted;
}

static double per_session(int pid, long before)
{
    return (double)(private_kib(pid) - before) / wanted;
}

BP_CASE(sessions_are_held_and_small)
{
    int lfd = -1;
    const char *full = getenv("BP_FULL");
    wanted = full != NULL && strcmp(full, "yes") == 0 ? SESSIONS_MAX : 1000;
    raise_limit();
    (void)fx_pki();
    BP_NEED(!bp_failed(bp_listen("127.0.0.1", 0, &lfd, &port)));
    const int pid = fork();
    if (pid == 0) {
        serve(lfd);
    }
    close(lfd);
    client_tls = fx_client_tls(&fx_pki()->device, false);
    /* One session first, so that what is allocated once does not count as a session's. */
    const unsigned all = wanted;
    wanted = 1;
    begin_next();
    BP_NEED(fx_until(all_answered, NULL, 10000) && good == 1);
    bp_client_free(sessions[0].client);
    fx_run(50);
    wanted = all;
    begun = answered = good = 0;
    const long before = private_kib(pid);
    BP_CHECK(before > 0);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        begin_next();
    }
    BP_CHECK(fx_until(all_answered, NULL, 110000));
    BP_CHECK(good == wanted);
    const double kept = per_session(pid, before);
    const struct bp_client_request hold = {.method = BP_HTTP_GET, .target = "/hold"};
    for (unsigned i = 0; i < wanted; i++) {
        BP_CHECK(bp_client_is_connected(sessions[i].client));
        BP_CHECK(!bp_failed(bp_client_send(sessions[i].client, &hold, on_never, NULL)));
    }
    fx_run(500 + wanted / 5);
    BP_CHECK(good == wanted);
    const double held = per_session(pid, before);
    printf("# session.rss: %u sessions, %.1f KiB each kept, %.1f KiB each with a held request (target %.0f)\n", wanted,
           kept, held, TARGET_KIB);
    BP_CHECK(kept > 1 && kept <= TARGET_KIB && held <= TARGET_KIB);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

BP_SUITE(sessions, BP_RUN(sessions_are_held_and_small))
