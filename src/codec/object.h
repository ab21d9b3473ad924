/* SPDX-License-Identifier: Apache-2.0 */
/* codec/object - what objects of ours have in common (docs/protocol): a CBOR map with ascending unsigned keys, whose
 * first three members are its type (text), its major version, which is 1, and its minor version.
 *
 * A newer minor version may add members behind those of 1.0; a reader counts and skips them. Failures stick in the
 * reader or writer (base/buf, codec/cbor); a caller looks once, at the end. */
#ifndef BP_CODEC_OBJECT_H
#define BP_CODEC_OBJECT_H

#include "codec/cbor.h"

/* Reads the map's head, type, major and minor. Members 1 to `last` must be there. Gives how many pairs follow those.
 *   UNSUPPORTED  of another type or major version      MALFORMED  fewer pairs, or another key than comes next */
uint32_t bp_object_get_head(bp_rd *rd, bp_span type, uint32_t last, uint64_t *ret_minor);

/* Members that 1.0 does not know. */
void bp_object_skip(bp_rd *rd, uint32_t pairs);

/* The head of version 1.0; `members` counts its own three. */
void bp_object_put_head(bp_cw *w, uint32_t members, bp_span type);

/* A member: its key, and what stands under it. */
void bp_object_put_uint(bp_cw *w, uint64_t key, uint64_t v);
void bp_object_put_bytes(bp_cw *w, uint64_t key, bp_span v);
void bp_object_put_text(bp_cw *w, uint64_t key, bp_span v);

/* Ends writing; *ret_len is the length, or the room that it takes. Fails as bp_cw_finish does. */
BP_MUST_CHECK bp_result bp_object_finish(const bp_cw *w, size_t *ret_len);

/* Text for people: UTF-8 without control characters (C0 and DEL), `least` to `most` bytes. */
bool bp_object_is_text(bp_span s, size_t least, size_t most);

#endif
