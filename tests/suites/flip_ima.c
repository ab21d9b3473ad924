/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/flip_ima - one IMA list: parses, replays to the reference's PCR 10 in both banks,
 * and every flipped bit is found at its entry.
 *
 * usage: flip_ima NAME LIST REFERENCE STRIDE
 * The walk is resumed from a bookmark before the entry that holds the bit. STRIDE > 1 tries every
 * STRIDE-th bit. */
#include "core/replay.h"
#include "core/tpmalg.h"
#include "flip.h"

#define ENTRIES 65536u

struct mark {
    size_t at;
    struct bp_ima_point point;
};

static struct {
    struct flip_file list, map;
    uint8_t sha1[BP_HASH_MAX], sha256[BP_HASH_MAX];
    struct mark mark[ENTRIES + 1];
    uint32_t entries;
    FILE *ref;
} t;

static bp_span list(void)
{
    return bp_span_of(t.list.p, t.list.n);
}

static bool load_reference(const char *base)
{
    char path[4096], hex[2 * BP_HASH_MAX + 1];
    (void)snprintf(path, sizeof path, "%s.map", base);
    t.map = flip_load(path);
    (void)snprintf(path, sizeof path, "%s.ref", base);
    t.ref = fopen(path, "re");
    return t.ref != NULL && fscanf(t.ref, "pcr sha1 %128s\n", hex) == 1 &&
           flip_unhex(hex, t.sha1, 20) == 20 && fscanf(t.ref, "pcr sha256 %128s\n", hex) == 1 &&
           flip_unhex(hex, t.sha256, 32) == 32 && t.map.n == t.list.n;
}

/* The entry is what the reference reader saw. */
static bool agrees(const struct bp_ima_entry *e)
{
    static char digest[64], alg[32], file[160], path[2 * BP_IMA_PATH_MAX + 16];
    static uint8_t bytes[BP_IMA_PATH_MAX + 1];
    if (fscanf(t.ref, "entry %63s %31s %159s %8207s\n", digest, alg, file, path) != 4) {
        return false;
    }
    const size_t n = flip_unhex(digest, bytes, sizeof bytes);
    const bool same_digest = bp_span_equal(e->template_digest, bp_span_of(bytes, n));
    const size_t m = flip_unhex(file, bytes, sizeof bytes);
    const bool same_file = bp_span_equal(e->file_digest, bp_span_of(bytes, m));
    const size_t k = path[0] == '-' ? 0 : flip_unhex(path, bytes, sizeof bytes);
    return same_digest && same_file && bp_span_equal(e->path, bp_span_of(bytes, k));
}

static bool walk(const char *name)
{
    struct bp_ima ima = bp_ima_open(list(), 0);
    struct bp_ima_point point = bp_ima_point_zero();
    struct bp_ima_entry e;
    bp_result r = BP_OK;
    bool same = true;
    while (t.entries < ENTRIES) {
        t.mark[t.entries] = (struct mark){ima.at, point};
        r = bp_ima_next(&ima, &e);
        r = bp_failed(r) ? r : bp_ima_extend(NULL, BP_HASH_SHA256, &point, &e);
        if (bp_failed(r)) {
            break;
        }
        same = same && agrees(&e);
        t.entries++;
    }
    const bool parsed = bp_is(r, BP_E_NOT_FOUND) && t.entries > 0 && same;
    printf("%s ima.%s.parses\n# %u entries, %s\n", parsed ? "ok" : "not ok", name, t.entries,
           same ? bp_error_name(bp_error_of(r)) : "the reference reader sees other entries");
    struct bp_ima_match m1, m256;
    const struct bp_ima_point zero = bp_ima_point_zero();
    const bool replayed =
        !bp_failed(bp_ima_replay(NULL, BP_HASH_SHA1, &zero, list(), bp_span_of(t.sha1, 20), &m1)) &&
        !bp_failed(
            bp_ima_replay(NULL, BP_HASH_SHA256, &zero, list(), bp_span_of(t.sha256, 32), &m256)) &&
        m1.entries == t.entries && m256.entries == t.entries;
    printf("%s ima.%s.replays\n", replayed ? "ok" : "not ok", name);
    return parsed && replayed;
}

/* A delta that begins anywhere replays from the point before it. */
static bool deltas(const char *name)
{
    bool good = true;
    for (uint32_t i = 0; i <= t.entries; i += t.entries / 16 + 1) {
        struct bp_ima_match m;
        const size_t at = t.mark[i].at;
        good = good &&
               !bp_failed(bp_ima_replay(NULL, BP_HASH_SHA256, &t.mark[i].point,
                                        bp_span_of(t.list.p + at, t.list.n - at),
                                        bp_span_of(t.sha256, 32), &m)) &&
               m.point.count == t.entries;
    }
    printf("%s ima.%s.deltas\n", good ? "ok" : "not ok", name);
    return good;
}

/* 0: nothing found; 1: refused, *ret_named is the entry. */
static bool is_refused(uint32_t i, uint32_t *ret_named)
{
    struct bp_ima_match m;
    const size_t at = t.mark[i].at;
    const bp_result r =
        bp_ima_replay(NULL, BP_HASH_SHA256, &t.mark[i].point,
                      bp_span_of(t.list.p + at, t.list.n - at), bp_span_of(t.sha256, 32), &m);
    if (bp_failed(r)) {
        *ret_named = m.bad_index;
    }
    return bp_failed(r);
}

int main(int argc, char **argv)
{
    const size_t stride = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (stride == 0) {
        fprintf(stderr, "usage: flip_ima NAME LIST REFERENCE STRIDE\n");
        return 2;
    }
    t.list = flip_load(argv[2]);
    if (!load_reference(argv[3])) {
        printf("not ok ima.%s.reference: incomplete\n", argv[1]);
        return 1;
    }
    if (!walk(argv[1]) || !deltas(argv[1])) {
        return 1;
    }
    struct flip_count n = {0};
    flip_count_bytes(&n, &t.map);
    uint32_t i = 0;
    for (size_t bit = 0; bit < 8 * t.list.n; bit += stride) {
        while (i + 1 < t.entries && bit / 8 >= t.mark[i + 1].at) {
            i++;
        }
        uint32_t named = UINT32_MAX;
        t.list.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        const bool refused = is_refused(i, &named);
        t.list.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        flip_add(&n, (char)t.map.p[bit / 8], refused && named == i ? FLIP_REFUSED : FLIP_WRONG, bit,
                 "accepted, or another entry named");
    }
    const bool good = flip_report(&n, "ima", argv[1]);
    free(t.list.p);
    free(t.map.p);
    fclose(t.ref);
    return good ? 0 : 1;
}
