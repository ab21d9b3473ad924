/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/authority/test_path - chains of strangers: what is believed, what is not and why; chains of our own keep
 * the profile that others are held to. */
#include "codec/x509.h"
#include "fleet/authority/path.h"
#include "harness.h"
#include "pki/x509.h"
#include "platform/alloc.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "platform/openssl/key.h"
#include "unit/signer.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define ROOM  2048u
#define NOW   1790000000
#define BEGIN "20200101000000Z"
#define END   "20300101000000Z" /* 1893456000 */

static struct test_key root_key, mid_key, leaf_key, other_key;
static uint8_t room[24][ROOM];
static size_t used;

/* One certificate made by libcrypto; extensions as "NAME=VALUE", NULL ends them. */
struct make {
    const char *subject, *issuer, *end;
    struct test_key *key, *signer;
    const char *exts[8];
};

static X509_NAME *name_of(const char *cn)
{
    X509_NAME *name = X509_NAME_new();
    BP_CHECK(name != NULL && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) == 1);
    return name;
}

static void add_ext(X509 *x, X509V3_CTX *ctx, const char *text)
{
    char name[64];
    const size_t n = strcspn(text, "=");
    memcpy(name, text, n);
    name[n] = '\0';
    X509_EXTENSION *e = X509V3_EXT_nconf(NULL, ctx, name, text + n + 1);
    BP_CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* What authorityKeyIdentifier is taken from: a certificate with the issuer's key, thrown away after it. */
static X509 *issuer_stub(struct test_key *key)
{
    X509V3_CTX ctx;
    X509 *x = X509_new();
    BP_CHECK(x != NULL && X509_set_pubkey(x, key->pkey) == 1);
    X509V3_set_ctx(&ctx, NULL, x, NULL, NULL, 0);
    add_ext(x, &ctx, "subjectKeyIdentifier=hash");
    return x;
}

static bp_span made(const struct make *m)
{
    X509V3_CTX ctx;
    X509 *x = X509_new();
    X509 *stub = issuer_stub(m->signer);
    X509_NAME *subject = name_of(m->subject);
    X509_NAME *issuer = name_of(m->issuer);
    BP_CHECK(x != NULL && X509_set_version(x, 2) == 1 && X509_set_pubkey(x, m->key->pkey) == 1);
    BP_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1000 + (long)used) == 1);
    BP_CHECK(ASN1_TIME_set_string_X509(X509_getm_notBefore(x), BEGIN) == 1);
    BP_CHECK(ASN1_TIME_set_string_X509(X509_getm_notAfter(x), m->end == NULL ? END : m->end) == 1);
    BP_CHECK(X509_set_subject_name(x, subject) == 1 && X509_set_issuer_name(x, issuer) == 1);
    X509V3_set_ctx(&ctx, stub, x, NULL, NULL, 0);
    for (size_t i = 0; m->exts[i] != NULL; i++) {
        add_ext(x, &ctx, m->exts[i]);
    }
    BP_CHECK(X509_sign(x, m->signer->pkey, EVP_sha256()) > 0);
    unsigned char *p = room[used];
    const int n = i2d_X509(x, NULL);
    BP_CHECK(n > 0 && (size_t)n <= ROOM && i2d_X509(x, &p) == n);
    X509_free(x);
    X509_free(stub);
    X509_NAME_free(subject);
    X509_NAME_free(issuer);
    return bp_span_of(room[used++], n > 0 ? (size_t)n : 0);
}

#define CA_EXTS "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"
#define AKID    "authorityKeyIdentifier=keyid:always"

static bp_span root, mid, leaf;

static bp_span make_root(struct test_key *key)
{
    return made(&(struct make){"root", "root", NULL, key, key, {CA_EXTS}});
}

static bp_span make_mid(void)
{
    return made(&(struct make){"mid", "root", NULL, &mid_key, &root_key, {CA_EXTS, AKID}});
}

static bp_span make_leaf(const char *more)
{
    return made(&(struct make){"leaf", "mid", NULL, &leaf_key, &mid_key, {AKID, "subjectAltName=DNS:leaf.example", more}});
}

static void begin(void)
{
    used = 0;
    root = make_root(&root_key);
    mid = make_mid();
    leaf = make_leaf(NULL);
}

static const struct bp_strict_policy whole = {.anchor_is_judged = true};

static struct bp_path_ask plain(void)
{
    return (struct bp_path_ask){.leaf = leaf, .anchors = &root, .anchor_n = 1, .others = &mid, .other_n = 1, .now_s = NOW};
}

