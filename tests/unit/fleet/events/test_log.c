/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/events/test_log - events become leaves, proofs hold against a tree computed in the plain way, bodies can
 * be erased, tiles hold what C2SP says. */
#include "unit/fleet/registry/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "harness.h"

static struct fx f;

static bool append(unsigned n, uint64_t *number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "reason %u", n);
    const struct bp_event e = {.time_ms = 1000 + n,
                               .type = BP_EV_VERDICT,
                               .source = BP_SPAN_STR("keeper"),
                               .detail_count = 1,
                               .detail = {{BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(text)}}};
    return !bp_failed(bp_log_append(&f.log, &e, 0, NULL, number));
}

static bool grow(unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!append((unsigned)f.log.size, &number)) {
            return false;
        }
    }
    return !bp_failed(bp_log_flush(&f.log));
}

/* MTH of RFC 9162 section 2.1.1, as it is written there. */
static void plain_root(uint64_t from, uint64_t n, uint8_t ret[32])
{
    if (n == 1) {
        BP_CHECK(!bp_failed(bp_log_leaf_at(f.store, from, ret)));
        return;
    }
    uint8_t left[32], right[32];
    uint64_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    plain_root(from, k, left);
    plain_root(from + k, n - k, right);
    BP_CHECK(!bp_failed(bp_merkle_node(f.crypto, left, right, ret)));
}

BP_CASE(roots_and_proofs_of_every_size)
{
    uint8_t root[32], want[32], leaf[32], proof[BP_MERKLE_MAX_PROOF * 32], old[32];
    size_t n = 0;
    BP_NEED(fx_new(&f) && grow(70));
    for (uint64_t size = 1; size <= 70; size++) {
        struct bp_merkle frontier;
        BP_CHECK(!bp_failed(bp_log_root(f.store, f.crypto, size, root)));
        BP_CHECK(!bp_failed(bp_log_frontier(f.store, size, &frontier)) && frontier.size == size &&
                 !bp_failed(bp_merkle_root(f.crypto, &frontier, want)) && memcmp(root, want, 32) == 0);
        plain_root(0, size, want);
        BP_CHECK(memcmp(root, want, 32) == 0);
        for (uint64_t i = 0; i < size; i += 3) {
            BP_CHECK(!bp_failed(bp_log_leaf_at(f.store, i, leaf)));
            BP_CHECK(!bp_failed(bp_log_inclusion(f.store, f.crypto, i, size, proof, &n)));
            BP_CHECK(!bp_failed(bp_merkle_verify_inclusion(f.crypto, i, size, leaf, bp_span_of(proof, n), root)));
        }
        for (uint64_t from = 1; from <= size; from += 7) {
            BP_CHECK(!bp_failed(bp_log_root(f.store, f.crypto, from, old)));
            BP_CHECK(!bp_failed(bp_log_consistency(f.store, f.crypto, from, size, proof, &n)));
            BP_CHECK(!bp_failed(
                bp_merkle_verify_consistency(f.crypto, from, size, old, root, bp_span_of(proof, n))));
        }
    }
    BP_CHECK(bp_is(bp_log_inclusion(f.store, f.crypto, 70, 70, proof, &n), BP_E_LIMIT));
    BP_CHECK(bp_is(bp_log_root(f.store, f.crypto, 71, root), BP_E_LIMIT));
    fx_end(&f);
}

BP_CASE(events_are_numbered_over_the_log_and_per_source)
{
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[32];
    struct bp_event e;
    uint64_t first = 0;
    BP_NEED(fx_new(&f) && grow(5));
    for (uint64_t i = 0; i < 5; i++) {
        BP_NEED(!bp_failed(bp_store_event(f.store, i, &body, digest)) && !bp_failed(bp_event_read(body, &e)));
        first = i == 0 ? e.source_number : first;
        BP_CHECK(e.number == i && e.source_number == first + i);
    }
    fx_end(&f);
}

