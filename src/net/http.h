/* SPDX-License-Identifier: Apache-2.0 */
/* net/http - strict HTTP/1.1 (RFC 9110, 9112) messages over bytes: parsing both directions, writing of heads.
 *
 * Pure: no I/O, no time. The parser is fed bytes in pieces of any size; the outcome (message, reason, bytes used) does
 * not depend on how they are split. Memory comes from the heap, bounded by BP_HTTP_HEAD_MAX and `body_max`; the
 * parser owns it until bp_http_done. Spans handed out point into it and end with bp_http_reset or bp_http_done.
 * It refuses whatever two implementations might read differently. The one exception is for who asks about certificates
 * (`of_status`, RFC 6960 appendix A): HTTP/1.0 without transfer coding, which closes the connection, and slashes in a path
 * that are digits of base64. It deliberately does not speak upgrades, trailers, chunk extensions, obs-fold, or targets other than the origin-form. */
#ifndef BP_NET_HTTP_H
#define BP_NET_HTTP_H

#include "base/buf.h"

#define BP_HTTP_HEADERS_MAX 64u
#define BP_HTTP_HEAD_MAX    8192u /* start line and all fields, with their line ends */
#define BP_HTTP_TARGET_MAX  2048u

enum bp_http_method { BP_HTTP_GET, BP_HTTP_HEAD, BP_HTTP_POST, BP_HTTP_PUT, BP_HTTP_DELETE };

