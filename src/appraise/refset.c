/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/refset - compiling reference values, and looking them up. */
#include "appraise/refset.h"

#define BP_MODULE APPRAISE

#define NO_GROUP  0xffu

/* --- walking a CoRIM of our profile --- */

struct walk {
    struct bp_corim corim;
    uint32_t comid;
    struct bp_corim_iter it;
    bool is_open;
};

static bp_result walk_open(bp_span corim, struct walk *w)
{
    w->comid = 0;
    w->is_open = false;
    BP_TRY(bp_corim_read(corim, &w->corim));
    return bp_span_equal(w->corim.profile, BP_SPAN_STR(BP_CORIM_PROFILE)) ? BP_OK : BP_FAIL(UNSUPPORTED);
}

/* The next measurement of any tag; NOT_FOUND at the end. */
static bp_result walk_next(struct walk *w, struct bp_corim_ref *ref, struct bp_ref_key *key)
{
    for (;;) {
        if (!w->is_open) {
            if (w->comid == w->corim.comids) {
                return BP_FAIL(NOT_FOUND);
            }
            BP_TRY(bp_corim_open(w->corim.comid[w->comid], &w->it));
            w->comid++;
            w->is_open = true;
        }
        const bp_result r = bp_corim_next(&w->it, ref);
        if (!bp_is(r, BP_E_NOT_FOUND)) {
            BP_TRY(r);
            break;
        }
        w->is_open = false;
    }
    BP_TRY(bp_ref_key_read(ref->mkey, key));
    for (uint32_t i = 0; i < ref->digests; i++) {
        if (ref->digest[i].alg == BP_CORIM_ALG_SHA256 && ref->digest[i].digest.n != BP_SHA256_SIZE) {
            return BP_FAIL(MALFORMED);
        }
    }
    return BP_OK;
}

static uint32_t usable_digests(const struct bp_corim_ref *ref)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ref->digests; i++) {
        n += ref->digest[i].alg == BP_CORIM_ALG_SHA256 ? 1u : 0u;
    }
    return n;
}

