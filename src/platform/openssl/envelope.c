/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/envelope - CMS AuthEnvelopedData by OpenSSL. */
#include "platform/openssl/envelope.h"

#include "base/secret.h"
#include "platform/openssl/pkey.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#define BP_MODULE CRYPTO

#define ENVELOPE_MAX 8192u
#define SEAL_FLAGS   (CMS_BINARY | CMS_PARTIAL | CMS_USE_KEYID)

static X509 *read_cert(bp_span der)
{
    const uint8_t *p = der.p;
    X509 *cert = der.n > 0 && der.n <= ENVELOPE_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (cert != NULL && p != der.p + der.n) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* Derivation of the wrapping key by SHA-256; the library's own default is SHA-1. */
static bool add_recipient(CMS_ContentInfo *cms, X509 *cert)
{
    CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, cert, CMS_USE_KEYID | CMS_KEY_PARAM);
    EVP_PKEY_CTX *ctx = ri == NULL || CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_AGREE ? NULL
                                                                                        : CMS_RecipientInfo_get0_pkey_ctx(ri);
    return ctx != NULL && EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) == 1;
}

static bp_result take_der(CMS_ContentInfo *cms, uint8_t *ret, size_t cap, size_t *ret_n)
{
    const int n = i2d_CMS_ContentInfo(cms, NULL);
    if (n <= 0) {
        return BP_FAIL(CRYPTO);
    }
    *ret_n = (size_t)n;
    if ((size_t)n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    uint8_t *p = ret;
    return i2d_CMS_ContentInfo(cms, &p) == n ? BP_OK : BP_FAIL(CRYPTO);
}

bp_result bp_envelope_seal(bp_span cert, bp_span plain, uint8_t *ret, size_t cap, size_t *ret_n)
{
    if (plain.n == 0 || plain.n > BP_ENVELOPE_PLAIN_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_result r = BP_FAIL(CRYPTO);
    CMS_ContentInfo *cms = NULL;
    BIO *in = NULL;
    X509 *x = read_cert(cert);
    if (x == NULL) {
        r = BP_FAIL(MALFORMED);
        goto out;
    }
    if (EVP_PKEY_is_a(X509_get0_pubkey(x), "EC") != 1) {
        r = BP_FAIL(UNSUPPORTED);
        goto out;
    }
    in = BIO_new_mem_buf(plain.p, (int)plain.n);
    cms = CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(), SEAL_FLAGS);
    if (in != NULL && cms != NULL && add_recipient(cms, x) && CMS_final(cms, in, NULL, SEAL_FLAGS) == 1) {
        r = take_der(cms, ret, cap, ret_n);
    }
out:
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    X509_free(x);
    ERR_clear_error();
    return r;
}

static bp_result take_plain(BIO *out, uint8_t *ret, size_t cap, size_t *ret_n)
{
    char *text = NULL;
    const long n = BIO_get_mem_data(out, &text);
    if (n <= 0) {
        return BP_FAIL(MALFORMED);
    }
    if ((size_t)n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    memcpy(ret, text, (size_t)n);
    *ret_n = (size_t)n;
    return BP_OK;
}

bp_result bp_envelope_open(const struct bp_key *key, bp_span envelope, uint8_t *ret, size_t cap, size_t *ret_n)
{
    const uint8_t *p = envelope.p;
    bp_result r = BP_FAIL(MALFORMED);
    CMS_ContentInfo *cms =
        envelope.n > 0 && envelope.n <= ENVELOPE_MAX ? d2i_CMS_ContentInfo(NULL, &p, (long)envelope.n) : NULL;
    BIO *out = BIO_new(BIO_s_secmem()); /* wiped when it grows and when it goes */
    if (out == NULL) {
        r = BP_FAIL(NO_MEMORY);
    } else if (cms != NULL && p == envelope.p + envelope.n &&
               OBJ_obj2nid(CMS_get0_type(cms)) == NID_id_smime_ct_authEnvelopedData) {
        /* With the tag: what was changed is refused before a byte of it is used. */
        r = CMS_decrypt(cms, bp_key_pkey(key), NULL, NULL, out, CMS_BINARY) == 1 ? take_plain(out, ret, cap, ret_n)
                                                                                : BP_FAIL(DENIED);
    }
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return r;
}
