/* SPDX-License-Identifier: Apache-2.0 */
/* broker/broker - see broker.h. */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/types.h>
#include <unistd.h>

#include "codec/base64.h"
#include "net/client.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE CLI

#define CERT_MAX     8192u
#define FILE_MAX     32u
#define PID_MAX      16u
#define READY_MS     50u /* between two looks at a broker that starts */
#define READY_TRIES  40u
#define TARGET_MAX   96u
#define LINE_MAX     512u
#define HELD_MS      70000u          /* a request that the server holds for fifty seconds */
#define QUICK_MS     1000            /* an answer that came sooner was not held */
#define PAUSE_MS     1000            /* after it, and after the first failure */
#define PAUSE_MAX_MS 16000
#define RELOAD_MS    (12 * 3600 * 1000LL) /* the broker reads a list without news again, for its later end */

/* One issuing CA of the server. */
struct authority {
    unsigned number;
    uint8_t *der;
    size_t n;
    struct bp_x509 issuer;      /* into der */
    struct bp_broker_list list; /* in force */
    enum bp_list_answer refused;
    int64_t warned_s;
    bool is_gone; /* the server has it no more; its list counts to its end */
};

struct broker {
    const struct bp_broker_spec *spec;
    struct bp_crypto *c;
    const struct bp_clock *clock;
    struct bp_client *client;
    uint8_t *root;
    size_t root_n;
    struct authority one[BP_BROKER_AUTHORITIES]; /* by rising numbers */
    size_t count;
    struct bp_broker_list done; /* of which all sessions were ended */
    int64_t read_ms;            /* monotonic: when the broker was told last; 0: never */
    bool is_away;               /* the server; told once */
    bool is_stuck;              /* sessions are left to be ended; told once */
    bool is_next_refused;       /* told once */
    uint32_t pause_ms;
    /* a batch of names */
    size_t names;
    char name[BP_CONTROL_NAMES][129];
};

/* -- words ------------------------------------------------------------------------------------------ */

