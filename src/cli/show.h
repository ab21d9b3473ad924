/* SPDX-License-Identifier: Apache-2.0 */
/* cli/show - what the commands on the API share: bodies from options, lists over pages, values of JSON for people. */
#ifndef BP_CLI_SHOW_H
#define BP_CLI_SHOW_H

#include "cli/api.h"
#include "cli/table.h"

/* A body of those of the options that were given: {"zone": ..., "reason": ...}. NULL (told): not UTF-8, not a number. */
json_t *bp_body_of(struct bp_cli *cli, const struct bp_args *args, const enum bp_option *options, size_t count);

/* Asks for a list page by page until it ends or has `limit` items; the items of `name` are joined. *ret is the
 * caller's. paging: the query that continues ("after" or "before"). Exit code. */
int bp_list(struct bp_api *api, const struct bp_target *first, const char *name, const char *paging, uint64_t limit,
            json_t **ret);

/* --limit, or the default. False (told): not a number. */
bool bp_limit_of(struct bp_cli *cli, const struct bp_args *args, uint64_t usual, uint64_t *ret);

/* Prints a JSON value on one line. */
void bp_print_json(struct bp_cli *cli, const json_t *value);

/* Text of a member: strings as they are, numbers and truth values written into room; "" for null and what is absent. */
const char *bp_text_of(const json_t *object, const char *name, char room[32]);
/* Paint for a tier or trust; -1 when it has none. */
int bp_paint_of(const char *trust);
/* "NAME  VALUE" on a line of its own, unless the value is empty. */
void bp_print_line(struct bp_cli *cli, const char *name, const char *value, int paint);

/* GET and print as JSON, or give it back for printing when people look (*ret not NULL then; json_decref). */
int bp_get(struct bp_api *api, const struct bp_target *target, json_t **ret);

/* Opens the API, runs, closes it. */
typedef int bp_with_api_fn(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api);
int bp_with_api(struct bp_cli *cli, const struct bp_args *args, bp_with_api_fn *fn);

#endif
