/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/attest - evidence arrives: whose it is, over which channel, for which nonce. */
#include "fleet/keeper/attest.h"

#include "codec/cose.h"
#include "codec/x509.h"
#include "core/tpmkey.h"
#include "fleet/registry/expected.h"

#define BP_MODULE PROC

uint8_t *bp_k_copy(bp_span v)
{
    uint8_t *p = bp_alloc(v.n);
    if (p != NULL && v.n > 0) {
        memcpy(p, v.p, v.n);
    }
    return p;
}

static void free_attest(void *flow)
{
    struct bp_attest *x = flow;
    bp_free(x->contact.info);
    bp_free(x->binding_object);
    bp_free(x->object);
    bp_free(x->payload);
    bp_free(x->ear);
    if (x->outer_free != NULL) {
        x->outer_free(x->outer);
    }
    bp_free(x);
}

void bp_k_attest_end(struct bp_job *j)
{
    struct bp_attest *x = bp_attest_of(j);
    j->flow = x->outer;
    j->flow_free = x->outer_free;
    x->outer_free = NULL;
    j->has_nonce = false; /* its number is spent */
    free_attest(x);
}

static struct bp_attest *new_attest(struct bp_job *j, bool first, bp_span body)
{
    struct bp_attest *x = bp_alloc(sizeof *x);
    if (x != NULL) {
        x->first = first;
        x->body = body;
        x->outer = j->flow;
        x->outer_free = j->flow_free;
        j->flow = x;
        j->flow_free = free_attest;
    }
    return x;
}

void bp_k_refuse_evidence(struct bp_job *j, const struct bp_device *d, enum bp_problem problem,
                          const char *reason)
{
    const struct bp_problem_row row = bp_problem_row(problem);
    bp_k_note_refusal(j, BP_EV_EVIDENCE_REFUSED, d, reason == NULL ? row.title : reason);
    bp_k_refuse(j, problem, reason);
}

/* -- to the appraiser ------------------------------------------------------------------------------ */
/* The attestation key as its binding names it; before there is one, as the CA signer named it for the contact. */
struct attester {
    bp_span ak;
    uint32_t parents;
    bp_span qualified[BP_AKBINDING_EKS_MAX];
};

static bp_result send_appraise(struct bp_job *j, bp_span ldevid, const struct attester *by, bp_span state)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    size_t n = 0;
    x->at_ms = bp_k_now(k);
    struct bp_appraise_request q = {.evidence = x->body,
                                    .nonce = BP_SPAN_OF(x->nonce),
                                    .device_id = BP_SPAN_OF(x->id),
                                    .ldevid = ldevid,
                                    .binding = BP_SPAN_OF(x->binding),
                                    .ak = by->ak,
                                    .state = state,
                                    .as_of_ms = x->issued_ms,
                                    .now_ms = x->at_ms,
                                    .zone = bp_span_cstr(x->place.zone),
                                    .activation = x->first,
                                    .root_class = bp_span_cstr(x->root_class),
                                    .parents = by->parents};
    memcpy(q.qualified, by->qualified, sizeof q.qualified);
    BP_TRY(bp_appraise_request_write(&q, k->out, BP_MSG_BODY_MAX, &n));
    return k->port.call(k->port.self, BP_TO_APPRAISER, "appraise", bp_span_of(k->out, n),
                        BP_K_CALL_MS, bp_k_appraised, j);
}

/* The state that the last accepted evidence left, copied: the next call on the store takes it away.
 * One that is gone (kept for a year) counts as none: the device is asked for its logs again. */
