/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/appraiser - the appraiser process: evidence and references in, appraisals out; the pure library and nothing
 * else. It holds the reference set that the keeper last sent and no state of any device. */
#include "fleet/proc/child.h"

#include <unistd.h>

#include "appraise/appraise.h"
#include "codec/problem.h"
#include "fleet/ipc/message.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define KEYS_CACHED 8192u

struct appraiser {
    struct bp_child *c;
    struct bp_crypto *crypto;
    struct bp_peer *keeper;
    /* The set in force. The spans of refs point into bytes. */
    uint8_t *bytes;
    struct bp_ref_source *source;
    struct bp_refset refs;
    uint8_t *arena, *out;
};

static struct appraiser me;

/* ---- references ---- */

static void forget_set(struct appraiser *a)
{
    bp_free(a->refs.release);
    bp_free(a->refs.entry);
    bp_free(a->source);
    bp_free(a->bytes);
    a->refs = (struct bp_refset){0};
    a->source = NULL;
    a->bytes = NULL;
}

/* Reading the rows uses up m->count; `source` has room for all of them. */
static void fill_sources(struct bp_msg_references *m, struct bp_ref_source *source)
{
    struct bp_msg_reference row;
    for (size_t i = 0; bp_msg_references_next(m, &row); i++) {
        source[i] = (struct bp_ref_source){.id = row.id, .state = (enum bp_release_state)row.state, .zone = row.zone,
                                           .corim = row.corim};
    }
}

/* Compiles the rows that can be read; one that cannot is left out, so that it explains no device, and the rest stand. */
static bp_result compile(struct appraiser *a, struct bp_ref_source *source, size_t count, struct bp_refset *ret)
{
    struct bp_refset refs = {0};
    for (;;) {
        uint32_t entries = 0;
        size_t bad = SIZE_MAX;
        bp_result r = bp_refset_measure(source, count, &entries);
        struct bp_ref_release *release = bp_alloc_array(count > 0 ? count : 1, sizeof *release);
        struct bp_ref_entry *entry = bp_alloc_array(entries > 0 ? entries : 1, sizeof *entry);
        if (release == NULL || entry == NULL) {
            r = BP_FAIL(NO_MEMORY);
        } else if (!bp_failed(r)) {
            r = bp_refset_build(a->crypto, source, count, release, entry, entries, &bad, &refs);
        }
        if (!bp_failed(r)) {
            *ret = refs;
            return BP_OK;
        }
        bp_free(release);
        bp_free(entry);
        if (bad >= count) {
            return r;
        }
        bp_child_say_result(a->c, "a release's reference values cannot be read and count for nothing", r);
        memmove(&source[bad], &source[bad + 1], (count - bad - 1) * sizeof *source);
        count--;
    }
}

static bp_result take_references(struct appraiser *a, bp_span body)
{
    struct bp_msg_references m;
    struct bp_refset refs = {0};
    uint8_t *bytes = bp_alloc(body.n);
    bp_result r = bytes == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    struct bp_ref_source *source = NULL;
    if (bp_failed(r)) {
        return r;
    }
    memcpy(bytes, body.p, body.n);
    r = bp_msg_references_read(bp_span_of(bytes, body.n), &m);
    if (!bp_failed(r)) {
        source = bp_alloc_array(m.count > 0 ? m.count : 1, sizeof *source);
        r = source == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    }
    if (!bp_failed(r)) {
        const size_t count = m.count;
        fill_sources(&m, source);
        r = compile(a, source, count, &refs);
    }
    if (bp_failed(r)) {
        bp_free(source);
        bp_free(bytes);
        return r;
    }
    forget_set(a);
    a->bytes = bytes;
    a->source = source;
    a->refs = refs;
    return BP_OK;
}

/* ---- requests ---- */

