/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/loss - finds and tells what a store does not know. */
#include "fleet/proc/loss.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "codec/crl.h"
#include "codec/event.h"
#include "codec/note.h"
#include "fleet/events/log.h"
#include "fleet/store/lists.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE PROC

#define LIST_MAX  (16u << 20) /* bytes of a revocation list */
#define TOLD_MAX  20u         /* devices and heads that are named one by one */
#define HOLD      6u          /* CRLReason certificateHold */

bool bp_loss_is_there(const struct bp_loss *x)
{
    return x->is_older || x->mark != BP_RECOVERY_NONE;
}

void bp_loss_issuer(const struct bp_site *site, char ret[BP_LOSS_ISSUER_TEXT])
{
    if (site->issuing_number == 0) {
        (void)snprintf(ret, BP_LOSS_ISSUER_TEXT, "issuing");
    } else {
        (void)snprintf(ret, BP_LOSS_ISSUER_TEXT, "issuing-%u", site->issuing_number);
    }
}

/* ---- heads ---- */

static bp_result event_time(bp_store *store, uint64_t number, int64_t *ret_ms)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[BP_DIGEST_SIZE];
    struct bp_event e;
    BP_TRY(bp_store_event(store, number, &body, digest));
    if (body.n > 0) { /* an erased one has no time any more */
        BP_TRY(bp_event_read(body, &e));
        *ret_ms = e.time_ms;
    }
    return BP_OK;
}

static bp_result find_heads(const struct bp_site *site, struct bp_crypto *c, bp_store *store, struct bp_loss *x)
{
    struct bp_log_last *last = bp_alloc(sizeof *last);
    struct bp_tree_row tree = {0};
    uint8_t root[BP_SHA256_SIZE];
    if (last == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    /* The signer first: what it signs meanwhile was stored before. */
    bp_result r = bp_log_signer_last(site, c, last);
    x->lost = last->tree.size;
    if (!bp_failed(r)) {
        r = bp_merkle_root(c, &last->tree, x->lost_root);
    }
    bp_free(last);
    BP_TRY(r);
    BP_TRY(bp_store_tree(store, &tree));
    x->stored = tree.size;
    x->kept = tree.signed_size;
    BP_TRY(bp_log_root(store, c, x->kept, x->kept_root));
    if (x->lost > x->stored) {
        x->is_older = true;
    } else {
        BP_TRY(bp_log_root(store, c, x->lost, root));
        x->is_older = memcmp(root, x->lost_root, sizeof root) != 0;
    }
    return x->kept > 0 ? event_time(store, x->kept - 1, &x->kept_ms) : BP_OK;
}

/* ---- certificates ---- */

struct search {
    bp_store *store;
    struct bp_loss *x;
};

static bp_result look_for(void *self, const struct bp_issued *e)
{
    const struct search *s = self;
    struct bp_certificate cert;
    bp_span der = BP_SPAN_EMPTY;
    const bp_result r = bp_store_cert(s->store, BP_SPAN_OF(e->serial), &cert, &der);
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    s->x->unknown++;
    s->x->unknown_of[e->profile]++;
    s->x->first_ms = s->x->first_ms == 0 ? e->time_ms : s->x->first_ms;
    s->x->last_ms = e->time_ms;
    return BP_OK;
}

static bp_result find_certificates(const struct bp_site *site, struct bp_crypto *c, bp_store *store, struct bp_loss *x)
{
    char path[BP_SITE_PATH_MAX];
    struct search s = {store, x};
    int64_t since = 0;
    uint64_t count = 0;
    BP_TRY(bp_site_path(site, BP_ISSUED_FILE, path, sizeof path));
    const bp_result r = bp_record_read(path, c, look_for, &s, &since, &count);
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

/* ---- revocations ---- */

bp_result bp_loss_revoked(const struct bp_site *site, bp_result (*each)(void *self, const struct bp_crl_item *e),
                          void *self, uint64_t *ret_number, uint8_t **ret_der, size_t *ret_n)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_crl crl;
    struct bp_crl_item e;
    *ret_number = 0;
    BP_TRY(bp_site_path(site, BP_CA_LIST, path, sizeof path));
    bp_result r = bp_file_read(path, BP_FILE_PUBLIC, LIST_MAX, &der, &n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    r = bp_crl_read(bp_span_of(der, n), &crl);
    bp_rd rd = bp_rd_over(bp_failed(r) ? BP_SPAN_EMPTY : crl.entries);
    while (!bp_failed(r) && bp_crl_next(&rd, &e)) {
        r = each(self, &e);
    }
    *ret_number = bp_failed(r) ? 0 : crl.number;
    if (!bp_failed(r) && ret_der != NULL) {
        *ret_der = der;
        *ret_n = n;
        der = NULL;
    }
    bp_free(der);
    return r;
}

static bp_result weigh(void *self, const struct bp_crl_item *e)
{
    const struct search *s = self;
    struct bp_certificate cert;
    bp_span der = BP_SPAN_EMPTY;
    const bp_result r = bp_store_cert(s->store, e->serial, &cert, &der);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        s->x->nameless++;
        return BP_OK;
    }
    s->x->forgotten += !bp_failed(r) && cert.state == BP_CERT_GOOD ? 1 : 0;
    return r;
}

static bp_result find_revocations(const struct bp_site *site, bp_store *store, struct bp_loss *x)
{
    char name[BP_LOSS_ISSUER_TEXT];
    struct search s = {store, x};
    int64_t at = 0;
    bp_span der = BP_SPAN_EMPTY;
    bp_loss_issuer(site, name);
    const bp_result r = bp_store_crl(store, name, &x->stored_list, &at, &der);
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    return bp_loss_revoked(site, weigh, &s, &x->list, NULL, NULL);
}

bp_result bp_loss_find(const struct bp_site *site, struct bp_crypto *c, bp_store *store, struct bp_loss *ret)
{
    int64_t mark = 0;
    *ret = (struct bp_loss){.mark = BP_RECOVERY_NONE};
    BP_TRY(bp_store_setting(store, BP_SETTING_RECOVERY, BP_RECOVERY_NONE, &mark));
    BP_TRY(bp_store_setting(store, BP_SETTING_BACKUP, 0, &ret->backup_ms));
    ret->mark = (enum bp_recovery)mark;
    BP_TRY(find_heads(site, c, store, ret));
    BP_TRY(find_certificates(site, c, store, ret));
    return find_revocations(site, store, ret);
}

/* ---- telling ---- */

static const char *time_text(int64_t ms, char ret[32])
{
    const time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0 || gmtime_r(&s, &tm) == NULL || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(ret, 32, "unknown");
    }
    return ret;
}

