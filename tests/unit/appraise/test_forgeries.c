/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/test_forgeries - evidence that is not this device's answer to this question is refused, each kind
 * by its own name; and no change of honest evidence makes a verdict better. */
#include "core/binding.h"
#include "harness.h"
#include "unit/appraise/rig.h"

#include <stdio.h>

static struct bp_crypto *crypto;
static struct rig rig;
static struct rig other;
static bool seen[BP_F_COUNT];
static const char *const programs[] = {"/bin/agent", "1", "/bin/shell", "1", NULL};

static bool start(struct rig *r, bool first_contact)
{
    rig_done(r);
    if (!rig_make(r, crypto)) {
        return false;
    }
    (void)rig_release(r, "gateway 1", "*", &rig_os_1, programs);
    if (!rig_publish(r)) {
        return false;
    }
    rig_boot(r, &rig_os_1);
    rig_run(r, "/bin/agent", "1");
    r->first_contact = first_contact;
    return true;
}

/* --- what forgers do --- */

static void wire_bit(struct rig *r)
{
    r->evidence[0] ^= 0x20; /* no map any more */
}
static void wire_tail(struct rig *r)
{
    r->evidence[r->evidence_n++] = 0;
}
static void wire_cut(struct rig *r)
{
    r->evidence_n--;
}
static void wire_empty(struct rig *r)
{
    r->evidence_n = 0;
}

static void ask_ak_cut(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    req->ak.n--;
}
static void ask_ak_tail(struct rig *r, struct bp_appraise_request *req)
{
    r->ak_public[req->ak.n] = 0;
    req->ak.n++;
}
/* TPMA_OBJECT stands after size, type and nameAlg. */
static void ask_ak_attribute(struct bp_appraise_request *req, uint32_t bit)
{
    static uint8_t copy[256];
    memcpy(copy, req->ak.p, req->ak.n);
    for (size_t i = 0; i < 4; i++) {
        copy[6 + i] ^= (uint8_t)(bit >> (24 - 8 * i));
    }
    req->ak.p = copy;
}
static void ask_unrestricted(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_RESTRICTED);
}
static void ask_may_leave(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_FIXED_TPM);
}
static void ask_may_move(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_FIXED_PARENT);
}
static void ask_born_outside(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_SENSITIVE_DATA_ORIGIN);
}
static void ask_decrypts(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_DECRYPT);
}
static void ask_signs_not(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    ask_ak_attribute(req, BP_TPMA_SIGN);
}

/* Where extraData stands in a statement: behind magic, type, the signer's qualified name and its own size. */
#define EXTRA_AT (4 + 2 + 2 + 34 + 2)

static void bytes_magic(struct rig *r)
{
    r->attest[0] ^= 1;
}
static void bytes_type(struct rig *r)
{
    r->attest[5] = 0x17; /* TPM_ST_ATTEST_CERTIFY */
}
static void bytes_time(struct rig *r)
{
    r->attest[5] = 0x19; /* TPM_ST_ATTEST_TIME */
}
static void bytes_tail(struct rig *r)
{
    r->attest[r->attest_n++] = 0;
}
static void bytes_cut(struct rig *r)
{
    r->attest_n--;
}
static void bytes_empty(struct rig *r)
{
    r->attest_n = 1;
}

static void after_signature_bit(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    r->sig[r->sig_n - 1] ^= 1;
}
static void after_signature_tail(struct rig *r, struct bp_evidence *ev)
{
    r->sig[r->sig_n] = 0;
    ev->signature.n++;
}
static void after_signature_hash(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    r->sig[3] = 0x04; /* SHA-1 */
}
static void after_signature_scheme(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    r->sig[1] = 0x1a; /* ECDAA */
}
static void after_signature_zero(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    memset(r->sig + 6, 0, 32); /* r = 0 */
}
static void after_clock(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    (void)ev;
    r->attest[EXTRA_AT + 32 + 7] ^= 1; /* the clock follows */
}
/* The quote of another device's TPM, over the same nonce. */
static void after_other_key(struct rig *r, struct bp_evidence *ev)
{
    uint8_t raw[64];
    size_t n = 0;
    if (!bp_failed(other.ak.signer.sign(other.ak.signer.self, ev->attest, raw, sizeof raw, &n))) {
        memcpy(r->sig + 6, raw, 32);
        memcpy(r->sig + 40, raw + 32, 32);
    }
}

