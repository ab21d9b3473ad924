/* SPDX-License-Identifier: Apache-2.0 */
/* codec/der - strict DER (X.690 section 10): one tag-length-value at a time over base/buf, both directions.
 *
 * Definite lengths in their shortest form only; tags of one byte; lengths up to 2^32-1. Spans point into the input.
 * Failures stick in the reader. It does not walk unknown content: what a caller skips is not looked into. */
#ifndef BP_CODEC_DER_H
#define BP_CODEC_DER_H

#include "base/buf.h"

enum {
    BP_DER_BOOL = 0x01,
    BP_DER_INT = 0x02,
    BP_DER_BITS = 0x03,
    BP_DER_OCTETS = 0x04,
    BP_DER_NULL = 0x05,
    BP_DER_OID = 0x06,
    BP_DER_UTF8 = 0x0c,
    BP_DER_PRINTABLE = 0x13,
    BP_DER_IA5 = 0x16,
    BP_DER_UTCTIME = 0x17,
    BP_DER_GENTIME = 0x18,
    BP_DER_SEQ = 0x30,
    BP_DER_SET = 0x31
};
/* Context-specific tags, constructed and primitive. */
#define BP_DER_CTX(n)  ((uint8_t)(0xa0u | (n)))
#define BP_DER_CTXP(n) ((uint8_t)(0x80u | (n)))

/* Tag of the next element, without consuming it; 0 when nothing is left or the reader has failed. */
uint8_t bp_der_peek(const bp_rd *rd);

/* Content of the next element, which must have that tag. The reader fails
 *   TRUNCATED      it ends early                        MALFORMED    another tag
 *   NOT_CANONICAL  a longer length form, or indefinite  UNSUPPORTED  a tag of more than one byte */
bp_span bp_der_get(bp_rd *rd, uint8_t tag);
/* The same with tag and length, as it stands. */
bp_span bp_der_get_whole(bp_rd *rd, uint8_t tag);
/* The next element whole, of any tag; empty and no failure when nothing is left. */
bp_span bp_der_get_any(bp_rd *rd);
/* A reader over the content; carries a failure of rd along. */
bp_rd bp_der_enter(bp_rd *rd, uint8_t tag);

/* INTEGER >= 0 without its leading zero byte (the value 0 is one zero byte); MALFORMED when negative. */
bp_span bp_der_get_uint(bp_rd *rd);
/* INTEGER of 0..2^31-1; LIMIT above. */
uint32_t bp_der_get_small(bp_rd *rd);
/* MALFORMED when neither 00 nor ff. */
bool bp_der_get_bool(bp_rd *rd);
/* BIT STRING of whole bytes; UNSUPPORTED when bits are unused. */
bp_span bp_der_get_bits(bp_rd *rd);
/* UTCTime or GeneralizedTime in the one form of RFC 5280 section 4.1.2.5, as seconds since 1970. */
int64_t bp_der_get_time(bp_rd *rd);

/* Writer: the caller knows the content's size first (bp_der_size). */
void bp_der_put_head(bp_wr *wr, uint8_t tag, size_t content_n);
void bp_der_put(bp_wr *wr, uint8_t tag, bp_span content);
/* INTEGER >= 0 from big-endian bytes, shortened and with a leading zero byte where the sign needs it. */
void bp_der_put_uint(bp_wr *wr, bp_span v);
/* GeneralizedTime of seconds since 1970; BAD_ARGUMENT before 1970 and after year 9999. */
void bp_der_put_time(bp_wr *wr, int64_t s);
/* Size of a whole element, and of the INTEGER that bp_der_put_uint writes. */
size_t bp_der_size(size_t content_n);
size_t bp_der_uint_size(bp_span v);

/* ECDSA signatures: raw r||s of 2*half bytes from and to ECDSA-Sig-Value (RFC 3279 section 2.2.3).
 * ret of the reader has room for 2*half bytes. MALFORMED: not one; or r or s is longer than half. */
BP_MUST_CHECK bp_result bp_der_ecdsa_read(bp_span der, size_t half, uint8_t *ret);
/* NO_SPACE: *ret_len tells the room needed. BAD_ARGUMENT: raw is empty or of odd length. */
BP_MUST_CHECK bp_result bp_der_ecdsa_write(bp_span raw, uint8_t *ret, size_t cap, size_t *ret_len);

#endif