static bp_result state_of(struct bp_keeper *k, struct bp_attest *x, const struct bp_trust *t,
                          uint8_t **ret, size_t *ret_n)
{
    bp_span v = BP_SPAN_EMPTY;
    *ret = NULL;
    *ret_n = 0;
    if (!t->has_state) {
        return BP_OK;
    }
    const bp_result got = bp_store_blob(k->store, BP_SPAN_OF(t->state_digest), &v);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    *ret = bp_k_copy(v);
    if (*ret == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    *ret_n = v.n;
    x->has_state = true;
    memcpy(x->state_digest, t->state_digest, sizeof x->state_digest);
    return BP_OK;
}

/* Whether the device's AK in force is this one. */
static bool is_ak(struct bp_keeper *k, int64_t device, bp_span ak)
{
    bp_span public_ = BP_SPAN_EMPTY;
    bp_span binding = BP_SPAN_EMPTY;
    return !bp_failed(bp_store_ak(k->store, device, &public_, &binding)) &&
           bp_span_equal(public_, ak);
}

/* What the store's binding says; `room` keeps it over the next call on the store. Who signed it is not looked at again:
 * the store is ours, and the CA signer verifies it before each certificate. */
static bp_result bound_attester(struct bp_keeper *k, int64_t device, uint8_t room[BP_AKBINDING_SIGNED],
                                struct attester *ret)
{
    bp_span public_ = BP_SPAN_EMPTY;
    bp_span object = BP_SPAN_EMPTY;
    struct bp_cose_sign1 msg;
    struct bp_akbinding b;
    BP_TRY(bp_store_ak(k->store, device, &public_, &object));
    if (object.n > BP_AKBINDING_SIGNED) {
        return BP_FAIL(INTERNAL);
    }
    memcpy(room, object.p, object.n);
    BP_TRY(bp_cose_sign1_read(bp_span_of(room, object.n), &msg));
    BP_TRY(bp_akbinding_read(msg.payload, &b));
    ret->ak = b.ak;
    ret->parents = b.eks;
    memcpy(ret->qualified, b.qualified, sizeof ret->qualified);
    return BP_OK;
}

static bp_result appraise_device(struct bp_job *j, const struct bp_trust *t)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    uint8_t *state = NULL;
    size_t state_n = 0;
    uint8_t room[BP_AKBINDING_SIGNED];
    struct attester by = {0};
    BP_TRY(bound_attester(k, x->device, room, &by));
    BP_TRY(state_of(k, x, t, &state, &state_n));
    const bp_result r = send_appraise(j, BP_SPAN_OF(x->ldevid), &by, bp_span_of(state, state_n));
    bp_free(state);
    return r;
}

static bp_result appraise_first(struct bp_job *j, const struct bp_trust *t)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    uint8_t *state = NULL;
    size_t state_n = 0;
    struct attester by = {.ak = bp_span_of(x->contact.ak, x->contact.ak_n), .parents = (uint32_t)x->contact.ek_count};
    for (size_t i = 0; i < x->contact.ek_count; i++) {
        by.qualified[i] = BP_SPAN_OF(x->contact.qualified[i]);
    }
    if (x->device != 0 && is_ak(k, x->device, by.ak)) {
        BP_TRY(state_of(k, x, t, &state, &state_n));
    }
    const bp_result r = send_appraise(j, BP_SPAN_EMPTY, &by, bp_span_of(state, state_n));
    bp_free(state);
    return r;
}

/* -- number and nonce ------------------------------------------------------------------------------ */
/* Takes number and time from the evidence and recomputes its nonce. NONE, or the problem. */
static enum bp_problem take_nonce(struct bp_job *j, const struct bp_evidence *ev,
                                  const struct bp_trust *t, int64_t until_ms)
{
    struct bp_attest *x = bp_attest_of(j);
    if (ev->about.issued_ms > INT64_MAX) {
        return BP_P_NONCE;
    }
    x->seq = ev->about.seq;
    x->issued_ms = (int64_t)ev->about.issued_ms;
    x->base_seq = t->seq;
    if (x->seq <= t->seq) {
        return BP_P_REPLAYED;
    }
    if (x->seq > t->seq + 1) {
        return BP_P_NONCE; /* never issued */
    }
    const enum bp_problem age = bp_k_nonce_age(j->k, x->issued_ms, until_ms);
    if (age != BP_P_NONE) {
        return age;
    }
    return bp_failed(bp_k_nonce(j->k, bp_attest_id(x), x->seq, x->issued_ms, x->nonce))
               ? BP_P_INTERNAL
               : BP_P_NONE;
}

