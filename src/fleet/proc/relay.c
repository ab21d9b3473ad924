/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/relay - one request of the net to the process that answers it, and the answer back. */
#include "fleet/proc/front.h"

#include <stdio.h>

#include "codec/ocsp.h"
#include "fleet/api/api.h"
#include "fleet/proc/page.h"
#include "fleet/proc/probe.h"
#include "platform/alloc.h"

#define BP_MODULE PROC

#define BODY_SMALL    (64u << 10)
#define BODY_EVIDENCE (1u << 20)
#define BODY_REQUEST  (512u << 10) /* a certificate request with evidence in it */
#define BODY_RELEASE  (1u << 20)
#define EXCHANGE_ROOM 16384u /* everything but the body: target, headers, hashes */
#define HEADERS_OWN   6u
#define NAME_ROOM     48u

/* A request that is somewhere else now. The responder is forgotten when the client leaves first. */
struct relay {
    struct bp_front_listener *l;
    struct bp_responder *rs;
};

/* ---- headers ---- */

static bool is_api(const struct bp_http *h)
{
    const bp_span path = bp_http_path(h);
    return path.n >= 5 && memcmp(path.p, "/api/", 5) == 0;
}

/* What the browser may do with answers of the operate listener. No Strict-Transport-Security: the name is often
 * localhost, where it would bind every other program on the machine. */
static size_t security_headers(struct bp_http_header *at)
{
    size_t n = 0;
    at[n++] = (struct bp_http_header){"Content-Security-Policy", BP_SPAN_STR(BP_PAGE_CSP)};
    at[n++] = (struct bp_http_header){"X-Content-Type-Options", BP_SPAN_STR("nosniff")};
    at[n++] = (struct bp_http_header){"Referrer-Policy", BP_SPAN_STR("no-referrer")};
    at[n++] = (struct bp_http_header){"Cross-Origin-Opener-Policy", BP_SPAN_STR("same-origin")};
    at[n++] = (struct bp_http_header){"Cross-Origin-Resource-Policy", BP_SPAN_STR("same-origin")};
    return n;
}

/* ---- refusing ---- */

static bp_span json_problem(enum bp_problem problem, char *ret, size_t cap)
{
    const struct bp_problem_row row = bp_problem_row(problem);
    const int n = snprintf(ret, cap,
                           "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\",\"detail\":\"\","
                           "\"action\":\"%s\"}",
                           row.title, (unsigned)row.status, row.code, row.action);
    return n > 0 && (size_t)n < cap ? bp_span_of(ret, (size_t)n) : BP_SPAN_EMPTY;
}

void bp_front_refuse(const struct bp_front_listener *l, struct bp_responder *rs, enum bp_problem problem,
                     unsigned retry_after_s)
{
    char text[1024], seconds[12];
    struct bp_http_header h[HEADERS_OWN + 4];
    size_t n = l->id == BP_L_OPERATE ? security_headers(h) : 0;
    h[n++] = (struct bp_http_header){"Content-Type", BP_SPAN_STR("application/problem+json")};
    h[n++] = (struct bp_http_header){"Cache-Control", BP_SPAN_STR("no-store")};
    if (retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%u", retry_after_s);
        h[n++] = (struct bp_http_header){"Retry-After", bp_span_cstr(seconds)};
    }
    BP_IGNORE(bp_respond(rs, bp_problem_row(problem).status, h, n, json_problem(problem, text, sizeof text)),
              "the responder is gone in any case");
}

bool bp_front_is_denied(const struct bp_front *f, const struct bp_tls_peer *peer)
{
    return peer != NULL && bp_denyset_has(&f->deny, peer->spki_sha256);
}

/* ---- the way there ---- */

static bp_span issuer_of(const struct bp_front_listener *l, const struct bp_tls_peer *peer)
{
    /* The order in which front.c gives the anchors to each listener's context. */
    if (l->id == BP_L_OPERATE) {
        return BP_SPAN_STR("operator");
    }
    return peer->ca < l->device_cas ? BP_SPAN_STR("device") : BP_SPAN_STR("brownfield");
}

