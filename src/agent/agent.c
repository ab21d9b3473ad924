/* SPDX-License-Identifier: Apache-2.0 */
/* agent/agent - what the commands share. */
#include "agent/agent.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/est.h"
#include "codec/tpm.h"
#include "codec/x509.h"
#include "core/tpmkey.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"
#include "rot/tpm2/tpm2.h"

#define BP_MODULE AGENT

#define SPKI_ROOM    128u /* of a P-256 key: 91 */
#define CMS_ROOM     16384u
#define CACHE_KEYS   4u

/* --- words --- */

enum bp_outcome bp_agent_say(struct bp_agent *a, enum bp_outcome o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(a->said, sizeof a->said, fmt, ap);
    va_end(ap);
    return o;
}

enum bp_outcome bp_agent_say_root(struct bp_agent *a, bp_result r, const struct bp_rot_trace *trace, const char *doing)
{
    const char *next = bp_is(r, BP_E_MISMATCH) ? "The chip was cleared or is another one: enrol anew"
                       : bp_is(r, BP_E_BUSY)   ? "It may work later"
                       : bp_is(r, BP_E_CLOSED) ? "Check that the root named at enrolment is there"
                                               : "Look at the root of trust";
    const enum bp_outcome o = bp_is(r, BP_E_DENIED) || bp_is(r, BP_E_MISMATCH) ? BP_REFUSED : BP_FAILED;
    if (trace != NULL && trace->what != NULL && trace->what[0] != '\0') {
        const char *what = bp_is(r, BP_E_MISMATCH) ? "they are not of this chip" : bp_error_text(bp_error_of(r));
        return bp_agent_say(a, o, "%s: root of trust: %s (%s, code 0x%x). %s.", doing, what, trace->what,
                            (unsigned)trace->rc, next);
    }
    return bp_agent_say(a, o, "%s: %s. %s.", doing, bp_error_text(bp_error_of(r)), next);
}

enum bp_outcome bp_agent_say_call(struct bp_agent *a, bp_result r, const struct bp_remote *s, const char *doing)
{
    const char *detail = s != NULL ? bp_remote_trace(s) : "";
    char at[BP_TIME_ROOM];
    if (bp_is(r, BP_E_DENIED)) {
        bp_agent_time(bp_agent_now_s(a), at);
        return bp_agent_say(a, BP_FAILED, "%s: no answer from %s: %s%s%s. Check the anchor, the server's name and the clock (%s).",
                            doing, a->dev.host, bp_error_text(bp_error_of(r)), detail[0] != '\0' ? ": " : "", detail, at);
    }
    return bp_agent_say(a, BP_FAILED, "%s: no answer from %s: %s%s%s. Check that the server runs and can be reached.", doing,
                        a->dev.host, bp_error_text(bp_error_of(r)), detail[0] != '\0' ? ": " : "", detail);
}

enum bp_outcome bp_agent_say_reply(struct bp_agent *a, const struct bp_reply *reply, const char *doing)
{
    const enum bp_outcome o = reply->status >= 500 ? BP_FAILED : BP_REFUSED;
    a->retry_after_s = reply->retry_after_s;
    return bp_agent_say(a, o, "%s: %s says no: %s (status %u%s%s)%s%s", doing, a->dev.host,
                        reply->detail[0] != '\0' ? reply->detail : "no reason given", (unsigned)reply->status,
                        reply->code[0] != '\0' ? ", " : "", reply->code, reply->action[0] != '\0' ? ". " : ".",
                        reply->action);
}

const char *bp_tier_name(uint32_t tier)
{
    return tier == 2 ? "affirming" : tier == 32 ? "warning" : tier == 96 ? "contraindicated" : "none";
}

/* --- opening --- */

enum bp_outcome bp_agent_open_root(struct bp_agent *a)
{
    static const char prefix[] = "tpm2:";
    struct bp_rot_trace trace = {0, ""};
    if (strncmp(a->dev.root, prefix, sizeof prefix - 1) != 0) {
        return bp_agent_say(a, BP_USAGE, "root %s: only tpm2:TCTI is known.", a->dev.root);
    }
    const bp_result r = bp_rot_tpm2_new(a->dev.root + sizeof prefix - 1, &a->rot, &trace);
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, a->dev.root) : BP_DONE;
}

