/* SPDX-License-Identifier: Apache-2.0 */
/* tests/interop/tpm_engine - an OpenSSL engine "tpmkey", with which curl and openssl use an EC key that a TPM holds. Debian
 * has no such engine, and tpm2-openssl 1.1, a provider, would verify the server's signatures in the TPM too and fail.
 *
 * A key is named by a path P: P.pub (TPM2B_PUBLIC), P.priv (TPM2B_PRIVATE) and P.auth (its auth value, may be empty); its
 * parent is the storage primary of the usual P-256 template. The TPM is that of TPM_ENGINE_TCTI. */
#define OPENSSL_SUPPRESS_DEPRECATED /* engines are; a TLS client of today still takes them */
#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

struct tpm_key {
    TPM2B_PUBLIC pub;
    TPM2B_PRIVATE priv;
    TPM2B_AUTH auth;
};

static EC_KEY_METHOD *method;

static size_t slurp(const char *path, const char *suffix, uint8_t *ret, size_t cap)
{
    char name[512];
    const int n = snprintf(name, sizeof name, "%s.%s", path, suffix);
    FILE *f = n > 0 && (size_t)n < sizeof name ? fopen(name, "rb") : NULL;
    if (f == NULL) {
        return 0;
    }
    const size_t got = fread(ret, 1, cap, f);
    (void)fclose(f);
    return got;
}

static int read_key(const char *path, struct tpm_key *k)
{
    uint8_t p[4096];
    size_t at = 0;
    const size_t pub_n = slurp(path, "pub", p, sizeof p);
    if (pub_n == 0 || Tss2_MU_TPM2B_PUBLIC_Unmarshal(p, pub_n, &at, &k->pub) != TSS2_RC_SUCCESS) {
        return 0;
    }
    at = 0;
    const size_t priv_n = slurp(path, "priv", p, sizeof p);
    if (priv_n == 0 || Tss2_MU_TPM2B_PRIVATE_Unmarshal(p, priv_n, &at, &k->priv) != TSS2_RC_SUCCESS) {
        return 0;
    }
    k->auth.size = (UINT16)slurp(path, "auth", k->auth.buffer, sizeof k->auth.buffer);
    return k->pub.publicArea.type == TPM2_ALG_ECC;
}

/* --- the TPM --- */

static TSS2_RC load(ESYS_CONTEXT *esys, const struct tpm_key *k, ESYS_TR *ret)
{
    static const TPM2B_SENSITIVE_CREATE no_secret;
    static const TPM2B_DATA no_data;
    static const TPML_PCR_SELECTION no_pcrs;
    const TPM2B_PUBLIC srk = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                           TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
                       .parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                                              .keyBits.aes = 128,
                                                              .mode.aes = TPM2_ALG_CFB},
                                                .scheme.scheme = TPM2_ALG_NULL,
                                                .curveID = TPM2_ECC_NIST_P256,
                                                .kdf.scheme = TPM2_ALG_NULL}}};
    ESYS_TR parent = ESYS_TR_NONE;
    TSS2_RC rc = Esys_CreatePrimary(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_secret,
                                    &srk, &no_data, &no_pcrs, &parent, NULL, NULL, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        return rc;
    }
    rc = Esys_Load(esys, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &k->priv, &k->pub, ret);
    (void)Esys_FlushContext(esys, parent);
    return rc == TSS2_RC_SUCCESS ? Esys_TR_SetAuth(esys, *ret, &k->auth) : rc;
}

