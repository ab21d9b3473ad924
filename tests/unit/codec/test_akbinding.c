/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_akbinding - the statement about an attestation key. */
#include "codec/akbinding.h"
#include "harness.h"

static uint8_t room[BP_AKBINDING_MAX];
static uint8_t back[BP_AKBINDING_MAX];
static const uint8_t some[640] = {1, 2, 3};
static const uint8_t other[64] = {9, 8, 7, 6, 5, 4, 3, 2};

static struct bp_akbinding sample(void)
{
    const struct bp_akbinding b = {.device_id = bp_span_of(some, 33),
                                   .ak_name = bp_span_of(some, 34),
                                   .issuer_class = BP_SPAN_STR("virtual"),
                                   .time_ms = 1700000000000,
                                   .eks = 2,
                                   .ek = {bp_span_of(some, 32), bp_span_of(some + 1, 32)},
                                   .ak = bp_span_of(some, 90),
                                   .qualified = {bp_span_of(some, 34), bp_span_of(some + 1, 34)}};
    return b;
}

BP_CASE(round_trip)
{
    const struct bp_akbinding in = sample();
    struct bp_akbinding out;
    size_t n = 0, m = 0;
    BP_NEED(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_akbinding_read(bp_span_of(room, n), &out)));
    BP_CHECK(out.eks == 2 && out.time_ms == 1700000000000 && bp_span_equal(out.issuer_class, BP_SPAN_STR("virtual")));
    BP_CHECK(bp_span_equal(out.ek[1], in.ek[1]) && bp_span_equal(out.ak, in.ak));
    BP_CHECK(bp_span_equal(out.qualified[0], in.qualified[0]) && bp_span_equal(out.qualified[1], in.qualified[1]));
    BP_CHECK(!bp_failed(bp_akbinding_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
    BP_CHECK(bp_is(bp_akbinding_write(&in, back, n - 1, &m), BP_E_NO_SPACE) && m == n);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_akbinding_read(bp_span_of(room, cut), &out)));
    }
}

