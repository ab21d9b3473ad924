/* SPDX-License-Identifier: Apache-2.0 */
/* core/logbreak - judges what gave up a part of the log. */
#include "core/logbreak.h"

#include "codec/object.h"
#include "core/merkle.h"

#define BP_MODULE CORE

static bool get_size(const struct bp_event *e, bp_span name, uint64_t *ret)
{
    const struct bp_event_detail *d = bp_event_detail_of(e, name);
    if (d == NULL || d->kind != BP_VAL_INT || d->number < 0) {
        return false;
    }
    *ret = (uint64_t)d->number;
    return true;
}

static bool get_root(const struct bp_event *e, bp_span name, bp_span *ret)
{
    const struct bp_event_detail *d = bp_event_detail_of(e, name);
    if (d == NULL || d->kind != BP_VAL_BYTES || d->bytes.n != BP_SHA256_SIZE) {
        return false;
    }
    *ret = d->bytes;
    return true;
}

static bp_result in_log(struct bp_crypto *c, const struct bp_log_break *b, const struct bp_log_head *now)
{
    uint8_t digest[BP_SHA256_SIZE];
    uint8_t leaf[BP_SHA256_SIZE];
    BP_TRY(bp_hash(c, BP_HASH_SHA256, b->event, digest));
    BP_TRY(bp_merkle_leaf(c, BP_SPAN_OF(digest), leaf));
    return bp_merkle_verify_inclusion(c, b->index, now->size, leaf, b->inclusion, now->root);
}

static bp_result read_statement(bp_span bytes, bp_span *ret_kept_root, struct bp_log_gap_stated *ret)
{
    struct bp_event *const e = &ret->event;
    BP_TRY(bp_event_read(bytes, e));
    const struct bp_event_detail *why = bp_event_detail_of(e, BP_SPAN_STR("reason"));
    ret->reason = why != NULL ? why->bytes : BP_SPAN_EMPTY;
    return e->type == BP_EV_LOG_BROKEN && get_size(e, BP_SPAN_STR("kept"), &ret->kept) &&
                   get_size(e, BP_SPAN_STR("lost"), &ret->lost) &&
                   get_root(e, BP_SPAN_STR("kept_root"), ret_kept_root) &&
                   bp_object_is_text(ret->reason, 0, BP_EVENT_TEXT_MAX) &&
                   bp_object_is_text(e->actor, 0, BP_EVENT_TEXT_MAX)
               ? BP_OK
               : BP_FAIL(MALFORMED);
}

/* Where the newest head that was given up is named with its root, another one of that size is a second history. */
static bool is_void(const struct bp_log_gap_stated *s, const struct bp_log_head *old)
{
    bp_span lost_root = BP_SPAN_EMPTY;
    if (old->size <= s->kept || old->size > s->lost) {
        return false;
    }
    return old->size < s->lost || !get_root(&s->event, BP_SPAN_STR("lost_root"), &lost_root) ||
           memcmp(old->root, lost_root.p, BP_SHA256_SIZE) == 0;
}

bp_result bp_log_break_check(struct bp_crypto *c, const struct bp_log_break *b, const struct bp_log_head *old,
                             const struct bp_log_head *now, struct bp_log_gap_stated *ret)
{
    bp_span kept_root = BP_SPAN_EMPTY;
    BP_TRY(read_statement(b->event, &kept_root, ret));
    if (b->to != now->size || ret->event.number != b->index || ret->kept > b->index || ret->lost < ret->kept) {
        return BP_FAIL(MISMATCH);
    }
    BP_TRY(in_log(c, b, now));
    BP_TRY(bp_merkle_verify_consistency(c, ret->kept, now->size, kept_root.p, now->root, b->consistency));
    return is_void(ret, old) ? BP_OK : BP_FAIL(DENIED);
}
