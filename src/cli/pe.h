/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pe - the parts of a PE/COFF image that firmware and boot stub measure.
 *
 * Spans point into the caller's file. Every offset is checked against the file before it is used. It does not load,
 * relocate or verify anything. */
#ifndef BP_CLI_PE_H
#define BP_CLI_PE_H

#include "port/crypto.h"

#define BP_PE_SECTIONS_MAX 96u
#define BP_PE_NAME_MAX     8u

struct bp_pe_section {
    bp_span name; /* 1..8 bytes */
    bp_span raw;  /* as it lies in the file */
    bp_span data; /* what of it is loaded: cut at the virtual size */
};

struct bp_pe {
    bp_span file;
    size_t checksum_at;  /* 4 bytes that a signature does not cover */
    size_t directory_at; /* 8 bytes: where the certificate table is; 0: the image has no such entry */
    size_t headers_n;
    size_t certificates_n; /* bytes of the table at the end of the file */
    uint32_t sections;
    struct bp_pe_section section[BP_PE_SECTIONS_MAX];
};

/* Reads PE32 and PE32+.
 *   MALFORMED, TRUNCATED  not such an image, a table of sections outside of its headers, a section outside of the file
 *   LIMIT  more sections than above
 *   UNSUPPORTED  a certificate table that is not at the end of the file */
BP_MUST_CHECK bp_result bp_pe_read(bp_span file, struct bp_pe *ret);

/* The section of that name; NULL when there is none. A name that stands twice is found once. */
const struct bp_pe_section *bp_pe_find(const struct bp_pe *pe, bp_span name);

/* The digest that Secure Boot's signatures cover and that firmware extends into PCR 4 when it starts the image
 * (Windows Authenticode PE signature format; UEFI 2.10, section 32.2.4). Signing again does not change it. */
BP_MUST_CHECK bp_result bp_pe_authenticode(struct bp_crypto *c, const struct bp_pe *pe, uint8_t ret[BP_SHA256_SIZE]);

#endif
