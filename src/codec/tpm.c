/* SPDX-License-Identifier: Apache-2.0 */
/* codec/tpm - TPM 2.0 wire structures. */
#include "codec/tpm.h"

#define BP_MODULE TPM

size_t bp_tpm_hash_size(uint16_t alg)
{
    switch (alg) {
    case BP_TPM_ALG_SHA1:
        return 20;
    case BP_TPM_ALG_SHA256:
        return 32;
    case BP_TPM_ALG_SHA384:
        return 48;
    case BP_TPM_ALG_SHA512:
        return 64;
    default:
        return 0;
    }
}

/* --- sized buffers --- */

/* TPM2B: size u16, content; longer than max is no such field. */
static bp_span get_2b(bp_rd *rd, size_t max)
{
    const size_t n = bp_rd_be16(rd);
    if (n > max) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return bp_rd_bytes(rd, n);
}

void bp_tpm_2b_write(bp_wr *wr, bp_span content)
{
    if (content.n > UINT16_MAX) {
        bp_wr_fail(wr, BP_FAIL(LIMIT));
        return;
    }
    bp_wr_be16(wr, (uint16_t)content.n);
    bp_wr_bytes(wr, content);
}

bp_result bp_tpm_2b_read(bp_span in, bp_span *ret)
{
    bp_rd rd = bp_rd_over(in);
    const bp_span content = get_2b(&rd, UINT16_MAX);
    BP_TRY(bp_rd_finish(&rd));
    *ret = content;
    return BP_OK;
}

void bp_tpm_id_object_write(bp_wr *wr, bp_span integrity, bp_span encrypted_identity)
{
    if (integrity.n > BP_TPM_DIGEST_MAX ||
        encrypted_identity.n > UINT16_MAX - 2u - BP_TPM_DIGEST_MAX) {
        bp_wr_fail(wr, BP_FAIL(LIMIT));
        return;
    }
    bp_wr_be16(wr, (uint16_t)(2u + integrity.n + encrypted_identity.n));
    bp_tpm_2b_write(wr, integrity);
    bp_wr_bytes(wr, encrypted_identity);
}

/* --- PCR selection --- */

