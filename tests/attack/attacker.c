/* SPDX-License-Identifier: Apache-2.0 */
/* tests/attack/attacker - an intruder with root on a device: it has the agent's folder and may use the TPM, and speaks the
 * protocol with the agent's own code, only not honestly.
 *
 *     attacker VERB --state DIR      VERB: replay early relabel edit-log unvouched-key
 *
 * Prints one line: VERB, HTTP status, code of the refusal (or the tier of the answer), the server's words; tab-separated.
 * Exit 0 when it got an answer of whatever kind. It is no part of the product and is installed nowhere. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "codec/base64.h"
#include "codec/est.h"
#include "core/binding.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/key.h"

#define BP_MODULE TEST

#define EARLY_MS    30000 /* far more than the clocks may disagree by */
#define EDITED_LOG  "/tmp/edited-boot-log"
#define OTHER_PCRS  0x00f7fcu /* as many as the server asks for, others */

static struct bp_agent a;

static void tell(const char *verb, const struct bp_reply *reply)
{
    struct bp_answer answer;
    if (reply->status == 200 && !bp_failed(bp_answer_read(reply->body, &answer))) {
        printf("%s\t200\t%s\t%.*s\n", verb, bp_tier_name(answer.tier), (int)answer.reason.n,
               (const char *)answer.reason.p);
    } else {
        printf("%s\t%u\t%s\t%s\n", verb, reply->status, reply->code, reply->detail);
    }
    (void)fflush(stdout);
}

static int failed(const char *verb, const char *what)
{
    fprintf(stderr, "attacker %s: %s: %s\n", verb, what, a.said);
    return 1;
}

/* Whole evidence over a fresh nonce, as the agent makes it, from this boot log. */
static bool collect(const char *boot_log, struct bp_collected *ret)
{
    struct bp_collector c;
    const struct bp_held nothing = {0};
    uint8_t binding[32];
    struct bp_rot_trace trace = {0, ""};
    if (bp_agent_nonce(&a, a.device) != BP_DONE || bp_failed(bp_remote_binding(a.device, binding))) {
        return false;
    }
    const struct bp_collect_ask ask = {.nonce = BP_SPAN_OF(a.nonce),
                                       .seq = a.seq,
                                       .issued_ms = a.issued_ms,
                                       .ldevid = BP_SPAN_OF(a.ldevid),
                                       .binding = BP_SPAN_OF(binding)};
    bp_agent_collector(&a, &c);
    c.boot_log = boot_log != NULL ? boot_log : c.boot_log;
    return !bp_failed(bp_collect(&c, &nothing, &ask, ret, &trace));
}

static bool post(bp_span body, struct bp_reply *ret)
{
    return !bp_failed(bp_remote_call(a.device, "/bedplate/v1/attest", BP_MEDIA_CMW, body, ret));
}

/* Evidence that was good a moment ago, once newer one was taken. */
static int replay(const char *verb)
{
    struct bp_collected first, second;
    struct bp_reply reply;
    if (!collect(NULL, &first) || !post(bp_span_of(first.body, first.body_n), &reply) || reply.status != 200) {
        return failed(verb, "the first, honest evidence was not taken");
    }
    if (!collect(NULL, &second) || !post(bp_span_of(second.body, second.body_n), &reply) || reply.status != 200) {
        return failed(verb, "the second, honest evidence was not taken");
    }
    const bool got = post(bp_span_of(first.body, first.body_n), &reply);
    if (got) {
        tell(verb, &reply);
    }
    bp_free(first.body);
    bp_free(second.body);
    return got ? 0 : failed(verb, "no answer");
}

/* A quote made while the machine was still in order, kept back until it is not any more. */
static int early(const char *verb)
{
    struct bp_collected c;
    struct bp_reply reply;
    if (!collect(NULL, &c) || bp_failed(bp_agent_wait(EARLY_MS))) {
        return failed(verb, "no evidence");
    }
    const bool got = post(bp_span_of(c.body, c.body_n), &reply);
    bp_free(c.body);
    if (!got) {
        return failed(verb, "no answer");
    }
    tell(verb, &reply);
    return 0;
}

static bp_result covered_of(const struct bp_evidence *ev, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t *p = NULL;
    size_t n = 0;
    BP_IGNORE(bp_evidence_write(ev, false, NULL, 0, &n), "it only measures");
    p = bp_alloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_evidence_write(ev, false, p, n, &n);
    if (!bp_failed(r)) {
        r = bp_hash(a.crypto, BP_HASH_SHA256, bp_span_of(p, n), ret);
    }
    bp_free(p);
    return r;
}

