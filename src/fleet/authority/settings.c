/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/settings - server.yaml by libyaml's events: one mapping of scalars, nothing that has a second meaning. */
#include "codec/cbor.h"
#include "fleet/authority/internal.h"

#include <stdio.h>

#include <yaml.h>

#define BP_MODULE AUTHORITY

enum name {
    NAME,
    ORG,
    STATUS_URL,
    EVALUATION,
    ISSUING_NUMBER,
    ISSUING_OLD,
    KEY_ISSUING,
    KEY_ISSUING_OLD,
    KEY_INFRA,
    KEY_OPERATORS,
    KEY_BROWNFIELD,
    KEY_REACH,
    NAMES
};
static const struct {
    const char *name;
    bool may_lack;
    enum bp_site_key key; /* BP_SITE_KEYS: not a key's */
} rows[NAMES] = {
    [NAME] = {"name", false, BP_SITE_KEYS},
    [ORG] = {"org", false, BP_SITE_KEYS},
    [STATUS_URL] = {"status_url", false, BP_SITE_KEYS},
    [EVALUATION] = {"evaluation", false, BP_SITE_KEYS},
    [ISSUING_NUMBER] = {"issuing_number", true, BP_SITE_KEYS},
    [ISSUING_OLD] = {"issuing_old", true, BP_SITE_KEYS},
    [KEY_ISSUING] = {"key_issuing", true, BP_SITE_KEY_ISSUING},
    [KEY_ISSUING_OLD] = {"key_issuing_old", true, BP_SITE_KEYS},
    [KEY_INFRA] = {"key_infra", true, BP_SITE_KEY_INFRA},
    [KEY_OPERATORS] = {"key_operators", true, BP_SITE_KEY_OPERATORS},
    [KEY_BROWNFIELD] = {"key_brownfield", true, BP_SITE_KEY_BROWNFIELD},
    [KEY_REACH] = {"key_reach", true, BP_SITE_KEYS},
};

struct reading {
    yaml_parser_t parser;
    struct bp_site_settings *s;
    unsigned seen;
    size_t line, column;
};

static bp_result refuse(struct reading *rd, const yaml_mark_t *at)
{
    rd->line = at->line + 1;
    rd->column = at->column + 1;
    return BP_FAIL(MALFORMED);
}

/* The next event, which must be of that type. */
static bp_result next(struct reading *rd, yaml_event_type_t want, yaml_event_t *ret)
{
    if (yaml_parser_parse(&rd->parser, ret) != 1) {
        return rd->parser.error == YAML_MEMORY_ERROR ? BP_FAIL(NO_MEMORY) : refuse(rd, &rd->parser.problem_mark);
    }
    if (ret->type != want) {
        const bp_result r = refuse(rd, &ret->start_mark);
        yaml_event_delete(ret);
        return r;
    }
    return BP_OK;
}

static bp_result skip(struct reading *rd, yaml_event_type_t want)
{
    yaml_event_t e;
    BP_TRY(next(rd, want, &e));
    const bool plain = want != YAML_DOCUMENT_START_EVENT || (e.data.document_start.version_directive == NULL &&
                                                             e.data.document_start.tag_directives.start ==
                                                                 e.data.document_start.tag_directives.end);
    const bool named = want == YAML_MAPPING_START_EVENT &&
                       (e.data.mapping_start.anchor != NULL || e.data.mapping_start.tag != NULL);
    const bp_result r = plain && !named ? BP_OK : refuse(rd, &e.start_mark);
    yaml_event_delete(&e);
    return r;
}

static bool is_scalar(const yaml_event_t *e, size_t max)
{
    return e->data.scalar.anchor == NULL && e->data.scalar.tag == NULL && e->data.scalar.length <= max &&
           memchr(e->data.scalar.value, 0, e->data.scalar.length) == NULL;
}

static bool set_text(char *ret, size_t max, const yaml_event_t *e)
{
    if (!is_scalar(e, max)) {
        return false;
    }
    memcpy(ret, e->data.scalar.value, e->data.scalar.length);
    ret[e->data.scalar.length] = 0;
    return true;
}

static bool is_url(const char *s)
{
    return strncmp(s, "http://", 7) == 0 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-:/") == strlen(s) &&
           s[7] != 0;
}

