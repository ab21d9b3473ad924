/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/judge - findings, texts and small questions of the steps. */
#include "appraise/judge.h"

#define BP_MODULE APPRAISE

/* --- arena --- */

uint8_t *bp_j_take(struct bp_judge *j, size_t n)
{
    bp_wr *a = &j->arena;
    if (n > a->cap - a->n) {
        bp_wr_fail(a, BP_FAIL(NO_SPACE));
        return NULL;
    }
    uint8_t *p = a->p + a->n;
    a->n += n;
    return p;
}

static bool is_clean(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        const bool is_c1 = s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0;
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || is_c1) {
            return false;
        }
    }
    return bp_is_utf8(s);
}

/* Appends part to out; what must not be shown becomes '?'. Cut at `cap`, never inside a character. */
static size_t put_clean(uint8_t *out, size_t n, size_t cap, bp_span part)
{
    const bool clean = is_clean(part);
    size_t k = part.n < cap - n ? part.n : cap - n;
    while (clean && k < part.n && k > 0 && (part.p[k] & 0xc0) == 0x80) {
        k--;
    }
    for (size_t i = 0; i < k; i++) {
        const uint8_t b = part.p[i];
        out[n + i] = clean || (b >= 0x20 && b < 0x7f) ? b : (uint8_t)'?';
    }
    return n + k;
}

bp_span bp_j_text(struct bp_judge *j, const bp_span *parts, size_t count)
{
    uint8_t text[BP_APPRAISAL_TEXT_MAX];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n = put_clean(text, n, sizeof text, parts[i]);
    }
    uint8_t *p = bp_j_take(j, n);
    if (p == NULL) {
        return BP_SPAN_EMPTY;
    }
    memcpy(p, text, n);
    return bp_span_of(p, n);
}

bp_span bp_j_number(uint64_t v, char room[BP_J_NUMBER_MAX])
{
    size_t at = BP_J_NUMBER_MAX;
    do {
        room[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return bp_span_of(room + at, BP_J_NUMBER_MAX - at);
}

bp_span bp_j_short_hex(bp_span digest, char room[BP_J_HEX])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < digest.n && n < BP_J_HEX; i++) {
        room[n++] = hex[digest.p[i] >> 4];
        room[n++] = hex[digest.p[i] & 15];
    }
    return bp_span_of(room, n);
}

/* --- findings --- */

static enum bp_tile tile_of(enum bp_finding_id id)
{
    const struct bp_finding_row row = bp_finding_row(id);
    if (id >= BP_F_KEY_FORM && id <= BP_F_KEY_BOOT) {
        return BP_TILE_KEYS;
    }
    if (row.claim == BP_AR_FILE_SYSTEM) {
        return BP_TILE_PROGRAMS;
    }
    if (row.claim == BP_AR_CONFIGURATION) {
        return BP_TILE_FIRMWARE;
    }
    return row.claim == BP_AR_EXECUTABLES ? BP_TILE_SYSTEM : BP_TILE_ROOT;
}

enum bp_tile bp_j_tile_of_pcr(uint32_t pcr)
{
    if (pcr < 4 || pcr == 6 || pcr == 7) {
        return BP_TILE_FIRMWARE;
    }
    return pcr < 6 ? BP_TILE_BOOT : BP_TILE_SYSTEM;
}

/* How bad an effect is for the whole: what is not judged weighs more than a warning. */
static unsigned rank(enum bp_effect effect)
{
    static const unsigned ranks[] = {
        [BP_FX_NOTE] = 0, [BP_FX_WARN] = 1, [BP_FX_NONE] = 2, [BP_FX_CONTRA] = 3, [BP_FX_REFUSE] = 4};
    return ranks[effect];
}

static unsigned rank_of(const struct bp_finding *f)
{
    return rank(bp_finding_row(f->id).effect);
}

/* Worst first, and in the order in which they were found; `cap` of them, the mildest fall out. */
static void put_finding(struct bp_judge *j, const struct bp_finding *f, enum bp_tile tile, uint32_t cap)
{
    struct bp_appraisal *a = j->ret;
    const enum bp_effect effect = bp_finding_row(f->id).effect;
    if (rank(effect) > rank(j->worst[tile])) {
        j->worst[tile] = effect;
    }
    j->is_refused = j->is_refused || effect == BP_FX_REFUSE;
    uint32_t at = a->findings;
    while (at > 0 && rank_of(&a->finding[at - 1]) < rank(effect)) {
        at--;
    }
    if (a->findings == cap) {
        j->is_too_much = true;
        if (at == a->findings) {
            return;
        }
        a->findings--;
    }
    memmove(&a->finding[at + 1], &a->finding[at], (a->findings - at) * sizeof a->finding[0]);
    a->finding[at] = *f;
    a->findings++;
}

/* One place is kept for saying that there was no place. */
#define FINDINGS_CAP (BP_APPRAISAL_FINDINGS_MAX - 1u)

