/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/backup - `bedplated backup` copies the store of a server, running or not, into one file; `bedplated
 * restore` puts such a file in the store's place.
 *
 * The file is the database, as it was at one moment, and behind it 104 bytes, numbers with their highest byte first:
 *      0 "BPBACKUP"     8 version 1 (32 bits)   12 zero (32 bits)   16 time in ms    24 size of the database
 *     32 size of the newest signed head in it   40 SHA-256 of the root's certificate
 *     72 HMAC-SHA-256 over "bedplate-backup-v1", bytes 0..71 and the SHA-256 of the database, under the owner's secret
 * So a damaged file, another server's, and one that somebody changed are told apart from ours. It holds no key and no
 * secret; without keys/ and secrets/, which are kept apart, no server can be made of it.
 *
 * A store is put in place whole by one exchange of two folders: whenever it is cut, the old or the new one is there. */
#include "fleet/proc/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/secret.h"
#include "codec/note.h"
#include "codec/x509.h"
#include "fleet/events/log.h"
#include "fleet/proc/loss.h"
#include "fleet/proc/proc.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE    PROC

#define MAGIC        "BPBACKUP"
#define COVERED      72u
#define TAIL         104u
#define HEAD_MAX     4096u
#define STORE        "store"
#define STAGED       "store.restoring"
#define DATABASE     "bedplate.db"

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

static int say(const char *what, bp_result r)
{
    fprintf(stderr, "bedplated: %s: %s (%s, line %u)\n", what, bp_error_text(bp_error_of(r)),
            bp_module_name((enum bp_module)(r.word >> 8 & 0xffu)), (unsigned)(r.word >> 16));
    return bp_is(r, BP_E_INTERNAL) || bp_is(r, BP_E_NO_MEMORY) ? BP_EXIT_INTERNAL : BP_EXIT_REFUSED;
}

/* ---- the directory ---- */

/* Root may look at what belongs to the server's other users; the rights of the file were set by the server. */
static bp_result read_secret(struct bp_offline *x)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (geteuid() != 0) {
        return bp_site_secret(x->site, "owner", x->secret);
    }
    BP_TRY(bp_site_path(x->site, "secrets/owner", path, sizeof path));
    BP_TRY(bp_file_read(path, BP_FILE_PUBLIC, BP_SITE_SECRET, &bytes, &n));
    if (n == sizeof x->secret) {
        memcpy(x->secret, bytes, n);
    }
    bp_free_secret(bytes, n);
    return n == sizeof x->secret ? BP_OK : BP_FAIL(MALFORMED);
}

bp_result bp_offline_open(struct bp_offline *x)
{
    struct stat st;
    x->lock[0] = -1;
    x->lock[1] = -1;
    x->clock = bp_clock_linux();
    if (geteuid() == 0 && stat(x->dir, &st) == 0 && st.st_uid != 0) {
        fprintf(
            stderr,
            "bedplated: %s belongs to another user: do this as that user, or its server cannot read what is written\n",
            x->dir);
        return BP_FAIL(DENIED);
    }
    bp_result r = bp_crypto_openssl_new(16, &x->crypto);
    if (!bp_failed(r)) {
        r = bp_site_load(x->dir, x->crypto, &x->site);
    }
    if (!bp_failed(r)) {
        r = read_secret(x);
    }
    if (bp_failed(r)) {
        (void)say(x->dir, r);
    }
    return r;
}

static bp_result hold_file(const struct bp_offline *x, const char *name, int flags, int *ret)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(x->site, name, path, sizeof path));
    *ret = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (*ret < 0) {
        return errno == ENOENT ? BP_OK : FAIL_ERRNO();
    }
    return flock(*ret, LOCK_EX | LOCK_NB) == 0 ? BP_OK : BP_FAIL(BUSY);
}

/* Two of its processes each hold a file as long as they live, and are not replaced at the same moment. */
bp_result bp_offline_hold(struct bp_offline *x)
{
    BP_TRY(hold_file(x, BP_LOG_STATE_LOCK, O_CREAT, &x->lock[0]));
    return hold_file(x, BP_ISSUED_FILE, 0, &x->lock[1]);
}

