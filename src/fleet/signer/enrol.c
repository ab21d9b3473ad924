/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/enrol - first contact: is the chip genuine (credential), and does it hold the attestation key (bind)? */
#include "base/secret.h"
#include "core/binding.h"
#include "core/weakkey.h"
#include "fleet/signer/ca.h"
#include "platform/openssl/tpm_credential.h"

#define BP_MODULE SIGNER

#define SECRET 32u

/* What one certified endorsement key comes to. */
struct ek {
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    enum bp_ek_class kind;
    uint8_t spki[BP_SPKI_MAX];
    size_t spki_n;
    uint8_t secret[SECRET];
    struct bp_tpm_credential credential;
};

enum bp_ca_rule ca_read_ak(struct bp_ca_signer *s, bp_span tpm2b, struct ca_ak *ret)
{
    if (bp_failed(bp_tpm_public_read(tpm2b, &ret->pub)) || bp_failed(bp_tpm_pubkey(&ret->pub, &ret->room, &ret->key)) ||
        ret->key.type != BP_KEY_P256) {
        return BP_CA_AK_FORM;
    }
    if (!bp_tpm_is_attestation_key(&ret->pub)) {
        return BP_CA_AK_ATTRIBUTES;
    }
    if (bp_failed(bp_tpm_name(s->crypto, &ret->pub, &ret->name))) {
        return BP_CA_INTERNAL;
    }
    return ret->name.n == BP_AKBINDING_NAME_SIZE ? BP_CA_NONE : BP_CA_AK_FORM;
}

static bool is_template(uint64_t id, const struct bp_tpm_public *pub)
{
    static const enum bp_tpm_ek_template by_id[] = {BP_TPM_EK_NONE, BP_TPM_EK_L1, BP_TPM_EK_L2, BP_TPM_EK_H3};
    return id >= 1 && id <= 3 && bp_tpm_ek_template_of(pub) == by_id[id];
}

static enum bp_ca_rule check_certificate(struct bp_ca_signer *s, bp_span cert, struct ek *e)
{
    uint8_t own[BP_SPKI_MAX];
    size_t own_n = 0;
    const bp_result r =
        bp_anchors_check(s->anchors, cert, bp_wall_ms(s->clock), &e->kind, e->spki, &e->spki_n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_MALFORMED)       ? BP_CA_EK_CERT_FORM
               : bp_is(r, BP_E_DENIED)        ? BP_CA_EK_CERT_USE
               : bp_is(r, BP_E_BAD_SIGNATURE) ? BP_CA_EK_CHAIN
               : bp_is(r, BP_E_UNSUPPORTED)   ? BP_CA_EK_CHAIN_ML_DSA
                                              : BP_CA_INTERNAL;
    }
    if (bp_failed(bp_spki_write(&e->key, own, sizeof own, &own_n))) {
        return BP_CA_INTERNAL;
    }
    return bp_span_equal(bp_span_of(own, own_n), bp_span_of(e->spki, e->spki_n)) ? BP_CA_NONE : BP_CA_EK_KEY;
}

static enum bp_ca_rule make_credential(struct bp_ca_signer *s, const struct ca_ak *ak, struct ek *e)
{
    const struct bp_tpm_ek ek = {e->key, bp_tpm_hash_of(e->pub.name_alg), e->pub.sym_bits};
    if (bp_failed(bp_random(s->entropy, e->secret, SECRET)) ||
        bp_failed(bp_tpm_make_credential(&ek, bp_tpm_name_span(&ak->name), BP_SPAN_OF(e->secret), &e->credential))) {
        return BP_CA_INTERNAL;
    }
    return BP_CA_NONE;
}

