/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/logbreak - `bedplated log-break`: lists what a store that was put back does not know, and, when a person
 * accepts that, ends the recovery.
 *
 * Accepting writes, in one transaction: every certificate that was recorded for signing and is not in the store, as
 * revoked; every device whose certificate is on signer ca's last list, as revoked or quarantined again; an end of
 * everything that serves once; and the statement, an event of the log, which names the history that is given up. Then
 * the log signer goes on from there, under a head over the statement. Cut between the two, the server recovers still,
 * and the command does the rest. */
#include "fleet/proc/backup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/secret.h"
#include "codec/crl.h"
#include "fleet/events/effects.h"
#include "fleet/events/log.h"
#include "fleet/operators/operators.h"
#include "fleet/proc/loss.h"
#include "fleet/proc/proc.h"
#include "fleet/proc/sandbox.h"
#include "fleet/registry/registry.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"

#define BP_MODULE  PROC

#define HOLD       6u /* CRLReason certificateHold */
#define SUPERSEDED 4u /* nothing is known of it but that it was signed */

struct act {
    struct bp_offline o;
    const char *reason;
    uint64_t accepted; /* heads up to this size are void */
    bool accepts;
    struct bp_entropy entropy;
    bp_store *store;
    struct bp_log log;
    struct bp_registry registry;
    struct bp_effects effects;
    struct bp_loss loss;
    uint64_t revoked; /* certificates entered so */
    uint64_t devices; /* revoked or quarantined again */
    uint64_t event;   /* number of the statement */
};

static int say(const char *what, bp_result r)
{
    fprintf(stderr, "bedplated: %s: %s (%s, line %u)\n", what, bp_error_text(bp_error_of(r)),
            bp_module_name((enum bp_module)(r.word >> 8 & 0xffu)), (unsigned)(r.word >> 16));
    return BP_EXIT_REFUSED;
}

/* ---- what was signed since ---- */

static int64_t longest(enum bp_cert_profile profile)
{
    return bp_cert_is_application(profile) ? BP_CA_APPLICATION_MOST_MS
           : profile == BP_CERT_BROWNFIELD ? BP_CA_BROWNFIELD_MS
           : profile == BP_CERT_OPERATOR   ? BP_OPERATOR_CERT_DAYS * 86400000LL
                                           : BP_CA_DEVICE_MS;
}

/* What is known of it: serial, kind, when. It is on the list as long as such a certificate can live. */
static bp_result enter(void *self, const struct bp_issued *e)
{
    struct act *x = self;
    struct bp_certificate cert = {.serial_n = sizeof e->serial,
                                  .not_before_ms = e->time_ms,
                                  .not_after_ms = e->time_ms + longest(e->profile),
                                  .state = BP_CERT_REVOKED,
                                  .revoked_ms = x->registry.now_ms,
                                  .revoked_reason = SUPERSEDED};
    bp_span der = BP_SPAN_EMPTY;
    struct bp_certificate known;
    const bp_result r = bp_store_cert(x->store, BP_SPAN_OF(e->serial), &known, &der);
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    memcpy(cert.serial, e->serial, sizeof e->serial);
    (void)snprintf(cert.profile, sizeof cert.profile, "%s",
                   e->profile == BP_CERT_OPERATOR     ? "operator"
                   : e->profile == BP_CERT_BROWNFIELD ? "brownfield"
                                                      : "lost");
    x->revoked++;
    return bp_store_cert_add(x->store, &cert, BP_SPAN_EMPTY);
}

static bp_result enter_all(struct act *x)
{
    char path[BP_SITE_PATH_MAX];
    int64_t since = 0;
    uint64_t count = 0;
    BP_TRY(bp_site_path(x->o.site, BP_ISSUED_FILE, path, sizeof path));
    const bp_result r = bp_record_read(path, x->o.crypto, enter, x, &since, &count);
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

/* ---- what was revoked since ---- */

/* A device is as its certificate on the list says, if its state still allows that. */
static bp_result revoke(void *self, const struct bp_crl_item *e)
{
    struct act *x = self;
    struct bp_certificate cert;
    struct bp_device d;
    bp_span der = BP_SPAN_EMPTY;
    enum bp_problem problem = BP_P_NONE;
    bool capped = false;
    bp_result r = bp_store_cert(x->store, e->serial, &cert, &der);
    if (bp_failed(r) || cert.state != BP_CERT_GOOD || cert.device == 0) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    BP_TRY(bp_store_device_by_n(x->store, cert.device, &d));
    r = e->reason == HOLD
            ? bp_registry_quarantine(&x->registry, d.n, false, BP_SPAN_STR("it was before the store was put back"),
                                     BP_SPAN_STR(BP_LOCAL_ACTOR), &capped, &problem)
            : bp_registry_revoke(&x->registry, d.n, BP_SPAN_STR("it was before the store was put back"),
                                 BP_SPAN_STR(BP_LOCAL_ACTOR), &problem);
    x->devices += bp_failed(r) ? 0 : 1;
    return bp_is(r, BP_E_DENIED) && problem == BP_P_WRONG_STATE ? BP_OK : r;
}

/* The list itself counts until the next one is made, which is due at once. */
static bp_result revoke_all(struct act *x)
{
    char name[BP_LOSS_ISSUER_TEXT];
    uint64_t number = 0;
    uint8_t *der = NULL;
    size_t n = 0;
    bp_loss_issuer(x->o.site, name);
    bp_result r = bp_loss_revoked(x->o.site, revoke, x, &number, &der, &n);
    if (!bp_failed(r) && der != NULL) {
        r = bp_store_crl_set(x->store, name, number, 0, bp_span_of(der, n));
    }
    bp_free(der);
    return r;
}

/* ---- the statement ---- */

static bp_result append(struct act *x, enum bp_event_type type, const struct bp_event_detail *detail, size_t count)
{
    struct bp_event e = {.time_ms = x->registry.now_ms,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = BP_SPAN_STR(BP_LOCAL_ACTOR),
                         .detail_count = count};
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = detail[i];
    }
    return bp_log_append(&x->log, &e, 0, NULL, &x->event);
}

