/* SPDX-License-Identifier: Apache-2.0 */
/* TLS sessions that are resumed: by whom, how often, how long, and who is not; clients are raw ones that cut the link
 * without a word, and our own. */
#include "fixture.h"

#include "net/resume.h"

#include <time.h>

#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "harness.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

struct time_of {
    int64_t wall_ms, mono_ms;
};

static struct app {
    struct bp_server *server;
    uint16_t port;
    struct bp_tls_peer peer;
    uint8_t exporter[32], leaf[2048];
    size_t leaf_n;
    unsigned handled, asked, signatures;
    bool has_peer, deny;
} app;

static struct time_of server_time, client_time;

static int64_t wall(void *self)
{
    return ((const struct time_of *)self)->wall_ms;
}

static int64_t mono(void *self)
{
    return ((const struct time_of *)self)->mono_ms;
}

static struct bp_clock clock_of(struct time_of *t)
{
    *t = (struct time_of){.wall_ms = (int64_t)time(NULL) * 1000, .mono_ms = 5};
    return (struct bp_clock){.self = t, .wall_ms = wall, .mono_ms = mono};
}

static void handle(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    (void)self;
    app.handled++;
    app.has_peer = rq->peer != NULL;
    app.peer = rq->peer != NULL ? *rq->peer : (struct bp_tls_peer){0};
    BP_CHECK(!bp_failed(bp_responder_exporter(rs, app.exporter)));
    BP_CHECK(!bp_failed(bp_responder_leaf(rs, app.leaf, sizeof app.leaf, &app.leaf_n)));
    BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, BP_SPAN_STR("hello"))));
}

static bp_verdict admit(void *self, const struct bp_tls_peer *peer, bp_span leaf)
{
    (void)self;
    app.asked++;
    BP_CHECK(leaf.n > 0 && peer->serial_n > 0);
    return app.deny ? BP_DENY : BP_ALLOW;
}

/* The server's key is somewhere else, as in a front: a full handshake is one that made it sign. */
static bp_result sign(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    uint8_t der[80];
    size_t n = sizeof der;
    const unsigned char *p = der;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(self, NULL);
    const bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &n, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    ECDSA_SIG *sig = ok ? d2i_ECDSA_SIG(NULL, &p, (long)n) : NULL;
    app.signatures++;
    if (sig == NULL) {
        return bp_fail_at(BP_E_CRYPTO, BP_M_TEST, __LINE__);
    }
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 32, 32);
    ECDSA_SIG_free(sig);
    return BP_OK;
}

static bp_result server_tls(uint32_t sessions_max, struct bp_tls **ret)
{
    const struct fx_pki *pki = fx_pki();
    const struct bp_clock clock = clock_of(&server_time);
    const struct bp_tls_key key = {.self = pki->server.key, .sign = sign};
    const bp_span chain[] = {fx_der(&pki->server), fx_der(&pki->infra), fx_der(&pki->root)};
    const bp_span cas[] = {fx_der(&pki->issuing)};
    const struct bp_tls_server_spec spec = {.own = {.chain = chain, .count = 3, .key = &key}, .ask = BP_TLS_ASK_REQUIRED,
                                            .cas = cas, .ca_count = 1, .clock = &clock, .admit = admit,
                                            .sessions_max = sessions_max};
    return bp_tls_server_new(&spec, ret);
}

static struct bp_tls *client_that_resumes(const struct fx_cert *own)
{
    struct bp_tls *tls = NULL;
    const struct bp_clock clock = clock_of(&client_time);
    const bp_span chain[] = {fx_der(own)};
    const bp_span anchors[] = {fx_der(&fx_pki()->root)};
    const struct bp_tls_client_spec spec = {.own = {.chain = chain, .count = 1, .key_der = fx_key(own)}, .anchors = anchors,
                                            .anchor_count = 1, .resumes = true, .clock = &clock};
    BP_CHECK(!bp_failed(bp_tls_client_new(&spec, &tls)));
    return tls;
}

