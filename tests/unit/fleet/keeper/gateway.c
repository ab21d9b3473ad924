/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/gateway - a gateway that speaks the real protocol with real formats; its keys are software's. */
#include "unit/fleet/keeper/world.h"

#include "codec/base64.h"
#include "codec/est.h"
#include "core/binding.h"

#include <stdio.h>

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

/* --- keys and requests --- */

static size_t device_public(const struct test_key *k, uint8_t *ret, size_t cap)
{
    const struct bp_tpm_public pub = {.type = BP_TPM_ALG_ECC,
                                      .name_alg = BP_TPM_ALG_SHA256,
                                      .attributes = BP_TPMA_SIGN | BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT |
                                                    BP_TPMA_SENSITIVE_DATA_ORIGIN | BP_TPMA_USER_WITH_AUTH,
                                      .sym_alg = BP_TPM_ALG_NULL,
                                      .scheme = BP_TPM_ALG_NULL,
                                      .curve = BP_TPM_ECC_P256,
                                      .kdf = BP_TPM_ALG_NULL,
                                      .x = bp_span_of(k->spki + k->spki_n - 64, 32), /* key.a and .b may point elsewhere in a copy */
                                      .y = bp_span_of(k->spki + k->spki_n - 32, 32)};
    bp_wr wr = bp_wr_over(ret, cap);
    bp_tpm_public_write(&wr, &pub);
    return bp_wr_span(&wr).n;
}

size_t world_csr(const struct test_key *key, bool lines, char *ret, size_t cap)
{
    uint8_t info[512], der[1024], raw[64], flat[2048];
    size_t n = 0, raw_n = 0;
    if (!ok(bp_est_info_write(BP_SPAN_STR("gateway"), bp_span_of(key->spki, key->spki_n), info, sizeof info, &n)) ||
        !ok(key->signer.sign(key->signer.self, bp_span_of(info, n), raw, sizeof raw, &raw_n)) ||
        !ok(bp_est_request_write(bp_span_of(info, n), BP_SPAN_OF(raw), der, sizeof der, &n))) {
        return 0;
    }
    bp_wr f = bp_wr_over(flat, sizeof flat);
    bp_base64_write(&f, bp_span_of(der, n));
    const size_t step = lines ? 64 : f.n;
    bp_wr w = bp_wr_over(ret, cap);
    for (size_t at = 0; at < f.n; at += step) {
        bp_wr_bytes(&w, bp_span_of(flat + at, f.n - at < step ? f.n - at : step));
        if (lines) {
            bp_wr_u8(&w, '\n');
        }
    }
    return bp_wr_span(&w).n;
}

bool gateway_make(struct gateway *g, struct world *w, unsigned number)
{
    memset(g, 0, sizeof *g);
    g->w = w;
    (void)snprintf(g->source, sizeof g->source, "198.51.%u.%u", number / 200, 1 + number % 200);
    if (!rig_make(&g->rig, w->plant.crypto) || !ok(bp_sim_chip_make(&g->chip, &w->maker)) ||
        !rig_hang(&g->rig, bp_span_of(g->chip.public_area, g->chip.public_n)) || !test_key_make(&g->next, BP_SIG_ES256)) {
        return false;
    }
    memset(g->exporter, (int)(1 + number % 255), sizeof g->exporter);
    g->rig.now_ms = w->plant.sim.wall_ms;
    rig_boot(&g->rig, &rig_os_1);
    rig_run(&g->rig, "/usr/bin/agent", "1");
    g->rig.now_ms = w->plant.sim.wall_ms;
    return true;
}

static void follow_clock(struct gateway *g)
{
    const int64_t now = g->w->plant.sim.wall_ms;
    if (now > g->rig.now_ms) {
        g->rig.clock_ms += (uint64_t)(now - g->rig.now_ms);
    }
    g->rig.now_ms = now;
}

