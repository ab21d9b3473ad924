/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/proc/test_init - `bedplated init` as its user meets it: what it prints opens what it made, once. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "fleet/events/log.h"
#include "fleet/operators/operators.h"
#include "fleet/proc/init.h"
#include "fleet/signer/signer.h"
#include "harness.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"

static char top[64], dir[80], out[80];
static struct bp_crypto *crypto;
static json_t *said;

/* Runs it in a process of its own, with what it prints in the file `to`. */
static int init(const char *to, const char *const *args)
{
    char *argv[16] = {NULL};
    int argc = 1;
    argv[0] = strdup("init");
    for (; args[argc - 1] != NULL && argc < 15; argc++) {
        argv[argc] = strdup(args[argc - 1]);
    }
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        const int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        _exit(fd < 0 || null < 0 || dup2(fd, 1) < 0 || dup2(null, 2) < 0 ? 99 : bp_init_main(argc, argv));
    }
    int status = 0;
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static const char *text(const char *name)
{
    const char *s = json_string_value(json_object_get(said, name));
    return s == NULL ? "" : s;
}

BP_CASE(made)
{
    (void)snprintf(top, sizeof top, "/tmp/bp-init-XXXXXX");
    BP_NEED(mkdtemp(top) != NULL && !bp_failed(bp_crypto_openssl_new(16, &crypto)));
    (void)snprintf(dir, sizeof dir, "%s/site", top);
    (void)snprintf(out, sizeof out, "%s/out", top);
    const char *args[] = {"--dir", dir, "--name", "localhost", "--org", "Werk 1", "--evaluation", "--json", NULL};
    BP_NEED(init(out, args) == 0);
    said = json_load_file(out, 0, NULL);
    BP_NEED(said != NULL);
    BP_CHECK(strcmp(text("dir"), dir) == 0 && strcmp(text("name"), "localhost") == 0 && strcmp(text("org"), "Werk 1") == 0);
    BP_CHECK(json_is_true(json_object_get(said, "evaluation")));
    BP_CHECK(strlen(text("code")) == 26 && strlen(text("passphrase")) == 26 && strcmp(text("code"), text("passphrase")) != 0);
}

BP_CASE(the_printed_hash_is_the_roots)
{
    struct bp_site *site = NULL;
    char want[72] = "sha256:";
    BP_NEED(!bp_failed(bp_site_load(dir, crypto, &site)));
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(want + 7 + 2 * i, 3, "%02x", site->root_hash[i]);
    }
    BP_CHECK(strcmp(text("root"), want) == 0 && site->evaluation);
    bp_site_free(site);
}

BP_CASE(the_printed_passphrase_opens_the_root_key)
{
    char path[128];
    struct bp_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/root-key.pem", dir);
    BP_CHECK(!bp_failed(bp_key_load(path, bp_span_cstr(text("passphrase")), &key)));
    bp_key_free(key);
}

BP_CASE(the_log_signer_starts_from_nothing)
{
    struct bp_site *site = NULL;
    struct bp_log_signer *signer = NULL;
    BP_NEED(!bp_failed(bp_site_load(dir, crypto, &site)));
    BP_CHECK(!bp_failed(bp_log_signer_new(site, crypto, &signer)));
    bp_log_signer_free(signer);
    bp_site_free(site);
}