void bp_offline_let_signer(struct bp_offline *x)
{
    (void)close(x->lock[0]);
    x->lock[0] = -1;
}

void bp_offline_done(struct bp_offline *x)
{
    for (size_t i = 0; i < 2; i++) {
        if (x->lock[i] >= 0) {
            (void)close(x->lock[i]);
        }
    }
    bp_wipe(x->secret, sizeof x->secret);
    bp_site_free(x->site);
    bp_crypto_openssl_free(x->crypto);
}

bp_result bp_offline_head(const struct bp_offline *x, bp_store *store, uint64_t *ret_size)
{
    struct bp_tree_row tree = {0};
    uint8_t text[HEAD_MAX];
    uint8_t root[BP_SHA256_SIZE];
    struct bp_note note;
    struct bp_checkpoint head;
    struct bp_x509 cert;
    BP_TRY(bp_store_tree(store, &tree));
    const size_t n = tree.checkpoint.n;
    if (n == 0) {
        return BP_FAIL(NOT_FOUND);
    }
    if (n > sizeof text) {
        return BP_FAIL(MISMATCH);
    }
    memcpy(text, tree.checkpoint.p, n); /* lives until the next call */
    BP_TRY(bp_x509_read(x->site->cert[BP_SITE_CERT_LOG], &cert));
    BP_TRY(bp_note_read(bp_span_of(text, n), &note));
    BP_TRY(bp_note_verify(x->crypto, &note, bp_span_cstr(x->site->log_origin), cert.spki));
    BP_TRY(bp_checkpoint_read(&note, &head));
    BP_TRY(bp_log_root(store, x->crypto, head.size, root));
    *ret_size = head.size;
    return head.size == tree.signed_size && memcmp(root, head.root, sizeof root) == 0 ? BP_OK : BP_FAIL(MISMATCH);
}

/* ---- the file ---- */

struct tail {
    int64_t time_ms;
    uint64_t size;
    uint64_t head;
};

static bp_result seal(const struct bp_offline *x, const uint8_t tail[COVERED], bp_span database,
                      uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t digest[BP_SHA256_SIZE];
    const bp_span parts[] = {BP_SPAN_STR("bedplate-backup-v1"), bp_span_of(tail, COVERED), BP_SPAN_OF(digest)};
    BP_TRY(bp_hash(x->crypto, BP_HASH_SHA256, database, digest));
    return bp_hmac_sha256(x->crypto, BP_SPAN_OF(x->secret), parts, 3, ret);
}

static bp_result write_tail(const struct bp_offline *x, const struct tail *t, bp_span database, uint8_t ret[TAIL])
{
    bp_wr wr = bp_wr_over(ret, TAIL);
    bp_wr_bytes(&wr, BP_SPAN_STR(MAGIC));
    bp_wr_be32(&wr, 1);
    bp_wr_be32(&wr, 0);
    bp_wr_be64(&wr, (uint64_t)t->time_ms);
    bp_wr_be64(&wr, t->size);
    bp_wr_be64(&wr, t->head);
    bp_wr_bytes(&wr, BP_SPAN_OF(x->site->root_hash));
    return seal(x, ret, database, ret + COVERED);
}

enum verdict { FILE_GOOD, FILE_NONE, FILE_FOREIGN, FILE_DAMAGED };
static const char *const verdict_text[] = {
    [FILE_GOOD] = "is a backup of this server",
    [FILE_NONE] = "is no backup, or is cut",
    [FILE_FOREIGN] = "is a backup of another server",
    [FILE_DAMAGED] = "is damaged, or was not made with this server's secrets",
};

