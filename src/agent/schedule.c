/* SPDX-License-Identifier: Apache-2.0 */
/* agent/schedule - jitter and back-off. */
#include "agent/schedule.h"

/* 0..range, evenly enough for a wait; range without chance. */
static uint32_t draw(const struct bp_entropy *e, uint32_t range)
{
    uint8_t b[4];
    if (bp_failed(bp_random(e, b, sizeof b))) {
        return range;
    }
    const uint64_t v = (uint64_t)b[0] << 24 | (uint64_t)b[1] << 16 | (uint64_t)b[2] << 8 | b[3];
    return (uint32_t)(v * ((uint64_t)range + 1) >> 32);
}

uint32_t bp_schedule_due(const struct bp_entropy *e, uint32_t due_ms)
{
    const uint32_t fifth = due_ms / 5;
    const uint32_t ms = due_ms - fifth + draw(e, fifth);
    return ms < BP_DUE_LEAST_MS ? BP_DUE_LEAST_MS : ms;
}

uint32_t bp_schedule_backoff(const struct bp_entropy *e, uint32_t failures)
{
    uint32_t ms = BP_BACKOFF_FIRST_MS;
    for (uint32_t i = 1; i < failures && ms < BP_BACKOFF_LAST_MS; i++) {
        ms *= 2;
    }
    ms = ms < BP_BACKOFF_LAST_MS ? ms : BP_BACKOFF_LAST_MS;
    return ms / 2 + draw(e, ms - ms / 2);
}

#define HOUR_MS 3600000u

uint32_t bp_schedule_retry_cap(int64_t not_before_s, int64_t not_after_s)
{
    const int64_t life = not_after_s > not_before_s && not_before_s >= 0 ? not_after_s - not_before_s : 0;
    const int64_t s = life / 20;
    return s >= HOUR_MS / 1000 ? HOUR_MS : s * 1000 < BP_BACKOFF_FIRST_MS ? BP_BACKOFF_FIRST_MS : (uint32_t)s * 1000;
}

uint32_t bp_schedule_retry(const struct bp_entropy *e, uint32_t before_ms, uint32_t cap_ms, uint32_t asked_s)
{
    const uint32_t last = before_ms < BP_BACKOFF_FIRST_MS ? BP_BACKOFF_FIRST_MS : before_ms < HOUR_MS ? before_ms : HOUR_MS;
    uint32_t ms = BP_BACKOFF_FIRST_MS + draw(e, 3 * last - BP_BACKOFF_FIRST_MS);
    ms = ms < cap_ms ? ms : cap_ms;
    const uint32_t asked_ms = (asked_s < HOUR_MS / 1000 ? asked_s : HOUR_MS / 1000) * 1000;
    const uint32_t due_ms = asked_ms + draw(e, asked_ms / 10);
    return ms > due_ms ? ms : due_ms;
}
