/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/loss - what a store does not know that was signed after it: found from what outlives a store, the log
 * signer's last head, signer ca's record of certificates and its last revocation list. Reads only; may run beside the
 * server. */
#ifndef BP_FLEET_PROC_LOSS_H
#define BP_FLEET_PROC_LOSS_H

#include "fleet/authority/site.h"
#include "fleet/signer/record.h"
#include "fleet/signer/signer.h"
#include "fleet/store/store.h"

struct bp_loss {
    enum bp_recovery mark; /* what the store says of itself */
    bool is_older;         /* the signer's head is none of the store's log */
    uint64_t stored;       /* events in the store */
    uint64_t kept;         /* size of the newest signed head in it: up to there the history goes on */
    uint8_t kept_root[BP_SHA256_SIZE];
    int64_t kept_ms; /* when the newest of those events was; 0: there is none */
    uint64_t lost;   /* size of the signer's last head */
    uint8_t lost_root[BP_SHA256_SIZE];
    int64_t backup_ms; /* of the backup that was put back; 0: none was */
    uint64_t unknown;  /* certificates that were recorded for signing and are not in the store */
    uint64_t unknown_of[BP_CERT_PROFILES];
    int64_t first_ms, last_ms; /* of those */
    uint64_t list;             /* number of signer ca's last revocation list; 0: it has none */
    uint64_t stored_list;      /* and of the store's */
    uint64_t forgotten;        /* certificates on that list that are good in the store */
    uint64_t nameless;         /* on that list, and not in the store at all */
};

/* Whether people have to accept something. */
bool bp_loss_is_there(const struct bp_loss *x);

/* Fills *ret from the store, which may be open for reading or writing.
 *   what bp_log_signer_last and bp_record_read say; MALFORMED  a list that cannot be read */
BP_MUST_CHECK bp_result bp_loss_find(const struct bp_site *site, struct bp_crypto *c, bp_store *store,
                                     struct bp_loss *ret);

/* Calls back for each entry of signer ca's last list; without a list for none. *ret_der may be NULL, else it is the
 * list, which the caller frees.   any  of each */
struct bp_crl_item;
BP_MUST_CHECK bp_result bp_loss_revoked(const struct bp_site *site,
                                        bp_result (*each)(void *self, const struct bp_crl_item *e), void *self,
                                        uint64_t *ret_number, uint8_t **ret_der, size_t *ret_n);

/* What the store calls the list of the issuing CA in force. */
#define BP_LOSS_ISSUER_TEXT 24u
void bp_loss_issuer(const struct bp_site *site, char ret[BP_LOSS_ISSUER_TEXT]);

/* For people, and as one line of JSON. The store tells which devices are meant. */
void bp_loss_tell(const struct bp_site *site, bp_store *store, const struct bp_loss *x);
void bp_loss_tell_json(const struct bp_loss *x);

#endif
