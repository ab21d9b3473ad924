/* SPDX-License-Identifier: Apache-2.0 */
/* agent/state - the agent's folder. */
#include "agent/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE AGENT

#define PATH_ROOM    512u
#define FILE_MAX     16384u
#define DEVICE_TYPE  "agent-device"
#define SLOT_TYPE    "agent-slot"
#define LOCKOUT_TYPE "agent-lockout"
#define LOCKOUT_FILE "lockout.cbor"
#define SERVICE_TYPE "agent-service"
#define SERVICE_FILE "service-"
#define SERVICE_END  ".cbor"
#define OWNER_TYPE   "agent-owner"
#define OWNER_FILE   "owner.cbor"
#define LINKS_AT_END 6u /* letters that bp_file_write adds to a name while it writes */

struct bp_state {
    char dir[PATH_ROOM - 64];
    int lock; /* -1: none */
};

static const char *const slot_file[BP_SLOTS] = {"slot-a.cbor", "slot-b.cbor"};

/* --- encodings --- */

static void put_key_text(bp_cw *w, uint64_t key, const char *text)
{
    bp_cw_uint(w, key);
    bp_cw_cstr(w, text);
}

static void put_key_bytes(bp_cw *w, uint64_t key, const uint8_t *p, size_t n)
{
    bp_cw_uint(w, key);
    bp_cw_bstr(w, bp_span_of(p, n));
}

static void put_head(bp_cw *w, uint32_t members, const char *type)
{
    bp_cw_map(w, 3 + members);
    put_key_text(w, 1, type);
    bp_cw_uint(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, 0);
}

/* A text of at most cap - 1 bytes into a string. */
static void get_string(bp_rd *rd, char *ret, size_t cap)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n >= cap || memchr(s.p != NULL ? (const void *)s.p : "", 0, s.n) != NULL) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    if (s.n > 0) {
        memcpy(ret, s.p, s.n);
    }
    ret[s.n] = '\0';
}

static size_t get_bytes(bp_rd *rd, uint8_t *ret, size_t cap)
{
    const bp_span s = bp_cbor_get_bstr(rd);
    if (s.n > cap) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    if (s.n > 0) {
        memcpy(ret, s.p, s.n);
    }
    return s.n;
}

static uint64_t get_at_most(bp_rd *rd, uint64_t most)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v > most) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return v;
}

static void get_auth(bp_rd *rd, uint8_t ret[BP_ROT_AUTH_SIZE])
{
    if (get_bytes(rd, ret, BP_ROT_AUTH_SIZE) != BP_ROT_AUTH_SIZE) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

typedef void member_fn(bp_rd *rd, uint64_t key, void *object);

/* Members 4 to last are there, those from there to most may be. */
static bp_result read_members(bp_span in, const char *type, uint64_t last, uint64_t most, member_fn *member, void *object)
{
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    const size_t pairs = bp_cbor_get_map(&rd);
    uint32_t seen = 0;
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        if (key == 1 && !bp_span_equal(bp_cbor_get_tstr(&rd), bp_span_cstr(type))) {
            return BP_FAIL(UNSUPPORTED);
        }
        if (key == 2 && bp_cbor_get_uint(&rd) != 1) {
            return BP_FAIL(UNSUPPORTED);
        }
        if (key == 3) {
            (void)bp_cbor_get_uint(&rd);
        } else if (key > most) {
            (void)bp_cbor_get_item(&rd);
        } else if (key > 3) {
            member(&rd, key, object);
        }
        seen |= key <= last ? 1u << key : 0;
    }
    BP_TRY(bp_rd_finish(&rd));
    return seen == (2u << last) - 2 ? BP_OK : BP_FAIL(MALFORMED); /* keys 1 to last, all of them */
}

static bp_result read_object(bp_span in, const char *type, uint64_t last, member_fn *member, void *object)
{
    return read_members(in, type, last, last, member, object);
}

