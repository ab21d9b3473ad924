/* SPDX-License-Identifier: Apache-2.0 */
/* net/client - see client.h. */
#include "net/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define BP_MODULE NET

#define HOST_MAX_LEN 255u
#define HEAD_CAP     8192u
#define INTERIM_MAX  4u

struct bp_client {
    struct bp_loop *loop;
    bool owns_loop;
    struct bp_client_spec spec;
    char host[HOST_MAX_LEN + 1], connect_host[HOST_MAX_LEN + 1];
    char authority[HOST_MAX_LEN + 10]; /* the Host field */
    struct bufferevent *bev;
    bool is_connected;
    struct bp_timer *timer, *dial_timer, *fail_timer;
    bp_result failing; /* to be reported from the loop */
    /* The request in flight. */
    bp_client_fn *fn;
    void *arg;
    uint8_t *out; /* the whole request, kept while it may be sent again */
    size_t out_n;
    bool has_request, to_head, may_repeat, is_reused, got_bytes;
    uint8_t interim;
    struct bp_http http;   /* being read */
    struct bp_http answer; /* the last complete one */
    struct addrinfo *addrs, *next_addr;
    char trace[256];
};

/* What bp_client_call waits for. */
struct wait {
    struct bp_client *c;
    bp_result r;
    bool is_done;
};

static void note(struct bp_client *c, const char *text)
{
    snprintf(c->trace, sizeof c->trace, "%s", text);
}

static SSL *ssl_of(const struct bp_client *c)
{
    return c->bev != NULL && c->spec.tls != NULL ? bufferevent_openssl_get_ssl(c->bev) : NULL;
}

static void drop(struct bp_client *c)
{
    SSL *ssl = ssl_of(c);
    if (ssl != NULL && !c->is_connected) {
        bp_tls_unsent(c->spec.tls, ssl); /* a link that is down costs no session */
    }
    if (c->bev != NULL) {
        bufferevent_free(c->bev);
    }
    c->bev = NULL;
}

static void disconnect(struct bp_client *c)
{
    SSL *ssl = ssl_of(c);
    bp_timer_stop(c->dial_timer);
    if (ssl != NULL && c->is_connected) {
        (void)SSL_shutdown(ssl);
    }
    ERR_clear_error();
    drop(c);
    c->is_connected = false;
}

static void forget_addresses(struct bp_client *c)
{
    if (c->addrs != NULL) {
        freeaddrinfo(c->addrs);
    }
    c->addrs = c->next_addr = NULL;
}

/* Ends what is in flight. The callback may free the client or send the next request, so it comes last. */
static void finish(struct bp_client *c, bp_result r)
{
    bp_client_fn *fn = c->fn;
    void *arg = c->arg;
    const bool has_answer = !bp_failed(r) && c->has_request;
    if (fn == NULL) {
        return;
    }
    bp_timer_stop(c->timer);
    if (bp_failed(r) || c->http.close) {
        disconnect(c);
    }
    bp_http_done(&c->answer);
    c->answer = c->http;
    free(c->out);
    c->out = NULL;
    c->out_n = 0;
    c->fn = NULL;
    c->has_request = false;
    bp_http_init(&c->http, BP_HTTP_RESPONSE, c->spec.answer_max);
    fn(arg, r, has_answer ? &c->answer : NULL);
}

static void send_now(struct bp_client *c)
{
    if (!c->has_request) {
        finish(c, BP_OK);
        return;
    }
    c->got_bytes = false;
    if (bufferevent_write(c->bev, c->out, c->out_n) != 0) {
        finish(c, BP_FAIL(NO_MEMORY));
    }
}

static bp_result refusal_of(const struct bp_client *c)
{
    return c->http.why == BP_HTTP_WHY_BODY_LONG   ? BP_FAIL(LIMIT)
           : c->http.why == BP_HTTP_WHY_NO_MEMORY ? BP_FAIL(NO_MEMORY)
                                                  : BP_FAIL(MALFORMED);
}

