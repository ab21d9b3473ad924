/* SPDX-License-Identifier: Apache-2.0 */
/* core/bootlog - the boot event log as appraisal may use it: walked once, replayed, each event's
 * data hashed against the digest that is said to cover it.
 *
 * What may become a claim is exactly `struct bp_boot_claim` of each extended event: PCR, digest of
 * the quoted bank, and a view only where the digest covers the whole of the bytes that the view
 * shows. The event type is covered by nothing, so it never is one: an image is judged as "a digest
 * in PCR 4", whatever it calls itself, and a view is chosen by the shape of the covered bytes.
 * Anything that runs later may extend a PCR with the hash of bytes of its choice, so an appraisal
 * takes firmware's claims only from before the separator of their PCR. `claims` is a running hash
 * over all claims: two logs with equal claims and equal PCRs say the same to an appraisal. State is
 * a plain value of the caller's (about 2 KiB); copying it makes a bookmark. Pure; keeps nothing. */
#ifndef BP_CORE_BOOTLOG_H
#define BP_CORE_BOOTLOG_H

#include "codec/tcglog.h"
#include "core/replay.h"

enum bp_boot_cover {
    BP_BOOT_NOT_COVERED, /* the digest is of something else; data is an annotation */
    BP_BOOT_COVERED,     /* the digest is of the data, or of a part of it (bp_tcg_covers) */
    BP_BOOT_LIE /* by its type the digest covers the data, and it does not: "data does not match" */
};

enum bp_boot_view {
    BP_BOOT_VIEW_NONE,            /* the digest is all that is known */
    BP_BOOT_VIEW_SEPARATOR,       /* value: 4 bytes, 0 or 0xffffffff */
    BP_BOOT_VIEW_SEPARATOR_ERROR, /* value: 4 bytes, 1: firmware failed to measure */
    BP_BOOT_VIEW_TEXT,            /* value: printable ASCII, as EV_EFI_ACTION has it */
    BP_BOOT_VIEW_VARIABLE,        /* guid, name, value of a UEFI variable */
    BP_BOOT_VIEW_GPT              /* value: UEFI_GPT_DATA */
};

struct bp_boot_claim {
    uint32_t pcr;
    bp_span digest;
    enum bp_boot_view view;
    bp_span guid, name, value;
};

struct bp_boot_event {
    struct bp_tcg_event raw; /* for showing; see above what of it may be believed */
    enum bp_boot_cover cover;
    bool extended; /* false: EV_NO_ACTION, no claim */
    struct bp_boot_claim claim;
};

struct bp_bootlog {
    struct bp_tcglog log;
    enum bp_hash_alg alg;
    uint16_t tpm_alg;
    struct bp_pcrs pcrs;
    uint32_t lies;       /* events whose data does not match */
    uint32_t first_lie;  /* index of the first; only when lies > 0 */
    uint32_t separators; /* bit n: PCR n had a covered, normal EV_SEPARATOR */
    uint8_t claims[BP_SHA256_SIZE];
};

/* Opens the log for one bank.
 *   NOT_FOUND  the log has no such bank (a bank that firmware left unextended is no evidence)
 *   any        what bp_tcglog_open says */
BP_MUST_CHECK bp_result bp_bootlog_open(bp_span log, enum bp_hash_alg alg, struct bp_bootlog *ret);

/* Takes the next event: reads, checks, replays, claims. State is untouched on failure.
 *   NOT_FOUND    the end
 *   UNSUPPORTED  an event type that is not in the table: fails closed
 *   MALFORMED    what bp_tcglog_next says, or a StartupLocality after PCR 0 was extended
 *   CRYPTO       from the port */
BP_MUST_CHECK bp_result bp_bootlog_next(struct bp_crypto *c, struct bp_bootlog *bl,
                                        struct bp_boot_event *ret);

/* Index of the event that bp_bootlog_next failed on, for naming it. */
uint32_t bp_bootlog_at(const struct bp_bootlog *bl);

/* Compares replayed PCRs with quoted ones: values of the PCRs in mask, ascending, concatenated.
 *   MISMATCH  ret_bad has bit n for each PCR that differs; untouched otherwise
 *   BAD_ARGUMENT  values are not as long as mask asks */
BP_MUST_CHECK bp_result bp_bootlog_compare(const struct bp_bootlog *bl, uint32_t mask,
                                           bp_span values, uint32_t *ret_bad);

/* What an accepted log of the same machine had, to say where a failing one leaves it. */
struct bp_boot_ref {
    uint32_t pcr;
    bp_span digest;
    bool covered; /* its data was covered by the digest */
};

/* How an event compares with the reference that stands at its place among the extended events.
 *   MISMATCH  another PCR or digest: the first diverging event
 *   DENIED    the same digest, and the data that it covered is not there: "data does not match" */
BP_MUST_CHECK bp_result bp_boot_ref_check(const struct bp_boot_ref *ref,
                                          const struct bp_boot_event *event);

#endif
