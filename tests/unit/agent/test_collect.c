/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_collect - evidence by a software TPM of the test's own: what is sent is what was quoted, deltas are
 * deltas, and a list that grows is sent whole. */
#include "agent/collect.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/binding.h"
#include "core/replay.h"
#include "core/tpmkey.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"
#include "rot/tpm2/tpm2.h"

static char dir[64], tcti[160], boot_log[96], ima_log[96];
static struct bp_rot *rot;
static struct bp_crypto *crypto;
static struct bp_rot_blob ak, key;
static const uint8_t auth[32] = {1, 2, 3}, id[33] = {1, 9}, nonce[32] = {4}, ldevid[32] = {5}, binding[32] = {6};
static struct bp_collector c;
static struct bp_collect_ask ask;
static struct bp_held held;
static struct bp_evidence ev;

static bool sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool sh(const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    return n > 0 && (size_t)n < sizeof line && system(line) == 0;
}

static bool read_line(const char *name, char *ret, size_t cap)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    const bool ok = f != NULL && fgets(ret, (int)cap, f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    ret[ok ? strcspn(ret, "\n") : 0] = '\0';
    return ok;
}

static bool begin(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/bpc.XXXXXX");
    if (mkdtemp(dir) == NULL || !sh(BP_TEST_LIB "/swtpm.sh make %s && " BP_TEST_LIB "/swtpm.sh start %s >%s/tcti", dir,
                                    dir, dir) ||
        !read_line("tcti", tcti, sizeof tcti) || !sh(BP_TEST_LIB "/make-logs %s --program /bin/true", dir) ||
        !sh("TPM2TOOLS_TCTI='%s' tpm2_pcrextend $(cat %s/extends)", tcti, dir)) {
        return false;
    }
    (void)snprintf(boot_log, sizeof boot_log, "%s/boot.log", dir);
    (void)snprintf(ima_log, sizeof ima_log, "%s/ima.log", dir);
    const bp_span a = BP_SPAN_OF(auth);
    return !bp_failed(bp_crypto_openssl_new(4, &crypto)) && !bp_failed(bp_rot_tpm2_new(tcti, &rot, NULL)) &&
           !bp_failed(rot->ops->key_make(rot, BP_ROT_KEY_ATTEST, 1, a, &ak, NULL)) &&
           !bp_failed(rot->ops->key_make(rot, BP_ROT_KEY_DEVICE, 0, a, &key, NULL));
}

static void end(void)
{
    if (rot != NULL) {
        bp_rot_tpm2_free(rot);
    }
    bp_crypto_openssl_free(crypto);
    (void)sh(BP_TEST_LIB "/swtpm.sh stop %s; rm -rf %s", dir, dir);
}

static void fresh(void)
{
    c = (struct bp_collector){.rot = rot, .crypto = crypto, .ak = bp_span_of(ak.v, ak.n), .ak_auth = BP_SPAN_OF(auth),
                              .device_id = BP_SPAN_OF(id), .features = 1, .feature = {BP_SPAN_STR("ima-delta")},
                              .agent = "test", .boot_log = boot_log, .ima_log = ima_log};
    ask = (struct bp_collect_ask){.nonce = BP_SPAN_OF(nonce), .seq = 1, .issued_ms = 2, .ldevid = BP_SPAN_OF(ldevid),
                                  .binding = BP_SPAN_OF(binding)};
    held = (struct bp_held){0};
}

/* The quote is over this collection, this nonce and these values, signed by the attestation key. */
static bool is_bound(bp_span pcr_values)
{
    uint8_t covered[32];
    uint8_t want[32];
    uint8_t digest[BP_HASH_MAX];
    bp_span area;
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey k;
    struct bp_tpm_sig sig;
    struct bp_tpm_attest a;
    return !bp_failed(bp_binding_covered(crypto, &ev, covered)) &&
           !bp_failed(bp_binding_quote(crypto, ask.nonce, c.device_id, ask.ldevid, ask.binding, BP_SPAN_OF(covered), want)) &&
           !bp_failed(bp_tpm_attest_read(ev.attest, &a)) && bp_span_equal(a.extra_data, BP_SPAN_OF(want)) &&
           !bp_failed(rot->ops->key_public(rot, c.ak, &area)) && !bp_failed(bp_tpm_public_read(area, &pub)) &&
           !bp_failed(bp_tpm_pubkey(&pub, &room, &k)) && !bp_failed(bp_tpm_sig_read(ev.signature, &sig)) &&
           !bp_failed(bp_tpm_verify(crypto, &k, &sig, ev.attest)) &&
           !bp_failed(bp_tpm_pcr_digest(crypto, BP_TPM_ALG_SHA256, &a.pcrs, pcr_values, digest)) &&
           bp_span_equal(a.pcr_digest, bp_span_of(digest, 32));
}

