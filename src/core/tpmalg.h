/* SPDX-License-Identifier: Apache-2.0 */
/* core/tpmalg - the hashes' numbers in the TCG's registry and in the crypto port. */
#ifndef BP_CORE_TPMALG_H
#define BP_CORE_TPMALG_H

#include "port/crypto.h"

/* Our hash number of a TPM_ALG_ID, and back; BP_HASH_NONE and 0 when there is none. */
enum bp_hash_alg bp_tpm_hash_of(uint16_t tpm_alg);
uint16_t bp_tpm_alg_of(enum bp_hash_alg alg);

#endif
