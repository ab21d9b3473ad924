/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_tpmkey - names, PCR digests, keys and signatures, held to what swtpm and
 * tpm2-tools made. */
#include "core/tpmkey.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

static struct bp_crypto *crypto;

static const uint8_t quote[] = {
    0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0x00, 0x22, 0x00, 0x0b, 0x37, 0x33, 0x97, 0x85, 0x4d,
    0xa0, 0xd0, 0x2c, 0xbb, 0x2f, 0x86, 0x0f, 0xae, 0x4f, 0x9d, 0x63, 0xcb, 0xd5, 0x20, 0xef,
    0xc9, 0xd1, 0x4e, 0xf4, 0xf0, 0xd9, 0xfe, 0x9d, 0x21, 0xc6, 0xbe, 0x43, 0x00, 0x01, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x29, 0x3f, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x01, 0x20, 0x19, 0x10, 0x23, 0x00, 0x16, 0x36, 0x36, 0x00, 0x00, 0x00, 0x01, 0x00,
    0x0b, 0x03, 0xff, 0xff, 0xff, 0x00, 0x20, 0x29, 0xfb, 0x73, 0x1b, 0x90, 0x7f, 0x99, 0xf3,
    0x6e, 0x41, 0x17, 0x54, 0x2d, 0xda, 0x2a, 0xab, 0x9e, 0x13, 0x25, 0x0b, 0x87, 0xa1, 0xb7,
    0xde, 0x77, 0xdf, 0xae, 0x6b, 0x0a, 0xbb, 0x08, 0x4c};
static const uint8_t ak[] = {
    0x00, 0x58, 0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72, 0x00, 0x00, 0x00, 0x10, 0x00,
    0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10, 0x00, 0x20, 0xed, 0xb8, 0xbc, 0x06, 0xa9, 0x5f,
    0x37, 0xae, 0x95, 0x0d, 0x01, 0x2e, 0x19, 0x84, 0x3a, 0x86, 0x53, 0xe4, 0x1c, 0x34, 0x71,
    0xd3, 0x7e, 0x31, 0xf5, 0x95, 0x2b, 0x66, 0x5b, 0xff, 0xfb, 0x5c, 0x00, 0x20, 0xcf, 0x2d,
    0x6c, 0xe9, 0x35, 0xff, 0x66, 0x1f, 0xd3, 0xf7, 0x82, 0x5b, 0x43, 0xd5, 0xe0, 0x8d, 0x1a,
    0x82, 0x9b, 0xe6, 0x7b, 0x82, 0xce, 0xdd, 0x3e, 0xf5, 0xf2, 0x3a, 0x88, 0xef, 0x28, 0x51};
static const uint8_t ak_name[] = {0x00, 0x0b, 0xc2, 0xc9, 0x7d, 0xe0, 0xac, 0x2f, 0x82,
                                  0x50, 0x05, 0x31, 0xf5, 0x68, 0x3a, 0xc6, 0x72, 0xe0,
                                  0x01, 0x2b, 0xf8, 0x40, 0x58, 0xb6, 0xb5, 0x5c, 0xca,
                                  0xf3, 0xa7, 0xab, 0x58, 0xef, 0xca, 0xa3};
static const uint8_t sig[] = {
    0x00, 0x18, 0x00, 0x0b, 0x00, 0x20, 0xbd, 0x13, 0x44, 0x07, 0x2c, 0x97, 0x25, 0x19, 0x2d,
    0x45, 0xfb, 0xc1, 0x0a, 0x2b, 0x88, 0xb5, 0x98, 0xe7, 0x1b, 0x3b, 0x7f, 0x38, 0x6a, 0xfb,
    0xea, 0x70, 0xee, 0x14, 0x34, 0x75, 0xe9, 0x66, 0x00, 0x20, 0xa5, 0x09, 0xcb, 0x00, 0xd4,
    0x70, 0xc0, 0x68, 0xd7, 0x2b, 0xa9, 0x8f, 0x33, 0x5e, 0x62, 0xf1, 0xea, 0xe3, 0x02, 0x89,
    0x09, 0x42, 0x2a, 0xf8, 0xe2, 0x55, 0xe5, 0xa4, 0xac, 0x58, 0xd1, 0x36};

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
}

