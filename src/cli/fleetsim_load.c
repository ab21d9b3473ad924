/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_load - the loop of a simulated fleet: a few lanes let gateways join, then all take turns attesting, then
 * renewing their certificates, then some are revoked while the others look on. */
#include "cli/fleetsim.h"

#include "codec/device.h"
#include "codec/ear.h"
#include "net/loop.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"

#include <signal.h>
#include <stdlib.h>

#define BP_MODULE CLI

#define LANES_MAX    64u
#define MAKE_STEP    16u /* gateways made a tick, before the first joins */
#define CALL_MS      30000u
#define TICK_MS      1u
#define CUT_MS       10000
#define KEEP_MS      45000 /* well below the 75 s after which a server ends a session that says nothing */
#define TOLD_MAX     5u
#define SAMPLES_MAX  (1u << 18)
#define DEVICE_PORT  8443u
#define ATTEST_PATH  "/bedplate/v1/attest"
#define NONCE_PATH   "/bedplate/v1/nonce"
#define RENEW_PATH   "/.well-known/est/simplereenroll"

struct fleet;

struct gateway {
    struct fleet *f;
    struct bp_sim_device d;
    struct bp_tls *tls;
    struct bp_client *client;
    uint8_t binding[32];
    bool is_made, has_joined, is_bound, is_busy;
    bool is_stale;   /* its last answer was none: it asks for a nonce first */
    bool is_revoked; /* or about to be */
    bool is_vouched; /* its key is, for ten minutes */
    bool asks_vouching; /* the evidence that is under way does */
    int64_t sent_ms;
    struct gateway *later; /* joined, and spoke after this one */
};

enum step { INVITE, HELLO, FIRST, ENROL, CONNECT, PROVE };

/* One gateway after another joins in it. */
struct lane {
    struct fleet *f;
    struct bp_api *api;
    struct bp_tls *tls;
    struct bp_client *enrol;
    struct gateway *g;
    enum step step;
    int64_t begun_ms;
};

/* MAKING: keys and the maker's certificates, which a factory makes. VOUCHING: each gets its key vouched for once, so that RENEWING is certificates alone. */
enum phase { MAKING, JOINING, ATTESTING, VOUCHING, RENEWING, REVOKING, ENDED };

struct window {
    uint32_t *ms; /* of each answer */
    size_t count;
    size_t refused;
    int64_t begun_ms;
};

struct fleet {
    struct bp_cli *cli;
    const struct bp_sim_spec *spec;
    struct bp_clock clock;
    struct bp_loop *loop;
    struct bp_timer *tick;
    struct bp_signal *on_int, *on_term;
    struct gateway *g;
    struct lane lane[LANES_MAX];
    size_t lanes;
    struct bp_url enrol;
    bool has_url;
    enum phase phase;
    size_t made, next_new, joined, failed, resting; /* resting: lanes without work */
    struct gateway *quiet, *quiet_last; /* while joining: by when they spoke, the longest silent first */
    size_t next, in_flight, refused;
    uint64_t sent; /* while attesting */
    int64_t begun_ms; /* of the phase */
    uint32_t windows;
    struct window now;
    unsigned told;
    size_t vouched, revoked, cut_late;
    bool is_asked, is_answered, is_cut;
    int64_t revoke_ms;
    int code;
    uint8_t body[BP_SIM_EVIDENCE_MAX];
};

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

static int64_t now_of(const struct fleet *f)
{
    return bp_mono_ms(&f->clock);
}

/* The first few reasons are told. */
static void complain(struct fleet *f, const char *act, bp_result r, const struct bp_http *http)
{
    if (f->told++ >= TOLD_MAX) {
        return;
    }
    if (http == NULL) {
        bp_tell(f->cli, 0, "%s: %s", act, bp_error_text(bp_error_of(r)));
        return;
    }
    const bp_span body = bp_http_body(http);
    fprintf(f->cli->err, "bedplate: %s: status %u ", act, (unsigned)http->status);
    bp_print_text(f->cli->err, bp_span_sub(body, 0, body.n < 300 ? body.n : 300));
    fputc('\n', f->cli->err);
}

