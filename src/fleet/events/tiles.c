/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/events/tiles - the log as files: C2SP tlog-tiles, for whoever copies heads and tiles off
 * the machine.
 *
 *   tile/<level>/<index>           256 hashes
 *   tile/<level>/<index>.p/<width> the last, partial tile of a level
 *   checkpoint                     the signed head
 * Index is written in groups of three digits, all but the last with a leading x: x001/x234/067. The
 * files are a copy of what the store holds; they need no sync of their own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fleet/events/log.h"
#include "fleet/store/crash.h"

#define BP_MODULE    EVENTS

#define PATH_MAX_LEN 96

static bp_result system_failure(void)
{
    return errno == ENOSPC || errno == EDQUOT ? BP_FAIL(FULL) : BP_FAIL(IO);
}

static bp_result make_parents(int dir, const char *path)
{
    char part[PATH_MAX_LEN];
    for (size_t i = 1; path[i] != 0 && i < sizeof part; i++) {
        if (path[i] != '/') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(dir, part, 0755) != 0 && errno != EEXIST) {
            return system_failure();
        }
    }
    return BP_OK;
}

static bp_result put_file(int dir, const char *path, bp_span bytes)
{
    BP_TRY(make_parents(dir, path));
    const int fd = openat(dir, "next", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return system_failure();
    }
    size_t done = 0;
    while (done < bytes.n) {
        const ssize_t n = write(fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            const bp_result r = system_failure();
            (void)close(fd);
            (void)unlinkat(dir, "next", 0);
            return r;
        }
        done += (size_t)n;
    }
    if (close(fd) != 0 || renameat(dir, "next", dir, path) != 0) {
        return system_failure();
    }
    return BP_OK;
}

static void tile_path(char ret[PATH_MAX_LEN], unsigned level, uint64_t n, unsigned width)
{
    char index[48];
    int at = 0;
    uint64_t unit = 1;
    while (n / unit >= 1000) {
        unit *= 1000;
    }
    for (; unit > 1; unit /= 1000) {
        at +=
            snprintf(index + at, sizeof index - (size_t)at, "x%03u/", (unsigned)(n / unit % 1000));
    }
    (void)snprintf(index + at, sizeof index - (size_t)at, "%03u", (unsigned)(n % 1000));
    if (width == BP_LOG_TILE) {
        (void)snprintf(ret, PATH_MAX_LEN, "tile/%u/%s", level, index);
    } else {
        (void)snprintf(ret, PATH_MAX_LEN, "tile/%u/%s.p/%u", level, index, width);
    }
}

static bp_result write_tile(bp_store *s, int dir, unsigned level, uint64_t n, unsigned width)
{
    uint8_t hash[BP_LOG_TILE][32];
    char path[PATH_MAX_LEN];
    BP_TRY(bp_log_tile(s, (uint8_t)level, n, width, hash));
    tile_path(path, level, n, width);
    return put_file(dir, path, bp_span_of(hash, (size_t)width * 32));
}

/* Tiles of one level that [from, to) leaves completed or changed. */
static bp_result write_level(bp_store *s, int dir, unsigned level, uint64_t from, uint64_t to)
{
    const uint64_t first = (from >> (8 * level)) / BP_LOG_TILE;
    const uint64_t hashes = to >> (8 * level);
    for (uint64_t n = first; n * BP_LOG_TILE < hashes; n++) {
        const uint64_t left = hashes - n * BP_LOG_TILE;
        BP_TRY(write_tile(s, dir, level, n, left < BP_LOG_TILE ? (unsigned)left : BP_LOG_TILE));
        BP_CRASH("log.between-tiles");
    }
    return BP_OK;
}

bp_result bp_log_write_tiles(bp_store *s, int dir)
{
    char head[BP_EVENT_MAX];
    struct bp_tree_row t = {0};
    BP_TRY(bp_store_tree(s, &t));
    if (t.tiled_size >= t.signed_size) {
        return BP_OK;
    }
    if (t.checkpoint.n > sizeof head) {
        return BP_FAIL(LIMIT);
    }
    const size_t head_n = t.checkpoint.n;
    memcpy(head, t.checkpoint.p, head_n); /* the next call on the store takes the span away */
    for (unsigned level = 0; level < 8 && (t.signed_size >> (8 * level)) > 0; level++) {
        BP_TRY(write_level(s, dir, level, t.tiled_size, t.signed_size));
    }
    BP_TRY(put_file(dir, "checkpoint", bp_span_of(head, head_n)));
    BP_CRASH("log.tiles-not-noted");
    BP_TRY(bp_store_begin(s));
    const bp_result r = bp_store_tree_tiled(s, t.signed_size);
    if (bp_failed(r)) {
        bp_store_abort(s);
        return r;
    }
    return bp_store_commit(s);
}
