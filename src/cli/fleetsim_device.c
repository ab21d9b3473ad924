/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_device - what a gateway says, by keys in memory. */
#include "cli/fleetsim_device.h"

#include "cli/fleetsim_statement.h"
#include "codec/base64.h"
#include "codec/device.h"
#include "codec/est.h"
#include "codec/x509.h"
#include "core/binding.h"
#include "core/tpmkey.h"

#include <stdio.h>

#define BP_MODULE CLI

#define ATTEST_MAX 256u
#define SIG_MAX    80u
#define AGENT      BP_SPAN_STR("fleet-sim 1.0")

/* --- keys --- */

/* What a TPM would write as the signer of the AK's statements. */
static bp_result qualify(struct bp_crypto *c, struct bp_sim_device *d)
{
    struct bp_tpm_public ek;
    BP_TRY(bp_tpm_public_read(bp_span_of(d->chip.public_area, d->chip.public_n), &ek));
    return bp_sim_qualify(c, &ek, bp_span_of(d->ak_public, d->ak_public_n), &d->qualified);
}

static bp_result make_keys(struct bp_crypto *c, const struct bp_sim_maker *m, struct bp_sim_device *d)
{
    struct bp_pubkey k;
    BP_TRY(bp_sim_chip_make(&d->chip, m));
    BP_TRY(bp_key_make(BP_KEY_P256, &d->ak));
    BP_TRY(bp_key_make(BP_KEY_P256, &d->key));
    k = bp_key_public(d->ak);
    BP_TRY(bp_sim_public(&k, BP_SIM_AK_ATTRIBUTES, d->ak_public, sizeof d->ak_public, &d->ak_public_n));
    k = bp_key_public(d->key);
    BP_TRY(bp_sim_public(&k, BP_SIM_KEY_ATTRIBUTES, d->key_public, sizeof d->key_public, &d->key_public_n));
    BP_TRY(qualify(c, d));
    return bp_hash(c, BP_HASH_SHA256, bp_key_spki(d->key), d->key_hash);
}

bp_result bp_sim_device_make(struct bp_crypto *c, const struct bp_sim_maker *m, int64_t now_ms,
                             struct bp_sim_device *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->start_ms = now_ms;
    const bp_result r = make_keys(c, m, ret);
    if (bp_failed(r)) {
        bp_sim_device_done(ret);
    }
    return r;
}

void bp_sim_device_done(struct bp_sim_device *d)
{
    bp_sim_chip_done(&d->chip);
    bp_key_free(d->ak);
    bp_key_free(d->key);
    d->ak = NULL;
    d->key = NULL;
}

/* --- first contact --- */

bp_result bp_sim_hello(const struct bp_sim_device *d, bp_span code, uint8_t *ret, size_t cap, size_t *ret_n)
{
    const struct bp_hello h = {.kind = BP_SPAN_STR("tpm2"),
                               .eks = 1,
                               .ek = {{BP_TEMPLATE_L2, bp_span_of(d->chip.public_area, d->chip.public_n),
                                       bp_span_of(d->chip.cert, d->chip.cert_n)}},
                               .ak = bp_span_of(d->ak_public, d->ak_public_n),
                               .agent = AGENT,
                               .code = code,
                               .info = 1,
                               .pair = {{BP_SPAN_STR("model"), BP_SPAN_STR("simulated")}}};
    return bp_hello_write(&h, ret, cap, ret_n);
}

static bp_result take(struct bp_sim_device *d, bp_span nonce, uint64_t seq, int64_t issued_ms)
{
    if (seq < d->seq || (seq == d->seq && issued_ms <= d->issued_ms)) {
        return BP_FAIL(REPLAYED);
    }
    memcpy(d->nonce, nonce.p, sizeof d->nonce);
    d->seq = seq;
    d->issued_ms = issued_ms;
    return BP_OK;
}

