/* SPDX-License-Identifier: Apache-2.0 */
/* codec/cose - COSE_Sign1 and COSE_Key. */
#include "codec/cose.h"

#define BP_MODULE COSE

/* IANA COSE registries: header labels, algorithms, key types, curves. */
enum {
    TAG_SIGN1 = 18,
    LABEL_ALG = 1,
    LABEL_CRIT = 2,
    LABEL_CONTENT_TYPE = 3,
    LABEL_KID = 4,
    LABEL_CWT_CLAIMS = 15,
    ALG_ES256 = -7,
    ALG_EDDSA = -8,
    ALG_ES384 = -35,
    KEY_KTY = 1,
    KEY_KID = 2,
    KEY_ALG = 3,
    KEY_CRV = -1,
    KEY_X = -2,
    KEY_Y = -3,
    KTY_OKP = 1,
    KTY_EC2 = 2,
    CRV_P256 = 1,
    CRV_P384 = 2,
    CRV_ED25519 = 6
};

static const struct {
    enum bp_sig_alg alg;
    int8_t number;
    uint8_t sig_n;
} alg_table[] = {{BP_SIG_ES256, ALG_ES256, 64}, {BP_SIG_ES384, ALG_ES384, 96}, {BP_SIG_EDDSA, ALG_EDDSA, 64}};

static const struct {
    enum bp_key_type type;
    uint8_t kty, crv, n;
} key_table[] = {{BP_KEY_P256, KTY_EC2, CRV_P256, 32},
                 {BP_KEY_P384, KTY_EC2, CRV_P384, 48},
                 {BP_KEY_ED25519, KTY_OKP, CRV_ED25519, 32}};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum mode { OURS, FOREIGN };

/* Which labels a message has shown so far, over both headers. */
struct seen {
    bool alg, content_type, kid, cwt_claims;
};

static void once(bp_rd *rd, bool *seen)
{
    if (*seen) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
    *seen = true;
}

static void read_alg(bp_rd *rd, struct bp_cose_sign1 *m)
{
    /* The registry also has text names; none of them is known here. */
    if (bp_cbor_peek(rd) == BP_CBOR_TSTR) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        return;
    }
    const int64_t number = bp_cbor_get_int(rd);
    for (size_t i = 0; i < COUNT(alg_table); i++) {
        if (alg_table[i].number == number) {
            m->alg = alg_table[i].alg;
            return;
        }
    }
    bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
}

static void read_content_type(bp_rd *rd, enum mode mode, struct bp_cose_sign1 *m)
{
    if (mode == FOREIGN && bp_cbor_peek(rd) == BP_CBOR_UINT) {
        (void)bp_cbor_get_uint(rd); /* a CoAP content format; nothing here depends on it */
        return;
    }
    m->content_type = bp_cbor_get_tstr(rd);
}

static void read_entry(bp_rd *rd, enum mode mode, struct seen *seen, struct bp_cose_sign1 *m)
{
    const enum bp_cbor_type type = bp_cbor_peek(rd);
    const bool is_int = type == BP_CBOR_UINT || type == BP_CBOR_NINT;
    int64_t label = 0; /* reserved by the registry, so it stands for "none of ours" */
    if (is_int) {
        label = bp_cbor_get_int(rd);
    } else {
        (void)bp_cbor_get_item(rd);
    }
    switch (label) {
    case LABEL_ALG:
        once(rd, &seen->alg);
        read_alg(rd, m);
        break;
    case LABEL_CONTENT_TYPE:
        once(rd, &seen->content_type);
        read_content_type(rd, mode, m);
        break;
    case LABEL_KID:
        once(rd, &seen->kid);
        m->kid = bp_cbor_get_bstr(rd);
        break;
    case LABEL_CWT_CLAIMS:
        once(rd, &seen->cwt_claims);
        m->cwt_claims = bp_cbor_get_item(rd);
        break;
    default:
        if (mode == OURS || label == LABEL_CRIT) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
        (void)bp_cbor_get_item(rd);
        break;
    }
}

static void read_header(bp_rd *rd, enum mode mode, struct seen *seen, struct bp_cose_sign1 *m)
{
    const size_t pairs = bp_cbor_get_map(rd);
    if (pairs > BP_COSE_MAX_HEADER) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
    }
    for (size_t i = 0; i < pairs && !bp_failed(rd->state); i++) {
        read_entry(rd, mode, seen, m);
    }
}

static bp_result read_protected(enum mode mode, struct seen *seen, struct bp_cose_sign1 *m)
{
    if (m->protected_header.n == 0) {
        return BP_OK; /* section 3: an empty map is an empty string */
    }
    BP_TRY(bp_cbor_check(m->protected_header));
    bp_rd rd = bp_rd_over(m->protected_header);
    read_header(&rd, mode, seen, m);
    return bp_rd_finish(&rd);
}

