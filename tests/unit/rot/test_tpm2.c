/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/rot/test_tpm2 - the TPM root against a software TPM of its own, tpm2-tools and OpenSSL as counterparts. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "codec/cbor.h"
#include "harness.h"
#include "rot/tpm2/tpm2.h"

#define SHA256_BANK 0x000bu
#define MASK        0x004fffu
#define TPL_RSA     1u
#define TPL_P384    3u

static char dir[64];
static char plain[160], faulty[512];
static struct bp_rot *rot;
static struct bp_rot_trace tr;
static void (*fault_arm)(unsigned);
static unsigned (*fault_calls)(void);
static void (*fault_watch)(const uint8_t *, size_t);
static unsigned (*fault_seen)(void);
static void (*fault_answer)(uint32_t, unsigned);

static const uint8_t auth_a[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, auth_b[32] = {9, 8, 7, 6, 5}, auth_bad[32] = {0xff};
static const uint8_t extra[32] = {0xe0, 0xe1, 0xe2};
static struct bp_rot_blob ak, ak_rsa, dev;

static bp_span sp(const struct bp_rot_blob *b)
{
    return bp_span_of(b->v, b->n);
}

/* Runs a command line of the test's own; true when it ended with 0. */
static bool sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool sh(const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    return n > 0 && (size_t)n < sizeof(line) && system(line) == 0;
}

static bool put_file(const char *name, bp_span s)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL) {
        return false;
    }
    const bool ok = fwrite(s.p, 1, s.n, f) == s.n;
    return fclose(f) == 0 && ok;
}

static size_t get_file(const char *name, uint8_t *ret, size_t cap)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return 0;
    }
    const size_t n = fread(ret, 1, cap, f);
    (void)fclose(f);
    return n;
}

static bool reopen(const char *tcti)
{
    bp_rot_tpm2_free(rot);
    rot = NULL;
    const bp_result r = bp_rot_tpm2_new(tcti, &rot, &tr);
    if (bp_failed(r)) {
        printf("# open: %s rc 0x%x %s\n", bp_error_name(bp_error_of(r)), tr.rc, tr.what);
    }
    return !bp_failed(r);
}

/* A result that tells more than a boolean when it is not as wanted. */
static bool is(bp_result r, enum bp_error want)
{
    if (!bp_is(r, want)) {
        printf("# %s at line %u, rc 0x%x %s\n", bp_error_name(bp_error_of(r)), r.word >> 16, tr.rc, tr.what);
    }
    return bp_is(r, want);
}
#define GOOD(expr) BP_CHECK(is((expr), BP_E_OK))
#define BAD(error, expr) BP_CHECK(is((expr), BP_E_##error))

static int count_range(ESYS_CONTEXT *e, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *d = NULL;
    if (Esys_GetCapability(e, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first, 64, NULL, &d) != 0) {
        return -1;
    }
    const int n = (int)d->data.handles.count;
    Esys_Free(d);
    return n;
}

/* Closes the root and counts what it left in the TPM, by a connection of the test's own. -1: could not count. */
static int left_over(void)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    ESYS_CONTEXT *e = NULL;
    int n = -1;
    bp_rot_tpm2_free(rot);
    rot = NULL;
    if (Tss2_TctiLdr_Initialize(plain, &tcti) == 0 && Esys_Initialize(&e, tcti, NULL) == 0) {
        const int a = count_range(e, 0x80000000u);
        const int b = count_range(e, TPM2_LOADED_SESSION_FIRST);
        const int c = count_range(e, TPM2_ACTIVE_SESSION_FIRST);
        n = a < 0 || b < 0 || c < 0 ? -1 : a + b + c;
    }
    if (e != NULL) {
        Esys_Finalize(&e);
    }
    if (tcti != NULL) {
        Tss2_TctiLdr_Finalize(&tcti);
    }
    return n;
}

static EVP_PKEY *p256_of(bp_span pub)
{
    uint8_t point[65] = {4};
    EVP_PKEY *key = NULL;
    if (pub.n != 90 || pub.p[23] != 32 || pub.p[57] != 32) {
        return NULL;
    }
    memcpy(point + 1, pub.p + 24, 32);
    memcpy(point + 33, pub.p + 58, 32);
    char group[] = "P-256";
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 5),
                           OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)), OSSL_PARAM_END};
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(c);
    return key;
}

/* ECDSA by OpenSSL over a digest, r || s. */
static bool verifies_raw(bp_span pub, const uint8_t digest[32], bp_span r, bp_span s)
{
    EVP_PKEY *key = p256_of(pub);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    uint8_t der[80];
    uint8_t *at = der;
    bool ok = false;
    ECDSA_SIG_set0(sig, BN_bin2bn(r.p, (int)r.n, NULL), BN_bin2bn(s.p, (int)s.n, NULL));
    const int n = i2d_ECDSA_SIG(sig, &at);
    EVP_PKEY_CTX *c = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (c != NULL && n > 0 && EVP_PKEY_verify_init(c) == 1) {
        ok = EVP_PKEY_verify(c, der, (size_t)n, digest, 32) == 1;
    }
    EVP_PKEY_CTX_free(c);
    ECDSA_SIG_free(sig);
    EVP_PKEY_free(key);
    return ok;
}

