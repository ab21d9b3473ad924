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
#define PID_MAX      16u
#define TARGET_MAX   96u
#define LINE_MAX     512u
#define HELD_MS      70000u          /* a request that the server holds for fifty seconds */
#define QUICK_MS     1000            /* an answer that came sooner was not held */
#define PAUSE_MS     1000            /* after it, and after the first failure */
#define PAUSE_MAX_MS 16000
#define RELOAD_MS    (12 * 3600 * 1000LL) /* the broker reads a list without news again, for its later end */
#define WARN_S       (15 * 86400LL)  /* of a list that is to last 31 days */

struct broker {
    const struct bp_broker_spec *spec;
    struct bp_crypto *c;
    const struct bp_clock *clock;
    struct bp_client *client;
    uint8_t *root, *issuing;
    size_t root_n, issuing_n;
    struct bp_x509 issuer; /* into issuing */
    struct bp_broker_list list; /* in force */
    struct bp_broker_list done; /* of which all sessions were ended */
    int64_t read_ms;            /* monotonic: when the broker was told last; 0: never */
    bool is_away;               /* the server; told once */
    bool is_stuck;              /* sessions are left to be ended; told once */
    enum bp_list_answer refused;
    int64_t warned_s;
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

/* A list of the folder; NOT_FOUND is none. It was verified before it was written, and is again. */
static bp_result read_list(const struct broker *b, const char *name, struct bp_broker_list *ret)
{
    struct bp_broker_list l = {0};
    const bp_result r = read_in(b->spec->dir, name, BP_LIST_MAX, &l.der, &l.n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    /* Its end is not judged here: what was in force stays the measure of what is newer. */
    if (bp_failed(bp_crl_read(bp_span_of(l.der, l.n), &l.crl)) || !bp_span_equal(l.crl.issuer, b->issuer.subject) ||
        bp_failed(bp_x509_verify(b->c, &b->issuer.key, l.crl.alg, l.crl.tbs, l.crl.signature))) {
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
static bp_result get_cert(struct broker *b, const char *name, const char *target, uint8_t **ret, size_t *ret_n)
{
    bp_span der;
    const bp_result r = read_in(b->spec->dir, name, CERT_MAX, ret, ret_n);
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    BP_TRY(get(b, target, &der));
    return keep(der, ret, ret_n);
}

static bp_result load_root(struct broker *b)
{
    uint8_t hash[BP_SHA256_SIZE];
    BP_TRY(get_cert(b, "root.der", "/ca/root.cer", &b->root, &b->root_n));
    BP_TRY(bp_hash(b->c, BP_HASH_SHA256, bp_span_of(b->root, b->root_n), hash));
    return memcmp(hash, b->spec->anchor, sizeof hash) == 0 ? BP_OK : BP_FAIL(DENIED);
}

static bp_result load_certs(struct broker *b)
{
    BP_TRY(load_root(b));
    BP_TRY(get_cert(b, "issuing.der", "/ca/issuing.cer", &b->issuing, &b->issuing_n));
    return bp_list_issuer(b->c, bp_span_of(b->root, b->root_n), bp_span_of(b->issuing, b->issuing_n), &b->issuer);
}

/* What the broker needs beside the list; written with the first list, which shows that the issuer is the one meant. */
static bp_result write_certs(const struct broker *b)
{
    const bp_span ders[] = {bp_span_of(b->root, b->root_n), bp_span_of(b->issuing, b->issuing_n)};
    BP_TRY(write_in(b->spec->dir, "root.der", ders[0]));
    BP_TRY(write_in(b->spec->dir, "issuing.der", ders[1]));
    return write_pem(b->spec->dir, "ca.pem", "CERTIFICATE", ders, 2);
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
    if (pid > 1 && is_mosquitto(pid)) {
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
    bp_span der, name;
    size_t at = strlen(target);
    for (size_t i = 0; i < serial.n && at + 8 < sizeof target; i++) {
        target[at++] = hex[serial.p[i] >> 4];
        target[at++] = hex[serial.p[i] & 15];
    }
    memcpy(target + at, ".cer", 5);
    BP_TRY(get(b, target, &der));
    BP_TRY(bp_list_name(b->c, &b->issuer, der, serial, &name));
    memcpy(b->name[b->names], name.p, name.n);
    b->name[b->names][name.n] = 0;
    b->names++;
    return b->names == BP_CONTROL_NAMES ? end_batch(b) : BP_OK;
}

/* Ends the sessions of everybody whom the list in force names and the last one that was done did not. */
static void end_sessions(struct broker *b)
{
    struct bp_broker_list l = {0};
    if (!b->spec->has_control || (b->done.der != NULL && b->done.crl.number == b->list.crl.number)) {
        return;
    }
    b->names = 0;
    bp_result r = bp_list_more(&b->list.crl, b->done.der == NULL ? NULL : &b->done.crl, end_one, b);
    if (!bp_failed(r)) {
        r = end_batch(b);
    }
    if (!bp_failed(r)) {
        r = keep(bp_span_of(b->list.der, b->list.n), &l.der, &l.n);
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

static bp_result put_in_force(struct broker *b, bp_span der)
{
    struct bp_broker_list l = {0};
    BP_TRY(keep(der, &l.der, &l.n));
    bp_result r = bp_crl_read(bp_span_of(l.der, l.n), &l.crl);
    if (!bp_failed(r) && b->list.der == NULL) {
        r = write_certs(b);
    }
    /* Also when somebody is no longer on it: whoever was only suspended may come in again. */
    const bool news = b->list.der == NULL || (!bp_failed(r) && !bp_span_equal(l.crl.entries, b->list.crl.entries));
    const bp_span pem = bp_span_of(l.der, l.n);
    if (!bp_failed(r)) {
        r = write_pem(b->spec->dir, "crl.pem", "X509 CRL", &pem, 1);
    }
    if (!bp_failed(r)) {
        r = write_in(b->spec->dir, "list.der", pem);
    }
    if (bp_failed(r)) {
        bp_free(l.der);
        return r;
    }
    bp_free(b->list.der);
    b->list = l;
    if (news || b->read_ms == 0 || bp_mono_ms(b->clock) - b->read_ms >= RELOAD_MS) {
        reload(b);
    }
    tell(b, "list %llu is in force: %zu revoked%s", (unsigned long long)l.crl.number, l.crl.count,
         news ? "" : ", as before");
    return BP_OK;
}

static void take(struct broker *b, bp_span der)
{
    struct bp_crl crl;
    const struct bp_crl *before = b->list.der == NULL ? NULL : &b->list.crl;
    const enum bp_list_answer a = bp_list_judge(b->c, &b->issuer, before, der, now_s(b), &crl);
    if (a == BP_LIST_NEW) {
        const bp_result r = put_in_force(b, der);
        if (bp_failed(r)) {
            tell(b, "list %llu could not be put in force: %s", (unsigned long long)crl.number,
                 bp_error_name(bp_error_of(r)));
            b->pause_ms = PAUSE_MS;
        }
    } else if (a != BP_LIST_SAME && a != b->refused) {
        tell(b, "a list was refused: it is %s", bp_list_text(a));
    }
    b->refused = a == BP_LIST_NEW || a == BP_LIST_SAME ? BP_LIST_NEW : a;
    b->pause_ms = a == BP_LIST_NEW || a == BP_LIST_SAME ? b->pause_ms : PAUSE_MS;
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

static void warn_of_end(struct broker *b)
{
    const int64_t left = b->list.crl.next_s - now_s(b);
    const int64_t since = now_s(b) - b->warned_s;
    if (b->list.der != NULL && left < WARN_S && (since >= 86400 || since < 0)) {
        tell(b, "list %llu ends in %lld hours; then the broker refuses everybody", (unsigned long long)b->list.crl.number,
             (long long)(left / 3600));
        b->warned_s = now_s(b);
    }
}

static void round_once(struct broker *b)
{
    char target[TARGET_MAX];
    bp_span der = BP_SPAN_EMPTY;
    const int64_t begin = bp_mono_ms(b->clock);
    /* While sessions are left to be ended nothing is waited for. */
    if (b->list.der == NULL || b->is_stuck) {
        (void)snprintf(target, sizeof target, "/crl/issuing-0.crl");
    } else {
        (void)snprintf(target, sizeof target, "/crl/issuing-0.crl?after=%llu", (unsigned long long)b->list.crl.number);
    }
    const uint64_t before = b->list.der == NULL ? 0 : b->list.crl.number;
    const bp_result r = get(b, target, &der);
    note_reach(b, r);
    if (!bp_failed(r)) {
        take(b, der);
    }
    if (b->list.der != NULL) {
        end_sessions(b);
    }
    warn_of_end(b);
    if (b->list.der != NULL && b->list.crl.number == before && bp_mono_ms(b->clock) - begin < QUICK_MS && b->pause_ms == 0) {
        b->pause_ms = PAUSE_MS;
    }
}

static bp_result begin(struct broker *b)
{
    const struct bp_client_spec spec = {
        .host = b->spec->host, .port = b->spec->port, .total_ms = HELD_MS, .answer_max = BP_LIST_MAX};
    BP_TRY(bp_client_new(NULL, &spec, &b->client));
    BP_TRY(load_certs(b));
    BP_TRY(read_list(b, "list.der", &b->list));
    BP_TRY(read_list(b, "done.der", &b->done));
    if (b->list.der != NULL) {
        /* A cut between the two files of a list left the broker's one the newer; both are what they were, or this makes them so. */
        const bp_span pem = bp_span_of(b->list.der, b->list.n);
        BP_TRY(write_pem(b->spec->dir, "crl.pem", "X509 CRL", &pem, 1));
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
    *b = (struct broker){.spec = spec, .c = c, .clock = clock, .refused = BP_LIST_NEW};
    const bp_result r = begin(b);
    for (uint32_t i = 0; !bp_failed(r) && (spec->rounds == 0 || i < spec->rounds); i++) {
        wait_ms(b->pause_ms);
        b->pause_ms = b->is_away ? b->pause_ms : 0;
        round_once(b);
    }
    bp_client_free(b->client);
    bp_free(b->root);
    bp_free(b->issuing);
    bp_free(b->list.der);
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
    BP_TRY(read_in(dir, "list.der", BP_LIST_MAX, &der, &n));
    bp_result r = bp_crl_read(bp_span_of(der, n), &crl);
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
