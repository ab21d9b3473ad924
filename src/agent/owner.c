/* SPDX-License-Identifier: Apache-2.0 */
/* agent/owner - the device knows whose it is (docs/protocol/ownership.md): it trusts a server only when the chain of ownership
 * from its maker ends at that server's owner, remembers how far the chain went, and erases its owner's keys when it is given
 * to another one.
 *
 * What it remembers lies in owner.cbor, and its epoch goes with a counter of the root where the root has one to give: an older
 * copy of the file is noticed. Each change is written down before the counter moves, so that a power cut between the two is
 * told from an old copy. */
#include "agent/agent.h"
#include "agent/owner.h"

#include <stdio.h>

#include "base/secret.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "core/erasure.h"
#include "core/tpmkey.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE AGENT

#define OWNERSHIP_PATH "/bedplate/v1/ownership?device="
#define QUOTED_PCRS    1u /* PCR 0: a quote must name one, and which does not matter here */

/* --- what is remembered --- */

static enum bp_outcome save(struct bp_agent *a, const struct bp_agent_owner *o)
{
    const bp_result r = bp_state_owner_save(a->state, o);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s.", bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

enum bp_outcome bp_agent_owner_load(struct bp_agent *a, struct bp_agent_owner *ret)
{
    const bp_result r = bp_state_owner_load(a->state, ret);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        *ret = (struct bp_agent_owner){.epoch = 0};
        return BP_DONE;
    }
    return bp_failed(r) ? bp_agent_say(a, BP_REFUSED,
                                       "what the device knows of its owner cannot be read: %s. It trusts no server before that is "
                                       "put right.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

/* --- the counter --- */

static int64_t now_ms(const struct bp_agent *a)
{
    return bp_agent_now_s(a) * 1000;
}

/* The step that was written down, and its result. */
static enum bp_outcome step(struct bp_agent *a, struct bp_agent_owner *o)
{
    struct bp_rot_counter next = {0};
    struct bp_rot_trace trace = {0, ""};
    const bp_result r =
        a->rot->ops->counter_step(a->rot, &o->counter, BP_SPAN_OF(o->counter_auth), now_ms(a), &next, &trace);
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "counting a change of owner");
    }
    o->counter = next;
    o->is_stepping = false;
    return save(a, o);
}

static enum bp_outcome make_counter(struct bp_agent *a, struct bp_agent_owner *o)
{
    struct bp_rot_trace trace = {0, ""};
    if (bp_failed(bp_random(&a->entropy, o->counter_auth, sizeof o->counter_auth))) {
        return bp_agent_say(a, BP_FAILED, "the system gives no random bytes.");
    }
    /* A chip that has none left, or one whose counter somebody else made, remembers in the folder alone; status tells. */
    o->has_counter =
        !bp_failed(a->rot->ops->counter_make(a->rot, 0, BP_SPAN_OF(o->counter_auth), now_ms(a), &o->counter, &trace));
    if (!o->has_counter) {
        o->counter = (struct bp_rot_counter){0};
        bp_wipe(o->counter_auth, sizeof o->counter_auth);
    }
    return save(a, o);
}

/* Takes a new epoch into memory: first on paper, then by the counter. */
static enum bp_outcome advance(struct bp_agent *a, struct bp_agent_owner *o, const struct bp_own_state *s)
{
    if (o->epoch == s->epoch) {
        return BP_DONE;
    }
    const bool is_first = o->epoch == 0;
    memcpy(o->anchor, s->anchor, sizeof o->anchor);
    memcpy(o->head, s->head, sizeof o->head);
    o->epoch = s->epoch;
    if (is_first) {
        return make_counter(a, o);
    }
    o->is_stepping = o->has_counter;
    const enum bp_outcome r = save(a, o);
    return r == BP_DONE && o->is_stepping ? step(a, o) : r;
}