void gateway_boot(struct gateway *g, const struct rig_os *os, bool power_was_cut)
{
    follow_clock(g);
    const int64_t now = g->rig.now_ms;
    const uint64_t clock = g->rig.clock_ms;
    rig_boot(&g->rig, os);
    g->rig.now_ms = now;
    g->rig.clock_ms = power_was_cut && clock > 2000 ? clock - 2000 : clock; /* what was not saved repeats */
    g->rig.safe = !power_was_cut;
    g->rig.has_log = false;
    g->rig.held_ima = 0;
    g->rig.has_acked = false;
    rig_run(&g->rig, "/usr/bin/agent", "1");
}

void gateway_done(struct gateway *g)
{
    test_key_done(&g->next);
    bp_sim_chip_done(&g->chip);
    rig_done(&g->rig);
}

static struct world_reply *ask_enrol(struct gateway *g, const char *target, const char *type, bp_span body)
{
    const struct world_peer peer = {.source = g->source};
    return world_ask(g->w, "enrol", "POST", target, type, body, &peer);
}

static struct world_reply *ask_device(struct gateway *g, const char *method, const char *target, const char *type,
                                      bp_span body)
{
    const struct world_peer peer = {.spki = BP_SPAN_OF(g->spki),
                                    .issuer = "device",
                                    .source = g->source,
                                    .exporter = g->w->binds ? BP_SPAN_OF(g->exporter) : BP_SPAN_EMPTY};
    return world_ask(g->w, "device", method, target, type, body, &peer);
}

/* --- first contact --- */

static bool activate(struct gateway *g, const struct bp_challenge *c)
{
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    uint8_t secret[32];
    size_t n = 0;
    if (c->credentials == 1 && ok(bp_tpm_public_read(bp_span_of(g->rig.ak_public, g->rig.ak_public_n), &pub)) &&
        ok(bp_tpm_name(g->w->plant.crypto, &pub, &name))) {
        n = bp_sim_chip_activate(&g->chip, bp_tpm_name_span(&name), c->credential[0].id_object, c->credential[0].secret,
                                 secret);
    }
    const bp_span one = bp_span_of(secret, n);
    return n == 32 && ok(bp_binding_activation(g->w->plant.crypto, &one, 1, g->proof));
}

static void take_nonce(struct gateway *g, bp_span nonce, uint64_t seq, int64_t issued_ms)
{
    memcpy(g->rig.nonce, nonce.p, 32);
    g->rig.seq = seq;
    g->rig.as_of_ms = issued_ms;
}

struct world_reply *gateway_hello(struct gateway *g, const char *code)
{
    static uint8_t body[BP_HELLO_MAX];
    size_t n = 0;
    struct bp_challenge c;
    const struct bp_hello h = {.kind = BP_SPAN_STR("tpm2"),
                               .eks = 1,
                               .ek = {{BP_TEMPLATE_L2, bp_span_of(g->chip.public_area, g->chip.public_n),
                                       bp_span_of(g->chip.cert, g->chip.cert_n)}},
                               .ak = bp_span_of(g->rig.ak_public, g->rig.ak_public_n),
                               .agent = BP_SPAN_STR("1.0"),
                               .code = code == NULL ? BP_SPAN_EMPTY : bp_span_cstr(code),
                               .info = 1,
                               .pair = {{BP_SPAN_STR("model"), BP_SPAN_STR("test")}}};
    if (!ok(bp_hello_write(&h, body, sizeof body, &n))) {
        n = 0;
    }
    struct world_reply *r = ask_enrol(g, "/bedplate/v1/hello", BP_MEDIA_CBOR, bp_span_of(body, n));
    g->has_proof = false;
    if (r->status == 0 && r->http.status == 200 && ok(bp_challenge_read(r->http.body, &c))) {
        memcpy(g->rig.device_id, c.device_id.p, 33);
        take_nonce(g, c.nonce, c.seq, c.issued_ms);
        (void)snprintf(g->state, sizeof g->state, "%.*s", (int)c.state.n, (const char *)c.state.p);
        g->has_proof = activate(g, &c);
    }
    return r;
}

/* --- evidence --- */

static struct gateway *answering;
static const struct rig_forge *further;

static void before(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote)
{
    ev->about.activation = answering->has_proof ? BP_SPAN_OF(answering->proof) : BP_SPAN_EMPTY;
    if (further != NULL && further->before != NULL) {
        further->before(r, ev, quote);
    }
}