static void tell(const struct broker *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const struct broker *b, const char *format, ...)
{
    char line[LINE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    b->spec->tell(line);
}

static int64_t now_s(const struct broker *b)
{
    return bp_wall_ms(b->clock) / 1000;
}

static void wait_ms(uint32_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* -- files ------------------------------------------------------------------------------------------ */

static bp_result path_in(const char *dir, const char *name, char ret[BP_BROKER_PATH_MAX])
{
    const int n = snprintf(ret, BP_BROKER_PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < (int)BP_BROKER_PATH_MAX ? BP_OK : BP_FAIL(LIMIT);
}

static bp_result read_in(const char *dir, const char *name, size_t max, uint8_t **ret, size_t *ret_n)
{
    char path[BP_BROKER_PATH_MAX];
    BP_TRY(path_in(dir, name, path));
    return bp_file_read(path, BP_FILE_PUBLIC, max, ret, ret_n);
}

static bp_result write_in(const char *dir, const char *name, bp_span s)
{
    char path[BP_BROKER_PATH_MAX];
    BP_TRY(path_in(dir, name, path));
    return bp_file_write(path, BP_FILE_PUBLIC, s);
}

static void put_pem(bp_wr *w, const char *label, bp_span der)
{
    const bp_span begin = BP_SPAN_STR("-----BEGIN "), end = BP_SPAN_STR("-----END "), close = BP_SPAN_STR("-----\n");
    bp_wr_bytes(w, begin);
    bp_wr_bytes(w, bp_span_cstr(label));
    bp_wr_bytes(w, close);
    for (size_t at = 0; at < der.n; at += 48) {
        bp_base64_write(w, bp_span_sub(der, at, der.n - at < 48 ? der.n - at : 48));
        bp_wr_u8(w, '\n');
    }
    bp_wr_bytes(w, end);
    bp_wr_bytes(w, bp_span_cstr(label));
    bp_wr_bytes(w, close);
}

static bp_result write_pem(const char *dir, const char *name, const char *label, const bp_span *ders, size_t count)
{
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        room += BP_BASE64_SIZE(ders[i].n) + ders[i].n / 48 + 128;
    }
    uint8_t *p = bp_alloc(room);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_wr w = bp_wr_over(p, room);
    for (size_t i = 0; i < count; i++) {
        put_pem(&w, label, ders[i]);
    }
    bp_result r = bp_wr_finish(&w);
    if (!bp_failed(r)) {
        r = write_in(dir, name, bp_wr_span(&w));
    }
    bp_free(p);
    return r;
}

/* "issuing.der" of the first issuing CA, "issuing-7.der" of the seventh after it; so with lists. */
static bp_result name_of(const char *stem, unsigned number, char ret[FILE_MAX])
{
    const int n = number == 0 ? snprintf(ret, FILE_MAX, "%s.der", stem) : snprintf(ret, FILE_MAX, "%s-%u.der", stem, number);
    return n > 0 && n < (int)FILE_MAX ? BP_OK : BP_FAIL(LIMIT);
}

static bp_result read_numbered(const char *dir, const char *stem, unsigned number, size_t max, uint8_t **ret, size_t *ret_n)
{
    char name[FILE_MAX];
    BP_TRY(name_of(stem, number, name));
    return read_in(dir, name, max, ret, ret_n);
}

static bp_result write_numbered(const char *dir, const char *stem, unsigned number, bp_span s)
{
    char name[FILE_MAX];
    BP_TRY(name_of(stem, number, name));
    return write_in(dir, name, s);
}

static void remove_numbered(const char *dir, const char *stem, unsigned number)
{
    char name[FILE_MAX], path[BP_BROKER_PATH_MAX];
    if (!bp_failed(name_of(stem, number, name)) && !bp_failed(path_in(dir, name, path))) {
        (void)unlink(path); /* what stays is read again at the next start, and dropped again */
    }
}

static bool is_by(const struct broker *b, const struct authority *a, const struct bp_crl *crl)
{
    return bp_span_equal(crl->issuer, a->issuer.subject) &&
           !bp_failed(bp_x509_verify(b->c, &a->issuer.key, crl->alg, crl->tbs, crl->signature));
}

/* A list of the folder, by the authority of that place or (BP_BROKER_AUTHORITIES) by any; NOT_FOUND is none. It was verified
 * before it was written, and is again. Its end is not judged: what was in force stays the measure of what is newer. */
static bp_result read_list(const struct broker *b, const char *stem, unsigned number, size_t by, struct bp_broker_list *ret)
{
    struct bp_broker_list l = {0};
    bool ok = false;
    const bp_result r = read_numbered(b->spec->dir, stem, number, BP_LIST_MAX, &l.der, &l.n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    if (!bp_failed(bp_crl_read(bp_span_of(l.der, l.n), &l.crl))) {
        for (size_t i = 0; i < b->count && !ok; i++) {
            ok = (by == BP_BROKER_AUTHORITIES || by == i) && is_by(b, &b->one[i], &l.crl);
        }
    }
    if (!ok) {
        bp_free(l.der);
        return BP_FAIL(DENIED);
    }
    *ret = l;
    return BP_OK;
}

/* -- the server ------------------------------------------------------------------------------------- */

static bp_result get(struct broker *b, const char *target, bp_span *ret)
{
    const struct bp_http *http = NULL;
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = target, .may_repeat = true};
    BP_TRY(bp_client_call(b->client, &rq, &http));
    if (http->status != 200) {
        return http->status == 404 ? BP_FAIL(NOT_FOUND) : BP_FAIL(BUSY);
    }
    *ret = bp_http_body(http);
    return BP_OK;
}

static bp_result keep(bp_span from, uint8_t **ret, size_t *ret_n)
{
    uint8_t *copy = bp_alloc(from.n);
    if (copy == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (from.n > 0) {
        memcpy(copy, from.p, from.n);
    }
    *ret = copy;
    *ret_n = from.n;
    return BP_OK;
}

/* From the folder, else from the server. */
static bp_result load_root(struct broker *b)
{
    uint8_t hash[BP_SHA256_SIZE];
    bp_span der;
    bp_result r = read_in(b->spec->dir, "root.der", CERT_MAX, &b->root, &b->root_n);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        BP_TRY(get(b, "/ca/root.cer", &der));
        r = keep(der, &b->root, &b->root_n);
    }
    BP_TRY(r);
    BP_TRY(bp_hash(b->c, BP_HASH_SHA256, bp_span_of(b->root, b->root_n), hash));
    return memcmp(hash, b->spec->anchor, sizeof hash) == 0 ? BP_OK : BP_FAIL(DENIED);
}

static void free_authority(struct authority *a)
{
    bp_free(a->der);
    bp_free(a->list.der);
    *a = (struct authority){.number = 0};
}

/* Takes der over, also when it fails. DENIED and the like: it is none of the root. */
static bp_result read_authority(const struct broker *b, unsigned number, uint8_t *der, size_t n, struct authority *ret)
{
    struct authority a = {.number = number, .der = der, .n = n, .refused = BP_LIST_NEW};
    const bp_result r = bp_list_issuer(b->c, bp_span_of(b->root, b->root_n), bp_span_of(der, n), &a.issuer);
    if (bp_failed(r)) {
        bp_free(der);
        return r;
    }
    *ret = a;
    return BP_OK;
}

/* The certificate of the issuing CA of that number from the server; NOT_FOUND: it has none. The caller frees *ret. */
static bp_result get_issuing(struct broker *b, unsigned number, uint8_t **ret, size_t *ret_n)
{
    char target[TARGET_MAX];
    bp_span der = BP_SPAN_EMPTY;
    (void)snprintf(target, sizeof target, "/ca/issuing-%u.cer", number);
    BP_TRY(get(b, target, &der));
    return keep(der, ret, ret_n);
}

/* Those of the folder. */
static bp_result load_authorities(struct broker *b)
{
    for (unsigned i = 0; i <= BP_BROKER_ROLLS_MAX; i++) {
        uint8_t *der = NULL;
        size_t n = 0;
        const bp_result r = read_numbered(b->spec->dir, "issuing", i, CERT_MAX, &der, &n);
        if (bp_is(r, BP_E_NOT_FOUND)) {
            continue;
        }
        BP_TRY(r);
        if (b->count == BP_BROKER_AUTHORITIES) { /* its files could not be removed when it was dropped */
            free_authority(&b->one[0]);
            b->one[0] = b->one[1];
            b->count--;
        }
        BP_TRY(read_authority(b, i, der, n, &b->one[b->count]));
        b->count++;
        BP_TRY(read_list(b, "list", i, b->count - 1, &b->one[b->count - 1].list));
    }
    return BP_OK;
}

/* The first one that the server has: the one in force, or the one before it. */
static bp_result find_authority(struct broker *b)
{
    uint8_t *der = NULL;
    size_t n = 0;
    for (unsigned i = 0; i <= BP_BROKER_ROLLS_MAX; i++) {
        const bp_result r = get_issuing(b, i, &der, &n);
        if (!bp_failed(r)) {
            BP_TRY(read_authority(b, i, der, n, &b->one[0]));
            b->count = 1;
            return BP_OK;
        }
        if (!bp_is(r, BP_E_NOT_FOUND)) {
            return r;
        }
    }
    return BP_FAIL(NOT_FOUND);
}

static bp_result load_certs(struct broker *b)
{
    BP_TRY(load_root(b));
    BP_TRY(load_authorities(b));
    return b->count > 0 ? BP_OK : find_authority(b);
}

/* What the broker needs beside the lists; written with the first list of an authority, which shows that it is the one meant. */
static bp_result write_certs(const struct broker *b)
{
    bp_span ders[1 + BP_BROKER_AUTHORITIES] = {bp_span_of(b->root, b->root_n)};
    BP_TRY(write_in(b->spec->dir, "root.der", ders[0]));
    for (size_t i = 0; i < b->count; i++) {
        ders[1 + i] = bp_span_of(b->one[i].der, b->one[i].n);
        BP_TRY(write_numbered(b->spec->dir, "issuing", b->one[i].number, ders[1 + i]));
    }
    return write_pem(b->spec->dir, "ca.pem", "CERTIFICATE", ders, 1 + b->count);
}

/* The lists in force of all authorities, in one file. */
static bp_result write_lists(const struct broker *b)
{
    bp_span ders[BP_BROKER_AUTHORITIES];
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->one[i].list.der != NULL) {
            ders[n++] = bp_span_of(b->one[i].list.der, b->one[i].list.n);
        }
    }
    return n == 0 ? BP_OK : write_pem(b->spec->dir, "crl.pem", "X509 CRL", ders, n);
}

