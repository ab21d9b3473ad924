/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/stream - the event stream of the operators' page: who may read is asked of the keeper when it begins and of
 * a reader every minute after (which, unlike the keeper's answer, does not keep a session from idling out). */
#include "fleet/proc/front.h"

#include <stdio.h>

#include "fleet/api/api.h"
#include "fleet/ipc/message.h"
#include "platform/alloc.h"

#define BP_MODULE PROC

#define BEAT_MS      15000u
#define ASK_AGAIN_MS 60000

#define TARGET_BEGIN BP_API_PREFIX "/session"
#define TARGET_AGAIN BP_API_PREFIX "/brownfield" /* the smallest answer that a viewer may read */

static void forget(struct bp_stream_reader *s)
{
    struct bp_front *f = s->f;
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        f->streams = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    f->stream_count--;
    bp_free_secret(s->ask, s->ask_n); /* it holds the cookie */
    bp_free(s);
}

/* The client is gone. An answer that is still to come frees the rest. */
static void on_left(void *arg)
{
    struct bp_stream_reader *s = arg;
    s->rs = NULL;
    s->is_gone = true;
    if (!s->is_asking) {
        forget(s);
    }
}

static void end(struct bp_stream_reader *s)
{
    if (s->rs != NULL && !s->is_gone) {
        bp_stream_end(s->rs);
    }
    s->rs = NULL;
    s->is_gone = true;
    if (!s->is_asking) {
        forget(s);
    }
}

static bool is_good(bp_result r, uint64_t status, bp_span body, struct bp_ex_answer *ret)
{
    return !bp_failed(r) && status == 0 && !bp_failed(bp_ex_answer_read(body, ret)) && ret->status == 200;
}

/* ---- asking again ---- */

static void on_still(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_stream_reader *s = arg;
    struct bp_ex_answer a;
    s->is_asking = false;
    /* A reader that is being replaced says nothing about the session: the next turn asks again. */
    if (s->is_gone) {
        forget(s);
    } else if (!bp_failed(r) && !is_good(r, status, body, &a)) {
        end(s);
    }
}

static void ask_again(struct bp_stream_reader *s, int64_t now)
{
    struct bp_front *f = s->f;
    struct bp_peer *to = NULL;
    for (size_t i = 0; i < BP_FRONT_READERS_MAX && to == NULL; i++) {
        to = f->reader[i];
    }
    if (s->is_asking || to == NULL || now - s->asked_ms < ASK_AGAIN_MS) {
        return;
    }
    if (!bp_failed(bp_peer_call(to, "http", bp_span_of(s->ask, s->ask_n), BP_FRONT_CALL_MS, on_still, s))) {
        s->is_asking = true;
        s->asked_ms = now;
    }
}

static void on_beat(void *arg)
{
    struct bp_front *f = arg;
    const int64_t now = bp_mono_ms(&f->c->clock);
    for (struct bp_stream_reader *s = f->streams, *next; s != NULL; s = next) {
        next = s->next;
        if (!s->is_gone && s->rs != NULL) {
            BP_IGNORE(bp_stream_send(s->rs, BP_SPAN_STR(":\n\n")), "a reader that is too slow is cut by the server");
            ask_again(s, now);
        }
    }
    BP_IGNORE(bp_timer_start(f->beat, BEAT_MS), "without it streams end by their own silence");
}

/* ---- beginning ---- */

struct begin {
    struct bp_front_listener *l;
    struct bp_responder *rs;
    uint8_t *again;
    size_t again_n;
};

static void on_begin_left(void *arg)
{
    struct begin *b = arg;
    b->rs = NULL;
}

static bool add(struct begin *b)
{
    struct bp_front *f = b->l->f;
    const struct bp_http_header h[] = {{"Content-Type", BP_SPAN_STR("text/event-stream")},
                                       {"Cache-Control", BP_SPAN_STR("no-store")},
                                       {"X-Content-Type-Options", BP_SPAN_STR("nosniff")}};
    struct bp_stream_reader *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return false;
    }
    *s = (struct bp_stream_reader){.f = f, .rs = b->rs, .ask = b->again, .ask_n = b->again_n,
                                   .asked_ms = bp_mono_ms(&f->c->clock), .next = f->streams};
    if (bp_failed(bp_stream_begin(b->rs, 200, h, sizeof h / sizeof h[0], on_left, s))) {
        bp_free(s);
        b->rs = NULL; /* it was answered */
        return false;
    }
    b->again = NULL;
    if (f->streams != NULL) {
        f->streams->prev = s;
    }
    f->streams = s;
    f->stream_count++;
    BP_IGNORE(bp_stream_send(s->rs, BP_SPAN_STR(":\n\n")), "the first piece always has room");
    return true;
}