/* A complete message: the answer, or an interim one (RFC 9110 section 15.2) that is passed over. */
static void message_done(struct bp_client *c)
{
    if (c->http.status >= 200) {
        finish(c, BP_OK);
        return;
    }
    if (++c->interim > INTERIM_MAX) {
        note(c, "too many interim answers");
        finish(c, BP_FAIL(LIMIT));
        return;
    }
    bp_http_reset(&c->http, c->spec.answer_max);
    c->http.to_head = c->to_head;
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct bp_client *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    while (c->bev == bev && evbuffer_get_length(in) > 0) {
        struct evbuffer_iovec v = {0};
        size_t used = 0;
        if (!c->has_request) { /* nobody asked: such a connection is not worth keeping */
            disconnect(c);
            return;
        }
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1) {
            return;
        }
        c->got_bytes = true;
        enum bp_http_step step = bp_http_feed(&c->http, bp_span_of(v.iov_base, v.iov_len), &used);
        evbuffer_drain(in, used);
        if (step == BP_HTTP_HEAD_END) {
            step = bp_http_feed(&c->http, BP_SPAN_EMPTY, &used);
        }
        if (step == BP_HTTP_REFUSED) {
            note(c, bp_http_why_text(c->http.why));
            finish(c, refusal_of(c));
            return;
        }
        if (step == BP_HTTP_DONE) {
            const bool is_last = c->http.status >= 200;
            message_done(c);
            if (is_last) {
                return; /* c may be gone */
            }
        }
    }
}

static bp_result dial(struct bp_client *c);
static bp_result dial_next(struct bp_client *c);

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct bp_client *c = arg;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        const int on = 1;
        (void)setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        bp_timer_stop(c->dial_timer);
        c->is_connected = true;
        send_now(c);
        return;
    }
    const bool was_connected = c->is_connected;
    /* libevent hands on a number of its own where only the socket failed; OpenSSL's errors name their library. */
    const unsigned long any_error = bufferevent_get_openssl_error(bev);
    const unsigned long tls_error = ERR_GET_LIB(any_error) != 0 ? any_error : 0;
    const int sys_error = errno;
    if (tls_error != 0) {
        ERR_error_string_n(tls_error, c->trace, sizeof c->trace);
        SSL *ssl = ssl_of(c);
        const long verify = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
        if (!was_connected && verify != X509_V_OK) {
            note(c, X509_verify_cert_error_string(verify));
        }
    } else if ((what & BEV_EVENT_ERROR) != 0 && sys_error != 0) {
        note(c, strerror(sys_error));
    } else {
        note(c, "the server closed the connection");
    }
    if (!was_connected && tls_error == 0 && c->next_addr != NULL) {
        drop(c);
        if (!bp_failed(dial_next(c))) {
            return;
        }
    }
    disconnect(c);
    if (c->has_request && c->is_reused && !c->got_bytes && c->may_repeat) {
        c->is_reused = false;
        if (!bp_failed(dial(c))) {
            return;
        }
    }
    finish(c, tls_error != 0 && !was_connected ? BP_FAIL(DENIED) : BP_FAIL(CLOSED));
}

static void on_total(void *arg)
{
    struct bp_client *c = arg;
    note(c, "no complete answer in time");
    finish(c, BP_FAIL(EXPIRED));
}

static void on_dial_late(void *arg)
{
    struct bp_client *c = arg;
    note(c, "no connection in time");
    disconnect(c);
    finish(c, BP_FAIL(EXPIRED));
}

static void on_fail(void *arg)
{
    struct bp_client *c = arg;
    finish(c, c->failing);
}

static bp_result new_bufferevent(struct bp_client *c)
{
    struct event_base *base = bp_loop_base(c->loop);
    if (c->spec.tls == NULL) {
        c->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        return c->bev != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    }
    SSL *ssl = NULL;
    BP_TRY(bp_tls_connect(c->spec.tls, c->host, &ssl));
    SSL_up_ref(ssl); /* see server.c, wrap() */
    c->bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    SSL_free(ssl);
    return c->bev != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
}

