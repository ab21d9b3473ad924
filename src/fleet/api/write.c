/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/write - the operations that run inside the keeper: sessions, people, devices, releases, policy,
 * settings. */
#include <stdio.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/cbor.h"
#include "codec/decommission.h"
#include "codec/event.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "fleet/api/internal.h"
#include "fleet/api/judge.h"
#include "pki/x509.h"
#include "fleet/ipc/message.h"
#include "fleet/registry/expected.h"
#include "fleet/registry/ownership.h"
#include "fleet/releases/releases.h"
#include "fleet/store/lists.h"
#include "platform/alloc.h"

#define BP_MODULE API

#define CSR_MAX 8192u

/* One request on its way. */
struct call {
    struct bp_api_writer *w;
    struct bp_turn *t;
    const struct bp_ex_request *q;
    struct bp_api_match m;
    struct bp_identity who;
    struct bp_api_room room;
    struct bp_ex_answer *ret;
    json_t *body; /* given back at the end */
    char detail[128];
};

/* Refuses; the keeper takes the whole act back and answers the problem. */
static bp_result refuse(struct call *c, enum bp_problem p, const char *detail)
{
    c->t->problem = p;
    (void)snprintf(c->t->detail, sizeof c->t->detail, "%s", detail);
    return BP_FAIL(DENIED);
}

/* Passes on what a part refused. */
static bp_result passed(struct call *c, bp_result r, enum bp_problem p, const char *detail)
{
    return bp_is(r, BP_E_DENIED) && p != BP_P_NONE ? refuse(c, p, detail) : r;
}

/* Answers a problem and keeps what was written: the event that tells of it. */
static bp_result told(struct call *c, enum bp_problem p, const char *detail)
{
    bp_api_problem(&c->room, p, detail, 0, c->ret);
    return BP_OK;
}

static bp_result members(struct call *c, struct bp_member *m, size_t count)
{
    enum bp_problem p = BP_P_NONE;
    if (!bp_api_members(c->q->body, m, count, &c->body, c->detail, &p)) {
        return refuse(c, p, c->detail);
    }
    return BP_OK;
}

static struct bp_operators people(struct bp_turn *t)
{
    return (struct bp_operators){.store = t->store, .log = t->log, .crypto = t->crypto, .entropy = t->entropy, .now_ms = t->now_ms};
}

static bp_span actor(const struct call *c)
{
    return bp_span_cstr(c->who.who.name);
}

static void copy(bp_span from, char *ret, size_t cap)
{
    const size_t n = from.n < cap ? from.n : cap - 1;
    if (n > 0) {
        memcpy(ret, from.p, n);
    }
    ret[n] = 0;
}

/* -- sessions and people ----------------------------------------------------------------------- */
static json_t *session_json(const struct bp_operator *who, const char *csrf, int64_t expires_ms)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o}", "operator", bp_api_str(who->name), "role", who->role, "zone",
                     bp_api_str(who->zone), "csrf", csrf[0] == 0 ? json_null() : json_string(csrf), "expires",
                     bp_api_time(expires_ms));
}

/* A wrong code is an event; after ten of one address not even that. */
static bp_result code_refused(struct call *c, enum bp_problem p)
{
    struct bp_operators o = people(c->t);
    bp_attempts_refused(&c->w->attempts, c->t->crypto, c->q->source, c->t->now_ms);
    BP_TRY(bp_operators_refused(&o, c->q->source, bp_problem_row(p).title));
    return told(c, p, "");
}

static bp_result may_try(struct call *c)
{
    uint32_t wait_s = 0;
    if (!bp_attempts_may(&c->w->attempts, c->t->crypto, c->q->source, c->t->now_ms, &wait_s)) {
        c->t->retry_after_s = wait_s;
        return refuse(c, BP_P_TOO_MANY, "");
    }
    return BP_OK;
}

static bp_result open_session(struct call *c, const struct bp_operator *who)
{
    struct bp_operators o = people(c->t);
    char cookie[BP_OPERATOR_TOKEN_HEX + 1];
    char header[192];
    struct bp_identity id;
    enum bp_problem p = BP_P_NONE;
    int64_t expires = 0;
    BP_TRY(bp_operators_session(&o, who, cookie, &expires));
    (void)snprintf(header, sizeof header, BP_OPERATOR_COOKIE "=%s", cookie);
    BP_TRY(bp_operators_identify(c->t->store, c->t->crypto, c->t->now_ms, bp_span_cstr(header), BP_SPAN_EMPTY, &id, &p));
    BP_TRY(bp_api_json(&c->room, 201, session_json(&id.who, id.csrf, expires), c->ret));
    (void)snprintf(header, sizeof header, BP_OPERATOR_COOKIE "=%s; Path=/; Max-Age=%lld; Secure; HttpOnly; SameSite=Strict",
                   cookie, (long long)(BP_OPERATOR_SESSION_MS / 1000));
    bp_api_header(c->ret, BP_SPAN_STR("Set-Cookie"), bp_api_put(&c->room, bp_span_cstr(header)));
    bp_wipe(cookie, sizeof cookie);
    bp_wipe(header, sizeof header);
    return BP_OK;
}

static bp_result session_new(struct call *c)
{
    struct bp_member m[] = {{.name = "code", .kind = BP_MEMBER_TEXT, .required = true, .max = 64},
                            {.name = "name", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX}};
    struct bp_operators o = people(c->t);
    struct bp_code code;
    struct bp_operator who;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(may_try(c));
    BP_TRY(members(c, m, 2));
    const bp_result taken = bp_operators_code_take(&o, m[0].text, &code, &p);
    if (bp_is(taken, BP_E_DENIED)) {
        return code_refused(c, p);
    }
    BP_TRY(taken);
    const bp_result found = bp_operators_of_code(&o, &code, m[1].text, &who, &p);
    if (bp_failed(found)) {
        return passed(c, found, p, "name");
    }
    return open_session(c, &who);
}

static bp_result session_get(struct call *c)
{
    struct bp_operators o = people(c->t);
    BP_TRY(bp_operators_touch(&o, &c->who));
    return bp_api_json(&c->room, 200, session_json(&c->who.who, c->who.csrf, c->who.expires_ms), c->ret);
}

static bp_result session_end(struct call *c)
{
    struct bp_operators o = people(c->t);
    BP_TRY(bp_operators_end(&o, &c->who));
    c->ret->status = 204;
    bp_api_header(c->ret, BP_SPAN_STR("Set-Cookie"),
                  BP_SPAN_STR(BP_OPERATOR_COOKIE "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"));
    bp_api_header(c->ret, BP_SPAN_STR("Cache-Control"), BP_SPAN_STR("no-store"));
    return BP_OK;
}

