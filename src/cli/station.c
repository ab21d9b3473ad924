/* SPDX-License-Identifier: Apache-2.0 */
/* cli/station - a place at the end of a line: a serial number comes in, as from a scanner, the unit's chip is asked, the unit
 * is entered and its label written. After a power cut the same serial number is scanned again. */
#include "cli/factory_cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/alloc.h"

#define BP_MODULE CLI

#define UNIT_MS 10000 /* longer than that a chip does not answer */

extern char **environ;

struct station {
    struct bp_cli *cli;
    struct bp_factory *f;
    const struct bp_args *args;
    uint8_t *hello; /* BP_UNIT_FILE_MAX */
    size_t hello_n;
};

/* Reads until the other end closes. False: too late, too much, or the pipe failed. */
static bool read_all(struct station *s, int fd, int64_t until_ms)
{
    for (;;) {
        const int64_t left = until_ms - bp_mono_ms(&s->f->clock);
        struct pollfd p = {fd, POLLIN, 0};
        const int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0 || s->hello_n == BP_UNIT_FILE_MAX) {
            return false;
        }
        const ssize_t n = read(fd, s->hello + s->hello_n, BP_UNIT_FILE_MAX - s->hello_n);
        if (n <= 0) {
            return n == 0;
        }
        s->hello_n += (size_t)n;
    }
}

/* The agent asks the chip: this program knows no TPM. Its words for people go to our standard error. */
static int ask_chip(struct station *s, int64_t until_ms)
{
    const char *root = s->args->value[BP_O_ROOT];
    char *const argv[] = {(char *)(uintptr_t) "bedplate-agent", (char *)(uintptr_t) "identity", (char *)(uintptr_t) "--root",
                          (char *)(uintptr_t)root, NULL};
    int ends[2];
    pid_t pid = 0;
    int status = 0;
    posix_spawn_file_actions_t actions;
    s->hello_n = 0;
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0) {
        return bp_tell(s->cli, BP_EXIT_FAIL, "no pipe to the agent");
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    const bool whole = failed == 0 && read_all(s, ends[0], until_ms);
    (void)close(ends[0]);
    if (failed != 0) {
        return bp_tell(s->cli, BP_EXIT_FAIL, "bedplate-agent cannot be started: it must be in the PATH");
    }
    if (!whole) {
        (void)kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!whole) {
        return bp_tell(s->cli, BP_EXIT_FAIL, "the chip did not answer within %d s", UNIT_MS / 1000);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? BP_EXIT_OK : bp_tell(s->cli, BP_EXIT_NO, "the chip was not read");
}

static int one_unit(struct station *s, const char *serial)
{
    const int64_t begin_ms = bp_mono_ms(&s->f->clock);
    const char *order = s->args->value[BP_O_ORDER];
    struct bp_adding a = {.serial = serial, .model = s->args->value[BP_O_MODEL], .labels = s->args->value[BP_O_LABELS]};
    int code = ask_chip(s, begin_ms + UNIT_MS);
    if (code == BP_EXIT_OK) {
        code = bp_factory_take(s->cli, s->f, order, bp_span_of(s->hello, s->hello_n), BP_SPAN_EMPTY, &a);
    }
    if (code == BP_EXIT_OK) {
        bp_factory_print_unit(s->cli, s->f, order, &a, bp_mono_ms(&s->f->clock) - begin_ms);
    }
    return code;
}

/* Until the input ends. What went wrong with a unit does not stop the line; the worst of it is the exit code. */
static int all_units(struct station *s)
{
    char line[256];
    int worst = BP_EXIT_OK;
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0') {
            continue;
        }
        s->f->said[0] = '\0';
        const int code = one_unit(s, line);
        worst = code > worst ? code : worst;
    }
    return worst;
}

int bp_cmd_factory_station(struct bp_cli *cli, const struct bp_args *args)
{
    struct bp_factory f;
    struct bp_factory_order o;
    bp_result r = bp_factory_open(&f, cli->crypto, args->value[BP_O_DIR]);
    if (!bp_failed(r)) {
        r = bp_factory_order_of(&f, bp_span_cstr(args->value[BP_O_ORDER]), &o);
    }
    int code = BP_EXIT_OK;
    if (bp_failed(r)) {
        code = bp_factory_tell(cli, &f, r);
    } else {
        struct station s = {.cli = cli, .f = &f, .args = args, .hello = bp_alloc(BP_UNIT_FILE_MAX)};
        code = s.hello != NULL ? all_units(&s) : bp_tell_failure(cli, "station", BP_FAIL(NO_MEMORY));
        bp_free(s.hello);
    }
    bp_factory_close(&f);
    return code;
}
