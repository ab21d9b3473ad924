/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/result - releases' states, then tier, vector, reason, claims, the picture of the chain, the next state. */
#include "appraise/judge.h"

#define BP_MODULE APPRAISE

/* What explains the boot and its programs must still be accepted. When it is not, both logs are asked for again: what
 * runs may be explained by another release by now. */
bp_result bp_j_releases(struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->now.releases; i++) {
        const struct bp_ref_release *rel = bp_refset_release(j->refs, j->now.release[i], j->req->zone);
        if (rel == NULL) {
            char hex[BP_J_HEX];
            bp_j_find(j, BP_F_UNKNOWN_RELEASE, i, bp_j_short_hex(j->now.release[i], hex));
            j->is_stale = true;
        } else if (rel->state == BP_RELEASE_WITHDRAWN) {
            bp_j_find(j, BP_F_WITHDRAWN, i, rel->name);
            j->is_stale = true;
        } else if (rel->state == BP_RELEASE_DEPRECATED) {
            bp_j_find(j, BP_F_DEPRECATED, i, rel->name);
        }
    }
    if (j->is_too_much) {
        bp_j_find_too_much(j);
    }
    return BP_OK;
}

/* --- tier and vector --- */

static void set_tier(struct bp_judge *j)
{
    struct bp_appraisal *a = j->ret;
    bool has[BP_FX_REFUSE + 1] = {false};
    for (uint32_t i = 0; i < a->findings; i++) {
        has[bp_finding_row(a->finding[i].id).effect] = true;
    }
    if (has[BP_FX_CONTRA]) {
        a->tier = BP_TIER_CONTRAINDICATED;
    } else if (has[BP_FX_NONE]) {
        a->tier = BP_TIER_NONE;
    } else {
        a->tier = has[BP_FX_WARN] ? BP_TIER_WARNING : BP_TIER_AFFIRMING;
    }
}

static bool is_real_hardware(bp_span root_class)
{
    return bp_span_equal(root_class, BP_SPAN_STR("discrete")) || bp_span_equal(root_class, BP_SPAN_STR("firmware"));
}

static void set_vector(struct bp_judge *j)
{
    struct bp_appraisal *a = j->ret;
    a->vector[BP_AR_INSTANCE_IDENTITY] = BP_TIER_AFFIRMING;
    a->vector[BP_AR_CONFIGURATION] = j->is_compared ? BP_TIER_AFFIRMING : BP_TIER_NONE;
    a->vector[BP_AR_EXECUTABLES] = a->vector[BP_AR_CONFIGURATION];
    a->vector[BP_AR_FILE_SYSTEM] = j->ima == BP_J_IMA_JUDGED ? BP_TIER_AFFIRMING : BP_TIER_NONE;
    /* A virtual or unknown root makes no claim about hardware; it never passes for it. */
    a->vector[BP_AR_HARDWARE] = is_real_hardware(j->req->root_class) ? BP_TIER_AFFIRMING : BP_TIER_NONE;
    for (uint32_t i = a->findings; i-- > 0;) { /* from the mildest to the worst */
        const struct bp_finding_row row = bp_finding_row(a->finding[i].id);
        if (row.effect != BP_FX_NOTE) {
            a->vector[row.claim] = (int8_t)bp_effect_tier(row.effect);
        }
    }
}

/* --- claims --- */

/* A copy in the arena. */
static bp_span keep(struct bp_judge *j, bp_span s)
{
    uint8_t *p = bp_j_take(j, s.n);
    if (p == NULL) {
        return BP_SPAN_EMPTY;
    }
    if (s.n != 0) {
        memcpy(p, s.p, s.n);
    }
    return bp_span_of(p, s.n);
}

static void set_number(struct bp_judge *j, enum bp_claim_id id, uint64_t v)
{
    if (v <= INT64_MAX) {
        j->ret->claim[id] = (struct bp_claim){.is_set = true, .number = (int64_t)v};
    }
}

static void set_bytes(struct bp_judge *j, enum bp_claim_id id, bp_span v)
{
    if (v.n != 0) {
        j->ret->claim[id] = (struct bp_claim){.is_set = true, .bytes = v};
    }
}

/* The release that is named: the best of those that run. */
static const struct bp_ref_release *main_release(const struct bp_judge *j)
{
    const struct bp_ref_release *best = NULL;
    for (uint32_t i = 0; i < j->now.releases; i++) {
        best = bp_j_better(best, bp_refset_release(j->refs, j->now.release[i], j->req->zone));
    }
    return best;
}

static void set_release_claims(struct bp_judge *j, const struct bp_ref_release *rel)
{
    static const char *const state[] = {"", "accepted", "deprecated", "withdrawn"};
    if (rel != NULL) {
        set_bytes(j, BP_C_RELEASE_ID, rel->id);
        set_bytes(j, BP_C_RELEASE_NAME, rel->name);
        set_bytes(j, BP_C_RELEASE_STATE, bp_span_cstr(state[rel->state]));
    }
}

