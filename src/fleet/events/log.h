/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/events/log - the append-only log: events inside the keeper's groups, the Merkle tree over
 * them, proofs, tiles.
 *
 * Leaf = SHA-256(0x00 || SHA-256(event bytes)); node = SHA-256(0x01 || left || right) (RFC 9162
 * section 2.1). The hash of every complete subtree is stored once, in the order in which subtrees
 * are completed, so that the frontier, any proof and any tile are read back in O(log n) rows:
 * nothing of the tree lives in memory but its size. The caller owns struct bp_log; it holds no
 * bytes of its own. Heads are signed by the log signer, not here. */
#ifndef BP_FLEET_EVENTS_LOG_H
#define BP_FLEET_EVENTS_LOG_H

#include "codec/event.h"
#include "core/merkle.h"
#include "fleet/store/store.h"
#include "port/crypto.h"

#define BP_LOG_TILE 256u /* hashes of a full tile (C2SP tlog-tiles, height 8) */

struct bp_log {
    bp_store *store;
    struct bp_crypto *crypto;
    uint64_t size; /* events so far, those of the open group included */
    /* Called for each event as it is appended, inside the group; may be NULL. What it keeps it must
     * drop when the act is taken back. */
    void (*appended)(void *self, const struct bp_event *e, const struct bp_place *place);
    void *self;
};

/* Reads the size from the store. */
BP_MUST_CHECK bp_result bp_log_open(struct bp_log *log, bp_store *store, struct bp_crypto *crypto);

/* Appends inside the open group: number, source number and tree are filled in; e->number and
 * e->source_number are ignored. `device` is the row number (0: none), `place` may be NULL. LIMIT,
 * MALFORMED  as bp_event_write */
BP_MUST_CHECK bp_result bp_log_append(struct bp_log *log, const struct bp_event *e, int64_t device,
                                      const struct bp_place *place, uint64_t *ret_number);

/* Writes down the size in the store; before the end of each act that appended. */
BP_MUST_CHECK bp_result bp_log_flush(struct bp_log *log);

/* After an act was taken back or a group was lost: reads the size again. */
BP_MUST_CHECK bp_result bp_log_reload(struct bp_log *log);

/* Leaf hash of an event's bytes, and the leaf stored at an index. */
BP_MUST_CHECK bp_result bp_log_leaf(struct bp_crypto *c, bp_span event, uint8_t ret[32]);
BP_MUST_CHECK bp_result bp_log_leaf_at(bp_store *s, uint64_t index, uint8_t ret[32]);

/* Root of the first `size` leaves; size 0 is the hash of nothing. LIMIT: more than are stored. */
BP_MUST_CHECK bp_result bp_log_root(bp_store *s, struct bp_crypto *c, uint64_t size,
                                    uint8_t ret[32]);

/* The frontier of the first `size` leaves: what a signer goes on from. LIMIT: more than are stored. */
BP_MUST_CHECK bp_result bp_log_frontier(bp_store *s, uint64_t size, struct bp_merkle *ret);

/* RFC 9162 section 2.1.3 and 2.1.4 proofs, into ret of BP_MERKLE_MAX_PROOF * 32 bytes; *ret_n in
 * bytes.   LIMIT  index >= size, from > to, or more than are stored */
BP_MUST_CHECK bp_result bp_log_inclusion(bp_store *s, struct bp_crypto *c, uint64_t index,
                                         uint64_t size, uint8_t *ret, size_t *ret_n);
BP_MUST_CHECK bp_result bp_log_consistency(bp_store *s, struct bp_crypto *c, uint64_t from,
                                           uint64_t to, uint8_t *ret, size_t *ret_n);

/* Hashes [256 * n, 256 * n + width) of tile level `level` (each the root of 256^level leaves). */
BP_MUST_CHECK bp_result bp_log_tile(bp_store *s, uint8_t level, uint64_t n, unsigned width,
                                    uint8_t (*ret)[32]);

/* Writes the C2SP tlog-tiles files (tile/L/N, partial ones as tile/L/N.p/W) and `checkpoint` under
 * the directory `dir` for the signed size, from where it stopped last. Files are put in place by
 * rename; whatever a crash left is written again. Call between groups; it runs a small group of its
 * own. IO, FULL  a file was not written; the next call repeats it */
BP_MUST_CHECK bp_result bp_log_write_tiles(bp_store *s, int dir);

#endif