BP_CASE(a_good_path_is_told)
{
    struct bp_path_answer a;
    begin();
    const struct bp_path_ask ask = plain();
    BP_NEED(!bp_failed(bp_path_check(&ask, &whole, &a)));
    BP_CHECK(a.found.n == 3 && a.found.anchor == 0 && a.finding.rule == BP_STRICT_NONE);
    BP_CHECK(a.found.certs[0].p == leaf.p && a.found.certs[1].p == mid.p && a.found.certs[2].p == root.p);
    BP_CHECK(ERR_peek_error() == 0);
}

BP_CASE(another_anchor_of_the_same_name_is_in_nobodys_way)
{
    struct bp_path_answer a;
    begin();
    const bp_span anchors[] = {make_root(&other_key), root};
    struct bp_path_ask ask = plain();
    ask.anchors = anchors;
    ask.anchor_n = 2;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)) && a.found.anchor == 1);
    ask.anchor_n = 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && a.found.why != NULL);
}

/* Two intermediates of one name and key: the one that breaks a rule stands first, the search goes on to the other. */
BP_CASE(an_intermediate_that_breaks_a_rule_is_left_out)
{
    struct bp_path_answer a;
    begin();
    const bp_span bad = made(&(struct make){"mid", "root", NULL, &mid_key, &root_key, {"basicConstraints=CA:TRUE", AKID, "subjectKeyIdentifier=hash"}});
    const bp_span both[] = {bad, mid};
    struct bp_path_ask ask = plain();
    ask.others = both;
    ask.other_n = 2;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)) && a.found.certs[1].p == mid.p);
    ask.other_n = 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_DENIED));
    BP_CHECK(a.finding.rule == BP_STRICT_BASIC_CRITICAL && a.finding.at == 1 && a.found.why == NULL);
}

BP_CASE(a_certificate_does_not_vouch_for_itself)
{
    struct bp_path_answer a;
    begin();
    struct bp_path_ask ask = plain();
    ask.anchors = &leaf;
    BP_CHECK(bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.leaf = root;
    ask.anchors = &root;
    BP_CHECK(bp_failed(bp_path_check(&ask, &whole, &a)));
}

BP_CASE(an_intermediate_may_be_the_anchor)
{
    struct bp_path_answer a;
    begin();
    struct bp_path_ask ask = plain();
    ask.anchors = &mid;
    ask.other_n = 0;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)) && a.found.n == 2);
}

BP_CASE(what_is_no_certificate_is_malformed)
{
    struct bp_path_answer a;
    static uint8_t padded[ROOM];
    begin();
    struct bp_path_ask ask = plain();
    for (size_t n = 0; n < leaf.n; n++) {
        ask.leaf = bp_span_sub(leaf, 0, n);
        BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_MALFORMED));
    }
    memset(padded, 0xff, sizeof padded);
    memcpy(padded, leaf.p, leaf.n);
    ask.leaf = BP_SPAN_OF(padded); /* as chips keep them */
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)) && a.found.certs[0].n == leaf.n);
    memcpy(padded, root.p, root.n);
    const bp_span anchor = BP_SPAN_OF(padded);
    ask = plain();
    ask.anchors = &anchor;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_MALFORMED));
    /* Among the intermediates a stranger's noise does no harm. */
    const bp_span others[] = {BP_SPAN_STR("noise"), mid};
    ask = plain();
    ask.others = others;
    ask.other_n = 2;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.is_revocation_asked = true;
    ask.crls = others;
    ask.crl_n = 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && a.crls_refused == 1 &&
             a.crl_finding.rule == BP_STRICT_ENCODING);
}

BP_CASE(every_flipped_bit_of_the_leaf_is_refused)
{
    struct bp_path_answer a;
    static uint8_t copy[ROOM];
    begin();
    struct bp_path_ask ask = plain();
    memcpy(copy, leaf.p, leaf.n);
    ask.leaf = bp_span_of(copy, leaf.n);
    for (size_t bit = 0; bit < 8 * leaf.n; bit += 7) { /* 7 is prime to 8: every place of a byte is met */
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        BP_CHECK(bp_failed(bp_path_check(&ask, &whole, &a)));
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
}

BP_CASE(bounds)
{
    struct bp_path_answer a;
    static bp_span many[BP_PATH_INPUTS_MAX + 1];
    begin();
    struct bp_path_ask ask = plain();
    ask.anchor_n = 0;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strcmp(a.found.why, "no anchor") == 0);
    for (size_t i = 0; i <= BP_PATH_INPUTS_MAX; i++) {
        many[i] = mid;
    }
    ask = plain();
    ask.others = many;
    ask.other_n = BP_PATH_INPUTS_MAX + 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_LIMIT));
    ask = plain();
    ask.crls = many;
    ask.crl_n = BP_PATH_INPUTS_MAX + 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_LIMIT));
    const char *const policy = "no policy";
    ask = plain();
    ask.policies = &policy;
    ask.policy_n = 1;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_ARGUMENT));
}

