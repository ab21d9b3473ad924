/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_verify - bundles: true ones pass; every flipped bit, every member of another bundle and every lie
 * fails, each with a reason. */
#include "cli/verify.h"
#include "harness.h"
#include "maker.h"

#include <stdlib.h>

static struct bp_crypto *crypto;
static struct rig rig, rig2;
static struct maker server, stranger;
static const char *const programs[] = {"/bin/agent", "1", "/bin/shell", "1", NULL};
static uint8_t first[MAKER_ROOM], later[MAKER_ROOM], other[MAKER_ROOM], work[MAKER_ROOM];
static bp_span first_bundle, later_bundle, other_bundle;
static struct bp_verification v;

static bool is_good(bp_span bundle)
{
    return !bp_failed(bp_verify_bundle(crypto, bundle, server.anchor, &v)) && v.good;
}

/* Fails, and says so by this word (or by any when it is NULL). */
static bool fails(bp_span bundle, const char *word)
{
    if (is_good(bundle) || v.reason[0] == 0) {
        printf("# passed, or no reason\n");
        return false;
    }
    if (word != NULL && strncmp(v.reason, word, strlen(word)) != 0) {
        printf("# %s\n", v.reason);
        return false;
    }
    return true;
}

static bool start(struct rig *r)
{
    if (!rig_make(r, crypto)) {
        return false;
    }
    (void)rig_release(r, "gateway 1", "*", &rig_os_1, programs);
    if (!maker_releases(&server, r) || !rig_publish(r)) {
        return false;
    }
    rig_boot(r, &rig_os_1);
    rig_run(r, "/bin/agent", "1");
    return true;
}

static bool answer(struct rig *r, int64_t ms)
{
    rig_nonce(r);
    rig_wait(r, ms);
    return rig_answer(r, NULL);
}

BP_CASE(setup)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(32, &crypto)));
    BP_NEED(rig_make(&rig, crypto));
    BP_NEED(maker_make(&server, crypto, rig.now_ms) && maker_make(&stranger, crypto, rig.now_ms));
    rig_done(&rig);
    BP_NEED(start(&rig2) && answer(&rig2, 100));
    other_bundle = maker_bundle(&server, &rig2, NULL, true, other, sizeof other);
    BP_NEED(start(&rig));
    rig.first_contact = true;
    BP_NEED(answer(&rig, 100));
    first_bundle = maker_bundle(&server, &rig, NULL, true, first, sizeof first);
    rig.first_contact = false;
    rig_run(&rig, "/bin/shell", "1");
    BP_NEED(answer(&rig, 5000));
    later_bundle = maker_bundle(&server, &rig, &(struct maker_lie){.with_logs = true, .number = 7}, false, later,
                                sizeof later);
    BP_CHECK(first_bundle.n != 0 && later_bundle.n != 0 && other_bundle.n != 0);
}

BP_CASE(first_contact_verifies)
{
    BP_CHECK(is_good(first_bundle));
    BP_CHECK(v.ear.status == BP_TIER_AFFIRMING && !v.by_policy && v.failed == BP_V_COUNT);
    if (!v.good) {
        printf("# %s\n", v.reason);
    }
}

BP_CASE(with_state_and_earlier_logs_verifies)
{
    BP_CHECK(is_good(later_bundle));
    BP_CHECK(v.bundle.state.n != 0 && v.bundle.logs == 2 && v.bundle.index == 7);
    if (!v.good) {
        printf("# %s\n", v.reason);
    }
}

BP_CASE(other_device_verifies)
{
    BP_CHECK(is_good(other_bundle));
}

BP_CASE(without_policy_verifies)
{
    BP_CHECK(is_good(maker_bundle(&server, &rig, &(struct maker_lie){.no_policy = true}, false, work, sizeof work)));
}

BP_CASE(another_anchor_is_refused)
{
    BP_CHECK(!bp_failed(bp_verify_bundle(crypto, first_bundle, stranger.anchor, &v)) && !v.good);
    BP_CHECK(strncmp(v.reason, "chain-anchor", 12) == 0);
}

/* --- lies --- */

