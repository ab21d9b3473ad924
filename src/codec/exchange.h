/* SPDX-License-Identifier: Apache-2.0 */
/* codec/exchange - one HTTP request and its answer as they travel between our processes
 * (docs/protocol/processes.md, op `http`), both directions.
 *
 * Fronts write requests and read answers; keeper and readers do the reverse. Nothing is copied on
 * reading. It says nothing about what a target means, and it does not decode percent signs. */
#ifndef BP_CODEC_EXCHANGE_H
#define BP_CODEC_EXCHANGE_H

#include "base/result.h"
#include "base/span.h"

#define BP_EX_HEADERS_MAX 8u
#define BP_EX_TARGET_MAX  2048u
#define BP_EX_AGENT_MAX   32u

/* Absent members are empty spans. Names are texts of docs/protocol/processes.md. */
struct bp_ex_request {
    bp_span listener; /* "device", "enrol", "operate", "status" */
    bp_span method;   /* "GET", ... */
    bp_span target;   /* path and query, undecoded */
    bp_span content_type;
    bp_span body;
    bp_span peer_spki; /* SHA-256 of the client certificate's key, 32 bytes or empty */
    bp_span peer_serial;
    bp_span peer_issuer; /* "device", "operator", "brownfield" */
    bp_span source;      /* address text */
    bp_span exporter;    /* 32 bytes or empty */
    bp_span cookie;
    bp_span csrf;
    bp_span language;
    bp_span agent; /* User-Agent: where a client's own habits must be met; at most BP_EX_AGENT_MAX */
};

struct bp_ex_header {
    bp_span name;
    bp_span value;
};

struct bp_ex_answer {
    uint16_t status; /* 100..599 */
    bp_span content_type;
    bp_span body;
    size_t header_count;
    struct bp_ex_header header[BP_EX_HEADERS_MAX];
};

/* Writers:  NO_SPACE  *ret_len tells the room needed     MALFORMED  a text is not UTF-8     LIMIT
 * too many headers Readers:  MALFORMED, TRUNCATED, NOT_CANONICAL  as codec/cbor; a length or a
 * status outside the above is MALFORMED */
BP_MUST_CHECK bp_result bp_ex_request_write(const struct bp_ex_request *q, uint8_t *p, size_t cap,
                                            size_t *ret_len);
BP_MUST_CHECK bp_result bp_ex_request_read(bp_span body, struct bp_ex_request *ret);
BP_MUST_CHECK bp_result bp_ex_answer_write(const struct bp_ex_answer *a, uint8_t *p, size_t cap,
                                           size_t *ret_len);
BP_MUST_CHECK bp_result bp_ex_answer_read(bp_span body, struct bp_ex_answer *ret);

#endif
