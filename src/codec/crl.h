/* SPDX-License-Identifier: Apache-2.0 */
/* codec/crl - reads a revocation list (RFC 5280 section 5) for one known issuer: complete, version 2, with a number.
 *
 * Spans point into the input, which the caller keeps. It verifies and judges nothing: bp_x509_verify with the issuer's key
 * over `tbs`, and times against a clock, are the caller's. Lists for a part of the certificates, deltas and indirect lists
 * are refused: their critical extensions are not known here. Written by pki/x509. */
#ifndef BP_CODEC_CRL_H
#define BP_CODEC_CRL_H

#include "codec/x509.h"

struct bp_crl {
    bp_span tbs;    /* what the signature covers */
    bp_span issuer; /* Name, whole */
    int64_t this_s;
    int64_t next_s; /* always there: RFC 5280 section 5.1.2.5 */
    uint64_t number;
    size_t count;    /* of entries */
    bp_span entries; /* content of revokedCertificates; empty: none */
    enum bp_sig_alg alg;
    bp_span signature;
};

/* Reads one list, which the span must hold exactly; every entry is looked at.
 *   MALFORMED TRUNCATED NOT_CANONICAL  not strict DER of RFC 5280, inner and outer algorithm differ, an extension twice,
 *                                      no number or no key identifier, times that do not order
 *   UNSUPPORTED  not version 2, or a critical extension that is not known here
 *   LIMIT        a number above 2^63-1, or more than BP_X509_MAX_EXTENSIONS extensions */
BP_MUST_CHECK bp_result bp_crl_read(bp_span der, struct bp_crl *ret);

struct bp_crl_item {
    bp_span serial; /* magnitude without leading zero byte, 1..20 bytes */
    int64_t revoked_s;
    uint8_t reason; /* CRLReason; 0: none is told */
};

/* The entries one by one: begin with bp_rd_over(crl->entries); false when all were given. */
bool bp_crl_next(bp_rd *rd, struct bp_crl_item *ret);

#endif
