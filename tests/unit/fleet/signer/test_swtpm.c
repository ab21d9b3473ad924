/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/test_swtpm - the three signers and a TPM in one pass: from the certificates in its NV to a
 * certificate of ours for a key that cannot leave it. The TPM is swtpm by swtpm_setup; its authority is the anchor. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "codec/akbinding.h"
#include "codec/cose.h"
#include "codec/ear.h"
#include "codec/est.h"
#include "codec/evidence.h"
#include "codec/x509.h"
#include "core/binding.h"
#include "core/tpmkey.h"
#include "fleet/signer/signer.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "rot/tpm2/tpm2.h"
#include "unit/fleet/signer/plant.h"

#define MASK      0x004fffu
#define PSEUDONYM "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

static struct plant plant;
static struct bp_entropy entropy;
static struct bp_ca_signer *ca;
static struct bp_log_signer *results;
static struct bp_signer_answer got;
static struct bp_rot *rot;
static struct bp_rot_trace tr;
static char chip[72];
static uint8_t room[1 << 17];

static const uint8_t ak_auth[32] = {1}, key_auth[32] = {2}, nonce[32] = {3}, binding[32];
static struct bp_rot_identity identity[4];
static size_t identities;
static struct bp_rot_blob ak, key;
static uint8_t device_id[33];
static uint8_t bound[2048];
static size_t bound_n;

/* Runs swtpm.sh; what it prints goes into `ret`, its first line. */
static bool swtpm(const char *verb, char *ret, size_t cap)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/out", chip);
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0 && dup2(fd, 1) >= 0) {
            (void)execl(BP_TEST_SWTPM, BP_TEST_SWTPM, verb, chip, (char *)NULL);
        }
        _exit(99);
    }
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        return false;
    }
    FILE *f = fopen(path, "r");
    const bool ok = f != NULL && (ret == NULL || fgets(ret, (int)cap, f) != NULL);
    if (ret != NULL && ok) {
        ret[strcspn(ret, "\n")] = '\0';
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return ok;
}

static bool copy(const char *from, const char *to)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (bp_failed(bp_file_read(from, BP_FILE_PUBLIC, 65536, &bytes, &n))) {
        return false;
    }
    const bool ok = !bp_failed(bp_file_write(to, BP_FILE_PUBLIC, bp_span_of(bytes, n)));
    bp_free(bytes);
    return ok;
}

static bool put_anchors(void)
{
    char from[128];
    (void)snprintf(from, sizeof from, "%s/ca/issuercert.pem", chip);
    if (!copy(from, plant_at(&plant, "anchors/virtual-swtpm.pem"))) {
        return false;
    }
    (void)snprintf(from, sizeof from, "%s/ca/swtpm-localca-rootca-cert.pem", chip);
    return copy(from, plant_at(&plant, "anchors/virtual-swtpm-root.pem"));
}

static bool begin(void)
{
    char tcti[128];
    (void)snprintf(chip, sizeof chip, "%s/t", plant.top);
    entropy = bp_entropy_linux();
    if (mkdir(chip, 0700) != 0 || !swtpm("make", NULL, 0)) {
        return false;
    }
    /* swtpm's certificates begin when they are made, so this plant's clock is the real one. */
    plant.sim.wall_ms = (int64_t)time(NULL) * 1000;
    return swtpm("start", tcti, sizeof tcti) && put_anchors() &&
           !bp_failed(bp_rot_tpm2_new(tcti, &rot, &tr)) &&
           !bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)) &&
           !bp_failed(bp_log_signer_new(plant.site, plant.crypto, &results));
}

static bp_span sp(const struct bp_rot_blob *b)
{
    return bp_span_of(b->v, b->n);
}

static bp_span public_of(const struct bp_rot_blob *b)
{
    bp_span pub = BP_SPAN_EMPTY;
    BP_CHECK(!bp_failed(rot->ops->key_public(rot, sp(b), &pub)));
    return pub;
}

static void ask_ca(const char *op, size_t n)
{
    bp_ca_signer_answer(ca, bp_span_cstr(op), bp_span_of(room, n), &got);
    if (got.status != BP_P_NONE) {
        printf("# %s: rule %d\n", op, (int)bp_ca_signer_rule(ca));
    }
}

BP_CASE(certificates_of_the_chip_are_genuine)
{
    struct bp_msg_credential m = {0};
    size_t n = 0;
    while (identities < 4 && !bp_failed(rot->ops->identity(rot, (uint32_t)identities, &identity[identities], &tr))) {
        identities++;
    }
    BP_NEED(identities >= 2);
    BP_NEED(!bp_failed(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, identity[0].template_id, BP_SPAN_OF(ak_auth), &ak, &tr)));
    m.eks = identities;
    for (size_t i = 0; i < identities; i++) {
        m.ek[i] = (struct bp_msg_ek){identity[i].template_id, bp_span_of(identity[i].pub, identity[i].pub_n),
                                     bp_span_of(identity[i].cert, identity[i].cert_n)};
    }
    m.ak = public_of(&ak);
    BP_NEED(!bp_failed(bp_msg_credential_write(&m, room, sizeof room, &n)));
    ask_ca("credential", n);
    BP_CHECK(got.status == BP_P_NONE);
}

