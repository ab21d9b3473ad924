/* SPDX-License-Identifier: Apache-2.0 */
/* core/renewal - windows and places in them. */
#include "core/renewal.h"

/* a * part / whole without passing 64 bits, for part <= whole <= 65535. */
static int64_t share(uint64_t a, uint32_t part, uint32_t whole)
{
    return (int64_t)(a / whole * part + a % whole * part / whole);
}

struct bp_renewal bp_renewal_window(int64_t not_before_s, int64_t not_after_s, uint32_t from, uint32_t until)
{
    if (not_after_s <= not_before_s) {
        return (struct bp_renewal){not_before_s, not_before_s};
    }
    const uint64_t life = (uint64_t)not_after_s - (uint64_t)not_before_s;
    const struct bp_renewal w = {not_before_s + share(life, from, 1000), not_before_s + share(life, until, 1000)};
    return w;
}

bp_result bp_renewal_lot(struct bp_crypto *c, bp_span device_id, bp_span serial, uint16_t *ret)
{
    uint8_t mac[BP_SHA256_SIZE];
    BP_TRY(bp_hmac_sha256(c, device_id, &serial, 1, mac));
    *ret = (uint16_t)((uint32_t)mac[0] << 8 | mac[1]);
    return BP_OK;
}

struct bp_renewal bp_renewal_resumed(const struct bp_renewal *w, uint16_t lot, int64_t not_after_s, int64_t since_s)
{
    if (since_s <= 0 || since_s >= not_after_s || bp_renewal_at_s(w, lot) >= since_s) {
        return *w;
    }
    const int64_t half = (not_after_s - since_s) / 2;
    return (struct bp_renewal){since_s, since_s + (half < BP_RENEW_RESUME_S ? half : BP_RENEW_RESUME_S)};
}

int64_t bp_renewal_at_s(const struct bp_renewal *w, uint16_t lot)
{
    return w->until_s <= w->from_s ? w->from_s
                                   : w->from_s + share((uint64_t)w->until_s - (uint64_t)w->from_s, lot, UINT16_MAX);
}
