/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2/keys - templates, parents, sessions, keys and the blobs that they travel in. */
#include <string.h>

#include <tss2/tss2_mu.h>

#include "base/secret.h"
#include "codec/cbor.h"
#include "codec/der.h"
#include "rot/tpm2/internal.h"

#define BP_MODULE ROT

#define BLOB_TYPE "tpm2-blob"

/* Attributes that all our parents and keys share: born inside, never leaving. */
#define FIXED (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)
#define PARENT (FIXED | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

/* TCG EK Credential Profile 2.5: PolicyA (SHA-256) of the L range, PolicyB (SHA-384) of the H range. */
static const uint8_t policy_a_sha256[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                            0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                            0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
static const uint8_t policy_b_sha384[48] = {0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc,
                                            0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4,
                                            0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09,
                                            0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

/* Templates by the numbers of docs/protocol/device.md, and where the certificate is (same profile, section 2.2). */
enum { TEMPLATE_L1 = 1, TEMPLATE_L2 = 2, TEMPLATE_H3 = 3 };
static const struct ek_place {
    uint32_t template_id;
    TPM2_HANDLE cert_nv;
} ek_places[] = {{TEMPLATE_L2, 0x01c0000a}, {TEMPLATE_L1, 0x01c00002}, {TEMPLATE_H3, 0x01c00016}};
#define EK_PLACES (sizeof(ek_places) / sizeof(ek_places[0]))

static const TPM2B_SENSITIVE_CREATE no_sensitive;
static const TPM2B_DATA no_outside_info;
static const TPML_PCR_SELECTION no_pcrs;
static const TPMT_SYM_DEF session_cipher = {
    .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

static void ecc_parent(TPMT_PUBLIC *p, TPM2_ECC_CURVE curve, uint16_t aes_bits)
{
    p->type = TPM2_ALG_ECC;
    TPMS_ECC_PARMS *e = &p->parameters.eccDetail;
    e->symmetric.algorithm = TPM2_ALG_AES;
    e->symmetric.keyBits.aes = aes_bits;
    e->symmetric.mode.aes = TPM2_ALG_CFB;
    e->scheme.scheme = TPM2_ALG_NULL;
    e->kdf.scheme = TPM2_ALG_NULL;
    e->curveID = curve;
}

static bool ek_template(uint32_t template_id, TPM2B_PUBLIC *ret)
{
    TPMT_PUBLIC *p = &ret->publicArea;
    *ret = (TPM2B_PUBLIC){0};
    p->nameAlg = TPM2_ALG_SHA256;
    p->objectAttributes = PARENT | TPMA_OBJECT_ADMINWITHPOLICY;
    p->authPolicy.size = sizeof(policy_a_sha256);
    memcpy(p->authPolicy.buffer, policy_a_sha256, sizeof(policy_a_sha256));
    switch (template_id) {
    case TEMPLATE_L1:
        p->type = TPM2_ALG_RSA;
        p->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_AES;
        p->parameters.rsaDetail.symmetric.keyBits.aes = 128;
        p->parameters.rsaDetail.symmetric.mode.aes = TPM2_ALG_CFB;
        p->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
        p->parameters.rsaDetail.keyBits = 2048;
        p->unique.rsa.size = 256;
        return true;
    case TEMPLATE_L2:
        ecc_parent(p, TPM2_ECC_NIST_P256, 128);
        p->unique.ecc.x.size = 32;
        p->unique.ecc.y.size = 32;
        return true;
    case TEMPLATE_H3:
        ecc_parent(p, TPM2_ECC_NIST_P384, 256);
        p->nameAlg = TPM2_ALG_SHA384;
        p->objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
        p->authPolicy.size = sizeof(policy_b_sha384);
        memcpy(p->authPolicy.buffer, policy_b_sha384, sizeof(policy_b_sha384));
        return true;
    default:
        return false;
    }
}

static void signing_template(bool restricted, TPM2B_PUBLIC *ret)
{
    TPMT_PUBLIC *p = &ret->publicArea;
    *ret = (TPM2B_PUBLIC){0};
    p->type = TPM2_ALG_ECC;
    p->nameAlg = TPM2_ALG_SHA256;
    p->objectAttributes = FIXED | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT |
                          (restricted ? TPMA_OBJECT_RESTRICTED : 0);
    TPMS_ECC_PARMS *e = &p->parameters.eccDetail;
    e->symmetric.algorithm = TPM2_ALG_NULL;
    e->scheme.scheme = TPM2_ALG_ECDSA;
    e->scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    e->curveID = TPM2_ECC_NIST_P256;
    e->kdf.scheme = TPM2_ALG_NULL;
}

/* Loads a saved context; false without a failure when there is none that the TPM still takes. */
static bool load_saved(struct op *op, struct saved *s, ESYS_TR *ret)
{
    if (s->context == NULL) {
        return false;
    }
    const TSS2_RC rc = Esys_ContextLoad(op->esys, s->context, ret);
    if (rc == TSS2_RC_SUCCESS) {
        op_hold(op, *ret, false);
        return true;
    }
    saved_forget(s); /* a reset or a clear since; what it was made from may still load */
    if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER) {
        (void)op_ok(op, rc, "load saved context");
    }
    return false;
}

static void save(struct op *op, struct saved *s, ESYS_TR tr, bp_span pub)
{
    saved_forget(s);
    /* Only a shortcut: without it the next call makes the key again. A broken link is noticed all the same. */
    const TSS2_RC rc = pub.n <= sizeof(s->pub) ? Esys_ContextSave(op->esys, tr, &s->context) : TSS2_RC_SUCCESS;
    if (rc != TSS2_RC_SUCCESS) {
        s->context = NULL;
        if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER) {
            (void)op_ok(op, rc, "save context");
        }
        return;
    }
    s->pub_n = pub.n;
    if (pub.n > 0) {
        memcpy(s->pub, pub.p, pub.n);
    }
}

bool op_srk(struct op *op, ESYS_TR *ret)
{
    if (load_saved(op, &op->t->srk, ret)) {
        return true;
    }
    if (bp_failed(op->r)) {
        return false;
    }
    TPM2B_PUBLIC in = {0};
    in.publicArea.nameAlg = TPM2_ALG_SHA256;
    in.publicArea.objectAttributes = PARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
    ecc_parent(&in.publicArea, TPM2_ECC_NIST_P256, 128);
    /* No secret goes in or out here, and this key is what sessions are salted to. */
    if (!op_ok(op,
               Esys_CreatePrimary(op->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                  &no_sensitive, &in, &no_outside_info, &no_pcrs, ret, NULL, NULL, NULL, NULL),
               "make storage parent")) {
        return false;
    }
    op_hold(op, *ret, false);
    save(op, &op->t->srk, *ret, BP_SPAN_EMPTY);
    return !bp_failed(op->r);
}

bool op_start_session(struct op *op, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret)
{
    ESYS_TR srk = ESYS_TR_NONE;
    if (!op_srk(op, &srk) ||
        !op_ok(op,
               Esys_StartAuthSession(op->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
                                     type, &session_cipher, TPM2_ALG_SHA256, ret),
               "start session")) {
        return false;
    }
    op_hold(op, *ret, false);
    attributes |= TPMA_SESSION_CONTINUESESSION; /* so that flushing it is ours on every path */
    return op_ok(op, Esys_TRSess_SetAttributes(op->esys, *ret, attributes, 0xff), "session attributes") &&
           op_drop(op, srk);
}

bool op_session(struct op *op, TPMA_SESSION attributes, ESYS_TR *ret)
{
    return op_start_session(op, TPM2_SE_HMAC, attributes, ret);
}

bool op_set_auth(struct op *op, ESYS_TR object, bp_span auth)
{
    TPM2B_AUTH a = {0};
    if (auth.n > sizeof(a.buffer)) {
        op_fail(op, BP_FAIL(BAD_ARGUMENT), "auth value too long");
        return false;
    }
    a.size = (UINT16)auth.n;
    if (auth.n > 0) {
        memcpy(a.buffer, auth.p, auth.n);
    }
    const bool ok = op_ok(op, Esys_TR_SetAuth(op->esys, object, &a), "auth value");
    bp_wipe(&a, sizeof(a));
    return ok;
}

bool op_ek(struct op *op, uint32_t template_id, ESYS_TR *ret, TPM2B_PUBLIC **ret_pub)
{
    TPM2B_PUBLIC in;
    if (!ek_template(template_id, &in)) {
        op_fail(op, BP_FAIL(UNSUPPORTED), "EK template");
        return false;
    }
    if (!op_ok(op,
               Esys_CreatePrimary(op->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                  &no_sensitive, &in, &no_outside_info, &no_pcrs, ret, ret_pub, NULL, NULL, NULL),
               "make EK")) {
        return false;
    }
    op_hold(op, *ret, false);
    return !bp_failed(op->r);
}

bool op_ek_auth(struct op *op, uint32_t template_id, ESYS_TR *ret)
{
    if (template_id == TEMPLATE_H3) {
        return op_session(op, 0, ret); /* userWithAuth, and the auth value is empty */
    }
    return op_start_session(op, TPM2_SE_POLICY, 0, ret) &&
           op_ok(op,
                 Esys_PolicySecret(op->esys, ESYS_TR_RH_ENDORSEMENT, *ret, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL),
                 "EK policy");
}

bp_result blob_read(bp_span in, enum blob_kind kind, struct blob *ret)
{
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    struct blob b = {0};
    bool known = bp_cbor_get_map(&rd) == 9;
    known = known && bp_cbor_get_uint(&rd) == 1 && bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR(BLOB_TYPE));
    known = known && bp_cbor_get_uint(&rd) == 2 && bp_cbor_get_uint(&rd) == 1;
    known = known && bp_cbor_get_uint(&rd) == 3 && bp_cbor_get_uint(&rd) == 0;
    if (!known) {
        return BP_FAIL(UNSUPPORTED);
    }
    uint64_t v[4] = {0};
    for (uint64_t key = 0; key < 4; key++) {
        known = known && bp_cbor_get_uint(&rd) == 4 + key;
        v[key] = bp_cbor_get_uint(&rd);
    }
    known = known && bp_cbor_get_uint(&rd) == 8;
    b.pub = bp_cbor_get_bstr(&rd);
    known = known && bp_cbor_get_uint(&rd) == 9;
    b.priv = bp_cbor_get_bstr(&rd);
    BP_TRY(bp_rd_finish(&rd));
    if (!known || v[1] > UINT32_MAX || v[2] > UINT16_MAX || v[3] > UINT32_MAX) {
        return BP_FAIL(MALFORMED);
    }
    /* What a kind does not use is zero, so that each blob has one form. */
    if (v[0] != (uint64_t)kind || (kind != BLOB_ATTEST && v[1] != 0) || (kind != BLOB_SEALED && (v[2] | v[3]) != 0) ||
        (v[2] == 0) != (v[3] == 0)) {
        return BP_FAIL(MALFORMED);
    }
    b.kind = v[0];
    b.template_id = (uint32_t)v[1];
    b.bank = (uint16_t)v[2];
    b.mask = (uint32_t)v[3];
    *ret = b;
    return BP_OK;
}