/* The list with the highest number: lists of one number name the same, whichever authority they are of. */
static const struct bp_broker_list *newest_list(const struct broker *b)
{
    const struct bp_broker_list *l = NULL;
    for (size_t i = 0; i < b->count; i++) {
        const struct bp_broker_list *own = &b->one[i].list;
        l = own->der != NULL && (l == NULL || own->crl.number >= l->crl.number) ? own : l;
    }
    return l;
}

/* -- the broker ------------------------------------------------------------------------------------- */

static bool is_mosquitto(long pid)
{
    char path[64], name[32];
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name);
    if (fd >= 0) {
        (void)close(fd);
    }
    return n > 0 && bp_span_equal(bp_span_of(name, (size_t)n), BP_SPAN_STR("mosquitto\n"));
}

/* Whether the process has a handler for SIGHUP: one that is starting has none yet, and would end by it. */
static bool catches_hangup(long pid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n < 0 ? 0 : n] = 0;
    const char *mask = strstr(text, "\nSigCgt:\t");
    return mask != NULL && (strtoull(mask + 9, NULL, 16) >> (SIGHUP - 1) & 1u) != 0;
}

/* A broker that has just been started is given the time to listen to signals. */
static bool is_ready(long pid)
{
    for (unsigned i = 0; i < READY_TRIES && is_mosquitto(pid); i++) {
        if (catches_hangup(pid)) {
            return true;
        }
        wait_ms(READY_MS);
    }
    return false;
}

