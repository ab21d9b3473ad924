/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/store - the database contract: typed calls, one writer, durable groups.
 *
 * The keeper opens the one writing store and drives groups: bp_store_begin, any number of acts,
 * bp_store_commit. An act (one request) is fenced by bp_store_act / bp_store_act_end, so that one
 * that fails leaves nothing while the others of its group stand. Nothing may be acknowledged to
 * anyone before bp_store_commit returned BP_OK. Readers open with BP_STORE_READ and get snapshots;
 * every writing call on them is DENIED.
 *
 * Memory: the store owns its handle and statements. Spans returned by a get call point into the
 * statement and live until the next call on the store. Structs are copies. It deliberately knows no
 * rules: which state may follow which, what a verdict means, who may act is said in fleet/registry
 * and above. There is no SQL outside this folder.
 *
 * Errors of every call, besides those named there:
 *   FULL       the disk or the quota is full; the whole group is gone (bp_store_commit was not
 * reached); it works again when space returns IO         the database or the disk failed NO_MEMORY
 * the allocator refused INTERNAL   the database broke its schema, or a call was made outside a
 * group */
#ifndef BP_FLEET_STORE_STORE_H
#define BP_FLEET_STORE_STORE_H

#include "base/result.h"
#include "base/span.h"

#define BP_STORE_SCHEMA   9 /* number of the newest migration */

#define BP_ID_SIZE        33u
#define BP_DIGEST_SIZE    32u
#define BP_PSEUDONYM_SIZE 32u /* base32 characters */
#define BP_SERIAL_MAX     20u
#define BP_NAME_MAX       64u  /* zone, site, model, name, operator */
#define BP_SERVICE_MAX    32u
#define BP_REASON_MAX     512u /* one line for people */
#define BP_ADDRESS_MAX    45u

typedef struct bp_store bp_store;

enum bp_store_mode { BP_STORE_READ, BP_STORE_WRITE };

/* Opens or creates (WRITE only) the store in file `path`, and migrates it forward, one crash-safe
 * step a time. `version` is the product's, written down beside each step so that an older program
 * can name it. UNSUPPORTED  made by a newer version; ret_needs (>= 64 bytes, may be NULL) names one
 * that can read it MALFORMED    not a store of ours */
BP_MUST_CHECK bp_result bp_store_open(const char *path, enum bp_store_mode mode,
                                      const char *version, char *ret_needs, bp_store **ret);
/* An open group is given up. NULL is fine. */
void bp_store_free(bp_store *s);

/* -- groups
 * ------------------------------------------------------------------------------------------------------
 */
BP_MUST_CHECK bp_result bp_store_begin(bp_store *s);
/* Durable when it returns BP_OK; on failure nothing of the group is kept. */
BP_MUST_CHECK bp_result bp_store_commit(bp_store *s);
void bp_store_abort(bp_store *s);
bool bp_store_is_open(const bp_store *s);
/* One request inside a group. `keep` false takes back everything since bp_store_act.
 *   CLOSED  the group itself is gone (a full disk ends it); every act of it must be refused */
BP_MUST_CHECK bp_result bp_store_act(bp_store *s);
BP_MUST_CHECK bp_result bp_store_act_end(bp_store *s, bool keep);
/* One act in a group of its own, for commands that work beside no server: durable when it returns BP_OK, else nothing of it
 * is kept. */
BP_MUST_CHECK bp_result bp_store_alone(bp_store *s, bp_result (*act)(bp_store *s, void *self), void *self);
/* A snapshot for several reads of a reader; ends with bp_store_abort. */
BP_MUST_CHECK bp_result bp_store_snapshot(bp_store *s);
/* Moves the write-ahead log into the database, without waiting for readers. Between groups. */
void bp_store_checkpoint(bp_store *s);

/* -- devices
 * -----------------------------------------------------------------------------------------------------
 */
#define BP_STATE_LIST(X)                                                                           \
    X(1, WAITING, "waiting")   /* genuine, unknown, nobody said yes */                             \
    X(2, CLAIMED, "claimed")   /* ours, without a certificate yet */                               \
    X(3, ENROLLED, "enrolled") /* has a certificate, has not used it yet */                        \
    X(4, ACTIVE, "active")                                                                         \
    X(5, QUARANTINED, "quarantined") /* refused by everything except Bedplate */                   \
    X(6, REVOKED, "revoked")         /* off, for good */                                           \
    X(7, RETIRED, "retired")         /* gone by a person's decision, for good */
enum bp_lifecycle {
    BP_ST_NONE = 0,
#define BP_X(number, name, text) BP_ST_##name = (number),
    BP_STATE_LIST(BP_X)
#undef BP_X
        BP_ST_COUNT
};
const char *bp_device_state_name(enum bp_lifecycle state); /* "" for NONE */

/* Where it belongs; empty strings until somebody said it. */
struct bp_place {
    char zone[BP_NAME_MAX + 1];
    char site[BP_NAME_MAX + 1];
    char model[BP_NAME_MAX + 1];
    char name[BP_NAME_MAX + 1];
};

