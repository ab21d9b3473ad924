/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/api/openapi_write - writes docs/protocol/openapi.json. Run from the top of the tree. */
#include "openapi.h"

int main(void)
{
    return json_dump_file(openapi_document(), OPENAPI_FILE, JSON_INDENT(1)) == 0 ? 0 : 1;
}
