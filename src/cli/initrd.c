/* SPDX-License-Identifier: Apache-2.0 */
/* cli/initrd - gzip members and newc archives, bounded. */
#include "cli/initrd.h"

#include "platform/alloc.h"

#include <zlib.h>

#define BP_MODULE CLI

#define HEADER      110u
#define FIELDS      13u
#define S_IFMT_     0170000u
#define S_IFREG_    0100000u
#define ANY_EXECUTE 0111u

/* --- unpacking --- */

struct room {
    uint8_t *p;
    size_t n, cap;
};

static bp_result grow(struct room *room, size_t more)
{
    if (more > BP_INITRD_MAX - room->n) {
        return BP_FAIL(LIMIT);
    }
    if (room->n + more > room->cap) {
        size_t cap = room->cap == 0 ? 1u << 20 : room->cap * 2;
        while (cap < room->n + more) {
            cap *= 2;
        }
        uint8_t *p = bp_realloc(room->p, cap);
        if (p == NULL) {
            return BP_FAIL(NO_MEMORY);
        }
        room->p = p;
        room->cap = cap;
    }
    return BP_OK;
}

static bp_result append(struct room *room, bp_span s)
{
    BP_TRY(grow(room, s.n));
    memcpy(room->p + room->n, s.p, s.n);
    room->n += s.n;
    return BP_OK;
}

static bp_result inflate_all(z_stream *z, struct room *room)
{
    int code = Z_OK;
    while (code == Z_OK) {
        BP_TRY(grow(room, 1u << 16));
        const size_t space = room->cap - room->n < (1u << 30) ? room->cap - room->n : 1u << 30;
        z->next_out = room->p + room->n;
        z->avail_out = (uInt)space;
        code = inflate(z, Z_NO_FLUSH);
        room->n += space - z->avail_out;
        if (room->n > BP_INITRD_MAX) {
            return BP_FAIL(LIMIT);
        }
    }
    if (code == Z_STREAM_END) {
        return BP_OK;
    }
    return code == Z_BUF_ERROR ? BP_FAIL(TRUNCATED) : code == Z_MEM_ERROR ? BP_FAIL(NO_MEMORY) : BP_FAIL(MALFORMED);
}

/* One gzip member; *ret_used bytes of in were it. */
static bp_result gunzip(bp_span in, struct room *room, size_t *ret_used)
{
    z_stream z = {0};
    if (in.n > UINT32_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        return BP_FAIL(NO_MEMORY);
    }
    union {
        const uint8_t *in;
        Bytef *z; /* zlib reads through it and does not write */
    } p = {.in = in.p};
    z.next_in = p.z;
    z.avail_in = (uInt)in.n;
    const bp_result r = inflate_all(&z, room);
    *ret_used = in.n - z.avail_in;
    (void)inflateEnd(&z);
    return r;
}

static bool begins(bp_span s, size_t at, bp_span with)
{
    return bp_span_equal(bp_span_sub(s, at, with.n), with);
}

/* Length of the plain archive that begins here, with the zeros that fill it up. */
static bp_result plain_length(bp_span in, size_t *ret)
{
    struct bp_cpio cpio = {.in = in};
    struct bp_cpio_entry entry;
    bp_result r;
    do {
        r = bp_cpio_next(&cpio, &entry);
    } while (!bp_failed(r) && cpio.base == 0);
    *ret = cpio.base != 0 ? cpio.base : cpio.at;
    return bp_is(r, BP_E_NOT_FOUND) || cpio.base != 0 ? BP_OK : r;
}

static bp_result unpack_part(bp_span rest, struct room *room, size_t *ret_used)
{
    static const uint8_t gzip[] = {0x1f, 0x8b};
    if (rest.p[0] == 0) { /* filling between parts */
        *ret_used = 1;
        return BP_OK;
    }
    if (begins(rest, 0, BP_SPAN_OF(gzip))) {
        return gunzip(rest, room, ret_used);
    }
    if (begins(rest, 0, BP_SPAN_STR("070701"))) {
        BP_TRY(plain_length(rest, ret_used));
        return append(room, bp_span_sub(rest, 0, *ret_used));
    }
    return BP_FAIL(UNSUPPORTED);
}

bp_result bp_initrd_unpack(bp_span initrd, uint8_t **ret, size_t *ret_n)
{
    struct room room = {0};
    bp_result r = BP_OK;
    for (size_t at = 0; !bp_failed(r) && at < initrd.n;) {
        size_t used = 0;
        r = unpack_part(bp_span_sub(initrd, at, initrd.n - at), &room, &used);
        at += used;
    }
    if (!bp_failed(r) && room.n == 0) {
        r = BP_FAIL(TRUNCATED);
    }
    if (bp_failed(r)) {
        bp_free(room.p);
        return r;
    }
    *ret = room.p;
    *ret_n = room.n;
    return BP_OK;
}

