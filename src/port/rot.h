/* SPDX-License-Identifier: Apache-2.0 */
/* port/rot - the seam to roots of trust: what a chip can do for its device, whatever the chip is.
 *
 * A root makes keys that cannot leave it and hands them out as blobs (wrapped, one CBOR object each); it keeps none.
 * The caller keeps blobs and the 32-byte auth value of each, and wipes the latter. What a root signs is handed on
 * verbatim, in the root's own format, so that a verifier sees the bytes that were signed. A root holds no handle, no
 * session and no secret between two calls. Calls block; a root is not for use by two processes at once.
 * It deliberately does not judge evidence, does not log and does not choose policy.
 *
 * Errors common to all calls, cause in the trace when the caller gives one:
 *   ROOT         the root is absent, not started by the firmware, or failed     CLOSED  the connection to it broke
 *   BUSY         try later: it limits its rate of writing, or asks to wait
 *   DENIED       wrong auth value, policy not met, or locked out by wrong auth values
 *   MISMATCH     the blob is not of this root: another chip, or the root was cleared
 *   MALFORMED, UNSUPPORTED  the blob or what was given in is not what the call takes
 *   NO_SPACE     the answer does not fit, or the root has no room
 * Outputs are untouched on failure. */
#ifndef BP_PORT_ROT_H
#define BP_PORT_ROT_H

#include "base/result.h"
#include "base/span.h"

/* The backend's own answer (a TPM response code with its layer) and the step that got it; for people. */
struct bp_rot_trace {
    uint32_t rc;
    const char *what; /* static text */
};

enum bp_rot_kind { BP_ROT_TPM2 = 1, BP_ROT_DICE, BP_ROT_PKCS11, BP_ROT_SOFTWARE };

/* What a root can prove. A bit that is not set is something no verdict may conclude from this root. Whether the chip is
 * discrete, firmware or virtual is not for it to say: the issuer of its certificate tells. */
#define BP_ROT_PROVES_IDENTITY  0x01u /* a key that the maker certified and that cannot be copied */
#define BP_ROT_PROVES_RESIDENCE 0x02u /* which keys live inside */
#define BP_ROT_PROVES_BOOT      0x04u /* what was measured since reset */
#define BP_ROT_PROVES_TIME      0x08u /* resets and elapsed time, signed */
#define BP_ROT_PROVES_COUNT     0x10u /* a count that never falls */

struct bp_rot_info {
    enum bp_rot_kind kind;
    uint32_t proves;
    /* zero-terminated printable ASCII */
    char manufacturer[16];
    char model[32];
    char firmware[32];
    char spec[32];
};

#define BP_ROT_AUTH_SIZE    32u
#define BP_ROT_PUBLIC_MAX   640u
#define BP_ROT_CERT_MAX     4096u
#define BP_ROT_BLOB_MAX     1536u
#define BP_ROT_ATTEST_MAX   512u
#define BP_ROT_SIG_MAX      544u
#define BP_ROT_SECRET_MAX   64u
#define BP_ROT_SEAL_MAX     128u
#define BP_ROT_IDENTITIES   4u
#define BP_ROT_FILE_MAX     1024u
#define BP_ROT_PCRS         24u
#define BP_ROT_PCR_MAX      64u /* longest PCR value */

/* A certified (or certifiable) identity key of the chip. `template_id` is the number that docs/protocol/device.md
 * gives it in hello; key bytes are in the root's format (TPM: TPM2B_PUBLIC). cert_n is 0 when there is none. */
struct bp_rot_identity {
    uint32_t template_id;
    size_t pub_n, cert_n;
    uint8_t pub[BP_ROT_PUBLIC_MAX];
    uint8_t cert[BP_ROT_CERT_MAX];
};

/* A key or sealed datum that only its root can open. */
struct bp_rot_blob {
    size_t n;
    uint8_t v[BP_ROT_BLOB_MAX];
};

enum bp_rot_key_kind {
    BP_ROT_KEY_ATTEST = 1, /* signs only what the root itself states; child of identity `template_id` */
    BP_ROT_KEY_DEVICE = 2  /* signs any digest; LDevID and application keys */
};

