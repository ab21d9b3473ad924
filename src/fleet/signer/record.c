/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/record - see record.h. */
#include "fleet/signer/record.h"

#include "base/buf.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE SIGNER

#define MAGIC   "BPISSUED"
#define HEAD    24u
#define COVERED 80u /* bytes of an entry before its link */
#define PAGE    512u /* entries read at once */

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

struct bp_record {
    struct bp_crypto *crypto;
    int fd;
    off_t size;
    bool is_owed;
    uint8_t link[BP_SHA256_SIZE];
};

/* --- bytes --- */

static const struct {
    enum bp_sig_alg alg;
    int16_t number; /* RFC 9053 */
} algorithms[] = {{BP_SIG_ES256, -7}, {BP_SIG_ES384, -35}};

static bp_result put_entry(struct bp_crypto *c, const struct bp_issued *e, const uint8_t before[BP_SHA256_SIZE],
                           uint8_t ret[BP_ISSUED_SIZE])
{
    int16_t number = 0;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        number = algorithms[i].alg == e->alg ? algorithms[i].number : number;
    }
    if (number == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    bp_wr wr = bp_wr_over(ret, BP_ISSUED_SIZE);
    bp_wr_bytes(&wr, BP_SPAN_OF(e->serial));
    bp_wr_bytes(&wr, BP_SPAN_OF(e->tbs));
    bp_wr_bytes(&wr, BP_SPAN_OF(e->issuer));
    bp_wr_u8(&wr, (uint8_t)e->profile);
    bp_wr_be16(&wr, (uint16_t)number);
    bp_wr_u8(&wr, 0);
    bp_wr_be64(&wr, (uint64_t)e->time_ms);
    const bp_span parts[] = {bp_span_of(before, BP_SHA256_SIZE), bp_span_of(ret, COVERED)};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 2, ret + COVERED);
}

/* MALFORMED: it does not follow the one before, or holds what no entry holds. */
static bp_result get_entry(struct bp_crypto *c, const uint8_t *bytes, const uint8_t before[BP_SHA256_SIZE],
                           struct bp_issued *ret)
{
    uint8_t link[BP_SHA256_SIZE];
    struct bp_issued e = {.alg = BP_SIG_NONE};
    const bp_span parts[] = {bp_span_of(before, BP_SHA256_SIZE), bp_span_of(bytes, COVERED)};
    BP_TRY(bp_hash_parts(c, BP_HASH_SHA256, parts, 2, link));
    bp_rd rd = bp_rd_over(bp_span_of(bytes, BP_ISSUED_SIZE));
    memcpy(e.serial, bp_rd_bytes(&rd, sizeof e.serial).p, sizeof e.serial);
    memcpy(e.tbs, bp_rd_bytes(&rd, sizeof e.tbs).p, sizeof e.tbs);
    memcpy(e.issuer, bp_rd_bytes(&rd, sizeof e.issuer).p, sizeof e.issuer);
    const uint8_t profile = bp_rd_u8(&rd);
    const int16_t number = (int16_t)bp_rd_be16(&rd);
    const uint8_t zero = bp_rd_u8(&rd);
    const uint64_t time = bp_rd_be64(&rd);
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        e.alg = algorithms[i].number == number ? algorithms[i].alg : e.alg;
    }
    if (memcmp(link, bytes + COVERED, sizeof link) != 0 || profile >= BP_CERT_PROFILES || e.alg == BP_SIG_NONE ||
        zero != 0 || time > INT64_MAX) {
        return BP_FAIL(MALFORMED);
    }
    e.profile = (enum bp_cert_profile)profile;
    e.time_ms = (int64_t)time;
    *ret = e;
    return BP_OK;
}

static bp_result get_head(const uint8_t bytes[HEAD], int64_t *ret_since_ms)
{
    bp_rd rd = bp_rd_over(bp_span_of(bytes, HEAD));
    const bool magic = bp_span_equal(bp_rd_bytes(&rd, sizeof MAGIC - 1), BP_SPAN_STR(MAGIC));
    const bool form = bp_rd_be32(&rd) == 1 && bp_rd_be32(&rd) == BP_ISSUED_SIZE;
    const uint64_t since = bp_rd_be64(&rd);
    if (!magic || !form || since > INT64_MAX) {
        return BP_FAIL(MALFORMED);
    }
    *ret_since_ms = (int64_t)since;
    return BP_OK;
}

/* --- writing --- */

static bp_result write_at_end(struct bp_record *r, const uint8_t *bytes, size_t n)
{
    ssize_t done;
    do {
        done = pwrite(r->fd, bytes, n, r->size);
    } while (done < 0 && errno == EINTR);
    if (done != (ssize_t)n) {
        const bp_result why = done < 0 ? FAIL_ERRNO() : BP_FAIL(FULL);
        /* If even this fails the rest is passed over as a cut entry, or overwritten by the next. */
        (void)!ftruncate(r->fd, r->size);
        return why;
    }
    r->size += (off_t)n;
    r->is_owed = true;
    return BP_OK;
}

static bp_result begin_file(struct bp_record *r, int64_t now_ms)
{
    uint8_t head[HEAD];
    bp_wr wr = bp_wr_over(head, sizeof head);
    bp_wr_bytes(&wr, BP_SPAN_STR(MAGIC));
    bp_wr_be32(&wr, 1);
    bp_wr_be32(&wr, BP_ISSUED_SIZE);
    bp_wr_be64(&wr, (uint64_t)now_ms);
    BP_TRY(write_at_end(r, head, sizeof head));
    return bp_record_sync(r);
}

