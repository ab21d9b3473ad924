/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/test_log - the log signer: it extends its own last head and nothing else, across restarts, lost
 * answers, two keepers and damaged state; the result key signs results only. And the tls signer. */
#include "codec/cose.h"
#include "codec/ear.h"
#include "codec/note.h"
#include "codec/x509.h"
#include "core/merkle.h"
#include "fleet/signer/signer.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "unit/fleet/signer/plant.h"

#include <stdio.h>
#include <unistd.h>

static struct plant plant;
static struct bp_log_signer *signer;
static struct bp_signer_answer got;
static uint8_t room[1 << 17];
static uint8_t leaves[8][32];

static void ask(const char *op, bp_span body)
{
    bp_log_signer_answer(signer, bp_span_cstr(op), body, &got);
}

static void append(uint64_t first, size_t count)
{
    const struct bp_msg_append m = {first, bp_span_of(leaves, count * 32)};
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_msg_append_write(&m, room, sizeof room, &n)));
    ask("append", bp_span_of(room, n));
}

/* The answer is a head of that size over the first leaves, signed by the log key. */
static bool is_head(enum bp_problem status, uint64_t size)
{
    struct bp_msg_head head;
    struct bp_note note;
    struct bp_checkpoint cp;
    struct bp_x509 x;
    struct bp_merkle tree;
    uint8_t root[32];
    bp_merkle_init(&tree);
    for (uint64_t i = 0; i < size; i++) {
        BP_CHECK(!bp_failed(bp_merkle_append(plant.crypto, &tree, leaves[i % 8])));
    }
    return got.status == status && !bp_failed(bp_msg_head_read(got.body, &head)) && head.size == size &&
           !bp_failed(bp_note_read(head.checkpoint, &note)) &&
           !bp_failed(bp_x509_read(plant.site->cert[BP_SITE_CERT_LOG], &x)) &&
           !bp_failed(bp_note_verify(plant.crypto, &note, BP_SPAN_STR("localhost/log"), x.spki)) &&
           !bp_failed(bp_checkpoint_read(&note, &cp)) && cp.size == size &&
           !bp_failed(bp_merkle_root(plant.crypto, &tree, root)) && memcmp(root, cp.root, 32) == 0;
}

static bool is_refused(enum bp_problem status, const char *rule)
{
    bp_span name;
    return got.status == status && !bp_failed(bp_msg_name_read(got.body, &name)) &&
           bp_span_equal(name, bp_span_cstr(rule));
}

static bp_result restart(void)
{
    bp_log_signer_free(signer);
    signer = NULL;
    return bp_log_signer_new(plant.site, plant.crypto, &signer);
}

BP_CASE(starts_empty_and_grows)
{
    BP_NEED(plant_make(&plant));
    for (size_t i = 0; i < 8; i++) {
        memset(leaves[i], (int)(i + 1), 32);
    }
    BP_NEED(!bp_failed(restart()));
    append(0, 0);
    BP_CHECK(is_head(BP_P_NONE, 0));
    append(0, 3);
    BP_CHECK(is_head(BP_P_NONE, 3));
}

/* The keeper that lost the answer asks again, and learns the head that it missed. */
BP_CASE(an_answer_that_was_lost_is_learned_by_the_refusal)
{
    append(0, 3);
    BP_CHECK(is_head(BP_P_CONFLICT, 3));
    append(3, 0);
    BP_CHECK(is_head(BP_P_NONE, 3));
}

/* A second keeper with a log of its own gets no head over it, at any place. */
BP_CASE(two_sequencers_are_fenced)
{
    uint8_t other[32] = {0xee};
    const struct bp_msg_append fork = {0, BP_SPAN_OF(other)};
    const struct bp_msg_append ahead = {9, BP_SPAN_OF(other)};
    size_t n = 0;
    BP_NEED(!bp_failed(bp_msg_append_write(&fork, room, sizeof room, &n)));
    ask("append", bp_span_of(room, n));
    BP_CHECK(is_head(BP_P_CONFLICT, 3));
    BP_NEED(!bp_failed(bp_msg_append_write(&ahead, room, sizeof room, &n)));
    ask("append", bp_span_of(room, n));
    BP_CHECK(is_head(BP_P_CONFLICT, 3));
}

