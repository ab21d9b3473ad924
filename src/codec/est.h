/* SPDX-License-Identifier: Apache-2.0 */
/* codec/est - what an EST client (RFC 7030) writes and reads beside HTTP: the PKCS#10 request and the certs-only answer.
 *
 * Nothing is kept; spans point into the caller's bytes. The signature over a request is made elsewhere, where the key
 * is. It does not judge certificates: codec/x509 reads them, the platform verifies them. */
#ifndef BP_CODEC_EST_H
#define BP_CODEC_EST_H

#include "base/buf.h"

#define BP_EST_CERTS_MAX 8u
#define BP_EST_NAME_MAX  64u /* ub-common-name, RFC 5280 appendix A */

/* Writes CertificationRequestInfo (RFC 2986): subject CN = name in UTF-8, the given SubjectPublicKeyInfo, no attributes.
 *   NO_SPACE      *ret_len tells the room needed
 *   BAD_ARGUMENT  name is empty or too long, spki is empty */
BP_MUST_CHECK bp_result bp_est_info_write(bp_span name, bp_span spki, uint8_t *ret, size_t cap, size_t *ret_len);

/* Writes the whole request over such an info and the signature over it, ECDSA with SHA-256 as raw r||s of 64 bytes.
 *   NO_SPACE, BAD_ARGUMENT as above */
BP_MUST_CHECK bp_result bp_est_request_write(bp_span info, bp_span raw, uint8_t *ret, size_t cap, size_t *ret_len);

/* Reads certs-only CMS SignedData (RFC 5652 section 5, RFC 8951 section 3): the certificates as they stand, in order.
 *   MALFORMED  not that; signers, or content beside the certificates    LIMIT  more than BP_EST_CERTS_MAX
 *   NOT_FOUND  no certificate in it      TRUNCATED, NOT_CANONICAL, UNSUPPORTED  as codec/der */
BP_MUST_CHECK bp_result bp_est_certs_read(bp_span cms, bp_span ret[BP_EST_CERTS_MAX], size_t *ret_count);

#endif
