/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/internal - what the three signers share. For this folder only. */
#ifndef BP_FLEET_SIGNER_INTERNAL_H
#define BP_FLEET_SIGNER_INTERNAL_H

#include "fleet/signer/signer.h"
#include "platform/alloc.h"

/* A refusal that names its rule; room of 70 bytes is enough. */
static inline struct bp_signer_answer signer_refuse(enum bp_problem status, const char *rule, uint8_t *room, size_t cap)
{
    size_t n = 0;
    if (bp_failed(bp_msg_name_write(bp_span_cstr(rule), room, cap, &n))) {
        return (struct bp_signer_answer){status, BP_SPAN_STR("\xa0")};
    }
    return (struct bp_signer_answer){status, bp_span_of(room, n)};
}

#endif
