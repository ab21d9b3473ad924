/* SPDX-License-Identifier: Apache-2.0 */
/* People: cookies as browsers send them, certificates through the signer, roles, names, sources of attempts. */
#include "harness.h"

#include "codec/base64.h"
#include "codec/est.h"
#include "desk.h"
#include "pki/x509.h"
#include "fleet/ipc/message.h"

static struct desk d;
static char cookie[65], csrf[65];
static const struct asker nobody;

static bool begin(void)
{
    return desk_open(&d) && desk_sign_in(&d, BP_OPR_ADMIN, cookie, csrf);
}

/* -- the Cookie header ------------------------------------------------------------------------- */
static bool identified(const char *format)
{
    char header[512];
    struct bp_identity id;
    enum bp_problem p = BP_P_NONE;
    size_t n = 0;
    for (const char *s = format; *s != 0; s++) {
        if (*s == '%') {
            n += (size_t)snprintf(header + n, sizeof header - n, "%s", cookie);
        } else {
            header[n++] = *s;
            header[n] = 0;
        }
    }
    const bp_result r = bp_operators_identify(d.store, d.crypto, d.now_ms, bp_span_of(header, n), BP_SPAN_EMPTY, &id, &p);
    BP_CHECK(!bp_failed(r) || p == BP_P_NOT_SIGNED_IN);
    return !bp_failed(r);
}

BP_CASE(cookie_headers)
{
    BP_NEED(begin());
    BP_CHECK(identified("__Host-bedplate=%"));
    BP_CHECK(identified("a=b; __Host-bedplate=%; c=d"));
    BP_CHECK(identified("a=b;__Host-bedplate=%"));
    BP_CHECK(!identified(""));
    BP_CHECK(!identified(";"));
    BP_CHECK(!identified("__Host-bedplate="));
    BP_CHECK(!identified("__Host-bedplate"));
    BP_CHECK(!identified("__Host-bedplate=%0"));
    BP_CHECK(!identified("__Host-bedplate= %"));
    BP_CHECK(!identified("__Host-Bedplate=%"));
    BP_CHECK(!identified("x__Host-bedplate=%"));
    BP_CHECK(!identified("x=__Host-bedplate=%"));
    BP_CHECK(!identified("__Host-bedplate=%; __Host-bedplate=%")); /* twice: somebody put one there */
    cookie[0] = cookie[0] == 'a' ? 'b' : 'a';
    BP_CHECK(!identified("__Host-bedplate=%"));
    desk_close(&d);
}

BP_CASE(names_and_roles)
{
    BP_CHECK(bp_operators_name_ok(BP_SPAN_STR("Anna M\xc3\xbcller")));
    BP_CHECK(!bp_operators_name_ok(BP_SPAN_EMPTY) && !bp_operators_name_ok(BP_SPAN_STR("a\nb")) && !bp_operators_name_ok(BP_SPAN_STR("a\x7f")));
    BP_CHECK(bp_role_of_name(BP_SPAN_STR("admin")) == BP_OPR_ADMIN && bp_role_of_name(BP_SPAN_STR("viewer")) == BP_OPR_VIEWER);
    BP_CHECK(bp_role_of_name(BP_SPAN_STR("Admin")) == BP_OPR_NONE && bp_role_of_name(BP_SPAN_EMPTY) == BP_OPR_NONE);
    BP_CHECK(strcmp(bp_role_name(BP_OPR_ADMIN), "admin") == 0 && bp_role_name(BP_OPR_NONE)[0] == 0);
}

BP_CASE(many_sources_stay_within_the_table)
{
    static struct bp_attempts a;
    uint32_t wait = 0;
    BP_NEED(begin());
    for (uint32_t i = 0; i < 4 * BP_OPERATOR_SOURCES; i++) {
        for (unsigned k = 0; k < BP_OPERATOR_ATTEMPTS; k++) {
            bp_attempts_refused(&a, d.crypto, bp_span_of(&i, sizeof i), d.now_ms + i);
        }
        BP_CHECK(!bp_attempts_may(&a, d.crypto, bp_span_of(&i, sizeof i), d.now_ms + i, &wait) && wait > 0 && wait <= 601);
    }
    const uint32_t fresh = 0xffffffffu;
    BP_CHECK(bp_attempts_may(&a, d.crypto, bp_span_of(&fresh, sizeof fresh), d.now_ms, &wait));
    desk_close(&d);
}

/* -- certificates ------------------------------------------------------------------------------ */
static struct bp_key *key;
static char pem[4096];
static uint8_t cert[BP_CERT_MAX];
static uint8_t answer[BP_CERT_MAX + 16];
static uint8_t spki_hash[32];

