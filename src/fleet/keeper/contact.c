/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/contact - first contact: hello, and what is remembered of it until its evidence comes.
 *
 * Nothing is written to the store: whoever said hello has proven nothing yet. EK certificates are
 * public, so anybody may say hello in a device's name; each hello is a contact of its own, named by
 * device id and the time of its nonce, and cannot disturb another. */
#include "fleet/keeper/internal.h"

#include "codec/akbinding.h"
#include "codec/device.h"
#include "core/tpmkey.h"

#define BP_MODULE PROC

/* -- the table ----------------------------------------------------------------------------------- */
struct bp_k_contact *bp_k_contact_of(struct bp_keeper *k, bp_span id, int64_t issued_ms)
{
    for (size_t i = 0; i < k->contact_count; i++) {
        struct bp_k_contact *c = &k->contact[i];
        if (c->issued_ms == issued_ms && bp_span_equal(BP_SPAN_OF(c->id), id)) {
            return c;
        }
    }
    return NULL;
}

void bp_k_contact_take(struct bp_keeper *k, struct bp_k_contact *c, struct bp_k_contact *ret)
{
    *ret = *c;
    *c = k->contact[--k->contact_count];
}

void bp_k_contacts_expire(struct bp_keeper *k)
{
    const int64_t now = bp_k_mono(k);
    for (size_t i = k->contact_count; i > 0; i--) {
        struct bp_k_contact gone;
        if (now - k->contact[i - 1].since_ms > BP_KEEPER_CONTACT_MS) {
            bp_k_contact_take(k, &k->contact[i - 1], &gone);
            bp_free(gone.info);
        }
    }
}

void bp_k_contacts_free(struct bp_keeper *k)
{
    for (size_t i = 0; i < k->contact_count; i++) {
        bp_free(k->contact[i].info);
    }
    k->contact_count = 0;
    bp_free(k->contact);
    k->contact = NULL;
}

static struct bp_k_contact *new_contact(struct bp_keeper *k)
{
    if (k->contact == NULL) {
        k->contact = bp_alloc_array(BP_KEEPER_CONTACTS_MAX, sizeof *k->contact);
    }
    if (k->contact == NULL) {
        return NULL;
    }
    if (k->contact_count == BP_KEEPER_CONTACTS_MAX) {
        bp_k_contacts_expire(k);
    }
    if (k->contact_count == BP_KEEPER_CONTACTS_MAX) {
        return NULL;
    }
    struct bp_k_contact *c = &k->contact[k->contact_count++];
    *c = (struct bp_k_contact){0};
    return c;
}

/* -- what is remembered -------------------------------------------------------------------------- */
static bp_result write_info(const struct bp_hello *h, uint8_t *ret, size_t cap, size_t *ret_n)
{
    bp_cw w = bp_cw_over(ret, cap);
    bp_cw_map(&w, h->info);
    for (uint32_t i = 0; i < h->info; i++) {
        bp_cw_tstr(&w, h->pair[i].name);
        bp_cw_tstr(&w, h->pair[i].value);
    }
    *ret_n = w.wr.n;
    return bp_cw_finish(&w);
}

