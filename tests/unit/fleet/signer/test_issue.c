/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/test_issue - the ca signer issues for one good request, and each of its rules has a forged
 * request of its own that breaks it and nothing before it. Then certificates without evidence, and revocation lists. */
#include "codec/cose.h"
#include "codec/crl.h"
#include "codec/decommission.h"
#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/ear.h"
#include "codec/evidence.h"
#include "codec/x509.h"
#include "core/binding.h"
#include "core/devid.h"
#include "core/tpmkey.h"
#include "fleet/signer/signer.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "unit/fleet/signer/chip.h"
#include "unit/fleet/signer/plant.h"

#include <stdio.h>
#include <unistd.h>

#define PSEUDONYM "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#define ISSUED    (PLANT_NOW - 2000)
#define SEQ       7u

static struct plant plant;
static struct bp_entropy entropy;
static struct bp_ca_signer *ca;
static struct bp_signer_answer got;
static struct bp_key *bind_key, *result_key, *log_key, *stranger;
static struct chip_key ak, other_ak, device, other_device;
static uint8_t id[BP_DEVID_SIZE], other_id[BP_DEVID_SIZE] = {1, 0xbb};
static uint8_t nonce[32] = {0x11}, other_nonce[32] = {0x12};
static uint8_t binding[32] = {0x21}, other_binding[32] = {0x22};
static const uint8_t ek_hash[32] = {0x31};
static uint8_t body[1 << 16];

/* Everything that a request is made of, in the order in which it is made; a forgery changes one member. */
struct plan {
    struct chip_key *csr_by;
    bp_span bound_ak, bound_name, bound_qualified; /* of the ak-binding */
    struct bp_key *bind_by;
    const char *bind_content;
    bp_span bind_payload;             /* instead of an ak-binding */
    bp_span about_id;
    uint64_t seq, issued;
    bp_span quote_nonce, quote_binding;
    struct chip_key *quote_by;
    bp_span quote_signer;             /* where it says that it hangs */
    int quote_kind;                   /* 0 quote, 1 certify, 2 junk */
    bool edit_after_quote;
    uint32_t keys;
    struct chip_key *key;             /* in the evidence */
    struct chip_key *certify_by;
    bp_span certify_nonce, certify_id;
    int certify_kind;                 /* 0 certify, 1 quote, 2 about another key */
    struct bp_key *ear_by;
    const char *ear_content;
    bp_span ear_payload;              /* instead of a result */
    uint64_t tier;
    bool has_policy, wrong_digest, no_id;
    bp_span ear_nonce, ear_id, ear_pseudonym;
    int64_t as_of;
    struct chip_key *ear_key;         /* NULL: none */
    /* of the message itself */
    uint64_t m_seq, m_issued, not_before;
    bp_span m_nonce, m_binding;
    const char *profile, *pseudonym, *service, *dns;
    uint64_t lifetime;
    size_t cut_csr, cut_evidence;
    bool flip_csr, flip_binding, flip_ear, flip_quote, flip_certify;
};

static bp_span pub_of(const struct chip_key *k)
{
    return bp_span_of(k->pub, k->pub_n);
}

static struct bp_tpm_name name_of(const struct chip_key *k)
{
    struct bp_tpm_public pub;
    struct bp_tpm_name name = {0};
    BP_CHECK(!bp_failed(bp_tpm_public_read(pub_of(k), &pub)) && !bp_failed(bp_tpm_name(plant.crypto, &pub, &name)));
    return name;
}

static void hash_key(const struct chip_key *k, uint8_t ret[32])
{
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(k->key.spki, k->key.spki_n), ret)));
}

/* The qualified name of a key under a parent: a hierarchy's handle or a qualified name. */
static struct bp_tpm_name under(bp_span parent, bp_span name)
{
    struct bp_tpm_name q = {0};
    BP_CHECK(!bp_failed(bp_tpm_qualified_name(plant.crypto, parent, name, &q)));
    return q;
}

static const uint8_t endorsement[4] = {0x40, 0, 0, 0x0b}, owner[4] = {0x40, 0, 0, 0x01};
static const uint8_t ek_name[34] = {0, 0x0b, 0x41}, srk_name[34] = {0, 0x0b, 0x42};

static size_t cose(struct bp_key *by, const char *content, bp_span payload, uint8_t *ret, size_t cap)
{
    uint8_t kid[32], scratch[8192];
    size_t n = 0;
    const struct bp_signer signer = bp_key_signer(by);
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_key_spki(by), kid)));
    const struct bp_cose_header header = {bp_span_cstr(content), BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    BP_CHECK(!bp_failed(bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, scratch, sizeof scratch, ret, cap, &n)));
    return n;
}

static size_t make_binding(const struct plan *p, uint8_t *ret, size_t cap)
{
    uint8_t payload[BP_AKBINDING_MAX];
    size_t n = 0;
    const struct bp_akbinding b = {.device_id = BP_SPAN_OF(id),
                                   .ak_name = p->bound_name,
                                   .issuer_class = BP_SPAN_STR("virtual"),
                                   .time_ms = PLANT_NOW,
                                   .eks = 1,
                                   .ek = {BP_SPAN_OF(ek_hash)},
                                   .ak = p->bound_ak,
                                   .qualified = {p->bound_qualified}};
    BP_CHECK(!bp_failed(bp_akbinding_write(&b, payload, sizeof payload, &n)));
    return cose(p->bind_by, p->bind_content, p->bind_payload.n > 0 ? p->bind_payload : bp_span_of(payload, n), ret, cap);
}

struct parts {
    uint8_t certify[256], certify_sig[128], quote[256], quote_sig[128], ldevid[32];
};

static void make_certify(const struct plan *p, struct parts *w, struct bp_evidence *ev)
{
    uint8_t extra[32];
    struct bp_tpm_name name = name_of(p->certify_kind == 2 ? &other_device : p->key);
    BP_CHECK(!bp_failed(bp_binding_key(plant.crypto, p->certify_nonce, p->certify_id, extra)));
    const size_t n = p->certify_kind == 1
                         ? chip_quote(BP_SPAN_OF(extra), p->quote_signer, w->certify, sizeof w->certify)
                         : chip_certify(BP_SPAN_OF(extra), bp_tpm_name_span(&name), w->certify, sizeof w->certify);
    const size_t sig = chip_sign(p->certify_by, bp_span_of(w->certify, n), w->certify_sig, sizeof w->certify_sig);
    if (p->flip_certify) {
        w->certify[n - 1] ^= 1u;
    }
    ev->keys = p->keys;
    ev->key[0] = (struct bp_certified){pub_of(p->key), bp_span_of(w->certify, n), bp_span_of(w->certify_sig, sig)};
}

