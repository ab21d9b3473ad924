/* SPDX-License-Identifier: Apache-2.0 */
/* net/tls - see tls.h. */
#include "net/tls.h"
#include "net/resume.h"
#include "net/tls_key.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/secret.h"

#define BP_MODULE TLS

#define NAMES_MAX    4u
#define NAME_MAX_LEN 255u
#define CERT_MAX     16384u
#define VERIFY_DEPTH 4

struct bp_tls {
    SSL_CTX *ctx;
    struct bp_clock clock;
    bool has_clock;
    enum bp_tls_ask ask;
    void *self;
    bp_verdict (*admit)(void *self, const struct bp_tls_peer *peer, bp_span leaf_der);
    X509 *cas[BP_TLS_CAS_MAX];
    size_t ca_count;
    uint8_t anchor_sha256[32];
    bool by_hash;
    struct bp_tls_key key; /* the stable place that the private key object points to */
    struct bp_resume *sessions; /* of a server that resumes */
    bool resumes;               /* a client that does */
    SSL_SESSION *offer;         /* its newest session, */
    char offer_host[NAME_MAX_LEN + 1]; /* good for this host */
    struct {
        char name[NAME_MAX_LEN + 1];
        struct bp_tls *tls;
    } names[NAMES_MAX];
    size_t name_count;
};

static bp_result parse_cert(bp_span der, X509 **ret)
{
    const unsigned char *p = der.p;
    if (der.n == 0 || der.n > CERT_MAX) {
        return BP_FAIL(MALFORMED);
    }
    X509 *x = d2i_X509(NULL, &p, (long)der.n);
    if (x == NULL || p != der.p + der.n) {
        X509_free(x);
        ERR_clear_error();
        return BP_FAIL(MALFORMED);
    }
    *ret = x;
    return BP_OK;
}

/* ---- our own certificate ---- */

static bp_result use_chain(struct bp_tls *tls, const struct bp_tls_identity *own)
{
    for (size_t i = 0; i < own->count; i++) {
        X509 *x = NULL;
        BP_TRY(parse_cert(own->chain[i], &x));
        const int ok = i == 0 ? SSL_CTX_use_certificate(tls->ctx, x) : (int)SSL_CTX_add1_chain_cert(tls->ctx, x);
        X509_free(x);
        if (ok != 1) {
            return BP_FAIL(CRYPTO);
        }
    }
    return BP_OK;
}

static bp_result load_key(struct bp_tls *tls, const struct bp_tls_identity *own, EVP_PKEY **ret)
{
    if (own->key != NULL) {
        tls->key = *own->key;
        return bp_tls_key_make(SSL_CTX_get0_certificate(tls->ctx), &tls->key, ret);
    }
    const unsigned char *p = own->key_der.p;
    *ret = d2i_AutoPrivateKey(NULL, &p, (long)own->key_der.n);
    return *ret != NULL ? BP_OK : BP_FAIL(MALFORMED);
}

static bp_result use_identity(struct bp_tls *tls, const struct bp_tls_identity *own)
{
    if (own->count == 0) {
        return BP_OK;
    }
    if (own->count > BP_TLS_CHAIN_MAX || (own->key == NULL) == (own->key_der.n == 0)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    EVP_PKEY *key = NULL;
    BP_TRY(use_chain(tls, own));
    BP_TRY(load_key(tls, own, &key));
    const int ok = SSL_CTX_use_PrivateKey(tls->ctx, key);
    EVP_PKEY_free(key);
    /* SSL_CTX_use_PrivateKey compares the public halves; a key that is elsewhere has no other half here. */
    return ok == 1 ? BP_OK : BP_FAIL(MISMATCH);
}

/* ---- judging the peer ---- */

static bp_result describe(X509 *leaf, struct bp_tls_peer *ret)
{
    unsigned char *spki = NULL;
    struct bp_tls_peer peer = {0};
    const int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
    const int ok = n > 0 && EVP_Digest(spki, (size_t)n, peer.spki_sha256, NULL, EVP_sha256(), NULL);
    OPENSSL_free(spki);
    if (!ok) {
        return BP_FAIL(CRYPTO);
    }
    const int serial_n = ASN1_STRING_length(serial);
    if (serial_n < 0 || (size_t)serial_n > sizeof peer.serial) {
        return BP_FAIL(MALFORMED);
    }
    memcpy(peer.serial, ASN1_STRING_get0_data(serial), (size_t)serial_n);
    peer.serial_n = (uint8_t)serial_n;
    *ret = peer;
    return BP_OK;
}

static bool is_on_chain(STACK_OF(X509) *chain, const X509 *ca)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (X509_cmp(sk_X509_value(chain, i), ca) == 0) {
            return true;
        }
    }
    return false;
}

