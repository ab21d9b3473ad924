/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between processes: form, order, ceilings, what closes a peer. */
#include "fixture.h"
#include "net/frame.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define EMPTY_MAP BP_SPAN_STR("\xa0")

static void frames_refused(void)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        enum bp_error error;
    } rows[] = {
#define R(name, bytes, error) {name, bytes, sizeof(bytes) - 1, BP_E_##error}
        R("empty", "", TRUNCATED),
        R("not_a_map", "\x01", MALFORMED),
        R("empty_map", "\xa0", MALFORMED),
        R("no_body", "\xa2\x01\x01\x02\x61x", MALFORMED),
        R("body_only", "\xa1\x03\x41\xa0", MALFORMED),
        R("id_and_body_only", "\xa2\x01\x01\x03\x41\xa0", MALFORMED),
        R("op_and_status", "\xa4\x01\x01\x02\x61x\x03\x41\xa0\x04\x00", MALFORMED),
        R("status_without_id", "\xa2\x03\x41\xa0\x04\x00", MALFORMED),
        R("unknown_member", "\xa3\x02\x61x\x03\x41\xa0\x05\x00", MALFORMED),
        R("text_key", "\xa2\x61\x61\x61x\x61\x62\x41\xa0", MALFORMED),
        R("op_not_text", "\xa2\x02\x41x\x03\x41\xa0", MALFORMED),
        R("op_empty", "\xa2\x02\x60\x03\x41\xa0", MALFORMED),
        R("op_long", "\xa2\x02\x78\x21xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x03\x41\xa0", MALFORMED),
        R("body_not_bytes", "\xa2\x02\x61x\x03\xa0", MALFORMED),
        R("body_not_a_map", "\xa2\x02\x61x\x03\x41\x01", MALFORMED),
        R("body_not_cbor", "\xa2\x02\x61x\x03\x41\xff", MALFORMED),
        R("body_cut", "\xa2\x02\x61x\x03\x42\xa1\x01", TRUNCATED),
        R("body_leftover", "\xa2\x02\x61x\x03\x42\xa0\xa0", MALFORMED),
        R("key_order", "\xa2\x03\x41\xa0\x02\x61x", NOT_CANONICAL),
        R("key_twice", "\xa3\x02\x61x\x03\x41\xa0\x03\x41\xa0", NOT_CANONICAL),
        R("long_form", "\xa2\x18\x02\x61x\x03\x41\xa0", NOT_CANONICAL),
        R("leftover", "\xa2\x02\x61x\x03\x41\xa0\x00", MALFORMED),
#undef R
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_frame f = {.id = 77};
        char name[64];
        bp_case_begin();
        const bp_result r = bp_frame_parse(bp_span_of(rows[i].bytes, rows[i].n), &f);
        if (!BP_CHECK(bp_error_of(r) == rows[i].error)) {
            printf("# got %s\n", bp_error_name(bp_error_of(r)));
        }
        BP_CHECK(f.id == 77);
        snprintf(name, sizeof name, "refused_%s", rows[i].name);
        bp_case_end(name);
    }
}

BP_CASE(what_is_written_is_read)
{
    const struct bp_frame frames[] = {
        {BP_FRAME_REQUEST, 7, BP_SPAN_STR("http"), 0, EMPTY_MAP},
        {BP_FRAME_ANSWER, UINT64_MAX, BP_SPAN_EMPTY, 3, EMPTY_MAP},
        {BP_FRAME_NOTICE, 0, BP_SPAN_STR("end"), 0, BP_SPAN_STR("\xa1\x01\x02")},
    };
    for (size_t i = 0; i < 3; i++) {
        uint8_t buf[64];
        size_t n = 0, measured = 0;
        struct bp_frame f;
        BP_CHECK(bp_is(bp_frame_write(&frames[i], NULL, 0, &measured), BP_E_NO_SPACE));
        BP_CHECK(!bp_failed(bp_frame_write(&frames[i], buf, sizeof buf, &n)) && n == measured);
        BP_CHECK(bp_is(bp_frame_write(&frames[i], buf, n - 1, &measured), BP_E_NO_SPACE) && measured == n);
        BP_CHECK(!bp_failed(bp_frame_write(&frames[i], buf, n, &n)));
        BP_CHECK(buf[0] == 0 && buf[1] == 0 && buf[2] == 0 && buf[3] == n - 4);
        BP_CHECK(!bp_failed(bp_frame_parse(bp_span_of(buf + 4, n - 4), &f)));
        BP_CHECK(f.kind == frames[i].kind && f.id == frames[i].id && f.status == frames[i].status);
        BP_CHECK(bp_span_equal(f.op, frames[i].op) && bp_span_equal(f.body, frames[i].body));
    }
}

