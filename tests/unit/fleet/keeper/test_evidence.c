/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_evidence - evidence in a certificate request: one request attests and gets the certificate of
 * the one key that the evidence is about; whatever else comes is refused by its own name, and changes nothing. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "codec/base64.h"
#include "codec/est.h"

#define RENEW  "/.well-known/est/simplereenroll"
#define ENROLL "/.well-known/est/simpleenroll"

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- requests --- */

static uint8_t body[BP_KEEPER_REQUEST_MAX + 64];
static bool is_forged; /* the next request is signed by nobody */

/* A request for the key with these attributes, in base64. */
static bp_span request(const struct test_key *key, bp_span attributes)
{
    static uint8_t info[BP_MSG_REQUEST_MAX], der[BP_MSG_REQUEST_MAX];
    uint8_t raw[64];
    size_t n = 0;
    const size_t name_n = 2;
    bp_wr wr = bp_wr_over(info, sizeof info);
    bp_der_put_head(&wr, BP_DER_SEQ, 3 + name_n + key->spki_n + bp_der_size(attributes.n));
    bp_der_put_uint(&wr, BP_SPAN_EMPTY);
    bp_der_put_head(&wr, BP_DER_SEQ, 0); /* a name of nothing */
    bp_wr_bytes(&wr, bp_span_of(key->spki, key->spki_n));
    bp_der_put(&wr, BP_DER_CTX(0), attributes);
    const bp_span tbs = bp_wr_span(&wr);
    if (bp_failed(key->signer.sign(key->signer.self, tbs, raw, sizeof raw, &n)) ||
        bp_failed(bp_est_request_write(tbs, BP_SPAN_OF(raw), der, sizeof der, &n))) {
        return BP_SPAN_EMPTY;
    }
    der[n - 1] ^= is_forged ? 1 : 0;
    is_forged = false;
    bp_wr b = bp_wr_over(body, sizeof body);
    bp_base64_write(&b, bp_span_of(der, n));
    return bp_wr_span(&b);
}

/* The attribute around that evidence. */
static bp_span attribute(bp_span evidence)
{
    static uint8_t room[BP_MSG_REQUEST_MAX];
    const uint8_t spki[1] = {0};
    size_t n = 0;
    bp_rd rd = bp_rd_over(BP_SPAN_EMPTY);
    if (!bp_failed(bp_est_info_evidence_write(BP_SPAN_STR("n"), BP_SPAN_OF(spki), evidence, room, sizeof room, &n))) {
        rd = bp_rd_over(bp_span_of(room, n));
    }
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&in, BP_DER_INT);
    (void)bp_der_get(&in, BP_DER_SEQ);
    (void)bp_rd_bytes(&in, sizeof spki);
    return bp_der_get(&in, BP_DER_CTX(0));
}

static bp_span evidence_of(size_t i)
{
    return bp_span_of(g[i].rig.evidence, g[i].rig.evidence_n);
}

static const struct world_peer *own(size_t i)
{
    static struct world_peer peer;
    peer = (struct world_peer){.spki = BP_SPAN_OF(g[i].spki),
                               .issuer = "device",
                               .source = g[i].source,
                               .exporter = w->binds ? BP_SPAN_OF(g[i].exporter) : BP_SPAN_EMPTY};
    return &peer;
}

static struct world_reply *ask(const char *listener, const char *target, bp_span text, const struct world_peer *peer)
{
    return world_ask(w, listener, "POST", target, "application/pkcs10", text, peer);
}

/* The ordinary one: the next key, with the evidence as last made. */
static struct world_reply *ask_next(const char *listener, const char *target)
{
    return ask(listener, target, request(&g[0].next, attribute(evidence_of(0))), own(0));
}

/* Joined, and evidence made over a fresh nonce that names the next key. */
static bool ready(void)
{
    return stage() && stage_join(0) && gateway_nonce(&g[0])->http.status == 200 && gateway_names_next(&g[0], NULL);
}