static bool set_flag(bool *ret, const yaml_event_t *e)
{
    char text[8] = "";
    if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !set_text(text, sizeof text - 1, e)) {
        return false;
    }
    *ret = strcmp(text, "true") == 0;
    return *ret || strcmp(text, "false") == 0;
}

static bool is_uri(const char *s)
{
    struct bp_pkcs11_uri uri;
    return !bp_failed(bp_pkcs11_uri_read(bp_span_cstr(s), &uri)) && (uri.object[0] != 0 || uri.id_n > 0);
}

/* Absolute paths, one space between them. */
static bool is_reach(const char *s)
{
    size_t paths = 0;
    for (const char *p = s; *p != 0; p++) {
        if (p == s || p[-1] == ' ') {
            paths++;
            if (*p != '/') {
                return false;
            }
        }
    }
    return bp_site_is_text(s) && paths <= BP_SITE_REACH_MAX && s[strlen(s) - 1] != ' ';
}

static bool set_number(unsigned *ret, const yaml_event_t *e)
{
    char text[4] = "";
    if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !set_text(text, sizeof text - 1, e) || text[0] < '1' ||
        text[0] > '9' || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    *ret = 0;
    for (const char *p = text; *p != 0; p++) {
        *ret = *ret * 10 + (unsigned)(*p - '0');
    }
    return true;
}

static bool set_value(struct bp_site_settings *s, enum name which, const yaml_event_t *e)
{
    switch (which) {
    case NAME:
        return set_text(s->name, sizeof s->name - 1, e) && bp_site_is_host(s->name);
    case ORG:
        return set_text(s->org, sizeof s->org - 1, e) && bp_site_is_text(s->org);
    case STATUS_URL:
        return set_text(s->status_url, sizeof s->status_url - 1, e) && is_url(s->status_url);
    case EVALUATION:
        return set_flag(&s->evaluation, e);
    case ISSUING_NUMBER:
        return set_number(&s->issuing_number, e);
    case ISSUING_OLD:
        return set_flag(&s->issuing_old, e);
    case KEY_ISSUING_OLD:
        return set_text(s->key_issuing_old, sizeof s->key_issuing_old - 1, e) && is_uri(s->key_issuing_old);
    case KEY_ISSUING:
    case KEY_INFRA:
    case KEY_OPERATORS:
    case KEY_BROWNFIELD:
        return set_text(s->key_uri[rows[which].key], sizeof s->key_uri[0] - 1, e) && is_uri(s->key_uri[rows[which].key]);
    case KEY_REACH:
        return set_text(s->key_reach, sizeof s->key_reach - 1, e) && is_reach(s->key_reach);
    case NAMES:
        break;
    }
    return false;
}

/* An old key belongs to an old issuer, and that one comes before a first. */
static bool is_consistent(const struct bp_site_settings *s)
{
    return (!s->issuing_old || s->issuing_number > 0) && (s->key_issuing_old[0] == 0 || s->issuing_old);
}

static bool has_all(unsigned seen)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (!rows[i].may_lack && (seen >> i & 1u) == 0) {
            return false;
        }
    }
    return true;
}

static enum name name_of(const yaml_event_t *e)
{
    char text[32] = "";
    if (!set_text(text, sizeof text - 1, e)) {
        return NAMES;
    }
    enum name n = NAME;
    while (n < NAMES && strcmp(text, rows[n].name) != 0) {
        n = (enum name)(n + 1);
    }
    return n;
}

static bp_result pair(struct reading *rd, const yaml_event_t *key)
{
    const enum name which = name_of(key);
    if (which == NAMES || (rd->seen >> which & 1u) != 0) {
        return refuse(rd, &key->start_mark);
    }
    rd->seen |= 1u << which;
    yaml_event_t value;
    BP_TRY(next(rd, YAML_SCALAR_EVENT, &value));
    const bp_result r = set_value(rd->s, which, &value) ? BP_OK : refuse(rd, &value.start_mark);
    yaml_event_delete(&value);
    return r;
}

