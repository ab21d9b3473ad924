/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/bootrule - by which rule an event of the boot log is judged, and what it is called when shown.
 *
 * One table for both ends of a reference value: who makes a release from a log asks it what to write, and the
 * appraisal asks it what to look for, so that they cannot disagree (docs/protocol/references.md, "Boot events").
 * The rule rests on the PCR, on what the digest covers and on whether the firmware had closed the PCR; never on the
 * event type, which nothing covers. The label does use it: it is for people. */
#ifndef BP_APPRAISE_BOOTRULE_H
#define BP_APPRAISE_BOOTRULE_H

#include "core/bootlog.h"

enum bp_boot_rule {
    BP_RULE_NONE,        /* not extended, or a PCR that is not quoted: nothing to judge */
    BP_RULE_SEPARATOR,   /* judged by its being there, per PCR */
    BP_RULE_ERROR,       /* a separator that says that measuring failed */
    BP_RULE_SECURE_BOOT, /* the state of Secure Boot: "rule/secure-boot" */
    BP_RULE_VARIABLE,    /* PK, KEK, db, dbx: "variable/NAME" */
    BP_RULE_RECORDED,    /* differs between honest devices and boots (boot order, partitions, ACPI): no reference */
    BP_RULE_REQUIRED     /* code and what steers it: "boot/PCR/required" */
};

/* PCRs whose firmware part ends with a separator. */
#define BP_BOOT_SEPARATED 0x00ffu

/* The rule of the event. `separators` is struct bp_bootlog's as it was before this event. ret_variable (may be NULL)
 * gets "PK", "KEK", "db" or "dbx" of a BP_RULE_VARIABLE. */
enum bp_boot_rule bp_boot_rule_of(const struct bp_boot_event *ev, uint32_t separators, bp_span *ret_variable);

#define BP_BOOT_LABEL_MAX 64u
/* A few printable ASCII characters for people: "boot application", ".initrd". They come from the event's annotation
 * and prove nothing. */
bp_span bp_boot_label(const struct bp_tcg_event *ev, char room[BP_BOOT_LABEL_MAX]);

#endif
