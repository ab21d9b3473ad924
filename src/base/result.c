/* SPDX-License-Identifier: Apache-2.0 */
/* base/result - names and texts of errors, from the one table in the header. */
#include "base/result.h"

const char *bp_error_name(enum bp_error error)
{
    switch (error) {
#define BP_X(name, text)                                                                           \
    case BP_E_##name:                                                                              \
        return #name;
        BP_ERROR_LIST(BP_X)
#undef BP_X
    case BP_E_COUNT:
        break;
    }
    return "UNKNOWN";
}

const char *bp_error_text(enum bp_error error)
{
    switch (error) {
#define BP_X(name, text)                                                                           \
    case BP_E_##name:                                                                              \
        return text;
        BP_ERROR_LIST(BP_X)
#undef BP_X
    case BP_E_COUNT:
        break;
    }
    return "an error that this version does not know";
}

const char *bp_module_name(enum bp_module module)
{
    switch (module) {
#define BP_X(name)                                                                                 \
    case BP_M_##name:                                                                              \
        return #name;
        BP_MODULE_LIST(BP_X)
#undef BP_X
    case BP_M_COUNT:
        break;
    }
    return "UNKNOWN";
}
