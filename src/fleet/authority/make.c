/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/make - makes the directory of a server: keys, certificates, secrets, settings.
 *
 * Everything is written into a directory beside DIR, which is renamed when it is complete: a power cut leaves no half
 * server that would load. */
#include "fleet/authority/site.h"

#include "base/secret.h"
#include "codec/cose.h"
#include "codec/ownership.h"
#include "fleet/authority/internal.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE AUTHORITY

#define DAY_MS  86400000LL
#define YEAR_MS (365 * DAY_MS)
/* A device whose clock lags a little must not find its new server's certificates in the future. */
#define SKEW_MS (10 * 60 * 1000LL)

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

struct maker {
    const struct bp_site_make *make;
    struct bp_crypto *crypto;
    const struct bp_entropy *entropy;
    int64_t now_ms;
    char dir[BP_SITE_PATH_MAX];
    char status_url[BP_SITE_URL_MAX];
    char root_crl_url[BP_SITE_URL_MAX + 32];
    char operator_name[BP_SITE_TEXT_MAX + 16];
    struct bp_key *key[BP_SITE_CERTS];
    bool is_in_token[BP_SITE_CERTS];
    struct bp_key *owner;
    uint8_t der[BP_SITE_CERTS][BP_CERT_MAX];
    size_t der_n[BP_SITE_CERTS];
};

/* What differs between certificates beyond their profile. The root outlives what it signs;
 * what is sealed to the recovery key must open as long as a device lives. */
static const struct {
    enum bp_key_type type;
    const char *cn; /* NULL: the server's name */
    int64_t years;
    bool is_listed; /* says where the root's revocation list is: authorities, whose chains others than us verify */
} plans[BP_SITE_CERTS] = {
    [BP_SITE_CERT_ROOT] = {BP_KEY_P384, "Bedplate root", 20, false},
    [BP_SITE_CERT_ISSUING] = {BP_KEY_P256, "Bedplate device issuing", 10, true},
    [BP_SITE_CERT_INFRA] = {BP_KEY_P256, "Bedplate infrastructure", 10, true},
    [BP_SITE_CERT_OPERATORS] = {BP_KEY_P256, "Bedplate operators", 10, true},
    [BP_SITE_CERT_BROWNFIELD] = {BP_KEY_P256, "Bedplate brownfield, not appraised", 10, false},
    [BP_SITE_CERT_SERVER] = {BP_KEY_P256, NULL, 2, false},
    [BP_SITE_CERT_LOG] = {BP_KEY_P256, "Bedplate log", 10, false},
    [BP_SITE_CERT_RESULT] = {BP_KEY_P256, "Bedplate results", 10, false},
    [BP_SITE_CERT_BIND] = {BP_KEY_P256, "Bedplate attestation key bindings", 10, false},
    [BP_SITE_CERT_RECOVERY] = {BP_KEY_P256, "Bedplate owner's recovery", 20, false},
};

bp_result bp_site_code(const struct bp_entropy *entropy, char ret[BP_SITE_CODE + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[BP_SITE_CODE];
    BP_TRY(bp_random(entropy, random, sizeof random));
    for (size_t i = 0; i < BP_SITE_CODE; i++) {
        ret[i] = letters[random[i] & 31u];
    }
    ret[BP_SITE_CODE] = 0;
    bp_wipe(random, sizeof random);
    return BP_OK;
}

static bp_result path_of(const struct maker *m, const char *relative, char ret[BP_SITE_PATH_MAX])
{
    const int n = snprintf(ret, BP_SITE_PATH_MAX, "%s/%s", m->dir, relative);
    return n < 0 || (size_t)n >= BP_SITE_PATH_MAX ? BP_FAIL(LIMIT) : BP_OK;
}

static bp_result make_folders(const struct maker *m)
{
    static const struct {
        const char *name;
        mode_t mode;
    } folders[] = {{"certs", 0755},     {"keys", 0700},  {"keys/tls", 0700},  {"keys/log", 0700}, {"keys/ca", 0700},
                   {"secrets", 0700},   {"state", 0700}, {"state/log", 0700}, {"state/ca", 0700}, {"store", 0700},
                   {"log", 0755},       {"anchors", 0755}};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[BP_SITE_PATH_MAX];
        BP_TRY(path_of(m, folders[i].name, path));
        if (mkdir(path, folders[i].mode) != 0) {
            return FAIL_ERRNO();
        }
    }
    return BP_OK;
}

static bp_result write_file(const struct maker *m, const char *relative, enum bp_file_kind kind, bp_span contents)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(path_of(m, relative, path));
    return bp_file_write(path, kind, contents);
}

/* --- keys in a token: those of the authorities, which one process signs with --- */

