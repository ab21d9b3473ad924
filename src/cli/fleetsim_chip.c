/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_chip - an endorsement key of template L-2 in software (TPM 2.0 Part 1, 24 and annex C). */
#include "cli/fleetsim_chip.h"

#include "base/secret.h"
#include "codec/tpm.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define BP_MODULE CLI

#define YEAR_S   (365L * 24 * 3600)
#define FILE_MAX 8192u

/* PolicyA of the TCG EK Credential Profile: PolicySecret(endorsement). */
static const uint8_t policy_a[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                     0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                     0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

/* --- certificates --- */

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    const bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *certify(EVP_PKEY *key, const char *name, EVP_PKEY *by, X509 *issuer, int64_t from_ms)
{
    static long serial = 1;
    const bool is_ca = issuer == NULL;
    const long from_s = (long)(from_ms / 1000);
    X509 *cert = X509_new();
    if (cert == NULL) {
        return NULL;
    }
    X509_NAME *subject = X509_get_subject_name(cert);
    bool ok = X509_set_version(cert, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1 &&
              ASN1_TIME_set(X509_getm_notBefore(cert), from_s) != NULL &&
              ASN1_TIME_set(X509_getm_notAfter(cert), from_s + 10 * YEAR_S) != NULL &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1 &&
              X509_set_issuer_name(cert, issuer == NULL ? subject : X509_get_subject_name(issuer)) == 1 &&
              X509_set_pubkey(cert, key) == 1;
    X509 *const above = issuer == NULL ? cert : issuer;
    ok = ok && extend(cert, above, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
         extend(cert, above, NID_key_usage, is_ca ? "critical,keyCertSign" : "critical,keyAgreement") &&
         (is_ca || extend(cert, above, NID_ext_key_usage, "2.23.133.8.1")) && X509_sign(cert, by, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

bp_result bp_sim_maker_make(struct bp_sim_maker *m, int64_t from_ms)
{
    m->from_ms = from_ms;
    m->key = EVP_EC_gen("P-256");
    m->cert = m->key == NULL ? NULL : certify(m->key, "Simulated chips", m->key, NULL, from_ms);
    return m->cert != NULL ? BP_OK : BP_FAIL(CRYPTO);
}

void bp_sim_maker_done(struct bp_sim_maker *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
    *m = (struct bp_sim_maker){0};
}

static bp_result save(const struct bp_sim_maker *m, const char *path, bool with_key)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    bp_result r = BP_FAIL(NO_MEMORY);
    if (bio != NULL && PEM_write_bio_X509(bio, m->cert) == 1 &&
        (!with_key || PEM_write_bio_PrivateKey(bio, m->key, NULL, NULL, 0, NULL, NULL) == 1)) {
        const long n = BIO_get_mem_data(bio, &text);
        r = bp_file_write(path, with_key ? BP_FILE_SECRET : BP_FILE_PUBLIC, bp_span_of(text, (size_t)n));
    }
    BIO_free(bio);
    return r;
}

bp_result bp_sim_maker_save(const struct bp_sim_maker *m, const char *path)
{
    return save(m, path, false);
}

bp_result bp_sim_maker_keep(const struct bp_sim_maker *m, const char *path)
{
    return save(m, path, true);
}

bp_result bp_sim_maker_load(struct bp_sim_maker *m, const char *path, int64_t from_ms)
{
    uint8_t *text = NULL;
    size_t n = 0;
    BP_TRY(bp_file_read(path, BP_FILE_SECRET, FILE_MAX, &text, &n));
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    m->from_ms = from_ms;
    m->cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    m->key = m->cert == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bp_free_secret(text, n);
    if (m->key == NULL) {
        bp_sim_maker_done(m);
        return BP_FAIL(MALFORMED);
    }
    return BP_OK;
}

/* --- the key --- */

static bool coordinate(EVP_PKEY *key, const char *name, uint8_t ret[32])
{
    BIGNUM *v = NULL;
    const bool ok = EVP_PKEY_get_bn_param(key, name, &v) == 1 && BN_bn2binpad(v, ret, 32) == 32;
    BN_free(v);
    return ok;
}

static size_t put_public(struct bp_sim_chip *c, const uint8_t y[32])
{
    const struct bp_tpm_public pub = {.type = BP_TPM_ALG_ECC,
                                      .name_alg = BP_TPM_ALG_SHA256,
                                      .attributes = BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT |
                                                    BP_TPMA_SENSITIVE_DATA_ORIGIN | BP_TPMA_ADMIN_WITH_POLICY |
                                                    BP_TPMA_RESTRICTED | BP_TPMA_DECRYPT,
                                      .policy = BP_SPAN_OF(policy_a),
                                      .sym_alg = BP_TPM_ALG_AES,
                                      .sym_bits = 128,
                                      .sym_mode = BP_TPM_ALG_CFB,
                                      .scheme = BP_TPM_ALG_NULL,
                                      .curve = BP_TPM_ECC_P256,
                                      .kdf = BP_TPM_ALG_NULL,
                                      .x = BP_SPAN_OF(c->x),
                                      .y = bp_span_of(y, 32)};
    bp_wr w = bp_wr_over(c->public_area, sizeof c->public_area);
    bp_tpm_public_write(&w, &pub);
    return bp_wr_span(&w).n;
}

bp_result bp_sim_chip_make(struct bp_sim_chip *c, const struct bp_sim_maker *m)
{
    uint8_t y[32];
    memset(c, 0, sizeof *c);
    c->key = EVP_EC_gen("P-256");
    if (c->key == NULL || !coordinate(c->key, OSSL_PKEY_PARAM_EC_PUB_X, c->x) ||
        !coordinate(c->key, OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        return BP_FAIL(CRYPTO);
    }
    c->public_n = put_public(c, y);
    X509 *cert = certify(c->key, "Simulated chip", m->key, m->cert, m->from_ms);
    unsigned char *der = NULL;
    const int n = cert == NULL ? -1 : i2d_X509(cert, &der);
    if (n > 0 && (size_t)n <= sizeof c->cert) {
        memcpy(c->cert, der, (size_t)n);
        c->cert_n = (size_t)n;
    }
    OPENSSL_free(der);
    X509_free(cert);
    return c->public_n > 0 && c->cert_n > 0 ? BP_OK : BP_FAIL(CRYPTO);
}

void bp_sim_chip_done(struct bp_sim_chip *c)
{
    EVP_PKEY_free(c->key);
    c->key = NULL;
}

/* --- credential activation --- */

static bool share(const struct bp_sim_chip *c, bp_span x, bp_span y, uint8_t z[32])
{
    size_t n = 32;
    uint8_t spki[BP_SPKI_MAX];
    size_t spki_n = 0;
    const struct bp_pubkey pub = {BP_KEY_P256, x, y};
    if (bp_failed(bp_spki_write(&pub, spki, sizeof spki, &spki_n))) {
        return false;
    }
    const unsigned char *p = spki;
    EVP_PKEY *peer = d2i_PUBKEY(NULL, &p, (long)spki_n);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, c->key, NULL);
    const bool ok = peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
                    EVP_PKEY_derive_set_peer(ctx, peer) == 1 && EVP_PKEY_derive(ctx, z, &n) == 1 && n == 32;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    return ok;
}

static bool kdfa(const uint8_t seed[32], bp_span label, bp_span context, uint32_t bits, uint8_t ret[32])
{
    uint8_t in[128];
    bp_wr w = bp_wr_over(in, sizeof in);
    bp_wr_be32(&w, 1);
    bp_wr_bytes(&w, label);
    bp_wr_bytes(&w, context);
    bp_wr_be32(&w, bits);
    return !bp_failed(bp_wr_finish(&w)) && HMAC(EVP_sha256(), seed, 32, in, w.n, ret, NULL) != NULL;
}

static bool seed_of(const struct bp_sim_chip *c, bp_span encrypted, uint8_t seed[32])
{
    bp_rd rd = bp_rd_over(encrypted);
    (void)bp_rd_be16(&rd);
    const bp_span x = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    const bp_span y = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    uint8_t z[32];
    uint8_t in[160];
    if (bp_failed(bp_rd_finish(&rd)) || x.n != 32 || y.n != 32 || !share(c, x, y, z)) {
        return false;
    }
    bp_wr w = bp_wr_over(in, sizeof in);
    bp_wr_be32(&w, 1);
    bp_wr_bytes(&w, BP_SPAN_OF(z));
    bp_wr_bytes(&w, bp_span_of("IDENTITY", 9));
    bp_wr_bytes(&w, x);
    bp_wr_bytes(&w, BP_SPAN_OF(c->x));
    return EVP_Digest(in, w.n, seed, NULL, EVP_sha256(), NULL) == 1;
}

static bool decrypt(const uint8_t key[16], bp_span in, uint8_t *ret)
{
    static const uint8_t iv[16];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx != NULL && EVP_DecryptInit_ex2(ctx, EVP_aes_128_cfb128(), key, iv, NULL) == 1 &&
                    EVP_DecryptUpdate(ctx, ret, &n, in.p, (int)in.n) == 1 && (size_t)n == in.n;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

size_t bp_sim_chip_activate(const struct bp_sim_chip *c, bp_span name, bp_span id_object, bp_span encrypted,
                            uint8_t ret[32])
{
    uint8_t seed[32], sym[32], mac_key[32], mac[32], plain[64], signed_[128];
    bp_rd rd = bp_rd_over(id_object);
    (void)bp_rd_be16(&rd);
    const bp_span integrity = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    const bp_span body = bp_rd_rest(&rd);
    bp_wr w = bp_wr_over(signed_, sizeof signed_);
    bp_wr_bytes(&w, body);
    bp_wr_bytes(&w, name);
    if (bp_failed(bp_rd_finish(&rd)) || body.n < 2 || body.n > sizeof plain || bp_failed(bp_wr_finish(&w)) ||
        !seed_of(c, encrypted, seed) || !kdfa(seed, bp_span_of("STORAGE", 8), name, 128, sym) ||
        !kdfa(seed, bp_span_of("INTEGRITY", 10), BP_SPAN_EMPTY, 256, mac_key) ||
        HMAC(EVP_sha256(), mac_key, 32, signed_, w.n, mac, NULL) == NULL ||
        !bp_ct_equal(BP_SPAN_OF(mac), integrity) || !decrypt(sym, body, plain)) {
        return 0;
    }
    const size_t n = (size_t)plain[0] << 8 | plain[1];
    if (n > 32 || n + 2 != body.n) {
        return 0;
    }
    memcpy(ret, plain + 2, n);
    return n;
}