static bp_result code_new(struct call *c)
{
    struct bp_member m[] = {{.name = "role", .kind = BP_MEMBER_TEXT, .required = true, .max = 16},
                            {.name = "name", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX}};
    struct bp_operators o = people(c->t);
    char code[BP_OPERATOR_CODE_TEXT + 1];
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 2));
    const bp_result r = bp_operators_code(&o, bp_role_of_name(m[0].text), m[1].text, actor(c), code, &p);
    if (bp_failed(r)) {
        return passed(c, r, p, "role or name");
    }
    json_t *j = json_pack("{s:s, s:o, s:o, s:o}", "code", code, "role", bp_api_text(m[0].text), "name",
                          bp_api_text(m[1].text), "expires", bp_api_time(c->t->now_ms + BP_OPERATOR_CODE_MS));
    bp_wipe(code, sizeof code);
    return bp_api_json(&c->room, 201, j, c->ret);
}

/* -- operators' certificates ------------------------------------------------------------------- */
/* DER of the one PEM block with that label (RFC 7468). */
static bool from_pem(bp_span text, bp_span begin, bp_span end, uint8_t *ret, size_t cap, size_t *ret_n)
{
    size_t from = 0;
    while (from < text.n && !bp_span_equal(bp_span_sub(text, from, begin.n), begin)) {
        from++;
    }
    from += begin.n;
    size_t to = from;
    while (to < text.n && !bp_span_equal(bp_span_sub(text, to, end.n), end)) {
        to++;
    }
    if (to >= text.n) {
        return false;
    }
    bp_wr wr = bp_wr_over(ret, cap);
    bp_base64_read_wrapped(&wr, bp_span_sub(text, from, to - from));
    *ret_n = wr.n;
    return !bp_failed(bp_wr_finish(&wr));
}

static json_t *to_pem(bp_span der)
{
    uint8_t flat[BP_BASE64_SIZE(4096)];
    bp_wr wr = bp_wr_over(flat, sizeof flat);
    bp_base64_write(&wr, der);
    if (der.n == 0 || bp_failed(bp_wr_finish(&wr))) {
        return json_null();
    }
    char out[sizeof flat + sizeof flat / 64 + 80];
    size_t n = (size_t)snprintf(out, sizeof out, "-----BEGIN CERTIFICATE-----\n");
    for (size_t i = 0; i < wr.n; i += 64) {
        const size_t k = wr.n - i < 64 ? wr.n - i : 64;
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s\n", (int)k, (const char *)flat + i);
    }
    (void)snprintf(out + n, sizeof out - n, "-----END CERTIFICATE-----\n");
    return json_string(out);
}

static bp_result read_csr(struct call *c, bp_span pem, uint8_t *der, size_t *ret_n, uint8_t spki[32])
{
    struct bp_csr csr;
    struct bp_operator other;
    if (!from_pem(pem, BP_SPAN_STR("-----BEGIN CERTIFICATE REQUEST-----"),
                  BP_SPAN_STR("-----END CERTIFICATE REQUEST-----"), der, CSR_MAX, ret_n) ||
        bp_failed(bp_csr_read(bp_span_of(der, *ret_n), &csr)) || csr.key.type != BP_KEY_P256 ||
        bp_failed(bp_x509_verify(c->t->crypto, &csr.key, csr.alg, csr.tbs, csr.signature))) {
        return refuse(c, BP_P_BAD_CSR, "csr");
    }
    BP_TRY(bp_hash(c->t->crypto, BP_HASH_SHA256, csr.spki, spki));
    const bp_result known = bp_store_operator_by_spki(c->t->store, bp_span_of(spki, 32), &other);
    if (!bp_failed(known)) {
        return refuse(c, BP_P_KEY_IN_USE, "the key is an operator's already");
    }
    return bp_is(known, BP_E_NOT_FOUND) ? BP_OK : known;
}

/* What is remembered while the signer works. */
static bp_result keep_write(const struct bp_code *code, int64_t operator_n, const uint8_t spki[32], uint8_t *p,
                            size_t cap, size_t *ret_n)
{
    bp_cw w = bp_cw_over(p, cap);
    bp_cw_array(&w, 8);
    bp_cw_bstr(&w, BP_SPAN_OF(code->code));
    bp_cw_cstr(&w, code->role);
    bp_cw_cstr(&w, code->name);
    bp_cw_cstr(&w, code->zone);
    bp_cw_cstr(&w, code->by);
    bp_cw_int(&w, code->expires_ms);
    bp_cw_int(&w, operator_n);
    bp_cw_bstr(&w, bp_span_of(spki, 32));
    *ret_n = w.wr.n;
    return bp_cw_finish(&w);
}

static bp_result keep_read(bp_span in, struct bp_code *code, int64_t *ret_n, uint8_t spki[32])
{
    bp_rd rd = bp_rd_over(in);
    (void)bp_cbor_get_array(&rd);
    const bp_span hash = bp_cbor_get_bstr_n(&rd, 32);
    copy(bp_cbor_get_tstr(&rd), code->role, sizeof code->role);
    copy(bp_cbor_get_tstr(&rd), code->name, sizeof code->name);
    copy(bp_cbor_get_tstr(&rd), code->zone, sizeof code->zone);
    copy(bp_cbor_get_tstr(&rd), code->by, sizeof code->by);
    code->expires_ms = bp_cbor_get_int(&rd);
    *ret_n = bp_cbor_get_int(&rd);
    const bp_span key = bp_cbor_get_bstr_n(&rd, 32);
    BP_TRY(bp_rd_finish(&rd));
    memcpy(code->code, hash.p, 32);
    memcpy(spki, key.p, 32);
    return BP_OK;
}

/* Writes the certificate down. */
static bp_result keep_certificate(struct bp_turn *t, bp_span der, const uint8_t spki[32])
{
    struct bp_x509 x;
    uint8_t hash[32];
    struct bp_certificate cert = {.state = BP_CERT_GOOD};
    BP_TRY(bp_x509_read(der, &x));
    BP_TRY(bp_hash(t->crypto, BP_HASH_SHA256, x.spki, hash));
    if (memcmp(hash, spki, 32) != 0 || x.serial.n > sizeof cert.serial) {
        return BP_FAIL(MISMATCH);
    }
    memcpy(cert.serial, x.serial.p, x.serial.n);
    cert.serial_n = x.serial.n;
    memcpy(cert.spki, spki, 32);
    copy(BP_SPAN_STR("operator"), cert.profile, sizeof cert.profile);
    cert.not_before_ms = x.not_before_s * 1000;
    cert.not_after_ms = x.not_after_s >= INT64_MAX / 1000 ? INT64_MAX : x.not_after_s * 1000;
    return bp_store_cert_add(t->store, &cert, der);
}

static bp_result certified(struct bp_api_writer *w, struct bp_turn *t, bp_span der, bp_span kept, struct bp_ex_answer *ret)
{
    struct bp_operators o = people(t);
    struct bp_api_room room = {t->room, t->room_cap, 0};
    struct bp_code code = {0};
    struct bp_operator who;
    uint8_t spki[32];
    int64_t n = 0;
    BP_TRY(keep_read(kept, &code, &n, spki));
    BP_TRY(bp_store_operator(t->store, n, &who));
    if (who.disabled || strcmp(who.role, code.role) != 0) {
        t->problem = BP_P_FORBIDDEN;
        return BP_FAIL(DENIED);
    }
    const bp_result r = bp_operators_certify(&o, &who, spki, &t->problem);
    BP_TRY(r);
    BP_TRY(keep_certificate(t, der, spki));
    json_t *chain = json_array();
    (void)json_array_append_new(chain, to_pem(w->operators_der));
    (void)json_array_append_new(chain, to_pem(w->root_der));
    return bp_api_json(&room, 201,
                       json_pack("{s:o, s:s, s:o, s:o, s:o}", "operator", bp_api_str(who.name), "role", who.role,
                                 "zone", bp_api_str(who.zone), "certificate", to_pem(der), "chain", chain),
                       ret);
}