static bool is_for_next(const struct world_reply *r)
{
    static uint8_t cms[4096];
    bp_span certs[BP_EST_CERTS_MAX];
    size_t count = 0;
    struct bp_x509 cert;
    bp_wr wr = bp_wr_over(cms, sizeof cms);
    bp_base64_read_wrapped(&wr, r->http.body);
    return r->http.status == 200 && !bp_failed(bp_est_certs_read(bp_wr_span(&wr), certs, &count)) && count == 1 &&
           !bp_failed(bp_x509_read(certs[0], &cert)) &&
           bp_span_equal(cert.spki, bp_span_of(g[0].next.spki, g[0].next.spki_n));
}

/* What may not change when something is refused. */
struct standing {
    struct bp_device d;
    struct bp_trust t;
    uint64_t log;
};

static struct standing standing(void)
{
    struct standing s;
    memset(&s, 0, sizeof s);
    if (!world_device(w, g[0].rig.device_id, &s.d, &s.t)) {
        s.t.tier = 255;
    }
    s.log = world_log_size(w);
    return s;
}

static bool unchanged(const struct standing *before)
{
    const struct standing now = standing();
    return before->d.state == now.d.state && before->t.seq == now.t.seq && before->t.tier == now.t.tier &&
           before->t.verdict == now.t.verdict && before->t.heard_ms == now.t.heard_ms &&
           world_events(w, BP_EV_VERDICT, before->log) == 0 && world_events(w, BP_EV_CERTIFICATE_ISSUED, before->log) == 0;
}

/* Refused with that code and that event, and nothing else. */
static bool refused(const struct standing *before, const struct world_reply *r, const char *code, uint32_t event)
{
    const bool same = is(world_code(r), code);
    if (!same) {
        printf("# %s\n", world_code(r));
    }
    return same && unchanged(before) && (event == 0 || world_events(w, event, before->log) == 1);
}

/* --- one request --- */

BP_CASE(one_request_attests_and_renews)
{
    BP_NEED(ready());
    const struct standing s = standing();
    w->asked_early = 0;
    BP_CHECK(is_for_next(ask_next("device", RENEW)));
    BP_CHECK(w->asked_early == 0); /* the verdict was durable before the certificate was asked for */
    const struct standing now = standing();
    BP_CHECK(now.t.seq == s.t.seq + 1 && now.t.tier == BP_TIER_AFFIRMING && now.t.verdict > s.t.verdict);
    BP_CHECK(world_events(w, BP_EV_VERDICT, s.log) == 1 && world_events(w, BP_EV_CERTIFICATE_ISSUED, s.log) == 1);
    BP_CHECK(world_log_holds(w));
    /* Whoever lost the certificate asks again without evidence. */
    BP_CHECK(is_for_next(ask("device", RENEW, request(&g[0].next, BP_SPAN_EMPTY), own(0))));
}

BP_CASE(over_the_enrol_listener_too)
{
    BP_NEED(ready());
    BP_CHECK(is_for_next(ask_next("enrol", RENEW)));
    BP_NEED(ready());
    BP_CHECK(is_for_next(ask_next("enrol", ENROLL)));
}

static bp_result add(void *self, struct bp_turn *t)
{
    const bp_result r = bp_store_service_add(t->store, self);
    return bp_is(r, BP_E_EXISTS) ? BP_OK : r;
}

BP_CASE(an_application_too)
{
    struct bp_service app = {.name = "historian", .profile = "app-client", .zone = "*", .by = "ann", .at_ms = 1};
    BP_NEED(ready() && world_act(w, add, &app));
    const struct standing s = standing();
    BP_CHECK(is_for_next(ask_next("device", "/.well-known/est/historian/simpleenroll")));
    BP_CHECK(world_events(w, BP_EV_APPLICATION_ISSUED, s.log) == 1);
}

