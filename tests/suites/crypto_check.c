/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/crypto_check - asks our crypto port, one question a line on standard input, fields in hex ("-" for nothing):
 *     verify ES256|ES384|EDDSA|RS256|PS256 der|raw SPKI MESSAGE SIGNATURE
 *     ecdh SPKI PRIVATE          prints the shared x coordinate
 *     hkdf IKM SALT INFO SIZE    SIZE decimal; prints the key
 * Each prints one line, "OK [HEX]" or the name of an error. Exit 2 on a line that is no question. The backend is OpenSSL. */
#include "codec/x509.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/pkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#define BP_MODULE TEST
#define WORDS     6
#define ROOM      (1u << 20)

static struct bp_crypto *crypto;

static bp_span from_hex(const char *text, uint8_t *room)
{
    size_t n = 0;
    for (; text[0] != '\0' && text[0] != '-' && text[1] != '\0' && n < ROOM; text += 2, n++) {
        const char pair[3] = {text[0], text[1], '\0'};
        room[n] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bp_span_of(room, n);
}

static void say(bp_result r, bp_span out)
{
    printf("%s", bp_error_name(bp_error_of(r)));
    for (size_t i = 0; !bp_failed(r) && i < out.n; i++) {
        printf("%s%02x", i == 0 ? " " : "", (unsigned)out.p[i]);
    }
    printf("\n");
}

static enum bp_sig_alg alg_of(const char *name)
{
    static const struct {
        const char *name;
        enum bp_sig_alg alg;
    } known[] = {{"ES256", BP_SIG_ES256}, {"ES384", BP_SIG_ES384}, {"EDDSA", BP_SIG_EDDSA},
                 {"RS256", BP_SIG_RS256}, {"PS256", BP_SIG_PS256}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].alg;
        }
    }
    return BP_SIG_NONE;
}

static bp_result verify(char **word)
{
    static uint8_t room[3][ROOM];
    struct bp_pubkey key;
    const enum bp_sig_alg alg = alg_of(word[1]);
    const bp_span message = from_hex(word[4], room[1]);
    const bp_span sig = from_hex(word[5], room[2]);
    BP_TRY(bp_spki_read(from_hex(word[3], room[0]), &key));
    if (strcmp(word[2], "der") == 0) {
        return bp_x509_verify(crypto, &key, alg, message, sig);
    }
    return bp_verify(crypto, &key, alg, message, sig);
}

/* A private key of that group from its number. */
static EVP_PKEY *private_key(enum bp_key_type type, bp_span number)
{
    EVP_PKEY *key = NULL;
    BIGNUM *v = BN_bin2bn(number.p, (int)number.n, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    if (v != NULL && bld != NULL && ctx != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, bp_pkey_group(type), 0) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, v) == 1) {
        params = OSSL_PARAM_BLD_to_param(bld);
    }
    if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_BLD_free(bld);
    BN_free(v);
    return key;
}

static bp_result ecdh(char **word, uint8_t *ret, size_t *ret_n)
{
    static uint8_t room[2][ROOM];
    struct bp_pubkey peer_key;
    EVP_PKEY *peer = NULL;
    BP_TRY(bp_spki_read(from_hex(word[1], room[0]), &peer_key));
    const size_t half = bp_pkey_half(peer_key.type);
    if (half == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    BP_TRY(bp_pkey_from_public(&peer_key, &peer));
    EVP_PKEY *own = private_key(peer_key.type, from_hex(word[2], room[1]));
    const bp_result r = own != NULL && bp_pkey_ecdh(own, peer, half, ret) ? BP_OK : BP_FAIL(CRYPTO);
    *ret_n = half;
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    return r;
}

static bp_result hkdf(char **word, uint8_t *ret, size_t *ret_n)
{
    static uint8_t room[3][ROOM];
    *ret_n = strtoul(word[4], NULL, 10);
    if (*ret_n > ROOM) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    return bp_hkdf_sha256(crypto, from_hex(word[1], room[0]), from_hex(word[2], room[1]), from_hex(word[3], room[2]), ret,
                          *ret_n);
}

static bool answer(char **word, size_t n)
{
    static uint8_t out[ROOM];
    size_t out_n = 0;
    bp_result r;
    if (n == 6 && strcmp(word[0], "verify") == 0) {
        r = verify(word);
    } else if (n == 3 && strcmp(word[0], "ecdh") == 0) {
        r = ecdh(word, out, &out_n);
    } else if (n == 5 && strcmp(word[0], "hkdf") == 0) {
        r = hkdf(word, out, &out_n);
    } else {
        return false;
    }
    ERR_clear_error();
    say(r, bp_span_of(out, out_n));
    return true;
}

int main(void)
{
    static char line[4 * ROOM];
    if (bp_failed(bp_crypto_openssl_new(64, &crypto))) {
        return 3;
    }
    int rc = 0;
    while (rc == 0 && fgets(line, sizeof line, stdin) != NULL) {
        char *word[WORDS + 1];
        char *rest = NULL;
        size_t n = 0;
        for (char *w = strtok_r(line, " \n", &rest); w != NULL && n <= WORDS; w = strtok_r(NULL, " \n", &rest)) {
            word[n++] = w;
        }
        rc = answer(word, n) ? 0 : 2;
    }
    bp_crypto_openssl_free(crypto);
    return rc;
}
