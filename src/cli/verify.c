/* SPDX-License-Identifier: Apache-2.0 */
/* cli/verify - the steps, one function each, in the order of the table. */
#include "cli/verify.h"

#include "appraise/appraise.h"
#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/event.h"
#include "codec/note.h"
#include "codec/release.h"
#include "core/binding.h"
#include "core/chain.h"
#include "core/merkle.h"
#include "core/replay.h"
#include "core/tpmkey.h"
#include "platform/alloc.h"

#include <stdio.h>

#define BP_MODULE CLI

/* Everything a verification holds; too large for a stack. */
struct work {
    struct bp_crypto *c;
    const uint8_t *anchor;
    struct bp_verification *v;
    struct bp_bundle *b;
    struct bp_x509 root, key[3]; /* by enum bp_bundle_cert */
    struct bp_event event;
    struct bp_cose_sign1 ear, binding;
    struct bp_akbinding ak;
    struct bp_evidence evidence;
    struct bp_tpm_public ak_public;
    struct bp_tpm_key_room ak_room;
    struct bp_pubkey ak_key;
    struct bp_ref_source source[BP_BUNDLE_REFERENCES_MAX];
    struct bp_ref_release *releases;
    struct bp_ref_entry *entries;
    struct bp_refset set;
    struct bp_device_state state;
    struct bp_appraisal appraisal;
    uint8_t proof[BP_BUNDLE_PROOF_MAX * 32];
    uint8_t arena[BP_APPRAISE_ARENA];
};

typedef bp_result step_fn(struct work *w, const char **ret_reason);

static const struct bp_verify_row rows[BP_V_COUNT] = {
#define BP_X(id, name, text) [BP_V_##id] = {name, text},
    BP_VERIFY_STEPS(BP_X)
#undef BP_X
};

struct bp_verify_row bp_verify_row(enum bp_verify_step step)
{
    return (unsigned)step < BP_V_COUNT ? rows[step] : (struct bp_verify_row){0};
}

static bool is_digest_of(struct work *w, bp_span digest, bp_span bytes)
{
    uint8_t own[BP_SHA256_SIZE];
    return !bp_failed(bp_hash(w->c, BP_HASH_SHA256, bytes, own)) && bp_span_equal(digest, BP_SPAN_OF(own));
}

static bp_result form(struct work *w, const char **reason)
{
    const size_t extra = w->b->certs - BP_BUNDLE_CHAIN_MIN;
    if (extra != 0) {
        *reason = "form-chain: the chain holds certificates that nothing needs";
    }
    return BP_OK;
}

static bp_result chain(struct work *w, const char **reason)
{
    static const enum bp_statement statement[] = {BP_STATEMENT_LOG, BP_STATEMENT_RESULT, BP_STATEMENT_BIND};
    *reason = bp_chain_root(w->c, w->b->cert[BP_BUNDLE_CERT_AUTHORITY], w->anchor, &w->root);
    for (size_t i = 0; *reason == NULL && i < 3; i++) {
        *reason = bp_chain_key(w->c, &w->root, w->b->cert[i], statement[i], &w->key[i]);
    }
    return BP_OK;
}

static bool is_one_line(bp_span s)
{
    const uint8_t *end = s.n != 0 ? memchr(s.p, '\n', s.n) : NULL;
    return end != NULL && end == s.p + s.n - 1;
}

static bp_result head(struct work *w, const char **reason)
{
    struct bp_note note;
    struct bp_checkpoint cp;
    if (bp_failed(bp_note_read(w->b->head, &note)) || bp_failed(bp_checkpoint_read(&note, &cp)) ||
        !is_one_line(note.signatures)) {
        *reason = "head-form: the head is not a checkpoint with one signature";
    } else if (bp_failed(bp_note_verify(w->c, &note, cp.origin, w->key[BP_BUNDLE_CERT_LOG].spki))) {
        *reason = "head-signature: the head is not signed by the log's key";
    }
    return BP_OK;
}