static enum verdict judge(const struct bp_offline *x, bp_span file, struct tail *ret)
{
    uint8_t mac[BP_SHA256_SIZE];
    if (file.n <= TAIL) {
        return FILE_NONE;
    }
    const bp_span database = bp_span_sub(file, 0, file.n - TAIL);
    const uint8_t *tail = file.p + database.n;
    bp_rd rd = bp_rd_over(bp_span_of(tail, TAIL));
    const bool magic = bp_span_equal(bp_rd_bytes(&rd, sizeof MAGIC - 1), BP_SPAN_STR(MAGIC));
    const bool form = bp_rd_be32(&rd) == 1 && bp_rd_be32(&rd) == 0;
    const uint64_t time = bp_rd_be64(&rd);
    ret->size = bp_rd_be64(&rd);
    ret->head = bp_rd_be64(&rd);
    ret->time_ms = (int64_t)time;
    if (!magic || !form || time > INT64_MAX || ret->size != database.n) {
        return FILE_NONE;
    }
    if (!bp_span_equal(bp_rd_bytes(&rd, BP_SHA256_SIZE), BP_SPAN_OF(x->site->root_hash))) {
        return FILE_FOREIGN;
    }
    return !bp_failed(seal(x, tail, database, mac)) &&
                   bp_ct_equal(BP_SPAN_OF(mac), bp_span_of(tail + COVERED, sizeof mac))
               ? FILE_GOOD
               : FILE_DAMAGED;
}

struct mapped {
    int fd;
    bp_span bytes;
};

static void unmap(struct mapped *m)
{
    if (m->bytes.n > 0) {
        (void)munmap((void *)(uintptr_t)m->bytes.p, m->bytes.n);
    }
    if (m->fd >= 0) {
        (void)close(m->fd);
    }
    *m = (struct mapped){-1, BP_SPAN_EMPTY};
}

static bp_result map(const char *path, struct mapped *ret)
{
    struct stat st;
    *ret = (struct mapped){open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), BP_SPAN_EMPTY};
    if (ret->fd < 0) {
        return FAIL_ERRNO();
    }
    if (fstat(ret->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0) {
        return BP_FAIL(MALFORMED);
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, ret->fd, 0);
    if (p == MAP_FAILED) {
        return FAIL_ERRNO();
    }
    ret->bytes = bp_span_of(p, (size_t)st.st_size);
    return BP_OK;
}

/* ---- backup ---- */

struct backup {
    struct bp_offline o;
    const char *to;
    char temp[BP_SITE_PATH_MAX];
    struct tail tail;
};

/* What lies beside it belongs to an attempt that was cut. */
static void clear_temp(const struct backup *b)
{
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    char path[BP_SITE_PATH_MAX + 16];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", b->temp, ends[i]);
        (void)unlink(path);
    }
}

static bp_result open_store(const struct bp_offline *o, bp_store **ret)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(o->site, STORE "/" DATABASE, path, sizeof path));
    return bp_store_open(path, BP_STORE_READ, BP_PRODUCT_VERSION, NULL, ret);
}

/* The copy is looked at as a store: what cannot be put back is no backup. */
static bp_result look_at_copy(struct backup *b)
{
    bp_store *copy = NULL;
    BP_TRY(bp_store_open(b->temp, BP_STORE_READ, BP_PRODUCT_VERSION, NULL, &copy));
    bp_result r = bp_store_sound(copy);
    if (!bp_failed(r)) {
        r = bp_offline_head(&b->o, copy, &b->tail.head);
    }
    bp_store_free(copy);
    return r;
}

static bp_result add_tail(struct backup *b)
{
    struct mapped m;
    uint8_t tail[TAIL];
    bp_result r = map(b->temp, &m);
    b->tail.size = m.bytes.n;
    if (!bp_failed(r)) {
        r = write_tail(&b->o, &b->tail, m.bytes, tail);
    }
    unmap(&m);
    return bp_failed(r) ? r : bp_file_append(b->temp, BP_FILE_SECRET, b->tail.size, BP_SPAN_OF(tail));
}

static bp_result verify(const struct backup *b)
{
    struct mapped m;
    struct tail t;
    bp_result r = map(b->to, &m);
    if (!bp_failed(r) && judge(&b->o, m.bytes, &t) != FILE_GOOD) {
        r = BP_FAIL(MISMATCH);
    }
    unmap(&m);
    return r;
}

