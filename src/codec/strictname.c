/* SPDX-License-Identifier: Apache-2.0 */
/* codec/strictname - names and constraints on them. */
#include "codec/strictname.h"

#define BP_MODULE DER

#define T61_STRING 0x14u

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool equal_nocase(bp_span a, bp_span b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

static bp_span from(bp_span s, size_t at)
{
    return bp_span_sub(s, at, s.n - at);
}

/* Place of the first such byte; s.n when there is none. */
static size_t find(bp_span s, uint8_t c)
{
    size_t i = 0;
    while (i < s.n && s.p[i] != c) {
        i++;
    }
    return i;
}

static bool is_label(bp_span s)
{
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && s.p[i] != '-') {
            return false;
        }
    }
    return true;
}

/* RFC 1034 section 3.5 as RFC 1123 section 2.1 changes it; the last label is not a number, so that no IPv4 address is a
 * host. */
static bool is_host(bp_span s)
{
    if (s.n == 0 || s.n > 253) {
        return false;
    }
    for (;;) {
        const size_t n = find(s, '.');
        if (!is_label(bp_span_sub(s, 0, n))) {
            return false;
        }
        if (n == s.n) {
            break;
        }
        s = from(s, n + 1);
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return true;
        }
    }
    return false;
}

static bool is_wildcard(bp_span s)
{
    return s.n > 2 && s.p[0] == '*' && s.p[1] == '.';
}

/* Local part of a mailbox: dot-atom of RFC 5322 section 3.2.3. */
static bool is_local(bp_span s)
{
    static const char other[] = "!#$%&'*+-/=?^_`{|}~.";
    if (s.n == 0 || s.n > 64 || s.p[0] == '.' || s.p[s.n - 1] == '.') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        const bool is_other = find(BP_SPAN_STR("!#$%&'*+-/=?^_`{|}~."), s.p[i]) < sizeof other - 1;
        if (!is_alnum(s.p[i]) && !is_other) {
            return false;
        }
    }
    return true;
}

static bool is_mailbox(bp_span s)
{
    const size_t at = find(s, '@');
    return at < s.n && is_local(bp_span_sub(s, 0, at)) && is_host(from(s, at + 1));
}

/* Host of a URI with an authority, without user and port; empty when it has none. *ret_has: there is an authority. */
static bp_span uri_host(bp_span uri, bool *ret_has)
{
    const bp_span rest = from(uri, find(uri, ':') + 1);
    *ret_has = rest.n >= 2 && rest.p[0] == '/' && rest.p[1] == '/';
    if (!*ret_has) {
        return BP_SPAN_EMPTY;
    }
    bp_span a = from(rest, 2);
    size_t n = 0;
    while (n < a.n && a.p[n] != '/' && a.p[n] != '?' && a.p[n] != '#') {
        n++;
    }
    a = bp_span_sub(a, 0, n);
    const size_t user = find(a, '@');
    a = user < a.n ? from(a, user + 1) : a;
    if (a.n > 0 && a.p[0] == '[') {
        const size_t end = find(a, ']');
        return end < a.n ? bp_span_sub(a, 0, end + 1) : BP_SPAN_EMPTY;
    }
    return bp_span_sub(a, 0, find(a, ':'));
}

/* An IPv4 address in dotted form, as a URI's host. */
static bool is_dotted(bp_span s)
{
    size_t dots = 0;
    for (size_t i = 0; i < s.n; i++) {
        dots += s.p[i] == '.' ? 1 : 0;
        if (!is_digit(s.p[i]) && s.p[i] != '.') {
            return false;
        }
    }
    return dots == 3 && s.n >= 7 && s.n <= 15;
}

static bool is_uri(bp_span s)
{
    const size_t scheme = find(s, ':');
    if (scheme == 0 || scheme + 1 >= s.n || is_digit(s.p[0])) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        const uint8_t c = s.p[i];
        if (c < 0x21 || c > 0x7e || (i < scheme && !is_alnum(c) && c != '+' && c != '-' && c != '.')) {
            return false;
        }
    }
    bool has_authority;
    const bp_span host = uri_host(s, &has_authority);
    return !has_authority || is_host(host) || is_dotted(host) || (host.n > 2 && host.p[0] == '[');
}

static bool is_other_name(bp_span s)
{
    bp_rd rd = bp_rd_over(s);
    const bp_span id = bp_der_get(&rd, BP_DER_OID);
    bp_rd in = bp_der_enter(&rd, BP_DER_CTX(0));
    const bp_span value = bp_der_get_any(&in);
    return !bp_failed(bp_rd_finish(&in)) && !bp_failed(bp_rd_finish(&rd)) && id.n > 0 && value.n > 0;
}

