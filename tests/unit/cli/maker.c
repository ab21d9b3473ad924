/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/maker - the makers. */
#include "maker.h"

#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/event.h"
#include "codec/note.h"
#include "codec/release.h"
#include "core/merkle.h"
#include "platform/linux/entropy.h"

#include <stdlib.h>

#define DAY_MS 86400000LL
#define ROOM   65536u

static const char policy[] = "name: test\nrules: []\n";
static uint8_t manifest[RIG_RELEASES_MAX][RIG_CORIM_MAX + 1024];
static size_t manifest_n[RIG_RELEASES_MAX];

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

static bool issue(struct maker *m, enum maker_key who, enum bp_cert_profile profile, const char *cn, enum maker_key by,
                  int64_t now_ms)
{
    const struct bp_entropy entropy = bp_entropy_linux();
    const struct bp_signer signer = bp_key_signer(m->key[by]);
    struct bp_issuer issuer = {.signer = signer};
    if (who != by && !ok(bp_issuer_of(bp_span_of(m->der[by], m->der_n[by]), &signer, &issuer))) {
        return false;
    }
    const bp_span server = BP_SPAN_STR("server.example");
    const struct bp_cert_request q = {.profile = profile,
                                      .dns = &server,
                                      .dns_count = profile == BP_CERT_ISSUING ? 1 : 0,
                                      .spki = bp_key_spki(m->key[who]),
                                      .common_name = bp_span_cstr(cn),
                                      .organisation = BP_SPAN_STR("Test plant"),
                                      .not_before_ms = now_ms - DAY_MS,
                                      .not_after_ms = now_ms + 3650 * DAY_MS};
    return ok(bp_cert_issue(m->c, &entropy, &issuer, &q, m->der[who], sizeof m->der[who], &m->der_n[who]));
}

bool maker_make(struct maker *m, struct bp_crypto *c, int64_t now_ms)
{
    memset(m, 0, sizeof *m);
    m->c = c;
    for (int i = 0; i < MAKER_KEYS; i++) {
        if (!ok(bp_key_make(i == MAKER_ROOT ? BP_KEY_P384 : BP_KEY_P256, &m->key[i]))) {
            return false;
        }
    }
    return issue(m, MAKER_ROOT, BP_CERT_ROOT, "root", MAKER_ROOT, now_ms) &&
           issue(m, MAKER_LOG, BP_CERT_LOG, "log.example", MAKER_ROOT, now_ms) &&
           issue(m, MAKER_RESULT, BP_CERT_RESULT, "results", MAKER_ROOT, now_ms) &&
           issue(m, MAKER_BIND, BP_CERT_BIND, "bindings", MAKER_ROOT, now_ms) &&
           issue(m, MAKER_ISSUING, BP_CERT_ISSUING, "issuing", MAKER_ROOT, now_ms) &&
           issue(m, MAKER_DEVICE, BP_CERT_DEVICE, "d-1", MAKER_ISSUING, now_ms) &&
           issue(m, MAKER_RECOVERY, BP_CERT_RECOVERY, "recovery", MAKER_ROOT, now_ms) &&
           ok(bp_hash(c, BP_HASH_SHA256, bp_span_of(m->der[MAKER_ROOT], m->der_n[MAKER_ROOT]), m->anchor));
}

void maker_done(struct maker *m)
{
    for (int i = 0; i < MAKER_KEYS; i++) {
        bp_key_free(m->key[i]);
        m->key[i] = NULL;
    }
}

bool maker_releases(struct maker *m, struct rig *r)
{
    for (uint32_t i = 0; i < r->sources; i++) {
        const struct bp_release rel = {.product = BP_SPAN_STR("gateway"),
                                       .model = BP_SPAN_STR("test"),
                                       .version = BP_SPAN_STR("1"),
                                       .counter = i + 1,
                                       .key_epoch = 1,
                                       .created_ms = (uint64_t)r->now_ms,
                                       .corim = r->source[i].corim};
        if (!ok(bp_release_write(&rel, manifest[i], sizeof manifest[i], &manifest_n[i])) ||
            !ok(bp_hash(m->c, BP_HASH_SHA256, bp_span_of(manifest[i], manifest_n[i]), r->release_id[i]))) {
            return false;
        }
    }
    return true;
}

/* --- objects --- */

