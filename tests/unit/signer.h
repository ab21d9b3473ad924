/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/signer - fresh keys that sign, made by libcrypto, and the crypto state; for tests only. */
#ifndef BP_TESTS_UNIT_SIGNER_H
#define BP_TESTS_UNIT_SIGNER_H

#include "platform/openssl/crypto.h"

#include <openssl/evp.h>

struct test_key {
    EVP_PKEY *pkey;
    struct bp_signer signer;
    uint8_t spki[600];
    size_t spki_n;
    struct bp_pubkey key; /* into spki */
};

/* Makes a key for ES256, ES384 or EDDSA; false when libcrypto refuses. */
bool test_key_make(struct test_key *k, enum bp_sig_alg alg);
void test_key_done(struct test_key *k);

#endif
