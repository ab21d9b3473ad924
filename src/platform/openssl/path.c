/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/path - the search for a path, one anchor at a time. */
#include "platform/openssl/path.h"

#include "platform/alloc.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define BP_MODULE CRYPTO

#define STRENGTH 2 /* OpenSSL's level of 112 bits */

/* What one call holds. Spans are the caller's bytes, trimmed to what was read. */
struct search {
    const struct bp_path_ask *ask;
    X509 *leaf;
    bp_span leaf_der;
    X509 *anchor[BP_PATH_INPUTS_MAX];
    X509 *other[BP_PATH_INPUTS_MAX]; /* NULL: not a certificate, or left out */
    bool is_out[BP_PATH_INPUTS_MAX];
    STACK_OF(X509_CRL) *crls;
    bp_path_judge *judge;
    void *self;
    bp_result refusal; /* the judge's last no */
    int error;         /* OpenSSL's, that ret->why tells */
    const char *young; /* an algorithm that OpenSSL is too old for, on the first path that fell with one */
    struct bp_path_found *ret;
};

static bp_result read_cert(bp_span der, bool is_padded, X509 **ret, bp_span *ret_der)
{
    const unsigned char *p = der.p;
    if (der.n > BP_PATH_BYTES_MAX) {
        return BP_FAIL(LIMIT);
    }
    X509 *cert = der.n == 0 ? NULL : d2i_X509(NULL, &p, (long)der.n);
    if (cert == NULL || (!is_padded && p != der.p + der.n)) {
        X509_free(cert);
        return BP_FAIL(MALFORMED);
    }
    *ret = cert;
    *ret_der = bp_span_sub(der, 0, (size_t)(p - der.p));
    return BP_OK;
}