static bool sign(struct maker *m, enum maker_key who, const char *content, bp_span payload, uint8_t *ret, size_t cap,
                 size_t *ret_n)
{
    static uint8_t scratch[ROOM];
    uint8_t kid[32];
    const struct bp_signer signer = bp_key_signer(m->key[who]);
    const struct bp_cose_header header = {.content_type = bp_span_cstr(content), .kid = BP_SPAN_OF(kid)};
    return ok(bp_hash(m->c, BP_HASH_SHA256, bp_key_spki(m->key[who]), kid)) &&
           ok(bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, scratch, sizeof scratch, ret, cap, ret_n));
}

static enum maker_key who(enum maker_key asked, enum maker_key right)
{
    return asked == MAKER_ROOT ? right : asked;
}

static bool make_binding(struct maker *m, struct rig *r, const struct maker_lie *lie, uint8_t *ret, size_t cap, size_t *n)
{
    static uint8_t payload[BP_AKBINDING_MAX];
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    size_t payload_n = 0;
    uint8_t ek[32];
    if (!ok(bp_tpm_public_read(bp_span_of(r->ak_public, r->ak_public_n), &pub)) || !ok(bp_tpm_name(m->c, &pub, &name))) {
        return false;
    }
    memcpy(ek, r->device_id + 1, sizeof ek);
    const struct bp_akbinding b = {.device_id = BP_SPAN_OF(r->device_id),
                                   .ak_name = bp_tpm_name_span(&name),
                                   .issuer_class = bp_span_cstr(r->root_class),
                                   .time_ms = r->as_of_ms,
                                   .eks = 1,
                                   .ek = {BP_SPAN_OF(ek)},
                                   .ak = bp_span_of(r->ak_public, r->ak_public_n),
                                   .qualified = {lie->other_parent ? bp_tpm_name_span(&name) : bp_tpm_name_span(&r->qualified)}};
    return ok(bp_akbinding_write(&b, payload, sizeof payload, &payload_n)) &&
           sign(m, who(lie->bind_key, MAKER_BIND), BP_AKBINDING_CONTENT, bp_span_of(payload, payload_n), ret, cap, n);
}

static bool make_ear(struct maker *m, struct rig *r, const struct maker_lie *lie, uint64_t tier, uint8_t *ret, size_t cap,
                     size_t *n)
{
    static uint8_t payload[ROOM];
    const struct bp_appraisal *a = &r->out;
    uint8_t policy_digest[32];
    size_t payload_n = 0;
    if (!ok(bp_hash(m->c, BP_HASH_SHA256, bp_span_cstr(policy), policy_digest))) {
        return false;
    }
    struct bp_ear ear = {.iat_s = r->now_ms / 1000,
                         .nonce = BP_SPAN_OF(r->nonce),
                         .profile = BP_SPAN_STR(BP_EAR_PROFILE),
                         .developer = BP_SPAN_STR("bedplate"),
                         .build = BP_SPAN_STR("test"),
                         .status = tier,
                         .pseudonym = BP_SPAN_STR("d-1"),
                         .device_id = BP_SPAN_OF(r->device_id),
                         .evidence_digest = BP_SPAN_OF(a->evidence_digest),
                         .references_digest = BP_SPAN_OF(a->references_digest),
                         .policy_digest = lie->no_policy ? BP_SPAN_EMPTY : BP_SPAN_OF(policy_digest),
                         .as_of_ms = r->as_of_ms,
                         .keys = a->keys,
                         .reason = a->reason};
    for (unsigned i = 0; i < BP_AR_COUNT; i++) {
        ear.vector[i] = a->vector[i];
        ear.has_vector |= (uint8_t)(a->vector[i] != 0 ? 1u << i : 0u);
    }
    for (uint32_t i = 0; i < a->keys; i++) {
        ear.key[i] = BP_SPAN_OF(a->key[i]);
    }
    for (uint32_t i = 0; i < a->findings; i++) {
        const struct bp_finding_row row = bp_finding_row(a->finding[i].id);
        ear.finding[ear.findings++] =
            (struct bp_ear_finding){bp_span_cstr(row.code), bp_effect_tier(row.effect), a->finding[i].text};
    }
    struct maker other = *m;
    if (lie->result_of != NULL) {
        other = *lie->result_of;
    }
    return ok(bp_ear_write(&ear, payload, sizeof payload, &payload_n)) &&
           sign(&other, who(lie->result_key, MAKER_RESULT), BP_EAR_CONTENT, bp_span_of(payload, payload_n), ret, cap, n);
}

static struct bp_event_detail bytes_detail(bp_span key, bp_span value)
{
    return (struct bp_event_detail){.key = key, .kind = BP_VAL_BYTES, .bytes = value};
}

