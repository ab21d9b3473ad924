/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/pkey - OpenSSL key objects from numbers, and ECDSA signatures both ways. For this folder only. */
#ifndef BP_PLATFORM_OPENSSL_PKEY_H
#define BP_PLATFORM_OPENSSL_PKEY_H

#include "platform/openssl/key.h"

#include <openssl/evp.h>

#define BP_ECDSA_DER_MAX 104u /* SEQUENCE of two INTEGERs of 49 bytes */

/* Makes a key object. The caller owns *ret.
 *   MALFORMED  not on the curve, or a size outside port/crypto.h   UNSUPPORTED  the type   CRYPTO  OpenSSL failed */
BP_MUST_CHECK bp_result bp_pkey_from_public(const struct bp_pubkey *key, EVP_PKEY **ret);

/* The key object inside; as long as the key. */
EVP_PKEY *bp_key_pkey(const struct bp_key *key);

/* Bytes of one coordinate; 0 when the type is no curve. */
size_t bp_pkey_half(enum bp_key_type type);
const char *bp_pkey_group(enum bp_key_type type);

/* The shared x coordinate (half bytes) of a private key and a peer's public one that bp_pkey_from_public made, which has
 * checked that it lies on the curve. */
bool bp_pkey_ecdh(EVP_PKEY *own, EVP_PKEY *peer, size_t half, uint8_t *ret);

/* ECDSA-Sig-Value from r||s of 2*half bytes, half <= 48. Gives its length. */
size_t bp_ecdsa_to_der(bp_span raw, uint8_t ret[BP_ECDSA_DER_MAX]);
/* r||s from what OpenSSL wrote. */
BP_MUST_CHECK bp_result bp_ecdsa_from_der(bp_span der, size_t half, uint8_t *ret);

#endif
