/* SPDX-License-Identifier: Apache-2.0 */
/* net/frame - messages between our own processes over Unix stream sockets (docs/protocol/processes.md).
 *
 * Frame = u32 big-endian length (<= BP_FRAME_MAX), then one deterministic CBOR map: request {1 id, 2 op, 3 body},
 * answer {1 id, 4 status, 3 body}, notice {2 op, 3 body}. Bodies are CBOR maps and are passed on as bytes.
 * A peer whose frame does not parse, who answers what was not asked, or whose reader is too slow is closed, once, with
 * on_closed; calls open at it end with CLOSED. It deliberately does not reconnect: the parent replaces processes. */
#ifndef BP_NET_FRAME_H
#define BP_NET_FRAME_H

#include "base/span.h"
#include "net/loop.h"
#include "port/clock.h"

#define BP_FRAME_MAX       (4u << 20)
#define BP_FRAME_OPEN_MAX  4096u
#define BP_FRAME_QUEUE_MAX (16u << 20)
#define BP_FRAME_OP_MAX    32u
#define BP_FRAME_FDS_MAX   16u

enum bp_frame_kind { BP_FRAME_REQUEST, BP_FRAME_ANSWER, BP_FRAME_NOTICE };

struct bp_frame {
    enum bp_frame_kind kind;
    uint64_t id;     /* request, answer */
    bp_span op;      /* request, notice */
    uint64_t status; /* answer: 0 ok, else a number of codec/problem.h */
    bp_span body;    /* one CBOR map */
};

/* One message without its length, both directions. Spans point into the input.
 *   as bp_cbor_check, and MALFORMED for members that no kind of message has */
BP_MUST_CHECK bp_result bp_frame_parse(bp_span in, struct bp_frame *ret);
/* Length and message. NO_SPACE: *ret_len tells the room needed. */
BP_MUST_CHECK bp_result bp_frame_write(const struct bp_frame *f, uint8_t *ret, size_t cap, size_t *ret_len);

struct bp_peer;

struct bp_peer_ops {
    /* A request: answer it now or later by bp_peer_answer with this id, exactly once. op and body live during the call. */
    void (*on_request)(void *self, struct bp_peer *p, uint64_t id, bp_span op, bp_span body);
    void (*on_notice)(void *self, struct bp_peer *p, bp_span op, bp_span body);
    /* The other side is gone or was closed for misbehaving (r says which); p may be freed here. */
    void (*on_closed)(void *self, struct bp_peer *p, bp_result r);
    bool takes_fds; /* only from the parent; otherwise a descriptor closes the peer */
};

/* Owns fd from then on (also on failure). ops is copied; NULL members: such a message closes the peer. */
BP_MUST_CHECK bp_result bp_peer_new(struct bp_loop *loop, int fd, const struct bp_peer_ops *ops, void *self,
                                    struct bp_peer **ret);
/* Closes. Calls still open end with CLOSED; on_closed is not called. Allowed inside any callback. */
void bp_peer_free(struct bp_peer *p);

/* r is BP_OK when an answer came (status may still say no); else CLOSED or EXPIRED, status and body are empty. */
typedef void bp_peer_fn(void *arg, bp_result r, uint64_t status, bp_span body);

/* body is one CBOR map and is copied. fn is called exactly once, from the loop, unless the call itself failed.
 *   BUSY  BP_FRAME_OPEN_MAX requests are open, or BP_FRAME_QUEUE_MAX bytes are queued    LIMIT  longer than a frame
 *   CLOSED  the peer is gone */
BP_MUST_CHECK bp_result bp_peer_call(struct bp_peer *p, const char *op, bp_span body, uint32_t timeout_ms,
                                     bp_peer_fn *fn, void *arg);
/* Answers; a full queue closes the peer (it asked for more than it reads). */
BP_MUST_CHECK bp_result bp_peer_answer(struct bp_peer *p, uint64_t id, uint64_t status, bp_span body);
BP_MUST_CHECK bp_result bp_peer_notify(struct bp_peer *p, const char *op, bp_span body);
/* A notice with one descriptor, which is duplicated; the caller keeps its own. */
BP_MUST_CHECK bp_result bp_peer_notify_fd(struct bp_peer *p, const char *op, bp_span body, int fd);
/* The next descriptor that came, in order; the caller owns it.   NOT_FOUND  none */
BP_MUST_CHECK bp_result bp_peer_take_fd(struct bp_peer *p, int *ret_fd);
/* Bytes that wait to be written; 0 when all is handed to the system. */
size_t bp_peer_queued(const struct bp_peer *p);

/* Sends one request on a channel of its own (no struct bp_peer on it) and waits for its answer. For places that cannot
 * return to a loop, such as a TLS signature. After any failure but NO_SPACE the channel is out of step: close it.
 *   EXPIRED  not within timeout_ms    CLOSED, IO  the other side is gone    MALFORMED  not an answer to this */
BP_MUST_CHECK bp_result bp_frame_call(int fd, const struct bp_clock *clock, uint32_t timeout_ms, const char *op,
                                      bp_span body, uint64_t *ret_status, uint8_t *ret, size_t cap, size_t *ret_len);

#endif
