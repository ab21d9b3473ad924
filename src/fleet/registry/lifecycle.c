/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/lifecycle - the table of states and operations. What it does not name is refused.
 */
#include "fleet/registry/registry.h"

#define ST(name) [BP_ST_##name]
#define OP(name) [BP_OP_##name]

static const uint8_t table[BP_ST_COUNT][BP_OP_COUNT] = {
    ST(WAITING) = {OP(ATTEST) = BP_ST_WAITING, OP(REBIND) = BP_ST_WAITING,
                   OP(RECLAIM) = BP_ST_CLAIMED, OP(APPROVE) = BP_ST_CLAIMED,
                   OP(REVOKE) = BP_ST_REVOKED, OP(EXPIRE) = BP_ST_RETIRED},
    ST(CLAIMED) = {OP(ATTEST) = BP_ST_CLAIMED, OP(ENROL) = BP_ST_CLAIMED,
                   OP(CERTIFY) = BP_ST_ENROLLED, OP(REBIND) = BP_ST_CLAIMED,
                   OP(RECLAIM) = BP_ST_CLAIMED, OP(REVOKE) = BP_ST_REVOKED,
                   OP(RETIRE) = BP_ST_RETIRED},
    ST(ENROLLED) = {OP(ATTEST) = BP_ST_ENROLLED, OP(ENROL) = BP_ST_ENROLLED,
                    OP(RENEW) = BP_ST_ENROLLED, OP(CERTIFY) = BP_ST_ENROLLED,
                    OP(APPLY) = BP_ST_ENROLLED,
                    OP(USE) = BP_ST_ACTIVE, OP(REBIND) = BP_ST_QUARANTINED,
                    OP(RECLAIM) = BP_ST_CLAIMED, OP(QUARANTINE) = BP_ST_QUARANTINED,
                    OP(REVOKE) = BP_ST_REVOKED, OP(RETIRE) = BP_ST_RETIRED},
    ST(ACTIVE) = {OP(ATTEST) = BP_ST_ACTIVE, OP(ENROL) = BP_ST_ACTIVE, OP(RENEW) = BP_ST_ACTIVE,
                  OP(CERTIFY) = BP_ST_ACTIVE, OP(APPLY) = BP_ST_ACTIVE, OP(USE) = BP_ST_ACTIVE,
                  OP(REBIND) = BP_ST_QUARANTINED, OP(RECLAIM) = BP_ST_CLAIMED,
                  OP(QUARANTINE) = BP_ST_QUARANTINED, OP(REVOKE) = BP_ST_REVOKED,
                  OP(RETIRE) = BP_ST_RETIRED},
    ST(QUARANTINED) = {OP(ATTEST) = BP_ST_QUARANTINED, OP(ENROL) = BP_ST_QUARANTINED,
                       OP(RENEW) = BP_ST_QUARANTINED, OP(CERTIFY) = BP_ST_QUARANTINED,
                       OP(USE) = BP_ST_QUARANTINED, OP(REBIND) = BP_ST_QUARANTINED,
                       OP(RELEASE) = BP_ST_ACTIVE, OP(REVOKE) = BP_ST_REVOKED,
                       OP(RETIRE) = BP_ST_RETIRED},
    /* REVOKED is for good; RETIRED too, unless a person permits one return. */
    ST(RETIRED) = {OP(RETURN) = BP_ST_CLAIMED},
};

enum bp_lifecycle bp_registry_next(enum bp_lifecycle state, enum bp_operation op)
{
    if ((unsigned)state >= BP_ST_COUNT || (unsigned)op >= BP_OP_COUNT) {
        return BP_ST_NONE;
    }
    return (enum bp_lifecycle)table[state][op];
}

const char *bp_operation_name(enum bp_operation op)
{
    switch (op) {
#define BP_X(name, text)                                                                           \
    case BP_OP_##name:                                                                             \
        return text;
        BP_OPERATION_LIST(BP_X)
#undef BP_X
    case BP_OP_COUNT:
        break;
    }
    return "";
}

enum bp_problem bp_registry_may(enum bp_lifecycle state, enum bp_operation op)
{
    if (bp_registry_next(state, op) != BP_ST_NONE) {
        return BP_P_NONE;
    }
    if (state == BP_ST_REVOKED || state == BP_ST_RETIRED) {
        return BP_P_REVOKED;
    }
    if (state == BP_ST_QUARANTINED && op == BP_OP_APPLY) {
        return BP_P_QUARANTINED;
    }
    return state == BP_ST_WAITING ? BP_P_WAITING : BP_P_WRONG_STATE;
}
