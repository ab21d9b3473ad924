/* SPDX-License-Identifier: Apache-2.0 */
/* cli/table - rows of text with aligned columns. Cells are copied; control characters become '?'. */
#ifndef BP_CLI_TABLE_H
#define BP_CLI_TABLE_H

#include "cli/cli.h"

#define BP_TABLE_COLUMNS_MAX 12u
#define BP_TABLE_ROWS_MAX    65536u

struct bp_table {
    uint32_t columns;
    const char *const *title;
    char **cell; /* rows * columns */
    uint8_t *paint; /* 0: none, else 1 + enum bp_paint */
    size_t cells, cap;
    bool is_full; /* out of memory or rows: what is there is printed, and that it is not all */
};

void bp_table_init(struct bp_table *t, const char *const *title, uint32_t columns);
void bp_table_done(struct bp_table *t);
/* The next cell, from left to right; NULL is empty. paint: -1 or enum bp_paint. */
void bp_table_add(struct bp_table *t, const char *text, int paint);
/* Prints head and rows; the last column is not padded. */
void bp_table_print(struct bp_cli *cli, const struct bp_table *t);

#endif
