/* SPDX-License-Identifier: Apache-2.0 */
/* codec/evidence - the collection that a device posts (docs/protocol/evidence.md), both directions.
 *
 * A CMW collection of RFC 9999: a map from label to [media type, value]. Spans point into the caller's bytes; nothing
 * is copied. Values of TPM, UEFI and IMA stay verbatim. It does not verify: appraise does. */
#ifndef BP_CODEC_EVIDENCE_H
#define BP_CODEC_EVIDENCE_H

#include "codec/cbor.h"

#define BP_EVIDENCE_MAX          (1u << 20) /* bytes of a collection */
#define BP_EVIDENCE_LABELS_MAX   32u
#define BP_EVIDENCE_KEYS_MAX     4u
#define BP_EVIDENCE_FEATURES_MAX 32u
#define BP_EVIDENCE_PCRS_MAX     24u
#define BP_EVIDENCE_TEXT_MAX     512u

#define BP_ABOUT_MINOR 0u

/* Object *about* 1.0. */
struct bp_about {
    bp_span device_id; /* 33 bytes */
    uint64_t seq;
    uint64_t issued_ms;
    bp_span ldevid;    /* 32 bytes */
    uint32_t features;
    bp_span feature[BP_EVIDENCE_FEATURES_MAX]; /* ascending */
    bp_span agent;
    bp_span activation; /* 32 bytes, or empty */
    bool has_held;
    bp_span held_log;   /* 32 bytes, or empty: none held */
    uint64_t held_ima;
};

/* One statement that a key is protected: TPM2B_PUBLIC, TPMS_ATTEST of TPM2_Certify, TPMT_SIGNATURE. */
struct bp_certified {
    bp_span public_area;
    bp_span attest;
    bp_span signature;
};

struct bp_evidence {
    bp_span all;     /* the collection as it came; set by the reader only */
    struct bp_about about;
    bp_span attest;  /* of the quote */
    bp_span signature;
    bool has_boot;
    bp_span boot;
    bool has_ima;
    uint64_t ima_from;
    bp_span ima;
    bool has_pcrs;
    uint32_t pcrs;
    bp_span pcr[BP_EVIDENCE_PCRS_MAX];
    uint32_t keys;
    struct bp_certified key[BP_EVIDENCE_KEYS_MAX];
    uint32_t unknown; /* labels that are not in the table: covered by extraData, never trusted */
    /* Filled by the reader: the collection in two parts without the member `quote`, after `without_head`: see
     * bp_evidence_covered. */
    bp_span before_quote;
    bp_span after_quote;
    uint32_t labels;
};

/* Reads a collection. On failure ret is all zero: it is too large to be built aside.
 *   LIMIT         larger than BP_EVIDENCE_MAX, or more labels, keys, PCRs, features than above
 *   UNSUPPORTED   a known label with another media type; another major version of `about`
 *   MALFORMED     `about` or `quote` missing; a member that is not of its form
 *   TRUNCATED, NOT_CANONICAL  as codec/cbor */
BP_MUST_CHECK bp_result bp_evidence_read(bp_span in, struct bp_evidence *ret);

/* The bytes whose SHA-256 goes into extraData: the collection without the member `quote`, as a deterministic map. They
 * are three spans, to be hashed one after another; head is the map head that fits, in the caller's room. */
#define BP_EVIDENCE_COVERED 3u
void bp_evidence_covered(const struct bp_evidence *ev, uint8_t head[9], bp_span ret[BP_EVIDENCE_COVERED]);

/* Writes the collection; with `with_quote` false without that member: what is hashed before the quote is made.
 *   NO_SPACE      *ret_len tells the room needed
 *   BAD_ARGUMENT  a size that the reader would refuse */
BP_MUST_CHECK bp_result bp_evidence_write(const struct bp_evidence *ev, bool with_quote, uint8_t *ret, size_t cap,
                                          size_t *ret_len);

#endif
