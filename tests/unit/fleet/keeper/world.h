/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/world - a keeper on a store of its own, with the real signers' handlers and the real appraisal
 * behind its port, time that the test moves, and gateways that speak the real protocol.
 *
 * One world a program at a time. Calls of the keeper are queued and answered by world_settle, in order, as a loop would. */
#ifndef BP_TESTS_UNIT_FLEET_KEEPER_WORLD_H
#define BP_TESTS_UNIT_FLEET_KEEPER_WORLD_H

#include "cli/fleetsim_chip.h"
#include "codec/device.h"
#include "codec/x509.h"
#include "fleet/keeper/keeper.h"
#include "fleet/signer/signer.h"
#include "unit/appraise/rig.h"
#include "unit/fleet/signer/plant.h"

#define WORLD_CALLS_MAX   2048u
#define WORLD_REPLIES_MAX 4096u
#define WORLD_RELEASES    8u
#define WORLD_MAKER_FROM  INT64_C(1780000000000) /* before the plant's now */

struct world_call {
    enum bp_keeper_to to;
    char op[32];
    uint8_t *body;
    size_t body_n;
    bp_keeper_fn *fn;
    void *arg;
};

struct world_reply {
    bool is_there;
    uint64_t status;
    uint8_t *body; /* of the message */
    size_t body_n;
    struct bp_ex_answer http; /* into body; status 0 when the message was refused */
};

struct world {
    struct plant plant;
    struct bp_sim_maker maker;
    struct bp_entropy entropy;
    struct bp_ca_signer *ca;
    struct bp_log_signer *log;
    struct bp_policy *policy;
    struct bp_keeper *keeper;
    char store_path[160];
    int log_dir;
    bool with_policy;
    bool binds;        /* the device listener binds to the TLS exporter */
    bp_span brownfield_der;

    struct world_call call[WORLD_CALLS_MAX];
    size_t call_from, call_to;
    struct world_reply reply[WORLD_REPLIES_MAX]; /* by id, round and round */
    uint64_t next_id;
    int64_t wake_at; /* monotonic; INT64_MAX: none */

    /* the appraiser */
    uint8_t *reference_bytes;
    struct bp_ref_source source[WORLD_RELEASES];
    struct bp_ref_release release[WORLD_RELEASES];
    struct bp_ref_entry entry[RIG_ENTRIES_MAX];
    struct bp_refset refs;
    uint64_t references; /* notices */

    /* notices seen */
    uint64_t denied;      /* hashes */
    uint8_t last_denied[32];
    uint64_t streamed;
    uint64_t crl_told;
    bool accepting;

    /* faults */
    bp_result fault[BP_TO_OPERATE + 1];    /* answers of this process are this failure */
    bool is_gone[BP_TO_OPERATE + 1];       /* the call itself fails */
    uint64_t calls;                        /* made so far */
    uint64_t asked_early;                  /* certificates, while a group was open */
    uint64_t stop_at;                      /* nothing is answered from this call on; 0: never */
};

/* A server's directory, signers and a keeper with the default policy (unless with_policy is false before). */
bool world_make(struct world *w);
void world_done(struct world *w);
/* The keeper ends as by kill -9 and starts again on the same store; the signers too when told. */
bool world_restart(struct world *w, bool signers);
/* Only its end; world_restart starts it. */
void world_stop(struct world *w);
/* Answers what is asked until nothing is left to do within a quarter of a second. */
void world_settle(struct world *w);
/* Time passes, in steps, with the keeper's turns in between. */
void world_wait(struct world *w, int64_t ms, int64_t step);

/* Who asks. */
struct world_peer {
    bp_span spki; /* empty: no certificate */
    const char *issuer;
    const char *source;
    bp_span exporter;
    const char *agent;
};
/* Sends a request and waits; lives until WORLD_REPLIES_MAX more. */
uint64_t world_send(struct world *w, const char *listener, const char *method, const char *target, const char *type,
                    bp_span body, const struct world_peer *peer);
struct world_reply *world_reply(struct world *w, uint64_t id);
struct world_reply *world_ask(struct world *w, const char *listener, const char *method, const char *target,
                              const char *type, bp_span body, const struct world_peer *peer);