static bp_result back_up(struct backup *b)
{
    bp_store *store = NULL;
    const int n = snprintf(b->temp, sizeof b->temp, "%s.part", b->to);
    if (n < 0 || (size_t)n >= sizeof b->temp) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    clear_temp(b);
    BP_TRY(open_store(&b->o, &store));
    b->tail.time_ms = bp_wall_ms(&b->o.clock);
    bp_result r = bp_store_copy(store, b->temp);
    bp_store_free(store);
    if (!bp_failed(r)) {
        r = look_at_copy(b);
    }
    if (!bp_failed(r)) {
        r = add_tail(b);
    }
    if (!bp_failed(r)) {
        r = rename(b->temp, b->to) == 0 ? bp_file_sync_folder(b->to) : FAIL_ERRNO();
    }
    clear_temp(b);
    return bp_failed(r) ? r : verify(b);
}

static int tell_backup(const struct backup *b, bp_result r)
{
    if (bp_is(r, BP_E_NOT_FOUND)) {
        fputs("bedplated: no head of the log is signed yet, so nothing would prove whose backup it is: start the "
              "server once\n",
              stderr);
        return BP_EXIT_REFUSED;
    }
    if (bp_failed(r)) {
        return say(b->to, r);
    }
    if (b->o.is_json) {
        printf("{\"time_ms\":%lld,\"bytes\":%llu,\"events\":%llu}\n", (long long)b->tail.time_ms,
               (unsigned long long)(b->tail.size + TAIL), (unsigned long long)b->tail.head);
    } else {
        printf("%s: %llu bytes, %llu events under a signed head, read back and verified.\n"
               "It holds no keys and no secrets. Keep apart, with rights for nobody else: %s/keys, secrets, certs, "
               "anchors,\n"
               "server.yaml and state. Copy them when they change: after init, a roll-over, another maker; state as "
               "often as this.\n",
               b->to, (unsigned long long)(b->tail.size + TAIL), (unsigned long long)b->tail.head, b->o.dir);
    }
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

/* `--dir DIR`, `--json` and one more with a value. */
static bool read_options(int argc, char **argv, struct bp_offline *x, const char *name, const char **ret)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            x->is_json = true;
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            x->dir = argv[++i];
        } else if (strcmp(argv[i], name) == 0 && i + 1 < argc) {
            *ret = argv[++i];
        } else {
            fprintf(stderr, "bedplated: %s is not an option of %s, or its value is missing\n", argv[i], argv[0]);
            return false;
        }
    }
    if (x->dir == NULL || *ret == NULL) {
        fprintf(stderr, "bedplated: %s needs --dir DIR and %s FILE\n", argv[0], name);
        return false;
    }
    return true;
}

int bp_backup_main(int argc, char **argv)
{
    struct backup b = {.to = NULL};
    if (!read_options(argc, argv, &b.o, "--to", &b.to)) {
        return BP_EXIT_USAGE;
    }
    (void)umask(0077); /* SQLite makes the copy */
    int code = BP_EXIT_REFUSED;
    if (!bp_failed(bp_offline_open(&b.o))) {
        const bp_result r = back_up(&b);
        code = tell_backup(&b, r);
    }
    bp_offline_done(&b.o);
    return code;
}

/* ---- restore ---- */

struct restore {
    struct bp_offline o;
    const char *from;
    struct tail tail;
    char staged[BP_SITE_PATH_MAX]; /* the folder */
    char database[BP_SITE_PATH_MAX];
    char aside[BP_SITE_PATH_MAX]; /* where what was replaced is kept; empty: nothing was */
};

