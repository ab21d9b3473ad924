/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ocsp - questions about the status of certificates (RFC 6960), read, and their answers, written.
 *
 * Spans point into the input, which the caller keeps. What a question is about is compared, not judged: whether a
 * certificate is good is said by who calls. A question's own signature is not looked into (anybody may ask), nor is the
 * name of who asks. No allocation; nothing is signed here: the caller signs what bp_ocsp_data_write wrote. */
#ifndef BP_CODEC_OCSP_H
#define BP_CODEC_OCSP_H

#include "codec/der.h"
#include "port/crypto.h"

#define BP_OCSP_REQUEST_MAX 4096u /* bytes of one question */
#define BP_OCSP_IDS_MAX     8u    /* certificates in one question */
#define BP_OCSP_ID_MAX      256u  /* bytes of one CertID */
#define BP_OCSP_NONCE_MAX   128u  /* RFC 9654 section 2.1 */

/* Which certificate is meant. */
struct bp_ocsp_id {
    bp_span whole;         /* CertID, as it stands: an answer repeats it */
    enum bp_hash_alg hash; /* NONE: of a kind that is not known here */
    bp_span name_hash;     /* over the issuer's Name */
    bp_span key_hash;      /* over the bits of the issuer's public key */
    bp_span serial;        /* magnitude without leading zero byte */
};

struct bp_ocsp_request {
    size_t count; /* 1..BP_OCSP_IDS_MAX */
    struct bp_ocsp_id id[BP_OCSP_IDS_MAX];
    bp_span nonce; /* 1..BP_OCSP_NONCE_MAX bytes; empty: none */
};

/* Reads one question, which the span must hold exactly.
 *   MALFORMED TRUNCATED NOT_CANONICAL  not strict DER of RFC 6960; an extension twice; a nonce of another size
 *   UNSUPPORTED  another version, or a critical extension     LIMIT  more than the limits above */
BP_MUST_CHECK bp_result bp_ocsp_request_read(bp_span der, struct bp_ocsp_request *ret);
/* Reads one CertID. Errors as above. */
BP_MUST_CHECK bp_result bp_ocsp_id_read(bp_span der, struct bp_ocsp_id *ret);

/* Whether a CertID names the issuer with that Name (whole) and SubjectPublicKeyInfo.
 *   MALFORMED  spki is none      CRYPTO */
BP_MUST_CHECK bp_result bp_ocsp_is_issuer(struct bp_crypto *c, const struct bp_ocsp_id *id, bp_span name, bp_span spki,
                                          bool *ret);

enum bp_ocsp_status { BP_OCSP_GOOD, BP_OCSP_REVOKED, BP_OCSP_UNKNOWN, BP_OCSP_STATUSES };

struct bp_ocsp_single {
    bp_span id; /* CertID, whole */
    enum bp_ocsp_status status;
    int64_t revoked_s; /* REVOKED */
    uint8_t reason;    /* REVOKED: CRLReason; 0 is left out */
};

struct bp_ocsp_data {
    bp_span responder; /* whole Name of the responder's certificate */
    int64_t this_s;    /* when it was so; produced at the same time */
    int64_t next_s;
    const struct bp_ocsp_single *single;
    size_t count;  /* 1..BP_OCSP_IDS_MAX */
    bp_span nonce; /* of the question; empty: none */
};

/* Writes ResponseData: what is signed.
 *   NO_SPACE  *ret_len tells the room needed     BAD_ARGUMENT  a count, a status, a reason or a time outside */
BP_MUST_CHECK bp_result bp_ocsp_data_write(const struct bp_ocsp_data *d, uint8_t *ret, size_t cap, size_t *ret_len);
/* Writes the whole answer around it: an ES256 signature (ECDSA-Sig-Value) and the responder's certificate.
 *   NO_SPACE  *ret_len tells the room needed */
BP_MUST_CHECK bp_result bp_ocsp_response_write(bp_span data, bp_span signature, bp_span cert, uint8_t *ret,
                                               size_t cap, size_t *ret_len);

/* Answers without a signature (RFC 6960 section 2.3): nothing is said about any certificate. */
enum bp_ocsp_error { BP_OCSP_MALFORMED = 1, BP_OCSP_INTERNAL = 2, BP_OCSP_TRY_LATER = 3, BP_OCSP_UNAUTHORIZED = 6 };
#define BP_OCSP_ERROR_SIZE 5u
void bp_ocsp_error_write(enum bp_ocsp_error error, uint8_t ret[BP_OCSP_ERROR_SIZE]);

#endif