#define PIN_FILE "keys/ca/pin"

static bool goes_into_token(const struct maker *m, enum bp_site_cert which)
{
    return m->make->key_store != NULL && (which == BP_SITE_CERT_ISSUING || which == BP_SITE_CERT_INFRA ||
                                          which == BP_SITE_CERT_OPERATORS || which == BP_SITE_CERT_BROWNFIELD);
}

static bp_result name_in_token(const struct maker *m, enum bp_site_cert which, struct bp_pkcs11_uri *ret)
{
    const char *begin = m->make->key_store->object[0] != 0 ? m->make->key_store->object : "bedplate";
    *ret = *m->make->key_store;
    const int n = snprintf(ret->object, sizeof ret->object, "%.*s-%s", (int)(sizeof ret->object - 1), begin,
                           bp_site_rows[which].name);
    return n < 0 || (size_t)n >= sizeof ret->object ? BP_FAIL(LIMIT) : BP_OK;
}

static bp_result copy_pin(const struct maker *m)
{
    uint8_t *pin = NULL;
    size_t n = 0;
    if (m->make->key_store == NULL) {
        return BP_OK;
    }
    BP_TRY(bp_file_read(m->make->key_store->pin_source, BP_FILE_SECRET, BP_PKCS11_PIN_MAX + 1, &pin, &n));
    const bp_result r = write_file(m, PIN_FILE, BP_FILE_SECRET, bp_span_of(pin, n));
    bp_free_secret(pin, n);
    return r;
}

static bp_result make_key(struct maker *m, enum bp_site_cert which)
{
    struct bp_pkcs11_uri uri;
    if (!goes_into_token(m, which)) {
        return bp_key_make(plans[which].type, &m->key[which]);
    }
    BP_TRY(name_in_token(m, which, &uri));
    BP_TRY(bp_pkcs11_key_make(&uri, uri.pin_source, plans[which].type, &m->key[which]));
    m->is_in_token[which] = true;
    return BP_OK;
}

static void take_back(const struct maker *m)
{
    for (enum bp_site_cert i = BP_SITE_CERT_ROOT; i < BP_SITE_CERTS; i = (enum bp_site_cert)(i + 1)) {
        struct bp_pkcs11_uri uri;
        if (m->is_in_token[i] && !bp_failed(name_in_token(m, i, &uri))) {
            BP_IGNORE(bp_pkcs11_key_destroy(&uri, uri.pin_source), "init failed already, and says why");
        }
    }
}

static bp_result make_cert(struct maker *m, enum bp_site_cert which)
{
    const struct bp_site_row *row = &bp_site_rows[which];
    const bool is_anchor = row->by == which;
    BP_TRY(make_key(m, which));
    const struct bp_signer signer = bp_key_signer(m->key[row->by]);
    struct bp_issuer issuer = {signer, BP_SPAN_EMPTY, {0}};
    if (!is_anchor) {
        BP_TRY(bp_issuer_of(bp_span_of(m->der[row->by], m->der_n[row->by]), &signer, &issuer));
    }
    /* A name constraint holds the names below it too, so the infrastructure CA needs only the server's, and the issuing CA
     * is kept from every name under it: no device's application passes for this server. */
    const bp_span dns[] = {bp_span_cstr(m->make->name), bp_span_cstr(m->operator_name)};
    const size_t dns_count = which == BP_SITE_CERT_SERVER ? 2 : which == BP_SITE_CERT_INFRA || which == BP_SITE_CERT_ISSUING ? 1 : 0;
    const struct bp_cert_request q = {
        .profile = row->profile,
        .spki = bp_key_spki(m->key[which]),
        .common_name = bp_span_cstr(plans[which].cn != NULL ? plans[which].cn : m->make->name),
        .organisation = bp_span_cstr(m->make->org),
        .dns = dns,
        .dns_count = dns_count,
        .not_before_ms = m->now_ms - SKEW_MS,
        .not_after_ms = m->now_ms + plans[which].years * YEAR_MS,
        .crl_url = bp_span_cstr(plans[which].is_listed ? m->root_crl_url : ""),
    };
    BP_TRY(bp_cert_issue(m->crypto, m->entropy, &issuer, &q, m->der[which], sizeof m->der[which], &m->der_n[which]));
    char name[64];
    (void)snprintf(name, sizeof name, "certs/%s.der", row->name);
    return write_file(m, name, BP_FILE_PUBLIC, bp_span_of(m->der[which], m->der_n[which]));
}

/* A list of nothing, for verifiers that want one for every authority of a path. It lasts as long as the root: nobody has to
 * fetch the root's key from its safe so that a plant goes on. A later one takes its place by its number. */
