/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/document - the policy object as bytes. */
#include "fleet/policy/document.h"

#include "codec/cbor.h"

#define BP_MODULE POLICY

#define TYPE  "policy"
#define MAJOR 1u
#define WHEN_MAX 4096u

static const struct {
    uint32_t bit;
    const char *name;
} actions[] = {{BP_POLICY_ALERT, "alert"}, {BP_POLICY_QUARANTINE, "quarantine"}, {BP_POLICY_HOLD, "hold"}};

const char *bp_policy_action_name(uint32_t action)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (actions[i].bit == action) {
            return actions[i].name;
        }
    }
    return "";
}

uint32_t bp_policy_action_of(bp_span name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (bp_span_equal(name, bp_span_cstr(actions[i].name))) {
            return actions[i].bit;
        }
    }
    return 0;
}

/* -- ceilings ---------------------------------------------------------------------------------- */
static bool has_control(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static bp_result text_ok(bp_span s, size_t max, bool may_be_empty)
{
    if (s.n > max) {
        return BP_FAIL(LIMIT);
    }
    return has_control(s) || (s.n == 0 && !may_be_empty) ? BP_FAIL(MALFORMED) : BP_OK;
}

static bp_result rule_ok(const struct bp_policy_doc *d, size_t i)
{
    const struct bp_policy_rule *r = &d->rule[i];
    BP_TRY(text_ok(r->name, BP_POLICY_NAME_MAX, false));
    BP_TRY(text_ok(r->reason, BP_POLICY_REASON_MAX / 2, false));
    if (r->when.n == 0 || r->when.n > WHEN_MAX) {
        return BP_FAIL(LIMIT);
    }
    /* Names are joined by commas in the answer. */
    if (memchr(r->name.p, ',', r->name.n) != NULL) {
        return BP_FAIL(MALFORMED);
    }
    if ((r->says != BP_POLICY_PERMIT && r->says != BP_POLICY_FORBID) ||
        (r->actions & ~(BP_POLICY_ALERT | BP_POLICY_QUARANTINE | BP_POLICY_HOLD)) != 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    for (size_t k = 0; k < i; k++) {
        if (bp_span_equal(d->rule[k].name, r->name)) {
            return BP_FAIL(MALFORMED);
        }
    }
    return BP_OK;
}

static bp_result doc_ok(const struct bp_policy_doc *d)
{
    if (d->version == 0 || d->version > INT64_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(text_ok(d->zone, BP_POLICY_NAME_MAX, false));
    if (d->rules > BP_POLICY_RULES_MAX || d->tests > BP_POLICY_TESTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t i = 0; i < d->rules; i++) {
        BP_TRY(rule_ok(d, i));
    }
    for (size_t i = 0; i < d->tests; i++) {
        BP_TRY(text_ok(d->test[i].name, BP_POLICY_NAME_MAX, false));
        if (d->test[i].count > BP_POLICY_CLAIMS_MAX) {
            return BP_FAIL(LIMIT);
        }
        for (size_t k = 0; k < d->test[i].count; k++) {
            BP_TRY(text_ok(d->test[i].claim[k].name, BP_POLICY_NAME_MAX, false));
        }
    }
    return BP_OK;
}

/* -- reading ----------------------------------------------------------------------------------- */
static void read_rule(bp_rd *rd, struct bp_policy_rule *r)
{
    if (bp_cbor_get_array(rd) != 5) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    r->name = bp_cbor_get_tstr(rd);
    r->when = bp_cbor_get_tstr(rd);
    const uint64_t says = bp_cbor_get_uint(rd);
    const uint64_t bits = bp_cbor_get_uint(rd);
    r->says = says == 1 ? BP_POLICY_PERMIT : BP_POLICY_FORBID;
    r->actions = (uint32_t)bits;
    r->reason = bp_cbor_get_tstr(rd);
    if (says < 1 || says > 2 || bits > UINT32_MAX) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
}

static void read_claim(bp_rd *rd, struct bp_policy_claim *c)
{
    c->name = bp_cbor_get_tstr(rd);
    const enum bp_cbor_type type = bp_cbor_peek(rd);
    if (type == BP_CBOR_TSTR) {
        c->kind = BP_POLICY_TEXT;
        c->bytes = bp_cbor_get_tstr(rd);
    } else if (type == BP_CBOR_BSTR) {
        c->kind = BP_POLICY_BLOB;
        c->bytes = bp_cbor_get_bstr(rd);
    } else {
        c->kind = BP_POLICY_INT;
        c->number = bp_cbor_get_int(rd);
    }
}

static void read_test(bp_rd *rd, struct bp_policy_test *t)
{
    if (bp_cbor_get_array(rd) != 3) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    t->name = bp_cbor_get_tstr(rd);
    t->count = bp_cbor_get_map(rd);
    if (t->count > BP_POLICY_CLAIMS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        read_claim(rd, &t->claim[i]);
    }
    t->permitted = bp_cbor_get_bool(rd);
}

_Static_assert(BP_POLICY_RULES_MAX == BP_POLICY_TESTS_MAX, "read_list has one ceiling");

static void read_list(bp_rd *rd, uint64_t key, struct bp_policy_doc *d)
{
    const size_t n = bp_cbor_get_array(rd);
    if (n > BP_POLICY_RULES_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (key == 6) {
            read_rule(rd, &d->rule[i]);
        } else {
            read_test(rd, &d->test[i]);
        }
    }
    *(key == 6 ? &d->rules : &d->tests) = n;
}

static void read_members(bp_rd *rd, size_t pairs, struct bp_policy_doc *d, uint32_t *seen)
{
    for (size_t i = 0; i < pairs && !bp_failed(bp_rd_state(rd)); i++) {
        const uint64_t key = bp_cbor_get_uint(rd);
        if (key < 32) {
            *seen |= UINT32_C(1) << key;
        }
        switch (key) {
        case 1:
            if (!bp_span_equal(bp_cbor_get_tstr(rd), BP_SPAN_STR(TYPE))) {
                bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
            }
            break;
        case 2:
            if (bp_cbor_get_uint(rd) != MAJOR) {
                bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
            }
            break;
        case 3:
            d->minor = bp_cbor_get_uint(rd);
            break;
        case 4:
            d->version = bp_cbor_get_uint(rd);
            break;
        case 5:
            d->zone = bp_cbor_get_tstr(rd);
            break;
        case 6:
        case 7:
            read_list(rd, key, d);
            break;
        default:
            /* A member that this version does not know might forbid something: such a policy is
             * not understood, so it is not taken. */
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
    }
}

bp_result bp_policy_doc_read(bp_span in, struct bp_policy_doc *ret)
{
    uint32_t seen = 0;
    if (in.n > BP_POLICY_DOCUMENT_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_cbor_check(in));
    memset(ret, 0, sizeof *ret);
    bp_rd rd = bp_rd_over(in);
    read_members(&rd, bp_cbor_get_map(&rd), ret, &seen);
    BP_TRY(bp_rd_finish(&rd));
    if (seen != 0xfe) {
        return BP_FAIL(MALFORMED);
    }
    return doc_ok(ret);
}

/* -- writing ----------------------------------------------------------------------------------- */
/* Canonical order of text keys: by length, then bytewise. */
static bool before(bp_span a, bp_span b)
{
    return a.n != b.n ? a.n < b.n : a.n > 0 && memcmp(a.p, b.p, a.n) < 0;
}

static void sort_claims(struct bp_policy_test *t)
{
    for (size_t i = 1; i < t->count; i++) {
        const struct bp_policy_claim c = t->claim[i];
        size_t k = i;
        for (; k > 0 && before(c.name, t->claim[k - 1].name); k--) {
            t->claim[k] = t->claim[k - 1];
        }
        t->claim[k] = c;
    }
}

static void write_test(bp_cw *w, struct bp_policy_test *t)
{
    sort_claims(t);
    bp_cw_array(w, 3);
    bp_cw_tstr(w, t->name);
    bp_cw_map(w, (uint32_t)t->count);
    for (size_t i = 0; i < t->count; i++) {
        const struct bp_policy_claim *c = &t->claim[i];
        bp_cw_tstr(w, c->name);
        if (c->kind == BP_POLICY_INT) {
            bp_cw_int(w, c->number);
        } else if (c->kind == BP_POLICY_TEXT) {
            bp_cw_tstr(w, c->bytes);
        } else {
            bp_cw_bstr(w, c->bytes);
        }
    }
    bp_cw_bool(w, t->permitted);
}

bp_result bp_policy_doc_write(struct bp_policy_doc *d, uint8_t *ret, size_t cap, size_t *ret_n)
{
    BP_TRY(doc_ok(d));
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, 7);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, MAJOR);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, d->minor);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, d->version);
    bp_cw_uint(&w, 5);
    bp_cw_tstr(&w, d->zone);
    bp_cw_uint(&w, 6);
    bp_cw_array(&w, (uint32_t)d->rules);
    for (size_t i = 0; i < d->rules; i++) {
        const struct bp_policy_rule *r = &d->rule[i];
        bp_cw_array(&w, 5);
        bp_cw_tstr(&w, r->name);
        bp_cw_tstr(&w, r->when);
        bp_cw_uint(&w, (uint64_t)r->says);
        bp_cw_uint(&w, r->actions);
        bp_cw_tstr(&w, r->reason);
    }
    bp_cw_uint(&w, 7);
    bp_cw_array(&w, (uint32_t)d->tests);
    for (size_t i = 0; i < d->tests; i++) {
        write_test(&w, &d->test[i]);
    }
    *ret_n = w.wr.n;
    BP_TRY(bp_cw_finish(&w));
    return w.wr.n > BP_POLICY_DOCUMENT_MAX ? BP_FAIL(LIMIT) : BP_OK;
}