BP_CASE(time_is_the_callers)
{
    struct bp_path_answer a;
    begin();
    struct bp_path_ask ask = plain();
    ask.now_s = 1893456000; /* the last second counts */
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.now_s++;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strstr(a.found.why, "expired") != NULL);
    ask.now_s = 0;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strstr(a.found.why, "not yet") != NULL);
    ask.now_s = BP_PATH_NO_TIME;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
}

BP_CASE(purpose_and_name)
{
    struct bp_path_answer a;
    begin();
    struct bp_path_ask ask = plain();
    ask.leaf = make_leaf("extendedKeyUsage=clientAuth");
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.purpose = BP_PATH_CLIENT;
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.purpose = BP_PATH_SERVER;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE));
    ask = plain();
    ask.name_kind = BP_PATH_DNS;
    ask.name = BP_SPAN_STR("LEAF.example");
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.name = BP_SPAN_STR("leaf"); /* the common name is no host */
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE));
    ask.name = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_ARGUMENT));
    ask.name_kind = BP_PATH_IP;
    ask.name = BP_SPAN_STR("abc");
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_ARGUMENT));
}

BP_CASE(refused_allocation_is_an_error)
{
    struct bp_path_answer a;
    begin();
    const struct bp_path_ask ask = plain();
    const size_t live = bp_alloc_live();
    bp_alloc_fail_once(1);
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_NO_MEMORY));
    bp_alloc_fail_once(0);
    BP_CHECK(bp_alloc_live() == live && !bp_failed(bp_path_check(&ask, &whole, &a)) && bp_alloc_live() == live);
}

/* What our own authorities issue. */
struct own {
    struct bp_key *key;
    struct bp_issuer issuer;
    bp_span cert;
};

static struct bp_crypto *crypto;

static void issue(enum bp_cert_profile profile, struct own *by, struct own *ret)
{
    static const bp_span dns[] = {{(const uint8_t *)"plant.example", 13}};
    const struct bp_entropy entropy = bp_entropy_linux();
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_key_make(profile == BP_CERT_ROOT ? BP_KEY_P384 : BP_KEY_P256, &ret->key)));
    const bool is_anchor = profile == BP_CERT_ROOT || profile == BP_CERT_BROWNFIELD_CA;
    const struct bp_cert_request request = {
        .profile = profile,
        .spki = bp_key_spki(ret->key),
        .common_name = bp_span_of("abcdefghijklm" + profile, 1), /* an issuer of lists is known by its name */
        .organisation = BP_SPAN_STR("Plant"),
        .dns = dns,
        .dns_count = profile == BP_CERT_ISSUING || profile == BP_CERT_INFRA || profile == BP_CERT_SERVER ? 1 : 0,
        .crl_url = is_anchor ? BP_SPAN_EMPTY : BP_SPAN_STR("http://plant.example:8446/crl/x.crl"),
        .not_before_ms = 1700000000000,
        .not_after_ms = is_anchor ? INT64_MAX : 1800000000000,
    };
    const struct bp_issuer self = {.signer = bp_key_signer(ret->key)};
    BP_CHECK(!bp_failed(bp_cert_issue(crypto, &entropy, is_anchor ? &self : &by->issuer, &request, room[used], ROOM, &n)));
    ret->cert = bp_span_of(room[used++], n);
    const struct bp_signer signer = bp_key_signer(ret->key);
    BP_IGNORE(bp_issuer_of(ret->cert, &signer, &ret->issuer), "a leaf is no issuer");
}

static bp_span list_of(const struct own *by, const struct bp_crl_entry *entries, size_t count)
{
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_crl_issue(&by->issuer, entries, count, 5, 1780000000000, 1795000000000, room[used], ROOM, &n)));
    return bp_span_of(room[used++], n);
}

