/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_statement - what a TPM would write, by a key in memory. */
#include "cli/fleetsim_statement.h"

#include "core/binding.h"

#define BP_MODULE CLI

static bp_result finish(bp_wr *wr, size_t *ret_n)
{
    *ret_n = wr->n;
    return bp_wr_finish(wr);
}

bp_result bp_sim_public(const struct bp_pubkey *key, uint32_t attributes, uint8_t *ret, size_t cap, size_t *ret_n)
{
    const bool is_ak = (attributes & BP_TPMA_RESTRICTED) != 0;
    const struct bp_tpm_public pub = {.type = BP_TPM_ALG_ECC,
                                      .name_alg = BP_TPM_ALG_SHA256,
                                      .attributes = attributes,
                                      .sym_alg = BP_TPM_ALG_NULL,
                                      .scheme = is_ak ? BP_TPM_ALG_ECDSA : BP_TPM_ALG_NULL,
                                      .scheme_hash = is_ak ? BP_TPM_ALG_SHA256 : 0,
                                      .curve = BP_TPM_ECC_P256,
                                      .kdf = BP_TPM_ALG_NULL,
                                      .x = key->a,
                                      .y = key->b};
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_public_write(&wr, &pub);
    return finish(&wr, ret_n);
}

static bp_result name_of(struct bp_crypto *c, bp_span public_area, struct bp_tpm_name *ret)
{
    struct bp_tpm_public pub;
    BP_TRY(bp_tpm_public_read(public_area, &pub));
    return bp_tpm_name(c, &pub, ret);
}

bp_result bp_sim_qualify(struct bp_crypto *c, const struct bp_tpm_public *ek, bp_span ak_public, struct bp_tpm_name *ret)
{
    struct bp_tpm_name name;
    BP_TRY(name_of(c, ak_public, &name));
    return bp_tpm_child_of_ek(c, ek, bp_tpm_name_span(&name), ret);
}

bp_result bp_sim_attest(const struct bp_tpm_attest *a, uint8_t *ret, size_t cap, size_t *ret_n)
{
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_attest_write(&wr, a);
    return finish(&wr, ret_n);
}

bp_result bp_sim_sign(const struct bp_signer *signer, bp_span message, uint8_t *ret, size_t cap, size_t *ret_n)
{
    uint8_t raw[64];
    size_t n = 0;
    BP_TRY(signer->sign(signer->self, message, raw, sizeof raw, &n));
    const struct bp_tpm_sig sig = {.scheme = BP_TPM_ALG_ECDSA,
                                   .hash = BP_TPM_ALG_SHA256,
                                   .r = bp_span_of(raw, 32),
                                   .s = bp_span_of(raw + 32, 32)};
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_sig_write(&wr, &sig);
    return finish(&wr, ret_n);
}

bp_result bp_sim_certify(struct bp_crypto *c, struct bp_tpm_attest *a, bp_span key_public, bp_span nonce, bp_span device_id,
                         uint8_t *ret, size_t cap, size_t *ret_n)
{
    struct bp_tpm_name name;
    uint8_t extra[BP_SHA256_SIZE];
    BP_TRY(name_of(c, key_public, &name));
    BP_TRY(bp_binding_key(c, nonce, device_id, extra));
    a->type = BP_TPM_ST_CERTIFY;
    a->extra_data = BP_SPAN_OF(extra);
    a->name = bp_tpm_name_span(&name);
    a->qualified_name = a->name;
    const bp_result r = bp_sim_attest(a, ret, cap, ret_n);
    a->extra_data = BP_SPAN_EMPTY; /* they pointed to what ends here */
    a->name = BP_SPAN_EMPTY;
    a->qualified_name = BP_SPAN_EMPTY;
    return r;
}

bp_result bp_sim_cover(struct bp_crypto *c, const struct bp_evidence *ev, bp_span nonce, bp_span binding, uint8_t *room,
                       size_t cap, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t covered[BP_SHA256_SIZE];
    size_t n = 0;
    BP_TRY(bp_evidence_write(ev, false, room, cap, &n));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, bp_span_of(room, n), covered));
    return bp_binding_quote(c, nonce, ev->about.device_id, ev->about.ldevid, binding, BP_SPAN_OF(covered), ret);
}