/* What changes seldom. */
struct bp_device {
    int64_t n; /* row number, dense; 0: not stored yet */
    uint8_t id[BP_ID_SIZE];
    char pseudonym[BP_PSEUDONYM_SIZE + 1];
    enum bp_lifecycle state;
    enum bp_lifecycle before_quarantine; /* where release leads back to */
    struct bp_place place;
    char kind[17];         /* "tpm2" */
    char issuer_class[17]; /* of the root: discrete, firmware, virtual, unknown */
    char source[BP_ADDRESS_MAX + 1];
    int64_t created_ms;
    int64_t state_ms; /* since when in this state */
    char state_reason[BP_REASON_MAX + 1];
    bool automatic; /* quarantined by a rule, not by a person */
};

/* What each evidence changes. */
struct bp_trust {
    uint64_t seq;     /* last accepted; 0: none */
    int64_t as_of_ms; /* issue time of its nonce */
    int64_t heard_ms; /* when it arrived */
    int64_t due_ms;   /* silent when nothing was accepted by then; 0: not watched */
    bool silent;
    uint8_t tier; /* 0 none, 2 affirming, 32 warning, 96 contraindicated */
    char reason[BP_REASON_MAX + 1];
    uint64_t verdict;               /* event number of the last one */
    uint8_t ldevid[BP_DIGEST_SIZE]; /* key of the last accepted evidence */
    uint8_t state_digest[BP_DIGEST_SIZE];
    bool has_state; /* state_digest names a blob: the appraiser's input of the next evidence */
    uint8_t boot_log[BP_DIGEST_SIZE];
    bool has_boot_log;
    uint64_t ima_count;
};

/*   EXISTS  the id or the pseudonym is stored already */
BP_MUST_CHECK bp_result bp_store_device_add(bp_store *s, struct bp_device *d /* n is set */,
                                            bp_span info);
/*   NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_device_by_id(bp_store *s, bp_span id, struct bp_device *ret);
BP_MUST_CHECK bp_result bp_store_device_by_n(bp_store *s, int64_t n, struct bp_device *ret);
BP_MUST_CHECK bp_result bp_store_device_by_pseudonym(bp_store *s, bp_span pseudonym,
                                                     struct bp_device *ret);
/* Writes state, before_quarantine, place, state_ms, state_reason, automatic. */
BP_MUST_CHECK bp_result bp_store_device_set(bp_store *s, const struct bp_device *d);
BP_MUST_CHECK bp_result bp_store_device_remove(bp_store *s,
                                               int64_t n); /* only a waiting one that expired */
BP_MUST_CHECK bp_result bp_store_device_info(bp_store *s, int64_t n,
                                             bp_span *ret); /* hello's info, CBOR */
BP_MUST_CHECK bp_result bp_store_trust(bp_store *s, int64_t n, struct bp_trust *ret);
BP_MUST_CHECK bp_result bp_store_trust_set(bp_store *s, int64_t n, const struct bp_trust *t);
/* The watched device that is overdue the longest. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_overdue(bp_store *s, int64_t now_ms, int64_t *ret_n);
/* The oldest device of the waiting room that came before. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_waiting_before(bp_store *s, int64_t before_ms, int64_t *ret_n);
/* How many wait, and how many of them from this source; counting stops at cap. */
BP_MUST_CHECK bp_result bp_store_waiting_count(bp_store *s, bp_span source, uint32_t cap,
                                               uint32_t *ret_all, uint32_t *ret_source);
/* Members of a zone that are enrolled, active or quarantined: kept by trigger, read in one row. */
BP_MUST_CHECK bp_result bp_store_zone_count(bp_store *s, const char *zone, uint64_t *ret);
/* Automatic quarantines that stand in a zone, and those of them made since; counting stops at cap.
 */
BP_MUST_CHECK bp_result bp_store_quarantine_count(bp_store *s, const char *zone, int64_t since_ms,
                                                  uint32_t cap, uint32_t *ret_standing,
                                                  uint32_t *ret_since);

/* -- keys: every EK, AK and LDevID key ever seen, by the SHA-256 of its SPKI (AK: of its Name)
 * ---------------------- */
