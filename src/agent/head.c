/* SPDX-License-Identifier: Apache-2.0 */
/* agent/head - the device as a witness: it keeps the newest head of the server's log and lets no other history pass.
 *
 * Only a head that the log's key signed is compared and kept: one that is kept is proof to anybody, against whoever signed
 * it. The key comes with a certificate by the root, which is asked for once and judged again whenever it is loaded.
 *
 * A log that was put back to a backup does not continue a head of what was lost. It may say so in itself (core/logbreak): then
 * its head is kept from there on, the void one beside it, and the person is told, once; the same statement never serves again. */
#include "agent/agent.h"
#include "agent/witness.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/logbreak.h"
#include "core/merkle.h"
#include "platform/alloc.h"

#define BP_MODULE AGENT

#define HEAD_FILE  "head"
#define KEY_FILE   "log.der"
#define BREAK_FILE "log-break" /* the statement that was accepted last */
#define VOID_FILE  "head.void" /* the head that it made void */

static bp_result read_head(bp_span text, struct bp_checkpoint *ret)
{
    struct bp_note note;
    BP_TRY(bp_note_read(text, &note));
    return bp_checkpoint_read(&note, ret);
}

static enum bp_outcome complain(struct bp_agent *a, const struct bp_checkpoint *old, const struct bp_checkpoint *now,
                                const char *why)
{
    return bp_agent_say(a, BP_REFUSED,
                        "the log of %s %s: kept head %" PRIu64 ", shown head %" PRIu64
                        ". Keep the state folder and tell the operators.",
                        a->dev.host, why, old->size, now->size);
}

static enum bp_outcome ask_proof(struct bp_agent *a, const struct bp_checkpoint *old, const struct bp_checkpoint *now)
{
    char target[96];
    struct bp_reply reply;
    struct bp_consistency proof;
    uint8_t hashes[BP_DEVICE_PROOF_MAX * BP_SHA256_SIZE];
    (void)snprintf(target, sizeof target, "/bedplate/v1/log/consistency?from=%" PRIu64 "&to=%" PRIu64, old->size,
                   now->size);
    bp_result r = bp_remote_call(a->device, target, NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, a->device, "asking for a consistency proof");
    }
    if (reply.status != 200) {
        return bp_agent_say_reply(a, &reply, "asking for a consistency proof");
    }
    r = bp_consistency_read(reply.body, &proof);
    if (bp_failed(r) || proof.from != old->size || proof.to != now->size) {
        return complain(a, old, now, "has no usable consistency proof");
    }
    for (uint32_t i = 0; i < proof.hashes; i++) {
        memcpy(hashes + (size_t)i * BP_SHA256_SIZE, proof.hash[i].p, BP_SHA256_SIZE);
    }
    r = bp_merkle_verify_consistency(a->crypto, old->size, now->size, old->root, now->root,
                                     bp_span_of(hashes, (size_t)proof.hashes * BP_SHA256_SIZE));
    return bp_failed(r) ? complain(a, old, now, "does not continue the one that was kept") : BP_DONE;
}

/* BP_DONE: the log goes on from what was kept. */
static enum bp_outcome continues(struct bp_agent *a, const struct bp_checkpoint *old, const struct bp_checkpoint *now)
{
    if (now->size < old->size) {
        return complain(a, old, now, "is shorter than the one that was kept");
    }
    if (now->size == old->size) {
        return memcmp(old->root, now->root, sizeof old->root) == 0 ? BP_DONE
                                                                   : complain(a, old, now, "has two roots for one size");
    }
    return old->size == 0 ? BP_DONE : ask_proof(a, old, now);
}

/* --- a history that was given up --- */

