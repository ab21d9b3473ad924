/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/ocsp - questions about the status of certificates (RFC 6960): good, revoked and unknown are what the store
 * says at that moment; signer ca signs it.
 *
 * Anybody may ask, so what it costs is bounded: BP_K_OCSP_OPEN signatures at a time, and an answer to a question without a
 * nonce is kept for half of its life under the digest of everything that was said in it, the status included. So a
 * certificate that was revoked since is never answered from what was kept. */
#include "fleet/keeper/internal.h"

#include "codec/base64.h"
#include "codec/ocsp.h"
#include "codec/x509.h"

#define BP_MODULE PROC

#define KEEP_MS  (30 * 60 * 1000LL) /* half of the time that signer ca gives it */
#define KEPT_MAX 4096u /* bytes of an answer that is kept */
#define PROFILE  "ocsp"

struct ask {
    bool is_kept;
    bool is_old; /* about the issuing CA before the one in force */
    uint8_t digest[BP_DIGEST_SIZE]; /* of what was asked of the signer */
    struct bp_msg_stated answer;    /* while the signer's answer lives */
};

static void free_ask(void *flow)
{
    bp_free(flow);
}

static void answer_der(struct bp_job *j, bp_span der)
{
    struct bp_ex_answer a = {
        .status = 200, .content_type = BP_SPAN_STR("application/ocsp-response"), .body = der};
    a.header[a.header_count++] = (struct bp_ex_header){BP_SPAN_STR("Cache-Control"), BP_SPAN_STR("no-cache")};
    bp_k_answer(j, &a);
}

static void answer_error(struct bp_job *j, enum bp_ocsp_error error)
{
    uint8_t der[BP_OCSP_ERROR_SIZE];
    bp_ocsp_error_write(error, der);
    answer_der(j, BP_SPAN_OF(der));
}

/* -- what was answered before ---------------------------------------------------------------------- */
static struct bp_k_ocsp *slot_of(struct bp_keeper *k, const uint8_t digest[BP_DIGEST_SIZE])
{
    return &k->ocsp[(digest[0] | (uint32_t)digest[1] << 8) % BP_K_OCSP_KEPT];
}

static bp_span kept(struct bp_keeper *k, const uint8_t digest[BP_DIGEST_SIZE])
{
    const struct bp_k_ocsp *slot = slot_of(k, digest);
    const int64_t age = bp_k_now(k) - slot->at_ms;
    const bool is_it = slot->der != NULL && memcmp(slot->digest, digest, BP_DIGEST_SIZE) == 0;
    return is_it && age >= 0 && age < KEEP_MS ? bp_span_of(slot->der, slot->n) : BP_SPAN_EMPTY;
}

static void keep(struct bp_keeper *k, const struct ask *x)
{
    struct bp_k_ocsp *slot = slot_of(k, x->digest);
    const bp_span der = x->answer.response;
    uint8_t *copy = x->is_kept && der.n <= KEPT_MAX ? bp_alloc(der.n) : NULL;
    if (copy == NULL) {
        return; /* signed again when it is asked again */
    }
    memcpy(copy, der.p, der.n);
    bp_free(slot->der);
    slot->der = copy;
    slot->n = der.n;
    slot->at_ms = bp_k_now(k);
    memcpy(slot->digest, x->digest, sizeof slot->digest);
}

void bp_k_ocsp_free(struct bp_keeper *k)
{
    for (size_t i = 0; i < BP_K_OCSP_KEPT; i++) {
        bp_free(k->ocsp[i].der);
    }
}

/* -- the status ------------------------------------------------------------------------------------ */
static bp_result status_of(struct bp_keeper *k, const struct bp_x509 *issuer, const struct bp_ocsp_id *id,
                           struct bp_msg_status *ret)
{
    struct bp_certificate c = {0};
    struct bp_x509 cert;
    bp_span der = BP_SPAN_EMPTY;
    *ret = (struct bp_msg_status){.id = id->whole, .status = BP_OCSP_UNKNOWN};
    const bp_result r = bp_store_cert(k->store, id->serial, &c, &der);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
    }
    if (der.n > 0) { /* else it was lost with an older store, and of it only the serial is known */
        BP_TRY(bp_x509_read(der, &cert));
        if (!bp_span_equal(cert.issuer, issuer->subject)) {
            return BP_OK; /* another CA's */
        }
    }
    ret->status = c.state == BP_CERT_GOOD ? BP_OCSP_GOOD : BP_OCSP_REVOKED;
    if (c.state != BP_CERT_GOOD) {
        ret->revoked_ms = (uint64_t)(c.revoked_ms < 0 ? 0 : c.revoked_ms);
        ret->reason = c.revoked_reason;
    }
    return BP_OK;
}

