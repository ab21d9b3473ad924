/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/path - whether a stranger's certificate chains to an anchor: OpenSSL finds and verifies the path, and our
 * own profile check (codec/strict) judges every certificate of it, and every revocation list before OpenSSL sees it.
 *
 * The only way by which a chain of strangers is believed. Nothing is kept. docs/protocol/paths.md. */
#ifndef BP_FLEET_AUTHORITY_PATH_H
#define BP_FLEET_AUTHORITY_PATH_H

#include "codec/strict.h"
#include "platform/openssl/path.h"

struct bp_path_answer {
    struct bp_path_found found;       /* the path, when it stands */
    struct bp_strict_finding finding; /* rule NONE, or the rule that the last path fell for */
    size_t crls_refused;              /* lists that our check refused; they did not count */
    struct bp_strict_finding crl_finding; /* of the first of them */
};

/* Checks that ask->leaf chains to an anchor.
 *   DENIED  the profile: ret->finding        the rest as bp_path_build (after UNSUPPORTED ret->found.why names the algorithm); a list that breaks the profile is as if absent,
 *   so that with is_revocation_asked the answer is BAD_SIGNATURE when no other covers the certificate */
BP_MUST_CHECK bp_result bp_path_check(const struct bp_path_ask *ask, const struct bp_strict_policy *policy,
                                      struct bp_path_answer *ret);

#endif
