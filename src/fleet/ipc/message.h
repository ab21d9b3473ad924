/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/ipc/message - the bodies of messages between our own processes (docs/protocol/processes.md), both directions:
 * one struct, one reader and one writer a body. `http` is codec/exchange, `appraise` is appraise/appraise.
 *
 * Bodies are deterministic CBOR maps with exactly the members of the table; both ends are of one build, so anything
 * else is refused. Readers copy nothing: spans point into the body. Lists that may be long (deny, crl) are checked
 * whole by the reader and walked by a _next function. No allocation, no recursion.
 *
 * Readers:  MALFORMED, TRUNCATED, NOT_CANONICAL, UNSUPPORTED  as codec/cbor; a missing, foreign or twofold member or a
 *           size outside the struct's comment is MALFORMED     LIMIT  more items than the constant
 * Writers:  NO_SPACE  *ret_len tells the room needed           BAD_ARGUMENT  what the reader would refuse
 * Outputs are untouched on failure. */
#ifndef BP_FLEET_IPC_MESSAGE_H
#define BP_FLEET_IPC_MESSAGE_H

#include "base/buf.h"
#include "base/result.h"
#include "base/span.h"

#define BP_MSG_EKS_MAX        4u
#define BP_MSG_ITEMS_MAX      512u          /* results signed in one batch */
#define BP_MSG_LEAVES_MAX     4096u         /* leaves appended in one batch */
#define BP_MSG_REFERENCES_MAX 1024u
#define BP_MSG_PUBLIC_MAX     640u          /* TPM2B_PUBLIC */
#define BP_MSG_CERT_MAX       4096u         /* DER */
#define BP_MSG_CSR_MAX        (8u << 10)
#define BP_MSG_REQUEST_MAX    (384u << 10)  /* a request with evidence in it */
#define BP_MSG_SIGNED_MAX     (80u << 10)   /* a COSE_Sign1 around a result */
#define BP_MSG_TEXT_MAX       512u
#define BP_MSG_HEAD_MAX       1024u         /* a signed checkpoint */
#define BP_MSG_EVIDENCE_MAX   (1u << 20)
#define BP_MSG_BODY_MAX       (4u << 20)

/* --- keeper to signer ca --- */