BP_CASE(a_second_signer_does_not_start)
{
    struct bp_log_signer *second = NULL;
    BP_CHECK(bp_is(bp_log_signer_new(plant.site, plant.crypto, &second), BP_E_BUSY) && second == NULL);
}

BP_CASE(state_survives)
{
    BP_NEED(!bp_failed(restart()));
    append(0, 0);
    BP_CHECK(is_head(BP_P_NONE, 3));
    const struct bp_msg_append m = {3, bp_span_of(leaves[3], 64)};
    size_t n = 0;
    BP_NEED(!bp_failed(bp_msg_append_write(&m, room, sizeof room, &n)));
    ask("append", bp_span_of(room, n));
    BP_CHECK(is_head(BP_P_NONE, 5));
    BP_NEED(!bp_failed(restart()));
    append(5, 0);
    BP_CHECK(is_head(BP_P_NONE, 5));
}

/* Without syncing: hundreds of times. */
static bool spoil(const char *path, bp_span contents)
{
    FILE *f = fopen(path, "wb");
    const bool ok = f != NULL && fwrite(contents.p, 1, contents.n, f) == contents.n;
    return f != NULL && fclose(f) == 0 && ok;
}

/* Every cut and every flipped bit of the state file is refused: no head over a log that was not this one. */
BP_CASE(damaged_state_is_refused)
{
    uint8_t *good = NULL;
    size_t n = 0;
    const char *path = plant_at(&plant, BP_LOG_STATE);
    BP_NEED(!bp_failed(bp_file_read(path, BP_FILE_SECRET, 65536, &good, &n)));
    bp_log_signer_free(signer);
    signer = NULL;
    unsigned refused = 0;
    for (size_t cut = 0; cut < n; cut += 3) {
        BP_CHECK(spoil(path, bp_span_of(good, cut)));
        refused += bp_failed(bp_log_signer_new(plant.site, plant.crypto, &signer)) ? 1u : 0u;
    }
    BP_CHECK(refused == (n + 2) / 3);
    unsigned flipped = 0, held = 0;
    for (size_t at = 0; at < n; at++) {
        good[at] ^= 1u;
        BP_CHECK(spoil(path, bp_span_of(good, n)));
        held += bp_failed(bp_log_signer_new(plant.site, plant.crypto, &signer)) ? 1u : 0u;
        if (!BP_CHECK(signer == NULL)) {
            bp_log_signer_free(signer);
            signer = NULL;
        }
        flipped++;
        good[at] ^= 1u;
    }
    BP_CHECK(flipped == held && flipped > 200);
    BP_CHECK(unlink(path) == 0 && bp_is(bp_log_signer_new(plant.site, plant.crypto, &signer), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_file_write(path, BP_FILE_SECRET, bp_span_of(good, n))));
    bp_free(good);
    BP_NEED(!bp_failed(restart()));
    append(5, 0);
    BP_CHECK(is_head(BP_P_NONE, 5));
}

/* A state that cannot be written gives no head; what is on disk stays what is given out. */
BP_CASE(unwritable_state_gives_no_head)
{
    char moved[128];
    (void)snprintf(moved, sizeof moved, "%s/away", plant.top);
    BP_NEED(rename(plant_at(&plant, "state/log"), moved) == 0);
    append(5, 1);
    BP_CHECK(is_refused(BP_P_INTERNAL, "state-not-written"));
    append(5, 0);
    BP_CHECK(is_refused(BP_P_INTERNAL, "state-lost"));
    BP_NEED(rename(moved, plant_at(&plant, "state/log")) == 0);
    BP_NEED(!bp_failed(restart()));
    append(5, 0);
    BP_CHECK(is_head(BP_P_NONE, 5));
}

BP_CASE(an_existing_state_is_not_begun_again)
{
    BP_CHECK(bp_is(bp_log_signer_init(plant.site, plant.crypto), BP_E_EXISTS));
}

