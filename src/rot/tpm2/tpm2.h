/* SPDX-License-Identifier: Apache-2.0 */
/* rot/tpm2 - a TPM 2.0 as root of trust (port/rot.h), through tpm2-tss ESAPI and any TCTI.
 *
 * Keys: attestation keys are children of an EK, device keys, sealed data and counters are in the storage hierarchy; the
 * EK and the storage parent (TCG ECC P-256 SRK template) are made from their seeds when needed. After TPM2_Clear none of
 * them loads: the loss shows. Commands that carry authorisation or secrets run in HMAC sessions salted to the storage
 * parent, parameters encrypted by AES-128-CFB where a command has such a parameter. The salt protects against one who
 * reads the bus; one who alters it could offer a storage parent of his own (the EK's certificate is not checked here).
 * Every handle and session is flushed before a call returns. Between calls only TPM-wrapped saved contexts are held, so
 * that the EK, slow to make on some chips, is made once a boot.
 * When a transfer breaks, the connection is made anew and everything transient in the TPM is flushed: use it through a
 * resource manager (device:/dev/tpmrm0), which knows whose is whose, or as the TPM's only user. */
#ifndef BP_ROT_TPM2_TPM2_H
#define BP_ROT_TPM2_TPM2_H

#include "port/rot.h"

/* Opens the TPM behind a TCTI configuration ("device:/dev/tpmrm0", "swtpm:path=..."), which is copied; ret is for
 * bp_rot_tpm2_free. trace may be NULL.
 *   CLOSED  no TPM answers there    ROOT  it answers with a failure    NO_MEMORY */
BP_MUST_CHECK bp_result bp_rot_tpm2_new(const char *tcti, struct bp_rot **ret, struct bp_rot_trace *trace);
/* Closes the connection; NULL is fine. */
void bp_rot_tpm2_free(struct bp_rot *rot);

#endif