static void make_quote(const struct plan *p, struct parts *w, struct bp_evidence *ev)
{
    static uint8_t covered_bytes[16384];
    uint8_t covered[32], extra[32];
    size_t n = 0;
    const struct bp_tpm_name name = name_of(&device);
    BP_CHECK(!bp_failed(bp_evidence_write(ev, false, covered_bytes, sizeof covered_bytes, &n)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(covered_bytes, n), covered)));
    BP_CHECK(!bp_failed(bp_binding_quote(plant.crypto, p->quote_nonce, p->about_id, ev->about.ldevid, p->quote_binding,
                                         BP_SPAN_OF(covered), extra)));
    n = p->quote_kind == 1 ? chip_certify(BP_SPAN_OF(extra), bp_tpm_name_span(&name), w->quote, sizeof w->quote)
                           : chip_quote(BP_SPAN_OF(extra), p->quote_signer, w->quote, sizeof w->quote);
    if (p->quote_kind == 2) {
        w->quote[0] ^= 1u; /* no TPM_GENERATED: what an unrestricted key could be made to sign */
    }
    const size_t sig = chip_sign(p->quote_by, bp_span_of(w->quote, n), w->quote_sig, sizeof w->quote_sig);
    if (p->flip_quote) {
        w->quote[n - 1] ^= 1u;
    }
    ev->attest = bp_span_of(w->quote, n);
    ev->signature = bp_span_of(w->quote_sig, sig);
}

static size_t make_evidence(const struct plan *p, uint8_t *ret, size_t cap)
{
    static struct parts w;
    struct bp_evidence ev = {.about = {.device_id = p->about_id, .seq = p->seq, .issued_ms = p->issued,
                                       .ldevid = BP_SPAN_OF(w.ldevid), .agent = BP_SPAN_STR("test 1")}};
    size_t n = 0;
    hash_key(&device, w.ldevid);
    make_certify(p, &w, &ev);
    make_quote(p, &w, &ev);
    if (p->edit_after_quote) {
        ev.about.agent = BP_SPAN_STR("test 2");
    }
    BP_CHECK(!bp_failed(bp_evidence_write(&ev, true, ret, cap, &n)));
    return n;
}

static size_t make_ear(const struct plan *p, bp_span evidence, uint8_t *ret, size_t cap)
{
    uint8_t digest[32], key[32], payload[4096];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, evidence, digest)));
    digest[0] ^= p->wrong_digest ? 1u : 0u;
    struct bp_ear ear = {.iat_s = PLANT_NOW / 1000, .nonce = p->ear_nonce, .profile = BP_SPAN_STR(BP_EAR_PROFILE),
                         .developer = BP_SPAN_STR("bedplate"), .build = BP_SPAN_STR("test"), .status = p->tier,
                         .pseudonym = p->ear_pseudonym, .device_id = p->no_id ? BP_SPAN_EMPTY : p->ear_id,
                         .evidence_digest = BP_SPAN_OF(digest), .as_of_ms = p->as_of};
    if (p->has_policy) {
        ear.policy_digest = BP_SPAN_OF(ek_hash);
    }
    if (p->ear_key != NULL) {
        hash_key(p->ear_key, key);
        ear.keys = 1;
        ear.key[0] = BP_SPAN_OF(key);
    }
    BP_CHECK(!bp_failed(bp_ear_write(&ear, payload, sizeof payload, &n)));
    return cose(p->ear_by, p->ear_content, p->ear_payload.n > 0 ? p->ear_payload : bp_span_of(payload, n), ret, cap);
}

static void run(const struct plan *p)
{
    static uint8_t csr[1024], bound[2048], evidence[16384], ear[8192];
    size_t n = 0;
    const size_t csr_n = chip_csr(p->csr_by->key.pkey, csr, sizeof csr);
    const size_t bound_n = make_binding(p, bound, sizeof bound);
    const size_t evidence_n = make_evidence(p, evidence, sizeof evidence);
    const size_t ear_n = make_ear(p, bp_span_of(evidence, evidence_n), ear, sizeof ear);
    csr[csr_n - 1] ^= p->flip_csr ? 1u : 0u;
    bound[bound_n - 1] ^= p->flip_binding ? 1u : 0u;
    ear[ear_n - 1] ^= p->flip_ear ? 1u : 0u;
    const struct bp_msg_issue m = {.csr = bp_span_of(csr, csr_n - p->cut_csr),
                                   .ak_binding = bp_span_of(bound, bound_n),
                                   .evidence = bp_span_of(evidence, evidence_n - p->cut_evidence),
                                   .nonce = p->m_nonce,
                                   .seq = p->m_seq,
                                   .issued_ms = p->m_issued,
                                   .ear = bp_span_of(ear, ear_n),
                                   .pseudonym = bp_span_cstr(p->pseudonym),
                                   .profile = bp_span_cstr(p->profile),
                                   .not_before_ms = p->not_before,
                                   .binding = p->m_binding,
                                   .service = p->service == NULL ? BP_SPAN_EMPTY : bp_span_cstr(p->service),
                                   .dns = p->dns == NULL ? BP_SPAN_EMPTY : bp_span_cstr(p->dns),
                                   .lifetime_ms = p->lifetime};
    if (BP_CHECK(!bp_failed(bp_msg_issue_write(&m, body, sizeof body, &n)))) {
        bp_ca_signer_answer(ca, BP_SPAN_STR("issue"), bp_span_of(body, n), &got);
    }
}

