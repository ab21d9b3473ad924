/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/site - the directory of one server: its name, its certificates, and where each process finds its own
 * key, secret or state.
 *
 *     DIR/server.yaml            name, org, evaluation, status_url; for keys in a token key_issuing, key_infra,
 *                                key_operators, key_brownfield (RFC 7512) and key_reach
 *                                after a roll-over issuing_number, issuing_old, key_issuing_old
 *     DIR/certs/NAME.der         root issuing infra operators brownfield server log result bind
 *                                recovery (not in a directory that a version before it made)
 *                                the Nth issuing CA after the first: issuing-N, its key keys/ca/issuing-N.pem
 *     DIR/keys/SIGNER/NAME.pem   tls: server   log: log, result   ca: issuing, infra, operators, brownfield, bind
 *                                not those that lie in a token; then ca/pin is the token's PIN
 *     DIR/certs/owner.cose       the owner's card (docs/protocol/ownership.md); missing likewise
 *     DIR/root-key.pem           encrypted; to be moved off
 *     DIR/recovery-key.pem       encrypted likewise; to be moved off: it opens what devices have in escrow
 *     DIR/owner-key.pem          encrypted likewise; to be moved off: it hands devices over
 *     DIR/secrets/NAME           nonce, owner (32 bytes each)
 *     DIR/state/SIGNER/          what a signer must not forget
 *     DIR/anchors/CLASS-*.pem    accepted issuers of endorsement certificates
 *     DIR/store/ DIR/log/        the keeper's
 *
 * bp_site_load reads what is public; a key or a secret is opened only by the call that asks for it, so that a process
 * that does not ask never holds it. bp_site_make writes a new directory. Paths are at most BP_SITE_PATH_MAX bytes. */
#ifndef BP_FLEET_AUTHORITY_SITE_H
#define BP_FLEET_AUTHORITY_SITE_H

#include "pki/x509.h"
#include "platform/openssl/key.h"
#include "platform/pkcs11/token.h"
#include "port/clock.h"

#define BP_SITE_PATH_MAX   1024u
#define BP_SITE_TEXT_MAX   128u /* name, organisation */
#define BP_SITE_URL_MAX    256u
#define BP_SITE_CODE       26u /* characters of a passphrase or one-time code: base32, 130 bits */
#define BP_SITE_SECRET     32u
#define BP_SITE_REACH_MAX  4u /* paths in key_reach */
#define BP_SITE_ISSUING_MAX 999u /* roll-overs */

enum bp_site_cert {
    BP_SITE_CERT_ROOT,
    BP_SITE_CERT_ISSUING,
    BP_SITE_CERT_INFRA,
    BP_SITE_CERT_OPERATORS,
    BP_SITE_CERT_BROWNFIELD,
    BP_SITE_CERT_SERVER,
    BP_SITE_CERT_LOG,
    BP_SITE_CERT_RESULT,
    BP_SITE_CERT_BIND,
    BP_SITE_CERT_RECOVERY, /* may be empty: then no device has its lockout value set */
    BP_SITE_CERTS
};

/* Every key but those that are the owner's: the root's, the recovery key, the owner's own. */
enum bp_site_key {
    BP_SITE_KEY_SERVER,
    BP_SITE_KEY_LOG,
    BP_SITE_KEY_RESULT,
    BP_SITE_KEY_ISSUING,
    BP_SITE_KEY_INFRA,
    BP_SITE_KEY_OPERATORS,
    BP_SITE_KEY_BROWNFIELD,
    BP_SITE_KEY_BIND,
    BP_SITE_KEYS
};

