/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_est - certs-only answers: certificates lie inside the input, one after another; what is refused changes
 * nothing. */
#include "codec/est.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    bp_span cert[BP_EST_CERTS_MAX];
    size_t count = 0x5a5a;
    FUZZ_FILL(cert);
    if (bp_failed(bp_est_certs_read(in, cert, &count))) {
        FUZZ_HOLDS(count == 0x5a5a && fuzz_untouched(cert, sizeof cert));
        return 0;
    }
    FUZZ_HOLDS(count >= 1 && count <= BP_EST_CERTS_MAX);
    for (size_t i = 0; i < count; i++) {
        FUZZ_HOLDS(cert[i].n >= 2 && cert[i].p[0] == 0x30 && fuzz_is_inside(cert[i], in));
        FUZZ_HOLDS(i == 0 || cert[i].p == cert[i - 1].p + cert[i - 1].n);
    }
    return 0;
}
