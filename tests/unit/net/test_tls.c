/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, who is let in, keys that sign elsewhere; through server and client of this folder. */
#include "fixture.h"

#include <stdlib.h>

#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "harness.h"

static struct app {
    struct bp_server *server;
    uint16_t port;
    struct bp_tls_peer peer;
    bool has_peer, exporter_ok;
    uint8_t exporter[32];
    uint8_t leaf[2048];
    size_t leaf_n;
    char name[64];
    unsigned handled, asked;
    bool deny;
} app;

static void handle(void *self, const struct bp_request *rq, struct bp_responder *rs)
{
    struct app *a = self;
    a->handled++;
    a->has_peer = rq->peer != NULL;
    if (rq->peer != NULL) {
        a->peer = *rq->peer;
    }
    a->exporter_ok = !bp_failed(bp_responder_exporter(rs, a->exporter));
    a->leaf_n = 0;
    BP_IGNORE(bp_responder_leaf(rs, a->leaf, sizeof a->leaf, &a->leaf_n), "length 0 is checked");
    snprintf(a->name, sizeof a->name, "%s", rq->server_name);
    BP_CHECK(!bp_failed(bp_respond(rs, 200, NULL, 0, BP_SPAN_STR("hello"))));
}

static bp_verdict admit(void *self, const struct bp_tls_peer *peer, bp_span leaf)
{
    struct app *a = self;
    a->asked++;
    BP_CHECK(leaf.n > 0 && peer->serial_n > 0);
    return a->deny ? BP_DENY : BP_ALLOW;
}

static bool begin(struct bp_tls *tls)
{
    int fd = -1;
    app = (struct app){0};
    const struct bp_server_spec spec = {.tls = tls, .self = &app, .handle = handle};
    return BP_CHECK(!bp_failed(bp_listen("127.0.0.1", 0, &fd, &app.port))) &&
           BP_CHECK(!bp_failed(bp_server_new(fx_loop(), fd, &spec, &app.server)));
}

static void end(void)
{
    bp_server_free(app.server);
    fx_run(1);
}

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

/* One request by the given client context; what came of it. exporter may be NULL. */
static struct outcome ask_as(struct bp_tls *tls, const char *host, uint8_t *exporter, char trace[256])
{
    struct outcome o = {0};
    struct bp_client *c = NULL;
    const struct bp_client_spec spec = {.tls = tls, .host = host, .port = app.port, .connect_host = "127.0.0.1"};
    const struct bp_client_request rq = {.method = BP_HTTP_GET, .target = "/"};
    if (BP_CHECK(!bp_failed(bp_client_new(fx_loop(), &spec, &c)))) {
        BP_CHECK(!bp_failed(bp_client_send(c, &rq, answered, &o)));
        BP_CHECK(fx_until(is_done, &o, 5000));
        if (exporter != NULL) {
            BP_CHECK(!bp_failed(bp_client_exporter(c, exporter)));
        }
        if (trace != NULL) {
            snprintf(trace, 256, "%s", bp_client_trace(c));
        }
        bp_client_free(c);
    }
    return o;
}

static bool is_answered(struct outcome o)
{
    return !bp_failed(o.r) && o.status == 200;
}

static void spki_of(const struct fx_cert *c, uint8_t ret[32])
{
    unsigned char *der = NULL;
    const int n = i2d_PUBKEY(c->key, &der);
    EVP_Digest(der, (size_t)n, ret, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
}

BP_CASE(device_is_known_by_its_certificate)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_REQUIRED, false, &app, admit);
    struct bp_tls *ctls = fx_client_tls(&fx_pki()->device, false);
    uint8_t exporter[32] = {0}, spki[32];
    BP_NEED(begin(tls));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", exporter, NULL)));
    spki_of(&fx_pki()->device, spki);
    BP_CHECK(app.has_peer && memcmp(app.peer.spki_sha256, spki, 32) == 0 && app.asked == 1);
    BP_CHECK(app.exporter_ok && memcmp(exporter, app.exporter, 32) == 0);
    BP_CHECK(bp_span_equal(bp_span_of(app.leaf, app.leaf_n), fx_der(&fx_pki()->device)));
    BP_CHECK(strcmp(app.name, "localhost") == 0);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