struct bp_site {
    char dir[BP_SITE_PATH_MAX];
    char name[BP_SITE_TEXT_MAX + 1]; /* the host's, as in its certificate */
    char org[BP_SITE_TEXT_MAX + 1];
    char status_url[BP_SITE_URL_MAX];  /* where revocation lists are served: "http://HOST:PORT" */
    char crl_url[BP_SITE_URL_MAX + 32]; /* of the issuing CA: status_url "/crl/issuing-N.crl", N its number */
    char ocsp_url[BP_SITE_URL_MAX + 32];   /* of the issuing CA: status_url "/ocsp" */
    char issuer_url[BP_SITE_URL_MAX + 32]; /* of the issuing CA's certificate: status_url "/ca/issuing-N.cer" */
    char log_origin[BP_SITE_TEXT_MAX + 8]; /* name "/log": the origin line of heads */
    bool evaluation;
    char key_uri[BP_SITE_KEYS][BP_PKCS11_URI_MAX + 1]; /* empty: the key lies in its file */
    char key_issuing_old[BP_PKCS11_URI_MAX + 1];
    unsigned issuing_number; /* of the issuing CA in force: 0 the first, one more with each roll-over */
    bp_span issuing_old;     /* the one before it, while its certificates count; empty: none */
    bool has_applications; /* its issuing CA may sign certificates of applications */
    bp_span cert[BP_SITE_CERTS]; /* DER, as long as the site */
    bp_span owner_card;          /* COSE_Sign1; empty: this server claims no device by a chain of ownership */
    bp_span root_crl; /* DER, as long as the site; may be empty */
    uint8_t root_hash[BP_SHA256_SIZE];
};

/* Reads DIR. Every certificate must be of its profile and signed as the tree says; validity is not judged, so that a
 * server whose certificate ran out can still be looked at.
 *   NOT_FOUND  no such directory, or a file is missing      MALFORMED  server.yaml or a certificate
 *   BAD_SIGNATURE, DENIED  certificates that do not belong together */
BP_MUST_CHECK bp_result bp_site_load(const char *dir, struct bp_crypto *c, struct bp_site **ret);
void bp_site_free(struct bp_site *site);

/* DIR and a relative path, e.g. "store/bedplate.db". LIMIT  longer than cap */
BP_MUST_CHECK bp_result bp_site_path(const struct bp_site *site, const char *relative, char *ret, size_t cap);
/* Opens one key. The caller frees *ret. One in a token may not answer yet: platform/pkcs11/token.
 *   errors of bp_key_load and bp_pkcs11_key_open; MISMATCH  not the key of its certificate */
BP_MUST_CHECK bp_result bp_site_key_open(const struct bp_site *site, enum bp_site_key which, struct bp_key **ret);
/* The key of site->issuing_old, for its revocation lists. Errors as above; NOT_FOUND  there is none */
BP_MUST_CHECK bp_result bp_site_old_key_open(const struct bp_site *site, struct bp_key **ret);
/* Whether a key lies in a token; if so what the token says of it. Errors of bp_pkcs11_key_look. */
bool bp_site_key_is_in_token(const struct bp_site *site, enum bp_site_key which);
BP_MUST_CHECK bp_result bp_site_key_look(const struct bp_site *site, enum bp_site_key which, struct bp_pkcs11_facts *ret);
/* "issuing", "keys/ca/issuing.pem": what a person calls a key, and its file when it has one. */
const char *bp_site_key_name(enum bp_site_key which);
const char *bp_site_key_file(enum bp_site_key which);
/* Reads DIR/secrets/NAME; the caller wipes it. Errors of bp_file_read; MALFORMED  not 32 bytes */
BP_MUST_CHECK bp_result bp_site_secret(const struct bp_site *site, const char *name, uint8_t ret[BP_SITE_SECRET]);
/* The name of a key that must not be here (the root's, the recovery key, the owner's) when it lies in DIR; else NULL. `run`
 * refuses then, except for evaluation. */
const char *bp_site_owner_key(const struct bp_site *site);
/* The public half of a certificate's key; spans point into the site. */
BP_MUST_CHECK bp_result bp_site_public(const struct bp_site *site, enum bp_site_cert which, struct bp_pubkey *ret);

/* --- server.yaml --- */