static bp_result pairs(struct reading *rd)
{
    for (unsigned i = 0; i <= NAMES; i++) {
        yaml_event_t e;
        if (yaml_parser_parse(&rd->parser, &e) != 1) {
            return rd->parser.error == YAML_MEMORY_ERROR ? BP_FAIL(NO_MEMORY) : refuse(rd, &rd->parser.problem_mark);
        }
        bp_result r = BP_OK;
        const bool end = e.type == YAML_MAPPING_END_EVENT;
        if (!end) {
            r = e.type == YAML_SCALAR_EVENT ? pair(rd, &e) : refuse(rd, &e.start_mark);
        } else if (!has_all(rd->seen) || !is_consistent(rd->s)) {
            r = refuse(rd, &e.start_mark);
        }
        yaml_event_delete(&e);
        if (end || bp_failed(r)) {
            return r;
        }
    }
    return BP_FAIL(MALFORMED); /* a name twice was refused before this */
}

static bp_result document(struct reading *rd)
{
    BP_TRY(skip(rd, YAML_STREAM_START_EVENT));
    BP_TRY(skip(rd, YAML_DOCUMENT_START_EVENT));
    BP_TRY(skip(rd, YAML_MAPPING_START_EVENT));
    BP_TRY(pairs(rd));
    BP_TRY(skip(rd, YAML_DOCUMENT_END_EVENT));
    return skip(rd, YAML_STREAM_END_EVENT);
}

bp_result bp_site_settings_read(bp_span yaml, struct bp_site_settings *ret, size_t *ret_line, size_t *ret_column)
{
    struct bp_site_settings s = {0};
    struct reading rd = {.s = &s};
    *ret_line = 0;
    *ret_column = 0;
    if (yaml_parser_initialize(&rd.parser) != 1) {
        return BP_FAIL(NO_MEMORY);
    }
    yaml_parser_set_input_string(&rd.parser, yaml.n > 0 ? yaml.p : (const uint8_t *)"", yaml.n);
    const bp_result r = document(&rd);
    yaml_parser_delete(&rd.parser);
    if (bp_failed(r)) {
        *ret_line = rd.line;
        *ret_column = rd.column;
        return r;
    }
    *ret = s;
    return BP_OK;
}

/* A double-quoted scalar needs two characters hidden; control characters were refused. */
static void put_quoted(bp_wr *wr, const char *text)
{
    bp_wr_u8(wr, '"');
    for (const char *p = text; *p != 0; p++) {
        if (*p == '"' || *p == '\\') {
            bp_wr_u8(wr, '\\');
        }
        bp_wr_u8(wr, (uint8_t)*p);
    }
    bp_wr_bytes(wr, BP_SPAN_STR("\"\n"));
}

bp_result bp_site_settings_write(const struct bp_site_settings *s, char *ret, size_t cap, size_t *ret_len)
{
    if (!bp_site_is_host(s->name) || !bp_site_is_text(s->org) || !is_url(s->status_url) || !is_consistent(s) ||
        s->issuing_number > BP_SITE_ISSUING_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_wr wr = bp_wr_over(ret, cap);
    bp_wr_bytes(&wr, BP_SPAN_STR("# Settings of this server. What is signed (certificates) does not follow a change here.\n"
                                 "name: "));
    put_quoted(&wr, s->name);
    bp_wr_bytes(&wr, BP_SPAN_STR("org: "));
    put_quoted(&wr, s->org);
    bp_wr_bytes(&wr, BP_SPAN_STR("status_url: "));
    put_quoted(&wr, s->status_url);
    bp_wr_bytes(&wr, s->evaluation ? BP_SPAN_STR("evaluation: true\n") : BP_SPAN_STR("evaluation: false\n"));
    if (s->issuing_number > 0) {
        char number[48];
        (void)snprintf(number, sizeof number, "issuing_number: %u\nissuing_old: %s\n", s->issuing_number,
                       s->issuing_old ? "true" : "false");
        bp_wr_bytes(&wr, bp_span_cstr(number));
    }
    for (unsigned i = 0; i < NAMES; i++) {
        const char *v = rows[i].key != BP_SITE_KEYS ? s->key_uri[rows[i].key]
                        : i == KEY_REACH            ? s->key_reach
                        : i == KEY_ISSUING_OLD      ? s->key_issuing_old
                                                    : "";
        if (v[0] == 0) {
            continue;
        }
        if (i == KEY_REACH ? !is_reach(v) : !is_uri(v)) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        bp_wr_bytes(&wr, bp_span_cstr(rows[i].name));
        bp_wr_bytes(&wr, BP_SPAN_STR(": "));
        put_quoted(&wr, v);
    }
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}
