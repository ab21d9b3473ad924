/* SPDX-License-Identifier: Apache-2.0 */
/* codec/problem - look-ups over the one table in the header. */
#include "codec/problem.h"

struct bp_problem_row bp_problem_row(enum bp_problem number)
{
    switch (number) {
#define BP_X(n, name, c, s, t, a)                                                                  \
    case BP_P_##name:                                                                              \
        return (struct bp_problem_row){BP_P_##name, (s), (c), (t), (a)};
        BP_PROBLEM_LIST(BP_X)
#undef BP_X
    case BP_P_NONE:
        break;
    }
    return bp_problem_row(BP_P_INTERNAL);
}

enum bp_problem bp_problem_of_code(bp_span code)
{
#define BP_X(n, name, c, s, t, a)                                                                  \
    if (bp_span_equal(code, BP_SPAN_STR(c))) {                                                     \
        return BP_P_##name;                                                                        \
    }
    BP_PROBLEM_LIST(BP_X)
#undef BP_X
    return BP_P_NONE;
}