/* The TPM opens what the signer made, for each of its endorsement keys; the proof over the secrets binds. */
BP_CASE(the_chip_opens_its_credentials_and_is_bound)
{
    struct bp_msg_challenge a;
    uint8_t secret[4][BP_ROT_SECRET_MAX], proof[32];
    bp_span spans[4];
    struct bp_tpm_public pub;
    struct bp_tpm_name name;
    bp_span object;
    size_t n = 0;
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_challenge_read(got.body, &a)));
    BP_CHECK(bp_span_equal(a.issuer_class, BP_SPAN_STR("virtual")) && a.hashes == identities);
    memcpy(device_id, a.device_id.p, sizeof device_id);
    for (size_t i = 0; i < identities; i++) {
        BP_NEED(!bp_failed(rot->ops->activate(rot, identity[i].template_id, sp(&ak), BP_SPAN_OF(ak_auth), a.id_object[i],
                                              a.secret[i], &n, secret[i], &tr)));
        spans[i] = bp_span_of(secret[i], n);
    }
    BP_NEED(!bp_failed(bp_binding_activation(plant.crypto, spans, identities, proof)));
    BP_NEED(!bp_failed(bp_tpm_public_read(public_of(&ak), &pub)) && !bp_failed(bp_tpm_name(plant.crypto, &pub, &name)));
    const struct bp_msg_bind m = {BP_SPAN_OF(device_id), bp_tpm_name_span(&name), BP_SPAN_OF(proof), BP_SPAN_EMPTY};
    BP_NEED(!bp_failed(bp_msg_bind_write(&m, room, sizeof room, &n)));
    ask_ca("bind", n);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &object)) && object.n <= sizeof bound);
    memcpy(bound, object.p, object.n);
    bound_n = object.n;
}

static size_t spki_of(const struct bp_rot_blob *b, uint8_t *ret, size_t cap)
{
    struct bp_tpm_public pub;
    struct bp_tpm_key_room key_room;
    struct bp_pubkey k;
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_tpm_public_read(public_of(b), &pub)) && !bp_failed(bp_tpm_pubkey(&pub, &key_room, &k)) &&
             !bp_failed(bp_spki_write(&k, ret, cap, &n)));
    return n;
}

static size_t evidence_of(const uint8_t ldevid[32], uint64_t issued_ms, uint8_t *ret, size_t cap)
{
    static struct bp_rot_statement certify, quote;
    static struct bp_rot_pcrs pcrs;
    uint8_t covered[32], extra[32];
    size_t n = 0;
    struct bp_evidence ev = {.about = {.device_id = BP_SPAN_OF(device_id), .seq = 1, .issued_ms = issued_ms,
                                       .ldevid = bp_span_of(ldevid, 32), .agent = BP_SPAN_STR("test")},
                             .keys = 1};
    BP_CHECK(!bp_failed(bp_binding_key(plant.crypto, BP_SPAN_OF(nonce), BP_SPAN_OF(device_id), extra)));
    BP_CHECK(!bp_failed(rot->ops->certify(rot, sp(&ak), BP_SPAN_OF(ak_auth), sp(&key), BP_SPAN_OF(key_auth),
                                          BP_SPAN_OF(extra), &certify, &tr)));
    ev.key[0] = (struct bp_certified){public_of(&key), bp_span_of(certify.attest, certify.attest_n),
                                      bp_span_of(certify.sig, certify.sig_n)};
    BP_CHECK(!bp_failed(bp_evidence_write(&ev, false, ret, cap, &n)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(ret, n), covered)));
    BP_CHECK(!bp_failed(bp_binding_quote(plant.crypto, BP_SPAN_OF(nonce), BP_SPAN_OF(device_id), bp_span_of(ldevid, 32),
                                         BP_SPAN_OF(binding), BP_SPAN_OF(covered), extra)));
    BP_CHECK(!bp_failed(rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(ak_auth), BP_TPM_ALG_SHA256, MASK, BP_SPAN_OF(extra),
                                        &quote, &pcrs, &tr)));
    ev.attest = bp_span_of(quote.attest, quote.attest_n);
    ev.signature = bp_span_of(quote.sig, quote.sig_n);
    BP_CHECK(!bp_failed(bp_evidence_write(&ev, true, ret, cap, &n)));
    return n;
}

