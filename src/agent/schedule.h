/* SPDX-License-Identifier: Apache-2.0 */
/* agent/schedule - when the agent speaks next: jitter so that a fleet does not speak at once, and back-off. Pure but for the
 * chance it draws. When certificates are renewed is core/renewal's. */
#ifndef BP_AGENT_SCHEDULE_H
#define BP_AGENT_SCHEDULE_H

#include "port/entropy.h"

#define BP_BACKOFF_FIRST_MS 1000u
#define BP_BACKOFF_LAST_MS  300000u
#define BP_DUE_LEAST_MS     100u

/* A wait between four fifths of due_ms and due_ms, never above: the server counts a late device as silent. Without
 * chance it is due_ms itself. */
uint32_t bp_schedule_due(const struct bp_entropy *e, uint32_t due_ms);

/* The wait after `failures` >= 1 in a row: doubles from BP_BACKOFF_FIRST_MS to BP_BACKOFF_LAST_MS, of which a random
 * part between a half and the whole. */
uint32_t bp_schedule_backoff(const struct bp_entropy *e, uint32_t failures);

/* The wait before a certificate is asked for again: decorrelated, a random one between BP_BACKOFF_FIRST_MS and three times
 * `before_ms` (the last wait, 0: none yet), at most `cap_ms`; but not before the server wants it: asked_s of its Retry-After
 * (0: it said nothing) and up to a tenth of that more, so that those who were told the same do not come back at once. */
uint32_t bp_schedule_retry(const struct bp_entropy *e, uint32_t before_ms, uint32_t cap_ms, uint32_t asked_s);
/* That cap: a twentieth of a certificate's life, between BP_BACKOFF_FIRST_MS and an hour. */
uint32_t bp_schedule_retry_cap(int64_t not_before_s, int64_t not_after_s);

#endif
