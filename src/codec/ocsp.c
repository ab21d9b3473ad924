/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ocsp - reader of questions, writer of answers. Sizes are added up before a head is written. */
#include "codec/ocsp.h"

#define BP_MODULE CODEC

#define TIME_SIZE      17u /* a whole GeneralizedTime */
#define EXTENSIONS_MAX 16u
#define ENUMERATED     0x0au

#define OID(name, ...) static const uint8_t name[] = {__VA_ARGS__}
OID(oid_sha1, 0x2b, 0x0e, 0x03, 0x02, 0x1a);
OID(oid_sha256, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);
OID(oid_sha384, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02);
OID(oid_sha512, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03);
OID(oid_basic, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01);
OID(oid_nonce, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02);
/* AlgorithmIdentifier of ecdsa-with-SHA256, whole (RFC 5758 section 3.2: no parameters). */
OID(alg_es256, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);

/* --- reading --- */

static enum bp_hash_alg hash_of(bp_span oid)
{
    static const struct {
        bp_span oid;
        enum bp_hash_alg hash;
    } known[] = {{{oid_sha1, sizeof oid_sha1}, BP_HASH_SHA1},
                 {{oid_sha256, sizeof oid_sha256}, BP_HASH_SHA256},
                 {{oid_sha384, sizeof oid_sha384}, BP_HASH_SHA384},
                 {{oid_sha512, sizeof oid_sha512}, BP_HASH_SHA512}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (bp_span_equal(oid, known[i].oid)) {
            return known[i].hash;
        }
    }
    return BP_HASH_NONE;
}

/* The parameters of a hash are NULL or absent (RFC 5754 section 2); those of another algorithm are its own. */
static enum bp_hash_alg get_hash(bp_rd *rd)
{
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    const enum bp_hash_alg hash = hash_of(bp_der_get(&in, BP_DER_OID));
    const uint8_t tag = bp_der_peek(&in);
    const bp_span parameters = bp_der_get_any(&in);
    if (hash != BP_HASH_NONE && tag != 0 && (tag != BP_DER_NULL || parameters.n != 2)) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    bp_rd_fail(rd, bp_rd_finish(&in));
    return hash;
}

static bool is_hash_sized(enum bp_hash_alg hash, bp_span a, bp_span b)
{
    return hash == BP_HASH_NONE || (a.n == bp_hash_size(hash) && b.n == bp_hash_size(hash));
}

bp_result bp_ocsp_id_read(bp_span der, struct bp_ocsp_id *ret)
{
    struct bp_ocsp_id id = {.whole = der};
    bp_rd rd = bp_rd_over(der);
    if (der.n > BP_OCSP_ID_MAX) {
        return BP_FAIL(LIMIT);
    }
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    id.hash = get_hash(&in);
    id.name_hash = bp_der_get(&in, BP_DER_OCTETS);
    id.key_hash = bp_der_get(&in, BP_DER_OCTETS);
    id.serial = bp_der_get_uint(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    if (!is_hash_sized(id.hash, id.name_hash, id.key_hash)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = id;
    return BP_OK;
}

static bp_span get_nonce(bp_span value, bp_rd *rd)
{
    bp_rd in = bp_rd_over(value);
    const bp_span nonce = bp_der_get(&in, BP_DER_OCTETS);
    bp_rd_fail(rd, bp_rd_finish(&in));
    if (nonce.n == 0 || nonce.n > BP_OCSP_NONCE_MAX) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    return nonce;
}

/* One extension. A critical one would change what is asked; a nonce that is critical is understood all the same. */
static void get_extension(bp_rd *rd, bp_span *ret_nonce)
{
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    const bp_span oid = bp_der_get(&in, BP_DER_OID);
    const bool told = bp_der_peek(&in) == BP_DER_BOOL;
    const bool is_critical = told && bp_der_get_bool(&in);
    const bp_span value = bp_der_get(&in, BP_DER_OCTETS);
    bp_rd_fail(rd, bp_rd_finish(&in));
    if (told && !is_critical) {
        bp_rd_fail(rd, BP_FAIL(NOT_CANONICAL)); /* a default that is written out (X.690 section 11.5) */
    }
    if (!bp_span_equal(oid, BP_SPAN_OF(oid_nonce))) {
        bp_rd_fail(rd, is_critical ? BP_FAIL(UNSUPPORTED) : BP_OK);
        return;
    }
    if (ret_nonce == NULL || ret_nonce->n > 0) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED)); /* twice, or in a place where none belongs */
        return;
    }
    *ret_nonce = get_nonce(value, rd);
}

