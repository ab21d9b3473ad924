/* SPDX-License-Identifier: Apache-2.0 */
/* cli/plant - the plant as a whole: overview, policy, what cannot attest, people. */
#include "cli/show.h"
#include "platform/alloc.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define POLICY_MAX ((size_t)64 << 10)
#define CHECK_PAGES_MAX 10000u /* of 100 devices */

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
    if (json_is_true(json_object_get(server, "recovering"))) {
        bp_print_line(cli, "recovering", "yes: its store is older than what it signed; nothing is granted until the loss is accepted there",
                      BP_PAINT_BAD);
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
    const json_t *expiring = json_object_get(o, "expiring");
    const bool any = json_integer_value(json_object_get(expiring, "count")) != 0;
    fprintf(cli->out, "%-14s %s%lld certificates%s will expire within %lld days and before the next contact\n", "forecast",
            any ? bp_paint(cli, BP_PAINT_WARN) : "", (long long)json_integer_value(json_object_get(expiring, "count")),
            any ? bp_unpaint(cli) : "", (long long)json_integer_value(json_object_get(expiring, "within_s")) / 86400);
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

static void print_tests(struct bp_cli *cli, const json_t *tests)
{
    char room[32];
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        fputs("test    ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(test, "name", room)));
        fprintf(cli->out, ": %s\n", bp_text_of(test, "expect", room));
    }
}

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
        static const char *const line[] = {"version", "digest", "zone", "by", "at"};
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
        print_tests(cli, json_object_get(answer, "tests"));
    }
    json_decref(answer);
    return code;
}

/* One page of a dry run: the devices behind `after`. */
static int ask_check(struct bp_cli *cli, struct bp_api *api, bp_span document, const char *after, json_t **ret)
{
    struct bp_target t;
    bp_span body = BP_SPAN_EMPTY;
    bp_target_init(&t, "/policy/check");
    bp_target_query(&t, "after", after);
    const int code = bp_api_ask(api, BP_HTTP_POST, &t, "application/yaml", document, &body);
    if (code != BP_EXIT_OK) {
        return code;
    }
    *ret = json_loadb((const char *)(body.n != 0 ? body.p : (const uint8_t *)""), body.n, 0, NULL);
    return json_is_object(*ret) ? BP_EXIT_OK : bp_tell(cli, BP_EXIT_FAIL, "the server's answer is no JSON object");
}

static void add_count(json_t *sum, const json_t *page, const char *name)
{
    const json_int_t n = json_integer_value(json_object_get(sum, name)) + json_integer_value(json_object_get(page, name));
    (void)json_object_set_new(sum, name, json_integer(n));
}

static void join_page(json_t *sum, const json_t *page)
{
    const json_t *next = json_object_get(page, "next");
    add_count(sum, page, "judged");
    add_count(sum, page, "unjudged");
    (void)json_array_extend(json_object_get(sum, "changes"), json_object_get(page, "changes"));
    (void)json_object_set_new(sum, "next", json_is_string(next) ? json_string(json_string_value(next)) : json_null());
}

/* The whole fleet, page by page; the pages are joined in the first. */
static int check_all(struct bp_cli *cli, struct bp_api *api, bp_span document, json_t **ret)
{
    json_t *sum = NULL;
    int code = ask_check(cli, api, document, NULL, &sum);
    for (size_t pages = 1; code == BP_EXIT_OK && json_is_string(json_object_get(sum, "next")); pages++) {
        json_t *page = NULL;
        code = pages < CHECK_PAGES_MAX ? ask_check(cli, api, document, json_string_value(json_object_get(sum, "next")), &page)
                                       : bp_tell(cli, BP_EXIT_FAIL, "the server's list does not end");
        if (code == BP_EXIT_OK) {
            join_page(sum, page);
        }
        json_decref(page);
    }
    if (code != BP_EXIT_OK) {
        json_decref(sum);
        return code;
    }
    (void)json_object_del(sum, "next");
    *ret = sum;
    return code;
}

static void add_actions(struct bp_table *t, const json_t *actions)
{
    char text[64] = "";
    for (size_t i = 0; i < json_array_size(actions); i++) {
        const char *name = json_string_value(json_array_get(actions, i));
        const size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, "%s%s", i > 0 ? ", " : "", name != NULL ? name : "");
    }
    bp_table_add(t, text, -1);
}

static void print_changes(struct bp_cli *cli, const json_t *changes)
{
    static const char *const title[] = {"DEVICE", "ZONE", "NOW", "THEN", "DOES", "REASON"};
    struct bp_table t;
    char room[32];
    bp_table_init(&t, title, COUNT(title));
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *c = json_array_get(changes, i);
        const json_t *then = json_object_get(c, "then");
        const char *name = bp_text_of(c, "name", room);
        bp_table_add(&t, name[0] != 0 ? name : bp_text_of(c, "short", room), -1);
        bp_table_add(&t, bp_text_of(c, "zone", room), -1);
        const char *tier = bp_text_of(json_object_get(c, "now"), "tier", room);
        bp_table_add(&t, tier, bp_paint_of(tier));
        tier = bp_text_of(then, "tier", room);
        bp_table_add(&t, tier, bp_paint_of(tier));
        add_actions(&t, json_object_get(then, "actions"));
        bp_table_add(&t, bp_text_of(then, "reason", room), -1);
    }
    bp_table_print(cli, &t);
    bp_table_done(&t);
}

static void print_check(struct bp_cli *cli, const json_t *answer)
{
    static const char *const line[] = {"version", "in_force", "digest", "rules", "tests", "judged", "unjudged"};
    static const char *const name[] = {"version", "in force", "digest", "rules", "tests passed", "judged", "no verdict"};
    const json_t *changes = json_object_get(answer, "changes");
    char room[32];
    for (size_t i = 0; i < COUNT(line); i++) {
        bp_print_line(cli, name[i], bp_text_of(answer, line[i], room), -1);
    }
    if (json_array_size(changes) == 0) {
        fputs("it would change nothing for the newest evidence\n", cli->out);
    } else {
        print_changes(cli, changes);
    }
}

/* Exit code 1 also when it would be refused for its version. */
static int check_policy(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    json_t *answer = NULL;
    if (!bp_cli_read(cli, args->operand[0], POLICY_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    int code = check_all(cli, api, bp_span_of(bytes, n), &answer);
    bp_free(bytes);
    if (code != BP_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        bp_print_json(cli, answer);
    } else {
        print_check(cli, answer);
    }
    if (!json_is_true(json_object_get(answer, "publishable"))) {
        code = bp_tell(cli, BP_EXIT_NO, "it cannot be published: its version is not above the one in force");
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

int bp_cmd_policy_check(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, check_policy);
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
