/* SPDX-License-Identifier: Apache-2.0 */
/* codec/manifest - reader and writer of the batch manifest. */
#include "codec/manifest.h"

#define BP_MODULE CODEC

#define TYPE     "manifest"
#define ID_SIZE  33u
#define ID_UEID  0x01u /* RFC 9711 section 4.2.1 */
#define HASH     32u
#define EK_KINDS 3u /* templates 1..3 */

static bool is_text(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    return s.n != 0 && s.n <= BP_MANIFEST_TEXT_MAX;
}

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n > BP_MANIFEST_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    } else if (!is_text(s)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return s;
}

/* --- one unit --- */

static bool is_key_kind(uint64_t kind)
{
    return (kind >= 1 && kind <= EK_KINDS) || kind == BP_MANIFEST_KEY_IDEVID;
}

/* What ties the members of a unit together. A kind of root or key that is not known says nothing here. */
static bool is_whole(const struct bp_manifest_unit *u)
{
    const bool is_tpm = bp_span_equal(u->kind, BP_SPAN_STR(BP_MANIFEST_TPM2));
    uint32_t idevids = 0;
    bool ok = u->id.n == ID_SIZE && u->id.p[0] == ID_UEID && u->keys >= 1 && u->keys <= BP_MANIFEST_KEYS_MAX &&
              bp_span_equal(bp_span_of(u->id.p + 1, HASH), u->key[0].hash) &&
              (u->key[0].kind == BP_MANIFEST_KEY_IDEVID) != is_tpm;
    for (uint32_t i = 0; ok && i < u->keys; i++) {
        idevids += u->key[i].kind == BP_MANIFEST_KEY_IDEVID;
        ok = u->key[i].hash.n == HASH && (is_tpm || u->key[i].kind == BP_MANIFEST_KEY_IDEVID);
        for (uint32_t k = 0; ok && k < i; k++) {
            ok = !bp_span_equal(u->key[k].hash, u->key[i].hash);
        }
    }
    return ok && idevids == (u->idevid.n != 0 ? 1u : 0u);
}

static void get_keys(bp_rd *rd, struct bp_manifest_unit *u)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_MANIFEST_KEYS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(rd) != 2) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        const uint64_t kind = bp_cbor_get_uint(rd);
        if (!is_key_kind(kind)) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
        u->key[i] = (struct bp_manifest_key){(uint32_t)kind, bp_cbor_get_bstr_n(rd, HASH)};
    }
    u->keys = (uint32_t)n;
}