static bp_result inclusion(struct work *w, const char **reason)
{
    struct bp_note note;
    struct bp_checkpoint cp;
    uint8_t digest[BP_SHA256_SIZE], leaf[BP_SHA256_SIZE];
    BP_TRY(bp_note_read(w->b->head, &note));
    BP_TRY(bp_checkpoint_read(&note, &cp));
    BP_TRY(bp_hash(w->c, BP_HASH_SHA256, w->b->event, digest));
    BP_TRY(bp_merkle_leaf(w->c, BP_SPAN_OF(digest), leaf));
    if (cp.size != w->b->size) {
        *reason = "inclusion-size: the proof is for another size than the head's";
    } else if (bp_failed(bp_merkle_verify_inclusion(w->c, w->b->index, w->b->size, leaf,
                                                    bp_bundle_proof(w->b, w->proof), cp.root))) {
        *reason = "inclusion: the event is not in the log at that place";
    }
    return BP_OK;
}

/* --- the event --- */

static bp_span bytes_of(const struct work *w, const char *name)
{
    const struct bp_event_detail *d = bp_event_detail_of(&w->event, bp_span_cstr(name));
    return d != NULL && d->kind == BP_VAL_BYTES ? d->bytes : BP_SPAN_EMPTY;
}

static bp_span text_of(const struct work *w, const char *name)
{
    const struct bp_event_detail *d = bp_event_detail_of(&w->event, bp_span_cstr(name));
    return d != NULL && d->kind == BP_VAL_TEXT ? d->bytes : BP_SPAN_EMPTY;
}

static bool has_text(const struct work *w, const char *name)
{
    const struct bp_event_detail *d = bp_event_detail_of(&w->event, bp_span_cstr(name));
    return d != NULL && d->kind == BP_VAL_TEXT;
}

static bool number_of(const struct work *w, const char *name, int64_t *ret)
{
    const struct bp_event_detail *d = bp_event_detail_of(&w->event, bp_span_cstr(name));
    if (d == NULL || d->kind != BP_VAL_INT) {
        return false;
    }
    *ret = d->number;
    return true;
}

static bp_result event(struct work *w, const char **reason)
{
    int64_t seq = 0, at_ms = 0;
    if (bp_failed(bp_event_read(w->b->event, &w->event)) || w->event.type != BP_EV_VERDICT) {
        *reason = "event-form: the event is not a verdict";
        return BP_OK;
    }
    w->v->time_ms = w->event.time_ms;
    bool valid = bp_chain_is_valid_at(&w->root, w->event.time_ms);
    for (size_t i = 0; i < 3; i++) {
        valid = valid && bp_chain_is_valid_at(&w->key[i], w->event.time_ms);
    }
    if (w->event.number != w->b->index) {
        *reason = "event-number: the event has another number than its place in the log";
    } else if (!valid) {
        *reason = "chain-time: a certificate was not valid when the verdict was given";
    } else if (!is_digest_of(w, bytes_of(w, "ear"), w->b->ear)) {
        *reason = "event-result: the event names another result";
    } else if (!is_digest_of(w, bytes_of(w, "evidence"), w->b->evidence)) {
        *reason = "event-evidence: the event names other evidence";
    } else if (!number_of(w, "seq", &seq) || seq < 0 || (uint64_t)seq != w->b->seq || !number_of(w, "at_ms", &at_ms) ||
               !has_text(w, "zone")) {
        *reason = "event-inputs: the event does not name what the appraisal was given";
    }
    return BP_OK;
}

/* --- signed objects --- */

static bool is_signed(struct work *w, const struct bp_cose_sign1 *msg, enum bp_bundle_cert cert, const char *content)
{
    const size_t n = BP_COSE_SCRATCH(msg->protected_header.n, msg->payload.n, 0);
    uint8_t *scratch = bp_alloc(n);
    const bool ok = scratch != NULL && bp_span_equal(msg->content_type, bp_span_cstr(content)) &&
                    is_digest_of(w, msg->kid, w->key[cert].spki) &&
                    !bp_failed(bp_cose_sign1_verify(w->c, msg, &w->key[cert].key, BP_SPAN_EMPTY, scratch, n));
    bp_free(scratch);
    return ok;
}