static void set_claims(struct bp_judge *j)
{
    const struct bp_appraise_request *req = j->req;
    const struct bp_device_state *now = &j->now;
    set_bytes(j, BP_C_AGENT_VERSION, j->ev.about.agent);
    set_number(j, BP_C_AS_OF_MS, (uint64_t)req->as_of_ms);
    set_number(j, BP_C_EVIDENCE_AGE_MS, req->now_ms > req->as_of_ms ? (uint64_t)(req->now_ms - req->as_of_ms) : 0);
    set_number(j, BP_C_CLOCK_SAFE, now->safe ? 1 : 0);
    set_number(j, BP_C_RESET_COUNT, now->reset_count);
    set_number(j, BP_C_RESTART_COUNT, now->restart_count);
    set_number(j, BP_C_TPM_CLOCK_MS, now->clock_ms);
    set_number(j, BP_C_TPM_FIRMWARE, j->quote.firmware_version);
    set_bytes(j, BP_C_ROOT_CLASS, req->root_class);
    set_bytes(j, BP_C_ZONE, req->zone);
    set_number(j, BP_C_KEYS_VOUCHED, j->ret->keys);
    if (j->is_boot_judged) {
        set_number(j, BP_C_BOOT_EVENTS, now->boot_events);
        set_number(j, BP_C_BOOT_UNACCEPTED, j->boot_unaccepted);
        set_bytes(j, BP_C_BOOT_LOG, keep(j, BP_SPAN_OF(now->log)));
        if (now->has_secure_boot) {
            set_number(j, BP_C_SECURE_BOOT, now->secure_boot ? 1 : 0);
        }
    }
    if (j->ima == BP_J_IMA_JUDGED) {
        set_number(j, BP_C_IMA_AHEAD, j->ima_ahead);
        set_number(j, BP_C_IMA_ENTRIES, now->ima_count);
        set_number(j, BP_C_IMA_UNKNOWN, now->ima_unknown);
        set_number(j, BP_C_IMA_VIOLATIONS, now->ima_violations);
    }
    set_number(j, BP_C_TIER, j->ret->tier);
}

/* --- the chain --- */

const char *bp_tile_name(enum bp_tile tile)
{
    static const char *const name[BP_TILE_COUNT] = {"root", "firmware", "boot", "system", "programs", "keys"};
    return (unsigned)tile < BP_TILE_COUNT ? name[tile] : "?";
}

static const char *root_gap(bp_span root_class)
{
    if (bp_span_equal(root_class, BP_SPAN_STR("discrete"))) {
        return "That the chip sits on this board, and that nobody listens on its wires";
    }
    if (bp_span_equal(root_class, BP_SPAN_STR("firmware"))) {
        return "That the firmware around the TPM is free of faults: it shares the processor with it";
    }
    if (bp_span_equal(root_class, BP_SPAN_STR("virtual"))) {
        return "Anything about hardware: whoever runs the host can read and copy this virtual TPM";
    }
    if (bp_span_equal(root_class, BP_SPAN_STR("software"))) {
        return "Anything about hardware or what runs: the keys lie in files";
    }
    return "Anything about hardware: the maker of this TPM is not known";
}

static const char *const gaps[BP_TILE_COUNT] = {
    NULL,
    "That the firmware is free of faults; boot order and platform tables are recorded, not judged",
    "That the loader cannot be steered by data that is not measured",
    "What the kernel and its command line do after they were measured",
    "What a program does while it runs; files that are only read; scripts that an accepted interpreter is given",
    "Who may use the keys on the device"};

/* Tier of a link: its worst finding, else affirming where there is evidence for it. */
static uint64_t tile_tier(const struct bp_judge *j, enum bp_tile tile, bool is_judged)
{
    const enum bp_effect worst = j->worst[tile];
    if (worst == BP_FX_NOTE) {
        return is_judged ? BP_TIER_AFFIRMING : BP_TIER_NONE;
    }
    return bp_effect_tier(worst);
}

static void put_tile(struct bp_judge *j, enum bp_tile tile, bool is_judged, const bp_span *parts, size_t count)
{
    struct bp_chain_tile *t = &j->ret->tile[tile];
    t->tier = tile_tier(j, tile, is_judged);
    t->text = bp_j_text(j, parts, count);
    t->does_not_prove =
        bp_span_cstr(tile == BP_TILE_ROOT ? root_gap(j->req->root_class) : gaps[tile]);
}

