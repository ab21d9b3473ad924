/* SPDX-License-Identifier: Apache-2.0 */
/* The client against our own server and against servers that misbehave. */
#include "fixture.h"

#include <stdlib.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "harness.h"

struct outcome {
    unsigned times;
    bp_result r;
    unsigned status;
    char body[64];
};

static void answered(void *arg, bp_result r, const struct bp_http *http)
{
    struct outcome *o = arg;
    o->times++;
    o->r = r;
    o->status = http != NULL ? http->status : 0;
    if (http != NULL && bp_http_body(http).n < sizeof o->body) {
        memcpy(o->body, bp_http_body(http).p != NULL ? bp_http_body(http).p : (const uint8_t *)"", bp_http_body(http).n);
        o->body[bp_http_body(http).n] = '\0';
    }
}

static bool is_answered(void *arg)
{
    return ((struct outcome *)arg)->times > 0;
}

/* A listener whose next connection is answered with fixed bytes, then closed. */
struct script {
    int lfd;
    uint16_t port;
    const char *bytes;
    int fd;
    struct bp_watch *watch, *conn;
};

static void reply(void *arg)
{
    struct script *s = arg;
    char in[1024];
    if (recv(s->fd, in, sizeof in, 0) > 0) {
        BP_CHECK(send(s->fd, s->bytes, strlen(s->bytes), MSG_NOSIGNAL) >= 0);
    }
    bp_watch_free(s->conn);
    s->conn = NULL;
    close(s->fd);
}

static void play(void *arg)
{
    struct script *s = arg;
    s->fd = accept(s->lfd, NULL, NULL);
    BP_CHECK(s->fd >= 0 && !bp_failed(bp_watch_new(fx_loop(), s->fd, reply, s, &s->conn)));
}

static void from_bad_servers(void)
{
    static const struct {
        const char *name, *bytes;
        enum bp_error error;
    } rows[] = {
        {"whole", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", BP_E_OK},
        {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", BP_E_OK},
        {"interim_first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", BP_E_OK},
        {"nothing", "", BP_E_CLOSED},
        {"cut_head", "HTTP/1.1 200 OK\r\nContent-Le", BP_E_CLOSED},
        {"cut_body", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi", BP_E_CLOSED},
        {"no_length", "HTTP/1.1 200 OK\r\n\r\nhi", BP_E_MALFORMED},
        {"two_lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", BP_E_MALFORMED},
        {"too_long", "HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", BP_E_LIMIT},
        {"http_1_0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", BP_E_MALFORMED},
        {"interim_flood",
         "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n",
         BP_E_LIMIT},
        {"not_http", "SSH-2.0-x\r\n", BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct script s = {.bytes = rows[i].bytes};
        struct outcome o = {0};
        struct bp_client *c = NULL;
        char name[64];
        bp_case_begin();
        BP_CHECK(!bp_failed(bp_listen("127.0.0.1", 0, &s.lfd, &s.port)));
        BP_CHECK(!bp_failed(bp_watch_new(fx_loop(), s.lfd, play, &s, &s.watch)));
        const struct bp_client_spec spec = {.host = "127.0.0.1", .port = s.port, .answer_max = 4096};
        const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
        if (BP_CHECK(!bp_failed(bp_client_new(fx_loop(), &spec, &c)))) {
            BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
            BP_CHECK(bp_is(bp_client_send(c, &rq, answered, &o), BP_E_BUSY));
            BP_CHECK(fx_until(is_answered, &o, 3000) && o.times == 1);
            BP_CHECK(bp_error_of(o.r) == rows[i].error);
            if (rows[i].error == BP_E_OK) {
                BP_CHECK(o.status == 200 && strcmp(o.body, "hi") == 0);
            } else {
                BP_CHECK(bp_client_trace(c)[0] != '\0' && !bp_client_is_connected(c));
            }
            bp_client_free(c);
        }
        bp_watch_free(s.conn);
        bp_watch_free(s.watch);
        close(s.lfd);
        snprintf(name, sizeof name, "server_%s", rows[i].name);
        bp_case_end(name);
    }
}

BP_CASE(out_of_time)
{
    struct script s = {0};
    struct outcome o = {0}, o2 = {0};
    struct bp_client *c = NULL, *c2 = NULL;
    struct bp_tls *tls = fx_client_tls(NULL, false);
    BP_NEED(!bp_failed(bp_listen("127.0.0.1", 0, &s.lfd, &s.port)));
    const struct bp_client_spec spec = {.host = "127.0.0.1", .port = s.port, .total_ms = 50};
    const struct bp_client_spec spec2 = {.tls = tls, .host = "127.0.0.1", .port = s.port, .connect_ms = 50};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &c)));
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec2, &c2)));
    BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
    BP_CHECK(fx_until(is_answered, &o, 3000) && bp_is(o.r, BP_E_EXPIRED));
    BP_CHECK(!bp_failed(bp_client_send(c2, &rq, answered, &o2))); /* the handshake never comes */
    BP_CHECK(fx_until(is_answered, &o2, 3000) && bp_is(o2.r, BP_E_EXPIRED));
    bp_client_free(c);
    bp_client_free(c2);
    bp_tls_free(tls);
    close(s.lfd);
}

