/* SPDX-License-Identifier: Apache-2.0 */
/* codec/est - what an EST client (RFC 7030) writes and reads beside HTTP: the PKCS#10 request, evidence in it, and the
 * certs-only answer.
 *
 * Nothing is kept; spans point into the caller's bytes. The signature over a request is made elsewhere, where the key
 * is. It does not judge certificates: codec/x509 reads them, the platform verifies them. */
#ifndef BP_CODEC_EST_H
#define BP_CODEC_EST_H

#include "base/buf.h"

#define BP_EST_CERTS_MAX 8u
#define BP_EST_NAME_MAX  64u /* ub-common-name, RFC 5280 appendix A */

/* Evidence in a request: the attribute and its syntax are a draft's. What a later one changes is here and in est.c. */
#define BP_EST_EVIDENCE_DRAFT "draft-ietf-lamps-csr-attestation-28"
#define BP_EST_EVIDENCE_OID   "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3b" /* id-aa-attestation, 1.2.840.113549.1.9.16.2.59 */
#define BP_EST_EVIDENCE_TYPE  "\x2b\x06\x01\x04\x01\x81\xfd\x59\x01\x03\x01" /* our collection, 1.3.6.1.4.1.32473.1.3.1 */
#define BP_EST_EVIDENCE_MAX   (256u << 10)

/* Writes CertificationRequestInfo (RFC 2986): subject CN = name in UTF-8, the given SubjectPublicKeyInfo, no attributes.
 *   NO_SPACE      *ret_len tells the room needed
 *   BAD_ARGUMENT  name is empty or too long, spki is empty */
BP_MUST_CHECK bp_result bp_est_info_write(bp_span name, bp_span spki, uint8_t *ret, size_t cap, size_t *ret_len);

/* The same with one attribute: an AttestationBundle of one statement, our collection in an OCTET STRING. Empty evidence: none.
 *   BAD_ARGUMENT  also: the evidence is longer than BP_EST_EVIDENCE_MAX */
BP_MUST_CHECK bp_result bp_est_info_evidence_write(bp_span name, bp_span spki, bp_span evidence, uint8_t *ret, size_t cap,
                                                   size_t *ret_len);

/* Reads the evidence of a request's attributes (bp_csr.attributes). Other attributes have no meaning here and are passed over.
 *   NOT_FOUND    there is none                           EXISTS  the attribute is there twice, or has more than one value
 *   UNSUPPORTED  a statement of another type, more than one, a hint (drafts up to -18), or certificates beside it
 *   LIMIT        longer than BP_EST_EVIDENCE_MAX         MALFORMED, TRUNCATED, NOT_CANONICAL  as codec/der */
BP_MUST_CHECK bp_result bp_est_evidence_read(bp_span attributes, bp_span *ret);

/* Writes the whole request over such an info and the signature over it, ECDSA with SHA-256 as raw r||s of 64 bytes.
 *   NO_SPACE, BAD_ARGUMENT as above */
BP_MUST_CHECK bp_result bp_est_request_write(bp_span info, bp_span raw, uint8_t *ret, size_t cap, size_t *ret_len);

/* Reads certs-only CMS SignedData (RFC 5652 section 5, RFC 8951 section 3): the certificates as they stand, in order.
 *   MALFORMED  not that; signers, or content beside the certificates    LIMIT  more than BP_EST_CERTS_MAX
 *   NOT_FOUND  no certificate in it      TRUNCATED, NOT_CANONICAL, UNSUPPORTED  as codec/der */
BP_MUST_CHECK bp_result bp_est_certs_read(bp_span cms, bp_span ret[BP_EST_CERTS_MAX], size_t *ret_count);

#endif
