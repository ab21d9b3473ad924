/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/chip - a chip made in software by libcrypto: endorsement keys with certificates by a maker of
 * its own (root and intermediate), an attestation key, device keys, and the statements that a TPM would sign. It opens no
 * credentials: a test knows the secret by knowing the server's chance. For tests only. */
#ifndef BP_TESTS_UNIT_FLEET_SIGNER_CHIP_H
#define BP_TESTS_UNIT_FLEET_SIGNER_CHIP_H

#include "codec/tpm.h"
#include "unit/signer.h"

#include <openssl/x509.h>

/* Who certifies endorsement keys. */
struct maker {
    EVP_PKEY *root_key, *key;
    X509 *root, *intermediate;
};
bool maker_make(struct maker *m);
void maker_done(struct maker *m);
/* Writes certificates as PEM, the intermediate only when asked for. */
bool maker_anchor(const struct maker *m, const char *path, bool with_root, bool with_intermediate);

/* How an endorsement certificate departs from a good one. */
enum chip_flaw {
    CHIP_GOOD,
    CHIP_NO_USE,        /* no extended key usage: accepted, some makers leave it out */
    CHIP_OTHER_USE,     /* clientAuth */
    CHIP_IS_AUTHORITY,  /* CA:TRUE */
    CHIP_EXPIRED,
    CHIP_SHA1,          /* signed over SHA-1 */
    CHIP_CRITICAL,      /* an unknown critical extension */
    CHIP_SELF_SIGNED,
    CHIP_OTHER_KEY,     /* certifies another key */
    CHIP_SIGNS          /* no authority, and may sign certificates */
};

#define CHIP_CERT_MAX 2048u
#define CHIP_PUB_MAX  400u

struct chip_ek {
    uint64_t template_id;
    EVP_PKEY *pkey;
    uint8_t pub[CHIP_PUB_MAX]; /* TPM2B_PUBLIC */
    size_t pub_n;
    uint8_t cert[CHIP_CERT_MAX];
    size_t cert_n;
};
/* Makes an endorsement key of template 1, 2 or 3 and its certificate, valid around now_ms. */
bool chip_ek_make(struct chip_ek *ek, uint64_t template_id, const struct maker *by, enum chip_flaw flaw, int64_t now_ms);
void chip_ek_done(struct chip_ek *ek);

/* A P-256 key inside the chip. */
struct chip_key {
    struct test_key key;
    uint8_t pub[CHIP_PUB_MAX];
    size_t pub_n;
};
/* attributes: TPMA_OBJECT; a restricted key gets the scheme ECDSA with SHA-256. */
bool chip_key_make(struct chip_key *k, uint32_t attributes);
/* The public area again with other attributes, over the same key. */
bool chip_key_public(struct chip_key *k, uint32_t attributes);
void chip_key_done(struct chip_key *k);

#define CHIP_AK_ATTRIBUTES                                                                                             \
    (BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN | BP_TPMA_USER_WITH_AUTH | BP_TPMA_NO_DA |   \
     BP_TPMA_RESTRICTED | BP_TPMA_SIGN)
#define CHIP_DEVICE_ATTRIBUTES                                                                                         \
    (BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN | BP_TPMA_USER_WITH_AUTH | BP_TPMA_NO_DA |   \
     BP_TPMA_SIGN)

/* TPMT_SIGNATURE by the key over the bytes; 0 when that fails. */
size_t chip_sign(struct chip_key *k, bp_span bytes, uint8_t *ret, size_t cap);
/* TPMS_ATTEST of a quote or a key's certification. */
size_t chip_quote(bp_span extra, bp_span signer, uint8_t *ret, size_t cap); /* signer: qualified name */
size_t chip_certify(bp_span extra, bp_span name, uint8_t *ret, size_t cap);

/* PKCS#10 by the key; DER. */
size_t chip_csr(EVP_PKEY *pkey, uint8_t *ret, size_t cap);

#endif