struct naming {
    bp_store *store;
    unsigned told;
};

static bp_result name_device(void *self, const struct bp_crl_item *e)
{
    struct naming *n = self;
    struct bp_certificate cert;
    struct bp_device d;
    bp_span der = BP_SPAN_EMPTY;
    char when[32];
    if (n->told >= TOLD_MAX || bp_failed(bp_store_cert(n->store, e->serial, &cert, &der)) ||
        cert.state != BP_CERT_GOOD) {
        return BP_OK;
    }
    const bool known = !bp_failed(bp_store_device_by_n(n->store, cert.device, &d));
    printf("    %s  %s%s%s, %s\n", time_text(e->revoked_s * 1000, when), known ? d.pseudonym : "no device",
           known && d.place.name[0] != 0 ? " " : "", known ? d.place.name : "",
           e->reason == HOLD ? "quarantined" : "revoked");
    n->told++;
    return BP_OK;
}

static bp_result tell_head(void *self, const struct bp_event_item *item)
{
    struct bp_event e;
    char when[32];
    (void)self;
    if (bp_failed(bp_event_read(item->body, &e))) {
        return BP_OK;
    }
    const struct bp_event_detail *why = bp_event_detail_of(&e, BP_SPAN_STR("reason"));
    printf("    %s  device %.*s: %.*s\n", time_text(item->at_ms, when), (int)e.device.n, (const char *)e.device.p,
           why == NULL ? 0 : (int)why->bytes.n, why == NULL ? "" : (const char *)why->bytes.p);
    return BP_OK;
}

static void tell_devices(const struct bp_site *site, bp_store *store, const struct bp_loss *x)
{
    struct naming n = {store, 0};
    uint64_t number = 0, last = 0;
    bool more = false;
    const struct bp_event_filter heads = {.type = BP_EV_HEAD_UNKNOWN, .from = INT64_MAX};
    printf("  revocations   list %" PRIu64 " was signed last, the store has list %" PRIu64 "; %" PRIu64
           " certificates on it are good in the store, %" PRIu64 " are not in it\n",
           x->list, x->stored_list, x->forgotten, x->nameless);
    BP_IGNORE(bp_loss_revoked(site, name_device, &n, &number, NULL, NULL), "counted above");
    printf("  devices' heads that this log has not:\n");
    BP_IGNORE(bp_list_events(store, &heads, TOLD_MAX, &last, &more, tell_head, NULL),
              "what cannot be read is not told");
}

void bp_loss_tell(const struct bp_site *site, bp_store *store, const struct bp_loss *x)
{
    char when[32], from[32], to[32];
    if (!bp_loss_is_there(x)) {
        printf("Nothing is lost: the store knows all %" PRIu64 " events that were signed.\n", x->lost);
        return;
    }
    if (x->mark == BP_RECOVERY_PUT_BACK) {
        printf("The store is a backup of %s that was put back.\n", time_text(x->backup_ms, when));
    }
    printf("  log           the store has %" PRIu64 " events under a head, the last of %s; the signer signed %" PRIu64
           ": %" PRIu64 " are lost\n",
           x->kept, time_text(x->kept_ms, when), x->lost, x->lost > x->kept ? x->lost - x->kept : 0);
    printf("  certificates  %" PRIu64 " were recorded for signing and are not in the store%s%s%s%s\n", x->unknown,
           x->unknown > 0 ? ", from " : "", x->unknown > 0 ? time_text(x->first_ms, from) : "",
           x->unknown > 0 ? " to " : "", x->unknown > 0 ? time_text(x->last_ms, to) : "");
    tell_devices(site, store, x);
}

void bp_loss_tell_json(const struct bp_loss *x)
{
    static const char *const marks[] = {"none", "older", "put-back"};
    printf("{\"loss\":%s,\"mark\":\"%s\",\"stored\":%" PRIu64 ",\"kept\":%" PRIu64 ",\"signed\":%" PRIu64
           ",\"kept_ms\":%" PRId64 ",\"backup_ms\":%" PRId64 ",\"certificates\":%" PRIu64 ",\"first_ms\":%" PRId64
           ",\"last_ms\":%" PRId64 ",\"list\":%" PRIu64 ",\"stored_list\":%" PRIu64 ",\"forgotten\":%" PRIu64
           ",\"nameless\":%" PRIu64 "}\n",
           bp_loss_is_there(x) ? "true" : "false", marks[x->mark <= BP_RECOVERY_PUT_BACK ? x->mark : 0], x->stored,
           x->kept, x->lost, x->kept_ms, x->backup_ms, x->unknown, x->first_ms, x->last_ms, x->list, x->stored_list,
           x->forgotten, x->nameless);
}