struct end {
    struct bp_peer *p;
    unsigned requests, notices, closed, answers;
    bp_result why, last;
    uint64_t last_status;
    uint64_t held_id;
    char op[33];
    bool hold, frees_on_request;
    int fd;
};

static void on_request(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body)
{
    struct end *e = self;
    e->requests++;
    memcpy(e->op, op.p, op.n);
    e->op[op.n] = '\0';
    e->held_id = id;
    if (e->frees_on_request) {
        bp_peer_free(p);
        e->p = NULL;
    } else if (!e->hold) {
        BP_CHECK(!bp_failed(bp_peer_answer(p, id, 5, body)));
    }
}

static void on_notice(void *self, struct bp_peer *p, bp_span op, bp_span body)
{
    struct end *e = self;
    (void)op;
    (void)body;
    e->notices++;
    BP_IGNORE(bp_peer_take_fd(p, &e->fd), "not every notice brings one");
}

static void on_closed(void *self, struct bp_peer *p, bp_result r)
{
    struct end *e = self;
    (void)p;
    e->closed++;
    e->why = r;
}

static void on_answer(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct end *e = arg;
    (void)body;
    e->answers++;
    e->last = r;
    e->last_status = status;
}

static const struct bp_peer_ops ops = {on_request, on_notice, on_closed, false};
static const struct bp_peer_ops ops_fds = {on_request, on_notice, on_closed, true};

static struct end a, b;

static bool pair(const struct bp_peer_ops *ops_b)
{
    int fds[2];
    a = b = (struct end){.fd = -1};
    return BP_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0) &&
           BP_CHECK(!bp_failed(bp_peer_new(fx_loop(), fds[0], &ops, &a, &a.p))) &&
           BP_CHECK(!bp_failed(bp_peer_new(fx_loop(), fds[1], ops_b, &b, &b.p)));
}

/* One end is a peer, the other a bare descriptor. */
static int half(const struct bp_peer_ops *o)
{
    int fds[2] = {-1, -1};
    a = b = (struct end){.fd = -1};
    BP_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    BP_CHECK(!bp_failed(bp_peer_new(fx_loop(), fds[0], o, &a, &a.p)));
    return fds[1];
}

static void done(void)
{
    bp_peer_free(a.p);
    bp_peer_free(b.p);
}

static bool a_answered(void *arg)
{
    return a.answers >= *(unsigned *)arg;
}

static bool a_closed(void *arg)
{
    (void)arg;
    return a.closed > 0;
}

BP_CASE(call_and_answer)
{
    unsigned want = 100;
    BP_NEED(pair(&ops));
    for (unsigned i = 0; i < want; i++) {
        BP_CHECK(!bp_failed(bp_peer_call(a.p, "echo", EMPTY_MAP, 1000, on_answer, &a)));
    }
    BP_CHECK(fx_until(a_answered, &want, 2000) && b.requests == want && !bp_failed(a.last) && a.last_status == 5);
    BP_CHECK(strcmp(b.op, "echo") == 0 && bp_peer_queued(a.p) == 0);
    done();
}

BP_CASE(large_frames_pass_and_larger_do_not)
{
    unsigned want = 1;
    static uint8_t big[BP_FRAME_MAX];
    const size_t n = BP_FRAME_MAX - 64;
    /* {1: bytes} of exactly n bytes */
    big[0] = 0xa1;
    big[1] = 1;
    big[2] = 0x5a;
    big[3] = (uint8_t)((n - 7) >> 24);
    big[4] = (uint8_t)((n - 7) >> 16);
    big[5] = (uint8_t)((n - 7) >> 8);
    big[6] = (uint8_t)(n - 7);
    BP_NEED(pair(&ops));
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "big", bp_span_of(big, n), 5000, on_answer, &a)));
    BP_CHECK(fx_until(a_answered, &want, 5000) && !bp_failed(a.last));
    BP_CHECK(bp_is(bp_peer_call(a.p, "big", bp_span_of(big, sizeof big), 5000, on_answer, &a), BP_E_LIMIT));
    done();
}

