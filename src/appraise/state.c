/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/state - the object device-state 1.0, both directions. The server wrote it; it is read as strictly as if it
 * had not. */
#include "appraise/appraise.h"

#define BP_MODULE  APPRAISE

#define STATE_TYPE "device-state"
#define LAST_KEY   13u
#define PCR_BYTES  (BP_APPRAISE_PCR_COUNT * BP_SHA256_SIZE)
#define SECURE_BOOT_NOT_TOLD 2u

static void get_items(bp_rd *rd, size_t n)
{
    if (bp_cbor_get_array(rd) != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static uint64_t get_up_to(bp_rd *rd, uint64_t max)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v > max) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return v;
}

static void get_hash(bp_rd *rd, uint8_t ret[BP_SHA256_SIZE])
{
    const bp_span s = bp_cbor_get_bstr_n(rd, BP_SHA256_SIZE);
    if (s.n == BP_SHA256_SIZE) {
        memcpy(ret, s.p, s.n);
    }
}

static void get_pcrs(bp_rd *rd, struct bp_device_state *s)
{
    s->pcrs = bp_cbor_get_bstr(rd);
    if (s->pcrs.n != 0 && s->pcrs.n != PCR_BYTES) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_log(bp_rd *rd, struct bp_device_state *s)
{
    const bp_span log = bp_cbor_get_bstr(rd);
    s->has_log = log.n != 0;
    if (log.n == BP_SHA256_SIZE) {
        memcpy(s->log, log.p, log.n);
    } else if (log.n != 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static void get_boot(bp_rd *rd, struct bp_device_state *s)
{
    get_items(rd, 2);
    s->boot_events = bp_cbor_get_uint(rd);
    const uint64_t secure = get_up_to(rd, SECURE_BOOT_NOT_TOLD);
    s->has_secure_boot = secure != SECURE_BOOT_NOT_TOLD;
    s->secure_boot = secure == 1;
}

static void get_ima(bp_rd *rd, struct bp_device_state *s)
{
    get_items(rd, 4);
    s->ima_count = get_up_to(rd, UINT32_MAX);
    get_hash(rd, s->ima_pcr);
    s->ima_unknown = bp_cbor_get_uint(rd);
    s->ima_violations = bp_cbor_get_uint(rd);
}

static void get_releases(bp_rd *rd, struct bp_device_state *s)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_STATE_RELEASES_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        s->release[i] = bp_cbor_get_bstr_n(rd, BP_SHA256_SIZE);
    }
    s->releases = (uint32_t)n;
}

static void get_sticky(bp_rd *rd, struct bp_device_state *s)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_STATE_STICKY_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n && !bp_failed(bp_rd_state(rd)); i++) {
        struct bp_finding *f = &s->sticky_finding[i];
        get_items(rd, 3);
        f->id = bp_finding_of_code(bp_cbor_get_tstr(rd));
        f->text = bp_cbor_get_tstr(rd);
        f->at = bp_cbor_get_uint(rd);
        if (f->id == BP_F_COUNT || f->text.n > BP_APPRAISAL_TEXT_MAX ||
            bp_finding_row(f->id).effect == BP_FX_REFUSE) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
    }
    s->sticky = (uint32_t)n;
}

static void get_member(bp_rd *rd, uint64_t key, struct bp_device_state *s)
{
    switch (key) {
    case 4:
        get_items(rd, 2);
        s->reset_count = (uint32_t)get_up_to(rd, UINT32_MAX);
        s->restart_count = (uint32_t)get_up_to(rd, UINT32_MAX);
        break;
    case 5:
        get_items(rd, 2);
        s->clock_ms = bp_cbor_get_uint(rd);
        s->safe = bp_cbor_get_bool(rd);
        break;
    case 6:
        get_items(rd, 2);
        s->as_of_ms = (int64_t)get_up_to(rd, INT64_MAX);
        s->server_ms = (int64_t)get_up_to(rd, INT64_MAX);
        break;
    case 7:
        get_hash(rd, s->pcr_digest);
        break;
    case 8:
        get_pcrs(rd, s);
        break;
    case 9:
        get_log(rd, s);
        break;
    case 10:
        get_boot(rd, s);
        break;
    case 11:
        get_ima(rd, s);
        break;
    case 12:
        get_releases(rd, s);
        break;
    case LAST_KEY:
        get_sticky(rd, s);
        break;
    default: /* a newer minor */
        (void)bp_cbor_get_item(rd);
        break;
    }
}

