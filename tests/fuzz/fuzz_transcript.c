/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_transcript - transcripts of a root's key. What is read lies inside the input and is in order; of the newest
 * minor it is written again to the same bytes; rooms that are too short are refused; what is refused changes nothing. */
#include "codec/transcript.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_transcript t;
    uint8_t out[BP_TRANSCRIPT_MAX], less[BP_TRANSCRIPT_MAX];
    size_t n = 0, m = 0;
    FUZZ_FILL(t);
    if (bp_failed(bp_transcript_read(in, &t))) {
        FUZZ_HOLDS(fuzz_untouched(&t, sizeof t));
        return 0;
    }
    FUZZ_HOLDS(t.steps > 0 && t.steps <= BP_TRANSCRIPT_STEPS_MAX);
    for (uint32_t i = 0; i < t.steps; i++) {
        FUZZ_HOLDS(fuzz_is_inside(t.step[i].name, in) && fuzz_is_inside(t.step[i].digest, in));
        FUZZ_HOLDS(t.step[i].name.n > 0 && t.step[i].name.n <= BP_TRANSCRIPT_NAME_MAX && t.step[i].digest.n == 32);
        FUZZ_HOLDS(t.step[i].time_ms >= (i == 0 ? 0 : t.step[i - 1].time_ms));
    }
    FUZZ_HOLDS(!bp_failed(bp_transcript_write(&t, out, sizeof out, &n)));
    FUZZ_HOLDS(bp_is(bp_transcript_write(&t, less, size % n, &m), BP_E_NO_SPACE) && m == n);
    /* {1: type, 2: 1, 3: minor: what this version writes has minor 0 and four members. */
    if (data[0] == 0xa4 && size > 22 && data[21] == 0) {
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), in));
    }
    return 0;
}
