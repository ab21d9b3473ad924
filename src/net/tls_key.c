/* SPDX-License-Identifier: Apache-2.0 */
/* net/tls_key - see tls_key.h.
 *
 * OpenSSL 3 offers two ways to put a signature elsewhere: a provider (a thousand lines, a key manager of its own, and
 * in 3.0 gaps in what libssl asks of it), or EC_KEY_METHOD, deprecated since 3.0 and present in every 3.x. We take the
 * second and keep its deprecation inside this file. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/tls_key.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#define BP_MODULE TLS

/* One method and one index for the process: OpenSSL compares methods by address and never frees an index. */
static EC_KEY_METHOD *method;
static int key_index = -1;

static ECDSA_SIG *sign_sig(const unsigned char *dgst, int dgst_len, const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *ec)
{
    struct bp_tls_key *key = EC_KEY_get_ex_data(ec, key_index);
    uint8_t raw[64];
    (void)kinv;
    (void)rp;
    if (key == NULL || dgst_len != 32 || bp_failed(key->sign(key->self, dgst, raw))) {
        return NULL;
    }
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL);
    BIGNUM *s = BN_bin2bn(raw + 32, 32, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        ECDSA_SIG_free(sig);
        BN_free(r);
        BN_free(s);
        return NULL;
    }
    return sig;
}

static int sign_der(int type, const unsigned char *dgst, int dgst_len, unsigned char *sig, unsigned int *sig_len,
                    const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *ec)
{
    ECDSA_SIG *s = sign_sig(dgst, dgst_len, kinv, rp, ec);
    (void)type;
    /* sig has room for ECDSA_size(ec) bytes, the longest encoding of two numbers below the group's order. */
    const int n = s != NULL ? i2d_ECDSA_SIG(s, NULL) : 0;
    const int ok = n > 0 && n <= ECDSA_size(ec) && i2d_ECDSA_SIG(s, &sig) == n;
    ECDSA_SIG_free(s);
    if (ok) {
        *sig_len = (unsigned int)n;
    }
    return ok;
}

static bool is_ready(void)
{
    if (method == NULL) {
        method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
        if (method != NULL) {
            EC_KEY_METHOD_set_sign(method, sign_der, NULL, sign_sig);
        }
    }
    if (key_index < 0) {
        key_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    return method != NULL && key_index >= 0;
}

bp_result bp_tls_key_make(X509 *cert, struct bp_tls_key *key, EVP_PKEY **ret)
{
    EVP_PKEY *public_half = X509_get0_pubkey(cert);
    uint8_t point[65];
    size_t point_n = 0;
    char group[32] = "";
    EC_KEY *ec = NULL;
    EVP_PKEY *pkey = NULL;
    bp_result r = BP_FAIL(UNSUPPORTED);
    if (public_half == NULL || EVP_PKEY_get_group_name(public_half, group, sizeof group, NULL) != 1 ||
        OBJ_sn2nid(group) != NID_X9_62_prime256v1 ||
        EVP_PKEY_get_octet_string_param(public_half, "pub", point, sizeof point, &point_n) != 1) {
        goto out;
    }
    r = BP_FAIL(CRYPTO);
    if (!is_ready()) {
        goto out;
    }
    ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    pkey = EVP_PKEY_new();
    if (ec == NULL || pkey == NULL || EC_KEY_oct2key(ec, point, point_n, NULL) != 1 ||
        EC_KEY_set_method(ec, method) != 1 || EC_KEY_set_ex_data(ec, key_index, key) != 1 ||
        EVP_PKEY_assign_EC_KEY(pkey, ec) != 1) {
        goto out;
    }
    ec = NULL;
    *ret = pkey;
    pkey = NULL;
    r = BP_OK;
out:
    EC_KEY_free(ec);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return r;
}
