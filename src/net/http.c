/* SPDX-License-Identifier: Apache-2.0 */
/* net/http - see http.h. The head is read byte by byte into one growing buffer and judged line by line, so that the
 * outcome cannot depend on how the bytes arrive. */
#include "net/http.h"

#include <stdlib.h>

#define BP_MODULE HTTP

enum { ST_LINE, ST_LINE_LF, ST_BODY, ST_CHUNK_SIZE, ST_CHUNK_SIZE_LF, ST_CHUNK, ST_CHUNK_CR, ST_CHUNK_LF, ST_LAST_CR,
       ST_LAST_LF, ST_DONE, ST_REFUSED };
enum { SEEN_START = 1, SEEN_HOST = 2, SEEN_LENGTH = 4, SEEN_CODING = 8, SEEN_EXPECT = 16, SEEN_HEAD_END = 32 };

#define HEAD_FIRST_CAP 512u
#define BODY_FIRST_CAP 1024u

static const struct {
    const char *name;
    const char *text;
    unsigned status;
} whys[] = {
#define BP_X(name, status, text) {#name, text, status},
    BP_HTTP_WHY_LIST(BP_X)
#undef BP_X
};

const char *bp_http_why_name(enum bp_http_why why)
{
    return why < BP_HTTP_WHY_COUNT ? whys[why].name : "?";
}

const char *bp_http_why_text(enum bp_http_why why)
{
    return why < BP_HTTP_WHY_COUNT ? whys[why].text : "?";
}

unsigned bp_http_why_status(enum bp_http_why why)
{
    return why < BP_HTTP_WHY_COUNT ? whys[why].status : 400;
}

static const char *const method_names[] = {
    [BP_HTTP_GET] = "GET", [BP_HTTP_HEAD] = "HEAD",     [BP_HTTP_POST] = "POST",
    [BP_HTTP_PUT] = "PUT", [BP_HTTP_DELETE] = "DELETE",
};

const char *bp_http_method_name(enum bp_http_method method)
{
    return method <= BP_HTTP_DELETE ? method_names[method] : "?";
}