/* Under a name of its own, whatever it is: nothing is ever thrown away here. */
static bp_result put_aside(struct restore *x)
{
    const time_t now = (time_t)(bp_wall_ms(&x->o.clock) / 1000);
    struct tm tm;
    char when[32];
    if (access(x->staged, F_OK) != 0) {
        return BP_OK;
    }
    if (gmtime_r(&now, &tm) == NULL || strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm) == 0) {
        return BP_FAIL(INTERNAL);
    }
    for (unsigned i = 0; i < 100; i++) {
        const int n = snprintf(x->aside, sizeof x->aside, "%s/" STORE ".replaced-%s-%u", x->o.dir, when, i);
        if (n < 0 || (size_t)n >= sizeof x->aside) {
            return BP_FAIL(LIMIT);
        }
        if (access(x->aside, F_OK) != 0) {
            return rename(x->staged, x->aside) == 0 ? BP_OK : FAIL_ERRNO();
        }
    }
    return BP_FAIL(EXISTS);
}

static bp_result note_restored(bp_store *store, void *self)
{
    const struct restore *x = self;
    struct bp_log log = {0};
    uint64_t number = 0;
    char when[32] = "";
    const time_t s = (time_t)(x->tail.time_ms / 1000);
    struct tm tm;
    if (gmtime_r(&s, &tm) == NULL || strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        return BP_FAIL(INTERNAL);
    }
    struct bp_event e = {.time_ms = bp_wall_ms(&x->o.clock),
                         .type = BP_EV_STORE_RESTORED,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = BP_SPAN_STR(BP_LOCAL_ACTOR),
                         .detail_count = 2,
                         .detail = {{BP_SPAN_STR("backup"), BP_VAL_TEXT, 0, bp_span_cstr(when)},
                                    {BP_SPAN_STR("kept"), BP_VAL_INT, (int64_t)x->tail.head, BP_SPAN_EMPTY}}};
    BP_TRY(bp_log_open(&log, store, x->o.crypto));
    BP_TRY(bp_store_setting_set(store, BP_SETTING_RECOVERY, BP_RECOVERY_PUT_BACK));
    BP_TRY(bp_store_setting_set(store, BP_SETTING_BACKUP, x->tail.time_ms));
    BP_TRY(bp_store_spend_all(store, e.time_ms));
    BP_TRY(bp_log_append(&log, &e, 0, NULL, &number));
    return bp_log_flush(&log);
}

/* A machine that was lost whole has no state of the log signer: it goes on from the head in the store. */
static bp_result give_signer(const struct restore *x, bp_store *store)
{
    struct bp_tree_row row = {0};
    char head[BP_MSG_HEAD_MAX];
    struct bp_merkle *tree = bp_alloc(sizeof *tree);
    bp_result r = tree == NULL ? BP_FAIL(NO_MEMORY) : bp_store_tree(store, &row);
    const size_t n = row.checkpoint.n;
    if (!bp_failed(r) && n <= sizeof head) {
        memcpy(head, row.checkpoint.p, n);
        r = bp_log_frontier(store, row.signed_size, tree);
    }
    if (!bp_failed(r)) {
        r = bp_log_signer_put(x->o.site, x->o.crypto, tree, bp_span_of(head, n));
    }
    bp_free(tree);
    return bp_is(r, BP_E_EXISTS) ? BP_OK : r;
}

static bp_result stage(struct restore *x, bp_span database)
{
    bp_store *store = NULL;
    uint64_t size = 0;
    if (mkdir(x->staged, 0750) != 0) {
        return FAIL_ERRNO();
    }
    BP_TRY(bp_file_write(x->database, BP_FILE_SECRET, database));
    BP_TRY(bp_store_open(x->database, BP_STORE_WRITE, BP_PRODUCT_VERSION, NULL, &store));
    bp_result r = bp_store_sound(store);
    if (!bp_failed(r)) {
        r = bp_offline_head(&x->o, store, &size);
    }
    if (!bp_failed(r)) {
        r = size == x->tail.head ? bp_store_alone(store, note_restored, x) : BP_FAIL(MISMATCH);
    }
    if (!bp_failed(r)) {
        r = give_signer(x, store);
    }
    bp_store_free(store); /* moves what was written into the database */
    return bp_failed(r) ? r : bp_file_sync_folder(x->database);
}

