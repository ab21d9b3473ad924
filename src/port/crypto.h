/* SPDX-License-Identifier: Apache-2.0 */
/* port/crypto - the seam to cryptography: hashing, authentication codes, signature verification and making.
 *
 * One source of callers, one implementation chosen by the build: platform/openssl for hosts, a small one for
 * microcontrollers. Nothing here keeps a caller's bytes after it returns, except that `struct bp_crypto` may cache
 * decoded public keys (bounded). No function logs. */
#ifndef BP_PORT_CRYPTO_H
#define BP_PORT_CRYPTO_H

#include "base/result.h"
#include "base/span.h"

/* Numbers are our own and never travel; each codec maps them to its registry (COSE, TPM_ALG, OID). */
enum bp_hash_alg { BP_HASH_NONE, BP_HASH_SHA1, BP_HASH_SHA256, BP_HASH_SHA384, BP_HASH_SHA512 };
#define BP_HASH_MAX    64u
#define BP_SHA256_SIZE 32u

enum bp_sig_alg {
    BP_SIG_NONE,
    BP_SIG_ES256, /* ECDSA P-256 SHA-256, raw r||s of 64 bytes */
    BP_SIG_ES384, /* ECDSA P-384 SHA-384, raw r||s of 96 bytes */
    BP_SIG_EDDSA, /* Ed25519, 64 bytes */
    BP_SIG_RS256, /* RSASSA-PKCS1-v1_5 SHA-256 */
    BP_SIG_PS256  /* RSASSA-PSS SHA-256, salt 32 */
};
#define BP_SIG_MAX 512u

enum bp_key_type { BP_KEY_NONE, BP_KEY_P256, BP_KEY_P384, BP_KEY_ED25519, BP_KEY_RSA };

/* A public key as numbers, not as an encoding. The spans point into the caller's bytes.
 *   P256, P384: a = x, b = y, each exactly 32 / 48 bytes     ED25519: a = 32 bytes, b empty
 *   RSA: a = modulus without leading zero (256..512 bytes), b = exponent without leading zero (1..4 bytes) */
struct bp_pubkey {
    enum bp_key_type type;
    bp_span a;
    bp_span b;
};

/* State of the implementation (contexts, key cache); NULL where an implementation needs none.
 * Not for use from two processes or threads at once. */
struct bp_crypto;

/* Size of a digest; 0 for BP_HASH_NONE. */
size_t bp_hash_size(enum bp_hash_alg alg);

/* Digest over the parts one after another, into ret of bp_hash_size(alg) bytes.
 *   UNSUPPORTED  the algorithm is not built in      CRYPTO  the backend failed */
BP_MUST_CHECK bp_result bp_hash_parts(struct bp_crypto *c, enum bp_hash_alg alg, const bp_span *parts,
                                      size_t count, uint8_t *ret);
/* The same over one part. */
BP_MUST_CHECK bp_result bp_hash(struct bp_crypto *c, enum bp_hash_alg alg, bp_span in, uint8_t *ret);

/* HMAC-SHA-256 over the parts. */
BP_MUST_CHECK bp_result bp_hmac_sha256(struct bp_crypto *c, bp_span key, const bp_span *parts, size_t count,
                                       uint8_t ret[32]);

/* HKDF-SHA-256 (RFC 5869); ret_len <= 8160. */
BP_MUST_CHECK bp_result bp_hkdf_sha256(struct bp_crypto *c, bp_span ikm, bp_span salt, bp_span info,
                                       uint8_t *ret, size_t ret_len);

/* Verifies sig over message. The answer is BP_OK or a failure; there is no third.
 *   BAD_SIGNATURE  it does not verify, or its length is wrong for the algorithm
 *   UNSUPPORTED    key type and algorithm do not belong together, or are not built in
 *   MALFORMED      the key is not a key (not on the curve, size outside the profile)
 *   CRYPTO         the backend failed */
BP_MUST_CHECK bp_result bp_verify(struct bp_crypto *c, const struct bp_pubkey *key, enum bp_sig_alg alg,
                                  bp_span message, bp_span sig);

/* A private key that can sign and never leaves where it is: a file's, a token's, another process's. */
struct bp_signer {
    void *self;
    enum bp_sig_alg alg;
    /* Signs message into ret (room cap), raw form as above. */
    bp_result (*sign)(void *self, bp_span message, uint8_t *ret, size_t cap, size_t *ret_len);
};

#endif
