/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/ca - `bedplated ca`: the root's key in the hands of two, another issuing CA for a server that runs, and the end
 * of the old one.
 *
 * Each act changes the directory as a whole and nothing that runs: the server's processes are replaced, one after the
 * other, when the parent is told by SIGHUP. The root's key is read from where its holder put it, and held for one
 * signature. */
#include "fleet/proc/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "fleet/authority/ceremony.h"
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
    const char *dir, *root_key, *passphrase_file, *algorithm, *first, *second, *out, *transcript;
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

/* --- pass phrases --- */

struct phrase {
    uint8_t *text;
    size_t n;
    bp_span line; /* the first, without its end */
};

static bp_result read_phrase(const char *file, struct phrase *ret)
{
    BP_TRY(bp_file_read(file, BP_FILE_SECRET, PASSPHRASE_MAX, &ret->text, &ret->n));
    const uint8_t *end = memchr(ret->text, '\n', ret->n);
    ret->line = bp_span_of(ret->text, end == NULL ? ret->n : (size_t)(end - ret->text));
    return ret->line.n == 0 ? BP_FAIL(MALFORMED) : BP_OK;
}

static void free_phrase(struct phrase *p)
{
    bp_free_secret(p->text, p->n);
}

static bp_result open_by_two(const struct ca *x, struct bp_key **ret)
{
    struct phrase a = {0}, b = {0};
    char both[BP_CEREMONY_PHRASE + 1] = "";
    bp_result r = read_phrase(x->first, &a);
    if (!bp_failed(r)) {
        r = read_phrase(x->second, &b);
    }
    if (!bp_failed(r)) {
        r = bp_ceremony_phrase(x->crypto, a.line, b.line, both);
    }
    if (!bp_failed(r)) {
        r = bp_key_load(x->root_key, bp_span_cstr(both), ret);
    }
    bp_wipe(both, sizeof both);
    free_phrase(&a);
    free_phrase(&b);
    return r;
}

/* By one holder, or by two. */
static bp_result read_root(const struct ca *x, struct bp_key **ret)
{
    struct phrase p = {0};
    if (x->first != NULL) {
        return open_by_two(x, ret);
    }
    bp_result r = read_phrase(x->passphrase_file, &p);
    if (!bp_failed(r)) {
        r = bp_key_load(x->root_key, p.line, ret);
    }
    free_phrase(&p);
    return r;
}

static bool has_one_way_in(const struct ca *x)
{
    return x->root_key != NULL && (x->first == NULL) == (x->second == NULL) &&
           (x->passphrase_file == NULL) != (x->first == NULL);
}

/* --- the root's key in the hands of two --- */

