/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/anchors - endorsement certificates against accepted issuers, by fleet/authority/path. */
#include "fleet/signer/anchors.h"

#include "fleet/authority/path.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define BP_MODULE SIGNER

#define EK_USE "2.23.133.8.1" /* tcg-kp-EKCertificate */

struct bp_anchors {
    size_t count;
    struct {
        X509 *cert;
        uint8_t *der;
        size_t der_n;
        enum bp_ek_class kind;
    } one[BP_ANCHORS_MAX];
};

const char *bp_ek_class_name(enum bp_ek_class c)
{
    static const char *const name[] = {"software", "unknown", "virtual", "firmware", "discrete"};
    return name[c <= BP_EK_DISCRETE ? c : BP_EK_UNKNOWN];
}

static enum bp_ek_class class_of(const char *file)
{
    for (enum bp_ek_class c = BP_EK_SOFTWARE; c <= BP_EK_DISCRETE; c = (enum bp_ek_class)(c + 1)) {
        const char *name = bp_ek_class_name(c);
        const size_t n = strlen(name);
        if (strncmp(file, name, n) == 0 && file[n] == '-') {
            return c;
        }
    }
    return BP_EK_UNKNOWN;
}

/* Takes cert over. The same certificate in two files keeps its weaker class. */
static bp_result add(struct bp_anchors *a, X509 *cert, enum bp_ek_class kind)
{
    for (size_t i = 0; i < a->count; i++) {
        if (X509_cmp(a->one[i].cert, cert) == 0) {
            a->one[i].kind = kind < a->one[i].kind ? kind : a->one[i].kind;
            X509_free(cert);
            return BP_OK;
        }
    }
    uint8_t *der = NULL;
    const int der_n = a->count == BP_ANCHORS_MAX ? 0 : i2d_X509(cert, &der);
    if (der_n <= 0) {
        X509_free(cert);
        return a->count == BP_ANCHORS_MAX ? BP_FAIL(LIMIT) : BP_FAIL(NO_MEMORY);
    }
    a->one[a->count].cert = cert;
    a->one[a->count].der = der;
    a->one[a->count].der_n = (size_t)der_n;
    a->one[a->count].kind = kind;
    a->count++;
    return BP_OK;
}

static bp_result add_all(struct bp_anchors *a, BIO *bio, enum bp_ek_class kind)
{
    size_t found = 0;
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (cert == NULL) {
            const bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            ERR_clear_error();
            return end && found > 0 ? BP_OK : BP_FAIL(MALFORMED);
        }
        found++;
        BP_TRY(add(a, cert, kind));
    }
}

static bp_result load_file(struct bp_anchors *a, const char *dir, const char *file)
{
    char path[1280];
    uint8_t *text = NULL;
    size_t n = 0;
    const int len = snprintf(path, sizeof path, "%s/%s", dir, file);
    if (len < 0 || (size_t)len >= sizeof path) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_file_read(path, BP_FILE_PUBLIC, BP_ANCHORS_FILE_MAX, &text, &n));
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    const bp_result r = bio == NULL ? BP_FAIL(NO_MEMORY) : add_all(a, bio, class_of(file));
    BIO_free(bio);
    bp_free(text);
    return r;
}

static bp_result load_all(struct bp_anchors *a, const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
    }
    bp_result r = BP_OK;
    for (const struct dirent *e = readdir(d); e != NULL && !bp_failed(r); e = readdir(d)) {
        const size_t n = strlen(e->d_name);
        if (n > 4 && e->d_name[0] != '.' && strcmp(e->d_name + n - 4, ".pem") == 0) {
            r = load_file(a, dir, e->d_name);
        }
    }
    (void)closedir(d);
    return r;
}

bp_result bp_anchors_load(const char *dir, struct bp_anchors **ret)
{
    struct bp_anchors *a = bp_alloc(sizeof *a);
    if (a == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = load_all(a, dir);
    if (bp_failed(r)) {
        bp_anchors_free(a);
        return r;
    }
    *ret = a;
    return BP_OK;
}

void bp_anchors_free(struct bp_anchors *a)
{
    if (a != NULL) {
        for (size_t i = 0; i < a->count; i++) {
            X509_free(a->one[i].cert);
            OPENSSL_free(a->one[i].der);
        }
        bp_free(a);
    }
}

size_t bp_anchors_count(const struct bp_anchors *a)
{
    return a->count;
}

/* Not an authority; and where uses are listed, the one of an endorsement key is among them (some makers list none). */
static bool is_for_ek(X509 *cert)
{
    if (X509_check_ca(cert) != 0) {
        return false;
    }
    int critical = -1;
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(cert, NID_ext_key_usage, &critical, NULL);
    if (uses == NULL) {
        return critical == -1; /* absent, not unreadable or twice */
    }
    bool found = false;
    for (int i = 0; i < sk_ASN1_OBJECT_num(uses); i++) {
        char oid[64] = "";
        (void)OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(uses, i), 1);
        found = found || strcmp(oid, EK_USE) == 0;
    }
    EXTENDED_KEY_USAGE_free(uses);
    return found;
}

