/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/roll - another issuing CA beside the present one, and the end of the old one. */
#include "codec/x509.h"
#include "fleet/authority/internal.h"
#include "platform/linux/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BP_MODULE AUTHORITY

#define YEAR_MS (365 * 86400000LL)
#define LIFE_MS (10 * YEAR_MS)
#define SKEW_MS (60 * 1000LL)

struct roll {
    const char *dir;
    struct bp_site *site;
    struct bp_site_settings s; /* as they will be */
    struct bp_pkcs11_uri uri;
    char pin[BP_SITE_PATH_MAX];
    bool is_made_in_token;
    struct bp_key *key;
};

static bp_result path_of(const char *dir, const char *kind, unsigned number, const char *end, char ret[BP_SITE_PATH_MAX])
{
    char name[BP_SITE_ISSUING_TEXT];
    bp_site_issuing_name(number, name);
    const int n = snprintf(ret, BP_SITE_PATH_MAX, "%s/%s/%s%s", dir, kind, name, end);
    return n < 0 || (size_t)n >= BP_SITE_PATH_MAX ? BP_FAIL(LIMIT) : BP_OK;
}

static bp_result write_settings(const char *dir, const struct bp_site_settings *s)
{
    char path[BP_SITE_PATH_MAX], text[8192];
    size_t n = 0;
    const int len = snprintf(path, sizeof path, "%s/server.yaml", dir);
    BP_TRY(bp_site_settings_write(s, text, sizeof text, &n));
    return len < 0 || (size_t)len >= sizeof path ? BP_FAIL(LIMIT)
                                                 : bp_file_write(path, BP_FILE_PUBLIC, bp_span_of(text, n));
}

/* The new key's name in the token: the old one's with the number after it. */
static bp_result make_in_token(struct roll *x, enum bp_key_type type)
{
    char *const uri = x->s.key_uri[BP_SITE_KEY_ISSUING];
    size_t n = 0;
    BP_TRY(bp_pkcs11_uri_read(bp_span_cstr(uri), &x->uri));
    const bool absolute = x->uri.pin_source[0] == '/';
    const int pin = snprintf(x->pin, sizeof x->pin, "%s%s%s", absolute ? "" : x->dir, absolute ? "" : "/", x->uri.pin_source);
    char *end = x->uri.object + strlen(x->uri.object);
    if (x->s.issuing_number > 1) { /* the number of the one before ends its name */
        char *dash = strrchr(x->uri.object, '-');
        end = dash == NULL ? end : dash;
    }
    const size_t left = (size_t)(x->uri.object + sizeof x->uri.object - end);
    const int len = snprintf(end, left, "-%u", x->s.issuing_number);
    x->uri.id_n = 0;
    if (pin < 0 || (size_t)pin >= sizeof x->pin || len < 0 || (size_t)len >= left) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_pkcs11_key_make(&x->uri, x->pin, type, &x->key));
    x->is_made_in_token = true;
    memcpy(x->s.key_issuing_old, uri, sizeof x->s.key_issuing_old);
    return bp_pkcs11_uri_write(&x->uri, uri, sizeof x->s.key_uri[0], &n);
}

static bp_result make_key(struct roll *x, enum bp_key_type type)
{
    char path[BP_SITE_PATH_MAX];
    if (bp_site_key_is_in_token(x->site, BP_SITE_KEY_ISSUING)) {
        return make_in_token(x, type);
    }
    BP_TRY(bp_key_make(type, &x->key));
    BP_TRY(path_of(x->dir, "keys/ca", x->s.issuing_number, ".pem", path));
    return bp_key_save(x->key, path, BP_SPAN_EMPTY);
}

