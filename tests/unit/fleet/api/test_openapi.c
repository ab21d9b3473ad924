/* SPDX-License-Identifier: Apache-2.0 */
/* docs/protocol/openapi.json against the table of routes, both ways. Run from the top of the tree. */
#include "harness.h"

#include "openapi.h"

static size_t operations(const json_t *doc)
{
    size_t n = 0;
    const char *name = NULL;
    json_t *path = NULL;
    json_object_foreach(json_object_get(doc, "paths"), name, path)
    {
        n += json_object_size(path);
    }
    return n;
}

static json_t *file;

static void every_row(void)
{
    file = json_load_file(OPENAPI_FILE, JSON_REJECT_DUPLICATES, NULL);
    for (int i = 0; i < BP_API_COUNT; i++) {
        char name[96];
        char method[8];
        (void)snprintf(name, sizeof name, "%s%s", bp_api_table[i].method, bp_api_table[i].path);
        openapi_lower(bp_api_table[i].method, method);
        json_t *want = openapi_operation(i);
        bp_case_begin();
        BP_CHECK(json_equal(want, json_object_get(json_object_get(json_object_get(file, "paths"), bp_api_table[i].path), method)) == 1);
        bp_case_end(name);
        json_decref(want);
    }
}

BP_CASE(nothing_more_in_the_file)
{
    json_t *want = openapi_document();
    BP_CHECK(operations(file) == (size_t)BP_API_COUNT);
    BP_CHECK(json_equal(want, file) == 1);
    json_decref(want);
    json_decref(file);
}

BP_SUITE(openapi, BP_TABLE(every_row) BP_RUN(nothing_more_in_the_file))
