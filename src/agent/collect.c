/* SPDX-License-Identifier: Apache-2.0 */
/* agent/collect - reads logs, has keys certified and PCRs quoted, and puts the collection together. */
#include "agent/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "codec/ima.h"
#include "core/binding.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE AGENT

#define READ_STEP 16384u

/* What is being put together. */
struct work {
    const struct bp_collector *c;
    const struct bp_held *held;
    const struct bp_collect_ask *ask;
    struct bp_evidence ev;
    struct bp_rot_statement key_statement[BP_EVIDENCE_KEYS_MAX];
    struct bp_rot_statement quote;
    struct bp_rot_pcrs pcrs; /* as quoted last; count 0: not yet */
    uint8_t *boot, *ima;
    size_t boot_n, ima_n;
    uint32_t ima_entries; /* in the delta */
    struct bp_held after;
};

static bp_result fail_errno(int e)
{
    return bp_fail_at(bp_error_of_errno(e), BP_MODULE_ID, __LINE__);
}

static bp_result read_on(int fd, size_t max, uint8_t **ret, size_t *ret_n)
{
    uint8_t *p = NULL;
    size_t n = 0;
    size_t cap = 0;
    bp_result r = BP_OK;
    for (;;) {
        if (n == cap) {
            uint8_t *more = bp_realloc(p, cap + READ_STEP);
            if (more == NULL) {
                r = BP_FAIL(NO_MEMORY);
                break;
            }
            p = more;
            cap += READ_STEP;
        }
        const ssize_t got = read(fd, p + n, cap - n);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            r = fail_errno(errno);
            break;
        }
        n += got > 0 ? (size_t)got : 0;
        if (n > max) {
            r = BP_FAIL(LIMIT);
            break;
        }
    }
    if (bp_failed(r)) {
        bp_free(p);
        return r;
    }
    *ret = p;
    *ret_n = n;
    return BP_OK;
}

bp_result bp_log_read(const char *path, size_t from, size_t max, uint8_t **ret, size_t *ret_n)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return fail_errno(errno);
    }
    bp_result r = BP_OK;
    if (from != 0 && lseek(fd, (off_t)from, SEEK_SET) < 0) {
        r = fail_errno(errno);
    }
    if (!bp_failed(r)) {
        r = read_on(fd, max, ret, ret_n);
    }
    close(fd);
    return r;
}

static bp_result read_boot(struct work *w)
{
    BP_TRY(bp_log_read(w->c->boot_log, 0, BP_LOG_MAX, &w->boot, &w->boot_n));
    BP_TRY(bp_hash(w->c->crypto, BP_HASH_SHA256, bp_span_of(w->boot, w->boot_n), w->after.boot));
    w->after.has_boot = true;
    const bool is_held = w->held->has_boot && memcmp(w->held->boot, w->after.boot, BP_SHA256_SIZE) == 0;
    w->ev.has_boot = !is_held;
    if (w->ev.has_boot) {
        w->ev.boot = bp_span_of(w->boot, w->boot_n);
    } else {
        bp_free(w->boot);
        w->boot = NULL;
    }
    return BP_OK;
}

/* Counts entries of a list and, when `stop` is not 0, ends after so many. *ret_at: bytes of them. */
static bp_result count_entries(bp_span list, uint32_t stop, uint32_t *ret_count, size_t *ret_at)
{
    struct bp_ima it = bp_ima_open(list, 0);
    struct bp_ima_entry e;
    bp_result r = BP_OK;
    while ((stop == 0 || it.next_index < stop) && !bp_failed(r)) {
        r = bp_ima_next(&it, &e);
    }
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    *ret_count = it.next_index;
    *ret_at = it.at;
    return BP_OK;
}

/* A kernel without IMA has no list, and says so by PCR 10; what that is worth is for the server to judge. */
static bool has_list(const char *path)
{
    return path[0] != '\0' && access(path, F_OK) == 0;
}