bp_result blob_write(const struct blob *head, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
                     struct bp_rot_blob *ret)
{
    uint8_t pub_bytes[BP_ROT_PUBLIC_MAX];
    uint8_t priv_bytes[BP_ROT_BLOB_MAX];
    size_t pub_n = 0;
    size_t priv_n = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, pub_bytes, sizeof(pub_bytes), &pub_n) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(priv, priv_bytes, sizeof(priv_bytes), &priv_n) != TSS2_RC_SUCCESS) {
        return BP_FAIL(NO_SPACE);
    }
    struct bp_rot_blob out;
    bp_cw w = bp_cw_over(out.v, sizeof(out.v));
    bp_cw_map(&w, 9);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, BLOB_TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, head->kind);
    bp_cw_uint(&w, 5);
    bp_cw_uint(&w, head->template_id);
    bp_cw_uint(&w, 6);
    bp_cw_uint(&w, head->bank);
    bp_cw_uint(&w, 7);
    bp_cw_uint(&w, head->mask);
    bp_cw_uint(&w, 8);
    bp_cw_bstr(&w, bp_span_of(pub_bytes, pub_n));
    bp_cw_uint(&w, 9);
    bp_cw_bstr(&w, bp_span_of(priv_bytes, priv_n));
    BP_TRY(bp_cw_finish(&w));
    out.n = bp_cw_span(&w).n;
    *ret = out;
    return BP_OK;
}

