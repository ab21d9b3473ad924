/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/appraisal - what an appraisal says, and its object form between appraiser and keeper.
 *
 * Object `appraisal` 1.0 (docs/protocol/processes.md, op `appraise`):
 *   4 accepted (bool)   5 tier (uint)   6 vector (array of 8 ints)   7 reason (text)
 *   8 findings (array of [code, effect, AR4SI claim, text, at])   9 claims (array of [name, value], ascending)
 *   10 state blob (bytes; empty when not accepted)   11 evidence digest   12 references digest
 *   13 [boot log digest or empty, IMA count] now held   14 array of key SPKI SHA-256   15 activation proof or empty
 *   16 array of release ids that run   17 seq   18 issued_ms   19 chain (array of [tile, tier, text, does not prove])
 * Spans of a struct point into the arena of the appraisal, or into the object that was read. */
#ifndef BP_APPRAISE_APPRAISAL_H
#define BP_APPRAISE_APPRAISAL_H

#include "appraise/claim.h"
#include "appraise/finding.h"
#include "codec/evidence.h"
#include "port/crypto.h"

#define BP_APPRAISAL_FINDINGS_MAX 32u
#define BP_APPRAISAL_RELEASES_MAX 16u
#define BP_APPRAISAL_TEXT_MAX     512u
#define BP_APPRAISAL_MAX          (64u * 1024u) /* bytes of its object form */

struct bp_finding {
    enum bp_finding_id id;
    bp_span text;
    uint64_t at; /* index of the event or entry it rests on, or the PCR; 0 where it has none */
};

/* The chain-of-trust picture: one tile a link. */
enum bp_tile { BP_TILE_ROOT, BP_TILE_FIRMWARE, BP_TILE_BOOT, BP_TILE_SYSTEM, BP_TILE_PROGRAMS, BP_TILE_KEYS, BP_TILE_COUNT };

struct bp_chain_tile {
    uint64_t tier;
    bp_span text;
    bp_span does_not_prove;
};
const char *bp_tile_name(enum bp_tile tile);

struct bp_appraisal {
    bool accepted; /* false: refused, the first finding says why; nothing below it but the digests counts */
    uint64_t tier; /* enum bp_tier */
    int8_t vector[BP_AR_COUNT]; /* 0: no claim */
    bp_span reason; /* one line */
    uint32_t findings;
    struct bp_finding finding[BP_APPRAISAL_FINDINGS_MAX]; /* worst first */
    struct bp_claim claim[BP_C_COUNT];
    bp_span state; /* next input, object device-state */
    uint8_t evidence_digest[BP_SHA256_SIZE];
    uint8_t references_digest[BP_SHA256_SIZE];
    bool has_log;
    uint8_t held_log[BP_SHA256_SIZE];
    uint64_t held_ima;
    uint32_t keys;
    uint8_t key[BP_EVIDENCE_KEYS_MAX][BP_SHA256_SIZE];
    bp_span activation;
    uint32_t releases;
    bp_span release[BP_APPRAISAL_RELEASES_MAX];
    uint64_t seq;
    uint64_t issued_ms;
    struct bp_chain_tile tile[BP_TILE_COUNT];
};

/*   NO_SPACE  *ret_len tells the room needed */
BP_MUST_CHECK bp_result bp_appraisal_write(const struct bp_appraisal *a, uint8_t *ret, size_t cap, size_t *ret_len);
/* Reads what another process wrote; unknown findings and claims are refused (both ends are of one build).
 *   MALFORMED, TRUNCATED, NOT_CANONICAL, UNSUPPORTED, LIMIT */
BP_MUST_CHECK bp_result bp_appraisal_read(bp_span in, struct bp_appraisal *ret);

#endif