static int root(struct ca *x)
{
    struct bp_site *site = NULL;
    struct phrase own = {0}, a = {0}, b = {0};
    if (x->root_key == NULL || x->passphrase_file == NULL || x->first == NULL || x->second == NULL || x->out == NULL ||
        x->transcript == NULL) {
        fputs("bedplated: ca root needs --root-key, --passphrase-file, --first, --second, --out and --transcript\n", stderr);
        return BP_EXIT_USAGE;
    }
    bp_result r = bp_site_load(x->dir, x->crypto, &site);
    if (!bp_failed(r)) {
        r = read_phrase(x->passphrase_file, &own);
    }
    if (!bp_failed(r)) {
        r = read_phrase(x->first, &a);
    }
    if (!bp_failed(r)) {
        r = read_phrase(x->second, &b);
    }
    if (!bp_failed(r)) {
        const struct bp_ceremony_share share = {x->root_key, x->out, x->transcript, own.line, a.line, b.line};
        r = bp_ceremony_share(&share, site, x->crypto, &x->clock);
    }
    free_phrase(&own);
    free_phrase(&a);
    free_phrase(&b);
    bp_site_free(site);
    if (bp_is(r, BP_E_DENIED)) {
        fprintf(stderr, "bedplated: each holder's part is a file of mode 0600 with at least %u characters, and they differ\n",
                BP_CEREMONY_PART_MIN);
        return BP_EXIT_REFUSED;
    }
    if (bp_failed(r)) {
        return say("the root's key is not given into two hands from", x->root_key, r);
    }
    printf("%s opens with both parts only; %s tells what was done, signed by the root.\n"
           "Destroy %s and every copy of it: one pass phrase opens that one.\n", x->out, x->transcript, x->root_key);
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

static int transcript(struct ca *x)
{
    struct bp_site *site = NULL;
    struct bp_transcript t;
    uint8_t *bytes = NULL;
    if (x->transcript == NULL) {
        fputs("bedplated: ca transcript needs --transcript FILE\n", stderr);
        return BP_EXIT_USAGE;
    }
    bp_result r = bp_site_load(x->dir, x->crypto, &site);
    if (!bp_failed(r)) {
        r = bp_ceremony_read(x->transcript, site, x->crypto, &bytes, &t);
    }
    bp_site_free(site);
    if (bp_failed(r)) {
        return say("this is no transcript of the root:", x->transcript, r);
    }
    for (uint32_t i = 0; i < t.steps; i++) {
        printf("%lld %.*s sha256:", (long long)t.step[i].time_ms, (int)t.step[i].name.n, (const char *)t.step[i].name.p);
        for (size_t k = 0; k < t.step[i].digest.n; k++) {
            printf("%02x", t.step[i].digest.p[k]);
        }
        printf("\n");
    }
    bp_free(bytes);
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

/* --- another issuing CA --- */

/* What the root's key was used for, signed by it. */
static bp_result write_use(const struct ca *x, struct bp_key *key)
{
    struct bp_ceremony c = {.crypto = x->crypto, .clock = &x->clock};
    struct bp_site *site = NULL;
    if (x->transcript == NULL) {
        return BP_OK;
    }
    BP_TRY(bp_site_load(x->dir, x->crypto, &site));
    bp_result r = bp_ceremony_step(&c, "root-certificate", site->cert[BP_SITE_CERT_ROOT]);
    if (!bp_failed(r)) {
        r = bp_ceremony_step(&c, "issuing-certificate-before", site->issuing_old);
    }
    if (!bp_failed(r)) {
        r = bp_ceremony_step(&c, "issuing-certificate-signed", site->cert[BP_SITE_CERT_ISSUING]);
    }
    if (!bp_failed(r)) {
        r = bp_ceremony_sign(&c, key, x->transcript);
    }
    bp_site_free(site);
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
    struct bp_key *key = NULL;
    if (!has_one_way_in(x) ||
        (x->algorithm != NULL && !p384 && strcmp(x->algorithm, "p256") != 0)) {
        fputs("bedplated: ca rollover needs --root-key FILE, either --passphrase-file FILE or --first FILE and --second FILE "
              "(mode 0600), and as --algorithm p256 or p384\n", stderr);
        return BP_EXIT_USAGE;
    }
    bp_result r = read_root(x, &key);
    if (bp_failed(r)) {
        return say("the root's key cannot be read from", x->root_key, r);
    }
    int code = tell_rolled(
        x, bp_site_roll(x->dir, key, p384 ? BP_KEY_P384 : BP_KEY_P256, x->crypto, &x->entropy, &x->clock));
    if (code == BP_EXIT_OK) {
        r = write_use(x, key);
        code = bp_failed(r) ? say("the issuing CA is made, but no transcript was written to", x->transcript, r) : code;
    }
    bp_key_free(key);
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

/* What was recorded and is not in the store may have been issued: it counts for as long as it could last. Keys that answer
 * for the old one do not count: they are needed no longer than what they answer about. */
static bp_result count_living(void *self, const struct bp_issued *e)
{
    struct living *x = self;
    struct bp_certificate c;
    bp_span der;
    if (memcmp(e->issuer, x->key_id, sizeof x->key_id) != 0 || e->profile == BP_CERT_OCSP) {
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
    static const struct {
        const char *name;
        int (*run)(struct ca *x);
    } commands[] = {{"root", root}, {"transcript", transcript}, {"rollover", rollover}, {"retire", retire}};
    const struct {
        const char *name;
        const char **at;
    } options[] = {{"--dir", &x.dir},           {"--root-key", &x.root_key}, {"--passphrase-file", &x.passphrase_file},
                   {"--algorithm", &x.algorithm}, {"--first", &x.first},     {"--second", &x.second},
                   {"--out", &x.out},           {"--transcript", &x.transcript}};
    size_t c = 0;
    while (c < sizeof commands / sizeof commands[0] && strcmp(word, commands[c].name) != 0) {
        c++;
    }
    for (int i = 2; i < argc; i += 2) {
        size_t o = 0;
        while (o < sizeof options / sizeof options[0] && strcmp(argv[i], options[o].name) != 0) {
            o++;
        }
        if (o == sizeof options / sizeof options[0] || i + 1 == argc) {
            fprintf(stderr, "bedplated: %s is not an option of ca %s, or its value is missing\n", argv[i], word);
            return BP_EXIT_USAGE;
        }
        *options[o].at = argv[i + 1];
    }
    if (x.dir == NULL || c == sizeof commands / sizeof commands[0]) {
        fputs("bedplated: ca root, transcript, rollover or retire, with --dir DIR\n", stderr);
        return BP_EXIT_USAGE;
    }
    if (bp_failed(bp_crypto_openssl_new(16, &x.crypto))) {
        return BP_EXIT_INTERNAL;
    }
    const int code = commands[c].run(&x);
    bp_crypto_openssl_free(x.crypto);
    return code;
}