/* The TPM says where its signing key hangs; a key that was made elsewhere is loaded and signs as well. */
static struct bp_tpm_name elsewhere;
static void hang(struct rig *r, struct bp_tpm_attest *q, uint32_t hierarchy, const char *parent)
{
    const uint8_t handle[4] = {(uint8_t)(hierarchy >> 24), 0, 0, (uint8_t)hierarchy};
    struct bp_tpm_public pub = {.name_alg = BP_TPM_ALG_SHA256, .all = BP_SPAN_OF(handle)};
    struct bp_tpm_name name = {0}, top = {.n = 4, .v = {handle[0], 0, 0, handle[3]}};
    bool good = true;
    if (parent != NULL) {
        pub.all = bp_span_cstr(parent);
        good = !bp_failed(bp_tpm_name(r->c, &pub, &name)) &&
               !bp_failed(bp_tpm_qualified_name(r->c, BP_SPAN_OF(handle), bp_tpm_name_span(&name), &top));
    }
    good = good && !bp_failed(bp_tpm_public_read(bp_span_of(r->ak_public, r->ak_public_n), &pub)) &&
           !bp_failed(bp_tpm_name(r->c, &pub, &name)) &&
           !bp_failed(bp_tpm_qualified_name(r->c, bp_tpm_name_span(&top), bp_tpm_name_span(&name), &elsewhere));
    q->qualified_signer = good ? bp_tpm_name_span(&elsewhere) : BP_SPAN_EMPTY;
}
static void before_primary(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    hang(r, q, BP_TPM_RH_ENDORSEMENT, NULL);
}
static void before_owner_primary(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    hang(r, q, BP_TPM_RH_OWNER, NULL);
}
static void before_storage_child(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    hang(r, q, BP_TPM_RH_OWNER, "a storage key");
}
static void before_other_ek(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    hang(r, q, BP_TPM_RH_ENDORSEMENT, "another endorsement key");
}
static void before_hash_alone(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->qualified_signer = bp_span_of(q->qualified_signer.p + 2, 32);
}
static void before_unnamed(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->qualified_signer = BP_SPAN_EMPTY;
}

static void before_subset(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.bank[0].mask &= ~(1u << 4);
}
static void before_superset(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.bank[0].mask |= 1u << 16; /* a PCR that anybody may reset */
}
/* CVE-2024-29039: the values of other PCRs under these numbers. */
static void before_relabelled(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.bank[0].mask = 0x1fff0000u >> 8;
}
static void before_bank(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.bank[0].hash = BP_TPM_ALG_SHA1;
}
static void before_two_banks(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.count = 2;
    q->pcrs.bank[1] = (struct bp_tpm_pcr_bank){BP_TPM_ALG_SHA1, 1};
}
static void before_no_bank(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcrs.count = 0;
}
static void before_short_digest(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->pcr_digest.n = 20;
}
static void before_digest(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    static uint8_t digest[32];
    (void)r;
    (void)ev;
    memcpy(digest, q->pcr_digest.p, 32);
    digest[0] ^= 1;
    q->pcr_digest = BP_SPAN_OF(digest);
}
static void before_pcr_value(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    static uint8_t value[32];
    (void)r;
    (void)q;
    memcpy(value, ev->pcr[4].p, 32);
    value[31] ^= 1;
    ev->pcr[4] = BP_SPAN_OF(value);
}
static void before_pcr_swapped(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    const bp_span first = ev->pcr[0];
    ev->pcr[0] = ev->pcr[4];
    ev->pcr[4] = first;
}
static void before_pcr_left_out(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->pcrs--;
}

