/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/flip_eventlog - one boot log: parses, replays to the reference's PCRs, and every
 * flipped bit is found or harmless.
 *
 * usage: flip_eventlog NAME LOG REFERENCE STRIDE
 * The walk is resumed from a bookmark before the event that holds the bit, and ends as soon as the
 * state equals the bookmark after it: what follows is then byte for byte what was walked before.
 * STRIDE > 1 tries every STRIDE-th bit. */
#include <inttypes.h>

#include "core/bootlog.h"
#include "core/tpmalg.h"
#include "flip.h"

#define EVENTS BP_TCG_EVENTS_MAX

struct ref {
    struct bp_boot_ref row;
    uint8_t digest[BP_HASH_MAX];
};

static struct {
    struct flip_file log, map;
    enum bp_hash_alg alg;
    uint8_t pcrs[BP_TPM_PCRS * BP_HASH_MAX];
    struct ref ref[EVENTS];
    uint32_t refs;
    struct bp_bootlog mark[EVENTS + 1]; /* state before event i */
    uint32_t ref_at[EVENTS + 1];        /* reference row that stands at event i */
    bool lied[EVENTS];
    uint32_t events;
} t;

static void load_reference(const char *base)
{
    char path[4096], hex[2 * BP_HASH_MAX + 1];
    unsigned n = 0, covered = 0;
    (void)snprintf(path, sizeof path, "%s.map", base);
    t.map = flip_load(path);
    (void)snprintf(path, sizeof path, "%s.ref", base);
    FILE *f = fopen(path, "re");
    char line[512];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "alg %u", &n) == 1) {
            t.alg = bp_tpm_hash_of((uint16_t)n);
        } else if (sscanf(line, "pcr %u %128s", &n, hex) == 2 && n < BP_TPM_PCRS) {
            (void)flip_unhex(hex, t.pcrs + n * bp_hash_size(t.alg), BP_HASH_MAX);
        } else if (sscanf(line, "event %u %128s %u", &n, hex, &covered) == 3 && t.refs < EVENTS) {
            struct ref *r = &t.ref[t.refs++];
            r->row = (struct bp_boot_ref){.pcr = n, .covered = covered == 1};
            r->row.digest = bp_span_of(r->digest, flip_unhex(hex, r->digest, sizeof r->digest));
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

static bp_span quoted(void)
{
    return bp_span_of(t.pcrs, BP_TPM_PCRS * bp_hash_size(t.alg));
}

static bool same_state(const struct bp_bootlog *a, const struct bp_bootlog *b)
{
    return a->log.at == b->log.at && a->log.next_index == b->log.next_index && a->lies == b->lies &&
           a->separators == b->separators && memcmp(a->claims, b->claims, sizeof a->claims) == 0 &&
           memcmp(&a->pcrs, &b->pcrs, sizeof a->pcrs) == 0;
}

/* The unmodified log: fills the bookmarks. */
static bool walk(const char *name)
{
    struct bp_boot_event ev;
    bp_result r = bp_bootlog_open(bp_span_of(t.log.p, t.log.n), t.alg, &t.mark[0]);
    bool refs_agree = !bp_failed(r);
    while (!bp_failed(r) && t.events < EVENTS) {
        t.mark[t.events + 1] = t.mark[t.events];
        t.ref_at[t.events + 1] = t.ref_at[t.events];
        r = bp_bootlog_next(NULL, &t.mark[t.events + 1], &ev);
        if (bp_failed(r)) {
            break;
        }
        t.lied[t.events] = ev.cover == BP_BOOT_LIE;
        if (t.lied[t.events]) {
            printf(
                "# event %u %s: data is not what its digest covers, as logged by this firmware\n",
                ev.raw.index, bp_tcg_type_name(ev.raw.type));
        }
        if (ev.extended) {
            const uint32_t k = t.ref_at[t.events];
            const bool agrees = k < t.refs && !bp_failed(bp_boot_ref_check(&t.ref[k].row, &ev));
            if (!agrees) {
                printf("# event %u: the reference reader sees another digest or cover\n",
                       ev.raw.index);
            }
            refs_agree = refs_agree && agrees;
            t.ref_at[t.events + 1]++;
        }
        t.events++;
    }
    const bool parsed = bp_is(r, BP_E_NOT_FOUND) && t.events > 0;
    if (!parsed) {
        printf("not ok eventlogs.%s.parses: %s at line %u, event %u\n", name,
               bp_error_name(bp_error_of(r)), r.word >> 16, t.events);
        return false;
    }
    printf("ok eventlogs.%s.parses\n# %u events, bank 0x%04x\n", name, t.events,
           bp_tpm_alg_of(t.alg));
    uint32_t bad = 0;
    const bool replayed =
        !bp_failed(bp_bootlog_compare(&t.mark[t.events], 0xffffff, quoted(), &bad)) && refs_agree &&
        t.ref_at[t.events] == t.refs;
    printf("%s eventlogs.%s.replays%s\n", replayed ? "ok" : "not ok", name,
           replayed ? "" : ": other PCR values");
    return replayed;
}

enum finding { NOTHING, STRUCTURE, LIE, REPLAY, HOLE };

/* Walks on from `bl` after a divergence, to see whether replay fails. */
static enum finding rest(struct bp_bootlog *bl)
{
    struct bp_boot_event ev;
    bp_result r = BP_OK;
    uint32_t bad = 0;
    while (!bp_failed(r)) {
        r = bp_bootlog_next(NULL, bl, &ev);
    }
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return STRUCTURE;
    }
    if (bp_is(bp_bootlog_compare(bl, 0xffffff, quoted(), &bad), BP_E_MISMATCH)) {
        return REPLAY;
    }
    const struct bp_bootlog *end = &t.mark[t.events];
    return memcmp(end->claims, bl->claims, sizeof bl->claims) == 0 &&
                   end->separators == bl->separators
               ? NOTHING
               : HOLE;
}

