/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/test_record - what is signed is checked and written down first: by the order of calls, by files
 * that are cut and changed, and by a signer whose key looks at the record while it signs. */
#include "fleet/signer/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/x509.h"
#include "fleet/signer/ca.h"
#include "harness.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"
#include "unit/fleet/signer/chip.h"
#include "unit/fleet/signer/plant.h"

#define BP_MODULE TEST

static struct plant plant;
static struct bp_entropy entropy;
static struct bp_ca_signer *ca;
static struct chip_key device;

static const char *path(void)
{
    return plant_at(&plant, BP_ISSUED_FILE);
}

static off_t size_of(void)
{
    struct stat st;
    return stat(path(), &st) == 0 ? st.st_size : -1;
}

/* --- a template that went wrong --- */

struct counting {
    struct bp_key *key;
    unsigned signed_n, kept_n;
    bool kept_first;
    bp_result keep_fails;
};

static bp_result count_sign(void *self, bp_span message, uint8_t *ret, size_t cap, size_t *ret_len)
{
    struct counting *k = self;
    const struct bp_signer s = bp_key_signer(k->key);
    k->kept_first = k->kept_n > k->signed_n;
    k->signed_n++;
    return s.sign(s.self, message, ret, cap, ret_len);
}

static bp_result count_keep(void *self, bp_span serial, bp_span tbs, const struct bp_issuer *issuer,
                            enum bp_cert_profile profile)
{
    struct counting *k = self;
    (void)issuer;
    BP_CHECK(serial.n == BP_SERIAL_SIZE && tbs.n > 100 && profile == BP_CERT_DEVICE);
    k->kept_n++;
    return k->keep_fails;
}

static bp_result issue_with(struct counting *k, bp_span name, int64_t life_ms)
{
    uint8_t der[BP_CERT_MAX];
    size_t n = 0;
    const struct bp_signer signer = {k, BP_SIG_ES256, count_sign};
    const struct bp_issuer issuer = {signer, name, {7}};
    const struct bp_cert_record record = {k, count_keep};
    const struct bp_cert_request q = {.profile = BP_CERT_DEVICE,
                                      .spki = bp_span_of(device.key.spki, device.key.spki_n),
                                      .common_name = BP_SPAN_STR("a-1"),
                                      .not_before_ms = PLANT_NOW,
                                      .not_after_ms = life_ms == INT64_MAX ? INT64_MAX : PLANT_NOW + life_ms};
    return bp_cert_issue_recorded(plant.crypto, &entropy, &issuer, &q, &record, der, sizeof der, &n);
}

BP_CASE(what_is_not_of_the_profile_is_not_signed)
{
    struct counting k = {.key = NULL};
    struct bp_x509 x;
    BP_NEED(!bp_failed(bp_key_make(BP_KEY_P256, &k.key)));
    BP_NEED(!bp_failed(bp_x509_read(plant.site->cert[BP_SITE_CERT_ISSUING], &x)));
    BP_CHECK(!bp_failed(issue_with(&k, x.subject, 1000)) && !bp_failed(issue_with(&k, x.subject, INT64_MAX)));
    BP_CHECK(k.signed_n == 2 && k.kept_n == 2 && k.kept_first);
    /* An issuer whose name is no Name makes a certificate that no reader takes. */
    const bp_span broken[] = {BP_SPAN_STR("junk"), bp_span_sub(x.subject, 0, x.subject.n - 1), BP_SPAN_STR("\x30\x80\x00\x00"),
                              BP_SPAN_STR("\x31\x00")};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        BP_CHECK(bp_is(issue_with(&k, broken[i], 1000), BP_E_INTERNAL));
    }
    BP_CHECK(k.signed_n == 2 && k.kept_n == 2);
    k.keep_fails = BP_FAIL(FULL);
    BP_CHECK(bp_is(issue_with(&k, x.subject, 1000), BP_E_FULL) && k.kept_n == 3 && k.signed_n == 2);
    bp_key_free(k.key);
}

/* --- the signer --- */

struct looking {
    struct bp_key *key;
    off_t before; /* size of the record when it was asked to issue */
    unsigned signed_n, recorded_n;
    bool is_dead; /* the process ends between record and signature */
};

static bp_result look_and_sign(void *self, bp_span digest, uint8_t *ret)
{
    struct looking *k = self;
    k->signed_n++;
    k->recorded_n += size_of() == k->before + (off_t)BP_ISSUED_SIZE ? 1 : 0;
    return k->is_dead ? BP_FAIL(CLOSED) : bp_key_sign_digest(k->key, digest, ret);
}