static bp_result read_crls(struct search *s)
{
    s->crls = sk_X509_CRL_new_null();
    if (s->crls == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    for (size_t i = 0; i < s->ask->crl_n; i++) {
        const bp_span der = s->ask->crls[i];
        const unsigned char *p = der.p;
        if (der.n > BP_PATH_BYTES_MAX) {
            return BP_FAIL(LIMIT);
        }
        X509_CRL *crl = der.n == 0 ? NULL : d2i_X509_CRL(NULL, &p, (long)der.n);
        if (crl == NULL || p != der.p + der.n) {
            X509_CRL_free(crl);
            return BP_FAIL(MALFORMED);
        }
        if (sk_X509_CRL_push(s->crls, crl) <= 0) {
            X509_CRL_free(crl);
            return BP_FAIL(NO_MEMORY);
        }
    }
    return BP_OK;
}

static bp_result read_all(struct search *s)
{
    bp_span whole;
    const struct bp_path_ask *ask = s->ask;
    if (ask->anchor_n > BP_PATH_INPUTS_MAX || ask->other_n > BP_PATH_INPUTS_MAX || ask->crl_n > BP_PATH_INPUTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(read_cert(ask->leaf, true, &s->leaf, &s->leaf_der));
    for (size_t i = 0; i < ask->anchor_n; i++) {
        BP_TRY(read_cert(ask->anchors[i], false, &s->anchor[i], &whole));
    }
    for (size_t i = 0; i < ask->other_n; i++) {
        BP_IGNORE(read_cert(ask->others[i], false, &s->other[i], &whole), "a stranger's extra certificate is no help");
    }
    return read_crls(s);
}

static void drop_all(struct search *s)
{
    X509_free(s->leaf);
    for (size_t i = 0; i < BP_PATH_INPUTS_MAX; i++) {
        X509_free(s->anchor[i]);
        X509_free(s->other[i]);
    }
    sk_X509_CRL_pop_free(s->crls, X509_CRL_free);
}

/* OpenSSL 3.0 counts the last second of a validity as past; RFC 5280 section 4.1.2.5 includes it. */
static int at_the_last_second(int ok, X509_STORE_CTX *ctx)
{
    const int error = X509_STORE_CTX_get_error(ctx);
    const time_t now = X509_VERIFY_PARAM_get_time(X509_STORE_CTX_get0_param(ctx));
    const ASN1_TIME *end = NULL;
    if (ok == 1) {
        return 1;
    }
    if (error == X509_V_ERR_CERT_HAS_EXPIRED) {
        end = X509_get0_notAfter(X509_STORE_CTX_get_current_cert(ctx));
    } else if (error == X509_V_ERR_CRL_HAS_EXPIRED) {
        end = X509_CRL_get0_nextUpdate(X509_STORE_CTX_get0_current_crl(ctx));
    }
    if (end == NULL || ASN1_TIME_cmp_time_t(end, now) != 0) {
        return 0;
    }
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static bool set_name(X509_VERIFY_PARAM *param, const struct bp_path_ask *ask)
{
    const char *text = (const char *)ask->name.p;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    switch (ask->name_kind) {
    case BP_PATH_DNS:
        return ask->name.n > 0 && X509_VERIFY_PARAM_set1_host(param, text, ask->name.n) == 1;
    case BP_PATH_IP:
        return X509_VERIFY_PARAM_set1_ip(param, ask->name.p, ask->name.n) == 1;
    case BP_PATH_MAIL:
        return ask->name.n > 0 && X509_VERIFY_PARAM_set1_email(param, text, ask->name.n) == 1;
    case BP_PATH_NO_NAME:
    default:
        return true;
    }
}

/* No list is told as anyPolicy: an empty one would fit nothing where a certificate asks for a policy. */
static bool set_policies(X509_VERIFY_PARAM *param, const struct bp_path_ask *ask)
{
    static const char *const any[] = {"2.5.29.32.0"};
    const char *const *policies = ask->policy_n == 0 ? any : ask->policies;
    const size_t n = ask->policy_n == 0 ? 1 : ask->policy_n;
    for (size_t i = 0; i < n; i++) {
        ASN1_OBJECT *oid = OBJ_txt2obj(policies[i], 1);
        if (oid == NULL || X509_VERIFY_PARAM_add0_policy(param, oid) != 1) {
            ASN1_OBJECT_free(oid);
            return false;
        }
    }
    return true;
}

static unsigned long flags_of(const struct bp_path_ask *ask)
{
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_POLICY_CHECK;
    flags |= ask->is_revocation_asked ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_USE_DELTAS |
                                            X509_V_FLAG_EXTENDED_CRL_SUPPORT
                                      : 0;
    flags |= ask->now_s == BP_PATH_NO_TIME ? X509_V_FLAG_NO_CHECK_TIME : 0;
    flags |= ask->is_policy_required ? X509_V_FLAG_EXPLICIT_POLICY : 0;
    flags |= ask->is_mapping_inhibited ? X509_V_FLAG_INHIBIT_MAP : 0;
    return flags | (ask->is_any_policy_inhibited ? X509_V_FLAG_INHIBIT_ANY : 0);
}

static bp_result set_param(X509_STORE_CTX *ctx, const struct bp_path_ask *ask)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_depth(param, (int)BP_PATH_CERTS_MAX - 2);
    X509_VERIFY_PARAM_set_auth_level(param, ask->is_any_strength ? 0 : STRENGTH);
    if (ask->now_s != BP_PATH_NO_TIME) {
        X509_VERIFY_PARAM_set_time(param, (time_t)ask->now_s);
    }
    if (X509_VERIFY_PARAM_set_flags(param, flags_of(ask)) != 1) {
        return BP_FAIL(CRYPTO);
    }
    if (ask->purpose != BP_PATH_ANY_USE &&
        X509_VERIFY_PARAM_set_purpose(param, ask->purpose == BP_PATH_SERVER ? X509_PURPOSE_SSL_SERVER
                                                                            : X509_PURPOSE_SSL_CLIENT) != 1) {
        return BP_FAIL(CRYPTO);
    }
    return set_name(param, ask) && set_policies(param, ask) ? BP_OK : BP_FAIL(BAD_ARGUMENT);
}

/* The caller's place of an intermediate; other_n when it is none. */
static size_t place_of(const struct search *s, const X509 *cert)
{
    size_t i = 0;
    while (i < s->ask->other_n && s->other[i] != cert) {
        i++;
    }
    return i;
}

/* The path as the caller's bytes. */
static bp_result take_path(const struct search *s, X509_STORE_CTX *ctx, size_t anchor)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    const size_t n = (size_t)sk_X509_num(chain);
    if (n < 2 || X509_cmp(s->leaf, s->anchor[anchor]) == 0) {
        return BP_FAIL(BAD_SIGNATURE); /* the leaf is the anchor: nobody vouches for it */
    }
    if (n > BP_PATH_CERTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    s->ret->certs[0] = s->leaf_der;
    s->ret->certs[n - 1] = s->ask->anchors[anchor];
    for (size_t i = 1; i + 1 < n; i++) {
        const size_t at = place_of(s, sk_X509_value(chain, (int)i));
        if (at == s->ask->other_n) {
            return BP_FAIL(INTERNAL);
        }
        s->ret->certs[i] = s->ask->others[at];
    }
    s->ret->n = n;
    s->ret->anchor = anchor;
    return BP_OK;
}

/* The first reason is kept, unless it was that no issuer is there: what a later search lacks was taken from it. */
static void tell(struct search *s, int error)
{
    if (s->error == X509_V_OK || s->error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY) {
        s->error = error;
        s->ret->why = X509_verify_cert_error_string(error);
    }
}

bool bp_path_has_ml_dsa(void)
{
    EVP_SIGNATURE *alg = EVP_SIGNATURE_fetch(NULL, "ML-DSA-65", NULL);
    const bool has = alg != NULL;
    EVP_SIGNATURE_free(alg);
    ERR_clear_error();
    return has;
}

/* RFC 9881 names them by their dotted numbers; a library that does not know them has no other name. */
static const char *young_name(const ASN1_OBJECT *id)
{
    static const struct {
        const char *oid, *why;
    } names[] = {
        {"2.16.840.1.101.3.4.3.17", "ML-DSA-44 is not known to this machine's OpenSSL (it is since 3.5)"},
        {"2.16.840.1.101.3.4.3.18", "ML-DSA-65 is not known to this machine's OpenSSL (it is since 3.5)"},
        {"2.16.840.1.101.3.4.3.19", "ML-DSA-87 is not known to this machine's OpenSSL (it is since 3.5)"},
    };
    char oid[64] = "";
    (void)OBJ_obj2txt(oid, sizeof oid, id, 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(oid, names[i].oid) == 0) {
            return names[i].why;
        }
    }
    return NULL;
}

/* Why no library of this age can say yes to a chain; NULL when that is not the reason. */
static const char *young_in(STACK_OF(X509) *chain)
{
    const char *why = NULL;
    if (bp_path_has_ml_dsa()) {
        return NULL;
    }
    for (int i = 0; i < sk_X509_num(chain) && why == NULL; i++) {
        const X509 *cert = sk_X509_value(chain, i);
        const ASN1_OBJECT *by = NULL;
        ASN1_OBJECT *key = NULL;
        X509_ALGOR_get0(&by, NULL, NULL, X509_get0_tbs_sigalg(cert));
        why = by == NULL ? NULL : young_name(by);
        if (why == NULL && X509_PUBKEY_get0_param(&key, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert)) == 1) {
            why = young_name(key);
        }
    }
    return why;
}

