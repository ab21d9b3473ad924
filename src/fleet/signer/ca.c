/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/ca - life of the ca signer, its table of ops, and the certificates that no evidence stands behind. */
#include "fleet/signer/ca.h"

#include "codec/cbor.h"
#include "codec/cose.h"
#include "codec/decommission.h"
#include "platform/linux/file.h"

#define BP_MODULE SIGNER

#define CRL_STATE     "state/ca/crl"
#define CRL_STATE_MAX 64u
#define DAY_MS        86400000LL

/* --- pieces that the ops share --- */

enum bp_ca_rule ca_answer_bytes(struct bp_ca_signer *s, bp_span v)
{
    return bp_failed(bp_msg_bytes_write(v, s->answer, BP_MSG_BODY_MAX, &s->answer_n)) ? BP_CA_TOO_LARGE : BP_CA_NONE;
}

enum bp_ca_rule ca_unsigned(bp_result r)
{
    return bp_is(r, BP_E_CLOSED) || bp_is(r, BP_E_DENIED) || bp_is(r, BP_E_MISMATCH) ? BP_CA_KEY_STORE : BP_CA_INTERNAL;
}

bool ca_is_pseudonym(bp_span p)
{
    for (size_t i = 0; i < p.n; i++) {
        const uint8_t c = p.p[i];
        const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        if (!ok || (i == 0 && (c == '-' || c == '.'))) {
            return false;
        }
    }
    return p.n > 0 && p.n <= BP_CERT_TEXT_MAX;
}

enum bp_ca_rule ca_read_csr(struct bp_ca_signer *s, bp_span der, struct bp_csr *ret)
{
    if (bp_failed(bp_csr_read(der, ret))) {
        return BP_CA_CSR_FORM;
    }
    if (ret->key.type != BP_KEY_P256) {
        return BP_CA_CSR_KEY;
    }
    return bp_failed(bp_x509_verify(s->crypto, &ret->key, ret->alg, ret->tbs, ret->signature)) ? BP_CA_CSR_SIGNATURE
                                                                                              : BP_CA_NONE;
}

/* --- recorded, then signed --- */

static bp_result keep(void *self, bp_span serial, bp_span tbs, const struct bp_issuer *issuer, enum bp_cert_profile profile)
{
    struct bp_ca_signer *s = self;
    struct bp_issued e = {.profile = profile, .alg = issuer->signer.alg, .time_ms = bp_wall_ms(s->clock)};
    memcpy(e.serial, serial.p, sizeof e.serial);
    memcpy(e.issuer, issuer->key_id, sizeof e.issuer);
    BP_TRY(bp_hash(s->crypto, BP_HASH_SHA256, tbs, e.tbs));
    return bp_record_add(s->record, &e);
}

enum bp_ca_rule ca_make(struct bp_ca_signer *s, struct bp_key *key, bp_span by, const struct bp_cert_request *q,
                        uint8_t ret[BP_CERT_MAX], size_t *ret_n)
{
    const struct bp_signer signer = bp_key_signer(key);
    const struct bp_cert_record record = {s, keep};
    struct bp_issuer issuer;
    if (bp_failed(bp_issuer_of(by, &signer, &issuer))) {
        return BP_CA_INTERNAL;
    }
    const bp_result r = bp_cert_issue_recorded(s->crypto, s->entropy, &issuer, q, &record, ret, BP_CERT_MAX, ret_n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_BAD_ARGUMENT)                     ? BP_CA_PSEUDONYM
               : bp_is(r, BP_E_FULL) || bp_is(r, BP_E_IO) ? BP_CA_STORAGE
                                                               : ca_unsigned(r);
    }
    return BP_CA_NONE;
}

enum bp_ca_rule ca_certify(struct bp_ca_signer *s, struct bp_key *key, enum bp_site_cert by,
                           const struct bp_cert_request *q)
{
    uint8_t cert[BP_CERT_MAX];
    size_t n = 0;
    const enum bp_ca_rule rule = ca_make(s, key, s->site->cert[by], q, cert, &n);
    return rule != BP_CA_NONE ? rule : ca_answer_bytes(s, bp_span_of(cert, n));
}

bool bp_ca_signer_is_owed(const struct bp_ca_signer *s)
{
    return bp_record_is_owed(s->record);
}