bp_result bp_sim_take_challenge(struct bp_crypto *c, struct bp_sim_device *d, bp_span body)
{
    struct bp_challenge ch;
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    uint8_t secret[32];
    BP_TRY(bp_challenge_read(body, &ch));
    BP_TRY(bp_tpm_public_read(bp_span_of(d->ak_public, d->ak_public_n), &pub));
    BP_TRY(bp_tpm_name(c, &pub, &name));
    const size_t n = bp_sim_chip_activate(&d->chip, bp_tpm_name_span(&name), ch.credential[0].id_object,
                                          ch.credential[0].secret, secret);
    if (ch.credentials != 1 || n == 0) {
        return BP_FAIL(DENIED);
    }
    const bp_span one = bp_span_of(secret, n);
    BP_TRY(bp_binding_activation(c, &one, 1, d->proof));
    memcpy(d->id, ch.device_id.p, sizeof d->id);
    d->device_port = ch.device_port;
    return take(d, ch.nonce, ch.seq, ch.issued_ms);
}

/* --- evidence --- */

/* Room for what the collection points to. */
struct statement {
    uint8_t attest[ATTEST_MAX], sig[SIG_MAX];
    size_t attest_n, sig_n;
};

static bp_result sign(const struct bp_sim_device *d, struct statement *s)
{
    const struct bp_signer signer = bp_key_signer(d->ak);
    return bp_sim_sign(&signer, bp_span_of(s->attest, s->attest_n), s->sig, sizeof s->sig, &s->sig_n);
}

/* What both statements say of the TPM: one start, a clock that keeps pace. */
static struct bp_tpm_attest statement_of(const struct bp_sim_device *d, int64_t now_ms)
{
    return (struct bp_tpm_attest){.qualified_signer = bp_tpm_name_span(&d->qualified),
                                  .clock_ms = 5000 + (uint64_t)(now_ms > d->start_ms ? now_ms - d->start_ms : 0),
                                  .reset_count = 1,
                                  .safe = true,
                                  .firmware_version = 1};
}

static bp_result certify_key(struct bp_crypto *c, const struct bp_sim_device *d, int64_t now_ms, struct statement *room,
                             struct bp_evidence *ev)
{
    struct bp_tpm_attest a = statement_of(d, now_ms);
    BP_TRY(bp_sim_certify(c, &a, bp_span_of(d->key_public, d->key_public_n), BP_SPAN_OF(d->nonce), BP_SPAN_OF(d->id),
                          room->attest, sizeof room->attest, &room->attest_n));
    BP_TRY(sign(d, room));
    ev->keys = 1;
    ev->key[0] = (struct bp_certified){bp_span_of(d->key_public, d->key_public_n),
                                       bp_span_of(room->attest, room->attest_n), bp_span_of(room->sig, room->sig_n)};
    return BP_OK;
}

/* What the server does not hold. The list of programs travels whole or not at all: it does not grow here. */
static void add_logs(const struct bp_sim_device *d, const struct bp_sim_model *m, struct bp_evidence *ev)
{
    if (!d->has_log) {
        ev->has_boot = true;
        ev->boot = bp_span_of(m->boot, m->boot_n);
    }
    if (d->held_ima < m->ima_count) {
        ev->has_ima = true;
        ev->ima = bp_span_of(m->ima, m->ima_n);
    }
    if (!d->has_pcrs) {
        ev->has_pcrs = true;
        ev->pcrs = BP_SIM_PCR_COUNT;
        for (uint32_t i = 0; i < ev->pcrs; i++) {
            ev->pcr[i] = bp_span_of(m->pcrs + (size_t)i * BP_SHA256_SIZE, BP_SHA256_SIZE);
        }
    }
}

