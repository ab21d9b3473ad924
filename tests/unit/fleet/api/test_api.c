/* SPDX-License-Identifier: Apache-2.0 */
/* The operators' API: who may do what, what a body may be, that every act is in the log, and what readers answer. */
#include "codec/decommission.h"
#include "fleet/ipc/message.h"
#include "harness.h"

#include <stdlib.h>

#include "codec/corim.h"
#include "codec/cose.h"
#include "codec/release.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "desk.h"
#include "fleet/api/internal.h"
#include "platform/alloc.h"

static struct desk d;
static char admin_cookie[65], admin_csrf[65], viewer_cookie[65], viewer_csrf[65];
static struct asker admin, viewer;
static const struct asker nobody;

static bool begin(void)
{
    if (!desk_open(&d) || !desk_sign_in(&d, BP_OPR_ADMIN, admin_cookie, admin_csrf) ||
        !desk_sign_in(&d, BP_OPR_VIEWER, viewer_cookie, viewer_csrf)) {
        return false;
    }
    admin = (struct asker){.cookie = admin_cookie, .csrf = admin_csrf};
    viewer = (struct asker){.cookie = viewer_cookie, .csrf = viewer_csrf};
    return true;
}

static void end(void)
{
    desk_close(&d);
}

/* Asks and compares status and problem; gives the reply away. */
static bool is(const struct asker *who, const char *method, const char *target, const char *body, unsigned status, const char *code)
{
    struct reply r = desk_json(&d, who, method, target, body);
    const bool ok = r.status == status && strcmp(desk_problem(&r), code) == 0;
    if (!ok) {
        printf("# %s %s: %u %s\n", method, target, r.status, r.body == NULL ? "" : r.body);
    }
    desk_done(&r);
    return ok;
}

/* -- every route x who asks -------------------------------------------------------------------- */
static void address(const struct bp_api_row *row, char *ret, size_t cap)
{
    size_t n = (size_t)snprintf(ret, cap, "%s", BP_API_PREFIX);
    for (const char *p = row->path; *p != 0; p++) {
        if (*p == '{') {
            ret[n++] = '0';
            p = strchr(p, '}');
        } else {
            ret[n++] = *p;
        }
    }
    ret[n] = 0;
}

static const char *body_for(const struct bp_api_row *row)
{
    return row->media[0] == 0 ? NULL : "{}";
}

static struct reply ask_row(const struct bp_api_row *row, const struct asker *who)
{
    char target[128];
    address(row, target, sizeof target);
    const char *body = body_for(row);
    return desk_ask(&d, who, row->method, target, body == NULL ? NULL : row->media, body, body == NULL ? 0 : strlen(body));
}

static bool row_is(const struct bp_api_row *row, const struct asker *who, unsigned status, const char *code)
{
    struct reply r = ask_row(row, who);
    const bool ok = r.status == status && strcmp(desk_problem(&r), code) == 0;
    if (!ok) {
        printf("# %s %s: %u %s\n", row->method, row->path, r.status, r.body == NULL ? "" : r.body);
    }
    desk_done(&r);
    return ok;
}

