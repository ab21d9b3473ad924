/* SPDX-License-Identifier: Apache-2.0 */
/* agent/escrow - agent/lockout joined to the device listener, the root and the folder. */
#include "agent/agent.h"
#include "agent/lockout.h"
#include "agent/witness.h"

#include "base/secret.h"
#include "platform/openssl/envelope.h"

#define BP_MODULE AGENT

#define TARGET "/bedplate/v1/escrow"

struct escrow {
    struct bp_agent *a;
    bool is_said; /* the line of what went wrong stands already */
};

/* --- the port --- */

static bp_result load(void *self, struct bp_agent_lockout *ret)
{
    const struct escrow *x = self;
    return bp_state_lockout_load(x->a->state, ret);
}

static bp_result save(void *self, const struct bp_agent_lockout *v)
{
    const struct escrow *x = self;
    return bp_state_lockout_save(x->a->state, v);
}

static bp_result say_root(struct escrow *x, bp_result r, const struct bp_rot_trace *trace, const char *doing)
{
    if (bp_failed(r) && !bp_is(r, BP_E_DENIED)) {
        (void)bp_agent_say_root(x->a, r, trace, doing);
        x->is_said = true;
    }
    return r;
}

static bp_result look(void *self, bp_span value, struct bp_rot_hardening *ret)
{
    struct escrow *x = self;
    struct bp_rot_trace trace = {0, ""};
    return say_root(x, x->a->rot->ops->lockout(x->a->rot, value, ret, &trace), &trace, "looking at the lockout value");
}

static bp_result harden(void *self, bp_span value, struct bp_rot_hardening *ret)
{
    struct escrow *x = self;
    struct bp_rot_trace trace = {0, ""};
    return say_root(x, x->a->rot->ops->harden(x->a->rot, value, ret, &trace), &trace, "setting the lockout value");
}

/* What a call that did not end in 200 means; 404 is a server that has no such thing, and no failure. */
static bp_result judge_reply(struct escrow *x, const struct bp_reply *reply, const char *doing)
{
    if (reply->status == 404) {
        return BP_FAIL(NOT_FOUND);
    }
    (void)bp_agent_say_reply(x->a, reply, doing);
    x->is_said = true;
    return reply->status >= 500 ? BP_FAIL(CLOSED) : BP_FAIL(BAD_ARGUMENT);
}

static bp_result call(struct escrow *x, const char *target, const char *type, bp_span body, struct bp_reply *ret,
                      const char *doing)
{
    const bp_result r = bp_remote_call(x->a->device, target, type, body, ret);
    if (bp_failed(r)) {
        (void)bp_agent_say_call(x->a, r, x->a->device, doing);
        x->is_said = true;
        return r;
    }
    return ret->status == 200 ? BP_OK : judge_reply(x, ret, doing);
}

static bp_result seal(void *self, const uint8_t value[BP_ROT_AUTH_SIZE], uint8_t ret[BP_ENVELOPE_MAX], size_t *ret_n)
{
    struct escrow *x = self;
    struct bp_agent *a = x->a;
    struct bp_reply reply;
    struct bp_x509 cert;
    uint8_t plain[BP_LOCKOUT_MAX];
    size_t n = 0;
    BP_TRY(call(x, "/bedplate/v1/recovery", NULL, BP_SPAN_EMPTY, &reply, "asking for the recovery certificate"));
    const char *bad = bp_witness_key(a->crypto, bp_span_of(a->dev.anchor, a->dev.anchor_n), reply.body,
                                     BP_STATEMENT_RECOVERY, bp_agent_now_s(a) * 1000, &cert);
    if (bad != NULL) {
        (void)bp_agent_say(a, BP_REFUSED,
                           "the recovery certificate that %s shows is not accepted (%s). Nothing is sealed to it. Tell "
                           "the operators.",
                           a->dev.host, bad);
        x->is_said = true;
        return BP_FAIL(BAD_SIGNATURE);
    }
    const struct bp_lockout v = {.device_id = BP_SPAN_OF(a->dev.id), .value = bp_span_of(value, BP_ROT_AUTH_SIZE)};
    bp_result r = bp_lockout_write(&v, plain, sizeof plain, &n);
    if (!bp_failed(r)) {
        r = bp_envelope_seal(reply.body, bp_span_of(plain, n), ret, BP_ENVELOPE_MAX, ret_n);
    }
    bp_wipe(plain, sizeof plain);
    return r;
}

static bp_result tell(void *self, enum bp_escrow_state state, bp_span envelope)
{
    struct escrow *x = self;
    struct bp_agent *a = x->a;
    uint8_t body[BP_ESCROW_MAX];
    size_t n = 0;
    struct bp_reply reply;
    const struct bp_escrow e = {.device_id = BP_SPAN_OF(a->dev.id), .state = state, .envelope = envelope};
    BP_TRY(bp_escrow_write(&e, body, sizeof body, &n));
    BP_TRY(call(x, TARGET, BP_MEDIA_CBOR, bp_span_of(body, n), &reply, "giving the lockout value into escrow"));
    const bp_result r = bp_witness_escrowed(a->crypto, reply.body, &e);
    if (bp_failed(r)) {
        (void)bp_agent_say(a, BP_FAILED, "what %s answers to the escrow is not about it: %s. Nothing is set.", a->dev.host,
                           bp_error_text(bp_error_of(r)));
        x->is_said = true;
    }
    return r;
}

/* --- the call --- */

enum bp_outcome bp_agent_escrow(struct bp_agent *a)
{
    struct escrow x = {a, false};
    struct bp_agent_lockout v = {.stage = BP_LOCKOUT_NONE};
    struct bp_lockout_port p = {.self = &x, .entropy = &a->entropy, .load = load, .save = save, .look = look,
                                .harden = harden, .seal = seal, .tell = tell};
    bp_result r = bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(a->dev.anchor, a->dev.anchor_n), p.anchor);
    if (!bp_failed(r)) {
        r = bp_lockout_secure(&p, &v);
    }
    a->lockout = v.stage;
    bp_wipe(&v, sizeof v);
    if (!bp_failed(r) && a->lockout == BP_LOCKOUT_FOREIGN) {
        return bp_agent_say(a, BP_REFUSED,
                            "the chip has a lockout value that was not set from here. It is left alone and not in escrow; "
                            "whoever knows it can clear the chip.");
    }
    if (!bp_failed(r) || bp_is(r, BP_E_NOT_FOUND)) {
        return BP_DONE; /* set, or a server that keeps no escrow: the chip stays as it was */
    }
    return x.is_said ? (bp_is(r, BP_E_BAD_ARGUMENT) || bp_is(r, BP_E_BAD_SIGNATURE) ? BP_REFUSED : BP_FAILED)
                     : bp_agent_say(a, BP_FAILED, "the lockout value could not be put into escrow: %s.",
                                    bp_error_text(bp_error_of(r)));
}
