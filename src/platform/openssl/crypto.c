/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/crypto - hashing, codes and verification with kept contexts and a cache of decoded keys.
 *
 * A cache entry is found by the SHA-256 of the key, so it holds no attacker's bytes and one wrong byte cannot meet
 * another's entry. Every failure empties OpenSSL's error queue: a TLS loop in the same process must not read it. */
#include "platform/openssl/crypto.h"

#include "base/secret.h"
#include "platform/alloc.h"
#include "platform/openssl/pkey.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define BP_MODULE CRYPTO

#define HASHES   5
#define NO_ENTRY UINT32_MAX

struct entry {
    uint8_t id[BP_SHA256_SIZE];
    EVP_PKEY *key;
    EVP_PKEY_CTX *ctx; /* ready to verify under alg; NULL for Ed25519 */
    enum bp_sig_alg alg;
    uint32_t next_in_bucket;
    uint32_t newer, older;
};

struct bp_crypto {
    EVP_MD *md[HASHES];
    EVP_MD_CTX *md_ctx[HASHES];
    EVP_MD_CTX *pure_ctx; /* Ed25519 hashes by itself */
    EVP_MAC *mac;
    EVP_MAC_CTX *mac_ctx;
    struct entry *entries;
    uint32_t *buckets;
    uint32_t cap, used, bucket_mask;
    uint32_t newest, oldest;
    uint64_t decodes;
};

size_t bp_hash_size(enum bp_hash_alg alg)
{
    switch (alg) {
    case BP_HASH_SHA1:
        return 20;
    case BP_HASH_SHA256:
        return 32;
    case BP_HASH_SHA384:
        return 48;
    case BP_HASH_SHA512:
        return 64;
    case BP_HASH_NONE:
    default:
        return 0;
    }
}

