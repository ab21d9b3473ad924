/* SPDX-License-Identifier: Apache-2.0 */
/* codec/corim - reader of CoRIM's reference values and writer of our profile of it. Section and key numbers are those
 * of draft-ietf-rats-corim. */
#include "codec/corim.h"

#define BP_MODULE CORIM

#define TAG_CORIM 501u
#define TAG_COMID 506u
#define TAG_URI   32u
#define TAG_UUID  37u

/* corim-map */
#define CORIM_ID      0u
#define CORIM_TAGS    1u
#define CORIM_PROFILE 3u
/* concise-mid-tag */
#define COMID_IDENTITY 1u
#define COMID_TRIPLES  4u
/* triples-map */
#define TRIPLES_REFERENCE 0u
/* environment-map and class-map */
#define ENV_CLASS    0u
#define CLASS_VENDOR 1u
#define CLASS_MODEL  2u
/* measurement-map and measurement-values-map */
#define MEAS_KEY     0u
#define MEAS_VALUE   1u
#define VAL_SVN      1u
#define VAL_DIGESTS  2u
#define VAL_FLAGS    3u
#define VAL_NAME     11u
#define FLAG_SECURE  1u
#define TAG_SVN      552u

static bool peeks(const bp_rd *rd, enum bp_cbor_type type)
{
    return bp_cbor_peek(rd) == type;
}

static bp_span get_id(bp_rd *rd)
{
    if (peeks(rd, BP_CBOR_TAG)) {
        if (bp_cbor_get_tag(rd) != TAG_UUID) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
        return bp_cbor_get_bstr_n(rd, 16);
    }
    return peeks(rd, BP_CBOR_BSTR) ? bp_cbor_get_bstr_n(rd, 16) : bp_cbor_get_tstr(rd);
}

/* The key of a map's member; a key that is no unsigned number belongs to an extension: its value is passed over. */
static bool get_key(bp_rd *rd, uint64_t *ret)
{
    if (peeks(rd, BP_CBOR_UINT)) {
        *ret = bp_cbor_get_uint(rd);
        return true;
    }
    (void)bp_cbor_get_item(rd);
    (void)bp_cbor_get_item(rd);
    return false;
}

static void get_profile(bp_rd *rd, struct bp_corim *ret)
{
    bp_rd look = *rd;
    const bp_span whole = bp_cbor_get_item(rd);
    (void)whole;
    if (peeks(&look, BP_CBOR_TAG) && bp_cbor_get_tag(&look) == TAG_URI) {
        ret->profile = bp_cbor_get_tstr(&look);
    }
}

static void get_tags(bp_rd *rd, struct bp_corim *ret)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_CORIM_TAGS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    ret->tags = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (!peeks(rd, BP_CBOR_TAG)) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
            return;
        }
        bp_rd look = *rd;
        (void)bp_cbor_get_item(rd);
        if (bp_cbor_get_tag(&look) == TAG_COMID) {
            const bp_span comid = bp_cbor_get_bstr(&look);
            bp_rd_fail(rd, bp_rd_state(&look));
            bp_rd_fail(rd, bp_cbor_check(comid));
            ret->comid[ret->comids++] = comid;
        }
    }
}

bp_result bp_corim_read(bp_span in, struct bp_corim *ret)
{
    if (in.n > BP_CORIM_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    if (peeks(&rd, BP_CBOR_TAG) && bp_cbor_get_tag(&rd) != TAG_CORIM) {
        return BP_FAIL(UNSUPPORTED);
    }
    memset(ret, 0, sizeof *ret);
    const size_t pairs = bp_cbor_get_map(&rd);
    bool has_id = false;
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        uint64_t key = 0;
        if (!get_key(&rd, &key)) {
            continue;
        }
        if (key == CORIM_ID) {
            ret->id = get_id(&rd);
            has_id = true;
        } else if (key == CORIM_TAGS) {
            get_tags(&rd, ret);
        } else if (key == CORIM_PROFILE) {
            get_profile(&rd, ret);
        } else {
            (void)bp_cbor_get_item(&rd);
        }
    }
    bp_result r = bp_rd_finish(&rd);
    if (!bp_failed(r) && (!has_id || ret->tags == 0)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof *ret);
    }
    return r;
}

/* --- one comid --- */

static void find_triples(bp_rd *rd, struct bp_corim_iter *it)
{
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            continue;
        }
        const bp_span value = bp_cbor_get_item(rd);
        if (key == TRIPLES_REFERENCE) {
            it->rd = bp_rd_over(value);
            it->triples = bp_cbor_get_array(&it->rd);
            bp_rd_fail(rd, bp_rd_state(&it->rd));
        }
    }
}

