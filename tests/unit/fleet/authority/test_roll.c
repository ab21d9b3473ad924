/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/authority/test_roll - another issuing CA: whole or not at all, one at a time, and signed by the root. */
#include "codec/x509.h"
#include "harness.h"
#include "unit/fleet/signer/plant.h"

#include <stdio.h>
#include <unistd.h>

#include "fleet/signer/signer.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"

#define BP_MODULE TEST

static struct plant plant;
static struct bp_entropy entropy;

static bool is_there(const char *relative)
{
    return access(plant_at(&plant, relative), F_OK) == 0;
}

static bool reload(void)
{
    bp_site_free(plant.site);
    plant.site = NULL;
    return !bp_failed(bp_site_load(plant.dir, plant.crypto, &plant.site));
}

static bp_result roll_with(const char *key_file, enum bp_key_type type)
{
    struct bp_key *root = NULL;
    BP_TRY(bp_key_load(plant_at(&plant, key_file), bp_span_cstr(plant.passphrase), &root));
    const bp_result r = bp_site_roll(plant.dir, root, type, plant.crypto, &entropy, &plant.clock);
    bp_key_free(root);
    return r;
}

/* The signer's answer to an empty list: the number of its rule, and what it signed with. */
static enum bp_sig_alg list_by(const char *op, uint64_t number)
{
    struct bp_ca_signer *ca = NULL;
    struct bp_signer_answer a = {.status = BP_P_INTERNAL};
    uint8_t body[64];
    size_t n = 0;
    bp_span der = BP_SPAN_EMPTY;
    const struct bp_msg_crl m = {.number = number, .lifetime_ms = BP_MSG_CRL_LEAST_MS};
    if (bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)) ||
        bp_failed(bp_msg_crl_write(&m, body, sizeof body, &n))) {
        return BP_SIG_NONE;
    }
    bp_ca_signer_answer(ca, bp_span_cstr(op), bp_span_of(body, n), &a);
    const bool ok = a.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(a.body, &der));
    const bool p384 = ok && memmem(der.p, der.n, "\x2a\x86\x48\xce\x3d\x04\x03\x03", 8) != NULL;
    bp_ca_signer_free(ca);
    return !ok ? BP_SIG_NONE : p384 ? BP_SIG_ES384 : BP_SIG_ES256;
}

BP_CASE(nothing_but_the_roots_key_makes_one)
{
    BP_NEED(plant_make(&plant));
    entropy = bp_entropy_linux();
    BP_CHECK(bp_failed(roll_with("recovery-key.pem", BP_KEY_P256)) && bp_failed(roll_with("root-key.pem", BP_KEY_RSA)));
    BP_CHECK(!is_there("certs/issuing-1.der") && !is_there("keys/ca/issuing-1.pem"));
    BP_CHECK(reload() && plant.site->issuing_number == 0 && plant.site->issuing_old.n == 0);
    BP_CHECK(list_by("crl", 1) == BP_SIG_ES256 && list_by("crl-old", 1) == BP_SIG_NONE);
}

BP_CASE(both_are_in_force)
{
    struct bp_key *now = NULL, *old = NULL;
    BP_NEED(!bp_failed(roll_with("root-key.pem", BP_KEY_P384)) && reload());
    BP_CHECK(plant.site->issuing_number == 1 && plant.site->issuing_old.n > 0);
    BP_CHECK(strstr(plant.site->crl_url, "/crl/issuing-1.crl") != NULL);
    BP_NEED(!bp_failed(bp_site_key_open(plant.site, BP_SITE_KEY_ISSUING, &now)));
    BP_NEED(!bp_failed(bp_site_old_key_open(plant.site, &old)));
    BP_CHECK(bp_key_public(now).type == BP_KEY_P384 && bp_key_public(old).type == BP_KEY_P256);
    bp_key_free(now);
    bp_key_free(old);
    BP_CHECK(list_by("crl", 2) == BP_SIG_ES384 && list_by("crl-old", 2) == BP_SIG_ES256);
    BP_CHECK(bp_is(roll_with("root-key.pem", BP_KEY_P256), BP_E_BUSY) && !is_there("certs/issuing-2.der"));
}

BP_CASE(cut_before_the_settings_is_the_old_state)
{
    uint8_t *yaml = NULL;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_file_read(plant_at(&plant, "server.yaml"), BP_FILE_PUBLIC, 16384, &yaml, &n)));
    const struct bp_site_settings before = {.name = "localhost", .org = "Plant", .status_url = "http://localhost:8446"};
    char text[1024];
    size_t text_n = 0;
    BP_NEED(!bp_failed(bp_site_settings_write(&before, text, sizeof text, &text_n)));
    BP_NEED(!bp_failed(bp_file_write(plant_at(&plant, "server.yaml"), BP_FILE_PUBLIC, bp_span_of(text, text_n))));
    BP_CHECK(reload() && plant.site->issuing_number == 0 && list_by("crl", 3) == BP_SIG_ES256);
    BP_NEED(!bp_failed(bp_file_write(plant_at(&plant, "server.yaml"), BP_FILE_PUBLIC, bp_span_of(yaml, n))) && reload());
    bp_free(yaml);
}