static bool make_csr(void)
{
    uint8_t info[1024], raw[64], der[1200], text[2048];
    uint8_t digest[32];
    size_t n = 0;
    size_t m = 0;
    if (bp_failed(bp_est_info_write(BP_SPAN_STR("ann"), bp_key_spki(key), info, sizeof info, &n)) ||
        bp_failed(bp_hash(d.crypto, BP_HASH_SHA256, bp_span_of(info, n), digest)) || bp_failed(bp_key_sign_digest(key, BP_SPAN_OF(digest), raw)) ||
        bp_failed(bp_est_request_write(bp_span_of(info, n), BP_SPAN_OF(raw), der, sizeof der, &m))) {
        return false;
    }
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, bp_span_of(der, m));
    size_t at = (size_t)snprintf(pem, sizeof pem, "-----BEGIN CERTIFICATE REQUEST-----\\n");
    for (size_t i = 0; i < wr.n; i += 64) {
        at += (size_t)snprintf(pem + at, sizeof pem - at, "%.*s\\n", wr.n - i < 64 ? (int)(wr.n - i) : 64, (const char *)text + i);
    }
    (void)snprintf(pem + at, sizeof pem - at, "-----END CERTIFICATE REQUEST-----\\n");
    return !bp_failed(bp_hash(d.crypto, BP_HASH_SHA256, bp_key_spki(key), spki_hash));
}

/* What the signer would issue for a key. */
static bool make_cert(const struct bp_key *of)
{
    size_t n = 0;
    size_t m = 0;
    const struct bp_issuer self = {.signer = bp_key_signer(key)};
    const struct bp_cert_request q = {.profile = BP_CERT_ROOT, .spki = bp_key_spki(of), .common_name = BP_SPAN_STR("ann"),
                                      .not_before_ms = d.now_ms, .not_after_ms = d.now_ms + 86400000};
    if (bp_failed(bp_cert_issue(d.crypto, &d.entropy, &self, &q, cert, sizeof cert, &n)) ||
        bp_failed(bp_msg_bytes_write(bp_span_of(cert, n), answer, sizeof answer, &m))) {
        return false;
    }
    d.signer_answer = bp_span_of(answer, m);
    return true;
}

static bool code_for(const char *role, char ret[64])
{
    const struct asker admin = {.cookie = cookie, .csrf = csrf};
    char body[64];
    (void)snprintf(body, sizeof body, "{\"role\":\"%s\"}", role);
    struct reply r = desk_json(&d, &admin, "POST", "/api/v1/codes", body);
    const bool ok = r.status == 201;
    (void)snprintf(ret, 64, "%s", desk_text(&r, "code"));
    desk_done(&r);
    return ok;
}

static struct reply login(const char *code, const char *csr, const char *name)
{
    static char body[8192];
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\",\"csr\":\"%s\",\"name\":\"%s\"}", code, csr, name);
    return desk_json(&d, &nobody, "POST", "/api/v1/operators", body);
}

static bool login_is(const char *code, const char *csr, const char *name, unsigned status, const char *problem)
{
    struct reply r = login(code, csr, name);
    const bool ok = r.status == status && strcmp(desk_problem(&r), problem) == 0;
    if (!ok) {
        printf("# %u %s\n", r.status, r.body == NULL ? "" : r.body);
    }
    desk_done(&r);
    return ok;
}

static bool stage(void)
{
    return begin() && !bp_failed(bp_key_make(BP_KEY_P256, &key)) && make_csr() && make_cert(key);
}

static void leave(void)
{
    bp_key_free(key);
    desk_close(&d);
}

BP_CASE(a_certificate_signs_in)
{
    char code[64];
    BP_NEED(stage() && code_for("admin", code));
    struct reply r = login(code, pem, "ann");
    BP_CHECK(r.status == 201 && strcmp(d.asked, "issue-operator") == 0 && strcmp(desk_text(&r, "role"), "admin") == 0);
    BP_CHECK(strncmp(desk_text(&r, "certificate"), "-----BEGIN CERTIFICATE-----\n", 28) == 0);
    BP_CHECK(json_array_size(json_object_get(r.json, "chain")) == 2);
    desk_done(&r);
    BP_CHECK(desk_last_event(&d) == BP_EV_OPERATOR_CERTIFICATE);
    const struct asker ann = {.issuer = "operator", .spki = BP_SPAN_OF(spki_hash)};
    r = desk_json(&d, &ann, "GET", "/api/v1/session", NULL);
    BP_CHECK(r.status == 200 && strcmp(desk_text(&r, "operator"), "ann") == 0 && json_is_null(json_object_get(r.json, "csrf")));
    desk_done(&r);
    r = desk_json(&d, &ann, "POST", "/api/v1/codes", "{\"role\":\"viewer\"}"); /* no CSRF token with a certificate */
    BP_CHECK(r.status == 201);
    desk_done(&r);
    const struct asker other = {.issuer = "device", .spki = BP_SPAN_OF(spki_hash)};
    r = desk_json(&d, &other, "GET", "/api/v1/session", NULL);
    BP_CHECK(r.status == 403 && strcmp(desk_problem(&r), "wrong-issuer") == 0);
    desk_done(&r);
    BP_CHECK(login_is(code, pem, "ann", 401, "bad-code"));
    BP_CHECK(code_for("admin", code) && login_is(code, pem, "bob", 403, "key-in-use"));
    leave();
}

