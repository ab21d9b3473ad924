/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_schedule - waits stay within their bounds, spread, and survive a lack of chance. */
#include "agent/schedule.h"
#include "harness.h"
#include "platform/sim/sim.h"

static struct bp_entropy_sim sim;
static struct bp_entropy e;

BP_CASE(due_is_never_late_and_spreads)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;
    for (int i = 0; i < 1000; i++) {
        const uint32_t ms = bp_schedule_due(&e, 600000);
        BP_CHECK(ms >= 480000 && ms <= 600000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    BP_CHECK(least < 490000 && most > 590000);
}

BP_CASE(due_of_nothing_is_no_busy_loop)
{
    BP_CHECK(bp_schedule_due(&e, 0) == BP_DUE_LEAST_MS);
    BP_CHECK(bp_schedule_due(&e, INT32_MAX) <= INT32_MAX);
}

BP_CASE(backoff_doubles_up_to_its_end)
{
    static const struct {
        uint32_t failures, most;
    } row[] = {{1, 1000}, {2, 2000}, {3, 4000}, {4, 8000}, {9, 256000}, {10, 300000}, {40, 300000}, {UINT32_MAX, 300000}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        for (int k = 0; k < 200; k++) {
            const uint32_t ms = bp_schedule_backoff(&e, row[i].failures);
            BP_CHECK(ms >= row[i].most / 2 && ms <= row[i].most);
        }
    }
}

BP_CASE(a_fleet_does_not_come_back_at_once)
{
    uint32_t seen[10] = {0};
    for (int i = 0; i < 10000; i++) {
        const uint32_t ms = bp_schedule_backoff(&e, 5) - 8000; /* 8 to 16 s */
        seen[ms >= 8000 ? 9 : ms / 800]++;
    }
    for (size_t i = 0; i < 10; i++) {
        BP_CHECK(seen[i] > 800 && seen[i] < 1200);
    }
}

BP_CASE(without_chance_the_wait_is_the_longest)
{
    struct bp_entropy_sim broken = {.state = 1, .fail_at = 1};
    const struct bp_entropy none = bp_entropy_sim(&broken);
    BP_CHECK(bp_schedule_due(&none, 1000) == 1000);
    broken.fail_at = 1;
    BP_CHECK(bp_schedule_backoff(&none, 3) == 4000);
}

/* Waits for a certificate: never before the server wants it, never above the cap else, and no two devices in step. */
BP_CASE(a_certificate_is_asked_for_again_out_of_step)
{
    uint32_t seen[10] = {0};
    uint32_t ms = 0;
    for (int i = 0; i < 1000; i++) {
        ms = bp_schedule_retry(&e, ms, 60000, 0);
        BP_CHECK(ms >= BP_BACKOFF_FIRST_MS && ms <= 60000);
    }
    for (int i = 0; i < 10000; i++) {
        seen[(bp_schedule_retry(&e, 20000, 3600000, 0) - 1000) * 10 / 59001]++;
    }
    for (size_t i = 0; i < 10; i++) {
        BP_CHECK(seen[i] > 800 && seen[i] < 1200);
    }
    BP_CHECK(bp_schedule_retry(&e, UINT32_MAX, UINT32_MAX, 0) <= 3 * 3600000u);
}

BP_CASE(the_server_says_when)
{
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        const uint32_t ms = bp_schedule_retry(&e, 0, 60000, 120);
        BP_CHECK(ms >= 120000 && ms <= 132000);
        differs = differs || ms > 121000;
    }
    BP_CHECK(differs && bp_schedule_retry(&e, 0, 1000, UINT32_MAX) <= 3600000u / 10 * 11);
    BP_CHECK(bp_schedule_retry_cap(0, 7 * 86400) == 3600000 && bp_schedule_retry_cap(0, 1200) == 60000);
    BP_CHECK(bp_schedule_retry_cap(0, 0) == BP_BACKOFF_FIRST_MS && bp_schedule_retry_cap(9, 1) == BP_BACKOFF_FIRST_MS);
    BP_CHECK(bp_schedule_retry_cap(0, INT64_MAX) == 3600000);
}

/* clang-format off */
BP_SUITE(schedule,
    sim.state = 42;
    e = bp_entropy_sim(&sim);
    BP_RUN(due_is_never_late_and_spreads)
    BP_RUN(due_of_nothing_is_no_busy_loop)
    BP_RUN(backoff_doubles_up_to_its_end)
    BP_RUN(a_fleet_does_not_come_back_at_once)
    BP_RUN(without_chance_the_wait_is_the_longest)
    BP_RUN(a_certificate_is_asked_for_again_out_of_step)
    BP_RUN(the_server_says_when))
