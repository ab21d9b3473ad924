/* SPDX-License-Identifier: Apache-2.0 */
/* platform/pkcs11/token - private keys in a token, behind struct bp_key: a smart card, a network HSM, SoftHSM, or a TPM
 * through its PKCS#11 module. Spoken to by the C interface of the module that the key's URI names (docs/adr/0002).
 *
 * A module stays loaded until the process ends: it may hold what does not survive being unloaded. A token that is gone
 * costs the call that needed it a CLOSED and nothing else; each later call tries to open it once, module and session
 * afresh, so it works again when the token is back. A PIN that was refused is not tried again: tokens lock. What a token
 * signed is verified against the key's public half before it is given out. One thread; the module makes none. */
#ifndef BP_PLATFORM_PKCS11_TOKEN_H
#define BP_PLATFORM_PKCS11_TOKEN_H

#include "platform/openssl/key.h"
#include "platform/pkcs11/uri.h"

#define BP_PKCS11_PIN_MAX     255u
#define BP_PKCS11_MODULES_MAX 4u /* in one process */

/* What is known of a key's place. */
struct bp_pkcs11_facts {
    char token[BP_PKCS11_TOKEN_MAX + 1];
    char model[BP_PKCS11_SERIAL_MAX + 1];
    bool can_leave;       /* may be exported now, as the token says */
    bool was_always_there; /* made in the token and never exportable since */
};

/* Opens the key at uri, whose public half is spki. pin_file: mode 0600, its first line without the line's end. A token
 * that does not answer is no error: the key is there, signing gives CLOSED until it answers. The caller frees *ret with
 * bp_key_free. Its sign: CLOSED  the token is not there, has no such key, or more than one of the name
 *   DENIED  the PIN was refused (until the process ends)   MISMATCH  the token signed with another key
 * Errors:
 *   NOT_FOUND    no such module, or no file for the PIN   DENIED  the PIN's file can be read by others
 *   UNSUPPORTED  the module is none, or the key is no P-256 or P-384   LIMIT  a PIN too long, too many modules
 *   MALFORMED    spki, or an empty PIN   NO_MEMORY, CRYPTO */
BP_MUST_CHECK bp_result bp_pkcs11_key_open(const struct bp_pkcs11_uri *uri, const char *pin_file, bp_span spki,
                                           struct bp_key **ret);
/* Makes a pair in the token, named by uri->object, and opens it: sensitive, not extractable, for signing only.
 *   EXISTS  a key of that name is there   CLOSED  the token does not answer   DENIED  PIN or request refused
 *   BAD_ARGUMENT  no name in the uri      others as above */
BP_MUST_CHECK bp_result bp_pkcs11_key_make(const struct bp_pkcs11_uri *uri, const char *pin_file, enum bp_key_type type,
                                           struct bp_key **ret);
/* Takes the pair away that uri->object names; for what was made and is not used after all.
 *   CLOSED, DENIED  as above */
BP_MUST_CHECK bp_result bp_pkcs11_key_destroy(const struct bp_pkcs11_uri *uri, const char *pin_file);
/* Looks at the key in the token. Errors as a signature of the key above. */
BP_MUST_CHECK bp_result bp_pkcs11_key_look(const struct bp_pkcs11_uri *uri, const char *pin_file, bp_span spki,
                                           struct bp_pkcs11_facts *ret);

/* The last answer of a module that was not CKR_OK (PKCS #11 3.0 section 11.1), for a log. */
unsigned long bp_pkcs11_trace(void);

#endif