bp_result bp_corim_open(bp_span comid, struct bp_corim_iter *ret)
{
    BP_TRY(bp_cbor_check(comid));
    bp_rd rd = bp_rd_over(comid);
    struct bp_corim_iter it = {.rd = bp_rd_over(BP_SPAN_EMPTY)};
    uint32_t seen = 0;
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        uint64_t key = 0;
        if (!get_key(&rd, &key)) {
            continue;
        }
        seen |= key < 32 ? 1u << key : 0;
        if (key == COMID_TRIPLES) {
            find_triples(&rd, &it);
        } else {
            (void)bp_cbor_get_item(&rd);
        }
    }
    BP_TRY(bp_rd_finish(&rd));
    if ((seen & (1u << COMID_IDENTITY | 1u << COMID_TRIPLES)) != (1u << COMID_IDENTITY | 1u << COMID_TRIPLES)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = it;
    return BP_OK;
}

static void get_class(bp_rd *rd, struct bp_corim_iter *it)
{
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            continue;
        }
        if (key == CLASS_VENDOR) {
            it->vendor = bp_cbor_get_tstr(rd);
        } else if (key == CLASS_MODEL) {
            it->model = bp_cbor_get_tstr(rd);
        } else {
            (void)bp_cbor_get_item(rd);
        }
    }
}

static void get_environment(bp_rd *rd, struct bp_corim_iter *it)
{
    it->vendor = BP_SPAN_EMPTY;
    it->model = BP_SPAN_EMPTY;
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            continue;
        }
        if (key == ENV_CLASS) {
            get_class(rd, it);
        } else {
            (void)bp_cbor_get_item(rd);
        }
    }
}

static void get_digests(bp_rd *rd, struct bp_corim_ref *ref)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n == 0 || n > BP_CORIM_DIGESTS_MAX) {
        bp_rd_fail(rd, n == 0 ? BP_FAIL(MALFORMED) : BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (bp_cbor_get_array(rd) != 2) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        if (peeks(rd, BP_CBOR_UINT)) {
            ref->digest[i].alg = bp_cbor_get_uint(rd);
        } else { /* by name: shown by nobody, matched by nothing */
            (void)bp_cbor_get_tstr(rd);
        }
        ref->digest[i].digest = bp_cbor_get_bstr(rd);
    }
    ref->digests = (uint32_t)n;
}

static void get_flags(bp_rd *rd, struct bp_corim_ref *ref)
{
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            continue;
        }
        if (key == FLAG_SECURE) {
            ref->has_secure = true;
            ref->secure = bp_cbor_get_bool(rd);
        } else {
            (void)bp_cbor_get_item(rd);
        }
    }
}

static void get_svn(bp_rd *rd, struct bp_corim_ref *ref)
{
    if (peeks(rd, BP_CBOR_TAG) && bp_cbor_get_tag(rd) != TAG_SVN) { /* a minimum, not a value */
        (void)bp_cbor_get_item(rd);
        ref->others++;
        return;
    }
    ref->has_svn = true;
    ref->svn = bp_cbor_get_uint(rd);
}

static void get_values(bp_rd *rd, struct bp_corim_ref *ref)
{
    const size_t pairs = bp_cbor_get_map(rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            ref->others++;
            continue;
        }
        switch (key) {
        case VAL_SVN:
            get_svn(rd, ref);
            break;
        case VAL_DIGESTS:
            get_digests(rd, ref);
            break;
        case VAL_FLAGS:
            get_flags(rd, ref);
            break;
        case VAL_NAME:
            ref->name = bp_cbor_get_tstr(rd);
            break;
        default:
            (void)bp_cbor_get_item(rd);
            ref->others++;
            break;
        }
    }
}

static void get_measurement(bp_rd *rd, struct bp_corim_ref *ref)
{
    const size_t pairs = bp_cbor_get_map(rd);
    bool has_value = false;
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        uint64_t key = 0;
        if (!get_key(rd, &key)) {
            continue;
        }
        if (key == MEAS_KEY && peeks(rd, BP_CBOR_TSTR)) {
            ref->mkey = bp_cbor_get_tstr(rd);
        } else if (key == MEAS_VALUE) {
            get_values(rd, ref);
            has_value = true;
        } else {
            (void)bp_cbor_get_item(rd);
        }
    }
    if (!has_value) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/* Stands at the first measurement of the next triple. */