/* PCRs that the intruder can set are quoted, and sent as if they were those that the firmware filled. */
static int relabel(const char *verb)
{
    struct bp_collected c;
    struct bp_evidence ev;
    struct bp_reply reply;
    struct bp_rot_statement st;
    struct bp_rot_pcrs pcrs;
    struct bp_rot_trace trace = {0, ""};
    uint8_t binding[32], covered[BP_SHA256_SIZE], extra[BP_SHA256_SIZE];
    size_t n = 0;
    if (!collect(NULL, &c) || bp_failed(bp_evidence_read(bp_span_of(c.body, c.body_n), &ev)) ||
        bp_failed(bp_remote_binding(a.device, binding))) {
        return failed(verb, "no evidence");
    }
    uint8_t *forged = bp_alloc(BP_EVIDENCE_MAX);
    bp_result r = forged != NULL ? covered_of(&ev, covered) : BP_FAIL(NO_MEMORY);
    if (!bp_failed(r)) {
        r = bp_binding_quote(a.crypto, BP_SPAN_OF(a.nonce), BP_SPAN_OF(a.dev.id), BP_SPAN_OF(a.ldevid),
                             BP_SPAN_OF(binding), BP_SPAN_OF(covered), extra);
    }
    if (!bp_failed(r)) {
        r = a.rot->ops->quote(a.rot, bp_span_of(a.dev.ak.v, a.dev.ak.n), BP_SPAN_OF(a.dev.ak_auth), BP_QUOTED_BANK,
                              OTHER_PCRS, BP_SPAN_OF(extra), &st, &pcrs, &trace);
    }
    if (!bp_failed(r)) {
        ev.attest = bp_span_of(st.attest, st.attest_n);
        ev.signature = bp_span_of(st.sig, st.sig_n);
        r = bp_evidence_write(&ev, true, forged, BP_EVIDENCE_MAX, &n);
    }
    const bool got = !bp_failed(r) && post(bp_span_of(forged, n), &reply);
    if (got) {
        tell(verb, &reply);
    }
    bp_free(forged);
    bp_free(c.body);
    return got ? 0 : failed(verb, "no answer");
}

/* One byte of the firmware's log says something else than what was measured. */
static int edit_log(const char *verb)
{
    struct bp_collected c;
    struct bp_collector honest;
    struct bp_reply reply;
    uint8_t *log = NULL;
    size_t n = 0;
    bp_agent_collector(&a, &honest);
    if (bp_failed(bp_log_read(honest.boot_log, 0, BP_LOG_MAX, &log, &n)) || n < 2) {
        return failed(verb, "no boot log");
    }
    log[n - 1] ^= 1; /* the last event's data */
    const bool written = !bp_failed(bp_file_write(EDITED_LOG, BP_FILE_PUBLIC, bp_span_of(log, n)));
    bp_free(log);
    if (!written || !collect(EDITED_LOG, &c)) {
        return failed(verb, "no evidence");
    }
    const bool got = post(bp_span_of(c.body, c.body_n), &reply);
    bp_free(c.body);
    if (!got) {
        return failed(verb, "no answer");
    }
    tell(verb, &reply);
    return 0;
}

/* A certificate for a key in software: no evidence ever said where it lives. */
static int unvouched_key(const char *verb)
{
    struct bp_key *key = NULL;
    struct bp_reply reply;
    uint8_t info[512], der[768], raw[64], digest[BP_SHA256_SIZE];
    char text[BP_BASE64_SIZE(sizeof der) + 1];
    size_t info_n = 0, der_n = 0;
    bp_result r = bp_key_make(BP_KEY_P256, &key);
    if (!bp_failed(r)) {
        r = bp_est_info_write(BP_SPAN_STR("gateway"), bp_key_spki(key), info, sizeof info, &info_n);
    }
    if (!bp_failed(r)) {
        r = bp_hash(a.crypto, BP_HASH_SHA256, bp_span_of(info, info_n), digest);
    }
    if (!bp_failed(r)) {
        r = bp_key_sign_digest(key, BP_SPAN_OF(digest), raw);
    }
    if (!bp_failed(r)) {
        r = bp_est_request_write(bp_span_of(info, info_n), BP_SPAN_OF(raw), der, sizeof der, &der_n);
    }
    bp_key_free(key);
    if (bp_failed(r)) {
        return failed(verb, "no request");
    }
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, bp_span_of(der, der_n));
    bp_wr_u8(&wr, '\n');
    if (bp_failed(bp_remote_call(a.device, "/.well-known/est/simplereenroll", "application/pkcs10", bp_wr_span(&wr),
                                 &reply))) {
        return failed(verb, "no answer");
    }
    tell(verb, &reply);
    return 0;
}

static bool open_enrolled(const char *dir)
{
    enum bp_slot_name pending = BP_SLOTS;
    if (bp_agent_open(&a, dir, false) != BP_DONE || bp_agent_open_root(&a) != BP_DONE) {
        return false;
    }
    const enum bp_slot_name active = bp_state_active(a.state, &pending);
    return active != BP_SLOTS && bp_agent_use_slot(&a, active) == BP_DONE;
}

static const struct {
    const char *verb;
    int (*run)(const char *verb);
} verbs[] = {{"replay", replay}, {"early", early}, {"relabel", relabel}, {"edit-log", edit_log},
             {"unvouched-key", unvouched_key}};

int main(int argc, char **argv)
{
    int code = 2;
    (void)signal(SIGPIPE, SIG_IGN); /* a server that ends the connection is an answer, as it is for the agent */
    if (argc != 4 || strcmp(argv[2], "--state") != 0) {
        fprintf(stderr, "usage: attacker replay|early|relabel|edit-log|unvouched-key --state DIR\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].verb) == 0) {
            code = open_enrolled(argv[3]) ? verbs[i].run(argv[1]) : failed(argv[1], "opening");
            bp_agent_close(&a);
        }
    }
    return code;
}
