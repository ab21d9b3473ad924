/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/test_enrol - the ca signer at first contact: which chips are genuine, and that a binding needs
 * the proof of its own credential, once and in time. */
#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/x509.h"
#include "core/binding.h"
#include "core/devid.h"
#include "core/tpmkey.h"
#include "fleet/signer/signer.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/openssl/path.h"
#include "unit/fleet/signer/chip.h"
#include "unit/fleet/signer/plant.h"

#include <stdio.h>
#include <unistd.h>

#include <openssl/pem.h>

static struct plant plant;
static struct maker virtual_maker, discrete_maker, unknown_maker;
static struct bp_entropy_sim chance = {11, 0};
static struct bp_entropy entropy;
static struct bp_ca_signer *ca;
static struct bp_signer_answer got;
static struct chip_ek rsa, p256, p384;
static struct chip_key ak;
static uint8_t room[1 << 16];

static bool prepare(void)
{
    if (!plant_make(&plant) || !maker_make(&virtual_maker) || !maker_make(&discrete_maker) || !maker_make(&unknown_maker)) {
        return false;
    }
    entropy = bp_entropy_sim(&chance);
    return maker_anchor(&virtual_maker, plant_at(&plant, "anchors/virtual-soft.pem"), true, true) &&
           maker_anchor(&discrete_maker, plant_at(&plant, "anchors/discrete-soft.pem"), false, true) &&
           chip_key_make(&ak, CHIP_AK_ATTRIBUTES) && chip_ek_make(&rsa, 1, &virtual_maker, CHIP_GOOD, PLANT_NOW) &&
           chip_ek_make(&p256, 2, &virtual_maker, CHIP_GOOD, PLANT_NOW) &&
           chip_ek_make(&p384, 3, &virtual_maker, CHIP_GOOD, PLANT_NOW) &&
           !bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca));
}

static void ask(const char *op, bp_span body)
{
    bp_ca_signer_answer(ca, bp_span_cstr(op), body, &got);
}

static struct bp_msg_ek as_message(const struct chip_ek *ek)
{
    return (struct bp_msg_ek){ek->template_id, bp_span_of(ek->pub, ek->pub_n), bp_span_of(ek->cert, ek->cert_n)};
}

static void ask_credential(const struct bp_msg_credential *m)
{
    size_t n = 0;
    if (BP_CHECK(!bp_failed(bp_msg_credential_write(m, room, sizeof room, &n)))) {
        ask("credential", bp_span_of(room, n));
    }
}

static bool is_refused(enum bp_ca_rule rule, enum bp_problem status)
{
    bp_span name;
    if (bp_ca_signer_rule(ca) != rule) {
        printf("# rule %d\n", (int)bp_ca_signer_rule(ca));
    }
    return bp_ca_signer_rule(ca) == rule && got.status == status && !bp_failed(bp_msg_name_read(got.body, &name));
}

static void spki_hash(EVP_PKEY *pkey, uint8_t ret[32], uint8_t ret_id[BP_DEVID_SIZE])
{
    uint8_t *der = NULL;
    const int n = i2d_PUBKEY(pkey, &der);
    BP_CHECK(n > 0 && !bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(der, (size_t)n), ret)) &&
             !bp_failed(bp_devid_of_spki(plant.crypto, bp_span_of(der, (size_t)n), ret_id)));
    OPENSSL_free(der);
}

static struct bp_tpm_name ak_name(void)
{
    struct bp_tpm_public pub;
    struct bp_tpm_name name = {0};
    BP_CHECK(!bp_failed(bp_tpm_public_read(bp_span_of(ak.pub, ak.pub_n), &pub)) &&
             !bp_failed(bp_tpm_name(plant.crypto, &pub, &name)));
    return name;
}

/* The proof of secrets that the server will draw next: its chance is ours. */
static void foretell(size_t secrets, uint8_t ret[32])
{
    struct bp_entropy_sim same = chance;
    const struct bp_entropy e = bp_entropy_sim(&same);
    uint8_t secret[4][32];
    bp_span spans[4];
    for (size_t i = 0; i < secrets; i++) {
        BP_CHECK(!bp_failed(bp_random(&e, secret[i], 32)));
        spans[i] = BP_SPAN_OF(secret[i]);
    }
    BP_CHECK(!bp_failed(bp_binding_activation(plant.crypto, spans, secrets, ret)));
}

