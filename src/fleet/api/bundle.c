/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/bundle - gathers a verdict and everything that it rests on (docs/protocol/bundle.md).
 *
 * Spans of the store live until its next call, so each piece is copied into one arena that grows in
 * blocks and is given back at the end. What the earlier state rests on travelled in earlier evidence:
 * the boot log whole, the list of programs in pieces, newest first. */
#include "appraise/appraise.h"
#include "codec/bundle.h"
#include "codec/cose.h"
#include "codec/evidence.h"
#include "codec/ima.h"
#include "codec/x509.h"
#include "fleet/api/internal.h"
#include "platform/alloc.h"

#define BP_MODULE API

#define REFUSE(name) (*ret_problem = BP_P_##name, BP_FAIL(DENIED))
#define BLOCKS_MAX   512u
#define LOOK_BACK    4096u /* verdicts that are looked through for earlier logs */
#define PIECES_MAX   256u

struct gather {
    struct bp_api_reader *r;
    struct bp_verdict_row v;
    struct bp_bundle *b;
    void *block[BLOCKS_MAX];
    size_t blocks;
    bp_result r_copy;
};

/* A copy that lives as long as the gathering. */
static bp_span copy(struct gather *g, bp_span s)
{
    uint8_t *p = g->blocks < BLOCKS_MAX ? bp_alloc(s.n) : NULL;
    if (p == NULL) {
        g->r_copy = g->blocks < BLOCKS_MAX ? BP_FAIL(NO_MEMORY) : BP_FAIL(LIMIT);
        return BP_SPAN_EMPTY;
    }
    g->block[g->blocks++] = p;
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return bp_span_of(p, s.n);
}

static bool is_zero(const uint8_t d[32])
{
    static const uint8_t zero[32];
    return memcmp(d, zero, 32) == 0;
}

static bp_result blob(struct gather *g, const uint8_t digest[32], bp_span *ret)
{
    bp_span s = BP_SPAN_EMPTY;
    BP_TRY(bp_store_blob(g->r->store, bp_span_of(digest, 32), &s));
    *ret = copy(g, s);
    return g->r_copy;
}

/* -- verdict, event, proof --------------------------------------------------------------------- */
static bp_result add_verdict(struct gather *g, uint64_t number, int64_t device, enum bp_problem *ret_problem)
{
    const bp_result got = bp_store_verdict(g->r->store, number, &g->v);
    if (bp_is(got, BP_E_NOT_FOUND) || (!bp_failed(got) && g->v.device != device)) {
        return REFUSE(NOT_FOUND);
    }
    BP_TRY(got);
    g->b->ear = copy(g, g->v.ear);
    g->b->nonce = BP_SPAN_OF(g->v.nonce);
    g->b->seq = g->v.seq;
    g->b->issued_ms = (uint64_t)g->v.as_of_ms;
    g->b->binding = BP_SPAN_OF(g->v.binding);
    return g->r_copy;
}

static bp_result add_proof(struct gather *g, enum bp_problem *ret_problem)
{
    struct bp_tree_row tree;
    uint8_t digest[32];
    uint8_t hashes[BP_MERKLE_MAX_PROOF * 32];
    bp_span body = BP_SPAN_EMPTY;
    size_t n = 0;
    BP_TRY(bp_store_event(g->r->store, g->v.event, &body, digest));
    g->b->event = copy(g, body);
    BP_TRY(bp_store_tree(g->r->store, &tree));
    g->b->head = copy(g, tree.checkpoint);
    BP_TRY(g->r_copy);
    if (g->v.event >= tree.signed_size) {
        return REFUSE(WRONG_STATE);
    }
    g->b->index = g->v.event;
    g->b->size = tree.signed_size;
    BP_TRY(bp_log_inclusion(g->r->store, g->r->crypto, g->b->index, g->b->size, hashes, &n));
    const bp_span kept = copy(g, bp_span_of(hashes, n));
    BP_TRY(g->r_copy);
    for (size_t i = 0; i + 32 <= n && g->b->hashes < BP_BUNDLE_PROOF_MAX; i += 32) {
        g->b->hash[g->b->hashes++] = bp_span_sub(kept, i, 32);
    }
    return BP_OK;
}

