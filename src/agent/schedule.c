/* SPDX-License-Identifier: Apache-2.0 */
/* agent/schedule - jitter, back-off, time to renew. */
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

int64_t bp_schedule_renew_at_s(int64_t not_before_s, int64_t not_after_s, uint8_t lot)
{
    if (not_after_s <= not_before_s) {
        return not_before_s;
    }
    const uint64_t life = (uint64_t)not_after_s - (uint64_t)not_before_s;
    const uint64_t least = life / 2;
    const uint64_t room = life / 5;
    return not_before_s + (int64_t)(least + room / 255 * lot);
}
