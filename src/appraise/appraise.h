/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/appraise - evidence, references and what was kept of the device become a verdict: a pure function.
 *
 * The order is written down once, as the table of steps in appraise.c: structure, signature, selection and freshness,
 * identity binding, log replay, reference values, vector. A finding that refuses ends it: the evidence is not this
 * device's answer to this question, and nothing else is read from it. No I/O, no clock, no allocation: texts and the
 * next state go into the caller's arena. The same inputs give the same bytes, years later. */
#ifndef BP_APPRAISE_APPRAISE_H
#define BP_APPRAISE_APPRAISE_H

#include "appraise/appraisal.h"
#include "appraise/refset.h"
#include "codec/akbinding.h"

#define BP_APPRAISE_ARENA (32u * 1024u) /* enough for any appraisal */

/* Quoted PCRs: 0-11 and 14 of SHA-256. */
#define BP_APPRAISE_PCRS      0x004fffu
#define BP_APPRAISE_PCR_COUNT 13u

/* How far the TPM's clock may lag (or lead) the server's between two pieces of evidence: a fixed part for the way
 * and a share for the TPM's oscillator. */
#define BP_APPRAISE_LAG_MS    10000
#define BP_APPRAISE_LAG_SHARE 16 /* one sixteenth of the time between */

struct bp_appraise_request {
    bp_span evidence;
    bp_span nonce;     /* 32 */
    bp_span device_id; /* 33 */
    bp_span ldevid;    /* 32; empty at first contact: the key in keys[0] */
    bp_span binding;   /* 32 */
    bp_span ak;        /* TPM2B_PUBLIC, bound to the device by the CA signer or about to be (activation) */
    bp_span state;     /* device-state of the last accepted evidence; empty: none */
    int64_t as_of_ms;  /* issue time of the nonce */
    int64_t now_ms;    /* when the evidence arrived */
    bp_span zone; /* empty: in none yet; only releases that are accepted everywhere count */
    bool activation;    /* first contact: about.activation is expected */
    bp_span root_class; /* of the ak-binding: discrete, firmware, virtual, unknown, software */
    uint32_t parents;   /* 1..BP_AKBINDING_EKS_MAX: endorsement keys that the AK may be a child of */
    bp_span qualified[BP_AKBINDING_EKS_MAX]; /* of the ak-binding: what it is called there, 34 bytes each */
};

/* Appraises. `arena` must live as long as ret, and so must evidence and the set's CoRIM bytes.
 * It fails only when it could not do its work; what is wrong with the evidence is a finding.
 *   BAD_ARGUMENT  a size of the request is not as above      NO_SPACE  the arena is too small      CRYPTO */
BP_MUST_CHECK bp_result bp_appraise(struct bp_crypto *c, const struct bp_refset *refs,
                                    const struct bp_appraise_request *req, uint8_t *arena, size_t arena_cap,
                                    struct bp_appraisal *ret);

/* --- op `appraise` between keeper and appraiser, both directions --- */
BP_MUST_CHECK bp_result bp_appraise_request_write(const struct bp_appraise_request *req, uint8_t *ret, size_t cap,
                                                  size_t *ret_len);
BP_MUST_CHECK bp_result bp_appraise_request_read(bp_span body, struct bp_appraise_request *ret);

/* --- device-state 1.0 ---
 * 4 [resetCount, restartCount]   5 [clock_ms, safe]   6 [as_of_ms, server_ms]   7 PCR digest   8 PCR values (bytes)
 * 9 boot log digest, or empty: none judged in order   10 [events, Secure Boot: 0 off, 1 on, 2 not told]
 * 11 [IMA entries, PCR 10 after them, unknown programs, violations]   12 array of release ids
 * 13 array of [code, text, at]: findings that stay until the device starts again */

#define BP_STATE_RELEASES_MAX 16u
#define BP_STATE_STICKY_MAX   16u
#define BP_STATE_MAX          (16u * 1024u)

/* What the server keeps of a device's last accepted evidence. */
struct bp_device_state {
    uint32_t reset_count;
    uint32_t restart_count;
    uint64_t clock_ms;
    bool safe;
    int64_t server_ms; /* when the evidence arrived: its quote was made before */
    int64_t as_of_ms;  /* when its nonce was issued: its quote was made after */
    uint8_t pcr_digest[BP_SHA256_SIZE];
    bp_span pcrs; /* 13 * 32 bytes; empty: none were ever sent */
    bool has_log; /* a boot log of this boot was judged and is in order */
    uint8_t log[BP_SHA256_SIZE];
    uint64_t boot_events;
    bool has_secure_boot; /* the log told its state */
    bool secure_boot;
    uint64_t ima_count;
    uint8_t ima_pcr[BP_SHA256_SIZE];
    uint64_t ima_unknown;
    uint64_t ima_violations;
    uint32_t releases; /* that explain this boot and its programs; the first runs whole */
    bp_span release[BP_STATE_RELEASES_MAX];
    uint32_t sticky; /* findings that stay until the device starts again */
    struct bp_finding sticky_finding[BP_STATE_STICKY_MAX];
};
BP_MUST_CHECK bp_result bp_device_state_read(bp_span in, struct bp_device_state *ret);
BP_MUST_CHECK bp_result bp_device_state_write(const struct bp_device_state *state, uint8_t *ret, size_t cap,
                                              size_t *ret_len);

#endif
