/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_strict - paths and revocation lists against the profile. Input: a byte of choices, eight of waived rules,
 * then certificates one behind another, leaf first (the first is also taken as a list).
 * What holds: an answer names a rule exactly when it is no; waiving the rule that was named brings another answer, and
 * waiving them one by one ends in yes; more waived never turns a yes into a no; a certificate that breaks no rule is read by
 * codec/x509, with a key, a serial number above zero and an end behind which no tag is wrong; asking twice changes nothing. */
#include "codec/strict.h"
#include "codec/x509.h"
#include "fuzz/fuzz.h"

static struct bp_strict_policy policy_of(uint8_t choices, uint64_t waived)
{
    return (struct bp_strict_policy){.waived = waived,
                                     .anchor_is_judged = (choices & 1u) != 0,
                                     .leaf_may_be_ca = (choices & 2u) != 0,
                                     .is_depth_limited = (choices & 4u) != 0,
                                     .depth_max = choices >> 6,
                                     .leaf_uses = (choices & 8u) != 0 ? 0x8000u : 0};
}

static bp_result ask(const bp_span *path, size_t n, const struct bp_strict_policy *policy, struct bp_strict_finding *ret)
{
    FUZZ_FILL(*ret);
    const bp_result r = bp_strict_path(path, n, policy, ret);
    FUZZ_HOLDS(bp_failed(r) == (ret->rule != BP_STRICT_NONE) && ret->rule < BP_STRICT_COUNT && ret->at < n);
    FUZZ_HOLDS(!bp_failed(r) || bp_is(r, BP_E_DENIED));
    return r;
}

/* Waives what is named until nothing is. */
static void waive_all(const bp_span *path, size_t n, struct bp_strict_policy policy)
{
    struct bp_strict_finding f;
    for (unsigned i = 0; i < BP_STRICT_COUNT; i++) {
        if (!bp_failed(ask(path, n, &policy, &f))) {
            return;
        }
        FUZZ_HOLDS((policy.waived >> f.rule & 1u) == 0);
        policy.waived |= (uint64_t)1 << f.rule;
    }
    FUZZ_HOLDS(false);
}

static void check_read(bp_span der)
{
    struct bp_x509 c;
    FUZZ_HOLDS(!bp_failed(bp_x509_read(der, &c)));
    FUZZ_HOLDS(c.key.type != BP_KEY_NONE && c.serial.n >= 1 && c.serial.n <= 20);
    FUZZ_HOLDS(c.issuer.n > 2 && fuzz_is_inside(c.extensions, der));
}

static void try_path(const bp_span *path, size_t n, uint8_t choices, uint64_t waived)
{
    struct bp_strict_finding f;
    struct bp_strict_finding again;
    const struct bp_strict_policy whole = policy_of(choices, 0);
    const struct bp_strict_policy some = policy_of(choices, waived);
    const bp_result r = ask(path, n, &whole, &f);
    FUZZ_HOLDS(ask(path, n, &whole, &again).word == r.word && again.rule == f.rule && again.at == f.at);
    waive_all(path, n, some);
    if (bp_failed(r)) {
        return;
    }
    FUZZ_HOLDS(!bp_failed(ask(path, n, &some, &again)));
    for (size_t i = 0; i + (whole.anchor_is_judged ? 0u : 1u) < n; i++) {
        struct bp_x509 c;
        /* The number of an anchor does not count, and codec/x509 reads none that is negative or long. */
        if (i + 1 < n || !bp_failed(bp_x509_read(path[i], &c))) {
            check_read(path[i]);
        }
    }
}

static void try_list(bp_span der, uint64_t waived)
{
    struct bp_strict_finding f;
    uint64_t all = waived;
    const bool good = !bp_failed(bp_strict_crl(der, 0, &f));
    FUZZ_HOLDS(good == (f.rule == BP_STRICT_NONE));
    for (unsigned i = 0; bp_failed(bp_strict_crl(der, all, &f)); i++) {
        FUZZ_HOLDS(i < BP_STRICT_COUNT && (all >> f.rule & 1u) == 0 && !(good && i == 0));
        all |= (uint64_t)1 << f.rule;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bp_span path[4];
    size_t n = 0;
    bp_rd rd = bp_rd_over(bp_span_of(data, size));
    const uint8_t choices = bp_rd_u8(&rd);
    const uint64_t waived = bp_rd_be64(&rd);
    const bp_span rest = bp_span_of(data + (size < 9 ? size : 9), size < 9 ? 0 : size - 9);
    while (n < 4 && bp_rd_left(&rd) > 0) {
        const bp_span one = bp_der_get_any(&rd);
        if (one.n > 0) {
            path[n++] = one;
        }
    }
    if (n == 0) {
        path[n++] = rest;
    }
    if (n == 1) {
        path[n++] = path[0];
    }
    try_path(path, n, choices, waived);
    try_list(path[0], waived);
    return 0;
}
