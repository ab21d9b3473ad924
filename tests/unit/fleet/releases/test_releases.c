/* SPDX-License-Identifier: Apache-2.0 */
/* Releases: every pair of states, every flipped byte and every cut of a signed one, what its reference values may be, and
 * the name of the set in force. */
#include "harness.h"

#include <stdlib.h>

#include "appraise/refset.h"
#include "codec/corim.h"
#include "codec/cose.h"
#include "codec/release.h"
#include "desk.h"
#include "fleet/releases/releases.h"

static struct desk d;
static struct bp_key *key;
static uint8_t made[8192];
static size_t made_n;

struct recipe {
    const char *content, *model, *ref_model, *mkey, *version;
    bp_span corim; /* instead of one made from the above */
};
static const struct recipe plain = {BP_RELEASE_CONTENT, "m1", "m1", "boot/4/required", "1.0", {NULL, 0}};

static bool make(const struct recipe *x)
{
    static uint8_t corim[4096], payload[6144], scratch[8192];
    uint8_t digest[32] = {1};
    uint8_t kid[32];
    const struct bp_corim_ref ref = {.model = bp_span_cstr(x->ref_model), .mkey = bp_span_cstr(x->mkey), .digests = 1,
                                     .digest = {{BP_CORIM_ALG_SHA256, BP_SPAN_OF(digest)}}, .name = BP_SPAN_STR("kernel")};
    size_t n = 0;
    size_t m = 0;
    if (bp_failed(bp_corim_write(bp_span_cstr(x->version), BP_SPAN_STR("maker"), bp_span_cstr(x->ref_model), &ref, 1, corim, sizeof corim, &n))) {
        return false;
    }
    const struct bp_release rel = {.product = BP_SPAN_STR("gateway"), .model = bp_span_cstr(x->model), .version = bp_span_cstr(x->version),
                                   .counter = 1, .key_epoch = 1, .created_ms = 1700000000000,
                                   .corim = x->corim.n > 0 ? x->corim : bp_span_of(corim, n)};
    const struct bp_signer signer = bp_key_signer(key);
    const struct bp_cose_header h = {.content_type = bp_span_cstr(x->content), .kid = BP_SPAN_OF(kid)};
    return !bp_failed(bp_release_write(&rel, payload, sizeof payload, &m)) &&
           !bp_failed(bp_hash(d.crypto, BP_HASH_SHA256, bp_key_spki(key), kid)) &&
           !bp_failed(bp_cose_sign1_write(&signer, &h, bp_span_of(payload, m), BP_SPAN_EMPTY, scratch, sizeof scratch, made, sizeof made, &made_n));
}

static bool begin(void)
{
    return desk_open(&d) && !bp_failed(bp_key_make(BP_KEY_P256, &key));
}

static void end(void)
{
    bp_key_free(key);
    desk_close(&d);
}

struct step {
    bp_span bytes, key;
    uint8_t id[32];
    enum bp_acceptance to;
    const char *zone;
    enum bp_problem problem;
};

static struct bp_releases of(struct desk *x)
{
    return (struct bp_releases){.store = x->store, .log = &x->log, .crypto = x->crypto, .effects = &x->effects, .now_ms = x->now_ms};
}

static bp_result import(struct desk *x, void *arg)
{
    struct step *s = arg;
    struct bp_releases r = of(x);
    return bp_releases_import(&r, s->bytes, s->key, BP_SPAN_STR("anna"), s->id, &s->problem);
}

static bp_result move(struct desk *x, void *arg)
{
    struct step *s = arg;
    struct bp_releases r = of(x);
    return bp_releases_move(&r, BP_SPAN_OF(s->id), bp_span_cstr(s->zone), s->to, BP_SPAN_STR("why"), BP_SPAN_STR("anna"), &s->problem);
}

/* NONE: it was taken. */
static enum bp_problem imported(bp_span bytes, bp_span spki, uint8_t *ret_id)
{
    struct step s = {.bytes = bytes, .key = spki};
    const bool ok = desk_act(&d, import, &s);
    if (ret_id != NULL) {
        memcpy(ret_id, s.id, 32);
    }
    return ok ? BP_P_NONE : s.problem;
}

static enum bp_problem moved(const uint8_t id[32], const char *zone, enum bp_acceptance to)
{
    struct step s = {.zone = zone, .to = to};
    memcpy(s.id, id, 32);
    return desk_act(&d, move, &s) ? BP_P_NONE : s.problem;
}

