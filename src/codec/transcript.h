/* SPDX-License-Identifier: Apache-2.0 */
/* codec/transcript - what was done with a root's key, step by step, both directions (docs/protocol/objects.md).
 *
 * The payload of a COSE_Sign1 by the root's key itself, content type BP_TRANSCRIPT_CONTENT. Spans point into the input. It
 * knows no step: names are for people, digests for whoever holds the things. */
#ifndef BP_CODEC_TRANSCRIPT_H
#define BP_CODEC_TRANSCRIPT_H

#include "base/result.h"
#include "base/span.h"

#define BP_TRANSCRIPT_CONTENT   "application/vnd.bedplate.root-transcript+cbor"
#define BP_TRANSCRIPT_STEPS_MAX 8u
#define BP_TRANSCRIPT_NAME_MAX  48u
#define BP_TRANSCRIPT_DIGEST    32u
#define BP_TRANSCRIPT_MAX       1024u /* bytes of what bp_transcript_write makes */

struct bp_transcript_step {
    int64_t time_ms; /* never before the step above */
    bp_span name;    /* a-z, 0-9, hyphen */
    bp_span digest;
};

struct bp_transcript {
    uint32_t steps; /* 1..BP_TRANSCRIPT_STEPS_MAX */
    struct bp_transcript_step step[BP_TRANSCRIPT_STEPS_MAX];
};

/*   MALFORMED NOT_CANONICAL TRUNCATED  not such an object, or a step out of order   UNSUPPORTED  another type or major
 *   LIMIT  more steps, or a longer name */
BP_MUST_CHECK bp_result bp_transcript_read(bp_span payload, struct bp_transcript *ret);
/*   BAD_ARGUMENT  what the reader would refuse    NO_SPACE  *ret_n tells the room needed */
BP_MUST_CHECK bp_result bp_transcript_write(const struct bp_transcript *t, uint8_t *ret, size_t cap, size_t *ret_n);

#endif