BP_CASE(exporter_differs_by_connection)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL);
    struct bp_tls *ctls = fx_client_tls(NULL, false);
    uint8_t a[32] = {0}, b[32] = {0};
    BP_NEED(begin(tls));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", a, NULL)));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", b, NULL)));
    BP_CHECK(memcmp(a, b, 32) != 0);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

static void who_is_refused(void)
{
    static const struct {
        const char *name;
        enum bp_tls_ask ask;
        int who; /* 0 nobody, 1 device, 2 stranger, 3 a server's certificate, 4 issued by the root, not by the CA */
        bool deny, ok;
    } rows[] = {
        {"required_device", BP_TLS_ASK_REQUIRED, 1, false, true},
        {"required_nobody", BP_TLS_ASK_REQUIRED, 0, false, false},
        {"required_stranger", BP_TLS_ASK_REQUIRED, 2, false, false},
        {"required_server_certificate", BP_TLS_ASK_REQUIRED, 3, false, false},
        {"required_denied", BP_TLS_ASK_REQUIRED, 1, true, false},
        {"optional_device", BP_TLS_ASK_OPTIONAL, 1, false, true},
        {"optional_nobody", BP_TLS_ASK_OPTIONAL, 0, false, true},
        {"optional_stranger", BP_TLS_ASK_OPTIONAL, 2, false, false},
        {"optional_denied", BP_TLS_ASK_OPTIONAL, 1, true, false},
        {"never_device", BP_TLS_ASK_NEVER, 1, false, true},
        {"never_stranger", BP_TLS_ASK_NEVER, 2, false, true},
    };
    const struct fx_pki *pki = fx_pki();
    const struct fx_cert *who[] = {NULL, &pki->device, &pki->stranger, &pki->server};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_tls *tls = fx_server_tls(rows[i].ask, false, &app, admit);
        struct bp_tls *ctls = fx_client_tls(who[rows[i].who], false);
        char name[64];
        bp_case_begin();
        if (begin(tls)) {
            app.deny = rows[i].deny;
            const struct outcome o = ask_as(ctls, "localhost", NULL, NULL);
            BP_CHECK(is_answered(o) == rows[i].ok);
            BP_CHECK((app.handled == 1) == rows[i].ok);
            if (rows[i].ok) {
                BP_CHECK(app.has_peer == (rows[i].who == 1 && rows[i].ask != BP_TLS_ASK_NEVER));
            }
            end();
        }
        snprintf(name, sizeof name, "client_%s", rows[i].name);
        bp_case_end(name);
        bp_tls_free(tls);
        bp_tls_free(ctls);
    }
}

static struct bp_tls *client_by_hash(const struct fx_cert *root)
{
    uint8_t hash[32];
    struct bp_tls *tls = NULL;
    EVP_Digest(root->der, root->der_n, hash, NULL, EVP_sha256(), NULL);
    const struct bp_tls_client_spec spec = {.also_tls12 = true, .anchor_sha256 = hash};
    BP_CHECK(!bp_failed(bp_tls_client_new(&spec, &tls)));
    return tls;
}

BP_CASE(server_is_checked)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL);
    struct bp_tls *ctls = fx_client_tls(NULL, false), *by_hash = client_by_hash(&fx_pki()->root);
    struct bp_tls *by_leaf = client_by_hash(&fx_pki()->device), *wrong = NULL;
    const bp_span anchors[] = {fx_der(&fx_pki()->stranger_ca)};
    const struct bp_tls_client_spec spec = {.anchors = anchors, .anchor_count = 1};
    char trace[256] = "";
    BP_CHECK(!bp_failed(bp_tls_client_new(&spec, &wrong)));
    BP_NEED(begin(tls));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", NULL, NULL)));
    BP_CHECK(is_answered(ask_as(ctls, "127.0.0.1", NULL, NULL)));
    BP_CHECK(is_answered(ask_as(by_hash, "localhost", NULL, NULL)));
    BP_CHECK(bp_is(ask_as(by_hash, "other.name", NULL, trace).r, BP_E_DENIED));
    BP_CHECK(bp_is(ask_as(by_leaf, "localhost", NULL, NULL).r, BP_E_DENIED));
    BP_CHECK(bp_is(ask_as(ctls, "other.name", NULL, trace).r, BP_E_DENIED) && strstr(trace, "ostname") != NULL);
    BP_CHECK(bp_is(ask_as(ctls, "127.0.0.2", NULL, NULL).r, BP_E_DENIED));
    BP_CHECK(bp_is(ask_as(wrong, "localhost", NULL, NULL).r, BP_E_DENIED));
    BP_CHECK(app.handled == 3);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
    bp_tls_free(by_hash);
    bp_tls_free(by_leaf);
    bp_tls_free(wrong);
}

