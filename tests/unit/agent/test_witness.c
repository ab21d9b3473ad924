/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_witness - a head is believed when the log's key signed it and the root certified that key; each
 * other one is refused for a reason of its own. */
#include "agent/witness.h"
#include "harness.h"
#include "platform/openssl/crypto.h"
#include "unit/cli/maker.h"

#define NOW  INT64_C(1790000000000)
#define HOST "gateway-server"

static struct bp_crypto *crypto;
static struct maker server, stranger;
static uint8_t text[1024];
static const uint8_t root[BP_SHA256_SIZE] = {5, 6, 7};

static bp_span der(const struct maker *m, enum maker_key which)
{
    return bp_span_of(m->der[which], m->der_n[which]);
}

static bp_span head_by(struct maker *m, enum maker_key which, const char *origin, uint64_t size)
{
    const struct bp_signer signer = bp_key_signer(m->key[which]);
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_checkpoint_write(crypto, &signer, bp_key_spki(m->key[which]), bp_span_cstr(origin), size, root,
                                            text, sizeof text, &n)));
    return bp_span_of(text, n);
}

static bool begins(const char *reason, const char *with)
{
    return reason != NULL && strncmp(reason, with, strlen(with)) == 0;
}

BP_CASE(ready)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(8, &crypto)));
    BP_CHECK(maker_make(&server, crypto, NOW) && maker_make(&stranger, crypto, NOW));
}

/* --- the key --- */

BP_CASE(the_logs_key_is_known_by_its_certificate)
{
    struct bp_x509 key;
    BP_CHECK(bp_witness_key(crypto, der(&server, MAKER_ROOT), der(&server, MAKER_LOG), BP_STATEMENT_LOG, NOW, &key) == NULL);
    BP_CHECK(bp_span_equal(key.spki, bp_key_spki(server.key[MAKER_LOG])));
}

static void other_certificates(void)
{
    const struct {
        const char *name;
        const struct maker *by;
        enum maker_key which;
        int64_t now_ms;
        const char *reason;
    } row[] = {
        {"key.of_another_server", &stranger, MAKER_LOG, NOW, "chain-signature"},
        {"key.of_results", &server, MAKER_RESULT, NOW, "chain-role"},
        {"key.of_bindings", &server, MAKER_BIND, NOW, "chain-role"},
        {"key.of_an_authority", &server, MAKER_ISSUING, NOW, "chain-role"},
        {"key.of_recovery", &server, MAKER_RECOVERY, NOW, "chain-role"},
        {"key.of_a_device", &server, MAKER_DEVICE, NOW, "chain-signature"},
        {"key.of_the_root_itself", &server, MAKER_ROOT, NOW, "chain-role"},
        {"key.not_yet_valid", &server, MAKER_LOG, NOW - 2 * INT64_C(86400000), "chain-time"},
        {"key.no_longer_valid", &server, MAKER_LOG, NOW + 4000 * INT64_C(86400000), "chain-time"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct bp_x509 key = {.serial = BP_SPAN_STR("untouched")};
        bp_case_begin();
        BP_CHECK(begins(bp_witness_key(crypto, der(&server, MAKER_ROOT), der(row[i].by, row[i].which), BP_STATEMENT_LOG,
                                       row[i].now_ms, &key),
                        row[i].reason));
        BP_CHECK(bp_span_equal(key.serial, BP_SPAN_STR("untouched")));
        bp_case_end(row[i].name);
    }
}

/* Nothing is sealed to a key of another purpose, however well the root certified it. */
static void recovery_certificates(void)
{
    const struct {
        const char *name;
        const struct maker *by;
        enum maker_key which;
        const char *reason; /* NULL: taken */
    } row[] = {
        {"recovery.is_known_by_its_certificate", &server, MAKER_RECOVERY, NULL},
        {"recovery.of_another_server", &stranger, MAKER_RECOVERY, "chain-signature"},
        {"recovery.by_the_logs_key", &server, MAKER_LOG, "chain-role"},
        {"recovery.by_the_results_key", &server, MAKER_RESULT, "chain-role"},
        {"recovery.by_an_authority", &server, MAKER_ISSUING, "chain-role"},
        {"recovery.by_a_device", &server, MAKER_DEVICE, "chain-signature"},
        {"recovery.by_the_root_itself", &server, MAKER_ROOT, "chain-role"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct bp_x509 key;
        bp_case_begin();
        const char *bad = bp_witness_key(crypto, der(&server, MAKER_ROOT), der(row[i].by, row[i].which),
                                         BP_STATEMENT_RECOVERY, NOW, &key);
        BP_CHECK(row[i].reason == NULL ? bad == NULL : begins(bad, row[i].reason));
        bp_case_end(row[i].name);
    }
}

BP_CASE(a_certificate_with_a_changed_byte)
{
    static uint8_t cert[BP_CERT_MAX];
    const bp_span good = der(&server, MAKER_LOG);
    struct bp_x509 key;
    memcpy(cert, good.p, good.n);
    for (size_t i = 0; i < good.n; i++) {
        cert[i] ^= 1u;
        BP_CHECK(bp_witness_key(crypto, der(&server, MAKER_ROOT), bp_span_of(cert, good.n), BP_STATEMENT_LOG, NOW,
                                &key) != NULL);
        cert[i] ^= 1u;
        BP_CHECK(bp_witness_key(crypto, der(&server, MAKER_ROOT), bp_span_of(cert, i), BP_STATEMENT_LOG, NOW, &key) != NULL);
    }
}

BP_CASE(an_anchor_that_is_no_root)
{
    struct bp_x509 key;
    BP_CHECK(begins(bp_witness_key(crypto, der(&server, MAKER_ISSUING), der(&server, MAKER_DEVICE), BP_STATEMENT_LOG,
                                   NOW, &key),
                    "chain-"));
    BP_CHECK(begins(bp_witness_key(crypto, BP_SPAN_EMPTY, der(&server, MAKER_LOG), BP_STATEMENT_LOG, NOW, &key), "chain-"));
}

/* --- escrow --- */

static const uint8_t us[33] = {1, 2, 3}, others[33] = {1, 2, 4};

static bool is_acknowledged(bp_span device, enum bp_escrow_state state, bp_span digest)
{
    const struct bp_escrow e = {.device_id = BP_SPAN_OF(us), .state = BP_ESCROW_SEALED, .envelope = BP_SPAN_STR("envelope")};
    const struct bp_escrowed kept = {.device_id = device, .state = state, .digest = digest};
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_escrowed_write(&kept, text, sizeof text, &n)));
    return !bp_failed(bp_witness_escrowed(crypto, bp_span_of(text, n), &e));
}

