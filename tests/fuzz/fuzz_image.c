/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_image - what `bedplate release` reads of a kernel image: PE files and initial RAM disks. The first byte
 * chooses. Every span lies inside the file; what is refused changes nothing; the digest does not depend on the checksum
 * and on the entry of the certificate table, and does on the first byte; a walk over an archive ends and moves on. */
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
    }
    check_digest(in, &pe);
}

static void walk(bp_span in)
{
    struct bp_cpio cpio = {.in = in};
    struct bp_cpio_entry e;
    for (;;) {
        const size_t before = cpio.at;
        FUZZ_FILL(e);
        if (bp_failed(bp_cpio_next(&cpio, &e))) {
            FUZZ_HOLDS(fuzz_untouched(&e, sizeof e));
            return;
        }
        FUZZ_HOLDS(cpio.at >= before + 110 && cpio.at <= in.n && cpio.base <= cpio.at);
        FUZZ_HOLDS(fuzz_is_inside(e.path, in) && fuzz_is_inside(e.data, in) && e.path.n <= BP_INITRD_PATH_MAX);
        FUZZ_HOLDS(!bp_initrd_is_measured(&e) || e.data.n != 0);
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