static struct plan good(void)
{
    static struct bp_tpm_name name, child;
    const struct bp_tpm_name parent = under(BP_SPAN_OF(endorsement), BP_SPAN_OF(ek_name));
    name = name_of(&ak);
    child = under(bp_tpm_name_span(&parent), bp_tpm_name_span(&name));
    return (struct plan){.csr_by = &device,
                         .bound_ak = pub_of(&ak),
                         .bound_name = bp_tpm_name_span(&name),
                         .bound_qualified = bp_tpm_name_span(&child),
                         .bind_by = bind_key,
                         .bind_content = BP_AKBINDING_CONTENT,
                         .about_id = BP_SPAN_OF(id),
                         .seq = SEQ,
                         .issued = ISSUED,
                         .quote_nonce = BP_SPAN_OF(nonce),
                         .quote_binding = BP_SPAN_OF(binding),
                         .quote_by = &ak,
                         .quote_signer = bp_tpm_name_span(&child),
                         .keys = 1,
                         .key = &device,
                         .certify_by = &ak,
                         .certify_nonce = BP_SPAN_OF(nonce),
                         .certify_id = BP_SPAN_OF(id),
                         .ear_by = result_key,
                         .ear_content = BP_EAR_CONTENT,
                         .tier = BP_TIER_AFFIRMING,
                         .has_policy = true,
                         .ear_nonce = BP_SPAN_OF(nonce),
                         .ear_id = BP_SPAN_OF(id),
                         .ear_pseudonym = BP_SPAN_STR(PSEUDONYM),
                         .as_of = ISSUED,
                         .ear_key = &device,
                         .m_seq = SEQ,
                         .m_issued = ISSUED,
                         .not_before = PLANT_NOW - 1000,
                         .m_nonce = BP_SPAN_OF(nonce),
                         .m_binding = BP_SPAN_OF(binding),
                         .profile = "management",
                         .pseudonym = PSEUDONYM};
}

/* A server's certificate for the same key. */
static void application(struct plan *p)
{
    p->profile = "app-server";
    p->service = "historian";
    p->dns = "press.plant";
    p->lifetime = 45 * 86400000ULL;
}

BP_CASE(ready)
{
    BP_NEED(plant_make(&plant));
    entropy = bp_entropy_linux();
    BP_CHECK(chip_key_make(&ak, CHIP_AK_ATTRIBUTES) && chip_key_make(&other_ak, CHIP_AK_ATTRIBUTES));
    BP_CHECK(chip_key_make(&device, CHIP_DEVICE_ATTRIBUTES) && chip_key_make(&other_device, CHIP_DEVICE_ATTRIBUTES));
    id[0] = 1;
    BP_CHECK(!bp_failed(bp_site_key_open(plant.site, BP_SITE_KEY_BIND, &bind_key)));
    BP_CHECK(!bp_failed(bp_site_key_open(plant.site, BP_SITE_KEY_RESULT, &result_key)));
    BP_CHECK(!bp_failed(bp_site_key_open(plant.site, BP_SITE_KEY_LOG, &log_key)));
    BP_CHECK(!bp_failed(bp_key_make(BP_KEY_P256, &stranger)));
    BP_CHECK(!bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)));
}

/* The certificate is of the device profile, by the issuing CA, over the key, for seven days, named by the pseudonym. */
static void check_certificate(int64_t not_before_ms)
{
    bp_span der;
    struct bp_x509 x;
    struct bp_pubkey by;
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)));
    BP_NEED(!bp_failed(bp_x509_read(der, &x)) && !bp_failed(bp_site_public(plant.site, BP_SITE_CERT_ISSUING, &by)));
    BP_CHECK(!bp_failed(bp_x509_verify(plant.crypto, &by, x.alg, x.tbs, x.signature)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(der, BP_CERT_DEVICE, plant.sim.wall_ms)));
    BP_CHECK(bp_span_equal(x.spki, bp_span_of(device.key.spki, device.key.spki_n)));
    BP_CHECK(x.not_before_s == not_before_ms / 1000 && x.not_after_s == not_before_ms / 1000 + 7 * 86400);
    BP_CHECK(memmem(x.subject.p, x.subject.n, PSEUDONYM, 32) != NULL && memmem(der.p, der.n, "asked for", 9) == NULL);
    BP_CHECK(memmem(der.p, der.n, "http://localhost:8446/crl/issuing-0.crl", 39) != NULL);
    BP_CHECK(memmem(der.p, der.n, "http://localhost:8446/ocsp", 26) != NULL);
    BP_CHECK(memmem(der.p, der.n, "http://localhost:8446/ca/issuing-0.cer", 38) != NULL);
}

BP_CASE(a_good_request_gets_a_certificate)
{
    const struct plan p = good();
    run(&p);
    check_certificate(PLANT_NOW - 1000);
}

BP_CASE(a_warning_that_a_policy_stands_behind)
{
    struct plan p = good();
    p.tier = BP_TIER_WARNING;
    run(&p);
    check_certificate(PLANT_NOW - 1000);
}

BP_CASE(a_result_without_the_id)
{
    struct plan p = good();
    p.no_id = true;
    run(&p);
    check_certificate(PLANT_NOW - 1000);
}

BP_CASE(an_application_gets_its_own)
{
    bp_span der;
    struct bp_x509 x;
    struct plan p = good();
    application(&p);
    run(&p);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)) && !bp_failed(bp_x509_read(der, &x)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(der, BP_CERT_APP_SERVER, plant.sim.wall_ms)));
    BP_CHECK(bp_is(bp_x509_profile_check(der, BP_CERT_DEVICE, plant.sim.wall_ms), BP_E_DENIED));
    BP_CHECK(x.not_after_s - x.not_before_s == 45 * 86400);
    BP_CHECK(memmem(der.p, der.n, PSEUDONYM ":historian", sizeof PSEUDONYM + 9) != NULL);
    BP_CHECK(memmem(der.p, der.n, "press.plant", 11) != NULL && memmem(der.p, der.n, "asked for", 9) == NULL);
}

#define FORGE(name, what)                                                                                              \
    static void forge_##name(struct plan *p)                                                                           \
    {                                                                                                                  \
        what;                                                                                                          \
    }
