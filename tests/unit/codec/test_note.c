/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_note - signed notes and checkpoints. */
#include "codec/note.h"
#include "harness.h"
#include "unit/signer.h"

static struct bp_crypto *crypto;

#define SIG "\xe2\x80\x94 log.example MTIzNDU=\n"

static const struct {
    const char *name;
    bp_span in;
    bool is_note, is_checkpoint;
} row[] = {
#define IN(text) {(const uint8_t *)(text), sizeof(text) - 1}
#define ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    {"checkpoint", IN("log.example\n7\n" ROOT "\n\n" SIG), true, true},
    {"empty_tree", IN("log.example\n0\n" ROOT "\n\n" SIG), true, true},
    {"largest", IN("log.example\n18446744073709551615\n" ROOT "\n\n" SIG), true, true},
    {"extension_line", IN("log.example\n7\n" ROOT "\nmore\n\n" SIG), true, true},
    {"two_signatures", IN("log.example\n7\n" ROOT "\n\n" SIG SIG), true, true},
    {"origin_with_blank", IN("a log\n7\n" ROOT "\n\n" SIG), true, true},
    {"size_leading_zero", IN("log.example\n07\n" ROOT "\n\n" SIG), true, false},
    {"size_negative", IN("log.example\n-7\n" ROOT "\n\n" SIG), true, false},
    {"size_of_2_to_64", IN("log.example\n18446744073709551616\n" ROOT "\n\n" SIG), true, false},
    {"size_empty", IN("log.example\n\n" ROOT "\n\n" SIG), true, false},
    {"root_short", IN("log.example\n7\nMTIzNDU=\n\n" SIG), true, false},
    {"root_missing", IN("log.example\n7\n\n" SIG), true, false},
    {"origin_empty", IN("\n7\n" ROOT "\n\n" SIG), true, false},
    {"blank_line_in_text", IN("log.example\n7\n" ROOT "\n\nmore\n\n" SIG), true, false},
    {"nothing", IN(""), false, false},
    {"no_signature", IN("log.example\n7\n" ROOT "\n\n"), false, false},
    {"no_blank_line", IN("log.example\n7\n" ROOT "\n" SIG), false, false},
    {"no_last_newline", IN("log.example\n7\n" ROOT "\n\n\xe2\x80\x94 log.example MTIzNDU="), false, false},
    {"hyphen_for_dash", IN("log.example\n7\n" ROOT "\n\n- log.example MTIzNDU=\n"), false, false},
    {"no_name", IN("a\n\n\xe2\x80\x94  MTIzNDU=\n"), false, false},
    {"plus_in_name", IN("a\n\n\xe2\x80\x94 a+b MTIzNDU=\n"), false, false},
    {"wide_blank_in_name", IN("a\n\n\xe2\x80\x94 a\xe2\x80\x83" "b MTIzNDU=\n"), false, false},
    {"no_base64", IN("a\n\n\xe2\x80\x94 a\n"), false, false},
    {"key_id_only", IN("a\n\n\xe2\x80\x94 a MTIzNA==\n"), false, false},
    {"base64_bits_left", IN("a\n\n\xe2\x80\x94 a MTIzNDV=\n"), false, false},
    {"carriage_return", IN("a\r\n\n\xe2\x80\x94 a MTIzNDU=\n"), false, false},
    {"zero_byte", IN("a\0\n\n\xe2\x80\x94 a MTIzNDU=\n"), false, false},
    {"not_utf8", IN("\xff\n\n\xe2\x80\x94 a MTIzNDU=\n"), false, false},
};

static void rows(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        struct bp_note note;
        struct bp_checkpoint cp;
        const bool is_note = !bp_failed(bp_note_read(row[i].in, &note));
        BP_CHECK(is_note == row[i].is_note);
        BP_CHECK((is_note && !bp_failed(bp_checkpoint_read(&note, &cp))) == row[i].is_checkpoint);
        bp_case_end(row[i].name);
    }
}

static bool is_good(bp_span in, const struct test_key *k)
{
    struct bp_note note;
    return !bp_failed(bp_note_read(in, &note)) &&
           !bp_failed(bp_note_verify(crypto, &note, BP_SPAN_STR("log.example"), bp_span_of(k->spki, k->spki_n)));
}

BP_CASE(written_checkpoint_reads_and_verifies)
{
    struct test_key k;
    uint8_t root[32];
    uint8_t out[512];
    size_t n = 0;
    memset(root, 0x42, sizeof root);
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)) && test_key_make(&k, BP_SIG_ES256));
    const bp_span spki = bp_span_of(k.spki, k.spki_n);
    const bp_span origin = BP_SPAN_STR("log.example");
    BP_CHECK(bp_is(bp_checkpoint_write(crypto, &k.signer, spki, origin, 20852163, root, out, 20, &n), BP_E_NO_SPACE));
    BP_NEED(n <= sizeof out);
    BP_NEED(!bp_failed(bp_checkpoint_write(crypto, &k.signer, spki, origin, 20852163, root, out, n, &n)));
    struct bp_note note;
    struct bp_checkpoint cp;
    BP_NEED(!bp_failed(bp_note_read(bp_span_of(out, n), &note)) && !bp_failed(bp_checkpoint_read(&note, &cp)));
    BP_CHECK(bp_span_equal(cp.origin, origin) && cp.size == 20852163 && memcmp(cp.root, root, 32) == 0);
    BP_CHECK(cp.extensions.n == 0 && is_good(bp_span_of(out, n), &k));
    BP_CHECK(bp_is(bp_note_verify(crypto, &note, BP_SPAN_STR("other"), spki), BP_E_NOT_FOUND));
    /* No bit of a note with one signature is without effect. */
    for (size_t bit = 0; bit < n * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        BP_CHECK(!is_good(bp_span_of(out, n), &k));
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* A line of somebody else's is passed over; one of ours that fails is not made good by it. */
    const bp_span more = BP_SPAN_STR(SIG);
    memcpy(out + n, more.p, more.n);
    BP_CHECK(is_good(bp_span_of(out, n + more.n), &k));
    out[0] ^= 1;
    BP_CHECK(!is_good(bp_span_of(out, n + more.n), &k));
    BP_CHECK(bp_is(bp_checkpoint_write(crypto, &k.signer, spki, BP_SPAN_STR("a+b"), 1, root, out, sizeof out, &n),
                   BP_E_BAD_ARGUMENT));
    test_key_done(&k);
}

/* clang-format off */
BP_SUITE(note,
    BP_TABLE(rows)
    BP_RUN(written_checkpoint_reads_and_verifies)
    bp_crypto_openssl_free(crypto);)