static bool read_at(int fd, uint8_t *ret, size_t n, off_t at)
{
    ssize_t done;
    do {
        done = pread(fd, ret, n, at);
    } while (done < 0 && errno == EINTR);
    return done == (ssize_t)n;
}

/* The last entry must follow the one before it: what comes next hangs on its link. */
static bp_result read_last(struct bp_record *r)
{
    uint8_t head[HEAD], last[BP_ISSUED_SIZE], before[BP_SHA256_SIZE] = {0};
    struct bp_issued e;
    int64_t since = 0;
    if (!read_at(r->fd, head, sizeof head, 0)) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(get_head(head, &since));
    const off_t entries = (r->size - (off_t)HEAD) / (off_t)BP_ISSUED_SIZE;
    const off_t whole = (off_t)HEAD + entries * (off_t)BP_ISSUED_SIZE;
    if (whole != r->size && ftruncate(r->fd, whole) != 0) {
        return FAIL_ERRNO();
    }
    r->size = whole;
    if (entries == 0) {
        return BP_OK;
    }
    const off_t at = whole - (off_t)BP_ISSUED_SIZE;
    if (!read_at(r->fd, last, sizeof last, at) ||
        (entries > 1 && !read_at(r->fd, before, sizeof before, at - (off_t)sizeof before))) {
        return BP_FAIL(IO);
    }
    BP_TRY(get_entry(r->crypto, last, before, &e));
    memcpy(r->link, last + COVERED, sizeof r->link);
    return BP_OK;
}

static bp_result open_file(struct bp_record *r, const char *path, int64_t now_ms)
{
    struct stat st;
    r->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (r->fd < 0) {
        return FAIL_ERRNO();
    }
    if (flock(r->fd, LOCK_EX | LOCK_NB) != 0) {
        return BP_FAIL(BUSY);
    }
    if (fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return BP_FAIL(DENIED);
    }
    if (st.st_size < (off_t)HEAD) { /* new, or cut while it was begun: no entry can be in it */
        return ftruncate(r->fd, 0) == 0 ? begin_file(r, now_ms) : FAIL_ERRNO();
    }
    r->size = st.st_size;
    return read_last(r);
}

bp_result bp_record_open(const char *path, struct bp_crypto *c, int64_t now_ms, struct bp_record **ret)
{
    struct bp_record *r = bp_alloc(sizeof *r);
    if (r == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    r->crypto = c;
    const bp_result why = open_file(r, path, now_ms);
    if (bp_failed(why)) {
        bp_record_free(r);
        return why;
    }
    *ret = r;
    return BP_OK;
}

void bp_record_free(struct bp_record *r)
{
    if (r != NULL) {
        if (r->fd >= 0) {
            (void)close(r->fd);
        }
        bp_free(r);
    }
}

bp_result bp_record_add(struct bp_record *r, const struct bp_issued *entry)
{
    uint8_t bytes[BP_ISSUED_SIZE];
    BP_TRY(put_entry(r->crypto, entry, r->link, bytes));
    BP_TRY(write_at_end(r, bytes, sizeof bytes));
    memcpy(r->link, bytes + COVERED, sizeof r->link);
    return BP_OK;
}

bool bp_record_is_owed(const struct bp_record *r)
{
    return r->is_owed;
}

bp_result bp_record_sync(struct bp_record *r)
{
    if (r->is_owed && fdatasync(r->fd) != 0) {
        return FAIL_ERRNO();
    }
    r->is_owed = false;
    return BP_OK;
}

/* --- reading --- */

static bp_result read_page(int fd, uint8_t *page, off_t at, size_t *ret_n)
{
    ssize_t n;
    do {
        n = pread(fd, page, (size_t)PAGE * BP_ISSUED_SIZE, at);
    } while (n < 0 && errno == EINTR);
    *ret_n = n < 0 ? 0 : (size_t)n / BP_ISSUED_SIZE;
    return n < 0 ? FAIL_ERRNO() : BP_OK;
}

struct reading {
    struct bp_crypto *crypto;
    bp_result (*each)(void *self, const struct bp_issued *entry);
    void *self;
    uint8_t *page;
    uint64_t count;
};

static bp_result read_entries(int fd, struct reading *x)
{
    uint8_t link[BP_SHA256_SIZE] = {0};
    size_t n = 0;
    do {
        BP_TRY(read_page(fd, x->page, (off_t)HEAD + (off_t)(x->count * BP_ISSUED_SIZE), &n));
        for (size_t i = 0; i < n; i++) {
            struct bp_issued e;
            const uint8_t *bytes = x->page + i * BP_ISSUED_SIZE;
            BP_TRY(get_entry(x->crypto, bytes, link, &e));
            memcpy(link, bytes + COVERED, sizeof link);
            BP_TRY(x->each(x->self, &e));
            x->count++;
        }
    } while (n > 0);
    return BP_OK;
}

bp_result bp_record_read(const char *path, struct bp_crypto *c,
                         bp_result (*each)(void *self, const struct bp_issued *entry), void *self, int64_t *ret_since_ms,
                         uint64_t *ret_count)
{
    uint8_t head[HEAD];
    struct reading x = {c, each, self, NULL, 0};
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = read_at(fd, head, sizeof head, 0) ? get_head(head, ret_since_ms) : BP_FAIL(MALFORMED);
    if (!bp_failed(r)) {
        x.page = bp_alloc_array(PAGE, BP_ISSUED_SIZE);
        r = x.page == NULL ? BP_FAIL(NO_MEMORY) : read_entries(fd, &x);
    }
    bp_free(x.page);
    (void)close(fd);
    *ret_count = x.count;
    return r;
}
