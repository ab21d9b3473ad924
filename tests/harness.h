/* SPDX-License-Identifier: Apache-2.0 */
/* tests/harness - the tiny test harness: the same tables run on the host, under sanitizers and on an emulated
 * Cortex-M. Every case prints one line, "ok SUITE.NAME" or "not ok SUITE.NAME: why"; the last line counts them.
 *
 *     BP_CASE(short_read) { BP_CHECK(bp_failed(...)); }
 *     BP_SUITE(buf, BP_RUN(short_read) BP_RUN(other))
 */
#ifndef BP_TESTS_HARNESS_H
#define BP_TESTS_HARNESS_H

#include <stdbool.h>
#include <stdio.h>

struct bp_t {
    const char *suite;
    int passed, failed, skipped;
    int checks; /* of the running case */
    bool bad;   /* the running case has failed */
};

static struct bp_t bp_t;

static inline bool bp_check_at(bool ok, const char *text, const char *file, int line)
{
    bp_t.checks++;
    if (!ok && !bp_t.bad) {
        bp_t.bad = true;
        printf("# %s:%d: %s\n", file, line, text);
    }
    return ok;
}

/* A case with a name of its own: for rows of a table. A row that checked nothing fails. */
static inline void bp_case_begin(void)
{
    bp_t.checks = 0;
    bp_t.bad = false;
}

static inline void bp_case_end(const char *name)
{
    if (bp_t.checks == 0) {
        printf("not ok %s.%s: it checked nothing\n", bp_t.suite, name);
        bp_t.failed++;
    } else if (bp_t.bad) {
        printf("not ok %s.%s\n", bp_t.suite, name);
        bp_t.failed++;
    } else {
        printf("ok %s.%s\n", bp_t.suite, name);
        bp_t.passed++;
    }
}

static inline void bp_case_skip(const char *name, const char *reason)
{
    printf("skip %s.%s: %s\n", bp_t.suite, name, reason);
    bp_t.skipped++;
}

#define BP_CHECK(cond) bp_check_at((cond), #cond, __FILE__, __LINE__)
/* Leaves the case when the condition does not hold. */
#define BP_NEED(cond)                                                                              \
    do {                                                                                           \
        if (!BP_CHECK(cond)) {                                                                     \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define BP_CASE(name) static void name(void)
#define BP_RUN(name)                                                                               \
    bp_case_begin();                                                                               \
    name();                                                                                        \
    bp_case_end(#name);
/* A function that begins and ends its own cases (a table). */
#define BP_TABLE(name) name();
#define BP_SUITE(name, runs)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        bp_t.suite = #name;                                                                        \
        runs printf("%d passed, %d failed, %d skipped\n", bp_t.passed, bp_t.failed, bp_t.skipped);  \
        return bp_t.failed == 0 && bp_t.passed > 0 ? 0 : 1;                                        \
    }

#endif