static void every_move(void)
{
    static const bool allowed[4][4] = {{0, 1, 0, 1}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0, 0, 0, 0}};
    static const enum bp_acceptance path[4][3] = {{0}, {BP_ACC_ACCEPTED}, {BP_ACC_ACCEPTED, BP_ACC_DEPRECATED}, {BP_ACC_WITHDRAWN}};
    uint8_t id[32];
    if (!begin() || !make(&plain) || imported(bp_span_of(made, made_n), bp_key_spki(key), id) != BP_P_NONE) {
        return;
    }
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4; to++) {
            char name[64];
            char zone[32];
            (void)snprintf(name, sizeof name, "move.%s_to_%s", bp_acceptance_name((enum bp_acceptance)from), bp_acceptance_name((enum bp_acceptance)to));
            (void)snprintf(zone, sizeof zone, "z%d%d", from, to);
            bp_case_begin();
            for (int i = 0; i < 3 && path[from][i] != BP_ACC_IMPORTED; i++) {
                BP_CHECK(moved(id, zone, path[from][i]) == BP_P_NONE);
            }
            const uint64_t size = d.log.size;
            d.effects.references = false;
            const enum bp_problem p = moved(id, zone, (enum bp_acceptance)to);
            BP_CHECK(p == (allowed[from][to] ? BP_P_NONE : to == BP_ACC_IMPORTED ? BP_P_VALUE : BP_P_WRONG_STATE));
            BP_CHECK(d.log.size == size + (allowed[from][to] ? 1 : 0) && d.effects.references == allowed[from][to]);
            bp_case_end(name);
        }
    }
    bp_case_begin();
    BP_CHECK(moved((const uint8_t[32]){9}, "z", BP_ACC_ACCEPTED) == BP_P_NOT_FOUND);
    BP_CHECK(moved(id, "", BP_ACC_ACCEPTED) == BP_P_VALUE && moved(id, "a\nb", BP_ACC_ACCEPTED) == BP_P_VALUE);
    bp_case_end("move.of_nothing");
    end();
}

BP_CASE(every_cut_is_refused)
{
    BP_NEED(begin() && make(&plain));
    for (size_t n = 0; n < made_n; n++) {
        const enum bp_problem p = imported(bp_span_of(made, n), bp_key_spki(key), NULL);
        BP_CHECK(p == BP_P_MALFORMED || p == BP_P_UNSUPPORTED);
    }
    BP_CHECK(d.log.size == 0);
    BP_CHECK(imported(bp_span_of(made, made_n), bp_key_spki(key), NULL) == BP_P_NONE);
    end();
}

BP_CASE(every_flipped_byte_is_refused)
{
    BP_NEED(begin() && make(&plain));
    for (size_t i = 0; i < made_n; i++) {
        made[i] ^= 0x10;
        BP_CHECK(imported(bp_span_of(made, made_n), bp_key_spki(key), NULL) != BP_P_NONE);
        made[i] ^= 0x10;
    }
    BP_CHECK(d.log.size == 0); /* nothing was kept, no key was pinned */
    BP_CHECK(imported(bp_span_of(made, made_n), BP_SPAN_EMPTY, NULL) == BP_P_PRECONDITION);
    end();
}

static const struct {
    const char *name;
    struct recipe recipe;
    enum bp_problem problem;
} recipes[] = {
    {"content_type", {"application/cbor", "m1", "m1", "boot/4/required", "1", {NULL, 0}}, BP_P_UNSUPPORTED},
    {"other_model", {BP_RELEASE_CONTENT, "m1", "m2", "boot/4/required", "2", {NULL, 0}}, BP_P_VALUE},
    {"key_of_no_profile", {BP_RELEASE_CONTENT, "m1", "m1", "bootx/4", "3", {NULL, 0}}, BP_P_VALUE},
    {"corim_is_junk", {BP_RELEASE_CONTENT, "m1", "m1", "ima", "4", {(const uint8_t *)"junk", 4}}, BP_P_VALUE},
    {"control_in_version", {BP_RELEASE_CONTENT, "m1", "m1", "ima", "5\n", {NULL, 0}}, BP_P_VALUE},
    {"programs_only", {BP_RELEASE_CONTENT, "m1", "m1", "ima", "6", {NULL, 0}}, BP_P_NONE},
};

static void what_is_taken(void)
{
    if (!begin()) {
        return;
    }
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "taken.%s", recipes[i].name);
        bp_case_begin();
        if (BP_CHECK(make(&recipes[i].recipe))) {
            BP_CHECK(imported(bp_span_of(made, made_n), bp_key_spki(key), NULL) == recipes[i].problem);
        }
        bp_case_end(name);
    }
    end();
}

