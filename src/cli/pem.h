/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pem - one PEM block (RFC 7468) to and from DER. Rooms are the caller's. */
#ifndef BP_CLI_PEM_H
#define BP_CLI_PEM_H

#include "base/buf.h"

/* Writes a block; label as in "PUBLIC KEY". */
void bp_pem_write(bp_wr *wr, const char *label, bp_span der);

/* Bytes of the block with that label which begins first at or after *at; *at moves behind it. Input that holds no
 * block at all is DER and taken as it is when `*at` is 0.
 *   NOT_FOUND  there is no such block (left)      MALFORMED  not base64      NO_SPACE */
BP_MUST_CHECK bp_result bp_pem_next(bp_span in, size_t *at, const char *label, uint8_t *room, size_t cap, bp_span *ret);

#endif
