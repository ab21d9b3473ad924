/* SPDX-License-Identifier: Apache-2.0 */
/* codec/release - the release manifest, object `release` 1.0, both directions (docs/protocol/references.md).
 *
 * The payload of a COSE_Sign1 by the maker's release key; the release id is the SHA-256 of the payload. Spans point
 * into the input. It does not verify the signature: codec/cose does, over the same bytes. */
#ifndef BP_CODEC_RELEASE_H
#define BP_CODEC_RELEASE_H

#include "codec/cbor.h"

#define BP_RELEASE_IMAGES_MAX 16u
#define BP_RELEASE_TEXT_MAX   64u
#define BP_RELEASE_CONTENT    "application/vnd.bedplate.release+cbor"

struct bp_release_image {
    bp_span name;
    bp_span digest; /* SHA-256 of the file */
    uint64_t size;
};

struct bp_release {
    bp_span product; /* 4 */
    bp_span model;   /* 5, hardware model */
    bp_span version; /* 6, text shown */
    uint64_t counter;   /* 7, security counter */
    uint64_t key_epoch; /* 8 */
    uint64_t created_ms;     /* 9 */
    uint64_t support_end_ms; /* 10; 0: not stated */
    uint32_t images;         /* 11, array of [name, digest, size] */
    struct bp_release_image image[BP_RELEASE_IMAGES_MAX];
    bp_span corim; /* 12, bytes */
};

/* Reads a payload. On failure ret is all zero, or untouched when the bytes are not deterministic CBOR.
 *   UNSUPPORTED  another type or major version      LIMIT  more images or longer texts than above
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object */
BP_MUST_CHECK bp_result bp_release_read(bp_span payload, struct bp_release *ret);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_release_write(const struct bp_release *release, uint8_t *ret, size_t cap, size_t *ret_len);

#endif
