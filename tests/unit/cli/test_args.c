/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_args - command lines: what is taken, what is refused and how it is told. */
#include "cli/cli.h"
#include "harness.h"

static const struct bp_command cmd = {
    .noun = "thing", .verb = "do", .operands = "FILE", .operands_min = 1, .operands_max = 2,
    .must = BP_OPT(OUT), .may = BP_OPT(UKI) | BP_OPT(AFTER)};

static const struct {
    const char *name;
    const char *argv[8];
    bool good;
} row[] = {
    {"plain", {"f", "--out", "x"}, true},
    {"equals_sign", {"--out=x", "f"}, true},
    {"value_like_an_option", {"f", "--out", "x", "--after", "-1"}, true},
    {"two_operands", {"f", "g", "--out", "x"}, true},
    {"dash_is_an_operand", {"-", "--out", "x"}, true},
    {"after_double_dash", {"--out", "x", "--", "--json"}, true},
    {"repeated", {"f", "--out", "x", "--uki", "a", "--uki", "b"}, true},
    {"help_needs_nothing", {"--help"}, true},
    {"json_everywhere", {"f", "--json", "--out", "x"}, true},
    {"missing_option", {"f"}, false},
    {"missing_operand", {"--out", "x"}, false},
    {"three_operands", {"f", "g", "h", "--out", "x"}, false},
    {"twice", {"f", "--out", "x", "--out", "y"}, false},
    {"unknown", {"f", "--out", "x", "--wrong"}, false},
    {"of_another_command", {"f", "--out", "x", "--role", "admin"}, false},
    {"no_value", {"f", "--out"}, false},
    {"empty_value", {"f", "--out="}, false},
    {"value_for_a_flag", {"f", "--out", "x", "--json=yes"}, false},
    {"one_dash", {"f", "-o", "x"}, false},
    {"prefix_of_an_option", {"f", "--ou", "x"}, false},
};

static void rows(void)
{
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        int argc = 0;
        char *argv[8];
        while (argc < 8 && row[i].argv[argc] != NULL) {
            union {
                const char *in;
                char *out;
            } p = {.in = row[i].argv[argc]};
            argv[argc++] = p.out;
        }
        struct bp_args args;
        struct bp_args_trouble t;
        const bool good = bp_args_read(&cmd, argc, argv, &args, &t);
        BP_CHECK(good == row[i].good);
        BP_CHECK(good || (t.argument[0] != 0 && t.what[0] != 0));
        bp_case_end(row[i].name);
    }
}

BP_CASE(values)
{
    char a[] = "f", b[] = "--out=x=y", c[] = "--uki", d[] = "1", e[] = "--uki=2";
    char *argv[] = {a, b, c, d, e};
    struct bp_args args;
    struct bp_args_trouble t;
    BP_NEED(bp_args_read(&cmd, 5, argv, &args, &t));
    BP_CHECK(strcmp(args.value[BP_O_OUT], "x=y") == 0);
    BP_CHECK(args.repeats == 2 && strcmp(args.repeat[0], "1") == 0 && strcmp(args.repeat[1], "2") == 0);
    BP_CHECK(args.operands == 1 && strcmp(args.operand[0], "f") == 0);
    BP_CHECK(bp_args_has(&args, BP_O_OUT) && !bp_args_has(&args, BP_O_AFTER));
}

BP_CASE(numbers)
{
    uint64_t v = 0;
    BP_CHECK(bp_args_number("0", &v) && v == 0);
    BP_CHECK(bp_args_number("18446744073709551609", &v) && v == UINT64_C(18446744073709551609));
    BP_CHECK(!bp_args_number("", &v) && !bp_args_number("-1", &v) && !bp_args_number("1x", &v));
    BP_CHECK(!bp_args_number("99999999999999999999", &v));
}

static int run_line(const char *a, const char *b, char *text, size_t cap)
{
    union {
        const char *in;
        char *out;
    } p[3] = {{.in = "bedplate"}, {.in = a}, {.in = b}};
    char *argv[] = {p[0].out, p[1].out, p[2].out};
    FILE *f = fmemopen(text, cap, "w");
    const int code = f != NULL ? bp_cli_main(b != NULL ? 3 : a != NULL ? 2 : 1, argv, f, f) : -1;
    if (f != NULL) {
        fclose(f);
    }
    return code;
}

BP_CASE(every_command_has_help)
{
    int n = 0;
    for (const struct bp_command *c = bp_commands; c->noun != NULL; c++, n++) {
        char text[8192] = "";
        char line[128];
        (void)snprintf(line, sizeof line, "usage: bedplate %s", c->noun);
        char h[] = "--help", prog[] = "bedplate";
        union {
            const char *in;
            char *out;
        } p[2] = {{.in = c->noun}, {.in = c->verb}};
        char *with_verb[] = {prog, p[0].out, p[1].out, h}, *without[] = {prog, p[0].out, h};
        FILE *f = fmemopen(text, sizeof text, "w");
        BP_NEED(f != NULL);
        BP_CHECK(bp_cli_main(c->verb != NULL ? 4 : 3, c->verb != NULL ? with_verb : without, f, f) == BP_EXIT_OK);
        fclose(f);
        BP_CHECK(strncmp(text, line, strlen(line)) == 0 && strstr(text, c->help) != NULL);
        BP_CHECK((c->must & c->may) == 0 && c->operands_max <= BP_ARGS_OPERANDS_MAX);
    }
    BP_CHECK(n > 0);
}

BP_CASE(exit_codes)
{
    char text[16384];
    BP_CHECK(run_line(NULL, NULL, text, sizeof text) == BP_EXIT_USAGE);
    BP_CHECK(run_line("--help", NULL, text, sizeof text) == BP_EXIT_OK);
    BP_CHECK(run_line("nothing", NULL, text, sizeof text) == BP_EXIT_USAGE);
    BP_CHECK(run_line("release", NULL, text, sizeof text) == BP_EXIT_USAGE);
    BP_CHECK(run_line("release", "--help", text, sizeof text) == BP_EXIT_OK);
    BP_CHECK(run_line("release", "sing", text, sizeof text) == BP_EXIT_USAGE);
}

BP_SUITE(args, BP_TABLE(rows) BP_RUN(values) BP_RUN(numbers) BP_RUN(every_command_has_help) BP_RUN(exit_codes))