bp_result bp_ca_signer_sync(struct bp_ca_signer *s)
{
    return bp_record_sync(s->record);
}

/* --- certificates without evidence, by issuers of their own --- */

struct plain {
    enum bp_cert_profile profile;
    enum bp_site_cert by;
    struct bp_key *key;
    bp_span name;
    int64_t life_ms;
};

static enum bp_ca_rule issue_plain(struct bp_ca_signer *s, bp_span der, const struct plain *p)
{
    struct bp_csr csr;
    const enum bp_ca_rule rule = ca_read_csr(s, der, &csr);
    if (rule != BP_CA_NONE) {
        return rule;
    }
    const int64_t now = bp_wall_ms(s->clock);
    const struct bp_cert_request q = {.profile = p->profile,
                                      .spki = csr.spki,
                                      .common_name = p->name,
                                      .organisation = bp_span_cstr(s->site->org),
                                      .not_before_ms = now - BP_CA_SKEW_MS,
                                      .not_after_ms = now + p->life_ms};
    return ca_certify(s, p->key, p->by, &q);
}

static enum bp_ca_rule issue_brownfield(struct bp_ca_signer *s, bp_span body)
{
    struct bp_msg_brownfield m;
    if (bp_failed(bp_msg_brownfield_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    const struct plain p = {BP_CERT_BROWNFIELD, BP_SITE_CERT_BROWNFIELD, s->brownfield, m.pseudonym, BP_CA_BROWNFIELD_MS};
    return ca_is_pseudonym(m.pseudonym) ? issue_plain(s, m.csr, &p) : BP_CA_PSEUDONYM;
}

static enum bp_ca_rule issue_operator(struct bp_ca_signer *s, bp_span body)
{
    struct bp_msg_operator m;
    if (bp_failed(bp_msg_operator_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    const struct plain p = {BP_CERT_OPERATOR, BP_SITE_CERT_OPERATORS, s->operators, m.name, (int64_t)m.days * DAY_MS};
    return issue_plain(s, m.csr, &p);
}

/* --- revocation lists --- */

static bp_result write_number(const struct bp_ca_signer *s, uint64_t number)
{
    uint8_t room[CRL_STATE_MAX];
    char path[BP_SITE_PATH_MAX];
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_map(&w, 4);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, "crl-number");
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, number);
    BP_TRY(bp_cw_finish(&w));
    BP_TRY(bp_site_path(s->site, CRL_STATE, path, sizeof path));
    return bp_file_write(path, BP_FILE_SECRET, bp_cw_span(&w));
}

static bp_result parse_number(bp_span in, uint64_t *ret)
{
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    const bool head = bp_cbor_get_map(&rd) == 4 && bp_cbor_get_uint(&rd) == 1 &&
                      bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR("crl-number")) && bp_cbor_get_uint(&rd) == 2 &&
                      bp_cbor_get_uint(&rd) == 1 && bp_cbor_get_uint(&rd) == 3 && bp_cbor_get_uint(&rd) == 0 &&
                      bp_cbor_get_uint(&rd) == 4;
    const uint64_t number = bp_cbor_get_uint(&rd);
    BP_TRY(bp_rd_finish(&rd));
    if (!head) {
        return BP_FAIL(MALFORMED);
    }
    *ret = number;
    return BP_OK;
}

/* Without a file no list was signed yet. */
static bp_result read_number(struct bp_ca_signer *s)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *bytes = NULL;
    size_t n = 0;
    BP_TRY(bp_site_path(s->site, CRL_STATE, path, sizeof path));
    bp_result r = bp_file_read(path, BP_FILE_SECRET, CRL_STATE_MAX, &bytes, &n);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    if (!bp_failed(r)) {
        r = parse_number(bp_span_of(bytes, n), &s->crl_number);
        bp_free(bytes);
    }
    return r;
}

static bp_result keep_list(const struct bp_ca_signer *s, bp_span der)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(s->site, BP_CA_LIST, path, sizeof path));
    return bp_file_write(path, BP_FILE_SECRET, der);
}

