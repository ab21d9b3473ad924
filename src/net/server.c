/* SPDX-License-Identifier: Apache-2.0 */
/* net/server - see server.h. A connection and its responder are one object, since a connection has at most one request
 * in work. Reading stays on while a request is held: that is how a client that left is noticed; what it sends meanwhile
 * waits in the input buffer under a ceiling and is looked at only after the answer is written. */
#include "net/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define BP_MODULE NET

#define BACKLOG         1024
#define ACCEPTS_A_TURN  16
#define FDS_RESERVED    64u
#define RESUME_MS       200u
#define LINGER_MS       1000u
#define LINGER_MAX      (256u << 10)
#define BODY_MAX        (64u << 10)
#define SOURCE_BUCKETS  1024u
#define ANSWER_HEAD_MAX 8192u

enum state { ST_HANDSHAKE, ST_IDLE, ST_HEAD, ST_BODY, ST_WORK, ST_STREAM, ST_WRITE, ST_LINGER };

/* How many connections a source has; lives while it has any. */
struct source {
    struct source *next;
    uint8_t key[16];
    uint32_t conns;
};

struct bp_responder {
    struct bp_server *s;
    struct bp_responder *prev, *next;
    struct bufferevent *bev;
    struct source *source;
    struct event timer;
    void (*cancel)(void *arg);
    void *cancel_arg;
    uint64_t queued;  /* bytes ever handed to the output buffer */
    uint64_t flushed; /* bytes that had left it when progress was last looked at */
    uint32_t written_ms;
    uint32_t lingered;
    uint8_t state;
    bool in_handler, is_doomed, is_held, close_after, is_cut, is_ended, is_head, has_peer;
    struct bp_http http;
    struct bp_tls_peer peer;
    struct bp_request rq;
    char source_text[INET6_ADDRSTRLEN];
};

struct bp_server {
    struct bp_loop *loop;
    struct bp_server_spec spec;
    struct bp_server_stats stats;
    int fd;
    struct event *accepting;
    struct event *resume;
    bool is_paused, is_stopped;
    struct bp_responder *conns;
    struct source *sources[SOURCE_BUCKETS];
};

static void process_input(struct bp_responder *c);
static void resume_accepting(struct bp_server *s);

/* ---- sources ---- */

static size_t source_hash(const uint8_t key[16])
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < 16; i++) {
        h = (h ^ key[i]) * 16777619u;
    }
    return h % SOURCE_BUCKETS;
}

/* An IPv4 address, or the /64 of an IPv6 address: what one party usually has. */
static void source_key(const struct sockaddr_storage *from, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        memcpy(ret + 12, &in->sin_addr, 4);
        ret[10] = ret[11] = 0xff;
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)from;
        const bool is_v4 = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        memcpy(ret, &in6->sin6_addr, is_v4 ? 16 : 8);
    }
}

static struct source *source_take(struct bp_server *s, const struct sockaddr_storage *from)
{
    uint8_t key[16];
    source_key(from, key);
    struct source **bucket = &s->sources[source_hash(key)];
    for (struct source *x = *bucket; x != NULL; x = x->next) {
        if (memcmp(x->key, key, sizeof key) == 0) {
            if (x->conns >= s->spec.limits.conns_per_source) {
                return NULL;
            }
            x->conns++;
            return x;
        }
    }
    struct source *x = calloc(1, sizeof *x);
    if (x != NULL) {
        memcpy(x->key, key, sizeof key);
        x->conns = 1;
        x->next = *bucket;
        *bucket = x;
    }
    return x;
}

static void source_give(struct bp_server *s, struct source *x)
{
    if (x == NULL || --x->conns > 0) {
        return;
    }
    struct source **at = &s->sources[source_hash(x->key)];
    while (*at != x) {
        at = &(*at)->next;
    }
    *at = x->next;
    free(x);
}

/* ---- connections ---- */

static void set_deadline(struct bp_responder *c, uint32_t ms)
{
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    /* Re-arming fails only when the timer heap cannot grow, which it did when the connection began. */
    (void)event_add(&c->timer, &tv);
}