static enum bp_outcome say_state(struct bp_agent *a, bp_result r, const char *dir)
{
    if (bp_is(r, BP_E_BUSY)) {
        return bp_agent_say(a, BP_FAILED, "%s: another agent uses this folder. Stop it first.", dir);
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return bp_agent_say(a, BP_REFUSED, "%s: this device is not enrolled. Run `bedplate-agent enroll`.", dir);
    }
    return bp_agent_say(a, BP_FAILED, "%s: %s.", dir, bp_error_text(bp_error_of(r)));
}

static int64_t running_ms(void *self)
{
    return bp_agent_now_s(self) * 1000;
}

static int64_t running_mono_ms(void *self)
{
    const struct bp_agent *a = self;
    return bp_mono_ms(&a->clock);
}

enum bp_outcome bp_agent_open(struct bp_agent *a, const char *dir, bool make)
{
    *a = (struct bp_agent){.at = BP_SLOTS};
    a->clock = bp_clock_linux();
    a->running = (struct bp_clock){a, running_ms, running_mono_ms};
    a->entropy = bp_entropy_linux();
    bp_result r = bp_crypto_openssl_new(CACHE_KEYS, &a->crypto);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "OpenSSL: %s.", bp_error_text(bp_error_of(r)));
    }
    r = bp_state_open(dir, make, true, &a->state);
    if (bp_failed(r)) {
        return say_state(a, r, dir);
    }
    r = bp_state_device_load(a->state, &a->dev);
    if (make && bp_is(r, BP_E_NOT_FOUND)) {
        return BP_DONE;
    }
    return bp_failed(r) ? say_state(a, r, dir) : BP_DONE;
}

void bp_agent_close(struct bp_agent *a)
{
    bp_remote_free(a->device);
    if (a->rot != NULL) {
        bp_rot_tpm2_free(a->rot);
    }
    bp_crypto_openssl_free(a->crypto);
    bp_state_free(a->state);
    bp_free(a->head);
    bp_wipe(a, sizeof *a);
}

/* --- keys --- */

bp_result bp_agent_spki(const struct bp_agent *a, bp_span blob, uint8_t *ret, size_t cap, size_t *ret_n,
                        uint8_t ret_hash[BP_SHA256_SIZE])
{
    bp_span area;
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    BP_TRY(a->rot->ops->key_public(a->rot, blob, &area));
    BP_TRY(bp_tpm_public_read(area, &pub));
    BP_TRY(bp_tpm_pubkey(&pub, &room, &key));
    BP_TRY(bp_spki_write(&key, ret, cap, ret_n));
    return bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(ret, *ret_n), ret_hash);
}

static bp_span blob_of(const struct bp_rot_blob *b)
{
    return bp_span_of(b->v, b->n);
}

static bp_span auth_of(const struct bp_agent_slot *slot)
{
    return slot->is_open ? BP_SPAN_EMPTY : BP_SPAN_OF(slot->auth);
}

enum bp_outcome bp_agent_make_key(struct bp_agent *a, uint64_t generation, struct bp_agent_slot *ret)
{
    struct bp_rot_trace trace = {0, ""};
    *ret = (struct bp_agent_slot){.generation = generation};
    bp_result r = bp_random(&a->entropy, ret->auth, sizeof ret->auth);
    if (!bp_failed(r)) {
        r = a->rot->ops->key_make(a->rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_OF(ret->auth), &ret->key, &trace);
    }
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, "making a device key") : BP_DONE;
}

/* A handshake's signature, made in the root. */
static bp_result sign_handshake(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    const struct bp_agent_signer *s = self;
    return s->rot->ops->sign(s->rot, blob_of(&s->slot->key), BP_SPAN_OF(s->slot->auth), bp_span_of(digest, 32), ret,
                             NULL);
}