/* What outlives a store: read beside a running signer, left by people only, put where none is. */
BP_CASE(the_last_head_is_read_left_and_put)
{
    static struct bp_log_last last;
    struct bp_merkle tree;
    uint8_t other[32] = {0xee};
    const char *path = plant_at(&plant, BP_LOG_STATE);
    BP_NEED(!bp_failed(bp_log_signer_last(plant.site, plant.crypto, &last)));
    BP_CHECK(last.tree.size == 5 && last.head_n > 0);
    bp_merkle_init(&tree);
    BP_NEED(!bp_failed(bp_merkle_append(plant.crypto, &tree, other)));
    BP_CHECK(bp_is(bp_log_signer_break(plant.site, plant.crypto, &tree), BP_E_BUSY));
    BP_CHECK(bp_is(bp_log_signer_put(plant.site, plant.crypto, &last.tree, bp_span_of(last.head, last.head_n)), BP_E_EXISTS));
    bp_log_signer_free(signer);
    signer = NULL;
    BP_CHECK(!bp_failed(bp_log_signer_break(plant.site, plant.crypto, &tree)));
    static struct bp_log_last now;
    BP_CHECK(!bp_failed(bp_log_signer_last(plant.site, plant.crypto, &now)) && now.tree.size == 1);
    BP_NEED(unlink(path) == 0);
    BP_CHECK(bp_is(bp_log_signer_last(plant.site, plant.crypto, &now), BP_E_NOT_FOUND));
    /* A head over another tree is no state of it. */
    BP_CHECK(bp_is(bp_log_signer_put(plant.site, plant.crypto, &tree, bp_span_of(last.head, last.head_n)), BP_E_MISMATCH));
    BP_CHECK(!bp_failed(bp_log_signer_put(plant.site, plant.crypto, &last.tree, bp_span_of(last.head, last.head_n))));
    BP_NEED(!bp_failed(restart()));
    append(5, 0);
    BP_CHECK(is_head(BP_P_NONE, 5));
}

BP_CASE(malformed_and_unknown_requests)
{
    ask("append", BP_SPAN_STR("\xa1\x01\x00"));
    BP_CHECK(is_refused(BP_P_MALFORMED, "request-form"));
    ask("sign", BP_SPAN_STR("\xa1\x01\x41\x00"));
    BP_CHECK(is_refused(BP_P_UNSUPPORTED, "op-unknown"));
    ask("issue", BP_SPAN_STR("\xa0"));
    BP_CHECK(is_refused(BP_P_UNSUPPORTED, "op-unknown"));
}

static size_t result_payload(uint8_t *ret, size_t cap, uint64_t status)
{
    const struct bp_ear ear = {.iat_s = PLANT_NOW / 1000,
                               .profile = BP_SPAN_STR(BP_EAR_PROFILE),
                               .developer = BP_SPAN_STR("bedplate"),
                               .build = BP_SPAN_STR("test"),
                               .status = status,
                               .as_of_ms = PLANT_NOW};
    size_t n = 0;
    return bp_failed(bp_ear_write(&ear, ret, cap, &n)) ? 0 : n;
}

BP_CASE(results_are_signed_in_one_batch)
{
    uint8_t payload[2][512];
    const size_t n0 = result_payload(payload[0], 512, BP_TIER_AFFIRMING);
    const size_t n1 = result_payload(payload[1], 512, BP_TIER_CONTRAINDICATED);
    static struct bp_msg_results m;
    size_t n = 0;
    struct bp_pubkey key;
    m = (struct bp_msg_results){.count = 2, .item = {bp_span_of(payload[0], n0), bp_span_of(payload[1], n1)}};
    BP_NEED(n0 > 0 && n1 > 0 && !bp_failed(bp_msg_results_write(&m, room, sizeof room, &n)));
    ask("sign-results", bp_span_of(room, n));
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_results_read(got.body, &m)) && m.count == 2);
    BP_NEED(!bp_failed(bp_site_public(plant.site, BP_SITE_CERT_RESULT, &key)));
    for (size_t i = 0; i < 2; i++) {
        struct bp_cose_sign1 msg;
        uint8_t scratch[2048];
        BP_CHECK(!bp_failed(bp_cose_sign1_read(m.item[i], &msg)));
        BP_CHECK(!bp_failed(bp_cose_sign1_verify(plant.crypto, &msg, &key, BP_SPAN_EMPTY, scratch, sizeof scratch)));
        BP_CHECK(bp_span_equal(msg.content_type, BP_SPAN_STR(BP_EAR_CONTENT)));
        BP_CHECK(bp_span_equal(msg.payload, bp_span_of(payload[i], i == 0 ? n0 : n1)));
    }
}

