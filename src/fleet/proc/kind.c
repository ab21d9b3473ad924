/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/kind - names and uids of the kinds of process. */
#include "fleet/proc/proc.h"

#include <stdio.h>

static const struct {
    const char *name;
    unsigned uid;
} kinds[BP_KIND_COUNT] = {
#define BP_X(name, text, uid) [BP_KIND_##name] = {text, BP_PROC_UID_BASE + (uid)},
    BP_KIND_LIST(BP_X)
#undef BP_X
};

const char *bp_kind_name(enum bp_kind kind)
{
    return kind < BP_KIND_COUNT ? kinds[kind].name : "?";
}

unsigned bp_kind_uid(enum bp_kind kind)
{
    return kind < BP_KIND_COUNT ? kinds[kind].uid : BP_PROC_UID_BASE;
}

void bp_kind_process(enum bp_kind kind, unsigned index, char ret[BP_PROC_NAME_MAX + 1])
{
    const bool is_many = kind == BP_KIND_FRONT_DEVICE || kind == BP_KIND_FRONT_OPERATE || kind == BP_KIND_APPRAISER ||
                         kind == BP_KIND_READER;
    if (is_many) {
        (void)snprintf(ret, BP_PROC_NAME_MAX + 1, "%s-%u", bp_kind_name(kind), index);
    } else {
        (void)snprintf(ret, BP_PROC_NAME_MAX + 1, "%s", bp_kind_name(kind));
    }
}

enum bp_kind bp_kind_of_name(const char *name)
{
    for (unsigned k = 0; k < BP_KIND_COUNT; k++) {
        if (strcmp(kinds[k].name, name) == 0) {
            return (enum bp_kind)k;
        }
    }
    return BP_KIND_COUNT;
}
