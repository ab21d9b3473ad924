/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/answer - answers and refusals of requests. A refusal is problem+json (RFC 9457) of
 * codec/problem's row; on evidence it carries a fresh nonce (docs/protocol/device.md). */
#include "fleet/keeper/internal.h"

#include "core/devid.h"

#define BP_MODULE PROC

#define PROBLEM_MAX 3072u

void bp_k_text(bp_span from, char *ret, size_t cap)
{
    size_t n = from.n < cap ? from.n : cap - 1;
    while (n < from.n && n > 0 && (from.p[n] & 0xc0) == 0x80) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        const bool control = from.p[i] < 0x20 || from.p[i] == 0x7f;
        ret[i] = control ? ' ' : (char)from.p[i];
    }
    ret[n] = 0;
}

/* -- JSON ---------------------------------------------------------------------------------------- */
static void json_text(bp_wr *w, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    bp_wr_u8(w, '"');
    for (const char *p = text; *p != 0; p++) {
        const uint8_t c = (uint8_t)*p;
        if (c == '"' || c == '\\') {
            bp_wr_u8(w, '\\');
            bp_wr_u8(w, c);
        } else if (c < 0x20) {
            bp_wr_bytes(w, BP_SPAN_STR("\\u00"));
            bp_wr_u8(w, (uint8_t)hex[c >> 4]);
            bp_wr_u8(w, (uint8_t)hex[c & 15]);
        } else {
            bp_wr_u8(w, c);
        }
    }
    bp_wr_u8(w, '"');
}

static void json_member(bp_wr *w, const char *name, const char *text)
{
    bp_wr_bytes(w, BP_SPAN_STR(","));
    json_text(w, name);
    bp_wr_u8(w, ':');
    json_text(w, text);
}

static void decimal(uint64_t v, char ret[21])
{
    char back[20];
    size_t n = 0;
    do {
        back[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++) {
        ret[i] = back[n - 1 - i];
    }
    ret[n] = 0;
}

static void json_number(bp_wr *w, const char *name, uint64_t v)
{
    char digits[21];
    decimal(v, digits);
    bp_wr_u8(w, ',');
    json_text(w, name);
    bp_wr_u8(w, ':');
    bp_wr_bytes(w, bp_span_cstr(digits));
}

static void json_nonce(struct bp_job *j, bp_wr *w)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t nonce[BP_DIGEST_SIZE];
    char text[2 * BP_DIGEST_SIZE + 1];
    const int64_t issued = j->nonce_ms != 0 ? j->nonce_ms : bp_k_now(j->k);
    if (bp_failed(bp_k_nonce(j->k, BP_SPAN_OF(j->nonce_id), j->nonce_seq, issued, nonce))) {
        return;
    }
    for (size_t i = 0; i < sizeof nonce; i++) {
        text[2 * i] = hex[nonce[i] >> 4];
        text[2 * i + 1] = hex[nonce[i] & 15];
    }
    text[2 * sizeof nonce] = 0;
    json_member(w, "nonce", text);
    json_number(w, "seq", j->nonce_seq);
    json_number(w, "issued_ms", (uint64_t)issued);
}

static bp_span problem_json(struct bp_job *j, const struct bp_problem_row *row, const char *detail,
                            uint8_t room[PROBLEM_MAX])
{
    char type[64] = "urn:bedplate:problem:";
    const size_t prefix = strlen(type);
    bp_wr w = bp_wr_over(room, PROBLEM_MAX);
    bp_k_text(bp_span_cstr(row->code), type + prefix, sizeof type - prefix);
    bp_wr_bytes(&w, BP_SPAN_STR("{\"type\":"));
    json_text(&w, type);
    json_member(&w, "title", row->title);
    json_number(&w, "status", row->status);
    json_member(&w, "code", row->code);
    if (detail != NULL && detail[0] != 0) {
        json_member(&w, "detail", detail);
    }
    json_member(&w, "action", row->action);
    if (j->has_nonce) {
        json_nonce(j, &w);
    }
    bp_wr_u8(&w, '}');
    return bp_wr_span(&w);
}

