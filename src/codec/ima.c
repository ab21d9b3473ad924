/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ima - the kernel's measurement list. */
#include "codec/ima.h"

#define BP_MODULE IMA

#define LEGACY_PATH_SIZE                                                                           \
    256u /* IMA_EVENT_NAME_LEN_MAX + 1: what the "ima" template hashes of a path */

/* Names of hashes as the kernel writes them (crypto/hash_info.c), their TPM_ALG_ID and size. */
static const struct {
    bp_span name;
    uint16_t alg;
    uint16_t size;
} hashes[] = {
    {{(const uint8_t *)"sha1", 4}, 0x0004, 20},
    {{(const uint8_t *)"sha256", 6}, 0x000b, 32},
    {{(const uint8_t *)"sha384", 6}, 0x000c, 48},
    {{(const uint8_t *)"sha512", 6}, 0x000d, 64},
};

#define HASH_COUNT (sizeof hashes / sizeof hashes[0])

struct bp_ima bp_ima_open(bp_span list, uint32_t first_index)
{
    return (struct bp_ima){.list = list, .at = 0, .next_index = first_index};
}

static bool is_zero(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool has_zero(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == 0) {
            return true;
        }
    }
    return false;
}

/* A field of template data: size u32, bytes. */
static bp_span get_field(bp_rd *rd)
{
    return bp_rd_bytes(rd, bp_rd_le32(rd));
}

/* d-ng: algorithm name, colon, zero byte, digest. */
static void get_digest_ng(bp_rd *rd, struct bp_ima_entry *e)
{
    const bp_span field = get_field(rd);
    for (size_t i = 0; i < HASH_COUNT; i++) {
        const size_t n = hashes[i].name.n;
        if (field.n > n + 2 && memcmp(field.p, hashes[i].name.p, n) == 0 && field.p[n] == ':' &&
            field.p[n + 1] == 0) {
            e->file_alg = hashes[i].alg;
            e->file_digest = bp_span_sub(field, n + 2, field.n - n - 2);
            /* A violation carries zeros of the default hash's size, whatever the algorithm named
             * is. */
            if (e->file_digest.n != hashes[i].size && !e->violation) {
                bp_rd_fail(rd, BP_FAIL(MALFORMED));
            }
            return;
        }
    }
    bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
}

/* n-ng: the path and its closing zero; there is no other zero in it. */
static void get_path_ng(bp_rd *rd, struct bp_ima_entry *e)
{
    const bp_span field = get_field(rd);
    if (field.n > BP_IMA_PATH_MAX + 1) {
        bp_rd_fail(rd, BP_FAIL(LIMIT));
        return;
    }
    if (field.n == 0 || field.p[field.n - 1] != 0 || has_zero(bp_span_sub(field, 0, field.n - 1))) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    e->path = bp_span_sub(field, 0, field.n - 1);
}

static void get_fields(bp_rd *list, struct bp_ima_entry *e)
{
    const size_t n = bp_rd_le32(list);
    if (n > BP_IMA_DATA_MAX) {
        bp_rd_fail(list, BP_FAIL(LIMIT));
        return;
    }
    e->data = bp_rd_bytes(list, n);
    bp_rd rd = bp_rd_over(e->data);
    get_digest_ng(&rd, e);
    get_path_ng(&rd, e);
    if (e->template == BP_IMA_SIG) {
        e->signature = get_field(&rd);
    }
    if (e->template == BP_IMA_BUF) {
        e->buffer = get_field(&rd);
    }
    const bp_result r = bp_rd_finish(&rd);
    if (bp_failed(r) && !bp_failed(bp_rd_state(list))) {
        /* The list itself did not end here, so data that is too short is malformed, not cut. */
        bp_rd_fail(list, bp_is(r, BP_E_TRUNCATED) ? BP_FAIL(MALFORMED) : r);
    }
}

/* "ima": 20 bytes of file digest (SHA-1 or MD5 padded), path size u32, path without closing zero.
 */
static void get_legacy(bp_rd *list, struct bp_ima_entry *e)
{
    e->file_alg = 0x0004;
    e->file_digest = bp_rd_bytes(list, 20);
    const size_t n = bp_rd_le32(list);
    if (n >= LEGACY_PATH_SIZE) {
        bp_rd_fail(list, BP_FAIL(LIMIT));
        return;
    }
    e->path = bp_rd_bytes(list, n);
    if (has_zero(e->path)) {
        bp_rd_fail(list, BP_FAIL(MALFORMED));
    }
}

