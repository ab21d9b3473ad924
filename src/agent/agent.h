/* SPDX-License-Identifier: Apache-2.0 */
/* agent/agent - what the commands of the agent share: the opened folder, the root, the credential in use, the
 * connection to the device listener, one attestation, one request for a certificate.
 *
 * Every function that can fail for a person to see returns an outcome and leaves one line in `said`: what happened, to
 * what, what to do next. Nothing here prints. */
#ifndef BP_AGENT_AGENT_H
#define BP_AGENT_AGENT_H

#include "agent/collect.h"
#include "agent/remote.h"
#include "agent/state.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "core/renewal.h"
#include "port/clock.h"
#include "port/entropy.h"

#ifndef BP_VERSION
#define BP_VERSION "0.1.0"
#endif

/* Exit codes too. */
enum bp_outcome {
    BP_DONE = 0,
    BP_REFUSED = 1, /* the server, or the root, said no */
    BP_USAGE = 2,
    BP_FAILED = 3 /* not reached, or our own failure */
};

/* What signs a handshake: it must stay where it is while the connection lives. */
struct bp_agent_signer {
    struct bp_rot *rot;
    const struct bp_agent_slot *slot;
};

struct bp_agent {
    struct bp_state *state;
    struct bp_rot *rot;
    struct bp_crypto *crypto;
    struct bp_clock clock;
    struct bp_clock running; /* bp_agent_now_s, for whoever wants a clock; it points here */
    struct bp_entropy entropy;
    struct bp_agent_device dev;
    /* The credential in use. */
    enum bp_slot_name at; /* BP_SLOTS: none */
    struct bp_agent_slot slot;
    uint8_t ldevid[BP_SHA256_SIZE]; /* SHA-256 of its SubjectPublicKeyInfo */
    int64_t not_before_s, not_after_s;
    uint16_t lot; /* its place among other devices (core/renewal) */
    struct bp_agent_signer signer;
    struct bp_remote *device;
    /* The conversation. */
    struct bp_held held;
    bool has_nonce;
    uint8_t nonce[32];
    uint64_t seq;
    int64_t issued_ms;
    int64_t server_ms, server_at_mono; /* what time the server said it is, and when; 0: not yet */
    bool by_system; /* the system's clock counts for now: with the server's we got nowhere */
    char said[1024];
    void (*tell)(const char *line); /* told what is being waited for; NULL: nobody */
    /* The last answer. */
    bool has_answer;
    uint32_t tier, due_ms;
    bool renew;
    bool has_window; /* in which the server wants the certificate renewed */
    struct bp_renewal window;
    int64_t since_s; /* the end of the server's last long absence, by its clock; 0: it had none of late */
    uint32_t retry_after_s; /* of the last refusal that said so; 0: none did since the last success */
    char reason[BP_DEVICE_TEXT_MAX + 1], life[64];
    enum bp_lockout_stage lockout; /* as bp_agent_escrow left it */
    /* The key of the server's log; log_spki_n 0: not known in this process yet. */
    uint8_t log_spki[BP_SPKI_MAX];
    size_t log_spki_n;
    uint8_t *head; /* signed checkpoint of the last answer, or NULL */
    size_t head_n;
};

/* Opens folder, root and credential. make: for enroll, which brings no device.cbor yet.
 * On failure nothing is held, except what bp_agent_close gives back. */
enum bp_outcome bp_agent_open(struct bp_agent *a, const char *dir, bool make);
/* Opens the root that dev.root names. */
enum bp_outcome bp_agent_open_root(struct bp_agent *a);
/* Takes the credential in use from its slot; a newer one that was never tried is tried first. */
enum bp_outcome bp_agent_use_slot(struct bp_agent *a, enum bp_slot_name at);
void bp_agent_close(struct bp_agent *a);