static void let_be(void *self)
{
    (void)self;
}

static bp_result ask(struct bp_signer_answer *ret, bp_span *ret_der)
{
    static uint8_t body[4096];
    uint8_t csr[1024];
    size_t n = 0;
    const size_t csr_n = chip_csr(device.key.pkey, csr, sizeof csr);
    const struct bp_msg_brownfield m = {bp_span_of(csr, csr_n), BP_SPAN_STR("b-1")};
    BP_TRY(bp_msg_brownfield_write(&m, body, sizeof body, &n));
    bp_ca_signer_answer(ca, BP_SPAN_STR("issue-brownfield"), bp_span_of(body, n), ret);
    return ret->status == BP_P_NONE ? bp_msg_bytes_read(ret->body, ret_der) : BP_OK;
}

struct finding {
    uint8_t tbs[BP_SHA256_SIZE], serial[BP_SERIAL_SIZE];
    unsigned found;
};

static bp_result find(void *self, const struct bp_issued *e)
{
    struct finding *f = self;
    f->found += memcmp(e->serial, f->serial, sizeof f->serial) == 0 && memcmp(e->tbs, f->tbs, sizeof f->tbs) == 0 &&
                        e->profile == BP_CERT_BROWNFIELD && e->alg == BP_SIG_ES256 && e->time_ms == plant.sim.wall_ms
                    ? 1 : 0;
    return BP_OK;
}

static uint64_t count(struct finding *f, bp_result *ret_r)
{
    int64_t since = 0;
    uint64_t n = 0;
    *ret_r = bp_record_read(path(), plant.crypto, find, f, &since, &n);
    return n;
}

BP_CASE(recorded_before_it_is_signed)
{
    struct looking k = {.key = NULL};
    struct bp_signer_answer a;
    struct bp_x509 x;
    struct finding f = {.found = 0};
    bp_span der = BP_SPAN_EMPTY;
    bp_result r;
    BP_NEED(!bp_failed(bp_ca_signer_new(plant.site, plant.crypto, &entropy, &plant.clock, &ca)));
    k.key = ca->brownfield;
    const struct bp_key_seat seat = {&k, look_and_sign, let_be};
    BP_NEED(!bp_failed(bp_key_elsewhere(bp_key_spki(k.key), &seat, &ca->brownfield)));
    k.before = size_of();
    BP_NEED(!bp_failed(ask(&a, &der)) && a.status == BP_P_NONE);
    BP_CHECK(k.signed_n == 1 && k.recorded_n == 1);
    BP_CHECK(bp_ca_signer_is_owed(ca) && !bp_failed(bp_ca_signer_sync(ca)) && !bp_ca_signer_is_owed(ca));
    BP_NEED(!bp_failed(bp_x509_read(der, &x)) && x.serial.n == sizeof f.serial);
    memcpy(f.serial, x.serial.p, sizeof f.serial);
    BP_NEED(!bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, x.tbs, f.tbs)));
    BP_CHECK(count(&f, &r) == 1 && !bp_failed(r) && f.found == 1);
    /* Ended in between: recorded, maybe issued. */
    k.before = size_of();
    k.is_dead = true;
    BP_CHECK(!bp_failed(ask(&a, &der)) && a.status == BP_P_UNAVAILABLE);
    BP_CHECK(count(&f, &r) == 2 && !bp_failed(r) && k.recorded_n == 2);
    k.is_dead = false;
    bp_key_free(ca->brownfield);
    ca->brownfield = k.key;
}

BP_CASE(one_process_writes_it)
{
    struct bp_record *other = NULL;
    BP_CHECK(bp_is(bp_record_open(path(), plant.crypto, PLANT_NOW, &other), BP_E_BUSY) && other == NULL);
    bp_ca_signer_free(ca);
    ca = NULL;
    BP_CHECK(!bp_failed(bp_record_open(path(), plant.crypto, PLANT_NOW, &other)));
    bp_record_free(other);
}

/* --- the file --- */

static struct bp_issued entry(uint8_t n)
{
    struct bp_issued e = {.profile = BP_CERT_DEVICE, .alg = BP_SIG_ES384, .time_ms = PLANT_NOW + n};
    memset(e.serial, n, sizeof e.serial);
    memset(e.tbs, n + 1, sizeof e.tbs);
    return e;
}