static void sha256(bp_span in, uint8_t ret[32])
{
    (void)EVP_Digest(in.p, in.n, ret, NULL, EVP_sha256(), NULL);
}

static bool verifies(bp_span pub, const struct bp_rot_statement *st)
{
    uint8_t digest[32];
    bp_rd rd = bp_rd_over(bp_span_of(st->sig, st->sig_n));
    const bool scheme = bp_rd_be16(&rd) == 0x0018 && bp_rd_be16(&rd) == 0x000b;
    const bp_span r = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    const bp_span s = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    sha256(bp_span_of(st->attest, st->attest_n), digest);
    return scheme && !bp_failed(bp_rd_finish(&rd)) && verifies_raw(pub, digest, r, s);
}

/* resetCount, safe of a statement: after magic, type, signer name and extraData. */
static bool clock_of(const struct bp_rot_statement *st, struct bp_rot_clock *ret, bp_span *ret_extra)
{
    bp_rd rd = bp_rd_over(bp_span_of(st->attest, st->attest_n));
    bp_rd_skip(&rd, 6);
    bp_rd_skip(&rd, bp_rd_be16(&rd));
    *ret_extra = bp_rd_bytes(&rd, bp_rd_be16(&rd));
    ret->clock_ms = bp_rd_be64(&rd);
    ret->reset_count = bp_rd_be32(&rd);
    ret->restart_count = bp_rd_be32(&rd);
    ret->safe = bp_rd_u8(&rd) == 1;
    return !bp_failed(bp_rd_state(&rd));
}

BP_CASE(info_names_the_chip)
{
    struct bp_rot_info info;
    BP_NEED(GOOD(rot->ops->info(rot, &info, &tr)));
    BP_CHECK(strcmp(info.manufacturer, "IBM") == 0 && strlen(info.firmware) > 0 && strlen(info.spec) > 0);
    BP_CHECK(info.kind == BP_ROT_TPM2 && (info.proves & BP_ROT_PROVES_BOOT) != 0);
}

BP_CASE(identities_match_their_certificates)
{
    static struct bp_rot_identity id;
    const uint32_t want[2] = {TPL_RSA, TPL_P384};
    for (uint32_t i = 0; i < 2; i++) {
        BP_NEED(GOOD(rot->ops->identity(rot, i, &id, &tr)));
        BP_CHECK(id.template_id == want[i] && id.cert_n > 0);
        char name[32];
        (void)snprintf(name, sizeof(name), "ek%u.pub", want[i]);
        BP_NEED(put_file(name, bp_span_of(id.pub, id.pub_n)));
        BP_NEED(put_file("ek.der", bp_span_of(id.cert, id.cert_n)));
        /* The key in the certificate, as OpenSSL reads it, against the key that the template gave. */
        BP_CHECK(sh("cd %s && tpm2_print -t TPM2B_PUBLIC -f pem %s >a.pem 2>/dev/null && "
                    "openssl x509 -inform der -in ek.der -noout -pubkey >b.pem && cmp -s a.pem b.pem", dir, name));
    }
    BAD(NOT_FOUND, rot->ops->identity(rot, 2, &id, &tr));
}

BP_CASE(makes_keys)
{
    const bp_span a = BP_SPAN_OF(auth_a);
    GOOD(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, TPL_P384, a, &ak, &tr));
    GOOD(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, TPL_RSA, a, &ak_rsa, &tr));
    GOOD(rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_OF(auth_b), &dev, &tr));
    GOOD(rot->ops->key_load(rot, sp(&ak), &tr));
    GOOD(rot->ops->key_load(rot, sp(&ak_rsa), &tr));
    GOOD(rot->ops->key_load(rot, sp(&dev), &tr));
    GOOD(bp_cbor_check(sp(&ak)));
    bp_span pub;
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(&ak), &pub)));
    /* restricted, sign, noDA, userWithAuth, born inside, fixed (TPMA_OBJECT) */
    BP_CHECK(pub.n == 90 && memcmp(pub.p + 6, "\x00\x05\x04\x72", 4) == 0);
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(&dev), &pub)));
    BP_CHECK(pub.n == 90 && memcmp(pub.p + 6, "\x00\x04\x04\x72", 4) == 0);
}

BP_CASE(refuses_bad_arguments)
{
    struct bp_rot_blob b = {.n = 7};
    BAD(BAD_ARGUMENT, rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_STR("short"), &b, &tr));
    BAD(BAD_ARGUMENT, rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 1, BP_SPAN_OF(auth_a), &b, &tr));
    BAD(UNSUPPORTED, rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, 9, BP_SPAN_OF(auth_a), &b, &tr));
    BAD(BAD_ARGUMENT, rot->ops->seal(rot, BP_SPAN_EMPTY, BP_SPAN_OF(auth_a), 0, 0, &b, &tr));
    BP_CHECK(b.n == 7);
}

