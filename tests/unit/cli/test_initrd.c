/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_initrd - initial RAM disks: gzip and plain archives in a row, and malformed ones. */
#include "cli/initrd.h"
#include "harness.h"
#include "image.h"
#include "platform/alloc.h"

#include <zlib.h>

static uint8_t plain[4096], packed[8192];

static bp_span archive(void)
{
    bp_wr wr = bp_wr_over(plain, sizeof plain);
    cpio_put(&wr, "./bin", 0040755, BP_SPAN_EMPTY);
    cpio_put(&wr, "./bin/tool", 0100755, BP_SPAN_STR("#!/bin/sh\n"));
    cpio_put(&wr, "bin/sh", 0120777, BP_SPAN_STR("tool"));
    cpio_put(&wr, "etc/motd", 0100644, BP_SPAN_STR("hello"));
    cpio_put(&wr, "lib/modules/x.ko", 0100644, BP_SPAN_STR("module"));
    cpio_end(&wr);
    return bp_wr_span(&wr);
}

static size_t gzip(bp_span in, uint8_t *out, size_t cap)
{
    z_stream z = {0};
    union {
        const uint8_t *in;
        Bytef *z;
    } p = {.in = in.p};
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return 0;
    }
    z.next_in = p.z;
    z.avail_in = (uInt)in.n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    const int code = deflate(&z, Z_FINISH);
    const size_t n = cap - z.avail_out;
    (void)deflateEnd(&z);
    return code == Z_STREAM_END ? n : 0;
}

/* Paths of the archive, and of those that count as measured, joined. */
static uint32_t walk(bp_span unpacked, uint32_t *ret_measured, bool *ret_ended)
{
    struct bp_cpio cpio = {.in = unpacked};
    struct bp_cpio_entry e;
    uint32_t n = 0;
    bp_result r = bp_cpio_next(&cpio, &e);
    for (*ret_measured = 0; !bp_failed(r); r = bp_cpio_next(&cpio, &e)) {
        n++;
        *ret_measured += bp_initrd_is_measured(&e) ? 1u : 0u;
    }
    *ret_ended = bp_is(r, BP_E_NOT_FOUND);
    return n;
}

static void check_unpacked(bp_span initrd, uint32_t entries, uint32_t measured)
{
    uint8_t *p = NULL;
    size_t n = 0;
    uint32_t m = 0;
    bool ended = false;
    BP_NEED(!bp_failed(bp_initrd_unpack(initrd, &p, &n)));
    BP_CHECK(walk(bp_span_of(p, n), &m, &ended) == entries);
    BP_CHECK(m == measured && ended);
    bp_free(p);
}

BP_CASE(plain_archive)
{
    check_unpacked(archive(), 5, 2);
}

BP_CASE(gzip_archive)
{
    const size_t n = gzip(archive(), packed, sizeof packed);
    BP_NEED(n != 0);
    check_unpacked(bp_span_of(packed, n), 5, 2);
}

BP_CASE(plain_then_filling_then_gzip)
{
    const bp_span a = archive();
    static uint8_t both[16384];
    memcpy(both, a.p, a.n);
    memset(both + a.n, 0, 512);
    const size_t n = gzip(a, both + a.n + 512, sizeof both - a.n - 512);
    BP_NEED(n != 0);
    check_unpacked(bp_span_of(both, a.n + 512 + n), 10, 4);
}

BP_CASE(two_gzip_members)
{
    static uint8_t both[16384];
    const size_t a = gzip(archive(), both, sizeof both);
    BP_NEED(a != 0);
    const size_t b = gzip(archive(), both + a, sizeof both - a);
    BP_NEED(b != 0);
    check_unpacked(bp_span_of(both, a + b), 10, 4);
}

BP_CASE(contents)
{
    struct bp_cpio cpio = {.in = archive()};
    struct bp_cpio_entry e;
    BP_NEED(!bp_failed(bp_cpio_next(&cpio, &e)) && !bp_failed(bp_cpio_next(&cpio, &e)));
    BP_CHECK(bp_span_equal(e.path, BP_SPAN_STR("bin/tool")) && e.mode == 0100755);
    BP_CHECK(bp_span_equal(e.data, BP_SPAN_STR("#!/bin/sh\n")));
}

