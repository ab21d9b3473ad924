/* SPDX-License-Identifier: Apache-2.0 */
/* codec/crl - reader of revocation lists. */
#include "codec/crl.h"

#define BP_MODULE CODEC

#define ENUMERATED 0x0au

#define OID(name, ...) static const uint8_t name[] = {__VA_ARGS__}
OID(oid_number, 0x55, 0x1d, 0x14);
OID(oid_reason, 0x55, 0x1d, 0x15);
OID(oid_aki, 0x55, 0x1d, 0x23);

/* Extensions of a list or an entry: each once, none critical, and the values of two that are looked for. */
struct wanted {
    bp_span oid[2];
    bp_span value[2];
    bool has[2];
};

static void take(struct wanted *w, const struct bp_x509_ext *e, bp_rd *rd)
{
    for (size_t i = 0; i < 2; i++) {
        if (w->oid[i].n > 0 && bp_span_equal(e->oid, w->oid[i])) {
            w->has[i] = true;
            w->value[i] = e->value;
            return;
        }
    }
    if (e->is_critical) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED)); /* it would change what the list says */
    }
}

/* Whether one with this OID stands before `end`. */
static bool stands_before(bp_span all, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(all);
    struct bp_x509_ext other;
    while (bp_rd_left(&rd) > 0 && !bp_failed(bp_x509_next_ext(&rd, &other)) && other.oid.p != e->oid.p) {
        if (bp_span_equal(other.oid, e->oid)) {
            return true;
        }
    }
    return false;
}

static void get_extensions(bp_rd *rd, struct wanted *w)
{
    const bp_span all = bp_der_get(rd, BP_DER_SEQ);
    bp_rd in = bp_rd_over(all);
    size_t count = 0;
    if (all.n == 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED)); /* SIZE (1..MAX) */
    }
    while (bp_rd_left(&in) > 0 && !bp_failed(bp_rd_state(&in))) {
        struct bp_x509_ext e;
        if (++count > BP_X509_MAX_EXTENSIONS) {
            bp_rd_fail(&in, BP_FAIL(LIMIT));
        } else if (!bp_failed(bp_x509_next_ext(&in, &e))) {
            bp_rd_fail(&in, stands_before(all, &e) ? BP_FAIL(MALFORMED) : BP_OK);
            take(w, &e, &in);
        }
    }
    bp_rd_fail(rd, bp_rd_finish(&in));
}

static uint8_t get_reason(bp_span value, bp_rd *rd)
{
    bp_rd in = bp_rd_over(value);
    const bp_span v = bp_der_get(&in, ENUMERATED);
    bp_rd_fail(rd, bp_rd_finish(&in));
    /* 0 is left out, 7 is unused, and 8, removal, belongs into a delta (RFC 5280 section 5.3.1). */
    if (v.n != 1 || v.p[0] == 0 || v.p[0] == 7 || v.p[0] == 8 || v.p[0] > 10) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return 0;
    }
    return v.p[0];
}

static struct bp_crl_item get_item(bp_rd *rd)
{
    struct bp_crl_item item = {.reason = 0};
    struct wanted w = {.oid = {BP_SPAN_OF(oid_reason)}};
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    item.serial = bp_der_get_uint(&in);
    item.revoked_s = bp_der_get_time(&in);
    if (bp_rd_left(&in) > 0) {
        get_extensions(&in, &w);
    }
    if (w.has[0]) {
        item.reason = get_reason(w.value[0], &in);
    }
    if (!bp_failed(bp_rd_state(&in)) && (item.serial.n > 20 || item.serial.p[0] == 0)) {
        bp_rd_fail(&in, BP_FAIL(MALFORMED));
    }
    bp_rd_fail(rd, bp_rd_finish(&in));
    return item;
}

bool bp_crl_next(bp_rd *rd, struct bp_crl_item *ret)
{
    if (bp_rd_left(rd) == 0 || bp_failed(bp_rd_state(rd))) {
        return false;
    }
    const struct bp_crl_item item = get_item(rd);
    if (bp_failed(bp_rd_state(rd))) {
        return false;
    }
    *ret = item;
    return true;
}

static uint64_t get_number(bp_span value, bp_rd *rd)
{
    uint64_t number = 0;
    bp_rd in = bp_rd_over(value);
    const bp_span v = bp_der_get_uint(&in);
    bp_rd_fail(rd, bp_rd_finish(&in));
    if (v.n > 8 || (v.n == 8 && (v.p[0] & 0x80u) != 0)) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return 0;
    }
    for (size_t i = 0; i < v.n; i++) {
        number = number << 8 | v.p[i];
    }
    return number;
}

static void get_entries(bp_rd *tbs, struct bp_crl *c)
{
    struct bp_crl_item item;
    if (bp_der_peek(tbs) != BP_DER_SEQ) {
        return;
    }
    c->entries = bp_der_get(tbs, BP_DER_SEQ);
    bp_rd rd = bp_rd_over(c->entries);
    while (bp_crl_next(&rd, &item)) {
        c->count++;
    }
    bp_rd_fail(tbs, bp_rd_finish(&rd));
    if (c->count == 0) {
        bp_rd_fail(tbs, BP_FAIL(MALFORMED)); /* an empty list must be absent */
    }
}

static void get_tbs(bp_rd *tbs, bp_span alg, struct bp_crl *c)
{
    struct wanted w = {.oid = {BP_SPAN_OF(oid_number), BP_SPAN_OF(oid_aki)}};
    if (bp_der_peek(tbs) != BP_DER_INT || bp_der_get_small(tbs) != 1) {
        bp_rd_fail(tbs, bp_rd_left(tbs) == 0 ? BP_FAIL(TRUNCATED) : BP_FAIL(UNSUPPORTED));
    }
    if (!bp_span_equal(bp_der_get(tbs, BP_DER_SEQ), alg)) {
        bp_rd_fail(tbs, BP_FAIL(MALFORMED));
    }
    c->issuer = bp_der_get_whole(tbs, BP_DER_SEQ);
    c->this_s = bp_der_get_time(tbs);
    c->next_s = bp_der_get_time(tbs);
    get_entries(tbs, c);
    bp_rd outer = bp_der_enter(tbs, BP_DER_CTX(0));
    get_extensions(&outer, &w);
    c->number = w.has[0] ? get_number(w.value[0], &outer) : 0;
    bp_rd_fail(tbs, bp_rd_finish(&outer));
    if (!w.has[0] || !w.has[1] || c->next_s <= c->this_s) {
        bp_rd_fail(tbs, BP_FAIL(MALFORMED));
    }
}

bp_result bp_crl_read(bp_span der, struct bp_crl *ret)
{
    struct bp_crl c = {.count = 0};
    bp_rd rd = bp_rd_over(der);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    c.tbs = bp_der_get_whole(&in, BP_DER_SEQ);
    const bp_span alg = bp_der_get(&in, BP_DER_SEQ);
    c.signature = bp_der_get_bits(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    bp_rd whole = bp_rd_over(c.tbs);
    bp_rd tbs = bp_der_enter(&whole, BP_DER_SEQ);
    get_tbs(&tbs, alg, &c);
    BP_TRY(bp_rd_finish(&tbs));
    c.alg = bp_x509_alg(alg);
    *ret = c;
    return BP_OK;
}