struct bp_gname bp_gname_get(bp_rd *rd)
{
    struct bp_gname g = {.tag = bp_der_peek(rd)};
    switch (g.tag) {
    case BP_GNAME_DIR: {
        bp_rd in = bp_der_enter(rd, g.tag);
        g.v = bp_der_get_whole(&in, BP_DER_SEQ);
        bp_rd_fail(rd, bp_rd_finish(&in));
        break;
    }
    case BP_GNAME_OTHER:
    case BP_GNAME_MAIL:
    case BP_GNAME_DNS:
    case BP_GNAME_X400:
    case BP_GNAME_EDI:
    case BP_GNAME_URI:
    case BP_GNAME_IP:
    case BP_GNAME_RID:
        g.v = bp_der_get(rd, g.tag);
        break;
    default:
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        break;
    }
    return g;
}

bool bp_gname_is_good(const struct bp_gname *name)
{
    switch (name->tag) {
    case BP_GNAME_DNS:
        return is_host(is_wildcard(name->v) ? from(name->v, 2) : name->v);
    case BP_GNAME_MAIL:
        return is_mailbox(name->v);
    case BP_GNAME_URI:
        return is_uri(name->v);
    case BP_GNAME_IP:
        return name->v.n == 4 || name->v.n == 16;
    case BP_GNAME_DIR:
        return bp_name_is_good(name->v) && !bp_name_is_empty(name->v);
    case BP_GNAME_OTHER:
        return is_other_name(name->v);
    default:
        return name->v.n > 0;
    }
}

/* One AttributeTypeAndValue. */
static bool get_attribute(bp_rd *rd, bp_span *ret_id, uint8_t *ret_tag, bp_span *ret_value)
{
    bp_rd in = bp_der_enter(rd, BP_DER_SEQ);
    *ret_id = bp_der_get(&in, BP_DER_OID);
    *ret_tag = bp_der_peek(&in);
    *ret_value = bp_der_get(&in, *ret_tag);
    bp_rd_fail(rd, bp_rd_finish(&in));
    return !bp_failed(rd->state);
}

bool bp_name_is_good(bp_span name)
{
    bp_rd whole = bp_rd_over(name);
    bp_rd rd = bp_der_enter(&whole, BP_DER_SEQ);
    while (bp_rd_left(&rd) > 0) {
        bp_rd set = bp_der_enter(&rd, BP_DER_SET);
        bp_span id;
        bp_span value;
        uint8_t tag;
        do { /* one at least */
            if (!get_attribute(&set, &id, &tag, &value)) {
                return false;
            }
        } while (bp_rd_left(&set) > 0);
    }
    return !bp_failed(bp_rd_finish(&rd)) && !bp_failed(bp_rd_finish(&whole));
}

bool bp_name_is_empty(bp_span name)
{
    bp_rd rd = bp_rd_over(name);
    return bp_der_get(&rd, BP_DER_SEQ).n == 0;
}

static bool is_text(uint8_t tag)
{
    return tag == BP_DER_UTF8 || tag == BP_DER_PRINTABLE || tag == BP_DER_IA5 || tag == T61_STRING;
}

static bp_span trimmed(bp_span s)
{
    size_t skip = 0;
    while (skip < s.n && s.p[skip] == ' ') {
        skip++;
    }
    s = from(s, skip);
    while (s.n > 0 && s.p[s.n - 1] == ' ') {
        s = bp_span_sub(s, 0, s.n - 1);
    }
    return s;
}

/* The next character of a trimmed text, folded; -1 at its end. */
static int next_folded(bp_span s, size_t *at)
{
    if (*at == s.n) {
        return -1;
    }
    const uint8_t c = s.p[(*at)++];
    while (c == ' ' && s.p[*at] == ' ') { /* a trimmed text does not end in a space */
        (*at)++;
    }
    return lower(c);
}

static bool equal_text(bp_span a, bp_span b)
{
    a = trimmed(a);
    b = trimmed(b);
    size_t at_a = 0;
    size_t at_b = 0;
    int c;
    do {
        c = next_folded(a, &at_a);
        if (c != next_folded(b, &at_b)) {
            return false;
        }
    } while (c != -1);
    return true;
}

static bool equal_attribute(bp_rd *a, bp_rd *b)
{
    bp_span id[2];
    bp_span value[2];
    uint8_t tag[2];
    if (!get_attribute(a, &id[0], &tag[0], &value[0]) || !get_attribute(b, &id[1], &tag[1], &value[1]) ||
        !bp_span_equal(id[0], id[1])) {
        return false;
    }
    if (is_text(tag[0]) && is_text(tag[1])) {
        return equal_text(value[0], value[1]);
    }
    return tag[0] == tag[1] && bp_span_equal(value[0], value[1]);
}

