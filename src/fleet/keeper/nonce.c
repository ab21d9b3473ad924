/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/nonce - nonces are computed, never stored: HMAC under the day's key over device id,
 * number and time (docs/protocol/evidence.md). A number is accepted once because the row that holds
 * the last accepted one is written in the act that stores the verdict. */
#include "fleet/keeper/internal.h"

#include "base/secret.h"
#include "codec/device.h"

#define BP_MODULE PROC

#define DAY_MS      86400000LL
#define AHEAD_MS    2000LL /* our own clock may have been set back a little since we issued it */

static void be64(uint8_t *p, uint64_t v)
{
    bp_wr w = bp_wr_over(p, 8);
    bp_wr_be64(&w, v);
}

/* K_day = HKDF-SHA-256(nonce secret, info = "bedplate-nonce-v1" || day (4, be)). */
static bp_result day_key(struct bp_keeper *k, int64_t day, const uint8_t **ret)
{
    static const char label[] = "bedplate-nonce-v1";
    const size_t at = (size_t)(day & 1);
    if (k->day[at] != day) {
        uint8_t info[sizeof label - 1 + 4];
        bp_wr w = bp_wr_over(info, sizeof info);
        bp_wr_bytes(&w, bp_span_of(label, sizeof label - 1));
        bp_wr_be32(&w, (uint32_t)day);
        k->day[at] = -1;
        BP_TRY(bp_hkdf_sha256(k->crypto, BP_SPAN_OF(k->cfg.nonce_secret), BP_SPAN_EMPTY,
                              BP_SPAN_OF(info), k->day_key[at], sizeof k->day_key[at]));
        k->day[at] = day;
    }
    *ret = k->day_key[at];
    return BP_OK;
}

bp_result bp_k_nonce(struct bp_keeper *k, bp_span id, uint64_t seq, int64_t issued_ms,
                     uint8_t ret[BP_DIGEST_SIZE])
{
    uint8_t number[8];
    uint8_t time[8];
    const uint8_t *key = NULL;
    if (issued_ms < 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    be64(number, seq);
    be64(time, (uint64_t)issued_ms);
    BP_TRY(day_key(k, issued_ms / DAY_MS, &key));
    const bp_span parts[] = {id, BP_SPAN_OF(number), BP_SPAN_OF(time)};
    return bp_hmac_sha256(k->crypto, bp_span_of(key, 32), parts, 3, ret);
}

enum bp_problem bp_k_nonce_age(const struct bp_keeper *k, int64_t issued_ms, int64_t until_ms)
{
    const int64_t now = bp_k_now(k);
    if (issued_ms < 0 || issued_ms > now + AHEAD_MS) {
        return BP_P_NONCE;
    }
    const int64_t days = now / DAY_MS - issued_ms / DAY_MS;
    return days > 1 || now > until_ms ? BP_P_NONCE_EXPIRED : BP_P_NONE;
}

void bp_k_with_nonce(struct bp_job *j, bp_span id, uint64_t seq, int64_t issued_ms)
{
    if (id.n == sizeof j->nonce_id) {
        memcpy(j->nonce_id, id.p, id.n);
        j->nonce_seq = seq;
        j->nonce_ms = issued_ms;
        j->has_nonce = true;
    }
}

enum bp_problem bp_k_nonce_fresh(struct bp_job *j, uint8_t room[BP_DIGEST_SIZE], struct bp_nonce *ret)
{
    struct bp_keeper *k = j->k;
    struct bp_device d = {0};
    struct bp_trust t = {0};
    enum bp_problem problem = BP_P_NONE;
    bp_result r = bp_registry_device_of_key(&k->registry, j->q.peer_spki, &d, &problem);
    if (!bp_failed(r)) {
        r = bp_store_trust(k->store, d.n, &t);
    }
    struct bp_nonce v = {.nonce = bp_span_of(room, BP_DIGEST_SIZE), .seq = t.seq + 1, .issued_ms = bp_k_now(k)};
    if (!bp_failed(r)) {
        r = bp_k_nonce(k, BP_SPAN_OF(d.id), v.seq, v.issued_ms, room);
    }
    if (bp_failed(r)) {
        return problem != BP_P_NONE ? problem : bp_k_problem_of(r);
    }
    *ret = v;
    return BP_P_NONE;
}

/* GET /bedplate/v1/nonce */
void bp_k_nonce_get(struct bp_job *j)
{
    struct bp_nonce v;
    uint8_t nonce[BP_DIGEST_SIZE];
    uint8_t out[BP_NONCE_MAX];
    size_t n = 0;
    const enum bp_problem problem = bp_k_nonce_fresh(j, nonce, &v);
    const bp_result r = problem != BP_P_NONE ? BP_FAIL(DENIED) : bp_nonce_write(&v, out, sizeof out, &n);
    if (bp_failed(r)) {
        bp_k_refuse(j, problem != BP_P_NONE ? problem : bp_k_problem_of(r), NULL);
    } else {
        bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_CBOR), bp_span_of(out, n));
    }
}
