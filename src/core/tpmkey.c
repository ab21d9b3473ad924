/* SPDX-License-Identifier: Apache-2.0 */
/* core/tpmkey - names, PCR digests, keys and signatures of a TPM. */
#include "core/tpmkey.h"

#define BP_MODULE CORE

bp_span bp_tpm_name_span(const struct bp_tpm_name *name)
{
    return bp_span_of(name->v, name->n);
}

static bp_result make_name(struct bp_crypto *c, uint16_t tpm_alg, const bp_span *parts,
                           size_t count, struct bp_tpm_name *ret)
{
    const size_t size = bp_tpm_hash_size(tpm_alg);
    const enum bp_hash_alg alg = bp_tpm_hash_of(tpm_alg);
    if (size == 0 || alg == BP_HASH_NONE) {
        return BP_FAIL(UNSUPPORTED);
    }
    struct bp_tpm_name name = {.n = 2 + size, .v = {(uint8_t)(tpm_alg >> 8), (uint8_t)tpm_alg}};
    BP_TRY(bp_hash_parts(c, alg, parts, count, name.v + 2));
    *ret = name;
    return BP_OK;
}

bp_result bp_tpm_name(struct bp_crypto *c, const struct bp_tpm_public *pub, struct bp_tpm_name *ret)
{
    return make_name(c, pub->name_alg, &pub->all, 1, ret);
}

bp_result bp_tpm_qualified_name(struct bp_crypto *c, bp_span parent_qualified, bp_span name,
                                struct bp_tpm_name *ret)
{
    if (name.n < 2) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span parts[] = {parent_qualified, name};
    return make_name(c, (uint16_t)((unsigned)name.p[0] << 8 | name.p[1]), parts, 2, ret);
}

bp_result bp_tpm_child_of_ek(struct bp_crypto *c, const struct bp_tpm_public *ek, bp_span name,
                             struct bp_tpm_name *ret)
{
    static const uint8_t handle[] = {BP_TPM_RH_ENDORSEMENT >> 24, 0, 0, BP_TPM_RH_ENDORSEMENT & 0xff};
    struct bp_tpm_name parent;
    struct bp_tpm_name qualified;
    BP_TRY(bp_tpm_name(c, ek, &parent));
    BP_TRY(bp_tpm_qualified_name(c, BP_SPAN_OF(handle), bp_tpm_name_span(&parent), &qualified));
    return bp_tpm_qualified_name(c, bp_tpm_name_span(&qualified), name, ret);
}

bp_result bp_tpm_pcr_digest(struct bp_crypto *c, uint16_t hash, const struct bp_tpm_pcrs *pcrs,
                            bp_span values, uint8_t ret[BP_HASH_MAX])
{
    size_t want = 0;
    for (uint32_t i = 0; i < pcrs->count && i < BP_TPM_BANKS_MAX; i++) {
        for (uint32_t m = pcrs->bank[i].mask; m != 0; m &= m - 1) {
            want += bp_tpm_hash_size(pcrs->bank[i].hash);
        }
    }
    if (values.n != want) {
        return BP_FAIL(MISMATCH);
    }
    const enum bp_hash_alg alg = bp_tpm_hash_of(hash);
    if (alg == BP_HASH_NONE) {
        return BP_FAIL(UNSUPPORTED);
    }
    return bp_hash(c, alg, values, ret);
}

/* The coordinate padded to the curve's size, in place where it has that size already. */
static bp_span padded(bp_span s, size_t size, uint8_t *room)
{
    if (s.n == size) {
        return s;
    }
    memset(room, 0, size - s.n);
    memcpy(room + (size - s.n), s.p, s.n);
    return bp_span_of(room, size);
}

bp_result bp_tpm_pubkey(const struct bp_tpm_public *pub, struct bp_tpm_key_room *room,
                        struct bp_pubkey *ret)
{
    if (pub->type == BP_TPM_ALG_RSA) {
        if (pub->modulus.n < 256) {
            return BP_FAIL(UNSUPPORTED);
        }
        const uint32_t e = pub->rsa_exponent == 0 ? 65537 : pub->rsa_exponent;
        bp_wr wr = bp_wr_over(room->b, 4);
        bp_wr_be32(&wr, e);
        size_t zeros = 0;
        while (room->b[zeros] == 0) { /* e is not 0, so this ends within four bytes */
            zeros++;
        }
        *ret = (struct bp_pubkey){BP_KEY_RSA, pub->modulus, bp_span_of(room->b + zeros, 4 - zeros)};
        return BP_OK;
    }
    const size_t size = pub->curve == BP_TPM_ECC_P256   ? 32u
                        : pub->curve == BP_TPM_ECC_P384 ? 48u
                                                        : 0u;
    if (pub->type != BP_TPM_ALG_ECC || size == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (pub->x.n > size || pub->y.n > size) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    ret->type = size == 32 ? BP_KEY_P256 : BP_KEY_P384;
    ret->a = padded(pub->x, size, room->b);
    ret->b = padded(pub->y, size, room->b + size);
    return BP_OK;
}

static enum bp_sig_alg sig_alg_of(const struct bp_pubkey *key, const struct bp_tpm_sig *sig)
{
    if (key->type == BP_KEY_P256 && sig->scheme == BP_TPM_ALG_ECDSA &&
        sig->hash == BP_TPM_ALG_SHA256) {
        return BP_SIG_ES256;
    }
    if (key->type == BP_KEY_P384 && sig->scheme == BP_TPM_ALG_ECDSA &&
        sig->hash == BP_TPM_ALG_SHA384) {
        return BP_SIG_ES384;
    }
    if (key->type == BP_KEY_RSA && sig->hash == BP_TPM_ALG_SHA256) {
        return sig->scheme == BP_TPM_ALG_RSASSA   ? BP_SIG_RS256
               : sig->scheme == BP_TPM_ALG_RSAPSS ? BP_SIG_PS256
                                                  : BP_SIG_NONE;
    }
    return BP_SIG_NONE;
}

bp_result bp_tpm_verify(struct bp_crypto *c, const struct bp_pubkey *key,
                        const struct bp_tpm_sig *sig, bp_span message)
{
    const enum bp_sig_alg alg = sig_alg_of(key, sig);
    if (alg == BP_SIG_NONE) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (sig->scheme != BP_TPM_ALG_ECDSA) {
        return bp_verify(c, key, alg, message, sig->r);
    }
    uint8_t raw[2 * 48];
    BP_TRY(bp_tpm_sig_raw(sig, key->a.n, raw));
    return bp_verify(c, key, alg, message, bp_span_of(raw, 2 * key->a.n));
}
