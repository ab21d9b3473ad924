/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/key - private keys P-256 and P-384 in memory and in files; signing with them.
 *
 * Keys are made by OpenSSL's generator. Spans of the public half live as long as the key. Not for two threads. */
#ifndef BP_PLATFORM_OPENSSL_KEY_H
#define BP_PLATFORM_OPENSSL_KEY_H

#include "port/crypto.h"

struct bp_key;

/* Where a private half lies that is not in this process. */
struct bp_key_seat {
    void *self;
    /* Signs a digest of the key's own hash size into ret of 64 or 96 bytes, r||s. */
    bp_result (*sign)(void *self, bp_span digest, uint8_t *ret);
    void (*free)(void *self);
};

/* Makes a key of BP_KEY_P256 or BP_KEY_P384. UNSUPPORTED  another type    NO_MEMORY    CRYPTO */
BP_MUST_CHECK bp_result bp_key_make(enum bp_key_type type, struct bp_key **ret);
/* A key whose private half is asked for every signature; each one is verified before it is given out. spki: its public
 * half, DER. Takes *seat over on success only.
 *   UNSUPPORTED  no key of P-256 or P-384    NO_MEMORY    CRYPTO
 * Its signatures fail as the seat does, and with MISMATCH when another key made them. */
BP_MUST_CHECK bp_result bp_key_elsewhere(bp_span spki, const struct bp_key_seat *seat, struct bp_key **ret);
void bp_key_free(struct bp_key *key);

/* The public half as numbers, and as DER SubjectPublicKeyInfo. */
struct bp_pubkey bp_key_public(const struct bp_key *key);
bp_span bp_key_spki(const struct bp_key *key);

/* A signer over the key (ES256 or ES384), valid as long as the key. Its sign: NO_SPACE  cap below 64 / 96    CRYPTO */
struct bp_signer bp_key_signer(struct bp_key *key);
/* Signs a digest of the key's own hash size, as a TLS peer has made it. ret: 64 or 96 bytes.
 *   BAD_ARGUMENT  another length    CRYPTO   of a key elsewhere also what its seat gives, and MISMATCH */
BP_MUST_CHECK bp_result bp_key_sign_digest(struct bp_key *key, bp_span digest, uint8_t *ret);

/* Writes PKCS#8 PEM (RFC 5958, 7468), mode 0600, atomically; encrypted under the passphrase (scrypt, AES-256-CBC)
 * unless that is empty. Errors of bp_file_write; CRYPTO; UNSUPPORTED  the private half is elsewhere. */
BP_MUST_CHECK bp_result bp_key_save(const struct bp_key *key, const char *path, bp_span passphrase);
/* Reads such a file. Errors of bp_file_read (secret); MALFORMED  no such key in it, or another passphrase;
 *   UNSUPPORTED  a key of another type */
BP_MUST_CHECK bp_result bp_key_load(const char *path, bp_span passphrase, struct bp_key **ret);

#endif
