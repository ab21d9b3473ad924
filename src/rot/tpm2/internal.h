/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2/internal - what the files of rot/tpm2 share: the link to the TPM, and the scope of one call.
 *
 * A call is: op_begin, steps that each end in op_ok, op_end. What a step makes in the TPM is given to op_hold at once;
 * op_end flushes it on every path. */
#ifndef BP_ROT_TPM2_INTERNAL_H
#define BP_ROT_TPM2_INTERNAL_H

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tcti.h>

#include "rot/tpm2/tpm2.h"

/* A key as a TPM-wrapped context, and the public area that says which it is. */
struct saved {
    TPMS_CONTEXT *context;
    size_t pub_n;
    uint8_t pub[BP_ROT_PUBLIC_MAX];
};

struct tpm2 {
    struct bp_rot rot;
    char *tcti_conf;
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    bool broken; /* the next call connects anew */
    struct saved srk, attest;
};

#define OP_HELD 8u

struct op {
    struct tpm2 *t;
    ESYS_CONTEXT *esys;
    struct bp_rot_trace *trace;
    bp_result r;
    unsigned held_n;
    struct {
        ESYS_TR tr;
        bool only_here; /* an ESYS object without something transient in the TPM */
    } held[OP_HELD];
};

/* link.c */
/* Starts a call; false when there is no TPM to talk to (op->r says so). op_end is due in either case. */
bool op_begin(struct op *op, struct bp_rot *rot, struct bp_rot_trace *trace);
/* Takes the answer of a step; false when it failed. The first failure stays. */
bool op_ok(struct op *op, TSS2_RC rc, const char *what);
/* Records a failure of our own. */
void op_fail(struct op *op, bp_result r, const char *what);
/* From here on op_end flushes tr. */
void op_hold(struct op *op, ESYS_TR tr, bool only_here);
/* Flushes one that is held now: the TPM has few places. */
bool op_drop(struct op *op, ESYS_TR tr);
bp_result op_end(struct op *op);
/* The code without layer, parameter and session number. */
TSS2_RC rc_base(TSS2_RC rc);
void saved_forget(struct saved *s);

/* keys.c */
#define SESS_DE (TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)
bool op_srk(struct op *op, ESYS_TR *ret);
/* A session salted to the storage parent, which is flushed again; attributes are those of parameter encryption. */
bool op_start_session(struct op *op, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret);
/* The same, HMAC. */
bool op_session(struct op *op, TPMA_SESSION attributes, ESYS_TR *ret);
bool op_set_auth(struct op *op, ESYS_TR object, bp_span auth);
bool op_ek(struct op *op, uint32_t template_id, ESYS_TR *ret, TPM2B_PUBLIC **ret_pub);
/* A session that fulfils the EK's policy, or its empty auth value in the H range. */
bool op_ek_auth(struct op *op, uint32_t template_id, ESYS_TR *ret);
bool op_load_attest(struct op *op, bp_span blob, bp_span auth, ESYS_TR *ret);
bool op_load_device(struct op *op, bp_span blob, bp_span auth, ESYS_TR *ret);

enum blob_kind { BLOB_ATTEST = BP_ROT_KEY_ATTEST, BLOB_DEVICE = BP_ROT_KEY_DEVICE, BLOB_SEALED };
struct blob {
    uint64_t kind;
    uint32_t template_id; /* ATTEST: of the parent */
    uint16_t bank;        /* SEALED to PCRs */
    uint32_t mask;
    bp_span pub, priv; /* TPM2B_PUBLIC, TPM2B_PRIVATE */
};
bp_result blob_read(bp_span in, enum blob_kind kind, struct blob *ret);
/* Marshals the pair into the one CBOR object. */
bp_result blob_write(const struct blob *head, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
                     struct bp_rot_blob *ret);
bool op_load_blob(struct op *op, const struct blob *b, ESYS_TR parent, ESYS_TR auth_session, ESYS_TR crypt_session,
                  ESYS_TR *ret);

bp_result tpm2_identity(struct bp_rot *, uint32_t at, struct bp_rot_identity *ret, struct bp_rot_trace *);
bp_result tpm2_key_make(struct bp_rot *, enum bp_rot_key_kind kind, uint32_t template_id, bp_span auth,
                        struct bp_rot_blob *ret, struct bp_rot_trace *);
bp_result tpm2_key_public(struct bp_rot *, bp_span blob, bp_span *ret);
bp_result tpm2_key_file(struct bp_rot *, bp_span blob, size_t *ret_n, uint8_t ret[BP_ROT_FILE_MAX], const char **ret_label);
bp_result tpm2_key_load(struct bp_rot *, bp_span blob, struct bp_rot_trace *);

/* evidence.c */
/* 0 when the TPM does not know the property. */
bool op_property(struct op *op, TPM2_PT which, uint32_t *ret);
void pcr_select(TPML_PCR_SELECTION *ret, uint16_t bank, uint32_t mask);
bp_result tpm2_info(struct bp_rot *, struct bp_rot_info *ret, struct bp_rot_trace *);
bp_result tpm2_activate(struct bp_rot *, uint32_t template_id, bp_span attest_key, bp_span auth, bp_span id_object,
                        bp_span secret, size_t *ret_n, uint8_t ret[BP_ROT_SECRET_MAX], struct bp_rot_trace *);
bp_result tpm2_certify(struct bp_rot *, bp_span attest_key, bp_span attest_auth, bp_span key, bp_span key_auth,
                       bp_span qualifying, struct bp_rot_statement *ret, struct bp_rot_trace *);
bp_result tpm2_sign(struct bp_rot *, bp_span key, bp_span auth, bp_span digest, uint8_t ret[64],
                    struct bp_rot_trace *);
bp_result tpm2_quote(struct bp_rot *, bp_span attest_key, bp_span auth, uint16_t bank, uint32_t mask, bp_span extra,
                     struct bp_rot_statement *ret, struct bp_rot_pcrs *ret_pcrs, struct bp_rot_trace *);
bp_result tpm2_clock(struct bp_rot *, struct bp_rot_clock *ret, struct bp_rot_trace *);

/* stores.c */
bp_result tpm2_random(struct bp_rot *, uint8_t *ret, size_t n, struct bp_rot_trace *);
bp_result tpm2_seal(struct bp_rot *, bp_span data, bp_span auth, uint16_t bank, uint32_t mask,
                    struct bp_rot_blob *ret, struct bp_rot_trace *);
bp_result tpm2_unseal(struct bp_rot *, bp_span blob, bp_span auth, size_t *ret_n, uint8_t ret[BP_ROT_SEAL_MAX],
                      struct bp_rot_trace *);
bp_result tpm2_counter_make(struct bp_rot *, uint32_t index, bp_span auth, int64_t now_ms, struct bp_rot_counter *ret,
                            struct bp_rot_trace *);
bp_result tpm2_counter_read(struct bp_rot *, const struct bp_rot_counter *, bp_span auth, uint64_t *ret,
                            struct bp_rot_trace *);
bp_result tpm2_counter_step(struct bp_rot *, const struct bp_rot_counter *, bp_span auth, int64_t now_ms,
                            struct bp_rot_counter *ret, struct bp_rot_trace *);
bp_result tpm2_harden(struct bp_rot *, bp_span lockout_auth, struct bp_rot_hardening *ret, struct bp_rot_trace *);
bp_result tpm2_lockout(struct bp_rot *, bp_span lockout_auth, struct bp_rot_hardening *ret, struct bp_rot_trace *);

#endif
