/* SPDX-License-Identifier: Apache-2.0 */
/* cli/factory_make - a maker's folder made: keys, certificates, an empty book and its mark. */
#include "cli/factory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/pem.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"

#define BP_MODULE CLI

#define SKEW_MS (24 * 3600 * 1000LL) /* clocks of devices lag */

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

enum { ROOT, IDEVID, MAKER, KEYS };

static const struct {
    const char *cert, *key, *what;
    enum bp_cert_profile profile;
} rows[KEYS] = {{"certs/root.der", "root-key.pem", "device root", BP_CERT_ROOT},
                {"certs/idevid.der", "keys/idevid.pem", "device identities", BP_CERT_IDEVID_CA},
                {"certs/maker.der", "keys/maker.pem", "maker's statements", BP_CERT_MAKER}};

struct making {
    struct bp_factory *f;
    const char *dir; /* where it shall lie */
    char temp[BP_FACTORY_PATH_MAX];
    char passphrase[BP_FACTORY_PASSPHRASE + 1];
    struct bp_key *key[KEYS];
    uint8_t der[KEYS][BP_CERT_MAX];
    size_t der_n[KEYS];
};

static bool is_name(const char *s)
{
    const size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n <= BP_MANIFEST_TEXT_MAX && bp_is_utf8(bp_span_of(s, n));
}

static bp_result make_passphrase(struct making *m)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t chance[BP_FACTORY_PASSPHRASE];
    BP_TRY(bp_random(&m->f->entropy, chance, sizeof chance));
    for (size_t i = 0; i < sizeof chance; i++) {
        m->passphrase[i] = letters[chance[i] & 31u];
    }
    bp_wipe(chance, sizeof chance);
    return BP_OK;
}

static bp_result path_of(const struct making *m, const char *name, char ret[BP_FACTORY_PATH_MAX])
{
    const int n = snprintf(ret, BP_FACTORY_PATH_MAX, "%s/%s", m->temp, name);
    return n > 0 && (size_t)n < BP_FACTORY_PATH_MAX ? BP_OK : BP_FAIL(LIMIT);
}

static bp_result write_file(const struct making *m, const char *name, enum bp_file_kind kind, bp_span contents)
{
    char path[BP_FACTORY_PATH_MAX];
    BP_TRY(path_of(m, name, path));
    return bp_file_write(path, kind, contents);
}

static bp_result make_folders(const struct making *m)
{
    static const struct {
        const char *name;
        mode_t mode;
    } folders[] = {{"certs", 0755}, {"keys", 0700}, {"batches", 0755}};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[BP_FACTORY_PATH_MAX];
        BP_TRY(path_of(m, folders[i].name, path));
        if (mkdir(path, folders[i].mode) != 0) {
            return FAIL_ERRNO();
        }
    }
    return BP_OK;
}

/* None ends: an IDevID has no well-defined end (IEEE 802.1AR section 8.7), and a chain is as old as its oldest link. */
static bp_result make_cert(struct making *m, size_t i)
{
    struct bp_factory *f = m->f;
    char cn[BP_CERT_TEXT_MAX + 1], path[BP_FACTORY_PATH_MAX];
    BP_TRY(bp_key_make(i == ROOT ? BP_KEY_P384 : BP_KEY_P256, &m->key[i]));
    const struct bp_signer signer = bp_key_signer(m->key[ROOT]);
    struct bp_issuer issuer = {signer, BP_SPAN_EMPTY, {0}};
    if (i != ROOT) {
        BP_TRY(bp_issuer_of(bp_span_of(m->der[ROOT], m->der_n[ROOT]), &signer, &issuer));
    }
    (void)snprintf(cn, sizeof cn, "%s %s", f->maker, rows[i].what);
    const struct bp_cert_request q = {.profile = rows[i].profile,
                                      .spki = bp_key_spki(m->key[i]),
                                      .common_name = bp_span_cstr(cn),
                                      .organisation = bp_span_cstr(f->maker),
                                      .not_before_ms = bp_wall_ms(&f->clock) - SKEW_MS,
                                      .not_after_ms = INT64_MAX};
    BP_TRY(bp_cert_issue(f->crypto, &f->entropy, &issuer, &q, m->der[i], sizeof m->der[i], &m->der_n[i]));
    BP_TRY(write_file(m, rows[i].cert, BP_FILE_PUBLIC, bp_span_of(m->der[i], m->der_n[i])));
    BP_TRY(path_of(m, rows[i].key, path));
    return bp_key_save(m->key[i], path, bp_span_cstr(m->passphrase));
}

/* Every folder above the last part of the path. */
static bp_result make_way(const char *path)
{
    char part[BP_FACTORY_PATH_MAX];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return FAIL_ERRNO();
            }
            *p = '/';
        }
    }
    return BP_OK;
}