/* Extensions under a context tag, if they are there. */
static void get_extensions(bp_rd *rd, uint8_t tag, bp_span *ret_nonce)
{
    if (bp_der_peek(rd) != tag) {
        return;
    }
    bp_rd outer = bp_der_enter(rd, tag);
    bp_rd in = bp_der_enter(&outer, BP_DER_SEQ);
    size_t count = 0;
    do {
        get_extension(&in, ret_nonce);
        if (++count > EXTENSIONS_MAX) {
            bp_rd_fail(&in, BP_FAIL(LIMIT));
        }
    } while (bp_rd_left(&in) > 0 && !bp_failed(bp_rd_state(&in)));
    bp_rd_fail(rd, bp_rd_finish(&in));
    bp_rd_fail(rd, bp_rd_finish(&outer));
}

static void get_one(bp_rd *rd, struct bp_ocsp_request *q)
{
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    const bp_span id = bp_der_get_whole(&in, BP_DER_SEQ);
    get_extensions(&in, BP_DER_CTX(0), NULL);
    bp_rd_fail(rd, bp_rd_finish(&in));
    if (q->count == BP_OCSP_IDS_MAX) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    if (!bp_failed(bp_rd_state(rd))) {
        bp_rd_fail(rd, bp_ocsp_id_read(id, &q->id[q->count]));
        q->count++;
    }
}

static void get_tbs(bp_rd *rd, struct bp_ocsp_request *q)
{
    if (bp_der_peek(rd) == BP_DER_CTX(0)) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED)); /* version 1 is the default and not written */
    }
    if (bp_der_peek(rd) == BP_DER_CTX(1)) {
        bp_rd name = bp_der_enter(rd, BP_DER_CTX(1));
        (void)bp_der_get_any(&name);
        bp_rd_fail(rd, bp_rd_finish(&name));
    }
    bp_rd list = bp_der_enter(rd, BP_DER_SEQ);
    do {
        get_one(&list, q);
    } while (bp_rd_left(&list) > 0 && !bp_failed(bp_rd_state(&list)));
    bp_rd_fail(rd, bp_rd_finish(&list));
    get_extensions(rd, BP_DER_CTX(2), &q->nonce);
}

bp_result bp_ocsp_request_read(bp_span der, struct bp_ocsp_request *ret)
{
    struct bp_ocsp_request q = {0};
    if (der.n > BP_OCSP_REQUEST_MAX) {
        return BP_FAIL(LIMIT);
    }
    bp_rd rd = bp_rd_over(der);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    bp_rd tbs = bp_der_enter(&in, BP_DER_SEQ);
    get_tbs(&tbs, &q);
    BP_TRY(bp_rd_finish(&tbs));
    if (bp_der_peek(&in) == BP_DER_CTX(0)) {
        bp_rd signature = bp_der_enter(&in, BP_DER_CTX(0));
        (void)bp_der_get(&signature, BP_DER_SEQ);
        BP_TRY(bp_rd_finish(&signature));
    }
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    *ret = q;
    return BP_OK;
}

bp_result bp_ocsp_is_issuer(struct bp_crypto *c, const struct bp_ocsp_id *id, bp_span name, bp_span spki, bool *ret)
{
    uint8_t of_name[BP_HASH_MAX];
    uint8_t of_key[BP_HASH_MAX];
    const size_t n = bp_hash_size(id->hash);
    bp_rd rd = bp_rd_over(spki);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&in, BP_DER_SEQ);
    const bp_span bits = bp_der_get_bits(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    if (id->hash == BP_HASH_NONE) {
        *ret = false;
        return BP_OK;
    }
    BP_TRY(bp_hash(c, id->hash, name, of_name));
    BP_TRY(bp_hash(c, id->hash, bits, of_key));
    *ret = bp_span_equal(id->name_hash, bp_span_of(of_name, n)) && bp_span_equal(id->key_hash, bp_span_of(of_key, n));
    return BP_OK;
}

/* --- writing --- */

static size_t revoked_size(const struct bp_ocsp_single *s)
{
    return TIME_SIZE + (s->reason == 0 ? 0 : bp_der_size(bp_der_size(1)));
}

static size_t single_size(const struct bp_ocsp_single *s)
{
    const size_t status = bp_der_size(s->status == BP_OCSP_REVOKED ? revoked_size(s) : 0);
    return s->id.n + status + TIME_SIZE + bp_der_size(TIME_SIZE);
}

static void put_status(bp_wr *wr, const struct bp_ocsp_single *s)
{
    if (s->status != BP_OCSP_REVOKED) {
        bp_der_put(wr, BP_DER_CTXP(s->status == BP_OCSP_GOOD ? 0u : 2u), BP_SPAN_EMPTY);
        return;
    }
    bp_der_put_head(wr, BP_DER_CTX(1), revoked_size(s));
    bp_der_put_time(wr, s->revoked_s);
    if (s->reason != 0) {
        bp_der_put_head(wr, BP_DER_CTX(0), bp_der_size(1));
        bp_der_put(wr, ENUMERATED, bp_span_of(&s->reason, 1));
    }
}

static size_t nonce_size(bp_span nonce)
{
    return nonce.n == 0 ? 0 : bp_der_size(sizeof oid_nonce) + bp_der_size(bp_der_size(nonce.n));
}