static enum bp_outcome check_counter(struct bp_agent *a, struct bp_agent_owner *o)
{
    struct bp_rot_trace trace = {0, ""};
    uint64_t value = 0;
    if (!o->has_counter) {
        return BP_DONE;
    }
    const bp_result r = a->rot->ops->counter_read(a->rot, &o->counter, BP_SPAN_OF(o->counter_auth), &value, &trace);
    if (bp_is(r, BP_E_NOT_FOUND) || bp_is(r, BP_E_REPLAYED)) {
        return bp_agent_say(a, BP_REFUSED,
                            "the chip does not know the changes of owner that this folder knows: it was exchanged or reset. "
                            "Begin with a new folder.");
    }
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "reading the counter of owners");
    }
    if (value == o->counter.value) {
        return o->is_stepping ? step(a, o) : BP_DONE;
    }
    if (o->is_stepping && value == o->counter.value + 1) { /* cut off behind the step */
        o->counter.value = value;
        o->counter.writes++;
        o->is_stepping = false;
        return save(a, o);
    }
    return bp_agent_say(a, BP_REFUSED,
                        "the state folder is older than the chip: the device has changed its owner since. Put the newer folder "
                        "back.");
}

enum bp_outcome bp_agent_owner_check(struct bp_agent *a)
{
    struct bp_agent_owner o;
    enum bp_outcome r = bp_agent_owner_load(a, &o);
    r = r == BP_DONE ? check_counter(a, &o) : r;
    bp_wipe(&o, sizeof o);
    return r;
}

/* --- who am I, before anybody tells --- */

static enum bp_outcome own_id(struct bp_agent *a, uint8_t ret[BP_DEVID_SIZE])
{
    struct bp_rot_identity *id = bp_alloc(sizeof *id);
    struct bp_rot_trace trace = {0, ""};
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    uint8_t spki[BP_SPKI_MAX];
    size_t n = 0;
    bp_result r = id != NULL ? a->rot->ops->identity(a->rot, 0, id, &trace) : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = bp_tpm_public_read(bp_span_of(id->pub, id->pub_n), &pub);
    }
    if (!bp_failed(r)) {
        r = bp_tpm_pubkey(&pub, &room, &key);
    }
    if (!bp_failed(r)) {
        r = bp_spki_write(&key, spki, sizeof spki, &n);
    }
    if (!bp_failed(r)) {
        r = bp_devid_of_spki(a->crypto, bp_span_of(spki, n), ret);
    }
    bp_free(id);
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, "reading the identity key") : BP_DONE;
}

/* --- the maker --- */

static enum bp_outcome take_maker(struct bp_agent *a, const char *maker, struct bp_agent_owner *o)
{
    static const char prefix[] = "sha256:";
    uint8_t anchor[BP_SHA256_SIZE];
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (strncmp(maker, prefix, sizeof prefix - 1) == 0) {
        if (!bp_agent_hash_of_text(maker + sizeof prefix - 1, anchor)) {
            return bp_agent_say(a, BP_USAGE, "--maker %s: not 64 lower-case hex digits.", maker);
        }
    } else {
        bp_result r = bp_file_read(maker, BP_FILE_PUBLIC, BP_OWNERSHIP_ANCHOR_MAX, &bytes, &n);
        struct bp_maker_anchor v;
        if (!bp_failed(r)) {
            r = bp_maker_anchor_read(bp_span_of(bytes, n), &v);
        }
        if (!bp_failed(r)) {
            r = bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(bytes, n), anchor);
        }
        bp_free(bytes);
        if (bp_failed(r)) {
            return bp_agent_say(a, BP_USAGE, "--maker %s: no maker's anchor there: %s.", maker, bp_error_text(bp_error_of(r)));
        }
    }
    if (o->has_maker && memcmp(o->anchor, anchor, sizeof anchor) != 0) {
        return bp_agent_say(a, BP_REFUSED, "this device has another maker already, and a device has one maker for good.");
    }
    o->has_maker = true;
    memcpy(o->anchor, anchor, sizeof anchor);
    return o->epoch == 0 ? save(a, o) : BP_DONE;
}

/* --- the chain that a server shows --- */

