/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/clock - clock_gettime, which cannot fail for these two clocks. */
#include "platform/linux/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_REALTIME);
}

static int64_t mono_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_MONOTONIC);
}

struct bp_clock bp_clock_linux(void)
{
    return (struct bp_clock){NULL, wall_ms, mono_ms};
}
