/* SPDX-License-Identifier: Apache-2.0 */
/* tests/bench/bench_appraise - how many pieces of evidence one core appraises: a steady heartbeat (the quote alone), and
 * a whole one (boot log, IMA list of 780 entries, quote). Prints "NAME RATE" lines, one a run; the script beside it
 * puts them beside OpenSSL's own rate. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "platform/openssl/crypto.h"
#include "unit/appraise/rig.h"

#define IMA_ENTRIES 780u
#define RUN_MS      400

static struct rig rig;

/* Processor time, as openssl speed counts: what else runs on the machine does not matter. */
static int64_t spent_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_good(bp_result r)
{
    return !bp_failed(r) && rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING;
}

/* The same evidence again and again, nothing kept: what one appraisal costs. */
static bool rate(const char *name)
{
    const int64_t begin = spent_ms();
    uint64_t count = 0;
    int64_t spent = 0;
    do {
        for (unsigned i = 0; i < 32; i++) {
            if (!is_good(rig_appraise(&rig, NULL, false))) {
                return false;
            }
        }
        count += 32;
        spent = spent_ms() - begin;
    } while (spent < RUN_MS);
    printf("%s %.1f\n", name, (double)count * 1000.0 / (double)spent);
    return true;
}

static bool prepare(struct bp_crypto *c)
{
    static char path[IMA_ENTRIES][24];
    static const char *list[2 * IMA_ENTRIES + 1];
    if (!rig_make(&rig, c)) {
        return false;
    }
    for (unsigned i = 0; i < IMA_ENTRIES; i++) {
        (void)snprintf(path[i], sizeof path[i], "/usr/bin/program-%u", i);
        list[2 * (size_t)i] = path[i];
        list[2 * (size_t)i + 1] = "1";
    }
    (void)rig_release(&rig, "gateway 1", "*", &rig_os_1, list);
    if (!rig_publish(&rig)) {
        return false;
    }
    rig_boot(&rig, &rig_os_1);
    for (unsigned i = 0; i + 1 < IMA_ENTRIES; i++) { /* boot_aggregate is the first */
        rig_run(&rig, path[i], "1");
    }
    return true;
}

int main(int argc, char **argv)
{
    struct bp_crypto *c = NULL;
    const long runs = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    if (bp_failed(bp_crypto_openssl_new(16, &c)) || !prepare(c)) {
        fprintf(stderr, "bench_appraise: the device could not be made\n");
        return 1;
    }
    rig_wait(&rig, 1000);
    rig_nonce(&rig);
    bool good = rig_answer(&rig, NULL);
    for (long i = 0; i < runs && good; i++) {
        good = rate("full");
    }
    good = good && is_good(rig_appraise(&rig, NULL, true)) && rig_round(&rig, 60000, NULL);
    rig_wait(&rig, 60000);
    rig_nonce(&rig);
    good = good && rig_answer(&rig, NULL);
    printf("bytes %zu\n", rig.evidence_n);
    for (long i = 0; i < runs && good; i++) {
        good = rate("quote");
    }
    if (!good) {
        fprintf(stderr, "bench_appraise: the evidence is not affirmed: %.*s\n", (int)rig.out.reason.n,
                (const char *)rig.out.reason.p);
    }
    rig_done(&rig);
    bp_crypto_openssl_free(c);
    return good ? 0 : 1;
}
