/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_device - hello, challenge, answer, nonce, consistency, log-break, escrow, escrowed, lockout (the first byte chooses): what is accepted and of
 * this version re-encodes to itself, what is refused leaves zeros, spans lie inside the input. */
#include "codec/device.h"
#include "fuzz/fuzz.h"

#define LATER_FROM 252u

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
TRY(log_break, v.index < v.to && fuzz_is_inside(v.event, in) && v.inclusion.n % 32 == 0 && fuzz_is_inside(v.consistency, in))
TRY(escrow, v.device_id.n == 33 && v.envelope.n <= BP_ENVELOPE_MAX && (v.envelope.n == 0) == (v.state == BP_ESCROW_FOREIGN))
TRY(escrowed, v.device_id.n == 33 && (v.digest.n == 32 || v.state == BP_ESCROW_FOREIGN))
TRY(lockout, v.device_id.n == 33 && v.value.n == 32 && fuzz_is_inside(v.value, in))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(bp_span) = {try_hello, try_challenge, try_answer, try_nonce,  try_consistency,
                                           try_log_break, try_escrow, try_escrowed, try_lockout};
    if (size == 0) {
        return 0;
    }
    /* The last of a byte's values choose what came later, so that the older inputs keep their meaning. */
    const size_t later = data[0] >= LATER_FROM ? 5u + (data[0] - LATER_FROM) % 4u : data[0] % 5u;
    tries[later](bp_span_of(data + 1, size - 1));
    return 0;
}
