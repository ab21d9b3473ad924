/* SPDX-License-Identifier: Apache-2.0 */
/* cli/recover - opens the lockout values that a device has in escrow, here, with the owner's recovery key.
 *
 * The key and its passphrase go nowhere; the server gives out what it cannot open itself. A value counts only when the
 * device that sealed it is the one that was asked for. */
#include "cli/owner.h"
#include "cli/show.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/device.h"
#include "core/devid.h"
#include "platform/alloc.h"
#include "platform/openssl/envelope.h"

struct opened {
    const char *state, *at;
    char hex[2 * 32 + 1];
};

/* --- one value --- */

/* NULL: opened; else why not. */
static const char *open_one(const struct bp_key *key, const json_t *escrow, const char *id, struct opened *ret)
{
    const char *text = json_string_value(json_object_get(escrow, "envelope"));
    uint8_t sealed[BP_ENVELOPE_MAX], plain[BP_LOCKOUT_MAX];
    struct bp_lockout v;
    char hex[BP_DEVID_HEX];
    size_t n = 0;
    bp_wr wr = bp_wr_over(sealed, sizeof sealed);
    bp_base64_read(&wr, bp_span_cstr(text != NULL ? text : ""));
    if (bp_failed(bp_wr_finish(&wr)) || wr.n == 0) {
        return "the server's answer holds no envelope";
    }
    const bp_result r = bp_envelope_open(key, bp_wr_span(&wr), plain, sizeof plain, &n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_DENIED) ? "it was sealed to another recovery key, or was changed" : bp_error_text(bp_error_of(r));
    }
    const char *bad = NULL;
    if (bp_failed(bp_lockout_read(bp_span_of(plain, n), &v))) {
        bad = "what was sealed is no lockout value";
    } else {
        bp_devid_hex(v.device_id.p, hex);
        bad = strcmp(hex, id) == 0 ? NULL : "it is of another device";
    }
    if (bad == NULL) {
        for (size_t i = 0; i < v.value.n; i++) {
            (void)snprintf(ret->hex + 2 * i, 3, "%02x", v.value.p[i]);
        }
        ret->state = json_string_value(json_object_get(escrow, "state"));
        ret->at = json_string_value(json_object_get(escrow, "at"));
    }
    bp_wipe(plain, sizeof plain);
    return bad;
}

static void print_people(struct bp_cli *cli, const struct opened *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(cli->out, "%s  %s, in escrow since %s\n", v[i].hex,
                v[i].state != NULL && strcmp(v[i].state, "set") == 0 ? "set, says the agent" : "not told to be set",
                v[i].at != NULL ? v[i].at : "?");
    }
    fprintf(cli->out,
            "\nThe newest stands first. At the device, with tpm2-tools:\n"
            "  tpm2_dictionarylockout -c -p hex:%s\n"
            "      ends a lockout after wrong tries\n"
            "  tpm2_changeauth -c lockout -p hex:%s\n"
            "      takes the value away: the next start of the agent makes a new one\n"
            "  tpm2_clearcontrol -C p c, where the platform allows it (else: clear in the firmware's setup), then\n"
            "  tpm2_clear hex:%s\n"
            "      clears the TPM: every key in it is gone, and the device must be enrolled anew\n"
            "One wrong value locks this authorisation for a day: copy, do not type.\n",
            v[0].hex, v[0].hex, v[0].hex);
}

static void print_json(struct bp_cli *cli, const char *id, const struct opened *v, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "value", v[i].hex, "state", v[i].state, "at", v[i].at));
    }
    json_t *answer = json_pack("{s:s, s:o}", "device", id, "values", list);
    bp_print_json(cli, answer);
    json_decref(answer);
}

/* --- the command --- */

static int open_all(struct bp_cli *cli, const struct bp_key *key, const json_t *answer, const char *id)
{
    enum { MOST = 32 };
    struct opened v[MOST];
    size_t count = 0;
    const json_t *list = json_object_get(answer, "escrows");
    for (size_t i = 0; i < json_array_size(list) && count < MOST; i++) {
        const char *bad = open_one(key, json_array_get(list, i), id, &v[count]);
        if (bad == NULL) {
            count++;
        } else {
            (void)bp_tell(cli, BP_EXIT_NO, "value %zu of %zu: %s", i + 1, json_array_size(list), bad);
        }
    }
    if (count > 0 && cli->json) {
        print_json(cli, id, v, count);
    } else if (count > 0) {
        print_people(cli, v, count);
    }
    bp_wipe(v, sizeof v);
    return count > 0 ? BP_EXIT_OK : BP_EXIT_NO;
}

static int recover(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    struct bp_key *key = NULL;
    json_t *answer = NULL;
    char id[67];
    int code = bp_api_device(api, args->operand[0], id);
    if (code == BP_EXIT_OK) {
        code = bp_cli_open_key(cli, args->value[BP_O_KEY], &key);
    }
    if (code == BP_EXIT_OK) {
        bp_target_init(&t, "/devices");
        bp_target_part(&t, id);
        bp_target_part(&t, "escrow");
        code = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer);
    }
    if (code == BP_EXIT_OK) {
        code = open_all(cli, key, answer, id);
    }
    json_decref(answer);
    bp_key_free(key);
    return code;
}

int bp_cmd_device_recover(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, recover);
}
