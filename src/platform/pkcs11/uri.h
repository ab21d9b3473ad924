/* SPDX-License-Identifier: Apache-2.0 */
/* platform/pkcs11/uri - where a key lies, as RFC 7512 writes it: which module, which token, which object, and which file
 * holds the PIN.
 *
 *     pkcs11:token=plant;object=bedplate-issuing?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:keys/ca/pin
 *
 * Attributes taken: token, serial, object, id, type (private only); module-path and pin-source. Anything else is refused,
 * a PIN in the text (pin-value) above all: settings are read by people and kept in backups. It opens nothing. */
#ifndef BP_PLATFORM_PKCS11_URI_H
#define BP_PLATFORM_PKCS11_URI_H

#include "base/result.h"
#include "base/span.h"

#define BP_PKCS11_URI_MAX    512u /* bytes of the text */
#define BP_PKCS11_PATH_MAX   255u
#define BP_PKCS11_TOKEN_MAX  32u /* sizes of CK_TOKEN_INFO */
#define BP_PKCS11_SERIAL_MAX 16u
#define BP_PKCS11_OBJECT_MAX 64u
#define BP_PKCS11_ID_MAX     32u

/* Texts end with a zero byte; empty: not named. */
struct bp_pkcs11_uri {
    char module[BP_PKCS11_PATH_MAX + 1];     /* absolute */
    char pin_source[BP_PKCS11_PATH_MAX + 1]; /* a path, relative or absolute; "file:" is taken off */
    char token[BP_PKCS11_TOKEN_MAX + 1];
    char serial[BP_PKCS11_SERIAL_MAX + 1];
    char object[BP_PKCS11_OBJECT_MAX + 1];
    uint8_t id[BP_PKCS11_ID_MAX];
    size_t id_n;
};

/*   MALFORMED    not of the form, an attribute twice, a value with a control character
 *   UNSUPPORTED  an attribute that is not taken
 *   LIMIT        the text or a value is longer than above
 *   DENIED       no module path or a relative one, no token named, no file for the PIN, or a PIN in the text */
BP_MUST_CHECK bp_result bp_pkcs11_uri_read(bp_span text, struct bp_pkcs11_uri *ret);
/* The same text for every equal value; a zero byte follows it.
 *   NO_SPACE  *ret_n tells the room needed without that byte */
BP_MUST_CHECK bp_result bp_pkcs11_uri_write(const struct bp_pkcs11_uri *uri, char *ret, size_t cap, size_t *ret_n);

#endif
