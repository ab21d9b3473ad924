/* SPDX-License-Identifier: Apache-2.0 */
/* agent/collect - one collection of evidence (docs/protocol/evidence.md): logs, PCR values, keys and the quote over them.
 *
 * Logs are read verbatim from the kernel, or from the files of a process-level device. What is sent is a delta against
 * what the server said it holds (struct bp_held); the quote is made again when a log or a PCR moved meanwhile, so that
 * what is sent is what was quoted. It sends nothing itself. */
#ifndef BP_AGENT_COLLECT_H
#define BP_AGENT_COLLECT_H

#include "codec/device.h"
#include "codec/evidence.h"
#include "port/crypto.h"
#include "port/rot.h"

#define BP_BOOT_LOG_PATH "/sys/kernel/security/tpm0/binary_bios_measurements"
#define BP_IMA_LOG_PATH  "/sys/kernel/security/ima/binary_runtime_measurements"
#define BP_QUOTED_BANK   0x000bu   /* SHA-256 */
#define BP_QUOTED_PCRS   0x004fffu /* 0-11 and 14 */
#define BP_LOG_MAX       (900u << 10) /* bytes of one log in one collection */
#define BP_COLLECT_TRIES 6u

/* What the server holds, as its answers said. All zero: nothing. */
struct bp_held {
    bool has_boot; /* the whole boot log with this digest */
    uint8_t boot[BP_SHA256_SIZE];
    bool has_pcrs;
    struct bp_rot_pcrs pcrs;
    uint32_t ima_count; /* entries */
    size_t ima_at;      /* where the first entry that it does not hold begins in the file */
};

struct bp_collector {
    struct bp_rot *rot;
    struct bp_crypto *crypto;
    bp_span ak, ak_auth;
    bp_span device_id;
    uint32_t features;
    bp_span feature[BP_DEVICE_FEATURES_MAX];
    const char *agent; /* version */
    const char *boot_log, *ima_log;
};

struct bp_collect_key {
    bp_span blob, auth;
};

struct bp_collect_ask {
    bp_span nonce; /* 32 bytes */
    uint64_t seq;
    int64_t issued_ms;
    bp_span ldevid;     /* 32 bytes */
    bp_span binding;    /* 32 bytes */
    bp_span activation; /* 32 bytes, or empty */
    const struct bp_collect_key *keys; /* to be vouched for */
    size_t key_count;                  /* <= BP_EVIDENCE_KEYS_MAX */
};

/* What the server holds once it has accepted this collection. */
struct bp_collected {
    uint8_t *body; /* the caller's, bp_free */
    size_t body_n;
    struct bp_held after;
};

/* Makes a collection. On failure nothing is held.
 *   NOT_FOUND  a log file is not there    LIMIT  a log is longer than BP_LOG_MAX    MALFORMED  the IMA list is not one
 *   BUSY       logs or PCRs kept moving   NO_MEMORY, IO, and what the root says (trace) */
BP_MUST_CHECK bp_result bp_collect(const struct bp_collector *c, const struct bp_held *held,
                                   const struct bp_collect_ask *ask, struct bp_collected *ret,
                                   struct bp_rot_trace *trace);

/* Takes over what an answer says: `after` where the server agrees, less where it holds less. */
void bp_held_update(struct bp_held *held, const struct bp_held *after, bp_span held_log, uint64_t held_ima);

/* Reads a file whose size is not known beforehand (the kernel's are empty until read) from offset on.
 *   LIMIT  more than max bytes    else as bp_file_read */
BP_MUST_CHECK bp_result bp_log_read(const char *path, size_t from, size_t max, uint8_t **ret, size_t *ret_n);

#endif
