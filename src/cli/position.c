/* SPDX-License-Identifier: Apache-2.0 */
/* cli/position - positions of the plant: made, looked at, filled, and moved to a spare. */
#include "cli/show.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void print_positions(struct bp_cli *cli, const json_t *list)
{
    static const char *const title[] = {"POSITION", "NAME", "ZONE", "SITE", "MODEL", "DEVICE", "STATE", "TRUST", "SINCE"};
    struct bp_table t;
    char room[32];
    bp_table_init(&t, title, COUNT(title));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        const json_t *d = json_object_get(p, "device");
        static const char *const own[] = {"position", "name", "zone", "site", "model"};
        for (size_t k = 0; k < COUNT(own); k++) {
            bp_table_add(&t, bp_text_of(p, own[k], room), -1);
        }
        const char *state = bp_text_of(d, "state", room);
        const char *trust = json_string_value(json_object_get(d, "trust"));
        bp_table_add(&t, json_is_object(d) ? json_string_value(json_object_get(d, "short")) : "nobody", -1);
        bp_table_add(&t, state, bp_paint_of(state));
        bp_table_add(&t, trust, trust != NULL ? bp_paint_of(trust) : -1);
        bp_table_add(&t, bp_text_of(d, "since", room), -1);
    }
    bp_table_print(cli, &t);
    bp_table_done(&t);
}

static int list_positions(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0;
    if (!bp_limit_of(cli, args, 1000, &limit)) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/positions");
    const int code = bp_list(api, &t, "positions", "after", limit, &list);
    if (code == BP_EXIT_OK && cli->json) {
        json_t *answer = json_pack("{s:O}", "positions", list);
        bp_print_json(cli, answer);
        json_decref(answer);
    } else if (code == BP_EXIT_OK) {
        print_positions(cli, list);
    }
    json_decref(list);
    return code;
}

static void print_position(struct bp_cli *cli, const json_t *p)
{
    static const char *const line[] = {"position", "name", "zone", "site", "model", "by", "created"};
    static const char *const of_device[] = {"id", "short", "state", "trust", "since"};
    char room[32];
    for (size_t i = 0; i < COUNT(line); i++) {
        bp_print_line(cli, line[i], bp_text_of(p, line[i], room), -1);
    }
    const json_t *d = json_object_get(p, "device");
    bp_print_line(cli, "device", json_is_object(d) ? "" : "nobody", -1);
    for (size_t i = 0; json_is_object(d) && i < COUNT(of_device); i++) {
        const char *value = bp_text_of(d, of_device[i], room);
        bp_print_line(cli, i == 0 ? "device" : of_device[i], value, bp_paint_of(value));
    }
}

static int show_position(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/positions");
    bp_target_part(&t, args->operand[0]);
    const int code = bp_get(api, &t, &answer);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        print_position(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* Posts a body, which it takes over, and tells where the position stands then. */
static int post(struct bp_cli *cli, struct bp_api *api, const struct bp_target *t, json_t *body)
{
    json_t *answer = NULL;
    char room[32];
    const int code = bp_api_json(api, BP_HTTP_POST, t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        const json_t *d = json_object_get(answer, "device");
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "position", room)));
        fputs(" of zone ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "zone", room)));
        fputs(" is filled by ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(json_is_object(d) ? bp_text_of(d, "short", room) : "nobody"));
        fputc('\n', cli->out);
    }
    json_decref(answer);
    return code;
}

static int add_position(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_ZONE, BP_O_SITE, BP_O_MODEL, BP_O_NAME};
    struct bp_target t;
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    if (body == NULL) {
        return BP_EXIT_USAGE;
    }
    if (json_object_set_new(body, "position", json_string(args->operand[0])) != 0) {
        json_decref(body);
        return bp_tell(cli, BP_EXIT_USAGE, "TAG is not UTF-8");
    }
    bp_target_init(&t, "/positions");
    return post(cli, api, &t, body);
}

/* Asks `verb` of a position with the device that text names. */
static int with_device(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api, const char *device,
                       const char *verb)
{
    static const enum bp_option option[] = {BP_O_REASON};
    struct bp_target t;
    char id[67];
    const int code = bp_api_device(api, device, id);
    json_t *body = code == BP_EXIT_OK ? bp_body_of(cli, args, option, COUNT(option)) : NULL;
    if (body == NULL) {
        return code != BP_EXIT_OK ? code : BP_EXIT_USAGE;
    }
    (void)json_object_set_new(body, "device", json_string(id)); /* without it the server says so */
    bp_target_init(&t, "/positions");
    bp_target_part(&t, args->operand[0]);
    bp_target_part(&t, verb);
    return post(cli, api, &t, body);
}

static int assign(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return with_device(cli, args, api, args->operand[1], "assign");
}

static int replace(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return with_device(cli, args, api, args->value[BP_O_WITH], "replace");
}

int bp_cmd_position_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_positions);
}

int bp_cmd_position_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_position);
}

int bp_cmd_position_add(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, add_position);
}

int bp_cmd_position_assign(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, assign);
}

int bp_cmd_device_replace(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, replace);
}
