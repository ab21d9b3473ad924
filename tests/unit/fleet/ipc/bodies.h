/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/ipc/bodies - every kind of message body: a sample of it, and reading it followed by writing it. */
#ifndef BP_TESTS_UNIT_FLEET_IPC_BODIES_H
#define BP_TESTS_UNIT_FLEET_IPC_BODIES_H

#include "base/result.h"
#include "base/span.h"

struct body_kind {
    const char *name;
    /* Reads and writes again. *ret_touched: reading failed and left something in its output. */
    bp_result (*again)(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched);
    /* Writes a sample; 0 when that fails. */
    size_t (*sample)(uint8_t *ret, size_t cap);
};

extern const struct body_kind body_kinds[];
extern const size_t body_kind_count;

#endif
