/* SPDX-License-Identifier: Apache-2.0 */
/* The set of keys that are off: what was added is in it, what was not is not, and a set that cannot grow says no to all. */
#include "fleet/proc/denyset.h"

#include "harness.h"
#include "platform/alloc.h"

#define MANY 5000u

/* Keys that begin alike, so that they meet in the table; n is written at the end. */
static void key_of(uint32_t n, uint8_t first, uint8_t ret[32])
{
    memset(ret, 0, 32);
    ret[0] = first;
    memcpy(ret + 28, &n, sizeof n);
}

BP_CASE(empty_set_has_nothing)
{
    const struct bp_denyset s = {0};
    uint8_t key[32];
    key_of(1, 1, key);
    BP_CHECK(!bp_denyset_has(&s, key));
    memset(key, 0, sizeof key);
    BP_CHECK(!bp_denyset_has(&s, key));
}

BP_CASE(what_was_added_is_in_and_nothing_else)
{
    struct bp_denyset s = {0};
    uint8_t key[32];
    for (uint32_t n = 0; n < MANY; n++) {
        key_of(n, (uint8_t)n, key);
        bp_denyset_add(&s, key);
    }
    BP_CHECK(!s.is_full);
    unsigned in = 0, out = 0;
    for (uint32_t n = 0; n < 2 * MANY; n++) {
        key_of(n, (uint8_t)n, key);
        *(bp_denyset_has(&s, key) ? &in : &out) += 1;
    }
    /* The key of zeroes, n = 0, is the mark of a free slot: it must be told from one. */
    BP_CHECK(in == MANY && out == MANY && s.has_zero && s.count == MANY - 1);
    bp_denyset_done(&s);
    BP_CHECK(!bp_denyset_has(&s, key) && s.cap == 0);
}

BP_CASE(keys_that_begin_alike_are_told_apart)
{
    struct bp_denyset s = {0};
    uint8_t key[32];
    for (uint32_t n = 1; n <= 200; n += 2) {
        key_of(n, 7, key);
        bp_denyset_add(&s, key);
    }
    for (uint32_t n = 1; n <= 200; n++) {
        key_of(n, 7, key);
        BP_CHECK(bp_denyset_has(&s, key) == (n % 2 == 1));
    }
    bp_denyset_done(&s);
}

BP_CASE(twice_is_once)
{
    struct bp_denyset s = {0};
    uint8_t key[32];
    key_of(9, 9, key);
    bp_denyset_add(&s, key);
    bp_denyset_add(&s, key);
    BP_CHECK(s.count == 1 && bp_denyset_has(&s, key));
    bp_denyset_done(&s);
}

BP_CASE(a_set_without_memory_denies_every_key)
{
    struct bp_denyset s = {0};
    uint8_t added[32], other[32];
    key_of(1, 1, added);
    key_of(2, 2, other);
    bp_alloc_fail_from(1);
    bp_denyset_add(&s, added);
    BP_CHECK(bp_alloc_has_failed());
    bp_alloc_fail_from(0);
    BP_CHECK(s.is_full && bp_denyset_has(&s, added) && bp_denyset_has(&s, other));
    bp_denyset_done(&s);
}

BP_CASE(nothing_is_left_behind)
{
    const size_t before = bp_alloc_live();
    struct bp_denyset s = {0};
    uint8_t key[32];
    for (uint32_t n = 1; n < 300; n++) {
        key_of(n, (uint8_t)n, key);
        bp_denyset_add(&s, key);
    }
    bp_denyset_done(&s);
    BP_CHECK(bp_alloc_live() == before);
}

BP_SUITE(denyset, BP_RUN(empty_set_has_nothing) BP_RUN(what_was_added_is_in_and_nothing_else)
                      BP_RUN(keys_that_begin_alike_are_told_apart) BP_RUN(twice_is_once)
                          BP_RUN(a_set_without_memory_denies_every_key) BP_RUN(nothing_is_left_behind))