/* Within fifteen minutes, once, as an administrator; the store has no letter of it. */
BP_CASE(the_printed_code_signs_one_admin_in)
{
    char path[128];
    bp_store *store = NULL;
    struct bp_log log = {0};
    struct bp_code code;
    enum bp_problem problem = BP_P_NONE;
    const struct bp_entropy entropy = bp_entropy_linux();
    const int64_t until = json_integer_value(json_object_get(said, "code_expires_ms"));
    (void)snprintf(path, sizeof path, "%s/store/bedplate.db", dir);
    BP_NEED(!bp_failed(bp_store_open(path, BP_STORE_WRITE, "test", NULL, &store)));
    BP_CHECK(!bp_failed(bp_log_open(&log, store, crypto)) && log.size == 1);
    struct bp_operators o = {.store = store, .log = &log, .crypto = crypto, .entropy = &entropy, .now_ms = until + 1};
    BP_CHECK(!bp_failed(bp_store_begin(store)));
    BP_CHECK(bp_failed(bp_operators_code_take(&o, bp_span_cstr(text("code")), &code, &problem)) || problem == BP_P_BAD_CODE);
    bp_store_abort(store);
    BP_CHECK(!bp_failed(bp_store_begin(store)));
    o.now_ms = until - 1;
    BP_CHECK(!bp_failed(bp_operators_code_take(&o, bp_span_cstr(text("code")), &code, &problem)) && problem == BP_P_NONE);
    BP_CHECK(strcmp(code.role, "admin") == 0 && strcmp(code.zone, "*") == 0 && code.expires_ms == until);
    BP_CHECK(bp_failed(bp_operators_code_take(&o, bp_span_cstr(text("code")), &code, &problem)) || problem == BP_P_BAD_CODE);
    bp_store_abort(store);
    bp_store_free(store);
}

static bool found;

static int look_for(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)at;
    const int fd = kind == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char *bytes = fd < 0 ? NULL : malloc((size_t)st->st_size + 1);
    const ssize_t n = bytes == NULL ? 0 : read(fd, bytes, (size_t)st->st_size);
    found = found || (n >= 26 && (memmem(bytes, (size_t)n, text("code"), 26) != NULL ||
                                  memmem(bytes, (size_t)n, text("passphrase"), 26) != NULL));
    free(bytes);
    if (fd >= 0) {
        (void)close(fd);
    }
    return 0;
}

BP_CASE(neither_is_written_anywhere)
{
    BP_CHECK(nftw(dir, look_for, 16, FTW_PHYS) == 0 && !found);
    BP_CHECK(nftw(out, look_for, 16, FTW_PHYS) == 0 && found); /* the search itself works */
}

static void exits(void)
{
    static char absent[96], other[80];
    (void)snprintf(absent, sizeof absent, "%s/no/such", top);
    (void)snprintf(other, sizeof other, "%s/other", top);
    const struct {
        const char *name;
        const char *to;
        const char *args[8];
        int want;
    } rows[] = {
        {"existing", out, {"--dir", dir, "--name", "localhost"}, 1},
        {"no_parent", out, {"--dir", absent, "--name", "localhost"}, 1},
        {"no_name", out, {"--dir", other}, 2},
        {"no_value", out, {"--dir", other, "--name"}, 2},
        {"unknown_option", out, {"--dir", other, "--name", "a", "--force"}, 2},
        {"address", out, {"--dir", other, "--name", "127.0.0.1"}, 2},
        {"org_with_control", out, {"--dir", other, "--name", "a", "--org", "a\nb"}, 2},
        {"nowhere_to_print", "/dev/full", {"--dir", other, "--name", "a"}, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "exit.%s", rows[i].name);
        bp_case_begin();
        const int got = init(rows[i].to, rows[i].args);
        BP_CHECK(got == rows[i].want);
        BP_CHECK(access(other, F_OK) != 0 || i + 1 == sizeof rows / sizeof rows[0]);
        bp_case_end(name);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void clean(void)
{
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    json_decref(said);
    bp_crypto_openssl_free(crypto);
}

/* clang-format off */
BP_SUITE(init,
    BP_RUN(made)
    BP_RUN(the_printed_hash_is_the_roots)
    BP_RUN(the_printed_passphrase_opens_the_root_key)
    BP_RUN(the_log_signer_starts_from_nothing)
    BP_RUN(the_printed_code_signs_one_admin_in)
    BP_RUN(neither_is_written_anywhere)
    BP_TABLE(exits)
    clean();)