static enum bp_ca_rule sign_list(struct bp_ca_signer *s, bool is_old, const struct bp_crl_entry *entries, size_t count,
                                 const struct bp_msg_crl *m)
{
    struct bp_issuer issuer;
    size_t n = 0;
    const int64_t now = bp_wall_ms(s->clock);
    const struct bp_signer signer = bp_key_signer(is_old ? s->issuing_old : s->issuing);
    const bp_span cert = is_old ? s->site->issuing_old : s->site->cert[BP_SITE_CERT_ISSUING];
    if (bp_failed(bp_issuer_of(cert, &signer, &issuer))) {
        return BP_CA_INTERNAL;
    }
    const bp_result r =
        bp_crl_issue(&issuer, entries, count, m->number, now - BP_CA_SKEW_MS, now + (int64_t)m->lifetime_ms, s->room, BP_MSG_BODY_MAX, &n);
    if (bp_failed(r)) {
        return bp_is(r, BP_E_BAD_ARGUMENT) ? BP_CA_CRL_ENTRY : bp_is(r, BP_E_NO_SPACE) ? BP_CA_TOO_LARGE : ca_unsigned(r);
    }
    /* The number is on disk before the list is given out, so that none is ever younger than one before it. */
    if (m->number != s->crl_number && bp_failed(write_number(s, m->number))) {
        return BP_CA_STORAGE;
    }
    /* The list stays here as well: who is revoked must outlast the store. The one before it, of an older issuing CA, has the
     * same entries. */
    if (!is_old && bp_failed(keep_list(s, bp_span_of(s->room, n)))) {
        return BP_CA_STORAGE;
    }
    s->crl_number = m->number;
    return ca_answer_bytes(s, bp_span_of(s->room, n));
}

static enum bp_ca_rule list_of(struct bp_ca_signer *s, bool is_old, bp_span body)
{
    struct bp_msg_crl m;
    struct bp_msg_revoked e;
    if (bp_failed(bp_msg_crl_read(body, &m))) {
        return BP_CA_REQUEST;
    }
    if (m.number < s->crl_number) {
        return BP_CA_CRL_NUMBER;
    }
    if (m.lifetime_ms < BP_MSG_CRL_LEAST_MS || m.lifetime_ms > BP_CA_CRL_MOST_MS) {
        return BP_CA_LIFETIME;
    }
    const size_t count = m.count;
    struct bp_crl_entry *entries = bp_alloc_array(count + 1, sizeof *entries);
    if (entries == NULL) {
        return BP_CA_INTERNAL;
    }
    for (size_t i = 0; i < count && bp_msg_crl_next(&m, &e); i++) {
        entries[i] = (struct bp_crl_entry){e.serial, (int64_t)e.revoked_ms, (uint8_t)e.reason};
    }
    const enum bp_ca_rule rule = sign_list(s, is_old, entries, count, &m);
    bp_free(entries);
    return rule;
}

static enum bp_ca_rule crl(struct bp_ca_signer *s, bp_span body)
{
    return list_of(s, false, body);
}

/* What the issuing CA before this one issued is revoked by its own list as long as it counts. */
static enum bp_ca_rule crl_old(struct bp_ca_signer *s, bp_span body)
{
    return s->issuing_old == NULL ? BP_CA_OP : list_of(s, true, body);
}

/* --- decommissioning --- */

/* Signs nothing but certificates of decommissioning: the key must not be lent for other statements. */
static enum bp_ca_rule decommission(struct bp_ca_signer *s, bp_span body)
{
    bp_span payload = BP_SPAN_EMPTY;
    size_t made = 0;
    const struct bp_signer signer = bp_key_signer(s->bind);
    const struct bp_cose_header header = {BP_SPAN_STR(BP_DECOMMISSION_CONTENT), BP_SPAN_OF(s->bind_kid), BP_SPAN_EMPTY};
    struct bp_decommission *v = bp_alloc(sizeof *v);
    if (v == NULL) {
        return BP_CA_INTERNAL;
    }
    const bool ok = !bp_failed(bp_msg_bytes_read(body, &payload)) && !bp_failed(bp_decommission_read(payload, v)) && v->unknown == 0;
    bp_free(v);
    if (!ok) {
        return BP_CA_REQUEST;
    }
    if (bp_failed(bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, s->scratch, CA_SCRATCH, s->room, BP_MSG_BODY_MAX,
                                      &made))) {
        return BP_CA_INTERNAL;
    }
    return ca_answer_bytes(s, bp_span_of(s->room, made));
}

/* --- the table --- */