/* Other attributes have no meaning, as before. */
BP_CASE(beside_another_attribute)
{
    static uint8_t both[BP_MSG_REQUEST_MAX];
    static const uint8_t password[] = {0x30, 0x12, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07,
                                       0x31, 0x05, 0x0c, 0x03, 'a',  'b',  'c'};
    BP_NEED(ready());
    bp_wr wr = bp_wr_over(both, sizeof both);
    bp_wr_bytes(&wr, BP_SPAN_OF(password));
    bp_wr_bytes(&wr, attribute(evidence_of(0)));
    BP_CHECK(is_for_next(ask("device", RENEW, request(&g[0].next, bp_wr_span(&wr)), own(0))));
}

/* --- what the evidence must be --- */

BP_CASE(a_nonce_is_good_for_a_minute)
{
    BP_NEED(ready());
    world_wait(w, BP_KEEPER_GRANT_MS + 1000, 10000);
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "nonce-expired", BP_EV_EVIDENCE_REFUSED));
}

BP_CASE(a_nonce_that_was_made_up)
{
    BP_NEED(ready());
    g[0].rig.nonce[0] ^= 1;
    BP_NEED(gateway_names_next(&g[0], NULL));
    struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "evidence-refused", BP_EV_EVIDENCE_REFUSED));
    g[0].rig.seq += 1;
    BP_NEED(gateway_names_next(&g[0], NULL));
    s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "bad-nonce", BP_EV_EVIDENCE_REFUSED));
}

BP_CASE(a_number_serves_once)
{
    BP_NEED(ready());
    BP_CHECK(is_for_next(ask_next("device", RENEW)));
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "replayed", BP_EV_EVIDENCE_REFUSED));
    BP_CHECK(refused(&s, ask_next("enrol", RENEW), "replayed", 0));
}

BP_CASE(the_key_of_the_request_and_no_other)
{
    struct test_key other;
    BP_NEED(ready() && test_key_make(&other, BP_SIG_ES256));
    struct standing s = standing();
    const struct world_reply *r = ask("device", RENEW, request(&other, attribute(evidence_of(0))), own(0));
    BP_CHECK(refused(&s, r, "attestation-refused", BP_EV_EVIDENCE_REFUSED));
    test_key_done(&other);
    /* Nor without any key in it. */
    g[0].has_proof = false;
    BP_NEED(gateway_answer(&g[0], NULL));
    s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "attestation-refused", BP_EV_EVIDENCE_REFUSED));
}

static void twice(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote)
{
    (void)r;
    (void)quote;
    ev->key[1] = ev->key[0];
    ev->keys = 2;
}

BP_CASE(not_two_keys)
{
    const struct rig_forge forge = {.before = twice};
    BP_NEED(ready() && gateway_names_next(&g[0], &forge));
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "attestation-refused", BP_EV_EVIDENCE_REFUSED));
}

BP_CASE(a_request_that_nobody_signed)
{
    BP_NEED(ready());
    const struct standing s = standing();
    is_forged = true;
    BP_CHECK(refused(&s, ask_next("device", RENEW), "bad-csr", BP_EV_CERTIFICATE_REFUSED));
    BP_CHECK(is_for_next(ask_next("device", RENEW)));
}

BP_CASE(not_of_another_device)
{
    BP_NEED(ready() && stage_join(1) && gateway_nonce(&g[1])->http.status == 200 && gateway_names_next(&g[1], NULL));
    const struct standing s = standing();
    const struct world_reply *r = ask("device", RENEW, request(&g[1].next, attribute(evidence_of(1))), own(0));
    BP_CHECK(refused(&s, r, "wrong-device", BP_EV_EVIDENCE_REFUSED));
}

