/* SPDX-License-Identifier: Apache-2.0 */
/* cli/args - the options of the program in one table, the commands in another, and the reader of a command line.
 *
 * Help, completion and the manual's check come from the same tables. Texts of the result point into argv. */
#ifndef BP_CLI_ARGS_H
#define BP_CLI_ARGS_H

#include "base/span.h"

#define BP_ARGS_OPERANDS_MAX 4u
#define BP_ARGS_REPEAT_MAX   4u

/* ID, name, what follows it (NULL: nothing), meaning */
#define BP_OPTION_LIST(X)                                                                                              \
    X(CONFIG, "config", "DIR", "where key and certificate of the operator are (default: ~/.config/bedplate)")          \
    X(JSON, "json", NULL, "print JSON for programs")                                                                   \
    X(HELP, "help", NULL, "print this")                                                                                \
    X(AFTER, "after", "N", "only what comes after this number, oldest first")                                          \
    X(ANCHOR, "anchor", "FILE|sha256:HASH", "the root certificate, or its SHA-256")                                    \
    X(BEFORE, "before", "N", "only what comes before this number")                                                     \
    X(CODE, "code", "CODE", "the one-time code")                                                                       \
    X(COUNTER, "counter", "N", "security counter; an older one can be refused")                                        \
    X(CSR, "csr", "FILE", "a certificate request; its key becomes the unit's IDevID")                                  \
    X(DEVICE, "device", "ID", "only of this device (id, short id or name)")                                            \
    X(DEVICES, "devices", "N", "so many simulated gateways")                                                           \
    X(DIR, "dir", "DIR", "the maker's folder")                                                                         \
    X(EPOCH, "key-epoch", "N", "epoch of the release key (default: 1)")                                                \
    X(EXPIRES, "expires", "SECONDS", "how long the invitation or the statement is valid")                              \
    X(FROM_LOG, "from-log", "FILE", "a binary_bios_measurements of a machine of that model")                           \
    X(IMA_LOG, "ima-log", "FILE", "a binary_runtime_measurements of such a machine")                                   \
    X(IN, "in", "FILE", "what is to be signed")                                                                        \
    X(IN_FLIGHT, "in-flight", "N", "so many requests at once (default: 32)")                                           \
    X(KEY, "key", "FILE", "the private key")                                                                           \
    X(LABELS, "labels", "DIR", "folder for labels and IDevID certificates")                                            \
    X(LIMIT, "limit", "N", "at most so many")                                                                          \
    X(MAKER, "maker", "FILE|HASH", "the maker: its public key (release) or the SHA-256 of it (manifest) at a first import, else its anchor") \
    X(MARK, "mark", "FILE", "where the folder's mark is kept (default: below ~/.local/state)")                         \
    X(MODEL, "model", "MODEL", "hardware model")                                                                       \
    X(NAME, "name", "NAME", "a name for people")                                                                       \
    X(ORDER, "order", "ORDER", "name of the order")                                                                    \
    X(OUT, "out", "FILE", "where the result is written")                                                               \
    X(POSITION, "position", "TAG", "position that it fills, instead of zone, site, model and name")                    \
    X(PRODUCT, "product", "PRODUCT", "name of the product")                                                            \
    X(PROFILE, "profile", "PROFILE", "app-client, app-server or opcua")                                                \
    X(QUOTA, "quota", "N", "units that the order may have in all")                                                     \
    X(RATE, "rate", "N", "attestations per second (default: as fast as they are answered)")                            \
    X(REASON, "reason", "TEXT", "why; it is written into the log")                                                     \
    X(RENEW, "renew", "S", "then let them renew their certificates for so long")                                       \
    X(REVOKE, "revoke", "N", "at the end revoke so many of them, and time until they are cut off")                     \
    X(ROLE, "role", "ROLE", "viewer or admin")                                                                         \
    X(ROOT, "root", "tpm2:TCTI", "the chip of the unit, as bedplate-agent takes it")                                   \
    X(SECONDS, "seconds", "S", "how long they attest (default: 10)")                                                   \
    X(SERIAL, "serial", "SERIAL", "serial number of the unit")                                                         \
    X(SERVER, "server", "URL", "https://NAME:PORT of the operators' listener")                                         \
    X(SERVER_DIR, "server-dir", "DIR", "only put the authority of the simulated chips among a server's anchors")       \
    X(SITE, "site", "SITE", "site of the device")                                                                      \
    X(STATE, "state", "STATE", "only in this state")                                                                   \
    X(SUPPORT_END, "support-end", "DATE", "YYYY-MM-DD until which the maker supports it")                              \
    X(TO, "to", "FILE", "the new owner's card (of its server: certs/owner.cose)")                                      \
    X(TRUST, "trust", "TRUST", "only of this trust: affirming, warning, contraindicated, none, silent")                \
    X(TYPE, "type", "TYPE", "only of this type")                                                                       \
    X(UKI, "uki", "FILE", "a unified kernel image; may be given up to four times")                                     \
    X(VENDOR, "vendor", "VENDOR", "maker of the hardware (default: the product)")                                      \
    X(VERDICT, "verdict", "N", "number of the verdict (default: the newest)")                                          \
    X(VERSION, "version", "VERSION", "version as people read it")                                                      \
    X(WINDOW, "window", "S", "a line of figures every so many seconds (default: 5)")                                   \
    X(WITH, "with", "ID", "the spare that takes over (id, short id or name)")                                          \
    X(ZONE, "zone", "ZONE", "zone of the plant")

enum bp_option {
#define BP_X(id, name, meta, help) BP_O_##id,
    BP_OPTION_LIST(BP_X)
#undef BP_X
        BP_O_COUNT
};

#define BP_OPT(id) (UINT64_C(1) << BP_O_##id)

struct bp_args {
    uint64_t given;                  /* bit n: option n */
    const char *value[BP_O_COUNT];   /* last one given */
    const char *repeat[BP_ARGS_REPEAT_MAX]; /* of --uki */
    uint32_t repeats;
    const char *operand[BP_ARGS_OPERANDS_MAX];
    uint32_t operands;
};

struct bp_cli;
typedef int bp_command_fn(struct bp_cli *cli, const struct bp_args *args);

struct bp_command {
    const char *noun;
    const char *verb;     /* NULL: the noun is the whole command */
    const char *operands; /* as shown; NULL: none */
    uint32_t operands_min, operands_max;
    uint64_t must, may; /* options besides --config, --json, --help */
    const char *help;
    bp_command_fn *run;
};

struct bp_option_row {
    const char *name;
    const char *meta;
    const char *help;
};
struct bp_option_row bp_option_row(enum bp_option id);

/* Reads what follows the command's words. False: *ret_trouble tells which argument (may be empty) and what of it. */
struct bp_args_trouble {
    const char *dashes; /* "--" before an option's bare name, else "" */
    const char *argument;
    const char *what;
};
bool bp_args_read(const struct bp_command *cmd, int argc, char *const *argv, struct bp_args *ret,
                  struct bp_args_trouble *ret_trouble);

/* A decimal number without sign; false when it is none or too large. */
bool bp_args_number(const char *text, uint64_t *ret);

static inline bool bp_args_has(const struct bp_args *args, enum bp_option id)
{
    return (args->given & UINT64_C(1) << id) != 0;
}

#endif
