/* SPDX-License-Identifier: Apache-2.0 */
/* platform/sim/sim - time and chance that a test or a simulation sets. Never linked into a server or an agent. */
#ifndef BP_PLATFORM_SIM_SIM_H
#define BP_PLATFORM_SIM_SIM_H

#include "port/clock.h"
#include "port/entropy.h"

/* The test writes the members; nothing moves by itself. */
struct bp_clock_sim {
    int64_t wall_ms;
    int64_t mono_ms;
};

/* A clock that reads *sim, which must stay where it is. */
struct bp_clock bp_clock_sim(struct bp_clock_sim *sim);
/* Moves both clocks on by ms >= 0. */
void bp_clock_sim_step(struct bp_clock_sim *sim, int64_t ms);

/* A repeatable stream (splitmix64); predictable, so for tests only. fail_at: the nth call from now fails with IO;
 * 0 = none. */
struct bp_entropy_sim {
    uint64_t state;
    uint32_t fail_at;
};

/* A source that draws from *sim, which must stay where it is. Set state to the seed before. */
struct bp_entropy bp_entropy_sim(struct bp_entropy_sim *sim);

#endif
