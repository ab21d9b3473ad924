/* SPDX-License-Identifier: Apache-2.0 */
/* cli/verify_cmd - tells what the verification of a bundle found, a line for each check. */
#include "cli/decommission.h"
#include "cli/cli.h"
#include "cli/verify.h"
#include "platform/alloc.h"

#include <jansson.h>
#include <time.h>

static void print_time(FILE *f, int64_t ms)
{
    const time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[32] = "?";
    if (gmtime_r(&s, &tm) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    fputs(text, f);
}

static void print_steps(struct bp_cli *cli, const struct bp_verification *v)
{
    for (int i = 0; i < BP_V_COUNT; i++) {
        const struct bp_verify_row row = bp_verify_row((enum bp_verify_step)i);
        if (i < (int)v->failed) {
            fprintf(cli->out, "%sok%s    %-11s %s\n", bp_paint(cli, BP_PAINT_GOOD), bp_unpaint(cli), row.name, row.text);
        } else if (i == (int)v->failed) {
            fprintf(cli->out, "%sFAIL%s  %-11s %s\n", bp_paint(cli, BP_PAINT_BAD), bp_unpaint(cli), row.name, v->reason);
        } else {
            fprintf(cli->out, "%s-     %-11s not looked at%s\n", bp_paint(cli, BP_PAINT_DIM), row.name, bp_unpaint(cli));
        }
    }
}

static void print_verdict(struct bp_cli *cli, const struct bp_verification *v)
{
    const struct bp_ear *ear = &v->ear;
    const enum bp_paint paint = ear->status == BP_TIER_AFFIRMING         ? BP_PAINT_GOOD
                                : ear->status == BP_TIER_CONTRAINDICATED ? BP_PAINT_BAD
                                                                         : BP_PAINT_WARN;
    fputs("\ndevice   ", cli->out);
    bp_print_hex(cli->out, ear->device_id);
    fputs("\nas of    ", cli->out);
    print_time(cli->out, ear->as_of_ms);
    fprintf(cli->out, "\nverdict  %s%s%s: ", bp_paint(cli, paint), bp_tier_name(ear->status), bp_unpaint(cli));
    bp_print_text(cli->out, ear->reason);
    fprintf(cli->out, "\nlog      event %llu of %llu\n", (unsigned long long)v->bundle.index,
            (unsigned long long)v->bundle.size);
    if (v->by_policy) {
        fputs("policy   the policy made the verdict worse than the appraisal's; it is in the bundle\n", cli->out);
    }
    for (uint32_t i = 0; i < ear->findings; i++) {
        fputs("finding  ", cli->out);
        bp_print_text(cli->out, ear->finding[i].text);
        fputs(" [", cli->out);
        bp_print_text(cli->out, ear->finding[i].code);
        fputs("]\n", cli->out);
    }
}

static json_t *text_json(bp_span s)
{
    json_t *v = json_stringn((const char *)(s.n != 0 ? s.p : (const uint8_t *)""), s.n);
    return v != NULL ? v : json_null();
}

static void print_as_json(struct bp_cli *cli, const struct bp_verification *v)
{
    json_t *checks = json_array();
    for (int i = 0; i < BP_V_COUNT && i <= (int)v->failed; i++) {
        const struct bp_verify_row row = bp_verify_row((enum bp_verify_step)i);
        const bool ok = i < (int)v->failed;
        (void)json_array_append_new(checks, json_pack("{s:s, s:b, s:s}", "check", row.name, "ok", ok, "text",
                                                      ok ? row.text : v->reason));
    }
    json_t *o = json_pack("{s:b, s:o}", "good", v->good, "checks", checks);
    if (v->good) {
        char id[67] = "";
        for (size_t i = 0; i < v->ear.device_id.n && i < 33; i++) {
            (void)snprintf(id + 2 * i, 3, "%02x", v->ear.device_id.p[i]);
        }
        (void)json_object_set_new(o, "verdict",
                                  json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:b}", "device", id, "tier",
                                            bp_tier_name(v->ear.status), "reason", text_json(v->ear.reason), "as_of_ms",
                                            (json_int_t)v->ear.as_of_ms, "event", (json_int_t)v->bundle.index,
                                            "log_size", (json_int_t)v->bundle.size, "by_policy", v->by_policy));
    } else {
        (void)json_object_set_new(o, "reason", json_string(v->reason));
    }
    (void)json_dumpf(o, cli->out, 0);
    fputc('\n', cli->out);
    json_decref(o);
}

int bp_cmd_verify(struct bp_cli *cli, const struct bp_args *args)
{
    uint8_t anchor[BP_SHA256_SIZE];
    uint8_t *bytes = NULL;
    size_t n = 0;
    int code = bp_cli_anchor(cli, args->value[BP_O_ANCHOR], anchor);
    if (code != BP_EXIT_OK) {
        return code;
    }
    if (!bp_cli_read(cli, args->operand[0], BP_BUNDLE_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    if (bp_is_decommission_file(bp_span_of(bytes, n))) {
        code = bp_verify_decommission(cli, bp_span_of(bytes, n), anchor);
        bp_free(bytes);
        return code;
    }
    struct bp_verification *v = bp_alloc(sizeof *v);
    const bp_result r = v != NULL ? bp_verify_bundle(cli->crypto, bp_span_of(bytes, n), anchor, v)
                                  : bp_fail_at(BP_E_NO_MEMORY, BP_M_CLI, __LINE__);
    if (bp_failed(r)) {
        code = bp_tell_failure(cli, args->operand[0], r);
    } else {
        code = v->good ? BP_EXIT_OK : BP_EXIT_NO;
        if (cli->json) {
            print_as_json(cli, v);
        } else {
            print_steps(cli, v);
            if (v->good) {
                print_verdict(cli, v);
            }
        }
    }
    bp_free(v);
    bp_free(bytes);
    return code;
}
