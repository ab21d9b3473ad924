/* SPDX-License-Identifier: Apache-2.0 */
/* codec/x509 - certificate and request fields, SubjectPublicKeyInfo. */
#include "codec/x509.h"

#define BP_MODULE DER

/* Contents of AlgorithmIdentifier (the SEQUENCE's content, OID and parameters): one spelling each is right,
 * RFC 5480, RFC 8410, RFC 8017 appendix C, RFC 5758. */
#define ID_EC_P256    "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define ID_EC_P384    "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
#define ID_RSA        "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
#define ID_ED25519    "\x06\x03\x2b\x65\x70"
#define ID_ES256      "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ID_ES384      "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define ID_RSA_SHA256 "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
/* id-ml-dsa-44, -65 and -87 differ in the last byte. */
#define ID_ML_DSA_STEM "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03"
#define ML_DSA_44      0x11u
/* RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes. */
#define ID_PSS_SHA256                                                                                       \
    "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" \
    "\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65" \
    "\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20"

#define ID(text) {(const uint8_t *)(text), sizeof(text) - 1}

static const struct {
    bp_span id;
    enum bp_key_type type;
    size_t half; /* bytes of a coordinate, or of the whole key */
} key_kind[] = {
    {ID(ID_EC_P256), BP_KEY_P256, 32},
    {ID(ID_EC_P384), BP_KEY_P384, 48},
    {ID(ID_ED25519), BP_KEY_ED25519, 32},
    {ID(ID_RSA), BP_KEY_RSA, 0},
};

static const struct {
    bp_span id;
    enum bp_sig_alg alg;
} sig_kind[] = {
    {ID(ID_ES256), BP_SIG_ES256},      {ID(ID_ES384), BP_SIG_ES384},      {ID(ID_ED25519), BP_SIG_EDDSA},
    {ID(ID_RSA_SHA256), BP_SIG_RS256}, {ID(ID_PSS_SHA256), BP_SIG_PS256},
};

enum bp_sig_alg bp_x509_alg(bp_span id)
{
    for (size_t i = 0; i < sizeof sig_kind / sizeof sig_kind[0]; i++) {
        if (bp_span_equal(sig_kind[i].id, id)) {
            return sig_kind[i].alg;
        }
    }
    return BP_SIG_NONE;
}

