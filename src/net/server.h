/* SPDX-License-Identifier: Apache-2.0 */
/* net/server - listener, TLS, HTTP, handler: one listening descriptor served on a loop.
 *
 * A handler gets a complete request and a responder. It answers at once, or holds the responder and answers later; a
 * held responder ends with exactly one of: an answer, or its cancel callback (client left, hold time over, server
 * freed), after which it must not be touched. Requests of a connection are handled strictly one after another.
 * Ceilings: connections in all and per source, time in each state, head, body, pipelined bytes, queued output. A
 * refused message is answered with its reason (text/plain, one line) and the connection is closed.
 * It deliberately does not log, route, compress, or serve files. */
#ifndef BP_NET_SERVER_H
#define BP_NET_SERVER_H

#include "net/http.h"
#include "net/loop.h"
#include "net/tls.h"

struct bp_server;
struct bp_responder;

/* Valid until the request is answered or cancelled. */
struct bp_request {
    const struct bp_http *http;     /* method, target, path, query, headers, body */
    const struct bp_tls_peer *peer; /* NULL: no client certificate, or no TLS */
    const char *source;             /* numeric address of the client */
    const char *server_name;        /* SNI, or "" */
};

struct bp_server_limits {
    uint32_t conns_max;          /* in all; 0: 16384. Never more than RLIMIT_NOFILE - 64 descriptors are used */
    uint32_t conns_per_source;   /* 0: 256. Loopback counts as any other */
    uint32_t handshake_ms;       /* 0: 10000 */
    uint32_t head_ms;            /* from the first byte of a request to the end of its head; 0: 10000 */
    uint32_t body_ms;            /* from the end of the head to the end of the body; 0: 30000 */
    uint32_t idle_ms;            /* between requests; 0: 75000 */
    uint32_t hold_ms;            /* a held request is answered 503 after this; 0: 60000. Streams do not end by it */
    uint32_t write_ms;           /* without progress of the reader; 0: 20000 */
    uint32_t write_total_ms;     /* for one answer, progress or not; 0: 300000 */
    uint32_t pipeline_max;       /* bytes that may wait behind a request in work; 0: 16384 */
    uint32_t queue_max;          /* bytes queued on a stream to a slow reader; 0: 262144 */
    uint32_t answer_max;         /* body of one answer; 0: 16 MiB */
};

struct bp_server_spec {
    struct bp_tls *tls; /* NULL: plain HTTP (status listener only). Must outlive the server */
    struct bp_server_limits limits;
    bool of_status; /* who asks about certificates may speak as bp_http's of_status says */
    void *self;
    /* Longest body allowed for this head; more is refused with 413. NULL: 64 KiB for all. */
    size_t (*body_max)(void *self, const struct bp_http *head);
    /* Answers or holds; a handler that returns having done neither is answered 500. */
    void (*handle)(void *self, const struct bp_request *rq, struct bp_responder *rs);
};

struct bp_server_stats {
    uint64_t accepted, refused_source, refused_tls, paused, requests, refused_http, cut_slow, cut_pipeline, timed_out,
        cancelled, handshakes_failed;
    uint32_t conns; /* now */
};

/* Opens a listening TCP socket: addr numeric, port 0 picks one. SO_REUSEPORT is set so that several processes may share
 * the port; non-blocking, close-on-exec. The caller owns *ret_fd.
 *   BAD_ARGUMENT  addr is not an address    EXISTS  the port is taken    IO  anything else */
BP_MUST_CHECK bp_result bp_listen(const char *addr, uint16_t port, int *ret_fd, uint16_t *ret_port);

/* Serves listen_fd, which it owns from then on (also on failure). spec is copied. */
BP_MUST_CHECK bp_result bp_server_new(struct bp_loop *loop, int listen_fd, const struct bp_server_spec *spec,
                                      struct bp_server **ret);
/* Stops accepting, lets open connections be. */
void bp_server_stop_accepting(struct bp_server *s);
/* Closes everything; held requests are cancelled. Not from inside handle. */
void bp_server_free(struct bp_server *s);
/* Cuts every connection whose peer certificate has one of these SPKI hashes (concatenated, 32 bytes each); returns how
 * many. Held requests of theirs are cancelled. */
size_t bp_server_cut(struct bp_server *s, bp_span spki_hashes);
const struct bp_server_stats *bp_server_stats_of(const struct bp_server *s);

/* Answers. Headers and body are copied. The responder is gone after it, also on failure (then 500 was sent).
 *   LIMIT  body over answer_max    BAD_ARGUMENT  a header that would break the message */
BP_MUST_CHECK bp_result bp_respond(struct bp_responder *rs, unsigned status, const struct bp_http_header *headers,
                                   size_t count, bp_span body);
/* Keeps the responder beyond the handler. cancel is called at most once, then the responder is gone. */
void bp_hold(struct bp_responder *rs, void (*cancel)(void *arg), void *arg);
/* The TLS exporter of the connection (bp_tls_exporter).   UNSUPPORTED  no TLS */
BP_MUST_CHECK bp_result bp_responder_exporter(struct bp_responder *rs, uint8_t ret[32]);
/* DER of the client's leaf (bp_tls_peer_leaf). */
BP_MUST_CHECK bp_result bp_responder_leaf(struct bp_responder *rs, uint8_t *ret, size_t cap, size_t *ret_len);
/* The request while it is held. */
const struct bp_request *bp_responder_request(const struct bp_responder *rs);

/* Server-sent events or any other stream: head now, then pieces (each one chunk), then the end. cancel as in bp_hold.
 * The answer's framing is chunked; Content-Type is the caller's header. */
BP_MUST_CHECK bp_result bp_stream_begin(struct bp_responder *rs, unsigned status, const struct bp_http_header *headers,
                                        size_t count, void (*cancel)(void *arg), void *arg);
/*   LIMIT  the reader is too slow; it will be cut and cancel called from the loop */
BP_MUST_CHECK bp_result bp_stream_send(struct bp_responder *rs, bp_span piece);
void bp_stream_end(struct bp_responder *rs);

#endif
