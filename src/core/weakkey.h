/* SPDX-License-Identifier: Apache-2.0 */
/* core/weakkey - public keys that are known to be breakable, told by their numbers alone.
 *
 * Where RSA occurs at all (endorsement keys of chips and what certifies them) this is asked before anything is believed.
 * Keys of certificate requests are P-256 by profile. No lists of leaked keys: a chip makes its own. */
#ifndef BP_CORE_WEAKKEY_H
#define BP_CORE_WEAKKEY_H

#include "port/crypto.h"

enum bp_weakness {
    BP_WEAK_NOT,
    BP_WEAK_SIZE,     /* RSA modulus of another size than 2048, 3072 or 4096 bits */
    BP_WEAK_EXPONENT, /* RSA exponent even or below 65537 */
    BP_WEAK_FACTOR,   /* RSA modulus even or divisible by a small prime */
    BP_WEAK_ROCA      /* RSA modulus with the fingerprint of CVE-2017-15361: its primes can be found */
};

/* Curves of the profiles are never weak; a key of a kind that is not known is for the caller to refuse. */
enum bp_weakness bp_key_weakness(const struct bp_pubkey *key);

#endif
