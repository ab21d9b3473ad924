/* SPDX-License-Identifier: Apache-2.0 */
/* fleet DIR COUNT - gateways made in software that speak the real protocol to a real server over TLS, driven by lines on
 * standard input. For the tests of this folder.
 *
 * Before the server starts it writes into DIR what people would have done: an accepted issuer of endorsement
 * certificates, a release that the gateways run, one invitation each. Then it says "prepared" and takes
 *     ports ENROL DEVICE     where the server is
 *     join I                 hello, activation, evidence, certificate, evidence over it
 *     attest I               evidence over the device listener; "attest I ok TIER STATE SEQ"
 *     poll I                 asks for a nonce; tells only whether the server answered
 *     id I                   device id, SPKI hash and serial of its certificate
 *     key I                  its certificate and the key of it, DER, for clients that are not ours
 *     service I NAME         the same of an application; asked for again: the key's next certificate
 *     forge TEXT             every later request carries TEXT for a captured front (bedplated-probe); "forge -" ends that
 *     pose I J               gateway I says from now on that it is J, with J's id and key hash
 *     grab I                 asks over its certificate for one for a key that no evidence vouched for
 *     exporter I             that of its connection
 *     work FROM TO           one process a gateway attests without pause (joining first where needed) until
 *     rest [FROM TO]         ends them; each acknowledged answer was told by a line "acked I ..."
 *     renew FROM TO          as work, but each turn is evidence for another key and a certificate for it
 * A failure says where: "join I failed STEP STATUS CODE". */
#include "unit/fleet/keeper/world.h"

#include "fleet/events/effects.h"
#include "fleet/registry/registry.h"
#include "net/client.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"

#include <stdio.h>
#include <stdlib.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/x509.h>

#define BP_MODULE TEST

#define GATEWAYS_MAX 1024u
#define CALL_MS      20000u
#define SERVICES_MAX 4u

struct service {
    char name[32];
    struct test_key key;
};

struct session {
    struct gateway *gateway;
    struct service service[SERVICES_MAX];
    char code[BP_CODE_TEXT + 1];
    struct bp_tls *enrol_tls, *device_tls;
    struct bp_client *enrol, *device;
    uint8_t key[1024]; /* of the certificate in device_tls */
    bool has_joined;
    bool renews; /* its worker does, in each turn */
    pid_t worker;
};

static struct world world;
static struct session session[GATEWAYS_MAX];
static struct session *now; /* whose turn it is: gateways know only their world */
static unsigned count;
static struct bp_clock real;
static uint16_t enrol_port, device_port;
static struct world_reply reply;
static const char *step = "";
static char forged[256];
static uint64_t used_seq; /* of the evidence last made */

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

/* ---- the way to the server ---- */

static bool dial(struct bp_tls *tls, uint16_t port, struct bp_client **ret)
{
    const struct bp_client_spec spec = {.tls = tls, .host = "localhost", .port = port, .connect_host = "127.0.0.1",
                                        .connect_ms = CALL_MS, .total_ms = CALL_MS};
    return ok(bp_client_new(NULL, &spec, ret));
}

static bool enrol_client(struct session *s)
{
    const bp_span root = world.plant.site->cert[BP_SITE_CERT_ROOT];
    const struct bp_tls_client_spec spec = {.anchors = &root, .anchor_count = 1};
    return s->enrol != NULL || (ok(bp_tls_client_new(&spec, &s->enrol_tls)) && dial(s->enrol_tls, enrol_port, &s->enrol));
}

static void forget_device_client(struct session *s)
{
    bp_client_free(s->device);
    bp_tls_free(s->device_tls);
    s->device = NULL;
    s->device_tls = NULL;
}

/* What was connected to the server of before is of no use. */
static void hang_up(void)
{
    for (unsigned i = 0; i < count; i++) {
        struct session *s = &session[i];
        forget_device_client(s);
        bp_client_free(s->enrol);
        bp_tls_free(s->enrol_tls);
        s->enrol = NULL;
        s->enrol_tls = NULL;
    }
}

