/* SPDX-License-Identifier: Apache-2.0 */
/* tests/interop/make_bundle - writes bundles of software keys into a folder: three that are true, and mutated ones.
 * Usage: make-bundle DIR COUNT SEED
 * DIR/anchor, DIR/good-N.bundle, DIR/bad-NNN.bundle (a flipped bit, a member of another good one, a lie about the
 * signer), DIR/tile/0/000.p/11 of good-0. */
#include "maker.h"
#include "platform/linux/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define GOOD 3u

static struct bp_crypto *crypto;
static struct rig rig, rig2;
static struct maker server, stranger;
static const char *const programs[] = {"/bin/agent", "1", "/bin/shell", "1", NULL};
static uint8_t room[GOOD][MAKER_ROOM], work[MAKER_ROOM];
static bp_span good[GOOD];
static uint64_t state;

/* Numbers that a seed repeats (xorshift64*). */
static uint64_t number(uint64_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717) % below;
}

static bool save(const char *dir, const char *name, bp_span s)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return s.n != 0 && !bp_failed(bp_file_write(path, BP_FILE_PUBLIC, s));
}

static bool start(struct rig *r)
{
    if (!rig_make(r, crypto)) {
        return false;
    }
    (void)rig_release(r, "gateway 1", "*", &rig_os_1, programs);
    if (!maker_releases(&server, r) || !rig_publish(r)) {
        return false;
    }
    rig_boot(r, &rig_os_1);
    rig_run(r, "/bin/agent", "1");
    return true;
}

static bool answer(struct rig *r, int64_t ms)
{
    rig_nonce(r);
    rig_wait(r, ms);
    return rig_answer(r, NULL);
}

static bool make_good(const char *dir)
{
    if (!start(&rig2) || !answer(&rig2, 100)) {
        return false;
    }
    good[2] = maker_bundle(&server, &rig2, &(struct maker_lie){.number = 3}, true, room[2], MAKER_ROOM);
    if (!start(&rig)) {
        return false;
    }
    rig.first_contact = true;
    if (!answer(&rig, 100)) {
        return false;
    }
    good[0] = maker_bundle(&server, &rig, NULL, true, room[0], MAKER_ROOM);
    const bool has_tile = save(dir, "tile/0/000.p/11", maker_tile());
    rig.first_contact = false;
    rig_run(&rig, "/bin/shell", "1");
    if (!answer(&rig, 5000)) {
        return false;
    }
    good[1] = maker_bundle(&server, &rig, &(struct maker_lie){.with_logs = true, .number = 7}, false, room[1],
                           MAKER_ROOM);
    bool ok = has_tile;
    for (unsigned i = 0; ok && i < GOOD; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "good-%u.bundle", i);
        ok = save(dir, name, good[i]);
    }
    return ok;
}

static bp_span flipped(void)
{
    const bp_span s = good[number(GOOD)];
    memcpy(work, s.p, s.n);
    work[number(s.n)] ^= (uint8_t)(1u << number(8));
    return bp_span_of(work, s.n);
}

static bp_span swapped(void)
{
    static struct bp_bundle b, o;
    const uint64_t to = number(GOOD), from = (to + 1 + number(GOOD - 1)) % GOOD;
    size_t n = 0;
    if (bp_failed(bp_bundle_read(good[to], &b)) || bp_failed(bp_bundle_read(good[from], &o))) {
        return BP_SPAN_EMPTY;
    }
    switch (number(6)) {
    case 0:
        b.head = o.head;
        break;
    case 1:
        b.event = o.event;
        break;
    case 2:
        b.ear = o.ear;
        break;
    case 3:
        b.evidence = o.evidence;
        break;
    case 4:
        b.nonce = o.nonce;
        b.seq = o.seq;
        b.issued_ms = o.issued_ms;
        break;
    default:
        b.index = o.index;
        b.hashes = o.hashes;
        memcpy(b.hash, o.hash, sizeof b.hash);
        break;
    }
    return bp_failed(bp_bundle_write(&b, work, sizeof work, &n)) ? BP_SPAN_EMPTY : bp_span_of(work, n);
}

static bp_span lied(void)
{
    static const struct maker_lie lie[] = {
        {.result_of = &stranger, .has_tier = true, .tier = BP_TIER_CONTRAINDICATED},
        {.result_of = &stranger},
        {.result_key = MAKER_LOG},
        {.result_key = MAKER_DEVICE},
        {.head_key = MAKER_RESULT},
        {.bind_key = MAKER_RESULT},
        {.other_parent = true},
        {.with_logs = true, .other_log = true},
    };
    return maker_bundle(&server, &rig, &lie[number(sizeof lie / sizeof lie[0])], false, work, sizeof work);
}

/* Two devices may have the same member (their first number and its nonce); then nothing was changed. */
static bool is_changed(bp_span s)
{
    for (unsigned i = 0; i < GOOD; i++) {
        if (bp_span_equal(s, good[i])) {
            return false;
        }
    }
    return true;
}

static bool make_bad(const char *dir, uint64_t count)
{
    for (uint64_t i = 0; i < count;) {
        char name[32];
        const uint64_t kind = number(10);
        const bp_span s = kind < 7 ? flipped() : kind < 9 ? swapped() : lied();
        (void)snprintf(name, sizeof name, "bad-%03u.bundle", (unsigned)i);
        if (is_changed(s)) {
            if (!save(dir, name, s)) {
                return false;
            }
            i++;
        }
    }
    return true;
}

static bool save_anchor(const char *dir)
{
    char text[80] = "sha256:";
    for (size_t i = 0; i < sizeof server.anchor; i++) {
        (void)snprintf(text + 7 + 2 * i, 3, "%02x", server.anchor[i]);
    }
    return save(dir, "anchor", bp_span_cstr(text));
}

static bool make_folders(const char *dir)
{
    static const char *const sub[] = {"", "tile", "tile/0", "tile/0/000.p"};
    for (size_t i = 0; i < sizeof sub / sizeof sub[0]; i++) {
        char path[512];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", dir, sub[i]);
        if (mkdir(path, 0755) != 0 && stat(path, &st) != 0) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make-bundle DIR COUNT SEED\n");
        return 2;
    }
    state = strtoull(argv[3], NULL, 10) * 2 + 1;
    const bool ok = make_folders(argv[1]) && !bp_failed(bp_crypto_openssl_new(32, &crypto)) && rig_make(&rig, crypto) &&
                    maker_make(&server, crypto, rig.now_ms) && maker_make(&stranger, crypto, rig.now_ms) &&
                    save_anchor(argv[1]) && make_good(argv[1]) && make_bad(argv[1], strtoull(argv[2], NULL, 10));
    if (!ok) {
        fprintf(stderr, "make-bundle: a bundle could not be made\n");
    }
    return ok ? 0 : 1;
}
