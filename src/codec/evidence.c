/* SPDX-License-Identifier: Apache-2.0 */
/* codec/evidence - reader and writer of the collection that a device posts. */
#include "codec/evidence.h"

#define BP_MODULE CODEC

#define ABOUT_TYPE "about"
#define MEDIA(name) "application/vnd.bedplate." name

/* The labels in the order of their encoding: shorter first, then bytewise. */
enum label { L_IMA, L_BOOT, L_KEYS, L_PCRS, L_ABOUT, L_QUOTE, L_COUNT };
/* Lengths are known here: strlen is not among what a microcontroller must bring. */
#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

static const struct {
    bp_span label;
    bp_span media;
} labels[L_COUNT] = {
    [L_IMA] = {TEXT("ima"), TEXT(MEDIA("ima+cbor"))},       [L_BOOT] = {TEXT("boot"), TEXT(MEDIA("tcg-log"))},
    [L_KEYS] = {TEXT("keys"), TEXT(MEDIA("keys+cbor"))},    [L_PCRS] = {TEXT("pcrs"), TEXT(MEDIA("pcrs+cbor"))},
    [L_ABOUT] = {TEXT("about"), TEXT(MEDIA("about+cbor"))}, [L_QUOTE] = {TEXT("quote"), TEXT(MEDIA("quote+cbor"))},
};

static bp_result open_item(bp_span value, bp_rd *ret)
{
    BP_TRY(bp_cbor_check(value));
    *ret = bp_rd_over(value);
    return BP_OK;
}

/* --- about --- */

static void get_features(bp_rd *rd, struct bp_about *a)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_EVIDENCE_FEATURES_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        a->feature[i] = bp_cbor_get_tstr(rd);
        if (a->feature[i].n == 0 || a->feature[i].n > BP_EVIDENCE_TEXT_MAX) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
    }
    a->features = (uint32_t)n;
}

static void get_held(bp_rd *rd, struct bp_about *a)
{
    if (bp_cbor_get_array(rd) != 2) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    a->has_held = true;
    a->held_log = bp_cbor_get_bstr(rd);
    if (a->held_log.n != 0 && a->held_log.n != 32) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    a->held_ima = bp_cbor_get_uint(rd);
}

static void get_about_member(bp_rd *rd, uint64_t key, struct bp_about *a)
{
    switch (key) {
    case 4:
        a->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case 5:
        a->seq = bp_cbor_get_uint(rd);
        break;
    case 6:
        a->issued_ms = bp_cbor_get_uint(rd);
        break;
    case 7:
        a->ldevid = bp_cbor_get_bstr_n(rd, 32);
        break;
    case 8:
        get_features(rd, a);
        break;
    case 9:
        a->agent = bp_cbor_get_tstr(rd);
        break;
    case 10:
        a->activation = bp_cbor_get_bstr_n(rd, 32);
        break;
    case 11:
        get_held(rd, a);
        break;
    default: /* a newer minor: kept in the bytes, not looked at */
        (void)bp_cbor_get_item(rd);
        break;
    }
}

static bp_result get_about(bp_span value, struct bp_about *ret)
{
    bp_rd rd;
    BP_TRY(open_item(value, &rd));
    struct bp_about a = {0};
    uint32_t seen = 0;
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        seen |= key < 32 ? 1u << key : 0;
        if (key == 1) {
            if (!bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR(ABOUT_TYPE))) {
                return BP_FAIL(UNSUPPORTED);
            }
        } else if (key == 2) {
            if (bp_cbor_get_uint(&rd) != 1) {
                return BP_FAIL(UNSUPPORTED);
            }
        } else if (key == 3) {
            (void)bp_cbor_get_uint(&rd);
        } else {
            get_about_member(&rd, key, &a);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    if ((seen & 0x3feu) != 0x3feu || a.issued_ms > INT64_MAX || a.agent.n > BP_EVIDENCE_TEXT_MAX) {
        return BP_FAIL(MALFORMED);
    }
    *ret = a;
    return BP_OK;
}