enum bp_outcome bp_agent_use_slot(struct bp_agent *a, enum bp_slot_name at)
{
    uint8_t spki[SPKI_ROOM];
    size_t n = 0;
    struct bp_x509 cert;
    bp_result r = bp_state_slot_load(a->state, at, &a->slot);
    if (!bp_failed(r)) {
        r = bp_agent_spki(a, blob_of(&a->slot.key), spki, sizeof spki, &n, a->ldevid);
    }
    if (!bp_failed(r)) {
        r = bp_x509_read(bp_span_of(a->slot.cert, a->slot.cert_n), &cert);
    }
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "the stored credential is not usable: %s. Enrol anew.",
                            bp_error_text(bp_error_of(r)));
    }
    /* Said here, and not as a handshake that fails: it is what a thief of the disk, or an owner after a clear, sees. */
    struct bp_rot_trace trace = {0, ""};
    r = a->rot->ops->key_load(a->rot, blob_of(&a->dev.ak), &trace);
    if (!bp_failed(r)) {
        r = a->rot->ops->key_load(a->rot, blob_of(&a->slot.key), &trace);
    }
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "opening this device's keys");
    }
    a->at = at;
    a->not_before_s = cert.not_before_s;
    a->not_after_s = cert.not_after_s;
    r = bp_renewal_lot(a->crypto, BP_SPAN_OF(a->dev.id), cert.serial, &a->lot);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "OpenSSL: %s.", bp_error_text(bp_error_of(r)));
    }
    a->has_window = false; /* the one that was told was another certificate's */
    a->signer = (struct bp_agent_signer){a->rot, &a->slot};
    bp_remote_free(a->device);
    a->device = NULL;
    return bp_agent_connect(a, &a->signer, &a->device);
}

/* --- requests for certificates --- */

enum bp_outcome bp_agent_request(struct bp_agent *a, const struct bp_agent_slot *slot, bp_span evidence, uint8_t *ret,
                                 size_t cap, size_t *ret_n)
{
    const size_t info_cap = BP_AGENT_REQUEST_ROOM + evidence.n;
    uint8_t spki[SPKI_ROOM];
    uint8_t *info = bp_alloc(info_cap);
    uint8_t digest[BP_SHA256_SIZE];
    uint8_t raw[64];
    char name[BP_DEVID_SHORT];
    size_t spki_n = 0;
    size_t info_n = 0;
    struct bp_rot_trace trace = {0, ""};
    bp_devid_short(a->dev.id, name);
    bp_result r = info == NULL ? BP_FAIL(NO_MEMORY)
                               : bp_agent_spki(a, blob_of(&slot->key), spki, sizeof spki, &spki_n, digest);
    if (!bp_failed(r)) {
        r = bp_est_info_evidence_write(bp_span_cstr(name), bp_span_of(spki, spki_n), evidence, info, info_cap, &info_n);
    }
    if (!bp_failed(r)) {
        r = bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(info, info_n), digest);
    }
    if (!bp_failed(r)) {
        r = a->rot->ops->sign(a->rot, blob_of(&slot->key), auth_of(slot), BP_SPAN_OF(digest), raw, &trace);
    }
    if (!bp_failed(r)) {
        r = bp_est_request_write(bp_span_of(info, info_n), BP_SPAN_OF(raw), ret, cap, ret_n);
    }
    bp_free(info);
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, "signing a certificate request") : BP_DONE;
}

/* The certificate of the answer that is for our key. */
static bp_result take_cert(const struct bp_agent *a, bp_span body, struct bp_agent_slot *slot, uint8_t *room)
{
    uint8_t spki[SPKI_ROOM];
    uint8_t hash[BP_SHA256_SIZE];
    size_t spki_n = 0;
    size_t count = 0;
    bp_span certs[BP_EST_CERTS_MAX];
    struct bp_x509 cert;
    BP_TRY(bp_agent_spki(a, blob_of(&slot->key), spki, sizeof spki, &spki_n, hash));
    bp_wr wr = bp_wr_over(room, CMS_ROOM);
    bp_base64_read_wrapped(&wr, body);
    BP_TRY(bp_wr_finish(&wr));
    BP_TRY(bp_est_certs_read(bp_wr_span(&wr), certs, &count));
    for (size_t i = 0; i < count; i++) {
        if (!bp_failed(bp_x509_read(certs[i], &cert)) && bp_span_equal(cert.spki, bp_span_of(spki, spki_n)) &&
            certs[i].n <= sizeof slot->cert) {
            memcpy(slot->cert, certs[i].p, certs[i].n);
            slot->cert_n = certs[i].n;
            return BP_OK;
        }
    }
    return BP_FAIL(MISMATCH);
}