bool op_load_blob(struct op *op, const struct blob *b, ESYS_TR parent, ESYS_TR auth_session, ESYS_TR crypt_session,
                  ESYS_TR *ret)
{
    TPM2B_PUBLIC pub = {0};
    TPM2B_PRIVATE priv = {0};
    size_t pub_n = 0;
    size_t priv_n = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(b->pub.p, b->pub.n, &pub_n, &pub) != TSS2_RC_SUCCESS || pub_n != b->pub.n ||
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(b->priv.p, b->priv.n, &priv_n, &priv) != TSS2_RC_SUCCESS ||
        priv_n != b->priv.n) {
        op_fail(op, BP_FAIL(MALFORMED), "key blob");
        return false;
    }
    if (!op_ok(op, Esys_Load(op->esys, parent, auth_session, crypt_session, ESYS_TR_NONE, &priv, &pub, ret),
               "load key")) {
        return false;
    }
    op_hold(op, *ret, false);
    return !bp_failed(op->r);
}

static bool load_attest_anew(struct op *op, const struct blob *b, ESYS_TR *ret)
{
    ESYS_TR ek = ESYS_TR_NONE;
    ESYS_TR crypt = ESYS_TR_NONE;
    ESYS_TR ek_auth = ESYS_TR_NONE;
    if (!op_session(op, TPMA_SESSION_DECRYPT, &crypt) || !op_ek_auth(op, b->template_id, &ek_auth) ||
        !op_ek(op, b->template_id, &ek, NULL) || !op_load_blob(op, b, ek, ek_auth, crypt, ret)) {
        return false;
    }
    save(op, &op->t->attest, *ret, b->pub);
    return !bp_failed(op->r) && op_drop(op, ek) && op_drop(op, ek_auth) && op_drop(op, crypt);
}