/* The signer did not answer with a certificate: the code serves again, for the operator it made. */
static bp_result not_certified(struct bp_turn *t, uint64_t status, bp_span kept, struct bp_ex_answer *ret)
{
    struct bp_operators o = people(t);
    struct bp_api_room room = {t->room, t->room_cap, 0};
    struct bp_code code = {0};
    struct bp_operator who;
    uint8_t spki[32];
    int64_t n = 0;
    BP_TRY(keep_read(kept, &code, &n, spki));
    BP_TRY(bp_store_operator(t->store, n, &who));
    memcpy(code.name, who.name, sizeof code.name);
    BP_TRY(bp_operators_code_back(&o, &code));
    bp_api_problem(&room, status == 0 ? BP_P_UNAVAILABLE : (enum bp_problem)status, "the code may be used again", 5, ret);
    return BP_OK;
}

static bp_result operator_then(void *self, struct bp_turn *t, uint64_t status, bp_span body, bp_span kept,
                               struct bp_ex_answer *ret)
{
    bp_span der = BP_SPAN_EMPTY;
    if (status != 0 || bp_failed(bp_msg_bytes_read(body, &der))) {
        return not_certified(t, status, kept, ret);
    }
    return certified(self, t, der, kept, ret);
}

static bp_result operator_new(struct call *c)
{
    struct bp_member m[] = {{.name = "code", .kind = BP_MEMBER_TEXT, .required = true, .max = 64},
                            {.name = "csr", .kind = BP_MEMBER_TEXT, .required = true, .max = 2 * CSR_MAX},
                            {.name = "name", .kind = BP_MEMBER_TEXT, .required = true, .max = BP_NAME_MAX}};
    struct bp_operators o = people(c->t);
    struct bp_code code;
    struct bp_operator who;
    uint8_t der[CSR_MAX];
    uint8_t spki[32];
    uint8_t buf[CSR_MAX + 512];
    size_t n = 0;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(may_try(c));
    BP_TRY(members(c, m, 3));
    const bp_result taken = bp_operators_code_take(&o, m[0].text, &code, &p);
    if (bp_is(taken, BP_E_DENIED)) {
        return code_refused(c, p);
    }
    BP_TRY(taken);
    BP_TRY(read_csr(c, m[1].text, der, &n, spki));
    const bp_result found = bp_operators_of_code(&o, &code, m[2].text, &who, &p);
    if (bp_failed(found)) {
        return passed(c, found, p, "name");
    }
    const struct bp_msg_operator msg = {bp_span_of(der, n), bp_span_cstr(who.name), BP_OPERATOR_CERT_DAYS};
    BP_TRY(bp_msg_operator_write(&msg, buf, sizeof buf, &n));
    c->t->ask.body = bp_api_put(&c->room, bp_span_of(buf, n));
    BP_TRY(keep_write(&code, who.n, spki, buf, sizeof buf, &n));
    c->t->ask.keep = bp_api_put(&c->room, bp_span_of(buf, n));
    c->t->ask.op = "issue-operator";
    c->t->ask.then = operator_then;
    return BP_OK;
}

/* -- devices ----------------------------------------------------------------------------------- */
static bp_result find_device(struct call *c, struct bp_device *ret)
{
    uint8_t id[BP_ID_SIZE];
    if (bp_failed(bp_devid_from_hex(c->m.param[0], id))) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such device");
    }
    const bp_result r = bp_store_device_by_id(c->t->store, BP_SPAN_OF(id), ret);
    return bp_is(r, BP_E_NOT_FOUND) ? refuse(c, BP_P_NOT_FOUND, "there is no such device") : r;
}

static bp_result answer_device(struct call *c, const struct bp_device *d)
{
    struct bp_device_item item;
    BP_TRY(bp_list_device(c->t->store, BP_SPAN_OF(d->id), &item));
    return bp_api_json(&c->room, 200, bp_api_summary(&item), c->ret);
}

/* A place is told whole, or by the position that it binds to. */
#define PLACE_MEMBERS                                                                                                  \
    {.name = "zone", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},                                                      \
        {.name = "site", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},                                                  \
        {.name = "model", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},                                                 \
        {.name = "name", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},                                                  \
    {                                                                                                                  \
        .name = "position", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX                                                 \
    }
enum { ZONE, SITE, MODEL, NAME, POSITION, PLACE_COUNT };

static struct bp_place place_of(const struct bp_member *m)
{
    struct bp_place p;
    copy(m[ZONE].text, p.zone, sizeof p.zone);
    copy(m[SITE].text, p.site, sizeof p.site);
    copy(m[MODEL].text, p.model, sizeof p.model);
    copy(m[NAME].text, p.name, sizeof p.name);
    return p;
}

static bp_result check_place(struct call *c, const struct bp_member *m)
{
    const bool other = m[ZONE].given || m[SITE].given || m[MODEL].given || m[NAME].given;
    if (m[POSITION].given) {
        return other ? refuse(c, BP_P_VALUE, "position: zone, site, model and name are the position's own") : BP_OK;
    }
    return m[ZONE].given ? BP_OK : refuse(c, BP_P_VALUE, "zone");
}

static bp_result approve(struct call *c)
{
    struct bp_member m[] = {PLACE_MEMBERS};
    struct bp_device d;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, PLACE_COUNT));
    BP_TRY(check_place(c, m));
    BP_TRY(find_device(c, &d));
    const struct bp_place place = place_of(m);
    const bp_result r = m[POSITION].given
                            ? bp_registry_approve_at(c->t->registry, d.n, m[POSITION].text, actor(c), &p)
                            : bp_registry_approve(c->t->registry, d.n, &place, actor(c), &p);
    return bp_failed(r) ? passed(c, r, p, m[POSITION].given && p == BP_P_NOT_FOUND ? "position" : "") : answer_device(c, &d);
}

/* -- positions --------------------------------------------------------------------------------- */
static bp_result answer_position(struct call *c, bp_span tag, uint16_t status)
{
    struct bp_position p;
    BP_TRY(bp_store_position_by_tag(c->t->store, tag, &p));
    return bp_api_json(&c->room, status, bp_api_position(c->t->store, &p), c->ret);
}

static bp_result position_new(struct call *c)
{
    struct bp_member m[] = {PLACE_MEMBERS};
    enum bp_problem p = BP_P_NONE;
    m[ZONE].required = true;
    m[POSITION].required = true;
    BP_TRY(members(c, m, PLACE_COUNT));
    const struct bp_place place = place_of(m);
    const bp_result r = bp_registry_position_make(c->t->registry, m[POSITION].text, &place, actor(c), &p);
    return bp_failed(r) ? passed(c, r, p, "position or zone") : answer_position(c, m[POSITION].text, 201);
}

