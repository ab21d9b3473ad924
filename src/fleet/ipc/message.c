/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/ipc/message - readers and writers of message bodies.
 *
 * A body whose members are single values is a row of fields: key, kind, bounds, place in its struct. One writer and one
 * reader walk the row, so that the two directions cannot drift apart. Bodies with lists are written out below. */
#include "fleet/ipc/message.h"

#include "codec/cbor.h"

#define BP_MODULE CODEC

#define HASH 32u

enum kind { BYTES, TEXT, NUMBER };

struct field {
    enum kind kind;
    size_t at;
    uint64_t min, max; /* length, or value */
};

#define F(kind, type, member, min, max) {(kind), offsetof(struct type, member), (min), (max)}

static bool fits(const struct field *f, bp_span v)
{
    return v.n >= f->min && v.n <= f->max;
}

static void put_field(bp_cw *w, const struct field *f, const uint8_t *m)
{
    bp_span v = BP_SPAN_EMPTY;
    uint64_t number = 0;
    if (f->kind == NUMBER) {
        memcpy(&number, m + f->at, sizeof number);
        bp_cw_uint(w, number);
        return;
    }
    memcpy(&v, m + f->at, sizeof v);
    if (f->kind == TEXT) {
        bp_cw_tstr(w, v);
    } else {
        bp_cw_bstr(w, v);
    }
}

static bool is_good(const struct field *f, const uint8_t *m)
{
    bp_span v;
    uint64_t number;
    if (f->kind == NUMBER) {
        memcpy(&number, m + f->at, sizeof number);
        return number >= f->min && number <= f->max;
    }
    memcpy(&v, m + f->at, sizeof v);
    return fits(f, v) && (f->kind != TEXT || bp_is_utf8(v));
}

/* Field i has key i + 1: every body numbers its members from 1 without a gap. */
static bp_result write_fields(const struct field *f, uint32_t count, const void *m, uint8_t *ret, size_t cap,
                              size_t *ret_len)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!is_good(&f[i], m)) {
            return BP_FAIL(BAD_ARGUMENT);
        }
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        bp_cw_uint(&w, i + 1);
        put_field(&w, &f[i], m);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

