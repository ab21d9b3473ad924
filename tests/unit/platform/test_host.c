/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/platform/test_host - files, keys in files, clocks and chance. */
#include "base/buf.h"
#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"
#include "platform/openssl/key.h"
#include "platform/sim/sim.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/bp-host-XXXXXX";
static char path[64];

static const char *in_folder(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

BP_CASE(file_comes_back)
{
    BP_NEED(mkdtemp(folder) != NULL);
    const char *p = in_folder("a");
    uint8_t *got = NULL;
    size_t n = 0;
    struct stat st;
    BP_CHECK(bp_is(bp_file_read(p, BP_FILE_PUBLIC, 10, &got, &n), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_file_write(p, BP_FILE_SECRET, BP_SPAN_STR("one"))));
    BP_CHECK(stat(p, &st) == 0 && (st.st_mode & 0777) == 0600);
    BP_CHECK(!bp_failed(bp_file_read(p, BP_FILE_SECRET, 3, &got, &n)));
    BP_CHECK(n == 3 && memcmp(got, "one", 4) == 0);
    bp_free(got);
    BP_CHECK(bp_is(bp_file_read(p, BP_FILE_SECRET, 2, &got, &n), BP_E_LIMIT));
    BP_CHECK(!bp_failed(bp_file_write(p, BP_FILE_PUBLIC, BP_SPAN_STR("two!"))));
    BP_CHECK(stat(p, &st) == 0 && (st.st_mode & 0777) == 0644 && st.st_size == 4);
}

BP_CASE(file_grows_at_its_end)
{
    const char *p = in_folder("book");
    uint8_t *got = NULL;
    size_t n = 0;
    struct stat st;
    BP_CHECK(bp_is(bp_file_append(p, BP_FILE_SECRET, 1, BP_SPAN_STR("x")), BP_E_BAD_ARGUMENT));
    BP_CHECK(!bp_failed(bp_file_append(p, BP_FILE_SECRET, 0, BP_SPAN_STR("one"))));
    BP_CHECK(stat(p, &st) == 0 && (st.st_mode & 0777) == 0600);
    BP_CHECK(!bp_failed(bp_file_append(p, BP_FILE_SECRET, 3, BP_SPAN_STR("two"))));
    BP_CHECK(!bp_failed(bp_file_append(p, BP_FILE_SECRET, 4, BP_SPAN_STR("!")))); /* what is behind is cut off */
    BP_CHECK(!bp_failed(bp_file_read(p, BP_FILE_SECRET, 99, &got, &n)) && n == 5 && memcmp(got, "onet!", 5) == 0);
    bp_free(got);
    BP_CHECK(bp_is(bp_file_append(in_folder("no/such"), BP_FILE_SECRET, 0, BP_SPAN_EMPTY), BP_E_NOT_FOUND));
    BP_CHECK(symlink("book", in_folder("link")) == 0);
    BP_CHECK(bp_is(bp_file_append(path, BP_FILE_SECRET, 0, BP_SPAN_STR("x")), BP_E_DENIED));
    BP_CHECK(unlink(path) == 0 && unlink(in_folder("book")) == 0);
}

BP_CASE(file_refusals)
{
    uint8_t *got = NULL;
    size_t n = 0;
    BP_CHECK(bp_is(bp_file_read(in_folder("a"), BP_FILE_SECRET, 10, &got, &n), BP_E_DENIED)); /* 0644 */
    BP_CHECK(bp_is(bp_file_read(folder, BP_FILE_PUBLIC, 1 << 20, &got, &n), BP_E_DENIED));
    char link[64];
    (void)snprintf(link, sizeof link, "%s/link", folder);
    BP_NEED(symlink(in_folder("a"), link) == 0);
    BP_CHECK(bp_is(bp_file_read(link, BP_FILE_PUBLIC, 10, &got, &n), BP_E_DENIED));
    BP_NEED(mkfifo(in_folder("pipe"), 0600) == 0);
    BP_CHECK(bp_is(bp_file_read(in_folder("pipe"), BP_FILE_PUBLIC, 10, &got, &n), BP_E_DENIED));
    BP_CHECK(bp_is(bp_file_write(in_folder("no/such"), BP_FILE_PUBLIC, BP_SPAN_EMPTY), BP_E_NOT_FOUND));
    BP_CHECK(got == NULL);
}

BP_CASE(file_failing_leaves_the_old_one)
{
    if (geteuid() == 0) {
        BP_NEED(mkdir(in_folder("dir"), 0700) == 0);
        /* A folder stands where the file should go: rename fails after everything was written. */
        BP_CHECK(bp_failed(bp_file_write(in_folder("dir"), BP_FILE_PUBLIC, BP_SPAN_STR("x"))));
        BP_CHECK(rmdir(in_folder("dir")) == 0);
    }
    uint8_t *got = NULL;
    size_t n = 0;
    bp_alloc_fail_once(1);
    BP_CHECK(bp_is(bp_file_read(in_folder("a"), BP_FILE_PUBLIC, 10, &got, &n), BP_E_NO_MEMORY));
    bp_alloc_fail_once(0);
    BP_CHECK(got == NULL);
}

static void key_roundtrip(enum bp_key_type type, enum bp_sig_alg alg, bp_span pass)
{
    struct bp_key *key = NULL;
    struct bp_key *again = NULL;
    struct bp_crypto *c = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(2, &c)));
    BP_NEED(!bp_failed(bp_key_make(type, &key)));
    BP_CHECK(!bp_failed(bp_key_save(key, in_folder("key.pem"), pass)));
    BP_NEED(!bp_failed(bp_key_load(in_folder("key.pem"), pass, &again)));
    BP_CHECK(bp_span_equal(bp_key_spki(key), bp_key_spki(again)) && bp_key_spki(key).n > 90);
    const struct bp_signer signer = bp_key_signer(again);
    uint8_t sig[BP_SIG_MAX];
    size_t n = 0;
    const struct bp_pubkey pub = bp_key_public(key);
    BP_CHECK(signer.alg == alg);
    for (int i = 0; i < 300; i++) { /* enough that short r and s occur */
        BP_CHECK(!bp_failed(signer.sign(signer.self, bp_span_of(&i, sizeof i), sig, sizeof sig, &n)));
        BP_CHECK(!bp_failed(bp_verify(c, &pub, alg, bp_span_of(&i, sizeof i), bp_span_of(sig, n))));
    }
    BP_CHECK(bp_is(signer.sign(signer.self, pass, sig, n - 1, &n), BP_E_NO_SPACE));
    BP_CHECK(bp_is(bp_key_sign_digest(key, BP_SPAN_STR("short"), sig), BP_E_BAD_ARGUMENT));
    bp_key_free(key);
    bp_key_free(again);
    bp_crypto_openssl_free(c);
}