/* --- figures --- */

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* The smallest value that `share` of 1000 do not pass (nearest rank). */
static uint32_t quantile(const struct window *w, size_t share)
{
    return w->count == 0 ? 0 : w->ms[(w->count * share + 999) / 1000 - 1];
}

static void sample(struct window *w, int64_t ms)
{
    if (w->count < SAMPLES_MAX) {
        w->ms[w->count++] = ms < 0 ? 0 : (uint32_t)ms;
    }
}

static void tell_window(struct fleet *f, const char *phase)
{
    struct window *w = &f->now;
    const double s = (double)(now_of(f) - w->begun_ms) / 1000;
    const double rate = s > 0 ? (double)w->count / s : 0;
    qsort(w->ms, w->count, sizeof w->ms[0], by_value);
    const unsigned p50 = quantile(w, 500), p99 = quantile(w, 990), max = quantile(w, 1000);
    if (f->cli->json) {
        fprintf(f->cli->out,
                "{\"phase\": \"%s\", \"devices\": %zu, \"seconds\": %.3f, \"answers\": %zu, \"refused\": %zu, \"rate\": "
                "%.1f, \"p50_ms\": %u, \"p99_ms\": %u, \"max_ms\": %u}\n",
                phase, f->joined, s, w->count, w->refused, rate, p50, p99, max);
    } else {
        fprintf(f->cli->out, "%-8s %6zu in %.1f s, %.1f /s, p50 %u ms, p99 %u ms, longest %u ms, %zu refused\n", phase,
                w->count, s, rate, p50, p99, max, w->refused);
    }
    (void)fflush(f->cli->out);
    *w = (struct window){.ms = w->ms, .begun_ms = now_of(f)};
}

/* --- phases --- */

static void end(struct fleet *f)
{
    f->phase = ENDED;
    bp_loop_stop(f->loop);
}

static void begin(struct fleet *f, enum phase phase)
{
    f->phase = phase;
    f->begun_ms = now_of(f);
    f->now = (struct window){.ms = f->now.ms, .begun_ms = f->begun_ms};
}

static void after_joining(struct fleet *f)
{
    tell_window(f, "join");
    begin(f, ATTESTING);
    f->sent = 0;
    if (f->joined == 0) {
        end(f);
    }
}

/* --- joining --- */

static void next_gateway(struct lane *l);
static void on_lane(void *arg, bp_result r, const struct bp_http *http);

static void lane_failed(struct lane *l, const char *act, bp_result r, const struct bp_http *http)
{
    complain(l->f, act, r, http);
    l->f->failed++;
    next_gateway(l);
}

static bp_result send_on(struct bp_client *client, enum bp_http_method method, const char *target, const char *type,
                         bp_span body, bp_client_fn *fn, void *arg)
{
    const struct bp_http_header header = {"Content-Type", bp_span_cstr(type != NULL ? type : "")};
    const struct bp_client_request rq = {.method = method,
                                         .target = target,
                                         .headers = &header,
                                         .header_count = type != NULL ? 1 : 0,
                                         .body = body};
    return bp_client_send(client, &rq, fn, arg);
}

static bp_result ask_invitation(struct lane *l)
{
    char body[256];
    json_t *o = json_pack("{s:s, s:s}", "zone", l->f->spec->zone, "model", "simulated");
    const size_t n = json_dumpb(o, body, sizeof body, JSON_COMPACT);
    json_decref(o);
    return n == 0 || n > sizeof body ? BP_FAIL(BAD_ARGUMENT)
                                     : send_on(bp_api_client(l->api), BP_HTTP_POST, "/api/v1/invitations",
                                               "application/json", bp_span_of(body, n), on_lane, l);
}

/* Where devices enrol: --server, or what the invitation's line says. */
static bool learn_url(struct fleet *f, const char *line)
{
    static const char mark[] = "--server ";
    char url[BP_URL_HOST_MAX + 32];
    const char *at = f->spec->server != NULL ? f->spec->server : line == NULL ? NULL : strstr(line, mark);
    if (at != NULL && f->spec->server == NULL) {
        at += sizeof mark - 1;
    }
    const size_t n = at == NULL ? 0 : strcspn(at, " ");
    if (n == 0 || n >= sizeof url) {
        return false;
    }
    memcpy(url, at, n);
    url[n] = '\0';
    f->has_url = bp_url_read(url, &f->enrol);
    return f->has_url;
}

