/* SPDX-License-Identifier: Apache-2.0 */
/* cli/unit - what a station knows of one unit: from the file that `bedplate-agent identity` wrote, and from a certificate
 * request; as an entry of a manifest. */
#ifndef BP_CLI_UNIT_H
#define BP_CLI_UNIT_H

#include "codec/manifest.h"
#include "port/crypto.h"

#define BP_UNIT_FILE_MAX (64u << 10)

struct bp_unit {
    uint8_t id[33];
    uint8_t hash[BP_MANIFEST_KEYS_MAX][BP_SHA256_SIZE];
    struct bp_manifest_unit entry; /* points into this structure and into the texts given */
};

/* Takes every certified endorsement key of a unit file (object hello, docs/protocol/device.md): each certificate must be
 * of the very key. Whether its issuer is one of chips is the plant's to judge. why: for people.
 *   MALFORMED, UNSUPPORTED  not such a file      MISMATCH  a certificate is of another key     NOT_FOUND  none is certified */
BP_MUST_CHECK bp_result bp_unit_from_hello(struct bp_crypto *c, bp_span file, struct bp_unit *ret, const char **ret_why);

/* Adds the key of a certificate request, which must be signed by that key. *ret_spki points into csr.
 *   MALFORMED, UNSUPPORTED, BAD_SIGNATURE  not such a request      EXISTS  it is one of the unit's endorsement keys */
BP_MUST_CHECK bp_result bp_unit_add_csr(struct bp_crypto *c, bp_span csr, struct bp_unit *u, bp_span *ret_spki,
                                        const char **ret_why);

/* Notes the certificate that was issued for the key of the request. CRYPTO */
BP_MUST_CHECK bp_result bp_unit_certified(struct bp_crypto *c, bp_span certificate, struct bp_unit *u,
                                          uint8_t room[BP_SHA256_SIZE]);

#endif
