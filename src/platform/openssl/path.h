/* SPDX-License-Identifier: Apache-2.0 */
/* platform/openssl/path - certificate paths found and verified by OpenSSL: signatures, names, time, revocation, purpose,
 * policies (RFC 5280 section 6).
 *
 * What OpenSSL accepts goes to a judge of the caller's: fleet/authority/path puts our own profile check there, and nothing
 * else should call this. Each anchor is tried alone, in the order given, because makers reuse names for new keys and an
 * issuer is looked up by its name; an intermediate on which a path failed is left out and the search goes on, bounded.
 * Certificates and lists are the caller's bytes and are not kept. The error queue of OpenSSL is left empty. */
#ifndef BP_PLATFORM_OPENSSL_PATH_H
#define BP_PLATFORM_OPENSSL_PATH_H

#include "base/result.h"
#include "base/span.h"

#define BP_PATH_CERTS_MAX  16u         /* of a path, leaf and anchor included */
#define BP_PATH_INPUTS_MAX 256u        /* anchors, intermediates, lists: of each */
#define BP_PATH_BYTES_MAX  (8u << 20)  /* of one of them */
#define BP_PATH_TRIES_MAX  8u          /* searches an anchor */
#define BP_PATH_NO_TIME    INT64_MIN

enum bp_path_purpose { BP_PATH_ANY_USE, BP_PATH_SERVER, BP_PATH_CLIENT };
enum bp_path_name_kind { BP_PATH_NO_NAME, BP_PATH_DNS, BP_PATH_IP, BP_PATH_MAIL };

struct bp_path_ask {
    bp_span leaf; /* bytes after the certificate are passed over */
    const bp_span *anchors;
    size_t anchor_n;
    const bp_span *others; /* certificates that may stand between */
    size_t other_n;
    /* Revocation: with is_revocation_asked every certificate below the anchor needs a list that covers it. */
    const bp_span *crls;
    size_t crl_n;
    bool is_revocation_asked;
    bool is_any_strength; /* else keys and hashes have 112 bits at least */
    int64_t now_s;        /* BP_PATH_NO_TIME: dates are not judged, for who has no clock or judges them by another rule */
    enum bp_path_purpose purpose;
    enum bp_path_name_kind name_kind; /* a name that the leaf must carry as an alternative name */
    bp_span name;                     /* text, or 4 or 16 bytes */
    /* Certificate policies as RFC 5280 section 6.1.1 has them; dotted OIDs, none means any. */
    const char *const *policies;
    size_t policy_n;
    bool is_policy_required, is_mapping_inhibited, is_any_policy_inhibited;
};

struct bp_path_found {
    bp_span certs[BP_PATH_CERTS_MAX]; /* leaf first, anchor last */
    size_t n;
    size_t anchor;   /* its place in the caller's list */
    /* After BAD_SIGNATURE what OpenSSL said of the likeliest path, after UNSUPPORTED which algorithm; static text; else NULL. */
    const char *why;
};

/* Whether this machine's OpenSSL verifies ML-DSA (FIPS 204), which is there since 3.5. */
bool bp_path_has_ml_dsa(void);

/* Says whether a path stands. *ret_at: the certificate that it fell for. */
typedef bp_result bp_path_judge(void *self, const bp_span *certs, size_t n, size_t *ret_at);

/* Finds the first path that OpenSSL and the judge accept.
 *   MALFORMED      the leaf, an anchor or a list is not one (an intermediate that is not one is left out)
 *   BAD_SIGNATURE  OpenSSL found no path that stands; ret->why      what the judge said last, when it had one to judge
 *   UNSUPPORTED    what it found is signed with or holds an algorithm that this OpenSSL does not know; ret->why names it
 *   LIMIT          more or longer inputs than above                BAD_ARGUMENT  a policy or name that is none
 *   NO_MEMORY CRYPTO */
BP_MUST_CHECK bp_result bp_path_build(const struct bp_path_ask *ask, bp_path_judge *judge, void *self,
                                      struct bp_path_found *ret);

#endif
