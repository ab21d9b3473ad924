/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/internal - what the files of this folder share. For this folder only. */
#ifndef BP_FLEET_AUTHORITY_INTERNAL_H
#define BP_FLEET_AUTHORITY_INTERNAL_H

#include "fleet/authority/site.h"

/* One certificate of a site: file, profile, and who signs it (itself: an anchor). */
struct bp_site_row {
    const char *name;
    enum bp_cert_profile profile;
    enum bp_site_cert by;
};
extern const struct bp_site_row bp_site_rows[BP_SITE_CERTS];

/* One key of a site: file and the certificate it belongs to. */
struct bp_site_key_row {
    const char *file;
    enum bp_site_cert cert;
};
extern const struct bp_site_key_row bp_site_key_rows[BP_SITE_KEYS];

/* "issuing", "issuing-2": of the issuing CA of that number. */
#define BP_SITE_ISSUING_TEXT 24u
void bp_site_issuing_name(unsigned number, char ret[BP_SITE_ISSUING_TEXT]);

/* A name of a host: letters, digits, dots and hyphens, and not an address (a label of digits only at the end). */
bool bp_site_is_host(const char *s);
/* UTF-8 without control characters, 1..BP_SITE_TEXT_MAX bytes. */
bool bp_site_is_text(const char *s);

#endif