BP_CASE(name_is_that_of_the_tpm)
{
    struct bp_tpm_public p;
    struct bp_tpm_name name;
    BP_NEED(!bp_failed(bp_tpm_public_read(BP_SPAN_OF(ak), &p)) &&
            !bp_failed(bp_tpm_name(crypto, &p, &name)));
    BP_CHECK(bp_span_equal(bp_tpm_name_span(&name), BP_SPAN_OF(ak_name)));
}

/* qualified = H(H(endorsement handle || name of the parent) || name), each with its algorithm in
 * front. */
BP_CASE(qualified_name_chains)
{
    static const uint8_t handle[] = {0x40, 0x00, 0x00, 0x0b};
    struct bp_tpm_name parent, child;
    uint8_t want[34] = {0x00, 0x0b};
    BP_NEED(!bp_failed(
        bp_tpm_qualified_name(crypto, BP_SPAN_OF(handle), BP_SPAN_OF(ak_name), &parent)));
    const bp_span first[] = {BP_SPAN_OF(handle), BP_SPAN_OF(ak_name)};
    BP_NEED(!bp_failed(bp_hash_parts(crypto, BP_HASH_SHA256, first, 2, want + 2)));
    BP_CHECK(bp_span_equal(bp_tpm_name_span(&parent), BP_SPAN_OF(want)));
    BP_NEED(!bp_failed(
        bp_tpm_qualified_name(crypto, bp_tpm_name_span(&parent), BP_SPAN_OF(ak_name), &child)));
    BP_CHECK(!bp_span_equal(bp_tpm_name_span(&child), bp_tpm_name_span(&parent)));
    BP_CHECK(
        bp_is(bp_tpm_qualified_name(crypto, BP_SPAN_OF(handle), bp_span_of(ak_name, 1), &child),
              BP_E_BAD_ARGUMENT));
    const uint8_t unknown[] = {0x00, 0x27, 1};
    BP_CHECK(bp_is(bp_tpm_qualified_name(crypto, BP_SPAN_OF(handle), BP_SPAN_OF(unknown), &child),
                   BP_E_UNSUPPORTED));
}

/* A child of an endorsement key is called otherwise than the same key as a primary of any hierarchy. */
BP_CASE(child_of_an_endorsement_key)
{
    static const uint8_t handle[] = {0x40, 0x00, 0x00, 0x0b};
    struct bp_tpm_public ek;
    struct bp_tpm_name parent, qualified, want, child, primary;
    BP_NEED(!bp_failed(bp_tpm_public_read(BP_SPAN_OF(ak), &ek)) && !bp_failed(bp_tpm_name(crypto, &ek, &parent)));
    BP_NEED(!bp_failed(bp_tpm_qualified_name(crypto, BP_SPAN_OF(handle), bp_tpm_name_span(&parent), &qualified)) &&
            !bp_failed(bp_tpm_qualified_name(crypto, bp_tpm_name_span(&qualified), BP_SPAN_OF(ak_name), &want)) &&
            !bp_failed(bp_tpm_qualified_name(crypto, BP_SPAN_OF(handle), BP_SPAN_OF(ak_name), &primary)));
    BP_NEED(!bp_failed(bp_tpm_child_of_ek(crypto, &ek, BP_SPAN_OF(ak_name), &child)));
    BP_CHECK(child.n == 34 && bp_span_equal(bp_tpm_name_span(&child), bp_tpm_name_span(&want)));
    BP_CHECK(!bp_span_equal(bp_tpm_name_span(&child), bp_tpm_name_span(&primary)));
}