BP_CASE(one_of_another_root_is_refused)
{
    uint8_t *good = NULL;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_file_read(plant_at(&plant, "certs/issuing.der"), BP_FILE_PUBLIC, BP_CERT_MAX, &good, &n)));
    good[n - 1] ^= 1u;
    BP_NEED(!bp_failed(bp_file_write(plant_at(&plant, "certs/issuing.der"), BP_FILE_PUBLIC, bp_span_of(good, n))));
    BP_CHECK(!reload());
    good[n - 1] ^= 1u;
    BP_NEED(!bp_failed(bp_file_write(plant_at(&plant, "certs/issuing.der"), BP_FILE_PUBLIC, bp_span_of(good, n))));
    bp_free(good);
    BP_CHECK(reload());
}

BP_CASE(taken_out_and_rolled_again)
{
    struct bp_key *old = NULL;
    BP_NEED(!bp_failed(bp_site_retire(plant.dir, plant.crypto)) && reload());
    BP_CHECK(plant.site->issuing_old.n == 0 && bp_is(bp_site_old_key_open(plant.site, &old), BP_E_NOT_FOUND));
    BP_CHECK(!is_there("certs/issuing.der") && !is_there("keys/ca/issuing.pem"));
    BP_CHECK(bp_is(bp_site_retire(plant.dir, plant.crypto), BP_E_NOT_FOUND));
    BP_NEED(!bp_failed(roll_with("root-key.pem", BP_KEY_P256)) && reload());
    BP_CHECK(plant.site->issuing_number == 2 && list_by("crl", 9) == BP_SIG_ES256 && list_by("crl-old", 9) == BP_SIG_ES384);
    plant_done(&plant);
}

static const struct {
    const char *name;
    bool good;
    const char *rest;
} yamls[] = {
    {"rolled", true, "issuing_number: 1\nissuing_old: true\n"},
    {"retired", true, "issuing_number: 12\nissuing_old: false\n"},
    {"number_alone", true, "issuing_number: 999\n"},
    {"number_zero", false, "issuing_number: 0\n"},
    {"number_long", false, "issuing_number: 1000\n"},
    {"number_signed", false, "issuing_number: -1\n"},
    {"number_quoted", false, "issuing_number: \"1\"\n"},
    {"number_word", false, "issuing_number: one\n"},
    {"number_zeros", false, "issuing_number: 01\n"},
    {"old_of_the_first", false, "issuing_old: true\n"},
    {"old_not_a_flag", false, "issuing_number: 1\nissuing_old: yes\n"},
    {"old_key_of_none", false,
     "issuing_number: 1\nkey_issuing_old: \"pkcs11:token=a;object=b?module-path=/m&pin-source=file:p\"\n"},
    {"key_in_token", true, "key_issuing: \"pkcs11:token=a;object=b?module-path=/m&pin-source=file:p\"\n"},
    {"key_without_name", false, "key_issuing: \"pkcs11:token=a?module-path=/m&pin-source=file:p\"\n"},
    {"key_with_pin", false, "key_issuing: \"pkcs11:token=a;object=b?module-path=/m&pin-value=1\"\n"},
    {"reach", true, "key_reach: \"/a /b\"\n"},
    {"reach_relative", false, "key_reach: \"/a b\"\n"},
    {"reach_two_blanks", false, "key_reach: \"/a  /b\"\n"},
    {"reach_of_five", false, "key_reach: \"/a /b /c /d /e\"\n"},
};

static void settings(void)
{
    for (size_t i = 0; i < sizeof yamls / sizeof yamls[0]; i++) {
        char name[64], text[512], back[4096];
        struct bp_site_settings s, again;
        size_t line = 0, column = 0, n = 0;
        (void)snprintf(name, sizeof name, "settings.%s", yamls[i].name);
        (void)snprintf(text, sizeof text, "name: a\norg: b\nstatus_url: http://a:1\nevaluation: true\n%s", yamls[i].rest);
        bp_case_begin();
        const bp_result r = bp_site_settings_read(bp_span_cstr(text), &s, &line, &column);
        BP_CHECK(yamls[i].good ? !bp_failed(r) : bp_is(r, BP_E_MALFORMED) && line > 0);
        if (yamls[i].good && !bp_failed(r)) {
            BP_CHECK(!bp_failed(bp_site_settings_write(&s, back, sizeof back, &n)) &&
                     !bp_failed(bp_site_settings_read(bp_span_of(back, n), &again, &line, &column)));
            BP_CHECK(memcmp(&s, &again, sizeof s) == 0);
        }
        bp_case_end(name);
    }
}

BP_SUITE(roll, BP_TABLE(settings) BP_RUN(nothing_but_the_roots_key_makes_one) BP_RUN(both_are_in_force)
                   BP_RUN(cut_before_the_settings_is_the_old_state) BP_RUN(one_of_another_root_is_refused)
                       BP_RUN(taken_out_and_rolled_again))