enum bp_key_role {
    BP_ROLE_EK = 1,
    BP_ROLE_AK = 2,
    BP_ROLE_LDEVID = 3,
    BP_ROLE_IDEVID = 4,
    BP_ROLE_BROWNFIELD = 5,
    BP_ROLE_APPLICATION = 6
};
struct bp_key {
    uint8_t spki[BP_DIGEST_SIZE];
    int64_t device;
    enum bp_key_role role;
    bool tombstone;
    int64_t since_ms;
    char service[BP_SERVICE_MAX + 1]; /* APPLICATION: of which one */
};
/*   EXISTS  seen before, for whichever device */
BP_MUST_CHECK bp_result bp_store_key_add(bp_store *s, const struct bp_key *k);
BP_MUST_CHECK bp_result bp_store_key(bp_store *s, bp_span spki, struct bp_key *ret); /* NOT_FOUND */
/* All keys of a device become tombstones. */
BP_MUST_CHECK bp_result bp_store_key_bury(bp_store *s, int64_t device);
/* Its endorsement keys are no tombstones any more: the chip may come back. The others stay buried. */
BP_MUST_CHECK bp_result bp_store_key_unbury(bp_store *s, int64_t device);
/* Takes away the keys of a waiting device that expired: it may come again. Tombstones stay. */
BP_MUST_CHECK bp_result bp_store_key_forget(bp_store *s, int64_t device);
/* Tombstones after a key (empty: from the start), in order; fewer than cap: no more. */
BP_MUST_CHECK bp_result bp_store_key_buried(bp_store *s, bp_span after,
                                            uint8_t (*ret)[BP_DIGEST_SIZE], size_t cap,
                                            size_t *ret_count);
/* Keys of one device, at most cap. */
BP_MUST_CHECK bp_result bp_store_key_of(bp_store *s, int64_t device, struct bp_key *ret, size_t cap,
                                        size_t *ret_count);

/* The attestation key in force and the statement that binds it to the identity (COSE_Sign1
 * ak-binding). */
