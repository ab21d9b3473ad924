/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/est - enrolment over secure transport (RFC 7030, RFC 8951): CA certificates, first
 * certificate, renewal.
 *
 * A certificate is issued only for a key that a verdict of the last ten minutes vouches for, and only
 * while the device's state allows it; the CA signer then looks at the same bytes again. Nothing of the
 * request but its key gets into the certificate. What cannot attest gets one only from the Brownfield
 * CA, only while an administrator has switched it on.
 * Bodies are base64; one line and LF, which every client at hand reads, and lines of 64 for a client
 * that wrote lines itself. */
#include "fleet/keeper/internal.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/x509.h"
#include "pki/x509.h"
#include "fleet/store/crash.h"

#define BP_MODULE      PROC

#define LINE           64u
#define CERTS_MAX      (4u * BP_MSG_CERT_MAX)
#define BACKDATE_MS    (5 * 60 * 1000LL) /* devices' clocks lag */
#define EST_TYPE       BP_SPAN_STR("application/pkcs7-mime; smime-type=certs-only")
#define PROFILE_DEVICE "management"
#define PROFILE_OLD    "brownfield"

struct est {
    uint8_t *csr; /* DER */
    size_t csr_n;
    uint8_t spki[BP_DIGEST_SIZE];
    int64_t device; /* brownfield: 0 for a first certificate */
    uint64_t verdict;
    bool renews;
    bool brownfield;
    enum bp_problem problem;
    bp_span der; /* while the signer's answer lives */
};

static void free_est(void *flow)
{
    struct est *x = flow;
    bp_free(x->csr);
    bp_free(x);
}

/* -- bodies ---------------------------------------------------------------------------------------- */
static bool wrote_lines(bp_span body)
{
    return body.n > 0 && memchr(body.p, '\n', body.n) != NULL;
}

static bp_span write_body(struct bp_keeper *k, bp_span der, bool lines)
{
    uint8_t *const flat = k->room + BP_K_ROOM / 2;
    bp_wr f = bp_wr_over(flat, BP_K_ROOM / 2);
    bp_base64_write(&f, der);
    const bp_span text = bp_wr_span(&f);
    bp_wr w = bp_wr_over(k->room, BP_K_ROOM / 2);
    const size_t step = lines ? LINE : (text.n == 0 ? 1 : text.n);
    for (size_t at = 0; at < text.n; at += step) {
        const size_t left = text.n - at;
        bp_wr_bytes(&w, bp_span_sub(text, at, left < step ? left : step));
        bp_wr_u8(&w, '\n');
    }
    return bp_wr_span(&w);
}

static void answer_certs(struct bp_job *j, const bp_span *certs, size_t count)
{
    uint8_t cms[CERTS_MAX];
    size_t n = 0;
    const bp_result r = bp_certs_only(certs, count, cms, sizeof cms, &n);
    const bp_span body = bp_failed(r) ? BP_SPAN_EMPTY
                                      : write_body(j->k, bp_span_of(cms, n), wrote_lines(j->q.body));
    if (body.n == 0) {
        bp_k_refuse(j, BP_P_INTERNAL, NULL);
        return;
    }
    bp_k_ok(j, EST_TYPE, body);
}

void bp_k_est_cacerts(struct bp_job *j)
{
    const struct bp_keeper *k = j->k;
    bp_span certs[4];
    size_t n = 0;
    certs[n++] = k->cfg.issuing_der;
    if (k->cfg.issuing_old_der.n > 0) {
        certs[n++] = k->cfg.issuing_old_der;
    }
    certs[n++] = k->cfg.root_der;
    /* An anchor of its own: clients that trust it are the ones that live without verdicts. */
    if (k->brownfield && k->cfg.brownfield_der.n > 0) {
        certs[n++] = k->cfg.brownfield_der;
    }
    answer_certs(j, certs, n);
}