/* The delta that the server does not hold. *ret_moved: it is not the one read before. */
static bp_result read_ima(struct work *w, bool *ret_moved)
{
    if (!has_list(w->c->ima_log)) {
        *ret_moved = false;
        return BP_OK;
    }
    uint8_t *p = NULL;
    size_t n = 0;
    size_t used = 0;
    size_t from = w->held->ima_at;
    uint32_t first = w->held->ima_count;
    if (first != 0 && from == 0) { /* known by its count only: find the place once */
        BP_TRY(bp_log_read(w->c->ima_log, 0, BP_ALLOC_MAX, &p, &n));
        uint32_t got = 0;
        const bp_result r = count_entries(bp_span_of(p, n), first, &got, &from);
        bp_free(p);
        p = NULL;
        BP_TRY(r);
        if (got != first) { /* the server holds more than there is: another boot's list */
            first = 0;
            from = 0;
        }
    }
    BP_TRY(bp_log_read(w->c->ima_log, from, BP_LOG_MAX, &p, &n));
    *ret_moved = w->ima == NULL || n != w->ima_n || memcmp(p, w->ima, n) != 0;
    bp_free(w->ima);
    w->ima = p;
    w->ima_n = n;
    BP_TRY(count_entries(bp_span_of(p, n), 0, &w->ima_entries, &used));
    w->ev.has_ima = w->ima_entries != 0;
    w->ev.ima_from = first;
    w->ev.ima = bp_span_of(p, n);
    w->after.ima_count = first + w->ima_entries;
    w->after.ima_at = from + used;
    return BP_OK;
}

static bp_result certify_keys(struct work *w, struct bp_rot_trace *trace)
{
    uint8_t qualifying[BP_SHA256_SIZE];
    if (w->ask->key_count == 0) {
        return BP_OK;
    }
    BP_TRY(bp_binding_key(w->c->crypto, w->ask->nonce, w->c->device_id, qualifying));
    for (size_t i = 0; i < w->ask->key_count; i++) {
        const struct bp_collect_key *k = &w->ask->keys[i];
        struct bp_rot_statement *s = &w->key_statement[i];
        BP_TRY(w->c->rot->ops->certify(w->c->rot, w->c->ak, w->c->ak_auth, k->blob, k->auth, BP_SPAN_OF(qualifying), s,
                                       trace));
        BP_TRY(w->c->rot->ops->key_public(w->c->rot, k->blob, &w->ev.key[i].public_area));
        w->ev.key[i].attest = bp_span_of(s->attest, s->attest_n);
        w->ev.key[i].signature = bp_span_of(s->sig, s->sig_n);
    }
    w->ev.keys = (uint32_t)w->ask->key_count;
    return BP_OK;
}

static bool same_pcrs(const struct bp_rot_pcrs *a, const struct bp_rot_pcrs *b)
{
    if (a->bank != b->bank || a->mask != b->mask || a->count != b->count || a->value_n != b->value_n) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (memcmp(a->v[i], b->v[i], a->value_n) != 0) {
            return false;
        }
    }
    return true;
}

static void fill_pcrs(struct work *w)
{
    w->ev.has_pcrs = !(w->held->has_pcrs && same_pcrs(&w->held->pcrs, &w->pcrs));
    w->ev.pcrs = w->ev.has_pcrs ? (uint32_t)w->pcrs.count : 0;
    for (uint32_t i = 0; i < w->ev.pcrs; i++) {
        w->ev.pcr[i] = bp_span_of(w->pcrs.v[i], w->pcrs.value_n);
    }
}

static bp_result write_all(const struct bp_evidence *ev, bool with_quote, uint8_t **ret, size_t *ret_n)
{
    size_t n = 0;
    const bp_result r = bp_evidence_write(ev, with_quote, NULL, 0, &n);
    if (!bp_is(r, BP_E_NO_SPACE)) {
        return bp_failed(r) ? r : BP_FAIL(INTERNAL);
    }
    uint8_t *p = bp_alloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result w = bp_evidence_write(ev, with_quote, p, n, &n);
    if (bp_failed(w)) {
        bp_free(p);
        return w;
    }
    *ret = p;
    *ret_n = n;
    return BP_OK;
}

