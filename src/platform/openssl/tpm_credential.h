/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/tpm_credential - TPM2_MakeCredential in software (TPM 2.0 Part 1 section 24, annexes B and C).
 *
 * Wraps a secret so that only the TPM with the endorsement key, holding the object of the given name, opens it.
 * It does not judge whether the endorsement key is genuine. Ephemeral values come from OpenSSL's generator. */
#ifndef BP_PLATFORM_OPENSSL_TPM_CREDENTIAL_H
#define BP_PLATFORM_OPENSSL_TPM_CREDENTIAL_H

#include "port/crypto.h"

/* The parts of the key's public area that count. */
struct bp_tpm_ek {
    struct bp_pubkey key;      /* P256, P384, or RSA of 2048..4096 bits */
    enum bp_hash_alg name_alg; /* SHA256, SHA384 or SHA512 */
    unsigned sym_bits;         /* AES-CFB: 128 or 256 */
};

#define BP_TPM_ID_OBJECT_MAX 196u /* size, HMAC with size, encrypted secret with size */
#define BP_TPM_SECRET_MAX    514u

struct bp_tpm_credential {
    uint8_t id_object[BP_TPM_ID_OBJECT_MAX]; /* TPM2B_ID_OBJECT */
    size_t id_object_n;
    uint8_t secret[BP_TPM_SECRET_MAX]; /* TPM2B_ENCRYPTED_SECRET */
    size_t secret_n;
};

/* Makes a credential. name: of the attestation key, hash id with digest (34..66 bytes). secret: 1 byte to the size of
 * name_alg. ret is untouched on failure.
 *   BAD_ARGUMENT  a size outside    UNSUPPORTED  key type, name_alg or sym_bits
 *   MALFORMED     the key is no key  CRYPTO */
BP_MUST_CHECK bp_result bp_tpm_make_credential(const struct bp_tpm_ek *ek, bp_span name, bp_span secret,
                                               struct bp_tpm_credential *ret);

#endif
