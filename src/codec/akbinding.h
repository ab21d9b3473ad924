/* SPDX-License-Identifier: Apache-2.0 */
/* codec/akbinding - object `ak-binding` 1.0: the CA signer's word that an attestation key lives in the chip with these
 * endorsement keys (docs/protocol/objects.md), both directions.
 *
 * The payload of a COSE_Sign1 by the bind key, content type BP_AKBINDING_CONTENT. Spans point into the input. It does
 * not verify the signature: codec/cose does. */
#ifndef BP_CODEC_AKBINDING_H
#define BP_CODEC_AKBINDING_H

#include "codec/cbor.h"

#define BP_AKBINDING_CONTENT   "application/vnd.bedplate.ak-binding+cbor"
#define BP_AKBINDING_EKS_MAX   4u
#define BP_AKBINDING_MAX       1280u /* bytes of a payload that we write */
#define BP_AKBINDING_SIGNED    1536u /* bytes of the object around it */
#define BP_AKBINDING_AK_MAX    640u  /* TPM2B_PUBLIC */
#define BP_AKBINDING_NAME_SIZE 34u

struct bp_akbinding {
    bp_span device_id;    /* 4, 33 bytes */
    bp_span ak_name;      /* 5, 34 bytes: hash id and SHA-256 */
    bp_span issuer_class; /* 6: discrete, firmware, virtual, unknown or software */
    int64_t time_ms;      /* 7 */
    uint32_t eks;         /* 8, 1..BP_AKBINDING_EKS_MAX, the identity key first */
    bp_span ek[BP_AKBINDING_EKS_MAX]; /* SPKI SHA-256, 32 bytes each */
    bp_span ak;           /* 9, TPM2B_PUBLIC */
    bp_span qualified[BP_AKBINDING_EKS_MAX]; /* 10, as many as `eks`: the qualified name, 34 bytes, that the AK has as a
                                              * child of each. Another one is a key that hangs elsewhere. */
    uint32_t aliases; /* 11, 0..BP_AKBINDING_EKS_MAX, absent when 0: proven for this chip before, and not shown this time */
    bp_span alias[BP_AKBINDING_EKS_MAX]; /* SPKI SHA-256, 32 bytes each; none of `ek` */
};

/* Whether a statement's qualifiedSigner is the bound key as a child of one of its endorsement keys. */
bool bp_akbinding_is_signer(const struct bp_akbinding *binding, bp_span qualified_signer);

/* Whether the endorsement key is one of this chip's, shown or known from before. */
bool bp_akbinding_has_ek(const struct bp_akbinding *binding, bp_span spki_sha256);

/* The weaker of two issuer classes, by name: software, unknown, virtual, firmware, discrete. Another name is the weakest. */
bp_span bp_akbinding_weaker(bp_span a, bp_span b);

/* Reads a payload; members of a newer minor are passed over. ret is untouched on failure.
 *   UNSUPPORTED  another type, major version or issuer class      LIMIT  more endorsement keys or aliases, a longer ak
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object */
BP_MUST_CHECK bp_result bp_akbinding_read(bp_span payload, struct bp_akbinding *ret);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_akbinding_write(const struct bp_akbinding *binding, uint8_t *ret, size_t cap,
                                           size_t *ret_len);

#endif