static void every_route(void)
{
    const struct asker device = {.issuer = "device", .spki = BP_SPAN_STR("0123456789abcdef0123456789abcdef")};
    const struct asker brownfield = {.issuer = "brownfield", .spki = BP_SPAN_STR("0123456789abcdef0123456789abcdef")};
    const struct asker stranger = {.issuer = "operator", .spki = BP_SPAN_STR("0123456789abcdef0123456789abcdef")};
    const struct asker forged = {.cookie = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
    if (!begin()) {
        bp_case_begin();
        BP_CHECK(false);
        bp_case_end("begin");
        return;
    }
    const struct asker no_csrf = {.cookie = admin_cookie};
    const struct asker other_csrf = {.cookie = admin_cookie, .csrf = viewer_csrf};
    for (int i = 0; i < BP_API_COUNT; i++) {
        const struct bp_api_row *row = &bp_api_table[i];
        char name[96];
        (void)snprintf(name, sizeof name, "route.%s%s", row->method, row->path);
        bp_case_begin();
        BP_CHECK(row_is(row, &device, 403, "wrong-issuer"));
        BP_CHECK(row_is(row, &brownfield, 403, "wrong-issuer"));
        if (row->role == BP_OPR_NONE) {
            struct reply r = ask_row(row, &nobody);
            BP_CHECK(r.status == 422); /* a body without its members: nobody was asked who he is */
            desk_done(&r);
            bp_case_end(name);
            continue;
        }
        BP_CHECK(row_is(row, &nobody, 401, "not-signed-in"));
        BP_CHECK(row_is(row, &forged, 401, "not-signed-in"));
        BP_CHECK(row_is(row, &stranger, 401, "not-signed-in"));
        if (row->role == BP_OPR_ADMIN) {
            BP_CHECK(row_is(row, &viewer, 403, "forbidden"));
        }
        if (strcmp(row->method, "GET") != 0) {
            BP_CHECK(row_is(row, &no_csrf, 403, "csrf"));
            BP_CHECK(row_is(row, &other_csrf, 403, "csrf"));
        }
        if (i != BP_API_SESSION_END) {
            struct reply r = ask_row(row, &admin);
            BP_CHECK(r.status != 401 && r.status != 403 && r.status != 405 && r.status < 500);
            desk_done(&r);
        }
        bp_case_end(name);
    }
    end();
}

BP_CASE(unknown_addresses)
{
    BP_NEED(begin());
    BP_CHECK(is(&admin, "GET", "/api/v1/nothing", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v1/", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v1", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v10/devices", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v1/devices/", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v1/devices/x/y/z", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "GET", "/api/v1//devices", NULL, 404, "not-found"));
    BP_CHECK(is(&admin, "DELETE", "/api/v1/devices", NULL, 405, "method-not-allowed"));
    BP_CHECK(is(&admin, "HEAD", "/api/v1/devices", NULL, 405, "method-not-allowed"));
    end();
}

/* -- bodies ------------------------------------------------------------------------------------ */
static const struct {
    const char *name, *method, *target, *type, *body;
    unsigned status;
    const char *code;
} bodies[] = {
    {"not_json", "POST", "/api/v1/codes", "application/json", "role=admin", 400, "malformed"},
    {"empty", "POST", "/api/v1/codes", "application/json", "", 400, "malformed"},
    {"array", "POST", "/api/v1/codes", "application/json", "[]", 400, "malformed"},
    {"cut", "POST", "/api/v1/codes", "application/json", "{\"role\":", 400, "malformed"},
    {"two_objects", "POST", "/api/v1/codes", "application/json", "{\"role\":\"admin\"}{}", 400, "malformed"},
    {"member_twice", "POST", "/api/v1/codes", "application/json", "{\"role\":\"admin\",\"role\":\"viewer\"}", 400, "malformed"},
    {"not_utf8", "POST", "/api/v1/codes", "application/json", "{\"role\":\"\xff\"}", 400, "malformed"},
    {"form_type", "POST", "/api/v1/codes", "application/x-www-form-urlencoded", "{\"role\":\"admin\"}", 415, "media-type"},
    {"text_type", "POST", "/api/v1/codes", "text/plain", "{\"role\":\"admin\"}", 415, "media-type"},
    {"no_type", "POST", "/api/v1/codes", "", "{\"role\":\"admin\"}", 415, "media-type"},
    {"charset_is_fine", "POST", "/api/v1/codes", "Application/JSON; charset=utf-8", "{\"role\":\"viewer\"}", 201, ""},
    {"member_unknown", "POST", "/api/v1/codes", "application/json", "{\"role\":\"admin\",\"zone\":\"a\"}", 422, "value"},
    {"member_missing", "POST", "/api/v1/codes", "application/json", "{}", 422, "value"},
    {"member_type", "POST", "/api/v1/codes", "application/json", "{\"role\":1}", 422, "value"},
    {"member_empty", "POST", "/api/v1/codes", "application/json", "{\"role\":\"\"}", 422, "value"},
    {"role_unknown", "POST", "/api/v1/codes", "application/json", "{\"role\":\"root\"}", 422, "value"},
    {"control_character", "POST", "/api/v1/codes", "application/json", "{\"role\":\"admin\",\"name\":\"a\\u0007\"}", 422, "value"},
    {"name_too_long", "POST", "/api/v1/codes", "application/json",
     "{\"role\":\"admin\",\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", 422, "value"},
    {"invite_no_zone", "POST", "/api/v1/invitations", "application/json", "{\"name\":\"x\"}", 422, "value"},
    {"invite_zone_and_position", "POST", "/api/v1/invitations", "application/json", "{\"zone\":\"a\",\"position\":\"b\"}", 422, "value"},
    {"invite_no_such_position", "POST", "/api/v1/invitations", "application/json", "{\"position\":\"b\"}", 404, "not-found"},
    {"position_no_zone", "POST", "/api/v1/positions", "application/json", "{\"position\":\"b\"}", 422, "value"},
    {"position_no_tag", "POST", "/api/v1/positions", "application/json", "{\"zone\":\"b\"}", 422, "value"},
    {"position_tag_of_blanks", "POST", "/api/v1/positions", "application/json", "{\"zone\":\"b\",\"position\":\"a b\"}", 422, "value"},
    {"replace_device_not_hex", "POST", "/api/v1/positions/a/replace", "application/json", "{\"device\":\"x\"}", 422, "value"},
    {"replace_tag_not_encoded", "POST", "/api/v1/positions/a%4/replace", "application/json", "{\"device\":\"x\"}", 404, "not-found"},
    {"invite_expired", "POST", "/api/v1/invitations", "application/json", "{\"zone\":\"a\",\"expires_s\":0}", 422, "value"},
    {"invite_too_long", "POST", "/api/v1/invitations", "application/json", "{\"zone\":\"a\",\"expires_s\":99999999}", 422, "value"},
    {"device_unknown", "POST", "/api/v1/devices/010000000000000000000000000000000000000000000000000000000000000000/revoke", "application/json", "{\"reason\":\"x\"}", 404, "not-found"},
    {"device_not_hex", "POST", "/api/v1/devices/xyz/revoke", "application/json", "{\"reason\":\"x\"}", 404, "not-found"},
    {"release_not_hex", "POST", "/api/v1/releases/xyz/accept", "application/json", "{}", 404, "not-found"},
    {"release_junk", "POST", "/api/v1/releases", "application/cose", "junk", 400, "malformed"},
    {"release_key_odd", "POST", "/api/v1/releases?key=abc", "application/cose", "junk", 422, "value"},
    {"release_key_upper", "POST", "/api/v1/releases?key=AB", "application/cose", "junk", 422, "value"},
    {"release_as_json", "POST", "/api/v1/releases", "application/json", "{}", 415, "media-type"},
    {"policy_junk", "PUT", "/api/v1/policy", "application/yaml", "rules: [", 422, "value"},
    {"policy_zone", "PUT", "/api/v1/policy", "application/yaml", "version: 5\nzone: line1\nrules: []\n", 422, "value"},
    {"policy_unknown_claim", "PUT", "/api/v1/policy", "application/json",
     "{\"version\":5,\"zone\":\"*\",\"rules\":[{\"name\":\"a\",\"when\":\"nonsense\",\"verdict\":\"permit\",\"reason\":\"r\"}]}", 422, "value"},
    {"policy_failing_test", "PUT", "/api/v1/policy", "application/yaml",
     "version: 5\nzone: '*'\nrules: []\ntests:\n  - {name: t, claims: {tier: 2}, expect: permit}\n", 422, "value"},
    {"get_with_body", "GET", "/api/v1/devices", "application/json", "{}", 415, "media-type"},
    {"brownfield_text", "PUT", "/api/v1/brownfield", "application/json", "{\"enabled\":\"yes\"}", 422, "value"},
};

static void refused_bodies(void)
{
    if (!begin()) {
        return;
    }
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "body.%s", bodies[i].name);
        bp_case_begin();
        struct reply r = desk_ask(&d, &admin, bodies[i].method, bodies[i].target, bodies[i].type, bodies[i].body, strlen(bodies[i].body));
        if (!BP_CHECK(r.status == bodies[i].status && strcmp(desk_problem(&r), bodies[i].code) == 0)) {
            printf("# %u %s\n", r.status, r.body == NULL ? "" : r.body);
        }
        desk_done(&r);
        bp_case_end(name);
    }
    end();
}

BP_CASE(body_too_large)
{
    BP_NEED(begin());
    char *big = calloc(1, BP_ROUTE_BODY + 2);
    BP_NEED(big != NULL);
    memset(big, ' ', BP_ROUTE_BODY + 1);
    struct reply r = desk_ask(&d, &admin, "POST", "/api/v1/codes", "application/json", big, BP_ROUTE_BODY + 1);
    BP_CHECK(r.status == 413 && strcmp(desk_problem(&r), "too-large") == 0);
    desk_done(&r);
    free(big);
    end();
}

static const struct {
    const char *name, *target;
} queries[] = {
    {"limit_zero", "/api/v1/devices?limit=0"},       {"limit_501", "/api/v1/devices?limit=501"},
    {"limit_text", "/api/v1/devices?limit=x"},       {"state", "/api/v1/devices?state=green"},
    {"trust", "/api/v1/devices?trust=green"},        {"after", "/api/v1/devices?after=-1"},
    {"percent", "/api/v1/devices?zone=%4"},          {"percent_control", "/api/v1/devices?zone=%00"},
    {"event_type", "/api/v1/events?type=nothing"},   {"event_both", "/api/v1/events?after=1&before=2"},
    {"event_number", "/api/v1/events?after=1e3"},    {"release_after", "/api/v1/releases?after=x"},
    {"id_cursor", "/api/v1/devices?q=01020304&after=x"},
};

static void refused_queries(void)
{
    if (!begin()) {
        return;
    }
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "query.%s", queries[i].name);
        bp_case_begin();
        BP_CHECK(is(&viewer, "GET", queries[i].target, NULL, 422, "value"));
        bp_case_end(name);
    }
    end();
}

/* -- sessions ---------------------------------------------------------------------------------- */
BP_CASE(a_code_serves_once)
{
    char body[128];
    BP_NEED(begin());
    struct reply r = desk_json(&d, &admin, "POST", "/api/v1/codes", "{\"role\":\"viewer\",\"name\":\"ann\"}");
    BP_NEED(r.status == 201);
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", desk_text(&r, "code"));
    desk_done(&r);
    r = desk_json(&d, &nobody, "POST", "/api/v1/session", body);
    BP_CHECK(r.status == 201 && strcmp(desk_text(&r, "operator"), "ann") == 0 && strcmp(desk_text(&r, "role"), "viewer") == 0);
    desk_done(&r);
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", body, 401, "bad-code"));
    BP_CHECK(desk_last_event(&d) == BP_EV_SIGN_IN_REFUSED);
    end();
}

BP_CASE(a_code_runs_out)
{
    char body[128];
    BP_NEED(begin());
    struct reply r = desk_json(&d, &admin, "POST", "/api/v1/codes", "{\"role\":\"viewer\"}");
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", desk_text(&r, "code"));
    desk_done(&r);
    d.now_ms += BP_OPERATOR_CODE_MS;
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", body, 401, "bad-code"));
    end();
}

