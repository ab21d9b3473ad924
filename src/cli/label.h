/* SPDX-License-Identifier: Apache-2.0 */
/* cli/label - the label of a unit, 60 x 30 mm: its device id as a QR code and as people compare it, serial number, model and
 * maker. As SVG, and as PDF for printers that take no other. */
#ifndef BP_CLI_LABEL_H
#define BP_CLI_LABEL_H

#include "base/buf.h"
#include "core/devid.h"

#define BP_LABEL_MAX (128u << 10) /* bytes of either form */

/* Texts: UTF-8 without control characters. */
struct bp_label {
    uint8_t id[BP_DEVID_SIZE];
    bp_span maker;
    bp_span model;
    bp_span serial;
};

/* What the QR code says: "BEDPLATE:" and the 66 hex digits of the id in upper case (QR's alphanumeric set). */
#define BP_LABEL_TEXT (9u + 66u + 1u)
void bp_label_text(const struct bp_label *label, char ret[BP_LABEL_TEXT]);

/*   NO_SPACE  cap is below what it needs (BP_LABEL_MAX suffices)      INTERNAL  the QR library refused */
BP_MUST_CHECK bp_result bp_label_svg(const struct bp_label *label, uint8_t *ret, size_t cap, size_t *ret_n);
BP_MUST_CHECK bp_result bp_label_pdf(const struct bp_label *label, uint8_t *ret, size_t cap, size_t *ret_n);

#endif
