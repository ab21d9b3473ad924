/* SPDX-License-Identifier: Apache-2.0 */
/* net/tls_key - a P-256 private key object for OpenSSL whose signature is made by a callback. For tls.c only. */
#ifndef BP_NET_TLS_KEY_H
#define BP_NET_TLS_KEY_H

#include "net/tls.h"

#include <openssl/x509.h>

/* A key object with the public half of cert; key must stay where it is while the object lives. The caller owns *ret.
 *   UNSUPPORTED  the certificate's key is not P-256    CRYPTO  OpenSSL failed */
BP_MUST_CHECK bp_result bp_tls_key_make(X509 *cert, struct bp_tls_key *key, EVP_PKEY **ret);

#endif