/* Who takes a position: a device by its whole id. */
static bp_result device_named(struct call *c, bp_span hex, struct bp_device *ret)
{
    uint8_t id[BP_ID_SIZE];
    if (bp_failed(bp_devid_from_hex(hex, id))) {
        return refuse(c, BP_P_VALUE, "device");
    }
    const bp_result r = bp_store_device_by_id(c->t->store, BP_SPAN_OF(id), ret);
    return bp_is(r, BP_E_NOT_FOUND) ? refuse(c, BP_P_NOT_FOUND, "there is no such device") : r;
}

static bp_result tag_of(struct call *c, char room[BP_NAME_MAX + 1], bp_span *ret)
{
    return bp_api_param(c->m.param[0], room, BP_NAME_MAX + 1, ret) ? BP_OK : refuse(c, BP_P_NOT_FOUND, "there is no such position");
}

static bp_result position_assign(struct call *c)
{
    struct bp_member m[] = {{.name = "device", .kind = BP_MEMBER_TEXT, .required = true, .max = 2 * BP_ID_SIZE}};
    char room[BP_NAME_MAX + 1];
    bp_span tag = BP_SPAN_EMPTY;
    struct bp_device d;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 1));
    BP_TRY(tag_of(c, room, &tag));
    BP_TRY(device_named(c, m[0].text, &d));
    const bp_result r = bp_registry_assign(c->t->registry, tag, d.n, actor(c), &p);
    return bp_failed(r) ? passed(c, r, p, p == BP_P_WRONG_STATE ? bp_device_state_name(d.state) : "")
                        : answer_position(c, tag, 200);
}

static bp_result position_replace(struct call *c)
{
    struct bp_member m[] = {{.name = "device", .kind = BP_MEMBER_TEXT, .required = true, .max = 2 * BP_ID_SIZE},
                            {.name = "reason", .kind = BP_MEMBER_TEXT, .max = 256}};
    char room[BP_NAME_MAX + 1];
    bp_span tag = BP_SPAN_EMPTY;
    struct bp_device d;
    const char *why = "";
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 2));
    BP_TRY(tag_of(c, room, &tag));
    BP_TRY(device_named(c, m[0].text, &d));
    const bp_span reason = m[1].text.n > 0 ? m[1].text : BP_SPAN_STR("replaced by a spare");
    const bp_result r = bp_registry_replace(c->t->registry, tag, d.n, reason, actor(c), &why, &p);
    return bp_failed(r) ? passed(c, r, p, why) : answer_position(c, tag, 200);
}

/* -- acts of two people ------------------------------------------------------------------------ */
static bp_result succeed(struct call *c)
{
    struct bp_member m[] = {{.name = "successor", .kind = BP_MEMBER_TEXT, .required = true, .max = 2 * BP_ID_SIZE},
                            {.name = "reason", .kind = BP_MEMBER_TEXT, .required = true, .max = 256}};
    struct bp_device old, d;
    struct bp_action a;
    const char *why = "";
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 2));
    BP_TRY(find_device(c, &old));
    BP_TRY(device_named(c, m[0].text, &d));
    const bp_result r = bp_registry_propose(c->t->registry, old.n, d.n, m[1].text, &c->who.who, &a, &why, &p);
    return bp_failed(r) ? passed(c, r, p, why) : bp_api_json(&c->room, 201, bp_api_action(c->t->store, &a, c->t->now_ms), c->ret);
}

static bp_result action_decide(struct call *c)
{
    const bool approves = c->m.id == BP_API_ACTION_APPROVE;
    struct bp_member m[] = {{.name = approves ? "digest" : "reason", .kind = BP_MEMBER_TEXT, .required = true, .max = 256}};
    struct bp_action a;
    uint8_t id[sizeof a.id];
    uint8_t digest[BP_DIGEST_SIZE] = {0};
    const char *why = "";
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 1));
    if (!bp_api_unhex(c->m.param[0], id, sizeof id)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such act");
    }
    if (approves && !bp_api_unhex(m[0].text, digest, sizeof digest)) {
        return refuse(c, BP_P_VALUE, "digest");
    }
    const bp_result r =
        approves ? bp_registry_action_approve(c->t->registry, BP_SPAN_OF(id), BP_SPAN_OF(digest), &c->who.who, &why, &p)
                 : bp_registry_action_reject(c->t->registry, BP_SPAN_OF(id), m[0].text, &c->who.who, &p);
    if (bp_failed(r)) {
        return passed(c, r, p, why);
    }
    BP_TRY(bp_store_action(c->t->store, BP_SPAN_OF(id), &a));
    return bp_api_json(&c->room, 200, bp_api_action(c->t->store, &a, c->t->now_ms), c->ret);
}

static bp_result act_on_device(struct call *c)
{
    struct bp_member m[] = {{.name = "reason", .kind = BP_MEMBER_TEXT, .required = true, .max = 256}};
    struct bp_device d;
    struct bp_registry *reg = c->t->registry;
    enum bp_problem p = BP_P_NONE;
    bool capped = false;
    bp_result r = BP_OK;
    BP_TRY(members(c, m, 1));
    BP_TRY(find_device(c, &d));
    if (c->m.id == BP_API_QUARANTINE) {
        r = bp_registry_quarantine(reg, d.n, false, m[0].text, actor(c), &capped, &p);
    } else if (c->m.id == BP_API_RELEASE_DEVICE) {
        r = bp_registry_release(reg, d.n, m[0].text, actor(c), &p);
    } else if (c->m.id == BP_API_REVOKE) {
        r = bp_registry_revoke(reg, d.n, m[0].text, actor(c), &p);
    } else {
        r = bp_registry_retire(reg, d.n, m[0].text, actor(c), &p);
    }
    return bp_failed(r) ? passed(c, r, p, bp_device_state_name(d.state)) : answer_device(c, &d);
}

/* Who fetches them is in the log before they leave. */
static bp_result note_of(struct call *c, enum bp_event_type type, const struct bp_device *d)
{
    uint64_t number = 0;
    const struct bp_event e = {.time_ms = c->t->now_ms,
                               .type = type,
                               .source = BP_SPAN_STR("keeper"),
                               .actor = actor(c),
                               .device = bp_span_cstr(d->pseudonym)};
    return bp_log_append(c->t->log, &e, d->n, &d->place, &number);
}

static json_t *escrow_json(const struct bp_escrow_row *e)
{
    char text[BP_BASE64_SIZE(BP_SEALED_MAX)];
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, e->envelope);
    return json_pack("{s:s, s:o, s:o, s:s%}", "state", bp_api_lockout_name(e->state), "at", bp_api_time(e->at_ms), "since",
                     bp_api_time(e->state_ms), "envelope", text, bp_wr_span(&wr).n);
}

