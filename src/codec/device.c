/* SPDX-License-Identifier: Apache-2.0 */
/* codec/device - readers and writers of hello, challenge, answer, nonce, consistency, log-break, escrow, escrowed and lockout. */
#include "codec/device.h"

#include "codec/object.h"

#define BP_MODULE CODEC

/* Bit of a member in `seen`, and of several. */
#define BIT(key)       (1u << (key))
#define HEADER         (BIT(1) | BIT(2) | BIT(3))
#define HELLO_MUST     (HEADER | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10))
#define CHALLENGE_MUST (HEADER | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(10))
#define ANSWER_MUST    (HEADER | 0xfff0u)
#define NONCE_MUST     (HEADER | BIT(5) | BIT(6) | BIT(7))
#define PROOF_MUST     (HEADER | BIT(4) | BIT(5) | BIT(6))
#define BREAK_MUST     (HEADER | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8))
#define ESCROW_MUST    (HEADER | BIT(4) | BIT(5) | BIT(6))
#define LOCKOUT_MUST   (HEADER | BIT(4) | BIT(5))

/* --- what the objects share --- */

/* Bytewise, the shorter first where one begins with the other. */
static bool is_ascending(bp_span a, bp_span b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int d = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return d < 0 || (d == 0 && a.n < b.n);
}

/* UTF-8 is codec/cbor's to check; this looks for control characters, C1 included. */
static bool is_plain(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0)) {
            return false;
        }
    }
    return s.n <= BP_DEVICE_TEXT_MAX;
}

static bp_span get_text(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (!is_plain(s)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return s;
}

static bp_span get_full(bp_rd *rd, size_t max)
{
    const bp_span s = bp_cbor_get_bstr(rd);
    if (s.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    } else if (s.n > max) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static int64_t get_ms(bp_rd *rd)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v > INT64_MAX) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return (int64_t)v;
}

/* Items of an array that may have `max`; 0 after a failure. */
static uint32_t get_count(bp_rd *rd, size_t max)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > max) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    return (uint32_t)n;
}