/* The device listener binds to its connection, the enrol listener to none. */
BP_CASE(bound_to_the_connection)
{
    char code[BP_CODE_TEXT + 1];
    BP_NEED(stage_new(true, true) && stage_gateway(0) && world_invite(w, "north", code));
    BP_CHECK(gateway_hello(&g[0], code)->http.status == 200 && gateway_first(&g[0])->http.status == 200);
    BP_NEED(gateway_enrol(&g[0])->http.status == 200);
    memcpy(g[0].rig.binding, g[0].exporter, 32);
    BP_NEED(gateway_attest(&g[0])->http.status == 200 && gateway_nonce(&g[0])->http.status == 200);
    BP_NEED(gateway_names_next(&g[0], NULL));
    const struct standing s = standing();
    g[0].exporter[0] ^= 1; /* another connection */
    BP_CHECK(refused(&s, ask_next("device", RENEW), "evidence-refused", BP_EV_EVIDENCE_REFUSED));
    BP_CHECK(refused(&s, ask_next("enrol", RENEW), "evidence-refused", 0));
    g[0].exporter[0] ^= 1;
    BP_CHECK(is_for_next(ask_next("device", RENEW)));
    memset(g[0].rig.binding, 0, 32);
    BP_NEED(gateway_nonce(&g[0])->http.status == 200 && gateway_names_next(&g[0], NULL));
    const struct standing t = standing();
    BP_CHECK(refused(&t, ask_next("device", RENEW), "evidence-refused", 0));
    BP_CHECK(is_for_next(ask_next("enrol", RENEW)));
    stage_end();
}

/* What it proves is kept, and is no reason for a certificate. */
BP_CASE(a_verdict_that_grants_nothing)
{
    BP_NEED(ready());
    rig_run(&g[0].rig, "/tmp/foreign", "1");
    BP_NEED(gateway_names_next(&g[0], NULL));
    const struct standing s = standing();
    const struct world_reply *r = ask_next("device", RENEW);
    const struct standing now = standing();
    BP_CHECK(r->http.status == 403 && now.t.tier == BP_TIER_CONTRAINDICATED && now.t.seq == s.t.seq + 1);
    BP_CHECK(world_events(w, BP_EV_VERDICT, s.log) == 1 && world_events(w, BP_EV_CERTIFICATE_ISSUED, s.log) == 0);
    BP_CHECK(world_events(w, BP_EV_CERTIFICATE_REFUSED, s.log) == 1);
}

/* --- who may --- */

BP_CASE(only_over_the_devices_own_certificate)
{
    const struct world_peer nobody = {.source = "203.0.113.9"};
    BP_NEED(ready());
    struct standing s = standing();
    const bp_span text = request(&g[0].next, attribute(evidence_of(0)));
    BP_CHECK(refused(&s, ask("enrol", ENROLL, text, &nobody), "wrong-issuer", BP_EV_CERTIFICATE_REFUSED));
    BP_CHECK(refused(&s, ask("enrol", RENEW, text, &nobody), "wrong-issuer", 0));
    const struct world_peer old = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "brownfield", .source = "203.0.113.10"};
    BP_CHECK(refused(&s, ask("enrol", RENEW, text, &old), "wrong-issuer", 0));
    const uint8_t unknown[32] = {7};
    const struct world_peer other = {.spki = BP_SPAN_OF(unknown), .issuer = "device", .source = "203.0.113.11"};
    BP_CHECK(refused(&s, ask("enrol", RENEW, text, &other), "unknown-device", 0));
    BP_CHECK(is_for_next(ask_next("enrol", RENEW))); /* it was good all the time */
}

BP_CASE(not_under_a_label_of_others)
{
    BP_NEED(ready());
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", "/.well-known/est/south/simplereenroll"), "no-such-label", BP_EV_CERTIFICATE_REFUSED));
    BP_CHECK(is_for_next(ask_next("device", "/.well-known/est/north/simplereenroll")));
}