static void read_tag(bp_rd *rd, enum mode mode)
{
    if (bp_cbor_peek(rd) == BP_CBOR_TAG) {
        if (bp_cbor_get_tag(rd) != TAG_SIGN1) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        }
    } else if (mode == OURS) {
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
    }
}

static bp_result read_sign1(bp_span in, enum mode mode, struct bp_cose_sign1 *ret)
{
    struct bp_cose_sign1 m = {.alg = BP_SIG_NONE};
    struct seen seen = {.alg = false};
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    read_tag(&rd, mode);
    if (bp_cbor_get_array(&rd) != 4) {
        bp_rd_fail(&rd, BP_FAIL(MALFORMED));
    }
    m.protected_header = bp_cbor_get_bstr(&rd);
    BP_TRY(bp_rd_state(&rd));
    BP_TRY(read_protected(mode, &seen, &m));
    if (mode == FOREIGN) {
        read_header(&rd, mode, &seen, &m);
    } else if (bp_cbor_get_map(&rd) != 0) {
        bp_rd_fail(&rd, BP_FAIL(UNSUPPORTED));
    }
    if (bp_cbor_peek(&rd) == BP_CBOR_SIMPLE) {
        bp_rd_fail(&rd, BP_FAIL(UNSUPPORTED)); /* detached */
    }
    m.payload = bp_cbor_get_bstr(&rd);
    m.signature = bp_cbor_get_bstr(&rd);
    BP_TRY(bp_rd_finish(&rd));
    if (m.alg == BP_SIG_NONE) {
        return BP_FAIL(UNSUPPORTED);
    }
    *ret = m;
    return BP_OK;
}

bp_result bp_cose_sign1_read(bp_span in, struct bp_cose_sign1 *ret)
{
    return read_sign1(in, OURS, ret);
}

bp_result bp_cose_sign1_read_foreign(bp_span in, struct bp_cose_sign1 *ret)
{
    return read_sign1(in, FOREIGN, ret);
}

/* A CBOR writer is 350 bytes on a microcontroller: the functions that hold one are kept apart, so that no frame holds
 * two of them. */
#define APART __attribute__((noinline))

/* Section 4.4: Sig_structure = ["Signature1", body_protected, external_aad, payload]. An empty protected map is
 * signed as the empty string, whichever of its two forms was sent. */
APART static bp_result sig_structure(bp_span protected_header, bp_span aad, bp_span payload, uint8_t *ret, size_t cap,
                                     bp_span *ret_span)
{
    const bool is_empty = bp_span_equal(protected_header, BP_SPAN_STR("\xa0"));
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_array(&w, 4);
    bp_cw_tstr(&w, BP_SPAN_STR("Signature1"));
    bp_cw_bstr(&w, is_empty ? BP_SPAN_EMPTY : protected_header);
    bp_cw_bstr(&w, aad);
    bp_cw_bstr(&w, payload);
    *ret_span = bp_cw_span(&w);
    return bp_cw_finish(&w);
}

bp_result bp_cose_sign1_verify(struct bp_crypto *c, const struct bp_cose_sign1 *msg, const struct bp_pubkey *key,
                               bp_span aad, uint8_t *scratch, size_t cap)
{
    bp_span tbs;
    BP_TRY(sig_structure(msg->protected_header, aad, msg->payload, scratch, cap, &tbs));
    return bp_verify(c, key, msg->alg, tbs, msg->signature);
}

APART static bp_result write_protected(int8_t number, const struct bp_cose_header *h, uint8_t *ret,
                                       bp_span *ret_span)
{
    const uint32_t pairs = 1u + (h->content_type.n > 0) + (h->kid.n > 0) + (h->cwt_claims.n > 0);
    bp_cw w = bp_cw_over(ret, BP_COSE_MAX_PROTECTED);
    bp_cw_map(&w, pairs);
    bp_cw_uint(&w, LABEL_ALG);
    bp_cw_int(&w, number);
    if (h->content_type.n > 0) {
        bp_cw_uint(&w, LABEL_CONTENT_TYPE);
        bp_cw_tstr(&w, h->content_type);
    }
    if (h->kid.n > 0) {
        bp_cw_uint(&w, LABEL_KID);
        bp_cw_bstr(&w, h->kid);
    }
    if (h->cwt_claims.n > 0) {
        bp_cw_uint(&w, LABEL_CWT_CLAIMS);
        bp_cw_item(&w, h->cwt_claims);
    }
    const bp_result r = bp_cw_finish(&w);
    if (bp_is(r, BP_E_NO_SPACE)) {
        return BP_FAIL(LIMIT);
    }
    *ret_span = bp_cw_span(&w);
    return r;
}

