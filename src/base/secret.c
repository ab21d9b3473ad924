/* SPDX-License-Identifier: Apache-2.0 */
/* base/secret - wipe and constant-time compare. */
#include "base/secret.h"

void bp_wipe(void *p, size_t n)
{
    volatile uint8_t *v = (volatile uint8_t *)p;
    for (size_t i = 0; i < n; i++) {
        v[i] = 0;
    }
}

bool bp_ct_equal(bp_span a, bp_span b)
{
    if (a.n != b.n) {
        return false;
    }
    volatile uint8_t diff = 0;
    for (size_t i = 0; i < a.n; i++) {
        diff = (uint8_t)(diff | (a.p[i] ^ b.p[i]));
    }
    return diff == 0;
}
