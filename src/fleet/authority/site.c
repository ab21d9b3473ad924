/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/site - reads the directory of a server. */
#include "fleet/authority/site.h"

#include "base/secret.h"
#include "codec/cbor.h"
#include "codec/crl.h"
#include "core/ownership.h"
#include "fleet/authority/internal.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <stdio.h>
#include <sys/stat.h>

#define BP_MODULE AUTHORITY

#define SETTINGS_MAX 16384u
#define ROOT_CRL_MAX 65536u

const struct bp_site_row bp_site_rows[BP_SITE_CERTS] = {
    [BP_SITE_CERT_ROOT] = {"root", BP_CERT_ROOT, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_ISSUING] = {"issuing", BP_CERT_ISSUING, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_INFRA] = {"infra", BP_CERT_INFRA, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_OPERATORS] = {"operators", BP_CERT_OPERATOR_CA, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_BROWNFIELD] = {"brownfield", BP_CERT_BROWNFIELD_CA, BP_SITE_CERT_BROWNFIELD},
    [BP_SITE_CERT_SERVER] = {"server", BP_CERT_SERVER, BP_SITE_CERT_INFRA},
    [BP_SITE_CERT_LOG] = {"log", BP_CERT_LOG, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_RESULT] = {"result", BP_CERT_RESULT, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_BIND] = {"bind", BP_CERT_BIND, BP_SITE_CERT_ROOT},
    [BP_SITE_CERT_RECOVERY] = {"recovery", BP_CERT_RECOVERY, BP_SITE_CERT_ROOT},
};

const struct bp_site_key_row bp_site_key_rows[BP_SITE_KEYS] = {
    [BP_SITE_KEY_SERVER] = {"keys/tls/server.pem", BP_SITE_CERT_SERVER},
    [BP_SITE_KEY_LOG] = {"keys/log/log.pem", BP_SITE_CERT_LOG},
    [BP_SITE_KEY_RESULT] = {"keys/log/result.pem", BP_SITE_CERT_RESULT},
    [BP_SITE_KEY_ISSUING] = {"keys/ca/issuing.pem", BP_SITE_CERT_ISSUING},
    [BP_SITE_KEY_INFRA] = {"keys/ca/infra.pem", BP_SITE_CERT_INFRA},
    [BP_SITE_KEY_OPERATORS] = {"keys/ca/operators.pem", BP_SITE_CERT_OPERATORS},
    [BP_SITE_KEY_BROWNFIELD] = {"keys/ca/brownfield.pem", BP_SITE_CERT_BROWNFIELD},
    [BP_SITE_KEY_BIND] = {"keys/ca/bind.pem", BP_SITE_CERT_BIND},
};

bool bp_site_is_host(const char *s)
{
    const size_t n = strlen(s);
    if (n == 0 || n > BP_SITE_TEXT_MAX - 16 || strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") != n) {
        return false;
    }
    const char *label = s;
    for (const char *p = s;; p++) {
        if (*p != '.' && *p != 0) {
            continue;
        }
        if (p == label || *label == '-' || p[-1] == '-' || p - label > 63) {
            return false;
        }
        if (*p == 0) {
            return strspn(label, "0123456789") != (size_t)(p - label);
        }
        label = p + 1;
    }
}

bool bp_site_is_text(const char *s)
{
    const size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n <= BP_SITE_TEXT_MAX && bp_is_utf8(bp_span_cstr(s));
}

static bp_result join(const char *dir, const char *relative, char *ret, size_t cap)
{
    const int n = snprintf(ret, cap, "%s/%s", dir, relative);
    return n < 0 || (size_t)n >= cap ? BP_FAIL(LIMIT) : BP_OK;
}

bp_result bp_site_path(const struct bp_site *site, const char *relative, char *ret, size_t cap)
{
    return join(site->dir, relative, ret, cap);
}

bp_result bp_site_settings_load(const char *dir, struct bp_site_settings *ret)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0, line = 0, column = 0;
    BP_TRY(join(dir, "server.yaml", path, sizeof path));
    BP_TRY(bp_file_read(path, BP_FILE_PUBLIC, SETTINGS_MAX, &text, &n));
    const bp_result r = bp_site_settings_read(bp_span_of(text, n), ret, &line, &column);
    bp_free(text);
    return r;
}

void bp_site_issuing_name(unsigned number, char ret[BP_SITE_ISSUING_TEXT])
{
    if (number == 0) {
        (void)snprintf(ret, BP_SITE_ISSUING_TEXT, "issuing");
    } else {
        (void)snprintf(ret, BP_SITE_ISSUING_TEXT, "issuing-%u", number);
    }
}