struct shown {
    uint8_t *bytes;
    struct bp_ownership_chain chain;
    struct bp_own_state state;
};

static void shown_free(struct shown *x)
{
    if (x != NULL) {
        bp_free(x->bytes);
    }
    bp_free(x);
}

static enum bp_outcome refuse(struct bp_agent *a, enum bp_own_fault f)
{
    return bp_agent_say(a, BP_REFUSED, "%s is not trusted: %s [%s]. Nothing was sent to it.", a->dev.host, bp_own_fault_text(f),
                        bp_own_fault_code(f));
}

/* Fetches the chain of this device and walks it, from what is remembered on. */
static enum bp_outcome fetch(struct bp_agent *a, struct bp_remote *server, const struct bp_agent_owner *o,
                             const uint8_t id[BP_DEVID_SIZE], bool is_present, struct shown **ret)
{
    char target[sizeof OWNERSHIP_PATH + BP_DEVID_HEX] = OWNERSHIP_PATH;
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    struct bp_reply reply;
    bp_devid_hex(id, target + sizeof OWNERSHIP_PATH - 1);
    bp_result r = bp_remote_call(server, target, NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, server, "asking for the chain of ownership");
    }
    if (reply.status != 200) {
        return bp_agent_say_reply(a, &reply, "asking for the chain of ownership, without which this device trusts no server");
    }
    struct shown *x = bp_alloc(sizeof *x);
    if (x == NULL || (x->bytes = bp_alloc(reply.body.n)) == NULL) {
        bp_free(x);
        return bp_agent_say(a, BP_FAILED, "no memory for the chain of ownership.");
    }
    memcpy(x->bytes, reply.body.p, reply.body.n);
    r = bp_ownership_chain_read(bp_span_of(x->bytes, reply.body.n), &x->chain);
    const struct bp_own_ask ask = {.device_id = bp_span_of(id, BP_DEVID_SIZE),
                                   .anchor = o->anchor,
                                   .epoch = o->epoch,
                                   .head = o->head,
                                   .now_ms = now_ms(a),
                                   .is_present = is_present,
                                   .scratch = scratch};
    const enum bp_own_fault f = bp_failed(r) ? BP_OWN_FORM : bp_ownership_walk(a->crypto, &ask, &x->chain, &x->state);
    if (f != BP_OWN_NONE) {
        shown_free(x);
        return refuse(a, f);
    }
    *ret = x;
    return BP_DONE;
}

/* The root that the server shows, if the owner at the end of the chain vouches for it. */
static enum bp_outcome take_root(struct bp_agent *a, struct bp_remote *server, const struct shown *x)
{
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    uint8_t root[BP_SHA256_SIZE];
    struct bp_reply reply;
    bp_result r = bp_remote_call(server, "/bedplate/v1/anchor", NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, server, "asking for the root certificate");
    }
    if (reply.status != 200 || reply.body.n > sizeof a->dev.anchor) {
        return bp_agent_say_reply(a, &reply, "asking for the root certificate");
    }
    r = bp_hash(a->crypto, BP_HASH_SHA256, reply.body, root);
    const enum bp_own_fault f =
        bp_failed(r) ? BP_OWN_ROOT : bp_ownership_vouches(a->crypto, &x->state, x->chain.card, root, scratch);
    if (f != BP_OWN_NONE) {
        return refuse(a, f);
    }
    memcpy(a->dev.anchor, reply.body.p, reply.body.n);
    a->dev.anchor_n = reply.body.n;
    return BP_DONE;
}

