/* SPDX-License-Identifier: Apache-2.0 */
/* agent/run - the agent's life: attest when the server wants it, keep its head, renew in time, and go on when the server
 * is away. One round at a time, driven by one timer; a round blocks for as long as its calls do.
 *
 * It says what went wrong in one line, once until it changes. SIGTERM and SIGINT end it between two rounds, SIGHUP has
 * it attest and renew at once; killing it at any moment loses nothing, since the folder is always whole. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "agent/agent.h"
#include "agent/owner.h"
#include "agent/schedule.h"
#include "net/loop.h"

#define BP_MODULE AGENT

#define KEEP_LAST_MS   (3600 * 1000)
#define RENEW_FIRST_MS 5000
#define ESCROW_MS      (3600 * 1000) /* until the next try, where one failed */
#define EARLY_S        3600 /* a certificate begins a little before its server's clock; more is another time */
#define DOUBT          2u   /* failures in a row, from which on our own clock is not the only one that is asked */
#define OFF_S          3600 /* a clock that is told of */

struct life {
    struct bp_agent *a;
    struct bp_loop *loop;
    struct bp_timer *timer;
    uint32_t rounds_left; /* 0: no end */
    uint32_t failures;
    uint32_t renew_wait_ms;   /* before the next try; 0: the last one went well */
    int64_t renew_not_before; /* monotonic */
    int64_t kept_at;          /* last.json, monotonic */
    int64_t escrow_at;        /* monotonic; INT64_MAX: done */
    uint32_t service_wait_ms;
    int64_t services_not_before; /* monotonic */
    uint32_t kept_tier;
    char kept_line[1024];
    enum bp_outcome outcome;
    bool was_told; /* kept_line is a problem that was told */
    bool is_asked; /* a person wants a new certificate now */
    bool is_off_told; /* that the system's clock is wrong */
    bool is_leaving; /* keys are erased, and the owner of before is still to be told */
    bool has_left; /* the device is another owner's: there is nothing to do any more */
};

static int64_t now(const struct life *l)
{
    return bp_mono_ms(&l->a->clock);
}

/* Tells a problem once; the same one again only when another came between. */
static void tell_problem(struct life *l)
{
    if (l->was_told && strcmp(l->kept_line, l->a->said) == 0) {
        return;
    }
    (void)snprintf(l->kept_line, sizeof l->kept_line, "%s", l->a->said);
    l->was_told = true;
    fprintf(stderr, "bedplate-agent: %s\n", l->a->said);
    BP_IGNORE(bp_agent_keep_last(l->a, l->a->said), "status shows an older line; the next round tries again");
    l->kept_at = now(l);
}

/* A verdict is told when it is another one than before. */
static void tell_verdict(struct life *l)
{
    struct bp_agent *a = l->a;
    char line[sizeof l->kept_line];
    (void)snprintf(line, sizeof line, "%s, %s%s%s", bp_tier_name(a->tier), a->life, a->reason[0] != '\0' ? ": " : "",
                   a->reason);
    const bool is_new = l->was_told || strcmp(line, l->kept_line) != 0;
    if (is_new) {
        memcpy(l->kept_line, line, sizeof line);
        l->was_told = false;
        fprintf(stderr, "bedplate-agent: %s\n", line);
    }
    if (is_new || now(l) - l->kept_at >= KEEP_LAST_MS) {
        BP_IGNORE(bp_agent_keep_last(a, NULL), "status shows an older line; the next change tries again");
        l->kept_at = now(l);
    }
}

/* The server's window, or our own rule; never so late that a few refusals would let the certificate run out. Past that point
 * only what the server's absence held back is spread, over no more than half of what is left. */
static struct bp_renewal window_of(const struct bp_agent *a)
{
    struct bp_renewal w = bp_renewal_window(a->not_before_s, a->not_after_s, BP_RENEW_FROM, BP_RENEW_UNTIL);
    int64_t last_s = bp_renewal_window(a->not_before_s, a->not_after_s, 900, 900).until_s;
    if (a->since_s > last_s && a->since_s < a->not_after_s) {
        last_s = a->since_s + (a->not_after_s - a->since_s) / 2;
    }
    if (a->has_window) {
        w = a->window;
    }
    w.until_s = w.until_s < last_s ? w.until_s : last_s;
    w.from_s = w.from_s < w.until_s ? w.from_s : w.until_s;
    return w;
}

static bool is_time_to_renew(const struct life *l)
{
    const struct bp_agent *a = l->a;
    if (l->is_asked) {
        return true;
    }
    if (now(l) < l->renew_not_before) {
        return false;
    }
    const struct bp_renewal w = window_of(a);
    return a->renew || bp_agent_now_s(a) >= bp_renewal_at_s(&w, a->lot);
}