BP_CASE(not_for_a_key_in_use)
{
    BP_NEED(ready());
    BP_CHECK(is_for_next(ask_next("device", RENEW)));
    struct bp_service app = {.name = "historian", .profile = "app-client", .zone = "*", .by = "ann", .at_ms = 1};
    BP_NEED(world_act(w, add, &app) && gateway_nonce(&g[0])->http.status == 200 && gateway_names_next(&g[0], NULL));
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", "/.well-known/est/historian/simpleenroll"), "key-in-use", BP_EV_CERTIFICATE_REFUSED));
}

/* --- its form --- */

#define OID   "\x06\x0b" BP_EST_EVIDENCE_OID
#define TYPE  "\x06\x0b" BP_EST_EVIDENCE_TYPE
#define IN(s) {(const uint8_t *)(s), sizeof(s) - 1}

static const struct {
    const char *name;
    bp_span attributes;
    const char *code;
} form[] = {
    {"no_attribute", IN("\x02\x01\x01"), "attestation-refused"},
    {"attribute_cut", IN("\x30\x10" OID "\x31\x00"), "attestation-refused"},
    {"no_value", IN("\x30\x0f" OID "\x31\x00"), "attestation-refused"},
    {"two_attributes", IN("\x30\x11" OID "\x31\x02\x30\x00" "\x30\x11" OID "\x31\x02\x30\x00"), "attestation-refused"},
    {"two_values", IN("\x30\x13" OID "\x31\x04\x30\x00\x30\x00"), "attestation-refused"},
    {"empty_bundle", IN("\x30\x11" OID "\x31\x02\x30\x00"), "attestation-refused"},
    {"no_statement", IN("\x30\x13" OID "\x31\x04\x30\x02\x30\x00"), "attestation-refused"},
    {"other_type", IN("\x30\x1b" OID "\x31\x0c\x30\x0a\x30\x08\x30\x06\x06\x02\x2a\x03\x04\x00"), "attestation-refused"},
    {"not_octets", IN("\x30\x25" OID "\x31\x16\x30\x14\x30\x12\x30\x10" TYPE "\x0c\x01\x61"), "attestation-refused"},
    {"nothing_in_it", IN("\x30\x24" OID "\x31\x15\x30\x13\x30\x11\x30\x0f" TYPE "\x04\x00"), "attestation-refused"},
    {"hint_of_an_older_draft", IN("\x30\x28" OID "\x31\x19\x30\x17\x30\x15\x30\x13" TYPE "\x04\x01\x61\x16\x01\x68"),
     "attestation-refused"},
    {"certificates_beside_it", IN("\x30\x29" OID "\x31\x1a\x30\x18\x30\x12\x30\x10" TYPE "\x04\x01\x61\x30\x02\x30\x00"),
     "attestation-refused"},
    {"collection_of_noise", IN("\x30\x25" OID "\x31\x16\x30\x14\x30\x12\x30\x10" TYPE "\x04\x01\xff"), "malformed"},
};

static void forms(void)
{
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        bp_case_begin();
        if (BP_CHECK(ready())) {
            const struct standing s = standing();
            BP_CHECK(refused(&s, ask("device", RENEW, request(&g[0].next, form[i].attributes), own(0)), form[i].code, 0));
            BP_CHECK(is_for_next(ask_next("device", RENEW)));
        }
        bp_case_end(form[i].name);
    }
}

/* Another major version of `about`. */
static void of_version_2(struct rig *r)
{
    static const uint8_t about[] = {0x65, 'a', 'b', 'o', 'u', 't', 0x02, 0x01};
    uint8_t *at = memmem(r->evidence, r->evidence_n, about, sizeof about);
    if (at != NULL) {
        at[sizeof about - 1] = 2;
    }
}

BP_CASE(another_version)
{
    const struct rig_forge forge = {.wire = of_version_2};
    BP_NEED(ready() && gateway_names_next(&g[0], &forge));
    const struct standing s = standing();
    BP_CHECK(refused(&s, ask_next("device", RENEW), "unsupported", BP_EV_EVIDENCE_REFUSED));
}