static void get_features(bp_rd *rd, struct bp_agent_device *v)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_DEVICE_FEATURES_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        get_string(rd, v->feature[i], sizeof v->feature[i]);
    }
    v->features = (uint32_t)n;
}

static void device_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_agent_device *v = object;
    switch (key) {
    case 4:
        get_string(rd, v->root, sizeof v->root);
        break;
    case 5:
        get_string(rd, v->host, sizeof v->host);
        break;
    case 6:
        get_string(rd, v->connect, sizeof v->connect);
        break;
    case 7:
        v->enrol_port = (uint16_t)get_at_most(rd, UINT16_MAX);
        break;
    case 8:
        v->device_port = (uint16_t)get_at_most(rd, UINT16_MAX);
        break;
    case 9:
        v->anchor_n = get_bytes(rd, v->anchor, sizeof v->anchor);
        break;
    case 10: {
        const size_t n = get_bytes(rd, v->id, sizeof v->id);
        v->has_id = n != 0;
        if (n != 0 && n != sizeof v->id) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        break;
    }
    case 11:
        v->ak_template = (uint32_t)get_at_most(rd, UINT32_MAX);
        break;
    case 12:
        v->ak.n = get_bytes(rd, v->ak.v, sizeof v->ak.v);
        break;
    case 13:
        get_auth(rd, v->ak_auth);
        break;
    case 14:
        get_string(rd, v->boot_log, sizeof v->boot_log);
        break;
    case 15:
        get_string(rd, v->ima_log, sizeof v->ima_log);
        break;
    case 16:
        get_features(rd, v);
        break;
    default:
        v->ek_template = (uint32_t)get_at_most(rd, BP_TEMPLATE_H3);
        break;
    }
}

bp_result bp_agent_device_read(bp_span in, struct bp_agent_device *ret)
{
    *ret = (struct bp_agent_device){0};
    const bp_result r = read_members(in, DEVICE_TYPE, 16, 17, device_member, ret);
    if (bp_failed(r)) {
        bp_wipe(ret, sizeof *ret);
    }
    return r;
}

bp_result bp_agent_device_write(const struct bp_agent_device *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, v->ek_template != 0 ? 14 : 13, DEVICE_TYPE);
    put_key_text(&w, 4, v->root);
    put_key_text(&w, 5, v->host);
    put_key_text(&w, 6, v->connect);
    bp_cw_uint(&w, 7);
    bp_cw_uint(&w, v->enrol_port);
    bp_cw_uint(&w, 8);
    bp_cw_uint(&w, v->device_port);
    put_key_bytes(&w, 9, v->anchor, v->anchor_n);
    put_key_bytes(&w, 10, v->id, v->has_id ? sizeof v->id : 0);
    bp_cw_uint(&w, 11);
    bp_cw_uint(&w, v->ak_template);
    put_key_bytes(&w, 12, v->ak.v, v->ak.n);
    put_key_bytes(&w, 13, v->ak_auth, sizeof v->ak_auth);
    put_key_text(&w, 14, v->boot_log);
    put_key_text(&w, 15, v->ima_log);
    bp_cw_uint(&w, 16);
    bp_cw_array(&w, v->features);
    for (uint32_t i = 0; i < v->features; i++) {
        bp_cw_cstr(&w, v->feature[i]);
    }
    if (v->ek_template != 0) {
        bp_cw_uint(&w, 17);
        bp_cw_uint(&w, v->ek_template);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

static void slot_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_agent_slot *v = object;
    switch (key) {
    case 4:
        v->generation = bp_cbor_get_uint(rd);
        break;
    case 5:
        v->is_promoted = bp_cbor_get_bool(rd);
        break;
    case 6:
        v->key.n = get_bytes(rd, v->key.v, sizeof v->key.v);
        break;
    case 7:
        get_auth(rd, v->auth);
        break;
    default:
        v->cert_n = get_bytes(rd, v->cert, sizeof v->cert);
        break;
    }
}

