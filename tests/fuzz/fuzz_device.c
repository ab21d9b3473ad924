/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_device - hello, challenge, answer, nonce, consistency (the first byte chooses): what is accepted and of
 * this version re-encodes to itself, what is refused leaves zeros, spans lie inside the input. */
#include "codec/device.h"
#include "fuzz/fuzz.h"

static uint8_t again[BP_ANSWER_MAX];

static bool is_zero(const void *object, size_t n)
{
    const uint8_t *p = object;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* `inside` is an expression over the object v. */
#define TRY(name, inside)                                                                                              \
    static void try_##name(bp_span in)                                                                                 \
    {                                                                                                                  \
        static struct bp_##name v;                                                                                     \
        size_t n = 0;                                                                                                  \
        FUZZ_FILL(v);                                                                                                  \
        if (bp_failed(bp_##name##_read(in, &v))) {                                                                     \
            FUZZ_HOLDS(is_zero(&v, sizeof v));                                                                         \
            return;                                                                                                    \
        }                                                                                                              \
        FUZZ_HOLDS(inside);                                                                                            \
        if (v.minor == 0 && v.unknown == 0) {                                                                          \
            FUZZ_HOLDS(!bp_failed(bp_##name##_write(&v, again, sizeof again, &n)));                                    \
            FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));                                                       \
        }                                                                                                              \
    }
TRY(hello, v.eks >= 1 && v.eks <= BP_DEVICE_EKS_MAX && fuzz_is_inside(v.ak, in) && fuzz_is_inside(v.code, in))
TRY(challenge, v.device_id.n == 33 && v.nonce.n == 32 && v.issued_ms >= 0 && fuzz_is_inside(v.state, in))
TRY(answer, v.nonce.n == 32 && v.due_ms <= INT32_MAX && fuzz_is_inside(v.ear, in) && fuzz_is_inside(v.head, in))
TRY(nonce, v.nonce.n == 32 && v.issued_ms >= 0 && fuzz_is_inside(v.nonce, in))
TRY(consistency, v.from <= v.to && v.hashes <= BP_DEVICE_PROOF_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(bp_span) = {try_hello, try_challenge, try_answer, try_nonce, try_consistency};
    if (size == 0) {
        return 0;
    }
    tries[data[0] % (sizeof tries / sizeof tries[0])](bp_span_of(data + 1, size - 1));
    return 0;
}