/* RFC 3279 section 2.3.1: SEQUENCE { modulus, publicExponent }. */
static bp_result read_rsa(bp_span bits, struct bp_pubkey *ret)
{
    bp_rd rd = bp_rd_over(bits);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    const bp_span n = bp_der_get_uint(&in);
    const bp_span e = bp_der_get_uint(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    if (n.n < 256 || n.n > 512 || e.n > 4 || e.p[0] == 0) {
        return BP_FAIL(MALFORMED);
    }
    *ret = (struct bp_pubkey){BP_KEY_RSA, n, e};
    return BP_OK;
}

static bp_result read_point(bp_span bits, enum bp_key_type type, size_t half, struct bp_pubkey *ret)
{
    if (bits.n > 0 && (bits.p[0] == 2 || bits.p[0] == 3)) {
        return BP_FAIL(UNSUPPORTED); /* compressed */
    }
    if (bits.n != 1 + 2 * half || bits.p[0] != 4) {
        return BP_FAIL(MALFORMED);
    }
    *ret = (struct bp_pubkey){type, bp_span_sub(bits, 1, half), bp_span_sub(bits, 1 + half, half)};
    return BP_OK;
}

bp_result bp_spki_read(bp_span spki, struct bp_pubkey *ret)
{
    bp_rd rd = bp_rd_over(spki);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    const bp_span id = bp_der_get(&in, BP_DER_SEQ);
    const bp_span bits = bp_der_get_bits(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    for (size_t i = 0; i < sizeof key_kind / sizeof key_kind[0]; i++) {
        if (!bp_span_equal(key_kind[i].id, id)) {
            continue;
        }
        if (key_kind[i].type == BP_KEY_RSA) {
            return read_rsa(bits, ret);
        }
        if (key_kind[i].type == BP_KEY_ED25519) {
            if (bits.n != 32) {
                return BP_FAIL(MALFORMED);
            }
            *ret = (struct bp_pubkey){BP_KEY_ED25519, bits, BP_SPAN_EMPTY};
            return BP_OK;
        }
        return read_point(bits, key_kind[i].type, key_kind[i].half, ret);
    }
    return BP_FAIL(UNSUPPORTED);
}

bool bp_spki_is_ml_dsa(bp_span spki)
{
    static const size_t size_of[] = {1312, 1952, 2592};
    bp_rd rd = bp_rd_over(spki);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    const bp_span id = bp_der_get(&in, BP_DER_SEQ);
    const bp_span bits = bp_der_get_bits(&in);
    if (bp_failed(bp_rd_finish(&in)) || bp_failed(bp_rd_finish(&rd))) {
        return false;
    }
    const bp_span stem = BP_SPAN_STR(ID_ML_DSA_STEM);
    const bool is_one = id.n == stem.n + 1 && bp_span_equal(bp_span_sub(id, 0, stem.n), stem);
    const uint8_t last = is_one ? id.p[stem.n] : 0;
    return last >= ML_DSA_44 && last < ML_DSA_44 + 3 && bits.n == size_of[last - ML_DSA_44];
}

static size_t key_kind_of(const struct bp_pubkey *key)
{
    size_t i = 0;
    while (i < sizeof key_kind / sizeof key_kind[0] && key_kind[i].type != key->type) {
        i++;
    }
    return i;
}

bp_result bp_spki_write(const struct bp_pubkey *key, uint8_t *ret, size_t cap, size_t *ret_len)
{
    const size_t kind = key_kind_of(key);
    if (kind == sizeof key_kind / sizeof key_kind[0]) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const size_t half = key_kind[kind].half;
    const bool is_rsa = key->type == BP_KEY_RSA;
    const bool is_point = !is_rsa && key->type != BP_KEY_ED25519;
    if (!is_rsa && (key->a.n != half || key->b.n != (is_point ? half : 0))) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const size_t rsa_n = bp_der_uint_size(key->a) + bp_der_uint_size(key->b);
    const size_t bits_n = is_rsa ? bp_der_size(rsa_n) : key->a.n + key->b.n + (is_point ? 1 : 0);
    const size_t id_n = key_kind[kind].id.n;
    bp_wr wr = bp_wr_over(ret, cap);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(id_n) + bp_der_size(1 + bits_n));
    bp_der_put(&wr, BP_DER_SEQ, key_kind[kind].id);
    bp_der_put_head(&wr, BP_DER_BITS, 1 + bits_n);
    bp_wr_u8(&wr, 0);
    if (is_rsa) {
        bp_der_put_head(&wr, BP_DER_SEQ, rsa_n);
        bp_der_put_uint(&wr, key->a);
        bp_der_put_uint(&wr, key->b);
    } else {
        if (is_point) {
            bp_wr_u8(&wr, 4);
        }
        bp_wr_bytes(&wr, key->a);
        bp_wr_bytes(&wr, key->b);
    }
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}

/* SEQUENCE { to be signed, algorithm, signature }, the frame that certificates and requests share. */
struct frame {
    bp_span tbs;
    bp_span alg;
    bp_span signature;
};

static bp_result read_frame(bp_span der, struct frame *ret)
{
    bp_rd rd = bp_rd_over(der);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    ret->tbs = bp_der_get_whole(&in, BP_DER_SEQ);
    ret->alg = bp_der_get(&in, BP_DER_SEQ);
    ret->signature = bp_der_get_bits(&in);
    BP_TRY(bp_rd_finish(&in));
    return bp_rd_finish(&rd);
}

/* The key, when it is of a kind that is known here; a known kind must be well formed. */
static bp_result read_key(bp_span spki, struct bp_pubkey *ret)
{
    const bp_result r = bp_spki_read(spki, ret);
    if (bp_is(r, BP_E_UNSUPPORTED)) {
        *ret = (struct bp_pubkey){.type = BP_KEY_NONE};
        return BP_OK;
    }
    return r;
}

bp_result bp_x509_next_ext(bp_rd *rd, struct bp_x509_ext *ret)
{
    struct bp_x509_ext e = {.is_critical = false};
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    e.oid = bp_der_get(&in, BP_DER_OID);
    if (bp_der_peek(&in) == BP_DER_BOOL) {
        e.is_critical = bp_der_get_bool(&in);
        if (!e.is_critical) {
            bp_rd_fail(&in, BP_FAIL(NOT_CANONICAL)); /* DER leaves a default value out */
        }
    }
    e.value = bp_der_get(&in, BP_DER_OCTETS);
    const bp_result r = bp_rd_finish(&in);
    if (bp_failed(r)) {
        bp_rd_fail(rd, r);
        return r;
    }
    *ret = e;
    return BP_OK;
}

bp_result bp_x509_find_ext(const struct bp_x509 *cert, bp_span oid, struct bp_x509_ext *ret)
{
    bp_rd rd = bp_rd_over(cert->extensions);
    while (bp_rd_left(&rd) > 0) {
        struct bp_x509_ext e;
        BP_TRY(bp_x509_next_ext(&rd, &e));
        if (bp_span_equal(e.oid, oid)) {
            *ret = e;
            return BP_OK;
        }
    }
    return BP_FAIL(NOT_FOUND);
}

/* Every extension reads, and none comes twice (RFC 5280 section 4.2). */
static bp_result judge_extensions(const struct bp_x509 *cert)
{
    bp_rd rd = bp_rd_over(cert->extensions);
    for (size_t i = 0; bp_rd_left(&rd) > 0; i++) {
        if (i == BP_X509_MAX_EXTENSIONS) {
            return BP_FAIL(LIMIT);
        }
        struct bp_x509_ext e;
        struct bp_x509_ext first;
        BP_TRY(bp_x509_next_ext(&rd, &e));
        BP_TRY(bp_x509_find_ext(cert, e.oid, &first));
        if (first.oid.p != e.oid.p) {
            return BP_FAIL(MALFORMED);
        }
    }
    return bp_rd_finish(&rd);
}

static void read_version(bp_rd *tbs)
{
    bp_rd in = bp_der_enter(tbs, BP_DER_CTX(0));
    if (bp_der_get_small(&in) != 2 && !bp_failed(in.state)) {
        bp_rd_fail(&in, BP_FAIL(UNSUPPORTED));
    }
    bp_rd_fail(tbs, bp_rd_finish(&in));
}

static void read_validity(bp_rd *tbs, struct bp_x509 *c)
{
    static const int64_t no_end = 253402300799; /* 99991231235959Z, RFC 5280 section 4.1.2.5 */
    bp_rd in = bp_der_enter(tbs, BP_DER_SEQ);
    c->not_before_s = bp_der_get_time(&in);
    c->not_after_s = bp_der_get_time(&in);
    if (c->not_after_s == no_end) {
        c->not_after_s = INT64_MAX;
    }
    bp_rd_fail(tbs, bp_rd_finish(&in));
}

static void read_extensions(bp_rd *tbs, struct bp_x509 *c)
{
    if (bp_rd_left(tbs) == 0) {
        return;
    }
    const uint8_t tag = bp_der_peek(tbs);
    if (tag == BP_DER_CTXP(1) || tag == BP_DER_CTXP(2)) {
        bp_rd_fail(tbs, BP_FAIL(UNSUPPORTED));
        return;
    }
    bp_rd in = bp_der_enter(tbs, BP_DER_CTX(3));
    c->extensions = bp_der_get(&in, BP_DER_SEQ);
    if (c->extensions.n == 0) {
        bp_rd_fail(&in, BP_FAIL(MALFORMED)); /* SIZE (1..MAX) */
    }
    bp_rd_fail(tbs, bp_rd_finish(&in));
}

bp_result bp_x509_read(bp_span der, struct bp_x509 *ret)
{
    struct frame f;
    struct bp_x509 c = {.alg = BP_SIG_NONE};
    BP_TRY(read_frame(der, &f));
    bp_rd whole = bp_rd_over(f.tbs);
    bp_rd tbs = bp_der_enter(&whole, BP_DER_SEQ);
    c.tbs = f.tbs;
    if (bp_der_peek(&tbs) != BP_DER_CTX(0)) {
        return bp_rd_left(&tbs) == 0 ? BP_FAIL(TRUNCATED) : BP_FAIL(UNSUPPORTED);
    }
    read_version(&tbs);
    c.serial = bp_der_get_uint(&tbs);
    const bp_span alg = bp_der_get(&tbs, BP_DER_SEQ);
    c.issuer = bp_der_get_whole(&tbs, BP_DER_SEQ);
    read_validity(&tbs, &c);
    c.subject = bp_der_get_whole(&tbs, BP_DER_SEQ);
    c.spki = bp_der_get_whole(&tbs, BP_DER_SEQ);
    read_extensions(&tbs, &c);
    BP_TRY(bp_rd_finish(&tbs));
    if (!bp_span_equal(alg, f.alg) || c.serial.n > 20) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(judge_extensions(&c));
    BP_TRY(read_key(c.spki, &c.key));
    c.alg = bp_x509_alg(f.alg);
    c.signature = f.signature;
    *ret = c;
    return BP_OK;
}

bp_result bp_csr_read(bp_span der, struct bp_csr *ret)
{
    struct frame f;
    struct bp_csr c = {.alg = BP_SIG_NONE};
    BP_TRY(read_frame(der, &f));
    bp_rd whole = bp_rd_over(f.tbs);
    bp_rd tbs = bp_der_enter(&whole, BP_DER_SEQ);
    c.tbs = f.tbs;
    const uint32_t version = bp_der_get_small(&tbs);
    c.subject = bp_der_get_whole(&tbs, BP_DER_SEQ);
    c.spki = bp_der_get_whole(&tbs, BP_DER_SEQ);
    c.attributes = bp_der_get(&tbs, BP_DER_CTX(0));
    BP_TRY(bp_rd_finish(&tbs));
    if (version != 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    BP_TRY(read_key(c.spki, &c.key));
    c.alg = bp_x509_alg(f.alg);
    c.signature = f.signature;
    *ret = c;
    return BP_OK;
}

bp_result bp_x509_verify(struct bp_crypto *c, const struct bp_pubkey *key, enum bp_sig_alg alg, bp_span tbs,
                         bp_span signature)
{
    uint8_t raw[96];
    if (alg == BP_SIG_ES256 || alg == BP_SIG_ES384) {
        const size_t half = alg == BP_SIG_ES256 ? 32 : 48;
        if (bp_failed(bp_der_ecdsa_read(signature, half, raw))) {
            return BP_FAIL(BAD_SIGNATURE);
        }
        return bp_verify(c, key, alg, tbs, bp_span_of(raw, 2 * half));
    }
    return bp_verify(c, key, alg, tbs, signature);
}