/* Base64; the route's ceiling bounds the body. */
static bp_result read_body(bp_span body, struct est *x)
{
    x->csr = bp_alloc(body.n + 1);
    if (x->csr == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_wr w = bp_wr_over(x->csr, body.n + 1);
    bp_base64_read_wrapped(&w, body);
    BP_TRY(bp_wr_finish(&w));
    x->csr_n = w.n;
    return w.n == 0 ? BP_FAIL(MALFORMED) : BP_OK;
}

/* Reads the request and proves that whoever sent it holds the key. */
static bp_result read_csr(struct bp_job *j, struct est *x)
{
    struct bp_keeper *k = j->k;
    struct bp_csr csr = {0};
    BP_TRY(read_body(j->q.body, x));
    BP_TRY(bp_csr_read(bp_span_of(x->csr, x->csr_n), &csr));
    if (csr.key.type != BP_KEY_P256 && csr.key.type != BP_KEY_P384) {
        return BP_FAIL(UNSUPPORTED);
    }
    BP_TRY(bp_x509_verify(k->crypto, &csr.key, csr.alg, csr.tbs, csr.signature));
    return bp_hash(k->crypto, BP_HASH_SHA256, csr.spki, x->spki);
}

static struct est *begin(struct bp_job *j)
{
    struct est *x = bp_alloc(sizeof *x);
    if (x == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return NULL;
    }
    j->flow = x;
    j->flow_free = free_est;
    const bp_result r = read_csr(j, x);
    if (bp_failed(r)) {
        const bool memory = bp_is(r, BP_E_NO_MEMORY);
        bp_k_note_refusal(j, BP_EV_CERTIFICATE_REFUSED, NULL, "the request is not acceptable");
        bp_k_refuse(j, memory ? BP_P_BUSY : BP_P_BAD_CSR, NULL);
        return NULL;
    }
    return x;
}

static void refuse(struct bp_job *j, const struct bp_device *d, enum bp_problem problem)
{
    if (problem == BP_P_WAITING) {
        j->retry_after_s = BP_K_WAITING_S; /* an answer, not an offence */
    } else {
        bp_k_note_refusal(j, BP_EV_CERTIFICATE_REFUSED, d, bp_problem_row(problem).title);
    }
    bp_k_refuse(j, problem, NULL);
}

/* -- the certificate ------------------------------------------------------------------------------- */
static bp_result read_certificate(struct bp_keeper *k, const struct est *x, struct bp_certificate *c)
{
    struct bp_x509 cert = {0};
    uint8_t spki[BP_DIGEST_SIZE];
    BP_TRY(bp_x509_read(x->der, &cert));
    BP_TRY(bp_hash(k->crypto, BP_HASH_SHA256, cert.spki, spki));
    if (cert.serial.n == 0 || cert.serial.n > sizeof c->serial ||
        memcmp(spki, x->spki, sizeof spki) != 0) {
        return BP_FAIL(MISMATCH); /* the signer answered another request */
    }
    memcpy(c->serial, cert.serial.p, cert.serial.n);
    c->serial_n = cert.serial.n;
    memcpy(c->spki, spki, sizeof c->spki);
    c->not_before_ms = cert.not_before_s * 1000;
    c->not_after_ms = cert.not_after_s > INT64_MAX / 1000 ? INT64_MAX : cert.not_after_s * 1000;
    c->state = BP_CERT_GOOD;
    return BP_OK;
}

static bp_result keep_device(struct bp_job *j, struct est *x)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct bp_certificate c = {.device = x->device, .verdict = x->verdict};
    memcpy(c.profile, PROFILE_DEVICE, sizeof PROFILE_DEVICE);
    BP_TRY(read_certificate(k, x, &c));
    BP_TRY(bp_store_device_by_n(k->store, x->device, &d));
    c.place = d.place;
    return bp_registry_certified(&k->registry, &d, &c, x->der, &x->problem);
}

static bp_result keep_brownfield(struct bp_job *j, struct est *x)
{
    struct bp_keeper *k = j->k;
    struct bp_certificate c = {0};
    memcpy(c.profile, PROFILE_OLD, sizeof PROFILE_OLD);
    BP_TRY(read_certificate(k, x, &c));
    return bp_registry_brownfield(&k->registry, x->device, j->q.source, &c, x->der, &x->problem);
}

static bp_result keep_certificate(void *self)
{
    struct bp_job *j = self;
    struct est *x = j->flow;
    BP_CRASH("keeper.issued-not-kept");
    return x->brownfield ? keep_brownfield(j, x) : keep_device(j, x);
}

static void on_issued(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct est *x = j->flow;
    bp_k_key_store(j->k, r, status);
    if (!bp_failed(r) && status != 0) {
        bp_k_note_refusal(j, BP_EV_CERTIFICATE_REFUSED, NULL,
                          bp_problem_row((enum bp_problem)status).title);
    }
    if (bp_k_failed_call(j, r, status)) {
        return;
    }
    if (bp_failed(bp_msg_bytes_read(body, &x->der))) {
        bp_k_refuse(j, BP_P_INTERNAL, NULL);
        return;
    }
    r = bp_k_act(j->k, keep_certificate, j);
    if (bp_is(r, BP_E_DENIED) && x->problem != BP_P_NONE) {
        refuse(j, NULL, x->problem);
    } else if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    } else {
        answer_certs(j, &x->der, 1);
    }
}