static int64_t plus(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Until when evidence over this nonce is taken: short for acts that grant. */
static int64_t answers_until(const struct bp_evidence *ev, const struct bp_trust *t)
{
    const int64_t issued = (int64_t)(ev->about.issued_ms & INT64_MAX);
    if (ev->keys > 0) {
        return plus(issued, BP_KEEPER_GRANT_MS);
    }
    const int64_t due = t->due_ms > issued ? t->due_ms : issued;
    return plus(due, BP_KEEPER_LATE_MS);
}

static bp_result digest_of(struct bp_job *j)
{
    return bp_hash(j->k->crypto, BP_HASH_SHA256, bp_attest_of(j)->body, bp_attest_of(j)->evidence);
}

static void refuse_reading(struct bp_job *j, const struct bp_device *d, bp_result r)
{
    bp_k_refuse_evidence(j, d, bp_is(r, BP_E_LIMIT) ? BP_P_TOO_LARGE : bp_k_problem_of(r),
                         "the evidence is not well formed");
}

/* -- over the device listener ---------------------------------------------------------------------- */
static void remember(struct bp_attest *x, const struct bp_device *d)
{
    x->device = d->n;
    x->state = d->state;
    x->place = d->place;
    memcpy(x->id, d->id, sizeof x->id);
    memcpy(x->root_class, d->issuer_class, sizeof x->root_class);
}

/* The device listener binds evidence to its connection. The enrol listener does not: it speaks TLS 1.2 too, with clients that
 * cannot export. There the client's key stands in the evidence, a minute's nonce, and in a request the key that it is about. */
static bool is_bound(const struct bp_job *j)
{
    return bp_span_equal(j->q.listener, BP_SPAN_STR("device")) && !j->k->cfg.device_binding_zero;
}

/* Whether the one key that the evidence names is this one. */
static bool is_about(struct bp_keeper *k, const struct bp_evidence *ev, bp_span key)
{
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey numbers;
    uint8_t spki[BP_SPKI_MAX];
    uint8_t hash[BP_DIGEST_SIZE];
    size_t n = 0;
    return ev->keys == 1 && !bp_failed(bp_tpm_public_read(ev->key[0].public_area, &pub)) &&
           !bp_failed(bp_tpm_pubkey(&pub, &room, &numbers)) && !bp_failed(bp_spki_write(&numbers, spki, sizeof spki, &n)) &&
           !bp_failed(bp_hash(k->crypto, BP_HASH_SHA256, bp_span_of(spki, n), hash)) &&
           bp_span_equal(BP_SPAN_OF(hash), key);
}

/* key: the one that a request is about; empty: the evidence came by itself. */
static void attest_device(struct bp_job *j, const struct bp_device *d, const struct bp_trust *t, bp_span key)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    struct bp_evidence ev;
    bp_k_with_nonce(j, BP_SPAN_OF(d->id), t->seq + 1, 0);
    bp_result r = bp_evidence_read(x->body, &ev);
    if (bp_failed(r)) {
        refuse_reading(j, d, r);
        return;
    }
    if (key.n > 0 && !is_about(k, &ev, key)) {
        bp_k_refuse_evidence(j, d, BP_P_ATTESTATION, "the evidence is not about the key of the request, and only that");
        return;
    }
    if (!bp_span_equal(ev.about.device_id, BP_SPAN_OF(d->id))) {
        bp_k_refuse_evidence(j, d, BP_P_WRONG_DEVICE, NULL);
        return;
    }
    if (is_bound(j) && j->q.exporter.n != BP_DIGEST_SIZE) {
        bp_k_refuse_evidence(j, d, BP_P_EVIDENCE, "the connection cannot be bound to the evidence");
        return;
    }
    r = digest_of(j);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    /* Within a request a number serves once: whoever lost the certificate asks for it again without evidence. */
    if (x->then == NULL && bp_k_same_answer(j, d, t, ev.about.seq, BP_SPAN_OF(x->evidence))) {
        return;
    }
    const enum bp_problem problem = take_nonce(j, &ev, t, answers_until(&ev, t));
    if (problem != BP_P_REPLAYED && bp_k_is_before_jump(k, (int64_t)(ev.about.issued_ms & INT64_MAX))) {
        bp_k_refuse(j, BP_P_NONCE_EXPIRED, "the server's clock was set since the nonce was issued");
        return; /* no event: the jump has one */
    }
    if (problem != BP_P_NONE) {
        bp_k_refuse_evidence(j, d, problem, NULL);
        return;
    }
    if (is_bound(j)) {
        memcpy(x->binding, j->q.exporter.p, sizeof x->binding);
    }
    memcpy(x->ldevid, j->q.peer_spki.p, sizeof x->ldevid);
    r = appraise_device(j, t);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}

