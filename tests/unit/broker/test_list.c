/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/broker/test_list - which revocation list may take the place of another at a broker, whom it names for the first
 * time, and what a certificate of a revoked client is believed to say. */
#include "broker/list.h"

#include "pki/x509.h"
#include "harness.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/key.h"

#define BP_MODULE TEST

#define NOW   1790000000LL
#define DAY_S 86400LL

struct made {
    struct bp_key *key;
    uint8_t der[BP_CERT_MAX];
    size_t n;
};

static struct bp_crypto *crypto;
static struct bp_entropy entropy;
static struct made root, issuing, infra, other_root, other, device, log_cert;
static struct bp_x509 issuer;
static uint8_t list[4][4096];
static size_t list_n[4];

static bp_span of(const struct made *m)
{
    return bp_span_of(m->der, m->n);
}

static bool make(struct made *m, enum bp_cert_profile profile, const char *cn, const struct made *by)
{
    static const bp_span dns[] = {{(const uint8_t *)"localhost", 9}};
    if (bp_failed(bp_key_make(BP_KEY_P256, &m->key))) {
        return false;
    }
    const struct bp_signer signer = bp_key_signer(by == NULL ? m->key : by->key);
    struct bp_issuer from = {signer, BP_SPAN_EMPTY, {0}};
    const struct bp_cert_request q = {.profile = profile,
                                      .spki = bp_key_spki(m->key),
                                      .common_name = bp_span_cstr(cn),
                                      .organisation = BP_SPAN_STR("Plant"),
                                      .dns = dns,
                                      .dns_count = profile == BP_CERT_INFRA || profile == BP_CERT_ISSUING ? 1 : 0,
                                      .not_before_ms = (NOW - 100) * 1000,
                                      .not_after_ms = (NOW + 400 * DAY_S) * 1000};
    return (by == NULL || !bp_failed(bp_issuer_of(of(by), &signer, &from))) &&
           !bp_failed(bp_cert_issue(crypto, &entropy, &from, &q, m->der, sizeof m->der, &m->n));
}

BP_CASE(ready)
{
    entropy = bp_entropy_linux();
    BP_NEED(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
    BP_NEED(make(&root, BP_CERT_ROOT, "root", NULL) && make(&issuing, BP_CERT_ISSUING, "issuing", &root) &&
            make(&infra, BP_CERT_INFRA, "infra", &root) && make(&other_root, BP_CERT_ROOT, "root", NULL) &&
            make(&other, BP_CERT_ISSUING, "issuing", &other_root) && make(&device, BP_CERT_DEVICE, "ABC234", &issuing) &&
            make(&log_cert, BP_CERT_LOG, "log", &root));
    BP_CHECK(!bp_failed(bp_list_issuer(crypto, of(&root), of(&issuing), &issuer)));
}

static bp_span put(size_t at, const struct made *by, uint64_t number, int64_t from, int64_t until, const char *const *serials,
                   size_t count)
{
    struct bp_crl_entry entries[8];
    struct bp_issuer is;
    const struct bp_signer signer = bp_key_signer(by->key);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct bp_crl_entry){bp_span_cstr(serials[i]), (NOW - 50) * 1000, 1};
    }
    BP_CHECK(!bp_failed(bp_issuer_of(of(by), &signer, &is)) &&
             !bp_failed(bp_crl_issue(&is, entries, count, number, from * 1000, until * 1000, list[at], sizeof list[at], &list_n[at])));
    return bp_span_of(list[at], list_n[at]);
}

static const char *const abc[] = {"\x11", "\x22\x01", "\x33"};

static void judged(void)
{
    struct bp_crl before, got;
    static const struct {
        const char *name;
        const struct made *by;
        uint64_t number;
        int64_t from, until;
        int turn; /* a bit of the last byte */
        enum bp_list_answer want;
    } rows[] = {{"newer", &issuing, 8, NOW, NOW + DAY_S, 0, BP_LIST_NEW},
                {"much_newer", &issuing, 8000, NOW, NOW + DAY_S, 0, BP_LIST_NEW},
                {"the_same", &issuing, 7, NOW, NOW + DAY_S, 0, BP_LIST_SAME},
                {"older", &issuing, 6, NOW, NOW + DAY_S, 0, BP_LIST_OLDER},
                {"older_and_over", &issuing, 6, NOW - 9, NOW - 1, 0, BP_LIST_OLDER},
                {"early", &issuing, 8, NOW + 1, NOW + DAY_S, 0, BP_LIST_EARLY},
                {"over", &issuing, 8, NOW - 9, NOW, 0, BP_LIST_OVER},
                {"of_another_authority", &infra, 8, NOW, NOW + DAY_S, 0, BP_LIST_ISSUER},
                {"of_another_key_of_that_name", &other, 8, NOW, NOW + DAY_S, 0, BP_LIST_SIGNATURE},
                {"turned", &issuing, 8, NOW, NOW + DAY_S, 1, BP_LIST_SIGNATURE}};
    bp_case_begin();
    BP_CHECK(bp_list_judge(crypto, &issuer, NULL, put(0, &issuing, 7, NOW - 9, NOW + DAY_S, abc, 2), NOW, &before) == BP_LIST_NEW);
    bp_case_end("the_first");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        memset(&got, 0xa5, sizeof got);
        const struct bp_crl untouched = got;
        const bp_span der = put(1, rows[i].by, rows[i].number, rows[i].from, rows[i].until, abc, 3);
        list[1][der.n - 1] ^= (uint8_t)rows[i].turn;
        const enum bp_list_answer a = bp_list_judge(crypto, &issuer, &before, der, NOW, &got);
        BP_CHECK(a == rows[i].want && bp_list_text(a)[0] != 0);
        BP_CHECK(a == BP_LIST_NEW || memcmp(&got, &untouched, sizeof got) == 0);
        bp_case_end(rows[i].name);
    }
    bp_case_begin();
    BP_CHECK(bp_list_judge(crypto, &issuer, &before, BP_SPAN_STR("<html>"), NOW, &got) == BP_LIST_FORM);
    BP_CHECK(bp_list_judge(crypto, &issuer, &before, BP_SPAN_EMPTY, NOW, &got) == BP_LIST_FORM);
    bp_case_end("no_list");
}