/* Over a connection that proves nothing: all that is asked for proves itself, and nothing is told. */
static enum bp_outcome prove(struct bp_agent *a, struct bp_agent_owner *o, bool is_present)
{
    uint8_t id[BP_DEVID_SIZE];
    struct bp_remote *server = NULL;
    struct shown *x = NULL;
    const struct bp_remote_spec spec = {
        .host = a->dev.host, .connect = a->dev.connect, .port = a->dev.enrol_port, .is_unproven = true};
    enum bp_outcome r = check_counter(a, o);
    r = r == BP_DONE ? own_id(a, id) : r;
    if (r == BP_DONE && bp_failed(bp_remote_new(&spec, &server))) {
        r = bp_agent_say(a, BP_FAILED, "preparing TLS failed.");
    }
    r = r == BP_DONE ? fetch(a, server, o, id, is_present, &x) : r;
    r = r == BP_DONE ? take_root(a, server, x) : r;
    r = r == BP_DONE ? advance(a, o, &x->state) : r;
    shown_free(x);
    bp_remote_free(server);
    return r;
}

enum bp_outcome bp_agent_prove_owner(struct bp_agent *a, const char *maker, bool is_present, bool *ret_proven)
{
    struct bp_agent_owner o;
    *ret_proven = false;
    enum bp_outcome r = bp_agent_owner_load(a, &o);
    if (r == BP_DONE && maker != NULL) {
        r = take_maker(a, maker, &o);
    }
    if (r == BP_DONE && o.has_maker) {
        *ret_proven = true;
        r = prove(a, &o, is_present);
        if (r == BP_REFUSED) {
            BP_IGNORE(bp_agent_keep_last(a, a->said), "it is told here too");
        }
    }
    bp_wipe(&o, sizeof o);
    return r;
}

/* --- it is given to another owner --- */

/* States that the owner's keys are erased, signed by the attestation key, which goes with them. The caller writes it down,
 * together with the epoch. */
static enum bp_outcome state_it(struct bp_agent *a, struct bp_agent_owner *o, const struct bp_own_state *s)
{
    uint8_t extra[BP_SHA256_SIZE];
    struct bp_rot_statement quote;
    struct bp_rot_pcrs pcrs;
    struct bp_rot_trace trace = {0, ""};
    struct bp_owner_erasure v = {
        .device_id = BP_SPAN_OF(a->dev.id), .epoch = s->epoch, .head = BP_SPAN_OF(s->head), .time_ms = now_ms(a)};
    bp_result r = bp_owner_erasure_hash(a->crypto, &v, extra);
    if (!bp_failed(r)) {
        r = a->rot->ops->quote(a->rot, bp_span_of(a->dev.ak.v, a->dev.ak.n), BP_SPAN_OF(a->dev.ak_auth), BP_TPM_ALG_SHA256,
                               QUOTED_PCRS, BP_SPAN_OF(extra), &quote, &pcrs, &trace);
    }
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "stating that the device leaves");
    }
    v.attest = bp_span_of(quote.attest, quote.attest_n);
    v.sig = bp_span_of(quote.sig, quote.sig_n);
    r = bp_owner_erasure_write(&v, o->erasure, sizeof o->erasure, &o->erasure_n);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the statement of leaving cannot be written: %s.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