static bp_result choose_mark(struct making *m, const char *mark)
{
    struct bp_factory *f = m->f;
    uint8_t kid[BP_SHA256_SIZE];
    int n = 0;
    if (mark != NULL) {
        n = snprintf(f->mark, sizeof f->mark, "%s", mark);
    } else {
        const char *state = getenv("XDG_STATE_HOME");
        const char *home = getenv("HOME");
        const bool has_state = state != NULL && state[0] == '/';
        BP_TRY(bp_hash(f->crypto, BP_HASH_SHA256, bp_key_spki(m->key[MAKER]), kid));
        n = snprintf(f->mark, sizeof f->mark, "%s%s/bedplate/factory/", has_state ? state : home != NULL ? home : "",
                     has_state ? "" : "/.local/state");
        for (size_t i = 0; n > 0 && i < 8 && (size_t)n < sizeof f->mark; i++) {
            n += snprintf(f->mark + n, sizeof f->mark - (size_t)n, "%02x%s", kid[i], i == 7 ? ".mark" : "");
        }
    }
    if (n <= 0 || (size_t)n >= sizeof f->mark || f->mark[0] != '/' || strchr(f->mark, '\n') != NULL) {
        return bp_factory_say(f, BP_FAIL(BAD_ARGUMENT), "the mark needs an absolute path: give --mark FILE");
    }
    const bp_result r = make_way(f->mark);
    return bp_failed(r) ? bp_factory_say(f, r, "the mark %s: %s", f->mark, bp_error_text(bp_error_of(r))) : r;
}

/* The mark of an empty book. One that is there belongs to another folder, unless it is this maker's own unfinished try. */
static bp_result make_book(struct making *m)
{
    struct bp_factory *f = m->f;
    char text[sizeof f->maker + sizeof f->mark + 4];
    uint8_t mark[BP_MARK_MAX];
    size_t n = 0;
    struct stat st;
    const int len = snprintf(text, sizeof text, "%s\n%s\n", f->maker, f->mark);
    BP_TRY(write_file(m, "factory", BP_FILE_PUBLIC, bp_span_of(text, (size_t)len)));
    BP_TRY(write_file(m, "book", BP_FILE_SECRET, BP_SPAN_EMPTY));
    BP_TRY(bp_book_read(f->crypto, BP_SPAN_EMPTY, &f->book));
    BP_TRY(bp_mark_write(&f->book, mark, &n));
    if (lstat(f->mark, &st) == 0) {
        return bp_factory_say(f, BP_FAIL(EXISTS), "the mark %s is there already: it belongs to another folder", f->mark);
    }
    return bp_file_write(f->mark, BP_FILE_SECRET, bp_span_of(mark, n));
}

/* For who makes an anchor of it (ownership), or checks by hand what a plant asks for. */
static bp_result write_public(const struct making *m)
{
    uint8_t text[512];
    bp_wr w = bp_wr_over(text, sizeof text);
    bp_pem_write(&w, "PUBLIC KEY", bp_key_spki(m->key[MAKER]));
    BP_TRY(bp_wr_finish(&w));
    return write_file(m, "maker.pub", BP_FILE_PUBLIC, bp_wr_span(&w));
}

static bp_result fill(struct making *m, const char *mark)
{
    BP_TRY(make_folders(m));
    for (size_t i = 0; i < KEYS; i++) {
        BP_TRY(make_cert(m, i));
    }
    BP_TRY(write_public(m));
    BP_TRY(choose_mark(m, mark));
    BP_TRY(make_book(m));
    bp_result r = renameat2(AT_FDCWD, m->temp, AT_FDCWD, m->dir, RENAME_NOREPLACE) == 0 ? BP_OK : FAIL_ERRNO();
    if (bp_failed(r)) {
        (void)unlink(m->f->mark); /* made a moment ago, for nobody */
    }
    return r;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static bp_result begin(struct making *m)
{
    struct stat st;
    if (lstat(m->dir, &st) == 0) {
        return bp_factory_say(m->f, BP_FAIL(EXISTS), "%s is there already", m->dir);
    }
    size_t n = strlen(m->dir);
    while (n > 1 && m->dir[n - 1] == '/') {
        n--;
    }
    const int len = snprintf(m->temp, sizeof m->temp, "%.*s.new-XXXXXX", (int)n, m->dir);
    if (n == 0 || len < 0 || (size_t)len + 64 >= sizeof m->temp) {
        m->temp[0] = '\0';
        return bp_factory_say(m->f, BP_FAIL(BAD_ARGUMENT), "the folder's name is empty or too long");
    }
    if (mkdtemp(m->temp) == NULL) {
        m->temp[0] = '\0';
        return FAIL_ERRNO();
    }
    return BP_OK;
}

bp_result bp_factory_make(struct bp_factory *f, struct bp_crypto *c, const char *dir, const char *name, const char *mark,
                          char ret_passphrase[BP_FACTORY_PASSPHRASE + 1])
{
    *f = (struct bp_factory){.crypto = c, .clock = bp_clock_linux(), .entropy = bp_entropy_linux(), .lock = -1};
    if (!is_name(name)) {
        return bp_factory_say(f, BP_FAIL(BAD_ARGUMENT), "a maker has a name of 1 to %u bytes of text", BP_MANIFEST_TEXT_MAX);
    }
    (void)snprintf(f->maker, sizeof f->maker, "%s", name);
    struct making m = {.f = f, .dir = dir};
    bp_result r = begin(&m);
    if (!bp_failed(r)) {
        r = make_passphrase(&m);
    }
    if (!bp_failed(r)) {
        r = fill(&m, mark);
    }
    if (!bp_failed(r)) {
        memcpy(ret_passphrase, m.passphrase, sizeof m.passphrase);
    } else if (m.temp[0] != '\0') {
        (void)nftw(m.temp, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
    if (bp_failed(r) && f->said[0] == '\0') {
        r = bp_factory_say(f, r, "%s: %s", dir, bp_error_text(bp_error_of(r)));
    }
    bp_wipe(m.passphrase, sizeof m.passphrase);
    for (size_t i = 0; i < KEYS; i++) {
        bp_key_free(m.key[i]);
    }
    return r;
}