static void get_bank(bp_rd *rd, struct bp_tpm_pcr_bank *ret)
{
    ret->hash = bp_rd_be16(rd);
    ret->mask = 0;
    const size_t n = bp_rd_u8(rd);
    if (bp_failed(bp_rd_state(rd))) {
        return;
    }
    if (bp_tpm_hash_size(ret->hash) == 0) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        return;
    }
    if (n < 1 || n > 4) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    const bp_span map = bp_rd_bytes(rd, n);
    for (size_t i = 0; i < map.n; i++) {
        ret->mask |= (uint32_t)map.p[i] << (8 * i);
    }
    if (ret->mask >> BP_TPM_PCRS != 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

void bp_tpm_pcrs_get(bp_rd *rd, struct bp_tpm_pcrs *ret)
{
    struct bp_tpm_pcrs pcrs = {.count = bp_rd_be32(rd)};
    if (pcrs.count > BP_TPM_BANKS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (uint32_t i = 0; i < pcrs.count; i++) {
        get_bank(rd, &pcrs.bank[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (pcrs.bank[k].hash == pcrs.bank[i].hash) {
                bp_rd_fail(rd, BP_FAIL(MALFORMED));
            }
        }
    }
    if (!bp_failed(bp_rd_state(rd))) {
        *ret = pcrs;
    }
}

void bp_tpm_pcrs_put(bp_wr *wr, const struct bp_tpm_pcrs *pcrs)
{
    if (pcrs->count > BP_TPM_BANKS_MAX) {
        bp_wr_fail(wr, BP_FAIL(LIMIT));
        return;
    }
    bp_wr_be32(wr, pcrs->count);
    for (uint32_t i = 0; i < pcrs->count; i++) {
        bp_wr_be16(wr, pcrs->bank[i].hash);
        bp_wr_u8(wr, 3);
        bp_wr_u8(wr, (uint8_t)pcrs->bank[i].mask);
        bp_wr_u8(wr, (uint8_t)(pcrs->bank[i].mask >> 8));
        bp_wr_u8(wr, (uint8_t)(pcrs->bank[i].mask >> 16));
    }
}

/* Index of the next bank, from i on, that selects anything; count when there is none. */
static uint32_t next_selected(const struct bp_tpm_pcrs *pcrs, uint32_t i)
{
    while (i < pcrs->count && pcrs->bank[i].mask == 0) {
        i++;
    }
    return i;
}

bool bp_tpm_pcrs_equal(const struct bp_tpm_pcrs *a, const struct bp_tpm_pcrs *b)
{
    uint32_t i = next_selected(a, 0);
    uint32_t k = next_selected(b, 0);
    while (i < a->count && k < b->count) {
        if (a->bank[i].hash != b->bank[k].hash || a->bank[i].mask != b->bank[k].mask) {
            return false;
        }
        i = next_selected(a, i + 1);
        k = next_selected(b, k + 1);
    }
    return i >= a->count && k >= b->count;
}

/* --- TPMS_ATTEST --- */

/*     magic u32 | type u16 | qualifiedSigner 2B | extraData 2B
 *     clock u64 | resetCount u32 | restartCount u32 | safe u8 | firmwareVersion u64
 *     QUOTE:   pcrSelect TPML | pcrDigest 2B
 *     CERTIFY: name 2B | qualifiedName 2B */
bp_result bp_tpm_attest_read(bp_span in, struct bp_tpm_attest *ret)
{
    bp_rd rd = bp_rd_over(in);
    struct bp_tpm_attest a = {0};
    const uint32_t magic = bp_rd_be32(&rd);
    a.type = bp_rd_be16(&rd);
    BP_TRY(bp_rd_state(&rd));
    /* Before anything else: a restricted key signs foreign bytes too, but never ones that begin
     * like this (CVE-2024-29038 is what happens otherwise). */
    if (magic != BP_TPM_GENERATED) {
        return BP_FAIL(MALFORMED);
    }
    if (a.type != BP_TPM_ST_QUOTE && a.type != BP_TPM_ST_CERTIFY) {
        return BP_FAIL(UNSUPPORTED);
    }
    a.qualified_signer = get_2b(&rd, BP_TPM_NAME_MAX);
    a.extra_data = get_2b(&rd, BP_TPM_EXTRA_MAX);
    a.clock_ms = bp_rd_be64(&rd);
    a.reset_count = bp_rd_be32(&rd);
    a.restart_count = bp_rd_be32(&rd);
    const uint8_t safe = bp_rd_u8(&rd);
    if (safe > 1) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    a.safe = safe == 1;
    a.firmware_version = bp_rd_be64(&rd);
    if (a.type == BP_TPM_ST_QUOTE) {
        bp_tpm_pcrs_get(&rd, &a.pcrs);
        a.pcr_digest = get_2b(&rd, BP_TPM_DIGEST_MAX);
    } else {
        a.name = get_2b(&rd, BP_TPM_NAME_MAX);
        a.qualified_name = get_2b(&rd, BP_TPM_NAME_MAX);
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = a;
    return BP_OK;
}

void bp_tpm_attest_write(bp_wr *wr, const struct bp_tpm_attest *a)
{
    bp_wr_be32(wr, BP_TPM_GENERATED);
    bp_wr_be16(wr, a->type);
    bp_tpm_2b_write(wr, a->qualified_signer);
    bp_tpm_2b_write(wr, a->extra_data);
    bp_wr_be64(wr, a->clock_ms);
    bp_wr_be32(wr, a->reset_count);
    bp_wr_be32(wr, a->restart_count);
    bp_wr_u8(wr, a->safe ? 1 : 0);
    bp_wr_be64(wr, a->firmware_version);
    switch (a->type) {
    case BP_TPM_ST_QUOTE:
        bp_tpm_pcrs_put(wr, &a->pcrs);
        bp_tpm_2b_write(wr, a->pcr_digest);
        break;
    case BP_TPM_ST_CERTIFY:
        bp_tpm_2b_write(wr, a->name);
        bp_tpm_2b_write(wr, a->qualified_name);
        break;
    default:
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        break;
    }
}

/* --- TPMT_SIGNATURE --- */

static bool is_signing_scheme(uint16_t scheme)
{
    return scheme == BP_TPM_ALG_RSASSA || scheme == BP_TPM_ALG_RSAPSS || scheme == BP_TPM_ALG_ECDSA;
}

bp_result bp_tpm_sig_read(bp_span in, struct bp_tpm_sig *ret)
{
    bp_rd rd = bp_rd_over(in);
    struct bp_tpm_sig sig = {.scheme = bp_rd_be16(&rd), .r = BP_SPAN_EMPTY, .s = BP_SPAN_EMPTY};
    sig.hash = bp_rd_be16(&rd);
    BP_TRY(bp_rd_state(&rd));
    if (!is_signing_scheme(sig.scheme) || bp_tpm_hash_size(sig.hash) == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    const bool ecdsa = sig.scheme == BP_TPM_ALG_ECDSA;
    sig.r =
        get_2b(&rd, ecdsa ? 66 : BP_TPM_RSA_MAX); /* 66: the largest curve that TPMs name, P-521 */
    if (ecdsa) {
        sig.s = get_2b(&rd, 66);
    }
    BP_TRY(bp_rd_finish(&rd));
    if (sig.r.n == 0 || (ecdsa && sig.s.n == 0)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = sig;
    return BP_OK;
}

void bp_tpm_sig_write(bp_wr *wr, const struct bp_tpm_sig *sig)
{
    if (!is_signing_scheme(sig->scheme)) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    bp_wr_be16(wr, sig->scheme);
    bp_wr_be16(wr, sig->hash);
    bp_tpm_2b_write(wr, sig->r);
    if (sig->scheme == BP_TPM_ALG_ECDSA) {
        bp_tpm_2b_write(wr, sig->s);
    }
}

/* The number without leading zeros. */
static bp_span trimmed(bp_span s)
{
    while (s.n > 0 && s.p[0] == 0) {
        s = bp_span_sub(s, 1, s.n - 1);
    }
    return s;
}

bp_result bp_tpm_sig_raw(const struct bp_tpm_sig *sig, size_t coord_size, uint8_t *ret)
{
    if (sig->scheme != BP_TPM_ALG_ECDSA) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span r = trimmed(sig->r);
    const bp_span s = trimmed(sig->s);
    if (r.n == 0 || s.n == 0 || r.n > coord_size || s.n > coord_size) {
        return BP_FAIL(MALFORMED);
    }
    memset(ret, 0, 2 * coord_size);
    memcpy(ret + (coord_size - r.n), r.p, r.n);
    memcpy(ret + (2 * coord_size - s.n), s.p, s.n);
    return BP_OK;
}

/* --- TPMT_PUBLIC --- */

static size_t curve_size(uint16_t curve)
{
    switch (curve) {
    case BP_TPM_ECC_P256:
        return 32;
    case BP_TPM_ECC_P384:
        return 48;
    default:
        return 0;
    }
}

/* TPMT_SYM_DEF_OBJECT: NULL, or AES with key bits and mode. */
static void get_symmetric(bp_rd *rd, struct bp_tpm_public *p)
{
    p->sym_alg = bp_rd_be16(rd);
    if (p->sym_alg == BP_TPM_ALG_NULL || bp_failed(bp_rd_state(rd))) {
        return;
    }
    if (p->sym_alg != BP_TPM_ALG_AES) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        return;
    }
    p->sym_bits = bp_rd_be16(rd);
    p->sym_mode = bp_rd_be16(rd);
    if (p->sym_bits != 128 && p->sym_bits != 192 && p->sym_bits != 256) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/* The hash that follows a scheme or a key derivation. */
static uint16_t get_scheme_hash(bp_rd *rd)
{
    const uint16_t hash = bp_rd_be16(rd);
    if (bp_tpm_hash_size(hash) == 0) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    return hash;
}

/* TPMT_ECC_SCHEME and TPMT_RSA_SCHEME: NULL and RSAES stand alone, the others name a hash. */
static void get_scheme(bp_rd *rd, struct bp_tpm_public *p)
{
    p->scheme = bp_rd_be16(rd);
    if (bp_failed(bp_rd_state(rd))) {
        return;
    }
    const bool ecc = p->type == BP_TPM_ALG_ECC;
    switch (p->scheme) {
    case BP_TPM_ALG_NULL:
        return;
    case BP_TPM_ALG_RSAES:
        if (ecc) {
            break;
        }
        return;
    case BP_TPM_ALG_ECDSA:
    case BP_TPM_ALG_ECDH:
        if (!ecc) {
            break;
        }
        p->scheme_hash = get_scheme_hash(rd);
        return;
    case BP_TPM_ALG_RSASSA:
    case BP_TPM_ALG_RSAPSS:
    case BP_TPM_ALG_OAEP:
        if (ecc) {
            break;
        }
        p->scheme_hash = get_scheme_hash(rd);
        return;
    default:
        break;
    }
    bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
}

static void get_ecc(bp_rd *rd, struct bp_tpm_public *p)
{
    p->curve = bp_rd_be16(rd);
    const size_t n = curve_size(p->curve);
    if (n == 0) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    p->kdf = bp_rd_be16(rd);
    if (p->kdf != BP_TPM_ALG_NULL) {
        p->kdf_hash = get_scheme_hash(rd);
    }
    p->x = get_2b(rd, n);
    p->y = get_2b(rd, n);
    if (p->x.n == 0 || p->y.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_rsa(bp_rd *rd, struct bp_tpm_public *p)
{
    p->rsa_bits = bp_rd_be16(rd);
    p->rsa_exponent = bp_rd_be32(rd);
    p->modulus = get_2b(rd, BP_TPM_RSA_MAX);
    if (p->modulus.n == 0 || p->modulus.n * 8 != p->rsa_bits || (p->modulus.p[0] & 0x80u) == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/*     type u16 | nameAlg u16 | objectAttributes u32 | authPolicy 2B | symmetric | scheme
 *     ECC: curve u16 | kdf | x 2B | y 2B      RSA: keyBits u16 | exponent u32 | modulus 2B */
bp_result bp_tpmt_public_read(bp_span tpmt, struct bp_tpm_public *ret)
{
    bp_rd rd = bp_rd_over(tpmt);
    struct bp_tpm_public p = {.all = tpmt, .type = bp_rd_be16(&rd)};
    p.name_alg = bp_rd_be16(&rd);
    p.attributes = bp_rd_be32(&rd);
    BP_TRY(bp_rd_state(&rd));
    if ((p.type != BP_TPM_ALG_ECC && p.type != BP_TPM_ALG_RSA) ||
        bp_tpm_hash_size(p.name_alg) == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    if ((p.attributes & BP_TPMA_RESERVED) != 0) {
        return BP_FAIL(MALFORMED);
    }
    p.policy = get_2b(&rd, BP_TPM_DIGEST_MAX);
    if (p.policy.n != 0 && p.policy.n != bp_tpm_hash_size(p.name_alg)) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    get_symmetric(&rd, &p);
    get_scheme(&rd, &p);
    if (p.type == BP_TPM_ALG_ECC) {
        get_ecc(&rd, &p);
    } else {
        get_rsa(&rd, &p);
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = p;
    return BP_OK;
}

bp_result bp_tpm_public_read(bp_span tpm2b, struct bp_tpm_public *ret)
{
    bp_span tpmt = BP_SPAN_EMPTY;
    BP_TRY(bp_tpm_2b_read(tpm2b, &tpmt));
    return bp_tpmt_public_read(tpmt, ret);
}

static void put_scheme(bp_wr *wr, uint16_t scheme, uint16_t hash)
{
    bp_wr_be16(wr, scheme);
    if (scheme != BP_TPM_ALG_NULL && scheme != BP_TPM_ALG_RSAES) {
        bp_wr_be16(wr, hash);
    }
}

static void put_public(bp_wr *wr, const struct bp_tpm_public *p)
{
    bp_wr_be16(wr, p->type);
    bp_wr_be16(wr, p->name_alg);
    bp_wr_be32(wr, p->attributes);
    bp_tpm_2b_write(wr, p->policy);
    bp_wr_be16(wr, p->sym_alg);
    if (p->sym_alg != BP_TPM_ALG_NULL) {
        bp_wr_be16(wr, p->sym_bits);
        bp_wr_be16(wr, p->sym_mode);
    }
    put_scheme(wr, p->scheme, p->scheme_hash);
    if (p->type == BP_TPM_ALG_ECC) {
        bp_wr_be16(wr, p->curve);
        bp_wr_be16(wr, p->kdf);
        if (p->kdf != BP_TPM_ALG_NULL) {
            bp_wr_be16(wr, p->kdf_hash);
        }
        bp_tpm_2b_write(wr, p->x);
        bp_tpm_2b_write(wr, p->y);
    } else {
        bp_wr_be16(wr, p->rsa_bits);
        bp_wr_be32(wr, p->rsa_exponent);
        bp_tpm_2b_write(wr, p->modulus);
    }
}

void bp_tpm_public_write(bp_wr *wr, const struct bp_tpm_public *pub)
{
    bp_wr measure = bp_wr_over(NULL, 0);
    put_public(&measure, pub);
    if (measure.n > UINT16_MAX) {
        bp_wr_fail(wr, BP_FAIL(LIMIT));
        return;
    }
    bp_wr_be16(wr, (uint16_t)measure.n);
    put_public(wr, pub);
}

/* --- rules --- */

#define HELD (BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN)

bool bp_tpm_is_attestation_key(const struct bp_tpm_public *pub)
{
    const uint32_t want = HELD | BP_TPMA_SIGN | BP_TPMA_RESTRICTED;
    return (pub->attributes & (want | BP_TPMA_DECRYPT)) == want && is_signing_scheme(pub->scheme);
}

bool bp_tpm_is_device_key(const struct bp_tpm_public *pub)
{
    const uint32_t want = HELD | BP_TPMA_SIGN;
    return (pub->attributes & (want | BP_TPMA_RESTRICTED | BP_TPMA_DECRYPT)) == want;
}

/* TCG EK Credential Profile 2.5, B.6.2: PolicySecret(TPM_RH_ENDORSEMENT), and B.6.3: policy B,
 * which is PolicyOR(PolicyA, PolicyAuthorizeNV-index policy of that bank). */
static const uint8_t policy_a_sha256[32] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
static const uint8_t policy_b_sha256[32] = {
    0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3,
    0xa3, 0x85, 0xd4, 0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0};
static const uint8_t policy_b_sha384[48] = {
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

#define EK_LOW  (HELD | BP_TPMA_ADMIN_WITH_POLICY | BP_TPMA_RESTRICTED | BP_TPMA_DECRYPT)
#define EK_HIGH (EK_LOW | BP_TPMA_USER_WITH_AUTH)

static const struct {
    enum bp_tpm_ek_template which;
    uint32_t attributes;
    bp_span policy;
    uint16_t type, size, name_alg, sym_bits; /* size: curve or key bits */
} ek_templates[] = {
    {BP_TPM_EK_L1, EK_LOW, {policy_a_sha256, 32}, BP_TPM_ALG_RSA, 2048, BP_TPM_ALG_SHA256, 128},
    {BP_TPM_EK_L2,
     EK_LOW,
     {policy_a_sha256, 32},
     BP_TPM_ALG_ECC,
     BP_TPM_ECC_P256,
     BP_TPM_ALG_SHA256,
     128},
    {BP_TPM_EK_H1, EK_HIGH, {policy_b_sha256, 32}, BP_TPM_ALG_RSA, 2048, BP_TPM_ALG_SHA256, 128},
    {BP_TPM_EK_H2,
     EK_HIGH,
     {policy_b_sha256, 32},
     BP_TPM_ALG_ECC,
     BP_TPM_ECC_P256,
     BP_TPM_ALG_SHA256,
     128},
    {BP_TPM_EK_H3,
     EK_HIGH,
     {policy_b_sha384, 48},
     BP_TPM_ALG_ECC,
     BP_TPM_ECC_P384,
     BP_TPM_ALG_SHA384,
     256},
    {BP_TPM_EK_H6, EK_HIGH, {policy_b_sha384, 48}, BP_TPM_ALG_RSA, 3072, BP_TPM_ALG_SHA384, 256},
};

enum bp_tpm_ek_template bp_tpm_ek_template_of(const struct bp_tpm_public *pub)
{
    const uint16_t size = pub->type == BP_TPM_ALG_ECC ? pub->curve : pub->rsa_bits;
    if (pub->scheme != BP_TPM_ALG_NULL || pub->sym_alg != BP_TPM_ALG_AES ||
        pub->sym_mode != BP_TPM_ALG_CFB) {
        return BP_TPM_EK_NONE;
    }
    for (size_t i = 0; i < sizeof ek_templates / sizeof ek_templates[0]; i++) {
        if (pub->type == ek_templates[i].type && size == ek_templates[i].size &&
            pub->name_alg == ek_templates[i].name_alg &&
            pub->attributes == ek_templates[i].attributes &&
            pub->sym_bits == ek_templates[i].sym_bits &&
            bp_span_equal(pub->policy, ek_templates[i].policy)) {
            return ek_templates[i].which;
        }
    }
    return BP_TPM_EK_NONE;
}
