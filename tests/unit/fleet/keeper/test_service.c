/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_service - certificates of applications: only for a key that a verdict vouches for, under a label
 * that an administrator added, named by the registry, and suspended as long as the device is quarantined. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "codec/base64.h"
#include "codec/est.h"
#include "pki/x509.h"

#define DAY_S 86400

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- what an administrator did --- */

static struct bp_service adding;

static bp_result add(void *self, struct bp_turn *t)
{
    const bp_result r = bp_store_service_add(t->store, self);
    return bp_is(r, BP_E_EXISTS) ? BP_OK : r; /* the case before added it */
}

static bool add_service(const char *name, const char *profile, const char *zone)
{
    adding = (struct bp_service){.by = "ann", .at_ms = 1};
    snprintf(adding.name, sizeof adding.name, "%s", name);
    snprintf(adding.profile, sizeof adding.profile, "%s", profile);
    snprintf(adding.zone, sizeof adding.zone, "%s", zone);
    return world_act(w, add, &adding);
}

static bp_result name_device(void *self, struct bp_turn *t)
{
    struct bp_device d;
    BP_TRY(bp_store_device_by_id(t->store, BP_SPAN_OF(g[0].rig.device_id), &d));
    snprintf(d.place.name, sizeof d.place.name, "%s", (const char *)self);
    return bp_store_device_set(t->store, &d);
}

static bool call_it(const char *name)
{
    return world_act(w, name_device, (void *)(uintptr_t)name);
}

/* --- asking --- */

static struct world_reply *ask(size_t who, const char *listener, const char *target, const struct test_key *key,
                               const struct world_peer *peer)
{
    static char csr[4096];
    const struct world_peer own = {.spki = BP_SPAN_OF(g[who].spki), .issuer = "device", .source = g[who].source};
    const size_t n = world_csr(key, false, csr, sizeof csr);
    return world_ask(w, listener, "POST", target, "application/pkcs10", bp_span_of(csr, n), peer != NULL ? peer : &own);
}

static uint8_t der[2048];
static size_t der_n;
static struct bp_x509 cert;

static bp_span whole(void)
{
    return bp_span_of(der, der_n);
}

static bool take(const struct world_reply *r)
{
    static uint8_t cms[4096];
    bp_span certs[BP_EST_CERTS_MAX];
    size_t count = 0;
    bp_wr wr = bp_wr_over(cms, sizeof cms);
    if (r->http.status != 200) {
        return false;
    }
    bp_base64_read_wrapped(&wr, r->http.body);
    if (bp_failed(bp_est_certs_read(bp_wr_span(&wr), certs, &count)) || count != 1 || certs[0].n > sizeof der) {
        return false;
    }
    memcpy(der, certs[0].p, certs[0].n);
    der_n = certs[0].n;
    return !bp_failed(bp_x509_read(whole(), &cert));
}

static bool holds(const char *text)
{
    return memmem(cert.extensions.p, cert.extensions.n, text, strlen(text)) != NULL;
}

/* Joined, and the next key vouched for. */
static bool ready(void)
{
    return stage() && stage_join(0) && add_service("historian", "app-client", "*") && add_service("web", "app-server", "north") &&
           add_service("ua", "opcua", "*") && add_service("elsewhere", "app-client", "south") &&
           gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200;
}

#define EST(label) "/.well-known/est/" label "/simpleenroll"

BP_CASE(client_certificate_of_a_vouched_key)
{
    BP_NEED(ready());
    const uint64_t from = world_log_size(w);
    BP_NEED(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(whole(), BP_CERT_APP_CLIENT, w->plant.sim.wall_ms)));
    BP_CHECK(cert.not_after_s - cert.not_before_s == 45 * DAY_S);
    BP_CHECK(holds(":historian") && memmem(cert.subject.p, cert.subject.n, "gateway", 7) == NULL);
    BP_CHECK(bp_span_equal(cert.spki, bp_span_of(g[0].next.spki, g[0].next.spki_n)));
    BP_CHECK(world_events(w, BP_EV_APPLICATION_ISSUED, from) == 1);
    /* Another one for the same key and service is a renewal. */
    BP_CHECK(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
}

BP_CASE(any_est_client_may_carry_the_request)
{
    BP_NEED(ready());
    const struct world_peer nobody = {.source = "203.0.113.9"};
    BP_CHECK(take(ask(0, "enrol", EST("historian"), &g[0].next, &nobody)));
}