static bp_result result(struct work *w, const char **reason)
{
    struct bp_ear *ear = &w->v->ear;
    int64_t tier = 0;
    if (bp_failed(bp_cose_sign1_read(w->b->ear, &w->ear))) {
        *reason = "result-form: the result is not a signed object of ours";
    } else if (!is_signed(w, &w->ear, BP_BUNDLE_CERT_RESULT, BP_EAR_CONTENT)) {
        *reason = "result-signature: the result is not signed by the result key";
    } else if (bp_failed(bp_ear_read(w->ear.payload, ear))) {
        *reason = "result-form: what was signed is not a result of ours";
    } else if (!is_digest_of(w, ear->evidence_digest, w->b->evidence)) {
        *reason = "result-evidence: the result is about other evidence";
    } else if (!bp_span_equal(ear->nonce, w->b->nonce) || ear->as_of_ms < 0 ||
               (uint64_t)ear->as_of_ms != w->b->issued_ms) {
        *reason = "result-nonce: the result is about another nonce";
    } else if (!bp_span_equal(ear->pseudonym, w->event.device)) {
        *reason = "result-device: result and event are about different devices";
    } else if (!number_of(w, "tier", &tier) || tier < 0 || (uint64_t)tier != ear->status ||
               !bp_span_equal(text_of(w, "reason"), ear->reason)) {
        *reason = "result-verdict: result and event give different verdicts";
    }
    return BP_OK;
}

static bp_result binding(struct work *w, const char **reason)
{
    struct bp_tpm_name name;
    if (bp_failed(bp_cose_sign1_read(w->b->ak_binding, &w->binding))) {
        *reason = "binding-form: the ak-binding is not a signed object of ours";
    } else if (!is_signed(w, &w->binding, BP_BUNDLE_CERT_BIND, BP_AKBINDING_CONTENT)) {
        *reason = "binding-signature: the ak-binding is not signed by the CA signer's key";
    } else if (bp_failed(bp_akbinding_read(w->binding.payload, &w->ak))) {
        *reason = "binding-form: what was signed is not an ak-binding";
    } else if (!bp_span_equal(w->ak.device_id, w->v->ear.device_id)) {
        *reason = "binding-device: the ak-binding is of another device";
    } else if (bp_failed(bp_tpm_public_read(w->ak.ak, &w->ak_public)) ||
               bp_failed(bp_tpm_name(w->c, &w->ak_public, &name)) ||
               !bp_span_equal(bp_tpm_name_span(&name), w->ak.ak_name) ||
               bp_failed(bp_tpm_pubkey(&w->ak_public, &w->ak_room, &w->ak_key))) {
        *reason = "binding-key: the bound key does not have the bound name";
    }
    return BP_OK;
}

static bool is_quote_signed(struct work *w)
{
    struct bp_tpm_sig sig;
    return !bp_failed(bp_tpm_sig_read(w->evidence.signature, &sig)) &&
           !bp_failed(bp_tpm_verify(w->c, &w->ak_key, &sig, w->evidence.attest));
}

static bool is_quote_bound(struct work *w, const struct bp_tpm_attest *quote)
{
    uint8_t covered[BP_SHA256_SIZE], extra[BP_SHA256_SIZE];
    return !bp_failed(bp_binding_covered(w->c, &w->evidence, covered)) &&
           !bp_failed(bp_binding_quote(w->c, w->b->nonce, w->evidence.about.device_id, w->evidence.about.ldevid,
                                       w->b->binding, BP_SPAN_OF(covered), extra)) &&
           bp_span_equal(quote->extra_data, BP_SPAN_OF(extra));
}