BP_CASE(too_large)
{
    static uint8_t big[BP_EST_EVIDENCE_MAX + 1];
    static uint8_t whole[BP_MSG_REQUEST_MAX];
    BP_NEED(ready());
    const struct standing s = standing();
    /* One byte more than an attribute may hold: written by hand, since our writer refuses it. */
    const size_t statement = 13 + bp_der_size(sizeof big);
    const size_t bundle = bp_der_size(bp_der_size(statement));
    bp_wr wr = bp_wr_over(whole, sizeof whole);
    bp_der_put_head(&wr, BP_DER_SEQ, 13 + bp_der_size(bp_der_size(bundle)));
    bp_wr_bytes(&wr, BP_SPAN_STR(OID));
    bp_der_put_head(&wr, BP_DER_SET, bp_der_size(bundle));
    bp_der_put_head(&wr, BP_DER_SEQ, bundle);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(statement));
    bp_der_put_head(&wr, BP_DER_SEQ, statement);
    bp_wr_bytes(&wr, BP_SPAN_STR(TYPE));
    bp_der_put(&wr, BP_DER_OCTETS, BP_SPAN_OF(big));
    BP_CHECK(refused(&s, ask("device", RENEW, request(&g[0].next, bp_wr_span(&wr)), own(0)), "too-large", BP_EV_CERTIFICATE_REFUSED));
    /* A request without evidence has less room. */
    bp_wr other = bp_wr_over(whole, sizeof whole);
    bp_der_put_head(&other, BP_DER_SEQ, 2 + 2 + bp_der_size(bp_der_size(8192)));
    bp_wr_bytes(&other, BP_SPAN_STR("\x06\x02\x2a\x03"));
    bp_der_put_head(&other, BP_DER_SET, bp_der_size(8192));
    bp_der_put(&other, BP_DER_OCTETS, bp_span_of(big, 8192));
    BP_CHECK(refused(&s, ask("device", RENEW, request(&g[0].next, bp_wr_span(&other)), own(0)), "too-large", 0));
    memset(body, 'A', sizeof body);
    BP_CHECK(refused(&s, ask("device", RENEW, bp_span_of(body, BP_KEEPER_REQUEST_MAX + 1), own(0)), "too-large", 0));
}

/* Killed in between, the verdict stands and the key is vouched for. */
BP_CASE(a_kill_between_verdict_and_certificate)
{
    BP_NEED(ready());
    const struct standing s = standing();
    w->is_gone[BP_TO_SIGNER_CA] = true;
    BP_CHECK(is(world_code(ask_next("device", RENEW)), "unavailable"));
    w->is_gone[BP_TO_SIGNER_CA] = false;
    BP_CHECK(standing().t.seq == s.t.seq + 1 && world_restart(w, true) && standing().t.seq == s.t.seq + 1);
    BP_CHECK(is_for_next(ask("device", RENEW, request(&g[0].next, BP_SPAN_EMPTY), own(0))));
}

/* clang-format off */
BP_SUITE(evidence_request,
    BP_RUN(one_request_attests_and_renews)
    BP_RUN(over_the_enrol_listener_too)
    BP_RUN(an_application_too)
    BP_RUN(beside_another_attribute)
    BP_RUN(a_nonce_is_good_for_a_minute)
    BP_RUN(a_nonce_that_was_made_up)
    BP_RUN(a_number_serves_once)
    BP_RUN(the_key_of_the_request_and_no_other)
    BP_RUN(not_two_keys)
    BP_RUN(a_request_that_nobody_signed)
    BP_RUN(not_of_another_device)
    BP_RUN(a_verdict_that_grants_nothing)
    BP_RUN(only_over_the_devices_own_certificate)
    BP_RUN(not_under_a_label_of_others)
    BP_RUN(not_for_a_key_in_use)
    BP_TABLE(forms)
    BP_RUN(another_version)
    BP_RUN(too_large)
    BP_RUN(a_kill_between_verdict_and_certificate)
    BP_RUN(bound_to_the_connection)
)
