/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/platform/test_pkcs11 - where a key lies, as text; keys in a real token (SoftHSM), which is taken away and put
 * back while they are in use. */
#include "platform/pkcs11/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

static char top[64];
static struct bp_crypto *crypto;

/* --- the text --- */

#define REST "?module-path=/usr/lib/m.so&pin-source=file:keys/ca/pin"

static const struct {
    const char *name;
    enum bp_error error;
    const char *text;
} uris[] = {
    {"whole", BP_E_OK, "pkcs11:token=a;serial=01;object=k;id=%01%ff;type=private" REST},
    {"encoded", BP_E_OK, "pkcs11:token=a%20b%3Bc" REST},
    {"serial_alone", BP_E_OK, "pkcs11:serial=01" REST},
    {"absolute_pin", BP_E_OK, "pkcs11:token=a?pin-source=/etc/pin&module-path=/m.so"},
    {"empty", BP_E_MALFORMED, ""},
    {"other_scheme", BP_E_MALFORMED, "file:token=a" REST},
    {"scheme_alone", BP_E_DENIED, "pkcs11:"},
    {"no_token", BP_E_DENIED, "pkcs11:object=k" REST},
    {"no_module", BP_E_DENIED, "pkcs11:token=a?pin-source=file:p"},
    {"relative_module", BP_E_DENIED, "pkcs11:token=a?module-path=m.so&pin-source=file:p"},
    {"no_pin_source", BP_E_DENIED, "pkcs11:token=a?module-path=/m.so"},
    {"pin_in_text", BP_E_DENIED, "pkcs11:token=a?module-path=/m.so&pin-value=1234"},
    {"pin_by_command", BP_E_MALFORMED, "pkcs11:token=a?module-path=/m.so&pin-source=|cat%20p"},
    {"pin_source_empty", BP_E_MALFORMED, "pkcs11:token=a?module-path=/m.so&pin-source=file:"},
    {"unknown_attribute", BP_E_UNSUPPORTED, "pkcs11:token=a;colour=red" REST},
    {"attribute_in_wrong_half", BP_E_UNSUPPORTED, "pkcs11:token=a;pin-source=p" REST},
    {"public_key", BP_E_UNSUPPORTED, "pkcs11:token=a;type=public" REST},
    {"twice", BP_E_MALFORMED, "pkcs11:token=a;token=b" REST},
    {"no_equals", BP_E_MALFORMED, "pkcs11:token" REST},
    {"empty_value", BP_E_MALFORMED, "pkcs11:token=" REST},
    {"mark_at_end", BP_E_MALFORMED, "pkcs11:token=a;" REST},
    {"two_marks", BP_E_MALFORMED, "pkcs11:token=a;;object=k" REST},
    {"percent_cut", BP_E_MALFORMED, "pkcs11:token=a%2" REST},
    {"percent_no_hex", BP_E_MALFORMED, "pkcs11:token=a%zz" REST},
    {"nul", BP_E_MALFORMED, "pkcs11:token=a%00b" REST},
    {"control", BP_E_MALFORMED, "pkcs11:token=a%0a" REST},
    {"blank", BP_E_MALFORMED, "pkcs11:token=a b" REST},
    {"slash_in_path", BP_E_MALFORMED, "pkcs11:token=a/b" REST},
    {"token_too_long", BP_E_LIMIT, "pkcs11:token=123456789012345678901234567890123" REST},
    {"id_too_long", BP_E_LIMIT, "pkcs11:token=a;id=123456789012345678901234567890123" REST},
};