BP_CASE(call_times_out_and_a_late_answer_is_no_error)
{
    unsigned want = 1, want2 = 2;
    BP_NEED(pair(&ops));
    b.hold = true;
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "slow", EMPTY_MAP, 20, on_answer, &a)));
    BP_CHECK(fx_until(a_answered, &want, 2000) && bp_is(a.last, BP_E_EXPIRED));
    BP_CHECK(!bp_failed(bp_peer_answer(b.p, b.held_id, 0, EMPTY_MAP)));
    fx_run(20);
    b.hold = false;
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "fast", EMPTY_MAP, 1000, on_answer, &a)));
    BP_CHECK(fx_until(a_answered, &want2, 2000) && !bp_failed(a.last) && a.closed == 0);
    done();
}

BP_CASE(open_calls_end_when_the_other_side_goes)
{
    unsigned want = 3;
    BP_NEED(pair(&ops));
    b.hold = true;
    for (unsigned i = 0; i < want; i++) {
        BP_CHECK(!bp_failed(bp_peer_call(a.p, "x", EMPTY_MAP, 5000, on_answer, &a)));
    }
    fx_run(10);
    bp_peer_free(b.p);
    b.p = NULL;
    BP_CHECK(fx_until(a_answered, &want, 2000) && bp_is(a.last, BP_E_CLOSED) && a.closed == 1);
    BP_CHECK(bp_is(bp_peer_call(a.p, "x", EMPTY_MAP, 5000, on_answer, &a), BP_E_CLOSED));
    done();
}

BP_CASE(freeing_ends_open_calls_and_may_happen_in_a_callback)
{
    BP_NEED(pair(&ops));
    b.frees_on_request = true;
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "x", EMPTY_MAP, 5000, on_answer, &a)));
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "y", EMPTY_MAP, 5000, on_answer, &a)));
    BP_CHECK(fx_until(a_closed, NULL, 2000) && a.answers == 2 && b.p == NULL && b.requests == 1 && b.closed == 0);
    done();
    BP_NEED(pair(&ops));
    b.hold = true;
    BP_CHECK(!bp_failed(bp_peer_call(a.p, "x", EMPTY_MAP, 5000, on_answer, &a)));
    bp_peer_free(a.p);
    a.p = NULL;
    BP_CHECK(a.answers == 1 && bp_is(a.last, BP_E_CLOSED));
    done();
}

BP_CASE(table_and_queue_have_ceilings)
{
    static uint8_t body[1u << 20];
    bp_result r = BP_OK;
    unsigned n = 0;
    const int fd = half(&ops);
    BP_NEED(fd >= 0);
    while (n <= BP_FRAME_OPEN_MAX && !bp_failed(r)) {
        r = bp_peer_call(a.p, "x", EMPTY_MAP, 60000, on_answer, &a);
        n += !bp_failed(r);
    }
    BP_CHECK(bp_is(r, BP_E_BUSY) && n == BP_FRAME_OPEN_MAX);
    const uint8_t head[] = {0xa1, 1, 0x5a, 0, 0x0f, 0xff, 0xf9}; /* {1: 1 MiB - 7 bytes} */
    memcpy(body, head, sizeof head);
    r = BP_OK;
    for (n = 0; n < 32 && !bp_failed(r); n++) {
        r = bp_peer_notify(a.p, "x", BP_SPAN_OF(body));
    }
    BP_CHECK(bp_is(r, BP_E_BUSY) && bp_peer_queued(a.p) <= BP_FRAME_QUEUE_MAX && n >= 16);
    close(fd);
    done();
}

static void what_closes_a_peer(void)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        enum bp_error error;
    } rows[] = {
#define R(name, bytes, error) {name, bytes, sizeof(bytes) - 1, BP_E_##error}
        R("empty_frame", "\x00\x00\x00\x00", MALFORMED),
        R("too_long", "\x00\x40\x00\x01", LIMIT),
        R("length_all_ones", "\xff\xff\xff\xff", LIMIT),
        R("not_cbor", "\x00\x00\x00\x01\xff", MALFORMED),
        R("answer_never_asked", "\x00\x00\x00\x08\xa3\x01\x01\x03\x41\xa0\x04\x00", MALFORMED),
        R("answer_to_zero", "\x00\x00\x00\x08\xa3\x01\x00\x03\x41\xa0\x04\x00", MALFORMED),
        R("second_frame_bad", "\x00\x00\x00\x07\xa2\x02\x61x\x03\x41\xa0\x00\x00\x00\x01\xff", MALFORMED),
#undef R
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t piece = 1; piece <= 64; piece += 63) {
            char name[64];
            bp_case_begin();
            const int fd = half(&ops);
            for (size_t at = 0; at < rows[i].n; at += piece) {
                const size_t n = rows[i].n - at < piece ? rows[i].n - at : piece;
                BP_CHECK(send(fd, rows[i].bytes + at, n, MSG_NOSIGNAL) == (ssize_t)n);
                fx_run(1);
            }
            BP_CHECK(fx_until(a_closed, NULL, 2000) && bp_error_of(a.why) == rows[i].error && a.closed == 1);
            char c = 0;
            BP_CHECK(recv(fd, &c, 1, 0) == 0);
            close(fd);
            done();
            snprintf(name, sizeof name, "closes_%s_%s", rows[i].name, piece == 1 ? "byte_by_byte" : "at_once");
            bp_case_end(name);
        }
    }
}

