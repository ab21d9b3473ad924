/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/operators/operators - codes, sessions and who asks. */
#include "fleet/operators/operators.h"

#include <stdio.h>

#include "base/secret.h"

#define BP_MODULE API

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))
#define TOUCH_MS     60000

static const char *const role_names[] = {"", "viewer", "admin"};

const char *bp_role_name(enum bp_role role)
{
    return role == BP_OPR_VIEWER || role == BP_OPR_ADMIN ? role_names[role] : "";
}

enum bp_role bp_role_of_name(bp_span name)
{
    return bp_span_equal(name, BP_SPAN_STR("admin"))    ? BP_OPR_ADMIN
           : bp_span_equal(name, BP_SPAN_STR("viewer")) ? BP_OPR_VIEWER
                                                        : BP_OPR_NONE;
}

bool bp_operators_name_ok(bp_span name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < 0x20 || name.p[i] == 0x7f) {
            return false;
        }
    }
    return name.n > 0 && name.n <= BP_NAME_MAX;
}

static void copy(bp_span from, char *ret, size_t cap)
{
    const size_t n = from.n < cap ? from.n : cap - 1;
    if (n > 0) {
        memcpy(ret, from.p, n);
    }
    ret[n] = 0;
}

/* Base32 (RFC 4648) of the first `chars` * 5 bits. */
static void to_base32(const uint8_t *p, size_t chars, char *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (size_t i = 0; i < chars; i++) {
        const size_t bit = i * 5;
        unsigned v = (unsigned)p[bit / 8] << 8;
        if (bit % 8 > 3) {
            v |= p[bit / 8 + 1];
        }
        ret[i] = digits[(v >> (11 - bit % 8)) & 31];
    }
    ret[chars] = 0;
}

static void to_hex(const uint8_t *p, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * n] = 0;
}

/* -- events ------------------------------------------------------------------------------------ */
static bp_result note(struct bp_operators *o, enum bp_event_type type, bp_span actor, const struct bp_event_detail *d,
                      size_t count)
{
    uint64_t number = 0;
    struct bp_event e = {.time_ms = o->now_ms,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = actor,
                         .detail_count = count};
    for (size_t i = 0; i < count; i++) {
        e.detail[i] = d[i];
    }
    return bp_log_append(o->log, &e, 0, NULL, &number);
}

static struct bp_event_detail text_of(bp_span key, bp_span value)
{
    return (struct bp_event_detail){key, BP_VAL_TEXT, 0, value};
}

/* -- attempts ---------------------------------------------------------------------------------- */
/* The row of a source: its own, or the one that was refused longest ago. */
static bp_result find_row(struct bp_attempts *a, struct bp_crypto *c, bp_span source, size_t *ret)
{
    uint8_t h[32];
    size_t oldest = 0;
    BP_TRY(bp_hash(c, BP_HASH_SHA256, source, h));
    for (size_t i = 0; i < BP_OPERATOR_SOURCES; i++) {
        if (a->row[i].count > 0 && memcmp(a->row[i].source, h, 16) == 0) {
            *ret = i;
            return BP_OK;
        }
        if (a->row[i].count == 0 || a->row[i].since_ms < a->row[oldest].since_ms) {
            oldest = a->row[oldest].count == 0 ? oldest : i;
        }
    }
    *ret = oldest;
    a->row[oldest].count = 0;
    memcpy(a->row[oldest].source, h, 16);
    return BP_OK;
}

bool bp_attempts_may(struct bp_attempts *a, struct bp_crypto *c, bp_span source, int64_t now_ms, uint32_t *ret_wait_s)
{
    uint8_t h[32];
    *ret_wait_s = 1;
    if (bp_failed(bp_hash(c, BP_HASH_SHA256, source, h))) {
        return false;
    }
    for (size_t i = 0; i < BP_OPERATOR_SOURCES; i++) {
        const int64_t left = a->row[i].since_ms + BP_OPERATOR_ATTEMPT_MS - now_ms;
        if (a->row[i].count >= BP_OPERATOR_ATTEMPTS && memcmp(a->row[i].source, h, 16) == 0 && left > 0 &&
            left <= BP_OPERATOR_ATTEMPT_MS) {
            *ret_wait_s = (uint32_t)(left / 1000 + 1);
            return false;
        }
    }
    return true;
}

void bp_attempts_refused(struct bp_attempts *a, struct bp_crypto *c, bp_span source, int64_t now_ms)
{
    size_t i = 0;
    if (bp_failed(find_row(a, c, source, &i))) {
        return;
    }
    if (a->row[i].count == 0 || now_ms - a->row[i].since_ms >= BP_OPERATOR_ATTEMPT_MS || now_ms < a->row[i].since_ms) {
        a->row[i].since_ms = now_ms;
        a->row[i].count = 0;
    }
    a->row[i].count++;
}

