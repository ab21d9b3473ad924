/* SPDX-License-Identifier: Apache-2.0 */
/* cli/service - application certificates: which services devices may have them for, and how long they are to last without
 * the server. */
#include <stdlib.h>

#include "cli/show.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- services --- */

static int list_services(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const char *const title[] = {"NAME", "PROFILE", "ZONE", "BY", "SINCE"};
    static const char *const member[] = {"name", "profile", "zone", "by", "since"};
    struct bp_target target;
    struct bp_table t;
    json_t *answer = NULL;
    char room[32];
    (void)args;
    bp_target_init(&target, "/services");
    const int code = bp_api_json(api, BP_HTTP_GET, &target, NULL, &answer);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        const json_t *list = json_object_get(answer, "services");
        bp_table_init(&t, title, COUNT(title));
        for (size_t i = 0; i < json_array_size(list); i++) {
            for (size_t k = 0; k < COUNT(member); k++) {
                bp_table_add(&t, bp_text_of(json_array_get(list, i), member[k], room), -1);
            }
        }
        bp_table_print(cli, &t);
        bp_table_done(&t);
    }
    json_decref(answer);
    return code;
}

static void print_service(struct bp_cli *cli, const json_t *answer, const char *what)
{
    char room[32];
    if (cli->json) {
        bp_print_json(cli, answer);
        return;
    }
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "name", room)));
    fprintf(cli->out, ": %s ", what);
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "profile", room)));
    fputs(" certificates, zone ", cli->out);
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "zone", room)));
    fputc('\n', cli->out);
}

static int add_service(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_PROFILE, BP_O_ZONE};
    struct bp_target t;
    json_t *answer = NULL;
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    if (body == NULL) {
        return BP_EXIT_USAGE;
    }
    (void)json_object_set_new(body, "name", json_string(args->operand[0]));
    bp_target_init(&t, "/services");
    const int code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK) {
        print_service(cli, answer, "devices may have");
    }
    json_decref(answer);
    return code;
}

static int remove_service(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/services");
    bp_target_part(&t, args->operand[0]);
    const int code = bp_api_json(api, BP_HTTP_DELETE, &t, NULL, &answer);
    if (code == BP_EXIT_OK) {
        print_service(cli, answer, "no more");
    }
    json_decref(answer);
    return code;
}

/* --- outage tolerance --- */

static const struct {
    char letter;
    int64_t seconds;
    const char *name;
} units[] = {{'d', 86400, "days"}, {'h', 3600, "hours"}, {'m', 60, "minutes"}, {'s', 1, "seconds"}};

static void print_outage(struct bp_cli *cli, const json_t *answer)
{
    const int64_t s = json_integer_value(json_object_get(answer, "seconds"));
    size_t u = 0;
    if (cli->json) {
        bp_print_json(cli, answer);
        return;
    }
    while (u + 1 < COUNT(units) && s % units[u].seconds != 0) {
        u++;
    }
    fprintf(cli->out, "the site goes on without this server for %lld %s\n", (long long)(s / units[u].seconds), units[u].name);
}

static int show_outage(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    (void)args;
    bp_target_init(&t, "/outage-tolerance");
    const int code = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer);
    if (code == BP_EXIT_OK) {
        print_outage(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* A number and its unit. 0: not of that form. */
static int64_t seconds_of(const char *text)
{
    char *end = NULL;
    const unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (v == 0 || v > 1000000 || end[0] == 0 || end[1] != 0) {
        return 0;
    }
    for (size_t i = 0; i < COUNT(units); i++) {
        if (units[i].letter == end[0]) {
            return (int64_t)v * units[i].seconds;
        }
    }
    return 0;
}

static int set_outage(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    const int64_t s = seconds_of(args->operand[0]);
    if (s == 0) {
        return bp_tell(cli, BP_EXIT_USAGE, "TIME is a number and d, h, m or s, as in 30d");
    }
    json_t *body = json_pack("{s:I}", "seconds", (json_int_t)s);
    bp_target_init(&t, "/outage-tolerance");
    const int code = bp_api_json(api, BP_HTTP_PUT, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK) {
        print_outage(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* --- renewal --- */

static void print_renewal(struct bp_cli *cli, const json_t *answer)
{
    if (cli->json) {
        bp_print_json(cli, answer);
        return;
    }
    fprintf(cli->out, "devices renew their certificates between %lld and %lld percent of their life\n",
            (long long)json_integer_value(json_object_get(answer, "from")),
            (long long)json_integer_value(json_object_get(answer, "until")));
}

static int ask_renewal(struct bp_cli *cli, struct bp_api *api, enum bp_http_method method, json_t *body)
{
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/renewal-window");
    const int code = bp_api_json(api, method, &t, body, &answer);
    if (code == BP_EXIT_OK) {
        print_renewal(cli, answer);
    }
    json_decref(answer);
    return code;
}

static int show_renewal(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    (void)args;
    return ask_renewal(cli, api, BP_HTTP_GET, NULL);
}

static int set_renewal(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    uint64_t from = 0;
    uint64_t until = 0;
    if (!bp_args_number(args->operand[0], &from) || !bp_args_number(args->operand[1], &until) || from > 100 || until > 100) {
        return bp_tell(cli, BP_EXIT_USAGE, "FROM and UNTIL are whole percents");
    }
    json_t *body = json_pack("{s:I, s:I}", "from", (json_int_t)from, "until", (json_int_t)until);
    const int code = ask_renewal(cli, api, BP_HTTP_PUT, body);
    json_decref(body);
    return code;
}

int bp_cmd_renewal_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_renewal);
}

int bp_cmd_renewal_set(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, set_renewal);
}

int bp_cmd_service_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_services);
}

int bp_cmd_service_add(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, add_service);
}

int bp_cmd_service_remove(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, remove_service);
}

int bp_cmd_outage_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_outage);
}

int bp_cmd_outage_set(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, set_outage);
}