/* The first parts of name are those of base. */
static bool dir_within(bp_span name, bp_span base)
{
    bp_rd whole[2] = {bp_rd_over(name), bp_rd_over(base)};
    bp_rd n = bp_der_enter(&whole[0], BP_DER_SEQ);
    bp_rd b = bp_der_enter(&whole[1], BP_DER_SEQ);
    while (bp_rd_left(&b) > 0) {
        bp_rd set_n = bp_der_enter(&n, BP_DER_SET);
        bp_rd set_b = bp_der_enter(&b, BP_DER_SET);
        do {
            if (!equal_attribute(&set_n, &set_b)) {
                return false;
            }
        } while (bp_rd_left(&set_b) > 0);
        if (bp_rd_left(&set_n) > 0) {
            return false;
        }
    }
    return !bp_failed(bp_rd_finish(&b));
}

/* The same host, or one below it. */
static bool host_within(bp_span host, bp_span base)
{
    if (base.n == 0) {
        return true;
    }
    if (host.n > base.n && host.p[host.n - base.n - 1] != '.') {
        return false;
    }
    return host.n >= base.n && equal_nocase(from(host, host.n - base.n), base);
}

/* A wildcard stands for every host one label below its rest, so an excluded host of that kind is among them. */
static bool dns_within(bp_span name, bp_span base, bool is_excluded)
{
    if (!is_wildcard(name)) {
        return host_within(name, base);
    }
    const bp_span rest = from(name, 2);
    if (host_within(rest, base)) {
        return true;
    }
    return is_excluded && equal_nocase(from(base, find(base, '.') + 1), rest);
}

/* A leading period: hosts below; none: this host (RFC 5280 section 4.2.1.10, mailboxes and URIs). */
static bool exact_within(bp_span host, bp_span base)
{
    if (base.n > 0 && base.p[0] == '.') {
        return host.n > base.n && equal_nocase(from(host, host.n - base.n), base);
    }
    return base.n == 0 || equal_nocase(host, base);
}

static bool mail_within(bp_span mailbox, bp_span base)
{
    const size_t at = find(mailbox, '@');
    const size_t base_at = find(base, '@');
    if (base_at == base.n) {
        return exact_within(from(mailbox, at + 1), base);
    }
    return at == base_at && bp_span_equal(bp_span_sub(mailbox, 0, at), bp_span_sub(base, 0, at)) &&
           equal_nocase(from(mailbox, at), from(base, at));
}

