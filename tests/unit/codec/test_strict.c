/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_strict - each rule of the profile: a good path of three certificates, put together here, and one
 * change a case. No signature is right; nobody here looks at one. */
#include "codec/der.h"
#include "codec/strict.h"
#include "harness.h"

#define ROOM     1536u
#define EXTS_MAX 12u

enum field { LEAF, MID, ROOT };
enum what { NOTHING, EXT, NO_EXT, VERSION, SERIAL, ALGORITHM, BEGIN, END, SUBJECT, ISSUER, SPKI, AFTER, BEHIND };

/* One change: of an extension by the last byte of its OID (0: access to authority information), or of a field. */
struct edit {
    enum what what;
    uint8_t id;
    bool is_critical;
    const char *v;
    size_t n;
};
#define V(text) text, sizeof(text) - 1

#define ALG_ES256 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ALG_ES384 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define POINT_32  "0123456789abcdef0123456789abcdef"
#define SPKI_P256                                                                                                     \
    "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04" \
    POINT_32 POINT_32
#define CN(letter)  "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01" letter
#define KEY_ID(c)   c c c c c c c c
#define SKI(c)      "\x04\x08" KEY_ID(c)
#define AKI(c)      "\x30\x0a\x80\x08" KEY_ID(c)
#define DNS_SAN     "\x30\x0a\x82\x08" "a.b.test"
#define NO_SUBJECT  "\x30\x00"

struct spec {
    const char *issuer, *subject, *begin, *end, *alg, *spki, *serial;
    size_t issuer_n, subject_n, spki_n, serial_n;
    uint8_t version;
    bool has_tail;
    struct edit exts[EXTS_MAX];
    size_t count;
};

static void set_ext(struct spec *s, struct edit e)
{
    size_t i = 0;
    while (i < s->count && s->exts[i].id != e.id) {
        i++;
    }
    s->exts[i] = e;
    s->count += i == s->count ? 1 : 0;
}

static struct spec spec_of(enum field which)
{
    struct spec s = {.begin = "700101000000Z", .end = "20510101000000Z", .alg = ALG_ES256, .spki = SPKI_P256, .serial = "\x11",
                     .spki_n = sizeof SPKI_P256 - 1, .serial_n = 1, .version = 2};
    static const char *const names[] = {CN("l"), CN("m"), CN("r"), CN("r")};
    s.subject = names[which];
    s.issuer = names[which + 1];
    s.subject_n = s.issuer_n = sizeof CN("l") - 1;
    const char *const ski[] = {SKI("l"), SKI("m"), SKI("r")};
    const char *const aki[] = {AKI("m"), AKI("r"), AKI("r")};
    set_ext(&s, (struct edit){EXT, 0x0e, false, ski[which], 10});
    set_ext(&s, (struct edit){EXT, 0x23, false, aki[which], 12});
    if (which == LEAF) {
        set_ext(&s, (struct edit){EXT, 0x0f, true, V("\x03\x02\x07\x80")});
        set_ext(&s, (struct edit){EXT, 0x13, true, V("\x30\x00")});
        set_ext(&s, (struct edit){EXT, 0x11, false, V(DNS_SAN)});
    } else {
        set_ext(&s, (struct edit){EXT, 0x0f, true, V("\x03\x02\x01\x06")});
        set_ext(&s, (struct edit){EXT, 0x13, true, V("\x30\x03\x01\x01\xff")});
    }
    return s;
}

static void put_ext(bp_wr *wr, const struct edit *e)
{
    static const uint8_t access[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01};
    const uint8_t ce[] = {0x55, 0x1d, e->id};
    const bp_span oid = e->id == 0 ? BP_SPAN_OF(access) : BP_SPAN_OF(ce);
    bp_der_put_head(wr, BP_DER_SEQ, bp_der_size(oid.n) + (e->is_critical ? 3u : 0u) + bp_der_size(e->n));
    bp_der_put(wr, BP_DER_OID, oid);
    if (e->is_critical) {
        bp_der_put(wr, BP_DER_BOOL, BP_SPAN_STR("\xff"));
    }
    bp_der_put(wr, BP_DER_OCTETS, bp_span_of(e->v, e->n));
}

static void put_time(bp_wr *wr, const char *text)
{
    bp_der_put(wr, strlen(text) == 13 ? BP_DER_UTCTIME : BP_DER_GENTIME, bp_span_cstr(text));
}

static void put_tbs(bp_wr *wr, const struct spec *s)
{
    static uint8_t room[ROOM];
    if (s->version != 0) {
        bp_der_put_head(wr, BP_DER_CTX(0), 3);
        bp_der_put(wr, BP_DER_INT, bp_span_of(&s->version, 1));
    }
    bp_der_put(wr, BP_DER_INT, bp_span_of(s->serial, s->serial_n));
    bp_wr_bytes(wr, bp_span_of(s->alg, sizeof ALG_ES256 - 1));
    bp_wr_bytes(wr, bp_span_of(s->issuer, s->issuer_n));
    bp_der_put_head(wr, BP_DER_SEQ, 4 + strlen(s->begin) + strlen(s->end));
    put_time(wr, s->begin);
    put_time(wr, s->end);
    bp_wr_bytes(wr, bp_span_of(s->subject, s->subject_n));
    bp_wr_bytes(wr, bp_span_of(s->spki, s->spki_n));
    if (s->has_tail) {
        bp_der_put(wr, BP_DER_CTXP(2), BP_SPAN_STR("\x00\x01"));
    }
    bp_wr exts = bp_wr_over(room, sizeof room);
    for (size_t i = 0; i < s->count; i++) {
        if (s->exts[i].what == EXT) {
            put_ext(&exts, &s->exts[i]);
        }
    }
    if (exts.n > 0) {
        bp_der_put_head(wr, BP_DER_CTX(3), bp_der_size(exts.n));
        bp_der_put(wr, BP_DER_SEQ, bp_wr_span(&exts));
    }
}

