/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/entropy - the kernel's generator behind port/entropy.h. */
#ifndef BP_PLATFORM_LINUX_ENTROPY_H
#define BP_PLATFORM_LINUX_ENTROPY_H

#include "port/entropy.h"

/* Blocks at early boot until the kernel has seeded its generator; IO when the kernel refuses. Keeps no state. */
struct bp_entropy bp_entropy_linux(void);

#endif