/* -- codes ------------------------------------------------------------------------------------- */
/* Blanks and dashes are for people, and so is the case. */
static bp_result code_hash(struct bp_crypto *c, bp_span code, uint8_t ret[32])
{
    uint8_t flat[BP_OPERATOR_CODE_TEXT];
    size_t n = 0;
    for (size_t i = 0; i < code.n; i++) {
        const uint8_t x = code.p[i];
        if (x == ' ' || x == '-') {
            continue;
        }
        if (n == sizeof flat) {
            return BP_FAIL(NOT_FOUND);
        }
        flat[n++] = x >= 'a' && x <= 'z' ? (uint8_t)(x - 32) : x;
    }
    const bp_span parts[] = {BP_SPAN_STR("bedplate-operator-code-v1"), {flat, n}};
    const bp_result r = bp_hash_parts(c, BP_HASH_SHA256, parts, 2, ret);
    bp_wipe(flat, sizeof flat);
    return r;
}

bp_result bp_operators_code(struct bp_operators *o, enum bp_role role, bp_span name, bp_span actor,
                            char ret_code[BP_OPERATOR_CODE_TEXT + 1], enum bp_problem *ret_problem)
{
    uint8_t chance[17];
    char code[BP_OPERATOR_CODE_TEXT + 1];
    struct bp_code c = {.expires_ms = o->now_ms + BP_OPERATOR_CODE_MS};
    struct bp_operator known;
    *ret_problem = BP_P_NONE;
    if (role == BP_OPR_NONE || !bp_operators_name_ok(actor) || (name.n > 0 && !bp_operators_name_ok(name))) {
        return REFUSE(VALUE);
    }
    if (name.n > 0) {
        const bp_result r = bp_store_operator_by_name(o->store, name, &known);
        if (!bp_failed(r) && strcmp(known.role, bp_role_name(role)) != 0) {
            return REFUSE(VALUE);
        }
        if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
            return r;
        }
    }
    copy(bp_span_cstr(bp_role_name(role)), c.role, sizeof c.role);
    copy(name, c.name, sizeof c.name);
    copy(BP_SPAN_STR("*"), c.zone, sizeof c.zone);
    copy(actor, c.by, sizeof c.by);
    BP_TRY(bp_random(o->entropy, chance, sizeof chance));
    to_base32(chance, BP_OPERATOR_CODE_TEXT, code);
    bp_wipe(chance, sizeof chance);
    BP_TRY(code_hash(o->crypto, bp_span_cstr(code), c.code));
    BP_TRY(bp_store_code_add(o->store, &c));
    const struct bp_event_detail d[] = {text_of(BP_SPAN_STR("role"), bp_span_cstr(c.role)),
                                        text_of(BP_SPAN_STR("operator"), name)};
    BP_TRY(note(o, BP_EV_CODE_MADE, actor, d, name.n > 0 ? 2 : 1));
    memcpy(ret_code, code, sizeof code);
    bp_wipe(code, sizeof code);
    return BP_OK;
}

bp_result bp_operators_code_back(struct bp_operators *o, const struct bp_code *code)
{
    return bp_store_code_add(o->store, code);
}

bp_result bp_operators_code_take(struct bp_operators *o, bp_span code, struct bp_code *ret,
                                 enum bp_problem *ret_problem)
{
    uint8_t hash[32];
    *ret_problem = BP_P_NONE;
    bp_result r = code_hash(o->crypto, code, hash);
    if (!bp_failed(r)) {
        r = bp_store_code_take(o->store, BP_SPAN_OF(hash), o->now_ms, ret);
    }
    return bp_is(r, BP_E_NOT_FOUND) ? REFUSE(BAD_CODE) : r;
}

/* A name for somebody who gave none: the role and four characters. */
static bp_result invent_name(struct bp_operators *o, const char *role, char ret[BP_NAME_MAX + 1])
{
    uint8_t chance[4];
    char text[5];
    BP_TRY(bp_random(o->entropy, chance, sizeof chance));
    to_base32(chance, 4, text);
    (void)snprintf(ret, BP_NAME_MAX + 1, "%.16s-%s", role, text);
    return BP_OK;
}