static bp_result make_root_list(const struct maker *m)
{
    uint8_t list[BP_CERT_MAX];
    size_t n = 0;
    struct bp_issuer issuer;
    const struct bp_signer signer = bp_key_signer(m->key[BP_SITE_CERT_ROOT]);
    BP_TRY(bp_issuer_of(bp_span_of(m->der[BP_SITE_CERT_ROOT], m->der_n[BP_SITE_CERT_ROOT]), &signer, &issuer));
    BP_TRY(bp_crl_issue(&issuer, NULL, 0, 1, m->now_ms - SKEW_MS, m->now_ms + plans[BP_SITE_CERT_ROOT].years * YEAR_MS,
                        list, sizeof list, &n));
    return write_file(m, "certs/root.crl", BP_FILE_PUBLIC, bp_span_of(list, n));
}

static bp_result save_keys(const struct maker *m, const char *passphrase)
{
    char path[BP_SITE_PATH_MAX];
    for (enum bp_site_key i = BP_SITE_KEY_SERVER; i < BP_SITE_KEYS; i = (enum bp_site_key)(i + 1)) {
        if (m->is_in_token[bp_site_key_rows[i].cert]) {
            continue;
        }
        BP_TRY(path_of(m, bp_site_key_rows[i].file, path));
        BP_TRY(bp_key_save(m->key[bp_site_key_rows[i].cert], path, BP_SPAN_EMPTY));
    }
    BP_TRY(path_of(m, "root-key.pem", path));
    BP_TRY(bp_key_save(m->key[BP_SITE_CERT_ROOT], path, bp_span_cstr(passphrase)));
    BP_TRY(path_of(m, "recovery-key.pem", path));
    BP_TRY(bp_key_save(m->key[BP_SITE_CERT_RECOVERY], path, bp_span_cstr(passphrase)));
    BP_TRY(path_of(m, "owner-key.pem", path));
    return bp_key_save(m->owner, path, bp_span_cstr(passphrase));
}