bp_result bp_agent_slot_read(bp_span in, struct bp_agent_slot *ret)
{
    *ret = (struct bp_agent_slot){0};
    bp_result r = read_object(in, SLOT_TYPE, 8, slot_member, ret);
    if (!bp_failed(r) && (ret->key.n == 0 || (ret->is_promoted && ret->cert_n == 0))) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        bp_wipe(ret, sizeof *ret);
    }
    return r;
}

bp_result bp_agent_slot_write(const struct bp_agent_slot *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 5, SLOT_TYPE);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, v->generation);
    bp_cw_uint(&w, 5);
    bp_cw_bool(&w, v->is_promoted);
    put_key_bytes(&w, 6, v->key.v, v->key.n);
    put_key_bytes(&w, 7, v->auth, sizeof v->auth);
    put_key_bytes(&w, 8, v->cert, v->cert_n);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

const char *bp_lockout_name(enum bp_lockout_stage stage)
{
    switch (stage) {
    case BP_LOCKOUT_SEALED:
    case BP_LOCKOUT_SETTING:
        return "pending";
    case BP_LOCKOUT_SET:
        return "set";
    case BP_LOCKOUT_FOREIGN:
        return "foreign";
    case BP_LOCKOUT_NONE:
        break;
    }
    return "none";
}

static void lockout_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_agent_lockout *v = object;
    size_t n;
    switch (key) {
    case 4:
        v->stage = (enum bp_lockout_stage)get_at_most(rd, BP_LOCKOUT_FOREIGN);
        break;
    case 5:
        if (get_bytes(rd, v->anchor, sizeof v->anchor) != sizeof v->anchor) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        break;
    case 6:
        n = get_bytes(rd, v->value, sizeof v->value);
        if (n != 0 && n != sizeof v->value) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        break;
    default:
        v->envelope_n = get_bytes(rd, v->envelope, sizeof v->envelope);
        break;
    }
}

static bool has_value(const struct bp_agent_lockout *v)
{
    return v->stage == BP_LOCKOUT_SEALED || v->stage == BP_LOCKOUT_SETTING;
}

bp_result bp_agent_lockout_read(bp_span in, struct bp_agent_lockout *ret)
{
    static const uint8_t zero[BP_ROT_AUTH_SIZE];
    *ret = (struct bp_agent_lockout){.stage = BP_LOCKOUT_NONE};
    bp_result r = read_object(in, LOCKOUT_TYPE, 7, lockout_member, ret);
    if (!bp_failed(r) && (has_value(ret) == (memcmp(ret->value, zero, sizeof zero) == 0) || ret->stage == BP_LOCKOUT_NONE ||
                          (ret->envelope_n == 0) != (ret->stage == BP_LOCKOUT_FOREIGN))) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        bp_wipe(ret, sizeof *ret);
    }
    return r;
}

bp_result bp_agent_lockout_write(const struct bp_agent_lockout *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 4, LOCKOUT_TYPE);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, v->stage);
    put_key_bytes(&w, 5, v->anchor, sizeof v->anchor);
    put_key_bytes(&w, 6, v->value, has_value(v) ? sizeof v->value : 0);
    put_key_bytes(&w, 7, v->envelope, v->envelope_n);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

