/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_logbreak - a part of a log is given up by a statement in the log that goes on: it makes exactly
 * the heads void that it names, and nothing that was bent serves. */
#include "core/logbreak.h"
#include "core/merkle.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

#define N     BP_SHA256_SIZE
#define KEPT  5u
#define LOST  9u
#define PLACE 6u /* of the statement */
#define NOW   12u

static struct bp_crypto *crypto;
static uint8_t leaf[NOW][N];
static uint8_t event[BP_EVENT_MAX], kept_root[N], lost_root[N], now_root[N], other_root[N];
static uint8_t inclusion[BP_MERKLE_MAX_PROOF * N], consistency[BP_MERKLE_MAX_PROOF * N];
static struct bp_log_break statement;
static struct bp_log_gap_stated gap;

static bp_result node(void *self, unsigned level, uint64_t index, uint8_t ret[N])
{
    struct bp_merkle m;
    (void)self;
    bp_merkle_init(&m);
    for (uint64_t i = index << level; i < (index + 1) << level; i++) {
        BP_TRY(bp_merkle_append(crypto, &m, leaf[i]));
    }
    return bp_merkle_root(crypto, &m, ret);
}

static bp_result root_of(uint64_t size, uint8_t ret[N])
{
    const struct bp_merkle_nodes nodes = {NULL, node};
    return bp_merkle_root_of(crypto, &nodes, size, ret);
}

/* The log as it is now, with a statement of these details at its place; the lost part had other leaves. */
static bool make(const struct bp_event_detail *detail, size_t count, uint64_t type)
{
    uint8_t digest[N];
    const struct bp_merkle_nodes nodes = {NULL, node};
    struct bp_event e = {.number = PLACE,
                         .time_ms = 1700000000000,
                         .type = type,
                         .source = BP_SPAN_STR("keeper"),
                         .actor = BP_SPAN_STR("local administrator"),
                         .detail_count = count};
    size_t n = 0, inclusion_n = 0, consistency_n = 0;
    memcpy(e.detail, detail, count * sizeof *detail);
    if (bp_failed(bp_event_write(&e, event, sizeof event, &n))) {
        return false;
    }
    const bp_span body = bp_span_of(event, n);
    bool good = !bp_failed(bp_hash(crypto, BP_HASH_SHA256, body, digest)) &&
                !bp_failed(bp_merkle_leaf(crypto, BP_SPAN_OF(digest), leaf[PLACE])) &&
                !bp_failed(root_of(NOW, now_root)) &&
                !bp_failed(bp_merkle_prove_inclusion(crypto, &nodes, PLACE, NOW, inclusion, &inclusion_n)) &&
                !bp_failed(bp_merkle_prove_consistency(crypto, &nodes, KEPT, NOW, consistency, &consistency_n));
    statement = (struct bp_log_break){.index = PLACE,
                                      .to = NOW,
                                      .event = body,
                                      .inclusion = bp_span_of(inclusion, inclusion_n),
                                      .consistency = bp_span_of(consistency, consistency_n)};
    return good;
}

static void leaves(uint8_t salt)
{
    for (uint8_t i = 0; i < NOW; i++) {
        const uint8_t entry[2] = {i, i < KEPT ? 0 : salt};
        BP_CHECK(!bp_failed(bp_merkle_leaf(crypto, BP_SPAN_OF(entry), leaf[i])));
    }
}

static const struct bp_event_detail details[] = {
    {{(const uint8_t *)"kept", 4}, BP_VAL_INT, KEPT, {NULL, 0}},
    {{(const uint8_t *)"kept_root", 9}, BP_VAL_BYTES, 0, {kept_root, N}},
    {{(const uint8_t *)"lost", 4}, BP_VAL_INT, LOST, {NULL, 0}},
    {{(const uint8_t *)"reason", 6}, BP_VAL_TEXT, 0, {(const uint8_t *)"the disk broke", 14}},
    {{(const uint8_t *)"lost_root", 9}, BP_VAL_BYTES, 0, {lost_root, N}},
};

static bp_result check(uint64_t size, const uint8_t *root)
{
    const struct bp_log_head old = {size, root}, now = {NOW, now_root};
    memset(&gap, 0xa5, sizeof gap);
    return bp_log_break_check(crypto, &statement, &old, &now, &gap);
}

BP_CASE(names_the_heads_that_are_void)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(1, &crypto)));
    leaves(1);
    BP_NEED(!bp_failed(root_of(KEPT, kept_root)) && !bp_failed(root_of(LOST, lost_root)));
    leaves(2);
    memset(other_root, 7, sizeof other_root);
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN));
    BP_NEED(!bp_failed(check(LOST, lost_root)));
    BP_CHECK(gap.kept == KEPT && gap.lost == LOST && gap.event.time_ms == 1700000000000);
    BP_CHECK(bp_span_equal(gap.reason, BP_SPAN_STR("the disk broke")) &&
             bp_span_equal(gap.event.actor, BP_SPAN_STR("local administrator")));
    BP_CHECK(!bp_failed(check(KEPT + 1, other_root)));
    /* Up to what was kept a proof of consistency is owed; beyond what was lost nothing is said. */
    BP_CHECK(bp_is(check(KEPT, other_root), BP_E_DENIED) && bp_is(check(LOST + 1, other_root), BP_E_DENIED));
    BP_CHECK(bp_is(check(LOST, other_root), BP_E_DENIED));
    /* Without a root of the last head any of that size is meant. */
    BP_NEED(make(details, 4, BP_EV_LOG_BROKEN));
    BP_CHECK(!bp_failed(check(LOST, other_root)) && bp_is(check(LOST + 1, other_root), BP_E_DENIED));
}

BP_CASE(a_bent_statement_serves_nobody)
{
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN) && !bp_failed(check(LOST, lost_root)));
    statement.to = NOW - 1;
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN));
    statement.index = PLACE + 1;
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN));
    inclusion[3] ^= 1;
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN));
    consistency[3] ^= 1;
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    BP_NEED(make(details, 5, BP_EV_LOG_BROKEN));
    now_root[0] ^= 1; /* another log */
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    BP_NEED(make(details, 5, BP_EV_LOG_MISMATCH));
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MALFORMED));
    BP_NEED(make(details + 1, 4, BP_EV_LOG_BROKEN));
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MALFORMED));
    struct bp_event_detail bent[5];
    memcpy(bent, details, sizeof bent);
    bent[0].number = PLACE + 1; /* what is kept cannot come behind the statement */
    BP_NEED(make(bent, 5, BP_EV_LOG_BROKEN));
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MISMATCH));
    memcpy(bent, details, sizeof bent);
    bent[3].bytes = BP_SPAN_STR("two\nlines");
    BP_NEED(make(bent, 5, BP_EV_LOG_BROKEN));
    BP_CHECK(bp_is(check(LOST, lost_root), BP_E_MALFORMED));
}

BP_SUITE(log_break,
         BP_RUN(names_the_heads_that_are_void) BP_RUN(a_bent_statement_serves_nobody) bp_crypto_openssl_free(crypto);)
