/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_factory - a maker's folder: quota, units that come twice, batches, older copies, and power cuts at
 * every write. */
#include "cli/factory.h"

#include "codec/cose.h"
#include "codec/x509.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[] = "/tmp/bp-factory-XXXXXX";
static char dir[64], mark[64];
static char passphrase[BP_FACTORY_PASSPHRASE + 1];
static struct bp_crypto *crypto;
static struct bp_key *key; /* signs manifests */
static struct bp_factory f;
static size_t live; /* blocks at the start */

/* --- power cuts: the N-th of these calls is the last one of its process, and a write gets half its bytes out --- */

static int cut_at; /* 0: never */
static int calls;

ssize_t __real_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_ftruncate(int fd, off_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_ftruncate(int fd, off_t n);

static bool is_cut(void)
{
    return cut_at != 0 && ++calls == cut_at;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (is_cut()) {
        const ssize_t half = __real_write(fd, p, n / 2);
        _exit(half < 0 ? 98 : 99);
    }
    return __real_write(fd, p, n);
}

int __wrap_fsync(int fd)
{
    if (is_cut()) {
        _exit(99);
    }
    return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    if (is_cut()) {
        _exit(99);
    }
    return __real_rename(from, to);
}

int __wrap_ftruncate(int fd, off_t n)
{
    if (is_cut()) {
        _exit(99);
    }
    return __real_ftruncate(fd, n);
}

/* --- units --- */

struct unit {
    uint8_t id[33], other[32];
    char serial[16];
    struct bp_manifest_unit u;
};

/* A chip with two endorsement keys, all of it from one number. */
static struct unit *unit(struct unit *x, unsigned number)
{
    memset(x, 0, sizeof *x);
    x->id[0] = 1;
    (void)snprintf((char *)x->id + 1, 32, "key of unit %u", number);
    (void)snprintf((char *)x->other, 32, "other key of unit %u", number);
    (void)snprintf(x->serial, sizeof x->serial, "SN-%u", number);
    x->u = (struct bp_manifest_unit){.id = BP_SPAN_OF(x->id),
                                     .serial = bp_span_cstr(x->serial),
                                     .model = BP_SPAN_STR("gw-1"),
                                     .kind = BP_SPAN_STR("tpm2"),
                                     .keys = 2,
                                     .key = {{2, bp_span_of(x->id + 1, 32)}, {1, BP_SPAN_OF(x->other)}}};
    return x;
}

static enum bp_error add(const char *order, const struct bp_manifest_unit *u, bool *ret_known)
{
    bp_span certificate;
    return bp_error_of(bp_factory_add(&f, order, u, BP_SPAN_EMPTY, ret_known, &certificate));
}

static bool reopen(void)
{
    bp_factory_close(&f);
    return !bp_failed(bp_factory_open(&f, crypto, dir));
}

static enum bp_error batch(const char *order, uint64_t *ret_number, uint32_t *ret_units)
{
    char path[BP_FACTORY_PATH_MAX];
    const struct bp_signer signer = bp_key_signer(key);
    return bp_error_of(bp_factory_batch(&f, order, key, &signer, ret_number, ret_units, path));
}

static const char *in_dir(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* --- cases --- */

BP_CASE(a_folder_is_made_with_its_keys)
{
    struct bp_factory again;
    char other[BP_FACTORY_PASSPHRASE + 1], path[BP_FACTORY_PATH_MAX];
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_x509 cert;
    live = bp_alloc_live();
    BP_NEED(mkdtemp(top) != NULL && !bp_failed(bp_crypto_openssl_new(16, &crypto)));
    (void)snprintf(dir, sizeof dir, "%s/maker", top);
    (void)snprintf(mark, sizeof mark, "%s/marks/here", top);
    BP_CHECK(bp_is(bp_factory_make(&f, crypto, dir, "", mark, passphrase), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_factory_make(&f, crypto, dir, "Acme", "not/absolute", passphrase), BP_E_BAD_ARGUMENT));
    BP_CHECK(access(dir, F_OK) != 0); /* nothing is left of a refused try */
    BP_NEED(!bp_failed(bp_factory_make(&f, crypto, dir, "Acme", mark, passphrase)));
    BP_CHECK(bp_is(bp_factory_make(&again, crypto, dir, "Acme", mark, other), BP_E_EXISTS));
    BP_NEED(!bp_failed(bp_factory_open(&f, crypto, dir)) && strcmp(f.maker, "Acme") == 0);
    BP_CHECK(bp_is(bp_factory_open(&again, crypto, dir), BP_E_BUSY));
    bp_factory_close(&again);
    BP_CHECK(!bp_failed(bp_factory_key_path(&f, BP_FACTORY_MAKER, path)));
    BP_CHECK(bp_failed(bp_key_load(path, BP_SPAN_EMPTY, &key)) &&
             !bp_failed(bp_key_load(path, bp_span_cstr(passphrase), &key)));
    static const struct {
        const char *name;
        enum bp_cert_profile profile;
    } certs[] = {{"root", BP_CERT_ROOT}, {"idevid", BP_CERT_IDEVID_CA}, {"maker", BP_CERT_MAKER}};
    for (size_t i = 0; i < 3; i++) {
        BP_NEED(!bp_failed(bp_factory_cert(&f, certs[i].name, &der, &n)));
        BP_CHECK(!bp_failed(bp_x509_profile_check(bp_span_of(der, n), certs[i].profile, bp_wall_ms(&f.clock))));
        BP_CHECK(!bp_failed(bp_x509_read(bp_span_of(der, n), &cert)) && cert.not_after_s == INT64_MAX);
        BP_CHECK(i != 2 || bp_span_equal(cert.spki, bp_key_spki(key)));
        bp_free(der);
    }
}

BP_CASE(an_order_is_opened_once)
{
    struct bp_factory_order o;
    BP_NEED(f.lock >= 0);
    BP_CHECK(bp_is(bp_factory_order_of(&f, BP_SPAN_STR("PO-1"), &o), BP_E_NOT_FOUND));
    BP_CHECK(bp_is(bp_factory_order_new(&f, "PO/1", 3), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_factory_order_new(&f, ".1", 3), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_factory_order_new(&f, "PO-1", 0), BP_E_BAD_ARGUMENT));
    BP_CHECK(!bp_failed(bp_factory_order_new(&f, "PO-1", 3)));
    BP_CHECK(bp_is(bp_factory_order_new(&f, "PO-1", 4), BP_E_EXISTS)); /* a quota is not raised by asking again */
    BP_NEED(reopen());
    BP_CHECK(!bp_failed(bp_factory_order_of(&f, BP_SPAN_STR("PO-1"), &o)) && o.quota == 3 && o.units == 0);
}

BP_CASE(quota_holds_over_batches_and_restarts)
{
    struct unit x;
    bool known = true;
    uint64_t number = 0;
    uint32_t units = 0;
    BP_NEED(f.lock >= 0);
    BP_CHECK(batch("PO-1", &number, &units) == BP_E_NOT_FOUND);
    for (unsigned i = 1; i <= 3; i++) {
        BP_CHECK(add("PO-1", &unit(&x, i)->u, &known) == BP_E_OK && !known);
        BP_CHECK(i != 2 || (batch("PO-1", &number, &units) == BP_E_OK && number == 1 && units == 2));
        BP_NEED(reopen());
    }
    BP_CHECK(add("PO-1", &unit(&x, 4)->u, &known) == BP_E_LIMIT);
    BP_CHECK(strstr(f.said, "has all its 3 units") != NULL);
    BP_CHECK(batch("PO-1", &number, &units) == BP_E_OK && number == 2 && units == 1);
    BP_NEED(reopen());
    BP_CHECK(add("PO-1", &unit(&x, 4)->u, &known) == BP_E_LIMIT);
    BP_CHECK(add("PO-2", &unit(&x, 4)->u, &known) == BP_E_NOT_FOUND);
    BP_CHECK(add("PO-1", &unit(&x, 3)->u, &known) == BP_E_OK && known); /* one of its own is not counted again */
}

BP_CASE(a_unit_is_entered_once_in_whatever_order)
{
    struct unit x, y;
    bool known = false;
    BP_NEED(f.lock >= 0 && !bp_failed(bp_factory_order_new(&f, "PO-2", 100)));
    BP_CHECK(add("PO-2", &unit(&x, 1)->u, &known) == BP_E_EXISTS);
    unit(&y, 50);
    y.u.key[1] = unit(&x, 1)->u.key[1]; /* another chip's second key */
    BP_CHECK(add("PO-2", &y.u, &known) == BP_E_EXISTS);
    unit(&y, 51);
    y.u.serial = BP_SPAN_STR("SN-1"); /* another chip under its serial number */
    BP_CHECK(add("PO-2", &y.u, &known) == BP_E_EXISTS && strstr(f.said, "SN-1") != NULL);
    y.u.model = BP_SPAN_STR("gw-2");
    BP_CHECK(add("PO-2", &y.u, &known) == BP_E_OK && !known);
    unit(&y, 1);
    y.u.keys = 1; /* the same chip with fewer keys */
    BP_CHECK(add("PO-1", &y.u, &known) == BP_E_EXISTS);
    unit(&y, 52);
    y.u.serial = BP_SPAN_STR("a\nb");
    BP_CHECK(add("PO-2", &y.u, &known) == BP_E_BAD_ARGUMENT);
}

/* The manifest's payload and what it says, from a file of DIR/batches; verified with the maker's key. */
static uint8_t *read_manifest(const char *order, unsigned number, struct bp_manifest *ret)
{
    char name[64];
    uint8_t *p = NULL, *scratch = bp_alloc(BP_MANIFEST_MAX + 1024);
    size_t n = 0;
    struct bp_cose_sign1 msg;
    struct bp_pubkey pub = bp_key_public(key);
    (void)snprintf(name, sizeof name, "batches/%s-%u.manifest", order, number);
    bp_result r = bp_file_read(in_dir(name), BP_FILE_PUBLIC, BP_MANIFEST_MAX, &p, &n);
    r = bp_failed(r) ? r : bp_cose_sign1_read(bp_span_of(p, n), &msg);
    r = bp_failed(r) ? r : bp_cose_sign1_verify(crypto, &msg, &pub, BP_SPAN_EMPTY, scratch, BP_MANIFEST_MAX + 1024);
    r = bp_failed(r) ? r : bp_manifest_read(msg.payload, ret);
    bp_free(scratch);
    if (bp_failed(r)) {
        bp_free(p);
        return NULL;
    }
    return p;
}

BP_CASE(a_batch_is_signed_and_written_again_as_it_was)
{
    struct bp_manifest m;
    uint64_t number = 0;
    uint32_t units = 9;
    uint8_t *p = read_manifest("PO-1", 1, &m);
    BP_NEED(p != NULL);
    BP_CHECK(bp_span_equal(m.maker, BP_SPAN_STR("Acme")) && bp_span_equal(m.order, BP_SPAN_STR("PO-1")) && m.batch == 1 &&
             m.units == 2 && m.before == 0 && m.quota == 3 && bp_span_equal(m.key, bp_key_spki(key)));
    bp_free(p);
    p = read_manifest("PO-1", 2, &m);
    BP_NEED(p != NULL);
    BP_CHECK(m.batch == 2 && m.units == 1 && m.before == 2);
    bp_free(p);
    BP_CHECK(batch("PO-1", &number, &units) == BP_E_OK && number == 2 && units == 0);
    struct bp_key *other = NULL;
    char path[BP_FACTORY_PATH_MAX];
    BP_NEED(!bp_failed(bp_key_make(BP_KEY_P256, &other)));
    const struct bp_signer signer = bp_key_signer(other);
    BP_CHECK(bp_is(bp_factory_batch(&f, "PO-2", other, &signer, &number, &units, path), BP_E_MISMATCH));
    bp_key_free(other);
    BP_NEED(!bp_failed(bp_file_write(in_dir("batches/PO-1-2.manifest"), BP_FILE_PUBLIC, BP_SPAN_STR("x"))));
    BP_CHECK(batch("PO-1", &number, &units) == BP_E_MISMATCH);
}

static uint8_t *keep(const char *path, size_t *ret_n)
{
    uint8_t *p = NULL;
    return bp_failed(bp_file_read(path, BP_FILE_SECRET, 1 << 20, &p, ret_n)) ? NULL : p;
}

static enum bp_error open_error(void)
{
    bp_factory_close(&f);
    return bp_error_of(bp_factory_open(&f, crypto, dir));
}

BP_CASE(an_older_copy_is_refused)
{
    struct unit x;
    bool known = false;
    size_t n = 0, mark_n = 0;
    uint8_t *before = keep(in_dir("book"), &n);
    BP_NEED(before != NULL && add("PO-2", &unit(&x, 60)->u, &known) == BP_E_OK);
    size_t now_n = 0;
    uint8_t *now = keep(in_dir("book"), &now_n), *mark_now = keep(mark, &mark_n);
    BP_NEED(now != NULL && mark_now != NULL);
    BP_CHECK(!bp_failed(bp_file_write(in_dir("book"), BP_FILE_SECRET, bp_span_of(before, n))));
    BP_CHECK(open_error() == BP_E_REPLAYED && strstr(f.said, "older copy") != NULL);
    /* Cut off and gone on with another unit, so that it is as long. */
    BP_CHECK(unlink(mark) == 0);
    BP_CHECK(open_error() == BP_E_REPLAYED && strstr(f.said, "missing") != NULL);
    struct bp_book book;
    uint8_t m[BP_MARK_MAX];
    size_t m_n = 0;
    BP_NEED(!bp_failed(bp_book_read(crypto, bp_span_of(before, n), &book)) && !bp_failed(bp_mark_write(&book, m, &m_n)));
    BP_NEED(!bp_failed(bp_file_write(mark, BP_FILE_SECRET, bp_span_of(m, m_n))) && open_error() == BP_E_OK);
    BP_CHECK(add("PO-2", &unit(&x, 61)->u, &known) == BP_E_OK);
    BP_NEED(!bp_failed(bp_file_write(mark, BP_FILE_SECRET, bp_span_of(mark_now, mark_n))));
    BP_CHECK(open_error() == BP_E_REPLAYED);
    BP_NEED(!bp_failed(bp_file_write(in_dir("book"), BP_FILE_SECRET, bp_span_of(now, now_n))));
    BP_CHECK(open_error() == BP_E_OK);
    bp_free(before);
    bp_free(now);
    bp_free(mark_now);
}

BP_CASE(a_damaged_book_is_refused_and_a_cut_one_goes_on)
{
    size_t n = 0;
    uint8_t *p = keep(in_dir("book"), &n);
    uint8_t longer[8192];
    BP_NEED(p != NULL && n + BP_FRAME_MAX + 1 < sizeof longer);
    memset(longer, 0, sizeof longer);
    memcpy(longer, p, n);
    longer[20] ^= 1; /* the first entry */
    BP_NEED(!bp_failed(bp_file_write(in_dir("book"), BP_FILE_SECRET, bp_span_of(longer, n))));
    BP_CHECK(open_error() == BP_E_REPLAYED || open_error() == BP_E_MALFORMED);
    longer[20] ^= 1;
    BP_NEED(!bp_failed(bp_file_write(in_dir("book"), BP_FILE_SECRET, bp_span_of(longer, n + BP_FRAME_MAX + 1))));
    BP_CHECK(open_error() == BP_E_MALFORMED); /* no single write was that long */
    BP_NEED(!bp_failed(bp_file_write(in_dir("book"), BP_FILE_SECRET, bp_span_of(longer, n + 7))));
    BP_CHECK(open_error() == BP_E_OK && f.book.end == n);
    bp_free(p);
}

/* What one turn at the station does. */
static void turn(unsigned number)
{
    struct unit x;
    bool known = false;
    uint64_t b = 0;
    uint32_t units = 0;
    const bool ok = !bp_failed(bp_factory_open(&f, crypto, dir)) &&
                    add("PO-3", &unit(&x, number)->u, &known) == BP_E_OK && batch("PO-3", &b, &units) == BP_E_OK;
    _exit(ok ? 0 : 1);
}

static int cut_turn(unsigned number, int at)
{
    int status = 0;
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        cut_at = at;
        turn(number);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define TURNS 200

/* Every unit is in one batch, and no batch lacks its file. */
static void check_batches(uint64_t batches, unsigned units)
{
    static uint8_t seen[TURNS];
    struct unit x;
    unsigned count = 0;
    for (unsigned b = 1; b <= batches; b++) {
        struct bp_manifest m;
        uint8_t *p = read_manifest("PO-3", b, &m);
        BP_NEED(p != NULL);
        BP_CHECK(m.batch == b && m.before == count);
        bp_rd rd = bp_rd_over(m.list);
        while (bp_rd_left(&rd) > 0) {
            struct bp_manifest_unit u;
            BP_NEED(!bp_failed(bp_manifest_next(&rd, &u)));
            for (unsigned i = 1; i <= units; i++) {
                if (bp_span_equal(u.id, unit(&x, 1000 + i)->u.id)) {
                    seen[i]++;
                }
            }
            count++;
        }
        bp_free(p);
    }
    for (unsigned i = 1; i <= units; i++) {
        BP_CHECK(seen[i] == 1);
    }
    BP_CHECK(count == units);
}

BP_CASE(a_power_cut_at_every_write_loses_and_repeats_nothing)
{
    struct unit x;
    struct bp_factory_order o;
    bool known = false;
    uint64_t b = 0;
    uint32_t units = 0;
    int ended = 99;
    unsigned i = 0;
    BP_NEED(f.lock >= 0 && !bp_failed(bp_factory_order_new(&f, "PO-3", TURNS - 1)));
    bp_factory_close(&f);
    while (ended == 99 && i + 1 < TURNS) {
        i++;
        ended = cut_turn(1000 + i, (int)i);
        /* The next morning: the folder opens, the same unit is scanned again, the batch is closed again. */
        BP_NEED((ended == 99 || ended == 0) && !bp_failed(bp_factory_open(&f, crypto, dir)));
        BP_CHECK(add("PO-3", &unit(&x, 1000 + i)->u, &known) == BP_E_OK);
        BP_CHECK(batch("PO-3", &b, &units) == BP_E_OK);
        BP_CHECK(!bp_failed(bp_factory_order_of(&f, BP_SPAN_STR("PO-3"), &o)) && o.units == i && o.open == 0);
        bp_factory_close(&f);
    }
    printf("# %u cuts\n", i - 1);
    BP_CHECK(ended == 0 && i > 10);
    check_batches(o.batches, i);
}

BP_CASE(all_is_given_back)
{
    char command[96];
    bp_factory_close(&f);
    bp_key_free(key);
    bp_crypto_openssl_free(crypto);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    BP_CHECK(bp_alloc_live() == live);
    BP_CHECK(system(command) == 0);
}

BP_SUITE(factory, BP_RUN(a_folder_is_made_with_its_keys) BP_RUN(an_order_is_opened_once)
                      BP_RUN(quota_holds_over_batches_and_restarts) BP_RUN(a_unit_is_entered_once_in_whatever_order)
                          BP_RUN(a_batch_is_signed_and_written_again_as_it_was) BP_RUN(an_older_copy_is_refused)
                              BP_RUN(a_damaged_book_is_refused_and_a_cut_one_goes_on)
                                  BP_RUN(a_power_cut_at_every_write_loses_and_repeats_nothing) BP_RUN(all_is_given_back))