static void lies(void)
{
    const struct {
        const char *name;
        struct maker_lie lie;
        const char *word; /* NULL: it is true */
    } row[] = {
        {"lie.worse_tier_is_the_policys", {.has_tier = true, .tier = BP_TIER_CONTRAINDICATED}, NULL},
        {"lie.not_appraised_is_the_policys", {.has_tier = true, .tier = BP_TIER_NONE}, NULL},
        {"lie.warning_is_nobodys", {.has_tier = true, .tier = BP_TIER_WARNING}, "replay-tier"},
        {"lie.result_by_the_logs_key", {.result_key = MAKER_LOG}, "chain-role"},
        {"lie.result_by_a_devices_key", {.result_key = MAKER_DEVICE}, "chain-signature"},
        {"lie.result_by_the_issuing_authority", {.result_key = MAKER_ISSUING}, "chain-role"},
        {"lie.head_by_the_result_key", {.head_key = MAKER_RESULT}, "chain-role"},
        {"lie.binding_by_the_result_key", {.bind_key = MAKER_RESULT}, "chain-role"},
        {"lie.result_outside_the_anchor", {.result_of = &stranger}, "chain-signature"},
        {"lie.changed_verdict_outside_the_anchor",
         {.result_of = &stranger, .has_tier = true, .tier = BP_TIER_CONTRAINDICATED}, "chain-signature"},
        {"lie.attestation_key_elsewhere", {.other_parent = true}, "quote-parent"},
        {"lie.event_names_no_zone", {.drop_zone = true}, "event-inputs"},
        {"lie.earlier_log_is_another", {.with_logs = true, .other_log = true}, "logs"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        const bp_span b = maker_bundle(&server, &rig, &row[i].lie, false, work, sizeof work);
        BP_CHECK(b.n != 0);
        BP_CHECK(row[i].word == NULL ? is_good(b) && v.by_policy : fails(b, row[i].word));
        bp_case_end(row[i].name);
    }
}

/* A device whose evidence says that it is not as it should be: the verdict of a bundle cannot be made better. */
BP_CASE(a_bad_device_cannot_be_shown_as_good)
{
    static struct rig bad;
    BP_NEED(start(&bad));
    rig_run(&bad, "/tmp/foreign", "1");
    BP_NEED(answer(&bad, 100));
    const bp_span truth = maker_bundle(&server, &bad, NULL, false, work, sizeof work);
    BP_CHECK(is_good(truth) && v.ear.status == BP_TIER_CONTRAINDICATED && v.ear.findings != 0);
    const struct maker_lie lie = {.has_tier = true, .tier = BP_TIER_AFFIRMING};
    BP_CHECK(fails(maker_bundle(&server, &bad, &lie, false, work, sizeof work), "replay-tier"));
    BP_CHECK(maker_releases(&server, &rig));
    rig_done(&bad);
}

/* --- members of another bundle --- */

static void swap_head(struct bp_bundle *b, const struct bp_bundle *o) { b->head = o->head; }
static void swap_proof(struct bp_bundle *b, const struct bp_bundle *o)
{
    b->index = o->index;
    b->size = o->size;
    b->hashes = o->hashes;
    memcpy(b->hash, o->hash, sizeof b->hash);
}
static void swap_event(struct bp_bundle *b, const struct bp_bundle *o) { b->event = o->event; }
static void swap_ear(struct bp_bundle *b, const struct bp_bundle *o) { b->ear = o->ear; }
static void swap_evidence(struct bp_bundle *b, const struct bp_bundle *o) { b->evidence = o->evidence; }
static void swap_nonce(struct bp_bundle *b, const struct bp_bundle *o)
{
    b->nonce = o->nonce;
    b->seq = o->seq;
    b->issued_ms = o->issued_ms;
}
static void swap_binding(struct bp_bundle *b, const struct bp_bundle *o) { b->ak_binding = o->ak_binding; }
static void swap_references(struct bp_bundle *b, const struct bp_bundle *o)
{
    b->references = o->references;
    memcpy(b->reference, o->reference, sizeof b->reference);
}
static void swap_state(struct bp_bundle *b, const struct bp_bundle *o) { b->state = o->state; }
static void swap_logs(struct bp_bundle *b, const struct bp_bundle *o)
{
    b->logs = o->logs;
    memcpy(b->log, o->log, sizeof b->log);
}
static void drop_policy(struct bp_bundle *b, const struct bp_bundle *o)
{
    (void)o;
    b->policy = BP_SPAN_EMPTY;
}
static void swap_chain(struct bp_bundle *b, const struct bp_bundle *o)
{
    (void)o;
    for (uint32_t i = 0; i < 4; i++) {
        static const enum maker_key key[] = {MAKER_LOG, MAKER_RESULT, MAKER_BIND, MAKER_ROOT};
        b->cert[i] = bp_span_of(stranger.der[key[i]], stranger.der_n[key[i]]);
    }
}
static void longer_chain(struct bp_bundle *b, const struct bp_bundle *o)
{
    (void)o;
    b->certs = 5;
    b->cert[4] = b->cert[3];
}

static void swaps(void)
{
    static const struct {
        const char *name;
        void (*change)(struct bp_bundle *b, const struct bp_bundle *o);
        const bp_span *of;
    } row[] = {
#define ROW(f, of) {"swap." #f "." #of, f, &of##_bundle}
        ROW(swap_head, first), ROW(swap_head, other), ROW(swap_proof, first), ROW(swap_event, first),
        ROW(swap_event, other), ROW(swap_ear, first), ROW(swap_ear, other), ROW(swap_evidence, first),
        ROW(swap_evidence, other), ROW(swap_nonce, first), ROW(swap_nonce, other), ROW(swap_binding, other),
        ROW(swap_references, other), ROW(swap_state, first), ROW(swap_state, other), ROW(drop_policy, other),
        ROW(swap_chain, other), ROW(longer_chain, other),
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        static struct bp_bundle b, o;
        size_t n = 0;
        bp_case_begin();
        BP_CHECK(!bp_failed(bp_bundle_read(later_bundle, &b)) && !bp_failed(bp_bundle_read(*row[i].of, &o)));
        row[i].change(&b, &o);
        BP_CHECK(!bp_failed(bp_bundle_write(&b, work, sizeof work, &n)));
        const bp_span made = bp_span_of(work, n);
        BP_CHECK(bp_span_equal(made, later_bundle) || fails(made, NULL));
        BP_CHECK(!bp_span_equal(made, later_bundle) || row[i].change == swap_references);
        bp_case_end(row[i].name);
    }
}

BP_CASE(logs_without_state_are_refused)
{
    static struct bp_bundle b, o;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_bundle_read(first_bundle, &b)) && !bp_failed(bp_bundle_read(later_bundle, &o)));
    swap_logs(&b, &o);
    BP_NEED(!bp_failed(bp_bundle_write(&b, work, sizeof work, &n)));
    BP_CHECK(fails(bp_span_of(work, n), "logs"));
}

