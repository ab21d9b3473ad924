/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_frame - frames between our processes, and the two bodies of the message `http`. The first byte chooses.
 * What is accepted lies inside its input and is written back to the same bytes; what is refused changes nothing. */
#include "codec/exchange.h"
#include "fuzz/fuzz.h"
#include "net/frame.h"

static uint8_t room[1 << 16];

static void try_frame(bp_span in)
{
    struct bp_frame f;
    size_t n = 0;
    FUZZ_FILL(f);
    if (bp_failed(bp_frame_parse(in, &f))) {
        FUZZ_HOLDS(fuzz_untouched(&f, sizeof f));
        return;
    }
    FUZZ_HOLDS(fuzz_is_inside(f.op, in) && fuzz_is_inside(f.body, in) && f.op.n <= BP_FRAME_OP_MAX);
    FUZZ_HOLDS(!bp_failed(bp_frame_write(&f, room, sizeof room, &n)) && n == in.n + 4);
    FUZZ_HOLDS(bp_span_equal(bp_span_of(room + 4, n - 4), in));
    FUZZ_HOLDS((size_t)room[0] << 24 == 0 && ((size_t)room[1] << 16 | (size_t)room[2] << 8 | room[3]) == in.n);
}

static void try_request(bp_span in)
{
    struct bp_ex_request q;
    size_t n = 0;
    FUZZ_FILL(q);
    if (bp_failed(bp_ex_request_read(in, &q))) {
        FUZZ_HOLDS(fuzz_untouched(&q, sizeof q));
        return;
    }
    FUZZ_HOLDS(q.listener.n != 0 && q.target.n <= BP_EX_TARGET_MAX && fuzz_is_inside(q.target, in));
    FUZZ_HOLDS(fuzz_is_inside(q.body, in) && fuzz_is_inside(q.language, in) && fuzz_is_inside(q.agent, in));
    FUZZ_HOLDS(!bp_failed(bp_ex_request_write(&q, room, sizeof room, &n)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(room, n), in));
}

static void try_answer(bp_span in)
{
    struct bp_ex_answer a;
    size_t n = 0;
    FUZZ_FILL(a);
    if (bp_failed(bp_ex_answer_read(in, &a))) {
        FUZZ_HOLDS(fuzz_untouched(&a, sizeof a));
        return;
    }
    FUZZ_HOLDS(a.status >= 100 && a.status <= 599 && a.header_count <= BP_EX_HEADERS_MAX);
    FUZZ_HOLDS(!bp_failed(bp_ex_answer_write(&a, room, sizeof room, &n)));
    FUZZ_HOLDS(bp_span_equal(bp_span_of(room, n), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(bp_span) = {try_frame, try_request, try_answer};
    if (size == 0 || size > sizeof room - 4) {
        return 0;
    }
    tries[data[0] % (sizeof tries / sizeof *tries)](bp_span_of(data + 1, size - 1));
    return 0;
}