BP_CASE(refuses_damaged_blobs)
{
    int loaded = 0;
    for (size_t i = 0; i < ak.n; i++) {
        struct bp_rot_blob b = ak;
        b.v[i] ^= 0x01;
        loaded += !bp_failed(rot->ops->key_load(rot, sp(&b), &tr));
    }
    BP_CHECK(loaded == 0);
    for (size_t n = 0; n < ak.n; n++) {
        loaded += !bp_failed(rot->ops->key_load(rot, bp_span_of(ak.v, n), &tr));
    }
    BP_CHECK(loaded == 0);
    uint8_t sig[64];
    BAD(MALFORMED, rot->ops->sign(rot, sp(&ak), BP_SPAN_OF(auth_a), BP_SPAN_OF(extra), sig, &tr));
}

static void quote_with(const struct bp_rot_blob *key)
{
    static struct bp_rot_statement st;
    static struct bp_rot_pcrs pcrs;
    struct bp_rot_clock clock;
    bp_span pub, x;
    uint8_t all[24 * 32], digest[32];
    BP_NEED(GOOD(rot->ops->quote(rot, sp(key), BP_SPAN_OF(auth_a), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st, &pcrs,
                                 &tr)));
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(key), &pub)));
    BP_CHECK(verifies(pub, &st));
    BP_CHECK(clock_of(&st, &clock, &x) && bp_span_equal(x, BP_SPAN_OF(extra)));
    BP_NEED(pcrs.count == 13 && pcrs.value_n == 32);
    for (size_t i = 0; i < pcrs.count; i++) {
        memcpy(all + 32 * i, pcrs.v[i], 32);
    }
    sha256(bp_span_of(all, 32 * pcrs.count), digest);
    BP_CHECK(memcmp(digest, st.attest + st.attest_n - 32, 32) == 0);
    BP_NEED(put_file("ak.pub", pub) && put_file("q", bp_span_of(st.attest, st.attest_n)));
    BP_NEED(put_file("qs", bp_span_of(st.sig, st.sig_n)) && put_file("qx", BP_SPAN_OF(extra)));
    BP_CHECK(sh("cd %s && tpm2_checkquote -u ak.pub -m q -s qs -g sha256 -q qx >/dev/null 2>&1", dir));
    BP_CHECK(!sh("cd %s && tpm2_checkquote -u ak.pub -m q -s qs -g sha256 -q ff >/dev/null 2>&1", dir));
}

BP_CASE(quote_agrees_with_tools)
{
    quote_with(&ak);
    quote_with(&ak); /* from the saved context */
}

BP_CASE(quote_of_key_under_rsa)
{
    quote_with(&ak_rsa);
}

BP_CASE(quote_refuses_wrong_auth_and_bank)
{
    struct bp_rot_statement st = {.attest_n = 5};
    struct bp_rot_pcrs pcrs = {.count = 3};
    BAD(DENIED, rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_bad), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st, &pcrs,
                                &tr));
    BP_CHECK(tr.rc != 0 && strcmp(tr.what, "quote") == 0);
    BAD(UNSUPPORTED, rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), 0x000c, MASK, BP_SPAN_OF(extra), &st, &pcrs,
                                     &tr));
    BAD(BAD_ARGUMENT, rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, 0, BP_SPAN_OF(extra), &st,
                                      &pcrs, &tr));
    BP_CHECK(st.attest_n == 5 && pcrs.count == 3);
}

BP_CASE(certifies_device_key)
{
    static struct bp_rot_statement st;
    struct bp_rot_clock clock;
    bp_span pub, dev_pub, x;
    uint8_t name[34] = {0x00, 0x0b};
    BP_NEED(GOOD(rot->ops->certify(rot, sp(&ak), BP_SPAN_OF(auth_a), sp(&dev), BP_SPAN_OF(auth_b), BP_SPAN_OF(extra),
                                   &st, &tr)));
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(&ak), &pub)));
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(&dev), &dev_pub)));
    BP_CHECK(verifies(pub, &st) && memcmp(st.attest, "\xff\x54\x43\x47\x80\x17", 6) == 0);
    BP_CHECK(clock_of(&st, &clock, &x) && bp_span_equal(x, BP_SPAN_OF(extra)));
    sha256(bp_span_of(dev_pub.p + 2, dev_pub.n - 2), name + 2);
    BP_CHECK(memmem(st.attest, st.attest_n, name, sizeof(name)) != NULL);
    BAD(DENIED, rot->ops->certify(rot, sp(&ak), BP_SPAN_OF(auth_a), sp(&dev), BP_SPAN_OF(auth_bad),
                                  BP_SPAN_OF(extra), &st, &tr));
    /* The attestation key under the RSA EK is not the saved one: EK, key and parent in three places. */
    GOOD(rot->ops->certify(rot, sp(&ak_rsa), BP_SPAN_OF(auth_a), sp(&dev), BP_SPAN_OF(auth_b), BP_SPAN_OF(extra),
                           &st, &tr));
}

BP_CASE(signs_with_device_key)
{
    uint8_t digest[32], sig[64];
    bp_span pub;
    sha256(BP_SPAN_STR("a message"), digest);
    BP_NEED(GOOD(rot->ops->sign(rot, sp(&dev), BP_SPAN_OF(auth_b), BP_SPAN_OF(digest), sig, &tr)));
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(&dev), &pub)));
    BP_CHECK(verifies_raw(pub, digest, bp_span_of(sig, 32), bp_span_of(sig + 32, 32)));
    digest[0] ^= 1;
    BP_CHECK(!verifies_raw(pub, digest, bp_span_of(sig, 32), bp_span_of(sig + 32, 32)));
    BAD(DENIED, rot->ops->sign(rot, sp(&dev), BP_SPAN_OF(auth_bad), BP_SPAN_OF(digest), sig, &tr));
}

