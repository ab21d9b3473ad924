/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/ca - `bedplated ca`: another issuing CA for a server that runs, and the end of the old one.
 *
 * Each act changes the directory as a whole and nothing that runs: the server's processes are replaced, one after the
 * other, when the parent is told by SIGHUP. The root's key is read from where its holder put it, and held for one
 * signature. */
#include "fleet/proc/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "fleet/authority/site.h"
#include "fleet/signer/record.h"
#include "fleet/signer/signer.h"
#include "fleet/store/store.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

#define PASSPHRASE_MAX 256u

struct ca {
    const char *dir, *root_key, *passphrase_file, *algorithm;
    struct bp_crypto *crypto;
    struct bp_clock clock;
    struct bp_entropy entropy;
};

static int say(const char *what, const char *name, bp_result r)
{
    fprintf(stderr, "bedplated: %s %s: %s (%s, line %u)\n", what, name, bp_error_text(bp_error_of(r)),
            bp_module_name((enum bp_module)(r.word >> 8 & 0xffu)), (unsigned)(r.word >> 16));
    return BP_EXIT_REFUSED;
}

/* --- another issuing CA --- */

static bp_result read_root(const struct ca *x, struct bp_key **ret)
{
    uint8_t *text = NULL;
    size_t n = 0;
    BP_TRY(bp_file_read(x->passphrase_file, BP_FILE_SECRET, PASSPHRASE_MAX, &text, &n));
    const uint8_t *end = memchr(text, '\n', n);
    const bp_span pass = bp_span_of(text, end == NULL ? n : (size_t)(end - text));
    const bp_result r = pass.n == 0 ? BP_FAIL(MALFORMED) : bp_key_load(x->root_key, pass, ret);
    bp_free_secret(text, n);
    return r;
}

static int tell_rolled(const struct ca *x, bp_result r)
{
    switch ((int)bp_error_of(r)) {
    case BP_E_OK:
        printf("The next issuing CA is made. Tell the server with SIGHUP: its processes are replaced one after the other, then\n"
               "certificates come from the new one. The old one counts, and signs its revocation list, until every certificate\n"
               "of it has expired; then: bedplated ca retire --dir %s\n", x->dir);
        return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
    case BP_E_BUSY:
        fprintf(stderr, "bedplated: an old issuing CA is still in force; it is taken out by `bedplated ca retire` first\n");
        return BP_EXIT_REFUSED;
    case BP_E_MISMATCH:
        fprintf(stderr, "bedplated: %s is not the key of this server's root certificate\n", x->root_key);
        return BP_EXIT_REFUSED;
    default:
        return say("no issuing CA was made in", x->dir, r);
    }
}

static int rollover(struct ca *x)
{
    const bool p384 = x->algorithm != NULL && strcmp(x->algorithm, "p384") == 0;
    struct bp_key *root = NULL;
    if (x->root_key == NULL || x->passphrase_file == NULL ||
        (x->algorithm != NULL && !p384 && strcmp(x->algorithm, "p256") != 0)) {
        fputs("bedplated: ca rollover needs --root-key FILE, --passphrase-file FILE (mode 0600), and as --algorithm p256 or "
              "p384\n", stderr);
        return BP_EXIT_USAGE;
    }
    const bp_result r = read_root(x, &root);
    if (bp_failed(r)) {
        return say("the root's key cannot be read from", x->root_key, r);
    }
    const int code = tell_rolled(
        x, bp_site_roll(x->dir, root, p384 ? BP_KEY_P384 : BP_KEY_P256, x->crypto, &x->entropy, &x->clock));
    bp_key_free(root);
    return code;
}

/* --- the end of the old one --- */

struct living {
    bp_store *store;
    uint8_t key_id[BP_KEY_ID_SIZE];
    int64_t now_ms;
    uint64_t count;
    int64_t last_ms;
};

/* What was recorded and is not in the store may have been issued: it counts for as long as it could last. */
static bp_result count_living(void *self, const struct bp_issued *e)
{
    struct living *x = self;
    struct bp_certificate c;
    bp_span der;
    if (memcmp(e->issuer, x->key_id, sizeof x->key_id) != 0) {
        return BP_OK;
    }
    const bp_result r = bp_store_cert(x->store, BP_SPAN_OF(e->serial), &c, &der);
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    const int64_t until = bp_failed(r) ? e->time_ms + BP_CA_DEVICE_MS : c.not_after_ms;
    if (until > x->now_ms) {
        x->count++;
        x->last_ms = until > x->last_ms ? until : x->last_ms;
    }
    return BP_OK;
}

