/* SPDX-License-Identifier: Apache-2.0 */
/* The server's promises: what a client may do to it, and what it may not. tests/mutants/net.tsv plants the defects
 * that these cases must catch. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "harness.h"

#define REQ(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* SSL_new is wrapped by the linker, so that it can be made to fail. */
static bool ssl_new_fails;
SSL *__real_SSL_new(SSL_CTX *ctx);
SSL *__wrap_SSL_new(SSL_CTX *ctx);
SSL *__wrap_SSL_new(SSL_CTX *ctx)
{
    return ssl_new_fails ? NULL : __real_SSL_new(ctx);
}

static struct app {
    struct bp_server *server;
    uint16_t port;
    struct bp_responder *held;
    unsigned handled, cancelled;
    size_t body_max;
    struct bp_tls_peer peer;
    bool has_peer;
} app;

static void cancelled(void *arg)
{
    struct app *a = arg;
    a->cancelled++;
    a->held = NULL;
}

static size_t body_max(void *self, const struct bp_http *head)
{
    (void)head;
    return ((struct app *)self)->body_max;
}

static bool is_path(const struct bp_request *rq, const char *path)
{
    return bp_span_equal(bp_http_path(rq->http), bp_span_cstr(path));
}

static void handle(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    struct app *a = self;
    const struct bp_http_header sse = {"Content-Type", BP_SPAN_STR("text/event-stream")};
    static uint8_t big[400000];
    a->handled++;
    a->has_peer = rq->peer != NULL;
    if (rq->peer != NULL) {
        a->peer = *rq->peer;
    }
    if (is_path(rq, "/hold")) {
        a->held = rs;
        bp_hold(rs, cancelled, a);
    } else if (is_path(rq, "/stream")) {
        a->held = rs;
        BP_CHECK(!bp_failed(bp_stream_begin(rs, 200, &sse, 1, cancelled, a)));
    } else if (is_path(rq, "/echo")) {
        BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, bp_http_body(rq->http))));
    } else if (is_path(rq, "/big")) {
        memset(big, 'b', sizeof big);
        BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, BP_SPAN_OF(big))));
    } else if (is_path(rq, "/none")) {
        return;
    } else if (is_path(rq, "/204")) {
        BP_CHECK(!bp_failed(bp_respond(rs, 204, NULL, 0, BP_SPAN_EMPTY)));
    } else if (is_path(rq, "/inject")) {
        const struct bp_http_header bad = {"X", BP_SPAN_STR("a\r\nb: c")};
        BP_CHECK(bp_is(bp_respond(rs, 200, &bad, 1, BP_SPAN_EMPTY), BP_E_BAD_ARGUMENT));
    } else {
        BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, bp_http_target(rq->http))));
    }
}

static bool begin(struct bp_tls *tls, const struct bp_server_limits *limits)
{
    int fd = -1;
    app = (struct app){.body_max = 1024};
    struct bp_server_spec spec = {.tls = tls, .self = &app, .body_max = body_max, .handle = handle};
    if (limits != NULL) {
        spec.limits = *limits;
    }
    return BP_CHECK(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &app.port))) && BP_CHECK(app.port != 0) &&
           BP_CHECK(!bp_failed(bp_server_new(fx_loop(), fd, &spec, &app.server)));
}

static void end(void)
{
    bp_server_free(app.server);
    fx_run(1);
}

static const struct bp_server_stats *stats(void)
{
    return bp_server_stats_of(app.server);
}

static bool is_held(void *arg)
{
    (void)arg;
    return app.held != NULL;
}

static bool is_cancelled(void *arg)
{
    (void)arg;
    return app.cancelled > 0;
}

static bool is_empty(void *arg)
{
    (void)arg;
    return stats()->conns == 0;
}

static unsigned times_in(const char *text, const char *needle)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, needle)) != NULL; p++) {
        n++;
    }
    return n;
}