static void get_exact(bp_rd *rd, uint8_t *ret, size_t n)
{
    if (get_bytes(rd, ret, n) != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void owner_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_agent_owner *v = object;
    switch (key) {
    case 4:
        get_exact(rd, v->anchor, sizeof v->anchor);
        break;
    case 5:
        v->epoch = (uint32_t)get_at_most(rd, UINT32_MAX);
        break;
    case 6:
        get_exact(rd, v->head, sizeof v->head);
        break;
    case 7:
        v->has_counter = bp_cbor_get_bool(rd);
        break;
    case 8:
        v->is_stepping = bp_cbor_get_bool(rd);
        break;
    case 9:
        v->counter.index = (uint32_t)get_at_most(rd, UINT32_MAX);
        break;
    case 10:
        v->counter.value = bp_cbor_get_uint(rd);
        break;
    case 11:
        v->counter.writes = bp_cbor_get_uint(rd);
        break;
    case 12:
        v->counter.since_ms = bp_cbor_get_int(rd);
        break;
    case 13:
        get_auth(rd, v->counter_auth);
        break;
    default:
        v->erasure_n = get_bytes(rd, v->erasure, sizeof v->erasure);
        break;
    }
}

bp_result bp_agent_owner_read(bp_span in, struct bp_agent_owner *ret)
{
    *ret = (struct bp_agent_owner){.has_maker = true};
    bp_result r = read_object(in, OWNER_TYPE, 14, owner_member, ret);
    if (!bp_failed(r) && ((ret->is_stepping && !ret->has_counter) || (ret->epoch == 0 && (ret->has_counter || ret->erasure_n != 0)))) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        bp_wipe(ret, sizeof *ret);
    }
    return r;
}

bp_result bp_agent_owner_write(const struct bp_agent_owner *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 11, OWNER_TYPE);
    put_key_bytes(&w, 4, v->anchor, sizeof v->anchor);
    bp_cw_uint(&w, 5);
    bp_cw_uint(&w, v->epoch);
    put_key_bytes(&w, 6, v->head, sizeof v->head);
    bp_cw_uint(&w, 7);
    bp_cw_bool(&w, v->has_counter);
    bp_cw_uint(&w, 8);
    bp_cw_bool(&w, v->is_stepping);
    bp_cw_uint(&w, 9);
    bp_cw_uint(&w, v->counter.index);
    bp_cw_uint(&w, 10);
    bp_cw_uint(&w, v->counter.value);
    bp_cw_uint(&w, 11);
    bp_cw_uint(&w, v->counter.writes);
    bp_cw_uint(&w, 12);
    bp_cw_int(&w, v->counter.since_ms);
    put_key_bytes(&w, 13, v->counter_auth, sizeof v->counter_auth);
    put_key_bytes(&w, 14, v->erasure, v->erasure_n);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bool bp_is_service_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 0 && n <= BP_SERVICE_NAME && name[0] != '-' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void service_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_agent_service *v = object;
    switch (key) {
    case 4:
        get_string(rd, v->name, sizeof v->name);
        break;
    case 5:
        get_string(rd, v->folder, sizeof v->folder);
        break;
    case 6:
        v->key.n = get_bytes(rd, v->key.v, sizeof v->key.v);
        break;
    default:
        v->cert_n = get_bytes(rd, v->cert, sizeof v->cert);
        break;
    }
}

bp_result bp_agent_service_read(bp_span in, struct bp_agent_service *ret)
{
    *ret = (struct bp_agent_service){0};
    const bp_result r = read_object(in, SERVICE_TYPE, 7, service_member, ret);
    if (!bp_failed(r) && (!bp_is_service_name(ret->name) || ret->folder[0] != '/' || (ret->cert_n > 0 && ret->key.n == 0))) {
        return BP_FAIL(MALFORMED);
    }
    return r;
}

