/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/judge - what the steps of one appraisal share. For this folder only.
 *
 * Everything lies in struct bp_judge, on the stack of bp_appraise, or in the caller's arena. A step fails only when it
 * could not do its work; what it finds goes through bp_j_find. */
#ifndef BP_APPRAISE_JUDGE_H
#define BP_APPRAISE_JUDGE_H

#include "appraise/appraise.h"
#include "core/replay.h"
#include "core/tpmkey.h"

#define BP_J_PCR_BYTES (BP_APPRAISE_PCR_COUNT * BP_SHA256_SIZE)
/* The boot log speaks for the quoted PCRs but 10, which the kernel extends. */
#define BP_J_BOOT_PCRS (BP_APPRAISE_PCRS & ~(1u << BP_IMA_PCR))

enum bp_j_ima { BP_J_IMA_NOT_JUDGED, BP_J_IMA_NOT_WANTED, BP_J_IMA_JUDGED };

struct bp_judge {
    struct bp_crypto *c;
    const struct bp_refset *refs;
    const struct bp_appraise_request *req;
    struct bp_appraisal *ret;
    bp_wr arena;
    bool is_refused;
    bool is_too_much;

    struct bp_evidence ev;
    struct bp_tpm_public ak;
    struct bp_tpm_key_room ak_room;
    struct bp_pubkey ak_key;
    struct bp_tpm_sig sig;
    struct bp_tpm_attest quote;

    bool has_old;
    struct bp_device_state old;
    bool is_same_boot; /* resetCount is that of the state */
    struct bp_device_state now;

    bool has_pcrs;
    uint8_t pcrs[BP_J_PCR_BYTES];

    bool is_boot_judged; /* a log of this boot leads to the signed PCRs, now or before */
    bool is_compared;    /* ... and there were releases to compare it with */
    bool is_stale;       /* both lists are to be sent again */
    uint64_t boot_unaccepted;
    enum bp_j_ima ima;
    uint64_t ima_ahead;
    enum bp_effect worst[BP_TILE_COUNT];
};

/* Whether the request names at least one parent, and each by a name of the right size. */
bool bp_j_are_names(const struct bp_appraise_request *req);

/* The steps, in the order of the table in appraise.c. */
bp_result bp_j_structure(struct bp_judge *j);
bp_result bp_j_ak(struct bp_judge *j);
bp_result bp_j_attest(struct bp_judge *j);
bp_result bp_j_signature(struct bp_judge *j);
bp_result bp_j_parent(struct bp_judge *j);
bp_result bp_j_selection(struct bp_judge *j);
bp_result bp_j_names(struct bp_judge *j);
bp_result bp_j_extra(struct bp_judge *j);
bp_result bp_j_activation(struct bp_judge *j);
bp_result bp_j_keys(struct bp_judge *j);
bp_result bp_j_state(struct bp_judge *j);
bp_result bp_j_counters(struct bp_judge *j);
bp_result bp_j_pace(struct bp_judge *j);
bp_result bp_j_pcrs(struct bp_judge *j);
bp_result bp_j_boot(struct bp_judge *j);
bp_result bp_j_ima(struct bp_judge *j);
bp_result bp_j_releases(struct bp_judge *j);
bp_result bp_j_result(struct bp_judge *j);

/* Adds a finding; detail takes the place of {} in its text. bp_j_find_tile also says which link of the chain it
 * touches, where that is not the one its AR4SI claim stands for. */
void bp_j_find(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail);
void bp_j_find_tile(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail, enum bp_tile tile);
/* The same, and it stays until the device starts again. */
void bp_j_find_sticky(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail);
/* The same with a number as detail. */
void bp_j_find_number(struct bp_judge *j, enum bp_finding_id id, uint64_t at, uint64_t number);
/* Puts a finding of the last state in again, with the text that it had. */
void bp_j_find_again(struct bp_judge *j, const struct bp_finding *f);
void bp_j_find_too_much(struct bp_judge *j);
enum bp_tile bp_j_tile_of_pcr(uint32_t pcr);

/* Text in the arena. Parts are cleaned: valid UTF-8, no control characters, the whole at most BP_APPRAISAL_TEXT_MAX.
 * An arena that is full shows in its state and ends the appraisal. */
bp_span bp_j_text(struct bp_judge *j, const bp_span *parts, size_t count);
/* `n` bytes of the arena, or NULL. */
uint8_t *bp_j_take(struct bp_judge *j, size_t n);

#define BP_J_NUMBER_MAX 21u
bp_span bp_j_number(uint64_t v, char room[BP_J_NUMBER_MAX]);
#define BP_J_HEX 12u
/* The first digits of a digest, as people compare them. */
bp_span bp_j_short_hex(bp_span digest, char room[BP_J_HEX]);

/* Value of a quoted PCR, out of bp_judge.pcrs or a state's. */
bp_span bp_j_pcr(bp_span pcrs, uint32_t pcr);
/* All values but that of PCR 10 are equal. */
bool bp_j_same_boot_pcrs(bp_span a, bp_span b);

/* Which of two releases a component is put down to: accepted before deprecated before withdrawn, then the one that
 * requires more, then the later one. NULL loses. */
const struct bp_ref_release *bp_j_better(const struct bp_ref_release *a, const struct bp_ref_release *b);
bool bp_j_explains(const struct bp_judge *j, bp_span release_id);
/* Puts the release on the list of those that explain what runs. */
void bp_j_explain(struct bp_judge *j, const struct bp_ref_release *release);

#endif