/* After a refusal: when the server wants to be asked again, else out of step with other devices. */
static uint32_t wait_after(const struct life *l, uint32_t before_ms)
{
    const struct bp_agent *a = l->a;
    return bp_schedule_retry(&a->entropy, before_ms, bp_schedule_retry_cap(a->not_before_s, a->not_after_s), a->retry_after_s);
}

static void renew(struct life *l)
{
    struct bp_agent *a = l->a;
    l->is_asked = false;
    a->retry_after_s = 0;
    if (bp_agent_renew(a) == BP_DONE) {
        char until[BP_TIME_ROOM];
        bp_agent_time(a->not_after_s, until);
        fprintf(stderr, "bedplate-agent: certificate renewed, good until %s\n", until);
        l->renew_wait_ms = 0;
        l->renew_not_before = now(l) + RENEW_FIRST_MS;
        return;
    }
    l->renew_wait_ms = wait_after(l, l->renew_wait_ms);
    l->renew_not_before = now(l) + l->renew_wait_ms;
    tell_problem(l);
}

/* One attestation, with what may go wrong once without being a failure: a connection that the server closed meanwhile, and
 * a nonce or a log that it no longer holds. */
static enum bp_outcome attest(struct life *l)
{
    struct bp_agent *a = l->a;
    enum bp_outcome o = BP_FAILED;
    for (unsigned i = 0; i < 2 && o != BP_DONE; i++) {
        if (!a->has_nonce) {
            o = bp_agent_nonce(a, a->device);
            if (o != BP_DONE) {
                bp_remote_disconnect(a->device);
                continue;
            }
        }
        o = bp_agent_attest(a, NULL, 0);
        if (o == BP_FAILED) {
            bp_remote_disconnect(a->device);
        }
        if (o == BP_REFUSED && !a->has_nonce) {
            break;
        }
    }
    return o;
}

/* Once in each life: it brings to its end what an enrolment left open, and what an older agent did not know of. */
static void escrow(struct life *l)
{
    const enum bp_outcome o = bp_agent_escrow(l->a);
    l->escrow_at = o == BP_FAILED ? now(l) + ESCROW_MS : INT64_MAX;
    if (o != BP_DONE) {
        tell_problem(l);
    }
}

/* Given to another owner: erases, tells the owner of before, and is done when that has it. */
static enum bp_outcome leave(struct life *l)
{
    struct bp_agent *a = l->a;
    const enum bp_outcome o = bp_agent_hand_over(a);
    l->is_leaving = o != BP_DONE && bp_agent_is_leaving(a);
    if (o == BP_DONE) {
        fprintf(stderr, "bedplate-agent: handed over; the keys of the owner of before are erased. Enrol at the new owner's server.\n");
        BP_IGNORE(bp_agent_keep_last(a, NULL), "status shows an older line");
        l->has_left = true;
    }
    return o;
}

/* Certificates of applications: what a person added since, and what is due. */
static void services(struct life *l)
{
    struct bp_agent *a = l->a;
    uint32_t renewed = 0;
    if (now(l) < l->services_not_before) {
        return;
    }
    a->retry_after_s = 0;
    const enum bp_outcome o = bp_agent_services(a, &renewed);
    if (renewed > 0) {
        fprintf(stderr, "bedplate-agent: certificates of %u service(s) issued or renewed\n", (unsigned)renewed);
    }
    if (o == BP_DONE) {
        l->service_wait_ms = 0;
        return;
    }
    l->service_wait_ms = wait_after(l, l->service_wait_ms);
    l->services_not_before = now(l) + l->service_wait_ms;
    tell_problem(l);
}

/* A certificate that has run out, or that a server with a wrong clock made for later, gets nothing at the device listener. Our
 * clock stands still while the machine sleeps, and there may be none: after failures the system's is asked too. */
static bool is_out(const struct life *l)
{
    const struct bp_agent *a = l->a;
    const int64_t clocks[] = {bp_agent_now_s(a), bp_wall_ms(&a->clock) / 1000};
    for (size_t i = 0; i < (l->failures >= DOUBT ? 2u : 1u); i++) {
        if (clocks[i] >= a->not_after_s || clocks[i] < a->not_before_s - EARLY_S) {
            return true;
        }
    }
    return false;
}