static bp_result look(const struct ca *x, struct living *ret)
{
    char path[BP_SITE_PATH_MAX];
    struct bp_site *site = NULL;
    struct bp_issuer issuer;
    const struct bp_signer nobody = {NULL, BP_SIG_ES256, NULL};
    int64_t since = 0;
    uint64_t n = 0;
    BP_TRY(bp_site_load(x->dir, x->crypto, &site));
    bp_result r = site->issuing_old.n == 0 ? BP_FAIL(NOT_FOUND) : bp_issuer_of(site->issuing_old, &nobody, &issuer);
    if (!bp_failed(r)) {
        memcpy(ret->key_id, issuer.key_id, sizeof ret->key_id);
        r = bp_site_path(site, "store/bedplate.db", path, sizeof path);
    }
    if (!bp_failed(r)) {
        r = bp_store_open(path, BP_STORE_READ, BP_PRODUCT_VERSION, NULL, &ret->store);
    }
    if (!bp_failed(r)) {
        r = bp_site_path(site, BP_ISSUED_FILE, path, sizeof path);
    }
    if (!bp_failed(r)) {
        r = bp_record_read(path, x->crypto, count_living, ret, &since, &n);
        bp_store_free(ret->store);
    }
    bp_site_free(site);
    return r;
}

static int retire(struct ca *x)
{
    struct living living = {.now_ms = bp_wall_ms(&x->clock)};
    bp_result r = look(x, &living);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        fprintf(stderr, "bedplated: %s has no old issuing CA, or no record of what it issued\n", x->dir);
        return BP_EXIT_REFUSED;
    }
    if (!bp_failed(r) && living.count > 0) {
        fprintf(stderr, "bedplated: %llu certificates of the old issuing CA may still count, the last for %lld hours; nothing was "
                        "changed\n", (unsigned long long)living.count,
                (long long)((living.last_ms - living.now_ms) / 3600000 + 1));
        return BP_EXIT_REFUSED;
    }
    if (!bp_failed(r)) {
        r = bp_site_retire(x->dir, x->crypto);
    }
    if (bp_failed(r)) {
        return say("the old issuing CA is not taken out of", x->dir, r);
    }
    printf("The old issuing CA is out of force. Tell the server with SIGHUP.\n");
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

/* --- the command --- */

int bp_ca_main(int argc, char **argv)
{
    struct ca x = {.clock = bp_clock_linux(), .entropy = bp_entropy_linux()};
    const char *word = argc > 1 ? argv[1] : "";
    const bool is_rollover = strcmp(word, "rollover") == 0;
    const struct {
        const char *name;
        const char **at;
    } options[] = {{"--dir", &x.dir},
                   {"--root-key", &x.root_key},
                   {"--passphrase-file", &x.passphrase_file},
                   {"--algorithm", &x.algorithm}};
    for (int i = 2; i < argc; i += 2) {
        size_t o = 0;
        while (o < sizeof options / sizeof options[0] && strcmp(argv[i], options[o].name) != 0) {
            o++;
        }
        if (o == sizeof options / sizeof options[0] || i + 1 == argc || (o > 0 && !is_rollover)) {
            fprintf(stderr, "bedplated: %s is not an option of ca %s, or its value is missing\n", argv[i], word);
            return BP_EXIT_USAGE;
        }
        *options[o].at = argv[i + 1];
    }
    if (x.dir == NULL || !(is_rollover || strcmp(word, "retire") == 0)) {
        fputs("bedplated: ca rollover or ca retire, with --dir DIR\n", stderr);
        return BP_EXIT_USAGE;
    }
    if (bp_failed(bp_crypto_openssl_new(16, &x.crypto))) {
        return BP_EXIT_INTERNAL;
    }
    const int code = is_rollover ? rollover(&x) : retire(&x);
    bp_crypto_openssl_free(x.crypto);
    return code;
}