BP_CASE(key_p256_in_a_file)
{
    key_roundtrip(BP_KEY_P256, BP_SIG_ES256, BP_SPAN_EMPTY);
}

BP_CASE(key_p384_under_a_passphrase)
{
    key_roundtrip(BP_KEY_P384, BP_SIG_ES384, BP_SPAN_STR("correct horse"));
    struct bp_key *key = NULL;
    BP_CHECK(bp_is(bp_key_load(in_folder("key.pem"), BP_SPAN_STR("wrong"), &key), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_key_load(in_folder("key.pem"), BP_SPAN_EMPTY, &key), BP_E_MALFORMED));
    BP_CHECK(chmod(in_folder("key.pem"), 0640) == 0);
    BP_CHECK(bp_is(bp_key_load(in_folder("key.pem"), BP_SPAN_STR("correct horse"), &key), BP_E_DENIED));
    BP_CHECK(key == NULL);
}

BP_CASE(key_of_another_type)
{
    struct bp_key *key = NULL;
    BP_CHECK(bp_is(bp_key_make(BP_KEY_RSA, &key), BP_E_UNSUPPORTED));
    /* secp256k1 has P-256's sizes. Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1`. */
    char command[160];
    (void)snprintf(command, sizeof command,
                   "umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out %s/k1.pem",
                   folder);
    BP_NEED(system(command) == 0);
    BP_CHECK(bp_is(bp_key_load(in_folder("k1.pem"), BP_SPAN_EMPTY, &key), BP_E_UNSUPPORTED));
    BP_CHECK(key == NULL);
}

