/* SPDX-License-Identifier: Apache-2.0 */
/* The strict parser: what it refuses and why, what it takes, and that splitting the bytes changes nothing. */
#include "net/http.h"

#include "harness.h"

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H

struct row {
    const char *name;
    const char *bytes;
    size_t n;
    enum bp_http_why why;
};
#define R(name, text, why) {name, text, sizeof(text) - 1, BP_HTTP_WHY_##why}

static const struct row bad_requests[] = {
    R("length_twice_same", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", LENGTHS),
    R("length_twice_different", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", LENGTHS),
    R("length_list", POST "Content-Length: 5, 5\r\n\r\nhello", LENGTH),
    R("length_plus", POST "Content-Length: +5\r\n\r\nhello", LENGTH),
    R("length_minus", POST "Content-Length: -5\r\n\r\nhello", LENGTH),
    R("length_hex", POST "Content-Length: 0x5\r\n\r\nhello", LENGTH),
    R("length_empty", POST "Content-Length:\r\n\r\nhello", LENGTH),
    R("length_inner_blank", POST "Content-Length: 1 0\r\n\r\nhello", LENGTH),
    R("length_fraction", POST "Content-Length: 5.0\r\n\r\nhello", LENGTH),
    R("length_quoted", POST "Content-Length: \"5\"\r\n\r\nhello", LENGTH),
    R("length_17_digits", POST "Content-Length: 18446744073709551\r\n\r\n", BODY_LONG),
    R("length_wraps_64_bits", POST "Content-Length: 18446744073709551621\r\n\r\n", BODY_LONG),
    R("length_over_max", POST "Content-Length: 65\r\n\r\n", BODY_LONG),
    R("length_then_chunked", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CODING),
    R("chunked_then_length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", LENGTH_AND_CODING),
    R("coding_twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", CODINGS),
    R("coding_list_same", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", CODING),
    R("coding_gzip", POST "Transfer-Encoding: gzip\r\n\r\n", CODING),
    R("coding_gzip_chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", CODING),
    R("coding_identity", POST "Transfer-Encoding: identity\r\n\r\n", CODING),
    R("coding_parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n", CODING),
    R("coding_quoted", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", CODING),
    R("coding_prefix", POST "Transfer-Encoding: xchunked\r\n\r\n", CODING),
    R("coding_empty", POST "Transfer-Encoding:\r\n\r\n", CODING),
    R("name_blank_before_colon", GET "Host : a\r\n\r\n", NAME),
    R("name_tab_before_colon", GET "Host\t: a\r\n\r\n", NAME),
    R("name_inner_blank", GET H "X Y: a\r\n\r\n", NAME),
    R("name_empty", GET H ": a\r\n\r\n", NAME),
    R("name_no_colon", GET H "novalue\r\n\r\n", NAME),
    R("name_bracket", GET H "X[1]: a\r\n\r\n", NAME),
    R("name_slash", GET H "X/Y: a\r\n\r\n", NAME),
    R("bare_lf_start_line", "GET / HTTP/1.1\nHost: a\r\n\r\n", BARE_LF),
    R("bare_lf_field", GET "Host: a\n\r\n", BARE_LF),
    R("bare_lf_head_end", GET H "\n", BARE_LF),
    R("bare_cr_field", GET "Host: a\rX: b\r\n\r\n", BARE_CR),
    R("bare_cr_start_line", "GET / HTTP/1.1\rHost: a\r\n\r\n", BARE_CR),
    R("two_cr", GET H "\r\r\n", BARE_CR),
    R("fold_blank", GET H "X: a\r\n b\r\n\r\n", FOLD),
    R("fold_tab", GET H "X: a\r\n\tb\r\n\r\n", FOLD),
    R("fold_first_field", GET " Host: a\r\n\r\n", FOLD),
    R("no_host", GET "X: a\r\n\r\n", NO_HOST),
    R("no_fields", GET "\r\n", NO_HOST),
    R("two_hosts", GET H H "\r\n", HOSTS),
    R("two_hosts_case", GET "Host: a\r\nhOST: b\r\n\r\n", HOSTS),
    R("host_empty", GET "Host:\r\n\r\n", HOST),
    R("host_blank_inside", GET "Host: a b\r\n\r\n", HOST),
    R("host_userinfo", GET "Host: u@a\r\n\r\n", HOST),
    R("host_path", GET "Host: a/b\r\n\r\n", HOST),
    R("host_list", GET "Host: a, b\r\n\r\n", HOST),
    R("host_port_text", GET "Host: a:http\r\n\r\n", HOST),
    R("host_port_empty", GET "Host: a:\r\n\r\n", HOST),
    R("host_port_long", GET "Host: a:123456\r\n\r\n", HOST),
    R("host_bracket_open", GET "Host: [::1\r\n\r\n", HOST),
    R("host_bracket_empty", GET "Host: []\r\n\r\n", HOST),
    R("host_only_port", GET "Host: :80\r\n\r\n", HOST),
    R("expect_other", POST "Expect: 200-ok\r\n\r\n", EXPECT),
    R("expect_empty", POST "Expect:\r\n\r\n", EXPECT),
    R("expect_twice", POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", EXPECT),
    R("nul_in_value", GET "Host: a\r\nX: a\0b\r\n\r\n", CONTROL_BYTE),
    R("nul_in_name", GET "Host: a\r\nX\0: b\r\n\r\n", CONTROL_BYTE),
    R("nul_in_target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", CONTROL_BYTE),
    R("nul_first", "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n", CONTROL_BYTE),
    R("del_in_value", GET "Host: a\r\nX: \x7f\r\n\r\n", CONTROL_BYTE),
    R("vertical_tab_in_value", GET "Host: a\r\nX: \x0b\r\n\r\n", CONTROL_BYTE),
    R("tab_in_start_line", "GET\t/ HTTP/1.1\r\n" H "\r\n", CONTROL_BYTE),
    R("not_ascii_value", GET "Host: a\r\nX: \xc3\xa4\r\n\r\n", NOT_ASCII),
    R("not_ascii_target", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", NOT_ASCII),
    R("tls_hello_on_plain", "\x16\x03\x01\x02\x00\x01", CONTROL_BYTE),
    R("absolute_form", "GET http://a/ HTTP/1.1\r\n" H "\r\n", TARGET_FORM),
    R("authority_form", "GET a:443 HTTP/1.1\r\n" H "\r\n", TARGET_FORM),
    R("asterisk_form", "GET * HTTP/1.1\r\n" H "\r\n", TARGET_FORM),
    R("target_missing", "GET  HTTP/1.1\r\n" H "\r\n", TARGET_FORM),
    R("target_fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", TARGET_BYTE),
    R("target_backslash", "GET /a\\b HTTP/1.1\r\n" H "\r\n", TARGET_BYTE),
    R("target_quote", "GET /\"a HTTP/1.1\r\n" H "\r\n", TARGET_BYTE),
    R("target_escape_cut", "GET /a%2 HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_not_hex", "GET /a%zz HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_nul", "GET /a%00 HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_slash", "GET /a%2fb HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_backslash", "GET /a%5Cb HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_high", "GET /%c3%a4 HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_escape_in_query", "GET /?a=%4 HTTP/1.1\r\n" H "\r\n", TARGET_ESCAPE),
    R("target_dot_dot", "GET /a/../b HTTP/1.1\r\n" H "\r\n", TARGET_DOTS),
    R("target_dot_dot_end", "GET /a/.. HTTP/1.1\r\n" H "\r\n", TARGET_DOTS),
    R("target_dot_dot_escaped", "GET /a/%2e%2E/b HTTP/1.1\r\n" H "\r\n", TARGET_DOTS),
    R("target_dot", "GET /./a HTTP/1.1\r\n" H "\r\n", TARGET_DOTS),
    R("target_double_slash", "GET //a HTTP/1.1\r\n" H "\r\n", TARGET_DOTS),
    R("version_1_0", "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n", VERSION),
    R("version_2_0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    R("version_1_2", "GET / HTTP/1.2\r\n" H "\r\n", VERSION),
    R("version_lower_case", "GET / http/1.1\r\n" H "\r\n", START_LINE),
    R("version_long", "GET / HTTP/1.10\r\n" H "\r\n", START_LINE),
    R("version_missing", "GET /\r\n" H "\r\n", START_LINE),
    R("start_line_extra_word", "GET / x HTTP/1.1\r\n" H "\r\n", START_LINE),
    R("start_line_trailing_blank", "GET / HTTP/1.1 \r\n" H "\r\n", START_LINE),
    R("start_line_leading_blank", " GET / HTTP/1.1\r\n" H "\r\n", START_LINE),
    R("start_line_empty", "\r\nGET / HTTP/1.1\r\n" H "\r\n", START_LINE),
    R("method_unknown", "BREW / HTTP/1.1\r\n" H "\r\n", METHOD),
    R("method_lower_case", "get / HTTP/1.1\r\n" H "\r\n", METHOD),
    R("method_connect", "CONNECT /a HTTP/1.1\r\n" H "\r\n", METHOD),
    R("method_not_token", "GE(T / HTTP/1.1\r\n" H "\r\n", START_LINE),
    R("connection_empty", GET H "Connection:\r\n\r\n", CONNECTION),
    R("connection_not_token", GET H "Connection: a b\r\n\r\n", CONNECTION),
    R("chunk_size_empty", POST "Transfer-Encoding: chunked\r\n\r\n\r\n", CHUNK_SIZE),
    R("chunk_size_not_hex", POST "Transfer-Encoding: chunked\r\n\r\ng\r\n", CHUNK_SIZE),
    R("chunk_size_signed", POST "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n", CHUNK_SIZE),
    R("chunk_size_prefix", POST "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", CHUNK_SIZE),
    R("chunk_size_9_digits", POST "Transfer-Encoding: chunked\r\n\r\n000000005\r\nhello\r\n", CHUNK_SIZE),
    R("chunk_size_bare_lf", POST "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n", CHUNK_SIZE),
    R("chunk_size_cr_x", POST "Transfer-Encoding: chunked\r\n\r\n5\rx", CHUNK_SIZE),
    R("chunk_size_over_max", POST "Transfer-Encoding: chunked\r\n\r\n41\r\n", BODY_LONG),
    R("chunk_sum_over_max", POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n40\r\n", BODY_LONG),
    R("chunk_extension", POST "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n", CHUNK_EXTENSION),
    R("chunk_blank_after_size", POST "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n", CHUNK_EXTENSION),
    R("chunk_longer_than_size", POST "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n", CHUNK_END),
    R("chunk_end_bare_lf", POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n", CHUNK_END),
    R("chunk_trailer", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", TRAILER),
    R("chunk_last_bare_lf", POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\n", TRAILER),
};

static const struct row bad_responses[] = {
    R("no_length", "HTTP/1.1 200 OK\r\n\r\n", NO_LENGTH),
    R("version_1_0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", VERSION),
    R("status_short", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", STATUS),
    R("status_long", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", STATUS),
    R("status_600", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", STATUS),
    R("status_099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", STATUS),
    R("status_101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", STATUS),
    R("status_missing", "HTTP/1.1\r\n\r\n", STATUS),
    R("not_http", "ICY 200 OK\r\n\r\n", START_LINE),
    R("length_twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", LENGTHS),
    R("length_and_chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      LENGTH_AND_CODING),
    R("bare_lf", "HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\na", BARE_LF),
    R("too_long", "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", BODY_LONG),
};

/* Feeds in pieces of the given size (0: all at once, else a simple pseudo-random cut when size is 99). */
static enum bp_http_step feed_all(struct bp_http *h, bp_span in, size_t piece, size_t *ret_used)
{
    size_t at = 0, used = 0;
    uint32_t seed = 12345;
    enum bp_http_step step = BP_HTTP_MORE;
    for (;;) {
        size_t n = in.n - at;
        seed = seed * 1103515245u + 12345u;
        const size_t cut = piece == 99 ? 1 + (seed >> 16) % 7 : piece;
        if (cut != 0 && n > cut) {
            n = cut;
        }
        step = bp_http_feed(h, bp_span_sub(in, at, n), &used);
        at += used;
        if (step == BP_HTTP_DONE || step == BP_HTTP_REFUSED || (step == BP_HTTP_MORE && at == in.n)) {
            break;
        }
    }
    *ret_used = at;
    return step;
}

static void refused_rows(const struct row *rows, size_t count, enum bp_http_role role, const char *prefix)
{
    static const size_t pieces[] = {0, 1, 2, 3, 99};
    for (size_t i = 0; i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s_%s", prefix, rows[i].name);
        bp_case_begin();
        size_t first_used = 0;
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
            struct bp_http h;
            size_t used = 0;
            bp_http_init(&h, role, 64);
            BP_CHECK(feed_all(&h, bp_span_of(rows[i].bytes, rows[i].n), pieces[k], &used) == BP_HTTP_REFUSED);
            if (!BP_CHECK(h.why == rows[i].why)) {
                printf("# got %s\n", bp_http_why_name(h.why));
            }
            first_used = k == 0 ? used : first_used;
            BP_CHECK(used == first_used);
            BP_CHECK(bp_http_why_status(h.why) >= 400);
            bp_http_done(&h);
        }
        bp_case_end(name);
    }
}

static void requests_refused(void)
{
    refused_rows(bad_requests, sizeof bad_requests / sizeof bad_requests[0], BP_HTTP_REQUEST, "request");
}

static void responses_refused(void)
{
    refused_rows(bad_responses, sizeof bad_responses / sizeof bad_responses[0], BP_HTTP_RESPONSE, "response");
}

static bool is_text(bp_span s, const char *text)
{
    return bp_span_equal(s, bp_span_cstr(text));
}

BP_CASE(request_whole)
{
    static const char text[] = "POST /a/%62?x=1&y=%41+b HTTP/1.1\r\nHost: [::1]:80\r\nX-One:  v \t\r\nCONTENT-length: "
                               "5\r\nConnection: Foo, CLOSE\r\n\r\nhelloNEXT";
    for (size_t piece = 0; piece < 4; piece++) {
        struct bp_http h;
        size_t used = 0, n = 0;
        char v[8];
        bp_http_init(&h, BP_HTTP_REQUEST, 64);
        BP_CHECK(bp_http_is_fresh(&h));
        BP_CHECK(feed_all(&h, bp_span_of(text, sizeof text - 1), piece, &used) == BP_HTTP_DONE);
        BP_CHECK(used == sizeof text - 1 - 4);
        BP_CHECK(h.method == BP_HTTP_POST && h.close && h.content_length == 5);
        BP_CHECK(is_text(bp_http_target(&h), "/a/%62?x=1&y=%41+b"));
        BP_CHECK(is_text(bp_http_path(&h), "/a/b"));
        BP_CHECK(is_text(bp_http_query(&h), "x=1&y=%41+b"));
        BP_CHECK(is_text(bp_http_body(&h), "hello"));
        BP_CHECK(is_text(bp_http_header(&h, "x-one", &n), "v") && n == 1);
        BP_CHECK(is_text(bp_http_header(&h, "host", NULL), "[::1]:80"));
        BP_CHECK(bp_http_header(&h, "x-two", &n).n == 0 && n == 0);
        BP_CHECK(!bp_failed(bp_http_query_get(bp_http_query(&h), "y", v, sizeof v, &n)) && n == 3 &&
                 memcmp(v, "A b", 3) == 0);
        BP_CHECK(bp_is(bp_http_query_get(bp_http_query(&h), "z", v, sizeof v, &n), BP_E_NOT_FOUND));
        BP_CHECK(bp_is(bp_http_query_get(BP_SPAN_STR("a=1&a=2"), "a", v, sizeof v, &n), BP_E_EXISTS));
        BP_CHECK(bp_is(bp_http_query_get(BP_SPAN_STR("a=%0a"), "a", v, sizeof v, &n), BP_E_MALFORMED));
        BP_CHECK(bp_is(bp_http_query_get(BP_SPAN_STR("a=123456789"), "a", v, sizeof v, &n), BP_E_NO_SPACE));
        bp_http_done(&h);
    }
}

/* What who asks about certificates may do, where the listener says so, and nothing beyond it. */
BP_CASE(request_of_status)
{
    static const struct {
        const char *text;
        enum bp_http_why why;
        bool is_10;
    } rows[] = {
        {"GET /a HTTP/1.0\r\n" H "\r\n", BP_HTTP_WHY_NONE, true},
        {"POST /a HTTP/1.0\r\n" H "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", BP_HTTP_WHY_NONE, true},
        {"GET /a/MEk%2fx//y%2F%3D= HTTP/1.1\r\n" H "\r\n", BP_HTTP_WHY_NONE, false},
        {"POST /a HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", BP_HTTP_WHY_CODING, true},
        {"GET /a HTTP/1.0\r\n\r\n", BP_HTTP_WHY_NO_HOST, true},
        {"GET /a HTTP/0.9\r\n" H "\r\n", BP_HTTP_WHY_VERSION, false},
        {"GET /a/../b HTTP/1.1\r\n" H "\r\n", BP_HTTP_WHY_TARGET_DOTS, false},
        {"GET /a%2f..%2fb HTTP/1.1\r\n" H "\r\n", BP_HTTP_WHY_TARGET_DOTS, false},
        {"GET /a%5cb HTTP/1.1\r\n" H "\r\n", BP_HTTP_WHY_TARGET_ESCAPE, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_http h;
        size_t used = 0;
        bp_http_init(&h, BP_HTTP_REQUEST, 64);
        h.of_status = true;
        const enum bp_http_step want = rows[i].why == BP_HTTP_WHY_NONE ? BP_HTTP_DONE : BP_HTTP_REFUSED;
        BP_CHECK(feed_all(&h, bp_span_cstr(rows[i].text), 3, &used) == want && h.why == rows[i].why);
        BP_CHECK(h.is_10 == rows[i].is_10 && (!h.is_10 || h.close));
        bp_http_reset(&h, 64);
        BP_CHECK(h.of_status && !h.is_10);
        bp_http_done(&h);
    }
}

BP_CASE(request_chunked)
{
    static const char text[] = POST "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"
                                    "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\nX";
    for (size_t piece = 0; piece < 4; piece++) {
        struct bp_http h;
        size_t used = 0;
        bp_http_init(&h, BP_HTTP_REQUEST, 15);
        BP_CHECK(feed_all(&h, bp_span_of(text, sizeof text - 1), piece, &used) == BP_HTTP_DONE);
        BP_CHECK(used == sizeof text - 2 && h.expects_continue && h.chunked);
        BP_CHECK(is_text(bp_http_body(&h), "hello0123456789"));
        bp_http_done(&h);
    }
}

BP_CASE(request_without_body)
{
    struct bp_http h;
    size_t used = 0;
    bp_http_init(&h, BP_HTTP_REQUEST, 0);
    BP_CHECK(bp_http_feed(&h, BP_SPAN_STR(GET H "\r\nrest"), &used) == BP_HTTP_HEAD_END);
    BP_CHECK(used == sizeof(GET H "\r\n") - 1 && !h.has_body && !h.close);
    BP_CHECK(bp_http_feed(&h, BP_SPAN_EMPTY, &used) == BP_HTTP_DONE && used == 0);
    bp_http_reset(&h, 0);
    BP_CHECK(bp_http_is_fresh(&h) && h.role == BP_HTTP_REQUEST);
    bp_http_done(&h);
}

/* The caller may lower or raise body_max at the head's end, by route. */
BP_CASE(body_max_by_route)
{
    struct bp_http h;
    size_t used = 0;
    const bp_span head = BP_SPAN_STR(POST "Content-Length: 5\r\n\r\n");
    bp_http_init(&h, BP_HTTP_REQUEST, 0);
    BP_CHECK(bp_http_feed(&h, head, &used) == BP_HTTP_HEAD_END);
    h.body_max = 5;
    BP_CHECK(bp_http_feed(&h, BP_SPAN_STR("hello"), &used) == BP_HTTP_DONE);
    bp_http_reset(&h, 64);
    BP_CHECK(bp_http_feed(&h, head, &used) == BP_HTTP_HEAD_END);
    h.body_max = 4;
    BP_CHECK(bp_http_feed(&h, BP_SPAN_EMPTY, &used) == BP_HTTP_REFUSED && h.why == BP_HTTP_WHY_BODY_LONG);
    BP_CHECK(bp_http_feed(&h, head, &used) == BP_HTTP_REFUSED && used == 0);
    bp_http_done(&h);
}

/* Fills a request whose head is exactly n bytes; the padding is in one field. */
static size_t head_of(char *buf, size_t n)
{
    static const char a[] = GET H "X: ", z[] = "\r\n\r\n";
    memcpy(buf, a, sizeof a - 1);
    memset(buf + sizeof a - 1, 'x', n - sizeof a - sizeof z + 2);
    memcpy(buf + n - sizeof z + 1, z, sizeof z - 1);
    return n;
}

BP_CASE(head_limit_to_the_byte)
{
    static char buf[BP_HTTP_HEAD_MAX + 1];
    struct bp_http h;
    size_t used = 0;
    bp_http_init(&h, BP_HTTP_REQUEST, 0);
    BP_CHECK(feed_all(&h, bp_span_of(buf, head_of(buf, BP_HTTP_HEAD_MAX)), 0, &used) == BP_HTTP_DONE);
    bp_http_reset(&h, 0);
    BP_CHECK(feed_all(&h, bp_span_of(buf, head_of(buf, BP_HTTP_HEAD_MAX + 1)), 0, &used) == BP_HTTP_REFUSED);
    BP_CHECK(h.why == BP_HTTP_WHY_HEAD_LONG && h.head_cap <= BP_HTTP_HEAD_MAX);
    bp_http_done(&h);
}

BP_CASE(target_limit_to_the_byte)
{
    static char buf[4096];
    for (size_t extra = 0; extra < 2; extra++) {
        struct bp_http h;
        size_t used = 0;
        memcpy(buf, "GET /", 5);
        memset(buf + 5, 'a', BP_HTTP_TARGET_MAX - 1 + extra);
        const int n = snprintf(buf + 4 + BP_HTTP_TARGET_MAX + extra, 64, " HTTP/1.1\r\n" H "\r\n");
        bp_http_init(&h, BP_HTTP_REQUEST, 0);
        const enum bp_http_step step =
            feed_all(&h, bp_span_of(buf, 4 + BP_HTTP_TARGET_MAX + extra + (size_t)n), 0, &used);
        BP_CHECK(step == (extra == 0 ? BP_HTTP_DONE : BP_HTTP_REFUSED));
        BP_CHECK(h.why == (extra == 0 ? BP_HTTP_WHY_NONE : BP_HTTP_WHY_TARGET_LONG));
        bp_http_done(&h);
    }
}

BP_CASE(header_count_limit)
{
    for (size_t count = BP_HTTP_HEADERS_MAX; count <= BP_HTTP_HEADERS_MAX + 1; count++) {
        struct bp_http h;
        size_t used = 0;
        char buf[1024] = GET H;
        size_t n = strlen(buf);
        for (size_t i = 1; i < count; i++) {
            n += (size_t)snprintf(buf + n, sizeof buf - n, "a:b\r\n");
        }
        n += (size_t)snprintf(buf + n, sizeof buf - n, "\r\n");
        bp_http_init(&h, BP_HTTP_REQUEST, 0);
        const enum bp_http_step step = feed_all(&h, bp_span_of(buf, n), 0, &used);
        BP_CHECK(count == BP_HTTP_HEADERS_MAX ? step == BP_HTTP_DONE && bp_http_fields(&h) == count
                                              : step == BP_HTTP_REFUSED && h.why == BP_HTTP_WHY_HEADERS_MANY);
        bp_http_done(&h);
    }
}

BP_CASE(response_kinds)
{
    static const struct {
        const char *text;
        bool to_head;
        const char *body;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, "hi"},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, ""},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, "hi"},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, ""},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, ""},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_http h;
        size_t used = 0;
        bp_http_init(&h, BP_HTTP_RESPONSE, 64);
        h.to_head = rows[i].to_head;
        BP_CHECK(feed_all(&h, bp_span_cstr(rows[i].text), 1, &used) == BP_HTTP_DONE);
        BP_CHECK(used == strlen(rows[i].text) && is_text(bp_http_body(&h), rows[i].body));
        bp_http_done(&h);
    }
}

BP_CASE(writers_make_what_the_parser_takes)
{
    uint8_t buf[512];
    const struct bp_http_header hs[] = {{"X-A", BP_SPAN_STR("one two")}, {"Retry-After", BP_SPAN_STR("5")}};
    struct bp_http h;
    size_t used = 0;
    bp_wr wr = bp_wr_over(buf, sizeof buf);
    bp_http_write_request(&wr, BP_HTTP_PUT, BP_SPAN_STR("/x?y=1"), BP_SPAN_STR("h:1"), hs, 2, BP_HTTP_LENGTH, 0);
    BP_NEED(!bp_failed(bp_wr_finish(&wr)));
    bp_http_init(&h, BP_HTTP_REQUEST, 0);
    BP_CHECK(feed_all(&h, bp_wr_span(&wr), 0, &used) == BP_HTTP_DONE && h.method == BP_HTTP_PUT);
    BP_CHECK(is_text(bp_http_header(&h, "x-a", NULL), "one two"));
    bp_http_done(&h);
    wr = bp_wr_over(buf, sizeof buf);
    bp_http_write_response(&wr, 202, hs, 2, BP_HTTP_LENGTH, 0, true);
    BP_NEED(!bp_failed(bp_wr_finish(&wr)));
    bp_http_init(&h, BP_HTTP_RESPONSE, 0);
    BP_CHECK(feed_all(&h, bp_wr_span(&wr), 0, &used) == BP_HTTP_DONE && h.status == 202 && h.close);
    bp_http_done(&h);
}

BP_CASE(writers_refuse_injection)
{
    uint8_t buf[512];
    const struct bp_http_header bad[] = {
        {"X", BP_SPAN_STR("a\r\nSet-Cookie: b")}, {"X", BP_SPAN_STR("a\nb")}, {"X Y", BP_SPAN_STR("a")},
        {"", BP_SPAN_STR("a")},                   {"X:", BP_SPAN_STR("a")},   {"X\r\n", BP_SPAN_STR("a")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bp_wr wr = bp_wr_over(buf, sizeof buf);
        bp_http_write_response(&wr, 200, &bad[i], 1, BP_HTTP_LENGTH, 0, false);
        BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_BAD_ARGUMENT));
    }
    bp_wr wr = bp_wr_over(buf, sizeof buf);
    bp_http_write_request(&wr, BP_HTTP_GET, BP_SPAN_STR("/a b"), BP_SPAN_STR("h"), NULL, 0, BP_HTTP_NO_BODY, 0);
    BP_CHECK(bp_is(bp_wr_finish(&wr), BP_E_BAD_ARGUMENT));
}

BP_SUITE(http, BP_TABLE(requests_refused) BP_TABLE(responses_refused) BP_RUN(request_whole) BP_RUN(request_of_status) BP_RUN(request_chunked)
    BP_RUN(request_without_body) BP_RUN(body_max_by_route) BP_RUN(head_limit_to_the_byte)
    BP_RUN(target_limit_to_the_byte) BP_RUN(header_count_limit) BP_RUN(response_kinds)
    BP_RUN(writers_make_what_the_parser_takes) BP_RUN(writers_refuse_injection))
