/* SPDX-License-Identifier: Apache-2.0 */
/* net/frame - see frame.h. */
#include "net/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/event.h>

#include "codec/cbor.h"

#define BP_MODULE PROC

#define LEN_SIZE   4u
#define HEAD_MAX   80u /* map head, id, op or status, head of the body */
#define READ_PIECE 65536u
#define READS_A_TURN 8

/* ---- one frame ---- */

static bool is_map(bp_span body)
{
    const bp_rd rd = bp_rd_over(body);
    return bp_cbor_peek(&rd) == BP_CBOR_MAP;
}

/* Members come in ascending order, so the kinds differ in which of 1, 2, 4 are there; the body is always. */
bp_result bp_frame_parse(bp_span in, struct bp_frame *ret)
{
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    struct bp_frame f = {0};
    bool has_id = false, has_op = false, has_body = false, has_status = false;
    const size_t members = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < members && i < 4; i++) {
        switch (bp_cbor_get_uint(&rd)) {
        case 1:
            has_id = true;
            f.id = bp_cbor_get_uint(&rd);
            break;
        case 2:
            has_op = true;
            f.op = bp_cbor_get_tstr(&rd);
            break;
        case 3:
            has_body = true;
            f.body = bp_cbor_get_bstr(&rd);
            break;
        case 4:
            has_status = true;
            f.status = bp_cbor_get_uint(&rd);
            break;
        default:
            return BP_FAIL(MALFORMED);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    if (!has_body || has_op == has_status || (has_status && !has_id) || f.op.n > BP_FRAME_OP_MAX ||
        (has_op && f.op.n == 0)) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(bp_cbor_check(f.body));
    if (!is_map(f.body)) {
        return BP_FAIL(MALFORMED);
    }
    f.kind = has_status ? BP_FRAME_ANSWER : has_id ? BP_FRAME_REQUEST : BP_FRAME_NOTICE;
    *ret = f;
    return BP_OK;
}

bp_result bp_frame_write(const struct bp_frame *f, uint8_t *ret, size_t cap, size_t *ret_len)
{
    /* The message is measured and written by one path, behind the room for its length. */
    bp_cw cw = cap > LEN_SIZE ? bp_cw_over(ret + LEN_SIZE, cap - LEN_SIZE) : bp_cw_over(NULL, 0);
    bp_cw_map(&cw, f->kind == BP_FRAME_NOTICE ? 2 : 3);
    if (f->kind != BP_FRAME_NOTICE) {
        bp_cw_uint(&cw, 1);
        bp_cw_uint(&cw, f->id);
    }
    if (f->kind != BP_FRAME_ANSWER) {
        bp_cw_uint(&cw, 2);
        bp_cw_tstr(&cw, f->op);
    }
    bp_cw_uint(&cw, 3);
    bp_cw_bstr(&cw, f->body);
    if (f->kind == BP_FRAME_ANSWER) {
        bp_cw_uint(&cw, 4);
        bp_cw_uint(&cw, f->status);
    }
    const bp_result r = bp_cw_finish(&cw);
    if (bp_failed(r) && !bp_is(r, BP_E_NO_SPACE)) {
        return r;
    }
    if (cw.wr.n > BP_FRAME_MAX) {
        return BP_FAIL(LIMIT);
    }
    *ret_len = cw.wr.n + LEN_SIZE;
    if (bp_failed(r)) {
        return r;
    }
    bp_wr len = bp_wr_over(ret, LEN_SIZE);
    bp_wr_be32(&len, (uint32_t)cw.wr.n);
    return bp_wr_finish(&len);
}

/* ---- the peer ---- */

/* A frame that waits to be written, with the descriptor that goes with its first byte. */
struct out {
    struct out *next;
    size_t n, at;
    int fd;
    uint8_t bytes[];
};

struct call {
    struct call *next;
    uint64_t id;
    bp_peer_fn *fn;
    void *arg;
    struct bp_timer *timer;
    struct bp_peer *p;
};

#define CALL_BUCKETS 256u

struct bp_peer {
    struct bp_loop *loop;
    int fd;
    struct bp_peer_ops ops;
    void *self;
    struct event *reading, *writing;
    struct bp_timer *closing; /* closes from the loop, never from under a caller */
    bp_result why;
    uint8_t *in; /* length and what came of one frame */
    size_t in_n, in_cap;
    struct out *first, *last;
    size_t queued;
    uint64_t next_id;
    struct call *calls[CALL_BUCKETS];
    size_t open;
    int fds[BP_FRAME_FDS_MAX];
    size_t fd_n;
    uint32_t busy; /* callbacks that are running over this peer */
    bool is_gone;  /* nothing is read or written any more */
    bool is_freed; /* bp_peer_free was called while busy */
};

static void release(struct bp_peer *p)
{
    while (p->first != NULL) {
        struct out *o = p->first;
        p->first = o->next;
        if (o->fd >= 0) {
            close(o->fd);
        }
        free(o);
    }
    for (size_t i = 0; i < p->fd_n; i++) {
        close(p->fds[i]);
    }
    if (p->reading != NULL) {
        event_free(p->reading);
    }
    if (p->writing != NULL) {
        event_free(p->writing);
    }
    bp_timer_free(p->closing);
    if (p->fd >= 0) {
        close(p->fd);
    }
    free(p->in);
    free(p);
}

static void enter(struct bp_peer *p)
{
    p->busy++;
}

static void leave(struct bp_peer *p)
{
    if (--p->busy == 0 && p->is_freed) {
        release(p);
    }
}

static void call_end(struct call *c, bp_result r, uint64_t status, bp_span body)
{
    bp_peer_fn *fn = c->fn;
    void *arg = c->arg;
    bp_timer_free(c->timer);
    c->p->open--;
    free(c);
    fn(arg, r, status, body);
}

static struct call *call_take(struct bp_peer *p, uint64_t id)
{
    for (struct call **at = &p->calls[id % CALL_BUCKETS]; *at != NULL; at = &(*at)->next) {
        if ((*at)->id == id) {
            struct call *c = *at;
            *at = c->next;
            return c;
        }
    }
    return NULL;
}

static void end_calls(struct bp_peer *p, bp_result r)
{
    for (size_t i = 0; i < CALL_BUCKETS; i++) {
        while (p->calls[i] != NULL) {
            struct call *c = p->calls[i];
            p->calls[i] = c->next;
            call_end(c, r, 0, BP_SPAN_EMPTY);
        }
    }
}

/* Nothing more is read or written; the owner hears of it from the loop. */
static void fail(struct bp_peer *p, bp_result why)
{
    if (p->is_gone) {
        return;
    }
    p->is_gone = true;
    p->why = why;
    event_del(p->reading);
    event_del(p->writing);
    BP_IGNORE(bp_timer_start(p->closing, 0), "the timer was allocated with the peer; only re-arming can fail");
}

static void on_closing(void *arg)
{
    struct bp_peer *p = arg;
    enter(p);
    close(p->fd); /* the other side hears of it even when the owner keeps the object for a while */
    p->fd = -1;
    end_calls(p, BP_FAIL(CLOSED));
    if (!p->is_freed && p->ops.on_closed != NULL) {
        p->ops.on_closed(p->self, p, p->why);
    }
    leave(p);
}

void bp_peer_free(struct bp_peer *p)
{
    if (p == NULL || p->is_freed) {
        return;
    }
    enter(p);
    p->is_freed = true;
    p->is_gone = true;
    event_del(p->reading);
    event_del(p->writing);
    bp_timer_stop(p->closing);
    end_calls(p, BP_FAIL(CLOSED));
    leave(p);
}

/* ---- writing ---- */

static ssize_t send_piece(int fd, const struct out *o)
{
    struct iovec v = {.iov_len = o->n - o->at};
    /* iov_base is not const although it is only read */
    v.iov_base = (void *)(uintptr_t)(o->bytes + o->at);
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    if (o->fd >= 0 && o->at == 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &o->fd, sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void flush(struct bp_peer *p)
{
    while (p->first != NULL && !p->is_gone) {
        struct out *o = p->first;
        const ssize_t n = send_piece(p->fd, o);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            if (event_add(p->writing, NULL) != 0) {
                fail(p, BP_FAIL(NO_MEMORY));
            }
            return;
        }
        if (n < 0) {
            fail(p, BP_FAIL(CLOSED));
            return;
        }
        o->at += (size_t)n;
        p->queued -= (size_t)n;
        if (o->at == o->n) {
            p->first = o->next;
            p->last = p->first == NULL ? NULL : p->last;
            if (o->fd >= 0) {
                close(o->fd);
            }
            free(o);
        }
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    flush(arg);
}

/* Queues one frame. fd is owned from then on, also on failure. */
static bp_result enqueue(struct bp_peer *p, const struct bp_frame *f, int fd)
{
    bp_result r = BP_FAIL(CLOSED);
    struct out *o = NULL;
    size_t n = 0;
    if (p->is_gone) {
        goto out;
    }
    const size_t cap = f->body.n + HEAD_MAX;
    r = BP_FAIL(BUSY);
    if (cap > BP_FRAME_QUEUE_MAX - p->queued) {
        goto out;
    }
    r = BP_FAIL(NO_MEMORY);
    o = malloc(sizeof *o + cap);
    if (o == NULL) {
        goto out;
    }
    *o = (struct out){.fd = -1}; /* before the bytes, which may begin inside the struct's padding */
    r = bp_frame_write(f, o->bytes, cap, &n);
    if (bp_failed(r)) {
        goto out;
    }
    o->n = n;
    o->fd = fd;
    fd = -1;
    if (p->last != NULL) {
        p->last->next = o;
    } else {
        p->first = o;
    }
    p->last = o;
    p->queued += n;
    const bool is_only = p->first == o;
    o = NULL;
    if (is_only) {
        flush(p);
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    free(o);
    return r;
}

/* ---- reading ---- */

/* Keeps the descriptors that came; false when they were not asked for or are too many. */
static bool take_fds(struct bp_peer *p, struct msghdr *m)
{
    bool ok = (m->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(m); cm != NULL; cm = CMSG_NXTHDR(m, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof fd);
            if (!p->ops.takes_fds || p->fd_n == BP_FRAME_FDS_MAX) {
                close(fd);
                ok = false;
            } else {
                p->fds[p->fd_n++] = fd;
            }
        }
    }
    return ok;
}

static bool has_open_id(const struct bp_peer *p, uint64_t id)
{
    return id > 0 && id < p->next_id;
}

static void dispatch(struct bp_peer *p, const struct bp_frame *f)
{
    if (f->kind == BP_FRAME_ANSWER) {
        struct call *c = call_take(p, f->id);
        if (c != NULL) {
            call_end(c, BP_OK, f->status, f->body);
        } else if (!has_open_id(p, f->id)) {
            fail(p, BP_FAIL(MALFORMED)); /* an answer to what was never asked */
        } /* else it comes after its call timed out */
    } else if (f->kind == BP_FRAME_REQUEST && p->ops.on_request != NULL) {
        p->ops.on_request(p->self, p, f->id, f->op, f->body);
    } else if (f->kind == BP_FRAME_NOTICE && p->ops.on_notice != NULL) {
        p->ops.on_notice(p->self, p, f->op, f->body);
    } else {
        fail(p, BP_FAIL(MALFORMED));
    }
}

static size_t wanted(const struct bp_peer *p)
{
    if (p->in_n < LEN_SIZE) {
        return LEN_SIZE;
    }
    bp_rd rd = bp_rd_over(bp_span_of(p->in, LEN_SIZE));
    return LEN_SIZE + (size_t)bp_rd_be32(&rd);
}

static bp_result reserve(struct bp_peer *p, size_t n)
{
    if (n > LEN_SIZE + (size_t)BP_FRAME_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (n == LEN_SIZE && p->in_n == LEN_SIZE) {
        return BP_FAIL(MALFORMED); /* an empty frame */
    }
    if (n > p->in_cap) {
        uint8_t *in = realloc(p->in, n);
        if (in == NULL) {
            return BP_FAIL(NO_MEMORY);
        }
        p->in = in;
        p->in_cap = n;
    }
    return BP_OK;
}

/* Hands on the complete frame in the buffer and empties it. */
static void frame_complete(struct bp_peer *p)
{
    struct bp_frame f;
    uint8_t *bytes = p->in;
    const size_t n = p->in_n;
    /* The callback may free the peer; the bytes are its own until it returns. */
    p->in = NULL;
    p->in_n = p->in_cap = 0;
    const bp_result r = bp_frame_parse(bp_span_of(bytes + LEN_SIZE, n - LEN_SIZE), &f);
    if (bp_failed(r)) {
        fail(p, r);
    } else {
        dispatch(p, &f);
    }
    if (n <= READ_PIECE) {
        p->in = bytes; /* kept for the next frame; a large one is not worth keeping */
        p->in_cap = n;
    } else {
        free(bytes);
    }
}

/* Adds received bytes to frames and hands each complete one on. */
static void take_bytes(struct bp_peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && !p->is_gone) {
        const size_t want = wanted(p);
        const size_t take = want - p->in_n < n - at ? want - p->in_n : n - at;
        memcpy(p->in + p->in_n, bytes + at, take);
        p->in_n += take;
        at += take;
        if (p->in_n > LEN_SIZE && p->in_n == wanted(p)) {
            frame_complete(p);
        }
        /* Room for what the length announces, or for the next length. */
        const bp_result r = reserve(p, p->in_n == LEN_SIZE ? wanted(p) : LEN_SIZE);
        if (bp_failed(r)) {
            fail(p, r);
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static uint8_t piece[READ_PIECE]; /* one loop a process, and nothing of it outlives the call */
    struct bp_peer *p = arg;
    (void)what;
    enter(p);
    for (int i = 0; i < READS_A_TURN && !p->is_gone; i++) {
        struct iovec v = {.iov_base = piece, .iov_len = sizeof piece};
        union {
            struct cmsghdr align;
            uint8_t bytes[CMSG_SPACE(sizeof(int) * BP_FRAME_FDS_MAX)];
        } control;
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        const ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            fail(p, BP_FAIL(CLOSED));
        } else if (!take_fds(p, &m)) {
            fail(p, BP_FAIL(MALFORMED));
        } else {
            take_bytes(p, piece, (size_t)n);
        }
    }
    leave(p);
}

/* ---- public ---- */

bp_result bp_peer_new(struct bp_loop *loop, int fd, const struct bp_peer_ops *ops, void *self, struct bp_peer **ret)
{
    struct bp_peer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        close(fd);
        return BP_FAIL(NO_MEMORY);
    }
    p->loop = loop;
    p->fd = fd;
    p->ops = *ops;
    p->self = self;
    p->next_id = 1;
    bp_result r = reserve(p, LEN_SIZE);
    p->reading = event_new(bp_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, p);
    p->writing = event_new(bp_loop_base(loop), fd, EV_WRITE, on_writable, p);
    if (!bp_failed(r)) {
        r = bp_timer_new(loop, on_closing, p, &p->closing);
    }
    if (!bp_failed(r) && (p->reading == NULL || p->writing == NULL || event_add(p->reading, NULL) != 0)) {
        r = BP_FAIL(NO_MEMORY);
    }
    if (bp_failed(r)) {
        release(p);
        return r;
    }
    *ret = p;
    return BP_OK;
}

static void on_call_late(void *arg)
{
    struct call *c = arg;
    struct bp_peer *p = c->p;
    enter(p);
    call_take(p, c->id);
    call_end(c, BP_FAIL(EXPIRED), 0, BP_SPAN_EMPTY);
    leave(p);
}

bp_result bp_peer_call(struct bp_peer *p, const char *op, bp_span body, uint32_t timeout_ms, bp_peer_fn *fn, void *arg)
{
    if (p->is_gone) {
        return BP_FAIL(CLOSED);
    }
    if (p->open >= BP_FRAME_OPEN_MAX) {
        return BP_FAIL(BUSY);
    }
    struct call *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    *c = (struct call){.id = p->next_id, .fn = fn, .arg = arg, .p = p};
    bp_result r = bp_timer_new(p->loop, on_call_late, c, &c->timer);
    if (!bp_failed(r)) {
        r = bp_timer_start(c->timer, timeout_ms);
    }
    const struct bp_frame f = {.kind = BP_FRAME_REQUEST, .id = c->id, .op = bp_span_cstr(op), .body = body};
    if (!bp_failed(r)) {
        r = enqueue(p, &f, -1);
    }
    if (bp_failed(r)) {
        bp_timer_free(c->timer);
        free(c);
        return r;
    }
    p->next_id++;
    p->open++;
    c->next = p->calls[c->id % CALL_BUCKETS];
    p->calls[c->id % CALL_BUCKETS] = c;
    return BP_OK;
}

bp_result bp_peer_answer(struct bp_peer *p, uint64_t id, uint64_t status, bp_span body)
{
    const struct bp_frame f = {.kind = BP_FRAME_ANSWER, .id = id, .status = status, .body = body};
    const bp_result r = enqueue(p, &f, -1);
    if (bp_is(r, BP_E_BUSY)) {
        fail(p, r);
    }
    return r;
}

bp_result bp_peer_notify(struct bp_peer *p, const char *op, bp_span body)
{
    const struct bp_frame f = {.kind = BP_FRAME_NOTICE, .op = bp_span_cstr(op), .body = body};
    return enqueue(p, &f, -1);
}

bp_result bp_peer_notify_fd(struct bp_peer *p, const char *op, bp_span body, int fd)
{
    const struct bp_frame f = {.kind = BP_FRAME_NOTICE, .op = bp_span_cstr(op), .body = body};
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? enqueue(p, &f, copy) : BP_FAIL(IO);
}

bp_result bp_peer_take_fd(struct bp_peer *p, int *ret_fd)
{
    if (p->fd_n == 0) {
        return BP_FAIL(NOT_FOUND);
    }
    *ret_fd = p->fds[0];
    p->fd_n--;
    memmove(p->fds, p->fds + 1, p->fd_n * sizeof p->fds[0]);
    return BP_OK;
}

size_t bp_peer_queued(const struct bp_peer *p)
{
    return p->queued;
}

/* ---- the blocking call ---- */

/* Waits until fd is ready or the time is over; deadline in the clock's monotonic milliseconds. */
static bp_result wait_for(int fd, short events, const struct bp_clock *clock, int64_t deadline)
{
    for (;;) {
        const int64_t left = deadline - bp_mono_ms(clock);
        struct pollfd pfd = {.fd = fd, .events = events};
        if (left <= 0) {
            return BP_FAIL(EXPIRED);
        }
        const int n = poll(&pfd, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0) {
            return BP_OK;
        }
        if (n < 0 && errno != EINTR) {
            return BP_FAIL(IO);
        }
    }
}

static bp_result write_all(int fd, const uint8_t *p, size_t n, const struct bp_clock *clock, int64_t deadline)
{
    while (n > 0) {
        const ssize_t k = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (errno == EAGAIN || errno == EINTR) {
            BP_TRY(wait_for(fd, POLLOUT, clock, deadline));
        } else {
            return BP_FAIL(CLOSED);
        }
    }
    return BP_OK;
}

static bp_result read_all(int fd, uint8_t *p, size_t n, const struct bp_clock *clock, int64_t deadline)
{
    while (n > 0) {
        const ssize_t k = recv(fd, p, n, MSG_DONTWAIT);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
            BP_TRY(wait_for(fd, POLLIN, clock, deadline));
        } else {
            return BP_FAIL(CLOSED);
        }
    }
    return BP_OK;
}

/* Reads one frame into memory that the caller frees. */
static bp_result read_frame(int fd, const struct bp_clock *clock, int64_t deadline, uint8_t **ret, size_t *ret_len)
{
    uint8_t len[LEN_SIZE];
    BP_TRY(read_all(fd, len, sizeof len, clock, deadline));
    bp_rd rd = bp_rd_over(BP_SPAN_OF(len));
    const size_t n = bp_rd_be32(&rd);
    if (n == 0 || n > BP_FRAME_MAX) {
        return BP_FAIL(MALFORMED);
    }
    uint8_t *p = malloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = read_all(fd, p, n, clock, deadline);
    if (bp_failed(r)) {
        free(p);
        return r;
    }
    *ret = p;
    *ret_len = n;
    return BP_OK;
}

bp_result bp_frame_call(int fd, const struct bp_clock *clock, uint32_t timeout_ms, const char *op, bp_span body,
                        uint64_t *ret_status, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const int64_t deadline = bp_mono_ms(clock) + timeout_ms;
    /* One request at a time on this channel, so its number need not change: an answer that comes late would have made
     * the caller close the channel. */
    const struct bp_frame ask = {.kind = BP_FRAME_REQUEST, .id = 1, .op = bp_span_cstr(op), .body = body};
    struct bp_frame answer;
    uint8_t *in = NULL;
    size_t n = 0;
    uint8_t *out = malloc(body.n + HEAD_MAX);
    if (out == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_frame_write(&ask, out, body.n + HEAD_MAX, &n);
    if (!bp_failed(r)) {
        r = write_all(fd, out, n, clock, deadline);
    }
    if (!bp_failed(r)) {
        r = read_frame(fd, clock, deadline, &in, &n);
    }
    if (!bp_failed(r)) {
        r = bp_frame_parse(bp_span_of(in, n), &answer);
    }
    if (bp_failed(r)) {
        goto out;
    }
    if (answer.kind != BP_FRAME_ANSWER || answer.id != ask.id) {
        r = BP_FAIL(MALFORMED);
        goto out;
    }
    *ret_len = answer.body.n;
    if (answer.body.n > cap) {
        r = BP_FAIL(NO_SPACE);
        goto out;
    }
    memcpy(ret, answer.body.p, answer.body.n);
    *ret_status = answer.status;
out:
    free(out);
    free(in);
    return r;
}
