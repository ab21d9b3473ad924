/* SPDX-License-Identifier: Apache-2.0 */
/* cli/factory - the folder opened; orders, units and batches entered. */
#include "cli/factory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "codec/cose.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"

#define BP_MODULE CLI

#define SETTINGS_MAX 2048u

bp_result bp_factory_say(struct bp_factory *f, bp_result r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(f->said, sizeof f->said, format, ap);
    va_end(ap);
    return r;
}

static bp_result path_of(const struct bp_factory *f, const char *name, char ret[BP_FACTORY_PATH_MAX])
{
    const int n = snprintf(ret, BP_FACTORY_PATH_MAX, "%s/%s", f->dir, name);
    return n > 0 && (size_t)n < BP_FACTORY_PATH_MAX ? BP_OK : BP_FAIL(LIMIT);
}

bp_result bp_factory_key_path(const struct bp_factory *f, enum bp_factory_key which, char ret[BP_FACTORY_PATH_MAX])
{
    return path_of(f, which == BP_FACTORY_IDEVID ? "keys/idevid.pem" : "keys/maker.pem", ret);
}

bp_result bp_factory_cert(struct bp_factory *f, const char *name, uint8_t **ret, size_t *ret_n)
{
    char relative[64], path[BP_FACTORY_PATH_MAX];
    (void)snprintf(relative, sizeof relative, "certs/%s.der", name);
    BP_TRY(path_of(f, relative, path));
    const bp_result r = bp_file_read(path, BP_FILE_PUBLIC, BP_CERT_MAX, ret, ret_n);
    return bp_failed(r) ? bp_factory_say(f, r, "%s: %s", path, bp_error_text(bp_error_of(r))) : r;
}

/* --- opening --- */

static bp_result take_lock(struct bp_factory *f)
{
    char path[BP_FACTORY_PATH_MAX];
    BP_TRY(path_of(f, "lock", path));
    f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->lock < 0) {
        const bp_result r = bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
        return bp_factory_say(f, r, "%s: %s. `bedplate factory init` makes a folder", f->dir, bp_error_text(bp_error_of(r)));
    }
    return flock(f->lock, LOCK_EX | LOCK_NB) == 0
               ? BP_OK
               : bp_factory_say(f, BP_FAIL(BUSY), "%s: another command works in this folder", f->dir);
}

/* A line of text into ret; the rest stays. */
static bool take_line(bp_span *rest, char *ret, size_t cap)
{
    const uint8_t *end = rest->n != 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    const size_t n = end != NULL ? (size_t)(end - rest->p) : 0;
    if (n == 0 || n >= cap) {
        return false;
    }
    memcpy(ret, rest->p, n);
    ret[n] = '\0';
    *rest = bp_span_sub(*rest, n + 1, rest->n - n - 1);
    return true;
}

static bp_result read_settings(struct bp_factory *f)
{
    char path[BP_FACTORY_PATH_MAX];
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(path_of(f, "factory", path));
    bp_result r = bp_file_read(path, BP_FILE_PUBLIC, SETTINGS_MAX, &p, &n);
    bp_span rest = bp_span_of(p, n);
    if (!bp_failed(r) && (!take_line(&rest, f->maker, sizeof f->maker) || !take_line(&rest, f->mark, sizeof f->mark))) {
        r = BP_FAIL(MALFORMED);
    }
    bp_free(p);
    return bp_failed(r) ? bp_factory_say(f, r, "%s: %s", path, bp_error_text(bp_error_of(r))) : BP_OK;
}

static bp_result read_book(struct bp_factory *f)
{
    char path[BP_FACTORY_PATH_MAX];
    size_t n = 0;
    bp_free(f->bytes);
    f->bytes = NULL;
    BP_TRY(path_of(f, "book", path));
    bp_result r = bp_file_read(path, BP_FILE_SECRET, BP_BOOK_MAX, &f->bytes, &n);
    if (!bp_failed(r)) {
        r = bp_book_read(f->crypto, bp_span_of(f->bytes, n), &f->book);
    }
    return bp_failed(r) ? bp_factory_say(f, r, "%s: %s", path,
                                         bp_is(r, BP_E_MALFORMED) ? "the book is damaged" : bp_error_text(bp_error_of(r)))
                        : BP_OK;
}

