/* SPDX-License-Identifier: Apache-2.0 */
/* core/erasure - the statement of a device that leaves its owner, signed by its attestation key: a quote whose extraData is
 * the hash of what is stated. Both ends compute it the same way (docs/protocol/ownership.md). */
#ifndef BP_CORE_ERASURE_H
#define BP_CORE_ERASURE_H

#include "codec/ownership.h"
#include "port/crypto.h"

/* extraData of the quote. CRYPTO */
BP_MUST_CHECK bp_result bp_owner_erasure_hash(struct bp_crypto *c, const struct bp_owner_erasure *v,
                                              uint8_t ret[BP_SHA256_SIZE]);
/* Whether that key (TPM2B_PUBLIC) quoted exactly this statement. */
bool bp_owner_erasure_is_by(struct bp_crypto *c, const struct bp_owner_erasure *v, bp_span attest_key);

#endif
