/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim - what a simulated fleet needs before it can join: an authority of its chips that the server knows, a
 * release of what it runs, accepted in its zone. Kept in the folder fleet-sim of the operator's configuration. */
#include "cli/fleetsim.h"

#include "cli/show.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE CLI

#define PRODUCT  "fleet-sim"
#define ANCHOR   "anchors/software-fleet-sim.pem"
#define DAY_MS   INT64_C(86400000)
#define FILE_MAX 65536u
#define ID_HEX   64u

struct plan {
    struct bp_cli *cli;
    const struct bp_args *args;
    struct bp_sim_maker maker;
    struct bp_sim_model *model;
    struct bp_sim_spec spec;
    char id[ID_HEX + 1]; /* of the release */
};

static bool path_of(struct plan *p, const char *name, char ret[BP_CONFIG_PATH_MAX])
{
    char within[128];
    (void)snprintf(within, sizeof within, "fleet-sim/%s", name);
    return bp_config_path(p->cli, within, ret);
}

/* --- the chips' authority --- */

static int ready_maker(struct plan *p)
{
    char path[BP_CONFIG_PATH_MAX];
    const struct bp_clock clock = bp_clock_linux();
    const int64_t from = bp_wall_ms(&clock) - DAY_MS;
    if (!path_of(p, "", path)) {
        return BP_EXIT_FAIL;
    }
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                return bp_tell(p->cli, BP_EXIT_FAIL, "%s: %s", path, strerror(errno));
            }
            *at = '/';
        }
    }
    if (!path_of(p, "chips.pem", path)) {
        return BP_EXIT_FAIL;
    }
    bp_result r = bp_sim_maker_load(&p->maker, path, from);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        r = bp_sim_maker_make(&p->maker, from);
        if (!bp_failed(r)) {
            r = bp_sim_maker_keep(&p->maker, path);
        }
    }
    return bp_failed(r) ? bp_tell_failure(p->cli, path, r) : BP_EXIT_OK;
}

