/* SPDX-License-Identifier: Apache-2.0 */
/* cli/reference - reference values of a release: from unified kernel images, boot logs and lists of measured programs
 * (docs/protocol/references.md).
 *
 * The set owns what it was given by copy. An image says what a machine that starts it will measure; a log says what a
 * machine did measure, and is believed because whoever makes the release ran that machine. */
#ifndef BP_CLI_REFERENCE_H
#define BP_CLI_REFERENCE_H

#include "codec/corim.h"
#include "port/crypto.h"

#define BP_REFERENCE_IMAGES_MAX 4u /* alternatives that one measurement may name */
#define BP_REFERENCE_MAX        65536u

struct bp_references {
    struct bp_corim_ref *ref;
    size_t count, cap;
    struct bp_reference_block *blocks;
    uint32_t images;
    uint32_t programs; /* how many came as files and as boot events, for telling */
    uint32_t events;
    bool has_platform;
};

void bp_references_init(struct bp_references *set);
void bp_references_done(struct bp_references *set);

/* What went wrong with the input, for people; a text that lives as long as the program. */
struct bp_reference_trouble {
    const char *what;
    uint32_t at; /* event or entry, where one is to blame */
};

/* What firmware, boot stub and kernel measure of the image, and each program, library, module and firmware file in its
 * initial RAM disk. Further images are alternatives of the first: the same components with other digests.
 *   MALFORMED, TRUNCATED, UNSUPPORTED  not a unified kernel image that can be told in advance
 *   LIMIT  more than BP_REFERENCE_IMAGES_MAX images or BP_REFERENCE_MAX values      NO_MEMORY  CRYPTO */
BP_MUST_CHECK bp_result bp_references_add_image(struct bp_crypto *c, struct bp_references *set, bp_span image,
                                                struct bp_reference_trouble *trouble);

/* What the log's machine measured. with_image false: only what does not depend on the image that was started.
 *   DENIED  Secure Boot was off, or an event's data does not match its digest      others as bp_bootlog_next */
BP_MUST_CHECK bp_result bp_references_add_boot_log(struct bp_crypto *c, struct bp_references *set, bp_span log,
                                                   bool with_image, struct bp_reference_trouble *trouble);

/* Every file of the kernel's list.
 *   DENIED  a file changed while it was measured      others as bp_ima_next, bp_ima_extend */
BP_MUST_CHECK bp_result bp_references_add_ima_log(struct bp_crypto *c, struct bp_references *set, bp_span list,
                                                  struct bp_reference_trouble *trouble);

/* The set as CoRIM; the caller owns *ret (bp_free).   BAD_ARGUMENT  it is empty, or a text is too long   NO_MEMORY */
BP_MUST_CHECK bp_result bp_references_corim(const struct bp_references *set, bp_span id, bp_span vendor, bp_span model,
                                            uint8_t **ret, size_t *ret_n);

#endif
