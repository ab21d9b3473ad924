/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/rig - a gateway in memory that makes real evidence: boot log, IMA list, PCRs, quotes by a
 * software P-256 key in the TPM's own formats; releases made from what it runs; and what a server keeps of it.
 *
 * For tests and measurements only. Everything lies in struct rig; a struct is large, so keep it static. */
#ifndef BP_TESTS_RIG_H
#define BP_TESTS_RIG_H

#include "appraise/appraise.h"
#include "core/bootlog.h"
#include "core/tpmkey.h"
#include "unit/signer.h"

#define RIG_LOG_MAX      16384u
#define RIG_IMA_MAX      131072u
#define RIG_EVIDENCE_MAX (256u * 1024u)
#define RIG_RELEASES_MAX 8u
#define RIG_ENTRIES_MAX  4096u
#define RIG_CORIM_MAX    131072u

/* What a machine starts: names stand for contents. */
struct rig_os {
    const char *firmware;
    const char *rom;
    const char *loader;
    const char *initrd;
    const char *db;    /* the Secure Boot list */
    const char *order; /* boot order */
    bool is_secure;
    uint32_t left_open; /* bit n: PCR n gets no separator */
};
extern const struct rig_os rig_os_1;

struct rig {
    struct bp_crypto *c;
    struct test_key ak;
    struct test_key ldevid;
    uint8_t ak_public[256];
    size_t ak_public_n;
    uint8_t ldevid_public[256];
    size_t ldevid_public_n;
    uint32_t ak_attributes;
    struct bp_tpm_name qualified; /* of the AK: what its statements say signed them */
    uint8_t device_id[33];
    uint8_t ldevid_hash[32];

    uint8_t log[RIG_LOG_MAX];
    size_t log_n;
    uint8_t ima[RIG_IMA_MAX];
    size_t ima_n;
    uint32_t ima_count;
    size_t ima_end[2048]; /* bytes after entry n */
    struct bp_pcrs pcrs;
    struct bp_ima_point ima_point;

    uint32_t reset_count;
    uint32_t restart_count;
    uint64_t clock_ms;
    bool safe;

    /* the server's side */
    int64_t now_ms;
    uint8_t nonce[32];
    uint8_t binding[32]; /* of the connection; zeros: none */
    uint64_t seq;
    int64_t as_of_ms;
    uint8_t state[BP_STATE_MAX];
    size_t state_n;
    bool has_log; /* what the last answer said is held */
    uint64_t held_ima;
    uint8_t acked_pcrs[BP_APPRAISE_PCR_COUNT * 32];
    bool has_acked;
    const char *root_class;
    bool first_contact;

    uint8_t evidence[RIG_EVIDENCE_MAX];
    size_t evidence_n;
    uint8_t attest[512];
    size_t attest_n;
    uint8_t sig[256];
    size_t sig_n;
    uint8_t key_attest[512];
    uint8_t key_sig[256];
    uint8_t arena[BP_APPRAISE_ARENA];
    struct bp_appraisal out;

    uint8_t corim[RIG_RELEASES_MAX][RIG_CORIM_MAX];
    uint8_t release_id[RIG_RELEASES_MAX][32];
    struct bp_ref_source source[RIG_RELEASES_MAX];
    uint32_t sources;
    struct bp_ref_release release[RIG_RELEASES_MAX];
    struct bp_ref_entry entry[RIG_ENTRIES_MAX];
    struct bp_refset refs;
};

/* A device with keys of its own, off. */
bool rig_make(struct rig *r, struct bp_crypto *c);
void rig_done(struct rig *r);
/* The AK is a child of this endorsement key (TPM2B_PUBLIC). rig_make hangs it under one of no matter. */
bool rig_hang(struct rig *r, bp_span ek_public);
/* Power on: resetCount goes up, PCRs begin anew, the kernel's list holds boot_aggregate. */
void rig_boot(struct rig *r, const struct rig_os *os);
/* A program runs: its file's content is its name and `version`. */
void rig_run(struct rig *r, const char *path, const char *version);
void rig_violation(struct rig *r, const char *path);
/* Both clocks run. */
void rig_wait(struct rig *r, int64_t ms);

/* A release of what that system starts and of programs ("path", "version", ..., NULL), accepted in `zone`. Its number
 * comes back. rig_publish makes the set of all releases. */
uint32_t rig_release(struct rig *r, const char *name, const char *zone, const struct rig_os *os,
                     const char *const *programs);
bool rig_publish(struct rig *r);

/* How evidence is forged; members may be NULL. */
struct rig_forge {
    /* Before anything is signed: members, and the statement. */
    void (*before)(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *quote);
    /* The statement's bytes, before they are signed. */
    void (*bytes)(struct rig *r);
    /* After the signature. */
    void (*after)(struct rig *r, struct bp_evidence *ev);
    /* The collection's bytes. */
    void (*wire)(struct rig *r);
    /* What the server asks. */
    void (*ask)(struct rig *r, struct bp_appraise_request *req);
};

/* The server mints a nonce. */
void rig_nonce(struct rig *r);
/* The device answers it: what it sends is what an agent would (logs that are not held, PCRs that moved). */
bool rig_answer(struct rig *r, const struct rig_forge *forge);
/* The server appraises r->evidence into r->out and, when `keep` and accepted, keeps the state. */
bp_result rig_appraise(struct rig *r, const struct rig_forge *forge, bool keep);
/* All three, after `ms`. */
bool rig_round(struct rig *r, int64_t ms, const struct rig_forge *forge);

void rig_request(const struct rig *r, struct bp_appraise_request *ret);
/* The code of finding n; "" when there is none. */
const char *rig_code(const struct rig *r, uint32_t n);
bool rig_has(const struct rig *r, enum bp_finding_id id);
/* Best to worst: affirming 0, warning, none, contraindicated, refused. */
unsigned rig_rank(const struct bp_appraisal *a);

#endif
