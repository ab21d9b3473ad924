/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/image - the makers. */
#include "image.h"

#include <stdio.h>

static void zeros(bp_wr *wr, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bp_wr_u8(wr, 0);
    }
}

static size_t filled(size_t n)
{
    return (n + 15u) & ~(size_t)15u;
}

static void put_headers(bp_wr *wr, size_t count, size_t total, size_t certificate_n)
{
    bp_wr_bytes(wr, BP_SPAN_STR("MZ"));
    zeros(wr, 0x3c - 2);
    bp_wr_le32(wr, 0x40);
    bp_wr_bytes(wr, bp_span_of("PE\0\0", 4));
    bp_wr_le16(wr, 0x8664);
    bp_wr_le16(wr, (uint16_t)count);
    zeros(wr, 12);
    bp_wr_le16(wr, 0xf0);
    bp_wr_le16(wr, 0x22);
    bp_wr_le16(wr, 0x20b);
    zeros(wr, 58);
    bp_wr_le32(wr, IMAGE_HEADERS);
    bp_wr_le32(wr, 0xc0ffee); /* checksum */
    zeros(wr, 112 - 4 - 68);
    bp_wr_le32(wr, 16);
    zeros(wr, 32);
    bp_wr_le32(wr, certificate_n != 0 ? (uint32_t)total : 0);
    bp_wr_le32(wr, (uint32_t)certificate_n);
    zeros(wr, 0xf0 - 112 - 40);
}

bp_span image_write(uint8_t *room, size_t cap, const struct image_section *section, size_t count, bp_span certificate)
{
    bp_wr wr = bp_wr_over(room, cap);
    size_t total = IMAGE_HEADERS;
    for (size_t i = 0; i < count; i++) {
        total += filled(section[i].data.n);
    }
    put_headers(&wr, count, total, certificate.n);
    size_t at = IMAGE_HEADERS;
    for (size_t i = 0; i < count; i++) {
        const size_t n = strlen(section[i].name);
        bp_wr_bytes(&wr, bp_span_of(section[i].name, n));
        zeros(&wr, 8 - n);
        bp_wr_le32(&wr, (uint32_t)section[i].data.n);
        bp_wr_le32(&wr, (uint32_t)at);
        bp_wr_le32(&wr, (uint32_t)filled(section[i].data.n));
        bp_wr_le32(&wr, (uint32_t)at);
        zeros(&wr, 16);
        at += filled(section[i].data.n);
    }
    zeros(&wr, IMAGE_HEADERS - wr.n);
    for (size_t i = 0; i < count; i++) {
        bp_wr_bytes(&wr, section[i].data);
        zeros(&wr, filled(section[i].data.n) - section[i].data.n);
    }
    bp_wr_bytes(&wr, certificate);
    return bp_wr_span(&wr);
}

void cpio_put(bp_wr *wr, const char *path, uint32_t mode, bp_span data)
{
    char head[256];
    const size_t name_n = strlen(path) + 1;
    (void)snprintf(head, sizeof head, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1u, mode, 0u, 0u,
                   1u, 0u, data.n, 0u, 0u, 0u, 0u, name_n, 0u);
    bp_wr_bytes(wr, bp_span_of(head, 110));
    bp_wr_bytes(wr, bp_span_of(path, name_n));
    while (wr->n % 4 != 0) {
        bp_wr_u8(wr, 0);
    }
    bp_wr_bytes(wr, data);
    while (wr->n % 4 != 0) {
        bp_wr_u8(wr, 0);
    }
}

void cpio_end(bp_wr *wr)
{
    cpio_put(wr, "TRAILER!!!", 0, BP_SPAN_EMPTY);
}
