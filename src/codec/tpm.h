/* SPDX-License-Identifier: Apache-2.0 */
/* codec/tpm - TPM 2.0 structures that evidence and enrolment carry, both directions, in TCG
 * big-endian wire form.
 *
 * Reading copies nothing: spans point into the caller's bytes, which stay verbatim for whoever
 * verifies a signature over them. Every reader takes exactly one structure and refuses leftovers;
 * outputs are untouched on failure. It deliberately does not hash or verify (core/tpmkey does) and
 * does not decide whether a value is wanted. Tables cited are those of TPM 2.0 Library Part 2
 * (Structures), revision 1.59. */
#ifndef BP_CODEC_TPM_H
#define BP_CODEC_TPM_H

#include "base/buf.h"

/* Table 9, TPM_ALG_ID. */
#define BP_TPM_ALG_RSA    0x0001u
#define BP_TPM_ALG_SHA1   0x0004u
#define BP_TPM_ALG_AES    0x0006u
#define BP_TPM_ALG_SHA256 0x000bu
#define BP_TPM_ALG_SHA384 0x000cu
#define BP_TPM_ALG_SHA512 0x000du
#define BP_TPM_ALG_NULL   0x0010u
#define BP_TPM_ALG_RSASSA 0x0014u
#define BP_TPM_ALG_RSAES  0x0015u
#define BP_TPM_ALG_RSAPSS 0x0016u
#define BP_TPM_ALG_OAEP   0x0017u
#define BP_TPM_ALG_ECDSA  0x0018u
#define BP_TPM_ALG_ECDH   0x0019u
#define BP_TPM_ALG_ECC    0x0023u
#define BP_TPM_ALG_CFB    0x0043u

/* Table 10, TPM_ECC_CURVE. */
#define BP_TPM_ECC_P256   0x0003u
#define BP_TPM_ECC_P384   0x0004u

/* Tables 7 and 19. */
#define BP_TPM_GENERATED  0xff544347u
#define BP_TPM_ST_CERTIFY 0x8017u
#define BP_TPM_ST_QUOTE   0x8018u

#define BP_TPM_DIGEST_MAX 64u  /* the longest digest, SHA-512 */
#define BP_TPM_NAME_MAX   66u  /* nameAlg and digest */
#define BP_TPM_EXTRA_MAX  66u  /* TPM2B_DATA: sizeof(TPMT_HA) */
#define BP_TPM_PCRS       24u  /* PCRs of a PC Client TPM */
#define BP_TPM_BANKS_MAX  4u   /* banks in one selection */
#define BP_TPM_RSA_MAX    512u /* RSA 4096 */

/* Digest size of a TPM hash algorithm; 0 when it is not known here. */
size_t bp_tpm_hash_size(uint16_t alg);

/* --- PCR selection (tables 93, 94, 112) --- */

/* Bit n of mask is PCR n. */
struct bp_tpm_pcr_bank {
    uint16_t hash;
    uint32_t mask;
};

struct bp_tpm_pcrs {
    uint32_t count;
    struct bp_tpm_pcr_bank bank[BP_TPM_BANKS_MAX];
};

/* Reads TPML_PCR_SELECTION at the reader; failures stick in it.
 *   MALFORMED    sizeofSelect outside 1..4, a PCR above 23, the same bank twice
 *   UNSUPPORTED  a hash that is not known here      LIMIT  more than BP_TPM_BANKS_MAX banks */
void bp_tpm_pcrs_get(bp_rd *rd, struct bp_tpm_pcrs *ret);
/* Writes it with sizeofSelect 3. */
void bp_tpm_pcrs_put(bp_wr *wr, const struct bp_tpm_pcrs *pcrs);
/* True when both select the same PCRs of the same banks: banks with nothing selected count as
 * absent, the order of banks counts (it is the order of the digest), the width of the bit map does
 * not. */
bool bp_tpm_pcrs_equal(const struct bp_tpm_pcrs *a, const struct bp_tpm_pcrs *b);

/* --- TPMS_ATTEST (table 127) --- */

struct bp_tpm_attest {
    uint16_t type;            /* BP_TPM_ST_QUOTE or BP_TPM_ST_CERTIFY */
    bp_span qualified_signer; /* a name, or a 4-byte handle */
    bp_span extra_data;       /* what the caller of the TPM asked to be signed along */
    uint64_t clock_ms;
    uint32_t reset_count;
    uint32_t restart_count;
    bool safe;
    uint64_t firmware_version;
    /* QUOTE */
    struct bp_tpm_pcrs pcrs;
    bp_span pcr_digest;
    /* CERTIFY */
    bp_span name;
    bp_span qualified_name;
};

/* Reads one attestation statement. It is not proven by being read: the signature comes next.
 *   MALFORMED    no TPM_GENERATED magic, `safe` not 0 or 1, a size no such field can have, leftover
 * bytes UNSUPPORTED  a type other than QUOTE and CERTIFY, or a hash not known here TRUNCATED, LIMIT
 * as above */
BP_MUST_CHECK bp_result bp_tpm_attest_read(bp_span in, struct bp_tpm_attest *ret);
/* Writes it, magic first: for tests and for software attesters, which say that they are. */
void bp_tpm_attest_write(bp_wr *wr, const struct bp_tpm_attest *attest);

/* --- TPMT_SIGNATURE (table 189) --- */

struct bp_tpm_sig {
    uint16_t scheme; /* BP_TPM_ALG_RSASSA, RSAPSS or ECDSA */
    uint16_t hash;
    bp_span r; /* ECDSA: r as it came; RSA: the signature */
    bp_span s; /* ECDSA: s as it came; RSA: empty */
};