/* The request in base64 and a line end; the caller's. */
static enum bp_outcome request_text(struct bp_agent *a, const struct bp_agent_slot *slot, bp_span evidence, uint8_t **ret,
                                    size_t *ret_n)
{
    const size_t cap = BP_AGENT_REQUEST_ROOM + evidence.n;
    const size_t text_cap = BP_BASE64_SIZE(cap) + 1;
    uint8_t *der = bp_alloc(cap);
    uint8_t *text = bp_alloc(text_cap);
    size_t n = 0;
    enum bp_outcome o = der == NULL || text == NULL ? bp_agent_say(a, BP_FAILED, "no memory.")
                                                    : bp_agent_request(a, slot, evidence, der, cap, &n);
    if (o == BP_DONE) {
        bp_wr wr = bp_wr_over(text, text_cap);
        bp_base64_write(&wr, bp_span_of(der, n));
        bp_wr_u8(&wr, '\n');
        *ret = text;
        *ret_n = wr.n;
        text = NULL;
    }
    bp_free(der);
    bp_free(text);
    return o;
}

enum bp_outcome bp_agent_enrol_key(struct bp_agent *a, struct bp_remote *server, const char *target,
                                   struct bp_agent_slot *slot, bp_span evidence, struct bp_reply *ret_reply)
{
    uint8_t *text = NULL;
    size_t n = 0;
    const enum bp_outcome o = request_text(a, slot, evidence, &text, &n);
    if (o != BP_DONE) {
        return o;
    }
    bp_result r = bp_remote_call(server, target, "application/pkcs10", bp_span_of(text, n), ret_reply);
    bp_free(text);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, server, "asking for a certificate");
    }
    if (ret_reply->status != 200) {
        return bp_agent_say_reply(a, ret_reply, "asking for a certificate");
    }
    uint8_t *room = bp_alloc(CMS_ROOM);
    r = room != NULL ? take_cert(a, ret_reply->body, slot, room) : BP_FAIL(NO_MEMORY);
    bp_free(room);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the certificate that %s sent is not usable: %s.", a->dev.host,
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

/* --- the device listener --- */

enum bp_outcome bp_agent_connect(struct bp_agent *a, struct bp_agent_signer *signer, struct bp_remote **ret)
{
    const struct bp_tls_key key = {.self = signer, .sign = sign_handshake};
    const struct bp_remote_spec spec = {.host = a->dev.host,
                                        .connect = a->dev.connect,
                                        .port = a->dev.device_port,
                                        .anchor = bp_span_of(a->dev.anchor, a->dev.anchor_n),
                                        .cert = bp_span_of(signer->slot->cert, signer->slot->cert_n),
                                        .key = &key,
                                        .clock = &a->running,
                                        .resumes = true};
    const bp_result r = bp_remote_new(&spec, ret);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "preparing TLS: %s.", bp_error_text(bp_error_of(r))) : BP_DONE;
}

enum bp_outcome bp_agent_nonce(struct bp_agent *a, struct bp_remote *server)
{
    struct bp_reply reply;
    struct bp_nonce n;
    bp_result r = bp_remote_call(server, "/bedplate/v1/nonce", NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, server, "asking for a nonce");
    }
    if (reply.status != 200) {
        return bp_agent_say_reply(a, &reply, "asking for a nonce");
    }
    r = bp_nonce_read(reply.body, &n);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "the nonce that %s sent cannot be read: %s.", a->dev.host,
                            bp_error_text(bp_error_of(r)));
    }
    memcpy(a->nonce, n.nonce.p, sizeof a->nonce);
    a->seq = n.seq;
    a->issued_ms = n.issued_ms;
    a->has_nonce = true;
    return BP_DONE;
}

void bp_agent_collector(const struct bp_agent *a, struct bp_collector *ret)
{
    const bool is_process = a->dev.boot_log[0] != '\0';
    *ret = (struct bp_collector){.rot = a->rot,
                                 .crypto = a->crypto,
                                 .ak = blob_of(&a->dev.ak),
                                 .ak_auth = BP_SPAN_OF(a->dev.ak_auth),
                                 .device_id = BP_SPAN_OF(a->dev.id),
                                 .features = a->dev.features,
                                 .agent = BP_VERSION,
                                 .boot_log = is_process ? a->dev.boot_log : BP_BOOT_LOG_PATH,
                                 .ima_log = is_process ? a->dev.ima_log : BP_IMA_LOG_PATH};
    for (uint32_t i = 0; i < a->dev.features; i++) {
        ret->feature[i] = bp_span_cstr(a->dev.feature[i]);
    }
}

