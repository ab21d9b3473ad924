/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_ocsp - questions about status: spans lie inside the input; a question that was read is put together again
 * from its parts to the same bytes; an answer to it is as long as was said, and repeats what was asked; what is refused
 * changes nothing. */
#include "codec/ocsp.h"
#include "fuzz/fuzz.h"

static uint8_t out[16384];
static uint8_t again[BP_OCSP_REQUEST_MAX];

static void check_id(const struct bp_ocsp_id *id, bp_span in)
{
    struct bp_ocsp_id same;
    FUZZ_HOLDS(fuzz_is_inside(id->whole, in) && fuzz_is_inside(id->name_hash, id->whole));
    FUZZ_HOLDS(fuzz_is_inside(id->key_hash, id->whole) && fuzz_is_inside(id->serial, id->whole));
    FUZZ_HOLDS(id->serial.n > 0 && id->whole.n <= BP_OCSP_ID_MAX);
    FUZZ_HOLDS(!bp_failed(bp_ocsp_id_read(id->whole, &same)) && same.hash == id->hash && same.serial.p == id->serial.p);
    FUZZ_HOLDS(id->hash == BP_HASH_NONE || id->key_hash.n == bp_hash_size(id->hash));
    /* A CertID: its algorithm, as it stands, and the parts that were read. */
    bp_rd rd = bp_rd_over(id->whole);
    bp_rd content = bp_der_enter(&rd, BP_DER_SEQ);
    const bp_span alg = bp_der_get_whole(&content, BP_DER_SEQ);
    bp_wr wr = bp_wr_over(again, sizeof again);
    bp_der_put_head(&wr, BP_DER_SEQ, alg.n + bp_der_size(id->name_hash.n) + bp_der_size(id->key_hash.n) +
                                         bp_der_uint_size(id->serial));
    bp_wr_bytes(&wr, alg);
    bp_der_put(&wr, BP_DER_OCTETS, id->name_hash);
    bp_der_put(&wr, BP_DER_OCTETS, id->key_hash);
    bp_der_put_uint(&wr, id->serial);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), id->whole));
}

/* A question of nothing but certificates, written from what was read; it is the input when the input has no more. */
static void check_again(const struct bp_ocsp_request *q, bp_span in)
{
    size_t list = 0;
    for (size_t i = 0; i < q->count; i++) {
        list += bp_der_size(q->id[i].whole.n);
    }
    const size_t size = bp_der_size(bp_der_size(bp_der_size(list)));
    FUZZ_HOLDS(size <= in.n);
    bp_wr wr = bp_wr_over(again, sizeof again);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(bp_der_size(list)));
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(list));
    bp_der_put_head(&wr, BP_DER_SEQ, list);
    for (size_t i = 0; i < q->count; i++) {
        bp_der_put(&wr, BP_DER_SEQ, q->id[i].whole);
    }
    FUZZ_HOLDS(size != in.n || bp_span_equal(bp_wr_span(&wr), in));
}

static void check_answer(const struct bp_ocsp_request *q, uint8_t chance)
{
    struct bp_ocsp_single single[BP_OCSP_IDS_MAX];
    size_t n = 0, whole = 0;
    for (size_t i = 0; i < q->count; i++) {
        const enum bp_ocsp_status status = (enum bp_ocsp_status)((chance + i) % BP_OCSP_STATUSES);
        const bool is_revoked = status == BP_OCSP_REVOKED;
        single[i] = (struct bp_ocsp_single){q->id[i].whole, status, is_revoked ? (int64_t)chance << 29 : 0,
                                            is_revoked && chance > 100 ? 1 : 0};
    }
    const struct bp_ocsp_data d = {BP_SPAN_STR("\x30\x00"), chance, chance + 1, single, q->count, q->nonce};
    FUZZ_HOLDS(bp_is(bp_ocsp_data_write(&d, NULL, 0, &n), BP_E_NO_SPACE));
    FUZZ_HOLDS(!bp_failed(bp_ocsp_data_write(&d, out, sizeof out, &whole)) && whole == n);
    /* Its frame holds: one element, and the answers inside it in their order. */
    bp_rd rd = bp_rd_over(bp_span_of(out, n));
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&in, BP_DER_CTX(1));
    FUZZ_HOLDS(bp_der_get_time(&in) == chance);
    bp_rd list = bp_der_enter(&in, BP_DER_SEQ);
    for (size_t i = 0; i < q->count; i++) {
        bp_rd one = bp_der_enter(&list, BP_DER_SEQ);
        FUZZ_HOLDS(bp_span_equal(bp_der_get_whole(&one, BP_DER_SEQ), q->id[i].whole));
        static const uint8_t tags[] = {BP_DER_CTXP(0), BP_DER_CTX(1), BP_DER_CTXP(2)};
        (void)bp_der_get(&one, tags[single[i].status]);
        FUZZ_HOLDS(bp_der_get_time(&one) == chance);
        (void)bp_der_get(&one, BP_DER_CTX(0));
        FUZZ_HOLDS(!bp_failed(bp_rd_finish(&one)));
    }
    FUZZ_HOLDS(!bp_failed(bp_rd_finish(&list)) && (bp_rd_left(&in) > 0) == (q->nonce.n > 0));
    FUZZ_HOLDS(q->nonce.n == 0 || memmem(out, n, q->nonce.p, q->nonce.n) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_ocsp_request q;
    FUZZ_FILL(q);
    if (bp_failed(bp_ocsp_request_read(in, &q))) {
        FUZZ_HOLDS(fuzz_untouched(&q, sizeof q));
        return 0;
    }
    FUZZ_HOLDS(q.count >= 1 && q.count <= BP_OCSP_IDS_MAX && fuzz_is_inside(q.nonce, in));
    FUZZ_HOLDS(q.nonce.n <= BP_OCSP_NONCE_MAX);
    for (size_t i = 0; i < q.count; i++) {
        check_id(&q.id[i], in);
    }
    check_again(&q, in);
    check_answer(&q, data[size - 1]);
    return 0;
}