/* A statement of the root and the signature over it, both as the root gave them. */
struct bp_rot_statement {
    size_t attest_n, sig_n;
    uint8_t attest[BP_ROT_ATTEST_MAX];
    uint8_t sig[BP_ROT_SIG_MAX];
};

/* PCRs of one bank, lowest first, each of value_n bytes; bit n of mask is PCR n. */
struct bp_rot_pcrs {
    uint16_t bank; /* TPM_ALG_ID of the hash */
    uint32_t mask;
    size_t count, value_n;
    uint8_t v[BP_ROT_PCRS][BP_ROT_PCR_MAX];
};

struct bp_rot_clock {
    uint64_t clock_ms;
    uint32_t reset_count, restart_count;
    bool safe;
};

/* A monotonic counter, as its user remembers it. The user stores this after each step; it is what makes a younger or
 * replaced counter visible, and what keeps writes within the budget of the root's memory. */
#define BP_ROT_COUNTER_DAILY 10u
struct bp_rot_counter {
    uint32_t index;
    uint64_t value;   /* the highest seen */
    uint64_t writes;  /* since since_ms */
    int64_t since_ms; /* when it was made, by the caller's clock */
};

/* What hardening found and did. */
struct bp_rot_hardening {
    bool auth_set_now;    /* the lockout value is now the one the caller gave */
    bool auth_was_set;    /* somebody had set one before; whose is not known and was not tried */
    bool clear_disabled;  /* the chip cannot be cleared by its owner any more */
};

struct bp_rot;

/* One implementation of the seam. Members that a kind cannot do are NULL; the functions below answer UNSUPPORTED. */
struct bp_rot_ops {
    bp_result (*info)(struct bp_rot *, struct bp_rot_info *ret, struct bp_rot_trace *);
    bp_result (*identity)(struct bp_rot *, uint32_t at, struct bp_rot_identity *ret, struct bp_rot_trace *);
    bp_result (*key_make)(struct bp_rot *, enum bp_rot_key_kind kind, uint32_t template_id, bp_span auth,
                          struct bp_rot_blob *ret, struct bp_rot_trace *);
    bp_result (*key_public)(struct bp_rot *, bp_span blob, bp_span *ret);
    bp_result (*key_load)(struct bp_rot *, bp_span blob, struct bp_rot_trace *);
    bp_result (*key_file)(struct bp_rot *, bp_span blob, size_t *ret_n, uint8_t ret[BP_ROT_FILE_MAX], const char **ret_label);
    bp_result (*activate)(struct bp_rot *, uint32_t template_id, bp_span attest_key, bp_span auth, bp_span id_object,
                          bp_span secret, size_t *ret_n, uint8_t ret[BP_ROT_SECRET_MAX], struct bp_rot_trace *);
    bp_result (*certify)(struct bp_rot *, bp_span attest_key, bp_span attest_auth, bp_span key, bp_span key_auth,
                         bp_span qualifying, struct bp_rot_statement *ret, struct bp_rot_trace *);
    bp_result (*sign)(struct bp_rot *, bp_span key, bp_span auth, bp_span digest, uint8_t ret[64],
                      struct bp_rot_trace *);
    bp_result (*quote)(struct bp_rot *, bp_span attest_key, bp_span auth, uint16_t bank, uint32_t mask,
                       bp_span extra, struct bp_rot_statement *ret, struct bp_rot_pcrs *ret_pcrs,
                       struct bp_rot_trace *);
    bp_result (*random)(struct bp_rot *, uint8_t *ret, size_t n, struct bp_rot_trace *);
    bp_result (*seal)(struct bp_rot *, bp_span data, bp_span auth, uint16_t bank, uint32_t mask,
                      struct bp_rot_blob *ret, struct bp_rot_trace *);
    bp_result (*unseal)(struct bp_rot *, bp_span blob, bp_span auth, size_t *ret_n, uint8_t ret[BP_ROT_SEAL_MAX],
                        struct bp_rot_trace *);
    bp_result (*counter_make)(struct bp_rot *, uint32_t index, bp_span auth, int64_t now_ms,
                              struct bp_rot_counter *ret, struct bp_rot_trace *);
    bp_result (*counter_read)(struct bp_rot *, const struct bp_rot_counter *, bp_span auth, uint64_t *ret,
                              struct bp_rot_trace *);
    bp_result (*counter_step)(struct bp_rot *, const struct bp_rot_counter *, bp_span auth, int64_t now_ms,
                              struct bp_rot_counter *ret, struct bp_rot_trace *);
    bp_result (*clock)(struct bp_rot *, struct bp_rot_clock *ret, struct bp_rot_trace *);
    bp_result (*harden)(struct bp_rot *, bp_span lockout_auth, struct bp_rot_hardening *ret, struct bp_rot_trace *);
    bp_result (*lockout)(struct bp_rot *, bp_span lockout_auth, struct bp_rot_hardening *ret, struct bp_rot_trace *);
};