BP_CASE(key_allocations_fail_once)
{
    const size_t live = bp_alloc_live();
    struct bp_key *key = NULL;
    bp_alloc_fail_once(1);
    BP_CHECK(bp_is(bp_key_make(BP_KEY_P256, &key), BP_E_NO_MEMORY));
    BP_CHECK(chmod(in_folder("key.pem"), 0600) == 0);
    for (size_t nth = 1; nth <= 2; nth++) {
        bp_alloc_fail_once(nth);
        BP_CHECK(bp_is(bp_key_load(in_folder("key.pem"), BP_SPAN_STR("correct horse"), &key), BP_E_NO_MEMORY));
    }
    bp_alloc_fail_once(0);
    BP_CHECK(key == NULL && bp_alloc_live() == live);
}

BP_CASE(allocator)
{
    BP_CHECK(bp_alloc(BP_ALLOC_MAX + 1) == NULL);
    BP_CHECK(bp_alloc_array(SIZE_MAX / 2, 4) == NULL);
    char *s = bp_strdup("abc");
    BP_CHECK(s != NULL && strcmp(s, "abc") == 0);
    bp_alloc_fail_from(2);
    char *t = (char *)bp_realloc(s, 10);
    BP_CHECK(t != NULL);
    BP_CHECK(bp_realloc(t, 20) == NULL && bp_alloc(1) == NULL && bp_alloc_has_failed());
    bp_alloc_fail_from(0);
    bp_free(t);
    bp_free(NULL);
}

BP_CASE(clocks_and_chance)
{
    const struct bp_clock real = bp_clock_linux();
    BP_CHECK(bp_wall_ms(&real) > 1600000000000);
    const int64_t before = bp_mono_ms(&real);
    BP_CHECK(bp_mono_ms(&real) >= before);
    struct bp_clock_sim sim = {5, 7};
    const struct bp_clock set = bp_clock_sim(&sim);
    bp_clock_sim_step(&sim, 10);
    BP_CHECK(bp_wall_ms(&set) == 15 && bp_mono_ms(&set) == 17);
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    const struct bp_entropy kernel = bp_entropy_linux();
    BP_CHECK(!bp_failed(bp_random(&kernel, a, 32)) && !bp_failed(bp_random(&kernel, b, 32)));
    BP_CHECK(memcmp(a, b, 32) != 0);
    struct bp_entropy_sim one = {1, 0};
    struct bp_entropy_sim two = {1, 2};
    const struct bp_entropy e1 = bp_entropy_sim(&one);
    const struct bp_entropy e2 = bp_entropy_sim(&two);
    BP_CHECK(!bp_failed(bp_random(&e1, a, 32)) && !bp_failed(bp_random(&e2, b, 32)));
    BP_CHECK(memcmp(a, b, 32) == 0);
    BP_CHECK(bp_is(bp_random(&e2, b, 32), BP_E_IO) && memcmp(a, b, 32) == 0);
}

BP_CASE(cleans_up)
{
    char command[64];
    (void)snprintf(command, sizeof command, "ls %s | grep -q '\\.......$'", folder);
    BP_CHECK(system(command) != 0); /* no temporary file was left */
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    BP_CHECK(system(command) == 0);
}

BP_SUITE(host, BP_RUN(file_comes_back) BP_RUN(file_grows_at_its_end) BP_RUN(file_refusals) BP_RUN(file_failing_leaves_the_old_one)
                   BP_RUN(key_p256_in_a_file) BP_RUN(key_p384_under_a_passphrase) BP_RUN(key_of_another_type)
                       BP_RUN(key_allocations_fail_once) BP_RUN(allocator) BP_RUN(clocks_and_chance)
                           BP_RUN(cleans_up))
