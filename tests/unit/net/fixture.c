/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/net/fixture - see fixture.h. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

static void need(bool ok, const char *what)
{
    if (!ok) {
        printf("not ok fixture: %s\n", what);
        exit(1);
    }
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(e != NULL && X509_add_ext(x, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

static void make(struct fx_cert *c, const char *cn, const struct fx_cert *issuer, bool is_ca, const char *san,
                 const char *eku)
{
    static long serial = 1000;
    const struct fx_cert *by = issuer != NULL ? issuer : c;
    c->key = EVP_EC_gen("P-256");
    c->x = X509_new();
    need(c->key != NULL && c->x != NULL, "key");
    X509_set_version(c->x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c->x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c->x), 86400);
    X509_set_pubkey(c->x, c->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c->x), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(c->x, X509_get_subject_name(by->x));
    extend(c->x, by->x, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(c->x, by->x, NID_key_usage, is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    extend(c->x, by->x, NID_subject_key_identifier, "hash");
    if (issuer != NULL) {
        extend(c->x, by->x, NID_authority_key_identifier, "keyid:always");
    }
    if (san != NULL) {
        extend(c->x, by->x, NID_subject_alt_name, san);
    }
    if (eku != NULL) {
        extend(c->x, by->x, NID_ext_key_usage, eku);
    }
    need(X509_sign(c->x, by->key, EVP_sha256()) > 0, "signature");
    uint8_t *p = c->der;
    const int n = i2d_X509(c->x, NULL);
    need(n > 0 && (size_t)n <= sizeof c->der, "size");
    c->der_n = (size_t)i2d_X509(c->x, &p);
    p = c->key_der;
    c->key_n = (size_t)i2d_PrivateKey(c->key, &p);
}

const struct fx_pki *fx_pki(void)
{
    static struct fx_pki pki;
    if (pki.root.x == NULL) {
        make(&pki.root, "root", NULL, true, NULL, NULL);
        make(&pki.issuing, "issuing", &pki.root, true, NULL, NULL);
        make(&pki.infra, "infra", &pki.root, true, NULL, NULL);
        make(&pki.server, "server", &pki.infra, false, "DNS:localhost,IP:127.0.0.1", "serverAuth");
        make(&pki.other_server, "operator", &pki.infra, false, "DNS:operator.localhost", "serverAuth");
        make(&pki.device, "device", &pki.issuing, false, NULL, "clientAuth");
        make(&pki.device2, "device2", &pki.issuing, false, NULL, "clientAuth");
        make(&pki.stranger_ca, "stranger-ca", NULL, true, NULL, NULL);
        make(&pki.stranger, "stranger", &pki.stranger_ca, false, "DNS:localhost", "clientAuth,serverAuth");
    }
    return &pki;
}

bp_span fx_der(const struct fx_cert *c)
{
    return bp_span_of(c->der, c->der_n);
}

bp_span fx_key(const struct fx_cert *c)
{
    return bp_span_of(c->key_der, c->key_n);
}

struct bp_loop *fx_loop(void)
{
    static struct bp_loop *loop;
    if (loop == NULL) {
        need(!bp_failed(bp_loop_new(&loop)), "loop");
    }
    return loop;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool fx_until(bool (*cond)(void *arg), void *arg, unsigned ms)
{
    const uint64_t end = now_ms() + ms;
    for (;;) {
        event_base_loop(bp_loop_base(fx_loop()), EVLOOP_NONBLOCK);
        if (cond != NULL && cond(arg)) {
            return true;
        }
        if (now_ms() >= end) {
            return false;
        }
        poll(NULL, 0, 1);
    }
}

void fx_run(unsigned ms)
{
    fx_until(NULL, NULL, ms);
}

int fx_dial(uint16_t port)
{
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&in, sizeof in) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void fx_send(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        const ssize_t k = send(fd, text, n, MSG_NOSIGNAL);
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return;
        } else {
            fx_run(1);
        }
    }
}

static bool take(int fd, SSL *ssl, struct fx_got *got)
{
    const size_t room = sizeof got->text - 1 - got->n;
    const ssize_t k = ssl != NULL ? SSL_read(ssl, got->text + got->n, (int)room) : recv(fd, got->text + got->n, room, 0);
    if (k > 0) {
        got->n += (size_t)k;
        got->text[got->n] = '\0';
        return true;
    }
    if (ssl != NULL) {
        got->closed = got->closed || SSL_get_error(ssl, (int)k) != SSL_ERROR_WANT_READ;
        ERR_clear_error();
    } else {
        got->closed = got->closed || k == 0 || errno != EAGAIN;
    }
    return false;
}

bool fx_expect(int fd, SSL *ssl, struct fx_got *got, const char *needle, unsigned ms)
{
    const uint64_t end = now_ms() + ms;
    do {
        fx_run(1);
        while (got->n < sizeof got->text - 1 && take(fd, ssl, got)) {
        }
        if (needle != NULL && strstr(got->text, needle) != NULL) {
            return true;
        }
    } while (!got->closed && now_ms() < end);
    return needle == NULL && got->closed;
}

SSL *fx_tls(int fd, struct bp_tls *tls, const char *host)
{
    SSL *ssl = NULL;
    if (bp_failed(bp_tls_connect(tls, host, &ssl))) {
        return NULL;
    }
    SSL_set_fd(ssl, fd);
    const uint64_t end = now_ms() + 5000;
    while (now_ms() < end) {
        const int rc = SSL_do_handshake(ssl);
        if (rc == 1) {
            return ssl;
        }
        const int e = SSL_get_error(ssl, rc);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
            break;
        }
        fx_run(1);
    }
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}

struct bp_tls *fx_client_tls(const struct fx_cert *own, bool also_tls12)
{
    struct bp_tls *tls = NULL;
    const bp_span chain[] = {own != NULL ? fx_der(own) : BP_SPAN_EMPTY};
    const bp_span anchors[] = {fx_der(&fx_pki()->root)};
    const struct bp_tls_client_spec spec = {
        .own = {.chain = chain, .count = own != NULL ? 1 : 0, .key_der = own != NULL ? fx_key(own) : BP_SPAN_EMPTY},
        .also_tls12 = also_tls12, .anchors = anchors, .anchor_count = 1};
    need(!bp_failed(bp_tls_client_new(&spec, &tls)), "client tls");
    return tls;
}

struct bp_tls *fx_server_tls(enum bp_tls_ask ask, bool also_tls12, void *self,
                             bp_verdict (*admit)(void *self, const struct bp_tls_peer *peer, bp_span leaf))
{
    struct bp_tls *tls = NULL;
    const struct fx_pki *pki = fx_pki();
    const bp_span chain[] = {fx_der(&pki->server), fx_der(&pki->infra), fx_der(&pki->root)};
    const bp_span cas[] = {fx_der(&pki->issuing)};
    const struct bp_tls_server_spec spec = {.own = {.chain = chain, .count = 3, .key_der = fx_key(&pki->server)},
                                            .also_tls12 = also_tls12, .ask = ask, .cas = cas, .ca_count = 1,
                                            .self = self, .admit = admit};
    need(!bp_failed(bp_tls_server_new(&spec, &tls)), "server tls");
    return tls;
}