static size_t output_left(const struct bp_responder *c)
{
    return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static SSL *ssl_of(const struct bp_responder *c)
{
    return c->s->spec.tls != NULL ? bufferevent_openssl_get_ssl(c->bev) : NULL;
}

/* Tells the holder of the responder, once, that there is nobody to answer. */
static void cancel(struct bp_responder *c)
{
    void (*fn)(void *arg) = c->cancel;
    c->cancel = NULL;
    c->is_held = false;
    if (fn != NULL) {
        c->s->stats.cancelled++;
        fn(c->cancel_arg);
    }
}

static void say_goodbye(struct bp_responder *c)
{
    SSL *ssl = ssl_of(c);
    if (ssl != NULL && SSL_is_init_finished(ssl)) {
        (void)SSL_shutdown(ssl); /* one close_notify, when it fits; nobody waits for the other */
    }
    ERR_clear_error();
}

static void conn_free(struct bp_responder *c)
{
    struct bp_server *s = c->s;
    if (c->in_handler) {
        c->is_doomed = true;
        return;
    }
    cancel(c);
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        s->conns = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    s->stats.conns--;
    source_give(s, c->source);
    event_del(&c->timer);
    bufferevent_free(c->bev);
    bp_http_done(&c->http);
    free(c);
    if (s->is_paused && s->stats.conns < s->spec.limits.conns_max) {
        resume_accepting(s);
    }
}

/* Half-closes and reads on for a moment, so that the answer is not lost to a reset (RFC 9112 section 9.6). */
static void linger(struct bp_responder *c)
{
    say_goodbye(c);
    (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    struct evbuffer *in = bufferevent_get_input(c->bev);
    evbuffer_drain(in, evbuffer_get_length(in));
    c->state = ST_LINGER;
    set_deadline(c, LINGER_MS);
}

/* ---- answers ---- */

static void queue(struct bp_responder *c, bp_span a, bp_span b)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);
    /* One piece where it fits, so that head and body share TLS records. */
    if (evbuffer_expand(out, a.n + b.n) != 0 || evbuffer_add(out, a.p, a.n) != 0 ||
        (b.n > 0 && evbuffer_add(out, b.p, b.n) != 0)) {
        c->is_cut = true; /* no memory for an answer: the connection ends, from the loop */
        set_deadline(c, 0);
        return;
    }
    c->queued += a.n + b.n;
}