bp_result bp_agent_service_write(const struct bp_agent_service *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(p, cap);
    put_head(&w, 4, SERVICE_TYPE);
    put_key_text(&w, 4, v->name);
    put_key_text(&w, 5, v->folder);
    put_key_bytes(&w, 6, v->key.v, v->key.n);
    put_key_bytes(&w, 7, v->cert, v->cert_n);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

/* --- the folder --- */

/* The service that a file of the folder belongs to; `more` letters may follow its ending. */
static bool service_of(const char *file, size_t more, char ret[BP_SERVICE_NAME + 1])
{
    const size_t n = strlen(file);
    const size_t head = sizeof SERVICE_FILE - 1;
    const size_t tail = sizeof SERVICE_END - 1 + more;
    if (n <= head + tail || n - head - tail > BP_SERVICE_NAME || strncmp(file, SERVICE_FILE, head) != 0 ||
        strncmp(file + n - tail, SERVICE_END, sizeof SERVICE_END - 1) != 0) {
        return false;
    }
    memcpy(ret, file + head, n - head - tail);
    ret[n - head - tail] = '\0';
    return bp_is_service_name(ret);
}

/* Whether a killed process was still writing this file: a name of ours, a dot, and the letters of mkostemp. */
static bool is_half_written(const char *name)
{
    static const char *const ours[] = {"device.cbor.", "slot-a.cbor.", "slot-b.cbor.", "lockout.cbor.", "owner.cbor.",
                                       "head.",        "log.der.",     "last.json."};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        const size_t n = strlen(ours[i]);
        if (strncmp(name, ours[i], n) == 0 && strlen(name) == n + LINKS_AT_END) {
            return true;
        }
    }
    char service[BP_SERVICE_NAME + 1];
    return service_of(name, 1 + LINKS_AT_END, service);
}

