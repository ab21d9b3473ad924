/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_tpm - TPM structures: a quote, an AK and a signature that tpm2-tools made
 * on a software TPM, and tables of what must be refused. */
#include "codec/tpm.h"
#include "harness.h"

static const uint8_t quote[] = {
    0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0x00, 0x22, 0x00, 0x0b, 0x37, 0x33, 0x97, 0x85, 0x4d,
    0xa0, 0xd0, 0x2c, 0xbb, 0x2f, 0x86, 0x0f, 0xae, 0x4f, 0x9d, 0x63, 0xcb, 0xd5, 0x20, 0xef,
    0xc9, 0xd1, 0x4e, 0xf4, 0xf0, 0xd9, 0xfe, 0x9d, 0x21, 0xc6, 0xbe, 0x43, 0x00, 0x04, 0x00,
    0x11, 0x22, 0x33, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x29, 0x3f, 0x00, 0x00, 0x00, 0x02,
    0x00, 0x00, 0x00, 0x03, 0x01, 0x20, 0x19, 0x10, 0x23, 0x00, 0x16, 0x36, 0x36, 0x00, 0x00,
    0x00, 0x01, 0x00, 0x0b, 0x03, 0xff, 0x4f, 0x00, 0x00, 0x20, 0x29, 0xfb, 0x73, 0x1b, 0x90,
    0x7f, 0x99, 0xf3, 0x6e, 0x41, 0x17, 0x54, 0x2d, 0xda, 0x2a, 0xab, 0x9e, 0x13, 0x25, 0x0b,
    0x87, 0xa1, 0xb7, 0xde, 0x77, 0xdf, 0xae, 0x6b, 0x0a, 0xbb, 0x08, 0x4c};

/* Offsets in it that the refusals below touch. */
enum { AT_SAFE = 64, AT_COUNT = 73, AT_BANK = 77, AT_SELECT = 79, AT_DIGEST = 83 };

static const uint8_t ak[] = {
    0x00, 0x58, 0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72, 0x00, 0x00, 0x00, 0x10, 0x00,
    0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10, 0x00, 0x20, 0xed, 0xb8, 0xbc, 0x06, 0xa9, 0x5f,
    0x37, 0xae, 0x95, 0x0d, 0x01, 0x2e, 0x19, 0x84, 0x3a, 0x86, 0x53, 0xe4, 0x1c, 0x34, 0x71,
    0xd3, 0x7e, 0x31, 0xf5, 0x95, 0x2b, 0x66, 0x5b, 0xff, 0xfb, 0x5c, 0x00, 0x20, 0xcf, 0x2d,
    0x6c, 0xe9, 0x35, 0xff, 0x66, 0x1f, 0xd3, 0xf7, 0x82, 0x5b, 0x43, 0xd5, 0xe0, 0x8d, 0x1a,
    0x82, 0x9b, 0xe6, 0x7b, 0x82, 0xce, 0xdd, 0x3e, 0xf5, 0xf2, 0x3a, 0x88, 0xef, 0x28, 0x51};

static const uint8_t sig[] = {
    0x00, 0x18, 0x00, 0x0b, 0x00, 0x20, 0xbd, 0x13, 0x44, 0x07, 0x2c, 0x97, 0x25, 0x19, 0x2d,
    0x45, 0xfb, 0xc1, 0x0a, 0x2b, 0x88, 0xb5, 0x98, 0xe7, 0x1b, 0x3b, 0x7f, 0x38, 0x6a, 0xfb,
    0xea, 0x70, 0xee, 0x14, 0x34, 0x75, 0xe9, 0x66, 0x00, 0x20, 0xa5, 0x09, 0xcb, 0x00, 0xd4,
    0x70, 0xc0, 0x68, 0xd7, 0x2b, 0xa9, 0x8f, 0x33, 0x5e, 0x62, 0xf1, 0xea, 0xe3, 0x02, 0x89,
    0x09, 0x42, 0x2a, 0xf8, 0xe2, 0x55, 0xe5, 0xa4, 0xac, 0x58, 0xd1, 0x36};