static bp_result open_enrol(struct lane *l)
{
    struct fleet *f = l->f;
    if (l->enrol != NULL) {
        return BP_OK;
    }
    if (l->tls == NULL) {
        const struct bp_tls_client_spec tls = {.anchors = &f->spec->root, .anchor_count = 1};
        BP_TRY(bp_tls_client_new(&tls, &l->tls));
    }
    const struct bp_client_spec spec = {.tls = l->tls, .host = f->enrol.host, .port = f->enrol.port,
                                        .connect_ms = CALL_MS, .total_ms = CALL_MS};
    return bp_client_new(f->loop, &spec, &l->enrol);
}

static bp_result say_hello(struct lane *l, const struct bp_http *http)
{
    const bp_span body = bp_http_body(http);
    json_t *o = json_loadb((const char *)body.p, body.n, 0, NULL);
    const char *code = json_string_value(json_object_get(o, "code"));
    const char *line = json_string_value(json_object_get(o, "line"));
    size_t n = 0;
    bp_result r = BP_FAIL(MALFORMED);
    if (code != NULL && (l->f->has_url || learn_url(l->f, line))) {
        r = open_enrol(l);
        if (ok(r)) {
            r = bp_sim_hello(&l->g->d, bp_span_cstr(code), l->f->body, sizeof l->f->body, &n);
        }
    }
    json_decref(o);
    return bp_failed(r) ? r : send_on(l->enrol, BP_HTTP_POST, "/bedplate/v1/hello", BP_MEDIA_CBOR,
                                      bp_span_of(l->f->body, n), on_lane, l);
}

static bp_result send_first(struct lane *l, const struct bp_http *http)
{
    static const uint8_t unbound[32];
    struct fleet *f = l->f;
    size_t n = 0;
    BP_TRY(bp_sim_take_challenge(f->cli->crypto, &l->g->d, bp_http_body(http)));
    BP_TRY(bp_sim_evidence(f->cli->crypto, &l->g->d, f->spec->model, unbound, BP_SIM_FIRST, bp_wall_ms(&f->clock), f->body,
                           sizeof f->body, &n));
    return send_on(l->enrol, BP_HTTP_POST, ATTEST_PATH, BP_MEDIA_CMW, bp_span_of(f->body, n), on_lane, l);
}

static bp_result send_request(struct lane *l, const struct bp_http *http)
{
    size_t n = 0;
    BP_TRY(bp_sim_take_answer(&l->g->d, bp_http_body(http)));
    BP_TRY(bp_sim_request(&l->g->d, l->f->body, sizeof l->f->body, &n));
    return send_on(l->enrol, BP_HTTP_POST, "/.well-known/est/simpleenroll", "application/pkcs10",
                   bp_span_of(l->f->body, n), on_lane, l);
}

static bp_result sign_digest(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    return bp_key_sign_digest(self, bp_span_of(digest, 32), ret);
}

static bp_result open_device(struct gateway *g)
{
    const struct fleet *f = g->f;
    const bp_span leaf = bp_span_of(g->d.cert, g->d.cert_n);
    const struct bp_tls_key key = {.self = g->d.key, .sign = sign_digest};
    const struct bp_tls_client_spec tls = {
        .own = {.chain = &leaf, .count = 1, .key = &key}, .anchors = &f->spec->root, .anchor_count = 1};
    BP_TRY(bp_tls_client_new(&tls, &g->tls));
    const struct bp_client_spec spec = {.tls = g->tls,
                                        .host = f->enrol.host,
                                        .port = g->d.device_port != 0 ? g->d.device_port : DEVICE_PORT,
                                        .connect_ms = CALL_MS,
                                        .total_ms = CALL_MS};
    return bp_client_new(f->loop, &spec, &g->client);
}

static bp_result connect_device(struct lane *l, const struct bp_http *http)
{
    BP_TRY(bp_sim_take_certificate(&l->g->d, bp_http_body(http)));
    BP_TRY(open_device(l->g));
    return bp_client_connect(l->g->client, on_lane, l);
}