BP_MUST_CHECK bp_result bp_store_ak_set(bp_store *s, int64_t device, bp_span public_,
                                        bp_span binding, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_ak(bp_store *s, int64_t device, bp_span *ret_public,
                                    bp_span *ret_binding);

/* -- lockout values in escrow
 * -----------------------------------------------------------------------------------------
 */
#define BP_ESCROWS_MAX     16u /* of one device; the caller counts */
#define BP_SEALED_MAX      2048u
struct bp_escrow_row {
    int64_t n;
    uint8_t state; /* enum bp_escrow_state of codec/device */
    int64_t at_ms;    /* when it came */
    int64_t state_ms; /* when it was last told of; the newest is the one in force */
    uint8_t digest[BP_DIGEST_SIZE]; /* SHA-256 of the envelope; zeros: there is none */
    bp_span envelope;               /* at most BP_SEALED_MAX bytes */
};
/*   EXISTS  the device has one with this digest */
BP_MUST_CHECK bp_result bp_store_escrow_add(bp_store *s, int64_t device, const struct bp_escrow_row *e);
/* Writes state and state_ms of row n. */
BP_MUST_CHECK bp_result bp_store_escrow_set(bp_store *s, const struct bp_escrow_row *e);
BP_MUST_CHECK bp_result bp_store_escrow_of(bp_store *s, int64_t device, bp_span digest,
                                           struct bp_escrow_row *ret); /* NOT_FOUND */
/* The newest of a device, after `skip` newer ones. NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_escrow_newest(bp_store *s, int64_t device, uint32_t skip,
                                               struct bp_escrow_row *ret);
BP_MUST_CHECK bp_result bp_store_escrow_count(bp_store *s, int64_t device, uint32_t cap, uint32_t *ret);

/* -- ownership
 * -----------------------------------------------------------------------------------------------------
 */
enum bp_owned_phase {
    BP_OWNED_OURS = 1,   /* the chain ends at this server's owner */
    BP_OWNED_HANDED = 2, /* it goes on to another owner, and the device has not left yet */
    BP_OWNED_GONE = 3    /* another owner's, or nobody's */
};
struct bp_owned {
    uint8_t id[BP_ID_SIZE]; /* there need not be such a device yet */
    enum bp_owned_phase phase;
    uint32_t epoch;
    uint8_t head[BP_DIGEST_SIZE];
    struct bp_place place; /* where it belongs when it comes */
    char by[BP_NAME_MAX + 1];
    int64_t at_ms;
    bp_span chain;   /* object ownership-chain, without a card */
    bp_span erasure; /* what the device stated when it left; empty: nothing yet */
};
/* Puts it in the place of the one before. */
BP_MUST_CHECK bp_result bp_store_owned_set(bp_store *s, const struct bp_owned *o);
BP_MUST_CHECK bp_result bp_store_owned(bp_store *s, bp_span id, struct bp_owned *ret); /* NOT_FOUND */

/* -- permits for one return
 * -----------------------------------------------------------------------------------------------------
 */
struct bp_permit {
    int64_t device;
    char by[BP_NAME_MAX + 1];
    int64_t expires_ms;
};
/* Puts it in the place of the one before. */
BP_MUST_CHECK bp_result bp_store_permit_set(bp_store *s, const struct bp_permit *p);
BP_MUST_CHECK bp_result bp_store_permit(bp_store *s, int64_t device, struct bp_permit *ret); /* NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_permit_spend(bp_store *s, int64_t device); /* NOT_FOUND: spent */

/* -- invitations
 * ---------------------------------------------------------------------------------------------------
 */
struct bp_invitation {
    uint8_t code[BP_DIGEST_SIZE]; /* hash of the code */
    struct bp_place place;
    char by[BP_NAME_MAX + 1];
    int64_t created_ms;
    int64_t expires_ms;
    int64_t used_by; /* device, 0: not yet */
    int64_t position; /* row of the position that it leads to, 0: none */
};
BP_MUST_CHECK bp_result bp_store_invitation_add(bp_store *s, const struct bp_invitation *i);
BP_MUST_CHECK bp_result bp_store_invitation(bp_store *s, bp_span code, struct bp_invitation *ret);
BP_MUST_CHECK bp_result bp_store_invitation_use(bp_store *s, bp_span code,
                                                int64_t device); /* NOT_FOUND: spent */

/* -- positions: places of the plant that devices fill one after the other
 * --------------------------------------------- */
struct bp_position {
    int64_t n;
    char tag[BP_NAME_MAX + 1]; /* the plant's own designation, unique */
    struct bp_place place;     /* what binds to it and goes to the device that fills it */
    char by[BP_NAME_MAX + 1];
    int64_t created_ms;
    int64_t device; /* row of the device that fills it, 0: nobody */
    int64_t since_ms;
};
/*   EXISTS  the tag is taken */
BP_MUST_CHECK bp_result bp_store_position_add(bp_store *s, struct bp_position *p /* n is set */);
/*   NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_position(bp_store *s, int64_t n, struct bp_position *ret);
BP_MUST_CHECK bp_result bp_store_position_by_tag(bp_store *s, bp_span tag, struct bp_position *ret);
/* The one that a device fills. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_position_of(bp_store *s, int64_t device, struct bp_position *ret);
/* Puts a device there; whichever filled it does no longer.   EXISTS  the device fills another one */
BP_MUST_CHECK bp_result bp_store_position_fill(bp_store *s, int64_t n, int64_t device, int64_t at_ms);
/* Positions after row `after`, in the order in which they were made; fewer than cap: no more. */
BP_MUST_CHECK bp_result bp_store_positions(bp_store *s, int64_t after, struct bp_position *ret, size_t cap,
                                           size_t *ret_count);

/* -- acts that one person proposes and another one approves
 * ----------------------------------------------------------- */
enum bp_action_state { BP_ACTION_OPEN = 1, BP_ACTION_DONE = 2, BP_ACTION_REJECTED = 3 };
struct bp_action {
    int64_t n;
    uint8_t id[16]; /* chance */
    char verb[17];
    int64_t device;    /* whom it ends */
    int64_t successor; /* who goes on */
    uint8_t before[BP_DIGEST_SIZE]; /* of what stood when it was proposed */
    uint8_t digest[BP_DIGEST_SIZE]; /* of the whole act: what is approved */
    char reason[BP_REASON_MAX + 1];
    int64_t author; /* operator */
    char author_name[BP_NAME_MAX + 1];
    int64_t created_ms;
    int64_t expires_ms;
    enum bp_action_state state;
    char decided_by[BP_NAME_MAX + 1];
    int64_t decided_ms;
};
BP_MUST_CHECK bp_result bp_store_action_add(bp_store *s, struct bp_action *a /* n and state are set */);
BP_MUST_CHECK bp_result bp_store_action(bp_store *s, bp_span id, struct bp_action *ret); /* NOT_FOUND */
/* Writes state, decided_by, decided_ms of one that is open.   NOT_FOUND  it was decided */
BP_MUST_CHECK bp_result bp_store_action_decide(bp_store *s, const struct bp_action *a);
/* How many are open and have time left; counting stops at cap. */
BP_MUST_CHECK bp_result bp_store_action_open(bp_store *s, int64_t now_ms, uint32_t cap, uint32_t *ret);
/* Newest first, below row `before` (0: from the newest); fewer than cap: no more. */
BP_MUST_CHECK bp_result bp_store_actions(bp_store *s, int64_t before, struct bp_action *ret, size_t cap,
                                         size_t *ret_count);

/* -- what makers announced
 * ---------------------------------------------------------------------------------------------
 */
/* A maker whose manifests are taken: its key, pinned by a person. */
struct bp_announcer {
    uint8_t kid[BP_DIGEST_SIZE]; /* SHA-256 of the key's SubjectPublicKeyInfo */
    char name[BP_NAME_MAX + 1];
    char by[BP_NAME_MAX + 1];
    int64_t at_ms;
};
/*   EXISTS  the key or the name is pinned already */
BP_MUST_CHECK bp_result bp_store_announcer_add(bp_store *s, const struct bp_announcer *m);
BP_MUST_CHECK bp_result bp_store_announcer(bp_store *s, bp_span kid, struct bp_announcer *ret); /* NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_announcer_named(bp_store *s, const char *name, struct bp_announcer *ret);

struct bp_manifest_row {
    int64_t n;
    uint8_t maker[BP_DIGEST_SIZE];
    char order[BP_NAME_MAX + 1];
    uint64_t batch;
    uint8_t digest[BP_DIGEST_SIZE]; /* of the payload */
    struct bp_place place;          /* where its units are claimed */
    uint32_t units;
    char by[BP_NAME_MAX + 1];
    int64_t at_ms;
};
/*   EXISTS  the batch of this order is there */
BP_MUST_CHECK bp_result bp_store_manifest_add(bp_store *s, struct bp_manifest_row *m /* n is set */);
/* The highest batch of an order. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_manifest_last(bp_store *s, bp_span maker, const char *order, uint64_t *ret_batch);

struct bp_expected {
    int64_t n;
    int64_t manifest;
    uint8_t id[BP_ID_SIZE];
    char serial[BP_NAME_MAX + 1];
    char kind[17];
    uint32_t keys; /* endorsement keys that it must prove, all of them */
    uint8_t idevid[BP_DIGEST_SIZE]; /* on adding: SHA-256 of its IDevID certificate */
    bool has_idevid;
    int64_t device;        /* that came as this unit; 0: not yet */
    struct bp_place place; /* of its batch, and its own model */
    char order[BP_NAME_MAX + 1]; /* of its batch, on reading */
    uint64_t batch;
};
/*   EXISTS  a unit of this id was announced before */
BP_MUST_CHECK bp_result bp_store_expected_add(bp_store *s, struct bp_expected *e /* n is set */);
/*   EXISTS  a unit with this key was announced before */
BP_MUST_CHECK bp_result bp_store_expected_key_add(bp_store *s, int64_t expected, bp_span spki, uint32_t kind);
/* The unit that has this key. NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_expected_by_key(bp_store *s, bp_span spki, struct bp_expected *ret);
/* It came, as this device. NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_expected_come(bp_store *s, int64_t n, int64_t device);

/* -- keys that a fresh verdict vouches for
 * -------------------------------------------------------------------------- */