static void ask_bind_after(bp_span device_id, const uint8_t proof[32], bp_span before)
{
    const struct bp_tpm_name name = ak_name();
    const struct bp_msg_bind m = {device_id, bp_tpm_name_span(&name), bp_span_of(proof, 32), before};
    size_t n = 0;
    if (BP_CHECK(!bp_failed(bp_msg_bind_write(&m, room, sizeof room, &n)))) {
        ask("bind", bp_span_of(room, n));
    }
}

static void ask_bind(bp_span device_id, const uint8_t proof[32])
{
    ask_bind_after(device_id, proof, BP_SPAN_EMPTY);
}

static struct bp_msg_credential both(void)
{
    return (struct bp_msg_credential){
        .eks = 2, .ek = {as_message(&rsa), as_message(&p384)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
}

/* The AK's qualified name below this endorsement key, put together step by step (TPM 2.0 Part 1, 16 and 26.5). */
static bool is_named(bp_span qualified, const struct chip_ek *ek)
{
    static const uint8_t handle[4] = {0x40, 0, 0, 0x0b};
    const enum bp_hash_alg alg = ek->template_id == 3 ? BP_HASH_SHA384 : BP_HASH_SHA256;
    const size_t size = ek->template_id == 3 ? 48 : 32;
    const struct bp_tpm_name name = ak_name();
    uint8_t parent[50] = {0, ek->template_id == 3 ? 0x0c : 0x0b}, top[50] = {0, parent[1]}, want[34] = {0, 0x0b};
    const bp_span second[] = {BP_SPAN_OF(handle), bp_span_of(parent, 2 + size)};
    const bp_span third[] = {bp_span_of(top, 2 + size), bp_tpm_name_span(&name)};
    return !bp_failed(bp_hash(plant.crypto, alg, bp_span_of(ek->pub + 2, ek->pub_n - 2), parent + 2)) &&
           !bp_failed(bp_hash_parts(plant.crypto, alg, second, 2, top + 2)) &&
           !bp_failed(bp_hash_parts(plant.crypto, BP_HASH_SHA256, third, 2, want + 2)) &&
           bp_span_equal(qualified, BP_SPAN_OF(want));
}

BP_CASE(ready)
{
    BP_CHECK(prepare() && bp_ca_signer_anchors(ca) == 3);
}

BP_CASE(credential_for_every_certified_key)
{
    struct bp_msg_challenge a;
    uint8_t hash[2][32], id[2][BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    spki_hash(rsa.pkey, hash[0], id[0]);
    spki_hash(p384.pkey, hash[1], id[1]);
    BP_CHECK(bp_span_equal(a.device_id, BP_SPAN_OF(id[0])) && a.eks == 2 && a.hashes == 2);
    BP_CHECK(bp_span_equal(a.hash[0], BP_SPAN_OF(hash[0])) && bp_span_equal(a.hash[1], BP_SPAN_OF(hash[1])));
    BP_CHECK(bp_span_equal(a.issuer_class, BP_SPAN_STR("virtual")));
    BP_CHECK(a.secret[0].n == 258 && a.secret[1].n == 102 && a.id_object[0].n > 34 && a.id_object[1].n > 50);
    BP_CHECK(is_named(a.qualified[0], &rsa) && is_named(a.qualified[1], &p384));
}

/* L-2 before L-1 before H-3, wherever they stand in the request; its hash leads. */
BP_CASE(identity_is_the_preferred_template)
{
    const struct bp_msg_credential m = {.eks = 3,
                                        .ek = {as_message(&p384), as_message(&rsa), as_message(&p256)},
                                        .ak = bp_span_of(ak.pub, ak.pub_n)};
    struct bp_msg_challenge a;
    uint8_t hash[32], id[BP_DEVID_SIZE];
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    spki_hash(p256.pkey, hash, id);
    BP_CHECK(bp_span_equal(a.device_id, BP_SPAN_OF(id)) && bp_span_equal(a.hash[0], BP_SPAN_OF(hash)) && a.hashes == 3);
    BP_CHECK(is_named(a.qualified[0], &p256) && is_named(a.qualified[1], &p384) && is_named(a.qualified[2], &rsa));
}

BP_CASE(a_key_without_certificate_gets_no_credential)
{
    struct bp_msg_credential m = both();
    struct bp_msg_challenge a;
    uint8_t hash[32], id[BP_DEVID_SIZE];
    m.ek[0].cert = BP_SPAN_EMPTY;
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    spki_hash(p384.pkey, hash, id);
    BP_CHECK(bp_span_equal(a.device_id, BP_SPAN_OF(id)) && a.hashes == 1 && a.secret[0].n == 0 && a.secret[1].n > 0);
    m.ek[1].cert = BP_SPAN_EMPTY;
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_NONE, BP_P_NOT_GENUINE));
}

/* Padding of the chip's memory after the certificate is passed over. */
BP_CASE(bytes_after_the_certificate_are_passed_over)
{
    struct bp_msg_credential m = {.eks = 1, .ek = {as_message(&p256)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
    uint8_t padded[CHIP_CERT_MAX];
    memcpy(padded, p256.cert, p256.cert_n);
    memset(padded + p256.cert_n, 0xff, 40);
    m.ek[0].cert = bp_span_of(padded, p256.cert_n + 40);
    ask_credential(&m);
    BP_CHECK(got.status == BP_P_NONE);
}

static void classes(void)
{
    struct chip_ek ek = {0};
    struct bp_msg_challenge a;
    struct bp_msg_credential m = {.eks = 1, .ak = bp_span_of(ak.pub, ak.pub_n)};
    bp_case_begin();
    BP_CHECK(chip_ek_make(&ek, 2, &discrete_maker, CHIP_GOOD, PLANT_NOW));
    m.ek[0] = as_message(&ek);
    ask_credential(&m); /* the anchor is the intermediate alone */
    BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)) &&
             bp_span_equal(a.issuer_class, BP_SPAN_STR("discrete")));
    bp_case_end("class_of_the_anchor");