static bp_result read_settings(struct bp_site *site, bool *ret_has_old)
{
    struct bp_site_settings s;
    BP_TRY(bp_site_settings_load(site->dir, &s));
    memcpy(site->name, s.name, sizeof s.name);
    memcpy(site->org, s.org, sizeof s.org);
    memcpy(site->status_url, s.status_url, sizeof s.status_url);
    memcpy(site->key_uri, s.key_uri, sizeof s.key_uri);
    site->evaluation = s.evaluation;
    memcpy(site->key_issuing_old, s.key_issuing_old, sizeof s.key_issuing_old);
    site->issuing_number = s.issuing_number;
    *ret_has_old = s.issuing_old;
    (void)snprintf(site->crl_url, sizeof site->crl_url, "%s/crl/issuing-%u.crl", s.status_url, s.issuing_number);
    (void)snprintf(site->ocsp_url, sizeof site->ocsp_url, "%s/ocsp", s.status_url);
    (void)snprintf(site->issuer_url, sizeof site->issuer_url, "%s/ca/issuing-%u.cer", s.status_url, s.issuing_number);
    (void)snprintf(site->log_origin, sizeof site->log_origin, "%s/log", s.name);
    return BP_OK;
}

static bp_result read_der(const struct bp_site *site, const char *base, enum bp_cert_profile profile, bp_span *ret)
{
    char name[64];
    char path[BP_SITE_PATH_MAX];
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_x509 x;
    (void)snprintf(name, sizeof name, "certs/%s.der", base);
    BP_TRY(bp_site_path(site, name, path, sizeof path));
    BP_TRY(bp_file_read(path, BP_FILE_PUBLIC, BP_CERT_MAX, &der, &n));
    *ret = bp_span_of(der, n); /* the site's from now on */
    BP_TRY(bp_x509_read(*ret, &x));
    return bp_x509_profile_check(*ret, profile, x.not_before_s * 1000);
}

/* One that was made by a version that had no applications serves for what it was made for. */
static bp_result read_issuing(const struct bp_site *site, unsigned number, bp_span *ret, bool *ret_has_applications)
{
    char issuing[BP_SITE_ISSUING_TEXT];
    struct bp_x509 x;
    bp_site_issuing_name(number, issuing);
    const bp_result r = read_der(site, issuing, BP_CERT_ISSUING, ret);
    *ret_has_applications = !bp_failed(r);
    if (!bp_is(r, BP_E_DENIED)) {
        return r;
    }
    BP_TRY(bp_x509_read(*ret, &x));
    return bp_x509_profile_check(*ret, BP_CERT_ISSUING_OLD, x.not_before_s * 1000);
}

static bp_result read_cert(struct bp_site *site, enum bp_site_cert which)
{
    if (which == BP_SITE_CERT_ISSUING) {
        return read_issuing(site, site->issuing_number, &site->cert[which], &site->has_applications);
    }
    const bp_result r = read_der(site, bp_site_rows[which].name, bp_site_rows[which].profile, &site->cert[which]);
    if (bp_is(r, BP_E_NOT_FOUND) && which == BP_SITE_CERT_RECOVERY) {
        return BP_OK; /* made by a version that had none */
    }
    return r;
}

static bp_result read_old(struct bp_site *site)
{
    bool has_applications = false; /* it issues nothing any more */
    return read_issuing(site, site->issuing_number - 1, &site->issuing_old, &has_applications);
}

static bp_result check_signed_by(struct bp_crypto *c, bp_span cert, bp_span by_cert)
{
    struct bp_x509 x;
    struct bp_x509 by;
    if (cert.n == 0) {
        return BP_OK;
    }
    BP_TRY(bp_x509_read(cert, &x));
    BP_TRY(bp_x509_read(by_cert, &by));
    if (!bp_span_equal(x.issuer, by.subject)) {
        return BP_FAIL(DENIED);
    }
    return bp_x509_verify(c, &by.key, x.alg, x.tbs, x.signature);
}