/* The one moment: both folders are whole before and after it. */
static bp_result exchange(struct restore *x)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(x->o.site, STORE, path, sizeof path));
    const int done = access(path, F_OK) == 0 ? renameat2(AT_FDCWD, x->staged, AT_FDCWD, path, RENAME_EXCHANGE)
                                             : rename(x->staged, path);
    if (done != 0) {
        return FAIL_ERRNO();
    }
    BP_TRY(bp_file_sync_folder(x->staged));
    x->aside[0] = 0;
    BP_TRY(put_aside(x));
    return bp_file_sync_folder(x->staged);
}

static bp_result put_back(struct restore *x, bp_span database)
{
    BP_TRY(bp_site_path(x->o.site, STAGED, x->staged, sizeof x->staged));
    BP_TRY(bp_site_path(x->o.site, STAGED "/" DATABASE, x->database, sizeof x->database));
    BP_TRY(put_aside(x)); /* of a restore that was cut: the new one, or the one that was to be kept */
    const bp_result r = stage(x, database);
    if (bp_failed(r)) {
        static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
        char path[BP_SITE_PATH_MAX + 16];
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
            (void)snprintf(path, sizeof path, "%s%s", x->database, ends[i]);
            (void)unlink(path);
        }
        (void)rmdir(x->staged);
        return r;
    }
    return exchange(x);
}

static int tell_restored(const struct restore *x)
{
    bp_store *store = NULL;
    struct bp_loss loss;
    bp_result r = open_store(&x->o, &store);
    if (!bp_failed(r)) {
        r = bp_loss_find(x->o.site, x->o.crypto, store, &loss);
    }
    if (bp_failed(r)) {
        bp_store_free(store);
        return say("what is lost cannot be listed", r);
    }
    if (x->o.is_json) {
        bp_loss_tell_json(&loss);
    } else {
        printf("The store of %s is the one of the backup now.%s%s%s\n", x->o.dir,
               x->aside[0] != 0 ? " The one before it is kept in\n  " : "", x->aside, x->aside[0] != 0 ? "." : "");
        bp_loss_tell(x->o.site, store, &loss);
        printf("The server starts and grants nothing until the loss is accepted: bedplated log-break --dir %s\n",
               x->o.dir);
    }
    bp_store_free(store);
    return fflush(stdout) == 0 ? BP_EXIT_OK : BP_EXIT_INTERNAL;
}

static int restore(struct restore *x)
{
    struct mapped m;
    bp_result r = map(x->from, &m);
    const enum verdict v = bp_failed(r) ? FILE_NONE : judge(&x->o, m.bytes, &x->tail);
    if (v != FILE_GOOD) {
        fprintf(stderr, "bedplated: %s %s; nothing was changed\n", x->from,
                bp_failed(r) && !bp_is(r, BP_E_MALFORMED) ? bp_error_text(bp_error_of(r)) : verdict_text[v]);
        unmap(&m);
        return BP_EXIT_REFUSED;
    }
    r = bp_offline_hold(&x->o);
    if (bp_failed(r)) {
        unmap(&m);
        fprintf(stderr, "bedplated: %s\n",
                bp_is(r, BP_E_BUSY) ? "the server runs; stop it, then restore" : bp_error_text(bp_error_of(r)));
        return BP_EXIT_REFUSED;
    }
    r = put_back(x, bp_span_sub(m.bytes, 0, x->tail.size));
    unmap(&m);
    return bp_failed(r) ? say("the store cannot be put back", r) : tell_restored(x);
}

int bp_restore_main(int argc, char **argv)
{
    struct restore x = {.from = NULL};
    if (!read_options(argc, argv, &x.o, "--from", &x.from)) {
        return BP_EXIT_USAGE;
    }
    (void)umask(0077);
    const int code = bp_failed(bp_offline_open(&x.o)) ? BP_EXIT_REFUSED : restore(&x);
    bp_offline_done(&x.o);
    return code;
}
