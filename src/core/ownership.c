/* SPDX-License-Identifier: Apache-2.0 */
/* core/ownership - the walk along a chain of ownership. */
#include "core/ownership.h"

#include "codec/cose.h"
#include "codec/x509.h"

struct walk {
    struct bp_crypto *crypto;
    const struct bp_own_ask *ask;
    struct bp_maker_anchor maker;
    struct bp_own_state *state;
};

const char *bp_own_fault_code(enum bp_own_fault fault)
{
    static const char *const codes[] = {
#define BP_X(name, code, text) code,
        BP_OWN_FAULT_LIST(BP_X)
#undef BP_X
    };
    return (unsigned)fault < BP_OWN_FAULTS ? codes[fault] : "";
}

const char *bp_own_fault_text(enum bp_own_fault fault)
{
    static const char *const texts[] = {
#define BP_X(name, code, text) text,
        BP_OWN_FAULT_LIST(BP_X)
#undef BP_X
    };
    return (unsigned)fault < BP_OWN_FAULTS ? texts[fault] : "";
}

static bool is_hash_of(struct bp_crypto *c, bp_span what, bp_span hash)
{
    uint8_t is[BP_SHA256_SIZE];
    return !bp_failed(bp_hash(c, BP_HASH_SHA256, what, is)) && bp_span_equal(BP_SPAN_OF(is), hash);
}

/* A key that may own: P-256 or P-384. */
static bool get_key(bp_span spki, struct bp_pubkey *ret)
{
    return !bp_failed(bp_spki_read(spki, ret)) && (ret->type == BP_KEY_P256 || ret->type == BP_KEY_P384);
}

/* The maker's key with that hash; empty when it has none. */
static bp_span maker_key(const struct walk *w, bp_span hash)
{
    for (uint32_t i = 0; i < w->maker.keys; i++) {
        if (is_hash_of(w->crypto, w->maker.key[i], hash)) {
            return w->maker.key[i];
        }
    }
    return BP_SPAN_EMPTY;
}

static bool verifies(const struct walk *w, const struct bp_cose_sign1 *msg, bp_span spki)
{
    struct bp_pubkey key;
    return get_key(spki, &key) && !bp_failed(bp_cose_sign1_verify(w->crypto, msg, &key, BP_SPAN_EMPTY, w->ask->scratch,
                                                                  BP_OWNERSHIP_SCRATCH));
}

static bool is_content(const struct bp_cose_sign1 *msg, bp_span content)
{
    return bp_span_equal(msg->content_type, content);
}

/* An override is a statement by one key of the maker inside an object by another. */
static enum bp_own_fault open_override(const struct walk *w, const struct bp_cose_sign1 *outer, struct bp_cose_sign1 *ret)
{
    const bp_span spki = maker_key(w, outer->kid);
    if (bp_failed(bp_cose_sign1_read(outer->payload, ret)) || !is_content(ret, BP_SPAN_STR(BP_OWNERSHIP_CONTENT))) {
        return BP_OWN_FORM;
    }
    if (spki.n == 0 || bp_span_equal(outer->kid, ret->kid)) {
        return BP_OWN_COSIGNER;
    }
    return verifies(w, outer, spki) ? BP_OWN_NONE : BP_OWN_SIGNATURE;
}

/* The statement inside, and its message. */
static enum bp_own_fault open_statement(const struct walk *w, bp_span in, struct bp_cose_sign1 *msg, struct bp_ownership *ret)
{
    struct bp_cose_sign1 outer;
    if (bp_failed(bp_cose_sign1_read(in, &outer))) {
        return BP_OWN_FORM;
    }
    const bool is_override = is_content(&outer, BP_SPAN_STR(BP_OWNERSHIP_OVERRIDE_CONTENT));
    *msg = outer;
    if (is_override) {
        const enum bp_own_fault f = open_override(w, &outer, msg);
        if (f != BP_OWN_NONE) {
            return f;
        }
    }
    if (!is_content(msg, BP_SPAN_STR(BP_OWNERSHIP_CONTENT)) || bp_failed(bp_ownership_read(msg->payload, ret))) {
        return BP_OWN_FORM;
    }
    if (is_override != (ret->kind == BP_OWNERSHIP_OVERRIDE)) {
        return is_override ? BP_OWN_FORM : BP_OWN_COSIGNER;
    }
    return BP_OWN_NONE;
}

/* Whether it stands where it stands: device, kind, epoch, link. */
static enum bp_own_fault check_place(const struct walk *w, const struct bp_ownership *st)
{
    const struct bp_own_state *s = w->state;
    static const uint8_t zero[BP_SHA256_SIZE];
    if (!bp_span_equal(st->device_id, w->ask->device_id)) {
        return BP_OWN_DEVICE;
    }
    if (s->statements > 0 && s->last.kind == BP_OWNERSHIP_RETIRE) {
        return BP_OWN_ENDED;
    }
    if ((st->kind == BP_OWNERSHIP_ASSIGN) != (s->statements == 0)) {
        return BP_OWN_KIND;
    }
    if (st->epoch != s->statements + 1) {
        return BP_OWN_EPOCH;
    }
    return bp_span_equal(st->prev, s->statements == 0 ? BP_SPAN_OF(zero) : BP_SPAN_OF(s->head)) ? BP_OWN_NONE : BP_OWN_LINK;
}