static bp_result quote_once(struct work *w, struct bp_rot_trace *trace)
{
    uint8_t *covered = NULL;
    size_t n = 0;
    uint8_t digest[BP_SHA256_SIZE];
    uint8_t extra[BP_SHA256_SIZE];
    BP_TRY(write_all(&w->ev, false, &covered, &n));
    const bp_result r = bp_hash(w->c->crypto, BP_HASH_SHA256, bp_span_of(covered, n), digest);
    bp_free(covered);
    BP_TRY(r);
    BP_TRY(bp_binding_quote(w->c->crypto, w->ask->nonce, w->c->device_id, w->ask->ldevid, w->ask->binding,
                            BP_SPAN_OF(digest), extra));
    BP_TRY(w->c->rot->ops->quote(w->c->rot, w->c->ak, w->c->ak_auth, BP_QUOTED_BANK, BP_QUOTED_PCRS, BP_SPAN_OF(extra),
                                 &w->quote, &w->pcrs, trace));
    w->ev.attest = bp_span_of(w->quote.attest, w->quote.attest_n);
    w->ev.signature = bp_span_of(w->quote.sig, w->quote.sig_n);
    return BP_OK;
}

/* Quotes until what is covered is what was quoted: PCR values are known only by a quote, and the list may grow. */
static bp_result quote_steady(struct work *w, struct bp_rot_trace *trace)
{
    bool moved = false;
    if (w->held->has_pcrs) {
        w->pcrs = w->held->pcrs;
    }
    BP_TRY(read_ima(w, &moved));
    for (unsigned i = 0; i < BP_COLLECT_TRIES; i++) {
        const struct bp_rot_pcrs said = w->pcrs;
        fill_pcrs(w);
        BP_TRY(quote_once(w, trace));
        BP_TRY(read_ima(w, &moved));
        if (!moved && same_pcrs(&said, &w->pcrs)) {
            return BP_OK;
        }
    }
    return BP_FAIL(BUSY);
}

static void fill_about(struct work *w)
{
    struct bp_about *a = &w->ev.about;
    a->device_id = w->c->device_id;
    a->seq = w->ask->seq;
    a->issued_ms = (uint64_t)w->ask->issued_ms;
    a->ldevid = w->ask->ldevid;
    a->features = w->c->features;
    for (uint32_t i = 0; i < w->c->features; i++) {
        a->feature[i] = w->c->feature[i];
    }
    a->agent = bp_span_cstr(w->c->agent);
    a->activation = w->ask->activation;
    a->has_held = w->held->has_boot;
    a->held_log = w->held->has_boot ? bp_span_of(w->held->boot, BP_SHA256_SIZE) : BP_SPAN_EMPTY;
    a->held_ima = w->held->ima_count;
}

static bp_result collect(struct work *w, struct bp_collected *ret, struct bp_rot_trace *trace)
{
    fill_about(w);
    BP_TRY(read_boot(w));
    BP_TRY(certify_keys(w, trace));
    BP_TRY(quote_steady(w, trace));
    w->after.has_pcrs = true;
    w->after.pcrs = w->pcrs;
    BP_TRY(write_all(&w->ev, true, &ret->body, &ret->body_n));
    ret->after = w->after;
    return ret->body_n <= BP_EVIDENCE_MAX ? BP_OK : BP_FAIL(LIMIT);
}

bp_result bp_collect(const struct bp_collector *c, const struct bp_held *held, const struct bp_collect_ask *ask,
                     struct bp_collected *ret, struct bp_rot_trace *trace)
{
    *ret = (struct bp_collected){0};
    if (ask->key_count > BP_EVIDENCE_KEYS_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (trace != NULL) {
        *trace = (struct bp_rot_trace){0, ""};
    }
    struct work *w = bp_alloc(sizeof *w);
    if (w == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    w->c = c;
    w->held = held;
    w->ask = ask;
    const bp_result r = collect(w, ret, trace);
    if (bp_failed(r)) {
        bp_free(ret->body);
        *ret = (struct bp_collected){0};
    }
    bp_free(w->boot);
    bp_free(w->ima);
    bp_free(w);
    return r;
}

void bp_held_update(struct bp_held *held, const struct bp_held *after, bp_span held_log, uint64_t held_ima)
{
    struct bp_held h = *after;
    if (held_log.n != BP_SHA256_SIZE || memcmp(held_log.p, after->boot, BP_SHA256_SIZE) != 0) {
        h.has_boot = false;
    }
    if (held_ima != after->ima_count) {
        h.ima_count = held_ima < after->ima_count ? (uint32_t)held_ima : 0;
        h.ima_at = 0; /* to be found again */
    }
    *held = h;
}
