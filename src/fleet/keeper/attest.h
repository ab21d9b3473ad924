/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/attest - what is kept of one piece of evidence from its arrival to its answer. Not for
 * other folders.
 *
 *   attest.c   may it be appraised at all: channel, device, number, nonce; then to an appraiser
 *   verdict.c  the appraisal judged by policy, bound (first contact), signed
 *   record.c   everything written in one act, and the answer */
#ifndef BP_FLEET_KEEPER_ATTEST_H
#define BP_FLEET_KEEPER_ATTEST_H

#include "appraise/appraise.h"
#include "fleet/keeper/internal.h"

struct bp_attest {
    bool first;     /* over the enrol listener */
    bp_span body;   /* the collection: the request's body, or in it */
    /* In a request for a certificate: what goes on, with the flow of before, which is owned meanwhile. NULL: the answer. */
    bp_job_fn *then;
    void *outer;
    void (*outer_free)(void *flow);
    int64_t device; /* row; 0: not known yet */
    enum bp_lifecycle state;
    struct bp_place place;
    uint8_t id[BP_ID_SIZE];
    uint64_t seq;
    int64_t issued_ms;
    int64_t at_ms; /* when it arrived: now_ms of the appraisal */
    uint64_t base_seq; /* last accepted number when it began: what the appraisal builds on */
    uint8_t nonce[BP_DIGEST_SIZE];
    uint8_t binding[BP_DIGEST_SIZE];
    uint8_t ldevid[BP_DIGEST_SIZE];
    uint8_t evidence[BP_DIGEST_SIZE];
    bool has_state;
    uint8_t state_digest[BP_DIGEST_SIZE];
    char root_class[17];
    struct bp_k_contact contact; /* first only; owned */
    uint8_t *binding_object;     /* ak-binding, first only */
    size_t binding_object_n;

    uint8_t *object; /* the appraiser's; spans of `a` point into it */
    size_t object_n;
    struct bp_appraisal a;

    /* judged */
    uint8_t tier;
    char reason[BP_REASON_MAX + 1];
    char rules[256];
    uint32_t actions;
    bool grants; /* keys are vouched for */
    uint8_t policy[BP_DIGEST_SIZE];
    uint8_t *payload; /* the result's, then signed in `ear` */
    size_t payload_n;
    uint8_t *ear;
    size_t ear_n;
};

static inline struct bp_attest *bp_attest_of(const struct bp_job *j)
{
    return j->flow;
}

static inline bp_span bp_attest_id(const struct bp_attest *x)
{
    return bp_span_of(x->id, sizeof x->id);
}

/* A copy of the caller's; NULL when memory is refused. */
uint8_t *bp_k_copy(bp_span v);

/* -- verdict.c: callback of the call `appraise`; arg is the job. */
void bp_k_appraised(void *arg, bp_result r, uint64_t status, bp_span body);

/* Gives the job back the flow that it had before the evidence. */
void bp_k_attest_end(struct bp_job *j);

/* -- record.c: the result is signed: write and answer. */
void bp_k_record(struct bp_job *j);
/* Answers with what was stored for the same evidence. False: there is nothing that fits. */
bool bp_k_same_answer(struct bp_job *j, const struct bp_device *d, const struct bp_trust *t,
                      uint64_t seq, bp_span evidence_digest);
/* Refuses evidence with its event. */
void bp_k_refuse_evidence(struct bp_job *j, const struct bp_device *d, enum bp_problem problem,
                          const char *reason);

#endif
