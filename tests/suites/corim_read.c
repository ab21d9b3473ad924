/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/corim_read - one CoRIM, one CoMID by itself, or one attestation result through our readers.
 *
 * usage: corim_read corim|comid|ear FILE
 * Prints "ERROR" (a name of base/result.h), then for each reference value a line
 * "vendor|model|key|name|svn|secure|alg:hex,...": for scripts/suites/corim and ear. Exit 2 on usage. */
#include "codec/corim.h"
#include "codec/ear.h"

#include <stdio.h>
#include <string.h>

static uint8_t room[1u << 20];

static void print_text(bp_span s)
{
    printf("%.*s|", (int)s.n, (const char *)s.p);
}

static void print_ref(const struct bp_corim_ref *ref)
{
    print_text(ref->vendor);
    print_text(ref->model);
    print_text(ref->mkey);
    print_text(ref->name);
    if (ref->has_svn) {
        printf("%llu", (unsigned long long)ref->svn);
    }
    printf("|%s|", !ref->has_secure ? "" : ref->secure ? "yes" : "no");
    for (uint32_t i = 0; i < ref->digests; i++) {
        printf("%s%llu:", i == 0 ? "" : ",", (unsigned long long)ref->digest[i].alg);
        for (size_t k = 0; k < ref->digest[i].digest.n; k++) {
            printf("%02x", ref->digest[i].digest.p[k]);
        }
    }
    printf("\n");
}

/* The first pass only asks whether everything can be read, so that a refusal prints no values. */
static bp_result walk(bp_span comid, bool is_shown)
{
    struct bp_corim_iter it;
    struct bp_corim_ref ref;
    BP_TRY(bp_corim_open(comid, &it));
    bp_result r = bp_corim_next(&it, &ref);
    for (; !bp_failed(r); r = bp_corim_next(&it, &ref)) {
        if (is_shown) {
            print_ref(&ref);
        }
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

static bp_result walk_all(const struct bp_corim *corim, bool is_shown)
{
    for (uint32_t i = 0; i < corim->comids; i++) {
        BP_TRY(walk(corim->comid[i], is_shown));
    }
    return BP_OK;
}

int main(int argc, char **argv)
{
    static struct bp_corim corim;
    FILE *in = argc == 3 ? fopen(argv[2], "rbe") : NULL;
    if (in == NULL) {
        fprintf(stderr, "usage: corim_read corim|comid|ear FILE\n");
        return 2;
    }
    const bp_span bytes = bp_span_of(room, fread(room, 1, sizeof room, in));
    (void)fclose(in);
    if (strcmp(argv[1], "ear") == 0) {
        printf("%s\n", bp_error_name(bp_error_of(bp_ear_check(bytes))));
        return 0;
    }
    bp_result r = BP_OK;
    if (strcmp(argv[1], "corim") == 0) {
        r = bp_corim_read(bytes, &corim);
    } else {
        corim.comids = 1;
        corim.comid[0] = bytes;
    }
    r = bp_failed(r) ? r : walk_all(&corim, false);
    printf("%s\n", bp_error_name(bp_error_of(r)));
    if (!bp_failed(r)) {
        BP_IGNORE(walk_all(&corim, true), "it was walked before");
    }
    return 0;
}