bool op_load_attest(struct op *op, bp_span blob, bp_span auth, ESYS_TR *ret)
{
    struct blob b;
    const bp_result r = blob_read(blob, BLOB_ATTEST, &b);
    if (bp_failed(r)) {
        op_fail(op, r, "read key blob");
        return false;
    }
    struct saved *s = &op->t->attest;
    const bool is_saved = bp_span_equal(bp_span_of(s->pub, s->pub_n), b.pub) && load_saved(op, s, ret);
    if (bp_failed(op->r) || (!is_saved && !load_attest_anew(op, &b, ret))) {
        return false;
    }
    return op_set_auth(op, *ret, auth);
}

bool op_load_device(struct op *op, bp_span blob, bp_span auth, ESYS_TR *ret)
{
    struct blob b;
    const bp_result r = blob_read(blob, BLOB_DEVICE, &b);
    if (bp_failed(r)) {
        op_fail(op, r, "read key blob");
        return false;
    }
    ESYS_TR srk = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    return op_session(op, TPMA_SESSION_DECRYPT, &session) && op_srk(op, &srk) &&
           op_load_blob(op, &b, srk, session, ESYS_TR_NONE, ret) && op_drop(op, srk) && op_drop(op, session) &&
           op_set_auth(op, *ret, auth);
}

/* --- the seam --- */

/* The certificate's own length: NV places are often larger, and padded. */
static size_t der_length(bp_span in)
{
    if (in.n < 4 || in.p[0] != 0x30 || in.p[1] != 0x82) {
        return 0;
    }
    const size_t n = 4 + (((size_t)in.p[2] << 8) | in.p[3]);
    return n <= in.n ? n : 0;
}