BP_CASE(a_second_signature_is_refused)
{
    static struct bp_bundle b;
    static char head[8192];
    size_t n = 0;
    BP_NEED(!bp_failed(bp_bundle_read(first_bundle, &b)));
    const int len = snprintf(head, sizeof head, "%.*s\xe2\x80\x94 other.example MTIzNDU=\n", (int)b.head.n,
                             (const char *)b.head.p);
    b.head = bp_span_of(head, (size_t)len);
    BP_NEED(!bp_failed(bp_bundle_write(&b, work, sizeof work, &n)));
    BP_CHECK(fails(bp_span_of(work, n), "head-form"));
}

/* --- bits --- */

static void flip_all(bp_span bundle, size_t step, size_t *ret_flips, size_t *ret_passed)
{
    memcpy(work, bundle.p, bundle.n);
    for (size_t bit = 0; bit < bundle.n * 8; bit += step) {
        work[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (is_good(bp_span_of(work, bundle.n)) || v.reason[0] == 0) {
            printf("# bit %zu of byte %zu passes\n", bit % 8, bit / 8);
            ++*ret_passed;
        }
        work[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ++*ret_flips;
    }
}

/* A sample over the whole of both, each time another bit of a byte; the interop test flips more. */
BP_CASE(flipped_bits_are_refused)
{
    size_t flips = 0, passed = 0;
    flip_all(first_bundle, 83, &flips, &passed);
    flip_all(later_bundle, 83, &flips, &passed);
    printf("# %zu flips\n", flips);
    BP_CHECK(flips > 1000 && passed == 0);
}

BP_CASE(truncations_are_refused)
{
    for (size_t n = 0; n < first_bundle.n; n += 7) {
        if (!BP_CHECK(fails(bp_span_of(first_bundle.p, n), "form"))) {
            return;
        }
    }
}

BP_CASE(steps_are_named)
{
    for (int i = 0; i < BP_V_COUNT; i++) {
        const struct bp_verify_row row = bp_verify_row((enum bp_verify_step)i);
        BP_CHECK(row.name != NULL && row.text[0] != 0);
    }
    BP_CHECK(bp_verify_row(BP_V_COUNT).name == NULL);
}

BP_CASE(teardown)
{
    rig_done(&rig);
    rig_done(&rig2);
    maker_done(&server);
    maker_done(&stranger);
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

BP_SUITE(verify, BP_RUN(setup) BP_RUN(first_contact_verifies) BP_RUN(with_state_and_earlier_logs_verifies)
                     BP_RUN(other_device_verifies) BP_RUN(without_policy_verifies) BP_RUN(another_anchor_is_refused)
                         BP_TABLE(lies) BP_RUN(a_bad_device_cannot_be_shown_as_good) BP_TABLE(swaps)
                             BP_RUN(logs_without_state_are_refused) BP_RUN(a_second_signature_is_refused)
                                 BP_RUN(flipped_bits_are_refused) BP_RUN(truncations_are_refused)
                                     BP_RUN(steps_are_named) BP_RUN(teardown))
