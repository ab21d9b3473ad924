/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/replay_main - runs a fuzz target over its corpus in ordinary builds, and over mutations of it from a
 * fixed seed: PROGRAM CORPUS-DIR. A property that fails ends the process by a trap, as under the fuzzer.
 * Prints "ok fuzz.NAME.corpus"; a corpus without files fails. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE   (1u << 20)
#define MUTATIONS  200u
#define MAX_PREFIX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;

static size_t pick(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % below);
}

/* A copy of exactly the right size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static size_t run_mutations(uint8_t *data, size_t n)
{
    size_t cases = 0;
    for (size_t cut = 0; cut < n && cut < MAX_PREFIX; cut++, cases++) {
        run(data, cut);
    }
    for (size_t i = 0; n > 0 && i < MUTATIONS; i++, cases++) {
        const size_t at = pick(n);
        const uint8_t old = data[at];
        data[at] = (uint8_t)(i % 2 == 0 ? old ^ (1u << pick(8)) : pick(256));
        run(data, n);
        data[at] = old;
    }
    return cases;
}

static size_t run_file(const char *dir, const char *name, uint8_t *data)
{
    char path[4096];
    const int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return 0;
    }
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return 0;
    }
    const size_t n = fread(data, 1, MAX_FILE, f);
    (void)fclose(f);
    /* Each file begins anew: in which order a folder lists its files must not choose the cases. */
    state = 0x9e3779b97f4a7c15u;
    run(data, n);
    return 1 + run_mutations(data, n);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-DIR\n", argv[0]);
        return 2;
    }
    const char *slash = strrchr(argv[1], '/');
    const char *name = slash == NULL ? argv[1] : slash + 1;
    uint8_t *data = malloc(MAX_FILE);
    DIR *dir = opendir(argv[1]);
    size_t files = 0;
    size_t cases = 0;
    if (data == NULL || dir == NULL) {
        printf("not ok fuzz.%s.corpus: cannot open %s\n", name, argv[1]);
        return 1;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            const size_t n = run_file(argv[1], e->d_name, data);
            files += n > 0 ? 1 : 0;
            cases += n;
        }
    }
    (void)closedir(dir);
    free(data);
    if (files == 0) {
        printf("not ok fuzz.%s.corpus: it has no files\n", name);
        return 1;
    }
    printf("# fuzz.%s: %zu files, %zu inputs\n", name, files, cases);
    printf("ok fuzz.%s.corpus\n", name);
    return 0;
}
