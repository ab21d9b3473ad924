/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/flip - what the two bit-flip programs share: files, hex, and the count by class of
 * byte. */
#ifndef BP_TESTS_SUITES_FLIP_H
#define BP_TESTS_SUITES_FLIP_H

#include <stdio.h>
#include <stdlib.h>

#include "base/span.h"

struct flip_file {
    uint8_t *p;
    size_t n;
};

/* The whole file, to be freed by the caller; ends the program when it cannot be read. */
static inline struct flip_file flip_load(const char *path)
{
    FILE *f = fopen(path, "rbe");
    struct flip_file out = {NULL, 0};
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(3);
    }
    const long size = ftell(f);
    rewind(f);
    out.p = malloc(size > 0 ? (size_t)size : 1);
    if (size < 0 || out.p == NULL || fread(out.p, 1, (size_t)size, f) != (size_t)size) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(3);
    }
    fclose(f);
    out.n = (size_t)size;
    return out;
}

static inline size_t flip_unhex(const char *hex, uint8_t *ret, size_t cap)
{
    size_t n = 0;
    unsigned v = 0;
    while (n < cap && sscanf(hex + 2 * n, "%2x", &v) == 1) {
        ret[n++] = (uint8_t)v;
    }
    return n;
}

/* Flips by class of byte ('a', 'b', 'c') and what came of them. */
struct flip_count {
    unsigned long tried[3], refused[3], same[3], wrong[3];
    unsigned long bytes[3]; /* of each class in the file */
    unsigned shown;
};

enum flip_outcome { FLIP_REFUSED, FLIP_SAME, FLIP_WRONG };

static inline void flip_count_bytes(struct flip_count *n, const struct flip_file *map)
{
    for (size_t i = 0; i < map->n; i++) {
        n->bytes[map->p[i] == 'a' ? 0 : map->p[i] == 'b' ? 1 : 2]++;
    }
}

/* Counts one flip; prints the first few wrong ones. */
static inline void flip_add(struct flip_count *n, char cls, enum flip_outcome outcome, size_t bit,
                            const char *why)
{
    const unsigned k = cls == 'a' ? 0 : cls == 'b' ? 1 : 2;
    n->tried[k]++;
    n->refused[k] += outcome == FLIP_REFUSED;
    n->same[k] += outcome == FLIP_SAME;
    n->wrong[k] += outcome == FLIP_WRONG;
    if (outcome == FLIP_WRONG && n->shown++ < 5) {
        printf("# byte %zu bit %zu (class %c): %s\n", bit / 8, bit % 8, cls, why);
    }
}

/* One line a class; false when something was wrong, or (whole run, class must occur) nothing was
 * tried. */
static inline bool flip_report(const struct flip_count *n, const char *suite, const char *name)
{
    bool good = true;
    for (unsigned k = 0; k < 3; k++) {
        if (n->bytes[k] == 0) {
            printf("# %s.%s has no byte of class %c\n", suite, name, "abc"[k]);
            continue;
        }
        const bool ok = n->wrong[k] == 0 && n->tried[k] > 0;
        printf("%s %s.%s.flips_%c\n# %lu flips: %lu refused, %lu without effect on the claims, %lu "
               "wrong\n",
               ok ? "ok" : "not ok", suite, name, "abc"[k], n -> tried[k], n -> refused[k],
               n -> same[k], n -> wrong[k]);
        good = good && ok;
    }
    printf("counts a=%lu b=%lu c=%lu\n", n->tried[0], n->tried[1], n->tried[2]);
    return good;
}

#endif
