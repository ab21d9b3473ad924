/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/tpm_credential - seed sharing by ECDH or OAEP, key derivation, encryption, integrity. */
#include "platform/openssl/tpm_credential.h"

#include "base/buf.h"
#include "base/secret.h"
#include "platform/alloc.h"
#include "platform/openssl/pkey.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#define BP_MODULE CRYPTO

#define NAME_MAX_N 66u

static const EVP_MD *md_of(enum bp_hash_alg alg)
{
    switch (alg) {
    case BP_HASH_SHA256:
        return EVP_sha256();
    case BP_HASH_SHA384:
        return EVP_sha384();
    case BP_HASH_SHA512:
        return EVP_sha512();
    case BP_HASH_NONE:
    case BP_HASH_SHA1:
    default:
        return NULL;
    }
}

/* Labels count with their closing zero (Part 1, 11.4.10). */
static void put_label(bp_wr *wr, const char *label)
{
    bp_wr_bytes(wr, bp_span_of(label, strlen(label) + 1));
}

/* KDFa (Part 1, 11.4.10.2) with an empty contextV; one block suffices, as no key here is longer than the hash. */
static bool kdfa(const EVP_MD *md, bp_span key, const char *label, bp_span context, size_t n, uint8_t *ret)
{
    uint8_t in[128];
    uint8_t out[BP_HASH_MAX];
    unsigned out_n = 0;
    bp_wr wr = bp_wr_over(in, sizeof in);
    bp_wr_be32(&wr, 1);
    put_label(&wr, label);
    bp_wr_bytes(&wr, context);
    bp_wr_be32(&wr, (uint32_t)n * 8);
    if (bp_failed(bp_wr_finish(&wr)) || HMAC(md, key.p, (int)key.n, in, wr.n, out, &out_n) == NULL || out_n < n) {
        return false;
    }
    memcpy(ret, out, n);
    bp_wipe(out, sizeof out);
    return true;
}

/* KDFe (Part 1, 11.4.10.3), one block: the seed has the size of the hash. */
static bool kdfe(const EVP_MD *md, bp_span z, bp_span party_u, bp_span party_v, uint8_t *ret)
{
    uint8_t in[4 + 48 + 9 + 48 + 48];
    bp_wr wr = bp_wr_over(in, sizeof in);
    bp_wr_be32(&wr, 1);
    bp_wr_bytes(&wr, z);
    put_label(&wr, "IDENTITY");
    bp_wr_bytes(&wr, party_u);
    bp_wr_bytes(&wr, party_v);
    const bool ok = !bp_failed(bp_wr_finish(&wr)) && EVP_Digest(in, wr.n, ret, NULL, md, NULL) == 1;
    bp_wipe(in, sizeof in);
    return ok;
}

static bool coordinate(EVP_PKEY *key, const char *name, size_t half, uint8_t *ret)
{
    BIGNUM *v = NULL;
    const bool ok = EVP_PKEY_get_bn_param(key, name, &v) == 1 && BN_bn2binpad(v, ret, (int)half) == (int)half;
    BN_free(v);
    return ok;
}

/* Part 1, annex C.6.4: the encrypted secret is the ephemeral point. */
static bool share_ec(const struct bp_tpm_ek *ek, EVP_PKEY *peer, uint8_t *seed, bp_wr *wr)
{
    const size_t half = bp_pkey_half(ek->key.type);
    uint8_t x[48];
    uint8_t y[48];
    uint8_t z[48];
    EVP_PKEY *own = EVP_EC_gen(bp_pkey_group(ek->key.type));
    const bool ok = own != NULL && coordinate(own, OSSL_PKEY_PARAM_EC_PUB_X, half, x) &&
                    coordinate(own, OSSL_PKEY_PARAM_EC_PUB_Y, half, y) && bp_pkey_ecdh(own, peer, half, z) &&
                    kdfe(md_of(ek->name_alg), bp_span_of(z, half), bp_span_of(x, half), ek->key.a, seed);
    EVP_PKEY_free(own);
    bp_wipe(z, sizeof z);
    bp_wr_be16(wr, (uint16_t)(2 * (2 + half)));
    bp_wr_be16(wr, (uint16_t)half);
    bp_wr_bytes(wr, bp_span_of(x, half));
    bp_wr_be16(wr, (uint16_t)half);
    bp_wr_bytes(wr, bp_span_of(y, half));
    return ok;
}

static bool set_oaep(EVP_PKEY_CTX *ctx, const EVP_MD *md)
{
    static const char label[] = "IDENTITY";
    unsigned char *copy = (unsigned char *)OPENSSL_memdup(label, sizeof label);
    if (copy == NULL) {
        return false;
    }
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 &&
        EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
        EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)sizeof label) == 1) {
        return true; /* the context owns the label now */
    }
    OPENSSL_free(copy);
    return false;
}