static void put_about(bp_cw *w, const struct bp_about *a)
{
    bp_cw_map(w, 9u + (a->activation.n != 0 ? 1u : 0u) + (a->has_held ? 1u : 0u));
    bp_cw_uint(w, 1);
    bp_cw_cstr(w, ABOUT_TYPE);
    bp_cw_uint(w, 2);
    bp_cw_uint(w, 1);
    bp_cw_uint(w, 3);
    bp_cw_uint(w, BP_ABOUT_MINOR);
    bp_cw_uint(w, 4);
    bp_cw_bstr(w, a->device_id);
    bp_cw_uint(w, 5);
    bp_cw_uint(w, a->seq);
    bp_cw_uint(w, 6);
    bp_cw_uint(w, a->issued_ms);
    bp_cw_uint(w, 7);
    bp_cw_bstr(w, a->ldevid);
    bp_cw_uint(w, 8);
    bp_cw_array(w, a->features);
    for (uint32_t i = 0; i < a->features; i++) {
        bp_cw_tstr(w, a->feature[i]);
    }
    bp_cw_uint(w, 9);
    bp_cw_tstr(w, a->agent);
    if (a->activation.n != 0) {
        bp_cw_uint(w, 10);
        bp_cw_bstr(w, a->activation);
    }
    if (a->has_held) {
        bp_cw_uint(w, 11);
        bp_cw_array(w, 2);
        bp_cw_bstr(w, a->held_log);
        bp_cw_uint(w, a->held_ima);
    }
}

/* --- the other members --- */

static bp_result get_quote(bp_span value, struct bp_evidence *ev)
{
    bp_rd rd;
    BP_TRY(open_item(value, &rd));
    if (bp_cbor_get_array(&rd) != 2) {
        return BP_FAIL(MALFORMED);
    }
    ev->attest = bp_cbor_get_bstr(&rd);
    ev->signature = bp_cbor_get_bstr(&rd);
    return bp_rd_finish(&rd);
}

static bp_result get_ima(bp_span value, struct bp_evidence *ev)
{
    bp_rd rd;
    BP_TRY(open_item(value, &rd));
    if (bp_cbor_get_array(&rd) != 2) {
        return BP_FAIL(MALFORMED);
    }
    ev->ima_from = bp_cbor_get_uint(&rd);
    ev->ima = bp_cbor_get_bstr(&rd);
    ev->has_ima = true;
    BP_TRY(bp_rd_finish(&rd));
    return ev->ima_from > UINT32_MAX ? BP_FAIL(LIMIT) : BP_OK;
}

static bp_result get_pcrs(bp_span value, struct bp_evidence *ev)
{
    bp_rd rd;
    BP_TRY(open_item(value, &rd));
    const size_t n = bp_cbor_get_array(&rd);
    if (n > BP_EVIDENCE_PCRS_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t i = 0; i < n; i++) {
        ev->pcr[i] = bp_cbor_get_bstr(&rd);
        if (ev->pcr[i].n == 0 || ev->pcr[i].n > 64) {
            return BP_FAIL(MALFORMED);
        }
    }
    ev->pcrs = (uint32_t)n;
    ev->has_pcrs = true;
    return bp_rd_finish(&rd);
}

static bp_result get_keys(bp_span value, struct bp_evidence *ev)
{
    bp_rd rd;
    BP_TRY(open_item(value, &rd));
    const size_t n = bp_cbor_get_array(&rd);
    if (n > BP_EVIDENCE_KEYS_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(&rd) != 3) {
            return BP_FAIL(MALFORMED);
        }
        ev->key[i].public_area = bp_cbor_get_bstr(&rd);
        ev->key[i].attest = bp_cbor_get_bstr(&rd);
        ev->key[i].signature = bp_cbor_get_bstr(&rd);
    }
    ev->keys = (uint32_t)n;
    return bp_rd_finish(&rd);
}

