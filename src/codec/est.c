/* SPDX-License-Identifier: Apache-2.0 */
/* codec/est - PKCS#10 written, certs-only CMS read. */
#include "codec/est.h"

#include "codec/der.h"

#define BP_MODULE DER

static const uint8_t oid_cn[] = {0x55, 0x04, 0x03};
static const uint8_t oid_signed_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
static const uint8_t oid_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
/* AlgorithmIdentifier of ecdsa-with-SHA256, whole (RFC 5758 section 3.2: no parameters). */
static const uint8_t alg_es256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

#define SIGNATURE_MAX 80u /* ECDSA-Sig-Value of P-256: 72 at most */

bp_result bp_est_info_write(bp_span name, bp_span spki, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (name.n == 0 || name.n > BP_EST_NAME_MAX || spki.n == 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    /* Name: SEQUENCE { SET { SEQUENCE { OID, UTF8String } } } */
    const size_t pair_n = bp_der_size(sizeof oid_cn) + bp_der_size(name.n);
    const size_t set_n = bp_der_size(pair_n);
    const size_t name_n = bp_der_size(set_n);
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, 3 + bp_der_size(name_n) + spki.n + bp_der_size(0));
    bp_der_put_uint(&wr, BP_SPAN_EMPTY); /* version 0 */
    bp_der_put_head(&wr, BP_DER_SEQ, name_n);
    bp_der_put_head(&wr, BP_DER_SET, set_n);
    bp_der_put_head(&wr, BP_DER_SEQ, pair_n);
    bp_der_put(&wr, BP_DER_OID, BP_SPAN_OF(oid_cn));
    bp_der_put(&wr, BP_DER_UTF8, name);
    bp_wr_bytes(&wr, spki);
    bp_der_put(&wr, BP_DER_CTX(0), BP_SPAN_EMPTY);
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