static void put_programs(struct bp_judge *j)
{
    char n1[BP_J_NUMBER_MAX];
    char n2[BP_J_NUMBER_MAX];
    const bp_span judged[] = {bp_j_number(j->now.ima_count, n1), BP_SPAN_STR(" entries of the kernel's list judged, "),
                              bp_j_number(j->now.ima_unknown, n2), BP_SPAN_STR(" of programs in no accepted release")};
    const bp_span unwanted = BP_SPAN_STR("The release that runs lists no programs, and none are measured");
    const bp_span nothing = BP_SPAN_STR("The kernel's list of programs is not judged");
    if (j->ima == BP_J_IMA_JUDGED) {
        put_tile(j, BP_TILE_PROGRAMS, true, judged, 4);
    } else {
        put_tile(j, BP_TILE_PROGRAMS, false, j->ima == BP_J_IMA_NOT_WANTED ? &unwanted : &nothing, 1);
    }
}

static void put_boot_tiles(struct bp_judge *j, const struct bp_ref_release *rel)
{
    const bp_span nothing = BP_SPAN_STR("The boot log is not judged");
    if (!j->is_compared) {
        for (enum bp_tile t = BP_TILE_FIRMWARE; t <= BP_TILE_SYSTEM; t = (enum bp_tile)(t + 1)) {
            put_tile(j, t, false, &nothing, 1);
        }
        return;
    }
    char n[BP_J_NUMBER_MAX];
    const bp_span firmware[] = {BP_SPAN_STR("Firmware measured itself; Secure Boot is "),
                                !j->now.has_secure_boot ? BP_SPAN_STR("not told")
                                : j->now.secure_boot    ? BP_SPAN_STR("on")
                                                        : BP_SPAN_STR("off")};
    const bp_span boot[] = {BP_SPAN_STR("Boot log of "), bp_j_number(j->now.boot_events, n),
                            BP_SPAN_STR(" events leads to the signed PCRs")};
    const bp_span system[] = {rel != NULL ? BP_SPAN_STR("Release ") : BP_SPAN_STR("No accepted release runs whole"),
                              rel != NULL ? rel->name : BP_SPAN_EMPTY,
                              rel != NULL ? BP_SPAN_STR(" runs") : BP_SPAN_EMPTY};
    put_tile(j, BP_TILE_FIRMWARE, true, firmware, 2);
    put_tile(j, BP_TILE_BOOT, true, boot, 3);
    put_tile(j, BP_TILE_SYSTEM, true, system, 3);
}

static void put_chain(struct bp_judge *j, const struct bp_ref_release *rel)
{
    char n[BP_J_NUMBER_MAX];
    const bp_span root[] = {BP_SPAN_STR("Attestation key held by a TPM of class "), j->req->root_class};
    const bp_span keys[] = {bp_j_number(j->ret->keys, n), BP_SPAN_STR(" keys proven to be held by the TPM")};
    const bp_span session = BP_SPAN_STR("The session's key is the one that the quote names");
    put_tile(j, BP_TILE_ROOT, true, root, 2);
    put_boot_tiles(j, rel);
    put_programs(j);
    put_tile(j, BP_TILE_KEYS, true, j->ret->keys != 0 ? keys : &session, j->ret->keys != 0 ? 2 : 1);
}

/* --- reason and state --- */

static void set_reason(struct bp_judge *j, const struct bp_ref_release *rel)
{
    const struct bp_appraisal *a = j->ret;
    if (a->tier == BP_TIER_AFFIRMING) {
        const bp_span parts[] = {BP_SPAN_STR("Genuine, and runs release "), rel != NULL ? rel->name : BP_SPAN_EMPTY};
        j->ret->reason = bp_j_text(j, parts, 2);
    } else {
        j->ret->reason = a->findings != 0 ? a->finding[0].text : BP_SPAN_EMPTY;
    }
}

static bp_result put_state(struct bp_judge *j)
{
    bp_wr *arena = &j->arena;
    size_t n = 0;
    BP_TRY(bp_device_state_write(&j->now, arena->p + arena->n, arena->cap - arena->n, &n));
    j->ret->state = bp_span_of(arena->p + arena->n, n);
    arena->n += n;
    return BP_OK;
}

bp_result bp_j_result(struct bp_judge *j)
{
    struct bp_appraisal *a = j->ret;
    const struct bp_ref_release *rel = main_release(j);
    a->accepted = true;
    set_tier(j);
    set_vector(j);
    set_reason(j, rel);
    set_claims(j);
    set_release_claims(j, rel);
    put_chain(j, rel);
    if (j->is_stale) {
        j->now.has_log = false;
        j->now.ima_count = 0;
    }
    a->has_log = j->now.has_log;
    memcpy(a->held_log, j->now.log, sizeof a->held_log);
    a->held_ima = j->now.ima_count;
    a->releases = j->now.releases;
    for (uint32_t i = 0; i < j->now.releases; i++) {
        a->release[i] = keep(j, j->now.release[i]);
    }
    return put_state(j);
}
