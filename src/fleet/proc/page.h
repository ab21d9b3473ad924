/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/page - the files of the operators' page (ui/), embedded in the program.
 *
 * The operate front asks for every GET and HEAD whose path is not under /api/. Everything lives in constant memory for
 * as long as the program. Bytes are gzip'd and there is no other form: answer with Content-Encoding: gzip. */
#ifndef BP_FLEET_PROC_PAGE_H
#define BP_FLEET_PROC_PAGE_H

#include "base/span.h"

/* Sent with every file: the page loads from its own server only, and runs nothing that is written inside it. */
#define BP_PAGE_CSP                                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "   \
    "form-action 'none'; frame-ancestors 'none'"

struct bp_page_file {
    bp_span content_type;
    bp_span etag; /* with its quotes, ready to be sent and to be compared with If-None-Match */
    bp_span gzip;
    bool is_immutable; /* the name carries the content's hash: Cache-Control: max-age=31536000, immutable; else no-cache */
};

/* The file of a request's target (a query is ignored). Each of the page's own addresses ("/", "/device/...", "/waiting",
 * "/releases", "/policy", "/events", "/signin") is the one document. False: there is no such file; answer 404. */
bool bp_page_file(bp_span path, struct bp_page_file *ret);

#endif