static bp_result send_evidence(struct gateway *g, enum bp_sim_kind kind, bp_client_fn *fn, void *arg)
{
    struct fleet *f = g->f;
    size_t n = 0;
    if (!g->is_bound) {
        BP_TRY(bp_client_exporter(g->client, g->binding));
        g->is_bound = true;
    }
    BP_TRY(bp_sim_evidence(f->cli->crypto, &g->d, f->spec->model, g->binding, kind, bp_wall_ms(&f->clock), f->body,
                           sizeof f->body, &n));
    return send_on(g->client, BP_HTTP_POST, ATTEST_PATH, BP_MEDIA_CMW, bp_span_of(f->body, n), fn, arg);
}

/* An answer is right when it is an affirming verdict on an active device, with a nonce that is new. */
static bp_result check_answer(struct gateway *g, const struct bp_http *http)
{
    BP_TRY(bp_sim_take_answer(&g->d, bp_http_body(http)));
    return g->d.tier == BP_TIER_AFFIRMING && strcmp(g->d.state, "active") == 0 ? BP_OK : BP_FAIL(MISMATCH);
}

/* To the end of those that joined. */
static void spoke(struct gateway *g)
{
    struct fleet *f = g->f;
    g->later = NULL;
    *(f->quiet == NULL ? &f->quiet : &f->quiet_last->later) = g;
    f->quiet_last = g;
}

static bp_result joined(struct lane *l, const struct bp_http *http)
{
    BP_TRY(check_answer(l->g, http));
    l->g->has_joined = true;
    l->g->sent_ms = now_of(l->f);
    spoke(l->g);
    l->f->joined++;
    sample(&l->f->now, now_of(l->f) - l->begun_ms);
    next_gateway(l);
    return BP_OK;
}

static void on_lane(void *arg, bp_result r, const struct bp_http *http)
{
    static const char *const act[] = {"invitation", "hello", "first evidence", "certificate", "connection", "evidence"};
    struct lane *l = arg;
    const enum step step = l->step;
    const bool good = ok(r) && (http == NULL || (http->status >= 200 && http->status < 300));
    bp_result made = r;
    if (good) {
        l->step = (enum step)(step + 1);
        switch (step) {
        case INVITE: made = say_hello(l, http); break;
        case HELLO: made = send_first(l, http); break;
        case FIRST: made = send_request(l, http); break;
        case ENROL: made = connect_device(l, http); break;
        case CONNECT: made = send_evidence(l->g, BP_SIM_PLAIN, on_lane, l); break;
        case PROVE: made = joined(l, http); break;
        }
    }
    if (!good || bp_failed(made)) {
        lane_failed(l, act[step], made, good ? NULL : http);
    }
}

static void next_gateway(struct lane *l)
{
    struct fleet *f = l->f;
    if (f->next_new == f->spec->devices) {
        if (++f->resting == f->lanes) {
            after_joining(f);
        }
        return;
    }
    l->g = &f->g[f->next_new++];
    l->step = INVITE;
    l->begun_ms = now_of(f);
    const bp_result r = ask_invitation(l);
    if (bp_failed(r)) { /* no way on in this lane: it would fail for every gateway */
        complain(f, "a gateway", r, NULL);
        f->failed++;
        f->resting++;
    }
}

/* --- attesting --- */

static void fill(struct fleet *f);
static void begin_revoking(struct fleet *f);

static void turn_done(struct gateway *g, bool good, bp_result r, const struct bp_http *http)
{
    struct fleet *f = g->f;
    g->is_busy = false;
    g->is_stale = !good;
    f->in_flight--;
    if (good && f->phase != JOINING) {
        sample(&f->now, now_of(f) - g->sent_ms);
    } else if (!good) {
        complain(f, f->phase == RENEWING ? "renewal" : "attestation", r, http);
        f->now.refused++;
        f->refused++;
        bp_client_disconnect(g->client);
        g->is_bound = false;
    }
    if (f->phase == ATTESTING || f->phase == VOUCHING || f->phase == RENEWING) {
        fill(f);
    } else if (f->phase == REVOKING && f->in_flight == 0) {
        begin_revoking(f);
    }
}

static void on_attested(void *arg, bp_result r, const struct bp_http *http)
{
    struct gateway *g = arg;
    const bool came = ok(r) && http->status == 200;
    const bp_result checked = came ? check_answer(g, http) : r;
    if (g->asks_vouching && came && ok(checked)) {
        g->is_vouched = true;
        g->f->vouched++;
    }
    g->asks_vouching = false;
    turn_done(g, came && ok(checked), checked, came ? NULL : http);
}

