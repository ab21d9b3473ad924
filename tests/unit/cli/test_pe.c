/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_pe - PE images: sections, the Authenticode digest, and every way to lie about offsets. */
#include "cli/pe.h"
#include "harness.h"
#include "image.h"
#include "platform/openssl/crypto.h"

static struct bp_crypto *crypto;
static uint8_t room[4096];

static bp_span image(bp_span certificate)
{
    const struct image_section s[] = {{".text", BP_SPAN_STR("code code code")},
                                      {".linux", BP_SPAN_STR("a kernel of some length")}};
    return image_write(room, sizeof room, s, 2, certificate);
}

BP_CASE(sections)
{
    struct bp_pe pe;
    BP_NEED(!bp_failed(bp_pe_read(image(BP_SPAN_EMPTY), &pe)));
    const struct bp_pe_section *s = bp_pe_find(&pe, BP_SPAN_STR(".linux"));
    BP_NEED(s != NULL);
    BP_CHECK(bp_span_equal(s->data, BP_SPAN_STR("a kernel of some length")));
    BP_CHECK(s->raw.n == 32);
    BP_CHECK(bp_pe_find(&pe, BP_SPAN_STR(".linu")) == NULL && bp_pe_find(&pe, BP_SPAN_STR("")) == NULL);
}

static bool digest_of(bp_span file, uint8_t ret[32])
{
    struct bp_pe pe;
    return !bp_failed(bp_pe_read(file, &pe)) && !bp_failed(bp_pe_authenticode(crypto, &pe, ret));
}

BP_CASE(digest_leaves_signature_out)
{
    uint8_t bare[32], signed_[32], other[32];
    BP_NEED(digest_of(image(BP_SPAN_EMPTY), bare));
    BP_NEED(digest_of(image(BP_SPAN_STR("a certificate table")), signed_));
    BP_CHECK(memcmp(bare, signed_, 32) == 0);
    const bp_span file = image(BP_SPAN_EMPTY);
    room[IMAGE_CHECKSUM] ^= 1;
    BP_CHECK(digest_of(file, other) && memcmp(bare, other, 32) == 0);
}

/* Every byte but the checksum and the certificate table's entry changes the digest, or the image is refused. */
BP_CASE(digest_covers_the_rest)
{
    const bp_span file = image(BP_SPAN_EMPTY);
    uint8_t whole[32], other[32];
    BP_NEED(digest_of(file, whole));
    uint32_t refused = 0, changed = 0;
    for (size_t i = 0; i < file.n; i++) {
        const bool outside = (i >= IMAGE_CHECKSUM && i < IMAGE_CHECKSUM + 4) ||
                             (i >= IMAGE_DIRECTORY && i < IMAGE_DIRECTORY + 8);
        room[i] ^= 0x40;
        if (!outside) {
            if (!digest_of(file, other)) {
                refused++;
            } else if (BP_CHECK(memcmp(whole, other, 32) != 0)) {
                changed++;
            }
        }
        room[i] ^= 0x40;
    }
    BP_CHECK(refused != 0 && changed > file.n / 2);
}

BP_CASE(truncations)
{
    const bp_span file = image(BP_SPAN_STR("certificate"));
    struct bp_pe pe;
    for (size_t n = 0; n < file.n; n++) {
        if (!BP_CHECK(bp_failed(bp_pe_read(bp_span_of(file.p, n), &pe)))) {
            return;
        }
    }
}

static const struct {
    const char *name;
    size_t at;
    uint8_t value;
    enum bp_error error;
} row[] = {
    {"not_mz", 0, 'm', BP_E_MALFORMED},
    {"not_pe", 0x40, 'p', BP_E_MALFORMED},
    {"header_far_away", 0x3f, 0x7f, BP_E_TRUNCATED},
    {"sections_97", 0x46, 97, BP_E_LIMIT},
    {"sections_past_file", 0x46, 90, BP_E_MALFORMED},
    {"sections_past_headers", 0x46, (IMAGE_HEADERS - IMAGE_TABLE) / 40 + 1, BP_E_MALFORMED},
    {"other_magic", IMAGE_OPTIONAL, 0x0c, BP_E_MALFORMED},
    {"optional_too_short", 0x54, 0x20, BP_E_TRUNCATED},
    {"headers_larger_than_file", IMAGE_OPTIONAL + 62, 1, BP_E_MALFORMED},
    {"headers_none", IMAGE_OPTIONAL + 61, 0, BP_E_MALFORMED},
    {"section_past_end", IMAGE_TABLE + 22, 1, BP_E_TRUNCATED},
    {"section_size_past_end", IMAGE_TABLE + 18, 1, BP_E_TRUNCATED},
    {"certificates_not_at_end", IMAGE_DIRECTORY, 8, BP_E_UNSUPPORTED},
    {"certificates_larger_than_file", IMAGE_DIRECTORY + 7, 1, BP_E_UNSUPPORTED},
};

static void lies(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        const bp_span file = image(BP_SPAN_STR("certificate"));
        struct bp_pe pe;
        room[row[i].at] = row[i].value;
        BP_CHECK(bp_error_of(bp_pe_read(file, &pe)) == row[i].error);
        bp_case_end(row[i].name);
    }
}

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
}

BP_CASE(teardown)
{
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

BP_SUITE(pe, BP_RUN(setup) BP_RUN(sections) BP_RUN(digest_leaves_signature_out) BP_RUN(digest_covers_the_rest)
                 BP_RUN(truncations) BP_TABLE(lies) BP_RUN(teardown))
