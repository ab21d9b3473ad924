/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_fleetsim - a simulated gateway against what a server does: its credential opens, its evidence is
 * appraised affirming against the release made from its logs, and what is not meant for it is refused. */
#include "appraise/appraise.h"
#include "cli/fleetsim_device.h"
#include "cli/reference.h"
#include "codec/device.h"
#include "core/bootlog.h"
#include "core/tpmkey.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/tpm_credential.h"

#define NOW INT64_C(1790000000000)

static struct bp_crypto *crypto;
static struct bp_sim_maker maker;
static struct bp_sim_model model;
static struct bp_sim_device device;
static uint8_t *corim;
static size_t corim_n;
static struct bp_ref_release release;
static struct bp_ref_entry entry[1024];
static struct bp_refset refs;
static uint8_t evidence[BP_SIM_EVIDENCE_MAX], arena[BP_APPRAISE_ARENA], state[BP_STATE_MAX];
static size_t evidence_n, state_n;
static struct bp_appraisal out;
static const uint8_t binding[32] = {7}, unbound[32];

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

static bool ready(void)
{
    static const uint8_t id[32] = {1};
    struct bp_references set;
    struct bp_reference_trouble trouble;
    size_t bad = 0;
    bp_references_init(&set);
    bool good = ok(bp_crypto_openssl_new(16, &crypto)) && ok(bp_sim_maker_make(&maker, NOW - 1000)) &&
                ok(bp_sim_model_make(crypto, &model)) && ok(bp_sim_device_make(crypto, &maker, NOW, &device)) &&
                ok(bp_references_add_boot_log(crypto, &set, bp_span_of(model.boot, model.boot_n), true, &trouble)) &&
                ok(bp_references_add_ima_log(crypto, &set, bp_span_of(model.ima, model.ima_n), &trouble)) &&
                ok(bp_references_corim(&set, BP_SPAN_STR("sim 1"), BP_SPAN_STR("sim"), BP_SPAN_STR("sim"), &corim, &corim_n));
    bp_references_done(&set);
    const struct bp_ref_source source = {
        .id = BP_SPAN_OF(id), .state = BP_RELEASE_ACCEPTED, .zone = BP_SPAN_STR("*"), .corim = bp_span_of(corim, corim_n)};
    return good && ok(bp_refset_build(crypto, &source, 1, &release, entry, 1024, &bad, &refs));
}

BP_CASE(logs_lead_to_the_quoted_values)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    struct bp_ima_match match;
    const struct bp_ima_point zero = bp_ima_point_zero();
    BP_CHECK(ok(bp_bootlog_open(bp_span_of(model.boot, model.boot_n), BP_HASH_SHA256, &bl)));
    bp_result r = BP_OK;
    while (ok(r)) {
        r = bp_bootlog_next(crypto, &bl, &ev);
    }
    BP_CHECK(bp_is(r, BP_E_NOT_FOUND) && bl.lies == 0);
    memcpy(bl.pcrs.v[10], model.pcrs + 10 * (size_t)BP_SHA256_SIZE, BP_SHA256_SIZE);
    uint32_t bad = 0;
    BP_CHECK(ok(bp_bootlog_compare(&bl, BP_SIM_PCRS, BP_SPAN_OF(model.pcrs), &bad)) && bad == 0);
    BP_CHECK(ok(bp_ima_replay(crypto, BP_HASH_SHA256, &zero, bp_span_of(model.ima, model.ima_n),
                              bp_span_of(model.pcrs + 10 * (size_t)BP_SHA256_SIZE, BP_SHA256_SIZE), &match)));
    BP_CHECK(match.entries == model.ima_count && model.ima_count == BP_SIM_PROGRAMS);
}

