/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/test_zone - a device that waits for approval is in no zone: only releases accepted everywhere
 * count for it, and it is appraised all the same. */
#include "harness.h"
#include "unit/appraise/rig.h"

static struct bp_crypto *crypto;
static struct rig rig;
static const char *const programs[] = {"/bin/agent", "1", NULL};

static void no_zone(struct rig *r, struct bp_appraise_request *q)
{
    (void)r;
    q->zone = BP_SPAN_EMPTY;
}

/* Evidence of a gateway that runs its release, which is accepted in `zone`; appraised without a zone. */
static bool appraise_in_none(const char *zone)
{
    static const struct rig_forge forge = {.ask = no_zone};
    rig_done(&rig);
    if (!rig_make(&rig, crypto)) {
        return false;
    }
    (void)rig_release(&rig, "gateway 1", zone, &rig_os_1, programs);
    if (!rig_publish(&rig)) {
        return false;
    }
    rig_boot(&rig, &rig_os_1);
    rig_run(&rig, "/bin/agent", "1");
    return rig_round(&rig, 100, &forge);
}

BP_CASE(a_release_accepted_everywhere_counts)
{
    BP_NEED(appraise_in_none("*"));
    BP_CHECK(rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING);
}

BP_CASE(a_release_of_a_zone_does_not)
{
    BP_NEED(appraise_in_none("north"));
    BP_CHECK(rig.out.accepted && rig.out.tier != BP_TIER_AFFIRMING);
}

BP_SUITE(appraise_zone, BP_CHECK(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
         BP_RUN(a_release_accepted_everywhere_counts) BP_RUN(a_release_of_a_zone_does_not))