    bp_case_begin();
    m.eks = 2;
    m.ek[1] = as_message(&rsa);
    ask_credential(&m);
    BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)) &&
             bp_span_equal(a.issuer_class, BP_SPAN_STR("virtual")));
    bp_case_end("weakest_class_counts");
    chip_ek_done(&ek);

    bp_case_begin();
    m.eks = 1;
    BP_CHECK(chip_ek_make(&ek, 2, &unknown_maker, CHIP_GOOD, PLANT_NOW));
    m.ek[0] = as_message(&ek);
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_CHAIN, BP_P_NOT_GENUINE));
    bp_case_end("a_maker_that_is_not_accepted");

    bp_case_begin();
    const struct bp_entropy other = bp_entropy_sim(&chance);
    bp_ca_signer_free(ca);
    ca = NULL;
    BP_CHECK(maker_anchor(&unknown_maker, plant_at(&plant, "anchors/some.pem"), true, true));
    BP_CHECK(!bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &other, &plant.clock, &ca)));
    entropy = other;
    bp_ca_signer_free(ca);
    BP_CHECK(!bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)));
    ask_credential(&m);
    BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)) &&
             bp_span_equal(a.issuer_class, BP_SPAN_STR("unknown")));
    bp_case_end("an_anchor_of_no_class_is_unknown");
    chip_ek_done(&ek);
}

static void flaws(void)
{
    static const struct {
        const char *name;
        enum chip_flaw flaw;
        enum bp_ca_rule rule;
    } rows[] = {
        {"no_use_listed", CHIP_NO_USE, BP_CA_NONE},         {"other_use", CHIP_OTHER_USE, BP_CA_EK_CERT_USE},
        {"an_authority", CHIP_IS_AUTHORITY, BP_CA_EK_CERT_USE}, {"expired", CHIP_EXPIRED, BP_CA_EK_CHAIN},
        {"sha1", CHIP_SHA1, BP_CA_EK_CHAIN},                {"unknown_critical", CHIP_CRITICAL, BP_CA_EK_CHAIN},
        {"self_signed", CHIP_SELF_SIGNED, BP_CA_EK_CHAIN},  {"other_key", CHIP_OTHER_KEY, BP_CA_EK_KEY},
        {"signs_certificates", CHIP_SIGNS, BP_CA_EK_CHAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[64];
        struct chip_ek ek = {0};
        (void)snprintf(name, sizeof name, "certificate.%s", rows[i].name);
        bp_case_begin();
        BP_CHECK(chip_ek_make(&ek, 2, &virtual_maker, rows[i].flaw, PLANT_NOW));
        const struct bp_msg_credential m = {.eks = 1, .ek = {as_message(&ek)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
        ask_credential(&m);
        if (rows[i].rule == BP_CA_NONE) {
            BP_CHECK(got.status == BP_P_NONE);
        } else {
            BP_CHECK(is_refused(rows[i].rule, BP_P_NOT_GENUINE));
        }
        chip_ek_done(&ek);
        bp_case_end(name);
    }
}

BP_CASE(a_certificate_with_a_flipped_bit)
{
    struct bp_msg_credential m = {.eks = 1, .ek = {as_message(&p256)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
    uint8_t cert[CHIP_CERT_MAX];
    unsigned refused = 0;
    memcpy(cert, p256.cert, p256.cert_n);
    m.ek[0].cert = bp_span_of(cert, p256.cert_n);
    for (size_t at = 0; at < p256.cert_n; at += 7) {
        cert[at] ^= 0x04u;
        ask_credential(&m);
        refused += got.status == BP_P_NOT_GENUINE ? 1u : 0u;
        cert[at] ^= 0x04u;
    }
    BP_CHECK(refused == (p256.cert_n + 6) / 7);
}

BP_CASE(templates_must_fit)
{
    struct bp_msg_credential m = both();
    m.ek[0].template_id = 2; /* an RSA key called L-2 */
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_TEMPLATE, BP_P_NOT_GENUINE));
    m.ek[0].template_id = 9;
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_TEMPLATE, BP_P_NOT_GENUINE));
    m = both();
    m.ek[0].pub = bp_span_of(ak.pub, ak.pub_n);
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_TEMPLATE, BP_P_NOT_GENUINE));
    m = both();
    m.ek[1] = m.ek[0];
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_TWICE, BP_P_MALFORMED));
}

