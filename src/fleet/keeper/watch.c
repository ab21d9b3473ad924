/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/watch - time passes: devices that fell silent, entries of the waiting room that
 * expired, jumps of the clock, old evidence, the hourly CRL.
 *
 * After our own start, and after the clock jumped, the machine slept or the store was put back, nobody is called silent
 * before every device had the time of one interval and its grace to come back: what stopped was us. */
#include "fleet/keeper/internal.h"

#include "core/renewal.h"

#define BP_MODULE    PROC

#define STEPS_MAX    256u /* of one tick; the rest follows in the next */
#define EXPIRE_MS    600000LL
#define EXPIRE_BLOBS 1000u
#define EXPIRE_LATER_MS (24 * 3600 * 1000LL)
#define MOVE_COMMITS 64u
#define MOVE_MS      30000LL
#define RESUMED      "resumed-ms"

static void watch_again(struct bp_keeper *k)
{
    k->watch_from = bp_k_now(k) + k->interval_ms + k->grace_ms;
}

void bp_k_watch_start(struct bp_keeper *k)
{
    k->last_wall = bp_k_now(k);
    k->last_mono = bp_k_mono(k);
    k->tick_at = k->last_mono + BP_K_TICK_MS;
    k->window_at = k->last_mono + BP_K_WINDOW_MS;
    k->newcomer_at = k->last_mono;
    k->expire_at = k->last_mono + EXPIRE_MS;
    watch_again(k);
    bp_k_wake(k, BP_K_TICK_MS);
}

/* -- a long absence -------------------------------------------------------------------------------- */
struct absence {
    struct bp_keeper *k;
    int64_t since_ms;
};

static bp_result note_return(void *self)
{
    const struct absence *x = self;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("since"), BP_VAL_INT, x->since_ms, BP_SPAN_EMPTY},
        {BP_SPAN_STR("until"), BP_VAL_INT, x->k->resumed_ms + BP_RENEW_RESUME_S * 1000LL, BP_SPAN_EMPTY}};
    BP_TRY(bp_store_setting_set(x->k->store, RESUMED, x->k->resumed_ms));
    return bp_k_event(x->k, BP_EV_SERVER_RETURNED, NULL, detail, 2);
}

/* Whatever fell due while nobody could ask for it would be asked for at once now: devices are told since when we are back,
 * and spread it (core/renewal). Kept, so that a restart meanwhile does not put everybody off once more. */
static void resume(struct bp_keeper *k)
{
    k->resumed_ms = bp_k_now(k);
    k->expire_at = bp_k_mono(k) + EXPIRE_LATER_MS; /* if it is the clock that is wrong, nothing is thrown away by it */
}

void bp_k_look_back(struct bp_keeper *k)
{
    struct bp_tree_row t = {0};
    struct bp_event e = {0};
    bp_span body = BP_SPAN_EMPTY;
    uint8_t digest[BP_DIGEST_SIZE];
    const int64_t now = bp_k_now(k);
    if (bp_failed(bp_store_setting(k->store, RESUMED, 0, &k->resumed_ms)) || k->resumed_ms > now) {
        k->resumed_ms = 0; /* the clock was wrong then */
    }
    if (bp_failed(bp_store_tree(k->store, &t)) || t.size == 0 ||
        bp_failed(bp_store_event(k->store, t.size - 1, &body, digest)) || bp_failed(bp_event_read(body, &e))) {
        return; /* nothing is known of before */
    }
    struct absence x = {k, e.time_ms};
    if (now - e.time_ms >= BP_K_AWAY_MS) {
        resume(k);
        BP_IGNORE(bp_k_act(k, note_return, &x), "the spread counts until the next start; only its event is lost");
    }
}

int64_t bp_k_since_s(const struct bp_keeper *k)
{
    const int64_t ago = bp_k_now(k) - k->resumed_ms;
    return k->resumed_ms > 0 && ago >= 0 && ago <= BP_RENEW_RESUME_S * 1000LL ? k->resumed_ms / 1000 : 0;
}

struct jump {
    struct bp_keeper *k;
    int64_t by_ms;
};

