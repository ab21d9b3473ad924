/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2/evidence - what the TPM states: quotes, certified keys, activated credentials, signatures, clock, kind. */
#include <stdio.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "base/secret.h"
#include "rot/tpm2/internal.h"

#define BP_MODULE ROT

#define QUOTE_TRIES    5u
#define PCR_READ_TURNS 24u /* a TPM gives at least one value a turn */

static const TPMT_SIG_SCHEME own_scheme = {.scheme = TPM2_ALG_NULL}; /* the one that the key is bound to */

void pcr_select(TPML_PCR_SELECTION *ret, uint16_t bank, uint32_t mask)
{
    *ret = (TPML_PCR_SELECTION){.count = 1};
    ret->pcrSelections[0].hash = bank;
    ret->pcrSelections[0].sizeofSelect = 3;
    for (unsigned i = 0; i < 3; i++) {
        ret->pcrSelections[0].pcrSelect[i] = (BYTE)((mask >> (8 * i)) & 0xffu);
    }
}

bool op_property(struct op *op, TPM2_PT which, uint32_t *ret)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    if (!op_ok(op,
               Esys_GetCapability(op->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES, which,
                                  1, NULL, &data),
               "read property")) {
        return false;
    }
    const TPML_TAGGED_TPM_PROPERTY *list = &data->data.tpmProperties;
    *ret = list->count == 1 && list->tpmProperty[0].property == which ? list->tpmProperty[0].value : 0;
    Esys_Free(data);
    return true;
}

/* Appends the four characters of a property, without what is not printable. */
static void put_chars(char *text, size_t cap, uint32_t value)
{
    size_t n = strlen(text);
    for (int shift = 24; shift >= 0; shift -= 8) {
        const char c = (char)((value >> shift) & 0x7fu);
        if (c >= ' ' && c <= '~' && n + 1 < cap) {
            text[n++] = c;
        }
    }
    while (n > 0 && text[n - 1] == ' ') {
        n--;
    }
    text[n] = '\0';
}

bp_result tpm2_info(struct bp_rot *rot, struct bp_rot_info *ret, struct bp_rot_trace *trace)
{
    struct op op;
    struct bp_rot_info out = {.kind = BP_ROT_TPM2,
                              .proves = BP_ROT_PROVES_IDENTITY | BP_ROT_PROVES_RESIDENCE | BP_ROT_PROVES_BOOT |
                                        BP_ROT_PROVES_TIME | BP_ROT_PROVES_COUNT};
    uint32_t maker = 0;
    uint32_t vendor[4] = {0};
    uint32_t firmware[2] = {0};
    uint32_t level = 0;
    uint32_t revision = 0;
    if (!op_begin(&op, rot, trace) || !op_property(&op, TPM2_PT_MANUFACTURER, &maker) ||
        !op_property(&op, TPM2_PT_FIRMWARE_VERSION_1, &firmware[0]) ||
        !op_property(&op, TPM2_PT_FIRMWARE_VERSION_2, &firmware[1]) || !op_property(&op, TPM2_PT_LEVEL, &level) ||
        !op_property(&op, TPM2_PT_REVISION, &revision)) {
        return op_end(&op);
    }
    put_chars(out.manufacturer, sizeof(out.manufacturer), maker);
    for (uint32_t i = 0; i < 4; i++) {
        if (!op_property(&op, TPM2_PT_VENDOR_STRING_1 + i, &vendor[i])) {
            return op_end(&op);
        }
        put_chars(out.model, sizeof(out.model), vendor[i]);
    }
    (void)snprintf(out.firmware, sizeof(out.firmware), "%u.%u.%u.%u", firmware[0] >> 16, firmware[0] & 0xffffu,
                   firmware[1] >> 16, firmware[1] & 0xffffu);
    (void)snprintf(out.spec, sizeof(out.spec), "2.0 level %u revision %u.%02u", level % 1000u,
                   (revision / 100u) % 1000u, revision % 100u);
    *ret = out;
    return op_end(&op);
}

/* Marshals what came into ret; `attest` verbatim. */
static bool put_statement(struct op *op, const TPM2B_ATTEST *attest, const TPMT_SIGNATURE *sig,
                          struct bp_rot_statement *ret)
{
    if (attest->size > sizeof(ret->attest)) {
        op_fail(op, BP_FAIL(NO_SPACE), "statement too long");
        return false;
    }
    struct bp_rot_statement out = {.attest_n = attest->size};
    memcpy(out.attest, attest->attestationData, attest->size);
    if (!op_ok(op, Tss2_MU_TPMT_SIGNATURE_Marshal(sig, out.sig, sizeof(out.sig), &out.sig_n), "marshal signature")) {
        return false;
    }
    *ret = out;
    return true;
}

static bool qualifying_data(struct op *op, bp_span in, TPM2B_DATA *ret)
{
    if (in.n > 64) {
        op_fail(op, BP_FAIL(BAD_ARGUMENT), "qualifying data too long");
        return false;
    }
    *ret = (TPM2B_DATA){.size = (UINT16)in.n};
    if (in.n > 0) {
        memcpy(ret->buffer, in.p, in.n);
    }
    return true;
}

