/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/finding - everything that an appraisal can find, in one table.
 *
 * Codes are stable: policies, events and exported results carry them. The text is for people; {} is replaced by the
 * finding's detail (a path, a PCR and component, a number). */
#ifndef BP_APPRAISE_FINDING_H
#define BP_APPRAISE_FINDING_H

#include "base/span.h"
#include "codec/ear.h"

/* What a finding does. */
enum bp_effect {
    BP_FX_NOTE,   /* an explained state: told, and no more */
    BP_FX_NONE,   /* the appraisal is incomplete: tier none */
    BP_FX_WARN,
    BP_FX_CONTRA, /* the evidence is genuine and says that the device is not as it should be */
    BP_FX_REFUSE  /* it is not this device's evidence for this question: nothing of it counts, no state is kept */
};

/* NAME, code, effect, AR4SI claim it touches, text */
#define BP_FINDING_LIST(X)                                                                                             \
    X(STRUCTURE, "structure", REFUSE, INSTANCE_IDENTITY, "The evidence is not well formed: {}")                        \
    X(AK_FORM, "ak-form", REFUSE, INSTANCE_IDENTITY, "The attestation key is not readable")                            \
    X(AK_ATTRIBUTES, "ak-attributes", REFUSE, INSTANCE_IDENTITY,                                                       \
      "The key is no attestation key: it could sign statements that the TPM did not make")                             \
    X(MAGIC, "magic", REFUSE, INSTANCE_IDENTITY, "The statement was not made by a TPM (no TPM_GENERATED)")             \
    X(ATTEST_TYPE, "attest-type", REFUSE, INSTANCE_IDENTITY, "The signed statement is not a quote")                    \
    X(ATTEST_FORM, "attest-form", REFUSE, INSTANCE_IDENTITY, "The signed statement is not of the TPM's form: {}")      \
    X(SIGNATURE_FORM, "signature-form", REFUSE, INSTANCE_IDENTITY, "The signature is not of a form that is allowed")   \
    X(SIGNATURE, "signature", REFUSE, INSTANCE_IDENTITY, "The quote is not signed by this device's attestation key")   \
    X(AK_PARENT, "ak-parent", REFUSE, INSTANCE_IDENTITY, "The attestation key is not a child of the endorsement key")   \
    X(SELECTION, "pcr-selection", REFUSE, INSTANCE_IDENTITY,                                                           \
      "The quote is not over PCRs 0-11 and 14 of SHA-256, as the server asks")                                         \
    X(DEVICE_ID, "device-id", REFUSE, INSTANCE_IDENTITY, "The evidence names another device")                          \
    X(LDEVID, "ldevid", REFUSE, INSTANCE_IDENTITY, "The evidence names another session key than the one in use")       \
    X(NONCE_TIME, "nonce-time", REFUSE, INSTANCE_IDENTITY, "The evidence answers a nonce of another time")             \
    X(EXTRA_DATA, "extra-data", REFUSE, INSTANCE_IDENTITY,                                                             \
      "The quote is not for this nonce, this connection and the bytes beside it")                                      \
    X(ACTIVATION, "activation", REFUSE, INSTANCE_IDENTITY, "The proof that attestation key and TPM belong together {}") \
    X(KEY_FORM, "key-form", REFUSE, INSTANCE_IDENTITY, "Key {} is not readable")                                       \
    X(KEY_ATTRIBUTES, "key-attributes", REFUSE, INSTANCE_IDENTITY, "Key {} could leave the TPM or was not made in it") \
    X(KEY_STATEMENT, "key-statement", REFUSE, INSTANCE_IDENTITY, "What vouches for key {} is not a certify statement") \
    X(KEY_NAME, "key-name", REFUSE, INSTANCE_IDENTITY, "The statement vouches for another key than key {}")            \
    X(KEY_NONCE, "key-nonce", REFUSE, INSTANCE_IDENTITY, "The statement on key {} answers another nonce")              \
    X(KEY_SIGNATURE, "key-signature", REFUSE, INSTANCE_IDENTITY,                                                       \
      "The statement on key {} is not signed by this device's attestation key")                                        \
    X(KEY_BOOT, "key-boot", REFUSE, INSTANCE_IDENTITY, "The statement on key {} is of another boot than the quote")    \
    X(COUNTERS_BACK, "counters-back", REFUSE, INSTANCE_IDENTITY,                                                       \
      "Replayed: the TPM's {} is behind what the server has seen")                                                     \
    X(QUOTE_EARLY, "quote-early", REFUSE, INSTANCE_IDENTITY,                                                           \
      "The quote was prepared early: the TPM's clock lags the server's by {} s")                                       \
    X(CLOCK_AHEAD, "clock-ahead", WARN, INSTANCE_IDENTITY, "The TPM's clock was set forward by {} s")                  \
    X(POWER_CUT, "power-cut", NOTE, INSTANCE_IDENTITY, "Power was cut: the TPM's clock may repeat a little")           \
    X(CLOCK_LOST, "clock-lost", NOTE, INSTANCE_IDENTITY,                                                               \
      "Power was cut: the emulated TPM lost what its clock had reached")                                               \
    X(REBOOT, "reboot", NOTE, INSTANCE_IDENTITY, "The device was started again")                                       \
    X(SUSPEND, "suspend", NOTE, INSTANCE_IDENTITY, "The device slept and woke")                                        \
    X(PCRS_MISSING, "pcrs-missing", NONE, EXECUTABLES, "PCR values are needed and were not sent")                      \
    X(PCR_DIGEST, "pcr-digest", REFUSE, EXECUTABLES, "The PCR values are not the ones that the TPM signed")            \
    X(BOOT_MISSING, "boot-missing", NONE, EXECUTABLES, "The boot log of this boot is needed and was not sent")         \
    X(BOOT_FORM, "boot-form", CONTRA, EXECUTABLES, "The boot log is not well formed at event {}")                      \
    X(BOOT_UNKNOWN_TYPE, "boot-unknown-type", CONTRA, EXECUTABLES, "The boot log has an event of unknown type at {}")  \
    X(BOOT_REPLAY, "boot-replay", CONTRA, EXECUTABLES, "The boot log does not lead to the signed PCRs: {}")            \
    X(BOOT_LIE, "boot-data", CONTRA, EXECUTABLES, "The boot log's data does not match its digest at event {}")         \
    X(BOOT_SEPARATOR, "boot-separator", CONTRA, EXECUTABLES, "The firmware's closing separator is missing in {}")      \
    X(BOOT_ERROR, "boot-error", CONTRA, EXECUTABLES, "The firmware reported that measuring failed in {}")              \
    X(BOOT_COMPONENT, "boot-component", CONTRA, EXECUTABLES, "{} is in no accepted release for this model")            \
    X(BOOT_WITHDRAWN, "boot-withdrawn", CONTRA, EXECUTABLES, "{} is of a withdrawn release")                           \
    X(BOOT_MIXED, "boot-mixed", CONTRA, EXECUTABLES, "{} is of a release that is not running whole")                   \
    X(BOOT_INCOMPLETE, "boot-incomplete", CONTRA, EXECUTABLES, "No accepted release is running whole: {}")             \
    X(SECURE_BOOT_OFF, "secure-boot-off", CONTRA, CONFIGURATION, "Secure Boot is off")                                 \
    X(SECURE_BOOT_UNKNOWN, "secure-boot-unknown", CONTRA, CONFIGURATION, "The boot log does not tell Secure Boot's state") \
    X(SECURE_BOOT_KEYS, "secure-boot-keys", CONTRA, CONFIGURATION, "The Secure Boot list {} is in no accepted release") \
    X(IMA_MISSING, "ima-missing", NONE, FILE_SYSTEM, "Programs were measured since, and their list was not sent")      \
    X(IMA_ABSENT, "ima-absent", CONTRA, FILE_SYSTEM, "The kernel measures no programs (no IMA list)")                  \
    X(IMA_FORM, "ima-form", CONTRA, FILE_SYSTEM, "The list of programs is not well formed at entry {}")                \
    X(IMA_DATA, "ima-data", CONTRA, FILE_SYSTEM, "The list of programs does not match its digest at entry {}")         \
    X(IMA_GAP, "ima-gap", NONE, FILE_SYSTEM, "The list of programs does not continue where the server stands: {}")     \
    X(IMA_REPLAY, "ima-replay", CONTRA, FILE_SYSTEM, "PCR 10: the list of programs does not lead to the signed value") \
    X(IMA_AGGREGATE, "ima-aggregate", CONTRA, FILE_SYSTEM, "The list of programs does not begin with this boot")       \
    X(IMA_POLICY, "ima-policy", CONTRA, FILE_SYSTEM, "The kernel runs without our measuring policy")                   \
    X(IMA_VIOLATION, "ima-violation", CONTRA, FILE_SYSTEM, "{} changed while it was measured")                         \
    X(IMA_PROGRAM, "ima-program", CONTRA, FILE_SYSTEM, "The program {} is in no accepted release")                     \
    X(IMA_WITHDRAWN, "ima-withdrawn", CONTRA, FILE_SYSTEM, "The program {} is of a withdrawn release")                 \
    X(IMA_AHEAD, "ima-ahead", NOTE, FILE_SYSTEM, "{} more entries came after the quote; they are judged next time")    \
    X(DEPRECATED, "release-deprecated", WARN, EXECUTABLES, "Release {} is deprecated")                                 \
    X(WITHDRAWN, "release-withdrawn", CONTRA, EXECUTABLES, "Release {} is withdrawn")                                  \
    X(UNKNOWN_RELEASE, "release-unknown", CONTRA, EXECUTABLES, "Release {} is no longer accepted here")                \
    X(NO_REFERENCES, "no-references", NONE, EXECUTABLES, "Not appraised: no release is accepted in zone {}")           \
    X(STATE_FORM, "state-form", NOTE, INSTANCE_IDENTITY, "What the server kept of this device is not readable")        \
    X(TOO_MUCH, "too-much", NONE, EXECUTABLES, "More was found than a result can hold")

enum bp_finding_id {
#define BP_X(id, code, effect, claim, text) BP_F_##id,
    BP_FINDING_LIST(BP_X)
#undef BP_X
        BP_F_COUNT
};

struct bp_finding_row {
    const char *code;
    enum bp_effect effect;
    enum bp_ar4si claim;
    const char *text;
};
/* The row of a finding; NULL members for an id outside the table. */
struct bp_finding_row bp_finding_row(enum bp_finding_id id);
/* The id of a code; BP_F_COUNT when there is none. */
enum bp_finding_id bp_finding_of_code(bp_span code);
/* The tier that an effect stands for. */
enum bp_tier bp_effect_tier(enum bp_effect effect);

#endif
