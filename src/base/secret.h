/* SPDX-License-Identifier: Apache-2.0 */
/* base/secret - what secrets need: wiping that the compiler keeps, comparison whose time tells nothing. */
#ifndef BP_BASE_SECRET_H
#define BP_BASE_SECRET_H

#include "base/span.h"

/* Overwrites n bytes with zero; not removed by the optimiser. p may be NULL when n is 0. */
void bp_wipe(void *p, size_t n);

/* Equal contents and equal lengths. The time depends on the lengths only, which are held public. */
bool bp_ct_equal(bp_span a, bp_span b);

#endif