static bool ip_within(bp_span ip, bp_span base)
{
    if (base.n != 2 * ip.n) {
        return false;
    }
    for (size_t i = 0; i < ip.n; i++) {
        if (((ip.p[i] ^ base.p[i]) & base.p[ip.n + i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Of one kind. A kind that has no rule is within what is excluded and outside of what is permitted. A URI that has no
 * host by name cannot be told to be on the right side of anything. */
static bool is_within(const struct bp_gname *name, bp_span base, bool is_excluded)
{
    switch (name->tag) {
    case BP_GNAME_DNS:
        return dns_within(name->v, base, is_excluded);
    case BP_GNAME_MAIL:
        return mail_within(name->v, base);
    case BP_GNAME_URI: {
        bool has_authority;
        const bp_span host = uri_host(name->v, &has_authority);
        return is_host(host) ? exact_within(host, base) : is_excluded;
    }
    case BP_GNAME_IP:
        return ip_within(name->v, base);
    case BP_GNAME_DIR:
        return dir_within(name->v, base);
    default:
        return is_excluded;
    }
}

static bool is_mask(bp_span mask)
{
    bool ended = false;
    for (size_t i = 0; i < 8 * mask.n; i++) {
        const bool bit = (mask.p[i / 8] & (0x80u >> (i % 8))) != 0;
        if (bit && ended) {
            return false;
        }
        ended = ended || !bit;
    }
    return true;
}

static bool is_host_base(bp_span s)
{
    return s.n == 0 || is_host(s.p[0] == '.' ? from(s, 1) : s);
}

static bool base_is_good(const struct bp_gname *base)
{
    switch (base->tag) {
    case BP_GNAME_DNS:
        return base->v.n == 0 || is_host(base->v);
    case BP_GNAME_MAIL:
        return find(base->v, '@') < base->v.n ? is_mailbox(base->v) : is_host_base(base->v);
    case BP_GNAME_URI:
        return is_host_base(base->v);
    case BP_GNAME_IP:
        return (base->v.n == 8 || base->v.n == 32) && is_mask(from(base->v, base->v.n / 2));
    case BP_GNAME_DIR:
        return bp_name_is_good(base->v);
    default:
        return bp_gname_is_good(base);
    }
}

/* GeneralSubtrees under that tag: empty reader when they are not there. */
static bp_rd subtrees(bp_rd *constraints, unsigned tag)
{
    if (bp_der_peek(constraints) != BP_DER_CTX(tag)) {
        return bp_rd_over(BP_SPAN_EMPTY);
    }
    return bp_der_enter(constraints, BP_DER_CTX(tag));
}

/* One GeneralSubtree; minimum and maximum have one meaning each here, their absence. */
static struct bp_gname get_base(bp_rd *trees)
{
    bp_rd in = bp_der_enter(trees, BP_DER_SEQ);
    const struct bp_gname base = bp_gname_get(&in);
    bp_rd_fail(trees, bp_rd_finish(&in));
    return base;
}

static bool trees_are_good(bp_rd *rd, unsigned tag, bool *ret_is_there)
{
    *ret_is_there = bp_der_peek(rd) == BP_DER_CTX(tag);
    bp_rd trees = subtrees(rd, tag);
    bool good = !*ret_is_there || bp_rd_left(&trees) > 0;
    while (good && bp_rd_left(&trees) > 0) {
        const struct bp_gname base = get_base(&trees);
        good = !bp_failed(trees.state) && base_is_good(&base);
    }
    return good && !bp_failed(bp_rd_finish(&trees));
}

bool bp_nc_is_good(bp_span constraints)
{
    bp_rd rd = bp_rd_over(constraints);
    bool has_permitted;
    bool has_excluded;
    return trees_are_good(&rd, 0, &has_permitted) && trees_are_good(&rd, 1, &has_excluded) &&
           (has_permitted || has_excluded) && !bp_failed(bp_rd_finish(&rd));
}

/* Goes through one list. *ret_some: a base of the name's kind is there; *ret_match: the name is within one. */
static bool walk(bp_rd *trees, const struct bp_gname *name, bool is_excluded, uint32_t *budget, bool *ret_some, bool *ret_match)
{
    *ret_some = false;
    *ret_match = false;
    while (bp_rd_left(trees) > 0) {
        const struct bp_gname base = get_base(trees);
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        if (bp_failed(trees->state)) { /* what cannot be read holds nothing */
            *ret_some = true;
            *ret_match = is_excluded;
        } else if (base.tag == name->tag) {
            *ret_some = true;
            *ret_match = *ret_match || is_within(name, base.v, is_excluded);
        }
    }
    return true;
}

static enum bp_nc_answer judge_name(bp_span constraints, const struct bp_gname *name, uint32_t *budget)
{
    bp_rd rd = bp_rd_over(constraints);
    bp_rd permitted = subtrees(&rd, 0);
    bp_rd excluded = subtrees(&rd, 1);
    bool some;
    bool match;
    if (!walk(&permitted, name, false, budget, &some, &match)) {
        return BP_NC_TOO_MANY;
    }
    if (some && !match) {
        return BP_NC_OUTSIDE;
    }
    if (!walk(&excluded, name, true, budget, &some, &match)) {
        return BP_NC_TOO_MANY;
    }
    return match ? BP_NC_OUTSIDE : BP_NC_WITHIN;
}

/* Without alternative names a mailbox in the subject counts (RFC 5280 section 4.2.1.10). */
static enum bp_nc_answer judge_mail_in_subject(bp_span constraints, bp_span subject, uint32_t *budget)
{
    static const uint8_t id_mail[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};
    bp_rd whole = bp_rd_over(subject);
    bp_rd rd = bp_der_enter(&whole, BP_DER_SEQ);
    while (bp_rd_left(&rd) > 0) {
        bp_rd set = bp_der_enter(&rd, BP_DER_SET);
        while (bp_rd_left(&set) > 0) {
            bp_span id;
            struct bp_gname mail = {.tag = BP_GNAME_MAIL};
            uint8_t tag;
            if (!get_attribute(&set, &id, &tag, &mail.v) || !bp_span_equal(id, BP_SPAN_OF(id_mail))) {
                continue;
            }
            const enum bp_nc_answer a = judge_name(constraints, &mail, budget);
            if (a != BP_NC_WITHIN) {
                return a;
            }
        }
    }
    return BP_NC_WITHIN;
}

enum bp_nc_answer bp_nc_judge(bp_span constraints, const struct bp_names *names, uint32_t *budget)
{
    enum bp_nc_answer a = BP_NC_WITHIN;
    if (!bp_name_is_empty(names->subject)) {
        a = judge_name(constraints, &(struct bp_gname){BP_GNAME_DIR, names->subject}, budget);
    }
    if (a == BP_NC_WITHIN && names->san.n == 0) {
        a = judge_mail_in_subject(constraints, names->subject, budget);
    }
    bp_rd rd = bp_rd_over(names->san);
    while (a == BP_NC_WITHIN && bp_rd_left(&rd) > 0) {
        const struct bp_gname name = bp_gname_get(&rd);
        a = bp_failed(rd.state) ? BP_NC_OUTSIDE : judge_name(constraints, &name, budget);
    }
    return a;
}
