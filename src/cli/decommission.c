/* SPDX-License-Identifier: Apache-2.0 */
/* cli/decommission - the certificate of decommissioning: fetched, and checked with no server (docs/protocol/ownership.md). */
#include "cli/decommission.h"

#include "cli/show.h"
#include "codec/cose.h"
#include "codec/decommission.h"
#include "core/chain.h"
#include "core/devid.h"
#include "platform/alloc.h"

#include <inttypes.h>
#include <time.h>

bool bp_is_decommission_file(bp_span bytes)
{
    struct bp_decommission_file f;
    return !bp_failed(bp_decommission_file_read(bytes, &f));
}

/* NULL: good, and in ret; else what is wrong. */
static const char *check(struct bp_cli *cli, const struct bp_decommission_file *f, const uint8_t anchor[BP_SHA256_SIZE],
                         struct bp_decommission *ret)
{
    struct bp_x509 root, signer;
    struct bp_cose_sign1 msg;
    const size_t cap = BP_COSE_SCRATCH(2 * BP_COSE_MAX_PROTECTED, f->statement.n, 0);
    const char *bad = bp_chain_root(cli->crypto, f->root, anchor, &root);
    bad = bad == NULL ? bp_chain_key(cli->crypto, &root, f->signer, BP_STATEMENT_BIND, &signer) : bad;
    if (bad != NULL) {
        return bad;
    }
    if (bp_failed(bp_cose_sign1_read(f->statement, &msg)) ||
        !bp_span_equal(msg.content_type, BP_SPAN_STR(BP_DECOMMISSION_CONTENT)) ||
        bp_failed(bp_decommission_read(msg.payload, ret))) {
        return "statement-form: it holds no certificate of decommissioning";
    }
    uint8_t *scratch = bp_alloc(cap);
    const bool ok =
        scratch != NULL && !bp_failed(bp_cose_sign1_verify(cli->crypto, &msg, &signer.key, BP_SPAN_EMPTY, scratch, cap));
    bp_free(scratch);
    if (!ok) {
        return "statement-signature: it is not signed by the key that the root certified";
    }
    return bp_chain_is_valid_at(&signer, ret->retired_ms) ? NULL : "chain-time: the key was not certified at that time";
}

static void print(struct bp_cli *cli, const struct bp_decommission *v)
{
    char id[BP_DEVID_HEX], short_id[BP_DEVID_SHORT], at[32] = "";
    struct tm tm;
    const time_t t = (time_t)(v->retired_ms / 1000);
    if (gmtime_r(&t, &tm) != NULL) {
        (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    bp_devid_hex(v->device_id.p, id);
    bp_devid_short(v->device_id.p, short_id);
    if (cli->json) {
        json_t *o = json_pack("{s:b, s:s, s:s, s:I, s:s%, s:s%, s:I}", "good", 1, "device", id, "retired", at, "keys",
                              (json_int_t)v->keys, "reason", v->reason.n != 0 ? (const char *)v->reason.p : "", v->reason.n, "actor",
                              (const char *)v->actor.p, v->actor.n, "event", (json_int_t)v->event);
        bp_print_json(cli, o);
        json_decref(o);
        return;
    }
    fprintf(cli->out, "%s was decommissioned at %s by ", short_id, at);
    bp_print_text(cli->out, v->actor);
    fputs(": ", cli->out);
    bp_print_text(cli->out, v->reason);
    fprintf(cli->out, "\n%" PRIu32 " keys of it are buried; event %" PRIu64 " of the log\n", v->keys, v->event);
}

int bp_verify_decommission(struct bp_cli *cli, bp_span bytes, const uint8_t anchor[BP_SHA256_SIZE])
{
    struct bp_decommission_file f;
    struct bp_decommission *v = bp_alloc(sizeof *v);
    if (v == NULL || bp_failed(bp_decommission_file_read(bytes, &f))) {
        bp_free(v);
        return bp_tell(cli, BP_EXIT_FAIL, "no memory for the certificate");
    }
    const char *bad = check(cli, &f, anchor, v);
    int code = BP_EXIT_OK;
    if (bad != NULL && cli->json) {
        json_t *o = json_pack("{s:b, s:s}", "good", 0, "reason", bad);
        bp_print_json(cli, o);
        json_decref(o);
        code = BP_EXIT_NO;
    } else if (bad != NULL) {
        code = bp_tell(cli, BP_EXIT_NO, "%s", bad);
    } else {
        print(cli, v);
    }
    bp_free(v);
    return code;
}

static int fetch(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    bp_span file;
    char id[67];
    int code = bp_api_device(api, args->operand[0], id);
    if (code != BP_EXIT_OK) {
        return code;
    }
    bp_target_init(&t, "/devices");
    bp_target_part(&t, id);
    bp_target_part(&t, "decommission");
    code = bp_api_ask(api, BP_HTTP_GET, &t, NULL, BP_SPAN_EMPTY, &file);
    if (code != BP_EXIT_OK) {
        return code;
    }
    if (!bp_cli_write(cli, args->value[BP_O_OUT], file)) {
        return BP_EXIT_FAIL;
    }
    fprintf(cli->out, cli->json ? "{\"bytes\": %zu}\n" : "%zu bytes; check them anywhere with bedplate verify\n", file.n);
    return BP_EXIT_OK;
}

int bp_cmd_device_decommission(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, fetch);
}
