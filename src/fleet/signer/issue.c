/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/issue - a device's certificate, after everything that it rests on was verified again from the bytes.
 *
 * The order is the chain of reasons: this CA bound the attestation key to the chip; that key, a child of the endorsement
 * key, signed this evidence for this nonce and channel; it states that the key of the request lives beside it; the result key's verdict is about this
 * very evidence and names the key; and whoever asks holds the key. Nothing is believed because the keeper says so. */
#include "core/binding.h"
#include "fleet/signer/ca.h"

#define BP_MODULE SIGNER

/* What the steps hand on. */
struct issue {
    struct bp_msg_issue m;
    enum bp_cert_profile profile;
    struct bp_csr csr;
    uint8_t spki_hash[BP_SHA256_SIZE]; /* of the key of the request */
    struct bp_akbinding binding;
    struct ca_ak ak;
    struct bp_evidence ev;
    uint8_t evidence_digest[BP_SHA256_SIZE];
    struct bp_ear ear;
};

bool ca_is_signed(struct bp_ca_signer *s, bp_span in, bp_span content, bp_span kid, const struct bp_pubkey *key,
                  bp_span *ret_payload)
{
    struct bp_cose_sign1 msg;
    if (bp_failed(bp_cose_sign1_read(in, &msg)) || !bp_span_equal(msg.content_type, content) ||
        !bp_span_equal(msg.kid, kid) ||
        bp_failed(bp_cose_sign1_verify(s->crypto, &msg, key, BP_SPAN_EMPTY, s->scratch, CA_SCRATCH))) {
        return false;
    }
    *ret_payload = msg.payload;
    return true;
}

enum bp_ca_rule ca_read_binding(struct bp_ca_signer *s, bp_span in, struct bp_akbinding *ret)
{
    bp_span payload;
    const struct bp_pubkey key = bp_key_public(s->bind);
    if (!ca_is_signed(s, in, BP_SPAN_STR(BP_AKBINDING_CONTENT), BP_SPAN_OF(s->bind_kid), &key, &payload)) {
        return BP_CA_BINDING_SIGNATURE;
    }
    return bp_failed(bp_akbinding_read(payload, ret)) ? BP_CA_BINDING_FORM : BP_CA_NONE;
}

/* Whether a name is the server's own or lies under it: nobody but the infrastructure CA may certify that. */
static bool is_own_name(const struct bp_ca_signer *s, bp_span dns)
{
    const bp_span own = bp_span_cstr(s->site->name);
    return dns.n >= own.n && bp_span_equal(bp_span_sub(dns, dns.n - own.n, own.n), own) &&
           (dns.n == own.n || dns.p[dns.n - own.n - 1] == '.');
}

/* What an application's certificate says beside the device's name, and that no other says it. */
static enum bp_ca_rule check_application(const struct bp_ca_signer *s, const struct issue *x)
{
    const struct bp_msg_issue *m = &x->m;
    const bool is_application = bp_cert_is_application(x->profile);
    if (is_application ? !bp_cert_is_service(m->service) : m->service.n != 0) {
        return BP_CA_SERVICE;
    }
    if (m->dns.n > 0 && (!bp_cert_has_dns(x->profile) || !bp_cert_is_dns(m->dns) || is_own_name(s, m->dns))) {
        return BP_CA_NAMES;
    }
    const bool is_bounded =
        m->lifetime_ms >= BP_CA_APPLICATION_LEAST_MS && m->lifetime_ms <= BP_CA_APPLICATION_MOST_MS;
    return (is_application ? is_bounded : m->lifetime_ms == 0) ? BP_CA_NONE : BP_CA_LIFETIME;
}

static enum bp_ca_rule step_request(struct bp_ca_signer *s, struct issue *x)
{
    const int64_t now = bp_wall_ms(s->clock);
    const int64_t not_before = (int64_t)x->m.not_before_ms;
    x->profile = bp_cert_of_device(x->m.profile);
    if (x->profile == BP_CERT_PROFILES || (bp_cert_is_application(x->profile) && !s->site->has_applications)) {
        return BP_CA_PROFILE;
    }
    if (!ca_is_pseudonym(x->m.pseudonym)) {
        return BP_CA_PSEUDONYM;
    }
    const enum bp_ca_rule named = check_application(s, x);
    if (named != BP_CA_NONE) {
        return named;
    }
    if (not_before > now + BP_CA_SKEW_MS || not_before < now - 3600 * 1000LL) {
        return BP_CA_NOT_BEFORE;
    }
    const enum bp_ca_rule rule = ca_read_csr(s, x->m.csr, &x->csr);
    if (rule != BP_CA_NONE) {
        return rule;
    }
    return bp_failed(bp_hash(s->crypto, BP_HASH_SHA256, x->csr.spki, x->spki_hash)) ? BP_CA_INTERNAL : BP_CA_NONE;
}