const char *bp_http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {303, "See Other"},
        {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"}, {413, "Content Too Large"},
        {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"},
        {422, "Unprocessable Content"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
        {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Other";
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* tchar, RFC 9110 section 5.6.2 */
static bool is_token_byte(uint8_t c)
{
    return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

static int hex_value(uint8_t c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_word(bp_span s, const char *word)
{
    const size_t n = strlen(word);
    if (s.n != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (lower(s.p[i]) != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

static bp_span trimmed(bp_span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = bp_span_sub(s, 1, s.n - 1);
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* Index of the first c in s at or after from; s.n when there is none. */
static size_t find(bp_span s, size_t from, uint8_t c)
{
    while (from < s.n && s.p[from] != c) {
        from++;
    }
    return from < s.n ? from : s.n;
}

void bp_http_init(struct bp_http *h, enum bp_http_role role, size_t body_max)
{
    *h = (struct bp_http){.role = role, .body_max = body_max};
}

void bp_http_done(struct bp_http *h)
{
    free(h->head);
    free(h->path);
    free(h->fields);
    free(h->body);
    h->head = NULL;
    h->path = NULL;
    h->fields = NULL;
    h->body = NULL;
    h->head_n = h->head_cap = h->target_n = h->path_n = 0;
    h->field_n = h->field_cap = 0;
    h->body_n = h->body_cap = 0;
}

void bp_http_reset(struct bp_http *h, size_t body_max)
{
    const enum bp_http_role role = h->role;
    const bool of_status = h->of_status;
    bp_http_done(h);
    bp_http_init(h, role, body_max);
    h->of_status = of_status;
}

bool bp_http_is_fresh(const struct bp_http *h)
{
    return h->state == ST_LINE && h->head_n == 0 && h->seen == 0;
}

/* Room for one more byte of the head. */
static enum bp_http_why head_room(struct bp_http *h)
{
    if (h->head_n < h->head_cap) {
        return BP_HTTP_WHY_NONE;
    }
    if (h->head_n >= BP_HTTP_HEAD_MAX) {
        return BP_HTTP_WHY_HEAD_LONG;
    }
    const size_t cap = h->head_cap == 0 ? HEAD_FIRST_CAP : (size_t)h->head_cap * 2;
    uint8_t *p = realloc(h->head, cap);
    if (p == NULL) {
        return BP_HTTP_WHY_NO_MEMORY;
    }
    h->head = p;
    h->head_cap = (uint16_t)cap;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why add_field(struct bp_http *h, struct bp_http_field f)
{
    if (h->field_n >= BP_HTTP_HEADERS_MAX) {
        return BP_HTTP_WHY_HEADERS_MANY;
    }
    if (h->field_n == h->field_cap) {
        const size_t cap = h->field_cap == 0 ? 8 : (size_t)h->field_cap * 2;
        struct bp_http_field *p = realloc(h->fields, cap * sizeof *p);
        if (p == NULL) {
            return BP_HTTP_WHY_NO_MEMORY;
        }
        h->fields = p;
        h->field_cap = (uint8_t)cap;
    }
    h->fields[h->field_n++] = f;
    return BP_HTTP_WHY_NONE;
}

/* ---- start lines ---- */

static bool is_segment_bad(bp_span path, bool may_be_empty)
{
    size_t at = 1; /* after the leading slash */
    for (;;) {
        const size_t end = find(path, at, '/');
        const bp_span seg = bp_span_sub(path, at, end - at);
        const bool is_last = end == path.n;
        if ((seg.n == 0 && !is_last && !may_be_empty) || bp_span_equal(seg, BP_SPAN_STR(".")) ||
            bp_span_equal(seg, BP_SPAN_STR(".."))) {
            return true;
        }
        if (is_last) {
            return false;
        }
        at = end + 1;
    }
}

/* Resolves the escapes of a path. One that hides a separator, a control byte, or is not plain ASCII is refused: the
 * resolved path is what routes are compared with. */
static enum bp_http_why decode_path(struct bp_http *h, bp_span raw)
{
    h->path = malloc(raw.n + 1);
    if (h->path == NULL) {
        return BP_HTTP_WHY_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        uint8_t c = raw.p[i];
        if (c == '%') {
            const int hi = raw.n - i > 2 ? hex_value(raw.p[i + 1]) : -1;
            const int lo = raw.n - i > 2 ? hex_value(raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return BP_HTTP_WHY_TARGET_ESCAPE;
            }
            c = (uint8_t)(hi * 16 + lo);
            if (c < 0x20 || c > 0x7e || (c == '/' && !h->of_status) || c == '\\') {
                return BP_HTTP_WHY_TARGET_ESCAPE;
            }
            i += 2;
        }
        h->path[n++] = (char)c;
    }
    h->path_n = (uint16_t)n;
    return is_segment_bad(bp_span_of(h->path, n), h->of_status) ? BP_HTTP_WHY_TARGET_DOTS : BP_HTTP_WHY_NONE;
}

/* Every % of a query begins an escape of two hexadecimal digits. */
static bool are_escapes_whole(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && (s.n - i < 3 || hex_value(s.p[i + 1]) < 0 || hex_value(s.p[i + 2]) < 0)) {
            return false;
        }
    }
    return true;
}

/* origin-form only, RFC 9112 section 3.2.1 */
static enum bp_http_why take_target(struct bp_http *h, size_t at, size_t n)
{
    if (n > BP_HTTP_TARGET_MAX) {
        return BP_HTTP_WHY_TARGET_LONG;
    }
    const bp_span t = bp_span_of(h->head + at, n);
    if (n == 0 || t.p[0] != '/') {
        return BP_HTTP_WHY_TARGET_FORM;
    }
    const size_t q = find(t, 0, '?');
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(t.p[i]) && !is_one_of(t.p[i], "-._~!$&'()*+,;=:@/%") && !(i >= q && t.p[i] == '?')) {
            return BP_HTTP_WHY_TARGET_BYTE;
        }
    }
    h->target_at = (uint16_t)at;
    h->target_n = (uint16_t)n;
    h->query_at = (uint16_t)(at + q + (q < n ? 1 : 0));
    if (!are_escapes_whole(bp_span_sub(t, q, n - q))) {
        return BP_HTTP_WHY_TARGET_ESCAPE;
    }
    return decode_path(h, bp_span_sub(t, 0, q));
}

static enum bp_http_why take_method(struct bp_http *h, bp_span word)
{
    for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++) {
        if (bp_span_equal(word, bp_span_cstr(method_names[i]))) {
            h->method = (enum bp_http_method)i;
            return BP_HTTP_WHY_NONE;
        }
    }
    for (size_t i = 0; i < word.n; i++) {
        if (!is_token_byte(word.p[i])) {
            return BP_HTTP_WHY_START_LINE;
        }
    }
    return word.n == 0 ? BP_HTTP_WHY_START_LINE : BP_HTTP_WHY_METHOD;
}

/* "HTTP/1.1", exactly; another version that is well formed is told apart from garbage. */
static enum bp_http_why check_version(bp_span v)
{
    if (bp_span_equal(v, BP_SPAN_STR("HTTP/1.1"))) {
        return BP_HTTP_WHY_NONE;
    }
    const bool is_version = v.n == 8 && memcmp(v.p, "HTTP/", 5) == 0 && is_digit(v.p[5]) && v.p[6] == '.' &&
                            is_digit(v.p[7]);
    return is_version ? BP_HTTP_WHY_VERSION : BP_HTTP_WHY_START_LINE;
}

static enum bp_http_why request_line(struct bp_http *h, bp_span line)
{
    const size_t sp1 = find(line, 0, ' ');
    const size_t sp2 = find(line, sp1 + 1, ' ');
    if (sp1 == line.n || sp2 == line.n) {
        return BP_HTTP_WHY_START_LINE;
    }
    const bp_span version = bp_span_sub(line, sp2 + 1, line.n - sp2 - 1);
    h->is_10 = h->of_status && bp_span_equal(version, BP_SPAN_STR("HTTP/1.0"));
    h->close = h->is_10;
    enum bp_http_why why = h->is_10 ? BP_HTTP_WHY_NONE : check_version(version);
    if (why == BP_HTTP_WHY_NONE) {
        why = take_method(h, bp_span_sub(line, 0, sp1));
    }
    return why != BP_HTTP_WHY_NONE ? why : take_target(h, h->line_at + sp1 + 1, sp2 - sp1 - 1);
}

static enum bp_http_why status_line(struct bp_http *h, bp_span line)
{
    if (line.n < 8) {
        return BP_HTTP_WHY_START_LINE;
    }
    const enum bp_http_why why = check_version(bp_span_sub(line, 0, 8));
    if (why != BP_HTTP_WHY_NONE) {
        return why;
    }
    const bp_span rest = bp_span_sub(line, 8, line.n - 8);
    if (rest.n < 4 || rest.p[0] != ' ' || !is_digit(rest.p[1]) || !is_digit(rest.p[2]) || !is_digit(rest.p[3]) ||
        (rest.n > 4 && rest.p[4] != ' ')) {
        return BP_HTTP_WHY_STATUS;
    }
    h->status = (uint16_t)((rest.p[1] - '0') * 100 + (rest.p[2] - '0') * 10 + (rest.p[3] - '0'));
    /* 101 would change the protocol, which nobody here asks for. */
    return h->status < 100 || h->status > 599 || h->status == 101 ? BP_HTTP_WHY_STATUS : BP_HTTP_WHY_NONE;
}

/* ---- fields ---- */

/* Notes a field that may come once; false when it came before. */
static bool is_first(struct bp_http *h, uint8_t bit)
{
    const bool first = (h->seen & bit) == 0;
    h->seen |= bit;
    return first;
}

static bool are_digits(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

/* uri-host [":" port], as far as it needs to be told apart from garbage. */
static enum bp_http_why host_field(struct bp_http *h, bp_span v)
{
    if (!is_first(h, SEEN_HOST)) {
        return BP_HTTP_WHY_HOSTS;
    }
    size_t end = find(v, 0, ':');
    if (v.n > 0 && v.p[0] == '[') {
        end = find(v, 0, ']');
        for (size_t i = 1; i < end; i++) {
            if (hex_value(v.p[i]) < 0 && v.p[i] != ':' && v.p[i] != '.') {
                return BP_HTTP_WHY_HOST;
            }
        }
        if (end == v.n || end < 3) {
            return BP_HTTP_WHY_HOST;
        }
        end++;
    } else {
        for (size_t i = 0; i < end; i++) {
            if (!is_alnum(v.p[i]) && !is_one_of(v.p[i], "-._")) {
                return BP_HTTP_WHY_HOST;
            }
        }
    }
    if (end == 0 || end > 255) {
        return BP_HTTP_WHY_HOST;
    }
    const bp_span port = bp_span_sub(v, end, v.n - end);
    const bool is_port = port.n >= 2 && port.n <= 6 && port.p[0] == ':' && are_digits(bp_span_sub(port, 1, port.n - 1));
    return port.n == 0 || is_port ? BP_HTTP_WHY_NONE : BP_HTTP_WHY_HOST;
}

static enum bp_http_why length_field(struct bp_http *h, bp_span v)
{
    if (!is_first(h, SEEN_LENGTH)) {
        return BP_HTTP_WHY_LENGTHS;
    }
    if ((h->seen & SEEN_CODING) != 0) {
        return BP_HTTP_WHY_LENGTH_AND_CODING;
    }
    if (!are_digits(v)) {
        return BP_HTTP_WHY_LENGTH;
    }
    if (v.n > 15) { /* far above any body_max, far below overflow */
        return BP_HTTP_WHY_BODY_LONG;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    h->content_length = n;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why coding_field(struct bp_http *h, bp_span v)
{
    if (!is_first(h, SEEN_CODING)) {
        return BP_HTTP_WHY_CODINGS;
    }
    if ((h->seen & SEEN_LENGTH) != 0) {
        return BP_HTTP_WHY_LENGTH_AND_CODING;
    }
    h->chunked = true;
    return is_word(v, "chunked") && !h->is_10 ? BP_HTTP_WHY_NONE : BP_HTTP_WHY_CODING;
}

static enum bp_http_why expect_field(struct bp_http *h, bp_span v)
{
    h->expects_continue = true;
    return is_first(h, SEEN_EXPECT) && is_word(v, "100-continue") ? BP_HTTP_WHY_NONE : BP_HTTP_WHY_EXPECT;
}

static enum bp_http_why connection_field(struct bp_http *h, bp_span v)
{
    for (size_t at = 0; at <= v.n;) {
        const size_t end = find(v, at, ',');
        const bp_span word = trimmed(bp_span_sub(v, at, end - at));
        for (size_t i = 0; i < word.n; i++) {
            if (!is_token_byte(word.p[i])) {
                return BP_HTTP_WHY_CONNECTION;
            }
        }
        if (word.n == 0) {
            return BP_HTTP_WHY_CONNECTION;
        }
        h->close = h->close || is_word(word, "close");
        at = end + 1;
    }
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why judge_field(struct bp_http *h, bp_span name, bp_span value)
{
    static const struct {
        const char *name;
        enum bp_http_why (*judge)(struct bp_http *h, bp_span v);
        bool only_requests;
    } known[] = {
        {"host", host_field, true},          {"content-length", length_field, false},
        {"transfer-encoding", coding_field, false}, {"expect", expect_field, true},
        {"connection", connection_field, false},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is_word(name, known[i].name) && !(known[i].only_requests && h->role == BP_HTTP_RESPONSE)) {
            return known[i].judge(h, value);
        }
    }
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why field_line(struct bp_http *h, bp_span line)
{
    if (line.p[0] == ' ' || line.p[0] == '\t') {
        return BP_HTTP_WHY_FOLD;
    }
    const size_t colon = find(line, 0, ':');
    if (colon == 0 || colon == line.n) {
        return BP_HTTP_WHY_NAME;
    }
    for (size_t i = 0; i < colon; i++) {
        if (!is_token_byte(line.p[i])) {
            return BP_HTTP_WHY_NAME;
        }
        h->head[h->line_at + i] = lower(line.p[i]);
    }
    const bp_span value = trimmed(bp_span_sub(line, colon + 1, line.n - colon - 1));
    /* An empty value points behind the colon, so that offsets stay inside the line. */
    const size_t value_at = value.n > 0 ? (size_t)(value.p - h->head) : h->line_at + colon + 1;
    const enum bp_http_why why = add_field(h, (struct bp_http_field){
        .name_at = h->line_at, .name_n = (uint16_t)colon, .value_at = (uint16_t)value_at, .value_n = (uint16_t)value.n});
    return why != BP_HTTP_WHY_NONE ? why : judge_field(h, bp_span_sub(line, 0, colon), value);
}

/* ---- the head as a whole ---- */

static bool is_bodyless(const struct bp_http *h)
{
    return h->role == BP_HTTP_RESPONSE && (h->to_head || h->status < 200 || h->status == 204 || h->status == 304);
}

static enum bp_http_why head_end(struct bp_http *h)
{
    h->seen |= SEEN_HEAD_END;
    if (h->role == BP_HTTP_REQUEST && (h->seen & SEEN_HOST) == 0) {
        return BP_HTTP_WHY_NO_HOST;
    }
    if (is_bodyless(h)) {
        h->chunked = false;
        h->content_length = 0;
    } else if (h->role == BP_HTTP_RESPONSE && (h->seen & (SEEN_LENGTH | SEEN_CODING)) == 0) {
        return BP_HTTP_WHY_NO_LENGTH;
    }
    h->has_body = h->chunked || h->content_length > 0;
    h->body_left = h->chunked ? 0 : h->content_length;
    h->state = h->chunked ? ST_CHUNK_SIZE : ST_BODY;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why end_line(struct bp_http *h)
{
    const bp_span line = bp_span_of(h->head + h->line_at, (size_t)h->head_n - h->line_at - 2u);
    enum bp_http_why why = BP_HTTP_WHY_NONE;
    h->state = ST_LINE;
    if (is_first(h, SEEN_START)) {
        why = h->role == BP_HTTP_REQUEST ? request_line(h, line) : status_line(h, line);
    } else if (line.n == 0) {
        why = head_end(h);
    } else {
        why = field_line(h, line);
    }
    h->line_at = h->head_n;
    return why;
}

static enum bp_http_why head_byte(struct bp_http *h, uint8_t c)
{
    enum bp_http_why why = head_room(h);
    if (why != BP_HTTP_WHY_NONE) {
        return why;
    }
    h->head[h->head_n++] = c;
    if (h->state == ST_LINE_LF) {
        return c == '\n' ? end_line(h) : BP_HTTP_WHY_BARE_CR;
    }
    if (c == '\r') {
        h->state = ST_LINE_LF;
        return BP_HTTP_WHY_NONE;
    }
    if (c == '\n') {
        return BP_HTTP_WHY_BARE_LF;
    }
    if (c > 0x7e) {
        return c == 0x7f ? BP_HTTP_WHY_CONTROL_BYTE : BP_HTTP_WHY_NOT_ASCII;
    }
    const bool in_start = (h->seen & SEEN_START) == 0;
    if (c < 0x20 && (c != '\t' || in_start)) {
        return BP_HTTP_WHY_CONTROL_BYTE;
    }
    return BP_HTTP_WHY_NONE;
}

/* ---- the body ---- */

static enum bp_http_why body_bytes(struct bp_http *h, bp_span in)
{
    if (in.n > h->body_max || h->body_n > h->body_max - in.n) {
        return BP_HTTP_WHY_BODY_LONG;
    }
    if (h->body_cap - h->body_n < in.n) {
        size_t cap = h->body_cap == 0 ? BODY_FIRST_CAP : h->body_cap;
        while (cap - h->body_n < in.n) {
            cap *= 2;
        }
        uint8_t *p = realloc(h->body, cap);
        if (p == NULL) {
            return BP_HTTP_WHY_NO_MEMORY;
        }
        h->body = p;
        h->body_cap = cap;
    }
    memcpy(h->body + h->body_n, in.p, in.n);
    h->body_n += in.n;
    h->body_left -= in.n;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why chunk_size_byte(struct bp_http *h, uint8_t c)
{
    const int v = hex_value(c);
    if (v >= 0) {
        if (h->digits == 8) {
            return BP_HTTP_WHY_CHUNK_SIZE;
        }
        h->digits++;
        h->body_left = h->body_left * 16 + (uint64_t)v;
        return BP_HTTP_WHY_NONE;
    }
    if (h->digits > 0 && c == '\r') {
        h->state = ST_CHUNK_SIZE_LF;
        return BP_HTTP_WHY_NONE;
    }
    return h->digits > 0 && (c == ';' || c == ' ' || c == '\t') ? BP_HTTP_WHY_CHUNK_EXTENSION
                                                                  : BP_HTTP_WHY_CHUNK_SIZE;
}

static enum bp_http_why chunk_size_end(struct bp_http *h, uint8_t c)
{
    if (c != '\n') {
        return BP_HTTP_WHY_CHUNK_SIZE;
    }
    h->digits = 0;
    /* Refused on the announcement, before any byte of it is stored. */
    if (h->body_left > h->body_max || h->body_n > h->body_max - h->body_left) {
        return BP_HTTP_WHY_BODY_LONG;
    }
    h->state = h->body_left == 0 ? ST_LAST_CR : ST_CHUNK;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why expect_byte(struct bp_http *h, uint8_t c, uint8_t wanted, uint8_t next, enum bp_http_why why)
{
    if (c != wanted) {
        return why;
    }
    h->state = next;
    return BP_HTTP_WHY_NONE;
}

static enum bp_http_why frame_byte(struct bp_http *h, uint8_t c)
{
    switch (h->state) {
    case ST_CHUNK_SIZE:
        return chunk_size_byte(h, c);
    case ST_CHUNK_SIZE_LF:
        return chunk_size_end(h, c);
    case ST_CHUNK_CR:
        return expect_byte(h, c, '\r', ST_CHUNK_LF, BP_HTTP_WHY_CHUNK_END);
    case ST_CHUNK_LF:
        return expect_byte(h, c, '\n', ST_CHUNK_SIZE, BP_HTTP_WHY_CHUNK_END);
    case ST_LAST_CR:
        return expect_byte(h, c, '\r', ST_LAST_LF, BP_HTTP_WHY_TRAILER);
    case ST_LAST_LF:
        return expect_byte(h, c, '\n', ST_DONE, BP_HTTP_WHY_TRAILER);
    default:
        return head_byte(h, c);
    }
}

static enum bp_http_step refuse(struct bp_http *h, enum bp_http_why why)
{
    h->why = why;
    h->state = ST_REFUSED;
    return BP_HTTP_REFUSED;
}

enum bp_http_step bp_http_feed(struct bp_http *h, bp_span in, size_t *ret_used)
{
    size_t at = 0;
    enum bp_http_why why = BP_HTTP_WHY_NONE;
    *ret_used = 0;
    if (h->state == ST_REFUSED) {
        return BP_HTTP_REFUSED;
    }
    /* Checked here and not at the head's end, since the caller may set body_max in between. */
    if (h->state == ST_BODY && h->content_length > h->body_max) {
        return refuse(h, BP_HTTP_WHY_BODY_LONG);
    }
    for (;;) {
        if (h->state == ST_BODY && h->body_left == 0) {
            h->state = ST_DONE;
        }
        if (h->state == ST_DONE || at == in.n) {
            break;
        }
        if (h->state == ST_BODY || h->state == ST_CHUNK) {
            const size_t n = in.n - at < h->body_left ? in.n - at : (size_t)h->body_left;
            why = body_bytes(h, bp_span_sub(in, at, n));
            at += n;
            if (h->state == ST_CHUNK && h->body_left == 0) {
                h->state = ST_CHUNK_CR;
            }
        } else {
            const bool had_head = (h->seen & SEEN_HEAD_END) != 0;
            why = frame_byte(h, in.p[at++]);
            if (why == BP_HTTP_WHY_NONE && !had_head && (h->seen & SEEN_HEAD_END) != 0) {
                *ret_used = at;
                return BP_HTTP_HEAD_END;
            }
        }
        if (why != BP_HTTP_WHY_NONE) {
            *ret_used = at;
            return refuse(h, why);
        }
    }
    *ret_used = at;
    return h->state == ST_DONE ? BP_HTTP_DONE : BP_HTTP_MORE;
}

/* ---- what was read ---- */

static bool has_head(const struct bp_http *h)
{
    return (h->seen & SEEN_HEAD_END) != 0 && h->head != NULL;
}

bp_span bp_http_target(const struct bp_http *h)
{
    return has_head(h) ? bp_span_of(h->head + h->target_at, h->target_n) : BP_SPAN_EMPTY;
}

bp_span bp_http_path(const struct bp_http *h)
{
    return has_head(h) && h->path != NULL ? bp_span_of(h->path, h->path_n) : BP_SPAN_EMPTY;
}

bp_span bp_http_query(const struct bp_http *h)
{
    return has_head(h) ? bp_span_of(h->head + h->query_at, (size_t)h->target_at + h->target_n - h->query_at)
                       : BP_SPAN_EMPTY;
}

bp_span bp_http_body(const struct bp_http *h)
{
    return bp_span_of(h->body, h->body_n);
}

size_t bp_http_fields(const struct bp_http *h)
{
    return h->field_n;
}

bp_span bp_http_name(const struct bp_http *h, size_t i)
{
    return i < h->field_n ? bp_span_of(h->head + h->fields[i].name_at, h->fields[i].name_n) : BP_SPAN_EMPTY;
}

bp_span bp_http_value(const struct bp_http *h, size_t i)
{
    return i < h->field_n ? bp_span_of(h->head + h->fields[i].value_at, h->fields[i].value_n) : BP_SPAN_EMPTY;
}

bp_span bp_http_header(const struct bp_http *h, const char *name, size_t *ret_count)
{
    bp_span found = BP_SPAN_EMPTY;
    size_t count = 0;
    for (size_t i = 0; i < h->field_n; i++) {
        if (bp_span_equal(bp_http_name(h, i), bp_span_cstr(name))) {
            found = bp_http_value(h, i);
            count++;
        }
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return count == 1 ? found : BP_SPAN_EMPTY;
}

/* Resolves escapes and plus signs of a query's value. */
static bp_result decode_value(bp_span raw, char *ret, size_t cap, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        uint8_t c = raw.p[i] == '+' ? ' ' : raw.p[i];
        if (c == '%') {
            const int hi = raw.n - i > 2 ? hex_value(raw.p[i + 1]) : -1;
            const int lo = raw.n - i > 2 ? hex_value(raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return BP_FAIL(MALFORMED);
            }
            c = (uint8_t)(hi * 16 + lo);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f) {
            return BP_FAIL(MALFORMED);
        }
        if (n == cap) {
            return BP_FAIL(NO_SPACE);
        }
        ret[n++] = (char)c;
    }
    *ret_len = n;
    return BP_OK;
}

bp_result bp_http_query_get(bp_span query, const char *name, char *ret, size_t cap, size_t *ret_len)
{
    const bp_span wanted = bp_span_cstr(name);
    bp_span found = BP_SPAN_EMPTY;
    bool is_found = false;
    for (size_t at = 0; at < query.n;) {
        const size_t end = find(query, at, '&');
        const bp_span member = bp_span_sub(query, at, end - at);
        const size_t eq = find(member, 0, '=');
        if (bp_span_equal(bp_span_sub(member, 0, eq), wanted)) {
            if (is_found) {
                return BP_FAIL(EXISTS);
            }
            is_found = true;
            found = eq < member.n ? bp_span_sub(member, eq + 1, member.n - eq - 1) : BP_SPAN_EMPTY;
        }
        at = end + 1;
    }
    return is_found ? decode_value(found, ret, cap, ret_len) : BP_FAIL(NOT_FOUND);
}

/* ---- writing ---- */

static void put(bp_wr *wr, const char *s)
{
    bp_wr_bytes(wr, bp_span_cstr(s));
}

static void put_number(bp_wr *wr, uint64_t v)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    bp_wr_bytes(wr, bp_span_of(text + at, sizeof text - at));
}

/* A value that could end the line early would let its author write the rest of the message. */
static bool is_value_plain(bp_span v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < 0x20 || v.p[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static void put_headers(bp_wr *wr, const struct bp_http_header *headers, size_t count, enum bp_http_framing framing,
                        size_t body_len)
{
    for (size_t i = 0; i < count; i++) {
        const bp_span name = bp_span_cstr(headers[i].name);
        bool ok = name.n > 0 && is_value_plain(headers[i].value);
        for (size_t k = 0; k < name.n; k++) {
            ok = ok && is_token_byte(name.p[k]);
        }
        if (!ok) {
            bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
            return;
        }
        bp_wr_bytes(wr, name);
        put(wr, ": ");
        bp_wr_bytes(wr, headers[i].value);
        put(wr, "\r\n");
    }
    if (framing == BP_HTTP_LENGTH) {
        put(wr, "Content-Length: ");
        put_number(wr, body_len);
        put(wr, "\r\n");
    } else if (framing == BP_HTTP_CHUNKS) {
        put(wr, "Transfer-Encoding: chunked\r\n");
    }
    put(wr, "\r\n");
}

void bp_http_write_response(bp_wr *wr, unsigned status, const struct bp_http_header *headers, size_t count,
                            enum bp_http_framing framing, size_t body_len, bool close)
{
    if (status < 100 || status > 599) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    put(wr, "HTTP/1.1 ");
    put_number(wr, status);
    put(wr, " ");
    put(wr, bp_http_reason(status));
    put(wr, close ? "\r\nConnection: close\r\n" : "\r\n");
    put_headers(wr, headers, count, framing, body_len);
}

void bp_http_write_request(bp_wr *wr, enum bp_http_method method, bp_span target, bp_span host,
                           const struct bp_http_header *headers, size_t count, enum bp_http_framing framing,
                           size_t body_len)
{
    bool ok = target.n > 0 && target.n <= BP_HTTP_TARGET_MAX && target.p[0] == '/' && host.n > 0 &&
              is_value_plain(host) && is_value_plain(target) && find(target, 0, ' ') == target.n;
    if (!ok) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    put(wr, bp_http_method_name(method));
    put(wr, " ");
    bp_wr_bytes(wr, target);
    put(wr, " HTTP/1.1\r\nHost: ");
    bp_wr_bytes(wr, host);
    put(wr, "\r\n");
    put_headers(wr, headers, count, framing, body_len);
}