static bp_result ask(struct bp_job *j, const char *op, size_t n)
{
    struct bp_keeper *k = j->k;
    return k->port.call(k->port.self, BP_TO_SIGNER_CA, op, bp_span_of(k->out, n), BP_K_CALL_MS,
                        on_issued, j);
}

/* -- a key that a verdict vouches for -------------------------------------------------------------- */
/* Everything that the CA signer looks at again, copied out of the store. */
struct proof {
    struct bp_verdict_row v;
    uint8_t *ear;
    uint8_t *evidence;
    size_t evidence_n;
    uint8_t binding[2048];
    size_t binding_n;
};

static bp_result collect(struct bp_keeper *k, const struct est *x, struct proof *p)
{
    bp_span a = BP_SPAN_EMPTY;
    bp_span b = BP_SPAN_EMPTY;
    BP_TRY(bp_store_verdict(k->store, x->verdict, &p->v));
    p->ear = bp_alloc(p->v.ear.n);
    if (p->ear == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    memcpy(p->ear, p->v.ear.p, p->v.ear.n);
    BP_TRY(bp_store_blob(k->store, BP_SPAN_OF(p->v.evidence), &a));
    p->evidence = bp_alloc(a.n);
    if (p->evidence == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    memcpy(p->evidence, a.p, a.n);
    p->evidence_n = a.n;
    BP_TRY(bp_store_ak(k->store, x->device, &a, &b));
    if (b.n > sizeof p->binding) {
        return BP_FAIL(INTERNAL);
    }
    memcpy(p->binding, b.p, b.n);
    p->binding_n = b.n;
    return BP_OK;
}

static bp_result write_issue(struct bp_job *j, const struct bp_device *d, const struct proof *p,
                             size_t *ret_n)
{
    struct bp_keeper *k = j->k;
    const struct est *x = j->flow;
    const int64_t from = bp_k_now(k) - BACKDATE_MS;
    const struct bp_msg_issue m = {.csr = bp_span_of(x->csr, x->csr_n),
                                   .ak_binding = bp_span_of(p->binding, p->binding_n),
                                   .evidence = bp_span_of(p->evidence, p->evidence_n),
                                   .nonce = BP_SPAN_OF(p->v.nonce),
                                   .seq = p->v.seq,
                                   .issued_ms = (uint64_t)p->v.as_of_ms,
                                   .ear = bp_span_of(p->ear, p->v.ear.n),
                                   .pseudonym = bp_span_cstr(d->pseudonym),
                                   .profile = BP_SPAN_STR(PROFILE_DEVICE),
                                   .not_before_ms = from < 0 ? 0 : (uint64_t)from,
                                   .binding = BP_SPAN_OF(p->v.binding)};
    return bp_msg_issue_write(&m, k->out, BP_MSG_BODY_MAX, ret_n);
}

static void issue(struct bp_job *j, const struct bp_device *d)
{
    struct proof *p = bp_alloc(sizeof *p);
    size_t n = 0;
    bp_result r = p == NULL ? BP_FAIL(NO_MEMORY) : collect(j->k, j->flow, p);
    if (!bp_failed(r)) {
        r = write_issue(j, d, p, &n);
    }
    if (!bp_failed(r)) {
        r = ask(j, "issue", n);
    }
    if (p != NULL) {
        bp_free(p->ear);
        bp_free(p->evidence);
        bp_free(p);
    }
    if (bp_is(r, BP_E_NOT_FOUND)) {
        refuse(j, d, BP_P_NOT_PREAPPROVED); /* what it rests on is no longer kept */
    } else if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}

/* Whether the key is pre-approved. NONE, or the problem; d is filled when the device is known. */
static enum bp_problem preapproved(struct bp_keeper *k, struct est *x, enum bp_operation op,
                                   struct bp_device *d)
{
    struct bp_vouched v = {0};
    if (k->is_behind) {
        return BP_P_RECOVERING;
    }
    const bp_result got = bp_store_vouched(k->store, BP_SPAN_OF(x->spki), &v);
    if (bp_is(got, BP_E_NOT_FOUND) || (!bp_failed(got) && v.until_ms < bp_k_now(k))) {
        return BP_P_NOT_PREAPPROVED;
    }
    if (bp_failed(got) || bp_failed(bp_store_device_by_n(k->store, v.device, d))) {
        return BP_P_INTERNAL;
    }
    const enum bp_problem may = bp_registry_may(d->state, op);
    if (may != BP_P_NONE) {
        return may;
    }
    if ((x->device != 0 && x->device != v.device) || (op == BP_OP_ENROL && !v.first)) {
        return BP_P_NOT_PREAPPROVED;
    }
    x->device = v.device;
    x->verdict = v.verdict;
    return BP_P_NONE;
}

/* -- what cannot attest ---------------------------------------------------------------------------- */
static void issue_brownfield(struct bp_job *j, bp_span id)
{
    struct bp_keeper *k = j->k;
    struct est *x = j->flow;
    char pseudonym[BP_PSEUDONYM_SIZE + 1];
    size_t n = 0;
    x->brownfield = true;
    bp_result r = bp_registry_pseudonym(&k->registry, id, pseudonym);
    const struct bp_msg_brownfield m = {bp_span_of(x->csr, x->csr_n), bp_span_cstr(pseudonym)};
    if (!bp_failed(r)) {
        r = bp_msg_brownfield_write(&m, k->out, BP_MSG_BODY_MAX, &n);
    }
    if (!bp_failed(r)) {
        r = ask(j, "issue-brownfield", n);
    }
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}

static void first_brownfield(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct est *x = j->flow;
    struct bp_key seen = {0};
    uint8_t id[BP_ID_SIZE] = {1};
    if (!bp_failed(bp_store_key(k->store, BP_SPAN_OF(x->spki), &seen))) {
        refuse(j, NULL, BP_P_KEY_IN_USE); /* a device that can attest has to */
        return;
    }
    if (!bp_k_newcomer(k, j->q.source)) {
        j->retry_after_s = 3600;
        refuse(j, NULL, BP_P_TOO_MANY);
        return;
    }
    memcpy(id + 1, x->spki, sizeof x->spki);
    issue_brownfield(j, BP_SPAN_OF(id));
}

static void renew_brownfield(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct est *x = j->flow;
    struct bp_device d = {0};
    enum bp_problem problem = BP_P_NONE;
    if (!k->brownfield) {
        refuse(j, NULL, BP_P_BROWNFIELD_OFF);
        return;
    }
    const bp_result r =
        bp_registry_brownfield_of_key(&k->registry, j->q.peer_spki, &d, &problem);
    if (bp_failed(r)) {
        refuse(j, NULL, problem != BP_P_NONE ? problem : bp_k_problem_of(r));
        return;
    }
    x->device = d.n;
    issue_brownfield(j, BP_SPAN_OF(d.id));
}

/* -- requests -------------------------------------------------------------------------------------- */
void bp_k_est_enrol(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct est *x = begin(j);
    if (x == NULL) {
        return;
    }
    const enum bp_problem problem = preapproved(k, x, BP_OP_ENROL, &d);
    if (problem == BP_P_NONE) {
        issue(j, &d);
    } else if (problem == BP_P_NOT_PREAPPROVED && k->brownfield) {
        first_brownfield(j);
    } else {
        refuse(j, d.n != 0 ? &d : NULL, problem);
    }
}

void bp_k_est_reenrol(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct bp_device owner = {0};
    enum bp_problem problem = BP_P_NONE;
    struct est *x = begin(j);
    if (x == NULL) {
        return;
    }
    if (bp_span_equal(j->q.peer_issuer, BP_SPAN_STR("brownfield"))) {
        renew_brownfield(j);
        return;
    }
    if (!bp_span_equal(j->q.peer_issuer, BP_SPAN_STR("device")) || j->q.peer_spki.n == 0) {
        refuse(j, NULL, BP_P_WRONG_ISSUER);
        return;
    }
    const bp_result r = bp_registry_device_of_key(&k->registry, j->q.peer_spki, &d, &problem);
    if (bp_failed(r)) {
        refuse(j, NULL, problem != BP_P_NONE ? problem : bp_k_problem_of(r));
        return;
    }
    x->device = d.n;
    x->renews = true;
    problem = preapproved(k, x, BP_OP_RENEW, &owner);
    if (problem != BP_P_NONE) {
        refuse(j, &d, problem);
        return;
    }
    issue(j, &d);
}
