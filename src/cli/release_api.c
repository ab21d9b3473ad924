/* SPDX-License-Identifier: Apache-2.0 */
/* cli/release_api - releases at the plant: imported, accepted, deprecated, withdrawn, listed. */
#include "cli/pem.h"
#include "cli/show.h"
#include "codec/x509.h"
#include "platform/alloc.h"

#include <unistd.h>

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define RELEASE_MAX ((size_t)8 << 20)
#define KEY_MAX     ((size_t)8 << 10)

static void print_release_line(struct bp_cli *cli, const json_t *r)
{
    char room[32];
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(r, "id", room)));
    fputs("  ", cli->out);
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(r, "product", room)));
    fputc(' ', cli->out);
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(r, "version", room)));
    const json_t *list = json_object_get(r, "acceptances");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i);
        fputs(", ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(a, "state", room)));
        fputs(" in zone ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(a, "zone", room)));
    }
    fputc('\n', cli->out);
}

static int tell_release(struct bp_cli *cli, int code, json_t *answer)
{
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        print_release_line(cli, answer);
    }
    json_decref(answer);
    return code;
}

/* The maker's public key, PEM or DER, as lower-case hex of its SubjectPublicKeyInfo. */
static bool read_maker(struct bp_cli *cli, const char *path, char ret[2 * BP_SPKI_MAX + 1])
{
    uint8_t *bytes = NULL, der[BP_SPKI_MAX];
    size_t n = 0, at = 0;
    bp_span spki;
    struct bp_pubkey key;
    if (!bp_cli_read(cli, path, KEY_MAX, &bytes, &n)) {
        return false;
    }
    bp_result r = bp_pem_next(bp_span_of(bytes, n), &at, "PUBLIC KEY", der, sizeof der, &spki);
    bp_free(bytes);
    if (!bp_failed(r)) {
        r = bp_spki_read(spki, &key);
    }
    if (bp_failed(r)) {
        bp_tell(cli, 0, "%s: no public key (release keygen writes one beside the private key, FILE.pub)", path);
        return false;
    }
    for (size_t i = 0; i < spki.n; i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", spki.p[i]);
    }
    return true;
}

static int publish(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    char key[2 * BP_SPKI_MAX + 1];
    const bool has_maker = bp_args_has(args, BP_O_MAKER);
    if (has_maker && !read_maker(cli, args->value[BP_O_MAKER], key)) {
        return BP_EXIT_USAGE;
    }
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!bp_cli_read(cli, args->operand[0], RELEASE_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    struct bp_target t;
    bp_span body = BP_SPAN_EMPTY;
    json_t *answer = NULL;
    bp_target_init(&t, "/releases");
    bp_target_query(&t, "key", has_maker ? key : NULL);
    int code = bp_api_ask(api, BP_HTTP_POST, &t, "application/cose", bp_span_of(bytes, n), &body);
    if (code == BP_EXIT_OK) {
        answer = json_loadb((const char *)(body.n != 0 ? body.p : (const uint8_t *)""), body.n, 0, NULL);
        code = answer != NULL ? BP_EXIT_OK : bp_tell(cli, BP_EXIT_FAIL, "the server's answer is not JSON");
    } else if (!has_maker && strcmp(bp_api_refusal(api), "precondition") == 0) {
        bp_tell(cli, 0, "the first release of a product names its maker's key: --maker FILE.pub");
    }
    bp_free(bytes);
    return tell_release(cli, code, answer);
}

static int act(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api, const char *verb)
{
    static const enum bp_option option[] = {BP_O_ZONE, BP_O_REASON};
    struct bp_target t;
    json_t *answer = NULL;
    json_t *body = bp_body_of(cli, args, option, COUNT(option));
    if (body == NULL) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/releases");
    bp_target_part(&t, args->operand[0]);
    bp_target_part(&t, verb);
    const int code = bp_api_json(api, BP_HTTP_POST, &t, body, &answer);
    json_decref(body);
    return tell_release(cli, code, answer);
}

static int accept_release(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return act(cli, args, api, "accept");
}

static int deprecate_release(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return act(cli, args, api, "deprecate");
}

static int withdraw_release(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    return act(cli, args, api, "withdraw");
}

static int list_releases(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0;
    if (!bp_limit_of(cli, args, 100, &limit)) {
        return BP_EXIT_USAGE;
    }
    bp_target_init(&t, "/releases");
    const int code = bp_list(api, &t, "releases", "after", limit, &list);
    if (code == BP_EXIT_OK && cli->json) {
        json_t *answer = json_pack("{s:O}", "releases", list);
        bp_print_json(cli, answer);
        json_decref(answer);
    } else {
        for (size_t i = 0; code == BP_EXIT_OK && i < json_array_size(list); i++) {
            print_release_line(cli, json_array_get(list, i));
        }
    }
    json_decref(list);
    return code;
}

static int show_release(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const char *const line[] = {"id",       "product", "version",   "model",       "counter",
                                       "imported", "created", "by",        "support_end", "key_epoch",
                                       "signer"};
    struct bp_target t;
    json_t *answer = NULL;
    char room[32];
    bp_target_init(&t, "/releases");
    bp_target_part(&t, args->operand[0]);
    const int code = bp_get(api, &t, &answer);
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        for (size_t i = 0; i < COUNT(line); i++) {
            bp_print_line(cli, line[i], bp_text_of(answer, line[i], room), -1);
        }
        const json_t *list = json_object_get(answer, "acceptances");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *a = json_array_get(list, i);
            const char *state = bp_text_of(a, "state", room);
            bp_print_line(cli, state, bp_text_of(a, "zone", room), bp_paint_of(state));
        }
    }
    json_decref(answer);
    return code;
}

int bp_cmd_release_publish(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, publish);
}

int bp_cmd_release_accept(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, accept_release);
}

int bp_cmd_release_deprecate(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, deprecate_release);
}

int bp_cmd_release_withdraw(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, withdraw_release);
}

int bp_cmd_release_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_releases);
}

int bp_cmd_release_show(struct bp_cli *cli, const struct bp_args *args)
{
    const char *what = args->operand[0];
    const bool is_id = strlen(what) == 64 && strspn(what, "0123456789abcdef") == 64;
    return is_id && access(what, F_OK) != 0 ? bp_with_api(cli, args, show_release) : bp_cmd_release_show_file(cli, what);
}