static bp_result state(struct act *x)
{
    const struct bp_log_gap gap = {x->log.size, x->loss.kept, x->accepted};
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("kept"), BP_VAL_INT, (int64_t)x->loss.kept, BP_SPAN_EMPTY},
        {BP_SPAN_STR("kept_root"), BP_VAL_BYTES, 0, BP_SPAN_OF(x->loss.kept_root)},
        {BP_SPAN_STR("lost"), BP_VAL_INT, (int64_t)x->accepted, BP_SPAN_EMPTY},
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(x->reason)},
        {BP_SPAN_STR("lost_root"), BP_VAL_BYTES, 0, BP_SPAN_OF(x->loss.lost_root)}};
    /* A root is known of the signer's last head only, which another size is not. */
    BP_TRY(append(x, BP_EV_LOG_BROKEN, detail, x->accepted == x->loss.lost ? 5 : 4));
    return bp_store_gap_add(x->store, &gap);
}

static bp_result write_all(bp_store *store, void *self)
{
    struct act *x = self;
    (void)store; /* it is x's */
    BP_TRY(enter_all(x));
    BP_TRY(revoke_all(x));
    BP_TRY(bp_store_spend_all(x->store, x->registry.now_ms));
    if (x->revoked > 0) {
        const struct bp_event_detail count = {BP_SPAN_STR("count"), BP_VAL_INT, (int64_t)x->revoked, BP_SPAN_EMPTY};
        BP_TRY(append(x, BP_EV_CERTIFICATES_LOST, &count, 1));
    }
    BP_TRY(bp_store_setting_set(x->store, BP_SETTING_RECOVERY, BP_RECOVERY_NONE));
    BP_TRY(state(x));
    return bp_log_flush(&x->log);
}

static bp_result go_on(const struct act *x)
{
    struct bp_merkle *tree = bp_alloc(sizeof *tree);
    bp_result r = tree == NULL ? BP_FAIL(NO_MEMORY) : bp_log_frontier(x->store, x->log.size, tree);
    if (!bp_failed(r)) {
        r = bp_log_signer_break(x->o.site, x->o.crypto, tree);
    }
    bp_free(tree);
    return r;
}

/* ---- the command ---- */

static bp_result open_store(struct act *x, enum bp_store_mode mode)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(x->o.site, "store/bedplate.db", path, sizeof path));
    BP_TRY(bp_store_open(path, mode, BP_PRODUCT_VERSION, NULL, &x->store));
    return bp_loss_find(x->o.site, x->o.crypto, x->store, &x->loss);
}

