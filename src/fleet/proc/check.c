/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/check - `bedplated check`: which fences would stand around the server's processes when it is started by who
 * asks now, and whether directory, store and log are in order. It changes nothing and may run beside the server. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "codec/note.h"
#include "codec/x509.h"
#include "fleet/authority/site.h"
#include "fleet/events/log.h"
#include "fleet/proc/loss.h"
#include "fleet/proc/proc.h"
#include "fleet/proc/sandbox.h"
#include "fleet/signer/record.h"
#include "fleet/store/store.h"
#include "net/tls.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/path.h"

#define BP_MODULE PROC

#define FINDINGS_MAX 24u
#define HEAD_MAX     4096u

struct finding {
    char part[24];
    bool ok;
    char text[256];
};

struct check {
    const char *dir;
    struct bp_crypto *crypto;
    struct bp_site *site;
    struct finding finding[FINDINGS_MAX];
    size_t count;
    bool is_good;
};

__attribute__((format(printf, 4, 5))) static void found(struct check *k, const char *part, bool ok, const char *text, ...)
{
    if (k->count < FINDINGS_MAX) {
        struct finding *f = &k->finding[k->count++];
        va_list args;
        (void)snprintf(f->part, sizeof f->part, "%s", part);
        f->ok = ok;
        va_start(args, text);
        (void)vsnprintf(f->text, sizeof f->text, text, args);
        va_end(args);
    }
    k->is_good = k->is_good && ok;
}

static const char *text_of(bp_result r)
{
    return bp_error_text(bp_error_of(r));
}

/* What the machine's library brings that older ones do not. */
static void check_library(struct check *k)
{
    const char *group = bp_tls_first_group();
    found(k, "openssl", group != NULL, "%s: sessions agree on keys by %s where the peer can; certificates by ML-DSA are %s",
          OpenSSL_version(OPENSSL_VERSION_STRING), group != NULL ? group : "nothing",
          bp_path_has_ml_dsa() ? "verified" : "refused by name");
}

static void check_site(struct check *k)
{
    const bp_result r = bp_site_load(k->dir, k->crypto, &k->site);
    if (bp_failed(r)) {
        found(k, "directory", false, "%s", text_of(r));
        return;
    }
    found(k, "directory", true, "the certificates of %s belong together", k->site->name);
    const char *key = bp_site_owner_key(k->site);
    if (key == NULL) {
        found(k, "root key", true, "neither it nor the recovery key is on this machine");
    } else if (k->site->evaluation) {
        found(k, "root key", true, "%s lies in the directory: an evaluation only", key);
    } else {
        found(k, "root key", false, "%s still lies in the directory; move it off this machine", key);
    }
}

/* Where each key lies, and whether it could be somewhere else as well. */
static void check_key(struct check *k, enum bp_site_key which)
{
    struct bp_pkcs11_facts t;
    char part[24];
    (void)snprintf(part, sizeof part, "key %s", bp_site_key_name(which));
    if (!bp_site_key_is_in_token(k->site, which)) {
        found(k, part, true, "in the file %s: who may read it can copy it", bp_site_key_file(which));
        return;
    }
    const bp_result r = bp_site_key_look(k->site, which, &t);
    if (bp_failed(r)) {
        found(k, part, false, "in a token that does not answer for it: %s (the module's code is 0x%lx)", text_of(r),
              bp_pkcs11_trace());
    } else if (t.can_leave) {
        found(k, part, false, "in the token %s (%s), which would give it away: make another", t.token, t.model);
    } else {
        found(k, part, true, "in the token %s (%s): %s", t.token, t.model,
              t.was_always_there ? "made there, cannot leave" : "cannot leave now, but was made or kept elsewhere before");
    }
}

static void check_keys(struct check *k)
{
    struct bp_site_settings s;
    bool tokens = false;
    for (enum bp_site_key i = BP_SITE_KEY_SERVER; i < BP_SITE_KEYS; i = (enum bp_site_key)(i + 1)) {
        check_key(k, i);
        tokens = tokens || bp_site_key_is_in_token(k->site, i);
    }
    if (tokens && !bp_failed(bp_site_settings_load(k->dir, &s))) {
        found(k, "module of the token", true, "signer-ca keeps the machine's root folder for it%s%s",
              s.key_reach[0] != 0 ? " and reaches " : ", and no file beside the directory", s.key_reach);
    }
}

/* The signer's own head outlives the store: one that the store has not means that the store is an older one. */
static void check_recovery(struct check *k, bp_store *store)
{
    struct bp_loss x;
    const bp_result r = bp_loss_find(k->site, k->crypto, store, &x);
    if (bp_failed(r)) {
        found(k, "recovery", false, "the signer's last head, its record or its list cannot be read: %s", text_of(r));
    } else if (x.is_older) {
        found(k, "recovery", false, "the signer's head, of %llu events, is none of the store's log of %llu: the store is older; see bedplated log-break",
              (unsigned long long)x.lost, (unsigned long long)x.stored);
    } else if (x.mark != BP_RECOVERY_NONE) {
        found(k, "recovery", false, "a backup was put back and nobody accepted what is lost; see bedplated log-break");
    } else {
        found(k, "recovery", true, "the signer's head, of %llu events, is one of the store's log", (unsigned long long)x.lost);
    }
}