/* Whether this statement served before: a log that shows it again has another history behind it. */
static bool is_used(const struct bp_agent *a, bp_span event)
{
    uint8_t *kept = NULL;
    size_t n = 0;
    struct bp_log_break v;
    if (bp_failed(bp_state_text_load(a->state, BREAK_FILE, &kept, &n))) {
        return false;
    }
    const bool is_it = !bp_failed(bp_log_break_read(bp_span_of(kept, n), &v)) && bp_span_equal(v.event, event);
    bp_free(kept);
    return is_it;
}

struct broken {
    bp_span kept, shown; /* heads */
    const struct bp_checkpoint *old, *now;
};

/* The new head last but for the statement: a cut before it leaves everything to be asked again. */
static bp_result take_break(struct bp_agent *a, const struct broken *x, bp_span statement)
{
    BP_TRY(bp_state_text_save(a->state, VOID_FILE, x->kept));
    BP_TRY(bp_state_text_save(a->state, HEAD_FILE, x->shown));
    return bp_state_text_save(a->state, BREAK_FILE, statement);
}

/* False: nothing in the log says that what is kept is void, and `said` stays. */
static bool ask_break(struct bp_agent *a, const struct broken *x)
{
    char target[96];
    struct bp_reply reply;
    struct bp_log_break v;
    struct bp_log_gap_stated gap;
    const struct bp_log_head old = {x->old->size, x->old->root};
    const struct bp_log_head now = {x->now->size, x->now->root};
    (void)snprintf(target, sizeof target, "/bedplate/v1/log/break?from=%" PRIu64 "&to=%" PRIu64, old.size, now.size);
    if (bp_failed(bp_remote_call(a->device, target, NULL, BP_SPAN_EMPTY, &reply)) || reply.status != 200 ||
        bp_failed(bp_log_break_read(reply.body, &v)) || is_used(a, v.event) ||
        bp_failed(bp_log_break_check(a->crypto, &v, &old, &now, &gap))) {
        return false;
    }
    const bp_result r = take_break(a, x, reply.body);
    if (bp_failed(r)) {
        (void)bp_agent_say(a, BP_FAILED, "the log head cannot be stored: %s. Check the state folder's room.",
                           bp_error_text(bp_error_of(r)));
        return true;
    }
    (void)bp_agent_say(a, BP_REFUSED,
                       "the log of %s gave up its history from %" PRIu64 " to %" PRIu64 " events, as %.*s states in it: %.*s. "
                       "The head of %" PRIu64 " events that was kept is void (" VOID_FILE "); the log is followed from here on. "
                       "Ask the operators when this is news.",
                       a->dev.host, gap.kept, gap.lost, (int)gap.event.actor.n, (const char *)gap.event.actor.p, (int)gap.reason.n,
                       (const char *)gap.reason.p, old.size);
    return true;
}

/* BP_DONE with *ret_newer when the head shown is to be kept. */
static enum bp_outcome compare(struct bp_agent *a, bp_span kept, const struct bp_checkpoint *now, bool *ret_newer)
{
    struct bp_checkpoint old;
    char said[sizeof a->said];
    const struct broken x = {kept, bp_span_of(a->head, a->head_n), &old, now};
    *ret_newer = true;
    if (bp_failed(read_head(kept, &old))) {
        return BP_DONE; /* what is kept says nothing: begin anew */
    }
    *ret_newer = false;
    if (!bp_span_equal(old.origin, now->origin)) {
        return complain(a, &old, now, "has another name than before");
    }
    enum bp_outcome o = continues(a, &old, now);
    *ret_newer = o == BP_DONE && now->size > old.size;
    if (o != BP_REFUSED) {
        return o;
    }
    memcpy(said, a->said, sizeof said);
    if (!ask_break(a, &x)) {
        memcpy(a->said, said, sizeof said);
    }
    return o;
}

/* --- the log's key --- */

