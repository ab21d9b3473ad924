/* SPDX-License-Identifier: Apache-2.0 */
/* cli/device - devices: looked at, let in, put aside, and their verdicts taken along. */
#include "cli/show.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- ls --- */

static void print_devices(struct bp_cli *cli, const json_t *list)
{
    static const char *const title[] = {"ID", "NAME", "POSITION", "ZONE", "STATE", "TRUST", "ROOT", "AS OF", "REASON"};
    struct bp_table t;
    char room[32];
    bp_table_init(&t, title, COUNT(title));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        const char *state = bp_text_of(d, "state", room);
        const char *trust = json_string_value(json_object_get(d, "trust"));
        bp_table_add(&t, bp_text_of(d, "short", room), -1);
        bp_table_add(&t, bp_text_of(d, "name", room), -1);
        bp_table_add(&t, bp_text_of(d, "position", room), -1);
        bp_table_add(&t, bp_text_of(d, "zone", room), -1);
        bp_table_add(&t, state, bp_paint_of(state));
        bp_table_add(&t, trust, trust != NULL ? bp_paint_of(trust) : -1);
        bp_table_add(&t, bp_text_of(d, "root_class", room), -1);
        bp_table_add(&t, bp_text_of(d, "as_of", room), -1);
        bp_table_add(&t, bp_text_of(d, "reason", room), -1);
    }
    bp_table_print(cli, &t);
    bp_table_done(&t);
}

static int list_devices(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0;
    if (!bp_limit_of(cli, args, 1000, &limit)) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/devices");
    static const enum bp_option filter[] = {BP_O_STATE, BP_O_TRUST, BP_O_ZONE, BP_O_MODEL};
    for (size_t i = 0; i < COUNT(filter); i++) {
        bp_target_query(&t, bp_option_row(filter[i]).name, args->value[filter[i]]);
    }
    bp_target_query(&t, "q", args->operands != 0 ? args->operand[0] : NULL);
    const int code = bp_list(api, &t, "devices", "after", limit, &list);
    if (code == BP_EXIT_OK && cli->json) {
        json_t *answer = json_pack("{s:O}", "devices", list);
        bp_print_json(cli, answer);
        json_decref(answer);
    } else if (code == BP_EXIT_OK) {
        print_devices(cli, list);
    }
    json_decref(list);
    return code;
}

/* --- show --- */

static void print_findings(struct bp_cli *cli, const json_t *list)
{
    char room[32];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        const char *effect = bp_text_of(f, "effect", room);
        fprintf(cli->out, "  %s%-15s%s ", bp_paint_of(effect) >= 0 ? bp_paint(cli, (enum bp_paint)bp_paint_of(effect)) : "",
                effect, bp_unpaint(cli));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(f, "text", room)));
        fputs("  [", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(f, "code", room)));
        fputs("]\n", cli->out);
    }
}

static void print_chain(struct bp_cli *cli, const json_t *list)
{
    char room[32];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *tile = json_array_get(list, i);
        const char *state = bp_text_of(tile, "state", room);
        const int paint = bp_paint_of(state);
        fprintf(cli->out, "  %-11s %s%-15s%s ", bp_text_of(tile, "tile", room),
                paint >= 0 ? bp_paint(cli, (enum bp_paint)paint) : "", state, bp_unpaint(cli));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(tile, "text", room)));
        const char *not_proven = bp_text_of(tile, "does_not_prove", room);
        if (not_proven[0] != 0) {
            fputs("; does not prove: ", cli->out);
            bp_print_text(cli->out, bp_span_cstr(not_proven));
        }
        fputc('\n', cli->out);
    }
}

static void print_claims(struct bp_cli *cli, const json_t *claims)
{
    const char *name;
    json_t *value;
    char room[32];
    json_object_foreach((json_t *)(uintptr_t)claims, name, value)
    {
        fprintf(cli->out, "  %-16s ", name);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(claims, name, room)));
        fputc('\n', cli->out);
    }
}