static bool copy_text(bp_span s, char *ret, size_t cap)
{
    const size_t n = s.n < cap ? s.n : cap - 1;
    if (n > 0) {
        memcpy(ret, s.p, n);
    }
    ret[n] = '\0';
    return n == s.n;
}

static void keep_head(struct bp_agent *a, bp_span head)
{
    bp_free(a->head);
    a->head = head.n != 0 ? (uint8_t *)bp_strndup(head) : NULL; /* without memory: none this time */
    a->head_n = a->head != NULL ? head.n : 0;
}

enum bp_outcome bp_agent_take_answer(struct bp_agent *a, bp_span body, const struct bp_held *after)
{
    struct bp_answer answer;
    const bp_result r = bp_answer_read(body, &answer);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "the answer of %s cannot be read: %s.", a->dev.host,
                            bp_error_text(bp_error_of(r)));
    }
    memcpy(a->nonce, answer.nonce.p, sizeof a->nonce);
    a->seq = answer.seq;
    a->issued_ms = answer.issued_ms;
    a->has_nonce = true;
    /* It could not tell any more: what it held of ours may be gone, and the next evidence is whole. */
    const bool is_lost = a->has_answer && a->tier != 0 && answer.tier == 0;
    a->has_answer = true;
    a->tier = answer.tier;
    a->due_ms = answer.due_ms;
    a->renew = answer.renew;
    a->has_window = answer.has_window;
    a->window = (struct bp_renewal){answer.renew_from_s, answer.renew_until_s};
    a->since_s = answer.since_s;
    (void)copy_text(answer.reason, a->reason, sizeof a->reason);
    (void)copy_text(answer.state, a->life, sizeof a->life);
    a->server_ms = answer.time_ms;
    a->server_at_mono = bp_mono_ms(&a->clock);
    keep_head(a, answer.head);
    bp_held_update(&a->held, after, answer.held_log, answer.held_ima);
    if (is_lost) {
        a->held = (struct bp_held){0};
    }
    return BP_DONE;
}

static void take_fresh_nonce(struct bp_agent *a, const struct bp_reply *reply)
{
    a->has_nonce = reply->has_nonce;
    memcpy(a->nonce, reply->nonce, sizeof a->nonce);
    a->seq = reply->seq;
    a->issued_ms = reply->issued_ms;
}

/* Evidence for the nonce that is held, bound to the connection of the device listener; body the caller's. */
static enum bp_outcome collect(struct bp_agent *a, const struct bp_collect_key *keys, size_t key_count, struct bp_collected *ret)
{
    uint8_t binding[32];
    struct bp_collector c;
    struct bp_rot_trace trace = {0, ""};
    bp_result r = bp_remote_binding(a->device, binding);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, a->device, "connecting");
    }
    const struct bp_collect_ask ask = {.nonce = BP_SPAN_OF(a->nonce),
                                       .seq = a->seq,
                                       .issued_ms = a->issued_ms,
                                       .ldevid = BP_SPAN_OF(a->ldevid),
                                       .binding = BP_SPAN_OF(binding),
                                       .keys = keys,
                                       .key_count = key_count};
    bp_agent_collector(a, &c);
    r = bp_collect(&c, &a->held, &ask, ret, &trace);
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, "collecting evidence") : BP_DONE;
}

/* It was not taken: what the server holds may not be what we think, and the next one is whole. */
static void begin_anew(struct bp_agent *a, const struct bp_reply *reply)
{
    take_fresh_nonce(a, reply);
    a->held = (struct bp_held){0};
}

static enum bp_outcome post_evidence(struct bp_agent *a, const struct bp_collected *got)
{
    struct bp_reply reply;
    const bp_result r =
        bp_remote_call(a->device, "/bedplate/v1/attest", BP_MEDIA_CMW, bp_span_of(got->body, got->body_n), &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, a->device, "attesting");
    }
    if (reply.status != 200) {
        if (reply.status < 500) {
            begin_anew(a, &reply);
        }
        return bp_agent_say_reply(a, &reply, "attesting");
    }
    return bp_agent_take_answer(a, reply.body, &got->after);
}

