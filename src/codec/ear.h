/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ear - the attestation result: EAR of draft-ietf-rats-ear as a CWT payload with integer keys, both directions.
 *
 *   {6: iat, 10: nonce, 265: profile, 266: {"bedplate": appraisal}, 1004: {0: developer, 1: build}, ...}
 *   appraisal: {1000: status, 1001: vector, 1003: [policy], -75001..: ours}
 * Spans point into the input. The signature around it is codec/cose; nothing here decides a status. */
#ifndef BP_CODEC_EAR_H
#define BP_CODEC_EAR_H

#include "codec/cbor.h"

#define BP_EAR_PROFILE      "tag:ietf.org,2026:rats/ear#03"
#define BP_EAR_CONTENT      "application/eat+cwt"
#define BP_EAR_SUBMOD       "bedplate"
#define BP_EAR_KEYS_MAX     4u
#define BP_EAR_FINDINGS_MAX 32u
#define BP_EAR_TEXT_MAX     512u

/* Trustworthiness tiers and the eight claims of draft-ietf-rats-ar4si. */
enum bp_tier { BP_TIER_NONE = 0, BP_TIER_AFFIRMING = 2, BP_TIER_WARNING = 32, BP_TIER_CONTRAINDICATED = 96 };
enum bp_ar4si {
    BP_AR_INSTANCE_IDENTITY,
    BP_AR_CONFIGURATION,
    BP_AR_EXECUTABLES,
    BP_AR_FILE_SYSTEM,
    BP_AR_HARDWARE,
    BP_AR_RUNTIME_OPAQUE,
    BP_AR_STORAGE_OPAQUE,
    BP_AR_SOURCED_DATA,
    BP_AR_COUNT
};
const char *bp_tier_name(uint64_t tier);      /* "none" ...; "?" for another number */
const char *bp_ar4si_name(enum bp_ar4si claim); /* "instance-identity" ... */

struct bp_ear_finding {
    bp_span code; /* stable, of src/appraise/finding.h */
    uint64_t tier;
    bp_span text; /* one line for people */
};

struct bp_ear {
    int64_t iat_s;     /* 6, seconds since 1970 */
    bp_span nonce;     /* 10, 8..64 bytes; empty: left out */
    bp_span profile;   /* 265 */
    bp_span developer; /* 1004 */
    bp_span build;
    uint64_t status; /* 1000 */
    uint8_t has_vector; /* bit n: claim n is there */
    int8_t vector[BP_AR_COUNT]; /* 1001 */
    bp_span policy_id;          /* 1003, one text: "sha256:HEX" */
    /* ours, in the submodule; empty: left out */
    bp_span pseudonym;         /* -75001 text */
    bp_span device_id;         /* -75002, 33 bytes */
    bp_span evidence_digest;   /* -75003, 32 bytes */
    bp_span references_digest; /* -75004 */
    bp_span policy_digest;     /* -75005 */
    int64_t as_of_ms;          /* -75006 */
    uint32_t keys;             /* -75007: SPKI SHA-256 of each key vouched for */
    bp_span key[BP_EAR_KEYS_MAX];
    bp_span reason;            /* -75008 text */
    uint32_t findings;         /* -75009: array of [code, tier, text] */
    struct bp_ear_finding finding[BP_EAR_FINDINGS_MAX];
};

/* Reads a result of ours. On failure ret is all zero, or untouched when the bytes are not deterministic CBOR.
 *   UNSUPPORTED  another profile, no submodule "bedplate", a key that is not listed above
 *   LIMIT        more keys or findings, longer text      MALFORMED, TRUNCATED, NOT_CANONICAL */
BP_MUST_CHECK bp_result bp_ear_read(bp_span payload, struct bp_ear *ret);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_ear_write(const struct bp_ear *ear, uint8_t *ret, size_t cap, size_t *ret_len);

/* Any EAR of the draft: checks the mandatory members of the CBOR form and walks over the rest. For suites and for
 * looking at results of others. Errors as bp_ear_read, except that other keys and submodules are passed over. */
BP_MUST_CHECK bp_result bp_ear_check(bp_span payload);

#endif
