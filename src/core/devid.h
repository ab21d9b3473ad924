/* SPDX-License-Identifier: Apache-2.0 */
/* core/devid - the device id: 33 bytes, 01 || SHA-256(DER SubjectPublicKeyInfo of the identity key), an EAT UEID of
 * type 1 (RFC 9711 section 4.2.1). It is computed, never assigned. */
#ifndef BP_CORE_DEVID_H
#define BP_CORE_DEVID_H

#include "port/crypto.h"

#define BP_DEVID_SIZE  33u
#define BP_DEVID_SHORT 24u /* "ABCDE-FGHIJ-KLMNO-PQRST" and its closing zero */
#define BP_DEVID_HEX   67u /* 66 lower-case digits and their closing zero */

/* The id of the key with this SubjectPublicKeyInfo (codec/x509 makes one). CRYPTO. */
BP_MUST_CHECK bp_result bp_devid_of_spki(struct bp_crypto *c, bp_span spki, uint8_t ret[BP_DEVID_SIZE]);

/* The form shown where a person compares: the first 100 bits of the hash in base32 (RFC 4648 section 6). It
 * identifies nothing by itself: signed acts hold the whole id. */
void bp_devid_short(const uint8_t id[BP_DEVID_SIZE], char ret[BP_DEVID_SHORT]);
void bp_devid_hex(const uint8_t id[BP_DEVID_SIZE], char ret[BP_DEVID_HEX]);
/* Reads 66 lower-case hex digits. MALFORMED: anything else, or not beginning with 01. */
BP_MUST_CHECK bp_result bp_devid_from_hex(bp_span text, uint8_t ret[BP_DEVID_SIZE]);

#endif