/* One server and two devices' contexts, for the length of a case. */
static struct bp_tls *stls, *device, *device2;

static bool begin(uint32_t sessions_max)
{
    int fd = -1;
    app = (struct app){0};
    stls = NULL;
    device = fx_client_tls(&fx_pki()->device, false);
    device2 = fx_client_tls(&fx_pki()->device2, false);
    if (!BP_CHECK(!bp_failed(server_tls(sessions_max, &stls)))) {
        return false;
    }
    const struct bp_server_spec spec = {.tls = stls, .handle = handle};
    return BP_CHECK(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &app.port))) &&
           BP_CHECK(!bp_failed(bp_server_new(fx_loop(), fd, &spec, &app.server)));
}

static void end(void)
{
    bp_server_free(app.server);
    fx_run(1);
    bp_tls_free(stls);
    bp_tls_free(device);
    bp_tls_free(device2);
}

/* ---- raw clients ---- */

struct visit {
    bool answered, resumed;
    uint8_t exporter[32];
    SSL_SESSION *session; /* to offer next time; the visitor's */
};

static bool shake(SSL *ssl)
{
    for (unsigned i = 0; i < 5000; i++) {
        const int rc = SSL_do_handshake(ssl);
        const int e = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, rc);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
            return rc == 1;
        }
        fx_run(1);
    }
    return false;
}

/* One request over a connection of its own, which offers a session (or none) and then ends in a cut: a reset, or the end of
 * the stream with no close_notify before it. */
static struct visit visit(struct bp_tls *tls, SSL_SESSION *offer, bool by_reset)
{
    static const char rq[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const struct linger reset = {.l_onoff = 1};
    static struct fx_got got;
    struct visit v = {0};
    SSL *ssl = NULL;
    const int fd = fx_dial(app.port);
    memset(&got, 0, sizeof got);
    if (fd < 0 || bp_failed(bp_tls_connect(tls, "localhost", &ssl))) {
        close(fd);
        return v;
    }
    SSL_set_fd(ssl, fd);
    const bool ok = (offer == NULL || SSL_set_session(ssl, offer) == 1) && shake(ssl) && SSL_write(ssl, rq, sizeof rq - 1) > 0;
    if (ok && fx_expect(fd, ssl, &got, "hello", 5000)) {
        v.answered = true;
        v.resumed = SSL_session_reused(ssl) == 1;
        v.session = SSL_SESSION_dup(SSL_get_session(ssl));
        BP_CHECK(!bp_failed(bp_tls_exporter(ssl, v.exporter)));
    }
    ERR_clear_error();
    SSL_free(ssl);
    if (by_reset) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(fd);
    fx_run(2);
    return v;
}

static bool is_full(struct visit v)
{
    SSL_SESSION_free(v.session);
    return v.answered && !v.resumed;
}

static bool is_resumed(struct visit v)
{
    SSL_SESSION_free(v.session);
    return v.answered && v.resumed;
}

static bool is_refused(struct visit v)
{
    SSL_SESSION_free(v.session);
    return !v.answered;
}

BP_CASE(resumed_after_a_cut_without_close_notify)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    const uint8_t *spki = app.peer.spki_sha256;
    uint8_t first[32];
    memcpy(first, spki, 32);
    BP_CHECK(a.answered && !a.resumed && app.signatures == 1 && app.asked == 1);
    const struct visit b = visit(device, a.session, true);
    BP_CHECK(b.answered && b.resumed && app.signatures == 1);
    BP_CHECK(app.asked == 2); /* the hook has its say each time */
    BP_CHECK(app.has_peer && memcmp(spki, first, 32) == 0 && app.peer.serial_n > 0);
    BP_CHECK(bp_span_equal(bp_span_of(app.leaf, app.leaf_n), fx_der(&fx_pki()->device)));
    BP_CHECK(is_resumed(visit(device, b.session, false))); /* after a reset too, and over the ticket of a resumed one */
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(b.session);
    end();
}