static bp_result escrow(struct call *c)
{
    struct bp_device d;
    BP_TRY(find_device(c, &d));
    json_t *list = json_array();
    bp_result r = list != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    for (uint32_t i = 0; i < BP_ESCROWS_MAX && !bp_failed(r); i++) {
        struct bp_escrow_row e = {0};
        r = bp_store_escrow_newest(c->t->store, d.n, i, &e);
        if (!bp_failed(r) && e.envelope.n > 0 && json_array_append_new(list, escrow_json(&e)) != 0) {
            r = BP_FAIL(NO_MEMORY);
        }
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        r = json_array_size(list) > 0 ? BP_OK : refuse(c, BP_P_NOT_FOUND, "nothing of this device is in escrow");
    }
    if (!bp_failed(r)) {
        r = note_of(c, BP_EV_ESCROW_READ, &d);
    }
    if (bp_failed(r)) {
        json_decref(list);
        return r;
    }
    return bp_api_json(&c->room, 200, json_pack("{s:o, s:o}", "device", bp_api_hex(BP_SPAN_OF(d.id)), "escrows", list),
                       c->ret);
}

static bp_result permit(struct call *c)
{
    struct bp_member m[] = {{.name = "reason", .kind = BP_MEMBER_TEXT, .required = true, .max = 256}};
    struct bp_device d;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 1));
    BP_TRY(find_device(c, &d));
    const bp_result r = bp_registry_permit(c->t->registry, d.n, m[0].text, actor(c), &p);
    return bp_failed(r) ? passed(c, r, p, bp_device_state_name(d.state)) : answer_device(c, &d);
}

/* -- decommissioning --------------------------------------------------------------------------- */
/* What the log says of the retirement, and the room that the statement points into. */
struct retirement {
    struct bp_device d;
    struct bp_decommission v;
    struct bp_key key[BP_DECOMMISSION_KEYS_MAX];
    uint8_t digest[BP_DIGEST_SIZE];
    char reason[BP_REASON_MAX + 1];
    char actor[BP_NAME_MAX + 1];
    bool is_found;
    uint8_t payload[BP_DECOMMISSION_MAX];
};

static bp_result take_event(void *self, const struct bp_event_item *e)
{
    struct retirement *x = self;
    struct bp_event event;
    if ((x->is_found && e->number < x->v.event) || bp_failed(bp_event_read(e->body, &event))) {
        return BP_OK;
    }
    const struct bp_event_detail *why = bp_event_detail_of(&event, BP_SPAN_STR("reason"));
    x->is_found = true;
    x->v.event = e->number;
    x->v.retired_ms = event.time_ms;
    copy(why != NULL ? why->bytes : BP_SPAN_EMPTY, x->reason, sizeof x->reason);
    copy(event.actor, x->actor, sizeof x->actor);
    if (e->digest.n == sizeof x->digest) {
        memcpy(x->digest, e->digest.p, sizeof x->digest);
    }
    return BP_OK;
}

static bp_result write_retirement(struct call *c, struct retirement *x, size_t *ret_n)
{
    /* Each of these ends a device for good; the newest counts, for it may have come back by a permit. */
    static const uint32_t ends[] = {BP_EV_DEVICE_RETIRED, BP_EV_DEVICE_REPLACED, BP_EV_DEVICE_SUCCEEDED};
    uint64_t last = 0;
    bool more = false;
    size_t n = 0;
    if (x->d.state != BP_ST_RETIRED) {
        return refuse(c, BP_P_WRONG_STATE, bp_device_state_name(x->d.state));
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const struct bp_event_filter filter = {.device = x->d.n, .type = ends[i], .from = INT64_MAX};
        BP_TRY(bp_list_events(c->t->store, &filter, 1, &last, &more, take_event, x));
    }
    BP_TRY(bp_store_key_of(c->t->store, x->d.n, x->key, BP_DECOMMISSION_KEYS_MAX, &n));
    if (!x->is_found || n == 0) {
        return refuse(c, BP_P_NOT_FOUND, "the log has no event of its retirement any more");
    }
    x->v.device_id = BP_SPAN_OF(x->d.id);
    x->v.pseudonym = bp_span_cstr(x->d.pseudonym);
    x->v.reason = bp_span_cstr(x->reason);
    x->v.actor = bp_span_cstr(x->actor);
    x->v.digest = BP_SPAN_OF(x->digest);
    for (size_t i = 0; i < n; i++) {
        x->v.key[x->v.keys++] = BP_SPAN_OF(x->key[i].spki);
    }
    return bp_decommission_write(&x->v, x->payload, sizeof x->payload, ret_n);
}

/* The signer's answer becomes a file that anybody can check with the root. */
static bp_result decommission_then(void *self, struct bp_turn *t, uint64_t status, bp_span body, bp_span kept,
                                   struct bp_ex_answer *ret)
{
    const struct bp_api_writer *w = self;
    struct bp_api_room room = {t->room, t->room_cap, 0};
    struct bp_decommission_file file = {.root = w->root_der, .signer = w->bind_der};
    size_t n = 0;
    (void)kept;
    if (status != 0 || bp_failed(bp_msg_bytes_read(body, &file.statement))) {
        bp_api_problem(&room, status == 0 ? BP_P_UNAVAILABLE : (enum bp_problem)status, "the certificate was not signed", 5, ret);
        return BP_OK;
    }
    BP_TRY(bp_decommission_file_write(&file, t->room, t->room_cap, &n));
    *ret = (struct bp_ex_answer){.status = 200, .content_type = BP_SPAN_STR("application/cbor"), .body = bp_span_of(t->room, n)};
    return BP_OK;
}

static bp_result decommission(struct call *c)
{
    size_t n = 0;
    size_t asked = 0;
    struct retirement *x = bp_alloc(sizeof *x);
    uint8_t *ask = bp_alloc(BP_DECOMMISSION_MAX + 64);
    bp_result r = x != NULL && ask != NULL ? find_device(c, &x->d) : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = write_retirement(c, x, &n);
    }
    if (!bp_failed(r)) {
        r = note_of(c, BP_EV_DECOMMISSION_READ, &x->d);
    }
    if (!bp_failed(r)) {
        r = bp_msg_bytes_write(bp_span_of(x->payload, n), ask, BP_DECOMMISSION_MAX + 64, &asked);
    }
    if (!bp_failed(r)) {
        c->t->ask.body = bp_api_put(&c->room, bp_span_of(ask, asked));
        c->t->ask.keep = bp_api_put(&c->room, BP_SPAN_OF(x->d.id));
        c->t->ask.op = "decommission";
        c->t->ask.then = decommission_then;
    }
    bp_free(ask);
    bp_free(x);
    return r;
}

/* -- ownership --------------------------------------------------------------------------------- */
#define CHAIN_TEXT_MAX BP_BASE64_SIZE(BP_OWNERSHIP_FILE_MAX)

static const char *phase_name(enum bp_owned_phase phase)
{
    static const char *const names[] = {"", "ours", "handed-over", "gone"};
    return (unsigned)phase < sizeof names / sizeof names[0] ? names[phase] : "";
}

