/* SPDX-License-Identifier: Apache-2.0 */
/* codec/device - what an agent and a server say to each other (docs/protocol/device.md), both directions: hello,
 * challenge, answer, nonce, consistency, log-break, escrow, escrowed; and lockout, which only the owner's recovery key opens. Evidence
 * has a file of its own.
 *
 * Spans point into the caller's bytes; nothing is copied. The structures are large, so a reader builds in the caller's
 * own: on failure ret is all zero. Members of a newer minor are counted in `unknown` and passed over. It does not
 * verify anything: keys, certificates, credentials and heads are bytes here. */
#ifndef BP_CODEC_DEVICE_H
#define BP_CODEC_DEVICE_H

#include "codec/cbor.h"

#define BP_DEVICE_EKS_MAX      4u
#define BP_DEVICE_FEATURES_MAX 32u
#define BP_DEVICE_INFO_MAX     16u
#define BP_DEVICE_TEXT_MAX     512u
#define BP_DEVICE_HEAD_MAX     4096u  /* a signed checkpoint */
#define BP_DEVICE_EAR_MAX      65536u /* a signed result */
#define BP_DEVICE_PROOF_MAX    65u    /* hashes of a consistency proof */

#define BP_HELLO_MAX       (64u << 10) /* bytes of each object; larger is LIMIT */
#define BP_CHALLENGE_MAX   (16u << 10)
#define BP_ANSWER_MAX      (96u << 10)
#define BP_NONCE_MAX       1024u
#define BP_CONSISTENCY_MAX 4096u
#define BP_LOG_BREAK_MAX   (12u << 10)

#define BP_ESCROW_MAX      4096u
#define BP_ESCROWED_MAX    1024u
#define BP_LOCKOUT_MAX     256u
#define BP_ENVELOPE_MAX    2048u /* a sealed lockout object */

/* What an answer says as life-cycle state to a device that its owner gave away; the device looks at the chain itself. */
#define BP_LIFE_HANDED_OVER "handed-over"

#define BP_MEDIA_CBOR "application/cbor" /* of all of them */
#define BP_MEDIA_CMW  "application/cmw+cbor"

/* Identity keys by template, as hello numbers them. */
#define BP_TEMPLATE_L1 1u /* RSA-2048 */
#define BP_TEMPLATE_L2 2u /* P-256 */
#define BP_TEMPLATE_H3 3u /* P-384 */

struct bp_hello_ek {
    uint32_t template_id; /* one of the above; others are UNSUPPORTED */
    bp_span public_area;  /* TPM2B_PUBLIC, never empty */
    bp_span certificate;  /* DER, or empty */
};

struct bp_text_pair {
    bp_span name;
    bp_span value;
};

/* Texts here and below: UTF-8 without control characters, at most BP_DEVICE_TEXT_MAX bytes. */
struct bp_hello {
    uint64_t minor;
    uint32_t unknown;
    bp_span kind; /* "tpm2" */
    uint32_t eks; /* 1..4 */
    struct bp_hello_ek ek[BP_DEVICE_EKS_MAX];
    bp_span ak; /* TPM2B_PUBLIC */
    uint32_t features;
    bp_span feature[BP_DEVICE_FEATURES_MAX]; /* bytewise ascending, none twice */
    bp_span agent;
    bp_span code;  /* empty: absent */
    uint32_t info; /* in the order of their encoding: shorter names first, then bytewise */
    struct bp_text_pair pair[BP_DEVICE_INFO_MAX];
};

struct bp_challenge {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id;    /* 33 bytes */
    uint32_t credentials; /* 1..4; one for each certified EK of hello, in that order */
    struct {
        bp_span id_object; /* TPM2B_ID_OBJECT */
        bp_span secret;    /* TPM2B_ENCRYPTED_SECRET */
    } credential[BP_DEVICE_EKS_MAX];
    bp_span nonce; /* 32 bytes */
    uint64_t seq;
    int64_t issued_ms;
    uint32_t features;
    bp_span feature[BP_DEVICE_FEATURES_MAX];
    bp_span state;
    uint16_t device_port; /* of the device listener; 0: absent, 8443 */
};

