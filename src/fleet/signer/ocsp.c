/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/ocsp - signed answers about the status of certificates of the issuing CA, and of the one before it while its
 * certificates count.
 *
 * They are signed by a key of their own for each, so that an issuing key signs nothing that strangers ask for (RFC 6960
 * section 4.2.2.2). It lives in this process alone and is certified for a week; a new one takes its place after half of that,
 * or when the process is replaced. What the status is, is the keeper's to say, as it is with a revocation list; that the
 * question is about one such issuer, and about one only, is looked at here. */
#include "codec/ocsp.h"
#include "fleet/signer/ca.h"

#define BP_MODULE SIGNER

#define DATA_MAX     8192u
#define RESPONSE_MAX (16u << 10)
#define SIG_DER_MAX  80u

/* An issuing CA in force: its certificate and key, and who answers for it. */
struct authority {
    bp_span cert;
    struct bp_key *key;
    struct ca_responder *responder;
};

static struct authority authority_of(struct bp_ca_signer *s, bool is_old)
{
    return is_old ? (struct authority){s->site->issuing_old, s->issuing_old, &s->responder[1]}
                  : (struct authority){s->site->cert[BP_SITE_CERT_ISSUING], s->issuing, &s->responder[0]};
}

static enum bp_ca_rule certify(struct bp_ca_signer *s, const struct authority *by, const struct bp_key *key, int64_t now)
{
    const struct bp_cert_request q = {.profile = BP_CERT_OCSP,
                                      .spki = bp_key_spki(key),
                                      .common_name = BP_SPAN_STR("Bedplate status"),
                                      .organisation = bp_span_cstr(s->site->org),
                                      .not_before_ms = now - BP_CA_SKEW_MS,
                                      .not_after_ms = now + BP_CA_RESPONDER_MS};
    return ca_make(s, by->key, by->cert, &q, by->responder->cert, &by->responder->cert_n);
}

static enum bp_ca_rule need_key(struct bp_ca_signer *s, const struct authority *by)
{
    struct ca_responder *const own = by->responder;
    const int64_t now = bp_wall_ms(s->clock);
    const int64_t age = now - own->since_ms;
    struct bp_key *key = NULL;
    if (own->key != NULL && age >= 0 && age < BP_CA_RESPONDER_MS / 2) {
        return BP_CA_NONE;
    }
    bp_key_free(own->key);
    own->key = NULL;
    if (bp_failed(bp_key_make(BP_KEY_P256, &key))) {
        return BP_CA_INTERNAL;
    }
    const enum bp_ca_rule rule = certify(s, by, key, now);
    if (rule != BP_CA_NONE) {
        bp_key_free(key);
        return rule;
    }
    own->key = key;
    own->since_ms = now;
    return BP_CA_NONE;
}

static enum bp_ca_rule read_one(struct bp_ca_signer *s, const struct bp_x509 *issuer, const struct bp_msg_status *m,
                                struct bp_ocsp_single *ret)
{
    struct bp_ocsp_id id;
    bool is_ours = false;
    if (bp_failed(bp_ocsp_id_read(m->id, &id)) ||
        bp_failed(bp_ocsp_is_issuer(s->crypto, &id, issuer->subject, issuer->spki, &is_ours)) || !is_ours) {
        return BP_CA_OCSP_ISSUER;
    }
    static const enum bp_ocsp_status statuses[] = {BP_OCSP_GOOD, BP_OCSP_REVOKED, BP_OCSP_UNKNOWN};
    *ret = (struct bp_ocsp_single){.id = m->id,
                                   .status = statuses[m->status],
                                   .revoked_s = (int64_t)m->revoked_ms / 1000,
                                   .reason = (uint8_t)m->reason};
    return BP_CA_NONE;
}

static bp_result sign(const struct ca_responder *by, const struct bp_ocsp_data *d, uint8_t *ret, size_t cap, size_t *ret_n)
{
    uint8_t data[DATA_MAX];
    uint8_t raw[BP_SIG_MAX];
    uint8_t sig[SIG_DER_MAX];
    size_t n = 0, raw_n = 0, sig_n = 0;
    const struct bp_signer signer = bp_key_signer(by->key);
    BP_TRY(bp_ocsp_data_write(d, data, sizeof data, &n));
    BP_TRY(signer.sign(signer.self, bp_span_of(data, n), raw, sizeof raw, &raw_n));
    BP_TRY(bp_der_ecdsa_write(bp_span_of(raw, raw_n), sig, sizeof sig, &sig_n));
    return bp_ocsp_response_write(bp_span_of(data, n), bp_span_of(sig, sig_n),
                                  bp_span_of(by->cert, by->cert_n), ret, cap, ret_n);
}

static enum bp_ca_rule answer(struct bp_ca_signer *s, const struct authority *by, const struct bp_ocsp_single *single,
                              const struct bp_msg_ocsp *m)
{
    const struct ca_responder *const own_key = by->responder;
    struct bp_x509 own;
    size_t n = 0;
    const int64_t now_s = bp_wall_ms(s->clock) / 1000;
    const enum bp_ca_rule rule = need_key(s, by);
    if (rule != BP_CA_NONE) {
        return rule;
    }
    if (bp_failed(bp_x509_read(bp_span_of(own_key->cert, own_key->cert_n), &own))) {
        return BP_CA_INTERNAL;
    }
    const struct bp_ocsp_data d = {.responder = own.subject,
                                   .this_s = now_s,
                                   .next_s = now_s + BP_CA_STATUS_MS / 1000,
                                   .single = single,
                                   .count = m->count,
                                   .nonce = m->nonce};
    const bp_result r = sign(own_key, &d, s->room, RESPONSE_MAX, &n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_BAD_ARGUMENT) ? BP_CA_OCSP_STATUS : BP_CA_INTERNAL;
    }
    const struct bp_msg_stated out = {bp_span_of(s->room, n), bp_span_of(own_key->cert, own_key->cert_n)};
    const bp_result w = bp_msg_stated_write(&out, s->answer, BP_MSG_BODY_MAX, &s->answer_n);
    return bp_failed(w) ? BP_CA_TOO_LARGE : BP_CA_NONE;
}

static enum bp_ca_rule answer_for(struct bp_ca_signer *s, bool is_old, const struct bp_msg_ocsp *m)
{
    const struct authority by = authority_of(s, is_old);
    struct bp_x509 issuer;
    struct bp_ocsp_single single[BP_MSG_STATUSES_MAX];
    if (bp_failed(bp_x509_read(by.cert, &issuer))) {
        return BP_CA_INTERNAL;
    }
    for (size_t i = 0; i < m->count; i++) {
        const enum bp_ca_rule rule = read_one(s, &issuer, &m->status[i], &single[i]);
        if (rule != BP_CA_NONE) {
            return rule;
        }
    }
    return answer(s, &by, single, m);
}

enum bp_ca_rule ca_ocsp(struct bp_ca_signer *s, bp_span body)
{
    struct bp_msg_ocsp m;
    if (bp_failed(bp_msg_ocsp_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    const enum bp_ca_rule rule = answer_for(s, false, &m);
    return rule == BP_CA_OCSP_ISSUER && s->issuing_old != NULL ? answer_for(s, true, &m) : rule;
}