/* Makes a credential with tpm2-tools and opens it; looked at by the probe on the bus when the faulty TCTI is in. */
static void activate_with(uint32_t template_id, const struct bp_rot_blob *key)
{
    uint8_t name[34] = {0x00, 0x0b}, file[1024], out[BP_ROT_SECRET_MAX];
    char hex[69] = "";
    size_t out_n = 0;
    bp_span pub;
    BP_NEED(GOOD(rot->ops->key_public(rot, sp(key), &pub)));
    sha256(bp_span_of(pub.p + 2, pub.n - 2), name + 2);
    for (size_t i = 0; i < sizeof(name); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", name[i]);
    }
    BP_NEED(put_file("secret", BP_SPAN_STR("sixteen-bytes-ok")));
    BP_NEED(sh("cd %s && tpm2_makecredential -T none -u ek%u.pub -s secret -n %s -o cred >mc.log 2>&1", dir,
               template_id, hex));
    const size_t n = get_file("cred", file, sizeof(file));
    BP_NEED(n > 12);
    const size_t id_n = 2 + (((size_t)file[8] << 8) | file[9]);
    BP_NEED(8 + id_n < n);
    const bp_span id = bp_span_of(file + 8, id_n), secret = bp_span_of(file + 8 + id_n, n - 8 - id_n);
    BP_NEED(GOOD(rot->ops->activate(rot, template_id, sp(key), BP_SPAN_OF(auth_a), id, secret, &out_n, out, &tr)));
    BP_CHECK(bp_span_equal(bp_span_of(out, out_n), BP_SPAN_STR("sixteen-bytes-ok")));
    BP_CHECK(bp_failed(rot->ops->activate(rot, template_id, sp(key), BP_SPAN_OF(auth_bad), id, secret, &out_n, out,
                                          &tr)));
    BAD(MALFORMED, rot->ops->activate(rot, template_id, sp(key), BP_SPAN_OF(auth_a), bp_span_sub(id, 0, id.n - 1),
                                      secret, &out_n, out, &tr));
    file[12] ^= 1;
    BP_CHECK(bp_failed(rot->ops->activate(rot, template_id, sp(key), BP_SPAN_OF(auth_a), id, secret, &out_n, out,
                                          &tr)));
}

BP_CASE(activates_on_rsa_ek)
{
    activate_with(TPL_RSA, &ak_rsa);
}

BP_CASE(activates_on_p384_ek)
{
    activate_with(TPL_P384, &ak);
}

BP_CASE(activates_on_another_ek_than_its_parent)
{
    activate_with(TPL_RSA, &ak);
}

BP_CASE(random_differs)
{
    static uint8_t a[1024], b[1024];
    GOOD(rot->ops->random(rot, a, sizeof(a), &tr));
    GOOD(rot->ops->random(rot, b, sizeof(b), &tr));
    BP_CHECK(memcmp(a, b, sizeof(a)) != 0 && memcmp(a, a + 32, 32) != 0);
    BAD(BAD_ARGUMENT, rot->ops->random(rot, a, 1025, &tr));
}

BP_CASE(seals)
{
    struct bp_rot_blob b;
    uint8_t out[BP_ROT_SEAL_MAX];
    size_t n = 0;
    BP_NEED(GOOD(rot->ops->seal(rot, BP_SPAN_STR("a secret"), BP_SPAN_OF(auth_a), 0, 0, &b, &tr)));
    BP_CHECK(memmem(b.v, b.n, "a secret", 8) == NULL);
    GOOD(rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_a), &n, out, &tr));
    BP_CHECK(bp_span_equal(bp_span_of(out, n), BP_SPAN_STR("a secret")));
    BAD(DENIED, rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_bad), &n, out, &tr));
}

BP_CASE(seals_to_pcrs)
{
    struct bp_rot_blob b;
    uint8_t out[BP_ROT_SEAL_MAX];
    size_t n = 0;
    BP_NEED(GOOD(rot->ops->seal(rot, BP_SPAN_STR("a secret"), BP_SPAN_OF(auth_a), SHA256_BANK, 1u << 8, &b, &tr)));
    GOOD(rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_a), &n, out, &tr));
    BAD(DENIED, rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_bad), &n, out, &tr));
    bp_rot_tpm2_free(rot);
    rot = NULL;
    BP_CHECK(sh("TPM2TOOLS_TCTI=%s tpm2_pcrextend 8:sha256=%064d >/dev/null 2>&1", plain, 1));
    BP_NEED(reopen(plain));
    BAD(DENIED, rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_a), &n, out, &tr));
}