/* Every flipped bit is refused or reads as another statement that writes back to the same bytes. */
BP_CASE(flipped_bits)
{
    const struct bp_akbinding in = sample();
    size_t n = 0, m = 0, refused = 0;
    BP_NEED(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
    for (size_t bit = 0; bit < n * 8; bit++) {
        struct bp_akbinding out;
        room[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bp_failed(bp_akbinding_read(bp_span_of(room, n), &out))) {
            refused++;
        } else if (!bp_failed(bp_akbinding_write(&out, back, sizeof back, &m))) {
            /* the minor is not kept by the struct: it is the byte after key 3 */
            const uint8_t *minor = memchr(room, 0x03, n);
            BP_CHECK(minor != NULL && (m == n || minor[1] != 0));
        }
        room[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    BP_CHECK(refused > 100);
}

BP_CASE(newer_minor_is_passed_over)
{
    const struct bp_akbinding in = sample();
    struct bp_akbinding out;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
    room[0]++; /* one pair more: 12: 0 */
    room[n] = 0x0c;
    room[n + 1] = 0;
    BP_CHECK(!bp_failed(bp_akbinding_read(bp_span_of(room, n + 2), &out)));
}

/* As many names as endorsement keys: the last one left out, or one more, is refused. */
BP_CASE(names_are_as_many_as_keys)
{
    const struct bp_akbinding in = sample();
    struct bp_akbinding out;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
    const size_t at = n - 2 * 36 - 1; /* head of the array: its two names of 2 + 34 bytes end the object */
    BP_NEED(room[at] == 0x82);
    room[at] = 0x81;
    BP_CHECK(bp_is(bp_akbinding_read(bp_span_of(room, n - 36), &out), BP_E_MALFORMED));
    room[at] = 0x83;
    memcpy(room + n, room + n - 36, 36);
    BP_CHECK(bp_is(bp_akbinding_read(bp_span_of(room, n + 36), &out), BP_E_MALFORMED));
}

static struct bp_akbinding with_aliases(uint32_t n)
{
    struct bp_akbinding b = sample();
    b.aliases = n;
    for (uint32_t i = 0; i < n && i < BP_AKBINDING_EKS_MAX; i++) {
        b.alias[i] = bp_span_of(other + i, 32);
    }
    return b;
}

BP_CASE(aliases_round_trip)
{
    for (uint32_t aliases = 1; aliases <= BP_AKBINDING_EKS_MAX; aliases++) {
        const struct bp_akbinding in = with_aliases(aliases);
        struct bp_akbinding out;
        size_t n = 0, m = 0;
        BP_NEED(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
        BP_NEED(!bp_failed(bp_akbinding_read(bp_span_of(room, n), &out)));
        BP_CHECK(out.eks == 2 && out.aliases == aliases && bp_span_equal(out.alias[aliases - 1], in.alias[aliases - 1]));
        BP_CHECK(!bp_failed(bp_akbinding_write(&out, back, sizeof back, &m)) && m == n && memcmp(room, back, n) == 0);
        for (size_t cut = 0; cut < n; cut++) {
            BP_CHECK(bp_failed(bp_akbinding_read(bp_span_of(room, cut), &out)));
        }
    }
}

BP_CASE(every_key_of_the_chip_is_found)
{
    const struct bp_akbinding b = with_aliases(2);
    BP_CHECK(bp_akbinding_has_ek(&b, b.ek[0]) && bp_akbinding_has_ek(&b, b.ek[1]) && bp_akbinding_has_ek(&b, b.alias[0]) &&
             bp_akbinding_has_ek(&b, b.alias[1]));
    BP_CHECK(!bp_akbinding_has_ek(&b, bp_span_of(other + 2, 32)) && !bp_akbinding_has_ek(&b, bp_span_of(some, 31)) &&
             !bp_akbinding_has_ek(&b, BP_SPAN_EMPTY));
}

/* What a writer does not make: the list is empty, too long, names a key twice, or is none. */
static void bad_aliases(void)
{
    static const struct {
        const char *name;
        uint8_t head;   /* of the array */
        uint32_t items; /* hashes that follow it */
        bool twice, is_shown;
        enum bp_error error;
    } rows[] = {{"alias_list_empty", 0x80, 0, false, false, BP_E_MALFORMED},
                {"aliases_five", 0x85, 5, false, false, BP_E_LIMIT},
                {"alias_twice", 0x82, 2, true, false, BP_E_MALFORMED},
                {"alias_is_shown_too", 0x81, 1, false, true, BP_E_MALFORMED},
                {"alias_list_is_a_number", 0x01, 0, false, false, BP_E_MALFORMED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bp_akbinding in = sample();
        struct bp_akbinding out = {.eks = 9};
        size_t n = 0;
        bp_case_begin();
        BP_CHECK(!bp_failed(bp_akbinding_write(&in, room, sizeof room, &n)));
        room[0]++;
        room[n++] = 0x0b;
        room[n++] = rows[i].head;
        for (uint32_t k = 0; k < rows[i].items; k++) {
            room[n++] = 0x58;
            room[n++] = 32;
            memcpy(room + n, rows[i].is_shown ? some : rows[i].twice ? other : other + k, 32);
            n += 32;
        }
        BP_CHECK(bp_is(bp_akbinding_read(bp_span_of(room, n), &out), rows[i].error) && out.eks == 9);
        bp_case_end(rows[i].name);
    }
}

BP_CASE(the_weaker_class_counts)
{
    static const char *const order[] = {"none such", "software", "unknown", "virtual", "firmware", "discrete"};
    for (size_t a = 0; a < 6; a++) {
        for (size_t b = 0; b < 6; b++) {
            BP_CHECK(bp_span_equal(bp_akbinding_weaker(bp_span_cstr(order[a]), bp_span_cstr(order[b])),
                                   bp_span_cstr(order[a < b ? a : b])));
        }
    }
}

BP_CASE(signer_is_the_key_where_it_belongs)
{
    const struct bp_akbinding b = sample();
    BP_CHECK(bp_akbinding_is_signer(&b, bp_span_of(some, 34)) && bp_akbinding_is_signer(&b, bp_span_of(some + 1, 34)));
    BP_CHECK(!bp_akbinding_is_signer(&b, bp_span_of(some + 2, 34)) && !bp_akbinding_is_signer(&b, bp_span_of(some, 33)) &&
             !bp_akbinding_is_signer(&b, BP_SPAN_EMPTY));
}

/* The largest statement that is made fits into the room that everybody has for it. */
BP_CASE(the_largest_fits)
{
    struct bp_akbinding b = sample();
    size_t n = 0;
    b.eks = BP_AKBINDING_EKS_MAX;
    b.ak = bp_span_of(some, BP_AKBINDING_AK_MAX);
    b.issuer_class = BP_SPAN_STR("discrete");
    b.time_ms = INT64_MAX;
    for (uint32_t i = 0; i < b.eks; i++) {
        b.ek[i] = bp_span_of(some, 32);
        b.qualified[i] = bp_span_of(some, 34);
        b.alias[i] = bp_span_of(other + i, 32);
    }
    b.aliases = BP_AKBINDING_EKS_MAX;
    BP_CHECK(!bp_failed(bp_akbinding_write(&b, room, sizeof room, &n)) && n + 256 <= BP_AKBINDING_SIGNED);
}

struct refused {
    const char *name;
    void (*spoil)(struct bp_akbinding *);
};
static void short_id(struct bp_akbinding *b)
{
    b->device_id.n = 32;
}
static void long_name(struct bp_akbinding *b)
{
    b->ak_name.n = 35;
}
static void other_class(struct bp_akbinding *b)
{
    b->issuer_class = BP_SPAN_STR("trusted");
}
static void no_ek(struct bp_akbinding *b)
{
    b->eks = 0;
}
static void five_eks(struct bp_akbinding *b)
{
    b->eks = 5;
}
static void short_ek(struct bp_akbinding *b)
{
    b->ek[1].n = 31;
}
static void no_qualified(struct bp_akbinding *b)
{
    b->qualified[1].n = 0;
}
static void short_qualified(struct bp_akbinding *b)
{
    b->qualified[0].n = 33;
}
static void no_ak(struct bp_akbinding *b)
{
    b->ak.n = 0;
}
static void long_ak(struct bp_akbinding *b)
{
    b->ak.n = 641;
}
static void before_1970(struct bp_akbinding *b)
{
    b->time_ms = -1;
}

static void five_aliases(struct bp_akbinding *b)
{
    b->aliases = BP_AKBINDING_EKS_MAX + 1;
}
static void short_alias(struct bp_akbinding *b)
{
    b->aliases = 1;
    b->alias[0] = bp_span_of(other, 31);
}
static void shown_alias(struct bp_akbinding *b)
{
    b->aliases = 1;
    b->alias[0] = b->ek[1];
}
static void twice_alias(struct bp_akbinding *b)
{
    b->aliases = 2;
    b->alias[0] = b->alias[1] = bp_span_of(other, 32);
}

static void refusals(void)
{
    const struct refused rows[] = {{"short_id", short_id},       {"long_name", long_name}, {"other_class", other_class},
                                   {"no_ek", no_ek},             {"five_eks", five_eks},   {"short_ek", short_ek},
                                   {"no_ak", no_ak},             {"long_ak", long_ak},     {"before_1970", before_1970},
                                   {"no_qualified", no_qualified}, {"short_qualified", short_qualified},
                                   {"five_aliases", five_aliases}, {"short_alias", short_alias},
                                   {"shown_alias", shown_alias},   {"twice_alias", twice_alias}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_akbinding b = sample();
        size_t n = 0;
        bp_case_begin();
        rows[i].spoil(&b);
        BP_CHECK(bp_is(bp_akbinding_write(&b, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
        bp_case_end(rows[i].name);
    }
}

/* clang-format off */
BP_SUITE(akbinding,
    BP_RUN(round_trip)
    BP_RUN(flipped_bits)
    BP_RUN(newer_minor_is_passed_over)
    BP_RUN(names_are_as_many_as_keys)
    BP_RUN(aliases_round_trip)
    BP_RUN(every_key_of_the_chip_is_found)
    BP_TABLE(bad_aliases)
    BP_RUN(the_weaker_class_counts)
    BP_RUN(signer_is_the_key_where_it_belongs)
    BP_RUN(the_largest_fits)
    BP_TABLE(refusals))