/* Reads one signature.
 *   UNSUPPORTED  another scheme or hash
 *   MALFORMED    empty or over-long r, s or signature, leftover bytes */
BP_MUST_CHECK bp_result bp_tpm_sig_read(bp_span in, struct bp_tpm_sig *ret);
void bp_tpm_sig_write(bp_wr *wr, const struct bp_tpm_sig *sig);
/* ECDSA as raw r || s, each of coord_size bytes (leading zeros added or taken away), into ret of 2
 * * coord_size. MALFORMED     a number that does not fit the curve, or zero BAD_ARGUMENT  not an
 * ECDSA signature */
BP_MUST_CHECK bp_result bp_tpm_sig_raw(const struct bp_tpm_sig *sig, size_t coord_size,
                                       uint8_t *ret);

/* --- TPMT_PUBLIC (table 200) --- */

/* TPMA_OBJECT (table 33). */
#define BP_TPMA_FIXED_TPM             0x00000002u
#define BP_TPMA_ST_CLEAR              0x00000004u
#define BP_TPMA_FIXED_PARENT          0x00000010u
#define BP_TPMA_SENSITIVE_DATA_ORIGIN 0x00000020u
#define BP_TPMA_USER_WITH_AUTH        0x00000040u
#define BP_TPMA_ADMIN_WITH_POLICY     0x00000080u
#define BP_TPMA_NO_DA                 0x00000400u
#define BP_TPMA_ENCRYPTED_DUPLICATION 0x00000800u
#define BP_TPMA_RESTRICTED            0x00010000u
#define BP_TPMA_DECRYPT               0x00020000u
#define BP_TPMA_SIGN                  0x00040000u
#define BP_TPMA_X509_SIGN             0x00080000u
#define BP_TPMA_RESERVED              0xfff0f309u

struct bp_tpm_public {
    bp_span all;   /* TPMT_PUBLIC as it came: what a name is the hash of; set by the reader only */
    uint16_t type; /* BP_TPM_ALG_ECC or BP_TPM_ALG_RSA */
    uint16_t name_alg;
    uint32_t attributes;
    bp_span policy;    /* authPolicy; empty, or a digest of name_alg */
    uint16_t sym_alg;  /* BP_TPM_ALG_NULL, or the parent's cipher */
    uint16_t sym_bits; /* with a cipher only */
    uint16_t sym_mode;
    uint16_t scheme; /* BP_TPM_ALG_NULL or the scheme the key is bound to */
    uint16_t scheme_hash;
    /* ECC */
    uint16_t curve;
    uint16_t kdf;
    uint16_t kdf_hash;
    bp_span x, y;
    /* RSA */
    uint16_t rsa_bits;
    uint32_t rsa_exponent; /* 0 stands for 65537 */
    bp_span modulus;
};

/* Reads TPM2B_PUBLIC (size, then TPMT_PUBLIC).
 *   UNSUPPORTED  type, hash, scheme, curve or cipher not known here
 *   MALFORMED    reserved attribute bits, a coordinate longer than the curve, a modulus whose size
 * is not keyBits, a policy that is not empty and not of the size of nameAlg, leftover bytes */
BP_MUST_CHECK bp_result bp_tpm_public_read(bp_span tpm2b, struct bp_tpm_public *ret);
/* The same for a bare TPMT_PUBLIC. */
BP_MUST_CHECK bp_result bp_tpmt_public_read(bp_span tpmt, struct bp_tpm_public *ret);
/* Writes TPM2B_PUBLIC; `all` is not used. */
void bp_tpm_public_write(bp_wr *wr, const struct bp_tpm_public *pub);

/* Rules on attributes. They say what the key may do; where it lives is proven by the name and who
 * vouches for it. */

/* Signs only what the TPM made itself, cannot leave, was born inside, decrypts nothing: restricted,
 * sign, fixedTPM, fixedParent and sensitiveDataOrigin set, decrypt clear; its scheme is fixed (a
 * restricted key has one). */
bool bp_tpm_is_attestation_key(const struct bp_tpm_public *pub);
/* Signs anything, cannot leave, was born inside, decrypts nothing: an LDevID key. */
bool bp_tpm_is_device_key(const struct bp_tpm_public *pub);

/* TCG EK Credential Profile 2.5, annex B: the templates that we know, by key and shape. */
enum bp_tpm_ek_template {
    BP_TPM_EK_NONE,
    BP_TPM_EK_L1, /* RSA-2048, SHA-256, PolicySecret(endorsement) */
    BP_TPM_EK_L2, /* ECC P-256, the same */
    BP_TPM_EK_H1, /* RSA-2048, SHA-256, policy B */
    BP_TPM_EK_H2, /* ECC P-256, SHA-256, policy B */
    BP_TPM_EK_H3, /* ECC P-384, SHA-384, policy B */
    BP_TPM_EK_H6  /* RSA-3072, SHA-384, policy B */
};
/* The template that a public area follows, attributes and policy included; BP_TPM_EK_NONE when it
 * follows none. */
enum bp_tpm_ek_template bp_tpm_ek_template_of(const struct bp_tpm_public *pub);

/* --- sized buffers of credential activation: TPM2B_ID_OBJECT (table 211), TPM2B_ENCRYPTED_SECRET
 * (table 193) --- */

/* id object = size || (size || integrity HMAC) || encrypted identity. */
void bp_tpm_id_object_write(bp_wr *wr, bp_span integrity, bp_span encrypted_identity);
void bp_tpm_2b_write(bp_wr *wr, bp_span content);
/* The content of a sized buffer that is the whole input. TRUNCATED, MALFORMED (leftover). */
BP_MUST_CHECK bp_result bp_tpm_2b_read(bp_span in, bp_span *ret);

#endif
