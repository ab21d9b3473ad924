/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/policy/expr - the few words of SQL that a rule may use, and nothing else.
 *
 *     expr  := and { OR and }        and  := not { AND not }       not := NOT not | test
 *     test  := ( expr ) | atom [ compare atom | [NOT] BETWEEN atom AND atom | [NOT] IN ( literal {, literal} ) ]
 *     atom  := claim | literal | ver ( text atom ) | age ( claim )
 *     compare := = | == | <> | != | < | <= | > | >=      literal := whole number | 'text' | x'hex'
 *
 * Both sides of a comparison are of one kind, and a claim that stands alone is an INTEGER: SQL would
 * order a text above every number and say nothing. What is read is written out again as the SQL that
 * the engine prepares; text of a person never reaches it. The caller owns all memory. */
#ifndef BP_FLEET_POLICY_EXPR_H
#define BP_FLEET_POLICY_EXPR_H

#include "fleet/policy/policy.h"

#define BP_EXPR_MAX     4096u /* bytes of an expression */
#define BP_EXPR_DEPTH   16u   /* parentheses and NOTs */
#define BP_EXPR_TERMS   256u  /* atoms */
#define BP_EXPR_LIST    64u   /* literals of one IN */
#define BP_EXPR_SQL_MAX (BP_EXPR_MAX * 4u)

struct bp_expr {
    char sql[BP_EXPR_SQL_MAX];
    size_t sql_n;
    uint64_t uses; /* bit i: names[i] is used */
};

/* Where and why it was refused. */
struct bp_expr_fault {
    size_t column; /* characters from 1 */
    char text[160];
};

/* Reads an expression. `names` NULL: only the form is checked, any name stands.
 *   MALFORMED    a token or an order of tokens that is not above      LIMIT  a ceiling above
 *   UNSUPPORTED  a name that is none of `names`, or kinds that do not go together */
BP_MUST_CHECK bp_result bp_expr_read(bp_span text, const struct bp_policy_name *names, size_t count,
                                     struct bp_expr *ret, struct bp_expr_fault *ret_fault);

/* "1.2.10" as one number, up to four parts of 0..65535, so that versions compare as numbers.
 *   MALFORMED  anything else */
BP_MUST_CHECK bp_result bp_expr_version(bp_span text, int64_t *ret);

#endif