static bool device_client(struct session *s)
{
    const bp_span root = world.plant.site->cert[BP_SITE_CERT_ROOT];
    const struct gateway *g = s->gateway;
    const bp_span cert = bp_span_of(g->cert_der, g->cert_n);
    if (s->device != NULL) {
        return true;
    }
    uint8_t *p = s->key;
    const int n = i2d_PrivateKey(g->rig.ldevid.pkey, NULL);
    if (n <= 0 || (size_t)n > sizeof s->key || i2d_PrivateKey(g->rig.ldevid.pkey, &p) != n) {
        return false;
    }
    const struct bp_tls_client_spec spec = {
        .own = {.chain = &cert, .count = 1, .key_der = bp_span_of(s->key, (size_t)n)}, .anchors = &root, .anchor_count = 1};
    return ok(bp_tls_client_new(&spec, &s->device_tls)) && dial(s->device_tls, device_port, &s->device);
}

/* Evidence is bound to the connection that carries it. */
static bool bind_to_connection(struct session *s)
{
    const struct bp_http *none = NULL;
    return device_client(s) && ok(bp_client_call(s->device, NULL, &none)) &&
           ok(bp_client_exporter(s->device, s->gateway->rig.binding));
}

static enum bp_http_method method_of(const char *name)
{
    return strcmp(name, "GET") == 0 ? BP_HTTP_GET : BP_HTTP_POST;
}

/* What gateway.c asks for: here a request of the session whose turn it is. Status 0 of the answer: there was none. */
struct world_reply *world_ask(struct world *w, const char *listener, const char *method, const char *target,
                              const char *type, bp_span body, const struct world_peer *peer)
{
    const struct bp_http *http = NULL;
    const bool to_device = strcmp(listener, "device") == 0;
    struct bp_http_header header[2];
    size_t headers = 0;
    if (type != NULL) {
        header[headers++] = (struct bp_http_header){"Content-Type", bp_span_cstr(type)};
    }
    if (forged[0] != '\0') {
        header[headers++] = (struct bp_http_header){"X-Probe-Forge", bp_span_cstr(forged)};
    }
    const struct bp_client_request rq = {.method = method_of(method), .target = target, .headers = header,
                                         .header_count = headers, .body = body};
    (void)w;
    (void)peer;
    step = target;
    free(reply.body);
    reply = (struct world_reply){.is_there = true};
    if (!(to_device ? device_client(now) : enrol_client(now))) {
        return &reply;
    }
    struct bp_client *client = to_device ? now->device : now->enrol;
    if (!ok(bp_client_call(client, &rq, &http))) {
        return &reply;
    }
    const bp_span got = bp_http_body(http);
    reply.body = malloc(got.n + 1);
    if (reply.body == NULL) {
        return &reply;
    }
    if (got.n > 0) {
        memcpy(reply.body, got.p, got.n);
    }
    reply.body[got.n] = '\0';
    reply.body_n = got.n;
    reply.http.status = http->status;
    reply.http.body = bp_span_of(reply.body, got.n);
    return &reply;
}

/* The code of a problem+json answer, for people. */
static void code_of(char *ret, size_t cap)
{
    const char *at = reply.body == NULL ? NULL : strstr((const char *)reply.body, "\"code\":\"");
    const size_t n = at == NULL ? 0 : strcspn(at + 8, "\"");
    (void)snprintf(ret, cap, "%.*s", (int)n, at == NULL ? "" : at + 8);
}

/* ---- acts ---- */

static void tell_failure(const char *act, unsigned i)
{
    char code[64];
    code_of(code, sizeof code);
    printf("%s %u failed %s %u %s\n", act, i, step, (unsigned)reply.http.status, code[0] == '\0' ? "-" : code);
}

static bool turn_of(unsigned i)
{
    now = &session[i];
    world.plant.sim.wall_ms = bp_wall_ms(&real);
    return i < count;
}

static bool attest(unsigned i)
{
    if (!turn_of(i)) {
        return false;
    }
    step = "connect";
    reply.http.status = 0;
    used_seq = now->gateway->rig.seq;
    return bind_to_connection(now) && gateway_attest(now->gateway)->http.status == 200;
}

