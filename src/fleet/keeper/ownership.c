/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/ownership - what devices ask of ownership and what they say of it (docs/protocol/ownership.md): the chain of a
 * device, which anybody may fetch who knows its id, and the statement of one that leaves. Both over the enrol listener: whoever
 * asks has no certificate of ours yet, or none any more. */
#include "fleet/keeper/internal.h"

#include "codec/device.h"
#include "core/devid.h"
#include "fleet/registry/ownership.h"

#define BP_MODULE PROC

/* "...?device=HEX" and nothing else. */
static bool device_of(bp_span target, uint8_t ret[BP_DEVID_SIZE])
{
    static const char query[] = "?device=";
    const size_t n = sizeof query - 1;
    for (size_t i = 0; i + n <= target.n; i++) {
        if (memcmp(target.p + i, query, n) == 0) {
            return !bp_failed(bp_devid_from_hex(bp_span_sub(target, i + n, target.n - i - n), ret));
        }
    }
    return false;
}

void bp_k_ownership(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    uint8_t id[BP_DEVID_SIZE];
    size_t n = 0;
    if (!device_of(j->q.target, id)) {
        bp_k_refuse(j, BP_P_VALUE, "device is a device id of 66 digits");
        return;
    }
    const bp_result r = bp_registry_chain(&k->registry, BP_SPAN_OF(id), k->cfg.owner_card, k->room, BP_K_ROOM, &n);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_is(r, BP_E_NOT_FOUND) ? BP_P_NO_OWNERSHIP : bp_k_problem_of(r), NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(k->room, n));
}

struct leaving {
    struct bp_job *j;
    enum bp_problem problem;
    char detail[BP_REASON_MAX + 1];
};

static bp_result leave(void *self)
{
    struct leaving *x = self;
    return bp_registry_left(&x->j->k->registry, x->j->q.body, x->detail, &x->problem);
}

void bp_k_left(struct bp_job *j)
{
    struct leaving x = {.j = j, .problem = BP_P_NONE, .detail = ""};
    const bp_result r = bp_k_act(j->k, leave, &x);
    if (!bp_failed(r)) {
        bp_k_ok(j, BP_SPAN_STR("text/plain"), BP_SPAN_STR("kept\n")); /* leaves after the commit */
        return;
    }
    if (bp_is(r, BP_E_DENIED) && x.problem != BP_P_NONE) {
        bp_k_note_refusal(j, BP_EV_OWNERSHIP_REFUSED, NULL, x.detail);
        bp_k_refuse(j, x.problem, x.detail);
        return;
    }
    bp_k_refuse(j, bp_k_problem_of(r), NULL);
}

const char *bp_k_life(struct bp_keeper *k, const struct bp_device *d)
{
    struct bp_owned o = {0};
    const bool leaves = !bp_failed(bp_store_owned(k->store, BP_SPAN_OF(d->id), &o)) && o.phase == BP_OWNED_HANDED;
    return leaves ? BP_LIFE_HANDED_OVER : bp_device_state_name(d->state);
}
