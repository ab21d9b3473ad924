/* SPDX-License-Identifier: Apache-2.0 */
/* codec/corim - the part of CoRIM (draft-ietf-rats-corim) that carries reference values, both directions.
 *
 * Read: corim-map (tag 501 or bare), its concise-mid tags (506), their reference-triples, and of each measurement the
 * key, digests, name, svn and flags. The rest (other tags, other triples, other values) is walked over, must be
 * deterministic CBOR, and is counted, never trusted. Written: exactly our profile (docs/protocol/references.md).
 * Spans point into the input; nothing is copied. Signatures: codec/cose. */
#ifndef BP_CODEC_CORIM_H
#define BP_CODEC_CORIM_H

#include "codec/cbor.h"

#define BP_CORIM_PROFILE      "tag:bedplate.example,2026:references#1"
#define BP_CORIM_MAX          (4u << 20)
#define BP_CORIM_TAGS_MAX     64u
#define BP_CORIM_DIGESTS_MAX  4u
#define BP_CORIM_MKEY_MAX     64u
#define BP_CORIM_ALG_SHA256   1u /* IANA Named Information registry */
#define BP_CORIM_ALG_SHA384   7u
#define BP_CORIM_ALG_SHA512   8u

struct bp_corim_digest {
    uint64_t alg;
    bp_span digest;
};

/* One reference measurement in its environment. */
struct bp_corim_ref {
    bp_span vendor; /* of the class; empty when absent */
    bp_span model;
    bp_span mkey; /* text; empty when absent or of another type */
    uint32_t digests;
    struct bp_corim_digest digest[BP_CORIM_DIGESTS_MAX];
    bp_span name;
    bool has_svn;
    uint64_t svn;
    bool has_secure; /* flags: is-secure */
    bool secure;
    uint32_t others; /* values that are not read */
};

struct bp_corim {
    bp_span id;      /* text id, or 16 bytes of a UUID */
    bp_span profile; /* URI text; empty when absent or an OID */
    uint32_t tags;   /* all */
    uint32_t comids;
    bp_span comid[BP_CORIM_TAGS_MAX]; /* encoded concise-mid-tag */
};

/* Reads the outer map. On failure ret is all zero.
 *   UNSUPPORTED  a tag that is not CoRIM    LIMIT  sizes above
 *   MALFORMED, TRUNCATED, NOT_CANONICAL     not such a map */
BP_MUST_CHECK bp_result bp_corim_read(bp_span in, struct bp_corim *ret);

/* Walks the reference values of one tag. */
struct bp_corim_iter {
    bp_rd rd;
    size_t triples; /* still to come */
    size_t left;    /* measurements still to come in this triple */
    bp_span vendor, model;
};
/* Errors as bp_corim_read. */
BP_MUST_CHECK bp_result bp_corim_open(bp_span comid, struct bp_corim_iter *ret);
/* The next reference measurement.
 *   NOT_FOUND  there is none left      MALFORMED, LIMIT  not of the form; the walk is over */
BP_MUST_CHECK bp_result bp_corim_next(struct bp_corim_iter *it, struct bp_corim_ref *ret);

/* Writes our profile: one tag, one environment, refs in the given order.
 *   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  no refs, or one with neither digest nor flag */
BP_MUST_CHECK bp_result bp_corim_write(bp_span id, bp_span vendor, bp_span model, const struct bp_corim_ref *refs,
                                       size_t count, uint8_t *ret, size_t cap, size_t *ret_len);

/* --- our profile: what a measurement key says --- */

enum bp_ref_kind {
    BP_REF_BOOT,        /* "boot/PCR/required" or "boot/PCR/recorded" */
    BP_REF_VARIABLE,    /* "variable/NAME": PK, KEK, db, dbx: digest of the event in PCR 7 */
    BP_REF_SECURE_BOOT, /* "rule/secure-boot", is-secure */
    BP_REF_IMA          /* "ima": digest of a file, name = path */
};

struct bp_ref_key {
    enum bp_ref_kind kind;
    uint32_t pcr;      /* BOOT; 7 for VARIABLE and SECURE_BOOT, 10 for IMA */
    bool required;     /* BOOT: must be there for the release to count as running */
    bp_span variable;  /* VARIABLE */
};
/*   UNSUPPORTED  a key that the profile does not have */
BP_MUST_CHECK bp_result bp_ref_key_read(bp_span mkey, struct bp_ref_key *ret);
/* Writes the text into room; empty when the key is not one of the profile. */
bp_span bp_ref_key_write(const struct bp_ref_key *key, uint8_t room[BP_CORIM_MKEY_MAX]);

#endif