/* One template attribute changed: a key that looks like an endorsement key but could sign or leave. */
BP_CASE(an_endorsement_key_of_other_attributes)
{
    struct bp_msg_credential m = {.eks = 1, .ek = {as_message(&p256)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
    uint8_t pub[CHIP_PUB_MAX];
    memcpy(pub, p256.pub, p256.pub_n);
    m.ek[0].pub = bp_span_of(pub, p256.pub_n);
    pub[9] ^= 0x02u; /* attributes are bytes 6..9: fixedTPM */
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_EK_TEMPLATE, BP_P_NOT_GENUINE));
}

BP_CASE(attestation_keys_that_are_none)
{
    struct bp_msg_credential m = both();
    static const uint32_t bad[] = {CHIP_DEVICE_ATTRIBUTES, CHIP_AK_ATTRIBUTES & ~BP_TPMA_FIXED_TPM,
                                   CHIP_AK_ATTRIBUTES & ~BP_TPMA_FIXED_PARENT,
                                   CHIP_AK_ATTRIBUTES & ~BP_TPMA_SENSITIVE_DATA_ORIGIN,
                                   CHIP_AK_ATTRIBUTES | BP_TPMA_DECRYPT};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        BP_CHECK(chip_key_public(&ak, bad[i]));
        m.ak = bp_span_of(ak.pub, ak.pub_n);
        ask_credential(&m);
        BP_CHECK(is_refused(BP_CA_AK_ATTRIBUTES, BP_P_EVIDENCE));
    }
    BP_CHECK(chip_key_public(&ak, CHIP_AK_ATTRIBUTES));
    m.ak = bp_span_of(ak.pub, ak.pub_n - 1);
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_AK_FORM, BP_P_EVIDENCE));
    m.ak = bp_span_of(rsa.pub, rsa.pub_n);
    ask_credential(&m);
    BP_CHECK(is_refused(BP_CA_AK_FORM, BP_P_EVIDENCE));
}

/* --- bind --- */

static void check_binding(bp_span device_id)
{
    bp_span object;
    struct bp_cose_sign1 msg;
    struct bp_akbinding b;
    struct bp_pubkey key;
    uint8_t scratch[4096];
    const struct bp_tpm_name name = ak_name();
    BP_NEED(!bp_failed(bp_msg_bytes_read(got.body, &object)) && !bp_failed(bp_cose_sign1_read(object, &msg)));
    BP_NEED(!bp_failed(bp_site_public(plant.site, BP_SITE_CERT_BIND, &key)));
    BP_CHECK(!bp_failed(bp_cose_sign1_verify(plant.crypto, &msg, &key, BP_SPAN_EMPTY, scratch, sizeof scratch)));
    BP_CHECK(bp_span_equal(msg.content_type, BP_SPAN_STR(BP_AKBINDING_CONTENT)));
    BP_NEED(!bp_failed(bp_akbinding_read(msg.payload, &b)));
    BP_CHECK(bp_span_equal(b.device_id, device_id) && bp_span_equal(b.ak_name, bp_tpm_name_span(&name)));
    BP_CHECK(b.eks == 2 && bp_span_equal(b.issuer_class, BP_SPAN_STR("virtual")) && b.time_ms == plant.sim.wall_ms);
    BP_CHECK(bp_span_equal(b.ak, bp_span_of(ak.pub, ak.pub_n)));
    BP_CHECK(is_named(b.qualified[0], &rsa) && is_named(b.qualified[1], &p384));
}

