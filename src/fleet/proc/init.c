/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/init - `bedplated init`: the directory of a new server, its store, and the first operator's code.
 *
 * Passphrase and code are printed here and nowhere else: the store has only the code's hash, the root's key only its
 * encrypted form. Whatever fails, no half server is left behind. */
#include "fleet/proc/init.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/secret.h"
#include "fleet/events/log.h"
#include "fleet/operators/operators.h"
#include "fleet/proc/proc.h"
#include "fleet/signer/signer.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE PROC

static const char usage[] = "usage: bedplated init --dir DIR --name HOST [--org NAME] [--evaluation] [--json]\n"
                            "                       [--key-store pkcs11:URI [--key-reach 'PATH ...']]\n";

struct init {
    const char *dir, *name, *org, *key_store, *key_reach;
    struct bp_pkcs11_uri store;
    bool evaluation, is_json;
    struct bp_crypto *crypto;
    struct bp_entropy entropy;
    struct bp_clock clock;
    uint8_t root_hash[BP_SHA256_SIZE];
    char passphrase[BP_SITE_CODE + 1];
    char code[BP_OPERATOR_CODE_TEXT + 1];
    int64_t code_until_ms;
};

/* --- what goes into the directory beside the authorities --- */

static bp_result make_code(bp_store *store, void *self)
{
    struct init *x = self;
    struct bp_log log = {0};
    enum bp_problem problem = BP_P_NONE;
    struct bp_operators o = {
        .store = store, .log = &log, .crypto = x->crypto, .entropy = &x->entropy, .now_ms = bp_wall_ms(&x->clock)};
    BP_TRY(bp_log_open(&log, store, x->crypto));
    BP_TRY(bp_operators_code(&o, BP_OPR_ADMIN, BP_SPAN_EMPTY, BP_SPAN_STR("init"), x->code, &problem));
    if (problem != BP_P_NONE) {
        return BP_FAIL(DENIED);
    }
    x->code_until_ms = o.now_ms + BP_OPERATOR_CODE_MS;
    return bp_log_flush(&log);
}

static bp_result make_store(struct init *x, const struct bp_site *site)
{
    char path[BP_SITE_PATH_MAX];
    bp_store *store = NULL;
    BP_TRY(bp_site_path(site, "store/bedplate.db", path, sizeof path));
    BP_TRY(bp_store_open(path, BP_STORE_WRITE, BP_PRODUCT_VERSION, NULL, &store));
    const bp_result r = bp_store_alone(store, make_code, x);
    bp_store_free(store);
    return r;
}

static bp_result more(void *self, const char *dir)
{
    struct init *x = self;
    struct bp_site *site = NULL;
    BP_TRY(bp_site_load(dir, x->crypto, &site));
    memcpy(x->root_hash, site->root_hash, sizeof x->root_hash);
    bp_result r = bp_log_signer_init(site, x->crypto);
    if (!bp_failed(r)) {
        r = make_store(x, site);
    }
    bp_site_free(site);
    return r;
}

/* --- telling --- */

static void hex(const uint8_t hash[BP_SHA256_SIZE], char ret[2 * BP_SHA256_SIZE + 1])
{
    for (size_t i = 0; i < BP_SHA256_SIZE; i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", hash[i]);
    }
}

static void tell_person(const struct init *x, const char *root)
{
    printf("Made %s: the server of %s at %s.\n\n", x->dir, x->org, x->name);
    printf("  root certificate         sha256:%s\n", root);
    printf("  passphrase of its key    %s    (shown once; of the recovery and the owner's key too)\n", x->passphrase);
    printf("  first operator's code    %s    (15 minutes, once)\n\n", x->code);
    printf("What to do next\n");
    if (x->evaluation) {
        printf("  1. This server is for evaluation: root-key.pem, recovery-key.pem and owner-key.pem stay in %s. Do not\n"
               "     run a plant with it.\n",
               x->dir);
    } else {
        printf("  1. Move root-key.pem, recovery-key.pem and owner-key.pem out of %s to a medium that stays off this\n"
               "     machine, and keep the passphrase apart from it. The server does not start while one of them is here. The\n"
               "     recovery key opens what `bedplate device recover` fetches: the lockout values of the devices' TPMs. The\n"
               "     owner's key hands devices over (`bedplate device transfer`); certs/owner.cose is its card, for sellers.\n",
               x->dir);
    }
    printf("  2. Put the certificates of the makers of your chips into %s/anchors/, as discrete-*.pem, firmware-*.pem\n"
           "     or virtual-*.pem.\n",
           x->dir);
    if (x->key_store != NULL) {
        printf("     The keys of the issuing authorities were made in the token and cannot leave it; its PIN was copied to\n"
               "     %s/keys/ca/pin. Back the token up by its maker's means: without it nothing more is issued.\n",
               x->dir);
    }
    printf("  3. bedplated run --dir %s\n", x->dir);
    printf("  4. Open https://%s:8445/ and sign in with the code, or make an operator's key where you are:\n"
           "     bedplate login --server https://%s:8445 --code %s\n",
           x->name, x->name, x->code);
}

static bool tell_machine(const struct init *x, const char *root)
{
    char hash[2 * BP_SHA256_SIZE + 8];
    (void)snprintf(hash, sizeof hash, "sha256:%s", root);
    json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I}", "dir", x->dir, "name", x->name, "org", x->org,
                          "evaluation", x->evaluation ? 1 : 0, "root", hash, "passphrase", x->passphrase, "code", x->code,
                          "code_expires_ms", (json_int_t)x->code_until_ms);
    const bool ok = j != NULL && json_dumpf(j, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(j);
    return ok;
}