static void check_own(enum bp_cert_profile authority, enum bp_cert_profile profile, enum bp_path_purpose purpose)
{
    struct bp_path_answer a;
    struct own top = {0};
    struct own between = {0};
    struct own end = {0};
    used = 0;
    issue(authority == BP_CERT_BROWNFIELD_CA ? authority : BP_CERT_ROOT, NULL, &top);
    struct own *by = &top;
    if (authority != BP_CERT_ROOT && authority != BP_CERT_BROWNFIELD_CA) {
        issue(authority, &top, &between);
        by = &between;
    }
    issue(profile, by, &end);
    const struct bp_path_ask ask = {.leaf = end.cert, .anchors = &top.cert, .anchor_n = 1, .others = &between.cert,
                                    .other_n = by == &top ? 0 : 1, .now_s = NOW, .purpose = purpose};
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    struct bp_strict_finding f;
    BP_CHECK(!bp_failed(bp_strict_crl(list_of(by, NULL, 0), 0, &f)));
    bp_key_free(top.key);
    bp_key_free(between.key);
    bp_key_free(end.key);
}

BP_CASE(what_we_issue_keeps_the_profile)
{
    check_own(BP_CERT_ISSUING, BP_CERT_DEVICE, BP_PATH_CLIENT);
    check_own(BP_CERT_OPERATOR_CA, BP_CERT_OPERATOR, BP_PATH_CLIENT);
    check_own(BP_CERT_INFRA, BP_CERT_SERVER, BP_PATH_SERVER);
    check_own(BP_CERT_BROWNFIELD_CA, BP_CERT_BROWNFIELD, BP_PATH_CLIENT);
    check_own(BP_CERT_ROOT, BP_CERT_LOG, BP_PATH_ANY_USE);
    check_own(BP_CERT_ROOT, BP_CERT_RESULT, BP_PATH_ANY_USE);
    check_own(BP_CERT_ROOT, BP_CERT_BIND, BP_PATH_ANY_USE);
    check_own(BP_CERT_ROOT, BP_CERT_RECOVERY, BP_PATH_ANY_USE);
}

BP_CASE(revocation_by_our_own_lists)
{
    struct bp_path_answer a;
    struct own top = {0}, between = {0}, end = {0};
    struct bp_x509 x;
    used = 0;
    issue(BP_CERT_ROOT, NULL, &top);
    issue(BP_CERT_ISSUING, &top, &between);
    issue(BP_CERT_DEVICE, &between, &end);
    BP_NEED(!bp_failed(bp_x509_read(end.cert, &x)));
    const struct bp_crl_entry entry = {x.serial, 1785000000000, 1};
    const bp_span clean[] = {list_of(&top, NULL, 0), list_of(&between, NULL, 0)};
    const bp_span revoked[] = {clean[0], list_of(&between, &entry, 1)};
    struct bp_path_ask ask = {.leaf = end.cert, .anchors = &top.cert, .anchor_n = 1, .others = &between.cert, .other_n = 1,
                              .now_s = NOW, .crls = clean, .crl_n = 2, .is_revocation_asked = true};
    BP_CHECK(!bp_failed(bp_path_check(&ask, &whole, &a)));
    ask.crls = revoked;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strstr(a.found.why, "revoked") != NULL);
    ask.crl_n = 1; /* none for the device */
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE));
    ask.crl_n = 2;
    ask.now_s = 1795000001; /* both are past */
    ask.crls = clean;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strstr(a.found.why, "CRL") != NULL);
    bp_key_free(top.key);
    bp_key_free(between.key);
    bp_key_free(end.key);
}

/* -- ML-DSA: certificates that ml_dsa/make wrote with a library that knows it -- */

static bp_span from_file(const char *name)
{
    static uint8_t files[5][10240];
    static size_t count;
    char path[512];
    uint8_t *bytes = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s.der", ML_DSA_DIR, name);
    if (!BP_CHECK(count < 5 && !bp_failed(bp_file_read(path, BP_FILE_PUBLIC, sizeof files[0], &bytes, &n)))) {
        return BP_SPAN_EMPTY;
    }
    memcpy(files[count], bytes, n);
    bp_free(bytes);
    return bp_span_of(files[count++], n);
}

static struct {
    bp_span root, mid, leaf, plain, young; /* by 65, of 44; by 44, of P-256; an anchor of P-256, and of 87 by it */
} pq;

/* Verified where the library can; refused by the algorithm's name where not. */
static void answers(const struct bp_path_ask *ask, const struct bp_strict_policy *policy, const char *name)
{
    struct bp_path_answer a;
    const bp_result r = bp_path_check(ask, policy, &a);
    if (bp_path_has_ml_dsa()) {
        BP_CHECK(!bp_failed(r) && a.found.why == NULL);
    } else {
        BP_CHECK(bp_is(r, BP_E_UNSUPPORTED) && a.found.why != NULL && strstr(a.found.why, name) == a.found.why);
    }
    BP_CHECK(ERR_peek_error() == 0);
}

