/* SPDX-License-Identifier: Apache-2.0 */
/* codec/ownership - who owns a device (docs/protocol/ownership.md): a statement of ownership, the card of an owner, the
 * anchor of a maker, and the chain in which they travel; both directions.
 *
 * Statements and cards are payloads of COSE_Sign1. Spans point into the input. It verifies no signature and judges no
 * chain: core/ownership does. Members of a newer minor are counted in `unknown` and passed over. */
#ifndef BP_CODEC_OWNERSHIP_H
#define BP_CODEC_OWNERSHIP_H

#include "codec/cbor.h"

#define BP_OWNERSHIP_CONTENT          "application/vnd.bedplate.ownership+cbor"
#define BP_OWNERSHIP_OVERRIDE_CONTENT "application/vnd.bedplate.ownership-override+cose"
#define BP_OWNER_CARD_CONTENT         "application/vnd.bedplate.owner-card+cbor"

#define BP_OWNERSHIP_SPKI_MAX   160u /* DER of a P-256 or P-384 key */
#define BP_OWNERSHIP_NAME_MAX   128u /* bytes of an owner's or a maker's name */
#define BP_OWNERSHIP_MAKERS_MAX 4u   /* keys of one maker */
#define BP_OWNERSHIP_CHAIN_MAX  32u  /* statements of one chain */
#define BP_OWNERSHIP_MAX        512u /* bytes of a payload that we write, a card's likewise */
#define BP_OWNERSHIP_SIGNED_MAX 1024u /* bytes of a statement with its signatures, a card's likewise */
#define BP_OWNERSHIP_ANCHOR_MAX 1024u /* bytes of a maker's anchor */
#define BP_OWNERSHIP_FILE_MAX   ((BP_OWNERSHIP_CHAIN_MAX + 3u) * BP_OWNERSHIP_SIGNED_MAX) /* of a chain */
#define BP_OWNERSHIP_WAIT_LEAST_MS 604800000ull   /* seven days, of an override */
#define BP_OWNERSHIP_WAIT_MOST_MS  31536000000ull /* a year */

enum bp_ownership_kind { BP_OWNERSHIP_ASSIGN = 1, BP_OWNERSHIP_TRANSFER, BP_OWNERSHIP_RETIRE, BP_OWNERSHIP_OVERRIDE };

/* One link. Names after RFC 8366 where it has one. */
struct bp_ownership {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id;           /* 4, 33 bytes: serial-number */
    enum bp_ownership_kind kind; /* 5, text: assign transfer retire override (assertion) */
    uint32_t epoch;              /* 6, from 1 */
    bp_span prev;                /* 7, SHA-256 of the signed statement before this one, 32 bytes; all zero for the first */
    bp_span from_key;            /* 8, SHA-256 of the signer's SubjectPublicKeyInfo */
    bp_span to_key;              /* 9, SubjectPublicKeyInfo of the new owner; RETIRE: empty */
    bp_span owner;               /* 10, the new owner's name; RETIRE: empty */
    int64_t created_ms;          /* 11, created-on */
    int64_t expires_ms;          /* 12, expires-on; 0: it does not expire */
    uint64_t waits_ms;           /* 13, OVERRIDE: how long after created-on it begins to count; else 0 */
};

/* What an owner says of itself, signed by its own key: this is my key, and servers under this root are mine. */
struct bp_owner_card {
    uint64_t minor;
    uint32_t unknown;
    bp_span key;        /* 4, SubjectPublicKeyInfo */
    bp_span name;       /* 5 */
    bp_span root;       /* 6, SHA-256 of the root certificate of the owner's servers: pinned-domain-cert */
    int64_t created_ms; /* 7 */
};

/* Whose devices these are at first. It is not signed: it is known by its hash. */
struct bp_maker_anchor {
    uint64_t minor;
    uint32_t unknown;
    bp_span name;  /* 4 */
    uint32_t keys; /* 5, 1..BP_OWNERSHIP_MAKERS_MAX, none twice */
    bp_span key[BP_OWNERSHIP_MAKERS_MAX]; /* SubjectPublicKeyInfo each */
};

/* All of it for one device. */
struct bp_ownership_chain {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id;   /* 4, 33 bytes */
    bp_span maker;       /* 5, a maker's anchor, as it is hashed */
    uint32_t statements; /* 6, 1..BP_OWNERSHIP_CHAIN_MAX */
    bp_span statement[BP_OWNERSHIP_CHAIN_MAX]; /* COSE_Sign1 each */
    bp_span card;        /* 7, COSE_Sign1; empty: none shown */
};

/* What a device states when it leaves its owner; attest and sig are a quote by its attestation key over the rest. */
#define BP_OWNER_ERASURE_MAX 2048u
struct bp_owner_erasure {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id; /* 4, 33 bytes */
    uint32_t epoch;    /* 5, of the statement by which it leaves */
    bp_span head;      /* 6, SHA-256 of that statement */
    int64_t time_ms;   /* 7, by the device's clock */
    bp_span attest;    /* 8, TPMS_ATTEST, 1..1024 bytes */
    bp_span sig;       /* 9, TPMT_SIGNATURE, 1..640 bytes */
};

const char *bp_ownership_kind_name(enum bp_ownership_kind kind);

/* Readers. ret is all zero on failure.
 *   UNSUPPORTED  another type, major version or kind       LIMIT  larger or more than the ceilings above
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object, or members that do not go together */
BP_MUST_CHECK bp_result bp_ownership_read(bp_span payload, struct bp_ownership *ret);
BP_MUST_CHECK bp_result bp_owner_card_read(bp_span payload, struct bp_owner_card *ret);
BP_MUST_CHECK bp_result bp_maker_anchor_read(bp_span in, struct bp_maker_anchor *ret);
BP_MUST_CHECK bp_result bp_ownership_chain_read(bp_span in, struct bp_ownership_chain *ret);
BP_MUST_CHECK bp_result bp_owner_erasure_read(bp_span in, struct bp_owner_erasure *ret);

/* Writers, of minor 0 (minor and unknown are not looked at).
 *   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_ownership_write(const struct bp_ownership *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_owner_card_write(const struct bp_owner_card *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_maker_anchor_write(const struct bp_maker_anchor *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_ownership_chain_write(const struct bp_ownership_chain *v, uint8_t *p, size_t cap,
                                                 size_t *ret_len);
BP_MUST_CHECK bp_result bp_owner_erasure_write(const struct bp_owner_erasure *v, uint8_t *p, size_t cap, size_t *ret_len);

#endif