BP_CASE(a_code_of_a_name_is_for_that_name)
{
    char body[160];
    BP_NEED(begin());
    struct reply r = desk_json(&d, &admin, "POST", "/api/v1/codes", "{\"role\":\"viewer\",\"name\":\"ann\"}");
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\",\"name\":\"bob\"}", desk_text(&r, "code"));
    char good[160];
    (void)snprintf(good, sizeof good, "{\"code\":\"%s\",\"name\":\"ann\"}", desk_text(&r, "code"));
    desk_done(&r);
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", body, 422, "value"));
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", good, 201, "")); /* the refusal did not spend it */
    /* Nobody becomes an administrator by taking a name. */
    BP_CHECK(is(&admin, "POST", "/api/v1/codes", "{\"role\":\"admin\",\"name\":\"ann\"}", 422, "value"));
    r = desk_json(&d, &admin, "POST", "/api/v1/codes", "{\"role\":\"viewer\"}");
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\",\"name\":\"ann\"}", desk_text(&r, "code"));
    desk_done(&r);
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", body, 409, "conflict"));
    end();
}

BP_CASE(attempts_are_limited)
{
    static const char wrong[] = "{\"code\":\"AAAAAAAAAAAAAAAAAAAAAAAAAA\"}";
    BP_NEED(begin());
    for (unsigned i = 0; i < BP_OPERATOR_ATTEMPTS; i++) {
        BP_CHECK(is(&nobody, "POST", "/api/v1/session", wrong, 401, "bad-code"));
    }
    const uint64_t size = d.log.size;
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", wrong, 429, "too-many"));
    BP_CHECK(d.log.size == size);
    d.now_ms += BP_OPERATOR_ATTEMPT_MS;
    BP_CHECK(is(&nobody, "POST", "/api/v1/session", wrong, 401, "bad-code"));
    end();
}

BP_CASE(sessions_end)
{
    BP_NEED(begin());
    d.now_ms += BP_OPERATOR_IDLE_MS - 1;
    BP_CHECK(is(&viewer, "GET", "/api/v1/overview", NULL, 200, ""));
    BP_CHECK(is(&viewer, "GET", "/api/v1/session", NULL, 200, "")); /* this one counts as use */
    d.now_ms += BP_OPERATOR_IDLE_MS - 1;
    BP_CHECK(is(&viewer, "GET", "/api/v1/overview", NULL, 200, ""));
    BP_CHECK(is(&admin, "GET", "/api/v1/overview", NULL, 401, "not-signed-in")); /* idle */
    d.now_ms += 1;
    BP_CHECK(is(&viewer, "GET", "/api/v1/overview", NULL, 401, "not-signed-in"));
    end();
}

BP_CASE(a_session_lasts_eight_hours)
{
    BP_NEED(begin());
    for (int64_t t = 0; t + BP_OPERATOR_IDLE_MS / 2 < BP_OPERATOR_SESSION_MS; t += BP_OPERATOR_IDLE_MS / 2) {
        BP_CHECK(is(&viewer, "GET", "/api/v1/session", NULL, 200, ""));
        d.now_ms += BP_OPERATOR_IDLE_MS / 2;
    }
    BP_CHECK(is(&viewer, "GET", "/api/v1/session", NULL, 200, ""));
    d.now_ms += BP_OPERATOR_IDLE_MS / 2;
    BP_CHECK(is(&viewer, "GET", "/api/v1/session", NULL, 401, "not-signed-in"));
    end();
}

BP_CASE(signing_out_ends_the_session)
{
    BP_NEED(begin());
    BP_CHECK(is(&viewer, "DELETE", "/api/v1/session", NULL, 204, ""));
    BP_CHECK(desk_last_event(&d) == BP_EV_SIGNED_OUT);
    BP_CHECK(is(&viewer, "GET", "/api/v1/session", NULL, 401, "not-signed-in"));
    BP_CHECK(is(&admin, "GET", "/api/v1/session", NULL, 200, ""));
    end();
}

/* -- every write is in the log ----------------------------------------------------------------- */
static const char *of_device(const struct bp_device *dev, const char *verb)
{
    static char target[160];
    char hex[BP_DEVID_HEX];
    bp_devid_hex(dev->id, hex);
    (void)snprintf(target, sizeof target, "/api/v1/devices/%s%s%s", hex, verb[0] == 0 ? "" : "/", verb);
    return target;
}

static bool acts(const char *method, const char *target, const char *body, unsigned status, uint32_t event)
{
    const uint64_t size = d.log.size;
    return is(&admin, method, target, body, status, "") && d.log.size == size + 1 && desk_last_event(&d) == event;
}

/* As if it had been issued a certificate and had used it. */
static bp_result make_active(struct desk *x, void *arg)
{
    struct bp_device *dev = arg;
    BP_TRY(bp_store_device_by_n(x->store, dev->n, dev));
    dev->state = BP_ST_ACTIVE;
    return bp_store_device_set(x->store, dev);
}

BP_CASE(acts_on_devices_are_events)
{
    struct bp_device a;
    struct bp_device b;
    BP_NEED(begin());
    BP_NEED(desk_device(&d, 1, &a) && desk_device(&d, 2, &b));
    BP_CHECK(acts("POST", of_device(&a, "approve"), "{\"zone\":\"line\",\"name\":\"press\"}", 200, BP_EV_DEVICE_CLAIMED));
    BP_CHECK(is(&admin, "POST", of_device(&a, "approve"), "{\"zone\":\"line\"}", 409, "wrong-state"));
    BP_CHECK(is(&admin, "POST", of_device(&a, "quarantine"), "{\"reason\":\"odd\"}", 409, "wrong-state"));
    BP_CHECK(desk_act(&d, make_active, &a));
    BP_CHECK(acts("POST", of_device(&a, "quarantine"), "{\"reason\":\"odd\"}", 200, BP_EV_DEVICE_QUARANTINED));
    BP_CHECK(acts("POST", of_device(&a, "release"), "{\"reason\":\"looked at\"}", 200, BP_EV_DEVICE_RELEASED));
    BP_CHECK(acts("POST", of_device(&a, "revoke"), "{\"reason\":\"stolen\"}", 200, BP_EV_DEVICE_REVOKED));
    BP_CHECK(is(&admin, "POST", of_device(&a, "release"), "{\"reason\":\"back\"}", 403, "revoked"));
    BP_CHECK(d.effects.deny_count > 0);
    BP_CHECK(acts("POST", of_device(&b, "approve"), "{\"zone\":\"line\"}", 200, BP_EV_DEVICE_CLAIMED));
    BP_CHECK(acts("POST", of_device(&b, "retire"), "{\"reason\":\"old\"}", 200, BP_EV_DEVICE_RETIRED));
    struct reply r = desk_json(&d, &admin, "POST", "/api/v1/invitations", "{\"zone\":\"line\",\"name\":\"saw\"}");
    BP_CHECK(r.status == 201 && strlen(desk_text(&r, "code")) == BP_CODE_TEXT && desk_last_event(&d) == BP_EV_INVITATION_MADE);
    BP_CHECK(strstr(desk_text(&r, "line"), "--server https://plant.example:8444 --anchor sha256:") != NULL);
    desk_done(&r);
    end();
}

