/* SPDX-License-Identifier: Apache-2.0 */
/* cli/initrd - the files of a Linux initial RAM disk: newc cpio archives, plain or in gzip, one after another.
 *
 * Unpacking is bounded; nothing is written anywhere. It does not follow links and does not do other compressions. */
#ifndef BP_CLI_INITRD_H
#define BP_CLI_INITRD_H

#include "base/result.h"
#include "base/span.h"

#define BP_INITRD_MAX      (512u << 20) /* bytes unpacked */
#define BP_INITRD_PATH_MAX 4096u

/* Unpacks; the caller owns *ret (bp_free).
 *   UNSUPPORTED  neither gzip nor cpio at some place      MALFORMED, TRUNCATED  not gzip inside
 *   LIMIT  more than BP_INITRD_MAX      NO_MEMORY */
BP_MUST_CHECK bp_result bp_initrd_unpack(bp_span initrd, uint8_t **ret, size_t *ret_n);

struct bp_cpio_entry {
    bp_span path; /* as archived, without leading "/" or "./" */
    uint32_t mode;
    bp_span data;
};

/* Walks unpacked archives: begin with {.in = ..., .at = 0}. */
struct bp_cpio {
    bp_span in;
    size_t at;
    size_t base; /* where the archive that is being read begins: paddings count from there */
};
/* The next file, folder or link.
 *   NOT_FOUND  the end      MALFORMED, TRUNCATED  not newc      LIMIT  a path over BP_INITRD_PATH_MAX */
BP_MUST_CHECK bp_result bp_cpio_next(struct bp_cpio *cpio, struct bp_cpio_entry *ret);

/* Whether the kernel measures such a file when it is used (our IMA policy): programs, libraries, modules, firmware,
 * the policy itself. */
bool bp_initrd_is_measured(const struct bp_cpio_entry *entry);

#endif