/* Its name differs from the old one's: a path is looked for by names, and two issuers of one name confuse some clients. */
static bp_result make_cert(struct roll *x, struct bp_key *root, struct bp_crypto *c, const struct bp_entropy *entropy,
                           int64_t now_ms)
{
    char path[BP_SITE_PATH_MAX], cn[64];
    uint8_t der[BP_CERT_MAX];
    size_t n = 0;
    struct bp_issuer issuer;
    const struct bp_signer signer = bp_key_signer(root);
    (void)snprintf(cn, sizeof cn, "Bedplate device issuing %u", x->s.issuing_number);
    const bp_span own = bp_span_cstr(x->site->name);
    const struct bp_cert_request q = {.profile = BP_CERT_ISSUING,
                                      .dns = &own,
                                      .dns_count = 1,
                                      .spki = bp_key_spki(x->key),
                                      .common_name = bp_span_cstr(cn),
                                      .organisation = bp_span_cstr(x->site->org),
                                      .not_before_ms = now_ms - SKEW_MS,
                                      .not_after_ms = now_ms + LIFE_MS};
    BP_TRY(bp_issuer_of(x->site->cert[BP_SITE_CERT_ROOT], &signer, &issuer));
    BP_TRY(bp_cert_issue(c, entropy, &issuer, &q, der, sizeof der, &n));
    BP_TRY(path_of(x->dir, "certs", x->s.issuing_number, ".der", path));
    return bp_file_write(path, BP_FILE_PUBLIC, bp_span_of(der, n));
}

static bp_result prepare(struct roll *x, struct bp_key *root, struct bp_crypto *c)
{
    struct bp_x509 cert;
    BP_TRY(bp_site_load(x->dir, c, &x->site));
    BP_TRY(bp_site_settings_load(x->dir, &x->s));
    BP_TRY(bp_x509_read(x->site->cert[BP_SITE_CERT_ROOT], &cert));
    if (!bp_span_equal(cert.spki, bp_key_spki(root))) {
        return BP_FAIL(MISMATCH);
    }
    if (x->site->issuing_old.n > 0) {
        return BP_FAIL(BUSY);
    }
    if (x->s.issuing_number == BP_SITE_ISSUING_MAX) {
        return BP_FAIL(LIMIT);
    }
    x->s.issuing_number++;
    x->s.issuing_old = true;
    return BP_OK;
}

bp_result bp_site_roll(const char *dir, struct bp_key *root, enum bp_key_type type, struct bp_crypto *c,
                       const struct bp_entropy *entropy, const struct bp_clock *clock)
{
    struct roll x = {.dir = dir};
    bp_result r = type == BP_KEY_P256 || type == BP_KEY_P384 ? prepare(&x, root, c) : BP_FAIL(UNSUPPORTED);
    if (!bp_failed(r)) {
        r = make_key(&x, type);
    }
    if (!bp_failed(r)) {
        r = make_cert(&x, root, c, entropy, bp_wall_ms(clock));
    }
    if (!bp_failed(r)) {
        r = write_settings(dir, &x.s);
    }
    bp_key_free(x.key);
    if (bp_failed(r) && x.is_made_in_token) {
        BP_IGNORE(bp_pkcs11_key_destroy(&x.uri, x.pin), "the roll-over failed already, and says why");
    }
    bp_site_free(x.site);
    return r;
}

static bp_result remove_file(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? BP_OK : bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
}

bp_result bp_site_retire(const char *dir, struct bp_crypto *c)
{
    struct bp_site_settings s;
    struct bp_site *site = NULL;
    char cert[BP_SITE_PATH_MAX], key[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_load(dir, c, &site));
    const bool has_old = site->issuing_old.n > 0;
    bp_site_free(site);
    if (!has_old) {
        return BP_FAIL(NOT_FOUND);
    }
    BP_TRY(bp_site_settings_load(dir, &s));
    BP_TRY(path_of(dir, "certs", s.issuing_number - 1, ".der", cert));
    BP_TRY(path_of(dir, "keys/ca", s.issuing_number - 1, ".pem", key));
    s.issuing_old = false;
    s.key_issuing_old[0] = 0;
    BP_TRY(write_settings(dir, &s));
    BP_TRY(remove_file(key));
    return remove_file(cert);
}
