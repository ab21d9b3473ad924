/* SPDX-License-Identifier: Apache-2.0 */
/* core/bootlog - the boot event log, walked for appraisal. */
#include "core/bootlog.h"

#include "core/tpmalg.h"

#define BP_MODULE CORE

bp_result bp_bootlog_open(bp_span log, enum bp_hash_alg alg, struct bp_bootlog *ret)
{
    struct bp_tcglog tcg;
    BP_TRY(bp_tcglog_open(log, &tcg));
    const uint16_t tpm_alg = bp_tpm_alg_of(alg);
    bool has_bank = false;
    for (uint32_t i = 0; i < tcg.banks; i++) {
        has_bank = has_bank || tcg.bank[i].alg == tpm_alg;
    }
    if (!has_bank) {
        return BP_FAIL(NOT_FOUND);
    }
    BP_TRY(bp_pcrs_init(alg, 0, &ret->pcrs)); /* fails before it writes */
    ret->log = tcg;
    ret->alg = alg;
    ret->tpm_alg = tpm_alg;
    ret->lies = 0;
    ret->first_lie = 0;
    ret->separators = 0;
    memset(ret->claims, 0, sizeof ret->claims);
    return BP_OK;
}

uint32_t bp_bootlog_at(const struct bp_bootlog *bl)
{
    return bl->log.next_index;
}

/* Whether the bank's digest is that of one of the parts; ret_which tells which. */
static bp_result find_cover(struct bp_crypto *c, enum bp_hash_alg alg, bp_span digest,
                            const struct bp_tcg_cover *covers, size_t count, size_t *ret_which)
{
    static const uint8_t zero[1];
    for (size_t i = 0; i < count; i++) {
        const bp_span parts[] = {covers[i].part, BP_SPAN_OF(zero)};
        uint8_t out[BP_HASH_MAX];
        BP_TRY(bp_hash_parts(c, alg, parts, covers[i].zero_after ? 2 : 1, out));
        if (bp_span_equal(bp_span_of(out, digest.n), digest)) {
            *ret_which = i;
            return BP_OK;
        }
    }
    return BP_FAIL(NOT_FOUND);
}

static bool is_separator(bp_span data, enum bp_boot_view *ret)
{
    bp_rd rd = bp_rd_over(data);
    const uint32_t v = bp_rd_le32(&rd);
    if (bp_failed(bp_rd_finish(&rd)) || (v != 0 && v != 1 && v != 0xffffffffu)) {
        return false;
    }
    *ret = v == 1 ? BP_BOOT_VIEW_SEPARATOR_ERROR : BP_BOOT_VIEW_SEPARATOR;
    return true;
}

/* What covered data is, by its shape alone: the shapes exclude each other, and the type is not
 * believed. */
static void view(bp_span data, struct bp_boot_claim *claim)
{
    struct bp_tcg_variable v;
    struct bp_tcg_gpt gpt;
    bp_span text;
    if (is_separator(data, &claim->view)) {
        claim->value = data;
    } else if (!bp_failed(bp_tcg_gpt_read(data, &gpt))) {
        claim->view = BP_BOOT_VIEW_GPT;
        claim->value = data;
    } else if (!bp_failed(bp_tcg_action_read(data, &text))) {
        claim->view = BP_BOOT_VIEW_TEXT;
        claim->value = text;
    } else if (!bp_failed(bp_tcg_variable_read(data, &v))) {
        claim->view = BP_BOOT_VIEW_VARIABLE;
        claim->guid = v.guid;
        claim->name = v.name;
        claim->value = v.value;
    }
}

/* Fills cover and claim of an extended event. */
static bp_result judge(struct bp_crypto *c, const struct bp_bootlog *bl, struct bp_boot_event *ev)
{
    ev->extended = true;
    ev->claim = (struct bp_boot_claim){.pcr = ev->raw.pcr,
                                       .digest = bp_tcg_digest_of(&ev->raw, bl->tpm_alg)};
    struct bp_tcg_cover covers[BP_TCG_COVER_MAX];
    const size_t count = bp_tcg_covers(&ev->raw, covers);
    size_t which = 0;
    const bp_result found = find_cover(c, bl->alg, ev->claim.digest, covers, count, &which);
    if (bp_failed(found) && !bp_is(found, BP_E_NOT_FOUND)) {
        return found;
    }
    const bool exact = bp_tcg_class_of(ev->raw.type) == BP_TCG_EXACT;
    if (bp_failed(found)) {
        ev->cover = exact ? BP_BOOT_LIE : BP_BOOT_NOT_COVERED;
        return BP_OK;
    }
    ev->cover = BP_BOOT_COVERED;
    if (covers[which].whole) {
        view(covers[which].part, &ev->claim);
    }
    return BP_OK;
}

