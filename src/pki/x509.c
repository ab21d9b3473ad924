/* SPDX-License-Identifier: Apache-2.0 */
/* pki/x509 - certificates and revocation lists by template.
 *
 * Extensions whose value is fixed by the profile are written and checked from one table, so that the maker and the
 * checker cannot drift apart; tests hold both against other implementations. */
#include "pki/x509.h"

#include "codec/x509.h"
#include "pki/derback.h"

#define BP_MODULE PKI

#define SIG_DER_MAX 160u
#define NO_END_S    253402300799 /* 99991231235959Z */
#define OID(name, ...) static const uint8_t name[] = {__VA_ARGS__}

OID(oid_cn, 0x55, 0x04, 0x03);
OID(oid_serial, 0x55, 0x04, 0x05);
OID(oid_o, 0x55, 0x04, 0x0a);
OID(oid_ski, 0x55, 0x1d, 0x0e);
OID(oid_ku, 0x55, 0x1d, 0x0f);
OID(oid_san, 0x55, 0x1d, 0x11);
OID(oid_bc, 0x55, 0x1d, 0x13);
OID(oid_crl_number, 0x55, 0x1d, 0x14);
OID(oid_reason, 0x55, 0x1d, 0x15);
OID(oid_nc, 0x55, 0x1d, 0x1e);
OID(oid_cdp, 0x55, 0x1d, 0x1f);
OID(oid_policies, 0x55, 0x1d, 0x20);
OID(oid_aki, 0x55, 0x1d, 0x23);
OID(oid_eku, 0x55, 0x1d, 0x25);
OID(oid_aia, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01);
OID(oid_ad_ocsp, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01);
OID(oid_ad_issuers, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02);
OID(oid_nocheck, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05);
/* id-on-hardwareModuleName (RFC 4108 section 5), and the one type of hardware that we name: 1.3.6.1.4.1.32473.1.3.1. */
OID(oid_hardware, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x04);
OID(oid_hw_type, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x03, 0x01);
OID(oid_signed_data, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02);
OID(oid_data, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01);

/* Whole elements. AlgorithmIdentifier of ecdsa-with-SHA256 and -SHA384 (RFC 5758 section 3.2: no parameters). */
OID(alg_es256, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);
OID(alg_es384, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
OID(bc_ca1, 0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x01);
OID(bc_ca0, 0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00);
OID(ku_ca, 0x03, 0x02, 0x01, 0x06);   /* keyCertSign, cRLSign */
OID(ku_leaf, 0x03, 0x02, 0x07, 0x80); /* digitalSignature */
OID(ku_agree, 0x03, 0x02, 0x03, 0x08); /* keyAgreement */
OID(ku_opcua, 0x03, 0x02, 0x06, 0xc0); /* digitalSignature, nonRepudiation (OPC 10000-6) */
OID(eku_client, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02);
OID(eku_server, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);
OID(eku_ocsp, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09);
OID(null, 0x05, 0x00);
OID(eku_both, 0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05,
    0x05, 0x07, 0x03, 0x02);
#define STATEMENT(n) 0x30, 0x0d, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x02, n
OID(eku_log, STATEMENT(1));
OID(eku_result, STATEMENT(2));
OID(eku_bind, STATEMENT(3));
OID(eku_recovery, STATEMENT(4));
OID(eku_maker, STATEMENT(5));
#define ONE_POLICY(n) 0x30, 0x0d, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x01, n
#define POLICY(n)     0x30, 0x0f, ONE_POLICY(n)
OID(policy_device, POLICY(1));
OID(policy_operator, POLICY(2));
OID(policy_brownfield, POLICY(3));
OID(policy_application, POLICY(4));
OID(policy_issuing, 0x30, 0x1e, ONE_POLICY(1), ONE_POLICY(4));

static const char urn[] = "urn:bedplate:device:";

enum san_kind { SAN_NONE, SAN_DNS, SAN_URN, SAN_SERVICE, SAN_SERVICE_DNS, SAN_HARDWARE };
enum constraint_kind { NC_NONE, NC_ONLY /* these names and no address */, NC_NEVER /* any name but these */ };

struct profile {
    bp_span bc, ku, eku, policy; /* values; empty: the extension is absent */
    enum san_kind san;
    bool is_anchor;
    enum constraint_kind constraints;
    bool is_nocheck; /* its status is not to be asked for */
};

#define V(array) {(array), sizeof(array)}
#define NOTHING  {NULL, 0}
static const struct profile profiles[BP_CERT_PROFILES] = {
    [BP_CERT_ROOT] = {V(bc_ca1), V(ku_ca), NOTHING, NOTHING, SAN_NONE, true, NC_NONE, false},
    [BP_CERT_ISSUING] = {V(bc_ca0), V(ku_ca), V(eku_both), V(policy_issuing), SAN_NONE, false, NC_NEVER, false},
    [BP_CERT_INFRA] = {V(bc_ca0), V(ku_ca), V(eku_server), NOTHING, SAN_NONE, false, NC_ONLY, false},
    [BP_CERT_OPERATOR_CA] = {V(bc_ca0), V(ku_ca), V(eku_client), V(policy_operator), SAN_NONE, false, NC_NONE, false},
    [BP_CERT_BROWNFIELD_CA] = {V(bc_ca0), V(ku_ca), V(eku_client), V(policy_brownfield), SAN_NONE, true, NC_NONE, false},
    [BP_CERT_SERVER] = {NOTHING, V(ku_leaf), V(eku_server), NOTHING, SAN_DNS, false, NC_NONE, false},
    [BP_CERT_DEVICE] = {NOTHING, V(ku_leaf), V(eku_client), V(policy_device), SAN_URN, false, NC_NONE, false},
    [BP_CERT_OPERATOR] = {NOTHING, V(ku_leaf), V(eku_client), V(policy_operator), SAN_NONE, false, NC_NONE, false},
    [BP_CERT_BROWNFIELD] = {NOTHING, V(ku_leaf), V(eku_client), V(policy_brownfield), SAN_URN, false, NC_NONE, false},
    [BP_CERT_LOG] = {NOTHING, V(ku_leaf), V(eku_log), NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_RESULT] = {NOTHING, V(ku_leaf), V(eku_result), NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_BIND] = {NOTHING, V(ku_leaf), V(eku_bind), NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_RECOVERY] = {NOTHING, V(ku_agree), V(eku_recovery), NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_OCSP] = {NOTHING, V(ku_leaf), V(eku_ocsp), NOTHING, SAN_NONE, false, NC_NONE, true},
    [BP_CERT_IDEVID_CA] = {V(bc_ca0), V(ku_ca), NOTHING, NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_MAKER] = {NOTHING, V(ku_leaf), V(eku_maker), NOTHING, SAN_NONE, false, NC_NONE, false},
    [BP_CERT_IDEVID] = {NOTHING, V(ku_leaf), NOTHING, NOTHING, SAN_HARDWARE, false, NC_NONE, false},
    [BP_CERT_APP_CLIENT] = {NOTHING, V(ku_leaf), V(eku_client), V(policy_application), SAN_SERVICE, false, NC_NONE, false},
    [BP_CERT_APP_SERVER] = {NOTHING, V(ku_leaf), V(eku_server), V(policy_application),
                            SAN_SERVICE_DNS, false, NC_NONE, false},
    [BP_CERT_OPCUA] = {NOTHING, V(ku_opcua), V(eku_both), V(policy_application), SAN_SERVICE_DNS, false, NC_NONE, false},
    [BP_CERT_ISSUING_OLD] = {V(bc_ca0), V(ku_ca), V(eku_client), V(policy_device), SAN_NONE, false, NC_NONE, false},
};

static bool is_service_kind(enum san_kind kind)
{
    return kind == SAN_SERVICE || kind == SAN_SERVICE_DNS;
}

static bool is_dns_kind(enum san_kind kind)
{
    return kind == SAN_DNS || kind == SAN_SERVICE_DNS;
}

/* --- pieces --- */

static bool is_one_of(uint8_t ch, const char *others, bool upper)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || (upper && ch >= 'A' && ch <= 'Z') ||
           (ch != 0 && strchr(others, ch) != NULL);
}