enum bp_outcome bp_agent_attest(struct bp_agent *a, const struct bp_collect_key *keys, size_t key_count)
{
    struct bp_collected got;
    enum bp_outcome o = collect(a, keys, key_count, &got);
    if (o == BP_DONE) {
        o = post_evidence(a, &got);
        bp_free(got.body);
    }
    return o;
}

enum bp_outcome bp_agent_certify(struct bp_agent *a, const char *target, struct bp_agent_slot *slot)
{
    struct bp_collected got = {.body = NULL};
    struct bp_reply reply = {0};
    const struct bp_collect_key key = {blob_of(&slot->key), auth_of(slot)};
    enum bp_outcome o = bp_agent_nonce(a, a->device);
    o = o == BP_DONE ? collect(a, &key, 1, &got) : o;
    if (o != BP_DONE) {
        return o;
    }
    const bool fits = got.body_n <= BP_EST_EVIDENCE_MAX;
    o = fits ? BP_DONE : post_evidence(a, &got);
    if (o == BP_DONE) {
        o = bp_agent_enrol_key(a, a->device, target, slot, fits ? bp_span_of(got.body, got.body_n) : BP_SPAN_EMPTY, &reply);
    }
    if (fits) {
        a->has_nonce = false; /* its number is spent, whatever came of it */
        if (o == BP_REFUSED) {
            begin_anew(a, &reply);
        }
    }
    bp_free(got.body);
    return o;
}

/* When the anchor was made; 0: there is none yet. */
static int64_t anchor_from_s(const struct bp_agent *a)
{
    struct bp_x509 anchor;
    return a->dev.anchor_n > 0 && !bp_failed(bp_x509_read(bp_span_of(a->dev.anchor, a->dev.anchor_n), &anchor))
               ? anchor.not_before_s
               : 0;
}

int64_t bp_agent_now_s(const struct bp_agent *a)
{
    if (a->server_ms != 0 && !a->by_system) {
        return (a->server_ms + bp_mono_ms(&a->clock) - a->server_at_mono) / 1000;
    }
    const int64_t system_s = bp_wall_ms(&a->clock) / 1000;
    const int64_t least_s = anchor_from_s(a);
    if (system_s >= least_s) {
        return system_s;
    }
    return a->not_before_s > least_s ? a->not_before_s : least_s;
}

int64_t bp_agent_clock_off_s(const struct bp_agent *a)
{
    return a->server_ms != 0 ? bp_wall_ms(&a->clock) / 1000 - bp_agent_now_s(a) : 0;
}

/* --- small things --- */

struct nap {
    struct bp_loop *loop;
    struct bp_timer *timer;
};

static void wake(void *arg)
{
    const struct nap *n = arg;
    bp_loop_stop(n->loop);
}

bp_result bp_agent_wait(uint32_t ms)
{
    struct nap n = {NULL, NULL};
    bp_result r = bp_loop_new(&n.loop);
    if (!bp_failed(r)) {
        r = bp_timer_new(n.loop, wake, &n, &n.timer);
    }
    if (!bp_failed(r)) {
        r = bp_timer_start(n.timer, ms);
    }
    if (!bp_failed(r)) {
        r = bp_loop_run(n.loop);
    }
    if (n.timer != NULL) {
        bp_timer_free(n.timer);
    }
    if (n.loop != NULL) {
        bp_loop_free(n.loop);
    }
    return r;
}

void bp_agent_time(int64_t s, char ret[BP_TIME_ROOM])
{
    const time_t t = (time_t)s;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(ret, BP_TIME_ROOM, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        ret[0] = '\0';
    }
}

bp_result bp_agent_keep_last(const struct bp_agent *a, const char *problem)
{
    char at[BP_TIME_ROOM];
    bp_agent_time(bp_agent_now_s(a), at);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "at", at, "tier",
                          a->has_answer ? bp_tier_name(a->tier) : "none", "reason", a->reason, "state", a->life, "problem",
                          problem);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = bp_state_text_save(a->state, "last.json", bp_span_cstr(text));
    free(text);
    return r;
}