static int put_anchor(struct plan *p)
{
    char path[BP_CONFIG_PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/" ANCHOR, p->args->value[BP_O_SERVER_DIR]);
    if (n < 0 || (size_t)n >= sizeof path) {
        return bp_tell(p->cli, BP_EXIT_USAGE, "--server-dir is too long");
    }
    const bp_result r = bp_sim_maker_save(&p->maker, path);
    if (bp_failed(r)) {
        return bp_tell_failure(p->cli, path, r);
    }
    fprintf(p->cli->out, p->cli->json ? "{\"anchor\": \"" ANCHOR "\"}\n"
                                      : "the server takes simulated chips, as software, from its next start on: " ANCHOR "\n");
    return BP_EXIT_OK;
}

/* --- the release --- */

/* Runs another command of this program; what it prints is kept (NULL: dropped). The caller owns *ret (free). */
static int run(struct plan *p, bp_command_fn *fn, const struct bp_args *args, char **ret)
{
    char *text = NULL;
    size_t n = 0;
    struct bp_cli sub = *p->cli;
    sub.json = true;
    sub.out = open_memstream(&text, &n);
    if (sub.out == NULL) {
        return bp_tell(p->cli, BP_EXIT_FAIL, "out of memory");
    }
    const int code = fn(&sub, args);
    (void)fclose(sub.out);
    if (ret != NULL) {
        *ret = text;
    } else {
        free(text);
    }
    return code;
}

static void give(struct bp_args *args, enum bp_option id, const char *value)
{
    args->given |= UINT64_C(1) << id;
    args->value[id] = value;
}

/* Logs, key, release and signed release; the id comes from the signing. */
static int make_release(struct plan *p)
{
    static const char *const name[] = {"boot.log", "ima.log", "release.key", "release.cbor", "release.cose"};
    enum { BOOT, IMA, KEY, PLAIN, SIGNED, FILES };
    static char path[FILES][BP_CONFIG_PATH_MAX];
    struct bp_args create = {0}, keygen = {0}, sign = {0};
    char *text = NULL;
    for (int i = 0; i < FILES; i++) {
        if (!path_of(p, name[i], path[i])) {
            return BP_EXIT_FAIL;
        }
    }
    if (!bp_cli_write(p->cli, path[BOOT], bp_span_of(p->model->boot, p->model->boot_n)) ||
        !bp_cli_write(p->cli, path[IMA], bp_span_of(p->model->ima, p->model->ima_n))) {
        return BP_EXIT_FAIL;
    }
    give(&create, BP_O_PRODUCT, PRODUCT);
    give(&create, BP_O_MODEL, "simulated");
    give(&create, BP_O_VERSION, "1");
    give(&create, BP_O_COUNTER, "1");
    give(&create, BP_O_FROM_LOG, path[BOOT]);
    give(&create, BP_O_IMA_LOG, path[IMA]);
    give(&create, BP_O_OUT, path[PLAIN]);
    give(&keygen, BP_O_OUT, path[KEY]);
    give(&sign, BP_O_KEY, path[KEY]);
    give(&sign, BP_O_IN, path[PLAIN]);
    give(&sign, BP_O_OUT, path[SIGNED]);
    int code = run(p, bp_cmd_release_create, &create, NULL);
    if (code == BP_EXIT_OK && access(path[KEY], F_OK) != 0) {
        code = run(p, bp_cmd_release_keygen, &keygen, NULL);
    }
    if (code == BP_EXIT_OK) {
        code = run(p, bp_cmd_release_sign, &sign, &text);
    }
    json_t *told = code == BP_EXIT_OK ? json_loads(text, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(told, "id"));
    if (code == BP_EXIT_OK && (id == NULL || strlen(id) != ID_HEX)) {
        code = bp_tell(p->cli, BP_EXIT_FAIL, "the release could not be signed");
    } else if (code == BP_EXIT_OK) {
        memcpy(p->id, id, ID_HEX + 1);
    }
    json_decref(told);
    free(text);
    return code;
}

static int publish(struct plan *p)
{
    static char signed_[BP_CONFIG_PATH_MAX], maker[BP_CONFIG_PATH_MAX], id[BP_CONFIG_PATH_MAX];
    struct bp_args args = {.operand = {signed_}, .operands = 1};
    if (!path_of(p, "release.cose", signed_) || !path_of(p, "release.key.pub", maker) || !path_of(p, "release.id", id)) {
        return BP_EXIT_FAIL;
    }
    give(&args, BP_O_MAKER, maker);
    const int code = run(p, bp_cmd_release_publish, &args, NULL);
    return code != BP_EXIT_OK ? code : bp_cli_write(p->cli, id, bp_span_cstr(p->id)) ? BP_EXIT_OK : BP_EXIT_FAIL;
}

/* Whether the server has the release of the last time, and accepted it in the zone. */
static void look(struct plan *p, bool *ret_known, bool *ret_accepted)
{
    char path[BP_CONFIG_PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    struct bp_api *api = NULL;
    *ret_known = false;
    *ret_accepted = false;
    if (!path_of(p, "release.id", path) || bp_failed(bp_file_read(path, BP_FILE_PUBLIC, FILE_MAX, &text, &n))) {
        return;
    }
    if (n == ID_HEX && bp_api_open(p->cli, &api) == BP_EXIT_OK) {
        struct bp_target t;
        json_t *answer = NULL;
        memcpy(p->id, text, ID_HEX + 1);
        bp_target_init(&t, "/releases");
        bp_target_part(&t, p->id);
        bp_api_quiet(api, true);
        *ret_known = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer) == BP_EXIT_OK;
        const json_t *list = json_object_get(answer, "acceptances");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *a = json_array_get(list, i);
            char room[2][32];
            *ret_accepted = *ret_accepted || (strcmp(bp_text_of(a, "state", room[0]), "accepted") == 0 &&
                                              strcmp(bp_text_of(a, "zone", room[1]), p->spec.zone) == 0);
        }
        json_decref(answer);
        bp_api_free(api);
    }
    bp_free(text);
}

