/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/ima - the kernel's list of programs: continued from the point that was proven, up to the signed PCR 10.
 *
 * Entries past the quote are not looked at (the list runs ahead of it); they come again next time, and until the list
 * leads to the signed value there is no verdict on programs. */
#include "appraise/judge.h"

#define BP_MODULE APPRAISE

static bool is_zero(bp_span s)
{
    uint8_t any = 0;
    for (size_t i = 0; i < s.n; i++) {
        any |= s.p[i];
    }
    return any == 0;
}

/* Whether a release that runs lists programs. One that lists none says nothing of them, and no claim is made. */
static bool wants_programs(const struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->refs->releases; i++) {
        if (j->refs->release[i].programs != 0 && bp_refset_is_zone(&j->refs->release[i], j->req->zone) &&
            bp_j_explains(j, j->refs->release[i].id)) {
            return true;
        }
    }
    return false;
}

/* Passes over entries that were proven before and are sent again because an answer was lost. They are not judged: the
 * list counts only from the proven point on. NOT_FOUND when fewer were sent. */
static bp_result skip(bp_span *list, uint64_t from, uint64_t count)
{
    struct bp_ima ima = bp_ima_open(*list, (uint32_t)from);
    struct bp_ima_entry entry;
    for (uint64_t i = from; i < count; i++) {
        BP_TRY(bp_ima_next(&ima, &entry));
    }
    *list = bp_span_sub(*list, ima.at, list->n - ima.at);
    return BP_OK;
}

/* Where the sent list is taken up: the start of the boot, or the proven point. false: it does neither. */
static bool take_up(struct bp_judge *j, struct bp_ima_point *ret, bp_span *ret_list)
{
    const struct bp_device_state *now = &j->now;
    *ret = bp_ima_point_zero();
    *ret_list = j->ev.ima;
    if (now->ima_count == 0) {
        return j->ev.ima_from == 0;
    }
    if (j->ev.ima_from > now->ima_count || bp_failed(skip(ret_list, j->ev.ima_from, now->ima_count))) {
        return false;
    }
    ret->count = (uint32_t)now->ima_count;
    memcpy(ret->pcr, now->ima_pcr, BP_SHA256_SIZE);
    return true;
}

static void find_gap(struct bp_judge *j)
{
    char n1[BP_J_NUMBER_MAX];
    char n2[BP_J_NUMBER_MAX];
    const bp_span parts[] = {BP_SPAN_STR("it begins at entry "), bp_j_number(j->ev.ima_from, n1),
                             BP_SPAN_STR(", the server has "), bp_j_number(j->now.ima_count, n2)};
    bp_j_find(j, BP_F_IMA_GAP, j->ev.ima_from, bp_j_text(j, parts, 4));
}

/* boot_aggregate is the hash of PCRs 0 to 9 as they were when the kernel began its list (kernels from 5.8 on); it ties
 * the list to the boot that the same quote states. */
static bp_result check_aggregate(struct bp_judge *j, const struct bp_ima_entry *first, bool *ret_good)
{
    uint8_t want[BP_SHA256_SIZE];
    BP_TRY(bp_hash(j->c, BP_HASH_SHA256, bp_span_of(j->pcrs, BP_IMA_PCR * BP_SHA256_SIZE), want));
    *ret_good = !first->violation && bp_span_equal(first->path, BP_SPAN_STR("boot_aggregate")) &&
                first->file_alg == BP_TPM_ALG_SHA256 && bp_span_equal(first->file_digest, BP_SPAN_OF(want));
    if (!*ret_good) {
        bp_j_find(j, BP_F_IMA_AGGREGATE, first->index, BP_SPAN_EMPTY);
    }
    return BP_OK;
}

/* The best release of the zone that has the file; one that already explains what runs comes first. */
static const struct bp_ref_release *owner_of(const struct bp_judge *j, const struct bp_ima_entry *entry)
{
    const struct bp_ref_release *best = NULL;
    if (entry->file_alg != BP_TPM_ALG_SHA256) {
        return NULL;
    }
    for (uint32_t i = bp_refset_find(j->refs, entry->file_digest);
         i < j->refs->entries && bp_span_equal(j->refs->entry[i].digest, entry->file_digest); i++) {
        const struct bp_ref_release *rel = &j->refs->release[j->refs->entry[i].release];
        if (j->refs->entry[i].kind != BP_REF_IMA || !bp_refset_is_zone(rel, j->req->zone)) {
            continue;
        }
        if (bp_j_explains(j, rel->id)) {
            return rel;
        }
        best = bp_j_better(best, rel);
    }
    return best;
}

