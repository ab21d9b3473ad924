/* SPDX-License-Identifier: Apache-2.0 */
/* pki/x509 - makes our certificates and revocation lists by fixed profiles, and checks the same profiles.
 *
 * What varies is named in the request; everything else is the profile's, so nothing of a certificate request but its
 * key can get into a certificate. Time and chance are parameters. Output goes to the caller's room. It builds no paths
 * and keeps no state; serials are random, so nothing must be remembered to keep them apart. */
#ifndef BP_PKI_X509_H
#define BP_PKI_X509_H

#include "port/crypto.h"
#include "port/entropy.h"

#define BP_CERT_MAX      2048u
#define BP_CERT_DNS_MAX  8u   /* names of one server */
#define BP_CERT_TEXT_MAX 128u /* bytes of one name */
#define BP_CERT_URL_MAX  192u
#define BP_CERT_UNIT_MAX 64u  /* bytes of a unit's serial number (X520SerialNumber, RFC 5280 appendix A) */
#define BP_CERT_SERVICE_MAX 32u /* bytes of a service's name */
#define BP_SERIAL_SIZE   16u
#define BP_KEY_ID_SIZE   20u

/* Profiles; the policy identifiers are 1.3.6.1.4.1.32473.1.1.N (an enterprise number reserved for examples). Keys that
 * sign statements have extended key usages of our own, 1.3.6.1.4.1.32473.1.2.N: no certificate of theirs opens a TLS
 * connection, and none of them stands for another. The one of the owner's recovery key is of that family (4): nothing
 * is signed by it, values are sealed to it. A maker's authority (BP_CERT_ROOT above IDEVID_CA and MAKER) is of another tree
 * than a plant's. */
enum bp_cert_profile {
    BP_CERT_ROOT,          /* signs authorities; path length 1 */
    BP_CERT_ISSUING,       /* device certificates: clientAuth and serverAuth, path length 0, policies 1 and 4, never for the
                              server's own names */
    BP_CERT_INFRA,         /* server certificates: serverAuth, path length 0, held to dns names, no addresses */
    BP_CERT_OPERATOR_CA,   /* operator certificates: clientAuth, path length 0, policy 2 */
    BP_CERT_BROWNFIELD_CA, /* an anchor of its own; clientAuth, path length 0, policy 3: nothing was appraised */
    BP_CERT_SERVER,        /* dns names; serverAuth */
    BP_CERT_DEVICE,        /* management LDevID: CN and urn:bedplate:device:NAME; clientAuth, policy 1 */
    BP_CERT_OPERATOR,      /* CN; clientAuth, policy 2 */
    BP_CERT_BROWNFIELD,    /* CN and urn:bedplate:device:NAME; clientAuth, policy 3 */
    BP_CERT_LOG,           /* CN; log heads, extended usage 1 */
    BP_CERT_RESULT,        /* CN; attestation results, extended usage 2 */
    BP_CERT_BIND,          /* CN; statements about attestation keys, extended usage 3 */
    BP_CERT_RECOVERY,      /* CN; keyAgreement, extended usage 4: what it opens is the owner's */
    BP_CERT_OCSP,          /* CN; OCSPSigning, and not itself to be asked about (RFC 6960 section 4.2.2.2) */
    BP_CERT_IDEVID_CA,     /* a maker's: IDevIDs; path length 0 */
    BP_CERT_MAKER,         /* CN; a maker's statements (manifests, ownership), extended usage 5 */
    BP_CERT_IDEVID,        /* IEEE 802.1AR: CN (the model), serialNumber, hardwareModuleName; no extended usage */
    BP_CERT_APP_CLIENT,    /* application of a device: CN and urn:bedplate:device:NAME:SERVICE; clientAuth, policy 4 */
    BP_CERT_APP_SERVER,    /* the same with dns names; serverAuth, policy 4 */
    BP_CERT_OPCUA,         /* OPC UA application: its URI is that urn; dns names, both usages, nonRepudiation, policy 4 */
    BP_CERT_ISSUING_OLD,   /* of a directory made before there were application certificates: clientAuth, policy 1 */
    BP_CERT_PROFILES
};

/* What a device may ask for, by the name that messages, the store and people use: management, app-client, app-server,
 * opcua. BP_CERT_PROFILES: no such. */
enum bp_cert_profile bp_cert_of_device(bp_span name);
bool bp_cert_is_application(enum bp_cert_profile profile);
/* Whether certificates of a profile carry dns names. */
bool bp_cert_has_dns(enum bp_cert_profile profile);
/* Whether a service may be called so: [a-z0-9-], 1..BP_CERT_SERVICE_MAX, no leading hyphen. */
bool bp_cert_is_service(bp_span name);
/* Whether this is a dns name as certificates carry it: [a-z0-9.-], no leading dot or hyphen. */
bool bp_cert_is_dns(bp_span name);

