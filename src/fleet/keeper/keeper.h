/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/keeper - the only writer: takes what fronts relay, has evidence appraised, results
 * signed and certificates issued, and writes everything of one request in one group before anybody
 * is told.
 *
 * It is driven from outside: requests by bp_keeper_http, answers of other processes through the
 * port's callbacks, time by bp_keeper_turn. It has no descriptor, no loop and no clock of its own,
 * so that a test can run thirty days in a minute; fleet/keeper/main joins it to channels and a
 * loop. One instance a store. It owns its memory, bounded by the limits below; bodies are copied.
 * It never answers before the commit. */
#ifndef BP_FLEET_KEEPER_KEEPER_H
#define BP_FLEET_KEEPER_KEEPER_H

#include "fleet/policy/policy.h"
#include "fleet/registry/turn.h"
#include "port/clock.h"

#define BP_KEEPER_OPEN_MAX     1024u         /* requests that are not answered yet */
#define BP_KEEPER_BYTES_MAX    (64u << 20)   /* bytes of their bodies */
#define BP_KEEPER_CONTACTS_MAX 4096u         /* hellos that wait for their evidence */
#define BP_KEEPER_GROUP_MS     8             /* a group is committed at the latest after this */
#define BP_KEEPER_GROUP_MAX    256u          /* acts in a group */
#define BP_KEEPER_GRANT_MS     (60 * 1000LL) /* age of a nonce for acts that grant something */
#define BP_KEEPER_CONTACT_MS   (10 * 60 * 1000LL) /* a hello's credential and nonce */
#define BP_KEEPER_VOUCH_MS     (10 * 60 * 1000LL)
#define BP_KEEPER_SAME_MS      (10 * 60 * 1000LL) /* the same evidence gets the stored answer */
#define BP_KEEPER_LATE_MS      (24 * 3600 * 1000LL)
#define BP_KEEPER_EVIDENCE_MAX (1u << 20)
#define BP_KEEPER_HELLO_MAX    (64u << 10)
#define BP_KEEPER_CSR_MAX      (8u << 10)
#define BP_KEEPER_REQUEST_MAX  (512u << 10) /* a request with evidence in it, in base64 */

/* The processes it talks to. */
enum bp_keeper_to {
    BP_TO_APPRAISER,  /* any of them */
    BP_TO_APPRAISERS, /* notices: all of them */
    BP_TO_SIGNER_LOG,
    BP_TO_SIGNER_CA,
    BP_TO_FRONTS, /* notices: device, enrol and operate fronts */
    BP_TO_OPERATE /* notices: operate fronts */
};

/* r is BP_OK when an answer came (status may still say no); else CLOSED or EXPIRED and status and
 * body are empty. */
typedef void bp_keeper_fn(void *arg, bp_result r, uint64_t status, bp_span body);

struct bp_keeper_port {
    void *self;
    /* Sends a request; the body is copied; fn is called exactly once, later, unless the call itself
     * fails. */
    bp_result (*call)(void *self, enum bp_keeper_to to, const char *op, bp_span body,
                      uint32_t timeout_ms, bp_keeper_fn *fn, void *arg);
    void (*notify)(void *self, enum bp_keeper_to to, const char *op, bp_span body);
    /* Answers the front's request `id` once; status as in processes.md. */
    void (*reply)(void *self, uint64_t id, uint64_t status, bp_span body);
    /* Have bp_keeper_turn called after so many ms (0: at the end of this turn of the loop). */
    void (*wake)(void *self, uint32_t after_ms);
};

/* Handlers of addresses that the keeper itself does not know; the first whose listener and prefix
 * fit. */
struct bp_keeper_route {
    const char *listener;
    const char *prefix;
    bp_turn_fn *handle;
    void *self;
};

struct bp_keeper_config {
    const char *store_path;
    int log_dir;         /* directory for tiles and checkpoint; -1: none are written */
    const char *version; /* the product's */
    uint8_t nonce_secret[32];
    uint8_t owner_secret[32];
    bp_span root_der; /* certificates served to devices; live as long as the keeper */
    bp_span issuing_der;
    bp_span issuing_old_der; /* the issuing CA before it, while its certificates count; empty: none */
    unsigned issuing_number; /* 0 the first, one more with each roll-over */
    bp_span infra_der;
    bp_span root_crl; /* may be empty */
    bp_span log_der; /* of the key that signs heads */
    bp_span recovery_der;   /* of the owner's recovery key; may be empty */
    bp_span owner_card;     /* COSE_Sign1; may be empty */
    bp_span brownfield_der; /* may be empty */
    uint16_t device_port;   /* of the device listener, told in the challenge; 0: not told */
    struct bp_policy *policy; /* NULL: nothing is ever more than "not appraised" */
    const struct bp_keeper_route *routes;
    size_t route_count;
    /* Makes the text of one message of the pages' stream (bp_api_stream_text); NULL: none is sent. */
    bp_result (*stream_text)(const struct bp_event *e, const struct bp_place *place, char *ret,
                             size_t cap, size_t *ret_n);
    bool enrol_binding_zero;  /* always true outside tests: see docs/protocol/evidence.md */
    bool device_binding_zero; /* fleet simulation without TLS only */
};

struct bp_keeper;

/* Opens the store, reads policy and references, asks the log signer for its head. Copies cfg.
 *   what bp_store_open says */
BP_MUST_CHECK bp_result bp_keeper_new(const struct bp_keeper_config *cfg,
                                      const struct bp_keeper_port *port,
                                      const struct bp_clock *clock,
                                      const struct bp_entropy *entropy, struct bp_crypto *crypto,
                                      struct bp_keeper **ret);
/* Open requests are dropped unanswered; call bp_keeper_finish first. NULL is fine. */
void bp_keeper_free(struct bp_keeper *k);

/* One `http` request of a front. It is answered exactly once by port.reply, at once or later. */
void bp_keeper_http(struct bp_keeper *k, uint64_t id, bp_span body);

/* Commits what is due, lets time pass, and asks to be woken again. */
void bp_keeper_turn(struct bp_keeper *k);

/* A channel opened or opened again: sends what its other side must know (deny set, references,
 * head). */
void bp_keeper_joined(struct bp_keeper *k, enum bp_keeper_to to);

/* No new requests; true when nothing is open any more. */
bool bp_keeper_finish(struct bp_keeper *k);

/* Figures for `bedplated check` and tests. */
struct bp_keeper_count {
    uint64_t requests, accepted, refused, busy, commits, acts, store_full;
    uint32_t open;
};
struct bp_keeper_count bp_keeper_count(const struct bp_keeper *k);
/* The store it writes; for tests and for the handlers' tests. */
bp_store *bp_keeper_store(struct bp_keeper *k);

#endif