BP_CASE(bound_by_the_proof_and_once)
{
    uint8_t proof[32], hash[32], id[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    foretell(2, proof);
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE);
    spki_hash(rsa.pkey, hash, id);
    ask_bind(BP_SPAN_OF(id), proof);
    BP_NEED(got.status == BP_P_NONE);
    check_binding(BP_SPAN_OF(id));
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_NONE, BP_P_ACTIVATION));
}

BP_CASE(a_wrong_proof_spends_the_credential)
{
    uint8_t proof[32], hash[32], id[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    foretell(2, proof);
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE);
    spki_hash(rsa.pkey, hash, id);
    proof[31] ^= 1u;
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_PROOF, BP_P_ACTIVATION));
    proof[31] ^= 1u;
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_NONE, BP_P_ACTIVATION));
}

/* The proof needs every secret: opening one of two credentials is not enough. */
BP_CASE(one_secret_of_two_is_no_proof)
{
    uint8_t proof[32], hash[32], id[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    foretell(1, proof);
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE);
    spki_hash(rsa.pkey, hash, id);
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_PROOF, BP_P_ACTIVATION));
}

/* --- the same chip again --- */

/* What an endorsement key alone, or two, come to: asks for credentials, proves them, and binds after `before`. */
static void prove(const struct chip_ek *const *eks, size_t n, bp_span before)
{
    struct bp_msg_credential m = {.eks = n, .ak = bp_span_of(ak.pub, ak.pub_n)};
    struct bp_msg_challenge a;
    uint8_t proof[32], id[BP_DEVID_SIZE];
    for (size_t i = 0; i < n; i++) {
        m.ek[i] = as_message(eks[i]);
    }
    foretell(n, proof);
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    memcpy(id, a.device_id.p, sizeof id);
    ask_bind_after(BP_SPAN_OF(id), proof, before);
}

/* Copies the object that the signer answered with, and reads it. */
static bp_span take_binding(uint8_t *ret, size_t cap, struct bp_akbinding *b)
{
    bp_span object;
    struct bp_cose_sign1 msg;
    if (!BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &object)) && object.n <= cap)) {
        return BP_SPAN_EMPTY;
    }
    memcpy(ret, object.p, object.n);
    const bp_span kept = bp_span_of(ret, object.n);
    BP_CHECK(!bp_failed(bp_cose_sign1_read(kept, &msg)) && !bp_failed(bp_akbinding_read(msg.payload, b)));
    return kept;
}

/* Shown by another of its endorsement keys alone, then by the third: it is the device that it was, and keeps all of them. */
BP_CASE(the_chip_is_recognised_by_any_of_its_keys)
{
    const struct chip_ek *const all[] = {&rsa, &p256, &p384};
    uint8_t hash[3][32], id[3][BP_DEVID_SIZE], first[BP_AKBINDING_SIGNED], second[BP_AKBINDING_SIGNED], third[BP_AKBINDING_SIGNED];
    struct bp_akbinding b;
    for (size_t i = 0; i < 3; i++) {
        spki_hash(all[i]->pkey, hash[i], id[i]);
    }
    prove(all, 3, BP_SPAN_EMPTY);
    const bp_span one = take_binding(first, sizeof first, &b);
    BP_CHECK(bp_span_equal(b.device_id, BP_SPAN_OF(id[1])) && b.eks == 3 && b.aliases == 0);
    prove(&all[2], 1, one);
    const bp_span two = take_binding(second, sizeof second, &b);
    BP_CHECK(bp_span_equal(b.device_id, BP_SPAN_OF(id[1])) && b.eks == 1 && b.aliases == 2);
    BP_CHECK(bp_span_equal(b.ek[0], BP_SPAN_OF(hash[2])) && is_named(b.qualified[0], &p384));
    BP_CHECK(bp_span_equal(b.alias[0], BP_SPAN_OF(hash[1])) && bp_span_equal(b.alias[1], BP_SPAN_OF(hash[0])));
    prove(all, 1, two);
    const bp_span three = take_binding(third, sizeof third, &b);
    BP_CHECK(three.n > 0 && bp_span_equal(b.device_id, BP_SPAN_OF(id[1])) && b.eks == 1 && b.aliases == 2 &&
             bp_span_equal(b.ek[0], BP_SPAN_OF(hash[0])));
}

