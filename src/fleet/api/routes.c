/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/routes - finding the row of a request, and the steps that every request passes before its
 * handler. */
#include "fleet/api/internal.h"

#include "base/secret.h"

#define BP_EV_NONE 0u



#define STEP_NO  false
#define STEP_YES true

const struct bp_api_row bp_api_table[BP_API_COUNT] = {
#define BP_X(id, method, path, role, scope, step_up, event, where, media, max, summary)                                \
    [BP_API_##id] = {method, path, BP_OPR_##role, scope, STEP_##step_up, BP_EV_##event, BP_API_##where, media, max,     \
                     summary},
    BP_API_ROUTES(BP_X)
#undef BP_X
};

/* -- matching ---------------------------------------------------------------------------------- */
/* The segment that begins at `at`, which is moved behind its slash; past the end: n + 1. */
static bp_span segment(bp_span path, size_t *at)
{
    const size_t from = *at;
    size_t end = from;
    while (end < path.n && path.p[end] != '/') {
        end++;
    }
    *at = end + 1;
    return bp_span_sub(path, from, end - from);
}

static bool fits(const char *pattern, bp_span path, bp_span *param)
{
    const bp_span want = bp_span_cstr(pattern);
    size_t i = 1;
    size_t k = 1;
    size_t params = 0;
    while (i <= want.n && k <= path.n) {
        const size_t from = k;
        const bp_span a = segment(want, &i);
        const bp_span b = segment(path, &k);
        if (bp_span_equal(a, BP_SPAN_STR("{path}"))) {
            param[params] = bp_span_sub(path, from, path.n - from);
            return param[params].n > 0;
        }
        if (a.n > 0 && a.p[0] == '{') {
            if (b.n == 0) {
                return false;
            }
            param[params++] = b;
        } else if (!bp_span_equal(a, b)) {
            return false;
        }
    }
    return i > want.n && k > path.n;
}

void bp_api_find(bp_span method, bp_span target, struct bp_api_match *ret)
{
    const bp_span prefix = BP_SPAN_STR(BP_API_PREFIX);
    *ret = (struct bp_api_match){.id = BP_API_COUNT};
    size_t n = 0;
    while (n < target.n && target.p[n] != '?') {
        n++;
    }
    ret->query = n < target.n ? bp_span_sub(target, n + 1, target.n - n - 1) : BP_SPAN_EMPTY;
    if (n <= prefix.n || !bp_span_equal(bp_span_sub(target, 0, prefix.n), prefix) || target.p[prefix.n] != '/') {
        return;
    }
    const bp_span path = bp_span_sub(target, prefix.n, n - prefix.n);
    for (unsigned i = 0; i < BP_API_COUNT; i++) {
        bp_span param[BP_API_PARAMS] = {BP_SPAN_EMPTY, BP_SPAN_EMPTY};
        if (!fits(bp_api_table[i].path, path, param)) {
            continue;
        }
        if (bp_span_equal(method, bp_span_cstr(bp_api_table[i].method))) {
            ret->id = (enum bp_api_id)i;
            ret->other_method = false;
            memcpy(ret->param, param, sizeof param);
            return;
        }
        ret->other_method = true;
    }
}

enum bp_api_where bp_api_where(bp_span method, bp_span target)
{
    struct bp_api_match m;
    bp_api_find(method, target, &m);
    return m.id == BP_API_COUNT ? BP_API_READER : bp_api_table[m.id].where;
}

bool bp_api_is_read(bp_span method, bp_span target)
{
    return bp_api_where(method, target) == BP_API_READER;
}

/* -- while recovering ------------------------------------------------------------------------------ */
bool bp_api_takes_away(enum bp_api_id id)
{
    switch ((int)id) {
    case BP_API_SESSION_NEW: /* who has a code of this store may look */
    case BP_API_SESSION_END:
    case BP_API_QUARANTINE:
    case BP_API_REVOKE:
    case BP_API_RETIRE:
    case BP_API_RELEASE_DEPRECATE:
    case BP_API_RELEASE_WITHDRAW:
    case BP_API_ACTION_REJECT:
    case BP_API_SERVICE_END:
        return true;
    default:
        return strcmp(bp_api_table[id].method, "GET") == 0;
    }
}

/* -- before a handler -------------------------------------------------------------------------- */
/* Media types are compared without parameters and case. */
static bool is_media(bp_span given, const char *want)
{
    const size_t n = strlen(want);
    size_t end = 0;
    while (end < given.n && given.p[end] != ';' && given.p[end] != ' ') {
        end++;
    }
    if (end != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = given.p[i] >= 'A' && given.p[i] <= 'Z' ? (uint8_t)(given.p[i] + 32) : given.p[i];
        if (c != (uint8_t)want[i]) {
            return false;
        }
    }
    return true;
}