/* Signed by who had the right to: the maker, or the owner of that time. */
static enum bp_own_fault check_signer(const struct walk *w, const struct bp_ownership *st, const struct bp_cose_sign1 *msg)
{
    const bool is_makers = st->kind == BP_OWNERSHIP_ASSIGN || st->kind == BP_OWNERSHIP_OVERRIDE;
    const bp_span spki = is_makers ? maker_key(w, st->from_key) : w->state->last.to_key;
    struct bp_pubkey next;
    if (spki.n == 0 || !bp_span_equal(msg->kid, st->from_key) || !is_hash_of(w->crypto, spki, st->from_key)) {
        return BP_OWN_SIGNER;
    }
    if (!verifies(w, msg, spki)) {
        return BP_OWN_SIGNATURE;
    }
    /* One whose key nothing can verify with would lock everybody out. */
    return st->kind == BP_OWNERSHIP_RETIRE || get_key(st->to_key, &next) ? BP_OWN_NONE : BP_OWN_FORM;
}

/* What is known already is not judged again; of it there is only one. */
static enum bp_own_fault check_news(const struct walk *w, const struct bp_ownership *st, const uint8_t hash[BP_SHA256_SIZE])
{
    const struct bp_own_ask *a = w->ask;
    if (st->epoch == a->epoch && memcmp(hash, a->head, BP_SHA256_SIZE) != 0) {
        return BP_OWN_FORK;
    }
    if (st->epoch <= a->epoch) {
        return BP_OWN_NONE;
    }
    if (st->expires_ms != 0 && a->now_ms > st->expires_ms) {
        return BP_OWN_EXPIRED;
    }
    if (st->kind != BP_OWNERSHIP_OVERRIDE) {
        return BP_OWN_NONE;
    }
    if (a->now_ms < st->created_ms || (uint64_t)(a->now_ms - st->created_ms) < st->waits_ms) {
        return BP_OWN_WAITING;
    }
    return a->is_present ? BP_OWN_NONE : BP_OWN_PRESENCE;
}

static enum bp_own_fault step(struct walk *w, bp_span in)
{
    struct bp_cose_sign1 msg;
    struct bp_ownership st;
    uint8_t hash[BP_SHA256_SIZE];
    enum bp_own_fault f = open_statement(w, in, &msg, &st);
    f = f == BP_OWN_NONE ? check_place(w, &st) : f;
    f = f == BP_OWN_NONE ? check_signer(w, &st, &msg) : f;
    if (f == BP_OWN_NONE && bp_failed(bp_hash(w->crypto, BP_HASH_SHA256, in, hash))) {
        f = BP_OWN_SIGNATURE;
    }
    f = f == BP_OWN_NONE ? check_news(w, &st, hash) : f;
    if (f == BP_OWN_NONE) {
        w->state->last = st;
        w->state->epoch = st.epoch;
        memcpy(w->state->head, hash, sizeof hash);
        w->state->statements++;
    }
    return f;
}

static enum bp_own_fault check_maker(struct walk *w, bp_span maker)
{
    if (bp_failed(bp_maker_anchor_read(maker, &w->maker)) ||
        bp_failed(bp_hash(w->crypto, BP_HASH_SHA256, maker, w->state->anchor))) {
        return BP_OWN_FORM;
    }
    return w->ask->anchor == NULL || memcmp(w->ask->anchor, w->state->anchor, BP_SHA256_SIZE) == 0 ? BP_OWN_NONE
                                                                                                 : BP_OWN_MAKER;
}

enum bp_own_fault bp_ownership_walk(struct bp_crypto *c, const struct bp_own_ask *ask,
                                    const struct bp_ownership_chain *chain, struct bp_own_state *ret)
{
    struct walk w = {.crypto = c, .ask = ask, .state = ret};
    memset(ret, 0, sizeof *ret);
    enum bp_own_fault f = check_maker(&w, chain->maker);
    if (f == BP_OWN_NONE && !bp_span_equal(chain->device_id, ask->device_id)) {
        f = BP_OWN_DEVICE;
    }
    for (uint32_t i = 0; i < chain->statements && f == BP_OWN_NONE; i++) {
        f = step(&w, chain->statement[i]);
    }
    if (f == BP_OWN_NONE && ret->statements < ask->epoch) {
        f = BP_OWN_OLDER;
    }
    return f;
}

enum bp_own_fault bp_owner_card_check(struct bp_crypto *c, bp_span card, uint8_t *scratch, struct bp_owner_card *ret)
{
    const struct bp_own_ask ask = {.scratch = scratch};
    const struct walk w = {.crypto = c, .ask = &ask};
    struct bp_cose_sign1 msg;
    if (bp_failed(bp_cose_sign1_read(card, &msg)) || !is_content(&msg, BP_SPAN_STR(BP_OWNER_CARD_CONTENT)) ||
        bp_failed(bp_owner_card_read(msg.payload, ret))) {
        return BP_OWN_CARD;
    }
    return is_hash_of(c, ret->key, msg.kid) && verifies(&w, &msg, ret->key) ? BP_OWN_NONE : BP_OWN_CARD;
}

enum bp_own_fault bp_ownership_vouches(struct bp_crypto *c, const struct bp_own_state *state, bp_span card,
                                       const uint8_t root[BP_SHA256_SIZE], uint8_t *scratch)
{
    struct bp_owner_card of;
    if (state->last.kind == BP_OWNERSHIP_RETIRE) {
        return BP_OWN_ENDED;
    }
    if (bp_owner_card_check(c, card, scratch, &of) != BP_OWN_NONE) {
        return BP_OWN_CARD;
    }
    if (!bp_span_equal(of.key, state->last.to_key)) {
        return BP_OWN_OWNER;
    }
    return bp_span_equal(of.root, bp_span_of(root, BP_SHA256_SIZE)) ? BP_OWN_NONE : BP_OWN_ROOT;
}