static enum bp_ca_rule read_ek(struct bp_ca_signer *s, const struct bp_msg_ek *in, const struct ca_ak *ak, struct ek *e)
{
    if (bp_failed(bp_tpm_public_read(in->pub, &e->pub)) || !is_template(in->template_id, &e->pub) ||
        bp_failed(bp_tpm_pubkey(&e->pub, &e->room, &e->key))) {
        return BP_CA_EK_TEMPLATE;
    }
    if (bp_key_weakness(&e->key) != BP_WEAK_NOT) { /* whoever finds its primes is the chip */
        return BP_CA_EK_WEAK;
    }
    if (in->cert.n == 0) {
        return BP_CA_NONE;
    }
    const enum bp_ca_rule rule = check_certificate(s, in->cert, e);
    return rule != BP_CA_NONE ? rule : make_credential(s, ak, e);
}

/* The identity key: the first certified one of template 2, 1, 3. Gives eks when there is none. */
static size_t identity_of(const struct bp_msg_credential *m)
{
    static const uint64_t order[] = {2, 1, 3};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < m->eks; i++) {
            if (m->ek[i].template_id == order[k] && m->ek[i].cert.n > 0) {
                return i;
            }
        }
    }
    return m->eks;
}

static struct ca_pending *find(struct bp_ca_signer *s, bp_span device_id, bp_span ak_name)
{
    const int64_t now = bp_mono_ms(s->clock);
    for (size_t i = 0; i < BP_CA_PENDING_MAX; i++) {
        struct ca_pending *p = &s->pending[i];
        if (p->until_ms > now && bp_span_equal(BP_SPAN_OF(p->device_id), device_id) &&
            bp_span_equal(BP_SPAN_OF(p->ak_name), ak_name)) {
            return p;
        }
    }
    return NULL;
}

/* A later credential for the same key takes the place of an earlier one. */
static struct ca_pending *place_for(struct bp_ca_signer *s, bp_span device_id, bp_span ak_name)
{
    struct ca_pending *p = find(s, device_id, ak_name);
    const int64_t now = bp_mono_ms(s->clock);
    for (size_t i = 0; p == NULL && i < BP_CA_PENDING_MAX; i++) {
        p = s->pending[i].until_ms <= now ? &s->pending[i] : NULL;
    }
    return p;
}

/* What the attestation key is called where it belongs. MISMATCH: not of the size that every reader expects. */
static bp_result qualify(struct bp_ca_signer *s, const struct ek *e, const struct ca_ak *ak,
                         uint8_t ret[BP_AKBINDING_NAME_SIZE])
{
    struct bp_tpm_name name;
    BP_TRY(bp_tpm_child_of_ek(s->crypto, &e->pub, bp_tpm_name_span(&ak->name), &name));
    if (name.n != BP_AKBINDING_NAME_SIZE) {
        return BP_FAIL(MISMATCH);
    }
    memcpy(ret, name.v, name.n);
    return BP_OK;
}

/* The identity key first, the others as they came. */
static bp_result name_keys(struct bp_ca_signer *s, const struct bp_msg_credential *m, const struct ek *e, size_t identity,
                           const struct ca_ak *ak, struct ca_pending *p)
{
    p->eks = 0;
    p->kind = BP_EK_DISCRETE;
    for (size_t i = 0; i <= m->eks; i++) {
        const size_t at = i == 0 ? identity : i - 1;
        if (m->ek[at].cert.n > 0 && (i == 0 || at != identity)) {
            BP_TRY(bp_hash(s->crypto, BP_HASH_SHA256, bp_span_of(e[at].spki, e[at].spki_n), p->ek[p->eks]));
            BP_TRY(qualify(s, &e[at], ak, p->qualified[p->eks]));
            p->eks++;
            p->kind = e[at].kind < p->kind ? e[at].kind : p->kind;
        }
    }
    return BP_OK;
}