/* NULL: good, and taken. */
static const char *take_key(struct bp_agent *a, bp_span cert)
{
    struct bp_x509 key;
    const char *bad = bp_witness_key(a->crypto, bp_span_of(a->dev.anchor, a->dev.anchor_n), cert, BP_STATEMENT_LOG,
                                     bp_agent_now_s(a) * 1000, &key);
    if (bad == NULL && key.spki.n > sizeof a->log_spki) {
        bad = "the key is too long";
    }
    if (bad == NULL) {
        memcpy(a->log_spki, key.spki.p, key.spki.n);
        a->log_spki_n = key.spki.n;
    }
    return bad;
}

static enum bp_outcome fetch_key(struct bp_agent *a)
{
    struct bp_reply reply;
    bp_result r = bp_remote_call(a->device, "/bedplate/v1/log/certificate", NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, a->device, "asking for the certificate of the log's key");
    }
    if (reply.status != 200) {
        return bp_agent_say_reply(a, &reply, "asking for the certificate of the log's key");
    }
    const char *bad = take_key(a, reply.body);
    if (bad != NULL) {
        return bp_agent_say(a, BP_REFUSED, "the certificate that %s shows for its log is not accepted (%s). Tell the operators.",
                            a->dev.host, bad);
    }
    r = bp_state_text_save(a->state, KEY_FILE, reply.body);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED,
                                       "the certificate of the log's key cannot be stored: %s. Check the state folder's room.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

/* The kept one when it is still good, else the server's. *ret_is_fresh: it was asked for now. */
static enum bp_outcome need_key(struct bp_agent *a, bool *ret_is_fresh)
{
    uint8_t *cert = NULL;
    size_t n = 0;
    *ret_is_fresh = false;
    if (a->log_spki_n != 0) {
        return BP_DONE;
    }
    const bool is_kept =
        !bp_failed(bp_state_text_load(a->state, KEY_FILE, &cert, &n)) && take_key(a, bp_span_of(cert, n)) == NULL;
    bp_free(cert);
    *ret_is_fresh = !is_kept;
    return is_kept ? BP_DONE : fetch_key(a);
}

/* BP_DONE: the head shown is the log's, and in *ret. A key that took the place of the kept one is asked for once. */
static enum bp_outcome verify(struct bp_agent *a, bp_span shown, struct bp_checkpoint *ret)
{
    bool is_fresh = false;
    bool is_unsigned = false;
    enum bp_outcome o = need_key(a, &is_fresh);
    if (o != BP_DONE) {
        return o;
    }
    const char *bad =
        bp_witness_head(a->crypto, shown, a->dev.host, bp_span_of(a->log_spki, a->log_spki_n), ret, &is_unsigned);
    if (bad != NULL && is_unsigned && !is_fresh) {
        o = fetch_key(a);
        if (o != BP_DONE) {
            return o;
        }
        bad = bp_witness_head(a->crypto, shown, a->dev.host, bp_span_of(a->log_spki, a->log_spki_n), ret, &is_unsigned);
    }
    return bad == NULL ? BP_DONE
                       : bp_agent_say(a, BP_REFUSED, "the log head that %s shows %s. It is not kept. Tell the operators.",
                                      a->dev.host, bad);
}

enum bp_outcome bp_agent_check_head(struct bp_agent *a)
{
    struct bp_checkpoint now;
    uint8_t *kept = NULL;
    size_t kept_n = 0;
    bool is_newer = true;
    const bp_span shown = bp_span_of(a->head, a->head_n);
    if (a->head_n == 0) {
        return BP_DONE;
    }
    enum bp_outcome o = verify(a, shown, &now);
    if (o != BP_DONE) {
        return o;
    }
    if (!bp_failed(bp_state_text_load(a->state, HEAD_FILE, &kept, &kept_n))) {
        o = compare(a, bp_span_of(kept, kept_n), &now, &is_newer);
        bp_free(kept);
    }
    if (o != BP_DONE || !is_newer) {
        return o;
    }
    const bp_result r = bp_state_text_save(a->state, HEAD_FILE, shown);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the log head cannot be stored: %s. Check the state folder's room.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}