/* Part 1, annex B.10.4: OAEP with the name algorithm and the label with its closing zero. */
static bool share_rsa(const struct bp_tpm_ek *ek, EVP_PKEY *peer, uint8_t *seed, bp_wr *wr)
{
    const size_t seed_n = bp_hash_size(ek->name_alg);
    uint8_t out[512];
    size_t out_n = sizeof out;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
    const bool ok = ctx != NULL && RAND_priv_bytes(seed, (int)seed_n) == 1 && EVP_PKEY_encrypt_init(ctx) == 1 &&
                    set_oaep(ctx, md_of(ek->name_alg)) && EVP_PKEY_encrypt(ctx, out, &out_n, seed, seed_n) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (ok) {
        bp_wr_be16(wr, (uint16_t)out_n);
        bp_wr_bytes(wr, bp_span_of(out, out_n));
    }
    return ok;
}

static bool encrypt_cfb(const uint8_t *key, unsigned bits, uint8_t *p, size_t n)
{
    static const uint8_t iv[16];
    int out_n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx != NULL &&
                    EVP_EncryptInit_ex2(ctx, bits == 128 ? EVP_aes_128_cfb128() : EVP_aes_256_cfb128(), key, iv, NULL) == 1 &&
                    EVP_EncryptUpdate(ctx, p, &out_n, p, (int)n) == 1 && (size_t)out_n == n;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* Part 1, 24.4 and 24.5: encrypt under STORAGE, authenticate with the name under INTEGRITY. */
static bool wrap(const struct bp_tpm_ek *ek, bp_span seed, bp_span name, bp_span secret, bp_wr *wr)
{
    const EVP_MD *md = md_of(ek->name_alg);
    const size_t hash_n = seed.n;
    uint8_t sym[32];
    uint8_t mac_key[BP_HASH_MAX];
    uint8_t mac[BP_HASH_MAX];
    uint8_t body[2 + BP_HASH_MAX + NAME_MAX_N];
    const size_t enc_n = 2 + secret.n;
    bp_wr in = bp_wr_over(body, sizeof body);
    bp_wr_be16(&in, (uint16_t)secret.n);
    bp_wr_bytes(&in, secret);
    bp_wr_bytes(&in, name);
    const bool ok = !bp_failed(bp_wr_finish(&in)) && kdfa(md, seed, "STORAGE", name, ek->sym_bits / 8, sym) &&
                    encrypt_cfb(sym, ek->sym_bits, body, enc_n) &&
                    kdfa(md, seed, "INTEGRITY", BP_SPAN_EMPTY, hash_n, mac_key) &&
                    HMAC(md, mac_key, (int)hash_n, body, in.n, mac, NULL) != NULL;
    bp_wr_be16(wr, (uint16_t)(2 + hash_n + enc_n));
    bp_wr_be16(wr, (uint16_t)hash_n);
    bp_wr_bytes(wr, bp_span_of(mac, hash_n));
    bp_wr_bytes(wr, bp_span_of(body, enc_n));
    bp_wipe(sym, sizeof sym);
    bp_wipe(mac_key, sizeof mac_key);
    bp_wipe(body, sizeof body);
    return ok;
}

static bp_result check(const struct bp_tpm_ek *ek, bp_span name, bp_span secret)
{
    if (md_of(ek->name_alg) == NULL || (ek->sym_bits != 128 && ek->sym_bits != 256) ||
        (ek->key.type != BP_KEY_RSA && bp_pkey_half(ek->key.type) == 0)) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (name.n < 34 || name.n > NAME_MAX_N || secret.n == 0 || secret.n > bp_hash_size(ek->name_alg)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    return BP_OK;
}

bp_result bp_tpm_make_credential(const struct bp_tpm_ek *ek, bp_span name, bp_span secret,
                                 struct bp_tpm_credential *ret)
{
    BP_TRY(check(ek, name, secret));
    EVP_PKEY *peer = NULL;
    bp_result r = bp_pkey_from_public(&ek->key, &peer);
    if (bp_failed(r)) {
        ERR_clear_error();
        return r;
    }
    uint8_t seed[BP_HASH_MAX];
    struct bp_tpm_credential made;
    bp_wr sec = bp_wr_over(made.secret, sizeof made.secret);
    bp_wr id = bp_wr_over(made.id_object, sizeof made.id_object);
    const bool ok = (ek->key.type == BP_KEY_RSA ? share_rsa(ek, peer, seed, &sec) : share_ec(ek, peer, seed, &sec)) &&
                    wrap(ek, bp_span_of(seed, bp_hash_size(ek->name_alg)), name, secret, &id);
    if (ok && !bp_failed(bp_wr_finish(&sec)) && !bp_failed(bp_wr_finish(&id))) {
        made.id_object_n = id.n;
        made.secret_n = sec.n;
        *ret = made;
    } else {
        r = BP_FAIL(CRYPTO);
    }
    bp_wipe(seed, sizeof seed);
    EVP_PKEY_free(peer);
    ERR_clear_error();
    return r;
}