/* NOT_FOUND: a question about another issuer, or about two: one answers for one. */
static bp_result look_under(struct bp_keeper *k, bp_span issuer_der, const struct bp_ocsp_request *q, struct bp_msg_ocsp *ret)
{
    struct bp_x509 issuer;
    BP_TRY(bp_x509_read(issuer_der, &issuer));
    ret->nonce = q->nonce;
    ret->count = q->count;
    for (size_t i = 0; i < q->count; i++) {
        bool is_ours = false;
        BP_TRY(bp_ocsp_is_issuer(k->crypto, &q->id[i], issuer.subject, issuer.spki, &is_ours));
        if (!is_ours) {
            return BP_FAIL(NOT_FOUND);
        }
        BP_TRY(status_of(k, &issuer, &q->id[i], &ret->status[i]));
    }
    return BP_OK;
}

/* The issuing CA in force, else the one before it while its certificates count. */
static bp_result look(struct bp_keeper *k, const struct bp_ocsp_request *q, struct bp_msg_ocsp *ret, bool *ret_is_old)
{
    const bp_result r = look_under(k, k->cfg.issuing_der, q, ret);
    *ret_is_old = bp_is(r, BP_E_NOT_FOUND) && k->cfg.issuing_old_der.n > 0;
    return *ret_is_old ? look_under(k, k->cfg.issuing_old_der, q, ret) : r;
}

/* -- the signature --------------------------------------------------------------------------------- */
/* The responder's certificate is written down before anybody sees it: what was issued is recorded. */
static bp_result record(void *self)
{
    struct bp_job *j = self;
    struct bp_keeper *k = j->k;
    const struct ask *x = j->flow;
    struct bp_x509 cert;
    struct bp_certificate c = {.state = BP_CERT_GOOD};
    BP_TRY(bp_x509_read(x->answer.cert, &cert));
    if (cert.serial.n == 0 || cert.serial.n > sizeof c.serial) {
        return BP_FAIL(MALFORMED);
    }
    memcpy(c.serial, cert.serial.p, cert.serial.n);
    c.serial_n = cert.serial.n;
    memcpy(c.profile, PROFILE, sizeof PROFILE);
    c.not_before_ms = cert.not_before_s * 1000;
    c.not_after_ms = cert.not_after_s > INT64_MAX / 1000 ? INT64_MAX : cert.not_after_s * 1000;
    BP_TRY(bp_hash(k->crypto, BP_HASH_SHA256, cert.spki, c.spki));
    BP_TRY(bp_store_cert_add(k->store, &c, x->answer.cert));
    const struct bp_event_detail detail[] = {{BP_SPAN_STR("serial"), BP_VAL_BYTES, 0, {c.serial, c.serial_n}},
                                             {BP_SPAN_STR("key"), BP_VAL_BYTES, 0, {c.spki, sizeof c.spki}},
                                             {BP_SPAN_STR("until"), BP_VAL_INT, c.not_after_ms, BP_SPAN_EMPTY}};
    return bp_k_event(k, BP_EV_STATUS_KEY, NULL, detail, 3);
}

static bp_result record_once(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    const struct ask *x = j->flow;
    uint8_t *const known = k->ocsp_responder[x->is_old ? 1 : 0];
    uint8_t digest[BP_DIGEST_SIZE];
    BP_TRY(bp_hash(k->crypto, BP_HASH_SHA256, x->answer.cert, digest));
    if (memcmp(digest, known, sizeof digest) == 0) {
        return BP_OK;
    }
    const bp_result r = bp_k_act(k, record, j);
    if (!bp_failed(r) || bp_is(r, BP_E_EXISTS)) {
        memcpy(known, digest, sizeof digest);
        return BP_OK;
    }
    return r;
}