/* -- answers ------------------------------------------------------------------------------------- */
static bp_result encode(struct bp_job *j, const struct bp_ex_answer *a)
{
    size_t n = 0;
    const bp_result measured = bp_ex_answer_write(a, NULL, 0, &n);
    if (bp_failed(measured) && !bp_is(measured, BP_E_NO_SPACE)) {
        return measured;
    }
    uint8_t *p = bp_alloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = bp_ex_answer_write(a, p, n, &n);
    if (bp_failed(r)) {
        bp_free(p);
        return r;
    }
    bp_free(j->answer);
    j->answer = p;
    j->answer_n = n;
    return BP_OK;
}

void bp_k_write_refusal(struct bp_job *j, enum bp_problem problem, const char *detail)
{
    uint8_t room[PROBLEM_MAX];
    char line[BP_K_DETAIL_MAX];
    char seconds[21];
    const struct bp_problem_row row = bp_problem_row(problem);
    line[0] = 0;
    if (detail != NULL) {
        bp_k_text(bp_span_cstr(detail), line, sizeof line);
    }
    struct bp_ex_answer a = {.status = row.status,
                             .content_type = BP_SPAN_STR("application/problem+json"),
                             .body = problem_json(j, &row, line, room)};
    const bool later = problem == BP_P_BUSY || problem == BP_P_UNAVAILABLE;
    if (j->retry_after_s > 0 || later) {
        decimal(j->retry_after_s > 0 ? j->retry_after_s : BP_K_RETRY_S, seconds);
        a.header[a.header_count++] =
            (struct bp_ex_header){BP_SPAN_STR("Retry-After"), bp_span_cstr(seconds)};
    }
    j->is_refusal = true;
    j->k->full_refused += problem == BP_P_STORAGE_FULL ? 1 : 0;
    if (bp_failed(encode(j, &a))) {
        bp_free(j->answer);
        j->answer = NULL; /* the front makes its own 500 of the status */
    }
}

void bp_k_refuse(struct bp_job *j, enum bp_problem problem, const char *detail)
{
    bp_k_write_refusal(j, problem, detail);
    bp_k_settle(j);
}

void bp_k_answer(struct bp_job *j, const struct bp_ex_answer *a)
{
    if (bp_failed(encode(j, a))) {
        bp_k_write_refusal(j, BP_P_INTERNAL, NULL);
    }
    bp_k_settle(j);
}

void bp_k_ok(struct bp_job *j, bp_span content_type, bp_span body)
{
    const struct bp_ex_answer a = {.status = 200, .content_type = content_type, .body = body};
    bp_k_answer(j, &a);
}

enum bp_problem bp_k_problem_of(bp_result r)
{
    switch (bp_error_of(r)) {
    case BP_E_FULL:
        return BP_P_STORAGE_FULL;
    case BP_E_BUSY:
    case BP_E_EXPIRED:
    case BP_E_NO_MEMORY:
        return BP_P_BUSY;
    case BP_E_CLOSED:
        return BP_P_UNAVAILABLE;
    case BP_E_LIMIT:
        return BP_P_TOO_LARGE;
    case BP_E_UNSUPPORTED:
        return BP_P_UNSUPPORTED;
    case BP_E_MALFORMED:
    case BP_E_TRUNCATED:
    case BP_E_NOT_CANONICAL:
        return BP_P_MALFORMED;
    case BP_E_OK:
    case BP_E_NO_SPACE:
    case BP_E_BAD_ARGUMENT:
    case BP_E_BAD_SIGNATURE:
    case BP_E_MISMATCH:
    case BP_E_DENIED:
    case BP_E_REPLAYED:
    case BP_E_NOT_FOUND:
    case BP_E_EXISTS:
    case BP_E_IO:
    case BP_E_CRYPTO:
    case BP_E_ROOT:
    case BP_E_INTERNAL:
    case BP_E_COUNT:
        break;
    }
    return BP_P_INTERNAL;
}

bool bp_k_failed_call(struct bp_job *j, bp_result r, uint64_t status)
{
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return true;
    }
    if (status != 0) {
        bp_k_refuse(j, bp_problem_row((enum bp_problem)status).number, NULL);
        return true;
    }
    return false;
}
