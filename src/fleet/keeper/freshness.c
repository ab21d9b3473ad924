/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/freshness - the nonce of an attestation over EST, as draft-ietf-lamps-attestation-freshness-09 has it.
 *
 * The same nonce as /bedplate/v1/nonce gives, bound to the device of the connection; what the evidence must say beside it (its
 * number and time) is in respInfo. The gate is the evidence's, not this answer's. */
#include "fleet/keeper/internal.h"

#include <stdio.h>

#include <jansson.h>

#include "codec/base64.h"

#define BP_MODULE PROC

#define NONCE_LEAST 8
#define NONCE_MOST  64

/* Members that are not known here are parameters of other kinds of evidence. */
static bool is_request(bp_span body)
{
    json_t *o = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *len = json_object_get(o, "len");
    const json_t *type = json_object_get(o, "type");
    const char *oid = json_string_value(type);
    const json_int_t n = json_integer_value(len);
    const bool ok = json_is_object(o) && (len == NULL || (json_is_integer(len) && n >= NONCE_LEAST && n <= NONCE_MOST)) &&
                    (len == NULL || n == BP_DIGEST_SIZE) && (type == NULL || (oid != NULL && strcmp(oid, BP_EVIDENCE_OID) == 0));
    json_decref(o);
    return ok;
}

/* base64url without padding (RFC 4648 section 5). */
static void to_base64url(bp_span v, char *ret, size_t cap)
{
    bp_wr w = bp_wr_over(ret, cap - 1);
    bp_base64_write(&w, v);
    size_t n = bp_wr_span(&w).n;
    for (size_t i = 0; i < n; i++) {
        ret[i] = ret[i] == '+' ? '-' : ret[i] == '/' ? '_' : ret[i];
    }
    while (n > 0 && ret[n - 1] == '=') {
        n--;
    }
    ret[n] = 0;
}

void bp_k_est_nonce(struct bp_job *j)
{
    struct bp_nonce v;
    uint8_t nonce[BP_DIGEST_SIZE];
    char text[BP_BASE64_SIZE(BP_DIGEST_SIZE) + 1];
    char body[512];
    json_set_alloc_funcs(bp_alloc, bp_free);
    if (bp_span_equal(j->q.method, BP_SPAN_STR("POST")) && !is_request(j->q.body)) {
        bp_k_refuse(j, BP_P_MALFORMED, "a nonce has 32 bytes and serves evidence of type " BP_EVIDENCE_OID);
        return;
    }
    const enum bp_problem problem = bp_k_nonce_fresh(j, nonce, &v);
    if (problem != BP_P_NONE) {
        bp_k_refuse(j, problem, NULL);
        return;
    }
    to_base64url(v.nonce, text, sizeof text);
    (void)snprintf(body, sizeof body,
                   "{\"nonce\":\"%s\",\"expiry\":%u,\"type\":\"%s\",\"respInfo\":{\"seq\":%llu,\"issued_ms\":%lld}}", text,
                   (unsigned)(BP_KEEPER_GRANT_MS / 1000), BP_EVIDENCE_OID, (unsigned long long)v.seq,
                   (long long)v.issued_ms);
    bp_k_ok(j, BP_SPAN_STR(BP_MEDIA_FRESHNESS), bp_span_cstr(body));
}
