/* SPDX-License-Identifier: Apache-2.0 */
/* core/ownership - walks a chain of ownership (docs/protocol/ownership.md): from the maker's anchor, each statement signed
 * by the key that the one before named, to the present owner; and compares it with what is known of the device already.
 *
 * Pure: the caller gives time, memory and what it stored, and stores what comes back. Device and server use the same
 * walk. A statement that was taken once counts for ever; only a later one is judged by time. */
#ifndef BP_CORE_OWNERSHIP_H
#define BP_CORE_OWNERSHIP_H

#include "codec/ownership.h"
#include "port/crypto.h"

#define BP_OWNERSHIP_SCRATCH (2u * BP_OWNERSHIP_SIGNED_MAX)

/* name, code, what to tell */
#define BP_OWN_FAULT_LIST(X)                                                                                          \
    X(NONE, "ownership-good", "the chain is good")                                                                    \
    X(FORM, "ownership-form", "it is not of its form")                                                                \
    X(MAKER, "ownership-maker", "the maker is not the one that is known here")                                        \
    X(DEVICE, "ownership-device", "it is about another device")                                                       \
    X(KIND, "ownership-kind", "a statement of this kind does not stand in this place")                                \
    X(EPOCH, "ownership-epoch", "the epoch does not rise by one")                                                     \
    X(LINK, "ownership-link", "it does not name the statement before it")                                             \
    X(SIGNER, "ownership-signer", "it is not by the key that had the right to sign it")                               \
    X(SIGNATURE, "ownership-signature", "its signature does not verify")                                              \
    X(COSIGNER, "ownership-cosigner", "an override is not signed by two keys of the maker")                           \
    X(EXPIRED, "ownership-expired", "it has expired")                                                                 \
    X(WAITING, "ownership-waiting", "the waiting time of an override is not over")                                    \
    X(PRESENCE, "ownership-presence", "an override needs somebody at the device")                                     \
    X(FORK, "ownership-fork", "it is a second statement for an epoch that is used")                                   \
    X(OLDER, "ownership-older", "the chain ends before the epoch that is known here")                                 \
    X(ENDED, "ownership-ended", "the device was retired by the statement before it")                                  \
    X(CARD, "ownership-card", "the owner's card is missing or not good")                                              \
    X(ROOT, "ownership-root", "the owner's card is for servers under another root")                                   \
    X(OWNER, "ownership-owner", "the device belongs to another owner")

enum bp_own_fault {
#define BP_X(name, code, text) BP_OWN_##name,
    BP_OWN_FAULT_LIST(BP_X)
#undef BP_X
        BP_OWN_FAULTS
};
const char *bp_own_fault_code(enum bp_own_fault fault);
const char *bp_own_fault_text(enum bp_own_fault fault);

struct bp_own_ask {
    bp_span device_id;             /* 33 bytes */
    const uint8_t *anchor;         /* SHA-256 of the maker's anchor that alone counts; NULL: any (it is in the result) */
    uint32_t epoch;                /* known already, with head; 0: nothing is */
    const uint8_t *head;           /* SHA-256 of the signed statement of that epoch */
    int64_t now_ms;
    bool is_present;               /* somebody is at the device and says so */
    uint8_t *scratch;              /* BP_OWNERSHIP_SCRATCH bytes */
};

/* What a chain comes to. Spans point into the chain. */
struct bp_own_state {
    uint8_t anchor[BP_SHA256_SIZE];
    uint32_t epoch;
    uint8_t head[BP_SHA256_SIZE];
    struct bp_ownership last;       /* the statement that made it so */
    uint32_t statements;            /* how many were good: with a fault the number of the one that is at fault, from 0 */
};

/* NONE: ret holds the end of the chain. Else what is wrong first; then only ret->statements counts.
 * A failing crypto backend counts as a signature that does not verify. */
enum bp_own_fault bp_ownership_walk(struct bp_crypto *c, const struct bp_own_ask *ask,
                                    const struct bp_ownership_chain *chain, struct bp_own_state *ret);

/* Reads a card and verifies that its own key signed it. NONE, CARD. scratch: BP_OWNERSHIP_SCRATCH bytes */
enum bp_own_fault bp_owner_card_check(struct bp_crypto *c, bp_span card, uint8_t *scratch, struct bp_owner_card *ret);

/* Whether servers under this root are the present owner's: the chain's last key is the card's, and the card names the
 * root. NONE, CARD, ROOT, OWNER; ENDED: nobody owns it any more. */
enum bp_own_fault bp_ownership_vouches(struct bp_crypto *c, const struct bp_own_state *state, bp_span card,
                                       const uint8_t root[BP_SHA256_SIZE], uint8_t *scratch);

#endif