/* Of applications; the newest of each service stands first. */
static void print_applications(struct bp_cli *cli, const json_t *list)
{
    char room[32];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *cert = json_array_get(list, i);
        const char *service = json_string_value(json_object_get(cert, "service"));
        if (service == NULL) {
            continue;
        }
        fprintf(cli->out, "  %-15s %-11s %-10s until ", service, bp_text_of(cert, "profile", room),
                json_string_value(json_object_get(cert, "state")));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(cert, "not_after", room)));
        fputc('\n', cli->out);
    }
}

/* Each of them is the device: any one will do to be recognised, and once it is off they all are. */
static void print_endorsement_keys(struct bp_cli *cli, const json_t *keys)
{
    char room[32];
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *k = json_array_get(keys, i);
        if (strcmp(bp_text_of(k, "role", room), "ek") != 0) {
            continue;
        }
        const bool is_alias = json_is_true(json_object_get(k, "alias"));
        bp_print_line(cli, is_alias ? "  alias" : "identity key", bp_text_of(k, "spki", room), -1);
        if (json_is_true(json_object_get(k, "tombstone"))) {
            bp_print_line(cli, "", "off: the chip is refused with this key", (int)BP_PAINT_BAD);
        }
    }
}

static void print_device(struct bp_cli *cli, const json_t *d)
{
    static const char *const line[] = {"id",    "short", "pseudonym", "name",  "position", "zone", "site", "model",  "state",
                                       "state_reason", "trust", "tier",  "reason", "root_class", "kind", "as_of", "heard",
                                       "due",   "created", "since", "verdict"};
    char room[32];
    for (size_t i = 0; i < COUNT(line); i++) {
        const char *value = bp_text_of(d, line[i], room);
        bp_print_line(cli, line[i], value, bp_paint_of(value));
    }
    print_endorsement_keys(cli, json_object_get(d, "keys"));
    const json_t *cert = json_object_get(d, "certificate");
    bp_print_line(cli, "certificate", bp_text_of(cert, "serial", room), -1);
    bp_print_line(cli, "  until", bp_text_of(cert, "not_after", room), -1);
    print_applications(cli, json_object_get(d, "certificates"));
    const json_t *lockout = json_object_get(d, "lockout");
    const char *held = bp_text_of(lockout, "state", room);
    bp_print_line(cli, "lockout",
                  strcmp(held, "set") == 0       ? "set and in escrow, clearing disabled (the agent's word)"
                  : strcmp(held, "sealed") == 0  ? "in escrow, not set yet"
                  : strcmp(held, "foreign") == 0 ? "set by somebody else, not in escrow"
                  : strcmp(held, "none") == 0    ? "not set: the TPM can be cleared"
                                                 : "",
                  strcmp(held, "set") == 0 ? (int)BP_PAINT_GOOD : -1);
    const json_t *part = json_object_get(d, "findings");
    if (json_array_size(part) != 0) {
        fputs("findings\n", cli->out);
        print_findings(cli, part);
    }
    fputs("chain of trust\n", cli->out);
    print_chain(cli, json_object_get(d, "chain"));
    fputs("claims\n", cli->out);
    print_claims(cli, json_object_get(d, "claims"));
}

static int show_device(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *device = NULL;
    char id[67];
    int code = bp_api_device(api, args->operand[0], id);
    if (code != BP_EXIT_OK) {
        return code;
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    code = bp_get(api, &t, &device);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, device);
    } else if (code == BP_EXIT_OK) {
        print_device(cli, device);
    }
    json_decref(device);
    return code;
}

/* --- verdicts and bundle --- */

