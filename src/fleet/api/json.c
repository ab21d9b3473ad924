/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/json - JSON in and out, problems, and the objects of docs/protocol/api.md that several
 * answers share. */
#include "fleet/api/internal.h"

#include <stdio.h>

#include "codec/cose.h"
#include "codec/device.h"
#include "codec/ear.h"
#include "codec/release.h"
#include "core/devid.h"
#include "fleet/policy/document.h"

#define BP_MODULE API

/* -- room -------------------------------------------------------------------------------------- */
bp_span bp_api_put(struct bp_api_room *room, bp_span s)
{
    if (s.n > room->cap - room->n) {
        return BP_SPAN_EMPTY;
    }
    uint8_t *p = room->p + room->n;
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    room->n += s.n;
    return bp_span_of(p, s.n);
}

void bp_api_header(struct bp_ex_answer *a, bp_span name, bp_span value)
{
    if (a->header_count < BP_EX_HEADERS_MAX && value.n > 0) {
        a->header[a->header_count++] = (struct bp_ex_header){name, value};
    }
}

bp_result bp_api_json(struct bp_api_room *room, uint16_t status, json_t *j, struct bp_ex_answer *ret)
{
    if (j == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    char *at = (char *)(room->p + room->n);
    const size_t left = room->cap - room->n;
    const size_t n = json_dumpb(j, at, left, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(j);
    if (n == 0 || n > left) {
        return BP_FAIL(NO_SPACE);
    }
    room->n += n;
    ret->status = status;
    ret->content_type = BP_SPAN_STR("application/json");
    ret->body = bp_span_of(at, n);
    bp_api_header(ret, BP_SPAN_STR("Cache-Control"), BP_SPAN_STR("no-store"));
    return BP_OK;
}

void bp_api_problem(struct bp_api_room *room, enum bp_problem p, const char *detail, uint32_t retry_s,
                    struct bp_ex_answer *ret)
{
    const struct bp_problem_row row = bp_problem_row(p);
    char type[64];
    char wait[16];
    *ret = (struct bp_ex_answer){.status = row.status};
    (void)snprintf(type, sizeof type, "urn:bedplate:problem:%s", row.code);
    json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "code", row.code, "status", (int)row.status,
                          "title", row.title, "detail", detail, "action", row.action);
    if (bp_failed(bp_api_json(room, row.status, j, ret))) {
        *ret = (struct bp_ex_answer){.status = row.status};
        ret->body = BP_SPAN_STR("{}");
    }
    ret->content_type = BP_SPAN_STR("application/problem+json");
    if (retry_s > 0) {
        (void)snprintf(wait, sizeof wait, "%u", retry_s);
        bp_api_header(ret, BP_SPAN_STR("Retry-After"), bp_api_put(room, bp_span_cstr(wait)));
    }
}

/* -- values ------------------------------------------------------------------------------------ */
/* Days since 1970 to a date of the Gregorian calendar, in eras of 400 years. */
static void civil(int64_t days, int64_t *y, unsigned *m, unsigned *d)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const unsigned doe = (unsigned)(days - era * 146097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2 ? 1 : 0);
}

void bp_api_time_text(int64_t ms, char ret[32])
{
    int64_t days = ms / 86400000;
    int64_t left = ms % 86400000;
    int64_t y = 0;
    unsigned m = 0;
    unsigned d = 0;
    if (left < 0) {
        left += 86400000;
        days--;
    }
    civil(days, &y, &m, &d);
    /* Four digits of a year: what lies outside cannot be written in RFC 3339. */
    if (y < 0 || y > 9999) {
        (void)snprintf(ret, 32, "9999-12-31T23:59:59.999Z");
        return;
    }
    (void)snprintf(ret, 32, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", (int)y, m % 100, d % 100, (int)(left / 3600000),
                   (int)(left / 60000 % 60), (int)(left / 1000 % 60), (int)(left % 1000));
}

json_t *bp_api_time(int64_t ms)
{
    char text[32];
    if (ms <= 0) {
        return json_null();
    }
    bp_api_time_text(ms, text);
    return json_string(text);
}