/* A retired device has a certificate that says so; the statement is the signer's, the file around it ours. */
BP_CASE(a_retired_device_has_a_certificate_and_may_be_let_back)
{
    struct bp_device a;
    struct bp_decommission_file f;
    uint8_t said[64];
    size_t n = 0;
    BP_NEED(begin());
    BP_NEED(desk_device(&d, 1, &a) && !bp_failed(bp_msg_bytes_write(BP_SPAN_STR("statement"), said, sizeof said, &n)));
    d.writer.bind_der = BP_SPAN_STR("bind");
    d.signer_answer = bp_span_of(said, n);
    BP_CHECK(is(&admin, "GET", of_device(&a, "decommission"), "", 409, "wrong-state"));
    BP_CHECK(acts("POST", of_device(&a, "approve"), "{\"zone\":\"line\"}", 200, BP_EV_DEVICE_CLAIMED));
    BP_CHECK(is(&admin, "POST", of_device(&a, "permit"), "{\"reason\":\"x\"}", 409, "wrong-state"));
    BP_CHECK(acts("POST", of_device(&a, "retire"), "{\"reason\":\"old\"}", 200, BP_EV_DEVICE_RETIRED));
    struct reply r = desk_json(&d, &admin, "GET", of_device(&a, "decommission"), "");
    BP_CHECK(r.status == 200 && strcmp(d.asked, "decommission") == 0 && desk_last_event(&d) == BP_EV_DECOMMISSION_READ);
    BP_CHECK(!bp_failed(bp_decommission_file_read(bp_span_of(r.body, r.body_n), &f)) &&
             bp_span_equal(f.statement, BP_SPAN_STR("statement")) && bp_span_equal(f.signer, BP_SPAN_STR("bind")));
    desk_done(&r);
    BP_CHECK(acts("POST", of_device(&a, "permit"), "{\"reason\":\"repaired\"}", 200, BP_EV_RETURN_PERMITTED));
    end();
}

static bp_result make_affirming(struct desk *x, void *arg)
{
    const struct bp_device *dev = arg;
    struct bp_trust t;
    BP_TRY(bp_store_trust(x->store, dev->n, &t));
    t.seq = 1;
    t.tier = BP_TIER_AFFIRMING;
    return bp_store_trust_set(x->store, dev->n, &t);
}

BP_CASE(positions_are_made_filled_and_moved_to_a_spare)
{
    struct bp_device a, b;
    char body[160];
    BP_NEED(begin() && desk_device(&d, 1, &a) && desk_device(&d, 2, &b));
    BP_CHECK(acts("POST", "/api/v1/positions", "{\"position\":\"=A1+K3\",\"zone\":\"line\",\"name\":\"press\"}", 201, BP_EV_POSITION_MADE));
    BP_CHECK(is(&admin, "POST", "/api/v1/positions", "{\"position\":\"=A1+K3\",\"zone\":\"line\"}", 409, "conflict"));
    BP_CHECK(is(&admin, "POST", of_device(&a, "approve"), "{\"position\":\"=A1+K3\"}", 200, "") &&
             desk_last_event(&d) == BP_EV_POSITION_FILLED);
    BP_CHECK(is(&admin, "POST", of_device(&b, "approve"), "{\"position\":\"=A1+K3\"}", 409, "position-filled"));
    BP_CHECK(acts("POST", of_device(&b, "approve"), "{\"zone\":\"shelf\"}", 200, BP_EV_DEVICE_CLAIMED));
    struct reply r = desk_json(&d, &viewer, "GET", of_device(&a, ""), NULL);
    BP_CHECK(strcmp(desk_text(&r, "position"), "=A1+K3") == 0 && strcmp(desk_text(&r, "name"), "press") == 0 &&
             strcmp(desk_text(&r, "zone"), "line") == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/devices?q=a1%2Bk", NULL);
    BP_CHECK(json_array_size(json_object_get(r.json, "devices")) == 1);
    desk_done(&r);
    char hex[BP_DEVID_HEX];
    bp_devid_hex(b.id, hex);
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\"}", hex);
    BP_CHECK(is(&admin, "POST", "/api/v1/positions/=A1+K3/replace", body, 409, "not-a-spare"));
    BP_CHECK(desk_act(&d, make_active, &b) && desk_act(&d, make_affirming, &b));
    BP_CHECK(is(&admin, "POST", "/api/v1/positions/nowhere/replace", body, 404, "not-found"));
    BP_CHECK(is(&viewer, "POST", "/api/v1/positions/=A1+K3/replace", body, 403, "forbidden"));
    BP_CHECK(is(&admin, "POST", "/api/v1/positions/%3DA1%2BK3/replace", body, 200, "") &&
             desk_last_event(&d) == BP_EV_POSITION_FILLED);
    r = desk_json(&d, &viewer, "GET", of_device(&a, ""), NULL);
    BP_CHECK(strcmp(desk_text(&r, "position"), "") == 0 && strcmp(desk_text(&r, "state"), "retired") == 0);
    desk_done(&r);
    r = desk_json(&d, &admin, "GET", of_device(&a, "decommission"), NULL);
    BP_CHECK(strcmp(d.asked, "decommission") == 0); /* its end is one that a certificate is given for */
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/positions/=A1+K3", NULL);
    const json_t *by = json_object_get(r.json, "device");
    BP_CHECK(r.status == 200 && strcmp(json_string_value(json_object_get(by, "state")), "active") == 0 &&
             strcmp(json_string_value(json_object_get(by, "id")), hex) == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/positions?limit=1", NULL);
    BP_CHECK(json_array_size(json_object_get(r.json, "positions")) == 1);
    desk_done(&r);
    BP_CHECK(is(&viewer, "GET", "/api/v1/positions/nowhere", NULL, 404, "not-found"));
    end();
}

BP_CASE(a_succession_needs_another_administrator)
{
    struct bp_device a, b;
    char body[256], target[96], approve[112], digest[80], hex[BP_DEVID_HEX], cookie[65], csrf[65];
    BP_NEED(begin() && desk_device(&d, 1, &a) && desk_device(&d, 2, &b));
    BP_NEED(desk_sign_in(&d, BP_OPR_ADMIN, cookie, csrf));
    const struct asker other = {.cookie = cookie, .csrf = csrf};
    BP_NEED(is(&admin, "POST", of_device(&a, "approve"), "{\"zone\":\"line\",\"name\":\"press\"}", 200, "") &&
            is(&admin, "POST", of_device(&b, "approve"), "{\"zone\":\"line\"}", 200, ""));
    bp_devid_hex(b.id, hex);
    (void)snprintf(body, sizeof body, "{\"successor\":\"%s\",\"reason\":\"TPM reset\"}", hex);
    BP_CHECK(is(&admin, "POST", of_device(&a, "succeed"), body, 409, "not-a-spare"));
    BP_NEED(desk_act(&d, make_active, &b) && desk_act(&d, make_affirming, &b));
    BP_CHECK(is(&viewer, "POST", of_device(&a, "succeed"), body, 403, "forbidden"));
    struct reply r = desk_json(&d, &admin, "POST", of_device(&a, "succeed"), body);
    BP_CHECK(r.status == 201 && strcmp(desk_text(&r, "state"), "open") == 0 && desk_last_event(&d) == BP_EV_SUCCESSION_PROPOSED);
    (void)snprintf(target, sizeof target, "/api/v1/actions/%s", desk_text(&r, "id"));
    (void)snprintf(approve, sizeof approve, "%s/approve", target);
    (void)snprintf(digest, sizeof digest, "{\"digest\":\"%s\"}", desk_text(&r, "digest"));
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", target, NULL);
    BP_CHECK(r.status == 200 && strcmp(desk_text(&r, "author"), "") != 0 && strcmp(desk_text(&r, "decided_by"), "") == 0 &&
             strcmp(json_string_value(json_object_get(json_object_get(r.json, "successor"), "id")), hex) == 0);
    desk_done(&r);
    BP_CHECK(is(&admin, "POST", approve, digest, 403, "same-person"));
    BP_CHECK(is(&other, "POST", approve, "{\"digest\":\"00\"}", 422, "value"));
    BP_CHECK(is(&viewer, "POST", approve, digest, 403, "forbidden"));
    BP_CHECK(is(&other, "POST", "/api/v1/actions/00/approve", digest, 404, "not-found"));
    BP_CHECK(is(&other, "POST", approve, digest, 200, "") && desk_last_event(&d) == BP_EV_DEVICE_SUCCESSOR);
    BP_CHECK(is(&other, "POST", approve, digest, 409, "action-over"));
    r = desk_json(&d, &viewer, "GET", of_device(&b, ""), NULL);
    BP_CHECK(strcmp(desk_text(&r, "name"), "press") == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/actions?limit=5", NULL);
    BP_CHECK(json_array_size(json_object_get(r.json, "actions")) == 1 &&
             strcmp(json_string_value(json_object_get(json_array_get(json_object_get(r.json, "actions"), 0), "state")), "done") == 0);
    desk_done(&r);
    end();
}

static bp_result put_escrow(struct desk *x, void *arg)
{
    const struct bp_device *dev = arg;
    struct bp_escrow_row e = {.state = 1, .at_ms = 1000, .state_ms = 1000, .digest = {1}, .envelope = BP_SPAN_STR("one")};
    BP_TRY(bp_store_escrow_add(x->store, dev->n, &e));
    e = (struct bp_escrow_row){.state = 2, .at_ms = 2000, .state_ms = 2000, .digest = {2}, .envelope = BP_SPAN_STR("two")};
    return bp_store_escrow_add(x->store, dev->n, &e);
}

/* Only administrators fetch what is sealed, and each time is in the log. */
BP_CASE(escrows_are_for_administrators)
{
    struct bp_device a;
    BP_NEED(begin() && desk_device(&d, 1, &a));
    BP_CHECK(is(&admin, "GET", of_device(&a, "escrow"), NULL, 404, "not-found"));
    struct reply r = desk_json(&d, &viewer, "GET", of_device(&a, ""), NULL);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_object_get(r.json, "lockout"), "state")), "none") == 0);
    desk_done(&r);
    BP_CHECK(desk_act(&d, put_escrow, &a));
    const uint64_t size = d.log.size;
    BP_CHECK(is(&viewer, "GET", of_device(&a, "escrow"), NULL, 403, "forbidden") && d.log.size == size);
    r = desk_json(&d, &admin, "GET", of_device(&a, "escrow"), NULL);
    const json_t *list = json_object_get(r.json, "escrows");
    BP_CHECK(r.status == 200 && json_array_size(list) == 2 && d.log.size == size + 1 &&
             desk_last_event(&d) == BP_EV_ESCROW_READ);
    const json_t *first = json_array_get(list, 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(first, "state")), "set") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(first, "envelope")), "dHdv") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_array_get(list, 1), "state")), "sealed") == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", of_device(&a, ""), NULL);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_object_get(r.json, "lockout"), "state")), "set") == 0);
    BP_CHECK(strstr(r.body, "dHdv") == NULL);
    desk_done(&r);
    end();
}