static bool add(uint8_t first, uint8_t n)
{
    struct bp_record *r = NULL;
    bool ok = !bp_failed(bp_record_open(path(), plant.crypto, PLANT_NOW, &r));
    for (uint8_t i = first; ok && i < first + n; i++) {
        const struct bp_issued e = entry(i);
        ok = !bp_failed(bp_record_add(r, &e));
    }
    ok = ok && !bp_failed(bp_record_sync(r));
    bp_record_free(r);
    return ok;
}

static bool change(off_t at, uint8_t with)
{
    const int fd = open(path(), O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    const bool ok = fd >= 0 && pread(fd, &byte, 1, at) == 1;
    byte ^= with;
    const bool done = ok && pwrite(fd, &byte, 1, at) == 1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

BP_CASE(cut_at_every_byte)
{
    bp_result r;
    struct finding f = {.found = 0};
    BP_NEED(unlink(path()) == 0 && add(1, 3));
    const off_t whole = size_of();
    BP_NEED(count(&f, &r) == 3 && !bp_failed(r));
    for (off_t cut = whole - 1; cut > whole - (off_t)BP_ISSUED_SIZE; cut -= 7) {
        BP_NEED(truncate(path(), cut) == 0);
        BP_CHECK(count(&f, &r) == 2 && !bp_failed(r)); /* a reader beside the signer */
        BP_CHECK(add(9, 1) && size_of() == whole && count(&f, &r) == 3 && !bp_failed(r));
    }
    BP_NEED(truncate(path(), 10) == 0);
    BP_CHECK(bp_is((count(&f, &r), r), BP_E_MALFORMED));
    BP_CHECK(add(1, 1) && count(&f, &r) == 1 && !bp_failed(r));
}

BP_CASE(any_changed_byte_is_seen)
{
    bp_result r;
    struct finding f = {.found = 0};
    unsigned unseen = 0, started = 0;
    BP_NEED(unlink(path()) == 0 && add(1, 3));
    const off_t whole = size_of();
    for (off_t at = 0; at < whole; at++) {
        if (at >= 16 && at < 24) {
            continue; /* when it was begun is not sealed: it only says which certificates may be missing */
        }
        BP_NEED(change(at, 0x20));
        (void)count(&f, &r);
        unseen += bp_is(r, BP_E_MALFORMED) ? 0 : 1;
        struct bp_record *open_too = NULL;
        if (at >= whole - (off_t)BP_ISSUED_SIZE && !bp_failed(bp_record_open(path(), plant.crypto, PLANT_NOW, &open_too))) {
            started++;
            bp_record_free(open_too);
        }
        BP_NEED(change(at, 0x20));
    }
    BP_CHECK(unseen == 0 && started == 0);
    BP_CHECK(count(&f, &r) == 3 && !bp_failed(r));
}

BP_CASE(not_a_record)
{
    struct bp_record *r = NULL;
    const struct bp_issued e = {.alg = BP_SIG_RS256};
    BP_NEED(unlink(path()) == 0 && symlink("/dev/null", path()) == 0);
    BP_CHECK(bp_is(bp_record_open(path(), plant.crypto, PLANT_NOW, &r), BP_E_DENIED));
    BP_NEED(unlink(path()) == 0);
    BP_NEED(!bp_failed(bp_record_open(path(), plant.crypto, PLANT_NOW, &r)));
    BP_CHECK(bp_is(bp_record_add(r, &e), BP_E_UNSUPPORTED) && size_of() == 24 && !bp_record_is_owed(r));
    bp_record_free(r);
}

BP_CASE(ready)
{
    BP_NEED(plant_make(&plant));
    entropy = bp_entropy_linux();
    BP_CHECK(chip_key_make(&device, CHIP_DEVICE_ATTRIBUTES));
}

static void clean(void)
{
    chip_key_done(&device);
    bp_ca_signer_free(ca);
    plant_done(&plant);
}

/* clang-format off */
BP_SUITE(record,
    BP_RUN(ready)
    BP_RUN(what_is_not_of_the_profile_is_not_signed)
    BP_RUN(recorded_before_it_is_signed)
    BP_RUN(one_process_writes_it)
    BP_RUN(cut_at_every_byte)
    BP_RUN(any_changed_byte_is_seen)
    BP_RUN(not_a_record)
    clean();)
