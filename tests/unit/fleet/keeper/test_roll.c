/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_roll - two issuing CAs in force: certificates of both serve, what is revoked stands in the
 * lists of both, and people are told once. */
#include "fleet/events/effects.h"
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include <stdio.h>

static bool is(const char *got, const char *want)
{
    return got != NULL && strcmp(got, want) == 0;
}

static const uint8_t *find(bp_span in, bp_span what)
{
    return in.n == 0 || what.n == 0 ? NULL : memmem(in.p, in.n, what.p, what.n);
}

/* The list of that number is served, by an issuer of that name, and holds the serial. */
static bool lists(unsigned number, bp_span issuer, bp_span serial)
{
    char target[40];
    struct bp_x509 x;
    (void)snprintf(target, sizeof target, "/crl/issuing-%u.crl", number);
    const struct world_reply *r = world_ask(w, "status", "GET", target, NULL, BP_SPAN_EMPTY, NULL);
    return r->http.status == 200 && !bp_failed(bp_x509_read(issuer, &x)) && find(r->http.body, x.subject) != NULL &&
           find(r->http.body, serial) != NULL;
}

static bool roll(enum bp_key_type type)
{
    struct bp_site *old = NULL;
    const bool ok = plant_roll(&w->plant, type, &old) && world_restart(w, true);
    if (old != w->plant.site) {
        bp_site_free(old);
    }
    return ok;
}

BP_CASE(both_issuers_are_in_force)
{
    uint8_t first[20];
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    BP_NEED(g[0].cert.serial.n <= sizeof first && g[0].cert.alg == BP_SIG_ES256);
    memcpy(first, g[0].cert.serial.p, g[0].cert.serial.n);
    const bp_span serial = bp_span_of(first, g[0].cert.serial.n);
    BP_NEED(roll(BP_KEY_P384));
    const struct bp_site *site = w->plant.site;
    BP_CHECK(site->issuing_number == 1 && world_events(w, BP_EV_ISSUER_ROLLED, 0) == 1);
    /* The old certificate serves, the next one is the new issuer's. */
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && is(g[0].state, "active"));
    BP_CHECK(gateway_renew(&g[0]) && g[0].cert.alg == BP_SIG_ES384);
    BP_CHECK(gateway_attest(&g[0])->http.status == 200 && gateway_attest(&g[1])->http.status == 200);
    BP_CHECK(find(bp_span_of(g[0].cert_der, g[0].cert_n), BP_SPAN_STR("/crl/issuing-1.crl")) != NULL);
    /* One device, a certificate of each: revoked in both lists. */
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    world_wait(w, 3000, 1000);
    BP_CHECK(lists(0, site->issuing_old, serial) && lists(0, site->issuing_old, g[0].cert.serial));
    BP_CHECK(lists(1, site->cert[BP_SITE_CERT_ISSUING], serial) && lists(1, site->cert[BP_SITE_CERT_ISSUING], g[0].cert.serial));
    BP_CHECK(is(world_code(world_ask(w, "status", "GET", "/crl/issuing-2.crl", NULL, BP_SPAN_EMPTY, NULL)), "not-found"));
    BP_CHECK(is(world_code(world_ask(w, "status", "GET", "/crl/issuing-.crl", NULL, BP_SPAN_EMPTY, NULL)), "not-found"));
    BP_CHECK(is(world_code(world_ask(w, "status", "GET", "/crl/issuing-0000.crl", NULL, BP_SPAN_EMPTY, NULL)), "not-found"));
    BP_CHECK(world_restart(w, true) && world_events(w, BP_EV_ISSUER_ROLLED, 0) == 1);
}

BP_CASE(the_old_one_is_taken_out)
{
    BP_NEED(w != NULL && roll(BP_KEY_NONE));
    BP_CHECK(w->plant.site->issuing_old.n == 0 && world_events(w, BP_EV_ISSUER_RETIRED, 0) == 1);
    BP_CHECK(is(world_code(world_ask(w, "status", "GET", "/crl/issuing-0.crl", NULL, BP_SPAN_EMPTY, NULL)), "not-found"));
    BP_CHECK(world_ask(w, "status", "GET", "/crl/issuing-1.crl", NULL, BP_SPAN_EMPTY, NULL)->http.status == 200);
    BP_CHECK(world_restart(w, true) && world_events(w, BP_EV_ISSUER_RETIRED, 0) == 1);
    stage_end();
}

BP_SUITE(keeper_roll, BP_RUN(both_issuers_are_in_force) BP_RUN(the_old_one_is_taken_out))
