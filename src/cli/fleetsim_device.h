/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_device - one gateway in software: its keys, what it writes to a server and what it makes of the answers
 * (docs/protocol/device.md, evidence.md). Keys are its own, formats are the real ones, nothing is protected.
 *
 * It does no I/O: a caller carries the bodies. Rooms are the caller's. */
#ifndef BP_CLI_FLEETSIM_DEVICE_H
#define BP_CLI_FLEETSIM_DEVICE_H

#include "cli/fleetsim_chip.h"
#include "cli/fleetsim_model.h"
#include "core/tpmkey.h"
#include "platform/openssl/key.h"

#define BP_SIM_PUBLIC_MAX   128u
#define BP_SIM_CERT_MAX     1536u
#define BP_SIM_HELLO_MAX    4096u
#define BP_SIM_CSR_MAX      2048u
#define BP_SIM_EVIDENCE_MAX (BP_SIM_BOOT_MAX + BP_SIM_IMA_MAX + 4096u)

struct bp_sim_device {
    struct bp_sim_chip chip;
    struct bp_key *ak;
    struct bp_key *key; /* of its certificate */
    uint8_t ak_public[BP_SIM_PUBLIC_MAX], key_public[BP_SIM_PUBLIC_MAX]; /* TPM2B_PUBLIC */
    size_t ak_public_n, key_public_n;
    struct bp_tpm_name qualified; /* the AK's, as a child of the endorsement key */
    uint8_t key_hash[BP_SHA256_SIZE]; /* SHA-256 of its SubjectPublicKeyInfo */
    int64_t start_ms; /* when its TPM began to count */
    /* from the server */
    uint8_t id[33];
    uint16_t device_port; /* 0: not told */
    uint8_t nonce[32];
    uint64_t seq;
    int64_t issued_ms;
    uint8_t proof[BP_SHA256_SIZE]; /* of activation */
    bool has_log;     /* the server holds the boot log */
    uint64_t held_ima; /* and so many entries of the other */
    bool has_pcrs;
    uint32_t tier;
    char state[32];
    uint8_t cert[BP_SIM_CERT_MAX];
    size_t cert_n;
};

/* Makes its keys; now_ms is when it starts.   NO_MEMORY, CRYPTO */
BP_MUST_CHECK bp_result bp_sim_device_make(struct bp_crypto *c, const struct bp_sim_maker *m, int64_t now_ms,
                                           struct bp_sim_device *ret);
void bp_sim_device_done(struct bp_sim_device *d);

/* First contact, and its answer: what the credential holds becomes the proof.
 *   NO_SPACE      errors of bp_challenge_read      DENIED  the credential is not for this chip */
BP_MUST_CHECK bp_result bp_sim_hello(const struct bp_sim_device *d, bp_span code, uint8_t *ret, size_t cap,
                                     size_t *ret_n);
BP_MUST_CHECK bp_result bp_sim_take_challenge(struct bp_crypto *c, struct bp_sim_device *d, bp_span body);

enum bp_sim_kind {
    BP_SIM_PLAIN,
    BP_SIM_FIRST, /* with the proof of activation and a statement on its key */
    BP_SIM_VOUCH  /* with a statement on its key: it wants another certificate */
};
/* Evidence over the nonce that it holds: what the server does not hold yet goes along. binding: of the connection, 32
 * bytes, or zeros.   NO_SPACE, CRYPTO */
BP_MUST_CHECK bp_result bp_sim_evidence(struct bp_crypto *c, const struct bp_sim_device *d, const struct bp_sim_model *m,
                                        const uint8_t binding[32], enum bp_sim_kind kind, int64_t now_ms, uint8_t *ret,
                                        size_t cap, size_t *ret_n);
/* The verdict.   Errors of bp_answer_read      REPLAYED  the nonce is not newer than the one it had */
BP_MUST_CHECK bp_result bp_sim_take_answer(struct bp_sim_device *d, bp_span body);
BP_MUST_CHECK bp_result bp_sim_take_nonce(struct bp_sim_device *d, bp_span body);

/* Certificate request in base64, and the answer of EST.
 *   NO_SPACE, CRYPTO      MALFORMED  not one certificate, or one for another key */
BP_MUST_CHECK bp_result bp_sim_request(const struct bp_sim_device *d, uint8_t *ret, size_t cap, size_t *ret_n);
BP_MUST_CHECK bp_result bp_sim_take_certificate(struct bp_sim_device *d, bp_span body);

#endif