static const struct {
    bp_span name;
    enum bp_ima_template template;
} templates[] = {
    {{(const uint8_t *)"ima", 3}, BP_IMA_LEGACY},
    {{(const uint8_t *)"ima-ng", 6}, BP_IMA_NG},
    {{(const uint8_t *)"ima-sig", 7}, BP_IMA_SIG},
    {{(const uint8_t *)"ima-buf", 7}, BP_IMA_BUF},
};

#define TEMPLATE_COUNT (sizeof templates / sizeof templates[0])

static void get_template(bp_rd *rd, struct bp_ima_entry *e)
{
    const bp_span name = get_field(rd);
    for (size_t i = 0; i < TEMPLATE_COUNT; i++) {
        if (bp_span_equal(name, templates[i].name)) {
            e->template = templates[i].template;
            return;
        }
    }
    bp_rd_fail(rd, BP_FAIL(UNSUPPORTED));
}

bp_result bp_ima_next(struct bp_ima *ima, struct bp_ima_entry *ret)
{
    if (ima->at == ima->list.n) {
        return BP_FAIL(NOT_FOUND);
    }
    bp_rd rd = bp_rd_over(ima->list);
    bp_rd_skip(&rd, ima->at);
    struct bp_ima_entry e = {.index = ima->next_index, .at = ima->at};
    const uint32_t pcr = bp_rd_le32(&rd);
    e.template_digest = bp_rd_bytes(&rd, BP_IMA_DIGEST_SIZE);
    get_template(&rd, &e);
    BP_TRY(bp_rd_state(&rd));
    if (pcr != BP_IMA_PCR) {
        return BP_FAIL(MALFORMED);
    }
    e.violation = is_zero(e.template_digest);
    if (e.template == BP_IMA_LEGACY) {
        get_legacy(&rd, &e);
    } else {
        get_fields(&rd, &e);
    }
    BP_TRY(bp_rd_state(&rd));
    /* What a violation says of a file is that nothing is known; a digest there would be somebody's
     * claim. */
    if (e.violation && !is_zero(e.file_digest)) {
        return BP_FAIL(MALFORMED);
    }
    e.size = rd.at - ima->at;
    ima->at = rd.at;
    ima->next_index++;
    *ret = e;
    return BP_OK;
}

size_t bp_ima_hash_parts(const struct bp_ima_entry *entry, bp_span ret[BP_IMA_PARTS_MAX])
{
    static const uint8_t zeros[LEGACY_PATH_SIZE];
    if (entry->template != BP_IMA_LEGACY) {
        ret[0] = entry->data;
        return 1;
    }
    ret[0] = entry->file_digest;
    ret[1] = entry->path;
    ret[2] = bp_span_of(zeros, LEGACY_PATH_SIZE - entry->path.n);
    return 3;
}

void bp_ima_write_data(bp_wr *wr, enum bp_ima_template template, uint16_t file_alg,
                       bp_span file_digest, bp_span path, bp_span signature)
{
    if (path.n > BP_IMA_PATH_MAX || signature.n > BP_IMA_DATA_MAX ||
        (template != BP_IMA_NG && template != BP_IMA_SIG)) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    size_t i = 0;
    while (i < HASH_COUNT && (hashes[i].alg != file_alg || hashes[i].size != file_digest.n)) {
        i++;
    }
    if (i == HASH_COUNT) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    bp_wr_le32(wr, (uint32_t)(hashes[i].name.n + 2 + file_digest.n));
    bp_wr_bytes(wr, hashes[i].name);
    bp_wr_u8(wr, ':');
    bp_wr_u8(wr, 0);
    bp_wr_bytes(wr, file_digest);
    bp_wr_le32(wr, (uint32_t)(path.n + 1));
    bp_wr_bytes(wr, path);
    bp_wr_u8(wr, 0);
    if (template == BP_IMA_SIG) {
        bp_wr_le32(wr, (uint32_t)signature.n);
        bp_wr_bytes(wr, signature);
    }
}

void bp_ima_write_entry(bp_wr *wr, enum bp_ima_template template, bp_span template_digest,
                        bp_span data)
{
    size_t i = 0;
    while (i < TEMPLATE_COUNT && templates[i].template != template) {
        i++;
    }
    if (i == TEMPLATE_COUNT || template == BP_IMA_LEGACY ||
        template_digest.n != BP_IMA_DIGEST_SIZE || data.n > BP_IMA_DATA_MAX) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    bp_wr_le32(wr, BP_IMA_PCR);
    bp_wr_bytes(wr, template_digest);
    bp_wr_le32(wr, (uint32_t)templates[i].name.n);
    bp_wr_bytes(wr, templates[i].name);
    bp_wr_le32(wr, (uint32_t)data.n);
    bp_wr_bytes(wr, data);
}
