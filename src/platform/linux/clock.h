/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/clock - the system's clocks behind port/clock.h. */
#ifndef BP_PLATFORM_LINUX_CLOCK_H
#define BP_PLATFORM_LINUX_CLOCK_H

#include "port/clock.h"

/* Wall time by CLOCK_REALTIME, monotonic time by CLOCK_MONOTONIC. Keeps no state. */
struct bp_clock bp_clock_linux(void);

#endif