static bp_result quote(struct work *w, const char **reason)
{
    struct bp_tpm_attest q;
    const struct bp_about *about = &w->evidence.about;
    if (bp_failed(bp_evidence_read(w->b->evidence, &w->evidence))) {
        *reason = "quote-form: the evidence is not a collection of ours";
    } else if (!bp_span_equal(about->device_id, w->ak.device_id)) {
        *reason = "quote-device: the evidence is of another device";
    } else if (about->seq != w->b->seq || about->issued_ms != w->b->issued_ms) {
        *reason = "quote-nonce: the evidence answers another nonce";
    } else if (!is_quote_signed(w)) {
        *reason = "quote-signature: the quote is not signed by the attestation key";
    } else if (bp_failed(bp_tpm_attest_read(w->evidence.attest, &q)) || q.type != BP_TPM_ST_QUOTE) {
        *reason = "quote-form: what the chip signed is not a quote";
    } else if (!bp_akbinding_is_signer(&w->ak, q.qualified_signer)) {
        *reason = "quote-parent: the attestation key is not a child of the endorsement key";
    } else if (!is_quote_bound(w, &q)) {
        *reason = "quote-extra-data: the quote is not for this nonce, this connection and the bytes beside it";
    }
    return BP_OK;
}

/* --- what the appraisal was given --- */

static bool read_references(struct work *w)
{
    for (uint32_t i = 0; i < w->b->references; i++) {
        const struct bp_bundle_reference *ref = &w->b->reference[i];
        struct bp_release release;
        if (!is_digest_of(w, ref->id, ref->manifest) || bp_failed(bp_release_read(ref->manifest, &release))) {
            return false;
        }
        w->source[i] = (struct bp_ref_source){ref->id, (enum bp_release_state)ref->state, ref->zone, release.corim};
    }
    return true;
}

/* d of refset.h needs the rows in order; a bundle has them so already. */
static bool are_in_order(const struct bp_bundle *b)
{
    for (uint32_t i = 1; i < b->references; i++) {
        const struct bp_bundle_reference *x = &b->reference[i - 1], *y = &b->reference[i];
        int d = memcmp(x->id.p, y->id.p, BP_SHA256_SIZE);
        if (d == 0) {
            const size_t n = x->zone.n < y->zone.n ? x->zone.n : y->zone.n;
            d = memcmp(x->zone.p, y->zone.p, n);
            d = d != 0 ? d : x->zone.n < y->zone.n ? -1 : x->zone.n > y->zone.n ? 1 : 0;
        }
        if (d >= 0) {
            return false;
        }
    }
    return true;
}

