/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_chip - an endorsement key in software: its public area, a certificate by a maker of its own, and what a
 * TPM does with a credential. For simulated gateways and tests: it protects nothing, and its maker's certificate belongs
 * into an anchor file software-*.pem, so that whatever rests on it says so. Keys are OpenSSL's; _done frees them. */
#ifndef BP_CLI_FLEETSIM_CHIP_H
#define BP_CLI_FLEETSIM_CHIP_H

#include "base/result.h"
#include "base/span.h"

#include <openssl/x509.h>

/* Whoever makes chips. */
struct bp_sim_maker {
    EVP_PKEY *key;
    X509 *cert;
    int64_t from_ms; /* what it certifies is valid from then, for ten years */
};
/* A new one.   CRYPTO */
BP_MUST_CHECK bp_result bp_sim_maker_make(struct bp_sim_maker *m, int64_t from_ms);
void bp_sim_maker_done(struct bp_sim_maker *m);
/* Writes its certificate as an anchor (PEM). Errors of bp_file_write; NO_MEMORY. */
BP_MUST_CHECK bp_result bp_sim_maker_save(const struct bp_sim_maker *m, const char *path);
/* Key and certificate in one secret file.   Errors of bp_file_write and bp_file_read; MALFORMED, NO_MEMORY */
BP_MUST_CHECK bp_result bp_sim_maker_keep(const struct bp_sim_maker *m, const char *path);
BP_MUST_CHECK bp_result bp_sim_maker_load(struct bp_sim_maker *m, const char *path, int64_t from_ms);

struct bp_sim_chip {
    EVP_PKEY *key;
    uint8_t x[32];
    uint8_t public_area[256]; /* TPM2B_PUBLIC of template L-2 */
    size_t public_n;
    uint8_t cert[1024];
    size_t cert_n;
};
/*   CRYPTO */
BP_MUST_CHECK bp_result bp_sim_chip_make(struct bp_sim_chip *c, const struct bp_sim_maker *m);
void bp_sim_chip_done(struct bp_sim_chip *c);
/* TPM2_ActivateCredential: opens what was made for the key with this name. Gives the secret's length, 0 when it does not
 * open. */
size_t bp_sim_chip_activate(const struct bp_sim_chip *c, bp_span name, bp_span id_object, bp_span encrypted,
                            uint8_t ret[32]);

#endif