/* Keys, certificates and what was sealed for the owner; the address stays until the statement has come there. */
static enum bp_outcome erase(struct bp_agent *a)
{
    bp_remote_free(a->device);
    a->device = NULL;
    bp_wipe(&a->slot, sizeof a->slot);
    bp_wipe(&a->dev.ak, sizeof a->dev.ak);
    bp_wipe(a->dev.ak_auth, sizeof a->dev.ak_auth);
    bp_result r = bp_agent_services_forget(a);
    if (!bp_failed(r)) {
        r = bp_state_forget(a->state);
    }
    if (!bp_failed(r)) {
        r = bp_state_device_save(a->state, &a->dev);
    }
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the owner's keys cannot be erased: %s.", bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

/* Goes on where it was cut off: statement, erasure, then the owner of before is told, last the address is forgotten. */
static enum bp_outcome leave(struct bp_agent *a, struct bp_agent_owner *o)
{
    struct bp_remote *server = NULL;
    struct bp_reply reply;
    const struct bp_remote_spec spec = {.host = a->dev.host,
                                        .connect = a->dev.connect,
                                        .port = a->dev.enrol_port,
                                        .anchor = bp_span_of(a->dev.anchor, a->dev.anchor_n),
                                        .clock = &a->running};
    enum bp_outcome out = erase(a);
    if (out != BP_DONE) {
        return out;
    }
    bp_result r = bp_remote_new(&spec, &server);
    if (!bp_failed(r)) {
        r = bp_remote_call(server, "/bedplate/v1/left", BP_MEDIA_CBOR, bp_span_of(o->erasure, o->erasure_n), &reply);
    }
    if (bp_failed(r)) {
        out = server != NULL ? bp_agent_say_call(a, r, server, "telling the owner of before that the keys are erased")
                             : bp_agent_say(a, BP_FAILED, "preparing TLS failed.");
    } else if (reply.status != 200) {
        out = bp_agent_say_reply(a, &reply, "telling the owner of before that the keys are erased");
    }
    bp_remote_free(server);
    if (out != BP_DONE) {
        return out;
    }
    o->erasure_n = 0;
    a->dev.host[0] = a->dev.connect[0] = '\0';
    a->dev.anchor_n = 0;
    a->dev.has_id = false;
    r = bp_state_device_save(a->state, &a->dev);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s.", bp_error_text(bp_error_of(r)))
                        : save(a, o);
}

/* Whether the chain goes on to another owner than this server's. */
static enum bp_outcome is_given_away(struct bp_agent *a, struct bp_agent_owner *o, struct shown **ret)
{
    struct bp_remote *server = NULL;
    struct shown *x = NULL;
    const struct bp_remote_spec spec = {.host = a->dev.host,
                                        .connect = a->dev.connect,
                                        .port = a->dev.enrol_port,
                                        .anchor = bp_span_of(a->dev.anchor, a->dev.anchor_n),
                                        .clock = &a->running};
    const bp_result r = bp_remote_new(&spec, &server);
    enum bp_outcome out = bp_failed(r) ? bp_agent_say(a, BP_FAILED, "preparing TLS failed.")
                                       : fetch(a, server, o, a->dev.id, false, &x);
    bp_remote_free(server);
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    uint8_t root[BP_SHA256_SIZE];
    enum bp_own_fault f = BP_OWN_NONE;
    if (out == BP_DONE && !bp_failed(bp_hash(a->crypto, BP_HASH_SHA256, spec.anchor, root))) {
        f = bp_ownership_vouches(a->crypto, &x->state, x->chain.card, root, scratch);
    }
    if (out == BP_DONE && (x->state.epoch <= o->epoch || (f != BP_OWN_OWNER && f != BP_OWN_ENDED))) {
        shown_free(x);
        return bp_agent_say(a, BP_REFUSED, "%s says that this device was handed over, and its chain of ownership does not.",
                            a->dev.host);
    }
    *ret = x;
    return out;
}

enum bp_outcome bp_agent_hand_over(struct bp_agent *a)
{
    struct bp_agent_owner o;
    struct shown *x = NULL;
    enum bp_outcome r = bp_agent_owner_load(a, &o);
    if (r == BP_DONE && !o.has_maker) {
        r = bp_agent_say(a, BP_REFUSED,
                         "%s says that this device was handed over. It has no maker's anchor to check that by: nothing is erased. "
                         "Ownership is enforced by the server alone here.",
                         a->dev.host);
    }
    r = r == BP_DONE ? check_counter(a, &o) : r;
    if (r == BP_DONE && o.erasure_n == 0) {
        r = is_given_away(a, &o, &x);
        if (r == BP_DONE && x != NULL) {
            r = state_it(a, &o, &x->state);
            r = r == BP_DONE ? advance(a, &o, &x->state) : r;
        }
    }
    r = r == BP_DONE ? leave(a, &o) : r;
    shown_free(x);
    bp_wipe(&o, sizeof o);
    return r;
}

bool bp_agent_is_leaving(struct bp_agent *a)
{
    struct bp_agent_owner o;
    const bool is_leaving = bp_agent_owner_load(a, &o) == BP_DONE && o.erasure_n != 0;
    bp_wipe(&o, sizeof o);
    return is_leaving;
}
