/* SPDX-License-Identifier: Apache-2.0 */
/* core/merkle - append-only Merkle tree, RFC 9162 section 2.1. */
#include "core/merkle.h"

#include "base/buf.h"

#define BP_MODULE CORE

#define N BP_SHA256_SIZE

bp_result bp_merkle_leaf(struct bp_crypto *c, bp_span entry, uint8_t ret[N])
{
    const bp_span parts[2] = {BP_SPAN_STR("\x00"), entry};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 2, ret);
}

bp_result bp_merkle_node(struct bp_crypto *c, const uint8_t left[N], const uint8_t right[N], uint8_t ret[N])
{
    const bp_span parts[3] = {BP_SPAN_STR("\x01"), bp_span_of(left, N), bp_span_of(right, N)};
    uint8_t h[N];
    BP_TRY(bp_hash_parts(c, BP_HASH_SHA256, parts, 3, h));
    memcpy(ret, h, N);
    return BP_OK;
}

void bp_merkle_init(struct bp_merkle *m)
{
    memset(m, 0, sizeof *m);
}

bp_result bp_merkle_append(struct bp_crypto *c, struct bp_merkle *m, const uint8_t leaf[N])
{
    if (m->size == UINT64_MAX) {
        return BP_FAIL(LIMIT);
    }
    /* As in adding one: every trailing one bit is a peak that the new leaf completes. */
    uint8_t h[N];
    memcpy(h, leaf, N);
    unsigned level = 0;
    while (((m->size >> level) & 1u) != 0) {
        BP_TRY(bp_merkle_node(c, m->peak[level], h, h));
        level++;
    }
    memcpy(m->peak[level], h, N);
    m->size++;
    return BP_OK;
}

/* Root of `size` leaves that begin at leaf number `start`, which is a multiple of a power of two >= size. */
static bp_result range_root(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, uint64_t start, uint64_t size,
                            uint8_t ret[N])
{
    if (size == 0) {
        return bp_hash(c, BP_HASH_SHA256, BP_SPAN_EMPTY, ret);
    }
    uint8_t h[N];
    bool have = false;
    for (unsigned level = 0; level < BP_MERKLE_LEVELS && (size >> level) != 0; level++) {
        if (((size >> level) & 1u) == 0) {
            continue;
        }
        /* The complete subtree of this bit begins after those of all higher bits. */
        const uint64_t index = (start >> level) + (size >> level) - 1;
        uint8_t peak[N];
        BP_TRY(nodes->node(nodes->self, level, index, peak));
        if (have) {
            BP_TRY(bp_merkle_node(c, peak, h, h));
        } else {
            memcpy(h, peak, N);
            have = true;
        }
    }
    memcpy(ret, h, N);
    return BP_OK;
}

/* The frontier as a source of nodes: it knows the peaks only, which is all that the root needs. */
static bp_result frontier_node(void *self, unsigned level, uint64_t index, uint8_t ret[N])
{
    const struct bp_merkle *m = self;
    (void)index;
    memcpy(ret, m->peak[level], N);
    return BP_OK;
}

bp_result bp_merkle_root(struct bp_crypto *c, const struct bp_merkle *m, uint8_t ret[N])
{
    union { /* the callback's self is not const; frontier_node only reads */
        const struct bp_merkle *in;
        void *self;
    } u = {.in = m};
    const struct bp_merkle_nodes nodes = {u.self, frontier_node};
    return range_root(c, &nodes, 0, m->size, ret);
}

bp_result bp_merkle_root_of(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, uint64_t size, uint8_t ret[N])
{
    return range_root(c, nodes, 0, size, ret);
}

/* Both algorithms of the RFC walk two node numbers, fn (ours) and sn (the last of the level), up to the root. */
struct climb {
    uint64_t fn, sn;
};

static void up(struct climb *p)
{
    p->fn >>= 1;
    p->sn >>= 1;
}

static bool is_right(const struct climb *p)
{
    return (p->fn & 1u) != 0 || p->fn == p->sn;
}

/* Passes the levels at which the node has no sibling because it is the last one (step b of the RFC). */
static void pass_lone_levels(struct climb *p)
{
    while ((p->fn & 1u) == 0 && p->fn != 0) {
        up(p);
    }
}

bp_result bp_merkle_verify_inclusion(struct bp_crypto *c, uint64_t index, uint64_t size, const uint8_t leaf[N],
                                     bp_span proof, const uint8_t root[N])
{
    if (index >= size) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (proof.n % N != 0) {
        return BP_FAIL(MALFORMED);
    }
    struct climb p = {index, size - 1};
    uint8_t r[N];
    memcpy(r, leaf, N);
    for (size_t at = 0; at < proof.n; at += N) {
        const uint8_t *h = proof.p + at;
        if (p.sn == 0) {
            return BP_FAIL(MALFORMED); /* longer than the tree is high */
        }
        if (is_right(&p)) {
            BP_TRY(bp_merkle_node(c, h, r, r));
            pass_lone_levels(&p);
        } else {
            BP_TRY(bp_merkle_node(c, r, h, r));
        }
        up(&p);
    }
    if (p.sn != 0) {
        return BP_FAIL(MALFORMED); /* shorter */
    }
    return memcmp(r, root, N) == 0 ? BP_OK : BP_FAIL(MISMATCH);
}