/* The server's time counts; whoever reads this machine's clock should know. */
static void tell_clock(struct life *l)
{
    const int64_t off_s = bp_agent_clock_off_s(l->a);
    const bool is_off = off_s >= OFF_S || off_s <= -OFF_S;
    if (is_off != l->is_off_told) {
        char at[BP_TIME_ROOM];
        bp_agent_time(bp_agent_now_s(l->a), at);
        fprintf(stderr, is_off ? "bedplate-agent: this machine's clock is wrong; by the server's it is %s\n"
                               : "bedplate-agent: this machine's clock is right again: %s\n", at);
        l->is_off_told = is_off;
    }
}

static enum bp_outcome round_once(struct life *l)
{
    struct bp_agent *a = l->a;
    if (l->is_leaving) {
        return leave(l);
    }
    if (is_out(l)) {
        const enum bp_outcome o = bp_agent_enroll_again(a);
        if (o != BP_DONE) {
            return o;
        }
    }
    const enum bp_outcome o = attest(l);
    if (o != BP_DONE) {
        return o;
    }
    tell_verdict(l);
    tell_clock(l);
    if (strcmp(a->life, BP_LIFE_HANDED_OVER) == 0 && leave(l) != BP_DONE) {
        tell_problem(l);
    }
    if (l->has_left || l->is_leaving) {
        return BP_DONE;
    }
    if (bp_agent_check_head(a) != BP_DONE) {
        tell_problem(l);
    }
    if (now(l) >= l->escrow_at) {
        escrow(l);
    }
    if (is_time_to_renew(l)) {
        renew(l);
    }
    services(l);
    return BP_DONE;
}

static void turn(void *arg)
{
    struct life *l = arg;
    uint32_t wait = 0;
    l->a->retry_after_s = 0;
    l->outcome = round_once(l);
    if (l->outcome == BP_DONE) {
        l->failures = 0;
        l->a->by_system = false;
        wait = bp_schedule_due(&l->a->entropy, l->a->due_ms);
    } else {
        l->failures++;
        /* Either clock may be the wrong one; by turns none of them keeps us away for good. */
        l->a->by_system = l->failures >= DOUBT && l->failures % 2 == 0;
        tell_problem(l);
        wait = bp_schedule_backoff(&l->a->entropy, l->failures);
        if (l->a->retry_after_s > wait / 1000) {
            wait = bp_schedule_retry(&l->a->entropy, 0, wait, l->a->retry_after_s);
        }
    }
    (void)malloc_trim(0); /* the logs of the first round are gone; give their memory back */
    if (l->has_left || l->rounds_left == 1 || bp_failed(bp_timer_start(l->timer, wait))) {
        bp_loop_stop(l->loop);
        return;
    }
    l->rounds_left -= l->rounds_left > 1 ? 1 : 0;
}

static void on_signal(void *arg)
{
    struct life *l = arg;
    l->outcome = BP_DONE;
    bp_loop_stop(l->loop);
}

static void on_hangup(void *arg)
{
    struct life *l = arg;
    l->is_asked = true;
    l->services_not_before = 0;
    BP_IGNORE(bp_timer_start(l->timer, 0), "then it is done when the next round is due");
}

static enum bp_outcome live(struct life *l)
{
    struct bp_signal *term = NULL;
    struct bp_signal *intr = NULL;
    struct bp_signal *hangup = NULL;
    bp_result r = bp_loop_new(&l->loop);
    if (!bp_failed(r)) {
        r = bp_timer_new(l->loop, turn, l, &l->timer);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(l->loop, SIGTERM, on_signal, l, &term);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(l->loop, SIGINT, on_signal, l, &intr);
    }
    if (!bp_failed(r)) {
        r = bp_signal_new(l->loop, SIGHUP, on_hangup, l, &hangup);
    }
    if (!bp_failed(r)) {
        r = bp_timer_start(l->timer, 0);
    }
    if (!bp_failed(r)) {
        r = bp_loop_run(l->loop);
    }
    if (hangup != NULL) {
        bp_signal_free(hangup);
    }
    if (intr != NULL) {
        bp_signal_free(intr);
    }
    if (term != NULL) {
        bp_signal_free(term);
    }
    if (l->timer != NULL) {
        bp_timer_free(l->timer);
    }
    if (l->loop != NULL) {
        bp_loop_free(l->loop);
    }
    return bp_failed(r) ? bp_agent_say(l->a, BP_FAILED, "the event loop: %s.", bp_error_text(bp_error_of(r))) : l->outcome;
}

enum bp_outcome bp_agent_run(struct bp_agent *a, uint32_t rounds)
{
    struct life l = {.a = a, .rounds_left = rounds, .is_leaving = bp_agent_is_leaving(a)};
    return live(&l);
}