/* An implementation's state begins with this. */
struct bp_rot {
    const struct bp_rot_ops *ops;
};

/* The functions below are called as rot->ops->NAME(rot, ...); `trace` may be NULL everywhere.
 *
 * info          Tells what the root is and what it can prove.
 * identity      Gives identity key number `at`, counted from 0, certified ones first in the order in which the
 *               protocol prefers them. NOT_FOUND past the last.
 * key_make      Makes a P-256 key inside the root. auth: 32 unpredictable bytes, or none for a device key that other
 *               programs are to use (key_file). template_id: the identity that an
 *               attestation key hangs under; 0 for a device key. Loss of the identity's hierarchy loses the key.
 * key_public    Points ret at the public area inside blob (TPM: TPM2B_PUBLIC). Asks the root nothing.
 * key_load      Checks that the root still accepts the key. MISMATCH when it was cleared or is another.
 * key_file      A device key without an auth value in the form in which other programs of this machine take keys of the
 *               root, and the label of its PEM block (TPM: "TSS2 PRIVATE KEY"). It is useless without the root; whoever
 *               may read it and use the root may sign with it. Asks the root nothing.
 * activate      Opens a credential that was made for identity template_id and the name of attest_key; id_object and
 *               secret are sized buffers (TPM2B) as the server sent them. DENIED, MISMATCH or MALFORMED when not for us.
 * certify       Lets the attestation key state that `key` lives in the same root. qualifying: at most 64 bytes.
 * sign          ECDSA P-256 over a SHA-256 digest (32 bytes) with a device key; ret = r || s.
 * quote         Lets the attestation key state the PCRs of mask in bank, with extra (at most 64 bytes) bound in.
 *               ret_pcrs are the values that the statement's digest is over; BUSY when PCRs kept moving.
 * random        Fills ret with n <= 1024 bytes from the root's generator.
 * seal, unseal  Keeps up to BP_ROT_SEAL_MAX bytes so that only this root opens them, with auth and, when mask is not 0,
 *               while the PCRs have the values they have now. Unseal: DENIED when they have not.
 * counter_make  Makes the counter at `index` (0 takes the root's default). EXISTS when there is one.
 * counter_read  Reads it. NOT_FOUND when it is missing, REPLAYED when it is below what the caller remembers: both mean
 *               that the root was exchanged or reset, and the caller refuses.
 * counter_step  Adds one; the caller stores ret before it relies on it. LIMIT above BP_ROT_COUNTER_DAILY writes a day
 *               on the average since it was made. Else as counter_read.
 * clock         Reads the root's clock and reset counters (not signed; a quote has them signed).
 * harden        Disables clearing and sets the lockout value to lockout_auth (32 bytes), which the caller has
 *               escrowed before. A value that is set already is left alone and reported, not tried: a wrong guess
 *               would lock the chip for a day. Safe to repeat.
 * lockout       Tells what harden would find and changes nothing. With a lockout_auth that is not empty and a value that
 *               is set, proves that they are the same, by one use: only for a caller that began to set this very value
 *               and was cut short. DENIED when it is another. */

#endif
