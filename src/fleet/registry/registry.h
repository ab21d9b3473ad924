/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/registry - which devices there are, what may be done with each, and which keys
 * were ever seen.
 *
 * The life cycle is one table of states x operations (bp_registry_next): what it does not name is
 * refused. All calls run inside the keeper's open group, append their event, and note in `effects`
 * what follows the commit. The caller owns struct bp_registry. It decides no trust: tiers and
 * reasons come from the appraisal and the policy.
 *
 * Errors of every act, besides those named: what fleet/store says. The problem that a peer is told
 * comes out in ret_problem (BP_P_NONE on success), the result then is DENIED. */
#ifndef BP_FLEET_REGISTRY_REGISTRY_H
#define BP_FLEET_REGISTRY_REGISTRY_H

#include "codec/problem.h"
#include "fleet/events/effects.h"
#include "fleet/events/log.h"
#include "fleet/store/store.h"
#include "port/crypto.h"
#include "port/entropy.h"

#define BP_WAITING_MAX            100u
#define BP_WAITING_PER_SOURCE_MAX 10u
#define BP_WAITING_MS             (24 * 3600 * 1000LL)
#define BP_INVITATION_MS          (24 * 3600 * 1000LL) /* default */
#define BP_INVITATION_MAX_MS      (30 * 24 * 3600 * 1000LL)
#define BP_QUARANTINE_HOUR_MAX    3u
#define BP_QUARANTINE_PERCENT     2u
#define BP_KEYS_PER_DEVICE_MAX    256u
#define BP_CODE_TEXT              26u /* characters of a one-time code: 130 bits, base32 */

#define BP_OPERATION_LIST(X)                                                                       \
    X(ATTEST, "attest")   /* evidence is taken */                                                  \
    X(ENROL, "enrol")     /* ask for a first certificate */                                        \
    X(RENEW, "renew")     /* ask for another one with the present one */                           \
    X(CERTIFY, "certify") /* a certificate was issued */                                           \
    X(APPLY, "apply")     /* ask for an application's certificate */                               \
    X(USE, "use")         /* evidence came over its own certificate */                             \
    X(REBIND, "rebind")   /* identity proven again with another AK, nobody asked for it */         \
    X(RECLAIM, "reclaim") /* the same with a fresh invitation */                                   \
    X(APPROVE, "approve")                                                                          \
    X(QUARANTINE, "quarantine")                                                                    \
    X(RELEASE, "release")                                                                          \
    X(REVOKE, "revoke")                                                                            \
    X(RETIRE, "retire")                                                                            \
    X(RETURN, "return") /* a retired one comes back, with a permit */                                                                            \
    X(EXPIRE, "expire") /* nobody approved in time */
enum bp_operation {
#define BP_X(name, text) BP_OP_##name,
    BP_OPERATION_LIST(BP_X)
#undef BP_X
        BP_OP_COUNT
};
const char *bp_operation_name(enum bp_operation op);

/* The state after an operation; BP_ST_NONE: refused. RELEASE leads to QUARANTINED's memory of
 * before and is named here as ACTIVE; EXPIRE removes the row and is named as RETIRED. */
enum bp_lifecycle bp_registry_next(enum bp_lifecycle state, enum bp_operation op);

struct bp_registry {
    bp_store *store;
    struct bp_log *log;
    struct bp_crypto *crypto;
    const struct bp_entropy *entropy;
    struct bp_effects *effects;
    uint8_t owner_secret[32];
    int64_t now_ms; /* set by the keeper at the beginning of each act */
};

/* base32 (RFC 4648, upper case, no padding) of the first 160 bits of HMAC-SHA-256(owner secret,
 * device id); closed. */
BP_MUST_CHECK bp_result bp_registry_pseudonym(struct bp_registry *r, bp_span id,
                                              char ret[BP_PSEUDONYM_SIZE + 1]);

/* What a first contact proved: the CA signer activated these keys on one chip and bound the AK to
 * it. */