bp_result bp_sim_evidence(struct bp_crypto *c, const struct bp_sim_device *d, const struct bp_sim_model *m,
                          const uint8_t binding[32], enum bp_sim_kind kind, int64_t now_ms, uint8_t *ret, size_t cap,
                          size_t *ret_n)
{
    struct statement quote, key;
    uint8_t digest[BP_SHA256_SIZE], extra[BP_SHA256_SIZE];
    struct bp_evidence ev = {.about = {.device_id = BP_SPAN_OF(d->id),
                                       .seq = d->seq,
                                       .issued_ms = (uint64_t)d->issued_ms,
                                       .ldevid = BP_SPAN_OF(d->key_hash),
                                       .agent = AGENT,
                                       .activation = kind == BP_SIM_FIRST ? BP_SPAN_OF(d->proof) : BP_SPAN_EMPTY}};
    add_logs(d, m, &ev);
    if (kind != BP_SIM_PLAIN) {
        BP_TRY(certify_key(c, d, now_ms, &key, &ev));
    }
    BP_TRY(bp_sim_cover(c, &ev, BP_SPAN_OF(d->nonce), bp_span_of(binding, 32), ret, cap, extra));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, BP_SPAN_OF(m->pcrs), digest));
    struct bp_tpm_attest q = statement_of(d, now_ms);
    q.type = BP_TPM_ST_QUOTE;
    q.extra_data = BP_SPAN_OF(extra);
    q.pcrs = (struct bp_tpm_pcrs){.count = 1, .bank = {{BP_TPM_ALG_SHA256, BP_SIM_PCRS}}};
    q.pcr_digest = BP_SPAN_OF(digest);
    BP_TRY(bp_sim_attest(&q, quote.attest, sizeof quote.attest, &quote.attest_n));
    BP_TRY(sign(d, &quote));
    ev.attest = bp_span_of(quote.attest, quote.attest_n);
    ev.signature = bp_span_of(quote.sig, quote.sig_n);
    return bp_evidence_write(&ev, true, ret, cap, ret_n);
}

bp_result bp_sim_take_answer(struct bp_sim_device *d, bp_span body)
{
    struct bp_answer a;
    BP_TRY(bp_answer_read(body, &a));
    BP_TRY(take(d, a.nonce, a.seq, a.issued_ms));
    d->has_log = a.held_log.n == BP_SHA256_SIZE;
    d->held_ima = a.held_ima;
    d->has_pcrs = true;
    d->tier = a.tier;
    (void)snprintf(d->state, sizeof d->state, "%.*s", (int)a.state.n, (const char *)a.state.p);
    return BP_OK;
}

bp_result bp_sim_take_nonce(struct bp_sim_device *d, bp_span body)
{
    struct bp_nonce v;
    BP_TRY(bp_nonce_read(body, &v));
    return take(d, v.nonce, v.seq, v.issued_ms);
}

/* --- certificates --- */

bp_result bp_sim_request(const struct bp_sim_device *d, uint8_t *ret, size_t cap, size_t *ret_n)
{
    uint8_t info[512], der[1024], raw[64];
    size_t n = 0, raw_n = 0;
    const struct bp_signer signer = bp_key_signer(d->key);
    BP_TRY(bp_est_info_write(BP_SPAN_STR("gateway"), bp_key_spki(d->key), info, sizeof info, &n));
    BP_TRY(signer.sign(signer.self, bp_span_of(info, n), raw, sizeof raw, &raw_n));
    BP_TRY(bp_est_request_write(bp_span_of(info, n), BP_SPAN_OF(raw), der, sizeof der, &n));
    bp_wr w = bp_wr_over(ret, cap);
    bp_base64_write(&w, bp_span_of(der, n));
    *ret_n = w.n;
    return bp_wr_finish(&w);
}

bp_result bp_sim_take_certificate(struct bp_sim_device *d, bp_span body)
{
    uint8_t cms[2 * BP_SIM_CERT_MAX];
    bp_span certs[BP_EST_CERTS_MAX];
    struct bp_x509 cert;
    size_t count = 0;
    bp_wr w = bp_wr_over(cms, sizeof cms);
    bp_base64_read_wrapped(&w, body);
    BP_TRY(bp_wr_finish(&w));
    BP_TRY(bp_est_certs_read(bp_wr_span(&w), certs, &count));
    if (count != 1 || certs[0].n > sizeof d->cert) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(bp_x509_read(certs[0], &cert));
    if (!bp_span_equal(cert.spki, bp_key_spki(d->key))) {
        return BP_FAIL(MALFORMED);
    }
    memcpy(d->cert, certs[0].p, certs[0].n);
    d->cert_n = certs[0].n;
    return BP_OK;
}
