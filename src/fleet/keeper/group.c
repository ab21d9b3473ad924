/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/group - acts of many requests in one durable group; answers leave after its commit.
 *
 * A group is committed at the latest BP_KEEPER_GROUP_MS after its first act, and at once when
 * everything that is open is in it already. A full disk takes the whole group: each of its requests
 * is refused with storage-full, what they changed in memory is read back from the store, and the next
 * group that is committed says in the log how many were refused. */
#include "fleet/keeper/internal.h"
#include "fleet/store/crash.h"

#define BP_MODULE PROC

void bp_k_wake(struct bp_keeper *k, int64_t after_ms)
{
    const int64_t now = bp_k_mono(k);
    const int64_t after = after_ms < 0 ? 0 : after_ms;
    if (k->wake_at > now && k->wake_at <= now + after) {
        return;
    }
    k->wake_at = now + after;
    k->port.wake(k->port.self, after > UINT32_MAX ? UINT32_MAX : (uint32_t)after);
}

/* -- jobs -------------------------------------------------------------------------------------- */
void bp_k_drop(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    if (j->prev != NULL) {
        j->prev->next = j->next;
    } else {
        k->open = j->next;
    }
    if (j->next != NULL) {
        j->next->prev = j->prev;
    }
    k->open_bytes -= j->body_n;
    k->count.open--;
    if (j->flow_free != NULL) {
        j->flow_free(j->flow);
    }
    bp_free(j->answer);
    bp_free(j->body);
    bp_free(j);
}

static void send(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    BP_CRASH("keeper.before-reply");
    if (j->is_refusal) {
        k->count.refused++;
    } else {
        k->count.accepted++;
    }
    if (j->answer == NULL) {
        const uint8_t nothing = 0xa0;
        k->port.reply(k->port.self, j->id, BP_P_INTERNAL, bp_span_of(&nothing, 1));
    } else {
        k->port.reply(k->port.self, j->id, 0, bp_span_of(j->answer, j->answer_n));
    }
    bp_k_drop(j);
}

/* The group is durable: the answer leaves, or the job goes on. */
static void conclude(struct bp_job *j)
{
    bp_job_fn *const fn = j->committed;
    j->committed = NULL;
    if (fn != NULL) {
        fn(j);
    } else {
        send(j);
    }
}

void bp_k_after_commit(struct bp_job *j, bp_job_fn *fn)
{
    j->committed = fn;
    bp_k_settle(j);
}

void bp_k_settle(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    if (!bp_store_is_open(k->store)) {
        conclude(j);
        return;
    }
    j->later = NULL;
    *k->answered_end = j;
    k->answered_end = &j->later;
    k->group_answers++;
    if (k->group_answers >= k->count.open || k->group_acts >= BP_KEEPER_GROUP_MAX) {
        bp_k_wake(k, 0);
    }
}

static struct bp_job *take_answered(struct bp_keeper *k)
{
    struct bp_job *first = k->answered;
    k->answered = NULL;
    k->answered_end = &k->answered;
    k->group_answers = 0;
    return first;
}

/* -- the group is lost ------------------------------------------------------------------------- */
/* Memory follows the store again. What cannot be read now is read at the next group. */
static void reload(struct bp_keeper *k)
{
    BP_IGNORE(bp_log_reload(&k->log), "the next act fails on the same store and reads again");
    BP_IGNORE(bp_k_publish_load(k), "publishing stops where it was; the next commit moves it on");
}

static void lose(struct bp_keeper *k, bp_result why)
{
    const bool full = bp_is(why, BP_E_FULL);
    k->crl_wanted |= k->crl_number != k->crl_told; /* a list that is not kept after all */
    bp_store_abort(k->store);
    k->effects = (struct bp_effects){0};
    k->stream_count = 0;
    k->stream_n = 0;
    k->group_acts = 0;
    reload(k);
    struct bp_job *j = take_answered(k);
    while (j != NULL) {
        struct bp_job *const next = j->later;
        bp_k_write_refusal(j, full ? BP_P_STORAGE_FULL : bp_k_problem_of(why), NULL);
        send(j);
        j = next;
    }
    if (full) {
        k->is_full = true;
        k->count.store_full++;
    }
}

/* -- acts -------------------------------------------------------------------------------------- */
static bp_result begin(struct bp_keeper *k)
{
    if (bp_store_is_open(k->store)) {
        return BP_OK;
    }
    BP_TRY(bp_store_begin(k->store));
    k->group_since = bp_k_mono(k);
    k->group_acts = 0;
    bp_k_wake(k, BP_KEEPER_GROUP_MS);
    return BP_OK;
}

