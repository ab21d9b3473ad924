/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/file - bounded reads, atomic writes. */
#include "platform/linux/file.h"

#include "platform/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE PLATFORM

enum bp_error bp_error_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return BP_E_NOT_FOUND;
    case EEXIST:
        return BP_E_EXISTS;
    case EACCES:
    case EPERM:
    case ELOOP:
    case EROFS:
        return BP_E_DENIED;
    case ENOSPC:
    case EDQUOT:
        return BP_E_FULL;
    case ENOMEM:
        return BP_E_NO_MEMORY;
    case EAGAIN:
    case EBUSY:
        return BP_E_BUSY;
    default:
        return BP_E_IO;
    }
}

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

static bp_result check_stat(int fd, enum bp_file_kind kind, size_t max, size_t *ret_n)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return FAIL_ERRNO();
    }
    if (!S_ISREG(st.st_mode)) {
        return BP_FAIL(DENIED);
    }
    if (kind == BP_FILE_SECRET && ((st.st_mode & 0077) != 0 || (st.st_uid != geteuid() && st.st_uid != 0))) {
        return BP_FAIL(DENIED);
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        return BP_FAIL(LIMIT);
    }
    *ret_n = (size_t)st.st_size;
    return BP_OK;
}

static bp_result read_all(int fd, uint8_t *p, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = read(fd, p + done, n - done);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return BP_FAIL(IO); /* it shrank meanwhile */
        } else if (errno != EINTR) {
            return FAIL_ERRNO();
        }
    }
    return BP_OK;
}

bp_result bp_file_read(const char *path, enum bp_file_kind kind, size_t max, uint8_t **ret, size_t *ret_n)
{
    /* O_NONBLOCK: opening a pipe that somebody put there must not hang. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    uint8_t *p = NULL;
    size_t n = 0;
    bp_result r = check_stat(fd, kind, max, &n);
    if (bp_failed(r)) {
        goto out;
    }
    p = (uint8_t *)bp_alloc(n + 1);
    if (p == NULL) {
        r = BP_FAIL(NO_MEMORY);
        goto out;
    }
    r = read_all(fd, p, n);
    if (!bp_failed(r)) {
        *ret = p;
        *ret_n = n;
        p = NULL;
    }
out:
    bp_free_secret(p, n);
    close(fd);
    return r;
}

static bp_result write_all(int fd, bp_span s)
{
    size_t done = 0;
    while (done < s.n) {
        const ssize_t put = write(fd, s.p + done, s.n - done);
        if (put >= 0) {
            done += (size_t)put;
        } else if (errno != EINTR) {
            return FAIL_ERRNO();
        }
    }
    return fsync(fd) == 0 ? BP_OK : FAIL_ERRNO();
}

bp_result bp_file_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof folder) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    memcpy(folder, slash == NULL ? "." : path, n);
    folder[n] = 0;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    const bp_result r = fsync(fd) == 0 ? BP_OK : FAIL_ERRNO();
    close(fd);
    return r;
}

bp_result bp_file_write(const char *path, enum bp_file_kind kind, bp_span contents)
{
    char temp[PATH_MAX];
    const int len = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof temp) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const int fd = mkostemp(temp, O_CLOEXEC); /* 0600 from the first moment */
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = write_all(fd, contents);
    const mode_t mode = kind == BP_FILE_PUBLIC ? 0644 : kind == BP_FILE_GROUP ? 0640 : 0600;
    if (!bp_failed(r) && fchmod(fd, mode) != 0) {
        r = FAIL_ERRNO();
    }
    if (close(fd) != 0 && !bp_failed(r)) {
        r = FAIL_ERRNO();
    }
    if (!bp_failed(r) && rename(temp, path) != 0) {
        r = FAIL_ERRNO();
    }
    if (bp_failed(r)) {
        (void)unlink(temp);
        return r;
    }
    return bp_file_sync_folder(path);
}

/* The end is at `at` before anything new is written, and the folder knows the file. */
static bp_result append_to(int fd, const char *path, size_t at, bp_span contents)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return FAIL_ERRNO();
    }
    if (!S_ISREG(st.st_mode)) {
        return BP_FAIL(DENIED);
    }
    if (st.st_size < 0 || (uint64_t)st.st_size < at) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if ((uint64_t)st.st_size > at && ftruncate(fd, (off_t)at) != 0) {
        return FAIL_ERRNO();
    }
    if (lseek(fd, (off_t)at, SEEK_SET) < 0) {
        return FAIL_ERRNO();
    }
    BP_TRY(write_all(fd, contents));
    return bp_file_sync_folder(path);
}

bp_result bp_file_append(const char *path, enum bp_file_kind kind, size_t at, bp_span contents)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                        kind == BP_FILE_PUBLIC ? 0644 : 0600);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = append_to(fd, path, at, contents);
    if (close(fd) != 0 && !bp_failed(r)) {
        r = FAIL_ERRNO();
    }
    return r;
}
