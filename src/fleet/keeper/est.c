/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/est - enrolment over secure transport (RFC 7030, RFC 8951): CA certificates, first
 * certificate, renewal.
 *
 * A certificate is issued only for a key that a verdict of the last ten minutes vouches for, and only
 * while the device's state allows it; the CA signer then looks at the same bytes again. Nothing of the
 * request but its key gets into the certificate: what the label names, a service or the device's zone,
 * is looked up in the store, and so are the names. What cannot attest gets one only from the Brownfield
 * CA, only while an administrator has switched it on.
 * Evidence may come in the request itself (codec/est.h): it is appraised, judged and recorded as if it had come by itself over
 * the same connection, and then the request goes on.
 * Bodies are base64; one line and LF, which every client at hand reads, and lines of 64 for a client
 * that wrote lines itself. */
#include "fleet/keeper/internal.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/est.h"
#include "codec/x509.h"
#include "fleet/store/crash.h"
#include "pki/x509.h"

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
    bp_span evidence; /* in csr; empty: none came with it */
    enum bp_operation op;
    int64_t device; /* brownfield: 0 for a first certificate */
    uint64_t verdict;
    bool is_labelled; /* and without a service: the label must be the device's zone */
    bool is_application;
    struct bp_service service;
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
/* libest decodes with OpenSSL's filter, which takes no line above 1,024 characters. It writes lines itself; where it writes
 * nothing, as when it asks for the CA's certificates, its name tells. */
static bool wants_lines(const struct bp_ex_request *q)
{
    static const char *const names[] = {"libest", "Cisco EST client"};
    bool is_named = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const bp_span name = bp_span_cstr(names[i]);
        is_named = is_named || bp_span_equal(bp_span_sub(q->agent, 0, name.n), name);
    }
    return is_named || (q->body.n > 0 && memchr(q->body.p, '\n', q->body.n) != NULL);
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
                                      : write_body(j->k, bp_span_of(cms, n), wants_lines(&j->q));
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

/* What a request should look like (RFC 9908 section 3.4): a template with a P-256 key and nothing else, under every label. The
 * subject is left out, since the registry names it. */