bp_result bp_front_exchange(const struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs,
                            bp_span target, uint8_t **ret, size_t *ret_n)
{
    uint8_t exporter[32];
    const struct bp_http *h = rq->http;
    const bp_span body = target.n > 0 ? BP_SPAN_EMPTY : bp_http_body(h);
    struct bp_ex_request q = {
        .listener = bp_span_cstr(bp_listener_name(l->id)),
        .method = bp_span_cstr(bp_http_method_name(h->method == BP_HTTP_HEAD ? BP_HTTP_GET : h->method)),
        .target = target.n > 0 ? target : bp_http_target(h),
        .content_type = bp_http_header(h, "content-type", NULL),
        .body = body,
        .source = bp_span_cstr(rq->source),
        .cookie = bp_http_header(h, "cookie", NULL),
        .csrf = bp_http_header(h, "x-bedplate-csrf", NULL),
        .language = bp_http_header(h, "accept-language", NULL),
    };
    const bp_span agent = bp_http_header(h, "user-agent", NULL);
    q.agent = bp_span_sub(agent, 0, agent.n < BP_EX_AGENT_MAX ? agent.n : BP_EX_AGENT_MAX);
    if (rq->peer != NULL) {
        q.peer_spki = BP_SPAN_OF(rq->peer->spki_sha256);
        q.peer_serial = bp_span_of(rq->peer->serial, rq->peer->serial_n);
        q.peer_issuer = issuer_of(l, rq->peer);
    }
    /* Only where the binding is the exporter: elsewhere the keeper takes zero bytes, never what a front says. */
    if (l->id == BP_L_DEVICE) {
        BP_TRY(bp_responder_exporter(rs, exporter));
        q.exporter = BP_SPAN_OF(exporter);
    }
    BP_PROBE_FORGE(rq, &q);
    const size_t cap = body.n + EXCHANGE_ROOM;
    uint8_t *p = bp_alloc(cap);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = bp_ex_request_write(&q, p, cap, ret_n);
    if (bp_failed(r)) {
        bp_free(p);
        return r;
    }
    *ret = p;
    return BP_OK;
}

/* The keeper, or one reader after the other. */
static struct bp_peer *answerer(struct bp_front_listener *l, const struct bp_http *h)
{
    struct bp_front *f = l->f;
    const bp_span method = bp_span_cstr(bp_http_method_name(h->method == BP_HTTP_HEAD ? BP_HTTP_GET : h->method));
    if (l->id != BP_L_OPERATE || !bp_api_is_read(method, bp_http_target(h))) {
        return f->keeper;
    }
    for (size_t i = 0; i < BP_FRONT_READERS_MAX; i++) {
        f->next_reader = (f->next_reader + 1) % BP_FRONT_READERS_MAX;
        if (f->reader[f->next_reader] != NULL) {
            return f->reader[f->next_reader];
        }
    }
    return NULL;
}

/* ---- the way back ---- */

