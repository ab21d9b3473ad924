/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_statement - what a TPM would write, made by a key in memory: public areas, the name of a key under a chip's,
 * statements and their signatures. Of simulated gateways and of tests; nothing here is protected, and no server takes it
 * for more than software.
 *
 * All write into the caller's room.   NO_SPACE      CRYPTO */
#ifndef BP_CLI_FLEETSIM_STATEMENT_H
#define BP_CLI_FLEETSIM_STATEMENT_H

#include "codec/evidence.h"
#include "core/tpmkey.h"

/* Attributes of a key that signs and never leaves its TPM; an attestation key is restricted besides. */
#define BP_SIM_KEY_ATTRIBUTES                                                                                          \
    (BP_TPMA_SIGN | BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN | BP_TPMA_USER_WITH_AUTH)
#define BP_SIM_AK_ATTRIBUTES (BP_SIM_KEY_ATTRIBUTES | BP_TPMA_RESTRICTED)

/* TPM2B_PUBLIC of a P-256 key; one that is restricted has its scheme, as a TPM demands. */
BP_MUST_CHECK bp_result bp_sim_public(const struct bp_pubkey *key, uint32_t attributes, uint8_t *ret, size_t cap,
                                      size_t *ret_n);
/* The qualified name of an attestation key as a child of the endorsement key: what its statements name as signer. */
BP_MUST_CHECK bp_result bp_sim_qualify(struct bp_crypto *c, const struct bp_tpm_public *ek, bp_span ak_public,
                                       struct bp_tpm_name *ret);

BP_MUST_CHECK bp_result bp_sim_attest(const struct bp_tpm_attest *a, uint8_t *ret, size_t cap, size_t *ret_n);
/* TPMT_SIGNATURE (ECDSA, SHA-256) over a message. */
BP_MUST_CHECK bp_result bp_sim_sign(const struct bp_signer *signer, bp_span message, uint8_t *ret, size_t cap,
                                    size_t *ret_n);
/* A statement on a key of the same TPM, for this nonce and device: of *a the type, extra data and names are set here. */
BP_MUST_CHECK bp_result bp_sim_certify(struct bp_crypto *c, struct bp_tpm_attest *a, bp_span key_public, bp_span nonce,
                                       bp_span device_id, uint8_t *ret, size_t cap, size_t *ret_n);
/* The extra data of the quote over a collection; room is for what it covers. */
BP_MUST_CHECK bp_result bp_sim_cover(struct bp_crypto *c, const struct bp_evidence *ev, bp_span nonce, bp_span binding,
                                     uint8_t *room, size_t cap, uint8_t ret[BP_SHA256_SIZE]);

#endif