static int64_t far_future(void *self)
{
    (void)self;
    return INT64_C(4102444800000); /* 2100-01-01 */
}

BP_CASE(time_comes_from_the_clock)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL), *ctls = NULL;
    const struct bp_clock clock = {.wall_ms = far_future};
    const bp_span anchors[] = {fx_der(&fx_pki()->root)};
    const struct bp_tls_client_spec spec = {.anchors = anchors, .anchor_count = 1, .clock = &clock};
    char trace[256] = "";
    BP_CHECK(!bp_failed(bp_tls_client_new(&spec, &ctls)));
    BP_NEED(begin(tls));
    BP_CHECK(bp_is(ask_as(ctls, "localhost", NULL, trace).r, BP_E_DENIED) && strstr(trace, "expired") != NULL);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

/* ---- keys elsewhere ---- */

struct elsewhere {
    EVP_PKEY *key;
    unsigned calls;
    bool fails, lies;
};

static bp_result sign_elsewhere(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    struct elsewhere *e = self;
    uint8_t der[80];
    size_t n = sizeof der;
    e->calls++;
    if (e->fails) {
        return bp_fail_at(BP_E_ROOT, BP_M_TEST, __LINE__);
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(e->key, NULL);
    const bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &n, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    const unsigned char *p = der;
    ECDSA_SIG *sig = ok ? d2i_ECDSA_SIG(NULL, &p, (long)n) : NULL;
    if (sig == NULL) {
        return bp_fail_at(BP_E_CRYPTO, BP_M_TEST, __LINE__);
    }
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 32, 32);
    ECDSA_SIG_free(sig);
    ret[63] ^= e->lies ? 1 : 0;
    return BP_OK;
}

static struct bp_tls *server_elsewhere(struct elsewhere *e)
{
    struct bp_tls *tls = NULL;
    const struct fx_pki *pki = fx_pki();
    const struct bp_tls_key key = {.self = e, .sign = sign_elsewhere};
    const bp_span chain[] = {fx_der(&pki->server), fx_der(&pki->infra), fx_der(&pki->root)};
    const bp_span cas[] = {fx_der(&pki->issuing)};
    const struct bp_tls_server_spec spec = {.own = {.chain = chain, .count = 3, .key = &key}, .also_tls12 = true,
                                            .ask = BP_TLS_ASK_OPTIONAL, .cas = cas, .ca_count = 1};
    e->key = pki->server.key;
    BP_CHECK(!bp_failed(bp_tls_server_new(&spec, &tls)));
    return tls;
}

static struct bp_tls *client_elsewhere(struct elsewhere *e)
{
    struct bp_tls *tls = NULL;
    const struct fx_pki *pki = fx_pki();
    const struct bp_tls_key key = {.self = e, .sign = sign_elsewhere};
    const bp_span chain[] = {fx_der(&pki->device)};
    const bp_span anchors[] = {fx_der(&pki->root)};
    const struct bp_tls_client_spec spec = {
        .own = {.chain = chain, .count = 1, .key = &key}, .anchors = anchors, .anchor_count = 1};
    e->key = pki->device.key;
    BP_CHECK(!bp_failed(bp_tls_client_new(&spec, &tls)));
    return tls;
}