/* A broker that does not run reads the new list when it starts. */
static void reload(struct broker *b)
{
    uint8_t *text = NULL;
    size_t n = 0;
    if (b->spec->pid_file == NULL) {
        return;
    }
    const bp_result r = bp_file_read(b->spec->pid_file, BP_FILE_PUBLIC, PID_MAX, &text, &n);
    const long pid = bp_failed(r) ? 0 : strtol((const char *)text, NULL, 10);
    bp_free(text);
    if (pid > 1 && is_ready(pid)) {
        if (kill((pid_t)pid, SIGHUP) == 0) {
            b->read_ms = bp_mono_ms(b->clock);
        } else if (errno != ESRCH) {
            tell(b, "process %ld of the broker cannot be told: %s; run as its user", pid, strerror(errno));
        }
    }
}

static bp_result end_batch(struct broker *b)
{
    const char *names[BP_CONTROL_NAMES];
    if (b->names == 0) {
        return BP_OK;
    }
    for (size_t i = 0; i < b->names; i++) {
        names[i] = b->name[i];
    }
    const size_t count = b->names;
    b->names = 0;
    BP_TRY(bp_control_end(&b->spec->control, names, count));
    for (size_t i = 0; i < count; i++) {
        tell(b, "ended the sessions of %s", names[i]);
    }
    return BP_OK;
}

static bp_result end_one(void *self, bp_span serial)
{
    static const char hex[] = "0123456789abcdef";
    struct broker *b = self;
    char target[TARGET_MAX] = "/ca/revoked/";
    bp_span der, name = BP_SPAN_EMPTY;
    size_t at = strlen(target);
    for (size_t i = 0; i < serial.n && at + 8 < sizeof target; i++) {
        target[at++] = hex[serial.p[i] >> 4];
        target[at++] = hex[serial.p[i] & 15];
    }
    memcpy(target + at, ".cer", 5);
    BP_TRY(get(b, target, &der));
    bp_result r = BP_FAIL(MISMATCH);
    for (size_t i = 0; i < b->count && bp_is(r, BP_E_MISMATCH); i++) {
        r = bp_list_name(b->c, &b->one[i].issuer, der, serial, &name);
    }
    BP_TRY(r);
    memcpy(b->name[b->names], name.p, name.n);
    b->name[b->names][name.n] = 0;
    b->names++;
    return b->names == BP_CONTROL_NAMES ? end_batch(b) : BP_OK;
}