static void next_triple(struct bp_corim_iter *it)
{
    it->triples--;
    if (bp_cbor_get_array(&it->rd) != 2) {
        bp_rd_fail(&it->rd, BP_FAIL(MALFORMED));
        return;
    }
    get_environment(&it->rd, it);
    it->left = bp_cbor_get_array(&it->rd);
    if (it->left == 0) {
        bp_rd_fail(&it->rd, BP_FAIL(MALFORMED));
    }
}

bp_result bp_corim_next(struct bp_corim_iter *it, struct bp_corim_ref *ret)
{
    if (it->left == 0) {
        if (it->triples == 0) {
            const bp_result r = bp_rd_finish(&it->rd);
            return bp_failed(r) ? r : BP_FAIL(NOT_FOUND);
        }
        next_triple(it);
        BP_TRY(bp_rd_state(&it->rd));
    }
    it->left--;
    struct bp_corim_ref ref = {.vendor = it->vendor, .model = it->model};
    get_measurement(&it->rd, &ref);
    BP_TRY(bp_rd_state(&it->rd));
    *ret = ref;
    return BP_OK;
}

/* --- writing --- */

static void put_ref(bp_cw *w, const struct bp_corim_ref *ref)
{
    bp_cw_map(w, 2);
    bp_cw_uint(w, MEAS_KEY);
    bp_cw_tstr(w, ref->mkey);
    bp_cw_uint(w, MEAS_VALUE);
    bp_cw_map(w, (ref->has_svn ? 1u : 0u) + (ref->digests != 0 ? 1u : 0u) + (ref->has_secure ? 1u : 0u) +
                     (ref->name.n != 0 ? 1u : 0u));
    if (ref->has_svn) {
        bp_cw_uint(w, VAL_SVN);
        bp_cw_uint(w, ref->svn);
    }
    if (ref->digests != 0) {
        bp_cw_uint(w, VAL_DIGESTS);
        bp_cw_array(w, ref->digests);
        for (uint32_t i = 0; i < ref->digests; i++) {
            bp_cw_array(w, 2);
            bp_cw_uint(w, ref->digest[i].alg);
            bp_cw_bstr(w, ref->digest[i].digest);
        }
    }
    if (ref->has_secure) {
        bp_cw_uint(w, VAL_FLAGS);
        bp_cw_map(w, 1);
        bp_cw_uint(w, FLAG_SECURE);
        bp_cw_bool(w, ref->secure);
    }
    if (ref->name.n != 0) {
        bp_cw_uint(w, VAL_NAME);
        bp_cw_tstr(w, ref->name);
    }
}

static void put_comid(bp_cw *w, bp_span id, bp_span vendor, bp_span model, const struct bp_corim_ref *refs, size_t count)
{
    bp_cw_map(w, 2);
    bp_cw_uint(w, COMID_IDENTITY);
    bp_cw_map(w, 1);
    bp_cw_uint(w, 0);
    bp_cw_tstr(w, id);
    bp_cw_uint(w, COMID_TRIPLES);
    bp_cw_map(w, 1);
    bp_cw_uint(w, TRIPLES_REFERENCE);
    bp_cw_array(w, 1);
    bp_cw_array(w, 2);
    bp_cw_map(w, 1);
    bp_cw_uint(w, ENV_CLASS);
    bp_cw_map(w, 2);
    bp_cw_uint(w, CLASS_VENDOR);
    bp_cw_tstr(w, vendor);
    bp_cw_uint(w, CLASS_MODEL);
    bp_cw_tstr(w, model);
    bp_cw_array(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_ref(w, &refs[i]);
    }
}

