/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/handlers - requests of people: each runs the handler of its route inside one act, asks
 * a signer when the handler says so, and goes on with `then` in a later act. */
#include "fleet/keeper/internal.h"

#define BP_MODULE PROC

struct turn {
    const struct bp_keeper_route *route;
    bp_turn_then *then;
    uint8_t *keep;
    size_t keep_n;
};

/* One run of a handler, or of its `then`. */
struct run {
    struct bp_job *j;
    struct bp_turn t;
    struct bp_ex_answer answer;
    bool again; /* run `then` */
    uint64_t status;
    bp_span body;
};

static void free_turn(void *flow)
{
    struct turn *x = flow;
    bp_free_secret(x->keep, x->keep_n);
    bp_free(x);
}

static bp_result run_handler(void *self)
{
    struct run *u = self;
    const struct turn *x = u->j->flow;
    u->t.now_ms = bp_k_now(u->j->k);
    if (u->again) {
        return x->then(x->route->self, &u->t, u->status, u->body, bp_span_of(x->keep, x->keep_n),
                       &u->answer);
    }
    return x->route->handle(x->route->self, &u->t, &u->j->q, &u->answer);
}

static void on_signer(void *arg, bp_result r, uint64_t status, bp_span body);

static bool remember(struct bp_job *j, const struct bp_turn *t)
{
    struct turn *x = j->flow;
    bp_free_secret(x->keep, x->keep_n);
    x->keep = bp_alloc(t->ask.keep.n);
    x->keep_n = x->keep == NULL ? 0 : t->ask.keep.n;
    if (x->keep_n > 0) {
        memcpy(x->keep, t->ask.keep.p, x->keep_n);
    }
    x->then = t->ask.then;
    return x->keep != NULL;
}

static void ask_signer(struct bp_job *j, const struct bp_turn *t)
{
    struct bp_keeper *k = j->k;
    if (t->ask.then == NULL || t->ask.body.n > BP_TURN_ASK_MAX || t->ask.keep.n > BP_TURN_ASK_MAX) {
        bp_k_refuse(j, BP_P_INTERNAL, NULL);
        return;
    }
    if (!remember(j, t)) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    const bp_result r = k->port.call(k->port.self, BP_TO_SIGNER_CA, t->ask.op, t->ask.body,
                                     BP_K_CALL_MS, on_signer, j);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}

static void go(struct run *u)
{
    struct bp_job *j = u->j;
    struct bp_keeper *k = j->k;
    u->t = (struct bp_turn){.store = k->store,
                            .log = &k->log,
                            .registry = &k->registry,
                            .effects = &k->effects,
                            .crypto = k->crypto,
                            .entropy = &k->entropy,
                            .now_ms = bp_k_now(k),
                            .is_recovering = bp_k_is_recovering(k),
                            .room = k->room,
                            .room_cap = BP_TURN_ROOM};
    u->answer = (struct bp_ex_answer){.status = 200};
    const bp_result r = bp_k_act(k, run_handler, u);
    if (bp_is(r, BP_E_DENIED) && u->t.problem != BP_P_NONE) {
        j->retry_after_s = u->t.retry_after_s;
        bp_k_refuse(j, u->t.problem, u->t.detail);
    } else if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    } else if (u->t.ask.op != NULL) {
        ask_signer(j, &u->t);
    } else {
        bp_k_answer(j, &u->answer);
    }
}

static void on_signer(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct run u = {.j = j, .again = true, .status = status, .body = body};
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    go(&u);
}

static bool fits(const struct bp_keeper_route *route, const struct bp_ex_request *q)
{
    const bp_span prefix = bp_span_cstr(route->prefix);
    return bp_span_equal(q->listener, bp_span_cstr(route->listener)) && q->target.n >= prefix.n &&
           memcmp(q->target.p, prefix.p, prefix.n) == 0;
}

bool bp_k_route(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    for (size_t i = 0; i < k->cfg.route_count; i++) {
        if (!fits(&k->cfg.routes[i], &j->q)) {
            continue;
        }
        struct turn *x = bp_alloc(sizeof *x);
        if (x == NULL) {
            bp_k_refuse(j, BP_P_BUSY, NULL);
            return true;
        }
        x->route = &k->cfg.routes[i];
        j->flow = x;
        j->flow_free = free_turn;
        struct run u = {.j = j};
        go(&u);
        return true;
    }
    return false;
}