static struct bp_event_detail int_detail(bp_span key, int64_t value)
{
    return (struct bp_event_detail){.key = key, .kind = BP_VAL_INT, .number = value};
}

static bool make_event(struct maker *m, struct rig *r, const struct maker_lie *lie, uint64_t number, uint64_t tier,
                       bp_span ear, bp_span state, uint8_t *ret, size_t cap, size_t *n)
{
    static struct bp_event e;
    uint8_t ear_digest[32], state_digest[32];
    if (!ok(bp_hash(m->c, BP_HASH_SHA256, ear, ear_digest)) || !ok(bp_hash(m->c, BP_HASH_SHA256, state, state_digest))) {
        return false;
    }
    e = (struct bp_event){.number = number,
                          .time_ms = r->now_ms + 5,
                          .type = BP_EV_VERDICT,
                          .source = BP_SPAN_STR("keeper"),
                          .source_number = number,
                          .device = BP_SPAN_STR("d-1"),
                          .actor = BP_SPAN_STR("keeper")};
    size_t d = 0;
    e.detail[d++] = int_detail(BP_SPAN_STR("at_ms"), r->now_ms);
    e.detail[d++] = bytes_detail(BP_SPAN_STR("ear"), BP_SPAN_OF(ear_digest));
    e.detail[d++] = bytes_detail(BP_SPAN_STR("evidence"), BP_SPAN_OF(r->out.evidence_digest));
    e.detail[d++] = (struct bp_event_detail){.key = BP_SPAN_STR("reason"), .kind = BP_VAL_TEXT, .bytes = r->out.reason};
    e.detail[d++] = int_detail(BP_SPAN_STR("seq"), (int64_t)r->seq);
    if (state.n != 0) {
        e.detail[d++] = bytes_detail(BP_SPAN_STR("state"), BP_SPAN_OF(state_digest));
    }
    e.detail[d++] = int_detail(BP_SPAN_STR("tier"), (int64_t)tier);
    if (!lie->drop_zone) {
        e.detail[d++] =
            (struct bp_event_detail){.key = BP_SPAN_STR("zone"), .kind = BP_VAL_TEXT, .bytes = BP_SPAN_STR("north")};
    }
    e.detail_count = d;
    return ok(bp_event_write(&e, ret, cap, n));
}

/* --- the log --- */

static uint8_t leaf[MAKER_EVENTS][32];

static bp_result node(void *self, unsigned level, uint64_t index, uint8_t ret[32])
{
    struct maker *m = self;
    if (level == 0) {
        memcpy(ret, leaf[index], 32);
        return BP_OK;
    }
    uint8_t below[16][32];
    const uint64_t first = index << level;
    uint64_t n = UINT64_C(1) << level;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(below[i], leaf[first + i], 32);
    }
    for (; n > 1; n /= 2) {
        for (uint64_t i = 0; i < n / 2; i++) {
            const bp_result r = bp_merkle_node(m->c, below[2 * i], below[2 * i + 1], below[i]);
            if (bp_failed(r)) {
                return r;
            }
        }
    }
    memcpy(ret, below[0], 32);
    return BP_OK;
}

static bool make_log(struct maker *m, const struct maker_lie *lie, bp_span event, struct bp_bundle *b, uint8_t *head,
                     size_t cap, uint8_t proof[BP_MERKLE_MAX_PROOF * 32])
{
    const enum maker_key signer_key = who(lie->head_key, MAKER_LOG);
    const struct bp_signer signer = bp_key_signer(m->key[signer_key]);
    const struct bp_merkle_nodes nodes = {.self = m, .node = node};
    uint8_t digest[32], root[32];
    size_t n = 0;
    for (uint64_t i = 0; i < MAKER_EVENTS; i++) {
        uint8_t text[8];
        (void)snprintf((char *)text, sizeof text, "e%u", (unsigned)i);
        if (!ok(bp_hash(m->c, BP_HASH_SHA256, i == b->index ? event : BP_SPAN_OF(text), digest)) ||
            !ok(bp_merkle_leaf(m->c, BP_SPAN_OF(digest), leaf[i]))) {
            return false;
        }
    }
    b->size = MAKER_EVENTS;
    if (!ok(bp_merkle_root_of(m->c, &nodes, MAKER_EVENTS, root)) ||
        !ok(bp_merkle_prove_inclusion(m->c, &nodes, b->index, b->size, proof, &n)) ||
        !ok(bp_checkpoint_write(m->c, &signer, bp_key_spki(m->key[signer_key]), BP_SPAN_STR("log.example"), MAKER_EVENTS,
                                root, head, cap, &cap))) {
        return false;
    }
    b->head = bp_span_of(head, cap);
    b->hashes = (uint32_t)(n / 32);
    for (uint32_t i = 0; i < b->hashes; i++) {
        b->hash[i] = bp_span_of(proof + (size_t)i * 32, 32);
    }
    return true;
}