/* -- inputs ------------------------------------------------------------------------------------ */
/* Whether a certificate that is in the bundle was issued by this one. */
static bool is_needed(const struct gather *g, bp_span der)
{
    struct bp_x509 issuer;
    struct bp_x509 x;
    if (bp_failed(bp_x509_read(der, &issuer))) {
        return false;
    }
    for (uint32_t i = 0; i < g->b->certs; i++) {
        if (!bp_failed(bp_x509_read(g->b->cert[i], &x)) && bp_span_equal(x.issuer, issuer.subject)) {
            return true;
        }
    }
    return false;
}

/* The signers' certificates, and of the authorities those that issued one of them. */
static void add_chain(struct gather *g)
{
    for (size_t i = 0; i < g->r->chain_count && g->b->certs < BP_BUNDLE_CHAIN_MAX; i++) {
        if (i < BP_BUNDLE_CERT_AUTHORITY || is_needed(g, g->r->chain[i])) {
            g->b->cert[g->b->certs++] = g->r->chain[i];
        }
    }
}

static bp_result add_inputs(struct gather *g)
{
    bp_span ak = BP_SPAN_EMPTY;
    bp_span binding = BP_SPAN_EMPTY;
    struct bp_policy_version p;
    BP_TRY(blob(g, g->v.evidence, &g->b->evidence));
    BP_TRY(bp_store_ak(g->r->store, g->v.device, &ak, &binding));
    g->b->ak_binding = copy(g, binding);
    if (!is_zero(g->v.policy)) {
        BP_TRY(bp_store_policy_by_digest(g->r->store, BP_SPAN_OF(g->v.policy), &p));
        g->b->policy = copy(g, p.document);
    }
    if (!is_zero(g->v.state)) {
        BP_TRY(blob(g, g->v.state, &g->b->state));
    }
    add_chain(g);
    return g->r_copy;
}

/* The payload that the maker signed. */
static bp_result manifest(struct gather *g, bp_span id, bp_span *ret)
{
    struct bp_release_row row;
    struct bp_cose_sign1 msg;
    BP_TRY(bp_store_release(g->r->store, id, &row));
    BP_TRY(bp_cose_sign1_read(row.manifest, &msg));
    *ret = copy(g, msg.payload);
    return g->r_copy;
}

static bp_result add_references(struct gather *g)
{
    bp_span set = BP_SPAN_EMPTY;
    if (is_zero(g->v.references)) {
        return BP_OK;
    }
    BP_TRY(blob(g, g->v.references, &set));
    bp_rd rd = bp_rd_over(set);
    const size_t rows = bp_cbor_get_array(&rd);
    if (rows > BP_BUNDLE_REFERENCES_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t i = 0; i < rows; i++) {
        struct bp_bundle_reference *ref = &g->b->reference[i];
        (void)bp_cbor_get_array(&rd);
        ref->id = bp_cbor_get_bstr_n(&rd, 32);
        ref->state = bp_cbor_get_uint(&rd);
        ref->zone = bp_cbor_get_tstr(&rd);
        BP_TRY(bp_rd_state(&rd));
        BP_TRY(manifest(g, ref->id, &ref->manifest));
        g->b->references++;
    }
    return bp_rd_finish(&rd);
}

/* -- earlier logs ------------------------------------------------------------------------------ */
/* Evidence of earlier verdicts, newest first. */
struct back {
    uint8_t (*digest)[32];
    size_t n, cap;
};

static bp_result add_back(void *self, const struct bp_verdict_row *v)
{
    struct back *b = self;
    if (b->n < b->cap) {
        memcpy(b->digest[b->n++], v->evidence, 32);
    }
    return BP_OK;
}

struct wanted {
    uint8_t log[32];
    bool has_log;
    bp_span boot;
    uint64_t ima; /* entries still wanted: [0, ima) */
    bp_span piece[PIECES_MAX];
    size_t pieces;
};

/* The first `count` entries of a list. */
static bp_span entries(bp_span list, uint64_t from, uint64_t count)
{
    struct bp_ima it = bp_ima_open(list, (uint32_t)from);
    struct bp_ima_entry e;
    for (uint64_t i = 0; i < count; i++) {
        if (bp_failed(bp_ima_next(&it, &e))) {
            return BP_SPAN_EMPTY;
        }
    }
    return bp_span_sub(list, 0, it.at);
}