static bp_result write_mark(struct bp_factory *f)
{
    uint8_t mark[BP_MARK_MAX];
    size_t n = 0;
    BP_TRY(bp_mark_write(&f->book, mark, &n));
    const bp_result r = bp_file_write(f->mark, BP_FILE_SECRET, bp_span_of(mark, n));
    return bp_failed(r) ? bp_factory_say(f, r, "the mark %s: %s", f->mark, bp_error_text(bp_error_of(r))) : BP_OK;
}

/* A book that went on beyond its mark was cut off between the two; the mark follows, or a copy from before could pass. */
static bp_result check_mark(struct bp_factory *f)
{
    uint8_t *p = NULL;
    size_t n = 0;
    bp_result r = bp_file_read(f->mark, BP_FILE_SECRET, BP_MARK_MAX, &p, &n);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return bp_factory_say(f, BP_FAIL(REPLAYED),
                              "the mark %s is missing: it tells whether this folder is an older copy. Bring it along when a "
                              "folder moves",
                              f->mark);
    }
    if (!bp_failed(r)) {
        r = bp_mark_check(f->crypto, bp_span_of(p, n), &f->book);
    }
    bp_free(p);
    if (bp_is(r, BP_E_REPLAYED)) {
        return bp_factory_say(f, r,
                              "%s is an older copy, or another book, than this machine last wrote: units that it does not "
                              "know have been counted",
                              f->dir);
    }
    return bp_failed(r) ? bp_factory_say(f, r, "the mark %s: %s", f->mark, bp_error_text(bp_error_of(r))) : write_mark(f);
}

bp_result bp_factory_open(struct bp_factory *f, struct bp_crypto *c, const char *dir)
{
    *f = (struct bp_factory){.crypto = c, .clock = bp_clock_linux(), .entropy = bp_entropy_linux(), .lock = -1};
    const size_t n = strlen(dir);
    if (n == 0 || n + 64 >= sizeof f->dir) {
        return bp_factory_say(f, BP_FAIL(BAD_ARGUMENT), "the folder's name is empty or too long");
    }
    memcpy(f->dir, dir, n + 1);
    BP_TRY(take_lock(f));
    BP_TRY(read_settings(f));
    BP_TRY(read_book(f));
    return check_mark(f);
}

void bp_factory_close(struct bp_factory *f)
{
    bp_free(f->bytes);
    f->bytes = NULL;
    if (f->lock >= 0) {
        (void)close(f->lock);
        f->lock = -1;
    }
}

/* --- entries --- */

/* On the disk when it returns BP_OK, and in the mark. */
static bp_result enter(struct bp_factory *f, struct bp_entry *e)
{
    uint8_t frame[BP_FRAME_MAX];
    char path[BP_FACTORY_PATH_MAX];
    size_t n = 0;
    e->time_ms = bp_wall_ms(&f->clock);
    bp_result r = bp_book_frame(f->crypto, &f->book, e, frame, sizeof frame, &n);
    if (!bp_failed(r)) {
        r = path_of(f, "book", path);
    }
    if (!bp_failed(r)) {
        r = bp_file_append(path, BP_FILE_SECRET, f->book.end, bp_span_of(frame, n));
    }
    if (bp_failed(r)) {
        return bp_factory_say(f, r, "the book cannot be written: %s", bp_error_text(bp_error_of(r)));
    }
    BP_TRY(read_book(f));
    return write_mark(f);
}

bp_result bp_factory_order_of(struct bp_factory *f, bp_span order, struct bp_factory_order *ret)
{
    struct bp_factory_order o = {0};
    struct bp_entry e;
    size_t at = 0;
    bp_result r = BP_OK;
    while (!bp_failed(r = bp_book_next(&f->book, &at, &e))) {
        if (!bp_span_equal(e.order, order)) {
            continue;
        }
        if (e.kind == BP_ENTRY_ORDER) {
            o.quota = e.number;
        } else if (e.kind == BP_ENTRY_UNIT) {
            o.units++;
            o.open++;
        } else {
            o.batches = e.number;
            o.open = 0;
            memcpy(o.digest, e.digest.p, sizeof o.digest);
        }
    }
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    if (o.quota == 0) {
        return bp_factory_say(f, BP_FAIL(NOT_FOUND), "there is no order %.*s", (int)order.n, (const char *)order.p);
    }
    *ret = o;
    return BP_OK;
}

