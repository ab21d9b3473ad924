/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/signing - a P-256 key of this run alone and the crypto state, for targets whose parser stands beside what
 * verifies and signs. Both are made at the first call and live as long as the process. */
#ifndef BP_TESTS_FUZZ_SIGNING_H
#define BP_TESTS_FUZZ_SIGNING_H

#include "fuzz/fuzz.h"
#include "unit/signer.h"

static inline struct bp_crypto *fuzz_crypto(void)
{
    static struct bp_crypto *crypto;
    if (crypto == NULL) {
        FUZZ_HOLDS(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
    }
    return crypto;
}

static inline const struct test_key *fuzz_key(void)
{
    static struct test_key key;
    if (key.pkey == NULL) {
        FUZZ_HOLDS(test_key_make(&key, BP_SIG_ES256));
    }
    return &key;
}

#endif
