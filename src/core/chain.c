/* SPDX-License-Identifier: Apache-2.0 */
/* core/chain - the root, and what it certified. */
#include "core/chain.h"

#define OID(name, ...) static const uint8_t name[] = {__VA_ARGS__}
OID(oid_ski, 0x55, 0x1d, 0x0e);
OID(oid_ku, 0x55, 0x1d, 0x0f);
OID(oid_bc, 0x55, 0x1d, 0x13);
OID(oid_cdp, 0x55, 0x1d, 0x1f);
OID(oid_aki, 0x55, 0x1d, 0x23);
OID(oid_eku, 0x55, 0x1d, 0x25);

/* Whole values, as the profiles have them (RFC 5280 sections 4.2.1.3 and 4.2.1.9). */
OID(bc_root, 0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x01);
OID(ku_ca, 0x03, 0x02, 0x01, 0x06);
OID(ku_leaf, 0x03, 0x02, 0x07, 0x80);
OID(ku_agree, 0x03, 0x02, 0x03, 0x08);
OID(eku_statement, 0x30, 0x0d, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x02);

static bool is_oid(bp_span oid, const uint8_t *value, size_t n)
{
    return bp_span_equal(oid, bp_span_of(value, n));
}

/* Only extensions that the profiles know: what another one would mean is not known here. */
static bool are_known(const struct bp_x509 *cert, bool may_have_cdp)
{
    bp_rd rd = bp_rd_over(cert->extensions);
    struct bp_x509_ext ext;
    while (bp_rd_left(&rd) != 0) {
        if (bp_failed(bp_x509_next_ext(&rd, &ext))) {
            return false;
        }
        const bool known = is_oid(ext.oid, oid_ski, sizeof oid_ski) || is_oid(ext.oid, oid_ku, sizeof oid_ku) ||
                           is_oid(ext.oid, oid_bc, sizeof oid_bc) || is_oid(ext.oid, oid_aki, sizeof oid_aki) ||
                           is_oid(ext.oid, oid_eku, sizeof oid_eku) ||
                           (may_have_cdp && is_oid(ext.oid, oid_cdp, sizeof oid_cdp));
        if (!known) {
            return false;
        }
    }
    return true;
}

static bool has(const struct bp_x509 *cert, bp_span oid, bp_span value)
{
    struct bp_x509_ext ext;
    return !bp_failed(bp_x509_find_ext(cert, oid, &ext)) && bp_span_equal(ext.value, value);
}

static bool lacks(const struct bp_x509 *cert, bp_span oid)
{
    struct bp_x509_ext ext;
    return bp_is(bp_x509_find_ext(cert, oid, &ext), BP_E_NOT_FOUND);
}

static bool is_signed_by(struct bp_crypto *c, const struct bp_x509 *cert, const struct bp_x509 *issuer)
{
    return bp_span_equal(cert->issuer, issuer->subject) && (cert->alg == BP_SIG_ES256 || cert->alg == BP_SIG_ES384) &&
           !bp_failed(bp_x509_verify(c, &issuer->key, cert->alg, cert->tbs, cert->signature));
}

const char *bp_chain_root(struct bp_crypto *c, bp_span der, const uint8_t anchor[BP_SHA256_SIZE], struct bp_x509 *ret)
{
    uint8_t hash[BP_SHA256_SIZE];
    if (bp_failed(bp_hash(c, BP_HASH_SHA256, der, hash)) || memcmp(hash, anchor, sizeof hash) != 0) {
        return "chain-anchor: the root is not the anchor";
    }
    if (bp_failed(bp_x509_read(der, ret))) {
        return "chain-form: the root is not a certificate";
    }
    if (!has(ret, BP_SPAN_OF(oid_bc), BP_SPAN_OF(bc_root)) || !has(ret, BP_SPAN_OF(oid_ku), BP_SPAN_OF(ku_ca)) ||
        !lacks(ret, BP_SPAN_OF(oid_eku)) || !are_known(ret, false)) {
        return "chain-profile: the root is not an authority of this kind";
    }
    return is_signed_by(c, ret, ret) ? NULL : "chain-signature: the root is not signed by itself";
}

const char *bp_chain_key(struct bp_crypto *c, const struct bp_x509 *root, bp_span der, enum bp_statement statement,
                         struct bp_x509 *ret)
{
    uint8_t eku[sizeof eku_statement + 1];
    const bp_span ku = statement == BP_STATEMENT_RECOVERY ? BP_SPAN_OF(ku_agree) : BP_SPAN_OF(ku_leaf);
    memcpy(eku, eku_statement, sizeof eku_statement);
    eku[sizeof eku_statement] = (uint8_t)statement;
    if (bp_failed(bp_x509_read(der, ret))) {
        return "chain-form: a certificate is not well formed";
    }
    if (!is_signed_by(c, ret, root)) {
        return "chain-signature: a certificate is not signed by the root";
    }
    if (!has(ret, BP_SPAN_OF(oid_eku), BP_SPAN_OF(eku))) {
        return "chain-role: a certificate is not for the statements that its key signed";
    }
    if (!lacks(ret, BP_SPAN_OF(oid_bc)) || !has(ret, BP_SPAN_OF(oid_ku), ku) || !are_known(ret, true)) {
        return "chain-profile: a certificate is not of the profile of such keys";
    }
    return NULL;
}

bool bp_chain_is_valid_at(const struct bp_x509 *cert, int64_t time_ms)
{
    const int64_t s = time_ms / 1000;
    return s >= cert->not_before_s && s <= cert->not_after_s;
}
