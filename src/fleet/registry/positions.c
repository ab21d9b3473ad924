/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/positions - places of the plant and the devices that fill them one after the other. Zone, site,
 * expected model and name bind to the position and go to whoever fills it; keys never do. */
#include "codec/ear.h"
#include "fleet/registry/internal.h"
#include "fleet/store/crash.h"

#define BP_MODULE REGISTRY

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))

static struct bp_event_detail text_of(bp_span key, const char *value)
{
    return (struct bp_event_detail){key, BP_VAL_TEXT, 0, bp_span_cstr(value)};
}

bp_result bp_registry_tell(struct bp_registry *r, enum bp_event_type type, const struct bp_device *d,
                           const struct bp_place *place, bp_span actor, const struct bp_event_detail *detail,
                           size_t count)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = r->now_ms,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = actor,
                         .detail_count = count};
    if (d != NULL) {
        e.device = bp_span_cstr(d->pseudonym);
    }
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = detail[i];
    }
    return bp_log_append(r->log, &e, d == NULL ? 0 : d->n, place, &number);
}

/* -- finding ----------------------------------------------------------------------------------- */
static bp_result find(struct bp_registry *r, bp_span tag, struct bp_position *ret, enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_position_by_tag(r->store, tag, ret);
    return bp_is(got, BP_E_NOT_FOUND) ? REFUSE(NOT_FOUND) : got;
}

static bp_result load(struct bp_registry *r, int64_t device, struct bp_device *ret, enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_device_by_n(r->store, device, ret);
    return bp_is(got, BP_E_NOT_FOUND) ? REFUSE(NOT_FOUND) : got;
}

bp_result bp_registry_vacant(struct bp_registry *r, bp_span tag, struct bp_position *ret, enum bp_problem *ret_problem)
{
    BP_TRY(find(r, tag, ret, ret_problem));
    return ret->device != 0 ? REFUSE(POSITION_FILLED) : BP_OK;
}

/* Whether a device fills a position. */
static bp_result has_position(struct bp_registry *r, int64_t device, bool *ret)
{
    struct bp_position p = {0};
    const bp_result got = bp_store_position_of(r->store, device, &p);
    if (bp_failed(got) && !bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    *ret = !bp_failed(got);
    return BP_OK;
}

/* -- making ------------------------------------------------------------------------------------ */
/* Designations as plants write them (IEC 81346: "=A1+B2-K3"): no blanks, nothing that a path or a shell takes apart. */
static bool is_tag(bp_span tag)
{
    static const char more[] = "=+-_.:";
    if (tag.n == 0 || tag.n > BP_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < tag.n; i++) {
        const uint8_t c = tag.p[i];
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || strchr(more, c) == NULL || (i == 0 && (c == '-' || c == '.')))) {
            return false;
        }
    }
    return true;
}

bp_result bp_registry_position_make(struct bp_registry *r, bp_span tag, const struct bp_place *place, bp_span actor,
                                    enum bp_problem *ret_problem)
{
    struct bp_position p = {.place = *place, .created_ms = r->now_ms};
    *ret_problem = BP_P_NONE;
    if (!is_tag(tag) || place->zone[0] == 0 || !bp_registry_text(tag, p.tag, sizeof p.tag) ||
        !bp_registry_text(actor, p.by, sizeof p.by)) {
        return REFUSE(VALUE);
    }
    if (p.place.name[0] == 0) {
        memcpy(p.place.name, p.tag, sizeof p.place.name);
    }
    const bp_result added = bp_store_position_add(r->store, &p);
    if (bp_is(added, BP_E_EXISTS)) {
        return REFUSE(CONFLICT);
    }
    BP_TRY(added);
    const struct bp_event_detail detail[] = {text_of(BP_SPAN_STR("position"), p.tag),
                                             text_of(BP_SPAN_STR("zone"), p.place.zone),
                                             text_of(BP_SPAN_STR("name"), p.place.name)};
    return bp_registry_tell(r, BP_EV_POSITION_MADE, NULL, &p.place, actor, detail, 3);
}

/* -- filling ----------------------------------------------------------------------------------- */
static bool is_of_model(const struct bp_position *p, const struct bp_device *d)
{
    return p->place.model[0] == 0 || d->place.model[0] == 0 || strcmp(p->place.model, d->place.model) == 0;
}

bp_result bp_registry_put(struct bp_registry *r, const struct bp_position *p, struct bp_device *d)
{
    const struct bp_place before = d->place;
    d->place = p->place;
    if (p->place.model[0] == 0) {
        memcpy(d->place.model, before.model, sizeof d->place.model);
    }
    BP_TRY(bp_store_device_set(r->store, d));
    if (p->n != 0) {
        BP_TRY(bp_store_position_fill(r->store, p->n, d->n, r->now_ms));
    }
    /* What vouched for keys so far was judged by other zones' rules. */
    return strcmp(before.zone, d->place.zone) != 0 ? bp_store_vouched_drop(r->store, d->n) : BP_OK;
}

static bp_result filled(struct bp_registry *r, const struct bp_position *p, const struct bp_device *d, bp_span actor)
{
    const struct bp_event_detail detail[] = {text_of(BP_SPAN_STR("position"), p->tag),
                                             text_of(BP_SPAN_STR("zone"), p->place.zone)};
    return bp_registry_tell(r, BP_EV_POSITION_FILLED, d, &d->place, actor, detail, 2);
}