/* Ends the sessions of everybody whom the list in force names and the last one that was done did not. */
static void end_sessions(struct broker *b)
{
    struct bp_broker_list l = {0};
    const struct bp_broker_list *now = newest_list(b);
    if (!b->spec->has_control || now == NULL || (b->done.der != NULL && b->done.crl.number == now->crl.number)) {
        return;
    }
    b->names = 0;
    bp_result r = bp_list_more(&now->crl, b->done.der == NULL ? NULL : &b->done.crl, end_one, b);
    if (!bp_failed(r)) {
        r = end_batch(b);
    }
    if (!bp_failed(r)) {
        r = keep(bp_span_of(now->der, now->n), &l.der, &l.n);
    }
    if (!bp_failed(r)) {
        r = bp_crl_read(bp_span_of(l.der, l.n), &l.crl);
    }
    if (!bp_failed(r)) {
        r = write_in(b->spec->dir, "done.der", bp_span_of(l.der, l.n));
    }
    if (bp_failed(r)) {
        bp_free(l.der);
        if (!b->is_stuck) {
            tell(b, "sessions of revoked clients could not be ended (%s); tried again until they are",
                 bp_error_name(bp_error_of(r)));
        }
        b->is_stuck = true;
        return;
    }
    bp_free(b->done.der);
    b->done = l;
    b->is_stuck = false;
}

/* -- lists ------------------------------------------------------------------------------------------ */

static bp_result put_in_force(struct broker *b, struct authority *a, bp_span der)
{
    struct bp_broker_list l = {0}, before = a->list;
    BP_TRY(keep(der, &l.der, &l.n));
    bp_result r = bp_crl_read(bp_span_of(l.der, l.n), &l.crl);
    if (!bp_failed(r) && before.der == NULL) {
        r = write_certs(b);
    }
    /* Also when somebody is no longer on it: whoever was only suspended may come in again. */
    const bool news = before.der == NULL || (!bp_failed(r) && !bp_span_equal(l.crl.entries, before.crl.entries));
    a->list = l;
    if (!bp_failed(r)) {
        r = write_lists(b);
    }
    if (!bp_failed(r)) {
        r = write_numbered(b->spec->dir, "list", a->number, bp_span_of(l.der, l.n));
    }
    if (bp_failed(r)) {
        a->list = before;
        bp_free(l.der);
        return r;
    }
    bp_free(before.der);
    if (news || b->read_ms == 0 || bp_mono_ms(b->clock) - b->read_ms >= RELOAD_MS) {
        reload(b);
    }
    if (a->number == 0) {
        tell(b, "list %llu is in force: %zu revoked%s", (unsigned long long)l.crl.number, l.crl.count, news ? "" : ", as before");
    } else {
        tell(b, "list %llu of issuing CA %u is in force: %zu revoked%s", (unsigned long long)l.crl.number, a->number, l.crl.count,
             news ? "" : ", as before");
    }
    return BP_OK;
}

static void take(struct broker *b, struct authority *a, bp_span der)
{
    struct bp_crl crl;
    const struct bp_crl *before = a->list.der == NULL ? NULL : &a->list.crl;
    const enum bp_list_answer is = bp_list_judge(b->c, &a->issuer, before, der, now_s(b), &crl);
    if (is == BP_LIST_NEW) {
        const bp_result r = put_in_force(b, a, der);
        if (bp_failed(r)) {
            tell(b, "list %llu could not be put in force: %s", (unsigned long long)crl.number,
                 bp_error_name(bp_error_of(r)));
            b->pause_ms = PAUSE_MS;
        }
    } else if (is != BP_LIST_SAME && is != a->refused) {
        tell(b, "a list was refused: it is %s", bp_list_text(is));
    }
    a->refused = is == BP_LIST_NEW || is == BP_LIST_SAME ? BP_LIST_NEW : is;
    b->pause_ms = is == BP_LIST_NEW || is == BP_LIST_SAME ? b->pause_ms : PAUSE_MS;
}

/* -- authorities that come and go -------------------------------------------------------------------- */

static void drop_first(struct broker *b)
{
    const unsigned number = b->one[0].number;
    free_authority(&b->one[0]);
    memmove(&b->one[0], &b->one[1], (b->count - 1) * sizeof b->one[0]);
    b->count--;
    remove_numbered(b->spec->dir, "list", number);
    remove_numbered(b->spec->dir, "issuing", number);
    const bp_result certs = write_certs(b);
    const bp_result lists = write_lists(b);
    if (bp_failed(certs) || bp_failed(lists)) {
        tell(b, "issuing CA %u is not in the broker's files any more when they can be written again", number);
    } else {
        tell(b, "issuing CA %u is out of force", number);
    }
    reload(b);
}

static void refuse_next(struct broker *b, unsigned number, const char *what, const char *why)
{
    if (!b->is_next_refused) {
        tell(b, "issuing CA %u was refused: %s %s", number, what, why);
    }
    b->is_next_refused = true;
}