/* The result key is not lent: an ak-binding or any other bytes do not become something that it signed. */
BP_CASE(only_results_are_signed)
{
    static struct bp_msg_results m;
    uint8_t payload[512];
    size_t n = 0;
    const size_t good = result_payload(payload, sizeof payload, BP_TIER_NONE);
    m = (struct bp_msg_results){.count = 2, .item = {bp_span_of(payload, good), BP_SPAN_STR("\xa1\x01\x02")}};
    BP_NEED(good > 0 && !bp_failed(bp_msg_results_write(&m, room, sizeof room, &n)));
    ask("sign-results", bp_span_of(room, n));
    BP_CHECK(is_refused(BP_P_MALFORMED, "result-form"));
    ask("sign-results", BP_SPAN_STR("\xa1\x01\x80"));
    BP_CHECK(is_refused(BP_P_MALFORMED, "request-form"));
}

BP_CASE(every_refused_allocation_is_an_error)
{
    bp_log_signer_free(signer);
    signer = NULL;
    unsigned refused = 0;
    for (size_t i = 1; i < 40; i++) {
        const size_t live = bp_alloc_live();
        bp_alloc_fail_from(i);
        const bp_result r = bp_log_signer_new(plant.site, plant.crypto, &signer);
        bp_alloc_fail_from(0);
        if (!bp_failed(r)) {
            break;
        }
        BP_CHECK(bp_alloc_live() == live);
        refused++;
    }
    BP_CHECK(refused >= 8 && signer != NULL);
}

/* --- tls --- */

BP_CASE(tls_signs_a_digest_by_the_server_key)
{
    struct bp_tls_signer *tls = NULL;
    struct bp_pubkey key;
    uint8_t digest[32];
    size_t n = 0;
    bp_span raw;
    BP_NEED(!bp_failed(bp_tls_signer_new(plant.site, &tls)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, BP_SPAN_STR("hello"), digest)));
    BP_CHECK(!bp_failed(bp_msg_bytes_write(BP_SPAN_OF(digest), room, sizeof room, &n)));
    bp_tls_signer_answer(tls, BP_SPAN_STR("sign"), bp_span_of(room, n), &got);
    BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &raw)));
    BP_CHECK(!bp_failed(bp_site_public(plant.site, BP_SITE_CERT_SERVER, &key)));
    BP_CHECK(!bp_failed(bp_verify(plant.crypto, &key, BP_SIG_ES256, BP_SPAN_STR("hello"), raw)));
    bp_tls_signer_free(tls);
}

BP_CASE(tls_does_nothing_else)
{
    struct bp_tls_signer *tls = NULL;
    BP_NEED(!bp_failed(bp_tls_signer_new(plant.site, &tls)));
    bp_tls_signer_answer(tls, BP_SPAN_STR("sign"), BP_SPAN_STR("\xa1\x01\x41\x00"), &got);
    BP_CHECK(is_refused(BP_P_MALFORMED, "request-form"));
    bp_tls_signer_answer(tls, BP_SPAN_STR("sign"), BP_SPAN_STR("nonsense"), &got);
    BP_CHECK(is_refused(BP_P_MALFORMED, "request-form"));
    bp_tls_signer_answer(tls, BP_SPAN_STR("append"), BP_SPAN_STR("\xa0"), &got);
    BP_CHECK(is_refused(BP_P_UNSUPPORTED, "op-unknown"));
    bp_tls_signer_free(tls);
}

/* clang-format off */
BP_SUITE(log_signer,
    BP_RUN(starts_empty_and_grows)
    BP_RUN(an_answer_that_was_lost_is_learned_by_the_refusal)
    BP_RUN(two_sequencers_are_fenced)
    BP_RUN(a_second_signer_does_not_start)
    BP_RUN(state_survives)
    BP_RUN(damaged_state_is_refused)
    BP_RUN(unwritable_state_gives_no_head)
    BP_RUN(an_existing_state_is_not_begun_again)
    BP_RUN(the_last_head_is_read_left_and_put)
    BP_RUN(malformed_and_unknown_requests)
    BP_RUN(results_are_signed_in_one_batch)
    BP_RUN(only_results_are_signed)
    BP_RUN(every_refused_allocation_is_an_error)
    BP_RUN(tls_signs_a_digest_by_the_server_key)
    BP_RUN(tls_does_nothing_else)
    bp_log_signer_free(signer); plant_done(&plant);)