static bp_result copy_info(const struct bp_hello *h, struct bp_k_contact *c)
{
    size_t n = 0;
    const bp_result measured = write_info(h, NULL, 0, &n);
    if (bp_failed(measured) && !bp_is(measured, BP_E_NO_SPACE)) {
        return measured;
    }
    c->info = bp_alloc(n);
    if (c->info == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    return write_info(h, c->info, n, &c->info_n);
}

static bp_result ak_name(struct bp_keeper *k, bp_span ak, uint8_t ret[34])
{
    struct bp_tpm_public pub = {0};
    struct bp_tpm_name name = {0};
    BP_TRY(bp_tpm_public_read(ak, &pub));
    BP_TRY(bp_tpm_name(k->crypto, &pub, &name));
    if (name.n != 34) {
        return BP_FAIL(UNSUPPORTED);
    }
    memcpy(ret, name.v, 34);
    return BP_OK;
}

/* What the registry knows of the chip already, by whichever of its keys. */
struct known {
    struct bp_device d; /* state NONE: nothing */
    struct bp_trust t;
    bool by_alias; /* its identity key is not among those that it showed */
    enum bp_problem problem;
};

/* A chip that is known goes on under its id, and the weakest class that any key of it ever had counts. */
static void name(const struct bp_msg_challenge *m, const struct known *w, struct bp_k_contact *c)
{
    const bool is_known = w->d.state != BP_ST_NONE;
    const bp_span class_ =
        is_known ? bp_akbinding_weaker(m->issuer_class, bp_span_cstr(w->d.issuer_class)) : m->issuer_class;
    memcpy(c->id, is_known ? w->d.id : m->device_id.p, sizeof c->id);
    memcpy(c->chip, m->device_id.p, sizeof c->chip);
    bp_k_text(class_, c->issuer_class, sizeof c->issuer_class);
}

static bp_result fill(struct bp_keeper *k, const struct bp_hello *h, const struct bp_msg_challenge *m,
                      const struct known *w, struct bp_k_contact *c)
{
    name(m, w, c);
    c->since_ms = bp_k_mono(k);
    c->issued_ms = bp_k_now(k);
    while (bp_k_contact_of(k, BP_SPAN_OF(c->id), c->issued_ms) != c) {
        c->issued_ms++; /* two hellos in one millisecond */
    }
    for (size_t i = 0; i < m->hashes; i++) {
        memcpy(c->qualified[c->ek_count], m->qualified[i].p, sizeof c->qualified[0]);
        memcpy(c->ek[c->ek_count++], m->hash[i].p, BP_DIGEST_SIZE);
    }
    if (h->ak.n > sizeof c->ak || h->code.n >= sizeof c->code) {
        return BP_FAIL(LIMIT);
    }
    memcpy(c->ak, h->ak.p, h->ak.n);
    c->ak_n = h->ak.n;
    bp_k_text(h->kind, c->kind, sizeof c->kind);
    bp_k_text(h->code, c->code, sizeof c->code);
    BP_TRY(ak_name(k, h->ak, c->ak_name));
    return copy_info(h, c);
}

/* -- challenge ----------------------------------------------------------------------------------- */
static bp_result write_challenge(struct bp_job *j, const struct bp_msg_challenge *m,
                                 const struct bp_k_contact *c, const char *state, size_t *ret_n)
{
    struct bp_keeper *k = j->k;
    uint8_t nonce[BP_DIGEST_SIZE];
    struct bp_challenge v = {.device_id = BP_SPAN_OF(c->id),
                             .seq = c->seq,
                             .issued_ms = c->issued_ms,
                             .state = bp_span_cstr(state),
                             .device_port = k->cfg.device_port};
    for (size_t i = 0; i < m->eks; i++) {
        if (m->id_object[i].n > 0) {
            v.credential[v.credentials].id_object = m->id_object[i];
            v.credential[v.credentials].secret = m->secret[i];
            v.credentials++;
        }
    }
    BP_TRY(bp_k_nonce(k, v.device_id, c->seq, c->issued_ms, nonce));
    v.nonce = BP_SPAN_OF(nonce);
    return bp_challenge_write(&v, k->room, BP_K_ROOM, ret_n);
}

static bp_result look_up(struct bp_keeper *k, const struct bp_msg_challenge *m, struct known *ret)
{
    uint8_t ek[BP_MSG_EKS_MAX][BP_DIGEST_SIZE];
    for (size_t i = 0; i < m->hashes; i++) {
        memcpy(ek[i], m->hash[i].p, BP_DIGEST_SIZE);
    }
    const bp_result got = bp_registry_chip(&k->registry, (const uint8_t(*)[BP_DIGEST_SIZE])ek, m->hashes, &ret->d, &ret->problem);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        ret->d.state = BP_ST_NONE;
        return BP_OK;
    }
    BP_TRY(got);
    ret->by_alias = !bp_registry_shows_identity(&ret->d, (const uint8_t(*)[BP_DIGEST_SIZE])ek, m->hashes);
    return bp_store_trust(k->store, ret->d.n, &ret->t);
}