struct bp_contact {
    bp_span id;              /* 33 bytes: the device's where one of the keys is known, else that of its identity key */
    const uint8_t (*ek)[32]; /* SPKI hashes of all activated EKs */
    size_t ek_count;
    bp_span ak_public;    /* TPM2B_PUBLIC */
    uint8_t ak_name[32];  /* SHA-256 over TPMT_PUBLIC: the AK's entry in the key index */
    bp_span binding;      /* ak-binding COSE_Sign1 */
    bp_span issuer_class; /* text */
    bp_span kind;         /* "tpm2" */
    bp_span source;       /* address text */
    bp_span info;         /* CBOR, shown only */
    bp_span code;         /* invitation code as typed; empty: none */
};

/* The device that a chip with these endorsement keys is, whichever of them it showed before; those of a retired or revoked one
 * name it too. Nothing is proven by it.   NOT_FOUND  none of them was ever proven here
 *   KEY_IN_USE  one serves another device as something else      TWO_DEVICES  they are of two devices */
BP_MUST_CHECK bp_result bp_registry_chip(struct bp_registry *r, const uint8_t (*ek)[32], size_t count,
                                         struct bp_device *ret, enum bp_problem *ret_problem);
/* Whether the identity key, whose hash the device id holds, is among these. */
bool bp_registry_shows_identity(const struct bp_device *d, const uint8_t (*ek)[32], size_t count);

/* Takes a proven first contact, by whichever of the chip's endorsement keys: known device (same AK: nothing changes; another AK: rebind or
 * reclaim), invited one or one that its maker announced (registry/expected; claimed at once), or
 * unknown (waiting room). Endorsement keys that are new become its aliases. The row is stored and ret holds it.
 * WAITING_FULL, KEY_IN_USE, TWO_DEVICES, REVOKED, BAD_INVITATION, WRONG_STATE, UNIT_MISMATCH
 * BUSY  the chip became known by another of its keys since it said hello: it says hello again */
BP_MUST_CHECK bp_result bp_registry_contact(struct bp_registry *r, const struct bp_contact *c,
                                            struct bp_device *ret, enum bp_problem *ret_problem);

/* The place of a device that is not known yet and comes with no invitation, when a chain of ownership says that it is ours.
 *   NOT_FOUND  no chain does */
BP_MUST_CHECK bp_result bp_registry_owned(struct bp_registry *r, bp_span id, struct bp_place *ret,
                                          char ret_by[BP_NAME_MAX + 1]);

/* One return of a retired device is permitted, for BP_PERMIT_MS. WRONG_STATE, NOT_FOUND, VALUE (reason) */
#define BP_PERMIT_MS (24 * 3600 * 1000LL)
BP_MUST_CHECK bp_result bp_registry_permit(struct bp_registry *r, int64_t device, bp_span reason, bp_span actor,
                                           enum bp_problem *ret_problem);
/* Whether it is retired and a permit waits for its return; bp_registry_contact spends it. */
bool bp_registry_may_return(struct bp_registry *r, const struct bp_device *d);

/* Makes an invitation; ret_code (BP_CODE_TEXT + 1) is shown once and never stored.
 *   VALUE  the zone is empty, a name is too long, or expires is outside 1 s .. BP_INVITATION_MAX_MS
 */
BP_MUST_CHECK bp_result bp_registry_invite(struct bp_registry *r, const struct bp_place *place,
                                           int64_t expires_in_ms, bp_span actor, char *ret_code,
                                           enum bp_problem *ret_problem);

/* Makes one that leads to a position which nobody fills; *ret_place is what binds to it.
 *   NOT_FOUND, POSITION_FILLED      VALUE  as above */
BP_MUST_CHECK bp_result bp_registry_invite_to(struct bp_registry *r, bp_span tag, int64_t expires_in_ms,
                                              bp_span actor, char *ret_code, struct bp_place *ret_place,
                                              enum bp_problem *ret_problem);

/* Where an invitation leads: the place that a contact with this code would get: that of the position
 * which the device fills, if it fills one. A code that this very device spent counts as none, *ret stays as it is.   BAD_INVITATION */