/* The code of a problem+json answer; "" for another one. */
const char *world_code(const struct world_reply *r);
/* A member of a problem+json answer as text. */
bool world_member(const struct world_reply *r, const char *name, char *ret, size_t cap);

/* A person's act: fn runs inside the keeper as a handler of the operate listener. */
typedef bp_result world_fn(void *self, struct bp_turn *t);
bool world_act(struct world *w, world_fn *fn, void *self);
bool world_setting(struct world *w, const char *name, int64_t value);
bool world_policy(struct world *w, uint64_t version, const char *yaml);
/* Accepts, deprecates or withdraws a release made by rig_release of any rig. */
bool world_release(struct world *w, const struct rig *r, uint32_t at, enum bp_acceptance state, const char *zone);
bool world_approve(struct world *w, const uint8_t id[33], const char *zone);
bool world_quarantine(struct world *w, const uint8_t id[33]);
bool world_free(struct world *w, const uint8_t id[33]);
bool world_revoke(struct world *w, const uint8_t id[33]);
/* An invitation into the zone. */
bool world_invite(struct world *w, const char *zone, char ret[BP_CODE_TEXT + 1]);

/* What the store says. */
bool world_device(struct world *w, const uint8_t id[33], struct bp_device *ret_d, struct bp_trust *ret_t);
/* Events of a type from `from` on. */
uint64_t world_events(struct world *w, uint32_t type, uint64_t from);
uint64_t world_log_size(struct world *w);
/* The store's log and the signer's head agree, every leaf is there. */
bool world_log_holds(struct world *w);

/* A gateway. */
struct gateway {
    struct world *w;
    struct rig rig;
    struct bp_sim_chip chip;
    struct test_key next; /* the key of the next certificate */
    char source[24];
    uint8_t proof[32];
    bool has_proof;
    uint8_t spki[32]; /* of the certificate in use */
    bool has_cert;
    struct bp_x509 cert;
    uint8_t cert_der[2048];
    size_t cert_n;
    char state[32];
    uint64_t tier;
    uint32_t due_ms;
    bool renew;
    int64_t since_s; /* since when the server is back, of the last answer */
    uint64_t head_size;
    uint8_t exporter[32];
};
/* Made, and started with rig_os_1. */
bool gateway_make(struct gateway *g, struct world *w, unsigned number);
void gateway_done(struct gateway *g);
/* Starts again at once, with its agent; after a power cut the TPM's clock repeats a little and says so. */
void gateway_boot(struct gateway *g, const struct rig_os *os, bool power_was_cut);
struct world_reply *gateway_hello(struct gateway *g, const char *code);
/* First evidence, over the enrol listener. */
struct world_reply *gateway_first(struct gateway *g);
struct world_reply *gateway_enrol(struct gateway *g);
/* Evidence over the device listener, over the nonce that it holds. */
struct world_reply *gateway_attest(struct gateway *g);
/* The same with a statement on the next key, over a fresh nonce. */
struct world_reply *gateway_nonce(struct gateway *g);
struct world_reply *gateway_vouch(struct gateway *g);
struct world_reply *gateway_reenrol(struct gateway *g);
/* hello, evidence, certificate, evidence: true when it is active and affirming. */
bool gateway_join(struct gateway *g, const char *code);
bool gateway_renew(struct gateway *g);
/* The certificate (DER) of an application's key, new or again: evidence that names the key, then EST under the service's label. */
bool gateway_apply(struct gateway *g, const struct test_key *key, const char *service, uint8_t *ret, size_t cap, size_t *ret_n);
/* Evidence as last made, sent again. */
struct world_reply *gateway_again(struct gateway *g);
/* The evidence for the nonce held, without sending it. */
bool gateway_answer(struct gateway *g, const struct rig_forge *forge);
/* The same with a statement on the next key. */
bool gateway_names_next(struct gateway *g, const struct rig_forge *forge);
struct world_reply *gateway_post(struct gateway *g, bp_span evidence);

/* PKCS#10 in base64 for a key; lines of 64 when told. */
size_t world_csr(const struct test_key *key, bool lines, char *ret, size_t cap);

#endif
