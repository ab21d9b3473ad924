/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/entropy - getrandom(2) without flags: never from an unseeded generator. */
#include "platform/linux/entropy.h"

#include "base/secret.h"

#include <errno.h>
#include <sys/random.h>

#define BP_MODULE PLATFORM

static bp_result fill(void *self, uint8_t *ret, size_t n)
{
    (void)self;
    size_t done = 0;
    while (done < n) {
        const ssize_t got = getrandom(ret + done, n - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            bp_wipe(ret, n);
            return BP_FAIL(IO);
        }
    }
    return BP_OK;
}

struct bp_entropy bp_entropy_linux(void)
{
    return (struct bp_entropy){NULL, fill};
}
