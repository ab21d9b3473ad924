/* SPDX-License-Identifier: Apache-2.0 */
/* cli/show - shared parts of the commands on the API. */
#include "cli/show.h"

#include "platform/alloc.h"

#define PAGE 500u

json_t *bp_body_of(struct bp_cli *cli, const struct bp_args *args, const enum bp_option *options, size_t count)
{
    json_t *body = json_object();
    for (size_t i = 0; body != NULL && i < count; i++) {
        if (!bp_args_has(args, options[i])) {
            continue;
        }
        const char *text = args->value[options[i]];
        json_t *value;
        uint64_t number = 0;
        if (options[i] == BP_O_EXPIRES) {
            value = bp_args_number(text, &number) && number <= INT64_MAX ? json_integer((json_int_t)number) : NULL;
        } else {
            value = json_string(text);
        }
        const char *name = options[i] == BP_O_EXPIRES ? "expires_s" : bp_option_row(options[i]).name;
        if (value == NULL || json_object_set_new(body, name, value) != 0) {
            bp_tell(cli, BP_EXIT_USAGE, "--%s: not a value of its form", bp_option_row(options[i]).name);
            json_decref(body);
            return NULL;
        }
    }
    return body;
}

static const char *next_of(const json_t *answer)
{
    return json_string_value(json_object_get(answer, "next"));
}

int bp_list(struct bp_api *api, const struct bp_target *first, const char *name, const char *paging, uint64_t limit,
            json_t **ret)
{
    json_t *all = json_array();
    char *next = NULL;
    int code = BP_EXIT_OK;
    do {
        struct bp_target t = *first;
        json_t *answer = NULL;
        char count[32];
        const uint64_t left = limit - json_array_size(all);
        (void)snprintf(count, sizeof count, "%llu", (unsigned long long)(left < PAGE ? left : PAGE));
        bp_target_query(&t, "limit", count);
        bp_target_query(&t, paging, next);
        code = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer);
        bp_free(next);
        next = NULL;
        if (code == BP_EXIT_OK) {
            (void)json_array_extend(all, json_object_get(answer, name));
            next = next_of(answer) != NULL ? bp_strdup(next_of(answer)) : NULL;
        }
        json_decref(answer);
    } while (code == BP_EXIT_OK && next != NULL && json_array_size(all) < limit);
    bp_free(next);
    if (code != BP_EXIT_OK) {
        json_decref(all);
        return code;
    }
    *ret = all;
    return BP_EXIT_OK;
}

bool bp_limit_of(struct bp_cli *cli, const struct bp_args *args, uint64_t usual, uint64_t *ret)
{
    *ret = usual;
    if (bp_args_has(args, BP_O_LIMIT) && (!bp_args_number(args->value[BP_O_LIMIT], ret) || *ret == 0)) {
        bp_tell(cli, BP_EXIT_USAGE, "--limit is a number above 0");
        return false;
    }
    return true;
}

void bp_print_json(struct bp_cli *cli, const json_t *value)
{
    (void)json_dumpf(value, cli->out, JSON_ENCODE_ANY);
    fputc('\n', cli->out);
}

const char *bp_text_of(const json_t *object, const char *name, char room[32])
{
    const json_t *v = json_object_get(object, name);
    if (json_is_string(v)) {
        return json_string_value(v);
    }
    if (json_is_integer(v)) {
        (void)snprintf(room, 32, "%lld", (long long)json_integer_value(v));
        return room;
    }
    return json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "";
}

int bp_paint_of(const char *trust)
{
    static const struct {
        const char *word;
        enum bp_paint paint;
    } row[] = {{"affirming", BP_PAINT_GOOD},     {"active", BP_PAINT_GOOD},       {"accepted", BP_PAINT_GOOD},
               {"warning", BP_PAINT_WARN},       {"silent", BP_PAINT_WARN},       {"waiting", BP_PAINT_WARN},
               {"deprecated", BP_PAINT_WARN},    {"contraindicated", BP_PAINT_BAD}, {"quarantined", BP_PAINT_BAD},
               {"revoked", BP_PAINT_BAD},        {"alert", BP_PAINT_BAD},         {"withdrawn", BP_PAINT_BAD},
               {"none", BP_PAINT_DIM},           {"off", BP_PAINT_DIM},           {"retired", BP_PAINT_DIM}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (strcmp(row[i].word, trust) == 0) {
            return (int)row[i].paint;
        }
    }
    return -1;
}

void bp_print_line(struct bp_cli *cli, const char *name, const char *value, int paint)
{
    if (value == NULL || value[0] == 0) {
        return;
    }
    fprintf(cli->out, "%-14s ", name);
    fputs(paint >= 0 ? bp_paint(cli, (enum bp_paint)paint) : "", cli->out);
    bp_print_text(cli->out, bp_span_cstr(value));
    fputs(paint >= 0 ? bp_unpaint(cli) : "", cli->out);
    fputc('\n', cli->out);
}

int bp_get(struct bp_api *api, const struct bp_target *target, json_t **ret)
{
    return bp_api_json(api, BP_HTTP_GET, target, NULL, ret);
}

int bp_with_api(struct bp_cli *cli, const struct bp_args *args, bp_with_api_fn *fn)
{
    struct bp_api *api = NULL;
    int code = bp_api_open(cli, &api);
    if (code == BP_EXIT_OK) {
        code = fn(cli, args, api);
    }
    bp_api_free(api);
    return code;
}
