/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/stage - one world for the cases of a program, and fresh gateways for each case. */
#ifndef BP_TESTS_UNIT_FLEET_KEEPER_STAGE_H
#define BP_TESTS_UNIT_FLEET_KEEPER_STAGE_H

#include "unit/fleet/keeper/world.h"

#include <stdlib.h>

#define STAGE_GATEWAYS 4u

static struct world *w;
static struct gateway *g; /* STAGE_GATEWAYS, all off but those that a case made */
static struct gateway *model; /* whose releases are accepted */
static unsigned stage_number;
static uint32_t stage_release;
static const char *const stage_programs[] = {"/usr/bin/agent", "1", NULL, NULL};

static inline void stage_end(void)
{
    for (size_t i = 0; g != NULL && i < STAGE_GATEWAYS; i++) {
        if (g[i].w != NULL) {
            gateway_done(&g[i]);
        }
    }
    if (w != NULL) {
        gateway_done(model);
        world_done(w);
    }
    free(model);
    free(g);
    free(w);
    g = NULL;
    w = NULL;
    model = NULL;
}

/* A world in which what gateways start is accepted in zone north. */
static inline bool stage_new(bool with_policy, bool binds)
{
    stage_end();
    w = calloc(1, sizeof *w);
    g = calloc(STAGE_GATEWAYS, sizeof *g);
    model = calloc(1, sizeof *model);
    if (w == NULL || g == NULL || model == NULL) {
        return false;
    }
    w->with_policy = with_policy;
    w->binds = binds;
    if (!world_make(w) || !gateway_make(model, w, ++stage_number)) {
        return false;
    }
    stage_release = rig_release(&model->rig, "release 1", "north", &rig_os_1, stage_programs);
    return world_release(w, &model->rig, stage_release, BP_ACC_ACCEPTED, "north");
}

/* The same world as the case before, without its gateways. */
static inline bool stage(void)
{
    if (w == NULL) {
        return stage_new(true, false);
    }
    for (size_t i = 0; i < STAGE_GATEWAYS; i++) {
        if (g[i].w != NULL) {
            gateway_done(&g[i]);
            g[i].w = NULL;
        }
    }
    return true;
}

static inline bool stage_gateway(size_t i)
{
    return gateway_make(&g[i], w, ++stage_number);
}

/* A gateway that was invited, is enrolled and active. */
static inline bool stage_join(size_t i)
{
    char code[BP_CODE_TEXT + 1];
    return stage_gateway(i) && world_invite(w, "north", code) && gateway_join(&g[i], code);
}

static inline bool stage_is(size_t i, enum bp_lifecycle state)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    return world_device(w, g[i].rig.device_id, &d, &t) && d.state == state;
}

static inline struct bp_trust stage_trust(size_t i)
{
    struct bp_device d = {0};
    struct bp_trust t = {0};
    return world_device(w, g[i].rig.device_id, &d, &t) ? t : (struct bp_trust){.tier = 255};
}

#endif
