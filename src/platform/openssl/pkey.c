/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/pkey - keys from numbers, signatures between their two forms. */
#include "platform/openssl/pkey.h"

#include "base/buf.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#define BP_MODULE CRYPTO

size_t bp_pkey_half(enum bp_key_type type)
{
    return type == BP_KEY_P256 ? 32 : type == BP_KEY_P384 ? 48 : 0;
}

const char *bp_pkey_group(enum bp_key_type type)
{
    return type == BP_KEY_P256 ? "P-256" : type == BP_KEY_P384 ? "P-384" : NULL;
}

static bp_result from_params(const char *name, OSSL_PARAM *params, EVP_PKEY **ret)
{
    bp_result r = BP_FAIL(CRYPTO);
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1) {
        goto out;
    }
    if (EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        r = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ? BP_FAIL(NO_MEMORY) : BP_FAIL(MALFORMED);
        EVP_PKEY_free(key);
        goto out;
    }
    *ret = key;
    r = BP_OK;
out:
    EVP_PKEY_CTX_free(ctx);
    return r;
}

static bp_result from_ec(const struct bp_pubkey *key, EVP_PKEY **ret)
{
    const size_t half = bp_pkey_half(key->type);
    if (key->a.n != half || key->b.n != half) {
        return BP_FAIL(MALFORMED);
    }
    uint8_t point[1 + 2 * 48];
    char group[8];
    memcpy(group, bp_pkey_group(key->type), sizeof "P-256");
    point[0] = 4;
    memcpy(point + 1, key->a.p, half);
    memcpy(point + 1 + half, key->b.p, half);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * half),
        OSSL_PARAM_construct_end(),
    };
    return from_params("EC", params, ret);
}

static bp_result from_ed25519(const struct bp_pubkey *key, EVP_PKEY **ret)
{
    if (key->a.n != 32 || key->b.n != 0) {
        return BP_FAIL(MALFORMED);
    }
    *ret = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->a.p, key->a.n);
    return *ret == NULL ? BP_FAIL(CRYPTO) : BP_OK;
}

static bool is_odd_number(bp_span v)
{
    return v.n > 0 && v.p[0] != 0 && (v.p[v.n - 1] & 1u) != 0;
}

static bp_result from_rsa(const struct bp_pubkey *key, EVP_PKEY **ret)
{
    if (key->a.n < 256 || key->a.n > 512 || key->b.n > 4 || !is_odd_number(key->a) || !is_odd_number(key->b) ||
        (key->b.n == 1 && key->b.p[0] == 1)) {
        return BP_FAIL(MALFORMED);
    }
    bp_result r = BP_FAIL(CRYPTO);
    OSSL_PARAM *params = NULL;
    BIGNUM *n = BN_bin2bn(key->a.p, (int)key->a.n, NULL);
    BIGNUM *e = BN_bin2bn(key->b.p, (int)key->b.n, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (n != NULL && e != NULL && bld != NULL && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        params = OSSL_PARAM_BLD_to_param(bld);
    }
    if (params != NULL) {
        r = from_params("RSA", params, ret);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    return r;
}

bp_result bp_pkey_from_public(const struct bp_pubkey *key, EVP_PKEY **ret)
{
    switch (key->type) {
    case BP_KEY_P256:
    case BP_KEY_P384:
        return from_ec(key, ret);
    case BP_KEY_ED25519:
        return from_ed25519(key, ret);
    case BP_KEY_RSA:
        return from_rsa(key, ret);
    case BP_KEY_NONE:
    default:
        return BP_FAIL(UNSUPPORTED);
    }
}

bool bp_pkey_ecdh(EVP_PKEY *own, EVP_PKEY *peer, size_t half, uint8_t *ret)
{
    size_t n = half;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    const bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
                    EVP_PKEY_derive(ctx, ret, &n) == 1 && n == half;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bp_span shortened(bp_span v)
{
    size_t skip = 0;
    while (skip + 1 < v.n && v.p[skip] == 0) {
        skip++;
    }
    return bp_span_sub(v, skip, v.n - skip);
}

/* A zero byte in front of a number whose highest bit is set: DER integers have a sign. */
static uint8_t lead_of(bp_span v)
{
    return v.n > 0 ? (uint8_t)(v.p[0] >> 7) : 0;
}

static void put_int(bp_wr *wr, bp_span v)
{
    const uint8_t lead = lead_of(v);
    bp_wr_u8(wr, 0x02);
    bp_wr_u8(wr, (uint8_t)(v.n + lead));
    if (lead != 0) {
        bp_wr_u8(wr, 0);
    }
    bp_wr_bytes(wr, v);
}

size_t bp_ecdsa_to_der(bp_span raw, uint8_t ret[BP_ECDSA_DER_MAX])
{
    const size_t half = raw.n / 2;
    const bp_span r = shortened(bp_span_sub(raw, 0, half));
    const bp_span s = shortened(bp_span_sub(raw, half, half));
    bp_wr wr = bp_wr_over(ret, BP_ECDSA_DER_MAX);
    bp_wr_u8(&wr, 0x30);
    bp_wr_u8(&wr, (uint8_t)(4 + r.n + lead_of(r) + s.n + lead_of(s))); /* <= 102: short form */
    put_int(&wr, r);
    put_int(&wr, s);
    return wr.n;
}

static void get_int(bp_rd *rd, size_t half, uint8_t *ret)
{
    if (bp_rd_u8(rd) != 0x02) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    const size_t n = bp_rd_u8(rd);
    bp_span v = bp_rd_bytes(rd, n);
    if (v.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    v = shortened(v);
    if (v.n > half) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    memset(ret, 0, half - v.n);
    memcpy(ret + half - v.n, v.p, v.n);
}

bp_result bp_ecdsa_from_der(bp_span der, size_t half, uint8_t *ret)
{
    bp_rd rd = bp_rd_over(der);
    if (bp_rd_u8(&rd) != 0x30 || bp_rd_u8(&rd) != bp_rd_left(&rd)) {
        return BP_FAIL(MALFORMED);
    }
    get_int(&rd, half, ret);
    get_int(&rd, half, ret + half);
    return bp_rd_finish(&rd);
}