/* A chip that is off says hello; that it is the chip is not proven yet, but whoever it is gets nowhere. */
static void refuse_known(struct bp_job *j, const struct known *w)
{
    const bool is_retired = w->d.state == BP_ST_RETIRED;
    const char *why = w->by_alias ? (is_retired ? "the device is retired; it showed another endorsement key of its chip"
                                                : "the device is revoked; it showed another endorsement key of its chip")
                                  : (is_retired ? "the device is retired" : "the device is revoked");
    bp_k_note_refusal(j, BP_EV_CONTACT_REFUSED, &w->d, why);
    bp_k_refuse(j, BP_P_REVOKED, why);
}

static void refuse_lookup(struct bp_job *j, const struct known *w, bp_result r)
{
    const enum bp_problem problem = bp_is(r, BP_E_DENIED) ? w->problem : bp_k_problem_of(r);
    if (bp_is(r, BP_E_DENIED)) {
        bp_k_note_refusal(j, BP_EV_CONTACT_REFUSED, NULL, bp_problem_row(problem).title);
    }
    bp_k_refuse(j, problem, NULL);
}

static void forget(struct bp_keeper *k, struct bp_k_contact *c)
{
    struct bp_k_contact gone;
    bp_k_contact_take(k, c, &gone);
    bp_free(gone.info);
}

static void challenge(struct bp_job *j, const struct bp_msg_challenge *m)
{
    struct bp_keeper *k = j->k;
    struct bp_hello h;
    struct known w = {0};
    size_t n = 0;
    bp_result r = bp_hello_read(j->q.body, &h);
    if (!bp_failed(r)) {
        r = look_up(k, m, &w);
    }
    if (bp_failed(r)) {
        refuse_lookup(j, &w, r);
        return;
    }
    if (w.d.state != BP_ST_NONE && bp_registry_may(w.d.state, BP_OP_ATTEST) != BP_P_NONE &&
        !bp_registry_may_return(&k->registry, &w.d)) {
        refuse_known(j, &w);
        return;
    }
    struct bp_k_contact *c = new_contact(k);
    if (c == NULL) {
        bp_k_refuse(j, BP_P_BUSY, NULL);
        return;
    }
    c->seq = w.t.seq + 1;
    r = fill(k, &h, m, &w, c);
    if (!bp_failed(r)) {
        const char *state = w.d.state == BP_ST_NONE ? "unknown" : bp_device_state_name(w.d.state);
        r = write_challenge(j, m, c, state, &n);
    }
    if (bp_failed(r)) {
        forget(k, c);
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(k->room, n));
}

static void on_credential(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_job *j = arg;
    struct bp_msg_challenge m = {0};
    if (!bp_failed(r) && status != 0) {
        const struct bp_problem_row row = bp_problem_row((enum bp_problem)status);
        bp_k_note_refusal(j, BP_EV_CONTACT_REFUSED, NULL, row.title);
    }
    if (bp_k_failed_call(j, r, status)) {
        return;
    }
    if (bp_failed(bp_msg_challenge_read(body, &m))) {
        bp_k_refuse(j, BP_P_INTERNAL, NULL);
        return;
    }
    challenge(j, &m);
}

void bp_k_hello(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    struct bp_hello h;
    struct bp_msg_credential m = {0};
    size_t n = 0;
    bp_result r = bp_hello_read(j->q.body, &h);
    if (!bp_failed(r) && !bp_span_equal(h.kind, BP_SPAN_STR("tpm2"))) {
        r = BP_FAIL(UNSUPPORTED);
    }
    if (!bp_failed(r)) {
        m.eks = h.eks;
        m.ak = h.ak;
        for (uint32_t i = 0; i < h.eks && i < BP_MSG_EKS_MAX; i++) {
            m.ek[i] = (struct bp_msg_ek){h.ek[i].template_id, h.ek[i].public_area,
                                         h.ek[i].certificate};
        }
        r = bp_msg_credential_write(&m, k->out, BP_MSG_BODY_MAX, &n);
    }
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_is(r, BP_E_BAD_ARGUMENT) ? BP_P_MALFORMED : bp_k_problem_of(r), NULL);
        return;
    }
    r = k->port.call(k->port.self, BP_TO_SIGNER_CA, "credential", bp_span_of(k->out, n),
                     BP_K_CALL_MS, on_credential, j);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
    }
}