/* One turn of TPM2_PCR_Read: takes over what it gave and clears it in *left. The update counter must stay as it was. */
static bool pcr_turn(struct op *op, uint32_t *left, struct bp_rot_pcrs *pcrs, uint32_t *ret_count)
{
    TPML_PCR_SELECTION want;
    TPML_PCR_SELECTION *got = NULL;
    TPML_DIGEST *values = NULL;
    pcr_select(&want, pcrs->bank, *left);
    if (!op_ok(op,
               Esys_PCR_Read(op->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want, ret_count, &got, &values),
               "read PCRs")) {
        return false;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; got->count == 1 && i < BP_ROT_PCRS && at < values->count; i++) {
        const bool given = (got->pcrSelections[0].pcrSelect[i / 8] >> (i % 8) & 1) != 0;
        if (!given || (*left >> i & 1) == 0 || pcrs->count == BP_ROT_PCRS) {
            continue;
        }
        pcrs->value_n = values->digests[at].size;
        memcpy(pcrs->v[pcrs->count++], values->digests[at].buffer, pcrs->value_n);
        *left &= ~(1u << i);
        at++;
    }
    Esys_Free(got);
    Esys_Free(values);
    if (at == 0) {
        op_fail(op, BP_FAIL(UNSUPPORTED), "the bank or a PCR is not there");
        return false;
    }
    return true;
}

/* Reads all selected PCRs; *ret_steady is false when the update counter moved meanwhile. */
static bool pcr_read_all(struct op *op, struct bp_rot_pcrs *pcrs, uint32_t *ret_count, bool *ret_steady)
{
    uint32_t left = pcrs->mask;
    uint32_t first = 0;
    pcrs->count = 0;
    *ret_steady = true;
    for (unsigned turn = 0; turn < PCR_READ_TURNS && left != 0; turn++) {
        uint32_t count = 0;
        if (!pcr_turn(op, &left, pcrs, &count)) {
            return false;
        }
        first = turn == 0 ? count : first;
        *ret_steady = *ret_steady && count == first;
    }
    *ret_count = first;
    return true;
}

static bool quote_once(struct op *op, ESYS_TR key, ESYS_TR session, const TPM2B_DATA *extra,
                       struct bp_rot_statement *ret, struct bp_rot_pcrs *pcrs, bool *ret_steady)
{
    TPML_PCR_SELECTION select;
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *sig = NULL;
    uint32_t before = 0;
    uint32_t after = 0;
    pcr_select(&select, pcrs->bank, pcrs->mask);
    if (!pcr_read_all(op, pcrs, &before, ret_steady) ||
        !op_ok(op,
               Esys_Quote(op->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, extra, &own_scheme, &select, &attest,
                          &sig),
               "quote")) {
        return false;
    }
    const bool put = put_statement(op, attest, sig, ret);
    Esys_Free(attest);
    Esys_Free(sig);
    struct bp_rot_pcrs again = {.bank = pcrs->bank, .mask = pcrs->mask};
    uint32_t left = pcrs->mask;
    if (!put || !pcr_turn(op, &left, &again, &after)) {
        return false;
    }
    *ret_steady = *ret_steady && before == after;
    return true;
}