static bool b_noticed(void *arg)
{
    (void)arg;
    return b.notices > 0;
}

BP_CASE(descriptor_travels_only_where_wanted)
{
    int fds[2];
    char c = 0;
    BP_NEED(pipe(fds) == 0);
    BP_NEED(pair(&ops_fds));
    BP_CHECK(!bp_failed(bp_peer_notify_fd(a.p, "channel", EMPTY_MAP, fds[1])));
    BP_CHECK(fx_until(b_noticed, NULL, 2000) && b.fd >= 0 && b.fd != fds[1]);
    BP_CHECK(write(b.fd, "!", 1) == 1 && read(fds[0], &c, 1) == 1 && c == '!');
    BP_CHECK((fcntl(b.fd, F_GETFD) & FD_CLOEXEC) != 0);
    close(b.fd);
    done();
    BP_NEED(pair(&ops));
    BP_CHECK(!bp_failed(bp_peer_notify_fd(a.p, "channel", EMPTY_MAP, fds[1])));
    BP_CHECK(fx_until(a_closed, NULL, 2000) && b.closed == 1 && b.notices == 0 && bp_is(b.why, BP_E_MALFORMED));
    done();
    close(fds[0]);
    close(fds[1]);
}

/* ---- the blocking call ---- */

static int64_t mono(void *self)
{
    struct timespec t;
    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void blocking(void)
{
    static const struct {
        const char *name, *answer;
        size_t n;
        enum bp_error error;
    } rows[] = {
#define R(name, bytes, error) {name, bytes, sizeof(bytes) - 1, BP_E_##error}
        R("answered", "\x00\x00\x00\x08\xa3\x01\x01\x03\x41\xa0\x04\x06", OK),
        R("no_answer", "", EXPIRED),
        R("half_an_answer", "\x00\x00\x00\x08\xa3\x01\x01", EXPIRED),
        R("another_id", "\x00\x00\x00\x08\xa3\x01\x02\x03\x41\xa0\x04\x06", MALFORMED),
        R("a_notice", "\x00\x00\x00\x07\xa2\x02\x61x\x03\x41\xa0", MALFORMED),
        R("too_long", "\x7f\x00\x00\x08", MALFORMED),
#undef R
    };
    const struct bp_clock clock = {.mono_ms = mono};
    for (size_t i = 0; i <= sizeof rows / sizeof rows[0]; i++) {
        int fds[2];
        uint8_t ret[8];
        size_t n = 0;
        uint64_t status = 99;
        char name[64];
        const bool is_gone = i == sizeof rows / sizeof rows[0];
        bp_case_begin();
        if (BP_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)) {
            if (is_gone) {
                close(fds[1]);
            } else {
                BP_CHECK(write(fds[1], rows[i].answer, rows[i].n) == (ssize_t)rows[i].n);
            }
            const bp_result r =
                bp_frame_call(fds[0], &clock, 50, "sign", EMPTY_MAP, &status, ret, sizeof ret, &n);
            BP_CHECK(bp_error_of(r) == (is_gone ? BP_E_CLOSED : rows[i].error));
            BP_CHECK(bp_failed(r) ? status == 99 : status == 6 && n == 1 && ret[0] == 0xa0);
            close(fds[0]);
            if (!is_gone) {
                close(fds[1]);
            }
        }
        snprintf(name, sizeof name, "blocking_%s", is_gone ? "closed" : rows[i].name);
        bp_case_end(name);
    }
}

BP_SUITE(frame, BP_TABLE(frames_refused) BP_RUN(what_is_written_is_read) BP_RUN(call_and_answer)
    BP_RUN(large_frames_pass_and_larger_do_not) BP_RUN(call_times_out_and_a_late_answer_is_no_error)
    BP_RUN(open_calls_end_when_the_other_side_goes) BP_RUN(freeing_ends_open_calls_and_may_happen_in_a_callback)
    BP_RUN(table_and_queue_have_ceilings) BP_TABLE(what_closes_a_peer) BP_RUN(descriptor_travels_only_where_wanted)
    BP_TABLE(blocking))
