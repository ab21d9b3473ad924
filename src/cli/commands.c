/* SPDX-License-Identifier: Apache-2.0 */
/* cli/commands - the one table of commands. */
#include "cli/cli.h"

const struct bp_command bp_commands[] = {
    {"release", "create", NULL, 0, 0,
     BP_OPT(PRODUCT) | BP_OPT(MODEL) | BP_OPT(VERSION) | BP_OPT(COUNTER) | BP_OPT(OUT),
     BP_OPT(UKI) | BP_OPT(FROM_LOG) | BP_OPT(IMA_LOG) | BP_OPT(VENDOR) | BP_OPT(EPOCH) | BP_OPT(SUPPORT_END),
     "Make a release: what its images, and the firmware below them, will measure.", bp_cmd_release_create},
    {"release", "keygen", NULL, 0, 0, BP_OPT(OUT), 0, "Make the maker's key that signs releases.",
     bp_cmd_release_keygen},
    {"release", "sign", NULL, 0, 0, BP_OPT(KEY) | BP_OPT(IN) | BP_OPT(OUT), 0, "Sign a release.", bp_cmd_release_sign},
    {"release", "show", "FILE|ID", 1, 1, 0, 0, "Show a release, from a file or from the server.",
     bp_cmd_release_show},
    {0},
};
