/* SPDX-License-Identifier: Apache-2.0 */
/* codec/decommission - the certificate of decommissioning (docs/protocol/ownership.md): which device was retired, which keys
 * were buried with it, by whom, why, and where the log says so; and the file around it. Both directions.
 *
 * The statement is the payload of a COSE_Sign1 by the key of ak-bindings. Spans point into the input. It verifies nothing. */
#ifndef BP_CODEC_DECOMMISSION_H
#define BP_CODEC_DECOMMISSION_H

#include "codec/cbor.h"

#define BP_DECOMMISSION_CONTENT  "application/vnd.bedplate.decommission+cbor"
#define BP_DECOMMISSION_KEYS_MAX 256u
#define BP_DECOMMISSION_MAX      12288u /* bytes of a payload */
#define BP_DECOMMISSION_FILE_MAX 24576u

struct bp_decommission {
    uint64_t minor;
    uint32_t unknown;
    bp_span device_id;  /* 4, 33 bytes */
    bp_span pseudonym;  /* 5, text 1..64 */
    uint32_t keys;      /* 6, 1..BP_DECOMMISSION_KEYS_MAX */
    bp_span key[BP_DECOMMISSION_KEYS_MAX]; /* SHA-256 each: of the SubjectPublicKeyInfo, of an AK of its name */
    int64_t retired_ms; /* 7 */
    bp_span reason;     /* 8, text 0..512 */
    bp_span actor;      /* 9, text 1..64 */
    uint64_t event;     /* 10, number of the event in the log */
    bp_span digest;     /* 11, SHA-256 of that event */
};

struct bp_decommission_file {
    uint64_t minor;
    uint32_t unknown;
    bp_span statement; /* 4, COSE_Sign1 */
    bp_span root;      /* 5, DER */
    bp_span signer;    /* 6, DER: the certificate of the key that signed, by the root */
};

/* ret is all zero on failure.
 *   UNSUPPORTED  another type or major version    LIMIT  larger or more than above
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  not such an object */
BP_MUST_CHECK bp_result bp_decommission_read(bp_span payload, struct bp_decommission *ret);
BP_MUST_CHECK bp_result bp_decommission_file_read(bp_span in, struct bp_decommission_file *ret);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  what the reader would refuse */
BP_MUST_CHECK bp_result bp_decommission_write(const struct bp_decommission *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_decommission_file_write(const struct bp_decommission_file *v, uint8_t *p, size_t cap,
                                                   size_t *ret_len);

#endif
