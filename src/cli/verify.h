/* SPDX-License-Identifier: Apache-2.0 */
/* cli/verify - checks a bundle with no server: from the anchor that the caller brings down to the appraisal, which is
 * made again (docs/protocol/bundle.md, "How it is checked").
 *
 * Memory of one verification is its own and bounded by the size of the bundle. It asks no clock: everything is judged
 * as of the time of the verdict. It deliberately does not evaluate the policy. */
#ifndef BP_CLI_VERIFY_H
#define BP_CLI_VERIFY_H

#include "codec/bundle.h"
#include "codec/ear.h"
#include "port/crypto.h"

/* ID, name, what holds when it is passed. In the order in which they are made. */
#define BP_VERIFY_STEPS(X)                                                                                             \
    X(FORM, "form", "the file is a bundle, and no member is of another form")                                         \
    X(CHAIN, "chain", "the keys of log, results and bindings are certified by the anchor")                             \
    X(HEAD, "head", "the log's head is signed by the log's key")                                                       \
    X(INCLUSION, "inclusion", "the verdict's event stands at its number in the log of that head")                      \
    X(EVENT, "event", "the event is a verdict that names result, evidence and state by their digests")                \
    X(RESULT, "result", "the result is signed by the result key and is the one of the event")                          \
    X(BINDING, "binding", "the CA signer bound the attestation key to this device")                                    \
    X(QUOTE, "quote", "the chip's attestation key signed the evidence for this nonce and connection")                  \
    X(REFERENCES, "references", "the releases are those that the result names")                                        \
    X(POLICY, "policy", "the policy document is the one that the result names")                                        \
    X(STATE, "state", "what was known of the device before is what the event names")                                   \
    X(LOGS, "logs", "earlier logs lead to the values that were known before")                                          \
    X(REPLAY, "replay", "the appraisal, made again, says the same")

enum bp_verify_step {
#define BP_X(id, name, text) BP_V_##id,
    BP_VERIFY_STEPS(BP_X)
#undef BP_X
        BP_V_COUNT
};

struct bp_verify_row {
    const char *name;
    const char *text;
};
struct bp_verify_row bp_verify_row(enum bp_verify_step step);

struct bp_verification {
    bool good;
    enum bp_verify_step failed; /* BP_V_COUNT when it is good: every step before it passed, none after was made */
    char reason[160];           /* why it failed: "word: sentence" */
    /* Spans point into the bundle. Only what a passed step covers may be shown as true. */
    struct bp_bundle bundle;
    struct bp_ear ear;
    int64_t time_ms; /* of the event */
    bool by_policy;  /* the policy made the tier worse than the appraisal's */
};

/* Checks the bundle against the SHA-256 of the root's DER. It fails only when it could not do its work (NO_MEMORY,
 * CRYPTO); what is wrong with the bundle is the verification's reason. */
BP_MUST_CHECK bp_result bp_verify_bundle(struct bp_crypto *c, bp_span bundle, const uint8_t anchor[BP_SHA256_SIZE],
                                         struct bp_verification *ret);

#endif
