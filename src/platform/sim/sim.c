/* SPDX-License-Identifier: Apache-2.0 */
/* platform/sim/sim - settable clock, seeded stream. */
#include "platform/sim/sim.h"

#define BP_MODULE PLATFORM

static int64_t wall_ms(void *self)
{
    return ((const struct bp_clock_sim *)self)->wall_ms;
}

static int64_t mono_ms(void *self)
{
    return ((const struct bp_clock_sim *)self)->mono_ms;
}

struct bp_clock bp_clock_sim(struct bp_clock_sim *sim)
{
    return (struct bp_clock){sim, wall_ms, mono_ms};
}

void bp_clock_sim_step(struct bp_clock_sim *sim, int64_t ms)
{
    sim->wall_ms += ms;
    sim->mono_ms += ms;
}

static bp_result fill(void *self, uint8_t *ret, size_t n)
{
    struct bp_entropy_sim *sim = (struct bp_entropy_sim *)self;
    if (sim->fail_at > 0 && --sim->fail_at == 0) {
        return BP_FAIL(IO);
    }
    for (size_t i = 0; i < n; i++) {
        sim->state += 0x9e3779b97f4a7c15u;
        uint64_t z = sim->state;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        ret[i] = (uint8_t)(z >> 56);
    }
    return BP_OK;
}

struct bp_entropy bp_entropy_sim(struct bp_entropy_sim *sim)
{
    return (struct bp_entropy){sim, fill};
}
