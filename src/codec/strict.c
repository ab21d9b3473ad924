/* SPDX-License-Identifier: Apache-2.0 */
/* codec/strict - the profile of RFC 5280, rule by rule. */
#include "codec/strict.h"

#include "codec/strictname.h"
#include "codec/x509.h"

#define BP_MODULE DER

_Static_assert(BP_STRICT_COUNT < 64, "rules are bits of one word");

/* The rules in force, and the first that was broken. */
struct judge {
    uint64_t waived;
    enum bp_strict_rule broken;
};

/* What of a certificate matters after its own extensions were read. */
struct cert {
    bp_span issuer;
    bp_span subject;
    bp_span extensions;
    bp_span san;         /* content of GeneralNames */
    bp_span constraints; /* content of NameConstraints */
    bp_span ski;
    bp_span aki;
    uint32_t path_len;
    uint32_t key_usage; /* bits from the left, as the RFC counts them, from bit 15 down */
    bool has_basic, is_ca, has_path_len;
    bool basic_is_critical;
    bool has_key_usage, has_aki, has_ski, has_constraints;
    bool has_ca_only; /* an extension that has a place in authorities' certificates only */
    bool has_san, san_is_critical;
};

#define KU_CERT_SIGN (0x8000u >> 5)

const char *bp_strict_name(enum bp_strict_rule rule)
{
    static const char *const name[] = {"NONE",
#define BP_X(id, section, text) #id,
                                       BP_STRICT_RULE_LIST(BP_X)
#undef BP_X
    };
    return name[rule < BP_STRICT_COUNT ? rule : BP_STRICT_NONE];
}

const char *bp_strict_section(enum bp_strict_rule rule)
{
    static const char *const section[] = {"",
#define BP_X(id, number, text) number,
                                          BP_STRICT_RULE_LIST(BP_X)
#undef BP_X
    };
    return section[rule < BP_STRICT_COUNT ? rule : BP_STRICT_NONE];
}

const char *bp_strict_text(enum bp_strict_rule rule)
{
    static const char *const text_of[] = {"",
#define BP_X(id, section, text) text,
                                          BP_STRICT_RULE_LIST(BP_X)
#undef BP_X
    };
    return text_of[rule < BP_STRICT_COUNT ? rule : BP_STRICT_NONE];
}

/* A rule holds or is waived; the first broken one ends the check. */
static bp_result hold(struct judge *j, bool holds, enum bp_strict_rule rule)
{
    if (holds || ((j->waived >> rule) & 1u) != 0) {
        return BP_OK;
    }
    j->broken = rule;
    return BP_FAIL(DENIED);
}

/* The reader came to its end without a failure. */
static bp_result ended(struct judge *j, const bp_rd *rd, enum bp_strict_rule rule)
{
    return hold(j, !bp_failed(bp_rd_finish(rd)), rule);
}

/* Content of the one element that an extension's value holds. */
static bp_span only(bp_span value, uint8_t tag)
{
    bp_rd rd = bp_rd_over(value);
    const bp_span content = bp_der_get(&rd, tag);
    return bp_failed(bp_rd_finish(&rd)) ? BP_SPAN_EMPTY : content;
}

static bp_result read_aki(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    if (bp_der_peek(&rd) == BP_DER_CTXP(0)) {
        c->aki = bp_der_get(&rd, BP_DER_CTXP(0));
    }
    const bool has_issuer = bp_der_peek(&rd) == BP_DER_CTX(1);
    if (has_issuer) {
        bp_rd names = bp_der_enter(&rd, BP_DER_CTX(1));
        do {
            (void)bp_gname_get(&names);
        } while (bp_rd_left(&names) > 0);
        bp_rd_fail(&rd, bp_rd_finish(&names));
    }
    const bool has_serial = bp_der_peek(&rd) == BP_DER_CTXP(2);
    if (has_serial) {
        (void)bp_der_get(&rd, BP_DER_CTXP(2));
    }
    c->has_aki = true;
    BP_TRY(ended(j, &rd, BP_STRICT_ENCODING));
    BP_TRY(hold(j, has_issuer == has_serial, BP_STRICT_ENCODING)); /* RFC 5280 appendix A.2 */
    return hold(j, c->aki.n > 0, BP_STRICT_AKI);
}

static bp_result read_ski(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    c->ski = only(e->value, BP_DER_OCTETS);
    c->has_ski = true;
    return hold(j, c->ski.n > 0, BP_STRICT_ENCODING);
}

