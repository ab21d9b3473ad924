/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/lists - what readers ask for: pages of devices, verdicts, events and releases, and the
 * counts of the overview.
 *
 * Every list is walked by a key that an index gives in order, from where the page before ended; a
 * filter that no index serves looks at BP_LIST_EXAMINED_MAX rows at most and then says where to go
 * on. Rows are handed to a callback while their statement runs: it must not call the store. Spans
 * live until it returns. Errors as fleet/store/store.h, and what the callback said. */
#ifndef BP_FLEET_STORE_LISTS_H
#define BP_FLEET_STORE_LISTS_H

#include "fleet/store/store.h"

#define BP_LIST_EXAMINED_MAX 50000u

/* -- devices ----------------------------------------------------------------------------------- */
#define BP_TRUST_ANY    (-1)
#define BP_TRUST_SILENT (-2)

struct bp_device_filter {
    enum bp_lifecycle state; /* NONE: any */
    int trust;                  /* a tier, BP_TRUST_SILENT or BP_TRUST_ANY */
    bp_span zone;               /* empty: any */
    bp_span model;
    bp_span text;             /* part of the name or of the position's tag, ASCII case ignored; empty: any */
    uint8_t id_from[BP_ID_SIZE]; /* with is_id: ids from .. to, both included */
    uint8_t id_to[BP_ID_SIZE];
    bool is_id;
};

struct bp_device_item {
    struct bp_device device;
    struct bp_trust trust; /* without its digests */
    char position[BP_NAME_MAX + 1]; /* tag of the one that it fills; empty: none */
};

/* Where a page ends and the next begins. Zeroed: the first page. */
struct bp_list_at {
    int64_t n;              /* last row looked at, or (is_id) */
    uint8_t id[BP_ID_SIZE]; /* last id looked at */
    bool more;              /* there may be more behind */
};

BP_MUST_CHECK bp_result bp_list_devices(bp_store *s, const struct bp_device_filter *f, struct bp_list_at *at,
                                        size_t limit,
                                        bp_result (*each)(void *self, const struct bp_device_item *d), void *self);
/* The one with this id. NOT_FOUND */
BP_MUST_CHECK bp_result bp_list_device(bp_store *s, bp_span id, struct bp_device_item *ret);

/* How many devices there are of each zone, state, tier and silence, by zone. */
struct bp_fleet_count {
    char zone[BP_NAME_MAX + 1];
    enum bp_lifecycle state;
    uint8_t tier;
    bool silent;
    uint64_t members;
};
BP_MUST_CHECK bp_result bp_list_counts(bp_store *s, bp_result (*each)(void *self, const struct bp_fleet_count *c),
                                       void *self);

/* -- verdicts: newest first, below `before` (a seq; 0: from the newest) -------------------------- */
BP_MUST_CHECK bp_result bp_list_verdicts(bp_store *s, int64_t device, uint64_t before, size_t limit,
                                         bp_result (*each)(void *self, const struct bp_verdict_row *v), void *self);

/* -- events ------------------------------------------------------------------------------------ */
struct bp_event_item {
    uint64_t number;
    int64_t at_ms;
    uint32_t type;
    uint8_t severity;
    char zone[BP_NAME_MAX + 1];
    bp_span digest;
    bp_span body;      /* empty: erased */
    bp_span device_id; /* 33 bytes, or empty */
    bp_span device_name;
};

struct bp_event_filter {
    int64_t device; /* 0: any. A device's verdicts are left out: bp_list_verdicts has them */
    uint32_t type;  /* 0: any */
    bool ascending; /* above `from`, oldest first; else below it, newest first */
    uint64_t from;
};
/* *ret_last: number of the last row looked at; *ret_more: there may be more behind it. */
BP_MUST_CHECK bp_result bp_list_events(bp_store *s, const struct bp_event_filter *f, size_t limit, uint64_t *ret_last,
                                       bool *ret_more, bp_result (*each)(void *self, const struct bp_event_item *e),
                                       void *self);
/* One event. NOT_FOUND */
BP_MUST_CHECK bp_result bp_list_event(bp_store *s, uint64_t number, struct bp_event_item *ret);

/* -- releases: newest import first, below row `before` (0: from the newest) ---------------------- */
BP_MUST_CHECK bp_result bp_list_releases(bp_store *s, int64_t before, size_t limit,
                                         bp_result (*each)(void *self, int64_t row, const struct bp_release_row *r),
                                         void *self);
struct bp_acceptance_row {
    char zone[BP_NAME_MAX + 1];
    enum bp_acceptance state;
    char by[BP_NAME_MAX + 1];
    char reason[BP_REASON_MAX + 1];
    int64_t at_ms;
};
BP_MUST_CHECK bp_result bp_list_acceptances_of(bp_store *s, bp_span release,
                                               bp_result (*each)(void *self, const struct bp_acceptance_row *a),
                                               void *self);

#endif
