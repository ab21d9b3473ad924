/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/path - OpenSSL's path, our profile. */
#include "fleet/authority/path.h"

#define BP_MODULE AUTHORITY

struct judging {
    const struct bp_strict_policy *policy;
    struct bp_strict_finding *finding;
};

static bp_result judge(void *self, const bp_span *certs, size_t n, size_t *ret_at)
{
    const struct judging *j = self;
    const bp_result r = bp_strict_path(certs, n, j->policy, j->finding);
    *ret_at = j->finding->at;
    return r;
}

/* The lists that keep the profile; room holds ask->crl_n. */
static size_t sift_crls(const struct bp_path_ask *ask, uint64_t waived, bp_span *room, struct bp_path_answer *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < ask->crl_n; i++) {
        struct bp_strict_finding f;
        if (!bp_failed(bp_strict_crl(ask->crls[i], waived, &f))) {
            room[n++] = ask->crls[i];
        } else if (ret->crls_refused++ == 0) {
            ret->crl_finding = f;
        }
    }
    return n;
}

bp_result bp_path_check(const struct bp_path_ask *ask, const struct bp_strict_policy *policy, struct bp_path_answer *ret)
{
    bp_span crls[BP_PATH_INPUTS_MAX];
    struct bp_path_ask sifted = *ask;
    *ret = (struct bp_path_answer){.crls_refused = 0};
    struct judging j = {policy, &ret->finding};
    if (ask->crl_n > BP_PATH_INPUTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    sifted.crl_n = sift_crls(ask, policy->waived, crls, ret);
    sifted.crls = crls;
    return bp_path_build(&sifted, judge, &j, &ret->found);
}