static bp_result read_key_usage(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    const bp_span s = only(e->value, BP_DER_BITS);
    const uint8_t unused = s.n > 0 ? s.p[0] : 0;
    c->has_key_usage = true;
    if (s.n < 2 || s.n > 3 || unused > 7) {
        return hold(j, false, BP_STRICT_KEY_USAGE); /* waived: as if no use was listed */
    }
    const uint8_t last = s.p[s.n - 1];
    c->key_usage = (uint32_t)s.p[1] << 8 | (s.n > 2 ? s.p[2] : 0u);
    BP_TRY(hold(j, c->key_usage != 0, BP_STRICT_KEY_USAGE));
    BP_TRY(hold(j, (last & ((1u << unused) - 1u)) == 0, BP_STRICT_KEY_USAGE));
    return hold(j, (last >> unused & 1u) == 1, BP_STRICT_KEY_USAGE_FORM);
}

static bp_result read_policies(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    const bp_span all = only(e->value, BP_DER_SEQ);
    bp_rd rd = bp_rd_over(all);
    (void)c;
    do {
        bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
        const bp_span id = bp_der_get(&in, BP_DER_OID);
        (void)(bp_rd_left(&in) > 0 ? bp_der_get(&in, BP_DER_SEQ) : BP_SPAN_EMPTY);
        bp_rd_fail(&rd, bp_rd_finish(&in));
        bp_rd before = bp_rd_over(all);
        while (!bp_failed(rd.state) && bp_rd_left(&before) > 0) {
            bp_rd other = bp_der_enter(&before, BP_DER_SEQ);
            const bp_span other_id = bp_der_get(&other, BP_DER_OID);
            if (other_id.p == id.p) {
                break;
            }
            BP_TRY(hold(j, !bp_span_equal(other_id, id), BP_STRICT_POLICIES));
        }
    } while (bp_rd_left(&rd) > 0);
    return ended(j, &rd, BP_STRICT_POLICIES);
}

static bp_result read_mappings(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    c->has_ca_only = true;
    do {
        bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
        (void)bp_der_get(&in, BP_DER_OID);
        (void)bp_der_get(&in, BP_DER_OID);
        bp_rd_fail(&rd, bp_rd_finish(&in));
    } while (bp_rd_left(&rd) > 0);
    return ended(j, &rd, BP_STRICT_ENCODING);
}

/* GeneralNames (content of the SEQUENCE), one at least, each a name of its kind. */
static bool names_are_good(bp_span names)
{
    bp_rd rd = bp_rd_over(names);
    bool good = true;
    do {
        const struct bp_gname name = bp_gname_get(&rd);
        good = good && !bp_failed(rd.state) && bp_gname_is_good(&name);
    } while (bp_rd_left(&rd) > 0);
    return good && !bp_failed(bp_rd_finish(&rd));
}

static bp_result read_san(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    c->san = only(e->value, BP_DER_SEQ);
    c->has_san = true;
    c->san_is_critical = e->is_critical;
    return hold(j, names_are_good(c->san), BP_STRICT_SAN);
}

static bp_result read_other_names(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    (void)c;
    return hold(j, names_are_good(only(e->value, BP_DER_SEQ)), BP_STRICT_SAN);
}

static bp_result read_basic(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd whole = bp_rd_over(e->value);
    bp_rd rd = bp_der_enter(&whole, BP_DER_SEQ);
    c->has_basic = true;
    c->basic_is_critical = e->is_critical;
    if (bp_der_peek(&rd) == BP_DER_BOOL) {
        c->is_ca = bp_der_get_bool(&rd);
        BP_TRY(hold(j, c->is_ca, BP_STRICT_ENCODING)); /* DER leaves a default value out */
    }
    if (bp_rd_left(&rd) > 0) {
        c->has_path_len = true;
        c->path_len = bp_der_get_small(&rd);
    }
    BP_TRY(ended(j, &rd, BP_STRICT_ENCODING));
    BP_TRY(ended(j, &whole, BP_STRICT_ENCODING));
    return hold(j, c->is_ca || !c->has_path_len, BP_STRICT_PATH_LEN);
}

static bp_result read_constraints(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    c->constraints = only(e->value, BP_DER_SEQ);
    c->has_constraints = true;
    c->has_ca_only = true;
    return hold(j, bp_nc_is_good(c->constraints), BP_STRICT_NC_FORM);
}