/* It becomes part of a file's name. */
static bool is_order_name(const char *s)
{
    const size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        const bool plain = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9');
        if (!plain && (i == 0 || (s[i] != '.' && s[i] != '-' && s[i] != '_'))) {
            return false;
        }
    }
    return n > 0 && n <= BP_MANIFEST_TEXT_MAX;
}

bp_result bp_factory_order_new(struct bp_factory *f, const char *order, uint64_t quota)
{
    struct bp_factory_order o;
    if (!is_order_name(order) || quota == 0 || quota > INT64_MAX) {
        return bp_factory_say(f, BP_FAIL(BAD_ARGUMENT),
                              "an order has a name of 1 to %u letters, digits and .-_, and a quota from 1", BP_MANIFEST_TEXT_MAX);
    }
    const bp_result r = bp_factory_order_of(f, bp_span_cstr(order), &o);
    if (!bp_failed(r)) {
        return bp_factory_say(f, BP_FAIL(EXISTS), "there is an order %s, of %llu units", order, (unsigned long long)o.quota);
    }
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    struct bp_entry e = {.kind = BP_ENTRY_ORDER, .order = bp_span_cstr(order), .number = quota};
    return enter(f, &e);
}

/* --- units --- */

static bool has_key(const struct bp_manifest_unit *u, bp_span hash)
{
    for (uint32_t i = 0; i < u->keys; i++) {
        if (bp_span_equal(u->key[i].hash, hash)) {
            return true;
        }
    }
    return false;
}

static bool is_same(const struct bp_manifest_unit *a, const struct bp_manifest_unit *b)
{
    bool same = bp_span_equal(a->id, b->id) && bp_span_equal(a->serial, b->serial) && bp_span_equal(a->model, b->model) &&
                bp_span_equal(a->kind, b->kind) && a->keys == b->keys;
    for (uint32_t i = 0; same && i < a->keys; i++) {
        same = a->key[i].kind == b->key[i].kind && has_key(b, a->key[i].hash);
    }
    return same;
}

static bool is_akin(const struct bp_manifest_unit *a, const struct bp_manifest_unit *b)
{
    bool akin = bp_span_equal(a->serial, b->serial) && bp_span_equal(a->model, b->model);
    for (uint32_t i = 0; !akin && i < a->keys; i++) {
        akin = has_key(b, a->key[i].hash);
    }
    return akin;
}

/* Compares the unit with all that were ever entered, in whatever order. */
static bp_result find_unit(struct bp_factory *f, const char *order, const struct bp_manifest_unit *unit, bool *ret_known,
                           bp_span *ret_certificate)
{
    struct bp_entry e;
    size_t at = 0;
    bp_result r = BP_OK;
    while (!bp_failed(r = bp_book_next(&f->book, &at, &e))) {
        struct bp_manifest_unit u;
        bp_rd rd = bp_rd_over(e.unit);
        if (e.kind != BP_ENTRY_UNIT) {
            continue;
        }
        BP_TRY(bp_manifest_next(&rd, &u));
        if (is_same(unit, &u) && bp_span_equal(e.order, bp_span_cstr(order))) {
            *ret_known = true;
            *ret_certificate = e.certificate;
            return BP_OK;
        }
        if (is_akin(unit, &u)) {
            return bp_factory_say(f, BP_FAIL(EXISTS), "its keys, or its model and serial number, are of unit %.*s of order %.*s",
                                  (int)u.serial.n, (const char *)u.serial.p, (int)e.order.n, (const char *)e.order.p);
        }
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

bp_result bp_factory_may_add(struct bp_factory *f, const char *order, const struct bp_manifest_unit *unit, bool *ret_known,
                             bp_span *ret_certificate)
{
    struct bp_factory_order o;
    *ret_known = false;
    *ret_certificate = BP_SPAN_EMPTY;
    BP_TRY(bp_factory_order_of(f, bp_span_cstr(order), &o));
    BP_TRY(find_unit(f, order, unit, ret_known, ret_certificate));
    if (!*ret_known && o.units >= o.quota) {
        return bp_factory_say(f, BP_FAIL(LIMIT), "order %s has all its %llu units", order, (unsigned long long)o.quota);
    }
    if (!*ret_known && o.open >= BP_MANIFEST_UNITS_MAX) {
        return bp_factory_say(f, BP_FAIL(LIMIT), "%u units of order %s are in no batch yet: close it first",
                              BP_MANIFEST_UNITS_MAX, order);
    }
    return BP_OK;
}

bp_result bp_factory_add(struct bp_factory *f, const char *order, const struct bp_manifest_unit *unit, bp_span certificate,
                         bool *ret_known, bp_span *ret_certificate)
{
    uint8_t room[BP_ENTRY_MAX];
    size_t n = 0;
    BP_TRY(bp_factory_may_add(f, order, unit, ret_known, ret_certificate));
    if (*ret_known) {
        return BP_OK;
    }
    bp_result r = bp_manifest_unit_write(unit, room, sizeof room, &n);
    if (bp_failed(r)) {
        return bp_factory_say(f, r, "the unit cannot stand in a manifest: texts of 1 to %u bytes without control characters",
                              BP_MANIFEST_TEXT_MAX);
    }
    struct bp_entry e = {.kind = BP_ENTRY_UNIT,
                         .order = bp_span_cstr(order),
                         .unit = bp_span_of(room, n),
                         .certificate = certificate};
    return enter(f, &e);
}

/* --- batches --- */

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct bp_manifest_unit *)a)->id.p, ((const struct bp_manifest_unit *)b)->id.p, 33);
}