void bp_k_est_csrattrs(struct bp_job *j)
{
    static const uint8_t attrs[] = {
        0x30, 0x2f, 0x30, 0x2d, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x3d, /* id-aa 61 */
        0x31, 0x1e, 0x30, 0x1c, 0x02, 0x01, 0x00,                                     /* SET, template, version 0 */
        0xa0, 0x15, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, /* [0] id-ecPublicKey */
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,                   /* prime256v1 */
        0xa1, 0x00};                                                                  /* [1] no attributes */
    bp_k_ok(j, BP_SPAN_STR("application/csrattrs"), write_body(j->k, BP_SPAN_OF(attrs), wants_lines(&j->q)));
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

/* Why a request's evidence cannot be read; the problem, or NONE when it has none or it reads. */
static enum bp_problem read_evidence(bp_span attributes, struct est *x, const char **ret_why)
{
    const bp_result r = bp_est_evidence_read(attributes, &x->evidence);
    if (!bp_failed(r) || bp_is(r, BP_E_NOT_FOUND)) {
        return BP_P_NONE;
    }
    *ret_why = bp_is(r, BP_E_EXISTS)        ? "there is more than one attestation attribute, or more than one value in it"
               : bp_is(r, BP_E_UNSUPPORTED) ? "it is not one statement with our collection, as " BP_EST_EVIDENCE_DRAFT " has it"
               : bp_is(r, BP_E_LIMIT)       ? "the evidence is longer than 262144 bytes"
                                            : "the attestation attribute is not well formed";
    return bp_is(r, BP_E_LIMIT) ? BP_P_TOO_LARGE : BP_P_ATTESTATION;
}

/* Reads the request. That whoever sent it holds the key is for the CA signer to say, once, before it signs: a state of the
 * store is no secret of the key's holder, and nothing is changed before that; but where evidence is, which is recorded first,
 * it is said here too. DENIED: x->problem, *ret_why say why. */
static bp_result read_csr(struct bp_job *j, struct est *x, const char **ret_why)
{
    struct bp_keeper *k = j->k;
    struct bp_csr csr = {0};
    BP_TRY(read_body(j->q.body, x));
    BP_TRY(bp_csr_read(bp_span_of(x->csr, x->csr_n), &csr));
    x->problem = read_evidence(csr.attributes, x, ret_why);
    if (x->problem == BP_P_NONE && x->evidence.n == 0 && j->q.body.n > BP_KEEPER_CSR_MAX) {
        x->problem = BP_P_TOO_LARGE;
    }
    if (x->problem != BP_P_NONE) {
        return BP_FAIL(DENIED);
    }
    if (csr.key.type != BP_KEY_P256 && csr.key.type != BP_KEY_P384) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (x->evidence.n > 0) {
        BP_TRY(bp_x509_verify(k->crypto, &csr.key, csr.alg, csr.tbs, csr.signature));
    }
    return bp_hash(k->crypto, BP_HASH_SHA256, csr.spki, x->spki);
}

static struct est *begin(struct bp_job *j)
{
    if (!j->k->signer_known) { /* whether this store is the newest is not known yet: bp_k_is_recovering */
        j->retry_after_s = BP_K_RETRY_S;
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return NULL;
    }
    struct est *x = bp_alloc(sizeof *x);
    if (x == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return NULL;
    }
    j->flow = x;
    j->flow_free = free_est;
    x->is_labelled = j->label.n > 0;
    x->is_application = x->is_labelled && !bp_failed(bp_store_service(j->k->store, j->label, &x->service));
    const char *why = NULL;
    const bp_result r = read_csr(j, x, &why);
    if (bp_is(r, BP_E_DENIED)) {
        bp_k_note_refusal(j, BP_EV_CERTIFICATE_REFUSED, NULL, why != NULL ? why : bp_problem_row(x->problem).title);
        bp_k_refuse(j, x->problem, why);
        return NULL;
    }
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
    if (x->is_application) {
        memcpy(c.profile, x->service.profile, sizeof c.profile);
        memcpy(c.service, x->service.name, sizeof c.service);
        return bp_registry_applied(&k->registry, &d, &c, x->der, &x->problem);
    }
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

/* The name that an operator gave the device, where it can be a host's; whatever it is called, its pseudonym is one. */
static bp_span dns_of(const struct bp_device *d)
{
    const bp_span name = bp_span_cstr(d->place.name);
    return bp_cert_is_dns(name) ? name : BP_SPAN_EMPTY;
}

static bp_result write_issue(struct bp_job *j, const struct bp_device *d, const struct proof *p,
                             size_t *ret_n)
{
    struct bp_keeper *k = j->k;
    const struct est *x = j->flow;
    const int64_t from = bp_k_now(k) - BACKDATE_MS;
    const struct bp_service *const app = x->is_application ? &x->service : NULL;
    const bool has_dns = app != NULL && bp_cert_has_dns(bp_cert_of_device(bp_span_cstr(app->profile)));
    const struct bp_msg_issue m = {.csr = bp_span_of(x->csr, x->csr_n),
                                   .ak_binding = bp_span_of(p->binding, p->binding_n),
                                   .evidence = bp_span_of(p->evidence, p->evidence_n),
                                   .nonce = BP_SPAN_OF(p->v.nonce),
                                   .seq = p->v.seq,
                                   .issued_ms = (uint64_t)p->v.as_of_ms,
                                   .ear = bp_span_of(p->ear, p->v.ear.n),
                                   .pseudonym = bp_span_cstr(d->pseudonym),
                                   .profile = app != NULL ? bp_span_cstr(app->profile) : BP_SPAN_STR(PROFILE_DEVICE),
                                   .not_before_ms = from < 0 ? 0 : (uint64_t)from,
                                   .binding = BP_SPAN_OF(p->v.binding),
                                   .service = app != NULL ? bp_span_cstr(app->name) : BP_SPAN_EMPTY,
                                   .dns = has_dns ? dns_of(d) : BP_SPAN_EMPTY,
                                   .lifetime_ms = app != NULL ? (uint64_t)bp_k_application_ms(k) : 0};
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

static bool is_zone(bp_span label, const struct bp_device *d)
{
    return bp_span_equal(label, bp_span_cstr(d->place.zone));
}

static bool serves(const struct bp_service *service, const struct bp_device *d)
{
    return strcmp(service->zone, "*") == 0 || strcmp(service->zone, d->place.zone) == 0;
}

static bool is_label_of(const struct bp_job *j, const struct bp_device *d)
{
    const struct est *x = j->flow;
    return x->is_application ? serves(&x->service, d) : !x->is_labelled || is_zone(j->label, d);
}

/* One key, one device, one use: before the signer is asked, and again when the certificate is entered. */
static enum bp_problem check_use(struct bp_keeper *k, const struct est *x, int64_t device)
{
    struct bp_key seen = {0};
    const bp_result got = bp_store_key(k->store, BP_SPAN_OF(x->spki), &seen);
    if (bp_failed(got)) {
        return bp_is(got, BP_E_NOT_FOUND) ? BP_P_NONE : BP_P_INTERNAL;
    }
    const bool same = seen.role == (x->is_application ? BP_ROLE_APPLICATION : BP_ROLE_LDEVID) &&
                      strcmp(seen.service, x->is_application ? x->service.name : "") == 0;
    return same && seen.device == device && !seen.tombstone ? BP_P_NONE : BP_P_KEY_IN_USE;
}

/* Whether the key is pre-approved. NONE, or the problem; d is filled when the device is known. */
static enum bp_problem preapproved(struct bp_job *j, enum bp_operation op, struct bp_device *d)
{
    struct bp_keeper *const k = j->k;
    struct est *const x = j->flow;
    struct bp_vouched v = {0};
    if (bp_k_is_recovering(k)) {
        return BP_P_RECOVERING;
    }
    const bp_result got = bp_store_vouched(k->store, BP_SPAN_OF(x->spki), &v);
    /* Nothing is vouched for longer than that: what says so is of a time when our clock was ahead. */
    const int64_t left = v.until_ms - bp_k_now(k);
    if (bp_is(got, BP_E_NOT_FOUND) || (!bp_failed(got) && (left < 0 || left > BP_KEEPER_VOUCH_MS))) {
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
    if (!is_label_of(j, d)) {
        return BP_P_NO_LABEL;
    }
    x->device = v.device;
    x->verdict = v.verdict;
    return check_use(k, x, v.device);
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

/* -- whoever asks over its own certificate ---------------------------------------------------------- */
/* The device of the connection; whatever it asks for must be its own. NONE, or the problem. */
static enum bp_problem by_peer(struct bp_job *j, struct est *x, struct bp_device *d)
{
    struct bp_keeper *k = j->k;
    enum bp_problem problem = BP_P_NONE;
    if (!bp_span_equal(j->q.peer_issuer, BP_SPAN_STR("device")) || j->q.peer_spki.n == 0) {
        return BP_P_WRONG_ISSUER;
    }
    const bp_result r =
        x->is_application
            ? bp_registry_device_of_application_key(&k->registry, j->q.peer_spki, x->service.name, d, &problem)
            : bp_registry_device_of_key(&k->registry, j->q.peer_spki, d, &problem);
    if (bp_failed(r)) {
        return problem != BP_P_NONE ? problem : bp_k_problem_of(r);
    }
    x->device = d->n;
    return BP_P_NONE;
}

/* -- evidence in the request ------------------------------------------------------------------------ */
/* The evidence is recorded and durable: the request is like any other. */
static void go_on(struct bp_job *j)
{
    struct bp_device d = {0};
    const struct est *x = j->flow;
    const enum bp_problem problem = preapproved(j, x->op, &d);
    if (problem == BP_P_NONE) {
        issue(j, &d);
    } else {
        refuse(j, d.n != 0 ? &d : NULL, problem);
    }
}

/* What would be refused whatever the evidence proves is refused before anything is written. */
static enum bp_problem may_attest(struct bp_job *j, struct est *x, struct bp_device *d)
{
    struct bp_keeper *k = j->k;
    enum bp_problem problem = BP_P_NONE;
    if (bp_k_is_recovering(k)) {
        return BP_P_RECOVERING;
    }
    if (!bp_span_equal(j->q.peer_issuer, BP_SPAN_STR("device")) || j->q.peer_spki.n == 0) {
        return BP_P_WRONG_ISSUER;
    }
    const bp_result r = bp_registry_device_of_key(&k->registry, j->q.peer_spki, d, &problem);
    if (bp_failed(r)) {
        return problem != BP_P_NONE ? problem : bp_k_problem_of(r);
    }
    problem = bp_registry_may(d->state, x->op);
    if (problem == BP_P_NONE && !is_label_of(j, d)) {
        problem = BP_P_NO_LABEL;
    }
    return problem != BP_P_NONE ? problem : check_use(k, x, d->n);
}

/* Over the device's own certificate, at either listener. */
static void attest_and_issue(struct bp_job *j, struct est *x)
{
    struct bp_device d = {0};
    x->op = x->is_application ? BP_OP_APPLY : BP_OP_RENEW;
    const enum bp_problem problem = may_attest(j, x, &d);
    if (problem != BP_P_NONE) {
        refuse(j, d.n != 0 ? &d : NULL, problem);
        return;
    }
    x->device = d.n;
    bp_k_attest_within(j, &d, x->evidence, BP_SPAN_OF(x->spki), go_on);
}

/* -- requests -------------------------------------------------------------------------------------- */
void bp_k_est_enrol(struct bp_job *j)
{
    const struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct est *x = begin(j);
    if (x == NULL) {
        return;
    }
    if (x->evidence.n > 0) {
        attest_and_issue(j, x);
        return;
    }
    const bool is_application = x->is_application;
    enum bp_problem problem = BP_P_NONE;
    if (bp_span_equal(j->q.listener, BP_SPAN_STR("device"))) {
        problem = is_application ? by_peer(j, x, &d) : BP_P_NO_LABEL; /* the rest is asked for at the enrol listener */
    }
    if (problem == BP_P_NONE) {
        problem = preapproved(j, is_application ? BP_OP_APPLY : BP_OP_ENROL, &d);
    }
    if (problem == BP_P_NONE) {
        issue(j, &d);
    } else if (problem == BP_P_NOT_PREAPPROVED && k->brownfield && !x->is_labelled) {
        first_brownfield(j);
    } else {
        refuse(j, d.n != 0 ? &d : NULL, problem);
    }
}

void bp_k_est_reenrol(struct bp_job *j)
{
    struct bp_device d = {0};
    struct bp_device owner = {0};
    struct est *x = begin(j);
    if (x == NULL) {
        return;
    }
    if (x->evidence.n > 0) {
        attest_and_issue(j, x);
        return;
    }
    if (!x->is_labelled && bp_span_equal(j->q.peer_issuer, BP_SPAN_STR("brownfield"))) {
        renew_brownfield(j);
        return;
    }
    enum bp_problem problem = by_peer(j, x, &d);
    if (problem == BP_P_NONE) {
        problem = preapproved(j, x->is_application ? BP_OP_APPLY : BP_OP_RENEW, &owner);
    }
    if (problem != BP_P_NONE) {
        refuse(j, d.n != 0 ? &d : NULL, problem);
        return;
    }
    issue(j, &d);
}