/* As the ca signer makes it, for `name` of the attestation key. */
static bool challenge(const struct bp_sim_device *to, uint64_t seq, bp_span name, uint8_t *ret, size_t *ret_n)
{
    static const uint8_t secret[32] = {5};
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_tpm_ek ek = {.name_alg = BP_HASH_SHA256, .sym_bits = 128};
    struct bp_tpm_credential cred;
    uint8_t id[33] = {1};
    if (!ok(bp_tpm_public_read(bp_span_of(to->chip.public_area, to->chip.public_n), &pub)) ||
        !ok(bp_tpm_pubkey(&pub, &room, &ek.key)) || !ok(bp_tpm_make_credential(&ek, name, BP_SPAN_OF(secret), &cred))) {
        return false;
    }
    const struct bp_challenge c = {
        .device_id = BP_SPAN_OF(id),
        .credentials = 1,
        .credential = {{bp_span_of(cred.id_object, cred.id_object_n), bp_span_of(cred.secret, cred.secret_n)}},
        .nonce = bp_span_of(unbound, 32),
        .seq = seq,
        .issued_ms = NOW,
        .state = BP_SPAN_STR("waiting"),
        .device_port = 1234};
    return ok(bp_challenge_write(&c, ret, BP_CHALLENGE_MAX, ret_n));
}

BP_CASE(a_credential_opens_for_its_own_chip_and_key_only)
{
    static uint8_t body[BP_CHALLENGE_MAX];
    size_t n = 0;
    struct bp_sim_device other;
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    BP_CHECK(ok(bp_tpm_public_read(bp_span_of(device.ak_public, device.ak_public_n), &pub)) &&
             ok(bp_tpm_name(crypto, &pub, &name)));
    BP_CHECK(challenge(&device, 1, bp_tpm_name_span(&name), body, &n));
    BP_CHECK(ok(bp_sim_device_make(crypto, &maker, NOW, &other)));
    BP_CHECK(bp_is(bp_sim_take_challenge(crypto, &other, bp_span_of(body, n)), BP_E_DENIED) && other.seq == 0);
    bp_sim_device_done(&other);
    BP_CHECK(ok(bp_sim_take_challenge(crypto, &device, bp_span_of(body, n))) && device.seq == 1 && device.device_port == 1234);
    BP_CHECK(bp_is(bp_sim_take_challenge(crypto, &device, bp_span_of(body, n)), BP_E_REPLAYED));
    name.v[5] ^= 1;
    BP_CHECK(challenge(&device, 2, bp_tpm_name_span(&name), body, &n));
    BP_CHECK(bp_is(bp_sim_take_challenge(crypto, &device, bp_span_of(body, n)), BP_E_DENIED) && device.seq == 1);
}

static bool judge(bool first, const uint8_t bound[32], int64_t now_ms)
{
    struct bp_tpm_public ek, ak;
    struct bp_tpm_name name, child = {0};
    BP_CHECK(ok(bp_tpm_public_read(bp_span_of(device.chip.public_area, device.chip.public_n), &ek)) &&
             ok(bp_tpm_public_read(bp_span_of(device.ak_public, device.ak_public_n), &ak)) &&
             ok(bp_tpm_name(crypto, &ak, &name)) && ok(bp_tpm_child_of_ek(crypto, &ek, bp_tpm_name_span(&name), &child)));
    const struct bp_appraise_request req = {.evidence = bp_span_of(evidence, evidence_n),
                                            .nonce = BP_SPAN_OF(device.nonce),
                                            .device_id = BP_SPAN_OF(device.id),
                                            .ldevid = first ? BP_SPAN_EMPTY : BP_SPAN_OF(device.key_hash),
                                            .binding = bp_span_of(bound, 32),
                                            .ak = bp_span_of(device.ak_public, device.ak_public_n),
                                            .state = bp_span_of(state, state_n),
                                            .as_of_ms = device.issued_ms,
                                            .now_ms = now_ms,
                                            .zone = BP_SPAN_STR("sim"),
                                            .activation = first,
                                            .root_class = BP_SPAN_STR("software"),
                                            .parents = 1,
                                            .qualified = {bp_tpm_name_span(&child)}};
    return ok(bp_appraise(crypto, &refs, &req, arena, sizeof arena, &out));
}

static void keep(void)
{
    memcpy(state, out.state.p, out.state.n);
    state_n = out.state.n;
    device.has_log = out.has_log;
    device.held_ima = out.held_ima;
    device.has_pcrs = true;
}