struct bp_vouched {
    uint8_t spki[BP_DIGEST_SIZE];
    int64_t device;
    uint64_t verdict; /* event number */
    int64_t until_ms;
    bool first; /* vouched over the enrol listener */
};
BP_MUST_CHECK bp_result
bp_store_vouch(bp_store *s, const struct bp_vouched *v); /* replaces one of the same device */
BP_MUST_CHECK bp_result bp_store_vouched(bp_store *s, bp_span spki, struct bp_vouched *ret);
BP_MUST_CHECK bp_result bp_store_vouched_drop(bp_store *s, int64_t device);
BP_MUST_CHECK bp_result bp_store_vouched_expire(bp_store *s, int64_t now_ms);

/* -- certificates
 * ----------------------------------------------------------------------------------------------------
 */
enum bp_cert_state { BP_CERT_GOOD = 1, BP_CERT_REVOKED = 2 };
struct bp_certificate {
    uint8_t serial[BP_SERIAL_MAX];
    size_t serial_n;
    int64_t device; /* 0: not a device's */
    uint8_t spki[BP_DIGEST_SIZE];
    char profile[17]; /* management, brownfield, app-client, app-server, opcua */
    char service[BP_SERVICE_MAX + 1]; /* of an application; else empty */
    struct bp_place place;
    int64_t not_before_ms;
    int64_t not_after_ms;
    enum bp_cert_state state;
    int64_t revoked_ms;
    uint32_t revoked_reason; /* RFC 5280 CRLReason */
    uint64_t verdict;        /* 0: none */
};
/*   EXISTS  the serial is known */
BP_MUST_CHECK bp_result bp_store_cert_add(bp_store *s, const struct bp_certificate *c, bp_span der);
BP_MUST_CHECK bp_result bp_store_cert(bp_store *s, bp_span serial, struct bp_certificate *ret,
                                      bp_span *ret_der);
/* How many that were issued count from since_ms on or later. */
BP_MUST_CHECK bp_result bp_store_cert_count(bp_store *s, int64_t since_ms, uint64_t *ret);
/* The newest of a device that is no application's. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_cert_of(bp_store *s, int64_t device, struct bp_certificate *ret,
                                         bp_span *ret_der);
/* The newest ones of a device, at most cap. */
BP_MUST_CHECK bp_result bp_store_certs_of(bp_store *s, int64_t device, struct bp_certificate *ret, size_t cap,
                                          size_t *ret_count);
/* How many certificates end in this time, are the newest of their device and service, and belong to a device that is silent or
 * that is expected only after their end; counting stops at cap. */