struct seen {
    size_t n, stop_at;
    char text[64];
};

static bp_result see(void *self, bp_span serial)
{
    struct seen *s = self;
    if (++s->n == s->stop_at) {
        return BP_FAIL(CLOSED);
    }
    (void)strncat(s->text, (const char *)serial.p, serial.n);
    return BP_OK;
}

BP_CASE(whom_it_names_for_the_first_time)
{
    struct bp_crl before, after;
    struct seen s = {.n = 0};
    static const char *const more[] = {"\x55", "\x11", "\x44", "\x33", "\x22\x01"};
    BP_NEED(bp_list_judge(crypto, &issuer, NULL, put(0, &issuing, 7, NOW, NOW + 9, abc, 3), NOW, &before) == BP_LIST_NEW);
    BP_NEED(bp_list_judge(crypto, &issuer, NULL, put(1, &issuing, 8, NOW, NOW + 9, more, 5), NOW, &after) == BP_LIST_NEW);
    BP_CHECK(!bp_failed(bp_list_more(&after, &before, see, &s)) && s.n == 2 && strcmp(s.text, "\x55\x44") == 0);
    s = (struct seen){.n = 0};
    BP_CHECK(!bp_failed(bp_list_more(&before, &after, see, &s)) && s.n == 0);
    BP_CHECK(!bp_failed(bp_list_more(&before, NULL, see, &s)) && s.n == 3);
    s = (struct seen){.stop_at = 2};
    BP_CHECK(bp_is(bp_list_more(&after, NULL, see, &s), BP_E_CLOSED) && s.n == 2);
}

BP_CASE(nobody_is_nobody)
{
    struct bp_crl none, some;
    struct seen s = {.n = 0};
    BP_NEED(bp_list_judge(crypto, &issuer, NULL, put(0, &issuing, 7, NOW, NOW + 9, abc, 0), NOW, &none) == BP_LIST_NEW);
    BP_NEED(bp_list_judge(crypto, &issuer, NULL, put(1, &issuing, 8, NOW, NOW + 9, abc, 1), NOW, &some) == BP_LIST_NEW);
    BP_CHECK(!bp_failed(bp_list_more(&none, &some, see, &s)) && s.n == 0);
    BP_CHECK(!bp_failed(bp_list_more(&some, &none, see, &s)) && s.n == 1);
}

BP_CASE(the_name_of_a_revoked_client)
{
    struct bp_x509 x;
    bp_span name;
    uint8_t turned[BP_CERT_MAX];
    BP_NEED(!bp_failed(bp_x509_read(of(&device), &x)));
    BP_CHECK(!bp_failed(bp_list_name(crypto, &issuer, of(&device), x.serial, &name)) &&
             bp_span_equal(name, BP_SPAN_STR("ABC234")));
    BP_CHECK(bp_is(bp_list_name(crypto, &issuer, of(&device), BP_SPAN_STR("\x42"), &name), BP_E_MISMATCH));
    BP_NEED(!bp_failed(bp_x509_read(of(&log_cert), &x)));
    BP_CHECK(bp_is(bp_list_name(crypto, &issuer, of(&log_cert), x.serial, &name), BP_E_MISMATCH));
    BP_NEED(!bp_failed(bp_x509_read(of(&device), &x)));
    memcpy(turned, device.der, device.n);
    turned[(size_t)(x.subject.p - device.der) + 13] ^= 1; /* in the name */
    BP_CHECK(bp_failed(bp_list_name(crypto, &issuer, bp_span_of(turned, device.n), x.serial, &name)));
}

BP_CASE(who_may_sign_lists)
{
    struct bp_x509 x;
    BP_CHECK(bp_is(bp_list_issuer(crypto, of(&root), of(&log_cert), &x), BP_E_DENIED));
    BP_CHECK(bp_is(bp_list_issuer(crypto, of(&root), of(&device), &x), BP_E_DENIED));
    BP_CHECK(bp_is(bp_list_issuer(crypto, of(&root), of(&other), &x), BP_E_BAD_SIGNATURE));
    BP_CHECK(bp_failed(bp_list_issuer(crypto, of(&root), BP_SPAN_EMPTY, &x)));
}

static void done(void)
{
    struct made *all[] = {&root, &issuing, &infra, &other_root, &other, &device, &log_cert};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bp_key_free(all[i]->key);
    }
    bp_crypto_openssl_free(crypto);
}

/* clang-format off */
BP_SUITE(broker_list,
    BP_RUN(ready)
    BP_TABLE(judged)
    BP_RUN(whom_it_names_for_the_first_time)
    BP_RUN(nobody_is_nobody)
    BP_RUN(the_name_of_a_revoked_client)
    BP_RUN(who_may_sign_lists)
    done();)
/* clang-format on */
