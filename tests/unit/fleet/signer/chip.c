/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/chip - a chip made in software. */
#include "unit/fleet/signer/chip.h"

#include "codec/x509.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY_S 86400

static const uint8_t policy_a[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                     0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                     0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
static const uint8_t policy_b[48] = {0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc,
                                     0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4,
                                     0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09,
                                     0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    const bool ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool name_it(X509_NAME *name, const char *cn)
{
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) == 1;
}

static X509 *begin(EVP_PKEY *key, const char *cn, X509 *issuer, time_t from, time_t to)
{
    static long serial = 100;
    X509 *x = X509_new();
    if (x == NULL || X509_set_version(x, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial) != 1 ||
        ASN1_TIME_set(X509_getm_notBefore(x), from) == NULL || ASN1_TIME_set(X509_getm_notAfter(x), to) == NULL ||
        X509_set_pubkey(x, key) != 1 || (cn != NULL && !name_it(X509_get_subject_name(x), cn)) ||
        X509_set_issuer_name(x, issuer == NULL ? X509_get_subject_name(x) : X509_get_subject_name(issuer)) != 1) {
        X509_free(x);
        return NULL;
    }
    return x;
}

bool maker_make(struct maker *m)
{
    memset(m, 0, sizeof *m);
    m->root_key = EVP_EC_gen("P-256");
    m->key = EVP_EC_gen("P-256");
    if (m->root_key == NULL || m->key == NULL) {
        return false;
    }
    m->root = begin(m->root_key, "Chip maker root", NULL, 0, 4000000000);
    m->intermediate = m->root == NULL ? NULL : begin(m->key, "Chip maker 1", m->root, 0, 4000000000);
    return m->intermediate != NULL && extend(m->root, m->root, NID_basic_constraints, "critical,CA:TRUE") &&
           extend(m->root, m->root, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           extend(m->intermediate, m->root, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           extend(m->intermediate, m->root, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           X509_sign(m->root, m->root_key, EVP_sha256()) > 0 && X509_sign(m->intermediate, m->root_key, EVP_sha256()) > 0;
}

void maker_done(struct maker *m)
{
    X509_free(m->root);
    X509_free(m->intermediate);
    EVP_PKEY_free(m->root_key);
    EVP_PKEY_free(m->key);
}

bool maker_anchor(const struct maker *m, const char *path, bool with_root, bool with_intermediate)
{
    FILE *f = fopen(path, "w");
    const bool ok = f != NULL && (!with_root || PEM_write_X509(f, m->root) == 1) &&
                    (!with_intermediate || PEM_write_X509(f, m->intermediate) == 1);
    return f != NULL && fclose(f) == 0 && ok;
}

/* --- endorsement keys --- */

static bool put_coordinates(EVP_PKEY *pkey, struct bp_tpm_public *pub, uint8_t room[2][48], size_t half)
{
    BIGNUM *x = NULL, *y = NULL;
    const bool ok = EVP_PKEY_get_bn_param(pkey, "qx", &x) == 1 && EVP_PKEY_get_bn_param(pkey, "qy", &y) == 1 &&
                    BN_bn2binpad(x, room[0], (int)half) == (int)half && BN_bn2binpad(y, room[1], (int)half) == (int)half;
    BN_free(x);
    BN_free(y);
    pub->x = bp_span_of(room[0], half);
    pub->y = bp_span_of(room[1], half);
    return ok;
}

static bool put_modulus(EVP_PKEY *pkey, struct bp_tpm_public *pub, uint8_t room[256])
{
    BIGNUM *n = NULL;
    const bool ok = EVP_PKEY_get_bn_param(pkey, "n", &n) == 1 && BN_bn2binpad(n, room, 256) == 256;
    BN_free(n);
    pub->modulus = bp_span_of(room, 256);
    return ok;
}

static bool ek_public(struct chip_ek *ek)
{
    uint8_t xy[2][48];
    uint8_t modulus[256];
    const bool high = ek->template_id == 3;
    struct bp_tpm_public pub = {.type = ek->template_id == 1 ? BP_TPM_ALG_RSA : BP_TPM_ALG_ECC,
                                .name_alg = high ? BP_TPM_ALG_SHA384 : BP_TPM_ALG_SHA256,
                                .attributes = BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN |
                                              BP_TPMA_ADMIN_WITH_POLICY | BP_TPMA_RESTRICTED | BP_TPMA_DECRYPT |
                                              (high ? BP_TPMA_USER_WITH_AUTH : 0u),
                                .policy = high ? BP_SPAN_OF(policy_b) : BP_SPAN_OF(policy_a),
                                .sym_alg = BP_TPM_ALG_AES,
                                .sym_bits = high ? 256 : 128,
                                .sym_mode = BP_TPM_ALG_CFB,
                                .scheme = BP_TPM_ALG_NULL,
                                .curve = high ? BP_TPM_ECC_P384 : BP_TPM_ECC_P256,
                                .kdf = BP_TPM_ALG_NULL,
                                .rsa_bits = 2048};
    if (ek->template_id == 1 ? !put_modulus(ek->pkey, &pub, modulus) : !put_coordinates(ek->pkey, &pub, xy, high ? 48 : 32)) {
        return false;
    }
    bp_wr wr = bp_wr_over(ek->pub, sizeof ek->pub);
    bp_tpm_public_write(&wr, &pub);
    ek->pub_n = wr.n;
    return !bp_failed(bp_wr_finish(&wr));
}

/* Subject alternative name of the TCG profile: a directory name with manufacturer, model and version, critical because
 * the subject is empty. */
static bool put_tpm_name(X509 *cert)
{
    static const struct {
        const char *oid, *value;
    } parts[] = {{"2.23.133.2.1", "id:42454450"}, {"2.23.133.2.2", "soft"}, {"2.23.133.2.3", "id:00000001"}};
    X509_NAME *dir = X509_NAME_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = dir != NULL && one != NULL && names != NULL;
    for (size_t i = 0; ok && i < 3; i++) {
        ASN1_OBJECT *oid = OBJ_txt2obj(parts[i].oid, 1);
        ok = oid != NULL && X509_NAME_add_entry_by_OBJ(dir, oid, MBSTRING_UTF8, (const unsigned char *)parts[i].value, -1,
                                                       -1, 0) == 1;
        ASN1_OBJECT_free(oid);
    }
    if (ok) {
        one->type = GEN_DIRNAME;
        one->d.directoryName = dir;
        dir = NULL;
        ok = sk_GENERAL_NAME_push(names, one) > 0;
        one = ok ? NULL : one;
        ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 1, X509V3_ADD_DEFAULT) == 1;
    }
    X509_NAME_free(dir);
    GENERAL_NAME_free(one);
    GENERAL_NAMES_free(names);
    return ok;
}

static bool put_unknown(X509 *cert)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.32473.9.9", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    bool ok = oid != NULL && value != NULL && ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2) == 1;
    e = ok ? X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value) : NULL;
    ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return ok;
}

static bool fill_certificate(X509 *x, const struct maker *by, enum chip_flaw flaw)
{
    const char *use = flaw == CHIP_OTHER_USE ? "clientAuth" : "2.23.133.8.1";
    const char *basic = flaw == CHIP_IS_AUTHORITY ? "critical,CA:TRUE" : "critical,CA:FALSE";
    return put_tpm_name(x) && extend(x, by->intermediate, NID_basic_constraints, basic) &&
           extend(x, by->intermediate, NID_key_usage,
                  flaw == CHIP_IS_AUTHORITY || flaw == CHIP_SIGNS ? "critical,keyCertSign" : "critical,keyEncipherment") &&
           (flaw == CHIP_NO_USE || extend(x, by->intermediate, NID_ext_key_usage, use)) &&
           (flaw != CHIP_CRITICAL || put_unknown(x));
}

static bool ek_certificate(struct chip_ek *ek, const struct maker *by, enum chip_flaw flaw, int64_t now_ms)
{
    const time_t now = (time_t)(now_ms / 1000);
    EVP_PKEY *other = flaw == CHIP_OTHER_KEY || flaw == CHIP_SELF_SIGNED ? EVP_EC_gen("P-256") : NULL;
    X509 *x = begin(flaw == CHIP_OTHER_KEY ? other : ek->pkey, NULL, flaw == CHIP_SELF_SIGNED ? NULL : by->intermediate,
                    now - 100 * DAY_S, flaw == CHIP_EXPIRED ? now - DAY_S : now + 1000 * DAY_S);
    unsigned char *p = ek->cert;
    int n = -1;
    if (x != NULL && fill_certificate(x, by, flaw) &&
        X509_sign(x, flaw == CHIP_SELF_SIGNED ? other : by->key, flaw == CHIP_SHA1 ? EVP_sha1() : EVP_sha256()) > 0) {
        n = i2d_X509(x, NULL);
    }
    const bool ok = n > 0 && (size_t)n <= sizeof ek->cert && i2d_X509(x, &p) == n;
    ek->cert_n = ok ? (size_t)n : 0;
    X509_free(x);
    EVP_PKEY_free(other);
    return ok;
}

bool chip_ek_make(struct chip_ek *ek, uint64_t template_id, const struct maker *by, enum chip_flaw flaw, int64_t now_ms)
{
    memset(ek, 0, sizeof *ek);
    ek->template_id = template_id;
    ek->pkey = template_id == 1 ? EVP_RSA_gen(2048) : EVP_EC_gen(template_id == 3 ? "P-384" : "P-256");
    return ek->pkey != NULL && ek_public(ek) && ek_certificate(ek, by, flaw, now_ms);
}

void chip_ek_done(struct chip_ek *ek)
{
    EVP_PKEY_free(ek->pkey);
}

/* --- keys inside --- */

bool chip_key_public(struct chip_key *k, uint32_t attributes)
{
    const bool restricted = (attributes & BP_TPMA_RESTRICTED) != 0;
    const struct bp_tpm_public pub = {.type = BP_TPM_ALG_ECC,
                                      .name_alg = BP_TPM_ALG_SHA256,
                                      .attributes = attributes,
                                      .sym_alg = BP_TPM_ALG_NULL,
                                      .scheme = restricted ? BP_TPM_ALG_ECDSA : BP_TPM_ALG_NULL,
                                      .scheme_hash = restricted ? BP_TPM_ALG_SHA256 : 0,
                                      .curve = BP_TPM_ECC_P256,
                                      .kdf = BP_TPM_ALG_NULL,
                                      .x = k->key.key.a,
                                      .y = k->key.key.b};
    bp_wr wr = bp_wr_over(k->pub, sizeof k->pub);
    bp_tpm_public_write(&wr, &pub);
    k->pub_n = wr.n;
    return !bp_failed(bp_wr_finish(&wr));
}

bool chip_key_make(struct chip_key *k, uint32_t attributes)
{
    return test_key_make(&k->key, BP_SIG_ES256) && chip_key_public(k, attributes);
}

void chip_key_done(struct chip_key *k)
{
    test_key_done(&k->key);
}

size_t chip_sign(struct chip_key *k, bp_span bytes, uint8_t *ret, size_t cap)
{
    uint8_t raw[64];
    size_t n = 0;
    if (bp_failed(k->key.signer.sign(k->key.signer.self, bytes, raw, sizeof raw, &n))) {
        return 0;
    }
    const struct bp_tpm_sig sig = {BP_TPM_ALG_ECDSA, BP_TPM_ALG_SHA256, bp_span_of(raw, 32), bp_span_of(raw + 32, 32)};
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_sig_write(&wr, &sig);
    return bp_failed(bp_wr_finish(&wr)) ? 0 : wr.n;
}

static size_t attest(const struct bp_tpm_attest *a, uint8_t *ret, size_t cap)
{
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_attest_write(&wr, a);
    return bp_failed(bp_wr_finish(&wr)) ? 0 : wr.n;
}

static const uint8_t someone[34] = {0, 0x0b, 1, 2, 3};

size_t chip_quote(bp_span extra, bp_span signer, uint8_t *ret, size_t cap)
{
    const struct bp_tpm_attest a = {.type = BP_TPM_ST_QUOTE,
                                    .qualified_signer = signer,
                                    .extra_data = extra,
                                    .clock_ms = 5000,
                                    .reset_count = 3,
                                    .safe = true,
                                    .pcrs = {1, {{BP_TPM_ALG_SHA256, 0x4fff}}},
                                    .pcr_digest = bp_span_of(policy_a, 32)};
    return attest(&a, ret, cap);
}

size_t chip_certify(bp_span extra, bp_span name, uint8_t *ret, size_t cap)
{
    const struct bp_tpm_attest a = {.type = BP_TPM_ST_CERTIFY,
                                    .qualified_signer = BP_SPAN_OF(someone),
                                    .extra_data = extra,
                                    .clock_ms = 5000,
                                    .reset_count = 3,
                                    .safe = true,
                                    .name = name,
                                    .qualified_name = BP_SPAN_OF(someone)};
    return attest(&a, ret, cap);
}

size_t chip_csr(EVP_PKEY *pkey, uint8_t *ret, size_t cap)
{
    X509_REQ *req = X509_REQ_new();
    unsigned char *p = ret;
    int n = -1;
    if (req != NULL && X509_REQ_set_version(req, 0) == 1 && X509_REQ_set_pubkey(req, pkey) == 1 &&
        name_it(X509_REQ_get_subject_name(req), "asked for") && X509_REQ_sign(req, pkey, EVP_sha256()) > 0) {
        n = i2d_X509_REQ(req, NULL);
    }
    const bool ok = n > 0 && (size_t)n <= cap && i2d_X509_REQ(req, &p) == n;
    X509_REQ_free(req);
    return ok ? (size_t)n : 0;
}
