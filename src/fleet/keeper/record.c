/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/record - one act writes everything that a verdict changes: the event, the verdict with
 * what it rests on, the device's trust, the keys it vouches for, and what the rules ask for. The
 * number of the evidence is spent in the same act, so it is accepted once and a crash spends it with
 * the verdict or not at all. */
#include "fleet/keeper/attest.h"

#include "codec/device.h"
#include "codec/x509.h"
#include "core/renewal.h"
#include "fleet/store/crash.h"

#define BP_MODULE PROC

struct record {
    struct bp_job *j;
    struct bp_device d;
    struct bp_trust t;      /* before, then after */
    struct bp_trust before;
    enum bp_problem problem; /* why it was DENIED */
    uint64_t number;
    bool is_same; /* the same evidence was stored meanwhile */
    uint8_t ear_digest[BP_DIGEST_SIZE];
    uint8_t new_state[BP_DIGEST_SIZE];
};

static bp_result deny(struct record *w, enum bp_problem problem)
{
    w->problem = problem;
    return BP_FAIL(DENIED);
}

/* -- who ------------------------------------------------------------------------------------------- */
static bp_result contact(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    const struct bp_k_contact *c = &x->contact;
    struct bp_contact in = {.id = bp_attest_id(x),
                            .ek = c->ek,
                            .ek_count = c->ek_count,
                            .ak_public = bp_span_of(c->ak, c->ak_n),
                            .binding = bp_span_of(x->binding_object, x->binding_object_n),
                            .issuer_class = bp_span_cstr(c->issuer_class),
                            .kind = bp_span_cstr(c->kind),
                            .source = w->j->q.source,
                            .info = bp_span_of(c->info, c->info_n),
                            .code = bp_span_cstr(c->code)};
    memcpy(in.ak_name, c->ak_name + 2, sizeof in.ak_name);
    return bp_registry_contact(&k->registry, &in, &w->d, &w->problem);
}

static bp_result find(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    if (x->first) {
        BP_TRY(contact(w));
    } else {
        BP_TRY(bp_store_device_by_n(k->store, x->device, &w->d));
        const enum bp_problem may = bp_registry_may(w->d.state, BP_OP_ATTEST);
        if (may != BP_P_NONE) {
            return deny(w, may);
        }
    }
    BP_TRY(bp_store_trust(k->store, w->d.n, &w->t));
    w->before = w->t;
    return BP_OK;
}

/* What was decided on may have changed since: another evidence of the device was faster, an operator
 * moved it. Then this verdict is about a device that is no longer there, and the device asks again. */
static bp_result still_true(struct record *w)
{
    const struct bp_attest *x = bp_attest_of(w->j);
    if (x->seq <= w->t.seq) {
        w->is_same = true;
        return deny(w, BP_P_REPLAYED);
    }
    const bool moved = w->t.seq != x->base_seq || strcmp(w->d.place.zone, x->place.zone) != 0;
    return moved ? deny(w, BP_P_BUSY) : BP_OK;
}

/* -- what ------------------------------------------------------------------------------------------ */
static struct bp_event_detail bytes_of(bp_span key, const uint8_t *v)
{
    return (struct bp_event_detail){key, BP_VAL_BYTES, 0, bp_span_of(v, BP_DIGEST_SIZE)};
}

static struct bp_event_detail int_of(bp_span key, int64_t v)
{
    return (struct bp_event_detail){key, BP_VAL_INT, v, BP_SPAN_EMPTY};
}

static struct bp_event_detail text_of(bp_span key, const char *v)
{
    return (struct bp_event_detail){key, BP_VAL_TEXT, 0, bp_span_cstr(v)};
}

/* The verdict event names by digest everything that a bundle carries (docs/protocol/bundle.md). */
static bp_result append_verdict(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    struct bp_event e = {.time_ms = bp_k_now(k),
                         .type = BP_EV_VERDICT,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = BP_SPAN_STR("keeper"),
                         .device = bp_span_cstr(w->d.pseudonym)};
    size_t n = 0;
    e.detail[n++] = text_of(BP_SPAN_STR("reason"), x->reason);
    e.detail[n++] = int_of(BP_SPAN_STR("tier"), x->tier);
    e.detail[n++] = int_of(BP_SPAN_STR("seq"), (int64_t)x->seq);
    e.detail[n++] = int_of(BP_SPAN_STR("as_of_ms"), x->issued_ms);
    e.detail[n++] = int_of(BP_SPAN_STR("at_ms"), x->at_ms);
    e.detail[n++] = text_of(BP_SPAN_STR("zone"), x->place.zone);
    e.detail[n++] = bytes_of(BP_SPAN_STR("ear"), w->ear_digest);
    e.detail[n++] = bytes_of(BP_SPAN_STR("evidence"), x->evidence);
    e.detail[n++] = bytes_of(BP_SPAN_STR("references"), x->a.references_digest);
    e.detail[n++] = bytes_of(BP_SPAN_STR("policy"), x->policy);
    if (x->has_state) {
        e.detail[n++] = bytes_of(BP_SPAN_STR("state"), x->state_digest);
    }
    if (x->rules[0] != 0) {
        e.detail[n++] = text_of(BP_SPAN_STR("rules"), x->rules);
    }
    e.detail_count = n;
    return bp_log_append(&k->log, &e, w->d.n, &w->d.place, &w->number);
}