static bp_result answer_owned(struct call *c, bp_span id, uint16_t status)
{
    struct bp_owned o;
    size_t n = 0;
    const bp_result got = bp_store_owned(c->t->store, id, &o);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return refuse(c, BP_P_NO_OWNERSHIP, "");
    }
    BP_TRY(got);
    uint8_t *chain = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    char *text = bp_alloc(CHAIN_TEXT_MAX);
    bp_result r = chain != NULL && text != NULL ? BP_OK : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = bp_registry_chain(c->t->registry, id, o.phase == BP_OWNED_OURS ? c->w->owner_card : BP_SPAN_EMPTY, chain,
                              BP_OWNERSHIP_FILE_MAX, &n);
    }
    if (!bp_failed(r)) {
        bp_wr wr = bp_wr_over(text, CHAIN_TEXT_MAX);
        bp_base64_write(&wr, bp_span_of(chain, n));
        r = bp_api_json(&c->room, status,
                        json_pack("{s:o, s:s, s:i, s:o, s:o, s:o, s:s%}", "device", bp_api_hex(id), "phase",
                                  phase_name(o.phase), "epoch", (int)o.epoch, "head", bp_api_hex(BP_SPAN_OF(o.head)), "since",
                                  bp_api_time(o.at_ms), "left", json_boolean(o.erasure.n != 0), "chain", text,
                                  bp_wr_span(&wr).n),
                        c->ret);
    }
    bp_free(chain);
    bp_free(text);
    return r;
}

static bp_result ownership_get(struct call *c)
{
    uint8_t id[BP_ID_SIZE];
    return bp_failed(bp_devid_from_hex(c->m.param[0], id)) ? refuse(c, BP_P_NO_OWNERSHIP, "")
                                                            : answer_owned(c, BP_SPAN_OF(id), 200);
}

/* What is refused is told in an event, so the act is kept all the same. */
static bp_result own(struct call *c, bp_span chain, const struct bp_place *place)
{
    struct bp_owned o;
    char detail[BP_REASON_MAX + 1];
    enum bp_problem p = BP_P_NONE;
    const bp_result r =
        bp_registry_own(c->t->registry, chain, c->w->owner_card, place, actor(c), &o, detail, &p);
    if (bp_is(r, BP_E_DENIED) && p != BP_P_NONE) {
        return told(c, p, detail);
    }
    BP_TRY(r);
    return answer_owned(c, BP_SPAN_OF(o.id), 201);
}

static bp_result ownership_put(struct call *c)
{
    struct bp_member m[] = {{.name = "zone", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},
                            {.name = "site", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},
                            {.name = "model", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},
                            {.name = "name", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},
                            {.name = "chain", .kind = BP_MEMBER_TEXT, .required = true, .max = CHAIN_TEXT_MAX}};
    BP_TRY(members(c, m, 5));
    if (c->w->owner_card.n == 0) {
        return refuse(c, BP_P_OWNERSHIP, "this server has no owner's card (bedplate ownership card makes one)");
    }
    const struct bp_place place = place_of(m);
    uint8_t *chain = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    if (chain == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_wr wr = bp_wr_over(chain, BP_OWNERSHIP_FILE_MAX);
    bp_base64_read(&wr, m[4].text);
    const bp_result r = bp_failed(bp_wr_finish(&wr)) ? refuse(c, BP_P_MALFORMED, "chain is not base64")
                                                     : own(c, bp_wr_span(&wr), &place);
    bp_free(chain);
    return r;
}

static bp_result invite(struct call *c)
{
    struct bp_member m[] = {PLACE_MEMBERS, {.name = "expires_s", .kind = BP_MEMBER_INT}};
    const struct bp_member *expires = &m[PLACE_COUNT];
    char code[BP_CODE_TEXT + 1];
    char line[512];
    uint8_t root[32];
    char root_hex[65];
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, PLACE_COUNT + 1));
    BP_TRY(check_place(c, m));
    int64_t in_ms = BP_INVITATION_MS;
    if (expires->given) {
        in_ms = expires->number > 0 && expires->number <= BP_INVITATION_MAX_MS / 1000 ? expires->number * 1000 : 0;
    }
    struct bp_place place = place_of(m);
    const bp_result r = m[POSITION].given
                            ? bp_registry_invite_to(c->t->registry, m[POSITION].text, in_ms, actor(c), code, &place, &p)
                            : bp_registry_invite(c->t->registry, &place, in_ms, actor(c), code, &p);
    if (bp_failed(r)) {
        return passed(c, r, p, p == BP_P_VALUE ? "zone or expires_s" : p == BP_P_NOT_FOUND ? "position" : "");
    }
    BP_TRY(bp_hash(c->t->crypto, BP_HASH_SHA256, c->w->root_der, root));
    for (size_t i = 0; i < sizeof root; i++) {
        (void)snprintf(root_hex + 2 * i, 3, "%02x", root[i]);
    }
    (void)snprintf(line, sizeof line, "bedplate-agent enroll --server %s --anchor sha256:%s --code %s", c->w->enrol_url,
                   root_hex, code);
    json_t *j = json_pack("{s:s, s:s, s:o, s:o}", "code", code, "line", line, "zone", bp_api_str(place.zone), "expires",
                          bp_api_time(c->t->now_ms + in_ms));
    bp_wipe(code, sizeof code);
    bp_wipe(line, sizeof line);
    return bp_api_json(&c->room, 201, j, c->ret);
}

/* -- releases ---------------------------------------------------------------------------------- */
static struct bp_releases releases(struct bp_turn *t)
{
    return (struct bp_releases){.store = t->store, .log = t->log, .crypto = t->crypto, .effects = t->effects, .now_ms = t->now_ms};
}

static bp_result answer_release(struct call *c, bp_span id, uint16_t status)
{
    struct bp_release_row row;
    BP_TRY(bp_store_release(c->t->store, id, &row));
    return bp_api_json(&c->room, status, bp_api_release(c->t->store, &row, false), c->ret);
}

static bp_result note(struct call *c, enum bp_event_type type, const struct bp_event_detail *d, size_t count)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = c->t->now_ms,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = actor(c),
                         .detail_count = count};
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = d[i];
    }
    return bp_log_append(c->t->log, &e, 0, NULL, &number);
}

/* A refused release or policy is worth an event: somebody had an administrator's session. */
static bp_result refused_text(struct call *c, enum bp_event_type type, enum bp_problem p, const char *detail)
{
    const struct bp_event_detail d[] = {
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(detail[0] != 0 ? detail : bp_problem_row(p).title)}};
    BP_TRY(note(c, type, d, 1));
    return told(c, p, detail);
}

static bp_result manifest_import(struct call *c)
{
    struct bp_import i;
    uint8_t maker[BP_DIGEST_SIZE];
    char hex[2 * BP_DIGEST_SIZE + 1], zone[BP_NAME_MAX + 1];
    bp_span v = BP_SPAN_EMPTY, z = BP_SPAN_EMPTY;
    enum bp_problem p = BP_P_NONE;
    if (!bp_api_query(c->m.query, "maker", hex, sizeof hex, &v) || (v.n != 0 && !bp_api_unhex(v, maker, sizeof maker))) {
        return refuse(c, BP_P_VALUE, "maker");
    }
    if (!bp_api_query(c->m.query, "zone", zone, sizeof zone, &z)) {
        return refuse(c, BP_P_VALUE, "zone");
    }
    const bp_result got = bp_registry_import(c->t->registry, c->q->body, v.n != 0 ? BP_SPAN_OF(maker) : BP_SPAN_EMPTY, z,
                                             actor(c), &i, &p);
    if (bp_is(got, BP_E_DENIED)) {
        return refused_text(c, BP_EV_MANIFEST_REFUSED, p, i.detail);
    }
    BP_TRY(got);
    return bp_api_json(&c->room, 201,
                       json_pack("{s:o, s:o, s:I, s:I, s:o, s:b}", "maker", bp_api_str(i.maker), "order", bp_api_str(i.order),
                                 "batch", (json_int_t)i.batch, "units", (json_int_t)i.units, "zone", bp_api_text(z),
                                 "pinned", (int)i.is_pinned_now),
                       c->ret);
}

