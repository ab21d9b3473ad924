/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/reader - a reader process: the operators' reads over a store that it can only read.
 *
 * It takes one request after the other, so a slow one delays only those that wait at this reader. It has the certificates
 * that a bundle ends at, and no secret. */
#include "fleet/proc/child.h"

#include <stdio.h>

#include <unistd.h>

#include "codec/exchange.h"
#include "codec/problem.h"
#include "fleet/api/api.h"
#include "fleet/authority/site.h"
#include "fleet/proc/sandbox.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define FRONTS_MAX    16u
#define PROCESSES_MAX 48u
#define ANSWER_ROOM   (BP_API_ROOM + 16384u) /* an answer of bp_api_read with its headers; longer than a frame is refused */
#define OPEN_AGAIN_MS 100u
#define FENCES_TEXT   128u

struct reader {
    struct bp_child *c;
    struct bp_site *site;
    struct bp_crypto *crypto;
    char store_path[BP_PROC_PATH_MAX];
    struct bp_timer *open_again; /* while the keeper has not made the store yet */
    uint8_t *out;
    bp_span chain[5];
    struct bp_api_reader api;
    char fences[FENCES_TEXT];
    char process_name[PROCESSES_MAX][BP_PROC_NAME_MAX + 1];
    struct bp_api_process process[PROCESSES_MAX];
    struct bp_peer *front[FRONTS_MAX];
};

static struct reader me;

/* ---- requests ---- */

static uint64_t answer(struct reader *r, bp_span op, bp_span body, size_t *ret_n)
{
    struct bp_ex_request q;
    struct bp_ex_answer a = {0};
    if (!bp_span_equal(op, BP_SPAN_STR("http"))) {
        return BP_P_UNSUPPORTED;
    }
    if (r->api.store == NULL) {
        return BP_P_UNAVAILABLE;
    }
    if (bp_failed(bp_ex_request_read(body, &q))) {
        return BP_P_MALFORMED;
    }
    if (!bp_span_equal(q.listener, BP_SPAN_STR("operate"))) {
        return BP_P_FORBIDDEN; /* no other front has a channel to a reader */
    }
    r->api.now_ms = bp_wall_ms(&r->c->clock);
    bp_api_read(&r->api, &q, &a);
    return bp_failed(bp_ex_answer_write(&a, r->out, ANSWER_ROOM, ret_n)) ? BP_P_INTERNAL : BP_P_NONE;
}

static void on_request(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body)
{
    struct reader *r = self;
    size_t n = 0;
    const uint64_t status = answer(r, op, body, &n);
    const bp_span map = status == BP_P_NONE ? bp_span_of(r->out, n) : BP_SPAN_STR("\xa0");
    if (bp_is(bp_peer_answer(p, id, status, map), BP_E_LIMIT)) {
        BP_IGNORE(bp_peer_answer(p, id, BP_P_TOO_LARGE, BP_SPAN_STR("\xa0")), "the front is gone then");
    }
}

static void on_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct reader *r = self;
    (void)why;
    for (size_t i = 0; i < FRONTS_MAX; i++) {
        if (r->front[i] == p) {
            r->front[i] = NULL;
        }
    }
    bp_peer_free(p);
}

static void on_channel(void *self, bp_span name, int fd)
{
    struct reader *r = self;
    const struct bp_peer_ops ops = {.on_request = on_request, .on_closed = on_closed};
    (void)name; /* every front asks the same; a second channel of one leaves the first to close by itself */
    for (size_t i = 0; i < FRONTS_MAX; i++) {
        if (r->front[i] == NULL) {
            const bp_result made = bp_peer_new(r->c->loop, fd, &ops, r, &r->front[i]);
            if (bp_failed(made)) {
                bp_child_say_result(r->c, "a channel cannot be used", made);
                bp_child_stop(r->c, BP_EXIT_INTERNAL);
            }
            return;
        }
    }
    close(fd);
}

/* ---- what runs, for the overview ---- */