static enum bp_problem check_body(const struct bp_api_row *row, const struct bp_ex_request *q)
{
    if (row->media[0] == 0) {
        return q->body.n == 0 ? BP_P_NONE : BP_P_MEDIA_TYPE;
    }
    /* Also what keeps a foreign page from posting with a browser's client certificate: none of these types
     * can be sent across origins without asking first. */
    const bool json_too = strcmp(row->media, BP_ROUTE_YAML) == 0;
    if (!is_media(q->content_type, row->media) && !(json_too && is_media(q->content_type, BP_ROUTE_JSON))) {
        return BP_P_MEDIA_TYPE;
    }
    return q->body.n > row->max ? BP_P_TOO_LARGE : BP_P_NONE;
}

static enum bp_problem check_who(bp_store *s, struct bp_crypto *c, int64_t now_ms, const struct bp_ex_request *q,
                                 const struct bp_api_row *row, struct bp_identity *who)
{
    enum bp_problem p = BP_P_NONE;
    const bool is_get = strcmp(row->method, "GET") == 0;
    const bp_span peer = bp_span_equal(q->peer_issuer, BP_SPAN_STR("operator")) ? q->peer_spki : BP_SPAN_EMPTY;
    const bp_result r = bp_operators_identify(s, c, now_ms, q->cookie, peer, who, &p);
    if (bp_failed(r)) {
        return p != BP_P_NONE ? p : BP_P_INTERNAL;
    }
    if (who->role < row->role) {
        return BP_P_FORBIDDEN;
    }
    if (!is_get && !who->by_certificate && !bp_ct_equal(q->csrf, bp_span_cstr(who->csrf))) {
        return BP_P_CSRF;
    }
    return BP_P_NONE;
}

enum bp_problem bp_api_admit(bp_store *s, struct bp_crypto *c, int64_t now_ms, const struct bp_ex_request *q,
                             const struct bp_api_match *m, struct bp_identity *ret_who, const char **ret_detail)
{
    *ret_detail = "";
    *ret_who = (struct bp_identity){.role = BP_OPR_NONE};
    /* Whose certificate it is comes first: a device learns nothing about addresses here. */
    if (q->peer_issuer.n > 0 && !bp_span_equal(q->peer_issuer, BP_SPAN_STR("operator"))) {
        return BP_P_WRONG_ISSUER;
    }
    if (m->id == BP_API_COUNT) {
        return m->other_method ? BP_P_METHOD : BP_P_NOT_FOUND;
    }
    const struct bp_api_row *row = &bp_api_table[m->id];
    if (row->role != BP_OPR_NONE) {
        const enum bp_problem p = check_who(s, c, now_ms, q, row, ret_who);
        if (p != BP_P_NONE) {
            return p;
        }
    }
    const enum bp_problem p = check_body(row, q);
    if (p == BP_P_MEDIA_TYPE) {
        *ret_detail = row->media[0] == 0 ? "no body is taken here" : row->media;
    }
    return p;
}

/* -- the query --------------------------------------------------------------------------------- */
static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What a plus sign stands for differs between a query and a path. */
static bool decode(bp_span v, char plus, char *room, size_t cap, bp_span *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        int c = v.p[i] == '+' ? plus : v.p[i];
        if (c == '%') {
            if (i + 2 >= v.n || digit(v.p[i + 1]) < 0 || digit(v.p[i + 2]) < 0) {
                return false;
            }
            c = digit(v.p[i + 1]) * 16 + digit(v.p[i + 2]);
            i += 2;
        }
        if (n + 1 >= cap || c < 0x20 || c == 0x7f) {
            return false;
        }
        room[n++] = (char)c;
    }
    room[n] = 0;
    *ret = bp_span_of(room, n);
    return true;
}

bool bp_api_param(bp_span param, char *room, size_t cap, bp_span *ret)
{
    return decode(param, '+', room, cap, ret);
}

bool bp_api_query(bp_span query, const char *name, char *room, size_t cap, bp_span *ret)
{
    const size_t n = strlen(name);
    size_t at = 0;
    *ret = BP_SPAN_EMPTY;
    while (at < query.n) {
        size_t end = at;
        while (end < query.n && query.p[end] != '&') {
            end++;
        }
        if (end - at > n && query.p[at + n] == '=' && memcmp(query.p + at, name, n) == 0) {
            return decode(bp_span_sub(query, at + n + 1, end - at - n - 1), ' ', room, cap, ret);
        }
        at = end + 1;
    }
    return true;
}

bool bp_api_number(bp_span text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.n == 0 || text.n > 18) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *ret = v;
    return true;
}

bool bp_api_unhex(bp_span text, uint8_t *ret, size_t n)
{
    if (text.n != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const int high = text.p[2 * i] >= 'A' && text.p[2 * i] <= 'F' ? -1 : digit(text.p[2 * i]);
        const int low = text.p[2 * i + 1] >= 'A' && text.p[2 * i + 1] <= 'F' ? -1 : digit(text.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}