/* Content of an INTEGER in its shortest form (X.690 section 8.3.2). */
static bool is_integer(bp_span s)
{
    if (s.n < 2) {
        return s.n == 1;
    }
    return (s.p[0] != 0 || s.p[1] >= 0x80) && (s.p[0] != 0xff || s.p[1] < 0x80);
}

/* requireExplicitPolicy [0], inhibitPolicyMapping [1]: not both left out. */
static bp_result read_policy_constraints(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    bool some = false;
    c->has_ca_only = true;
    for (unsigned tag = 0; tag < 2; tag++) {
        if (bp_der_peek(&rd) == BP_DER_CTXP(tag)) {
            const bp_span v = bp_der_get(&rd, (uint8_t)BP_DER_CTXP(tag));
            some = true;
            BP_TRY(hold(j, is_integer(v) && v.p[0] < 0x80, BP_STRICT_ENCODING));
        }
    }
    BP_TRY(ended(j, &rd, BP_STRICT_ENCODING));
    return hold(j, some, BP_STRICT_ENCODING);
}

static bp_result read_inhibit(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(e->value);
    c->has_ca_only = true;
    (void)bp_der_get_uint(&rd);
    return ended(j, &rd, BP_STRICT_ENCODING);
}

static bp_result read_eku(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    (void)c;
    do {
        (void)bp_der_get(&rd, BP_DER_OID);
    } while (bp_rd_left(&rd) > 0);
    return ended(j, &rd, BP_STRICT_EKU);
}

/* DistributionPoint: a place, reasons, an issuer; not reasons alone. */
static bool point_is_good(bp_rd *rd)
{
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    const bool has_place = bp_der_peek(&in) == BP_DER_CTX(0);
    (void)(has_place ? bp_der_get(&in, BP_DER_CTX(0)) : BP_SPAN_EMPTY);
    (void)(bp_der_peek(&in) == BP_DER_CTXP(1) ? bp_der_get(&in, BP_DER_CTXP(1)) : BP_SPAN_EMPTY);
    const bool has_issuer = bp_der_peek(&in) == BP_DER_CTX(2);
    (void)(has_issuer ? bp_der_get(&in, BP_DER_CTX(2)) : BP_SPAN_EMPTY);
    bp_rd_fail(rd, bp_rd_finish(&in));
    return has_place || has_issuer;
}

static bp_result read_points(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    bool good = true;
    (void)c;
    do {
        good = point_is_good(&rd) && good;
    } while (bp_rd_left(&rd) > 0);
    BP_TRY(ended(j, &rd, BP_STRICT_CDP));
    return hold(j, good, BP_STRICT_CDP);
}

static bp_result read_access(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(only(e->value, BP_DER_SEQ));
    bool good = true;
    (void)c;
    do {
        bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
        (void)bp_der_get(&in, BP_DER_OID);
        const struct bp_gname where = bp_gname_get(&in);
        bp_rd_fail(&rd, bp_rd_finish(&in));
        good = good && !bp_failed(rd.state) && bp_gname_is_good(&where);
    } while (bp_rd_left(&rd) > 0);
    BP_TRY(ended(j, &rd, BP_STRICT_ACCESS));
    return hold(j, good, BP_STRICT_ACCESS);
}

static bp_result read_nothing(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    (void)j;
    (void)c;
    (void)e;
    return BP_OK;
}

/* How the RFC wants an extension marked. */
enum mark { EITHER, CRITICAL, NOT_CRITICAL };

#define CE(n)    {(const uint8_t *)"\x55\x1d" n, 3}
#define PE(n)    {(const uint8_t *)"\x2b\x06\x01\x05\x05\x07\x01" n, 8}

