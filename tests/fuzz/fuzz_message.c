/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_message - bodies of messages between our processes. The first byte chooses the kind: what is accepted
 * writes back to itself, what is refused changes nothing. */
#include "fuzz/fuzz.h"
#include "unit/fleet/ipc/bodies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[1 << 16];
    if (size == 0 || size > sizeof room) {
        return 0;
    }
    const struct body_kind *kind = &body_kinds[data[0] % body_kind_count];
    const bp_span in = bp_span_of(data + 1, size - 1);
    bool touched = false;
    size_t n = 0;
    const bp_result r = kind->again(in, room, sizeof room, &n, &touched);
    FUZZ_HOLDS(!touched);
    if (!bp_failed(r)) {
        FUZZ_HOLDS(bp_span_equal(bp_span_of(room, n), in));
    }
    return 0;
}
