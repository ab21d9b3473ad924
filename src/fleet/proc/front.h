/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/front - a front process: TLS and HTTP towards the net, one frame a request towards keeper and readers.
 *
 * It authenticates the channel, relays, and decides nothing: what a request means and what it is answered is said by the
 * process that it goes to. Files: front.c the process (certificates, channels, listeners, notices), relay.c a request
 * and its answer, stream.c the page's event stream, hold.c requests that wait for a revocation list. One front a process; it owns everything here. */
#ifndef BP_FLEET_PROC_FRONT_H
#define BP_FLEET_PROC_FRONT_H

#include "codec/exchange.h"
#include "codec/problem.h"
#include "fleet/proc/child.h"
#include "fleet/proc/denyset.h"
#include "net/server.h"

#define BP_FRONT_READERS_MAX 16u
#define BP_FRONT_STREAMS_MAX 256u
#define BP_FRONT_WAITERS_MAX 256u
#define BP_FRONT_WAIT_MS     50000 /* below the time after which net/server answers for a held request */
#define BP_FRONT_CALL_MS     45000u /* below the time after which net/server answers for a held request */

enum bp_listener { BP_L_DEVICE, BP_L_ENROL, BP_L_OPERATE, BP_L_STATUS, BP_L_COUNT };

struct bp_front;

struct bp_front_listener {
    struct bp_front *f;
    enum bp_listener id;
    int fd; /* came, but not served yet; else -1 */
    struct bp_tls *tls;
    struct bp_server *server;
    unsigned device_cas; /* of the anchors in tls, the first that many are issuing CAs of devices */
};

struct bp_stream_reader {
    struct bp_stream_reader *prev, *next;
    struct bp_front *f;
    struct bp_responder *rs;
    uint8_t *ask; /* the request for the session, asked again while the stream lasts */
    size_t ask_n;
    bool is_asking, is_gone;
    int64_t asked_ms;
};

/* A request that waits for the next revocation list. */
struct bp_front_waiter {
    struct bp_front_waiter *prev, *next;
    struct bp_front_listener *l;
    struct bp_responder *rs;
    uint64_t after;
    int64_t until_ms; /* monotonic */
};

struct bp_front {
    struct bp_child *c;
    struct bp_front_listener listener[BP_L_COUNT];
    struct bp_tls *operator_tls; /* the operate listener's second name, where a certificate is asked for */
    int tls_fd;                  /* channel to the tls signer; -1: none */
    struct bp_peer *keeper;
    struct bp_peer *reader[BP_FRONT_READERS_MAX];
    char reader_name[BP_FRONT_READERS_MAX][BP_PROC_NAME_MAX + 1];
    size_t next_reader;
    bool has_state;    /* the keeper has told what a front must know before it lets anyone in */
    bool is_accepting; /* the keeper takes requests */
    struct bp_denyset deny;
    struct bp_stream_reader *streams;
    size_t stream_count;
    struct bp_timer *beat; /* of the streams */
    uint64_t crl_number;   /* of the newest revocation list; 0: not told */
    struct bp_front_waiter *waiters;
    size_t waiter_count;
    struct bp_timer *wait_beat;
    bool is_ending;
    struct bp_timer *ending;
    size_t open; /* requests that wait for an answer */
};

const char *bp_listener_name(enum bp_listener id);

/* ---- relay.c ---- */

/* net/server's two hooks; self is a struct bp_front_listener. */
size_t bp_front_body_max(void *self, const struct bp_http *head);
void bp_front_handle(void *self, const struct bp_request *rq, struct bp_responder *rs);
/* Answers with a problem of our own. */
void bp_front_refuse(const struct bp_front_listener *l, struct bp_responder *rs, enum bp_problem problem,
                     unsigned retry_after_s);
/* The request as a body of op `http`, in memory that the caller frees. target empty: the request's own. */
BP_MUST_CHECK bp_result bp_front_exchange(const struct bp_front_listener *l, const struct bp_request *rq,
                                          struct bp_responder *rs, bp_span target, uint8_t **ret, size_t *ret_n);
/* The request to the process that answers it. */
void bp_front_relay(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs);
/* Whether the front itself refuses this peer's key. */
bool bp_front_is_denied(const struct bp_front *f, const struct bp_tls_peer *peer);

/* ---- stream.c ---- */

BP_MUST_CHECK bp_result bp_front_stream_start(struct bp_front *f);
/* GET /api/v1/stream: begins when the keeper says that the session is good. */
void bp_front_stream_ask(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs);
/* One message to every reader. */
void bp_front_stream_publish(struct bp_front *f, bp_span body);
/* Ends all. */
void bp_front_stream_end(struct bp_front *f);

/* ---- hold.c ---- */

BP_MUST_CHECK bp_result bp_front_hold_start(struct bp_front *f);
/* Keeps a request for the revocation list until there is a newer one; false: it is to be relayed now. */
bool bp_front_hold(struct bp_front_listener *l, const struct bp_request *rq, struct bp_responder *rs);
/* The keeper's notice `crl`: there is a newer one. */
BP_MUST_CHECK bp_result bp_front_hold_told(struct bp_front *f, bp_span body);
/* Lets all go. */
void bp_front_hold_end(struct bp_front *f);

/* ---- front.c ---- */

/* A request was answered or given up: an ending front may be done. */
void bp_front_settled(struct bp_front *f);

#endif
