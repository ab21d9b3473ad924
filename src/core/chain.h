/* SPDX-License-Identifier: Apache-2.0 */
/* core/chain - the root and the keys that it certifies for statements: the facts of our own authorities' profiles, and nothing looser.
 *
 * The root certifies these keys itself; what may stand in such certificates is known to the byte, so no general
 * path validation is needed. Texts of refusals live as long as the program. */
#ifndef BP_CORE_CHAIN_H
#define BP_CORE_CHAIN_H

#include "codec/x509.h"

/* What a key may sign: extended key usages of our own, 1.3.6.1.4.1.32473.1.2.N. */
enum bp_statement {
    BP_STATEMENT_LOG = 1,
    BP_STATEMENT_RESULT = 2,
    BP_STATEMENT_BIND = 3,
    BP_STATEMENT_RECOVERY = 4 /* signs nothing: it opens what was sealed to it (key agreement) */
};

/* Reads and judges the root: its hash, its profile, its own signature. NULL: good. CRYPTO failures count as refusal. */
const char *bp_chain_root(struct bp_crypto *c, bp_span der, const uint8_t anchor[BP_SHA256_SIZE], struct bp_x509 *ret);
/* Reads and judges the certificate of a key that signs such statements at that time. NULL: good. */
const char *bp_chain_key(struct bp_crypto *c, const struct bp_x509 *root, bp_span der, enum bp_statement statement,
                         struct bp_x509 *ret);
/* Whether the certificate is valid at that time. */
bool bp_chain_is_valid_at(const struct bp_x509 *cert, int64_t time_ms);

#endif