/* After a roll-over the server has another. It is believed by the root's own signature and its own over its first list: other
 * authorities of the root sign no lists. A third one shows that the first of two was taken out, which the server does when
 * every certificate of it has expired. */
static void look_for_next(struct broker *b)
{
    const unsigned next = b->one[b->count - 1].number + 1;
    struct authority a = {.number = next};
    struct bp_crl crl;
    char target[TARGET_MAX];
    uint8_t *der = NULL;
    size_t n = 0;
    bp_span list = BP_SPAN_EMPTY;
    if (next > BP_BROKER_ROLLS_MAX || bp_failed(get_issuing(b, next, &der, &n))) {
        return; /* none has come, or the round's own request says what is wrong */
    }
    if (bp_failed(read_authority(b, next, der, n, &a))) {
        refuse_next(b, next, "it is", "none of the root's");
        return;
    }
    (void)snprintf(target, sizeof target, "/crl/issuing-%u.crl", next);
    if (bp_failed(get(b, target, &list))) {
        free_authority(&a); /* its list is not made yet */
        return;
    }
    const enum bp_list_answer is = bp_list_judge(b->c, &a.issuer, NULL, list, now_s(b), &crl);
    if (is != BP_LIST_NEW) {
        free_authority(&a);
        refuse_next(b, next, "its list is", bp_list_text(is));
        return;
    }
    b->is_next_refused = false;
    if (b->count == BP_BROKER_AUTHORITIES) {
        drop_first(b);
    }
    b->one[b->count++] = a;
    take(b, &b->one[b->count - 1], list);
}

/* A list that has run out names nobody to the broker: it refuses every client of that issuer, and none has a certificate. */
static void drop_what_is_over(struct broker *b)
{
    const struct authority *first = &b->one[0];
    if (b->count > 1 && first->is_gone && (first->list.der == NULL || first->list.crl.next_s <= now_s(b))) {
        drop_first(b);
    }
}

/* -- rounds ----------------------------------------------------------------------------------------- */

static void note_reach(struct broker *b, bp_result r)
{
    if (!bp_failed(r) && b->is_away) {
        tell(b, "the server answers again");
    } else if (bp_failed(r) && !b->is_away) {
        tell(b, "the server's status listener does not answer (%s); the list in force counts on",
             bp_error_name(bp_error_of(r)));
    }
    b->is_away = bp_failed(r);
    if (!bp_failed(r)) {
        b->pause_ms = 0;
    } else {
        b->pause_ms = b->pause_ms < PAUSE_MS ? PAUSE_MS : b->pause_ms >= PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * b->pause_ms;
    }
}

static void warn_of_end(struct broker *b, struct authority *a)
{
    const int64_t left = a->list.crl.next_s - now_s(b);
    const int64_t since = now_s(b) - a->warned_s;
    if (a->list.der != NULL && !a->is_gone && left < (a->list.crl.next_s - a->list.crl.this_s) / 2 &&
        (since >= 86400 || since < 0)) {
        tell(b, "list %llu ends in %lld hours; then the broker refuses everybody", (unsigned long long)a->list.crl.number,
             (long long)(left / 3600));
        a->warned_s = now_s(b);
    }
}

/* One request for the list of an authority; may_wait: the server may hold it until there is a newer one. */
static bp_result follow(struct broker *b, struct authority *a, bool may_wait)
{
    char target[TARGET_MAX];
    bp_span der = BP_SPAN_EMPTY;
    if (may_wait && a->list.der != NULL) {
        (void)snprintf(target, sizeof target, "/crl/issuing-%u.crl?after=%llu", a->number,
                       (unsigned long long)a->list.crl.number);
    } else {
        (void)snprintf(target, sizeof target, "/crl/issuing-%u.crl", a->number);
    }
    const bp_result r = get(b, target, &der);
    a->is_gone = bp_is(r, BP_E_NOT_FOUND) || (a->is_gone && bp_failed(r));
    if (!bp_failed(r)) {
        take(b, a, der);
    }
    return a->is_gone ? BP_OK : r;
}

