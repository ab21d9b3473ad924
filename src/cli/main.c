/* SPDX-License-Identifier: Apache-2.0 */
/* cli/main - program bedplate. */
#include "cli/cli.h"

#include <signal.h>

int main(int argc, char **argv)
{
    /* A reader that went away shows as a failed write, which is told. */
    (void)signal(SIGPIPE, SIG_IGN);
    return bp_cli_main(argc, argv, stdout, stderr);
}