/* The store's own head against the log's leaves: what was signed must be a head of the tree that is kept. */
static void check_log(struct check *k, bp_store *store)
{
    struct bp_tree_row tree;
    uint8_t root[BP_DIGEST_SIZE];
    struct bp_note note;
    struct bp_checkpoint head;
    bp_result r = bp_store_tree(store, &tree);
    if (!bp_failed(r) && tree.signed_size == 0) {
        found(k, "log", true, "%llu events, no head is signed yet", (unsigned long long)tree.size);
        return;
    }
    /* The row's text lives until the next call on the store. */
    uint8_t text[HEAD_MAX];
    const size_t text_n = bp_failed(r) ? 0 : tree.checkpoint.n;
    if (text_n > sizeof text) {
        r = BP_FAIL(LIMIT);
    } else if (text_n > 0) {
        memcpy(text, tree.checkpoint.p, text_n);
    }
    if (!bp_failed(r)) {
        r = bp_log_root(store, k->crypto, tree.signed_size, root);
    }
    if (!bp_failed(r)) {
        r = bp_note_read(bp_span_of(text, text_n), &note);
    }
    if (!bp_failed(r)) {
        r = bp_checkpoint_read(&note, &head);
    }
    if (bp_failed(r)) {
        found(k, "log", false, "the signed head cannot be checked: %s", text_of(r));
    } else if (head.size != tree.signed_size || memcmp(head.root, root, sizeof root) != 0) {
        found(k, "log", false, "the signed head of size %llu is not one of the events that are stored",
              (unsigned long long)head.size);
    } else {
        found(k, "log", true, "%llu events, %llu under a signed head that is theirs", (unsigned long long)tree.size,
              (unsigned long long)tree.signed_size);
    }
}

struct tally {
    bp_store *store;
    struct bp_crypto *crypto;
    int64_t since_ms;
    uint64_t known; /* recorded, and the store has the certificate */
    uint64_t counted; /* of those, begun after the record was */
    uint64_t other; /* the store has another certificate of that serial */
    uint64_t lost; /* the store was put back since, and has it as revoked */
    uint64_t recorded;
    uint8_t (*serial)[BP_SERIAL_SIZE]; /* all of them */
    uint64_t cap;
};

static bp_result count_issued(void *self, const struct bp_issued *e)
{
    struct tally *t = self;
    struct bp_certificate c;
    struct bp_x509 x;
    bp_span der = BP_SPAN_EMPTY;
    uint8_t tbs[BP_SHA256_SIZE];
    const bp_result r = bp_store_cert(t->store, BP_SPAN_OF(e->serial), &c, &der);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(r);
    if (der.n == 0) { /* entered as revoked after a loss: nothing of it is known but its serial */
        t->known++;
        t->lost++;
        return BP_OK;
    }
    BP_TRY(bp_x509_read(der, &x));
    BP_TRY(bp_hash(t->crypto, BP_HASH_SHA256, x.tbs, tbs));
    t->known++;
    t->counted += c.not_before_ms >= t->since_ms ? 1 : 0;
    t->other += memcmp(tbs, e->tbs, sizeof tbs) != 0 ? 1 : 0;
    return BP_OK;
}

static bp_result pass_over(void *self, const struct bp_issued *e)
{
    (void)self;
    (void)e;
    return BP_OK;
}

static bp_result note_serial(void *self, const struct bp_issued *e)
{
    struct tally *t = self;
    if (t->recorded < t->cap) { /* what is issued meanwhile is not looked at */
        memcpy(t->serial[t->recorded++], e->serial, sizeof e->serial);
    }
    return BP_OK;
}

static int by_serial(const void *a, const void *b)
{
    return memcmp(a, b, BP_SERIAL_SIZE);
}