static void on_nonce(void *arg, bp_result r, const struct bp_http *http)
{
    struct gateway *g = arg;
    const bool came = ok(r) && http->status == 200;
    bp_result next = came ? bp_sim_take_nonce(&g->d, bp_http_body(http)) : r;
    if (came && ok(next)) {
        g->asks_vouching = g->f->phase == VOUCHING;
        next = send_evidence(g, g->asks_vouching ? BP_SIM_VOUCH : BP_SIM_PLAIN, on_attested, g);
    }
    if (!came || bp_failed(next)) {
        turn_done(g, false, next, came ? NULL : http);
    }
}

/* The one whose turn it is; NULL when all are busy. */
static struct gateway *pick(struct fleet *f)
{
    for (size_t i = 0; i < f->spec->devices; i++) {
        struct gateway *g = &f->g[f->next];
        f->next = (f->next + 1) % f->spec->devices;
        if (g->has_joined && !g->is_busy && !g->is_revoked && !(f->phase == VOUCHING && g->is_vouched)) {
            return g;
        }
    }
    return NULL;
}

static void on_renewed(void *arg, bp_result r, const struct bp_http *http)
{
    struct gateway *g = arg;
    const bool came = ok(r) && http->status == 200;
    const bp_result taken = came ? bp_sim_take_certificate(&g->d, bp_http_body(http)) : r;
    turn_done(g, came && ok(taken), taken, came ? NULL : http);
}

/* Over the kept connection: the certificate is another one, the key stays. */
static bp_result send_renewal(struct gateway *g)
{
    size_t n = 0;
    BP_TRY(bp_sim_request(&g->d, g->f->body, sizeof g->f->body, &n));
    return send_on(g->client, BP_HTTP_POST, RENEW_PATH, "application/pkcs10", bp_span_of(g->f->body, n), on_renewed, g);
}

static bp_result send_turn(struct gateway *g, bool anew)
{
    if (g->f->phase == RENEWING) {
        return send_renewal(g);
    }
    return anew || g->f->phase == VOUCHING ? send_on(g->client, BP_HTTP_GET, NONCE_PATH, NULL, BP_SPAN_EMPTY, on_nonce, g)
                                           : send_evidence(g, BP_SIM_PLAIN, on_attested, g);
}

static void start_turn(struct gateway *g)
{
    struct fleet *f = g->f;
    g->is_busy = true;
    g->sent_ms = now_of(f);
    f->in_flight++;
    f->sent++;
    const bool anew = g->is_stale || !bp_client_is_connected(g->client);
    if (anew) {
        g->is_bound = false;
    }
    const bp_result r = send_turn(g, anew);
    if (bp_failed(r)) { /* not from here: the caller's loop would go around */
        complain(f, "attestation", r, NULL);
        g->is_busy = false;
        g->is_stale = true;
        f->in_flight--;
        f->now.refused++;
        f->refused++;
    }
}

/* As many turns as may be open, and as the rate allows. */
static void fill(struct fleet *f)
{
    const int64_t ms = now_of(f) - f->begun_ms;
    const uint64_t due = f->spec->rate == 0 ? UINT64_MAX : (uint64_t)ms * f->spec->rate / 1000;
    for (uint32_t i = 0; i < f->spec->in_flight && f->in_flight < f->spec->in_flight && f->sent < due; i++) {
        struct gateway *g = pick(f);
        if (g == NULL) {
            return;
        }
        start_turn(g);
    }
}

/* While others join, those that have joined speak up in time, so that the server holds every session. */
static void keep_up(struct fleet *f)
{
    const int64_t due = now_of(f) - KEEP_MS;
    while (f->quiet != NULL && f->quiet->sent_ms <= due && f->in_flight < f->spec->in_flight) {
        struct gateway *g = f->quiet;
        f->quiet = g->later;
        if (!g->is_busy) {
            start_turn(g);
        }
        g->sent_ms = now_of(f);
        spoke(g);
    }
}