static const struct known {
    bp_span oid;
    enum mark mark;
    bp_result (*read)(struct judge *j, struct cert *c, const struct bp_x509_ext *e);
} known[] = {
    {CE("\x23"), NOT_CRITICAL, read_aki},
    {CE("\x0e"), NOT_CRITICAL, read_ski},
    {CE("\x0f"), EITHER, read_key_usage},
    {CE("\x20"), EITHER, read_policies},
    {CE("\x21"), EITHER, read_mappings},
    {CE("\x11"), EITHER, read_san},
    {CE("\x12"), NOT_CRITICAL, read_other_names}, /* of the issuer */
    {CE("\x09"), NOT_CRITICAL, read_nothing},     /* attributes of the subject: nobody here acts on them */
    {CE("\x13"), EITHER, read_basic},
    {CE("\x1e"), CRITICAL, read_constraints},
    {CE("\x24"), CRITICAL, read_policy_constraints},
    {CE("\x25"), EITHER, read_eku},
    {CE("\x1f"), EITHER, read_points},
    {CE("\x36"), CRITICAL, read_inhibit},
    {CE("\x2e"), NOT_CRITICAL, read_points}, /* freshest list */
    {PE("\x01"), NOT_CRITICAL, read_access},
    {PE("\x0b"), NOT_CRITICAL, read_access},
};

static const struct known *known_of(bp_span oid)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (bp_span_equal(known[i].oid, oid)) {
            return &known[i];
        }
    }
    return NULL;
}

static bp_result judge_mark(struct judge *j, enum mark mark, bool is_critical)
{
    BP_TRY(hold(j, mark != CRITICAL || is_critical, BP_STRICT_EXT_CRITICAL));
    return hold(j, mark != NOT_CRITICAL || !is_critical, BP_STRICT_EXT_NOT_CRITICAL);
}

/* The oid comes once in extensions up to and with the one at `at`. */
static bool is_first(bp_span extensions, bp_span oid)
{
    bp_rd rd = bp_rd_over(extensions);
    struct bp_x509_ext e;
    while (bp_rd_left(&rd) > 0 && !bp_failed(bp_x509_next_ext(&rd, &e))) {
        if (bp_span_equal(e.oid, oid)) {
            return e.oid.p == oid.p;
        }
    }
    return false;
}

static bp_result judge_extension(struct judge *j, struct cert *c, const struct bp_x509_ext *e)
{
    const struct known *k = known_of(e->oid);
    BP_TRY(hold(j, is_first(c->extensions, e->oid), BP_STRICT_EXT_TWICE));
    if (k == NULL) {
        return hold(j, !e->is_critical, BP_STRICT_EXT_UNKNOWN);
    }
    BP_TRY(judge_mark(j, k->mark, e->is_critical));
    return k->read(j, c, e);
}

static bp_result judge_extensions(struct judge *j, struct cert *c)
{
    bp_rd rd = bp_rd_over(c->extensions);
    for (size_t i = 0; bp_rd_left(&rd) > 0; i++) {
        struct bp_x509_ext e;
        if (i == BP_STRICT_EXT_MAX || bp_failed(bp_x509_next_ext(&rd, &e))) {
            return hold(j, false, BP_STRICT_ENCODING);
        }
        BP_TRY(judge_extension(j, c, &e));
    }
    return ended(j, &rd, BP_STRICT_ENCODING);
}

/* One Time; *ret: the tag is the one that the RFC asks for in that year. */
static void read_time(bp_rd *rd, bool *ret)
{
    static const int64_t year_2050 = 2524608000;
    const bool is_utc = bp_der_peek(rd) == BP_DER_UTCTIME;
    const int64_t t = bp_der_get_time(rd);
    *ret = *ret && is_utc == (t < year_2050);
}

static bp_result judge_validity(struct judge *j, bp_rd *tbs)
{
    bool form = true;
    bp_rd in = bp_der_enter(tbs, BP_DER_SEQ);
    read_time(&in, &form);
    read_time(&in, &form);
    BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
    return hold(j, form, BP_STRICT_TIME_FORM);
}

static bp_result judge_serial(struct judge *j, bp_rd *rd)
{
    const bp_span s = bp_der_get(rd, BP_DER_INT);
    const bool is_zero = s.n == 1 && s.p[0] == 0;
    const bool is_long = s.n > 21 || (s.n == 21 && s.p[0] != 0);
    BP_TRY(hold(j, is_integer(s), BP_STRICT_ENCODING));
    return hold(j, s.n > 0 && s.p[0] < 0x80 && !is_zero && !is_long, BP_STRICT_SERIAL);
}

/* Whole bytes, and an exponent that is odd and not small: 3 has let forged signatures through too often. */
static bool key_is_good(bp_span spki)
{
    struct bp_pubkey key;
    if (bp_failed(bp_spki_read(spki, &key))) {
        return bp_spki_is_ml_dsa(spki);
    }
    if (key.type != BP_KEY_RSA) {
        return true;
    }
    return key.a.p[0] >= 0x80 && key.b.n >= 3 && (key.b.p[key.b.n - 1] & 1u) == 1;
}

