/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded page: every address gives a document, every file that the document names is there, nothing else is. */
#include <zlib.h>

#include "fleet/proc/page.h"
#include "harness.h"

static char text[64 * 1024];

/* Unpacks a file into `text`, with a closing zero; 0: it is no gzip stream that fits. */
static size_t unpack(bp_span gzip)
{
    z_stream z = {0};
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return 0;
    }
    uint8_t *in = (uint8_t *)(uintptr_t)gzip.p;
    z.next_in = in;
    z.avail_in = (uInt)gzip.n;
    z.next_out = (Bytef *)text;
    z.avail_out = sizeof(text) - 1;
    int rc = inflate(&z, Z_FINISH);
    size_t n = z.total_out;
    (void)inflateEnd(&z);
    text[rc == Z_STREAM_END ? n : 0] = '\0';
    return rc == Z_STREAM_END ? n : 0;
}

static bool get(const char *path, struct bp_page_file *ret)
{
    return bp_page_file(bp_span_cstr(path), ret);
}

static void addresses(void)
{
    static const struct {
        const char *name, *path;
        bool there;
    } rows[] = {
        {"root", "/", true},
        {"root_with_filter", "/?q=pump&tier=contraindicated", true},
        {"device", "/device/01ab34", true},
        {"device_with_query", "/device/01ab34?verdict=7/8", true},
        {"waiting", "/waiting", true},
        {"releases", "/releases", true},
        {"policy", "/policy", true},
        {"events", "/events?type=verdict", true},
        {"signin", "/signin", true},
        {"device_without_id", "/device/", false},
        {"device_deeper", "/device/a/b", false},
        {"empty", "", false},
        {"query_alone", "?q=1", false},
        {"unknown", "/nothing", false},
        {"prefix_of_a_view", "/event", false},
        {"climbs", "/../etc/passwd", false},
        {"assets_folder", "/assets/", false},
        {"asset_unknown", "/assets/app-000000000000.js", false},
        {"api", "/api/v1/session", false},
    };
    struct bp_page_file root = {0};
    bool has_root = get("/", &root);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bp_page_file f = {0};
        bp_case_begin();
        bool there = get(rows[i].path, &f);
        BP_CHECK(has_root);
        BP_CHECK(there == rows[i].there);
        BP_CHECK(!there || bp_span_equal(f.etag, root.etag));
        bp_case_end(rows[i].name);
    }
}

BP_CASE(document)
{
    struct bp_page_file f;
    BP_NEED(get("/", &f));
    BP_CHECK(bp_span_equal(f.content_type, BP_SPAN_STR("text/html; charset=utf-8")));
    BP_CHECK(!f.is_immutable);
    BP_CHECK(f.etag.n == 34 && f.etag.p[0] == '"' && f.etag.p[33] == '"');
    BP_NEED(unpack(f.gzip) > 0);
    BP_CHECK(strstr(text, "<html lang=\"en\"") != NULL);
    BP_CHECK(strstr(text, "style=") == NULL); /* the policy would refuse it */
    BP_CHECK(strstr(text, "@SCRIPT@") == NULL);
    BP_CHECK(strstr(text, "http://") == NULL && strstr(text, "https://") == NULL);
}

/* Each "/assets/..." in the document is a file, of the right type, and may be kept for ever. */
BP_CASE(every_asset_is_there)
{
    struct bp_page_file f;
    BP_NEED(get("/", &f));
    BP_NEED(unpack(f.gzip) > 0);
    unsigned scripts = 0, styles = 0, icons = 0;
    for (const char *p = text; (p = strstr(p, "\"/assets/")) != NULL;) {
        p++;
        const char *end = strchr(p, '"');
        BP_NEED(end != NULL);
        BP_NEED(bp_page_file(bp_span_of(p, (size_t)(end - p)), &f));
        BP_CHECK(f.is_immutable && f.gzip.n > 0);
        scripts += bp_span_equal(f.content_type, BP_SPAN_STR("text/javascript; charset=utf-8"));
        styles += bp_span_equal(f.content_type, BP_SPAN_STR("text/css; charset=utf-8"));
        icons += bp_span_equal(f.content_type, BP_SPAN_STR("image/svg+xml"));
        p = end;
    }
    BP_CHECK(scripts == 1 && styles == 1 && icons == 1);
}

BP_SUITE(page, BP_TABLE(addresses) BP_RUN(document) BP_RUN(every_asset_is_there))