BP_CASE(server_key_elsewhere)
{
    struct elsewhere e = {0};
    struct bp_tls *tls = server_elsewhere(&e), *ctls = fx_client_tls(NULL, false);
    BP_NEED(begin(tls));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", NULL, NULL)) && e.calls == 1);
    e.lies = true;
    BP_CHECK(bp_is(ask_as(ctls, "localhost", NULL, NULL).r, BP_E_DENIED) && e.calls == 2);
    e.lies = false;
    e.fails = true;
    BP_CHECK(bp_failed(ask_as(ctls, "localhost", NULL, NULL).r) && e.calls == 3);
    e.fails = false;
    BP_CHECK(is_answered(ask_as(ctls, "localhost", NULL, NULL)) && app.handled == 2);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

BP_CASE(client_key_elsewhere)
{
    struct elsewhere e = {0};
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_REQUIRED, false, NULL, NULL), *ctls = client_elsewhere(&e);
    BP_NEED(begin(tls));
    BP_CHECK(is_answered(ask_as(ctls, "localhost", NULL, NULL)) && e.calls == 1 && app.has_peer);
    e.lies = true;
    BP_CHECK(bp_failed(ask_as(ctls, "localhost", NULL, NULL).r) && app.handled == 1);
    e.lies = false;
    e.fails = true;
    BP_CHECK(bp_failed(ask_as(ctls, "localhost", NULL, NULL).r) && app.handled == 1);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

/* A page's name that never asks for a certificate and an operators' name that does, on one port. */
BP_CASE(name_chooses_the_context)
{
    const struct fx_pki *pki = fx_pki();
    struct bp_tls *page = fx_server_tls(BP_TLS_ASK_NEVER, true, NULL, NULL), *op = NULL;
    const bp_span chain[] = {fx_der(&pki->other_server), fx_der(&pki->infra)};
    const bp_span cas[] = {fx_der(&pki->issuing)};
    const struct bp_tls_server_spec spec = {.own = {.chain = chain, .count = 2, .key_der = fx_key(&pki->other_server)},
                                            .ask = BP_TLS_ASK_REQUIRED, .cas = cas, .ca_count = 1};
    struct bp_tls *nobody = fx_client_tls(NULL, false), *device = fx_client_tls(&pki->device, false);
    BP_NEED(!bp_failed(bp_tls_server_new(&spec, &op)));
    BP_CHECK(!bp_failed(bp_tls_server_add_name(page, "operator.localhost", op)));
    BP_NEED(begin(page));
    BP_CHECK(is_answered(ask_as(nobody, "localhost", NULL, NULL)) && !app.has_peer);
    BP_CHECK(is_answered(ask_as(device, "localhost", NULL, NULL)) && !app.has_peer);
    BP_CHECK(bp_failed(ask_as(nobody, "operator.localhost", NULL, NULL).r));
    BP_CHECK(is_answered(ask_as(device, "operator.localhost", NULL, NULL)) && app.has_peer);
    BP_CHECK(strcmp(app.name, "operator.localhost") == 0 && app.handled == 3);
    end();
    bp_tls_free(page);
    bp_tls_free(op);
    bp_tls_free(nobody);
    bp_tls_free(device);
}

static void specs_refused(void)
{
    const struct fx_pki *pki = fx_pki();
    const bp_span chain[] = {fx_der(&pki->server)}, cas[] = {fx_der(&pki->issuing)}, junk[] = {BP_SPAN_STR("junk")};
    const bp_span longer[] = {bp_span_of(pki->server.der, pki->server.der_n + 1)};
    const struct {
        const char *name;
        struct bp_tls_server_spec spec;
        enum bp_error error;
    } rows[] = {
        {"no_certificate", {.ask = BP_TLS_ASK_NEVER}, BP_E_BAD_ARGUMENT},
        {"no_key", {.own = {.chain = chain, .count = 1}}, BP_E_BAD_ARGUMENT},
        {"no_ca", {.own = {chain, 1, NULL, fx_key(&pki->server)}, .ask = BP_TLS_ASK_OPTIONAL}, BP_E_BAD_ARGUMENT},
        {"key_of_another", {.own = {chain, 1, NULL, fx_key(&pki->device)}}, BP_E_MISMATCH},
        {"key_junk", {.own = {chain, 1, NULL, junk[0]}}, BP_E_MALFORMED},
        {"certificate_junk", {.own = {junk, 1, NULL, fx_key(&pki->server)}}, BP_E_MALFORMED},
        {"certificate_with_leftover", {.own = {longer, 1, NULL, fx_key(&pki->server)}}, BP_E_MALFORMED},
        {"ca_junk",
         {.own = {chain, 1, NULL, fx_key(&pki->server)}, .ask = BP_TLS_ASK_REQUIRED, .cas = junk, .ca_count = 1},
         BP_E_MALFORMED},
        {"cas_many",
         {.own = {chain, 1, NULL, fx_key(&pki->server)}, .ask = BP_TLS_ASK_REQUIRED, .cas = cas, .ca_count = 9},
         BP_E_BAD_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_tls *tls = NULL;
        char name[64];
        bp_case_begin();
        BP_CHECK(bp_is(bp_tls_server_new(&rows[i].spec, &tls), rows[i].error) && tls == NULL);
        snprintf(name, sizeof name, "spec_%s", rows[i].name);
        bp_case_end(name);
    }
    bp_case_begin();
    struct bp_tls *tls = NULL;
    const struct bp_tls_client_spec none = {0};
    BP_CHECK(bp_is(bp_tls_client_new(&none, &tls), BP_E_BAD_ARGUMENT));
    bp_case_end("spec_client_without_anchor");
}

/* ---- counterparts ---- */

static char dir[] = "/tmp/bp-tls-XXXXXX";

static void write_pem(const char *name, const struct fx_cert *c, bool is_key)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (f != NULL) {
        if (is_key) {
            PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL);
        } else {
            PEM_write_X509(f, c->x);
        }
        fclose(f);
    }
}

