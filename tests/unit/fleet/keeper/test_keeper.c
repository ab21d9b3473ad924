/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_keeper - the life of devices through the keeper's port: real formats, real signers, real
 * appraisal, no process. */
#include "harness.h"
#include "unit/fleet/keeper/world.h"

#include <stdlib.h>

static struct world *w;
static struct gateway *g;
static const char *const programs[] = {"/usr/bin/agent", "1", NULL, NULL};

/* A world in which what gateways start is accepted in zone north. */
static bool begin(void)
{
    w = calloc(1, sizeof *w);
    g = calloc(4, sizeof *g);
    if (w == NULL || g == NULL) {
        return false;
    }
    w->with_policy = true;
    if (!world_make(w) || !gateway_make(&g[0], w, 1)) {
        return false;
    }
    const uint32_t at = rig_release(&g[0].rig, "release 1", "north", &rig_os_1, programs);
    return world_release(w, &g[0].rig, at, BP_ACC_ACCEPTED, "north");
}

static void end(void)
{
    for (size_t i = 0; i < 4; i++) {
        if (g[i].w != NULL) {
            gateway_done(&g[i]);
        }
    }
    world_done(w);
    free(g);
    free(w);
}

BP_CASE(full_life)
{
    char code[BP_CODE_TEXT + 1];
    struct bp_device d;
    struct bp_trust t;
    BP_NEED(begin());
    BP_CHECK(world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200);
    BP_CHECK(g[0].has_proof);
    BP_CHECK(gateway_first(&g[0])->http.status == 200);
    BP_CHECK(g[0].tier == BP_TIER_AFFIRMING);
    BP_CHECK(gateway_enrol(&g[0])->http.status == 200);
    BP_CHECK(g[0].has_cert);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(strcmp(g[0].state, "active") == 0);
    BP_CHECK(world_device(w, g[0].rig.device_id, &d, &t));
    BP_CHECK(d.state == BP_ST_ACTIVE && t.seq == 2 && t.tier == BP_TIER_AFFIRMING);
    BP_CHECK(gateway_renew(&g[0]));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(world_log_holds(w));
    printf("# %s\n", t.reason);
    end();
}

BP_SUITE(keeper, BP_RUN(full_life))
