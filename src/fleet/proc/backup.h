/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/backup - what `backup`, `restore` and `log-break` share: the site of a directory, and the fence against a
 * server that runs in it. Each command's argv[0] is the word itself. */
#ifndef BP_FLEET_PROC_BACKUP_H
#define BP_FLEET_PROC_BACKUP_H

#include "fleet/authority/site.h"
#include "fleet/store/store.h"
#include "port/clock.h"

/* Who did it, in events: whoever has the machine. */
#define BP_LOCAL_ACTOR "local administrator"

struct bp_offline {
    const char *dir;
    bool is_json;
    struct bp_crypto *crypto;
    struct bp_site *site;
    struct bp_clock clock;
    uint8_t secret[BP_SITE_SECRET]; /* the owner's; wiped when done */
    int lock[2];                    /* those of the log signer and of signer ca; -1: not held */
};

/* Opens it, and reads the owner's secret, whoever of the server's users it belongs to; only root may be another one.
 * What went wrong is told.   errors of bp_site_load and bp_site_secret */
BP_MUST_CHECK bp_result bp_offline_open(struct bp_offline *x);
/* Keeps a server from starting in it.   BUSY  one runs */
BP_MUST_CHECK bp_result bp_offline_hold(struct bp_offline *x);
/* Gives the log signer's file free, for its own code to take; signer ca's stays held, so that no server comes into
 * service. */
void bp_offline_let_signer(struct bp_offline *x);
void bp_offline_done(struct bp_offline *x);

/* Whether the newest signed head of a store is of this site's log, and over the events that it has.
 *   NOT_FOUND  no head is signed yet      BAD_SIGNATURE, MISMATCH  it is another log's, or of other events */
BP_MUST_CHECK bp_result bp_offline_head(const struct bp_offline *x, bp_store *store, uint64_t *ret_size);

int bp_backup_main(int argc, char **argv);
int bp_restore_main(int argc, char **argv);
int bp_log_break_main(int argc, char **argv);

#endif
