/* SPDX-License-Identifier: Apache-2.0 */
/* codec/strict - our own check of a certificate path and of a revocation list against the profile of RFC 5280, on the bytes.
 *
 * It comes after the platform's X.509 library: that one builds the path and verifies signatures, time, revocation, purpose
 * and policies; this one refuses what such libraries let pass (extensions missing, in the wrong place or not critical,
 * names that are none, name constraints that wildcards slip through, weak keys). It verifies no signature and reads no
 * clock, so its yes means nothing alone. Nothing is kept; spans point into the caller's bytes.
 * Which rule was broken is told, because a person has to ask the maker of the certificate for a better one. */
#ifndef BP_CODEC_STRICT_H
#define BP_CODEC_STRICT_H

#include "base/result.h"
#include "base/span.h"

#define BP_STRICT_PATH_MAX  16u     /* certificates of a path, anchor included */
#define BP_STRICT_EXT_MAX   32u     /* extensions of a certificate or list */
#define BP_STRICT_NAMES_MAX 65536u  /* comparisons of a name with a constraint, over a whole path */

/* Rule, section of RFC 5280 ("-": of our own profile, docs/protocol/paths.md), what it asks. */
#define BP_STRICT_RULE_LIST(X)                                                                                         \
    X(ENCODING, "4.1", "strict DER of the syntax that the RFC gives")                                                  \
    X(VERSION, "4.1.2.1", "version 3")                                                                                 \
    X(SERIAL, "4.1.2.2", "a serial number above zero, of 20 octets at most")                                           \
    X(ALGORITHM, "4.1.1.2", "the same signature algorithm inside and outside")                                         \
    X(ISSUER, "4.1.2.4", "an issuer with a name")                                                                      \
    X(TIME_FORM, "4.1.2.5", "UTCTime through 2049 and GeneralizedTime after it")                                       \
    X(SUBJECT, "4.1.2.6", "a subject with a name in an authority's certificate")                                       \
    X(UNIQUE_ID, "4.1.2.8", "no unique identifiers")                                                                   \
    X(KEY, "-", "a key of the profile: P-256, P-384, Ed25519, ML-DSA, RSA of 2048 to 4096 bits, whole bytes, exponent 65537 up") \
    X(EXT_TWICE, "4.2", "every extension once")                                                                        \
    X(EXT_UNKNOWN, "4.2", "no critical extension that is not known here")                                              \
    X(EXT_CRITICAL, "4.2.1", "an extension critical that must be: constraints on names and policies, indirect issuers") \
    X(EXT_NOT_CRITICAL, "4.2.1", "an extension not critical that must not be: key identifiers, access, freshest list") \
    X(EXT_PLACE, "4.2.1", "constraints on names and policies in authorities' certificates only")                       \
    X(AKI, "4.2.1.1", "the issuer's key identifier in every certificate that is not self-signed")                      \
    X(AKI_OTHER, "4.2.1.1", "the identifier of the issuer's key to be that of the issuer")                             \
    X(SKI, "4.2.1.2", "a key identifier in every authority's certificate")                                             \
    X(KEY_USAGE, "4.2.1.3", "uses of the key where they are listed: one at least, and those asked for")                                       \
    X(KEY_USAGE_FORM, "4.2.1.3", "the list of uses without zero bits at its end (X.690 section 11.2.2)")                    \
    X(CERT_SIGN, "6.1.4", "signing certificates among the uses of an authority's key where uses are listed")           \
    X(CERT_SIGN_LEAF, "4.2.1.9", "not signing certificates among the uses of a key that is no authority's")            \
    X(POLICIES, "4.2.1.4", "policies listed, each once")                                                               \
    X(SAN, "4.2.1.6", "alternative names that are names of their kind, one at least")                                  \
    X(SAN_CRITICAL, "4.2.1.6", "critical alternative names where the subject is empty")                                \
    X(BASIC, "4.2.1.9", "every issuer marked as an authority")                                                         \
    X(BASIC_CRITICAL, "4.2.1.9", "that mark critical")                                                                 \
    X(PATH_LEN, "4.2.1.9", "a path length only beside the mark, and kept")                                             \
    X(LEAF_CA, "-", "no authority where a device or a person is expected")                                             \
    X(NC_FORM, "4.2.1.10", "name constraints of kinds and forms that the RFC gives")                                   \
    X(NC, "4.2.1.10", "names within the constraints of every authority above")                                         \
    X(NC_MANY, "-", "no more comparisons of names than the ceiling")                                                   \
    X(EKU, "4.2.1.12", "one purpose at least where purposes are listed")                                               \
    X(CDP, "4.2.1.13", "distribution points of the form that the RFC gives")                                           \
    X(ACCESS, "4.2.2", "access descriptions of the form that the RFC gives")                                           \
    X(CRL_VERSION, "5.1.2.1", "a revocation list of version 2")                                                        \
    X(CRL_NEXT, "5.1.2.5", "a revocation list that says when the next one comes")                                      \
    X(CRL_EMPTY, "5.1.2.6", "no empty sequence of revoked certificates")                                               \
    X(CRL_AKI, "5.2.1", "the issuer's key identifier in a revocation list")                                            \
    X(CRL_NUMBER, "5.2.3", "a number in a revocation list, not critical, of 20 octets at most")                        \
    X(CRL_ENTRY, "5.3", "entries whose critical extensions are known and whose marks are as the RFC says")

enum bp_strict_rule {
    BP_STRICT_NONE,
#define BP_X(name, section, text) BP_STRICT_##name,
    BP_STRICT_RULE_LIST(BP_X)
#undef BP_X
        BP_STRICT_COUNT
};

/* A rule as a bit of a set; BP_STRICT_COUNT stays below 64. */
#define BP_STRICT_BIT(rule) ((uint64_t)1 << BP_STRICT_##rule)

struct bp_strict_policy {
    /* Rules that do not count. Without ENCODING a certificate that breaks it is passed over whole. */
    uint64_t waived;
    /* The anchor is held to the rules of certificates too, not only its constraints applied. RFC 5280 section 6.1 leaves
     * the form of an anchor to whoever put it there. */
    bool anchor_is_judged;
    bool leaf_may_be_ca;
    bool is_depth_limited;
    uint32_t depth_max; /* authorities between anchor and leaf, self-issued ones not counted; when limited */
    uint32_t leaf_uses; /* bits of keyUsage that the leaf must have where it lists uses: bit 0 of the RFC is 0x8000 */
};

struct bp_strict_finding {
    enum bp_strict_rule rule;
    size_t at; /* place in the path, 0 the leaf; 0 for a list */
};

/* Checks a path, leaf first, anchor last; two certificates at least. *ret is always set; rule NONE when all is well.
 *   DENIED  by ret->rule at ret->at      LIMIT  more certificates than above      BAD_ARGUMENT  fewer than two */
BP_MUST_CHECK bp_result bp_strict_path(const bp_span *der, size_t n, const struct bp_strict_policy *policy,
                                       struct bp_strict_finding *ret);
/* Checks one revocation list; errors as above. */
BP_MUST_CHECK bp_result bp_strict_crl(bp_span der, uint64_t waived, struct bp_strict_finding *ret);

/* For people: the section of RFC 5280 and what the rule asks. */
const char *bp_strict_name(enum bp_strict_rule rule);
const char *bp_strict_section(enum bp_strict_rule rule);
const char *bp_strict_text(enum bp_strict_rule rule);

#endif
