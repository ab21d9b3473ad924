/* SPDX-License-Identifier: Apache-2.0 */
/* codec/bundle - object `bundle` 1.0 (docs/protocol/bundle.md): a verdict with everything it rests
 * on, both directions.
 *
 * Spans point into the caller's bytes; nothing is copied. A bundle is read by strangers to the
 * server, and no byte of it may be outside a signature or a digest, so exactly version 1.0 is read:
 * a member more, a newer minor or another form of the same value is refused. It verifies nothing:
 * `bedplate verify` does. */
#ifndef BP_CODEC_BUNDLE_H
#define BP_CODEC_BUNDLE_H

#include "codec/cbor.h"

#define BP_BUNDLE_CONTENT        "application/vnd.bedplate.bundle+cbor"
#define BP_BUNDLE_MAX            (16u << 20) /* bytes of a bundle */
#define BP_BUNDLE_PROOF_MAX      64u         /* hashes */
#define BP_BUNDLE_CHAIN_MIN      4u          /* log, result, bind, root */
#define BP_BUNDLE_CHAIN_MAX      8u
#define BP_BUNDLE_REFERENCES_MAX 64u
#define BP_BUNDLE_LOGS_MAX       2u
#define BP_BUNDLE_ZONE_MAX       64u

/* Places in the chain. */
enum bp_bundle_cert {
    BP_BUNDLE_CERT_LOG,
    BP_BUNDLE_CERT_RESULT,
    BP_BUNDLE_CERT_BIND,
    BP_BUNDLE_CERT_AUTHORITY
};

/* One row of the set of references that the appraisal was given. */
struct bp_bundle_reference {
    bp_span id;       /* 32 bytes, SHA-256 of the manifest */
    uint64_t state;   /* 1 accepted, 2 deprecated, 3 withdrawn */
    bp_span zone;     /* 1..BP_BUNDLE_ZONE_MAX bytes of text; "*": everywhere */
    bp_span manifest; /* object `release`: the payload that the maker signed */
};

struct bp_bundle {
    bp_span head;   /* 4 */
    uint64_t index; /* 5 */
    uint64_t size;
    uint32_t hashes;
    bp_span hash[BP_BUNDLE_PROOF_MAX]; /* 32 bytes each */
    bp_span event;                     /* 6 */
    bp_span ear;                       /* 7 */
    bp_span evidence;                  /* 8 */
    bp_span nonce;                     /* 9, 32 bytes */
    uint64_t seq;
    uint64_t issued_ms;
    bp_span ak_binding; /* 10 */
    bp_span binding;    /* 32 bytes */
    uint32_t certs;     /* 11: log key, result key, CA signer key, authorities, root last */
    bp_span cert[BP_BUNDLE_CHAIN_MAX];
    uint32_t references; /* 12 */
    struct bp_bundle_reference reference[BP_BUNDLE_REFERENCES_MAX];
    bp_span policy; /* 13; empty: none was published */
    bp_span state;  /* 14; empty: the device had none */
    uint32_t logs;  /* 15 */
    bp_span log[BP_BUNDLE_LOGS_MAX];
};

/* Reads a bundle. On failure ret is all zero: it is too large to be built aside.
 *   UNSUPPORTED  another type or version      LIMIT  more of something than above
 *   MALFORMED, TRUNCATED, NOT_CANONICAL       not such an object */
BP_MUST_CHECK bp_result bp_bundle_read(bp_span in, struct bp_bundle *ret);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_bundle_write(const struct bp_bundle *bundle, uint8_t *ret, size_t cap,
                                        size_t *ret_len);

/* The proof as core/merkle takes it: the hashes one after another, in room. */
bp_span bp_bundle_proof(const struct bp_bundle *bundle, uint8_t room[BP_BUNDLE_PROOF_MAX * 32]);

#endif
