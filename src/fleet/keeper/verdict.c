/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/verdict - an appraisal becomes a verdict: judged by the policy in force, bound at first
 * contact, written as a result and signed.
 *
 * The appraisal says what the evidence proves; the policy says whether that is enough. Together they
 * can only take away: no policy makes more of an appraisal than it is. */
#include "fleet/keeper/attest.h"

#include "codec/cose.h"
#include "fleet/api/judge.h"

#define BP_MODULE    PROC

#define BATCH_MAX    64u          /* results in one message to the log signer */
#define BATCH_BYTES  (2u << 20)
#define PAYLOAD_MAX  (32u << 10)

/* -- policy ---------------------------------------------------------------------------------------- */
static void judge(struct bp_keeper *k, struct bp_attest *x)
{
    const struct bp_judge_facts facts = {.as_of_ms = x->issued_ms,
                                         .age_ms = bp_k_now(k) - x->issued_ms,
                                         .zone = x->place.zone,
                                         .model = x->place.model,
                                         .site = x->place.site,
                                         .root_class = x->root_class,
                                         .state = x->state};
    struct bp_judgement j;
    memcpy(x->policy, k->policy_digest, sizeof x->policy);
    bp_judge(k->has_policy ? k->cfg.policy : NULL, &x->a, &facts, &j);
    x->tier = j.tier;
    x->grants = j.grants && !bp_k_is_recovering(k);
    x->actions = j.answer.actions;
    memcpy(x->rules, j.answer.rules, sizeof x->rules);
    bp_k_text(j.reason, x->reason, sizeof x->reason);
}

/* -- the result ------------------------------------------------------------------------------------ */
static void policy_text(const uint8_t digest[BP_DIGEST_SIZE], char ret[72])
{
    static const char hex[] = "0123456789abcdef";
    memcpy(ret, "sha256:", 7);
    for (size_t i = 0; i < BP_DIGEST_SIZE; i++) {
        ret[7 + 2 * i] = hex[digest[i] >> 4];
        ret[8 + 2 * i] = hex[digest[i] & 15];
    }
    ret[71] = 0;
}

static void ear_findings(const struct bp_attest *x, struct bp_ear *ear)
{
    for (uint32_t i = 0; i < x->a.findings && i < BP_EAR_FINDINGS_MAX; i++) {
        const struct bp_finding_row row = bp_finding_row(x->a.finding[i].id);
        ear->finding[ear->findings++] = (struct bp_ear_finding){
            bp_span_cstr(row.code), bp_effect_tier(row.effect), x->a.finding[i].text};
    }
}

/* Only keys that the verdict vouches for are named: the CA signer issues for no other. */
static void ear_keys(const struct bp_attest *x, struct bp_ear *ear)
{
    for (uint32_t i = 0; x->grants && i < x->a.keys && i < BP_EAR_KEYS_MAX; i++) {
        ear->key[ear->keys++] = BP_SPAN_OF(x->a.key[i]);
    }
}

static bp_result write_result(struct bp_keeper *k, struct bp_attest *x)
{
    char pseudonym[BP_PSEUDONYM_SIZE + 1];
    char policy[72];
    size_t n = 0;
    BP_TRY(bp_registry_pseudonym(&k->registry, bp_attest_id(x), pseudonym));
    struct bp_ear ear = {.iat_s = bp_k_now(k) / 1000,
                         .nonce = BP_SPAN_OF(x->nonce),
                         .profile = BP_SPAN_STR(BP_EAR_PROFILE),
                         .developer = BP_SPAN_STR("bedplate"),
                         .build = bp_span_cstr(k->cfg.version),
                         .status = x->tier,
                         .pseudonym = bp_span_cstr(pseudonym),
                         .device_id = bp_attest_id(x),
                         .evidence_digest = BP_SPAN_OF(x->evidence),
                         .references_digest = BP_SPAN_OF(x->a.references_digest),
                         .as_of_ms = x->issued_ms,
                         .reason = bp_span_cstr(x->reason)};
    for (unsigned i = 0; i < BP_AR_COUNT; i++) {
        ear.vector[i] = x->a.vector[i];
        ear.has_vector |= (uint8_t)(x->a.vector[i] != 0 ? 1u << i : 0u);
    }
    if (k->has_policy) {
        policy_text(x->policy, policy);
        ear.policy_id = bp_span_cstr(policy);
        ear.policy_digest = BP_SPAN_OF(x->policy);
    }
    ear_keys(x, &ear);
    ear_findings(x, &ear);
    BP_TRY(bp_ear_write(&ear, k->room, PAYLOAD_MAX, &n));
    x->payload = bp_k_copy(bp_span_of(k->room, n));
    x->payload_n = n;
    return x->payload == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
}

