/* SPDX-License-Identifier: Apache-2.0 */
/* core/replay - extends, over again. */
#include "core/replay.h"

#define BP_MODULE      CORE

#define PCR_DRTM_FIRST 17u
#define PCR_DRTM_LAST  22u

bp_result bp_pcrs_init(enum bp_hash_alg alg, uint8_t startup_locality, struct bp_pcrs *ret)
{
    const size_t n = bp_hash_size(alg);
    if (n == 0 || n > BP_HASH_MAX) {
        return BP_FAIL(UNSUPPORTED);
    }
    memset(ret, 0, sizeof *ret);
    ret->alg = alg;
    for (size_t i = PCR_DRTM_FIRST; i <= PCR_DRTM_LAST; i++) {
        memset(ret->v[i], 0xff, n);
    }
    ret->v[0][n - 1] = startup_locality;
    return BP_OK;
}

bp_result bp_pcrs_extend(struct bp_crypto *c, struct bp_pcrs *pcrs, uint32_t pcr, bp_span digest)
{
    const size_t n = bp_hash_size(pcrs->alg);
    if (pcr >= BP_TPM_PCRS || digest.n != n) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span parts[] = {bp_span_of(pcrs->v[pcr], n), digest};
    uint8_t out[BP_HASH_MAX];
    BP_TRY(bp_hash_parts(c, pcrs->alg, parts, 2, out));
    memcpy(pcrs->v[pcr], out, n);
    pcrs->extended |= 1u << pcr;
    return BP_OK;
}

bp_span bp_pcrs_value(const struct bp_pcrs *pcrs, uint32_t pcr)
{
    return pcr < BP_TPM_PCRS ? bp_span_of(pcrs->v[pcr], bp_hash_size(pcrs->alg)) : BP_SPAN_EMPTY;
}

struct bp_ima_point bp_ima_point_zero(void)
{
    return (struct bp_ima_point){.count = 0};
}

/* What the kernel extended the bank with, after checking that the list's digest is that of its
 * data. */
static bp_result template_digest(struct bp_crypto *c, enum bp_hash_alg alg,
                                 const struct bp_ima_entry *entry, uint8_t ret[BP_HASH_MAX])
{
    if (entry->violation) {
        memset(ret, 0xff, BP_HASH_MAX);
        return BP_OK;
    }
    bp_span parts[BP_IMA_PARTS_MAX];
    const size_t count = bp_ima_hash_parts(entry, parts);
    uint8_t sha1[BP_HASH_MAX];
    BP_TRY(bp_hash_parts(c, BP_HASH_SHA1, parts, count, sha1));
    if (!bp_span_equal(bp_span_of(sha1, BP_IMA_DIGEST_SIZE), entry->template_digest)) {
        return BP_FAIL(MISMATCH);
    }
    /* Kernels from 5.8 on hash the data again for each bank; older ones extended the SHA-1 digest
     * padded with zeros, which this refuses to match: those banks carry SHA-1's strength under
     * another name. */
    return bp_hash_parts(c, alg, parts, count, ret);
}

bp_result bp_ima_extend(struct bp_crypto *c, enum bp_hash_alg alg, struct bp_ima_point *point,
                        const struct bp_ima_entry *entry)
{
    const size_t n = bp_hash_size(alg);
    if (entry->index != point->count || n == 0 || n > BP_HASH_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    uint8_t digest[BP_HASH_MAX];
    BP_TRY(template_digest(c, alg, entry, digest));
    const bp_span parts[] = {bp_span_of(point->pcr, n), bp_span_of(digest, n)};
    uint8_t out[BP_HASH_MAX];
    BP_TRY(bp_hash_parts(c, alg, parts, 2, out));
    memcpy(point->pcr, out, n);
    point->count++;
    return BP_OK;
}

bp_result bp_ima_replay(struct bp_crypto *c, enum bp_hash_alg alg, const struct bp_ima_point *from,
                        bp_span list, bp_span quoted, struct bp_ima_match *ret)
{
    struct bp_ima_point point = *from;
    struct bp_ima ima = bp_ima_open(list, from->count);
    const size_t n = bp_hash_size(alg);
    bp_result r = n != 0 && quoted.n == n ? BP_OK : BP_FAIL(BAD_ARGUMENT);
    while (!bp_failed(r) && !bp_span_equal(bp_span_of(point.pcr, n), quoted)) {
        struct bp_ima_entry entry;
        r = bp_ima_next(&ima, &entry);
        if (!bp_failed(r)) {
            r = bp_ima_extend(c, alg, &point, &entry);
        }
    }
    if (bp_failed(r)) {
        ret->bad_index = point.count;
        return r;
    }
    *ret = (struct bp_ima_match){
        .point = point, .bytes = ima.at, .entries = point.count - from->count};
    return BP_OK;
}