BP_CASE(without_the_signer_the_code_serves_again)
{
    char code[64];
    BP_NEED(stage() && code_for("viewer", code));
    d.signer_status = BP_P_UNAVAILABLE;
    BP_CHECK(login_is(code, pem, "ann", 503, "unavailable"));
    d.signer_status = 0;
    BP_CHECK(login_is(code, pem, "eve", 422, "value")); /* it is ann's by now */
    BP_CHECK(login_is(code, pem, "ann", 201, ""));
    leave();
}

BP_CASE(a_certificate_of_another_key_is_not_taken)
{
    char code[64];
    struct bp_key *foreign = NULL;
    BP_NEED(stage() && code_for("viewer", code) && !bp_failed(bp_key_make(BP_KEY_P256, &foreign)) && make_cert(foreign));
    BP_CHECK(login_is(code, pem, "ann", 500, "internal"));
    const struct asker ann = {.issuer = "operator", .spki = BP_SPAN_OF(spki_hash)};
    struct reply r = desk_json(&d, &ann, "GET", "/api/v1/session", NULL);
    BP_CHECK(r.status == 401);
    desk_done(&r);
    bp_key_free(foreign);
    leave();
}

BP_CASE(requests_that_are_none)
{
    char code[64];
    char cut[4096];
    BP_NEED(stage() && code_for("viewer", code));
    BP_CHECK(login_is(code, "x", "ann", 400, "bad-csr"));
    BP_CHECK(login_is(code, "-----BEGIN CERTIFICATE REQUEST-----\\n-----END CERTIFICATE REQUEST-----\\n", "ann", 400, "bad-csr"));
    BP_CHECK(login_is(code, "-----BEGIN CERTIFICATE REQUEST-----\\n!!!!\\n-----END CERTIFICATE REQUEST-----\\n", "ann", 400, "bad-csr"));
    (void)snprintf(cut, sizeof cut, "%.120s", pem);
    BP_CHECK(login_is(code, cut, "ann", 400, "bad-csr"));
    (void)snprintf(cut, sizeof cut, "%s", pem);
    char *digit = strstr(cut, "-----END") - 20; /* inside the signature */
    *digit = *digit == 'A' ? 'B' : 'A';
    BP_CHECK(login_is(code, cut, "ann", 400, "bad-csr"));
    BP_CHECK(login_is(code, pem, "ann", 201, "")); /* none of it spent the code */
    leave();
}

static bp_result disable(struct desk *x, void *arg)
{
    struct bp_operator o;
    (void)arg;
    BP_TRY(bp_store_operator_by_name(x->store, BP_SPAN_STR("ann"), &o));
    o.disabled = true;
    return bp_store_operator_set(x->store, &o);
}

BP_CASE(a_disabled_operator_is_out)
{
    char code[64];
    BP_NEED(stage() && code_for("viewer", code));
    BP_CHECK(login_is(code, pem, "ann", 201, ""));
    BP_NEED(desk_act(&d, disable, NULL));
    const struct asker ann = {.issuer = "operator", .spki = BP_SPAN_OF(spki_hash)};
    struct reply r = desk_json(&d, &ann, "GET", "/api/v1/session", NULL);
    BP_CHECK(r.status == 401);
    desk_done(&r);
    leave();
}

BP_SUITE(operators, BP_RUN(cookie_headers) BP_RUN(names_and_roles) BP_RUN(many_sources_stay_within_the_table)
                        BP_RUN(a_certificate_signs_in) BP_RUN(without_the_signer_the_code_serves_again)
                            BP_RUN(a_certificate_of_another_key_is_not_taken) BP_RUN(requests_that_are_none)
                                BP_RUN(a_disabled_operator_is_out))
