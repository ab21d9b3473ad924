/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/api/openapi - docs/protocol/openapi.json as the table of routes says it. The program openapi_write
 * makes the file anew (run from the top of the tree); the test compares both. */
#ifndef BP_TESTS_API_OPENAPI_H
#define BP_TESTS_API_OPENAPI_H

#include "fleet/api/internal.h"

#define OPENAPI_FILE "docs/protocol/openapi.json"

json_t *openapi_operation(int id);
json_t *openapi_document(void);
void openapi_lower(const char *from, char *ret);

#endif
