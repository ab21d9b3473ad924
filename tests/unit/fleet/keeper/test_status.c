/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/test_status - questions about the status of certificates, asked of the keeper with the real signer
 * behind it and judged by libcrypto: good, revoked at once, unknown, and what is no question. */
#include "harness.h"
#include "unit/fleet/keeper/stage.h"

#include "codec/base64.h"
#include "codec/crl.h"
#include "codec/ocsp.h"

#include <openssl/ocsp.h>

#define ASK_TYPE "application/ocsp-request"

static uint8_t question[1024];
static size_t question_n;

static X509 *parse(bp_span der)
{
    const unsigned char *p = der.p;
    return d2i_X509(NULL, &p, (long)der.n);
}

static bool add_id(OCSP_REQUEST *q, bp_span issuer_der, bp_span serial)
{
    X509 *issuer = parse(issuer_der);
    BIGNUM *bn = BN_bin2bn(serial.p, (int)serial.n, NULL);
    ASN1_INTEGER *number = BN_to_ASN1_INTEGER(bn, NULL);
    OCSP_CERTID *id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer), X509_get0_pubkey_bitstr(issuer), number);
    const bool ok = OCSP_request_add0_id(q, id) != NULL;
    ASN1_INTEGER_free(number);
    BN_free(bn);
    X509_free(issuer);
    return ok;
}

static bool write_question(OCSP_REQUEST *q)
{
    unsigned char *at = question;
    const int n = i2d_OCSP_REQUEST(q, NULL);
    question_n = n > 0 ? (size_t)n : 0;
    return n > 0 && n <= (int)sizeof question && i2d_OCSP_REQUEST(q, &at) == n;
}

static bool put_question(bp_span issuer_der, bp_span serial, bool with_nonce)
{
    OCSP_REQUEST *q = OCSP_REQUEST_new();
    bool ok = add_id(q, issuer_der, serial) && (!with_nonce || OCSP_request_add1_nonce(q, NULL, 16) == 1);
    ok = ok && write_question(q);
    OCSP_REQUEST_free(q);
    return ok;
}

static const struct world_reply *post(void)
{
    return world_ask(w, "status", "POST", "/ocsp", ASK_TYPE, bp_span_of(question, question_n), NULL);
}

/* The response's own status: 0 successful; -1: no response at all. */
static int outcome(const struct world_reply *r)
{
    const unsigned char *p = r->http.body.p;
    OCSP_RESPONSE *o = r->http.status == 200 ? d2i_OCSP_RESPONSE(NULL, &p, (long)r->http.body.n) : NULL;
    const int status = o == NULL ? -1 : OCSP_response_status(o);
    OCSP_RESPONSE_free(o);
    return status;
}

/* What a verified response says of the only certificate in it: a V_OCSP_CERTSTATUS; -1: it is no verified response. */
static int said(const struct world_reply *r)
{
    const unsigned char *p = r->http.body.p;
    const unsigned char *asked_p = question;
    OCSP_RESPONSE *o = d2i_OCSP_RESPONSE(NULL, &p, (long)r->http.body.n);
    OCSP_BASICRESP *basic = o == NULL ? NULL : OCSP_response_get1_basic(o);
    OCSP_REQUEST *asked = d2i_OCSP_REQUEST(NULL, &asked_p, (long)question_n);
    X509 *root = parse(w->plant.site->cert[BP_SITE_CERT_ROOT]);
    X509 *issuing = parse(w->plant.site->cert[BP_SITE_CERT_ISSUING]);
    X509 *old = w->plant.site->issuing_old.n > 0 ? parse(w->plant.site->issuing_old) : NULL;
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
    STACK_OF(X509) *more = sk_X509_new_null();
    int status = -1;
    X509_VERIFY_PARAM_set_time(param, (time_t)(w->plant.sim.wall_ms / 1000));
    if (basic != NULL && asked != NULL && X509_STORE_add_cert(store, root) == 1 && sk_X509_push(more, issuing) > 0 &&
        (old == NULL || sk_X509_push(more, old) > 0) &&
        OCSP_basic_verify(basic, more, store, 0) == 1 && OCSP_check_nonce(asked, basic) > 0 && OCSP_resp_count(basic) == 1) {
        status = OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL, NULL, NULL);
    }
    sk_X509_free(more);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(issuing);
    X509_free(old);
    OCSP_REQUEST_free(asked);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(o);
    return status;
}

