/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/ceremony - the root's key in the hands of two: neither part opens it, and what is done with it is written
 * down, step by step, and signed by the key itself.
 *
 * The file is encrypted as every key file is; its pass phrase is made of both holders' parts, in whatever order they come. A
 * part is at least BP_CEREMONY_PART_MIN bytes that nobody can guess, and no part or digest of one gets into a transcript. */
#ifndef BP_FLEET_AUTHORITY_CEREMONY_H
#define BP_FLEET_AUTHORITY_CEREMONY_H

#include "codec/transcript.h"
#include "fleet/authority/site.h"

#define BP_CEREMONY_PART_MIN 20u
#define BP_CEREMONY_PHRASE   64u /* characters of the pass phrase that both parts make */
#define BP_CEREMONY_FILE_MAX 4096u

/* Steps that were done, kept until they are signed. Wiping is not needed: it holds digests. */
struct bp_ceremony {
    struct bp_crypto *crypto;
    const struct bp_clock *clock;
    uint32_t steps;
    int64_t time_ms[BP_TRANSCRIPT_STEPS_MAX];
    char name[BP_TRANSCRIPT_STEPS_MAX][BP_TRANSCRIPT_NAME_MAX + 1];
    uint8_t digest[BP_TRANSCRIPT_STEPS_MAX][BP_TRANSCRIPT_DIGEST];
};

/* Notes a step and the SHA-256 of what it was about.   LIMIT  too many steps, or a name too long */
BP_MUST_CHECK bp_result bp_ceremony_step(struct bp_ceremony *c, const char *name, bp_span about);
/* Signs the steps by the root's key and writes the transcript.   EXISTS  path is there    errors of files and keys */
BP_MUST_CHECK bp_result bp_ceremony_sign(const struct bp_ceremony *c, struct bp_key *root, const char *path);
/* Reads a transcript and verifies it by the root's certificate. The caller frees *ret_bytes, into which *ret points.
 *   BAD_SIGNATURE  another root's, or changed    errors of bp_file_read, bp_cose_sign1_read and bp_transcript_read */
BP_MUST_CHECK bp_result bp_ceremony_read(const char *path, const struct bp_site *site, struct bp_crypto *c,
                                         uint8_t **ret_bytes, struct bp_transcript *ret);

/* The pass phrase of two parts; the caller wipes it.   DENIED  a part too short, or twice the same */
BP_MUST_CHECK bp_result bp_ceremony_phrase(struct bp_crypto *c, bp_span a, bp_span b, char ret[BP_CEREMONY_PHRASE + 1]);

/* Writes the root's key, read from `from` by its pass phrase, to `to` for two holders, tries that both parts open it and that
 * neither does alone, and has it written down in `transcript`. `from` stays: whoever holds it destroys it. On failure nothing
 * is left.
 *   MISMATCH  not the key of the site's root    EXISTS  to or transcript is there    INTERNAL  one part alone opened it
 *   errors of keys and files, and as bp_ceremony_phrase */
struct bp_ceremony_share {
    const char *from, *to, *transcript;
    bp_span passphrase, a, b;
};
BP_MUST_CHECK bp_result bp_ceremony_share(const struct bp_ceremony_share *x, const struct bp_site *site, struct bp_crypto *c,
                                          const struct bp_clock *clock);

#endif
