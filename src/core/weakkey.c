/* SPDX-License-Identifier: Apache-2.0 */
/* core/weakkey - size, exponent, small factors and the fingerprint of CVE-2017-15361. */
#include "core/weakkey.h"

#define F4 65537u

/* A vulnerable generator takes primes that are a power of 65537 modulo each of these; so is their product then. By chance
 * that is so for one modulus in 2^27 and less. */
static const uint8_t primes[] = {3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
                                 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

static uint32_t residue(bp_span n, uint32_t p)
{
    uint32_t r = 0;
    for (size_t i = 0; i < n.n; i++) {
        r = (r << 8 | n.p[i]) % p;
    }
    return r;
}

static bool is_power(uint32_t v, uint32_t p)
{
    const uint32_t g = F4 % p;
    uint32_t x = 1;
    for (uint32_t i = 0; i < p; i++) {
        if (x == v) {
            return true;
        }
        x = x * g % p;
    }
    return false;
}

static uint32_t exponent_of(bp_span e)
{
    uint32_t v = 0;
    for (size_t i = 0; i < e.n && i < 4; i++) {
        v = v << 8 | e.p[i];
    }
    return v;
}

enum bp_weakness bp_key_weakness(const struct bp_pubkey *key)
{
    if (key->type != BP_KEY_RSA) {
        return BP_WEAK_NOT;
    }
    const bp_span n = key->a;
    if ((n.n != 256 && n.n != 384 && n.n != 512) || (n.p[0] & 0x80u) == 0) {
        return BP_WEAK_SIZE;
    }
    const uint32_t e = exponent_of(key->b);
    if (e < F4 || (e & 1u) == 0) {
        return BP_WEAK_EXPONENT;
    }
    bool has_print = true;
    if ((n.p[n.n - 1] & 1u) == 0) {
        return BP_WEAK_FACTOR;
    }
    for (size_t i = 0; i < sizeof primes; i++) {
        const uint32_t r = residue(n, primes[i]);
        if (r == 0) {
            return BP_WEAK_FACTOR;
        }
        has_print = has_print && is_power(r, primes[i]);
    }
    return has_print ? BP_WEAK_ROCA : BP_WEAK_NOT;
}
