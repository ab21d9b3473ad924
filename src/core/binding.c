/* SPDX-License-Identifier: Apache-2.0 */
/* core/binding - the hashes that tie evidence to a nonce, a device, a channel and the bytes beside it. */
#include "core/binding.h"

#define BP_MODULE CORE

bp_result bp_binding_covered(struct bp_crypto *c, const struct bp_evidence *ev, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t head[9];
    bp_span parts[BP_EVIDENCE_COVERED];
    bp_evidence_covered(ev, head, parts);
    return bp_hash_parts(c, BP_HASH_SHA256, parts, BP_EVIDENCE_COVERED, ret);
}

bp_result bp_binding_quote(struct bp_crypto *c, bp_span nonce, bp_span device_id, bp_span ldevid, bp_span binding,
                           bp_span covered, uint8_t ret[BP_SHA256_SIZE])
{
    if (nonce.n != BP_NONCE_SIZE || device_id.n != 33 || ldevid.n != BP_SHA256_SIZE || binding.n != BP_BINDING_SIZE ||
        covered.n != BP_SHA256_SIZE) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span parts[] = {BP_SPAN_STR("bedplate-quote-v1"), nonce, device_id, ldevid, binding, covered};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, sizeof parts / sizeof parts[0], ret);
}

bp_result bp_binding_key(struct bp_crypto *c, bp_span nonce, bp_span device_id, uint8_t ret[BP_SHA256_SIZE])
{
    if (nonce.n != BP_NONCE_SIZE || device_id.n != 33) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    const bp_span parts[] = {BP_SPAN_STR("bedplate-key-v1"), nonce, device_id};
    return bp_hash_parts(c, BP_HASH_SHA256, parts, sizeof parts / sizeof parts[0], ret);
}

bp_result bp_binding_activation(struct bp_crypto *c, const bp_span *secrets, size_t count, uint8_t ret[BP_SHA256_SIZE])
{
    bp_span parts[5] = {BP_SPAN_STR("bedplate-activation-v1")};
    if (count == 0 || count > 4) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].n == 0) {
            return BP_FAIL(BAD_ARGUMENT);
        }
        parts[1 + i] = secrets[i];
    }
    return bp_hash_parts(c, BP_HASH_SHA256, parts, 1 + count, ret);
}