void bp_k_attest_within(struct bp_job *j, const struct bp_device *d, bp_span evidence, bp_span key, bp_job_fn *then)
{
    struct bp_trust t = {0};
    struct bp_attest *x = new_attest(j, false, evidence);
    if (x == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    x->then = then;
    remember(x, d);
    const bp_result r = bp_store_trust(j->k->store, d->n, &t);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    attest_device(j, d, &t, key);
}

void bp_k_attest_device(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct bp_trust t = {0};
    enum bp_problem problem = BP_P_NONE;
    struct bp_attest *x = new_attest(j, false, j->q.body);
    if (x == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    bp_result r = bp_registry_device_of_key(&k->registry, j->q.peer_spki, &d, &problem);
    if (!bp_failed(r)) {
        remember(x, &d);
        r = bp_store_trust(k->store, d.n, &t);
    }
    if (bp_failed(r)) {
        if (problem != BP_P_NONE) {
            bp_k_refuse_evidence(j, NULL, problem, NULL);
        } else {
            bp_k_refuse(j, bp_k_problem_of(r), NULL);
        }
        return;
    }
    attest_device(j, &d, &t, BP_SPAN_EMPTY);
}

/* -- first contact --------------------------------------------------------------------------------- */
/* The zone whose releases and policy judge it: its own, the one it is invited into, or the one that its maker's batch was
 * imported for. A device that is ours already and kept its key stays where it is, whatever it brings (registry, contact). */
static bp_result place_of(struct bp_keeper *k, struct bp_attest *x, enum bp_problem *ret_problem)
{
    const struct bp_k_contact *c = &x->contact;
    const bp_span ak = bp_span_of(c->ak, c->ak_n);
    const bool is_new = x->device == 0 || x->state == BP_ST_WAITING;
    char by[BP_NAME_MAX + 1];
    struct bp_expected unit;
    if (!is_new && is_ak(k, x->device, ak)) {
        return BP_OK;
    }
    if (c->code[0] != 0) {
        return bp_registry_invited(&k->registry, bp_span_cstr(c->code), x->device, &x->place, ret_problem);
    }
    if (!is_new) { /* a key of a unit may be shown without the others by whoever is a device here */
        return BP_OK;
    }
    const bp_result announced = bp_registry_expected(&k->registry, c->ek, c->ek_count, &unit, ret_problem);
    if (bp_failed(announced) && !bp_is(announced, BP_E_NOT_FOUND)) {
        return announced;
    }
    if (x->device == 0) { /* unknown: a chain of ownership may say that it is ours */
        const bp_result owned = bp_registry_owned(&k->registry, BP_SPAN_OF(x->id), &x->place, by);
        if (!bp_is(owned, BP_E_NOT_FOUND)) {
            return owned;
        }
    }
    if (!bp_failed(announced) && unit.device == 0) {
        x->place = unit.place;
    }
    return BP_OK;
}

/* A refusal keeps the contact: its nonce is renewed, and with it the contact's name. */
static void renew_contact(struct bp_job *j, struct bp_k_contact *c)
{
    struct bp_keeper *k = j->k;
    c->issued_ms = bp_k_now(k);
    while (bp_k_contact_of(k, BP_SPAN_OF(c->id), c->issued_ms) != c) {
        c->issued_ms++;
    }
    bp_k_with_nonce(j, BP_SPAN_OF(c->id), c->seq, c->issued_ms);
}

static void attest_contact(struct bp_job *j, const struct bp_evidence *ev, const struct bp_device *d,
                           const struct bp_trust *t, struct bp_k_contact *c)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    enum bp_problem problem =
        take_nonce(j, ev, t, plus((int64_t)(ev->about.issued_ms & INT64_MAX), BP_KEEPER_CONTACT_MS));
    if (problem == BP_P_NONE && ev->keys == 0) {
        problem = BP_P_EVIDENCE;
    }
    if (problem != BP_P_NONE) {
        c->seq = t->seq + 1;
        renew_contact(j, c);
        bp_k_refuse_evidence(j, d, problem,
                             problem == BP_P_EVIDENCE ? "first contact needs a key" : NULL);
        return;
    }
    bp_k_contact_take(k, c, &x->contact);
    memcpy(x->root_class, x->contact.issuer_class, sizeof x->root_class);
    bp_result r = place_of(k, x, &problem);
    if (!bp_failed(r)) {
        r = appraise_first(j, t);
    }
    if (bp_failed(r)) {
        const enum bp_problem why = problem != BP_P_NONE ? problem : bp_k_problem_of(r);
        if (problem != BP_P_NONE) {
            bp_k_note_refusal(j, BP_EV_CONTACT_REFUSED, d, bp_problem_row(why).title);
        }
        bp_k_refuse(j, why, NULL);
    }
}

static void attest_first(struct bp_job *j, const struct bp_evidence *ev)
{
    struct bp_keeper *k = j->k;
    struct bp_attest *x = bp_attest_of(j);
    struct bp_device d = {0};
    struct bp_trust t = {0};
    memcpy(x->id, ev->about.device_id.p, sizeof x->id);
    bp_result r = digest_of(j);
    if (!bp_failed(r)) {
        r = bp_store_device_by_id(k->store, ev->about.device_id, &d);
    }
    const bool known = !bp_failed(r);
    if (known) {
        remember(x, &d);
        r = bp_store_trust(k->store, d.n, &t);
    }
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    if (known && bp_registry_may(d.state, BP_OP_ATTEST) != BP_P_NONE && !bp_registry_may_return(&k->registry, &d)) {
        bp_k_refuse_evidence(j, &d, BP_P_REVOKED, NULL);
        return;
    }
    if (known && bp_k_same_answer(j, &d, &t, ev->about.seq, BP_SPAN_OF(x->evidence))) {
        return;
    }
    struct bp_k_contact *c = bp_k_contact_of(k, ev->about.device_id,
                                             (int64_t)(ev->about.issued_ms & INT64_MAX));
    if (c == NULL || ev->about.activation.n == 0) {
        bp_k_refuse_evidence(j, known ? &d : NULL, BP_P_ACTIVATION, NULL);
        return;
    }
    attest_contact(j, ev, known ? &d : NULL, &t, c);
}

void bp_k_attest_first(struct bp_job *j)
{
    struct bp_evidence ev;
    if (new_attest(j, true, j->q.body) == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    const bp_result r = bp_evidence_read(j->q.body, &ev);
    if (bp_failed(r)) {
        refuse_reading(j, NULL, r);
        return;
    }
    attest_first(j, &ev);
}