static int pid_of_child;
static int child_status;

static bool is_over(void *arg)
{
    (void)arg;
    return waitpid(pid_of_child, &child_status, WNOHANG) == pid_of_child;
}

/* Runs a shell command while the loop runs; what it printed is in `out` in the directory. */
static int run(const char *command, char *ret, size_t cap)
{
    char whole[1024], path[128];
    snprintf(path, sizeof path, "%s/out", dir);
    snprintf(whole, sizeof whole, "cd %s && { %s ; } >out 2>&1 </dev/null", dir, command);
    pid_of_child = fork();
    if (pid_of_child == 0) {
        execl("/bin/sh", "sh", "-c", whole, (char *)NULL);
        _exit(127);
    }
    if (!fx_until(is_over, NULL, 15000)) {
        return -1;
    }
    FILE *f = fopen(path, "r");
    const size_t n = f != NULL ? fread(ret, 1, cap - 1, f) : 0;
    ret[n] = '\0';
    if (f != NULL) {
        fclose(f);
    }
    return WIFEXITED(child_status) ? WEXITSTATUS(child_status) : -1;
}

static void counterparts(void)
{
    static const struct {
        const char *name, *command, *expected;
        int rc;
    } rows[] = {
        {"curl_with_certificate",
         "curl -sS --cacert root.pem --cert device.pem --key device.key https://localhost:%u/", "hello", 0},
        {"curl_tls12", "curl -sS --tls-max 1.2 --cacert root.pem https://localhost:%u/", "hello", 0},
        {"curl_post_chunked",
         "printf abc | curl -sS --cacert root.pem -H 'Transfer-Encoding: chunked' --data-binary @- https://localhost:%u/",
         "hello", 0},
        {"curl_post_expect",
         "curl -sS --cacert root.pem -H 'Expect: 100-continue' --data-binary abc https://localhost:%u/", "hello", 0},
        {"curl_two_requests_one_connection",
         "curl -sS --cacert root.pem https://localhost:%u/a https://localhost:%u/b -o /dev/null -o /dev/null -w "
         "'%%{num_connects} '", "1 0 ", 0},
        {"curl_http10_refused", "curl -sS -0 -o /dev/null -w '%%{http_code}' --cacert root.pem https://localhost:%u/",
         "505", 0},
        {"curl_stranger_refused",
         "curl -sS --cacert root.pem --cert stranger.pem --key stranger.key https://localhost:%u/", "", 56},
        {"s_client_alpn_none_tls13",
         "printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -quiet "
         "-ign_eof -tls1_3 -CAfile root.pem -verify_return_error -connect 127.0.0.1:%u", "hello", 0},
        {"s_client_of_an_older_group",
         "printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -quiet "
         "-ign_eof -groups P-384 -CAfile root.pem -verify_return_error -connect 127.0.0.1:%u", "hello", 0},
        {"s_client_tls11_refused", "openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:%u", "", 1},
        {"s_client_no_ticket",
         "printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -ign_eof "
         "-CAfile root.pem -connect 127.0.0.1:%u | grep -c 'New Session Ticket arrived' || true", "0\n", 0},
    };
    struct elsewhere e = {0};
    struct bp_tls *tls = server_elsewhere(&e);
    if (mkdtemp(dir) == NULL) {
        return;
    }
    write_pem("root.pem", &fx_pki()->root, false);
    write_pem("device.pem", &fx_pki()->device, false);
    write_pem("device.key", &fx_pki()->device, true);
    write_pem("stranger.pem", &fx_pki()->stranger, false);
    write_pem("stranger.key", &fx_pki()->stranger, true);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char command[512], out[8192] = "";
        bp_case_begin();
        if (begin(tls)) {
            const unsigned port = app.port;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(command, sizeof command, rows[i].command, port, port);
#pragma GCC diagnostic pop
            const int rc = run(command, out, sizeof out);
            if (!BP_CHECK(rc == rows[i].rc) || !BP_CHECK(strstr(out, rows[i].expected) != NULL)) {
                printf("# exit %d, printed: %s\n", rc, out);
            }
            end();
        }
        bp_case_end(rows[i].name);
    }
    char out[64];
    run("rm -f root.pem device.pem device.key stranger.pem stranger.key", out, sizeof out);
    run("cd / && rm -rf \"$OLDPWD\"", out, sizeof out);
    bp_tls_free(tls);
}

