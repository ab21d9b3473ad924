/* SPDX-License-Identifier: Apache-2.0 */
/* base/result - the one-word error type that every layer returns.
 *
 * A bp_result says what went wrong (error), where the first failing site is (module and line), in one
 * register: no strings, heap or thread-local storage, so it is the same on a microcontroller and a server.
 * It deliberately does not carry backend detail (TPM return codes, errno): that goes into a trace the caller
 * supplies. The type is a struct so that mixing it with an int does not compile. */
#ifndef BP_BASE_RESULT_H
#define BP_BASE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

/* Every error a caller can act on. Name, then what it means in one clause. */
#define BP_ERROR_LIST(X)                                                                           \
    X(OK, "no error")                                                                              \
    X(MALFORMED, "the bytes do not have the form that the format requires")                        \
    X(TRUNCATED, "the input ends before the format does")                                          \
    X(NOT_CANONICAL, "the bytes have a meaning but not in the one encoding that is allowed")       \
    X(UNSUPPORTED, "well formed, but of a type, version or algorithm that is not known here")      \
    X(NO_SPACE, "the caller's room is too small")                                                  \
    X(LIMIT, "a ceiling stated in the header was reached")                                         \
    X(BAD_ARGUMENT, "the caller broke the contract in the header")                                 \
    X(BAD_SIGNATURE, "a signature or authentication code does not verify")                         \
    X(MISMATCH, "two values that must be equal are not")                                           \
    X(DENIED, "refused by a rule, a policy or the root of trust")                                  \
    X(EXPIRED, "outside the time in which it is valid")                                            \
    X(REPLAYED, "seen before, or older than what was seen")                                        \
    X(NOT_FOUND, "there is no such thing")                                                         \
    X(EXISTS, "there is such a thing already")                                                     \
    X(BUSY, "not now; the same call may work later")                                               \
    X(CLOSED, "the other side is gone")                                                            \
    X(IO, "the operating system or the device refused")                                            \
    X(FULL, "the storage has no room left; the same call may work when it has")                    \
    X(NO_MEMORY, "the allocator refused")                                                          \
    X(CRYPTO, "the cryptographic backend failed")                                                  \
    X(ROOT, "the root of trust failed or is absent")                                               \
    X(INTERNAL, "a state that the code holds impossible")

enum bp_error {
#define BP_X(name, text) BP_E_##name,
    BP_ERROR_LIST(BP_X)
#undef BP_X
        BP_E_COUNT
};

/* Modules, for the second byte of the word. One a source folder, finer where a folder is large. */
#define BP_MODULE_LIST(X)                                                                          \
    X(NONE)                                                                                        \
    X(BASE) X(CBOR) X(COSE) X(DER) X(CODEC) X(TPM) X(TCGLOG) X(IMA) X(CORIM) X(EVENT) X(CORE)      \
    X(ROT) X(PLATFORM) X(CRYPTO) X(APPRAISE) X(HTTP) X(TLS) X(NET) X(AGENT) X(PROC) X(STORE)       \
    X(REGISTRY) X(POLICY) X(RELEASES) X(AUTHORITY) X(SIGNER) X(EVENTS) X(API) X(CLI) X(TEST) X(PKI)

enum bp_module {
#define BP_X(name) BP_M_##name,
    BP_MODULE_LIST(BP_X)
#undef BP_X
        BP_M_COUNT
};

/* word = error (bits 0-7) | module (8-15) | line (16-31); 0 is success. */
typedef struct {
    uint32_t word;
} bp_result;

#define BP_MUST_CHECK __attribute__((warn_unused_result))

#define BP_OK ((bp_result){0})

/* A failure at this line. The file must define BP_MODULE (a bare name of the list) before it uses this. */
#define BP_FAIL(error) bp_fail_at(BP_E_##error, BP_MODULE_ID, __LINE__)
#define BP_MODULE_ID   BP_MODULE_CAT(BP_M_, BP_MODULE)
#define BP_MODULE_CAT(a, b)  BP_MODULE_CAT2(a, b)
#define BP_MODULE_CAT2(a, b) a##b

static inline bp_result bp_fail_at(enum bp_error error, enum bp_module module, unsigned line)
{
    return (bp_result){(uint32_t)error | ((uint32_t)module << 8) | ((uint32_t)(line & 0xffffu) << 16)};
}

static inline bool bp_failed(bp_result r)
{
    return r.word != 0;
}

static inline enum bp_error bp_error_of(bp_result r)
{
    return (enum bp_error)(r.word & 0xffu);
}

static inline bool bp_is(bp_result r, enum bp_error error)
{
    return bp_error_of(r) == error;
}

/* Returns the failure to the caller. Only where nothing is held; otherwise `goto out`. */
#define BP_TRY(expr)                                                                               \
    do {                                                                                           \
        const bp_result bp_try_r = (expr);                                                         \
        if (bp_failed(bp_try_r)) {                                                                 \
            return bp_try_r;                                                                       \
        }                                                                                          \
    } while (0)

/* Ignores a result on purpose; `why` is a string literal that says why nothing is lost. */
#define BP_IGNORE(expr, why)                                                                       \
    do {                                                                                           \
        const bp_result bp_ignored = (expr);                                                       \
        (void)bp_ignored;                                                                          \
        (void)("" why);                                                                            \
    } while (0)

/* Answers worth attacking: two words with no bit in common; everything else counts as DENY. */
typedef uint32_t bp_verdict;
#define BP_DENY  ((bp_verdict)0x5a3c69a5u)
#define BP_ALLOW ((bp_verdict)0xa5c3965au)

/* Names for people; hosted code and tests only (strings are not linked where they are not used). */
const char *bp_error_name(enum bp_error error);
const char *bp_error_text(enum bp_error error);
const char *bp_module_name(enum bp_module module);

#endif
