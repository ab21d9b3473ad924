/* SPDX-License-Identifier: Apache-2.0 */
/* net/loop - see loop.h. */
#include "net/loop.h"

#include <stdlib.h>

#include <event2/event.h>

#define BP_MODULE NET

struct bp_loop {
    struct event_base *base;
};

/* The three kinds of thing on a loop differ only in what libevent is asked for. */
struct on_loop {
    struct event *ev;
    bp_loop_fn *fn;
    void *arg;
};

struct bp_timer {
    struct on_loop on;
};

struct bp_watch {
    struct on_loop on;
};

struct bp_signal {
    struct on_loop on;
};

/* libevent's log callback is one for the process and has no argument. */
static uint64_t complaints;

static void complain(int severity, const char *text)
{
    (void)severity;
    (void)text;
    complaints++;
}

uint64_t bp_loop_complaints(void)
{
    return complaints;
}

bp_result bp_loop_new(struct bp_loop **ret)
{
    struct bp_loop *loop = calloc(1, sizeof *loop);
    struct event_config *config = event_config_new();
    bp_result r = BP_FAIL(NO_MEMORY);
    if (loop == NULL || config == NULL) {
        goto out;
    }
    event_set_log_callback(complain);
    r = BP_FAIL(IO);
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0) {
        goto out;
    }
    loop->base = event_base_new_with_config(config);
    if (loop->base == NULL) {
        goto out;
    }
    *ret = loop;
    loop = NULL;
    r = BP_OK;
out:
    if (config != NULL) {
        event_config_free(config);
    }
    free(loop);
    return r;
}

void bp_loop_free(struct bp_loop *loop)
{
    if (loop != NULL) {
        event_base_free(loop->base);
        free(loop);
    }
}

bp_result bp_loop_run(struct bp_loop *loop)
{
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? BP_FAIL(IO) : BP_OK;
}

void bp_loop_stop(struct bp_loop *loop)
{
    event_base_loopbreak(loop->base);
}

struct event_base *bp_loop_base(struct bp_loop *loop)
{
    return loop->base;
}

static void fired(evutil_socket_t fd, short what, void *arg)
{
    const struct on_loop *on = arg;
    (void)fd;
    (void)what;
    on->fn(on->arg);
}

static bp_result on_loop_init(struct on_loop *on, struct bp_loop *loop, int fd, short what, bp_loop_fn *fn, void *arg)
{
    *on = (struct on_loop){.fn = fn, .arg = arg};
    on->ev = event_new(loop->base, fd, what, fired, on);
    if (on->ev == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (what != 0 && event_add(on->ev, NULL) != 0) {
        event_free(on->ev);
        return BP_FAIL(NO_MEMORY);
    }
    return BP_OK;
}

bp_result bp_timer_new(struct bp_loop *loop, bp_loop_fn *fn, void *arg, struct bp_timer **ret)
{
    struct bp_timer *t = calloc(1, sizeof *t);
    const bp_result r = t == NULL ? BP_FAIL(NO_MEMORY) : on_loop_init(&t->on, loop, -1, 0, fn, arg);
    if (bp_failed(r)) {
        free(t);
        return r;
    }
    *ret = t;
    return BP_OK;
}

bp_result bp_timer_start(struct bp_timer *t, uint32_t after_ms)
{
    const struct timeval tv = {.tv_sec = after_ms / 1000, .tv_usec = (suseconds_t)(after_ms % 1000) * 1000};
    return event_add(t->on.ev, &tv) == 0 ? BP_OK : BP_FAIL(NO_MEMORY);
}

void bp_timer_stop(struct bp_timer *t)
{
    event_del(t->on.ev);
}

void bp_timer_free(struct bp_timer *t)
{
    if (t != NULL) {
        event_free(t->on.ev);
        free(t);
    }
}

bp_result bp_watch_new(struct bp_loop *loop, int fd, bp_loop_fn *fn, void *arg, struct bp_watch **ret)
{
    struct bp_watch *w = calloc(1, sizeof *w);
    const bp_result r =
        w == NULL ? BP_FAIL(NO_MEMORY) : on_loop_init(&w->on, loop, fd, EV_READ | EV_PERSIST, fn, arg);
    if (bp_failed(r)) {
        free(w);
        return r;
    }
    *ret = w;
    return BP_OK;
}

void bp_watch_free(struct bp_watch *w)
{
    if (w != NULL) {
        event_free(w->on.ev);
        free(w);
    }
}

bp_result bp_signal_new(struct bp_loop *loop, int signo, bp_loop_fn *fn, void *arg, struct bp_signal **ret)
{
    struct bp_signal *s = calloc(1, sizeof *s);
    const bp_result r =
        s == NULL ? BP_FAIL(NO_MEMORY) : on_loop_init(&s->on, loop, signo, EV_SIGNAL | EV_PERSIST, fn, arg);
    if (bp_failed(r)) {
        free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_signal_free(struct bp_signal *s)
{
    if (s != NULL) {
        event_free(s->on.ev);
        free(s);
    }
}