/* What an appraisal finds in the log as it is now, of which event `i` may be changed; ret_named:
 * the event to blame. */
static enum finding find(uint32_t i, uint32_t *ret_named)
{
    struct bp_bootlog bl = t.mark[i];
    struct bp_boot_event ev;
    *ret_named = i;
    if (bp_failed(bp_bootlog_next(NULL, &bl, &ev))) {
        *ret_named = bp_bootlog_at(&bl);
        return STRUCTURE;
    }
    const uint32_t k = t.ref_at[i];
    const bp_result ref = ev.extended && k < t.refs ? bp_boot_ref_check(&t.ref[k].row, &ev) : BP_OK;
    if ((ev.cover == BP_BOOT_LIE && !t.lied[i]) || bp_is(ref, BP_E_DENIED)) {
        *ret_named = ev.raw.index;
        return LIE;
    }
    if (same_state(&bl, &t.mark[i + 1])) {
        return NOTHING;
    }
    const enum finding f = rest(&bl);
    *ret_named = bp_is(ref, BP_E_MISMATCH) ? ev.raw.index : UINT32_MAX;
    return f;
}

/* The head (Spec ID event) is read on every open. */
static enum finding find_head(void)
{
    struct bp_bootlog bl;
    if (bp_failed(bp_bootlog_open(bp_span_of(t.log.p, t.log.n), t.alg, &bl))) {
        return STRUCTURE;
    }
    /* Banks lie in another order or have other names now: only a whole walk can tell. */
    return rest(&bl);
}

static void try_bit(struct flip_count *n, uint32_t i, bool in_head, size_t bit)
{
    const uint8_t mask = (uint8_t)(1u << (bit % 8));
    const char cls = (char)t.map.p[bit / 8];
    uint32_t named = UINT32_MAX;
    t.log.p[bit / 8] ^= mask;
    const enum finding f = in_head ? find_head() : find(i, &named);
    t.log.p[bit / 8] ^= mask;
    if (f == HOLE) {
        flip_add(n, cls, FLIP_WRONG, bit, "the claims changed and nothing refused");
    } else if (cls == 'a') {
        const bool good = f != NOTHING && named == i;
        flip_add(n, cls, good ? FLIP_REFUSED : FLIP_WRONG, bit, "accepted, or another event named");
    } else if (cls == 'b') {
        const bool good = f == LIE && named == i;
        flip_add(n, cls, good ? FLIP_REFUSED : FLIP_WRONG, bit,
                 "not found to be data that does not match");
    } else {
        flip_add(n, cls, f == NOTHING ? FLIP_SAME : FLIP_REFUSED, bit, "");
    }
}

int main(int argc, char **argv)
{
    const size_t stride = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (stride == 0) {
        fprintf(stderr, "usage: flip_eventlog NAME LOG REFERENCE STRIDE\n");
        return 2;
    }
    t.log = flip_load(argv[2]);
    load_reference(argv[3]);
    if (t.map.n != t.log.n || t.refs == 0) {
        printf("not ok eventlogs.%s.reference: incomplete\n", argv[1]);
        return 1;
    }
    if (!walk(argv[1])) {
        return 1;
    }
    struct flip_count n = {0};
    flip_count_bytes(&n, &t.map);
    uint32_t i = 0;
    for (size_t bit = 0; bit < 8 * t.log.n; bit += stride) {
        while (i + 1 < t.events && bit / 8 >= t.mark[i + 1].log.at) {
            i++;
        }
        try_bit(&n, i, bit / 8 < t.mark[0].log.at, bit);
    }
    const bool good = flip_report(&n, "eventlogs", argv[1]);
    free(t.log.p);
    free(t.map.p);
    return good ? 0 : 1;
}