/* Evidence on a nonce that the last answer gave; a gateway that lost the answer asks for another one. */
static bool attest_anew(unsigned i)
{
    return turn_of(i) && device_client(now) && gateway_nonce(now->gateway)->http.status == 200 && attest(i);
}

/* Evidence that vouches for another key, and a certificate for that one, which the next connection shows. */
static bool renew(unsigned i)
{
    if (!turn_of(i) || !device_client(now) || gateway_nonce(now->gateway)->http.status != 200) {
        return false;
    }
    step = "connect";
    reply.http.status = 0;
    used_seq = now->gateway->rig.seq;
    if (!bind_to_connection(now) || gateway_vouch(now->gateway)->http.status != 200 ||
        gateway_reenrol(now->gateway)->http.status != 200) {
        return false;
    }
    forget_device_client(now);
    return true;
}

static bool join(unsigned i)
{
    if (!turn_of(i)) {
        return false;
    }
    struct gateway *g = now->gateway;
    memset(g->rig.binding, 0, sizeof g->rig.binding);
    forget_device_client(now);
    if (gateway_hello(g, g->has_cert ? NULL : now->code)->http.status != 200 || gateway_first(g)->http.status != 200 ||
        gateway_enrol(g)->http.status != 200 || !g->has_cert) {
        return false;
    }
    now->has_joined = attest(i);
    return now->has_joined;
}

static void tell_state(const char *act, unsigned i)
{
    const struct gateway *g = session[i].gateway;
    printf("%s %u ok %llu %s %llu\n", act, i, (unsigned long long)g->tier, g->state, (unsigned long long)g->rig.seq);
}

static void tell_hex(bp_span v)
{
    for (size_t i = 0; i < v.n; i++) {
        printf("%02x", v.p[i]);
    }
}

/* What an attacker does who has a gateway of his own and a front that says what he likes. */
static void pose(unsigned i, unsigned as)
{
    struct rig *r = &session[i].gateway->rig;
    const struct rig *other = &session[as].gateway->rig;
    memcpy(r->device_id, other->device_id, sizeof r->device_id);
    memcpy(r->ldevid_hash, other->ldevid_hash, sizeof r->ldevid_hash);
}

static void tell_exporter(unsigned i)
{
    uint8_t exporter[32] = {0};
    const struct bp_http *none = NULL;
    const bool good = turn_of(i) && device_client(now) && ok(bp_client_call(now->device, NULL, &none)) &&
                      ok(bp_client_exporter(now->device, exporter));
    printf("exporter %u ", i);
    tell_hex(good ? BP_SPAN_OF(exporter) : BP_SPAN_EMPTY);
    printf("\n");
}

static void tell_id(unsigned i)
{
    const struct gateway *g = session[i].gateway;
    printf("id %u ", i);
    tell_hex(BP_SPAN_OF(g->rig.device_id));
    printf(" ");
    tell_hex(BP_SPAN_OF(g->spki));
    printf(" ");
    tell_hex(g->cert.serial);
    printf("\n");
}

static void tell_pair(const char *act, unsigned i, bp_span cert, EVP_PKEY *pkey)
{
    uint8_t key[1024];
    uint8_t *p = key;
    const int n = cert.n > 0 ? i2d_PrivateKey(pkey, NULL) : 0;
    const bool good = n > 0 && (size_t)n <= sizeof key && i2d_PrivateKey(pkey, &p) == n;
    printf("%s %u ", act, i);
    tell_hex(good ? cert : BP_SPAN_EMPTY);
    printf(" ");
    tell_hex(good ? bp_span_of(key, (size_t)n) : BP_SPAN_EMPTY);
    printf("\n");
}

static void tell_key(unsigned i)
{
    const struct gateway *g = session[i].gateway;
    tell_pair("key", i, bp_span_of(g->cert_der, g->has_cert ? g->cert_n : 0), g->rig.ldevid.pkey);
}

/* The key stays from one certificate to the next, as the agent's does. */
static struct service *service_of(struct session *s, const char *name)
{
    for (size_t i = 0; i < SERVICES_MAX; i++) {
        struct service *v = &s->service[i];
        if (strcmp(v->name, name) == 0) {
            return v;
        }
        if (v->name[0] == '\0') {
            (void)snprintf(v->name, sizeof v->name, "%s", name);
            return test_key_make(&v->key, BP_SIG_ES256) ? v : NULL;
        }
    }
    return NULL;
}