bool gateway_answer(struct gateway *g, const struct rig_forge *forge)
{
    struct rig_forge f = {0};
    if (forge != NULL) {
        f = *forge;
    }
    f.before = before;
    answering = g;
    further = forge;
    follow_clock(g);
    return rig_answer(&g->rig, &f);
}

static void take_values(struct gateway *g)
{
    size_t n = 0;
    for (uint32_t i = 0; i < 24; i++) {
        if ((BP_APPRAISE_PCRS >> i & 1u) != 0) {
            memcpy(g->rig.acked_pcrs + n, g->rig.pcrs.v[i], 32);
            n += 32;
        }
    }
    g->rig.has_acked = true;
}

static uint64_t size_of_head(bp_span head)
{
    uint64_t v = 0;
    size_t i = 0;
    while (i < head.n && head.p[i++] != '\n') {
    }
    for (; i < head.n && head.p[i] >= '0' && head.p[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(head.p[i] - '0');
    }
    return v;
}

static void take_answer(struct gateway *g, const struct world_reply *r)
{
    struct bp_answer a;
    if (r->status != 0 || r->http.status != 200 || !ok(bp_answer_read(r->http.body, &a))) {
        return;
    }
    take_nonce(g, a.nonce, a.seq, a.issued_ms);
    g->rig.has_log = a.held_log.n == 32;
    g->rig.held_ima = a.held_ima;
    take_values(g);
    g->tier = a.tier;
    g->due_ms = a.due_ms;
    g->renew = a.renew;
    g->since_s = a.since_s;
    g->head_size = size_of_head(a.head);
    (void)snprintf(g->state, sizeof g->state, "%.*s", (int)a.state.n, (const char *)a.state.p);
}

struct world_reply *gateway_first(struct gateway *g)
{
    g->rig.ldevid_public_n = device_public(&g->rig.ldevid, g->rig.ldevid_public, sizeof g->rig.ldevid_public);
    g->rig.first_contact = true;
    if (!gateway_answer(g, NULL)) {
        g->rig.evidence_n = 0;
    }
    g->rig.first_contact = false;
    struct world_reply *r =
        ask_enrol(g, "/bedplate/v1/attest", BP_MEDIA_CMW, bp_span_of(g->rig.evidence, g->rig.evidence_n));
    take_answer(g, r);
    return r;
}

struct world_reply *gateway_post(struct gateway *g, bp_span evidence)
{
    struct world_reply *r = ask_device(g, "POST", "/bedplate/v1/attest", BP_MEDIA_CMW, evidence);
    take_answer(g, r);
    return r;
}

struct world_reply *gateway_again(struct gateway *g)
{
    return gateway_post(g, bp_span_of(g->rig.evidence, g->rig.evidence_n));
}

struct world_reply *gateway_attest(struct gateway *g)
{
    g->has_proof = false;
    if (!gateway_answer(g, NULL)) {
        g->rig.evidence_n = 0;
    }
    return gateway_again(g);
}

struct world_reply *gateway_nonce(struct gateway *g)
{
    struct bp_nonce v;
    struct world_reply *r = ask_device(g, "GET", "/bedplate/v1/nonce", NULL, BP_SPAN_EMPTY);
    if (r->status == 0 && r->http.status == 200 && ok(bp_nonce_read(r->http.body, &v))) {
        take_nonce(g, v.nonce, v.seq, v.issued_ms);
    }
    return r;
}

/* Evidence that names a key, for the nonce held, without sending it. */
static bool name_key(struct gateway *g, const struct test_key *key, const struct rig_forge *forge)
{
    g->has_proof = false;
    g->rig.ldevid_public_n = device_public(key, g->rig.ldevid_public, sizeof g->rig.ldevid_public);
    g->rig.first_contact = true; /* the rig's word for "with keys" */
    const bool made = gateway_answer(g, forge);
    g->rig.first_contact = false;
    return made;
}

bool gateway_names_next(struct gateway *g, const struct rig_forge *forge)
{
    return name_key(g, &g->next, forge);
}

static struct world_reply *vouch(struct gateway *g, const struct test_key *key)
{
    if (!name_key(g, key, NULL)) {
        g->rig.evidence_n = 0;
    }
    return gateway_again(g);
}

struct world_reply *gateway_vouch(struct gateway *g)
{
    return vouch(g, &g->next);
}

/* --- certificates --- */

static bool certificate_of(const struct world_reply *r, uint8_t *ret, size_t cap, size_t *ret_n)
{
    static uint8_t flat[4096], cms[4096];
    bp_span certs[BP_EST_CERTS_MAX];
    size_t n = 0, count = 0;
    if (r->status != 0 || r->http.status != 200) {
        return false;
    }
    for (size_t i = 0; i < r->http.body.n && n < sizeof flat; i++) {
        if (r->http.body.p[i] != '\n') {
            flat[n++] = r->http.body.p[i];
        }
    }
    bp_wr w = bp_wr_over(cms, sizeof cms);
    bp_base64_read(&w, bp_span_of(flat, n));
    if (!ok(bp_est_certs_read(bp_wr_span(&w), certs, &count)) || count != 1 || certs[0].n > cap) {
        return false;
    }
    memcpy(ret, certs[0].p, certs[0].n);
    *ret_n = certs[0].n;
    return true;
}

static bool take_certificate(struct gateway *g, const struct world_reply *r)
{
    return certificate_of(r, g->cert_der, sizeof g->cert_der, &g->cert_n) &&
           ok(bp_x509_read(bp_span_of(g->cert_der, g->cert_n), &g->cert)) &&
           ok(bp_hash(g->w->plant.crypto, BP_HASH_SHA256, g->cert.spki, g->spki));
}

struct world_reply *gateway_enrol(struct gateway *g)
{
    char csr[4096];
    const size_t n = world_csr(&g->rig.ldevid, false, csr, sizeof csr);
    struct world_reply *r = ask_enrol(g, "/.well-known/est/simpleenroll", "application/pkcs10", bp_span_of(csr, n));
    g->has_cert = take_certificate(g, r);
    return r;
}

struct world_reply *gateway_reenrol(struct gateway *g)
{
    char csr[4096];
    const size_t n = world_csr(&g->next, false, csr, sizeof csr);
    struct world_reply *r =
        ask_device(g, "POST", "/.well-known/est/simplereenroll", "application/pkcs10", bp_span_of(csr, n));
    if (take_certificate(g, r)) {
        /* The new key is in use from now on, and another one is next. */
        test_key_done(&g->rig.ldevid);
        g->rig.ldevid = g->next;
        g->rig.ldevid.signer.self = &g->rig.ldevid;
        memcpy(g->rig.ldevid_hash, g->spki, 32);
        if (!test_key_make(&g->next, BP_SIG_ES256)) {
            printf("# no key\n");
        }
    }
    return r;
}

bool gateway_apply(struct gateway *g, const struct test_key *key, const char *service, uint8_t *ret, size_t cap, size_t *ret_n)
{
    char csr[4096], target[96];
    if (gateway_nonce(g)->http.status != 200 || vouch(g, key)->http.status != 200) {
        return false;
    }
    const size_t n = world_csr(key, false, csr, sizeof csr);
    (void)snprintf(target, sizeof target, "/.well-known/est/%s/simpleenroll", service);
    return certificate_of(ask_device(g, "POST", target, "application/pkcs10", bp_span_of(csr, n)), ret, cap, ret_n);
}

bool gateway_join(struct gateway *g, const char *code)
{
    if (gateway_hello(g, code)->http.status != 200 || gateway_first(g)->http.status != 200 ||
        gateway_enrol(g)->http.status != 200 || !g->has_cert) {
        return false;
    }
    return gateway_attest(g)->http.status == 200 && g->tier == BP_TIER_AFFIRMING && strcmp(g->state, "active") == 0;
}

bool gateway_renew(struct gateway *g)
{
    return gateway_nonce(g)->http.status == 200 && gateway_vouch(g)->http.status == 200 &&
           gateway_reenrol(g)->http.status == 200;
}
