/* SPDX-License-Identifier: Apache-2.0 */
/* platform/pkcs11/uri - see uri.h. */
#include "platform/pkcs11/uri.h"

#include "base/buf.h"

#include <string.h>

#define BP_MODULE PLATFORM

enum where { PATH, QUERY };

enum attribute { TOKEN, SERIAL, OBJECT, ID, TYPE, MODULE_PATH, PIN_SOURCE, PIN_VALUE, ATTRIBUTES };

static const struct {
    const char *name;
    enum where where;
} attributes[ATTRIBUTES] = {
    [TOKEN] = {"token", PATH},
    [SERIAL] = {"serial", PATH},
    [OBJECT] = {"object", PATH},
    [ID] = {"id", PATH},
    [TYPE] = {"type", PATH},
    [MODULE_PATH] = {"module-path", QUERY},
    [PIN_SOURCE] = {"pin-source", QUERY},
    [PIN_VALUE] = {"pin-value", QUERY},
};

#define SCHEME      "pkcs11:"
#define FILE_SCHEME "file:"

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Characters that stand for themselves (RFC 7512 section 2.3, pk11-pchar and pk11-qchar). */
static bool is_plain(uint8_t c, enum where where)
{
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || (c != 0 && strchr("-._~:[]@!$'()*+,=", c) != NULL) || (c == '&' && where == PATH) ||
           (c != 0 && where == QUERY && strchr("/?|", c) != NULL);
}

/* Takes percent signs away. */
static bp_result decode(bp_span in, enum where where, uint8_t *ret, size_t max, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (c == '%') {
            const int high = in.n - i > 2 ? hex(in.p[i + 1]) : -1;
            const int low = in.n - i > 2 ? hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return BP_FAIL(MALFORMED);
            }
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (!is_plain(c, where)) {
            return BP_FAIL(MALFORMED);
        }
        if (n == max) {
            return BP_FAIL(LIMIT);
        }
        ret[n++] = c;
    }
    *ret_n = n;
    return BP_OK;
}

static bp_result text(bp_span in, enum where where, char *ret, size_t max)
{
    uint8_t bytes[BP_PKCS11_PATH_MAX];
    size_t n = 0;
    BP_TRY(decode(in, where, bytes, max, &n));
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] < 0x20 || bytes[i] == 0x7f) {
            return BP_FAIL(MALFORMED);
        }
    }
    memcpy(ret, bytes, n);
    ret[n] = 0;
    return n == 0 ? BP_FAIL(MALFORMED) : BP_OK;
}

static bp_result pin_source(bp_span in, struct bp_pkcs11_uri *u)
{
    const size_t skip = sizeof FILE_SCHEME - 1;
    const bool is_named = bp_span_equal(bp_span_sub(in, 0, skip), BP_SPAN_STR(FILE_SCHEME));
    BP_TRY(text(is_named ? bp_span_sub(in, skip, in.n - skip) : in, QUERY, u->pin_source, sizeof u->pin_source - 1));
    return u->pin_source[0] == '|' ? BP_FAIL(MALFORMED) : BP_OK; /* no commands */
}

static bp_result value(enum attribute which, bp_span in, struct bp_pkcs11_uri *u)
{
    switch (which) {
    case TOKEN:
        return text(in, PATH, u->token, sizeof u->token - 1);
    case SERIAL:
        return text(in, PATH, u->serial, sizeof u->serial - 1);
    case OBJECT:
        return text(in, PATH, u->object, sizeof u->object - 1);
    case ID:
        BP_TRY(decode(in, PATH, u->id, sizeof u->id, &u->id_n));
        return u->id_n == 0 ? BP_FAIL(MALFORMED) : BP_OK;
    case TYPE:
        return bp_span_equal(in, BP_SPAN_STR("private")) ? BP_OK : BP_FAIL(UNSUPPORTED);
    case MODULE_PATH:
        return text(in, QUERY, u->module, sizeof u->module - 1);
    case PIN_SOURCE:
        return pin_source(in, u);
    case PIN_VALUE:
        return BP_FAIL(DENIED);
    case ATTRIBUTES:
        break;
    }
    return BP_FAIL(UNSUPPORTED);
}