/* What evidence is bound to is new on each connection, and the same at both ends. */
BP_CASE(exporter_of_a_resumed_session_is_its_own)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    BP_CHECK(a.answered && memcmp(a.exporter, app.exporter, 32) == 0);
    const struct visit b = visit(device, a.session, false);
    BP_CHECK(b.resumed && memcmp(b.exporter, app.exporter, 32) == 0 && memcmp(a.exporter, b.exporter, 32) != 0);
    const struct visit c = visit(device, b.session, false);
    BP_CHECK(c.resumed && memcmp(c.exporter, app.exporter, 32) == 0 && memcmp(c.exporter, b.exporter, 32) != 0);
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(b.session);
    SSL_SESSION_free(c.session);
    end();
}

BP_CASE(ticket_serves_once)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    SSL_SESSION *again = a.session != NULL ? SSL_SESSION_dup(a.session) : NULL;
    BP_CHECK(is_resumed(visit(device, a.session, false)));
    BP_CHECK(is_full(visit(device, again, false)) && app.signatures == 2);
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(again);
    end();
}

/* The second comes while the first is in the middle of its handshake. */
BP_CASE(ticket_shown_twice_at_once_serves_one)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    SSL_SESSION *again = a.session != NULL ? SSL_SESSION_dup(a.session) : NULL;
    SSL *ssl = NULL;
    const int fd = fx_dial(app.port);
    BP_CHECK(fd >= 0 && !bp_failed(bp_tls_connect(device, "localhost", &ssl)) && SSL_set_session(ssl, a.session) == 1);
    SSL_set_fd(ssl, fd);
    BP_CHECK(SSL_do_handshake(ssl) != 1);
    fx_run(20);
    BP_CHECK(is_full(visit(device, again, false)));
    BP_CHECK(shake(ssl) && SSL_session_reused(ssl) == 1);
    SSL_free(ssl);
    close(fd);
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(again);
    end();
}

BP_CASE(denied_is_not_resumed)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false), other = visit(device2, NULL, false);
    app.deny = true;
    BP_CHECK(is_refused(visit(device, a.session, false)) && app.handled == 2);
    BP_CHECK(app.asked == 4); /* for the session, and then for the certificate */
    app.deny = false;
    BP_CHECK(is_resumed(visit(device2, other.session, false)));
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(other.session);
    end();
}

BP_CASE(hour_counts_from_the_full_handshake)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    server_time.mono_ms += HOUR_MS - 1;
    const struct visit b = visit(device, a.session, false);
    BP_CHECK(b.resumed);
    server_time.mono_ms += 1; /* the ticket is a moment old, the proof of the key an hour */
    BP_CHECK(is_full(visit(device, b.session, false)));
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(b.session);
    end();
}

BP_CASE(certificate_that_ran_out_is_not_resumed)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    server_time.wall_ms += 2 * DAY_MS;
    BP_CHECK(is_refused(visit(device, a.session, false)) && app.handled == 1);
    SSL_SESSION_free(a.session);
    end();
}

BP_CASE(newest_session_of_a_key_is_kept)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false), b = visit(device, NULL, false), other = visit(device2, NULL, false);
    BP_CHECK(is_full(visit(device, a.session, false)));
    BP_CHECK(is_full(visit(device, b.session, false))); /* the visit before took its place */
    BP_CHECK(is_resumed(visit(device2, other.session, false)));
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(b.session);
    SSL_SESSION_free(other.session);
    end();
}

BP_CASE(oldest_gives_way)
{
    BP_NEED(begin(1));
    const struct visit a = visit(device, NULL, false), b = visit(device2, NULL, false);
    BP_CHECK(is_resumed(visit(device2, b.session, false)));
    BP_CHECK(is_full(visit(device, a.session, false)));
    SSL_SESSION_free(a.session);
    SSL_SESSION_free(b.session);
    end();
}

/* What was issued by one process says nothing to another. */
BP_CASE(table_ends_with_its_context)
{
    BP_NEED(begin(8));
    const struct visit a = visit(device, NULL, false);
    end();
    BP_NEED(begin(8));
    BP_CHECK(is_full(visit(device, a.session, false)));
    SSL_SESSION_free(a.session);
    end();
}