static bp_result judge_version(struct judge *j, bp_rd *tbs)
{
    if (bp_der_peek(tbs) != BP_DER_CTX(0)) {
        return hold(j, false, BP_STRICT_VERSION);
    }
    bp_rd in = bp_der_enter(tbs, BP_DER_CTX(0));
    const uint32_t v = bp_der_get_small(&in);
    BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
    return hold(j, v == 2, BP_STRICT_VERSION);
}

static bp_result judge_name(struct judge *j, bp_rd *rd, bp_span *ret)
{
    *ret = bp_der_get_whole(rd, BP_DER_SEQ);
    return hold(j, bp_name_is_good(*ret), BP_STRICT_ENCODING);
}

/* The end of TBSCertificate: unique identifiers, extensions. */
static bp_result judge_tail(struct judge *j, bp_rd *tbs, struct cert *c)
{
    for (unsigned tag = 1; tag <= 2; tag++) {
        if (bp_der_peek(tbs) == BP_DER_CTXP(tag)) {
            (void)bp_der_get(tbs, (uint8_t)BP_DER_CTXP(tag));
            BP_TRY(hold(j, false, BP_STRICT_UNIQUE_ID));
        }
    }
    if (bp_rd_left(tbs) > 0) {
        bp_rd in = bp_der_enter(tbs, BP_DER_CTX(3));
        c->extensions = bp_der_get(&in, BP_DER_SEQ);
        BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
        BP_TRY(hold(j, c->extensions.n > 0, BP_STRICT_ENCODING));
    }
    return ended(j, tbs, BP_STRICT_ENCODING);
}

/* What is signed, and the algorithm outside. */
static bp_result open_frame(struct judge *j, bp_span der, bp_rd *ret_tbs, bp_span *ret_alg)
{
    bp_rd rd = bp_rd_over(der);
    bp_rd in = bp_der_enter(&rd, BP_DER_SEQ);
    *ret_tbs = bp_der_enter(&in, BP_DER_SEQ);
    *ret_alg = bp_der_get(&in, BP_DER_SEQ);
    (void)bp_der_get_bits(&in);
    BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
    return ended(j, &rd, BP_STRICT_ENCODING);
}

static bp_result judge_fields(struct judge *j, bp_span der, struct cert *c)
{
    bp_rd tbs;
    bp_span alg;
    BP_TRY(open_frame(j, der, &tbs, &alg));
    BP_TRY(judge_version(j, &tbs));
    BP_TRY(judge_serial(j, &tbs));
    BP_TRY(hold(j, bp_span_equal(bp_der_get(&tbs, BP_DER_SEQ), alg), BP_STRICT_ALGORITHM));
    BP_TRY(judge_name(j, &tbs, &c->issuer));
    BP_TRY(hold(j, !bp_name_is_empty(c->issuer), BP_STRICT_ISSUER));
    BP_TRY(judge_validity(j, &tbs));
    BP_TRY(judge_name(j, &tbs, &c->subject));
    BP_TRY(hold(j, key_is_good(bp_der_get_whole(&tbs, BP_DER_SEQ)), BP_STRICT_KEY));
    BP_TRY(judge_tail(j, &tbs, c));
    return judge_extensions(j, c);
}

static bool is_self_issued(const struct cert *c)
{
    return bp_span_equal(c->issuer, c->subject);
}

static bp_result judge_authority(struct judge *j, const struct cert *c)
{
    BP_TRY(hold(j, !bp_name_is_empty(c->subject), BP_STRICT_SUBJECT));
    BP_TRY(hold(j, c->basic_is_critical, BP_STRICT_BASIC_CRITICAL));
    BP_TRY(hold(j, c->has_ski, BP_STRICT_SKI));
    BP_TRY(hold(j, !c->has_key_usage || (c->key_usage & KU_CERT_SIGN) != 0, BP_STRICT_CERT_SIGN));
    return BP_OK;
}

static bp_result judge_end_entity(struct judge *j, const struct cert *c)
{
    BP_TRY(hold(j, (c->key_usage & KU_CERT_SIGN) == 0, BP_STRICT_CERT_SIGN_LEAF));
    BP_TRY(hold(j, !c->has_ca_only, BP_STRICT_EXT_PLACE));
    return hold(j, !bp_name_is_empty(c->subject) || (c->has_san && c->san_is_critical), BP_STRICT_SAN_CRITICAL);
}

