/* SPDX-License-Identifier: Apache-2.0 */
/* codec/x509 - reads the fields of a certificate (RFC 5280) and of a certificate request (RFC 2986) that we need.
 *
 * Spans point into the input, which the caller keeps. It does not build or judge paths, names, purposes or time:
 * that is the platform's X.509 library, or the caller for one known issuer. Version 3 only. */
#ifndef BP_CODEC_X509_H
#define BP_CODEC_X509_H

#include "codec/der.h"
#include "port/crypto.h"

#define BP_X509_MAX_EXTENSIONS 32u
#define BP_SPKI_MAX            560u /* DER of the largest key of the profile, RSA-4096 */

struct bp_x509 {
    bp_span tbs;     /* what the signature covers */
    bp_span serial;  /* magnitude without leading zero byte */
    bp_span issuer;  /* Name, whole */
    bp_span subject; /* Name, whole */
    int64_t not_before_s;
    int64_t not_after_s; /* INT64_MAX for 99991231235959Z, "no well-defined expiration" */
    bp_span spki;        /* SubjectPublicKeyInfo, whole */
    struct bp_pubkey key; /* type BP_KEY_NONE when the key is of a kind that is not known here */
    bp_span extensions;   /* content of the SEQUENCE; empty when there are none */
    enum bp_sig_alg alg;  /* BP_SIG_NONE when not known here */
    bp_span signature;    /* as it stands: for ECDSA an ECDSA-Sig-Value */
};

/* Reads one certificate, which the span must hold exactly.
 *   MALFORMED TRUNCATED NOT_CANONICAL  not strict DER of RFC 5280; inner and outer algorithm differ; an extension twice
 *   UNSUPPORTED  not version 3, unique identifiers     LIMIT  more than BP_X509_MAX_EXTENSIONS */
BP_MUST_CHECK bp_result bp_x509_read(bp_span der, struct bp_x509 *ret);

struct bp_x509_ext {
    bp_span oid; /* content of the OBJECT IDENTIFIER */
    bool is_critical;
    bp_span value; /* content of the OCTET STRING */
};

/* The extensions one by one: begin with bp_rd_over(cert->extensions) and go on while bp_rd_left. */
BP_MUST_CHECK bp_result bp_x509_next_ext(bp_rd *rd, struct bp_x509_ext *ret);
/* NOT_FOUND: there is none with that OID. */
BP_MUST_CHECK bp_result bp_x509_find_ext(const struct bp_x509 *cert, bp_span oid, struct bp_x509_ext *ret);

struct bp_csr {
    bp_span tbs; /* CertificationRequestInfo, whole: what the signature covers */
    bp_span subject;
    bp_span spki;
    struct bp_pubkey key;
    bp_span attributes; /* content of [0]; not looked into (a challengePassword has no meaning here) */
    enum bp_sig_alg alg;
    bp_span signature;
};

/* Reads one PKCS#10 request; errors as bp_x509_read. */
BP_MUST_CHECK bp_result bp_csr_read(bp_span der, struct bp_csr *ret);

/* The algorithm of an AlgorithmIdentifier's content; BP_SIG_NONE when not known here. */
enum bp_sig_alg bp_x509_alg(bp_span id);

/* Verifies a signature as certificates carry it (ECDSA in DER) with the issuer's key.
 *   BAD_SIGNATURE  it does not verify        UNSUPPORTED  algorithm not known, or not one for this key */
BP_MUST_CHECK bp_result bp_x509_verify(struct bp_crypto *c, const struct bp_pubkey *key, enum bp_sig_alg alg,
                                       bp_span tbs, bp_span signature);

/* SubjectPublicKeyInfo from and to numbers: P-256, P-384 (uncompressed points), Ed25519, RSA.
 *   read: UNSUPPORTED  another algorithm, curve or a compressed point    MALFORMED  a size outside port/crypto.h
 *   write: NO_SPACE  *ret_len tells the room needed                     BAD_ARGUMENT  not such a key */
BP_MUST_CHECK bp_result bp_spki_read(bp_span spki, struct bp_pubkey *ret);
BP_MUST_CHECK bp_result bp_spki_write(const struct bp_pubkey *key, uint8_t *ret, size_t cap, size_t *ret_len);
/* Whether it holds a key of ML-DSA (FIPS 204) as RFC 9881 has it: an identifier of one of its three sizes without parameters,
 * and as many bytes. It is no key of port/crypto: the platform's library verifies by it where it can. */
bool bp_spki_is_ml_dsa(bp_span spki);

#endif