static void judge_entry(struct bp_judge *j, const struct bp_ima_entry *entry)
{
    if (entry->violation) {
        j->now.ima_violations++;
        bp_j_find_sticky(j, BP_F_IMA_VIOLATION, entry->index, entry->path);
        return;
    }
    const struct bp_ref_release *rel = owner_of(j, entry);
    if (rel != NULL && (rel->state != BP_RELEASE_WITHDRAWN || bp_j_explains(j, rel->id))) {
        bp_j_explain(j, rel);
        return;
    }
    j->now.ima_unknown++;
    bp_j_find_sticky(j, rel != NULL ? BP_F_IMA_WITHDRAWN : BP_F_IMA_PROGRAM, entry->index, entry->path);
}

static uint64_t count_rest(bp_span rest, uint32_t from)
{
    struct bp_ima ima = bp_ima_open(rest, from);
    struct bp_ima_entry entry;
    uint64_t n = 0;
    while (!bp_failed(bp_ima_next(&ima, &entry))) {
        n++;
    }
    return n;
}

/* Judges the entries that were proven now. */
static bp_result judge_list(struct bp_judge *j, const struct bp_ima_point *from, bp_span list,
                            const struct bp_ima_match *match)
{
    struct bp_ima ima = bp_ima_open(bp_span_sub(list, 0, match->bytes), from->count);
    struct bp_ima_entry entry;
    bool is_good = true;
    if (from->count == 0) {
        j->now.ima_unknown = 0; /* read again from its start: counted again */
        j->now.ima_violations = 0;
    }
    while (is_good && !bp_failed(bp_ima_next(&ima, &entry))) {
        if (entry.index == 0) {
            BP_TRY(check_aggregate(j, &entry, &is_good));
        } else {
            judge_entry(j, &entry);
        }
    }
    if (!is_good) {
        return BP_OK;
    }
    j->now.ima_count = match->point.count;
    memcpy(j->now.ima_pcr, match->point.pcr, BP_SHA256_SIZE);
    j->ima = BP_J_IMA_JUDGED;
    /* With our policy the list names the program that made the quote, at least. */
    if (j->now.ima_count == 1) {
        bp_j_find(j, BP_F_IMA_POLICY, 0, BP_SPAN_EMPTY);
    }
    j->ima_ahead = count_rest(bp_span_sub(list, match->bytes, list.n - match->bytes), match->point.count);
    if (j->ima_ahead != 0) {
        bp_j_find_number(j, BP_F_IMA_AHEAD, match->point.count, j->ima_ahead);
    }
    return BP_OK;
}

static bp_result read_list(struct bp_judge *j, bp_span pcr10)
{
    struct bp_ima_point from;
    struct bp_ima_match match = {.bytes = 0};
    bp_span list;
    if (!take_up(j, &from, &list)) {
        find_gap(j);
        return BP_OK;
    }
    const bp_result r = bp_ima_replay(j->c, BP_HASH_SHA256, &from, list, pcr10, &match);
    if (!bp_failed(r)) {
        return judge_list(j, &from, list, &match);
    }
    if (bp_is(r, BP_E_CRYPTO) || bp_is(r, BP_E_BAD_ARGUMENT)) {
        return r;
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        bp_j_find(j, BP_F_IMA_REPLAY, match.bad_index, BP_SPAN_EMPTY);
    } else {
        bp_j_find_number(j, bp_is(r, BP_E_MISMATCH) ? BP_F_IMA_DATA : BP_F_IMA_FORM, match.bad_index, match.bad_index);
    }
    return BP_OK;
}

/* What was found before in this boot and does not go away by silence. */
static void find_sticky_again(struct bp_judge *j)
{
    for (uint32_t i = 0; i < j->now.sticky; i++) {
        bp_j_find_again(j, &j->now.sticky_finding[i]);
    }
}

bp_result bp_j_ima(struct bp_judge *j)
{
    find_sticky_again(j);
    /* Without the boot in order the kernel that keeps the list is not known. */
    if (!j->has_pcrs || !j->now.has_log) {
        return BP_OK;
    }
    const bp_span pcr10 = bp_j_pcr(bp_span_of(j->pcrs, sizeof j->pcrs), BP_IMA_PCR);
    if (is_zero(pcr10)) {
        j->now.ima_count = 0;
        j->ima = BP_J_IMA_NOT_WANTED;
        if (wants_programs(j)) {
            bp_j_find(j, BP_F_IMA_ABSENT, 0, BP_SPAN_EMPTY);
        }
        return BP_OK;
    }
    if (j->now.ima_count != 0 && bp_span_equal(pcr10, BP_SPAN_OF(j->now.ima_pcr))) {
        j->ima = BP_J_IMA_JUDGED; /* nothing was measured since; a list that was sent is past the quote */
        if (j->now.ima_count == 1) {
            bp_j_find(j, BP_F_IMA_POLICY, 0, BP_SPAN_EMPTY);
        }
        return BP_OK;
    }
    if (!j->ev.has_ima) {
        bp_j_find(j, BP_F_IMA_MISSING, j->now.ima_count, BP_SPAN_EMPTY);
        return BP_OK;
    }
    return read_list(j, pcr10);
}
