/* SPDX-License-Identifier: Apache-2.0 */
/* cli/completion - a bash completion script from the tables of commands and options. */
#include "cli/cli.h"

static void print_nouns(FILE *f)
{
    const char *last = "";
    for (const struct bp_command *cmd = bp_commands; cmd->noun != NULL; cmd++) {
        if (strcmp(last, cmd->noun) != 0) {
            fprintf(f, "%s%s", last[0] != 0 ? " " : "", cmd->noun);
            last = cmd->noun;
        }
    }
}

static void print_verbs(FILE *f)
{
    const char *last = "";
    for (const struct bp_command *cmd = bp_commands; cmd->noun != NULL; cmd++) {
        if (cmd->verb == NULL) {
            continue;
        }
        if (strcmp(last, cmd->noun) != 0) {
            fprintf(f, "%s        %s) words=\"", last[0] != 0 ? "\" ;;\n" : "", cmd->noun);
            last = cmd->noun;
        } else {
            fputc(' ', f);
        }
        fputs(cmd->verb, f);
    }
    fputs(last[0] != 0 ? "\" ;;\n" : "", f);
}

static void print_options(FILE *f)
{
    for (const struct bp_command *cmd = bp_commands; cmd->noun != NULL; cmd++) {
        const uint64_t options = cmd->must | cmd->may | BP_OPT(CONFIG) | BP_OPT(JSON) | BP_OPT(HELP);
        fprintf(f, "        \"%s %s\") words=\"", cmd->noun, cmd->verb != NULL ? cmd->verb : "");
        const char *blank = "";
        for (int i = 0; i < BP_O_COUNT; i++) {
            if ((options & UINT64_C(1) << i) != 0) {
                fprintf(f, "%s--%s", blank, bp_option_row((enum bp_option)i).name);
                blank = " ";
            }
        }
        fputs("\" ;;\n", f);
    }
}

/* Options whose value is a file are completed as files. */
static void print_files(FILE *f)
{
    const char *bar = "";
    for (int i = 0; i < BP_O_COUNT; i++) {
        const struct bp_option_row row = bp_option_row((enum bp_option)i);
        if (row.meta != NULL && (strncmp(row.meta, "FILE", 4) == 0 || strcmp(row.meta, "DIR") == 0)) {
            fprintf(f, "%s--%s", bar, row.name);
            bar = "|";
        }
    }
}

int bp_cmd_completion(struct bp_cli *cli, const struct bp_args *args)
{
    FILE *f = cli->out;
    if (strcmp(args->operand[0], "bash") != 0) {
        return bp_tell(cli, BP_EXIT_USAGE, "%s: bash is the shell that is known", args->operand[0]);
    }
    fputs("# bash completion for bedplate; use it by: source <(bedplate completion bash)\n"
          "_bedplate() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
          "    COMPREPLY=()\n"
          "    case $before in\n"
          "        ", f);
    print_files(f);
    fputs(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
          "    esac\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        words=\"", f);
    print_nouns(f);
    fputs("\"\n"
          "    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
          "        case ${COMP_WORDS[1]} in\n", f);
    print_verbs(f);
    fputs("        esac\n"
          "    fi\n"
          "    if [[ $word == -* ]]; then\n"
          "        local command=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\"\n"
          "        [[ ${COMP_WORDS[2]} != -* ]] || command=\"${COMP_WORDS[1]} \"\n"
          "        case $command in\n", f);
    print_options(f);
    fputs("        esac\n"
          "    fi\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
          "    [ -n \"$words\" ] || COMPREPLY=($(compgen -f -- \"$word\"))\n"
          "}\n"
          "complete -F _bedplate bedplate\n", f);
    return BP_EXIT_OK;
}
