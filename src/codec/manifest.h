/* SPDX-License-Identifier: Apache-2.0 */
/* codec/manifest - a maker's batch manifest, object `manifest` 1.0, both directions (docs/protocol/manifest.md).
 *
 * The payload of a COSE_Sign1 by the key that the payload names. A batch may have a thousand units, so they are not held
 * in the structure: the reader judges all of them, and bp_manifest_next gives them one by one. Spans point into the input.
 * It does not verify the signature (codec/cose does, over the same bytes), and it does not know other batches. */
#ifndef BP_CODEC_MANIFEST_H
#define BP_CODEC_MANIFEST_H

#include "codec/cbor.h"

#define BP_MANIFEST_UNITS_MAX 1000u
#define BP_MANIFEST_KEYS_MAX  8u
#define BP_MANIFEST_TEXT_MAX  64u
#define BP_MANIFEST_SPKI_MAX  560u
#define BP_MANIFEST_MAX       (1u << 20) /* bytes of a signed manifest */
#define BP_MANIFEST_CONTENT   "application/vnd.bedplate.manifest+cbor"

/* Kinds of identity keys: 1, 2, 3 are endorsement keys by template, as hello numbers them (codec/device). */
#define BP_MANIFEST_KEY_IDEVID 16u

/* Kinds of roots. */
#define BP_MANIFEST_TPM2   "tpm2"   /* identity key: an endorsement key */
#define BP_MANIFEST_IDEVID "idevid" /* identity key: the one of the IDevID certificate; where it lives is not said */

struct bp_manifest {
    bp_span maker;       /* 4, text */
    bp_span key;         /* 5, SubjectPublicKeyInfo of the key that signs, DER */
    bp_span order;       /* 6, text */
    uint64_t batch;      /* 7, from 1, counted per order */
    uint64_t created_ms; /* 8 */
    uint64_t quota;      /* 9, units that the order may have in all */
    uint64_t before;     /* 10, units in earlier batches of the order; with those of this one at most the quota */
    uint32_t units;      /* 11, 1..BP_MANIFEST_UNITS_MAX */
    bp_span list;        /* the units as encoded, for bp_manifest_next */
};

struct bp_manifest_key {
    uint32_t kind;
    bp_span hash; /* SHA-256 of its SubjectPublicKeyInfo */
};

struct bp_manifest_unit {
    bp_span id;     /* 33 bytes, the device id; its hash is the one of key[0] */
    bp_span serial; /* text */
    bp_span model;  /* text, hardware model */
    bp_span kind;   /* text, of the root */
    uint32_t keys;  /* 1..BP_MANIFEST_KEYS_MAX */
    struct bp_manifest_key key[BP_MANIFEST_KEYS_MAX];
    bp_span idevid; /* SHA-256 of the IDevID certificate; empty: it has none */
};

/* Reads a payload and judges every unit: ascending device ids, none twice; an identity key first; an IDevID key exactly
 * where there is an IDevID certificate. On failure ret is all zero, or untouched when the bytes are not deterministic CBOR.
 *   UNSUPPORTED  another type, major version, root or kind of key      LIMIT  more units or keys, or longer texts
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object; no unit; more units than the quota */
BP_MUST_CHECK bp_result bp_manifest_read(bp_span payload, struct bp_manifest *ret);

/* The next unit; begin with bp_rd_over(manifest->list) and go on while bp_rd_left. Errors as above. */
BP_MUST_CHECK bp_result bp_manifest_next(bp_rd *rd, struct bp_manifest_unit *ret);

/* Writes a payload over m->units of the given units, in the order of their ids; m->list is not looked at.
 *   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_manifest_write(const struct bp_manifest *m, const struct bp_manifest_unit *unit, uint8_t *ret,
                                          size_t cap, size_t *ret_len);

/* One unit by itself, as it stands in the list. Errors as above. */
BP_MUST_CHECK bp_result bp_manifest_unit_write(const struct bp_manifest_unit *unit, uint8_t *ret, size_t cap,
                                               size_t *ret_len);

#endif
