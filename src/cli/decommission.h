/* SPDX-License-Identifier: Apache-2.0 */
/* cli/decommission - certificates of decommissioning, for `bedplate verify`. */
#ifndef BP_CLI_DECOMMISSION_H
#define BP_CLI_DECOMMISSION_H

#include "cli/cli.h"

bool bp_is_decommission_file(bp_span bytes);
/* Checks such a file from the anchor down, and tells what it says. Exit code. */
int bp_verify_decommission(struct bp_cli *cli, bp_span bytes, const uint8_t anchor[BP_SHA256_SIZE]);

#endif