static void serve(unsigned i, const char *name)
{
    uint8_t cert[2048];
    size_t n = 0;
    step = "key";
    const bool good = turn_of(i) && bind_to_connection(now);
    const struct service *v = good ? service_of(now, name) : NULL;
    if (v == NULL || !gateway_apply(now->gateway, &v->key, name, cert, sizeof cert, &n)) {
        tell_failure("service", i);
    } else {
        tell_pair("service", i, bp_span_of(cert, n), v->key.pkey);
    }
}

/* ---- many at once ---- */

/* One process: what the server acknowledged is told before the next thing is asked. */
static void work(unsigned i)
{
    struct session *s = &session[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        const bool had = s->has_joined;
        const bool good = !had ? join(i) : s->renews ? renew(i) : attest_anew(i);
        if (good && (!had || s->renews)) {
            printf("acked %u certificate ", i);
            tell_hex(s->gateway->cert.serial);
            printf("\n");
        }
        if (good) {
            printf("acked %u verdict ", i);
            tell_hex(BP_SPAN_OF(s->gateway->rig.device_id));
            printf(" %llu\n", (unsigned long long)used_seq);
        } else if (reply.http.status != 0) {
            tell_failure("refused", i);
        }
        fflush(stdout);
        if (!good) {
            forget_device_client(s);
            bp_client_free(s->enrol);
            bp_tls_free(s->enrol_tls);
            s->enrol = NULL;
            s->enrol_tls = NULL;
        }
    }
}

static void start_work(unsigned from, unsigned to, bool renews)
{
    for (unsigned i = from; i < to && i < count; i++) {
        fflush(stdout);
        session[i].renews = renews;
        session[i].worker = fork();
        if (session[i].worker == 0) {
            work(i);
        }
    }
    printf("working\n");
}

static void rest(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to && i < count; i++) {
        if (session[i].worker > 0) {
            kill(session[i].worker, SIGKILL);
            waitpid(session[i].worker, NULL, 0);
            session[i].worker = 0;
        }
    }
    printf("resting\n");
}

/* ---- preparing ---- */

static bool invite(struct bp_registry *registry, struct session *s)
{
    struct bp_place place = {0};
    enum bp_problem problem = BP_P_NONE;
    (void)snprintf(place.zone, sizeof place.zone, "demo");
    return ok(bp_registry_invite(registry, &place, BP_INVITATION_MS, BP_SPAN_STR("test"), s->code, &problem));
}

static bool accept_release(bp_store *store, struct rig *r, uint32_t at)
{
    struct bp_release_row row = {.product = "gateway", .version = "1", .counter = 1, .imported_ms = bp_wall_ms(&real),
                                 .by = "test", .manifest = BP_SPAN_STR("manifest"), .corim = r->source[at].corim};
    memcpy(row.id, r->release_id[at], sizeof row.id);
    return ok(bp_store_release_add(store, &row)) &&
           ok(bp_store_acceptance_set(store, BP_SPAN_OF(row.id), "demo", BP_ACC_ACCEPTED, "test", "", row.imported_ms));
}

static bool fill_store(bp_store *store)
{
    static const char *const programs[] = {"/usr/bin/agent", "1", NULL};
    static struct bp_effects effects;
    struct bp_log log = {0};
    struct bp_registry registry = {.store = store, .log = &log, .crypto = world.plant.crypto, .entropy = &world.entropy,
                                   .effects = &effects, .now_ms = bp_wall_ms(&real)};
    struct rig *r = &session[0].gateway->rig;
    bool good = ok(bp_log_open(&log, store, world.plant.crypto)) &&
                ok(bp_site_secret(world.plant.site, "owner", registry.owner_secret)) && ok(bp_store_begin(store)) &&
                ok(bp_store_act(store));
    good = good && accept_release(store, r, rig_release(r, "gateway 1", "demo", &rig_os_1, programs));
    for (unsigned i = 0; i < count && good; i++) {
        good = invite(&registry, &session[i]);
    }
    return good && ok(bp_log_flush(&log)) && ok(bp_store_act_end(store, true)) && ok(bp_store_commit(store));
}