static bp_result fetch(struct bp_crypto *c)
{
    static const char *const names[HASHES] = {NULL, "SHA1", "SHA256", "SHA384", "SHA512"};
    for (size_t i = 1; i < HASHES; i++) {
        c->md[i] = EVP_MD_fetch(NULL, names[i], NULL);
        c->md_ctx[i] = EVP_MD_CTX_new();
        if (c->md[i] == NULL || c->md_ctx[i] == NULL) {
            return BP_FAIL(CRYPTO);
        }
    }
    c->pure_ctx = EVP_MD_CTX_new();
    c->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    c->mac_ctx = c->mac == NULL ? NULL : EVP_MAC_CTX_new(c->mac);
    if (c->pure_ctx == NULL || c->mac_ctx == NULL) {
        return BP_FAIL(CRYPTO);
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(c->mac_ctx, params) == 1 ? BP_OK : BP_FAIL(CRYPTO);
}

bp_result bp_crypto_openssl_new(size_t cache_keys, struct bp_crypto **ret)
{
    if (cache_keys == 0 || cache_keys > BP_CRYPTO_CACHE_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct bp_crypto *c = (struct bp_crypto *)bp_alloc(sizeof *c);
    if (c == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    uint32_t buckets = 1;
    while (buckets < cache_keys) {
        buckets <<= 1;
    }
    c->cap = (uint32_t)cache_keys;
    c->bucket_mask = buckets - 1;
    c->newest = c->oldest = NO_ENTRY;
    c->entries = (struct entry *)bp_alloc_array(cache_keys, sizeof *c->entries);
    c->buckets = (uint32_t *)bp_alloc_array(buckets, sizeof *c->buckets);
    bp_result r = BP_FAIL(NO_MEMORY);
    if (c->entries != NULL && c->buckets != NULL) {
        memset(c->buckets, 0xff, buckets * sizeof *c->buckets);
        r = fetch(c);
    }
    if (bp_failed(r)) {
        ERR_clear_error();
        bp_crypto_openssl_free(c);
        return r;
    }
    *ret = c;
    return BP_OK;
}

void bp_crypto_openssl_free(struct bp_crypto *c)
{
    if (c == NULL) {
        return;
    }
    for (uint32_t i = 0; i < c->used; i++) {
        EVP_PKEY_CTX_free(c->entries[i].ctx);
        EVP_PKEY_free(c->entries[i].key);
    }
    for (size_t i = 1; i < HASHES; i++) {
        EVP_MD_CTX_free(c->md_ctx[i]);
        EVP_MD_free(c->md[i]);
    }
    EVP_MD_CTX_free(c->pure_ctx);
    EVP_MAC_CTX_free(c->mac_ctx);
    EVP_MAC_free(c->mac);
    bp_free(c->buckets);
    bp_free(c->entries);
    bp_free(c);
}

uint64_t bp_crypto_openssl_decodes(const struct bp_crypto *c)
{
    return c->decodes;
}

static bp_result backend_failed(unsigned line)
{
    ERR_clear_error();
    return bp_fail_at(BP_E_CRYPTO, BP_MODULE_ID, line);
}

bp_result bp_hash_parts(struct bp_crypto *c, enum bp_hash_alg alg, const bp_span *parts, size_t count, uint8_t *ret)
{
    if (bp_hash_size(alg) == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (c == NULL) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    EVP_MD_CTX *ctx = c->md_ctx[alg];
    bool ok = EVP_DigestInit_ex2(ctx, c->md[alg], NULL) == 1;
    for (size_t i = 0; ok && i < count; i++) {
        ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    }
    return ok && EVP_DigestFinal_ex(ctx, ret, NULL) == 1 ? BP_OK : backend_failed(__LINE__);
}

bp_result bp_hash(struct bp_crypto *c, enum bp_hash_alg alg, bp_span in, uint8_t *ret)
{
    return bp_hash_parts(c, alg, &in, 1, ret);
}

bp_result bp_hmac_sha256(struct bp_crypto *c, bp_span key, const bp_span *parts, size_t count, uint8_t ret[32])
{
    if (c == NULL) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    /* A NULL key would mean "the key of the last call" to OpenSSL. */
    bool ok = EVP_MAC_init(c->mac_ctx, key.n == 0 ? (const uint8_t *)"" : key.p, key.n, NULL) == 1;
    for (size_t i = 0; ok && i < count; i++) {
        ok = EVP_MAC_update(c->mac_ctx, parts[i].p, parts[i].n) == 1;
    }
    size_t n = 0;
    return ok && EVP_MAC_final(c->mac_ctx, ret, &n, 32) == 1 && n == 32 ? BP_OK : backend_failed(__LINE__);
}

bp_result bp_hkdf_sha256(struct bp_crypto *c, bp_span ikm, bp_span salt, bp_span info, uint8_t *ret, size_t ret_len)
{
    if (ret_len > 255u * 32u) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    static const uint8_t zero_salt[32];
    uint8_t prk[32];
    uint8_t block[32];
    bp_span last = BP_SPAN_EMPTY;
    bp_result r = bp_hmac_sha256(c, salt.n == 0 ? BP_SPAN_OF(zero_salt) : salt, &ikm, 1, prk);
    size_t done = 0;
    for (uint8_t i = 1; !bp_failed(r) && done < ret_len; i++) {
        const bp_span parts[] = {last, info, bp_span_of(&i, 1)};
        r = bp_hmac_sha256(c, BP_SPAN_OF(prk), parts, 3, block);
        const size_t n = ret_len - done < 32 ? ret_len - done : 32;
        if (!bp_failed(r)) {
            memcpy(ret + done, block, n);
        }
        last = BP_SPAN_OF(block);
        done += n;
    }
    if (bp_failed(r)) {
        bp_wipe(ret, ret_len);
    }
    bp_wipe(prk, sizeof prk);
    bp_wipe(block, sizeof block);
    return r;
}

/* What belongs together: key type, length of the signature, digest that is signed. */
static bool alg_fits(const struct bp_pubkey *key, enum bp_sig_alg alg, size_t *ret_sig_n, enum bp_hash_alg *ret_hash)
{
    switch (alg) {
    case BP_SIG_ES256:
        *ret_sig_n = 64;
        *ret_hash = BP_HASH_SHA256;
        return key->type == BP_KEY_P256;
    case BP_SIG_ES384:
        *ret_sig_n = 96;
        *ret_hash = BP_HASH_SHA384;
        return key->type == BP_KEY_P384;
    case BP_SIG_EDDSA:
        *ret_sig_n = 64;
        *ret_hash = BP_HASH_NONE;
        return key->type == BP_KEY_ED25519;
    case BP_SIG_RS256:
    case BP_SIG_PS256:
        *ret_sig_n = key->a.n;
        *ret_hash = BP_HASH_SHA256;
        return key->type == BP_KEY_RSA;
    case BP_SIG_NONE:
    default:
        return false;
    }
}

static bool prepare(struct bp_crypto *c, struct entry *e, enum bp_sig_alg alg)
{
    if (e->alg == alg || alg == BP_SIG_EDDSA) {
        return true;
    }
    e->alg = BP_SIG_NONE;
    EVP_PKEY_CTX_free(e->ctx);
    e->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, e->key, NULL);
    if (e->ctx == NULL || EVP_PKEY_verify_init(e->ctx) != 1) {
        return false;
    }
    bool ok = true;
    if (alg == BP_SIG_RS256 || alg == BP_SIG_PS256) {
        ok = EVP_PKEY_CTX_set_rsa_padding(e->ctx, alg == BP_SIG_PS256 ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_CTX_set_signature_md(e->ctx, c->md[BP_HASH_SHA256]) == 1 &&
             (alg != BP_SIG_PS256 || (EVP_PKEY_CTX_set_rsa_pss_saltlen(e->ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
                                      EVP_PKEY_CTX_set_rsa_mgf1_md(e->ctx, c->md[BP_HASH_SHA256]) == 1));
    }
    if (ok) {
        e->alg = alg;
    }
    return ok;
}

static uint32_t *bucket_of(struct bp_crypto *c, const uint8_t id[BP_SHA256_SIZE])
{
    uint32_t v;
    memcpy(&v, id, sizeof v);
    return &c->buckets[v & c->bucket_mask];
}

static void lru_remove(struct bp_crypto *c, uint32_t at)
{
    const struct entry *e = &c->entries[at];
    *(e->newer == NO_ENTRY ? &c->newest : &c->entries[e->newer].older) = e->older;
    *(e->older == NO_ENTRY ? &c->oldest : &c->entries[e->older].newer) = e->newer;
}

static void lru_push(struct bp_crypto *c, uint32_t at)
{
    struct entry *e = &c->entries[at];
    e->newer = NO_ENTRY;
    e->older = c->newest;
    *(c->newest == NO_ENTRY ? &c->oldest : &c->entries[c->newest].newer) = at;
    c->newest = at;
}

/* A free place, if need be that of the longest unused key. */
static uint32_t make_room(struct bp_crypto *c)
{
    if (c->used < c->cap) {
        return c->used++;
    }
    const uint32_t at = c->oldest;
    struct entry *e = &c->entries[at];
    uint32_t *link = bucket_of(c, e->id);
    while (*link != at) {
        link = &c->entries[*link].next_in_bucket;
    }
    *link = e->next_in_bucket;
    lru_remove(c, at);
    EVP_PKEY_CTX_free(e->ctx);
    EVP_PKEY_free(e->key);
    *e = (struct entry){0};
    return at;
}

static bp_result key_find(struct bp_crypto *c, const struct bp_pubkey *key, struct entry **ret)
{
    uint8_t id[BP_SHA256_SIZE];
    const uint8_t type_and_n[3] = {(uint8_t)key->type, (uint8_t)(key->a.n >> 8), (uint8_t)key->a.n};
    const bp_span parts[] = {BP_SPAN_OF(type_and_n), key->a, key->b};
    BP_TRY(bp_hash_parts(c, BP_HASH_SHA256, parts, 3, id));
    uint32_t *bucket = bucket_of(c, id);
    uint32_t at = *bucket;
    while (at != NO_ENTRY && memcmp(c->entries[at].id, id, sizeof id) != 0) {
        at = c->entries[at].next_in_bucket;
    }
    if (at != NO_ENTRY) {
        lru_remove(c, at);
    } else {
        EVP_PKEY *decoded = NULL;
        const bp_result r = bp_pkey_from_public(key, &decoded);
        if (bp_failed(r)) {
            ERR_clear_error();
            return r;
        }
        c->decodes++;
        at = make_room(c);
        struct entry *e = &c->entries[at];
        memcpy(e->id, id, sizeof id);
        e->key = decoded;
        e->next_in_bucket = *bucket;
        *bucket = at;
    }
    lru_push(c, at);
    *ret = &c->entries[at];
    return BP_OK;
}

static int verify_digest(struct bp_crypto *c, struct entry *e, enum bp_hash_alg hash, bp_span message, bp_span sig)
{
    uint8_t digest[BP_HASH_MAX];
    if (bp_failed(bp_hash(c, hash, message, digest))) {
        return -1;
    }
    if (e->alg == BP_SIG_ES256 || e->alg == BP_SIG_ES384) {
        uint8_t der[BP_ECDSA_DER_MAX];
        const size_t n = bp_ecdsa_to_der(sig, der);
        return EVP_PKEY_verify(e->ctx, der, n, digest, bp_hash_size(hash));
    }
    return EVP_PKEY_verify(e->ctx, sig.p, sig.n, digest, bp_hash_size(hash));
}

static int verify_pure(struct bp_crypto *c, struct entry *e, bp_span message, bp_span sig)
{
    if (EVP_MD_CTX_reset(c->pure_ctx) != 1 ||
        EVP_DigestVerifyInit_ex(c->pure_ctx, NULL, NULL, NULL, NULL, e->key, NULL) != 1) {
        return -1;
    }
    return EVP_DigestVerify(c->pure_ctx, sig.p, sig.n, message.p, message.n);
}

bp_result bp_verify(struct bp_crypto *c, const struct bp_pubkey *key, enum bp_sig_alg alg, bp_span message, bp_span sig)
{
    size_t sig_n = 0;
    enum bp_hash_alg hash = BP_HASH_NONE;
    if (!alg_fits(key, alg, &sig_n, &hash)) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (c == NULL) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct entry *e = NULL;
    BP_TRY(key_find(c, key, &e));
    if (sig.n != sig_n) {
        return BP_FAIL(BAD_SIGNATURE);
    }
    if (!prepare(c, e, alg)) {
        return backend_failed(__LINE__);
    }
    const int ok = alg == BP_SIG_EDDSA ? verify_pure(c, e, message, sig) : verify_digest(c, e, hash, message, sig);
    if (ok == 1) {
        return BP_OK;
    }
    ERR_clear_error();
    return ok == 0 ? BP_FAIL(BAD_SIGNATURE) : BP_FAIL(CRYPTO);
}
