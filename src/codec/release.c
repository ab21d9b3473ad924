/* SPDX-License-Identifier: Apache-2.0 */
/* codec/release - reader and writer of the release manifest. */
#include "codec/release.h"

#define BP_MODULE CODEC

#define TYPE "release"

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    } else if (s.n > BP_RELEASE_TEXT_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static uint64_t get_ms(bp_rd *rd)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v > INT64_MAX) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static void get_images(bp_rd *rd, struct bp_release *r)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_RELEASE_IMAGES_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(rd) != 3) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        r->image[i].name = get_text(rd);
        r->image[i].digest = bp_cbor_get_bstr_n(rd, 32);
        r->image[i].size = bp_cbor_get_uint(rd);
    }
    r->images = (uint32_t)n;
}

static void get_member(bp_rd *rd, uint64_t key, struct bp_release *r)
{
    switch (key) {
    case 4:
        r->product = get_text(rd);
        break;
    case 5:
        r->model = get_text(rd);
        break;
    case 6:
        r->version = get_text(rd);
        break;
    case 7:
        r->counter = bp_cbor_get_uint(rd);
        break;
    case 8:
        r->key_epoch = bp_cbor_get_uint(rd);
        break;
    case 9:
        r->created_ms = get_ms(rd);
        break;
    case 10:
        r->support_end_ms = get_ms(rd);
        break;
    case 11:
        get_images(rd, r);
        break;
    case 12:
        r->corim = bp_cbor_get_bstr(rd);
        break;
    default:
        (void)bp_cbor_get_item(rd);
        break;
    }
}

bp_result bp_release_read(bp_span payload, struct bp_release *ret)
{
    BP_TRY(bp_cbor_check(payload));
    bp_rd rd = bp_rd_over(payload);
    uint32_t seen = 0;
    memset(ret, 0, sizeof *ret);
    bp_result r = BP_OK;
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        seen |= key < 32 ? 1u << key : 0;
        if (key == 1) {
            if (!bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR(TYPE))) {
                bp_rd_fail(&rd, BP_FAIL(UNSUPPORTED));
            }
        } else if (key == 2) {
            if (bp_cbor_get_uint(&rd) != 1) {
                bp_rd_fail(&rd, BP_FAIL(UNSUPPORTED));
            }
        } else if (key == 3) {
            (void)bp_cbor_get_uint(&rd);
        } else {
            get_member(&rd, key, ret);
        }
    }
    r = bp_rd_finish(&rd);
    if (!bp_failed(r) && ((seen & 0x1ffeu) != 0x1ffeu || ret->corim.n == 0)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

static bool is_text(bp_span s)
{
    return s.n != 0 && s.n <= BP_RELEASE_TEXT_MAX;
}

static bool is_writable(const struct bp_release *r)
{
    bool ok = is_text(r->product) && is_text(r->model) && is_text(r->version) && r->created_ms <= INT64_MAX &&
              r->support_end_ms <= INT64_MAX && r->images <= BP_RELEASE_IMAGES_MAX && r->corim.n != 0;
    for (uint32_t i = 0; ok && i < r->images; i++) {
        ok = is_text(r->image[i].name) && r->image[i].digest.n == 32;
    }
    return ok;
}

static void put_images(bp_cw *w, const struct bp_release *r)
{
    bp_cw_array(w, r->images);
    for (uint32_t i = 0; i < r->images; i++) {
        bp_cw_array(w, 3);
        bp_cw_tstr(w, r->image[i].name);
        bp_cw_bstr(w, r->image[i].digest);
        bp_cw_uint(w, r->image[i].size);
    }
}

bp_result bp_release_write(const struct bp_release *r, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(r)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 12);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    const bp_span text[] = {r->product, r->model, r->version};
    for (uint32_t i = 0; i < 3; i++) {
        bp_cw_uint(&w, 4 + i);
        bp_cw_tstr(&w, text[i]);
    }
    const uint64_t number[] = {r->counter, r->key_epoch, r->created_ms, r->support_end_ms};
    for (uint32_t i = 0; i < 4; i++) {
        bp_cw_uint(&w, 7 + i);
        bp_cw_uint(&w, number[i]);
    }
    bp_cw_uint(&w, 11);
    put_images(&w, r);
    bp_cw_uint(&w, 12);
    bp_cw_bstr(&w, r->corim);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
