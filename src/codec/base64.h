/* SPDX-License-Identifier: Apache-2.0 */
/* codec/base64 - standard base64 with padding (RFC 4648 section 4), strict: no line breaks, no blanks, and the unused
 * bits of the last digit are zero, so that every value has one spelling. */
#ifndef BP_CODEC_BASE64_H
#define BP_CODEC_BASE64_H

#include "base/buf.h"

/* Characters that n bytes need. */
#define BP_BASE64_SIZE(n) (((n) + 2u) / 3u * 4u)

void bp_base64_write(bp_wr *wr, bp_span in);
/* Decodes text as a whole into wr. MALFORMED (sticks in wr): not base64, or not in its one spelling. */
void bp_base64_read(bp_wr *wr, bp_span text);
/* The same, with blanks, tabs and line ends anywhere in the text (RFC 8951 section 3.1, RFC 7468 section 2). */
void bp_base64_read_wrapped(bp_wr *wr, bp_span text);

#endif