BP_CASE(an_erased_body_leaves_every_proof)
{
    uint8_t before[32], after[32], digest[32], kept[32];
    bp_span body = BP_SPAN_EMPTY;
    BP_NEED(fx_new(&f) && grow(9));
    BP_CHECK(!bp_failed(bp_log_root(f.store, f.crypto, 9, before)));
    BP_CHECK(!bp_failed(bp_store_event(f.store, 4, &body, digest)) && body.n > 0);
    BP_CHECK(!bp_failed(bp_store_event_erase(f.store, 4)));
    BP_CHECK(!bp_failed(bp_store_event(f.store, 4, &body, kept)) && body.n == 0 && memcmp(digest, kept, 32) == 0);
    BP_CHECK(!bp_failed(bp_log_root(f.store, f.crypto, 9, after)) && memcmp(before, after, 32) == 0);
    fx_end(&f);
}

BP_CASE(an_act_taken_back_takes_its_events_along)
{
    uint64_t number = 0;
    uint8_t root[32], again[32];
    BP_NEED(fx_new(&f) && grow(3));
    BP_CHECK(!bp_failed(bp_log_root(f.store, f.crypto, 3, root)));
    BP_CHECK(!bp_failed(bp_store_act(f.store)) && append(3, &number) && number == 3);
    BP_CHECK(!bp_failed(bp_store_act_end(f.store, false)) && !bp_failed(bp_log_reload(&f.log)) && f.log.size == 3);
    BP_CHECK(append(3, &number) && number == 3 && !bp_failed(bp_log_root(f.store, f.crypto, 3, again)) &&
             memcmp(root, again, 32) == 0);
    fx_end(&f);
}

static bool is_tile(int dir, const char *path, uint64_t first, size_t count)
{
    uint8_t got[BP_LOG_TILE * 32 + 1], leaf[32];
    const int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t n = read(fd, got, sizeof got);
    (void)close(fd);
    bool same = n == (ssize_t)(count * 32);
    for (size_t i = 0; same && i < count; i++) {
        same = !bp_failed(bp_log_leaf_at(f.store, first + i, leaf)) && memcmp(got + i * 32, leaf, 32) == 0;
    }
    return same;
}

static void remove_below(int dir)
{
    const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        if (unlinkat(dir, e->d_name, 0) != 0) {
            const int below = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (below >= 0) {
                remove_below(below);
                (void)close(below);
            }
            (void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

BP_CASE(tiles_hold_the_leaves_and_are_written_once)
{
    char tiles[] = "/tmp/bp-tiles-XXXXXX";
    BP_NEED(fx_new(&f) && mkdtemp(tiles) != NULL && grow(600));
    const int dir = open(tiles, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BP_NEED(dir >= 0);
    BP_CHECK(!bp_failed(bp_store_tree_signed(f.store, 600, BP_SPAN_STR("a checkpoint\n"))));
    BP_CHECK(!bp_failed(bp_store_commit(f.store)));
    BP_CHECK(!bp_failed(bp_log_write_tiles(f.store, dir)));
    BP_CHECK(is_tile(dir, "tile/0/000", 0, 256) && is_tile(dir, "tile/0/001", 256, 256));
    BP_CHECK(is_tile(dir, "tile/0/002.p/88", 512, 88));
    struct stat st;
    BP_CHECK(fstatat(dir, "tile/1/000.p/2", &st, 0) == 0 && st.st_size == 64);
    BP_CHECK(fstatat(dir, "checkpoint", &st, 0) == 0 && st.st_size == 13);
    remove_below(dir);
    (void)close(dir);
    (void)rmdir(tiles);
    fx_end(&f);
}

BP_SUITE(log, BP_RUN(roots_and_proofs_of_every_size) BP_RUN(events_are_numbered_over_the_log_and_per_source)
    BP_RUN(an_erased_body_leaves_every_proof) BP_RUN(an_act_taken_back_takes_its_events_along)
    BP_RUN(tiles_hold_the_leaves_and_are_written_once))