static bp_span text_of(struct bp_judge *j, enum bp_finding_id id, bp_span detail)
{
    const bp_span text = bp_span_cstr(bp_finding_row(id).text);
    size_t at = 0;
    while (at + 1 < text.n && !(text.p[at] == '{' && text.p[at + 1] == '}')) {
        at++;
    }
    if (at + 1 >= text.n) {
        return bp_j_text(j, &text, 1);
    }
    const bp_span parts[] = {bp_span_sub(text, 0, at), detail, bp_span_sub(text, at + 2, text.n - at - 2)};
    return bp_j_text(j, parts, 3);
}

/* A path may have 4,096 bytes: its end tells more than its beginning, and the sentence must fit around it. */
#define DETAIL_MAX 320u

static bp_span short_detail(bp_span detail)
{
    if (detail.n <= DETAIL_MAX) {
        return detail;
    }
    size_t from = detail.n - DETAIL_MAX;
    while (from < detail.n && (detail.p[from] & 0xc0) == 0x80) {
        from++;
    }
    return bp_span_sub(detail, from, detail.n - from);
}

void bp_j_find_tile(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail, enum bp_tile tile)
{
    const struct bp_finding f = {.id = id, .text = text_of(j, id, short_detail(detail)), .at = at};
    put_finding(j, &f, tile, FINDINGS_CAP);
}

void bp_j_find(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail)
{
    bp_j_find_tile(j, id, at, detail, tile_of(id));
}

void bp_j_find_number(struct bp_judge *j, enum bp_finding_id id, uint64_t at, uint64_t number)
{
    char room[BP_J_NUMBER_MAX];
    bp_j_find(j, id, at, bp_j_number(number, room));
}

void bp_j_find_again(struct bp_judge *j, const struct bp_finding *f)
{
    put_finding(j, f, tile_of(f->id), FINDINGS_CAP);
}

void bp_j_find_too_much(struct bp_judge *j)
{
    const struct bp_finding f = {.id = BP_F_TOO_MUCH, .text = bp_span_cstr(bp_finding_row(BP_F_TOO_MUCH).text)};
    put_finding(j, &f, tile_of(BP_F_TOO_MUCH), BP_APPRAISAL_FINDINGS_MAX);
}

static bool is_sticky(const struct bp_device_state *s, const struct bp_finding *f)
{
    for (uint32_t i = 0; i < s->sticky; i++) {
        if (s->sticky_finding[i].id == f->id && bp_span_equal(s->sticky_finding[i].text, f->text)) {
            return true;
        }
    }
    return false;
}

void bp_j_find_sticky(struct bp_judge *j, enum bp_finding_id id, uint64_t at, bp_span detail)
{
    const struct bp_finding f = {.id = id, .text = text_of(j, id, short_detail(detail)), .at = at};
    if (is_sticky(&j->now, &f)) {
        return; /* the same program again, or the list read again from its start */
    }
    put_finding(j, &f, tile_of(id), FINDINGS_CAP);
    if (j->now.sticky < BP_STATE_STICKY_MAX) { /* one is enough to keep the device red; the counters have all */
        j->now.sticky_finding[j->now.sticky++] = f;
    }
}

/* --- PCRs --- */

bp_span bp_j_pcr(bp_span pcrs, uint32_t pcr)
{
    size_t at = 0;
    for (uint32_t i = 0; i < pcr; i++) {
        at += (BP_APPRAISE_PCRS >> i & 1u) != 0 ? BP_SHA256_SIZE : 0u;
    }
    return bp_span_sub(pcrs, at, BP_SHA256_SIZE);
}

bool bp_j_same_boot_pcrs(bp_span a, bp_span b)
{
    const size_t ima = BP_IMA_PCR * BP_SHA256_SIZE; /* PCRs 0 to 9 stand before it */
    if (a.n != BP_J_PCR_BYTES || b.n != BP_J_PCR_BYTES) {
        return false;
    }
    const size_t rest = ima + BP_SHA256_SIZE;
    return bp_span_equal(bp_span_sub(a, 0, ima), bp_span_sub(b, 0, ima)) &&
           bp_span_equal(bp_span_sub(a, rest, a.n - rest), bp_span_sub(b, rest, b.n - rest));
}

/* --- releases --- */

const struct bp_ref_release *bp_j_better(const struct bp_ref_release *a, const struct bp_ref_release *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (a->state != b->state) {
        return a->state < b->state ? a : b;
    }
    if (a->group_count != b->group_count) {
        return a->group_count > b->group_count ? a : b;
    }
    return a > b ? a : b; /* both stand in the set's array */
}

bool bp_j_explains(const struct bp_judge *j, bp_span release_id)
{
    for (uint32_t i = 0; i < j->now.releases; i++) {
        if (bp_span_equal(j->now.release[i], release_id)) {
            return true;
        }
    }
    return false;
}

void bp_j_explain(struct bp_judge *j, const struct bp_ref_release *release)
{
    if (bp_j_explains(j, release->id)) {
        return;
    }
    if (j->now.releases == BP_STATE_RELEASES_MAX) {
        j->is_too_much = true;
        return;
    }
    j->now.release[j->now.releases++] = release->id;
}
