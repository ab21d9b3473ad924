/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/operators/operators - who the people are: one-time codes, sessions, keys of certificates, roles.
 *
 * Codes and cookies are stored as hashes only; the CSRF token is derived from the cookie, so nothing
 * of a session can be made from the store. Calls that write run inside the keeper's open group and
 * append their event. There are no passwords. The caller owns struct bp_operators; its table of
 * attempts is lost on restart, on purpose: it bounds noise in the log, a code has 130 bits. */
#ifndef BP_FLEET_OPERATORS_OPERATORS_H
#define BP_FLEET_OPERATORS_OPERATORS_H

#include "codec/problem.h"
#include "fleet/events/log.h"
#include "fleet/store/store.h"
#include "port/crypto.h"
#include "port/entropy.h"

#define BP_OPERATOR_CODE_TEXT    26u /* characters of a code: 130 bits, base32 */
#define BP_OPERATOR_CODE_MS      (15 * 60 * 1000LL)
#define BP_OPERATOR_SESSION_MS   (8 * 3600 * 1000LL)
#define BP_OPERATOR_IDLE_MS      (30 * 60 * 1000LL)
#define BP_OPERATOR_COOKIE       "__Host-bedplate"
#define BP_OPERATOR_TOKEN_HEX    64u
#define BP_OPERATOR_ATTEMPTS     10u /* refused ones of a source in BP_OPERATOR_ATTEMPT_MS */
#define BP_OPERATOR_ATTEMPT_MS   (10 * 60 * 1000LL)
#define BP_OPERATOR_SOURCES      256u
#define BP_OPERATOR_CERT_DAYS    90u

enum bp_role { BP_OPR_NONE, BP_OPR_VIEWER, BP_OPR_ADMIN };
const char *bp_role_name(enum bp_role role); /* "", "viewer", "admin" */
enum bp_role bp_role_of_name(bp_span name);  /* NONE: there is no such role */

struct bp_operators {
    bp_store *store;
    struct bp_log *log;
    struct bp_crypto *crypto;
    const struct bp_entropy *entropy;
    int64_t now_ms; /* set at the beginning of each act */
};

/* Attempts by source; zeroed at the start. */
struct bp_attempts {
    struct {
        uint8_t source[16]; /* beginning of a hash of its address */
        int64_t since_ms;
        uint32_t count;
    } row[BP_OPERATOR_SOURCES];
};
/* Whether a source may try now; *ret_wait_s says how long it may not. */
BP_MUST_CHECK bool bp_attempts_may(struct bp_attempts *a, struct bp_crypto *c, bp_span source, int64_t now_ms,
                                   uint32_t *ret_wait_s);
/* One attempt of it was refused. */
void bp_attempts_refused(struct bp_attempts *a, struct bp_crypto *c, bp_span source, int64_t now_ms);

/* Makes a one-time code for a role; `name` is whom it signs in (empty: a new operator). ret_code is
 * shown once and never stored. Writes the event code-made. `bedplated init` makes the first one, with
 * actor "init". VALUE: the name is too long, or an operator of that name has another role. */
BP_MUST_CHECK bp_result bp_operators_code(struct bp_operators *o, enum bp_role role, bp_span name, bp_span actor,
                                          char ret_code[BP_OPERATOR_CODE_TEXT + 1], enum bp_problem *ret_problem);

/* Puts back a code that was taken and served nothing. */
BP_MUST_CHECK bp_result bp_operators_code_back(struct bp_operators *o, const struct bp_code *code);

/* Takes a code out of the store. BAD_CODE: wrong, spent or expired. */
BP_MUST_CHECK bp_result bp_operators_code_take(struct bp_operators *o, bp_span code, struct bp_code *ret,
                                               enum bp_problem *ret_problem);

/* Finds or makes the operator that a code speaks for. FORBIDDEN: disabled; CONFLICT: the name is taken;
 * VALUE: the name is not allowed, or not the code's. */
BP_MUST_CHECK bp_result bp_operators_of_code(struct bp_operators *o, const struct bp_code *code, bp_span name,
                                             struct bp_operator *ret, enum bp_problem *ret_problem);

/* Opens a session: ret_cookie is the cookie's value (64 hex digits), shown once. Event signed-in. */
BP_MUST_CHECK bp_result bp_operators_session(struct bp_operators *o, const struct bp_operator *who,
                                             char ret_cookie[BP_OPERATOR_TOKEN_HEX + 1], int64_t *ret_expires_ms);

/* Puts the key of an operator's certificate in place. CONFLICT: the key is another's. Event
 * operator-certificate. */
BP_MUST_CHECK bp_result bp_operators_certify(struct bp_operators *o, struct bp_operator *who, const uint8_t spki[32],
                                             enum bp_problem *ret_problem);

/* Who asks. */
struct bp_identity {
    struct bp_operator who;
    enum bp_role role;
    bool by_certificate;
    int64_t expires_ms; /* of the session; 0: by certificate */
    uint8_t token[BP_DIGEST_SIZE];
    char csrf[BP_OPERATOR_TOKEN_HEX + 1]; /* empty: by certificate */
};

/* Finds out who asks; only reads, so that readers use it too. peer_spki: 32 bytes or empty.
 *   NOT_SIGNED_IN  neither a session in force nor a known key */
BP_MUST_CHECK bp_result bp_operators_identify(bp_store *s, struct bp_crypto *c, int64_t now_ms, bp_span cookie_header,
                                              bp_span peer_spki, struct bp_identity *ret,
                                              enum bp_problem *ret_problem);

/* The session was used just now; writes at most once a minute. */
BP_MUST_CHECK bp_result bp_operators_touch(struct bp_operators *o, const struct bp_identity *id);
/* Ends the session. Event signed-out. */
BP_MUST_CHECK bp_result bp_operators_end(struct bp_operators *o, const struct bp_identity *id);
/* Notes a refused sign-in. */
BP_MUST_CHECK bp_result bp_operators_refused(struct bp_operators *o, bp_span source, const char *reason);

/* Refuses control characters and what is longer than BP_NAME_MAX; copies. */
bool bp_operators_name_ok(bp_span name);

#endif
