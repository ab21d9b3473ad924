/* SPDX-License-Identifier: Apache-2.0 */
/* codec/est - PKCS#10 written, evidence in it written and read, certs-only CMS read. */
#include "codec/est.h"

#include "codec/der.h"

#define BP_MODULE DER

static const uint8_t oid_cn[] = {0x55, 0x04, 0x03};
static const uint8_t oid_signed_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
static const uint8_t oid_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
/* AlgorithmIdentifier of ecdsa-with-SHA256, whole (RFC 5758 section 3.2: no parameters). */
static const uint8_t alg_es256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

#define SIGNATURE_MAX 80u /* ECDSA-Sig-Value of P-256: 72 at most */

/* -- evidence in a request ---------------------------------------------------------------------------- */
/* Attribute: SEQUENCE { OID, SET { AttestationBundle } }, with the sizes of what is inside one another. */
struct attribute {
    size_t statement; /* content of SEQUENCE { type, stmt } */
    size_t statements;
    size_t bundle;
    size_t set;
    size_t all; /* of the attribute; whole: bp_der_size(all) */
};

static struct attribute attribute_of(bp_span evidence)
{
    struct attribute a;
    a.statement = bp_der_size(sizeof BP_EST_EVIDENCE_TYPE - 1) + bp_der_size(evidence.n);
    a.statements = bp_der_size(a.statement);
    a.bundle = bp_der_size(a.statements);
    a.set = bp_der_size(a.bundle);
    a.all = bp_der_size(sizeof BP_EST_EVIDENCE_OID - 1) + bp_der_size(a.set);
    return a;
}

static void put_attribute(bp_wr *wr, bp_span evidence)
{
    const struct attribute a = attribute_of(evidence);
    bp_der_put_head(wr, BP_DER_SEQ, a.all);
    bp_der_put(wr, BP_DER_OID, BP_SPAN_STR(BP_EST_EVIDENCE_OID));
    bp_der_put_head(wr, BP_DER_SET, a.set);
    bp_der_put_head(wr, BP_DER_SEQ, a.bundle);
    bp_der_put_head(wr, BP_DER_SEQ, a.statements);
    bp_der_put_head(wr, BP_DER_SEQ, a.statement);
    bp_der_put(wr, BP_DER_OID, BP_SPAN_STR(BP_EST_EVIDENCE_TYPE));
    bp_der_put(wr, BP_DER_OCTETS, evidence);
}

/* What is left in a reader is something that this draft, or this server, has no use for. */
static void need_end(bp_rd *rd)
{
    if (!bp_failed(bp_rd_state(rd)) && bp_rd_left(rd) > 0) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
}

static bp_result read_bundle(bp_span value, bp_span *ret)
{
    bp_rd rd = bp_rd_over(value);
    bp_rd bundle = bp_der_enter(&rd, BP_DER_SEQ);
    bp_rd statements = bp_der_enter(&bundle, BP_DER_SEQ);
    bp_rd statement = bp_der_enter(&statements, BP_DER_SEQ);
    if (!bp_span_equal(bp_der_get(&statement, BP_DER_OID), BP_SPAN_STR(BP_EST_EVIDENCE_TYPE))) {
        bp_rd_fail(&statement, BP_FAIL(UNSUPPORTED));
    }
    const bp_span evidence = bp_der_get(&statement, BP_DER_OCTETS);
    need_end(&statement);
    BP_TRY(bp_rd_finish(&statement));
    need_end(&statements);
    BP_TRY(bp_rd_finish(&statements));
    need_end(&bundle);
    BP_TRY(bp_rd_finish(&bundle));
    BP_TRY(bp_rd_finish(&rd));
    if (evidence.n > BP_EST_EVIDENCE_MAX) {
        return BP_FAIL(LIMIT);
    }
    *ret = evidence;
    return evidence.n == 0 ? BP_FAIL(MALFORMED) : BP_OK;
}

bp_result bp_est_evidence_read(bp_span attributes, bp_span *ret)
{
    bp_span value = BP_SPAN_EMPTY;
    bp_span evidence = BP_SPAN_EMPTY;
    bool is_there = false;
    bp_rd rd = bp_rd_over(attributes);
    while (bp_rd_left(&rd) > 0 && !bp_failed(bp_rd_state(&rd))) {
        bp_rd attribute = bp_der_enter(&rd, BP_DER_SEQ);
        const bp_span oid = bp_der_get(&attribute, BP_DER_OID);
        bp_rd values = bp_der_enter(&attribute, BP_DER_SET);
        BP_TRY(bp_rd_finish(&attribute));
        if (!bp_span_equal(oid, BP_SPAN_STR(BP_EST_EVIDENCE_OID))) {
            continue;
        }
        value = bp_der_get_whole(&values, BP_DER_SEQ);
        BP_TRY(bp_rd_state(&values));
        if (is_there || bp_rd_left(&values) > 0) {
            return BP_FAIL(EXISTS);
        }
        is_there = true;
    }
    BP_TRY(bp_rd_finish(&rd));
    if (!is_there) {
        return BP_FAIL(NOT_FOUND);
    }
    BP_TRY(read_bundle(value, &evidence));
    *ret = evidence;
    return BP_OK;
}

