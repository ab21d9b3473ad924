/* SPDX-License-Identifier: Apache-2.0 */
/* cli/import - a maker's batch manifest taken into the plant. */
#include "cli/show.h"
#include "codec/cose.h"
#include "codec/manifest.h"
#include "platform/alloc.h"

/* What is in the file, for the person who is asked for the maker's key: the server does not say more than a refusal. */
static void tell_key(struct bp_cli *cli, bp_span file)
{
    struct bp_cose_sign1 msg;
    struct bp_manifest m;
    uint8_t kid[BP_SHA256_SIZE];
    if (bp_failed(bp_cose_sign1_read(file, &msg)) || bp_failed(bp_manifest_read(msg.payload, &m)) ||
        bp_failed(bp_hash(cli->crypto, BP_HASH_SHA256, m.key, kid))) {
        return;
    }
    fputs("bedplate: the file is signed by key ", cli->err);
    bp_print_hex(cli->err, BP_SPAN_OF(kid));
    fputs(", in the name of ", cli->err);
    bp_print_text(cli->err, m.maker);
    fputs(". Compare it with the maker by another way, then add --maker HASH.\n", cli->err);
}

static int tell(struct bp_cli *cli, bp_span body)
{
    char room[32];
    json_t *a = json_loadb((const char *)(body.n != 0 ? body.p : (const uint8_t *)""), body.n, 0, NULL);
    if (a == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "the server's answer is not JSON");
    }
    if (cli->json) {
        bp_print_json(cli, a);
    } else {
        fprintf(cli->out, "batch %lld of order ", (long long)json_integer_value(json_object_get(a, "batch")));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(a, "order", room)));
        fputs(" of ", cli->out);
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(a, "maker", room)));
        fprintf(cli->out, ": %lld units are expected in zone ", (long long)json_integer_value(json_object_get(a, "units")));
        bp_print_text(cli->out, bp_span_cstr(bp_text_of(a, "zone", room)));
        fputs(json_is_true(json_object_get(a, "pinned")) ? "; the maker's key is pinned now\n" : "\n", cli->out);
    }
    json_decref(a);
    return BP_EXIT_OK;
}

static int import(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    uint8_t *bytes = NULL;
    size_t n = 0;
    bp_span body = BP_SPAN_EMPTY;
    if (!bp_cli_read(cli, args->operand[0], BP_MANIFEST_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_target_init(&t, "/manifests");
    bp_target_query(&t, "zone", args->value[BP_O_ZONE]);
    bp_target_query(&t, "maker", args->value[BP_O_MAKER]);
    int code = bp_api_ask(api, BP_HTTP_POST, &t, "application/cose", bp_span_of(bytes, n), &body);
    if (code == BP_EXIT_OK) {
        code = tell(cli, body);
    } else if (args->value[BP_O_MAKER] == NULL && strcmp(bp_api_refusal(api), "maker") == 0) {
        tell_key(cli, bp_span_of(bytes, n));
    }
    bp_free(bytes);
    return code;
}

int bp_cmd_device_import(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, import);
}