static bp_result measure_one(bp_span corim, uint32_t *entries)
{
    struct walk w;
    struct bp_corim_ref ref;
    struct bp_ref_key key;
    BP_TRY(walk_open(corim, &w));
    bp_result r = walk_next(&w, &ref, &key);
    for (; !bp_failed(r); r = walk_next(&w, &ref, &key)) {
        const uint32_t n = usable_digests(&ref);
        if (n > UINT32_MAX - *entries) {
            return BP_FAIL(LIMIT);
        }
        *entries += n;
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

bp_result bp_refset_measure(const struct bp_ref_source *source, size_t count, uint32_t *ret_entries)
{
    uint32_t entries = 0;
    for (size_t i = 0; i < count; i++) {
        BP_TRY(measure_one(source[i].corim, &entries));
    }
    *ret_entries = entries;
    return BP_OK;
}

/* --- building --- */

/* The group of a digest that this release requires already, or NO_GROUP. */
static uint8_t known_group(const struct bp_ref_entry *entry, uint32_t n, uint32_t pcr, bp_span digest)
{
    for (uint32_t i = 0; i < n; i++) {
        if (entry[i].group != NO_GROUP && entry[i].pcr == pcr && bp_span_equal(entry[i].digest, digest)) {
            return entry[i].group;
        }
    }
    return NO_GROUP;
}

/* The group of a required measurement: its own, or the one that its digest has already. */
static bp_result group_of(struct bp_ref_release *rel, const struct bp_corim_ref *ref, const struct bp_ref_key *key,
                          const struct bp_ref_entry *own, uint32_t n, uint8_t *ret)
{
    for (uint32_t i = 0; i < ref->digests; i++) {
        if (ref->digest[i].alg == BP_CORIM_ALG_SHA256) {
            *ret = known_group(own, n, key->pcr, ref->digest[i].digest);
            if (*ret != NO_GROUP) {
                return BP_OK;
            }
        }
    }
    if (rel->group_count == BP_REFSET_GROUPS_MAX) {
        return BP_FAIL(LIMIT);
    }
    *ret = (uint8_t)rel->group_count;
    rel->group_name[*ret] = ref->name;
    rel->group_pcr[*ret] = (uint8_t)key->pcr;
    rel->groups |= UINT64_C(1) << *ret;
    rel->group_count++;
    return BP_OK;
}

struct build {
    struct bp_ref_entry *entry;
    uint32_t cap;
    uint32_t n;
    uint32_t own; /* where the entries of the release at hand begin */
    uint32_t release;
};

static bp_result add_ref(struct build *b, struct bp_ref_release *rel, const struct bp_corim_ref *ref,
                         const struct bp_ref_key *key)
{
    if (rel->model.n == 0) {
        rel->model = ref->model;
    }
    if (key->kind == BP_REF_SECURE_BOOT) {
        rel->wants_secure_boot = rel->wants_secure_boot || (ref->has_secure && ref->secure);
        return BP_OK;
    }
    if (usable_digests(ref) == 0) {
        return BP_FAIL(UNSUPPORTED); /* it could never be found, and a release would look whole without it */
    }
    uint8_t group = NO_GROUP;
    if (key->kind == BP_REF_BOOT && key->required) {
        BP_TRY(group_of(rel, ref, key, b->entry + b->own, b->n - b->own, &group));
    }
    rel->programs += key->kind == BP_REF_IMA ? 1u : 0u;
    for (uint32_t i = 0; i < ref->digests; i++) {
        if (ref->digest[i].alg != BP_CORIM_ALG_SHA256) {
            continue;
        }
        if (b->n == b->cap) {
            return BP_FAIL(NO_SPACE);
        }
        b->entry[b->n++] = (struct bp_ref_entry){.digest = ref->digest[i].digest,
                                                 .name = key->kind == BP_REF_VARIABLE ? key->variable : ref->name,
                                                 .release = b->release,
                                                 .kind = (uint8_t)key->kind,
                                                 .pcr = (uint8_t)key->pcr,
                                                 .group = group};
    }
    return BP_OK;
}

static bp_result add_release(struct build *b, const struct bp_ref_source *source, struct bp_ref_release *rel)
{
    struct walk w;
    struct bp_corim_ref ref;
    struct bp_ref_key key;
    if (source->id.n != BP_SHA256_SIZE || source->state < BP_RELEASE_ACCEPTED ||
        source->state > BP_RELEASE_WITHDRAWN || source->zone.n == 0) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(walk_open(source->corim, &w));
    memset(rel, 0, sizeof *rel);
    rel->id = source->id;
    rel->state = source->state;
    rel->zone = source->zone;
    rel->name = w.corim.id;
    b->own = b->n;
    bp_result r = walk_next(&w, &ref, &key);
    for (; !bp_failed(r); r = walk_next(&w, &ref, &key)) {
        BP_TRY(add_ref(b, rel, &ref, &key));
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

/* --- order --- */

static bool is_less(const struct bp_ref_entry *a, const struct bp_ref_entry *b)
{
    const int d = memcmp(a->digest.p, b->digest.p, BP_SHA256_SIZE);
    return d != 0 ? d < 0 : a->release != b->release ? a->release < b->release : a->kind < b->kind;
}

static void sift(struct bp_ref_entry *e, uint32_t root, uint32_t n)
{
    for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        child += child + 1 < n && is_less(&e[child], &e[child + 1]) ? 1u : 0u;
        if (!is_less(&e[root], &e[child])) {
            return;
        }
        const struct bp_ref_entry tmp = e[root];
        e[root] = e[child];
        e[child] = tmp;
        root = child;
    }
}

/* In place and without recursion; the C library's qsort takes memory for large arrays. */
static void sort(struct bp_ref_entry *e, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;) {
        sift(e, i, n);
    }
    for (uint32_t end = n; end-- > 1;) {
        const struct bp_ref_entry tmp = e[0];
        e[0] = e[end];
        e[end] = tmp;
        sift(e, 0, end);
    }
}

static int span_order(bp_span a, bp_span b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int d = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return d != 0 ? d : a.n < b.n ? -1 : a.n > b.n ? 1 : 0;
}

static int row_order(const struct bp_ref_release *a, const struct bp_ref_release *b)
{
    int d = span_order(a->id, b->id);
    d = d != 0 ? d : span_order(a->zone, b->zone);
    return d != 0 ? d : a->state < b->state ? -1 : a->state > b->state ? 1 : 0;
}

/* Chains the rows in ascending order; rows that are equal count once each. */
static bp_result digest_rows(struct bp_crypto *c, const struct bp_ref_release *rel, uint32_t n,
                             uint8_t ret[BP_SHA256_SIZE])
{
    memset(ret, 0, BP_SHA256_SIZE);
    bool is_done[BP_REFSET_RELEASES_MAX] = {false};
    for (uint32_t round = 0; round < n; round++) {
        uint32_t low = n;
        for (uint32_t i = 0; i < n; i++) {
            low = !is_done[i] && (low == n || row_order(&rel[i], &rel[low]) < 0) ? i : low;
        }
        is_done[low] = true;
        const uint8_t state = (uint8_t)rel[low].state;
        const bp_span parts[] = {bp_span_of(ret, BP_SHA256_SIZE), rel[low].id, bp_span_of(&state, 1), rel[low].zone};
        uint8_t next[BP_SHA256_SIZE];
        BP_TRY(bp_hash_parts(c, BP_HASH_SHA256, parts, sizeof parts / sizeof parts[0], next));
        memcpy(ret, next, sizeof next);
    }
    return BP_OK;
}

bp_result bp_refset_build(struct bp_crypto *c, const struct bp_ref_source *source, size_t count,
                          struct bp_ref_release *releases, struct bp_ref_entry *entries, uint32_t entries_cap,
                          size_t *ret_bad, struct bp_refset *ret)
{
    if (count > BP_REFSET_RELEASES_MAX) {
        return BP_FAIL(LIMIT);
    }
    struct build b = {.entry = entries, .cap = entries_cap};
    for (size_t i = 0; i < count; i++) {
        b.release = (uint32_t)i;
        const bp_result r = add_release(&b, &source[i], &releases[i]);
        if (bp_failed(r)) {
            if (ret_bad != NULL) {
                *ret_bad = i;
            }
            return r;
        }
    }
    sort(entries, b.n);
    struct bp_refset set = {.release = releases, .releases = (uint32_t)count, .entry = entries, .entries = b.n};
    BP_TRY(digest_rows(c, releases, set.releases, set.digest));
    *ret = set;
    return BP_OK;
}

/* --- looking up --- */

uint32_t bp_refset_find(const struct bp_refset *set, bp_span digest)
{
    uint32_t low = 0;
    uint32_t high = set->entries;
    if (digest.n != BP_SHA256_SIZE) {
        return set->entries;
    }
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (memcmp(set->entry[mid].digest.p, digest.p, BP_SHA256_SIZE) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < set->entries && bp_span_equal(set->entry[low].digest, digest) ? low : set->entries;
}

bool bp_refset_is_zone(const struct bp_ref_release *release, bp_span zone)
{
    return bp_span_equal(release->zone, BP_SPAN_STR("*")) || bp_span_equal(release->zone, zone);
}

uint32_t bp_refset_count(const struct bp_refset *set, bp_span zone)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->releases; i++) {
        n += set->release[i].state != BP_RELEASE_WITHDRAWN && bp_refset_is_zone(&set->release[i], zone) ? 1u : 0u;
    }
    return n;
}

const struct bp_ref_release *bp_refset_release(const struct bp_refset *set, bp_span id, bp_span zone)
{
    const struct bp_ref_release *found = NULL;
    for (uint32_t i = 0; i < set->releases; i++) {
        const struct bp_ref_release *rel = &set->release[i];
        if (bp_span_equal(rel->id, id) && bp_refset_is_zone(rel, zone) &&
            (found == NULL || rel->state > found->state)) {
            found = rel; /* two rows for one zone ("*" and its own): the stricter state counts */
        }
    }
    return found;
}