/* --- all of it --- */

static int by_id(const void *x, const void *y)
{
    const struct bp_bundle_reference *a = x, *b = y;
    return memcmp(a->id.p, b->id.p, 32);
}

static void put_references(struct rig *r, struct bp_bundle *b)
{
    b->references = r->sources;
    for (uint32_t i = 0; i < r->sources; i++) {
        b->reference[i] = (struct bp_bundle_reference){r->source[i].id, r->source[i].state, r->source[i].zone,
                                                       bp_span_of(manifest[i], manifest_n[i])};
    }
    qsort(b->reference, b->references, sizeof b->reference[0], by_id);
}

static void put_logs(struct rig *r, const struct maker_lie *lie, uint64_t held, struct bp_bundle *b)
{
    if (lie->with_logs && b->state.n != 0) {
        b->log[b->logs++] = bp_span_of(r->log, r->log_n - (lie->other_log ? 1 : 0));
        b->log[b->logs++] = bp_span_of(r->ima, r->ima_end[held - 1]);
    }
}

bp_span maker_bundle(struct maker *m, struct rig *r, const struct maker_lie *lie, bool keep, uint8_t *room, size_t cap)
{
    static const struct maker_lie truth;
    static const uint8_t zero[32];
    static uint8_t ear[ROOM], bound[BP_AKBINDING_SIGNED], ev[BP_EVENT_MAX], head[4096], old[BP_STATE_MAX];
    static uint8_t proof[BP_MERKLE_MAX_PROOF * 32];
    static struct bp_bundle b;
    size_t ear_n = 0, bound_n = 0, ev_n = 0, n = 0;
    lie = lie != NULL ? lie : &truth;
    memcpy(old, r->state, r->state_n);
    const bp_span state = bp_span_of(old, r->state_n);
    const uint64_t held = r->held_ima;
    if (!ok(rig_appraise(r, NULL, keep)) || !r->out.accepted) {
        return BP_SPAN_EMPTY;
    }
    const uint64_t tier = lie->has_tier ? lie->tier : r->out.tier;
    memset(&b, 0, sizeof b);
    b.index = lie->number != 0 ? lie->number : 5;
    if (!make_binding(m, r, lie, bound, sizeof bound, &bound_n) || !make_ear(m, r, lie, tier, ear, sizeof ear, &ear_n) ||
        !make_event(m, r, lie, b.index, tier, bp_span_of(ear, ear_n), state, ev, sizeof ev, &ev_n) ||
        !make_log(m, lie, bp_span_of(ev, ev_n), &b, head, sizeof head, proof)) {
        return BP_SPAN_EMPTY;
    }
    b.event = bp_span_of(ev, ev_n);
    b.ear = bp_span_of(ear, ear_n);
    b.evidence = bp_span_of(r->evidence, r->evidence_n);
    b.nonce = BP_SPAN_OF(r->nonce);
    b.seq = r->seq;
    b.issued_ms = (uint64_t)r->as_of_ms;
    b.ak_binding = bp_span_of(bound, bound_n);
    b.binding = BP_SPAN_OF(zero);
    const enum maker_key chain[] = {who(lie->head_key, MAKER_LOG), who(lie->result_key, MAKER_RESULT),
                                    who(lie->bind_key, MAKER_BIND), MAKER_ROOT};
    b.certs = 4;
    for (uint32_t i = 0; i < 4; i++) {
        const struct maker *of = i == 1 && lie->result_of != NULL ? lie->result_of : m;
        b.cert[i] = bp_span_of(of->der[chain[i]], of->der_n[chain[i]]);
    }
    put_references(r, &b);
    b.policy = lie->no_policy ? BP_SPAN_EMPTY : bp_span_cstr(policy);
    b.state = state;
    put_logs(r, lie, held, &b);
    return ok(bp_bundle_write(&b, room, cap, &n)) ? bp_span_of(room, n) : BP_SPAN_EMPTY;
}

bp_span maker_tile(void)
{
    return bp_span_of(leaf, sizeof leaf);
}