static void uri_table(void)
{
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        char name[64], text[BP_PKCS11_URI_MAX + 1], again[BP_PKCS11_URI_MAX + 1];
        struct bp_pkcs11_uri a, b;
        size_t n = 0;
        (void)snprintf(name, sizeof name, "uri.%s", uris[i].name);
        bp_case_begin();
        memset(&a, 0xa5, sizeof a);
        const bp_result r = bp_pkcs11_uri_read(bp_span_cstr(uris[i].text), &a);
        BP_CHECK(bp_error_of(r) == uris[i].error);
        if (!bp_failed(r)) {
            /* What was read is written so that it is read the same, and written the same again. */
            BP_CHECK(!bp_failed(bp_pkcs11_uri_write(&a, text, sizeof text, &n)) && n == strlen(text));
            BP_CHECK(!bp_failed(bp_pkcs11_uri_read(bp_span_cstr(text), &b)) && memcmp(&a, &b, sizeof a) == 0);
            BP_CHECK(!bp_failed(bp_pkcs11_uri_write(&b, again, sizeof again, &n)) && strcmp(text, again) == 0);
            BP_CHECK(bp_is(bp_pkcs11_uri_write(&a, again, n, &n), BP_E_NO_SPACE));
        } else {
            BP_CHECK(a.token[0] == (char)0xa5);
        }
        bp_case_end(name);
    }
    char longer[BP_PKCS11_URI_MAX + 2];
    struct bp_pkcs11_uri u;
    memset(longer, 'a', sizeof longer);
    memcpy(longer, "pkcs11:token=", 13);
    bp_case_begin();
    BP_CHECK(bp_is(bp_pkcs11_uri_read(bp_span_of(longer, sizeof longer), &u), BP_E_LIMIT));
    bp_case_end("uri.too_long");
}

/* --- a token --- */

static const char *at(const char *relative)
{
    static char path[2][128];
    static unsigned turn;
    turn ^= 1u;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", top, relative);
    return path[turn];
}

static struct bp_pkcs11_uri key_uri(const char *object)
{
    struct bp_pkcs11_uri u = {.module = MODULE, .token = "plant"};
    (void)snprintf(u.object, sizeof u.object, "%s", object);
    return u;
}

static bool signs(struct bp_key *key, enum bp_sig_alg alg)
{
    uint8_t sig[BP_SIG_MAX];
    size_t n = 0;
    const struct bp_pubkey pub = bp_key_public(key);
    const struct bp_signer s = bp_key_signer(key);
    return s.alg == alg && !bp_failed(s.sign(s.self, BP_SPAN_STR("what is signed"), sig, sizeof sig, &n)) &&
           !bp_failed(bp_verify(crypto, &pub, alg, BP_SPAN_STR("what is signed"), bp_span_of(sig, n)));
}

static bp_result sign_with(struct bp_key *key)
{
    uint8_t sig[BP_SIG_MAX];
    size_t n = 0;
    const struct bp_signer s = bp_key_signer(key);
    return s.sign(s.self, BP_SPAN_STR("what is signed"), sig, sizeof sig, &n);
}

BP_CASE(made_there_and_cannot_leave)
{
    const struct bp_pkcs11_uri small = key_uri("small"), large = key_uri("large");
    struct bp_key *a = NULL, *b = NULL;
    struct bp_pkcs11_facts facts = {0};
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&small, at("pin"), BP_KEY_P256, &a)));
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&large, at("pin"), BP_KEY_P384, &b)));
    BP_CHECK(signs(a, BP_SIG_ES256) && signs(b, BP_SIG_ES384) && signs(a, BP_SIG_ES256));
    BP_CHECK(bp_is(bp_key_save(a, at("copy.pem"), BP_SPAN_EMPTY), BP_E_UNSUPPORTED) && access(at("copy.pem"), F_OK) != 0);
    BP_CHECK(!bp_failed(bp_pkcs11_key_look(&small, at("pin"), bp_key_spki(a), &facts)));
    BP_CHECK(!facts.can_leave && facts.was_always_there && strcmp(facts.token, "plant") == 0);
    struct bp_key *c = NULL;
    BP_CHECK(bp_is(bp_pkcs11_key_make(&small, at("pin"), BP_KEY_P256, &c), BP_E_EXISTS));
    BP_CHECK(bp_is(bp_pkcs11_key_make(&small, at("pin"), BP_KEY_RSA, &c), BP_E_BAD_ARGUMENT));
    bp_key_free(a);
    bp_key_free(b);
}