APART static bp_result write_sign1(bp_span protected_header, bp_span payload, bp_span sig, uint8_t *ret, size_t cap,
                                   size_t *ret_len)
{
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_tag(&w, TAG_SIGN1);
    bp_cw_array(&w, 4);
    bp_cw_bstr(&w, protected_header);
    bp_cw_map(&w, 0);
    bp_cw_bstr(&w, payload);
    bp_cw_bstr(&w, sig);
    *ret_len = w.wr.n;
    return bp_cw_finish(&w);
}

bp_result bp_cose_sign1_write(const struct bp_signer *signer, const struct bp_cose_header *header, bp_span payload,
                              bp_span aad, uint8_t *scratch, size_t scratch_cap, uint8_t *ret, size_t cap,
                              size_t *ret_len)
{
    size_t alg = 0;
    while (alg < COUNT(alg_table) && alg_table[alg].alg != signer->alg) {
        alg++;
    }
    if (alg == COUNT(alg_table)) {
        return BP_FAIL(UNSUPPORTED);
    }
    /* The protected header is built in the tail of scratch, the Sig_structure before it. */
    if (scratch_cap < BP_COSE_MAX_PROTECTED) {
        return BP_FAIL(NO_SPACE);
    }
    const size_t body_cap = scratch_cap - BP_COSE_MAX_PROTECTED;
    bp_span protected_header;
    BP_TRY(write_protected(alg_table[alg].number, header, scratch + body_cap, &protected_header));
    bp_span tbs;
    BP_TRY(sig_structure(protected_header, aad, payload, scratch, body_cap, &tbs));
    uint8_t sig[96];
    size_t sig_n = 0;
    BP_TRY(signer->sign(signer->self, tbs, sig, sizeof sig, &sig_n));
    if (sig_n != alg_table[alg].sig_n) {
        return BP_FAIL(CRYPTO);
    }
    return write_sign1(protected_header, payload, bp_span_of(sig, sig_n), ret, cap, ret_len);
}

/* What a COSE_Key map has shown. */
struct key_parts {
    int64_t kty, crv;
    bp_span x, y;
};

static void read_key_entry(bp_rd *rd, struct key_parts *k)
{
    switch (bp_cbor_get_int(rd)) {
    case KEY_KTY:
        k->kty = bp_cbor_get_int(rd);
        break;
    case KEY_KID:
        (void)bp_cbor_get_bstr(rd);
        break;
    case KEY_ALG:
        (void)bp_cbor_get_int(rd);
        break;
    case KEY_CRV:
        k->crv = bp_cbor_get_int(rd);
        break;
    case KEY_X:
        k->x = bp_cbor_get_bstr(rd);
        break;
    case KEY_Y:
        if (bp_cbor_peek(rd) == BP_CBOR_SIMPLE) {
            bp_rd_fail(rd, BP_FAIL(UNSUPPORTED)); /* compressed: only the sign of y */
        }
        k->y = bp_cbor_get_bstr(rd);
        break;
    default:
        bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
        break;
    }
}

bp_result bp_cose_key_read(bp_span in, struct bp_pubkey *ret)
{
    struct key_parts k = {.kty = 0};
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    const size_t pairs = bp_cbor_get_map(&rd);
    /* The check above made keys distinct, so at most the six labels pass; the first other one ends the loop. */
    for (size_t i = 0; i < pairs && !bp_failed(rd.state); i++) {
        read_key_entry(&rd, &k);
    }
    BP_TRY(bp_rd_finish(&rd));
    for (size_t i = 0; i < COUNT(key_table); i++) {
        if (key_table[i].kty != k.kty || key_table[i].crv != k.crv) {
            continue;
        }
        const size_t y_n = key_table[i].kty == KTY_EC2 ? key_table[i].n : 0;
        if (k.x.n != key_table[i].n || k.y.n != y_n) {
            return BP_FAIL(MALFORMED);
        }
        *ret = (struct bp_pubkey){key_table[i].type, k.x, k.y};
        return BP_OK;
    }
    return BP_FAIL(UNSUPPORTED);
}

void bp_cose_key_write(bp_cw *w, const struct bp_pubkey *key)
{
    size_t i = 0;
    while (i < COUNT(key_table) && key_table[i].type != key->type) {
        i++;
    }
    if (i == COUNT(key_table) || key->a.n != key_table[i].n ||
        key->b.n != (key_table[i].kty == KTY_EC2 ? key_table[i].n : 0u)) {
        bp_wr_fail(&w->wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    const bool is_ec2 = key_table[i].kty == KTY_EC2;
    bp_cw_map(w, is_ec2 ? 4 : 3);
    bp_cw_int(w, KEY_KTY);
    bp_cw_uint(w, key_table[i].kty);
    bp_cw_int(w, KEY_CRV);
    bp_cw_uint(w, key_table[i].crv);
    bp_cw_int(w, KEY_X);
    bp_cw_bstr(w, key->a);
    if (is_ec2) {
        bp_cw_int(w, KEY_Y);
        bp_cw_bstr(w, key->b);
    }
}