static void need_array(bp_rd *rd, size_t n)
{
    if (bp_cbor_get_array(rd) != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static uint32_t get_features(bp_rd *rd, bp_span ret[BP_DEVICE_FEATURES_MAX])
{
    const uint32_t n = get_count(rd, BP_DEVICE_FEATURES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        ret[i] = get_text(rd);
        if (ret[i].n == 0 || (i > 0 && !is_ascending(ret[i - 1], ret[i]))) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
    }
    return n;
}

/* Reads the member of this key into the object; false when it has none of that key. */
typedef bool member_fn(bp_rd *rd, uint64_t key, void *object);

struct shape {
    bp_span type;
    size_t max;
    uint32_t must; /* members that are not optional */
    member_fn *member;
};

static bp_result get_head(bp_rd *rd, uint64_t key, bp_span type, uint64_t *minor)
{
    if (key == 1 && !bp_span_equal(bp_cbor_get_tstr(rd), type)) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (key == 2 && bp_cbor_get_uint(rd) != 1) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (key == 3) {
        *minor = bp_cbor_get_uint(rd);
    }
    return BP_OK;
}

static bp_result walk(bp_span in, const struct shape *shape, void *object, uint64_t *minor, uint32_t *unknown)
{
    if (in.n > shape->max) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    uint32_t seen = 0;
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(&rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(&rd);
        if (key >= 1 && key <= 3) {
            BP_TRY(get_head(&rd, key, shape->type, minor));
        } else if (key == 0) {
            return BP_FAIL(MALFORMED); /* the header stands first */
        } else if (!shape->member(&rd, key, object)) {
            (void)bp_cbor_get_item(&rd);
            *unknown += 1;
            continue;
        }
        seen |= BIT(key);
    }
    BP_TRY(bp_rd_finish(&rd));
    return (seen & shape->must) == shape->must ? BP_OK : BP_FAIL(MALFORMED);
}

static void put_features(bp_cw *w, uint64_t key, const bp_span *feature, uint32_t n)
{
    bp_cw_uint(w, key);
    bp_cw_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        bp_cw_tstr(w, feature[i]);
    }
}

static bool are_features(const bp_span *feature, uint32_t n)
{
    if (n > BP_DEVICE_FEATURES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (feature[i].n == 0 || !is_plain(feature[i]) || (i > 0 && !is_ascending(feature[i - 1], feature[i]))) {
            return false;
        }
    }
    return true;
}

/* --- hello --- */

static void get_eks(bp_rd *rd, struct bp_hello *v)
{
    v->eks = get_count(rd, BP_DEVICE_EKS_MAX);
    if (v->eks == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    for (uint32_t i = 0; i < v->eks; i++) {
        need_array(rd, 3);
        const uint64_t id = bp_cbor_get_uint(rd);
        if (id < BP_TEMPLATE_L1 || id > BP_TEMPLATE_H3) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
        v->ek[i].template_id = (uint32_t)id;
        v->ek[i].public_area = get_full(rd, BP_HELLO_MAX);
        v->ek[i].certificate = bp_cbor_get_bstr(rd);
    }
}

static void get_info(bp_rd *rd, struct bp_hello *v)
{
    const size_t n = bp_cbor_get_map(rd);
    if (n > BP_DEVICE_INFO_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        v->pair[i].name = get_text(rd);
        v->pair[i].value = get_text(rd);
    }
    v->info = (uint32_t)n;
}

static bool hello_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_hello *v = object;
    switch (key) {
    case 4:
        v->kind = get_text(rd);
        break;
    case 5:
        get_eks(rd, v);
        break;
    case 6:
        v->ak = get_full(rd, BP_HELLO_MAX);
        break;
    case 7:
        v->features = get_features(rd, v->feature);
        break;
    case 8:
        v->agent = get_text(rd);
        break;
    case 9:
        v->code = get_text(rd);
        if (v->code.n == 0) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED)); /* absent has one spelling */
        }
        break;
    case 10:
        get_info(rd, v);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_hello_read(bp_span in, struct bp_hello *ret)
{
    static const struct shape shape = {{(const uint8_t *)"hello", 5}, BP_HELLO_MAX, HELLO_MUST, hello_member};
    memset(ret, 0, sizeof(*ret));
    const bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

static bool is_hello(const struct bp_hello *v)
{
    if (v->eks == 0 || v->eks > BP_DEVICE_EKS_MAX || v->info > BP_DEVICE_INFO_MAX || v->ak.n == 0 ||
        !is_plain(v->kind) || !is_plain(v->agent) || !is_plain(v->code) || !are_features(v->feature, v->features)) {
        return false;
    }
    for (uint32_t i = 0; i < v->eks; i++) {
        const struct bp_hello_ek *ek = &v->ek[i];
        if (ek->public_area.n == 0 || ek->template_id < BP_TEMPLATE_L1 || ek->template_id > BP_TEMPLATE_H3) {
            return false;
        }
    }
    for (uint32_t i = 0; i < v->info; i++) {
        if (!is_plain(v->pair[i].name) || !is_plain(v->pair[i].value)) {
            return false;
        }
    }
    return true;
}

bp_result bp_hello_write(const struct bp_hello *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_hello(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, v->code.n != 0 ? 10 : 9, BP_SPAN_STR("hello"));
    bp_object_put_text(&w, 4, v->kind);
    bp_cw_uint(&w, 5);
    bp_cw_array(&w, v->eks);
    for (uint32_t i = 0; i < v->eks; i++) {
        bp_cw_array(&w, 3);
        bp_cw_uint(&w, v->ek[i].template_id);
        bp_cw_bstr(&w, v->ek[i].public_area);
        bp_cw_bstr(&w, v->ek[i].certificate);
    }
    bp_object_put_bytes(&w, 6, v->ak);
    put_features(&w, 7, v->feature, v->features);
    bp_object_put_text(&w, 8, v->agent);
    if (v->code.n != 0) {
        bp_object_put_text(&w, 9, v->code);
    }
    bp_cw_uint(&w, 10);
    bp_cw_map(&w, v->info);
    for (uint32_t i = 0; i < v->info; i++) {
        bp_cw_tstr(&w, v->pair[i].name);
        bp_cw_tstr(&w, v->pair[i].value);
    }
    return bp_object_finish(&w, ret_len);
}

/* --- challenge --- */

static void get_credentials(bp_rd *rd, struct bp_challenge *v)
{
    v->credentials = get_count(rd, BP_DEVICE_EKS_MAX);
    if (v->credentials == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    for (uint32_t i = 0; i < v->credentials; i++) {
        need_array(rd, 2);
        v->credential[i].id_object = get_full(rd, BP_CHALLENGE_MAX);
        v->credential[i].secret = get_full(rd, BP_CHALLENGE_MAX);
    }
}

static uint16_t get_port(bp_rd *rd)
{
    const uint64_t port = bp_cbor_get_uint(rd);
    if (port == 0 || port > UINT16_MAX) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return (uint16_t)port;
}

static bool challenge_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_challenge *v = object;
    switch (key) {
    case 4:
        v->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case 5:
        get_credentials(rd, v);
        break;
    case 6:
        v->nonce = bp_cbor_get_bstr_n(rd, 32);
        break;
    case 7:
        v->seq = bp_cbor_get_uint(rd);
        break;
    case 8:
        v->issued_ms = get_ms(rd);
        break;
    case 9:
        v->features = get_features(rd, v->feature);
        break;
    case 10:
        v->state = get_text(rd);
        break;
    case 11:
        v->device_port = get_port(rd);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_challenge_read(bp_span in, struct bp_challenge *ret)
{
    static const struct shape shape = {
        {(const uint8_t *)"challenge", 9}, BP_CHALLENGE_MAX, CHALLENGE_MUST, challenge_member};
    memset(ret, 0, sizeof(*ret));
    const bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

static bool is_challenge(const struct bp_challenge *v)
{
    if (v->device_id.n != 33 || v->nonce.n != 32 || v->issued_ms < 0 || v->credentials == 0 ||
        v->credentials > BP_DEVICE_EKS_MAX || !is_plain(v->state) || !are_features(v->feature, v->features)) {
        return false;
    }
    for (uint32_t i = 0; i < v->credentials; i++) {
        if (v->credential[i].id_object.n == 0 || v->credential[i].secret.n == 0) {
            return false;
        }
    }
    return true;
}

bp_result bp_challenge_write(const struct bp_challenge *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_challenge(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, v->device_port != 0 ? 11 : 10, BP_SPAN_STR("challenge"));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_cw_uint(&w, 5);
    bp_cw_array(&w, v->credentials);
    for (uint32_t i = 0; i < v->credentials; i++) {
        bp_cw_array(&w, 2);
        bp_cw_bstr(&w, v->credential[i].id_object);
        bp_cw_bstr(&w, v->credential[i].secret);
    }
    bp_object_put_bytes(&w, 6, v->nonce);
    bp_object_put_uint(&w, 7, v->seq);
    bp_object_put_uint(&w, 8, (uint64_t)v->issued_ms);
    put_features(&w, 9, v->feature, v->features);
    bp_object_put_text(&w, 10, v->state);
    if (v->device_port != 0) {
        bp_object_put_uint(&w, 11, v->device_port);
    }
    return bp_object_finish(&w, ret_len);
}

/* --- answer --- */

static bool is_tier(uint64_t tier)
{
    return tier == 0 || tier == 2 || tier == 32 || tier == 96;
}

static void get_held(bp_rd *rd, struct bp_answer *v)
{
    need_array(rd, 2);
    v->held_log = bp_cbor_get_bstr(rd);
    if (v->held_log.n != 0 && v->held_log.n != 32) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    v->held_ima = bp_cbor_get_uint(rd);
}

static bp_span get_signed_head(bp_rd *rd)
{
    const bp_span s = bp_cbor_get_tstr(rd);
    if (s.n > BP_DEVICE_HEAD_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    return s;
}

static void get_due(bp_rd *rd, struct bp_answer *v)
{
    const uint64_t ms = bp_cbor_get_uint(rd);
    if (ms > INT32_MAX) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    v->due_ms = (uint32_t)ms;
}

static void get_tier(bp_rd *rd, struct bp_answer *v)
{
    const uint64_t tier = bp_cbor_get_uint(rd);
    if (!is_tier(tier)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    v->tier = (uint32_t)tier;
}

#define WINDOW_MOST (INT64_MAX / 1000)

static void get_window(bp_rd *rd, struct bp_answer *v)
{
    const bool is_pair = bp_cbor_get_array(rd) == 2;
    const uint64_t from = bp_cbor_get_uint(rd);
    const uint64_t until = bp_cbor_get_uint(rd);
    if (!is_pair || from > until || until > WINDOW_MOST) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    v->has_window = true;
    v->renew_from_s = (int64_t)from;
    v->renew_until_s = (int64_t)until;
}

static void get_since(bp_rd *rd, struct bp_answer *v)
{
    const uint64_t since = bp_cbor_get_uint(rd);
    if (since == 0 || since > WINDOW_MOST) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    v->since_s = (int64_t)since;
}

static bool answer_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_answer *v = object;
    switch (key) {
    case 4:
        v->ear = get_full(rd, BP_DEVICE_EAR_MAX);
        break;
    case 5:
        v->nonce = bp_cbor_get_bstr_n(rd, 32);
        break;
    case 6:
        v->seq = bp_cbor_get_uint(rd);
        break;
    case 7:
        v->issued_ms = get_ms(rd);
        break;
    case 8:
        get_due(rd, v);
        break;
    case 9:
        get_held(rd, v);
        break;
    case 10:
        v->head = get_signed_head(rd);
        break;
    case 11:
        get_tier(rd, v);
        break;
    case 12:
        v->reason = get_text(rd);
        break;
    case 13:
        v->state = get_text(rd);
        break;
    case 14:
        v->renew = bp_cbor_get_bool(rd);
        break;
    case 15:
        v->time_ms = get_ms(rd);
        break;
    case 16:
        get_window(rd, v);
        break;
    case 17:
        get_since(rd, v);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_answer_read(bp_span in, struct bp_answer *ret)
{
    static const struct shape shape = {{(const uint8_t *)"answer", 6}, BP_ANSWER_MAX, ANSWER_MUST, answer_member};
    memset(ret, 0, sizeof(*ret));
    const bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

static bool is_answer(const struct bp_answer *v)
{
    return v->ear.n != 0 && v->ear.n <= BP_DEVICE_EAR_MAX && v->nonce.n == 32 && v->issued_ms >= 0 &&
           v->due_ms <= INT32_MAX && (v->held_log.n == 0 || v->held_log.n == 32) && v->head.n <= BP_DEVICE_HEAD_MAX &&
           is_tier(v->tier) && is_plain(v->reason) && is_plain(v->state) && v->time_ms >= 0 && v->since_s >= 0 &&
           v->since_s <= WINDOW_MOST &&
           (!v->has_window || (v->renew_from_s >= 0 && v->renew_until_s >= v->renew_from_s && v->renew_until_s <= WINDOW_MOST));
}

bp_result bp_answer_write(const struct bp_answer *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_answer(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 15u + (v->has_window ? 1u : 0u) + (v->since_s != 0 ? 1u : 0u), BP_SPAN_STR("answer"));
    bp_object_put_bytes(&w, 4, v->ear);
    bp_object_put_bytes(&w, 5, v->nonce);
    bp_object_put_uint(&w, 6, v->seq);
    bp_object_put_uint(&w, 7, (uint64_t)v->issued_ms);
    bp_object_put_uint(&w, 8, v->due_ms);
    bp_cw_uint(&w, 9);
    bp_cw_array(&w, 2);
    bp_cw_bstr(&w, v->held_log);
    bp_cw_uint(&w, v->held_ima);
    bp_object_put_text(&w, 10, v->head);
    bp_object_put_uint(&w, 11, v->tier);
    bp_object_put_text(&w, 12, v->reason);
    bp_object_put_text(&w, 13, v->state);
    bp_cw_uint(&w, 14);
    bp_cw_bool(&w, v->renew);
    bp_object_put_uint(&w, 15, (uint64_t)v->time_ms);
    if (v->has_window) {
        bp_cw_uint(&w, 16);
        bp_cw_array(&w, 2);
        bp_cw_uint(&w, (uint64_t)v->renew_from_s);
        bp_cw_uint(&w, (uint64_t)v->renew_until_s);
    }
    if (v->since_s != 0) {
        bp_object_put_uint(&w, 17, (uint64_t)v->since_s);
    }
    return bp_object_finish(&w, ret_len);
}

/* --- nonce --- */

static bool nonce_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_nonce *v = object;
    switch (key) {
    case 5:
        v->nonce = bp_cbor_get_bstr_n(rd, 32);
        break;
    case 6:
        v->seq = bp_cbor_get_uint(rd);
        break;
    case 7:
        v->issued_ms = get_ms(rd);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_nonce_read(bp_span in, struct bp_nonce *ret)
{
    static const struct shape shape = {{(const uint8_t *)"nonce", 5}, BP_NONCE_MAX, NONCE_MUST, nonce_member};
    memset(ret, 0, sizeof(*ret));
    const bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_nonce_write(const struct bp_nonce *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (v->nonce.n != 32 || v->issued_ms < 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 6, BP_SPAN_STR("nonce"));
    bp_object_put_bytes(&w, 5, v->nonce);
    bp_object_put_uint(&w, 6, v->seq);
    bp_object_put_uint(&w, 7, (uint64_t)v->issued_ms);
    return bp_object_finish(&w, ret_len);
}

/* --- consistency --- */

static bool consistency_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_consistency *v = object;
    switch (key) {
    case 4:
        v->from = bp_cbor_get_uint(rd);
        break;
    case 5:
        v->to = bp_cbor_get_uint(rd);
        break;
    case 6:
        v->hashes = get_count(rd, BP_DEVICE_PROOF_MAX);
        for (uint32_t i = 0; i < v->hashes; i++) {
            v->hash[i] = bp_cbor_get_bstr_n(rd, 32);
        }
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_consistency_read(bp_span in, struct bp_consistency *ret)
{
    static const struct shape shape = {
        {(const uint8_t *)"consistency", 11}, BP_CONSISTENCY_MAX, PROOF_MUST, consistency_member};
    memset(ret, 0, sizeof(*ret));
    bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (!bp_failed(r) && ret->from > ret->to) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_consistency_write(const struct bp_consistency *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (v->from > v->to || v->hashes > BP_DEVICE_PROOF_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 6, BP_SPAN_STR("consistency"));
    bp_object_put_uint(&w, 4, v->from);
    bp_object_put_uint(&w, 5, v->to);
    bp_cw_uint(&w, 6);
    bp_cw_array(&w, v->hashes);
    for (uint32_t i = 0; i < v->hashes; i++) {
        if (v->hash[i].n != 32) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        bp_cw_bstr(&w, v->hash[i]);
    }
    return bp_object_finish(&w, ret_len);
}

/* --- log-break --- */

static bool is_proof(bp_span v)
{
    return v.n % 32 == 0 && v.n <= BP_DEVICE_PROOF_MAX * 32u;
}

static bool is_break(const struct bp_log_break *v)
{
    return v->index < v->to && v->event.n > 0 && is_proof(v->inclusion) && is_proof(v->consistency);
}

static bool break_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_log_break *v = object;
    switch (key) {
    case 4:
        v->index = bp_cbor_get_uint(rd);
        break;
    case 5:
        v->to = bp_cbor_get_uint(rd);
        break;
    case 6:
        v->event = bp_cbor_get_bstr(rd);
        break;
    case 7:
        v->inclusion = bp_cbor_get_bstr(rd);
        break;
    case 8:
        v->consistency = bp_cbor_get_bstr(rd);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_log_break_read(bp_span in, struct bp_log_break *ret)
{
    static const struct shape shape = {{(const uint8_t *)"log-break", 9}, BP_LOG_BREAK_MAX, BREAK_MUST, break_member};
    memset(ret, 0, sizeof(*ret));
    bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (!bp_failed(r) && !is_break(ret)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_log_break_write(const struct bp_log_break *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_break(v)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 8, BP_SPAN_STR("log-break"));
    bp_object_put_uint(&w, 4, v->index);
    bp_object_put_uint(&w, 5, v->to);
    bp_object_put_bytes(&w, 6, v->event);
    bp_object_put_bytes(&w, 7, v->inclusion);
    bp_object_put_bytes(&w, 8, v->consistency);
    return bp_object_finish(&w, ret_len);
}

/* --- escrow, escrowed --- */

static enum bp_escrow_state get_escrow_state(bp_rd *rd)
{
    const uint64_t state = bp_cbor_get_uint(rd);
    if (state < BP_ESCROW_SEALED || state > BP_ESCROW_FOREIGN) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return (enum bp_escrow_state)state;
}

/* A foreign value is known to nobody here, so nothing of it can be sealed. */
static bool is_escrow(bp_span device_id, enum bp_escrow_state state, bp_span sealed)
{
    return device_id.n == 33 && state >= BP_ESCROW_SEALED && state <= BP_ESCROW_FOREIGN &&
           (sealed.n == 0) == (state == BP_ESCROW_FOREIGN);
}

static bool escrow_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_escrow *v = object;
    switch (key) {
    case 4:
        v->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case 5:
        v->state = get_escrow_state(rd);
        break;
    case 6:
        v->envelope = bp_cbor_get_bstr(rd);
        if (v->envelope.n > BP_ENVELOPE_MAX) {
            bp_rd_fail(rd, BP_FAIL(LIMIT));
        }
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_escrow_read(bp_span in, struct bp_escrow *ret)
{
    static const struct shape shape = {{(const uint8_t *)"escrow", 6}, BP_ESCROW_MAX, ESCROW_MUST, escrow_member};
    memset(ret, 0, sizeof(*ret));
    bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (!bp_failed(r) && !is_escrow(ret->device_id, ret->state, ret->envelope)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_escrow_write(const struct bp_escrow *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_escrow(v->device_id, v->state, v->envelope) || v->envelope.n > BP_ENVELOPE_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 6, BP_SPAN_STR("escrow"));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_uint(&w, 5, v->state);
    bp_object_put_bytes(&w, 6, v->envelope);
    return bp_object_finish(&w, ret_len);
}

static bool escrowed_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_escrowed *v = object;
    switch (key) {
    case 4:
        v->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case 5:
        v->state = get_escrow_state(rd);
        break;
    case 6:
        v->digest = bp_cbor_get_bstr(rd);
        if (v->digest.n != 0 && v->digest.n != 32) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
        }
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_escrowed_read(bp_span in, struct bp_escrowed *ret)
{
    static const struct shape shape = {
        {(const uint8_t *)"escrowed", 8}, BP_ESCROWED_MAX, ESCROW_MUST, escrowed_member};
    memset(ret, 0, sizeof(*ret));
    bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (!bp_failed(r) && !is_escrow(ret->device_id, ret->state, ret->digest)) {
        r = BP_FAIL(MALFORMED);
    }
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_escrowed_write(const struct bp_escrowed *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (!is_escrow(v->device_id, v->state, v->digest) || (v->digest.n != 0 && v->digest.n != 32)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 6, BP_SPAN_STR("escrowed"));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_uint(&w, 5, v->state);
    bp_object_put_bytes(&w, 6, v->digest);
    return bp_object_finish(&w, ret_len);
}

/* --- lockout --- */

static bool lockout_member(bp_rd *rd, uint64_t key, void *object)
{
    struct bp_lockout *v = object;
    switch (key) {
    case 4:
        v->device_id = bp_cbor_get_bstr_n(rd, 33);
        break;
    case 5:
        v->value = bp_cbor_get_bstr_n(rd, 32);
        break;
    default:
        return false;
    }
    return true;
}

bp_result bp_lockout_read(bp_span in, struct bp_lockout *ret)
{
    static const struct shape shape = {{(const uint8_t *)"lockout", 7}, BP_LOCKOUT_MAX, LOCKOUT_MUST, lockout_member};
    memset(ret, 0, sizeof(*ret));
    const bp_result r = walk(in, &shape, ret, &ret->minor, &ret->unknown);
    if (bp_failed(r)) {
        memset(ret, 0, sizeof(*ret));
    }
    return r;
}

bp_result bp_lockout_write(const struct bp_lockout *v, uint8_t *p, size_t cap, size_t *ret_len)
{
    if (v->device_id.n != 33 || v->value.n != 32) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(p, cap);
    bp_object_put_head(&w, 5, BP_SPAN_STR("lockout"));
    bp_object_put_bytes(&w, 4, v->device_id);
    bp_object_put_bytes(&w, 5, v->value);
    return bp_object_finish(&w, ret_len);
}