BP_CASE(counter_counts_within_budget)
{
    struct bp_rot_counter c, next;
    uint64_t v = 0;
    BP_NEED(GOOD(rot->ops->counter_make(rot, 0, BP_SPAN_OF(auth_a), 1000, &c, &tr)));
    BAD(EXISTS, rot->ops->counter_make(rot, 0, BP_SPAN_OF(auth_a), 1000, &next, &tr));
    GOOD(rot->ops->counter_read(rot, &c, BP_SPAN_OF(auth_a), &v, &tr));
    BP_CHECK(v == c.value);
    struct bp_rot_counter first = c;
    for (unsigned i = 1; i < BP_ROT_COUNTER_DAILY; i++) {
        BP_NEED(GOOD(rot->ops->counter_step(rot, &c, BP_SPAN_OF(auth_a), 2000, &next, &tr)));
        BP_CHECK(next.value == c.value + 1);
        c = next;
    }
    BAD(LIMIT, rot->ops->counter_step(rot, &c, BP_SPAN_OF(auth_a), 2000, &next, &tr));
    BAD(LIMIT, rot->ops->counter_step(rot, &c, BP_SPAN_OF(auth_a), -2000, &next, &tr));
    /* State that was put back does not renew the budget. */
    BAD(LIMIT, rot->ops->counter_step(rot, &first, BP_SPAN_OF(auth_a), 2000, &next, &tr));
    GOOD(rot->ops->counter_step(rot, &c, BP_SPAN_OF(auth_a), 2000 + 86400000, &next, &tr));
    BAD(DENIED, rot->ops->counter_read(rot, &c, BP_SPAN_OF(auth_bad), &v, &tr));
    c.value += 100;
    BAD(REPLAYED, rot->ops->counter_read(rot, &c, BP_SPAN_OF(auth_a), &v, &tr));
    BAD(REPLAYED, rot->ops->counter_step(rot, &c, BP_SPAN_OF(auth_a), 2000 + 86400000, &next, &tr));
    c.index++;
    BAD(NOT_FOUND, rot->ops->counter_read(rot, &c, BP_SPAN_OF(auth_a), &v, &tr));
}

BP_CASE(nothing_is_left_after_all_that)
{
    BP_CHECK(left_over() == 0);
    BP_NEED(reopen(plain));
}

/* --- every transfer of every call broken once --- */

static bp_result do_identity(void)
{
    static struct bp_rot_identity id;
    return rot->ops->identity(rot, 1, &id, &tr);
}
static bp_result do_make_attest(void)
{
    struct bp_rot_blob b;
    return rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, TPL_P384, BP_SPAN_OF(auth_a), &b, &tr);
}
static bp_result do_make_device(void)
{
    struct bp_rot_blob b;
    return rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_OF(auth_a), &b, &tr);
}
static bp_result do_quote(void)
{
    static struct bp_rot_statement st;
    static struct bp_rot_pcrs pcrs;
    return rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st, &pcrs, &tr);
}
static bp_result do_certify(void)
{
    static struct bp_rot_statement st;
    return rot->ops->certify(rot, sp(&ak), BP_SPAN_OF(auth_a), sp(&dev), BP_SPAN_OF(auth_b), BP_SPAN_OF(extra), &st,
                             &tr);
}
static bp_result do_sign(void)
{
    uint8_t sig[64];
    return rot->ops->sign(rot, sp(&dev), BP_SPAN_OF(auth_b), BP_SPAN_OF(extra), sig, &tr);
}
static bp_result do_seal(void)
{
    struct bp_rot_blob b;
    return rot->ops->seal(rot, BP_SPAN_STR("x"), BP_SPAN_OF(auth_a), SHA256_BANK, 1, &b, &tr);
}
static bp_result do_random(void)
{
    uint8_t b[64];
    return rot->ops->random(rot, b, sizeof(b), &tr);
}
static bp_result do_info(void)
{
    struct bp_rot_info i;
    return rot->ops->info(rot, &i, &tr);
}
static bp_result do_clock(void)
{
    struct bp_rot_clock c;
    return rot->ops->clock(rot, &c, &tr);
}

static struct bp_rot_blob sealed;
static bp_result do_unseal(void)
{
    uint8_t b[BP_ROT_SEAL_MAX];
    size_t n;
    return rot->ops->unseal(rot, sp(&sealed), BP_SPAN_OF(auth_a), &n, b, &tr);
}
static struct bp_rot_counter counter;
static bp_result do_counter_read(void)
{
    uint64_t v;
    return rot->ops->counter_read(rot, &counter, BP_SPAN_OF(auth_a), &v, &tr);
}
/* Its budget is widened: writes of a test are not a day's. What a broken step may have done shows in the value. */
static bp_result do_counter_step(void)
{
    struct bp_rot_counter next;
    return rot->ops->counter_step(rot, &counter, BP_SPAN_OF(auth_a), 86400000ll * 365, &next, &tr);
}

static void break_each(const char *name, bp_result (*call)(void))
{
    bp_case_begin();
    BP_CHECK(reopen(faulty));
    fault_arm(0);
    GOOD(call());
    const unsigned transfers = fault_calls();
    BP_CHECK(transfers >= 2);
    unsigned refused = 0;
    for (unsigned n = 1; n <= transfers && !bp_t.bad; n++) {
        fault_arm(0);
        BP_CHECK(reopen(faulty));
        fault_arm(n);
        const bp_result r = call();
        refused += bp_failed(r);
        BP_CHECK(!bp_failed(r) || bp_is(r, BP_E_CLOSED));
        BP_CHECK(left_over() == 0);
        BP_CHECK(reopen(faulty));
        fault_arm(n);
        BP_IGNORE(call(), "it is the next one that matters");
        GOOD(call());
        BP_CHECK(left_over() == 0);
    }
    BP_CHECK(refused > 0);
    fault_arm(0);
    char text[80];
    (void)snprintf(text, sizeof(text), "broken_transfer_%s", name);
    bp_case_end(text);
}