static bp_result get_member(enum label which, bp_span value, struct bp_evidence *ev)
{
    switch (which) {
    case L_ABOUT:
        return get_about(value, &ev->about);
    case L_QUOTE:
        return get_quote(value, ev);
    case L_IMA:
        return get_ima(value, ev);
    case L_PCRS:
        return get_pcrs(value, ev);
    case L_KEYS:
        return get_keys(value, ev);
    case L_BOOT:
        ev->boot = value;
        ev->has_boot = true;
        return BP_OK;
    case L_COUNT:
        break;
    }
    return BP_FAIL(INTERNAL);
}

static enum label label_of(bp_span text)
{
    enum label l = L_IMA;
    while (l < L_COUNT && !bp_span_equal(text, labels[l].label)) {
        l = (enum label)(l + 1);
    }
    return l;
}

static bp_result get_record(bp_rd *rd, struct bp_evidence *ev, uint32_t *seen)
{
    const size_t from = rd->at;
    const enum label which = label_of(bp_cbor_get_tstr(rd));
    if (bp_cbor_get_array(rd) != 2) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    const bp_span media = bp_cbor_get_tstr(rd);
    const bp_span value = bp_cbor_get_bstr(rd);
    BP_TRY(bp_rd_state(rd));
    if (which == L_COUNT) {
        ev->unknown++;
        return BP_OK;
    }
    if (!bp_span_equal(media, labels[which].media)) {
        return BP_FAIL(UNSUPPORTED);
    }
    *seen |= 1u << which;
    if (which == L_QUOTE) {
        ev->before_quote.n = from - (size_t)(ev->before_quote.p - rd->in.p);
        ev->after_quote = bp_span_sub(rd->in, rd->at, rd->in.n - rd->at);
    }
    return get_member(which, value, ev);
}