/* Folds the proof's hashes from `at` on into the old root fr and the new root sr. */
static bp_result fold_consistency(struct bp_crypto *c, struct climb *p, bp_span proof, size_t at, uint8_t fr[N],
                                  uint8_t sr[N])
{
    for (; at < proof.n; at += N) {
        const uint8_t *h = proof.p + at;
        if (p->sn == 0) {
            return BP_FAIL(MALFORMED);
        }
        if (is_right(p)) {
            BP_TRY(bp_merkle_node(c, h, fr, fr));
            BP_TRY(bp_merkle_node(c, h, sr, sr));
            pass_lone_levels(p);
        } else {
            BP_TRY(bp_merkle_node(c, sr, h, sr));
        }
        up(p);
    }
    return p->sn == 0 ? BP_OK : BP_FAIL(MALFORMED);
}

/* Nothing to prove: the same tree, or one that was empty. */
static bp_result verify_trivial(struct bp_crypto *c, bool is_same, const uint8_t first_root[N],
                                const uint8_t second_root[N], bp_span proof)
{
    uint8_t want[N];
    if (proof.n != 0) {
        return BP_FAIL(MALFORMED);
    }
    if (is_same) {
        return memcmp(first_root, second_root, N) == 0 ? BP_OK : BP_FAIL(MISMATCH);
    }
    BP_TRY(bp_hash(c, BP_HASH_SHA256, BP_SPAN_EMPTY, want));
    return memcmp(first_root, want, N) == 0 ? BP_OK : BP_FAIL(MISMATCH);
}

bp_result bp_merkle_verify_consistency(struct bp_crypto *c, uint64_t first, uint64_t second,
                                       const uint8_t first_root[N], const uint8_t second_root[N], bp_span proof)
{
    if (first > second) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (first == second || first == 0) {
        return verify_trivial(c, first == second, first_root, second_root, proof);
    }
    if (proof.n % N != 0 || proof.n == 0) {
        return BP_FAIL(MALFORMED);
    }
    /* A first tree of 2^k leaves is itself a node: the proof leaves it out. */
    const bool is_power = (first & (first - 1)) == 0;
    struct climb p = {first - 1, second - 1};
    while ((p.fn & 1u) != 0) {
        up(&p);
    }
    uint8_t fr[N];
    uint8_t sr[N];
    memcpy(fr, is_power ? first_root : proof.p, N);
    memcpy(sr, fr, N);
    BP_TRY(fold_consistency(c, &p, proof, is_power ? 0 : N, fr, sr));
    return memcmp(fr, first_root, N) == 0 && memcmp(sr, second_root, N) == 0 ? BP_OK : BP_FAIL(MISMATCH);
}

/* Writes the siblings on the way up from node p->fn of `level`. The last node of a level may be incomplete and is
 * then put together from complete ones. */
static bp_result write_path(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, struct climb p, unsigned level,
                            uint64_t size, bp_wr *wr)
{
    for (; p.sn > 0; up(&p), level++) {
        uint8_t h[N];
        if ((p.fn & 1u) != 0) {
            BP_TRY(nodes->node(nodes->self, level, p.fn - 1, h));
        } else if (p.fn + 1 < p.sn) {
            BP_TRY(nodes->node(nodes->self, level, p.fn + 1, h));
        } else if (p.fn < p.sn) {
            const uint64_t start = (p.fn + 1) << level;
            BP_TRY(range_root(c, nodes, start, size - start, h));
        } else {
            continue;
        }
        bp_wr_bytes(wr, BP_SPAN_OF(h));
    }
    return bp_wr_finish(wr);
}

bp_result bp_merkle_prove_inclusion(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, uint64_t index,
                                    uint64_t size, uint8_t *ret, size_t *ret_n)
{
    if (index >= size) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_wr wr = bp_wr_over(ret, BP_MERKLE_MAX_PROOF * N);
    BP_TRY(write_path(c, nodes, (struct climb){index, size - 1}, 0, size, &wr));
    *ret_n = wr.n;
    return BP_OK;
}

bp_result bp_merkle_prove_consistency(struct bp_crypto *c, const struct bp_merkle_nodes *nodes, uint64_t first,
                                      uint64_t second, uint8_t *ret, size_t *ret_n)
{
    if (first > second) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_wr wr = bp_wr_over(ret, BP_MERKLE_MAX_PROOF * N);
    if (first != 0 && first != second) {
        struct climb p = {first - 1, second - 1};
        unsigned level = 0;
        for (; (p.fn & 1u) != 0; level++) {
            up(&p);
        }
        if (p.fn > 0) {
            uint8_t h[N];
            BP_TRY(nodes->node(nodes->self, level, p.fn, h));
            bp_wr_bytes(&wr, BP_SPAN_OF(h));
        }
        BP_TRY(write_path(c, nodes, p, level, second, &wr));
    }
    *ret_n = wr.n;
    return BP_OK;
}
