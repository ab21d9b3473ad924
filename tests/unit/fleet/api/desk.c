/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/api/desk - see desk.h. */
#include "desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE TEST

bool desk_open(struct desk *d)
{
    memset(d, 0, sizeof *d);
    (void)snprintf(d->dir, sizeof d->dir, "/tmp/bp-desk-XXXXXX");
    if (mkdtemp(d->dir) == NULL) {
        return false;
    }
    (void)snprintf(d->path, sizeof d->path, "%s/db", d->dir);
    d->now_ms = 1800000000000;
    d->chance.state = 7;
    d->entropy = bp_entropy_sim(&d->chance);
    d->room = bp_alloc(BP_TURN_ROOM);
    d->read.room = bp_alloc(BP_API_ROOM);
    if (d->room == NULL || d->read.room == NULL || bp_failed(bp_crypto_openssl_new(16, &d->crypto)) ||
        bp_failed(bp_store_open(d->path, BP_STORE_WRITE, "test", NULL, &d->store)) ||
        bp_failed(bp_store_open(d->path, BP_STORE_READ, "test", NULL, &d->reader)) ||
        bp_failed(bp_log_open(&d->log, d->store, d->crypto))) {
        return false;
    }
    d->registry = (struct bp_registry){.store = d->store, .log = &d->log, .crypto = d->crypto, .entropy = &d->entropy,
                                       .effects = &d->effects, .now_ms = d->now_ms};
    d->writer.name = "plant.example";
    d->writer.enrol_url = "https://plant.example:8444";
    d->writer.root_der = BP_SPAN_STR("root");
    d->writer.operators_der = BP_SPAN_STR("operators");
    d->read.store = d->reader;
    d->read.crypto = d->crypto;
    d->read.room_cap = BP_API_ROOM;
    d->read.name = "plant.example";
    d->read.version = "0.1";
    d->read.organisation = "Plant";
    return true;
}

void desk_close(struct desk *d)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    bp_store_free(d->reader);
    bp_store_free(d->store);
    bp_crypto_openssl_free(d->crypto);
    bp_free(d->room);
    bp_free(d->read.room);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", d->path, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(d->dir);
}

static bp_result finish(struct desk *d, bp_result r)
{
    if (!bp_failed(r)) {
        r = bp_log_flush(&d->log);
    }
    bp_result end = bp_store_act_end(d->store, !bp_failed(r));
    if (bp_failed(r)) {
        end = bp_log_reload(&d->log);
    }
    if (bp_failed(end)) {
        bp_store_abort(d->store);
        return end;
    }
    const bp_result commit = bp_store_commit(d->store);
    return bp_failed(commit) ? commit : r;
}

bool desk_act(struct desk *d, bp_result (*fn)(struct desk *d, void *arg), void *arg)
{
    if (bp_failed(bp_store_begin(d->store)) || bp_failed(bp_store_act(d->store))) {
        return false;
    }
    return !bp_failed(finish(d, fn(d, arg)));
}

/* -- asking ------------------------------------------------------------------------------------ */
static struct bp_turn turn_of(struct desk *d)
{
    d->registry.now_ms = d->now_ms;
    return (struct bp_turn){.store = d->store, .log = &d->log, .registry = &d->registry, .effects = &d->effects,
                            .crypto = d->crypto, .entropy = &d->entropy, .now_ms = d->now_ms, .room = d->room,
                            .room_cap = BP_TURN_ROOM};
}

static void problem(struct bp_turn *t, bp_result r, struct bp_ex_answer *a)
{
    static char body[2048];
    const enum bp_problem p = bp_is(r, BP_E_DENIED) && t->problem != BP_P_NONE ? t->problem : BP_P_INTERNAL;
    const struct bp_problem_row row = bp_problem_row(p);
    json_t *j = json_pack("{s:s, s:s}", "code", row.code, "detail", t->detail);
    const size_t n = json_dumpb(j, body, sizeof body, 0);
    json_decref(j);
    *a = (struct bp_ex_answer){.status = row.status, .content_type = BP_SPAN_STR("application/problem+json"), .body = bp_span_of(body, n)};
}

/* The signer's answer comes in an act of its own, as with the keeper. */
static void ask_signer(struct desk *d, struct bp_turn *t, struct bp_ex_answer *a)
{
    uint8_t kept[4096];
    const size_t n = t->ask.keep.n < sizeof kept ? t->ask.keep.n : 0;
    memcpy(kept, t->ask.keep.p, n);
    (void)snprintf(d->asked, sizeof d->asked, "%s", t->ask.op);
    bp_turn_then *then = t->ask.then;
    struct bp_turn next = turn_of(d);
    *a = (struct bp_ex_answer){0};
    if (bp_failed(bp_store_begin(d->store)) || bp_failed(bp_store_act(d->store))) {
        return;
    }
    const bp_result r = finish(d, then(&d->writer, &next, d->signer_status, d->signer_answer, bp_span_of(kept, n), a));
    if (bp_failed(r)) {
        problem(&next, r, a);
    }
}

static void write_side(struct desk *d, const struct bp_ex_request *q, struct bp_ex_answer *a)
{
    struct bp_turn t = turn_of(d);
    if (bp_failed(bp_store_begin(d->store)) || bp_failed(bp_store_act(d->store))) {
        return;
    }
    const bp_result r = finish(d, bp_api_write(&d->writer, &t, q, a));
    if (bp_failed(r)) {
        problem(&t, r, a);
    } else if (t.ask.op != NULL) {
        ask_signer(d, &t, a);
    }
}

