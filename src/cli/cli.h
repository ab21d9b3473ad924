/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli - what every command shares: where it prints, how it fails, and its exit codes.
 *
 * Answers go to `out`, everything that is no answer to `err`. With --json an answer is one JSON value. */
#ifndef BP_CLI_CLI_H
#define BP_CLI_CLI_H

#include "cli/args.h"
#include "port/crypto.h"

#include <stdio.h>

enum {
    BP_EXIT_OK = 0,
    BP_EXIT_NO = 1,    /* refused, or the answer is no */
    BP_EXIT_USAGE = 2, /* the command line is wrong */
    BP_EXIT_FAIL = 3   /* the server cannot be reached, or something here failed */
};

struct bp_cli {
    FILE *out;
    FILE *err;
    bool json;
    bool colour; /* of `out` */
    struct bp_crypto *crypto;
    const char *config; /* --config, or NULL for the default */
};

/* The commands, NULL noun at the end. */
extern const struct bp_command bp_commands[];

/* Runs the command line of a program; its exit code. */
int bp_cli_main(int argc, char *const *argv, FILE *out, FILE *err);

/* --- commands, each in the file of its noun --- */
int bp_cmd_action_approve(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_action_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_action_reject(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_action_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_completion(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_approve(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_bundle(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_import(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_invite(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_claim(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_ownership(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_decommission(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_permit(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_transfer(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_quarantine(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_recover(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_release(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_replace(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_retire(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_revoke(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_succeed(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_device_verdicts(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_event_export(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_event_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_event_prove(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_event_tail(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_add(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_anchor(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_assign(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_batch(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_cosign(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_init(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_order(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_override(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_factory_station(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_fleet_sim(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_login(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_service_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_service_add(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_service_remove(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_renewal_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_renewal_set(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_outage_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_outage_set(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_brownfield_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_brownfield_on(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_brownfield_off(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_operator_code(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_overview(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_ownership_card(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_ownership_retire(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_ownership_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_ownership_transfer(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_policy_apply(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_policy_check(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_policy_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_position_add(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_position_assign(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_position_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_position_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_accept(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_create(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_deprecate(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_keygen(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_ls(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_publish(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_show(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_sign(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_release_withdraw(struct bp_cli *cli, const struct bp_args *args);
int bp_cmd_verify(struct bp_cli *cli, const struct bp_args *args);
/* `release show` of a file. */
int bp_cmd_release_show_file(struct bp_cli *cli, const char *path);
/* The anchor as SHA-256 of the root's DER, from "sha256:HASH" or a file in DER or PEM. Exit code. */
int bp_cli_anchor(struct bp_cli *cli, const char *text, uint8_t ret[BP_SHA256_SIZE]);

/* --- telling --- */

/* "bedplate: WHAT" to err; gives `code` back. */
int bp_tell(struct bp_cli *cli, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a failed call on a file or the like: adds what the error means. */
int bp_tell_failure(struct bp_cli *cli, const char *what, bp_result r);

/* Reads a file whole; tells why when it cannot. The caller owns *ret (bp_free). */
bool bp_cli_read(struct bp_cli *cli, const char *path, size_t max, uint8_t **ret, size_t *ret_n);
bool bp_cli_write(struct bp_cli *cli, const char *path, bp_span contents);

/* Bytes that came from elsewhere, as people may see them: control characters become '?'. */
void bp_print_text(FILE *f, bp_span text);
void bp_print_hex(FILE *f, bp_span bytes);

/* Names of colours, by what they say. */
enum bp_paint { BP_PAINT_GOOD, BP_PAINT_WARN, BP_PAINT_BAD, BP_PAINT_DIM };
/* Sequences to put around a text; "" where `out` is no terminal. */
const char *bp_paint(const struct bp_cli *cli, enum bp_paint paint);
const char *bp_unpaint(const struct bp_cli *cli);

#endif
