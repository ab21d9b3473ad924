/* SPDX-License-Identifier: Apache-2.0 */
/* net/loop - the one event loop of a process: descriptors, timers, signals.
 *
 * One thread. Made after fork, never carried over it. Callbacks run from bp_loop_run only. Objects made on a loop are
 * freed before it. Timers count monotonic time and may fire late, never early. It deliberately does not log: what
 * libevent would print is counted in bp_loop_complaints. */
#ifndef BP_NET_LOOP_H
#define BP_NET_LOOP_H

#include "base/result.h"

struct event_base;
struct bp_loop;
struct bp_timer;
struct bp_watch;
struct bp_signal;

typedef void bp_loop_fn(void *arg);

/*   NO_MEMORY  the allocator refused    IO  no polling backend */
BP_MUST_CHECK bp_result bp_loop_new(struct bp_loop **ret);
void bp_loop_free(struct bp_loop *loop);
/* Runs until bp_loop_stop. IO when the backend fails. */
BP_MUST_CHECK bp_result bp_loop_run(struct bp_loop *loop);
/* Makes bp_loop_run return after the callback that is running. */
void bp_loop_stop(struct bp_loop *loop);
/* For the other files of this folder. */
struct event_base *bp_loop_base(struct bp_loop *loop);
/* Messages that libevent wanted to print since the process began. */
uint64_t bp_loop_complaints(void);

/* A timer, not running. Fires once per bp_timer_start; the callback may start or free it. */
BP_MUST_CHECK bp_result bp_timer_new(struct bp_loop *loop, bp_loop_fn *fn, void *arg, struct bp_timer **ret);
/* (Re)starts it; a start that fails for want of memory is reported by NO_MEMORY. */
BP_MUST_CHECK bp_result bp_timer_start(struct bp_timer *t, uint32_t after_ms);
void bp_timer_stop(struct bp_timer *t);
void bp_timer_free(struct bp_timer *t);

/* Calls fn whenever fd is readable, until freed. Does not own fd. */
BP_MUST_CHECK bp_result bp_watch_new(struct bp_loop *loop, int fd, bp_loop_fn *fn, void *arg, struct bp_watch **ret);
void bp_watch_free(struct bp_watch *w);

/* Calls fn from the loop when the signal came. */
BP_MUST_CHECK bp_result bp_signal_new(struct bp_loop *loop, int signo, bp_loop_fn *fn, void *arg,
                                      struct bp_signal **ret);
void bp_signal_free(struct bp_signal *s);

#endif
