/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/keeper/chip - an endorsement key in software: its public area, a certificate by a maker of the
 * test's own, and what a TPM does with a credential. */
#ifndef BP_TESTS_UNIT_FLEET_KEEPER_CHIP_H
#define BP_TESTS_UNIT_FLEET_KEEPER_CHIP_H

#include "unit/signer.h"

#include <openssl/x509.h>

/* Whoever makes chips. */
struct maker {
    EVP_PKEY *key;
    X509 *cert;
};
bool maker_make(struct maker *m);
void maker_done(struct maker *m);
/* Writes its certificate as an anchor. */
bool maker_save(const struct maker *m, const char *path);

struct chip {
    EVP_PKEY *key;
    uint8_t x[32];
    uint8_t public_area[256];
    size_t public_n;
    uint8_t cert[1024];
    size_t cert_n;
};
bool chip_make(struct chip *c, const struct maker *m);
void chip_done(struct chip *c);
/* TPM2_ActivateCredential: opens what was made for the key with this name. Gives the secret's length, 0 when it does not
 * open. */
size_t chip_activate(const struct chip *c, bp_span name, bp_span id_object, bp_span encrypted, uint8_t ret[32]);

#endif