bp_result bp_manifest_next(bp_rd *rd, struct bp_manifest_unit *ret)
{
    memset(ret, 0, sizeof *ret);
    if (bp_cbor_get_array(rd) != 6) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    ret->id = bp_cbor_get_bstr_n(rd, ID_SIZE);
    ret->serial = get_text(rd);
    ret->model = get_text(rd);
    ret->kind = get_text(rd);
    get_keys(rd, ret);
    ret->idevid = bp_cbor_get_bstr(rd);
    bp_result r = bp_rd_state(rd);
    if (!bp_failed(r) && !bp_span_equal(ret->kind, BP_SPAN_STR(BP_MANIFEST_TPM2)) &&
        !bp_span_equal(ret->kind, BP_SPAN_STR(BP_MANIFEST_IDEVID))) {
        r = BP_FAIL(UNSUPPORTED);
    }
    if (!bp_failed(r) && ((ret->idevid.n != 0 && ret->idevid.n != HASH) || !is_whole(ret))) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        bp_rd_fail(rd, r);
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

static bool is_writable_unit(const struct bp_manifest_unit *u)
{
    bool ok = is_text(u->serial) && is_text(u->model) && is_text(u->kind) && (u->idevid.n == 0 || u->idevid.n == HASH) &&
              (bp_span_equal(u->kind, BP_SPAN_STR(BP_MANIFEST_TPM2)) ||
               bp_span_equal(u->kind, BP_SPAN_STR(BP_MANIFEST_IDEVID)));
    for (uint32_t i = 0; ok && i < u->keys && i < BP_MANIFEST_KEYS_MAX; i++) {
        ok = is_key_kind(u->key[i].kind);
    }
    return ok && is_whole(u);
}

static void put_unit(bp_cw *w, const struct bp_manifest_unit *u)
{
    bp_cw_array(w, 6);
    bp_cw_bstr(w, u->id);
    bp_cw_tstr(w, u->serial);
    bp_cw_tstr(w, u->model);
    bp_cw_tstr(w, u->kind);
    bp_cw_array(w, u->keys);
    for (uint32_t i = 0; i < u->keys; i++) {
        bp_cw_array(w, 2);
        bp_cw_uint(w, u->key[i].kind);
        bp_cw_bstr(w, u->key[i].hash);
    }
    bp_cw_bstr(w, u->idevid);
}

bp_result bp_manifest_unit_write(const struct bp_manifest_unit *unit, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable_unit(unit)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    put_unit(&w, unit);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

/* --- the whole --- */

/* Leaves the reader behind the list. */
static void get_units(bp_rd *rd, struct bp_manifest *m)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_MANIFEST_UNITS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    const size_t from = rd->at;
    bp_span last = BP_SPAN_EMPTY;
    for (size_t i = 0; i < n; i++) {
        struct bp_manifest_unit u;
        if (bp_failed(bp_manifest_next(rd, &u))) {
            return; /* the reader has failed too */
        }
        if (last.n != 0 && memcmp(last.p, u.id.p, ID_SIZE) >= 0) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        last = u.id;
    }
    m->units = (uint32_t)n;
    m->list = bp_span_sub(rd->in, from, rd->at - from);
}

static void get_member(bp_rd *rd, uint64_t key, struct bp_manifest *m)
{
    switch (key) {
    case 4:
        m->maker = get_text(rd);
        break;
    case 5:
        m->key = bp_cbor_get_bstr(rd);
        break;
    case 6:
        m->order = get_text(rd);
        break;
    case 7:
        m->batch = bp_cbor_get_uint(rd);
        break;
    case 8:
        m->created_ms = bp_cbor_get_uint(rd);
        break;
    case 9:
        m->quota = bp_cbor_get_uint(rd);
        break;
    case 10:
        m->before = bp_cbor_get_uint(rd);
        break;
    case 11:
        get_units(rd, m);
        break;
    default:
        (void)bp_cbor_get_item(rd);
        break;
    }
}

/* Numbers fit where they are kept, and the batch fits into its order. */
static bool is_sound(const struct bp_manifest *m)
{
    return m->key.n != 0 && m->key.n <= BP_MANIFEST_SPKI_MAX && m->batch != 0 && m->batch <= INT64_MAX &&
           m->created_ms <= INT64_MAX && m->quota <= INT64_MAX && m->units != 0 && m->units <= m->quota &&
           m->before <= m->quota - m->units;
}

static bp_result read_members(bp_rd *rd, struct bp_manifest *ret)
{
    uint32_t seen = 0;
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(rd);
        seen |= key < 32 ? 1u << key : 0;
        if (key == 1) {
            if (!bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(TYPE))) {
                bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
            }
        } else if (key == 2) {
            if (bp_cbor_get_uint(rd) != 1) {
                bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
            }
        } else if (key == 3) {
            (void)bp_cbor_get_uint(rd);
        } else {
            get_member(rd, key, ret);
        }
    }
    BP_TRY(bp_rd_finish(rd));
    return (seen & 0xffeu) == 0xffeu && is_sound(ret) ? BP_OK : BP_FAIL(MALFORMED);
}

bp_result bp_manifest_read(bp_span payload, struct bp_manifest *ret)
{
    BP_TRY(bp_cbor_check(payload));
    bp_rd rd = bp_rd_over(payload);
    memset(ret, 0, sizeof *ret);
    const bp_result r = read_members(&rd, ret);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

static bool is_writable(const struct bp_manifest *m, const struct bp_manifest_unit *unit)
{
    bool ok = is_text(m->maker) && is_text(m->order) && m->units <= BP_MANIFEST_UNITS_MAX && is_sound(m);
    for (uint32_t i = 0; ok && i < m->units; i++) {
        ok = is_writable_unit(&unit[i]) && (i == 0 || memcmp(unit[i - 1].id.p, unit[i].id.p, ID_SIZE) < 0);
    }
    return ok;
}

bp_result bp_manifest_write(const struct bp_manifest *m, const struct bp_manifest_unit *unit, uint8_t *ret, size_t cap,
                            size_t *ret_len)
{
    if (!is_writable(m, unit)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 11);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_tstr(&w, m->maker);
    bp_cw_uint(&w, 5);
    bp_cw_bstr(&w, m->key);
    bp_cw_uint(&w, 6);
    bp_cw_tstr(&w, m->order);
    const uint64_t number[] = {m->batch, m->created_ms, m->quota, m->before};
    for (uint32_t i = 0; i < 4; i++) {
        bp_cw_uint(&w, 7 + i);
        bp_cw_uint(&w, number[i]);
    }
    bp_cw_uint(&w, 11);
    bp_cw_array(&w, m->units);
    for (uint32_t i = 0; i < m->units; i++) {
        put_unit(&w, &unit[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