/* claims := H(claims || pcr || view || sizes || digest || guid || name || value): sizes first, so
 * that no two lists of spans make the same bytes. */
static bp_result next_claims(struct bp_crypto *c, const struct bp_bootlog *bl,
                             const struct bp_boot_claim *claim, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t head[18];
    bp_wr wr = bp_wr_over(head, sizeof head);
    bp_wr_u8(&wr, (uint8_t)claim->pcr);
    bp_wr_u8(&wr, (uint8_t)claim->view);
    bp_wr_be32(&wr, (uint32_t)claim->digest.n);
    bp_wr_be32(&wr, (uint32_t)claim->guid.n);
    bp_wr_be32(&wr, (uint32_t)claim->name.n);
    bp_wr_be32(&wr, (uint32_t)claim->value.n);
    const bp_span parts[] = {BP_SPAN_OF(bl->claims),
                             bp_wr_span(&wr),
                             claim->digest,
                             claim->guid,
                             claim->name,
                             claim->value};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, sizeof parts / sizeof parts[0], ret);
}

static bp_result take_extended(struct bp_crypto *c, struct bp_bootlog *bl,
                               const struct bp_boot_event *ev)
{
    uint8_t claims[BP_SHA256_SIZE];
    BP_TRY(next_claims(c, bl, &ev->claim, claims));
    BP_TRY(bp_pcrs_extend(c, &bl->pcrs, ev->claim.pcr, ev->claim.digest));
    memcpy(bl->claims, claims, sizeof claims);
    if (ev->claim.view == BP_BOOT_VIEW_SEPARATOR) {
        bl->separators |= 1u << ev->claim.pcr;
    }
    if (ev->cover == BP_BOOT_LIE) {
        bl->first_lie = bl->lies == 0 ? ev->raw.index : bl->first_lie;
        bl->lies++;
    }
    return BP_OK;
}

/* StartupLocality says what PCR 0 held before the first extend; afterwards it would rewrite
 * history. */
static bp_result take_locality(struct bp_bootlog *bl, const struct bp_tcg_event *raw)
{
    uint8_t locality = 0;
    const bp_result r = bp_tcg_startup_locality(raw, &locality);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(r);
    uint8_t *last = &bl->pcrs.v[0][bp_hash_size(bl->alg) - 1];
    if ((bl->pcrs.extended & 1u) != 0 || *last != 0) {
        return BP_FAIL(MALFORMED);
    }
    *last = locality;
    return BP_OK;
}

bp_result bp_bootlog_next(struct bp_crypto *c, struct bp_bootlog *bl, struct bp_boot_event *ret)
{
    const size_t at = bl->log.at;
    struct bp_boot_event ev = {.cover = BP_BOOT_NOT_COVERED};
    bp_result r = bp_tcglog_next(&bl->log, &ev.raw);
    if (bp_failed(r)) {
        return r;
    }
    switch (bp_tcg_class_of(ev.raw.type)) {
    case BP_TCG_NOT_EXTENDED:
        r = take_locality(bl, &ev.raw);
        break;
    case BP_TCG_EXACT:
    case BP_TCG_ANNOTATION:
        r = judge(c, bl, &ev);
        r = bp_failed(r) ? r : take_extended(c, bl, &ev);
        break;
    case BP_TCG_UNKNOWN:
        r = BP_FAIL(UNSUPPORTED);
        break;
    }
    if (bp_failed(r)) {
        bl->log.at = at;
        bl->log.next_index--;
        return r;
    }
    *ret = ev;
    return BP_OK;
}

bp_result bp_bootlog_compare(const struct bp_bootlog *bl, uint32_t mask, bp_span values,
                             uint32_t *ret_bad)
{
    const size_t n = bp_hash_size(bl->alg);
    uint32_t bad = 0;
    bp_rd rd = bp_rd_over(values);
    for (uint32_t i = 0; i < BP_TPM_PCRS; i++) {
        if ((mask & 1u << i) != 0 &&
            !bp_span_equal(bp_rd_bytes(&rd, n), bp_pcrs_value(&bl->pcrs, i))) {
            bad |= 1u << i;
        }
    }
    if (mask >> BP_TPM_PCRS != 0 || bp_failed(bp_rd_finish(&rd))) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (bad != 0) {
        *ret_bad = bad;
        return BP_FAIL(MISMATCH);
    }
    return BP_OK;
}

bp_result bp_boot_ref_check(const struct bp_boot_ref *ref, const struct bp_boot_event *event)
{
    if (ref->pcr != event->claim.pcr || !bp_span_equal(ref->digest, event->claim.digest)) {
        return BP_FAIL(MISMATCH);
    }
    return ref->covered && event->cover != BP_BOOT_COVERED ? BP_FAIL(DENIED) : BP_OK;
}
