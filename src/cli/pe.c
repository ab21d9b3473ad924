/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pe - reader of PE/COFF images and their Authenticode digest. */
#include "cli/pe.h"

#include "base/buf.h"

#define BP_MODULE CLI

#define MZ            0x5a4du
#define PE_MAGIC      0x00004550u
#define PE32          0x010bu
#define PE32_PLUS     0x020bu
#define COFF_SIZE     20u
#define SECTION_SIZE  40u
#define AT_LFANEW     0x3cu
#define AT_HEADERS_N  60u /* of the optional header, the same in both forms */
#define AT_CHECKSUM   64u
#define CERTIFICATES  4u /* index of the data directory */
#define DIRECTORY_N   8u

static bp_rd at(bp_span file, size_t offset)
{
    return bp_rd_over(offset <= file.n ? bp_span_sub(file, offset, file.n - offset) : BP_SPAN_EMPTY);
}

/* The optional header: where the two parts are that a signature leaves out, and the table at the end. */
static bp_result read_optional(bp_span file, size_t begin, size_t size, struct bp_pe *pe)
{
    bp_rd rd = at(file, begin);
    const uint16_t magic = bp_rd_le16(&rd);
    if (magic != PE32 && magic != PE32_PLUS) {
        return BP_FAIL(MALFORMED);
    }
    const size_t directories = magic == PE32 ? 96u : 112u;
    if (size < directories || begin + size > file.n) {
        return BP_FAIL(TRUNCATED);
    }
    rd = at(file, begin + AT_HEADERS_N);
    pe->headers_n = bp_rd_le32(&rd);
    pe->checksum_at = begin + AT_CHECKSUM;
    rd = at(file, begin + directories - 4);
    const uint32_t count = bp_rd_le32(&rd);
    if (count > CERTIFICATES && size >= directories + (CERTIFICATES + 1) * DIRECTORY_N) {
        pe->directory_at = begin + directories + CERTIFICATES * DIRECTORY_N;
        rd = at(file, pe->directory_at);
        const size_t offset = bp_rd_le32(&rd);
        pe->certificates_n = bp_rd_le32(&rd);
        if (pe->certificates_n > file.n || (pe->certificates_n != 0 && offset != file.n - pe->certificates_n)) {
            return BP_FAIL(UNSUPPORTED);
        }
    }
    return bp_rd_state(&rd);
}

static bp_result read_section(bp_span file, size_t begin, struct bp_pe_section *ret)
{
    bp_rd rd = at(file, begin);
    bp_span name = bp_rd_bytes(&rd, BP_PE_NAME_MAX);
    const uint32_t virtual_n = bp_rd_le32(&rd);
    bp_rd_skip(&rd, 4);
    const uint32_t raw_n = bp_rd_le32(&rd);
    const uint32_t raw_at = bp_rd_le32(&rd);
    BP_TRY(bp_rd_state(&rd));
    while (name.n != 0 && name.p[name.n - 1] == 0) {
        name.n--;
    }
    if (raw_n != 0 && (raw_at > file.n || raw_n > file.n - raw_at)) {
        return BP_FAIL(TRUNCATED);
    }
    ret->name = name;
    ret->raw = raw_n != 0 ? bp_span_of(file.p + raw_at, raw_n) : BP_SPAN_EMPTY;
    ret->data = bp_span_sub(ret->raw, 0, virtual_n < raw_n ? virtual_n : raw_n);
    return BP_OK;
}

bp_result bp_pe_read(bp_span file, struct bp_pe *ret)
{
    bp_rd rd = bp_rd_over(file);
    const bool is_mz = bp_rd_le16(&rd) == MZ;
    rd = at(file, AT_LFANEW);
    const size_t header = bp_rd_le32(&rd);
    rd = at(file, header);
    const bool is_pe = bp_rd_le32(&rd) == PE_MAGIC;
    bp_rd_skip(&rd, 2);
    const uint32_t count = bp_rd_le16(&rd);
    bp_rd_skip(&rd, 12);
    const size_t optional_n = bp_rd_le16(&rd);
    BP_TRY(bp_rd_state(&rd));
    if (!is_mz || !is_pe) {
        return BP_FAIL(MALFORMED);
    }
    if (count > BP_PE_SECTIONS_MAX) {
        return BP_FAIL(LIMIT);
    }
    struct bp_pe pe = {.file = file, .sections = count};
    const size_t optional = header + 4 + COFF_SIZE;
    const size_t table = optional + optional_n;
    BP_TRY(read_optional(file, optional, optional_n, &pe));
    /* Firmware starts no image whose table of sections is not whole inside the headers, which the digest covers. */
    if (pe.headers_n > file.n || pe.headers_n < table + (size_t)count * SECTION_SIZE) {
        return BP_FAIL(MALFORMED);
    }
    for (uint32_t i = 0; i < count; i++) {
        BP_TRY(read_section(file, table + (size_t)i * SECTION_SIZE, &pe.section[i]));
    }
    *ret = pe;
    return BP_OK;
}

const struct bp_pe_section *bp_pe_find(const struct bp_pe *pe, bp_span name)
{
    for (uint32_t i = 0; i < pe->sections; i++) {
        if (bp_span_equal(pe->section[i].name, name)) {
            return &pe->section[i];
        }
    }
    return NULL;
}

/* Sections by their place in the file, as the digest takes them. */
static uint32_t sort_raw(const struct bp_pe *pe, bp_span ret[BP_PE_SECTIONS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pe->sections; i++) {
        const bp_span raw = pe->section[i].raw;
        if (raw.n == 0) {
            continue;
        }
        uint32_t k = n++;
        for (; k > 0 && ret[k - 1].p > raw.p; k--) {
            ret[k] = ret[k - 1];
        }
        ret[k] = raw;
    }
    return n;
}

bp_result bp_pe_authenticode(struct bp_crypto *c, const struct bp_pe *pe, uint8_t ret[BP_SHA256_SIZE])
{
    bp_span part[BP_PE_SECTIONS_MAX + 4];
    size_t n = 0, from = pe->checksum_at + 4;
    part[n++] = bp_span_sub(pe->file, 0, pe->checksum_at);
    if (pe->directory_at != 0) {
        part[n++] = bp_span_sub(pe->file, from, pe->directory_at - from);
        from = pe->directory_at + DIRECTORY_N;
    }
    part[n++] = bp_span_sub(pe->file, from, pe->headers_n - from);
    bp_span raw[BP_PE_SECTIONS_MAX];
    const uint32_t sections = sort_raw(pe, raw);
    size_t hashed = pe->headers_n;
    for (uint32_t i = 0; i < sections; i++) {
        part[n++] = raw[i];
        hashed += raw[i].n;
    }
    /* What lies behind the sections and before the certificates counts too; as firmware does, its place is taken from
     * the sum of what was hashed. */
    if (pe->file.n > hashed + pe->certificates_n) {
        part[n++] = bp_span_sub(pe->file, hashed, pe->file.n - pe->certificates_n - hashed);
    }
    return bp_hash_parts(c, BP_HASH_SHA256, part, n, ret);
}
