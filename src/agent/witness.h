/* SPDX-License-Identifier: Apache-2.0 */
/* agent/witness - whose head is this? A key of the server by its certificate, and a head by its signature.
 *
 * And: is it our escrow that the server says it keeps? Pure functions: they fetch, keep and compare nothing (agent/head does). Texts of refusals live as long as the program. */
#ifndef BP_AGENT_WITNESS_H
#define BP_AGENT_WITNESS_H

#include "codec/device.h"
#include "codec/note.h"
#include "core/chain.h"

/* Judges the certificate of a key that serves one purpose (the log's, or the owner's recovery key): of that profile, by
 * the root that is our anchor (DER), valid at that time. NULL: good, and ret is filled; spans point into `cert`. */
const char *bp_witness_key(struct bp_crypto *c, bp_span anchor, bp_span cert, enum bp_statement purpose, int64_t now_ms,
                           struct bp_x509 *ret);

/* Whether the server's answer says that it keeps this very escrow, of this device, in this state. */
BP_MUST_CHECK bp_result bp_witness_escrowed(struct bp_crypto *c, bp_span answer, const struct bp_escrow *e);

/* Judges a head: a checkpoint of the log of `host` ("HOST/log"), signed by the key with this SubjectPublicKeyInfo. NULL:
 * good, and ret is filled; spans point into `head`. *ret_is_unsigned: there is no signature by this key, which may be
 * another one's that took its place. */
const char *bp_witness_head(struct bp_crypto *c, bp_span head, const char *host, bp_span spki, struct bp_checkpoint *ret,
                            bool *ret_is_unsigned);

#endif
