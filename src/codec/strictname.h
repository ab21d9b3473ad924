/* SPDX-License-Identifier: Apache-2.0 */
/* codec/strictname - names of certificates (Name, GeneralName) and constraints on them, RFC 5280 sections 4.1.2.4,
 * 4.2.1.6 and 4.2.1.10. Part of codec/strict; spans point into the caller's bytes.
 *
 * Comparison is ours: ASCII letters without their case, runs of spaces as one, strings of any of the ASCII-compatible types
 * alike. Anything else is compared byte by byte, so letters beyond ASCII that differ only in case count as different. */
#ifndef BP_CODEC_STRICTNAME_H
#define BP_CODEC_STRICTNAME_H

#include "codec/der.h"

/* Tags of GeneralName. */
enum {
    BP_GNAME_OTHER = 0xa0,
    BP_GNAME_MAIL = 0x81,
    BP_GNAME_DNS = 0x82,
    BP_GNAME_X400 = 0xa3,
    BP_GNAME_DIR = 0xa4,
    BP_GNAME_EDI = 0xa5,
    BP_GNAME_URI = 0x86,
    BP_GNAME_IP = 0x87,
    BP_GNAME_RID = 0x88
};

struct bp_gname {
    uint8_t tag;
    bp_span v; /* content; for BP_GNAME_DIR the Name whole */
};

/* Reads the next name; the reader fails MALFORMED when its tag is none of those above. */
struct bp_gname bp_gname_get(bp_rd *rd);
/* A name of its kind: a host in the preferred syntax (one leading "*." is let through), a mailbox, an absolute URI, ... */
bool bp_gname_is_good(const struct bp_gname *name);
/* Name, whole: its parts read, none is empty. An empty Name is good. */
bool bp_name_is_good(bp_span name);
bool bp_name_is_empty(bp_span name);

/* NameConstraints (content of the SEQUENCE): at least one non-empty list, minimum and maximum left out, bases of their kind. */
bool bp_nc_is_good(bp_span constraints);

/* Names of one certificate. */
struct bp_names {
    bp_span subject; /* Name, whole */
    bp_span san;     /* content of GeneralNames; empty when there is none */
};
enum bp_nc_answer { BP_NC_WITHIN, BP_NC_OUTSIDE, BP_NC_TOO_MANY };
/* Every name against one certificate's constraints; each comparison takes one from *budget. */
enum bp_nc_answer bp_nc_judge(bp_span constraints, const struct bp_names *names, uint32_t *budget);

#endif