BP_CASE(keeps_connection)
{
    struct fx_got got = {0};
    BP_NEED(begin(NULL, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/a"));
    BP_CHECK(fx_expect(fd, NULL, &got, "\r\n\r\n/a", 2000));
    fx_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    BP_CHECK(fx_expect(fd, NULL, &got, "\r\n\r\nabc", 2000));
    fx_send(fd, "HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n" REQ("/204") REQ("/c"));
    BP_CHECK(fx_expect(fd, NULL, &got, "\r\n\r\n/c", 2000));
    BP_CHECK(strstr(got.text, "\r\n\r\n/b") == NULL && strstr(got.text, "204 No Content") != NULL);
    fx_send(fd, "GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    BP_CHECK(fx_expect(fd, NULL, &got, "\r\n\r\n/d", 2000) && fx_expect(fd, NULL, &got, NULL, 2000));
    BP_CHECK(stats()->requests == 6 && stats()->accepted == 1);
    close(fd);
    BP_CHECK(fx_until(is_empty, NULL, 2000));
    end();
}

BP_CASE(continue_is_said_once_and_only_for_what_is_taken)
{
    struct fx_got got = {0}, got2 = {0};
    BP_NEED(begin(NULL, NULL));
    int fd = fx_dial(app.port);
    fx_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    BP_CHECK(fx_expect(fd, NULL, &got, "100 Continue\r\n\r\n", 2000));
    fx_send(fd, "body");
    BP_CHECK(fx_expect(fd, NULL, &got, "\r\n\r\nbody", 2000) && times_in(got.text, "100 Continue") == 1);
    close(fd);
    fd = fx_dial(app.port);
    fx_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\nExpect: 100-continue\r\n\r\n");
    BP_CHECK(fx_expect(fd, NULL, &got2, "413 ", 2000) && times_in(got2.text, "100 Continue") == 0);
    close(fd);
    end();
}

BP_CASE(handler_that_forgets_is_500)
{
    struct fx_got got = {0}, got2 = {0};
    BP_NEED(begin(NULL, NULL));
    int fd = fx_dial(app.port);
    fx_send(fd, REQ("/none"));
    BP_CHECK(fx_expect(fd, NULL, &got, "HTTP/1.1 500 ", 2000));
    close(fd);
    fd = fx_dial(app.port);
    fx_send(fd, REQ("/inject"));
    BP_CHECK(fx_expect(fd, NULL, &got2, "HTTP/1.1 500 ", 2000) && strstr(got2.text, "b: c") == NULL);
    close(fd);
    end();
}

/* Guard 1 */
BP_CASE(client_that_left_is_noticed_while_held)
{
    BP_NEED(begin(NULL, NULL));
    for (int reset = 0; reset < 2; reset++) {
        app.cancelled = 0;
        const int fd = fx_dial(app.port);
        fx_send(fd, REQ("/hold"));
        BP_NEED(fx_until(is_held, NULL, 2000));
        if (reset == 1) {
            const struct linger l = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        }
        close(fd);
        BP_CHECK(fx_until(is_cancelled, NULL, 2000) && app.cancelled == 1 && stats()->conns == 0);
    }
    end();
}

BP_CASE(client_that_left_is_noticed_while_held_over_tls)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_REQUIRED, false, NULL, NULL);
    struct bp_tls *ctls = fx_client_tls(&fx_pki()->device, false);
    BP_NEED(begin(tls, NULL));
    for (int polite = 0; polite < 2; polite++) {
        app.cancelled = 0;
        const int fd = fx_dial(app.port);
        SSL *ssl = fx_tls(fd, ctls, "localhost");
        BP_NEED(ssl != NULL);
        SSL_write(ssl, REQ("/hold"), (int)strlen(REQ("/hold")));
        BP_NEED(fx_until(is_held, NULL, 2000));
        if (polite == 1) {
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
        BP_CHECK(fx_until(is_cancelled, NULL, 2000) && app.cancelled == 1 && stats()->conns == 0);
    }
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

/* Guard 2 */
BP_CASE(pipelined_requests_wait_and_keep_order)
{
    struct fx_got got = {0};
    BP_NEED(begin(NULL, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/hold") REQ("/one"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    fx_send(fd, REQ("/two"));
    BP_CHECK(!fx_expect(fd, NULL, &got, "HTTP", 50));
    BP_CHECK(app.handled == 1);
    BP_CHECK(!bp_failed(bp_respond(app.held, 200, NULL, 0, BP_SPAN_STR("/held"))));
    BP_CHECK(fx_expect(fd, NULL, &got, "/two", 2000));
    const char *a = strstr(got.text, "/held"), *b = strstr(got.text, "/one"), *c = strstr(got.text, "/two");
    BP_CHECK(a != NULL && b != NULL && c != NULL && a < b && b < c && app.handled == 3);
    close(fd);
    end();
}

BP_CASE(pipelined_bytes_have_a_ceiling)
{
    const struct bp_server_limits limits = {.pipeline_max = 4096};
    static char junk[3000];
    BP_NEED(begin(NULL, &limits));
    const int fd = fx_dial(app.port);
    memset(junk, 'x', sizeof junk - 1);
    fx_send(fd, REQ("/hold"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    fx_send(fd, junk);
    fx_run(20);
    BP_CHECK(app.cancelled == 0);
    fx_send(fd, junk);
    BP_CHECK(fx_until(is_cancelled, NULL, 2000) && stats()->cut_pipeline == 1 && stats()->conns == 0);
    close(fd);
    end();
}

/* Guard 3 */
BP_CASE(no_tls_object_no_connection)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL);
    struct fx_got got = {0};
    BP_NEED(begin(tls, NULL));
    ssl_new_fails = true;
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/a"));
    BP_CHECK(fx_expect(fd, NULL, &got, NULL, 2000));
    ssl_new_fails = false;
    BP_CHECK(got.n == 0 && app.handled == 0 && stats()->refused_tls == 1 && stats()->conns == 0);
    close(fd);
    end();
    bp_tls_free(tls);
}

BP_CASE(plain_text_on_the_tls_port_is_not_answered)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL);
    struct fx_got got = {0};
    BP_NEED(begin(tls, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/a"));
    BP_CHECK(fx_expect(fd, NULL, &got, NULL, 2000));
    BP_CHECK(strstr(got.text, "HTTP") == NULL && app.handled == 0 && stats()->handshakes_failed == 1);
    close(fd);
    end();
    bp_tls_free(tls);
}

/* Guard 4 */
BP_CASE(listener_pauses_below_the_descriptor_limit_and_resumes)
{
    struct rlimit old, low;
    int fds[40];
    struct fx_got got = {0};
    static struct fx_got late;
    BP_NEED(begin(NULL, NULL));
    BP_NEED(getrlimit(RLIMIT_NOFILE, &old) == 0);
    /* The clients' descriptors are in this process too, dialled before the server takes its own. */
    for (int i = 0; i < 40; i++) {
        fds[i] = fx_dial(app.port);
        BP_NEED(fds[i] >= 0);
    }
    low = old;
    low.rlim_cur = (rlim_t)fds[39] + 1 + 64 + 10;
    BP_NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
    fx_run(500);
    BP_CHECK(stats()->conns >= 8 && stats()->conns <= 10);
    BP_CHECK(stats()->paused >= 1 && stats()->paused <= 3); /* no spinning */
    fx_send(fds[0], REQ("/first"));
    BP_CHECK(fx_expect(fds[0], NULL, &got, "/first", 2000));
    fx_send(fds[39], REQ("/last"));
    for (int i = 0; i < 39; i++) {
        close(fds[i]);
    }
    BP_CHECK(fx_expect(fds[39], NULL, &late, "/last", 5000));
    BP_CHECK(bp_loop_complaints() == 0);
    close(fds[39]);
    BP_CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    end();
}

BP_CASE(connections_have_a_ceiling)
{
    const struct bp_server_limits limits = {.conns_max = 3};
    struct fx_got got = {0};
    int fds[6];
    BP_NEED(begin(NULL, &limits));
    for (int i = 0; i < 6; i++) {
        fds[i] = fx_dial(app.port);
    }
    fx_run(100);
    BP_CHECK(stats()->conns == 3 && stats()->accepted == 3 && stats()->paused <= 2);
    fx_send(fds[5], REQ("/x"));
    BP_CHECK(!fx_expect(fds[5], NULL, &got, "/x", 50));
    close(fds[0]);
    close(fds[1]);
    close(fds[2]);
    BP_CHECK(fx_expect(fds[5], NULL, &got, "/x", 2000));
    for (int i = 3; i < 6; i++) {
        close(fds[i]);
    }
    end();
}

BP_CASE(connections_of_a_source_have_a_ceiling)
{
    const struct bp_server_limits limits = {.conns_per_source = 2};
    struct fx_got got = {0}, got2 = {0};
    BP_NEED(begin(NULL, &limits));
    const int a = fx_dial(app.port), b = fx_dial(app.port), c = fx_dial(app.port);
    BP_CHECK(fx_expect(c, NULL, &got, NULL, 2000) && got.n == 0);
    BP_CHECK(stats()->conns == 2 && stats()->refused_source == 1);
    close(a);
    fx_run(20);
    const int d = fx_dial(app.port);
    fx_send(d, REQ("/x"));
    BP_CHECK(fx_expect(d, NULL, &got2, "/x", 2000));
    close(b);
    close(c);
    close(d);
    end();
}

/* Guard 5: the parser's table says what; here, that a refusal is answered, ends the connection, reaches no handler and
 * leaves nothing of what follows to be read as a request. */
static void refusals_end_the_connection(void)
{
    static const struct {
        const char *name, *bytes, *status;
    } rows[] = {
        {"length_twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400"},
        {"length_signed", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", "400"},
        {"length_and_chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
        {"name_blank", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"bare_lf", "GET / HTTP/1.1\nHost: a\n\n", "400"},
        {"fold", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "400"},
        {"no_host", "GET / HTTP/1.1\r\n\r\n", "400"},
        {"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
        {"expect", "GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", "417"},
        {"http_1_0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "505"},
        {"absolute", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"body_long", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n", "413"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fx_got got = {0};
        char name[64];
        bp_case_begin();
        if (begin(NULL, NULL)) {
            const int fd = fx_dial(app.port);
            fx_send(fd, rows[i].bytes);
            fx_send(fd, REQ("/smuggled"));
            BP_CHECK(fx_expect(fd, NULL, &got, NULL, 3000));
            BP_CHECK(got.n > 12 && memcmp(got.text + 9, rows[i].status, 3) == 0);
            BP_CHECK(strstr(got.text, "Connection: close") != NULL && times_in(got.text, "HTTP/1.1 ") == 1);
            BP_CHECK(app.handled == 0 && stats()->refused_http == 1);
            close(fd);
            end();
        }
        snprintf(name, sizeof name, "refused_then_closed_%s", rows[i].name);
        bp_case_end(name);
    }
}

/* Guard 6: both ends are in this process; every connected TCP socket of it must have the option set. */
static unsigned sockets_without_nodelay(unsigned *ret_seen)
{
    unsigned bad = 0;
    *ret_seen = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof peer;
        int on = 0;
        socklen_t on_n = sizeof on;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
            getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &on_n) == 0) {
            (*ret_seen)++;
            bad += on == 0;
        }
    }
    return bad;
}

static void answered(void *arg, bp_result r, const struct bp_http *http)
{
    *(int *)arg = !bp_failed(r) && http != NULL && http->status == 200 ? 1 : -1;
}

static bool is_set(void *arg)
{
    return *(int *)arg != 0;
}

BP_CASE(no_delay_on_both_ends)
{
    struct bp_client *client = NULL;
    int done = 0;
    unsigned seen = 0;
    BP_NEED(begin(NULL, NULL));
    const struct bp_client_spec spec = {.host = "127.0.0.1", .port = app.port};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/x"};
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &client)));
    BP_CHECK(!bp_failed(bp_client_send(client, &rq, answered, &done)));
    BP_CHECK(fx_until(is_set, &done, 2000) && done == 1);
    BP_CHECK(sockets_without_nodelay(&seen) == 0 && seen == 2);
    bp_client_free(client);
    end();
}

/* Guard 7 */
BP_CASE(slow_reader_of_a_stream_is_cut)
{
    const struct bp_server_limits limits = {.queue_max = 65536};
    static uint8_t piece[8192];
    size_t sent = 0;
    bp_result r = BP_OK;
    BP_NEED(begin(NULL, &limits));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/stream"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    memset(piece, 'p', sizeof piece);
    while (sent < (64u << 20) && app.held != NULL) {
        r = bp_stream_send(app.held, BP_SPAN_OF(piece));
        if (bp_failed(r)) {
            break;
        }
        sent += sizeof piece;
        fx_run(0);
    }
    BP_CHECK(bp_is(r, BP_E_LIMIT));
    BP_CHECK(fx_until(is_cancelled, NULL, 2000) && stats()->cut_slow == 1 && stats()->conns == 0);
    close(fd);
    end();
}

BP_CASE(slow_reader_of_an_answer_is_cut)
{
    const struct bp_server_limits limits = {.write_ms = 50};
    const int small = 4096;
    static char many[40 * sizeof REQ("/big")];
    BP_NEED(begin(NULL, &limits));
    const int fd = fx_dial(app.port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (size_t i = 0; i < 40; i++) {
        memcpy(many + i * (sizeof REQ("/big") - 1), REQ("/big"), sizeof REQ("/big") - 1);
    }
    fx_send(fd, many);
    BP_CHECK(!fx_until(is_empty, NULL, 20));
    BP_CHECK(fx_until(is_empty, NULL, 3000) && stats()->cut_slow == 1);
    BP_CHECK(app.handled < 40); /* answers wait for the reader, they do not pile up */
    close(fd);
    end();
}

BP_CASE(stream_reaches_its_reader)
{
    struct fx_got got = {0};
    BP_NEED(begin(NULL, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/stream"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    BP_CHECK(!bp_failed(bp_stream_send(app.held, BP_SPAN_STR("data: 1\n\n"))));
    BP_CHECK(fx_expect(fd, NULL, &got, "9\r\ndata: 1\n\n\r\n", 2000));
    BP_CHECK(strstr(got.text, "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n") != NULL);
    bp_stream_end(app.held);
    BP_CHECK(fx_expect(fd, NULL, &got, "0\r\n\r\n", 2000) && fx_expect(fd, NULL, &got, NULL, 2000));
    BP_CHECK(app.cancelled == 0);
    close(fd);
    end();
}

BP_CASE(stream_reader_that_left_is_noticed)
{
    BP_NEED(begin(NULL, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/stream"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    close(fd);
    BP_CHECK(fx_until(is_cancelled, NULL, 2000) && stats()->conns == 0);
    end();
}

static void every_state_has_a_time(void)
{
    static const struct {
        const char *name, *bytes, *answer;
        struct bp_server_limits limits;
        bool tls;
    } rows[] = {
        {"idle", "", "", {.idle_ms = 50}, false},
        {"idle_after_request", REQ("/x"), "/x", {.idle_ms = 50}, false},
        {"head", "GET / HT", "HTTP/1.1 408 ", {.head_ms = 50}, false},
        {"body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", "HTTP/1.1 408 ", {.body_ms = 50}, false},
        {"hold", REQ("/hold"), "HTTP/1.1 503 ", {.hold_ms = 50}, false},
        {"handshake", "", "", {.handshake_ms = 50}, true},
    };
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, false, NULL, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fx_got got = {0};
        char name[64];
        bp_case_begin();
        if (begin(rows[i].tls ? tls : NULL, &rows[i].limits)) {
            const int fd = fx_dial(app.port);
            fx_send(fd, rows[i].bytes);
            BP_CHECK(fx_expect(fd, NULL, &got, NULL, 3000));
            BP_CHECK(strstr(got.text, rows[i].answer) != NULL);
            close(fd);
            BP_CHECK(fx_until(is_empty, NULL, 3000));
            end();
        }
        snprintf(name, sizeof name, "time_over_%s", rows[i].name);
        bp_case_end(name);
    }
    bp_tls_free(tls);
}

BP_CASE(peer_is_told_and_cut_by_its_key)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_REQUIRED, false, NULL, NULL);
    struct bp_tls *ctls = fx_client_tls(&fx_pki()->device, false), *ctls2 = fx_client_tls(&fx_pki()->device2, false);
    struct fx_got got = {0}, got2 = {0};
    BP_NEED(begin(tls, NULL));
    const int fd = fx_dial(app.port), fd2 = fx_dial(app.port);
    SSL *ssl = fx_tls(fd, ctls, "localhost"), *ssl2 = fx_tls(fd2, ctls2, "localhost");
    BP_NEED(ssl != NULL && ssl2 != NULL);
    SSL_write(ssl, REQ("/hold"), (int)strlen(REQ("/hold")));
    BP_NEED(fx_until(is_held, NULL, 2000));
    BP_CHECK(app.has_peer && app.peer.serial_n > 0 && app.peer.ca == 0);
    BP_CHECK(bp_server_cut(app.server, BP_SPAN_OF(app.peer.spki_sha256)) == 1 && app.cancelled == 1);
    BP_CHECK(fx_expect(fd, ssl, &got, NULL, 2000));
    SSL_write(ssl2, REQ("/y"), (int)strlen(REQ("/y")));
    BP_CHECK(fx_expect(fd2, ssl2, &got2, "/y", 2000));
    SSL_free(ssl);
    SSL_free(ssl2);
    close(fd);
    close(fd2);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
    bp_tls_free(ctls2);
}

BP_CASE(freeing_cancels_what_is_held)
{
    BP_NEED(begin(NULL, NULL));
    const int fd = fx_dial(app.port);
    fx_send(fd, REQ("/hold"));
    BP_NEED(fx_until(is_held, NULL, 2000));
    end();
    BP_CHECK(app.cancelled == 1);
    close(fd);
}

BP_CASE(port_taken_and_bad_address)
{
    int fd = -1, fd2 = -1;
    uint16_t port = 0, port2 = 0;
    BP_CHECK(bp_is(bp_listen("localhost", 0, &fd, &port), BP_E_BAD_ARGUMENT));
    BP_NEED(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &port)));
    BP_CHECK(!bp_failed(bp_listen("127.0.0.1", port, &fd2, &port2)) && port2 == port); /* shared on purpose */
    close(fd2);
    close(fd);
    BP_CHECK(!bp_failed(bp_listen("::1", 0, &fd, &port)) && port != 0);
    close(fd);
}

BP_SUITE(server, BP_RUN(keeps_connection) BP_RUN(continue_is_said_once_and_only_for_what_is_taken)
    BP_RUN(handler_that_forgets_is_500) BP_RUN(client_that_left_is_noticed_while_held)
    BP_RUN(client_that_left_is_noticed_while_held_over_tls) BP_RUN(pipelined_requests_wait_and_keep_order)
    BP_RUN(pipelined_bytes_have_a_ceiling) BP_RUN(no_tls_object_no_connection)
    BP_RUN(plain_text_on_the_tls_port_is_not_answered)
    BP_RUN(listener_pauses_below_the_descriptor_limit_and_resumes) BP_RUN(connections_have_a_ceiling)
    BP_RUN(connections_of_a_source_have_a_ceiling) BP_TABLE(refusals_end_the_connection)
    BP_RUN(no_delay_on_both_ends) BP_RUN(slow_reader_of_a_stream_is_cut) BP_RUN(slow_reader_of_an_answer_is_cut)
    BP_RUN(stream_reaches_its_reader) BP_RUN(stream_reader_that_left_is_noticed) BP_TABLE(every_state_has_a_time)
    BP_RUN(peer_is_told_and_cut_by_its_key) BP_RUN(freeing_cancels_what_is_held) BP_RUN(port_taken_and_bad_address))