/* Whether the list of another authority is still to come to the number of the newest one's. */
static bool is_behind(const struct broker *b)
{
    const struct bp_broker_list *newest = newest_list(b);
    for (size_t i = 0; i < b->count; i++) {
        const struct authority *a = &b->one[i];
        if (!a->is_gone && (a->list.der == NULL || a->list.crl.number < newest->crl.number)) {
            return true;
        }
    }
    return false;
}

static void round_once(struct broker *b)
{
    const int64_t begin = bp_mono_ms(b->clock);
    const uint64_t before = newest_list(b) == NULL ? 0 : newest_list(b)->crl.number;
    if (!b->is_away) {
        look_for_next(b);
    }
    /* Nothing is waited for while sessions are left to be ended or a list to be fetched, and after an outage: it may have been
     * a roll-over, and then another authority is to be looked for. */
    struct authority *const newest = &b->one[b->count - 1];
    bp_result r = follow(b, newest, !b->is_stuck && !b->is_away && !newest->is_gone && !is_behind(b));
    for (size_t i = 0; i + 1 < b->count && !bp_failed(r); i++) {
        r = follow(b, &b->one[i], false);
    }
    note_reach(b, r);
    end_sessions(b);
    for (size_t i = 0; i < b->count; i++) {
        warn_of_end(b, &b->one[i]);
    }
    drop_what_is_over(b);
    const struct bp_broker_list *now = newest_list(b);
    if (now != NULL && now->crl.number == before && bp_mono_ms(b->clock) - begin < QUICK_MS && b->pause_ms == 0) {
        b->pause_ms = PAUSE_MS;
    }
}

static bp_result begin(struct broker *b)
{
    const struct bp_client_spec spec = {
        .host = b->spec->host, .port = b->spec->port, .total_ms = HELD_MS, .answer_max = BP_LIST_MAX};
    BP_TRY(bp_client_new(NULL, &spec, &b->client));
    BP_TRY(load_certs(b));
    const bp_result done = read_list(b, "done", 0, BP_BROKER_AUTHORITIES, &b->done);
    if (!bp_is(done, BP_E_DENIED)) { /* of an authority that was dropped since: everybody on the list is new then */
        BP_TRY(done);
    }
    if (newest_list(b) != NULL) {
        /* A cut between the files of a list left the broker's the newer; they are what they were, or this makes them so. */
        BP_TRY(write_certs(b));
        BP_TRY(write_lists(b));
        reload(b);
    }
    return BP_OK;
}

bp_result bp_broker_run(struct bp_crypto *c, const struct bp_clock *clock, const struct bp_broker_spec *spec)
{
    struct broker *b = bp_alloc(sizeof *b);
    if (b == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    *b = (struct broker){.spec = spec, .c = c, .clock = clock};
    const bp_result r = begin(b);
    for (uint32_t i = 0; !bp_failed(r) && (spec->rounds == 0 || i < spec->rounds); i++) {
        wait_ms(b->pause_ms);
        b->pause_ms = b->is_away ? b->pause_ms : 0;
        round_once(b);
    }
    bp_client_free(b->client);
    bp_free(b->root);
    for (size_t i = 0; i < b->count; i++) {
        free_authority(&b->one[i]);
    }
    bp_free(b->done.der);
    bp_free(b);
    return r;
}

bp_result bp_broker_state(const char *dir, struct bp_broker_state *ret)
{
    struct bp_broker_state s = {0};
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_crl crl;
    bp_result r = BP_FAIL(NOT_FOUND);
    for (unsigned i = BP_BROKER_ROLLS_MAX + 1; i > 0 && bp_is(r, BP_E_NOT_FOUND); i--) { /* of the newest authority that has one */
        r = read_numbered(dir, "list", i - 1, BP_LIST_MAX, &der, &n);
    }
    BP_TRY(r);
    r = bp_crl_read(bp_span_of(der, n), &crl);
    if (!bp_failed(r)) {
        s = (struct bp_broker_state){
            .number = crl.number, .count = crl.count, .this_s = crl.this_s, .next_s = crl.next_s};
    }
    bp_free(der);
    der = NULL;
    if (!bp_failed(r) && !bp_failed(read_in(dir, "done.der", BP_LIST_MAX, &der, &n))) {
        s.done = !bp_failed(bp_crl_read(bp_span_of(der, n), &crl)) ? crl.number : 0;
        bp_free(der);
    }
    if (!bp_failed(r)) {
        *ret = s;
    }
    return r;
}
