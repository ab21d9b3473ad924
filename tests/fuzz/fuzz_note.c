/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_note - signed notes, checkpoints, base64. The parts of a note put together again are the input; a
 * checkpoint is written and signed again to the same text, which our key's signature verifies, beside the lines that came
 * and alone, and no other; what is refused changes nothing. */
#include "codec/base64.h"
#include "codec/note.h"
#include "fuzz/fuzz.h"
#include "fuzz/signing.h"

#define CHECKPOINT_MAX 1024u /* name twice, size, root and signature */

static bool has_blank(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == ' ' || s.p[i] == '\t') {
            return true;
        }
    }
    return false;
}

static void try_base64(bp_span in)
{
    uint8_t raw[768];
    uint8_t raw_wrapped[768];
    uint8_t text[1024];
    bp_wr wr = bp_wr_over(raw, sizeof raw);
    bp_wr wrapped = bp_wr_over(raw_wrapped, sizeof raw_wrapped);
    bp_base64_read(&wr, in);
    bp_base64_read_wrapped(&wrapped, in);
    const bool is_read = !bp_failed(bp_wr_finish(&wr));
    /* Without blanks the two readers agree; with any only one of them takes the text. */
    FUZZ_HOLDS(!bp_failed(bp_wr_finish(&wrapped)) ? is_read != has_blank(in) : !is_read);
    if (is_read) {
        bp_wr back = bp_wr_over(text, sizeof text);
        bp_base64_write(&back, bp_wr_span(&wr));
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&back), in) && bp_span_equal(bp_wr_span(&wrapped), bp_wr_span(&wr)));
    }
}

static bp_span spki(void)
{
    return bp_span_of(fuzz_key()->spki, fuzz_key()->spki_n);
}

/* The note that came, with one more signature line, which is ours. */
static void check_beside(bp_span in, bp_span line, bp_span origin)
{
    static uint8_t joined[BP_NOTE_MAX];
    struct bp_note note;
    if (in.n + line.n > sizeof joined) {
        return;
    }
    memcpy(joined, in.p, in.n);
    memcpy(joined + in.n, line.p, line.n);
    const bp_result r = bp_note_read(bp_span_of(joined, in.n + line.n), &note);
    FUZZ_HOLDS(!bp_failed(r) || bp_is(r, BP_E_LIMIT));
    if (!bp_failed(r)) {
        FUZZ_HOLDS(!bp_failed(bp_note_verify(fuzz_crypto(), &note, origin, spki())));
    }
}

static void check_checkpoint(bp_span in, const struct bp_note *came, const struct bp_checkpoint *cp)
{
    uint8_t out[CHECKPOINT_MAX];
    uint8_t short_room[CHECKPOINT_MAX];
    struct bp_note note;
    struct bp_checkpoint again;
    size_t n = 0;
    const struct test_key *key = fuzz_key();
    const bp_result r = bp_checkpoint_write(fuzz_crypto(), &key->signer, spki(), cp->origin, cp->size, cp->root, out,
                                            sizeof out, &n);
    if (bp_failed(r)) {
        FUZZ_HOLDS(bp_is(r, BP_E_BAD_ARGUMENT)); /* a first line that is no key name */
        return;
    }
    FUZZ_HOLDS(!bp_failed(bp_note_read(bp_span_of(out, n), &note)) && !bp_failed(bp_checkpoint_read(&note, &again)));
    FUZZ_HOLDS(bp_span_equal(note.text, bp_span_sub(came->text, 0, came->text.n - cp->extensions.n)));
    FUZZ_HOLDS(again.size == cp->size && memcmp(again.root, cp->root, sizeof cp->root) == 0 && again.extensions.n == 0);
    FUZZ_HOLDS(bp_is(bp_checkpoint_write(fuzz_crypto(), &key->signer, spki(), cp->origin, cp->size, cp->root, short_room,
                                         cp->size % (note.text.n + 1), &n),
                     BP_E_NO_SPACE));
    FUZZ_HOLDS(!bp_failed(bp_note_verify(fuzz_crypto(), &note, cp->origin, spki())));
    FUZZ_HOLDS(bp_is(bp_note_verify(fuzz_crypto(), came, cp->origin, spki()), BP_E_NOT_FOUND));
    if (cp->extensions.n == 0) {
        check_beside(in, note.signatures, cp->origin);
    }
    out[cp->size % note.text.n] ^= 1;
    FUZZ_HOLDS(bp_is(bp_note_verify(fuzz_crypto(), &note, cp->origin, spki()), BP_E_BAD_SIGNATURE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_note note;
    struct bp_checkpoint cp;
    FUZZ_FILL(note);
    FUZZ_FILL(cp);
    try_base64(in);
    if (bp_failed(bp_note_read(in, &note))) {
        FUZZ_HOLDS(fuzz_untouched(&note, sizeof note));
        return 0;
    }
    FUZZ_HOLDS(note.text.p == in.p && note.text.n + 1 + note.signatures.n == in.n);
    FUZZ_HOLDS(note.text.p[note.text.n - 1] == '\n' && note.text.p[note.text.n] == '\n');
    if (bp_failed(bp_checkpoint_read(&note, &cp))) {
        FUZZ_HOLDS(fuzz_untouched(&cp, sizeof cp));
    } else {
        FUZZ_HOLDS(fuzz_is_inside(cp.origin, note.text) && fuzz_is_inside(cp.extensions, note.text));
        check_checkpoint(in, &note, &cp);
    }
    return 0;
}