/* Dials the addresses of the name one after another until one takes the connection. */
static bp_result dial_next(struct bp_client *c)
{
    bp_result r = BP_FAIL(CLOSED);
    while (bp_failed(r) && c->next_addr != NULL) {
        const struct addrinfo *to = c->next_addr;
        c->next_addr = to->ai_next;
        r = new_bufferevent(c);
        if (bp_failed(r)) {
            return r;
        }
        bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
        if (bufferevent_socket_connect(c->bev, to->ai_addr, (int)to->ai_addrlen) != 0) {
            note(c, "the system refused to connect");
            drop(c);
            r = BP_FAIL(CLOSED);
        }
    }
    return r;
}

static bp_result dial(struct bp_client *c)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char port[8];
    forget_addresses(c);
    snprintf(port, sizeof port, "%u", (unsigned)c->spec.connect_port);
    const int rc = getaddrinfo(c->connect_host, port, &hints, &c->addrs);
    if (rc != 0) {
        note(c, gai_strerror(rc));
        c->addrs = NULL;
        return BP_FAIL(CLOSED);
    }
    c->next_addr = c->addrs;
    BP_TRY(bp_timer_start(c->dial_timer, c->spec.connect_ms));
    return dial_next(c);
}

bp_result bp_client_new(struct bp_loop *loop, const struct bp_client_spec *spec, struct bp_client **ret)
{
    const char *connect_host = spec->connect_host != NULL ? spec->connect_host : spec->host;
    if (spec->host == NULL || spec->host[0] == '\0' || strlen(spec->host) > HOST_MAX_LEN ||
        strlen(connect_host) > HOST_MAX_LEN) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct bp_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = BP_OK;
    c->spec = *spec;
    c->spec.connect_port = spec->connect_port != 0 ? spec->connect_port : spec->port;
    c->spec.connect_ms = spec->connect_ms != 0 ? spec->connect_ms : 10000;
    c->spec.total_ms = spec->total_ms != 0 ? spec->total_ms : 75000;
    c->spec.answer_max = spec->answer_max != 0 ? spec->answer_max : 1u << 20;
    snprintf(c->host, sizeof c->host, "%s", spec->host);
    snprintf(c->connect_host, sizeof c->connect_host, "%s", connect_host);
    const bool is_v6 = strchr(spec->host, ':') != NULL;
    snprintf(c->authority, sizeof c->authority, is_v6 ? "[%s]:%u" : "%s:%u", c->host, (unsigned)spec->port);
    bp_http_init(&c->http, BP_HTTP_RESPONSE, c->spec.answer_max);
    c->loop = loop;
    if (loop == NULL) {
        r = bp_loop_new(&c->loop);
        c->owns_loop = !bp_failed(r);
    }
    if (!bp_failed(r)) {
        r = bp_timer_new(c->loop, on_total, c, &c->timer);
    }
    if (!bp_failed(r)) {
        r = bp_timer_new(c->loop, on_dial_late, c, &c->dial_timer);
    }
    if (!bp_failed(r)) {
        r = bp_timer_new(c->loop, on_fail, c, &c->fail_timer);
    }
    if (bp_failed(r)) {
        bp_client_free(c);
        return r;
    }
    *ret = c;
    return BP_OK;
}

void bp_client_free(struct bp_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->dial_timer != NULL) {
        disconnect(c);
    }
    forget_addresses(c);
    bp_timer_free(c->timer);
    bp_timer_free(c->dial_timer);
    bp_timer_free(c->fail_timer);
    bp_http_done(&c->http);
    bp_http_done(&c->answer);
    free(c->out);
    if (c->owns_loop) {
        bp_loop_free(c->loop);
    }
    free(c);
}

/* The request is noted; now it is sent, after dialling where needed. A failure to dial is told from the loop, so that
 * there is one way to hear of it. */