static void take(struct reply *r, const struct bp_ex_answer *a)
{
    const bp_span name = BP_SPAN_STR("Set-Cookie");
    const bp_span key = BP_SPAN_STR(BP_OPERATOR_COOKIE "=");
    r->status = a->status;
    (void)snprintf(r->type, sizeof r->type, "%.*s", (int)a->content_type.n, a->content_type.n == 0 ? "" : (const char *)a->content_type.p);
    for (size_t i = 0; i < a->header_count; i++) {
        if (bp_span_equal(a->header[i].name, name) && a->header[i].value.n > key.n + 64) {
            memcpy(r->cookie, a->header[i].value.p + key.n, 64);
        }
    }
    r->body_n = a->body.n;
    r->body = bp_strndup(a->body);
    r->json = r->body == NULL ? NULL : json_loadb(r->body, r->body_n, JSON_DECODE_ANY, NULL);
}

struct reply desk_ask(struct desk *d, const struct asker *who, const char *method, const char *target, const char *type,
                      const char *body, size_t body_n)
{
    struct reply r = {0};
    struct bp_ex_answer a = {0};
    char cookie[128] = "";
    if (who->cookie != NULL) {
        (void)snprintf(cookie, sizeof cookie, "other=1; " BP_OPERATOR_COOKIE "=%s; last=2", who->cookie);
    }
    const struct bp_ex_request q = {
        .listener = BP_SPAN_STR("operate"), .method = bp_span_cstr(method), .target = bp_span_cstr(target),
        .content_type = bp_span_cstr(type == NULL ? "" : type), .body = bp_span_of(body, body_n),
        .peer_spki = who->spki, .peer_issuer = bp_span_cstr(who->issuer == NULL ? "" : who->issuer),
        .source = BP_SPAN_STR("192.0.2.7"), .cookie = bp_span_cstr(cookie),
        .csrf = bp_span_cstr(who->csrf == NULL ? "" : who->csrf)};
    if (bp_api_where(q.method, q.target) == BP_API_KEEPER) {
        write_side(d, &q, &a);
    } else {
        d->read.now_ms = d->now_ms;
        bp_api_read(&d->read, &q, &a);
    }
    take(&r, &a);
    return r;
}

struct reply desk_json(struct desk *d, const struct asker *who, const char *method, const char *target, const char *body)
{
    return desk_ask(d, who, method, target, body == NULL ? NULL : "application/json", body, body == NULL ? 0 : strlen(body));
}

void desk_done(struct reply *r)
{
    json_decref(r->json);
    bp_free(r->body);
    memset(r, 0, sizeof *r);
}

const char *desk_text(const struct reply *r, const char *name)
{
    const char *s = json_string_value(json_object_get(r->json, name));
    return s == NULL ? "" : s;
}

const char *desk_problem(const struct reply *r)
{
    return r->status >= 400 ? desk_text(r, "code") : "";
}

/* -- what tests begin with ---------------------------------------------------------------------- */
struct code_arg {
    enum bp_role role;
    char code[BP_OPERATOR_CODE_TEXT + 1];
};

static bp_result make_code(struct desk *d, void *arg)
{
    struct code_arg *c = arg;
    enum bp_problem p = BP_P_NONE;
    struct bp_operators o = {d->store, &d->log, d->crypto, &d->entropy, d->now_ms};
    return bp_operators_code(&o, c->role, BP_SPAN_EMPTY, BP_SPAN_STR("init"), c->code, &p);
}

bool desk_sign_in(struct desk *d, enum bp_role role, char *cookie, char *csrf)
{
    struct code_arg c = {.role = role};
    char body[128];
    const struct asker nobody = {0};
    if (!desk_act(d, make_code, &c)) {
        return false;
    }
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", c.code);
    struct reply r = desk_json(d, &nobody, "POST", "/api/v1/session", body);
    const bool ok = r.status == 201 && strlen(r.cookie) == 64 && strlen(desk_text(&r, "csrf")) == 64;
    (void)snprintf(cookie, 65, "%.64s", r.cookie);
    (void)snprintf(csrf, 65, "%.64s", desk_text(&r, "csrf"));
    desk_done(&r);
    return ok;
}

struct device_arg {
    uint8_t tag;
    struct bp_device *ret;
};

static bp_result make_device(struct desk *d, void *arg)
{
    struct device_arg *a = arg;
    uint8_t id[BP_ID_SIZE] = {1};
    uint8_t ek[1][32] = {{0}};
    enum bp_problem p = BP_P_NONE;
    char source[24];
    id[1] = a->tag;
    id[32] = a->tag;
    memcpy(ek[0], id + 1, sizeof ek[0]); /* the id is of its identity key */
    (void)snprintf(source, sizeof source, "198.51.100.%u", a->tag);
    struct bp_contact c = {.id = BP_SPAN_OF(id), .ek = (const uint8_t(*)[32])ek, .ek_count = 1, .ak_public = BP_SPAN_STR("ak"),
                           .binding = BP_SPAN_STR("binding"), .issuer_class = BP_SPAN_STR("virtual"), .kind = BP_SPAN_STR("tpm2"),
                           .source = bp_span_cstr(source), .info = BP_SPAN_OF(((const uint8_t[]){0xa1, 0x61, 'm', 0x61, 'x'}))};
    c.ak_name[0] = a->tag;
    c.ak_name[1] = 0xaa;
    return bp_registry_contact(&d->registry, &c, a->ret, &p);
}

bool desk_device(struct desk *d, uint8_t tag, struct bp_device *ret)
{
    struct device_arg a = {tag, ret};
    d->registry.now_ms = d->now_ms;
    return desk_act(d, make_device, &a);
}

uint32_t desk_last_event(struct desk *d)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    struct bp_event e;
    if (d->log.size == 0 || bp_failed(bp_store_event(d->store, d->log.size - 1, &body, digest)) ||
        bp_failed(bp_event_read(body, &e))) {
        return 0;
    }
    return (uint32_t)e.type;
}
