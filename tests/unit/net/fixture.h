/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/net/fixture - certificates made for one run, a loop that is pumped until a condition holds, raw clients.
 *
 * Server and raw clients live in one process and one loop, so that nothing depends on scheduling. What is made here is
 * freed at exit only. */
#ifndef BP_TESTS_NET_FIXTURE_H
#define BP_TESTS_NET_FIXTURE_H

#include "net/client.h"
#include "net/server.h"

#include <openssl/ssl.h>

struct fx_cert {
    X509 *x;
    EVP_PKEY *key;
    uint8_t der[2048], key_der[512];
    size_t der_n, key_n;
};

/* Root -> issuing CA (clients) and infrastructure CA (servers) -> leaves; and a stranger's CA with a leaf. */
struct fx_pki {
    struct fx_cert root, issuing, infra, server, other_server, device, device2, stranger_ca, stranger;
};

const struct fx_pki *fx_pki(void);
bp_span fx_der(const struct fx_cert *c);
bp_span fx_key(const struct fx_cert *c);

struct bp_loop *fx_loop(void);
/* Runs the loop in small steps until cond(arg) or ms have passed; the last value of cond. */
bool fx_until(bool (*cond)(void *arg), void *arg, unsigned ms);
void fx_run(unsigned ms);

/* A raw TCP connection to 127.0.0.1:port, non-blocking. */
int fx_dial(uint16_t port);
void fx_send(int fd, const char *text);
/* Collects what comes into buf as text until `needle` is in it, the peer closed, or ms have passed. */
struct fx_got {
    char text[65536];
    size_t n;
    bool closed;
};
bool fx_expect(int fd, SSL *ssl, struct fx_got *got, const char *needle, unsigned ms);
/* A raw TLS client over fd; NULL when the handshake does not end well within five seconds. */
SSL *fx_tls(int fd, struct bp_tls *tls, const char *host);

/* A TLS context for clients with the device's certificate (NULL: none), anchored at the root's hash or DER. */
struct bp_tls *fx_client_tls(const struct fx_cert *own, bool also_tls12);
/* For servers: leaf, infra and root are sent. */
struct bp_tls *fx_server_tls(enum bp_tls_ask ask, bool also_tls12, void *self,
                             bp_verdict (*admit)(void *self, const struct bp_tls_peer *peer, bp_span leaf));

#endif