static bp_result references(struct work *w, const char **reason)
{
    uint32_t entries = 0;
    if (!are_in_order(w->b)) {
        *reason = "references-order: the releases are not in order, or one is there twice";
        return BP_OK;
    }
    if (!read_references(w)) {
        *reason = "references-id: a release is not the one of its id";
        return BP_OK;
    }
    if (bp_failed(bp_refset_measure(w->source, w->b->references, &entries))) {
        *reason = "references-form: a release's reference values are not readable";
        return BP_OK;
    }
    w->releases = bp_alloc_array(w->b->references + 1, sizeof *w->releases);
    w->entries = bp_alloc_array((size_t)entries + 1, sizeof *w->entries);
    if (w->releases == NULL || w->entries == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (bp_failed(bp_refset_build(w->c, w->source, w->b->references, w->releases, w->entries, entries, NULL, &w->set))) {
        *reason = "references-form: a release's reference values are not readable";
    } else if (!bp_span_equal(w->v->ear.references_digest, BP_SPAN_OF(w->set.digest))) {
        *reason = "references-set: the result names another set of releases";
    }
    return BP_OK;
}

static bp_result policy(struct work *w, const char **reason)
{
    const bp_span digest = w->v->ear.policy_digest;
    if (digest.n == 0 ? w->b->policy.n != 0 : !is_digest_of(w, digest, w->b->policy)) {
        *reason = "policy: the result names another policy document";
    }
    return BP_OK;
}

static bp_result state(struct work *w, const char **reason)
{
    const bp_span digest = bytes_of(w, "state");
    if (digest.n == 0 ? w->b->state.n != 0 : !is_digest_of(w, digest, w->b->state)) {
        *reason = "state: the event names another state of the device";
    } else if (w->b->state.n != 0 && bp_failed(bp_device_state_read(w->b->state, &w->state))) {
        *reason = "state-form: the device's state is not readable";
    }
    return BP_OK;
}

static bool is_known_log(struct work *w, bp_span log)
{
    return w->state.has_log && is_digest_of(w, BP_SPAN_OF(w->state.log), log);
}

/* The whole list up to the state's count leads to the state's PCR 10. */
static bool is_known_ima(struct work *w, bp_span list)
{
    const struct bp_ima_point zero = bp_ima_point_zero();
    struct bp_ima_match match;
    return !bp_failed(bp_ima_replay(w->c, BP_HASH_SHA256, &zero, list, BP_SPAN_OF(w->state.ima_pcr), &match)) &&
           match.point.count == w->state.ima_count && match.bytes == list.n;
}

static bp_result logs(struct work *w, const char **reason)
{
    const bool has_state = w->b->state.n != 0;
    uint32_t at = 0;
    if (has_state && at < w->b->logs && is_known_log(w, w->b->log[at])) {
        at++;
    }
    if (has_state && at < w->b->logs && is_known_ima(w, w->b->log[at])) {
        at++;
    }
    if (at != w->b->logs) {
        *reason = "logs: an earlier log is not one that the device's state rests on";
    }
    return BP_OK;
}

/* --- the appraisal, again --- */

static bool is_trusted(uint64_t tier)
{
    return tier == BP_TIER_AFFIRMING || tier == BP_TIER_WARNING;
}

/* A policy turns what is trusted into "contraindicated" (a rule forbids) or "none" (no rule permits). */
static bool is_worse_by_policy(uint64_t appraised, uint64_t given)
{
    return is_trusted(appraised) && (given == BP_TIER_CONTRAINDICATED || given == BP_TIER_NONE);
}

static bool is_same_vector(const struct bp_appraisal *a, const struct bp_ear *ear)
{
    for (unsigned i = 0; i < BP_AR_COUNT; i++) {
        const bool has = (ear->has_vector & 1u << i) != 0;
        if ((has ? ear->vector[i] : 0) != a->vector[i]) {
            return false;
        }
    }
    return true;
}

static bool are_same_findings(const struct bp_appraisal *a, const struct bp_ear *ear)
{
    bool same = a->findings == ear->findings;
    for (uint32_t i = 0; same && i < a->findings; i++) {
        const struct bp_finding_row row = bp_finding_row(a->finding[i].id);
        same = bp_span_equal(ear->finding[i].code, bp_span_cstr(row.code)) &&
               ear->finding[i].tier == (uint64_t)bp_effect_tier(row.effect) &&
               bp_span_equal(ear->finding[i].text, a->finding[i].text);
    }
    return same;
}

/* The result vouches for the keys that the evidence proved, or for none. */
static bool are_same_keys(const struct bp_appraisal *a, const struct bp_ear *ear)
{
    bool same = ear->keys == 0 || ear->keys == a->keys;
    for (uint32_t i = 0; same && i < ear->keys; i++) {
        same = bp_span_equal(ear->key[i], BP_SPAN_OF(a->key[i]));
    }
    return same;
}

static void compare(struct work *w, const char **reason)
{
    const struct bp_appraisal *a = &w->appraisal;
    const struct bp_ear *ear = &w->v->ear;
    w->v->by_policy = a->tier != ear->status;
    if (!a->accepted) {
        *reason = "replay-refused: made again, the appraisal refuses the evidence";
    } else if (w->v->by_policy && !is_worse_by_policy(a->tier, ear->status)) {
        *reason = "replay-tier: made again, the appraisal gives another verdict";
    } else if (!is_same_vector(a, ear)) {
        *reason = "replay-vector: made again, the appraisal makes other claims";
    } else if (!are_same_findings(a, ear)) {
        *reason = "replay-findings: made again, the appraisal finds something else";
    } else if (!are_same_keys(a, ear)) {
        *reason = "replay-keys: made again, the appraisal vouches for other keys";
    } else if (!w->v->by_policy && !bp_span_equal(ear->reason, a->reason)) {
        *reason = "replay-reason: made again, the appraisal gives another reason";
    }
}

static bp_result replay(struct work *w, const char **reason)
{
    int64_t at_ms = 0;
    const bool first = w->evidence.about.activation.n != 0;
    (void)number_of(w, "at_ms", &at_ms); /* the step `event` saw that it is there */
    struct bp_appraise_request req = {.evidence = w->b->evidence,
                                      .nonce = w->b->nonce,
                                      .device_id = w->ak.device_id,
                                      .ldevid = first ? BP_SPAN_EMPTY : w->evidence.about.ldevid,
                                      .binding = w->b->binding,
                                      .ak = w->ak.ak,
                                      .state = w->b->state,
                                      .as_of_ms = (int64_t)w->b->issued_ms,
                                      .now_ms = at_ms,
                                      .zone = text_of(w, "zone"),
                                      .activation = first,
                                      .root_class = w->ak.issuer_class,
                                      .parents = w->ak.eks};
    memcpy(req.qualified, w->ak.qualified, sizeof req.qualified);
    const bp_result r = bp_appraise(w->c, &w->set, &req, w->arena, sizeof w->arena, &w->appraisal);
    if (bp_is(r, BP_E_BAD_ARGUMENT)) {
        *reason = "replay-inputs: the appraisal's inputs are not of their form";
        return BP_OK;
    }
    BP_TRY(r);
    compare(w, reason);
    return BP_OK;
}

static step_fn *const steps[BP_V_COUNT] = {
    [BP_V_FORM] = form,         [BP_V_CHAIN] = chain,           [BP_V_HEAD] = head,       [BP_V_INCLUSION] = inclusion,
    [BP_V_EVENT] = event,       [BP_V_RESULT] = result,         [BP_V_BINDING] = binding, [BP_V_QUOTE] = quote,
    [BP_V_REFERENCES] = references, [BP_V_POLICY] = policy,     [BP_V_STATE] = state,     [BP_V_LOGS] = logs,
    [BP_V_REPLAY] = replay,
};

static bp_result run(struct work *w)
{
    struct bp_verification *v = w->v;
    for (int i = 0; i < BP_V_COUNT; i++) {
        const char *reason = NULL;
        v->failed = (enum bp_verify_step)i;
        BP_TRY(steps[i](w, &reason));
        if (reason != NULL) {
            (void)snprintf(v->reason, sizeof v->reason, "%s", reason);
            return BP_OK;
        }
    }
    v->failed = BP_V_COUNT;
    v->good = true;
    return BP_OK;
}

bp_result bp_verify_bundle(struct bp_crypto *c, bp_span bundle, const uint8_t anchor[BP_SHA256_SIZE],
                           struct bp_verification *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->failed = BP_V_FORM;
    const bp_result read = bp_bundle_read(bundle, &ret->bundle);
    if (bp_failed(read)) {
        (void)snprintf(ret->reason, sizeof ret->reason, "form: %s", bp_error_text(bp_error_of(read)));
        return BP_OK;
    }
    struct work *w = bp_alloc(sizeof *w);
    if (w == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    w->c = c;
    w->anchor = anchor;
    w->v = ret;
    w->b = &ret->bundle;
    const bp_result r = run(w);
    bp_free(w->releases);
    bp_free(w->entries);
    bp_free(w);
    if (bp_failed(r)) {
        ret->good = false;
    }
    return r;
}