/* Whether a failure of an act is one of the group: the disk is full, or the group is gone. */
static bool is_of_group(bp_result r)
{
    return bp_is(r, BP_E_FULL) || bp_is(r, BP_E_CLOSED) || bp_is(r, BP_E_IO);
}

static bp_result run(struct bp_keeper *k, bp_result (*fn)(void *self), void *self)
{
    const struct bp_effects_mark mark = bp_effects_mark(&k->effects);
    const uint64_t size = k->log.size;
    const size_t stream_count = k->stream_count;
    const size_t stream_n = k->stream_n;
    BP_TRY(bp_store_act(k->store));
    bp_result r = fn(self);
    if (!bp_failed(r) && k->log.size != size) {
        r = bp_log_flush(&k->log);
    }
    BP_CRASH("keeper.in-act");
    const bp_result end = bp_store_act_end(k->store, !bp_failed(r));
    if (bp_failed(r)) {
        bp_effects_reset(&k->effects, mark);
        k->log.size = size;
        k->stream_count = stream_count;
        k->stream_n = stream_n;
    }
    if (is_of_group(r)) {
        return r;
    }
    return bp_failed(end) ? end : r;
}

bp_result bp_k_act(struct bp_keeper *k, bp_result (*fn)(void *self), void *self)
{
    k->registry.now_ms = bp_k_now(k);
    bp_result r = begin(k);
    if (!bp_failed(r)) {
        r = run(k, fn, self);
    }
    if (is_of_group(r)) {
        /* A group that is gone ended itself on a full disk. */
        r = bp_is(r, BP_E_CLOSED) ? BP_FAIL(FULL) : r;
        lose(k, r);
        return r;
    }
    k->group_acts++;
    k->count.acts++;
    return r;
}

/* -- commit ------------------------------------------------------------------------------------ */
static void follow(struct bp_keeper *k, const struct bp_effects *e)
{
    if (e->deny_all) {
        bp_k_send_deny_all(k);
    } else if (e->deny_count > 0) {
        bp_k_send_deny(k, e->deny, e->deny_count);
    }
    if (e->policy) {
        BP_IGNORE(bp_k_policy_load(k), "what cannot be read leaves no policy in force");
    }
    if (e->settings) {
        BP_IGNORE(bp_k_settings_load(k), "the settings in force stay");
    }
    if (e->references) {
        bp_k_send_references(k);
    }
    k->crl_wanted |= e->crl;
    if (k->crl_wanted) {
        bp_k_wake(k, 0); /* the list follows at once, not at the next tick */
    }
    if (k->crl_known && k->crl_told != k->crl_number) {
        bp_k_send_crl(k);
    }
}

static bp_result note_recovery(void *self)
{
    struct bp_keeper *k = self;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("refused"), BP_VAL_INT, (int64_t)k->full_refused, BP_SPAN_EMPTY}};
    return bp_k_event(k, BP_EV_STORE_RECOVERED, NULL, detail, 1);
}

/* Says once that the disk was full, in a group of its own. */
static void tell_recovery(struct bp_keeper *k)
{
    if (!bp_failed(bp_k_act(k, note_recovery, k)) && bp_store_is_open(k->store)) {
        const bp_result r = bp_store_commit(k->store);
        if (bp_failed(r)) {
            lose(k, r);
            return;
        }
        k->durable_size = k->log.size;
        k->is_full = false;
        k->full_refused = 0;
        bp_k_stream_send(k);
    }
}

void bp_k_commit(struct bp_keeper *k)
{
    if (!bp_store_is_open(k->store)) {
        return;
    }
    BP_CRASH("keeper.before-commit");
    const bp_result r = bp_store_commit(k->store);
    if (bp_failed(r)) {
        lose(k, r);
        return;
    }
    BP_CRASH("keeper.committed-not-told");
    k->count.commits++;
    k->durable_size = k->log.size;
    k->group_acts = 0;
    const struct bp_effects effects = k->effects;
    k->effects = (struct bp_effects){0};
    follow(k, &effects);
    BP_CRASH("keeper.told-not-answered");
    struct bp_job *j = take_answered(k);
    while (j != NULL) {
        struct bp_job *const next = j->later;
        conclude(j);
        j = next;
    }
    bp_k_stream_send(k);
    if (k->is_full) {
        tell_recovery(k);
    }
    bp_k_publish(k);
}