/* Reads an NV place whole; *ret_n is 0 when there is none or it does not fit. */
static bool nv_read_all(struct op *op, TPM2_HANDLE index, uint8_t *ret, size_t cap, size_t *ret_n)
{
    ESYS_TR nv = ESYS_TR_NONE;
    *ret_n = 0;
    const TSS2_RC rc = Esys_TR_FromTPMPublic(op->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv);
    if (rc_base(rc) == TPM2_RC_HANDLE && (rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER) {
        return true;
    }
    if (!op_ok(op, rc, "find NV index")) {
        return false;
    }
    op_hold(op, nv, true);
    TPM2B_NV_PUBLIC *pub = NULL;
    if (!op_ok(op, Esys_NV_ReadPublic(op->esys, nv, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL),
               "read NV public area")) {
        return false;
    }
    const size_t n = pub->nvPublic.dataSize;
    const ESYS_TR by = (pub->nvPublic.attributes & TPMA_NV_AUTHREAD) != 0 ? nv : ESYS_TR_RH_OWNER;
    Esys_Free(pub);
    size_t at = 0;
    while (n <= cap && at < n) {
        const size_t want = n - at < 512 ? n - at : 512; /* every TPM takes 512 at once */
        TPM2B_MAX_NV_BUFFER *part = NULL;
        /* A certificate is public, and its signature tells whether it came over whole: a plain session will do. */
        if (!op_ok(op,
                   Esys_NV_Read(op->esys, by, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)want,
                                (UINT16)at, &part),
                   "read NV")) {
            return false;
        }
        const size_t got = part->size <= want ? part->size : 0;
        memcpy(ret + at, part->buffer, got);
        Esys_Free(part);
        if (got == 0) {
            op_fail(op, BP_FAIL(ROOT), "NV read gave nothing");
            return false;
        }
        at += got;
    }
    *ret_n = at;
    return op_drop(op, nv);
}

/* Fills ret with the at-th certified identity; *ret_found tells whether there is one. */
static bool find_certified(struct op *op, uint32_t at, struct bp_rot_identity *ret, bool *ret_found)
{
    *ret_found = false;
    for (size_t i = 0; i < EK_PLACES; i++) {
        size_t n = 0;
        if (!nv_read_all(op, ek_places[i].cert_nv, ret->cert, sizeof(ret->cert), &n)) {
            return false;
        }
        ret->cert_n = der_length(bp_span_of(ret->cert, n));
        if (ret->cert_n > 0 && at-- == 0) {
            ret->template_id = ek_places[i].template_id;
            *ret_found = true;
            return true;
        }
    }
    return true;
}

bp_result tpm2_identity(struct bp_rot *rot, uint32_t at, struct bp_rot_identity *ret, struct bp_rot_trace *trace)
{
    struct op op;
    struct bp_rot_identity out = {0};
    TPM2B_PUBLIC *pub = NULL;
    ESYS_TR ek = ESYS_TR_NONE;
    bool found = false;
    if (!op_begin(&op, rot, trace) || !find_certified(&op, at, &out, &found)) {
        goto out;
    }
    if (!found && at == 0) {
        out.template_id = TEMPLATE_L2; /* no certificate at all: the key alone, for a server that knows it */
        out.cert_n = 0;
        found = true;
    }
    if (!found) {
        op_fail(&op, BP_FAIL(NOT_FOUND), "no more identities");
        goto out;
    }
    if (op_ek(&op, out.template_id, &ek, &pub) &&
        op_ok(&op, Tss2_MU_TPM2B_PUBLIC_Marshal(pub, out.pub, sizeof(out.pub), &out.pub_n), "marshal EK")) {
        *ret = out;
    }
out:
    Esys_Free(pub);
    return op_end(&op);
}

static bool make_in(struct op *op, enum bp_rot_key_kind kind, uint32_t template_id, const TPM2B_SENSITIVE_CREATE *s,
                    TPM2B_PUBLIC **ret_pub, TPM2B_PRIVATE **ret_priv)
{
    ESYS_TR parent = ESYS_TR_NONE;
    ESYS_TR crypt = ESYS_TR_NONE;
    ESYS_TR parent_auth = ESYS_TR_NONE;
    TPM2B_PUBLIC in;
    signing_template(kind == BP_ROT_KEY_ATTEST, &in);
    if (!op_session(op, SESS_DE, &crypt)) {
        return false;
    }
    bool ok = false;
    if (kind == BP_ROT_KEY_ATTEST) {
        ok = op_ek_auth(op, template_id, &parent_auth) && op_ek(op, template_id, &parent, NULL);
    } else {
        ok = op_srk(op, &parent);
        parent_auth = crypt;
        crypt = ESYS_TR_NONE;
    }
    return ok && op_ok(op,
                       Esys_Create(op->esys, parent, parent_auth, crypt, ESYS_TR_NONE, s, &in, &no_outside_info,
                                   &no_pcrs, ret_priv, ret_pub, NULL, NULL, NULL),
                       "make key");
}