BP_CASE(settings_and_policy_are_events)
{
    static const char policy[] = "{\"version\":2,\"zone\":\"*\",\"rules\":[{\"name\":\"a\",\"when\":\"tier = 2\",\"verdict\":\"permit\",\"actions\":[\"alert\"],\"reason\":\"r\"}]}";
    BP_NEED(begin());
    BP_CHECK(acts("PUT", "/api/v1/brownfield", "{\"enabled\":true}", 200, BP_EV_SETTING_CHANGED) && d.effects.settings);
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/brownfield", NULL);
    BP_CHECK(json_is_true(json_object_get(r.json, "enabled")));
    desk_done(&r);
    BP_CHECK(acts("PUT", "/api/v1/policy", policy, 200, BP_EV_POLICY_PUBLISHED) && d.effects.policy);
    BP_CHECK(is(&admin, "PUT", "/api/v1/policy", policy, 409, "outdated") && desk_last_event(&d) == BP_EV_POLICY_REFUSED);
    r = desk_json(&d, &viewer, "GET", "/api/v1/policy", NULL);
    const json_t *rule = json_array_get(json_object_get(r.json, "rules"), 0);
    BP_CHECK(json_integer_value(json_object_get(r.json, "version")) == 2 && strlen(desk_text(&r, "digest")) == 64);
    BP_CHECK(strcmp(json_string_value(json_object_get(rule, "when")), "tier = 2") == 0);
    BP_CHECK(strcmp(json_string_value(json_array_get(json_object_get(rule, "actions"), 0)), "alert") == 0);
    desk_done(&r);
    BP_CHECK(acts("POST", "/api/v1/codes", "{\"role\":\"admin\"}", 201, BP_EV_CODE_MADE));
    end();
}

/* -- releases ---------------------------------------------------------------------------------- */
static size_t make_release(struct bp_key *key, const char *version, const char *model, const char *ref_model, uint8_t *ret, size_t cap)
{
    static uint8_t corim[4096], payload[8192], scratch[16384];
    uint8_t digest[32] = {1};
    uint8_t kid[32];
    uint8_t mkey[BP_CORIM_MKEY_MAX];
    const struct bp_ref_key k = {.kind = BP_REF_BOOT, .pcr = 4, .required = true};
    const struct bp_corim_ref ref = {.model = bp_span_cstr(ref_model), .mkey = bp_ref_key_write(&k, mkey), .digests = 1,
                                     .digest = {{BP_CORIM_ALG_SHA256, BP_SPAN_OF(digest)}}, .name = BP_SPAN_STR("kernel")};
    size_t n = 0;
    size_t m = 0;
    if (bp_failed(bp_corim_write(BP_SPAN_STR("r"), BP_SPAN_STR("maker"), bp_span_cstr(ref_model), &ref, 1, corim, sizeof corim, &n))) {
        return 0;
    }
    const struct bp_release rel = {.product = BP_SPAN_STR("gateway"), .model = bp_span_cstr(model), .version = bp_span_cstr(version),
                                   .counter = 1, .key_epoch = 1, .created_ms = 1700000000000, .images = 1,
                                   .image = {{BP_SPAN_STR("image"), BP_SPAN_OF(digest), 10}}, .corim = bp_span_of(corim, n)};
    if (bp_failed(bp_release_write(&rel, payload, sizeof payload, &m)) || bp_failed(bp_hash(d.crypto, BP_HASH_SHA256, bp_key_spki(key), kid))) {
        return 0;
    }
    const struct bp_signer signer = bp_key_signer(key);
    const struct bp_cose_header h = {.content_type = BP_SPAN_STR(BP_RELEASE_CONTENT), .kid = BP_SPAN_OF(kid)};
    if (bp_failed(bp_cose_sign1_write(&signer, &h, bp_span_of(payload, m), BP_SPAN_EMPTY, scratch, sizeof scratch, ret, cap, &n))) {
        return 0;
    }
    return n;
}

static struct reply import(const char *target, const uint8_t *p, size_t n)
{
    return desk_ask(&d, &admin, "POST", target, "application/cose", (const char *)p, n);
}

static bool import_is(const char *target, const uint8_t *p, size_t n, unsigned status, const char *code, char *ret_id)
{
    struct reply r = import(target, p, n);
    const bool ok = r.status == status && strcmp(desk_problem(&r), code) == 0;
    if (!ok) {
        printf("# %u %s\n", r.status, r.body == NULL ? "" : r.body);
    }
    if (ret_id != NULL) {
        (void)snprintf(ret_id, 65, "%s", desk_text(&r, "id"));
    }
    desk_done(&r);
    return ok;
}

