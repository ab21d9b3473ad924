/* SPDX-License-Identifier: Apache-2.0 */
/* agent/remote - calls to one listener. */
#include "agent/remote.h"

#include <stdio.h>

#include <jansson.h>

#include "codec/device.h"
#include "platform/alloc.h"

#define BP_MODULE AGENT

#define PROBLEM_MAX     8192u
#define RETRY_AFTER_MAX 3600u

struct bp_remote {
    struct bp_tls *tls;
    struct bp_client *client;
};

bp_result bp_remote_new(const struct bp_remote_spec *spec, struct bp_remote **ret)
{
    const struct bp_tls_client_spec tls = {
        .own = {.chain = spec->cert.n != 0 ? &spec->cert : NULL, .count = spec->cert.n != 0 ? 1 : 0, .key = spec->key},
        .anchors = spec->anchor.n != 0 ? &spec->anchor : NULL,
        .anchor_count = spec->anchor.n != 0 ? 1 : 0,
        .anchor_sha256 = spec->anchor.n != 0 ? NULL : spec->anchor_sha256,
        .is_unproven = spec->is_unproven,
        .resumes = spec->resumes,
        .clock = spec->clock};
    struct bp_remote *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_tls_client_new(&tls, &s->tls);
    if (!bp_failed(r)) {
        const bool elsewhere = spec->connect != NULL && spec->connect[0] != '\0';
        const struct bp_client_spec client = {.tls = s->tls,
                                              .host = spec->host,
                                              .port = spec->port,
                                              .connect_host = elsewhere ? spec->connect : NULL,
                                              .connect_ms = BP_REMOTE_CONNECT_MS,
                                              .total_ms = BP_REMOTE_TOTAL_MS,
                                              .answer_max = BP_REMOTE_ANSWER_MAX};
        r = bp_client_new(NULL, &client, &s->client);
    }
    if (bp_failed(r)) {
        bp_remote_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_remote_free(struct bp_remote *s)
{
    if (s == NULL) {
        return;
    }
    bp_client_free(s->client);
    bp_tls_free(s->tls);
    bp_free(s);
}

static uint32_t retry_after(const struct bp_http *http)
{
    const bp_span v = bp_http_header(http, "retry-after", NULL);
    uint32_t s = 0;
    for (size_t i = 0; i < v.n && v.p[i] >= '0' && v.p[i] <= '9' && s <= RETRY_AFTER_MAX; i++) {
        s = s * 10 + (uint32_t)(v.p[i] - '0');
    }
    return s < RETRY_AFTER_MAX ? s : RETRY_AFTER_MAX;
}

/* One line for people: control bytes become blanks, what is too long is cut. */
static void copy_line(const json_t *object, const char *name, char *ret, size_t cap)
{
    const char *s = json_string_value(json_object_get(object, name));
    const size_t n = s == NULL ? 0 : strnlen(s, cap - 1);
    for (size_t i = 0; i < n; i++) {
        ret[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? ' ' : s[i];
    }
    ret[n] = '\0';
}

static bool hex32(const char *s, uint8_t ret[32])
{
    if (s == NULL || strlen(s) != 64) {
        return false;
    }
    for (size_t i = 0; i < 64; i++) {
        const char c = s[i];
        const int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0) {
            return false;
        }
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? d << 4 : ret[i / 2] | d);
    }
    return true;
}

void bp_reply_problem(bp_span json, struct bp_reply *ret)
{
    json_t *o = json.n > 0 && json.n <= PROBLEM_MAX
                    ? json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    if (!json_is_object(o)) {
        json_decref(o);
        return;
    }
    copy_line(o, "code", ret->code, sizeof ret->code);
    copy_line(o, "detail", ret->detail, sizeof ret->detail);
    copy_line(o, "action", ret->action, sizeof ret->action);
    if (ret->detail[0] == '\0') {
        copy_line(o, "title", ret->detail, sizeof ret->detail);
    }
    const json_t *seq = json_object_get(o, "seq");
    const json_t *issued = json_object_get(o, "issued_ms");
    if (json_is_integer(seq) && json_is_integer(issued) && json_integer_value(seq) >= 0 &&
        json_integer_value(issued) >= 0 && hex32(json_string_value(json_object_get(o, "nonce")), ret->nonce)) {
        ret->seq = (uint64_t)json_integer_value(seq);
        ret->issued_ms = json_integer_value(issued);
        ret->has_nonce = true;
    }
    json_decref(o);
}

bp_result bp_remote_call(struct bp_remote *s, const char *target, const char *type, bp_span body, struct bp_reply *ret)
{
    const struct bp_http_header header = {"content-type", type != NULL ? bp_span_cstr(type) : BP_SPAN_EMPTY};
    const struct bp_client_request rq = {.method = type != NULL ? BP_HTTP_POST : BP_HTTP_GET,
                                         .target = target,
                                         .headers = &header,
                                         .header_count = type != NULL ? 1 : 0,
                                         .body = body,
                                         /* Evidence is bound to its connection: on another one it says nothing. */
                                         .may_repeat = type != NULL && strcmp(type, BP_MEDIA_CMW) != 0};
    const struct bp_http *http = NULL;
    *ret = (struct bp_reply){0};
    BP_TRY(bp_client_call(s->client, &rq, &http));
    ret->status = http->status;
    ret->body = bp_http_body(http);
    ret->retry_after_s = retry_after(http);
    if (http->status >= 400 || http->status == 202) {
        bp_reply_problem(ret->body, ret);
    }
    return BP_OK;
}

bp_result bp_remote_binding(struct bp_remote *s, uint8_t ret[32])
{
    if (!bp_client_is_connected(s->client)) {
        const struct bp_http *http = NULL;
        BP_TRY(bp_client_call(s->client, NULL, &http));
    }
    return bp_client_exporter(s->client, ret);
}

void bp_remote_disconnect(struct bp_remote *s)
{
    bp_client_disconnect(s->client);
}

const char *bp_remote_trace(const struct bp_remote *s)
{
    return bp_client_trace(s->client);
}