json_t *bp_api_hex(bp_span s)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * 1024];
    if (s.n > sizeof text / 2) {
        return json_null();
    }
    for (size_t i = 0; i < s.n; i++) {
        text[2 * i] = digits[s.p[i] >> 4];
        text[2 * i + 1] = digits[s.p[i] & 15];
    }
    return json_stringn(text, 2 * s.n);
}

/* What is no UTF-8 (stored by no code of ours) shows as null. */
json_t *bp_api_text(bp_span s)
{
    json_t *j = json_stringn(s.n == 0 ? "" : (const char *)s.p, s.n);
    return j == NULL ? json_null() : j;
}

json_t *bp_api_str(const char *s)
{
    return bp_api_text(bp_span_cstr(s));
}

/* -- bodies ------------------------------------------------------------------------------------ */
json_t *bp_api_actions(uint32_t bits)
{
    static const uint32_t action[] = {BP_POLICY_ALERT, BP_POLICY_QUARANTINE, BP_POLICY_HOLD};
    json_t *j = json_array();
    for (size_t i = 0; i < sizeof action / sizeof *action; i++) {
        if ((bits & action[i]) != 0) {
            (void)json_array_append_new(j, json_string(bp_policy_action_name(action[i])));
        }
    }
    return j;
}

static bool take(struct bp_member *m, json_t *v, char *detail)
{
    const bool fits = m->kind == BP_MEMBER_TEXT  ? json_is_string(v)
                      : m->kind == BP_MEMBER_INT ? json_is_integer(v)
                                                 : json_is_boolean(v);
    if (!fits) {
        (void)snprintf(detail, 128, "%s is not of its type", m->name);
        return false;
    }
    m->given = true;
    if (m->kind == BP_MEMBER_INT) {
        m->number = json_integer_value(v);
    } else if (m->kind == BP_MEMBER_BOOL) {
        m->number = json_is_true(v);
    } else {
        m->text = bp_span_of(json_string_value(v), json_string_length(v));
        if (m->text.n > m->max || (m->required && m->text.n == 0)) {
            (void)snprintf(detail, 128, "%s is %s", m->name, m->text.n == 0 ? "empty" : "too long");
            return false;
        }
        for (size_t i = 0; m->max <= BP_REASON_MAX && i < m->text.n; i++) {
            if (m->text.p[i] < 0x20 || m->text.p[i] == 0x7f) {
                (void)snprintf(detail, 128, "%s has a control character", m->name);
                return false;
            }
        }
    }
    return true;
}

bool bp_api_members(bp_span body, struct bp_member *m, size_t count, json_t **ret, char *ret_detail,
                    enum bp_problem *ret_problem)
{
    json_error_t error;
    const char *key = NULL;
    json_t *value = NULL;
    *ret = json_loadb(body.n == 0 ? "" : (const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &error);
    *ret_problem = BP_P_MALFORMED;
    if (!json_is_object(*ret)) {
        (void)snprintf(ret_detail, 128, "not one JSON object");
        return false;
    }
    *ret_problem = BP_P_VALUE;
    json_object_foreach(*ret, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(m[i].name, key) != 0) {
            i++;
        }
        if (i == count) {
            (void)snprintf(ret_detail, 128, "there is no member %.60s here", key);
            return false;
        }
        if (!take(&m[i], value, ret_detail)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (m[i].required && !m[i].given) {
            (void)snprintf(ret_detail, 128, "%s is missing", m[i].name);
            return false;
        }
    }
    *ret_problem = BP_P_NONE;
    return true;
}

/* -- objects ----------------------------------------------------------------------------------- */
const char *bp_api_trust(const struct bp_device_item *d)
{
    if (d->device.state == BP_ST_REVOKED || d->device.state == BP_ST_RETIRED) {
        return "off";
    }
    return d->trust.silent ? "silent" : bp_tier_name(d->trust.tier);
}

const char *bp_api_lockout_name(uint8_t state)
{
    return state == BP_ESCROW_SEALED    ? "sealed"
           : state == BP_ESCROW_SET     ? "set"
           : state == BP_ESCROW_FOREIGN ? "foreign"
                                        : "none";
}

static const char *reason_of(const struct bp_device_item *d)
{
    const bool is_old = strcmp(d->device.kind, "brownfield") == 0;
    return is_old && d->trust.reason[0] == 0 ? "Not appraised: it cannot attest" : d->trust.reason;
}

json_t *bp_api_summary(const struct bp_device_item *i)
{
    const struct bp_device *d = &i->device;
    const struct bp_trust *t = &i->trust;
    char short_id[BP_DEVID_SHORT];
    bp_devid_short(d->id, short_id);
    return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "id", bp_api_hex(BP_SPAN_OF(d->id)), "short", short_id, "pseudonym", d->pseudonym, "name",
                     bp_api_str(d->place.name), "zone", bp_api_str(d->place.zone), "site", bp_api_str(d->place.site),
                     "model", bp_api_str(d->place.model), "position", bp_api_str(i->position), "state", bp_device_state_name(d->state), "tier",
                     bp_tier_name(t->tier), "trust", bp_api_trust(i), "reason", bp_api_str(reason_of(i)), "root_class",
                     d->issuer_class, "kind", d->kind, "as_of", bp_api_time(t->as_of_ms), "heard",
                     bp_api_time(t->heard_ms), "due", bp_api_time(t->due_ms), "created", bp_api_time(d->created_ms),
                     "since", bp_api_time(d->state_ms), "state_reason", bp_api_str(d->state_reason), "verdict",
                     t->seq == 0 ? json_null() : json_integer((json_int_t)t->verdict));
}