static int ready_release(struct plan *p)
{
    bool is_known = false, is_accepted = false;
    look(p, &is_known, &is_accepted);
    int code = BP_EXIT_OK;
    if (!is_known) {
        code = make_release(p);
        if (code == BP_EXIT_OK) {
            code = publish(p);
        }
    }
    if (code == BP_EXIT_OK && !is_accepted) {
        struct bp_args accept = {.operand = {p->id}, .operands = 1};
        give(&accept, BP_O_ZONE, p->spec.zone);
        give(&accept, BP_O_REASON, "simulated gateways run it");
        code = run(p, bp_cmd_release_accept, &accept, NULL);
    }
    return code;
}

/* --- the command --- */

static bool take(struct plan *p, enum bp_option id, uint32_t usual, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint64_t v = usual;
    if (bp_args_has(p->args, id) && (!bp_args_number(p->args->value[id], &v) || v < min || v > max)) {
        bp_tell(p->cli, 0, "--%s is a number from %u to %u", bp_option_row(id).name, min, max);
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

static bool read_options(struct plan *p)
{
    struct bp_sim_spec *s = &p->spec;
    s->server = p->args->value[BP_O_SERVER];
    s->zone = bp_args_has(p->args, BP_O_ZONE) ? p->args->value[BP_O_ZONE] : PRODUCT;
    return take(p, BP_O_DEVICES, 0, 1, BP_SIM_DEVICES_MAX, &s->devices) &&
           take(p, BP_O_SECONDS, 10, 0, 86400, &s->seconds) && take(p, BP_O_WINDOW, 5, 1, 3600, &s->window_s) &&
           take(p, BP_O_RATE, 0, 1, 100000, &s->rate) &&
           take(p, BP_O_IN_FLIGHT, 32, 1, BP_SIM_FLIGHT_MAX, &s->in_flight) &&
           take(p, BP_O_RENEW, 0, 1, BP_SIM_RENEW_MAX_S, &s->renew_s) &&
           take(p, BP_O_REVOKE, 0, 1, s->devices, &s->revoke);
}

/* A descriptor a gateway, and some. */
static int raise_limit(struct plan *p)
{
    struct rlimit l;
    const rlim_t want = p->spec.devices + 256u;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < want) {
        l.rlim_cur = l.rlim_max == RLIM_INFINITY || l.rlim_max > want ? want : l.rlim_max;
        if (l.rlim_cur < want || setrlimit(RLIMIT_NOFILE, &l) != 0) {
            return bp_tell(p->cli, BP_EXIT_FAIL, "%u gateways need more open files than this process may have (ulimit -Hn)",
                           p->spec.devices);
        }
    }
    return BP_EXIT_OK;
}

static int load(struct plan *p)
{
    char path[BP_CONFIG_PATH_MAX];
    uint8_t *root = NULL;
    size_t n = 0;
    int code = raise_limit(p);
    if (code == BP_EXIT_OK) {
        code = ready_release(p);
    }
    if (code != BP_EXIT_OK) {
        return code;
    }
    if (!bp_config_path(p->cli, "root.der", path) || !bp_cli_read(p->cli, path, FILE_MAX, &root, &n)) {
        return BP_EXIT_FAIL;
    }
    p->spec.maker = &p->maker;
    p->spec.model = p->model;
    p->spec.root = bp_span_of(root, n);
    code = bp_sim_run(p->cli, &p->spec);
    bp_free(root);
    return code;
}

int bp_cmd_fleet_sim(struct bp_cli *cli, const struct bp_args *args)
{
    struct plan p = {.cli = cli, .args = args};
    if (!read_options(&p)) {
        return BP_EXIT_USAGE;
    }
    p.model = bp_alloc(sizeof *p.model);
    if (p.model == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "out of memory");
    }
    int code = ready_maker(&p);
    if (code == BP_EXIT_OK && bp_args_has(args, BP_O_SERVER_DIR)) {
        code = put_anchor(&p);
    } else if (code == BP_EXIT_OK) {
        const bp_result r = bp_sim_model_make(cli->crypto, p.model);
        code = bp_failed(r) ? bp_tell_failure(cli, "the machine's logs", r) : load(&p);
    }
    bp_sim_maker_done(&p.maker);
    bp_free(p.model);
    return code;
}
