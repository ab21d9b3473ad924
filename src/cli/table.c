/* SPDX-License-Identifier: Apache-2.0 */
/* cli/table - aligned columns. */
#include "cli/table.h"

#include "platform/alloc.h"

#define GAP 2

void bp_table_init(struct bp_table *t, const char *const *title, uint32_t columns)
{
    *t = (struct bp_table){.title = title, .columns = columns};
}

void bp_table_done(struct bp_table *t)
{
    for (size_t i = 0; i < t->cells; i++) {
        bp_free(t->cell[i]);
    }
    bp_free(t->cell);
    bp_free(t->paint);
    *t = (struct bp_table){0};
}

static bool make_room(struct bp_table *t)
{
    if (t->cells < t->cap) {
        return true;
    }
    const size_t cap = t->cap == 0 ? 256 : t->cap * 2;
    if (cap > (size_t)BP_TABLE_ROWS_MAX * BP_TABLE_COLUMNS_MAX) {
        return false;
    }
    char **cell = bp_realloc(t->cell, cap * sizeof *cell);
    if (cell == NULL) {
        return false;
    }
    t->cell = cell;
    uint8_t *paint = bp_realloc(t->paint, cap);
    if (paint == NULL) {
        return false;
    }
    t->paint = paint;
    t->cap = cap;
    return true;
}

void bp_table_add(struct bp_table *t, const char *text, int paint)
{
    if (t->is_full || !make_room(t)) {
        t->is_full = true;
        return;
    }
    char *copy = bp_strdup(text != NULL ? text : "");
    if (copy == NULL) {
        t->is_full = true;
        return;
    }
    for (char *p = copy; *p != 0; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    t->cell[t->cells] = copy;
    t->paint[t->cells++] = (uint8_t)(paint < 0 ? 0 : paint + 1);
}

/* Characters, not bytes. */
static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s != 0; s++) {
        n += ((unsigned char)*s & 0xc0u) != 0x80u ? 1u : 0u;
    }
    return n;
}

static void print_cell(struct bp_cli *cli, const char *text, uint8_t paint, size_t width, bool is_last)
{
    if (paint != 0) {
        fputs(bp_paint(cli, (enum bp_paint)(paint - 1)), cli->out);
    }
    fputs(text, cli->out);
    if (paint != 0) {
        fputs(bp_unpaint(cli), cli->out);
    }
    if (!is_last) {
        fprintf(cli->out, "%*s", (int)(width - width_of(text)) + GAP, "");
    }
}

void bp_table_print(struct bp_cli *cli, const struct bp_table *t)
{
    size_t width[BP_TABLE_COLUMNS_MAX] = {0};
    for (uint32_t c = 0; c < t->columns; c++) {
        width[c] = width_of(t->title[c]);
    }
    const size_t whole = t->cells - t->cells % t->columns;
    for (size_t i = 0; i < whole; i++) {
        const size_t w = width_of(t->cell[i]);
        width[i % t->columns] = w > width[i % t->columns] ? w : width[i % t->columns];
    }
    for (uint32_t c = 0; c < t->columns; c++) {
        print_cell(cli, t->title[c], 1 + BP_PAINT_DIM, width[c], c + 1 == t->columns);
    }
    fputc('\n', cli->out);
    for (size_t i = 0; i < whole; i++) {
        const bool is_last = i % t->columns + 1 == t->columns;
        print_cell(cli, t->cell[i], t->paint[i], width[i % t->columns], is_last);
        if (is_last) {
            fputc('\n', cli->out);
        }
    }
    if (t->is_full) {
        bp_tell(cli, 0, "there is more than could be held; ask for less with --limit");
    }
}
