/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/signer - fresh keys that sign, made by libcrypto. */
#include "unit/signer.h"

#include "codec/x509.h"

#include <openssl/ec.h>
#include <openssl/x509.h>

#define BP_MODULE TEST

static bp_result sign(void *self, bp_span message, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const struct test_key *k = self;
    uint8_t sig[160];
    size_t n = sizeof sig;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = k->signer.alg == BP_SIG_ES256 ? EVP_sha256() : k->signer.alg == BP_SIG_ES384 ? EVP_sha384() : NULL;
    const bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, k->pkey) == 1 &&
                    EVP_DigestSign(ctx, sig, &n, message.p, message.n) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok) {
        return BP_FAIL(CRYPTO);
    }
    if (md == NULL) {
        memcpy(ret, sig, n);
        *ret_len = n;
        return BP_OK;
    }
    const size_t half = k->signer.alg == BP_SIG_ES256 ? 32 : 48;
    if (cap < 2 * half) {
        return BP_FAIL(NO_SPACE);
    }
    *ret_len = 2 * half;
    return bp_der_ecdsa_read(bp_span_of(sig, n), half, ret);
}

bool test_key_make(struct test_key *k, enum bp_sig_alg alg)
{
    memset(k, 0, sizeof *k);
    k->pkey = alg == BP_SIG_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                  : EVP_EC_gen(alg == BP_SIG_ES256 ? "P-256" : "P-384");
    uint8_t *der = NULL;
    const int n = k->pkey == NULL ? -1 : i2d_PUBKEY(k->pkey, &der);
    if (n <= 0 || (size_t)n > sizeof k->spki) {
        return false;
    }
    memcpy(k->spki, der, (size_t)n);
    OPENSSL_free(der);
    k->spki_n = (size_t)n;
    k->signer = (struct bp_signer){k, alg, sign};
    return !bp_failed(bp_spki_read(bp_span_of(k->spki, k->spki_n), &k->key));
}

void test_key_done(struct test_key *k)
{
    EVP_PKEY_free(k->pkey);
    k->pkey = NULL;
}
