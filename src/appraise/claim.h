/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/claim - the names that a policy may use, their types and where each comes from, in one table
 * (docs/protocol/claims.md is checked against it). */
#ifndef BP_APPRAISE_CLAIM_H
#define BP_APPRAISE_CLAIM_H

#include "base/span.h"

enum bp_claim_type { BP_CLAIM_INTEGER, BP_CLAIM_TEXT, BP_CLAIM_BLOB };

/* ID, name, type, source, meaning. Names are ascending. */
#define BP_CLAIM_LIST(X)                                                                                               \
    X(AGENT_VERSION, "agent_version", TEXT, "about", "what the agent says of itself; not proven")                      \
    X(AS_OF_MS, "as_of_ms", INTEGER, "keeper", "when the nonce was issued: how old the verdict is")                    \
    X(BOOT_EVENTS, "boot_events", INTEGER, "boot log", "events judged of this boot")                                   \
    X(BOOT_LOG, "boot_log", BLOB, "boot log", "SHA-256 of the boot log the verdict rests on")                          \
    X(BOOT_UNACCEPTED, "boot_unaccepted", INTEGER, "boot log, releases", "boot components in no accepted release")     \
    X(CLOCK_SAFE, "clock_safe", INTEGER, "quote", "1: the TPM's clock never repeated; 0 after a power cut")            \
    X(EVIDENCE_AGE_MS, "evidence_age_ms", INTEGER, "keeper", "from the nonce's issue to the appraisal")                \
    X(IMA_AHEAD, "ima_ahead", INTEGER, "IMA list", "entries past the quote, not judged yet")                           \
    X(IMA_ENTRIES, "ima_entries", INTEGER, "IMA list", "entries proven and judged since the start")                    \
    X(IMA_UNKNOWN, "ima_unknown", INTEGER, "IMA list, releases", "programs in no accepted release since the start")    \
    X(IMA_VIOLATIONS, "ima_violations", INTEGER, "IMA list", "files that changed while they were measured")            \
    X(KEYS_VOUCHED, "keys_vouched", INTEGER, "keys", "keys that this evidence proves held by the TPM")                 \
    X(RELEASE_ID, "release_id", BLOB, "boot log, releases", "the release that runs whole (newest counterpart first)")  \
    X(RELEASE_NAME, "release_name", TEXT, "releases", "its name")                                                      \
    X(RELEASE_STATE, "release_state", TEXT, "releases", "accepted, deprecated or withdrawn")                           \
    X(RESET_COUNT, "reset_count", INTEGER, "quote", "starts of the TPM since it was cleared")                          \
    X(RESTART_COUNT, "restart_count", INTEGER, "quote", "wake-ups since the start")                                    \
    X(ROOT_CLASS, "root_class", TEXT, "ak-binding", "discrete, firmware, virtual, unknown or software")                \
    X(SECURE_BOOT, "secure_boot", INTEGER, "boot log", "1 on, 0 off")                                                  \
    X(TIER, "tier", INTEGER, "appraisal", "0 none, 2 affirming, 32 warning, 96 contraindicated")                       \
    X(TPM_CLOCK_MS, "tpm_clock_ms", INTEGER, "quote", "the TPM's clock")                                               \
    X(TPM_FIRMWARE, "tpm_firmware", INTEGER, "quote", "the TPM's firmware version, as a number")                       \
    X(ZONE, "zone", TEXT, "keeper", "the zone that releases were looked up for")

enum bp_claim_id {
#define BP_X(id, name, type, source, meaning) BP_C_##id,
    BP_CLAIM_LIST(BP_X)
#undef BP_X
        BP_C_COUNT
};

struct bp_claim {
    bool is_set; /* a claim that is not set is missing: NULL for a policy */
    int64_t number;
    bp_span bytes; /* TEXT, BLOB */
};

struct bp_claim_row {
    const char *name;
    enum bp_claim_type type;
    const char *source;
    const char *meaning;
};
/* Row of a claim; NULL members for an id outside the table. */
struct bp_claim_row bp_claim_row(enum bp_claim_id id);
/* BP_C_COUNT when no claim has that name. */
enum bp_claim_id bp_claim_of_name(bp_span name);

#endif