/* Serials are by chance: one that is there twice is a broken generator, or a certificate signed behind our back. */
static bp_result count_twice(struct check *k, const char *path, uint64_t recorded, uint64_t *ret)
{
    struct tally t = {.cap = recorded, .serial = bp_alloc_array((size_t)recorded + 1, BP_SERIAL_SIZE)};
    uint64_t again = 0;
    *ret = 0;
    if (t.serial == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = bp_record_read(path, k->crypto, note_serial, &t, &t.since_ms, &again);
    qsort(t.serial, (size_t)t.recorded, BP_SERIAL_SIZE, by_serial);
    for (uint64_t i = 1; i < t.recorded; i++) {
        *ret += memcmp(t.serial[i - 1], t.serial[i], BP_SERIAL_SIZE) == 0 ? 1 : 0;
    }
    bp_free(t.serial);
    return r;
}

/* Every certificate that the store knows was recorded before it was signed. The other way round need not hold: what was
 * recorded when the power went may have been issued or not. */
static void check_issued(struct check *k, bp_store *store)
{
    char path[BP_SITE_PATH_MAX];
    struct tally t = {.store = store, .crypto = k->crypto};
    uint64_t recorded = 0, stored = 0, twice = 0;
    /* The store first: what is issued meanwhile is recorded before it is stored. */
    bp_result r = bp_site_path(k->site, BP_ISSUED_FILE, path, sizeof path);
    if (!bp_failed(r)) {
        r = bp_record_read(path, k->crypto, pass_over, NULL, &t.since_ms, &recorded);
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        found(k, "issued", true, "no certificate was issued yet");
        return;
    }
    if (!bp_failed(r)) {
        r = bp_store_cert_count(store, t.since_ms, &stored);
    }
    if (!bp_failed(r)) {
        r = bp_record_read(path, k->crypto, count_issued, &t, &t.since_ms, &recorded);
    }
    if (!bp_failed(r)) {
        r = count_twice(k, path, recorded, &twice);
    }
    if (bp_failed(r)) {
        found(k, "issued", false, "the record of what was signed cannot be read: %s", text_of(r));
    } else if (twice > 0) {
        found(k, "issued", false, "%llu serials were recorded twice", (unsigned long long)twice);
    } else if (t.other > 0 || t.counted + t.lost < stored) {
        found(k, "issued", false, "%llu of %llu certificates in the store are not in the record of what was signed",
              (unsigned long long)(t.other + stored - t.counted - t.lost), (unsigned long long)stored);
    } else {
        found(k, "issued", true, "%llu certificates were recorded before they were signed, none twice; the store knows %llu of them",
              (unsigned long long)recorded, (unsigned long long)t.known);
    }
}

static void check_store(struct check *k)
{
    char path[BP_SITE_PATH_MAX], needs[64] = "";
    bp_store *store = NULL;
    bp_result r = bp_site_path(k->site, "store/bedplate.db", path, sizeof path);
    if (!bp_failed(r)) {
        r = bp_store_open(path, BP_STORE_READ, BP_PRODUCT_VERSION, needs, &store);
    }
    if (bp_failed(r)) {
        found(k, "store", false, "%s%s%s", text_of(r), needs[0] != '\0' ? "; it needs version " : "", needs);
        return;
    }
    found(k, "store", true, "can be read");
    check_log(k, store);
    check_recovery(k, store);
    check_issued(k, store);
    bp_store_free(store);
}

/* ---- telling ---- */

static void put_json_text(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void tell_json(const struct check *k, uint32_t fences)
{
    printf("{\"ok\":%s,\"fences\":{", k->is_good ? "true" : "false");
    for (unsigned f = 0; f < BP_FENCE_COUNT; f++) {
        printf("%s\"%s\":%s", f > 0 ? "," : "", bp_fence_name((enum bp_fence)f), (fences & 1u << f) != 0 ? "true" : "false");
    }
    printf("},\"findings\":[");
    for (size_t i = 0; i < k->count; i++) {
        printf("%s{\"part\":", i > 0 ? "," : "");
        put_json_text(k->finding[i].part);
        printf(",\"ok\":%s,\"text\":", k->finding[i].ok ? "true" : "false");
        put_json_text(k->finding[i].text);
        putchar('}');
    }
    printf("]}\n");
}

static void tell(const struct check *k, uint32_t fences)
{
    for (unsigned f = 0; f < BP_FENCE_COUNT; f++) {
        printf("fence %-14s %-4s %s\n", bp_fence_name((enum bp_fence)f), (fences & 1u << f) != 0 ? "up" : "DOWN",
               bp_fence_text((enum bp_fence)f));
    }
    for (size_t i = 0; i < k->count; i++) {
        printf("%-20s %-4s %s\n", k->finding[i].part, k->finding[i].ok ? "ok" : "BAD", k->finding[i].text);
    }
}

int bp_check_main(int argc, char **argv)
{
    struct check k = {.is_good = true};
    bool is_json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            is_json = true;
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            k.dir = argv[++i];
        } else {
            fprintf(stderr, "bedplated: %s is not an option of check\n", argv[i]);
            return BP_EXIT_USAGE;
        }
    }
    if (k.dir == NULL) {
        fputs("bedplated: check needs --dir DIR\n", stderr);
        return BP_EXIT_USAGE;
    }
    if (bp_failed(bp_crypto_openssl_new(16, &k.crypto))) {
        return BP_EXIT_INTERNAL;
    }
    check_library(&k);
    check_site(&k);
    if (k.site != NULL) {
        check_keys(&k);
        check_store(&k);
    }
    const uint32_t fences = bp_sandbox_possible();
    if (is_json) {
        tell_json(&k, fences);
    } else {
        tell(&k, fences);
    }
    bp_site_free(k.site);
    bp_crypto_openssl_free(k.crypto);
    return k.is_good ? BP_EXIT_OK : BP_EXIT_REFUSED;
}