/* The open units of an order, ascending by id. */
static bp_result collect(struct bp_factory *f, bp_span order, struct bp_manifest_unit *ret, uint32_t *ret_n)
{
    struct bp_entry e;
    size_t at = 0;
    uint32_t n = 0;
    bp_result r = BP_OK;
    while (!bp_failed(r = bp_book_next(&f->book, &at, &e))) {
        bp_rd rd = bp_rd_over(e.unit);
        if (!bp_span_equal(e.order, order)) {
            continue;
        }
        if (e.kind == BP_ENTRY_BATCH) {
            n = 0;
        } else if (e.kind == BP_ENTRY_UNIT) {
            if (n == BP_MANIFEST_UNITS_MAX) {
                return BP_FAIL(LIMIT);
            }
            BP_TRY(bp_manifest_next(&rd, &ret[n]));
            n++;
        }
    }
    qsort(ret, n, sizeof ret[0], by_id);
    *ret_n = n;
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

static bp_result sign(struct bp_factory *f, const struct bp_manifest *m, const struct bp_manifest_unit *unit,
                      const struct bp_signer *signer, uint8_t *room, size_t *ret_n)
{
    uint8_t kid[BP_SHA256_SIZE];
    size_t payload_n = 0;
    uint8_t *payload = bp_alloc(BP_MANIFEST_MAX);
    uint8_t *scratch = bp_alloc(BP_MANIFEST_MAX + 1024);
    bp_result r = payload != NULL && scratch != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = bp_manifest_write(m, unit, payload, BP_MANIFEST_MAX, &payload_n);
    }
    if (!bp_failed(r)) {
        r = bp_hash(f->crypto, BP_HASH_SHA256, m->key, kid);
    }
    if (!bp_failed(r)) {
        const struct bp_cose_header head = {.content_type = BP_SPAN_STR(BP_MANIFEST_CONTENT), .kid = BP_SPAN_OF(kid)};
        r = bp_cose_sign1_write(signer, &head, bp_span_of(payload, payload_n), BP_SPAN_EMPTY, scratch, BP_MANIFEST_MAX + 1024,
                                room, BP_MANIFEST_MAX, ret_n);
    }
    bp_free(payload);
    bp_free(scratch);
    return r;
}

static bp_result batch_path(struct bp_factory *f, const char *order, uint64_t number, char ret[BP_FACTORY_PATH_MAX])
{
    char relative[BP_MANIFEST_TEXT_MAX + 64];
    (void)snprintf(relative, sizeof relative, "batches/%s-%llu.manifest", order, (unsigned long long)number);
    return path_of(f, relative, ret);
}