static bp_result add_verdict(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    const int64_t now = bp_k_now(k);
    struct bp_verdict_row v = {.event = w->number,
                               .device = w->d.n,
                               .seq = x->seq,
                               .as_of_ms = x->issued_ms,
                               .at_ms = now,
                               .tier = x->tier,
                               .place = w->d.place,
                               .ear = bp_span_of(x->ear, x->ear_n),
                               .appraisal = bp_span_of(x->object, x->object_n)};
    memcpy(v.reason, x->reason, sizeof v.reason);
    memcpy(v.evidence, x->evidence, sizeof v.evidence);
    memcpy(v.policy, x->policy, sizeof v.policy);
    memcpy(v.references, x->a.references_digest, sizeof v.references);
    memcpy(v.state, x->state_digest, sizeof v.state);
    memcpy(v.nonce, x->nonce, sizeof v.nonce);
    memcpy(v.binding, x->binding, sizeof v.binding);
    BP_TRY(bp_store_verdict_add(k->store, &v));
    BP_CRASH("keeper.verdict-without-evidence");
    BP_TRY(bp_store_blob_put(k->store, BP_BLOB_EVIDENCE, BP_SPAN_OF(x->evidence), x->body, now));
    return bp_store_blob_put(k->store, BP_BLOB_STATE, BP_SPAN_OF(w->new_state), x->a.state, now);
}

/* The schedule is jittered, so that devices that started together do not stay together. */
static int64_t next_due(struct bp_keeper *k)
{
    uint8_t chance[2];
    if (bp_failed(bp_random(&k->entropy, chance, sizeof chance))) {
        return k->interval_ms;
    }
    const int64_t part = ((int64_t)chance[0] << 8 | chance[1]) % 201 - 100; /* -10 % .. +10 % */
    return k->interval_ms + k->interval_ms * part / 1000;
}

static bp_result set_trust(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    const int64_t now = bp_k_now(k);
    w->t.seq = x->seq;
    w->t.as_of_ms = x->issued_ms;
    w->t.heard_ms = now;
    w->t.due_ms = now + next_due(k) + k->grace_ms;
    w->t.silent = false;
    w->t.tier = x->tier;
    memcpy(w->t.reason, x->reason, sizeof w->t.reason);
    w->t.verdict = w->number;
    memcpy(w->t.ldevid, x->first && x->a.keys > 0 ? x->a.key[0] : x->ldevid, sizeof w->t.ldevid);
    w->t.has_state = true;
    memcpy(w->t.state_digest, w->new_state, sizeof w->t.state_digest);
    w->t.has_boot_log = x->a.has_log;
    memcpy(w->t.boot_log, x->a.held_log, sizeof w->t.boot_log);
    w->t.ima_count = x->a.held_ima;
    return bp_store_trust_set(k->store, w->d.n, &w->t);
}

static bool is_trusted(uint8_t tier)
{
    return tier == BP_TIER_AFFIRMING || tier == BP_TIER_WARNING;
}

static bp_result tell_trust(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_event_detail detail[] = {
        text_of(BP_SPAN_STR("reason"), w->t.reason), int_of(BP_SPAN_STR("tier"), w->t.tier),
        int_of(BP_SPAN_STR("verdict"), (int64_t)w->number)};
    const bool was = is_trusted(w->before.tier);
    const bool is = is_trusted(w->t.tier);
    if (w->before.silent) {
        BP_TRY(bp_k_event(k, BP_EV_DEVICE_HEARD, &w->d, NULL, 0));
    }
    if (is && !was) {
        return bp_k_event(k, BP_EV_TRUST_GAINED, &w->d, detail, 3);
    }
    const bool worse = w->t.tier == BP_TIER_CONTRAINDICATED &&
                       w->before.tier != BP_TIER_CONTRAINDICATED;
    if ((was && !is) || worse) {
        return bp_k_event(k, BP_EV_TRUST_LOST, &w->d, detail, 3);
    }
    return BP_OK;
}