static bp_result note_jump(void *self)
{
    const struct jump *x = self;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("by_ms"), BP_VAL_INT, x->by_ms, BP_SPAN_EMPTY}};
    return bp_k_event(x->k, BP_EV_CLOCK_JUMPED, NULL, detail, 1);
}

void bp_k_look_at_clock(struct bp_keeper *k)
{
    const int64_t wall = bp_k_now(k);
    const int64_t mono = bp_k_mono(k);
    const int64_t before = k->last_wall;
    struct jump x = {k, (wall - k->last_wall) - (mono - k->last_mono)};
    k->last_wall = wall;
    k->last_mono = mono;
    if (x.by_ms > -BP_K_JUMP_MS && x.by_ms < BP_K_JUMP_MS) {
        return;
    }
    k->jump_before = before;
    k->jump_by = x.by_ms;
    watch_again(k);
    BP_IGNORE(bp_k_act(k, note_jump, &x), "the jump was taken into account; only its event is lost");
    if (x.by_ms >= BP_K_AWAY_MS) {
        resume(k); /* the machine slept; were it only the clock, nobody is put off for longer than that */
    }
}

bool bp_k_is_before_jump(const struct bp_keeper *k, int64_t issued_ms)
{
    if (k->jump_by == 0 || issued_ms > k->jump_before) {
        return false;
    }
    return k->jump_by > 0 || issued_ms > bp_k_now(k);
}

struct step {
    struct bp_keeper *k;
    bool more;
};

static bp_result one_step(void *self)
{
    struct step *x = self;
    return bp_registry_tick(&x->k->registry, x->k->watch_from, &x->more);
}

static void watch(struct bp_keeper *k)
{
    for (size_t i = 0; i < STEPS_MAX; i++) {
        struct step x = {k, false};
        if (bp_failed(bp_k_act(k, one_step, &x)) || !x.more) {
            return;
        }
        if (k->group_acts >= BP_KEEPER_GROUP_MAX) {
            bp_k_commit(k);
        }
    }
}

static bp_result expire(void *self)
{
    struct bp_keeper *k = self;
    uint32_t n = 0;
    const int64_t now = bp_k_now(k);
    int64_t keep = 0;
    BP_TRY(bp_store_setting(k->store, "evidence-keep-ms", BP_K_EVIDENCE_MS, &keep));
    BP_TRY(bp_store_vouched_expire(k->store, now));
    BP_TRY(bp_store_session_expire(k->store, now));
    BP_TRY(bp_store_blob_expire(k->store, BP_BLOB_EVIDENCE, now - keep, EXPIRE_BLOBS, &n));
    return bp_store_blob_expire(k->store, BP_BLOB_STATE, now - keep, EXPIRE_BLOBS, &n);
}

/* The write-ahead log goes into the database often enough that it stays small. */
static void move_log(struct bp_keeper *k)
{
    const uint64_t since = k->count.commits - k->moved_commits;
    if (since >= MOVE_COMMITS || (since > 0 && bp_k_mono(k) - k->moved_at >= MOVE_MS)) {
        bp_store_checkpoint(k->store);
        k->moved_commits = k->count.commits;
        k->moved_at = bp_k_mono(k);
    }
}

void bp_k_tick(struct bp_keeper *k)
{
    const int64_t mono = bp_k_mono(k);
    k->registry.now_ms = bp_k_now(k);
    bp_k_look_at_clock(k);
    if (bp_k_is_recovering(k)) {
        watch_again(k); /* nobody's evidence is taken */
    }
    watch(k);
    bp_k_contacts_expire(k);
    if (mono >= k->window_at) {
        k->window_at = mono + BP_K_WINDOW_MS;
        bp_k_window(k);
    }
    if (mono >= k->expire_at) {
        k->expire_at = mono + EXPIRE_MS;
        BP_IGNORE(bp_k_act(k, expire, k), "repeated in ten minutes");
    }
    bp_k_crl_watch(k);
    bp_k_commit(k);
    move_log(k);
    bp_k_crl_make(k);
}