/* -- signing --------------------------------------------------------------------------------------- */
struct batch {
    struct bp_keeper *k;
    struct bp_job *first; /* by `later` */
    size_t count;
};

static void sign_more(struct bp_keeper *k);

static void signed_one(struct bp_job *j, bp_span signed_)
{
    struct bp_attest *x = bp_attest_of(j);
    x->ear = bp_k_copy(signed_);
    x->ear_n = signed_.n;
    if (x->ear == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    bp_k_record(j);
}

static void on_signed(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct batch *b = arg;
    struct bp_keeper *k = b->k;
    struct bp_job *j = b->first;
    struct bp_msg_results *m = bp_alloc(sizeof *m);
    k->batch = NULL;
    if (!bp_failed(r) && status == 0 &&
        (m == NULL || bp_failed(bp_msg_results_read(body, m)) || m->count != b->count)) {
        r = BP_FAIL(CLOSED);
    }
    for (size_t i = 0; j != NULL; i++) {
        struct bp_job *const next = j->later;
        if (!bp_k_failed_call(j, r, status)) {
            signed_one(j, m->item[i]);
        }
        j = next;
    }
    bp_free(m);
    bp_free(b);
    sign_more(k);
}

static struct batch *take_batch(struct bp_keeper *k, struct bp_msg_results *m)
{
    struct batch *b = bp_alloc(sizeof *b);
    struct bp_job **end = NULL;
    size_t bytes = 0;
    if (b == NULL) {
        return NULL;
    }
    b->k = k;
    end = &b->first;
    while (k->signing != NULL && b->count < BATCH_MAX && bytes < BATCH_BYTES) {
        struct bp_job *j = k->signing;
        const struct bp_attest *x = bp_attest_of(j);
        k->signing = j->later;
        j->later = NULL;
        *end = j;
        end = &j->later;
        m->item[b->count++] = bp_span_of(x->payload, x->payload_n);
        bytes += x->payload_n;
    }
    if (k->signing == NULL) {
        k->signing_end = &k->signing;
    }
    m->count = b->count;
    return b;
}

static void refuse_jobs(struct bp_job *j, bp_result r)
{
    while (j != NULL) {
        struct bp_job *const next = j->later;
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        j = next;
    }
}

static void refuse_waiting(struct bp_keeper *k)
{
    struct bp_job *first = k->signing;
    k->signing = NULL;
    k->signing_end = &k->signing;
    refuse_jobs(first, BP_FAIL(NO_MEMORY));
}

static void sign_more(struct bp_keeper *k)
{
    size_t n = 0;
    while (k->signing != NULL && k->batch == NULL) {
        struct bp_msg_results *m = bp_alloc(sizeof *m);
        struct batch *b = m == NULL ? NULL : take_batch(k, m);
        if (b == NULL) {
            bp_free(m);
            refuse_waiting(k);
            return;
        }
        bp_result r = bp_msg_results_write(m, k->out, BP_MSG_BODY_MAX, &n);
        bp_free(m);
        if (!bp_failed(r)) {
            r = k->port.call(k->port.self, BP_TO_SIGNER_LOG, "sign-results", bp_span_of(k->out, n),
                             BP_K_CALL_MS, on_signed, b);
        }
        if (bp_failed(r)) {
            refuse_jobs(b->first, r);
            bp_free(b);
        } else {
            k->batch = b;
        }
    }
}

static void sign(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    const bp_result r = write_result(k, bp_attest_of(j));
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    j->later = NULL;
    *k->signing_end = j;
    k->signing_end = &j->later;
    sign_more(k);
}

/* -- first contact: the CA signer binds the AK to the chip it activated ------------------------------ */
static void on_bound(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct bp_attest *x = bp_attest_of(j);
    bp_span object = BP_SPAN_EMPTY;
    if (!bp_failed(r) && status != 0) {
        bp_k_note_refusal(j, BP_EV_CONTACT_REFUSED, NULL,
                          bp_problem_row((enum bp_problem)status).title);
    }
    if (bp_k_failed_call(j, r, status)) {
        return;
    }
    r = bp_msg_bytes_read(body, &object);
    if (!bp_failed(r)) {
        x->binding_object = bp_k_copy(object);
        x->binding_object_n = object.n;
    }
    if (x->binding_object == NULL) {
        bp_k_refuse(j, BP_P_INTERNAL, NULL);
        return;
    }
    sign(j);
}

static void bind(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    const struct bp_attest *x = bp_attest_of(j);
    struct bp_msg_bind m = {.device_id = BP_SPAN_OF(x->contact.chip),
                            .ak_name = BP_SPAN_OF(x->contact.ak_name),
                            .proof = x->a.activation};
    bp_span public_ = BP_SPAN_EMPTY;
    size_t n = 0;
    bp_result r = x->device != 0 ? bp_store_ak(k->store, x->device, &public_, &m.before) : BP_OK;
    if (!bp_failed(r)) {
        r = bp_msg_bind_write(&m, k->out, BP_MSG_BODY_MAX, &n);
    }
    if (!bp_failed(r)) {
        r = k->port.call(k->port.self, BP_TO_SIGNER_CA, "bind", bp_span_of(k->out, n), BP_K_CALL_MS,
                         on_bound, j);
    }
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}

/* -- the appraiser's answer -------------------------------------------------------------------------- */
static void refuse_appraised(struct bp_job *j)
{
    struct bp_attest *x = bp_attest_of(j);
    struct bp_device d = {0};
    char line[BP_K_DETAIL_MAX];
    bp_wr w = bp_wr_over(line, sizeof line - 1);
    const bool known = x->device != 0 && !bp_failed(bp_store_device_by_n(j->k->store, x->device, &d));
    if (x->a.findings > 0) {
        bp_wr_bytes(&w, bp_span_cstr(bp_finding_row(x->a.finding[0].id).code));
        bp_wr_bytes(&w, BP_SPAN_STR(": "));
    }
    bp_wr_bytes(&w, bp_span_sub(x->a.reason, 0, x->a.reason.n < 400 ? x->a.reason.n : 400));
    line[bp_wr_span(&w).n] = 0;
    bp_k_text(bp_span_cstr(line), line, sizeof line);
    bp_k_refuse_evidence(j, known ? &d : NULL, BP_P_EVIDENCE, line);
}

void bp_k_appraised(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    if (bp_k_failed_call(j, r, status)) {
        return;
    }
    x->object = bp_k_copy(body);
    x->object_n = body.n;
    r = x->object == NULL ? BP_FAIL(NO_MEMORY)
                          : bp_appraisal_read(bp_span_of(x->object, x->object_n), &x->a);
    if (!bp_failed(r) && memcmp(x->a.evidence_digest, x->evidence, sizeof x->evidence) != 0) {
        r = BP_FAIL(MISMATCH); /* an answer to something else */
    }
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_is(r, BP_E_NO_MEMORY) ? BP_P_BUSY : BP_P_INTERNAL, NULL);
        return;
    }
    if (!x->a.accepted) {
        refuse_appraised(j);
        return;
    }
    judge(k, x);
    if (x->first) {
        bind(j);
    } else {
        sign(j);
    }
}