/* A device that waits for approval is known by its keys, so that it is told to wait; approval drops
 * them, and a new verdict in its zone vouches again. */
static bp_result vouch(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    if (!x->grants && w->d.state != BP_ST_WAITING) {
        return x->a.keys > 0 ? bp_store_vouched_drop(k->store, w->d.n) : BP_OK;
    }
    for (uint32_t i = 0; i < x->a.keys && i < BP_EVIDENCE_KEYS_MAX; i++) {
        struct bp_vouched v = {.device = w->d.n,
                               .verdict = w->number,
                               .until_ms = bp_k_now(k) + BP_KEEPER_VOUCH_MS,
                               .first = x->first};
        memcpy(v.spki, x->a.key[i], sizeof v.spki);
        BP_TRY(bp_store_vouch(k->store, &v));
    }
    return BP_OK;
}

/* A rule acts when something changed, not again at each evidence: what a person released since stays
 * released until the device gives a new reason. */
static bp_result act(struct record *w)
{
    const struct bp_attest *x = bp_attest_of(w->j);
    if (w->before.tier == x->tier && strcmp(w->before.reason, x->reason) == 0) {
        return BP_OK;
    }
    return bp_k_actions(w->j->k, &w->d, x->actions, x->reason);
}

static bp_result digests(struct record *w)
{
    struct bp_keeper *k = w->j->k;
    const struct bp_attest *x = bp_attest_of(w->j);
    BP_TRY(bp_hash(k->crypto, BP_HASH_SHA256, bp_span_of(x->ear, x->ear_n), w->ear_digest));
    return bp_hash(k->crypto, BP_HASH_SHA256, x->a.state, w->new_state);
}

static bp_result write_all(void *self)
{
    struct record *w = self;
    struct bp_keeper *k = w->j->k;
    BP_TRY(find(w));
    BP_TRY(still_true(w));
    BP_TRY(digests(w));
    BP_TRY(append_verdict(w));
    BP_CRASH("keeper.event-without-verdict");
    BP_TRY(add_verdict(w));
    BP_TRY(set_trust(w));
    BP_CRASH("keeper.trust-without-events");
    BP_TRY(tell_trust(w));
    BP_TRY(vouch(w));
    if (!bp_attest_of(w->j)->first) {
        BP_TRY(bp_registry_used(&k->registry, &w->d));
    }
    return act(w);
}

/* -- the answer ------------------------------------------------------------------------------------ */
/* The window in which its certificate is to be renewed, and whether its moment in it has come: the same for every asking,
 * and spread, so that a batch of devices does not renew at once (research: expiry waves). */
static void put_renewal(struct bp_keeper *k, const struct bp_device *d, struct bp_answer *a)
{
    struct bp_certificate c = {0};
    bp_span der = BP_SPAN_EMPTY;
    uint16_t lot = 0;
    if (bp_failed(bp_store_cert_of(k->store, d->n, &c, &der)) || c.not_after_ms == INT64_MAX ||
        bp_failed(bp_renewal_lot(k->crypto, BP_SPAN_OF(d->id), bp_span_of(c.serial, c.serial_n), &lot))) {
        return;
    }
    const struct bp_renewal usual =
        bp_renewal_window(c.not_before_ms / 1000, c.not_after_ms / 1000, k->renew_from, k->renew_until);
    const struct bp_renewal w = bp_renewal_resumed(&usual, lot, c.not_after_ms / 1000, bp_k_since_s(k));
    a->has_window = w.from_s >= 0;
    a->renew_from_s = w.from_s;
    a->renew_until_s = w.until_s;
    a->renew = bp_k_now(k) / 1000 >= bp_renewal_at_s(&w, lot);
}