static int list(struct act *x)
{
    const bp_result r = open_store(x, BP_STORE_READ);
    if (bp_failed(r)) {
        return say("what is lost cannot be listed", r);
    }
    if (x->o.is_json) {
        bp_loss_tell_json(&x->loss);
    } else {
        bp_loss_tell(x->o.site, x->store, &x->loss);
        if (bp_loss_is_there(&x->loss)) {
            printf("To accept this, stop the server, then: bedplated log-break --dir %s --accept %" PRIu64
                   " --reason TEXT\n",
                   x->o.dir, x->loss.lost > x->loss.kept ? x->loss.lost : x->loss.kept);
        }
    }
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

/* Beyond what the signer signed there may be heads that only devices know of: its own state was lost as well. */
static int refuse_size(const struct act *x)
{
    struct bp_log_gap gap;
    const uint64_t least = x->loss.lost > x->loss.kept ? x->loss.lost : x->loss.kept;
    if (!bp_loss_is_there(&x->loss) && x->accepted <= least) {
        fputs("bedplated: nothing is lost: the log is not broken\n", stderr);
        return BP_EXIT_REFUSED;
    }
    if (!bp_loss_is_there(&x->loss) && !bp_failed(bp_store_gap(x->store, x->accepted, &gap))) {
        fprintf(stderr, "bedplated: that was accepted before: event %" PRIu64 " of the log says so\n", gap.event);
        return BP_EXIT_REFUSED;
    }
    if (x->accepted < least) {
        fprintf(stderr, "bedplated: the loss reaches to %" PRIu64 " events at least: list it again\n", least);
        return BP_EXIT_REFUSED;
    }
    return BP_EXIT_OK;
}

static int tell(const struct act *x)
{
    if (x->o.is_json) {
        printf("{\"event\":%" PRIu64 ",\"kept\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"certificates\":%" PRIu64
               ",\"devices\":%" PRIu64 "}\n",
               x->event, x->loss.kept, x->accepted, x->revoked, x->devices);
    } else {
        printf("The log goes on from %" PRIu64 " events; event %" PRIu64 " says that heads up to %" PRIu64
               " are void.\n"
               "%" PRIu64 " certificates that are not in the store are revoked; %" PRIu64
               " devices are revoked or quarantined again.\n"
               "Start the server.\n",
               x->loss.kept, x->event, x->accepted, x->revoked, x->devices);
    }
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

static int accept_loss(struct act *x)
{
    bp_result r = bp_offline_hold(&x->o);
    if (bp_failed(r)) {
        fprintf(stderr, "bedplated: %s\n",
                bp_is(r, BP_E_BUSY) ? "the server runs; stop it, then accept" : bp_error_text(bp_error_of(r)));
        return BP_EXIT_REFUSED;
    }
    r = bp_sandbox_disown(x->o.dir);
    if (!bp_failed(r)) {
        r = open_store(x, BP_STORE_WRITE);
    }
    if (!bp_failed(r)) {
        r = bp_log_open(&x->log, x->store, x->o.crypto);
    }
    if (bp_failed(r)) {
        return say("the store cannot be opened", r);
    }
    const int code = refuse_size(x);
    if (code != BP_EXIT_OK) {
        return code;
    }
    x->registry = (struct bp_registry){.store = x->store,
                                       .log = &x->log,
                                       .crypto = x->o.crypto,
                                       .entropy = &x->entropy,
                                       .effects = &x->effects,
                                       .now_ms = bp_wall_ms(&x->o.clock)};
    memcpy(x->registry.owner_secret, x->o.secret, sizeof x->registry.owner_secret);
    r = bp_store_alone(x->store, write_all, x);
    if (!bp_failed(r)) {
        bp_offline_let_signer(&x->o);
        r = go_on(x);
    }
    return bp_failed(r) ? say("the loss is not accepted", r) : tell(x);
}

static bool is_line(const char *text)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)) {
            return false;
        }
    }
    return n > 0 && n < BP_REASON_MAX;
}

static bool read_size(const char *text, uint64_t *ret)
{
    char *rest = NULL;
    errno = 0;
    *ret = strtoull(text, &rest, 10);
    return text[0] >= '0' && text[0] <= '9' && *rest == 0 && errno == 0 && *ret <= INT64_MAX;
}

static bool read_options(int argc, char **argv, struct act *x)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            x->o.is_json = true;
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            x->o.dir = argv[++i];
        } else if (strcmp(argv[i], "--reason") == 0 && i + 1 < argc && is_line(argv[i + 1])) {
            x->reason = argv[++i];
        } else if (strcmp(argv[i], "--accept") == 0 && i + 1 < argc && read_size(argv[i + 1], &x->accepted)) {
            x->accepts = true;
            i++;
        } else {
            fprintf(stderr, "bedplated: %s is not an option of log-break, or its value is missing or not allowed\n",
                    argv[i]);
            return false;
        }
    }
    if (x->o.dir == NULL || x->accepts != (x->reason != NULL)) {
        fputs("bedplated: log-break needs --dir DIR; to accept, --accept SIZE and --reason TEXT\n", stderr);
        return false;
    }
    return true;
}

int bp_log_break_main(int argc, char **argv)
{
    struct act *x = bp_alloc(sizeof *x);
    if (x == NULL) {
        return BP_EXIT_INTERNAL;
    }
    x->entropy = bp_entropy_linux();
    int code = BP_EXIT_USAGE;
    if (read_options(argc, argv, x)) {
        (void)umask(0077);
        code = BP_EXIT_REFUSED;
        if (!bp_failed(bp_offline_open(&x->o))) {
            code = x->accepts ? accept_loss(x) : list(x);
        }
        bp_store_free(x->store);
        bp_offline_done(&x->o);
    }
    bp_wipe(x->registry.owner_secret, sizeof x->registry.owner_secret);
    bp_free(x);
    return code;
}