static bp_result fill(struct bp_ca_signer *s, const struct bp_msg_credential *m, const struct ek *e, size_t identity,
                      const struct ca_ak *ak, struct ca_pending *p)
{
    bp_span secrets[BP_MSG_EKS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < m->eks; i++) {
        if (m->ek[i].cert.n > 0) {
            secrets[n++] = BP_SPAN_OF(e[i].secret);
        }
    }
    BP_TRY(bp_devid_of_spki(s->crypto, bp_span_of(e[identity].spki, e[identity].spki_n), p->device_id));
    BP_TRY(bp_binding_activation(s->crypto, secrets, n, p->proof));
    BP_TRY(name_keys(s, m, e, identity, ak, p));
    memcpy(p->ak_name, ak->name.v, sizeof p->ak_name);
    memcpy(p->ak, m->ak.p, m->ak.n);
    p->ak_n = m->ak.n;
    p->until_ms = bp_mono_ms(s->clock) + BP_CA_PENDING_MS;
    return BP_OK;
}

static enum bp_ca_rule answer(struct bp_ca_signer *s, const struct bp_msg_credential *m, const struct ek *e,
                              const struct ca_pending *p)
{
    struct bp_msg_challenge a = {.device_id = BP_SPAN_OF(p->device_id),
                                 .eks = m->eks,
                                 .issuer_class = bp_span_cstr(bp_ek_class_name(p->kind)),
                                 .hashes = p->eks};
    for (size_t i = 0; i < m->eks; i++) {
        if (m->ek[i].cert.n > 0) {
            a.id_object[i] = bp_span_of(e[i].credential.id_object, e[i].credential.id_object_n);
            a.secret[i] = bp_span_of(e[i].credential.secret, e[i].credential.secret_n);
        }
    }
    for (size_t i = 0; i < p->eks; i++) {
        a.hash[i] = BP_SPAN_OF(p->ek[i]);
        a.qualified[i] = BP_SPAN_OF(p->qualified[i]);
    }
    return bp_failed(bp_msg_challenge_write(&a, s->answer, BP_MSG_BODY_MAX, &s->answer_n)) ? BP_CA_INTERNAL : BP_CA_NONE;
}

static enum bp_ca_rule check_templates(const struct bp_msg_credential *m)
{
    for (size_t i = 0; i < m->eks; i++) {
        for (size_t k = 0; k < i; k++) {
            if (m->ek[i].template_id == m->ek[k].template_id) {
                return BP_CA_EK_TWICE;
            }
        }
    }
    return BP_CA_NONE;
}

static enum bp_ca_rule credential(struct bp_ca_signer *s, const struct bp_msg_credential *m, struct ek *e)
{
    struct ca_ak ak;
    struct ca_pending made = {0};
    const size_t identity = identity_of(m);
    enum bp_ca_rule rule = ca_read_ak(s, m->ak, &ak);
    rule = rule != BP_CA_NONE ? rule : check_templates(m);
    for (size_t i = 0; i < m->eks && rule == BP_CA_NONE; i++) {
        rule = read_ek(s, &m->ek[i], &ak, &e[i]);
    }
    if (rule == BP_CA_NONE && identity == m->eks) {
        rule = BP_CA_EK_NONE;
    }
    if (rule == BP_CA_NONE && bp_failed(fill(s, m, e, identity, &ak, &made))) {
        rule = BP_CA_INTERNAL;
    }
    if (rule == BP_CA_NONE) {
        struct ca_pending *p = place_for(s, BP_SPAN_OF(made.device_id), BP_SPAN_OF(made.ak_name));
        rule = p == NULL ? BP_CA_PENDING_FULL : answer(s, m, e, &made);
        if (rule == BP_CA_NONE) {
            *p = made;
        }
    }
    bp_wipe(&made, sizeof made);
    return rule;
}