BP_CASE(releases_by_a_pinned_key)
{
    static uint8_t one[16384], two[16384], other[16384];
    struct bp_key *key = NULL;
    struct bp_key *foreign = NULL;
    char with_key[2 * BP_SPKI_MAX + 64] = "/api/v1/releases?key=";
    char id[65];
    char target[160];
    BP_NEED(begin());
    BP_NEED(!bp_failed(bp_key_make(BP_KEY_P256, &key)) && !bp_failed(bp_key_make(BP_KEY_P256, &foreign)));
    const bp_span spki = bp_key_spki(key);
    for (size_t i = 0; i < spki.n; i++) {
        (void)snprintf(with_key + strlen(with_key), 3, "%02x", spki.p[i]);
    }
    const size_t n = make_release(key, "1.0", "m1", "m1", one, sizeof one);
    const size_t m = make_release(key, "1.1", "m1", "m1", two, sizeof two);
    size_t k = make_release(foreign, "1.2", "m1", "m1", other, sizeof other);
    BP_NEED(n > 0 && m > 0 && k > 0);
    BP_CHECK(import_is("/api/v1/releases", one, n, 412, "precondition", NULL) && desk_last_event(&d) == BP_EV_RELEASE_REFUSED);
    one[n - 1] ^= 1;
    BP_CHECK(import_is(with_key, one, n, 400, "bad-signature", NULL));
    one[n - 1] ^= 1;
    BP_CHECK(import_is(with_key, one, n, 201, "", id) && desk_last_event(&d) == BP_EV_RELEASE_IMPORTED && strlen(id) == 64);
    BP_CHECK(import_is(with_key, one, n, 409, "conflict", NULL));
    BP_CHECK(import_is("/api/v1/releases", two, m, 201, "", NULL));
    BP_CHECK(import_is("/api/v1/releases", other, k, 400, "bad-signature", NULL));
    k = make_release(key, "1.3", "m1", "m2", other, sizeof other);
    BP_CHECK(k > 0 && import_is("/api/v1/releases", other, k, 422, "value", NULL));
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s/deprecate", id);
    BP_CHECK(is(&admin, "POST", target, "{\"reason\":\"r\"}", 409, "wrong-state"));
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s/accept", id);
    d.effects.references = false;
    BP_CHECK(acts("POST", target, "{\"zone\":\"line\"}", 200, BP_EV_RELEASE_ACCEPTED) && d.effects.references);
    BP_CHECK(is(&admin, "POST", target, "{\"zone\":\"line\"}", 409, "wrong-state"));
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s/deprecate", id);
    BP_CHECK(acts("POST", target, "{\"zone\":\"line\",\"reason\":\"old\"}", 200, BP_EV_RELEASE_DEPRECATED));
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s/withdraw", id);
    BP_CHECK(is(&admin, "POST", target, "{\"zone\":\"line\"}", 422, "value"));
    BP_CHECK(acts("POST", target, "{\"zone\":\"line\",\"reason\":\"hole\"}", 200, BP_EV_RELEASE_WITHDRAWN));
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s/accept", id);
    BP_CHECK(is(&admin, "POST", target, "{\"zone\":\"line\"}", 409, "wrong-state"));
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/releases?limit=1", NULL);
    const json_t *first = json_array_get(json_object_get(r.json, "releases"), 0);
    BP_CHECK(json_array_size(json_object_get(r.json, "releases")) == 1 && strcmp(json_string_value(json_object_get(first, "version")), "1.1") == 0);
    (void)snprintf(target, sizeof target, "/api/v1/releases?limit=1&after=%s", desk_text(&r, "next"));
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", target, NULL);
    first = json_array_get(json_object_get(r.json, "releases"), 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(first, "id")), id) == 0);
    const json_t *acc = json_array_get(json_object_get(first, "acceptances"), 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(acc, "state")), "withdrawn") == 0);
    desk_done(&r);
    (void)snprintf(target, sizeof target, "/api/v1/releases/%s", id);
    r = desk_json(&d, &viewer, "GET", target, NULL);
    BP_CHECK(json_array_size(json_object_get(r.json, "images")) == 1 && strlen(desk_text(&r, "signer")) == 64);
    desk_done(&r);
    bp_key_free(key);
    bp_key_free(foreign);
    end();
}

/* -- reading ----------------------------------------------------------------------------------- */
static size_t list_of(const char *target, const char *name, char *next, size_t cap)
{
    struct reply r = desk_json(&d, &viewer, "GET", target, NULL);
    const size_t n = r.status == 200 ? json_array_size(json_object_get(r.json, name)) : 999;
    if (r.status != 200) {
        printf("# %s: %s\n", target, r.body);
    }
    if (next != NULL) {
        (void)snprintf(next, cap, "%s", desk_text(&r, "next"));
    }
    desk_done(&r);
    return n;
}

static bp_result set_trust(struct desk *x, void *arg)
{
    const struct bp_device *dev = arg;
    struct bp_trust t = {.seq = 1, .as_of_ms = x->now_ms - 500, .heard_ms = x->now_ms, .due_ms = x->now_ms + 60000,
                         .tier = dev->id[1] % 2 == 0 ? 2 : 96, .silent = dev->id[1] == 4, .reason = "as it should be"};
    return bp_store_trust_set(x->store, dev->n, &t);
}

BP_CASE(devices_are_listed)
{
    char next[96];
    char target[160];
    BP_NEED(begin());
    for (uint8_t i = 1; i <= 7; i++) {
        struct bp_device dev;
        char body[80];
        BP_NEED(desk_device(&d, i, &dev));
        if (i <= 5) {
            (void)snprintf(body, sizeof body, "{\"zone\":\"%s\",\"model\":\"m%d\",\"name\":\"Press-%d\"}", i <= 3 ? "a" : "b", i % 2, i);
            BP_CHECK(is(&admin, "POST", of_device(&dev, "approve"), body, 200, ""));
            BP_CHECK(desk_act(&d, set_trust, &dev));
        }
    }
    BP_CHECK(list_of("/api/v1/devices", "devices", next, sizeof next) == 7 && next[0] == 0);
    BP_CHECK(list_of("/api/v1/devices?limit=3", "devices", next, sizeof next) == 3 && next[0] != 0);
    (void)snprintf(target, sizeof target, "/api/v1/devices?limit=4&after=%s", next);
    BP_CHECK(list_of(target, "devices", next, sizeof next) == 4 && next[0] == 0);
    BP_CHECK(list_of("/api/v1/devices?state=waiting", "devices", NULL, 0) == 2);
    BP_CHECK(list_of("/api/v1/devices?state=claimed&zone=a", "devices", NULL, 0) == 3);
    BP_CHECK(list_of("/api/v1/devices?zone=b", "devices", NULL, 0) == 2);
    BP_CHECK(list_of("/api/v1/devices?model=m1", "devices", NULL, 0) == 3);
    BP_CHECK(list_of("/api/v1/devices?trust=contraindicated", "devices", NULL, 0) == 3);
    BP_CHECK(list_of("/api/v1/devices?trust=affirming", "devices", NULL, 0) == 1);
    BP_CHECK(list_of("/api/v1/devices?trust=silent", "devices", NULL, 0) == 1);
    BP_CHECK(list_of("/api/v1/devices?trust=warning", "devices", NULL, 0) == 0);
    BP_CHECK(list_of("/api/v1/devices?q=press", "devices", NULL, 0) == 5);
    BP_CHECK(list_of("/api/v1/devices?q=PRESS-3", "devices", NULL, 0) == 1); /* also a short form, of nobody */
    BP_CHECK(list_of("/api/v1/devices?q=press-1", "devices", NULL, 0) == 1);
    BP_CHECK(list_of("/api/v1/devices?q=01030000", "devices", NULL, 0) == 1);
    BP_CHECK(list_of("/api/v1/devices?q=0103000001", "devices", NULL, 0) == 0);
    /* The short form of id 01 03 00..: the first hash byte is 03, 00000 011.. */
    BP_CHECK(list_of("/api/v1/devices?q=AMAAA-", "devices", NULL, 0) == 1);
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/overview", NULL);
    const json_t *dev = json_object_get(r.json, "devices");
    BP_CHECK(json_integer_value(json_object_get(dev, "total")) == 7);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(dev, "state"), "claimed")) == 5);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(dev, "trust"), "contraindicated")) == 3);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(dev, "trust"), "affirming")) == 1);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(dev, "trust"), "silent")) == 1);
    BP_CHECK(json_array_size(json_object_get(r.json, "zones")) == 2);
    desk_done(&r);
    end();
}