/* The values that were quoted, one after another. */
static bp_span values_of(const struct bp_rot_pcrs *p)
{
    static uint8_t room[BP_ROT_PCRS * 32];
    for (size_t i = 0; i < p->count; i++) {
        memcpy(room + 32 * i, p->v[i], 32);
    }
    return bp_span_of(room, 32 * p->count);
}

static bool collect(struct bp_collected *got)
{
    struct bp_rot_trace trace = {0, ""};
    const bp_result r = bp_collect(&c, &held, &ask, got, &trace);
    if (bp_failed(r)) {
        printf("# %s at line %u, %s\n", bp_error_name(bp_error_of(r)), (unsigned)(r.word >> 16), trace.what);
        return false;
    }
    return !bp_failed(bp_evidence_read(bp_span_of(got->body, got->body_n), &ev)) && is_bound(values_of(&got->after.pcrs));
}

BP_CASE(the_first_one_is_whole_and_replays)
{
    struct bp_collected got;
    fresh();
    BP_NEED(collect(&got));
    BP_CHECK(ev.has_boot && ev.has_ima && ev.has_pcrs && ev.pcrs == 13 && ev.ima_from == 0 && ev.keys == 0);
    BP_CHECK(ev.about.seq == 1 && ev.about.features == 1 && !ev.about.has_held);
    /* The IMA list leads to the quoted PCR 10. */
    struct bp_ima_match m;
    const struct bp_ima_point zero = bp_ima_point_zero();
    BP_CHECK(!bp_failed(bp_ima_replay(crypto, BP_HASH_SHA256, &zero, ev.ima, ev.pcr[10], &m)) && m.entries == 2);
    BP_CHECK(got.after.ima_count == 2 && got.after.has_boot && got.after.has_pcrs);
    bp_free(got.body);
}

BP_CASE(a_heartbeat_is_small)
{
    struct bp_collected got;
    fresh();
    BP_NEED(collect(&got));
    bp_free(got.body);
    bp_held_update(&held, &got.after, bp_span_of(got.after.boot, 32), got.after.ima_count);
    BP_NEED(collect(&got));
    BP_CHECK(!ev.has_boot && !ev.has_ima && !ev.has_pcrs && ev.about.has_held && ev.about.held_ima == 2);
    BP_CHECK(got.body_n <= 700);
    printf("# heartbeat %zu bytes\n", got.body_n);
    bp_free(got.body);
}

BP_CASE(keys_are_certified_for_the_nonce)
{
    struct bp_collected got;
    const struct bp_collect_key k = {bp_span_of(key.v, key.n), BP_SPAN_OF(auth)};
    uint8_t want[32];
    struct bp_tpm_attest a;
    fresh();
    ask.keys = &k;
    ask.key_count = 1;
    BP_NEED(collect(&got));
    BP_CHECK(ev.keys == 1 && !bp_failed(bp_binding_key(crypto, ask.nonce, c.device_id, want)));
    BP_CHECK(!bp_failed(bp_tpm_attest_read(ev.key[0].attest, &a)) && bp_span_equal(a.extra_data, BP_SPAN_OF(want)));
    bp_free(got.body);
}

BP_CASE(a_moved_pcr_travels_alone)
{
    struct bp_collected got;
    fresh();
    BP_NEED(collect(&got));
    bp_free(got.body);
    bp_held_update(&held, &got.after, bp_span_of(got.after.boot, 32), got.after.ima_count);
    BP_NEED(sh("TPM2TOOLS_TCTI='%s' tpm2_pcrextend 14:sha256="
               "1111111111111111111111111111111111111111111111111111111111111111",
               tcti));
    BP_NEED(collect(&got));
    BP_CHECK(!ev.has_boot && !ev.has_ima && ev.has_pcrs && ev.pcrs == 13);
    bp_free(got.body);
}