/* Index of the anchor that the verified chain ends at. */
static uint8_t anchor_of(const struct bp_tls *tls, STACK_OF(X509) *chain)
{
    for (size_t i = 0; i < tls->ca_count; i++) {
        if (is_on_chain(chain, tls->cas[i])) {
            return (uint8_t)i;
        }
    }
    return 0;
}

/* What is known of a session's peer. It goes with the session, so that a resumed one is known as the full one was; the
 * copies of a session share it. */
struct known {
    struct bp_tls_peer peer;
    int64_t since_ms; /* monotonic: the full handshake */
    unsigned refs;
};

static int known_index = -1;

static int known_share(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int idx, long argl, void *argp)
{
    struct known *k = *data;
    (void)to;
    (void)from;
    (void)idx;
    (void)argl;
    (void)argp;
    if (k != NULL) {
        k->refs++;
    }
    return 1;
}

static void known_drop(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    struct known *k = ptr;
    (void)parent;
    (void)ad;
    (void)idx;
    (void)argl;
    (void)argp;
    if (k != NULL && --k->refs == 0) {
        free(k);
    }
}

static bool known_index_ready(void)
{
    if (known_index < 0) {
        known_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, known_share, known_drop);
    }
    return known_index >= 0;
}

static const struct known *known_of(const SSL_SESSION *session)
{
    return session != NULL && known_index >= 0 ? SSL_SESSION_get_ex_data(session, known_index) : NULL;
}

/* What the hook says. */
static bool is_admitted(const struct bp_tls *tls, const struct bp_tls_peer *peer, X509 *leaf)
{
    unsigned char *der = NULL;
    if (tls->admit == NULL) {
        return true;
    }
    const int n = i2d_X509(leaf, &der);
    const bool ok = n > 0 && tls->admit(tls->self, peer, bp_span_of(der, (size_t)n)) == BP_ALLOW;
    OPENSSL_free(der);
    return ok;
}

/* Asks the hook, and keeps with the session what is known of the peer. */
static bool take_in(const struct bp_tls *tls, SSL *ssl, X509_STORE_CTX *sc)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(sc);
    SSL_SESSION *session = SSL_get_session(ssl);
    struct known *k = malloc(sizeof *k);
    if (k == NULL) {
        return false;
    }
    *k = (struct known){.since_ms = tls->sessions != NULL || tls->resumes ? bp_mono_ms(&tls->clock) : 0, .refs = 1};
    bool ok = session != NULL && known_of(session) == NULL && !bp_failed(describe(leaf, &k->peer));
    if (ok) {
        k->peer.ca = anchor_of(tls, X509_STORE_CTX_get0_chain(sc));
        ok = is_admitted(tls, &k->peer, leaf) && SSL_SESSION_set_ex_data(session, known_index, k) == 1;
    }
    if (!ok) {
        free(k);
    }
    return ok;
}

/* Trusts the one certificate of the presented chain that has the wanted hash. The stack is the caller's to free. */
static bool trust_by_hash(const struct bp_tls *tls, X509_STORE_CTX *sc, STACK_OF(X509) **ret)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(sc);
    for (int i = 0; i < sk_X509_num(sent); i++) {
        X509 *x = sk_X509_value(sent, i);
        uint8_t digest[32];
        unsigned n = 0;
        if (X509_digest(x, EVP_sha256(), digest, &n) == 1 && n == sizeof digest &&
            memcmp(digest, tls->anchor_sha256, sizeof digest) == 0) {
            *ret = sk_X509_new_null();
            if (*ret == NULL || sk_X509_push(*ret, x) <= 0) {
                return false;
            }
            X509_STORE_CTX_set0_trusted_stack(sc, *ret);
            return true;
        }
    }
    return false;
}

