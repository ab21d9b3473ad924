/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_merkle - the tree against RFC 9162's own recursive definitions, written here a second time and
 * kept apart from the code under test, for every tree up to 65 leaves; every proof, and every proof broken. */
#include "core/merkle.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

#define LEAVES 65u
#define N      BP_SHA256_SIZE

static struct bp_crypto *crypto;
static uint8_t leaf[LEAVES][N];
static uint8_t root[LEAVES + 1][N];

/* Section 2.1.1: MTH(D[from:to]). */
static void mth(size_t from, size_t to, uint8_t ret[N])
{
    uint8_t left[N];
    uint8_t right[N];
    if (to - from == 1) {
        memcpy(ret, leaf[from], N);
        return;
    }
    size_t k = 1;
    while (k * 2 < to - from) {
        k *= 2;
    }
    mth(from, from + k, left);
    mth(from + k, to, right);
    BP_CHECK(!bp_failed(bp_merkle_node(crypto, left, right, ret)));
}

static unsigned node_calls;

static bp_result node(void *self, unsigned level, uint64_t index, uint8_t ret[N])
{
    const uint64_t size = *(const uint64_t *)self;
    /* Only complete subtrees of the tree in question may be asked for. */
    BP_CHECK((index + 1) << level <= size);
    node_calls++;
    mth((size_t)(index << level), (size_t)((index + 1) << level), ret);
    return BP_OK;
}

BP_CASE(appended_roots_equal_the_definition)
{
    struct bp_merkle m;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(1, &crypto)));
    bp_merkle_init(&m);
    BP_NEED(!bp_failed(bp_merkle_root(crypto, &m, root[0])));
    for (size_t i = 0; i < LEAVES; i++) {
        const uint8_t entry[2] = {(uint8_t)i, (uint8_t)(i * 7)};
        uint8_t want[N];
        BP_NEED(!bp_failed(bp_merkle_leaf(crypto, bp_span_of(entry, i % 3), leaf[i])));
        BP_NEED(!bp_failed(bp_merkle_append(crypto, &m, leaf[i])));
        BP_NEED(!bp_failed(bp_merkle_root(crypto, &m, root[i + 1])));
        mth(0, i + 1, want);
        BP_CHECK(memcmp(want, root[i + 1], N) == 0 && m.size == i + 1);
        uint64_t size = i + 1;
        const struct bp_merkle_nodes nodes = {&size, node};
        BP_CHECK(!bp_failed(bp_merkle_root_of(crypto, &nodes, size, want)) && memcmp(want, root[i + 1], N) == 0);
    }
}