BP_CASE(opened_by_its_name)
{
    const struct bp_pkcs11_uri one = key_uri("one"), two = key_uri("two");
    struct bp_key *made = NULL, *other = NULL, *key = NULL, *wrong = NULL;
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&one, at("pin"), BP_KEY_P256, &made)));
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&two, at("pin"), BP_KEY_P256, &other)));
    BP_NEED(!bp_failed(bp_pkcs11_key_open(&one, at("pin"), bp_key_spki(made), &key)));
    BP_CHECK(signs(key, BP_SIG_ES256));
    /* The name leads to a key that is not the certificate's: nothing it signs gets out. */
    BP_NEED(!bp_failed(bp_pkcs11_key_open(&two, at("pin"), bp_key_spki(made), &wrong)));
    BP_CHECK(bp_is(sign_with(wrong), BP_E_MISMATCH));
    bp_key_free(wrong);
    bp_key_free(key);
    bp_key_free(other);
    BP_CHECK(signs(made, BP_SIG_ES256));
    bp_key_free(made);
}

BP_CASE(gone_and_back)
{
    const struct bp_pkcs11_uri uri = key_uri("travels"), beside = key_uri("beside");
    struct bp_key *key = NULL, *other = NULL;
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&uri, at("pin"), BP_KEY_P256, &key)));
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&beside, at("pin"), BP_KEY_P256, &other)));
    for (unsigned i = 0; i < 2; i++) {
        BP_CHECK(signs(key, BP_SIG_ES256));
        BP_NEED(rename(at("tokens"), at("away")) == 0);
        BP_CHECK(bp_is(sign_with(key), BP_E_CLOSED) && bp_is(sign_with(key), BP_E_CLOSED));
        BP_CHECK(bp_is(sign_with(other), BP_E_CLOSED) && bp_pkcs11_trace() != 0);
        BP_NEED(rename(at("away"), at("tokens")) == 0);
        /* The same objects, and each its own key although the module gave out new handles. */
        BP_CHECK(signs(other, BP_SIG_ES256) && signs(key, BP_SIG_ES256));
    }
    /* Opened while it is away: a key that waits. */
    struct bp_key *early = NULL;
    BP_NEED(rename(at("tokens"), at("away")) == 0);
    BP_CHECK(bp_is(sign_with(key), BP_E_CLOSED));
    const bp_result r = bp_pkcs11_key_open(&uri, at("pin"), bp_key_spki(key), &early);
    BP_NEED(rename(at("away"), at("tokens")) == 0);
    BP_NEED(!bp_failed(r));
    BP_CHECK(signs(early, BP_SIG_ES256));
    bp_key_free(early);
    bp_key_free(other);
    bp_key_free(key);
}

BP_CASE(refused_pin_is_not_tried_again)
{
    const struct bp_pkcs11_uri uri = key_uri("locked");
    struct bp_key *key = NULL, *bad = NULL;
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&uri, at("pin"), BP_KEY_P256, &key)));
    BP_NEED(!bp_failed(bp_file_write(at("wrong"), BP_FILE_SECRET, BP_SPAN_STR("87654321\n"))));
    uint8_t spki[128];
    const size_t n = bp_key_spki(key).n;
    BP_NEED(n <= sizeof spki);
    memcpy(spki, bp_key_spki(key).p, n);
    bp_key_free(key); /* the last session: its log-in ends with it */
    BP_NEED(!bp_failed(bp_pkcs11_key_open(&uri, at("wrong"), bp_span_of(spki, n), &bad)));
    BP_CHECK(bp_is(sign_with(bad), BP_E_DENIED));
    /* With the right PIN beside it the token is open again, and this key still does not ask. */
    BP_NEED(!bp_failed(bp_pkcs11_key_open(&uri, at("pin"), bp_span_of(spki, n), &key)));
    BP_CHECK(signs(key, BP_SIG_ES256) && bp_is(sign_with(bad), BP_E_DENIED));
    bp_key_free(bad);
    bp_key_free(key);
}