/* Headers that an answering process may set; anything else it says about the connection is not its to say. */
static bool may_set(bp_span name)
{
    static const char *const names[] = {"Retry-After",         "Set-Cookie",    "Location",     "ETag", "Allow",
                                        "Content-Disposition", "Cache-Control", "Last-Modified",
                                        "Content-Transfer-Encoding", "WWW-Authenticate", "Link"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bp_span_equal(name, bp_span_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

static void respond(const struct bp_front_listener *l, struct bp_responder *rs, const struct bp_ex_answer *a)
{
    struct bp_http_header h[HEADERS_OWN + BP_EX_HEADERS_MAX + 2];
    char name[BP_EX_HEADERS_MAX][NAME_ROOM];
    size_t n = l->id == BP_L_OPERATE ? security_headers(h) : 0;
    bool has_cache = false;
    if (a->content_type.n > 0) {
        h[n++] = (struct bp_http_header){"Content-Type", a->content_type};
    }
    for (size_t i = 0; i < a->header_count; i++) {
        const bp_span from = a->header[i].name;
        if (from.n >= NAME_ROOM || !may_set(from)) {
            continue;
        }
        memcpy(name[i], from.p, from.n);
        name[i][from.n] = '\0';
        has_cache = has_cache || bp_span_equal(from, BP_SPAN_STR("Cache-Control"));
        h[n++] = (struct bp_http_header){name[i], a->header[i].value};
    }
    if (!has_cache && l->id != BP_L_STATUS) {
        h[n++] = (struct bp_http_header){"Cache-Control", BP_SPAN_STR("no-store")};
    }
    BP_IGNORE(bp_respond(rs, a->status, h, n, a->body), "on failure it was answered 500");
}

static void on_answer(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct relay *y = arg;
    struct bp_front *f = y->l->f;
    struct bp_ex_answer a;
    if (y->rs == NULL) {
        /* the client left */
    } else if (bp_failed(r)) {
        bp_front_refuse(y->l, y->rs, bp_is(r, BP_E_EXPIRED) ? BP_P_BUSY : BP_P_UNAVAILABLE, 1);
    } else if (status != 0) {
        const enum bp_problem p = status <= UINT16_MAX ? (enum bp_problem)status : BP_P_INTERNAL;
        bp_front_refuse(y->l, y->rs, p, p == BP_P_BUSY || p == BP_P_UNAVAILABLE ? 1 : 0);
    } else if (bp_failed(bp_ex_answer_read(body, &a))) {
        bp_front_refuse(y->l, y->rs, BP_P_INTERNAL, 0);
    } else {
        respond(y->l, y->rs, &a);
    }
    bp_free(y);
    f->open--;
    bp_front_settled(f);
}

static void on_client_left(void *arg)
{
    struct relay *y = arg;
    y->rs = NULL;
}

void bp_front_relay(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs)
{
    struct bp_peer *to = answerer(l, rq->http);
    uint8_t *body = NULL;
    size_t body_n = 0;
    if (to == NULL) {
        bp_front_refuse(l, rs, BP_P_UNAVAILABLE, 1);
        return;
    }
    const bp_result r = bp_front_exchange(l, rq, rs, BP_SPAN_EMPTY, &body, &body_n);
    struct relay *y = bp_alloc(sizeof *y);
    if (bp_failed(r) || y == NULL) {
        bp_front_refuse(l, rs, bp_failed(r) && !bp_is(r, BP_E_NO_MEMORY) ? BP_P_MALFORMED : BP_P_BUSY, 1);
        bp_free(body);
        bp_free(y);
        return;
    }
    *y = (struct relay){.l = l, .rs = rs};
    const bp_result called = bp_peer_call(to, BP_PROBE_OP(rq), bp_span_of(body, body_n), BP_FRONT_CALL_MS, on_answer, y);
    bp_free(body);
    if (bp_failed(called)) {
        bp_free(y);
        bp_front_refuse(l, rs, bp_is(called, BP_E_CLOSED) ? BP_P_UNAVAILABLE : BP_P_BUSY, 1);
        return;
    }
    l->f->open++;
    bp_hold(rs, on_client_left, y);
}

/* ---- the page ---- */

/* Whether If-None-Match names this tag (RFC 9110 section 13.1.2); a list of tags is searched as text, since a tag with
 * its quotes occurs in it only as itself. */
static bool is_matched(bp_span list, bp_span etag)
{
    return list.n > 0 && etag.n > 0 && memmem(list.p, list.n, etag.p, etag.n) != NULL;
}

static void serve_page(const struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs)
{
    struct bp_http_header h[HEADERS_OWN + 5];
    struct bp_page_file file;
    if (rq->http->method != BP_HTTP_GET && rq->http->method != BP_HTTP_HEAD) {
        bp_front_refuse(l, rs, BP_P_METHOD, 0);
        return;
    }
    if (!bp_page_file(bp_http_path(rq->http), &file)) {
        bp_front_refuse(l, rs, BP_P_NOT_FOUND, 0);
        return;
    }
    size_t n = security_headers(h);
    h[n++] = (struct bp_http_header){"ETag", file.etag};
    h[n++] = (struct bp_http_header){"Cache-Control", file.is_immutable ? BP_SPAN_STR("max-age=31536000, immutable")
                                                                        : BP_SPAN_STR("no-cache")};
    if (is_matched(bp_http_header(rq->http, "if-none-match", NULL), file.etag)) {
        BP_IGNORE(bp_respond(rs, 304, h, n, BP_SPAN_EMPTY), "the responder is gone in any case");
        return;
    }
    h[n++] = (struct bp_http_header){"Content-Type", file.content_type};
    h[n++] = (struct bp_http_header){"Content-Encoding", BP_SPAN_STR("gzip")};
    BP_IGNORE(bp_respond(rs, 200, h, n, file.gzip), "the responder is gone in any case");
}

/* ---- net/server's hooks ---- */

static bool is_path(const struct bp_http *h, const char *path)
{
    return bp_span_equal(bp_http_path(h), bp_span_cstr(path));
}

/* Revocation lists of issuing CAs; those of one moment have one number. */
static bool is_list(const struct bp_http *h)
{
    const bp_span begin = BP_SPAN_STR("/crl/issuing-");
    return bp_span_equal(bp_span_sub(bp_http_path(h), 0, begin.n), begin);
}

/* simpleenroll and simplereenroll, under any label. */
static bool is_enrolment(const struct bp_http *h)
{
    static const char *const ends[] = {"/simpleenroll", "/simplereenroll"};
    const bp_span path = bp_http_path(h);
    const bp_span begin = BP_SPAN_STR("/.well-known/est/");
    bool fits = false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const bp_span end = bp_span_cstr(ends[i]);
        fits = fits || (path.n >= end.n && bp_span_equal(bp_span_sub(path, path.n - end.n, end.n), end));
    }
    return fits && bp_span_equal(bp_span_sub(path, 0, begin.n), begin);
}

/* The one thing that may be sent to the status listener. */
static bool is_status_question(const struct bp_http *h)
{
    return h->method == BP_HTTP_POST && is_path(h, "/ocsp");
}

size_t bp_front_body_max(void *self, const struct bp_http *head)
{
    const struct bp_front_listener *l = self;
    switch (l->id) {
    case BP_L_DEVICE:
    case BP_L_ENROL:
        return is_path(head, "/bedplate/v1/attest") ? BODY_EVIDENCE : is_enrolment(head) ? BODY_REQUEST : BODY_SMALL;
    case BP_L_OPERATE:
        return is_path(head, BP_API_PREFIX "/releases") ? BODY_RELEASE : BODY_SMALL;
    case BP_L_STATUS:
        return is_status_question(head) ? BP_OCSP_REQUEST_MAX : 0;
    case BP_L_COUNT:
        break;
    }
    return 0;
}

void bp_front_handle(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    struct bp_front_listener *l = self;
    if (bp_front_is_denied(l->f, rq->peer)) {
        bp_front_refuse(l, rs, BP_P_REVOKED, 0);
    } else if (l->id == BP_L_OPERATE && !is_api(rq->http)) {
        serve_page(l, rq, rs);
    } else if (l->id == BP_L_STATUS && rq->http->method != BP_HTTP_GET && rq->http->method != BP_HTTP_HEAD &&
               !is_status_question(rq->http)) {
        bp_front_refuse(l, rs, BP_P_METHOD, 0);
    } else if (l->id != BP_L_OPERATE && l->id != BP_L_STATUS && !l->f->is_accepting) {
        bp_front_refuse(l, rs, BP_P_BUSY, 2);
    } else if (l->id == BP_L_OPERATE &&
               bp_api_where(bp_span_cstr(bp_http_method_name(rq->http->method)), bp_http_target(rq->http)) ==
                   BP_API_FRONT) {
        bp_front_stream_ask(l, rq, rs);
    } else if (l->id == BP_L_STATUS && is_list(rq->http) && bp_front_hold(l, rq, rs)) {
        /* it waits */
    } else {
        bp_front_relay(l, rq, rs);
    }
}