static int list_verdicts(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const char *const title[] = {"NUMBER", "TIME", "AS OF", "TIER", "REASON"};
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0;
    char id[67], room[32];
    if (!bp_limit_of(cli, args, 20, &limit)) {
        return BP_EXIT_USAGE;
    }
    int code = bp_api_device(api, args->operand[0], id);
    if (code != BP_EXIT_OK) {
        return code;
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    bp_target_part(&t, "verdicts");
    code = bp_list(api, &t, "verdicts", "before", limit, &list);
    if (code == BP_EXIT_OK && cli->json) {
        json_t *answer = json_pack("{s:O}", "verdicts", list);
        bp_print_json(cli, answer);
        json_decref(answer);
    } else if (code == BP_EXIT_OK) {
        static const char *const member[] = {"number", "time", "as_of", "tier", "reason"};
        struct bp_table table;
        bp_table_init(&table, title, COUNT(title));
        for (size_t i = 0; i < json_array_size(list) * COUNT(member); i++) {
            const char *text = bp_text_of(json_array_get(list, i / COUNT(member)), member[i % COUNT(member)], room);
            bp_table_add(&table, text, bp_paint_of(text));
        }
        bp_table_print(cli, &table);
        bp_table_done(&table);
    }
    json_decref(list);
    return code;
}

static int fetch_bundle(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    bp_span bundle;
    char id[67];
    int code = bp_api_device(api, args->operand[0], id);
    if (code != BP_EXIT_OK) {
        return code;
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    bp_target_part(&t, "bundle");
    bp_target_query(&t, "verdict", args->value[BP_O_VERDICT]);
    code = bp_api_ask(api, BP_HTTP_GET, &t, NULL, BP_SPAN_EMPTY, &bundle);
    if (code != BP_EXIT_OK) {
        return code;
    }
    if (!bp_cli_write(cli, args->value[BP_O_OUT], bundle)) {
        return BP_EXIT_FAIL;
    }
    fprintf(cli->out, cli->json ? "{\"bytes\": %zu}\n" : "%zu bytes; check them anywhere with bedplate verify\n", bundle.n);
    return BP_EXIT_OK;
}

/* --- acts --- */

static int act(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api, const char *verb)
{
    static const enum bp_option option[] = {BP_O_ZONE, BP_O_SITE, BP_O_MODEL, BP_O_NAME, BP_O_POSITION, BP_O_REASON};
    struct bp_target t;
    json_t *answer = NULL;
    char id[67], room[32];
    int code = bp_api_device(api, args->operand[0], id);
    json_t *body = code == BP_EXIT_OK ? bp_body_of(cli, args, option, COUNT(option)) : NULL;
    if (body == NULL) {
        return code != BP_EXIT_OK ? code : BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    bp_target_part(&t, verb);
    code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "short", room)));
        fputs(" is now ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "state", room)));
        fputc('\n', cli->out);
    }
    json_decref(answer);
    return code;
}

static int invite(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_ZONE, BP_O_SITE, BP_O_MODEL, BP_O_NAME, BP_O_POSITION, BP_O_EXPIRES};
    struct bp_target t;
    json_t *answer = NULL;
    char room[32];
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    if (body == NULL) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/invitations");
    const int code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "line", room)));
        fputs("\nvalid once, until ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(answer, "expires", room)));
        fputc('\n', cli->out);
    }
    json_decref(answer);
    return code;
}

/* --- the commands --- */

static int run_act(struct bp_cli *cli, const struct bp_args *args, const char *verb)
{
    struct bp_api *api = NULL;
    int code = bp_api_open(cli, &api);
    if (code == BP_EXIT_OK) {
        code = act(cli, args, api, verb);
    }
    bp_api_free(api);
    return code;
}

int bp_cmd_device_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_devices);
}

int bp_cmd_device_show(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show_device);
}

int bp_cmd_device_verdicts(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_verdicts);
}

int bp_cmd_device_bundle(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, fetch_bundle);
}

int bp_cmd_device_invite(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, invite);
}

int bp_cmd_device_approve(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "approve");
}

int bp_cmd_device_quarantine(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "quarantine");
}

int bp_cmd_device_release(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "release");
}

int bp_cmd_device_revoke(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "revoke");
}

int bp_cmd_device_retire(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "retire");
}

int bp_cmd_device_permit(struct bp_cli *cli, const struct bp_args *args)
{
    return run_act(cli, args, "permit");
}