static void broken_transfers(void)
{
    static const struct {
        const char *name;
        bp_result (*call)(void);
    } rows[] = {{"identity", do_identity}, {"make_attest", do_make_attest}, {"make_device", do_make_device},
                {"quote", do_quote},       {"certify", do_certify},         {"sign", do_sign},
                {"seal", do_seal},         {"random", do_random},           {"info", do_info},
                {"clock", do_clock},       {"unseal", do_unseal},           {"counter_read", do_counter_read},
                {"counter_step", do_counter_step}};
    bp_case_begin();
    GOOD(rot->ops->seal(rot, BP_SPAN_STR("x"), BP_SPAN_OF(auth_a), 0, 0, &sealed, &tr));
    GOOD(rot->ops->counter_make(rot, 0x018b0007, BP_SPAN_OF(auth_a), 0, &counter, &tr));
    bp_case_end("broken_transfer_preparation");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        break_each(rows[i].name, rows[i].call);
    }
}

/* --- what a probe on the bus sees --- */

static const uint8_t marker[32] = {0xa7, 0x31, 0x5c, 0xe2, 0x90, 0x1d, 0x44, 0x7b, 0x63, 0xf8, 0x02};

BP_CASE(probe_sees_the_bus)
{
    struct bp_rot_pcrs pcrs;
    static struct bp_rot_statement st;
    fault_arm(0);
    BP_NEED(reopen(faulty));
    fault_watch(BP_SPAN_STR("\x80\x01\x00\x00").p, 4);
    GOOD(do_clock());
    BP_CHECK(fault_seen() == 2);
    /* A PCR value is read in the clear: that the others are not seen is not because the probe is blind to data. */
    BP_NEED(GOOD(rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, 1u << 8, BP_SPAN_OF(marker), &st,
                                 &pcrs, &tr)));
    fault_watch(pcrs.v[0], 32);
    GOOD(rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, 1u << 8, BP_SPAN_OF(marker), &st, &pcrs,
                         &tr));
    BP_CHECK(fault_seen() > 0);
}

BP_CASE(probe_sees_no_auth_value)
{
    struct bp_rot_blob b;
    fault_watch(marker, 11);
    GOOD(rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_OF(marker), &b, &tr));
    GOOD(rot->ops->sign(rot, sp(&b), BP_SPAN_OF(marker), BP_SPAN_OF(extra), (uint8_t[64]){0}, &tr));
    GOOD(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, TPL_RSA, BP_SPAN_OF(marker), &b, &tr));
    BP_CHECK(fault_seen() == 0);
}

BP_CASE(probe_sees_no_activated_secret)
{
    fault_watch(BP_SPAN_STR("sixteen-bytes-ok").p, 16);
    activate_with(TPL_P384, &ak);
    activate_with(TPL_RSA, &ak);
    BP_CHECK(fault_seen() == 0);
}

BP_CASE(probe_sees_no_sealed_data)
{
    struct bp_rot_blob b;
    uint8_t out[BP_ROT_SEAL_MAX];
    size_t n = 0;
    fault_watch(marker, 11);
    for (uint32_t mask = 0; mask < 2; mask++) {
        GOOD(rot->ops->seal(rot, BP_SPAN_OF(marker), BP_SPAN_OF(auth_a), SHA256_BANK, mask, &b, &tr));
        GOOD(rot->ops->unseal(rot, sp(&b), BP_SPAN_OF(auth_a), &n, out, &tr));
        BP_CHECK(n == 32);
    }
    BP_CHECK(fault_seen() == 0);
}

/* --- what the TPM may answer instead (the first answer of a call may only cost it the saved context) --- */

static void response_codes(void)
{
    static const struct {
        const char *name;
        uint32_t rc;
        unsigned times;
        enum bp_error want;
    } rows[] = {{"retry_twice_is_hidden", TPM2_RC_RETRY, 2, BP_E_OK},
                {"yielded_twice_is_hidden", TPM2_RC_YIELDED, 2, BP_E_OK},
                {"retry_for_ever_is_busy", TPM2_RC_RETRY, 1000, BP_E_BUSY},
                {"nv_rate_is_busy", TPM2_RC_NV_RATE, 2, BP_E_BUSY},
                {"lockout_is_denied", TPM2_RC_LOCKOUT, 2, BP_E_DENIED},
                {"not_started_is_root", TPM2_RC_INITIALIZE, 1000, BP_E_ROOT},
                {"failure_mode_is_root", TPM2_RC_FAILURE, 1000, BP_E_ROOT},
                {"no_session_left_is_no_space", TPM2_RC_SESSION_MEMORY, 2, BP_E_NO_SPACE}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bp_case_begin();
        fault_arm(0);
        BP_CHECK(reopen(faulty));
        GOOD(do_sign());
        fault_answer(rows[i].rc, rows[i].times);
        BP_CHECK(is(do_sign(), rows[i].want));
        BP_CHECK(rows[i].want == BP_E_OK || tr.rc == rows[i].rc);
        fault_answer(0, 0);
        GOOD(do_sign());
        BP_CHECK(left_over() == 0);
        BP_CHECK(reopen(plain));
        bp_case_end(rows[i].name);
    }
}