static void on_may(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct begin *b = arg;
    struct bp_front *f = b->l->f;
    struct bp_ex_answer a = {0};
    if (b->rs != NULL) {
        if (bp_failed(r)) {
            bp_front_refuse(b->l, b->rs, BP_P_UNAVAILABLE, 1);
        } else if (!is_good(r, status, body, &a)) {
            bp_front_refuse(b->l, b->rs, BP_P_NOT_SIGNED_IN, 0);
        } else if (f->stream_count >= BP_FRONT_STREAMS_MAX || !add(b)) {
            if (b->rs != NULL) {
                bp_front_refuse(b->l, b->rs, BP_P_BUSY, 5);
            }
        }
    }
    bp_free_secret(b->again, b->again_n);
    bp_free(b);
    f->open--;
    bp_front_settled(f);
}

void bp_front_stream_ask(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs)
{
    struct bp_front *f = l->f;
    uint8_t *ask = NULL;
    size_t ask_n = 0;
    struct begin *b = bp_alloc(sizeof *b);
    bp_result r = b == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    if (!bp_failed(r)) {
        *b = (struct begin){.l = l, .rs = rs};
        r = bp_front_exchange(l, rq, rs, BP_SPAN_STR(TARGET_BEGIN), &ask, &ask_n);
    }
    if (!bp_failed(r)) {
        r = bp_front_exchange(l, rq, rs, BP_SPAN_STR(TARGET_AGAIN), &b->again, &b->again_n);
    }
    if (!bp_failed(r)) {
        r = f->keeper == NULL ? BP_FAIL(CLOSED)
                              : bp_peer_call(f->keeper, "http", bp_span_of(ask, ask_n), BP_FRONT_CALL_MS, on_may, b);
    }
    bp_free_secret(ask, ask_n);
    if (bp_failed(r)) {
        if (b != NULL) {
            bp_free_secret(b->again, b->again_n);
        }
        bp_free(b);
        bp_front_refuse(l, rs, BP_P_UNAVAILABLE, 1);
        return;
    }
    f->open++;
    bp_hold(rs, on_begin_left, b);
}

/* ---- publishing ---- */

void bp_front_stream_publish(struct bp_front *f, bp_span body)
{
    static char text[(64u << 10) + 128]; /* one loop a process, and nothing of it outlives the call */
    struct bp_msg_stream m;
    if (f->streams == NULL || bp_failed(bp_msg_stream_read(body, &m)) || memchr(m.json.p, '\n', m.json.n) != NULL) {
        return;
    }
    const int n = snprintf(text, sizeof text, "event: change\nid: %llu\ndata: %.*s\n\n", (unsigned long long)m.event,
                           (int)m.json.n, (const char *)m.json.p);
    if (n <= 0 || (size_t)n >= sizeof text) {
        return;
    }
    for (struct bp_stream_reader *s = f->streams; s != NULL; s = s->next) {
        if (s->rs != NULL && !s->is_gone) {
            BP_IGNORE(bp_stream_send(s->rs, bp_span_of(text, (size_t)n)), "a reader that is too slow is cut");
        }
    }
}

bp_result bp_front_stream_start(struct bp_front *f)
{
    BP_TRY(bp_timer_new(f->c->loop, on_beat, f, &f->beat));
    return bp_timer_start(f->beat, BEAT_MS);
}

void bp_front_stream_end(struct bp_front *f)
{
    for (struct bp_stream_reader *s = f->streams, *next; s != NULL; s = next) {
        next = s->next;
        end(s);
    }
}