static bool is_bodyless(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static void write_answer(struct bp_responder *c, bp_span head, bp_span body)
{
    c->cancel = NULL;
    c->is_held = false;
    c->close_after = c->close_after || c->http.close || c->s->is_stopped;
    c->state = ST_WRITE;
    c->written_ms = 0;
    c->flushed = c->queued - output_left(c);
    set_deadline(c, c->s->spec.limits.write_ms);
    queue(c, head, body);
    bp_http_reset(&c->http, BODY_MAX); /* last: body may be a part of the request */
}

/* Answers with one line of text and ends the connection. */
static void refuse(struct bp_responder *c, unsigned status, const char *text)
{
    uint8_t buf[512];
    const struct bp_http_header type = {"Content-Type", BP_SPAN_STR("text/plain")};
    const size_t n = strlen(text);
    bp_wr wr = bp_wr_over(buf, sizeof buf);
    c->close_after = true;
    bp_http_write_response(&wr, status, &type, 1, BP_HTTP_LENGTH, n + 1, true);
    bp_wr_bytes(&wr, bp_span_of(text, n));
    bp_wr_u8(&wr, '\n');
    write_answer(c, bp_wr_span(&wr), BP_SPAN_EMPTY);
}

bp_result bp_respond(struct bp_responder *c, unsigned status, const struct bp_http_header *headers, size_t count,
                     bp_span body)
{
    uint8_t head[ANSWER_HEAD_MAX];
    bp_wr wr = bp_wr_over(head, sizeof head);
    if (c->state != ST_WORK) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (body.n > c->s->spec.limits.answer_max) {
        refuse(c, 500, "the answer is too long");
        return BP_FAIL(LIMIT);
    }
    const bool close = c->http.close || c->s->is_stopped;
    bp_http_write_response(&wr, status, headers, count, is_bodyless(status) ? BP_HTTP_NO_BODY : BP_HTTP_LENGTH, body.n,
                           close);
    const bp_result r = bp_wr_finish(&wr);
    if (bp_failed(r)) {
        refuse(c, 500, "the answer cannot be written");
        return r;
    }
    const bool has_body = c->http.method != BP_HTTP_HEAD && !is_bodyless(status);
    write_answer(c, bp_wr_span(&wr), has_body ? body : BP_SPAN_EMPTY);
    return BP_OK;
}

void bp_hold(struct bp_responder *c, void (*fn)(void *arg), void *arg)
{
    if (c->state == ST_WORK) {
        c->is_held = true;
        c->cancel = fn;
        c->cancel_arg = arg;
        set_deadline(c, c->s->spec.limits.hold_ms);
    }
}

bp_result bp_responder_exporter(struct bp_responder *c, uint8_t ret[32])
{
    SSL *ssl = ssl_of(c);
    return ssl != NULL ? bp_tls_exporter(ssl, ret) : BP_FAIL(UNSUPPORTED);
}

bp_result bp_responder_leaf(struct bp_responder *c, uint8_t *ret, size_t cap, size_t *ret_len)
{
    SSL *ssl = ssl_of(c);
    return ssl != NULL ? bp_tls_peer_leaf(ssl, ret, cap, ret_len) : BP_FAIL(NOT_FOUND);
}

const struct bp_request *bp_responder_request(const struct bp_responder *c)
{
    return &c->rq;
}

bp_result bp_stream_begin(struct bp_responder *c, unsigned status, const struct bp_http_header *headers, size_t count,
                          void (*fn)(void *arg), void *arg)
{
    uint8_t head[ANSWER_HEAD_MAX];
    bp_wr wr = bp_wr_over(head, sizeof head);
    if (c->state != ST_WORK) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_http_write_response(&wr, status, headers, count, BP_HTTP_CHUNKS, 0, true);
    const bp_result r = bp_wr_finish(&wr);
    if (bp_failed(r)) {
        refuse(c, 500, "the answer cannot be written");
        return r;
    }
    write_answer(c, bp_wr_span(&wr), BP_SPAN_EMPTY);
    c->close_after = true; /* a stream is the last answer of its connection */
    c->state = ST_STREAM;
    c->is_held = true;
    c->cancel = fn;
    c->cancel_arg = arg;
    return BP_OK;
}

static void put_hex(bp_wr *wr, size_t v)
{
    static const char digits[] = "0123456789abcdef";
    bool begun = false;
    for (int shift = 28; shift >= 0; shift -= 4) {
        const unsigned d = (unsigned)(v >> shift) & 15u;
        begun = begun || d != 0;
        if (begun) {
            bp_wr_u8(wr, (uint8_t)digits[d]);
        }
    }
}

bp_result bp_stream_send(struct bp_responder *c, bp_span piece)
{
    uint8_t head[12];
    bp_wr wr = bp_wr_over(head, sizeof head);
    if (c->state != ST_STREAM || piece.n == 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const size_t left = output_left(c);
    if (c->is_cut || piece.n > c->s->spec.limits.queue_max || left > c->s->spec.limits.queue_max - piece.n) {
        if (!c->is_cut) {
            c->is_cut = true;
            c->s->stats.cut_slow++;
            set_deadline(c, 0);
        }
        return BP_FAIL(LIMIT);
    }
    put_hex(&wr, piece.n);
    bp_wr_bytes(&wr, BP_SPAN_STR("\r\n"));
    queue(c, bp_wr_span(&wr), piece);
    queue(c, BP_SPAN_STR("\r\n"), BP_SPAN_EMPTY);
    return BP_OK;
}

void bp_stream_end(struct bp_responder *c)
{
    if (c->state == ST_STREAM && !c->is_cut) {
        write_answer(c, BP_SPAN_STR("0\r\n\r\n"), BP_SPAN_EMPTY);
    }
}

/* ---- requests ---- */

static void dispatch(struct bp_responder *c)
{
    struct bp_server *s = c->s;
    s->stats.requests++;
    c->state = ST_WORK;
    event_del(&c->timer);
    c->in_handler = true;
    s->spec.handle(s->spec.self, &c->rq, c);
    c->in_handler = false;
    if (c->is_doomed) {
        conn_free(c);
    } else if (c->state == ST_WORK && !c->is_held) {
        refuse(c, 500, "no handler answered");
    }
}

static enum bp_http_step head_complete(struct bp_responder *c)
{
    struct bp_server *s = c->s;
    size_t used = 0;
    c->http.body_max = s->spec.body_max != NULL ? s->spec.body_max(s->spec.self, &c->http) : BODY_MAX;
    c->state = ST_BODY;
    set_deadline(c, s->spec.limits.body_ms);
    const enum bp_http_step step = bp_http_feed(&c->http, BP_SPAN_EMPTY, &used);
    if (step == BP_HTTP_MORE && c->http.expects_continue && c->http.has_body) {
        queue(c, BP_SPAN_STR("HTTP/1.1 100 Continue\r\n\r\n"), BP_SPAN_EMPTY);
    }
    return step;
}

static enum bp_http_step feed_some(struct bp_responder *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_iovec v = {0};
    size_t used = 0;
    if (evbuffer_peek(in, -1, NULL, &v, 1) < 1) {
        return BP_HTTP_MORE;
    }
    if (c->state == ST_IDLE) {
        c->state = ST_HEAD;
        set_deadline(c, c->s->spec.limits.head_ms);
    }
    enum bp_http_step step = bp_http_feed(&c->http, bp_span_of(v.iov_base, v.iov_len), &used);
    evbuffer_drain(in, used);
    return step == BP_HTTP_HEAD_END ? head_complete(c) : step;
}

static bool is_reading(const struct bp_responder *c)
{
    return c->state == ST_IDLE || c->state == ST_HEAD || c->state == ST_BODY;
}

static void process_input(struct bp_responder *c)
{
    while (is_reading(c) && evbuffer_get_length(bufferevent_get_input(c->bev)) > 0) {
        const enum bp_http_step step = feed_some(c);
        if (step == BP_HTTP_DONE) {
            dispatch(c); /* may free c */
            return;
        }
        if (step == BP_HTTP_REFUSED) {
            c->s->stats.refused_http++;
            refuse(c, bp_http_why_status(c->http.why), bp_http_why_text(c->http.why));
            return;
        }
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct bp_responder *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    const size_t n = evbuffer_get_length(in);
    if (c->state == ST_LINGER) {
        c->lingered += (uint32_t)n;
        evbuffer_drain(in, n);
        if (c->lingered > LINGER_MAX) {
            conn_free(c);
        }
    } else if (is_reading(c)) {
        process_input(c);
    } else if (n > c->s->spec.limits.pipeline_max) {
        c->s->stats.cut_pipeline++;
        conn_free(c);
    }
}

/* Called when the output is drained. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct bp_responder *c = arg;
    (void)bev;
    if (c->state != ST_WRITE || output_left(c) > 0) {
        return;
    }
    if (c->close_after) {
        linger(c);
        return;
    }
    c->state = ST_IDLE;
    set_deadline(c, c->s->spec.limits.idle_ms);
    process_input(c);
}

static void on_connected(struct bp_responder *c)
{
    SSL *ssl = ssl_of(c);
    if (ssl != NULL) {
        c->has_peer = !bp_failed(bp_tls_peer_of(ssl, &c->peer));
        c->rq.peer = c->has_peer ? &c->peer : NULL;
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        c->rq.server_name = name != NULL ? name : "";
    }
    c->state = ST_IDLE;
    set_deadline(c, c->s->spec.limits.idle_ms);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct bp_responder *c = arg;
    (void)bev;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        on_connected(c);
        return;
    }
    if (c->state == ST_HANDSHAKE) {
        c->s->stats.handshakes_failed++;
    }
    ERR_clear_error();
    conn_free(c);
}

/* A reader that took nothing since the last look, or is at it for too long, is cut. */
static void check_progress(struct bp_responder *c)
{
    const struct bp_server_limits *l = &c->s->spec.limits;
    const size_t left = output_left(c);
    const uint64_t flushed = c->queued - left;
    c->written_ms = left == 0 ? 0 : c->written_ms + l->write_ms;
    if ((left > 0 && flushed == c->flushed) || c->written_ms > l->write_total_ms) {
        c->s->stats.cut_slow++;
        conn_free(c);
        return;
    }
    c->flushed = flushed;
    set_deadline(c, l->write_ms);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct bp_responder *c = arg;
    (void)fd;
    (void)what;
    if (c->is_cut) {
        conn_free(c);
        return;
    }
    switch ((enum state)c->state) {
    case ST_HANDSHAKE:
        c->s->stats.timed_out++;
        conn_free(c);
        break;
    case ST_HEAD:
    case ST_BODY:
        c->s->stats.timed_out++;
        refuse(c, 408, "the request did not come in time");
        break;
    case ST_WORK:
        c->s->stats.timed_out++;
        cancel(c);
        refuse(c, 503, "no answer in time");
        break;
    case ST_STREAM:
    case ST_WRITE:
        check_progress(c);
        break;
    case ST_IDLE:
        say_goodbye(c);
        conn_free(c);
        break;
    case ST_LINGER:
        conn_free(c);
        break;
    }
}

/* ---- accepting ---- */

/* Makes the buffered, maybe encrypted, connection over fd, which it owns from then on. There is no way from here to
 * plain text on a TLS listener: without a TLS object there is no connection. */
static struct bufferevent *wrap(struct bp_server *s, int fd)
{
    struct event_base *base = bp_loop_base(s->loop);
    struct bufferevent *bev = NULL;
    SSL *ssl = NULL;
    if (s->spec.tls == NULL) {
        bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    } else if (!bp_failed(bp_tls_accept(s->spec.tls, &ssl))) {
        /* One reference more for the call: whether it drops the object on failure depends on the version. */
        SSL_up_ref(ssl);
        bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        SSL_free(ssl);
    }
    if (bev == NULL) {
        s->stats.refused_tls++;
        close(fd);
    }
    return bev;
}

static void name_source(struct bp_responder *c, const struct sockaddr_storage *from)
{
    const void *addr = from->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr
                                                   : (const void *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;
    if (inet_ntop(from->ss_family, addr, c->source_text, sizeof c->source_text) == NULL) {
        c->source_text[0] = '\0';
    }
}

static void begin(struct bp_server *s, int fd, const struct sockaddr_storage *from)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct source *source = source_take(s, from);
    if (source == NULL) {
        s->stats.refused_source++;
        close(fd);
        return;
    }
    struct bp_responder *c = calloc(1, sizeof *c);
    struct bufferevent *bev = wrap(s, fd);
    if (c == NULL || bev == NULL) {
        if (bev != NULL) {
            bufferevent_free(bev);
        }
        free(c);
        source_give(s, source);
        return;
    }
    c->s = s;
    c->bev = bev;
    c->source = source;
    bp_http_init(&c->http, BP_HTTP_REQUEST, BODY_MAX);
    c->http.of_status = s->spec.of_status;
    name_source(c, from);
    c->rq = (struct bp_request){.http = &c->http, .source = c->source_text, .server_name = ""};
    c->next = s->conns;
    if (s->conns != NULL) {
        s->conns->prev = c;
    }
    s->conns = c;
    s->stats.conns++;
    s->stats.accepted++;
    evtimer_assign(&c->timer, bp_loop_base(s->loop), on_deadline, c);
    bufferevent_setcb(bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(bev, EV_READ, 0, s->spec.limits.pipeline_max + (32u << 10));
    c->state = s->spec.tls != NULL ? ST_HANDSHAKE : ST_IDLE;
    set_deadline(c, s->spec.tls != NULL ? s->spec.limits.handshake_ms : s->spec.limits.idle_ms);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* Whether another connection may be taken: by our own count, and by the number that the next descriptor would get,
 * since whatever else the process holds counts against the same limit. */
static bool has_room(const struct bp_server *s)
{
    struct rlimit rl;
    if (s->stats.conns >= s->spec.limits.conns_max || getrlimit(RLIMIT_NOFILE, &rl) != 0) {
        return false;
    }
    const int next = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    if (next < 0) {
        return false;
    }
    close(next);
    return rl.rlim_cur > FDS_RESERVED && (rlim_t)next < rl.rlim_cur - FDS_RESERVED;
}

static void pause_accepting(struct bp_server *s)
{
    const struct timeval tv = {.tv_usec = (suseconds_t)RESUME_MS * 1000};
    s->stats.paused++;
    s->is_paused = true;
    event_del(s->accepting);
    (void)event_add(s->resume, &tv); /* descriptors may come free elsewhere in the process */
}

static void resume_accepting(struct bp_server *s)
{
    if (s->is_paused && !s->is_stopped && has_room(s)) {
        s->is_paused = false;
        event_del(s->resume);
        (void)event_add(s->accepting, NULL);
    }
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct bp_server *s = arg;
    const struct timeval tv = {.tv_usec = (suseconds_t)RESUME_MS * 1000};
    (void)fd;
    (void)what;
    resume_accepting(s);
    if (s->is_paused && !s->is_stopped) {
        (void)event_add(s->resume, &tv);
    }
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
    struct bp_server *s = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t n = sizeof from;
        if (!has_room(s)) {
            pause_accepting(s);
            return;
        }
        const int fd = accept4(lfd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                pause_accepting(s);
            }
            return;
        }
        begin(s, fd, &from);
    }
}

bp_result bp_listen(const char *addr, uint16_t port, int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const bool is_v4 = inet_pton(AF_INET, addr, &in.sin_addr) == 1;
    const int on = 1;
    if (!is_v4 && inet_pton(AF_INET6, addr, &in6.sin6_addr) != 1) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const struct sockaddr *sa = is_v4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6;
    const socklen_t n = is_v4 ? sizeof in : sizeof in6;
    struct sockaddr_storage got = {0};
    socklen_t got_n = sizeof got;
    const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return BP_FAIL(IO);
    }
    bp_result r = BP_OK;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        r = BP_FAIL(IO);
    } else if (bind(fd, sa, n) != 0) {
        r = errno == EADDRINUSE ? BP_FAIL(EXISTS) : BP_FAIL(IO);
    } else if (listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&got, &got_n) != 0) {
        r = BP_FAIL(IO);
    }
    if (bp_failed(r)) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    *ret_port = ntohs(is_v4 ? ((struct sockaddr_in *)(void *)&got)->sin_port
                            : ((struct sockaddr_in6 *)(void *)&got)->sin6_port);
    return BP_OK;
}