static bp_span issuing(void)
{
    return w->plant.site->cert[BP_SITE_CERT_ISSUING];
}

BP_CASE(good_until_revoked_then_at_once)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    BP_NEED(put_question(issuing(), g[0].cert.serial, false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
    world_wait(w, 2000, 500); /* the log's head over what was recorded */
    const uint64_t calls = w->calls;
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD && w->calls == calls); /* what was kept */
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_REVOKED);
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_REVOKED);
    BP_NEED(put_question(issuing(), g[1].cert.serial, true));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
    BP_CHECK(world_restart(w, true));
    BP_NEED(put_question(issuing(), g[0].cert.serial, false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_REVOKED);
}

BP_CASE(never_issued_is_unknown)
{
    BP_NEED(stage());
    BP_NEED(put_question(issuing(), BP_SPAN_STR("\x42\x17"), false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_NEED(put_question(issuing(), BP_SPAN_STR("\x42\x17"), true));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
}

BP_CASE(another_issuer_is_not_ours_to_answer_for)
{
    BP_NEED(stage() && stage_join(0));
    BP_NEED(put_question(w->plant.site->cert[BP_SITE_CERT_OPERATORS], g[0].cert.serial, false));
    BP_CHECK(outcome(post()) == OCSP_RESPONSE_STATUS_UNAUTHORIZED);
}

BP_CASE(what_was_kept_is_signed_again_in_time)
{
    BP_NEED(stage() && stage_join(0));
    BP_NEED(put_question(issuing(), g[0].cert.serial, false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
    world_wait(w, 31 * 60 * 1000, 60 * 1000);
    const uint64_t calls = w->calls;
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD && w->calls == calls + 1);
}

/* The key that signs is certified for a week and replaced after half of it; each certificate is in the log once. */
BP_CASE(every_responder_is_recorded_once)
{
    BP_NEED(stage());
    BP_NEED(put_question(issuing(), BP_SPAN_STR("\x42\x18"), true));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    const uint64_t before = world_events(w, BP_EV_STATUS_KEY, 0);
    BP_CHECK(before > 0 && said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_CHECK(world_restart(w, false) && said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_CHECK(world_events(w, BP_EV_STATUS_KEY, 0) == before);
    world_wait(w, 4 * 86400000LL, 3600 * 1000);
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_CHECK(world_events(w, BP_EV_STATUS_KEY, 0) == before + 1);
    BP_CHECK(world_restart(w, true) && said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_CHECK(world_events(w, BP_EV_STATUS_KEY, 0) == before + 2);
}

static int get(bool escape)
{
    char target[2048] = "/ocsp/";
    char text[1024];
    bp_wr b = bp_wr_over(text, sizeof text);
    bp_base64_write(&b, bp_span_of(question, question_n));
    bp_wr t = bp_wr_over(target + 6, sizeof target - 7);
    for (size_t i = 0; i < b.n; i++) {
        if (escape && strchr("+/=", text[i]) != NULL) {
            bp_wr_bytes(&t, text[i] == '+' ? BP_SPAN_STR("%2B") : text[i] == '/' ? BP_SPAN_STR("%2f") : BP_SPAN_STR("%3D"));
        } else {
            bp_wr_u8(&t, (uint8_t)text[i]);
        }
    }
    return said(world_ask(w, "status", "GET", target, NULL, BP_SPAN_EMPTY, NULL));
}

BP_CASE(asked_in_the_address)
{
    BP_NEED(stage() && stage_join(0));
    BP_NEED(put_question(issuing(), g[0].cert.serial, true));
    BP_CHECK(get(true) == V_OCSP_CERTSTATUS_GOOD && get(false) == V_OCSP_CERTSTATUS_GOOD);
}

static void no_questions(void)
{
    static const struct {
        const char *name, *method, *target, *type, *body;
        int want;
    } rows[] = {{"noise", "POST", "/ocsp", ASK_TYPE, "noise", OCSP_RESPONSE_STATUS_MALFORMEDREQUEST},
                {"nothing", "POST", "/ocsp", ASK_TYPE, "", OCSP_RESPONSE_STATUS_MALFORMEDREQUEST},
                {"noise_in_the_address", "GET", "/ocsp/%zz", NULL, "", OCSP_RESPONSE_STATUS_MALFORMEDREQUEST},
                {"nothing_in_the_address", "GET", "/ocsp/", NULL, "", OCSP_RESPONSE_STATUS_MALFORMEDREQUEST},
                {"another_media_type", "POST", "/ocsp", "text/plain", "noise", -1},
                {"another_method", "POST", "/ocsp/AAAA", ASK_TYPE, "noise", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bp_case_begin();
        if (BP_CHECK(stage())) {
            BP_CHECK(outcome(world_ask(w, "status", rows[i].method, rows[i].target, rows[i].type,
                                       bp_span_cstr(rows[i].body), NULL)) == rows[i].want);
        }
        bp_case_end(rows[i].name);
    }
}

BP_CASE(signer_gone_is_try_later)
{
    BP_NEED(stage() && stage_join(0) && put_question(issuing(), g[0].cert.serial, true));
    w->is_gone[BP_TO_SIGNER_CA] = true;
    BP_CHECK(outcome(post()) == OCSP_RESPONSE_STATUS_TRYLATER);
    w->is_gone[BP_TO_SIGNER_CA] = false;
    w->fault[BP_TO_SIGNER_CA] = bp_fail_at(BP_E_CLOSED, 1, 1);
    BP_CHECK(outcome(post()) == OCSP_RESPONSE_STATUS_TRYLATER);
    w->fault[BP_TO_SIGNER_CA] = BP_OK;
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
}

BP_CASE(many_at_once_are_told_to_try_later)
{
    uint64_t id[40];
    size_t good = 0, later = 0;
    BP_NEED(stage() && stage_join(0) && put_question(issuing(), g[0].cert.serial, true));
    for (size_t i = 0; i < 40; i++) {
        id[i] = world_send(w, "status", "POST", "/ocsp", ASK_TYPE, bp_span_of(question, question_n), NULL);
    }
    world_settle(w);
    for (size_t i = 0; i < 40; i++) {
        const int o = outcome(world_reply(w, id[i]));
        good += o == OCSP_RESPONSE_STATUS_SUCCESSFUL;
        later += o == OCSP_RESPONSE_STATUS_TRYLATER;
    }
    BP_CHECK(good == 16 && later == 24);
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
}

/* --- lists --- */

static const struct world_reply *get_target(const char *target)
{
    return world_ask(w, "status", "GET", target, NULL, BP_SPAN_EMPTY, NULL);
}

static uint64_t list_number(void)
{
    struct bp_crl crl = {.number = 0};
    const struct world_reply *r = get_target("/crl/issuing-0.crl");
    return r->http.status == 200 && !bp_failed(bp_crl_read(r->http.body, &crl)) ? crl.number : 0;
}

/* A revocation is on the list, and fronts are told of it, before a tick of the keeper has passed. */
BP_CASE(the_list_follows_at_once)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 2000, 500);
    const uint64_t before = list_number();
    const int64_t began = w->plant.sim.mono_ms;
    BP_CHECK(before > 0 && w->crl_told == before && world_revoke(w, g[0].rig.device_id));
    world_settle(w);
    BP_CHECK(list_number() == before + 1 && w->crl_told == before + 1);
    BP_CHECK(w->plant.sim.mono_ms - began < 1000);
}

BP_CASE(many_revocations_are_few_lists)
{
    BP_NEED(stage() && stage_join(0) && stage_join(1) && stage_join(2));
    world_wait(w, 2000, 500);
    const uint64_t before = list_number();
    for (size_t i = 0; i < 3; i++) {
        BP_CHECK(world_revoke(w, g[i].rig.device_id));
    }
    world_wait(w, 1000, 50);
    struct bp_crl crl;
    const struct world_reply *r = get_target("/crl/issuing-0.crl");
    BP_NEED(!bp_failed(bp_crl_read(r->http.body, &crl)));
    BP_CHECK(crl.number > before && crl.number <= before + 3 && crl.count >= 3);
    BP_CHECK(crl.next_s - w->plant.sim.wall_ms / 1000 >= 45 * 86400); /* the life of an application's certificate */
}

/* By its end a list stops whoever it was made for: nobody has a certificate by then, whatever the site is to tolerate. */
BP_CASE(a_list_outlives_what_applications_got_before_it)
{
    struct bp_crl crl;
    BP_NEED(stage());
    world_wait(w, 2000, 500);
    const uint64_t before = list_number();
    BP_CHECK(world_setting(w, "outage-tolerance-ms", BP_OUTAGE_MAX_MS));
    world_wait(w, 2000, 500);
    const struct world_reply *r = get_target("/crl/issuing-0.crl");
    BP_NEED(!bp_failed(bp_crl_read(r->http.body, &crl)));
    BP_CHECK(crl.number == before + 1 && crl.next_s - w->plant.sim.wall_ms / 1000 >= BP_OUTAGE_MAX_MS / 2000 * 3);
    BP_CHECK(world_setting(w, "outage-tolerance-ms", BP_OUTAGE_MS));
    world_wait(w, 2000, 500);
    BP_CHECK(list_number() == before + 1); /* the longer one is no harm */
}

BP_CASE(a_list_that_cannot_be_made_is_an_alarm_once)
{
    BP_NEED(stage() && stage_join(0));
    world_wait(w, 2000, 500);
    const uint64_t late = world_events(w, BP_EV_CRL_LATE, 0), current = world_events(w, BP_EV_CRL_CURRENT, 0);
    const uint64_t number = list_number();
    w->is_gone[BP_TO_SIGNER_CA] = true;
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    world_wait(w, 30000, 1000);
    BP_CHECK(world_events(w, BP_EV_CRL_LATE, 0) == late);
    world_wait(w, 180000, 1000);
    BP_CHECK(world_events(w, BP_EV_CRL_LATE, 0) == late + 1 && list_number() == number);
    w->is_gone[BP_TO_SIGNER_CA] = false;
    world_wait(w, 5000, 500);
    BP_CHECK(list_number() > number && world_events(w, BP_EV_CRL_LATE, 0) == late + 1);
    BP_CHECK(world_events(w, BP_EV_CRL_CURRENT, 0) == current + 1);
}

BP_CASE(the_roots_list_names_nobody)
{
    struct bp_crl crl;
    struct bp_x509 root;
    BP_NEED(stage());
    const struct world_reply *r = get_target("/crl/root-0.crl");
    BP_NEED(r->http.status == 200 && !bp_failed(bp_crl_read(r->http.body, &crl)) &&
            !bp_failed(bp_x509_read(w->plant.site->cert[BP_SITE_CERT_ROOT], &root)));
    BP_CHECK(crl.count == 0 && !bp_failed(bp_x509_verify(w->plant.crypto, &root.key, crl.alg, crl.tbs, crl.signature)));
    BP_CHECK(crl.next_s <= root.not_after_s && crl.next_s >= root.not_after_s - 86400);
}

/* Whom a list names can be looked up; whom it does not name cannot. */
BP_CASE(only_revoked_certificates_are_shown)
{
    char target[96] = "/ca/revoked/";
    BP_NEED(stage() && stage_join(0));
    for (size_t i = 0; i < g[0].cert.serial.n; i++) {
        (void)snprintf(target + strlen(target), 3, "%02x", g[0].cert.serial.p[i]);
    }
    memcpy(target + strlen(target), ".cer", 5);
    BP_CHECK(get_target(target)->http.status == 404);
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    const struct world_reply *r = get_target(target);
    BP_CHECK(r->http.status == 200 && bp_span_equal(r->http.body, bp_span_of(g[0].cert_der, g[0].cert_n)));
    static const char *const others[] = {"/ca/revoked/", "/ca/revoked/.cer", "/ca/revoked/0.cer", "/ca/revoked/zz.cer",
                                         "/ca/revoked/00.ce", "/ca/revoked/4217.cer",
                                         "/ca/revoked/000102030405060708090a0b0c0d0e0f1011121314.cer"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        BP_CHECK(get_target(others[i])->http.status == 404);
    }
}

static bool roll(enum bp_key_type type)
{
    struct bp_site *old = NULL;
    const bool ok = plant_roll(&w->plant, type, &old) && world_restart(w, true);
    if (old != w->plant.site) {
        bp_site_free(old);
    }
    return ok;
}

static bool put_two(bp_span issuer, bp_span serial, bp_span other_issuer, bp_span other_serial)
{
    OCSP_REQUEST *q = OCSP_REQUEST_new();
    const bool ok = add_id(q, issuer, serial) && add_id(q, other_issuer, other_serial) && write_question(q);
    OCSP_REQUEST_free(q);
    return ok;
}

/* After a roll-over: what the issuing CA before issued is answered for by a key of its own, until it is taken out. */
BP_CASE(what_the_one_before_issued_is_answered_for)
{
    char target[64] = "/ca/revoked/";
    BP_NEED(stage() && stage_join(0) && stage_join(1));
    const uint64_t before = world_events(w, BP_EV_STATUS_KEY, 0);
    BP_NEED(roll(BP_KEY_P384) && stage_join(2));
    const bp_span old = w->plant.site->issuing_old;
    for (size_t i = 0; i < 2; i++) { /* the second time from what was kept, and no key is recorded again */
        BP_NEED(put_question(old, g[0].cert.serial, false));
        BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
        BP_NEED(put_question(issuing(), g[2].cert.serial, true));
        BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
        BP_NEED(put_question(old, g[1].cert.serial, true));
        BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_GOOD);
    }
    BP_CHECK(world_events(w, BP_EV_STATUS_KEY, 0) == before + 2);
    BP_NEED(put_question(old, g[2].cert.serial, false)); /* the new one's serial is none of the old one's, and the other way */
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_NEED(put_question(issuing(), g[0].cert.serial, false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_UNKNOWN);
    BP_NEED(put_two(old, g[0].cert.serial, issuing(), g[2].cert.serial));
    BP_CHECK(outcome(post()) == OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    BP_CHECK(world_revoke(w, g[0].rig.device_id));
    BP_NEED(put_question(old, g[0].cert.serial, false));
    BP_CHECK(said(post()) == V_OCSP_CERTSTATUS_REVOKED);
    for (size_t i = 0; i < g[0].cert.serial.n; i++) {
        (void)snprintf(target + 12 + 2 * i, sizeof target - 12 - 2 * i, "%02x", g[0].cert.serial.p[i]);
    }
    (void)snprintf(target + 12 + 2 * g[0].cert.serial.n, 5, ".cer");
    BP_CHECK(get_target(target)->http.status == 200);
    BP_CHECK(bp_span_equal(get_target("/ca/issuing-0.cer")->http.body, old));
    BP_CHECK(bp_span_equal(get_target("/ca/issuing-1.cer")->http.body, issuing()));
    BP_CHECK(bp_span_equal(get_target("/ca/issuing.cer")->http.body, issuing()));
    BP_CHECK(get_target("/ca/issuing-2.cer")->http.status == 404);
    BP_NEED(roll(BP_KEY_NONE));
    BP_CHECK(outcome(post()) == OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    BP_CHECK(get_target("/ca/issuing-0.cer")->http.status == 404 && get_target(target)->http.status == 404);
}

/* clang-format off */
BP_SUITE(keeper_status,
    BP_RUN(good_until_revoked_then_at_once)
    BP_RUN(never_issued_is_unknown)
    BP_RUN(another_issuer_is_not_ours_to_answer_for)
    BP_RUN(what_was_kept_is_signed_again_in_time)
    BP_RUN(every_responder_is_recorded_once)
    BP_RUN(asked_in_the_address)
    BP_TABLE(no_questions)
    BP_RUN(signer_gone_is_try_later)
    BP_RUN(many_at_once_are_told_to_try_later)
    BP_RUN(the_list_follows_at_once)
    BP_RUN(many_revocations_are_few_lists)
    BP_RUN(a_list_outlives_what_applications_got_before_it)
    BP_RUN(a_list_that_cannot_be_made_is_an_alarm_once)
    BP_RUN(the_roots_list_names_nobody)
    BP_RUN(only_revoked_certificates_are_shown)
    BP_RUN(what_the_one_before_issued_is_answered_for)
    stage_end();)
/* clang-format on */