/* Only an anchor can be self-signed, and a self-signed certificate may leave its issuer's key identifier out. */
static bp_result judge_cert(struct judge *j, bp_span der, const struct bp_strict_policy *policy, bool is_leaf,
                            bool is_anchor, struct cert *c)
{
    BP_TRY(judge_fields(j, der, c));
    BP_TRY(hold(j, c->has_aki || (is_anchor && is_self_issued(c)), BP_STRICT_AKI));
    BP_TRY(hold(j, is_leaf || c->is_ca, BP_STRICT_BASIC));
    BP_TRY(hold(j, !is_leaf || policy->leaf_may_be_ca || !c->is_ca, BP_STRICT_LEAF_CA));
    if (is_anchor && is_self_issued(c) && c->aki.n > 0) {
        BP_TRY(hold(j, bp_span_equal(c->aki, c->ski), BP_STRICT_AKI_OTHER));
    }
    return c->is_ca ? judge_authority(j, c) : judge_end_entity(j, c);
}

/* A certificate of the path again, for what only the order tells. False: it cannot be read, because it is an anchor that is
 * not judged, or ENCODING is waived. */
static bool read_again(bp_span der, struct cert *c)
{
    struct judge lenient = {.waived = ~(uint64_t)0};
    *c = (struct cert){.has_basic = false};
    return !bp_failed(judge_fields(&lenient, der, c)) && c->issuer.n > 0 && c->subject.n > 0;
}

struct path {
    const bp_span *der;
    size_t n;
};

/* RFC 5280 section 6.1.4 (l, m): authorities between the issuer and the leaf, without self-issued ones. */
static bool path_len_holds(const struct path *path, size_t issuer, uint32_t limit)
{
    uint32_t between = 0;
    for (size_t i = 1; i < issuer; i++) {
        struct cert c;
        between += read_again(path->der[i], &c) && is_self_issued(&c) ? 0 : 1;
    }
    return between <= limit;
}

/* RFC 5280 section 6.1.3 (b, c): self-issued ones are passed over unless they are the leaf. */
static bp_result judge_constraints(struct judge *j, const struct path *path, size_t issuer, bp_span constraints,
                                   uint32_t *budget)
{
    for (size_t i = 0; i < issuer; i++) {
        struct cert c;
        if (!read_again(path->der[i], &c) || (i != 0 && is_self_issued(&c))) {
            continue;
        }
        const struct bp_names names = {c.subject, c.san};
        const enum bp_nc_answer a = bp_nc_judge(constraints, &names, budget);
        BP_TRY(hold(j, a != BP_NC_TOO_MANY, BP_STRICT_NC_MANY));
        BP_TRY(hold(j, a != BP_NC_OUTSIDE, BP_STRICT_NC));
    }
    return BP_OK;
}

/* What an issuer says about those below it. */
static bp_result judge_issuer(struct judge *j, const struct path *path, size_t at, uint32_t *budget)
{
    struct cert issuer;
    struct cert below;
    if (!read_again(path->der[at], &issuer)) {
        return BP_OK;
    }
    if (read_again(path->der[at - 1], &below) && below.aki.n > 0 && issuer.ski.n > 0) {
        BP_TRY(hold(j, bp_span_equal(below.aki, issuer.ski), BP_STRICT_AKI_OTHER));
    }
    if (issuer.has_path_len) {
        BP_TRY(hold(j, path_len_holds(path, at, issuer.path_len), BP_STRICT_PATH_LEN));
    }
    return issuer.has_constraints ? judge_constraints(j, path, at, issuer.constraints, budget) : BP_OK;
}

static bp_result judge_one(struct judge *j, const struct path *path, size_t at, const struct bp_strict_policy *policy)
{
    struct cert c = {.has_basic = false};
    const bool is_anchor = at + 1 == path->n;
    if (is_anchor && !policy->anchor_is_judged) {
        return BP_OK;
    }
    struct judge frame = {.waived = ~BP_STRICT_BIT(ENCODING)};
    if ((j->waived & BP_STRICT_BIT(ENCODING)) != 0 && bp_failed(judge_fields(&frame, path->der[at], &c))) {
        return BP_OK;
    }
    c = (struct cert){.has_basic = false};
    const uint64_t waived = j->waived;
    j->waived |= is_anchor ? BP_STRICT_BIT(SERIAL) : 0; /* a number among its issuer's: an anchor is not looked up by it */
    const bp_result r = judge_cert(j, path->der[at], policy, at == 0, is_anchor, &c);
    j->waived = waived;
    BP_TRY(r);
    const bool is_for = !c.has_key_usage || (c.key_usage & policy->leaf_uses) == policy->leaf_uses;
    return hold(j, at != 0 || is_for, BP_STRICT_KEY_USAGE);
}