static bp_result start(struct bp_client *c, bp_client_fn *fn, void *arg)
{
    bp_result r = bp_timer_start(c->timer, c->spec.total_ms);
    if (bp_failed(r)) {
        return r;
    }
    c->fn = fn;
    c->arg = arg;
    c->interim = 0;
    c->trace[0] = '\0';
    c->is_reused = c->is_connected;
    bp_http_reset(&c->http, c->spec.answer_max);
    c->http.to_head = c->to_head;
    if (c->is_connected && c->has_request) {
        send_now(c);
        return BP_OK;
    }
    c->failing = c->is_connected ? BP_OK : dial(c);
    if (bp_failed(c->failing) || c->is_connected) {
        return bp_timer_start(c->fail_timer, 0);
    }
    return BP_OK;
}

bp_result bp_client_connect(struct bp_client *c, bp_client_fn *fn, void *arg)
{
    if (c->fn != NULL) {
        return BP_FAIL(BUSY);
    }
    c->has_request = false;
    c->to_head = false;
    return start(c, fn, arg);
}

bp_result bp_client_send(struct bp_client *c, const struct bp_client_request *rq, bp_client_fn *fn, void *arg)
{
    if (c->fn != NULL) {
        return BP_FAIL(BUSY);
    }
    const bool has_body = rq->body.n > 0 || rq->method == BP_HTTP_POST || rq->method == BP_HTTP_PUT;
    uint8_t *out = malloc(HEAD_CAP + rq->body.n);
    if (out == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_wr wr = bp_wr_over(out, HEAD_CAP + rq->body.n);
    bp_http_write_request(&wr, rq->method, bp_span_cstr(rq->target), bp_span_cstr(c->authority), rq->headers,
                          rq->header_count, has_body ? BP_HTTP_LENGTH : BP_HTTP_NO_BODY, rq->body.n);
    bp_wr_bytes(&wr, rq->body);
    bp_result r = bp_wr_finish(&wr);
    if (bp_failed(r)) {
        free(out);
        return r;
    }
    c->out = out;
    c->out_n = wr.n;
    c->has_request = true;
    c->to_head = rq->method == BP_HTTP_HEAD;
    c->may_repeat = rq->may_repeat || rq->method == BP_HTTP_GET || rq->method == BP_HTTP_HEAD;
    r = start(c, fn, arg);
    if (bp_failed(r)) {
        free(c->out);
        c->out = NULL;
        c->fn = NULL;
        c->has_request = false;
    }
    return r;
}

void bp_client_disconnect(struct bp_client *c)
{
    disconnect(c);
    if (c->fn != NULL) {
        note(c, "disconnected");
        c->failing = BP_FAIL(CLOSED);
        BP_IGNORE(bp_timer_start(c->fail_timer, 0), "without it the total timer ends the request");
    }
}

bool bp_client_is_connected(const struct bp_client *c)
{
    return c->is_connected;
}

bp_result bp_client_exporter(struct bp_client *c, uint8_t ret[32])
{
    if (!c->is_connected || c->spec.tls == NULL) {
        return BP_FAIL(NOT_FOUND);
    }
    return bp_tls_exporter(bufferevent_openssl_get_ssl(c->bev), ret);
}

const char *bp_client_trace(const struct bp_client *c)
{
    return c->trace;
}

static void on_waited(void *arg, bp_result r, const struct bp_http *http)
{
    struct wait *w = arg;
    w->r = r;
    w->is_done = true;
    (void)http; /* it stays with the client until the next request */
    bp_loop_stop(w->c->loop);
}

bp_result bp_client_call(struct bp_client *c, const struct bp_client_request *rq, const struct bp_http **ret_http)
{
    struct wait w = {.c = c};
    if (!c->owns_loop) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(rq != NULL ? bp_client_send(c, rq, on_waited, &w) : bp_client_connect(c, on_waited, &w));
    while (!w.is_done) {
        const bp_result r = bp_loop_run(c->loop);
        if (bp_failed(r)) {
            c->fn = NULL; /* w goes out of scope; nobody may call back into it */
            disconnect(c);
            return r;
        }
    }
    *ret_http = !bp_failed(w.r) && rq != NULL ? &c->answer : NULL;
    return w.r;
}
