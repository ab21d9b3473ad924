/* SPDX-License-Identifier: Apache-2.0 */
/* codec/cose - COSE_Sign1 and COSE_Key (RFC 9052, RFC 9053), embedded payload only.
 *
 * Our own objects: tag 18, protected header {1: alg, 3: content type, 4: kid, 15: CWT claims}, empty unprotected
 * header (docs/protocol/objects.md). Tokens made by others are read by bp_cose_sign1_read_foreign. Both want
 * deterministic CBOR. Spans point into the input. It knows ES256, ES384 and EdDSA; it does not do detached payloads,
 * countersignatures, COSE_Sign, MACs or encryption. */
#ifndef BP_CODEC_COSE_H
#define BP_CODEC_COSE_H

#include "codec/cbor.h"
#include "port/crypto.h"

#define BP_COSE_MAX_HEADER 32u /* entries of a header map that we look at */

struct bp_cose_sign1 {
    bp_span protected_header; /* content of the byte string, as it is signed */
    enum bp_sig_alg alg;
    bp_span content_type; /* text of label 3; empty when absent or a number */
    bp_span kid;          /* empty when absent */
    bp_span cwt_claims;   /* label 15, one encoded item, not looked into; empty when absent */
    bp_span payload;
    bp_span signature;
};

/* Reads an object of ours.
 *   MALFORMED TRUNCATED NOT_CANONICAL LIMIT  not deterministic CBOR, or not the four items of COSE_Sign1
 *   UNSUPPORTED  another tag or none, unknown algorithm, header label not listed above, anything unprotected,
 *                detached payload */
BP_MUST_CHECK bp_result bp_cose_sign1_read(bp_span in, struct bp_cose_sign1 *ret);

/* Reads what RFC 9052 allows beyond that: the tag may be missing, alg and kid may stand in the unprotected header
 * (protected wins nothing: the same label in both is MALFORMED), unknown labels are passed over, "crit" is
 * UNSUPPORTED because we understand no critical header. */
BP_MUST_CHECK bp_result bp_cose_sign1_read_foreign(bp_span in, struct bp_cose_sign1 *ret);

#define BP_COSE_MAX_PROTECTED 256u /* of what we write */

/* Room for the Sig_structure of section 4.4, which verifying and signing build in the caller's scratch; writing needs
 * it for a protected header of 2 * BP_COSE_MAX_PROTECTED. */
#define BP_COSE_SCRATCH(protected_n, payload_n, aad_n) ((protected_n) + (payload_n) + (aad_n) + 40u)

/* Verifies it with the key and the external data (may be empty).
 *   BAD_SIGNATURE UNSUPPORTED MALFORMED CRYPTO  as bp_verify      NO_SPACE  scratch is too small */
BP_MUST_CHECK bp_result bp_cose_sign1_verify(struct bp_crypto *c, const struct bp_cose_sign1 *msg,
                                             const struct bp_pubkey *key, bp_span aad, uint8_t *scratch, size_t cap);

struct bp_cose_header {
    bp_span content_type; /* text, empty: left out */
    bp_span kid;          /* empty: left out */
    bp_span cwt_claims;   /* an encoded item, empty: left out */
};

/* Signs payload and writes the object. ret and scratch must not overlap each other or the inputs.
 *   NO_SPACE     in ret (*ret_len tells the room needed, known only after signing) or in scratch
 *   LIMIT        the protected header is longer than BP_COSE_MAX_PROTECTED
 *   UNSUPPORTED  the signer's algorithm has no number here     any  what the signer said */
BP_MUST_CHECK bp_result bp_cose_sign1_write(const struct bp_signer *signer, const struct bp_cose_header *header,
                                            bp_span payload, bp_span aad, uint8_t *scratch, size_t scratch_cap,
                                            uint8_t *ret, size_t cap, size_t *ret_len);

/* COSE_Key of EC2 P-256, P-384 and OKP Ed25519, public part only: {1: kty, -1: crv, -2: x, -3: y}. Labels 2 (kid)
 * and 3 (alg) are passed over; a private part (-4) is refused.
 *   MALFORMED  not such a map, sizes wrong    UNSUPPORTED  other key types or curves, compressed point, other labels */
BP_MUST_CHECK bp_result bp_cose_key_read(bp_span in, struct bp_pubkey *ret);
/* Writes it as the next item. BAD_ARGUMENT (sticks in w): not such a key. */
void bp_cose_key_write(bp_cw *w, const struct bp_pubkey *key);

#endif
