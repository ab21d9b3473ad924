/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/hold - requests of the status listener that wait for the next revocation list: GET of its address with
 * `after=N`, the number of the list that the asker has. It is relayed, as any other, once the keeper has told of a list with
 * a higher number, or after BP_FRONT_WAIT_MS; the answer is the list of that moment. Anybody may wait, so there is a
 * ceiling; beyond it, and when this front was not told any number, it is relayed at once. */
#include "fleet/proc/front.h"

#include "fleet/ipc/message.h"
#include "platform/alloc.h"

#define BP_MODULE PROC

#define BEAT_MS    1000u
#define NUMBER_MAX 20u

static void forget(struct bp_front_waiter *x)
{
    struct bp_front *f = x->l->f;
    if (x->prev != NULL) {
        x->prev->next = x->next;
    } else {
        f->waiters = x->next;
    }
    if (x->next != NULL) {
        x->next->prev = x->prev;
    }
    f->waiter_count--;
    bp_free(x);
}

static void on_left(void *arg)
{
    forget(arg);
}

/* Its turn: the request goes where it would have gone at once. */
static void let_go(struct bp_front_waiter *x)
{
    struct bp_front_listener *const l = x->l;
    struct bp_responder *const rs = x->rs;
    forget(x);
    bp_front_relay(l, bp_responder_request(rs), rs);
}

static void let_go_of(struct bp_front *f, int64_t now)
{
    for (struct bp_front_waiter *x = f->waiters, *next; x != NULL; x = next) {
        next = x->next;
        if (x->after < f->crl_number || now >= x->until_ms) {
            let_go(x);
        }
    }
}

static void on_beat(void *arg)
{
    struct bp_front *f = arg;
    let_go_of(f, bp_mono_ms(&f->c->clock));
    if (f->waiters != NULL) {
        BP_IGNORE(bp_timer_start(f->wait_beat, BEAT_MS), "without it the server's own hold time ends the request");
    }
}

bool bp_front_hold(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs)
{
    struct bp_front *f = l->f;
    char text[NUMBER_MAX + 1];
    size_t n = 0;
    uint64_t after = 0;
    if (bp_failed(bp_http_query_get(bp_http_query(rq->http), "after", text, sizeof text, &n)) || n == 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || after > UINT64_MAX / 100) {
            return false;
        }
        after = after * 10 + (uint64_t)(text[i] - '0');
    }
    if (f->crl_number == 0 || after < f->crl_number || f->waiter_count >= BP_FRONT_WAITERS_MAX || f->is_ending) {
        return false;
    }
    struct bp_front_waiter *x = bp_alloc(sizeof *x);
    if (x == NULL) {
        return false;
    }
    *x = (struct bp_front_waiter){.l = l, .rs = rs, .after = after, .next = f->waiters,
                                  .until_ms = bp_mono_ms(&f->c->clock) + BP_FRONT_WAIT_MS};
    if (f->waiters != NULL) {
        f->waiters->prev = x;
    }
    f->waiters = x;
    f->waiter_count++;
    bp_hold(rs, on_left, x);
    BP_IGNORE(bp_timer_start(f->wait_beat, BEAT_MS), "without it the server's own hold time ends the request");
    return true;
}

bp_result bp_front_hold_told(struct bp_front *f, bp_span body)
{
    BP_TRY(bp_msg_number_read(body, &f->crl_number));
    let_go_of(f, bp_mono_ms(&f->c->clock));
    return BP_OK;
}

bp_result bp_front_hold_start(struct bp_front *f)
{
    return bp_timer_new(f->c->loop, on_beat, f, &f->wait_beat);
}

void bp_front_hold_end(struct bp_front *f)
{
    f->crl_number = UINT64_MAX;
    let_go_of(f, 0);
}
