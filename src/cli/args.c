/* SPDX-License-Identifier: Apache-2.0 */
/* cli/args - reader of a command line. */
#include "cli/args.h"

#define ALWAYS (BP_OPT(CONFIG) | BP_OPT(JSON) | BP_OPT(HELP))

static const struct bp_option_row row[BP_O_COUNT] = {
#define BP_X(id, name, meta, help) [BP_O_##id] = {name, meta, help},
    BP_OPTION_LIST(BP_X)
#undef BP_X
};

struct bp_option_row bp_option_row(enum bp_option id)
{
    return (unsigned)id < BP_O_COUNT ? row[id] : (struct bp_option_row){0};
}

static bool refuse(struct bp_args_trouble *t, const char *argument, const char *what)
{
    *t = (struct bp_args_trouble){"", argument, what};
    return false;
}

static bool refuse_option(struct bp_args_trouble *t, enum bp_option id, const char *what)
{
    *t = (struct bp_args_trouble){"--", row[id].name, what};
    return false;
}

/* The option that text ("--name" or "--name=value") names; BP_O_COUNT when none does. */
static enum bp_option find(const char *text, const char **ret_value)
{
    const size_t n = strcspn(text, "=");
    *ret_value = text[n] == '=' ? text + n + 1 : NULL;
    for (int i = 0; i < BP_O_COUNT; i++) {
        if (strlen(row[i].name) == n && memcmp(row[i].name, text, n) == 0) {
            return (enum bp_option)i;
        }
    }
    return BP_O_COUNT;
}

static bool keep(struct bp_args *args, enum bp_option id, const char *value, struct bp_args_trouble *t)
{
    if (id == BP_O_UKI) {
        if (args->repeats == BP_ARGS_REPEAT_MAX) {
            return refuse_option(t, id, "is given too often");
        }
        args->repeat[args->repeats++] = value;
    } else if (bp_args_has(args, id)) {
        return refuse_option(t, id, "is given twice");
    }
    args->given |= UINT64_C(1) << id;
    args->value[id] = value;
    return true;
}

static bool read_option(const struct bp_command *cmd, int argc, char *const *argv, int *at, struct bp_args *args,
                        struct bp_args_trouble *t)
{
    const char *value = NULL;
    const enum bp_option id = find(argv[*at] + 2, &value);
    if (id == BP_O_COUNT || ((ALWAYS | cmd->must | cmd->may) & UINT64_C(1) << id) == 0) {
        return refuse(t, argv[*at], "is not an option of this command");
    }
    if (row[id].meta == NULL) {
        return value == NULL ? keep(args, id, "", t) : refuse(t, argv[*at], "takes no value");
    }
    if (value == NULL) {
        if (*at + 1 >= argc) {
            return refuse(t, argv[*at], "needs a value");
        }
        value = argv[++*at];
    }
    return value[0] != 0 ? keep(args, id, value, t) : refuse(t, argv[*at], "is empty");
}

static bool is_complete(const struct bp_command *cmd, const struct bp_args *args, struct bp_args_trouble *t)
{
    for (int i = 0; i < BP_O_COUNT; i++) {
        if ((cmd->must & ~args->given & UINT64_C(1) << i) != 0) {
            return refuse_option(t, (enum bp_option)i, "is missing");
        }
    }
    if (args->operands < cmd->operands_min) {
        return refuse(t, cmd->operands, "is missing");
    }
    return true;
}

bool bp_args_read(const struct bp_command *cmd, int argc, char *const *argv, struct bp_args *ret,
                  struct bp_args_trouble *t)
{
    *ret = (struct bp_args){0};
    *t = (struct bp_args_trouble){"", "", ""};
    bool only_operands = false;
    for (int at = 0; at < argc; at++) {
        if (!only_operands && strcmp(argv[at], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[at][0] == '-' && argv[at][1] == '-') {
            if (!read_option(cmd, argc, argv, &at, ret, t)) {
                return false;
            }
        } else if (!only_operands && argv[at][0] == '-' && argv[at][1] != 0) {
            return refuse(t, argv[at], "is not an option; they begin with two dashes");
        } else if (ret->operands == cmd->operands_max) {
            return refuse(t, argv[at], "is one argument too many");
        } else {
            ret->operand[ret->operands++] = argv[at];
        }
    }
    return bp_args_has(ret, BP_O_HELP) || is_complete(cmd, ret, t);
}

bool bp_args_number(const char *text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text[0] == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9' || v > (UINT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(*text - '0');
    }
    *ret = v;
    return true;
}