static bp_result release_import(struct call *c)
{
    struct bp_releases r = releases(c->t);
    uint8_t key[BP_SPKI_MAX];
    char hex[2 * BP_SPKI_MAX + 1];
    uint8_t id[BP_DIGEST_SIZE];
    bp_span v = BP_SPAN_EMPTY;
    enum bp_problem p = BP_P_NONE;
    if (!bp_api_query(c->m.query, "key", hex, sizeof hex, &v) || v.n % 2 != 0 || !bp_api_unhex(v, key, v.n / 2)) {
        return refuse(c, BP_P_VALUE, "key");
    }
    const bp_result got = bp_releases_import(&r, c->q->body, bp_span_of(key, v.n / 2), actor(c), id, &p);
    if (bp_is(got, BP_E_DENIED)) {
        return refused_text(c, BP_EV_RELEASE_REFUSED, p, r.detail);
    }
    BP_TRY(got);
    return answer_release(c, BP_SPAN_OF(id), 201);
}

static bp_result release_move(struct call *c)
{
    const bool accept = c->m.id == BP_API_RELEASE_ACCEPT;
    struct bp_member m[] = {{.name = "zone", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX},
                            {.name = "reason", .kind = BP_MEMBER_TEXT, .required = !accept, .max = 256}};
    struct bp_releases r = releases(c->t);
    uint8_t id[BP_DIGEST_SIZE];
    enum bp_problem p = BP_P_NONE;
    BP_TRY(members(c, m, 2));
    if (!bp_api_unhex(c->m.param[0], id, sizeof id)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such release");
    }
    const enum bp_acceptance to = accept                               ? BP_ACC_ACCEPTED
                                  : c->m.id == BP_API_RELEASE_DEPRECATE ? BP_ACC_DEPRECATED
                                                                        : BP_ACC_WITHDRAWN;
    const bp_result got = bp_releases_move(&r, BP_SPAN_OF(id), m[0].text.n > 0 ? m[0].text : BP_SPAN_STR("*"), to,
                                           m[1].text, actor(c), &p);
    return bp_failed(got) ? passed(c, got, p, r.detail) : answer_release(c, BP_SPAN_OF(id), 200);
}