static void before_device(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->about.device_id = BP_SPAN_OF(other.device_id);
}
static void ask_device(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    req->device_id = BP_SPAN_OF(other.device_id);
}
static void before_ldevid(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->about.ldevid = BP_SPAN_OF(other.ldevid_hash);
}
/* Relayed through a session of another key. */
static void ask_ldevid(struct rig *r, struct bp_appraise_request *req)
{
    (void)r;
    req->ldevid = BP_SPAN_OF(other.ldevid_hash);
}
static void before_no_keys(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->keys = 0;
}
static void before_issued(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->about.issued_ms--;
}
static void ask_nonce(struct rig *r, struct bp_appraise_request *req)
{
    static uint8_t nonce[32];
    memcpy(nonce, r->nonce, sizeof nonce);
    nonce[31] ^= 1;
    req->nonce = BP_SPAN_OF(nonce);
}
static void ask_channel(struct rig *r, struct bp_appraise_request *req)
{
    static const uint8_t exporter[32] = {7};
    (void)r;
    req->binding = BP_SPAN_OF(exporter);
}
static void after_agent(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->about.agent = BP_SPAN_STR("1.1");
}
static void after_seq(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->about.seq++;
}
static void after_feature(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->about.features = 1;
    ev->about.feature[0] = BP_SPAN_STR("downgrade");
}
static void after_boot(struct rig *r, struct bp_evidence *ev)
{
    (void)ev;
    r->log[r->log_n - 1] ^= 1;
}
static void after_no_boot(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->has_boot = false;
}
static void after_ima(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->ima.n = r->ima_end[0];
}
static void after_pcrs(struct rig *r, struct bp_evidence *ev)
{
    (void)r;
    ev->has_pcrs = false;
}
static void bytes_extra(struct rig *r)
{
    r->attest[EXTRA_AT] ^= 1;
}

static void before_no_activation(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->about.activation = BP_SPAN_EMPTY;
}
static void before_activation(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    static const uint8_t proof[32] = {9};
    (void)r;
    (void)q;
    ev->about.activation = BP_SPAN_OF(proof);
}

/* A second key beside the first, which stays what the session is bound to. */
static void second_key(struct bp_evidence *ev)
{
    ev->keys = 2;
    ev->key[1] = ev->key[0];
}
static void before_key_form(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    second_key(ev);
    ev->key[1].public_area.n--;
}
static void before_key_restricted(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)q;
    second_key(ev);
    ev->key[1].public_area = bp_span_of(r->ak_public, r->ak_public_n);
}
static void key_attribute(struct bp_evidence *ev, uint32_t bit)
{
    static uint8_t copy[256];
    second_key(ev);
    memcpy(copy, ev->key[1].public_area.p, ev->key[1].public_area.n);
    for (size_t i = 0; i < 4; i++) {
        copy[6 + i] ^= (uint8_t)(bit >> (24 - 8 * i));
    }
    ev->key[1].public_area.p = copy;
}
static void before_key_may_leave(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    key_attribute(ev, BP_TPMA_FIXED_TPM);
}
static void before_key_renamed(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    key_attribute(ev, BP_TPMA_NO_DA); /* a good key, and not the one that was certified */
}
static void before_key_other(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    second_key(ev);
    ev->key[1].public_area = bp_span_of(other.ldevid_public, other.ldevid_public_n);
}
static void before_key_magic(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    (void)q;
    r->key_attest[0] ^= 1;
}
static void before_key_quote(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    (void)q;
    r->key_attest[5] = 0x18;
}
static void before_key_tail(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)q;
    r->key_attest[ev->key[0].attest.n] = 0;
    ev->key[0].attest.n++;
}
static void before_key_extra(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)ev;
    (void)q;
    r->key_attest[EXTRA_AT] ^= 1;
}
static void before_key_signature(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)q;
    r->key_sig[ev->key[0].signature.n - 1] ^= 1;
}
static void before_key_signature_form(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->key[0].signature.n--;
}
/* The quote is of a later boot than the statement. */
static void before_key_boot(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->reset_count++;
}

enum { STEADY, FIRST };