BP_MUST_CHECK bp_result bp_store_certs_ending(bp_store *s, int64_t after_ms, int64_t until_ms, uint32_t cap, uint32_t *ret);
/* Suspends the applications' certificates of a device (reason certificateHold), or ends that.   NOT_FOUND  none to change */
BP_MUST_CHECK bp_result bp_store_cert_hold(bp_store *s, int64_t device, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_cert_unhold(bp_store *s, int64_t device);
BP_MUST_CHECK bp_result bp_store_cert_revoke_all(bp_store *s, int64_t device, int64_t at_ms,
                                                 uint32_t reason);
/* Revoked and not yet expired ones after a serial, in order; fewer than cap: no more. */
BP_MUST_CHECK bp_result bp_store_cert_revoked(bp_store *s, bp_span after, int64_t now_ms,
                                              struct bp_certificate *ret, size_t cap,
                                              size_t *ret_count);
BP_MUST_CHECK bp_result bp_store_crl_set(bp_store *s, const char *issuer, uint64_t number,
                                         int64_t at_ms, bp_span der);
BP_MUST_CHECK bp_result bp_store_crl(bp_store *s, const char *issuer, uint64_t *ret_number,
                                     int64_t *ret_at_ms, bp_span *ret_der);

/* -- verdicts and what they rest on
 * ----------------------------------------------------------------------------------- */
struct bp_verdict_row {
    uint64_t event; /* number of the verdict event: the verdict's own number */
    int64_t device;
    uint64_t seq;
    int64_t as_of_ms;
    int64_t at_ms;
    uint8_t tier;
    struct bp_place place;
    char reason[BP_REASON_MAX + 1];
    uint8_t evidence[BP_DIGEST_SIZE];
    uint8_t policy[BP_DIGEST_SIZE]; /* zeros: none was published */
    uint8_t references[BP_DIGEST_SIZE];
    uint8_t state[BP_DIGEST_SIZE]; /* the state blob that was an input; zeros: none */
    uint8_t nonce[BP_DIGEST_SIZE];
    uint8_t binding[BP_DIGEST_SIZE];
    bp_span ear;       /* COSE_Sign1; on reading lives as spans do */
    bp_span appraisal; /* the appraiser's object, for pages and exports */
};
/*   EXISTS  the device has a verdict for this seq */
BP_MUST_CHECK bp_result bp_store_verdict_add(bp_store *s, const struct bp_verdict_row *v);
BP_MUST_CHECK bp_result bp_store_verdict(bp_store *s, uint64_t event, struct bp_verdict_row *ret);

enum bp_blob_kind {
    BP_BLOB_EVIDENCE = 1,
    BP_BLOB_STATE = 2,
    BP_BLOB_BOOT_LOG = 3,
    BP_BLOB_IMA = 4,
    BP_BLOB_EK = 5,
    BP_BLOB_REFERENCES = 6 /* [[release id, state, zone], ...], named by the set's own digest */
};
/* Content-addressed; storing the same bytes again moves only their age. The digest is the caller's
 * word. */
BP_MUST_CHECK bp_result bp_store_blob_put(bp_store *s, enum bp_blob_kind kind, bp_span digest,
                                          bp_span bytes, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_blob(bp_store *s, bp_span digest, bp_span *ret);
/* Removes at most cap blobs of a kind that nothing stored since; says how many. */
BP_MUST_CHECK bp_result bp_store_blob_expire(bp_store *s, enum bp_blob_kind kind, int64_t before_ms,
                                             uint32_t cap, uint32_t *ret_count);

/* -- releases and policy
 * ------------------------------------------------------------------------------------------------
 */
enum bp_acceptance {
    BP_ACC_IMPORTED = 0,
    BP_ACC_ACCEPTED = 1,
    BP_ACC_DEPRECATED = 2,
    BP_ACC_WITHDRAWN = 3
};
struct bp_release_row {
    uint8_t id[BP_DIGEST_SIZE];
    char product[BP_NAME_MAX + 1];
    char version[BP_NAME_MAX + 1];
    struct bp_place place; /* model it is for */
    uint64_t counter;
    int64_t imported_ms;
    char by[BP_NAME_MAX + 1];
    bp_span manifest; /* signed bytes */
    bp_span corim;    /* signed bytes */
};
/*   EXISTS */
BP_MUST_CHECK bp_result bp_store_release_add(bp_store *s, const struct bp_release_row *r);
BP_MUST_CHECK bp_result bp_store_release(bp_store *s, bp_span id, struct bp_release_row *ret);
/* The key that a product's releases are signed by, pinned by a person (DER SubjectPublicKeyInfo).
 *   EXISTS  pinned already      NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_maker_add(bp_store *s, const char *product, bp_span spki,
                                           const char *by, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_maker(bp_store *s, const char *product, bp_span *ret_spki);
/* State of a release in a zone ("*": every zone). */
BP_MUST_CHECK bp_result bp_store_acceptance_set(bp_store *s, bp_span id, const char *zone,
                                                enum bp_acceptance state, const char *by,
                                                const char *reason, int64_t at_ms);
/* NOT_FOUND: nobody decided. */
BP_MUST_CHECK bp_result bp_store_acceptance(bp_store *s, bp_span id, bp_span zone,
                                            enum bp_acceptance *ret);
/* Calls back for every (release, zone) whose state is not IMPORTED, in order of id; stops at the
 * first failure. Bounded by the number of acceptances, which people make one by one. */
BP_MUST_CHECK bp_result bp_store_acceptances(bp_store *s,
                                             bp_result (*each)(void *self,
                                                               const struct bp_release_row *r,
                                                               const char *zone,
                                                               enum bp_acceptance state),
                                             void *self);

struct bp_policy_version {
    uint64_t version;
    uint8_t digest[BP_DIGEST_SIZE];
    char zone[BP_NAME_MAX + 1]; /* "*": the fleet's */
    char by[BP_NAME_MAX + 1];
    int64_t at_ms;
    bp_span document;
};
/*   EXISTS  the version is taken */
BP_MUST_CHECK bp_result bp_store_policy_add(bp_store *s, const struct bp_policy_version *p);
BP_MUST_CHECK bp_result bp_store_policy_newest(bp_store *s, struct bp_policy_version *ret);
BP_MUST_CHECK bp_result bp_store_policy_by_digest(bp_store *s, bp_span digest,
                                                  struct bp_policy_version *ret);

/* Platform firmware that was learned, by model and digest. */
BP_MUST_CHECK bp_result bp_store_baseline_see(bp_store *s, const char *model, bp_span digest,
                                              int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_baseline_accept(bp_store *s, const char *model, bp_span digest,
                                                 const char *by, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_baseline(bp_store *s, const char *model, bp_span digest,
                                          bool *ret_accepted);

/* -- the log
 * --------------------------------------------------------------------------------------------------------------
 */
struct bp_event_row_in {
    uint64_t number;
    int64_t at_ms;
    uint32_t type;
    uint8_t severity;
    int64_t device; /* 0: none */
    struct bp_place place;
    uint8_t digest[BP_DIGEST_SIZE]; /* SHA-256 of body */
    bp_span body;
};
BP_MUST_CHECK bp_result bp_store_event_add(bp_store *s, const struct bp_event_row_in *e);
/* NOT_FOUND: no such number. An erased body is empty. */
BP_MUST_CHECK bp_result bp_store_event(bp_store *s, uint64_t number, bp_span *ret_body,
                                       uint8_t ret_digest[32]);
/* Takes the body away; the digest, and with it every proof, stays. */
BP_MUST_CHECK bp_result bp_store_event_erase(bp_store *s, uint64_t number);
/* Next number of a source, counted in the store. */
BP_MUST_CHECK bp_result bp_store_source_next(bp_store *s, bp_span source, uint64_t *ret);
/* Hashes of the tree's complete subtrees, numbered as they are completed. */
BP_MUST_CHECK bp_result bp_store_hash_add(bp_store *s, uint64_t index, const uint8_t hash[32]);
BP_MUST_CHECK bp_result bp_store_hash(bp_store *s, uint64_t index, uint8_t ret[32]);
/* Number of events, size the newest checkpoint covers, its text, and up to which size tiles are
 * written. */
struct bp_tree_row {
    uint64_t size;
    uint64_t signed_size;
    uint64_t tiled_size;
    bp_span checkpoint;
};
BP_MUST_CHECK bp_result bp_store_tree(bp_store *s, struct bp_tree_row *ret);
BP_MUST_CHECK bp_result bp_store_tree_grow(bp_store *s, uint64_t size);
BP_MUST_CHECK bp_result bp_store_tree_signed(bp_store *s, uint64_t size, bp_span checkpoint);
BP_MUST_CHECK bp_result bp_store_tree_tiled(bp_store *s, uint64_t size);

/* -- histories that were given up
 * ----------------------------------------------------------------------------------------------
 */
/* Heads of more than `kept` and at most `lost` events are void: event `event` says so. */
struct bp_log_gap {
    uint64_t event;
    uint64_t kept;
    uint64_t lost;
};
BP_MUST_CHECK bp_result bp_store_gap_add(bp_store *s, const struct bp_log_gap *g);
/* The newest by which a head of this size is void. NOT_FOUND: none. */
BP_MUST_CHECK bp_result bp_store_gap(bp_store *s, uint64_t size, struct bp_log_gap *ret);

/* -- copies
 * -----------------------------------------------------------------------------------------------
 */
/* Copies the whole store, as it is at one moment, into a new file; the writer is not held up. Between groups.
 *   EXISTS  the file is there */
BP_MUST_CHECK bp_result bp_store_copy(bp_store *s, const char *path);
/* Looks at every page and index.   MALFORMED  the database is damaged */
BP_MUST_CHECK bp_result bp_store_sound(bp_store *s);
/* A copy that is put back does not know what was spent since: every session, code, invitation, permit, open act of two
 * people and pre-approved key ends. */
BP_MUST_CHECK bp_result bp_store_spend_all(bp_store *s, int64_t now_ms);

/* -- people
 * ---------------------------------------------------------------------------------------------------------------
 */
struct bp_operator {
    int64_t n;
    char name[BP_NAME_MAX + 1];
    char role[17];
    char zone[BP_NAME_MAX + 1]; /* "*": every zone */
    uint8_t spki[BP_DIGEST_SIZE];
    bool has_spki;
    bool disabled;
    int64_t created_ms;
};
BP_MUST_CHECK bp_result
bp_store_operator_add(bp_store *s, struct bp_operator *o); /* EXISTS: the name or key is taken */
BP_MUST_CHECK bp_result bp_store_operator(bp_store *s, int64_t n, struct bp_operator *ret);
BP_MUST_CHECK bp_result bp_store_operator_by_name(bp_store *s, bp_span name,
                                                  struct bp_operator *ret);
BP_MUST_CHECK bp_result bp_store_operator_by_spki(bp_store *s, bp_span spki,
                                                  struct bp_operator *ret);
BP_MUST_CHECK bp_result
bp_store_operator_set(bp_store *s, const struct bp_operator *o); /* role, zone, key, disabled */

struct bp_session {
    uint8_t token[BP_DIGEST_SIZE]; /* hash of the cookie */
    int64_t operator_n;
    int64_t created_ms;
    int64_t used_ms;
    int64_t expires_ms;
};
BP_MUST_CHECK bp_result bp_store_session_add(bp_store *s, const struct bp_session *x);
BP_MUST_CHECK bp_result bp_store_session(bp_store *s, bp_span token, struct bp_session *ret);
BP_MUST_CHECK bp_result bp_store_session_used(bp_store *s, bp_span token, int64_t at_ms);
BP_MUST_CHECK bp_result bp_store_session_end(bp_store *s, bp_span token);
BP_MUST_CHECK bp_result bp_store_session_expire(bp_store *s, int64_t now_ms);

struct bp_code {
    uint8_t code[BP_DIGEST_SIZE]; /* hash */
    char role[17];
    char name[BP_NAME_MAX + 1]; /* whom it signs in; empty: a new operator */
    char zone[BP_NAME_MAX + 1];
    char by[BP_NAME_MAX + 1];
    int64_t expires_ms;
};
BP_MUST_CHECK bp_result bp_store_code_add(bp_store *s, const struct bp_code *c);
/* Takes it out: a code serves once. NOT_FOUND: wrong, spent or expired. */
BP_MUST_CHECK bp_result bp_store_code_take(bp_store *s, bp_span code, int64_t now_ms,
                                           struct bp_code *ret);

/* -- services: what devices may have application certificates for
 * ---------------------------------------------------------------------------------------------------
 */
struct bp_service {
    char name[BP_SERVICE_MAX + 1]; /* the label of its requests */
    char profile[17];              /* app-client, app-server, opcua */
    char zone[BP_NAME_MAX + 1];    /* "*": every zone */
    char by[BP_NAME_MAX + 1];
    int64_t at_ms;
};
/*   EXISTS  there is one of this name */
BP_MUST_CHECK bp_result bp_store_service_add(bp_store *s, const struct bp_service *v);
BP_MUST_CHECK bp_result bp_store_service(bp_store *s, bp_span name, struct bp_service *ret); /* NOT_FOUND */
BP_MUST_CHECK bp_result bp_store_service_remove(bp_store *s, bp_span name);                  /* NOT_FOUND */
/* Services after a name (empty: from the start), in order; fewer than cap: no more. */
BP_MUST_CHECK bp_result bp_store_services(bp_store *s, bp_span after, struct bp_service *ret, size_t cap,
                                          size_t *ret_count);

/* -- settings
 * ---------------------------------------------------------------------------------------------------------------
 */
/* Whether the store is older than what was signed after it, and the time of the backup that it was. */
#define BP_SETTING_RECOVERY "recovery"
#define BP_SETTING_BACKUP   "backup-ms"
enum bp_recovery {
    BP_RECOVERY_NONE = 0,
    BP_RECOVERY_OLDER = 1,   /* the keeper found so */
    BP_RECOVERY_PUT_BACK = 2 /* it was put back on purpose; people have not accepted the loss yet */
};
/* Whole numbers by name: "brownfield", "attest-interval-ms", … fallback when unset. */
#define BP_OUTAGE_MS     (30 * 24 * 3600 * 1000LL) /* of "outage-tolerance-ms": the default and what is allowed */
#define BP_OUTAGE_MIN_MS 60000LL
#define BP_OUTAGE_MAX_MS (180 * 24 * 3600 * 1000LL)
BP_MUST_CHECK bp_result bp_store_setting(bp_store *s, const char *name, int64_t fallback,
                                         int64_t *ret);
BP_MUST_CHECK bp_result bp_store_setting_set(bp_store *s, const char *name, int64_t value);

/* -- for tests
 * ----------------------------------------------------------------------------------------------------------------
 */
/* Calls back with each statement of the keeper and the plan that the database makes for it. */
BP_MUST_CHECK bp_result bp_store_plans(bp_store *s,
                                       void (*each)(void *self, const char *sql, const char *plan),
                                       void *self);

#endif
