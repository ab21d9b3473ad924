/* SPDX-License-Identifier: Apache-2.0 */
/* net/client - an HTTPS client: one kept connection, one request in flight, bounded answers.
 *
 * The server is named by spec.host, verified by spec.tls; connect_host only says where to dial. Made for the agent (on
 * its loop) and for command-line programs (bp_client_call runs the client's own loop). It deliberately does not follow
 * redirects, keep cookies, use proxies or resolve names asynchronously (a numeric address never blocks). */
#ifndef BP_NET_CLIENT_H
#define BP_NET_CLIENT_H

#include "net/http.h"
#include "net/loop.h"
#include "net/tls.h"

struct bp_client;

struct bp_client_spec {
    struct bp_tls *tls; /* NULL: plain HTTP, for the status listener. Must outlive the client */
    const char *host;   /* copied; at most 255 bytes */
    uint16_t port;
    const char *connect_host; /* NULL: host */
    uint16_t connect_port;    /* 0: port */
    uint32_t connect_ms;      /* dial and handshake; 0: 10000 */
    uint32_t total_ms;        /* one request, dialling included; 0: 75000 */
    size_t answer_max;        /* body; 0: 1 MiB */
};

struct bp_client_request {
    enum bp_http_method method;
    const char *target; /* path and query, already escaped */
    const struct bp_http_header *headers;
    size_t header_count;
    bp_span body;
    bool may_repeat; /* sent again once when a kept connection turns out dead before any byte of an answer */
};

/* r is BP_OK when an answer came, of whatever status; http is valid during the call only (NULL otherwise).
 *   CLOSED  the connection could not be made or ended early    EXPIRED  out of time
 *   DENIED  the TLS handshake failed (see bp_client_trace)     MALFORMED  the answer was refused
 *   LIMIT   the answer is too long */
typedef void bp_client_fn(void *arg, bp_result r, const struct bp_http *http);

/* loop NULL: a loop of its own, for bp_client_call.
 *   BAD_ARGUMENT  host missing or too long    NO_MEMORY */
BP_MUST_CHECK bp_result bp_client_new(struct bp_loop *loop, const struct bp_client_spec *spec, struct bp_client **ret);
/* Closes; a request in flight is forgotten, its callback is not called. Allowed inside the callback. */
void bp_client_free(struct bp_client *c);

/* Dials (when there is no connection) so that bp_client_exporter has something to tell; fn gets http NULL. */
BP_MUST_CHECK bp_result bp_client_connect(struct bp_client *c, bp_client_fn *fn, void *arg);
/* Sends; everything in rq is copied. fn is called once, from the loop.
 *   BUSY  a request is in flight    BAD_ARGUMENT  target or header would break the message */
BP_MUST_CHECK bp_result bp_client_send(struct bp_client *c, const struct bp_client_request *rq, bp_client_fn *fn,
                                       void *arg);
/* Ends the connection; the next request dials again. */
void bp_client_disconnect(struct bp_client *c);
bool bp_client_is_connected(const struct bp_client *c);
/* Exporter of the present connection.   NOT_FOUND  there is none */
BP_MUST_CHECK bp_result bp_client_exporter(struct bp_client *c, uint8_t ret[32]);
/* What the last failure said in detail (OpenSSL's or the system's words), or "". For people. */
const char *bp_client_trace(const struct bp_client *c);

/* Sends and waits, on a client that was made without a loop. *ret_http is valid until the next call or free.
 * Failures as bp_client_fn. rq NULL: only connects (*ret_http is NULL). */
BP_MUST_CHECK bp_result bp_client_call(struct bp_client *c, const struct bp_client_request *rq,
                                       const struct bp_http **ret_http);

#endif