static int tell(const struct init *x)
{
    char root[2 * BP_SHA256_SIZE + 1];
    bool ok = true;
    hex(x->root_hash, root);
    if (x->is_json) {
        ok = tell_machine(x, root);
    } else {
        tell_person(x, root);
    }
    if (!ok || fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "bedplated: %s was made, but its passphrase could not be printed: remove it and start again\n", x->dir);
        return BP_EXIT_INTERNAL;
    }
    return BP_EXIT_OK;
}

/* Whether it was the token that did not do its part. */
static bool tell_token_failure(const struct init *x, bp_result r)
{
    if (x->key_store == NULL ||
        !(bp_is(r, BP_E_CLOSED) || bp_is(r, BP_E_DENIED) || bp_is(r, BP_E_MISMATCH))) {
        return false;
    }
    fprintf(stderr, "bedplated: %s\n  the token did not do what it was asked for: %s (the module's code is 0x%lx)\n",
            x->key_store, bp_error_text(bp_error_of(r)), bp_pkcs11_trace());
    return true;
}

static int tell_failure(const struct init *x, bp_result r)
{
    struct stat st;
    if (tell_token_failure(x, r)) {
        return BP_EXIT_REFUSED;
    }
    if (x->key_store != NULL && bp_is(r, BP_E_EXISTS) && lstat(x->dir, &st) != 0) {
        fprintf(stderr, "bedplated: the token has keys whose names begin with \"%s-\" already; object=NAME in --key-store says"
                        " how they begin\n", x->store.object[0] != 0 ? x->store.object : "bedplate");
        return BP_EXIT_REFUSED;
    }
    switch ((int)bp_error_of(r)) {
    case BP_E_EXISTS:
        fprintf(stderr, "bedplated: %s exists; init makes a new directory and changes none\n", x->dir);
        return BP_EXIT_REFUSED;
    case BP_E_BAD_ARGUMENT:
        fprintf(stderr, "bedplated: --name wants a host's name in lower case (letters, digits, dots, hyphens; not an address, "
                        "which browsers refuse for passkeys), --org a text of at most %u bytes\n", BP_SITE_TEXT_MAX);
        return BP_EXIT_USAGE;
    case BP_E_NOT_FOUND:
    case BP_E_DENIED:
        fprintf(stderr, "bedplated: %s cannot be made: %s\n", x->dir, bp_error_text(bp_error_of(r)));
        return BP_EXIT_REFUSED;
    default:
        fprintf(stderr, "bedplated: init failed: %s (%s, line %u)\n", bp_error_text(bp_error_of(r)),
                bp_module_name((enum bp_module)(r.word >> 8 & 0xffu)), (unsigned)(r.word >> 16));
        return BP_EXIT_INTERNAL;
    }
}

/* --- the command --- */

static bool read_options(int argc, char **argv, struct init *x)
{
    for (int i = 1; i < argc; i++) {
        const char **text = strcmp(argv[i], "--dir") == 0    ? &x->dir
                            : strcmp(argv[i], "--name") == 0 ? &x->name
                            : strcmp(argv[i], "--org") == 0  ? &x->org
                            : strcmp(argv[i], "--key-store") == 0 ? &x->key_store
                            : strcmp(argv[i], "--key-reach") == 0 ? &x->key_reach
                                                                  : NULL;
        if (text != NULL && i + 1 < argc) {
            *text = argv[++i];
        } else if (strcmp(argv[i], "--evaluation") == 0) {
            x->evaluation = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            x->is_json = true;
        } else {
            fprintf(stderr, "bedplated: %s is not an option of init, or its value is missing\n", argv[i]);
            return false;
        }
    }
    return x->dir != NULL && x->dir[0] != 0 && x->name != NULL && (x->key_reach == NULL || x->key_store != NULL);
}

static bool read_key_store(struct init *x)
{
    if (x->key_store == NULL) {
        return true;
    }
    const bp_result r = bp_pkcs11_uri_read(bp_span_cstr(x->key_store), &x->store);
    if (bp_failed(r) || x->store.id_n > 0) {
        fprintf(stderr, "bedplated: --key-store wants pkcs11:token=LABEL?module-path=/PATH/OF/MODULE&pin-source=file:PATH "
                        "(RFC 7512); object=NAME may say how the keys' names begin; a PIN in the text is refused\n");
        return false;
    }
    return true;
}

int bp_init_main(int argc, char **argv)
{
    struct init x = {.org = "Bedplate", .entropy = bp_entropy_linux(), .clock = bp_clock_linux()};
    if (!read_options(argc, argv, &x)) {
        fputs(usage, stderr);
        return BP_EXIT_USAGE;
    }
    if (!read_key_store(&x)) {
        return BP_EXIT_USAGE;
    }
    /* Certificates must be readable for every process; what must not be is made so file by file. */
    (void)umask(0022);
    const struct bp_site_make make = {.dir = x.dir,
                                      .name = x.name,
                                      .org = x.org,
                                      .evaluation = x.evaluation,
                                      .key_store = x.key_store == NULL ? NULL : &x.store,
                                      .key_reach = x.key_reach,
                                      .more = more,
                                      .self = &x};
    bp_result r = bp_crypto_openssl_new(16, &x.crypto);
    if (!bp_failed(r)) {
        r = bp_site_make(&make, x.crypto, &x.entropy, &x.clock, x.passphrase);
    }
    const int code = bp_failed(r) ? tell_failure(&x, r) : tell(&x);
    bp_crypto_openssl_free(x.crypto);
    bp_wipe(x.passphrase, sizeof x.passphrase);
    bp_wipe(x.code, sizeof x.code);
    return code;
}