static void put_nonce(bp_wr *wr, bp_span nonce)
{
    const size_t n = nonce_size(nonce);
    if (n == 0) {
        return;
    }
    bp_der_put_head(wr, BP_DER_CTX(1), bp_der_size(bp_der_size(n)));
    bp_der_put_head(wr, BP_DER_SEQ, bp_der_size(n));
    bp_der_put_head(wr, BP_DER_SEQ, n);
    bp_der_put(wr, BP_DER_OID, BP_SPAN_OF(oid_nonce));
    bp_der_put_head(wr, BP_DER_OCTETS, bp_der_size(nonce.n));
    bp_der_put(wr, BP_DER_OCTETS, nonce);
}

static bool is_time(int64_t s)
{
    return s >= 0 && s < 253402300800; /* 10000-01-01 */
}

static bool is_single(const struct bp_ocsp_single *s)
{
    const bool known = (unsigned)s->status < BP_OCSP_STATUSES;
    const bool reason = s->reason <= 10 && s->reason != 7 && s->reason != 8; /* unused; removeFromCRL is for deltas */
    return known && s->id.n > 0 && s->id.n <= BP_OCSP_ID_MAX &&
           (s->status == BP_OCSP_REVOKED ? reason && is_time(s->revoked_s) : s->reason == 0);
}

static bool is_data(const struct bp_ocsp_data *d)
{
    bool ok = d->count >= 1 && d->count <= BP_OCSP_IDS_MAX && d->nonce.n <= BP_OCSP_NONCE_MAX && d->responder.n > 0 &&
              is_time(d->this_s) && is_time(d->next_s) && d->next_s > d->this_s;
    for (size_t i = 0; ok && i < d->count; i++) {
        ok = is_single(&d->single[i]);
    }
    return ok;
}

bp_result bp_ocsp_data_write(const struct bp_ocsp_data *d, uint8_t *ret, size_t cap, size_t *ret_len)
{
    if (!is_data(d)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    size_t list = 0;
    for (size_t i = 0; i < d->count; i++) {
        list += bp_der_size(single_size(&d->single[i]));
    }
    const size_t nonce = nonce_size(d->nonce);
    const size_t more = nonce == 0 ? 0 : bp_der_size(bp_der_size(bp_der_size(nonce)));
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(d->responder.n) + TIME_SIZE + bp_der_size(list) + more);
    bp_der_put(&wr, BP_DER_CTX(1), d->responder);
    bp_der_put_time(&wr, d->this_s);
    bp_der_put_head(&wr, BP_DER_SEQ, list);
    for (size_t i = 0; i < d->count; i++) {
        bp_der_put_head(&wr, BP_DER_SEQ, single_size(&d->single[i]));
        bp_wr_bytes(&wr, d->single[i].id);
        put_status(&wr, &d->single[i]);
        bp_der_put_time(&wr, d->this_s);
        bp_der_put_head(&wr, BP_DER_CTX(0), TIME_SIZE);
        bp_der_put_time(&wr, d->next_s);
    }
    put_nonce(&wr, d->nonce);
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

bp_result bp_ocsp_response_write(bp_span data, bp_span signature, bp_span cert, uint8_t *ret, size_t cap,
                                 size_t *ret_len)
{
    const size_t basic = data.n + sizeof alg_es256 + bp_der_size(1 + signature.n) + bp_der_size(bp_der_size(cert.n));
    const size_t bytes = bp_der_size(sizeof oid_basic) + bp_der_size(bp_der_size(basic));
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(1) + bp_der_size(bp_der_size(bytes)));
    bp_der_put(&wr, ENUMERATED, BP_SPAN_STR("\0")); /* successful */
    bp_der_put_head(&wr, BP_DER_CTX(0), bp_der_size(bytes));
    bp_der_put_head(&wr, BP_DER_SEQ, bytes);
    bp_der_put(&wr, BP_DER_OID, BP_SPAN_OF(oid_basic));
    bp_der_put_head(&wr, BP_DER_OCTETS, bp_der_size(basic));
    bp_der_put_head(&wr, BP_DER_SEQ, basic);
    bp_wr_bytes(&wr, data);
    bp_wr_bytes(&wr, BP_SPAN_OF(alg_es256));
    bp_der_put_head(&wr, BP_DER_BITS, 1 + signature.n);
    bp_wr_u8(&wr, 0);
    bp_wr_bytes(&wr, signature);
    bp_der_put_head(&wr, BP_DER_CTX(0), bp_der_size(cert.n));
    bp_der_put(&wr, BP_DER_SEQ, cert);
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

void bp_ocsp_error_write(enum bp_ocsp_error error, uint8_t ret[BP_OCSP_ERROR_SIZE])
{
    const uint8_t answer[BP_OCSP_ERROR_SIZE] = {BP_DER_SEQ, 3, ENUMERATED, 1, (uint8_t)error};
    memcpy(ret, answer, sizeof answer);
}
