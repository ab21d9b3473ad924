/* SPDX-License-Identifier: Apache-2.0 */
/* cli/action - acts that one person proposes and another one approves. */
#include "cli/show.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *short_of(const json_t *action, const char *who, char room[32])
{
    return bp_text_of(json_object_get(action, who), "short", room);
}

static void print_actions(struct bp_cli *cli, const json_t *list)
{
    static const char *const title[] = {"ID", "STATE", "VERB", "DEVICE", "SUCCESSOR", "BY", "EXPIRES", "REASON"};
    struct bp_table t;
    char room[32];
    bp_table_init(&t, title, COUNT(title));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i);
        bp_table_add(&t, bp_text_of(a, "id", room), -1);
        bp_table_add(&t, bp_text_of(a, "state", room), -1);
        bp_table_add(&t, bp_text_of(a, "verb", room), -1);
        bp_table_add(&t, short_of(a, "device", room), -1);
        bp_table_add(&t, short_of(a, "successor", room), -1);
        bp_table_add(&t, bp_text_of(a, "author", room), -1);
        bp_table_add(&t, bp_text_of(a, "expires", room), -1);
        bp_table_add(&t, bp_text_of(a, "reason", room), -1);
    }
    bp_table_print(cli, &t);
    bp_table_done(&t);
}

static int list_actions(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0;
    if (!bp_limit_of(cli, args, 100, &limit)) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/actions");
    const int code = bp_list(api, &t, "actions", "before", limit, &list);
    if (code == BP_EXIT_OK && cli->json) {
        json_t *answer = json_pack("{s:O}", "actions", list);
        bp_print_json(cli, answer);
        json_decref(answer);
    } else if (code == BP_EXIT_OK) {
        print_actions(cli, list);
    }
    json_decref(list);
    return code;
}

static void print_action(struct bp_cli *cli, const json_t *a)
{
    static const char *const line[] = {"id", "state", "verb", "author", "reason", "created", "expires", "digest",
                                       "decided_by", "decided"};
    static const char *const who[] = {"device", "successor"};
    char room[32];
    for (size_t i = 0; i < COUNT(line); i++) {
        bp_print_line(cli, line[i], bp_text_of(a, line[i], room), -1);
    }
    for (size_t i = 0; i < COUNT(who); i++) {
        const json_t *d = json_object_get(a, who[i]);
        bp_print_line(cli, who[i], bp_text_of(d, "id", room), -1);
        bp_print_line(cli, "  short", bp_text_of(d, "short", room), -1);
        bp_print_line(cli, "  name", bp_text_of(d, "name", room), -1);
        bp_print_line(cli, "  state", bp_text_of(d, "state", room), -1);
    }
}

static void print(struct bp_cli *cli, const json_t *answer)
{
    if (cli->json) {
        bp_print_json(cli, answer);
    } else {
        print_action(cli, answer);
    }
}

static int fetch(struct bp_api *api, const char *id, json_t **ret)
{
    struct bp_target t;
    bp_target_init(&t, "/actions");
    bp_target_part(&t, id);
    return bp_get(api, &t, ret);
}

static int show_action(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    json_t *answer = NULL;
    const int code = fetch(api, args->operand[0], &answer);
    if (code == BP_EXIT_OK) {
        print(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* Asks `verb` of an act with a body, which it takes over, and prints how the act stands then. */
static int decide(struct bp_cli *cli, struct bp_api *api, const char *id, const char *verb, json_t *body)
{
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/actions");
    bp_target_part(&t, id);
    bp_target_part(&t, verb);
    const int code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK) {
        print(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* What is approved is the digest that a person saw in `action show`, not whatever the server holds now. */
static int approve(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return decide(cli, api, args->operand[0], "approve", json_pack("{s:s}", "digest", args->operand[1]));
}

static int reject(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_REASON};
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    return body == NULL ? BP_EXIT_USAGE : decide(cli, api, args->operand[0], "reject", body);
}

static int propose(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_REASON};
    struct bp_target t;
    json_t *answer = NULL;
    char old[67], successor[67];
    int code = bp_api_device(api, args->operand[0], old);
    if (code == BP_EXIT_OK) {
        code = bp_api_device(api, args->operand[1], successor);
    }
    json_t *body = code == BP_EXIT_OK ? bp_body_of(cli, args, option, COUNT(option)) : NULL;
    if (body == NULL) {
        return code != BP_EXIT_OK ? code : BP_EXIT_USAGE;
    }
    (void)json_object_set_new(body, "successor", json_string(successor)); /* without it the server says so */
    bp_target_init(&t, "/devices");
    bp_target_part(&t, old);
    bp_target_part(&t, "succeed");
    code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK) {
        print(cli, answer);
    }
    if (code == BP_EXIT_OK && !cli->json) {
        char room[32];
        fprintf(cli->out, "nothing changed yet; another administrator looks and approves:\n    bedplate action approve ");
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "id", room)));
        fputc(' ', cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "digest", room)));
        fputc('\n', cli->out);
    }
    json_decref(answer);
    return code;
}

int bp_cmd_action_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_actions);
}

int bp_cmd_action_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_action);
}

int bp_cmd_action_approve(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, approve);
}

int bp_cmd_action_reject(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, reject);
}

int bp_cmd_device_succeed(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, propose);
}
