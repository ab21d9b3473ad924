/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2/stores - what the TPM keeps or makes for us: randomness, sealed data, a counter, its own hardening. */
#include <string.h>

#include "base/secret.h"
#include "rot/tpm2/internal.h"

#define BP_MODULE ROT

#define RANDOM_MAX  1024u
#define RANDOM_TURN 32u /* every TPM gives the size of a SHA-256 digest at once */
#define RANDOM_TURNS 128u

/* In the range that the TCG registry leaves to the owner. */
#define COUNTER_INDEX 0x018b0001u
#define DAY_MS        86400000

bp_result tpm2_random(struct bp_rot *rot, uint8_t *ret, size_t n, struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR session = ESYS_TR_NONE;
    uint8_t room[RANDOM_MAX];
    size_t at = 0;
    if (n > RANDOM_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bool ok = op_begin(&op, rot, trace) && op_session(&op, TPMA_SESSION_ENCRYPT, &session);
    for (unsigned turn = 0; ok && at < n && turn < RANDOM_TURNS; turn++) {
        TPM2B_DIGEST *part = NULL;
        const size_t want = n - at < RANDOM_TURN ? n - at : RANDOM_TURN;
        ok = op_ok(&op, Esys_GetRandom(op.esys, session, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)want, &part), "random");
        if (ok) {
            const size_t got = part->size < want ? part->size : want;
            memcpy(room + at, part->buffer, got);
            at += got;
            bp_wipe(part, sizeof(*part));
        }
        Esys_Free(part);
    }
    if (ok && at < n) {
        op_fail(&op, BP_FAIL(ROOT), "random gave too little");
    } else if (ok && n > 0) {
        memcpy(ret, room, n);
    }
    bp_wipe(room, sizeof(room));
    return op_end(&op);
}

/* --- sealed data --- */

/* PolicyPCR over the present values, then PolicyAuthValue, in a trial or a real session. */
static bool pcr_policy(struct op *op, ESYS_TR session, uint16_t bank, uint32_t mask)
{
    TPML_PCR_SELECTION select;
    pcr_select(&select, bank, mask);
    return op_ok(op, Esys_PolicyPCR(op->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &select),
                 "PCR policy") &&
           op_ok(op, Esys_PolicyAuthValue(op->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE),
                 "auth value policy");
}

static bool put_pcr_policy(struct op *op, uint16_t bank, uint32_t mask, TPM2B_DIGEST *ret)
{
    ESYS_TR trial = ESYS_TR_NONE;
    TPM2B_DIGEST *digest = NULL;
    if (!op_start_session(op, TPM2_SE_TRIAL, 0, &trial) || !pcr_policy(op, trial, bank, mask) ||
        !op_ok(op,
               Esys_PolicyGetDigest(op->esys, trial, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest),
               "policy digest")) {
        return false;
    }
    *ret = *digest;
    Esys_Free(digest);
    return op_drop(op, trial);
}

static bool seal_template(struct op *op, uint16_t bank, uint32_t mask, TPM2B_PUBLIC *ret)
{
    *ret = (TPM2B_PUBLIC){0};
    TPMT_PUBLIC *p = &ret->publicArea;
    p->type = TPM2_ALG_KEYEDHASH;
    p->nameAlg = TPM2_ALG_SHA256;
    p->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
    p->parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    if (mask != 0) {
        return put_pcr_policy(op, bank, mask, &p->authPolicy);
    }
    p->objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    return true;
}