static bp_result write_answer(struct bp_job *j, const struct bp_device *d, const struct bp_trust *t,
                              bp_span ear, size_t *ret_n)
{
    struct bp_keeper *k = j->k;
    uint8_t nonce[BP_DIGEST_SIZE];
    uint8_t head[BP_MSG_HEAD_MAX];
    struct bp_tree_row tree = {0};
    const int64_t now = bp_k_now(k);
    const int64_t left = t->due_ms - k->grace_ms - now;
    BP_TRY(bp_k_nonce(k, BP_SPAN_OF(d->id), t->seq + 1, now, nonce));
    const char *life = bp_k_life(k, d);
    struct bp_answer renewal = {0};
    put_renewal(k, d, &renewal);
    BP_TRY(bp_store_tree(k->store, &tree));
    const size_t head_n = tree.checkpoint.n < sizeof head ? tree.checkpoint.n : 0;
    if (head_n > 0) {
        memcpy(head, tree.checkpoint.p, head_n);
    }
    const struct bp_answer a = {.ear = ear,
                                .nonce = BP_SPAN_OF(nonce),
                                .seq = t->seq + 1,
                                .issued_ms = now,
                                .due_ms = left < 0 ? 0 : (uint32_t)left,
                                .held_log = t->has_boot_log ? BP_SPAN_OF(t->boot_log)
                                                            : BP_SPAN_EMPTY,
                                .held_ima = t->ima_count,
                                .head = bp_span_of(head, head_n),
                                .tier = t->tier,
                                .reason = bp_span_cstr(t->reason),
                                .state = bp_span_cstr(life),
                                .renew = renewal.renew,
                                .time_ms = now,
                                .has_window = renewal.has_window,
                                .renew_from_s = renewal.renew_from_s,
                                .renew_until_s = renewal.renew_until_s,
                                .since_s = bp_k_since_s(k)};
    return bp_answer_write(&a, k->room, BP_K_ROOM, ret_n);
}

static void answer(struct bp_job *j, const struct bp_device *d, const struct bp_trust *t, bp_span ear)
{
    size_t n = 0;
    const bp_result r = write_answer(j, d, t, ear, &n);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_is(r, BP_E_FULL) ? BP_P_STORAGE_FULL : BP_P_INTERNAL, NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(j->k->room, n));
}

bool bp_k_same_answer(struct bp_job *j, const struct bp_device *d, const struct bp_trust *t,
                      uint64_t seq, bp_span evidence_digest)
{
    struct bp_keeper *k = j->k;
    struct bp_verdict_row v = {0};
    if (seq != t->seq || t->seq == 0 || bp_failed(bp_store_verdict(k->store, t->verdict, &v)) ||
        !bp_span_equal(BP_SPAN_OF(v.evidence), evidence_digest)) {
        return false;
    }
    const int64_t age = bp_k_now(k) - v.at_ms;
    if (age < 0 || age > BP_KEEPER_SAME_MS) {
        return false;
    }
    uint8_t *ear = bp_k_copy(v.ear); /* the next call on the store takes the span away */
    if (ear == NULL) {
        return false;
    }
    answer(j, d, t, bp_span_of(ear, v.ear.n));
    bp_free(ear);
    return true;
}

/* The same evidence came twice at once: whoever was second gets what was stored for the first. */
static bool answer_twin(struct record *w)
{
    const struct bp_attest *x = bp_attest_of(w->j);
    struct bp_device d = {0};
    struct bp_trust t = {0};
    if (!w->is_same || x->then != NULL || bp_failed(bp_store_device_by_id(w->j->k->store, bp_attest_id(x), &d)) ||
        bp_failed(bp_store_trust(w->j->k->store, d.n, &t))) {
        return false;
    }
    bp_k_with_nonce(w->j, BP_SPAN_OF(d.id), t.seq + 1, 0);
    return bp_k_same_answer(w->j, &d, &t, x->seq, BP_SPAN_OF(x->evidence));
}

static void refused(struct record *w, bp_result r)
{
    struct bp_job *j = w->j;
    if (bp_is(r, BP_E_DENIED) && w->problem != BP_P_NONE) {
        const enum bp_event_type type =
            bp_attest_of(j)->first ? BP_EV_CONTACT_REFUSED : BP_EV_EVIDENCE_REFUSED;
        if (w->problem != BP_P_BUSY) {
            bp_k_note_refusal(j, type, NULL, bp_problem_row(w->problem).title);
        }
        bp_k_refuse(j, w->problem, NULL);
        return;
    }
    bp_k_refuse(j, bp_k_problem_of(r), NULL);
}

void bp_k_record(struct bp_job *j)
{
    struct record *w = bp_alloc(sizeof *w);
    if (w == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    w->j = j;
    const bp_result r = bp_k_act(j->k, write_all, w);
    bp_job_fn *const then = bp_attest_of(j)->then;
    if (!bp_failed(r) && then != NULL) {
        bp_k_attest_end(j);
        bp_k_after_commit(j, then);
    } else if (!bp_failed(r)) {
        const struct bp_attest *x = bp_attest_of(j);
        answer(j, &w->d, &w->t, bp_span_of(x->ear, x->ear_n));
    } else if (!answer_twin(w)) {
        refused(w, r);
    }
    bp_free(w);
}