/* Why a message is refused: name, HTTP status a server answers with, text for people. */
#define BP_HTTP_WHY_LIST(X)                                                                        \
    X(NONE, 0, "not refused")                                                                      \
    X(CONTROL_BYTE, 400, "a control byte in the head")                                             \
    X(NOT_ASCII, 400, "a byte above 0x7e in the head")                                             \
    X(BARE_LF, 400, "a line that ends without CR")                                                 \
    X(BARE_CR, 400, "a CR without LF")                                                             \
    X(START_LINE, 400, "the start line does not have its form")                                    \
    X(METHOD, 501, "a method that is not served here")                                             \
    X(VERSION, 505, "a version other than HTTP/1.1")                                               \
    X(TARGET_FORM, 400, "a target that is not a path")                                             \
    X(TARGET_BYTE, 400, "a byte that a target may not hold")                                       \
    X(TARGET_ESCAPE, 400, "a percent escape that is malformed or hides a separator")               \
    X(TARGET_DOTS, 400, "an empty or dot segment in the path")                                     \
    X(TARGET_LONG, 414, "the target is too long")                                                  \
    X(HEAD_LONG, 431, "the head is too long")                                                      \
    X(HEADERS_MANY, 431, "too many header fields")                                                 \
    X(FOLD, 400, "a folded header line")                                                           \
    X(NAME, 400, "a header name that is empty, has a blank or a byte that names may not hold")     \
    X(NO_HOST, 400, "no Host")                                                                     \
    X(HOSTS, 400, "more than one Host")                                                            \
    X(HOST, 400, "a Host that is not a name or address with an optional port")                     \
    X(LENGTHS, 400, "more than one Content-Length")                                                \
    X(LENGTH, 400, "a Content-Length that is not plain digits")                                    \
    X(LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")                         \
    X(CODINGS, 400, "more than one Transfer-Encoding")                                             \
    X(CODING, 501, "a Transfer-Encoding other than one chunked")                                   \
    X(EXPECT, 417, "an Expect other than one 100-continue")                                        \
    X(CONNECTION, 400, "a Connection field that is not a list of tokens")                          \
    X(BODY_LONG, 413, "the body is too long for this request")                                     \
    X(CHUNK_SIZE, 400, "a chunk size that is not 1 to 8 hexadecimal digits")                       \
    X(CHUNK_EXTENSION, 400, "a chunk extension")                                                   \
    X(CHUNK_END, 400, "a chunk that does not end where its size says")                             \
    X(TRAILER, 400, "a trailer field")                                                             \
    X(STATUS, 502, "a status line without a status of three digits")                               \
    X(NO_LENGTH, 502, "a response whose end cannot be told")                                       \
    X(NO_MEMORY, 503, "no memory for the message")

enum bp_http_why {
#define BP_X(name, status, text) BP_HTTP_WHY_##name,
    BP_HTTP_WHY_LIST(BP_X)
#undef BP_X
        BP_HTTP_WHY_COUNT
};

const char *bp_http_why_name(enum bp_http_why why); /* "BARE_LF" */
const char *bp_http_why_text(enum bp_http_why why);
unsigned bp_http_why_status(enum bp_http_why why);

enum bp_http_role { BP_HTTP_REQUEST, BP_HTTP_RESPONSE };

enum bp_http_step {
    BP_HTTP_MORE,     /* all bytes were used; the message is not complete */
    BP_HTTP_HEAD_END, /* reported once: the head is complete; body_max may be changed now; feed the rest */
    BP_HTTP_DONE,     /* the message is complete; bytes not used belong to the next one */
    BP_HTTP_REFUSED   /* `why` says why; nothing more may be fed before bp_http_reset */
};

struct bp_http_field {
    uint16_t name_at, name_n, value_at, value_n; /* into head */
};

struct bp_http {
    enum bp_http_role role;
    enum bp_http_why why;
    /* From the head, to be read from BP_HTTP_HEAD_END on. */
    enum bp_http_method method; /* requests */
    uint16_t status;            /* responses */
    bool to_head;               /* responses: set by the caller before the head, when the request was HEAD */
    bool close;                 /* Connection: close */
    bool expects_continue;
    bool chunked;
    bool has_body; /* a body of at least one byte, or a chunked one, is announced */
    uint64_t content_length;
    size_t body_max;
    bool of_status;             /* requests: set by the caller before the head; stays over bp_http_reset */
    bool is_10;                 /* requests: of HTTP/1.0; then close is set */
    /* Private. */
    uint8_t state;
    uint8_t seen;      /* fields that may come once */
    uint8_t digits;    /* of a chunk size */
    uint8_t field_n, field_cap;
    uint16_t head_n, head_cap, line_at;
    uint16_t target_at, target_n, path_n, query_at;
    uint64_t body_left; /* of the body or of the chunk */
    size_t body_n, body_cap;
    uint8_t *head;
    char *path; /* decoded */
    struct bp_http_field *fields;
    uint8_t *body;
};

/* Prepares a parser on the caller's storage; holds no memory until bytes come. */
void bp_http_init(struct bp_http *h, enum bp_http_role role, size_t body_max);
/* Gives the memory back. Accepts a parser that is already done. */
void bp_http_done(struct bp_http *h);
/* Ready for the next message; gives the memory back; role stays, body_max is set anew. */
void bp_http_reset(struct bp_http *h, size_t body_max);
/* Whether no byte of a message has come yet. */
bool bp_http_is_fresh(const struct bp_http *h);

/* Feeds bytes; ret_used tells how many were used (all of them with BP_HTTP_MORE). */
enum bp_http_step bp_http_feed(struct bp_http *h, bp_span in, size_t *ret_used);

/* Target as sent, path with escapes resolved, query as sent without "?" (all empty before the head is complete). */
bp_span bp_http_target(const struct bp_http *h);
bp_span bp_http_path(const struct bp_http *h);
bp_span bp_http_query(const struct bp_http *h);
bp_span bp_http_body(const struct bp_http *h);
/* Number of fields; the i-th name (lower case) and value. */
size_t bp_http_fields(const struct bp_http *h);
bp_span bp_http_name(const struct bp_http *h, size_t i);
bp_span bp_http_value(const struct bp_http *h, size_t i);
/* Value of the only field of that name (given in lower case); empty, and *ret_count other than 1, when it is absent
 * or comes more than once. ret_count may be NULL. */
bp_span bp_http_header(const struct bp_http *h, const char *name, size_t *ret_count);

/* Member `name` of a query ("a=1&b=2"), escapes and plus signs resolved, into ret (room cap), not zero-terminated.
 *   NOT_FOUND  no such member            EXISTS  it comes more than once
 *   MALFORMED  a bad escape, or it hides a control byte    NO_SPACE  longer than cap */
BP_MUST_CHECK bp_result bp_http_query_get(bp_span query, const char *name, char *ret, size_t cap, size_t *ret_len);

/* One header to send. Name and value must not hold CR, LF or other control bytes; the writers check. */
struct bp_http_header {
    const char *name;
    bp_span value;
};

const char *bp_http_method_name(enum bp_http_method method);
const char *bp_http_reason(unsigned status);

/* How the body of a message to send ends. */
enum bp_http_framing { BP_HTTP_LENGTH, BP_HTTP_CHUNKS, BP_HTTP_NO_BODY };

/* Write a whole head. A failure sticks in wr: BAD_ARGUMENT for a header that would break the message. */
void bp_http_write_response(bp_wr *wr, unsigned status, const struct bp_http_header *headers, size_t count,
                            enum bp_http_framing framing, size_t body_len, bool close);
void bp_http_write_request(bp_wr *wr, enum bp_http_method method, bp_span target, bp_span host,
                           const struct bp_http_header *headers, size_t count, enum bp_http_framing framing,
                           size_t body_len);

#endif
