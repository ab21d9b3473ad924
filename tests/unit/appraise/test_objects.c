/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/test_objects - device-state, appraisal and the body of the op, both directions; the compiled set
 * of reference values; the tables of findings and claims. */
#include "harness.h"
#include "unit/appraise/rig.h"

static struct bp_crypto *crypto;
static struct rig rig;
static uint8_t room[BP_APPRAISAL_MAX];
static uint8_t again[BP_APPRAISAL_MAX];
static const char *const programs[] = {"/bin/agent", "1", "/bin/shell", "1", NULL};

BP_CASE(setup)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(16, &crypto)) && rig_make(&rig, crypto));
    (void)rig_release(&rig, "gateway 1", "*", &rig_os_1, programs);
    BP_NEED(rig_publish(&rig));
    rig_boot(&rig, &rig_os_1);
    rig_run(&rig, "/bin/agent", "1");
    rig_run(&rig, "/tmp/foreign", "1");
    rig.first_contact = true;
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(rig.out.accepted && rig.out.tier == BP_TIER_CONTRAINDICATED);
}

/* --- state --- */

BP_CASE(state_comes_back_as_it_was)
{
    struct bp_device_state s;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_device_state_read(bp_span_of(rig.state, rig.state_n), &s)));
    BP_CHECK(s.reset_count == rig.reset_count && s.clock_ms == rig.clock_ms && s.safe && s.has_log);
    BP_CHECK(s.server_ms == rig.now_ms && s.as_of_ms == rig.as_of_ms && s.ima_count == 3 && s.ima_unknown == 1);
    BP_CHECK(s.releases == 1 && s.sticky == 1 && s.sticky_finding[0].id == BP_F_IMA_PROGRAM);
    BP_CHECK(s.has_secure_boot && s.secure_boot && s.pcrs.n == 13 * 32);
    BP_CHECK(!bp_failed(bp_device_state_write(&s, room, sizeof room, &n)));
    BP_CHECK(n == rig.state_n && memcmp(room, rig.state, n) == 0);
    for (size_t cap = 0; cap < n; cap++) {
        size_t need = 0;
        BP_CHECK(bp_is(bp_device_state_write(&s, room, cap, &need), BP_E_NO_SPACE) && need == n);
    }
}

