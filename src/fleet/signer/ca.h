/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/ca - state of the ca signer, and its ops by file: enrol.c (credential, bind), issue.c (issue), ocsp.c
 * (ocsp), ca.c (the rest). An op answers by writing into s->answer and giving the rule that was broken. For this folder only. */
#ifndef BP_FLEET_SIGNER_CA_H
#define BP_FLEET_SIGNER_CA_H

#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/ear.h"
#include "codec/evidence.h"
#include "core/devid.h"
#include "core/tpmkey.h"
#include "fleet/signer/anchors.h"
#include "fleet/signer/internal.h"
#include "fleet/signer/record.h"

/* A credential that was made and whose proof is awaited. */
struct ca_pending {
    int64_t until_ms; /* by the monotonic clock; 0: free */
    uint8_t device_id[BP_DEVID_SIZE];
    uint8_t ak_name[BP_AKBINDING_NAME_SIZE];
    uint8_t proof[BP_SHA256_SIZE];
    enum bp_ek_class kind;
    uint32_t eks;
    uint8_t ek[BP_AKBINDING_EKS_MAX][BP_SHA256_SIZE];
    uint8_t qualified[BP_AKBINDING_EKS_MAX][BP_AKBINDING_NAME_SIZE];
    size_t ak_n;
    uint8_t ak[BP_AKBINDING_AK_MAX];
};

/* The key by which answers for one issuing key are signed; made at need, only in memory, and certified for days. */
struct ca_responder {
    struct bp_key *key;
    int64_t since_ms;
    size_t cert_n;
    uint8_t cert[BP_CERT_MAX];
};

#define CA_SCRATCH BP_COSE_SCRATCH(2 * BP_COSE_MAX_PROTECTED, BP_MSG_SIGNED_MAX, 0)

struct bp_ca_signer {
    const struct bp_site *site;
    struct bp_crypto *crypto;
    const struct bp_entropy *entropy;
    const struct bp_clock *clock;
    struct bp_anchors *anchors;
    struct bp_key *issuing, *operators, *brownfield, *bind;
    struct bp_key *issuing_old; /* of the issuing CA before this one, for its lists and answers only; NULL: none */
    uint8_t bind_kid[BP_SHA256_SIZE];
    uint8_t result_kid[BP_SHA256_SIZE];
    struct bp_pubkey result_key; /* into the site */
    uint64_t crl_number;
    struct bp_record *record; /* of what is about to be signed */
    struct ca_responder responder[2]; /* for the issuing CA, and for the one before it */
    enum bp_ca_rule rule;
    struct ca_pending *pending;
    uint8_t *scratch; /* CA_SCRATCH */
    uint8_t *room;    /* BP_MSG_BODY_MAX: what goes into an answer */
    uint8_t *answer;  /* BP_MSG_BODY_MAX */
    size_t answer_n;
};

enum bp_ca_rule ca_credential(struct bp_ca_signer *s, bp_span body);
enum bp_ca_rule ca_bind(struct bp_ca_signer *s, bp_span body);
enum bp_ca_rule ca_issue(struct bp_ca_signer *s, bp_span body);
enum bp_ca_rule ca_ocsp(struct bp_ca_signer *s, bp_span body);

/* Puts {1: v} into the answer. */
enum bp_ca_rule ca_answer_bytes(struct bp_ca_signer *s, bp_span v);

/* Why a signature could not be made: the key's store, or something of ours. */
enum bp_ca_rule ca_unsigned(bp_result r);

/* A COSE_Sign1 of this content type, by this key. */
bool ca_is_signed(struct bp_ca_signer *s, bp_span in, bp_span content, bp_span kid, const struct bp_pubkey *key,
                  bp_span *ret_payload);
/* A statement about an attestation key that this CA made itself.   BINDING_SIGNATURE, BINDING_FORM */
enum bp_ca_rule ca_read_binding(struct bp_ca_signer *s, bp_span in, struct bp_akbinding *ret);

/* A request for a certificate: P-256 and signed by its own key. */
enum bp_ca_rule ca_read_csr(struct bp_ca_signer *s, bp_span der, struct bp_csr *ret);

/* Makes a certificate by key, which is that of the certificate by, and has it recorded. */
enum bp_ca_rule ca_make(struct bp_ca_signer *s, struct bp_key *key, bp_span by, const struct bp_cert_request *q,
                        uint8_t ret[BP_CERT_MAX], size_t *ret_n);
/* The same, and puts it into the answer. */
enum bp_ca_rule ca_certify(struct bp_ca_signer *s, struct bp_key *key, enum bp_site_cert by,
                           const struct bp_cert_request *q);

/* Whether a name may stand in a device's certificate. */
bool ca_is_pseudonym(bp_span s);

/* An attestation key and its name: P-256, SHA-256 name, restricted, born in the chip and unable to leave it. */
struct ca_ak {
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    struct bp_tpm_name name;
};
enum bp_ca_rule ca_read_ak(struct bp_ca_signer *s, bp_span tpm2b, struct ca_ak *ret);

#endif
