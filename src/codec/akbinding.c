/* SPDX-License-Identifier: Apache-2.0 */
/* codec/akbinding - reader and writer of the statement about an attestation key. */
#include "codec/akbinding.h"

#include "codec/object.h"

#define BP_MODULE CODEC

#define TYPE "ak-binding"
#define LAST    10u /* the highest key that is always there */
#define ALIASES 11u

/* From weak to strong, from 1 on; 0: no class. */
static unsigned rank_of(bp_span s)
{
    static const bp_span name[] = {{(const uint8_t *)"software", 8}, {(const uint8_t *)"unknown", 7},
                                   {(const uint8_t *)"virtual", 7}, {(const uint8_t *)"firmware", 8},
                                   {(const uint8_t *)"discrete", 8}};
    unsigned rank = 0;
    for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
        rank = bp_span_equal(s, name[i]) ? i + 1 : rank;
    }
    return rank;
}

static bool is_class(bp_span s)
{
    return rank_of(s) != 0;
}

bp_span bp_akbinding_weaker(bp_span a, bp_span b)
{
    return rank_of(a) < rank_of(b) ? a : b;
}

static void get_eks(bp_rd *rd, struct bp_akbinding *b)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_AKBINDING_EKS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        b->ek[i] = bp_cbor_get_bstr_n(rd, 32);
    }
    b->eks = (uint32_t)n;
}

static void get_qualified(bp_rd *rd, struct bp_akbinding *b)
{
    if (bp_cbor_get_array(rd) != b->eks) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    for (uint32_t i = 0; i < b->eks; i++) {
        b->qualified[i] = bp_cbor_get_bstr_n(rd, BP_AKBINDING_NAME_SIZE);
    }
}

static void get_aliases(bp_rd *rd, struct bp_akbinding *b)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_AKBINDING_EKS_MAX) { /* none has one spelling: no member */
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        b->alias[i] = bp_cbor_get_bstr_n(rd, 32);
        if (bp_akbinding_has_ek(b, b->alias[i])) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        b->aliases++;
    }
}

static void get_members(bp_rd *rd, struct bp_akbinding *b)
{
    bp_cbor_need_key(rd, 4);
    b->device_id = bp_cbor_get_bstr_n(rd, 33);
    bp_cbor_need_key(rd, 5);
    b->ak_name = bp_cbor_get_bstr_n(rd, BP_AKBINDING_NAME_SIZE);
    bp_cbor_need_key(rd, 6);
    b->issuer_class = bp_cbor_get_tstr(rd);
    if (!is_class(b->issuer_class)) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
    bp_cbor_need_key(rd, 7);
    b->time_ms = bp_cbor_get_int(rd);
    bp_cbor_need_key(rd, 8);
    get_eks(rd, b);
    bp_cbor_need_key(rd, 9);
    b->ak = bp_cbor_get_bstr(rd);
    if (b->ak.n == 0 || b->ak.n > BP_AKBINDING_AK_MAX || b->time_ms < 0) {
        bp_rd_fail(rd, b->ak.n > BP_AKBINDING_AK_MAX ? BP_FAIL(LIMIT) : BP_FAIL(MALFORMED));
    }
    bp_cbor_need_key(rd, LAST);
    get_qualified(rd, b);
}

bp_result bp_akbinding_read(bp_span payload, struct bp_akbinding *ret)
{
    BP_TRY(bp_cbor_check(payload));
    struct bp_akbinding b = {0};
    bp_rd rd = bp_rd_over(payload);
    uint64_t minor = 0;
    const uint32_t unknown = bp_object_get_head(&rd, BP_SPAN_STR(TYPE), LAST, &minor);
    get_members(&rd, &b);
    for (uint32_t i = 0; i < unknown && !bp_failed(bp_rd_state(&rd)); i++) {
        if (bp_cbor_get_uint(&rd) == ALIASES) {
            get_aliases(&rd, &b);
        } else {
            (void)bp_cbor_get_item(&rd); /* of a newer minor */
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = b;
    return BP_OK;
}

bool bp_akbinding_is_signer(const struct bp_akbinding *b, bp_span qualified_signer)
{
    for (uint32_t i = 0; i < b->eks; i++) {
        if (bp_span_equal(b->qualified[i], qualified_signer)) {
            return true;
        }
    }
    return false;
}

bool bp_akbinding_has_ek(const struct bp_akbinding *b, bp_span spki_sha256)
{
    bool has = false;
    for (uint32_t i = 0; i < b->eks; i++) {
        has = has || bp_span_equal(b->ek[i], spki_sha256);
    }
    for (uint32_t i = 0; i < b->aliases; i++) {
        has = has || bp_span_equal(b->alias[i], spki_sha256);
    }
    return has;
}

static bool are_aliases(const struct bp_akbinding *b)
{
    struct bp_akbinding before = *b;
    before.aliases = 0;
    for (uint32_t i = 0; i < b->aliases; i++, before.aliases++) {
        if (b->alias[i].n != 32 || bp_akbinding_has_ek(&before, b->alias[i])) {
            return false;
        }
    }
    return true;
}

static bool is_writable(const struct bp_akbinding *b)
{
    bool ok = b->device_id.n == 33 && b->ak_name.n == BP_AKBINDING_NAME_SIZE && is_class(b->issuer_class) &&
              b->time_ms >= 0 && b->eks >= 1 && b->eks <= BP_AKBINDING_EKS_MAX && b->ak.n >= 1 &&
              b->ak.n <= BP_AKBINDING_AK_MAX && b->aliases <= BP_AKBINDING_EKS_MAX;
    for (uint32_t i = 0; ok && i < b->eks; i++) {
        ok = b->ek[i].n == 32 && b->qualified[i].n == BP_AKBINDING_NAME_SIZE;
    }
    return ok && are_aliases(b);
}

bp_result bp_akbinding_write(const struct bp_akbinding *b, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_writable(b)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_object_put_head(&w, LAST + (b->aliases > 0 ? 1u : 0u), BP_SPAN_STR(TYPE));
    bp_cw_uint(&w, 4);
    bp_cw_bstr(&w, b->device_id);
    bp_cw_uint(&w, 5);
    bp_cw_bstr(&w, b->ak_name);
    bp_cw_uint(&w, 6);
    bp_cw_tstr(&w, b->issuer_class);
    bp_cw_uint(&w, 7);
    bp_cw_int(&w, b->time_ms);
    bp_cw_uint(&w, 8);
    bp_cw_array(&w, b->eks);
    for (uint32_t i = 0; i < b->eks; i++) {
        bp_cw_bstr(&w, b->ek[i]);
    }
    bp_cw_uint(&w, 9);
    bp_cw_bstr(&w, b->ak);
    bp_cw_uint(&w, LAST);
    bp_cw_array(&w, b->eks);
    for (uint32_t i = 0; i < b->eks; i++) {
        bp_cw_bstr(&w, b->qualified[i]);
    }
    if (b->aliases > 0) {
        bp_cw_uint(&w, ALIASES);
        bp_cw_array(&w, b->aliases);
        for (uint32_t i = 0; i < b->aliases; i++) {
            bp_cw_bstr(&w, b->alias[i]);
        }
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}