static int verify(X509_STORE_CTX *sc, void *arg)
{
    struct bp_tls *tls = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
    STACK_OF(X509) *trusted = NULL;
    int ok = 0;
    if (tls->has_clock) {
        X509_STORE_CTX_set_time(sc, 0, (time_t)(bp_wall_ms(&tls->clock) / 1000));
    }
    if (tls->by_hash && !trust_by_hash(tls, sc, &trusted)) {
        X509_STORE_CTX_set_error(sc, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
        goto out;
    }
    if (X509_verify_cert(sc) != 1) {
        goto out;
    }
    if (!take_in(tls, ssl, sc)) {
        X509_STORE_CTX_set_error(sc, X509_V_ERR_CERT_REVOKED);
        goto out;
    }
    ok = 1;
out:
    sk_X509_free(trusted);
    return ok;
}

static int verify_mode(enum bp_tls_ask ask)
{
    return ask == BP_TLS_ASK_NEVER      ? SSL_VERIFY_NONE
           : ask == BP_TLS_ASK_OPTIONAL ? SSL_VERIFY_PEER
                                        : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static bp_result use_anchors(struct bp_tls *tls, const bp_span *cas, size_t count)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls->ctx);
    if (count > BP_TLS_CAS_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    for (size_t i = 0; i < count; i++) {
        BP_TRY(parse_cert(cas[i], &tls->cas[i]));
        tls->ca_count = i + 1;
        if (X509_STORE_add_cert(store, tls->cas[i]) != 1) {
            return BP_FAIL(CRYPTO);
        }
    }
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->ctx);
    /* An issuing CA is an anchor by itself: devices send their leaf only, and the root stays off line. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_depth(param, VERIFY_DEPTH);
    return BP_OK;
}

/* ---- sessions that are resumed ---- */

static bool is_in_time(const struct bp_tls *tls, const X509 *x)
{
    time_t now = (time_t)(bp_wall_ms(&tls->clock) / 1000);
    return X509_cmp_time(X509_get0_notBefore(x), &now) < 0 && X509_cmp_time(X509_get0_notAfter(x), &now) > 0;
}

/* Whether a full handshake is less than an hour ago, and the peer's certificate would still pass one. */
static bool is_fresh(const struct bp_tls *tls, const struct known *k, const X509 *leaf)
{
    return bp_mono_ms(&tls->clock) - k->since_ms < BP_TLS_RESUME_MS && is_in_time(tls, leaf);
}

/* Whatever a full handshake would ask of this peer now, but for the signature. */
static bool may_resume(const struct bp_tls *tls, const SSL_SESSION *session, X509 *leaf)
{
    const struct known *k = known_of(session);
    return k != NULL && leaf != NULL && is_fresh(tls, k, leaf) && is_in_time(tls, tls->cas[k->peer.ca]) &&
           is_admitted(tls, &k->peer, leaf);
}

/* A client names a session. What may not be resumed is answered as if it were not there: with a full handshake, in which a
 * peer that is refused learns it. */
static SSL_SESSION *on_resume(SSL *ssl, const unsigned char *id, int n, int *ret_share)
{
    const struct bp_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION *session = n > 0 ? bp_resume_take(tls->sessions, id, (size_t)n) : NULL;
    *ret_share = 0; /* the session is OpenSSL's from here on */
    if (session != NULL && !may_resume(tls, session, SSL_SESSION_get0_peer(session))) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

/* A ticket was made, or came. What is kept is a copy: OpenSSL spoils the connection's own when that ends in a cut. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct bp_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct known *k = known_of(session);
    SSL_SESSION *copy = k != NULL ? SSL_SESSION_dup(session) : NULL;
    if (copy != NULL && tls->sessions != NULL) {
        bp_resume_keep(tls->sessions, k->peer.spki_sha256, copy);
    } else if (copy != NULL) {
        SSL_SESSION_free(tls->offer);
        tls->offer = copy;
    }
    ERR_clear_error();
    return 0; /* the connection's reference stays its own */
}

static bp_result keep_sessions(struct bp_tls *tls, uint32_t max)
{
    static const unsigned char context[] = "bedplate";
    BP_TRY(bp_resume_new(max, &tls->sessions));
    /* By SSL_OP_NO_TICKET, which every context has, tickets are names of sessions; without it they are the session itself,
     * sealed, and each handshake decodes the peer's certificate anew. */
    SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(tls->ctx, on_ticket);
    SSL_CTX_sess_set_get_cb(tls->ctx, on_resume);
    SSL_CTX_set_timeout(tls->ctx, BP_TLS_RESUME_MS / 1000);
    return SSL_CTX_set_num_tickets(tls->ctx, 1) == 1 &&
                   SSL_CTX_set_session_id_context(tls->ctx, context, sizeof context - 1) == 1
               ? BP_OK
               : BP_FAIL(CRYPTO);
}

/* The session to offer, if there is one for this host. It leaves the context: no ticket is shown twice. */
static bool offer_session(struct bp_tls *tls, const char *host, SSL *ssl)
{
    const size_t n = strlen(host);
    const bool is_same = strcmp(host, tls->offer_host) == 0;
    SSL_SESSION *session = is_same ? tls->offer : NULL;
    bool ok = true;
    if (!is_same) {
        SSL_SESSION_free(tls->offer);
        memcpy(tls->offer_host, n <= NAME_MAX_LEN ? host : "", n <= NAME_MAX_LEN ? n + 1 : 1);
    }
    tls->offer = NULL;
    const struct known *k = known_of(session);
    const X509 *leaf = session != NULL ? SSL_SESSION_get0_peer(session) : NULL;
    if (k != NULL && leaf != NULL && is_fresh(tls, k, leaf)) {
        ok = SSL_set_session(ssl, session) == 1;
    }
    SSL_SESSION_free(session);
    return ok;
}

void bp_tls_unsent(struct bp_tls *tls, SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    BIO *out = SSL_get_wbio(ssl);
    if (tls->resumes && tls->offer == NULL && known_of(session) != NULL && (out == NULL || BIO_number_written(out) == 0)) {
        tls->offer = SSL_get1_session(ssl);
    }
}

/* ---- contexts ---- */

/* What both ends agree on keys by, best first: X25519 joined with ML-KEM where the library has it (OpenSSL 3.5), so that what
 * is recorded today stays shut to a quantum computer of tomorrow. A star marks what a client sends a share of at once, so
 * that a server of either kind answers without another round; a slash ends a rank, within which the client's share decides. */
static const char *use_groups(SSL_CTX *ctx)
{
    if (SSL_CTX_set1_groups_list(ctx, "*X25519MLKEM768/*X25519:P-256/P-384") == 1) {
        return "X25519MLKEM768";
    }
    ERR_clear_error();
    return SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 ? "X25519" : NULL;
}

const char *bp_tls_first_group(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    const char *name = ctx == NULL ? NULL : use_groups(ctx);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return name;
}

static bp_result context_new(bool is_server, bool also_tls12, const struct bp_clock *clock, struct bp_tls **ret)
{
    struct bp_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    tls->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (tls->ctx == NULL || !known_index_ready() || SSL_CTX_set_app_data(tls->ctx, tls) != 1) {
        bp_tls_free(tls);
        return BP_FAIL(CRYPTO);
    }
    if (clock != NULL) {
        tls->clock = *clock;
        tls->has_clock = true;
    }
    SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                      SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(tls->ctx, CERT_MAX);
    const bool ok = SSL_CTX_set_num_tickets(tls->ctx, 0) == 1 &&
                    SSL_CTX_set_min_proto_version(tls->ctx, also_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_max_proto_version(tls->ctx, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_cipher_list(tls->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
                    use_groups(tls->ctx) != NULL;
    if (!ok) {
        bp_tls_free(tls);
        return BP_FAIL(CRYPTO);
    }
    *ret = tls;
    return BP_OK;
}

/* Tells clients which issuers are meant, so that the right certificate is picked. */
static bp_result name_issuers(struct bp_tls *tls)
{
    for (size_t i = 0; i < tls->ca_count; i++) {
        if (SSL_CTX_add_client_CA(tls->ctx, tls->cas[i]) != 1) {
            return BP_FAIL(CRYPTO);
        }
    }
    return BP_OK;
}

static int choose_by_name(SSL *ssl, int *alert, void *arg)
{
    const struct bp_tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; name != NULL && i < tls->name_count; i++) {
        if (OPENSSL_strcasecmp(name, tls->names[i].name) == 0) {
            const struct bp_tls *other = tls->names[i].tls;
            if (SSL_set_SSL_CTX(ssl, other->ctx) == NULL) {
                return SSL_TLSEXT_ERR_ALERT_FATAL;
            }
            /* Switching contexts brings certificate and verification, but not whether to ask. */
            SSL_set_verify(ssl, verify_mode(other->ask), NULL);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

static bp_result server_setup(struct bp_tls *tls, const struct bp_tls_server_spec *spec)
{
    if (spec->own.count == 0 || (spec->ask != BP_TLS_ASK_NEVER && spec->ca_count == 0) ||
        (spec->sessions_max > 0 && (spec->ask != BP_TLS_ASK_REQUIRED || spec->also_tls12 || spec->clock == NULL))) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    tls->ask = spec->ask;
    tls->self = spec->self;
    tls->admit = spec->admit;
    BP_TRY(use_identity(tls, &spec->own));
    BP_TRY(use_anchors(tls, spec->cas, spec->ca_count));
    BP_TRY(name_issuers(tls));
    /* A key that is elsewhere signs SHA-256 digests only; what clients may sign with is wider. */
    if (SSL_CTX_set1_client_sigalgs_list(tls->ctx, "ECDSA+SHA256:ECDSA+SHA384:ed25519:RSA-PSS+SHA256:RSA+SHA256") !=
            1 ||
        (spec->own.key != NULL && SSL_CTX_set1_sigalgs_list(tls->ctx, "ECDSA+SHA256") != 1)) {
        return BP_FAIL(CRYPTO);
    }
    SSL_CTX_set_verify(tls->ctx, verify_mode(spec->ask), NULL);
    SSL_CTX_set_cert_verify_callback(tls->ctx, verify, tls);
    SSL_CTX_set_tlsext_servername_callback(tls->ctx, choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(tls->ctx, tls);
    return spec->sessions_max > 0 ? keep_sessions(tls, spec->sessions_max) : BP_OK;
}

bp_result bp_tls_server_new(const struct bp_tls_server_spec *spec, struct bp_tls **ret)
{
    struct bp_tls *tls = NULL;
    BP_TRY(context_new(true, spec->also_tls12, spec->clock, &tls));
    const bp_result r = server_setup(tls, spec);
    ERR_clear_error();
    if (bp_failed(r)) {
        bp_tls_free(tls);
        return r;
    }
    *ret = tls;
    return BP_OK;
}

bp_result bp_tls_server_add_name(struct bp_tls *tls, const char *name, struct bp_tls *other)
{
    const size_t n = strlen(name);
    /* A session that one context made must not be resumed under what another asks. */
    if (n == 0 || n > NAME_MAX_LEN || tls->sessions != NULL || other->sessions != NULL) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (tls->name_count == NAMES_MAX) {
        return BP_FAIL(LIMIT);
    }
    memcpy(tls->names[tls->name_count].name, name, n + 1);
    tls->names[tls->name_count].tls = other;
    tls->name_count++;
    return BP_OK;
}

static bp_result client_setup(struct bp_tls *tls, const struct bp_tls_client_spec *spec)
{
    if (spec->is_unproven == (spec->anchor_count != 0 || spec->anchor_sha256 != NULL) ||
        (spec->is_unproven && spec->own.key != NULL) || (spec->resumes && (spec->is_unproven || spec->clock == NULL))) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (spec->is_unproven) {
        SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_NONE, NULL);
        return BP_OK;
    }
    if (spec->anchor_sha256 != NULL && spec->anchor_count == 0) {
        memcpy(tls->anchor_sha256, spec->anchor_sha256, sizeof tls->anchor_sha256);
        tls->by_hash = true;
    }
    BP_TRY(use_identity(tls, &spec->own));
    BP_TRY(use_anchors(tls, spec->anchors, spec->anchor_count));
    if (spec->own.key != NULL && SSL_CTX_set1_client_sigalgs_list(tls->ctx, "ECDSA+SHA256") != 1) {
        return BP_FAIL(CRYPTO);
    }
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(tls->ctx, verify, tls);
    if (spec->resumes) {
        tls->resumes = true;
        SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls->ctx, on_ticket);
    }
    return BP_OK;
}

bp_result bp_tls_client_new(const struct bp_tls_client_spec *spec, struct bp_tls **ret)
{
    struct bp_tls *tls = NULL;
    BP_TRY(context_new(false, spec->also_tls12, spec->clock, &tls));
    const bp_result r = client_setup(tls, spec);
    ERR_clear_error();
    if (bp_failed(r)) {
        bp_tls_free(tls);
        return r;
    }
    *ret = tls;
    return BP_OK;
}

void bp_tls_free(struct bp_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->ctx);
    bp_resume_free(tls->sessions);
    SSL_SESSION_free(tls->offer);
    for (size_t i = 0; i < tls->ca_count; i++) {
        X509_free(tls->cas[i]);
    }
    free(tls);
}

/* ---- connections ---- */

bp_result bp_tls_accept(struct bp_tls *tls, SSL **ret)
{
    SSL *ssl = SSL_new(tls->ctx);
    if (ssl == NULL) {
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    SSL_set_accept_state(ssl);
    *ret = ssl;
    return BP_OK;
}

static bool name_server(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return true;
    }
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    /* What SSL_set_tlsext_host_name() does, less its cast, which a strict compiler takes for a loss of const. */
    void *name = (void *)(uintptr_t)host;
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

bp_result bp_tls_connect(struct bp_tls *tls, const char *host, SSL **ret)
{
    SSL *ssl = SSL_new(tls->ctx);
    if (ssl == NULL || !name_server(ssl, host) || (tls->resumes && !offer_session(tls, host, ssl))) {
        SSL_free(ssl);
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    SSL_set_connect_state(ssl);
    *ret = ssl;
    return BP_OK;
}

bp_result bp_tls_peer_of(SSL *ssl, struct bp_tls_peer *ret)
{
    const struct known *k = known_of(SSL_get_session(ssl));
    if (k == NULL) {
        return BP_FAIL(NOT_FOUND);
    }
    *ret = k->peer;
    return BP_OK;
}

bp_result bp_tls_peer_leaf(SSL *ssl, uint8_t *ret, size_t cap, size_t *ret_len)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    const int n = leaf != NULL ? i2d_X509(leaf, NULL) : 0;
    if (n <= 0) {
        return BP_FAIL(NOT_FOUND);
    }
    *ret_len = (size_t)n;
    if ((size_t)n > cap) {
        return BP_FAIL(NO_SPACE);
    }
    i2d_X509(leaf, &ret);
    return BP_OK;
}

bp_result bp_tls_exporter(SSL *ssl, uint8_t ret[32])
{
    static const char label[] = BP_TLS_EXPORTER_LABEL;
    uint8_t out[32];
    /* RFC 7627: without it two connections could be made to share a master secret. */
    if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (!SSL_is_init_finished(ssl) ||
        SSL_export_keying_material(ssl, out, sizeof out, label, sizeof label - 1, NULL, 0, 0) != 1) {
        ERR_clear_error();
        return BP_FAIL(CRYPTO);
    }
    memcpy(ret, out, sizeof out);
    bp_wipe(out, sizeof out);
    return BP_OK;
}

/* ---- reading certificates ---- */

bp_result bp_tls_read_certs(bp_span pem_or_der, uint8_t *buf, size_t cap, bp_span *ret, size_t ret_cap,
                            size_t *ret_count)
{
    size_t used = 0, count = 0;
    bp_result r = BP_FAIL(MALFORMED);
    X509 *x = NULL;
    BIO *bio = pem_or_der.n > 0 && pem_or_der.n <= (1u << 20) ? BIO_new_mem_buf(pem_or_der.p, (int)pem_or_der.n) : NULL;
    if (bio == NULL) {
        return r;
    }
    const bool is_der = !bp_failed(parse_cert(pem_or_der, &x));
    while (x != NULL || (!is_der && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)) {
        const int n = i2d_X509(x, NULL);
        if (count == ret_cap) {
            r = BP_FAIL(LIMIT);
            goto out;
        }
        if (n <= 0 || (size_t)n > cap - used) {
            r = BP_FAIL(NO_SPACE);
            goto out;
        }
        unsigned char *p = buf + used;
        i2d_X509(x, &p);
        ret[count++] = bp_span_of(buf + used, (size_t)n);
        used += (size_t)n;
        X509_free(x);
        x = NULL;
    }
    /* The end of a PEM file is reported as "no start line"; anything else is a certificate that does not parse. */
    if (!is_der && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        goto out;
    }
    if (count > 0) {
        *ret_count = count;
        r = BP_OK;
    }
out:
    X509_free(x);
    BIO_free(bio);
    ERR_clear_error();
    return r;
}
