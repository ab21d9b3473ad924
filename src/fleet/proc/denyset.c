/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/denyset - open addressing over hashes that are random already: no hash function of our own. */
#include "fleet/proc/denyset.h"

#include "platform/alloc.h"

static const uint8_t zero[32];

static size_t first_slot(const uint8_t key[32], size_t cap)
{
    uint64_t v;
    memcpy(&v, key, sizeof v);
    return (size_t)v & (cap - 1);
}

/* Where the key is, or the free slot where it would be; one slot in two is free, so the walk ends. */
static uint8_t *find(uint8_t (*slot)[32], size_t cap, const uint8_t key[32])
{
    size_t at = first_slot(key, cap);
    while (memcmp(slot[at], zero, 32) != 0 && memcmp(slot[at], key, 32) != 0) {
        at = (at + 1) & (cap - 1);
    }
    return slot[at];
}

static bool grow(struct bp_denyset *s)
{
    const size_t cap = s->cap == 0 ? 64 : s->cap * 2;
    uint8_t (*slot)[32] = s->count < BP_DENYSET_MAX ? bp_alloc_array(cap, 32) : NULL;
    if (slot == NULL) {
        return false;
    }
    for (size_t i = 0; i < s->cap; i++) {
        if (memcmp(s->slot[i], zero, 32) != 0) {
            memcpy(find(slot, cap, s->slot[i]), s->slot[i], 32);
        }
    }
    bp_free(s->slot);
    s->slot = slot;
    s->cap = cap;
    return true;
}

void bp_denyset_add(struct bp_denyset *s, const uint8_t key[32])
{
    if (memcmp(key, zero, 32) == 0) {
        s->has_zero = true;
        return;
    }
    if (s->count * 2 >= s->cap && !grow(s)) {
        s->is_full = true;
        return;
    }
    uint8_t *at = find(s->slot, s->cap, key);
    if (memcmp(at, zero, 32) == 0) {
        memcpy(at, key, 32);
        s->count++;
    }
}

bool bp_denyset_has(const struct bp_denyset *s, const uint8_t key[32])
{
    if (s->is_full || memcmp(key, zero, 32) == 0) {
        return s->is_full || s->has_zero;
    }
    return s->cap > 0 && memcmp(find(s->slot, s->cap, key), key, 32) == 0;
}

void bp_denyset_done(struct bp_denyset *s)
{
    bp_free(s->slot);
    *s = (struct bp_denyset){0};
}