/* Signed by the key that it names, for servers under this root. */
static bp_result read_owner_card(struct bp_site *site, struct bp_crypto *c)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    uint8_t *card = NULL;
    size_t n = 0;
    struct bp_owner_card v;
    BP_TRY(bp_site_path(site, "certs/owner.cose", path, sizeof path));
    const bp_result r = bp_file_read(path, BP_FILE_PUBLIC, BP_OWNERSHIP_SIGNED_MAX, &card, &n);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return BP_OK; /* made by a version that had none */
    }
    BP_TRY(r);
    site->owner_card = bp_span_of(card, n);
    if (bp_owner_card_check(c, site->owner_card, scratch, &v) != BP_OWN_NONE) {
        return BP_FAIL(BAD_SIGNATURE);
    }
    return bp_span_equal(v.root, BP_SPAN_OF(site->root_hash)) ? BP_OK : BP_FAIL(DENIED);
}

/* The root's list, by the root. How old it is is not judged, as with certificates. */
static bp_result read_root_crl(struct bp_site *site, struct bp_crypto *c)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_x509 root;
    struct bp_crl crl;
    BP_TRY(bp_site_path(site, "certs/root.crl", path, sizeof path));
    const bp_result r = bp_file_read(path, BP_FILE_PUBLIC, ROOT_CRL_MAX, &der, &n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    site->root_crl = bp_span_of(der, n);
    BP_TRY(bp_crl_read(site->root_crl, &crl));
    BP_TRY(bp_x509_read(site->cert[BP_SITE_CERT_ROOT], &root));
    return bp_span_equal(crl.issuer, root.subject)
               ? bp_x509_verify(c, &root.key, crl.alg, crl.tbs, crl.signature)
               : BP_FAIL(DENIED);
}

static bp_result read_all(struct bp_site *site, struct bp_crypto *c)
{
    bool has_old = false;
    BP_TRY(read_settings(site, &has_old));
    for (enum bp_site_cert i = BP_SITE_CERT_ROOT; i < BP_SITE_CERTS; i = (enum bp_site_cert)(i + 1)) {
        BP_TRY(read_cert(site, i));
    }
    if (has_old) {
        BP_TRY(read_old(site));
    }
    for (enum bp_site_cert i = BP_SITE_CERT_ROOT; i < BP_SITE_CERTS; i = (enum bp_site_cert)(i + 1)) {
        BP_TRY(check_signed_by(c, site->cert[i], site->cert[bp_site_rows[i].by]));
    }
    BP_TRY(check_signed_by(c, site->issuing_old, site->cert[BP_SITE_CERT_ROOT]));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, site->cert[BP_SITE_CERT_ROOT], site->root_hash));
    BP_TRY(read_root_crl(site, c));
    return read_owner_card(site, c);
}