static bp_span build(const struct spec *s, uint8_t *room)
{
    static uint8_t tbs[ROOM];
    bp_wr in = bp_wr_over(tbs, sizeof tbs);
    bp_wr wr = bp_wr_over(room, ROOM);
    put_tbs(&in, s);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(in.n) + sizeof ALG_ES256 - 1 + 4);
    bp_der_put(&wr, BP_DER_SEQ, bp_wr_span(&in));
    bp_wr_bytes(&wr, BP_SPAN_STR(ALG_ES256));
    bp_wr_bytes(&wr, BP_SPAN_STR("\x03\x02\x00\x01"));
    BP_CHECK(!bp_failed(bp_wr_finish(&wr)));
    return bp_wr_span(&wr);
}

static void apply(struct spec *s, const struct edit *e)
{
    switch (e->what) {
    case EXT:
    case NO_EXT:
        set_ext(s, *e);
        break;
    case BEHIND: /* the same extension once more */
        s->exts[s->count++] = (struct edit){EXT, e->id, e->is_critical, e->v, e->n};
        break;
    case VERSION:
        s->version = e->id;
        break;
    case SERIAL:
        s->serial = e->v;
        s->serial_n = e->n;
        break;
    case ALGORITHM:
        s->alg = e->v;
        break;
    case BEGIN:
        s->begin = e->v;
        break;
    case END:
        s->end = e->v;
        break;
    case SUBJECT:
        s->subject = e->v;
        s->subject_n = e->n;
        break;
    case ISSUER:
        s->issuer = e->v;
        s->issuer_n = e->n;
        break;
    case SPKI:
        s->spki = e->v;
        s->spki_n = e->n;
        break;
    case AFTER:
        s->has_tail = true;
        break;
    case NOTHING:
    default:
        break;
    }
}

/* The path with up to two changes, in which every authority's names follow. */
static bp_span path[3];

static void make_path(enum field which, const struct edit *a, enum field also, const struct edit *b)
{
    static uint8_t room[3][ROOM];
    for (unsigned i = LEAF; i <= ROOT; i++) {
        struct spec s = spec_of((enum field)i);
        if (i == which) {
            apply(&s, a);
        }
        if (i == also && b != NULL) {
            apply(&s, b);
        }
        path[i] = build(&s, room[i]);
    }
}

static const struct bp_strict_policy whole = {.anchor_is_judged = true};