/* A key that comes later joins the others. */
BP_CASE(a_further_key_joins_once_it_is_proven)
{
    const struct chip_ek *const one[] = {&p384}, *const two[] = {&rsa, &p384};
    uint8_t hash[32], id[BP_DEVID_SIZE], proof[32], first[BP_AKBINDING_SIGNED], second[BP_AKBINDING_SIGNED];
    struct bp_akbinding b;
    spki_hash(p384.pkey, hash, id);
    prove(one, 1, BP_SPAN_EMPTY);
    const bp_span before = take_binding(first, sizeof first, &b);
    BP_CHECK(bp_span_equal(b.device_id, BP_SPAN_OF(id)));
    /* Its credential was opened for one of the two keys only: nothing joins, and nothing is bound. */
    const struct bp_msg_credential m = both();
    struct bp_msg_challenge a;
    uint8_t chip[BP_DEVID_SIZE];
    foretell(1, proof);
    ask_credential(&m);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    memcpy(chip, a.device_id.p, sizeof chip);
    ask_bind_after(BP_SPAN_OF(chip), proof, before);
    BP_CHECK(is_refused(BP_CA_BIND_PROOF, BP_P_ACTIVATION));
    prove(two, 2, before);
    (void)take_binding(second, sizeof second, &b);
    BP_CHECK(bp_span_equal(b.device_id, BP_SPAN_OF(id)) && b.eks == 2 && b.aliases == 0);
}

BP_CASE(another_chip_takes_no_id)
{
    const struct chip_ek *const one[] = {&p256}, *const two[] = {&rsa, &p384};
    uint8_t first[BP_AKBINDING_SIGNED];
    struct bp_akbinding b;
    prove(two, 2, BP_SPAN_EMPTY);
    const bp_span before = take_binding(first, sizeof first, &b);
    prove(one, 1, before); /* the keeper says that it is the same chip */
    BP_CHECK(is_refused(BP_CA_BIND_BEFORE, BP_P_WRONG_DEVICE));
    first[before.n - 1] ^= 1u;
    prove(two, 1, before); /* and a statement that this CA did not make says nothing */
    BP_CHECK(is_refused(BP_CA_BINDING_SIGNATURE, BP_P_SIGNATURE));
    prove(two, 1, BP_SPAN_STR("\x01"));
    BP_CHECK(is_refused(BP_CA_BINDING_SIGNATURE, BP_P_SIGNATURE));
}

/* The weakest class of all its keys counts, also of one that it does not show this time. */
BP_CASE(a_key_left_away_lends_no_better_class)
{
    struct chip_ek ek = {0};
    const struct chip_ek *const all[] = {&ek, &rsa};
    uint8_t first[BP_AKBINDING_SIGNED], second[BP_AKBINDING_SIGNED];
    struct bp_akbinding b;
    BP_NEED(chip_ek_make(&ek, 2, &discrete_maker, CHIP_GOOD, PLANT_NOW));
    prove(all, 2, BP_SPAN_EMPTY);
    const bp_span before = take_binding(first, sizeof first, &b);
    BP_CHECK(bp_span_equal(b.issuer_class, BP_SPAN_STR("virtual")));
    prove(all, 1, before);
    (void)take_binding(second, sizeof second, &b);
    BP_CHECK(bp_span_equal(b.issuer_class, BP_SPAN_STR("virtual")) && b.eks == 1 && b.aliases == 1);
    chip_ek_done(&ek);
}

/* A chip has a few; whoever brings ever new ones under one of them is no chip. */
BP_CASE(aliases_are_bounded)
{
    struct chip_ek more[BP_AKBINDING_EKS_MAX + 1];
    uint8_t kept[2][BP_AKBINDING_SIGNED];
    struct bp_akbinding b;
    bp_span before = BP_SPAN_EMPTY;
    for (size_t i = 0; i <= BP_AKBINDING_EKS_MAX; i++) {
        const struct chip_ek *const eks[] = {&p384, &more[i]};
        BP_NEED(chip_ek_make(&more[i], 2, &virtual_maker, CHIP_GOOD, PLANT_NOW));
        prove(eks, 2, before);
        before = take_binding(kept[i % 2], BP_AKBINDING_SIGNED, &b);
        BP_CHECK(b.aliases == i);
    }
    const struct chip_ek *const other[] = {&p384, &p256};
    prove(other, 2, before);
    BP_CHECK(is_refused(BP_CA_BIND_ALIASES, BP_P_NOT_GENUINE));
    for (size_t i = 0; i <= BP_AKBINDING_EKS_MAX; i++) {
        chip_ek_done(&more[i]);
    }
}