static bp_result make_operator(struct bp_operators *o, const struct bp_code *code, bp_span name,
                               struct bp_operator *ret, enum bp_problem *ret_problem)
{
    struct bp_operator who = {.created_ms = o->now_ms};
    copy(bp_span_cstr(code->role), who.role, sizeof who.role);
    copy(bp_span_cstr(code->zone), who.zone, sizeof who.zone);
    copy(name, who.name, sizeof who.name);
    if (name.n == 0) {
        BP_TRY(invent_name(o, code->role, who.name));
    }
    const bp_result r = bp_store_operator_add(o->store, &who);
    if (bp_is(r, BP_E_EXISTS)) {
        return REFUSE(CONFLICT);
    }
    BP_TRY(r);
    const struct bp_event_detail d[] = {text_of(BP_SPAN_STR("operator"), bp_span_cstr(who.name)),
                                        text_of(BP_SPAN_STR("role"), bp_span_cstr(who.role))};
    BP_TRY(note(o, BP_EV_OPERATOR_CREATED, bp_span_cstr(code->by), d, 2));
    *ret = who;
    return BP_OK;
}

bp_result bp_operators_of_code(struct bp_operators *o, const struct bp_code *code, bp_span name,
                               struct bp_operator *ret, enum bp_problem *ret_problem)
{
    const bp_span own = bp_span_cstr(code->name);
    *ret_problem = BP_P_NONE;
    if (bp_role_of_name(bp_span_cstr(code->role)) == BP_OPR_NONE) {
        return REFUSE(BAD_CODE);
    }
    if ((name.n > 0 && !bp_operators_name_ok(name)) || (own.n > 0 && name.n > 0 && !bp_span_equal(own, name))) {
        return REFUSE(VALUE);
    }
    if (own.n > 0) {
        const bp_result r = bp_store_operator_by_name(o->store, own, ret);
        if (!bp_failed(r)) {
            return ret->disabled || strcmp(ret->role, code->role) != 0 ? REFUSE(FORBIDDEN) : BP_OK;
        }
        if (!bp_is(r, BP_E_NOT_FOUND)) {
            return r;
        }
    }
    return make_operator(o, code, own.n > 0 ? own : name, ret, ret_problem);
}

/* -- sessions ---------------------------------------------------------------------------------- */
static bp_result token_of(struct bp_crypto *c, bp_span cookie, uint8_t ret[32])
{
    const bp_span parts[] = {BP_SPAN_STR("bedplate-session-v1"), cookie};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 2, ret);
}

bp_result bp_operators_session(struct bp_operators *o, const struct bp_operator *who,
                               char ret_cookie[BP_OPERATOR_TOKEN_HEX + 1], int64_t *ret_expires_ms)
{
    uint8_t chance[32];
    char cookie[BP_OPERATOR_TOKEN_HEX + 1];
    struct bp_session s = {.operator_n = who->n,
                           .created_ms = o->now_ms,
                           .used_ms = o->now_ms,
                           .expires_ms = o->now_ms + BP_OPERATOR_SESSION_MS};
    BP_TRY(bp_store_session_expire(o->store, o->now_ms));
    BP_TRY(bp_random(o->entropy, chance, sizeof chance));
    to_hex(chance, sizeof chance, cookie);
    bp_wipe(chance, sizeof chance);
    BP_TRY(token_of(o->crypto, bp_span_cstr(cookie), s.token));
    BP_TRY(bp_store_session_add(o->store, &s));
    BP_TRY(note(o, BP_EV_SIGNED_IN, bp_span_cstr(who->name), NULL, 0));
    memcpy(ret_cookie, cookie, sizeof cookie);
    bp_wipe(cookie, sizeof cookie);
    *ret_expires_ms = s.expires_ms;
    return BP_OK;
}

bp_result bp_operators_certify(struct bp_operators *o, struct bp_operator *who, const uint8_t spki[32],
                               enum bp_problem *ret_problem)
{
    struct bp_operator other;
    *ret_problem = BP_P_NONE;
    const bp_result known = bp_store_operator_by_spki(o->store, bp_span_of(spki, 32), &other);
    if (!bp_failed(known) && other.n != who->n) {
        return REFUSE(CONFLICT);
    }
    if (bp_failed(known) && !bp_is(known, BP_E_NOT_FOUND)) {
        return known;
    }
    memcpy(who->spki, spki, 32);
    who->has_spki = true;
    BP_TRY(bp_store_operator_set(o->store, who));
    const struct bp_event_detail d[] = {text_of(BP_SPAN_STR("operator"), bp_span_cstr(who->name)),
                                        {BP_SPAN_STR("spki"), BP_VAL_BYTES, 0, bp_span_of(spki, 32)}};
    return note(o, BP_EV_OPERATOR_CERTIFICATE, bp_span_cstr(who->name), d, 2);
}

/* -- who asks ---------------------------------------------------------------------------------- */
/* The value of our cookie in a Cookie header (RFC 6265 section 4.2.1); empty when it is not there, not of
 * our form, or there twice. */