static const struct row {
    const char *name;
    enum bp_finding_id want;
    int contact;
    struct rig_forge forge;
} rows[] = {
    {"collection_no_map", BP_F_STRUCTURE, STEADY, {.wire = wire_bit}},
    {"collection_trailing_byte", BP_F_STRUCTURE, STEADY, {.wire = wire_tail}},
    {"collection_cut", BP_F_STRUCTURE, STEADY, {.wire = wire_cut}},
    {"collection_empty", BP_F_STRUCTURE, STEADY, {.wire = wire_empty}},
    {"ak_cut", BP_F_AK_FORM, STEADY, {.ask = ask_ak_cut}},
    {"ak_trailing_byte", BP_F_AK_FORM, STEADY, {.ask = ask_ak_tail}},
    {"ak_unrestricted", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_unrestricted}},
    {"ak_may_leave_the_tpm", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_may_leave}},
    {"ak_may_move_below_another_parent", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_may_move}},
    {"ak_made_outside", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_born_outside}},
    {"ak_decrypts", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_decrypts}},
    {"ak_does_not_sign", BP_F_AK_ATTRIBUTES, STEADY, {.ask = ask_signs_not}},
    {"magic", BP_F_MAGIC, STEADY, {.bytes = bytes_magic}},
    {"statement_of_one_byte", BP_F_MAGIC, STEADY, {.bytes = bytes_empty}},
    {"type_certify", BP_F_ATTEST_TYPE, STEADY, {.bytes = bytes_type}},
    {"type_time", BP_F_ATTEST_TYPE, STEADY, {.bytes = bytes_time}},
    {"statement_trailing_byte", BP_F_ATTEST_FORM, STEADY, {.bytes = bytes_tail}},
    {"statement_cut", BP_F_ATTEST_FORM, STEADY, {.bytes = bytes_cut}},
    {"signature_trailing_byte", BP_F_SIGNATURE_FORM, STEADY, {.after = after_signature_tail}},
    {"signature_over_sha1", BP_F_SIGNATURE_FORM, STEADY, {.after = after_signature_hash}},
    {"signature_scheme", BP_F_SIGNATURE_FORM, STEADY, {.after = after_signature_scheme}},
    {"signature_r_zero", BP_F_SIGNATURE_FORM, STEADY, {.after = after_signature_zero}},
    {"signature_bit", BP_F_SIGNATURE, STEADY, {.after = after_signature_bit}},
    {"clock_changed_after_signing", BP_F_SIGNATURE, STEADY, {.after = after_clock}},
    {"quote_of_another_tpm", BP_F_SIGNATURE, STEADY, {.after = after_other_key}},
    {"ak_is_a_primary", BP_F_AK_PARENT, STEADY, {.before = before_primary}},
    {"ak_is_a_primary_at_first_contact", BP_F_AK_PARENT, FIRST, {.before = before_primary}},
    {"ak_is_a_primary_of_the_owner", BP_F_AK_PARENT, STEADY, {.before = before_owner_primary}},
    {"ak_below_a_storage_key", BP_F_AK_PARENT, STEADY, {.before = before_storage_child}},
    {"ak_below_another_endorsement_key", BP_F_AK_PARENT, STEADY, {.before = before_other_ek}},
    {"ak_name_without_its_algorithm", BP_F_AK_PARENT, STEADY, {.before = before_hash_alone}},
    {"ak_unnamed", BP_F_AK_PARENT, STEADY, {.before = before_unnamed}},
    {"selection_fewer", BP_F_SELECTION, STEADY, {.before = before_subset}},
    {"selection_more", BP_F_SELECTION, STEADY, {.before = before_superset}},
    {"selection_relabelled", BP_F_SELECTION, STEADY, {.before = before_relabelled}},
    {"selection_other_bank", BP_F_SELECTION, STEADY, {.before = before_bank}},
    {"selection_two_banks", BP_F_SELECTION, STEADY, {.before = before_two_banks}},
    {"selection_nothing", BP_F_SELECTION, STEADY, {.before = before_no_bank}},
    {"digest_short", BP_F_SELECTION, STEADY, {.before = before_short_digest}},
    {"names_another_device", BP_F_DEVICE_ID, STEADY, {.before = before_device}},
    {"sent_as_another_device", BP_F_DEVICE_ID, STEADY, {.ask = ask_device}},
    {"names_another_session_key", BP_F_LDEVID, STEADY, {.before = before_ldevid}},
    {"relayed_through_another_session", BP_F_LDEVID, STEADY, {.ask = ask_ldevid}},
    {"first_contact_names_a_key_that_is_not_there", BP_F_LDEVID, FIRST, {.before = before_no_keys}},
    {"first_contact_names_another_key", BP_F_LDEVID, FIRST, {.before = before_ldevid}},
    {"nonce_of_another_time", BP_F_NONCE_TIME, STEADY, {.before = before_issued}},
    {"nonce", BP_F_EXTRA_DATA, STEADY, {.ask = ask_nonce}},
    {"channel", BP_F_EXTRA_DATA, STEADY, {.ask = ask_channel}},
    {"extra_data_bit", BP_F_EXTRA_DATA, STEADY, {.bytes = bytes_extra}},
    {"member_about_agent", BP_F_EXTRA_DATA, STEADY, {.after = after_agent}},
    {"member_about_seq", BP_F_EXTRA_DATA, STEADY, {.after = after_seq}},
    {"member_about_features", BP_F_EXTRA_DATA, STEADY, {.after = after_feature}},
    {"member_boot_changed", BP_F_EXTRA_DATA, STEADY, {.after = after_boot}},
    {"member_boot_left_out", BP_F_EXTRA_DATA, STEADY, {.after = after_no_boot}},
    {"member_ima_cut", BP_F_EXTRA_DATA, STEADY, {.after = after_ima}},
    {"member_pcrs_left_out", BP_F_EXTRA_DATA, STEADY, {.after = after_pcrs}},
    {"activation_missing", BP_F_ACTIVATION, FIRST, {.before = before_no_activation}},
    {"activation_not_asked_for", BP_F_ACTIVATION, STEADY, {.before = before_activation}},
    {"key_cut", BP_F_KEY_FORM, FIRST, {.before = before_key_form}},
    {"key_is_an_ak", BP_F_KEY_ATTRIBUTES, FIRST, {.before = before_key_restricted}},
    {"key_may_leave_the_tpm", BP_F_KEY_ATTRIBUTES, FIRST, {.before = before_key_may_leave}},
    {"key_statement_magic", BP_F_KEY_STATEMENT, FIRST, {.before = before_key_magic}},
    {"key_statement_is_a_quote", BP_F_KEY_STATEMENT, FIRST, {.before = before_key_quote}},
    {"key_statement_trailing_byte", BP_F_KEY_STATEMENT, FIRST, {.before = before_key_tail}},
    {"key_with_other_attributes", BP_F_KEY_NAME, FIRST, {.before = before_key_renamed}},
    {"key_of_another_device", BP_F_KEY_NAME, FIRST, {.before = before_key_other}},
    {"key_statement_nonce", BP_F_KEY_NONCE, FIRST, {.before = before_key_extra}},
    {"key_statement_signature", BP_F_KEY_SIGNATURE, FIRST, {.before = before_key_signature}},
    {"key_statement_signature_cut", BP_F_KEY_SIGNATURE, FIRST, {.before = before_key_signature_form}},
    {"key_statement_of_another_boot", BP_F_KEY_BOOT, FIRST, {.before = before_key_boot}},
    {"pcr_digest", BP_F_PCR_DIGEST, STEADY, {.before = before_digest}},
    {"pcr_value", BP_F_PCR_DIGEST, STEADY, {.before = before_pcr_value}},
    {"pcr_values_swapped", BP_F_PCR_DIGEST, STEADY, {.before = before_pcr_swapped}},
    {"pcr_value_left_out", BP_F_PCR_DIGEST, STEADY, {.before = before_pcr_left_out}},
};

