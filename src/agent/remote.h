/* SPDX-License-Identifier: Apache-2.0 */
/* agent/remote - one listener of the server, as the agent calls it: TLS with the anchor and our credential, requests one
 * after another, refusals in words.
 *
 * Calls block (at most BP_REMOTE_TOTAL_MS): the agent has one thing to do at a time. What an answer points to lives
 * until the next call. It keeps no state of the protocol. */
#ifndef BP_AGENT_REMOTE_H
#define BP_AGENT_REMOTE_H

#include "net/client.h"

#define BP_REMOTE_CONNECT_MS 10000u
#define BP_REMOTE_TOTAL_MS   30000u
#define BP_REMOTE_ANSWER_MAX ((size_t)128 << 10)

struct bp_remote_spec {
    const char *host; /* must be the name in the server's certificate */
    const char *connect; /* NULL or empty: host */
    uint16_t port;
    bp_span anchor;               /* DER of the root certificate, or */
    const uint8_t *anchor_sha256; /* its hash, or */
    bool is_unproven;             /* nothing: only for what proves itself */
    bp_span cert;                 /* our certificate, DER; empty: none */
    const struct bp_tls_key *key; /* its key */
    const struct bp_clock *clock; /* by which the server's certificate is judged; NULL: the system's. Copied */
    bool resumes; /* the newest TLS session is kept, in memory, and offered at the next connection; needs the clock */
};

struct bp_remote;

/*   BAD_ARGUMENT  host, or no anchor    MALFORMED  a certificate does not parse    MISMATCH, CRYPTO, NO_MEMORY */
BP_MUST_CHECK bp_result bp_remote_new(const struct bp_remote_spec *spec, struct bp_remote **ret);
void bp_remote_free(struct bp_remote *s);

/* An answer of any status. For a refusal (status >= 400, or 202) what its problem document says. */
struct bp_reply {
    uint16_t status;
    bp_span body;
    uint32_t retry_after_s; /* 0: not said; capped at an hour */
    char code[64];          /* "" when there is no problem document */
    char detail[513];       /* one line */
    char action[161];       /* what to do next, one line */
    bool has_nonce;         /* a refusal of evidence carries the next one */
    uint8_t nonce[32];
    uint64_t seq;
    int64_t issued_ms;
};

/* Sends one request and waits. type NULL: GET, else POST with that content type.
 *   as bp_client_fn; bp_remote_trace says more */
BP_MUST_CHECK bp_result bp_remote_call(struct bp_remote *s, const char *target, const char *type, bp_span body,
                                       struct bp_reply *ret);
/* Connects where there is no connection and gives its exporter. */
BP_MUST_CHECK bp_result bp_remote_binding(struct bp_remote *s, uint8_t ret[32]);
void bp_remote_disconnect(struct bp_remote *s);
const char *bp_remote_trace(const struct bp_remote *s);

/* Reads a problem document into ret (code, detail, nonce); anything else leaves them empty. For tests too. */
void bp_reply_problem(bp_span json, struct bp_reply *ret);

#endif