/* --- newc --- */

static bool hex8(const uint8_t *p, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < 8; i++) {
        const uint8_t ch = p[i];
        const uint8_t low = ch | 0x20u;
        if (ch >= '0' && ch <= '9') {
            v = v << 4 | (uint32_t)(ch - '0');
        } else if (low >= 'a' && low <= 'f') {
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret = v;
    return true;
}

static size_t padded(size_t n)
{
    return (n + 3u) & ~(size_t)3u;
}

static void skip_filling(struct bp_cpio *cpio)
{
    while (cpio->at < cpio->in.n && cpio->in.p[cpio->at] == 0) {
        cpio->at++;
    }
}

static bp_span shown_path(bp_span path)
{
    while (path.n != 0 && path.p[0] == '/') {
        path = bp_span_sub(path, 1, path.n - 1);
    }
    return path.n > 2 && path.p[0] == '.' && path.p[1] == '/' ? bp_span_sub(path, 2, path.n - 2) : path;
}

static bp_result read_entry(struct bp_cpio *cpio, struct bp_cpio_entry *ret)
{
    const bp_span head = bp_span_sub(cpio->in, cpio->at, HEADER);
    uint32_t field[FIELDS];
    if (head.n != HEADER) {
        return BP_FAIL(TRUNCATED);
    }
    if (!begins(head, 0, BP_SPAN_STR("070701"))) {
        return BP_FAIL(MALFORMED);
    }
    for (uint32_t i = 0; i < FIELDS; i++) {
        if (!hex8(head.p + 6 + (size_t)i * 8, &field[i])) {
            return BP_FAIL(MALFORMED);
        }
    }
    const size_t size = field[6], name_n = field[11];
    if (name_n == 0 || name_n > BP_INITRD_PATH_MAX + 1) {
        return name_n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT);
    }
    const size_t name_at = cpio->at + HEADER;
    const size_t data_at = cpio->base + padded(name_at + name_n - cpio->base);
    if (data_at > cpio->in.n || size > cpio->in.n - data_at) {
        return BP_FAIL(TRUNCATED);
    }
    const bp_span name = bp_span_sub(cpio->in, name_at, name_n);
    if (name.p[name_n - 1] != 0 || memchr(name.p, 0, name_n - 1) != NULL) {
        return BP_FAIL(MALFORMED);
    }
    *ret = (struct bp_cpio_entry){shown_path(bp_span_sub(name, 0, name_n - 1)), field[1],
                                  bp_span_of(cpio->in.p + data_at, size)};
    const size_t end = cpio->base + padded(data_at + size - cpio->base);
    cpio->at = end < cpio->in.n ? end : cpio->in.n;
    return BP_OK;
}

bp_result bp_cpio_next(struct bp_cpio *cpio, struct bp_cpio_entry *ret)
{
    while (cpio->at < cpio->in.n) {
        struct bp_cpio_entry entry;
        BP_TRY(read_entry(cpio, &entry));
        if (!bp_span_equal(entry.path, BP_SPAN_STR("TRAILER!!!"))) {
            *ret = entry;
            return BP_OK;
        }
        skip_filling(cpio);
        cpio->base = cpio->at;
    }
    return BP_FAIL(NOT_FOUND);
}

static bool has(bp_span s, bp_span part)
{
    for (size_t i = 0; part.n <= s.n && i <= s.n - part.n; i++) {
        if (memcmp(s.p + i, part.p, part.n) == 0) {
            return true;
        }
    }
    return false;
}

bool bp_initrd_is_measured(const struct bp_cpio_entry *entry)
{
    if ((entry->mode & S_IFMT_) != S_IFREG_ || entry->data.n == 0) {
        return false;
    }
    const bp_span path = entry->path;
    return (entry->mode & ANY_EXECUTE) != 0 || begins(entry->data, 0, BP_SPAN_STR("\x7f" "ELF")) ||
           begins(path, 0, BP_SPAN_STR("lib/firmware/")) || begins(path, 0, BP_SPAN_STR("usr/lib/firmware/")) ||
           has(path, BP_SPAN_STR(".ko")) || has(path, BP_SPAN_STR("ima-policy")) ||
           has(path, BP_SPAN_STR("ima/ima_policy"));
}
