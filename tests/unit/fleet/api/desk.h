/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/api/desk - a store, a log, a registry and the API over them, asked as the keeper and the
 * readers ask it. One request is one group: begin, act, handler, commit. For tests only. */
#ifndef BP_TESTS_API_DESK_H
#define BP_TESTS_API_DESK_H

#include <jansson.h>

#include "fleet/api/api.h"
#include "fleet/store/lists.h"
#include "platform/openssl/key.h"
#include "platform/sim/sim.h"

struct desk {
    char dir[64];
    char path[96];
    bp_store *store;  /* the keeper's */
    bp_store *reader; /* a reader's */
    struct bp_crypto *crypto;
    struct bp_entropy_sim chance;
    struct bp_entropy entropy;
    struct bp_log log;
    struct bp_effects effects;
    struct bp_registry registry;
    struct bp_api_writer writer;
    struct bp_api_reader read;
    uint8_t *room;
    int64_t now_ms;
    /* what a signer would answer; empty: it is not there */
    bp_span signer_answer;
    uint64_t signer_status;
    char asked[32]; /* op of the last question */
};

/* Who asks. */
struct asker {
    const char *cookie; /* value; NULL: none */
    const char *csrf;
    const char *issuer; /* "operator", "device", ...; NULL: no certificate */
    bp_span spki;
};

struct reply {
    unsigned status;
    char type[64];
    char cookie[80]; /* value of the cookie that was set */
    char *body;      /* zero-terminated; desk_done_reply */
    size_t body_n;
    json_t *json; /* NULL: not JSON */
};

bool desk_open(struct desk *d);
void desk_close(struct desk *d);
/* Runs a request through whichever side its row names. */
struct reply desk_ask(struct desk *d, const struct asker *who, const char *method, const char *target, const char *type,
                      const char *body, size_t body_n);
/* JSON body as text. */
struct reply desk_json(struct desk *d, const struct asker *who, const char *method, const char *target, const char *body);
void desk_done(struct reply *r);
/* A text member of the answer, "" when it is not there. */
const char *desk_text(const struct reply *r, const char *name);
/* The code of a problem, "" when it is none. */
const char *desk_problem(const struct reply *r);

/* Signs an operator of that role in; cookie and csrf are texts of at least 65 bytes. */
bool desk_sign_in(struct desk *d, enum bp_role role, char *cookie, char *csrf);
/* A waiting device whose id ends in `tag`. */
bool desk_device(struct desk *d, uint8_t tag, struct bp_device *ret);
/* Type of the newest event. */
uint32_t desk_last_event(struct desk *d);
/* Runs fn inside a group and an act. */
bool desk_act(struct desk *d, bp_result (*fn)(struct desk *d, void *arg), void *arg);

#endif