static bp_result pair(bp_span in, enum where where, unsigned *seen, struct bp_pkcs11_uri *u)
{
    const uint8_t *equals = in.n == 0 ? NULL : memchr(in.p, '=', in.n);
    if (equals == NULL) {
        return BP_FAIL(MALFORMED);
    }
    const size_t name = (size_t)(equals - in.p);
    enum attribute a = TOKEN;
    while (a < ATTRIBUTES && !(attributes[a].where == where &&
                               bp_span_equal(bp_span_cstr(attributes[a].name), bp_span_sub(in, 0, name)))) {
        a = (enum attribute)(a + 1);
    }
    if (a < ATTRIBUTES && (*seen >> a & 1u) != 0) {
        return BP_FAIL(MALFORMED);
    }
    *seen |= 1u << a;
    return value(a, bp_span_sub(in, name + 1, in.n - name - 1), u);
}

static bp_result pairs(bp_span in, enum where where, unsigned *seen, struct bp_pkcs11_uri *u)
{
    const uint8_t mark = where == PATH ? ';' : '&';
    size_t at = 0;
    while (at < in.n) {
        size_t end = at;
        while (end < in.n && in.p[end] != mark) {
            end++;
        }
        BP_TRY(pair(bp_span_sub(in, at, end - at), where, seen, u));
        if (end + 1 == in.n) {
            return BP_FAIL(MALFORMED); /* a mark and nothing after it */
        }
        at = end + 1;
    }
    return BP_OK;
}

bp_result bp_pkcs11_uri_read(bp_span in, struct bp_pkcs11_uri *ret)
{
    const size_t scheme = sizeof SCHEME - 1;
    struct bp_pkcs11_uri u = {0};
    unsigned seen = 0;
    if (in.n > BP_PKCS11_URI_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (in.n < scheme || memcmp(in.p, SCHEME, scheme) != 0) {
        return BP_FAIL(MALFORMED);
    }
    const bp_span rest = bp_span_sub(in, scheme, in.n - scheme);
    size_t path = 0;
    while (path < rest.n && rest.p[path] != '?') {
        path++;
    }
    BP_TRY(pairs(bp_span_sub(rest, 0, path), PATH, &seen, &u));
    if (path < rest.n) {
        BP_TRY(pairs(bp_span_sub(rest, path + 1, rest.n - path - 1), QUERY, &seen, &u));
    }
    if (u.module[0] != '/' || u.pin_source[0] == 0 || (u.token[0] == 0 && u.serial[0] == 0)) {
        return BP_FAIL(DENIED);
    }
    *ret = u;
    return BP_OK;
}

/* --- writing --- */

struct line {
    bp_wr wr;
    char mark; /* before the next attribute */
};

static void put(struct line *l, const char *name, const char *before, bp_span v, enum where where)
{
    static const char digits[] = "0123456789ABCDEF";
    if (v.n == 0) {
        return;
    }
    if (l->mark != 0) {
        bp_wr_u8(&l->wr, (uint8_t)l->mark);
    }
    l->mark = where == PATH ? ';' : '&';
    bp_wr_bytes(&l->wr, bp_span_cstr(name));
    bp_wr_u8(&l->wr, '=');
    bp_wr_bytes(&l->wr, bp_span_cstr(before));
    for (size_t i = 0; i < v.n; i++) {
        if (is_plain(v.p[i], where) && strchr("&=?", v.p[i]) == NULL) {
            bp_wr_u8(&l->wr, v.p[i]);
        } else {
            bp_wr_u8(&l->wr, '%');
            bp_wr_u8(&l->wr, (uint8_t)digits[v.p[i] >> 4]);
            bp_wr_u8(&l->wr, (uint8_t)digits[v.p[i] & 15]);
        }
    }
}

bp_result bp_pkcs11_uri_write(const struct bp_pkcs11_uri *uri, char *ret, size_t cap, size_t *ret_n)
{
    struct line l = {bp_wr_over(ret, cap), 0};
    bp_wr_bytes(&l.wr, BP_SPAN_STR(SCHEME));
    put(&l, attributes[TOKEN].name, "", bp_span_cstr(uri->token), PATH);
    put(&l, attributes[SERIAL].name, "", bp_span_cstr(uri->serial), PATH);
    put(&l, attributes[OBJECT].name, "", bp_span_cstr(uri->object), PATH);
    put(&l, attributes[ID].name, "", bp_span_of(uri->id, uri->id_n), PATH);
    l.mark = '?';
    put(&l, attributes[MODULE_PATH].name, "", bp_span_cstr(uri->module), QUERY);
    put(&l, attributes[PIN_SOURCE].name, FILE_SCHEME, bp_span_cstr(uri->pin_source), QUERY);
    *ret_n = l.wr.n;
    bp_wr_u8(&l.wr, 0);
    return bp_wr_finish(&l.wr);
}