bp_result bp_registry_assign(struct bp_registry *r, bp_span tag, int64_t device, bp_span actor,
                             enum bp_problem *ret_problem)
{
    struct bp_position p = {0};
    struct bp_device d = {0};
    bool has = false;
    *ret_problem = BP_P_NONE;
    BP_TRY(bp_registry_vacant(r, tag, &p, ret_problem));
    BP_TRY(load(r, device, &d, ret_problem));
    BP_TRY(has_position(r, device, &has));
    if (has) {
        return REFUSE(POSITION_FILLED);
    }
    /* Ours now: neither waiting nor off. */
    if (bp_registry_next(d.state, BP_OP_RETIRE) == BP_ST_NONE) {
        return REFUSE(WRONG_STATE);
    }
    if (!is_of_model(&p, &d)) {
        return REFUSE(NOT_A_SPARE);
    }
    BP_TRY(bp_registry_put(r, &p, &d));
    return filled(r, &p, &d, actor);
}

bp_result bp_registry_approve_at(struct bp_registry *r, int64_t device, bp_span tag, bp_span actor,
                                 enum bp_problem *ret_problem)
{
    struct bp_position p = {0};
    struct bp_device d = {0};
    *ret_problem = BP_P_NONE;
    BP_TRY(bp_registry_vacant(r, tag, &p, ret_problem));
    BP_TRY(bp_registry_approve(r, device, &p.place, actor, ret_problem));
    BP_TRY(load(r, device, &d, ret_problem));
    BP_TRY(bp_registry_put(r, &p, &d));
    return filled(r, &p, &d, actor);
}

bp_result bp_registry_place_invited(struct bp_registry *r, const struct bp_invitation *i, struct bp_device *d)
{
    bool has = false;
    BP_TRY(has_position(r, d->n, &has));
    if (!has) {
        d->place = i->place;
    }
    return BP_OK;
}

bp_result bp_registry_invited_to(struct bp_registry *r, const struct bp_invitation *i, struct bp_device *d,
                                 enum bp_problem *ret_problem)
{
    struct bp_position p = {0};
    bool has = false;
    if (i->position == 0) {
        return BP_OK;
    }
    BP_TRY(bp_store_position(r->store, i->position, &p));
    if (p.device == d->n) {
        return BP_OK;
    }
    BP_TRY(has_position(r, d->n, &has));
    if (has || p.device != 0) {
        return REFUSE(POSITION_FILLED);
    }
    BP_TRY(bp_registry_put(r, &p, d));
    return filled(r, &p, d, bp_span_cstr(i->by));
}

/* -- replacing --------------------------------------------------------------------------------- */
bp_result bp_registry_check_spare(struct bp_registry *r, const struct bp_position *p, const struct bp_device *d,
                                  const char **ret_why)
{
    struct bp_trust t = {0};
    bool has = false;
    BP_TRY(bp_store_trust(r->store, d->n, &t));
    BP_TRY(has_position(r, d->n, &has));
    *ret_why = has                                                        ? "it fills a position already"
               : d->state != BP_ST_ENROLLED && d->state != BP_ST_ACTIVE   ? "it is neither enrolled nor active"
               : t.tier != BP_TIER_AFFIRMING && t.tier != BP_TIER_WARNING ? "its last evidence does not make it trusted"
               : t.silent                                                 ? "it is silent"
               : !is_of_model(p, d)                                       ? "it is of another model than the position expects"
                                                                          : NULL;
    return BP_OK;
}

bp_result bp_registry_put_off(struct bp_registry *r, struct bp_device *old, uint32_t crl_reason, bp_span reason,
                              enum bp_problem *ret_problem)
{
    if (bp_registry_next(old->state, BP_OP_RETIRE) != BP_ST_NONE) {
        BP_TRY(bp_registry_end(r, old, BP_OP_RETIRE, crl_reason, reason, ret_problem));
    }
    old->place.name[0] = 0;
    return bp_store_device_set(r->store, old);
}

bp_result bp_registry_replace(struct bp_registry *r, bp_span tag, int64_t spare, bp_span reason, bp_span actor,
                              const char **ret_why, enum bp_problem *ret_problem)
{
    struct bp_position p = {0};
    struct bp_device d = {0}, old = {0};
    *ret_problem = BP_P_NONE;
    *ret_why = "";
    BP_TRY(find(r, tag, &p, ret_problem));
    BP_TRY(load(r, spare, &d, ret_problem));
    BP_TRY(bp_registry_check_spare(r, &p, &d, ret_why));
    if (*ret_why != NULL) {
        return REFUSE(NOT_A_SPARE);
    }
    *ret_why = "";
    if (p.device != 0) {
        BP_TRY(bp_store_device_by_n(r->store, p.device, &old));
        BP_TRY(bp_registry_put_off(r, &old, 5, reason, ret_problem)); /* cessationOfOperation */
        BP_CRASH("registry.old-off-position-not-moved");
    }
    BP_TRY(bp_registry_put(r, &p, &d));
    const struct bp_event_detail gone[] = {text_of(BP_SPAN_STR("position"), p.tag), text_of(BP_SPAN_STR("by"), d.pseudonym),
                                           {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    const struct bp_event_detail came[] = {text_of(BP_SPAN_STR("position"), p.tag),
                                           text_of(BP_SPAN_STR("zone"), p.place.zone),
                                           text_of(BP_SPAN_STR("replaces"), old.pseudonym),
                                           {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, reason}};
    if (p.device != 0) {
        BP_TRY(bp_registry_tell(r, BP_EV_DEVICE_REPLACED, &old, &old.place, actor, gone, 3));
    }
    return bp_registry_tell(r, BP_EV_POSITION_FILLED, &d, &d.place, actor, came, 4);
}