static void tidy(const struct bp_state *s)
{
    DIR *d = opendir(s->dir);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (is_half_written(e->d_name)) {
            (void)unlinkat(dirfd(d), e->d_name, 0); /* what stays only takes room */
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static bp_result path_of(const struct bp_state *s, const char *name, char ret[PATH_ROOM])
{
    const int n = snprintf(ret, PATH_ROOM, "%s/%s", s->dir, name);
    return n > 0 && (size_t)n < PATH_ROOM ? BP_OK : BP_FAIL(BAD_ARGUMENT);
}

static bp_result fail_errno(void)
{
    return bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
}

static bp_result take_lock(struct bp_state *s)
{
    char path[PATH_ROOM];
    BP_TRY(path_of(s, "lock", path));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0) {
        return fail_errno();
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? BP_FAIL(BUSY) : fail_errno();
    }
    tidy(s);
    return BP_OK;
}

bp_result bp_state_open(const char *dir, bool make, bool lock, struct bp_state **ret)
{
    struct stat st;
    struct bp_state *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->lock = -1;
    bp_result r = strlen(dir) > 0 && strlen(dir) < sizeof s->dir ? BP_OK : BP_FAIL(BAD_ARGUMENT);
    if (!bp_failed(r)) {
        memcpy(s->dir, dir, strlen(dir) + 1);
        if (make && mkdir(dir, 0700) != 0 && errno != EEXIST) {
            r = fail_errno();
        } else if (stat(dir, &st) != 0) {
            r = fail_errno();
        } else if (!S_ISDIR(st.st_mode)) {
            r = BP_FAIL(NOT_FOUND);
        }
    }
    if (!bp_failed(r) && lock) {
        r = take_lock(s);
    }
    if (bp_failed(r)) {
        bp_state_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_state_free(struct bp_state *s)
{
    if (s != NULL && s->lock >= 0) {
        close(s->lock);
    }
    bp_free(s);
}

static bp_result load(const struct bp_state *s, const char *name, uint8_t **ret, size_t *ret_n)
{
    char path[PATH_ROOM];
    BP_TRY(path_of(s, name, path));
    return bp_file_read(path, BP_FILE_SECRET, FILE_MAX, ret, ret_n);
}

static bp_result save(const struct bp_state *s, const char *name, bp_span bytes)
{
    char path[PATH_ROOM];
    BP_TRY(path_of(s, name, path));
    return bp_file_write(path, BP_FILE_SECRET, bytes);
}

bp_result bp_state_device_load(const struct bp_state *s, struct bp_agent_device *ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(load(s, "device.cbor", &p, &n));
    const bp_result r = bp_agent_device_read(bp_span_of(p, n), ret);
    bp_free_secret(p, n);
    return r;
}

bp_result bp_state_device_save(const struct bp_state *s, const struct bp_agent_device *v)
{
    size_t n = 0;
    uint8_t *p = bp_alloc(FILE_MAX);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_agent_device_write(v, p, FILE_MAX, &n);
    if (!bp_failed(r)) {
        r = save(s, "device.cbor", bp_span_of(p, n));
    }
    bp_free_secret(p, FILE_MAX);
    return r;
}

bp_result bp_state_slot_load(const struct bp_state *s, enum bp_slot_name name, struct bp_agent_slot *ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(load(s, slot_file[name], &p, &n));
    const bp_result r = bp_agent_slot_read(bp_span_of(p, n), ret);
    bp_free_secret(p, n);
    return r;
}

bp_result bp_state_slot_save(const struct bp_state *s, enum bp_slot_name name, const struct bp_agent_slot *v)
{
    size_t n = 0;
    uint8_t *p = bp_alloc(FILE_MAX);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_agent_slot_write(v, p, FILE_MAX, &n);
    if (!bp_failed(r)) {
        r = save(s, slot_file[name], bp_span_of(p, n));
    }
    bp_free_secret(p, FILE_MAX);
    return r;
}

bp_result bp_state_lockout_load(const struct bp_state *s, struct bp_agent_lockout *ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(load(s, LOCKOUT_FILE, &p, &n));
    const bp_result r = bp_agent_lockout_read(bp_span_of(p, n), ret);
    bp_free_secret(p, n);
    return r;
}

bp_result bp_state_lockout_save(const struct bp_state *s, const struct bp_agent_lockout *v)
{
    uint8_t p[BP_ENVELOPE_MAX + 256];
    size_t n = 0;
    bp_result r = bp_agent_lockout_write(v, p, sizeof p, &n);
    if (!bp_failed(r)) {
        r = save(s, LOCKOUT_FILE, bp_span_of(p, n));
    }
    bp_wipe(p, sizeof p);
    return r;
}

bp_result bp_state_owner_load(const struct bp_state *s, struct bp_agent_owner *ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(load(s, OWNER_FILE, &p, &n));
    const bp_result r = bp_agent_owner_read(bp_span_of(p, n), ret);
    bp_free_secret(p, n);
    return r;
}

bp_result bp_state_owner_save(const struct bp_state *s, const struct bp_agent_owner *v)
{
    uint8_t p[BP_OWNER_ERASURE_MAX + 512];
    size_t n = 0;
    bp_result r = bp_agent_owner_write(v, p, sizeof p, &n);
    if (!bp_failed(r)) {
        r = save(s, OWNER_FILE, bp_span_of(p, n));
    }
    bp_wipe(p, sizeof p);
    return r;
}

bp_result bp_state_forget(const struct bp_state *s)
{
    static const char *const names[] = {"slot-a.cbor", "slot-b.cbor", LOCKOUT_FILE, "head", "log.der"};
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        BP_TRY(path_of(s, names[i], path));
        if (unlink(path) != 0 && errno != ENOENT) {
            return fail_errno();
        }
    }
    return BP_OK;
}

static bp_result service_file(const char *name, char ret[sizeof SERVICE_FILE + BP_SERVICE_NAME + sizeof SERVICE_END])
{
    if (!bp_is_service_name(name)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    (void)snprintf(ret, sizeof SERVICE_FILE + BP_SERVICE_NAME + sizeof SERVICE_END, SERVICE_FILE "%s" SERVICE_END, name);
    return BP_OK;
}

bp_result bp_state_service_load(const struct bp_state *s, const char *name, struct bp_agent_service *ret)
{
    char file[sizeof SERVICE_FILE + BP_SERVICE_NAME + sizeof SERVICE_END];
    uint8_t *p = NULL;
    size_t n = 0;
    BP_TRY(service_file(name, file));
    BP_TRY(load(s, file, &p, &n));
    const bp_result r = bp_agent_service_read(bp_span_of(p, n), ret);
    bp_free(p);
    return !bp_failed(r) && strcmp(ret->name, name) != 0 ? BP_FAIL(MALFORMED) : r;
}

bp_result bp_state_service_save(const struct bp_state *s, const struct bp_agent_service *v)
{
    char file[sizeof SERVICE_FILE + BP_SERVICE_NAME + sizeof SERVICE_END];
    uint8_t p[BP_STATE_CERT_MAX + BP_ROT_BLOB_MAX + BP_STATE_TEXT_MAX + 256];
    size_t n = 0;
    BP_TRY(service_file(v->name, file));
    BP_TRY(bp_agent_service_write(v, p, sizeof p, &n));
    return save(s, file, bp_span_of(p, n));
}

bp_result bp_state_service_remove(const struct bp_state *s, const char *name)
{
    char file[sizeof SERVICE_FILE + BP_SERVICE_NAME + sizeof SERVICE_END];
    char path[PATH_ROOM];
    BP_TRY(service_file(name, file));
    BP_TRY(path_of(s, file, path));
    return unlink(path) == 0 ? BP_OK : fail_errno();
}

bp_result bp_state_services(const struct bp_state *s, char ret[BP_SERVICES_MAX][BP_SERVICE_NAME + 1], size_t *ret_count)
{
    DIR *d = opendir(s->dir);
    const struct dirent *e;
    char name[BP_SERVICE_NAME + 1];
    size_t n = 0;
    if (d == NULL) {
        return fail_errno();
    }
    while ((e = readdir(d)) != NULL) {
        if (n < BP_SERVICES_MAX && service_of(e->d_name, 0, name)) {
            size_t at = n++;
            for (; at > 0 && strcmp(ret[at - 1], name) > 0; at--) {
                memcpy(ret[at], ret[at - 1], sizeof ret[at]);
            }
            memcpy(ret[at], name, sizeof name);
        }
    }
    (void)closedir(d);
    *ret_count = n;
    return BP_OK;
}

enum bp_slot_name bp_state_active(const struct bp_state *s, enum bp_slot_name *ret_pending)
{
    enum bp_slot_name active = BP_SLOTS;
    uint64_t generation[BP_SLOTS] = {0};
    bool has_cert[BP_SLOTS] = {false};
    struct bp_agent_slot slot;
    for (enum bp_slot_name i = BP_SLOT_A; i < BP_SLOTS; i = (enum bp_slot_name)(i + 1)) {
        if (bp_failed(bp_state_slot_load(s, i, &slot))) {
            continue;
        }
        generation[i] = slot.generation;
        has_cert[i] = slot.cert_n != 0;
        if (slot.is_promoted && (active == BP_SLOTS || slot.generation > generation[active])) {
            active = i;
        }
    }
    bp_wipe(&slot, sizeof slot);
    *ret_pending = BP_SLOTS;
    for (enum bp_slot_name i = BP_SLOT_A; i < BP_SLOTS; i = (enum bp_slot_name)(i + 1)) {
        if (i != active && has_cert[i] && (active == BP_SLOTS || generation[i] > generation[active])) {
            *ret_pending = i;
        }
    }
    return active;
}

bp_result bp_state_text_load(const struct bp_state *s, const char *name, uint8_t **ret, size_t *ret_n)
{
    char path[PATH_ROOM];
    BP_TRY(path_of(s, name, path));
    return bp_file_read(path, BP_FILE_PUBLIC, FILE_MAX, ret, ret_n);
}

bp_result bp_state_text_save(const struct bp_state *s, const char *name, bp_span text)
{
    char path[PATH_ROOM];
    BP_TRY(path_of(s, name, path));
    return bp_file_write(path, BP_FILE_PUBLIC, text);
}