/* Services, the outage tolerance and the window of renewal: who may set them, and to what. */
BP_CASE(services_and_their_times)
{
    static const struct {
        const char *body;
        unsigned status;
        const char *code;
    } adding[] = {{"{\"name\":\"historian\",\"profile\":\"app-client\"}", 201, ""},
                  {"{\"name\":\"historian\",\"profile\":\"opcua\"}", 409, "conflict"},
                  {"{\"name\":\"web\",\"profile\":\"app-server\",\"zone\":\"north\"}", 201, ""},
                  {"{\"name\":\"a b\",\"profile\":\"opcua\"}", 422, "value"},
                  {"{\"name\":\"-a\",\"profile\":\"opcua\"}", 422, "value"},
                  {"{\"name\":\"x\",\"profile\":\"management\"}", 422, "value"},
                  {"{\"name\":\"x\",\"profile\":\"operator\"}", 422, "value"}};
    BP_NEED(begin());
    BP_CHECK(is(&viewer, "POST", "/api/v1/services", adding[0].body, 403, "forbidden"));
    for (size_t i = 0; i < sizeof adding / sizeof adding[0]; i++) {
        BP_CHECK(is(&admin, "POST", "/api/v1/services", adding[i].body, adding[i].status, adding[i].code));
    }
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/services", NULL);
    const json_t *list = json_object_get(r.json, "services");
    BP_CHECK(json_array_size(list) == 2);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_array_get(list, 0), "name")), "historian") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_array_get(list, 0), "zone")), "*") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_array_get(list, 1), "zone")), "north") == 0);
    desk_done(&r);
    BP_CHECK(is(&admin, "DELETE", "/api/v1/services/web", NULL, 200, ""));
    BP_CHECK(is(&admin, "DELETE", "/api/v1/services/web", NULL, 404, "not-found"));
    BP_CHECK(is(&viewer, "DELETE", "/api/v1/services/historian", NULL, 403, "forbidden"));
    BP_CHECK(is(&viewer, "PUT", "/api/v1/outage-tolerance", "{\"seconds\":86400}", 403, "forbidden"));
    BP_CHECK(is(&admin, "PUT", "/api/v1/outage-tolerance", "{\"seconds\":86400}", 200, ""));
    BP_CHECK(is(&admin, "PUT", "/api/v1/outage-tolerance", "{\"seconds\":59}", 422, "value"));
    BP_CHECK(is(&admin, "PUT", "/api/v1/outage-tolerance", "{\"seconds\":15552001}", 422, "value"));
    r = desk_json(&d, &viewer, "GET", "/api/v1/outage-tolerance", NULL);
    BP_CHECK(json_integer_value(json_object_get(r.json, "seconds")) == 86400);
    desk_done(&r);
    BP_CHECK(is(&viewer, "PUT", "/api/v1/renewal-window", "{\"from\":20,\"until\":40}", 403, "forbidden"));
    BP_CHECK(is(&admin, "PUT", "/api/v1/renewal-window", "{\"from\":20,\"until\":40}", 200, ""));
    BP_CHECK(is(&admin, "PUT", "/api/v1/renewal-window", "{\"from\":40,\"until\":20}", 422, "value"));
    BP_CHECK(is(&admin, "PUT", "/api/v1/renewal-window", "{\"from\":0,\"until\":91}", 422, "value"));
    BP_CHECK(is(&admin, "PUT", "/api/v1/renewal-window", "{\"from\":-1,\"until\":9}", 422, "value"));
    r = desk_json(&d, &viewer, "GET", "/api/v1/renewal-window", NULL);
    BP_CHECK(json_integer_value(json_object_get(r.json, "from")) == 20 && json_integer_value(json_object_get(r.json, "until")) == 40);
    desk_done(&r);
    end();
}

BP_CASE(counts_follow_every_change)
{
    struct bp_device dev;
    BP_NEED(begin());
    BP_NEED(desk_device(&d, 2, &dev));
    BP_CHECK(is(&admin, "POST", of_device(&dev, "approve"), "{\"zone\":\"a\"}", 200, ""));
    BP_CHECK(desk_act(&d, set_trust, &dev));
    BP_CHECK(is(&admin, "POST", of_device(&dev, "revoke"), "{\"reason\":\"r\"}", 200, ""));
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/overview", NULL);
    const json_t *devices = json_object_get(r.json, "devices");
    BP_CHECK(json_integer_value(json_object_get(devices, "total")) == 1);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(devices, "state"), "revoked")) == 1);
    BP_CHECK(json_integer_value(json_object_get(json_object_get(devices, "trust"), "affirming")) == 0);
    desk_done(&r);
    BP_CHECK(list_of("/api/v1/devices?trust=affirming", "devices", NULL, 0) == 0); /* off is not green */
    end();
}

BP_CASE(one_device)
{
    struct bp_device dev;
    BP_NEED(begin());
    BP_NEED(desk_device(&d, 9, &dev));
    struct reply r = desk_json(&d, &viewer, "GET", of_device(&dev, ""), NULL);
    BP_CHECK(r.status == 200 && strcmp(desk_text(&r, "state"), "waiting") == 0 && strcmp(desk_text(&r, "trust"), "none") == 0);
    BP_CHECK(strcmp(desk_text(&r, "root_class"), "virtual") == 0 && strlen(desk_text(&r, "short")) == 23);
    BP_CHECK(json_array_size(json_object_get(r.json, "chain")) == 8);
    BP_CHECK(json_is_null(json_object_get(r.json, "certificate")) && json_is_null(json_object_get(r.json, "quarantine")));
    BP_CHECK(json_array_size(json_object_get(r.json, "keys")) == 2);
    BP_CHECK(strcmp(json_string_value(json_object_get(json_object_get(r.json, "info"), "m")), "x") == 0);
    BP_CHECK(strstr(json_string_value(json_object_get(json_object_get(r.json, "root"), "does_not_prove")), "hardware") != NULL);
    desk_done(&r);
    BP_CHECK(list_of(of_device(&dev, "verdicts"), "verdicts", NULL, 0) == 0);
    BP_CHECK(is(&viewer, "GET", of_device(&dev, "bundle"), NULL, 404, "not-found"));
    end();
}