BP_CASE(first_evidence_is_affirming_and_vouches_for_its_key)
{
    BP_CHECK(ok(bp_sim_evidence(crypto, &device, &model, unbound, BP_SIM_FIRST, NOW, evidence, sizeof evidence, &evidence_n)));
    BP_CHECK(judge(true, unbound, NOW) && out.accepted && out.tier == BP_TIER_AFFIRMING);
    BP_CHECK(out.keys == 1 && memcmp(out.key[0], device.key_hash, 32) == 0);
    BP_CHECK(bp_span_equal(out.activation, BP_SPAN_OF(device.proof)));
    BP_CHECK(out.vector[BP_AR_HARDWARE] == BP_TIER_NONE); /* software proves no hardware */
    if (out.accepted) {
        keep();
    }
}

BP_CASE(a_heartbeat_is_small_affirming_and_bound_to_its_connection)
{
    static uint8_t body[BP_NONCE_MAX];
    size_t n = 0;
    const struct bp_nonce v = {.nonce = BP_SPAN_OF(binding), .seq = device.seq + 1, .issued_ms = NOW + 5000};
    BP_CHECK(ok(bp_nonce_write(&v, body, sizeof body, &n)) && ok(bp_sim_take_nonce(&device, bp_span_of(body, n))));
    BP_CHECK(ok(bp_sim_evidence(crypto, &device, &model, binding, BP_SIM_PLAIN, NOW + 5000, evidence, sizeof evidence, &evidence_n)));
    BP_CHECK(evidence_n <= 600);
    BP_CHECK(judge(false, unbound, NOW + 5000) && !out.accepted);
    BP_CHECK(judge(false, binding, NOW + 5000) && out.accepted && out.tier == BP_TIER_AFFIRMING);
    evidence[evidence_n - 1] ^= 1;
    BP_CHECK(judge(false, binding, NOW + 5000) && !out.accepted);
}

BP_CASE(an_old_nonce_and_a_certificate_that_is_none_are_refused)
{
    static uint8_t body[BP_NONCE_MAX], csr[BP_SIM_CSR_MAX];
    size_t n = 0;
    struct bp_nonce v = {.nonce = bp_span_of(unbound, 32), .seq = device.seq, .issued_ms = NOW};
    BP_CHECK(ok(bp_nonce_write(&v, body, sizeof body, &n)));
    BP_CHECK(bp_is(bp_sim_take_nonce(&device, bp_span_of(body, n)), BP_E_REPLAYED));
    v.issued_ms = NOW + 6000; /* asked for again, since the connection broke before the number was spent */
    BP_CHECK(ok(bp_nonce_write(&v, body, sizeof body, &n)));
    BP_CHECK(ok(bp_sim_take_nonce(&device, bp_span_of(body, n))) && device.seq == v.seq && device.issued_ms == NOW + 6000);
    v.seq++;
    BP_CHECK(ok(bp_nonce_write(&v, body, sizeof body, &n)));
    BP_CHECK(ok(bp_sim_take_nonce(&device, bp_span_of(body, n))) && device.seq == v.seq);
    BP_CHECK(ok(bp_sim_request(&device, csr, sizeof csr, &n)) && n > 100);
    BP_CHECK(bp_failed(bp_sim_take_certificate(&device, bp_span_of(csr, n))) && device.cert_n == 0);
}

BP_CASE(a_machine_a_device_and_a_release_are_made)
{
    BP_CHECK(ready());
}

static void done(void)
{
    bp_sim_device_done(&device);
    bp_sim_maker_done(&maker);
    bp_free(corim);
    bp_crypto_openssl_free(crypto);
}

BP_SUITE(fleetsim_device,
    BP_RUN(a_machine_a_device_and_a_release_are_made)
    BP_RUN(logs_lead_to_the_quoted_values)
    BP_RUN(a_credential_opens_for_its_own_chip_and_key_only)
    BP_RUN(first_evidence_is_affirming_and_vouches_for_its_key)
    BP_RUN(a_heartbeat_is_small_affirming_and_bound_to_its_connection)
    BP_RUN(an_old_nonce_and_a_certificate_that_is_none_are_refused)
    BP_TABLE(done))
