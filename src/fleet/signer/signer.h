/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/signer - the three processes that hold keys, as pure request handlers: an op and a body go in, a status
 * and a body come out (docs/protocol/processes.md). The process around them only moves frames, so that everything they
 * decide is tested without one.
 *
 *   tls  the server's TLS key: signs digests of handshakes
 *   log  log key and result key: heads over its own stored last head only; attestation results
 *   ca   issuing, operators, brownfield and bind keys: credentials, bindings, certificates, revocation lists, answers
 *        about status
 *
 * Each opens exactly its own keys of the site. An op that is not of its table is refused. Requests are answered one after
 * the other; how many wait is bounded by net/frame. A refusal's body is {1: rule}, the stable name of the rule that was
 * broken (fleet/ipc: bp_msg_name_read), but for `append`'s conflict, which carries the signer's own head. The site, crypto,
 * clock and entropy given must outlive the signer. */
#ifndef BP_FLEET_SIGNER_SIGNER_H
#define BP_FLEET_SIGNER_SIGNER_H

#include "codec/problem.h"
#include "core/merkle.h"
#include "fleet/authority/site.h"
#include "fleet/ipc/message.h"
#include "port/clock.h"

/* body lives until the signer's next call. */
struct bp_signer_answer {
    enum bp_problem status; /* BP_P_NONE: done */
    bp_span body;
};

/* --- tls --- */

struct bp_tls_signer;
/* Errors of bp_site_key_open. */
BP_MUST_CHECK bp_result bp_tls_signer_new(const struct bp_site *site, struct bp_tls_signer **ret);
void bp_tls_signer_free(struct bp_tls_signer *s);
void bp_tls_signer_answer(struct bp_tls_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret);

/* --- log ---
 * DIR/state/log/head is the object `log-head` 1.0: 4 size, 5 array of the roots of complete subtrees (lowest first),
 * 6 root, 7 signed checkpoint. It is on disk before a head is given out. */

#define BP_LOG_STATE      "state/log/head"
#define BP_LOG_STATE_LOCK "state/log/lock"

/* The state, as it is in memory. */
struct bp_log_last {
    struct bp_merkle tree;
    char head[BP_MSG_HEAD_MAX]; /* signed checkpoint over it */
    size_t head_n;
};
/* Reads and verifies the state, beside a running signer or without one.
 *   NOT_FOUND  no state      MALFORMED, MISMATCH, BAD_SIGNATURE  the state is cut, changed or another log's */
BP_MUST_CHECK bp_result bp_log_signer_last(const struct bp_site *site, struct bp_crypto *c, struct bp_log_last *ret);
/* The one way in which a signer leaves its history: the next head goes on from this tree. Only for people who accepted the
 * loss and wrote it into the tree (`bedplated log-break`).   BUSY  a signer of this site runs   others of bp_site_key_open */
BP_MUST_CHECK bp_result bp_log_signer_break(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree);
/* Puts a state where none is, from a head that was signed over the tree. EXISTS: there is one. Else as reading it. */
BP_MUST_CHECK bp_result bp_log_signer_put(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree,
                                          bp_span head);

struct bp_log_signer;
/* Writes the state of an empty log, signed. EXISTS: there is a state already. For `init` only: a signer that finds no
 * state refuses to start, because an empty one would let history be written twice. */
BP_MUST_CHECK bp_result bp_log_signer_init(const struct bp_site *site, struct bp_crypto *c);
/*   NOT_FOUND  no state      MALFORMED, MISMATCH, BAD_SIGNATURE  the state is cut, changed or another key's
 *   BUSY       another signer of this site runs      others of bp_site_key_open */
BP_MUST_CHECK bp_result bp_log_signer_new(const struct bp_site *site, struct bp_crypto *c, struct bp_log_signer **ret);
void bp_log_signer_free(struct bp_log_signer *s);
void bp_log_signer_answer(struct bp_log_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret);

/* --- ca ---
 * DIR/state/ca/crl is the number of the last revocation list, DIR/state/ca/issuing.crl that list: what a store that was put
 * back does not know any more. */

