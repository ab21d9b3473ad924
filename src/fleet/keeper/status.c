/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/status - signed objects that anybody may read: certificates, the CRL, the newest head
 * and proofs that one head extends another. */
#include "fleet/keeper/internal.h"

#include "codec/device.h"
#include "codec/x509.h"

#define BP_MODULE PROC

void bp_k_anchor(struct bp_job *j)
{
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), j->k->cfg.root_der);
}

void bp_k_root(struct bp_job *j)
{
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), j->k->cfg.root_der);
}

void bp_k_issuing(struct bp_job *j)
{
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), j->k->cfg.issuing_der);
}

/* The number in an address of issuing CAs; the row of the table saw that there are digits, and no other ones. The
 * certificate of that one when it is in force, else empty. */
static bp_span issuer_in(const struct bp_job *j, const char *before, unsigned *ret)
{
    const struct bp_keeper_config *cfg = &j->k->cfg;
    unsigned which = 0;
    for (size_t i = strlen(before); i < j->q.target.n && j->q.target.p[i] >= '0' && j->q.target.p[i] <= '9'; i++) {
        which = which * 10 + (unsigned)(j->q.target.p[i] - '0');
    }
    *ret = which;
    return which == cfg->issuing_number ? cfg->issuing_der : which + 1 == cfg->issuing_number ? cfg->issuing_old_der : BP_SPAN_EMPTY;
}

void bp_k_issuing_of(struct bp_job *j)
{
    unsigned which = 0;
    const bp_span der = issuer_in(j, "/ca/issuing-", &which);
    if (der.n == 0) {
        bp_k_refuse(j, BP_P_NOT_FOUND, NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), der);
}

void bp_k_log_certificate(struct bp_job *j)
{
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), j->k->cfg.log_der);
}

void bp_k_crl(struct bp_job *j)
{
    char name[BP_K_ISSUER_TEXT];
    unsigned which = 0;
    uint64_t number = 0;
    int64_t at = 0;
    bp_span der = BP_SPAN_EMPTY;
    if (issuer_in(j, "/crl/issuing-", &which).n == 0) {
        bp_k_refuse(j, BP_P_NOT_FOUND, NULL);
        return;
    }
    bp_k_issuer_name(which, name);
    const bp_result r = bp_store_crl(j->k->store, name, &number, &at, &der);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_is(r, BP_E_NOT_FOUND) ? BP_P_UNAVAILABLE : bp_k_problem_of(r), NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("application/pkix-crl"), der);
}

void bp_k_root_crl(struct bp_job *j)
{
    if (j->k->cfg.root_crl.n == 0) {
        bp_k_refuse(j, BP_P_NOT_FOUND, "this server's root has made no list");
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("application/pkix-crl"), j->k->cfg.root_crl);
}

/* A serial in the address: hexadecimal digits, two an octet, and ".cer". */
static bool serial_of(bp_span name, uint8_t ret[BP_SERIAL_MAX], size_t *ret_n)
{
    const size_t digits = name.n < 4 ? 0 : name.n - 4;
    if (digits == 0 || digits % 2 != 0 || digits > 2 * BP_SERIAL_MAX || memcmp(name.p + digits, ".cer", 4) != 0) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        const uint8_t c = name.p[i];
        const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) {
            return false;
        }
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    *ret_n = digits / 2;
    return true;
}

/* Whether it is of an issuing CA in force: the present one, or the one before it. */
static bool is_ours(const struct bp_keeper *k, const struct bp_x509 *cert)
{
    const bp_span ders[] = {k->cfg.issuing_der, k->cfg.issuing_old_der};
    struct bp_x509 issuer;
    for (size_t i = 0; i < 2; i++) {
        if (ders[i].n > 0 && !bp_failed(bp_x509_read(ders[i], &issuer)) && bp_span_equal(cert->issuer, issuer.subject)) {
            return true;
        }
    }
    return false;
}