/* A refusal by that name, with nothing handed on. */
static void check_refused(const struct rig *r, enum bp_finding_id want)
{
    seen[want] = true;
    if (!BP_CHECK(!r->out.accepted) || !BP_CHECK(r->out.findings != 0 && r->out.finding[0].id == want)) {
        printf("# got %s, wanted %s\n", rig_code(r, 0), bp_finding_row(want).code);
    }
    BP_CHECK(r->out.tier == BP_TIER_NONE && r->out.state.n == 0 && r->out.keys == 0 && r->out.activation.n == 0);
    BP_CHECK(r->out.reason.n != 0 && bp_span_equal(r->out.reason, r->out.finding[0].text));
}

static void check_row(const struct row *row)
{
    BP_NEED(start(&rig, row->contact == FIRST));
    rig_nonce(&rig);
    rig_wait(&rig, 50);
    /* Honest first: what is refused below is refused for the forgery alone. */
    BP_NEED(rig_answer(&rig, NULL) && !bp_failed(rig_appraise(&rig, NULL, false)));
    BP_CHECK(rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING);
    BP_CHECK(rig.out.keys == (row->contact == FIRST ? 1u : 0u));
    BP_NEED(rig_answer(&rig, &row->forge) && !bp_failed(rig_appraise(&rig, &row->forge, false)));
    check_refused(&rig, row->want);
}

