/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_note - signed notes, checkpoints, base64: the parts put together again are the input, what is refused
 * changes nothing. */
#include "codec/base64.h"
#include "codec/note.h"
#include "fuzz/fuzz.h"

static void try_base64(bp_span in)
{
    uint8_t raw[768];
    uint8_t text[1024];
    bp_wr wr = bp_wr_over(raw, sizeof raw);
    bp_base64_read(&wr, in);
    if (bp_failed(bp_wr_finish(&wr))) {
        return;
    }
    bp_wr back = bp_wr_over(text, sizeof text);
    bp_base64_write(&back, bp_wr_span(&wr));
    FUZZ_HOLDS(bp_span_equal(bp_wr_span(&back), in));
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
    }
    return 0;
}