struct bp_answer {
    uint64_t minor;
    uint32_t unknown;
    bp_span ear;   /* COSE_Sign1 */
    bp_span nonce; /* 32 bytes, for the next evidence */
    uint64_t seq;
    int64_t issued_ms;
    uint32_t due_ms;  /* wait so long before the next evidence */
    bp_span held_log; /* 32 bytes, or empty: none held */
    uint64_t held_ima;
    bp_span head;  /* signed checkpoint; empty before the first */
    uint32_t tier; /* 0 none, 2 affirming, 32 warning, 96 contraindicated */
    bp_span reason;
    bp_span state;
    bool renew;
    int64_t time_ms; /* the server's */
    bool has_window; /* when to renew: some moment in it, by the server's time; else the device's own rule */
    int64_t renew_from_s;
    int64_t renew_until_s; /* >= renew_from_s */
    int64_t since_s; /* the server answers since then, after it was away for long; 0: absent, it was not */
};

struct bp_nonce {
    uint64_t minor;
    uint32_t unknown;
    bp_span nonce; /* 32 bytes */
    uint64_t seq;
    int64_t issued_ms;
};

struct bp_consistency {
    uint64_t minor;
    uint32_t unknown;
    uint64_t from;
    uint64_t to; /* >= from */
    uint32_t hashes;
    bp_span hash[BP_DEVICE_PROOF_MAX]; /* 32 bytes each */
};

/* Why a head that a device keeps is void: the event that gave up a part of the log's history, its place in the log as it is
 * now, and that this log begins with what was kept. What it says is core/logbreak's to judge. */
struct bp_log_break {
    uint64_t minor;
    uint32_t unknown;
    uint64_t index; /* of the event, < to */
    uint64_t to;    /* size of the head that both proofs lead to */
    bp_span event;
    bp_span inclusion;   /* hashes of 32 bytes, one after the other, at most BP_DEVICE_PROOF_MAX */
    bp_span consistency; /* likewise */
};

/* How far a device is with the lockout value of its root. SEALED: a value is in the envelope and nowhere set; SET: it is
 * the root's, and clearing is disabled; FOREIGN: somebody else had set one before, there is no envelope. */
enum bp_escrow_state { BP_ESCROW_SEALED = 1, BP_ESCROW_SET = 2, BP_ESCROW_FOREIGN = 3 };

struct bp_escrow {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id; /* 33 bytes */
    enum bp_escrow_state state;
    bp_span envelope; /* CMS, 1..BP_ENVELOPE_MAX bytes; FOREIGN: empty */
};

/* The server has it for good. */
struct bp_escrowed {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id; /* 33 bytes */
    enum bp_escrow_state state;
    bp_span digest; /* SHA-256 of the envelope; FOREIGN: empty */
};

/* What an envelope holds. */
struct bp_lockout {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id; /* 33 bytes */
    bp_span value;     /* 32 bytes */
};

/* Readers.
 *   UNSUPPORTED   another type or major version, or another template of an EK
 *   LIMIT         larger than the ceilings above, or more members in a list
 *   MALFORMED     a member is missing or not of its form
 *   TRUNCATED, NOT_CANONICAL  as codec/cbor */
BP_MUST_CHECK bp_result bp_hello_read(bp_span in, struct bp_hello *ret);
BP_MUST_CHECK bp_result bp_challenge_read(bp_span in, struct bp_challenge *ret);
BP_MUST_CHECK bp_result bp_answer_read(bp_span in, struct bp_answer *ret);
BP_MUST_CHECK bp_result bp_nonce_read(bp_span in, struct bp_nonce *ret);
BP_MUST_CHECK bp_result bp_consistency_read(bp_span in, struct bp_consistency *ret);
BP_MUST_CHECK bp_result bp_log_break_read(bp_span in, struct bp_log_break *ret);
BP_MUST_CHECK bp_result bp_escrow_read(bp_span in, struct bp_escrow *ret);
BP_MUST_CHECK bp_result bp_escrowed_read(bp_span in, struct bp_escrowed *ret);
BP_MUST_CHECK bp_result bp_lockout_read(bp_span in, struct bp_lockout *ret);

/* Writers, of minor 0 (minor and unknown are not looked at).
 *   NO_SPACE       *ret_len tells the room needed
 *   BAD_ARGUMENT   a count or size that the reader would refuse
 *   NOT_CANONICAL  names in the wrong order      MALFORMED  a text is not UTF-8 */
BP_MUST_CHECK bp_result bp_hello_write(const struct bp_hello *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_challenge_write(const struct bp_challenge *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_answer_write(const struct bp_answer *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_nonce_write(const struct bp_nonce *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_consistency_write(const struct bp_consistency *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_log_break_write(const struct bp_log_break *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_escrow_write(const struct bp_escrow *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_escrowed_write(const struct bp_escrowed *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_lockout_write(const struct bp_lockout *v, uint8_t *p, size_t cap, size_t *ret_len);

#endif
