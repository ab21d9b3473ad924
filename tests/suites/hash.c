/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/hash - the digest part of port/crypto.h over libcrypto's direct calls, for the
 * bit-flip suites only.
 *
 * They hash some ten million short strings; a fetched EVP context each would triple the time. Not
 * for products. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "port/crypto.h"

#define BP_MODULE TEST

size_t bp_hash_size(enum bp_hash_alg alg)
{
    static const size_t sizes[] = {0, 20, 32, 48, 64};
    return (size_t)alg < sizeof sizes / sizeof sizes[0] ? sizes[alg] : 0;
}

static void sha1(const bp_span *parts, size_t count, uint8_t *ret)
{
    SHA_CTX ctx;
    SHA1_Init(&ctx);
    for (size_t i = 0; i < count; i++) {
        SHA1_Update(&ctx, parts[i].p, parts[i].n);
    }
    SHA1_Final(ret, &ctx);
}

static void sha256(const bp_span *parts, size_t count, uint8_t *ret)
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    for (size_t i = 0; i < count; i++) {
        SHA256_Update(&ctx, parts[i].p, parts[i].n);
    }
    SHA256_Final(ret, &ctx);
}

static void sha512(bool is_384, const bp_span *parts, size_t count, uint8_t *ret)
{
    SHA512_CTX ctx;
    (void)(is_384 ? SHA384_Init(&ctx) : SHA512_Init(&ctx));
    for (size_t i = 0; i < count; i++) {
        SHA512_Update(&ctx, parts[i].p, parts[i].n);
    }
    SHA512_Final(ret, &ctx);
}

bp_result bp_hash_parts(struct bp_crypto *c, enum bp_hash_alg alg, const bp_span *parts,
                        size_t count, uint8_t *ret)
{
    (void)c;
    switch (alg) {
    case BP_HASH_SHA1:
        sha1(parts, count, ret);
        return BP_OK;
    case BP_HASH_SHA256:
        sha256(parts, count, ret);
        return BP_OK;
    case BP_HASH_SHA384:
    case BP_HASH_SHA512:
        sha512(alg == BP_HASH_SHA384, parts, count, ret);
        return BP_OK;
    case BP_HASH_NONE:
        break;
    }
    return BP_FAIL(UNSUPPORTED);
}

bp_result bp_hash(struct bp_crypto *c, enum bp_hash_alg alg, bp_span in, uint8_t *ret)
{
    return bp_hash_parts(c, alg, &in, 1, ret);
}