static enum bp_ca_rule step_binding(struct bp_ca_signer *s, struct issue *x)
{
    enum bp_ca_rule rule = ca_read_binding(s, x->m.ak_binding, &x->binding);
    rule = rule == BP_CA_NONE ? ca_read_ak(s, x->binding.ak, &x->ak) : rule;
    if (rule != BP_CA_NONE) {
        return rule;
    }
    return bp_span_equal(bp_tpm_name_span(&x->ak.name), x->binding.ak_name) ? BP_CA_NONE : BP_CA_AK_NAME;
}

static enum bp_ca_rule step_evidence(struct bp_ca_signer *s, struct issue *x)
{
    const int64_t age = bp_wall_ms(s->clock) - (int64_t)x->m.issued_ms;
    if (bp_failed(bp_evidence_read(x->m.evidence, &x->ev))) {
        return BP_CA_EVIDENCE_FORM;
    }
    if (!bp_span_equal(x->ev.about.device_id, x->binding.device_id)) {
        return BP_CA_DEVICE_ID;
    }
    if (x->ev.about.seq != x->m.seq || x->ev.about.issued_ms != x->m.issued_ms) {
        return BP_CA_NONCE_FIELDS;
    }
    if (age > BP_CA_NONCE_MS || age < -BP_CA_SKEW_MS) {
        return BP_CA_NONCE_AGE;
    }
    return bp_failed(bp_hash(s->crypto, BP_HASH_SHA256, x->m.evidence, x->evidence_digest)) ? BP_CA_INTERNAL : BP_CA_NONE;
}

/* A statement of the attestation key. The signature comes first: nothing of the statement counts before it. */
static bool is_stated(struct bp_ca_signer *s, const struct ca_ak *ak, bp_span attest, bp_span signature)
{
    struct bp_tpm_sig sig;
    return !bp_failed(bp_tpm_sig_read(signature, &sig)) && !bp_failed(bp_tpm_verify(s->crypto, &ak->key, &sig, attest));
}

static enum bp_ca_rule step_quote(struct bp_ca_signer *s, struct issue *x)
{
    struct bp_tpm_attest attest;
    uint8_t covered[BP_SHA256_SIZE];
    uint8_t extra[BP_SHA256_SIZE];
    if (!is_stated(s, &x->ak, x->ev.attest, x->ev.signature)) {
        return BP_CA_QUOTE_SIGNATURE;
    }
    if (bp_failed(bp_tpm_attest_read(x->ev.attest, &attest))) {
        return BP_CA_QUOTE_FORM;
    }
    if (attest.type != BP_TPM_ST_QUOTE) {
        return BP_CA_QUOTE_TYPE;
    }
    if (!bp_akbinding_is_signer(&x->binding, attest.qualified_signer)) {
        return BP_CA_AK_PARENT;
    }
    if (bp_failed(bp_binding_covered(s->crypto, &x->ev, covered)) ||
        bp_failed(bp_binding_quote(s->crypto, x->m.nonce, x->ev.about.device_id, x->ev.about.ldevid, x->m.binding,
                                   BP_SPAN_OF(covered), extra))) {
        return BP_CA_INTERNAL;
    }
    return bp_span_equal(attest.extra_data, BP_SPAN_OF(extra)) ? BP_CA_NONE : BP_CA_EXTRA_DATA;
}

/* The statement in the evidence that is about the key of the request. */
static const struct bp_certified *find_key(const struct issue *x, struct bp_tpm_public *ret)
{
    for (uint32_t i = 0; i < x->ev.keys; i++) {
        struct bp_tpm_key_room room;
        struct bp_pubkey key;
        if (!bp_failed(bp_tpm_public_read(x->ev.key[i].public_area, ret)) &&
            !bp_failed(bp_tpm_pubkey(ret, &room, &key)) && key.type == x->csr.key.type &&
            bp_span_equal(key.a, x->csr.key.a) && bp_span_equal(key.b, x->csr.key.b)) {
            return &x->ev.key[i];
        }
    }
    return NULL;
}

static enum bp_ca_rule step_key(struct bp_ca_signer *s, struct issue *x)
{
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    struct bp_tpm_attest attest;
    uint8_t extra[BP_SHA256_SIZE];
    const struct bp_certified *k = find_key(x, &pub);
    if (k == NULL) {
        return BP_CA_KEY_ABSENT;
    }
    if (!bp_tpm_is_device_key(&pub)) {
        return BP_CA_KEY_ATTRIBUTES;
    }
    if (!is_stated(s, &x->ak, k->attest, k->signature)) {
        return BP_CA_CERTIFY_SIGNATURE;
    }
    if (bp_failed(bp_tpm_attest_read(k->attest, &attest)) || attest.type != BP_TPM_ST_CERTIFY) {
        return BP_CA_CERTIFY_FORM;
    }
    if (bp_failed(bp_tpm_name(s->crypto, &pub, &name)) ||
        bp_failed(bp_binding_key(s->crypto, x->m.nonce, x->binding.device_id, extra))) {
        return BP_CA_INTERNAL;
    }
    if (!bp_span_equal(attest.name, bp_tpm_name_span(&name))) {
        return BP_CA_CERTIFY_NAME;
    }
    return bp_span_equal(attest.extra_data, BP_SPAN_OF(extra)) ? BP_CA_NONE : BP_CA_CERTIFY_EXTRA;
}

