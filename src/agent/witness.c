/* SPDX-License-Identifier: Apache-2.0 */
/* agent/witness - the judge of heads. */
#include "agent/witness.h"

#define BP_MODULE AGENT

static const char log_suffix[] = "/log";

const char *bp_witness_key(struct bp_crypto *c, bp_span anchor, bp_span cert, enum bp_statement purpose, int64_t now_ms,
                           struct bp_x509 *ret)
{
    uint8_t hash[BP_SHA256_SIZE];
    struct bp_x509 root;
    struct bp_x509 key;
    if (bp_failed(bp_hash(c, BP_HASH_SHA256, anchor, hash))) {
        return "no hash of the anchor could be made";
    }
    const char *bad = bp_chain_root(c, anchor, hash, &root);
    bad = bad != NULL ? bad : bp_chain_key(c, &root, cert, purpose, &key);
    if (bad == NULL && !bp_chain_is_valid_at(&key, now_ms)) {
        bad = "chain-time: the certificate is not valid now";
    }
    if (bad == NULL) {
        *ret = key;
    }
    return bad;
}

static bool is_origin(bp_span origin, const char *host)
{
    const size_t n = strlen(host);
    return origin.n == n + sizeof log_suffix - 1 && memcmp(origin.p, host, n) == 0 &&
           memcmp(origin.p + n, log_suffix, sizeof log_suffix - 1) == 0;
}

const char *bp_witness_head(struct bp_crypto *c, bp_span head, const char *host, bp_span spki, struct bp_checkpoint *ret,
                            bool *ret_is_unsigned)
{
    struct bp_note note;
    struct bp_checkpoint cp;
    *ret_is_unsigned = false;
    if (bp_failed(bp_note_read(head, &note)) || bp_failed(bp_checkpoint_read(&note, &cp))) {
        return "cannot be read";
    }
    if (!is_origin(cp.origin, host)) {
        return "is of another log";
    }
    const bp_result r = bp_note_verify(c, &note, cp.origin, spki);
    *ret_is_unsigned = bp_is(r, BP_E_NOT_FOUND);
    if (bp_failed(r)) {
        return *ret_is_unsigned ? "is not signed by the log's key" : "has a signature that is not of the log's key";
    }
    *ret = cp;
    return NULL;
}

bp_result bp_witness_escrowed(struct bp_crypto *c, bp_span answer, const struct bp_escrow *e)
{
    struct bp_escrowed kept;
    uint8_t digest[BP_SHA256_SIZE];
    BP_TRY(bp_escrowed_read(answer, &kept));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, e->envelope, digest));
    const bp_span want = e->envelope.n == 0 ? BP_SPAN_EMPTY : BP_SPAN_OF(digest);
    const bool is_ours = bp_span_equal(kept.device_id, e->device_id) && kept.state == e->state &&
                         bp_span_equal(kept.digest, want);
    return is_ours ? BP_OK : BP_FAIL(MISMATCH);
}