static void on_signed(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct ask *x = j->flow;
    j->k->ocsp_open--;
    if (bp_failed(r)) {
        answer_error(j, BP_OCSP_TRY_LATER);
        return;
    }
    if (status != 0 || bp_failed(bp_msg_stated_read(body, &x->answer))) {
        answer_error(j, BP_OCSP_INTERNAL);
        return;
    }
    if (bp_failed(record_once(j))) {
        answer_error(j, BP_OCSP_TRY_LATER); /* a full disk, mostly */
        return;
    }
    keep(j->k, x);
    answer_der(j, x->answer.response);
}

static void ask_signer(struct bp_job *j, const struct bp_msg_ocsp *m)
{
    struct bp_keeper *k = j->k;
    struct ask *x = j->flow;
    size_t n = 0;
    bp_result r = bp_msg_ocsp_write(m, k->out, BP_MSG_BODY_MAX, &n);
    if (!bp_failed(r)) {
        r = bp_hash(k->crypto, BP_HASH_SHA256, bp_span_of(k->out, n), x->digest);
    }
    if (bp_failed(r)) {
        answer_error(j, BP_OCSP_INTERNAL);
        return;
    }
    x->is_kept = m->nonce.n == 0;
    const bp_span before = x->is_kept ? kept(k, x->digest) : BP_SPAN_EMPTY;
    if (before.n > 0) {
        answer_der(j, before);
        return;
    }
    r = k->ocsp_open >= BP_K_OCSP_OPEN ? BP_FAIL(BUSY)
                                       : k->port.call(k->port.self, BP_TO_SIGNER_CA, "ocsp", bp_span_of(k->out, n),
                                                      BP_K_CALL_MS, on_signed, j);
    if (bp_failed(r)) {
        answer_error(j, BP_OCSP_TRY_LATER);
        return;
    }
    k->ocsp_open++;
}

static void ask(struct bp_job *j, bp_span der)
{
    struct bp_ocsp_request q;
    struct bp_msg_ocsp m = {0};
    if (bp_failed(bp_ocsp_request_read(der, &q))) {
        answer_error(j, BP_OCSP_MALFORMED);
        return;
    }
    struct ask *x = bp_alloc(sizeof *x);
    if (x == NULL) {
        answer_error(j, BP_OCSP_TRY_LATER);
        return;
    }
    j->flow = x;
    j->flow_free = free_ask;
    const bp_result r = look(j->k, &q, &m, &x->is_old);
    if (bp_failed(r)) {
        answer_error(j, bp_is(r, BP_E_NOT_FOUND) ? BP_OCSP_UNAUTHORIZED : BP_OCSP_INTERNAL);
        return;
    }
    ask_signer(j, &m);
}

/* -- requests -------------------------------------------------------------------------------------- */
void bp_k_ocsp_post(struct bp_job *j)
{
    ask(j, j->q.body);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const int letter = (c | 0x20) - 'a';
    return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/* Octets behind percent signs (RFC 3986 section 2.1); what is none stays, and base64 then refuses it. */
static void unescape(bp_wr *w, bp_span in)
{
    for (size_t i = 0; i < in.n; i++) {
        const int high = in.p[i] == '%' && in.n - i > 2 ? hex_digit(in.p[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(in.p[i + 2]) : -1;
        bp_wr_u8(w, low >= 0 ? (uint8_t)(high * 16 + low) : in.p[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* RFC 6960 appendix A.1: the question in base64 is the rest of the address. */
void bp_k_ocsp_get(struct bp_job *j)
{
    uint8_t text[BP_BASE64_SIZE(BP_OCSP_REQUEST_MAX)];
    uint8_t der[BP_OCSP_REQUEST_MAX];
    const size_t prefix = sizeof BP_K_OCSP_PATH; /* and the slash */
    bp_wr t = bp_wr_over(text, sizeof text);
    bp_wr w = bp_wr_over(der, sizeof der);
    unescape(&t, bp_span_sub(j->q.target, prefix, j->q.target.n - prefix));
    bp_base64_read(&w, bp_wr_span(&t));
    if (bp_failed(bp_wr_finish(&t)) || bp_failed(bp_wr_finish(&w))) {
        answer_error(j, BP_OCSP_MALFORMED);
        return;
    }
    ask(j, bp_wr_span(&w));
}
