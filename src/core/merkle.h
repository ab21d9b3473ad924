/* SPDX-License-Identifier: Apache-2.0 */
/* core/merkle - the append-only Merkle tree of RFC 9162 section 2.1 with SHA-256, over 32-byte leaf hashes.
 *
 * The writer keeps only the frontier (struct bp_merkle, 2 KiB of the caller's); whoever keeps the inner nodes gives
 * them to the proof makers through a callback. It stores nothing itself and does not know what a leaf means. */
#ifndef BP_CORE_MERKLE_H
#define BP_CORE_MERKLE_H

#include "port/crypto.h"

#define BP_MERKLE_LEVELS    64u
#define BP_MERKLE_MAX_PROOF 65u /* hashes of the longest consistency proof */

/* peak[i] is the root of a complete subtree of 2^i leaves and holds a value where bit i of size is set. */
struct bp_merkle {
    uint64_t size;
    uint8_t peak[BP_MERKLE_LEVELS][BP_SHA256_SIZE];
};

/* Hash of one entry: SHA-256(00 || entry). */
BP_MUST_CHECK bp_result bp_merkle_leaf(struct bp_crypto *c, bp_span entry, uint8_t ret[BP_SHA256_SIZE]);
/* Hash of two children: SHA-256(01 || left || right). ret may be one of them. */
BP_MUST_CHECK bp_result bp_merkle_node(struct bp_crypto *c, const uint8_t left[BP_SHA256_SIZE],
                                       const uint8_t right[BP_SHA256_SIZE], uint8_t ret[BP_SHA256_SIZE]);

void bp_merkle_init(struct bp_merkle *m);
/* Adds a leaf hash. CRYPTO, or LIMIT at 2^64-1 leaves; then the tree is as before. */
BP_MUST_CHECK bp_result bp_merkle_append(struct bp_crypto *c, struct bp_merkle *m,
                                         const uint8_t leaf[BP_SHA256_SIZE]);
/* Root of the tree; of the empty tree SHA-256 of nothing. */
BP_MUST_CHECK bp_result bp_merkle_root(struct bp_crypto *c, const struct bp_merkle *m, uint8_t ret[BP_SHA256_SIZE]);

/* Verifies that leaf stands at index in the tree of that size and root (section 2.1.3.2). proof: hashes of 32 bytes.
 *   MISMATCH  it does not      MALFORMED  the proof's length cannot be right      BAD_ARGUMENT  index >= size */
BP_MUST_CHECK bp_result bp_merkle_verify_inclusion(struct bp_crypto *c, uint64_t index, uint64_t size,
                                                   const uint8_t leaf[BP_SHA256_SIZE], bp_span proof,
                                                   const uint8_t root[BP_SHA256_SIZE]);
/* Verifies that the tree of `second` leaves begins with the tree of `first` (section 2.1.4.2). Anything is
 * consistent with the empty tree.
 *   MISMATCH, MALFORMED as above      BAD_ARGUMENT  first > second */
BP_MUST_CHECK bp_result bp_merkle_verify_consistency(struct bp_crypto *c, uint64_t first, uint64_t second,
                                                     const uint8_t first_root[BP_SHA256_SIZE],
                                                     const uint8_t second_root[BP_SHA256_SIZE], bp_span proof);

/* Gives hashes of complete subtrees: the 2^level leaves from index * 2^level on. With C2SP tiles that is hash
 * (index % 256) of tile (level / 8, index / 256) when level is a multiple of 8. */
struct bp_merkle_nodes {
    void *self;
    bp_result (*node)(void *self, unsigned level, uint64_t index, uint8_t ret[BP_SHA256_SIZE]);
};

/* Makes the proofs, in ret of BP_MERKLE_MAX_PROOF * 32 bytes; *ret_n in bytes. Fails as the callback does.
 *   BAD_ARGUMENT  index >= size; first > second */
BP_MUST_CHECK bp_result bp_merkle_prove_inclusion(struct bp_crypto *c, const struct bp_merkle_nodes *nodes,
                                                  uint64_t index, uint64_t size, uint8_t *ret, size_t *ret_n);
BP_MUST_CHECK bp_result bp_merkle_prove_consistency(struct bp_crypto *c, const struct bp_merkle_nodes *nodes,
                                                    uint64_t first, uint64_t second, uint8_t *ret, size_t *ret_n);
/* Root of the first `size` leaves, from the nodes. */
BP_MUST_CHECK bp_result bp_merkle_root_of(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, uint64_t size,
                                          uint8_t ret[BP_SHA256_SIZE]);

#endif
