/* SPDX-License-Identifier: Apache-2.0 */
/* base/buf - the one bounded reader and the one bounded writer. All pointer arithmetic of the parsers is here.
 *
 * Reader: the first failure sticks and every later read returns zero or empty; check once with bp_rd_finish (no
 * leftover allowed) or bp_rd_state. Values read before a failure must not be used until the check passed.
 * Writer: past its end it keeps counting, so the same code measures and writes; a writer over (NULL, 0) only
 * measures. Neither allocates nor owns. */
#ifndef BP_BASE_BUF_H
#define BP_BASE_BUF_H

#include "base/result.h"
#include "base/span.h"

typedef struct {
    bp_span in;
    size_t at;
    bp_result state;
} bp_rd;

bp_rd bp_rd_over(bp_span in);
uint8_t bp_rd_u8(bp_rd *rd);
uint16_t bp_rd_be16(bp_rd *rd);
uint32_t bp_rd_be32(bp_rd *rd);
uint64_t bp_rd_be64(bp_rd *rd);
uint16_t bp_rd_le16(bp_rd *rd);
uint32_t bp_rd_le32(bp_rd *rd);
uint64_t bp_rd_le64(bp_rd *rd);
/* The next n bytes in place; empty on failure. */
bp_span bp_rd_bytes(bp_rd *rd, size_t n);
void bp_rd_skip(bp_rd *rd, size_t n);
/* Everything not read yet; consumes it. */
bp_span bp_rd_rest(bp_rd *rd);
size_t bp_rd_left(const bp_rd *rd);
/* Records a failure found by the caller, unless one stands already. */
void bp_rd_fail(bp_rd *rd, bp_result r);
/*   TRUNCATED  a read passed the end
 *   any        what bp_rd_fail recorded first */
BP_MUST_CHECK bp_result bp_rd_state(const bp_rd *rd);
/* As bp_rd_state, and MALFORMED when bytes are left over. */
BP_MUST_CHECK bp_result bp_rd_finish(const bp_rd *rd);

typedef struct {
    uint8_t *p;
    size_t cap;
    size_t n; /* bytes wanted so far; may pass cap */
    bp_result state;
} bp_wr;

bp_wr bp_wr_over(void *p, size_t cap);
void bp_wr_u8(bp_wr *wr, uint8_t v);
void bp_wr_be16(bp_wr *wr, uint16_t v);
void bp_wr_be32(bp_wr *wr, uint32_t v);
void bp_wr_be64(bp_wr *wr, uint64_t v);
void bp_wr_le16(bp_wr *wr, uint16_t v);
void bp_wr_le32(bp_wr *wr, uint32_t v);
void bp_wr_bytes(bp_wr *wr, bp_span s);
/* Records a failure found by the caller, unless one stands already. */
void bp_wr_fail(bp_wr *wr, bp_result r);
/* What was written; empty when it did not fit or failed. */
bp_span bp_wr_span(const bp_wr *wr);
/*   NO_SPACE  wr->n tells the room needed
 *   any       what bp_wr_fail recorded first */
BP_MUST_CHECK bp_result bp_wr_finish(const bp_wr *wr);

#endif
