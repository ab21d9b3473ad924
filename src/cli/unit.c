/* SPDX-License-Identifier: Apache-2.0 */
/* cli/unit - a unit file and a certificate request become an entry of a manifest. */
#include "cli/unit.h"

#include "codec/device.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "core/tpmkey.h"

#define BP_MODULE CLI

/* The certificate is of the key in the TPM's public area; hash of that key as the certificate writes it. */
static bp_result check_ek(struct bp_crypto *c, const struct bp_hello_ek *ek, uint8_t ret[BP_SHA256_SIZE])
{
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_pubkey key;
    struct bp_x509 cert;
    uint8_t own[BP_SPKI_MAX], other[BP_SPKI_MAX];
    size_t own_n = 0, other_n = 0;
    BP_TRY(bp_tpm_public_read(ek->public_area, &pub));
    BP_TRY(bp_tpm_pubkey(&pub, &room, &key));
    BP_TRY(bp_x509_read(ek->certificate, &cert));
    BP_TRY(bp_spki_write(&key, own, sizeof own, &own_n));
    BP_TRY(bp_spki_write(&cert.key, other, sizeof other, &other_n));
    if (!bp_span_equal(bp_span_of(own, own_n), bp_span_of(other, other_n))) {
        return BP_FAIL(MISMATCH);
    }
    return bp_hash(c, BP_HASH_SHA256, bp_span_of(own, own_n), ret);
}

static void add_key(struct bp_unit *u, uint32_t kind, const uint8_t hash[BP_SHA256_SIZE])
{
    memcpy(u->hash[u->entry.keys], hash, BP_SHA256_SIZE);
    u->entry.key[u->entry.keys] = (struct bp_manifest_key){kind, BP_SPAN_OF(u->hash[u->entry.keys])};
    u->entry.keys++;
}

static void name_after(struct bp_unit *u)
{
    u->id[0] = 0x01;
    memcpy(u->id + 1, u->hash[0], BP_SHA256_SIZE);
    u->entry.id = BP_SPAN_OF(u->id);
}

bp_result bp_unit_from_hello(struct bp_crypto *c, bp_span file, struct bp_unit *ret, const char **ret_why)
{
    static const uint32_t preference[] = {BP_TEMPLATE_L2, BP_TEMPLATE_L1, BP_TEMPLATE_H3}; /* docs/protocol/device.md */
    struct bp_hello h;
    memset(ret, 0, sizeof *ret);
    *ret_why = "not a file of `bedplate-agent identity`";
    BP_TRY(bp_hello_read(file, &h));
    if (!bp_span_equal(h.kind, BP_SPAN_STR(BP_MANIFEST_TPM2))) {
        return BP_FAIL(UNSUPPORTED);
    }
    for (size_t p = 0; p < sizeof preference / sizeof preference[0]; p++) {
        for (uint32_t i = 0; i < h.eks; i++) {
            uint8_t hash[BP_SHA256_SIZE];
            if (h.ek[i].template_id != preference[p] || h.ek[i].certificate.n == 0) {
                continue;
            }
            *ret_why = "a certificate is not of its endorsement key";
            BP_TRY(check_ek(c, &h.ek[i], hash));
            add_key(ret, h.ek[i].template_id, hash);
        }
    }
    if (ret->entry.keys == 0) {
        *ret_why = "no endorsement key has a certificate";
        return BP_FAIL(NOT_FOUND);
    }
    ret->entry.kind = BP_SPAN_STR(BP_MANIFEST_TPM2);
    name_after(ret);
    return BP_OK;
}

bp_result bp_unit_add_csr(struct bp_crypto *c, bp_span csr, struct bp_unit *u, bp_span *ret_spki, const char **ret_why)
{
    struct bp_csr q;
    uint8_t hash[BP_SHA256_SIZE];
    *ret_why = "not a certificate request";
    BP_TRY(bp_csr_read(csr, &q));
    *ret_why = "the key is none of P-256 or P-384";
    if (q.key.type != BP_KEY_P256 && q.key.type != BP_KEY_P384) {
        return BP_FAIL(UNSUPPORTED);
    }
    *ret_why = "the request is not signed by its key";
    BP_TRY(bp_x509_verify(c, &q.key, q.alg, q.tbs, q.signature));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, q.spki, hash));
    *ret_why = "the request is for one of its endorsement keys";
    for (uint32_t i = 0; i < u->entry.keys; i++) {
        if (memcmp(u->hash[i], hash, sizeof hash) == 0) {
            return BP_FAIL(EXISTS);
        }
    }
    add_key(u, BP_MANIFEST_KEY_IDEVID, hash);
    if (u->entry.keys == 1) {
        u->entry.kind = BP_SPAN_STR(BP_MANIFEST_IDEVID);
        name_after(u);
    }
    *ret_spki = q.spki;
    return BP_OK;
}

bp_result bp_unit_certified(struct bp_crypto *c, bp_span certificate, struct bp_unit *u, uint8_t room[BP_SHA256_SIZE])
{
    BP_TRY(bp_hash(c, BP_HASH_SHA256, certificate, room));
    u->entry.idevid = bp_span_of(room, BP_SHA256_SIZE);
    return BP_OK;
}
