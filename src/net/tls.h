/* SPDX-License-Identifier: Apache-2.0 */
/* net/tls - TLS contexts for our listeners and clients, and private keys whose signature is made elsewhere.
 *
 * TLS 1.3, on request 1.2 too; no renegotiation, and resumption only where it is asked for: TLS 1.3 alone, always with a
 * fresh key agreement, a ticket is a name and nothing else, serves once, and for an hour after the full handshake.
 * Keys are agreed on by X25519MLKEM768 where both ends have it, by X25519, P-256 or P-384 elsewhere. Certificates travel in
 * DER. A context owns what it was given by copy, except the callbacks' `self`. Chain building and
 * verification are OpenSSL's; what is added: anchors are exactly the given certificates, the time comes from the given
 * clock, and a hook may still say no. */
#ifndef BP_NET_TLS_H
#define BP_NET_TLS_H

#include "base/result.h"
#include "base/span.h"
#include "port/clock.h"

struct bp_tls;
struct ssl_st;

#define BP_TLS_CAS_MAX   8u
#define BP_TLS_CHAIN_MAX 4u
#define BP_TLS_RESUME_MS (3600 * 1000) /* from the full handshake, through any number of resumed ones */

/* A P-256 key that is somewhere else: in the tls signer's process, in a TPM. */
struct bp_tls_key {
    void *self;
    /* Signs a SHA-256 digest (ECDSA) into raw r||s. Called from inside a handshake; it may block for a short time. */
    bp_result (*sign)(void *self, const uint8_t digest[32], uint8_t ret[64]);
};

/* Our own certificate: leaf first, then what is sent with it. One of key and key_der is given. */
struct bp_tls_identity {
    const bp_span *chain; /* DER; count 0: no certificate of our own (clients) */
    size_t count;         /* <= BP_TLS_CHAIN_MAX */
    const struct bp_tls_key *key; /* copied; `self` must outlive the context */
    bp_span key_der;              /* unencrypted PKCS#8 or SEC1; tests and CLI */
};

/* The peer's certificate after a good handshake. Spans live as long as the connection. */
struct bp_tls_peer {
    uint8_t spki_sha256[32];
    uint8_t serial[20];
    uint8_t serial_n;
    uint8_t ca; /* index into the given CA certificates of the one that the chain ends at */
};

enum bp_tls_ask { BP_TLS_ASK_NEVER, BP_TLS_ASK_OPTIONAL, BP_TLS_ASK_REQUIRED };

struct bp_tls_server_spec {
    struct bp_tls_identity own;
    bool also_tls12; /* enrol listener: ordinary EST clients end at 1.2 */
    enum bp_tls_ask ask;
    const bp_span *cas; /* DER of the issuing CAs that client certificates must chain to; each is an anchor */
    size_t ca_count;    /* <= BP_TLS_CAS_MAX; >= 1 unless ask is NEVER */
    const struct bp_clock *clock; /* NULL: the system's time, as OpenSSL reads it */
    uint32_t sessions_max; /* how many peers' sessions are kept for resumption, one a key; 0: none. Then ask is REQUIRED,
                            * also_tls12 is not set, and there is a clock */
    void *self;
    /* Last word on a peer whose chain verified, at a full handshake and at every resumed one; anything but BP_ALLOW ends
     * the handshake. NULL: no objection. */
    bp_verdict (*admit)(void *self, const struct bp_tls_peer *peer, bp_span leaf_der);
};

/*   MALFORMED     a certificate or key does not parse     MISMATCH  the key does not belong to the leaf
 *   BAD_ARGUMENT  counts, or no CA although one is needed  CRYPTO, NO_MEMORY  the backend failed */
BP_MUST_CHECK bp_result bp_tls_server_new(const struct bp_tls_server_spec *spec, struct bp_tls **ret);

/* Connections that ask for server name `name` are handled by `other` (certificate, ask, CAs, admit) instead.
 * `other` must outlive tls. At most 4 names.   LIMIT  too many    BAD_ARGUMENT  no name, or one of both keeps sessions */
BP_MUST_CHECK bp_result bp_tls_server_add_name(struct bp_tls *tls, const char *name, struct bp_tls *other);

struct bp_tls_client_spec {
    struct bp_tls_identity own; /* count 0: none */
    bool also_tls12;
    const bp_span *anchors; /* DER; the server's chain must end at one of them */
    size_t anchor_count;    /* <= BP_TLS_CAS_MAX */
    /* Or the SHA-256 of the root certificate's DER: the root must then be in the chain that the server sends. */
    const uint8_t *anchor_sha256; /* 32 bytes, NULL: not used */
    /* Or nothing at all: any peer is taken, nobody is proven. Only for fetching what proves itself, and telling nothing. */
    bool is_unproven;
    bool resumes; /* keeps the newest session, in memory only, and offers it to the same host again; there is a clock then */
    const struct bp_clock *clock;
};

/* As bp_tls_server_new; BAD_ARGUMENT when there is no anchor of either kind. */
BP_MUST_CHECK bp_result bp_tls_client_new(const struct bp_tls_client_spec *spec, struct bp_tls **ret);

void bp_tls_free(struct bp_tls *tls);

/* The key agreement that every context of ours puts first with this machine's library, by its name in TLS: X25519MLKEM768
 * where the library has it, else X25519. NULL: the library failed. */
const char *bp_tls_first_group(void);

/* A connection's state machine; the caller owns it (SSL_free). For server and client of this folder. host is
 * checked against the certificate and sent as server name (an address is checked as address, and not sent).
 *   CRYPTO  it could not be made */
BP_MUST_CHECK bp_result bp_tls_accept(struct bp_tls *tls, struct ssl_st **ret);
BP_MUST_CHECK bp_result bp_tls_connect(struct bp_tls *tls, const char *host, struct ssl_st **ret);

/* Gives a session back that was to be offered by this connection, when the connection ended before it sent a byte. */
void bp_tls_unsent(struct bp_tls *tls, struct ssl_st *ssl);

/* What is known of the peer's certificate.   NOT_FOUND  it sent none */
BP_MUST_CHECK bp_result bp_tls_peer_of(struct ssl_st *ssl, struct bp_tls_peer *ret);
/* DER of the peer's leaf into ret.   NOT_FOUND  it sent none    NO_SPACE  *ret_len tells the room needed */
BP_MUST_CHECK bp_result bp_tls_peer_leaf(struct ssl_st *ssl, uint8_t *ret, size_t cap, size_t *ret_len);

/* Keying material exporter (RFC 8446 section 7.5; used as RFC 9266 does, with a label of our own): both ends of one
 * connection get the same 32 bytes, nobody else does.
 *   UNSUPPORTED  TLS 1.2 without extended master secret    CRYPTO  the handshake is not complete */
#define BP_TLS_EXPORTER_LABEL "EXPORTER-bedplate-attest"
BP_MUST_CHECK bp_result bp_tls_exporter(struct ssl_st *ssl, uint8_t ret[32]);

/* Reads certificates from PEM text (or one DER certificate) into spans over buf, which is overwritten and must hold
 * all of them.   MALFORMED  none, or one does not parse    NO_SPACE, LIMIT  too large, too many */
BP_MUST_CHECK bp_result bp_tls_read_certs(bp_span pem_or_der, uint8_t *buf, size_t cap, bp_span *ret, size_t ret_cap,
                                          size_t *ret_count);

#endif
