/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/escrow - the sealed lockout values of devices: taken, kept, acknowledged after the commit
 * (docs/protocol/device.md). What is in an envelope only the owner's recovery key opens; here it is
 * bytes. A value that is kept is never given up for another one: a device that sends too many is
 * refused. */
#include "fleet/keeper/internal.h"

#include "codec/device.h"

#define BP_MODULE PROC

void bp_k_recovery(struct bp_job *j)
{
    const bp_span der = j->k->cfg.recovery_der;
    if (der.n == 0) {
        bp_k_refuse(j, BP_P_NOT_FOUND, "this server has no recovery key");
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), der);
}

struct keep {
    struct bp_keeper *k;
    const struct bp_device *d;
    const struct bp_escrow *e;
    uint8_t digest[BP_DIGEST_SIZE]; /* FOREIGN: zeros */
    bool is_full;
};

static enum bp_event_type event_of(enum bp_escrow_state state)
{
    return state == BP_ESCROW_SEALED ? BP_EV_LOCKOUT_ESCROWED
           : state == BP_ESCROW_SET  ? BP_EV_LOCKOUT_SET
                                     : BP_EV_LOCKOUT_FOREIGN;
}

static bp_result add(struct keep *x)
{
    struct bp_keeper *k = x->k;
    uint32_t count = 0;
    BP_TRY(bp_store_escrow_count(k->store, x->d->n, BP_ESCROWS_MAX, &count));
    if (count >= BP_ESCROWS_MAX) {
        x->is_full = true;
        return BP_FAIL(DENIED);
    }
    struct bp_escrow_row row = {.state = (uint8_t)x->e->state,
                                .at_ms = bp_k_now(k),
                                .state_ms = bp_k_now(k),
                                .envelope = x->e->envelope};
    memcpy(row.digest, x->digest, sizeof row.digest);
    BP_TRY(bp_store_escrow_add(k->store, x->d->n, &row));
    return bp_k_event(k, event_of(x->e->state), x->d, NULL, 0);
}

/* The same words again change nothing; a state goes forward only. */
static bp_result keep(void *self)
{
    struct keep *x = self;
    struct bp_keeper *k = x->k;
    struct bp_escrow_row newest = {0};
    struct bp_escrow_row row = {0};
    const bp_result found = bp_store_escrow_of(k->store, x->d->n, BP_SPAN_OF(x->digest), &row);
    if (bp_is(found, BP_E_NOT_FOUND)) {
        return add(x);
    }
    BP_TRY(found);
    BP_TRY(bp_store_escrow_newest(k->store, x->d->n, 0, &newest));
    const bool moves = (uint8_t)x->e->state > row.state;
    if (!moves && newest.n == row.n) {
        return BP_OK;
    }
    row.state = moves ? (uint8_t)x->e->state : row.state;
    row.state_ms = bp_k_now(k) > newest.state_ms ? bp_k_now(k) : newest.state_ms + 1;
    BP_TRY(bp_store_escrow_set(k->store, &row));
    return bp_k_event(k, event_of((enum bp_escrow_state)row.state), x->d, NULL, 0);
}

static void refuse(struct bp_job *j, const struct bp_device *d, enum bp_problem problem, const char *reason)
{
    bp_k_note_refusal(j, BP_EV_ESCROW_REFUSED, d, reason);
    bp_k_refuse(j, problem, reason);
}

static void acknowledge(struct bp_job *j, const struct keep *x)
{
    uint8_t out[BP_ESCROWED_MAX];
    size_t n = 0;
    const struct bp_escrowed v = {
        .device_id = x->e->device_id,
        .state = x->e->state,
        .digest = x->e->state == BP_ESCROW_FOREIGN ? BP_SPAN_EMPTY : BP_SPAN_OF(x->digest)};
    const bp_result r = bp_escrowed_write(&v, out, sizeof out, &n);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    } else {
        bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(out, n)); /* leaves after the commit */
    }
}

void bp_k_escrow(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct bp_escrow e;
    enum bp_problem problem = BP_P_NONE;
    struct keep x = {.k = k, .d = &d, .e = &e};
    bp_result r = bp_registry_device_of_key(&k->registry, j->q.peer_spki, &d, &problem);
    if (bp_failed(r)) {
        bp_k_refuse(j, problem != BP_P_NONE ? problem : bp_k_problem_of(r), NULL);
        return;
    }
    r = bp_escrow_read(j->q.body, &e);
    if (!bp_failed(r) && e.envelope.n != 0) {
        r = bp_hash(k->crypto, BP_HASH_SHA256, e.envelope, x.digest);
    }
    if (bp_failed(r)) {
        refuse(j, &d, bp_k_problem_of(r), bp_error_text(bp_error_of(r)));
        return;
    }
    if (!bp_span_equal(e.device_id, BP_SPAN_OF(d.id))) {
        refuse(j, &d, BP_P_WRONG_DEVICE, "the escrow is of another device");
        return;
    }
    r = bp_k_act(k, keep, &x);
    if (x.is_full) {
        refuse(j, &d, BP_P_TOO_MANY, "too many sealed values of this device are kept already");
    } else if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    } else {
        acknowledge(j, &x);
    }
}