bp_result tpm2_seal(struct bp_rot *rot, bp_span data, bp_span auth, uint16_t bank, uint32_t mask,
                    struct bp_rot_blob *ret, struct bp_rot_trace *trace)
{
    struct op op;
    TPM2B_SENSITIVE_CREATE s = {0};
    TPM2B_PUBLIC in;
    TPM2B_PUBLIC *pub = NULL;
    TPM2B_PRIVATE *priv = NULL;
    ESYS_TR srk = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    if (data.n == 0 || data.n > BP_ROT_SEAL_MAX || auth.n != BP_ROT_AUTH_SIZE || mask >> BP_ROT_PCRS != 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    s.sensitive.userAuth.size = BP_ROT_AUTH_SIZE;
    memcpy(s.sensitive.userAuth.buffer, auth.p, auth.n);
    s.sensitive.data.size = (UINT16)data.n;
    memcpy(s.sensitive.data.buffer, data.p, data.n);
    if (op_begin(&op, rot, trace) && seal_template(&op, bank, mask, &in) && op_session(&op, SESS_DE, &session) &&
        op_srk(&op, &srk) &&
        op_ok(&op,
              Esys_Create(op.esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE, &s, &in, &no_outside_info, &no_pcrs,
                          &priv, &pub, NULL, NULL, NULL),
              "seal")) {
        const struct blob head = {.kind = BLOB_SEALED, .bank = mask != 0 ? bank : 0, .mask = mask};
        const bp_result r = blob_write(&head, pub, priv, ret);
        if (bp_failed(r)) {
            op_fail(&op, r, "write sealed blob");
        }
    }
    bp_wipe(&s, sizeof(s));
    Esys_Free(pub);
    Esys_Free(priv);
    return op_end(&op);
}

bp_result tpm2_unseal(struct bp_rot *rot, bp_span blob, bp_span auth, size_t *ret_n, uint8_t ret[BP_ROT_SEAL_MAX],
                      struct bp_rot_trace *trace)
{
    struct op op;
    struct blob b;
    TPM2B_SENSITIVE_DATA *out = NULL;
    ESYS_TR srk = ESYS_TR_NONE;
    ESYS_TR item = ESYS_TR_NONE;
    ESYS_TR load = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    BP_TRY(blob_read(blob, BLOB_SEALED, &b));
    const TPM2_SE type = b.mask != 0 ? TPM2_SE_POLICY : TPM2_SE_HMAC;
    if (op_begin(&op, rot, trace) && op_session(&op, TPMA_SESSION_DECRYPT, &load) && op_srk(&op, &srk) &&
        op_load_blob(&op, &b, srk, load, ESYS_TR_NONE, &item) && op_drop(&op, srk) && op_drop(&op, load) &&
        op_set_auth(&op, item, auth) && op_start_session(&op, type, TPMA_SESSION_ENCRYPT, &session) &&
        (b.mask == 0 || pcr_policy(&op, session, b.bank, b.mask)) &&
        op_ok(&op, Esys_Unseal(op.esys, item, session, ESYS_TR_NONE, ESYS_TR_NONE, &out), "unseal")) {
        if (out->size > BP_ROT_SEAL_MAX) {
            op_fail(&op, BP_FAIL(NO_SPACE), "sealed data too long");
        } else {
            memcpy(ret, out->buffer, out->size);
            *ret_n = out->size;
        }
    }
    if (out != NULL) {
        bp_wipe(out, sizeof(*out));
    }
    Esys_Free(out);
    return op_end(&op);
}

/* --- counter --- */

static bool find_index(struct op *op, uint32_t index, bp_span auth, ESYS_TR *ret)
{
    if (!op_ok(op, Esys_TR_FromTPMPublic(op->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ret),
               "find counter")) {
        return false;
    }
    op_hold(op, *ret, true);
    return op_set_auth(op, *ret, auth);
}

static bool increment(struct op *op, ESYS_TR nv, ESYS_TR session)
{
    return op_ok(op, Esys_TRSess_SetAttributes(op->esys, session, TPMA_SESSION_CONTINUESESSION, 0xff),
                 "session attributes") &&
           op_ok(op, Esys_NV_Increment(op->esys, nv, nv, session, ESYS_TR_NONE, ESYS_TR_NONE), "step counter");
}

static bool read_value(struct op *op, ESYS_TR nv, ESYS_TR session, uint64_t *ret)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    if (!op_ok(op,
               Esys_TRSess_SetAttributes(op->esys, session, TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT,
                                         0xff),
               "session attributes") ||
        !op_ok(op, Esys_NV_Read(op->esys, nv, nv, session, ESYS_TR_NONE, ESYS_TR_NONE, 8, 0, &data),
               "read counter")) {
        return false;
    }
    uint64_t v = 0;
    const bool whole = data->size == 8;
    for (unsigned i = 0; whole && i < 8; i++) {
        v = v << 8 | data->buffer[i];
    }
    Esys_Free(data);
    if (!whole) {
        op_fail(op, BP_FAIL(ROOT), "counter of another size");
        return false;
    }
    *ret = v;
    return true;
}