/* Affirming; or warning when a policy is named that stood behind it. Never anything else. */
static bool is_granting(const struct bp_ear *ear)
{
    return ear->status == BP_TIER_AFFIRMING || (ear->status == BP_TIER_WARNING && ear->policy_digest.n > 0);
}

static enum bp_ca_rule step_result(struct bp_ca_signer *s, struct issue *x)
{
    bp_span payload;
    if (!ca_is_signed(s, x->m.ear, BP_SPAN_STR(BP_EAR_CONTENT), BP_SPAN_OF(s->result_kid), &s->result_key, &payload)) {
        return BP_CA_EAR_SIGNATURE;
    }
    if (bp_failed(bp_ear_read(payload, &x->ear))) {
        return BP_CA_EAR_FORM;
    }
    if (!is_granting(&x->ear)) {
        return BP_CA_EAR_TIER;
    }
    if (!bp_span_equal(x->ear.evidence_digest, BP_SPAN_OF(x->evidence_digest))) {
        return BP_CA_EAR_EVIDENCE;
    }
    if (!bp_span_equal(x->ear.nonce, x->m.nonce) || x->ear.as_of_ms != (int64_t)x->m.issued_ms) {
        return BP_CA_EAR_NONCE;
    }
    /* The id may be left out of a result that leaves the house; the evidence, whose digest it holds, has it. */
    if (!bp_span_equal(x->ear.pseudonym, x->m.pseudonym) ||
        (x->ear.device_id.n > 0 && !bp_span_equal(x->ear.device_id, x->binding.device_id))) {
        return BP_CA_EAR_DEVICE;
    }
    for (uint32_t i = 0; i < x->ear.keys; i++) {
        if (bp_span_equal(x->ear.key[i], BP_SPAN_OF(x->spki_hash))) {
            return BP_CA_NONE;
        }
    }
    return BP_CA_EAR_KEY;
}

/* The pseudonym as a dns name: it is a name whatever the registry calls the device. */
static bp_span lower_case(bp_span s, uint8_t ret[BP_CERT_TEXT_MAX])
{
    for (size_t i = 0; i < s.n; i++) { /* s.n <= BP_CERT_TEXT_MAX: ca_is_pseudonym */
        ret[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (uint8_t)(s.p[i] + 32) : s.p[i];
    }
    return bp_span_of(ret, s.n);
}

static enum bp_ca_rule make(struct bp_ca_signer *s, const struct issue *x)
{
    const int64_t life = bp_cert_is_application(x->profile) ? (int64_t)x->m.lifetime_ms : BP_CA_DEVICE_MS;
    uint8_t lower[BP_CERT_TEXT_MAX];
    const bp_span dns[] = {lower_case(x->m.pseudonym, lower), x->m.dns};
    const struct bp_cert_request q = {.profile = x->profile,
                                      .spki = x->csr.spki,
                                      .common_name = x->m.pseudonym,
                                      .organisation = bp_span_cstr(s->site->org),
                                      .service = x->m.service,
                                      .dns = dns,
                                      .dns_count = !bp_cert_has_dns(x->profile) ? 0 : x->m.dns.n > 0 ? 2 : 1,
                                      .crl_url = bp_span_cstr(s->site->crl_url),
                                      .ocsp_url = bp_span_cstr(s->site->ocsp_url),
                                      .issuer_url = bp_span_cstr(s->site->issuer_url),
                                      .not_before_ms = (int64_t)x->m.not_before_ms,
                                      .not_after_ms = (int64_t)x->m.not_before_ms + life};
    return ca_certify(s, s->issuing, BP_SITE_CERT_ISSUING, &q);
}

enum bp_ca_rule ca_issue(struct bp_ca_signer *s, bp_span body)
{
    static enum bp_ca_rule (*const steps[])(struct bp_ca_signer *, struct issue *) = {
        step_request, step_binding, step_evidence, step_quote, step_key, step_result};
    struct issue x;
    memset(&x, 0, sizeof x);
    if (bp_failed(bp_msg_issue_read(body, &x.m))) {
        return BP_CA_REQUEST;
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const enum bp_ca_rule rule = steps[i](s, &x);
        if (rule != BP_CA_NONE) {
            return rule;
        }
    }
    return make(s, &x);
}