static uint8_t room[512];

BP_CASE(quote_reads_and_writes_back)
{
    struct bp_tpm_attest a;
    BP_NEED(!bp_failed(bp_tpm_attest_read(BP_SPAN_OF(quote), &a)));
    BP_CHECK(a.type == BP_TPM_ST_QUOTE && a.qualified_signer.n == 34 && a.extra_data.n == 4);
    BP_CHECK(a.clock_ms == 0x293f && a.reset_count == 2 && a.restart_count == 3 && a.safe);
    BP_CHECK(a.firmware_version == 0x2019102300163636u);
    BP_CHECK(a.pcrs.count == 1 && a.pcrs.bank[0].hash == BP_TPM_ALG_SHA256 &&
             a.pcrs.bank[0].mask == 0x004fff);
    BP_CHECK(a.pcr_digest.n == 32 && a.pcr_digest.p[31] == 0x4c);
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tpm_attest_write(&wr, &a);
    BP_CHECK(!bp_failed(bp_wr_finish(&wr)) && bp_span_equal(bp_wr_span(&wr), BP_SPAN_OF(quote)));
}

BP_CASE(certify_reads_and_writes_back)
{
    static const uint8_t name[34] = {0x00, 0x0b, 1};
    static const uint8_t extra[32] = {7};
    const struct bp_tpm_attest in = {.type = BP_TPM_ST_CERTIFY,
                                     .qualified_signer = BP_SPAN_OF(name),
                                     .extra_data = BP_SPAN_OF(extra),
                                     .clock_ms = 5,
                                     .name = BP_SPAN_OF(name),
                                     .qualified_name = BP_SPAN_OF(name)};
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tpm_attest_write(&wr, &in);
    struct bp_tpm_attest a;
    BP_NEED(!bp_failed(bp_tpm_attest_read(bp_wr_span(&wr), &a)));
    BP_CHECK(a.type == BP_TPM_ST_CERTIFY && !a.safe && bp_span_equal(a.name, BP_SPAN_OF(name)));
    BP_CHECK(bp_span_equal(a.qualified_name, BP_SPAN_OF(name)) && a.pcrs.count == 0 &&
             a.pcr_digest.n == 0);
}

BP_CASE(every_truncation_is_refused)
{
    struct bp_tpm_attest a;
    struct bp_tpm_public p;
    struct bp_tpm_sig s;
    for (size_t n = 0; n < sizeof quote; n++) {
        BP_CHECK(bp_is(bp_tpm_attest_read(bp_span_of(quote, n), &a), BP_E_TRUNCATED));
    }
    for (size_t n = 0; n < sizeof ak; n++) {
        BP_CHECK(bp_is(bp_tpm_public_read(bp_span_of(ak, n), &p), BP_E_TRUNCATED));
        if (n >= 2) {
            BP_CHECK(n == 2 || bp_failed(bp_tpmt_public_read(bp_span_of(ak + 2, n - 2), &p)));
        }
    }
    for (size_t n = 0; n < sizeof sig; n++) {
        BP_CHECK(bp_is(bp_tpm_sig_read(bp_span_of(sig, n), &s), BP_E_TRUNCATED));
    }
}

/* One change to a good structure and what must come of it. */
struct change {
    const char *name;
    size_t at;
    uint8_t v[4];
    size_t n;
    enum bp_error want;
};

static bp_span changed(bp_span good, const struct change *c)
{
    memcpy(room, good.p, good.n);
    memcpy(room + c->at, c->v, c->n);
    return bp_span_of(room, good.n);
}

