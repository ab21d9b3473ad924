/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/envelope - a few bytes sealed to the holder of one key, as CMS (RFC 5652, 5083, 5753).
 *
 * AuthEnvelopedData: AES-256 in GCM, its key agreed with the recipient's P-256 key (ephemeral ECDH, X9.63 derivation by
 * SHA-256) and wrapped; the recipient is named by its key identifier. `openssl cms -decrypt` opens it too. Nothing is
 * signed: who sealed it is for the caller to know. It does not judge the certificate. */
#ifndef BP_PLATFORM_OPENSSL_ENVELOPE_H
#define BP_PLATFORM_OPENSSL_ENVELOPE_H

#include "platform/openssl/key.h"

#define BP_ENVELOPE_PLAIN_MAX 1024u

/* Seals plain (1..BP_ENVELOPE_PLAIN_MAX bytes) to the key of a certificate (DER).
 *   BAD_ARGUMENT  a size outside    MALFORMED  not a certificate    UNSUPPORTED  its key is not of a curve
 *   NO_SPACE      cap is too small  NO_MEMORY, CRYPTO */
BP_MUST_CHECK bp_result bp_envelope_seal(bp_span cert, bp_span plain, uint8_t *ret, size_t cap, size_t *ret_n);
/* Opens one. On failure nothing of it is in ret.
 *   MALFORMED  not such an envelope    DENIED  not sealed to this key, or changed    NO_SPACE, NO_MEMORY */
BP_MUST_CHECK bp_result bp_envelope_open(const struct bp_key *key, bp_span envelope, uint8_t *ret, size_t cap,
                                         size_t *ret_n);

#endif
