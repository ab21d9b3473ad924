/* SPDX-License-Identifier: Apache-2.0 */
/* port/clock - the seam to time. Tests replace it; nothing else asks the system for the time. */
#ifndef BP_PORT_CLOCK_H
#define BP_PORT_CLOCK_H

#include <stdint.h>

struct bp_clock {
    void *self;
    /* Milliseconds since 1970-01-01T00:00:00Z; may jump. */
    int64_t (*wall_ms)(void *self);
    /* Milliseconds since an unspecified start; never goes back; stops with the machine. */
    int64_t (*mono_ms)(void *self);
};

static inline int64_t bp_wall_ms(const struct bp_clock *c)
{
    return c->wall_ms(c->self);
}

static inline int64_t bp_mono_ms(const struct bp_clock *c)
{
    return c->mono_ms(c->self);
}

#endif
