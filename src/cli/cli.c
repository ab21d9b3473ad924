/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli - finding the command, help, telling. */
#include "cli/cli.h"

#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define KEYS_CACHED 64

int bp_tell(struct bp_cli *cli, int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("bedplate: ", cli->err);
    vfprintf(cli->err, format, ap);
    fputc('\n', cli->err);
    va_end(ap);
    return code;
}

int bp_tell_failure(struct bp_cli *cli, const char *what, bp_result r)
{
    return bp_tell(cli, BP_EXIT_FAIL, "%s: %s", what, bp_error_text(bp_error_of(r)));
}

bool bp_cli_read(struct bp_cli *cli, const char *path, size_t max, uint8_t **ret, size_t *ret_n)
{
    const bp_result r = bp_file_read(path, BP_FILE_PUBLIC, max, ret, ret_n);
    if (bp_failed(r)) {
        bp_tell_failure(cli, path, r);
    }
    return !bp_failed(r);
}

bool bp_cli_write(struct bp_cli *cli, const char *path, bp_span contents)
{
    const bp_result r = bp_file_write(path, BP_FILE_PUBLIC, contents);
    if (bp_failed(r)) {
        bp_tell_failure(cli, path, r);
    }
    return !bp_failed(r);
}

void bp_print_text(FILE *f, bp_span text)
{
    for (size_t i = 0; i < text.n; i++) {
        fputc(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i], f);
    }
}

void bp_print_hex(FILE *f, bp_span bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        fprintf(f, "%02x", bytes.p[i]);
    }
}

const char *bp_paint(const struct bp_cli *cli, enum bp_paint paint)
{
    static const char *const code[] = {"\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    return cli->colour ? code[paint] : "";
}

const char *bp_unpaint(const struct bp_cli *cli)
{
    return cli->colour ? "\033[0m" : "";
}

/* --- help --- */

static void print_usage(FILE *f, const struct bp_command *cmd)
{
    fprintf(f, "usage: bedplate %s%s%s", cmd->noun, cmd->verb != NULL ? " " : "", cmd->verb != NULL ? cmd->verb : "");
    if (cmd->operands != NULL) {
        fprintf(f, cmd->operands_min != 0 ? " %s" : " [%s]", cmd->operands);
    }
    for (int i = 0; i < BP_O_COUNT; i++) {
        const struct bp_option_row row = bp_option_row((enum bp_option)i);
        const bool must = (cmd->must & UINT64_C(1) << i) != 0;
        if (must || (cmd->may & UINT64_C(1) << i) != 0) {
            fprintf(f, " %s--%s%s%s%s", must ? "" : "[", row.name, row.meta != NULL ? " " : "",
                    row.meta != NULL ? row.meta : "", must ? "" : "]");
        }
    }
    fputc('\n', f);
}

static void print_help(FILE *f, const struct bp_command *cmd)
{
    const uint64_t options = cmd->must | cmd->may | BP_OPT(CONFIG) | BP_OPT(JSON) | BP_OPT(HELP);
    print_usage(f, cmd);
    fprintf(f, "%s\n", cmd->help);
    for (int i = 0; i < BP_O_COUNT; i++) {
        const struct bp_option_row row = bp_option_row((enum bp_option)i);
        if ((options & UINT64_C(1) << i) != 0) {
            const int n = fprintf(f, "  --%s %s", row.name, row.meta != NULL ? row.meta : "");
            fprintf(f, "%*s %s\n", n < 26 ? 26 - n : 0, "", row.help);
        }
    }
}

static void print_commands(FILE *f, const char *noun)
{
    for (const struct bp_command *cmd = bp_commands; cmd->noun != NULL; cmd++) {
        if (noun == NULL || strcmp(noun, cmd->noun) == 0) {
            const int n = fprintf(f, "  bedplate %s%s%s", cmd->noun, cmd->verb != NULL ? " " : "",
                                  cmd->verb != NULL ? cmd->verb : "");
            fprintf(f, "%*s %s\n", n < 32 ? 32 - n : 0, "", cmd->help);
        }
    }
    fputs("bedplate COMMAND --help tells the options. Exit codes: 0 done, 1 refused or no, 2 wrong command line,\n"
          "3 the server cannot be reached or something here failed.\n", f);
}

static bool has_noun(const char *noun)
{
    for (const struct bp_command *cmd = bp_commands; cmd->noun != NULL; cmd++) {
        if (strcmp(noun, cmd->noun) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "help") == 0;
}

/* --- running --- */

/* The command that the first words name; *ret_words how many they are. */
static const struct bp_command *find_command(int argc, char *const *argv, int *ret_words)
{
    for (const struct bp_command *cmd = bp_commands; argc > 1 && cmd->noun != NULL; cmd++) {
        if (strcmp(argv[1], cmd->noun) != 0) {
            continue;
        }
        if (cmd->verb == NULL) {
            *ret_words = 2;
            return cmd;
        }
        if (argc > 2 && strcmp(argv[2], cmd->verb) == 0) {
            *ret_words = 3;
            return cmd;
        }
    }
    return NULL;
}

static int run(struct bp_cli *cli, const struct bp_command *cmd, const struct bp_args *args)
{
    cli->json = bp_args_has(args, BP_O_JSON);
    cli->config = args->value[BP_O_CONFIG];
    const char *plain = getenv("NO_COLOR");
    cli->colour = !cli->json && isatty(fileno(cli->out)) == 1 && (plain == NULL || plain[0] == 0);
    const bp_result r = bp_crypto_openssl_new(KEYS_CACHED, &cli->crypto);
    if (bp_failed(r)) {
        return bp_tell_failure(cli, "OpenSSL", r);
    }
    int code = cmd->run(cli, args);
    bp_crypto_openssl_free(cli->crypto);
    if (fflush(cli->out) != 0 && code == BP_EXIT_OK) {
        code = bp_tell(cli, BP_EXIT_FAIL, "the output could not be written");
    }
    return code;
}

static int no_command(struct bp_cli *cli, int argc, char *const *argv)
{
    const char *noun = argc > 1 ? argv[1] : NULL;
    if (noun != NULL && is_help(noun)) {
        print_commands(cli->out, NULL);
        return BP_EXIT_OK;
    }
    if (noun != NULL && has_noun(noun)) {
        const bool asked = argc > 2 && is_help(argv[2]);
        print_commands(asked ? cli->out : cli->err, noun);
        return asked ? BP_EXIT_OK : BP_EXIT_USAGE;
    }
    if (noun != NULL) {
        bp_tell(cli, 0, "there is no command %s", noun);
    }
    print_commands(cli->err, NULL);
    return BP_EXIT_USAGE;
}

int bp_cli_main(int argc, char *const *argv, FILE *out, FILE *err)
{
    struct bp_cli cli = {.out = out, .err = err};
    int words = 0;
    const struct bp_command *cmd = find_command(argc, argv, &words);
    if (cmd == NULL) {
        return no_command(&cli, argc, argv);
    }
    struct bp_args args;
    struct bp_args_trouble trouble;
    if (!bp_args_read(cmd, argc - words, argv + words, &args, &trouble)) {
        bp_tell(&cli, 0, "%s%s %s", trouble.dashes, trouble.argument, trouble.what);
        print_usage(err, cmd);
        return BP_EXIT_USAGE;
    }
    if (bp_args_has(&args, BP_O_HELP)) {
        print_help(out, cmd);
        return BP_EXIT_OK;
    }
    return run(&cli, cmd, &args);
}
