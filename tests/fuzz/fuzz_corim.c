/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_corim - CoRIM and our profile of it: what is refused leaves nothing behind, every value lies inside
 * the input, a walk ends, and what is read of one environment is written, read again with the same meaning, and written
 * from that to the same bytes. */
#include "codec/corim.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

#define REFS_MAX 64u

static bool is_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        if (b[i] != 0) {
            return false;
        }
    }
    return true;
}

static void check_ref(const struct bp_corim_ref *ref, bp_span in)
{
    FUZZ_HOLDS(fuzz_is_inside(ref->mkey, in) && fuzz_is_inside(ref->name, in) && fuzz_is_inside(ref->model, in));
    FUZZ_HOLDS(ref->digests <= BP_CORIM_DIGESTS_MAX);
    for (uint32_t i = 0; i < ref->digests; i++) {
        FUZZ_HOLDS(fuzz_is_inside(ref->digest[i].digest, in));
    }
    struct bp_ref_key key;
    uint8_t room[BP_CORIM_MKEY_MAX];
    if (!bp_failed(bp_ref_key_read(ref->mkey, &key))) {
        FUZZ_HOLDS(bp_span_equal(bp_ref_key_write(&key, room), ref->mkey));
    }
}

static bool same_ref(const struct bp_corim_ref *a, const struct bp_corim_ref *b)
{
    bool same = bp_span_equal(a->mkey, b->mkey) && bp_span_equal(a->name, b->name) && a->digests == b->digests &&
                a->has_svn == b->has_svn && a->svn == b->svn && a->has_secure == b->has_secure &&
                a->secure == b->secure;
    for (uint32_t i = 0; same && i < a->digests; i++) {
        same = a->digest[i].alg == b->digest[i].alg && bp_span_equal(a->digest[i].digest, b->digest[i].digest);
    }
    return same;
}

/* What is written is read with the same meaning, and written from that to the same bytes. */
static void check_written(const struct bp_corim_ref *refs, size_t count, bp_span written)
{
    static struct bp_corim_ref again[REFS_MAX];
    struct bp_corim corim;
    struct bp_corim_iter it;
    FUZZ_HOLDS(!bp_failed(bp_corim_read(written, &corim)) && corim.comids == 1 && corim.tags == 1);
    FUZZ_HOLDS(bp_span_equal(corim.profile, BP_SPAN_STR(BP_CORIM_PROFILE)));
    FUZZ_HOLDS(!bp_failed(bp_corim_open(corim.comid[0], &it)));
    for (size_t i = 0; i < count; i++) {
        FUZZ_HOLDS(!bp_failed(bp_corim_next(&it, &again[i])) && same_ref(&again[i], &refs[i]));
    }
    struct bp_corim_ref none;
    FUZZ_HOLDS(bp_is(bp_corim_next(&it, &none), BP_E_NOT_FOUND));
    uint8_t *out = malloc(written.n);
    size_t n = 0;
    if (out != NULL) {
        FUZZ_HOLDS(!bp_failed(bp_corim_write(corim.id, again[0].vendor, again[0].model, again, count, out, written.n, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(out, n), written));
    }
    free(out);
}

static void rebuild(const struct bp_corim_ref *refs, size_t count, size_t size)
{
    const size_t cap = size + 4096;
    uint8_t *out = malloc(cap);
    size_t n = 0;
    if (out == NULL) {
        return;
    }
    if (!bp_failed(bp_corim_write(BP_SPAN_STR("id"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), refs, count, out, cap, &n))) {
        check_written(refs, count, bp_span_of(out, n));
    }
    free(out);
}

static void walk(bp_span comid, bp_span in)
{
    static struct bp_corim_ref refs[REFS_MAX];
    struct bp_corim_iter it;
    size_t n = 0, seen = 0;
    FUZZ_FILL(it);
    if (bp_failed(bp_corim_open(comid, &it))) {
        FUZZ_HOLDS(fuzz_untouched(&it, sizeof it));
        return;
    }
    for (;;) {
        struct bp_corim_ref ref;
        FUZZ_FILL(ref);
        const bp_result r = bp_corim_next(&it, &ref);
        if (bp_failed(r)) {
            FUZZ_HOLDS(fuzz_untouched(&ref, sizeof ref));
            break;
        }
        FUZZ_HOLDS(++seen <= comid.n); /* a measurement has bytes of its own */
        check_ref(&ref, in);
        /* what the profile can say: a key, and a digest of a numbered algorithm or a flag */
        if (n < REFS_MAX && ref.mkey.n != 0 && (ref.digests != 0 || ref.has_secure)) {
            refs[n++] = ref;
        }
    }
    if (n != 0) {
        rebuild(refs, n, in.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_corim corim;
    memset(&corim, 0, sizeof corim);
    if (bp_failed(bp_corim_read(in, &corim))) {
        FUZZ_HOLDS(is_zero(&corim, sizeof corim));
        walk(in, in); /* or a tag by itself */
        return 0;
    }
    FUZZ_HOLDS(corim.tags != 0 && corim.comids <= corim.tags && corim.tags <= BP_CORIM_TAGS_MAX);
    FUZZ_HOLDS(fuzz_is_inside(corim.id, in) && fuzz_is_inside(corim.profile, in));
    for (uint32_t i = 0; i < corim.comids; i++) {
        FUZZ_HOLDS(fuzz_is_inside(corim.comid[i], in));
        walk(corim.comid[i], in);
    }
    return 0;
}