static bool tpm(const char *verb)
{
    return sh("%s %s %s >%s/tcti", BP_TEST_SWTPM, verb, dir, dir);
}

BP_CASE(blobs_of_another_chip_are_refused)
{
    struct bp_rot *other = NULL;
    char tcti[160];
    BP_NEED(sh("mkdir -m 700 %s/o && %s make %s/o && %s start %s/o >/dev/null", dir, BP_TEST_SWTPM, dir,
               BP_TEST_SWTPM, dir));
    (void)snprintf(tcti, sizeof(tcti), "swtpm:path=%s/o/s", dir);
    if (GOOD(bp_rot_tpm2_new(tcti, &other, &tr))) {
        BAD(MISMATCH, other->ops->key_load(other, sp(&ak), &tr));
        BAD(MISMATCH, other->ops->key_load(other, sp(&ak_rsa), &tr));
        BAD(MISMATCH, other->ops->key_load(other, sp(&dev), &tr));
    }
    bp_rot_tpm2_free(other);
    BP_CHECK(sh("%s stop %s/o", BP_TEST_SWTPM, dir));
}

BP_CASE(absent_tpm_is_closed_and_comes_back)
{
    struct bp_rot_clock c;
    BP_NEED(reopen(plain));
    BP_NEED(tpm("kill"));
    BAD(CLOSED, rot->ops->clock(rot, &c, &tr));
    BAD(CLOSED, rot->ops->clock(rot, &c, &tr));
    BP_NEED(tpm("start"));
    GOOD(rot->ops->clock(rot, &c, &tr));
}

BP_CASE(power_cut_keeps_keys_and_shows_unsafe_clock)
{
    static struct bp_rot_statement st;
    static struct bp_rot_pcrs pcrs;
    struct bp_rot_clock before, after;
    bp_span x;
    BP_NEED(GOOD(rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st, &pcrs,
                                 &tr)));
    BP_NEED(clock_of(&st, &before, &x));
    BP_NEED(tpm("kill") && tpm("start"));
    /* The connection is gone with the TPM: one call may say so, the next works, saved context or not. */
    BP_IGNORE(do_clock(), "only to notice that the connection broke");
    BP_NEED(GOOD(rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st, &pcrs,
                                 &tr)));
    BP_CHECK(clock_of(&st, &after, &x) && !after.safe && after.reset_count > before.reset_count);
    GOOD(do_sign());
}

BP_CASE(clear_shows_as_loss)
{
    bp_rot_tpm2_free(rot);
    rot = NULL;
    BP_NEED(sh("TPM2TOOLS_TCTI=%s tpm2_clear >/dev/null 2>&1", plain));
    BP_NEED(reopen(plain));
    BAD(MISMATCH, rot->ops->key_load(rot, sp(&ak), &tr));
    BAD(MISMATCH, rot->ops->key_load(rot, sp(&ak_rsa), &tr));
    BAD(MISMATCH, rot->ops->key_load(rot, sp(&dev), &tr));
    BAD(MISMATCH, do_quote());
    struct bp_rot_counter c = {.index = 0x018b0001};
    uint64_t v = 0;
    BAD(NOT_FOUND, rot->ops->counter_read(rot, &c, BP_SPAN_OF(auth_a), &v, &tr));
    GOOD(do_identity()); /* the EK is the same */
}

BP_CASE(clear_while_open_shows_as_loss)
{
    static struct bp_rot_statement st;
    static struct bp_rot_pcrs pcrs;
    BP_NEED(GOOD(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, TPL_P384, BP_SPAN_OF(auth_a), &ak, &tr)));
    GOOD(do_quote()); /* saved now */
    /* Its connection held open, the TPM is cleared by a restart in between: the saved context must not outlive it. */
    BP_NEED(tpm("kill") && tpm("start"));
    BP_NEED(sh("TPM2TOOLS_TCTI=%s tpm2_clear >/dev/null 2>&1", plain));
    BP_IGNORE(do_clock(), "only to notice that the connection broke");
    BAD(MISMATCH, rot->ops->quote(rot, sp(&ak), BP_SPAN_OF(auth_a), SHA256_BANK, MASK, BP_SPAN_OF(extra), &st,
                                  &pcrs, &tr));
}