json_t *bp_api_position(bp_store *s, const struct bp_position *p)
{
    struct bp_device_item i = {0};
    json_t *device = json_null();
    if (p->device != 0) {
        char short_id[BP_DEVID_SHORT];
        if (bp_failed(bp_store_device_by_n(s, p->device, &i.device)) || bp_failed(bp_store_trust(s, p->device, &i.trust))) {
            return NULL;
        }
        bp_devid_short(i.device.id, short_id);
        device = json_pack("{s:o, s:s, s:s, s:s, s:o}", "id", bp_api_hex(BP_SPAN_OF(i.device.id)), "short", short_id,
                           "state", bp_device_state_name(i.device.state), "trust", bp_api_trust(&i), "since",
                           bp_api_time(p->since_ms));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "position", bp_api_str(p->tag), "zone",
                     bp_api_str(p->place.zone), "site", bp_api_str(p->place.site), "model", bp_api_str(p->place.model),
                     "name", bp_api_str(p->place.name), "by", bp_api_str(p->by), "created", bp_api_time(p->created_ms),
                     "device", device);
}

static json_t *named_device(bp_store *s, int64_t n)
{
    struct bp_device d = {0};
    char short_id[BP_DEVID_SHORT];
    if (bp_failed(bp_store_device_by_n(s, n, &d))) {
        return NULL;
    }
    bp_devid_short(d.id, short_id);
    return json_pack("{s:o, s:s, s:o, s:s}", "id", bp_api_hex(BP_SPAN_OF(d.id)), "short", short_id, "name",
                     bp_api_str(d.place.name), "state", bp_device_state_name(d.state));
}

json_t *bp_api_action(bp_store *s, const struct bp_action *a, int64_t now_ms)
{
    static const char *const states[] = {"", "open", "done", "rejected"};
    const bool late = a->state == BP_ACTION_OPEN && a->expires_ms <= now_ms;
    if (a->state < BP_ACTION_OPEN || a->state > BP_ACTION_REJECTED) {
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "id", bp_api_hex(BP_SPAN_OF(a->id)),
                     "verb", bp_api_str(a->verb), "device", named_device(s, a->device), "successor",
                     named_device(s, a->successor), "reason", bp_api_str(a->reason), "author",
                     bp_api_str(a->author_name), "created", bp_api_time(a->created_ms), "expires",
                     bp_api_time(a->expires_ms), "digest", bp_api_hex(BP_SPAN_OF(a->digest)), "state",
                     late ? "expired" : states[a->state], "decided_by", bp_api_str(a->decided_by), "decided",
                     bp_api_time(a->decided_ms));
}

static bp_result add_acceptance(void *self, const struct bp_acceptance_row *a)
{
    static const char *const states[] = {"imported", "accepted", "deprecated", "withdrawn"};
    json_t *list = self;
    if (a->state > BP_ACC_WITHDRAWN) {
        return BP_FAIL(INTERNAL);
    }
    json_t *j = json_pack("{s:o, s:s, s:o, s:o, s:o}", "zone", bp_api_str(a->zone), "state", states[a->state], "by",
                          bp_api_str(a->by), "reason", bp_api_str(a->reason), "at", bp_api_time(a->at_ms));
    return json_array_append_new(list, j) == 0 ? BP_OK : BP_FAIL(NO_MEMORY);
}