BP_CASE(listener_that_keeps_none_gives_no_ticket)
{
    BP_NEED(begin(0));
    const struct visit a = visit(device, NULL, false);
    BP_CHECK(a.answered && a.session != NULL && SSL_SESSION_is_resumable(a.session) == 0);
    SSL_SESSION_free(a.session);
    end();
}

/* ---- our client ---- */

struct outcome {
    bool done;
    bp_result r;
    unsigned status;
};

static void answered(void *arg, bp_result r, const struct bp_http *http)
{
    struct outcome *o = arg;
    *o = (struct outcome){true, r, http != NULL ? http->status : 0};
}

static bool is_done(void *arg)
{
    return ((struct outcome *)arg)->done;
}

static bool call(struct bp_tls *tls, const char *host, uint16_t port)
{
    struct outcome o = {0};
    struct bp_client *c = NULL;
    const struct bp_client_spec spec = {.tls = tls, .host = host, .port = port, .connect_host = "127.0.0.1"};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
    if (BP_CHECK(!bp_failed(bp_client_new(fx_loop(), &spec, &c)))) {
        BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
        BP_CHECK(fx_until(is_done, &o, 5000));
        bp_client_free(c);
    }
    fx_run(2);
    return o.done && !bp_failed(o.r) && o.status == 200;
}

BP_CASE(client_offers_the_newest_session)
{
    BP_NEED(begin(8));
    struct bp_tls *tls = client_that_resumes(&fx_pki()->device);
    for (unsigned i = 0; i < 4; i++) {
        BP_CHECK(call(tls, "localhost", app.port));
    }
    BP_CHECK(app.handled == 4 && app.signatures == 1);
    BP_CHECK(call(tls, "127.0.0.1", app.port) && app.signatures == 2); /* another name: nothing is shown to it */
    bp_tls_free(tls);
    end();
}

BP_CASE(client_keeps_its_session_while_nobody_answers)
{
    int fd = -1;
    uint16_t nobody = 0;
    BP_NEED(begin(8));
    BP_NEED(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &nobody)));
    close(fd);
    struct bp_tls *tls = client_that_resumes(&fx_pki()->device);
    BP_CHECK(call(tls, "localhost", app.port));
    BP_CHECK(!call(tls, "localhost", nobody) && !call(tls, "localhost", nobody));
    BP_CHECK(call(tls, "localhost", app.port) && app.signatures == 1);
    bp_tls_free(tls);
    end();
}

BP_CASE(client_offers_nothing_old)
{
    BP_NEED(begin(8));
    struct bp_tls *tls = client_that_resumes(&fx_pki()->device);
    BP_CHECK(call(tls, "localhost", app.port));
    client_time.mono_ms += HOUR_MS; /* the server would still resume it */
    BP_CHECK(call(tls, "localhost", app.port) && app.signatures == 2);
    BP_CHECK(call(tls, "localhost", app.port) && app.signatures == 2);
    bp_tls_free(tls);
    end();
}

/* ---- the table ---- */

static SSL_SESSION *session_named(uint8_t name)
{
    uint8_t id[32];
    memset(id, name, sizeof id);
    SSL_SESSION *s = SSL_SESSION_new();
    BP_CHECK(s != NULL && SSL_SESSION_set1_id(s, id, sizeof id) == 1);
    return s;
}

static bool takes(struct bp_resume *t, uint8_t name)
{
    uint8_t id[32];
    memset(id, name, sizeof id);
    SSL_SESSION *s = bp_resume_take(t, id, sizeof id);
    SSL_SESSION_free(s);
    return s != NULL;
}

