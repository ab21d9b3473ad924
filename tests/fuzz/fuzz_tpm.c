/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_tpm - TPM structures: first byte chooses which, the rest is it. What is accepted
 * re-encodes to itself (an attest statement to the form with three-byte PCR maps, which is then
 * stable); what is refused writes nothing. */
#include "codec/tpm.h"
#include "fuzz/fuzz.h"

static uint8_t out[4096], again[4096];

static void attest(bp_span in)
{
    struct bp_tpm_attest a;
    FUZZ_FILL(a);
    if (bp_failed(bp_tpm_attest_read(in, &a))) {
        FUZZ_HOLDS(fuzz_untouched(&a, sizeof a));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(a.qualified_signer, in) && fuzz_is_inside(a.extra_data, in));
    FUZZ_HOLDS(fuzz_is_inside(a.pcr_digest, in) && fuzz_is_inside(a.name, in) &&
               fuzz_is_inside(a.qualified_name, in));
    FUZZ_HOLDS(bp_tpm_pcrs_equal(&a.pcrs, &a.pcrs));
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_tpm_attest_write(&wr, &a);
    FUZZ_HOLDS(!bp_failed(bp_wr_finish(&wr)));
    struct bp_tpm_attest b;
    FUZZ_HOLDS(!bp_failed(bp_tpm_attest_read(bp_wr_span(&wr), &b)));
    FUZZ_HOLDS(bp_tpm_pcrs_equal(&a.pcrs, &b.pcrs) && bp_span_equal(a.extra_data, b.extra_data));
    bp_wr wr2 = bp_wr_over(again, sizeof again);
    bp_tpm_attest_write(&wr2, &b);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr2), bp_wr_span(&wr)));
    if (a.type == BP_TPM_ST_CERTIFY) {
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), in));
    }
}

static void signature(bp_span in)
{
    struct bp_tpm_sig s;
    uint8_t raw[2 * 48];
    FUZZ_FILL(s);
    if (bp_failed(bp_tpm_sig_read(in, &s))) {
        FUZZ_HOLDS(fuzz_untouched(&s, sizeof s));
        return;
    }
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_tpm_sig_write(&wr, &s);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), in));
    FUZZ_FILL(raw);
    if (bp_failed(bp_tpm_sig_raw(&s, 48, raw))) {
        FUZZ_HOLDS(fuzz_untouched(raw, sizeof raw));
    }
}

static void public_area(bp_span in)
{
    struct bp_tpm_public p;
    FUZZ_FILL(p);
    if (bp_failed(bp_tpm_public_read(in, &p))) {
        FUZZ_HOLDS(fuzz_untouched(&p, sizeof p));
        return;
    }
    FUZZ_HOLDS(p.all.p == in.p + 2 && p.all.n == in.n - 2);
    FUZZ_HOLDS(!(bp_tpm_is_attestation_key(&p) && bp_tpm_is_device_key(&p)));
    FUZZ_HOLDS(bp_tpm_ek_template_of(&p) == BP_TPM_EK_NONE || !bp_tpm_is_attestation_key(&p));
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_tpm_public_write(&wr, &p);
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), in));
}

static void sized(bp_span in)
{
    bp_span content;
    FUZZ_FILL(content);
    if (bp_failed(bp_tpm_2b_read(in, &content))) {
        FUZZ_HOLDS(fuzz_untouched(&content, sizeof content));
        return;
    }
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_tpm_2b_write(&wr, content);
    FUZZ_HOLDS(wr.n == in.n && (in.n > sizeof out || bp_span_equal(bp_wr_span(&wr), in)));
    wr = bp_wr_over(out, sizeof out);
    bp_tpm_id_object_write(&wr, bp_span_sub(content, 0, 32), content);
    FUZZ_HOLDS(bp_failed(bp_wr_finish(&wr)) ||
               wr.n == 4 + content.n + (content.n >= 32 ? 32u : 0u));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(bp_span) = {attest, signature, public_area, sized};
    if (size > 0) {
        targets[data[0] % 4](bp_span_of(data + 1, size - 1));
    }
    return 0;
}
