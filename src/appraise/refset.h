/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/refset - the reference values of all releases, compiled once into an immutable sorted set of digests.
 *
 * Built when releases change, read by every appraisal. All memory is the caller's; spans point into the CoRIM bytes,
 * ids and zones of the sources, which must live as long as the set. A required measurement is a group: any one of its
 * SHA-256 digests stands for it; two measurements with the same PCR and digest are one group. It verifies no signature: only bytes of releases that were accepted (or once
 * were) are given to it. */
#ifndef BP_APPRAISE_REFSET_H
#define BP_APPRAISE_REFSET_H

#include "codec/corim.h"
#include "port/crypto.h"

#define BP_REFSET_RELEASES_MAX 1024u
#define BP_REFSET_GROUPS_MAX   64u /* required components of one release */

enum bp_release_state { BP_RELEASE_ACCEPTED = 1, BP_RELEASE_DEPRECATED = 2, BP_RELEASE_WITHDRAWN = 3 };

/* One row of the notice `references`. */
struct bp_ref_source {
    bp_span id; /* 32 bytes */
    enum bp_release_state state;
    bp_span zone; /* "*": everywhere */
    bp_span corim;
};

struct bp_ref_release {
    bp_span id;
    enum bp_release_state state;
    bp_span zone;
    bp_span name;     /* CoRIM id, shown */
    bp_span model;
    uint64_t groups;  /* bit n: required component n */
    uint32_t group_count;
    bp_span group_name[BP_REFSET_GROUPS_MAX];
    uint8_t group_pcr[BP_REFSET_GROUPS_MAX];
    uint32_t programs; /* files that it lists for the IMA list; none: it does not ask for one */
    bool wants_secure_boot;
};

struct bp_ref_entry {
    bp_span digest;
    bp_span name; /* component or path */
    uint32_t release;
    uint8_t kind; /* enum bp_ref_kind */
    uint8_t pcr;
    uint8_t group;  /* 0xff: none */
};

struct bp_refset {
    struct bp_ref_release *release;
    uint32_t releases;
    struct bp_ref_entry *entry; /* ascending by digest, then release */
    uint32_t entries;
    /* What a result names: d := 32 zero bytes; for each row, ascending by release id, then zone, then state:
     * d := SHA-256(d || id (32) || state (1) || zone). */
    uint8_t digest[BP_SHA256_SIZE];
};

/* Counts what bp_refset_build needs. Errors as there. */
BP_MUST_CHECK bp_result bp_refset_measure(const struct bp_ref_source *source, size_t count, uint32_t *ret_entries);

/* Compiles the set. `releases` has room for count, `entries` for what bp_refset_measure said.
 *   MALFORMED, UNSUPPORTED ...  a CoRIM is not one of our profile; *ret_bad is its index (may be NULL)
 *   LIMIT  more than BP_REFSET_RELEASES_MAX releases or BP_REFSET_GROUPS_MAX required components in one
 *   NO_SPACE, CRYPTO */
BP_MUST_CHECK bp_result bp_refset_build(struct bp_crypto *c, const struct bp_ref_source *source, size_t count,
                                        struct bp_ref_release *releases, struct bp_ref_entry *entries,
                                        uint32_t entries_cap, size_t *ret_bad, struct bp_refset *ret);

/* Index of the first entry with that digest, or `entries` when there is none; equal ones follow it. */
uint32_t bp_refset_find(const struct bp_refset *set, bp_span digest);

bool bp_refset_is_zone(const struct bp_ref_release *release, bp_span zone);
/* How many releases that are not withdrawn speak for the zone. */
uint32_t bp_refset_count(const struct bp_refset *set, bp_span zone);
/* The release of that id in that zone; NULL when there is none. */
const struct bp_ref_release *bp_refset_release(const struct bp_refset *set, bp_span id, bp_span zone);

#endif