static void default_limits(struct bp_server_limits *l)
{
#define BP_DEFAULT(field, value) l->field = l->field != 0 ? l->field : (value)
    BP_DEFAULT(conns_max, 16384);
    BP_DEFAULT(conns_per_source, 256);
    BP_DEFAULT(handshake_ms, 10000);
    BP_DEFAULT(head_ms, 10000);
    BP_DEFAULT(body_ms, 30000);
    BP_DEFAULT(idle_ms, 75000);
    BP_DEFAULT(hold_ms, 60000);
    BP_DEFAULT(write_ms, 20000);
    BP_DEFAULT(write_total_ms, 300000);
    BP_DEFAULT(pipeline_max, 16384);
    BP_DEFAULT(queue_max, 262144);
    BP_DEFAULT(answer_max, 16u << 20);
#undef BP_DEFAULT
}

bp_result bp_server_new(struct bp_loop *loop, int listen_fd, const struct bp_server_spec *spec, struct bp_server **ret)
{
    struct bp_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(listen_fd);
        return BP_FAIL(NO_MEMORY);
    }
    s->loop = loop;
    s->spec = *spec;
    s->fd = listen_fd;
    default_limits(&s->spec.limits);
    s->accepting = event_new(bp_loop_base(loop), listen_fd, EV_READ | EV_PERSIST, on_accept, s);
    s->resume = evtimer_new(bp_loop_base(loop), on_resume, s);
    if (s->accepting == NULL || s->resume == NULL || event_add(s->accepting, NULL) != 0) {
        bp_server_free(s);
        return BP_FAIL(NO_MEMORY);
    }
    *ret = s;
    return BP_OK;
}

void bp_server_stop_accepting(struct bp_server *s)
{
    s->is_stopped = true;
    event_del(s->accepting);
    event_del(s->resume);
}

size_t bp_server_cut(struct bp_server *s, bp_span spki_hashes)
{
    size_t cut = 0;
    for (struct bp_responder *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        for (size_t at = 0; c->has_peer && at + 32 <= spki_hashes.n; at += 32) {
            if (memcmp(c->peer.spki_sha256, spki_hashes.p + at, 32) == 0) {
                cut++;
                conn_free(c);
                break;
            }
        }
    }
    return cut;
}

const struct bp_server_stats *bp_server_stats_of(const struct bp_server *s)
{
    return &s->stats;
}

void bp_server_free(struct bp_server *s)
{
    if (s == NULL) {
        return;
    }
    s->is_stopped = true;
    while (s->conns != NULL) {
        conn_free(s->conns);
    }
    if (s->accepting != NULL) {
        event_free(s->accepting);
    }
    if (s->resume != NULL) {
        event_free(s->resume);
    }
    close(s->fd);
    free(s);
}