/* -- policy and settings ----------------------------------------------------------------------- */
static bp_result publish(struct call *c, bp_span document, uint64_t version)
{
    struct bp_policy_version v = {.at_ms = c->t->now_ms, .document = document, .version = version, .zone = "*"};
    struct bp_policy_version newest = {0};
    const bp_result got = bp_store_policy_newest(c->t->store, &newest);
    if (bp_failed(got) && !bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    if (!bp_failed(got) && v.version <= newest.version) {
        return refused_text(c, BP_EV_POLICY_REFUSED, BP_P_OUTDATED, "its version is not above the one in force");
    }
    copy(actor(c), v.by, sizeof v.by);
    BP_TRY(bp_hash(c->t->crypto, BP_HASH_SHA256, document, v.digest));
    BP_TRY(bp_store_policy_add(c->t->store, &v));
    const struct bp_event_detail d[] = {{BP_SPAN_STR("version"), BP_VAL_INT, (int64_t)v.version, BP_SPAN_EMPTY},
                                        {BP_SPAN_STR("digest"), BP_VAL_BYTES, 0, BP_SPAN_OF(v.digest)}};
    BP_TRY(note(c, BP_EV_POLICY_PUBLISHED, d, 2));
    c->t->effects->policy = true;
    return bp_api_json(&c->room, 200,
                       json_pack("{s:I, s:o}", "version", (json_int_t)v.version, "digest", bp_api_hex(BP_SPAN_OF(v.digest))),
                       c->ret);
}

/* Compiled aside: its own tests must pass before it is published. */
static bp_result policy_put(struct call *c)
{
    char why[BP_POLICY_REASON_MAX + 1] = "";
    size_t n = 0;
    struct bp_judge_head head = {0};
    struct bp_policy *p = NULL;
    uint8_t *document = bp_alloc(BP_POLICY_DOCUMENT_MAX);
    if (document == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_judge_compile(c->q->body, document, &n, &head, &p, why);
    if (bp_is(r, BP_E_DENIED)) {
        r = refused_text(c, BP_EV_POLICY_REFUSED, BP_P_VALUE, why);
    } else if (!bp_failed(r)) {
        r = publish(c, bp_span_of(document, n), head.version);
    }
    bp_policy_free(p);
    bp_free(document);
    return r;
}

static bp_result brownfield_put(struct call *c)
{
    struct bp_member m[] = {{.name = "enabled", .kind = BP_MEMBER_BOOL, .required = true}};
    BP_TRY(members(c, m, 1));
    BP_TRY(bp_store_setting_set(c->t->store, "brownfield", m[0].number));
    const struct bp_event_detail d[] = {{BP_SPAN_STR("setting"), BP_VAL_TEXT, 0, BP_SPAN_STR("brownfield")},
                                        {BP_SPAN_STR("value"), BP_VAL_INT, m[0].number, BP_SPAN_EMPTY}};
    BP_TRY(note(c, BP_EV_SETTING_CHANGED, d, 2));
    c->t->effects->settings = true;
    return bp_api_json(&c->room, 200, json_pack("{s:b}", "enabled", (int)m[0].number), c->ret);
}

/* -- services ---------------------------------------------------------------------------------- */
static bp_result answer_service(struct call *c, uint16_t status, const struct bp_service *v)
{
    return bp_api_json(&c->room, status, bp_api_service(v), c->ret);
}

static bp_result note_service(struct call *c, enum bp_event_type type, const struct bp_service *v)
{
    const struct bp_event_detail d[] = {{BP_SPAN_STR("service"), BP_VAL_TEXT, 0, bp_span_cstr(v->name)},
                                        {BP_SPAN_STR("profile"), BP_VAL_TEXT, 0, bp_span_cstr(v->profile)},
                                        {BP_SPAN_STR("zone"), BP_VAL_TEXT, 0, bp_span_cstr(v->zone)}};
    return note(c, type, d, 3);
}

static bp_result service_new(struct call *c)
{
    struct bp_member m[] = {{.name = "name", .kind = BP_MEMBER_TEXT, .required = true, .max = BP_SERVICE_MAX},
                            {.name = "profile", .kind = BP_MEMBER_TEXT, .required = true, .max = 16},
                            {.name = "zone", .kind = BP_MEMBER_TEXT, .max = BP_NAME_MAX}};
    struct bp_service v = {.at_ms = c->t->now_ms, .zone = "*"};
    BP_TRY(members(c, m, 3));
    if (!bp_cert_is_service(m[0].text)) {
        return refuse(c, BP_P_VALUE, "name: a-z, 0-9 and hyphens");
    }
    if (!bp_cert_is_application(bp_cert_of_device(m[1].text))) {
        return refuse(c, BP_P_VALUE, "profile: app-client, app-server or opcua");
    }
    copy(m[0].text, v.name, sizeof v.name);
    copy(m[1].text, v.profile, sizeof v.profile);
    if (m[2].text.n > 0) {
        copy(m[2].text, v.zone, sizeof v.zone);
    }
    copy(actor(c), v.by, sizeof v.by);
    const bp_result r = bp_store_service_add(c->t->store, &v);
    if (bp_is(r, BP_E_EXISTS)) {
        return refuse(c, BP_P_CONFLICT, "there is a service of this name");
    }
    BP_TRY(r);
    BP_TRY(note_service(c, BP_EV_SERVICE_ADDED, &v));
    return answer_service(c, 201, &v);
}

static bp_result service_end(struct call *c)
{
    struct bp_service v;
    const bp_result r = bp_store_service(c->t->store, c->m.param[0], &v);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such service");
    }
    BP_TRY(r);
    BP_TRY(bp_store_service_remove(c->t->store, c->m.param[0]));
    BP_TRY(note_service(c, BP_EV_SERVICE_REMOVED, &v));
    return answer_service(c, 200, &v);
}

static bp_result outage_put(struct call *c)
{
    struct bp_member m[] = {{.name = "seconds", .kind = BP_MEMBER_INT, .required = true}};
    BP_TRY(members(c, m, 1));
    if (m[0].number < BP_OUTAGE_MIN_MS / 1000 || m[0].number > BP_OUTAGE_MAX_MS / 1000) {
        return refuse(c, BP_P_VALUE, "seconds: from a minute to 180 days");
    }
    BP_TRY(bp_store_setting_set(c->t->store, "outage-tolerance-ms", m[0].number * 1000));
    const struct bp_event_detail d[] = {{BP_SPAN_STR("setting"), BP_VAL_TEXT, 0, BP_SPAN_STR("outage-tolerance-ms")},
                                        {BP_SPAN_STR("value"), BP_VAL_INT, m[0].number * 1000, BP_SPAN_EMPTY}};
    BP_TRY(note(c, BP_EV_SETTING_CHANGED, d, 2));
    c->t->effects->settings = true;
    return bp_api_json(&c->room, 200, json_pack("{s:I}", "seconds", (json_int_t)m[0].number), c->ret);
}

static bp_result renewal_put(struct call *c)
{
    static const char *const names[] = {"renew-from-permille", "renew-until-permille"};
    struct bp_member m[] = {{.name = "from", .kind = BP_MEMBER_INT, .required = true},
                            {.name = "until", .kind = BP_MEMBER_INT, .required = true}};
    BP_TRY(members(c, m, 2));
    if (m[0].number < 0 || m[0].number > m[1].number || m[1].number > 90) {
        return refuse(c, BP_P_VALUE, "from, until: percent, 0 to 90, in order");
    }
    for (size_t i = 0; i < 2; i++) {
        BP_TRY(bp_store_setting_set(c->t->store, names[i], m[i].number * 10));
        const struct bp_event_detail d[] = {{BP_SPAN_STR("setting"), BP_VAL_TEXT, 0, bp_span_cstr(names[i])},
                                            {BP_SPAN_STR("value"), BP_VAL_INT, m[i].number * 10, BP_SPAN_EMPTY}};
        BP_TRY(note(c, BP_EV_SETTING_CHANGED, d, 2));
    }
    c->t->effects->settings = true;
    return bp_api_json(&c->room, 200,
                       json_pack("{s:I, s:I}", "from", (json_int_t)m[0].number, "until", (json_int_t)m[1].number), c->ret);
}

/* -- dispatch ---------------------------------------------------------------------------------- */
typedef bp_result handler(struct call *c);

/* A row without a handler here is not the keeper's. */
static handler *const handlers[BP_API_COUNT] = {
    [BP_API_SESSION_NEW] = session_new,
    [BP_API_SESSION] = session_get,
    [BP_API_SESSION_END] = session_end,
    [BP_API_OPERATOR_NEW] = operator_new,
    [BP_API_CODE_NEW] = code_new,
    [BP_API_ESCROW] = escrow,
    [BP_API_APPROVE] = approve,
    [BP_API_QUARANTINE] = act_on_device,
    [BP_API_RELEASE_DEVICE] = act_on_device,
    [BP_API_REVOKE] = act_on_device,
    [BP_API_RETIRE] = act_on_device,
    [BP_API_PERMIT] = permit,
    [BP_API_DECOMMISSION] = decommission,
    [BP_API_OWNERSHIP] = ownership_get,
    [BP_API_OWNERSHIP_PUT] = ownership_put,
    [BP_API_INVITE] = invite,
    [BP_API_SUCCEED] = succeed,
    [BP_API_ACTION_APPROVE] = action_decide,
    [BP_API_ACTION_REJECT] = action_decide,
    [BP_API_POSITION_NEW] = position_new,
    [BP_API_POSITION_ASSIGN] = position_assign,
    [BP_API_POSITION_REPLACE] = position_replace,
    [BP_API_MANIFEST_IMPORT] = manifest_import,
    [BP_API_RELEASE_IMPORT] = release_import,
    [BP_API_RELEASE_ACCEPT] = release_move,
    [BP_API_RELEASE_DEPRECATE] = release_move,
    [BP_API_RELEASE_WITHDRAW] = release_move,
    [BP_API_POLICY_PUT] = policy_put,
    [BP_API_BROWNFIELD_PUT] = brownfield_put,
    [BP_API_SERVICE_NEW] = service_new,
    [BP_API_SERVICE_END] = service_end,
    [BP_API_OUTAGE_PUT] = outage_put,
    [BP_API_RENEWAL_PUT] = renewal_put,
};

bp_result bp_api_write(void *self, struct bp_turn *t, const struct bp_ex_request *q, struct bp_ex_answer *ret)
{
    struct call c = {.w = self, .t = t, .q = q, .room = {t->room, t->room_cap, 0}, .ret = ret};
    const char *detail = "";
    json_set_alloc_funcs(bp_alloc, bp_free);
    bp_api_find(q->method, q->target, &c.m);
    const enum bp_problem p = bp_api_admit(t->store, t->crypto, t->now_ms, q, &c.m, &c.who, &detail);
    if (p != BP_P_NONE) {
        return refuse(&c, p, detail);
    }
    if (handlers[c.m.id] == NULL) {
        return refuse(&c, BP_P_NOT_FOUND, "");
    }
    if (t->is_recovering && !bp_api_takes_away(c.m.id)) {
        return refuse(&c, BP_P_RECOVERING, "");
    }
    const bp_result r = handlers[c.m.id](&c);
    json_decref(c.body);
    return r;
}
