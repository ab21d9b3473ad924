/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ima - iterator over the kernel's binary_runtime_measurements, and a writer of its entries.
 *
 * Little-endian (ima_canonical_fmt, and every machine we run on). Templates ima, ima-ng, ima-sig,
 * ima-buf. Nothing is copied; the iterator is a plain value, so that a copy of it is a bookmark.
 *
 *     pcr u32 | template digest, SHA-1, 20 bytes | name size u32 | name | data size u32 | data
 *     ("ima" has no data size: 20 bytes of file digest, u32 size, path)
 *
 * It does not hash: the template digest is checked and replayed by core/replay. The path is data
 * from the machine: any bytes but zero. */
#ifndef BP_CODEC_IMA_H
#define BP_CODEC_IMA_H

#include "base/buf.h"

#define BP_IMA_PCR      10u
#define BP_IMA_PATH_MAX 4096u
#define BP_IMA_DATA_MAX                                                                            \
    (64u * 1024u) /* ceiling on template data; a policy or command line may be in it */
#define BP_IMA_DIGEST_SIZE 20u

enum bp_ima_template { BP_IMA_LEGACY, BP_IMA_NG, BP_IMA_SIG, BP_IMA_BUF };

struct bp_ima_entry {
    uint32_t index;
    enum bp_ima_template template;
    bp_span template_digest; /* 20 bytes, SHA-1 of the template data; zeros mark a violation */
    bool violation;          /* PCR banks were extended with 0xff.. */
    bp_span data;      /* template data as hashed, except BP_IMA_LEGACY (see bp_ima_hash_parts) */
    uint16_t file_alg; /* TPM_ALG_ID of file_digest */
    bp_span file_digest;
    bp_span path;      /* without closing zero */
    bp_span signature; /* ima-sig; may be empty */
    bp_span buffer;    /* ima-buf */
    size_t at;
    size_t size;
};

struct bp_ima {
    bp_span list;
    size_t at;
    uint32_t next_index;
};

/* Stands before the first entry of bytes that hold whole entries; first_index is the index of that
 * entry in the machine's list (a delta does not begin at 0). */
struct bp_ima bp_ima_open(bp_span list, uint32_t first_index);

/* Reads the next entry. The iterator does not move on failure.
 *   NOT_FOUND    the list ended where an entry ended
 *   TRUNCATED    the last entry is cut
 *   MALFORMED    PCR is not 10, fields that do not fill the template data, no closing zero, a
 * digest of wrong size UNSUPPORTED  another template or file hash LIMIT        over BP_IMA_PATH_MAX
 * or BP_IMA_DATA_MAX */
BP_MUST_CHECK bp_result bp_ima_next(struct bp_ima *ima, struct bp_ima_entry *ret);

/* What a bank's template digest is the hash of, in parts (at most 3). LEGACY pads the path with
 * zeros to 256 bytes. */
#define BP_IMA_PARTS_MAX 3u
size_t bp_ima_hash_parts(const struct bp_ima_entry *entry, bp_span ret[BP_IMA_PARTS_MAX]);

/* Writes template data of ima-ng (signature ignored) or ima-sig, and a whole entry around it. */
void bp_ima_write_data(bp_wr *wr, enum bp_ima_template template, uint16_t file_alg,
                       bp_span file_digest, bp_span path, bp_span signature);
void bp_ima_write_entry(bp_wr *wr, enum bp_ima_template template, bp_span template_digest,
                        bp_span data);

#endif