static enum bp_problem appraise(struct appraiser *a, bp_span body, size_t *ret_n)
{
    struct bp_appraise_request q;
    struct bp_appraisal found;
    if (bp_failed(bp_appraise_request_read(body, &q))) {
        return BP_P_MALFORMED;
    }
    if (bp_failed(bp_appraise(a->crypto, &a->refs, &q, a->arena, BP_APPRAISE_ARENA, &found)) ||
        bp_failed(bp_appraisal_write(&found, a->out, BP_APPRAISAL_MAX, ret_n))) {
        return BP_P_INTERNAL;
    }
    return BP_P_NONE;
}

static void on_request(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body)
{
    struct appraiser *a = self;
    uint8_t none[8];
    size_t n = 0;
    const enum bp_problem problem =
        bp_span_equal(op, BP_SPAN_STR("appraise")) ? appraise(a, body, &n) : BP_P_UNSUPPORTED;
    bp_span answer = bp_span_of(a->out, n);
    if (problem != BP_P_NONE) {
        BP_IGNORE(bp_msg_empty_write(none, sizeof none, &n), "there is room");
        answer = bp_span_of(none, n);
    }
    BP_IGNORE(bp_peer_answer(p, id, problem, answer), "a keeper that is gone asks another one");
}

static void on_notice(void *self, struct bp_peer *p, bp_span op, bp_span body)
{
    struct appraiser *a = self;
    (void)p;
    const bp_result r = bp_span_equal(op, BP_SPAN_STR("references")) ? take_references(a, body) : BP_FAIL(UNSUPPORTED);
    if (bp_failed(r)) {
        /* Going on with an older set would call withdrawn releases good. */
        bp_child_say_result(a->c, "the keeper's notice cannot be followed", r);
        bp_child_stop(a->c, BP_EXIT_INTERNAL);
        return;
    }
    bp_child_ready(a->c);
}

static void on_closed(void *self, struct bp_peer *p, bp_result why)
{
    struct appraiser *a = self;
    (void)why;
    a->keeper = NULL;
    bp_peer_free(p);
    bp_child_lost(a->c);
}

/* ---- the process ---- */

static bp_result load(void *self, struct bp_child *c)
{
    struct appraiser *a = self;
    a->c = c;
    BP_TRY(bp_crypto_openssl_new(KEYS_CACHED, &a->crypto));
    a->arena = bp_alloc(BP_APPRAISE_ARENA);
    a->out = bp_alloc(BP_APPRAISAL_MAX);
    return a->arena != NULL && a->out != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
}

static bp_result start(void *self)
{
    (void)self;
    return BP_OK;
}

static void on_channel(void *self, bp_span name, int fd)
{
    struct appraiser *a = self;
    const struct bp_peer_ops ops = {.on_request = on_request, .on_notice = on_notice, .on_closed = on_closed};
    if (!bp_span_equal(name, BP_SPAN_STR("keeper"))) {
        close(fd);
        return;
    }
    bp_peer_free(a->keeper);
    a->keeper = NULL;
    const bp_result r = bp_peer_new(a->c->loop, fd, &ops, a, &a->keeper);
    if (bp_failed(r)) {
        bp_child_say_result(a->c, "a channel cannot be used", r);
        bp_child_stop(a->c, BP_EXIT_INTERNAL);
        return;
    }
    bp_child_found(a->c);
}

static void end(void *self)
{
    struct appraiser *a = self;
    bp_child_stop(a->c, BP_EXIT_OK); /* requests are answered before the loop turns: none is open */
}

static void done(void *self)
{
    struct appraiser *a = self;
    bp_peer_free(a->keeper);
    forget_set(a);
    bp_free(a->arena);
    bp_free(a->out);
    bp_crypto_openssl_free(a->crypto);
}

const struct bp_child_ops *bp_appraiser_ops(void **ret_self)
{
    static const struct bp_child_ops ops = {
        .load = load, .start = start, .channel = on_channel, .end = end, .done = done};
    *ret_self = &me;
    return &ops;
}