/* A certificate that is revoked: whoever acts on the list needs to know whom it names. Of others nothing is said. */
void bp_k_revoked(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    uint8_t serial[BP_SERIAL_MAX];
    size_t n = 0;
    struct bp_certificate c = {0};
    struct bp_x509 cert;
    bp_span der = BP_SPAN_EMPTY;
    const size_t prefix = sizeof BP_K_REVOKED_PATH - 1;
    const bp_span name = bp_span_sub(j->q.target, prefix, j->q.target.n - prefix);
    if (!serial_of(name, serial, &n) || bp_failed(bp_store_cert(k->store, bp_span_of(serial, n), &c, &der)) ||
        c.state != BP_CERT_REVOKED || bp_failed(bp_x509_read(der, &cert)) || !is_ours(k, &cert)) {
        bp_k_refuse(j, BP_P_NOT_FOUND, NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("application/pkix-cert"), der);
}

void bp_k_checkpoint(struct bp_job *j)
{
    struct bp_tree_row t = {0};
    const bp_result r = bp_store_tree(j->k->store, &t);
    if (bp_failed(r) || t.checkpoint.n == 0) {
        bp_k_refuse(j, bp_failed(r) ? bp_k_problem_of(r) : BP_P_UNAVAILABLE, NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR("text/plain; charset=utf-8"), t.checkpoint);
}

bool bp_k_query_number(bp_span target, const char *name, uint64_t *ret)
{
    const size_t name_n = strlen(name);
    size_t at = 0;
    while (at < target.n && target.p[at] != '?') {
        at++;
    }
    while (at < target.n) {
        at++; /* past '?' or '&' */
        if (target.n - at > name_n && memcmp(target.p + at, name, name_n) == 0 &&
            target.p[at + name_n] == '=') {
            size_t i = at + name_n + 1;
            uint64_t v = 0;
            const size_t begin = i;
            for (; i < target.n && target.p[i] >= '0' && target.p[i] <= '9' && i - begin < 18; i++) {
                v = v * 10 + (uint64_t)(target.p[i] - '0');
            }
            *ret = v;
            return i > begin && (i == target.n || target.p[i] == '&');
        }
        while (at < target.n && target.p[at] != '&') {
            at++;
        }
    }
    return false;
}

static bp_result prove(struct bp_keeper *k, uint64_t from, uint64_t to, size_t *ret_n)
{
    uint8_t proof[BP_MERKLE_MAX_PROOF * BP_DIGEST_SIZE];
    size_t n = 0;
    struct bp_consistency v = {.from = from, .to = to};
    BP_TRY(bp_log_consistency(k->store, k->crypto, from, to, proof, &n));
    for (size_t i = 0; i < n / BP_DIGEST_SIZE && i < BP_DEVICE_PROOF_MAX; i++) {
        v.hash[v.hashes++] = bp_span_of(proof + i * BP_DIGEST_SIZE, BP_DIGEST_SIZE);
    }
    return bp_consistency_write(&v, k->room, BP_K_ROOM, ret_n);
}

void bp_k_consistency(struct bp_job *j)
{
    struct bp_keeper *k = j->k;
    uint64_t from = 0;
    uint64_t to = 0;
    size_t n = 0;
    if (!bp_k_query_number(j->q.target, "from", &from) || !bp_k_query_number(j->q.target, "to", &to)) {
        bp_k_refuse(j, BP_P_VALUE, "from and to are sizes of the log");
        return;
    }
    /* Only what a head was signed over: what came since may yet be lost. */
    if (from > to || to > k->signed_size) {
        if (from > k->signed_size) {
            bp_k_head_unknown(j, from);
        }
        bp_k_refuse(j, BP_P_NOT_FOUND, "the log has no such head");
        return;
    }
    const bp_result r = prove(k, from, to, &n);
    if (bp_failed(r)) {
        bp_k_refuse(j, bp_k_problem_of(r), NULL);
        return;
    }
    bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(k->room, n));
}