bp_result bp_evidence_read(bp_span in, struct bp_evidence *ret)
{
    if (in.n > BP_EVIDENCE_MAX) {
        return BP_FAIL(LIMIT);
    }
    bp_rd rd;
    BP_TRY(open_item(in, &rd));
    const size_t n = bp_cbor_get_map(&rd);
    if (n > BP_EVIDENCE_LABELS_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_rd_state(&rd));
    memset(ret, 0, sizeof *ret); /* too large for the stack of a small machine to build aside */
    ret->all = in;
    ret->labels = (uint32_t)n;
    ret->before_quote = bp_span_sub(in, rd.at, 0);
    uint32_t seen = 0;
    bp_result r = BP_OK;
    for (size_t i = 0; i < n && !bp_failed(r); i++) {
        r = get_record(&rd, ret, &seen);
    }
    r = bp_failed(r) ? r : bp_rd_finish(&rd);
    if (!bp_failed(r) && (seen & (1u << L_ABOUT | 1u << L_QUOTE)) != (1u << L_ABOUT | 1u << L_QUOTE)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

void bp_evidence_covered(const struct bp_evidence *ev, uint8_t head[9], bp_span ret[BP_EVIDENCE_COVERED])
{
    bp_cw w = bp_cw_over(head, 9);
    bp_cw_map(&w, ev->labels - 1u);
    ret[0] = bp_span_of(head, w.wr.n);
    ret[1] = ev->before_quote;
    ret[2] = ev->after_quote;
}

/* --- writing --- */

static void put_quote(bp_cw *w, const struct bp_evidence *ev)
{
    bp_cw_array(w, 2);
    bp_cw_bstr(w, ev->attest);
    bp_cw_bstr(w, ev->signature);
}

static void put_ima(bp_cw *w, const struct bp_evidence *ev)
{
    bp_cw_array(w, 2);
    bp_cw_uint(w, ev->ima_from);
    bp_cw_bstr(w, ev->ima);
}

static void put_pcrs(bp_cw *w, const struct bp_evidence *ev)
{
    bp_cw_array(w, ev->pcrs);
    for (uint32_t i = 0; i < ev->pcrs; i++) {
        bp_cw_bstr(w, ev->pcr[i]);
    }
}

static void put_keys(bp_cw *w, const struct bp_evidence *ev)
{
    bp_cw_array(w, ev->keys);
    for (uint32_t i = 0; i < ev->keys; i++) {
        bp_cw_array(w, 3);
        bp_cw_bstr(w, ev->key[i].public_area);
        bp_cw_bstr(w, ev->key[i].attest);
        bp_cw_bstr(w, ev->key[i].signature);
    }
}

static void put_about_of(bp_cw *w, const struct bp_evidence *ev)
{
    put_about(w, &ev->about);
}

static bool has_member(const struct bp_evidence *ev, enum label l, bool with_quote)
{
    switch (l) {
    case L_IMA:
        return ev->has_ima;
    case L_BOOT:
        return ev->has_boot;
    case L_KEYS:
        return ev->keys != 0;
    case L_PCRS:
        return ev->has_pcrs;
    case L_QUOTE:
        return with_quote;
    case L_ABOUT:
    case L_COUNT:
        break;
    }
    return true;
}

/* One member by itself; apart, so that only one more writer is on the stack at a time. */
__attribute__((noinline)) static bp_result inner_at(uint8_t *ret, size_t cap, const struct bp_evidence *ev,
                                                    void (*put)(bp_cw *, const struct bp_evidence *), size_t *ret_n)
{
    bp_cw w = bp_cw_over(ret, cap);
    put(&w, ev);
    *ret_n = w.wr.n;
    return bp_cw_finish(&w);
}

/* A byte string that holds what `put` writes: measured first. */
static void put_inner(bp_cw *w, const struct bp_evidence *ev, void (*put)(bp_cw *, const struct bp_evidence *))
{
    size_t n = 0;
    BP_IGNORE(inner_at(NULL, 0, ev, put, &n), "it only measures; the write below tells");
    bp_cw_bstr_head(w, n);
    if (w->wr.n <= w->wr.cap && n <= w->wr.cap - w->wr.n) {
        bp_wr_fail(&w->wr, inner_at(w->wr.p + w->wr.n, n, ev, put, &n));
    }
    w->wr.n += n;
}

static void put_member(bp_cw *w, enum label l, const struct bp_evidence *ev)
{
    static void (*const put[L_COUNT])(bp_cw *, const struct bp_evidence *) = {
        [L_IMA] = put_ima, [L_KEYS] = put_keys, [L_PCRS] = put_pcrs, [L_ABOUT] = put_about_of, [L_QUOTE] = put_quote};
    bp_cw_tstr(w, labels[l].label);
    bp_cw_array(w, 2);
    bp_cw_tstr(w, labels[l].media);
    if (l == L_BOOT) {
        bp_cw_bstr(w, ev->boot);
    } else {
        put_inner(w, ev, put[l]);
    }
}

static bool is_writable(const struct bp_evidence *ev)
{
    const struct bp_about *a = &ev->about;
    return a->device_id.n == 33 && a->ldevid.n == 32 && (a->activation.n == 0 || a->activation.n == 32) &&
           a->features <= BP_EVIDENCE_FEATURES_MAX && a->agent.n <= BP_EVIDENCE_TEXT_MAX &&
           (a->held_log.n == 0 || a->held_log.n == 32) && ev->pcrs <= BP_EVIDENCE_PCRS_MAX &&
           ev->keys <= BP_EVIDENCE_KEYS_MAX && ev->ima_from <= UINT32_MAX;
}

bp_result bp_evidence_write(const struct bp_evidence *ev, bool with_quote, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(ev)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    uint32_t count = 0;
    for (enum label l = L_IMA; l < L_COUNT; l = (enum label)(l + 1)) {
        count += has_member(ev, l, with_quote) ? 1u : 0u;
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, count);
    for (enum label l = L_IMA; l < L_COUNT; l = (enum label)(l + 1)) {
        if (has_member(ev, l, with_quote)) {
            put_member(&w, l, ev);
        }
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