#define BP_CA_LIST        "state/ca/issuing.crl"
#define BP_CA_PENDING_MAX 4096u               /* credentials that wait for their proof */
#define BP_CA_PENDING_MS  (10 * 60 * 1000LL)
/* A first contact has ten minutes to answer its nonce, and a key that it vouched for ten more; one for the way. */
#define BP_CA_NONCE_MS    (21 * 60 * 1000LL)
#define BP_CA_SKEW_MS     (60 * 1000LL)
#define BP_CA_DEVICE_MS   (7 * 86400000LL)    /* life of a management certificate */
/* An application's certificate lives one and a half times the site's outage tolerance, within these. */
#define BP_CA_APPLICATION_LEAST_MS (60 * 1000LL)
#define BP_CA_APPLICATION_MOST_MS  (270 * 86400000LL)
#define BP_CA_BROWNFIELD_MS (30 * 86400000LL)
/* nextUpdate of a list is so long after now as the keeper asks: from BP_MSG_CRL_LEAST_MS to this. */
#define BP_CA_CRL_MOST_MS  (BP_CA_APPLICATION_MOST_MS + 86400000LL)
#define BP_CA_STATUS_MS   (3600 * 1000LL)     /* nextUpdate of an answer about status */
#define BP_CA_RESPONDER_MS (7 * 86400000LL)   /* life of the certificate of the key that signs them; half of it is used */

/* What a request can break, and what the peer is told. Names are stable. */
#define BP_CA_RULE_LIST(X)                                                                                             \
    X(INTERNAL, "internal", INTERNAL)                                                                                  \
    X(OP, "op-unknown", UNSUPPORTED)                                                                                   \
    X(REQUEST, "request-form", MALFORMED)                                                                              \
    X(AK_FORM, "ak-form", EVIDENCE)                                                                                    \
    X(AK_ATTRIBUTES, "ak-not-restricted-to-the-chip", EVIDENCE)                                                        \
    X(EK_TEMPLATE, "ek-template", NOT_GENUINE)                                                                         \
    X(EK_WEAK, "ek-weak", NOT_GENUINE)                                                                                 \
    X(EK_TWICE, "ek-template-twice", MALFORMED)                                                                        \
    X(EK_NONE, "ek-none-certified", NOT_GENUINE)                                                                       \
    X(EK_CERT_FORM, "ek-certificate-form", NOT_GENUINE)                                                                \
    X(EK_CERT_USE, "ek-certificate-is-not-for-an-ek", NOT_GENUINE)                                                     \
    X(EK_CHAIN, "ek-chain-ends-at-no-anchor", NOT_GENUINE)                                                             \
    X(EK_CHAIN_ML_DSA, "ek-chain-by-ml-dsa-which-openssl-here-does-not-know", NOT_GENUINE)                             \
    X(EK_KEY, "ek-is-not-the-certified-key", NOT_GENUINE)                                                              \
    X(PENDING_FULL, "credentials-open", BUSY)                                                                          \
    X(BIND_NONE, "credential-unknown-or-spent", ACTIVATION)                                                            \
    X(BIND_PROOF, "activation-proof", ACTIVATION)                                                                      \
    X(BIND_BEFORE, "binding-of-before", WRONG_DEVICE)                                                                  \
    X(BIND_ALIASES, "endorsement-keys-too-many", NOT_GENUINE)                                                          \
    X(PROFILE, "profile", UNSUPPORTED)                                                                                 \
    X(PSEUDONYM, "pseudonym", VALUE)                                                                                   \
    X(SERVICE, "service", VALUE)                                                                                       \
    X(NAMES, "dns-name", VALUE)                                                                                        \
    X(LIFETIME, "lifetime", VALUE)                                                                                     \
    X(NOT_BEFORE, "not-before", VALUE)                                                                                 \
    X(CSR_FORM, "csr-form", BAD_CSR)                                                                                   \
    X(CSR_KEY, "csr-key", BAD_CSR)                                                                                     \
    X(CSR_SIGNATURE, "csr-signature", BAD_CSR)                                                                         \
    X(BINDING_FORM, "ak-binding-form", EVIDENCE)                                                                       \
    X(BINDING_SIGNATURE, "ak-binding-signature", SIGNATURE)                                                            \
    X(AK_NAME, "ak-name", EVIDENCE)                                                                                    \
    X(EVIDENCE_FORM, "evidence-form", EVIDENCE)                                                                        \
    X(DEVICE_ID, "device-id", WRONG_DEVICE)                                                                            \
    X(NONCE_FIELDS, "nonce-fields", NONCE)                                                                             \
    X(NONCE_AGE, "nonce-age", NONCE_EXPIRED)                                                                           \
    X(QUOTE_FORM, "quote-form", EVIDENCE)                                                                              \
    X(QUOTE_SIGNATURE, "quote-signature", EVIDENCE)                                                                    \
    X(QUOTE_TYPE, "quote-type", EVIDENCE)                                                                              \
    X(AK_PARENT, "ak-is-no-child-of-the-ek", EVIDENCE)                                                                 \
    X(EXTRA_DATA, "quote-extra-data", EVIDENCE)                                                                        \
    X(KEY_ABSENT, "key-not-in-evidence", NOT_PREAPPROVED)                                                              \
    X(KEY_ATTRIBUTES, "key-can-leave-the-chip", NOT_PREAPPROVED)                                                       \
    X(CERTIFY_FORM, "key-statement-form", EVIDENCE)                                                                    \
    X(CERTIFY_SIGNATURE, "key-statement-signature", EVIDENCE)                                                          \
    X(CERTIFY_NAME, "key-statement-name", EVIDENCE)                                                                    \
    X(CERTIFY_EXTRA, "key-statement-extra-data", EVIDENCE)                                                             \
    X(EAR_FORM, "result-form", EVIDENCE)                                                                               \
    X(EAR_SIGNATURE, "result-signature", SIGNATURE)                                                                    \
    X(EAR_TIER, "result-tier", NOT_PREAPPROVED)                                                                        \
    X(EAR_KEY, "result-vouches-not-for-key", NOT_PREAPPROVED)                                                          \
    X(EAR_EVIDENCE, "result-of-other-evidence", NOT_PREAPPROVED)                                                       \
    X(EAR_NONCE, "result-of-other-nonce", NOT_PREAPPROVED)                                                             \
    X(EAR_DEVICE, "result-of-other-device", NOT_PREAPPROVED)                                                           \
    X(CRL_NUMBER, "crl-number", OUTDATED)                                                                              \
    X(CRL_ENTRY, "crl-entry", VALUE)                                                                                   \
    X(OCSP_ISSUER, "ocsp-of-another-issuer", VALUE)                                                                    \
    X(OCSP_STATUS, "ocsp-status", VALUE)                                                                               \
    X(TOO_LARGE, "answer-too-large", TOO_LARGE)                                                                        \
    X(STORAGE, "state-not-written", STORAGE_FULL)                                                                      \
    X(KEY_STORE, "key-store-does-not-answer", UNAVAILABLE)

