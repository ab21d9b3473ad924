/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_manifest - the batch manifest: what is accepted gives its units from inside the input and, unless a newer
 * minor added members, is written back byte for byte; what is refused leaves zeros, or what was there. */
#include "codec/manifest.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>

static struct bp_manifest_unit unit[BP_MANIFEST_UNITS_MAX];

static bool is_zero(const void *object, size_t n)
{
    const uint8_t *p = object;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static void take_units(const struct bp_manifest *m)
{
    bp_rd rd = bp_rd_over(m->list);
    for (uint32_t i = 0; i < m->units; i++) {
        FUZZ_HOLDS(!bp_failed(bp_manifest_next(&rd, &unit[i])));
        FUZZ_HOLDS(unit[i].id.n == 33 && fuzz_is_inside(unit[i].id, m->list));
        FUZZ_HOLDS(unit[i].keys >= 1 && unit[i].keys <= BP_MANIFEST_KEYS_MAX);
        FUZZ_HOLDS(memcmp(unit[i].id.p + 1, unit[i].key[0].hash.p, 32) == 0);
        FUZZ_HOLDS(i == 0 || memcmp(unit[i - 1].id.p, unit[i].id.p, 33) < 0);
    }
    FUZZ_HOLDS(bp_rd_left(&rd) == 0);
}

/* The writer makes version 1.0 with the eleven members that it knows. */
static bool is_plain(bp_span in)
{
    bp_rd rd = bp_rd_over(in);
    const size_t pairs = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < pairs; i++) {
        if (bp_cbor_get_uint(&rd) == 3) {
            return bp_cbor_get_uint(&rd) == 0 && pairs == 11;
        }
        (void)bp_cbor_get_item(&rd);
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bp_manifest m;
    const bp_span in = bp_span_of(data, size);
    FUZZ_FILL(m);
    if (bp_failed(bp_manifest_read(in, &m))) {
        FUZZ_HOLDS(is_zero(&m, sizeof m) || fuzz_untouched(&m, sizeof m));
        return 0;
    }
    FUZZ_HOLDS(m.units >= 1 && m.units <= BP_MANIFEST_UNITS_MAX && m.before <= m.quota && m.units <= m.quota - m.before);
    FUZZ_HOLDS(fuzz_is_inside(m.key, in) && fuzz_is_inside(m.list, in));
    take_units(&m);
    uint8_t *again = malloc(size);
    size_t n = 0;
    if (again != NULL && is_plain(in)) {
        FUZZ_HOLDS(!bp_failed(bp_manifest_write(&m, unit, again, size, &n)));
        FUZZ_HOLDS(bp_span_equal(bp_span_of(again, n), in));
    }
    free(again);
    return 0;
}