/* Runs OpenSSL, then the judge. *ret_culprit: the certificate that the path fell for, NULL when there is none to leave out. */
static bp_result verify(struct search *s, X509_STORE_CTX *ctx, size_t anchor, X509 **ret_culprit)
{
    size_t at = 0;
    bp_result r = BP_FAIL(BAD_SIGNATURE);
    if (X509_verify_cert(ctx) == 1) {
        r = take_path(s, ctx, anchor);
        if (!bp_failed(r)) {
            r = s->judge(s->self, s->ret->certs, s->ret->n, &at);
            s->refusal = bp_failed(r) ? r : s->refusal;
        }
    } else {
        const int depth = X509_STORE_CTX_get_error_depth(ctx);
        at = depth > 0 ? (size_t)depth : 0;
        tell(s, X509_STORE_CTX_get_error(ctx));
    }
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    if (bp_is(r, BP_E_BAD_SIGNATURE) && s->young == NULL) {
        s->young = young_in(chain);
    }
    *ret_culprit = bp_failed(r) && at > 0 && at < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)at) : NULL;
    return r;
}

static bool push_others(const struct search *s, STACK_OF(X509) *untrusted)
{
    for (size_t i = 0; i < s->ask->other_n; i++) {
        if (s->other[i] != NULL && !s->is_out[i] && sk_X509_push(untrusted, s->other[i]) <= 0) {
            return false;
        }
    }
    return true;
}

