/* SPDX-License-Identifier: Apache-2.0 */
/* net/resume - the TLS sessions that a listener may resume: a bounded table, one session a peer's key, each taken out once.
 *
 * It owns the sessions in it. They must be copies (SSL_SESSION_dup) that no connection uses: OpenSSL spoils a session whose
 * connection ends without close_notify, and on a plant's links most do. Whether a session that was found may be resumed
 * is the caller's to judge. It deliberately writes nothing down: what is in it ends with the process. */
#ifndef BP_NET_RESUME_H
#define BP_NET_RESUME_H

#include <stddef.h>

#include "base/result.h"

struct bp_resume;
struct ssl_session_st;

/* max: sessions at the most, >= 1.   NO_MEMORY */
BP_MUST_CHECK bp_result bp_resume_new(uint32_t max, struct bp_resume **ret);
void bp_resume_free(struct bp_resume *t);

/* Takes the session over, in place of an earlier one of this key, so that nobody pushes out others' by asking often; when
 * the table is full the oldest goes. No memory: the session is freed, which costs a full handshake later. */
void bp_resume_keep(struct bp_resume *t, const uint8_t key[32], struct ssl_session_st *session);

/* Takes the session with this id out: it is the caller's, and not found again. NULL: there is none. */
struct ssl_session_st *bp_resume_take(struct bp_resume *t, const uint8_t *id, size_t n);

#endif