/* The roots of the test tree of Certificate Transparency (entries "", 00, 10, 2021, 3031, 40414243, ...). */
BP_CASE(known_roots)
{
    static const uint8_t empty[N] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                                     0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
                                     0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
    static const uint8_t one[N] = {0x6e, 0x34, 0x0b, 0x9c, 0xff, 0xb3, 0x7a, 0x98, 0x9c, 0xa5, 0x44,
                                   0xe6, 0xbb, 0x78, 0x0a, 0x2c, 0x78, 0x90, 0x1d, 0x3f, 0xb3, 0x37,
                                   0x38, 0x76, 0x85, 0x11, 0xa3, 0x06, 0x17, 0xaf, 0xa0, 0x1d};
    static const uint8_t eight[N] = {0x5d, 0xc9, 0xda, 0x79, 0xa7, 0x06, 0x59, 0xa9, 0xad, 0x55, 0x9c,
                                     0xb7, 0x01, 0xde, 0xd9, 0xa2, 0xab, 0x9d, 0x82, 0x3a, 0xad, 0x2f,
                                     0x49, 0x60, 0xcf, 0xe3, 0x70, 0xef, 0xf4, 0x60, 0x43, 0x28};
    static const bp_span entry[8] = {
        {NULL, 0},
        {(const uint8_t *)"\x00", 1},
        {(const uint8_t *)"\x10", 1},
        {(const uint8_t *)"\x20\x21", 2},
        {(const uint8_t *)"\x30\x31", 2},
        {(const uint8_t *)"\x40\x41\x42\x43", 4},
        {(const uint8_t *)"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
        {(const uint8_t *)"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
    };
    struct bp_merkle m;
    uint8_t r[N];
    bp_merkle_init(&m);
    BP_CHECK(!bp_failed(bp_merkle_root(crypto, &m, r)) && memcmp(r, empty, N) == 0);
    for (size_t i = 0; i < 8; i++) {
        uint8_t h[N];
        BP_NEED(!bp_failed(bp_merkle_leaf(crypto, entry[i], h)) && !bp_failed(bp_merkle_append(crypto, &m, h)));
        BP_NEED(!bp_failed(bp_merkle_root(crypto, &m, r)));
        BP_CHECK(i != 0 || memcmp(r, one, N) == 0);
    }
    BP_CHECK(memcmp(r, eight, N) == 0);
}

static void break_inclusion(uint64_t index, uint64_t size, const uint8_t *proof, size_t n)
{
    uint8_t bad[BP_MERKLE_MAX_PROOF * N];
    for (size_t at = 0; at < n; at += N) {
        memcpy(bad, proof, n);
        bad[at + index % N] ^= 1;
        BP_CHECK(bp_is(bp_merkle_verify_inclusion(crypto, index, size, leaf[index], bp_span_of(bad, n), root[size]),
                       BP_E_MISMATCH));
    }
    memcpy(bad, proof, n);
    memset(bad + n, 0, N);
    BP_CHECK(bp_failed(bp_merkle_verify_inclusion(crypto, index, size, leaf[index], bp_span_of(bad, n + N), root[size])));
    if (n > 0) {
        BP_CHECK(bp_failed(
            bp_merkle_verify_inclusion(crypto, index, size, leaf[index], bp_span_of(bad, n - N), root[size])));
        BP_CHECK(bp_is(bp_merkle_verify_inclusion(crypto, index, size, leaf[index], bp_span_of(bad, n - 1), root[size]),
                       BP_E_MALFORMED));
    }
    BP_CHECK(bp_failed(bp_merkle_verify_inclusion(crypto, index, size, root[0], bp_span_of(proof, n), root[size])));
    const uint64_t other = index == 0 ? size : index - 1;
    BP_CHECK(bp_failed(bp_merkle_verify_inclusion(crypto, other, size, leaf[index], bp_span_of(proof, n), root[size])));
}

BP_CASE(every_inclusion_proof_and_its_breaks)
{
    for (uint64_t size = 1; size <= LEAVES; size++) {
        const struct bp_merkle_nodes nodes = {&size, node};
        for (uint64_t index = 0; index < size; index++) {
            uint8_t proof[BP_MERKLE_MAX_PROOF * N];
            size_t n = 0;
            BP_NEED(!bp_failed(bp_merkle_prove_inclusion(crypto, &nodes, index, size, proof, &n)));
            BP_CHECK(!bp_failed(bp_merkle_verify_inclusion(crypto, index, size, leaf[index], bp_span_of(proof, n),
                                                           root[size])));
            if (size % 8 < 3) {
                break_inclusion(index, size, proof, n);
            }
        }
        size_t n = 0;
        BP_CHECK(bp_is(bp_merkle_prove_inclusion(crypto, &nodes, size, size, root[0], &n), BP_E_BAD_ARGUMENT));
    }
}

static void break_consistency(uint64_t first, uint64_t second, const uint8_t *proof, size_t n)
{
    uint8_t bad[BP_MERKLE_MAX_PROOF * N + N];
    for (size_t at = 0; at < n; at += N) {
        memcpy(bad, proof, n);
        bad[at] ^= 0x80;
        BP_CHECK(bp_is(bp_merkle_verify_consistency(crypto, first, second, root[first], root[second], bp_span_of(bad, n)),
                       BP_E_MISMATCH));
    }
    memset(bad + n, 0, N);
    BP_CHECK(bp_failed(
        bp_merkle_verify_consistency(crypto, first, second, root[first], root[second], bp_span_of(bad, n + N))));
    if (n > 0) {
        BP_CHECK(bp_failed(
            bp_merkle_verify_consistency(crypto, first, second, root[first], root[second], bp_span_of(proof, n - N))));
        BP_CHECK(bp_failed(
            bp_merkle_verify_consistency(crypto, first, second, root[first - 1], root[second], bp_span_of(proof, n))));
    }
    BP_CHECK(bp_failed(
        bp_merkle_verify_consistency(crypto, first, second, leaf[0], root[0], bp_span_of(proof, n))));
}

BP_CASE(every_consistency_proof_and_its_breaks)
{
    for (uint64_t second = 0; second <= LEAVES; second++) {
        const struct bp_merkle_nodes nodes = {&second, node};
        for (uint64_t first = 0; first <= second; first++) {
            uint8_t proof[BP_MERKLE_MAX_PROOF * N];
            size_t n = 0;
            BP_NEED(!bp_failed(bp_merkle_prove_consistency(crypto, &nodes, first, second, proof, &n)));
            BP_CHECK(!bp_failed(bp_merkle_verify_consistency(crypto, first, second, root[first], root[second],
                                                             bp_span_of(proof, n))));
            if (second % 8 < 3) {
                break_consistency(first, second, proof, n);
            }
        }
    }
    BP_CHECK(bp_is(bp_merkle_verify_consistency(crypto, 2, 1, root[2], root[1], BP_SPAN_EMPTY), BP_E_BAD_ARGUMENT));
}

static bp_result no_node(void *self, unsigned level, uint64_t index, uint8_t ret[N])
{
    (void)self, (void)level, (void)index, (void)ret;
    return bp_fail_at(BP_E_IO, BP_M_TEST, 1);
}

BP_CASE(a_missing_node_fails_the_proof)
{
    const struct bp_merkle_nodes nodes = {NULL, no_node};
    uint8_t proof[BP_MERKLE_MAX_PROOF * N];
    size_t n = 7;
    BP_CHECK(bp_is(bp_merkle_prove_inclusion(crypto, &nodes, 2, 5, proof, &n), BP_E_IO) && n == 7);
    BP_CHECK(bp_is(bp_merkle_prove_consistency(crypto, &nodes, 2, 5, proof, &n), BP_E_IO) && n == 7);
    BP_CHECK(node_calls > 0);
}

/* clang-format off */
BP_SUITE(merkle,
    BP_RUN(appended_roots_equal_the_definition)
    BP_RUN(known_roots)
    BP_RUN(every_inclusion_proof_and_its_breaks)
    BP_RUN(every_consistency_proof_and_its_breaks)
    BP_RUN(a_missing_node_fails_the_proof)
    bp_crypto_openssl_free(crypto);)