bp_result bp_site_load(const char *dir, struct bp_crypto *c, struct bp_site **ret)
{
    const size_t n = strlen(dir);
    if (n == 0 || n >= BP_SITE_PATH_MAX) {
        return BP_FAIL(LIMIT);
    }
    struct bp_site *site = bp_alloc(sizeof *site);
    if (site == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    memcpy(site->dir, dir, n + 1);
    const bp_result r = read_all(site, c);
    if (bp_failed(r)) {
        bp_site_free(site);
        return r;
    }
    *ret = site;
    return BP_OK;
}

static void free_span(bp_span s)
{
    void *p;
    memcpy(&p, &s.p, sizeof p);
    bp_free(p);
}

void bp_site_free(struct bp_site *site)
{
    if (site == NULL) {
        return;
    }
    for (size_t i = 0; i < BP_SITE_CERTS; i++) {
        free_span(site->cert[i]);
    }
    free_span(site->issuing_old);
    free_span(site->owner_card);
    free_span(site->root_crl);
    bp_free(site);
}

/* --- keys --- */

bool bp_site_key_is_in_token(const struct bp_site *site, enum bp_site_key which)
{
    return which < BP_SITE_KEYS && site->key_uri[which][0] != 0;
}

const char *bp_site_key_name(enum bp_site_key which)
{
    return which < BP_SITE_KEYS ? bp_site_rows[bp_site_key_rows[which].cert].name : "?";
}

const char *bp_site_key_file(enum bp_site_key which)
{
    return which < BP_SITE_KEYS ? bp_site_key_rows[which].file : "?";
}

/* A path of the PIN's file that does not begin at the root begins at the directory. */
static bp_result token_of(const struct bp_site *site, const char *text, struct bp_pkcs11_uri *ret,
                          char pin[BP_SITE_PATH_MAX])
{
    BP_TRY(bp_pkcs11_uri_read(bp_span_cstr(text), ret));
    const int n = snprintf(pin, BP_SITE_PATH_MAX, "%s%s%s", ret->pin_source[0] == '/' ? "" : site->dir,
                           ret->pin_source[0] == '/' ? "" : "/", ret->pin_source);
    return n < 0 || (size_t)n >= BP_SITE_PATH_MAX ? BP_FAIL(LIMIT) : BP_OK;
}

bp_result bp_site_key_look(const struct bp_site *site, enum bp_site_key which, struct bp_pkcs11_facts *ret)
{
    char pin[BP_SITE_PATH_MAX];
    struct bp_pkcs11_uri uri;
    struct bp_x509 x;
    if (!bp_site_key_is_in_token(site, which)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(token_of(site, site->key_uri[which], &uri, pin));
    BP_TRY(bp_x509_read(site->cert[bp_site_key_rows[which].cert], &x));
    return bp_pkcs11_key_look(&uri, pin, x.spki, ret);
}

/* The key of a certificate: in the token that uri names, or in the file when it names none. */
static bp_result open_key(const struct bp_site *site, const char *uri, const char *file, bp_span cert, struct bp_key **ret)
{
    char path[BP_SITE_PATH_MAX];
    struct bp_pkcs11_uri token;
    struct bp_x509 x;
    struct bp_key *key = NULL;
    BP_TRY(bp_x509_read(cert, &x));
    if (uri[0] != 0) {
        BP_TRY(token_of(site, uri, &token, path));
        return bp_pkcs11_key_open(&token, path, x.spki, ret);
    }
    BP_TRY(bp_site_path(site, file, path, sizeof path));
    BP_TRY(bp_key_load(path, BP_SPAN_EMPTY, &key));
    if (!bp_span_equal(bp_key_spki(key), x.spki)) {
        bp_key_free(key);
        return BP_FAIL(MISMATCH);
    }
    *ret = key;
    return BP_OK;
}

static bp_result open_issuing(const struct bp_site *site, unsigned number, const char *uri, bp_span cert, struct bp_key **ret)
{
    char name[BP_SITE_ISSUING_TEXT], file[BP_SITE_ISSUING_TEXT + 16];
    bp_site_issuing_name(number, name);
    (void)snprintf(file, sizeof file, "keys/ca/%s.pem", name);
    return open_key(site, uri, file, cert, ret);
}

bp_result bp_site_key_open(const struct bp_site *site, enum bp_site_key which, struct bp_key **ret)
{
    if (which >= BP_SITE_KEYS) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span cert = site->cert[bp_site_key_rows[which].cert];
    return which == BP_SITE_KEY_ISSUING
               ? open_issuing(site, site->issuing_number, site->key_uri[which], cert, ret)
               : open_key(site, site->key_uri[which], bp_site_key_rows[which].file, cert, ret);
}

bp_result bp_site_old_key_open(const struct bp_site *site, struct bp_key **ret)
{
    return site->issuing_old.n == 0
               ? BP_FAIL(NOT_FOUND)
               : open_issuing(site, site->issuing_number - 1, site->key_issuing_old, site->issuing_old, ret);
}

bp_result bp_site_secret(const struct bp_site *site, const char *name, uint8_t ret[BP_SITE_SECRET])
{
    char relative[64];
    char path[BP_SITE_PATH_MAX];
    uint8_t *bytes = NULL;
    size_t n = 0;
    const int len = snprintf(relative, sizeof relative, "secrets/%s", name);
    if (len < 0 || (size_t)len >= sizeof relative) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_site_path(site, relative, path, sizeof path));
    BP_TRY(bp_file_read(path, BP_FILE_SECRET, BP_SITE_SECRET, &bytes, &n));
    const bp_result r = n == BP_SITE_SECRET ? BP_OK : BP_FAIL(MALFORMED);
    if (!bp_failed(r)) {
        memcpy(ret, bytes, BP_SITE_SECRET);
    }
    bp_free_secret(bytes, n);
    return r;
}

const char *bp_site_owner_key(const struct bp_site *site)
{
    static const char *const names[] = {"root-key.pem", "recovery-key.pem", "owner-key.pem"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[BP_SITE_PATH_MAX];
        struct stat st;
        /* A path that does not fit cannot be looked at; then the answer that stops `run` is the safe one. */
        if (bp_failed(bp_site_path(site, names[i], path, sizeof path)) || lstat(path, &st) == 0) {
            return names[i];
        }
    }
    return NULL;
}

bp_result bp_site_public(const struct bp_site *site, enum bp_site_cert which, struct bp_pubkey *ret)
{
    struct bp_x509 x;
    BP_TRY(bp_x509_read(site->cert[which], &x));
    *ret = x.key;
    return BP_OK;
}