static struct bp_tpm_name other_name;
static struct chip_key loose_ak, loose_device; /* same numbers as ak and device, other attributes */
FORGE(profile, p->profile = "application")
FORGE(service_of_a_device, p->service = "historian")
FORGE(no_service, application(p); p->service = NULL)
FORGE(service_with_a_colon, application(p); p->service = "a:b")
FORGE(lifetime_of_a_device, p->lifetime = 3600000)
FORGE(no_lifetime, application(p); p->lifetime = 0)
FORGE(lifetime_short, application(p); p->lifetime = BP_CA_APPLICATION_LEAST_MS - 1)
FORGE(lifetime_long, application(p); p->lifetime = BP_CA_APPLICATION_MOST_MS + 1)
FORGE(name_of_a_device, p->dns = "press.plant")
FORGE(name_of_a_client, application(p); p->profile = "app-client"; p->dns = "press.plant")
FORGE(name_of_the_server, application(p); p->dns = "localhost")
FORGE(name_below_the_server, application(p); p->dns = "operator.localhost")
FORGE(name_in_capitals, application(p); p->dns = "Press.plant")
FORGE(application_key_not_vouched_for, application(p); p->ear_key = &other_device)
FORGE(application_key_not_in_evidence, application(p); p->keys = 0)
FORGE(application_key_certified_by_another, application(p); p->certify_by = &other_ak)
FORGE(application_of_a_contraindicated_device, application(p); p->tier = BP_TIER_CONTRAINDICATED)
FORGE(pseudonym, p->pseudonym = "has blank")
FORGE(not_before_late, p->not_before = PLANT_NOW + BP_CA_SKEW_MS + 1)
FORGE(not_before_early, p->not_before = PLANT_NOW - 3600001)
FORGE(csr_cut, p->cut_csr = 1)
FORGE(csr_signature, p->flip_csr = true)
FORGE(csr_of_another_key, p->csr_by = &other_device)
FORGE(binding_by_stranger, p->bind_by = stranger)
FORGE(binding_by_result_key, p->bind_by = result_key)
FORGE(binding_flipped, p->flip_binding = true)
FORGE(binding_content, p->bind_content = BP_EAR_CONTENT)
FORGE(binding_junk, p->bind_payload = BP_SPAN_STR("\xa1\x01\x02"))
FORGE(binding_other_name, other_name = name_of(&other_ak); p->bound_name = bp_tpm_name_span(&other_name))
FORGE(binding_loose_ak, other_name = name_of(&loose_ak); p->bound_name = bp_tpm_name_span(&other_name);
      p->bound_ak = pub_of(&loose_ak))
FORGE(binding_no_ak, p->bound_ak = BP_SPAN_STR("\x00\x01\x00"))
FORGE(binding_other_ak, other_name = name_of(&other_ak); p->bound_name = bp_tpm_name_span(&other_name);
      p->bound_ak = pub_of(&other_ak))
FORGE(evidence_cut, p->cut_evidence = 1)
FORGE(evidence_other_device, p->about_id = BP_SPAN_OF(other_id); p->ear_id = BP_SPAN_OF(other_id))
FORGE(seq, p->m_seq = SEQ + 1)
FORGE(issued, p->m_issued = ISSUED + 1)
FORGE(nonce_old, p->issued = p->m_issued = PLANT_NOW - BP_CA_NONCE_MS - 1; p->as_of = (int64_t)p->issued)
FORGE(nonce_early, p->issued = p->m_issued = PLANT_NOW + BP_CA_SKEW_MS + 1; p->as_of = (int64_t)p->issued)
FORGE(quote_by_another, p->quote_by = &other_ak)
FORGE(quote_by_device_key, p->quote_by = &device)
FORGE(quote_flipped, p->flip_quote = true)
FORGE(quote_no_magic, p->quote_kind = 2)
FORGE(quote_is_certify, p->quote_kind = 1)
FORGE(quote_other_nonce, p->quote_nonce = BP_SPAN_OF(other_nonce))
FORGE(quote_other_channel, p->quote_binding = BP_SPAN_OF(other_binding))
FORGE(relayed_channel, p->m_binding = BP_SPAN_OF(other_binding))
FORGE(evidence_edited, p->edit_after_quote = true)
static struct bp_tpm_name elsewhere;
FORGE(ak_is_a_primary, elsewhere = under(BP_SPAN_OF(endorsement), p->bound_name); p->quote_signer = bp_tpm_name_span(&elsewhere))
FORGE(ak_is_a_primary_of_the_owner, elsewhere = under(BP_SPAN_OF(owner), p->bound_name);
      p->quote_signer = bp_tpm_name_span(&elsewhere))
FORGE(ak_under_a_storage_key, elsewhere = under(BP_SPAN_OF(owner), BP_SPAN_OF(srk_name));
      elsewhere = under(bp_tpm_name_span(&elsewhere), p->bound_name); p->quote_signer = bp_tpm_name_span(&elsewhere))
FORGE(ak_of_no_place, p->quote_signer = BP_SPAN_EMPTY)
FORGE(no_keys, p->keys = 0)
FORGE(key_can_leave, p->key = &loose_device)
FORGE(certify_by_another, p->certify_by = &other_ak)
FORGE(certify_by_itself, p->certify_by = &device)
FORGE(certify_flipped, p->flip_certify = true)
FORGE(certify_is_quote, p->certify_kind = 1)
FORGE(certify_other_key, p->certify_kind = 2)
FORGE(certify_other_nonce, p->certify_nonce = BP_SPAN_OF(other_nonce))
FORGE(certify_other_device, p->certify_id = BP_SPAN_OF(other_id))
FORGE(result_by_stranger, p->ear_by = stranger)
FORGE(result_by_log_key, p->ear_by = log_key)
FORGE(result_by_bind_key, p->ear_by = bind_key)
FORGE(result_flipped, p->flip_ear = true)
FORGE(result_content, p->ear_content = BP_AKBINDING_CONTENT)
FORGE(result_junk, p->ear_payload = BP_SPAN_STR("\xa1\x01\x02"))
FORGE(tier_none, p->tier = BP_TIER_NONE)
FORGE(tier_contraindicated, p->tier = BP_TIER_CONTRAINDICATED)
FORGE(tier_warning_without_policy, p->tier = BP_TIER_WARNING; p->has_policy = false)
FORGE(result_other_evidence, p->wrong_digest = true)
FORGE(result_other_nonce, p->ear_nonce = BP_SPAN_OF(other_nonce))
FORGE(result_no_nonce, p->ear_nonce = BP_SPAN_EMPTY)
FORGE(result_older, p->as_of = ISSUED - 1)
FORGE(result_other_device, p->ear_id = BP_SPAN_OF(other_id))
FORGE(result_other_pseudonym, p->ear_pseudonym = BP_SPAN_STR("SOMEBODY"))
FORGE(result_names_other_key, p->ear_key = &other_device)
FORGE(result_names_no_key, p->ear_key = NULL)