BP_CASE(keys_are_agreed_on_by_the_best_of_both)
{
    struct bp_tls *tls = fx_server_tls(BP_TLS_ASK_NEVER, false, NULL, NULL);
    struct bp_tls *ctls = fx_client_tls(NULL, false);
    const char *first = bp_tls_first_group();
    BP_NEED(begin(tls) && first != NULL);
    SSL *ssl = fx_tls(fx_dial(app.port), ctls, "localhost");
    BP_NEED(ssl != NULL);
    const char *name = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    BP_CHECK(name != NULL && OPENSSL_strcasecmp(name, first) == 0);
    BP_CHECK(strcmp(first, OpenSSL_version_num() >= 0x30500000ul ? "X25519MLKEM768" : "X25519") == 0);
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
    end();
    bp_tls_free(tls);
    bp_tls_free(ctls);
}

BP_CASE(certificates_are_read)
{
    uint8_t buf[4096], pem[8192];
    bp_span certs[2];
    size_t count = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, fx_pki()->root.x);
    PEM_write_bio_X509(bio, fx_pki()->infra.x);
    const int n = BIO_read(bio, pem, sizeof pem);
    BIO_free(bio);
    BP_NEED(n > 0);
    BP_CHECK(!bp_failed(bp_tls_read_certs(bp_span_of(pem, (size_t)n), buf, sizeof buf, certs, 2, &count)) && count == 2);
    BP_CHECK(bp_span_equal(certs[0], fx_der(&fx_pki()->root)) && bp_span_equal(certs[1], fx_der(&fx_pki()->infra)));
    BP_CHECK(!bp_failed(bp_tls_read_certs(fx_der(&fx_pki()->root), buf, sizeof buf, certs, 2, &count)) && count == 1);
    BP_CHECK(bp_is(bp_tls_read_certs(bp_span_of(pem, (size_t)n), buf, sizeof buf, certs, 1, &count), BP_E_LIMIT));
    BP_CHECK(bp_is(bp_tls_read_certs(bp_span_of(pem, (size_t)n), buf, 100, certs, 2, &count), BP_E_NO_SPACE));
    BP_CHECK(bp_is(bp_tls_read_certs(BP_SPAN_STR("nothing"), buf, sizeof buf, certs, 2, &count), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_tls_read_certs(BP_SPAN_EMPTY, buf, sizeof buf, certs, 2, &count), BP_E_MALFORMED));
    pem[n / 4] = '!';
    BP_CHECK(bp_is(bp_tls_read_certs(bp_span_of(pem, (size_t)n), buf, sizeof buf, certs, 2, &count), BP_E_MALFORMED));
}

BP_SUITE(tls, BP_RUN(device_is_known_by_its_certificate) BP_RUN(exporter_differs_by_connection)
    BP_TABLE(who_is_refused) BP_RUN(server_is_checked) BP_RUN(time_comes_from_the_clock) BP_RUN(server_key_elsewhere)
    BP_RUN(client_key_elsewhere) BP_RUN(name_chooses_the_context) BP_TABLE(specs_refused) BP_TABLE(counterparts)
    BP_RUN(keys_are_agreed_on_by_the_best_of_both) BP_RUN(certificates_are_read))