struct bp_site_settings {
    char name[BP_SITE_TEXT_MAX + 1];
    char org[BP_SITE_TEXT_MAX + 1];
    char status_url[BP_SITE_URL_MAX];
    bool evaluation;
    char key_uri[BP_SITE_KEYS][BP_PKCS11_URI_MAX + 1]; /* empty: a file */
    /* What the module of a key opens behind the fences, beside DIR: absolute paths of folders and files, one space
     * between them. */
    char key_reach[BP_SITE_TEXT_MAX + 1];
    unsigned issuing_number;
    bool issuing_old; /* the one of the number before is still in force */
    char key_issuing_old[BP_PKCS11_URI_MAX + 1];
};
/* Reads DIR/server.yaml. Errors of bp_file_read and as below. */
BP_MUST_CHECK bp_result bp_site_settings_load(const char *dir, struct bp_site_settings *ret);
/* Reads one mapping of known names to scalars: no anchors, aliases, tags, second document; no name twice.
 *   MALFORMED  *ret_line and *ret_column (from 1) say where      NO_MEMORY */
BP_MUST_CHECK bp_result bp_site_settings_read(bp_span yaml, struct bp_site_settings *ret, size_t *ret_line,
                                              size_t *ret_column);
/*   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  a text that the reader would refuse */
BP_MUST_CHECK bp_result bp_site_settings_write(const struct bp_site_settings *s, char *ret, size_t cap,
                                               size_t *ret_len);

/* --- another issuing CA --- */

/* Makes the next issuing CA, of BP_KEY_P256 or BP_KEY_P384, signed by the root's key; its key lies where the present one's
 * does, in a file or in the same token. From then on both are in force: the new one issues, the old one signs revocation
 * lists. What is new is written first; server.yaml, last, says that it counts, so a cut leaves the old state whole. Processes
 * that run see it when they start again.
 *   BUSY  an old one is in force already     MISMATCH  not the root's key     EXISTS  the token has a key of that name
 *   LIMIT  too many roll-overs               UNSUPPORTED  the type            what files, tokens and certificates say */
BP_MUST_CHECK bp_result bp_site_roll(const char *dir, struct bp_key *root, enum bp_key_type type, struct bp_crypto *c,
                                     const struct bp_entropy *entropy, const struct bp_clock *clock);
/* Takes the old issuing CA out of force and removes its certificate and the file of its key; one in a token stays there.
 * The caller has seen that no certificate of it counts any more.   NOT_FOUND  there is none     what files say */
BP_MUST_CHECK bp_result bp_site_retire(const char *dir, struct bp_crypto *c);

/* --- making one --- */

struct bp_site_make {
    const char *dir;  /* must not exist */
    const char *name; /* [a-z0-9.-], no address */
    const char *org;  /* UTF-8 */
    bool evaluation;
    /* A token for the keys of the authorities (module, token, PIN's file; object: how their names begin), NULL: files. The
     * PIN is copied to DIR/keys/ca/pin, which belongs to the one process that signs with it. */
    const struct bp_pkcs11_uri *key_store;
    const char *key_reach; /* for server.yaml; NULL: nothing */
    /* What else belongs into it (the store, a signer's first state): called with the directory's name for the time
     * being, before it is put in place whole. NULL: nothing. */
    bp_result (*more)(void *self, const char *dir);
    void *self;
};

/* Makes DIR with all authorities. The root's key, the recovery key and the owner's key exist only here in memory, and in
 * DIR/root-key.pem, DIR/recovery-key.pem and DIR/owner-key.pem encrypted under ret_passphrase, which is kept nowhere. On
 * failure nothing is left: keys that were made in a token are taken out of it again.
 *   EXISTS  dir is there, or a key in the token      BAD_ARGUMENT  name, org or key_reach
 *   what files, keys, certificates and bp_pkcs11_key_make say */
BP_MUST_CHECK bp_result bp_site_make(const struct bp_site_make *make, struct bp_crypto *c,
                                     const struct bp_entropy *entropy, const struct bp_clock *clock,
                                     char ret_passphrase[BP_SITE_CODE + 1]);

/* 26 characters of base32 from 130 unpredictable bits. Errors of entropy. */
BP_MUST_CHECK bp_result bp_site_code(const struct bp_entropy *entropy, char ret[BP_SITE_CODE + 1]);

#endif