static bool is_name(bp_span s, bool upper)
{
    if (s.n == 0 || s.n > BP_CERT_TEXT_MAX || s.p[0] == '.' || s.p[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_one_of(s.p[i], ".-", upper)) {
            return false;
        }
    }
    return true;
}

bool bp_cert_is_dns(bp_span name)
{
    return is_name(name, false);
}

bool bp_cert_is_service(bp_span name)
{
    return name.n <= BP_CERT_SERVICE_MAX && is_name(name, false) && memchr(name.p, '.', name.n) == NULL;
}

enum bp_cert_profile bp_cert_of_device(bp_span name)
{
    static const struct {
        const char *name;
        enum bp_cert_profile profile;
    } rows[] = {{"management", BP_CERT_DEVICE},
                {"app-client", BP_CERT_APP_CLIENT},
                {"app-server", BP_CERT_APP_SERVER},
                {"opcua", BP_CERT_OPCUA}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (bp_span_equal(name, bp_span_cstr(rows[i].name))) {
            return rows[i].profile;
        }
    }
    return BP_CERT_PROFILES;
}

bool bp_cert_is_application(enum bp_cert_profile profile)
{
    return profile < BP_CERT_PROFILES && is_service_kind(profiles[profile].san);
}

bool bp_cert_has_dns(enum bp_cert_profile profile)
{
    return profile < BP_CERT_PROFILES && is_dns_kind(profiles[profile].san);
}

