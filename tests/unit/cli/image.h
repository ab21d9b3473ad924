/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/image - small PE images and cpio archives, made byte by byte for tests. */
#ifndef BP_TESTS_UNIT_CLI_IMAGE_H
#define BP_TESTS_UNIT_CLI_IMAGE_H

#include "base/buf.h"

#define IMAGE_HEADERS   0x200u
#define IMAGE_SECTIONS  5u
#define IMAGE_OPTIONAL  0x58u /* where the optional header is */
#define IMAGE_CHECKSUM  (IMAGE_OPTIONAL + 64u)
#define IMAGE_DIRECTORY (IMAGE_OPTIONAL + 112u + 32u)
#define IMAGE_TABLE     (IMAGE_OPTIONAL + 0xf0u)

struct image_section {
    const char *name;
    bp_span data;
};

/* Writes a PE32+ image: sections in the given order, each filled up to 16 bytes, then `certificate`. */
bp_span image_write(uint8_t *room, size_t cap, const struct image_section *section, size_t count, bp_span certificate);

/* One newc entry, padded; the archive must begin where the writer does. */
void cpio_put(bp_wr *wr, const char *path, uint32_t mode, bp_span data);
void cpio_end(bp_wr *wr);

#endif