BP_CASE(nobody_listens)
{
    struct outcome o = {0};
    struct bp_client *c = NULL;
    int fd = -1;
    uint16_t port = 0;
    BP_NEED(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &port)));
    close(fd);
    const struct bp_client_spec spec = {.host = "localhost", .port = port};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &c)));
    BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)) && o.times == 0); /* told from the loop only */
    BP_CHECK(fx_until(is_answered, &o, 3000) && bp_is(o.r, BP_E_CLOSED) && bp_client_trace(c)[0] != '\0');
    bp_client_free(c);
}

/* Neither is that a refused handshake. */
BP_CASE(nobody_listens_with_tls)
{
    struct outcome o = {0};
    struct bp_client *c = NULL;
    struct bp_tls *tls = fx_client_tls(NULL, false);
    int fd = -1;
    uint16_t port = 0;
    BP_NEED(tls != NULL && !bp_failed(bp_listen("127.0.0.1", 0, &fd, &port)));
    close(fd);
    const struct bp_client_spec spec = {.tls = tls, .host = "localhost", .port = port};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &c)));
    BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
    BP_CHECK(fx_until(is_answered, &o, 3000) && bp_is(o.r, BP_E_CLOSED) && bp_client_trace(c)[0] != '\0');
    printf("# %s\n", bp_client_trace(c));
    bp_client_free(c);
    bp_tls_free(tls);
}

static void count_up(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    char text[16];
    (void)rq;
    snprintf(text, sizeof text, "%u", ++*(unsigned *)self);
    BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, bp_span_cstr(text))));
}

static struct bp_server *serve(unsigned *count, const struct bp_server_limits *limits, uint16_t *ret_port)
{
    struct bp_server *s = NULL;
    int fd = -1;
    const struct bp_server_spec spec = {.self = count, .handle = count_up, .limits = *limits};
    BP_CHECK(!bp_failed(bp_listen("127.0.0.1", 0, &fd, ret_port)));
    BP_CHECK(!bp_failed(bp_server_new(fx_loop(), fd, &spec, &s)));
    return s;
}

BP_CASE(connection_is_kept_and_a_name_falls_back_to_the_next_address)
{
    struct bp_client *c = NULL;
    unsigned count = 0;
    uint16_t port = 0;
    const struct bp_server_limits none = {0};
    struct bp_server *s = serve(&count, &none, &port);
    /* localhost may be ::1 first; the server listens on 127.0.0.1 only */
    const struct bp_client_spec spec = {.host = "localhost", .port = port};
    const struct bp_client_request rq = {.method = BP_HTTP_POST, .target = "/", .body = BP_SPAN_STR("x")};
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &c)));
    for (unsigned i = 1; i <= 3; i++) {
        struct outcome o = {0};
        BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
        BP_CHECK(fx_until(is_answered, &o, 3000) && o.status == 200 && strtol(o.body, NULL, 10) == (long)i);
    }
    BP_CHECK(bp_server_stats_of(s)->accepted == 1 && bp_client_is_connected(c));
    bp_client_free(c);
    bp_server_free(s);
}