static bp_span cookie_value(bp_span header)
{
    const bp_span want = BP_SPAN_STR(BP_OPERATOR_COOKIE "=");
    bp_span found = BP_SPAN_EMPTY;
    size_t at = 0;
    while (at < header.n) {
        size_t end = at;
        while (end < header.n && header.p[end] != ';') {
            end++;
        }
        if (bp_span_equal(bp_span_sub(header, at, want.n), want) && at + want.n <= end) {
            if (found.n > 0) {
                return BP_SPAN_EMPTY;
            }
            found = bp_span_sub(header, at + want.n, end - at - want.n);
        }
        at = end + 1;
        while (at < header.n && header.p[at] == ' ') {
            at++;
        }
    }
    return found.n == BP_OPERATOR_TOKEN_HEX ? found : BP_SPAN_EMPTY;
}

static bp_result csrf_of(struct bp_crypto *c, bp_span cookie, char ret[BP_OPERATOR_TOKEN_HEX + 1])
{
    uint8_t mac[32];
    const bp_span label = BP_SPAN_STR("bedplate-csrf-v1");
    BP_TRY(bp_hmac_sha256(c, cookie, &label, 1, mac));
    to_hex(mac, sizeof mac, ret);
    return BP_OK;
}

static bp_result by_session(bp_store *s, struct bp_crypto *c, int64_t now_ms, bp_span cookie, struct bp_identity *id,
                            enum bp_problem *ret_problem)
{
    struct bp_session x;
    BP_TRY(token_of(c, cookie, id->token));
    const bp_result r = bp_store_session(s, BP_SPAN_OF(id->token), &x);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return REFUSE(NOT_SIGNED_IN);
    }
    BP_TRY(r);
    /* A clock that went back by more than the idle time ends sessions too. */
    if (x.expires_ms <= now_ms || now_ms - x.used_ms >= BP_OPERATOR_IDLE_MS ||
        x.used_ms - now_ms >= BP_OPERATOR_IDLE_MS) {
        return REFUSE(NOT_SIGNED_IN);
    }
    id->expires_ms = x.expires_ms;
    BP_TRY(bp_store_operator(s, x.operator_n, &id->who));
    return csrf_of(c, cookie, id->csrf);
}

bp_result bp_operators_identify(bp_store *s, struct bp_crypto *c, int64_t now_ms, bp_span cookie_header,
                                bp_span peer_spki, struct bp_identity *ret, enum bp_problem *ret_problem)
{
    struct bp_identity id = {.by_certificate = peer_spki.n == 32};
    const bp_span cookie = cookie_value(cookie_header);
    bp_result r = BP_OK;
    *ret_problem = BP_P_NONE;
    if (id.by_certificate) {
        r = bp_store_operator_by_spki(s, peer_spki, &id.who);
    } else if (cookie.n > 0) {
        r = by_session(s, c, now_ms, cookie, &id, ret_problem);
    } else {
        return REFUSE(NOT_SIGNED_IN);
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return REFUSE(NOT_SIGNED_IN);
    }
    BP_TRY(r);
    id.role = bp_role_of_name(bp_span_cstr(id.who.role));
    if (id.who.disabled || id.role == BP_OPR_NONE) {
        return REFUSE(NOT_SIGNED_IN);
    }
    *ret = id;
    return BP_OK;
}

bp_result bp_operators_touch(struct bp_operators *o, const struct bp_identity *id)
{
    struct bp_session x;
    if (id->by_certificate) {
        return BP_OK;
    }
    BP_TRY(bp_store_session(o->store, BP_SPAN_OF(id->token), &x));
    return o->now_ms - x.used_ms < TOUCH_MS ? BP_OK
                                            : bp_store_session_used(o->store, BP_SPAN_OF(id->token), o->now_ms);
}

bp_result bp_operators_end(struct bp_operators *o, const struct bp_identity *id)
{
    if (!id->by_certificate) {
        BP_TRY(bp_store_session_end(o->store, BP_SPAN_OF(id->token)));
    }
    return note(o, BP_EV_SIGNED_OUT, bp_span_cstr(id->who.name), NULL, 0);
}

bp_result bp_operators_refused(struct bp_operators *o, bp_span source, const char *reason)
{
    const struct bp_event_detail d[] = {text_of(BP_SPAN_STR("reason"), bp_span_cstr(reason)),
                                        text_of(BP_SPAN_STR("source"), source)};
    return note(o, BP_EV_SIGN_IN_REFUSED, BP_SPAN_STR("keeper"), d, source.n > 0 ? 2 : 1);
}