static void quote_refusals(void)
{
    static const struct change rows[] = {
        {"quote_magic", 0, {0xfe}, 1, BP_E_MALFORMED},
        {"quote_magic_of_other_bytes", 0, {'b', 'e', 'd', 'p'}, 4, BP_E_MALFORMED},
        {"quote_type_unknown", 4, {0x80, 0x19}, 2, BP_E_UNSUPPORTED},
        {"quote_read_as_certify", 4, {0x80, 0x17}, 2, BP_E_MALFORMED},
        {"quote_signer_longer_than_a_name", 6, {0x00, 0x43}, 2, BP_E_MALFORMED},
        {"quote_signer_longer_than_input", 6, {0xff, 0xff}, 2, BP_E_MALFORMED},
        {"quote_extra_longer_than_data", 42, {0x00, 0x43}, 2, BP_E_MALFORMED},
        {"quote_safe_is_two", AT_SAFE, {2}, 1, BP_E_MALFORMED},
        {"quote_safe_is_ff", AT_SAFE, {0xff}, 1, BP_E_MALFORMED},
        {"quote_banks_over_limit", AT_COUNT, {0, 0, 0, 5}, 4, BP_E_LIMIT},
        {"quote_banks_wrap", AT_COUNT, {0xff, 0xff, 0xff, 0xff}, 4, BP_E_LIMIT},
        {"quote_no_bank_leaves_bytes", AT_COUNT, {0, 0, 0, 0}, 4, BP_E_MALFORMED},
        {"quote_bank_unknown", AT_BANK, {0x00, 0x99}, 2, BP_E_UNSUPPORTED},
        {"quote_select_size_zero", AT_SELECT, {0}, 1, BP_E_MALFORMED},
        {"quote_select_size_five", AT_SELECT, {5}, 1, BP_E_MALFORMED},
        {"quote_pcr_above_23", AT_SELECT, {4, 0, 0, 0}, 1, BP_E_MALFORMED},
        {"quote_digest_too_long", AT_DIGEST, {0x00, 0x41}, 2, BP_E_MALFORMED},
        {"quote_digest_shorter_than_rest", AT_DIGEST, {0x00, 0x1f}, 2, BP_E_MALFORMED},
        {"quote_digest_longer_than_rest", AT_DIGEST, {0x00, 0x21}, 2, BP_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_tpm_attest a = {.type = 0x1234};
        bp_case_begin();
        BP_CHECK(bp_is(bp_tpm_attest_read(changed(BP_SPAN_OF(quote), &rows[i]), &a), rows[i].want));
        BP_CHECK(a.type == 0x1234);
        bp_case_end(rows[i].name);
    }
}

static void public_refusals(void)
{
    static const struct change rows[] = {
        {"public_size_one_less", 0, {0x00, 0x57}, 2, BP_E_MALFORMED},
        {"public_size_one_more", 0, {0x00, 0x59}, 2, BP_E_TRUNCATED},
        {"public_type_keyedhash", 2, {0x00, 0x08}, 2, BP_E_UNSUPPORTED},
        {"public_ecc_read_as_rsa", 2, {0x00, 0x01}, 2, BP_E_UNSUPPORTED},
        {"public_name_alg_unknown", 4, {0x00, 0x27}, 2, BP_E_UNSUPPORTED},
        {"public_name_alg_null", 4, {0x00, 0x10}, 2, BP_E_UNSUPPORTED},
        {"public_reserved_attribute", 6, {0x80}, 1, BP_E_MALFORMED},
        {"public_reserved_attribute_0", 9, {0x73}, 1, BP_E_MALFORMED},
        {"public_policy_of_another_hash", 10, {0x00, 0x14}, 2, BP_E_MALFORMED},
        {"public_policy_over_max", 10, {0x00, 0x41}, 2, BP_E_MALFORMED},
        {"public_cipher_unknown", 12, {0x00, 0x26}, 2, BP_E_UNSUPPORTED},
        {"public_scheme_of_rsa", 14, {0x00, 0x14}, 2, BP_E_UNSUPPORTED},
        {"public_scheme_unknown", 14, {0x00, 0x1a}, 2, BP_E_UNSUPPORTED},
        {"public_scheme_hash_unknown", 16, {0x00, 0x27}, 2, BP_E_UNSUPPORTED},
        {"public_curve_unknown", 18, {0x00, 0x05}, 2, BP_E_UNSUPPORTED},
        {"public_x_longer_than_curve", 22, {0x00, 0x21}, 2, BP_E_MALFORMED},
        {"public_x_empty", 22, {0x00, 0x00}, 2, BP_E_MALFORMED},
        {"public_y_wraps", 56, {0xff, 0xff}, 2, BP_E_MALFORMED},
        {"public_y_shorter_than_rest", 56, {0x00, 0x1f}, 2, BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_tpm_public p = {.type = 0x1234};
        bp_case_begin();
        BP_CHECK(bp_is(bp_tpm_public_read(changed(BP_SPAN_OF(ak), &rows[i]), &p), rows[i].want));
        BP_CHECK(p.type == 0x1234);
        bp_case_end(rows[i].name);
    }
}

static void sig_refusals(void)
{
    static const struct change rows[] = {
        {"sig_scheme_null", 0, {0x00, 0x10}, 2, BP_E_UNSUPPORTED},
        {"sig_scheme_ecdaa", 0, {0x00, 0x1a}, 2, BP_E_UNSUPPORTED},
        {"sig_hash_unknown", 2, {0x00, 0x10}, 2, BP_E_UNSUPPORTED},
        {"sig_read_as_rsa", 0, {0x00, 0x14}, 2, BP_E_MALFORMED},
        {"sig_r_over_max", 4, {0x00, 0x43}, 2, BP_E_MALFORMED},
        {"sig_s_wraps", 38, {0xff, 0xff}, 2, BP_E_MALFORMED},
        {"sig_s_shorter_than_rest", 38, {0x00, 0x1f}, 2, BP_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_tpm_sig s = {.scheme = 0x1234};
        bp_case_begin();
        BP_CHECK(bp_is(bp_tpm_sig_read(changed(BP_SPAN_OF(sig), &rows[i]), &s), rows[i].want));
        BP_CHECK(s.scheme == 0x1234);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(signature_becomes_raw)
{
    struct bp_tpm_sig s;
    BP_NEED(!bp_failed(bp_tpm_sig_read(BP_SPAN_OF(sig), &s)));
    BP_CHECK(s.scheme == BP_TPM_ALG_ECDSA && s.hash == BP_TPM_ALG_SHA256);
    uint8_t raw[64];
    BP_NEED(!bp_failed(bp_tpm_sig_raw(&s, 32, raw)));
    BP_CHECK(memcmp(raw, sig + 6, 32) == 0 && memcmp(raw + 32, sig + 40, 32) == 0);
    const uint8_t one[] = {1};
    const uint8_t padded[] = {0, 0, 2};
    const uint8_t zero[] = {0, 0};
    uint8_t longer[33] = {1};
    s.r = BP_SPAN_OF(one);
    s.s = BP_SPAN_OF(padded);
    BP_CHECK(!bp_failed(bp_tpm_sig_raw(&s, 32, raw)));
    BP_CHECK(raw[31] == 1 && raw[0] == 0 && raw[63] == 2 && raw[32] == 0);
    s.s = BP_SPAN_OF(zero);
    BP_CHECK(bp_is(bp_tpm_sig_raw(&s, 32, raw), BP_E_MALFORMED));
    s.s = BP_SPAN_OF(longer);
    BP_CHECK(bp_is(bp_tpm_sig_raw(&s, 32, raw), BP_E_MALFORMED));
    longer[0] = 0;
    longer[1] = 9;
    BP_CHECK(!bp_failed(bp_tpm_sig_raw(&s, 32, raw)) && raw[32] == 9);
}

BP_CASE(public_reads_and_writes_back)
{
    struct bp_tpm_public p;
    BP_NEED(!bp_failed(bp_tpm_public_read(BP_SPAN_OF(ak), &p)));
    BP_CHECK(p.type == BP_TPM_ALG_ECC && p.curve == BP_TPM_ECC_P256 && p.x.n == 32 && p.y.n == 32);
    BP_CHECK(p.all.p == ak + 2 && p.all.n == sizeof ak - 2);
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tpm_public_write(&wr, &p);
    BP_CHECK(bp_span_equal(bp_wr_span(&wr), BP_SPAN_OF(ak)));
}

/* Every attribute that an attestation key must have is taken away in turn, and the one it must not
 * have is added. */
BP_CASE(attestation_key_rules)
{
    struct bp_tpm_public p;
    BP_NEED(!bp_failed(bp_tpm_public_read(BP_SPAN_OF(ak), &p)));
    BP_CHECK(bp_tpm_is_attestation_key(&p) && !bp_tpm_is_device_key(&p));
    static const uint32_t needed[] = {BP_TPMA_FIXED_TPM, BP_TPMA_FIXED_PARENT,
                                      BP_TPMA_SENSITIVE_DATA_ORIGIN, BP_TPMA_SIGN,
                                      BP_TPMA_RESTRICTED};
    const uint32_t good = p.attributes;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        p.attributes = good & ~needed[i];
        BP_CHECK(!bp_tpm_is_attestation_key(&p));
        p.attributes = (good & ~BP_TPMA_RESTRICTED) & ~needed[i];
        BP_CHECK(bp_tpm_is_device_key(&p) == (needed[i] == BP_TPMA_RESTRICTED));
    }
    p.attributes = good | BP_TPMA_DECRYPT;
    BP_CHECK(!bp_tpm_is_attestation_key(&p));
    p.attributes = (good & ~BP_TPMA_RESTRICTED) | BP_TPMA_DECRYPT;
    BP_CHECK(!bp_tpm_is_device_key(&p));
    p.attributes = good;
    p.scheme = BP_TPM_ALG_NULL;
    BP_CHECK(!bp_tpm_is_attestation_key(&p));
}

BP_CASE(ek_templates)
{
    static const uint8_t policy_a[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8,
                                         0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
                                         0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64,
                                         0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
    const struct bp_tpm_public l1 = {.type = BP_TPM_ALG_RSA,
                                     .name_alg = BP_TPM_ALG_SHA256,
                                     .attributes = 0x000300b2,
                                     .policy = BP_SPAN_OF(policy_a),
                                     .sym_alg = BP_TPM_ALG_AES,
                                     .sym_bits = 128,
                                     .sym_mode = BP_TPM_ALG_CFB,
                                     .scheme = BP_TPM_ALG_NULL,
                                     .rsa_bits = 2048};
    BP_CHECK(bp_tpm_ek_template_of(&l1) == BP_TPM_EK_L1);
    struct bp_tpm_public p = l1;
    p.type = BP_TPM_ALG_ECC;
    p.curve = BP_TPM_ECC_P256;
    BP_CHECK(bp_tpm_ek_template_of(&p) == BP_TPM_EK_L2);
    p = l1;
    p.attributes |= BP_TPMA_SIGN;
    BP_CHECK(bp_tpm_ek_template_of(&p) == BP_TPM_EK_NONE);
    p = l1;
    p.policy = BP_SPAN_EMPTY;
    BP_CHECK(bp_tpm_ek_template_of(&p) == BP_TPM_EK_NONE);
    p = l1;
    p.rsa_bits = 1024;
    BP_CHECK(bp_tpm_ek_template_of(&p) == BP_TPM_EK_NONE);
    p = l1;
    p.sym_bits = 256;
    BP_CHECK(bp_tpm_ek_template_of(&p) == BP_TPM_EK_NONE);
}

BP_CASE(selections_compare)
{
    const struct bp_tpm_pcrs a = {1, {{BP_TPM_ALG_SHA256, 0x4fff}}};
    const struct bp_tpm_pcrs with_empty = {2, {{BP_TPM_ALG_SHA1, 0}, {BP_TPM_ALG_SHA256, 0x4fff}}};
    const struct bp_tpm_pcrs subset = {1, {{BP_TPM_ALG_SHA256, 0x0fff}}};
    const struct bp_tpm_pcrs other_bank = {1, {{BP_TPM_ALG_SHA1, 0x4fff}}};
    const struct bp_tpm_pcrs two = {2, {{BP_TPM_ALG_SHA1, 1}, {BP_TPM_ALG_SHA256, 0x4fff}}};
    const struct bp_tpm_pcrs swapped = {2, {{BP_TPM_ALG_SHA256, 0x4fff}, {BP_TPM_ALG_SHA1, 1}}};
    const struct bp_tpm_pcrs none = {0, {{0, 0}}};
    BP_CHECK(bp_tpm_pcrs_equal(&a, &a) && bp_tpm_pcrs_equal(&a, &with_empty) &&
             bp_tpm_pcrs_equal(&with_empty, &a));
    BP_CHECK(!bp_tpm_pcrs_equal(&a, &subset) && !bp_tpm_pcrs_equal(&subset, &a));
    BP_CHECK(!bp_tpm_pcrs_equal(&a, &other_bank) && !bp_tpm_pcrs_equal(&a, &two) &&
             !bp_tpm_pcrs_equal(&two, &a));
    BP_CHECK(!bp_tpm_pcrs_equal(&two, &swapped) && !bp_tpm_pcrs_equal(&a, &none) &&
             bp_tpm_pcrs_equal(&none, &none));
}

BP_CASE(same_bank_twice_is_refused)
{
    const struct bp_tpm_pcrs twice = {2, {{BP_TPM_ALG_SHA256, 1}, {BP_TPM_ALG_SHA256, 2}}};
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tpm_pcrs_put(&wr, &twice);
    bp_rd rd = bp_rd_over(bp_wr_span(&wr));
    struct bp_tpm_pcrs out;
    bp_tpm_pcrs_get(&rd, &out);
    BP_CHECK(bp_is(bp_rd_state(&rd), BP_E_MALFORMED));
}

BP_CASE(sized_buffers)
{
    const uint8_t in[] = {0, 2, 7, 8};
    bp_span content;
    BP_CHECK(!bp_failed(bp_tpm_2b_read(BP_SPAN_OF(in), &content)) && content.n == 2 &&
             content.p[0] == 7);
    BP_CHECK(bp_is(bp_tpm_2b_read(bp_span_of(in, 3), &content), BP_E_TRUNCATED));
    const uint8_t more[] = {0, 1, 7, 8};
    BP_CHECK(bp_is(bp_tpm_2b_read(BP_SPAN_OF(more), &content), BP_E_MALFORMED));
    const uint8_t hmac[] = {1, 2};
    const uint8_t id[] = {3};
    const uint8_t want[] = {0, 5, 0, 2, 1, 2, 3};
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_tpm_id_object_write(&wr, BP_SPAN_OF(hmac), BP_SPAN_OF(id));
    BP_CHECK(bp_span_equal(bp_wr_span(&wr), BP_SPAN_OF(want)));
}

BP_SUITE(codec_tpm,
         BP_RUN(quote_reads_and_writes_back) BP_RUN(certify_reads_and_writes_back)
             BP_RUN(every_truncation_is_refused) BP_TABLE(quote_refusals) BP_TABLE(public_refusals)
                 BP_TABLE(sig_refusals) BP_RUN(signature_becomes_raw)
                     BP_RUN(public_reads_and_writes_back) BP_RUN(attestation_key_rules)
                         BP_RUN(ek_templates) BP_RUN(selections_compare)
                             BP_RUN(same_bank_twice_is_refused) BP_RUN(sized_buffers))
