/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/appraise - the written order of an appraisal. */
#include "appraise/judge.h"
#include "core/binding.h"
#include "core/devid.h"

#define BP_MODULE APPRAISE

/* Order is part of the rules: nothing is believed before the step that proves it, and the first refusal is the reason
 * that is told. */
static bp_result (*const steps[])(struct bp_judge *) = {
    bp_j_structure,  /* the collection has the form of docs/protocol/evidence.md */
    bp_j_ak,         /* the key is one that signs only what the TPM made */
    bp_j_attest,     /* magic, type, form of the statement, to its last byte */
    bp_j_signature,  /* by that key */
    bp_j_parent,     /* a child of the endorsement key: one that goes when the TPM is cleared */
    bp_j_selection,  /* over all PCRs that are asked for */
    bp_j_names,      /* this device, this nonce's time, this session's key */
    bp_j_extra,      /* this nonce, this channel, and every other member */
    bp_j_activation, /* first contact only */
    bp_j_keys,       /* what it vouches for */
    bp_j_state,      /* what was kept of the device */
    bp_j_counters,   /* not older than that */
    bp_j_pace,       /* not prepared early */
    bp_j_pcrs,       /* PCR values are the signed ones */
    bp_j_boot,       /* boot log: replay, then reference values */
    bp_j_ima,        /* programs: replay, then reference values */
    bp_j_releases,   /* the releases found are still accepted */
    bp_j_result,     /* vector, tier, reason, claims, next state */
};

static bool is_request(const struct bp_appraise_request *req)
{
    return req->nonce.n == BP_NONCE_SIZE && req->device_id.n == BP_DEVID_SIZE &&
           (req->ldevid.n == 0 || req->ldevid.n == BP_SHA256_SIZE) && req->binding.n == BP_BINDING_SIZE &&
           req->as_of_ms >= 0 && req->now_ms >= 0 && req->zone.n <= BP_EVIDENCE_TEXT_MAX &&
           bp_is_utf8(req->zone) && req->root_class.n != 0 && req->root_class.n <= 16 && bp_is_utf8(req->root_class) &&
           bp_j_are_names(req);
}

/* Nothing of what a refused collection says is handed on. */
static void refuse(struct bp_appraisal *a)
{
    a->accepted = false;
    a->tier = BP_TIER_NONE;
    a->keys = 0;
    a->activation = BP_SPAN_EMPTY;
    a->reason = a->finding[0].text;
}

bp_result bp_appraise(struct bp_crypto *c, const struct bp_refset *refs, const struct bp_appraise_request *req,
                      uint8_t *arena, size_t arena_cap, struct bp_appraisal *ret)
{
    if (!is_request(req)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct bp_judge j = {.c = c, .refs = refs, .req = req, .ret = ret, .arena = bp_wr_over(arena, arena_cap)};
    memset(ret, 0, sizeof *ret);
    memcpy(ret->references_digest, refs->digest, sizeof ret->references_digest);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !j.is_refused; i++) {
        BP_TRY(steps[i](&j));
    }
    BP_TRY(bp_wr_finish(&j.arena));
    if (j.is_refused) {
        refuse(ret);
    }
    return BP_OK;
}
