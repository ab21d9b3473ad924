/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/tls - signs digests of TLS handshakes with the server's key, and does nothing else. */
#include "fleet/signer/internal.h"

#define BP_MODULE SIGNER

struct bp_tls_signer {
    struct bp_key *key;
    uint8_t answer[128];
};

bp_result bp_tls_signer_new(const struct bp_site *site, struct bp_tls_signer **ret)
{
    struct bp_tls_signer *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = bp_site_key_open(site, BP_SITE_KEY_SERVER, &s->key);
    if (bp_failed(r)) {
        bp_tls_signer_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_tls_signer_free(struct bp_tls_signer *s)
{
    if (s != NULL) {
        bp_key_free(s->key);
        bp_free(s);
    }
}

void bp_tls_signer_answer(struct bp_tls_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret)
{
    bp_span digest;
    uint8_t raw[64];
    size_t n = 0;
    if (!bp_span_equal(op, BP_SPAN_STR("sign"))) {
        *ret = signer_refuse(BP_P_UNSUPPORTED, "op-unknown", s->answer, sizeof s->answer);
    } else if (bp_failed(bp_msg_bytes_read(body, &digest)) || digest.n != BP_SHA256_SIZE) {
        *ret = signer_refuse(BP_P_MALFORMED, "request-form", s->answer, sizeof s->answer);
    } else if (bp_failed(bp_key_sign_digest(s->key, digest, raw)) ||
               bp_failed(bp_msg_bytes_write(BP_SPAN_OF(raw), s->answer, sizeof s->answer, &n))) {
        *ret = signer_refuse(BP_P_INTERNAL, "internal", s->answer, sizeof s->answer);
    } else {
        *ret = (struct bp_signer_answer){BP_P_NONE, bp_span_of(s->answer, n)};
    }
}
