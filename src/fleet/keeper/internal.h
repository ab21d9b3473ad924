/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/internal - what the keeper's own files share. Not for other folders.
 *
 * A job is one request of a front, from its arrival until its answer left. Its flow (first contact,
 * attestation, enrolment, a person's act) keeps what it needs between the answers of other processes
 * in `flow`. A job waits for at most one answer at a time, and only the answer ends it: every
 * function here that answers or refuses frees the job, at once or when its group is committed. */
#ifndef BP_FLEET_KEEPER_INTERNAL_H
#define BP_FLEET_KEEPER_INTERNAL_H

#include "codec/device.h"
#include "fleet/ipc/message.h"
#include "fleet/keeper/keeper.h"
#include "platform/alloc.h"

#define BP_K_CALL_MS       10000u /* how long another process may take */
#define BP_K_TICK_MS       1000u
#define BP_K_PUBLISH_MS    250u /* between two heads; the promise is one second */
#define BP_K_CRL_MS        (3600 * 1000LL)
#define BP_K_CRL_GAP_MS    100LL     /* between two lists, however many are revoked */
#define BP_K_CRL_LATE_MS   (60 * 1000LL) /* a list that was due for so long is an alarm */
#define BP_K_JUMP_MS       5000LL /* wall clock against monotonic clock between two ticks */
#define BP_K_EVIDENCE_MS   (365 * 24 * 3600 * 1000LL) /* how long evidence is kept */
#define BP_K_INTERVAL_MS   60000LL
#define BP_K_INTERVAL_MIN  500LL
#define BP_K_INTERVAL_MAX  (24 * 3600 * 1000LL)
#define BP_K_GRACE_MIN     10000LL
#define BP_K_SOURCES_MAX   64u /* sources whose refusals are counted */
#define BP_K_REFUSALS_LOG  5u  /* of one source in a window */
#define BP_K_REFUSALS_ALL  60u /* of all sources in a window */
#define BP_K_WINDOW_MS     60000LL
#define BP_K_AWAY_MS       (2 * 3600 * 1000LL) /* no event for so long: the server was away; a list alone is one an hour */
#define BP_K_BROWNFIELD_MAX 10u /* first certificates without a verdict: one source in an hour */
#define BP_K_STREAM_MAX    256u /* messages of one group to the pages; what passes it is not sent: pages reload */
#define BP_K_STREAM_ROOM   (64u << 10)
#define BP_K_RETRY_S       2u
#define BP_K_WAITING_S     10u
#define BP_K_RECOVERING_S  60u /* people have to come */
#define BP_K_DETAIL_MAX    512u
#define BP_K_OCSP_PATH     "/ocsp"
#define BP_K_REVOKED_PATH  "/ca/revoked/"
#define BP_K_OCSP_OPEN     16u  /* answers about status that the signer works on */
#define BP_K_OCSP_KEPT     512u /* answers that are kept */
#define BP_K_ROOM          (1u << 20) /* of an answer's body: a CRL is the largest */

struct bp_job;
typedef void bp_job_fn(struct bp_job *j);

struct bp_job {
    struct bp_job *next; /* all open ones */
    struct bp_job *prev;
    struct bp_job *later; /* answered in the open group, or waiting to be signed */
    struct bp_keeper *k;
    uint64_t id;
    bp_span label; /* of an EST address; empty: none */
    uint8_t *body; /* q points into it */
    size_t body_n;
    struct bp_ex_request q;
    uint8_t *answer; /* leaves after the commit */
    size_t answer_n;
    bool is_refusal;
    void (*committed)(struct bp_job *j); /* what goes on when the open group is durable, instead of an answer */
    void *flow;
    void (*flow_free)(void *flow);
    /* For a refusal that carries a fresh nonce: of which device. */
    bool has_nonce;
    uint8_t nonce_id[BP_ID_SIZE];
    uint64_t nonce_seq;
    int64_t nonce_ms; /* 0: now */
    uint32_t retry_after_s;
};

/* A hello that waits for its evidence; nothing of it is in the store. */
struct bp_k_contact {
    uint8_t id[BP_ID_SIZE];   /* the device's, where the registry knows one of the keys; else the chip's */
    uint8_t chip[BP_ID_SIZE]; /* by the keys that it showed: what the CA signer calls it until it is bound */
    int64_t issued_ms; /* of the nonce in force; with the id the contact's name */
    int64_t since_ms;
    uint64_t seq;
    uint8_t ek[BP_MSG_EKS_MAX][BP_DIGEST_SIZE];
    uint8_t qualified[BP_MSG_EKS_MAX][34]; /* of the AK as a child of each */
    size_t ek_count;
    uint8_t ak[BP_MSG_PUBLIC_MAX];
    size_t ak_n;
    uint8_t ak_name[34];
    char issuer_class[17];
    char kind[17];
    char code[64];
    uint8_t *info; /* map text to text, CBOR */
    size_t info_n;
};

/* Refusals of one source in the running window. */
struct bp_k_source {
    char source[BP_ADDRESS_MAX + 1];
    uint32_t logged;
    uint32_t suppressed;
};

struct bp_k_newcomer { /* brownfield certificates of one source in the running hour */
    char source[BP_ADDRESS_MAX + 1];
    uint32_t count;
};

/* An answer about status that may be given again. */
struct bp_k_ocsp {
    uint8_t digest[BP_DIGEST_SIZE]; /* of what was asked of the signer */
    int64_t at_ms;                  /* wall time */
    uint8_t *der;                   /* NULL: none */
    size_t n;
};

struct bp_k_stream {
    uint64_t number;
    size_t at; /* of its text in stream_text */
    size_t n;
};

struct bp_keeper {
    struct bp_keeper_config cfg;
    struct bp_keeper_port port;
    struct bp_clock clock;
    struct bp_entropy entropy;
    struct bp_crypto *crypto;
    bp_store *store;
    struct bp_log log;
    struct bp_registry registry;
    struct bp_effects effects;
    struct bp_keeper_count count;
    uint8_t *out;  /* BP_MSG_BODY_MAX: the message that is being written */
    uint8_t *room; /* BP_K_ROOM: the answer's body that is being written */

    struct bp_job *open;
    size_t open_bytes;
    bool is_ending;

    /* the group */
    struct bp_job *answered; /* oldest first */
    struct bp_job **answered_end;
    int64_t group_since; /* monotonic */
    uint32_t group_acts;
    uint32_t group_answers;
    bool is_full; /* a group was lost to a full disk and none was committed since */
    uint64_t full_refused;
    struct bp_k_stream stream[BP_K_STREAM_MAX];
    size_t stream_count;
    char *stream_text; /* BP_K_STREAM_ROOM */
    size_t stream_n;
    int64_t wake_at; /* monotonic; INT64_MAX: nothing was asked for */

    /* nonces: keys of two days */
    uint8_t day_key[2][32];
    int64_t day[2];

    struct bp_k_contact *contact; /* BP_KEEPER_CONTACTS_MAX, made when first used */
    size_t contact_count;

    /* results to sign */
    struct bp_job *signing; /* wait; oldest first */
    struct bp_job **signing_end;
    void *batch; /* what the log signer works on (verdict.c), NULL: nothing; ours to free */

    /* policy, settings */
    bool has_policy;
    uint8_t policy_digest[BP_DIGEST_SIZE];
    int64_t interval_ms;
    int64_t grace_ms;
    uint32_t renew_from, renew_until; /* per mille of a certificate's life */
    int64_t outage_ms; /* how long the site goes on without us */
    int64_t resumed_ms; /* the end of our last long absence; 0: there was none */
    bool brownfield;
    uint64_t references_epoch;

    /* publishing */
    uint64_t durable_size; /* events that are committed */
    uint64_t signed_size;  /* of them, under a head that is kept */
    uint64_t signer_size;  /* what the signer said last */
    bool signer_known;
    bool is_head_new; /* tiles are to be written */
    bool is_appending;
    bool is_behind; /* the log signer knows more than the store: grants nothing */
    bool is_put_back; /* the store is a backup that was put back, and nobody accepted the loss yet: the same */
    bool mismatch_told;
    int64_t publish_at; /* monotonic */
    bool crl_wanted;
    bool crl_open;
    int64_t crl_at; /* wall time of the newest */
    uint64_t crl_number;
    uint64_t crl_skip;
    size_t crl_count;
    bool crl_known; /* the store has one */
    int64_t crl_retry; /* monotonic */
    bool crl_is_old; /* the list that is asked for is the old issuing CA's */
    bool key_store_lost; /* the token of an issuing key does not answer */
    uint64_t crl_told;     /* number of the one that fronts know of */
    int64_t crl_due_since; /* monotonic: since when one could not be made; 0: it could */
    bool crl_late_told;

    /* status */
    struct bp_k_ocsp ocsp[BP_K_OCSP_KEPT];
    uint32_t ocsp_open;
    /* The certificates that are recorded, for the issuing CA and for the one before it; zeros: none seen yet. */
    uint8_t ocsp_responder[2][BP_DIGEST_SIZE];

    uint64_t moved_commits; /* commits whose write-ahead log was moved into the database */
    int64_t moved_at;       /* monotonic */

    /* watch */
    int64_t tick_at; /* monotonic */
    int64_t last_wall;
    int64_t last_mono;
    int64_t jump_before; /* what the wall clock showed before its last jump, and by how much it moved */
    int64_t jump_by;     /* 0: never */
    int64_t watch_from; /* wall time before which nobody is called silent */
    int64_t expire_at;  /* monotonic */
    int64_t window_at;  /* monotonic: end of the window of refusals */
    struct bp_k_source source[BP_K_SOURCES_MAX];
    size_t source_count;
    uint32_t refusals;
    int64_t newcomer_at;
    struct bp_k_newcomer newcomer[BP_K_SOURCES_MAX];
    size_t newcomer_count;
};

static inline int64_t bp_k_now(const struct bp_keeper *k)
{
    return bp_wall_ms(&k->clock);
}

static inline int64_t bp_k_mono(const struct bp_keeper *k)
{
    return bp_mono_ms(&k->clock);
}

/* Copies a text into room, cut where it does not fit at a character's beginning. */
void bp_k_text(bp_span from, char *ret, size_t cap);

/* -- group.c ----------------------------------------------------------------------------------- */
/* Runs fn as one act of the open group, which is opened when none is. What fn wrote is kept when it
 * returns BP_OK and taken back otherwise; its result comes back. When the group itself is lost, every
 * answer that waited in it was refused. */
bp_result bp_k_act(struct bp_keeper *k, bp_result (*fn)(void *self), void *self);
void bp_k_commit(struct bp_keeper *k);
/* Asks to be woken, unless an earlier wake is asked for. */
void bp_k_wake(struct bp_keeper *k, int64_t after_ms);
/* The answer is ready: it leaves now, or after the commit when a group is open. */
void bp_k_settle(struct bp_job *j);
/* The job goes on with fn once what its act wrote is durable; when the group is lost, it is refused instead. */
void bp_k_after_commit(struct bp_job *j, bp_job_fn *fn);
void bp_k_drop(struct bp_job *j);

/* -- answer.c ---------------------------------------------------------------------------------- */
void bp_k_answer(struct bp_job *j, const struct bp_ex_answer *a);
void bp_k_ok(struct bp_job *j, bp_span content_type, bp_span body);
/* detail: one line or NULL. */
void bp_k_refuse(struct bp_job *j, enum bp_problem problem, const char *detail);
/* The problem for a failure that no rule of ours is. */
enum bp_problem bp_k_problem_of(bp_result r);
/* Answers for a failed call of another process: r of the callback, or its status. False: it did not fail. */
bool bp_k_failed_call(struct bp_job *j, bp_result r, uint64_t status);
/* Writes a problem's answer into j->answer without sending it. */
void bp_k_write_refusal(struct bp_job *j, enum bp_problem problem, const char *detail);

/* -- nonce.c ----------------------------------------------------------------------------------- */
bp_result bp_k_nonce(struct bp_keeper *k, bp_span id, uint64_t seq, int64_t issued_ms,
                     uint8_t ret[BP_DIGEST_SIZE]);
/* Whether a nonce of that time may still be answered: NONE, NONCE, NONCE_EXPIRED. until_ms: wall time. */
enum bp_problem bp_k_nonce_age(const struct bp_keeper *k, int64_t issued_ms, int64_t until_ms);
/* A refusal of this job will carry a fresh nonce of the device. */
void bp_k_with_nonce(struct bp_job *j, bp_span id, uint64_t seq, int64_t issued_ms);
void bp_k_nonce_get(struct bp_job *j);
/* A fresh nonce for the device of the connection, for acts that grant something. NONE, or the problem. */
enum bp_problem bp_k_nonce_fresh(struct bp_job *j, uint8_t room[BP_DIGEST_SIZE], struct bp_nonce *ret);

/* -- contact.c --------------------------------------------------------------------------------- */
void bp_k_hello(struct bp_job *j);
struct bp_k_contact *bp_k_contact_of(struct bp_keeper *k, bp_span id, int64_t issued_ms);
/* Copies it out and removes it from the table; the caller frees info. */
void bp_k_contact_take(struct bp_keeper *k, struct bp_k_contact *c, struct bp_k_contact *ret);
void bp_k_contacts_expire(struct bp_keeper *k);
void bp_k_contacts_free(struct bp_keeper *k);

/* -- attest.c, verdict.c ----------------------------------------------------------------------- */
void bp_k_attest_first(struct bp_job *j);
void bp_k_attest_device(struct bp_job *j);
/* Evidence of a device that came inside a request of its connection: the ordinary way, but for the key that the request is
 * about (SHA-256 of its SubjectPublicKeyInfo) and no other; then `then` goes on, with the flow that the job had. The spans are
 * the flow's. */
void bp_k_attest_within(struct bp_job *j, const struct bp_device *d, bp_span evidence, bp_span key, bp_job_fn *then);

/* -- escrow.c ---------------------------------------------------------------------------------- */
void bp_k_recovery(struct bp_job *j);
void bp_k_escrow(struct bp_job *j);

/* -- ownership.c ------------------------------------------------------------------------------- */
void bp_k_ownership(struct bp_job *j);
void bp_k_left(struct bp_job *j);
/* The state that a device is told: its own, or that it was handed over. */
const char *bp_k_life(struct bp_keeper *k, const struct bp_device *d);

/* -- est.c ------------------------------------------------------------------------------------- */
void bp_k_est_cacerts(struct bp_job *j);
void bp_k_est_enrol(struct bp_job *j);
void bp_k_est_reenrol(struct bp_job *j);
void bp_k_est_csrattrs(struct bp_job *j);

/* -- freshness.c ------------------------------------------------------------------------------- */
/* draft-ietf-lamps-attestation-freshness-09: what a later document changes is here. */
#define BP_MEDIA_FRESHNESS      "application/est-attestation-freshness+json"
#define BP_KEEPER_FRESHNESS_MAX 1024u
#define BP_EVIDENCE_OID         "1.3.6.1.4.1.32473.1.3.1" /* our collection (docs/protocol/evidence.md) */
void bp_k_est_nonce(struct bp_job *j);

/* -- status.c ---------------------------------------------------------------------------------- */
void bp_k_anchor(struct bp_job *j);
void bp_k_root(struct bp_job *j);
void bp_k_issuing(struct bp_job *j);
void bp_k_issuing_of(struct bp_job *j);
void bp_k_crl(struct bp_job *j);
void bp_k_root_crl(struct bp_job *j);
void bp_k_revoked(struct bp_job *j);
void bp_k_log_certificate(struct bp_job *j);
void bp_k_checkpoint(struct bp_job *j);
void bp_k_consistency(struct bp_job *j);
/* A member of a query, as digits. */
bool bp_k_query_number(bp_span target, const char *name, uint64_t *ret);

/* -- ocsp.c ------------------------------------------------------------------------------------ */
void bp_k_ocsp_post(struct bp_job *j);
void bp_k_ocsp_get(struct bp_job *j);
void bp_k_ocsp_free(struct bp_keeper *k);

/* -- handlers.c -------------------------------------------------------------------------------- */
/* Gives the job to the first route that fits; false: none does. */
bool bp_k_route(struct bp_job *j);

/* -- refuse.c ---------------------------------------------------------------------------------- */
/* Appends an event about a refusal unless its source had many; and counts. d may be NULL. */
void bp_k_note_refusal(struct bp_job *j, enum bp_event_type type, const struct bp_device *d,
                       const char *reason);
void bp_k_window(struct bp_keeper *k);
/* One more first certificate without a verdict for this source; false: too many. */
bool bp_k_newcomer(struct bp_keeper *k, bp_span source);

/* -- actions.c --------------------------------------------------------------------------------- */
/* Inside an act: what the rules that fired ask for. */
bp_result bp_k_actions(struct bp_keeper *k, struct bp_device *d, uint32_t actions, const char *reason);
bp_result bp_k_policy_load(struct bp_keeper *k);
bp_result bp_k_settings_load(struct bp_keeper *k);
/* How long a certificate of an application is to live. */
int64_t bp_k_application_ms(const struct bp_keeper *k);
/* An event of the keeper's own; inside an act. */
bp_result bp_k_event(struct bp_keeper *k, enum bp_event_type type, const struct bp_device *d,
                     const struct bp_event_detail *detail, size_t count);

/* -- recovery.c -------------------------------------------------------------------------------- */
/* Whether the store is older than what was signed after it: nothing is granted, signed or listed until people close it. */
bool bp_k_is_recovering(const struct bp_keeper *k);
bp_result bp_k_recovery_load(struct bp_keeper *k);
/* The signer's last head is one of our log or is not. */
void bp_k_recovery_note(struct bp_keeper *k, bool is_ours);
/* A device keeps a head that this log has not. */
void bp_k_head_unknown(struct bp_job *j, uint64_t size);
void bp_k_log_break(struct bp_job *j);

/* -- publish.c --------------------------------------------------------------------------------- */
void bp_k_publish(struct bp_keeper *k);
void bp_k_ask_head(struct bp_keeper *k);
void bp_k_crl_make(struct bp_keeper *k);
/* What the store calls the list of the issuing CA of a number. */
#define BP_K_ISSUER_TEXT 24u
void bp_k_issuer_name(unsigned number, char ret[BP_K_ISSUER_TEXT]);
/* Tells of issuing CAs that came into force or went out of it since the keeper ran last. */
void bp_k_note_issuers(struct bp_keeper *k);
/* Looks at an answer of signer ca to what its issuing keys sign, and tells when their token is lost or back. */
void bp_k_key_store(struct bp_keeper *k, bp_result r, uint64_t status);
void bp_k_crl_watch(struct bp_keeper *k);
bp_result bp_k_publish_load(struct bp_keeper *k);
/* Notices. */
void bp_k_send_deny(struct bp_keeper *k, const uint8_t (*key)[32], size_t count);
void bp_k_send_deny_all(struct bp_keeper *k);
void bp_k_send_references(struct bp_keeper *k);
void bp_k_send_crl(struct bp_keeper *k);
void bp_k_send_state(struct bp_keeper *k, bool accepting);

/* -- stream.c ---------------------------------------------------------------------------------- */
void bp_k_stream_note(void *self, const struct bp_event *e, const struct bp_place *place);
void bp_k_stream_send(struct bp_keeper *k);

/* -- watch.c ----------------------------------------------------------------------------------- */
void bp_k_watch_start(struct bp_keeper *k);
void bp_k_tick(struct bp_keeper *k);
void bp_k_look_at_clock(struct bp_keeper *k);
/* At the start: whether we were away for long, by the newest event. */
void bp_k_look_back(struct bp_keeper *k);
/* The end of that absence, while what it held back is made up for; 0: there was none of late. */
int64_t bp_k_since_s(const struct bp_keeper *k);
/* Whether a nonce of that time was issued before our own clock jumped: what came of it cannot be judged
 * by time, and that is no fault of the device. */
bool bp_k_is_before_jump(const struct bp_keeper *k, int64_t issued_ms);

#endif
