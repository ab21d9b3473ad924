/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_image - what `bedplate release` reads of a kernel image: PE files and initial RAM disks. The first byte
 * chooses. Every span lies inside the file; sections and files, written again from what was read of them, are the headers
 * that stand there; what is refused changes nothing; the digest does not depend on the checksum and on the entry of the
 * certificate table, and does on the first byte; a walk over an archive ends and moves on. */
#include "base/buf.h"
#include "cli/initrd.h"
#include "cli/pe.h"
#include "fuzz/fuzz.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

static uint8_t copy[1 << 16];

static bool digest(bp_span file, uint8_t ret[BP_SHA256_SIZE])
{
    static struct bp_crypto *crypto;
    static struct bp_pe pe;
    if (crypto == NULL) {
        FUZZ_HOLDS(!bp_failed(bp_crypto_openssl_new(1, &crypto)));
    }
    return !bp_failed(bp_pe_read(file, &pe)) && !bp_failed(bp_pe_authenticode(crypto, &pe, ret));
}

static void check_digest(bp_span in, const struct bp_pe *pe)
{
    uint8_t first[BP_SHA256_SIZE];
    uint8_t second[BP_SHA256_SIZE];
    if (in.n > sizeof copy || !digest(in, first)) {
        return;
    }
    memcpy(copy, in.p, in.n);
    /* A section that lies over the headers covers the checksum again. */
    bool apart = true;
    for (uint32_t i = 0; i < pe->sections; i++) {
        apart = apart && (pe->section[i].raw.n == 0 || pe->section[i].raw.p >= in.p + pe->headers_n);
    }
    if (apart) {
        copy[pe->checksum_at] ^= 0xff;
        if (digest(bp_span_of(copy, in.n), second)) {
            FUZZ_HOLDS(memcmp(first, second, sizeof first) == 0);
        }
        copy[pe->checksum_at] ^= 0xff;
    }
    copy[2] ^= 1;
    FUZZ_HOLDS(!digest(bp_span_of(copy, in.n), second) || memcmp(first, second, sizeof first) != 0);
}

/* A section written again as an entry of the table: the same bytes where it was read. */
static void check_entry(bp_span in, const struct bp_pe *pe, const struct bp_pe_section *s)
{
    const size_t at = (size_t)(s->name.p - in.p);
    uint8_t entry[24] = {0};
    FUZZ_HOLDS(s->name.n <= BP_PE_NAME_MAX && at + 40 <= pe->headers_n && at > pe->checksum_at);
    bp_rd rd = bp_rd_over(bp_span_sub(in, at + 8, 16));
    const uint32_t virtual_n = bp_rd_le32(&rd);
    const uint32_t address = bp_rd_le32(&rd);
    bp_rd_skip(&rd, 4);
    const uint32_t raw_at = bp_rd_le32(&rd); /* of an empty section it may say anything */
    memcpy(entry, s->name.p, s->name.n);
    bp_wr wr = bp_wr_over(entry + BP_PE_NAME_MAX, 16);
    bp_wr_le32(&wr, s->data.n < s->raw.n ? (uint32_t)s->data.n : virtual_n);
    bp_wr_le32(&wr, address);
    bp_wr_le32(&wr, (uint32_t)s->raw.n);
    bp_wr_le32(&wr, s->raw.n == 0 ? raw_at : (uint32_t)(s->raw.p - in.p));
    FUZZ_HOLDS(memcmp(entry, in.p + at, sizeof entry) == 0 && virtual_n >= s->data.n);
}

static void try_pe(bp_span in)
{
    static struct bp_pe pe;
    FUZZ_FILL(pe);
    if (bp_failed(bp_pe_read(in, &pe))) {
        FUZZ_HOLDS(fuzz_untouched(&pe, sizeof pe));
        return;
    }
    FUZZ_HOLDS(pe.sections <= BP_PE_SECTIONS_MAX && pe.headers_n <= in.n && pe.certificates_n <= in.n);
    FUZZ_HOLDS(pe.checksum_at + 4 <= pe.headers_n);
    FUZZ_HOLDS(pe.directory_at == 0 || (pe.directory_at > pe.checksum_at && pe.directory_at + 8 <= pe.headers_n));
    for (uint32_t i = 0; i < pe.sections; i++) {
        const struct bp_pe_section *s = &pe.section[i];
        FUZZ_HOLDS(fuzz_is_inside(s->name, in) && fuzz_is_inside(s->raw, in) && fuzz_is_inside(s->data, s->raw));
        FUZZ_HOLDS(bp_pe_find(&pe, s->name) != NULL && bp_pe_find(&pe, s->name) <= s);
        check_entry(in, &pe, s);
    }
    check_digest(in, &pe);
}

/* Eight digits written as the archive has them, in either case. */
static bool is_hex8(bp_span in, size_t at, size_t v)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < 8; i++) {
        const uint8_t ch = in.p[at + i];
        if ((ch >= 'A' ? ch | 0x20u : ch) != (uint8_t)digit[v >> (28 - 4 * i) & 15u]) {
            return false;
        }
    }
    return true;
}

/* What was read of a file is what the header before its data says, and stands where a writer would put it. */
static void check_file(bp_span in, size_t at, size_t base, const struct bp_cpio_entry *e, size_t after)
{
    const size_t end = (size_t)(e->data.p - in.p) + e->data.n;
    const size_t name_end = (size_t)(e->path.p - in.p) + e->path.n;
    FUZZ_HOLDS(memcmp(in.p + at, "070701", 6) == 0 && (at - base) % 4 == 0);
    FUZZ_HOLDS(is_hex8(in, at + 14, e->mode) && is_hex8(in, at + 54, e->data.n));
    FUZZ_HOLDS(is_hex8(in, at + 94, name_end + 1 - at - 110) && in.p[name_end] == 0);
    FUZZ_HOLDS(((size_t)(e->data.p - in.p) - base) % 4 == 0 && end <= after && after - end < 4);
}

static void walk(bp_span in)
{
    struct bp_cpio cpio = {.in = in};
    struct bp_cpio_entry e;
    for (;;) {
        const size_t before = cpio.at;
        const size_t base = cpio.base;
        FUZZ_FILL(e);
        if (bp_failed(bp_cpio_next(&cpio, &e))) {
            FUZZ_HOLDS(fuzz_untouched(&e, sizeof e));
            return;
        }
        FUZZ_HOLDS(cpio.at >= before + 110 && cpio.at <= in.n && cpio.base <= cpio.at);
        FUZZ_HOLDS(fuzz_is_inside(e.path, in) && fuzz_is_inside(e.data, in) && e.path.n <= BP_INITRD_PATH_MAX);
        FUZZ_HOLDS(!bp_initrd_is_measured(&e) || e.data.n != 0);
        /* Behind the end of an archive the next one begins with its first file. */
        check_file(in, cpio.base == base ? before : cpio.base, cpio.base, &e, cpio.at);
    }
}

static void try_initrd(bp_span in)
{
    uint8_t *p = NULL;
    size_t n = 0;
    if (bp_failed(bp_initrd_unpack(in, &p, &n))) {
        FUZZ_HOLDS(p == NULL && n == 0);
        return;
    }
    FUZZ_HOLDS(n != 0);
    walk(bp_span_of(p, n));
    bp_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const bp_span in = bp_span_of(data + 1, size - 1);
    if (data[0] == 'p') {
        try_pe(in);
    } else if (data[0] == 'i') {
        try_initrd(in);
    } else {
        walk(in);
    }
    return 0;
}
