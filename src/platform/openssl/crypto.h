/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/crypto - port/crypto.h on OpenSSL 3.
 *
 * Algorithms are fetched once; public keys go in as numbers (EVP_PKEY_fromdata: OpenSSL 3.0's decoders cost more than
 * the verification), and decoded keys stay in a cache of bounded size, the longest unused leaving first. */
#ifndef BP_PLATFORM_OPENSSL_CRYPTO_H
#define BP_PLATFORM_OPENSSL_CRYPTO_H

#include "port/crypto.h"

/* About 4 KiB of memory a key. */
#define BP_CRYPTO_CACHE_MAX ((size_t)1 << 16)

/* Makes the state. cache_keys: decoded public keys kept, 1..BP_CRYPTO_CACHE_MAX.
 *   BAD_ARGUMENT  cache_keys is outside    NO_MEMORY    CRYPTO  OpenSSL has no such algorithm */
BP_MUST_CHECK bp_result bp_crypto_openssl_new(size_t cache_keys, struct bp_crypto **ret);
void bp_crypto_openssl_free(struct bp_crypto *c);

/* Keys decoded since the start, that is, cache misses. */
uint64_t bp_crypto_openssl_decodes(const struct bp_crypto *c);

#endif