BP_CASE(only_an_answer_about_this_very_escrow_counts)
{
    uint8_t digest[BP_SHA256_SIZE], other[BP_SHA256_SIZE];
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_STR("envelope"), digest)));
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_STR("other"), other)));
    BP_CHECK(is_acknowledged(BP_SPAN_OF(us), BP_ESCROW_SEALED, BP_SPAN_OF(digest)));
    BP_CHECK(!is_acknowledged(BP_SPAN_OF(others), BP_ESCROW_SEALED, BP_SPAN_OF(digest)));
    BP_CHECK(!is_acknowledged(BP_SPAN_OF(us), BP_ESCROW_SET, BP_SPAN_OF(digest)));
    BP_CHECK(!is_acknowledged(BP_SPAN_OF(us), BP_ESCROW_SEALED, BP_SPAN_OF(other)));
    BP_CHECK(!is_acknowledged(BP_SPAN_OF(us), BP_ESCROW_FOREIGN, BP_SPAN_EMPTY));
    const struct bp_escrow e = {.device_id = BP_SPAN_OF(us), .state = BP_ESCROW_SEALED, .envelope = BP_SPAN_STR("envelope")};
    BP_CHECK(bp_failed(bp_witness_escrowed(crypto, BP_SPAN_EMPTY, &e)));
}

/* --- heads --- */

static const char *judge(bp_span head, bool *ret_is_unsigned)
{
    struct bp_checkpoint cp = {.size = 999};
    const char *bad = bp_witness_head(crypto, head, HOST, bp_key_spki(server.key[MAKER_LOG]), &cp, ret_is_unsigned);
    BP_CHECK(bad == NULL ? cp.size == 7 && memcmp(cp.root, root, sizeof root) == 0 : cp.size == 999);
    return bad;
}

BP_CASE(a_head_by_the_logs_key_is_believed)
{
    bool is_unsigned = true;
    BP_CHECK(judge(head_by(&server, MAKER_LOG, HOST "/log", 7), &is_unsigned) == NULL && !is_unsigned);
}

BP_CASE(a_head_by_another_key)
{
    bool is_unsigned = false;
    BP_CHECK(begins(judge(head_by(&stranger, MAKER_LOG, HOST "/log", 7), &is_unsigned), "is not signed") && is_unsigned);
    BP_CHECK(begins(judge(head_by(&server, MAKER_RESULT, HOST "/log", 7), &is_unsigned), "is not signed") && is_unsigned);
}

/* Signed by the right key over another text: the number of entries was changed afterwards. */
BP_CASE(a_head_with_a_wrong_signature)
{
    bool is_unsigned = true;
    const bp_span head = head_by(&server, MAKER_LOG, HOST "/log", 7);
    text[sizeof HOST "/log"] = '8';
    BP_CHECK(begins(judge(head, &is_unsigned), "has a signature") && !is_unsigned);
}

BP_CASE(no_byte_of_a_head_can_be_changed)
{
    const bp_span head = head_by(&server, MAKER_LOG, HOST "/log", 7);
    for (size_t i = 0; i < head.n; i++) {
        bool is_unsigned = false;
        text[i] ^= 1u;
        BP_CHECK(judge(head, &is_unsigned) != NULL);
        text[i] ^= 1u;
        BP_CHECK(judge(bp_span_of(text, i), &is_unsigned) != NULL);
    }
}

BP_CASE(a_head_of_another_log)
{
    static const char *const origin[] = {"another/log", HOST, HOST "/logs", HOST "/Log", "x" HOST "/log", "/log"};
    for (size_t i = 0; i < sizeof origin / sizeof origin[0]; i++) {
        bool is_unsigned = true;
        BP_CHECK(begins(judge(head_by(&server, MAKER_LOG, origin[i], 7), &is_unsigned), "is of another log") && !is_unsigned);
    }
}

/* clang-format off */
BP_SUITE(witness,
    BP_RUN(ready)
    BP_RUN(the_logs_key_is_known_by_its_certificate)
    BP_TABLE(other_certificates)
    BP_TABLE(recovery_certificates)
    BP_RUN(a_certificate_with_a_changed_byte)
    BP_RUN(an_anchor_that_is_no_root)
    BP_RUN(only_an_answer_about_this_very_escrow_counts)
    BP_RUN(a_head_by_the_logs_key_is_believed)
    BP_RUN(a_head_by_another_key)
    BP_RUN(a_head_with_a_wrong_signature)
    BP_RUN(no_byte_of_a_head_can_be_changed)
    BP_RUN(a_head_of_another_log)
    maker_done(&server);
    maker_done(&stranger);
    bp_crypto_openssl_free(crypto);)