static void on_running(void *self, bp_span name, bool is_running)
{
    struct reader *r = self;
    size_t i = 0;
    while (i < r->api.process_count && !bp_span_equal(name, bp_span_cstr(r->process_name[i]))) {
        i++;
    }
    if (i == PROCESSES_MAX || name.n > BP_PROC_NAME_MAX) {
        return;
    }
    if (i == r->api.process_count) {
        memcpy(r->process_name[i], name.p, name.n);
        r->process[i] = (struct bp_api_process){.name = r->process_name[i], .fence = r->fences};
        r->api.process_count++;
    }
    r->process[i].running = is_running;
}

/* Every kind raises the same fences or does not start, so those around this process are those around all. */
static void name_fences(struct reader *r)
{
    size_t n = 0;
    r->fences[0] = '\0';
    for (unsigned f = 0; f < BP_FENCE_COUNT; f++) {
        if ((r->c->fences & 1u << f) != 0 && n < sizeof r->fences) {
            const int more = snprintf(r->fences + n, sizeof r->fences - n, "%s%s", n > 0 ? ", " : "",
                                      bp_fence_name((enum bp_fence)f));
            n += more > 0 ? (size_t)more : 0;
        }
    }
}

/* ---- the process ---- */

static bp_result load(void *self, struct bp_child *c)
{
    struct reader *r = self;
    static const enum bp_site_cert chain[] = {BP_SITE_CERT_LOG, BP_SITE_CERT_RESULT, BP_SITE_CERT_BIND,
                                              BP_SITE_CERT_INFRA, BP_SITE_CERT_ROOT};
    r->c = c;
    BP_TRY(bp_crypto_openssl_new(1024, &r->crypto));
    BP_TRY(bp_site_load(c->dir, r->crypto, &r->site));
    BP_TRY(bp_child_path(c, "store/bedplate.db", r->store_path));
    for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
        r->chain[i] = r->site->cert[chain[i]];
    }
    r->out = bp_alloc(ANSWER_ROOM);
    uint8_t *room = bp_alloc(BP_API_ROOM);
    r->api = (struct bp_api_reader){.crypto = r->crypto,
                                    .name = r->site->name,
                                    .version = BP_PRODUCT_VERSION,
                                    .organisation = r->site->org,
                                    .evaluation = r->site->evaluation,
                                    .process = r->process,
                                    .chain = r->chain,
                                    .chain_count = sizeof chain / sizeof chain[0],
                                    .room = room,
                                    .room_cap = BP_API_ROOM};
    return r->out != NULL && room != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
}

static void open_store(void *arg)
{
    struct reader *r = arg;
    if (!bp_failed(bp_store_open(r->store_path, BP_STORE_READ, BP_PRODUCT_VERSION, NULL, &r->api.store))) {
        bp_child_ready(r->c);
    } else if (bp_failed(bp_timer_start(r->open_again, OPEN_AGAIN_MS))) {
        bp_child_stop(r->c, BP_EXIT_INTERNAL);
    }
}

static bp_result start(void *self)
{
    struct reader *r = self;
    name_fences(r);
    BP_TRY(bp_timer_new(r->c->loop, open_store, r, &r->open_again));
    open_store(r);
    return BP_OK;
}

static void end(void *self)
{
    struct reader *r = self;
    bp_child_stop(r->c, BP_EXIT_OK); /* requests are answered before the loop turns: none is open */
}

static void done(void *self)
{
    struct reader *r = self;
    for (size_t i = 0; i < FRONTS_MAX; i++) {
        bp_peer_free(r->front[i]);
    }
    bp_timer_free(r->open_again);
    bp_store_free(r->api.store);
    bp_free(r->api.room);
    bp_free(r->out);
    bp_site_free(r->site);
    bp_crypto_openssl_free(r->crypto);
}

const struct bp_child_ops *bp_reader_ops(void **ret_self)
{
    static const struct bp_child_ops ops = {
        .load = load, .start = start, .channel = on_channel, .running = on_running, .end = end, .done = done};
    *ret_self = &me;
    return &ops;
}
