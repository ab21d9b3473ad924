/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/identity - the steps that say whose evidence it is and for which question: structure, attestation key,
 * statement, signature, selection, names, extraData, activation, keys. Whatever fails here refuses. */
#include "appraise/judge.h"
#include "base/secret.h"
#include "codec/x509.h"
#include "core/binding.h"

#define BP_MODULE APPRAISE

static bp_span error_text(bp_result r)
{
    return bp_span_cstr(bp_error_text(bp_error_of(r)));
}

bp_result bp_j_structure(struct bp_judge *j)
{
    BP_TRY(bp_hash(j->c, BP_HASH_SHA256, j->req->evidence, j->ret->evidence_digest));
    const bp_result r = bp_evidence_read(j->req->evidence, &j->ev);
    if (bp_failed(r)) {
        bp_j_find(j, BP_F_STRUCTURE, 0, error_text(r));
    }
    return BP_OK;
}

/* The server holds the AK because a credential bound it to the device; the rules are applied again all the same, so
 * that a verdict rests on nothing but its inputs (research: the AK that is none). */
bp_result bp_j_ak(struct bp_judge *j)
{
    if (bp_failed(bp_tpm_public_read(j->req->ak, &j->ak)) ||
        bp_failed(bp_tpm_pubkey(&j->ak, &j->ak_room, &j->ak_key))) {
        bp_j_find(j, BP_F_AK_FORM, 0, BP_SPAN_EMPTY);
    } else if (!bp_tpm_is_attestation_key(&j->ak)) {
        bp_j_find(j, BP_F_AK_ATTRIBUTES, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* Magic and type of a TPMS_ATTEST, zero where there is none. */
static void attest_head(bp_span attest, uint32_t *ret_magic, uint16_t *ret_type)
{
    bp_rd rd = bp_rd_over(attest);
    *ret_magic = bp_rd_be32(&rd);
    *ret_type = bp_rd_be16(&rd);
}

/* Before anything of the statement is believed (CVE-2024-29038: a blob without TPM_GENERATED, signed by a key that a
 * user of the TPM may use). */
bp_result bp_j_attest(struct bp_judge *j)
{
    uint32_t magic = 0;
    uint16_t type = 0;
    attest_head(j->ev.attest, &magic, &type);
    if (magic != BP_TPM_GENERATED) {
        bp_j_find(j, BP_F_MAGIC, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    if (type != BP_TPM_ST_QUOTE) {
        bp_j_find(j, BP_F_ATTEST_TYPE, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    const bp_result r = bp_tpm_attest_read(j->ev.attest, &j->quote);
    if (bp_failed(r)) {
        bp_j_find(j, BP_F_ATTEST_FORM, 0, error_text(r));
    }
    return BP_OK;
}

/* Forms that are allowed: P-256 and RSA with SHA-256. Gives BP_OK, BAD_SIGNATURE, UNSUPPORTED or what the port says. */
static bp_result check_signature(struct bp_judge *j, bp_span signature, bp_span message, struct bp_tpm_sig *sig)
{
    if (bp_failed(bp_tpm_sig_read(signature, sig)) || sig->hash != BP_TPM_ALG_SHA256) {
        return BP_FAIL(UNSUPPORTED);
    }
    return bp_tpm_verify(j->c, &j->ak_key, sig, message);
}

bp_result bp_j_signature(struct bp_judge *j)
{
    const bp_result r = check_signature(j, j->ev.signature, j->ev.attest, &j->sig);
    if (bp_is(r, BP_E_CRYPTO) || bp_is(r, BP_E_NO_MEMORY)) {
        return r;
    }
    if (bp_is(r, BP_E_BAD_SIGNATURE)) {
        bp_j_find(j, BP_F_SIGNATURE, 0, BP_SPAN_EMPTY);
    } else if (bp_failed(r)) {
        bp_j_find(j, BP_F_SIGNATURE_FORM, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* A credential opens for any key that the TPM has loaded. Only a child of the endorsement key is gone after TPM2_Clear;
 * a primary key would come back and sign as before, and the device would not be seen to have been cleared. The TPM itself
 * writes where its signing key hangs. */
bp_result bp_j_parent(struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->req->parents; i++) {
        if (bp_span_equal(j->quote.qualified_signer, j->req->qualified[i])) {
            return BP_OK;
        }
    }
    bp_j_find(j, BP_F_AK_PARENT, 0, BP_SPAN_EMPTY);
    return BP_OK;
}

/* PCR numbers and bank come from the signed selection alone (CVE-2024-29039). */
bp_result bp_j_selection(struct bp_judge *j)
{
    const struct bp_tpm_pcrs want = {.count = 1, .bank = {{BP_TPM_ALG_SHA256, BP_APPRAISE_PCRS}}};
    if (!bp_tpm_pcrs_equal(&j->quote.pcrs, &want) || j->quote.pcr_digest.n != BP_SHA256_SIZE) {
        bp_j_find(j, BP_F_SELECTION, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* SHA-256 of the DER SubjectPublicKeyInfo. */
static bp_result spki_hash(struct bp_crypto *c, const struct bp_tpm_public *pub, uint8_t ret[BP_SHA256_SIZE])
{
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    uint8_t spki[640];
    size_t n = 0;
    BP_TRY(bp_tpm_pubkey(pub, &room, &key));
    BP_TRY(bp_spki_write(&key, spki, sizeof spki, &n));
    return bp_hash(c, BP_HASH_SHA256, bp_span_of(spki, n), ret);
}

/* The session key that the evidence must name: the one of the channel, or at first contact the key that it asks to be
 * vouched for. */
static bp_result check_ldevid(struct bp_judge *j)
{
    if (j->req->ldevid.n != 0) {
        if (!bp_span_equal(j->ev.about.ldevid, j->req->ldevid)) {
            bp_j_find(j, BP_F_LDEVID, 0, BP_SPAN_EMPTY);
        }
        return BP_OK;
    }
    struct bp_tpm_public pub;
    uint8_t hash[BP_SHA256_SIZE] = {0};
    bp_result r = j->ev.keys != 0 ? bp_tpm_public_read(j->ev.key[0].public_area, &pub) : BP_FAIL(NOT_FOUND);
    r = bp_failed(r) ? r : spki_hash(j->c, &pub, hash);
    if (bp_is(r, BP_E_CRYPTO)) {
        return r;
    }
    if (bp_failed(r) || !bp_span_equal(j->ev.about.ldevid, BP_SPAN_OF(hash))) {
        bp_j_find(j, BP_F_LDEVID, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

bp_result bp_j_names(struct bp_judge *j)
{
    const struct bp_about *about = &j->ev.about;
    if (!bp_span_equal(about->device_id, j->req->device_id)) {
        bp_j_find(j, BP_F_DEVICE_ID, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    if (about->issued_ms != (uint64_t)j->req->as_of_ms) {
        bp_j_find(j, BP_F_NONCE_TIME, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    j->ret->seq = about->seq;
    j->ret->issued_ms = about->issued_ms;
    return check_ldevid(j);
}

bp_result bp_j_extra(struct bp_judge *j)
{
    uint8_t covered[BP_SHA256_SIZE];
    uint8_t want[BP_SHA256_SIZE];
    BP_TRY(bp_binding_covered(j->c, &j->ev, covered));
    BP_TRY(bp_binding_quote(j->c, j->req->nonce, j->req->device_id, j->ev.about.ldevid, j->req->binding,
                            BP_SPAN_OF(covered), want));
    if (!bp_ct_equal(j->quote.extra_data, BP_SPAN_OF(want))) {
        bp_j_find(j, BP_F_EXTRA_DATA, 0, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* Whether the proof is right, the CA signer says: it made the secrets. Here it must be there when it was asked for,
 * and then it is under the signature like everything else. */
bp_result bp_j_activation(struct bp_judge *j)
{
    const bool is_there = j->ev.about.activation.n != 0;
    if (j->req->activation != is_there) {
        bp_j_find(j, BP_F_ACTIVATION, 0, is_there ? BP_SPAN_STR("was not asked for") : BP_SPAN_STR("is missing"));
    }
    j->ret->activation = j->ev.about.activation;
    return BP_OK;
}

/* One key: BP_F_COUNT when it is vouched for, else what refuses it. */
static bp_result check_key(struct bp_judge *j, const struct bp_certified *key, uint8_t ret_hash[BP_SHA256_SIZE],
                           enum bp_finding_id *ret)
{
    struct bp_tpm_public pub;
    struct bp_tpm_attest statement;
    struct bp_tpm_name name;
    struct bp_tpm_sig sig;
    uint8_t extra[BP_SHA256_SIZE];
    uint32_t magic = 0;
    uint16_t type = 0;
    bp_result r = bp_tpm_public_read(key->public_area, &pub);
    r = bp_failed(r) ? r : spki_hash(j->c, &pub, ret_hash);
    r = bp_failed(r) ? r : bp_tpm_name(j->c, &pub, &name);
    if (bp_is(r, BP_E_CRYPTO)) {
        return r;
    }
    *ret = BP_F_KEY_FORM;
    if (bp_failed(r)) {
        return BP_OK;
    }
    *ret = BP_F_KEY_ATTRIBUTES;
    if (!bp_tpm_is_device_key(&pub)) {
        return BP_OK;
    }
    *ret = BP_F_KEY_STATEMENT;
    attest_head(key->attest, &magic, &type);
    if (magic != BP_TPM_GENERATED || type != BP_TPM_ST_CERTIFY || bp_failed(bp_tpm_attest_read(key->attest, &statement))) {
        return BP_OK;
    }
    *ret = BP_F_KEY_NAME;
    if (!bp_span_equal(statement.name, bp_tpm_name_span(&name))) {
        return BP_OK;
    }
    *ret = BP_F_KEY_NONCE;
    BP_TRY(bp_binding_key(j->c, j->req->nonce, j->req->device_id, extra));
    if (!bp_ct_equal(statement.extra_data, BP_SPAN_OF(extra))) {
        return BP_OK;
    }
    *ret = BP_F_KEY_SIGNATURE;
    r = check_signature(j, key->signature, key->attest, &sig);
    if (bp_is(r, BP_E_CRYPTO) || bp_is(r, BP_E_NO_MEMORY)) {
        return r;
    }
    if (bp_failed(r)) {
        return BP_OK;
    }
    *ret = statement.reset_count == j->quote.reset_count ? BP_F_COUNT : BP_F_KEY_BOOT;
    return BP_OK;
}

bp_result bp_j_keys(struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->ev.keys && !j->is_refused; i++) {
        enum bp_finding_id bad = BP_F_COUNT;
        BP_TRY(check_key(j, &j->ev.key[i], j->ret->key[i], &bad));
        if (bad != BP_F_COUNT) {
            bp_j_find_number(j, bad, i, i);
        }
        j->ret->keys = i + 1;
    }
    return BP_OK;
}
