/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/recovery - a store that is older than what was signed after it, and what devices are told of it.
 *
 * The log signer's own last head is not in the store, so a store that was put back is behind it, whoever put it there;
 * `bedplated restore` notes it besides, for a server whose signer was lost too. Until people list and accept the loss
 * (`bedplated log-break`, offline: fleet/proc/logbreak) nothing is granted, no head and no revocation list is signed,
 * and nobody is told that a certificate is good: the store does not know what was revoked since. What people read
 * stays, and so does whatever only takes away. */
#include "fleet/keeper/internal.h"

#include <inttypes.h>
#include <stdio.h>

#define BP_MODULE PROC

bool bp_k_is_recovering(const struct bp_keeper *k)
{
    return k->is_behind || k->is_put_back;
}

bp_result bp_k_recovery_load(struct bp_keeper *k)
{
    int64_t state = BP_RECOVERY_NONE;
    BP_TRY(bp_store_setting(k->store, BP_SETTING_RECOVERY, BP_RECOVERY_NONE, &state));
    k->is_put_back = state == BP_RECOVERY_PUT_BACK;
    return BP_OK;
}

struct mark {
    struct bp_keeper *k;
    int64_t state;
};

static bp_result set_mark(void *self)
{
    const struct mark *m = self;
    return bp_store_setting_set(m->k->store, BP_SETTING_RECOVERY, m->state);
}

/* The mark is for people: page and list are made by readers, which see the store alone. */
void bp_k_recovery_note(struct bp_keeper *k, bool is_ours)
{
    int64_t now = BP_RECOVERY_NONE;
    struct mark m = {k, is_ours ? BP_RECOVERY_NONE : BP_RECOVERY_OLDER};
    k->is_behind = !is_ours;
    if (k->is_put_back || bp_failed(bp_store_setting(k->store, BP_SETTING_RECOVERY, BP_RECOVERY_NONE, &now)) ||
        now == m.state) {
        return;
    }
    BP_IGNORE(bp_k_act(k, set_mark, &m), "what holds is in memory; the mark is set with the next head");
}

/* -- devices that keep a head of what was lost ----------------------------------------------------- */
void bp_k_head_unknown(struct bp_job *j, uint64_t size)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    enum bp_problem problem = BP_P_NONE;
    char text[96];
    const bool is_known = !bp_failed(bp_registry_device_of_key(&k->registry, j->q.peer_spki, &d, &problem));
    (void)snprintf(text, sizeof text, "it is of %" PRIu64 " events, the newest here of %" PRIu64, size, k->signed_size);
    bp_k_note_refusal(j, BP_EV_HEAD_UNKNOWN, is_known ? &d : NULL, text);
}

static bp_result state_break(struct bp_keeper *k, const struct bp_log_gap *g, uint64_t to, size_t *ret_n)
{
    uint8_t event[BP_EVENT_MAX];
    uint8_t digest[BP_DIGEST_SIZE];
    uint8_t inclusion[BP_MERKLE_MAX_PROOF * BP_DIGEST_SIZE];
    uint8_t consistency[BP_MERKLE_MAX_PROOF * BP_DIGEST_SIZE];
    size_t inclusion_n = 0;
    size_t consistency_n = 0;
    bp_span body = BP_SPAN_EMPTY;
    BP_TRY(bp_store_event(k->store, g->event, &body, digest));
    if (body.n == 0 || body.n > sizeof event) {
        return BP_FAIL(NOT_FOUND);
    }
    memcpy(event, body.p, body.n);
    const bp_span copy = bp_span_of(event, body.n);
    BP_TRY(bp_log_inclusion(k->store, k->crypto, g->event, to, inclusion, &inclusion_n));
    BP_TRY(bp_log_consistency(k->store, k->crypto, g->kept, to, consistency, &consistency_n));
    const struct bp_log_break v = {.index = g->event,
                                   .to = to,
                                   .event = copy,
                                   .inclusion = bp_span_of(inclusion, inclusion_n),
                                   .consistency = bp_span_of(consistency, consistency_n)};
    return bp_log_break_write(&v, k->room, BP_K_ROOM, ret_n);
}

/* Why a head of `from` events is void, in the log of `to` events. */
void bp_k_log_break(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_log_gap g = {0};
    uint64_t from = 0;
    uint64_t to = 0;
    size_t n = 0;
    if (!bp_k_query_number(j->q.target, "from", &from) || !bp_k_query_number(j->q.target, "to", &to)) {
        bp_k_refuse(j, BP_P_VALUE, "from and to are sizes of the log");
        return;
    }
    bp_result r = bp_k_is_recovering(k) ? BP_FAIL(NOT_FOUND) : bp_store_gap(k->store, from, &g);
    if (!bp_failed(r)) {
        r = to > k->signed_size || g.event >= to ? BP_FAIL(NOT_FOUND) : state_break(k, &g, to, &n);
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        bp_k_head_unknown(j, from);
        bp_k_refuse(j, BP_P_NOT_FOUND, "nothing in the log says that such a head is void");
    } else if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    } else {
        bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(k->room, n));
    }
}