static void add_whole(json_t *j, const struct bp_cose_sign1 *msg, const struct bp_release *m)
{
    json_t *images = json_array();
    for (uint32_t i = 0; i < m->images; i++) {
        (void)json_array_append_new(images, json_pack("{s:o, s:o, s:I}", "name", bp_api_text(m->image[i].name),
                                                      "digest", bp_api_hex(m->image[i].digest), "size",
                                                      (json_int_t)m->image[i].size));
    }
    (void)json_object_set_new(j, "images", images);
    (void)json_object_set_new(j, "signer", bp_api_hex(msg->kid));
    (void)json_object_set_new(j, "support_end", bp_api_time((int64_t)m->support_end_ms));
    (void)json_object_set_new(j, "key_epoch", json_integer((json_int_t)m->key_epoch));
}

json_t *bp_api_release(bp_store *s, const struct bp_release_row *r, bool whole)
{
    struct bp_cose_sign1 msg = {0};
    struct bp_release m = {0};
    /* Its spans live until the next call on the store, so what is read of them comes first. */
    const bool readable = !bp_failed(bp_cose_sign1_read(r->manifest, &msg)) &&
                          !bp_failed(bp_release_read(msg.payload, &m));
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "id", bp_api_hex(BP_SPAN_OF(r->id)), "product",
                          bp_api_str(r->product), "version", bp_api_str(r->version), "model",
                          bp_api_str(r->place.model), "counter", (json_int_t)r->counter, "imported",
                          bp_api_time(r->imported_ms), "created",
                          readable ? bp_api_time((int64_t)m.created_ms) : json_null(), "by", bp_api_str(r->by));
    json_t *list = json_array();
    if (j != NULL && readable && whole) {
        add_whole(j, &msg, &m);
    }
    if (j == NULL || json_object_set_new(j, "acceptances", list) != 0 ||
        bp_failed(bp_list_acceptances_of(s, BP_SPAN_OF(r->id), add_acceptance, list))) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* -- events ------------------------------------------------------------------------------------ */
static size_t add_text(char *ret, size_t cap, size_t at, bp_span s)
{
    const size_t n = s.n < cap - 1 - at ? s.n : cap - 1 - at;
    if (n > 0) {
        memcpy(ret + at, s.p, n);
    }
    return at + n;
}

static size_t add_detail(const struct bp_event *e, bp_span name, char *ret, size_t cap, size_t at)
{
    const struct bp_event_detail *d = bp_event_detail_of(e, name);
    char text[48];
    if (bp_span_equal(name, BP_SPAN_STR("actor"))) {
        return add_text(ret, cap, at, e->actor);
    }
    if (bp_span_equal(name, BP_SPAN_STR("device"))) {
        return add_text(ret, cap, at, e->device);
    }
    if (d == NULL) {
        return add_text(ret, cap, at, BP_SPAN_STR("?"));
    }
    if (d->kind == BP_VAL_TEXT) {
        return add_text(ret, cap, at, d->bytes);
    }
    if (d->kind == BP_VAL_BYTES) {
        (void)snprintf(text, sizeof text, "%zu bytes", d->bytes.n);
    } else if (d->kind == BP_VAL_BOOL) {
        (void)snprintf(text, sizeof text, "%s", d->number != 0 ? "yes" : "no");
    } else if (name.n > 3 && (bp_span_equal(name, BP_SPAN_STR("since")) || bp_span_equal(name, BP_SPAN_STR("until")))) {
        bp_api_time_text(d->number, text);
    } else {
        (void)snprintf(text, sizeof text, "%lld", (long long)d->number);
    }
    return add_text(ret, cap, at, bp_span_cstr(text));
}

