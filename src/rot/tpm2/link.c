/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2/link - the connection to the TPM, the scope of one call, and what response codes mean to us. */
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_tctildr.h>

#include "rot/tpm2/internal.h"

#define BP_MODULE ROT

/* TPM_HT_TRANSIENT in the top byte; the macro of tpm2-tss shifts into the sign of an int. */
#define TRANSIENT_FIRST 0x80000000u

static const struct bp_rot_ops ops = {
    .info = tpm2_info,
    .identity = tpm2_identity,
    .key_make = tpm2_key_make,
    .key_public = tpm2_key_public,
    .key_file = tpm2_key_file,
    .key_load = tpm2_key_load,
    .activate = tpm2_activate,
    .certify = tpm2_certify,
    .sign = tpm2_sign,
    .quote = tpm2_quote,
    .random = tpm2_random,
    .seal = tpm2_seal,
    .unseal = tpm2_unseal,
    .counter_make = tpm2_counter_make,
    .counter_read = tpm2_counter_read,
    .counter_step = tpm2_counter_step,
    .clock = tpm2_clock,
    .harden = tpm2_harden,
    .lockout = tpm2_lockout,
};

static TSS2_RC layer_of(TSS2_RC rc)
{
    return rc & TSS2_RC_LAYER_MASK;
}

