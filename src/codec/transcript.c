/* SPDX-License-Identifier: Apache-2.0 */
/* codec/transcript - see transcript.h. */
#include "codec/transcript.h"

#include "codec/object.h"

#include "codec/cbor.h"

#define BP_MODULE CODEC

#define TYPE "root-transcript"
#define LAST 4u /* the highest key of 1.0 */

static bool is_name(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        const uint8_t c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return s.n > 0;
}

static void get_step(bp_rd *rd, int64_t after_ms, struct bp_transcript_step *ret)
{
    if (bp_cbor_get_array(rd) != 3) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    ret->time_ms = bp_cbor_get_int(rd);
    ret->name = bp_cbor_get_tstr(rd);
    ret->digest = bp_cbor_get_bstr_n(rd, BP_TRANSCRIPT_DIGEST);
    if (ret->name.n > BP_TRANSCRIPT_NAME_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    if (!is_name(ret->name) || ret->time_ms < after_ms) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

bp_result bp_transcript_read(bp_span payload, struct bp_transcript *ret)
{
    struct bp_transcript t = {0};
    int64_t after_ms = 0;
    BP_TRY(bp_cbor_check(payload));
    bp_rd rd = bp_rd_over(payload);
    uint64_t minor = 0;
    const uint32_t unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE), LAST, &minor);
    bp_cbor_need_key(&rd, LAST);
    const size_t steps = bp_cbor_get_array(&rd);
    if (steps == 0) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    if (steps > BP_TRANSCRIPT_STEPS_MAX) {
        bp_rd_fail(&rd, BP_FAIL(LIMIT));
    }
    for (size_t i = 0; i < steps && !bp_failed(bp_rd_state(&rd)); i++) {
        get_step(&rd, after_ms, &t.step[i]);
        after_ms = t.step[i].time_ms;
    }
    bp_object_skip(&rd, unknown);
    BP_TRY(bp_rd_finish(&rd));
    t.steps = (uint32_t)steps;
    *ret = t;
    return BP_OK;
}

bp_result bp_transcript_write(const struct bp_transcript *t, uint8_t *ret, size_t cap, size_t *ret_n)
{
    int64_t after_ms = 0;
    if (t->steps == 0 || t->steps > BP_TRANSCRIPT_STEPS_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_object_put_head(&w, LAST, BP_SPAN_STR(TYPE));
    bp_cw_uint(&w, LAST);
    bp_cw_array(&w, t->steps);
    for (uint32_t i = 0; i < t->steps; i++) {
        const struct bp_transcript_step *s = &t->step[i];
        if (!is_name(s->name) || s->name.n > BP_TRANSCRIPT_NAME_MAX || s->digest.n != BP_TRANSCRIPT_DIGEST ||
            s->time_ms < after_ms) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        bp_cw_array(&w, 3);
        bp_cw_int(&w, s->time_ms);
        bp_cw_tstr(&w, s->name);
        bp_cw_bstr(&w, s->digest);
        after_ms = s->time_ms;
    }
    const bp_result r = bp_cw_finish(&w);
    *ret_n = w.wr.n;
    return r;
}