/* By the log signer, as the keeper asks it. */
static size_t result_of(bp_span evidence, const uint8_t ldevid[32], uint64_t issued_ms, uint8_t *ret, size_t cap)
{
    static struct bp_msg_results m;
    uint8_t digest[32], payload[1024];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, evidence, digest)));
    const struct bp_ear ear = {.iat_s = (int64_t)issued_ms / 1000, .nonce = BP_SPAN_OF(nonce),
                               .profile = BP_SPAN_STR(BP_EAR_PROFILE), .developer = BP_SPAN_STR("bedplate"),
                               .build = BP_SPAN_STR("test"), .status = BP_TIER_AFFIRMING,
                               .pseudonym = BP_SPAN_STR(PSEUDONYM), .evidence_digest = BP_SPAN_OF(digest),
                               .as_of_ms = (int64_t)issued_ms, .keys = 1, .key = {bp_span_of(ldevid, 32)}};
    BP_CHECK(!bp_failed(bp_ear_write(&ear, payload, sizeof payload, &n)));
    m = (struct bp_msg_results){.count = 1, .item = {bp_span_of(payload, n)}};
    BP_CHECK(!bp_failed(bp_msg_results_write(&m, room, sizeof room, &n)));
    bp_log_signer_answer(results, BP_SPAN_STR("sign-results"), bp_span_of(room, n), &got);
    if (!BP_CHECK(got.status == BP_P_NONE && !bp_failed(bp_msg_results_read(got.body, &m)) && m.item[0].n <= cap)) {
        return 0;
    }
    memcpy(ret, m.item[0].p, m.item[0].n);
    return m.item[0].n;
}

static size_t request_of(bp_span spki, uint8_t *ret, size_t cap)
{
    uint8_t info[256], digest[32], raw[64];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_est_info_write(BP_SPAN_STR("device"), spki, info, sizeof info, &n)));
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(info, n), digest)));
    BP_CHECK(!bp_failed(rot->ops->sign(rot, sp(&key), BP_SPAN_OF(key_auth), BP_SPAN_OF(digest), raw, &tr)));
    BP_CHECK(!bp_failed(bp_est_request_write(bp_span_of(info, n), BP_SPAN_OF(raw), ret, cap, &n)));
    return n;
}

BP_CASE(a_key_inside_gets_its_certificate)
{
    static uint8_t evidence[8192], ear[4096], csr[1024], spki[128];
    uint8_t ldevid[32];
    size_t n = 0;
    bp_span der;
    struct bp_x509 x;
    const uint64_t issued_ms = (uint64_t)plant.sim.wall_ms;
    BP_NEED(bound_n > 0);
    BP_NEED(!bp_failed(rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_OF(key_auth), &key, &tr)));
    const size_t spki_n = spki_of(&key, spki, sizeof spki);
    BP_CHECK(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(spki, spki_n), ldevid)));
    const size_t csr_n = request_of(bp_span_of(spki, spki_n), csr, sizeof csr);
    const size_t evidence_n = evidence_of(ldevid, issued_ms, evidence, sizeof evidence);
    const size_t ear_n = result_of(bp_span_of(evidence, evidence_n), ldevid, issued_ms, ear, sizeof ear);
    const struct bp_msg_issue m = {.csr = bp_span_of(csr, csr_n), .ak_binding = bp_span_of(bound, bound_n),
                                   .evidence = bp_span_of(evidence, evidence_n), .nonce = BP_SPAN_OF(nonce), .seq = 1,
                                   .issued_ms = issued_ms, .ear = bp_span_of(ear, ear_n),
                                   .pseudonym = BP_SPAN_STR(PSEUDONYM), .profile = BP_SPAN_STR("management"),
                                   .not_before_ms = issued_ms, .binding = BP_SPAN_OF(binding)};
    BP_NEED(!bp_failed(bp_msg_issue_write(&m, room, sizeof room, &n)));
    ask_ca("issue", n);
    BP_NEED(got.status == BP_P_NONE && !bp_failed(bp_msg_bytes_read(got.body, &der)) && !bp_failed(bp_x509_read(der, &x)));
    BP_CHECK(bp_span_equal(x.spki, bp_span_of(spki, spki_n)));
    BP_CHECK(!bp_failed(bp_x509_profile_check(der, BP_CERT_DEVICE, plant.sim.wall_ms)));
}

BP_CASE(a_plant)
{
    BP_CHECK(plant_make(&plant));
}

static void with_a_chip(void)
{
    if (access("/usr/bin/swtpm_setup", X_OK) != 0 || access("/usr/bin/swtpm", X_OK) != 0) {
        bp_case_skip("with_a_chip", "there is no swtpm here");
        return;
    }
    bp_case_begin();
    const bool ok = BP_CHECK(begin());
    bp_case_end("a_chip");
    if (ok) {
        BP_RUN(certificates_of_the_chip_are_genuine)
        BP_RUN(the_chip_opens_its_credentials_and_is_bound)
        BP_RUN(a_key_inside_gets_its_certificate)
    }
    bp_rot_tpm2_free(rot);
    (void)swtpm("stop", NULL, 0);
    bp_ca_signer_free(ca);
    bp_log_signer_free(results);
}

/* clang-format off */
BP_SUITE(signers_and_swtpm,
    BP_RUN(a_plant)
    BP_TABLE(with_a_chip)
    plant_done(&plant);)