/* A counter that was defined but never stepped is what a cut between the two left; nobody relies on it. */
static bool remove_unused(struct op *op, uint32_t index, ESYS_TR session)
{
    ESYS_TR nv = ESYS_TR_NONE;
    TPM2B_NV_PUBLIC *pub = NULL;
    const TSS2_RC rc = Esys_TR_FromTPMPublic(op->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv);
    if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER && rc_base(rc) == TPM2_RC_HANDLE) {
        return true;
    }
    if (!op_ok(op, rc, "find counter")) {
        return false;
    }
    op_hold(op, nv, true);
    if (!op_ok(op, Esys_NV_ReadPublic(op->esys, nv, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL),
               "read NV public area")) {
        return false;
    }
    const TPMA_NV attributes = pub->nvPublic.attributes;
    Esys_Free(pub);
    const bool is_counter = (attributes & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT == TPM2_NT_COUNTER;
    if (!is_counter || (attributes & TPMA_NV_WRITTEN) != 0) {
        op_fail(op, BP_FAIL(EXISTS), "there is a counter");
        return false;
    }
    if (!op_ok(op,
               Esys_NV_UndefineSpace(op->esys, ESYS_TR_RH_OWNER, nv, session, ESYS_TR_NONE, ESYS_TR_NONE),
               "remove unused counter")) {
        return false;
    }
    op->held_n--; /* ESAPI closes the object of an index that it removed */
    return true;
}

static bool define_counter(struct op *op, uint32_t index, bp_span auth, ESYS_TR session, ESYS_TR *ret)
{
    TPM2B_AUTH a = {.size = BP_ROT_AUTH_SIZE};
    memcpy(a.buffer, auth.p, BP_ROT_AUTH_SIZE);
    const TPM2B_NV_PUBLIC pub = {
        .nvPublic = {.nvIndex = index,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE |
                                   TPMA_NV_NO_DA,
                     .dataSize = 8}};
    const bool ok = op_ok(op,
                          Esys_TRSess_SetAttributes(op->esys, session,
                                                    TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT, 0xff),
                          "session attributes") &&
                    op_ok(op,
                          Esys_NV_DefineSpace(op->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE, &a,
                                              &pub, ret),
                          "make counter");
    bp_wipe(&a, sizeof(a));
    if (ok) {
        op_hold(op, *ret, true);
    }
    return ok && op_set_auth(op, *ret, auth);
}

bp_result tpm2_counter_make(struct bp_rot *rot, uint32_t index, bp_span auth, int64_t now_ms,
                            struct bp_rot_counter *ret, struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR session = ESYS_TR_NONE;
    ESYS_TR nv = ESYS_TR_NONE;
    struct bp_rot_counter out = {.index = index == 0 ? COUNTER_INDEX : index, .writes = 1, .since_ms = now_ms};
    if (auth.n != BP_ROT_AUTH_SIZE) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (op_begin(&op, rot, trace) && op_session(&op, 0, &session) && remove_unused(&op, out.index, session) &&
        define_counter(&op, out.index, auth, session, &nv) && increment(&op, nv, session) &&
        read_value(&op, nv, session, &out.value)) {
        *ret = out;
    }
    return op_end(&op);
}

static bool open_counter(struct op *op, const struct bp_rot_counter *c, bp_span auth, ESYS_TR *ret_nv,
                         ESYS_TR *ret_session, uint64_t *ret)
{
    uint64_t value = 0;
    if (!find_index(op, c->index, auth, ret_nv) || !op_session(op, 0, ret_session) ||
        !read_value(op, *ret_nv, *ret_session, &value)) {
        return false;
    }
    if (value < c->value) {
        op_fail(op, BP_FAIL(REPLAYED), "the counter is below what it was");
        return false;
    }
    *ret = value;
    return true;
}

bp_result tpm2_counter_read(struct bp_rot *rot, const struct bp_rot_counter *c, bp_span auth, uint64_t *ret,
                            struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR nv = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    uint64_t value = 0;
    if (op_begin(&op, rot, trace) && open_counter(&op, c, auth, &nv, &session, &value)) {
        *ret = value;
    }
    return op_end(&op);
}

static bool is_within_budget(const struct bp_rot_counter *c, int64_t now_ms)
{
    /* A clock that went back gives no credit. */
    const int64_t age_ms = now_ms > c->since_ms ? now_ms - c->since_ms : 0;
    const uint64_t days = 1 + (uint64_t)(age_ms / DAY_MS);
    return c->writes < days * BP_ROT_COUNTER_DAILY;
}

