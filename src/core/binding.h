/* SPDX-License-Identifier: Apache-2.0 */
/* core/binding - the hashes that tie evidence to a nonce, a device, a channel and the bytes beside it
 * (docs/protocol/evidence.md, docs/protocol/device.md). Pure; both ends call the same functions. */
#ifndef BP_CORE_BINDING_H
#define BP_CORE_BINDING_H

#include "codec/evidence.h"
#include "port/crypto.h"

#define BP_NONCE_SIZE   32u
#define BP_BINDING_SIZE 32u

/* SHA-256 of the collection without `quote`. CRYPTO. */
BP_MUST_CHECK bp_result bp_binding_covered(struct bp_crypto *c, const struct bp_evidence *ev,
                                           uint8_t ret[BP_SHA256_SIZE]);

/* extraData of the quote: SHA-256("bedplate-quote-v1" || nonce || device id || ldevid || binding || covered).
 *   BAD_ARGUMENT  sizes are not 32, 33, 32, 32, 32 */
BP_MUST_CHECK bp_result bp_binding_quote(struct bp_crypto *c, bp_span nonce, bp_span device_id, bp_span ldevid,
                                         bp_span binding, bp_span covered, uint8_t ret[BP_SHA256_SIZE]);

/* qualifyingData of a key's certify statement: SHA-256("bedplate-key-v1" || nonce || device id). BAD_ARGUMENT. */
BP_MUST_CHECK bp_result bp_binding_key(struct bp_crypto *c, bp_span nonce, bp_span device_id,
                                       uint8_t ret[BP_SHA256_SIZE]);

/* Proof of activation: SHA-256("bedplate-activation-v1" || each credential's secret, in the order of hello). At most
 * 4 secrets. BAD_ARGUMENT: none, too many, or one that is empty. */
BP_MUST_CHECK bp_result bp_binding_activation(struct bp_crypto *c, const bp_span *secrets, size_t count,
                                              uint8_t ret[BP_SHA256_SIZE]);

#endif