#define ROW(name, rule, problem) {#name, forge_##name, BP_CA_##rule, BP_P_##problem}
static const struct {
    const char *name;
    void (*forge)(struct plan *);
    enum bp_ca_rule rule;
    enum bp_problem status;
} rows[] = {
    ROW(profile, PROFILE, UNSUPPORTED),
    ROW(service_of_a_device, SERVICE, VALUE),
    ROW(no_service, SERVICE, VALUE),
    ROW(service_with_a_colon, SERVICE, VALUE),
    ROW(lifetime_of_a_device, LIFETIME, VALUE),
    ROW(no_lifetime, LIFETIME, VALUE),
    ROW(lifetime_short, LIFETIME, VALUE),
    ROW(lifetime_long, LIFETIME, VALUE),
    ROW(name_of_a_device, NAMES, VALUE),
    ROW(name_of_a_client, NAMES, VALUE),
    ROW(name_of_the_server, NAMES, VALUE),
    ROW(name_below_the_server, NAMES, VALUE),
    ROW(name_in_capitals, NAMES, VALUE),
    ROW(application_key_not_vouched_for, EAR_KEY, NOT_PREAPPROVED),
    ROW(application_key_not_in_evidence, KEY_ABSENT, NOT_PREAPPROVED),
    ROW(application_key_certified_by_another, CERTIFY_SIGNATURE, EVIDENCE),
    ROW(application_of_a_contraindicated_device, EAR_TIER, NOT_PREAPPROVED),
    ROW(pseudonym, PSEUDONYM, VALUE),
    ROW(not_before_late, NOT_BEFORE, VALUE),
    ROW(not_before_early, NOT_BEFORE, VALUE),
    ROW(csr_cut, CSR_FORM, BAD_CSR),
    ROW(csr_signature, CSR_SIGNATURE, BAD_CSR),
    ROW(csr_of_another_key, KEY_ABSENT, NOT_PREAPPROVED),
    ROW(binding_by_stranger, BINDING_SIGNATURE, SIGNATURE),
    ROW(binding_by_result_key, BINDING_SIGNATURE, SIGNATURE),
    ROW(binding_flipped, BINDING_SIGNATURE, SIGNATURE),
    ROW(binding_content, BINDING_SIGNATURE, SIGNATURE),
    ROW(binding_junk, BINDING_FORM, EVIDENCE),
    ROW(binding_other_name, AK_NAME, EVIDENCE),
    ROW(binding_loose_ak, AK_ATTRIBUTES, EVIDENCE),
    ROW(binding_no_ak, AK_FORM, EVIDENCE),
    ROW(binding_other_ak, QUOTE_SIGNATURE, EVIDENCE),
    ROW(evidence_cut, EVIDENCE_FORM, EVIDENCE),
    ROW(evidence_other_device, DEVICE_ID, WRONG_DEVICE),
    ROW(seq, NONCE_FIELDS, NONCE),
    ROW(issued, NONCE_FIELDS, NONCE),
    ROW(nonce_old, NONCE_AGE, NONCE_EXPIRED),
    ROW(nonce_early, NONCE_AGE, NONCE_EXPIRED),
    ROW(quote_by_another, QUOTE_SIGNATURE, EVIDENCE),
    ROW(quote_by_device_key, QUOTE_SIGNATURE, EVIDENCE),
    ROW(quote_flipped, QUOTE_SIGNATURE, EVIDENCE),
    ROW(quote_no_magic, QUOTE_FORM, EVIDENCE),
    ROW(quote_is_certify, QUOTE_TYPE, EVIDENCE),
    ROW(quote_other_nonce, EXTRA_DATA, EVIDENCE),
    ROW(quote_other_channel, EXTRA_DATA, EVIDENCE),
    ROW(relayed_channel, EXTRA_DATA, EVIDENCE),
    ROW(evidence_edited, EXTRA_DATA, EVIDENCE),
    ROW(ak_is_a_primary, AK_PARENT, EVIDENCE),
    ROW(ak_is_a_primary_of_the_owner, AK_PARENT, EVIDENCE),
    ROW(ak_under_a_storage_key, AK_PARENT, EVIDENCE),
    ROW(ak_of_no_place, AK_PARENT, EVIDENCE),
    ROW(no_keys, KEY_ABSENT, NOT_PREAPPROVED),
    ROW(key_can_leave, KEY_ATTRIBUTES, NOT_PREAPPROVED),
    ROW(certify_by_another, CERTIFY_SIGNATURE, EVIDENCE),
    ROW(certify_by_itself, CERTIFY_SIGNATURE, EVIDENCE),
    ROW(certify_flipped, CERTIFY_SIGNATURE, EVIDENCE),
    ROW(certify_is_quote, CERTIFY_FORM, EVIDENCE),
    ROW(certify_other_key, CERTIFY_NAME, EVIDENCE),
    ROW(certify_other_nonce, CERTIFY_EXTRA, EVIDENCE),
    ROW(certify_other_device, CERTIFY_EXTRA, EVIDENCE),
    ROW(result_by_stranger, EAR_SIGNATURE, SIGNATURE),
    ROW(result_by_log_key, EAR_SIGNATURE, SIGNATURE),
    ROW(result_by_bind_key, EAR_SIGNATURE, SIGNATURE),
    ROW(result_flipped, EAR_SIGNATURE, SIGNATURE),
    ROW(result_content, EAR_SIGNATURE, SIGNATURE),
    ROW(result_junk, EAR_FORM, EVIDENCE),
    ROW(tier_none, EAR_TIER, NOT_PREAPPROVED),
    ROW(tier_contraindicated, EAR_TIER, NOT_PREAPPROVED),
    ROW(tier_warning_without_policy, EAR_TIER, NOT_PREAPPROVED),
    ROW(result_other_evidence, EAR_EVIDENCE, NOT_PREAPPROVED),
    ROW(result_other_nonce, EAR_NONCE, NOT_PREAPPROVED),
    ROW(result_no_nonce, EAR_NONCE, NOT_PREAPPROVED),
    ROW(result_older, EAR_NONCE, NOT_PREAPPROVED),
    ROW(result_other_device, EAR_DEVICE, NOT_PREAPPROVED),
    ROW(result_other_pseudonym, EAR_DEVICE, NOT_PREAPPROVED),
    ROW(result_names_other_key, EAR_KEY, NOT_PREAPPROVED),
    ROW(result_names_no_key, EAR_KEY, NOT_PREAPPROVED),
};

static bool seen[BP_CA_RULES];

static bool is_refused(enum bp_ca_rule rule, enum bp_problem status)
{
    bp_span name;
    const enum bp_ca_rule is = bp_ca_signer_rule(ca);
    if (is != rule) {
        printf("# rule %d, not %d\n", (int)is, (int)rule);
    }
    seen[rule] = true;
    return is == rule && got.status == status && !bp_failed(bp_msg_name_read(got.body, &name)) && name.n > 0;
}

