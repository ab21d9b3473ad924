/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/test_appraise - honest devices stay green, forged evidence is refused by its own name, and what
 * is wrong with a device is found and named. */
#include "harness.h"
#include "unit/appraise/rig.h"

static struct bp_crypto *crypto;
static struct rig rig;
static const char *const programs[] = {"/bin/agent", "1", "/bin/shell", "1", "/lib/libc.so", "1", NULL};

static void print_findings(const struct rig *r)
{
    for (uint32_t i = 0; i < r->out.findings; i++) {
        printf("# %s: %.*s\n", rig_code(r, i), (int)r->out.finding[i].text.n, (const char *)r->out.finding[i].text.p);
    }
}

/* A gateway that runs release 1 and has just been booted. */
static bool start(void)
{
    rig_done(&rig);
    if (!rig_make(&rig, crypto)) {
        return false;
    }
    (void)rig_release(&rig, "gateway 1", "*", &rig_os_1, programs);
    if (!rig_publish(&rig)) {
        return false;
    }
    rig_boot(&rig, &rig_os_1);
    rig_run(&rig, "/bin/agent", "1");
    return true;
}

static bool is_green(void)
{
    const bool good = rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING;
    if (!good) {
        print_findings(&rig);
    }
    return good;
}

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
}

BP_CASE(a_gateway_that_runs_its_release_is_affirmed)
{
    BP_NEED(start());
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(is_green());
    printf("# %.*s\n", (int)rig.out.reason.n, (const char *)rig.out.reason.p);
    BP_NEED(rig_round(&rig, 60000, NULL));
    BP_CHECK(is_green());
    printf("# evidence of a steady heartbeat: %zu bytes, state %zu\n", rig.evidence_n, rig.state_n);
}

BP_SUITE(appraise, BP_RUN(setup) BP_RUN(a_gateway_that_runs_its_release_is_affirmed))