bp_result tpm2_counter_step(struct bp_rot *rot, const struct bp_rot_counter *c, bp_span auth, int64_t now_ms,
                            struct bp_rot_counter *ret, struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR nv = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    struct bp_rot_counter out = *c;
    if (!is_within_budget(c, now_ms)) {
        return BP_FAIL(LIMIT);
    }
    if (op_begin(&op, rot, trace) && open_counter(&op, c, auth, &nv, &session, &out.value)) {
        /* Steps that a cut kept the caller from storing count against the budget too. */
        out.writes += out.value - c->value;
        if (!is_within_budget(&out, now_ms)) {
            op_fail(&op, BP_FAIL(LIMIT), "budget of writes");
        } else if (increment(&op, nv, session) && read_value(&op, nv, session, &out.value)) {
            out.writes++;
            *ret = out;
        }
    }
    return op_end(&op);
}

/* --- hardening --- */

bp_result tpm2_harden(struct bp_rot *rot, bp_span lockout_auth, struct bp_rot_hardening *ret,
                      struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR session = ESYS_TR_NONE;
    uint32_t permanent = 0;
    TPM2B_AUTH a = {.size = BP_ROT_AUTH_SIZE};
    if (lockout_auth.n != BP_ROT_AUTH_SIZE) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (!op_begin(&op, rot, trace) || !op_property(&op, TPM2_PT_PERMANENT, &permanent)) {
        return op_end(&op);
    }
    struct bp_rot_hardening out = {.auth_was_set = (permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0,
                                   .clear_disabled = (permanent & TPMA_PERMANENT_DISABLECLEAR) != 0};
    memcpy(a.buffer, lockout_auth.p, lockout_auth.n);
    if (!out.auth_was_set) {
        /* Clearing first: cut short in between, the next call finds an empty value and goes on. */
        const bool disabled =
            op_set_auth(&op, ESYS_TR_RH_LOCKOUT, BP_SPAN_EMPTY) && op_session(&op, 0, &session) &&
            (out.clear_disabled || op_ok(&op,
                                         Esys_ClearControl(op.esys, ESYS_TR_RH_LOCKOUT, session, ESYS_TR_NONE,
                                                           ESYS_TR_NONE, TPM2_YES),
                                         "disable clearing"));
        out.clear_disabled = out.clear_disabled || disabled;
        out.auth_set_now =
            disabled &&
            op_ok(&op,
                  Esys_TRSess_SetAttributes(op.esys, session, TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT,
                                            0xff),
                  "session attributes") &&
            op_ok(&op,
                  Esys_HierarchyChangeAuth(op.esys, ESYS_TR_RH_LOCKOUT, session, ESYS_TR_NONE, ESYS_TR_NONE, &a),
                  "set lockout value");
    }
    bp_wipe(&a, sizeof(a));
    if (!op.t->broken && op.esys != NULL) {
        (void)op_set_auth(&op, ESYS_TR_RH_LOCKOUT, BP_SPAN_EMPTY); /* ESAPI remembers the value */
    }
    if (!bp_failed(op.r)) {
        *ret = out;
    }
    return op_end(&op);
}

bp_result tpm2_lockout(struct bp_rot *rot, bp_span lockout_auth, struct bp_rot_hardening *ret,
                       struct bp_rot_trace *trace)
{
    struct op op;
    ESYS_TR session = ESYS_TR_NONE;
    uint32_t permanent = 0;
    if (lockout_auth.n != 0 && lockout_auth.n != BP_ROT_AUTH_SIZE) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if (!op_begin(&op, rot, trace) || !op_property(&op, TPM2_PT_PERMANENT, &permanent)) {
        return op_end(&op);
    }
    const struct bp_rot_hardening out = {.auth_was_set = (permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0,
                                         .clear_disabled = (permanent & TPMA_PERMANENT_DISABLECLEAR) != 0};
    if (out.auth_was_set && lockout_auth.n != 0) {
        /* Resetting the count of failed tries is the one use of the value that changes nothing else. */
        (void)(op_set_auth(&op, ESYS_TR_RH_LOCKOUT, lockout_auth) && op_session(&op, 0, &session) &&
               op_ok(&op,
                     Esys_DictionaryAttackLockReset(op.esys, ESYS_TR_RH_LOCKOUT, session, ESYS_TR_NONE, ESYS_TR_NONE),
                     "prove lockout value"));
        if (!op.t->broken && op.esys != NULL) {
            (void)op_set_auth(&op, ESYS_TR_RH_LOCKOUT, BP_SPAN_EMPTY); /* ESAPI remembers the value */
        }
    }
    if (!bp_failed(op.r)) {
        *ret = out;
    }
    return op_end(&op);
}