/* Leaves the line and returns the outcome. */
enum bp_outcome bp_agent_say(struct bp_agent *a, enum bp_outcome o, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* For failures of the root and of a call to the server. */
enum bp_outcome bp_agent_say_root(struct bp_agent *a, bp_result r, const struct bp_rot_trace *trace, const char *doing);
enum bp_outcome bp_agent_say_call(struct bp_agent *a, bp_result r, const struct bp_remote *s, const char *doing);
enum bp_outcome bp_agent_say_reply(struct bp_agent *a, const struct bp_reply *reply, const char *doing);

/* Makes a device key into slot (not promoted, no certificate), of the given generation. */
enum bp_outcome bp_agent_make_key(struct bp_agent *a, uint64_t generation, struct bp_agent_slot *ret);
/* DER SubjectPublicKeyInfo of a wrapped key, and its hash. */
BP_MUST_CHECK bp_result bp_agent_spki(const struct bp_agent *a, bp_span blob, uint8_t *ret, size_t cap, size_t *ret_n,
                                      uint8_t ret_hash[BP_SHA256_SIZE]);
/* A certificate request for the key of the slot, DER, with evidence in it unless that is empty. Its size is at most
 * BP_AGENT_REQUEST_ROOM and that of the evidence. */
#define BP_AGENT_REQUEST_ROOM 512u
enum bp_outcome bp_agent_request(struct bp_agent *a, const struct bp_agent_slot *slot, bp_span evidence, uint8_t *ret,
                                 size_t cap, size_t *ret_n);
/* Asks for the certificate of the slot's key and takes it in. *ret_reply tells a refusal; BP_REFUSED with status 202
 * means: waiting. */
enum bp_outcome bp_agent_enrol_key(struct bp_agent *a, struct bp_remote *server, const char *target,
                                   struct bp_agent_slot *slot, bp_span evidence, struct bp_reply *ret_reply);
/* The same over the device listener for a key that nothing vouches for yet: evidence over a fresh nonce that names it goes into
 * the request, and where it is too long for that, before it. */
enum bp_outcome bp_agent_certify(struct bp_agent *a, const char *target, struct bp_agent_slot *slot);

/* A connection to the device listener with the credential of signer->slot; the caller's. */
enum bp_outcome bp_agent_connect(struct bp_agent *a, struct bp_agent_signer *signer, struct bp_remote **ret);
/* Asks for a fresh nonce. */
enum bp_outcome bp_agent_nonce(struct bp_agent *a, struct bp_remote *server);
/* One attestation over the device listener, with keys to be vouched for. Uses up the nonce and takes over the answer.
 * A refusal carries the next nonce; what the server held is then forgotten, so that the next one is whole. */
enum bp_outcome bp_agent_attest(struct bp_agent *a, const struct bp_collect_key *keys, size_t key_count);
/* The answer of a server to evidence, at whatever listener. */
enum bp_outcome bp_agent_take_answer(struct bp_agent *a, bp_span body, const struct bp_held *after);
void bp_agent_collector(const struct bp_agent *a, struct bp_collector *ret);

/* What the agent holds the time to be, in seconds: the server's, run on; before any answer the system's, unless that is before
 * the anchor was made. Then there is no clock, and it is as late as the anchor and our own certificate at least are. */
int64_t bp_agent_now_s(const struct bp_agent *a);
/* By how much the system's clock is ahead of the server's; 0 before any answer. */
int64_t bp_agent_clock_off_s(const struct bp_agent *a);
const char *bp_tier_name(uint32_t tier);
/* Does nothing for so long. */
BP_MUST_CHECK bp_result bp_agent_wait(uint32_t ms);
/* Writes what the last attestation said into last.json (for `status`); problem: the line of a failure, or NULL. */
BP_MUST_CHECK bp_result bp_agent_keep_last(const struct bp_agent *a, const char *problem);
/* RFC 3339, UTC, seconds. */
#define BP_TIME_ROOM 24u
void bp_agent_time(int64_t s, char ret[BP_TIME_ROOM]);

/* enroll.c */
struct bp_enroll {
    const char *server; /* https://HOST[:PORT] */
    const char *connect;
    const char *anchor; /* path, or sha256:HEX */
    const char *code;   /* or NULL */
    const char *root;
    uint16_t device_port; /* 0: as the server says */
    const char *boot_log, *ima_log;
    uint32_t wait_s; /* for approval */
    const char *maker; /* the maker's anchor: path or sha256:HEX, or NULL */
    bool is_present;   /* somebody is at the device: an override of the maker counts */
    const char *ek;    /* the endorsement keys to show: a name of bp_ek_name; NULL: as before, at first all */
};
/* "all" (0), "rsa-2048", "p-256" or "p-384", by template as hello numbers them. */
const char *bp_ek_name(uint32_t template_id);
enum bp_outcome bp_agent_enroll(struct bp_agent *a, const struct bp_enroll *e);
/* For the maker's station: opens the root (tpm2:TCTI), and writes what it says of itself as a hello, with an attestation key
 * that was made under its identity key and is kept nowhere. Nothing is stored; a needs no folder. */
enum bp_outcome bp_agent_identity(struct bp_agent *a, const char *root, uint8_t *ret, size_t cap, size_t *ret_n);
/* The same for a device whose certificate ran out while it could not renew; uses what the folder knows. */
enum bp_outcome bp_agent_enroll_again(struct bp_agent *a);
/* Has the server vouch for the key of a slot as at first contact, so that any EST client may carry the request. */
enum bp_outcome bp_agent_vouch(struct bp_agent *a, const struct bp_agent_slot *slot);

/* renew.c: a new key, vouched for by evidence over a fresh nonce, certified, and promoted after a call with it. */
enum bp_outcome bp_agent_renew(struct bp_agent *a);
/* Finds out whether the newer credential of a slot works, and takes it into use. */
enum bp_outcome bp_agent_promote(struct bp_agent *a, enum bp_slot_name at);

/* service.c: application certificates. What the service finds in its folder: key.pem, cert.pem (with the issuing CA),
 * ca.pem (the root). */
/* Has the certificate of one service issued or renewed, with its key made first where there is none. */
enum bp_outcome bp_agent_service_get(struct bp_agent *a, const char *name);
/* The same for every service whose certificate is missing or due; goes on after a failure and tells the last one. */
enum bp_outcome bp_agent_services(struct bp_agent *a, uint32_t *ret_renewed);
/* When a certificate of an application is to be renewed, and when it ends; since_s as bp_agent's. False: it does not read. */
bool bp_agent_service_times(struct bp_crypto *c, bp_span device_id, const struct bp_agent_service *v, int64_t since_s,
                            int64_t *ret_renew_s, int64_t *ret_until_s);
/* Makes the folder where it is not there.   BAD_ARGUMENT  not absolute, or too long    DENIED, IO */
BP_MUST_CHECK bp_result bp_agent_service_folder(const char *folder);
/* Takes every service and its files away: its keys were certified for the owner of before.   IO, DENIED */
BP_MUST_CHECK bp_result bp_agent_services_forget(const struct bp_agent *a);
/* Takes the service's files away. */
void bp_agent_service_withdraw(const struct bp_agent_service *v);

/* escrow.c: has the root's lockout value in escrow and then set, clearing disabled (agent/lockout). BP_DONE: set, or the server
 * keeps no escrow; BP_REFUSED: another's value is set, or the server or its recovery certificate was refused. */
enum bp_outcome bp_agent_escrow(struct bp_agent *a);

/* head.c: verifies the head of the last answer, compares it with the one kept, asks for the proof, keeps the newer. */
enum bp_outcome bp_agent_check_head(struct bp_agent *a);

/* run.c */
enum bp_outcome bp_agent_run(struct bp_agent *a, uint32_t rounds);

#endif
