/* SPDX-License-Identifier: Apache-2.0 */
/* cli/factory_cmd - what the commands of a factory share: one unit taken in, labelled and told of. */
#ifndef BP_CLI_FACTORY_CMD_H
#define BP_CLI_FACTORY_CMD_H

#include "cli/cli.h"
#include "cli/factory.h"
#include "cli/label.h"
#include "cli/unit.h"

/* One unit on its way into the book. */
struct bp_adding {
    const char *serial, *model;
    const char *labels; /* folder for label and certificate; NULL: none are written */
    struct bp_unit unit;
    uint8_t cert[BP_CERT_MAX]; /* its IDevID certificate; cert_n 0: none */
    size_t cert_n;
    uint8_t idevid[BP_SHA256_SIZE];
    bool known; /* it was entered before: nothing was counted */
};

/* Tells what the folder said; the exit code that goes with the failure. */
int bp_factory_tell(struct bp_cli *cli, const struct bp_factory *f, bp_result r);

/* Takes in a unit: from a unit file, a certificate request, or both (one may be empty). Entered first, then its label and
 * certificate are written. The same unit again only writes them again. Exit code, told. */
int bp_factory_take(struct bp_cli *cli, struct bp_factory *f, const char *order, bp_span hello, bp_span csr,
                    struct bp_adding *a);
/* took_ms below 0: not told. */
void bp_factory_print_unit(struct bp_cli *cli, struct bp_factory *f, const char *order, const struct bp_adding *a,
                           int64_t took_ms);

/* A JSON string. */
void bp_print_quoted(FILE *out, bp_span text);

#endif
