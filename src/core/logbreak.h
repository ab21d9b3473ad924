/* SPDX-License-Identifier: Apache-2.0 */
/* core/logbreak - whether a part of the log's history was given up by a statement in the log itself.
 *
 * Who keeps a head of such a part sees a log that does not continue it. The statement is an event of the log that is
 * shown, under its signed head: it names the size up to which the history goes on and the size up to which heads are
 * void. This says what holds; whether a statement was used before is the caller's to remember
 * (docs/protocol/events.md). */
#ifndef BP_CORE_LOGBREAK_H
#define BP_CORE_LOGBREAK_H

#include "codec/device.h"
#include "codec/event.h"
#include "port/crypto.h"

/* A head, its signature verified by the caller. */
struct bp_log_head {
    uint64_t size;
    const uint8_t *root; /* 32 bytes */
};

/* What the statement says; spans point into it. Large, so it is the caller's: nothing in it counts on failure. */
struct bp_log_gap_stated {
    struct bp_event event;
    uint64_t kept, lost;
    bp_span reason;
};

/* Judges a statement: it stands in the log of `now` at its place, that log begins with what was kept, and `old` is one
 * of the heads that it makes void. MALFORMED, MISMATCH  it is no such statement, or not in this log      DENIED  it
 * does not speak of `old`      CRYPTO */
BP_MUST_CHECK bp_result bp_log_break_check(struct bp_crypto *c, const struct bp_log_break *b,
                                           const struct bp_log_head *old, const struct bp_log_head *now,
                                           struct bp_log_gap_stated *ret);

#endif