BP_CASE(server_names_come_from_the_registry)
{
    char pseudonym[64] = "";
    struct bp_device d;
    struct bp_trust t;
    BP_NEED(ready() && call_it("press-7.plant.example") && world_device(w, g[0].rig.device_id, &d, &t));
    for (size_t i = 0; d.pseudonym[i] != 0; i++) {
        pseudonym[i] = (char)(d.pseudonym[i] >= 'A' && d.pseudonym[i] <= 'Z' ? d.pseudonym[i] + 32 : d.pseudonym[i]);
    }
    BP_NEED(take(ask(0, "device", EST("web"), &g[0].next, NULL)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(whole(), BP_CERT_APP_SERVER, w->plant.sim.wall_ms)));
    BP_CHECK(holds("press-7.plant.example") && holds(pseudonym));
}

BP_CASE(opcua_application_uri)
{
    char uri[128];
    struct bp_device d;
    struct bp_trust t;
    BP_NEED(ready() && call_it("Press 7") && world_device(w, g[0].rig.device_id, &d, &t));
    BP_NEED(take(ask(0, "device", EST("ua"), &g[0].next, NULL)));
    snprintf(uri, sizeof uri, "urn:bedplate:device:%s:ua", d.pseudonym);
    BP_CHECK(!bp_failed(bp_x509_profile_check(whole(), BP_CERT_OPCUA, w->plant.sim.wall_ms)) && holds(uri));
    BP_CHECK(!holds("Press 7")); /* no host is called so */
}

BP_CASE(nobody_is_called_like_the_server)
{
    BP_NEED(ready() && call_it("gateway.localhost"));
    BP_CHECK(is(world_code(ask(0, "device", EST("web"), &g[0].next, NULL)), "value"));
    BP_CHECK(call_it("localhost") && is(world_code(ask(0, "device", EST("web"), &g[0].next, NULL)), "value"));
    BP_CHECK(call_it("notlocalhost") && take(ask(0, "device", EST("web"), &g[0].next, NULL)));
}

BP_CASE(key_without_a_verdict_is_refused)
{
    struct test_key key;
    BP_NEED(ready() && test_key_make(&key, BP_SIG_ES256));
    BP_CHECK(is(world_code(ask(0, "device", EST("historian"), &key, NULL)), "not-preapproved"));
    test_key_done(&key);
    world_wait(w, BP_KEEPER_VOUCH_MS + 1000, 60000);
    BP_CHECK(is(world_code(ask(0, "device", EST("historian"), &g[0].next, NULL)), "not-preapproved"));
}

BP_CASE(another_device_asks_in_vain)
{
    BP_NEED(ready() && stage_join(1));
    BP_CHECK(is(world_code(ask(1, "device", EST("historian"), &g[0].next, NULL)), "not-preapproved"));
}

BP_CASE(labels)
{
    BP_NEED(ready());
    BP_CHECK(is(world_code(ask(0, "device", EST("nothing"), &g[0].next, NULL)), "no-such-label"));
    BP_CHECK(is(world_code(ask(0, "device", EST("elsewhere"), &g[0].next, NULL)), "no-such-label"));
    BP_CHECK(is(world_code(ask(0, "device", "/.well-known/est/south/simplereenroll", &g[0].next, NULL)), "no-such-label"));
    BP_CHECK(is(world_code(ask(0, "device", EST("north"), &g[0].next, NULL)), "no-such-label"));
    BP_CHECK(is(world_code(ask(0, "device", "/.well-known/est/north/south/simplereenroll", &g[0].next, NULL)), "not-found"));
    BP_CHECK(is(world_code(ask(0, "device", "/.well-known/est//simplereenroll", &g[0].next, NULL)), "not-found"));
    /* The zone's own label is the device's certificate as without one. */
    BP_CHECK(take(ask(0, "device", "/.well-known/est/north/simplereenroll", &g[0].next, NULL)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(whole(), BP_CERT_DEVICE, w->plant.sim.wall_ms)));
}

