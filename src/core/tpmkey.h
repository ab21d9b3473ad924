/* SPDX-License-Identifier: Apache-2.0 */
/* core/tpmkey - what a verifier does with TPM structures beyond reading them: names, digests, keys,
 * signatures.
 *
 * Pure functions over the crypto port; nothing is kept. Codec/tpm reads the bytes. It does not
 * judge whose key it is. */
#ifndef BP_CORE_TPMKEY_H
#define BP_CORE_TPMKEY_H

#include "codec/tpm.h"
#include "core/tpmalg.h"
#include "port/crypto.h"

/* A name: nameAlg and digest. */
struct bp_tpm_name {
    size_t n;
    uint8_t v[BP_TPM_NAME_MAX];
};
bp_span bp_tpm_name_span(const struct bp_tpm_name *name);

/* Name of an object (TPM 2.0 Part 1, section 16): nameAlg || H_nameAlg(TPMT_PUBLIC), over the bytes
 * as they came. UNSUPPORTED  a nameAlg that the crypto port has not      CRYPTO  it failed */
BP_MUST_CHECK bp_result bp_tpm_name(struct bp_crypto *c, const struct bp_tpm_public *pub,
                                    struct bp_tpm_name *ret);

/* Qualified name of a child: nameAlg || H_nameAlg(qualified name of the parent || name). A
 * primary's parent is its hierarchy's handle (4 bytes, BP_TPM_RH_*). */
#define BP_TPM_RH_OWNER       0x40000001u
#define BP_TPM_RH_ENDORSEMENT 0x4000000bu
BP_MUST_CHECK bp_result bp_tpm_qualified_name(struct bp_crypto *c, bp_span parent_qualified,
                                              bp_span name, struct bp_tpm_name *ret);

/* Qualified name that a key of this name has as a child of the endorsement key: what stands as
 * qualifiedSigner in the statements that it signs. */
BP_MUST_CHECK bp_result bp_tpm_child_of_ek(struct bp_crypto *c, const struct bp_tpm_public *ek,
                                           bp_span name, struct bp_tpm_name *ret);

/* pcrDigest of a quote: H(values of the selected PCRs, in the order of the selection). `values` are
 * the PCR values concatenated in that order, `hash` is the hash of the signing scheme. MISMATCH
 * values are not as long as the selection asks */
BP_MUST_CHECK bp_result bp_tpm_pcr_digest(struct bp_crypto *c, uint16_t hash,
                                          const struct bp_tpm_pcrs *pcrs, bp_span values,
                                          uint8_t ret[BP_HASH_MAX]);

/* The public key of a public area as numbers. P-256 and P-384 coordinates shorter than the curve
 * are padded into `room`, which must live as long as ret; else spans point into the public area.
 *   UNSUPPORTED  a key that port/crypto.h has no type for */
struct bp_tpm_key_room {
    uint8_t b[2 * 48 + 4];
};
BP_MUST_CHECK bp_result bp_tpm_pubkey(const struct bp_tpm_public *pub, struct bp_tpm_key_room *room,
                                      struct bp_pubkey *ret);

/* Verifies a TPMT_SIGNATURE over message with key.
 *   BAD_SIGNATURE  it does not verify      UNSUPPORTED  scheme, hash and key do not make an
 * algorithm of the port MALFORMED      as bp_tpm_sig_raw */
BP_MUST_CHECK bp_result bp_tpm_verify(struct bp_crypto *c, const struct bp_pubkey *key,
                                      const struct bp_tpm_sig *sig, bp_span message);

#endif
