/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/boot - PCR values and the boot log: replayed against what the TPM signed, then judged event by event
 * against the releases of the zone. */
#include "appraise/bootrule.h"
#include "appraise/judge.h"

#define BP_MODULE   APPRAISE

#define COMPONENTS_MAX 6u /* findings on components in one verdict; all are counted */
#define FIRMWARE_PCRS  4u /* 0-3: what comes after the separator is not the firmware's */

/* --- PCR values --- */

static bp_span values(const struct bp_judge *j)
{
    return bp_span_of(j->pcrs, j->has_pcrs ? sizeof j->pcrs : 0);
}

static bool gather(const struct bp_evidence *ev, uint8_t ret[BP_J_PCR_BYTES])
{
    bool is_good = ev->pcrs == BP_APPRAISE_PCR_COUNT;
    for (uint32_t i = 0; is_good && i < ev->pcrs; i++) {
        is_good = ev->pcr[i].n == BP_SHA256_SIZE;
        if (is_good) {
            memcpy(ret + (size_t)i * BP_SHA256_SIZE, ev->pcr[i].p, BP_SHA256_SIZE);
        }
    }
    return is_good;
}

/* Values are believed because their digest is the signed one. */
static bp_result check_sent(struct bp_judge *j)
{
    uint8_t digest[BP_HASH_MAX];
    if (!gather(&j->ev, j->pcrs)) {
        bp_j_find(j, BP_F_PCR_DIGEST, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    BP_TRY(bp_tpm_pcr_digest(j->c, j->sig.hash, &j->quote.pcrs, BP_SPAN_OF(j->pcrs), digest));
    if (!bp_span_equal(bp_span_of(digest, BP_SHA256_SIZE), j->quote.pcr_digest)) {
        bp_j_find(j, BP_F_PCR_DIGEST, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    j->has_pcrs = true;
    return BP_OK;
}

bp_result bp_j_pcrs(struct bp_judge *j)
{
    if (j->ev.has_pcrs) {
        BP_TRY(check_sent(j));
    } else if (j->has_old && j->old.pcrs.n == BP_J_PCR_BYTES &&
               bp_span_equal(j->quote.pcr_digest, BP_SPAN_OF(j->old.pcr_digest))) {
        memcpy(j->pcrs, j->old.pcrs.p, BP_J_PCR_BYTES);
        j->has_pcrs = true;
    } else {
        bp_j_find(j, BP_F_PCRS_MISSING, 0, BP_SPAN_EMPTY);
    }
    if (j->has_pcrs) {
        memcpy(j->now.pcr_digest, j->quote.pcr_digest.p, BP_SHA256_SIZE);
        j->now.pcrs = values(j);
    }
    return BP_OK;
}

/* --- first pass: is it this boot's log, and what does it hold --- */

struct boot {
    struct bp_bootlog bl;
    uint8_t rule[BP_TCG_EVENTS_MAX];          /* enum bp_boot_rule of each event */
    uint64_t got[BP_REFSET_RELEASES_MAX];     /* required components that are there */
    const struct bp_ref_release *best;        /* while none is whole: the one that is nearest */
    uint32_t errors;                          /* bit n: firmware failed to measure into PCR n */
    uint32_t secure_boot_events;
    bool is_secure;
    bool is_any_whole;
    uint32_t events;
    uint32_t shown;
};

static bool is_whole(const struct bp_judge *j, const struct boot *b, const struct bp_ref_release *rel)
{
    return rel->group_count != 0 && b->got[rel - j->refs->release] == rel->groups;
}

static bool is_here(const struct bp_judge *j, const struct bp_ref_release *rel)
{
    return bp_refset_is_zone(rel, j->req->zone);
}

static const struct bp_ref_entry *entry_at(const struct bp_judge *j, uint32_t i, bp_span digest)
{
    return i < j->refs->entries && bp_span_equal(j->refs->entry[i].digest, digest) ? &j->refs->entry[i] : NULL;
}

/* Marks the required components that this digest stands for. */
static void mark_groups(const struct bp_judge *j, struct boot *b, uint32_t pcr, bp_span digest)
{
    const struct bp_ref_entry *e = NULL;
    for (uint32_t i = bp_refset_find(j->refs, digest); (e = entry_at(j, i, digest)) != NULL; i++) {
        if (e->kind == BP_REF_BOOT && e->pcr == pcr && e->group < BP_REFSET_GROUPS_MAX) {
            b->got[e->release] |= UINT64_C(1) << e->group;
        }
    }
}

static void take_event(const struct bp_judge *j, struct boot *b, const struct bp_boot_event *ev, uint32_t separators)
{
    const enum bp_boot_rule rule = bp_boot_rule_of(ev, separators, NULL);
    const uint32_t pcr = ev->claim.pcr;
    b->rule[ev->raw.index] = (uint8_t)rule;
    b->events += rule != BP_RULE_NONE ? 1u : 0u;
    if (rule == BP_RULE_ERROR) {
        b->errors |= 1u << pcr;
    } else if (rule == BP_RULE_SECURE_BOOT) {
        const bool is_on = ev->claim.value.n == 1 && ev->claim.value.p[0] == 1;
        b->is_secure = is_on && (b->secure_boot_events == 0 || b->is_secure);
        b->secure_boot_events++;
    } else if (rule == BP_RULE_REQUIRED && (pcr >= FIRMWARE_PCRS || (separators & 1u << pcr) == 0)) {
        mark_groups(j, b, pcr, ev->claim.digest);
    }
}

static bool is_ours(bp_result r)
{
    return bp_is(r, BP_E_CRYPTO) || bp_is(r, BP_E_NO_MEMORY) || bp_is(r, BP_E_BAD_ARGUMENT);
}

/* Walks the whole log. *ret_good: it was read to its end and no data of it lies. */
static bp_result walk(struct bp_judge *j, struct boot *b, bool *ret_good)
{
    *ret_good = false;
    bp_result r = bp_bootlog_open(j->ev.boot, BP_HASH_SHA256, &b->bl);
    if (bp_failed(r)) {
        bp_j_find(j, BP_F_BOOT_FORM, 0, bp_is(r, BP_E_NOT_FOUND) ? BP_SPAN_STR("0 (no SHA-256 bank)") : BP_SPAN_STR("0"));
        return is_ours(r) ? r : BP_OK;
    }
    struct bp_boot_event ev;
    for (;;) {
        const uint32_t separators = b->bl.separators;
        r = bp_bootlog_next(j->c, &b->bl, &ev);
        if (bp_failed(r)) {
            break;
        }
        take_event(j, b, &ev, separators);
    }
    if (is_ours(r)) {
        return r;
    }
    const uint32_t at = bp_bootlog_at(&b->bl);
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        bp_j_find_number(j, bp_is(r, BP_E_UNSUPPORTED) ? BP_F_BOOT_UNKNOWN_TYPE : BP_F_BOOT_FORM, at, at);
    } else if (b->bl.lies != 0) {
        bp_j_find_number(j, BP_F_BOOT_LIE, b->bl.first_lie, b->bl.first_lie);
    } else {
        *ret_good = true;
    }
    return BP_OK;
}

/* --- second pass --- */

/* Calls `take` for each event that has a rule to be judged by, in the log's order. The first pass read the same bytes,
 * so nothing can fail here. */
typedef void take_fn(struct bp_judge *j, struct boot *b, const struct bp_tcg_event *ev);

static void each_event(struct bp_judge *j, struct boot *b, take_fn *take)
{
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    bp_result r = bp_tcglog_open(j->ev.boot, &log);
    while (!bp_failed(r)) {
        r = bp_tcglog_next(&log, &ev);
        if (!bp_failed(r)) {
            take(j, b, &ev);
        }
    }
}

static void find_component(struct bp_judge *j, enum bp_finding_id id, const struct bp_tcg_event *ev)
{
    char label[BP_BOOT_LABEL_MAX];
    char hex[BP_J_HEX];
    char number[BP_J_NUMBER_MAX];
    const bp_span parts[] = {BP_SPAN_STR("PCR "),
                             bp_j_number(ev->pcr, number),
                             BP_SPAN_STR(": "),
                             bp_boot_label(ev, label),
                             BP_SPAN_STR(" "),
                             bp_j_short_hex(bp_tcg_digest_of(ev, BP_TPM_ALG_SHA256), hex),
                             BP_SPAN_STR("\xe2\x80\xa6")};
    bp_j_find_tile(j, id, ev->index, bp_j_text(j, parts, sizeof parts / sizeof parts[0]), bp_j_tile_of_pcr(ev->pcr));
}

/* What the releases of the zone know of an event. */
struct known {
    const struct bp_ref_release *whole;     /* the best that runs whole and has it */
    const struct bp_ref_release *partly;    /* the best of the others that has it */
    bool is_nearest;                        /* the nearest release has it */
};

static bool is_match(const struct bp_ref_entry *e, uint8_t rule, uint32_t pcr)
{
    return rule == BP_RULE_VARIABLE ? e->kind == BP_REF_VARIABLE : e->kind == BP_REF_BOOT && e->pcr == pcr;
}

static struct known look_up(const struct bp_judge *j, const struct boot *b, const struct bp_tcg_event *ev)
{
    struct known k = {0};
    const bp_span digest = bp_tcg_digest_of(ev, BP_TPM_ALG_SHA256);
    const struct bp_ref_entry *e = NULL;
    for (uint32_t i = bp_refset_find(j->refs, digest); (e = entry_at(j, i, digest)) != NULL; i++) {
        const struct bp_ref_release *rel = &j->refs->release[e->release];
        if (!is_match(e, b->rule[ev->index], ev->pcr) || !is_here(j, rel)) {
            continue;
        }
        if (is_whole(j, b, rel)) {
            k.whole = bp_j_better(k.whole, rel);
        } else {
            k.partly = bp_j_better(k.partly, rel);
        }
        k.is_nearest = k.is_nearest || rel == b->best;
    }
    return k;
}

static bool is_judged(const struct boot *b, const struct bp_tcg_event *ev)
{
    return b->rule[ev->index] == BP_RULE_REQUIRED || b->rule[ev->index] == BP_RULE_VARIABLE;
}

/* First what nobody accepted: it is the reason for the rest. */
static void take_unknown(struct bp_judge *j, struct boot *b, const struct bp_tcg_event *ev)
{
    if (!is_judged(b, ev)) {
        return;
    }
    const struct known k = look_up(j, b, ev);
    if (k.whole != NULL) {
        bp_j_explain(j, k.whole);
        return;
    }
    const bool is_withdrawn = k.partly != NULL && k.partly->state == BP_RELEASE_WITHDRAWN;
    if (k.partly != NULL && !is_withdrawn) {
        return;
    }
    if (b->rule[ev->index] == BP_RULE_VARIABLE) {
        char label[BP_BOOT_LABEL_MAX];
        bp_j_find(j, BP_F_SECURE_BOOT_KEYS, ev->index, bp_boot_label(ev, label));
        return;
    }
    j->boot_unaccepted++;
    if (b->shown < COMPONENTS_MAX) {
        b->shown++;
        find_component(j, is_withdrawn ? BP_F_BOOT_WITHDRAWN : BP_F_BOOT_COMPONENT, ev);
    }
}

/* Then what some release has that is not the one running. */
static void take_mixed(struct bp_judge *j, struct boot *b, const struct bp_tcg_event *ev)
{
    if (!is_judged(b, ev)) {
        return;
    }
    const struct known k = look_up(j, b, ev);
    const bool is_mixed = k.whole == NULL && k.partly != NULL && k.partly->state != BP_RELEASE_WITHDRAWN;
    if (!is_mixed || (!b->is_any_whole && k.is_nearest)) {
        return;
    }
    if (b->rule[ev->index] == BP_RULE_VARIABLE) {
        char label[BP_BOOT_LABEL_MAX];
        bp_j_find(j, BP_F_SECURE_BOOT_KEYS, ev->index, bp_boot_label(ev, label));
        return;
    }
    j->boot_unaccepted++;
    if (b->shown < COMPONENTS_MAX) {
        b->shown++;
        find_component(j, BP_F_BOOT_MIXED, ev);
    }
}

/* --- findings on the log as a whole --- */

static void name_pcrs(struct bp_judge *j, enum bp_finding_id id, uint32_t mask)
{
    uint32_t first = 0;
    while (first < BP_TPM_PCRS && (mask >> first & 1u) == 0) {
        first++;
    }
    char number[BP_J_NUMBER_MAX];
    const bp_span parts[] = {BP_SPAN_STR("PCR "), bp_j_number(first, number)};
    bp_j_find_tile(j, id, first, bp_j_text(j, parts, 2), bp_j_tile_of_pcr(first));
}

struct diverge {
    uint32_t pcr;
    uint32_t event;
    bool has_event;
    bool is_unknown;
};

/* The first event of the PCR that no release of the zone has; else the last one: the log goes wrong after it. */
static struct diverge first_diverging(const struct bp_judge *j, const struct boot *b, uint32_t pcr)
{
    struct diverge d = {.pcr = pcr};
    struct bp_tcglog log;
    struct bp_tcg_event ev;
    bp_result r = bp_tcglog_open(j->ev.boot, &log);
    while (!bp_failed(r) && !d.is_unknown) {
        r = bp_tcglog_next(&log, &ev);
        if (bp_failed(r) || ev.pcr != pcr || b->rule[ev.index] == BP_RULE_NONE) {
            continue;
        }
        d.event = ev.index;
        d.has_event = true;
        const struct known k = look_up(j, b, &ev);
        d.is_unknown = is_judged(b, &ev) && k.whole == NULL && k.partly == NULL;
    }
    return d;
}

/* PCR and event where the log leaves what the TPM signed, as near as can be told. */
static void find_replay(struct bp_judge *j, const struct boot *b, uint32_t bad)
{
    uint32_t pcr = 0;
    while ((bad >> pcr & 1u) == 0) {
        pcr++;
    }
    const struct diverge d = first_diverging(j, b, pcr);
    char n1[BP_J_NUMBER_MAX];
    char n2[BP_J_NUMBER_MAX];
    const bp_span parts[] = {BP_SPAN_STR("PCR "), bp_j_number(pcr, n1),
                             !d.has_event     ? BP_SPAN_STR(", of which it has no event")
                             : d.is_unknown ? BP_SPAN_STR(", first diverging event ")
                                              : BP_SPAN_STR(", after event "),
                             d.has_event ? bp_j_number(d.event, n2) : BP_SPAN_EMPTY};
    bp_j_find_tile(j, BP_F_BOOT_REPLAY, d.has_event ? d.event : pcr, bp_j_text(j, parts, 4), bp_j_tile_of_pcr(pcr));
}

/* Values of the PCRs that the log speaks for, in a row. */
static bp_span boot_values(const struct bp_judge *j, uint8_t room[BP_J_PCR_BYTES])
{
    size_t n = 0;
    for (uint32_t i = 0; i < BP_TPM_PCRS; i++) {
        if ((BP_J_BOOT_PCRS >> i & 1u) != 0) {
            memcpy(room + n, bp_j_pcr(values(j), i).p, BP_SHA256_SIZE);
            n += BP_SHA256_SIZE;
        }
    }
    return bp_span_of(room, n);
}

static bp_result check_replay(struct bp_judge *j, const struct boot *b, bool *ret_good)
{
    uint8_t room[BP_J_PCR_BYTES];
    uint32_t bad = 0;
    const bp_result r = bp_bootlog_compare(&b->bl, BP_J_BOOT_PCRS, boot_values(j, room), &bad);
    *ret_good = !bp_failed(r);
    if (bp_is(r, BP_E_MISMATCH)) {
        find_replay(j, b, bad);
        return BP_OK;
    }
    return r;
}

/* --- the releases as a whole --- */

static uint32_t bits(uint64_t v)
{
    uint32_t n = 0;
    for (; v != 0; v &= v - 1) {
        n++;
    }
    return n;
}

static bool is_nearer(const struct bp_judge *j, const struct boot *b, const struct bp_ref_release *rel)
{
    if (b->best == NULL) {
        return true;
    }
    const bool is_off = rel->state == BP_RELEASE_WITHDRAWN;
    const bool is_best_off = b->best->state == BP_RELEASE_WITHDRAWN;
    return is_off != is_best_off
               ? is_best_off
               : bits(b->got[rel - j->refs->release]) > bits(b->got[b->best - j->refs->release]);
}

static void find_whole(const struct bp_judge *j, struct boot *b)
{
    for (uint32_t i = 0; i < j->refs->releases; i++) {
        const struct bp_ref_release *rel = &j->refs->release[i];
        if (!is_here(j, rel) || rel->group_count == 0) {
            continue;
        }
        b->is_any_whole = b->is_any_whole || is_whole(j, b, rel);
        if (!is_whole(j, b, rel) && b->got[i] != 0 && is_nearer(j, b, rel)) {
            b->best = rel;
        }
    }
}

static void find_incomplete(struct bp_judge *j, const struct boot *b)
{
    if (b->best == NULL) {
        bp_j_find(j, BP_F_BOOT_INCOMPLETE, 0, BP_SPAN_STR("none has a part of what was started"));
        return;
    }
    const uint64_t missing = b->best->groups & ~b->got[b->best - j->refs->release];
    uint32_t g = 0;
    while ((missing >> g & 1u) == 0) {
        g++;
    }
    char number[BP_J_NUMBER_MAX];
    const bp_span parts[] = {BP_SPAN_STR("of "),  b->best->name,       BP_SPAN_STR(" PCR "), bp_j_number(b->best->group_pcr[g], number),
                             BP_SPAN_STR(": "), b->best->group_name[g], BP_SPAN_STR(" is missing")};
    bp_j_find_tile(j, BP_F_BOOT_INCOMPLETE, b->best->group_pcr[g],
                   bp_j_text(j, parts, sizeof parts / sizeof parts[0]), bp_j_tile_of_pcr(b->best->group_pcr[g]));
}

/* Whether the releases that run, or where none does the ones accepted here, ask for Secure Boot. */
static bool wants_secure_boot(const struct bp_judge *j, const struct boot *b)
{
    for (uint32_t i = 0; i < j->refs->releases; i++) {
        const struct bp_ref_release *rel = &j->refs->release[i];
        if (rel->wants_secure_boot && is_here(j, rel) &&
            (is_whole(j, b, rel) || (!b->is_any_whole && rel->state != BP_RELEASE_WITHDRAWN))) {
            return true;
        }
    }
    return false;
}

static bool is_any_row(const struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->refs->releases; i++) {
        if (is_here(j, &j->refs->release[i])) {
            return true;
        }
    }
    return false;
}

static void check_secure_boot(struct bp_judge *j, const struct boot *b)
{
    j->now.has_secure_boot = b->secure_boot_events != 0;
    j->now.secure_boot = b->is_secure;
    if (!wants_secure_boot(j, b)) {
        return;
    }
    if (!j->now.has_secure_boot) {
        bp_j_find(j, BP_F_SECURE_BOOT_UNKNOWN, 0, BP_SPAN_EMPTY);
    } else if (!b->is_secure) {
        bp_j_find(j, BP_F_SECURE_BOOT_OFF, 0, BP_SPAN_EMPTY);
    }
}

/* The log is this boot's. Judges what it says. */
static void judge_log(struct bp_judge *j, struct boot *b)
{
    const uint32_t missing = BP_BOOT_SEPARATED & ~b->bl.separators;
    const uint32_t before = j->ret->findings;
    if (b->errors != 0) {
        name_pcrs(j, BP_F_BOOT_ERROR, b->errors);
    }
    if (missing != 0) {
        name_pcrs(j, BP_F_BOOT_SEPARATOR, missing);
    }
    j->is_compared = true;
    find_whole(j, b);
    check_secure_boot(j, b);
    each_event(j, b, take_unknown);
    each_event(j, b, take_mixed);
    if (!b->is_any_whole) {
        find_incomplete(j, b);
    }
    j->now.boot_events = b->events;
    j->now.has_log = j->ret->findings == before && !j->is_too_much;
}

static bp_result read_log(struct bp_judge *j)
{
    struct boot b = {.best = NULL};
    bool is_good = false;
    BP_TRY(walk(j, &b, &is_good));
    if (is_good) {
        BP_TRY(check_replay(j, &b, &is_good));
    }
    if (!is_good) {
        return BP_OK;
    }
    j->is_boot_judged = true;
    if (!is_any_row(j)) { /* nothing to judge by: the log will be asked for again */
        j->now.has_secure_boot = b.secure_boot_events != 0;
        j->now.secure_boot = b.is_secure;
        j->now.boot_events = b.events;
        return BP_OK;
    }
    judge_log(j, &b);
    return BP_OK;
}

/* Neither the boot nor its programs are in order as far as the server knows, and it will ask for both lists again.
 * What was found and stays until the next start, stays. */
static void forget_order(struct bp_device_state *now)
{
    now->has_log = false;
    now->ima_count = 0;
    memset(now->ima_pcr, 0, sizeof now->ima_pcr);
    now->releases = 0;
}

static void forget(struct bp_device_state *now)
{
    forget_order(now);
    now->boot_events = 0;
    now->has_secure_boot = false;
    now->secure_boot = false;
}

bp_result bp_j_boot(struct bp_judge *j)
{
    struct bp_device_state *now = &j->now;
    if (bp_refset_count(j->refs, j->req->zone) == 0) {
        bp_j_find(j, BP_F_NO_REFERENCES, 0, j->req->zone);
    }
    if (!j->has_pcrs) {
        return BP_OK; /* said already; what was judged of this boot is kept for when the values come */
    }
    const bool is_held = j->is_same_boot && j->old.has_log && bp_j_same_boot_pcrs(values(j), j->old.pcrs);
    uint8_t digest[BP_SHA256_SIZE] = {0};
    if (j->ev.has_boot) {
        BP_TRY(bp_hash(j->c, BP_HASH_SHA256, j->ev.boot, digest));
    }
    /* An answer may have been lost, and the device sends again what was judged. */
    if (is_held && (!j->ev.has_boot || bp_span_equal(BP_SPAN_OF(digest), BP_SPAN_OF(j->old.log)))) {
        j->is_boot_judged = true;
        j->is_compared = true;
        return BP_OK;
    }
    now->has_log = false;
    if (!is_held) {
        forget(now);
    }
    if (!j->ev.has_boot) {
        bp_j_find(j, BP_F_BOOT_MISSING, 0, BP_SPAN_EMPTY);
        return BP_OK;
    }
    BP_TRY(read_log(j));
    if (!now->has_log) {
        forget_order(now);
    }
    memcpy(now->log, digest, sizeof now->log);
    return BP_OK;
}
