/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/events/log - appending, and the tree's proofs from the stored hashes.
 *
 * Stored hashes are numbered in the order in which subtrees are completed: leaf 0, leaf 1, node
 * (1,0), leaf 2, ... node (level, n) covers leaves [n << level, (n + 1) << level). */
#include "fleet/events/log.h"

#include "fleet/store/crash.h"

#define BP_MODULE EVENTS

/* Number under which the hash of node (level, n) is stored: its last leaf is leaf m = ((n + 1) <<
 * level) - 1; before leaf m there are m leaves and, for each level, m >> level completed nodes; the
 * nodes that leaf m completes follow it level by level. */
static uint64_t stored_at(unsigned level, uint64_t n)
{
    uint64_t m = ((n + 1) << level) - 1;
    uint64_t at = level;
    for (; m > 0; m >>= 1) {
        at += m;
    }
    return at;
}

bp_result bp_log_leaf(struct bp_crypto *c, bp_span event, uint8_t ret[32])
{
    uint8_t digest[32];
    BP_TRY(bp_hash(c, BP_HASH_SHA256, event, digest));
    return bp_merkle_leaf(c, BP_SPAN_OF(digest), ret);
}

bp_result bp_log_leaf_at(bp_store *s, uint64_t index, uint8_t ret[32])
{
    return bp_store_hash(s, stored_at(0, index), ret);
}

bp_result bp_log_reload(struct bp_log *log)
{
    struct bp_tree_row t = {0};
    BP_TRY(bp_store_tree(log->store, &t));
    log->size = t.size;
    return BP_OK;
}

bp_result bp_log_open(struct bp_log *log, bp_store *store, struct bp_crypto *crypto)
{
    *log = (struct bp_log){.store = store, .crypto = crypto};
    return bp_log_reload(log);
}

bp_result bp_log_flush(struct bp_log *log)
{
    return bp_store_tree_grow(log->store, log->size);
}

/* Stores leaf n and every node that it completes. */
static bp_result grow(struct bp_log *log, uint64_t n, const uint8_t digest[32])
{
    uint8_t hash[32];
    BP_TRY(bp_merkle_leaf(log->crypto, bp_span_of(digest, 32), hash));
    uint64_t at = stored_at(0, n);
    BP_TRY(bp_store_hash_add(log->store, at, hash));
    for (unsigned level = 0; ((n >> level) & 1) == 1; level++) {
        uint8_t left[32];
        BP_TRY(bp_store_hash(log->store, stored_at(level, (n >> level) - 1), left));
        BP_TRY(bp_merkle_node(log->crypto, left, hash, hash));
        at++;
        BP_TRY(bp_store_hash_add(log->store, at, hash));
    }
    return BP_OK;
}

bp_result bp_log_append(struct bp_log *log, const struct bp_event *e, int64_t device,
                        const struct bp_place *place, uint64_t *ret_number)
{
    uint8_t bytes[BP_EVENT_MAX];
    size_t n = 0;
    struct bp_event numbered = *e;
    struct bp_event_row_in row = {.number = log->size,
                                  .at_ms = e->time_ms,
                                  .type = (uint32_t)e->type,
                                  .severity = (uint8_t)bp_event_row(e->type).severity,
                                  .device = device};
    numbered.number = log->size;
    BP_TRY(bp_store_source_next(log->store, e->source, &numbered.source_number));
    BP_TRY(bp_event_write(&numbered, bytes, sizeof bytes, &n));
    row.body = bp_span_of(bytes, n);
    if (place != NULL) {
        row.place = *place;
    }
    BP_TRY(bp_hash(log->crypto, BP_HASH_SHA256, row.body, row.digest));
    BP_TRY(bp_store_event_add(log->store, &row));
    BP_CRASH("log.event-without-tree");
    BP_TRY(grow(log, log->size, row.digest));
    BP_CRASH("log.after-append");
    log->size++;
    if (log->appended != NULL) {
        log->appended(log->self, &numbered, place);
    }
    *ret_number = numbered.number;
    return BP_OK;
}

/* -- proofs ------------------------------------------------------------------------------------ */
static bp_result read_node(void *self, unsigned level, uint64_t index, uint8_t ret[32])
{
    return bp_store_hash(self, stored_at(level, index), ret);
}

static bp_result within(bp_store *s, uint64_t size)
{
    struct bp_tree_row t = {0};
    BP_TRY(bp_store_tree(s, &t));
    return size <= t.size ? BP_OK : BP_FAIL(LIMIT);
}

bp_result bp_log_root(bp_store *s, struct bp_crypto *c, uint64_t size, uint8_t ret[32])
{
    const struct bp_merkle_nodes nodes = {s, read_node};
    BP_TRY(within(s, size));
    return bp_merkle_root_of(c, &nodes, size, ret);
}

bp_result bp_log_frontier(bp_store *s, uint64_t size, struct bp_merkle *ret)
{
    BP_TRY(within(s, size));
    bp_merkle_init(ret);
    for (unsigned level = 0; level < BP_MERKLE_LEVELS; level++) {
        if ((size >> level & 1u) != 0) {
            BP_TRY(bp_store_hash(s, stored_at(level, (size >> level) - 1), ret->peak[level]));
        }
    }
    ret->size = size;
    return BP_OK;
}

bp_result bp_log_inclusion(bp_store *s, struct bp_crypto *c, uint64_t index, uint64_t size,
                           uint8_t *ret, size_t *ret_n)
{
    const struct bp_merkle_nodes nodes = {s, read_node};
    BP_TRY(within(s, size));
    if (index >= size) {
        return BP_FAIL(LIMIT);
    }
    return bp_merkle_prove_inclusion(c, &nodes, index, size, ret, ret_n);
}

bp_result bp_log_consistency(bp_store *s, struct bp_crypto *c, uint64_t from, uint64_t to,
                             uint8_t *ret, size_t *ret_n)
{
    const struct bp_merkle_nodes nodes = {s, read_node};
    BP_TRY(within(s, to));
    if (from > to) {
        return BP_FAIL(LIMIT);
    }
    return bp_merkle_prove_consistency(c, &nodes, from, to, ret, ret_n);
}

bp_result bp_log_tile(bp_store *s, uint8_t level, uint64_t n, unsigned width, uint8_t (*ret)[32])
{
    if (level > 7 || width > BP_LOG_TILE) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    for (unsigned i = 0; i < width; i++) {
        BP_TRY(bp_store_hash(s, stored_at(8u * level, n * BP_LOG_TILE + i), ret[i]));
    }
    return BP_OK;
}
