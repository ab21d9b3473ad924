/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/key - private keys on OpenSSL 3. */
#include "platform/openssl/key.h"

#include "base/secret.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/pkey.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#define BP_MODULE CRYPTO

#define PEM_MAX  8192u
#define SPKI_MAX 160u
/* 16 MiB five times over: OpenSSL's own reader refuses more memory, and the file must open with its tools. */
#define SCRYPT_N 16384u
#define SCRYPT_R 8u
#define SCRYPT_P 5u

struct bp_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *ctx; /* ready to sign; with a seat, to verify */
    struct bp_key_seat seat; /* sign is NULL: the private half is here */
    EVP_MD *md;
    enum bp_key_type type;
    size_t half;
    uint8_t xy[2 * 48];
    uint8_t spki[SPKI_MAX];
    size_t spki_n;
};

static bool read_coordinate(EVP_PKEY *pkey, const char *name, size_t half, uint8_t *ret)
{
    BIGNUM *v = NULL;
    const bool ok = EVP_PKEY_get_bn_param(pkey, name, &v) == 1 && BN_bn2binpad(v, ret, (int)half) == (int)half;
    BN_free(v);
    return ok;
}

static enum bp_key_type type_of(EVP_PKEY *pkey)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "EC") != 1 ||
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1) {
        return BP_KEY_NONE;
    }
    return strcmp(group, SN_X9_62_prime256v1) == 0 ? BP_KEY_P256 : strcmp(group, SN_secp384r1) == 0 ? BP_KEY_P384
                                                                                                    : BP_KEY_NONE;
}

static bool fill(struct bp_key *key)
{
    uint8_t *p = key->spki;
    const int n = i2d_PUBKEY(key->pkey, NULL);
    if (n <= 0 || (size_t)n > sizeof key->spki || i2d_PUBKEY(key->pkey, &p) != n) {
        return false;
    }
    key->spki_n = (size_t)n;
    key->md = EVP_MD_fetch(NULL, key->type == BP_KEY_P256 ? "SHA256" : "SHA384", NULL);
    key->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    return key->md != NULL && key->ctx != NULL &&
           (key->seat.sign != NULL ? EVP_PKEY_verify_init(key->ctx) : EVP_PKEY_sign_init(key->ctx)) == 1 &&
           read_coordinate(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, key->half, key->xy) &&
           read_coordinate(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, key->half, key->xy + key->half);
}

static const struct bp_key_seat here;

/* Takes pkey over, also on failure; the seat only on success. */
static bp_result adopt(EVP_PKEY *pkey, const struct bp_key_seat *seat, struct bp_key **ret)
{
    const enum bp_key_type type = type_of(pkey);
    struct bp_key *key = type == BP_KEY_NONE ? NULL : (struct bp_key *)bp_alloc(sizeof *key);
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return type == BP_KEY_NONE ? BP_FAIL(UNSUPPORTED) : BP_FAIL(NO_MEMORY);
    }
    key->pkey = pkey;
    key->type = type;
    key->half = bp_pkey_half(type);
    key->seat = *seat;
    if (!fill(key)) {
        key->seat = here; /* still the caller's */
        bp_key_free(key);
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    *ret = key;
    return BP_OK;
}

bp_result bp_key_make(enum bp_key_type type, struct bp_key **ret)
{
    const char *group = bp_pkey_group(type);
    if (group == NULL) {
        return BP_FAIL(UNSUPPORTED);
    }
    EVP_PKEY *pkey = EVP_EC_gen(group);
    if (pkey == NULL) {
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    return adopt(pkey, &here, ret);
}

bp_result bp_key_elsewhere(bp_span spki, const struct bp_key_seat *seat, struct bp_key **ret)
{
    const uint8_t *p = spki.p;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki.n);
    if (pkey == NULL || p != spki.p + spki.n) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return BP_FAIL(UNSUPPORTED);
    }
    return adopt(pkey, seat, ret);
}

void bp_key_free(struct bp_key *key)
{
    if (key != NULL) {
        if (key->seat.free != NULL) {
            key->seat.free(key->seat.self);
        }
        EVP_PKEY_CTX_free(key->ctx);
        EVP_PKEY_free(key->pkey);
        EVP_MD_free(key->md);
        bp_free(key);
    }
}

EVP_PKEY *bp_key_pkey(const struct bp_key *key)
{
    return key->pkey;
}

struct bp_pubkey bp_key_public(const struct bp_key *key)
{
    return (struct bp_pubkey){key->type, bp_span_of(key->xy, key->half), bp_span_of(key->xy + key->half, key->half)};
}