enum bp_ca_rule {
    BP_CA_NONE, /* nothing was broken */
#define BP_X(name, text, problem) BP_CA_##name,
    BP_CA_RULE_LIST(BP_X)
#undef BP_X
        BP_CA_RULES
};

struct bp_ca_signer;
/* Reads DIR/anchors once. Errors of bp_site_key_open; MALFORMED an anchor file or state/ca/crl; LIMIT too many anchors. */
BP_MUST_CHECK bp_result bp_ca_signer_new(const struct bp_site *site, struct bp_crypto *c, const struct bp_entropy *entropy,
                                         const struct bp_clock *clock, struct bp_ca_signer **ret);
void bp_ca_signer_free(struct bp_ca_signer *s);
void bp_ca_signer_answer(struct bp_ca_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret);
/* What was signed since the last sync is recorded, but the record may not be on disk: as long as that is so, no answer that
 * holds a certificate leaves the process. One sync serves many. After a failure the signer is not used any more.   IO */
bool bp_ca_signer_is_owed(const struct bp_ca_signer *s);
BP_MUST_CHECK bp_result bp_ca_signer_sync(struct bp_ca_signer *s);
/* The rule that the last request broke. */
enum bp_ca_rule bp_ca_signer_rule(const struct bp_ca_signer *s);
/* Accepted issuers of endorsement certificates that were read. */
size_t bp_ca_signer_anchors(const struct bp_ca_signer *s);

#endif
