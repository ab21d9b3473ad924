/* SPDX-License-Identifier: Apache-2.0 */
/* broker/list - see list.h. */
#include "broker/list.h"

#include <stdlib.h>

#include "platform/alloc.h"

#define BP_MODULE CLI

#define NAME_MAX_BYTES 128u

static const uint8_t oid_cn[] = {0x55, 0x04, 0x03};
static const uint8_t oid_ku[] = {0x55, 0x1d, 0x0f};
static const uint8_t ku_ca[] = {0x03, 0x02, 0x01, 0x06}; /* keyCertSign, cRLSign */

const char *bp_list_text(enum bp_list_answer a)
{
    static const char *const texts[BP_LIST_ANSWERS] = {
        [BP_LIST_NEW] = "newer than the one in force",
        [BP_LIST_SAME] = "the one in force",
        [BP_LIST_FORM] = "no revocation list",
        [BP_LIST_ISSUER] = "of another issuer",
        [BP_LIST_SIGNATURE] = "not signed by its issuer",
        [BP_LIST_OLDER] = "older than the one in force",
        [BP_LIST_EARLY] = "not valid yet by this machine's clock; with it the broker would refuse everybody",
        [BP_LIST_OVER] = "run out by this machine's clock; with it the broker would refuse everybody",
    };
    return a < BP_LIST_ANSWERS ? texts[a] : "";
}

enum bp_list_answer bp_list_judge(struct bp_crypto *c, const struct bp_x509 *issuer, const struct bp_crl *before, bp_span der,
                                  int64_t now_s, struct bp_crl *ret)
{
    struct bp_crl crl;
    if (der.n > BP_LIST_MAX || bp_failed(bp_crl_read(der, &crl))) {
        return BP_LIST_FORM;
    }
    if (!bp_span_equal(crl.issuer, issuer->subject)) {
        return BP_LIST_ISSUER;
    }
    if (bp_failed(bp_x509_verify(c, &issuer->key, crl.alg, crl.tbs, crl.signature))) {
        return BP_LIST_SIGNATURE;
    }
    if (before != NULL && crl.number < before->number) {
        return BP_LIST_OLDER;
    }
    if (before != NULL && crl.number == before->number) {
        return BP_LIST_SAME;
    }
    if (crl.this_s > now_s) {
        return BP_LIST_EARLY;
    }
    if (crl.next_s <= now_s) {
        return BP_LIST_OVER;
    }
    *ret = crl;
    return BP_LIST_NEW;
}

static int compare(const void *a, const void *b)
{
    const bp_span *x = a;
    const bp_span *y = b;
    if (x->n != y->n) {
        return x->n < y->n ? -1 : 1;
    }
    return x->n == 0 ? 0 : memcmp(x->p, y->p, x->n);
}

/* The serials of a list, in order. The caller frees *ret. */
static bp_result sorted(const struct bp_crl *crl, bp_span **ret)
{
    struct bp_crl_item item;
    size_t n = 0;
    bp_span *all = bp_alloc_array(crl->count + 1, sizeof *all);
    if (all == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_rd rd = bp_rd_over(crl->entries);
    while (n < crl->count && bp_crl_next(&rd, &item)) {
        all[n++] = item.serial;
    }
    qsort(all, n, sizeof *all, compare);
    *ret = all;
    return BP_OK;
}

bp_result bp_list_more(const struct bp_crl *of, const struct bp_crl *than, bp_result (*fn)(void *self, bp_span serial),
                       void *self)
{
    bp_span *known = NULL;
    struct bp_crl_item item;
    bp_result r = BP_OK;
    if (than != NULL) {
        BP_TRY(sorted(than, &known));
    }
    bp_rd rd = bp_rd_over(of->entries);
    while (!bp_failed(r) && bp_crl_next(&rd, &item)) {
        const bool was = than != NULL && bsearch(&item.serial, known, than->count, sizeof *known, compare) != NULL;
        r = was ? BP_OK : fn(self, item.serial);
    }
    bp_free(known);
    return r;
}

/* Names of ours: SEQUENCE OF SET { SEQUENCE { OID, UTF8String } }, one of them the common name. */
static bp_span common_name(bp_span name)
{
    bp_span found = BP_SPAN_EMPTY;
    bp_rd rd = bp_rd_over(name);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    while (bp_rd_left(&in) > 0 && !bp_failed(bp_rd_state(&in))) {
        bp_rd set = bp_der_enter(&in, BP_DER_SET);
        bp_rd pair = bp_der_enter(&set, BP_DER_SEQ);
        const bp_span oid = bp_der_get(&pair, BP_DER_OID);
        const bp_span text = bp_der_get(&pair, BP_DER_UTF8);
        bp_rd_fail(&set, bp_rd_finish(&pair));
        bp_rd_fail(&in, bp_rd_finish(&set));
        found = bp_span_equal(oid, BP_SPAN_OF(oid_cn)) ? text : found;
    }
    return bp_failed(bp_rd_finish(&in)) ? BP_SPAN_EMPTY : found;
}

static bool is_plain(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        const uint8_t c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

bp_result bp_list_name(struct bp_crypto *c, const struct bp_x509 *issuer, bp_span der, bp_span serial, bp_span *ret)
{
    struct bp_x509 x;
    BP_TRY(bp_x509_read(der, &x));
    if (!bp_span_equal(x.issuer, issuer->subject) || !bp_span_equal(x.serial, serial)) {
        return BP_FAIL(MISMATCH);
    }
    BP_TRY(bp_x509_verify(c, &issuer->key, x.alg, x.tbs, x.signature));
    const bp_span name = common_name(x.subject);
    if (!is_plain(name)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = name;
    return BP_OK;
}

bp_result bp_list_issuer(struct bp_crypto *c, bp_span root_der, bp_span der, struct bp_x509 *ret)
{
    struct bp_x509 root, x;
    struct bp_x509_ext ku;
    BP_TRY(bp_x509_read(root_der, &root));
    BP_TRY(bp_x509_read(der, &x));
    BP_TRY(bp_x509_find_ext(&x, BP_SPAN_OF(oid_ku), &ku));
    if (!bp_span_equal(ku.value, BP_SPAN_OF(ku_ca)) || !bp_span_equal(x.issuer, root.subject)) {
        return BP_FAIL(DENIED);
    }
    BP_TRY(bp_x509_verify(c, &root.key, x.alg, x.tbs, x.signature));
    *ret = x;
    return BP_OK;
}