BP_CASE(events_are_listed)
{
    char next[32];
    char target[96];
    struct bp_device dev;
    BP_NEED(begin()); /* two codes, two operators, two sign-ins */
    BP_NEED(desk_device(&d, 3, &dev));
    BP_CHECK(list_of("/api/v1/events", "events", next, sizeof next) == 7 && next[0] == 0);
    BP_CHECK(list_of("/api/v1/events?limit=2", "events", next, sizeof next) == 2 && strcmp(next, "5") == 0);
    (void)snprintf(target, sizeof target, "/api/v1/events?limit=2&before=%s", next);
    BP_CHECK(list_of(target, "events", next, sizeof next) == 2 && strcmp(next, "3") == 0);
    BP_CHECK(list_of("/api/v1/events?after=4", "events", NULL, 0) == 2);
    BP_CHECK(list_of("/api/v1/events?type=signed-in", "events", NULL, 0) == 2);
    char hex[BP_DEVID_HEX];
    bp_devid_hex(dev.id, hex);
    (void)snprintf(target, sizeof target, "/api/v1/events?device=%s", hex);
    BP_CHECK(list_of(target, "events", NULL, 0) == 1);
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/events/6", NULL);
    BP_CHECK(strcmp(desk_text(&r, "device"), hex) == 0 && strcmp(desk_text(&r, "type"), "device-waiting") == 0);
    BP_CHECK(strcmp(desk_text(&r, "severity"), "notice") == 0 && strlen(desk_text(&r, "pseudonym")) == 32);
    BP_CHECK(strcmp(desk_text(&r, "time"), "2027-01-15T08:00:00.000Z") == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/events/0", NULL);
    BP_CHECK(strcmp(desk_text(&r, "text"), "init made a one-time code for admin") == 0);
    desk_done(&r);
    BP_CHECK(is(&viewer, "GET", "/api/v1/events/7", NULL, 404, "not-found"));
    BP_CHECK(is(&viewer, "GET", "/api/v1/events/x", NULL, 404, "not-found"));
    end();
}

static bp_result sign_tree(struct desk *x, void *arg)
{
    (void)arg;
    return bp_store_tree_signed(x->store, 5, BP_SPAN_STR("origin\n5\nroot\n\nsig\n"));
}

BP_CASE(proofs_verify)
{
    uint8_t root[32];
    uint8_t leaf[32];
    uint8_t hashes[BP_MERKLE_MAX_PROOF * 32];
    BP_NEED(begin());
    BP_CHECK(is(&viewer, "GET", "/api/v1/events/2/proof", NULL, 409, "wrong-state"));
    BP_CHECK(is(&viewer, "GET", "/api/v1/log/checkpoint", NULL, 404, "not-found"));
    BP_NEED(desk_act(&d, sign_tree, NULL));
    struct reply r = desk_json(&d, &viewer, "GET", "/api/v1/events/2/proof", NULL);
    const json_t *list = json_object_get(r.json, "proof");
    BP_NEED(r.status == 200 && json_array_size(list) <= BP_MERKLE_MAX_PROOF);
    for (size_t i = 0; i < json_array_size(list); i++) {
        BP_CHECK(bp_api_unhex(bp_span_cstr(json_string_value(json_array_get(list, i))), hashes + 32 * i, 32));
    }
    BP_CHECK(bp_api_unhex(bp_span_cstr(desk_text(&r, "leaf")), leaf, 32));
    BP_CHECK(!bp_failed(bp_log_root(d.store, d.crypto, 5, root)));
    BP_CHECK(!bp_failed(bp_merkle_verify_inclusion(d.crypto, 2, 5, leaf, bp_span_of(hashes, 32 * json_array_size(list)), root)));
    desk_done(&r);
    BP_CHECK(is(&viewer, "GET", "/api/v1/events/5/proof", NULL, 409, "wrong-state"));
    r = desk_json(&d, &viewer, "GET", "/api/v1/log/checkpoint", NULL);
    BP_CHECK(r.status == 200 && strncmp(r.body, "origin\n5\n", 9) == 0 && strncmp(r.type, "text/plain", 10) == 0);
    desk_done(&r);
    r = desk_json(&d, &viewer, "GET", "/api/v1/log/tile/0/000.p/5", NULL);
    BP_CHECK(r.status == 200 && r.body_n == 5 * 32 && memcmp(r.body + 64, leaf, 32) == 0);
    desk_done(&r);
    static const char *const none[] = {"0/000", "0/000.p/6", "0/000.p/0", "0/000.p/256", "0/00", "0/0000", "0/x000", "0/001.p/1", "9/000", "a/000", "0/000.p/", "0/000.q/5"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        char target[64];
        (void)snprintf(target, sizeof target, "/api/v1/log/tile/%s", none[i]);
        BP_CHECK(is(&viewer, "GET", target, NULL, 404, "not-found"));
    }
    end();
}

BP_CASE(stream_text)
{
    char text[BP_API_STREAM_MAX];
    size_t n = 0;
    const struct bp_event e = {.number = 9, .time_ms = 1800000000000, .type = BP_EV_DEVICE_SILENT, .actor = BP_SPAN_STR("keeper"),
                               .device = BP_SPAN_STR("PSEUDONYM"), .detail_count = 1,
                               .detail = {{BP_SPAN_STR("since"), BP_VAL_INT, 1800000000000, BP_SPAN_EMPTY}}};
    const struct bp_place place = {.zone = "line"};
    BP_CHECK(!bp_failed(bp_api_stream_text(&e, &place, text, sizeof text, &n)));
    json_t *j = json_loadb(text, n, 0, NULL);
    BP_NEED(j != NULL);
    BP_CHECK(json_integer_value(json_object_get(j, "number")) == 9);
    BP_CHECK(strcmp(json_string_value(json_object_get(j, "type")), "device-silent") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(j, "zone")), "line") == 0);
    BP_CHECK(strcmp(json_string_value(json_object_get(j, "text")), "Nothing was heard from the device since 2027-01-15T08:00:00.000Z") == 0);
    json_decref(j);
    BP_CHECK(bp_is(bp_api_stream_text(&e, NULL, text, 10, &n), BP_E_NO_SPACE));
}

BP_CASE(times)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{1, "1970-01-01T00:00:00.001Z"}, {951782400000, "2000-02-29T00:00:00.000Z"}, {1709251199999, "2024-02-29T23:59:59.999Z"},
                {4107542400000, "2100-03-01T00:00:00.000Z"}, {253402300799999, "9999-12-31T23:59:59.999Z"}, {INT64_MAX, "9999-12-31T23:59:59.999Z"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        bp_api_time_text(rows[i].ms, text);
        BP_CHECK(strcmp(text, rows[i].text) == 0);
    }
}

BP_SUITE(api, BP_TABLE(every_route) BP_RUN(unknown_addresses) BP_TABLE(refused_bodies) BP_RUN(body_too_large)
                  BP_TABLE(refused_queries) BP_RUN(a_code_serves_once) BP_RUN(a_code_runs_out)
                      BP_RUN(a_code_of_a_name_is_for_that_name) BP_RUN(attempts_are_limited) BP_RUN(sessions_end)
                          BP_RUN(a_session_lasts_eight_hours) BP_RUN(signing_out_ends_the_session)
                              BP_RUN(a_retired_device_has_a_certificate_and_may_be_let_back)
    BP_RUN(acts_on_devices_are_events) BP_RUN(positions_are_made_filled_and_moved_to_a_spare)
                                  BP_RUN(a_succession_needs_another_administrator)
                                  BP_RUN(escrows_are_for_administrators) BP_RUN(settings_and_policy_are_events)
                                  BP_RUN(releases_by_a_pinned_key) BP_RUN(devices_are_listed)
                                      BP_RUN(services_and_their_times) BP_RUN(counts_follow_every_change) BP_RUN(one_device) BP_RUN(events_are_listed)
                                          BP_RUN(proofs_verify) BP_RUN(stream_text) BP_RUN(times))