/* -- requests ------------------------------------------------------------------------------------------ */
bp_result bp_est_info_write(bp_span name, bp_span spki, uint8_t *ret, size_t cap, size_t *ret_len)
{
    return bp_est_info_evidence_write(name, spki, BP_SPAN_EMPTY, ret, cap, ret_len);
}

bp_result bp_est_info_evidence_write(bp_span name, bp_span spki, bp_span evidence, uint8_t *ret, size_t cap,
                                     size_t *ret_len)
{
    if (name.n == 0 || name.n > BP_EST_NAME_MAX || spki.n == 0 || evidence.n > BP_EST_EVIDENCE_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    /* Name: SEQUENCE { SET { SEQUENCE { OID, UTF8String } } } */
    const size_t pair_n = bp_der_size(sizeof oid_cn) + bp_der_size(name.n);
    const size_t set_n = bp_der_size(pair_n);
    const size_t name_n = bp_der_size(set_n);
    const size_t attributes_n = evidence.n == 0 ? 0 : bp_der_size(attribute_of(evidence).all);
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, 3 + bp_der_size(name_n) + spki.n + bp_der_size(attributes_n));
    bp_der_put_uint(&wr, BP_SPAN_EMPTY); /* version 0 */
    bp_der_put_head(&wr, BP_DER_SEQ, name_n);
    bp_der_put_head(&wr, BP_DER_SET, set_n);
    bp_der_put_head(&wr, BP_DER_SEQ, pair_n);
    bp_der_put(&wr, BP_DER_OID, BP_SPAN_OF(oid_cn));
    bp_der_put(&wr, BP_DER_UTF8, name);
    bp_wr_bytes(&wr, spki);
    bp_der_put_head(&wr, BP_DER_CTX(0), attributes_n);
    if (evidence.n > 0) {
        put_attribute(&wr, evidence);
    }
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

bp_result bp_est_request_write(bp_span info, bp_span raw, uint8_t *ret, size_t cap, size_t *ret_len)
{
    uint8_t sig[SIGNATURE_MAX];
    size_t sig_n = 0;
    if (info.n == 0 || raw.n != 64) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(bp_der_ecdsa_write(raw, sig, sizeof sig, &sig_n));
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, info.n + sizeof alg_es256 + bp_der_size(1 + sig_n));
    bp_wr_bytes(&wr, info);
    bp_wr_bytes(&wr, BP_SPAN_OF(alg_es256));
    bp_der_put_head(&wr, BP_DER_BITS, 1 + sig_n);
    bp_wr_u8(&wr, 0); /* unused bits */
    bp_wr_bytes(&wr, bp_span_of(sig, sig_n));
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

static void need_oid(bp_rd *rd, bp_span oid)
{
    if (!bp_span_equal(bp_der_get(rd, BP_DER_OID), oid)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

/* The certificates of [0]; counts past the ceiling so that the caller sees it. */
static size_t get_certs(bp_rd *sd, bp_span ret[BP_EST_CERTS_MAX])
{
    size_t count = 0;
    bp_rd certs = bp_der_enter(sd, BP_DER_CTX(0));
    while (bp_rd_left(&certs) > 0 && !bp_failed(bp_rd_state(&certs)) && count <= BP_EST_CERTS_MAX) {
        const bp_span cert = bp_der_get_whole(&certs, BP_DER_SEQ);
        if (count < BP_EST_CERTS_MAX) {
            ret[count] = cert;
        }
        count++;
    }
    bp_rd_fail(sd, bp_rd_state(&certs));
    return count;
}

bp_result bp_est_certs_read(bp_span cms, bp_span ret[BP_EST_CERTS_MAX], size_t *ret_count)
{
    bp_span found[BP_EST_CERTS_MAX];
    bp_rd rd = bp_rd_over(cms);
    bp_rd info = bp_der_enter(&rd, BP_DER_SEQ);
    need_oid(&info, BP_SPAN_OF(oid_signed_data));
    bp_rd wrap = bp_der_enter(&info, BP_DER_CTX(0));
    bp_rd sd = bp_der_enter(&wrap, BP_DER_SEQ);
    (void)bp_der_get_small(&sd);               /* version: 1, or 3 in older writers */
    (void)bp_der_get(&sd, BP_DER_SET);         /* digest algorithms */
    bp_rd content = bp_der_enter(&sd, BP_DER_SEQ);
    need_oid(&content, BP_SPAN_OF(oid_data));
    bp_rd_fail(&sd, bp_rd_finish(&content)); /* content itself is absent */
    size_t count = bp_der_peek(&sd) == BP_DER_CTX(0) ? get_certs(&sd, found) : 0;
    if (bp_der_peek(&sd) == BP_DER_CTX(1)) {
        (void)bp_der_get(&sd, BP_DER_CTX(1)); /* revocation lists; not ours to take from here */
    }
    if (bp_der_get(&sd, BP_DER_SET).n != 0) {
        bp_rd_fail(&sd, BP_FAIL(MALFORMED)); /* signers */
    }
    BP_TRY(bp_rd_finish(&sd));
    BP_TRY(bp_rd_finish(&wrap));
    BP_TRY(bp_rd_finish(&info));
    BP_TRY(bp_rd_finish(&rd));
    if (count == 0) {
        return BP_FAIL(NOT_FOUND);
    }
    if (count > BP_EST_CERTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    memcpy(ret, found, count * sizeof found[0]);
    *ret_count = count;
    return BP_OK;
}