BP_CASE(hardening_is_idempotent_and_reports)
{
    struct bp_rot_hardening h = {false, false, false};
    fault_arm(0);
    BP_NEED(reopen(faulty));
    fault_watch(auth_b, 5);
    BP_NEED(GOOD(rot->ops->lockout(rot, BP_SPAN_EMPTY, &h, &tr)));
    BP_CHECK(!h.auth_was_set && !h.clear_disabled && !h.auth_set_now);
    BP_NEED(GOOD(rot->ops->harden(rot, BP_SPAN_OF(auth_b), &h, &tr)));
    BP_CHECK(h.auth_set_now && !h.auth_was_set && h.clear_disabled);
    BP_CHECK(fault_seen() == 0); /* nor does a probe on the bus learn it */
    BP_NEED(GOOD(rot->ops->harden(rot, BP_SPAN_OF(auth_a), &h, &tr)));
    BP_CHECK(!h.auth_set_now && h.auth_was_set && h.clear_disabled);
    BP_CHECK(left_over() == 0);
    /* The value is the one that was escrowed: it opens what only lockout authorisation may. */
    char hex[65] = "";
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", auth_b[i]);
    }
    BP_CHECK(sh("TPM2TOOLS_TCTI=%s tpm2_dictionarylockout -c -p hex:%s >/dev/null 2>&1", plain, hex));
    BP_CHECK(!sh("TPM2TOOLS_TCTI=%s tpm2_clear hex:%s >/dev/null 2>&1", plain, hex));
    BP_NEED(reopen(faulty));
    fault_watch(auth_b, 5);
    BP_NEED(GOOD(rot->ops->lockout(rot, BP_SPAN_OF(auth_b), &h, &tr)));
    BP_CHECK(h.auth_was_set && h.clear_disabled && !h.auth_set_now && fault_seen() == 0 && left_over() == 0);
    BP_NEED(reopen(faulty)); /* counting what is left closed it */
    BAD(BAD_ARGUMENT, rot->ops->lockout(rot, BP_SPAN_STR("short"), &h, &tr));
    BAD(DENIED, rot->ops->lockout(rot, BP_SPAN_OF(auth_a), &h, &tr)); /* another's: one try, and no second */
    BP_CHECK(left_over() == 0);
}

static bool begin(void)
{
    char path[128];
    (void)snprintf(dir, sizeof(dir), "/tmp/bp-rot.XXXXXX");
    if (mkdtemp(dir) == NULL || !tpm("make") || !tpm("start")) {
        return false;
    }
    const size_t n = get_file("tcti", (uint8_t *)path, sizeof(path) - 1);
    path[n] = '\0';
    path[strcspn(path, "\n")] = '\0';
    (void)snprintf(plain, sizeof(plain), "%s", path);
    (void)snprintf(faulty, sizeof(faulty), "%s:%s", BP_TEST_FAULT, path);
    void *lib = dlopen(BP_TEST_FAULT, RTLD_NOW);
    if (lib == NULL) {
        return false;
    }
    /* ISO C has no cast from an object to a function pointer; POSIX says that the bytes are the same. */
    void *f = dlsym(lib, "bp_fault_arm");
    memcpy(&fault_arm, &f, sizeof(f));
    f = dlsym(lib, "bp_fault_calls");
    memcpy(&fault_calls, &f, sizeof(f));
    f = dlsym(lib, "bp_fault_watch");
    memcpy(&fault_watch, &f, sizeof(f));
    f = dlsym(lib, "bp_fault_seen");
    memcpy(&fault_seen, &f, sizeof(f));
    f = dlsym(lib, "bp_fault_answer");
    memcpy(&fault_answer, &f, sizeof(f));
    return reopen(plain);
}

static void all(void)
{
    if (!begin()) {
        bp_case_begin();
        BP_CHECK(false);
        bp_case_end("software_tpm_starts");
        return;
    }
    BP_RUN(info_names_the_chip)
    BP_RUN(identities_match_their_certificates)
    BP_RUN(makes_keys)
    BP_RUN(refuses_bad_arguments)
    BP_RUN(refuses_damaged_blobs)
    BP_RUN(quote_agrees_with_tools)
    BP_RUN(quote_of_key_under_rsa)
    BP_RUN(quote_refuses_wrong_auth_and_bank)
    BP_RUN(certifies_device_key)
    BP_RUN(signs_with_device_key)
    BP_RUN(activates_on_rsa_ek)
    BP_RUN(activates_on_p384_ek)
    BP_RUN(activates_on_another_ek_than_its_parent)
    BP_RUN(random_differs)
    BP_RUN(seals)
    BP_RUN(seals_to_pcrs)
    BP_RUN(counter_counts_within_budget)
    BP_RUN(nothing_is_left_after_all_that)
    BP_RUN(probe_sees_the_bus)
    BP_RUN(probe_sees_no_auth_value)
    BP_RUN(probe_sees_no_activated_secret)
    BP_RUN(probe_sees_no_sealed_data)
    response_codes();
    broken_transfers();
    BP_RUN(blobs_of_another_chip_are_refused)
    BP_RUN(absent_tpm_is_closed_and_comes_back)
    BP_RUN(power_cut_keeps_keys_and_shows_unsafe_clock)
    BP_RUN(clear_shows_as_loss)
    BP_RUN(clear_while_open_shows_as_loss)
    BP_RUN(hardening_is_idempotent_and_reports)
}

static void end(void)
{
    bp_rot_tpm2_free(rot);
    (void)tpm("stop");
    (void)sh("rm -rf %s", dir);
}

BP_SUITE(rot_tpm2, (void)setenv("TSS2_LOG", "all+NONE", 1); all(); end();)