bp_result bp_device_state_read(bp_span in, struct bp_device_state *ret)
{
    if (in.n > BP_STATE_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    struct bp_device_state s = {0};
    uint32_t seen = 0;
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        seen |= key < 32 ? 1u << key : 0;
        if (key == 1) {
            if (!bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR(STATE_TYPE))) {
                return BP_FAIL(UNSUPPORTED);
            }
        } else if (key == 2) {
            if (bp_cbor_get_uint(&rd) != 1) {
                return BP_FAIL(UNSUPPORTED);
            }
        } else if (key == 3) {
            (void)bp_cbor_get_uint(&rd);
        } else {
            get_member(&rd, key, &s);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    const uint32_t all = (2u << LAST_KEY) - 2u;
    if ((seen & all) != all) {
        return BP_FAIL(MALFORMED);
    }
    *ret = s;
    return BP_OK;
}

static void put_hash(bp_cw *w, const uint8_t hash[BP_SHA256_SIZE])
{
    bp_cw_bstr(w, bp_span_of(hash, BP_SHA256_SIZE));
}

static void put_counters(bp_cw *w, const struct bp_device_state *s)
{
    bp_cw_uint(w, 4);
    bp_cw_array(w, 2);
    bp_cw_uint(w, s->reset_count);
    bp_cw_uint(w, s->restart_count);
    bp_cw_uint(w, 5);
    bp_cw_array(w, 2);
    bp_cw_uint(w, s->clock_ms);
    bp_cw_bool(w, s->safe);
    bp_cw_uint(w, 6);
    bp_cw_array(w, 2);
    bp_cw_uint(w, (uint64_t)s->as_of_ms);
    bp_cw_uint(w, (uint64_t)s->server_ms);
}

static void put_lists(bp_cw *w, const struct bp_device_state *s)
{
    bp_cw_uint(w, 7);
    put_hash(w, s->pcr_digest);
    bp_cw_uint(w, 8);
    bp_cw_bstr(w, s->pcrs);
    bp_cw_uint(w, 9);
    bp_cw_bstr(w, bp_span_of(s->log, s->has_log ? sizeof s->log : 0));
    bp_cw_uint(w, 10);
    bp_cw_array(w, 2);
    bp_cw_uint(w, s->boot_events);
    bp_cw_uint(w, !s->has_secure_boot ? SECURE_BOOT_NOT_TOLD : s->secure_boot ? 1u : 0u);
    bp_cw_uint(w, 11);
    bp_cw_array(w, 4);
    bp_cw_uint(w, s->ima_count);
    put_hash(w, s->ima_pcr);
    bp_cw_uint(w, s->ima_unknown);
    bp_cw_uint(w, s->ima_violations);
}

bp_result bp_device_state_write(const struct bp_device_state *s, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (s->releases > BP_STATE_RELEASES_MAX || s->sticky > BP_STATE_STICKY_MAX || s->as_of_ms < 0 || s->server_ms < 0 ||
        (s->pcrs.n != 0 && s->pcrs.n != PCR_BYTES) || s->ima_count > UINT32_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, LAST_KEY);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, STATE_TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    put_counters(&w, s);
    put_lists(&w, s);
    bp_cw_uint(&w, 12);
    bp_cw_array(&w, s->releases);
    for (uint32_t i = 0; i < s->releases; i++) {
        bp_cw_bstr(&w, s->release[i]);
    }
    bp_cw_uint(&w, LAST_KEY);
    bp_cw_array(&w, s->sticky);
    for (uint32_t i = 0; i < s->sticky; i++) {
        bp_cw_array(&w, 3);
        bp_cw_cstr(&w, bp_finding_row(s->sticky_finding[i].id).code);
        bp_cw_tstr(&w, s->sticky_finding[i].text);
        bp_cw_uint(&w, s->sticky_finding[i].at);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
