/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/record - what signer ca is about to sign, written down before it signs: DIR/state/ca/issued.
 *
 * The file only grows. It begins with 24 bytes: "BPISSUED", version 1 and the size of an entry (32 bits each), and the time
 * of its making; then entries of BP_ISSUED_SIZE bytes, every number with its highest byte first:
 *      0 serial (16)   16 SHA-256 of the part that is signed   48 key identifier of the issuer (20)
 *     68 profile (enum bp_cert_profile)   69 signature algorithm, the number of COSE (16 bits)   71 zero
 *     72 time in ms (64 bits)             80 SHA-256 over the entry before, its last 32 bytes, and bytes 0..79 of this one
 * An entry is written before the signature is made, and is on disk before the certificate is given out: many entries may
 * share one sync. So a kill at any place leaves "recorded, maybe issued" and never "issued, not recorded"; an entry
 * that is cut at the end is of a certificate that nobody got, and is taken away at the next start. */
#ifndef BP_FLEET_SIGNER_RECORD_H
#define BP_FLEET_SIGNER_RECORD_H

#include "pki/x509.h"

#define BP_ISSUED_FILE "state/ca/issued"
#define BP_ISSUED_SIZE 112u

struct bp_issued {
    uint8_t serial[BP_SERIAL_SIZE];
    uint8_t tbs[BP_SHA256_SIZE];
    uint8_t issuer[BP_KEY_ID_SIZE];
    enum bp_cert_profile profile;
    enum bp_sig_alg alg;
    int64_t time_ms;
};

struct bp_record; /* the file, open to be written by one process */

/* Opens the file at path or begins one.
 *   BUSY  another process writes it    MALFORMED  the beginning or the last entry is damaged    NO_MEMORY
 *   DENIED, FULL, IO  the file cannot be written */
BP_MUST_CHECK bp_result bp_record_open(const char *path, struct bp_crypto *c, int64_t now_ms, struct bp_record **ret);
void bp_record_free(struct bp_record *r);
/* Adds one entry. On failure the file is as before.   FULL, IO */
BP_MUST_CHECK bp_result bp_record_add(struct bp_record *r, const struct bp_issued *entry);
/* Whether entries were added that may not be on disk yet. */
bool bp_record_is_owed(const struct bp_record *r);
/* Puts them there. After a failure nobody knows what is on disk: give nothing out and begin again.   IO */
BP_MUST_CHECK bp_result bp_record_sync(struct bp_record *r);

/* Reads a whole file, entry after entry, and checks that each follows the one before; a cut one at the end is passed over.
 * since_ms: when the file was begun.
 *   NOT_FOUND  there is none    MALFORMED  not such a file, or an entry that does not follow    any  of each; IO */
BP_MUST_CHECK bp_result bp_record_read(const char *path, struct bp_crypto *c,
                                       bp_result (*each)(void *self, const struct bp_issued *entry), void *self,
                                       int64_t *ret_since_ms, uint64_t *ret_count);

#endif