/* True when the TPM itself answered; a resource manager passes such answers on or gives its own. */
static bool is_from_tpm(TSS2_RC rc)
{
    const TSS2_RC layer = layer_of(rc);
    return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

TSS2_RC rc_base(TSS2_RC rc)
{
    const TSS2_RC code = rc & 0xffffu;
    return (code & TPM2_RC_FMT1) != 0 ? code & (TPM2_RC_FMT1 | 0x3fu) : code;
}

static bp_result meaning_of_format_one(TSS2_RC base)
{
    switch (base) {
    case TPM2_RC_AUTH_FAIL:
    case TPM2_RC_BAD_AUTH:
    case TPM2_RC_POLICY_FAIL:
        return BP_FAIL(DENIED);
    case TPM2_RC_INTEGRITY:
        return BP_FAIL(MISMATCH);
    case TPM2_RC_HANDLE:
        return BP_FAIL(NOT_FOUND);
    case TPM2_RC_CURVE:
    case TPM2_RC_ASYMMETRIC:
    case TPM2_RC_SYMMETRIC:
    case TPM2_RC_HASH:
    case TPM2_RC_KEY_SIZE:
        return BP_FAIL(UNSUPPORTED);
    case TPM2_RC_SIZE:
    case TPM2_RC_VALUE:
    case TPM2_RC_INSUFFICIENT:
    case TPM2_RC_TYPE:
    case TPM2_RC_KEY:
    case TPM2_RC_ECC_POINT:
        return BP_FAIL(MALFORMED);
    default:
        return BP_FAIL(ROOT);
    }
}

static bp_result meaning_of(TSS2_RC rc)
{
    const TSS2_RC base = rc_base(rc);
    if ((base & TPM2_RC_FMT1) != 0) {
        return meaning_of_format_one(base);
    }
    switch (base) {
    /* ESAPI has sent RETRY, YIELDED and TESTING again by itself, five times, before they come here. */
    case TPM2_RC_RETRY:
    case TPM2_RC_YIELDED:
    case TPM2_RC_TESTING:
    case TPM2_RC_CANCELED:
    case TPM2_RC_NV_RATE:
    case TPM2_RC_NV_UNAVAILABLE:
        return BP_FAIL(BUSY);
    case TPM2_RC_LOCKOUT:
    case TPM2_RC_PCR_CHANGED:
    case TPM2_RC_DISABLED:
        return BP_FAIL(DENIED);
    case TPM2_RC_NV_DEFINED:
        return BP_FAIL(EXISTS);
    case TPM2_RC_NV_SPACE:
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_SESSION_MEMORY:
    case TPM2_RC_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
    case TPM2_RC_SESSION_HANDLES:
        return BP_FAIL(NO_SPACE);
    default:
        return BP_FAIL(ROOT); /* INITIALIZE and FAILURE among them: nothing works until the platform restarts it */
    }
}

static void trace_set(struct bp_rot_trace *trace, TSS2_RC rc, const char *what)
{
    if (trace != NULL) {
        trace->rc = rc;
        trace->what = what;
    }
}

static void disconnect(struct tpm2 *t)
{
    if (t->esys != NULL) {
        Esys_Finalize(&t->esys);
    }
    if (t->tcti != NULL) {
        Tss2_TctiLdr_Finalize(&t->tcti);
    }
}

static TSS2_RC flush_range(ESYS_CONTEXT *esys, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first,
                                    TPM2_MAX_CAP_HANDLES, NULL, &data);
    if (rc != TSS2_RC_SUCCESS) {
        return rc;
    }
    const TPML_HANDLE *list = &data->data.handles;
    for (uint32_t i = 0; i < list->count && rc == TSS2_RC_SUCCESS; i++) {
        ESYS_TR tr = ESYS_TR_NONE;
        rc = Esys_TR_FromTPMPublic(esys, list->handle[i], ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
        if (rc == TSS2_RC_SUCCESS) {
            rc = Esys_FlushContext(esys, tr);
        }
    }
    Esys_Free(data);
    return rc;
}

static TSS2_RC connect_anew(struct tpm2 *t, const char **what)
{
    disconnect(t);
    *what = "connect";
    TSS2_RC rc = Tss2_TctiLdr_Initialize(t->tcti_conf, &t->tcti);
    if (rc != TSS2_RC_SUCCESS) {
        t->tcti = NULL;
        return rc;
    }
    rc = Esys_Initialize(&t->esys, t->tcti, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        t->esys = NULL;
        disconnect(t);
        return rc;
    }
    /* Left by a transfer that broke, or by a process that was killed. */
    *what = "flush what was left";
    rc = flush_range(t->esys, TRANSIENT_FIRST);
    if (rc == TSS2_RC_SUCCESS) {
        rc = flush_range(t->esys, TPM2_LOADED_SESSION_FIRST);
    }
    t->broken = rc != TSS2_RC_SUCCESS;
    return rc;
}

void op_fail(struct op *op, bp_result r, const char *what)
{
    if (!bp_failed(op->r)) {
        op->r = r;
        trace_set(op->trace, 0, what);
    }
}

bool op_ok(struct op *op, TSS2_RC rc, const char *what)
{
    if (rc == TSS2_RC_SUCCESS) {
        return true;
    }
    const bool from_tpm = is_from_tpm(rc);
    if (!from_tpm) {
        op->t->broken = true; /* ESAPI does not go on after one: its state machine is stuck */
    }
    if (!bp_failed(op->r)) {
        op->r = from_tpm ? meaning_of(rc) : BP_FAIL(CLOSED);
        trace_set(op->trace, rc, what);
    }
    return false;
}

bool op_begin(struct op *op, struct bp_rot *rot, struct bp_rot_trace *trace)
{
    struct tpm2 *t = (struct tpm2 *)(void *)rot;
    *op = (struct op){.t = t, .trace = trace};
    trace_set(trace, 0, "");
    if (t->broken || t->esys == NULL) {
        const char *what = "";
        if (!op_ok(op, connect_anew(t, &what), what)) {
            return false;
        }
    }
    op->esys = t->esys;
    return true;
}

void op_hold(struct op *op, ESYS_TR tr, bool only_here)
{
    if (op->held_n == OP_HELD) {
        op_fail(op, BP_FAIL(INTERNAL), "more held than counted on");
        return;
    }
    op->held[op->held_n].tr = tr;
    op->held[op->held_n].only_here = only_here;
    op->held_n++;
}

static bool let_go(struct op *op, unsigned i)
{
    ESYS_TR tr = op->held[i].tr;
    const bool only_here = op->held[i].only_here;
    for (unsigned j = i + 1; j < op->held_n; j++) {
        op->held[j - 1] = op->held[j];
    }
    op->held_n--;
    const TSS2_RC rc = only_here ? Esys_TR_Close(op->esys, &tr) : Esys_FlushContext(op->esys, tr);
    /* Whatever the reason, it is still there: connecting anew flushes it. */
    op->t->broken = op->t->broken || rc != TSS2_RC_SUCCESS;
    return op_ok(op, rc, "flush");
}

bool op_drop(struct op *op, ESYS_TR tr)
{
    for (unsigned i = 0; i < op->held_n; i++) {
        if (op->held[i].tr == tr) {
            return let_go(op, i);
        }
    }
    return true;
}

bp_result op_end(struct op *op)
{
    struct tpm2 *t = op->t;
    /* What came out of the call is decided; a flush that fails now is made good by connecting anew. */
    const bp_result r = op->r;
    const struct bp_rot_trace trace = op->trace != NULL ? *op->trace : (struct bp_rot_trace){0, ""};
    while (op->held_n > 0 && !t->broken) {
        (void)let_go(op, op->held_n - 1);
    }
    if (t->broken) {
        const char *what = "";
        (void)connect_anew(t, &what);
    }
    if (op->trace != NULL) {
        *op->trace = trace;
    }
    return r;
}

void saved_forget(struct saved *s)
{
    Esys_Free(s->context);
    s->context = NULL;
    s->pub_n = 0;
}

bp_result bp_rot_tpm2_new(const char *tcti, struct bp_rot **ret, struct bp_rot_trace *trace)
{
    struct tpm2 *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    t->rot.ops = &ops;
    t->tcti_conf = strdup(tcti);
    if (t->tcti_conf == NULL) {
        free(t);
        return BP_FAIL(NO_MEMORY);
    }
    struct op op;
    (void)op_begin(&op, &t->rot, trace);
    if (bp_failed(op.r)) {
        bp_rot_tpm2_free(&t->rot);
        return op.r;
    }
    *ret = &t->rot;
    return BP_OK;
}

void bp_rot_tpm2_free(struct bp_rot *rot)
{
    struct tpm2 *t = (struct tpm2 *)(void *)rot;
    if (t == NULL) {
        return;
    }
    saved_forget(&t->srk);
    saved_forget(&t->attest);
    disconnect(t);
    free(t->tcti_conf);
    free(t);
}