BP_CASE(ml_dsa_is_verified_or_named)
{
    const struct bp_strict_policy authorities = {.anchor_is_judged = true, .leaf_may_be_ca = true};
    pq.root = from_file("root65");
    pq.mid = from_file("mid44");
    pq.leaf = from_file("leaf");
    pq.plain = from_file("plain");
    pq.young = from_file("leaf87");
    struct bp_path_ask ask = {.leaf = pq.leaf, .anchors = &pq.root, .anchor_n = 1, .others = &pq.mid, .other_n = 1, .now_s = NOW};
    answers(&ask, &whole, "ML-DSA-44 ");
    ask = (struct bp_path_ask){.leaf = pq.mid, .anchors = &pq.root, .anchor_n = 1, .now_s = NOW};
    answers(&ask, &authorities, "ML-DSA-65 ");
    ask = (struct bp_path_ask){.leaf = pq.young, .anchors = &pq.plain, .anchor_n = 1, .now_s = NOW};
    answers(&ask, &whole, "ML-DSA-87 ");
}

BP_CASE(ml_dsa_is_read_and_keeps_the_profile)
{
    struct bp_x509 x;
    struct bp_strict_finding f;
    const bp_span path[] = {pq.leaf, pq.mid, pq.root}, young[] = {pq.young, pq.plain};
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &whole, &f)) && !bp_failed(bp_strict_path(young, 2, &whole, &f)));
    BP_NEED(!bp_failed(bp_x509_read(pq.mid, &x)));
    BP_CHECK(x.alg == BP_SIG_NONE && x.key.type == BP_KEY_NONE && bp_spki_is_ml_dsa(x.spki));
    BP_CHECK(bp_is(bp_x509_verify(crypto, &x.key, x.alg, x.tbs, x.signature), BP_E_UNSUPPORTED));
}

BP_CASE(ml_dsa_changed_is_refused)
{
    struct bp_path_answer a;
    static uint8_t copy[10240];
    struct bp_path_ask ask = {.leaf = bp_span_of(copy, pq.leaf.n), .anchors = &pq.root, .anchor_n = 1, .others = &pq.mid,
                              .other_n = 1, .now_s = NOW};
    memcpy(copy, pq.leaf.p, pq.leaf.n);
    for (size_t bit = 0; bit < 8 * pq.leaf.n; bit += 131) { /* prime to 8: every place of a byte is met */
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        BP_CHECK(bp_failed(bp_path_check(&ask, &whole, &a)));
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ask.anchors = &pq.plain;
    BP_CHECK(bp_failed(bp_path_check(&ask, &whole, &a)));
    /* What falls for another reason, with none of it on the path, is not laid on it. */
    begin();
    ask = plain();
    ask.others = &pq.mid;
    BP_CHECK(bp_is(bp_path_check(&ask, &whole, &a), BP_E_BAD_SIGNATURE) && strstr(a.found.why, "ML-DSA") == NULL);
}

static bool start(void)
{
    return test_key_make(&root_key, BP_SIG_ES256) && test_key_make(&mid_key, BP_SIG_ES256) &&
           test_key_make(&leaf_key, BP_SIG_ES256) && test_key_make(&other_key, BP_SIG_ES256) &&
           !bp_failed(bp_crypto_openssl_new(8, &crypto));
}

static void stop(void)
{
    test_key_done(&root_key);
    test_key_done(&mid_key);
    test_key_done(&leaf_key);
    test_key_done(&other_key);
    bp_crypto_openssl_free(crypto);
}

BP_CASE(keys_are_made)
{
    BP_CHECK(start());
}

BP_SUITE(path, BP_RUN(keys_are_made) BP_RUN(a_good_path_is_told) BP_RUN(another_anchor_of_the_same_name_is_in_nobodys_way)
                   BP_RUN(an_intermediate_that_breaks_a_rule_is_left_out) BP_RUN(a_certificate_does_not_vouch_for_itself)
                       BP_RUN(an_intermediate_may_be_the_anchor) BP_RUN(what_is_no_certificate_is_malformed)
                           BP_RUN(every_flipped_bit_of_the_leaf_is_refused) BP_RUN(bounds) BP_RUN(time_is_the_callers)
                               BP_RUN(purpose_and_name) BP_RUN(refused_allocation_is_an_error)
                                   BP_RUN(what_we_issue_keeps_the_profile) BP_RUN(revocation_by_our_own_lists)
                                       BP_RUN(ml_dsa_is_verified_or_named) BP_RUN(ml_dsa_is_read_and_keeps_the_profile)
                                           BP_RUN(ml_dsa_changed_is_refused) stop();)
