/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/api - the operators' API (docs/protocol/api.md): one table of operations (routes.h), a
 * dispatcher that refuses what has no row, handlers that write inside the keeper and handlers that
 * read in the readers.
 *
 * Every request passes the same steps, in this order: row, class of the certificate, who asks, role,
 * CSRF token, media type, size; then its handler. The caller owns what it passes; the answer's spans
 * live in the room it gave. */
#ifndef BP_FLEET_API_API_H
#define BP_FLEET_API_API_H

#include "fleet/operators/operators.h"
#include "fleet/policy/policy.h"
#include "fleet/registry/turn.h"

#define BP_API_PREFIX "/api/v1"
#define BP_API_ROOM   (4u << 20) /* bytes of a reader's answer; bundles are the longest */

/* Which process answers; FRONT: the operate front itself holds the stream, after a GET of
 * /api/v1/session with the same cookie or certificate was answered 200. */
enum bp_api_where { BP_API_KEEPER, BP_API_READER, BP_API_FRONT };

/* Where a request belongs; what has no row goes to a reader, which says so. */
enum bp_api_where bp_api_where(bp_span method, bp_span target);
bool bp_api_is_read(bp_span method, bp_span target); /* READER */

/* What handlers that write need besides their turn. The texts and spans live as long as the program. */
struct bp_api_writer {
    const char *name;         /* of the server, as in links */
    const char *enrol_url;    /* "https://NAME:PORT", for invitations */
    bp_span operators_der;    /* issuer of operators' certificates */
    bp_span root_der;
    bp_span bind_der;         /* of the key that signs what is said of devices' keys */
    bp_span owner_card;       /* of this server's owner; may be empty */
    struct bp_attempts attempts; /* zeroed */
};

/* A handler for listener "operate", prefix BP_API_PREFIX; self is a struct bp_api_writer. */
bp_result bp_api_write(void *self, struct bp_turn *t, const struct bp_ex_request *q, struct bp_ex_answer *ret);

/* A process of the server, as the overview shows it. */
struct bp_api_process {
    const char *name;
    const char *fence; /* which fences are up, for people */
    bool running;
};

struct bp_api_reader {
    bp_store *store; /* BP_STORE_READ; the handler takes and ends its snapshot */
    struct bp_crypto *crypto;
    int64_t now_ms; /* set before each call */
    const char *name, *version, *organisation;
    bool evaluation;
    const struct bp_api_process *process;
    size_t process_count;
    const bp_span *chain; /* certificates of a bundle (docs/protocol/bundle.md, key 11), root last */
    size_t chain_count;
    uint8_t *room;        /* of the answer */
    size_t room_cap;      /* BP_API_ROOM */
};

/* Answers one request of a reader; never fails: what goes wrong is a problem in the answer. */
void bp_api_read(struct bp_api_reader *r, const struct bp_ex_request *q, struct bp_ex_answer *ret);

/* The JSON text of one message of the stream (api.md), for the keeper's notice `stream`.
 *   NO_SPACE  cap is too small (BP_API_STREAM_MAX is enough) */
#define BP_API_STREAM_MAX 4096u
BP_MUST_CHECK bp_result bp_api_stream_text(const struct bp_event *e, const struct bp_place *place, char *ret,
                                           size_t cap, size_t *ret_n);

/* The names that a policy may use: those of appraise/claim.h and what the keeper knows of the device:
 * model, site (TEXT; missing when empty), state (TEXT, before this verdict). For bp_policy_new. */
const struct bp_policy_name *bp_api_policy_names(size_t *ret_count);

#endif
