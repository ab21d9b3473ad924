/* SPDX-License-Identifier: Apache-2.0 */
/* cli/factory - a maker's folder: its keys, and the book of orders, units and batches. Works without any server.
 *
 *     DIR/factory            name of the maker, where the mark is; two lines
 *     DIR/certs/NAME.der     root, idevid (issues IDevIDs), maker (signs manifests)
 *     DIR/keys/NAME.pem      idevid, maker; encrypted
 *     DIR/maker.pub          public half of maker: of releases, of the anchor of ownership
 *     DIR/root-key.pem       encrypted; to be moved off
 *     DIR/book               cli/ledger
 *     DIR/batches/           signed manifests, ORDER-N.manifest
 *     DIR/lock
 *
 * Nothing leaves the folder (a certificate, a manifest, a label) before its entry is on the disk, so that a unit which
 * somebody holds has been counted. One command at a time. What failed is left in `said` as one line for people. */
#ifndef BP_CLI_FACTORY_H
#define BP_CLI_FACTORY_H

#include "cli/ledger.h"
#include "pki/x509.h"
#include "platform/openssl/key.h"
#include "port/clock.h"
#include "port/entropy.h"

#define BP_FACTORY_PATH_MAX   1024u
#define BP_FACTORY_PASSPHRASE 26u /* base32, 130 bits */

enum bp_factory_key { BP_FACTORY_IDEVID, BP_FACTORY_MAKER };

struct bp_factory {
    struct bp_crypto *crypto;
    struct bp_clock clock;
    struct bp_entropy entropy;
    char dir[BP_FACTORY_PATH_MAX];
    char mark[BP_FACTORY_PATH_MAX];
    char maker[BP_MANIFEST_TEXT_MAX + 1];
    int lock;
    uint8_t *bytes; /* of the book */
    struct bp_book book;
    char said[512];
};

/* Makes the folder with all keys; `mark` is the path of its mark, NULL: in the user's state folder, under the name of the
 * maker's key. The passphrase is kept nowhere. On failure nothing is left.
 *   EXISTS  dir is there      BAD_ARGUMENT  name, or a path that is not absolute (mark) or too long      others of files */
BP_MUST_CHECK bp_result bp_factory_make(struct bp_factory *f, struct bp_crypto *c, const char *dir, const char *name,
                                        const char *mark, char ret_passphrase[BP_FACTORY_PASSPHRASE + 1]);

/* Opens the folder and reads the book; bp_factory_close gives it back, also after a failure.
 *   NOT_FOUND  no such folder    BUSY  another command works in it
 *   REPLAYED   the book is older than its mark, or another; or the mark is missing    MALFORMED  it is damaged */
BP_MUST_CHECK bp_result bp_factory_open(struct bp_factory *f, struct bp_crypto *c, const char *dir);
void bp_factory_close(struct bp_factory *f);

/* Path of a key; opened by cli/owner. LIMIT */
BP_MUST_CHECK bp_result bp_factory_key_path(const struct bp_factory *f, enum bp_factory_key which,
                                            char ret[BP_FACTORY_PATH_MAX]);
/* Reads DIR/certs/NAME.der. The caller owns *ret (bp_free). */
BP_MUST_CHECK bp_result bp_factory_cert(struct bp_factory *f, const char *name, uint8_t **ret, size_t *ret_n);

struct bp_factory_order {
    uint64_t quota;
    uint64_t units;   /* all */
    uint64_t open;    /* in no batch yet */
    uint64_t batches;
    uint8_t digest[BP_SHA256_SIZE]; /* of the last batch's manifest */
};

/* Opens an order for so many units. EXISTS  there is one of this name    BAD_ARGUMENT  name or quota */
BP_MUST_CHECK bp_result bp_factory_order_new(struct bp_factory *f, const char *order, uint64_t quota);
BP_MUST_CHECK bp_result bp_factory_order_of(struct bp_factory *f, bp_span order, struct bp_factory_order *ret); /* NOT_FOUND */

/* Enters a unit into an order. The same unit again changes nothing: *ret_known, and *ret_certificate is the one that it
 * has (points into the book; empty: none).
 *   NOT_FOUND  no such order        LIMIT   the order has all its units, or a batch's worth of them is open
 *   EXISTS     one of its keys, or its model and serial number, are another unit's */
BP_MUST_CHECK bp_result bp_factory_add(struct bp_factory *f, const char *order, const struct bp_manifest_unit *unit,
                                       bp_span certificate, bool *ret_known, bp_span *ret_certificate);
/* Whether this unit may be entered; as bp_factory_add, which it leaves nothing to. */
BP_MUST_CHECK bp_result bp_factory_may_add(struct bp_factory *f, const char *order, const struct bp_manifest_unit *unit,
                                           bool *ret_known, bp_span *ret_certificate);

/* Signs what is open in an order as its next batch; *ret_path is where it lies. With nothing open the last batch stays
 * the newest, and its file is told again.
 *   NOT_FOUND  no such order, or it has no unit yet      MISMATCH  the key is not the maker's, or a file is damaged */
BP_MUST_CHECK bp_result bp_factory_batch(struct bp_factory *f, const char *order, const struct bp_key *key,
                                         const struct bp_signer *signer, uint64_t *ret_number, uint32_t *ret_units,
                                         char ret_path[BP_FACTORY_PATH_MAX]);

/* Leaves a line in said and returns r. */
bp_result bp_factory_say(struct bp_factory *f, bp_result r, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
