/* SPDX-License-Identifier: Apache-2.0 */
/* agent/schedule - when the agent speaks next: jitter so that a fleet does not speak at once, exponential back-off,
 * and the moment in a certificate's life to renew it. Pure but for the chance it draws. */
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

/* The second at which a certificate is to be renewed: between 50 and 70 % of its life. `lot` chooses the place and is
 * the same at each call for one certificate (a byte of its serial number). */
int64_t bp_schedule_renew_at_s(int64_t not_before_s, int64_t not_after_s, uint8_t lot);

#endif