BP_CASE(quote_verifies_and_nothing_else_does)
{
    struct bp_tpm_public p;
    struct bp_tpm_sig s;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    BP_NEED(!bp_failed(bp_tpm_public_read(BP_SPAN_OF(ak), &p)) &&
            !bp_failed(bp_tpm_pubkey(&p, &room, &key)));
    BP_NEED(!bp_failed(bp_tpm_sig_read(BP_SPAN_OF(sig), &s)));
    BP_CHECK(key.type == BP_KEY_P256 &&
             !bp_failed(bp_tpm_verify(crypto, &key, &s, BP_SPAN_OF(quote))));
    uint8_t bad[sizeof quote];
    for (size_t i = 0; i < sizeof quote; i += 7) {
        memcpy(bad, quote, sizeof quote);
        bad[i] ^= 1;
        BP_CHECK(bp_is(bp_tpm_verify(crypto, &key, &s, BP_SPAN_OF(bad)), BP_E_BAD_SIGNATURE));
    }
    s.hash = BP_TPM_ALG_SHA384;
    BP_CHECK(bp_is(bp_tpm_verify(crypto, &key, &s, BP_SPAN_OF(quote)), BP_E_UNSUPPORTED));
    s.hash = BP_TPM_ALG_SHA256;
    s.scheme = BP_TPM_ALG_RSASSA;
    BP_CHECK(bp_is(bp_tpm_verify(crypto, &key, &s, BP_SPAN_OF(quote)), BP_E_UNSUPPORTED));
}

BP_CASE(short_coordinates_are_padded)
{
    const uint8_t one[] = {5};
    struct bp_tpm_public p = {.type = BP_TPM_ALG_ECC,
                              .curve = BP_TPM_ECC_P384,
                              .x = BP_SPAN_OF(one),
                              .y = BP_SPAN_OF(one)};
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    BP_NEED(!bp_failed(bp_tpm_pubkey(&p, &room, &key)));
    BP_CHECK(key.type == BP_KEY_P384 && key.a.n == 48 && key.b.n == 48 && key.a.p[47] == 5 &&
             key.b.p[47] == 5);
    BP_CHECK(key.a.p[0] == 0 && key.b.p[46] == 0);
    uint8_t modulus[256] = {0x80};
    p = (struct bp_tpm_public){
        .type = BP_TPM_ALG_RSA, .rsa_bits = 2048, .modulus = BP_SPAN_OF(modulus)};
    BP_NEED(!bp_failed(bp_tpm_pubkey(&p, &room, &key)));
    BP_CHECK(key.type == BP_KEY_RSA && key.b.n == 3 && key.b.p[0] == 1 && key.b.p[2] == 1);
    p.modulus = bp_span_of(modulus, 128);
    BP_CHECK(bp_is(bp_tpm_pubkey(&p, &room, &key), BP_E_UNSUPPORTED));
}

/* The digest is over values in the order of the selection; a value too few or too many is no digest
 * at all. */
BP_CASE(pcr_digest_needs_every_value)
{
    static const uint8_t values[20 + 2 * 32] = {1};
    const struct bp_tpm_pcrs pcrs = {2, {{BP_TPM_ALG_SHA1, 0x10}, {BP_TPM_ALG_SHA256, 0x401}}};
    uint8_t got[BP_HASH_MAX], want[BP_HASH_MAX];
    BP_NEED(
        !bp_failed(bp_tpm_pcr_digest(crypto, BP_TPM_ALG_SHA256, &pcrs, BP_SPAN_OF(values), got)));
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_OF(values), want)));
    BP_CHECK(memcmp(got, want, 32) == 0);
    BP_CHECK(bp_is(bp_tpm_pcr_digest(crypto, BP_TPM_ALG_SHA256, &pcrs, bp_span_of(values, 83), got),
                   BP_E_MISMATCH));
    BP_CHECK(bp_is(bp_tpm_pcr_digest(crypto, BP_TPM_ALG_SHA256, &pcrs, BP_SPAN_EMPTY, got),
                   BP_E_MISMATCH));
    BP_CHECK(
        bp_is(bp_tpm_pcr_digest(crypto, 0x27, &pcrs, BP_SPAN_OF(values), got), BP_E_UNSUPPORTED));
}

BP_CASE(teardown)
{
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

BP_SUITE(core_tpmkey,
         BP_RUN(setup) BP_RUN(name_is_that_of_the_tpm) BP_RUN(qualified_name_chains)
         BP_RUN(child_of_an_endorsement_key)
             BP_RUN(quote_verifies_and_nothing_else_does) BP_RUN(short_coordinates_are_padded)
                 BP_RUN(pcr_digest_needs_every_value) BP_RUN(teardown))