void bp_api_event_text(const struct bp_event *e, char *ret, size_t cap)
{
    const struct bp_event_row row = bp_event_row(e->type);
    const bp_span t = bp_span_cstr(row.name == NULL ? "An event of a later version" : row.text);
    size_t at = 0;
    for (size_t i = 0; i < t.n; i++) {
        size_t end = i;
        while (t.p[i] == '{' && end < t.n && t.p[end] != '}') {
            end++;
        }
        if (t.p[i] == '{' && end < t.n) {
            at = add_detail(e, bp_span_sub(t, i + 1, end - i - 1), ret, cap, at);
            i = end;
        } else {
            at = add_text(ret, cap, at, bp_span_sub(t, i, 1));
        }
    }
    /* A text that was cut must not end inside a character. */
    while (at > 0 && at == cap - 1 && ((uint8_t)ret[at - 1] & 0x80) != 0) {
        at--;
    }
    ret[at] = 0;
}

static json_t *details(const struct bp_event *e)
{
    json_t *j = json_object();
    for (size_t i = 0; i < e->detail_count; i++) {
        const struct bp_event_detail *d = &e->detail[i];
        char name[BP_EVENT_KEY_MAX + 1];
        memcpy(name, d->key.p, d->key.n);
        name[d->key.n] = 0;
        (void)json_object_set_new(j, name, d->kind == BP_VAL_INT    ? json_integer(d->number)
                                           : d->kind == BP_VAL_BOOL ? json_boolean(d->number != 0)
                                           : d->kind == BP_VAL_TEXT ? bp_api_text(d->bytes)
                                                                    : bp_api_hex(d->bytes));
    }
    return j;
}

static const char *severity(unsigned s)
{
    static const char *const names[] = {"info", "notice", "warning", "alert"};
    return s < 4 ? names[s] : "alert";
}

static json_t *type_name(uint32_t type)
{
    const struct bp_event_row row = bp_event_row(type);
    char unknown[24];
    (void)snprintf(unknown, sizeof unknown, "type-%u", type);
    return json_string(row.name == NULL ? unknown : row.name);
}

json_t *bp_api_event(const struct bp_event_item *i)
{
    struct bp_event e = {0};
    char text[1024];
    const struct bp_event_row row = bp_event_row(i->type);
    const bool readable = i->body.n > 0 && !bp_failed(bp_event_read(i->body, &e));
    if (readable) {
        bp_api_event_text(&e, text, sizeof text);
    } else {
        (void)snprintf(text, sizeof text, "%s", i->body.n == 0 ? "Erased" : "An event of a later version");
    }
    return json_pack("{s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:o, s:b}", "number",
                     (json_int_t)i->number, "time", bp_api_time(i->at_ms), "type", type_name(i->type), "severity",
                     severity(i->severity), "text", bp_api_str(text), "actor", bp_api_text(e.actor), "device",
                     i->device_id.n == 0 ? json_null() : bp_api_hex(i->device_id), "device_name",
                     bp_api_text(i->device_name), "pseudonym", e.device.n == 0 ? json_null() : bp_api_text(e.device),
                     "zone", bp_api_str(i->zone), "attack", row.name == NULL ? "" : row.attack, "source",
                     bp_api_text(e.source), "source_number", (json_int_t)e.source_number, "details", details(&e),
                     "erased", i->body.n == 0);
}

bp_result bp_api_stream_text(const struct bp_event *e, const struct bp_place *place, char *ret, size_t cap,
                             size_t *ret_n)
{
    char text[1024];
    const struct bp_event_row row = bp_event_row(e->type);
    bp_api_event_text(e, text, sizeof text);
    json_t *j = json_pack("{s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "number", (json_int_t)e->number, "time",
                          bp_api_time(e->time_ms), "type", type_name((uint32_t)e->type), "severity",
                          severity(row.severity), "pseudonym", e->device.n == 0 ? json_null() : bp_api_text(e->device),
                          "actor", bp_api_text(e->actor), "zone", bp_api_str(place == NULL ? "" : place->zone), "text",
                          bp_api_str(text));
    const size_t n = j == NULL ? 0 : json_dumpb(j, ret, cap, JSON_COMPACT);
    json_decref(j);
    *ret_n = n;
    return n == 0 ? BP_FAIL(NO_MEMORY) : n > cap ? BP_FAIL(NO_SPACE) : BP_OK;
}

json_t *bp_api_service(const struct bp_service *v)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", v->name, "profile", v->profile, "zone", bp_api_str(v->zone), "by",
                     bp_api_str(v->by), "since", bp_api_time(v->at_ms));
}
