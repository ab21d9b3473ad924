/* SPDX-License-Identifier: Apache-2.0 */
/* core/tpmalg - hash numbers. */
#include "core/tpmalg.h"

#include "codec/tpm.h"

static const struct {
    uint16_t tpm;
    enum bp_hash_alg alg;
} hashes[] = {
    {BP_TPM_ALG_SHA1, BP_HASH_SHA1},
    {BP_TPM_ALG_SHA256, BP_HASH_SHA256},
    {BP_TPM_ALG_SHA384, BP_HASH_SHA384},
    {BP_TPM_ALG_SHA512, BP_HASH_SHA512},
};

#define HASH_COUNT (sizeof hashes / sizeof hashes[0])

enum bp_hash_alg bp_tpm_hash_of(uint16_t tpm_alg)
{
    for (size_t i = 0; i < HASH_COUNT; i++) {
        if (hashes[i].tpm == tpm_alg) {
            return hashes[i].alg;
        }
    }
    return BP_HASH_NONE;
}

uint16_t bp_tpm_alg_of(enum bp_hash_alg alg)
{
    for (size_t i = 0; i < HASH_COUNT; i++) {
        if (hashes[i].alg == alg) {
            return hashes[i].tpm;
        }
    }
    return 0;
}