/* Well-formed UTF-8 without control characters (RFC 3629 section 4). */
static bool is_text(bp_span s)
{
    size_t i = 0;
    while (i < s.n) {
        const uint8_t first = s.p[i];
        const size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if (first < 0x20 || first == 0x7f || (first >= 0x80 && first < 0xc2) || first > 0xf4 || s.n - i <= more) {
            return false;
        }
        uint32_t v = more == 0 ? first : first & (0x3fu >> more);
        for (size_t k = 1; k <= more; k++) {
            if ((s.p[i + k] & 0xc0u) != 0x80) {
                return false;
            }
            v = v << 6 | (s.p[i + k] & 0x3fu);
        }
        if ((more == 2 && v < 0x800) || (more == 3 && (v < 0x10000 || v > 0x10ffff)) || (v >= 0xd800 && v <= 0xdfff)) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

static void put_uint(struct derback *w, bp_span v)
{
    const size_t mark = w->n;
    derback_bytes(w, v);
    if ((v.p[0] & 0x80u) != 0) {
        derback_u8(w, 0);
    }
    derback_wrap(w, BP_DER_INT, mark);
}

/* UTCTime through 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
static void put_time(struct derback *w, int64_t ms)
{
    uint8_t room[17];
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_der_put_time(&wr, ms == INT64_MAX ? NO_END_S : ms / 1000);
    const bool is_short = memcmp(room + 2, "2050", 4) < 0;
    if (is_short) {
        derback_put(w, BP_DER_UTCTIME, bp_span_of(room + 4, 13));
    } else {
        derback_bytes(w, BP_SPAN_OF(room));
    }
}

static void put_rdn(struct derback *w, bp_span oid, uint8_t tag, bp_span text)
{
    const size_t mark = w->n;
    derback_put(w, tag, text);
    derback_put(w, BP_DER_OID, oid);
    derback_wrap(w, BP_DER_SEQ, mark);
    derback_wrap(w, BP_DER_SET, mark);
}

static void put_name(struct derback *w, const struct bp_cert_request *q)
{
    const size_t mark = w->n;
    if (q->serial_number.n > 0) {
        put_rdn(w, BP_SPAN_OF(oid_serial), BP_DER_PRINTABLE, q->serial_number);
    }
    put_rdn(w, BP_SPAN_OF(oid_cn), BP_DER_UTF8, q->common_name);
    if (q->organisation.n > 0) {
        put_rdn(w, BP_SPAN_OF(oid_o), BP_DER_UTF8, q->organisation);
    }
    derback_wrap(w, BP_DER_SEQ, mark);
}

/* Closes an extension whose value was written since mark. */
static void end_ext(struct derback *w, bp_span oid, bool is_critical, size_t mark)
{
    derback_wrap(w, BP_DER_OCTETS, mark);
    if (is_critical) {
        derback_put(w, BP_DER_BOOL, BP_SPAN_STR("\xff"));
    }
    derback_put(w, BP_DER_OID, oid);
    derback_wrap(w, BP_DER_SEQ, mark);
}

static void put_ext(struct derback *w, bp_span oid, bool is_critical, bp_span value)
{
    if (value.n > 0) {
        const size_t mark = w->n;
        derback_bytes(w, value);
        end_ext(w, oid, is_critical, mark);
    }
}

static void put_san(struct derback *w, const struct bp_cert_request *q, enum san_kind kind)
{
    const size_t mark = w->n;
    if (kind == SAN_NONE) {
        return;
    }
    for (size_t i = q->dns_count; is_dns_kind(kind) && i > 0; i--) {
        derback_put(w, BP_DER_CTXP(2), q->dns[i - 1]);
    }
    if (kind == SAN_URN || is_service_kind(kind)) { /* an OPC UA application's URI stands before its names */
        const size_t uri = w->n;
        if (is_service_kind(kind)) {
            derback_bytes(w, q->service);
            derback_u8(w, ':');
        }
        derback_bytes(w, q->common_name);
        derback_bytes(w, bp_span_of(urn, sizeof urn - 1));
        derback_wrap(w, BP_DER_CTXP(6), uri);
    }
    if (kind == SAN_HARDWARE) { /* otherName of HardwareModuleName {hwType, hwSerialNum} */
        derback_put(w, BP_DER_OCTETS, q->serial_number);
        derback_put(w, BP_DER_OID, BP_SPAN_OF(oid_hw_type));
        derback_wrap(w, BP_DER_SEQ, mark);
        derback_wrap(w, BP_DER_CTX(0), mark);
        derback_put(w, BP_DER_OID, BP_SPAN_OF(oid_hardware));
        derback_wrap(w, BP_DER_CTX(0), mark);
    }
    derback_wrap(w, BP_DER_SEQ, mark);
    end_ext(w, BP_SPAN_OF(oid_san), false, mark);
}

static void put_dns_subtrees(struct derback *w, const struct bp_cert_request *q, uint8_t tag)
{
    const size_t mark = w->n;
    for (size_t i = q->dns_count; i > 0; i--) {
        const size_t one = w->n;
        derback_put(w, BP_DER_CTXP(2), q->dns[i - 1]);
        derback_wrap(w, BP_DER_SEQ, one);
    }
    derback_wrap(w, tag, mark);
}

/* NC_ONLY permits the names and excludes every address, which a list of names alone would leave open. */
static void put_constraints(struct derback *w, const struct bp_cert_request *q, enum constraint_kind kind)
{
    static const uint8_t any_address[32];
    const size_t mark = w->n;
    const size_t sizes[] = {32, 8};
    if (kind == NC_NEVER) {
        put_dns_subtrees(w, q, BP_DER_CTX(1));
    } else {
        for (size_t i = 0; i < 2; i++) {
            const size_t one = w->n;
            derback_put(w, BP_DER_CTXP(7), bp_span_of(any_address, sizes[i]));
            derback_wrap(w, BP_DER_SEQ, one);
        }
        derback_wrap(w, BP_DER_CTX(1), mark);
        put_dns_subtrees(w, q, BP_DER_CTX(0));
    }
    derback_wrap(w, BP_DER_SEQ, mark);
    end_ext(w, BP_SPAN_OF(oid_nc), true, mark);
}

static void put_cdp(struct derback *w, bp_span url)
{
    if (url.n > 0) {
        const size_t mark = w->n;
        derback_put(w, BP_DER_CTXP(6), url);
        derback_wrap(w, BP_DER_CTX(0), mark); /* fullName */
        derback_wrap(w, BP_DER_CTX(0), mark); /* distributionPoint */
        derback_wrap(w, BP_DER_SEQ, mark);
        derback_wrap(w, BP_DER_SEQ, mark);
        end_ext(w, BP_SPAN_OF(oid_cdp), false, mark);
    }
}

static void put_access(struct derback *w, bp_span method, bp_span url)
{
    const size_t mark = w->n;
    derback_put(w, BP_DER_CTXP(6), url);
    derback_put(w, BP_DER_OID, method);
    derback_wrap(w, BP_DER_SEQ, mark);
}

static void put_aia(struct derback *w, const struct bp_cert_request *q)
{
    if (q->ocsp_url.n > 0) {
        const size_t mark = w->n;
        put_access(w, BP_SPAN_OF(oid_ad_issuers), q->issuer_url);
        put_access(w, BP_SPAN_OF(oid_ad_ocsp), q->ocsp_url);
        derback_wrap(w, BP_DER_SEQ, mark);
        end_ext(w, BP_SPAN_OF(oid_aia), false, mark);
    }
}

static void put_key_id(struct derback *w, bp_span oid, uint8_t tag, const uint8_t id[BP_KEY_ID_SIZE])
{
    const size_t mark = w->n;
    derback_put(w, tag, bp_span_of(id, BP_KEY_ID_SIZE));
    if (tag != BP_DER_OCTETS) {
        derback_wrap(w, BP_DER_SEQ, mark);
    }
    end_ext(w, oid, false, mark);
}

static bp_span alg_of(enum bp_sig_alg alg)
{
    return alg == BP_SIG_ES256   ? BP_SPAN_OF(alg_es256)
           : alg == BP_SIG_ES384 ? BP_SPAN_OF(alg_es384)
                                 : BP_SPAN_EMPTY;
}

/* --- signing: the signature is as long as it happens to be, so the signed part moves behind it --- */

static bp_result enclose(bp_span tbs, bp_span alg, bp_span sig, uint8_t *ret, size_t cap, size_t *ret_n)
{
    const size_t content = tbs.n + alg.n + bp_der_size(1 + sig.n);
    const size_t head = bp_der_size(content) - content;
    *ret_n = head + content;
    if (*ret_n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    memmove(ret + head, tbs.p, tbs.n);
    bp_wr wr = bp_wr_over(ret, head);
    bp_der_put_head(&wr, BP_DER_SEQ, content);
    wr = bp_wr_over(ret + head + tbs.n, cap - head - tbs.n);
    bp_wr_bytes(&wr, alg);
    bp_der_put_head(&wr, BP_DER_BITS, 1 + sig.n);
    bp_wr_u8(&wr, 0);
    bp_wr_bytes(&wr, sig);
    return bp_wr_finish(&wr);
}

static bp_result seal(const struct bp_signer *signer, bp_span tbs, uint8_t *ret, size_t cap, size_t *ret_n)
{
    uint8_t raw[BP_SIG_MAX];
    uint8_t sig[SIG_DER_MAX];
    size_t raw_n = 0;
    size_t sig_n = 0;
    BP_TRY(signer->sign(signer->self, tbs, raw, sizeof raw, &raw_n));
    BP_TRY(bp_der_ecdsa_write(bp_span_of(raw, raw_n), sig, sizeof sig, &sig_n));
    return enclose(tbs, alg_of(signer->alg), bp_span_of(sig, sig_n), ret, cap, ret_n);
}

/* --- certificates --- */

bp_result bp_key_id(struct bp_crypto *c, bp_span spki, uint8_t ret[BP_KEY_ID_SIZE])
{
    uint8_t digest[BP_SHA256_SIZE];
    bp_rd rd = bp_rd_over(spki);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    (void)bp_der_get(&in, BP_DER_SEQ);
    const bp_span bits = bp_der_get_bits(&in);
    BP_TRY(bp_rd_finish(&in));
    BP_TRY(bp_rd_finish(&rd));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, bits, digest));
    memcpy(ret, digest, BP_KEY_ID_SIZE);
    return BP_OK;
}

static bool are_names_good(const struct bp_cert_request *q)
{
    const struct profile *p = &profiles[q->profile];
    const bool need_dns = is_dns_kind(p->san) || p->constraints != NC_NONE;
    if (is_service_kind(p->san) ? !bp_cert_is_service(q->service) : q->service.n != 0) {
        return false;
    }
    if (need_dns ? q->dns_count == 0 || q->dns_count > BP_CERT_DNS_MAX : q->dns_count != 0) {
        return false;
    }
    for (size_t i = 0; i < q->dns_count; i++) {
        if (!is_name(q->dns[i], false)) {
            return false;
        }
    }
    const bool is_unit = q->serial_number.n <= BP_CERT_UNIT_MAX && is_name(q->serial_number, true);
    if (p->san == SAN_HARDWARE ? !is_unit : q->serial_number.n != 0) {
        return false;
    }
    return p->san == SAN_URN || is_service_kind(p->san)
               ? is_name(q->common_name, true)
               : q->common_name.n > 0 && q->common_name.n <= BP_CERT_TEXT_MAX && is_text(q->common_name);
}

static bool is_url(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_one_of(s.p[i], ":/.-_~%", true)) {
            return false;
        }
    }
    return s.n <= BP_CERT_URL_MAX;
}