static const struct {
    const char *name;
    enum bp_strict_rule rule;
    size_t at;
    enum field which;
    struct edit edit;
    enum field also;
    struct edit other;
} rows[] = {
    {"nothing_changed", BP_STRICT_NONE, 0, LEAF, {.what = NOTHING}, LEAF, {.what = NOTHING}},
    {"version_1", BP_STRICT_VERSION, 0, LEAF, {.what = VERSION, .id = 0}, LEAF, {.what = NOTHING}},
    {"version_4", BP_STRICT_VERSION, 0, LEAF, {.what = VERSION, .id = 3}, LEAF, {.what = NOTHING}},
    {"serial_zero", BP_STRICT_SERIAL, 1, MID, {SERIAL, 0, false, V("\x00")}, LEAF, {.what = NOTHING}},
    {"serial_negative", BP_STRICT_SERIAL, 0, LEAF, {SERIAL, 0, false, V("\x80")}, LEAF, {.what = NOTHING}},
    {"serial_with_zero_in_front", BP_STRICT_ENCODING, 0, LEAF, {SERIAL, 0, false, V("\x00\x11")}, LEAF, {.what = NOTHING}},
    {"serial_of_20_octets", BP_STRICT_NONE, 0, LEAF, {SERIAL, 0, false, V("\x00" "\xf1" "234567890123456789z")}, LEAF, {.what = NOTHING}},
    {"serial_of_21_octets", BP_STRICT_SERIAL, 0, LEAF, {SERIAL, 0, false, V("123456789012345678901")}, LEAF, {.what = NOTHING}},
    {"serial_of_the_anchor_names_nothing", BP_STRICT_NONE, 0, ROOT, {SERIAL, 0, false, V("\x00")}, LEAF, {.what = NOTHING}},
    {"algorithm_inside_another", BP_STRICT_ALGORITHM, 0, LEAF, {ALGORITHM, 0, false, V(ALG_ES384)}, LEAF, {.what = NOTHING}},
    {"issuer_empty", BP_STRICT_ISSUER, 0, LEAF, {ISSUER, 0, false, V(NO_SUBJECT)}, LEAF, {.what = NOTHING}},
    {"name_with_empty_part", BP_STRICT_ENCODING, 0, LEAF, {SUBJECT, 0, false, V("\x30\x02\x31\x00")}, LEAF, {.what = NOTHING}},
    {"generalized_before_2050", BP_STRICT_TIME_FORM, 0, LEAF, {END, 0, false, V("20491231235959Z")}, LEAF, {.what = NOTHING}},
    {"time_without_seconds", BP_STRICT_ENCODING, 0, LEAF, {BEGIN, 0, false, V("7001010000Z")}, LEAF, {.what = NOTHING}},
    {"authority_without_subject", BP_STRICT_SUBJECT, 1, MID, {SUBJECT, 0, false, V(NO_SUBJECT)}, LEAF, {.what = NOTHING}},
    {"unique_identifier", BP_STRICT_UNIQUE_ID, 0, LEAF, {.what = AFTER}, LEAF, {.what = NOTHING}},
    {"key_of_no_kind", BP_STRICT_KEY, 0, LEAF, {SPKI, 0, false, V("\x30\x0a\x30\x05\x06\x03\x2b\x65\x71\x03\x01\x00")}, LEAF, {.what = NOTHING}},
    {"extension_twice", BP_STRICT_EXT_TWICE, 0, LEAF, {BEHIND, 0x0e, false, V(SKI("l"))}, LEAF, {.what = NOTHING}},
    {"unknown_extension", BP_STRICT_NONE, 0, LEAF, {EXT, 0x7e, false, V("\x05\x00")}, LEAF, {.what = NOTHING}},
    {"unknown_critical_extension", BP_STRICT_EXT_UNKNOWN, 0, LEAF, {EXT, 0x7e, true, V("\x05\x00")}, LEAF, {.what = NOTHING}},
    {"unknown_critical_extension_of_anchor", BP_STRICT_EXT_UNKNOWN, 2, ROOT, {EXT, 0x7e, true, V("\x05\x00")}, LEAF, {.what = NOTHING}},
    {"aki_missing", BP_STRICT_AKI, 0, LEAF, {NO_EXT, 0x23, false, V("")}, LEAF, {.what = NOTHING}},
    {"aki_missing_in_authority", BP_STRICT_AKI, 1, MID, {NO_EXT, 0x23, false, V("")}, LEAF, {.what = NOTHING}},
    {"aki_missing_in_self_signed", BP_STRICT_NONE, 0, ROOT, {NO_EXT, 0x23, false, V("")}, LEAF, {.what = NOTHING}},
    {"aki_missing_in_cross_signed_anchor", BP_STRICT_AKI, 2, ROOT, {NO_EXT, 0x23, false, V("")}, ROOT, {ISSUER, 0, false, V(CN("x"))}},
    {"aki_without_identifier", BP_STRICT_AKI, 0, LEAF, {EXT, 0x23, false, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"aki_serial_alone", BP_STRICT_ENCODING, 0, LEAF, {EXT, 0x23, false, V("\x30\x0d\x80\x08mmmmmmmm\x82\x01\x01")}, LEAF, {.what = NOTHING}},
    {"aki_critical", BP_STRICT_EXT_NOT_CRITICAL, 0, LEAF, {EXT, 0x23, true, V(AKI("m"))}, LEAF, {.what = NOTHING}},
    {"aki_of_another", BP_STRICT_AKI_OTHER, 1, LEAF, {EXT, 0x23, false, V(AKI("x"))}, LEAF, {.what = NOTHING}},
    {"aki_of_another_in_self_signed", BP_STRICT_AKI_OTHER, 2, ROOT, {EXT, 0x23, false, V(AKI("x"))}, LEAF, {.what = NOTHING}},
    {"ski_missing_in_authority", BP_STRICT_SKI, 1, MID, {NO_EXT, 0x0e, false, V("")}, LEAF, {.what = NOTHING}},
    {"ski_missing_in_leaf", BP_STRICT_NONE, 0, LEAF, {NO_EXT, 0x0e, false, V("")}, LEAF, {.what = NOTHING}},
    {"ski_critical", BP_STRICT_EXT_NOT_CRITICAL, 0, LEAF, {EXT, 0x0e, true, V(SKI("l"))}, LEAF, {.what = NOTHING}},
    {"ski_empty", BP_STRICT_ENCODING, 0, LEAF, {EXT, 0x0e, false, V("\x04\x00")}, LEAF, {.what = NOTHING}},
    {"uses_none", BP_STRICT_KEY_USAGE, 0, LEAF, {EXT, 0x0f, true, V("\x03\x02\x00\x00")}, LEAF, {.what = NOTHING}},
    {"uses_empty", BP_STRICT_KEY_USAGE, 0, LEAF, {EXT, 0x0f, true, V("\x03\x01\x00")}, LEAF, {.what = NOTHING}},
    {"uses_with_9_bits_unused", BP_STRICT_KEY_USAGE, 0, LEAF, {EXT, 0x0f, true, V("\x03\x02\x09\x80")}, LEAF, {.what = NOTHING}},
    {"uses_with_zero_bits_behind", BP_STRICT_KEY_USAGE_FORM, 0, LEAF, {EXT, 0x0f, true, V("\x03\x02\x00\x80")}, LEAF, {.what = NOTHING}},
    {"leaf_signs_certificates", BP_STRICT_CERT_SIGN_LEAF, 0, LEAF, {EXT, 0x0f, true, V("\x03\x02\x02\x84")}, LEAF, {.what = NOTHING}},
    {"authority_may_not_sign", BP_STRICT_CERT_SIGN, 1, MID, {EXT, 0x0f, true, V("\x03\x02\x01\x02")}, LEAF, {.what = NOTHING}},
    {"authority_without_uses", BP_STRICT_NONE, 0, MID, {NO_EXT, 0x0f, true, V("")}, LEAF, {.what = NOTHING}},
    {"policies_empty", BP_STRICT_POLICIES, 0, LEAF, {EXT, 0x20, false, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"policy_twice", BP_STRICT_POLICIES, 0, LEAF, {EXT, 0x20, false, V("\x30\x0a\x30\x03\x06\x01\x2a\x30\x03\x06\x01\x2a")}, LEAF, {.what = NOTHING}},
    {"policies_two", BP_STRICT_NONE, 0, LEAF, {EXT, 0x20, false, V("\x30\x0a\x30\x03\x06\x01\x2a\x30\x03\x06\x01\x2b")}, LEAF, {.what = NOTHING}},
    {"mapping_in_leaf", BP_STRICT_EXT_PLACE, 0, LEAF, {EXT, 0x21, true, V("\x30\x08\x30\x06\x06\x01\x2a\x06\x01\x2b")}, LEAF, {.what = NOTHING}},
    {"mapping_in_authority", BP_STRICT_NONE, 0, MID, {EXT, 0x21, true, V("\x30\x08\x30\x06\x06\x01\x2a\x06\x01\x2b")}, LEAF, {.what = NOTHING}},
    {"policy_constraints_not_critical", BP_STRICT_EXT_CRITICAL, 1, MID, {EXT, 0x24, false, V("\x30\x03\x80\x01\x00")}, LEAF, {.what = NOTHING}},
    {"policy_constraints_empty", BP_STRICT_ENCODING, 1, MID, {EXT, 0x24, true, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"policy_constraints_with_zero_in_front", BP_STRICT_ENCODING, 1, MID, {EXT, 0x24, true, V("\x30\x04\x80\x02\x00\x01")}, LEAF, {.what = NOTHING}},
    {"inhibit_negative", BP_STRICT_ENCODING, 1, MID, {EXT, 0x36, true, V("\x02\x01\xff")}, LEAF, {.what = NOTHING}},
    {"names_empty", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"name_of_unknown_kind", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x03\x89\x01\x01")}, LEAF, {.what = NOTHING}},
    {"host_empty", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x02\x82\x00")}, LEAF, {.what = NOTHING}},
    {"host_with_space", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x05\x82\x03" "a b")}, LEAF, {.what = NOTHING}},
    {"host_with_period_behind", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x06\x82\x04" "a.b.")}, LEAF, {.what = NOTHING}},
    {"host_that_is_an_address", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x09\x82\x07" "8.8.8.8")}, LEAF, {.what = NOTHING}},
    {"host_with_hyphen_in_front", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x06\x82\x04" "-a.b")}, LEAF, {.what = NOTHING}},
    {"wildcard", BP_STRICT_NONE, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x82\x05" "*.a.b")}, LEAF, {.what = NOTHING}},
    {"wildcard_alone", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x03\x82\x01" "*")}, LEAF, {.what = NOTHING}},
    {"wildcard_behind", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x82\x05" "a.*.b")}, LEAF, {.what = NOTHING}},
    {"mailbox", BP_STRICT_NONE, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x81\x05" "a@b.c")}, LEAF, {.what = NOTHING}},
    {"mailbox_without_host", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x04\x81\x02" "a@")}, LEAF, {.what = NOTHING}},
    {"address_of_4_octets", BP_STRICT_NONE, 0, LEAF, {EXT, 0x11, false, V("\x30\x06\x87\x04" "abcd")}, LEAF, {.what = NOTHING}},
    {"address_of_5_octets", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x87\x05" "abcde")}, LEAF, {.what = NOTHING}},
    {"uri_urn", BP_STRICT_NONE, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x86\x05" "urn:a")}, LEAF, {.what = NOTHING}},
    {"uri_relative", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x05\x86\x03" "a/b")}, LEAF, {.what = NOTHING}},
    {"uri_without_host", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x07\x86\x05" "a:///")}, LEAF, {.what = NOTHING}},
    {"other_name", BP_STRICT_NONE, 0, LEAF, {EXT, 0x11, false, V("\x30\x09\xa0\x07\x06\x01\x2a\xa0\x02\x05\x00")}, LEAF, {.what = NOTHING}},
    {"other_name_without_value", BP_STRICT_SAN, 0, LEAF, {EXT, 0x11, false, V("\x30\x05\xa0\x03\x06\x01\x2a")}, LEAF, {.what = NOTHING}},
    {"subject_empty", BP_STRICT_SAN_CRITICAL, 0, LEAF, {SUBJECT, 0, false, V(NO_SUBJECT)}, LEAF, {.what = NOTHING}},
    {"subject_empty_names_critical", BP_STRICT_NONE, 0, LEAF, {SUBJECT, 0, false, V(NO_SUBJECT)}, LEAF, {EXT, 0x11, true, V(DNS_SAN)}},
    {"authority_without_mark", BP_STRICT_BASIC, 1, MID, {NO_EXT, 0x13, false, V("")}, LEAF, {.what = NOTHING}},
    {"authority_marked_false", BP_STRICT_BASIC, 1, MID, {EXT, 0x13, true, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"authority_marked_not_critical", BP_STRICT_BASIC_CRITICAL, 1, MID, {EXT, 0x13, false, V("\x30\x03\x01\x01\xff")}, LEAF, {.what = NOTHING}},
    {"anchor_without_mark", BP_STRICT_BASIC, 2, ROOT, {NO_EXT, 0x13, false, V("")}, LEAF, {.what = NOTHING}},
    {"default_written_out", BP_STRICT_ENCODING, 0, LEAF, {EXT, 0x13, true, V("\x30\x03\x01\x01\x00")}, LEAF, {.what = NOTHING}},
    {"path_length_without_mark", BP_STRICT_PATH_LEN, 0, LEAF, {EXT, 0x13, true, V("\x30\x03\x02\x01\x00")}, LEAF, {.what = NOTHING}},
    {"path_length_1", BP_STRICT_NONE, 0, ROOT, {EXT, 0x13, true, V("\x30\x06\x01\x01\xff\x02\x01\x01")}, LEAF, {.what = NOTHING}},
    {"path_length_0", BP_STRICT_PATH_LEN, 2, ROOT, {EXT, 0x13, true, V("\x30\x06\x01\x01\xff\x02\x01\x00")}, LEAF, {.what = NOTHING}},
    {"leaf_is_an_authority", BP_STRICT_LEAF_CA, 0, LEAF, {EXT, 0x13, true, V("\x30\x03\x01\x01\xff")}, LEAF, {EXT, 0x0f, true, V("\x03\x02\x01\x06")}},
    {"purposes_none", BP_STRICT_EKU, 0, LEAF, {EXT, 0x25, false, V("\x30\x00")}, LEAF, {.what = NOTHING}},
    {"point_of_reasons_alone", BP_STRICT_CDP, 0, LEAF, {EXT, 0x1f, false, V("\x30\x06\x30\x04\x81\x02\x06\x40")}, LEAF, {.what = NOTHING}},
    {"freshest_critical", BP_STRICT_EXT_NOT_CRITICAL, 0, LEAF, {EXT, 0x2e, true, V("\x30\x06\x30\x04\xa2\x02\x05\x00")}, LEAF, {.what = NOTHING}},
    {"access_critical", BP_STRICT_EXT_NOT_CRITICAL, 0, LEAF, {EXT, 0x00, true, V("\x30\x0c\x30\x0a\x06\x01\x2a\x86\x05" "urn:a")}, LEAF, {.what = NOTHING}},
    {"access", BP_STRICT_NONE, 0, LEAF, {EXT, 0x00, false, V("\x30\x0c\x30\x0a\x06\x01\x2a\x86\x05" "urn:a")}, LEAF, {.what = NOTHING}},
    {"access_malformed", BP_STRICT_ACCESS, 0, LEAF, {EXT, 0x00, false, V("\x30\x07\x30\x05\x06\x01\x2a\x05\x00")}, LEAF, {.what = NOTHING}},
};

static void each_rule(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_strict_finding f;
        bp_case_begin();
        make_path(rows[i].which, &rows[i].edit, rows[i].also, &rows[i].other);
        const bp_result r = bp_strict_path(path, 3, &whole, &f);
        BP_CHECK(bp_failed(r) == (rows[i].rule != BP_STRICT_NONE) && (!bp_failed(r) || bp_is(r, BP_E_DENIED)));
        BP_CHECK(f.rule == rows[i].rule && f.at == rows[i].at);
        /* Waived, the rule does not count; what comes to light behind it is another one. */
        const struct bp_strict_policy waived = {.waived = (uint64_t)1 << rows[i].rule, .anchor_is_judged = true};
        BP_IGNORE(bp_strict_path(path, 3, &waived, &f), "the finding is what is looked at");
        BP_CHECK(f.rule == BP_STRICT_NONE || f.rule != rows[i].rule);
        bp_case_end(rows[i].name);
    }
}

/* Name constraints in the authority between, and the leaf's names. */
static const struct {
    const char *name;
    bool is_within;
    const char *san;
    size_t san_n;
    const char *nc;
    size_t nc_n;
} names[] = {
    {"nc.host", true, V("\x30\x05\x82\x03" "a.b"), V("\x30\x07\xa0\x05\x30\x03\x82\x01" "b")},
    {"nc.host_in_other_case", true, V("\x30\x05\x82\x03" "a.B"), V("\x30\x07\xa0\x05\x30\x03\x82\x01" "b")},
    {"nc.host_that_only_ends_alike", false, V("\x30\x06\x82\x04" "a.xb"), V("\x30\x07\xa0\x05\x30\x03\x82\x01" "b")},
    {"nc.every_host", true, V("\x30\x05\x82\x03" "a.b"), V("\x30\x06\xa0\x04\x30\x02\x82\x00")},
    {"nc.second_host_outside", false, V("\x30\x0a\x82\x03" "a.b\x82\x03" "a.c"), V("\x30\x07\xa0\x05\x30\x03\x82\x01" "b")},
    {"nc.excluded_host", false, V("\x30\x05\x82\x03" "a.b"), V("\x30\x07\xa1\x05\x30\x03\x82\x01" "b")},
    {"nc.wildcard_meets_excluded_host", false, V("\x30\x05\x82\x03" "*.b"), V("\x30\x09\xa1\x07\x30\x05\x82\x03" "x.b")},
    {"nc.wildcard_beside_excluded_host", true, V("\x30\x05\x82\x03" "*.b"), V("\x30\x0b\xa1\x09\x30\x07\x82\x05" "y.x.b")},
    {"nc.wildcard_wider_than_permitted", false, V("\x30\x05\x82\x03" "*.b"), V("\x30\x09\xa0\x07\x30\x05\x82\x03" "x.b")},
    {"nc.other_kind_permitted", true, V("\x30\x05\x82\x03" "a.b"), V("\x30\x07\xa0\x05\x30\x03\x81\x01" "b")},
    {"nc.mailbox_at_host", true, V("\x30\x05\x81\x03" "a@b"), V("\x30\x07\xa0\x05\x30\x03\x81\x01" "b")},
    {"nc.mailbox_below_host", false, V("\x30\x07\x81\x05" "a@x.b"), V("\x30\x07\xa0\x05\x30\x03\x81\x01" "b")},
    {"nc.mailbox_below_period", true, V("\x30\x07\x81\x05" "a@x.b"), V("\x30\x08\xa0\x06\x30\x04\x81\x02" ".b")},
    {"nc.mailbox_exact", true, V("\x30\x05\x81\x03" "a@B"), V("\x30\x09\xa0\x07\x30\x05\x81\x03" "a@b")},
    {"nc.mailbox_in_other_case", false, V("\x30\x05\x81\x03" "A@b"), V("\x30\x09\xa0\x07\x30\x05\x81\x03" "a@b")},
    {"nc.mailbox_star_is_a_letter", false, V("\x30\x05\x81\x03" "a@b"), V("\x30\x09\xa0\x07\x30\x05\x81\x03" "*@b")},
    {"nc.uri_at_host", true, V("\x30\x09\x86\x07" "s://b:1"), V("\x30\x07\xa0\x05\x30\x03\x86\x01" "b")},
    {"nc.uri_below_host", false, V("\x30\x0b\x86\x09" "s://x.b/y"), V("\x30\x07\xa0\x05\x30\x03\x86\x01" "b")},
    {"nc.uri_without_host", false, V("\x30\x05\x86\x03" "u:x"), V("\x30\x07\xa1\x05\x30\x03\x86\x01" "b")},
    {"nc.uri_with_user", false, V("\x30\x0a\x86\x08" "s://b@x/"), V("\x30\x07\xa0\x05\x30\x03\x86\x01" "b")},
    {"nc.address", true, V("\x30\x06\x87\x04\x0a\x01\x02\x03"), V("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\x00\x00")},
    {"nc.address_outside", false, V("\x30\x06\x87\x04\x0b\x01\x02\x03"), V("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\x00\x00")},
    {"nc.address_of_other_family", false, V("\x30\x12\x87\x10" "0123456789abcdef"), V("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x00\x00\x00\x00\x00\x00\x00\x00")},
    {"nc.subject_excluded", false, V(DNS_SAN), V("\x30\x14\xa1\x12\x30\x10\xa4\x0e\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01L")},
    {"nc.subject_outside", false, V(DNS_SAN), V("\x30\x14\xa0\x12\x30\x10\xa4\x0e\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01x")},
    {"nc.kind_without_rule", false, V("\x30\x03\x88\x01\x2a"), V("\x30\x07\xa1\x05\x30\x03\x88\x01\x2b")},
};

static void constrained_names(void)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bp_strict_finding f;
        const struct edit san = {EXT, 0x11, false, names[i].san, names[i].san_n};
        const struct edit nc = {EXT, 0x1e, true, names[i].nc, names[i].nc_n};
        bp_case_begin();
        make_path(LEAF, &san, MID, &nc);
        const bp_result r = bp_strict_path(path, 3, &whole, &f);
        BP_CHECK(bp_failed(r) != names[i].is_within);
        BP_CHECK(f.rule == (names[i].is_within ? BP_STRICT_NONE : BP_STRICT_NC) && f.at == (names[i].is_within ? 0u : 1u));
        bp_case_end(names[i].name);
    }
}

static const struct {
    const char *name;
    const char *nc;
    size_t n;
} forms[] = {
    {"nc_form.neither_list", V("\x30\x00")},
    {"nc_form.empty_list", V("\x30\x02\xa0\x00")},
    {"nc_form.minimum", V("\x30\x0a\xa0\x08\x30\x06\x82\x01" "b\x80\x01\x01")},
    {"nc_form.host_with_period_in_front", V("\x30\x08\xa0\x06\x30\x04\x82\x02" ".b")},
    {"nc_form.host_with_wildcard", V("\x30\x09\xa0\x07\x30\x05\x82\x03" "*.b")},
    {"nc_form.address_of_4_octets", V("\x30\x0a\xa0\x08\x30\x06\x87\x04" "abcd")},
    {"nc_form.mask_with_holes", V("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\xff\x00")},
    {"nc_form.lists_in_other_order", V("\x30\x0e\xa1\x05\x30\x03\x82\x01" "b\xa0\x05\x30\x03\x82\x01" "b")},
    {"nc_form.cut", V("\x30\x07\xa0\x05\x30\x03\x82\x02" "b")},
};

static void constraint_forms(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct bp_strict_finding f;
        const struct edit nc = {EXT, 0x1e, true, forms[i].nc, forms[i].n};
        bp_case_begin();
        make_path(MID, &nc, LEAF, NULL);
        BP_CHECK(bp_is(bp_strict_path(path, 3, &whole, &f), BP_E_DENIED) && f.rule == BP_STRICT_NC_FORM && f.at == 1);
        bp_case_end(forms[i].name);
    }
}

BP_CASE(constraints_in_a_leaf_have_no_place)
{
    struct bp_strict_finding f;
    const struct edit nc = {EXT, 0x1e, true, V("\x30\x07\xa0\x05\x30\x03\x82\x01" "b")};
    make_path(LEAF, &nc, LEAF, NULL);
    BP_CHECK(bp_is(bp_strict_path(path, 3, &whole, &f), BP_E_DENIED) && f.rule == BP_STRICT_EXT_PLACE && f.at == 0);
}

BP_CASE(constraints_of_an_anchor_that_is_not_judged_count)
{
    struct bp_strict_finding f;
    const struct bp_strict_policy policy = {.waived = 0};
    const struct edit nc = {EXT, 0x1e, true, V("\x30\x07\xa0\x05\x30\x03\x82\x01" "x")};
    make_path(ROOT, &nc, LEAF, NULL);
    BP_CHECK(bp_is(bp_strict_path(path, 3, &policy, &f), BP_E_DENIED) && f.rule == BP_STRICT_NC && f.at == 2);
}

BP_CASE(form_of_an_anchor_counts_only_when_asked)
{
    struct bp_strict_finding f;
    const struct bp_strict_policy policy = {.waived = 0};
    const struct edit basic = {NO_EXT, 0x13, false, V("")};
    make_path(ROOT, &basic, LEAF, NULL);
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &policy, &f)) && f.rule == BP_STRICT_NONE);
    BP_CHECK(bp_failed(bp_strict_path(path, 3, &whole, &f)) && f.rule == BP_STRICT_BASIC);
}

BP_CASE(uses_asked_for)
{
    struct bp_strict_finding f;
    struct bp_strict_policy policy = {.leaf_uses = 0x8000};
    const struct edit nothing = {.what = NOTHING};
    make_path(LEAF, &nothing, LEAF, NULL);
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &policy, &f)));
    policy.leaf_uses = 0x2000;
    BP_CHECK(bp_failed(bp_strict_path(path, 3, &policy, &f)) && f.rule == BP_STRICT_KEY_USAGE && f.at == 0);
}

BP_CASE(depth_asked_for)
{
    struct bp_strict_finding f;
    struct bp_strict_policy policy = {.is_depth_limited = true, .depth_max = 1};
    const struct edit nothing = {.what = NOTHING};
    make_path(LEAF, &nothing, LEAF, NULL);
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &policy, &f)));
    policy.depth_max = 0;
    BP_CHECK(bp_failed(bp_strict_path(path, 3, &policy, &f)) && f.rule == BP_STRICT_PATH_LEN && f.at == 2);
    /* A self-issued authority does not count. */
    const struct edit self = {SUBJECT, 0, false, V(CN("r"))};
    make_path(MID, &self, LEAF, NULL);
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &policy, &f)));
}

BP_CASE(no_path_and_a_path_too_long)
{
    struct bp_strict_finding f;
    bp_span many[BP_STRICT_PATH_MAX + 1] = {{NULL, 0}};
    BP_CHECK(bp_is(bp_strict_path(many, 1, &whole, &f), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_strict_path(many, BP_STRICT_PATH_MAX + 1, &whole, &f), BP_E_LIMIT));
    BP_CHECK(bp_is(bp_strict_path(many, 2, &whole, &f), BP_E_DENIED) && f.rule == BP_STRICT_ENCODING);
}

/* Every prefix of each certificate is refused as what it is, and passed over only where that is asked. */
BP_CASE(every_truncation_is_refused)
{
    const struct edit nothing = {.what = NOTHING};
    const struct bp_strict_policy lenient = {.waived = BP_STRICT_BIT(ENCODING), .anchor_is_judged = true};
    for (unsigned which = LEAF; which <= ROOT; which++) {
        make_path(LEAF, &nothing, LEAF, NULL);
        const bp_span good = path[which];
        for (size_t n = 0; n < good.n; n++) {
            struct bp_strict_finding f;
            path[which] = bp_span_sub(good, 0, n);
            BP_CHECK(bp_is(bp_strict_path(path, 3, &whole, &f), BP_E_DENIED) && f.rule == BP_STRICT_ENCODING && f.at == which);
            BP_CHECK(!bp_failed(bp_strict_path(path, 3, &lenient, &f)));
        }
    }
}

/* Many names against many constraints end at the ceiling, not in hours. */
BP_CASE(many_names_meet_many_constraints)
{
    static uint8_t exts[2][700];
    static const uint8_t host[] = {0x82, 3, 'a', '.', 'b'};
    struct bp_strict_finding f;
    bp_wr san = bp_wr_over(exts[0], sizeof exts[0]);
    bp_wr nc = bp_wr_over(exts[1], sizeof exts[1]);
    bp_der_put_head(&san, BP_DER_SEQ, 130 * sizeof host);
    bp_der_put_head(&nc, BP_DER_SEQ, bp_der_size(90 * (2 + sizeof host)));
    bp_der_put_head(&nc, BP_DER_CTX(1), 90 * (2 + sizeof host));
    for (size_t i = 0; i < 130; i++) {
        bp_wr_bytes(&san, BP_SPAN_OF(host));
    }
    for (size_t i = 0; i < 90; i++) {
        const uint8_t base[] = {0x30, sizeof host, 0x82, 3, 'x', '.', 'y'};
        bp_wr_bytes(&nc, BP_SPAN_OF(base));
    }
    BP_NEED(!bp_failed(bp_wr_finish(&san)) && !bp_failed(bp_wr_finish(&nc)));
    const struct edit names_edit = {EXT, 0x11, false, (const char *)exts[0], san.n};
    const struct edit nc_edit = {EXT, 0x1e, true, (const char *)exts[1], nc.n};
    make_path(LEAF, &names_edit, MID, &nc_edit);
    BP_CHECK(!bp_failed(bp_strict_path(path, 3, &whole, &f)));
    /* The same authority eight times: 8 * 131 * 90 comparisons. */
    bp_span deep[BP_STRICT_PATH_MAX];
    deep[0] = path[0];
    for (size_t i = 1; i < BP_STRICT_PATH_MAX; i++) {
        deep[i] = path[1];
    }
    const struct bp_strict_policy policy = {.waived = BP_STRICT_BIT(AKI_OTHER)};
    BP_CHECK(bp_failed(bp_strict_path(deep, BP_STRICT_PATH_MAX, &policy, &f)) && f.rule == BP_STRICT_NC_MANY);
}

#define CRL_HEAD   "\x02\x01\x01" ALG_ES256 CN("m") "\x17\x0d" "700101000000Z"
#define CRL_NEXT   "\x18\x0f" "20510101000000Z"
#define CRL_AKI    "\x30\x13\x06\x03\x55\x1d\x23\x04\x0c" AKI("m")
#define CRL_NUMBER "\x30\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x07"
#define CRL_EXTS   "\xa0\x23\x30\x21" CRL_AKI CRL_NUMBER

static const struct {
    const char *name;
    enum bp_strict_rule rule;
    const char *tbs;
    size_t n;
} lists[] = {
    {"crl.empty", BP_STRICT_NONE, V(CRL_HEAD CRL_NEXT CRL_EXTS)},
    {"crl.one_entry", BP_STRICT_NONE, V(CRL_HEAD CRL_NEXT "\x30\x14\x30\x12\x02\x01\x05\x17\x0d" "700101000000Z" CRL_EXTS)},
    {"crl.reason", BP_STRICT_NONE, V(CRL_HEAD CRL_NEXT "\x30\x22\x30\x20\x02\x01\x05\x17\x0d" "700101000000Z\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x01" CRL_EXTS)},
    {"crl.reason_critical", BP_STRICT_CRL_ENTRY, V(CRL_HEAD CRL_NEXT "\x30\x25\x30\x23\x02\x01\x05\x17\x0d" "700101000000Z\x30\x0f\x30\x0d\x06\x03\x55\x1d\x15\x01\x01\xff\x04\x03\x0a\x01\x01" CRL_EXTS)},
    {"crl.entry_of_another_issuer_not_critical", BP_STRICT_CRL_ENTRY, V(CRL_HEAD CRL_NEXT "\x30\x21\x30\x1f\x02\x01\x05\x17\x0d" "700101000000Z\x30\x0b\x30\x09\x06\x03\x55\x1d\x1d\x04\x02\x30\x00" CRL_EXTS)},
    {"crl.entry_negative", BP_STRICT_SERIAL, V(CRL_HEAD CRL_NEXT "\x30\x14\x30\x12\x02\x01\x85\x17\x0d" "700101000000Z" CRL_EXTS)},
    {"crl.entries_none", BP_STRICT_CRL_EMPTY, V(CRL_HEAD CRL_NEXT "\x30\x00" CRL_EXTS)},
    {"crl.version_1", BP_STRICT_CRL_VERSION, V(ALG_ES256 CN("m") "\x17\x0d" "700101000000Z" CRL_NEXT)},
    {"crl.without_next", BP_STRICT_CRL_NEXT, V(CRL_HEAD CRL_EXTS)},
    {"crl.generalized_before_2050", BP_STRICT_TIME_FORM, V(CRL_HEAD "\x18\x0f" "20400101000000Z" CRL_EXTS)},
    {"crl.without_extensions", BP_STRICT_CRL_AKI, V(CRL_HEAD CRL_NEXT)},
    {"crl.without_number", BP_STRICT_CRL_NUMBER, V(CRL_HEAD CRL_NEXT "\xa0\x17\x30\x15" CRL_AKI)},
    {"crl.number_critical", BP_STRICT_CRL_NUMBER, V(CRL_HEAD CRL_NEXT "\xa0\x26\x30\x24" CRL_AKI "\x30\x0d\x06\x03\x55\x1d\x14\x01\x01\xff\x04\x03\x02\x01\x07")},
    {"crl.number_twice", BP_STRICT_EXT_TWICE, V(CRL_HEAD CRL_NEXT "\xa0\x2f\x30\x2d" CRL_AKI CRL_NUMBER CRL_NUMBER)},
    {"crl.unknown_critical_extension", BP_STRICT_EXT_UNKNOWN, V(CRL_HEAD CRL_NEXT "\xa0\x31\x30\x2f" CRL_AKI CRL_NUMBER "\x30\x0c\x06\x03\x55\x1d\x7e\x01\x01\xff\x04\x02\x05\x00")},
    {"crl.scope_not_critical", BP_STRICT_EXT_CRITICAL, V(CRL_HEAD CRL_NEXT "\xa0\x2e\x30\x2c" CRL_AKI CRL_NUMBER "\x30\x09\x06\x03\x55\x1d\x1c\x04\x02\x30\x00")},
    {"crl.issuer_empty", BP_STRICT_ISSUER, V("\x02\x01\x01" ALG_ES256 NO_SUBJECT "\x17\x0d" "700101000000Z" CRL_NEXT CRL_EXTS)},
    {"crl.algorithm_inside_another", BP_STRICT_ALGORITHM, V("\x02\x01\x01" ALG_ES384 CN("m") "\x17\x0d" "700101000000Z" CRL_NEXT CRL_EXTS)},
    {"crl.bytes_behind", BP_STRICT_ENCODING, V(CRL_HEAD CRL_NEXT CRL_EXTS "\x05\x00")},
};

static bp_span build_crl(bp_span tbs)
{
    static uint8_t room[ROOM];
    bp_wr wr = bp_wr_over(room, sizeof room);
    bp_der_put_head(&wr, BP_DER_SEQ, bp_der_size(tbs.n) + sizeof ALG_ES256 - 1 + 4);
    bp_der_put(&wr, BP_DER_SEQ, tbs);
    bp_wr_bytes(&wr, BP_SPAN_STR(ALG_ES256));
    bp_wr_bytes(&wr, BP_SPAN_STR("\x03\x02\x00\x01"));
    BP_CHECK(!bp_failed(bp_wr_finish(&wr)));
    return bp_wr_span(&wr);
}

static void each_list(void)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct bp_strict_finding f;
        bp_case_begin();
        const bp_span der = build_crl(bp_span_of(lists[i].tbs, lists[i].n));
        const bp_result r = bp_strict_crl(der, 0, &f);
        BP_CHECK(bp_failed(r) == (lists[i].rule != BP_STRICT_NONE) && f.rule == lists[i].rule);
        for (size_t n = 0; n < der.n; n++) {
            BP_CHECK(bp_is(bp_strict_crl(bp_span_sub(der, 0, n), 0, &f), BP_E_DENIED) && f.rule == BP_STRICT_ENCODING);
        }
        bp_case_end(lists[i].name);
    }
}

BP_CASE(every_rule_has_a_name_and_a_sentence)
{
    for (unsigned i = 1; i < BP_STRICT_COUNT; i++) {
        BP_CHECK(bp_strict_name((enum bp_strict_rule)i)[0] != '\0' && bp_strict_section((enum bp_strict_rule)i)[0] != '\0' &&
                 bp_strict_text((enum bp_strict_rule)i)[0] != '\0');
    }
    BP_CHECK(bp_strict_text(BP_STRICT_COUNT)[0] == '\0');
}

BP_SUITE(strict, BP_TABLE(each_rule) BP_TABLE(constrained_names) BP_TABLE(constraint_forms) BP_TABLE(each_list)
                     BP_RUN(constraints_in_a_leaf_have_no_place)
                         BP_RUN(constraints_of_an_anchor_that_is_not_judged_count)
                             BP_RUN(form_of_an_anchor_counts_only_when_asked) BP_RUN(uses_asked_for)
                                 BP_RUN(depth_asked_for) BP_RUN(no_path_and_a_path_too_long)
                                     BP_RUN(every_truncation_is_refused) BP_RUN(many_names_meet_many_constraints)
                                         BP_RUN(every_rule_has_a_name_and_a_sentence))