static bool prepare(const char *dir)
{
    char path[512];
    bp_store *store = NULL;
    if (!ok(bp_crypto_openssl_new(1024, &world.plant.crypto)) ||
        !ok(bp_site_load(dir, world.plant.crypto, &world.plant.site)) || !ok(bp_sim_maker_make(&world.maker, WORLD_MAKER_FROM))) {
        return false;
    }
    world.entropy = bp_entropy_linux();
    world.binds = true;
    world.plant.sim.wall_ms = bp_wall_ms(&real);
    for (unsigned i = 0; i < count; i++) {
        session[i].gateway = calloc(1, sizeof *session[i].gateway);
        if (session[i].gateway == NULL || !gateway_make(session[i].gateway, &world, i)) {
            return false;
        }
    }
    (void)snprintf(path, sizeof path, "%s/anchors/virtual-test.pem", dir);
    if (!ok(bp_sim_maker_save(&world.maker, path))) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/store/bedplate.db", dir);
    if (!ok(bp_store_open(path, BP_STORE_WRITE, "0.1.0", NULL, &store))) {
        return false;
    }
    const bool good = fill_store(store);
    bp_store_free(store);
    return good;
}

/* ---- lines ---- */

static bool act(const char *line)
{
    char word[16] = "", name[32] = "";
    unsigned a = 0, b = 0;
    const int n = sscanf(line, "%15s %u %u", word, &a, &b);
    if (strcmp(word, "ports") == 0 && n == 3) {
        enrol_port = (uint16_t)a;
        device_port = (uint16_t)b;
        hang_up();
        printf("ports ok\n");
    } else if (strcmp(word, "forge") == 0) {
        const size_t n_text = strcspn(line + 6, "\n");
        (void)snprintf(forged, sizeof forged, "%.*s", (int)n_text, line + 6);
        if (strcmp(forged, "-") == 0) {
            forged[0] = '\0';
        }
        printf("forge ok\n");
    } else if (strcmp(word, "rest") == 0) {
        rest(a, n == 3 ? b : count);
    } else if ((strcmp(word, "work") == 0 || strcmp(word, "renew") == 0) && n == 3) {
        start_work(a, b, word[0] == 'r');
    } else if (n < 2 || a >= count) {
        return false;
    } else if (strcmp(word, "join") == 0) {
        join(a) ? tell_state("join", a) : tell_failure("join", a);
    } else if (strcmp(word, "attest") == 0) {
        attest_anew(a) ? tell_state("attest", a) : tell_failure("attest", a);
    } else if (strcmp(word, "poll") == 0) {
        const bool good = turn_of(a) && device_client(now) && gateway_nonce(now->gateway)->http.status == 200;
        good ? (void)printf("poll %u ok\n", a) : tell_failure("poll", a);
    } else if (strcmp(word, "pose") == 0 && b < count) {
        pose(a, b);
        printf("pose ok\n");
    } else if (strcmp(word, "grab") == 0) {
        const bool good = turn_of(a) && gateway_reenrol(now->gateway)->http.status == 200;
        good ? (void)printf("grab %u ok\n", a) : tell_failure("grab", a);
    } else if (strcmp(word, "exporter") == 0) {
        tell_exporter(a);
    } else if (strcmp(word, "id") == 0) {
        tell_id(a);
    } else if (strcmp(word, "key") == 0) {
        tell_key(a);
    } else if (strcmp(word, "service") == 0 && sscanf(line, "%*s %*u %31s", name) == 1) {
        serve(a, name);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char line[256];
    (void)signal(SIGPIPE, SIG_IGN);
    real = bp_clock_linux();
    count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > GATEWAYS_MAX) {
        fputs("usage: fleet DIR COUNT\n", stderr);
        return 2;
    }
    if (!prepare(argv[1])) {
        puts("failed");
        return 1;
    }
    puts("prepared");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!act(line)) {
            puts("what?");
        }
        fflush(stdout);
    }
    rest(0, count);
    return 0;
}