static void forgeries(void)
{
    loose_ak = ak;
    loose_device = device;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "forged.%s", rows[i].name);
        bp_case_begin();
        BP_CHECK(chip_key_public(&loose_ak, CHIP_AK_ATTRIBUTES & ~BP_TPMA_RESTRICTED));
        BP_CHECK(chip_key_public(&loose_device, CHIP_DEVICE_ATTRIBUTES & ~BP_TPMA_FIXED_TPM));
        struct plan p = good();
        rows[i].forge(&p);
        run(&p);
        BP_CHECK(is_refused(rows[i].rule, rows[i].status));
        bp_case_end(name);
    }
}

/* A request for a key of another kind. */
BP_CASE(a_csr_of_another_kind_of_key)
{
    uint8_t csr[1024];
    size_t n = 0;
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    const size_t csr_n = chip_csr(p384, csr, sizeof csr);
    const struct bp_msg_operator m = {bp_span_of(csr, csr_n), BP_SPAN_STR("anna"), 1};
    BP_CHECK(csr_n > 0 && !bp_failed(bp_msg_operator_write(&m, body, sizeof body, &n)));
    bp_ca_signer_answer(ca, BP_SPAN_STR("issue-operator"), bp_span_of(body, n), &got);
    BP_CHECK(is_refused(BP_CA_CSR_KEY, BP_P_BAD_CSR));
    EVP_PKEY_free(p384);
}

/* Any byte of the good request changed: refused, or (where the byte says nothing that is verified) the same certificate
 * in all but serial and signature. Such bytes are those of not_before and the request's own unsigned form; none grants. */
BP_CASE(any_byte_of_the_request_changed)
{
    static uint8_t whole[1 << 16];
    size_t issued = 0, n = 0;
    const struct plan p = good();
    run(&p);
    BP_NEED(got.status == BP_P_NONE);
    bp_rd rd = bp_rd_over(bp_span_of(body, sizeof body));
    n = bp_cbor_get_item(&rd).n;
    BP_NEED(n > 1000);
    memcpy(whole, body, n);
    for (size_t at = 0; at < n; at++) {
        whole[at] ^= 0x01u;
        bp_ca_signer_answer(ca, BP_SPAN_STR("issue"), bp_span_of(whole, n), &got);
        if (got.status == BP_P_NONE) {
            bp_span der;
            struct bp_x509 x;
            issued++;
            BP_CHECK(!bp_failed(bp_msg_bytes_read(got.body, &der)) && !bp_failed(bp_x509_read(der, &x)) &&
                     bp_span_equal(x.spki, bp_span_of(device.key.spki, device.key.spki_n)));
        }
        whole[at] ^= 0x01u;
    }
    BP_CHECK(issued <= 8); /* the number not_before_ms, its low bytes */
}

/* --- without evidence --- */

static void ask_plain(const char *op, struct chip_key *by, const char *name, uint64_t days)
{
    uint8_t csr[1024];
    size_t n = 0;
    const bp_span der = bp_span_of(csr, chip_csr(by->key.pkey, csr, sizeof csr));
    const struct bp_msg_operator o = {der, bp_span_cstr(name), days};
    const struct bp_msg_brownfield b = {der, bp_span_cstr(name)};
    const bp_result r = days > 0 ? bp_msg_operator_write(&o, body, sizeof body, &n)
                                 : bp_msg_brownfield_write(&b, body, sizeof body, &n);
    if (BP_CHECK(!bp_failed(r))) {
        bp_ca_signer_answer(ca, bp_span_cstr(op), bp_span_of(body, n), &got);
    }
}

static void check_plain(enum bp_cert_profile profile, enum bp_site_cert by, int64_t days)
{
    bp_span der;
    struct bp_x509 x;
    struct bp_pubkey key;
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)));
    BP_NEED(!bp_failed(bp_x509_read(der, &x)) && !bp_failed(bp_site_public(plant.site, by, &key)));
    BP_CHECK(!bp_failed(bp_x509_verify(plant.crypto, &key, x.alg, x.tbs, x.signature)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(der, profile, plant.sim.wall_ms)));
    BP_CHECK(x.not_after_s == plant.sim.wall_ms / 1000 + days * 86400);
}

BP_CASE(operators_come_from_the_operators_ca)
{
    ask_plain("issue-operator", &device, "Anna M\xc3\xbcller", 90);
    check_plain(BP_CERT_OPERATOR, BP_SITE_CERT_OPERATORS, 90);
    ask_plain("issue-operator", &device, "a\nb", 90);
    BP_CHECK(is_refused(BP_CA_PSEUDONYM, BP_P_VALUE));
}

/* Its own kind of statement by the key of ak-bindings, and no other. */
BP_CASE(a_decommissioning_is_signed_and_nothing_else)
{
    static const uint8_t some[64] = {1};
    static struct bp_decommission v;
    uint8_t payload[512], scratch[2048];
    bp_span signed_ = BP_SPAN_EMPTY;
    struct bp_cose_sign1 msg;
    struct bp_pubkey key;
    size_t n = 0, m = 0;
    v = (struct bp_decommission){.device_id = bp_span_of(some, 33), .pseudonym = BP_SPAN_STR("P"), .keys = 1,
                                 .key = {bp_span_of(some, 32)}, .reason = BP_SPAN_STR("old"), .actor = BP_SPAN_STR("ann"),
                                 .digest = bp_span_of(some, 32)};
    BP_NEED(!bp_failed(bp_decommission_write(&v, payload, sizeof payload, &n)) &&
            !bp_failed(bp_msg_bytes_write(bp_span_of(payload, n), body, sizeof body, &m)));
    bp_ca_signer_answer(ca, BP_SPAN_STR("decommission"), bp_span_of(body, m), &got);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &signed_)) &&
            !bp_failed(bp_cose_sign1_read(signed_, &msg)) && !bp_failed(bp_site_public(plant.site, BP_SITE_CERT_BIND, &key)));
    BP_CHECK(bp_span_equal(msg.content_type, BP_SPAN_STR(BP_DECOMMISSION_CONTENT)) &&
             bp_span_equal(msg.payload, bp_span_of(payload, n)) &&
             !bp_failed(bp_cose_sign1_verify(plant.crypto, &msg, &key, BP_SPAN_EMPTY, scratch, sizeof scratch)));
    payload[n - 1] ^= 1; /* still one: another digest */
    payload[2] ^= 1;     /* of another type */
    BP_NEED(!bp_failed(bp_msg_bytes_write(bp_span_of(payload, n), body, sizeof body, &m)));
    bp_ca_signer_answer(ca, BP_SPAN_STR("decommission"), bp_span_of(body, m), &got);
    BP_CHECK(got.status != BP_P_NONE && bp_ca_signer_rule(ca) == BP_CA_REQUEST);
}