BP_MUST_CHECK bp_result bp_registry_invited(struct bp_registry *r, bp_span code, int64_t device,
                                            struct bp_place *ret, enum bp_problem *ret_problem);

/* A certificate without a verdict, for what cannot attest: the key is entered as a brownfield one, and
 * the device gets a row of kind "brownfield" whose tier stays none for good. `present` is the row it
 * already has (0: none; it is renewed by its own class only). Before the certificate is given out.
 *   KEY_IN_USE  the key is another device's or a tombstone      WRONG_STATE, REVOKED  its state */
BP_MUST_CHECK bp_result bp_registry_brownfield(struct bp_registry *r, int64_t present, bp_span source,
                                               const struct bp_certificate *c, bp_span der,
                                               enum bp_problem *ret_problem);
/* Row of a brownfield key; BROWNFIELD keys only.   UNKNOWN_DEVICE, REVOKED */
BP_MUST_CHECK bp_result bp_registry_brownfield_of_key(struct bp_registry *r, bp_span spki,
                                                      struct bp_device *ret,
                                                      enum bp_problem *ret_problem);

/* Acts of people and rules on one device. `place` only for APPROVE. A rule's quarantine (automatic)
 * is bound by the cap: at most BP_QUARANTINE_PERCENT of the zone standing and
 * BP_QUARANTINE_HOUR_MAX in an hour, yet always one; over it the event quarantine-capped is written
 * and *ret_capped set, the device stays as it is. NOT_FOUND, WRONG_STATE, VALUE */
BP_MUST_CHECK bp_result bp_registry_approve(struct bp_registry *r, int64_t device,
                                            const struct bp_place *place, bp_span actor,
                                            enum bp_problem *ret_problem);
BP_MUST_CHECK bp_result bp_registry_quarantine(struct bp_registry *r, int64_t device,
                                               bool automatic, bp_span reason, bp_span actor,
                                               bool *ret_capped, enum bp_problem *ret_problem);
BP_MUST_CHECK bp_result bp_registry_release(struct bp_registry *r, int64_t device, bp_span reason,
                                            bp_span actor, enum bp_problem *ret_problem);
/* Every key of it becomes a tombstone, every certificate is revoked, every front is told. */
BP_MUST_CHECK bp_result bp_registry_revoke(struct bp_registry *r, int64_t device, bp_span reason,
                                           bp_span actor, enum bp_problem *ret_problem);
BP_MUST_CHECK bp_result bp_registry_retire(struct bp_registry *r, int64_t device, bp_span reason,
                                           bp_span actor, enum bp_problem *ret_problem);

/* -- positions: what the plant calls a place, and who fills it -- */
/* Makes one. The tag is its own designation: letters, digits and =+-_.: ; a place without a name is named by it.
 *   VALUE  the tag or the zone is empty, or not of that form      CONFLICT  there is one with this tag */
BP_MUST_CHECK bp_result bp_registry_position_make(struct bp_registry *r, bp_span tag, const struct bp_place *place,
                                                  bp_span actor, enum bp_problem *ret_problem);
/* Puts a device of ours into a position that nobody fills.   NOT_FOUND, WRONG_STATE
 *   POSITION_FILLED  it is filled, or the device fills one      NOT_A_SPARE  it is of another model */
BP_MUST_CHECK bp_result bp_registry_assign(struct bp_registry *r, bp_span tag, int64_t device, bp_span actor,
                                           enum bp_problem *ret_problem);
/* bp_registry_approve into a position that nobody fills.   Besides its own: POSITION_FILLED */
BP_MUST_CHECK bp_result bp_registry_approve_at(struct bp_registry *r, int64_t device, bp_span tag, bp_span actor,
                                               enum bp_problem *ret_problem);
/* Moves a position to a spare. Whoever filled it retires with everything it has, in whatever state it is; no key goes
 * along. One event on each device.   NOT_FOUND
 *   NOT_A_SPARE  the device is not enrolled, not trusted, silent, of another model, or fills a position: *ret_why says
 *                which (a text that lives as long as the program, "" with every other answer) */