BP_CASE(keys_that_are_none)
{
    /* Ed25519 (RFC 8410): readable, and not a kind that releases are signed by. */
    static const uint8_t ed[44] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x01};
    BP_NEED(begin() && make(&plain));
    BP_CHECK(imported(bp_span_of(made, made_n), BP_SPAN_STR("no key"), NULL) == BP_P_VALUE);
    BP_CHECK(imported(bp_span_of(made, made_n), BP_SPAN_OF(ed), NULL) == BP_P_VALUE);
    end();
}

/* The first release pins the maker's key; afterwards no other is taken for the product, whoever signs. */
BP_CASE(another_key_for_a_pinned_product)
{
    struct bp_key *other = NULL;
    const struct recipe second = {BP_RELEASE_CONTENT, "m1", "m1", "boot/4/required", "2.0", {NULL, 0}};
    BP_NEED(begin() && make(&plain) && !bp_failed(bp_key_make(BP_KEY_P256, &other)));
    BP_CHECK(imported(bp_span_of(made, made_n), bp_key_spki(key), NULL) == BP_P_NONE);
    struct bp_key *const first = key;
    key = other; /* signs the next one */
    const bool ok = make(&second);
    key = first;
    BP_CHECK(ok && imported(bp_span_of(made, made_n), bp_key_spki(other), NULL) == BP_P_CONFLICT);
    BP_CHECK(imported(bp_span_of(made, made_n), BP_SPAN_EMPTY, NULL) == BP_P_SIGNATURE);
    BP_CHECK(make(&second) && imported(bp_span_of(made, made_n), BP_SPAN_EMPTY, NULL) == BP_P_NONE);
    bp_key_free(other);
    end();
}

/* -- the set in force -------------------------------------------------------------------------- */
struct sources {
    struct bp_ref_source source[8];
    uint8_t id[8][32];
    char zone[8][16];
    uint8_t corim[8][4096];
    size_t n;
};

static bp_result add_source(void *self, const struct bp_release_row *r, const char *zone, enum bp_acceptance state)
{
    struct sources *s = self;
    memcpy(s->id[s->n], r->id, 32);
    (void)snprintf(s->zone[s->n], sizeof s->zone[0], "%s", zone);
    memcpy(s->corim[s->n], r->corim.p, r->corim.n);
    s->source[s->n] = (struct bp_ref_source){BP_SPAN_OF(s->id[s->n]), (enum bp_release_state)state, bp_span_cstr(s->zone[s->n]),
                                             bp_span_of(s->corim[s->n], r->corim.n)};
    s->n++;
    return BP_OK;
}

BP_CASE(sets_are_kept_under_the_name_that_results_use)
{
    static struct sources s;
    static struct bp_ref_release rel[8];
    static struct bp_ref_entry entry[64];
    struct bp_refset set;
    struct recipe second = plain;
    uint8_t a[32];
    uint8_t b[32];
    bp_span kept = BP_SPAN_EMPTY;
    second.version = "2.0";
    BP_NEED(begin() && make(&plain) && imported(bp_span_of(made, made_n), bp_key_spki(key), a) == BP_P_NONE);
    BP_NEED(make(&second) && imported(bp_span_of(made, made_n), bp_key_spki(key), b) == BP_P_NONE);
    BP_CHECK(moved(a, "*", BP_ACC_ACCEPTED) == BP_P_NONE && moved(b, "north", BP_ACC_ACCEPTED) == BP_P_NONE);
    BP_CHECK(moved(b, "east", BP_ACC_ACCEPTED) == BP_P_NONE && moved(a, "*", BP_ACC_WITHDRAWN) == BP_P_NONE);
    BP_NEED(!bp_failed(bp_store_snapshot(d.reader)));
    BP_CHECK(!bp_failed(bp_store_acceptances(d.reader, add_source, &s)) && s.n == 3);
    BP_CHECK(!bp_failed(bp_refset_build(d.crypto, s.source, s.n, rel, entry, 64, NULL, &set)));
    BP_CHECK(!bp_failed(bp_store_blob(d.reader, BP_SPAN_OF(set.digest), &kept)) && kept.n > 0);
    BP_CHECK(!bp_failed(bp_cbor_check(kept)));
    bp_store_abort(d.reader);
    end();
}

BP_SUITE(releases, BP_TABLE(every_move) BP_RUN(every_cut_is_refused) BP_RUN(every_flipped_byte_is_refused)
                       BP_TABLE(what_is_taken) BP_RUN(keys_that_are_none)
                           BP_RUN(another_key_for_a_pinned_product)
                           BP_RUN(sets_are_kept_under_the_name_that_results_use))