BP_CASE(ten_minutes_and_no_longer)
{
    uint8_t proof[32], hash[32], id[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    spki_hash(rsa.pkey, hash, id);
    foretell(2, proof);
    ask_credential(&m);
    bp_clock_sim_step(&plant.sim, BP_CA_PENDING_MS - 1);
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(got.status == BP_P_NONE);
    foretell(2, proof);
    ask_credential(&m);
    bp_clock_sim_step(&plant.sim, BP_CA_PENDING_MS);
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_NONE, BP_P_ACTIVATION));
}

BP_CASE(a_new_credential_takes_the_place_of_the_old)
{
    uint8_t first[32], second[32], hash[32], id[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    spki_hash(rsa.pkey, hash, id);
    foretell(2, first);
    ask_credential(&m);
    foretell(2, second);
    ask_credential(&m);
    ask_bind(BP_SPAN_OF(id), first);
    BP_CHECK(is_refused(BP_CA_BIND_PROOF, BP_P_ACTIVATION));
    foretell(2, second);
    ask_credential(&m);
    ask_bind(BP_SPAN_OF(id), second);
    BP_CHECK(got.status == BP_P_NONE);
}

BP_CASE(another_device_or_key_is_not_bound)
{
    uint8_t proof[32], hash[32], id[BP_DEVID_SIZE], other[BP_DEVID_SIZE];
    const struct bp_msg_credential m = both();
    spki_hash(rsa.pkey, hash, id);
    spki_hash(p384.pkey, hash, other);
    foretell(2, proof);
    ask_credential(&m);
    ask_bind(BP_SPAN_OF(other), proof);
    BP_CHECK(is_refused(BP_CA_BIND_NONE, BP_P_ACTIVATION));
    BP_CHECK(chip_key_public(&ak, CHIP_AK_ATTRIBUTES & ~BP_TPMA_NO_DA)); /* another name */
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(is_refused(BP_CA_BIND_NONE, BP_P_ACTIVATION));
    BP_CHECK(chip_key_public(&ak, CHIP_AK_ATTRIBUTES));
    ask_bind(BP_SPAN_OF(id), proof);
    BP_CHECK(got.status == BP_P_NONE);
}

/* The table is bounded: full of open credentials it refuses, and time makes room again. */
BP_CASE(open_credentials_are_bounded)
{
    const struct bp_msg_credential m0 = {.eks = 1, .ek = {as_message(&p256)}, .ak = bp_span_of(ak.pub, ak.pub_n)};
    struct bp_msg_credential m = m0;
    uint8_t pub[CHIP_PUB_MAX];
    unsigned made = 0;
    bp_clock_sim_step(&plant.sim, BP_CA_PENDING_MS);
    memcpy(pub, ak.pub, ak.pub_n);
    m.ak = bp_span_of(pub, ak.pub_n);
    for (unsigned i = 0; i < BP_CA_PENDING_MAX; i++) {
        pub[ak.pub_n - 1] = (uint8_t)i; /* a point need not be on the curve to have a name */
        pub[ak.pub_n - 2] = (uint8_t)(i >> 8);
        ask_credential(&m);
        made += got.status == BP_P_NONE ? 1u : 0u;
    }
    BP_CHECK(made == BP_CA_PENDING_MAX);
    ask_credential(&m0);
    BP_CHECK(is_refused(BP_CA_PENDING_FULL, BP_P_BUSY));
    bp_clock_sim_step(&plant.sim, BP_CA_PENDING_MS);
    ask_credential(&m0);
    BP_CHECK(got.status == BP_P_NONE);
}

BP_CASE(malformed_and_unknown_requests)
{
    ask("credential", BP_SPAN_STR("\xa0"));
    BP_CHECK(is_refused(BP_CA_REQUEST, BP_P_MALFORMED));
    ask("bind", BP_SPAN_STR("\x01"));
    BP_CHECK(is_refused(BP_CA_REQUEST, BP_P_MALFORMED));
    ask("append", BP_SPAN_STR("\xa0"));
    BP_CHECK(is_refused(BP_CA_OP, BP_P_UNSUPPORTED));
}

static X509 *ml_dsa_cert(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.der", ML_DSA_DIR, name);
    FILE *f = fopen(path, "rb");
    X509 *x = f == NULL ? NULL : d2i_X509_fp(f, NULL);
    BP_CHECK(x != NULL && fclose(f) == 0);
    return x;
}

/* A maker whose authority signs by ML-DSA: with a library that verifies it the chain stands, and the key is seen to be
 * another than the chip's; with an older one the refusal says that the library is the reason. */
BP_CASE(a_maker_by_ml_dsa)
{
    const char *path = plant_at(&plant, "anchors/discrete-ml-dsa.pem");
    uint8_t der[8192];
    unsigned char *at = der;
    X509 *maker = ml_dsa_cert("mid44"), *cert = ml_dsa_cert("ek");
    BP_NEED(maker != NULL && cert != NULL);
    FILE *f = fopen(path, "w");
    BP_NEED(f != NULL && PEM_write_X509(f, maker) == 1 && fclose(f) == 0);
    const int n = i2d_X509(cert, NULL) <= (int)sizeof der ? i2d_X509(cert, &at) : 0;
    X509_free(maker);
    X509_free(cert);
    bp_ca_signer_free(ca);
    ca = NULL;
    BP_NEED(n > 0 && !bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)));
    struct bp_msg_credential m = {.ak = bp_span_of(ak.pub, ak.pub_n), .eks = 1};
    m.ek[0] = as_message(&p256);
    m.ek[0].cert = bp_span_of(der, (size_t)n);
    ask_credential(&m);
    BP_CHECK(is_refused(bp_path_has_ml_dsa() ? BP_CA_EK_KEY : BP_CA_EK_CHAIN_ML_DSA, BP_P_NOT_GENUINE));
    BP_CHECK(unlink(plant_at(&plant, "anchors/discrete-ml-dsa.pem")) == 0); /* the path was that call's */
}