enum bp_ca_rule ca_credential(struct bp_ca_signer *s, bp_span body)
{
    struct bp_msg_credential m;
    struct ek e[BP_MSG_EKS_MAX];
    if (bp_failed(bp_msg_credential_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    memset(e, 0, sizeof e);
    const enum bp_ca_rule rule = credential(s, &m, e);
    bp_wipe(e, sizeof e);
    return rule;
}

/* The chip was here before, and this CA said then which endorsement keys it has: one of them was proven again now, so it is
 * the device that it was, whichever key it shows. Those that it does not show stay its own, and the weakest class counts. */
static enum bp_ca_rule recognise(struct bp_ca_signer *s, bp_span before, const struct ca_pending *p, struct bp_akbinding *b)
{
    struct bp_akbinding old;
    bool is_same = false;
    if (before.n == 0) {
        return BP_CA_NONE;
    }
    const enum bp_ca_rule rule = ca_read_binding(s, before, &old);
    if (rule != BP_CA_NONE) {
        return rule;
    }
    for (uint32_t i = 0; i < p->eks; i++) {
        is_same = is_same || bp_akbinding_has_ek(&old, b->ek[i]);
    }
    if (!is_same) {
        return BP_CA_BIND_BEFORE;
    }
    b->device_id = old.device_id;
    b->issuer_class = bp_akbinding_weaker(b->issuer_class, old.issuer_class);
    for (uint32_t i = 0; i < old.eks + old.aliases; i++) {
        const bp_span ek = i < old.eks ? old.ek[i] : old.alias[i - old.eks];
        if (bp_akbinding_has_ek(b, ek)) {
            continue;
        }
        if (b->aliases == BP_AKBINDING_EKS_MAX) {
            return BP_CA_BIND_ALIASES;
        }
        b->alias[b->aliases++] = ek;
    }
    return BP_CA_NONE;
}

static enum bp_ca_rule sign_binding(struct bp_ca_signer *s, const struct ca_pending *p, bp_span before)
{
    struct bp_akbinding b = {.device_id = BP_SPAN_OF(p->device_id),
                             .ak_name = BP_SPAN_OF(p->ak_name),
                             .issuer_class = bp_span_cstr(bp_ek_class_name(p->kind)),
                             .time_ms = bp_wall_ms(s->clock),
                             .eks = p->eks,
                             .ak = bp_span_of(p->ak, p->ak_n)};
    uint8_t payload[BP_AKBINDING_MAX];
    size_t n = 0, made = 0;
    const struct bp_signer signer = bp_key_signer(s->bind);
    const struct bp_cose_header header = {BP_SPAN_STR(BP_AKBINDING_CONTENT), BP_SPAN_OF(s->bind_kid), BP_SPAN_EMPTY};
    for (uint32_t i = 0; i < p->eks; i++) {
        b.ek[i] = BP_SPAN_OF(p->ek[i]);
        b.qualified[i] = BP_SPAN_OF(p->qualified[i]);
    }
    const enum bp_ca_rule rule = recognise(s, before, p, &b);
    if (rule != BP_CA_NONE) {
        return rule;
    }
    if (bp_failed(bp_akbinding_write(&b, payload, sizeof payload, &n)) ||
        bp_failed(bp_cose_sign1_write(&signer, &header, bp_span_of(payload, n), BP_SPAN_EMPTY, s->scratch, CA_SCRATCH,
                                      s->room, BP_MSG_BODY_MAX, &made))) {
        return BP_CA_INTERNAL;
    }
    return ca_answer_bytes(s, bp_span_of(s->room, made));
}

enum bp_ca_rule ca_bind(struct bp_ca_signer *s, bp_span body)
{
    struct bp_msg_bind m;
    if (bp_failed(bp_msg_bind_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    struct ca_pending *p = find(s, m.device_id, m.ak_name);
    if (p == NULL) {
        return BP_CA_BIND_NONE;
    }
    /* A credential serves once, whatever comes of it. */
    const enum bp_ca_rule rule =
        bp_ct_equal(BP_SPAN_OF(p->proof), m.proof) ? sign_binding(s, p, m.before) : BP_CA_BIND_PROOF;
    bp_wipe(p, sizeof *p);
    return rule;
}