BP_CASE(table_is_bounded)
{
    struct bp_resume *t = NULL;
    BP_NEED(!bp_failed(bp_resume_new(40, &t)));
    for (uint8_t i = 0; i < 50; i++) { /* all in two buckets of keys */
        uint8_t key[32] = {[0] = i % 2, [31] = i};
        bp_resume_keep(t, key, session_named(i));
    }
    for (uint8_t i = 0; i < 10; i++) {
        BP_CHECK(!takes(t, i));
    }
    uint8_t key[32] = {[0] = 1, [31] = 11};
    bp_resume_keep(t, key, session_named(60)); /* full, but this key has a place: nobody else goes */
    BP_CHECK(!takes(t, 11) && takes(t, 10) && !takes(t, 10) && takes(t, 30) && takes(t, 60));
    for (uint8_t i = 12; i < 50; i++) {
        BP_CHECK(takes(t, i) == (i != 30));
    }
    const uint8_t made_up[4] = {1, 2, 3, 4};
    BP_CHECK(bp_resume_take(t, made_up, sizeof made_up) == NULL);
    bp_resume_keep(t, key, session_named(61));
    bp_resume_free(t);
}

static void specs_refused(void)
{
    const struct fx_pki *pki = fx_pki();
    const bp_span chain[] = {fx_der(&pki->server)}, cas[] = {fx_der(&pki->issuing)}, anchors[] = {fx_der(&pki->root)};
    const struct bp_clock clock = clock_of(&server_time);
    const struct bp_tls_server_spec good = {.own = {chain, 1, NULL, fx_key(&pki->server)}, .ask = BP_TLS_ASK_REQUIRED,
                                            .cas = cas, .ca_count = 1, .sessions_max = 1, .clock = &clock};
    struct bp_tls_server_spec spec[3] = {good, good, good};
    static const char *const name[] = {"spec_optional_certificate", "spec_tls12", "spec_no_clock"};
    spec[0].ask = BP_TLS_ASK_OPTIONAL;
    spec[1].also_tls12 = true;
    spec[2].clock = NULL;
    for (size_t i = 0; i < 3; i++) {
        struct bp_tls *tls = NULL;
        bp_case_begin();
        BP_CHECK(bp_is(bp_tls_server_new(&spec[i], &tls), BP_E_BAD_ARGUMENT) && tls == NULL);
        bp_case_end(name[i]);
    }
    struct bp_tls *tls = NULL, *other = NULL;
    const struct bp_tls_client_spec client = {.anchors = anchors, .anchor_count = 1, .resumes = true};
    bp_case_begin();
    BP_CHECK(bp_is(bp_tls_client_new(&client, &tls), BP_E_BAD_ARGUMENT) && tls == NULL);
    bp_case_end("spec_client_no_clock");
    bp_case_begin();
    BP_CHECK(!bp_failed(bp_tls_server_new(&good, &tls)));
    other = fx_server_tls(BP_TLS_ASK_REQUIRED, false, NULL, NULL);
    BP_CHECK(bp_is(bp_tls_server_add_name(tls, "other.localhost", other), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_tls_server_add_name(other, "other.localhost", tls), BP_E_BAD_ARGUMENT));
    bp_case_end("sessions_of_one_context_only");
    bp_tls_free(tls);
    bp_tls_free(other);
}

BP_SUITE(resume, BP_RUN(resumed_after_a_cut_without_close_notify) BP_RUN(exporter_of_a_resumed_session_is_its_own)
    BP_RUN(ticket_serves_once) BP_RUN(ticket_shown_twice_at_once_serves_one)
    BP_RUN(denied_is_not_resumed) BP_RUN(hour_counts_from_the_full_handshake)
    BP_RUN(certificate_that_ran_out_is_not_resumed) BP_RUN(newest_session_of_a_key_is_kept) BP_RUN(oldest_gives_way)
    BP_RUN(table_ends_with_its_context) BP_RUN(listener_that_keeps_none_gives_no_ticket)
    BP_RUN(client_offers_the_newest_session) BP_RUN(client_keeps_its_session_while_nobody_answers)
    BP_RUN(client_offers_nothing_old) BP_RUN(table_is_bounded) BP_TABLE(specs_refused))
