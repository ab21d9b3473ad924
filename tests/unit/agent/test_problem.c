/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_problem - refusals in words: what is not a problem document says nothing. */
#include "agent/remote.h"
#include "harness.h"

#define N64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define IN(text) {(const uint8_t *)(text), sizeof(text) - 1}
static const struct {
    const char *name;
    bp_span in;
    const char *code, *detail;
    bool has_nonce;
} row[] = {
    {"whole", IN("{\"code\":\"bad-nonce\",\"detail\":\"too old\",\"nonce\":\"" N64 "\",\"seq\":7,\"issued_ms\":9}"),
     "bad-nonce", "too old", true},
    {"title_for_detail", IN("{\"code\":\"revoked\",\"title\":\"This device is revoked\"}"), "revoked",
     "This device is revoked", false},
    {"two_lines_become_one", IN("{\"code\":\"x\",\"detail\":\"a\\nb\\u0007c\"}"), "x", "a b c", false},
    {"nonce_short", IN("{\"code\":\"x\",\"detail\":\"y\",\"nonce\":\"00\",\"seq\":7,\"issued_ms\":9}"), "x", "y", false},
    {"nonce_upper_case", IN("{\"code\":\"x\",\"detail\":\"y\",\"nonce\":\""
                            "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\",\"seq\":7,\"issued_ms\":9}"),
     "x", "y", false},
    {"nonce_without_seq", IN("{\"code\":\"x\",\"detail\":\"y\",\"nonce\":\"" N64 "\",\"issued_ms\":9}"), "x", "y", false},
    {"seq_negative", IN("{\"code\":\"x\",\"detail\":\"y\",\"nonce\":\"" N64 "\",\"seq\":-1,\"issued_ms\":9}"), "x", "y",
     false},
    {"not_json", IN("<html>"), "", "", false},
    {"no_object", IN("[1]"), "", "", false},
    {"member_twice", IN("{\"code\":\"a\",\"code\":\"b\"}"), "", "", false},
    {"code_no_text", IN("{\"code\":5,\"detail\":{}}"), "", "", false},
    {"empty", IN(""), "", "", false},
};

static void rows(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct bp_reply r = {0};
        bp_case_begin();
        bp_reply_problem(row[i].in, &r);
        BP_CHECK(strcmp(r.code, row[i].code) == 0 && strcmp(r.detail, row[i].detail) == 0);
        BP_CHECK(r.has_nonce == row[i].has_nonce && (!r.has_nonce || (r.seq == 7 && r.issued_ms == 9)));
        BP_CHECK(!r.has_nonce || (r.nonce[0] == 0x01 && r.nonce[31] == 0xef));
        bp_case_end(row[i].name);
    }
}

BP_CASE(a_long_detail_is_cut)
{
    static char text[2000];
    struct bp_reply r = {0};
    const int head = snprintf(text, sizeof text, "{\"detail\":\"");
    memset(text + head, 'x', 1500);
    snprintf(text + head + 1500, 8, "\"}");
    bp_reply_problem(bp_span_cstr(text), &r);
    BP_CHECK(strlen(r.detail) == sizeof r.detail - 1);
}

BP_SUITE(problem, BP_TABLE(rows) BP_RUN(a_long_detail_is_cut))
