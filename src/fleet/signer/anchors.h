/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/anchors - accepted issuers of endorsement certificates, and whether a certificate chains to one.
 *
 * Files of DIR/anchors whose name ends in .pem; the name's beginning gives the class. Every certificate in them is
 * trusted as it stands, roots and intermediates alike: the operator put it there. A chip brings no intermediates, so the
 * issuer of its certificate must be among them. fleet/authority/path judges: a signature is held to 112 bits; of our
 * profile only what no chip of good faith breaks is asked (an encoding that is not strict DER is tolerated where OpenSSL
 * does, because chips in the field carry such certificates). For this folder only. */
#ifndef BP_FLEET_SIGNER_ANCHORS_H
#define BP_FLEET_SIGNER_ANCHORS_H

#include "codec/x509.h"

#define BP_ANCHORS_MAX      256u /* certificates */
#define BP_ANCHORS_FILE_MAX (256u << 10)

/* From weak to strong: of several endorsement keys the weakest class counts. */
enum bp_ek_class { BP_EK_SOFTWARE, BP_EK_UNKNOWN, BP_EK_VIRTUAL, BP_EK_FIRMWARE, BP_EK_DISCRETE };
const char *bp_ek_class_name(enum bp_ek_class c);

struct bp_anchors;
/* A folder without files is fine: nothing is genuine then.
 *   MALFORMED  a file holds no certificate      LIMIT  more or longer than above      errors of bp_file_read */
BP_MUST_CHECK bp_result bp_anchors_load(const char *dir, struct bp_anchors **ret);
void bp_anchors_free(struct bp_anchors *a);
size_t bp_anchors_count(const struct bp_anchors *a);

/* Checks one endorsement certificate (bytes after it are passed over: NV areas are padded) and writes its key's
 * SubjectPublicKeyInfo, from the numbers in our one form, into ret_spki of BP_SPKI_MAX.
 *   MALFORMED  no certificate, or a key not known here     DENIED  an authority's, or one for another use
 *   BAD_SIGNATURE  it does not chain to an anchor at now_ms
 *   UNSUPPORTED  it would, by ML-DSA, which this machine's OpenSSL does not know      NO_MEMORY, CRYPTO */
BP_MUST_CHECK bp_result bp_anchors_check(struct bp_anchors *a, bp_span cert, int64_t now_ms,
                                         enum bp_ek_class *ret_class, uint8_t *ret_spki, size_t *ret_spki_n);

#endif
