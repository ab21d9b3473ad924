/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/page - the files of the operators' page. The table is made by ui/build.mjs. */
#include "fleet/proc/page.h"

struct embedded {
    const char *path;
    const char *type;
    const char *etag;
    const uint8_t *gzip;
    size_t gzip_n;
    bool is_immutable;
};

#include "fleet/proc/page_files.inc"

/* Addresses that the page itself draws. */
static const char *const views[] = {"/", "/waiting", "/releases", "/policy", "/events", "/signin"};

static bool is_view(bp_span path)
{
    static const char device[] = "/device/";
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        if (bp_span_equal(path, bp_span_cstr(views[i]))) {
            return true;
        }
    }
    size_t n = sizeof(device) - 1;
    if (path.n <= n || !bp_span_equal(bp_span_sub(path, 0, n), bp_span_of(device, n))) {
        return false;
    }
    return memchr(path.p + n, '/', path.n - n) == NULL;
}

bool bp_page_file(bp_span path, struct bp_page_file *ret)
{
    const uint8_t *query = path.n > 0 ? memchr(path.p, '?', path.n) : NULL;
    if (query != NULL) {
        path.n = (size_t)(query - path.p);
    }
    if (is_view(path)) {
        path = BP_SPAN_STR("/");
    }
    for (size_t i = 0; i < sizeof(embedded) / sizeof(embedded[0]); i++) {
        const struct embedded *e = &embedded[i];
        if (e->gzip_n > 0 && bp_span_equal(path, bp_span_cstr(e->path))) {
            ret->content_type = bp_span_cstr(e->type);
            ret->etag = bp_span_cstr(e->etag);
            ret->gzip = bp_span_of(e->gzip, e->gzip_n);
            ret->is_immutable = e->is_immutable;
            return true;
        }
    }
    return false;
}