bp_result tpm2_quote(struct bp_rot *rot, bp_span attest_key, bp_span auth, uint16_t bank, uint32_t mask, bp_span extra,
                     struct bp_rot_statement *ret, struct bp_rot_pcrs *ret_pcrs, struct bp_rot_trace *trace)
{
    struct op op;
    struct bp_rot_statement statement;
    struct bp_rot_pcrs pcrs = {.bank = bank, .mask = mask};
    TPM2B_DATA data;
    ESYS_TR key = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    if (mask == 0 || mask >> BP_ROT_PCRS != 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (!op_begin(&op, rot, trace) || !qualifying_data(&op, extra, &data) ||
        !op_load_attest(&op, attest_key, auth, &key) || !op_session(&op, SESS_DE, &session)) {
        return op_end(&op);
    }
    for (unsigned i = 0; i < QUOTE_TRIES; i++) {
        bool steady = false;
        if (!quote_once(&op, key, session, &data, &statement, &pcrs, &steady)) {
            return op_end(&op);
        }
        if (steady) {
            *ret = statement;
            *ret_pcrs = pcrs;
            return op_end(&op);
        }
    }
    op_fail(&op, BP_FAIL(BUSY), "PCRs kept moving");
    return op_end(&op);
}

bp_result tpm2_certify(struct bp_rot *rot, bp_span attest_key, bp_span attest_auth, bp_span key, bp_span key_auth,
                       bp_span qualifying, struct bp_rot_statement *ret, struct bp_rot_trace *trace)
{
    struct op op;
    TPM2B_DATA data;
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *sig = NULL;
    ESYS_TR signer = ESYS_TR_NONE;
    ESYS_TR subject = ESYS_TR_NONE;
    ESYS_TR by_subject = ESYS_TR_NONE;
    ESYS_TR by_signer = ESYS_TR_NONE;
    /* The attestation key first: with its EK it takes two places, and a TPM may have only three. */
    if (op_begin(&op, rot, trace) && qualifying_data(&op, qualifying, &data) &&
        op_load_attest(&op, attest_key, attest_auth, &signer) && op_load_device(&op, key, key_auth, &subject) &&
        op_session(&op, SESS_DE, &by_subject) && op_session(&op, 0, &by_signer) &&
        op_ok(&op,
              Esys_Certify(op.esys, subject, signer, by_subject, by_signer, ESYS_TR_NONE, &data, &own_scheme, &attest,
                           &sig),
              "certify")) {
        (void)put_statement(&op, attest, sig, ret);
    }
    Esys_Free(attest);
    Esys_Free(sig);
    return op_end(&op);
}

bp_result tpm2_activate(struct bp_rot *rot, uint32_t template_id, bp_span attest_key, bp_span auth, bp_span id_object,
                        bp_span secret, size_t *ret_n, uint8_t ret[BP_ROT_SECRET_MAX], struct bp_rot_trace *trace)
{
    struct op op;
    TPM2B_ID_OBJECT id = {0};
    TPM2B_ENCRYPTED_SECRET enc = {0};
    TPM2B_DIGEST *out = NULL;
    ESYS_TR key = ESYS_TR_NONE;
    ESYS_TR ek = ESYS_TR_NONE;
    ESYS_TR by_key = ESYS_TR_NONE;
    ESYS_TR by_ek = ESYS_TR_NONE;
    size_t id_n = 0;
    size_t enc_n = 0;
    if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(id_object.p, id_object.n, &id_n, &id) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &enc_n, &enc) != TSS2_RC_SUCCESS ||
        id_n != id_object.n || enc_n != secret.n) {
        return BP_FAIL(MALFORMED);
    }
    if (op_begin(&op, rot, trace) && op_load_attest(&op, attest_key, auth, &key) &&
        op_session(&op, SESS_DE, &by_key) && op_ek_auth(&op, template_id, &by_ek) &&
        op_ek(&op, template_id, &ek, NULL) &&
        op_ok(&op,
              Esys_ActivateCredential(op.esys, key, ek, by_key, by_ek, ESYS_TR_NONE, &id, &enc, &out),
              "activate credential")) {
        if (out->size > BP_ROT_SECRET_MAX) {
            op_fail(&op, BP_FAIL(NO_SPACE), "secret too long");
        } else {
            memcpy(ret, out->buffer, out->size);
            *ret_n = out->size;
        }
    }
    if (out != NULL) {
        bp_wipe(out, sizeof(*out));
    }
    Esys_Free(out);
    return op_end(&op);
}

static bool put_coordinate(const TPM2B_ECC_PARAMETER *in, uint8_t ret[32])
{
    if (in->size > 32) {
        return false;
    }
    memset(ret, 0, 32);
    memcpy(ret + 32 - in->size, in->buffer, in->size);
    return true;
}

bp_result tpm2_sign(struct bp_rot *rot, bp_span key, bp_span auth, bp_span digest, uint8_t ret[64],
                    struct bp_rot_trace *trace)
{
    struct op op;
    TPMT_SIGNATURE *sig = NULL;
    ESYS_TR tr = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    uint8_t raw[64];
    const TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    if (digest.n != 32) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    TPM2B_DIGEST in = {.size = 32};
    memcpy(in.buffer, digest.p, 32);
    if (op_begin(&op, rot, trace) && op_load_device(&op, key, auth, &tr) &&
        op_session(&op, TPMA_SESSION_DECRYPT, &session) &&
        op_ok(&op, Esys_Sign(op.esys, tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &in, &own_scheme, &ticket, &sig),
              "sign")) {
        const TPMS_SIGNATURE_ECDSA *e = &sig->signature.ecdsa;
        if (sig->sigAlg == TPM2_ALG_ECDSA && put_coordinate(&e->signatureR, raw) &&
            put_coordinate(&e->signatureS, raw + 32)) {
            memcpy(ret, raw, sizeof(raw));
        } else {
            op_fail(&op, BP_FAIL(ROOT), "a signature of another kind");
        }
    }
    Esys_Free(sig);
    return op_end(&op);
}

bp_result tpm2_clock(struct bp_rot *rot, struct bp_rot_clock *ret, struct bp_rot_trace *trace)
{
    struct op op;
    TPMS_TIME_INFO *now = NULL;
    if (op_begin(&op, rot, trace) &&
        op_ok(&op, Esys_ReadClock(op.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now), "read clock")) {
        const TPMS_CLOCK_INFO *c = &now->clockInfo;
        *ret = (struct bp_rot_clock){c->clock, c->resetCount, c->restartCount, c->safe == TPM2_YES};
    }
    Esys_Free(now);
    return op_end(&op);
}