static bp_result spki_of(X509 *cert, uint8_t *ret, size_t *ret_n)
{
    uint8_t *der = NULL;
    struct bp_pubkey key;
    const int n = i2d_PUBKEY(X509_get0_pubkey(cert), &der);
    if (n <= 0) {
        return BP_FAIL(MALFORMED);
    }
    bp_result r = bp_spki_read(bp_span_of(der, (size_t)n), &key);
    if (!bp_failed(r)) {
        r = bp_spki_write(&key, ret, BP_SPKI_MAX, ret_n);
    }
    OPENSSL_free(der);
    return bp_failed(r) ? BP_FAIL(MALFORMED) : BP_OK;
}

/* Makers of chips have broken most rules of form (key identifiers left out, times in another form, names that are none), and
 * their certificates cannot be called back. What stays is what an endorsement key of good faith has no reason to break. The
 * key is not among it: spki_of reads it, in any spelling that OpenSSL takes. */
static const struct bp_strict_policy ek_policy = {
    .waived = ~(BP_STRICT_BIT(VERSION) | BP_STRICT_BIT(ALGORITHM) | BP_STRICT_BIT(EXT_TWICE) | BP_STRICT_BIT(EXT_UNKNOWN) |
                BP_STRICT_BIT(AKI_OTHER) | BP_STRICT_BIT(CERT_SIGN_LEAF) | BP_STRICT_BIT(PATH_LEN) |
                BP_STRICT_BIT(LEAF_CA) | BP_STRICT_BIT(NC) | BP_STRICT_BIT(NC_MANY)),
};

static bp_result verify_by(bp_span anchor, bp_span cert, int64_t now_ms)
{
    struct bp_path_answer answer;
    const struct bp_path_ask ask = {.leaf = cert, .anchors = &anchor, .anchor_n = 1, .now_s = now_ms / 1000};
    const bp_result r = bp_path_check(&ask, &ek_policy, &answer);
    return bp_is(r, BP_E_DENIED) ? BP_FAIL(BAD_SIGNATURE) : r;
}

static bp_result verify(struct bp_anchors *a, X509 *cert, bp_span der, int64_t now_ms, enum bp_ek_class *ret)
{
    bp_result last = BP_FAIL(BAD_SIGNATURE);
    for (size_t i = 0; i < a->count; i++) {
        if (X509_NAME_cmp(X509_get_subject_name(a->one[i].cert), X509_get_issuer_name(cert)) != 0) {
            continue;
        }
        const bp_result r = verify_by(bp_span_of(a->one[i].der, a->one[i].der_n), der, now_ms);
        if (!bp_failed(r)) {
            *ret = a->one[i].kind;
        }
        if (bp_is(r, BP_E_UNSUPPORTED)) {
            last = r; /* unless another of that name vouches for it */
        } else if (!bp_is(r, BP_E_BAD_SIGNATURE)) {
            return r;
        }
    }
    return last;
}

bp_result bp_anchors_check(struct bp_anchors *a, bp_span der, int64_t now_ms, enum bp_ek_class *ret_class,
                           uint8_t *ret_spki, size_t *ret_spki_n)
{
    const unsigned char *p = der.p;
    if (der.n == 0 || der.n > 65536) {
        return BP_FAIL(MALFORMED);
    }
    X509 *cert = d2i_X509(NULL, &p, (long)der.n);
    bp_result r = cert == NULL ? BP_FAIL(MALFORMED) : spki_of(cert, ret_spki, ret_spki_n);
    if (!bp_failed(r) && !is_for_ek(cert)) {
        r = BP_FAIL(DENIED);
    }
    if (!bp_failed(r)) {
        r = verify(a, cert, der, now_ms, ret_class);
    }
    X509_free(cert);
    ERR_clear_error();
    return r;
}