BP_MUST_CHECK bp_result bp_registry_replace(struct bp_registry *r, bp_span tag, int64_t spare, bp_span reason,
                                            bp_span actor, const char **ret_why, enum bp_problem *ret_problem);

/* -- succession: the same box with a new root; one person proposes, another one approves -- */
#define BP_ACTION_MS        (24 * 3600 * 1000LL)
#define BP_ACTIONS_OPEN_MAX 32u
/* Proposes that `successor` goes on in the place of `old`. Nothing changes but for the event.   NOT_FOUND
 *   VALUE        no reason, or one device twice      CONFLICT  too many acts wait
 *   WRONG_STATE  the old one is waiting, revoked or retired
 *   NOT_A_SPARE  as for replacing, or its root is of another class than the old one's; *ret_why as there */
BP_MUST_CHECK bp_result bp_registry_propose(struct bp_registry *r, int64_t old, int64_t successor, bp_span reason,
                                            const struct bp_operator *who, struct bp_action *ret, const char **ret_why,
                                            enum bp_problem *ret_problem);
/* Approves the act with this digest and does it: position or place move, the old device retires with everything it has.
 * One event on each device.   NOT_FOUND, and what proposing refuses
 *   ACTION_OVER   decided already, or nobody did in time      SAME_PERSON  it is the author's own
 *   PRECONDITION  another digest, or one of the devices or the position changed since */
BP_MUST_CHECK bp_result bp_registry_action_approve(struct bp_registry *r, bp_span id, bp_span digest,
                                                   const struct bp_operator *who, const char **ret_why,
                                                   enum bp_problem *ret_problem);
/* Ends it without doing it; the author may.   NOT_FOUND, ACTION_OVER, VALUE */
BP_MUST_CHECK bp_result bp_registry_action_reject(struct bp_registry *r, bp_span id, bp_span reason,
                                                  const struct bp_operator *who, enum bp_problem *ret_problem);

/* Whether the state allows ATTEST, ENROL, RENEW, APPLY: BP_P_NONE or the problem to tell. */
enum bp_problem bp_registry_may(enum bp_lifecycle state, enum bp_operation op);

/* A certificate was issued: key into the index, row, state, event. Before the certificate is given
 * out. KEY_IN_USE  the key is another device's or a tombstone */
BP_MUST_CHECK bp_result bp_registry_certified(struct bp_registry *r, struct bp_device *d,
                                              const struct bp_certificate *c, bp_span der,
                                              enum bp_problem *ret_problem);

/* The same for a certificate of an application (c->service): the key is entered for this service alone,
 * and the state stays. QUARANTINED, WRONG_STATE, REVOKED  by the state  KEY_IN_USE  the key is another
 * device's, another service's, the device's own, or a tombstone */
BP_MUST_CHECK bp_result bp_registry_applied(struct bp_registry *r, const struct bp_device *d,
                                            const struct bp_certificate *c, bp_span der,
                                            enum bp_problem *ret_problem);

/* Evidence of the device was accepted over its own certificate: enrolled becomes active. */
BP_MUST_CHECK bp_result bp_registry_used(struct bp_registry *r, struct bp_device *d);

/* Time passes: one step of what is due (a silent device, an expired entry of the waiting room),
 * false when nothing is. watch_from_ms: devices are not called silent before that (time for them to
 * come back after our own restart). */
BP_MUST_CHECK bp_result bp_registry_tick(struct bp_registry *r, int64_t watch_from_ms,
                                         bool *ret_more);

/* Key of a front's peer: which device, and whether it may speak at all. Only an LDevID key; the other call takes the
 * key of an application too, and serves for nothing but renewing that application's certificate.
 *   UNKNOWN_DEVICE, REVOKED */
BP_MUST_CHECK bp_result bp_registry_device_of_key(struct bp_registry *r, bp_span spki,
                                                  struct bp_device *ret,
                                                  enum bp_problem *ret_problem);

BP_MUST_CHECK bp_result bp_registry_device_of_application_key(struct bp_registry *r, bp_span spki, const char *service,
                                                              struct bp_device *ret,
                                                              enum bp_problem *ret_problem);

#endif