/* credential {1: [[template, EK TPM2B_PUBLIC, EK certificate], ...], 2: AK TPM2B_PUBLIC} */
struct bp_msg_ek {
    uint64_t template_id; /* docs/protocol/device.md: 1, 2, 3 */
    bp_span pub;          /* 1..BP_MSG_PUBLIC_MAX */
    bp_span cert;         /* DER, or empty: not certified */
};
struct bp_msg_credential {
    size_t eks; /* 1..BP_MSG_EKS_MAX */
    struct bp_msg_ek ek[BP_MSG_EKS_MAX];
    bp_span ak; /* 1..BP_MSG_PUBLIC_MAX */
};
BP_MUST_CHECK bp_result bp_msg_credential_write(const struct bp_msg_credential *m, uint8_t *ret, size_t cap,
                                                size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_credential_read(bp_span body, struct bp_msg_credential *ret);

/* answer {1: device id, 2: [[id object, encrypted secret], ...], 3: issuer class, 4: [EK SPKI SHA-256, ...],
 * 5: [qualified name of the AK, ...]}. Member 2 is in the order of the request, an EK without certificate has an empty
 * pair; members 4 and 5 name the certified ones alone, the identity key first. */
struct bp_msg_challenge {
    bp_span device_id; /* 33 */
    size_t eks;        /* as in the request */
    bp_span id_object[BP_MSG_EKS_MAX]; /* <= 256; both empty: no credential for this one */
    bp_span secret[BP_MSG_EKS_MAX];    /* <= 640 */
    bp_span issuer_class;              /* 1..16 */
    size_t hashes;                     /* 1..eks */
    bp_span hash[BP_MSG_EKS_MAX];      /* 32 each */
    bp_span qualified[BP_MSG_EKS_MAX]; /* 34 each: what the AK is called as a child of that EK */
};
BP_MUST_CHECK bp_result bp_msg_challenge_write(const struct bp_msg_challenge *m, uint8_t *ret, size_t cap,
                                               size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_challenge_read(bp_span body, struct bp_msg_challenge *ret);

/* bind {1: device id, 2: AK name, 3: activation proof, 4: the chip's binding of before} → bp_msg_bytes: ak-binding
 * COSE_Sign1 */
struct bp_msg_bind {
    bp_span device_id; /* 33 */
    bp_span ak_name;   /* 34 */
    bp_span proof;     /* 32 */
    bp_span before;    /* ak-binding COSE_Sign1, 0..2048; empty: the chip is new here */
};
BP_MUST_CHECK bp_result bp_msg_bind_write(const struct bp_msg_bind *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_bind_read(bp_span body, struct bp_msg_bind *ret);

/* issue {1..14} → bp_msg_bytes: certificate */
struct bp_msg_issue {
    bp_span csr;        /* 1..BP_MSG_REQUEST_MAX */
    bp_span ak_binding; /* COSE_Sign1, 1..2048 */
    bp_span evidence;   /* 1..BP_MSG_EVIDENCE_MAX */
    bp_span nonce;      /* 32 */
    uint64_t seq;
    uint64_t issued_ms;
    bp_span ear;        /* COSE_Sign1, 1..BP_MSG_SIGNED_MAX */
    bp_span pseudonym;  /* text, 1..128 */
    bp_span profile;    /* text, 1..32: see bp_cert_of_device */
    uint64_t not_before_ms;
    bp_span binding;    /* 32 */
    bp_span service;    /* text, 0..32; empty but for an application */
    bp_span dns;        /* text, 0..128: the name that the registry has for the device; empty: none */
    uint64_t lifetime_ms; /* of an application's certificate; else 0 */
};
BP_MUST_CHECK bp_result bp_msg_issue_write(const struct bp_msg_issue *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_issue_read(bp_span body, struct bp_msg_issue *ret);

/* issue-brownfield {1: CSR, 2: pseudonym} → bp_msg_bytes: certificate */
struct bp_msg_brownfield {
    bp_span csr;
    bp_span pseudonym; /* text, 1..128 */
};
BP_MUST_CHECK bp_result bp_msg_brownfield_write(const struct bp_msg_brownfield *m, uint8_t *ret, size_t cap,
                                                size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_brownfield_read(bp_span body, struct bp_msg_brownfield *ret);

/* issue-operator {1: CSR, 2: name, 3: days} → bp_msg_bytes: certificate */
struct bp_msg_operator {
    bp_span csr;
    bp_span name; /* text, 1..128 */
    uint64_t days; /* 1..825 */
};
BP_MUST_CHECK bp_result bp_msg_operator_write(const struct bp_msg_operator *m, uint8_t *ret, size_t cap,
                                              size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_operator_read(bp_span body, struct bp_msg_operator *ret);

/* crl {1: [[serial, revoked_ms, reason], ...], 2: CRL number, 3: how long it is to count} → bp_msg_bytes: CRL. The entries to
 * write are `entry`; the reader leaves it NULL and fills `rest`, which bp_msg_crl_next walks. */
struct bp_msg_revoked {
    bp_span serial; /* 1..20 bytes */
    uint64_t revoked_ms;
    uint64_t reason; /* 0..10 */
};
#define BP_MSG_CRL_LEAST_MS (31 * 86400000LL) /* a list counts for so long at least */
struct bp_msg_crl {
    size_t count;
    const struct bp_msg_revoked *entry;
    bp_rd rest;
    uint64_t number;
    uint64_t lifetime_ms;
};
BP_MUST_CHECK bp_result bp_msg_crl_write(const struct bp_msg_crl *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_crl_read(bp_span body, struct bp_msg_crl *ret);
/* False when all were given. */
bool bp_msg_crl_next(struct bp_msg_crl *m, struct bp_msg_revoked *ret);

/* ocsp {1: [[CertID, status, revoked_ms, reason], ...], 2: nonce}; docs/protocol/processes.md. */
#define BP_MSG_STATUSES_MAX 8u
struct bp_msg_status {
    bp_span id;          /* DER, 1..256 */
    uint64_t status;     /* 0 good, 1 revoked, 2 unknown */
    uint64_t revoked_ms; /* 0 unless revoked */
    uint64_t reason;     /* 0..10, 0 unless revoked */
};
struct bp_msg_ocsp {
    size_t count; /* 1..BP_MSG_STATUSES_MAX */
    struct bp_msg_status status[BP_MSG_STATUSES_MAX];
    bp_span nonce; /* at most 128; empty: none */
};
BP_MUST_CHECK bp_result bp_msg_ocsp_write(const struct bp_msg_ocsp *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_ocsp_read(bp_span body, struct bp_msg_ocsp *ret);

/* its answer {1: OCSPResponse, 2: the responder's certificate} */
struct bp_msg_stated {
    bp_span response; /* DER, 1..16384 */
    bp_span cert;     /* DER */
};
BP_MUST_CHECK bp_result bp_msg_stated_write(const struct bp_msg_stated *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_stated_read(bp_span body, struct bp_msg_stated *ret);

/* --- keeper to signer log --- */

/* sign-results {1: [bytes, ...]}, the request's payloads and the answer's COSE_Sign1 objects in the same order */
struct bp_msg_results {
    size_t count; /* 1..BP_MSG_ITEMS_MAX */
    bp_span item[BP_MSG_ITEMS_MAX]; /* 1..BP_MSG_SIGNED_MAX each */
};
BP_MUST_CHECK bp_result bp_msg_results_write(const struct bp_msg_results *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_results_read(bp_span body, struct bp_msg_results *ret);

/* append {1: first index, 2: concatenated leaf hashes} */
struct bp_msg_append {
    uint64_t first;
    bp_span leaves; /* a multiple of 32, at most BP_MSG_LEAVES_MAX of them; empty: asks for the present head */
};
BP_MUST_CHECK bp_result bp_msg_append_write(const struct bp_msg_append *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_append_read(bp_span body, struct bp_msg_append *ret);

/* its answer, and the body of its refusal `conflict` {1: size, 2: checkpoint} */
struct bp_msg_head {
    uint64_t size;
    bp_span checkpoint; /* text, 1..BP_MSG_HEAD_MAX */
};
BP_MUST_CHECK bp_result bp_msg_head_write(const struct bp_msg_head *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_head_read(bp_span body, struct bp_msg_head *ret);

/* --- one member {1: bytes}: answers of bind, issue, issue-brownfield, issue-operator, crl and sign; request of sign --- */

/* n 1..BP_MSG_BODY_MAX */
BP_MUST_CHECK bp_result bp_msg_bytes_write(bp_span v, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_bytes_read(bp_span body, bp_span *ret);

/* --- notices --- */

/* deny {1: [SPKI SHA-256, ...]}. `hashes`: the hashes to write, one after another; the reader leaves it empty and fills
 * `rest`, which bp_msg_deny_next walks. */
struct bp_msg_deny {
    size_t count;
    bp_span hashes; /* count * 32 */
    bp_rd rest;
};
BP_MUST_CHECK bp_result bp_msg_deny_write(const struct bp_msg_deny *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_deny_read(bp_span body, struct bp_msg_deny *ret);
/* The next hash, 32 bytes; false when all were given. */
bool bp_msg_deny_next(struct bp_msg_deny *m, bp_span *ret);

/* state {1: accepting} */
BP_MUST_CHECK bp_result bp_msg_state_write(bool accepting, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_state_read(bp_span body, bool *ret);

/* crl, as a notice {1: number} */
BP_MUST_CHECK bp_result bp_msg_number_write(uint64_t number, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_number_read(bp_span body, uint64_t *ret);

/* stream {1: event number, 2: JSON text} */
struct bp_msg_stream {
    uint64_t event;
    bp_span json; /* text, 1..64 KiB */
};
BP_MUST_CHECK bp_result bp_msg_stream_write(const struct bp_msg_stream *m, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_stream_read(bp_span body, struct bp_msg_stream *ret);

/* references {1: epoch, 2: [[release id, state, zone, CoRIM], ...]} */
struct bp_msg_reference {
    bp_span id;     /* 32 */
    uint64_t state; /* 1 accepted, 2 deprecated, 3 withdrawn */
    bp_span zone;   /* text, 1..BP_MSG_TEXT_MAX, or "*" */
    bp_span corim;  /* at least 1 byte */
};
/* The rows to write are `row`; the reader leaves it NULL and fills `rest`, which bp_msg_references_next walks. */
struct bp_msg_references {
    uint64_t epoch;
    size_t count; /* <= BP_MSG_REFERENCES_MAX */
    const struct bp_msg_reference *row;
    bp_rd rest;
};
BP_MUST_CHECK bp_result bp_msg_references_write(const struct bp_msg_references *m, uint8_t *ret, size_t cap,
                                                size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_references_read(bp_span body, struct bp_msg_references *ret);
bool bp_msg_references_next(struct bp_msg_references *m, struct bp_msg_reference *ret);

/* channel {1: name} and listener {1: name}; name is ASCII text [a-z0-9-], 1..64 */
BP_MUST_CHECK bp_result bp_msg_name_write(bp_span name, uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_name_read(bp_span body, bp_span *ret);

/* {}: end, and every answer that says nothing but its status. The writer's room is 1 byte. */
BP_MUST_CHECK bp_result bp_msg_empty_write(uint8_t *ret, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_msg_empty_read(bp_span body);

#endif
