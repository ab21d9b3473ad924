/* SPDX-License-Identifier: Apache-2.0 */
/* cli/owned - chains of ownership of a server's devices: claimed, looked at, handed over.
 *
 * A transfer is signed here, where the owner's key is; the server gets the statement and never the key. It is imported before
 * it is written into a file: what the server refused is given to nobody. */
#include "cli/owner.h"
#include "cli/show.h"
#include "codec/base64.h"
#include "core/devid.h"
#include "platform/alloc.h"

#define TEXT_MAX (BP_BASE64_SIZE(BP_OWNERSHIP_FILE_MAX) + 1u)

/* --- to and from the server --- */

static int chain_of(struct bp_cli *cli, const json_t *answer, struct bp_own_file *ret)
{
    const char *text = json_string_value(json_object_get(answer, "chain"));
    uint8_t *bytes = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    if (bytes == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "no memory for the chain");
    }
    bp_wr wr = bp_wr_over(bytes, BP_OWNERSHIP_FILE_MAX);
    bp_base64_read(&wr, bp_span_cstr(text != NULL ? text : ""));
    const int code = bp_failed(bp_wr_finish(&wr)) ? bp_tell(cli, BP_EXIT_FAIL, "the server's answer holds no chain")
                                                  : bp_own_take(cli, "the server's chain", bp_wr_span(&wr), ret);
    bp_free(bytes);
    return code;
}

/* Any text that names a device of the server, or the whole id of one that it does not know yet. */
static int id_of(struct bp_api *api, const char *text, char ret[67])
{
    uint8_t id[BP_DEVID_SIZE];
    if (bp_failed(bp_devid_from_hex(bp_span_cstr(text), id))) {
        return bp_api_device(api, text, ret);
    }
    memcpy(ret, text, 67);
    return BP_EXIT_OK;
}

static int get(struct bp_api *api, const char *text, json_t **ret)
{
    struct bp_target t;
    char id[67];
    const int code = id_of(api, text, id);
    if (code != BP_EXIT_OK) {
        return code;
    }
    bp_target_init(&t, "/ownership");
    bp_target_part(&t, id);
    return bp_api_json(api, BP_HTTP_GET, &t, NULL, ret);
}

/* Takes body over. */
static int put(struct bp_cli *cli, struct bp_api *api, json_t *body, const struct bp_ownership_chain *chain, json_t **ret)
{
    struct bp_target t;
    size_t n = 0;
    uint8_t *bytes = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    char *text = bp_alloc(TEXT_MAX);
    int code = BP_EXIT_FAIL;
    if (bytes == NULL || text == NULL || bp_failed(bp_ownership_chain_write(chain, bytes, BP_OWNERSHIP_FILE_MAX, &n))) {
        (void)bp_tell(cli, BP_EXIT_FAIL, "the chain cannot be sent");
    } else {
        bp_wr wr = bp_wr_over(text, TEXT_MAX);
        bp_base64_write(&wr, bp_span_of(bytes, n));
        (void)json_object_set_new(body, "chain", json_stringn(text, bp_wr_span(&wr).n));
        bp_target_init(&t, "/ownership");
        code = bp_api_json(api, BP_HTTP_POST, &t, body, ret);
    }
    json_decref(body);
    bp_free(bytes);
    bp_free(text);
    return code;
}

static void print_phase(struct bp_cli *cli, const json_t *answer)
{
    char room[32];
    if (cli->json) {
        bp_print_json(cli, answer);
        return;
    }
    const char *phase = bp_text_of(answer, "phase", room);
    fputs(strcmp(phase, "ours") == 0          ? "ours"
          : strcmp(phase, "handed-over") == 0 ? "handed over; the device erases its keys at its next contact"
                                              : "gone",
          cli->out);
    fputc('\n', cli->out);
}

/* --- the commands --- */

