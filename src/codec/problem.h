/* SPDX-License-Identifier: Apache-2.0 */
/* codec/problem - the one catalogue of what can be refused: API, process messages, CLI and log take
 * number, code, HTTP status, title and advice from here. Numbers and codes are stable: a row is
 * never renumbered or reused.
 *
 * A problem is an answer to a peer. It is not a bp_result, which says what failed inside and where;
 * the part that answers a peer chooses the problem, on purpose and in one place. */
#ifndef BP_CODEC_PROBLEM_H
#define BP_CODEC_PROBLEM_H

#include "base/span.h"

/* number, NAME, code, HTTP status, title, what to do */
#define BP_PROBLEM_LIST(X)                                                                         \
    X(1, INTERNAL, "internal", 500, "The server failed",                                           \
      "Look at the server's log; the request may be repeated.")                                    \
    X(2, BUSY, "busy", 503, "Too much is open", "Repeat after the time in Retry-After.")           \
    X(3, STORAGE_FULL, "storage-full", 507, "The server's disk is full",                           \
      "Free space on the server, then repeat.")                                                    \
    X(4, UNAVAILABLE, "unavailable", 503, "A part of the server is not running",                   \
      "Repeat after the time in Retry-After; if it lasts, look at the server's log.")              \
    X(5, RECOVERING, "recovering", 503, "The server was restored and grants nothing yet",          \
      "An administrator lists and closes the loss first.")                                         \
    X(10, MALFORMED, "malformed", 400, "The bytes do not have the required form",                  \
      "Correct the sender; do not repeat.")                                                        \
    X(11, TOO_LARGE, "too-large", 413, "The body is larger than the limit",                        \
      "Send less; limits are in the protocol.")                                                    \
    X(12, UNSUPPORTED, "unsupported", 400, "Of a type or version that is not known here",          \
      "Use a version that both sides know.")                                                       \
    X(13, MEDIA_TYPE, "media-type", 415, "The content type is not the one of this address",        \
      "Send the content type that the protocol names.")                                            \
    X(14, METHOD, "method-not-allowed", 405, "The method is not one of this address",              \
      "Use the method of the protocol.")                                                           \
    X(15, NOT_FOUND, "not-found", 404, "There is no such thing", "Check the address or the id.")   \
    X(16, CONFLICT, "conflict", 409, "There is such a thing already",                              \
      "Look at what exists before repeating.")                                                     \
    X(17, WRONG_STATE, "wrong-state", 409, "The present state does not allow this",                \
      "Look at the state; the life-cycle table tells what it allows.")                             \
    X(18, VALUE, "value", 422, "A value is not allowed",                                           \
      "Correct the member that the detail names.")                                                 \
    X(19, PRECONDITION, "precondition", 412, "It changed since it was read",                       \
      "Read it again, then decide again.")                                                         \
    X(30, NOT_SIGNED_IN, "not-signed-in", 401, "No session", "Sign in.")                           \
    X(31, BAD_CODE, "bad-code", 401, "The one-time code is wrong, spent or expired",               \
      "Ask for a new code.")                                                                       \
    X(32, FORBIDDEN, "forbidden", 403, "The role does not allow this", "Ask an administrator.")    \
    X(33, CSRF, "csrf", 403, "The request does not come from the page", "Reload the page.")        \
    X(34, WRONG_ISSUER, "wrong-issuer", 403, "The certificate is not one for this address",        \
      "Use a certificate of the class that the address asks for.")                                 \
    X(35, TOO_MANY, "too-many", 429, "Too many attempts", "Repeat after the time in Retry-After.") \
    X(50, UNKNOWN_DEVICE, "unknown-device", 403, "This device is not known here",                  \
      "Enrol it first.")                                                                           \
    X(51, NOT_GENUINE, "not-genuine", 403, "The root of trust is not one that is accepted",        \
      "Check the certificate of the endorsement key and the accepted makers.")                     \
    X(52, WAITING_FULL, "waiting-full", 429, "The waiting room is full",                           \
      "Approve or wait until older entries expire.")                                               \
    X(53, REVOKED, "revoked", 403, "This device is revoked",                                       \
      "Nothing; a revoked device does not come back.")                                             \
    X(54, KEY_IN_USE, "key-in-use", 403,                                                           \
      "A key of this device belongs to another one or was used before",                            \
      "Make a new key; if it was not you, look at both devices.")                                  \
    X(55, BAD_INVITATION, "bad-invitation", 403, "The invitation code is wrong, spent or expired", \
      "Make a new one.")                                                                           \
    X(56, ACTIVATION, "activation-failed", 403,                                                    \
      "The device did not prove that it holds its endorsement key",                                \
      "Say hello again; a credential serves once.")                                                \
    X(57, NOT_PREAPPROVED, "not-preapproved", 403, "No fresh verdict vouches for this key",        \
      "Attest with this key in the collection, then ask again within ten minutes.")                \
    X(58, WAITING, "waiting", 202, "Waiting for approval",                                         \
      "An operator compares the id and approves.")                                                 \
    X(59, QUARANTINED, "quarantined", 403, "This device is quarantined",                           \
      "An operator looks at the reason and releases it.")                                          \
    X(60, BROWNFIELD_OFF, "brownfield-off", 403,                                                   \
      "Devices that cannot attest get no certificate here",                                        \
      "An administrator may switch the Brownfield CA on.")                                         \
    X(61, BAD_CSR, "bad-csr", 400, "The certificate request is not acceptable",                    \
      "Use P-256 and a valid self-signature.")                                                     \
    X(106, ATTESTATION, "attestation-refused", 400,                                                \
      "The evidence in the certificate request is not acceptable",                                 \
      "The detail names what is wrong; ask for a nonce and make it anew, for the request's key alone.") \
    X(105, NO_LABEL, "no-such-label", 404,                                                         \
      "There is no such label for this device",                                                    \
      "Use the device's own zone or a service that an administrator added for it.")                \
    X(70, NONCE, "bad-nonce", 400, "The nonce is not one of this server's",                        \
      "Use the fresh nonce of this answer.")                                                       \
    X(71, NONCE_EXPIRED, "nonce-expired", 400, "The nonce is too old",                             \
      "Use the fresh nonce of this answer.")                                                       \
    X(72, REPLAYED, "replayed", 409, "This number was answered before",                            \
      "Use the fresh nonce of this answer.")                                                       \
    X(73, EVIDENCE, "evidence-refused", 400, "The evidence is not acceptable",                     \
      "The detail names the rule that it broke.")                                                  \
    X(74, WRONG_DEVICE, "wrong-device", 403, "The evidence is not of the device that sent it",     \
      "Attest over the connection of the device itself.")                                          \
    X(80, SIGNATURE, "bad-signature", 400, "A signature does not verify",                          \
      "Sign again with a key that is known here.")                                                 \
    X(90, OWNERSHIP, "ownership-refused", 409, "The chain of ownership is not accepted",           \
      "The detail names what is wrong with it; ask who signed it.")                                \
    X(91, OWNERSHIP_FORK, "ownership-fork", 409, "Another chain was taken for the same epoch",     \
      "Keep both files: whoever signed both gave one device away twice.")                          \
    X(92, NO_OWNERSHIP, "no-ownership", 404, "No chain of ownership is known for this device",     \
      "Ask the seller for it and import it, or invite the device.")                                \
    X(93, ERASURE, "erasure-refused", 403, "It does not prove that the device left",               \
      "Let the device attest again; the detail names what is wrong.")                              \
    X(81, OUTDATED, "outdated", 409, "Older than what is in force", "Publish a higher version.") \
    X(95, UNIT_MISMATCH, "unit-mismatch", 403,                                                     \
      "The chip is not the whole unit that its maker's manifest names",                            \
      "Compare the label; ask the maker what was changed.")                                        \
    X(96, MAKER, "maker", 412, "The maker's key is not the one that is pinned here",               \
      "Compare the key's hash with the maker, then name it.")                                      \
    X(97, BATCH, "batch", 409, "This batch, or a newer one of its order, was imported already",    \
      "Import batches in their order, each once.")                                                 \
    X(98, UNIT, "unit", 409, "A unit of the manifest was announced before",                        \
      "Ask the maker: no unit is in two batches.")                                                 \
    X(99, TWO_DEVICES, "two-devices", 403,                                                         \
      "The endorsement keys of this chip are known here as two devices",                           \
      "Retire the one that is not wanted, and let the chip show the key of the other one alone.")  \
    X(100, POSITION_FILLED, "position-filled", 409,                                                \
      "The position is filled, or the device fills another one",                                   \
      "Look at the position; a spare takes it over by replacing.")                                 \
    X(101, NOT_A_SPARE, "not-a-spare", 409, "The device cannot take this position",                \
      "Take one that is enrolled or active, trusted, heard in time, of the position's model, and fills none.") \
    X(102, SAME_PERSON, "same-person", 403, "Who proposed an act cannot approve it",                \
      "Another administrator looks at it and approves.")                                           \
    X(103, ACTION_OVER, "action-over", 409, "The act was decided already, or nobody decided in time", \
      "Propose it again.")

enum bp_problem {
    BP_P_NONE = 0,
#define BP_X(number, name, code, status, title, action) BP_P_##name = (number),
    BP_PROBLEM_LIST(BP_X)
#undef BP_X
};

/* One row; texts live as long as the program. */
struct bp_problem_row {
    enum bp_problem number;
    uint16_t status;
    const char *code;
    const char *title;
    const char *action;
};

/* The row of a number; the row of INTERNAL for a number that is not in the table. */
struct bp_problem_row bp_problem_row(enum bp_problem number);

/* The problem with this code, or BP_P_NONE. */
enum bp_problem bp_problem_of_code(bp_span code);

#endif