BP_CASE(state_that_could_not_be_read_is_not_written)
{
    struct bp_device_state s;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_device_state_read(bp_span_of(rig.state, rig.state_n), &s)));
    struct bp_device_state bad = s;
    bad.releases = BP_STATE_RELEASES_MAX + 1;
    BP_CHECK(bp_is(bp_device_state_write(&bad, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    bad = s;
    bad.sticky = BP_STATE_STICKY_MAX + 1;
    BP_CHECK(bp_is(bp_device_state_write(&bad, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    bad = s;
    bad.pcrs.n--;
    BP_CHECK(bp_is(bp_device_state_write(&bad, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    bad = s;
    bad.server_ms = -1;
    BP_CHECK(bp_is(bp_device_state_write(&bad, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

/* Every truncation and every flipped bit: refused with the output untouched, or read to something that is written back
 * as the same bytes. */
BP_CASE(state_refused_changes_nothing)
{
    static struct bp_device_state s;
    static struct bp_device_state before;
    unsigned refused = 0;
    memset(&before, 0xa5, sizeof before);
    memcpy(again, rig.state, rig.state_n);
    for (size_t n = 0; n < rig.state_n; n++) {
        s = before;
        BP_CHECK(bp_failed(bp_device_state_read(bp_span_of(again, n), &s)) && memcmp(&s, &before, sizeof s) == 0);
    }
    for (size_t i = 0; i < rig.state_n * 8; i++) {
        size_t n = 0;
        again[i / 8] ^= (uint8_t)(1u << i % 8);
        s = before;
        if (bp_failed(bp_device_state_read(bp_span_of(again, rig.state_n), &s))) {
            refused++;
            BP_CHECK(memcmp(&s, &before, sizeof s) == 0);
        } else if (i / 8 > 18) { /* past the head, of which a newer minor is read too */
            BP_CHECK(!bp_failed(bp_device_state_write(&s, room, sizeof room, &n)) && n == rig.state_n &&
                     memcmp(room, again, n) == 0);
        }
        again[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    BP_CHECK(refused > 100);
}

/* --- appraisal --- */

static bool same_claims(const struct bp_appraisal *a, const struct bp_appraisal *b)
{
    for (unsigned i = 0; i < BP_C_COUNT; i++) {
        const struct bp_claim *x = &a->claim[i];
        const struct bp_claim *y = &b->claim[i];
        if (x->is_set != y->is_set || x->number != y->number || !bp_span_equal(x->bytes, y->bytes)) {
            return false;
        }
    }
    return true;
}

BP_CASE(appraisal_comes_back_as_it_was)
{
    static struct bp_appraisal a;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_appraisal_write(&rig.out, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_appraisal_read(bp_span_of(room, n), &a)));
    BP_CHECK(a.accepted && a.tier == rig.out.tier && memcmp(a.vector, rig.out.vector, sizeof a.vector) == 0);
    BP_CHECK(bp_span_equal(a.reason, rig.out.reason) && bp_span_equal(a.state, rig.out.state));
    BP_CHECK(a.findings == rig.out.findings && a.finding[0].id == rig.out.finding[0].id && a.finding[0].at == 2);
    BP_CHECK(same_claims(&a, &rig.out) && a.keys == 1 && memcmp(a.key[0], rig.ldevid_hash, 32) == 0);
    BP_CHECK(a.has_log && memcmp(a.held_log, rig.out.held_log, 32) == 0 && a.held_ima == 3);
    BP_CHECK(a.activation.n == 32 && a.releases == 1 && a.seq == rig.seq && a.issued_ms == (uint64_t)rig.as_of_ms);
    BP_CHECK(memcmp(a.evidence_digest, rig.out.evidence_digest, 32) == 0);
    BP_CHECK(memcmp(a.references_digest, rig.refs.digest, 32) == 0);
    for (unsigned i = 0; i < BP_TILE_COUNT; i++) {
        BP_CHECK(a.tile[i].tier == rig.out.tile[i].tier && bp_span_equal(a.tile[i].text, rig.out.tile[i].text));
    }
    BP_CHECK(!bp_failed(bp_appraisal_write(&a, again, sizeof again, &m)) && m == n && memcmp(room, again, n) == 0);
    for (size_t cap = 0; cap < n; cap += 13) {
        BP_CHECK(bp_is(bp_appraisal_write(&a, again, cap, &m), BP_E_NO_SPACE) && m == n);
    }
}

BP_CASE(appraisal_of_refused_evidence)
{
    static struct bp_appraisal a;
    size_t n = 0;
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL));
    rig.evidence_n--;
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, false)));
    BP_NEED(!bp_failed(bp_appraisal_write(&rig.out, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_appraisal_read(bp_span_of(room, n), &a)));
    BP_CHECK(!a.accepted && a.tier == 0 && a.findings == 1 && a.state.n == 0 && !a.has_log && a.keys == 0);
}

BP_CASE(appraisal_refused_changes_nothing)
{
    static struct bp_appraisal a;
    static struct bp_appraisal before;
    size_t n = 0, m = 0;
    unsigned refused = 0;
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL) && !bp_failed(rig_appraise(&rig, NULL, false)));
    BP_NEED(!bp_failed(bp_appraisal_write(&rig.out, room, sizeof room, &n)));
    memset(&before, 0xa5, sizeof before);
    for (size_t i = 0; i < n; i++) {
        a = before;
        BP_CHECK(bp_failed(bp_appraisal_read(bp_span_of(room, i), &a)) && memcmp(&a, &before, sizeof a) == 0);
    }
    for (size_t i = 0; i < n * 8; i += 3) {
        room[i / 8] ^= (uint8_t)(1u << i % 8);
        a = before;
        if (bp_failed(bp_appraisal_read(bp_span_of(room, n), &a))) {
            refused++;
            BP_CHECK(memcmp(&a, &before, sizeof a) == 0);
        } else if (i / 8 > 24) { /* past the head, of which a newer minor is read too */
            BP_CHECK(!bp_failed(bp_appraisal_write(&a, again, sizeof again, &m)));
            BP_CHECK(!a.accepted || (m == n && memcmp(again, room, n) == 0));
        }
        room[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    BP_CHECK(refused > 500);
}

/* --- request --- */

BP_CASE(request_comes_back_as_it_was)
{
    struct bp_appraise_request req, back;
    size_t n = 0, m = 0;
    rig_request(&rig, &req);
    BP_NEED(!bp_failed(bp_appraise_request_write(&req, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_appraise_request_read(bp_span_of(room, n), &back)));
    BP_CHECK(bp_span_equal(back.evidence, req.evidence) && bp_span_equal(back.nonce, req.nonce) &&
             bp_span_equal(back.device_id, req.device_id) && bp_span_equal(back.ldevid, req.ldevid) &&
             bp_span_equal(back.binding, req.binding) && bp_span_equal(back.ak, req.ak) &&
             bp_span_equal(back.state, req.state) && bp_span_equal(back.zone, req.zone) &&
             bp_span_equal(back.root_class, req.root_class) && back.parents == 1 &&
             bp_span_equal(back.qualified[0], req.qualified[0]));
    BP_CHECK(back.as_of_ms == req.as_of_ms && back.now_ms == req.now_ms && back.activation == req.activation);
    BP_CHECK(!bp_failed(bp_appraise_request_write(&back, again, sizeof again, &m)) && m == n &&
             memcmp(room, again, n) == 0);
    for (size_t i = 0; i < n; i++) {
        BP_CHECK(bp_failed(bp_appraise_request_read(bp_span_of(room, i), &back)));
    }
    room[0]--; /* a member less */
    BP_CHECK(bp_failed(bp_appraise_request_read(bp_span_of(room, n), &back)));
    req.now_ms = -1;
    BP_CHECK(bp_is(bp_appraise_request_write(&req, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    req.now_ms = 1;
    for (uint32_t parents = 0; parents <= BP_AKBINDING_EKS_MAX + 1; parents += BP_AKBINDING_EKS_MAX + 1) {
        req.parents = parents;
        BP_CHECK(bp_is(bp_appraise_request_write(&req, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    }
    req.parents = 1;
    req.qualified[0].n = 33;
    BP_CHECK(bp_is(bp_appraise_request_write(&req, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

/* --- reference values --- */

BP_CASE(set_finds_every_digest_and_no_other)
{
    BP_CHECK(rig.refs.releases == 1 && rig.refs.entries > 10);
    for (uint32_t i = 0; i < rig.refs.entries; i++) {
        const uint32_t at = bp_refset_find(&rig.refs, rig.refs.entry[i].digest);
        BP_CHECK(at <= i && bp_span_equal(rig.refs.entry[at].digest, rig.refs.entry[i].digest));
        BP_CHECK(i == 0 || memcmp(rig.refs.entry[i - 1].digest.p, rig.refs.entry[i].digest.p, 32) <= 0);
        uint8_t near[32];
        memcpy(near, rig.refs.entry[i].digest.p, 32);
        near[31] ^= 1;
        BP_CHECK(bp_refset_find(&rig.refs, BP_SPAN_OF(near)) == rig.refs.entries);
    }
    BP_CHECK(bp_refset_find(&rig.refs, BP_SPAN_EMPTY) == rig.refs.entries);
    const struct bp_ref_release *rel = &rig.refs.release[0];
    BP_CHECK(rel->wants_secure_boot && rel->programs == 2 && bp_span_equal(rel->model, BP_SPAN_STR("test")));
    BP_CHECK(rel->group_count > 5 && rel->groups == (UINT64_C(1) << rel->group_count) - 1);
}

BP_CASE(set_counts_by_zone_and_state)
{
    static struct rig r;
    BP_NEED(rig_make(&r, crypto));
    (void)rig_release(&r, "a", "*", NULL, programs);
    (void)rig_release(&r, "b", "north", NULL, programs);
    (void)rig_release(&r, "c", "south", NULL, programs);
    r.source[0].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&r));
    BP_CHECK(bp_refset_count(&r.refs, BP_SPAN_STR("north")) == 1 && bp_refset_count(&r.refs, BP_SPAN_STR("west")) == 0);
    BP_CHECK(bp_refset_release(&r.refs, r.source[2].id, BP_SPAN_STR("north")) == NULL);
    BP_CHECK(bp_refset_release(&r.refs, r.source[0].id, BP_SPAN_STR("north")) == &r.release[0]);
    /* the same release twice: the stricter row counts */
    r.source[0].state = BP_RELEASE_ACCEPTED;
    r.source[1] = r.source[0];
    r.source[1].zone = BP_SPAN_STR("north");
    r.source[1].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&r));
    BP_CHECK(bp_refset_release(&r.refs, r.source[0].id, BP_SPAN_STR("north"))->state == BP_RELEASE_WITHDRAWN);
    BP_CHECK(bp_refset_release(&r.refs, r.source[0].id, BP_SPAN_STR("west"))->state == BP_RELEASE_ACCEPTED);
    rig_done(&r);
}

/* What a result names: the order in which the rows are given does not count, each row does. The value is computed by
 * hand for one row. */
BP_CASE(set_digest)
{
    static struct rig r;
    uint8_t first[32], want[32];
    static const uint8_t zeros[32];
    BP_NEED(rig_make(&r, crypto));
    (void)rig_release(&r, "a", "*", NULL, programs);
    BP_NEED(rig_publish(&r));
    const bp_span parts[] = {BP_SPAN_OF(zeros), r.source[0].id, BP_SPAN_STR("\1*")};
    BP_NEED(!bp_failed(bp_hash_parts(crypto, BP_HASH_SHA256, parts, 3, want)));
    BP_CHECK(memcmp(r.refs.digest, want, 32) == 0);
    (void)rig_release(&r, "b", "north", NULL, programs);
    BP_NEED(rig_publish(&r));
    memcpy(first, r.refs.digest, 32);
    const struct bp_ref_source swap = r.source[0];
    r.source[0] = r.source[1];
    r.source[1] = swap;
    BP_NEED(rig_publish(&r));
    BP_CHECK(memcmp(first, r.refs.digest, 32) == 0);
    r.source[1].state = BP_RELEASE_DEPRECATED;
    BP_NEED(rig_publish(&r));
    BP_CHECK(memcmp(first, r.refs.digest, 32) != 0);
    rig_done(&r);
}

static size_t put_corim(const struct bp_corim_ref *refs, size_t count)
{
    size_t n = 0;
    return bp_failed(bp_corim_write(BP_SPAN_STR("x"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), refs, count, room, sizeof room, &n))
               ? 0
               : n;
}

BP_CASE(set_refuses_what_it_cannot_judge_by)
{
    static const uint8_t digest[64] = {1};
    static const uint8_t id[32] = {2};
    static struct bp_corim_ref many[80];
    static uint8_t digests[80][32];
    struct bp_ref_release rel;
    static struct bp_ref_entry entry[80];
    struct bp_refset set;
    size_t bad = 9;
    uint32_t n = 0;
    struct bp_corim_ref ref = {.mkey = BP_SPAN_STR("boot/4/required"), .name = BP_SPAN_STR("n"), .digests = 1};
    ref.digest[0] = (struct bp_corim_digest){BP_CORIM_ALG_SHA256, bp_span_of(digest, 32)};
    struct bp_ref_source src = {.id = BP_SPAN_OF(id), .state = BP_RELEASE_ACCEPTED, .zone = BP_SPAN_STR("*")};
#define BUILD() bp_refset_build(crypto, &src, 1, &rel, entry, 80, &bad, &set)
    src.corim = bp_span_of(room, put_corim(&ref, 1));
    BP_CHECK(!bp_failed(BUILD()) && set.entries == 1 && rel.group_count == 1);
    BP_CHECK(!bp_failed(bp_refset_measure(&src, 1, &n)) && n == 1);
    BP_CHECK(bp_is(bp_refset_build(crypto, &src, 1, &rel, entry, 0, &bad, &set), BP_E_NO_SPACE) && bad == 0);
    BP_CHECK(bp_is(bp_refset_build(crypto, &src, BP_REFSET_RELEASES_MAX + 1, &rel, entry, 1, &bad, &set), BP_E_LIMIT));
    src.id.n--;
    BP_CHECK(bp_is(BUILD(), BP_E_MALFORMED));
    src.id.n++;
    src.state = (enum bp_release_state)4;
    BP_CHECK(bp_is(BUILD(), BP_E_MALFORMED));
    src.state = BP_RELEASE_ACCEPTED;
    ref.mkey = BP_SPAN_STR("boot/4/maybe");
    src.corim = bp_span_of(room, put_corim(&ref, 1));
    BP_CHECK(bp_is(BUILD(), BP_E_UNSUPPORTED));
    ref.mkey = BP_SPAN_STR("boot/4/required");
    ref.digest[0].alg = BP_CORIM_ALG_SHA512; /* it could never be found, and the release would look whole without it */
    ref.digest[0].digest = BP_SPAN_OF(digest);
    src.corim = bp_span_of(room, put_corim(&ref, 1));
    BP_CHECK(bp_is(BUILD(), BP_E_UNSUPPORTED));
    ref.digest[0].alg = BP_CORIM_ALG_SHA256;
    src.corim = bp_span_of(room, put_corim(&ref, 1));
    BP_CHECK(bp_is(BUILD(), BP_E_MALFORMED)); /* SHA-256 of 64 bytes */
    for (size_t i = 0; i < 80; i++) {
        digests[i][0] = (uint8_t)i;
        many[i] = ref;
        many[i].digest[0].digest = BP_SPAN_OF(digests[i % 64]);
    }
    src.corim = bp_span_of(room, put_corim(many, 80));
    BP_CHECK(!bp_failed(BUILD()) && rel.group_count == 64 && rel.groups == UINT64_MAX); /* 16 of them are twice there */
    many[64].digest[0].digest = BP_SPAN_OF(digests[64]);
    src.corim = bp_span_of(room, put_corim(many, 80));
    BP_CHECK(bp_is(BUILD(), BP_E_LIMIT));
    src.corim = BP_SPAN_STR("\xa0");
    BP_CHECK(bp_failed(BUILD()) && bp_failed(bp_refset_measure(&src, 1, &n)));
#undef BUILD
}

/* --- tables --- */

BP_CASE(tables_are_in_order)
{
    for (unsigned i = 0; i < BP_F_COUNT; i++) {
        const struct bp_finding_row row = bp_finding_row((enum bp_finding_id)i);
        BP_CHECK(row.code != NULL && row.text != NULL && bp_finding_of_code(bp_span_cstr(row.code)) == i);
    }
    BP_CHECK(bp_finding_row(BP_F_COUNT).code == NULL && bp_finding_of_code(BP_SPAN_STR("no-such")) == BP_F_COUNT);
    for (unsigned i = 0; i < BP_C_COUNT; i++) {
        const struct bp_claim_row row = bp_claim_row((enum bp_claim_id)i);
        BP_CHECK(row.name != NULL && bp_claim_of_name(bp_span_cstr(row.name)) == i);
        BP_CHECK(i == 0 || strcmp(bp_claim_row((enum bp_claim_id)(i - 1)).name, row.name) < 0);
    }
    BP_CHECK(bp_claim_row(BP_C_COUNT).name == NULL && bp_claim_of_name(BP_SPAN_STR("Tier")) == BP_C_COUNT);
    for (unsigned i = 0; i < BP_TILE_COUNT; i++) {
        BP_CHECK(bp_tile_name((enum bp_tile)i)[0] != '?');
    }
    BP_CHECK(bp_effect_tier(BP_FX_NONE) == BP_TIER_NONE && bp_effect_tier(BP_FX_NOTE) == BP_TIER_AFFIRMING &&
             bp_effect_tier(BP_FX_WARN) == BP_TIER_WARNING && bp_effect_tier(BP_FX_CONTRA) == BP_TIER_CONTRAINDICATED);
}

BP_SUITE(objects, BP_RUN(setup) BP_RUN(state_comes_back_as_it_was) BP_RUN(state_that_could_not_be_read_is_not_written)
    BP_RUN(state_refused_changes_nothing) BP_RUN(appraisal_comes_back_as_it_was) BP_RUN(appraisal_of_refused_evidence)
    BP_RUN(appraisal_refused_changes_nothing) BP_RUN(request_comes_back_as_it_was)
    BP_RUN(set_finds_every_digest_and_no_other) BP_RUN(set_counts_by_zone_and_state) BP_RUN(set_digest)
    BP_RUN(set_refuses_what_it_cannot_judge_by) BP_RUN(tables_are_in_order))