BP_CASE(brownfield_comes_from_an_anchor_of_its_own)
{
    ask_plain("issue-brownfield", &device, "b-1", 0);
    check_plain(BP_CERT_BROWNFIELD, BP_SITE_CERT_BROWNFIELD, 30);
    ask_plain("issue-brownfield", &device, "b 1", 0);
    BP_CHECK(is_refused(BP_CA_PSEUDONYM, BP_P_VALUE));
}

BP_CASE(a_csr_that_the_asker_cannot_sign)
{
    uint8_t csr[1024];
    size_t n = 0;
    const size_t csr_n = chip_csr(device.key.pkey, csr, sizeof csr);
    csr[csr_n - 1] ^= 1u;
    const struct bp_msg_brownfield b = {bp_span_of(csr, csr_n), BP_SPAN_STR("b-1")};
    BP_CHECK(!bp_failed(bp_msg_brownfield_write(&b, body, sizeof body, &n)));
    bp_ca_signer_answer(ca, BP_SPAN_STR("issue-brownfield"), bp_span_of(body, n), &got);
    BP_CHECK(is_refused(BP_CA_CSR_SIGNATURE, BP_P_BAD_CSR));
}

/* --- revocation lists --- */

static uint64_t list_ms = BP_MSG_CRL_LEAST_MS;

static void ask_crl(uint64_t number, const struct bp_msg_revoked *entry, size_t count)
{
    const struct bp_msg_crl m = {.count = count, .entry = entry, .number = number, .lifetime_ms = list_ms};
    size_t n = 0;
    if (BP_CHECK(!bp_failed(bp_msg_crl_write(&m, body, sizeof body, &n)))) {
        bp_ca_signer_answer(ca, BP_SPAN_STR("crl"), bp_span_of(body, n), &got);
    }
}

BP_CASE(a_list_by_the_issuing_ca)
{
    const uint8_t serial[] = {0x42, 1};
    const struct bp_msg_revoked rev[] = {{BP_SPAN_OF(serial), PLANT_NOW - 5, 1}};
    bp_span der;
    ask_crl(3, rev, 1);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)));
    const unsigned char *p = der.p;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);
    const unsigned char *q = plant.site->cert[BP_SITE_CERT_ISSUING].p;
    X509 *issuer = d2i_X509(NULL, &q, (long)plant.site->cert[BP_SITE_CERT_ISSUING].n);
    BP_CHECK(crl != NULL && issuer != NULL && X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1);
    BP_CHECK(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) == 1);
    int days = 0, seconds = 0;
    BP_CHECK(ASN1_TIME_diff(&days, &seconds, X509_CRL_get0_lastUpdate(crl), X509_CRL_get0_nextUpdate(crl)) == 1 && days == 31);
    X509_CRL_free(crl);
    X509_free(issuer);
}

BP_CASE(a_list_lasts_as_long_as_is_asked_within_bounds)
{
    struct bp_crl crl;
    bp_span der;
    list_ms = BP_MSG_CRL_LEAST_MS - 1;
    ask_crl(3, NULL, 0);
    BP_CHECK(is_refused(BP_CA_LIFETIME, BP_P_VALUE));
    list_ms = BP_CA_CRL_MOST_MS + 1;
    ask_crl(3, NULL, 0);
    BP_CHECK(is_refused(BP_CA_LIFETIME, BP_P_VALUE));
    list_ms = BP_CA_CRL_MOST_MS;
    ask_crl(3, NULL, 0);
    list_ms = BP_MSG_CRL_LEAST_MS;
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)) && !bp_failed(bp_crl_read(der, &crl)));
    BP_CHECK(crl.next_s == (PLANT_NOW + BP_CA_CRL_MOST_MS) / 1000);
}

BP_CASE(numbers_of_lists_never_fall)
{
    ask_crl(3, NULL, 0);
    BP_CHECK(got.status == BP_P_NONE);
    ask_crl(2, NULL, 0);
    BP_CHECK(is_refused(BP_CA_CRL_NUMBER, BP_P_OUTDATED));
    ask_crl(9, NULL, 0);
    BP_CHECK(got.status == BP_P_NONE);
    bp_ca_signer_free(ca);
    BP_NEED(!bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)));
    ask_crl(8, NULL, 0);
    BP_CHECK(is_refused(BP_CA_CRL_NUMBER, BP_P_OUTDATED));
}

BP_CASE(entries_of_lists_are_checked)
{
    const struct bp_msg_revoked zero[] = {{BP_SPAN_STR("\0\1"), PLANT_NOW, 0}};
    const struct bp_msg_revoked unused[] = {{BP_SPAN_STR("\1"), PLANT_NOW, 7}};
    ask_crl(10, zero, 1);
    BP_CHECK(is_refused(BP_CA_CRL_ENTRY, BP_P_VALUE));
    ask_crl(10, unused, 1);
    BP_CHECK(is_refused(BP_CA_CRL_ENTRY, BP_P_VALUE));
}

/* --- answers about status --- */

/* A CertID of our issuing CA, or of the operators'. */
static size_t ocsp_id(enum bp_site_cert by, uint8_t *ret)
{
    static const uint8_t begin[] = {0x30, 0x3a, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14};
    struct bp_x509 x;
    uint8_t hash[20];
    bp_rd rd;
    size_t n = sizeof begin;
    BP_CHECK(!bp_failed(bp_x509_read(plant.site->cert[by], &x)));
    memcpy(ret, begin, n);
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA1, x.subject, ret + n)));
    rd = bp_rd_over(x.spki);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&in, BP_DER_SEQ);
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA1, bp_der_get_bits(&in), hash)));
    n += 20;
    memcpy(ret + n, "\x04\x14", 2);
    memcpy(ret + n + 2, hash, 20);
    memcpy(ret + n + 22, "\x02\x01\x05", 3);
    return n + 25;
}