bp_result bp_strict_path(const bp_span *der, size_t n, const struct bp_strict_policy *policy, struct bp_strict_finding *ret)
{
    const struct path path = {der, n};
    struct judge j = {.waived = policy->waived, .broken = BP_STRICT_NONE};
    uint32_t budget = BP_STRICT_NAMES_MAX;
    bp_result r = BP_OK;
    *ret = (struct bp_strict_finding){BP_STRICT_NONE, 0};
    if (n < 2) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (n > BP_STRICT_PATH_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t at = n; at > 0 && !bp_failed(r); at--) {
        ret->at = at - 1;
        r = judge_one(&j, &path, at - 1, policy);
    }
    if (!bp_failed(r) && policy->is_depth_limited) {
        ret->at = n - 1;
        r = hold(&j, path_len_holds(&path, n - 1, policy->depth_max), BP_STRICT_PATH_LEN);
    }
    for (size_t at = 1; at < n && !bp_failed(r); at++) {
        ret->at = at;
        r = judge_issuer(&j, &path, at, &budget);
    }
    ret->rule = j.broken;
    ret->at = bp_failed(r) ? ret->at : 0;
    return r;
}

/* Extensions of a list, and of its entries, that are known here. */
static bp_result judge_crl_number(struct judge *j, const struct bp_x509_ext *e)
{
    bp_rd rd = bp_rd_over(e->value);
    const bp_span number = bp_der_get_uint(&rd);
    BP_TRY(ended(j, &rd, BP_STRICT_CRL_NUMBER));
    return hold(j, !e->is_critical && number.n <= 20, BP_STRICT_CRL_NUMBER);
}

struct crl {
    bp_span extensions;
    bool has_aki, has_number;
};

static bp_result judge_crl_extension(struct judge *j, struct crl *crl, const struct bp_x509_ext *e)
{
    struct cert scratch = {.has_basic = false};
    BP_TRY(hold(j, is_first(crl->extensions, e->oid), BP_STRICT_EXT_TWICE));
    if (e->oid.n != 3 || e->oid.p[0] != 0x55 || e->oid.p[1] != 0x1d) {
        return hold(j, !e->is_critical, BP_STRICT_EXT_UNKNOWN);
    }
    switch (e->oid.p[2]) {
    case 0x23: /* the issuer's key identifier */
        crl->has_aki = true;
        BP_TRY(judge_mark(j, NOT_CRITICAL, e->is_critical));
        return read_aki(j, &scratch, e);
    case 0x14: /* number */
        crl->has_number = true;
        return judge_crl_number(j, e);
    case 0x1b: /* a list of changes */
    case 0x1c: /* what the list is about */
        return judge_mark(j, CRITICAL, e->is_critical);
    case 0x2e: /* freshest list */
        BP_TRY(judge_mark(j, NOT_CRITICAL, e->is_critical));
        return read_points(j, &scratch, e);
    default:
        return hold(j, !e->is_critical, BP_STRICT_EXT_UNKNOWN);
    }
}

static bp_result judge_crl_extensions(struct judge *j, bp_rd *tbs, struct crl *crl)
{
    if (bp_rd_left(tbs) > 0) {
        bp_rd in = bp_der_enter(tbs, BP_DER_CTX(0));
        crl->extensions = bp_der_get(&in, BP_DER_SEQ);
        BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
    }
    bp_rd rd = bp_rd_over(crl->extensions);
    for (size_t i = 0; bp_rd_left(&rd) > 0; i++) {
        struct bp_x509_ext e;
        if (i == BP_STRICT_EXT_MAX || bp_failed(bp_x509_next_ext(&rd, &e))) {
            return hold(j, false, BP_STRICT_ENCODING);
        }
        BP_TRY(judge_crl_extension(j, crl, &e));
    }
    BP_TRY(ended(j, &rd, BP_STRICT_ENCODING));
    BP_TRY(hold(j, crl->has_aki, BP_STRICT_CRL_AKI));
    return hold(j, crl->has_number, BP_STRICT_CRL_NUMBER);
}