/* The file first, then its entry: a file without one is overwritten by the next try, and nobody was given it. */
static bp_result write_batch(struct bp_factory *f, const char *order, const struct bp_factory_order *o, bp_span key,
                             const struct bp_signer *signer, struct bp_manifest_unit *unit, uint8_t *room,
                             const char *path)
{
    struct bp_manifest m = {.maker = bp_span_cstr(f->maker),
                            .key = key,
                            .order = bp_span_cstr(order),
                            .batch = o->batches + 1,
                            .created_ms = (uint64_t)bp_wall_ms(&f->clock),
                            .quota = o->quota,
                            .before = o->units - o->open};
    uint8_t digest[BP_SHA256_SIZE];
    size_t n = 0;
    BP_TRY(collect(f, m.order, unit, &m.units));
    BP_TRY(sign(f, &m, unit, signer, room, &n));
    BP_TRY(bp_hash(f->crypto, BP_HASH_SHA256, bp_span_of(room, n), digest));
    BP_TRY(bp_file_write(path, BP_FILE_PUBLIC, bp_span_of(room, n)));
    struct bp_entry e = {.kind = BP_ENTRY_BATCH,
                         .order = m.order,
                         .number = m.batch,
                         .digest = BP_SPAN_OF(digest)};
    return enter(f, &e);
}

static bp_result check_batch(struct bp_factory *f, const struct bp_factory_order *o, const char *path)
{
    uint8_t digest[BP_SHA256_SIZE];
    uint8_t *p = NULL;
    size_t n = 0;
    bp_result r = bp_file_read(path, BP_FILE_PUBLIC, BP_MANIFEST_MAX, &p, &n);
    if (!bp_failed(r)) {
        r = bp_hash(f->crypto, BP_HASH_SHA256, bp_span_of(p, n), digest);
    }
    bp_free(p);
    if (!bp_failed(r) && memcmp(digest, o->digest, sizeof digest) != 0) {
        r = BP_FAIL(MISMATCH);
    }
    return bp_failed(r) ? bp_factory_say(f, r, "%s: %s", path, bp_error_text(bp_error_of(r))) : BP_OK;
}

/* The key is the one that certs/maker.der names. */
static bp_result check_key(struct bp_factory *f, bp_span spki)
{
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_x509 cert;
    BP_TRY(bp_factory_cert(f, "maker", &der, &n));
    bp_result r = bp_x509_read(bp_span_of(der, n), &cert);
    if (!bp_failed(r) && !bp_span_equal(cert.spki, spki)) {
        r = BP_FAIL(MISMATCH);
    }
    bp_free(der);
    return bp_failed(r) ? bp_factory_say(f, r, "the key is not the one of certs/maker.der") : BP_OK;
}

bp_result bp_factory_batch(struct bp_factory *f, const char *order, const struct bp_key *key, const struct bp_signer *signer,
                           uint64_t *ret_number, uint32_t *ret_units, char ret_path[BP_FACTORY_PATH_MAX])
{
    struct bp_factory_order o;
    BP_TRY(bp_factory_order_of(f, bp_span_cstr(order), &o));
    BP_TRY(check_key(f, bp_key_spki(key)));
    if (o.open == 0) {
        if (o.batches == 0) {
            return bp_factory_say(f, BP_FAIL(NOT_FOUND), "order %s has no unit yet", order);
        }
        *ret_number = o.batches;
        *ret_units = 0;
        BP_TRY(batch_path(f, order, o.batches, ret_path));
        return check_batch(f, &o, ret_path);
    }
    *ret_number = o.batches + 1;
    *ret_units = (uint32_t)o.open;
    BP_TRY(batch_path(f, order, *ret_number, ret_path));
    struct bp_manifest_unit *unit = bp_alloc(BP_MANIFEST_UNITS_MAX * sizeof *unit);
    uint8_t *room = bp_alloc(BP_MANIFEST_MAX);
    bp_result r = unit != NULL && room != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = write_batch(f, order, &o, bp_key_spki(key), signer, unit, room, ret_path);
    }
    bp_free(unit);
    bp_free(room);
    return bp_failed(r) && f->said[0] == '\0' ? bp_factory_say(f, r, "%s: %s", ret_path, bp_error_text(bp_error_of(r))) : r;
}
