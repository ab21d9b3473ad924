/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/init - the command `bedplated init`. */
#ifndef BP_FLEET_PROC_INIT_H
#define BP_FLEET_PROC_INIT_H

/* argv[0] is the word "init". Prints what was made, or to stderr why nothing was.
 * Gives 0 made, 1 the directory exists or may not be made, 2 usage, 3 anything else. */
int bp_init_main(int argc, char **argv);

#endif