/* Reason and date of invalidity are not critical, the issuer of another's certificate is (RFC 5280 section 5.3). */
static bp_result judge_entry_extension(struct judge *j, bp_span all, const struct bp_x509_ext *e)
{
    const bool is_ce = e->oid.n == 3 && e->oid.p[0] == 0x55 && e->oid.p[1] == 0x1d;
    const uint8_t id = is_ce ? e->oid.p[2] : 0;
    BP_TRY(hold(j, is_first(all, e->oid), BP_STRICT_EXT_TWICE));
    return hold(j, e->is_critical == (id == 0x1d), BP_STRICT_CRL_ENTRY);
}

static bp_result judge_entry(struct judge *j, bp_rd *list)
{
    bool form = true;
    bp_rd in = bp_der_enter(list, BP_DER_SEQ);
    BP_TRY(judge_serial(j, &in));
    read_time(&in, &form);
    const bp_span extensions = bp_rd_left(&in) > 0 ? bp_der_get(&in, BP_DER_SEQ) : BP_SPAN_EMPTY;
    BP_TRY(ended(j, &in, BP_STRICT_ENCODING));
    BP_TRY(hold(j, form, BP_STRICT_TIME_FORM));
    bp_rd rd = bp_rd_over(extensions);
    for (size_t i = 0; bp_rd_left(&rd) > 0; i++) {
        struct bp_x509_ext e;
        if (i == BP_STRICT_EXT_MAX || bp_failed(bp_x509_next_ext(&rd, &e))) {
            return hold(j, false, BP_STRICT_ENCODING);
        }
        BP_TRY(judge_entry_extension(j, extensions, &e));
    }
    return ended(j, &rd, BP_STRICT_ENCODING);
}

static bp_result judge_entries(struct judge *j, bp_rd *tbs)
{
    if (bp_der_peek(tbs) != BP_DER_SEQ) {
        return BP_OK;
    }
    bp_rd list = bp_der_enter(tbs, BP_DER_SEQ);
    BP_TRY(hold(j, bp_rd_left(&list) > 0, BP_STRICT_CRL_EMPTY));
    while (bp_rd_left(&list) > 0) {
        BP_TRY(judge_entry(j, &list));
    }
    return ended(j, &list, BP_STRICT_ENCODING);
}

static bp_result judge_crl_times(struct judge *j, bp_rd *tbs)
{
    bool form = true;
    read_time(tbs, &form);
    const uint8_t tag = bp_der_peek(tbs);
    const bool has_next = tag == BP_DER_UTCTIME || tag == BP_DER_GENTIME;
    if (has_next) {
        read_time(tbs, &form);
    }
    BP_TRY(hold(j, has_next, BP_STRICT_CRL_NEXT));
    return hold(j, form, BP_STRICT_TIME_FORM);
}

static bp_result judge_crl(struct judge *j, bp_span der)
{
    bp_rd tbs;
    bp_span alg;
    bp_span issuer;
    struct crl crl = {.has_aki = false};
    BP_TRY(open_frame(j, der, &tbs, &alg));
    BP_TRY(hold(j, bp_der_peek(&tbs) == BP_DER_INT, BP_STRICT_CRL_VERSION));
    BP_TRY(hold(j, bp_der_get_small(&tbs) == 1, BP_STRICT_CRL_VERSION));
    BP_TRY(hold(j, bp_span_equal(bp_der_get(&tbs, BP_DER_SEQ), alg), BP_STRICT_ALGORITHM));
    BP_TRY(judge_name(j, &tbs, &issuer));
    BP_TRY(hold(j, !bp_name_is_empty(issuer), BP_STRICT_ISSUER));
    BP_TRY(judge_crl_times(j, &tbs));
    BP_TRY(judge_entries(j, &tbs));
    BP_TRY(judge_crl_extensions(j, &tbs, &crl));
    return ended(j, &tbs, BP_STRICT_ENCODING);
}

bp_result bp_strict_crl(bp_span der, uint64_t waived, struct bp_strict_finding *ret)
{
    struct judge j = {.waived = waived, .broken = BP_STRICT_NONE};
    const bp_result r = judge_crl(&j, der);
    *ret = (struct bp_strict_finding){j.broken, 0};
    return r;
}