BP_CASE(bad_anchor_files)
{
    struct bp_ca_signer *other = NULL;
    const char *path = plant_at(&plant, "anchors/virtual-bad.pem");
    FILE *f = fopen(path, "w");
    BP_NEED(f != NULL && fputs("not a certificate\n", f) >= 0 && fclose(f) == 0);
    BP_CHECK(bp_is(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &other), BP_E_MALFORMED));
    BP_CHECK(unlink(plant_at(&plant, "anchors/virtual-bad.pem")) == 0);
    unsigned refused = 0;
    for (size_t i = 1; i < 60; i++) {
        const size_t live = bp_alloc_live();
        bp_alloc_fail_from(i);
        const bp_result r = bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &other);
        bp_alloc_fail_from(0);
        if (!bp_failed(r)) {
            bp_ca_signer_free(other);
            break;
        }
        BP_CHECK(bp_alloc_live() == live);
        refused++;
    }
    BP_CHECK(refused >= 10);
}

static void clean(void)
{
    bp_ca_signer_free(ca);
    chip_ek_done(&rsa);
    chip_ek_done(&p256);
    chip_ek_done(&p384);
    chip_key_done(&ak);
    maker_done(&virtual_maker);
    maker_done(&discrete_maker);
    maker_done(&unknown_maker);
    plant_done(&plant);
}

/* clang-format off */
BP_SUITE(enrol,
    BP_RUN(ready)
    BP_RUN(credential_for_every_certified_key)
    BP_RUN(identity_is_the_preferred_template)
    BP_RUN(a_key_without_certificate_gets_no_credential)
    BP_RUN(bytes_after_the_certificate_are_passed_over)
    BP_TABLE(classes)
    BP_TABLE(flaws)
    BP_RUN(a_certificate_with_a_flipped_bit)
    BP_RUN(templates_must_fit)
    BP_RUN(an_endorsement_key_of_other_attributes)
    BP_RUN(attestation_keys_that_are_none)
    BP_RUN(bound_by_the_proof_and_once)
    BP_RUN(a_wrong_proof_spends_the_credential)
    BP_RUN(the_chip_is_recognised_by_any_of_its_keys) BP_RUN(a_further_key_joins_once_it_is_proven)
    BP_RUN(another_chip_takes_no_id) BP_RUN(a_key_left_away_lends_no_better_class) BP_RUN(aliases_are_bounded)
    BP_RUN(one_secret_of_two_is_no_proof)
    BP_RUN(ten_minutes_and_no_longer)
    BP_RUN(a_new_credential_takes_the_place_of_the_old)
    BP_RUN(another_device_or_key_is_not_bound)
    BP_RUN(open_credentials_are_bounded)
    BP_RUN(malformed_and_unknown_requests)
    BP_RUN(a_maker_by_ml_dsa)
    BP_RUN(bad_anchor_files)
    clean();)
