/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/api/openapi - the API's description made from the table of routes; see openapi.h. */
#include "openapi.h"

void openapi_lower(const char *from, char *ret)
{
    size_t i = 0;
    for (; from[i] != 0; i++) {
        ret[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + 32 : from[i]);
    }
    ret[i] = 0;
}

static json_t *parameters(const char *path)
{
    json_t *list = json_array();
    for (const char *p = strchr(path, '{'); p != NULL; p = strchr(p + 1, '{')) {
        const size_t n = strcspn(p + 1, "}");
        json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", p + 1, n, "in", "path", "required", 1,
                                              "schema", "type", "string"));
    }
    return list;
}

json_t *openapi_operation(int i)
{
    const struct bp_api_row *row = &bp_api_table[i];
    const struct bp_event_row event = bp_event_row(row->event);
    json_t *op = json_pack("{s:s, s:s, s:o}", "summary", row->summary, "x-role",
                           row->role == BP_OPR_NONE ? "none" : bp_role_name(row->role), "parameters", parameters(row->path));
    json_object_set_new(op, "x-scope", json_string(row->scope));
    json_object_set_new(op, "x-step-up", json_boolean(row->step_up));
    json_object_set_new(op, "x-event", event.name == NULL ? json_null() : json_string(event.name));
    if (row->media[0] != 0) {
        json_object_set_new(op, "requestBody", json_pack("{s:b, s:i, s:{s:{s:{}}}}", "required", 1, "x-max-bytes", (int)row->max,
                                                         "content", row->media, "schema"));
    }
    json_object_set_new(op, "responses", json_pack("{s:{s:s}, s:{s:s, s:{s:{s:{}}}}}", "2XX", "description", "docs/protocol/api.md",
                                                   "default", "description", "A problem", "content", "application/problem+json",
                                                   "schema"));
    return op;
}

json_t *openapi_document(void)
{
    json_t *paths = json_object();
    for (int i = 0; i < BP_API_COUNT; i++) {
        char method[8];
        json_t *path = json_object_get(paths, bp_api_table[i].path);
        if (path == NULL) {
            path = json_object();
            json_object_set_new(paths, bp_api_table[i].path, path);
        }
        openapi_lower(bp_api_table[i].method, method);
        json_object_set_new(path, method, openapi_operation(i));
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:[{s:s}], s:o}", "openapi", "3.1.0", "info", "title", "Bedplate operators' API",
                     "version", "1", "servers", "url", BP_API_PREFIX, "paths", paths);
}