BP_CASE(forgeries)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        check_row(&rows[i]);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
    BP_CHECK(start(&other, false));
}

/* --- replays and time --- */

static uint8_t kept[RIG_EVIDENCE_MAX];
static size_t kept_n;

static void keep_evidence(void)
{
    memcpy(kept, rig.evidence, rig.evidence_n);
    kept_n = rig.evidence_n;
}

static void send_kept(void)
{
    memcpy(rig.evidence, kept, kept_n);
    rig.evidence_n = kept_n;
}

BP_CASE(earlier_evidence_replayed)
{
    BP_NEED(start(&rig, false) && rig_round(&rig, 50, NULL));
    keep_evidence();
    rig_wait(&rig, 60000);
    rig_nonce(&rig);
    send_kept();
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, false)));
    check_refused(&rig, BP_F_NONCE_TIME);
}

BP_CASE(another_devices_evidence_replayed)
{
    BP_NEED(start(&rig, false) && start(&other, false));
    rig_nonce(&rig);
    rig_nonce(&other);
    BP_NEED(rig_answer(&other, NULL));
    memcpy(rig.evidence, other.evidence, other.evidence_n);
    rig.evidence_n = other.evidence_n;
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, false)));
    check_refused(&rig, BP_F_SIGNATURE);
}

/* Made while the device was as it should be, sent ten minutes later. */
BP_CASE(quote_prepared_early_and_sent_late)
{
    BP_NEED(start(&rig, false) && rig_round(&rig, 50, NULL));
    rig_nonce(&rig);
    rig_wait(&rig, 100);
    BP_NEED(rig_answer(&rig, NULL));
    rig_wait(&rig, 600000);
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, false)));
    check_refused(&rig, BP_F_QUOTE_EARLY);
    rig_nonce(&rig);
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING);
}

static void before_reset(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->reset_count--;
}
static void before_restart(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->restart_count--;
}
static void before_clock(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->clock_ms = 1;
}
static void before_new_boot_clock(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)ev;
    q->reset_count++;
    q->clock_ms = 1;
}