static bool are_urls_good(const struct bp_cert_request *q)
{
    const bool some = q->crl_url.n > 0 || q->ocsp_url.n > 0;
    return is_url(q->crl_url) && is_url(q->ocsp_url) && is_url(q->issuer_url) &&
           (q->ocsp_url.n > 0) == (q->issuer_url.n > 0) && !(profiles[q->profile].is_anchor && some);
}

static bp_result check_request(const struct bp_issuer *issuer, const struct bp_cert_request *q)
{
    struct bp_pubkey key;
    if (q->profile >= BP_CERT_PROFILES || !are_names_good(q)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const struct profile *p = &profiles[q->profile];
    if (q->organisation.n > BP_CERT_TEXT_MAX || !is_text(q->organisation) || !are_urls_good(q) ||
        p->is_anchor != (issuer->name.n == 0)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (q->not_before_ms < 0 || q->not_after_ms <= q->not_before_ms ||
        (q->not_after_ms != INT64_MAX && q->not_after_ms >= 253402300800000)) { /* 10000-01-01 */
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(bp_spki_read(q->spki, &key));
    if ((key.type != BP_KEY_P256 && key.type != BP_KEY_P384) || alg_of(issuer->signer.alg).n == 0) {
        return BP_FAIL(UNSUPPORTED);
    }
    return BP_OK;
}

static void put_extensions(struct derback *w, const struct bp_issuer *issuer, const struct bp_cert_request *q,
                           const uint8_t own_id[BP_KEY_ID_SIZE])
{
    const struct profile *p = &profiles[q->profile];
    const size_t mark = w->n;
    if (p->is_nocheck) {
        put_ext(w, BP_SPAN_OF(oid_nocheck), false, BP_SPAN_OF(null));
    }
    put_aia(w, q);
    put_cdp(w, q->crl_url);
    put_ext(w, BP_SPAN_OF(oid_policies), false, p->policy);
    if (p->constraints != NC_NONE) {
        put_constraints(w, q, p->constraints);
    }
    put_san(w, q, p->san);
    put_ext(w, BP_SPAN_OF(oid_eku), false, p->eku);
    put_key_id(w, BP_SPAN_OF(oid_aki), BP_DER_CTXP(0), issuer->name.n == 0 ? own_id : issuer->key_id);
    put_key_id(w, BP_SPAN_OF(oid_ski), BP_DER_OCTETS, own_id);
    put_ext(w, BP_SPAN_OF(oid_ku), true, p->ku);
    put_ext(w, BP_SPAN_OF(oid_bc), true, p->bc);
    derback_wrap(w, BP_DER_SEQ, mark);
    derback_wrap(w, BP_DER_CTX(3), mark);
}

static void put_tbs(struct derback *w, const struct bp_issuer *issuer, const struct bp_cert_request *q,
                    const uint8_t serial[BP_SERIAL_SIZE], const uint8_t own_id[BP_KEY_ID_SIZE])
{
    put_extensions(w, issuer, q, own_id);
    derback_bytes(w, q->spki);
    put_name(w, q);
    const size_t validity = w->n;
    put_time(w, q->not_after_ms);
    put_time(w, q->not_before_ms);
    derback_wrap(w, BP_DER_SEQ, validity);
    if (issuer->name.n == 0) {
        put_name(w, q);
    } else {
        derback_bytes(w, issuer->name);
    }
    derback_bytes(w, alg_of(issuer->signer.alg));
    put_uint(w, bp_span_of(serial, BP_SERIAL_SIZE));
    derback_bytes(w, BP_SPAN_STR("\xa0\x03\x02\x01\x02")); /* version 3 */
    derback_wrap(w, BP_DER_SEQ, 0);
}

/* What is about to be signed, read again as a stranger reads it. The reader wants a whole certificate, so a signature that
 * says nothing stands in for the one to come. */
static bp_result lint(const struct bp_issuer *issuer, const struct bp_cert_request *q, bp_span tbs,
                      const uint8_t serial[BP_SERIAL_SIZE])
{
    static const uint8_t nothing[] = {0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01};
    uint8_t der[BP_CERT_MAX];
    size_t n = 0;
    struct bp_x509 x;
    BP_TRY(enclose(tbs, alg_of(issuer->signer.alg), BP_SPAN_OF(nothing), der, sizeof der, &n));
    if (bp_failed(bp_x509_profile_check(bp_span_of(der, n), q->profile, q->not_before_ms)) ||
        bp_failed(bp_x509_read(bp_span_of(der, n), &x))) {
        return BP_FAIL(INTERNAL);
    }
    const int64_t until_s = q->not_after_ms == INT64_MAX ? INT64_MAX : q->not_after_ms / 1000;
    const bool is_asked = bp_span_equal(x.serial, bp_span_of(serial, BP_SERIAL_SIZE)) && bp_span_equal(x.spki, q->spki) &&
                          x.not_before_s == q->not_before_ms / 1000 && x.not_after_s == until_s &&
                          bp_span_equal(x.issuer, issuer->name.n == 0 ? x.subject : issuer->name);
    return is_asked ? BP_OK : BP_FAIL(INTERNAL);
}

bp_result bp_cert_issue_recorded(struct bp_crypto *c, const struct bp_entropy *entropy, const struct bp_issuer *issuer,
                                 const struct bp_cert_request *request, const struct bp_cert_record *record, uint8_t *ret,
                                 size_t cap, size_t *ret_n)
{
    BP_TRY(check_request(issuer, request));
    uint8_t own_id[BP_KEY_ID_SIZE];
    uint8_t serial[BP_SERIAL_SIZE];
    uint8_t room[BP_CERT_MAX];
    uint8_t made[BP_CERT_MAX];
    size_t n = 0;
    BP_TRY(bp_key_id(c, request->spki, own_id));
    BP_TRY(bp_random(entropy, serial, sizeof serial));
    /* A set second bit keeps the number at one length and never zero; 127 random bits stay, with a sign of plus. */
    serial[0] = (uint8_t)((serial[0] & 0x7fu) | 0x40u);
    struct derback w = {room, sizeof room, 0};
    put_tbs(&w, issuer, request, serial, own_id);
    if (derback_span(&w).n == 0) {
        return BP_FAIL(NO_SPACE);
    }
    BP_TRY(lint(issuer, request, derback_span(&w), serial));
    if (record != NULL) {
        BP_TRY(record->keep(record->self, BP_SPAN_OF(serial), derback_span(&w), issuer, request->profile));
    }
    BP_TRY(seal(&issuer->signer, derback_span(&w), made, sizeof made, &n));
    if (n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    memcpy(ret, made, n);
    *ret_n = n;
    return BP_OK;
}

bp_result bp_cert_issue(struct bp_crypto *c, const struct bp_entropy *entropy, const struct bp_issuer *issuer,
                        const struct bp_cert_request *request, uint8_t *ret, size_t cap, size_t *ret_n)
{
    return bp_cert_issue_recorded(c, entropy, issuer, request, NULL, ret, cap, ret_n);
}

/* --- reading our own --- */

static bool ext_is(const struct bp_x509 *cert, bp_span oid, bool is_critical, bp_span value)
{
    struct bp_x509_ext e;
    const bp_result r = bp_x509_find_ext(cert, oid, &e);
    if (value.n == 0) {
        return bp_is(r, BP_E_NOT_FOUND);
    }
    return !bp_failed(r) && e.is_critical == is_critical && bp_span_equal(e.value, value);
}

static bool read_key_id(const struct bp_x509 *cert, bp_span oid, bool is_authority, bp_span *ret)
{
    struct bp_x509_ext e;
    if (bp_failed(bp_x509_find_ext(cert, oid, &e)) || e.is_critical) {
        return false;
    }
    bp_rd rd = bp_rd_over(e.value);
    bp_rd in = is_authority ? bp_der_enter(&rd, BP_DER_SEQ) : rd;
    *ret = bp_der_get(&in, is_authority ? BP_DER_CTXP(0) : BP_DER_OCTETS);
    return !bp_failed(bp_rd_finish(&in)) && ret->n == BP_KEY_ID_SIZE &&
           (!is_authority || !bp_failed(bp_rd_finish(&rd)));
}

bp_result bp_issuer_of(bp_span cert, const struct bp_signer *signer, struct bp_issuer *ret)
{
    struct bp_x509 x;
    bp_span id;
    BP_TRY(bp_x509_read(cert, &x));
    if (!ext_is(&x, BP_SPAN_OF(oid_ku), true, BP_SPAN_OF(ku_ca)) ||
        !read_key_id(&x, BP_SPAN_OF(oid_ski), false, &id)) {
        return BP_FAIL(DENIED);
    }
    ret->signer = *signer;
    ret->name = x.subject;
    memcpy(ret->key_id, id.p, BP_KEY_ID_SIZE);
    return BP_OK;
}

static bool is_known_ext(const struct profile *p, bp_span oid)
{
    const bp_span always[] = {BP_SPAN_OF(oid_ski), BP_SPAN_OF(oid_aki), BP_SPAN_OF(oid_ku),      BP_SPAN_OF(oid_bc),
                              BP_SPAN_OF(oid_eku), BP_SPAN_OF(oid_policies)};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (bp_span_equal(always[i], oid)) {
            return true;
        }
    }
    if (bp_span_equal(oid, BP_SPAN_OF(oid_cdp)) || bp_span_equal(oid, BP_SPAN_OF(oid_aia))) {
        return !p->is_anchor && !p->is_nocheck;
    }
    return (p->san != SAN_NONE && bp_span_equal(oid, BP_SPAN_OF(oid_san))) ||
           (p->is_nocheck && bp_span_equal(oid, BP_SPAN_OF(oid_nocheck))) ||
           (p->constraints != NC_NONE && bp_span_equal(oid, BP_SPAN_OF(oid_nc)));
}

static bool has_only_known(const struct bp_x509 *cert, const struct profile *p)
{
    bp_rd rd = bp_rd_over(cert->extensions);
    while (bp_rd_left(&rd) > 0) {
        struct bp_x509_ext e;
        if (bp_failed(bp_x509_next_ext(&rd, &e)) || !is_known_ext(p, e.oid)) {
            return false;
        }
    }
    return true;
}

/* The serialNumber attribute of a name; empty when there is none. */
static bp_span serial_of(bp_span name)
{
    bp_rd rd = bp_rd_over(name);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    while (bp_rd_left(&in) > 0) {
        bp_rd set = bp_der_enter(&in, BP_DER_SET);
        bp_rd pair = bp_der_enter(&set, BP_DER_SEQ);
        if (bp_span_equal(bp_der_get(&pair, BP_DER_OID), BP_SPAN_OF(oid_serial))) {
            return bp_der_get(&pair, BP_DER_PRINTABLE);
        }
    }
    return BP_SPAN_EMPTY;
}

/* One hardwareModuleName, of our type, over the serial number of the subject. */
static bool is_hardware_good(bp_span value, bp_span subject)
{
    bp_rd rd = bp_rd_over(value);
    bp_rd names = bp_der_enter(&rd, BP_DER_SEQ);
    bp_rd other = bp_der_enter(&names, BP_DER_CTX(0));
    const bp_span type = bp_der_get(&other, BP_DER_OID);
    bp_rd outer = bp_der_enter(&other, BP_DER_CTX(0));
    bp_rd module = bp_der_enter(&outer, BP_DER_SEQ);
    const bp_span hw_type = bp_der_get(&module, BP_DER_OID);
    const bp_span serial = bp_der_get(&module, BP_DER_OCTETS);
    const bp_rd *const all[] = {&module, &outer, &other, &names, &rd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (bp_failed(bp_rd_finish(all[i]))) {
            return false;
        }
    }
    return bp_span_equal(type, BP_SPAN_OF(oid_hardware)) && bp_span_equal(hw_type, BP_SPAN_OF(oid_hw_type)) &&
           serial.n <= BP_CERT_UNIT_MAX && is_name(serial, true) && bp_span_equal(serial, serial_of(subject));
}

/* urn:bedplate:device:NAME, and :SERVICE behind it where the profile has one. */
static bool is_urn_good(bp_span uri, bool has_service)
{
    const size_t skip = sizeof urn - 1;
    if (uri.n <= skip || !bp_span_equal(bp_span_sub(uri, 0, skip), bp_span_of(urn, skip))) {
        return false;
    }
    const bp_span rest = bp_span_sub(uri, skip, uri.n - skip);
    const uint8_t *colon = memchr(rest.p, ':', rest.n);
    const size_t name = colon == NULL ? rest.n : (size_t)(colon - rest.p);
    if ((colon != NULL) != has_service || !is_name(bp_span_sub(rest, 0, name), true)) {
        return false;
    }
    return !has_service || bp_cert_is_service(bp_span_sub(rest, name + 1, rest.n - name - 1));
}

static bool are_dns_good(bp_rd *in)
{
    size_t count = 0;
    for (; bp_rd_left(in) > 0; count++) {
        if (!is_name(bp_der_get(in, BP_DER_CTXP(2)), false)) {
            return false;
        }
    }
    return count > 0 && count <= BP_CERT_DNS_MAX;
}

static bool is_san_good(const struct bp_x509 *cert, enum san_kind kind)
{
    struct bp_x509_ext e;
    if (kind == SAN_NONE) {
        return true; /* has_only_known saw that there is none */
    }
    if (bp_failed(bp_x509_find_ext(cert, BP_SPAN_OF(oid_san), &e)) || e.is_critical) {
        return false;
    }
    if (kind == SAN_HARDWARE) {
        return is_hardware_good(e.value, cert->subject);
    }
    bp_rd rd = bp_rd_over(e.value);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    if (kind != SAN_DNS && !is_urn_good(bp_der_get(&in, BP_DER_CTXP(6)), is_service_kind(kind))) {
        return false;
    }
    if (is_dns_kind(kind) && !are_dns_good(&in)) {
        return false;
    }
    return !bp_failed(bp_rd_finish(&in)) && !bp_failed(bp_rd_finish(&rd));
}

static bool is_nc_good(const struct bp_x509 *cert, bool wanted)
{
    struct bp_x509_ext e;
    return !wanted || (!bp_failed(bp_x509_find_ext(cert, BP_SPAN_OF(oid_nc), &e)) && e.is_critical);
}

static bool is_curve(enum bp_key_type type)
{
    return type == BP_KEY_P256 || type == BP_KEY_P384;
}

bp_result bp_x509_profile_check(bp_span cert, enum bp_cert_profile profile, int64_t now_ms)
{
    struct bp_x509 x;
    bp_span id;
    if (profile >= BP_CERT_PROFILES) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(bp_x509_read(cert, &x));
    const struct profile *p = &profiles[profile];
    if (x.serial.n == 0 || x.serial.n > 20 || x.serial.p[0] == 0 || !is_curve(x.key.type) ||
        alg_of(x.alg).n == 0 || p->is_anchor != bp_span_equal(x.issuer, x.subject)) {
        return BP_FAIL(DENIED);
    }
    if (!has_only_known(&x, p) || !ext_is(&x, BP_SPAN_OF(oid_bc), true, p->bc) ||
        !ext_is(&x, BP_SPAN_OF(oid_ku), true, p->ku) || !ext_is(&x, BP_SPAN_OF(oid_eku), false, p->eku) ||
        !ext_is(&x, BP_SPAN_OF(oid_policies), false, p->policy) ||
        !ext_is(&x, BP_SPAN_OF(oid_nocheck), false, p->is_nocheck ? BP_SPAN_OF(null) : BP_SPAN_EMPTY)) {
        return BP_FAIL(DENIED);
    }
    if (!read_key_id(&x, BP_SPAN_OF(oid_ski), false, &id) || !read_key_id(&x, BP_SPAN_OF(oid_aki), true, &id) ||
        !is_san_good(&x, p->san) || !is_nc_good(&x, p->constraints != NC_NONE) || x.not_after_s < x.not_before_s) {
        return BP_FAIL(DENIED);
    }
    const int64_t now_s = now_ms / 1000;
    return now_s < x.not_before_s || now_s > x.not_after_s ? BP_FAIL(EXPIRED) : BP_OK;
}

/* --- revocation lists --- */

static void put_entry(struct derback *w, const struct bp_crl_entry *e)
{
    const size_t mark = w->n;
    if (e->reason != 0) {
        const uint8_t value[] = {0x0a, 0x01, e->reason};
        put_ext(w, BP_SPAN_OF(oid_reason), false, BP_SPAN_OF(value));
        derback_wrap(w, BP_DER_SEQ, mark);
    }
    put_time(w, e->revoked_ms);
    put_uint(w, e->serial);
    derback_wrap(w, BP_DER_SEQ, mark);
}

static void put_crl_extensions(struct derback *w, const struct bp_issuer *issuer, uint64_t number)
{
    uint8_t bytes[8];
    size_t n = 0;
    for (uint64_t v = number; n == 0 || v != 0; v >>= 8) {
        bytes[7 - n++] = (uint8_t)v;
    }
    const size_t mark = w->n;
    put_uint(w, bp_span_of(bytes + 8 - n, n));
    end_ext(w, BP_SPAN_OF(oid_crl_number), false, mark);
    put_key_id(w, BP_SPAN_OF(oid_aki), BP_DER_CTXP(0), issuer->key_id);
    derback_wrap(w, BP_DER_SEQ, mark);
    derback_wrap(w, BP_DER_CTX(0), mark);
}

static bool is_entry_good(const struct bp_crl_entry *e)
{
    return e->serial.n > 0 && e->serial.n <= 20 && e->serial.p[0] != 0 && e->revoked_ms >= 0 && e->reason <= 10 &&
           e->reason != 7 && e->reason != 8; /* unused; removeFromCRL is for deltas */
}

bp_result bp_crl_issue(const struct bp_issuer *issuer, const struct bp_crl_entry *entries, size_t count, uint64_t number,
                       int64_t this_ms, int64_t next_ms, uint8_t *ret, size_t cap, size_t *ret_n)
{
    if (alg_of(issuer->signer.alg).n == 0 || issuer->name.n == 0 || this_ms < 0 || next_ms <= this_ms) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    struct derback w = {ret, cap, 0};
    put_crl_extensions(&w, issuer, number);
    const size_t list = w.n;
    for (size_t i = count; i > 0; i--) {
        if (!is_entry_good(&entries[i - 1])) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        put_entry(&w, &entries[i - 1]);
    }
    if (count > 0) { /* an empty list must be absent (RFC 5280 section 5.1.2.6) */
        derback_wrap(&w, BP_DER_SEQ, list);
    }
    put_time(&w, next_ms);
    put_time(&w, this_ms);
    derback_bytes(&w, issuer->name);
    derback_bytes(&w, alg_of(issuer->signer.alg));
    derback_bytes(&w, BP_SPAN_STR("\x02\x01\x01")); /* version 2 */
    derback_wrap(&w, BP_DER_SEQ, 0);
    *ret_n = w.n + 6 + sizeof alg_es384 + SIG_DER_MAX;
    if (*ret_n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    return seal(&issuer->signer, derback_span(&w), ret, cap, ret_n);
}

bp_result bp_certs_only(const bp_span *certs, size_t count, uint8_t *ret, size_t cap, size_t *ret_n)
{
    struct derback w = {ret, cap, 0};
    derback_put(&w, BP_DER_SET, BP_SPAN_EMPTY); /* signerInfos */
    const size_t list = w.n;
    for (size_t i = count; i > 0; i--) {
        derback_bytes(&w, certs[i - 1]);
    }
    derback_wrap(&w, BP_DER_CTX(0), list);
    const size_t content = w.n;
    derback_put(&w, BP_DER_OID, BP_SPAN_OF(oid_data));
    derback_wrap(&w, BP_DER_SEQ, content);
    derback_put(&w, BP_DER_SET, BP_SPAN_EMPTY); /* digestAlgorithms */
    derback_bytes(&w, BP_SPAN_STR("\x02\x01\x01"));
    derback_wrap(&w, BP_DER_SEQ, 0);
    derback_wrap(&w, BP_DER_CTX(0), 0);
    derback_put(&w, BP_DER_OID, BP_SPAN_OF(oid_signed_data));
    derback_wrap(&w, BP_DER_SEQ, 0);
    *ret_n = w.n;
    if (w.n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    memmove(ret, derback_span(&w).p, w.n);
    return BP_OK;
}