static void after_turns(struct fleet *f)
{
    begin(f, REVOKING);
    if (f->in_flight == 0) {
        begin_revoking(f);
    }
}

/* A phase of turns that lasts `seconds`, told by windows. True: it is over. */
static bool turns_tick(struct fleet *f, uint32_t seconds, const char *name)
{
    const int64_t ms = now_of(f);
    if (ms - f->begun_ms >= (int64_t)seconds * 1000) {
        if (seconds != 0) {
            tell_window(f, name);
        }
        return true;
    }
    if (ms - f->now.begun_ms >= (int64_t)f->spec->window_s * 1000 &&
        f->begun_ms + (int64_t)seconds * 1000 - ms > (int64_t)f->spec->window_s * 500) {
        tell_window(f, name);
    }
    fill(f);
    return false;
}

static void attest_tick(struct fleet *f)
{
    if (!turns_tick(f, f->spec->seconds, "attest")) {
        return;
    }
    if (f->spec->renew_s != 0) {
        f->sent = 0;
        begin(f, VOUCHING);
    } else {
        after_turns(f);
    }
}

static void vouch_tick(struct fleet *f)
{
    if (f->vouched + f->now.refused < f->joined || f->in_flight != 0) {
        fill(f);
        return;
    }
    tell_window(f, "vouch");
    f->sent = 0;
    begin(f, RENEWING);
}

static void renew_tick(struct fleet *f)
{
    if (turns_tick(f, f->spec->renew_s, "renew")) {
        after_turns(f);
    }
}

/* --- revoking --- */

static void on_revoked(void *arg, bp_result r, const struct bp_http *http)
{
    struct fleet *f = arg;
    f->is_answered = true;
    if (bp_failed(r) || http->status >= 300) {
        complain(f, "revocation", r, http);
        f->now.refused++;
        f->refused++;
        f->is_cut = true;
    }
}