BP_CASE(one_key_one_use)
{
    BP_NEED(ready());
    const struct world_peer nobody = {.source = "203.0.113.9"};
    BP_CHECK(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    BP_CHECK(is(world_code(ask(0, "device", EST("ua"), &g[0].next, NULL)), "key-in-use"));
    BP_CHECK(is(world_code(ask(0, "device", "/.well-known/est/simplereenroll", &g[0].next, NULL)), "key-in-use"));
    /* The key of the device's own certificate is still vouched for. */
    BP_CHECK(is(world_code(ask(0, "enrol", EST("historian"), &g[0].rig.ldevid, &nobody)), "key-in-use"));
    /* Nor does it speak for the device. */
    uint8_t spki[32];
    BP_CHECK(!bp_failed(bp_hash(w->plant.crypto, BP_HASH_SHA256, bp_span_of(g[0].next.spki, g[0].next.spki_n), spki)));
    const struct world_peer app = {.spki = BP_SPAN_OF(spki), .issuer = "device", .source = g[0].source};
    BP_CHECK(is(world_code(world_ask(w, "device", "GET", "/bedplate/v1/nonce", NULL, BP_SPAN_EMPTY, &app)), "unknown-device"));
    BP_CHECK(is(world_code(ask(0, "enrol", "/.well-known/est/simplereenroll", &g[0].next, &app)), "unknown-device"));
    BP_CHECK(is(world_code(ask(0, "enrol", "/.well-known/est/ua/simplereenroll", &g[0].next, &app)), "unknown-device"));
    /* But it renews its own. */
    BP_CHECK(take(ask(0, "enrol", "/.well-known/est/historian/simplereenroll", &g[0].next, &app)));
}

/* What the store says of the newest certificate. */
static struct bp_certificate newest;

static bp_result look(void *self, struct bp_turn *t)
{
    struct bp_device d;
    size_t n = 0;
    (void)self;
    BP_TRY(bp_store_device_by_id(t->store, BP_SPAN_OF(g[0].rig.device_id), &d));
    return bp_store_certs_of(t->store, d.n, &newest, 1, &n);
}

BP_CASE(quarantine_suspends_them)
{
    BP_NEED(ready() && take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    const uint64_t from = world_log_size(w);
    BP_CHECK(world_quarantine(w, g[0].rig.device_id));
    world_settle(w);
    BP_CHECK(world_act(w, look, NULL) && newest.state == BP_CERT_REVOKED && newest.revoked_reason == 6);
    BP_CHECK(world_events(w, BP_EV_CRL_PUBLISHED, from) == 1);
    /* It may still attest, and renews nothing. */
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    BP_CHECK(is(world_code(ask(0, "device", EST("historian"), &g[0].next, NULL)), "quarantined"));
    BP_CHECK(world_free(w, g[0].rig.device_id));
    world_settle(w);
    BP_CHECK(world_act(w, look, NULL) && newest.state == BP_CERT_GOOD && newest.revoked_reason == 0);
    BP_CHECK(world_events(w, BP_EV_CRL_PUBLISHED, from) == 2);
    BP_CHECK(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
}

BP_CASE(revoked_with_the_device)
{
    BP_NEED(ready() && take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    uint8_t serial[20];
    const size_t serial_n = cert.serial.n;
    memcpy(serial, cert.serial.p, serial_n);
    BP_CHECK(world_quarantine(w, g[0].rig.device_id) && world_revoke(w, g[0].rig.device_id));
    world_settle(w);
    BP_CHECK(world_act(w, look, NULL) && newest.state == BP_CERT_REVOKED && newest.revoked_reason == 1);
    const struct world_reply *crl = world_ask(w, "status", "GET", "/crl/issuing-0.crl", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(crl->http.status == 200 && memmem(crl->http.body.p, crl->http.body.n, serial, serial_n) != NULL);
    BP_CHECK(is(world_code(ask(0, "device", EST("historian"), &g[0].next, NULL)), "revoked"));
}

/* The template (RFC 9908): a P-256 key, no subject, no attributes; the same under every label. */
BP_CASE(what_a_request_should_look_like)
{
    static const char *const want = "MC8wLQYLKoZIhvcNAQkQAj0xHjAcAgEAoBUwEwYHKoZIzj0CAQYIKoZIzj0DAQehAA==\n";
    static const char *const targets[] = {"/.well-known/est/csrattrs", "/.well-known/est/historian/csrattrs"};
    BP_NEED(ready());
    for (size_t i = 0; i < 2; i++) {
        const struct world_reply *r = world_ask(w, "enrol", "GET", targets[i], NULL, BP_SPAN_EMPTY, NULL);
        BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.content_type, BP_SPAN_STR("application/csrattrs")));
        BP_CHECK(bp_span_equal(r->http.body, bp_span_cstr(want)));
    }
}

/* libest reads no line above 1,024 characters; it is known by its name where it sends nothing. */
BP_CASE(lines_for_who_reads_no_long_one)
{
    static const struct {
        const char *agent;
        bool in_lines;
    } client[] = {{NULL, false}, {"curl/7.88.1", false}, {"libest 3.2.0p", true}, {"Cisco EST client 1.0", true}, {"a libest", false}};
    BP_NEED(ready());
    for (size_t i = 0; i < sizeof client / sizeof client[0]; i++) {
        const struct world_peer peer = {.agent = client[i].agent};
        const struct world_reply *r = world_ask(w, "enrol", "GET", "/.well-known/est/cacerts", NULL, BP_SPAN_EMPTY, &peer);
        const bp_span body = r->http.body;
        BP_CHECK(r->http.status == 200 && body.n > 1024 && body.p[body.n - 1] == '\n');
        const uint8_t *end = memchr(body.p, '\n', body.n);
        BP_CHECK(end != NULL && (size_t)(end - body.p) == (client[i].in_lines ? 64 : body.n - 1));
    }
}

#define FRESH "application/est-attestation-freshness+json"

static struct world_reply *fresh(const char *method, const char *body)
{
    const struct world_peer own = {.spki = BP_SPAN_OF(g[0].spki), .issuer = "device", .source = g[0].source};
    return world_ask(w, "device", method, "/.well-known/est/nonce", body == NULL ? NULL : FRESH,
                     body == NULL ? BP_SPAN_EMPTY : bp_span_cstr(body), &own);
}

/* A nonce asked for over EST serves for evidence that asks for a grant. */
BP_CASE(nonces_over_est)
{
    char text[64], seq[24], issued[24];
    uint8_t nonce[48];
    BP_NEED(ready());
    const struct world_reply *r = fresh("GET", NULL);
    BP_NEED(r->http.status == 200 && world_member(r, "nonce", text, sizeof text) && world_member(r, "seq", seq, sizeof seq) &&
            world_member(r, "issued_ms", issued, sizeof issued));
    BP_CHECK(bp_span_equal(r->http.content_type, BP_SPAN_STR(FRESH)) && strlen(text) == 43 && strpbrk(text, "+/=") == NULL);
    for (size_t i = 0; i < 43; i++) {
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    }
    text[43] = '=';
    bp_wr wr = bp_wr_over(nonce, sizeof nonce);
    bp_base64_read(&wr, bp_span_of((const uint8_t *)text, 44));
    BP_NEED(!bp_failed(bp_wr_finish(&wr)) && wr.n == 32);
    memcpy(g[0].rig.nonce, nonce, 32);
    g[0].rig.seq = strtoull(seq, NULL, 10);
    g[0].rig.as_of_ms = strtoll(issued, NULL, 10);
    BP_CHECK(gateway_vouch(&g[0])->http.status == 200 && take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
}

BP_CASE(nonces_over_est_for_other_evidence)
{
    static const char *const good[] = {"{}", "{\"len\":32}", "{\"len\":32,\"type\":\"1.3.6.1.4.1.32473.1.3.1\",\"reqInfo\":{\"a\":1}}"};
    static const char *const bad[] = {"", "[]", "{\"len\":16}", "{\"len\":7}", "{\"len\":65}", "{\"len\":\"32\"}", "{\"len\":32",
                                      "{\"type\":\"1.2.3\"}", "{\"type\":7}", "{\"len\":32,\"len\":32}"};
    BP_NEED(ready());
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        BP_CHECK(fresh("POST", good[i])->http.status == 200);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        BP_CHECK(is(world_code(fresh("POST", bad[i])), "malformed"));
    }
    const struct world_reply *r = world_ask(w, "enrol", "GET", "/.well-known/est/nonce", NULL, BP_SPAN_EMPTY, NULL);
    BP_CHECK(is(world_code(r), "wrong-issuer")); /* of which device? */
}

/* The window comes with every answer, and the server's word to renew follows it. */
BP_CASE(an_operator_moves_the_window)
{
    BP_NEED(ready() && gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(!g[0].renew);
    BP_CHECK(world_setting(w, "renew-from-permille", 0) && world_setting(w, "renew-until-permille", 0));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && g[0].renew);
    BP_CHECK(world_setting(w, "renew-from-permille", 500) && world_setting(w, "renew-until-permille", 700));
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && !g[0].renew);
}

static uint32_t ending;

static bp_result forecast(void *self, struct bp_turn *t)
{
    (void)self;
    return bp_store_certs_ending(t->store, t->now_ms, t->now_ms + 7 * 86400000LL, 100, &ending);
}

/* A certificate counts that ends before its device is expected; not one that was renewed, nor one of a device in touch. */
BP_CASE(what_will_expire_is_foreseen)
{
    BP_NEED(stage_new(true, false) && ready() && world_act(w, forecast, NULL)); /* no other devices */
    const uint32_t before = ending;
    world_wait(w, 6 * 86400000LL, 3600000);
    BP_NEED(stage_trust(0).silent && world_act(w, forecast, NULL));
    BP_CHECK(ending == before + 1);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    BP_CHECK(world_act(w, forecast, NULL) && ending == before);
}

static bool away(int64_t ms)
{
    world_stop(w);
    bp_clock_sim_step(&w->plant.sim, ms);
    return world_restart(w, true) && gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200;
}

/* Devices are told since when the server is back; a short stop meanwhile puts nobody off once more. */
BP_CASE(a_long_absence_is_told_to_devices)
{
    BP_NEED(stage_new(true, false) && ready() && away(1800000));
    BP_CHECK(g[0].since_s == 0 && world_events(w, BP_EV_SERVER_RETURNED, 0) == 0);
    BP_NEED(away(3 * 3600000));
    const int64_t since = g[0].since_s;
    BP_CHECK(since > 0 && w->plant.sim.wall_ms / 1000 - since < 60 && world_events(w, BP_EV_SERVER_RETURNED, 0) == 1);
    BP_NEED(away(3600000));
    BP_CHECK(g[0].since_s == since && world_events(w, BP_EV_SERVER_RETURNED, 0) == 1);
    world_wait(w, 6 * 3600000LL, 600000);
    BP_NEED(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(g[0].since_s == 0); /* it is made up for */
}

/* A clock that was years ahead and is right again leaves nothing that puts renewals off. */
BP_CASE(a_wrong_clock_puts_nothing_off)
{
    BP_NEED(stage_new(true, false) && ready());
    const int64_t years = 10 * 366 * 86400000LL;
    w->plant.sim.wall_ms += years;
    g[0].rig.now_ms += years; /* its TPM knows nothing of it */
    world_wait(w, 3600000, 60000);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    w->plant.sim.wall_ms -= years;
    g[0].rig.now_ms -= years;
    world_wait(w, 60000, 5000);
    BP_CHECK(is(world_code(ask(0, "device", EST("historian"), &g[0].next, NULL)), "not-preapproved"));
    BP_NEED(gateway_nonce(&g[0])->http.status == 200 && gateway_attest(&g[0])->http.status == 200);
    BP_CHECK(g[0].since_s == 0 && !g[0].renew && world_events(w, BP_EV_CLOCK_JUMPED, 0) == 2);
    BP_NEED(away(60000));
    BP_CHECK(g[0].since_s == 0 && !g[0].renew);
    BP_CHECK(gateway_nonce(&g[0])->http.status == 200 && gateway_vouch(&g[0])->http.status == 200);
    BP_CHECK(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    BP_CHECK(cert.not_before_s <= w->plant.sim.wall_ms / 1000 && cert.not_after_s - cert.not_before_s == 45 * DAY_S);
}

BP_CASE(lifetime_follows_the_outage_tolerance)
{
    BP_NEED(ready() && world_setting(w, "outage-tolerance-ms", 2 * DAY_S * 1000LL));
    BP_NEED(take(ask(0, "device", EST("historian"), &g[0].next, NULL)));
    BP_CHECK(cert.not_after_s - cert.not_before_s == 3 * DAY_S);
    BP_CHECK(world_setting(w, "outage-tolerance-ms", BP_OUTAGE_MS));
}

/* clang-format off */
BP_SUITE(service,
    BP_RUN(client_certificate_of_a_vouched_key)
    BP_RUN(any_est_client_may_carry_the_request)
    BP_RUN(server_names_come_from_the_registry)
    BP_RUN(opcua_application_uri)
    BP_RUN(nobody_is_called_like_the_server)
    BP_RUN(key_without_a_verdict_is_refused)
    BP_RUN(another_device_asks_in_vain)
    BP_RUN(labels)
    BP_RUN(one_key_one_use)
    BP_RUN(quarantine_suspends_them)
    BP_RUN(revoked_with_the_device)
    BP_RUN(lifetime_follows_the_outage_tolerance)
    BP_RUN(what_a_request_should_look_like)
    BP_RUN(lines_for_who_reads_no_long_one)
    BP_RUN(nonces_over_est)
    BP_RUN(nonces_over_est_for_other_evidence)
    BP_RUN(an_operator_moves_the_window)
    BP_RUN(what_will_expire_is_foreseen)
    BP_RUN(a_long_absence_is_told_to_devices)
    BP_RUN(a_wrong_clock_puts_nothing_off)
)
