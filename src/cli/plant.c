/* SPDX-License-Identifier: Apache-2.0 */
/* cli/plant - the plant as a whole: overview, policy, what cannot attest, people. */
#include "cli/show.h"
#include "platform/alloc.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define POLICY_MAX ((size_t)64 << 10)

/* --- overview --- */

static void print_counts(struct bp_cli *cli, const char *title, const json_t *counts)
{
    const char *name;
    json_t *value;
    fprintf(cli->out, "%-14s", title);
    json_object_foreach((json_t *)(uintptr_t)counts, name, value)
    {
        const int paint = json_integer_value(value) != 0 ? bp_paint_of(name) : -1;
        fprintf(cli->out, " %s%s %lld%s", paint >= 0 ? bp_paint(cli, (enum bp_paint)paint) : "", name,
                (long long)json_integer_value(value), bp_unpaint(cli));
    }
    fputc('\n', cli->out);
}

static void print_overview(struct bp_cli *cli, const json_t *o)
{
    char room[32];
    const json_t *server = json_object_get(o, "server"), *devices = json_object_get(o, "devices");
    bp_print_line(cli, "server", bp_text_of(server, "name", room), -1);
    bp_print_line(cli, "organisation", bp_text_of(server, "organisation", room), -1);
    bp_print_line(cli, "version", bp_text_of(server, "version", room), -1);
    if (json_is_true(json_object_get(server, "evaluation"))) {
        bp_print_line(cli, "evaluation", "yes: the root's key lies on the server", BP_PAINT_BAD);
    }
    bp_print_line(cli, "log", bp_text_of(json_object_get(o, "head"), "size", room), -1);
    bp_print_line(cli, "policy", bp_text_of(json_object_get(o, "policy"), "version", room), -1);
    bp_print_line(cli, "devices", bp_text_of(devices, "total", room), -1);
    print_counts(cli, "  state", json_object_get(devices, "state"));
    print_counts(cli, "  trust", json_object_get(devices, "trust"));
    const json_t *list = json_object_get(o, "zones");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *zone = json_array_get(list, i);
        print_counts(cli, bp_text_of(zone, "zone", room), json_object_get(zone, "trust"));
    }
    list = json_object_get(o, "processes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        const bool runs = json_is_true(json_object_get(p, "running"));
        fprintf(cli->out, "%-14s %s%s%s, ", bp_text_of(p, "name", room),
                bp_paint(cli, runs ? BP_PAINT_GOOD : BP_PAINT_BAD), runs ? "running" : "not running", bp_unpaint(cli));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(p, "fence", room)));
        fputc('\n', cli->out);
    }
}

static int overview(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    (void)args;
    bp_target_init(&t, "/overview");
    const int code = bp_get(api, &t, &answer);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        print_overview(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* --- policy --- */

static int show_policy(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    char room[32];
    (void)args;
    bp_target_init(&t, "/policy");
    const int code = bp_get(api, &t, &answer);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        static const char *const line[] = {"version", "digest", "zone", "by", "at", "tests"};
        for (size_t i = 0; i < COUNT(line); i++) {
            bp_print_line(cli, line[i], bp_text_of(answer, line[i], room), -1);
        }
        const json_t *rules = json_object_get(answer, "rules");
        for (size_t i = 0; i < json_array_size(rules); i++) {
            const json_t *rule = json_array_get(rules, i);
            const char *verdict = bp_text_of(rule, "verdict", room);
            fprintf(cli->out, "%s%-7s%s ", bp_paint(cli, strcmp(verdict, "permit") == 0 ? BP_PAINT_GOOD : BP_PAINT_BAD),
                    verdict, bp_unpaint(cli));
            bp_print_text(cli->out, bp_span_cstr(bp_text_of(rule, "name", room)));
            fputs(": ", cli->out);
            bp_print_text(cli->out, bp_span_cstr(bp_text_of(rule, "when", room)));
            fputc('\n', cli->out);
        }
    }
    json_decref(answer);
    return code;
}

static int apply_policy(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    uint8_t *bytes = NULL;
    size_t n = 0;
    bp_span body = BP_SPAN_EMPTY;
    if (!bp_cli_read(cli, args->operand[0], POLICY_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_target_init(&t, "/policy");
    const int code = bp_api_ask(api, BP_HTTP_PUT, &t, "application/yaml", bp_span_of(bytes, n), &body);
    bp_free(bytes);
    if (code == BP_EXIT_OK) {
        json_t *answer = json_loadb((const char *)(body.n != 0 ? body.p : (const uint8_t *)""), body.n, 0, NULL);
        char room[32];
        if (cli->json) {
            bp_print_json(cli, answer);
        } else {
            fprintf(cli->out, "policy version %s is in force\n", bp_text_of(answer, "version", room));
        }
        json_decref(answer);
    }
    return code;
}

/* --- what cannot attest --- */

static void print_brownfield(struct bp_cli *cli, const json_t *answer)
{
    const bool on = json_is_true(json_object_get(answer, "enabled"));
    if (cli->json) {
        bp_print_json(cli, answer);
        return;
    }
    fprintf(cli->out, "brownfield is %s%s%s: devices that cannot attest %s\n",
            bp_paint(cli, on ? BP_PAINT_WARN : BP_PAINT_GOOD), on ? "on" : "off", bp_unpaint(cli),
            on ? "enrol without appraisal" : "are refused");
}

static int show_brownfield(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    (void)args;
    bp_target_init(&t, "/brownfield");
    const int code = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer);
    if (code == BP_EXIT_OK) {
        print_brownfield(cli, answer);
    }
    json_decref(answer);
    return code;
}

static int set_brownfield(struct bp_cli *cli, struct bp_api *api, bool on)
{
    struct bp_target t;
    json_t *answer = NULL;
    json_t *body = json_pack("{s:b}", "enabled", (int)on);
    bp_target_init(&t, "/brownfield");
    const int code = bp_api_json(api, BP_HTTP_PUT, &t, body, &answer);
    if (code == BP_EXIT_OK) {
        print_brownfield(cli, answer);
    }
    json_decref(body);
    json_decref(answer);
    return code;
}

static int brownfield_on(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    (void)args;
    return set_brownfield(cli, api, true);
}

static int brownfield_off(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    (void)args;
    return set_brownfield(cli, api, false);
}

/* --- people --- */

static int make_code(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_ROLE, BP_O_NAME};
    struct bp_target t;
    json_t *answer = NULL;
    char room[32];
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    if (body == NULL) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/codes");
    const int code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "code", room)));
        fputs("\nvalid once, until ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "expires", room)));
        fputc('\n', cli->out);
    }
    json_decref(answer);
    return code;
}

int bp_cmd_overview(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, overview);
}

int bp_cmd_policy_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_policy);
}

int bp_cmd_policy_apply(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, apply_policy);
}

int bp_cmd_brownfield_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_brownfield);
}

int bp_cmd_brownfield_on(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, brownfield_on);
}

int bp_cmd_brownfield_off(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, brownfield_off);
}

int bp_cmd_operator_code(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, make_code);
}