BP_CASE(what_cannot_be_opened)
{
    struct bp_pkcs11_uri uri = key_uri("any");
    struct bp_key *key = NULL, *made = NULL;
    BP_NEED(!bp_failed(bp_key_make(BP_KEY_P256, &made)));
    const bp_span spki = bp_key_spki(made);
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("no-pin"), spki, &key), BP_E_NOT_FOUND));
    BP_NEED(!bp_failed(bp_file_write(at("loose"), BP_FILE_PUBLIC, BP_SPAN_STR("12345678"))));
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("loose"), spki, &key), BP_E_DENIED));
    BP_NEED(!bp_failed(bp_file_write(at("empty"), BP_FILE_SECRET, BP_SPAN_STR("\n"))));
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("empty"), spki, &key), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("pin"), BP_SPAN_STR("no key"), &key), BP_E_UNSUPPORTED));
    (void)snprintf(uri.module, sizeof uri.module, "%s", at("no-module.so"));
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("pin"), spki, &key), BP_E_NOT_FOUND));
    (void)snprintf(uri.module, sizeof uri.module, "libcrypto.so.3");
    BP_CHECK(bp_is(bp_pkcs11_key_open(&uri, at("pin"), spki, &key), BP_E_UNSUPPORTED));
    bp_key_free(made);
}

BP_CASE(taken_out_again)
{
    const struct bp_pkcs11_uri uri = key_uri("passing");
    struct bp_key *key = NULL;
    BP_NEED(!bp_failed(bp_pkcs11_key_make(&uri, at("pin"), BP_KEY_P256, &key)));
    BP_CHECK(signs(key, BP_SIG_ES256));
    BP_CHECK(!bp_failed(bp_pkcs11_key_destroy(&uri, at("pin"))));
    BP_CHECK(bp_is(sign_with(key), BP_E_CLOSED));
    bp_key_free(key);
    BP_CHECK(!bp_failed(bp_pkcs11_key_make(&uri, at("pin"), BP_KEY_P256, &key)) && signs(key, BP_SIG_ES256));
    bp_key_free(key);
}

/* --- around them --- */

static bool make_token(void)
{
    char conf[256];
    (void)snprintf(top, sizeof top, "/tmp/bp-p11-XXXXXX");
    if (mkdtemp(top) == NULL || bp_failed(bp_crypto_openssl_new(16, &crypto))) {
        return false;
    }
    const int n = snprintf(conf, sizeof conf, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
                           at("tokens"));
    char command[256];
    (void)snprintf(command, sizeof command, "mkdir %s && softhsm2-util --init-token --free --label plant --pin 12345678 "
                                            "--so-pin 87651234 >/dev/null", at("tokens"));
    return !bp_failed(bp_file_write(at("softhsm2.conf"), BP_FILE_PUBLIC, bp_span_of(conf, (size_t)n))) &&
           setenv("SOFTHSM2_CONF", at("softhsm2.conf"), 1) == 0 &&
           !bp_failed(bp_file_write(at("pin"), BP_FILE_SECRET, BP_SPAN_STR("12345678\n"))) && system(command) == 0;
}

static void clean(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    BP_CHECK(system(command) == 0);
    bp_crypto_openssl_free(crypto);
}

static void with_token(void)
{
    bp_case_begin();
    const bool made = make_token();
    BP_CHECK(made);
    bp_case_end("softhsm_has_a_token");
    if (made) {
        BP_RUN(made_there_and_cannot_leave) BP_RUN(opened_by_its_name) BP_RUN(gone_and_back)
        BP_RUN(refused_pin_is_not_tried_again) BP_RUN(what_cannot_be_opened) BP_RUN(taken_out_again)
    }
    clean();
}

BP_SUITE(pkcs11, BP_TABLE(uri_table) BP_TABLE(with_token))