static int claim(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    static const enum bp_option option[] = {BP_O_ZONE, BP_O_SITE, BP_O_MODEL, BP_O_NAME};
    struct bp_own_file f = {0};
    struct bp_own_state state;
    json_t *answer = NULL;
    int code = bp_own_load(cli, args->operand[0], &f);
    if (code == BP_EXIT_OK) {
        code = bp_own_check(cli, args->operand[0], &f.chain, bp_own_now(), &state);
    }
    json_t *body = code == BP_EXIT_OK ? bp_body_of(cli, args, option, sizeof option / sizeof option[0]) : NULL;
    if (body != NULL) {
        code = put(cli, api, body, &f.chain, &answer);
    } else if (code == BP_EXIT_OK) {
        code = BP_EXIT_USAGE;
    }
    if (code == BP_EXIT_OK) {
        print_phase(cli, answer);
    }
    json_decref(answer);
    bp_own_file_done(&f);
    return code;
}

static int show(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_own_file f = {0};
    struct bp_own_state state;
    json_t *answer = NULL;
    int code = get(api, args->operand[0], &answer);
    if (code == BP_EXIT_OK) {
        code = chain_of(cli, answer, &f);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_check(cli, "the server's chain", &f.chain, bp_own_now(), &state);
    }
    if (code == BP_EXIT_OK && bp_args_has(args, BP_O_OUT)) {
        code = bp_own_save(cli, &f.chain, BP_SPAN_EMPTY, args->value[BP_O_OUT]);
    }
    if (code == BP_EXIT_OK && cli->json) {
        bp_print_json(cli, answer);
    } else if (code == BP_EXIT_OK) {
        bp_own_print(cli, &f.chain, &state);
        print_phase(cli, answer);
    }
    json_decref(answer);
    bp_own_file_done(&f);
    return code;
}

struct handing {
    struct bp_own_file f;
    struct bp_key *key;
    uint8_t *card_bytes;
    bp_span card_signed;
    struct bp_owner_card card;
    uint8_t statement[BP_OWNERSHIP_SIGNED_MAX];
    size_t n;
};

static int sign(struct bp_cli *cli, const struct bp_args *args, struct handing *h)
{
    uint64_t expires_s = 0;
    if (bp_args_has(args, BP_O_EXPIRES) &&
        (!bp_args_number(args->value[BP_O_EXPIRES], &expires_s) || expires_s == 0 || expires_s > UINT32_MAX)) {
        return bp_tell(cli, BP_EXIT_USAGE, "--expires wants seconds");
    }
    int code = bp_own_card(cli, args->value[BP_O_TO], &h->card_bytes, &h->card_signed, &h->card);
    if (code == BP_EXIT_OK) {
        code = bp_cli_open_key(cli, args->value[BP_O_KEY], &h->key);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_sign(cli, &h->f.chain, BP_OWNERSHIP_TRANSFER, h->key, &h->card, expires_s, h->statement, &h->n);
    }
    return code == BP_EXIT_OK ? bp_own_append(cli, &h->f.chain, bp_span_of(h->statement, h->n)) : code;
}

static int transfer(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct handing h = {.n = 0};
    json_t *answer = NULL;
    json_t *done = NULL;
    int code = get(api, args->operand[0], &answer);
    if (code == BP_EXIT_OK) {
        code = chain_of(cli, answer, &h.f);
    }
    if (code == BP_EXIT_OK) {
        code = sign(cli, args, &h);
    }
    if (code == BP_EXIT_OK) {
        code = put(cli, api, json_object(), &h.f.chain, &done);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_save(cli, &h.f.chain, h.card_signed, args->value[BP_O_OUT]);
    }
    if (code == BP_EXIT_OK) {
        print_phase(cli, done);
    }
    json_decref(answer);
    json_decref(done);
    bp_key_free(h.key);
    bp_free(h.card_bytes);
    bp_own_file_done(&h.f);
    return code;
}

int bp_cmd_device_claim(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, claim);
}

int bp_cmd_device_ownership(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, show);
}

int bp_cmd_device_transfer(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, transfer);
}