static bp_span get_sized(bp_rd *rd, enum kind kind, size_t min, size_t max)
{
    const bp_span v = kind == TEXT ? bp_cbor_get_tstr(rd) : bp_cbor_get_bstr(rd);
    if (v.n < min || v.n > max) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static uint64_t get_number(bp_rd *rd, uint64_t min, uint64_t max)
{
    const uint64_t v = bp_cbor_get_uint(rd);
    if (v < min || v > max) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return v;
}

static void get_field(bp_rd *rd, const struct field *f, uint8_t *m)
{
    if (f->kind == NUMBER) {
        const uint64_t number = get_number(rd, f->min, f->max);
        memcpy(m + f->at, &number, sizeof number);
    } else {
        const bp_span v = get_sized(rd, f->kind, (size_t)f->min, (size_t)f->max);
        memcpy(m + f->at, &v, sizeof v);
    }
}

static bp_rd enter(bp_span body, size_t pairs)
{
    bp_rd rd = bp_rd_over(body);
    const bp_result r = body.n > BP_MSG_BODY_MAX ? BP_FAIL(LIMIT) : bp_cbor_check(body);
    if (bp_failed(r)) {
        bp_rd_fail(&rd, r);
    } else if (bp_cbor_get_map(&rd) != pairs) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    return rd;
}

/* m is the caller's own room of size n, copied to ret only when all of it is good. */
static bp_result read_fields(const struct field *f, uint32_t count, bp_span body, uint8_t *m, size_t n, void *ret)
{
    bp_rd rd = enter(body, count);
    for (uint32_t i = 0; i < count; i++) {
        bp_cbor_need_key(&rd, i + 1);
        get_field(&rd, &f[i], m);
    }
    BP_TRY(bp_rd_finish(&rd));
    memcpy(ret, m, n);
    return BP_OK;
}

#define COUNT(fields) ((uint32_t)(sizeof(fields) / sizeof((fields)[0])))

/* The pair of functions of a body that is a row of fields. */
#define BODY(name, fields)                                                                                             \
    bp_result bp_msg_##name##_write(const struct bp_msg_##name *m, uint8_t *ret, size_t cap, size_t *ret_len)          \
    {                                                                                                                  \
        return write_fields(fields, COUNT(fields), m, ret, cap, ret_len);                                              \
    }                                                                                                                  \
    bp_result bp_msg_##name##_read(bp_span body, struct bp_msg_##name *ret)                                            \
    {                                                                                                                  \
        uint8_t room[sizeof(struct bp_msg_##name)] = {0};                                                              \
        return read_fields(fields, COUNT(fields), body, room, sizeof room, ret);                                       \
    }

static const struct field bind_fields[] = {
    F(BYTES, bp_msg_bind, device_id, 33, 33),
    F(BYTES, bp_msg_bind, ak_name, 34, 34),
    F(BYTES, bp_msg_bind, proof, HASH, HASH),
    F(BYTES, bp_msg_bind, before, 0, 2048),
};
BODY(bind, bind_fields)

static const struct field issue_fields[] = {
    F(BYTES, bp_msg_issue, csr, 1, BP_MSG_REQUEST_MAX),
    F(BYTES, bp_msg_issue, ak_binding, 1, 2048),
    F(BYTES, bp_msg_issue, evidence, 1, BP_MSG_EVIDENCE_MAX),
    F(BYTES, bp_msg_issue, nonce, HASH, HASH),
    F(NUMBER, bp_msg_issue, seq, 0, UINT64_MAX),
    F(NUMBER, bp_msg_issue, issued_ms, 0, INT64_MAX),
    F(BYTES, bp_msg_issue, ear, 1, BP_MSG_SIGNED_MAX),
    F(TEXT, bp_msg_issue, pseudonym, 1, 128),
    F(TEXT, bp_msg_issue, profile, 1, 32),
    F(NUMBER, bp_msg_issue, not_before_ms, 0, INT64_MAX),
    F(BYTES, bp_msg_issue, binding, HASH, HASH),
    F(TEXT, bp_msg_issue, service, 0, 32),
    F(TEXT, bp_msg_issue, dns, 0, 128),
    F(NUMBER, bp_msg_issue, lifetime_ms, 0, INT64_MAX),
};
BODY(issue, issue_fields)

static const struct field brownfield_fields[] = {
    F(BYTES, bp_msg_brownfield, csr, 1, BP_MSG_CSR_MAX),
    F(TEXT, bp_msg_brownfield, pseudonym, 1, 128),
};
BODY(brownfield, brownfield_fields)

static const struct field operator_fields[] = {
    F(BYTES, bp_msg_operator, csr, 1, BP_MSG_CSR_MAX),
    F(TEXT, bp_msg_operator, name, 1, 128),
    F(NUMBER, bp_msg_operator, days, 1, 825),
};
BODY(operator, operator_fields)

static const struct field head_fields[] = {
    F(NUMBER, bp_msg_head, size, 0, INT64_MAX),
    F(TEXT, bp_msg_head, checkpoint, 1, BP_MSG_HEAD_MAX),
};
BODY(head, head_fields)

static const struct field stated_fields[] = {
    F(BYTES, bp_msg_stated, response, 1, 16u << 10),
    F(BYTES, bp_msg_stated, cert, 1, BP_MSG_CERT_MAX),
};
BODY(stated, stated_fields)

static const struct field stream_fields[] = {
    F(NUMBER, bp_msg_stream, event, 0, INT64_MAX),
    F(TEXT, bp_msg_stream, json, 1, 64u << 10),
};
BODY(stream, stream_fields)

/* --- append: whole hashes only --- */

static const struct field append_fields[] = {
    F(NUMBER, bp_msg_append, first, 0, INT64_MAX),
    F(BYTES, bp_msg_append, leaves, 0, (uint64_t)HASH *BP_MSG_LEAVES_MAX),
};

bp_result bp_msg_append_write(const struct bp_msg_append *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    return m->leaves.n % HASH != 0 ? BP_FAIL(BAD_ARGUMENT)
                                   : write_fields(append_fields, COUNT(append_fields), m, ret, cap, ret_len);
}

bp_result bp_msg_append_read(bp_span body, struct bp_msg_append *ret)
{
    uint8_t room[sizeof *ret] = {0};
    struct bp_msg_append m;
    BP_TRY(read_fields(append_fields, COUNT(append_fields), body, room, sizeof room, &m));
    if (m.leaves.n % HASH != 0) {
        return BP_FAIL(MALFORMED);
    }
    *ret = m;
    return BP_OK;
}

/* --- one member --- */

struct single {
    bp_span v;
};

static const struct field bytes_field[] = {F(BYTES, single, v, 1, BP_MSG_BODY_MAX)};

bp_result bp_msg_bytes_write(bp_span v, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const struct single m = {v};
    return write_fields(bytes_field, 1, &m, ret, cap, ret_len);
}

bp_result bp_msg_bytes_read(bp_span body, bp_span *ret)
{
    uint8_t room[sizeof(struct single)] = {0};
    return read_fields(bytes_field, 1, body, room, sizeof room, ret);
}

static const struct field name_field[] = {F(TEXT, single, v, 1, 64)};

static bool is_name(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        const uint8_t c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

bp_result bp_msg_name_write(bp_span name, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const struct single m = {name};
    return is_name(name) ? write_fields(name_field, 1, &m, ret, cap, ret_len) : BP_FAIL(BAD_ARGUMENT);
}

bp_result bp_msg_name_read(bp_span body, bp_span *ret)
{
    uint8_t room[sizeof(struct single)] = {0};
    struct single m;
    BP_TRY(read_fields(name_field, 1, body, room, sizeof room, &m));
    if (!is_name(m.v)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = m.v;
    return BP_OK;
}

bp_result bp_msg_state_write(bool accepting, uint8_t *ret, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 1);
    bp_cw_uint(&w, 1);
    bp_cw_bool(&w, accepting);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_state_read(bp_span body, bool *ret)
{
    bp_rd rd = enter(body, 1);
    bp_cbor_need_key(&rd, 1);
    const bool accepting = bp_cbor_get_bool(&rd);
    BP_TRY(bp_rd_finish(&rd));
    *ret = accepting;
    return BP_OK;
}

bp_result bp_msg_number_write(uint64_t number, uint8_t *ret, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 1);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, number);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_number_read(bp_span body, uint64_t *ret)
{
    bp_rd rd = enter(body, 1);
    bp_cbor_need_key(&rd, 1);
    const uint64_t number = bp_cbor_get_uint(&rd);
    BP_TRY(bp_rd_finish(&rd));
    *ret = number;
    return BP_OK;
}

bp_result bp_msg_empty_write(uint8_t *ret, size_t cap, size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 0);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_empty_read(bp_span body)
{
    bp_rd rd = enter(body, 0);
    return bp_rd_finish(&rd);
}

/* --- lists --- */

static size_t get_count(bp_rd *rd, size_t min, size_t max)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n < min || n > max) {
        bp_rd_fail(rd, n > max ? BP_FAIL(LIMIT) : BP_FAIL(MALFORMED));
        return 0;
    }
    return n;
}

static void need_array(bp_rd *rd, size_t n)
{
    if (bp_cbor_get_array(rd) != n) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static bool is_sized(bp_span s, size_t min, size_t max)
{
    return s.n >= min && s.n <= max;
}

bp_result bp_msg_credential_write(const struct bp_msg_credential *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    bool ok = m->eks >= 1 && m->eks <= BP_MSG_EKS_MAX && is_sized(m->ak, 1, BP_MSG_PUBLIC_MAX);
    for (size_t i = 0; ok && i < m->eks; i++) {
        ok = is_sized(m->ek[i].pub, 1, BP_MSG_PUBLIC_MAX) && is_sized(m->ek[i].cert, 0, BP_MSG_CERT_MAX);
    }
    if (!ok) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, (uint32_t)m->eks);
    for (size_t i = 0; i < m->eks; i++) {
        bp_cw_array(&w, 3);
        bp_cw_uint(&w, m->ek[i].template_id);
        bp_cw_bstr(&w, m->ek[i].pub);
        bp_cw_bstr(&w, m->ek[i].cert);
    }
    bp_cw_uint(&w, 2);
    bp_cw_bstr(&w, m->ak);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_credential_read(bp_span body, struct bp_msg_credential *ret)
{
    struct bp_msg_credential m = {0};
    bp_rd rd = enter(body, 2);
    bp_cbor_need_key(&rd, 1);
    m.eks = get_count(&rd, 1, BP_MSG_EKS_MAX);
    for (size_t i = 0; i < m.eks; i++) {
        need_array(&rd, 3);
        m.ek[i].template_id = bp_cbor_get_uint(&rd);
        m.ek[i].pub = get_sized(&rd, BYTES, 1, BP_MSG_PUBLIC_MAX);
        m.ek[i].cert = get_sized(&rd, BYTES, 0, BP_MSG_CERT_MAX);
    }
    bp_cbor_need_key(&rd, 2);
    m.ak = get_sized(&rd, BYTES, 1, BP_MSG_PUBLIC_MAX);
    BP_TRY(bp_rd_finish(&rd));
    *ret = m;
    return BP_OK;
}

#define ID_OBJECT_MAX 256u
#define SECRET_MAX    640u
#define QUALIFIED     34u

static bool is_challenge(const struct bp_msg_challenge *m)
{
    bool ok = m->device_id.n == 33 && m->eks >= 1 && m->eks <= BP_MSG_EKS_MAX && is_sized(m->issuer_class, 1, 16) &&
              m->hashes >= 1 && m->hashes <= m->eks;
    size_t made = 0;
    for (size_t i = 0; ok && i < m->eks; i++) {
        ok = is_sized(m->id_object[i], 0, ID_OBJECT_MAX) && is_sized(m->secret[i], 0, SECRET_MAX) &&
             (m->id_object[i].n == 0) == (m->secret[i].n == 0);
        made += m->secret[i].n > 0 ? 1u : 0u;
    }
    for (size_t i = 0; ok && i < m->hashes; i++) {
        ok = m->hash[i].n == HASH && m->qualified[i].n == QUALIFIED;
    }
    return ok && made == m->hashes;
}

bp_result bp_msg_challenge_write(const struct bp_msg_challenge *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_challenge(m)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 5);
    bp_cw_uint(&w, 1);
    bp_cw_bstr(&w, m->device_id);
    bp_cw_uint(&w, 2);
    bp_cw_array(&w, (uint32_t)m->eks);
    for (size_t i = 0; i < m->eks; i++) {
        bp_cw_array(&w, 2);
        bp_cw_bstr(&w, m->id_object[i]);
        bp_cw_bstr(&w, m->secret[i]);
    }
    bp_cw_uint(&w, 3);
    bp_cw_tstr(&w, m->issuer_class);
    bp_cw_uint(&w, 4);
    bp_cw_array(&w, (uint32_t)m->hashes);
    for (size_t i = 0; i < m->hashes; i++) {
        bp_cw_bstr(&w, m->hash[i]);
    }
    bp_cw_uint(&w, 5);
    bp_cw_array(&w, (uint32_t)m->hashes);
    for (size_t i = 0; i < m->hashes; i++) {
        bp_cw_bstr(&w, m->qualified[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_challenge_read(bp_span body, struct bp_msg_challenge *ret)
{
    struct bp_msg_challenge m = {0};
    bp_rd rd = enter(body, 5);
    bp_cbor_need_key(&rd, 1);
    m.device_id = bp_cbor_get_bstr(&rd);
    bp_cbor_need_key(&rd, 2);
    m.eks = get_count(&rd, 1, BP_MSG_EKS_MAX);
    for (size_t i = 0; i < m.eks; i++) {
        need_array(&rd, 2);
        m.id_object[i] = bp_cbor_get_bstr(&rd);
        m.secret[i] = bp_cbor_get_bstr(&rd);
    }
    bp_cbor_need_key(&rd, 3);
    m.issuer_class = bp_cbor_get_tstr(&rd);
    bp_cbor_need_key(&rd, 4);
    m.hashes = get_count(&rd, 1, BP_MSG_EKS_MAX);
    for (size_t i = 0; i < m.hashes; i++) {
        m.hash[i] = bp_cbor_get_bstr(&rd);
    }
    bp_cbor_need_key(&rd, 5);
    need_array(&rd, m.hashes);
    for (size_t i = 0; i < m.hashes; i++) {
        m.qualified[i] = bp_cbor_get_bstr(&rd);
    }
    BP_TRY(bp_rd_finish(&rd));
    if (!is_challenge(&m)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = m;
    return BP_OK;
}

bp_result bp_msg_results_write(const struct bp_msg_results *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    bool ok = m->count >= 1 && m->count <= BP_MSG_ITEMS_MAX;
    for (size_t i = 0; ok && i < m->count; i++) {
        ok = is_sized(m->item[i], 1, BP_MSG_SIGNED_MAX);
    }
    if (!ok) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 1);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, (uint32_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        bp_cw_bstr(&w, m->item[i]);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_results_read(bp_span body, struct bp_msg_results *ret)
{
    /* Twice over the same bytes: the struct is too large to be built aside, and ret stays untouched on failure. */
    for (int pass = 0; pass < 2; pass++) {
        bp_rd rd = enter(body, 1);
        bp_cbor_need_key(&rd, 1);
        const size_t n = get_count(&rd, 1, BP_MSG_ITEMS_MAX);
        for (size_t i = 0; i < n; i++) {
            const bp_span v = get_sized(&rd, BYTES, 1, BP_MSG_SIGNED_MAX);
            if (pass == 1) {
                ret->item[i] = v;
            }
        }
        BP_TRY(bp_rd_finish(&rd));
        if (pass == 1) {
            ret->count = n;
        }
    }
    return BP_OK;
}

/* --- lists that are walked --- */

static struct bp_msg_revoked get_revoked(bp_rd *rd)
{
    struct bp_msg_revoked e;
    need_array(rd, 3);
    e.serial = get_sized(rd, BYTES, 1, 20);
    e.revoked_ms = get_number(rd, 0, INT64_MAX);
    e.reason = get_number(rd, 0, 10);
    return e;
}

bp_result bp_msg_crl_write(const struct bp_msg_crl *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (m->count > BP_MSG_BODY_MAX / 8 || m->number > INT64_MAX || m->lifetime_ms > INT64_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 3);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, (uint32_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct bp_msg_revoked *e = &m->entry[i];
        if (!is_sized(e->serial, 1, 20) || e->revoked_ms > INT64_MAX || e->reason > 10) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        bp_cw_array(&w, 3);
        bp_cw_bstr(&w, e->serial);
        bp_cw_uint(&w, e->revoked_ms);
        bp_cw_uint(&w, e->reason);
    }
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, m->number);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, m->lifetime_ms);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_crl_read(bp_span body, struct bp_msg_crl *ret)
{
    struct bp_msg_crl m = {0};
    bp_rd rd = enter(body, 3);
    bp_cbor_need_key(&rd, 1);
    m.count = get_count(&rd, 0, BP_MSG_BODY_MAX);
    m.rest = rd;
    for (size_t i = 0; i < m.count && !bp_failed(bp_rd_state(&rd)); i++) {
        (void)get_revoked(&rd);
    }
    bp_cbor_need_key(&rd, 2);
    m.number = get_number(&rd, 0, INT64_MAX);
    bp_cbor_need_key(&rd, 3);
    m.lifetime_ms = get_number(&rd, 0, INT64_MAX);
    BP_TRY(bp_rd_finish(&rd));
    *ret = m;
    return BP_OK;
}

bool bp_msg_crl_next(struct bp_msg_crl *m, struct bp_msg_revoked *ret)
{
    if (m->count == 0) {
        return false;
    }
    m->count--;
    *ret = get_revoked(&m->rest);
    return true;
}

#define OCSP_ID_MAX    256u
#define OCSP_NONCE_MAX 128u

static bool is_status(const struct bp_msg_status *e)
{
    const bool plain = e->revoked_ms == 0 && e->reason == 0;
    return is_sized(e->id, 1, OCSP_ID_MAX) && e->status <= 2 && e->revoked_ms <= INT64_MAX && e->reason <= 10 &&
           (e->status == 1 || plain);
}

static bool is_ocsp(const struct bp_msg_ocsp *m)
{
    bool ok = m->count >= 1 && m->count <= BP_MSG_STATUSES_MAX && is_sized(m->nonce, 0, OCSP_NONCE_MAX);
    for (size_t i = 0; ok && i < m->count; i++) {
        ok = is_status(&m->status[i]);
    }
    return ok;
}

bp_result bp_msg_ocsp_write(const struct bp_msg_ocsp *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_ocsp(m)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, (uint32_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct bp_msg_status *e = &m->status[i];
        bp_cw_array(&w, 4);
        bp_cw_bstr(&w, e->id);
        bp_cw_uint(&w, e->status);
        bp_cw_uint(&w, e->revoked_ms);
        bp_cw_uint(&w, e->reason);
    }
    bp_cw_uint(&w, 2);
    bp_cw_bstr(&w, m->nonce);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_ocsp_read(bp_span body, struct bp_msg_ocsp *ret)
{
    struct bp_msg_ocsp m = {0};
    bp_rd rd = enter(body, 2);
    bp_cbor_need_key(&rd, 1);
    m.count = get_count(&rd, 1, BP_MSG_STATUSES_MAX);
    for (size_t i = 0; i < m.count; i++) {
        need_array(&rd, 4);
        m.status[i].id = bp_cbor_get_bstr(&rd);
        m.status[i].status = bp_cbor_get_uint(&rd);
        m.status[i].revoked_ms = bp_cbor_get_uint(&rd);
        m.status[i].reason = bp_cbor_get_uint(&rd);
    }
    bp_cbor_need_key(&rd, 2);
    m.nonce = bp_cbor_get_bstr(&rd);
    BP_TRY(bp_rd_finish(&rd));
    if (!is_ocsp(&m)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = m;
    return BP_OK;
}

bp_result bp_msg_deny_write(const struct bp_msg_deny *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (m->count > BP_MSG_BODY_MAX / HASH || m->hashes.n != m->count * HASH) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 1);
    bp_cw_uint(&w, 1);
    bp_cw_array(&w, (uint32_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        bp_cw_bstr(&w, bp_span_sub(m->hashes, i * HASH, HASH));
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_deny_read(bp_span body, struct bp_msg_deny *ret)
{
    struct bp_msg_deny m = {0};
    bp_rd rd = enter(body, 1);
    bp_cbor_need_key(&rd, 1);
    m.count = get_count(&rd, 0, BP_MSG_BODY_MAX);
    m.rest = rd;
    for (size_t i = 0; i < m.count && !bp_failed(bp_rd_state(&rd)); i++) {
        (void)bp_cbor_get_bstr_n(&rd, HASH);
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = m;
    return BP_OK;
}

bool bp_msg_deny_next(struct bp_msg_deny *m, bp_span *ret)
{
    if (m->count == 0) {
        return false;
    }
    m->count--;
    *ret = bp_cbor_get_bstr_n(&m->rest, HASH);
    return true;
}

static struct bp_msg_reference get_reference(bp_rd *rd)
{
    struct bp_msg_reference e;
    need_array(rd, 4);
    e.id = bp_cbor_get_bstr_n(rd, HASH);
    e.state = get_number(rd, 1, 3);
    e.zone = get_sized(rd, TEXT, 1, BP_MSG_TEXT_MAX);
    e.corim = get_sized(rd, BYTES, 1, BP_MSG_BODY_MAX);
    return e;
}

bp_result bp_msg_references_write(const struct bp_msg_references *m, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (m->count > BP_MSG_REFERENCES_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, m->epoch);
    bp_cw_uint(&w, 2);
    bp_cw_array(&w, (uint32_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct bp_msg_reference *e = &m->row[i];
        if (e->id.n != HASH || e->state < 1 || e->state > 3 || !is_sized(e->zone, 1, BP_MSG_TEXT_MAX) ||
            !is_sized(e->corim, 1, BP_MSG_BODY_MAX)) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        bp_cw_array(&w, 4);
        bp_cw_bstr(&w, e->id);
        bp_cw_uint(&w, e->state);
        bp_cw_tstr(&w, e->zone);
        bp_cw_bstr(&w, e->corim);
    }
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_msg_references_read(bp_span body, struct bp_msg_references *ret)
{
    struct bp_msg_references m = {0};
    bp_rd rd = enter(body, 2);
    bp_cbor_need_key(&rd, 1);
    m.epoch = bp_cbor_get_uint(&rd);
    bp_cbor_need_key(&rd, 2);
    m.count = get_count(&rd, 0, BP_MSG_REFERENCES_MAX);
    m.rest = rd;
    for (size_t i = 0; i < m.count && !bp_failed(bp_rd_state(&rd)); i++) {
        (void)get_reference(&rd);
    }
    BP_TRY(bp_rd_finish(&rd));
    *ret = m;
    return BP_OK;
}

bool bp_msg_references_next(struct bp_msg_references *m, struct bp_msg_reference *ret)
{
    if (m->count == 0) {
        return false;
    }
    m->count--;
    *ret = get_reference(&m->rest);
    return true;
}
