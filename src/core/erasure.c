/* SPDX-License-Identifier: Apache-2.0 */
/* core/erasure - what a device states when it leaves. */
#include "core/erasure.h"

#include "core/tpmkey.h"

bp_result bp_owner_erasure_hash(struct bp_crypto *c, const struct bp_owner_erasure *v, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t numbers[12];
    bp_wr wr = bp_wr_over(numbers, sizeof numbers);
    bp_wr_be32(&wr, v->epoch);
    bp_wr_be64(&wr, (uint64_t)v->time_ms);
    const bp_span parts[] = {BP_SPAN_STR("bedplate-owner-erasure-v1"), v->device_id, BP_SPAN_OF(numbers), v->head};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 4, ret);
}

bool bp_owner_erasure_is_by(struct bp_crypto *c, const struct bp_owner_erasure *v, bp_span attest_key)
{
    uint8_t extra[BP_SHA256_SIZE];
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    struct bp_tpm_attest attest;
    struct bp_tpm_sig sig;
    return !bp_failed(bp_tpm_public_read(attest_key, &pub)) && bp_tpm_is_attestation_key(&pub) &&
           !bp_failed(bp_tpm_pubkey(&pub, &room, &key)) && !bp_failed(bp_tpm_sig_read(v->sig, &sig)) &&
           !bp_failed(bp_tpm_verify(c, &key, &sig, v->attest)) && !bp_failed(bp_tpm_attest_read(v->attest, &attest)) &&
           attest.type == BP_TPM_ST_QUOTE && !bp_failed(bp_owner_erasure_hash(c, v, extra)) &&
           bp_span_equal(attest.extra_data, BP_SPAN_OF(extra));
}