bp_span bp_key_spki(const struct bp_key *key)
{
    return bp_span_of(key->spki, key->spki_n);
}

/* A token that was exchanged, or that fails, must not put a certificate into the world that nobody can verify. */
static bp_result sign_elsewhere(struct bp_key *key, bp_span digest, uint8_t *ret)
{
    uint8_t der[BP_ECDSA_DER_MAX];
    uint8_t raw[2 * 48];
    BP_TRY(key->seat.sign(key->seat.self, digest, raw));
    const size_t n = bp_ecdsa_to_der(bp_span_of(raw, 2 * key->half), der);
    if (EVP_PKEY_verify(key->ctx, der, n, digest.p, digest.n) != 1) {
        ERR_clear_error();
        return BP_FAIL(MISMATCH);
    }
    memcpy(ret, raw, 2 * key->half);
    return BP_OK;
}

bp_result bp_key_sign_digest(struct bp_key *key, bp_span digest, uint8_t *ret)
{
    if (digest.n != key->half) { /* SHA-256 with P-256, SHA-384 with P-384 */
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (key->seat.sign != NULL) {
        return sign_elsewhere(key, digest, ret);
    }
    uint8_t der[BP_ECDSA_DER_MAX + 8];
    size_t n = sizeof der;
    if (EVP_PKEY_sign(key->ctx, der, &n, digest.p, digest.n) != 1) {
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    return bp_ecdsa_from_der(bp_span_of(der, n), key->half, ret);
}

static bp_result sign(void *self, bp_span message, uint8_t *ret, size_t cap, size_t *ret_len)
{
    struct bp_key *key = (struct bp_key *)self;
    if (cap < 2 * key->half) {
        return BP_FAIL(NO_SPACE);
    }
    uint8_t digest[BP_HASH_MAX];
    if (EVP_Digest(message.p, message.n, digest, NULL, key->md, NULL) != 1) {
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    BP_TRY(bp_key_sign_digest(key, bp_span_of(digest, key->half), ret));
    *ret_len = 2 * key->half;
    return BP_OK;
}

struct bp_signer bp_key_signer(struct bp_key *key)
{
    return (struct bp_signer){key, key->type == BP_KEY_P256 ? BP_SIG_ES256 : BP_SIG_ES384, sign};
}

static bool write_encrypted(BIO *bio, PKCS8_PRIV_KEY_INFO *info, bp_span passphrase)
{
    bool ok = false;
    X509_ALGOR *pbe = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *sealed =
        pbe == NULL ? NULL : PKCS8_set0_pbe((const char *)passphrase.p, (int)passphrase.n, info, pbe);
    if (sealed == NULL) {
        X509_ALGOR_free(pbe);
    } else {
        ok = PEM_write_bio_PKCS8(bio, sealed) == 1; /* owns pbe by now */
    }
    X509_SIG_free(sealed);
    return ok;
}

bp_result bp_key_save(const struct bp_key *key, const char *path, bp_span passphrase)
{
    if (passphrase.n > 1024) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (key->seat.sign != NULL) {
        return BP_FAIL(UNSUPPORTED);
    }
    bp_result r = BP_FAIL(CRYPTO);
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it grows and when it goes */
    if (info == NULL || bio == NULL) {
        goto out;
    }
    if (passphrase.n == 0 ? PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1
                          : write_encrypted(bio, info, passphrase)) {
        char *text = NULL;
        const long n = BIO_get_mem_data(bio, &text);
        r = n <= 0 ? BP_FAIL(CRYPTO) : bp_file_write(path, BP_FILE_SECRET, bp_span_of(text, (size_t)n));
    }
out:
    BIO_free(bio);
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return r;
}

static int give_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)rwflag;
    const bp_span *pass = (const bp_span *)arg;
    if (pass->n == 0 || size < 0 || pass->n > (size_t)size) {
        return -1;
    }
    memcpy(buf, pass->p, pass->n);
    return (int)pass->n;
}

bp_result bp_key_load(const char *path, bp_span passphrase, struct bp_key **ret)
{
    uint8_t *text = NULL;
    size_t n = 0;
    BP_TRY(bp_file_read(path, BP_FILE_SECRET, PEM_MAX, &text, &n));
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    EVP_PKEY *pkey = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &passphrase);
    BIO_free(bio);
    bp_free_secret(text, n);
    if (pkey == NULL) {
        ERR_clear_error();
        return BP_FAIL(MALFORMED);
    }
    return adopt(pkey, &here, ret);
}