static bp_result search_once(struct search *s, size_t anchor, X509 **ret_culprit)
{
    bp_result r = BP_FAIL(NO_MEMORY);
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    *ret_culprit = NULL;
    if (untrusted == NULL || store == NULL || ctx == NULL || !push_others(s, untrusted) ||
        X509_STORE_add_cert(store, s->anchor[anchor]) != 1 ||
        X509_STORE_CTX_init(ctx, store, s->leaf, untrusted) != 1) {
        goto out;
    }
    X509_STORE_CTX_set0_crls(ctx, s->crls);
    X509_STORE_CTX_set_verify_cb(ctx, at_the_last_second);
    r = set_param(ctx, s->ask);
    if (!bp_failed(r)) {
        r = verify(s, ctx, anchor, ret_culprit);
    }
out:
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_free(untrusted);
    return r;
}

/* Under one anchor; an intermediate that a path fell for stays out of the next search. */
static bp_result search_under(struct search *s, size_t anchor)
{
    bp_result r = BP_FAIL(BAD_SIGNATURE);
    memset(s->is_out, 0, sizeof s->is_out);
    for (size_t i = 0; i < BP_PATH_TRIES_MAX; i++) {
        X509 *culprit;
        r = search_once(s, anchor, &culprit);
        const size_t at = culprit == NULL ? s->ask->other_n : place_of(s, culprit);
        if (!bp_failed(r) || at == s->ask->other_n) {
            break;
        }
        s->is_out[at] = true;
    }
    return r;
}

static bool ends_the_search(bp_result r)
{
    return !bp_failed(r) || bp_is(r, BP_E_NO_MEMORY) || bp_is(r, BP_E_CRYPTO) || bp_is(r, BP_E_BAD_ARGUMENT) ||
           bp_is(r, BP_E_INTERNAL);
}

bp_result bp_path_build(const struct bp_path_ask *ask, bp_path_judge *judge, void *self, struct bp_path_found *ret)
{
    *ret = (struct bp_path_found){.why = "no anchor"};
    struct search *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->ask = ask;
    s->judge = judge;
    s->self = self;
    s->ret = ret;
    bp_result r = read_all(s);
    if (!bp_failed(r)) {
        r = BP_FAIL(BAD_SIGNATURE);
        for (size_t i = 0; i < ask->anchor_n && !ends_the_search(r); i++) {
            r = search_under(s, i);
        }
        if (bp_is(r, BP_E_BAD_SIGNATURE) && bp_failed(s->refusal)) {
            r = s->refusal; /* nearer to a path than what was tried after it */
        } else if (bp_is(r, BP_E_BAD_SIGNATURE) && s->young != NULL) {
            r = BP_FAIL(UNSUPPORTED);
            ret->why = s->young;
        }
    }
    ret->why = bp_is(r, BP_E_BAD_SIGNATURE) || bp_is(r, BP_E_UNSUPPORTED) ? ret->why : NULL;
    drop_all(s);
    bp_free(s);
    ERR_clear_error();
    return r;
}