BP_CASE(arguments_refused)
{
    struct bp_client *c = NULL;
    const struct bp_client_spec none = {.host = ""};
    const struct bp_client_spec spec = {.host = "127.0.0.1", .port = 1};
    const struct bp_http_header bad = {"X", BP_SPAN_STR("a\r\nb")};
    const struct bp_client_request rqs[] = {{.method = BP_HTTP_GET, .target = "x"},
                                            {.method = BP_HTTP_GET, .target = "/a b"},
                                            {.method = BP_HTTP_GET, .target = "/\r\n"},
                                            {.method = BP_HTTP_GET, .target = "/", .headers = &bad, .header_count = 1}};
    BP_CHECK(bp_is(bp_client_new(fx_loop(), &none, &c), BP_E_BAD_ARGUMENT));
    BP_NEED(!bp_failed(bp_client_new(fx_loop(), &spec, &c)));
    for (size_t i = 0; i < sizeof rqs / sizeof rqs[0]; i++) {
        struct outcome o = {0};
        BP_CHECK(bp_is(bp_client_send(c, &rqs[i], answered, &o), BP_E_BAD_ARGUMENT));
    }
    bp_client_free(c);
}

/* The server of the next case, in a child: says through the pipe whenever its last connection has ended. */
struct child {
    struct bp_server *server;
    struct bp_timer *timer;
    bool was_open;
    int tell;
};

static void look(void *arg)
{
    struct child *c = arg;
    const bool is_open = bp_server_stats_of(c->server)->conns != 0;
    if (c->was_open && !is_open && write(c->tell, "x", 1) != 1) {
        _exit(1);
    }
    c->was_open = is_open;
    BP_IGNORE(bp_timer_start(c->timer, 1), "the parent waits with a limit");
}

static bool has_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, 10000) == 1 && read(fd, &byte, 1) == 1;
}

/* The blocking form runs a loop of its own, so the server is a child here. Between two requests the server ends the
 * idle connection: the second is sent again on a new one. */
BP_CASE(blocking_calls_and_a_dead_kept_connection)
{
    int lfd = -1, ready[2];
    uint16_t port = 0;
    BP_NEED(pipe(ready) == 0 && !bp_failed(bp_listen("127.0.0.1", 0, &lfd, &port)));
    const int pid = fork();
    if (pid == 0) {
        struct bp_loop *loop = NULL;
        struct child child = {.tell = ready[1]};
        unsigned count = 0;
        const struct bp_server_spec spec = {.self = &count, .handle = count_up, .limits = {.idle_ms = 50}};
        if (!bp_failed(bp_loop_new(&loop)) && !bp_failed(bp_server_new(loop, lfd, &spec, &child.server)) &&
            !bp_failed(bp_timer_new(loop, look, &child, &child.timer)) &&
            !bp_failed(bp_timer_start(child.timer, 1))) {
            BP_IGNORE(bp_loop_run(loop), "ended by a signal");
        }
        _exit(0);
    }
    close(lfd);
    struct bp_client *c = NULL;
    const struct bp_http *http = NULL;
    const struct bp_client_spec spec = {.host = "127.0.0.1", .port = port};
    const struct bp_client_request get = {.method = BP_HTTP_GET, .target = "/"};
    const struct bp_client_request post = {.method = BP_HTTP_POST, .target = "/"};
    BP_CHECK(!bp_failed(bp_client_new(NULL, &spec, &c)));
    BP_CHECK(!bp_failed(bp_client_call(c, NULL, &http)) && http == NULL && bp_client_is_connected(c));
    BP_CHECK(!bp_failed(bp_client_call(c, &get, &http)) && http->status == 200 && bp_http_body(http).p[0] == '1');
    BP_CHECK(has_ended(ready[0]));
    BP_CHECK(!bp_failed(bp_client_call(c, &get, &http)) && bp_http_body(http).p[0] == '2');
    BP_CHECK(has_ended(ready[0]));
    BP_CHECK(bp_is(bp_client_call(c, &post, &http), BP_E_CLOSED) && http == NULL); /* not said to be repeatable */
    BP_CHECK(!bp_failed(bp_client_call(c, &post, &http)) && bp_http_body(http).p[0] == '3');
    bp_client_free(c);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

BP_SUITE(client, BP_TABLE(from_bad_servers) BP_RUN(out_of_time) BP_RUN(nobody_listens)
    BP_RUN(nobody_listens_with_tls)
    BP_RUN(connection_is_kept_and_a_name_falls_back_to_the_next_address) BP_RUN(arguments_refused)
    BP_RUN(blocking_calls_and_a_dead_kept_connection))