static void ask_status(bp_span cert_id, uint64_t status, uint64_t revoked_ms, uint64_t reason)
{
    const struct bp_msg_ocsp m = {.count = 1, .status = {{cert_id, status, revoked_ms, reason}}, .nonce = BP_SPAN_STR("n")};
    size_t n = 0;
    if (BP_CHECK(!bp_failed(bp_msg_ocsp_write(&m, body, sizeof body, &n)))) {
        bp_ca_signer_answer(ca, BP_SPAN_STR("ocsp"), bp_span_of(body, n), &got);
    }
}

BP_CASE(an_answer_about_status_by_a_key_of_its_own)
{
    uint8_t room[128], first[32], second[32];
    struct bp_msg_stated m;
    struct bp_x509 x;
    struct bp_pubkey by;
    const bp_span cert_id = bp_span_of(room, ocsp_id(BP_SITE_CERT_ISSUING, room));
    ask_status(cert_id, 1, PLANT_NOW - 5000, 1);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_stated_read(got.body, &m)));
    BP_NEED(!bp_failed(bp_x509_read(m.cert, &x)) && !bp_failed(bp_site_public(plant.site, BP_SITE_CERT_ISSUING, &by)));
    BP_CHECK(!bp_failed(bp_x509_verify(plant.crypto, &by, x.alg, x.tbs, x.signature)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(m.cert, BP_CERT_OCSP, plant.sim.wall_ms)));
    BP_CHECK(bp_failed(bp_x509_profile_check(m.cert, BP_CERT_DEVICE, plant.sim.wall_ms)));
    BP_CHECK(x.not_after_s == plant.sim.wall_ms / 1000 + 7 * 86400);
    BP_CHECK(!bp_span_equal(x.spki, bp_key_spki(bind_key)));
    BP_CHECK(memmem(m.response.p, m.response.n, m.cert.p, m.cert.n) != NULL);
    BP_CHECK(memmem(m.response.p, m.response.n, cert_id.p, cert_id.n) != NULL);
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, m.cert, first)));
    ask_status(cert_id, 0, 0, 0);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_stated_read(got.body, &m)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, m.cert, second)) && memcmp(first, second, 32) == 0);
    plant.sim.wall_ms += BP_CA_RESPONDER_MS / 2;
    ask_status(cert_id, 0, 0, 0);
    plant.sim.wall_ms -= BP_CA_RESPONDER_MS / 2;
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_stated_read(got.body, &m)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, m.cert, second)) && memcmp(first, second, 32) != 0);
}

BP_CASE(status_of_another_issuer_is_not_signed)
{
    uint8_t room[128];
    ask_status(bp_span_of(room, ocsp_id(BP_SITE_CERT_OPERATORS, room)), 0, 0, 0);
    BP_CHECK(is_refused(BP_CA_OCSP_ISSUER, BP_P_VALUE));
    ask_status(BP_SPAN_STR("noise"), 0, 0, 0);
    BP_CHECK(is_refused(BP_CA_OCSP_ISSUER, BP_P_VALUE));
    ask_status(bp_span_of(room, ocsp_id(BP_SITE_CERT_ISSUING, room)), 1, PLANT_NOW, 7); /* a reason that is none */
    BP_CHECK(is_refused(BP_CA_OCSP_STATUS, BP_P_VALUE));
}

BP_CASE(a_damaged_number_is_refused)
{
    struct bp_ca_signer *other = NULL;
    uint8_t *good_bytes = NULL;
    size_t n = 0;
    const char *path = plant_at(&plant, "state/ca/crl");
    BP_NEED(!bp_failed(bp_file_read(path, BP_FILE_SECRET, 64, &good_bytes, &n)));
    BP_CHECK(!bp_failed(bp_file_write(path, BP_FILE_SECRET, bp_span_of(good_bytes, n - 1))));
    BP_CHECK(bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &other)) && other == NULL);
    BP_CHECK(!bp_failed(bp_file_write(path, BP_FILE_SECRET, BP_SPAN_EMPTY)));
    BP_CHECK(bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &other)) && other == NULL);
    BP_CHECK(!bp_failed(bp_file_write(path, BP_FILE_SECRET, bp_span_of(good_bytes, n))));
    bp_free(good_bytes);
}

/* Every rule of `issue` was broken by something above. */
BP_CASE(every_rule_of_issue_was_broken_once)
{
    bp_ca_signer_answer(ca, BP_SPAN_STR("issue"), BP_SPAN_STR("\xa0"), &got);
    BP_CHECK(is_refused(BP_CA_REQUEST, BP_P_MALFORMED));
    for (enum bp_ca_rule r = BP_CA_PROFILE; r <= BP_CA_CRL_ENTRY; r = (enum bp_ca_rule)(r + 1)) {
        if (!BP_CHECK(seen[r])) {
            printf("# rule %d was never broken\n", (int)r);
        }
    }
}

static void clean(void)
{
    struct chip_key *keys[] = {&ak, &other_ak, &device, &other_device};
    for (size_t i = 0; i < 4; i++) {
        chip_key_done(keys[i]);
    }
    bp_key_free(bind_key);
    bp_key_free(result_key);
    bp_key_free(log_key);
    bp_key_free(stranger);
    bp_ca_signer_free(ca);
    plant_done(&plant);
}

/* clang-format off */
BP_SUITE(issue,
    BP_RUN(ready)
    BP_RUN(a_good_request_gets_a_certificate)
    BP_RUN(a_warning_that_a_policy_stands_behind)
    BP_RUN(a_result_without_the_id)
    BP_RUN(an_application_gets_its_own)
    BP_TABLE(forgeries)
    BP_RUN(a_csr_of_another_kind_of_key)
    BP_RUN(any_byte_of_the_request_changed)
    BP_RUN(operators_come_from_the_operators_ca)
    BP_RUN(a_decommissioning_is_signed_and_nothing_else)
    BP_RUN(brownfield_comes_from_an_anchor_of_its_own)
    BP_RUN(a_csr_that_the_asker_cannot_sign)
    BP_RUN(a_list_by_the_issuing_ca)
    BP_RUN(a_list_lasts_as_long_as_is_asked_within_bounds)
    BP_RUN(numbers_of_lists_never_fall)
    BP_RUN(entries_of_lists_are_checked)
    BP_RUN(an_answer_about_status_by_a_key_of_its_own)
    BP_RUN(status_of_another_issuer_is_not_signed)
    BP_RUN(a_damaged_number_is_refused)
    BP_RUN(every_rule_of_issue_was_broken_once)
    clean();)