/* Who signs. name is a whole DER Name; it lives as long as this does. */
struct bp_issuer {
    struct bp_signer signer;
    bp_span name; /* empty: the certificate is signed by its own key */
    uint8_t key_id[BP_KEY_ID_SIZE];
};

struct bp_cert_request {
    enum bp_cert_profile profile;
    bp_span spki;         /* DER; only P-256 and P-384 keys are certified */
    bp_span common_name;  /* UTF-8, 1..BP_CERT_TEXT_MAX bytes; for devices [A-Za-z0-9.-] only: it enters a URN */
    bp_span organisation; /* UTF-8; empty: left out */
    bp_span service;      /* applications only: see bp_cert_is_service */
    const bp_span *dns;   /* ISSUING, INFRA, SERVER, APP_SERVER, OPCUA: 1..BP_CERT_DNS_MAX names, see bp_cert_is_dns */
    size_t dns_count;
    bp_span serial_number; /* IDEVID only: 1..BP_CERT_UNIT_MAX of [A-Za-z0-9.-], in the subject and in hardwareModuleName */
    bp_span crl_url; /* empty: left out; not in an anchor's certificate */
    int64_t not_before_ms;
    int64_t not_after_ms; /* INT64_MAX: no well-defined end (RFC 5280 section 4.1.2.5) */
    bp_span ocsp_url;     /* where its status is answered, and */
    bp_span issuer_url;   /* where its issuer's certificate is; both or none, and not in an anchor's certificate */
};

/* Told of every certificate after it was checked and before it is signed: serial of BP_SERIAL_SIZE bytes, the part that is
 * signed, and who signs. What it fails with ends the making. */
struct bp_cert_record {
    void *self;
    bp_result (*keep)(void *self, bp_span serial, bp_span tbs, const struct bp_issuer *issuer, enum bp_cert_profile profile);
};

/* Makes a certificate, holds what it is about to sign against profile, request and issuer, read as bp_x509_profile_check
 * reads it, and signs it.
 *   BAD_ARGUMENT  the request breaks a rule above, or the times do not order   UNSUPPORTED  the key, or the signer's alg
 *   INTERNAL      what was made is not what was asked for: nothing was signed
 *   NO_SPACE      cap is below what is needed (BP_CERT_MAX always suffices)    any          of entropy and signer */
BP_MUST_CHECK bp_result bp_cert_issue(struct bp_crypto *c, const struct bp_entropy *entropy,
                                      const struct bp_issuer *issuer, const struct bp_cert_request *request,
                                      uint8_t *ret, size_t cap, size_t *ret_n);
/* The same, recorded between the check and the signature. any: of the record too */
BP_MUST_CHECK bp_result bp_cert_issue_recorded(struct bp_crypto *c, const struct bp_entropy *entropy,
                                               const struct bp_issuer *issuer, const struct bp_cert_request *request,
                                               const struct bp_cert_record *record, uint8_t *ret, size_t cap,
                                               size_t *ret_n);

/* Makes an issuer of a certificate authority's certificate and its signer; spans point into cert.
 *   DENIED  not an authority's certificate    others as bp_x509_read */
BP_MUST_CHECK bp_result bp_issuer_of(bp_span cert, const struct bp_signer *signer, struct bp_issuer *ret);

/* Key identifier by RFC 7093 section 2 method 1: the first 160 bits of SHA-256 over the subjectPublicKey's bits. */
BP_MUST_CHECK bp_result bp_key_id(struct bp_crypto *c, bp_span spki, uint8_t ret[BP_KEY_ID_SIZE]);

/* Says whether a certificate is exactly of a profile: every extension expected, in value and criticality, and no other;
 * serial of 1..20 bytes and not zero; key and signature of P-256 or P-384; validity in order and around now_ms.
 * It does not verify the signature.
 *   DENIED  it is not of that profile    EXPIRED  outside its validity    others as bp_x509_read */
BP_MUST_CHECK bp_result bp_x509_profile_check(bp_span cert, enum bp_cert_profile profile, int64_t now_ms);

struct bp_crl_entry {
    bp_span serial; /* magnitude, 1..20 bytes */
    int64_t revoked_ms;
    uint8_t reason; /* CRLReason; 0 is left out */
};

/* Makes and signs a complete CRL (version 2, key identifier and number).
 *   BAD_ARGUMENT  a serial or reason outside    NO_SPACE  *ret_n tells the room needed at most   any  of the signer */
BP_MUST_CHECK bp_result bp_crl_issue(const struct bp_issuer *issuer, const struct bp_crl_entry *entries, size_t count,
                                     uint64_t number, int64_t this_ms, int64_t next_ms, uint8_t *ret, size_t cap,
                                     size_t *ret_n);

/* Certificates without signature, as EST answers (RFC 5652 section 5.1, RFC 8951): a degenerate SignedData.
 *   NO_SPACE  *ret_n tells the room needed */
BP_MUST_CHECK bp_result bp_certs_only(const bp_span *certs, size_t count, uint8_t *ret, size_t cap, size_t *ret_n);

#endif
