/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/crash - named places at which a test build ends the process as a power cut would.
 *
 * In every other build the macro is nothing. It carries no check and no state that the product
 * uses. */
#ifndef BP_FLEET_STORE_CRASH_H
#define BP_FLEET_STORE_CRASH_H

#ifdef BP_TEST_CRASH
void bp_crash_here(const char *name); /* the test's own */
#define BP_CRASH(name) bp_crash_here(name)
#else
#define BP_CRASH(name) ((void)0)
#endif

#endif