BP_CASE(counters)
{
    static const struct {
        const char *name;
        struct rig_forge forge;
        const char *root;
    } table[] = {{"starts_went_back", {.before = before_reset}, "virtual"},
                 {"wake_ups_went_back", {.before = before_restart}, "virtual"},
                 {"clock_went_back", {.before = before_clock}, "virtual"},
                 {"clock_went_back_over_a_start_and_claims_to_be_safe", {.before = before_new_boot_clock}, "discrete"},
                 {"clock_of_an_unknown_chip_went_back_over_a_start", {.before = before_new_boot_clock}, "unknown"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bp_case_begin();
        BP_CHECK(start(&rig, false));
        rig.restart_count = 3;
        rig.root_class = table[i].root;
        BP_CHECK(rig_round(&rig, 50, NULL) && rig.out.accepted);
        BP_CHECK(rig_round(&rig, 50, &table[i].forge));
        check_refused(&rig, BP_F_COUNTERS_BACK);
        bp_case_end(table[i].name);
    }
}

BP_CASE(every_refusal_was_reached_by_its_own_forgery)
{
    unsigned n = 0;
    for (unsigned i = 0; i < BP_F_COUNT; i++) {
        if (bp_finding_row((enum bp_finding_id)i).effect == BP_FX_REFUSE) {
            n++;
            if (!BP_CHECK(seen[i])) {
                printf("# %s\n", bp_finding_row((enum bp_finding_id)i).code);
            }
        }
    }
    BP_CHECK(n >= 24);
}

/* --- no change makes it better --- */

/* Every bit of a collection: no verdict is better than the honest one, nothing fails, and no two inputs share state. */
static void every_bit(unsigned honest, unsigned step)
{
    unsigned refused = 0;
    for (size_t i = 0; i < rig.evidence_n; i++) {
        for (unsigned bit = (unsigned)(i % step); bit < 8; bit += step) {
            rig.evidence[i] ^= (uint8_t)(1u << bit);
            const bool ran = !bp_failed(rig_appraise(&rig, NULL, false));
            const unsigned rank = rig_rank(&rig.out);
            refused += rank == 4 ? 1u : 0u;
            if (!BP_CHECK(ran && rank >= honest)) {
                printf("# byte %zu bit %u: rank %u\n", i, bit, rank);
            }
            rig.evidence[i] ^= (uint8_t)(1u << bit);
        }
    }
    BP_CHECK(refused > rig.evidence_n / step * 7); /* everything is signed: refused, all of them */
}

BP_CASE(no_flipped_bit_of_a_heartbeat_is_accepted)
{
    BP_NEED(start(&rig, false) && rig_round(&rig, 50, NULL));
    rig_nonce(&rig);
    rig_wait(&rig, 60000);
    BP_NEED(rig_answer(&rig, NULL));
    unsigned accepted = 0;
    for (size_t i = 0; i < rig.evidence_n * 8; i++) {
        rig.evidence[i / 8] ^= (uint8_t)(1u << i % 8);
        BP_CHECK(!bp_failed(rig_appraise(&rig, NULL, false)));
        accepted += rig.out.accepted ? 1u : 0u;
        rig.evidence[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    BP_CHECK(accepted == 0);
    BP_CHECK(!bp_failed(rig_appraise(&rig, NULL, false)) && rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING);
}

BP_CASE(flipped_bits_of_a_first_contact_are_never_better)
{
    BP_NEED(start(&rig, true));
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL));
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, false)));
    BP_CHECK(rig_rank(&rig.out) == 0);
    every_bit(0, 8);
}

BP_CASE(no_truncation_is_accepted)
{
    BP_NEED(start(&rig, true));
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL));
    const size_t whole = rig.evidence_n;
    for (rig.evidence_n = 0; rig.evidence_n < whole; rig.evidence_n++) {
        BP_CHECK(!bp_failed(rig_appraise(&rig, NULL, false)));
        BP_CHECK(!rig.out.accepted && rig.out.finding[0].id == BP_F_STRUCTURE);
    }
}

BP_SUITE(forgeries, BP_RUN(setup) BP_TABLE(forgeries) BP_RUN(earlier_evidence_replayed)
                        BP_RUN(another_devices_evidence_replayed) BP_RUN(quote_prepared_early_and_sent_late)
                            BP_TABLE(counters) BP_RUN(every_refusal_was_reached_by_its_own_forgery)
                                BP_RUN(no_flipped_bit_of_a_heartbeat_is_accepted)
                                    BP_RUN(flipped_bits_of_a_first_contact_are_never_better)
                                        BP_RUN(no_truncation_is_accepted))
