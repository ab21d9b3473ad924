/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/main - bedplated, the server: `init` makes its directory, `run` serves from it, `check` looks at it; `backup`,
 * `restore` and `log-break` are for the day after. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <unistd.h>

#include "fleet/authority/site.h"
#include "fleet/proc/backup.h"
#include "fleet/proc/init.h"
#include "fleet/proc/proc.h"
#include "platform/openssl/crypto.h"

static const char usage[] =
    "usage: bedplated init  --dir DIR --name HOST [--org NAME] [--evaluation] [--json]\n"
    "                       [--key-store pkcs11:URI [--key-reach 'PATH ...']]\n"
    "       bedplated run   --dir DIR [--listen ADDRESS] [--device-port N] [--enrol-port N] [--operate-port N]\n"
    "                       [--status-port N] [--workers N] [--readers N] [--per-source N] [--attest-interval MS]\n"
    "       bedplated check --dir DIR [--json]\n"
    "       bedplated backup    --dir DIR --to FILE [--json]\n"
    "       bedplated restore   --dir DIR --from FILE [--json]\n"
    "       bedplated log-break --dir DIR [--accept SIZE --reason TEXT] [--json]\n"
    "       bedplated ca root     --dir DIR --root-key FILE --passphrase-file FILE --first FILE --second FILE --out FILE\n"
    "                       --transcript FILE\n"
    "       bedplated ca transcript --dir DIR --transcript FILE\n"
    "       bedplated ca rollover --dir DIR --root-key FILE --passphrase-file FILE | --first FILE --second FILE\n"
    "                       [--algorithm p256|p384] [--transcript FILE]\n"
    "       bedplated ca retire   --dir DIR\n"
    "       bedplated --version\n"
    "A port of 0 picks a free one; `run` prints one line for each listener and then \"ready\".\n";

#define WORKERS_DEFAULT_MAX 4

static bool number(const char *text, unsigned long min, unsigned long max, unsigned long *ret)
{
    char *rest = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    const unsigned long v = strtoul(text, &rest, 10);
    if (*rest != '\0' || errno != 0 || v < min || v > max) {
        return false;
    }
    *ret = v;
    return true;
}

struct numbers {
    unsigned long device, enrol, operate, status, workers, readers, per_source, interval;
};

static bool read_run(int argc, char **argv, struct numbers *n, const char **dir, const char **listen)
{
    const struct {
        const char *name;
        unsigned long min, max;
        unsigned long *at;
    } options[] = {
        {"--device-port", 0, UINT16_MAX, &n->device},   {"--enrol-port", 0, UINT16_MAX, &n->enrol},
        {"--operate-port", 0, UINT16_MAX, &n->operate}, {"--status-port", 0, UINT16_MAX, &n->status},
        {"--workers", 1, 8, &n->workers},               {"--readers", 1, 8, &n->readers},
        {"--per-source", 1, 65536, &n->per_source},     {"--attest-interval", 1000, 86400000, &n->interval},
    };
    for (int i = 1; i < argc; i += 2) {
        bool ok = i + 1 < argc;
        if (ok && strcmp(argv[i], "--dir") == 0) {
            *dir = argv[i + 1];
            continue;
        }
        if (ok && strcmp(argv[i], "--listen") == 0) {
            *listen = argv[i + 1];
            continue;
        }
        size_t o = 0;
        while (ok && o < sizeof options / sizeof options[0] && strcmp(argv[i], options[o].name) != 0) {
            o++;
        }
        ok = ok && o < sizeof options / sizeof options[0] &&
             number(argv[i + 1], options[o].min, options[o].max, options[o].at);
        if (!ok) {
            fprintf(stderr, "bedplated: %s is not an option of run, or its value is not allowed\n", argv[i]);
            return false;
        }
    }
    return *dir != NULL;
}

/* The root's key and the recovery key belong somewhere else; only an evaluation may forget that, and its page says so in red. */
static int look_at_site(const char *dir)
{
    struct bp_crypto *crypto = NULL;
    struct bp_site *site = NULL;
    int code = BP_EXIT_OK;
    bp_result r = bp_crypto_openssl_new(1, &crypto);
    if (!bp_failed(r)) {
        r = bp_site_load(dir, crypto, &site);
    }
    if (bp_failed(r)) {
        fprintf(stderr, "bedplated: %s is not the directory of a server: %s\n", dir, bp_error_text(bp_error_of(r)));
        code = BP_EXIT_REFUSED;
    } else if (bp_site_owner_key(site) != NULL && !site->evaluation) {
        fprintf(stderr,
                "bedplated: %s/%s is still here. Move it to a medium that stays off this machine, then start again.\n", dir,
                bp_site_owner_key(site));
        code = BP_EXIT_REFUSED;
    }
    bp_site_free(site);
    bp_crypto_openssl_free(crypto);
    return code;
}

static int run(int argc, char **argv)
{
    struct numbers n = {.device = 8443, .enrol = 8444, .operate = 8445, .status = 8446, .readers = 2};
    const char *dir = NULL, *listen = "127.0.0.1";
    char full[PATH_MAX];
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    n.workers = cpus < 1 ? 1 : cpus > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (unsigned long)cpus;
    if (!read_run(argc, argv, &n, &dir, &listen)) {
        fputs(usage, stderr);
        return BP_EXIT_USAGE;
    }
    if (realpath(dir, full) == NULL || strlen(full) >= BP_PROC_PATH_MAX) {
        fprintf(stderr, "bedplated: there is no directory %s, or its path is too long\n", dir);
        return BP_EXIT_REFUSED;
    }
    const int code = look_at_site(full);
    if (code != BP_EXIT_OK) {
        return code;
    }
    const struct bp_run settings = {.dir = full,
                                    .listen = listen,
                                    .device_port = (uint16_t)n.device,
                                    .enrol_port = (uint16_t)n.enrol,
                                    .operate_port = (uint16_t)n.operate,
                                    .status_port = (uint16_t)n.status,
                                    .workers = (unsigned)n.workers,
                                    .readers = (unsigned)n.readers,
                                    .per_source = (unsigned)n.per_source,
                                    .attest_interval_ms = (unsigned)n.interval};
    return bp_parent_run(&settings);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--child") == 0) {
        return bp_child_main(argc, argv);
    }
    if (strcmp(word, "init") == 0) {
        return bp_init_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "run") == 0) {
        return run(argc - 1, argv + 1);
    }
    if (strcmp(word, "ca") == 0) {
        return bp_ca_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "check") == 0) {
        return bp_check_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "backup") == 0) {
        return bp_backup_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "restore") == 0) {
        return bp_restore_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "log-break") == 0) {
        return bp_log_break_main(argc - 1, argv + 1);
    }
    if (strcmp(word, "--version") == 0) {
        puts("bedplated " BP_PRODUCT_VERSION);
        return BP_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0) {
        fputs(usage, stdout);
        return BP_EXIT_OK;
    }
    fputs(usage, stderr);
    return BP_EXIT_USAGE;
}