static TSS2_RC sign_in(ESYS_CONTEXT *esys, const struct tpm_key *k, const TPM2B_DIGEST *digest, ECDSA_SIG **ret)
{
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
    const TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TPMT_SIGNATURE *s = NULL;
    ESYS_TR key = ESYS_TR_NONE;
    TSS2_RC rc = load(esys, k, &key);
    if (rc == TSS2_RC_SUCCESS) {
        rc = Esys_Sign(esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, digest, &scheme, &ticket, &s);
    }
    if (key != ESYS_TR_NONE) {
        (void)Esys_FlushContext(esys, key);
    }
    if (rc == TSS2_RC_SUCCESS) {
        const TPMS_SIGNATURE_ECC *v = &s->signature.ecdsa;
        *ret = ECDSA_SIG_new();
        (void)ECDSA_SIG_set0(*ret, BN_bin2bn(v->signatureR.buffer, v->signatureR.size, NULL),
                             BN_bin2bn(v->signatureS.buffer, v->signatureS.size, NULL));
    }
    free(s);
    return rc;
}

/* The TPM is opened for each signature only: others want it too. */
static ECDSA_SIG *sign_sig(const unsigned char *digest, int n, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    ESYS_CONTEXT *esys = NULL;
    ECDSA_SIG *sig = NULL;
    TPM2B_DIGEST d = {.size = (UINT16)n};
    (void)kinv;
    (void)r;
    if (n != 32 || Tss2_TctiLdr_Initialize(getenv("TPM_ENGINE_TCTI"), &tcti) != TSS2_RC_SUCCESS) {
        return NULL;
    }
    memcpy(d.buffer, digest, 32);
    if (Esys_Initialize(&esys, tcti, NULL) == TSS2_RC_SUCCESS) {
        const TSS2_RC rc = sign_in(esys, EC_KEY_get_ex_data(ec, 0), &d, &sig);
        if (rc != TSS2_RC_SUCCESS) {
            fprintf(stderr, "tpmkey: the TPM does not sign: 0x%x\n", (unsigned)rc);
        }
        Esys_Finalize(&esys);
    }
    Tss2_TctiLdr_Finalize(&tcti);
    return sig;
}

static int sign(int type, const unsigned char *digest, int n, unsigned char *ret, unsigned int *ret_n, const BIGNUM *kinv,
                const BIGNUM *r, EC_KEY *ec)
{
    ECDSA_SIG *sig = sign_sig(digest, n, kinv, r, ec);
    (void)type;
    if (sig == NULL) {
        return 0;
    }
    const int size = i2d_ECDSA_SIG(sig, &ret);
    *ret_n = size > 0 ? (unsigned int)size : 0;
    ECDSA_SIG_free(sig);
    return size > 0;
}

/* --- the engine --- */

static EVP_PKEY *load_key(ENGINE *e, const char *path, UI_METHOD *ui, void *arg)
{
    struct tpm_key *k = calloc(1, sizeof *k); /* lives as long as the program, as the key does */
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *pkey = EVP_PKEY_new();
    (void)e;
    (void)ui;
    (void)arg;
    if (k == NULL || ec == NULL || pkey == NULL || !read_key(path, k)) {
        return NULL;
    }
    const TPMS_ECC_POINT *at = &k->pub.publicArea.unique.ecc;
    BIGNUM *x = BN_bin2bn(at->x.buffer, at->x.size, NULL);
    BIGNUM *y = BN_bin2bn(at->y.buffer, at->y.size, NULL);
    const int ok = EC_KEY_set_public_key_affine_coordinates(ec, x, y) && EC_KEY_set_method(ec, method) &&
                   EC_KEY_set_ex_data(ec, 0, k) && EVP_PKEY_assign_EC_KEY(pkey, ec);
    BN_free(x);
    BN_free(y);
    return ok ? pkey : NULL;
}

static int set_up(ENGINE *e, const char *id)
{
    (void)id;
    method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    if (method == NULL) {
        return 0;
    }
    EC_KEY_METHOD_set_sign(method, sign, NULL, sign_sig);
    return ENGINE_set_id(e, "tpmkey") && ENGINE_set_name(e, "EC keys that a TPM holds") &&
           ENGINE_set_load_privkey_function(e, load_key);
}

IMPLEMENT_DYNAMIC_BIND_FN(set_up)
IMPLEMENT_DYNAMIC_CHECK_FN()