static bp_result take_logs(struct gather *g, struct wanted *w, bp_span collection)
{
    struct bp_evidence *e = bp_alloc(sizeof *e);
    uint8_t hash[32];
    bp_result r = BP_OK;
    if (e == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (!bp_failed(bp_evidence_read(collection, e))) {
        if (e->has_boot && w->has_log && w->boot.n == 0) {
            r = bp_hash(g->r->crypto, BP_HASH_SHA256, e->boot, hash);
            if (!bp_failed(r) && memcmp(hash, w->log, 32) == 0) {
                w->boot = copy(g, e->boot);
            }
        }
        if (e->has_ima && e->ima_from < w->ima && w->pieces < PIECES_MAX) {
            const bp_span part = entries(e->ima, e->ima_from, w->ima - e->ima_from);
            if (part.n > 0) {
                w->piece[w->pieces++] = copy(g, part);
                w->ima = e->ima_from;
            }
        }
    }
    bp_free(e);
    return bp_failed(r) ? r : g->r_copy;
}

static bp_result join(struct gather *g, const struct wanted *w, bp_span *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < w->pieces; i++) {
        n += w->piece[i].n;
    }
    uint8_t *p = g->blocks < BLOCKS_MAX ? bp_alloc(n) : NULL;
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    g->block[g->blocks++] = p;
    *ret = bp_span_of(p, n);
    for (size_t i = w->pieces; i-- > 0;) {
        memcpy(p, w->piece[i].p, w->piece[i].n);
        p += w->piece[i].n;
    }
    return BP_OK;
}

static bp_result look_back(struct gather *g, struct wanted *w)
{
    struct back back = {.cap = LOOK_BACK};
    back.digest = bp_alloc_array(LOOK_BACK, 32);
    bp_result r = back.digest == NULL
                      ? BP_FAIL(NO_MEMORY)
                      : bp_list_verdicts(g->r->store, g->v.device, g->v.seq, LOOK_BACK, add_back, &back);
    for (size_t i = 0; i < back.n && !bp_failed(r) && ((w->has_log && w->boot.n == 0) || w->ima > 0); i++) {
        bp_span s = BP_SPAN_EMPTY;
        /* What expired is not there any more; the search ends with what there is. */
        if (!bp_failed(bp_store_blob(g->r->store, bp_span_of(back.digest[i], 32), &s))) {
            r = take_logs(g, w, s);
        }
    }
    bp_free(back.digest);
    return r;
}

static bp_result add_logs(struct gather *g)
{
    struct bp_device_state state;
    if (g->b->state.n == 0) {
        return BP_OK;
    }
    struct wanted *w = bp_alloc(sizeof *w);
    if (w == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_device_state_read(g->b->state, &state);
    if (!bp_failed(r)) {
        memcpy(w->log, state.log, 32);
        w->has_log = state.has_log;
        w->ima = state.ima_count;
        r = look_back(g, w);
    }
    if (!bp_failed(r) && w->boot.n > 0) {
        g->b->log[g->b->logs++] = w->boot;
        if (w->pieces > 0 && w->ima == 0) {
            r = join(g, w, &g->b->log[g->b->logs++]);
        }
    }
    bp_free(w);
    return r;
}

bp_result bp_api_bundle(struct bp_api_reader *r, uint64_t verdict, int64_t device, bp_span *ret,
                        enum bp_problem *ret_problem)
{
    struct gather *g = bp_alloc(sizeof *g);
    struct bp_bundle *b = bp_alloc(sizeof *b);
    size_t n = 0;
    bp_result got = BP_FAIL(NO_MEMORY);
    *ret_problem = BP_P_NONE;
    if (g == NULL || b == NULL) {
        goto out;
    }
    g->r = r;
    g->b = b;
    g->r_copy = BP_OK;
    got = add_verdict(g, verdict, device, ret_problem);
    got = bp_failed(got) ? got : add_proof(g, ret_problem);
    got = bp_failed(got) ? got : add_inputs(g);
    got = bp_failed(got) ? got : add_references(g);
    got = bp_failed(got) ? got : add_logs(g);
    got = bp_failed(got) ? got : bp_bundle_write(b, r->room, r->room_cap, &n);
    if (!bp_failed(got)) {
        *ret = bp_span_of(r->room, n);
    } else if (bp_is(got, BP_E_NOT_FOUND)) {
        /* A blob that it rests on expired. */
        *ret_problem = BP_P_NOT_FOUND;
        got = BP_FAIL(DENIED);
    }
out:
    for (size_t i = 0; g != NULL && i < g->blocks; i++) {
        bp_free(g->block[i]);
    }
    bp_free(g);
    bp_free(b);
    return got;
}
