/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/proc - the kinds of process that bedplated is made of, and what they share.
 *
 * The parent starts every other process by running its own program again with `--child KIND`; what a kind may reach is
 * said once, in sandbox.c, who talks to whom once, in parent.c. docs/protocol/processes.md has the messages. */
#ifndef BP_FLEET_PROC_PROC_H
#define BP_FLEET_PROC_PROC_H

#include "base/result.h"
#include "base/span.h"

/* Version that is told to stores, agents and people. */
#define BP_PRODUCT_VERSION "0.1.0"

/* Exit codes of every program of ours. */
#define BP_EXIT_OK       0
#define BP_EXIT_REFUSED  1
#define BP_EXIT_USAGE    2
#define BP_EXIT_INTERNAL 3

#define BP_PROC_FD_PARENT 3
#define BP_PROC_NAME_MAX  32u
#define BP_PROC_PATH_MAX  512u

/* name, and the uid it gets above BP_PROC_UID_BASE when the server is started by root */
#define BP_KIND_LIST(X)                                                                            \
    X(FRONT_DEVICE, "front-device", 1)                                                             \
    X(FRONT_OPERATE, "front-operate", 2)                                                           \
    X(APPRAISER, "appraiser", 3)                                                                   \
    X(KEEPER, "keeper", 4)                                                                         \
    X(READER, "reader", 5)                                                                         \
    X(SIGNER_TLS, "signer-tls", 6)                                                                 \
    X(SIGNER_LOG, "signer-log", 7)                                                                 \
    X(SIGNER_CA, "signer-ca", 8)

enum bp_kind {
#define BP_X(name, text, uid) BP_KIND_##name,
    BP_KIND_LIST(BP_X)
#undef BP_X
        BP_KIND_COUNT
};

/* Above every range that systemd, Debian and container tools hand out, so that no account has these numbers. */
#define BP_PROC_UID_BASE 1880000000u

const char *bp_kind_name(enum bp_kind kind);
unsigned bp_kind_uid(enum bp_kind kind);
/* Name of one process: with its number where there may be several of the kind. */
void bp_kind_process(enum bp_kind kind, unsigned index, char ret[BP_PROC_NAME_MAX + 1]);
/* BP_KIND_COUNT for a name that is none. */
enum bp_kind bp_kind_of_name(const char *name);

/* Settings of `bedplated run`. */
struct bp_run {
    const char *dir;    /* absolute, without links */
    const char *listen; /* numeric address */
    uint16_t device_port, enrol_port, operate_port, status_port;
    unsigned workers;    /* device fronts and appraisers */
    unsigned readers;
    unsigned per_source; /* connections of one address; 0: the listeners' own limits */
    unsigned attest_interval_ms; /* asked of devices from now on; 0: as it was */
};

/* Runs the server until SIGTERM or SIGINT; returns the program's exit code. Prints the listeners and `ready`. */
int bp_parent_run(const struct bp_run *run);

/* `--child KIND ...`: never returns to the command line's other meanings. */
int bp_child_main(int argc, char **argv);

/* `ca`: argv[0] is the word itself. */
int bp_ca_main(int argc, char **argv);

/* `check`: argv[0] is the word itself. */
int bp_check_main(int argc, char **argv);

#endif