static const struct {
    const char *op;
    enum bp_ca_rule (*run)(struct bp_ca_signer *, bp_span body);
} ops[] = {
    {"credential", ca_credential},           {"bind", ca_bind}, {"issue", ca_issue}, {"issue-brownfield", issue_brownfield},
    {"issue-operator", issue_operator},      {"crl", crl},
    {"crl-old", crl_old},
    {"decommission", decommission},
    {"ocsp", ca_ocsp},
};

static const struct {
    const char *name;
    enum bp_problem status;
} rules[BP_CA_RULES] = {
    [BP_CA_NONE] = {"none", BP_P_NONE},
#define BP_X(name, text, problem) [BP_CA_##name] = {text, BP_P_##problem},
    BP_CA_RULE_LIST(BP_X)
#undef BP_X
};

void bp_ca_signer_answer(struct bp_ca_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret)
{
    s->rule = BP_CA_OP;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (bp_span_equal(op, bp_span_cstr(ops[i].op))) {
            s->rule = ops[i].run(s, body);
        }
    }
    *ret = s->rule == BP_CA_NONE
               ? (struct bp_signer_answer){BP_P_NONE, bp_span_of(s->answer, s->answer_n)}
               : signer_refuse(rules[s->rule].status, rules[s->rule].name, s->answer, BP_MSG_BODY_MAX);
}

enum bp_ca_rule bp_ca_signer_rule(const struct bp_ca_signer *s)
{
    return s->rule;
}

size_t bp_ca_signer_anchors(const struct bp_ca_signer *s)
{
    return bp_anchors_count(s->anchors);
}

/* --- life --- */

static bp_result open_keys(struct bp_ca_signer *s)
{
    struct bp_x509 x;
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_ISSUING, &s->issuing));
    if (s->site->issuing_old.n > 0) {
        BP_TRY(bp_site_old_key_open(s->site, &s->issuing_old));
    }
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_OPERATORS, &s->operators));
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_BROWNFIELD, &s->brownfield));
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_BIND, &s->bind));
    BP_TRY(bp_hash(s->crypto, BP_HASH_SHA256, bp_key_spki(s->bind), s->bind_kid));
    BP_TRY(bp_x509_read(s->site->cert[BP_SITE_CERT_RESULT], &x));
    s->result_key = x.key;
    return bp_hash(s->crypto, BP_HASH_SHA256, x.spki, s->result_kid);
}

static bp_result begin(struct bp_ca_signer *s)
{
    char path[BP_SITE_PATH_MAX];
    s->pending = bp_alloc_array(BP_CA_PENDING_MAX, sizeof *s->pending);
    s->scratch = bp_alloc(CA_SCRATCH);
    s->room = bp_alloc(BP_MSG_BODY_MAX);
    s->answer = bp_alloc(BP_MSG_BODY_MAX);
    if (s->pending == NULL || s->scratch == NULL || s->room == NULL || s->answer == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    BP_TRY(open_keys(s));
    BP_TRY(bp_site_path(s->site, "anchors", path, sizeof path));
    BP_TRY(bp_anchors_load(path, &s->anchors));
    BP_TRY(read_number(s));
    BP_TRY(bp_site_path(s->site, BP_ISSUED_FILE, path, sizeof path));
    return bp_record_open(path, s->crypto, bp_wall_ms(s->clock), &s->record);
}

bp_result bp_ca_signer_new(const struct bp_site *site, struct bp_crypto *c, const struct bp_entropy *entropy,
                           const struct bp_clock *clock, struct bp_ca_signer **ret)
{
    struct bp_ca_signer *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->site = site;
    s->crypto = c;
    s->entropy = entropy;
    s->clock = clock;
    const bp_result r = begin(s);
    if (bp_failed(r)) {
        bp_ca_signer_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_ca_signer_free(struct bp_ca_signer *s)
{
    if (s != NULL) {
        bp_key_free(s->issuing);
        bp_key_free(s->issuing_old);
        bp_key_free(s->operators);
        bp_key_free(s->brownfield);
        bp_key_free(s->bind);
        bp_key_free(s->responder[0].key);
        bp_key_free(s->responder[1].key);
        bp_anchors_free(s->anchors);
        bp_record_free(s->record);
        bp_free_secret(s->pending, s->pending == NULL ? 0 : BP_CA_PENDING_MAX * sizeof *s->pending);
        bp_free(s->scratch);
        bp_free(s->room);
        bp_free(s->answer);
        bp_free(s);
    }
}