/* Apart from the writer of the whole, so that only one of the three writers is on the stack at a time. */
__attribute__((noinline)) static bp_result comid_at(uint8_t *ret, size_t cap, bp_span id, bp_span vendor, bp_span model,
                                                    const struct bp_corim_ref *refs, size_t count, size_t *ret_n)
{
    bp_cw w = bp_cw_over(ret, cap);
    put_comid(&w, id, vendor, model, refs, count);
    *ret_n = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_corim_write(bp_span id, bp_span vendor, bp_span model, const struct bp_corim_ref *refs, size_t count,
                         uint8_t *ret, size_t cap, size_t *ret_len)
{
    bool is_good = count != 0 && count <= UINT32_MAX;
    for (size_t i = 0; i < count && is_good; i++) {
        is_good = refs[i].digests <= BP_CORIM_DIGESTS_MAX && (refs[i].digests != 0 || refs[i].has_secure);
    }
    if (!is_good) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    size_t n = 0;
    BP_IGNORE(comid_at(NULL, 0, id, vendor, model, refs, count, &n), "it only measures; the write below tells");
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_tag(&w, TAG_CORIM);
    bp_cw_map(&w, 3);
    bp_cw_uint(&w, CORIM_ID);
    bp_cw_tstr(&w, id);
    bp_cw_uint(&w, CORIM_TAGS);
    bp_cw_array(&w, 1);
    bp_cw_tag(&w, TAG_COMID);
    bp_cw_bstr_head(&w, n);
    if (w.wr.n <= cap && n <= cap - w.wr.n) {
        bp_wr_fail(&w.wr, comid_at(ret + w.wr.n, n, id, vendor, model, refs, count, &n));
    }
    w.wr.n += n;
    bp_cw_uint(&w, CORIM_PROFILE);
    bp_cw_tag(&w, TAG_URI);
    bp_cw_cstr(&w, BP_CORIM_PROFILE);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

/* --- our profile --- */

static bool has_prefix(bp_span s, bp_span prefix, bp_span *ret_rest)
{
    if (s.n < prefix.n || !bp_span_equal(bp_span_sub(s, 0, prefix.n), prefix)) {
        return false;
    }
    *ret_rest = bp_span_sub(s, prefix.n, s.n - prefix.n);
    return true;
}

static bool get_pcr(bp_span *s, uint32_t *ret)
{
    uint32_t v = 0;
    size_t n = 0;
    while (n < s->n && n < 2 && s->p[n] >= '0' && s->p[n] <= '9') {
        v = v * 10 + (uint32_t)(s->p[n] - '0');
        n++;
    }
    if (n == 0 || v > 23 || (n == 2 && s->p[0] == '0')) {
        return false;
    }
    *ret = v;
    *s = bp_span_sub(*s, n, s->n - n);
    return true;
}

bp_result bp_ref_key_read(bp_span mkey, struct bp_ref_key *ret)
{
    bp_span rest;
    struct bp_ref_key key = {.kind = BP_REF_IMA, .pcr = 10};
    if (has_prefix(mkey, BP_SPAN_STR("boot/"), &rest)) {
        key.kind = BP_REF_BOOT;
        if (!get_pcr(&rest, &key.pcr)) {
            return BP_FAIL(UNSUPPORTED);
        }
        key.required = bp_span_equal(rest, BP_SPAN_STR("/required"));
        if (!key.required && !bp_span_equal(rest, BP_SPAN_STR("/recorded"))) {
            return BP_FAIL(UNSUPPORTED);
        }
    } else if (has_prefix(mkey, BP_SPAN_STR("variable/"), &rest)) {
        key.kind = BP_REF_VARIABLE;
        key.pcr = 7;
        key.variable = rest;
        if (rest.n == 0 || rest.n > 16) {
            return BP_FAIL(UNSUPPORTED);
        }
    } else if (bp_span_equal(mkey, BP_SPAN_STR("rule/secure-boot"))) {
        key.kind = BP_REF_SECURE_BOOT;
        key.pcr = 7;
    } else if (!bp_span_equal(mkey, BP_SPAN_STR("ima"))) {
        return BP_FAIL(UNSUPPORTED);
    }
    *ret = key;
    return BP_OK;
}

bp_span bp_ref_key_write(const struct bp_ref_key *key, uint8_t room[BP_CORIM_MKEY_MAX])
{
    bp_wr wr = bp_wr_over(room, BP_CORIM_MKEY_MAX);
    switch (key->kind) {
    case BP_REF_BOOT:
        bp_wr_bytes(&wr, BP_SPAN_STR("boot/"));
        if (key->pcr >= 10) {
            bp_wr_u8(&wr, (uint8_t)('0' + key->pcr / 10 % 10));
        }
        bp_wr_u8(&wr, (uint8_t)('0' + key->pcr % 10));
        bp_wr_bytes(&wr, key->required ? BP_SPAN_STR("/required") : BP_SPAN_STR("/recorded"));
        break;
    case BP_REF_VARIABLE:
        bp_wr_bytes(&wr, BP_SPAN_STR("variable/"));
        bp_wr_bytes(&wr, key->variable);
        break;
    case BP_REF_SECURE_BOOT:
        bp_wr_bytes(&wr, BP_SPAN_STR("rule/secure-boot"));
        break;
    case BP_REF_IMA:
        bp_wr_bytes(&wr, BP_SPAN_STR("ima"));
        break;
    }
    const bp_span text = bp_wr_span(&wr);
    struct bp_ref_key back;
    return bp_failed(bp_ref_key_read(text, &back)) ? BP_SPAN_EMPTY : text;
}