BP_CASE(measured)
{
    const struct {
        const char *path;
        uint32_t mode;
        const char *data;
        bool is;
    } one[] = {
        {"bin/x", 0100755, "x", true},
        {"bin/x", 0100644, "\x7f" "ELF..", true},
        {"lib/firmware/a.bin", 0100644, "x", true},
        {"usr/lib/firmware/a.bin", 0100644, "x", true},
        {"lib/modules/a.ko.xz", 0100644, "x", true},
        {"etc/ima-policy", 0100644, "measure", true},
        {"etc/hosts", 0100644, "x", false},
        {"bin", 0040755, "", false},
        {"bin/link", 0120777, "x", false},
        {"bin/empty", 0100755, "", false},
    };
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        const struct bp_cpio_entry e = {bp_span_cstr(one[i].path), one[i].mode, bp_span_cstr(one[i].data)};
        BP_CHECK(bp_initrd_is_measured(&e) == one[i].is);
    }
}

BP_CASE(cut_gzip_is_refused)
{
    const size_t n = gzip(archive(), packed, sizeof packed);
    for (size_t k = 2; k < n; k++) {
        uint8_t *p = NULL;
        size_t m = 0;
        const bp_result r = bp_initrd_unpack(bp_span_of(packed, k), &p, &m);
        if (!BP_CHECK(bp_failed(r))) {
            bp_free(p);
            return;
        }
    }
}

static const struct {
    const char *name;
    size_t at; /* in the first entry */
    uint8_t value;
    enum bp_error error;
} row[] = {
    {"other_magic", 5, '2', BP_E_MALFORMED},
    {"mode_not_hex", 20, 'g', BP_E_MALFORMED},
    {"size_past_end", 54, 'f', BP_E_TRUNCATED},
    {"name_past_limit", 96, '1', BP_E_LIMIT},
    {"name_shorter", 101, '2', BP_E_MALFORMED},
};

static void malformed(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        const bp_span a = archive();
        struct bp_cpio cpio = {.in = a};
        struct bp_cpio_entry e;
        plain[row[i].at] = row[i].value;
        BP_CHECK(bp_error_of(bp_cpio_next(&cpio, &e)) == row[i].error);
        BP_CHECK(cpio.at == 0);
        bp_case_end(row[i].name);
    }
}

BP_CASE(other_compressions)
{
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3};
    uint8_t *p = NULL;
    size_t n = 0;
    BP_CHECK(bp_is(bp_initrd_unpack(BP_SPAN_OF(zstd), &p, &n), BP_E_UNSUPPORTED));
    BP_CHECK(bp_is(bp_initrd_unpack(BP_SPAN_EMPTY, &p, &n), BP_E_TRUNCATED));
}

BP_CASE(memory_comes_back)
{
    const size_t live = bp_alloc_live();
    const size_t n = gzip(archive(), packed, sizeof packed);
    packed[n / 2] ^= 0xff;
    uint8_t *p = NULL;
    size_t m = 0;
    BP_CHECK(bp_failed(bp_initrd_unpack(bp_span_of(packed, n), &p, &m)));
    BP_CHECK(bp_alloc_live() == live);
    bp_alloc_fail_once(1);
    packed[n / 2] ^= 0xff;
    BP_CHECK(bp_is(bp_initrd_unpack(bp_span_of(packed, n), &p, &m), BP_E_NO_MEMORY));
    bp_alloc_fail_once(0);
    BP_CHECK(bp_alloc_live() == live);
}

BP_SUITE(initrd, BP_RUN(plain_archive) BP_RUN(gzip_archive) BP_RUN(plain_then_filling_then_gzip)
                     BP_RUN(two_gzip_members) BP_RUN(contents) BP_RUN(measured) BP_RUN(cut_gzip_is_refused)
                         BP_TABLE(malformed) BP_RUN(other_compressions) BP_RUN(memory_comes_back))