static void revoke_next(struct fleet *f)
{
    struct gateway *g = &f->g[f->revoked];
    struct bp_target t;
    char id[2 * sizeof g->d.id + 1];
    for (size_t i = 0; i < sizeof g->d.id; i++) {
        (void)snprintf(id + 2 * i, 3, "%02x", g->d.id[i]);
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    bp_target_part(&t, "revoke");
    f->is_asked = true;
    f->is_answered = false;
    f->is_cut = false;
    f->revoke_ms = now_of(f);
    if (bp_failed(send_on(bp_api_client(f->lane[0].api), BP_HTTP_POST, t.text, "application/json",
                          BP_SPAN_STR("{\"reason\":\"rehearsal\"}"), on_revoked, f))) {
        f->refused++;
        end(f);
    }
}

static void begin_revoking(struct fleet *f)
{
    if (f->spec->revoke == 0) {
        end(f);
        return;
    }
    for (size_t i = 0; i < f->spec->revoke; i++) {
        f->g[i].is_revoked = true;
    }
    begin(f, REVOKING);
    revoke_next(f);
}

/* Cut: its kept connection was ended by the server. */
static void revoke_tick(struct fleet *f)
{
    struct gateway *g = &f->g[f->revoked];
    const int64_t ms = now_of(f) - f->revoke_ms;
    if (!f->is_asked) {
        return;
    }
    if (!f->is_cut && (g->client == NULL || !bp_client_is_connected(g->client))) {
        f->is_cut = true;
        sample(&f->now, ms);
    } else if (!f->is_cut && ms > CUT_MS) {
        f->is_cut = true;
        f->cut_late++;
        bp_tell(f->cli, 0, "a revoked gateway is still connected after %d ms", CUT_MS);
    }
    if (!f->is_cut || !f->is_answered) {
        return;
    }
    f->revoked++;
    if (f->revoked == f->spec->revoke / 2 || f->revoked == f->spec->revoke) {
        tell_window(f, "revoke");
    }
    if (f->revoked == f->spec->revoke) {
        end(f);
    } else {
        revoke_next(f);
    }
}

/* --- making --- */

static void make_tick(struct fleet *f)
{
    for (uint32_t i = 0; i < MAKE_STEP && f->made < f->spec->devices; i++) {
        struct gateway *g = &f->g[f->made];
        const bp_result r = bp_sim_device_make(f->cli->crypto, f->spec->maker, bp_wall_ms(&f->clock), &g->d);
        if (bp_failed(r)) {
            complain(f, "a gateway", r, NULL);
            f->failed++;
            end(f);
            return;
        }
        g->f = f;
        g->is_made = true;
        f->made++;
    }
    if (f->made == f->spec->devices) {
        begin(f, JOINING);
        for (size_t i = 0; i < f->lanes; i++) {
            next_gateway(&f->lane[i]);
        }
    }
}

/* --- the loop --- */

static void on_tick(void *arg)
{
    struct fleet *f = arg;
    if (f->phase == MAKING) {
        make_tick(f);
    } else if (f->phase == JOINING) {
        keep_up(f);
    } else if (f->phase == ATTESTING) {
        attest_tick(f);
    } else if (f->phase == VOUCHING) {
        vouch_tick(f);
    } else if (f->phase == RENEWING) {
        renew_tick(f);
    } else if (f->phase == REVOKING) {
        revoke_tick(f);
    }
    if (f->phase != ENDED && bp_failed(bp_timer_start(f->tick, TICK_MS))) {
        end(f);
    }
}

static void on_signal(void *arg)
{
    end(arg);
}

static int open_lanes(struct fleet *f)
{
    f->lanes = f->spec->in_flight < LANES_MAX ? f->spec->in_flight : LANES_MAX;
    for (size_t i = 0; i < f->lanes; i++) {
        f->lane[i].f = f;
        const int code = bp_api_open_on(f->cli, f->loop, &f->lane[i].api);
        if (code != BP_EXIT_OK) {
            return code;
        }
    }
    begin(f, MAKING);
    return BP_EXIT_OK;
}

static bp_result ready_loop(struct fleet *f)
{
    BP_TRY(bp_loop_new(&f->loop));
    BP_TRY(bp_timer_new(f->loop, on_tick, f, &f->tick));
    BP_TRY(bp_signal_new(f->loop, SIGINT, on_signal, f, &f->on_int));
    BP_TRY(bp_signal_new(f->loop, SIGTERM, on_signal, f, &f->on_term));
    f->g = bp_alloc_array(f->spec->devices, sizeof f->g[0]);
    f->now.ms = bp_alloc_array(SAMPLES_MAX, sizeof f->now.ms[0]);
    return f->g == NULL || f->now.ms == NULL ? BP_FAIL(NO_MEMORY) : bp_timer_start(f->tick, TICK_MS);
}

static void done(struct fleet *f)
{
    for (size_t i = 0; f->g != NULL && i < f->spec->devices; i++) {
        struct gateway *g = &f->g[i];
        bp_client_free(g->client);
        bp_tls_free(g->tls);
        if (g->is_made) {
            bp_sim_device_done(&g->d);
        }
    }
    for (size_t i = 0; i < f->lanes; i++) {
        bp_client_free(f->lane[i].enrol);
        bp_tls_free(f->lane[i].tls);
        bp_api_free(f->lane[i].api);
    }
    bp_timer_free(f->tick);
    bp_signal_free(f->on_int);
    bp_signal_free(f->on_term);
    bp_free(f->g);
    bp_free(f->now.ms);
    bp_loop_free(f->loop);
}

int bp_sim_run(struct bp_cli *cli, const struct bp_sim_spec *spec)
{
    struct fleet *f = bp_alloc(sizeof *f);
    if (f == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "out of memory");
    }
    f->cli = cli;
    f->spec = spec;
    f->clock = bp_clock_linux();
    (void)signal(SIGPIPE, SIG_IGN);
    bp_result r = ready_loop(f);
    int code = bp_failed(r) ? bp_tell_failure(cli, "the loop", r) : open_lanes(f);
    if (code == BP_EXIT_OK) {
        r = bp_loop_run(f->loop);
        code = bp_failed(r) ? bp_tell_failure(cli, "the loop", r) : BP_EXIT_OK;
    }
    if (code == BP_EXIT_OK && (f->joined != spec->devices || f->refused != 0 || f->cut_late != 0)) {
        code = bp_tell(cli, BP_EXIT_NO, "%zu of %u gateways joined, %zu answers were refused or wrong", f->joined,
                       spec->devices, f->refused);
    }
    done(f);
    bp_free(f);
    return code;
}