/* The owner's word that servers under this root are its own: a device believes the owner, not the root. */
static bp_result make_owner(struct maker *m)
{
    uint8_t root[BP_SHA256_SIZE], kid[BP_SHA256_SIZE];
    uint8_t payload[BP_OWNERSHIP_MAX], card[BP_OWNERSHIP_SIGNED_MAX], scratch[2 * BP_OWNERSHIP_SIGNED_MAX];
    size_t n = 0, card_n = 0;
    BP_TRY(bp_key_make(BP_KEY_P256, &m->owner));
    const bp_span spki = bp_key_spki(m->owner);
    const struct bp_signer signer = bp_key_signer(m->owner);
    BP_TRY(bp_hash(m->crypto, BP_HASH_SHA256, spki, kid));
    BP_TRY(bp_hash(m->crypto, BP_HASH_SHA256, bp_span_of(m->der[BP_SITE_CERT_ROOT], m->der_n[BP_SITE_CERT_ROOT]), root));
    const struct bp_owner_card v = {
        .key = spki, .name = bp_span_cstr(m->make->org), .root = BP_SPAN_OF(root), .created_ms = m->now_ms};
    BP_TRY(bp_owner_card_write(&v, payload, sizeof payload, &n));
    const struct bp_cose_header header = {BP_SPAN_STR(BP_OWNER_CARD_CONTENT), BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    BP_TRY(bp_cose_sign1_write(&signer, &header, bp_span_of(payload, n), BP_SPAN_EMPTY, scratch, sizeof scratch, card,
                               sizeof card, &card_n));
    return write_file(m, "certs/owner.cose", BP_FILE_PUBLIC, bp_span_of(card, card_n));
}

static bp_result make_secret(const struct maker *m, const char *relative)
{
    uint8_t secret[BP_SITE_SECRET];
    bp_result r = bp_random(m->entropy, secret, sizeof secret);
    if (!bp_failed(r)) {
        r = write_file(m, relative, BP_FILE_SECRET, bp_span_of(secret, sizeof secret));
    }
    bp_wipe(secret, sizeof secret);
    return r;
}

static bp_result name_keys(const struct maker *m, struct bp_site_settings *s)
{
    for (enum bp_site_key i = BP_SITE_KEY_SERVER; i < BP_SITE_KEYS; i = (enum bp_site_key)(i + 1)) {
        struct bp_pkcs11_uri uri;
        size_t n = 0;
        if (m->is_in_token[bp_site_key_rows[i].cert]) {
            BP_TRY(name_in_token(m, bp_site_key_rows[i].cert, &uri));
            (void)snprintf(uri.pin_source, sizeof uri.pin_source, "%s", PIN_FILE);
            BP_TRY(bp_pkcs11_uri_write(&uri, s->key_uri[i], sizeof s->key_uri[i], &n));
        }
    }
    return BP_OK;
}

static bp_result write_settings(const struct maker *m)
{
    struct bp_site_settings s = {.evaluation = m->make->evaluation};
    char text[8192];
    size_t n = 0;
    const char *reach = m->make->key_reach == NULL ? "" : m->make->key_reach;
    if (strlen(reach) >= sizeof s.key_reach) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    memcpy(s.key_reach, reach, strlen(reach) + 1);
    BP_TRY(name_keys(m, &s));
    (void)snprintf(s.name, sizeof s.name, "%s", m->make->name);
    (void)snprintf(s.org, sizeof s.org, "%s", m->make->org);
    (void)snprintf(s.status_url, sizeof s.status_url, "%s", m->status_url);
    BP_TRY(bp_site_settings_write(&s, text, sizeof text, &n));
    return write_file(m, "server.yaml", BP_FILE_PUBLIC, bp_span_of(text, n));
}

static bp_result fill(struct maker *m, const char *passphrase)
{
    BP_TRY(make_folders(m));
    BP_TRY(copy_pin(m));
    for (enum bp_site_cert i = BP_SITE_CERT_ROOT; i < BP_SITE_CERTS; i = (enum bp_site_cert)(i + 1)) {
        BP_TRY(make_cert(m, i));
    }
    BP_TRY(make_owner(m));
    BP_TRY(make_root_list(m));
    BP_TRY(save_keys(m, passphrase));
    BP_TRY(make_secret(m, "secrets/nonce"));
    BP_TRY(make_secret(m, "secrets/owner"));
    BP_TRY(write_settings(m));
    return m->make->more == NULL ? BP_OK : m->make->more(m->make->self, m->dir);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_all(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The directory's name must be on disk too, or a power cut takes the whole server away again. */
static bp_result sync_parent(const char *dir)
{
    char parent[BP_SITE_PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s/..", dir);
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    const bp_result r = fsync(fd) == 0 ? BP_OK : FAIL_ERRNO();
    (void)close(fd);
    return r;
}

static bp_result put_in_place(const struct maker *m)
{
    if (renameat2(AT_FDCWD, m->dir, AT_FDCWD, m->make->dir, RENAME_NOREPLACE) != 0) {
        return FAIL_ERRNO();
    }
    return sync_parent(m->make->dir);
}

static bp_result begin(struct maker *m)
{
    struct stat st;
    if (lstat(m->make->dir, &st) == 0) {
        return BP_FAIL(EXISTS);
    }
    size_t n = strlen(m->make->dir);
    while (n > 1 && m->make->dir[n - 1] == '/') {
        n--;
    }
    const int len = snprintf(m->dir, sizeof m->dir, "%.*s.new-XXXXXX", (int)n, m->make->dir);
    /* room for the longest relative name beside it */
    if (len < 0 || (size_t)len + 64 >= sizeof m->dir) {
        return BP_FAIL(LIMIT);
    }
    if (mkdtemp(m->dir) == NULL) {
        m->dir[0] = 0;
        return FAIL_ERRNO();
    }
    return BP_OK;
}

bp_result bp_site_make(const struct bp_site_make *make, struct bp_crypto *c, const struct bp_entropy *entropy,
                       const struct bp_clock *clock, char ret_passphrase[BP_SITE_CODE + 1])
{
    if (!bp_site_is_host(make->name) || !bp_site_is_text(make->org)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct maker m = {.make = make, .crypto = c, .entropy = entropy, .now_ms = bp_wall_ms(clock)};
    char passphrase[BP_SITE_CODE + 1] = "";
    (void)snprintf(m.status_url, sizeof m.status_url, "http://%s:8446", make->name);
    (void)snprintf(m.root_crl_url, sizeof m.root_crl_url, "%s/crl/root-0.crl", m.status_url);
    (void)snprintf(m.operator_name, sizeof m.operator_name, "operator.%s", make->name);
    bp_result r = begin(&m);
    if (!bp_failed(r)) {
        r = bp_site_code(entropy, passphrase);
    }
    if (!bp_failed(r)) {
        r = fill(&m, passphrase);
    }
    if (!bp_failed(r)) {
        r = put_in_place(&m);
    }
    if (bp_failed(r)) {
        if (m.dir[0] != 0) {
            remove_all(m.dir);
        }
    } else {
        memcpy(ret_passphrase, passphrase, sizeof passphrase);
    }
    bp_wipe(passphrase, sizeof passphrase);
    for (size_t i = 0; i < BP_SITE_CERTS; i++) {
        bp_key_free(m.key[i]);
    }
    if (bp_failed(r)) {
        take_back(&m);
    }
    bp_key_free(m.owner);
    return r;
}