bp_result tpm2_key_make(struct bp_rot *rot, enum bp_rot_key_kind kind, uint32_t template_id, bp_span auth,
                        struct bp_rot_blob *ret, struct bp_rot_trace *trace)
{
    struct op op;
    TPM2B_SENSITIVE_CREATE s = {0};
    TPM2B_PUBLIC *pub = NULL;
    TPM2B_PRIVATE *priv = NULL;
    const bool is_attest = kind == BP_ROT_KEY_ATTEST;
    if ((auth.n != BP_ROT_AUTH_SIZE && (auth.n != 0 || is_attest)) || (!is_attest && (kind != BP_ROT_KEY_DEVICE || template_id != 0))) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    s.sensitive.userAuth.size = (UINT16)auth.n;
    if (auth.n > 0) {
        memcpy(s.sensitive.userAuth.buffer, auth.p, auth.n);
    }
    if (op_begin(&op, rot, trace) && make_in(&op, kind, template_id, &s, &pub, &priv)) {
        const struct blob head = {.kind = (uint64_t)kind, .template_id = template_id};
        const bp_result r = blob_write(&head, pub, priv, ret);
        if (bp_failed(r)) {
            op_fail(&op, r, "write key blob");
        }
    }
    bp_wipe(&s, sizeof(s));
    Esys_Free(pub);
    Esys_Free(priv);
    return op_end(&op);
}

static bp_result key_read(bp_span blob, struct blob *ret)
{
    const bp_result r = blob_read(blob, BLOB_ATTEST, ret);
    return bp_failed(r) ? blob_read(blob, BLOB_DEVICE, ret) : r;
}

bp_result tpm2_key_public(struct bp_rot *rot, bp_span blob, bp_span *ret)
{
    struct blob b;
    (void)rot;
    BP_TRY(key_read(blob, &b));
    *ret = b.pub;
    return BP_OK;
}

/* TPMKey of the TPM 2.0 key file format: loadable key, empty auth value, under the primary key of the owner's hierarchy that
 * every reader of the format makes by the same template. */
bp_result tpm2_key_file(struct bp_rot *rot, bp_span blob, size_t *ret_n, uint8_t ret[BP_ROT_FILE_MAX], const char **ret_label)
{
    static const uint8_t loadable[] = {0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, 0x03}; /* 2.23.133.10.1.3 */
    static const uint8_t empty_auth[] = {0xa0, 0x03, 0x01, 0x01, 0xff};
    static const uint8_t owner[] = {0x02, 0x04, 0x40, 0x00, 0x00, 0x01};
    struct blob b;
    (void)rot;
    BP_TRY(blob_read(blob, BLOB_DEVICE, &b));
    bp_wr w = bp_wr_over(ret, BP_ROT_FILE_MAX);
    bp_der_put_head(&w, BP_DER_SEQ,
                    sizeof(loadable) + sizeof(empty_auth) + sizeof(owner) + bp_der_size(b.pub.n) + bp_der_size(b.priv.n));
    bp_wr_bytes(&w, BP_SPAN_OF(loadable));
    bp_wr_bytes(&w, BP_SPAN_OF(empty_auth));
    bp_wr_bytes(&w, BP_SPAN_OF(owner));
    bp_der_put(&w, BP_DER_OCTETS, b.pub);
    bp_der_put(&w, BP_DER_OCTETS, b.priv);
    BP_TRY(bp_wr_finish(&w));
    *ret_n = w.n;
    *ret_label = "TSS2 PRIVATE KEY";
    return BP_OK;
}

bp_result tpm2_key_load(struct bp_rot *rot, bp_span blob, struct bp_rot_trace *trace)
{
    struct blob b;
    struct op op;
    ESYS_TR key = ESYS_TR_NONE;
    BP_TRY(key_read(blob, &b));
    if (op_begin(&op, rot, trace)) {
        if (b.kind == BLOB_ATTEST) {
            (void)load_attest_anew(&op, &b, &key);
        } else {
            (void)op_load_device(&op, blob, BP_SPAN_EMPTY, &key);
        }
    }
    return op_end(&op);
}