BP_CASE(a_longer_list_travels_as_delta)
{
    struct bp_collected got;
    fresh();
    BP_NEED(collect(&got));
    bp_free(got.body);
    bp_held_update(&held, &got.after, bp_span_of(got.after.boot, 32), got.after.ima_count);
    BP_NEED(sh("mkdir %s/more && " BP_TEST_LIB "/make-logs %s/more --program /bin/true --program /bin/false && "
               "cp %s/more/ima.log %s/ima.log && TPM2TOOLS_TCTI='%s' tpm2_pcrextend $(tail -n 1 %s/more/extends)",
               dir, dir, dir, dir, tcti, dir));
    BP_NEED(collect(&got));
    BP_CHECK(ev.has_ima && ev.ima_from == 2 && got.after.ima_count == 3 && ev.has_pcrs && !ev.has_boot);
    bp_free(got.body);
    /* The server took only a part: the next one begins there. */
    bp_held_update(&held, &got.after, bp_span_of(got.after.boot, 32), 1);
    BP_NEED(collect(&got));
    BP_CHECK(ev.has_ima && ev.ima_from == 1 && got.after.ima_count == 3);
    bp_free(got.body);
}

BP_CASE(what_the_server_lost_is_sent_again)
{
    struct bp_collected got;
    fresh();
    BP_NEED(collect(&got));
    bp_free(got.body);
    bp_held_update(&held, &got.after, BP_SPAN_EMPTY, 0);
    BP_CHECK(!held.has_boot && held.ima_count == 0);
    BP_NEED(collect(&got));
    BP_CHECK(ev.has_boot && ev.has_ima && ev.ima_from == 0);
    bp_free(got.body);
    /* It speaks of a longer list than there is: of another boot. */
    bp_held_update(&held, &got.after, bp_span_of(got.after.boot, 32), 900);
    BP_CHECK(held.ima_count == 0);
}

BP_CASE(missing_and_broken_logs_are_named)
{
    struct bp_collected got;
    char path[96];
    fresh();
    (void)snprintf(path, sizeof path, "%s/none", dir);
    c.boot_log = path;
    BP_CHECK(bp_is(bp_collect(&c, &held, &ask, &got, NULL), BP_E_NOT_FOUND) && got.body == NULL);
    fresh();
    c.ima_log = boot_log;
    BP_CHECK(bp_failed(bp_collect(&c, &held, &ask, &got, NULL)) && got.body == NULL);
    fresh();
    c.ima_log = "";
    BP_NEED(collect(&got));
    BP_CHECK(!ev.has_ima && ev.has_boot);
    bp_free(got.body);
}

BP_CASE(every_failed_allocation_is_clean)
{
    struct bp_collected got;
    fresh();
    const size_t live = bp_alloc_live();
    size_t failed = 0;
    for (size_t nth = 1; nth < 100; nth++) {
        bp_alloc_fail_once(nth);
        const bp_result r = bp_collect(&c, &held, &ask, &got, NULL);
        bp_alloc_fail_once(0);
        if (!bp_failed(r)) {
            bp_free(got.body);
            break;
        }
        BP_CHECK(bp_is(r, BP_E_NO_MEMORY) && got.body == NULL && bp_alloc_live() == live);
        failed++;
    }
    BP_CHECK(failed > 5 && failed < 90);
}

static void all(void)
{
    if (!begin()) {
        bp_case_begin();
        BP_CHECK(false);
        bp_case_end("software_tpm_starts");
        return;
    }
    BP_RUN(the_first_one_is_whole_and_replays)
    BP_RUN(a_heartbeat_is_small)
    BP_RUN(keys_are_certified_for_the_nonce)
    BP_RUN(a_moved_pcr_travels_alone)
    BP_RUN(a_longer_list_travels_as_delta)
    BP_RUN(what_the_server_lost_is_sent_again)
    BP_RUN(missing_and_broken_logs_are_named)
    BP_RUN(every_failed_allocation_is_clean)
}

BP_SUITE(collect, (void)setenv("TSS2_LOG", "all+NONE", 1); all(); end();)
